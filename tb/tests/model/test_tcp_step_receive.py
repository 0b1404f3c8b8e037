"""What the TCP step does with a segment (section C)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.layout.generated import DlvEvt, Opcode, Phase, Status, TcpEventType, TcpState, UploadReason, Verdict
from model.tcp.types import RESET_PARAMS, Consumed, Credit
from tb.tests.model.tcp_bench import ACK, FIN, GEN, PSH, RST, SYN, URG, image, message_of, running, segment_of


@pytest.mark.rule("C-9")
def test_text_in_sequence_is_delivered_and_costs_a_credit() -> None:
    engine = running()
    result = engine.rx(pay_len=700, flags=ACK | PSH)
    msg = message_of(result)
    assert result.actions.verdict == Verdict.DELIVER
    assert (msg.kind, msg.offset, msg.len, msg.psh, msg.fin) == (DlvEvt.DELIVER, 54, 700, 1, 0)
    assert (engine.tcb.rcv_nxt, engine.credits) == (5700, 99)


@pytest.mark.rule("C-9", "S16")
def test_every_second_segment_is_acknowledged_and_one_alone_after_the_delay() -> None:
    engine = running()
    assert not engine.rx(pay_len=100).pending
    assert (engine.tcb.dack_on, engine.tcb.dack_deadline) == (1, 100)
    assert engine.rx(pay_len=100).pending
    assert segment_of(engine.grant()).ack == 5200
    assert not engine.tcb.dack_on
    engine.rx(pay_len=100)
    engine.now = 100
    assert engine.timer().pending
    assert segment_of(engine.grant()).ack == 5300


@pytest.mark.rule("C-9")
def test_a_segment_that_overlaps_what_is_known_gives_only_its_new_bytes() -> None:
    engine = running()
    msg = message_of(engine.rx(seq=4900, pay_len=300))
    assert (msg.offset, msg.len) == (154, 200)
    assert engine.tcb.ack_now


@pytest.mark.rule("C-9")
def test_text_behind_the_window_is_cut_and_its_fin_with_it() -> None:
    engine = running(rcv_wnd=500, initial_rcv_wnd=500)
    msg = message_of(engine.rx(pay_len=800, flags=ACK | FIN))
    assert (msg.len, msg.fin) == (500, 0)
    assert engine.tcb.state == TcpState.ESTABLISHED


@pytest.mark.rule("M-2")
def test_each_segment_behind_a_hole_owes_a_duplicate_ack() -> None:
    engine = running()
    for _ in range(3):
        engine.rx(seq=6000, pay_len=100)
    assert [s.ack for s in engine.segments()] == [5000, 5000, 5000]


@pytest.mark.rule("E-12")
def test_what_came_out_of_order_and_what_went_out_again_is_counted() -> None:
    engine = running()
    for seq in (5000, 6000, 7000, 5000, 5100 + 40_000):  # in order, twice out of order, old, not acceptable
        engine.rx(seq=seq, pay_len=100)
    engine.rx(seq=6000)
    assert engine.tcb.ooo_segs == 2
    engine.send(3000)
    engine.segments()
    assert engine.tcb.old_segs == 0
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    sent = engine.segments()
    assert engine.tcb.old_segs == sum(s.has_old for s in sent) == 1
    engine.tcb = replace(engine.tcb, ooo_segs=0xFFFF)
    engine.rx(seq=6000, pay_len=1)
    assert engine.tcb.ooo_segs == 0xFFFF


@pytest.mark.rule("C-9")
def test_without_a_pool_credit_nothing_is_accepted() -> None:
    engine = running()
    engine.credits = 0
    result = engine.rx(pay_len=100)
    assert (result.actions.verdict, engine.tcb.rcv_nxt, engine.tcb.dup_owed) == (Verdict.DROP, 5000, 1)


@pytest.mark.rule("C-11")
def test_a_connection_that_holds_a_buffer_leaves_one_for_each_other() -> None:
    engine = running()
    engine.conns, engine.credits = 4, 4
    assert engine.rx(pay_len=100).actions.verdict == Verdict.DELIVER  # its first
    result = engine.rx(pay_len=100)
    assert (result.actions.verdict, engine.tcb.rcv_nxt, engine.tcb.dup_owed) == (Verdict.DROP, 5100, 1)
    assert engine.credits == 3
    assert message_of(result).kind == DlvEvt.FLUSH
    engine.do(Credit(1))
    assert engine.rx(pay_len=100).actions.verdict == Verdict.DELIVER
    engine.do(Consumed(0, GEN, 200))
    assert engine.rx(pay_len=100).actions.verdict == Verdict.DELIVER  # a first one again
    assert engine.credits == 2


@pytest.mark.rule("C-2")
def test_a_segment_outside_the_window_is_answered_and_dropped() -> None:
    engine = running()
    for seq in (4000, 25000, 30000):
        assert engine.rx(seq=seq, pay_len=100).actions.verdict == Verdict.DROP
    assert engine.tcb.dup_owed == 3


@pytest.mark.rule("C-2")
def test_a_probe_of_our_closed_window_has_its_ack_taken_and_its_text_refused() -> None:
    engine = running(rcv_wnd=0, initial_rcv_wnd=0)
    engine.send(1000)
    engine.segments()
    engine.rx(pay_len=1, ack=2000)
    assert (engine.tcb.snd_una, engine.tcb.rcv_nxt, engine.tcb.dup_owed) == (2000, 5000, 1)


@pytest.mark.rule("C-1", "S58")
def test_an_old_timestamp_is_dropped_unless_ts_recent_is_outdated() -> None:
    engine = running(const_flags=1, ts_recent=1000, ts_recent_age=0)
    assert engine.rx(pay_len=10, ts_present=1, tsval=999).actions.verdict == Verdict.DROP
    assert engine.tcb.dup_owed == 1
    engine.now = 2_073_599_999
    assert engine.rx(pay_len=10, ts_present=1, tsval=999).actions.verdict == Verdict.DROP
    engine.now = 2_073_600_000
    assert engine.rx(pay_len=10, ts_present=1, tsval=999).actions.verdict == Verdict.DELIVER
    assert (engine.tcb.ts_recent, engine.tcb.ts_recent_tick) == (999, 2_073_600_000)


@pytest.mark.rule("C-1", "RFC 7323 5.5", "S59")
@pytest.mark.parametrize("ticks_per_second", [10, 100, 1000])
def test_the_paws_age_is_24_days_whatever_a_tick_is(ticks_per_second: int) -> None:
    days = 24 * 86_400 * ticks_per_second
    params = replace(RESET_PARAMS, ticks_per_second=ticks_per_second)
    engine = running(params, const_flags=1, ts_recent=1000, ts_recent_age=0)
    engine.now = days - 1
    assert engine.rx(pay_len=10, ts_present=1, tsval=999).actions.verdict == Verdict.DROP
    engine.now = days
    assert engine.rx(pay_len=10, ts_present=1, tsval=999).actions.verdict == Verdict.DELIVER


@pytest.mark.rule("C-1", "C-4", "CH-197", "CH-198", "CH-199")
@pytest.mark.parametrize(
    ("seq", "phase", "owed"), [(4000, Phase.RUNNING, 1), (5100, Phase.RUNNING, 1), (5000, Phase.FROZEN, 0)]
)
def test_a_syn_without_timestamp_is_judged_by_where_it_lies(seq: int, phase: Phase, owed: int) -> None:
    engine = running(const_flags=1, ts_recent=1000)
    result = engine.rx(flags=SYN, seq=seq)
    assert result.actions.verdict == Verdict.DROP
    assert (engine.tcb.phase, engine.tcb.dup_owed) == (phase, owed)
    if not owed:
        assert (engine.tcb.state, message_of(result).event) == (TcpState.CLOSED, TcpEventType.RETRIEVE)


@pytest.mark.rule("C-11", "C-12", "E-1")
def test_without_room_text_is_refused_and_all_else_goes_on() -> None:
    engine = running()
    engine.send(1000)
    engine.segments()
    engine.room = False
    result = engine.rx(pay_len=100, ack=2000, wnd=20_000)
    assert (result.actions.verdict, result.actions.dlv, engine.credits) == (Verdict.DROP, None, 100)
    tcb = engine.tcb
    assert (tcb.rcv_nxt, tcb.dup_owed, tcb.snd_una, tcb.snd_wnd) == (5000, 1, 2000, 20_000)
    assert [s.ack for s in engine.segments()] == [5000]
    engine.rx(pay_len=100, seq=5100)
    engine.tcb = replace(engine.tcb, consumed_seq=4900)
    engine.credits = 0
    assert engine.rx(pay_len=100).actions.dlv is None, "no FLUSH"
    engine.credits, engine.room = 100, True
    assert engine.rx(pay_len=100).actions.verdict == Verdict.DELIVER


@pytest.mark.rule("C-12", "E-11")
def test_without_room_no_backlog_is_told() -> None:
    engine = running(now=100_000, cwnd=2000, max_snd_wnd=30_000)
    engine.tcb = replace(engine.tcb, cwnd=20_000)
    engine.now += 100_000
    engine.room = False
    assert engine.rx().actions.dlv is None
    engine.room = True
    assert message_of(engine.rx()).event == TcpEventType.SEND_BACKLOG_CHANGE


@pytest.mark.rule("C-1")
def test_a_segment_without_timestamp_is_dropped_silently_where_they_were_agreed() -> None:
    engine = running(const_flags=1)
    assert engine.rx(pay_len=10).actions.verdict == Verdict.DROP
    assert engine.tcb.dup_owed == 0


@pytest.mark.rule("C-6", "S59", "B08")
def test_ts_recent_moves_only_with_segments_at_or_before_the_last_ack() -> None:
    engine = running(const_flags=1, ts_recent=100)
    engine.rx(ts_present=1, tsval=200)
    assert engine.tcb.ts_recent == 200
    engine.rx(seq=5001, ts_present=1, tsval=300)
    assert engine.tcb.ts_recent == 200


@pytest.mark.rule("C-6", "RFC 7323 5.5")
@pytest.mark.parametrize("tsval", [999, 1000 + (1 << 31), 0])
def test_ts_recent_past_the_paws_age_is_replaced_by_whatever_comes(tsval: int) -> None:
    engine = running(const_flags=1, ts_recent=1000, ts_recent_age=0)
    engine.now = 2_073_599_999
    engine.rx(ts_present=1, tsval=tsval)
    assert (engine.tcb.ts_recent, engine.tcb.ts_recent_tick, engine.tcb.dup_owed) == (1000, 0, 1)
    engine.now = 2_073_600_000
    engine.rx(ts_present=1, tsval=tsval)
    assert (engine.tcb.ts_recent, engine.tcb.ts_recent_tick, engine.tcb.dup_owed) == (tsval, engine.now, 1)
    engine.now += 500
    engine.rx(ts_present=1, tsval=(tsval - 1) & 0xFFFFFFFF)
    assert (engine.tcb.ts_recent, engine.tcb.dup_owed) == (tsval, 2), "the age begins anew"


@pytest.mark.rule("C-6")
def test_ts_recent_past_the_paws_age_still_waits_for_a_segment_at_or_before_the_last_ack() -> None:
    engine = running(const_flags=1, ts_recent=1000, ts_recent_age=2_073_600_000)
    engine.rx(seq=5001, ts_present=1, tsval=999)
    assert engine.tcb.ts_recent == 1000
    engine.rx(seq=5000, ts_present=1, tsval=999)
    assert engine.tcb.ts_recent == 999


@pytest.mark.rule("C-3", "S43")
def test_an_exact_reset_aborts_and_another_in_the_window_is_challenged() -> None:
    engine = running()
    engine.rx(seq=5001, flags=RST)
    assert (engine.tcb.phase, engine.tcb.dup_owed) == (Phase.RUNNING, 1)
    msg = message_of(engine.rx(flags=RST))
    assert (msg.kind, msg.event) == (DlvEvt.NOTIFY, TcpEventType.ABORT)
    assert (engine.tcb.phase, engine.tcb.aborted, engine.tcb.state) == (Phase.FROZEN, 1, TcpState.CLOSED)


@pytest.mark.rule("C-2", "S44")
def test_a_reset_outside_the_window_is_silently_dropped() -> None:
    engine = running()
    engine.rx(seq=4999, flags=RST)
    assert (engine.tcb.phase, engine.tcb.dup_owed) == (Phase.RUNNING, 0)


@pytest.mark.rule("C-4", "S45")
def test_a_syn_at_the_next_octet_asks_for_the_upload() -> None:
    engine = running()
    msg = message_of(engine.rx(flags=SYN))
    assert (msg.info, engine.tcb.phase) == (UploadReason.UPLOAD_REQUESTED, Phase.FROZEN)


@pytest.mark.rule("C-5", "S46")
@pytest.mark.parametrize("ack", [1001, 1000 - 30001])
def test_an_ack_of_what_was_never_sent_or_is_too_old_is_answered(ack: int) -> None:
    engine = running()
    engine.rx(ack=ack & 0xFFFFFFFF, pay_len=10)
    assert (engine.tcb.dup_owed, engine.tcb.rcv_nxt) == (1, 5000)


@pytest.mark.rule("C-7", "S11")
def test_urgent_data_goes_up_unprocessed_and_asks_for_the_upload() -> None:
    engine = running()
    result = engine.rx(flags=ACK | URG, pay_len=5)
    assert result.actions.verdict == Verdict.PASS_UP
    assert message_of(result).info == UploadReason.RECEIVED_URGENT_DATA


@pytest.mark.rule("C-8d", "B04")
def test_an_older_segment_does_not_update_the_window() -> None:
    engine = running()
    engine.rx(seq=5500, wnd=100)
    assert engine.tcb.snd_wnd == 100
    engine.rx(seq=5400, wnd=200)
    assert engine.tcb.snd_wnd == 100


@pytest.mark.rule("C-9")
def test_a_fin_with_data_is_counted_and_acknowledged_at_once() -> None:
    engine = running()
    msg = message_of(engine.rx(pay_len=10, flags=ACK | FIN))
    assert (msg.len, msg.fin) == (10, 1)
    t = engine.tcb
    assert (t.rcv_nxt, t.consumed_seq, t.state, t.fin_rcvd, t.ack_now) == (5011, 5001, TcpState.CLOSE_WAIT, 1, 1)


@pytest.mark.rule("C-9")
def test_a_bare_fin_makes_a_message_and_drops_the_frame() -> None:
    engine = running()
    result = engine.rx(flags=ACK | FIN)
    assert result.actions.verdict == Verdict.DROP
    msg = message_of(result)
    assert (msg.kind, msg.len, msg.fin, msg.offset) == (DlvEvt.DELIVER, 0, 1, 0)
    assert engine.credits == 100


@pytest.mark.rule("C-8b", "E-8", "S41")
def test_both_fins_lead_through_fin_wait_2_to_time_wait_and_ask_for_the_upload_once() -> None:
    engine = running()
    engine.command(Opcode.DISCONNECT, flags=1)
    engine.segments()
    engine.rx(ack=1001)
    assert engine.tcb.state == TcpState.FIN_WAIT_2
    result = engine.rx(ack=1001, flags=ACK | FIN)
    assert engine.tcb.state == TcpState.TIME_WAIT
    assert message_of(result).kind == DlvEvt.DELIVER
    assert result.pending
    result = engine.grant()
    assert message_of(result).info == UploadReason.UPLOAD_REQUESTED
    assert engine.tcb.phase == Phase.RUNNING
    assert engine.grant().actions.dlv is None


@pytest.mark.rule("E-8", "B-3")
def test_a_refused_initiate_of_the_running_generation_is_an_event_in_which_time_wait_asks_for_the_upload() -> None:
    engine = running()
    engine.command(Opcode.DISCONNECT, flags=1)
    engine.segments()
    engine.rx(ack=1001)
    engine.rx(ack=1001, flags=ACK | FIN)
    assert (engine.tcb.state, engine.tcb.retrieve_sent) == (TcpState.TIME_WAIT, 0)
    result = engine.command(Opcode.INITIATE, image())
    assert result.actions.cpl is not None
    assert result.actions.cpl.status == Status.BAD_STATE
    assert message_of(result).info == UploadReason.UPLOAD_REQUESTED
    assert engine.tcb.retrieve_sent == 1


@pytest.mark.rule("C-8b", "S49")
def test_simultaneous_close_goes_through_closing() -> None:
    engine = running()
    engine.command(Opcode.DISCONNECT, flags=1)
    engine.segments()
    engine.rx(flags=ACK | FIN)
    assert engine.tcb.state == TcpState.CLOSING
    result = engine.rx(ack=1001)
    assert engine.tcb.state == TcpState.TIME_WAIT
    assert message_of(result).info == UploadReason.UPLOAD_REQUESTED


@pytest.mark.rule("C-8b", "S42")
def test_the_last_ack_closes_without_a_request() -> None:
    engine = running()
    engine.rx(flags=ACK | FIN)
    engine.command(Opcode.DISCONNECT, flags=1)
    engine.segments()
    assert engine.tcb.state == TcpState.LAST_ACK
    result = engine.rx(ack=1001)
    assert (engine.tcb.state, result.actions.dlv) == (TcpState.CLOSED, None)


@pytest.mark.rule("C", "CH-244")
def test_segments_of_a_frozen_connection_pass_up() -> None:
    engine = running()
    engine.command(Opcode.TERMINATE)
    assert engine.rx(pay_len=10).actions.verdict == Verdict.PASS_UP


@pytest.mark.rule("E", "S26")
def test_consumed_bytes_open_the_window_and_a_large_opening_is_told() -> None:
    engine = running()
    engine.rx(pay_len=999)
    engine.grant()
    assert not engine.consumed(999).pending
    engine.rx(pay_len=1)
    assert engine.consumed(1).pending
    assert engine.segments()[0].wnd == 20000


@pytest.mark.rule("E")
def test_a_fault_freezes_and_tells_the_host_once() -> None:
    engine = running()
    assert message_of(engine.fault()).info == UploadReason.HARDWARE_FAILURE
    assert engine.tcb.aborted
    assert engine.fault().actions.dlv is None


@pytest.mark.rule("RFC 9293 3.4", "S53")
def test_sequence_numbers_wrap() -> None:
    near = 0xFFFFFF00
    engine = running(snd_una=near, snd_nxt=near, snd_max=near, rcv_nxt=near, snd_wl1=near)
    engine.send(1000)
    (segment,) = engine.segments()
    assert segment.seq == near
    assert engine.tcb.snd_max == 744
    engine.rx(ack=744, pay_len=600)
    assert (engine.tcb.snd_una, engine.tcb.rcv_nxt, engine.tcb.rtx_on) == (744, 344, 0)
