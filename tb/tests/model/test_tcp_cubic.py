"""Section Q of the contract: CUBIC (RFC 9438), rule by rule and against real numbers (cubic_bench)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.layout.generated import CUBIC_MS_MAX, CWND_MAX, IW_BYTES, Cubic, Opcode, Params, TcpImage
from model.tcp.cubic import cube
from model.tcp.images import whole_image
from model.tcp.seq import MASK, distance
from model.tcp.types import RESET_PARAMS
from tb.tests.model.cubic_bench import (
    BETA,
    CUBIC,
    ECN,
    QUEUED,
    SACK,
    SCALED,
    SEARCH,
    C,
    Clock,
    LongPath,
    RealCubic,
    acknowledge,
    avoiding,
    kept,
    remembering,
    under_way,
)
from tb.tests.model.sack_bench import sender
from tb.tests.model.tcp_bench import ACK, Engine, running

MSS = 1000
UNA = 1000
ECE = 0x40
RATES = (10, 100, 1000)
"""Ticks a second that a host may set."""


def cut(octets: int) -> int:
    """0.7 of a window, in parts of 1024."""
    return octets * 717 // 1024


def at_rate(rate: int) -> Params:
    """Parameters with so many ticks a second."""
    return replace(RESET_PARAMS, ticks_per_second=rate)


def loaded(octets: int, **changes: int) -> Engine:
    """A started CUBIC connection with ``octets`` in flight."""
    engine = running(RESET_PARAMS, now=0, **({"const_flags": CUBIC} | changes))
    engine.send(octets)
    assert sum(s.len for s in engine.segments()) == octets
    return engine


def lose(engine: Engine, times: int = 3) -> None:
    """Duplicate acknowledgments: of segment after segment behind the head, with SACK."""
    for n in range(1, times + 1):
        una = engine.tcb.snd_una
        blocks = {"sack_n": 1, "sack_left": una + MSS, "sack_right": una + MSS * (1 + n)} if engine.tcb.sack_en else {}
        engine.rx(**blocks)


# ---- who has it


@pytest.mark.rule("B-3", "B-10", "Q-1")
def test_the_flag_of_an_image_chooses_cubic_and_is_given_back() -> None:
    engine = running(RESET_PARAMS, now=0, const_flags=CUBIC)
    assert (engine.tcb.cubic_en, engine.tcb.cc) == (1, 0)
    image = whole_image(engine.tcb, 0)
    assert isinstance(image, TcpImage)
    assert image.const_flags == CUBIC
    engine = running(RESET_PARAMS, now=0, const_flags=15)
    assert engine.tcb.cubic_en == 0
    assert whole_image(engine.tcb, 0).const_flags == 15


@pytest.mark.rule("Q-1", "F-3")
@pytest.mark.parametrize("sack", [0, SACK])
def test_without_the_flag_a_loss_halves_the_window_and_nothing_is_kept(sack: int) -> None:
    engine = loaded(10_000, const_flags=sack)
    lose(engine)
    assert (engine.tcb.ssthresh, engine.tcb.cc) == (5000, 0)


# ---- reductions


@pytest.mark.rule("Q-1", "F-3", "S-2")
@pytest.mark.parametrize("sack", [0, SACK])
def test_a_loss_leaves_seven_tenths_of_what_is_in_flight_and_notes_the_window_before_it(sack: int) -> None:
    engine = loaded(10_000, const_flags=CUBIC | sack, cwnd=10_300)
    lose(engine)
    assert engine.tcb.in_recovery
    assert engine.tcb.ssthresh == cut(10_000) == 7001
    assert kept(engine) == Cubic(w_max=10_300, prior=10_300)


@pytest.mark.rule("Q-1")
@pytest.mark.parametrize(
    ("known", "cwnd", "w_max"),
    [(0, 10_000, 10_000), (9999, 10_000, 10_000), (10_000, 10_000, 10_000), (10_001, 10_000, 10_000 * 870 // 1024)],
)
def test_a_window_that_did_not_reach_the_last_one_gives_way(known: int, cwnd: int, w_max: int) -> None:
    """RFC 9438 4.7: (1 + 0.7) / 2 of it, to a thousandth, becomes w_max."""
    engine = remembering(loaded(10_000, cwnd=cwnd), w_max=known, prior=3, epoch=1, k=5, gap=6, w_est=7, est_acc=8)
    remembering(engine, start=9, last=10)
    lose(engine)
    assert kept(engine) == Cubic(w_max=w_max, prior=cwnd, start=9, last=10, k=5, gap=6, w_est=7, est_acc=8)
    assert known <= cwnd or abs(w_max - cwnd * (1 + BETA) / 2) <= cwnd / 1000


@pytest.mark.rule("Q-1", "N-2")
def test_ece_reduces_to_seven_tenths_of_the_flight_and_notes_what_the_window_had_become() -> None:
    engine = loaded(8000, const_flags=CUBIC | ECN)
    engine.rx(ack=2000, flags=ACK | ECE)
    assert (engine.tcb.ssthresh, engine.tcb.cwnd) == (cut(8000), cut(8000))
    assert kept(engine) == Cubic(w_max=11_000, prior=11_000)


@pytest.mark.rule("Q-1")
@pytest.mark.parametrize("sack", [0, SACK])
def test_a_reduction_leaves_two_segments_at_least(sack: int) -> None:
    engine = loaded(2000, const_flags=CUBIC | sack | ECN, cwnd=2000)
    engine.rx(flags=ACK | ECE)
    assert engine.tcb.ssthresh == 2 * MSS
    engine = loaded(2000, const_flags=CUBIC | sack, cwnd=2000)
    engine.now = 1000
    engine.timer()
    assert engine.tcb.ssthresh == 2 * MSS


@pytest.mark.rule("Q-1", "D-2")
def test_a_timeout_forgets_w_max_and_the_stage_behind_it_begins_at_its_own() -> None:
    engine = remembering(loaded(10_000), w_max=50_000, epoch=1)
    engine.now = 1000
    engine.timer()
    assert (engine.tcb.ssthresh, engine.tcb.cwnd) == (cut(10_000), MSS)
    assert kept(engine) == Cubic(prior=10_000)
    engine.send(10_000)
    for ack in range(2000, 9000, 1000):
        engine.rx(ack=ack)
        engine.segments()
    assert engine.tcb.cwnd == 8000
    assert kept(engine) == Cubic(prior=10_000), "slow start is no stage"
    engine.now = 1500
    engine.rx(ack=9000)
    assert kept(engine) == Cubic(epoch=1, start=1500, last=1500, w_max=8000, prior=10_000, w_est=8000)


@pytest.mark.rule("Q-1", "D-2")
def test_the_second_timeout_in_a_row_reduces_nothing_and_forgets_again() -> None:
    engine = loaded(10_000)
    engine.now = 1000
    engine.timer()
    before = engine.tcb.ssthresh
    remembering(engine, w_max=9, epoch=1)
    engine.now = 100_000
    engine.timer()
    assert (engine.tcb.rtx_count, engine.tcb.ssthresh) == (2, before)
    assert kept(engine) == Cubic(prior=10_000)


@pytest.mark.rule("Q-1", "B-5")
@pytest.mark.parametrize("cwnd", [5000, 300_000])
def test_an_idle_time_ends_the_stage_whether_or_not_the_window_falls(cwnd: int) -> None:
    engine = remembering(running(RESET_PARAMS, now=0, const_flags=CUBIC, cwnd=cwnd), w_max=400_000, epoch=1, k=3)
    engine.now = 1000
    engine.send(100)
    assert kept(engine).epoch == 1, "an RTO is not over yet"
    engine.segments()
    engine.rx(ack=UNA + 100)
    cwnd, before = engine.tcb.cwnd, kept(engine)
    engine.now = 5000
    engine.send(100)
    assert engine.tcb.cwnd == min(cwnd, 10 * MSS, IW_BYTES)
    assert kept(engine) == replace(before, epoch=0)
    assert before.w_max == 400_000


# ---- pace


@pytest.mark.rule("Q-2", "S-8")
@pytest.mark.parametrize("flags", [0, CUBIC])
def test_in_recovery_seven_tenths_of_what_is_delivered_let_something_out(flags: int) -> None:
    """RFC 9937 with a threshold of 0.7: 7 of 10 while pipe comes down, where Reno sends 5; the head went first."""
    engine = sender(40, const_flags=SACK | SCALED | flags)
    engine.send(200 * MSS)
    engine.segments()
    first = engine.tcb.snd_una

    def told(n: int) -> int:
        """Segments 1 to n arrived, the head is missing."""
        engine.rx(sack_n=1, sack_left=(first + MSS) & MASK, sack_right=(first + (n + 1) * MSS) & MASK)
        return sum(s.len > 0 for s in engine.segments())

    for n in (1, 2, 3):
        told(n)
    assert engine.tcb.in_recovery
    assert sum(told(n) for n in range(4, 14)) == {0: 5, CUBIC: 7}[flags] - 1


# ---- time and curve


@pytest.mark.rule("Q-3")
@pytest.mark.parametrize(("rate", "factor"), [(1000, 1), (100, 10), (10, 100), (7, 1)])
def test_time_is_counted_in_milliseconds_at_every_rate(rate: int, factor: int) -> None:
    """The curve n ticks behind K, by what the window may become: it is 0.4 n^3 segments above w_max."""
    ticks = 20_000 // factor
    engine = remembering(avoiding(1000 * MSS, params=at_rate(rate)), epoch=1, w_max=1000 * MSS, w_est=MSS)
    engine.now = ticks
    reached = 1000 + C * 20**3  # segments
    engine.tcb = replace(engine.tcb, cwnd=int((reached - 1) * MSS))
    acknowledge(engine, 1 << 26)
    assert engine.tcb.cwnd == int((reached - 1) * MSS) + 1000
    engine.tcb = replace(engine.tcb, cwnd=int((reached + 1) * MSS), cwnd_acc=0)
    acknowledge(engine, 1 << 26)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (int((reached + 1) * MSS), 0)


@pytest.mark.rule("Q-3", "Q-5")
def test_the_target_lies_one_smoothed_round_trip_ahead() -> None:
    engine = remembering(avoiding(1000 * MSS, srtt=2000 << 3), epoch=1, w_max=1000 * MSS, w_est=MSS)
    engine.now = 1000
    ahead = C * 3**3  # of 1 s and 2 s, segments
    below = 1_000_000 + int(ahead * MSS) - 10
    engine.tcb = replace(engine.tcb, cwnd=below)
    for _ in range(2):
        acknowledge(engine, 1 << 28)
        assert engine.tcb.cwnd == below + MSS


@pytest.mark.rule("Q-3")
@pytest.mark.parametrize("mss", [52, 536, 1448])
def test_the_cube_is_that_of_real_numbers_to_a_millionth_and_an_octet(mss: int) -> None:
    for ms in (0, 1, 7, 99, 1000, 1357, 9086, 30_000, 99_999, CUBIC_MS_MAX):
        exact = min(C * mss * (ms / 1000) ** 3, CWND_MAX)
        assert abs(cube(ms, mss) - exact) <= 1 + exact / 1e6, ms


@pytest.mark.rule("Q-3", "Q-5")
@pytest.mark.parametrize(
    "late",
    [{"now": CUBIC_MS_MAX}, {"now": CUBIC_MS_MAX + 1}, {"now": 0xFFFF_FFFF}, {"now": 0x2_0000, "srtt": 0xFFFF}],
    ids=["just", "more", "most", "with the round trip"],
)
def test_times_stay_at_their_largest(late: dict[str, int]) -> None:
    """131.071 s behind the start the curve stands still: 52-octet segments see how high that is."""
    engine = remembering(avoiding(3 * MSS, remote_mss=64, srtt=0), epoch=1, w_max=3 * MSS, w_est=64)
    engine = replace(engine, now=late["now"], tcb=replace(engine.tcb, srtt=late.get("srtt", 0)))
    top = 3 * MSS + int(64 * C * (CUBIC_MS_MAX / 1000) ** 3)
    for cwnd, grows in ((top - 65, True), (top + 65, False)):
        engine.tcb = replace(engine.tcb, cwnd=cwnd, cwnd_acc=0)
        acknowledge(engine, 1 << 28)
        assert (engine.tcb.cwnd > cwnd) == grows
    assert distance(engine.tcb.snd_una, UNA) == 2 << 28, "both were heard"


# ---- a stage begins


@pytest.mark.rule("Q-4")
def test_a_stage_below_w_max_begins_with_a_gap_to_search() -> None:
    engine = avoiding(70_000, w_max=100_000, prior=100_000, now=12)
    engine.tcb = replace(engine.tcb, cwnd_acc=999)
    acknowledge(engine, MSS)
    begun = Cubic(
        epoch=1, start=12, last=12, w_max=100_000, prior=100_000, gap=30_000, k_bits=SEARCH, w_est=70_000
    )  # fmt: skip
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc, kept(engine)) == (70_000, 0, begun)


@pytest.mark.rule("Q-4")
@pytest.mark.parametrize("w_max", [0, 69_999, 70_000])
def test_a_stage_that_is_not_below_w_max_begins_convex(w_max: int) -> None:
    engine = remembering(avoiding(70_000, w_max=w_max, prior=9), k=77, est_acc=5, gap=3)
    acknowledge(engine, MSS)
    assert kept(engine) == Cubic(epoch=1, w_max=70_000, prior=9, w_est=70_000)


@pytest.mark.rule("Q-4", "F-2")
def test_no_stage_begins_in_slow_start_nor_in_recovery() -> None:
    engine = loaded(10_000, ssthresh=20_000)
    acknowledge(engine, MSS)
    assert (engine.tcb.cwnd, kept(engine).epoch) == (11_000, 0)
    lose(engine)
    acknowledge(engine, MSS)
    assert (engine.tcb.in_recovery, kept(engine).epoch) == (1, 0)
    acknowledge(engine, distance(engine.tcb.snd_max, engine.tcb.snd_una))
    assert (engine.tcb.in_recovery, engine.tcb.cwnd, kept(engine).epoch) == (0, engine.tcb.ssthresh, 0)


# ---- growth


@pytest.mark.rule("Q-5")
@pytest.mark.parametrize(("prior", "windows"), [(10_001, 17 / 9), (10_000, 1), (0, 1)])
def test_reno_as_cubic_estimates_it_grows_slower_until_the_last_reduction(prior: int, windows: float) -> None:
    """RFC 9438 4.3: 9/17 segments a window below cwnd_prior, then one."""
    engine = avoiding(10_000, prior=prior)
    remembering(engine, epoch=1, w_max=0, w_est=10_000)
    engine.tcb = replace(engine.tcb, cwnd=50_000)
    needed = int(50_000 * windows)
    acknowledge(engine, needed - 1)
    assert kept(engine).w_est == 10_000
    acknowledge(engine, 2)
    assert kept(engine).w_est == 10_000 + MSS


@pytest.mark.rule("Q-5")
def test_an_acknowledgment_of_many_windows_leaves_one_at_most_to_the_estimate() -> None:
    engine = remembering(avoiding(10_000), epoch=1, w_max=0, w_est=2000)
    acknowledge(engine, 10_000 * 50)
    assert (kept(engine).w_est, kept(engine).est_acc) == (3000, 17 * 10_000)
    acknowledge(engine, 1)
    assert (kept(engine).w_est, kept(engine).est_acc) == (4000, 17)


@pytest.mark.rule("Q-5")
@pytest.mark.parametrize("mss", [536, 1000, 1448])
@pytest.mark.parametrize("gap", [1, 3, 6, 75, 300, 4000, 90_000, 400_000])
def test_after_seventeen_acknowledgments_k_is_the_cube_root_to_a_millisecond(mss: int, gap: int) -> None:
    """RFC 9438 4.2: K = cbrt((w_max - cwnd_epoch) / C); ``gap`` in segments."""
    cwnd = 100 * mss
    engine = avoiding(cwnd, w_max=cwnd + gap * mss, remote_mss=mss)
    for n in range(SEARCH + 1):
        assert kept(engine).k_bits == (0 if n == 0 else SEARCH - n + 1)
        acknowledge(engine, 1)
    found = kept(engine)
    assert found.k_bits == 0
    assert abs(found.k - 1000 * (gap / C) ** (1 / 3)) <= 1
    assert engine.tcb.cwnd == cwnd


@pytest.mark.rule("Q-5")
@settings(deadline=None)
@given(gap=st.integers(1, CWND_MAX - 2 * 1448), mss=st.integers(52, 1448))
def test_k_is_the_largest_time_whose_cube_fits_in_the_gap(gap: int, mss: int) -> None:
    engine = avoiding(2 * mss, w_max=2 * mss + gap, remote_mss=mss + 12, ssthresh=64)
    engine.tcb = replace(engine.tcb, ts_en=1)  # the options take the twelve octets
    for _ in range(SEARCH + 1):
        engine.rx(ack=engine.tcb.snd_una + 1, ts_present=1)
    found = kept(engine)
    assert (found.gap, found.k_bits) == (gap, 0)
    assert cube(found.k, mss) <= found.gap
    assert found.k == CUBIC_MS_MAX or cube(found.k + 1, mss) > found.gap


@pytest.mark.rule("Q-5")
def test_while_k_is_searched_the_window_grows_as_reno_would() -> None:
    engine = avoiding(20_000, w_max=60_000)
    for _ in range(SEARCH):
        acknowledge(engine, 20_000)
    assert kept(engine).k_bits == 1
    assert engine.tcb.cwnd == kept(engine).w_est > 30_000


@pytest.mark.rule("Q-5")
def test_the_window_grows_by_half_in_a_round_trip_at_most() -> None:
    """RFC 9438 4.2: the target is at most 1.5 cwnd, so two segments acknowledged are worth one."""
    engine = remembering(avoiding(10_000), epoch=1, w_max=CWND_MAX, w_est=2000)
    for grown in (0, 1000, 1000, 2000):
        acknowledge(engine, MSS)
        assert engine.tcb.cwnd == 10_000 + grown


@pytest.mark.rule("Q-5")
def test_a_curve_below_the_window_leaves_it_alone() -> None:
    engine = remembering(avoiding(50_000), epoch=1, w_max=50_000, gap=40_000, k=4641, w_est=2000)
    engine.tcb = replace(engine.tcb, cwnd_acc=77)
    acknowledge(engine, 10_000)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (50_000, 77)


@pytest.mark.rule("Q-5")
def test_where_reno_would_have_more_the_window_is_renos() -> None:
    engine = remembering(avoiding(10_000), epoch=1, w_max=10_000, w_est=30_000)
    engine.tcb = replace(engine.tcb, cwnd_acc=77)
    acknowledge(engine, 1)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (30_000, 0)


@pytest.mark.rule("Q-5")
@pytest.mark.parametrize(
    "memory",
    [{"w_max": 90_000, "gap": 40_000, "k_bits": 3}, {"w_max": CWND_MAX}, {"w_max": 50_000, "k": 9999}],
    ids=["search", "growth", "curve below"],
)
def test_growth_notes_the_tick_of_the_acknowledgment_and_leaves_the_start(memory: dict[str, int]) -> None:
    engine = remembering(avoiding(50_000, now=70), epoch=1, start=20, last=60, w_est=2000, **memory)
    acknowledge(engine, 1)
    assert (kept(engine).start, kept(engine).last) == (20, 70)


# ---- a window that is not used


@pytest.mark.rule("Q-6")
@pytest.mark.parametrize(
    ("text", "window", "grown"), [(4000, 30_000, 0), (10_000, 4000, 0), (10_000, 30_000, 2000)],
    ids=["application", "receiver", "neither"],
)  # fmt: skip
def test_a_window_that_application_or_receiver_leaves_empty_by_half_does_not_grow(
    text: int, window: int, grown: int
) -> None:
    """RFC 9438 5.8. Two round trips; the curve is out of sight, so two segments that count are worth one."""
    engine = running(RESET_PARAMS, now=0, const_flags=CUBIC, cwnd=10_000, ssthresh=2000, snd_wnd=window)
    remembering(engine, epoch=1, w_max=CWND_MAX, w_est=2000)
    for trip in range(1, 3):
        engine.send(text - distance(engine.tcb.snd_end, engine.tcb.snd_una))
        engine.segments()
        assert distance(engine.tcb.snd_max, engine.tcb.snd_una) == min(text, window)
        engine.now = 100 * trip
        acknowledge(engine, 4000)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (10_000 + grown, 0)
    assert kept(engine).last == 200


@pytest.mark.rule("Q-6")
@pytest.mark.parametrize(
    ("cwnd", "flight", "used"),
    [(10_000, 5000, True), (10_000, 4999, False), (10_001, 5001, True), (10_001, 5000, False),
     (CWND_MAX - MSS, (CWND_MAX - MSS) // 2, True), (CWND_MAX - MSS, (CWND_MAX - MSS) // 2 - 1, False)],
)  # fmt: skip
def test_half_of_the_window_in_flight_before_the_acknowledgment_is_enough_and_an_octet_less_is_not(
    cwnd: int, flight: int, used: bool
) -> None:
    """All of it is acknowledged. It lies across the end of sequence space."""
    place: dict[str, Any] = {"snd_una": MASK - 2000, "snd_nxt": MASK - 2000, "snd_max": MASK - 2000}
    engine = remembering(under_way(avoiding(cwnd, **place), flight), epoch=1, w_max=2 * CWND_MAX, w_est=2000)
    acknowledge(engine, flight)
    assert (engine.tcb.cwnd, engine.tcb.snd_una) == (cwnd + MSS * used, engine.tcb.snd_max)
    engine = under_way(avoiding(cwnd, **place), flight)
    acknowledge(engine, flight)
    assert (engine.tcb.cwnd, kept(engine).epoch) == (cwnd, used)


@pytest.mark.rule("Q-6")
def test_what_a_timeout_will_send_again_is_in_flight() -> None:
    """Up to snd_max, wherever snd_nxt is."""
    engine = under_way(avoiding(10_000, now=500), 5000)
    engine.tcb = replace(engine.tcb, snd_nxt=engine.tcb.snd_una + 1000)
    acknowledge(engine, 1000)
    assert (kept(engine).epoch, kept(engine).start) == (1, 500)


@pytest.mark.rule("Q-6")
@pytest.mark.parametrize("k_bits", [0, 1, SEARCH])
def test_of_a_stage_whose_window_is_not_used_nothing_changes_but_its_start(k_bits: int) -> None:
    """Neither K nor what Reno would have goes on."""
    engine = under_way(avoiding(10_000, now=500), 4999)
    before = Cubic(
        epoch=1, start=100, last=300, w_max=90_000, prior=70_000, gap=80_000, k_bits=k_bits, w_est=9000, est_acc=169_999
    )  # fmt: skip
    engine.tcb = replace(engine.tcb, cwnd_acc=77, cc=before.pack())
    acknowledge(engine, 4000)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (10_000, 77)
    assert kept(engine) == replace(before, start=300, last=500)


@pytest.mark.rule("Q-6")
def test_further_acknowledgments_of_the_same_tick_leave_the_start_where_it_is() -> None:
    engine = remembering(under_way(avoiding(10_000, now=500), 4999), epoch=1, start=100, last=300, w_max=10_000)
    acknowledge(engine, 1000)
    assert (kept(engine).start, kept(engine).last) == (300, 500)
    before = kept(engine)
    for _ in range(3):
        acknowledge(engine, 1000)
        assert kept(engine) == before
    engine.now = 501
    acknowledge(engine, 1)
    assert kept(engine) == replace(before, start=301, last=501)


@pytest.mark.rule("Q-6", "Q-4")
def test_a_stage_begins_with_the_first_acknowledgment_that_finds_the_window_used() -> None:
    engine = under_way(avoiding(10_000, now=500), 4999)
    remembering(engine, start=1, last=2, w_max=12_000, prior=4, gap=5, k=6, k_bits=7, w_est=8, est_acc=9)
    engine.tcb = replace(engine.tcb, cwnd_acc=77)
    before = engine.tcb
    for engine.now in (500, 600, 600):
        acknowledge(engine, 1000)
        assert (engine.tcb.cwnd, engine.tcb.cwnd_acc, engine.tcb.cc) == (10_000, 77, before.cc)
    engine.now = 700
    acknowledge(under_way(engine, 5000), 1)
    assert kept(engine) == Cubic(
        epoch=1, start=700, last=700, w_max=12_000, prior=4, gap=2000, k_bits=SEARCH, w_est=10_000
    )  # fmt: skip


@pytest.mark.rule("Q-6", "F-2")
def test_slow_start_recovery_and_reno_do_not_ask_whether_the_window_is_used() -> None:
    engine = under_way(running(RESET_PARAMS, now=0, const_flags=CUBIC, cwnd=10_000, ssthresh=20_000), 1000)
    acknowledge(engine, 1000)
    assert engine.tcb.cwnd == 11_000
    engine = loaded(5000)
    lose(engine)
    assert (engine.tcb.in_recovery, engine.tcb.cwnd) == (1, cut(5000) + 3 * MSS)
    acknowledge(engine, 4000)
    assert (engine.tcb.in_recovery, engine.tcb.cwnd) == (1, cut(5000))
    acknowledge(engine, 1000)
    assert (engine.tcb.in_recovery, engine.tcb.cwnd) == (0, cut(5000))
    engine = under_way(avoiding(10_000, const_flags=0), 4000)
    for _ in range(4):
        acknowledge(engine, 1000)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc, engine.tcb.cc) == (10_000, 4000, 0)


def hear(engine: Engine, tick: int, flight: int) -> None:
    """An octet is acknowledged at a tick, of so many in flight."""
    engine.now = tick & MASK
    acknowledge(under_way(engine, flight), 1)


def aims_at(engine: Engine, octets: int) -> bool:
    """A window twenty octets below grows with the next acknowledgment, one twenty above does not."""
    grown = []
    for cwnd in (octets - 20, octets + 20):
        trial = replace(engine, tcb=replace(under_way(engine, QUEUED).tcb, cwnd=cwnd, cwnd_acc=0))
        acknowledge(trial, QUEUED)
        grown.append(trial.tcb.cwnd - cwnd)
    return grown == [MSS, 0]


@pytest.mark.rule("Q-6", "Q-3", "Q-5")
@pytest.mark.parametrize(
    ("rate", "origin"), [(1000, 0), (1000, -1500), (1000, -2000), (1000, -2100), (100, -350), (10, -10)]
)
@pytest.mark.parametrize(
    "pauses",
    [(), (36_000,), (1,) * 50, (10, 0, 0, 690), (1 << 31, 1 << 31, 1 << 31, 7), (MASK, 2)],
    ids=["none", "one", "many", "bursts", "times that wrap", "twice all of it"],
)
def test_time_in_which_the_window_is_not_used_does_not_count(rate: int, origin: int, pauses: tuple[int, ...]) -> None:
    """RFC 9438 4.2. From 950 segments to w_max = 1000: K = cbrt(50 / 0.4) = 5 s and W(t) = 0.4 (t - 5)^3 + 1000.

    Two seconds in use, then acknowledgments of less than half a window, then one second: W(3) = 1000 - 0.4 * 8. Two
    more: W(5) = 1000; five more: W(10) = 1000 + 0.4 * 125. ``pauses`` and ``origin`` in ticks.
    """
    engine = avoiding(950 * MSS, w_max=1000 * MSS, params=at_rate(rate), now=origin & MASK, srtt=0)
    for _ in range(SEARCH + 1):
        acknowledge(engine, 1)
    assert abs(kept(engine).k - 5000) <= 1
    tick = origin + 2 * rate
    hear(engine, tick, QUEUED)
    for pause in pauses:
        tick += pause
        hear(engine, tick, 950 * MSS // 2 - 1)
        assert kept(engine).last == tick & MASK
    assert kept(engine).start == (origin + sum(pauses)) & MASK
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (950 * MSS, 1)
    for seconds, segments in ((1, 996.8), (2, 1000), (5, 1050)):
        tick += seconds * rate
        engine.now = tick & MASK
        assert aims_at(engine, int(segments * MSS)), seconds
        hear(engine, tick, 950 * MSS // 2)


@pytest.mark.rule("Q-6", "Q-5")
@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 380),
        st.lists(st.tuples(st.integers(0, 1 << 20) | st.just(MASK), st.integers(1, 12_999)), min_size=1, max_size=5),
        max_size=5,
    ),
    st.sampled_from([0, MASK - 700]),
)
def test_a_stage_with_pauses_is_the_stage_without_them_acknowledgment_for_acknowledgment(
    pauses: dict[int, list[tuple[int, int]]], began: int
) -> None:
    """Pauses by the number of the acknowledgment in front of them: ticks, and octets that each acknowledges.

    Something is always left in flight: silence is Q-7's.
    """
    window: dict[str, Any] = {"w_max": 40 * MSS, "prior": 40 * MSS, "now": began}
    plain, paused = avoiding(28 * MSS, **window), avoiding(28 * MSS, **window)
    clock = Clock(paused, MSS, 300)
    for number, (_, _) in enumerate(zip(Clock(plain, MSS, 300).run(6), clock.run(6), strict=True)):
        assert (paused.tcb.cwnd, paused.tcb.cwnd_acc) == (plain.tcb.cwnd, plain.tcb.cwnd_acc), number
        assert replace(kept(paused), start=0, last=0) == replace(kept(plain), start=0, last=0)
        assert distance(paused.now, kept(paused).start) == distance(plain.now, kept(plain).start)
        for ticks, octets in pauses.get(number, []):
            paused.now = (paused.now + ticks) & MASK
            clock.began += ticks
            acknowledge(under_way(paused, 13_000), octets)
        under_way(paused, QUEUED)
        under_way(plain, QUEUED)
    assert plain.tcb.cwnd > 45 * MSS


# ---- silence


STAGE: Final = 100 * MSS
"""w_max of a stage that begins at half of it, so K = cbrt(50 / 0.4) = 5 s."""
WIDE: Final = {"const_flags": CUBIC | SCALED, "snd_wind_scale": 4, "snd_wnd": 900_000, "max_snd_wnd": 900_000}
"""A receiver's window that is never what limits, until it closes."""


