"""Laws of the TCP step that hold for every sequence of events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.layout.generated import CachedImage, Object, Opcode, Phase, Tcb, TcpState, TxKind, TxSegment
from model.tcp.seq import MASK, distance, ge, gt, le, lt, signed
from tb.tests.model.tcp_bench import ACK, FIN, RST, SYN, Engine, running

WORD = st.integers(0, MASK)
MOVES = st.lists(
    st.tuples(
        st.sampled_from(
            ["send", "rx", "ack", "dup", "forward", "update", "grant", "grant", "tick", "consume", "close"]
        ),
        WORD,
    ),
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
    elif move == "forward":
        engine.forward(
            seq=(t.rcv_nxt + x % 2001 - 500) & MASK,
            ack=(t.snd_una + (x >> 8) % (1 + distance(t.snd_max, t.snd_una))) & MASK,
            pay_len=x >> 16 & 0x3FF,
        )
    elif move == "update":
        engine.command(Opcode.UPDATE, CachedImage(cached_flags=x & 0x1C, initial_rcv_wnd=x >> 8 & 0xFFFF, ttl=1))
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
            limited = before.dup_acks < 3 and before.snd_nxt == before.snd_max  # limited transmit (S-7)
            beyond = 1000 * min(before.dup_acks, 2) if limited else 0
            edge = (before.snd_una + min(before.snd_wnd, before.cwnd + beyond)) & MASK
            assert le((segment.seq + segment.len) & MASK, edge)
        if t.phase == Phase.RUNNING and t.snd_max != t.snd_una:
            assert t.rtx_on


@pytest.mark.rule("CH-017")
@settings(max_examples=120, deadline=None)
@given(start=WORD, moves=MOVES)
def test_a_segment_says_whether_it_holds_octets_that_were_sent_before_and_others(
    start: int, moves: list[tuple[str, int]]
) -> None:
    engine = running(snd_una=start, snd_nxt=start, snd_max=start)
    sent: set[int] = set()
    for move, x in moves:
        segment = play(engine, move, x)
        if segment is None:
            continue
        octets = {(segment.seq + n) & MASK for n in range(segment.len + (segment.flags & FIN))}
        assert segment.has_old == bool(octets & sent)
        assert segment.has_new == (bool(octets - sent) or not octets)
        sent |= octets


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


@pytest.mark.rule("E-9", "G-0", "CH-092")
@settings(max_examples=60, deadline=None)
@given(before=MOVES, what=st.sampled_from(Object), behind=MOVES)
def test_no_segment_is_issued_behind_an_invalidate(
    before: list[tuple[str, int]], what: Object, behind: list[tuple[str, int]]
) -> None:
    engine = running()
    for move, x in before:
        play(engine, move, x)
    engine.command(Opcode.INVALIDATE, flags=what)
    for move, x in [*behind, ("grant", 0), ("abort", 0), ("grant", 0), ("terminate", 0)]:
        if move == "abort":
            engine.command(Opcode.DISCONNECT, flags=2)
        elif move == "terminate":
            engine.command(Opcode.TERMINATE)
        else:
            play(engine, move, x)
        assert engine.last is not None
        item = engine.last.actions.tx0
        assert item is None or item.kind != TxKind.SEGMENT


MORE_MOVES = st.lists(
    st.tuples(st.sampled_from(["send", "grant", "tick", "end", "shut", "fin", "blind", "update", "late"]), WORD),
    min_size=1,
    max_size=60,
)


def play_more(engine: Engine, move: str, x: int) -> None:
    """Moves about keep-alive, challenges and the end of a connection; the others are those of `play`."""
    if move == "end":
        engine.command(Opcode.DISCONNECT, flags=1)
        engine.segments()
    elif move == "shut":
        engine.rx(ack=engine.tcb.snd_una, wnd=0)
    elif move == "fin":
        engine.rx(ack=engine.tcb.snd_max, flags=ACK | FIN * (x & 1))
    elif move == "blind":
        engine.rx(seq=(engine.tcb.rcv_nxt + 1) & MASK, flags=RST if x & 1 else SYN)
    elif move == "update":
        flags, count = x & 0xF, x >> 4 & 3
        cached = CachedImage(
            cached_flags=flags, initial_rcv_wnd=20_000, ttl=64, ka_probe_count=count, ka_timeout=x >> 8 & 0xFFF,
            ka_interval=x >> 20 & 0xFF,
        )  # fmt: skip
        engine.command(Opcode.UPDATE, cached)
    elif move == "late":
        engine.now = (engine.now + x % 400_000) & MASK
        engine.timer()
    else:
        play(engine, move, x)


@pytest.mark.rule("K-2", "K-3", "K-4", "D")
@settings(max_examples=200, deadline=None)
@given(moves=MORE_MOVES, first=st.sampled_from([TcpState.ESTABLISHED, TcpState.FIN_WAIT_2, TcpState.CLOSE_WAIT]))
def test_a_timer_that_was_served_lies_ahead_and_fin_wait_2_has_one(
    moves: list[tuple[str, int]], first: TcpState
) -> None:
    """Else a connection would be offered for ever, or wait for ever."""
    engine = running(state=first)
    for move, x in moves:
        play_more(engine, move if first != TcpState.FIN_WAIT_2 else move.replace("send", "fin"), x)
        t, last = engine.tcb, engine.last
        assert last is not None
        if t.phase != Phase.RUNNING:
            break
        if move in ("tick", "late"):
            assert last.deadline is None or gt(last.deadline, engine.now)
        if t.state == TcpState.FIN_WAIT_2:
            assert t.rtx_on
        assert t.ka_on or not t.ka_challenge
        assert t.ka_probes_sent <= max(t.ka_probe_count, 10)


@pytest.mark.rule("pure")
@settings(max_examples=40, deadline=None)
@given(moves=MOVES)
def test_the_same_events_give_the_same_states(moves: list[tuple[str, int]]) -> None:
    a, b = running(), running()
    for move, x in moves:
        play(a, move, x)
        play(b, move, x)
        assert a.tcb == b.tcb


@pytest.mark.rule("RFC 9293 3.4", "B09")
@given(a=WORD, d=st.integers(1, 0x7FFF_FFFF))
def test_order_of_sequence_numbers_survives_the_wrap(a: int, d: int) -> None:
    b = (a + d) & MASK
    assert lt(a, b)
    assert gt(b, a)
    assert not ge(a, b)
    assert distance(b, a) == d
    assert signed(a, b) == -d


SACK_MOVES = st.lists(
    st.tuples(
        st.sampled_from(["send", "sack", "sack", "sack", "ack", "grant", "grant", "grant", "tick", "close"]), WORD
    ),
    min_size=1,
    max_size=80,
)


def told(t: Tcb, x: int) -> dict[str, int]:
    """One or two blocks near what is under way, now and then beside it."""
    flight = distance(t.snd_max, t.snd_una)
    blocks = []
    for shift in (0, 14):
        left = (x >> shift & 0x1F) * 500 - 500
        blocks.append(((t.snd_una + min(left, flight)) & MASK, (t.snd_una + left + (x >> 5 + shift & 7) * 500) & MASK))
    return {
        "sack_n": len(blocks),
        "sack_left": sum(left << 32 * n for n, (left, _) in enumerate(blocks)),
        "sack_right": sum(right << 32 * n for n, (_, right) in enumerate(blocks)),
    }


@pytest.mark.rule("S-1", "S-3", "S-6", "E-3")
@settings(max_examples=150, deadline=None)
@given(start=WORD, moves=SACK_MOVES)
def test_a_sender_with_sack_keeps_its_order_its_window_and_its_timer(start: int, moves: list[tuple[str, int]]) -> None:
    engine = running(snd_una=start, snd_nxt=start, snd_max=start, const_flags=2, snd_wnd=60_000, max_snd_wnd=60_000)
    for move, x in moves:
        before = engine.tcb
        segment = None
        if move == "sack":
            engine.rx(**told(before, x))
        else:
            segment = play(engine, move, x)
        t, last = engine.tcb, engine.last
        assert last is not None
        edges = [t.snd_una]
        for n in range(t.sb_n):
            edges += [t.sb_left >> 32 * n & MASK, t.sb_right >> 32 * n & MASK]
        assert all(lt(low, high) for low, high in pairwise(edges))
        assert le(edges[-1], t.snd_max)
        assert (t.sb_left | t.sb_right) >> 32 * t.sb_n == 0
        assert le(t.snd_una, t.snd_nxt)
        assert le(t.snd_nxt, t.snd_max)
        assert le(t.snd_max, t.snd_end)
        assert t.cwnd >= 1000
        if t.in_recovery:
            assert lt(t.snd_una, t.recover)
        if segment is not None and segment.len and not before.probe_owed:
            end = (segment.seq + segment.len) & MASK
            assert le(before.snd_una, segment.seq)
            assert le(end, before.snd_max) or le(end, (before.snd_una + before.snd_wnd) & MASK)
        if t.phase == Phase.RUNNING and t.snd_max != t.snd_una:
            assert t.rtx_on
        if t.phase == Phase.RUNNING and t.snd_una != t.snd_end and last.matched:
            assert last.pending or last.deadline is not None
