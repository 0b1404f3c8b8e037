"""UPDATE and QUERY of a connection, and the send backlog (B-9, B-10, E-11)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.layout.generated import (
    TIMER_OFF,
    CachedImage,
    Cqe,
    CqKind,
    DlvEvt,
    Opcode,
    Phase,
    Status,
    TcpEventType,
    TcpState,
    TxHdrConn,
    TxKind,
)
from model.tcp.backlog import backlog_of
from model.tcp.images import delegated_image, whole_image
from model.tcp.types import StepResult
from tb.tests.model.tcp_bench import ACK, FIN, GEN, RST, Engine, image, message_of, running, segment_of

CACHED = CachedImage(initial_rcv_wnd=20000, ttl=64)
MAX_RT_RESTART, UPDATE_RCV_WND = 8, 16


def cpl_of(result: StepResult) -> Cqe:
    """The completion of a step."""
    assert result.actions.cpl is not None
    return result.actions.cpl


# ---- UPDATE


@pytest.mark.rule("B-9", "CH-072")
def test_update_replaces_the_cached_state_and_the_header_in_one_commit() -> None:
    engine = running()
    new = replace(
        CACHED, cached_flags=4, initial_rcv_wnd=5, rcv_indication_size=77, ka_probe_count=9, ka_timeout=8,
        ka_interval=7, max_rt=6000, flow_label=0xABCDE, ttl=33, tos=0xB8, user_priority=5,
    )  # fmt: skip
    result = engine.command(Opcode.UPDATE, new, cookie=21)
    tcb = engine.tcb
    for name in ("cached_flags", "rcv_indication_size", "ka_probe_count", "ka_timeout", "ka_interval", "max_rt"):
        assert getattr(tcb, name) == getattr(new, name), name
    assert (tcb.flow_label, tcb.ttl, tcb.tos, tcb.user_priority) == (0xABCDE, 33, 0xB8, 5)
    assert tcb.init_rcv_wnd == 20000
    item = result.actions.tx0
    assert item is not None
    assert (item.kind, item.gen) == (TxKind.HDR_CONN, GEN)
    assert TxHdrConn.unpack(item.body) == TxHdrConn(40000, 5001, 0, 4, 0xABCDE)
    assert result.actions.dlv is None
    cpl = cpl_of(result)
    assert (cpl.kind, cpl.status, cpl.code, cpl.cookie) == (CqKind.COMMAND, Status.OK, Opcode.UPDATE, 21)
    engine.send(10)
    (data,) = engine.segments()
    assert (data.ttl, data.tos, data.user_priority) == (33, 0xB8, 5)


@pytest.mark.rule("B-9", "G-4")
def test_a_larger_receive_buffer_is_advertised_at_once_and_a_smaller_one_never_pulls_the_edge_back() -> None:
    engine = running()
    result = engine.command(Opcode.UPDATE, replace(CACHED, cached_flags=UPDATE_RCV_WND, initial_rcv_wnd=40000))
    msg = message_of(result)
    assert (msg.kind, msg.gen, msg.info) == (DlvEvt.UPDATE, GEN, 40000 >> 2)
    assert result.pending
    assert segment_of(engine.grant()).wnd == 40000
    result = engine.command(Opcode.UPDATE, replace(CACHED, cached_flags=UPDATE_RCV_WND, initial_rcv_wnd=1000))
    assert message_of(result).info == 250
    assert segment_of(engine.grant()).wnd == 40000
    assert engine.tcb.rcv_adv == 45000
    engine.rx(pay_len=1000)
    engine.consumed(1000)
    engine.tcb = replace(engine.tcb, ack_now=1)
    assert segment_of(engine.grant()).wnd == 39000


@pytest.mark.rule("B-9")
def test_a_receive_buffer_as_large_as_the_window_owes_no_ack() -> None:
    engine = running()
    result = engine.command(Opcode.UPDATE, replace(CACHED, cached_flags=UPDATE_RCV_WND))
    assert not result.pending
    assert message_of(result).info == 5000


@pytest.mark.rule("B-9", "CH-023")
def test_the_total_retransmission_time_restarts_only_if_asked() -> None:
    engine = running(total_rt=900)
    engine.command(Opcode.UPDATE, CACHED)
    assert engine.tcb.total_rt == 900
    engine.command(Opcode.UPDATE, replace(CACHED, cached_flags=MAX_RT_RESTART))
    assert engine.tcb.total_rt == 0


@pytest.mark.rule("B-9")
def test_a_receive_buffer_that_the_window_field_cannot_say_changes_nothing() -> None:
    engine = running(const_flags=4, rcv_wind_scale=2)
    before = engine.tcb
    for size, status in ((65535 << 2) + 1, Status.RCV_WINDOW), (65535 << 2, Status.OK):
        result = engine.command(Opcode.UPDATE, replace(CACHED, initial_rcv_wnd=size, ttl=9))
        assert cpl_of(result).status == status
        if status != Status.OK:
            assert engine.tcb == before
            assert (result.actions.tx0, result.actions.dlv) == (None, None)


@pytest.mark.rule("B-9")
def test_a_loaded_connection_is_updated_without_a_header_and_a_frozen_one_until_it_ends() -> None:
    engine = Engine()
    engine.command(Opcode.INITIATE, image())
    result = engine.command(Opcode.UPDATE, replace(CACHED, cached_flags=UPDATE_RCV_WND, initial_rcv_wnd=100, ttl=1))
    assert (cpl_of(result).status, result.actions.tx0, engine.tcb.ack_now) == (Status.OK, None, 0)
    assert message_of(result).info == 25
    engine.command(Opcode.START)
    engine.rx(flags=0x30)
    assert engine.tcb.phase == Phase.FROZEN
    result = engine.command(Opcode.UPDATE, replace(CACHED, ttl=2))
    assert (cpl_of(result).status, result.actions.tx0, engine.tcb.ttl) == (Status.OK, None, 2)
    engine.command(Opcode.TERMINATE)
    result = engine.command(Opcode.UPDATE, replace(CACHED, ttl=3))
    assert (cpl_of(result).status, engine.tcb.ttl) == (Status.BAD_STATE, 2)
    engine = running()
    engine.rx(flags=RST)
    assert cpl_of(engine.command(Opcode.UPDATE, CACHED)).status == Status.BAD_STATE
    assert cpl_of(Engine().command(Opcode.UPDATE, CACHED)).status == Status.BAD_STATE


# ---- QUERY


@pytest.mark.rule("B-10", "CH-062")
@pytest.mark.parametrize("flags", range(8))
def test_a_query_gives_back_the_state_that_initiate_was_given(flags: int) -> None:
    given = image(
        const_flags=flags, snd_wind_scale=1, rcv_wind_scale=2, hash_value=3, cached_flags=0x1C, rcv_indication_size=4,
        ka_probe_count=5, ka_timeout=6, ka_interval=7, max_rt=8, flow_label=9, tos=10, user_priority=1, dlg_flags=11,
        cwnd=9000, max_snd_wnd=40000, srtt=800, rttvar=400, ts_recent=77, ts_recent_age=12, ts_time=13, total_rt=14,
        dup_ack_count=2, snd_wnd_probe_count=1, ka_probes_sent=3, rtx_count=1, ka_timeout_delta=15,
        rtx_timeout_delta=500, receive_backlog_size=0, send_backlog_size=0, dwnd=16,
    )  # fmt: skip
    engine = Engine(now=1000)
    engine.command(Opcode.INITIATE, given)
    engine.now = 1010
    result = engine.command(Opcode.QUERY, addr=0x4000)
    assert result.actions.image
    assert result.actions.cpl is None
    scaled = bool(flags & 4)
    expected = replace(
        given,
        snd_wind_scale=scaled * 1,
        rcv_wind_scale=scaled * 2,
        ts_recent_age=22,
        ts_time=23,
        send_backlog_size=8192,
    )
    assert whole_image(result.tcb, engine.now) == expected


@pytest.mark.rule("B-10")
def test_a_query_changes_nothing_and_is_of_one_instant() -> None:
    engine = running()
    engine.send(3000)
    engine.segments()
    engine.rx(pay_len=300)
    engine.consumed(100)
    before = engine.tcb
    engine.now = 40
    result = engine.command(Opcode.QUERY)
    assert engine.tcb == before
    found = whole_image(result.tcb, 40)
    assert (found.snd_una, found.snd_nxt, found.rcv_nxt) == (1000, 4000, 5300)
    assert (found.receive_backlog_size, found.send_backlog_size) == (200, 8192)
    assert found.rtx_timeout_delta == before.rtx_deadline - 40
    engine.rx(ack=4000)
    assert whole_image(engine.command(Opcode.QUERY).tcb, 40).rtx_timeout_delta == TIMER_OFF


@pytest.mark.rule("B-10")
def test_the_receive_backlog_of_a_query_does_not_count_the_fin() -> None:
    engine = running()
    engine.rx(pay_len=50, flags=ACK | FIN)
    found = whole_image(engine.command(Opcode.QUERY).tcb, 0)
    assert (found.receive_backlog_size, found.state) == (50, TcpState.CLOSE_WAIT)


@pytest.mark.rule("B-10")
def test_what_terminate_writes_keeps_the_backlogs_that_were_loaded() -> None:
    engine = running(send_backlog_size=111, receive_backlog_size=222)
    engine.rx(pay_len=300)
    found = delegated_image(engine.command(Opcode.QUERY).tcb, 0)
    assert (found.send_backlog_size, found.receive_backlog_size) == (111, 222)


@pytest.mark.rule("B-10", "E-1")
def test_a_query_is_answered_in_every_phase_but_free() -> None:
    engine = Engine()
    assert cpl_of(engine.command(Opcode.QUERY)).status == Status.BAD_STATE
    engine.command(Opcode.INITIATE, image())
    assert engine.command(Opcode.QUERY).actions.image
    assert cpl_of(engine.command(Opcode.QUERY, gen=GEN + 1)).status == Status.BAD_STATE
    engine.command(Opcode.START)
    assert engine.command(Opcode.QUERY).actions.image
    engine.rx(flags=RST)
    assert engine.command(Opcode.QUERY).actions.image
    engine.command(Opcode.TERMINATE)
    assert engine.command(Opcode.QUERY).actions.image
    engine.fence_done()
    assert not engine.command(Opcode.QUERY).actions.image


# ---- send backlog


@pytest.mark.rule("E-11", "B-3", "CH-213")
def test_the_backlog_is_the_largest_power_of_two_that_both_windows_allow() -> None:
    found = [backlog_of(a, b) for a, b in ((0, 9), (9, 0), (1, 1), (1023, 4096), (1024, 4096), (1 << 30, 1 << 30))]
    assert found == [0, 0, 1, 512, 1024, 1 << 30]
    assert running(now=17, cwnd=10000, max_snd_wnd=3000).tcb.backlog_told == 2048
    assert running(now=17).tcb.backlog_tick == 17


def grown() -> Engine:
    """A connection with 8192 told and a congestion window that the next ACK makes 16384 or more."""
    engine = running(cwnd=16000, ssthresh=1 << 20)
    assert engine.tcb.backlog_told == 8192
    engine.send(5000)
    engine.segments()
    return engine


@pytest.mark.rule("E-11", "CH-213")
def test_a_doubled_backlog_is_told_once_with_its_size() -> None:
    engine = grown()
    engine.now = 100
    msg = message_of(engine.rx(ack=2000))
    assert (msg.kind, msg.event, msg.info, msg.aborted) == (DlvEvt.NOTIFY, TcpEventType.SEND_BACKLOG_CHANGE, 16384, 0)
    assert (engine.tcb.backlog_told, engine.tcb.backlog_tick) == (16384, 100)
    engine.now = 500
    assert engine.rx(ack=3000).actions.dlv is None


@pytest.mark.rule("E-11", "CH-213")
def test_the_backlog_is_not_told_more_often_than_every_hundred_ticks() -> None:
    engine = grown()
    engine.now = 99
    assert engine.rx(ack=2000).actions.dlv is None
    assert engine.tcb.backlog_told == 8192
    engine.now = 100
    assert message_of(engine.rx(ack=2000)).info == 16384


@pytest.mark.rule("E-11", "E-6")
def test_a_message_of_the_segment_itself_goes_before_the_backlog() -> None:
    engine = grown()
    engine.now = 100
    assert message_of(engine.rx(ack=2000, pay_len=10)).kind == DlvEvt.DELIVER
    assert engine.tcb.backlog_told == 8192
    assert message_of(engine.rx(ack=2000)).info == 16384


@pytest.mark.rule("E-11")
def test_a_backlog_is_told_smaller_at_a_quarter_not_at_a_half() -> None:
    engine = running(cwnd=16384)
    engine.tcb = replace(engine.tcb, cwnd=8192)
    engine.now = 100
    assert engine.rx().actions.dlv is None
    engine.tcb = replace(engine.tcb, cwnd=8191)
    assert message_of(engine.rx()).info == 4096


@pytest.mark.rule("E-11")
def test_a_backlog_that_changes_by_less_than_a_segment_is_not_told() -> None:
    engine = running(snd_wnd=0, max_snd_wnd=0)
    assert engine.tcb.backlog_told == 0
    engine.now = 100
    assert engine.rx(wnd=0).actions.dlv is None
    assert engine.rx(wnd=engine.tcb.remote_mss // 2).actions.dlv is None
    assert message_of(engine.rx(wnd=2 * engine.tcb.remote_mss)).info >= engine.tcb.remote_mss
