"""What a connection may reach: invalid objects (E-9) and the age of its neighbor (E-10)."""

from __future__ import annotations

from dataclasses import replace

from model.layout.generated import Cqe, CqKind, NbrRec, RxSeg, TcpEventType
from model.tcp.seq import MASK, gt
from model.tcp.types import Context


def unreachable(c: Context) -> bool:
    """E-9: the connection, its path or that path's neighbor was invalidated (CH-092): nothing may be sent.

    A neighbor that was never written has no address: the same.
    """
    n = c.neighbor
    no_neighbor = n is not None and (n.invalid or not n.valid)
    return bool(c.w.invalid or (c.path is not None and c.path.invalid) or no_neighbor)


def _set(c: Context, neighbor: NbrRec) -> None:
    if c.path is not None:
        c.neighbor = neighbor
        c.new_neighbor = (c.path.neighbor_id, neighbor)


def confirm(c: Context, seg: RxSeg) -> None:
    """E-10, on the state in front of K-1 and C.8: ``seg`` shows that what was sent arrives (CH-225, CH-227)."""
    n = c.neighbor
    if n is not None and n.valid and _forward_progress(c, seg, n):
        _set(c, replace(n, nrt=c.now))


def _forward_progress(c: Context, seg: RxSeg, n: NbrRec) -> bool:
    """New data is acknowledged, a later timestamp echoed, or a probe (keep-alive, window) answered."""
    w = c.w
    echoed = w.ts_en and seg.ts_present and gt((seg.tsecr - w.ts_delta) & MASK, n.nrt)
    probed = w.ka_probes_sent or (w.persist and w.rtx_count)
    return bool(gt(seg.ack, w.snd_una) or echoed or probed)


def ask_age(c: Context) -> None:
    """E-10, in front of every segment: a neighbor nobody heard of for too long is asked for, once (CH-228)."""
    n, stale = c.neighbor, c.params.nce_stale_ticks
    if n is None or c.path is None or n.query or not n.valid or not c.room:
        return
    by_host, by_device = (c.now - n.hrt) & MASK, (c.now - n.nrt) & MASK
    if by_device > stale and by_host > stale:
        c.cpl = Cqe(
            kind=CqKind.EVENT,
            conn=c.path.neighbor_id,
            code=TcpEventType.NEIGHBOR_QUERY,
            info=by_device,
            nbytes=by_host,
        )
        _set(c, replace(n, query=1))
