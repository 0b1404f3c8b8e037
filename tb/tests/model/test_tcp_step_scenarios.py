"""Scenarios and bugs of tcp-conformance.md (sections 6, 7) that no script can play: counts, tables, long series."""

from __future__ import annotations

import pytest

from model.layout.generated import Opcode, PathImage, Phase, Verdict
from model.tcp.seq import MASK, distance
from model.tcp.types import RESET_PARAMS
from tb.tests.model.tcp_bench import ACK, FIN, running, segment_of

MSS = 1000
FIRST = 5000
"""RCV.NXT of the bench."""
UNA = 1000
"""SND.UNA of the bench."""
SMALLER = PathImage(family=4, neighbor_id=0, path_mtu=800, src_addr=0x0100_000A, dst_addr=0x0200_000A)
PIECE = 760
"""Octets that fit into the smaller path: 800 less two headers of 20."""


@pytest.mark.rule("S09", "B22", "RFC 1191 6")
def test_a_flight_that_was_lost_goes_again_in_the_pieces_of_the_smaller_path() -> None:
    engine = running(cwnd=10 * MSS)
    engine.send(10 * MSS)
    assert [segment.len for segment in engine.segments()] == [MSS] * 10
    before = engine.tcb
    engine.command(Opcode.PATH_WRITE, SMALLER, flags=1)
    assert (engine.tcb.ssthresh, engine.tcb.cwnd, engine.tcb.snd_nxt) == (before.ssthresh, before.cwnd, before.snd_nxt)
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    threshold, at, pieces = engine.tcb.ssthresh, UNA, []
    while at < UNA + 10 * MSS:
        sent = engine.segments()
        assert sent, f"nothing goes from {at} on"
        for segment in sent:
            assert segment.seq == at, "the sequence space is unbroken"
            assert segment.len <= PIECE
            at += segment.len
        pieces += sent
        engine.rx(ack=at)
    assert sum(segment.len for segment in pieces) == 10 * MSS
    assert engine.tcb.ssthresh == threshold, "the smaller pieces are no second congestion"


@pytest.mark.rule("S17", "MUST-58", "MUST-59")
def test_twenty_segments_that_wait_in_the_queue_are_acknowledged_once_and_apart_every_second_one() -> None:
    engine = running()
    for _ in range(20):
        assert engine.rx(pay_len=100).actions.verdict == Verdict.DELIVER
    assert [(segment.len, segment.ack) for segment in engine.segments()] == [(0, FIRST + 2000)]
    apart = running()
    acks = []
    for _ in range(20):
        apart.rx(pay_len=100)
        acks += [segment.ack for segment in apart.segments() if segment.len == 0]
    assert acks == [FIRST + 200 * n for n in range(1, 11)]


@pytest.mark.rule("S19", "MUST-37", "RFC 6429")
def test_forty_probes_that_are_answered_keep_the_connection_and_their_gap_is_bounded() -> None:
    engine = running(snd_wnd=0)
    engine.send(5 * MSS)
    gaps = []
    for _ in range(40):
        gaps.append(engine.tcb.rtx_deadline - engine.now)
        engine.now = engine.tcb.rtx_deadline
        assert engine.timer().actions.dlv is None, "the host is asked for nothing"
        assert [segment.seq for segment in engine.segments()] == [UNA]
        engine.now += 5
        engine.rx(wnd=0)
        assert (engine.tcb.phase, engine.tcb.total_rt) == (Phase.RUNNING, 0)
    assert gaps == sorted(gaps)
    assert gaps[0] == RESET_PARAMS.rto_initial
    assert gaps[-1] == RESET_PARAMS.rto_max
    engine.rx(wnd=30000)
    assert sum(segment.len for segment in engine.segments()) == 5 * MSS


@pytest.mark.rule("S20", "SHLD-14", "RFC 7323 2.4")
def test_the_right_edge_that_the_window_field_says_never_falls_whatever_the_host_consumes() -> None:
    engine = running(const_flags=4, rcv_wind_scale=7, rcv_wnd=20000, initial_rcv_wnd=20000)
    edge, held = FIRST + 20000, 0
    for size, read in ((1, 0), (997, 333), (128, 1), (129, 127), (1000, 1599), (7, 7), (511, 129), (3, 580)) * 3:
        engine.rx(pay_len=size)
        held += size
        if read:
            engine.consumed(read)
            held -= read
        engine.now += 1000
        engine.timer()
        for segment in engine.segments():
            told = segment.ack + (segment.wnd << 7)
            assert told >= edge, (size, read)
            edge = told
    assert held == 0
    assert edge > FIRST + 20000


