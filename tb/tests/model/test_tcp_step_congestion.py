"""Slow start, avoidance, fast retransmit, NewReno, RTT and RTO (rules F, D)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.layout.generated import CWND_MAX, Params, Phase, UploadReason
from model.tcp.rtt import rto_of, smooth
from model.tcp.seq import MASK
from model.tcp.types import RESET_PARAMS
from tb.tests.model.tcp_bench import Engine, message_of, running

WIDE = Params(
    ack_frequency=2,
    delayed_ack_ticks=100,
    max_retransmissions=5,
    dup_ack_threshold=3,
    push_ticks=500,
    rto_min=1,
    rto_max=60000,
    rto_initial=1000,
    nce_stale_ticks=30000,
)


def loaded(cwnd: int = 10000, **changes: int) -> Engine:
    """A connection with a full window of 10 segments under way and 20 segments queued."""
    engine = running(RESET_PARAMS, cwnd=cwnd, **changes)
    engine.send(30000)
    engine.segments()
    return engine


@pytest.mark.rule("F-1", "S27")
@pytest.mark.parametrize(
    ("srtt", "rttvar", "sample", "expected"),
    [
        (0, 0, 100, (800, 200)),  # first sample: SRTT = R, RTTVAR = R/2
        (800, 200, 100, (800, 150)),  # d = 0
        (800, 200, 180, (880, 230)),  # d = 80: 200 + 80 - 50
        (800, 200, 20, (720, 230)),  # d = -80
        (8, 4, 1, (8, 3)),
        (65528, 16382, 8191, (65528, 12287)),
        (4, 65535, 8191, (8195, 57343)),  # 65535 + 8191 - 16383
    ],
)
def test_round_trip_times_are_smoothed_as_rfc_6298_says(
    srtt: int, rttvar: int, sample: int, expected: tuple[int, int]
) -> None:
    assert smooth(srtt, rttvar, sample) == expected


@pytest.mark.rule("F-1")
@pytest.mark.parametrize(
    ("srtt", "rttvar", "rto"),
    [(0, 0, 1000), (800, 200, 300), (800, 400, 500), (2400, 800, 1100), (65535, 65535, 60000), (8000, 0, 1001)],
)
def test_the_timeout_is_srtt_plus_four_deviations_within_its_bounds(srtt: int, rttvar: int, rto: int) -> None:
    assert rto_of(srtt, rttvar, RESET_PARAMS) == rto


@pytest.mark.rule("F-1", "CH-223")
def test_an_echoed_timestamp_of_the_host_gives_the_sample() -> None:
    # A.4: stack 100, NIC 200 at offload; echo of 100 at NIC 205 is 5 ticks
    engine = running(WIDE, now=200, const_flags=1, ts_time=100)
    engine.send(500)
    engine.segments()
    engine.now = 205
    engine.rx(ack=1500, ts_present=1, tsval=1, tsecr=100)
    assert (engine.tcb.srtt, engine.tcb.rttvar, engine.tcb.rto) == (40, 10, 15)


@pytest.mark.rule("F-1", "S28", "B10")
def test_a_retransmitted_segment_gives_no_sample() -> None:
    engine = loaded()
    engine.now = 1000
    engine.timer()
    assert not engine.tcb.rtt_active
    engine.segments()
    engine.now = 1100
    engine.rx(ack=2000)
    assert engine.tcb.srtt == 0
    assert engine.tcb.rto == 2000


@pytest.mark.rule("G-3", "F-1", "RFC 6298 3", "RFC 6298 5.7")
@pytest.mark.parametrize(("timestamps", "rto"), [(0, 600), (1, 300)], ids=["without", "with timestamps"])
def test_only_timestamps_let_the_timeout_fall_back_with_the_first_ack_behind_it(timestamps: int, rto: int) -> None:
    engine = loaded(const_flags=timestamps, srtt=160, rttvar=20)
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    (again,) = engine.segments()
    assert (again.seq, engine.tcb.rto) == (1000, 600)
    engine.now += 20
    engine.rx(ack=2000, ts_present=timestamps, tsval=engine.tcb.ts_recent, tsecr=again.tsval)
    assert engine.tcb.rto == rto


@pytest.mark.rule("G-3", "B10")
def test_a_segment_that_begins_with_retransmitted_octets_is_not_timed() -> None:
    engine = running()
    engine.send(500)
    engine.segments()
    engine.now = 1000
    engine.timer()
    engine.send(300)
    (segment,) = engine.segments()
    assert (segment.seq, segment.len) == (1000, 800)
    assert engine.tcb.snd_max == 1800
    assert not engine.tcb.rtt_active


@pytest.mark.rule("F-2", "S36")
def test_slow_start_grows_by_at_most_one_segment_an_ack() -> None:
    engine = loaded(cwnd=4000)
    engine.rx(ack=3000)
    assert engine.tcb.cwnd == 5000
    engine.rx(ack=3500)
    assert engine.tcb.cwnd == 5500


@pytest.mark.rule("F-2", "S37")
def test_avoidance_adds_one_segment_per_window_of_acknowledged_bytes() -> None:
    engine = loaded(cwnd=4000, ssthresh=4000)
    for ack in (2000, 3000, 4000):
        engine.rx(ack=ack)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (4000, 3000)
    engine.rx(ack=5000)
    assert (engine.tcb.cwnd, engine.tcb.cwnd_acc) == (5000, 0)


def duplicate(engine: Engine, times: int) -> None:
    for _ in range(times):
        engine.rx()


@pytest.mark.rule("F-3", "S34")
def test_the_third_duplicate_retransmits_the_head_and_two_do_not() -> None:
    engine = loaded()
    duplicate(engine, 2)
    assert not engine.tcb.in_recovery
    duplicate(engine, 1)
    t = engine.tcb
    assert (t.in_recovery, t.rtx_head, t.ssthresh, t.cwnd, t.recover) == (1, 1, 5000, 8000, 11000)
    sent = engine.segments()
    assert (sent[0].seq, sent[0].len) == (1000, 1000)
    assert engine.tcb.snd_nxt == 11000


@pytest.mark.rule("F-3", "S34")
def test_each_further_duplicate_inflates_the_window() -> None:
    engine = loaded()
    duplicate(engine, 5)
    assert engine.tcb.cwnd == 10000


@pytest.mark.rule("F-2", "S35", "B07")
def test_partial_ack_keeps_the_sender_in_recovery() -> None:
    engine = loaded()
    duplicate(engine, 3)
    engine.segments()
    engine.rx(ack=4000)
    t = engine.tcb
    # 8000 - 3000 + 1000
    assert (t.in_recovery, t.rtx_head, t.cwnd, t.partial_seen) == (1, 1, 6000, 1)
    assert engine.segments()[0].seq == 4000


@pytest.mark.rule("F-2")
def test_only_the_first_partial_ack_restarts_the_timer() -> None:
    engine = loaded()
    duplicate(engine, 3)
    engine.now = 100
    engine.rx(ack=3000)
    assert engine.tcb.rtx_deadline == 1100
    engine.now = 200
    engine.rx(ack=4000)
    assert engine.tcb.rtx_deadline == 1100


@pytest.mark.rule("F-2", "S35")
def test_an_ack_of_the_recovery_point_ends_recovery_at_the_threshold() -> None:
    engine = loaded()
    duplicate(engine, 3)
    engine.rx(ack=11000)
    t = engine.tcb
    assert (t.in_recovery, t.cwnd, t.ssthresh, t.dup_acks) == (0, 5000, 5000, 0)


@pytest.mark.rule("F-2")
def test_the_end_of_a_recovery_that_the_host_began_leaves_cwnd_within_its_limit() -> None:
    engine = loaded()
    duplicate(engine, 3)
    engine.tcb = replace(engine.tcb, ssthresh=MASK)  # an image may say that there is no threshold
    engine.rx(ack=11000)
    assert (engine.tcb.in_recovery, engine.tcb.cwnd, engine.tcb.ssthresh) == (0, CWND_MAX, MASK)


@pytest.mark.rule("F-3")
def test_duplicates_of_an_old_recovery_start_no_new_one() -> None:
    engine = loaded()
    duplicate(engine, 3)
    engine.rx(ack=11000)
    engine.segments()
    duplicate(engine, 3)
    assert not engine.tcb.in_recovery


@pytest.mark.rule("C-8c", "S33", "B06")
def test_a_window_update_is_no_duplicate() -> None:
    engine = loaded()
    engine.rx(wnd=29000)
    assert engine.tcb.dup_acks == 0
    assert engine.tcb.snd_wnd == 29000


@pytest.mark.rule("D-2", "S29")
def test_a_timeout_sends_one_segment_again_and_doubles_the_timeout() -> None:
    engine = loaded()
    engine.now = 1000
    engine.timer()
    t = engine.tcb
    assert (t.cwnd, t.ssthresh, t.snd_nxt, t.snd_max, t.recover) == (1000, 5000, 1000, 11000, 11000)
    assert (t.rtx_count, t.rto, t.rtx_deadline, t.total_rt) == (1, 2000, 3000, 1000)
    assert [s.seq for s in engine.segments()] == [1000]


@pytest.mark.rule("D-2", "S38")
def test_a_second_timeout_leaves_the_threshold() -> None:
    engine = loaded()
    for engine.now in (1000, 3000):
        engine.timer()
        engine.segments()
    assert (engine.tcb.ssthresh, engine.tcb.rto, engine.tcb.rtx_count) == (5000, 4000, 2)


@pytest.mark.rule("D-2", "S31")
def test_after_the_last_retransmission_the_connection_asks_for_its_upload() -> None:
    engine = loaded()
    for _ in range(6):
        engine.now = engine.tcb.rtx_deadline
        result = engine.timer()
        engine.segments()
    assert message_of(result).info == UploadReason.TIMEOUT_EXPIRATION
    assert engine.tcb.phase == 3
    assert not result.pending


@pytest.mark.rule("D-2", "S31")
def test_max_rt_limits_the_time_instead_of_the_count() -> None:
    engine = loaded(max_rt=2500)
    for _ in range(2):
        engine.now = engine.tcb.rtx_deadline
        assert engine.timer().actions.dlv is None
        engine.segments()
    engine.now = engine.tcb.rtx_deadline
    assert engine.tcb.total_rt == 3000
    assert message_of(engine.timer()).info == UploadReason.TIMEOUT_EXPIRATION


@pytest.mark.rule("D-2")
def test_a_timer_before_its_deadline_is_a_hint_without_effect() -> None:
    engine = loaded()
    before = engine.tcb
    engine.now = 999
    engine.timer()
    assert engine.tcb == before


@pytest.mark.rule("CH-217", "D-2", "C-8e", "S18")
def test_persist_timing_follows_vector_a_3() -> None:
    r = 1000
    engine = running(snd_wnd=0)
    engine.send(5000)
    assert (engine.tcb.persist, engine.tcb.rtx_deadline) == (1, r)
    for at, count, following in ((r, 1, 2 * r), (2 * r, 2, 4 * r), (4 * r, 3, 8 * r)):
        engine.now = at
        engine.timer()
        assert [(s.seq, s.len) for s in engine.segments()] == [(1000, 1)]
        assert (engine.tcb.snd_wnd_probe_count, engine.tcb.rtx_count, engine.tcb.rtx_deadline) == (0, count, following)
    t3 = engine.now = 4 * r + 100
    engine.rx(wnd=0)
    assert (engine.tcb.snd_wnd_probe_count, engine.tcb.rtx_count, engine.tcb.rtx_deadline) == (1, 0, t3 + 2 * r)
    engine.now = t3 + 2 * r
    engine.timer()
    assert (engine.tcb.snd_wnd_probe_count, engine.tcb.rtx_count, engine.tcb.rtx_deadline) == (1, 1, t3 + 3 * r)


@pytest.mark.rule("CH-218", "E-3")
def test_an_open_window_ends_persist() -> None:
    engine = running(snd_wnd=0)
    engine.send(5000)
    engine.now = 1000
    engine.timer()
    engine.segments()
    engine.rx(ack=1001, wnd=30000)
    assert not engine.tcb.persist
    assert [s.seq for s in engine.segments()] == [1001, 2001, 3001, 4001, 5001]


@pytest.mark.rule("CH-219")
def test_too_many_probes_ask_for_the_upload() -> None:
    engine = running(snd_wnd=0)
    engine.send(5000)
    for _ in range(6):
        engine.now = engine.tcb.rtx_deadline
        result = engine.timer()
    assert message_of(result).info == UploadReason.TIMEOUT_EXPIRATION


@pytest.mark.rule("E-3", "S30")
def test_the_timer_stops_when_everything_is_acknowledged() -> None:
    engine = running()
    engine.send(1000)
    engine.segments()
    assert engine.tcb.rtx_on
    engine.rx(ack=2000)
    assert not engine.tcb.rtx_on


@pytest.mark.rule("C-8b", "H")
def test_an_ack_resets_the_retransmission_counts_but_not_while_the_window_is_probed() -> None:
    engine = loaded()
    engine.now = 1000
    engine.timer()
    assert (engine.tcb.total_rt, engine.tcb.rtx_count) == (1000, 1)
    engine.segments()
    engine.rx(ack=2000)
    assert (engine.tcb.total_rt, engine.tcb.rtx_count) == (0, 0)
    engine = running(snd_wnd=0, total_rt=50)
    engine.send(5000)
    engine.now = 1000
    engine.timer()
    engine.segments()
    engine.rx(ack=1001, wnd=0)
    # the ACK found count 1 and left it; the closed window in it begins the next round
    assert (engine.tcb.total_rt, engine.tcb.rtx_count, engine.tcb.snd_wnd_probe_count) == (50, 0, 1)


@pytest.mark.rule("F-2", "RFC 6582 3.2")
def test_the_recovery_point_follows_what_is_acknowledged() -> None:
    engine = loaded()
    assert engine.tcb.recover == 999
    engine.rx(ack=3000)
    assert engine.tcb.recover == 2999
    duplicate(engine, 3)
    assert engine.tcb.recover == engine.tcb.snd_max == 11000
    engine.rx(ack=4000)
    assert (engine.tcb.in_recovery, engine.tcb.recover) == (1, 11000), "a partial ACK leaves it"
    engine.segments()
    engine.rx(ack=11000)
    assert (engine.tcb.in_recovery, engine.tcb.recover) == (0, 11000), "it never goes back"
    engine.segments()
    engine.rx(ack=12000)
    assert engine.tcb.recover == 11999


@pytest.mark.rule("F-2", "D-2")
def test_the_recovery_point_of_a_timeout_stays_until_it_is_passed() -> None:
    engine = loaded()
    engine.now = 1000
    engine.timer()
    engine.segments()
    for ack, point in ((2000, 11000), (11000, 11000), (11001, 11000)):
        engine.rx(ack=ack)
        assert engine.tcb.recover == point
        engine.segments()
    engine.rx(ack=12000)
    assert engine.tcb.recover == 11999


@pytest.mark.rule("F-2", "F-3")
def test_after_2_gib_without_a_loss_three_duplicates_still_cause_a_fast_retransmit() -> None:
    segment = 65000
    engine = running(remote_mss=segment, cwnd=CWND_MAX, ssthresh=CWND_MAX, const_flags=4, snd_wind_scale=14,
                     snd_wnd=65535 << 14, max_snd_wnd=65535 << 14)  # fmt: skip
    engine.path = replace(engine.path, path_mtu=65535)
    done = 0
    while done < (1 << 31) + 1000:
        engine.send(200 * segment)
        assert len(engine.segments(200)) == 200
        engine.rx(ack=engine.tcb.snd_max)
        done += 200 * segment
    assert engine.tcb.snd_una == (1000 + done) & MASK
    engine.send(10 * segment)
    engine.segments()
    una = engine.tcb.snd_una
    duplicate(engine, 3)
    assert (engine.tcb.in_recovery, engine.tcb.rtx_head) == (1, 1)
    assert engine.segments()[0].seq == una


@pytest.mark.rule("CH-218", "C-8e")
def test_an_answer_with_a_small_window_begins_a_new_count_and_the_next_override() -> None:
    engine = running(snd_wnd=0)
    engine.send(5000)
    for engine.now in (1000, 2000):
        engine.timer()
        engine.segments()
    engine.rx(wnd=0)
    assert (engine.tcb.rtx_count, engine.tcb.snd_wnd_probe_count) == (0, 1)
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    engine.segments()
    engine.now += 50
    engine.rx(wnd=600)
    t = engine.tcb
    assert (t.persist, t.rtx_count, t.snd_wnd_probe_count, t.rtx_deadline) == (1, 0, 0, engine.now + 1000)
    # without a probe sent since then the deadline stays where it is
    before = engine.tcb.rtx_deadline
    engine.now += 10
    engine.rx(wnd=601)
    assert (engine.tcb.rtx_count, engine.tcb.rtx_deadline) == (0, before)


@pytest.mark.rule("CH-218", "C-8e", "G-2", "E-3")
@pytest.mark.parametrize("window", [1, 600, 999])
def test_a_peer_with_a_small_constant_window_gets_everything_and_is_never_uploaded(window: int) -> None:
    rounds = 40
    engine = running(snd_wnd=window, max_snd_wnd=30000)
    engine.send(rounds * window)
    got = 1000
    for number in range(rounds):
        if number < rounds - 1:
            assert engine.segments() == []
            assert engine.tcb.rtx_deadline == engine.now + 1000
            engine.now = engine.tcb.rtx_deadline
            assert engine.timer().actions.dlv is None
        # the last piece is all that is left: it needs no override
        (piece,) = engine.segments()
        assert (piece.seq, piece.len) == (got, window)
        got += piece.len
        engine.now += 5
        engine.rx(ack=got, wnd=window)
        assert engine.tcb.phase == Phase.RUNNING
    assert engine.tcb.snd_una == engine.tcb.snd_end == 1000 + rounds * window
    assert (engine.tcb.persist, engine.tcb.rtx_on, engine.tcb.total_rt) == (0, 0, 0)


@pytest.mark.rule("CH-219", "D-2")
def test_a_dead_peer_with_a_small_window_is_uploaded_after_the_last_probe() -> None:
    engine = running(snd_wnd=600, max_snd_wnd=30000)
    engine.send(5000)
    at, sent = [], []
    for _ in range(RESET_PARAMS.max_retransmissions):
        engine.now = engine.tcb.rtx_deadline
        at.append(engine.now)
        assert engine.timer().actions.dlv is None
        sent += [(s.seq, s.len) for s in engine.segments()]
    assert at == [1000, 2000, 4000, 8000, 16000]
    assert sent == [(1000, 600)] * 5
    engine.now = engine.tcb.rtx_deadline
    result = engine.timer()
    assert message_of(result).info == UploadReason.TIMEOUT_EXPIRATION
    assert (engine.tcb.phase, result.pending, result.deadline) == (Phase.FROZEN, False, None)
    assert engine.tcb.snd_max == 1600
