"""Loss recovery with SACK, limited transmit and idle restart (section S, B-5; RFC 6675, 2018, 3042, 5681 4.1)."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from model.layout.generated import SB_RANGES, Opcode, TcpState
from model.tcp.seq import MASK, distance
from tb.tests.model.sack_bench import FIRST, MSS, SACK, Loop, sender
from tb.tests.model.tcp_bench import FIN, Engine, image

WINDOWS = range(10, 65)
GRANTED_NEW = 4


def block(engine: Engine, *segments: tuple[int, int], **fields: int) -> None:
    """An acknowledgment of snd_una with blocks [left, right) in segments of MSS octets from FIRST."""
    told = [((FIRST + left * MSS) & MASK, (FIRST + right * MSS) & MASK) for left, right in segments]
    engine.rx(
        sack_n=len(told),
        sack_left=sum(left << 32 * place for place, (left, _) in enumerate(told)),
        sack_right=sum(right << 32 * place for place, (_, right) in enumerate(told)),
        **fields,
    )


def board(engine: Engine) -> list[tuple[int, int]]:
    """The ranges of the TCB, in octets from FIRST."""
    t = engine.tcb
    edges = [(t.sb_left >> 32 * n & MASK, t.sb_right >> 32 * n & MASK) for n in range(t.sb_n)]
    return [(distance(left, FIRST), distance(right, FIRST)) for left, right in edges]


def numbers(engine: Engine) -> list[int]:
    """Numbers of the segments that go now; each begins at a whole segment."""
    found = [divmod(distance(seg.seq, FIRST), MSS) for seg in engine.segments() if seg.len]
    assert all(rest == 0 for _, rest in found)
    return [number for number, _ in found]


def under_way(window: int, queued: int | None = None, **changes: int) -> Engine:
    """A window of segments under way, ``queued`` in all handed over."""
    engine = sender(window, **changes)
    engine.send((queued or window) * MSS)
    assert numbers(engine) == list(range(min(window, queued or window)))
    return engine


@pytest.mark.rule("S-6", "G-2")
@pytest.mark.parametrize("window", WINDOWS)
def test_half_a_window_lost_is_recovered_without_a_timeout(window: int) -> None:
    """RFC 6675: every number of losses up to half of the window, none of its last three, no retransmission lost."""
    rng = random.Random(6675 * window)
    for losses in range(1, window // 2 + 1):
        lost = rng.sample(range(window - 3), losses)
        loop = Loop(sender(window))
        loop.engine.send(window * MSS)
        loop.send()
        assert len(loop.sent) == window
        loop.onto_wire(lost)
        while loop.wire and len(loop.sent) < 2 * window:
            loop.deliver()
        stuck = f"lost {sorted(lost)} of {window}: {loop.outstanding()} octets wait for a timeout"
        assert loop.outstanding() == 0, stuck
        assert loop.far.next == window * MSS
        resent = {number * MSS for number in lost}
        assert resent <= {left for left, _ in loop.sent}
        assert not loop.engine.tcb.in_recovery


@pytest.mark.rule("S-6", "S-2", "S56")
def test_exactly_the_two_holes_are_sent_again_lowest_first() -> None:
    loop = Loop(sender(10))
    loop.engine.send(20 * MSS)
    loop.send()
    loop.onto_wire({1, 4})
    while loop.wire:
        loop.deliver()
    assert [left // MSS for left, _ in loop.sent if left < 10 * MSS] == [1, 4]
    assert loop.far.next == 20 * MSS
    assert loop.outstanding() == 0


@pytest.mark.rule("S-4", "S-6")
def test_pipe_is_never_above_cwnd_after_a_segment_of_the_recovery() -> None:
    """S57: 30 in flight, 4 lost, new data behind them; pipe is counted octet by octet as RFC 6675 SetPipe does."""
    loop = Loop(sender(30))
    loop.engine.send(80 * MSS)
    loop.send()
    assert len(loop.sent) == 30
    loop.onto_wire({3, 4, 11, 20})
    judged = new = 0
    while loop.wire:
        heads = loop.engine.tcb.snd_max
        segments = loop.deliver()
        t = loop.engine.tcb
        if not t.in_recovery or not segments:
            continue
        new += sum(distance(seg.seq, heads) < 1 << 31 for seg in segments)
        if any(seg.seq == t.snd_una for seg in segments):
            continue  # the head goes whatever pipe is (RFC 6675 5 (4.3))
        judged += 1
        assert octets_under_way(loop.engine) <= t.cwnd
    assert judged > 10
    assert new > GRANTED_NEW
    assert loop.far.next == 80 * MSS
    assert loop.engine.tcb.rtx_count == 0


def octets_under_way(engine: Engine) -> int:
    """SetPipe of RFC 6675 4 for DupThresh 3, octet by octet (in units of MSS / 10: every edge is a multiple)."""
    t, unit = engine.tcb, MSS // 10
    una = distance(t.snd_una, FIRST)
    held = {octet for left, right in board(engine) for octet in range(left, right, unit)}
    resent = distance(t.high_rxt, FIRST)
    pipe = 0
    for octet in range(una, distance(t.snd_max, FIRST), unit):
        if octet in held:
            continue
        above = [(max(left, octet), right) for left, right in board(engine) if right > octet]
        lost = len(above) >= 3 or sum(right - left for left, right in above) > 2 * MSS
        pipe += unit * ((not lost) + (octet < resent))
    return pipe


@pytest.mark.rule("S-1", "S55")
def test_bad_blocks_are_ignored_and_data_is_not_released_by_blocks() -> None:
    engine = under_way(10)
    engine.rx(ack=(FIRST + 2 * MSS) & MASK)
    engine.segments()
    for bad in ((1, 2), (2, 4), (0, 3), (5, 5), (6, 5), (9, 11), (11, 12)):
        block(engine, bad)
        assert board(engine) == []
        assert engine.tcb.dup_acks == 0
    block(engine, (4, 5), (11, 12), (7, 8))
    assert board(engine) == [(4000, 5000), (7000, 8000)]
    assert not engine.tcb.release_owed
    assert distance(engine.tcb.snd_una, FIRST) == 2 * MSS


@pytest.mark.rule("S-1", "D-2", "S55")
def test_after_a_timeout_nothing_the_far_end_said_is_believed() -> None:
    """RFC 2018 8: it may have given up what it held, so all of it goes again."""
    engine = under_way(10)
    block(engine, (4, 6))
    block(engine, (4, 6), (8, 9))
    assert board(engine)
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    assert board(engine) == []
    assert engine.tcb.cwnd == MSS
    again = numbers(engine)
    block(engine, (4, 6))
    assert board(engine) == []
    while distance(engine.tcb.snd_una, FIRST) < 10 * MSS:
        engine.rx(ack=(engine.tcb.snd_una + MSS) & MASK)
        again += numbers(engine)
    assert again == list(range(10))


@pytest.mark.rule("S-1")
def test_a_range_that_the_acknowledgment_stops_inside_of_goes() -> None:
    engine = under_way(10)
    block(engine, (4, 6), (8, 9))
    engine.rx(ack=(FIRST + 5 * MSS) & MASK)
    assert board(engine) == [(8000, 9000)]


@pytest.mark.rule("S-1")
def test_more_ranges_than_there_are_places_leave_the_first_ones() -> None:
    engine = under_way(40)
    for number in range(SB_RANGES + 2):
        block(engine, (2 * number + 1, 2 * number + 2))
    assert board(engine) == [(2000 * n + 1000, 2000 * n + 2000) for n in range(SB_RANGES)]


@pytest.mark.rule("S-2")
def test_only_news_makes_a_duplicate_whatever_else_the_segment_holds() -> None:
    engine = under_way(10)
    for _ in range(5):
        engine.rx()
    assert engine.tcb.dup_acks == 0
    block(engine, (4, 5))
    block(engine, (4, 5))
    assert engine.tcb.dup_acks == 1
    block(engine, (4, 6), pay_len=100, wnd=2000)
    assert engine.tcb.dup_acks == 2
    assert not engine.tcb.in_recovery


@pytest.mark.rule("S-2", "S-4")
def test_more_than_two_segments_behind_the_hole_begin_the_recovery_at_the_first_report() -> None:
    engine = under_way(10)
    block(engine, (2, 4))
    assert not engine.tcb.in_recovery
    engine = under_way(10)
    engine.rx(sack_n=1, sack_left=(FIRST + 2 * MSS) & MASK, sack_right=(FIRST + 4 * MSS + 1) & MASK)
    t = engine.tcb
    assert t.in_recovery
    assert (t.dup_acks, t.ssthresh) == (1, 5 * MSS)
    assert distance(t.recover, FIRST) == 10 * MSS


@pytest.mark.rule("S-6", "G-2")
def test_the_first_retransmission_ends_where_the_far_end_holds_octets() -> None:
    engine = under_way(10)
    for edge in (300, 700, 900):
        engine.rx(sack_n=1, sack_left=(FIRST + 300) & MASK, sack_right=(FIRST + 300 + edge) & MASK)
    (head,) = engine.segments()
    assert (distance(head.seq, FIRST), head.len) == (0, 300)
    assert distance(engine.tcb.high_rxt, FIRST) == 300


@pytest.mark.rule("S-2", "S-3")
def test_a_loss_right_behind_a_recovery_is_recovered_without_a_timeout() -> None:
    """RFC 6675 5.1: HighACK = RecoveryPoint is enough for the next recovery."""
    loop = Loop(sender(10))
    for first, lost in ((0, {2}), (10, {0})):
        loop.engine.send(10 * MSS)
        loop.sent.clear()
        loop.send()
        assert loop.sent[0][0] == first * MSS
        loop.onto_wire(lost)
        while loop.wire:
            loop.deliver()
        while loop.far.next < (first + 10) * MSS:
            loop.send()
            assert loop.wire, "a timeout would be needed"
            loop.deliver()
    assert loop.outstanding() == 0


@pytest.mark.rule("S-6")
def test_the_rescue_goes_once_when_nothing_else_is_known_to_be_missing() -> None:
    """RFC 6675 NextSeg (4): the last octets again, if neither a loss nor new data is left to send."""
    engine = under_way(10)
    for right in (2, 3, 4):
        block(engine, (1, right))
    assert numbers(engine) == [0]
    t = engine.tcb
    block(engine, (1, 7))
    assert numbers(engine) == [9]
    assert engine.tcb.rescued
    assert engine.tcb.high_rxt == t.high_rxt
    block(engine, (1, 8))
    assert numbers(engine) == []


@pytest.mark.rule("S-6", "G-3")
def test_the_rescue_holds_the_fin() -> None:
    engine = sender(10)
    engine.send(9 * MSS + 500)
    engine.command(Opcode.DISCONNECT, flags=1)
    assert len(engine.segments()) == 10
    for right in (2, 3, 4, 7):
        block(engine, (1, right))
    head, rescue = engine.segments()
    assert (distance(head.seq, FIRST), head.len, head.flags & FIN) == (0, MSS, 0)
    assert (distance(rescue.seq, FIRST), rescue.len, rescue.flags & FIN) == (9 * MSS + 501 - MSS, MSS - 1, FIN)
    assert engine.tcb.state == TcpState.FIN_WAIT_1


@pytest.mark.rule("S-5", "S-7", "G-1", "S32")
@pytest.mark.parametrize("sack", [0, SACK], ids=["without SACK", "with SACK"])
def test_two_duplicates_let_two_new_segments_out_and_nothing_again(sack: int) -> None:
    engine = under_way(10, 30, const_flags=sack | 4)
    cwnd = engine.tcb.cwnd
    for count in (1, 2):
        if sack:
            block(engine, (1, 1 + count))
        else:
            engine.rx()
        assert numbers(engine) == [9 + count]
        assert engine.tcb.cwnd == cwnd
        assert not engine.tcb.in_recovery


@pytest.mark.rule("F-3", "S-2", "S32")
@pytest.mark.parametrize("sack", [0, SACK], ids=["without SACK", "with SACK"])
def test_what_limited_transmit_let_out_does_not_raise_the_threshold(sack: int) -> None:
    """RFC 5681 3.2 step 2: ten segments of cwnd and two of limited transmit under way: half of ten."""
    engine = under_way(10, 30, const_flags=sack | 4)
    for count in (1, 2, 3):
        if sack:
            block(engine, (1, 1 + count))
        else:
            engine.rx()
        if count < 3:
            assert numbers(engine) == [9 + count]
    assert engine.tcb.in_recovery
    assert engine.tcb.ssthresh == 5 * MSS


@pytest.mark.rule("F-3", "S-2")
@pytest.mark.parametrize(("sack", "segments"), [(0, 8), (SACK, 7)], ids=["without SACK", "with SACK"])
def test_what_an_earlier_reduction_left_behind_cwnd_counts(sack: int, segments: int) -> None:
    """Half of flight less what limited transmit can have let out: cwnd was 4 segments when 10 were under way."""
    engine = under_way(10, 10, const_flags=sack | 4)
    engine.tcb = replace(engine.tcb, cwnd=4 * MSS)
    for count in (1, 2, 3):
        if sack:
            block(engine, (1, 1 + count))
        else:
            engine.rx()
    assert engine.tcb.in_recovery
    assert engine.tcb.ssthresh == segments * MSS // 2


@pytest.mark.rule("S-7", "S35")
def test_limited_transmit_sends_nothing_again_that_a_timeout_pulled_back() -> None:
    engine = under_way(5, 5, const_flags=4)
    engine.now += engine.tcb.rto
    engine.timer()
    assert numbers(engine) == [0]
    for _ in range(2):
        engine.rx()
        assert numbers(engine) == []


@pytest.mark.rule("S-7")
def test_limited_transmit_stays_inside_the_window_of_the_far_end() -> None:
    engine = under_way(10, 30, const_flags=4, snd_wnd=11_000, max_snd_wnd=11_000, snd_wind_scale=0)
    engine.rx()
    assert numbers(engine) == [10]
    engine.rx()
    assert numbers(engine) == []


@pytest.mark.rule("B-5", "S40")
@pytest.mark.parametrize("sack", [0, SACK])
def test_after_an_idle_time_at_most_the_restart_window_goes_at_once(sack: int) -> None:
    engine = sender(100, const_flags=sack | 4)
    engine.send(MSS)
    engine.segments()
    engine.rx(ack=(FIRST + MSS) & MASK)
    engine.now += 2 * engine.tcb.rto
    engine.send(100 * MSS)
    assert len(engine.segments()) == 10


@pytest.mark.rule("B-5", "G-4")
def test_cwnd_stays_within_one_rto_of_the_last_data_and_while_something_is_under_way() -> None:
    engine = sender(100)
    engine.now = 5000
    engine.send(MSS)
    engine.segments()
    assert engine.tcb.last_tx_tick == 5000
    assert engine.tcb.cwnd == 10 * MSS  # idle since START
    engine.rx(ack=(FIRST + MSS) & MASK)
    cwnd = engine.tcb.cwnd
    engine.now += engine.tcb.rto
    engine.rx(pay_len=10)
    engine.rx(pay_len=10)
    assert [seg.len for seg in engine.segments()] == [0]
    assert engine.tcb.last_tx_tick == 5000
    engine.send(MSS)
    assert engine.tcb.cwnd == cwnd
    engine.segments()
    engine.now += 2 * engine.tcb.rto
    engine.send(MSS)
    assert engine.tcb.cwnd == cwnd


@pytest.mark.rule("B-3", "S-6", "S39")
def test_an_offload_in_recovery_goes_on_with_an_empty_scoreboard() -> None:
    engine = Engine()
    under_way_at_hand_over = image(
        const_flags=SACK, snd_nxt=11_000, snd_max=11_000, cwnd=5000, ssthresh=5000, dup_ack_count=3,
        rtx_timeout_delta=500,
    )  # fmt: skip
    engine.command(Opcode.INITIATE, under_way_at_hand_over)
    engine.send(10_000)
    engine.command(Opcode.START)
    t = engine.tcb
    assert (t.in_recovery, t.recover, t.high_rxt, t.sb_n) == (1, 11_000, 1000, 0)
    assert engine.segments() == []
    engine.rx(sack_n=1, sack_left=3000, sack_right=11_000)
    assert [(seg.seq, seg.len) for seg in engine.segments()] == [(1000, 1000), (2000, 1000)]