@pytest.mark.rule("S26", "B18", "MUST-39")
@pytest.mark.parametrize(("buffer", "step"), [(3000, MSS), (1200, 600)])
def test_a_closed_window_that_is_read_octet_by_octet_opens_by_a_segment_or_half_the_buffer(
    buffer: int, step: int
) -> None:
    engine = running(rcv_wnd=buffer, initial_rcv_wnd=buffer)
    for _ in range(buffer // 200):
        engine.rx(pay_len=200)
        engine.segments()
    assert engine.tcb.rcv_adv == engine.tcb.rcv_nxt, "the window is closed"
    updates = []
    for octet in range(1, buffer + 1):
        engine.consumed(1)
        updates += [(octet, segment.wnd) for segment in engine.segments()]
    assert updates == [(n, n) for n in range(step, buffer + 1, step)]


@pytest.mark.rule("S27", "RFC 6298 2")
def test_twenty_round_trips_give_the_estimate_of_the_rfc_after_each() -> None:
    """SRTT in eighths and RTTVAR in quarters of a tick, as the state image has them; gains 1/8 and 1/4."""
    delays = (100, 100, 140, 90, 300, 310, 305, 20, 1, 1, 1, 1000, 50, 60, 55, 800, 790, 5, 400, 399)
    engine = running()
    srtt = rttvar = 0
    for number, delay in enumerate(delays):
        engine.send(MSS)
        assert len(engine.segments()) == 1
        engine.now += delay
        engine.rx(ack=(UNA + (number + 1) * MSS) & MASK)
        if number:
            error = delay - (srtt >> 3)
            rttvar += abs(error) - (rttvar >> 2)
            srtt += error
        else:
            srtt, rttvar = 8 * delay, 2 * delay
        rto = min(max((srtt >> 3) + max(1, rttvar), RESET_PARAMS.rto_min), RESET_PARAMS.rto_max)
        assert (engine.tcb.srtt, engine.tcb.rttvar, engine.tcb.rto) == (srtt, rttvar, rto), f"round trip {number}"


@pytest.mark.rule("S37", "RFC 5681 3.1")
def test_avoidance_adds_a_segment_a_window_also_where_a_window_is_hundreds_of_segments() -> None:
    window = 300
    engine = running(
        snd_wnd=4_000_000, max_snd_wnd=4_000_000, const_flags=4, snd_wind_scale=7, cwnd=window * MSS, ssthresh=MSS
    )
    engine.send(3 * window * MSS)
    sent = len(engine.segments(limit=2 * window))
    assert sent == window
    for number in range(1, window + 1):
        engine.rx(ack=UNA + number * MSS)
        assert engine.tcb.cwnd == (window + number // window) * MSS
    assert sum(segment.len for segment in engine.segments(limit=2 * window)) == (window + 1) * MSS


@pytest.mark.rule("S51", "C-2")
def test_a_fin_at_a_closed_window_is_answered_each_time_and_taken_when_it_opens() -> None:
    engine = running(rcv_wnd=MSS, initial_rcv_wnd=MSS)
    engine.rx(pay_len=MSS)
    engine.segments()
    for _ in range(3):
        engine.rx(flags=ACK | FIN)
        assert [segment.ack for segment in engine.segments()] == [FIRST + MSS]
    engine.consumed(MSS)
    engine.segments()
    engine.rx(flags=ACK | FIN)
    assert [segment.ack for segment in engine.segments()] == [FIRST + MSS + 1]


@pytest.mark.rule("B05", "C-11")
def test_of_256_tiny_segments_that_nobody_reads_only_those_with_a_buffer_are_acknowledged() -> None:
    buffers = 16
    engine = running()
    engine.credits = buffers
    edge, kept = engine.tcb.rcv_adv, 0
    for _ in range(256):
        kept += engine.rx(pay_len=1).actions.verdict == Verdict.DELIVER
        for segment in engine.segments():
            assert segment.ack == FIRST + kept, "acknowledged and lost"
            assert distance(segment.ack + segment.wnd, edge) <= 0, "no octet was read, so the edge stays"
    assert (kept, engine.credits) == (buffers, 0)


@pytest.mark.rule("B01", "MUST-36")
def test_a_window_that_opened_by_less_than_a_segment_is_used_although_the_next_update_is_lost() -> None:
    engine = running(snd_wnd=0)
    engine.send(5 * MSS)
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    (probe,) = engine.segments()
    engine.rx(ack=probe.seq, wnd=300)
    first = engine.tcb.rtx_deadline - engine.now
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    assert [(segment.seq, segment.len) for segment in engine.segments()] == [(UNA, 300)]
    assert first <= 2 * RESET_PARAMS.rto_initial


@pytest.mark.rule("S36", "RFC 5681 3.1")
def test_slow_start_doubles_what_is_under_way_each_round_trip_up_to_the_window() -> None:
    engine = running(cwnd=2 * MSS, snd_wnd=20 * MSS, max_snd_wnd=20 * MSS)
    engine.send(100 * MSS)
    at, flights = UNA, []
    for _ in range(5):
        flight = engine.segments()
        flights.append(len(flight))
        for segment in flight:
            at += segment.len
            engine.rx(ack=at)
    assert flights == [2, 4, 8, 16, 20]


@pytest.mark.rule("S16", "B19", "MUST-40")
def test_the_odd_last_segment_waits_no_longer_than_the_delay_and_half_a_second() -> None:
    engine = running()
    acks = []
    for _ in range(7):
        engine.rx(pay_len=MSS)
        acks += [segment.ack for segment in engine.segments()]
    assert acks == [FIRST + 2 * MSS, FIRST + 4 * MSS, FIRST + 6 * MSS]
    assert engine.tcb.dack_deadline - engine.now == RESET_PARAMS.delayed_ack_ticks < 500
    engine.now = engine.tcb.dack_deadline
    engine.timer()
    assert segment_of(engine.grant()).ack == FIRST + 7 * MSS
