"""A delivery engine of one connection for the tests of the delivery step; CONTINUE commits follow by themselves."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from model.delivery.step import (
    Continue,
    DeliveryEnv,
    DeliveryEvent,
    DeliveryResult,
    DeliveryState,
    DlvCommand,
    Message,
    PushTimer,
    step,
)
from model.layout.generated import Cqe, DlvEvt, DlvMsg, Opcode, PlOp, Plq, Sqe

GEN = 5
POOL = 0x10_0000


@dataclass
class Delivery:
    """State of connection 0 and everything that happened."""

    state: DeliveryState = field(default_factory=DeliveryState)
    free: deque[int] = field(default_factory=lambda: deque(range(8)))
    now: int = 0
    recvs: int = 4
    log: list[DeliveryResult] = field(default_factory=list)

    def do(self, event: DeliveryEvent) -> list[DeliveryResult]:
        """The event and the CONTINUE commits behind it."""
        done = [self._commit(event)]
        while done[-1].more:
            done.append(self._commit(Continue(0)))
            assert len(done) < 200
        return done

    def _commit(self, event: DeliveryEvent) -> DeliveryResult:
        env = DeliveryEnv(self.now, POOL, self.recvs, self.free[0] if self.free else None)
        result = step(self.state, event, env)
        self.state = result.state
        if result.took_free:
            self.free.popleft()
        self.free.extend(result.freed)
        self.log.append(result)
        return result

    def message(self, kind: DlvEvt, **fields: int) -> list[DeliveryResult]:
        return self.do(Message(DlvMsg(kind=kind, gen=fields.pop("gen", GEN), **fields)))

    def deliver(self, length: int, psh: int = 0, fin: int = 0, arrival: int = 1) -> list[DeliveryResult]:
        return self.message(DlvEvt.DELIVER, arrival=arrival, offset=54 if length else 0, len=length, psh=psh, fin=fin)

    def forward(
        self, length: int, psh: int = 0, fin: int = 0, at: int = 0x9000, cookie: int = 50
    ) -> list[DeliveryResult]:
        """A piece of a forwarded segment: its bytes lie at host address ``at``."""
        return self.message(DlvEvt.DELIVER, len=length, psh=psh, fin=fin, fwd=1, a=at, cookie=cookie, sq_index=6)

    def command(self, opcode: Opcode, indices: tuple[int, ...] = (), **fields: int) -> list[DeliveryResult]:
        return self.do(DlvCommand(Sqe(opcode=opcode, gen=fields.pop("gen", GEN), **fields), 9, indices))

    def receive(self, length: int, cookie: int = 1, nopush: int = 1) -> list[DeliveryResult]:
        return self.command(Opcode.RECEIVE, addr=0x5000 * cookie, length=length, cookie=cookie, flags=nopush)

    def answer(self, consumed: int) -> list[DeliveryResult]:
        return self.command(Opcode.ANSWER, arg=self.state.dcb.token, length=consumed)

    def timer(self) -> list[DeliveryResult]:
        return self.do(PushTimer(0, GEN))

    @property
    def consumed(self) -> int:
        return sum(r.consumed for r in self.log)

    @property
    def credits(self) -> int:
        return sum(r.credit_ret for r in self.log)


def cqes(results: list[DeliveryResult]) -> list[Cqe]:
    """The entries these commits issued."""
    return [Cqe.unpack(r.plq.cqe) for r in results if r.plq is not None and r.plq.cqe_valid]


def ops(results: list[DeliveryResult]) -> list[Plq]:
    """The actions with an operation."""
    return [r.plq for r in results if r.plq is not None and r.plq.op != PlOp.NONE]


def started(hold: int = 0, push_ticks: int = 500) -> Delivery:
    """A connection that was loaded and started."""
    engine = Delivery()
    engine.message(DlvEvt.LOAD, info=8192, push_ticks=push_ticks)
    engine.message(DlvEvt.START, hold=hold)
    engine.log.clear()
    return engine
