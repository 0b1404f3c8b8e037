"""Cells of the matrix on the TCP step of the golden device: one prepared connection a setting, one segment a cell."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from model.layout.generated import (
    DlvEvt,
    DlvMsg,
    Opcode,
    Phase,
    RxSeg,
    Status,
    Tcb,
    TcpEventType,
    TcpState,
    TxKind,
    TxRelease,
    TxSegment,
    UploadReason,
    Verdict,
)
from model.tcp.types import StepResult
from tb.matrix.cells import (
    FIN_SENT,
    MASK,
    OUTSTANDING,
    TS_CLOCK,
    TS_RECENT,
    UNA,
    WITH_DATA,
    Cell,
    segment,
    snd_max,
    text_length,
)
from tb.matrix.setting import OFFLOADED_AS, image_fields
from tb.matrix.table import Answer, Outcome
from tb.tests.model.tcp_bench import Engine, image

#: Tick of every event; the device's clock is about to wrap as well.
NOW = 0xFFFF_FFF8
INHERITED = 5
PAY_OFF = 54


@dataclass
class Seen:
    """What came out of the engine, event by event."""

    answers: list[Answer]
    events: list[str]
    delivered: tuple[int, int] | None = None
    sends: str = ""

    def take(self, result: StepResult, seg: RxSeg) -> None:
        """Sort the actions of one event."""
        actions = result.actions
        if actions.tx0 is not None:
            assert actions.tx0.kind == TxKind.SEGMENT
            sent = TxSegment.unpack(actions.tx0.body)
            assert sent.len == 0
            pairs = ((sent.sack_left >> 32 * i & MASK, sent.sack_right >> 32 * i & MASK) for i in range(sent.sack_n))
            self.answers.append(Answer(sent.flags, sent.seq, sent.ack, tuple(pairs)))
        if actions.tx1 is not None:
            assert actions.tx1.kind == TxKind.RELEASE
            release = TxRelease.unpack(actions.tx1.body)
            if release.status != Status.OK:
                self.sends = Status(release.status).name
            elif (release.una - UNA) & MASK >= OUTSTANDING:
                self.sends = "OK"
        if actions.dlv is not None:
            self._message(actions.dlv, seg)

    def _message(self, message: DlvMsg, seg: RxSeg) -> None:
        if message.kind == DlvEvt.NOTIFY and message.event:
            event = TcpEventType(message.event)
            reason = f" {UploadReason(message.info).name}" if event is TcpEventType.RETRIEVE else ""
            self.events.append(event.name + reason)
        if message.kind == DlvEvt.DELIVER:
            if message.len:
                left = (seg.seq + message.offset - seg.pay_off) & MASK
                self.delivered = left, (left + message.len) & MASK
            if message.fin:
                self.events.append("DISCONNECT")


@cache
def prepared(state: str, window: str, stamped: bool) -> Tcb:
    """A connection in its state, everything that led there over."""
    engine = Engine(now=NOW)
    engine.command(Opcode.INITIATE, image(**image_fields(state, window, stamped)))
    if state in WITH_DATA or state in OFFLOADED_AS:
        engine.send(OUTSTANDING)
    if OFFLOADED_AS.get(state, state) in FIN_SENT:
        engine.command(Opcode.DISCONNECT, flags=INHERITED, length=0)
    engine.command(Opcode.START)
    assert engine.tcb.phase == Phase.RUNNING
    if state in OFFLOADED_AS:
        stamp = {"ts_present": 1, "tsval": TS_RECENT, "tsecr": TS_CLOCK} if stamped else {}
        engine.rx(ack=snd_max(state), pay_off=PAY_OFF, **stamp)
        assert engine.segments() == []
    elif state == "FROZEN":
        engine.command(Opcode.UPLOAD)
        assert engine.tcb.phase == Phase.FROZEN
    return engine.tcb


def play(cell: Cell) -> Outcome:
    """The cell on the step."""
    stamped = cell.stamp != "none"
    engine = Engine(tcb=prepared(cell.state, cell.window, stamped), now=NOW)
    found = segment(cell)
    stamp = {} if found.tsval is None else {"ts_present": 1, "tsval": found.tsval, "tsecr": TS_CLOCK}
    seg = RxSeg(
        gen=engine.tcb.gen, seq=found.seq, ack=found.ack, wnd=engine.tcb.snd_wnd, flags=found.flags, pay_off=PAY_OFF,
        pay_len=text_length(cell), **stamp,
    )  # fmt: skip
    seen = Seen([], [])
    result = engine.rx(**{name: getattr(seg, name) for name in RxSeg.FIELDS})
    verdict = Verdict(result.actions.verdict)
    seen.take(result, seg)
    while result.pending:
        result = engine.grant()
        seen.take(result, seg)
    tcb = engine.tcb
    return Outcome(
        state=TcpState(tcb.state).name,
        rcv_nxt=tcb.rcv_nxt,
        snd_una=tcb.snd_una,
        ts_recent=tcb.ts_recent,
        duplicates=tcb.dup_acks,
        answers=tuple(seen.answers),
        delivered=seen.delivered,
        events=tuple(sorted(seen.events)),
        passed_up=verdict is Verdict.PASS_UP,
        sends=seen.sends if cell.state in WITH_DATA else "",
    )
