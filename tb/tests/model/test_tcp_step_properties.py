"""Laws of the TCP step that hold for every sequence of events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.layout.generated import Opcode, Phase, TxSegment
from model.tcp.seq import MASK, distance, ge, gt, le, lt, signed
from tb.tests.model.tcp_bench import ACK, Engine, running

WORD = st.integers(0, MASK)
MOVES = st.lists(
    st.tuples(st.sampled_from(["send", "rx", "ack", "dup", "grant", "grant", "tick", "consume", "close"]), WORD),
    min_size=1,
    max_size=60,
)


def play(engine: Engine, move: str, x: int) -> TxSegment | None:
    """One move with argument ``x``; the segment it sent."""
    t = engine.tcb
    if move == "send":
        engine.send(1 + x % 5000)
    elif move == "rx":
        engine.rx(seq=(t.rcv_nxt + x % 2001 - 500) & MASK, pay_len=x >> 8 & 0x3FF, flags=ACK | (x >> 20 == 1))
    elif move == "ack":
        engine.rx(ack=(t.snd_una + x % (1 + distance(t.snd_max, t.snd_una))) & MASK, wnd=x >> 12 & 0xFFFF)
    elif move == "dup":
        engine.rx()
    elif move == "tick":
        engine.now = (engine.now + x % 3000) & MASK
        engine.timer()
    elif move == "consume":
        engine.consumed(x % (1 + distance(t.rcv_nxt, t.consumed_seq)))
    elif move == "close" and x % 8 == 0:
        engine.command(Opcode.DISCONNECT, flags=1)
    elif move == "grant":
        item = engine.grant().actions.tx0
        return None if item is None else TxSegment.unpack(item.body)
    return None


@pytest.mark.rule("G-1", "G-4", "C-8")
@settings(max_examples=120, deadline=None)
@given(start=WORD, moves=MOVES)
def test_sequence_order_window_edge_and_send_limits_hold(start: int, moves: list[tuple[str, int]]) -> None:
    engine = running(snd_una=start, snd_nxt=start, snd_max=start, rcv_nxt=start ^ MASK, snd_wl1=start ^ MASK)
    for move, x in moves:
        before = engine.tcb
        segment = play(engine, move, x)
        t = engine.tcb
        assert le(t.snd_una, t.snd_nxt)
        assert le(t.snd_nxt, t.snd_max)
        assert le(t.snd_max, t.snd_end)
        assert ge(t.rcv_adv, before.rcv_adv)
        assert le(t.rcv_nxt, t.rcv_adv)
        assert t.cwnd >= 1000
        if segment is not None and segment.len and not before.probe_owed and not before.rtx_head:
            edge = (before.snd_una + min(before.snd_wnd, before.cwnd)) & MASK
            assert le((segment.seq + segment.len) & MASK, edge)
        if t.phase == Phase.RUNNING and t.snd_max != t.snd_una:
            assert t.rtx_on


@pytest.mark.rule("E-3", "E-4")
@settings(max_examples=60, deadline=None)
@given(moves=MOVES)
def test_a_connection_with_unacknowledged_data_is_pending_or_has_a_timer(moves: list[tuple[str, int]]) -> None:
    engine = running()
    for move, x in moves:
        play(engine, move, x)
        t, last = engine.tcb, engine.last
        assert last is not None
        if t.phase == Phase.RUNNING and t.snd_una != t.snd_end and last.matched:
            assert last.pending or last.deadline is not None


@pytest.mark.rule("pure")
@settings(max_examples=40, deadline=None)
@given(moves=MOVES)
def test_the_same_events_give_the_same_states(moves: list[tuple[str, int]]) -> None:
    a, b = running(), running()
    for move, x in moves:
        play(a, move, x)
        play(b, move, x)
        assert a.tcb == b.tcb


@pytest.mark.rule("RFC 9293 3.4")
@given(a=WORD, d=st.integers(1, 0x7FFF_FFFF))
def test_order_of_sequence_numbers_survives_the_wrap(a: int, d: int) -> None:
    b = (a + d) & MASK
    assert lt(a, b)
    assert gt(b, a)
    assert not ge(a, b)
    assert distance(b, a) == d
    assert signed(a, b) == -d