def climbing(**changes: Any) -> Engine:
    """That stage, and K is known; all of it happened in the first tick."""
    engine = avoiding(STAGE // 2, w_max=STAGE, **{"srtt": 0} | changes)
    for _ in range(SEARCH + 1):
        acknowledge(engine, 1)
    assert abs(kept(engine).k - 5000) <= 1
    return engine


def where_the_curve_is(engine: Engine, seconds: float) -> bool:
    """The next acknowledgment aims at W(t) = 0.4 (t - 5)^3 + 100 segments."""
    trial = replace(engine, tcb=replace(engine.tcb, srtt=0, rtt_active=0))
    return aims_at(trial, int(STAGE + C * (seconds - 5) ** 3 * MSS))


def closed_for(engine: Engine, ticks: int, taken: int) -> int:
    """The peer's window stays closed; it takes so many octets of each window probe. The number of probes."""
    end, probes = engine.now + ticks, 0
    while engine.tcb.rtx_on and distance(end, engine.now) >= distance(engine.tcb.rtx_deadline, engine.now):
        engine.now = engine.tcb.rtx_deadline
        engine.timer()
        assert [s.len for s in engine.segments() if s.len] == [1]
        acknowledge(engine, taken)
        probes += 1
    engine.now = end & MASK
    return probes


@pytest.mark.rule("Q-7", "Q-5")
@pytest.mark.parametrize("taken", [0, 1], ids=["probes dropped", "probes taken"])
@pytest.mark.parametrize("origin", [0, -1500, -2000, -20_000, -38_050])
def test_behind_a_closed_window_the_curve_goes_on_where_it_stood_but_for_one_round_trip(
    origin: int, taken: int
) -> None:
    """RFC 9438 5.8. Two seconds, a window closed for 36, a round trip of 100 ms; ``origin`` in ticks, it wraps."""
    engine = under_way(climbing(now=origin & MASK, **WIDE), 0)
    engine.send(400_000)
    engine.now = (origin + 1900) & MASK
    engine.segments()
    assert engine.tcb.snd_max == (engine.tcb.snd_una + STAGE // 2) & MASK
    engine.now = (origin + 2000) & MASK
    engine.rx(ack=engine.tcb.snd_max, wnd=0)
    assert engine.segments() == []
    assert kept(engine).dry == 1
    assert closed_for(engine, 36_000, taken) > 5
    engine.rx(wnd=900_000 >> 4)
    sent = sum(s.len for s in engine.segments())
    assert sent == engine.tcb.cwnd > STAGE // 2
    engine.now = (engine.now + 100) & MASK
    assert where_the_curve_is(engine, 2)
    acknowledge(engine, 2 * MSS)
    assert (distance(engine.now, kept(engine).start), kept(engine).dry) == (2000, 0)
    for seconds in (3, 4, 7):
        engine.now = (origin + 38_100 + (seconds - 2) * 1000) & MASK
        assert where_the_curve_is(engine, seconds)


@pytest.mark.rule("Q-7", "Q-6", "B-5")
@pytest.mark.parametrize("origin", [0, -1000])
def test_of_an_application_that_writes_a_window_and_waits_the_acknowledgments_of_a_window_count_alone(
    origin: int,
) -> None:
    """Five acknowledgments 40 ms apart, the first 30 ms behind the write; they find 5, 4, 3, 2 and 1 fifths in flight.

    So 80 ms of each 280 count: half of the window is not in flight for the last two (Q-6), and the wait and the round
    trip are silence. 280 ms are less than an RTO: no idle restart.
    """
    engine = under_way(climbing(now=origin & MASK, **WIDE), 0)
    counted = 30
    for _ in range(25):
        wrote = engine.now
        flight = engine.tcb.cwnd // MSS * MSS
        engine.send(flight)
        assert sum(s.len for s in engine.segments()) == flight
        for n in range(5):
            engine.now = (wrote + 30 + 40 * n) & MASK
            acknowledge(engine, flight // 5 if n < 4 else distance(engine.tcb.snd_max, engine.tcb.snd_una))
        counted += 80
        assert (kept(engine).epoch, kept(engine).dry, kept(engine).last) == (1, 1, engine.now)
        assert distance(engine.now, kept(engine).start) == counted
        engine.now = (wrote + 280) & MASK
    assert where_the_curve_is(engine, 2.03)
    assert 0.6 * STAGE < engine.tcb.cwnd < STAGE + C * (2.03 - 5) ** 3 * MSS + MSS


@pytest.mark.rule("Q-7", "Q-4", "Q-5", "Q-6")
@pytest.mark.parametrize(
    "memory",
    [{}, {"w_max": 90_000}, {"epoch": 1, "w_max": 90_000, "gap": 80_000, "k_bits": 3, "w_est": 2000},
     {"epoch": 1, "w_max": CWND_MAX, "w_est": 2000}, {"epoch": 1, "w_max": 10_000, "k": 9999, "w_est": 2000},
     {"epoch": 1, "w_max": 10_000, "w_est": 30_000}],
    ids=["convex begin", "begin", "search", "growth", "curve below", "Reno"],
)  # fmt: skip
@pytest.mark.parametrize("flight", [10_000, 5000, 4999, 1000])
@pytest.mark.parametrize("left", [0, 1, 999])
@pytest.mark.parametrize("dry", [0, 1])
def test_dry_is_what_left_nothing_in_flight(memory: dict[str, int], flight: int, left: int, dry: int) -> None:
    """Across the end of sequence space. Where less than half is in flight and no stage runs, dry stays as it was."""
    place: dict[str, Any] = dict.fromkeys(("snd_una", "snd_nxt", "snd_max"), MASK - 400)
    engine = avoiding(10_000, now=700, **place)
    remembering(under_way(engine, flight), dry=dry, start=100, last=300, **memory)
    before = engine.tcb.cc
    acknowledge(engine, flight - left)
    if flight < 5000 and "epoch" not in memory:
        assert engine.tcb.cc == before
    else:
        assert kept(engine).dry == (left == 0)


@pytest.mark.rule("Q-7")
def test_what_a_timeout_will_send_again_and_a_fin_are_not_nothing() -> None:
    """Up to snd_max, wherever snd_nxt is."""
    engine = remembering(under_way(avoiding(10_000), 8000), epoch=1, dry=1)
    engine.tcb = replace(engine.tcb, snd_nxt=engine.tcb.snd_una + 6000)
    acknowledge(engine, 6000)
    assert kept(engine).dry == 0
    acknowledge(engine, 2000)
    assert kept(engine).dry == 1
    engine = remembering(running(RESET_PARAMS, const_flags=CUBIC, cwnd=4000, ssthresh=2000), epoch=1)
    engine.send(4000)
    engine.command(Opcode.DISCONNECT, flags=1)
    assert sum(s.len for s in engine.segments()) == 4000
    assert engine.tcb.snd_max == UNA + 4001
    acknowledge(engine, 4000)
    assert kept(engine).dry == 0
    acknowledge(engine, 1)
    assert kept(engine).dry == 1


@pytest.mark.rule("Q-7", "Q-6")
@pytest.mark.parametrize("flight", [4999, 5000], ids=["unused", "used"])
@pytest.mark.parametrize(
    ("start", "last", "now", "shifted"),
    [(100, 300, 500, 300), (100, 300, 300, 100), (100, 300, 301, 101), (100, 300, 299, 99), (MASK, 3, 9, 5),
     (MASK - 5, MASK, 0, MASK - 4), (0, MASK, MASK - 1, MASK), (9, 0, 1 << 31, (1 << 31) + 9)],
)  # fmt: skip
def test_a_pause_behind_silence_is_counted_once_whether_or_not_the_window_is_used(
    flight: int, start: int, last: int, now: int, shifted: int
) -> None:
    """Ticks modulo 2^32. Where the window is not used, Q-6 has nothing more to take."""
    engine = remembering(under_way(avoiding(10_000, now=now), flight), epoch=1, dry=1, w_max=10_000, w_est=2000)
    remembering(engine, start=start, last=last)
    before = kept(engine)
    acknowledge(engine, 1000)
    after = kept(engine)
    assert (after.start, after.last, after.dry) == (shifted, now, 0)
    if flight < 5000:
        assert after == replace(before, start=shifted, last=now, dry=0)
    acknowledge(engine, 1000)
    assert (kept(engine).start, kept(engine).last) == (shifted, now), "the same tick again"


@pytest.mark.rule("Q-7", "Q-5")
@pytest.mark.parametrize("k_bits", [0, 1, SEARCH])
def test_behind_silence_growth_is_that_of_an_acknowledgment_without_it(k_bits: int) -> None:
    """In the search and on the curve: only the start of the stage is another."""
    memory = {"epoch": 1, "w_max": 12_000, "gap": 2000, "k_bits": k_bits, "w_est": 2000, "start": 1000, "last": 1900}
    plain = remembering(under_way(avoiding(10_000, now=1900), 10_000), **memory)
    silent = remembering(under_way(avoiding(10_000, now=99_000), 10_000), dry=1, **memory)
    for engine in (plain, silent):
        acknowledge(engine, 7000)
    assert (silent.tcb.cwnd, silent.tcb.cwnd_acc) == (plain.tcb.cwnd, plain.tcb.cwnd_acc)
    assert kept(silent) == replace(kept(plain), start=1000 + 97_100, last=99_000)


@pytest.mark.rule("Q-7")
def test_without_silence_the_time_counts_though_there_was_some_before() -> None:
    """The first acknowledgment behind it takes the pause, the next ones count again."""
    engine = remembering(avoiding(10_000), epoch=1, dry=1, start=100, last=300, w_max=10_000)
    for now in (900, 1000, 1700):
        engine.now = now
        acknowledge(engine, 1000)
        assert (kept(engine).start, kept(engine).last, kept(engine).dry) == (700, now, 0)


@pytest.mark.rule("Q-7", "Q-4")
@pytest.mark.parametrize("left", [0, 1])
def test_a_stage_that_begins_behind_silence_begins_now(left: int) -> None:
    engine = remembering(under_way(avoiding(10_000, now=700), 5000), dry=1, start=100, last=300, w_max=12_000)
    acknowledge(engine, 5000 - left)
    assert kept(engine) == Cubic(
        epoch=1, start=700, last=700, dry=left == 0, w_max=12_000, gap=2000, k_bits=SEARCH, w_est=10_000
    )


@pytest.mark.rule("Q-7", "Q-4")
def test_no_stage_no_silence() -> None:
    """Epoch 0 and a window that is not used: nothing at all, whatever is remembered of a stage that ended."""
    engine = remembering(under_way(avoiding(10_000, now=700), 4999), dry=1, start=100, last=300, w_max=12_000)
    before = engine.tcb.cc
    for octets in (1000, 3999):
        acknowledge(engine, octets)
        assert engine.tcb.cc == before


@pytest.mark.rule("Q-7")
def test_only_an_acknowledgment_of_something_new_ends_silence() -> None:
    """Not text, a window, a timer or what is written."""
    engine = remembering(avoiding(10_000, now=700, const_flags=CUBIC | SCALED), epoch=1, dry=1, start=100, last=300)
    under_way(engine, 0)
    before = engine.tcb.cc
    engine.rx(wnd=100)
    engine.rx(wnd=0)
    engine.rx(pay_len=100)
    engine.send(1000)
    engine.segments()
    engine.now = 1000
    engine.timer()
    engine.rx(wnd=20_000)
    engine.segments()
    engine.rx()
    assert engine.tcb.cc == before
    acknowledge(engine, 1000)
    assert (kept(engine).start, kept(engine).last, kept(engine).dry) == (800, 1000, 1)


@pytest.mark.rule("Q-7", "Q-1")
@pytest.mark.parametrize("dry", [0, 1])
def test_what_ends_a_stage_leaves_dry_as_it_is(dry: int) -> None:
    """A loss, the first and the second timeout, an idle time; ECE behind what its acknowledgment left in flight."""
    engine = remembering(loaded(10_000), epoch=1, dry=dry)
    lose(engine)
    assert (kept(engine).epoch, kept(engine).dry) == (0, dry)
    engine = remembering(loaded(10_000), epoch=1, dry=dry)
    for times in (1, 2):
        remembering(engine, epoch=1)
        engine.now += 10_000
        engine.timer()
        assert (engine.tcb.rtx_count, kept(engine).epoch, kept(engine).dry) == (times, 0, dry)
    engine = remembering(running(RESET_PARAMS, now=0, const_flags=CUBIC), epoch=1, dry=dry)
    engine.now = 9000
    engine.send(100)
    assert (kept(engine).epoch, kept(engine).dry) == (0, dry)
    engine = remembering(loaded(10_000, const_flags=CUBIC | ECN, ssthresh=2000), epoch=1, dry=1 - dry)
    engine.rx(ack=UNA + 9999 + dry, flags=ACK | ECE)
    assert (kept(engine).epoch, kept(engine).dry) == (0, dry)


@pytest.mark.rule("Q-7", "F-2")
@pytest.mark.parametrize("dry", [0, 1])
def test_slow_start_recovery_and_reno_know_no_silence(dry: int) -> None:
    """They neither note it nor count it; one window at a time grows as ever."""
    memory = {"dry": dry, "start": 100, "last": 300, "epoch": 1}
    engine = remembering(running(RESET_PARAMS, now=0, const_flags=CUBIC, ssthresh=20_000), **memory)
    for tick in (500, 700):
        cwnd, cc = engine.tcb.cwnd, engine.tcb.cc
        under_way(engine, 8000)
        engine.now = tick
        acknowledge(engine, 8000)
        assert (engine.tcb.cwnd, engine.tcb.cc) == (cwnd + MSS, cc)
    engine = loaded(5000)
    lose(engine)
    remembering(engine, **memory)
    before = engine.tcb.cc
    for octets, recovering in ((4000, 1), (1000, 0)):
        engine.now += 1000
        acknowledge(engine, octets)
        assert (engine.tcb.in_recovery, engine.tcb.cwnd, engine.tcb.cc) == (recovering, cut(5000), before)
    engine = avoiding(10_000, const_flags=0)
    for tick in (500, 700):
        engine.now = tick
        under_way(engine, 5000)
        acknowledge(engine, 5000)
    assert (engine.tcb.cwnd, engine.tcb.cc) == (11_000, 0)


EVENTS: Final = st.tuples(
    st.sampled_from([1 << 20, 14_000, 13_999, 3000]),
    st.booleans(),
    st.integers(0, 400) | st.integers(0, 1 << 20) | st.just(MASK),
)
"""An acknowledgment: octets in flight in front of it, whether it acknowledges them all, ticks since the one before."""


@pytest.mark.rule("Q-7", "Q-6", "Q-5")
@settings(max_examples=50, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=30), st.sampled_from([0, MASK - 700]))
def test_a_stage_with_silences_is_the_stage_without_them_acknowledgment_for_acknowledgment(
    events: list[tuple[int, bool, int]], began: int
) -> None:
    """Time counts up to an acknowledgment that finds the window used, unless the one before left nothing in flight."""
    plain, silent = (avoiding(28_000, w_max=28_010, now=began, srtt=0) for _ in range(2))
    for engine in (plain, silent):
        for _ in range(SEARCH + 1):
            acknowledge(engine, 1)
    drained = False
    for flight, everything, ticks in events:
        octets = flight if everything else min(flight // 2, 2 * MSS)
        used = 2 * flight >= silent.tcb.cwnd
        silent.now = (silent.now + ticks) & MASK
        acknowledge(under_way(silent, flight), octets)
        if used:
            plain.now = (plain.now + (0 if drained else ticks)) & MASK
            acknowledge(under_way(plain, QUEUED), octets)
        drained = everything
        assert (silent.tcb.cwnd, silent.tcb.cwnd_acc) == (plain.tcb.cwnd, plain.tcb.cwnd_acc)
        assert distance(silent.now, kept(silent).start) == distance(plain.now, kept(plain).start)
        assert replace(kept(silent), start=0, last=0, dry=0) == replace(kept(plain), start=0, last=0, dry=0)
        assert (kept(silent).last, kept(silent).dry) == (silent.now, drained)


# ---- against real numbers


@pytest.mark.rule("Q-3", "Q-4", "Q-5")
@pytest.mark.parametrize(
    ("window", "round_trip", "times"), [(20, 10, 0.5), (50, 50, 2.2), (100, 100, 2.2), (300, 100, 1.7)]
)
def test_a_stage_without_loss_is_within_two_segments_of_rfc_9438(window: int, round_trip: int, times: float) -> None:
    """The same acknowledgments to a sender of real numbers, ``times`` K long; the curve itself within one segment."""
    start = window * 7 // 10
    engine = avoiding(start * MSS, w_max=window * MSS, prior=window * MSS)
    ideal = RealCubic(start, window, window, round_trip / 1000)
    clock = Clock(engine, MSS, round_trip)
    heard = 0
    for at in clock.run(times * ideal.k, ideal.ack):
        heard += 1
        cwnd = engine.tcb.cwnd / MSS
        assert abs(cwnd - ideal.cwnd) <= 2
        if heard > SEARCH and at > 4 * round_trip / 1000:
            assert ideal.curve(at) - 1 <= cwnd <= max(ideal.w_est, ideal.curve(at + round_trip / 1000)) + 1
    assert engine.tcb.cwnd / MSS > window * 1.05
    assert heard > 200


@pytest.mark.rule("Q-3", "Q-5")
@pytest.mark.parametrize("rate", RATES)
def test_the_curve_is_the_same_at_every_rate_of_ticks(rate: int) -> None:
    """A round trip of a second, behind the third: the search for K takes half of one. 100 ms are a segment more."""
    engine = avoiding(70 * MSS, w_max=100 * MSS, prior=100 * MSS, params=at_rate(rate), now=50)
    ideal = RealCubic(70, 100, 100, 1)
    for at in Clock(engine, MSS, 1000).run(2 * ideal.k, ideal.ack):
        assert abs(engine.tcb.cwnd / MSS - ideal.cwnd) <= (3 if rate == 10 else 2) or at < 3
    assert abs(kept(engine).k - 1000 * ideal.k) <= 1
    assert engine.tcb.cwnd > 120 * MSS


@pytest.mark.rule("Q-5")
def test_at_small_windows_the_window_is_that_of_reno() -> None:
    """RFC 9438 4.3: 20 segments and 10 ms; from 14 to 20 at 9/17 segments a round trip, then one."""
    engine = avoiding(14 * MSS, w_max=20 * MSS, prior=20 * MSS)
    back = None
    for at in Clock(engine, MSS, 10).run(0.3):
        assert engine.tcb.cwnd == max(kept(engine).w_est, 14 * MSS)
        if back is None and engine.tcb.cwnd >= 20 * MSS:
            back = at
    assert back is not None
    assert abs(back / 0.010 - 6 * 17 / 9) <= 1
    assert abs(engine.tcb.cwnd / MSS - (20 + (0.3 - back) / 0.010)) <= 1.5


@pytest.mark.rule("Q-1", "Q-4", "Q-5")
def test_behind_a_timeout_the_curve_is_convex_from_its_start() -> None:
    """RFC 9438 4.8: K is 0 and w_max the window at which slow start ended."""
    engine = avoiding(100 * MSS)
    engine.tcb = replace(engine.tcb, rtx_on=1, rtx_deadline=0, snd_end=engine.tcb.snd_max)
    engine.timer()
    engine.tcb = replace(engine.tcb, cwnd=70 * MSS, ssthresh=70 * MSS, snd_nxt=engine.tcb.snd_max)
    ideal = RealCubic(70, 0, 100, 0.1)
    for _ in Clock(engine, MSS, 100).run(6, ideal.ack):
        assert abs(engine.tcb.cwnd / MSS - ideal.cwnd) <= 2
    assert (ideal.k, kept(engine).k, kept(engine).gap) == (0, 0, 0)
    assert engine.tcb.cwnd > 140 * MSS


@pytest.mark.rule("Q-1", "Q-2", "Q-5")
def test_on_a_long_fat_path_cubic_has_its_window_again_long_before_reno() -> None:
    """One loss at 240 segments and a round trip of 200 ms: some 5 s, where Reno takes 120 round trips."""
    window, took = 240, {}
    for flags in (CUBIC, 0):
        engine = sender(window, const_flags=SACK | SCALED | flags, ssthresh=window * MSS)
        engine.send(100_000_000)
        path = LongPath(engine, round_trip=200, rate=4, lost=frozenset({20}))
        path.send()
        ended = None
        for tick in path.run(60_000):
            if path.far.next > 20 * MSS and not engine.tcb.in_recovery:
                ended = tick if ended is None else ended
                if engine.tcb.cwnd >= window * MSS:
                    took[flags] = tick - ended
                    break
        assert engine.tcb.ssthresh < window * MSS, "nothing was lost"
    k = 1000 * (window * (1 - BETA) / C) ** (1 / 3)
    assert 0.6 * k < took[CUBIC] < k + 200
    assert took[0] > 110 * 200 > 4 * took[CUBIC]


# ---- ends of the numbers


@pytest.mark.rule("Q-5")
@pytest.mark.parametrize("w_est", [2000, CWND_MAX])
def test_the_window_stops_at_its_clamp(w_est: int) -> None:
    engine = avoiding(CWND_MAX - 500)
    remembering(engine, epoch=1, w_max=CWND_MAX, w_est=w_est, est_acc=17 * CWND_MAX)
    engine.now = 0xFFFF_FFFF
    for _ in range(3):
        acknowledge(engine, 1 << 29)
        engine.tcb = replace(engine.tcb, snd_max=engine.tcb.snd_una + (1 << 30) & MASK, snd_nxt=engine.tcb.snd_una)
        assert engine.tcb.cwnd in (CWND_MAX - 500, CWND_MAX)
        assert kept(engine).w_est <= CWND_MAX
    assert engine.tcb.cwnd == CWND_MAX


@pytest.mark.rule("Q-5")
def test_acknowledged_octets_that_do_not_move_the_window_are_counted_up_to_32_bits() -> None:
    """A target one octet above a window of a gigabyte: nothing that fits in 32 bits is enough."""
    engine = avoiding(CWND_MAX - 1)
    remembering(engine, epoch=1, w_max=CWND_MAX, k=0, w_est=2000)
    engine.tcb = replace(engine.tcb, cwnd_acc=0xFFFF_FF00)
    acknowledge(engine, 0x100)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (CWND_MAX - 1, 0xFFFF_FFFF)


@pytest.mark.rule("Q-5")
def test_a_curve_that_would_be_below_nothing_is_nothing() -> None:
    """So Reno's window is above it, however small."""
    engine = remembering(avoiding(9000), epoch=1, w_max=10_000, k=CUBIC_MS_MAX, w_est=1)
    engine.tcb = replace(engine.tcb, cwnd_acc=77)
    acknowledge(engine, 1)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (9000, 0)


WINDOWS = st.integers(0, 60_000) | st.integers(0, CWND_MAX) | st.just(CWND_MAX)
"""Of a memory, in octets."""


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ack", "ack", "ack", "ece", "dup", "timer", "send", "grant", "idle"]),
            st.integers(0, 3000) | st.sampled_from([1 << 17, 1 << 31, MASK]),
        ),
        min_size=5,
        max_size=80,
    ),
    st.sampled_from([0, SACK]),
    st.sampled_from([64, 536, 1460]),
    st.integers(2920, CWND_MAX) | st.integers(2920, 60_000) | st.sampled_from([CWND_MAX, CWND_MAX - 1]),
    st.sampled_from(RATES),
    st.fixed_dictionaries(
        dict.fromkeys(("w_max", "prior", "gap", "w_est"), WINDOWS)
        | {"k": st.integers(0, CUBIC_MS_MAX), "k_bits": st.integers(0, SEARCH), "start": st.sampled_from([0, 9, MASK]),
           "last": st.sampled_from([0, 9, MASK]),
           "epoch": st.integers(0, 1), "dry": st.integers(0, 1),
           "est_acc": st.integers(0, 17 * CWND_MAX) | st.just(17 * CWND_MAX)}
    ),
)  # fmt: skip
def test_whatever_happens_the_window_falls_at_reductions_alone_and_every_number_fits(
    events: list[tuple[str, int]], sack: int, mss: int, cwnd: int, rate: int, memory: dict[str, Any]
) -> None:
    """Laws of section Q for any order of events and any memory; what does not fit its field raises an error."""
    engine = running(
        at_rate(rate), now=0, const_flags=CUBIC | ECN | sack | SCALED, remote_mss=mss, cwnd=cwnd, ssthresh=2 * mss,
        snd_wnd=900_000, max_snd_wnd=900_000, snd_wind_scale=4, srtt=80, rttvar=20,
    )  # fmt: skip
    remembering(engine, **memory | {"k": memory["k"] >> memory["k_bits"] << memory["k_bits"]})
    engine.send(100_000)
    engine.segments()
    for kind, size in events:
        before = engine.tcb
        flight = distance(before.snd_max, before.snd_una)
        idle = kind in ("idle", "send") and before.snd_end == before.snd_una
        if kind == "send":
            engine.send(size % 200_000)
        elif kind in ("ack", "ece"):
            flags = ACK | (ECE if kind == "ece" else 0)
            engine.rx(ack=(before.snd_una + min(size, flight)) & MASK, flags=flags)
        elif kind == "dup":
            top = min(size % 3000, max(flight - mss, 0))
            blocks = {"sack_n": 1, "sack_left": (before.snd_una + mss) & MASK,
                      "sack_right": (before.snd_una + mss + top) & MASK}  # fmt: skip
            engine.rx(**(blocks if sack else {}))
        elif kind == "timer":
            engine.now = (engine.now + size) & MASK
            engine.timer()
        elif kind == "idle":
            engine.now = (engine.now + min(size, 1 << 17)) & MASK
            engine.send(1)
        engine.segments(size % 40)
        after = engine.tcb
        if after.phase != before.phase:
            return
        kept_now = kept(engine)
        fell = before.in_recovery or after.in_recovery or after.rtx_count != before.rtx_count or kind == "ece" or idle
        assert after.cwnd >= before.cwnd or fell, (kind, before.cwnd, after.cwnd)
        grows = kind == "ack" and after.snd_una != before.snd_una and not before.in_recovery
        if grows and before.cwnd >= before.ssthresh and 2 * flight < before.cwnd:
            assert (after.cwnd, after.cwnd_acc) == (before.cwnd, before.cwnd_acc), "it was not used"
        if grows and before.cwnd >= before.ssthresh and kept_now.epoch:
            assert kept_now.last == engine.now
            assert kept_now.dry == (after.snd_una == before.snd_max)
        assert mss <= after.cwnd <= CWND_MAX
        assert after.ssthresh >= 2 * mss
        assert kept_now.w_max <= CWND_MAX
        assert kept_now.w_est <= CWND_MAX
        assert kept_now.est_acc <= 17 * CWND_MAX
        assert kept_now.gap <= CWND_MAX
        assert kept_now.k + (1 << kept_now.k_bits) - 1 <= CUBIC_MS_MAX
        assert kept_now.k_bits <= SEARCH


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["ack", "dup", "timer", "send"]), st.integers(1, 3000)), max_size=50))
def test_without_the_flag_nothing_is_ever_kept(events: list[tuple[str, int]]) -> None:
    engine = running(RESET_PARAMS, now=0, const_flags=ECN)
    for kind, size in events:
        flight = distance(engine.tcb.snd_max, engine.tcb.snd_una)
        if kind == "send":
            engine.send(size)
        elif kind == "timer":
            engine.now += size
            engine.timer()
        else:
            engine.rx(ack=(engine.tcb.snd_una + (min(size, flight) if kind == "ack" else 0)) & MASK)
        engine.segments()
        assert (engine.tcb.cubic_en, engine.tcb.cc) == (0, 0)
