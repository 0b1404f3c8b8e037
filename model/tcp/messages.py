"""The messages and completions a step may issue: at most one of each (E-6)."""

from __future__ import annotations

from model.layout.generated import Cqe, CqKind, DlvEvt, DlvMsg, Opcode, Phase, Sqe, Status, TcpEventType, UploadReason
from model.tcp.types import Context

_KINDS = {Opcode.SEND: CqKind.SEND, Opcode.DISCONNECT: CqKind.SEND, Opcode.FORWARD: CqKind.FORWARD}


def complete(sqe: Sqe, sq_index: int, status: Status) -> Cqe:
    """A completion the engine writes itself: kind SEND for SEND and DISCONNECT, FORWARD, else COMMAND."""
    kind = _KINDS.get(Opcode(sqe.opcode), CqKind.COMMAND)
    return Cqe(
        kind=kind, status=status, conn=sqe.conn, gen=sqe.gen, code=sqe.opcode, cookie=sqe.cookie, sq_index=sq_index
    )


def notify(
    c: Context, conn: int, event: TcpEventType, reason: UploadReason = UploadReason.NONE, *, aborted: bool = False
) -> None:
    """An event for the host, through the delivery engine; ``aborted``: its requests end there too."""
    c.dlv = DlvMsg(kind=DlvEvt.NOTIFY, conn=conn, gen=c.w.gen, aborted=int(aborted), event=event, info=reason)


def retrieve(c: Context, conn: int, reason: UploadReason, *, freeze: bool) -> None:
    """E-7: ask the host to upload, once; a mandatory request freezes the connection."""
    if c.w.retrieve_sent:
        return
    notify(c, conn, TcpEventType.RETRIEVE, reason)
    c.w.retrieve_sent = 1
    if freeze:
        c.w.phase = Phase.FROZEN
