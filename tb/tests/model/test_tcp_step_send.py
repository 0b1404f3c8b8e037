"""What the TCP step sends, and when (rules G, E-3, E-4 of docs/contract/tcp_step.md)."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from model.layout.generated import (
    TIMER_OFF,
    CqKind,
    DlvEvt,
    NbrRec,
    Opcode,
    Phase,
    Status,
    Tcb,
    TcpState,
    TxAppend,
    TxHdrConn,
    TxKind,
    TxRelease,
)
from model.tcp.types import RESET_PARAMS
from model.tcp.work import TcbWork
from tb.tests.model.tcp_bench import ACK, FIN, GEN, PATH, PSH, RST, SYN, Engine, image, running, segment_of


@pytest.mark.rule("layout")
def test_the_working_copy_has_exactly_the_fields_of_the_tcb() -> None:
    assert [f.name for f in fields(TcbWork)] == list(Tcb.FIELDS)


@pytest.mark.rule("G-2", "G-3", "S14")
def test_queued_data_leaves_in_full_segments_and_the_last_one_pushes() -> None:
    engine = running()
    engine.send(2500)

    sent = engine.segments()

    assert [(s.seq, s.len, s.flags) for s in sent] == [
        (1000, 1000, ACK),
        (2000, 1000, ACK),
        (3000, 500, ACK | PSH),
    ]
    assert (engine.tcb.snd_nxt, engine.tcb.snd_max) == (3500, 3500)


@pytest.mark.rule("G-3")
def test_only_the_first_new_segment_is_timed() -> None:
    engine = running(now=50)
    engine.send(2000)
    engine.grant()
    engine.now = 60
    engine.grant()
    assert (engine.tcb.rtt_active, engine.tcb.rtt_seq, engine.tcb.rtt_tick) == (1, 1000, 50)


@pytest.mark.rule("G-1")
def test_the_congestion_window_stops_sending() -> None:
    engine = running(cwnd=2000)
    engine.send(5000)
    assert [s.seq for s in engine.segments()] == [1000, 2000]
    assert engine.last is not None
    assert not engine.last.pending


@pytest.mark.rule("G-1")
def test_a_small_piece_of_a_larger_window_waits_but_half_the_largest_window_goes() -> None:
    engine = running(snd_wnd=400, max_snd_wnd=1000)
    engine.send(5000)
    assert engine.segments() == []
    engine.rx(seq=5000, wnd=500)
    assert [(s.seq, s.len) for s in engine.segments()] == [(1000, 500)]


@pytest.mark.rule("G-1", "B-6")
def test_the_fin_rides_on_the_last_data_and_moves_the_state() -> None:
    engine = running()
    engine.command(Opcode.DISCONNECT, flags=1, length=300, count=1, addr=0x100)

    (segment,) = engine.segments()

    assert (segment.len, segment.flags) == (300, ACK | PSH | FIN)
    assert engine.tcb.state == TcpState.FIN_WAIT_1
    assert engine.tcb.snd_nxt == 1301


@pytest.mark.rule("G-1", "S51")
def test_a_fin_alone_needs_no_window() -> None:
    engine = running(snd_wnd=0, state=TcpState.CLOSE_WAIT)
    engine.command(Opcode.DISCONNECT, flags=1)
    (segment,) = engine.segments()
    assert (segment.seq, segment.len, segment.flags) == (1000, 0, ACK | FIN)
    assert engine.tcb.state == TcpState.LAST_ACK


@pytest.mark.rule("G-5")
def test_acknowledged_bytes_are_released_behind_the_segments_sent_before() -> None:
    engine = running()
    engine.send(1000)
    engine.segments()
    engine.rx(ack=2000)
    result = engine.grant()
    assert result.actions.tx0 is None
    release = result.actions.tx1
    assert release is not None
    assert release.kind == TxKind.RELEASE
    assert TxRelease.unpack(release.body) == TxRelease(una=2000, status=Status.OK)


@pytest.mark.rule("G-4")
def test_a_pure_ack_of_a_pulled_back_connection_carries_snd_max() -> None:
    engine = running()
    engine.send(2000)
    engine.segments()
    engine.now = 1000
    engine.timer()
    assert engine.tcb.snd_nxt == 1000
    engine.tcb = engine.tcb.unpack(engine.tcb.pack())
    engine.rx(seq=4000, pay_len=10)
    sent = [s for s in engine.segments() if s.len == 0]
    assert sent[0].seq == 3000


@pytest.mark.rule("G-4", "CH-219")
def test_while_a_closed_window_is_probed_an_acknowledgment_and_a_reset_lie_in_front_of_the_probed_octet() -> None:
    engine = running(snd_wnd=0)
    engine.send(500)
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    assert [(s.seq, s.len) for s in engine.segments()] == [(1000, 1)]
    assert (engine.tcb.snd_nxt, engine.tcb.snd_max) == (1000, 1001)
    engine.rx(pay_len=10)
    engine.rx(pay_len=10)
    assert [(s.seq, s.len, s.ack) for s in engine.segments()] == [(1000, 0, 5020)]
    reset = segment_of(engine.command(Opcode.DISCONNECT, flags=2))
    assert reset.seq == 1000


@pytest.mark.rule("B-3", "F-2", "CH-066", "S39")
def test_a_recovery_goes_on_over_a_hand_over() -> None:
    engine = Engine()
    lost = image(dup_ack_count=3, snd_nxt=9000, snd_max=9000, cwnd=8000, ssthresh=4000, rtx_timeout_delta=200)
    engine.command(Opcode.INITIATE, lost)
    assert (engine.tcb.in_recovery, engine.tcb.recover) == (1, 9000)
    engine.send(9000)
    engine.command(Opcode.START)
    engine.rx(ack=4000)
    assert engine.segments(1)[0].seq == 4000, "a partial acknowledgment shows the next loss (RFC 6582 3.2)"
    engine.rx(ack=9000)
    assert (engine.tcb.in_recovery, engine.tcb.cwnd) == (0, 4000)


@pytest.mark.rule("B-3", "F-3")
@pytest.mark.parametrize("changes", [{"dup_ack_count": 2}, {"snd_nxt": 1000, "snd_max": 1000}])
def test_without_duplicates_enough_or_with_nothing_in_flight_no_recovery_is_handed_over(
    changes: dict[str, int],
) -> None:
    engine = Engine()
    engine.command(Opcode.INITIATE, image(**({"dup_ack_count": 3, "snd_nxt": 9000, "snd_max": 9000} | changes)))
    assert (engine.tcb.in_recovery, engine.tcb.recover) == (0, 999)


@pytest.mark.rule("B-6")
def test_a_graceful_disconnect_of_a_connection_that_waits_for_its_upload_is_one_of_an_upload() -> None:
    engine = running()
    engine.rx(flags=SYN)
    assert (engine.tcb.phase, engine.tcb.state) == (Phase.FROZEN, TcpState.CLOSED)
    refused = engine.command(Opcode.DISCONNECT, flags=1).actions.cpl
    assert refused is not None
    assert refused.status == Status.UPLOAD


@pytest.mark.rule("G-4", "S20")
def test_the_window_field_is_scaled_and_never_pulls_the_edge_back() -> None:
    engine = running(const_flags=4, rcv_wind_scale=7, rcv_wnd=20000, initial_rcv_wnd=20000)
    engine.rx(pay_len=1000)
    engine.rx(pay_len=1000)
    segment = segment_of(engine.grant())
    # edge 25000 was promised; 18000 >> 7 = 140 gives 24920, so one more unit is told: 141 << 7 = 18048
    assert segment.wnd == 141
    assert engine.tcb.rcv_adv == 7000 + 18048


@pytest.mark.rule("G-4", "CH-224")
def test_timestamps_count_from_the_uploaded_clock() -> None:
    engine = running(now=200, const_flags=1, ts_time=100, ts_recent=77, remote_mss=1000)
    engine.now = 210
    engine.send(5000)
    segment = segment_of(engine.grant())
    assert (segment.ts_en, segment.tsval, segment.tsecr, segment.len) == (1, 110, 77, 988)


@pytest.mark.rule("B-5")
def test_a_send_is_appended_behind_the_queued_data() -> None:
    engine = running()
    engine.send(700)
    item = engine.send(300, last=0).actions.tx0
    assert item is not None
    assert item.kind == TxKind.APPEND
    append = TxAppend.unpack(item.body)
    assert (append.start_seq, append.end_seq, append.last, append.fin, append.cookie) == (1700, 2000, 0, 0, 300)


@pytest.mark.rule("B-5")
@pytest.mark.parametrize(("aborted", "status"), [(1, Status.ABORTED), (0, Status.UPLOAD)])
def test_a_send_into_a_terminating_connection_completes_at_once(aborted: int, status: Status) -> None:
    engine = running()
    if aborted:
        engine.fault()
    engine.command(Opcode.TERMINATE)
    cpl = engine.send(10).actions.cpl
    assert cpl is not None
    assert (cpl.status, cpl.nbytes, cpl.code) == (status, 0, Opcode.SEND)


@pytest.mark.rule("B-6")
def test_no_data_follows_a_fin() -> None:
    engine = running()
    engine.command(Opcode.DISCONNECT, flags=1)
    cpl = engine.send(10).actions.cpl
    assert cpl is not None
    assert cpl.status == Status.BAD_STATE


@pytest.mark.rule("B-3")
@pytest.mark.parametrize(("path", "neighbor"), [(0, 1), (1, 0), (0, 0)])
def test_initiate_needs_a_path_and_the_neighbor_it_names(path: int, neighbor: int) -> None:
    engine = Engine(path=replace(PATH, valid=path), neighbor=NbrRec(valid=neighbor))
    actions = engine.command(Opcode.INITIATE, image()).actions
    assert actions.cpl is not None
    assert (actions.cpl.status, actions.delete_lookup, actions.dlv) == (Status.BAD_IMAGE, True, None)
    assert engine.tcb == Tcb()
    engine.path, engine.neighbor = PATH, NbrRec(valid=1)
    assert engine.command(Opcode.INITIATE, image()).actions.cpl is None
    assert engine.tcb.phase == Phase.LOADED


@pytest.mark.rule("E-3", "G-2", "S25")
def test_a_window_that_is_too_small_is_used_when_the_override_runs_out() -> None:
    engine = running(snd_wnd=600, max_snd_wnd=30000, srtt=80, rttvar=3000)
    assert engine.tcb.rto == 3010
    engine.send(5000)
    # RFC 9293 3.8.6.2.1: not the backed-off RTO but min(rto, rto_initial)
    assert (engine.tcb.persist, engine.tcb.rtx_deadline) == (1, 1000)
    assert engine.segments() == []
    engine.now = 1000
    engine.timer()
    assert [(s.seq, s.len, s.flags) for s in engine.segments()] == [(1000, 600, ACK)]
    t = engine.tcb
    assert (t.snd_nxt, t.snd_max, t.persist, t.rtx_count, t.rtx_deadline) == (1000, 1600, 1, 1, 4010)


@pytest.mark.rule("E-3")
@pytest.mark.parametrize(("rttvar", "deadline"), [(400, 410), (990, 1000), (3000, 1000)])
def test_the_override_is_the_smaller_of_rto_and_its_initial_value(rttvar: int, deadline: int) -> None:
    engine = running(snd_wnd=600, srtt=80, rttvar=rttvar)
    engine.send(5000)
    assert engine.tcb.rtx_deadline == deadline
    engine = running(snd_wnd=0, srtt=80, rttvar=rttvar)
    engine.send(5000)
    assert engine.tcb.rtx_deadline == 10 + rttvar, "a closed window is probed after the RTO"


def probe_of(length: int, **changes: int) -> tuple[int, int, int]:
    """What is probed with ``length`` bytes queued: sequence number, bytes, flags."""
    engine = running(RESET_PARAMS, **changes)
    engine.send(length)
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    (probe,) = engine.segments()
    assert engine.tcb.snd_max == probe.seq + probe.len
    return probe.seq, probe.len, probe.flags


@pytest.mark.rule("G-2")
def test_a_probe_is_as_long_as_the_window_but_no_longer_than_a_segment_or_the_data() -> None:
    assert probe_of(5000, snd_wnd=0) == (1000, 1, ACK)
    assert probe_of(1, snd_wnd=0) == (1000, 1, ACK | PSH)
    assert probe_of(5000, snd_wnd=1) == (1000, 1, ACK)
    assert probe_of(5000, snd_wnd=999) == (1000, 999, ACK)
    # the congestion window, too, can hold back less than a segment
    assert probe_of(5000, snd_wnd=30000, cwnd=500) == (1000, 1000, ACK)
    assert probe_of(700, snd_wnd=30000, cwnd=500) == (1000, 700, ACK | PSH)


@pytest.mark.rule("G-2")
def test_a_probe_with_bytes_carries_no_fin_even_if_nothing_lies_between() -> None:
    engine = running(snd_wnd=30000, cwnd=500)
    engine.command(Opcode.DISCONNECT, flags=1, length=700, count=1, addr=0x100)
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    (probe,) = engine.segments()
    assert (probe.seq, probe.len, probe.flags) == (1000, 700, ACK | PSH)
    assert (engine.tcb.snd_max, engine.tcb.state) == (1700, TcpState.ESTABLISHED)
    engine.rx(ack=1700)
    assert [(s.seq, s.len, s.flags) for s in engine.segments()] == [(1700, 0, ACK | FIN)]
    assert engine.tcb.state == TcpState.FIN_WAIT_1


@pytest.mark.rule("G-2", "E-3")
def test_a_probe_owed_when_the_window_has_opened_is_only_forgotten() -> None:
    engine = running(snd_wnd=600)
    engine.send(2000)
    engine.now = 1000
    engine.timer()
    engine.rx(wnd=30000)
    assert (engine.tcb.probe_owed, engine.tcb.persist, engine.tcb.snd_max) == (1, 0, 1000)
    assert [(s.seq, s.len) for s in engine.segments()] == [(1000, 1000), (2000, 1000)]
    assert engine.tcb.snd_max == 3000


@pytest.mark.rule("B-4")
def test_start_needs_the_inherited_sends_first() -> None:
    engine = Engine()
    engine.command(Opcode.INITIATE, image(snd_nxt=1500, snd_max=1500))
    cpl = engine.command(Opcode.START).actions.cpl
    assert cpl is not None
    assert cpl.status == Status.BAD_STATE
    engine.send(500)
    item = engine.command(Opcode.START).actions.tx0
    assert item is not None
    assert TxHdrConn.unpack(item.body) == TxHdrConn(40000, 5001, 0, 4, 0)
    assert engine.tcb.phase == Phase.RUNNING
    assert engine.tcb.rtx_on


@pytest.mark.rule("B-4")
def test_remaining_timer_ticks_become_a_deadline_at_start() -> None:
    engine = Engine(now=100)
    engine.command(Opcode.INITIATE, image(snd_nxt=1500, snd_max=1500, rtx_timeout_delta=40))
    engine.send(500)
    engine.now = 130
    engine.command(Opcode.START)
    assert (engine.tcb.rtx_on, engine.tcb.rtx_deadline) == (1, 170)


BACKED_OFF = [(0, 30_000, 500), (3, 30_000, 4000), (9, 30_000, 60_000), (3, 0, 500), (3, 300, 500)]
"""(rtx_count, window, RTO in ticks): behind a window that is closed or held back it is probes that are counted."""


@pytest.mark.rule("B-3", "B-4", "CH-066", "CH-068")
@pytest.mark.parametrize(("count", "window", "rto"), BACKED_OFF)
def test_the_timeout_is_backed_off_as_often_as_it_was_before_the_hand_over(count: int, window: int, rto: int) -> None:
    engine = Engine()
    handed = image(srtt=400 << 3, rttvar=100, rtx_count=count, snd_wnd=window, snd_max=1001, rtx_timeout_delta=40)
    engine.command(Opcode.INITIATE, handed)
    engine.send(500)
    engine.command(Opcode.START)
    assert engine.tcb.rto == rto


@pytest.mark.rule("B-4", "CH-068")
@pytest.mark.parametrize("window", [0, 300], ids=["closed", "held back"])
@pytest.mark.parametrize("snd_nxt", [1000, 1001], ids=["probe not counted", "probe counted"])
def test_probes_of_a_window_go_on_where_they_were_handed_over(window: int, snd_nxt: int) -> None:
    engine = Engine(now=100)
    closed = image(
        snd_wnd=window, snd_nxt=snd_nxt, snd_max=1001, rtx_count=2, snd_wnd_probe_count=1, rtx_timeout_delta=40
    )
    engine.command(Opcode.INITIATE, closed)
    engine.send(500)
    engine.command(Opcode.START)
    tcb = engine.tcb
    assert (tcb.persist, tcb.rtx_on, tcb.rtx_deadline) == (1, 1, 140)
    assert (tcb.rtx_count, tcb.snd_wnd_probe_count, tcb.snd_nxt, tcb.cwnd) == (2, 1, 1000, 10_000)
    engine.now = 140
    engine.timer()
    assert engine.tcb.probe_owed == 1
    assert (engine.tcb.rtx_count, engine.tcb.rtx_deadline) == (3, 140 + (1000 << 2))


@pytest.mark.rule("B-4", "E-3")
@pytest.mark.parametrize(
    "changes", [{"snd_wnd": 2000}, {"snd_nxt": 1500}, {"rtx_timeout_delta": TIMER_OFF}], ids=["open", "flight", "off"]
)
def test_without_a_closed_window_and_its_timer_no_probes_are_handed_over(changes: dict[str, int]) -> None:
    engine = Engine(now=100)
    base = {"snd_wnd": 0, "snd_nxt": 1000, "snd_max": 1500, "rtx_count": 2, "rtx_timeout_delta": 40}
    engine.command(Opcode.INITIATE, image(**(base | changes)))
    engine.send(500)
    engine.command(Opcode.START)
    assert (engine.tcb.persist and engine.tcb.rtx_deadline == 140) == 0


@pytest.mark.rule("E-1")
def test_an_event_of_an_old_generation_does_nothing() -> None:
    engine = running()
    before = engine.tcb
    result = engine.command(Opcode.SEND, gen=GEN - 1, length=5, count=1)
    assert engine.tcb == before
    assert result.actions.cpl is not None
    assert result.actions.cpl.status == Status.BAD_STATE
    assert result.actions.tx0 is None


@pytest.mark.rule("B-7", "CH-243")
def test_an_owed_ack_leaves_before_the_fence() -> None:
    engine = running()
    engine.rx(pay_len=100)
    result = engine.command(Opcode.TERMINATE, addr=0x4000, cookie=9)
    assert segment_of(result).ack == 5100
    fence = result.actions.tx1
    assert fence is not None
    assert fence.kind == TxKind.FENCE
    assert TxRelease.unpack(fence.body) == TxRelease(una=1000, status=Status.UPLOAD)
    assert engine.tcb.phase == Phase.FROZEN
    done = engine.fence_done()
    assert done.actions.image
    assert engine.tcb.phase == Phase.FREE


@pytest.mark.rule("B-6a", "G-6", "CH-181", "CH-184", "G-22", "S48")
def test_an_abortive_disconnect_issues_the_reset_and_the_release_behind_it() -> None:
    engine = running()
    engine.send(1500)
    engine.segments()
    engine.rx(ack=1600, pay_len=10)
    result = engine.command(Opcode.DISCONNECT, flags=2, cookie=77)
    segment = segment_of(result)
    assert (segment.flags, segment.seq, segment.ack, segment.len) == (RST | ACK, 2500, 5010, 0)
    item = result.actions.tx1
    assert item is not None
    assert item.kind == TxKind.RELEASE
    assert TxRelease.unpack(item.body) == TxRelease(1600, Status.ABORTED, 1, 77, 3)
    msg = result.actions.dlv
    assert msg is not None
    assert (msg.kind, msg.event, msg.aborted) == (DlvEvt.NOTIFY, 0, 1)
    tcb = engine.tcb
    assert (tcb.phase, tcb.state, tcb.aborted, tcb.abort_owed) == (Phase.FROZEN, TcpState.CLOSED, 1, 0)
    owed = (tcb.release_owed, tcb.rtx_head, tcb.probe_owed, tcb.ack_now, tcb.dup_owed, tcb.unacked_segs)
    assert (owed, tcb.dack_on, tcb.rtx_on, result.pending, result.deadline) == ((0,) * 6, 0, 0, False, None)
    assert (tcb.rcv_adv, tcb.last_ack_sent) == (25000, 5010)


@pytest.mark.rule("B-6a", "CH-185", "G-23")
def test_an_abortive_disconnect_is_refused_when_loaded_aborted_or_uploaded() -> None:
    engine = Engine()
    engine.command(Opcode.INITIATE, image())
    refused = [engine.command(Opcode.DISCONNECT, flags=2)]
    engine.command(Opcode.START)
    engine.command(Opcode.DISCONNECT, flags=1)  # a graceful one before it does not matter
    assert engine.command(Opcode.DISCONNECT, flags=2).actions.cpl is None
    refused.append(engine.command(Opcode.DISCONNECT, flags=2))
    other = running()
    other.command(Opcode.TERMINATE)
    refused.append(other.command(Opcode.DISCONNECT, flags=2))
    told = [r.actions.cpl for r in refused]
    assert [(c.kind, c.code, c.status, c.nbytes) for c in told if c is not None] == [
        (CqKind.SEND, Opcode.DISCONNECT, status, 0) for status in (Status.BAD_STATE, Status.ABORTED, Status.UPLOAD)
    ]


@pytest.mark.rule("E-4", "G", "B-7", "CH-193", "CH-194", "B25")
@pytest.mark.parametrize("terminated", [False, True])
def test_after_a_reset_one_grant_or_the_terminate_completes_the_sends(terminated: bool) -> None:
    engine = running()
    engine.send(500)
    engine.segments()
    result = engine.rx(flags=RST | ACK)
    assert (engine.tcb.abort_owed, result.pending) == (1, True)
    result = engine.command(Opcode.TERMINATE) if terminated else engine.grant()
    item = result.actions.tx1
    assert item is not None
    assert item.kind == (TxKind.FENCE if terminated else TxKind.RELEASE)
    assert TxRelease.unpack(item.body) == TxRelease(1000, Status.ABORTED)
    assert (result.actions.tx0, engine.tcb.abort_owed, result.pending) == (None, 0, False)
    assert engine.grant().actions.tx1 is None
