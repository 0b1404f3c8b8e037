"""Commit records of the golden device, in the form the recorder of the test bench writes them.

A journal entry is (tag, cycle, fields): T D R X C carry one packed record; W client, bus address, strobe, data, lanes,
response; F a frame that came in; O one that left; S the tick after a strobe; M a register write; H a write of the host.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from model.delivery.step import DeliveryEvent, DeliveryResult, DlvCommand, Message, PushTimer
from model.layout.generated import DlvEvt, Opcode, RecDlv, RecTcp, TcpEvt
from model.tcp.objects import without_connection
from model.tcp.types import (
    Command,
    Consumed,
    Credit,
    Event,
    Fault,
    FenceDone,
    RxSegment,
    StepResult,
    Timer,
    TxGrant,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was seen: numbers, or bytes (frame, data of the host)."""

    tag: str
    cycle: int
    values: tuple[int, ...] = ()
    data: bytes = b""


@dataclass
class Journal:
    """Everything a monitor would have seen, in order."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, tag: str, cycle: int, *values: int, data: bytes = b"") -> None:
        """Append an entry."""
        self.entries.append(Entry(tag, cycle, values, data))


_KINDS: dict[type[object], TcpEvt] = {
    TxGrant: TcpEvt.TX_GRANT,
    Timer: TcpEvt.TIMER,
    Consumed: TcpEvt.CONSUMED,
    FenceDone: TcpEvt.FENCE_DONE,
    Fault: TcpEvt.FAULT,
}


def sees_room(event: Event) -> bool:
    """The record of ``event`` has the room that the engine saw (tcp_step C.12); that of another has 1."""
    return isinstance(event, RxSegment | Command | TxGrant)


def tcp_record(order: int, now: int, event: Event, result: StepResult, *, room: bool = True) -> int:
    """The commit record of tcp_engine for ``event``, packed."""
    conn = gen = cause = opcode = rx = 0
    if isinstance(event, RxSegment):
        kind, conn, gen, cause = TcpEvt.RX_SEGMENT, event.seg.conn, event.seg.gen, event.seg.arrival
        rx = event.seg.pack()
    elif isinstance(event, Command):
        kind, conn, gen, cause = TcpEvt.COMMAND, event.sqe.conn, event.sqe.gen, event.sq_index
        opcode = event.sqe.opcode
        rx = 0 if event.seg is None else event.seg.pack()
    elif isinstance(event, Credit):
        kind, cause = TcpEvt.CREDIT, event.count
    else:
        kind, conn, gen = _KINDS[type(event)], event.conn, event.gen
        cause = event.nbytes if isinstance(event, Consumed) else 0
    a = result.actions
    without_tcb = isinstance(event, Credit) or (isinstance(event, Command) and without_connection(event.sqe))
    return RecTcp(
        order=order,
        tick=now,
        kind=kind,
        conn=conn,
        gen=gen,
        cause=cause,
        opcode=opcode,
        rx=rx,
        tcb=0 if without_tcb else result.tcb.pack(),
        credits=result.writes.credits,
        verdict=a.verdict,
        tx0_valid=int(a.tx0 is not None),
        tx0=0 if a.tx0 is None else a.tx0.pack(),
        tx1_valid=int(a.tx1 is not None),
        tx1=0 if a.tx1 is None else a.tx1.pack(),
        dlv_valid=int(a.dlv is not None),
        dlv=0 if a.dlv is None else a.dlv.pack(),
        cpl_valid=int(a.cpl is not None),
        cpl=0 if a.cpl is None else a.cpl.pack(),
        img_valid=int(a.image),
        room=int(room),
    ).pack()


_COMMAND_KINDS = {
    Opcode.RECEIVE: DlvEvt.RECEIVE,
    Opcode.ANSWER: DlvEvt.ANSWER,
    Opcode.RESUME: DlvEvt.RESUME,
    Opcode.POOL_POST: DlvEvt.POOL_POST,
}


def delivery_record(order: int, now: int, event: DeliveryEvent, result: DeliveryResult, free: int) -> int:
    """The commit record of delivery_engine for ``event``, packed. ``free``: buffers in the free queue afterwards."""
    cause = opcode = 0
    dcb = result.state.dcb
    packed_dcb = dcb.pack()
    if isinstance(event, Message):
        kind, conn, gen = DlvEvt(event.msg.kind), event.msg.conn, event.msg.gen
        cause = event.msg.arrival if kind in (DlvEvt.DELIVER, DlvEvt.HOLD) else 0
    elif isinstance(event, DlvCommand):
        opcode, cause = event.sqe.opcode, event.sq_index
        kind, conn, gen = _COMMAND_KINDS[Opcode(opcode)], event.sqe.conn, event.sqe.gen
        if kind == DlvEvt.POOL_POST:
            packed_dcb = 0
    elif isinstance(event, PushTimer):
        kind, conn, gen = DlvEvt.TIMER, event.conn, event.gen
    else:
        kind, conn, gen = DlvEvt.CONTINUE, event.conn, dcb.gen
    return RecDlv(
        order=order,
        tick=now,
        kind=kind,
        conn=conn,
        gen=gen,
        cause=cause,
        opcode=opcode,
        credit_ret=result.credit_ret,
        consumed=result.consumed,
        pool_free=free,
        dcb=packed_dcb,
        plq_valid=int(result.plq is not None),
        plq=0 if result.plq is None else result.plq.pack(),
    ).pack()
