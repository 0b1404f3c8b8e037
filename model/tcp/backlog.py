"""Send backlog (E-11, CH-213): how many bytes the host should keep posted for sending."""

from __future__ import annotations

from model.layout.generated import BACKLOG_GAP, DlvEvt, DlvMsg, TcpEventType
from model.tcp.seq import MASK
from model.tcp.types import Context

_GROWN, _SHRUNK = 2, 4
"""The host hears of a backlog that doubled, or that is a quarter of what it was told."""


def backlog_of(max_snd_wnd: int, cwnd: int) -> int:
    """The largest power of two (bytes) that both windows allow; 0 without one."""
    usable = min(max_snd_wnd, cwnd)
    return 1 << usable.bit_length() - 1 if usable else 0


def tell(c: Context, conn: int) -> None:
    """At the end of a segment that made no message: an event if the backlog changed much, not too often."""
    w = c.w
    backlog = backlog_of(w.max_snd_wnd, w.cwnd)
    much = backlog >= _GROWN * w.backlog_told or _SHRUNK * backlog <= w.backlog_told
    step = abs(backlog - w.backlog_told)
    if not much or step < max(1, w.remote_mss) or (c.now - w.backlog_tick) & MASK < BACKLOG_GAP:
        return
    c.dlv = DlvMsg(kind=DlvEvt.NOTIFY, conn=conn, gen=w.gen, event=TcpEventType.SEND_BACKLOG_CHANGE, info=backlog)
    w.backlog_told, w.backlog_tick = backlog, c.now
