"""Explicit congestion notification (section N of the contract; RFC 3168 6.1). All of it only with ``ecn_en``.

The receiver's half turns CE into ECE until CWR comes; the sender's half answers ECE as it answers a loss, once for
each window of data, and says so by CWR. Only data that was never sent before is marked ECT(0).
"""

from __future__ import annotations

from model.layout.generated import RxSeg
from model.tcp.control import control_of
from model.tcp.seq import MASK, ge, gt, seq_max
from model.tcp.types import Context
from model.tcp.work import TcbWork

ECE, CWR = 0x40, 0x80
ECN_FIELD, ECT_0, CE = 0x03, 0x02, 0x03
"""The ECN field of the TOS octet, and two of its code points (RFC 3168 5)."""


def on_received(c: Context, seg: RxSeg) -> None:
    """N-1: an acceptable segment. One that carries both CWR and CE ends one congestion and tells of the next."""
    w = c.w
    if not w.ecn_en:
        return
    if seg.flags & CWR:
        w.ecn_ece = 0
    if seg.pay_len and seg.ip_ecn == CE:
        w.ecn_ece = 1


def keep_edge_near(c: Context) -> None:
    """After snd_una moved: 2 GiB later an old edge would lie ahead of it and ECE would not be heard (H, as F-2)."""
    w = c.w
    if w.ecn_en:
        w.ecn_edge = seq_max(w.ecn_edge, (w.snd_una - 1) & MASK)


def on_echo(c: Context, seg: RxSeg, una: int) -> None:
    """N-2: ECE, behind the rest of C-8 that touches cwnd. ``una``: snd_una in front of the segment."""
    w = c.w
    if not (w.ecn_en and seg.flags & ECE) or w.in_recovery or not ge(seg.ack, una) or not gt(w.snd_una, w.ecn_edge):
        return
    control_of(w).reduce(c, (w.snd_max - una) & MASK)
    w.cwnd = min(w.cwnd, w.ssthresh)
    w.cwnd_acc = 0
    on_reduction(c)


def on_reduction(c: Context) -> None:
    """N-3: cwnd was reduced for what was sent up to here; the peer is told, and ECE for the same is not answered."""
    w = c.w
    if w.ecn_en:
        w.ecn_cwr, w.ecn_edge = 1, w.snd_max


def echo(w: TcbWork) -> int:
    """N-4: the flag that a segment carries while congestion on the way in was not answered."""
    return ECE if w.ecn_ece else 0


def announce(w: TcbWork) -> int:
    """N-4: the flag of the first new data behind a reduction; it is not said again."""
    said, w.ecn_cwr = w.ecn_cwr, 0
    return CWR if said else 0


def tos_of(w: TcbWork, *, fresh: bool) -> int:
    """N-4: the TOS octet. ``fresh``: data that was never sent before (RFC 3168 6.1.4, 6.1.5)."""
    if not w.ecn_en:
        return w.tos
    return w.tos & ~ECN_FIELD | (ECT_0 if fresh else 0)
