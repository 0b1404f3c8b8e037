"""Laws of the receive path behind holes, TCP step and delivery step together, against an array of bytes.

Segments of one stream come in any cut and order: what the host gets is the stream, blocks tell the truth, and no
pool buffer is lost.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.delivery.step import DeliveryResult, Message
from model.layout.generated import CqKind, DlvEvt, LeftOver, Opcode, Phase, PlOp, TcpState, TxSegment
from model.tcp.seq import MASK, signed
from model.tcp.types import Credit
from tb.tests.model.delivery_bench import POOL, Delivery, cqes
from tb.tests.model.tcp_bench import ACK, FIN, GEN, PSH, Engine, running, segment_of

STREAM = random.Random(2018).randbytes(6000)
START = 0xFFFF_F800
"""The stream runs over the wrap of sequence numbers."""
BUFFERS = 24
WINDOW = 5000
LEFT_OVERS = 0x9_0000
_PAY_OFF = 54
_SACK, _STAMPS = 2, 1


@dataclass
class Receiver:
    """Both engines, the host behind them, and a plain record of what came in."""

    tcp: Engine
    dlv: Delivery = field(default_factory=lambda: Delivery(free=deque(range(BUFFERS))))
    memory: dict[int, int] = field(default_factory=dict)
    frames: dict[int, bytes] = field(default_factory=dict)
    got: bytearray = field(default_factory=bytearray)
    known: list[int] = field(default_factory=lambda: [0] * (len(STREAM) + 1))
    open: tuple[int, int, int] | None = None
    cookies: int = 0
    disconnected: bool = False

    def __post_init__(self) -> None:
        self.settle(self.dlv.message(DlvEvt.LOAD, gen=GEN, info=1, push_ticks=500))
        self.settle(self.dlv.message(DlvEvt.START, gen=GEN))

    # ---- what comes in -------------------------------------------------------------------------

    def segment(self, left: int, right: int, *, fin: bool, psh: bool = False) -> None:
        """The octets [left, right) of the stream arrive; with ``fin`` its end behind them."""
        arrival = self.tcp.arrivals
        self.frames[arrival] = STREAM[left:right]
        ack = self.tcp.tcb.rcv_nxt
        for at in range(left, right + fin):
            self.known[at] += 1
        flags = ACK | (FIN if fin else 0) | (PSH if psh else 0)
        stamps = {"ts_present": 1, "tsval": 1} if self.tcp.tcb.ts_en else {}
        result = self.tcp.rx(seq=(START + left) & MASK, pay_len=right - left, pay_off=_PAY_OFF, flags=flags, **stamps)
        assert signed(self.tcp.tcb.rcv_nxt, ack) >= 0
        if result.actions.dlv is not None:
            self.settle(self.dlv.do(Message(result.actions.dlv)))
        self.acknowledge()

    def acknowledge(self) -> None:
        """Everything owed goes out; each acknowledgment tells the truth."""
        while True:
            result = self.tcp.grant()
            if result.actions.tx0 is not None:
                self.judge(segment_of(result))
            if result.actions.dlv is not None:
                self.settle(self.dlv.do(Message(result.actions.dlv)))
            if not result.pending:
                return

    def judge(self, seg: TxSegment) -> None:
        """RFC 2018 4, RFC 2883 4: blocks lie in what came, above the ACK; only a first one may tell of a duplicate."""
        ack = signed(seg.ack, START)
        assert all(self.known[at] for at in range(min(ack, len(STREAM))))
        spans = [
            (signed(seg.sack_left >> 32 * i & MASK, START), signed(seg.sack_right >> 32 * i & MASK, START))
            for i in range(seg.sack_n)
        ]
        assert len(spans) <= (3 if seg.ts_en else 4)
        above = [s for s in spans if s[0] > ack]
        duplicate = [] if not spans else [s for s in spans[:1] if s[0] < ack or any(within(s, o) for o in above[1:])]
        for left, right in duplicate:
            assert all(self.known[at] >= 2 for at in range(left, right)), (left, right)
        plain = spans[len(duplicate) :]
        for n, (left, right) in enumerate(plain):
            assert ack < left < right
            assert all(self.known[at] for at in range(left, right)), (left, right)
            assert not any(left <= other[1] and other[0] <= right for other in plain[:n])

    # ---- the host ------------------------------------------------------------------------------

    def settle(self, results: list[DeliveryResult]) -> None:
        """Carry out what the delivery engine asked for, and tell the TCP engine."""
        for result in results:
            item = result.plq
            if item is not None and item.op == PlOp.PLACE:
                data = self.frames[item.arrival][item.offset - _PAY_OFF :][: item.len]
                assert len(data) == item.len
                self.memory |= {item.dst + i: byte for i, byte in enumerate(data)}
            elif item is not None and item.op == PlOp.COPY:
                self.memory |= {item.dst + i: self.memory[item.src + i] for i in range(item.len)}
            for entry in cqes([result]):
                self.entry(entry.kind, entry.cookie, entry.nbytes, POOL + 2048 * entry.buf + entry.offset, entry.buf)
            if result.consumed:
                self.tcp.consumed(result.consumed)
            if result.credit_ret:
                self.tcp.do(Credit(result.credit_ret))

    def entry(self, kind: int, cookie: int, nbytes: int, addr: int, buf: int) -> None:
        if kind == CqKind.RECEIVE:
            self.got += bytes(self.memory[(cookie << 32) + i] for i in range(nbytes))
        elif kind == CqKind.INDICATION:
            self.open = (addr, nbytes, buf)
        elif kind == CqKind.EVENT:
            self.disconnected = True

    def post(self, length: int, nopush: int) -> None:
        """A receive request."""
        if len(self.dlv.state.requests) < self.dlv.recvs and not self.dlv.state.dcb.fin_done:
            self.cookies += 1
            at, cookie = self.cookies << 32, self.cookies
            request = self.dlv.command(Opcode.RECEIVE, gen=GEN, addr=at, length=length, cookie=cookie, flags=nopush)
            self.settle(request)

    def answer(self) -> None:
        """The host takes what was indicated and posts its buffer again."""
        if self.open is not None:
            (addr, nbytes, buf), self.open = self.open, None
            self.got += bytes(self.memory[addr + i] for i in range(nbytes))
            self.settle(self.dlv.command(Opcode.ANSWER, gen=GEN, arg=self.dlv.state.dcb.token, length=nbytes))
            self.settle(self.dlv.command(Opcode.POOL_POST, indices=(buf,), count=1))

    def books(self) -> None:
        """Every buffer is free or in one list; every free one is a credit."""
        state = self.dlv.state
        used = [p.buf for pieces in (state.pieces, *state.held) for p in pieces]
        assert sorted([*used, *self.dlv.free]) == list(range(BUFFERS))
        assert self.tcp.credits == len(self.dlv.free)
        lists = {slot for slot, pieces in enumerate(state.held) if pieces}
        assert lists == {self.tcp.tcb.rr_slot >> 3 * place & 7 for place in range(self.tcp.tcb.rr_n)}

    @property
    def taken(self) -> int:
        """Octets of the stream that were accepted in order, without the FIN."""
        return signed(self.tcp.tcb.rcv_nxt, START) - self.tcp.tcb.fin_rcvd


def within(inner: tuple[int, int], outer: tuple[int, int]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def receiver(const_flags: int, ooo_ranges: int, conns: int) -> Receiver:
    engine = running(
        const_flags=const_flags, rcv_nxt=START, snd_wl1=START, rcv_wnd=WINDOW, initial_rcv_wnd=WINDOW, ts_recent=1
    )
    engine.ooo_ranges, engine.conns, engine.credits = ooo_ranges, conns, BUFFERS
    return Receiver(engine)


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("segment"), st.integers(0, len(STREAM)), st.integers(1, 1448)),
        st.tuples(
            st.just("segment"), st.integers(0, 40).map(lambda n: 50 * n), st.integers(1, 6).map(lambda n: 50 * n)
        ),
        st.tuples(st.just("next"), st.integers(0, 2000), st.integers(1, 1448)),
        st.tuples(st.just("post"), st.integers(1, 3000), st.integers(0, 1)),
        st.tuples(st.just("answer"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


def play(r: Receiver, moves: list[tuple[str, int, int]]) -> None:
    for what, x, y in moves:
        if what == "post":
            r.post(x, y)
        elif what == "answer":
            r.answer()
        else:
            left = min(x if what == "segment" else r.taken + x, len(STREAM))
            right = min(left + y, len(STREAM))
            fin = right == len(STREAM)
            if left < right or fin:
                r.segment(left, right, fin=fin, psh=y % 3 == 0)
        r.books()


@pytest.mark.rule("M-2", "M-3", "M-4", "J-1", "J-2", "J-3", "S05", "S54")
@settings(max_examples=200, deadline=None)
@given(
    moves=MOVES,
    flags=st.sampled_from([0, _SACK, _SACK | _STAMPS]),
    ooo_ranges=st.integers(1, 8),
    conns=st.sampled_from([1, 4, 16]),
)
def test_any_cut_and_order_of_a_stream_reaches_the_host_byte_exact(
    moves: list[tuple[str, int, int]], flags: int, ooo_ranges: int, conns: int
) -> None:
    r = receiver(flags, ooo_ranges, conns)
    play(r, moves)
    for _ in range(200):
        if r.disconnected:
            break
        r.answer()
        r.post(4000, 1)
        left = min(r.taken, len(STREAM))
        right = min(left + 1000, len(STREAM))
        if r.tcp.tcb.state == TcpState.ESTABLISHED:
            r.segment(left, right, fin=right == len(STREAM))
        r.books()
    assert r.disconnected
    assert r.got == STREAM
    assert len(r.dlv.free) == BUFFERS
    assert (r.tcp.tcb.state, r.tcp.tcb.rcv_nxt) == (TcpState.CLOSE_WAIT, (START + len(STREAM) + 1) & MASK)


@pytest.mark.rule("M-5", "W-5a", "G-19")
@settings(max_examples=100, deadline=None)
@given(moves=MOVES, answered=st.booleans())
def test_a_terminate_at_any_moment_hands_over_the_stream_up_to_the_first_hole_and_no_more(
    moves: list[tuple[str, int, int]], answered: bool
) -> None:
    r = receiver(_SACK, 8, 1)
    play(r, moves)
    if answered:
        r.answer()
    taken = r.taken
    result = r.tcp.command(Opcode.TERMINATE, addr2=LEFT_OVERS)
    assert result.actions.dlv is not None
    before = len(r.dlv.log)
    r.settle(r.dlv.do(Message(result.actions.dlv)))
    r.answer()
    written = [x.plq for x in r.dlv.log[before:] if x.plq is not None and x.plq.op == PlOp.LIST_WRITE]
    left_over = [LeftOver.unpack(item.list_data) for item in written[:-1]]
    for piece in left_over:
        at = POOL + 2048 * piece.buf + piece.offset
        r.got += bytes(r.memory[at + i] for i in range(piece.length))
    assert r.got == STREAM[:taken]
    assert r.dlv.state.dcb.freeze_done
    assert r.dlv.state.dcb.ooo_used == 0
    assert sorted([*r.dlv.free, *(piece.buf for piece in left_over)]) == list(range(BUFFERS))
    assert r.tcp.fence_done().tcb.phase == Phase.FREE
