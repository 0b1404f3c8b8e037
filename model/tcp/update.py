"""UPDATE and INVALIDATE of a connection (B-9, B-11), and what they put into the transmit queue."""

from __future__ import annotations

from model.layout.generated import (
    CONSUMED_BATCH,
    CachedImage,
    DlvEvt,
    DlvMsg,
    Phase,
    Status,
    TxBarrier,
    TxHdrConn,
    TxKind,
    Txq,
)
from model.tcp.keepalive import MAX_RT_RESTART, on_update
from model.tcp.messages import complete
from model.tcp.seq import MASK
from model.tcp.types import Command, Context, StepError
from model.tcp.work import TcbWork

_UPDATE_RCV_WND = 1 << 4
_OBJECT = 3
_MAX_WINDOW_FIELD = 0xFFFF


def consumed_threshold(init_rcv_wnd: int) -> int:
    """Bytes after which delivery_engine tells what the host consumed."""
    return min(CONSUMED_BATCH, init_rcv_wnd >> 2)


def header_of(w: TcbWork, conn: int) -> Txq:
    """HDR_CONN: what segment_builder keeps of a connection."""
    body = TxHdrConn(w.local_port, w.remote_port, w.path_id, w.family, w.flow_label).pack()
    return Txq(kind=TxKind.HDR_CONN, conn=conn, gen=w.gen, body=body)


def barrier(c: Context, command: Command) -> None:
    """No frame of the object leaves any more; then the command completes."""
    sqe = command.sqe
    kind = sqe.flags & _OBJECT
    body = TxBarrier(cookie=sqe.cookie, sq_index=command.sq_index, opcode=sqe.opcode, object=kind).pack()
    c.tx0 = Txq(kind=TxKind.BARRIER, conn=sqe.conn, gen=sqe.gen, body=body)


def update(c: Context, command: Command) -> None:
    """B-9: the cached state of a connection, all in this commit (CH-072)."""
    w, sqe, image = c.w, command.sqe, command.image
    if not isinstance(image, CachedImage):
        raise StepError("UPDATE: give the step the cached image command_decode read for it")
    status = Status.OK
    if w.phase == Phase.FROZEN and (w.terminating or w.aborted):
        status = Status.BAD_STATE
    elif image.initial_rcv_wnd > _MAX_WINDOW_FIELD << w.rcv_ws:
        status = Status.RCV_WINDOW
    c.cpl = complete(sqe, command.sq_index, status)
    if status != Status.OK:
        return
    w.cached_flags = image.cached_flags
    w.rcv_indication_size = image.rcv_indication_size
    w.ka_probe_count = image.ka_probe_count
    w.ka_timeout = image.ka_timeout
    w.ka_interval = image.ka_interval
    w.max_rt = image.max_rt
    w.flow_label = image.flow_label
    w.ttl = image.ttl
    w.tos = image.tos
    w.user_priority = image.user_priority
    if image.cached_flags & _UPDATE_RCV_WND:
        _new_window(c, sqe.conn, image.initial_rcv_wnd)
    if image.cached_flags & MAX_RT_RESTART:
        w.total_rt = 0
    on_update(c)
    if w.phase == Phase.RUNNING:
        c.tx0 = header_of(w, sqe.conn)


def _new_window(c: Context, conn: int, init_rcv_wnd: int) -> None:
    """Another receive buffer: told at once where it differs from what the far end knows; the edge never moves back."""
    w = c.w
    w.init_rcv_wnd = init_rcv_wnd
    if w.phase == Phase.RUNNING and init_rcv_wnd != (w.rcv_adv - w.rcv_nxt) & MASK:
        w.ack_now = 1
    c.dlv = DlvMsg(kind=DlvEvt.UPDATE, conn=conn, gen=w.gen, info=consumed_threshold(init_rcv_wnd))
