"""Laws of the delivery step: no byte twice, none lost, none out of order, no buffer lost."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.delivery.step import DeliveryResult
from model.layout.generated import CqKind, Opcode, PlOp
from tb.tests.model.delivery_bench import POOL, Delivery, cqes, started

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["deliver", "deliver", "push", "forward", "receive", "receive0", "answer", "refuse", "tick"]),
        st.integers(0, 1 << 16),
    ),
    max_size=50,
)


FORWARDED = 1 << 40


class Host:
    """Byte-exact host: numbers every received byte and follows it through buffers and requests."""

    def __init__(self, engine: Delivery) -> None:
        self.engine = engine
        self.memory: dict[int, int] = {}
        self.sent = 0
        #: Where the stream ends behind a byte that was pushed.
        self.pushed: set[int] = set()
        self.got: list[int] = []
        self.open: tuple[int, int, int] | None = None
        self.cookies = 0

    def take(self, results: list[DeliveryResult], first: int = 0) -> None:
        for result in results:
            item = result.plq
            if item is None:
                continue
            for i in range(item.len):
                if item.op == PlOp.PLACE:
                    self.memory[item.dst + i] = first + item.offset - 54 + i
                elif item.op == PlOp.COPY:
                    self.memory[item.dst + i] = self.memory[item.src + i]
            for entry in cqes([result]):
                if entry.kind == CqKind.RECEIVE:
                    base = 0x5000 * entry.cookie
                    self.got += [self.memory[base + i] for i in range(entry.nbytes)]
                elif entry.kind == CqKind.INDICATION:
                    self.open = (POOL + 2048 * entry.buf + entry.offset, entry.nbytes, entry.buf)

    def answer(self, x: int, refuse: bool) -> None:
        if self.open is None:
            return
        (addr, n, buf), self.open = self.open, None
        consumed = x % n if refuse else n
        self.got += [self.memory[addr + i] for i in range(consumed)]
        self.take(self.engine.answer(consumed))
        if not refuse:
            self.engine.command(Opcode.POOL_POST, indices=(buf,), count=1)

    def move(self, move: str, x: int) -> None:
        engine = self.engine
        if move in ("deliver", "push") and len(engine.free) > 0:
            n = 1 + x % 1400
            first, self.sent = self.sent, self.sent + n
            if move == "push":
                self.pushed.add(self.sent)
            self.take(engine.deliver(n, psh=int(move == "push")), first)
        elif move == "forward" and len(engine.free) > 0:
            n = 1 + x % 1400
            at = FORWARDED + self.sent
            self.memory |= {at + i: self.sent + i for i in range(n)}
            self.sent += n
            if x >> 4 & 1:
                self.pushed.add(self.sent)
            done = engine.forward(n, psh=x >> 4 & 1, at=at)
            self.take(done)
            assert [c.kind for c in cqes(done)].count(CqKind.FORWARD) == 1
        elif move in ("receive", "receive0") and len(engine.state.requests) < engine.recvs:
            self.cookies += 1
            self.take(engine.receive(x % 3000 if move == "receive" else 0, self.cookies, nopush=x & 1))
        elif move in ("answer", "refuse"):
            self.answer(x, move == "refuse")
        elif move == "tick":
            engine.now += x % 700
            self.take(engine.timer())


@pytest.mark.rule("CH-241", "W-2", "W-3")
@settings(max_examples=150, deadline=None)
@given(moves=MOVES)
def test_bytes_reach_the_host_once_and_in_order(moves: list[tuple[str, int]]) -> None:
    host = Host(started())
    for move, x in moves:
        host.move(move, x)
        held = len(host.engine.state.pieces) + len(host.engine.free)
        assert held == 8
    while host.engine.state.pieces or host.open is not None:
        host.answer(0, refuse=False)
        if host.open is None and host.engine.state.pieces:
            host.cookies += 1
            host.take(host.engine.receive(100_000, host.cookies))
    assert host.got == list(range(len(host.got)))
    filled = host.engine.state.dcb.req_filled
    assert len(host.got) + filled == host.sent
    assert host.engine.consumed == host.sent


@pytest.mark.rule("CH-127", "W-2", "DELIVER")
@settings(max_examples=500, deadline=None)
@given(moves=MOVES, held=st.integers(0, 20))
def test_no_push_mode_request_holds_a_pushed_byte_last(moves: list[tuple[str, int]], held: int) -> None:
    """The first ``held`` moves fill the pool of a held connection."""
    host = Host(started(hold=1))
    for n, (move, x) in enumerate([*moves, ("tick", 0)]):
        if n == min(held, len(moves)):
            host.take(host.engine.command(Opcode.RESUME))
        else:
            host.move(move, x)
        state = host.engine.state
        if state.dcb.req_filled and not state.requests[0].nopush:
            assert len(host.got) + state.dcb.req_filled not in host.pushed
