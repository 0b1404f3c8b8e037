"""Every state that comes and goes: FIN_WAIT_2's timer, inherited FIN, Nagle, VLAN (K-4 to K-6, B-3, B-4, B-6; G-21)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.layout.generated import (
    TIMER_OFF,
    CachedImage,
    CqKind,
    NbrRec,
    Opcode,
    Phase,
    Status,
    TcpEventType,
    TcpState,
    TxAppend,
    TxKind,
    UploadReason,
    Verdict,
)
from model.tcp.images import delegated_image
from tb.tests.model.tcp_bench import ACK, FIN, SYN, Engine, image, message_of, running

GRACEFUL, INHERITED = 1, 5
NAGLE = 2
TWO_MINUTES = 120_000
OUR_FIN = (TcpState.FIN_WAIT_1, TcpState.CLOSING, TcpState.LAST_ACK)
AFTER = dict(zip(OUR_FIN, (TcpState.FIN_WAIT_2, TcpState.TIME_WAIT, TcpState.CLOSED), strict=True))


def loaded(now: int = 1000, **changes: int) -> Engine:
    engine = Engine(now=now)
    engine.command(Opcode.INITIATE, image(**changes))
    assert engine.tcb.phase == Phase.LOADED
    return engine


def status_of(engine: Engine, opcode: Opcode, **fields: int) -> Status | None:
    """What the engine itself completes a command with, None if it does not."""
    cpl = engine.command(opcode, None, **fields).actions.cpl
    return None if cpl is None else Status(cpl.status)


# ---- FIN_WAIT_2


@pytest.mark.rule("K-4", "B-4", "CH-220")
def test_a_timer_that_was_handed_over_runs_on_and_another_starts_with_the_connection() -> None:
    for delta, expected in ((70, 1070), (TIMER_OFF, 1000 + TWO_MINUTES)):
        engine = running(now=1000, state=TcpState.FIN_WAIT_2, rtx_timeout_delta=delta)
        assert (engine.tcb.rtx_on, engine.tcb.rtx_deadline) == (1, expected)
        assert engine.last is not None
        assert engine.last.deadline == expected
    engine = running(now=1000, rtx_timeout_delta=70)
    assert engine.tcb.rtx_on == 0, "only there it runs with nothing outstanding"


@pytest.mark.rule("K-4", "E-3", "CH-220")
def test_an_acceptable_segment_starts_it_anew_and_others_do_not() -> None:
    engine = running(now=1000, state=TcpState.FIN_WAIT_2)
    engine.now = 2000
    engine.rx(seq=4999)
    engine.rx(flags=SYN, seq=5001)
    engine.consumed(0)
    assert engine.tcb.rtx_deadline == 1000 + TWO_MINUTES
    engine.rx(pay_len=10)
    assert (engine.tcb.rtx_on, engine.tcb.rtx_deadline) == (1, 2000 + TWO_MINUTES)


@pytest.mark.rule("K-4", "CH-220")
def test_its_end_is_an_upload_in_state_closed() -> None:
    engine = running(now=1000, state=TcpState.FIN_WAIT_2)
    engine.now = 1000 + TWO_MINUTES - 1
    assert engine.timer().actions.dlv is None
    engine.now += 1
    message = message_of(engine.timer())
    assert (message.info, engine.tcb.state, engine.tcb.phase) == (
        UploadReason.TIMEOUT_EXPIRATION, TcpState.CLOSED, Phase.FROZEN,
    )  # fmt: skip


@pytest.mark.rule("K-4", "C-8b")
def test_the_acknowledgment_of_our_fin_starts_it_and_their_fin_stops_it() -> None:
    engine = running(now=1000)
    engine.command(Opcode.DISCONNECT, flags=GRACEFUL)
    engine.segments()
    engine.now = 1500
    engine.rx(ack=1001)
    assert (engine.tcb.state, engine.tcb.rtx_on, engine.tcb.rtx_deadline) == (
        TcpState.FIN_WAIT_2, 1, 1500 + TWO_MINUTES,
    )  # fmt: skip
    engine.rx(flags=ACK | FIN)
    assert (engine.tcb.state, engine.tcb.rtx_on) == (TcpState.TIME_WAIT, 0)


@pytest.mark.rule("K-4")
def test_their_fin_in_the_acknowledgment_of_ours_leaves_no_timer() -> None:
    engine = running(now=1000)
    engine.command(Opcode.DISCONNECT, flags=GRACEFUL)
    engine.segments()
    engine.rx(ack=1001, flags=ACK | FIN)
    assert (engine.tcb.state, engine.tcb.rtx_on) == (TcpState.TIME_WAIT, 0)


@pytest.mark.rule("K-4", "E-3")
def test_an_acknowledgment_behind_a_closed_window_starts_it_too() -> None:
    """The FIN was sent, an RTO pulled snd_nxt back behind a closed window; then its acknowledgment comes after all."""
    engine = running(now=1000)
    engine.send(100)
    engine.command(Opcode.DISCONNECT, flags=GRACEFUL)
    engine.segments()
    engine.rx(wnd=0)
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    assert (engine.tcb.persist, engine.tcb.snd_nxt, engine.tcb.snd_max) == (1, 1000, 1101)
    engine.rx(ack=1101, wnd=0)
    assert (engine.tcb.state, engine.tcb.persist, engine.tcb.rtx_on) == (TcpState.FIN_WAIT_2, 0, 1)
    assert engine.tcb.rtx_deadline == engine.now + TWO_MINUTES


# ---- INITIATE in every state, inherited FIN


@pytest.mark.rule("B-3", "C-9")
@pytest.mark.parametrize(
    ("state", "came"),
    [
        (TcpState.ESTABLISHED, 0),
        (TcpState.FIN_WAIT_1, 0),
        (TcpState.FIN_WAIT_2, 0),
        (TcpState.CLOSE_WAIT, 1),
        (TcpState.CLOSING, 1),
        (TcpState.LAST_ACK, 1),
    ],
)
def test_a_connection_comes_with_the_far_ends_fin_in_three_states(state: TcpState, came: int) -> None:
    engine = running(state=state)
    assert engine.tcb.fin_rcvd == came
    result = engine.rx(pay_len=10)
    assert (result.actions.verdict == Verdict.DELIVER) == (not came)


@pytest.mark.rule("B-6")
@pytest.mark.parametrize("state", OUR_FIN)
def test_an_inherited_fin_is_appended_without_a_completion(state: TcpState) -> None:
    engine = loaded(state=state)
    engine.send(300)
    result = engine.command(Opcode.DISCONNECT, flags=INHERITED, cookie=9)
    assert result.actions.cpl is None
    item = result.actions.tx0
    assert item is not None
    assert item.kind == TxKind.APPEND
    append = TxAppend.unpack(item.body)
    assert (append.start_seq, append.end_seq, append.fin, append.last, append.opcode, append.cookie) == (
        1300, 1301, 1, 0, Opcode.DISCONNECT, 9,
    )  # fmt: skip
    assert (engine.tcb.fin_queued, engine.tcb.snd_end, engine.tcb.state) == (1, 1301, state)


@pytest.mark.rule("B-6")
@pytest.mark.parametrize("state", [TcpState.ESTABLISHED, TcpState.FIN_WAIT_2, TcpState.CLOSE_WAIT])
def test_it_is_refused_where_the_host_has_queued_none(state: TcpState) -> None:
    engine = loaded(state=state)
    cpl = engine.command(Opcode.DISCONNECT, flags=INHERITED).actions.cpl
    assert cpl is not None
    assert (cpl.kind, cpl.status, cpl.code) == (CqKind.SEND, Status.BAD_STATE, Opcode.DISCONNECT)
    assert (engine.tcb.fin_queued, engine.tcb.snd_end) == (0, 1000)


@pytest.mark.rule("B-5", "B-6", "H")
def test_it_is_refused_twice_behind_start_and_when_the_connection_has_ended() -> None:
    engine = loaded(state=TcpState.FIN_WAIT_1)
    assert status_of(engine, Opcode.DISCONNECT, flags=GRACEFUL) == Status.BAD_STATE
    assert status_of(engine, Opcode.DISCONNECT, flags=INHERITED) is None
    assert status_of(engine, Opcode.DISCONNECT, flags=INHERITED) == Status.BAD_STATE
    assert status_of(engine, Opcode.SEND, length=1, count=1) == Status.BAD_STATE
    engine = running(state=TcpState.FIN_WAIT_1)
    assert status_of(engine, Opcode.DISCONNECT, flags=INHERITED) == Status.BAD_STATE
    engine.command(Opcode.TERMINATE)
    assert status_of(engine, Opcode.DISCONNECT, flags=INHERITED) == Status.UPLOAD


@pytest.mark.rule("B-4", "B-6", "G-21", "S50", "B21")
@pytest.mark.parametrize("state", OUR_FIN)
def test_a_fin_that_was_sent_is_only_acknowledged_or_sent_again(state: TcpState) -> None:
    engine = loaded(state=state, snd_nxt=1101, snd_max=1101, rtx_timeout_delta=50)
    engine.send(100)
    assert status_of(engine, Opcode.START) == Status.BAD_STATE, "the FIN is in snd_max, not yet in the send table"
    engine.command(Opcode.DISCONNECT, flags=INHERITED)
    assert not engine.command(Opcode.START).pending
    assert engine.tcb.rtx_deadline == 1050
    engine.now = 1050
    engine.timer()
    assert [(s.seq, s.len, s.flags & FIN) for s in engine.segments()] == [(1000, 100, FIN)]
    engine.rx(ack=1101)
    assert (engine.tcb.state, engine.tcb.snd_una) == (AFTER[state], 1101)


@pytest.mark.rule("B-4", "B-6", "G-21", "G-3")
@pytest.mark.parametrize("state", OUR_FIN)
def test_a_fin_that_was_not_sent_goes_out_behind_the_data(state: TcpState) -> None:
    engine = loaded(state=state, snd_nxt=1030, snd_max=1030, rtx_timeout_delta=500)
    engine.send(100)
    engine.command(Opcode.DISCONNECT, flags=INHERITED)
    engine.command(Opcode.START)
    assert [(s.seq, s.len, s.flags & FIN) for s in engine.segments()] == [(1030, 70, FIN)]
    assert engine.tcb.state == state
    engine.rx(ack=1101)
    assert engine.tcb.state == AFTER[state]


@pytest.mark.rule("B-10", "G-21")
def test_what_goes_back_says_whether_the_fin_was_sent() -> None:
    for sent in (0, 1):
        engine = loaded(state=TcpState.LAST_ACK, snd_nxt=1000 + sent, snd_max=1000 + sent, snd_wnd=0)
        engine.command(Opcode.DISCONNECT, flags=INHERITED)
        engine.command(Opcode.TERMINATE)
        back = delegated_image(engine.tcb, engine.now)
        assert (back.state, back.snd_una, back.snd_nxt, back.snd_max) == (
            TcpState.LAST_ACK,
            1000,
            1000 + sent,
            1000 + sent,
        )


# ---- Nagle


def sizes(engine: Engine) -> list[int]:
    return [s.len for s in engine.segments()]


@pytest.mark.rule("K-5", "RFC 9293 3.7.4", "CH-087", "S13")
def test_a_small_segment_waits_for_all_that_is_under_way() -> None:
    engine = running(cached_flags=NAGLE)
    engine.send(10)
    assert sizes(engine) == [10], "with nothing under way it goes"
    engine.send(11)
    engine.send(12)
    assert sizes(engine) == []
    engine.send(1000)
    assert sizes(engine) == [1000], "a whole segment does not wait, its rest does"
    engine.rx(ack=1010)
    assert sizes(engine) == []
    engine.rx(ack=2010)
    assert sizes(engine) == [23]


@pytest.mark.rule("K-5", "CH-087")
def test_without_nagle_nothing_waits_and_update_takes_it_away() -> None:
    engine = running()
    for n in (10, 11, 12):
        engine.send(n)
        assert sizes(engine) == [n]
    engine = running(cached_flags=NAGLE)
    engine.send(10)
    engine.segments()
    engine.send(11)
    assert sizes(engine) == []
    assert engine.command(Opcode.UPDATE, CachedImage(initial_rcv_wnd=20_000, ttl=64)).pending
    assert sizes(engine) == [11]


@pytest.mark.rule("K-5")
def test_a_last_segment_that_is_whole_does_not_wait() -> None:
    engine = running(cached_flags=NAGLE)
    engine.send(10)
    engine.segments()
    engine.send(1000)
    assert sizes(engine) == [1000]


@pytest.mark.rule("K-5")
def test_the_end_of_the_stream_does_not_wait() -> None:
    engine = running(cached_flags=NAGLE)
    engine.send(10)
    engine.segments()
    engine.send(11)
    engine.command(Opcode.DISCONNECT, flags=GRACEFUL)
    assert [(s.len, s.flags & FIN) for s in engine.segments()] == [(11, FIN)]


@pytest.mark.rule("K-5")
def test_what_was_sent_before_does_not_wait_again() -> None:
    engine = running(cached_flags=NAGLE)
    engine.send(1010)
    assert sizes(engine) == [1000]
    engine.command(Opcode.UPDATE, CachedImage(initial_rcv_wnd=20_000, ttl=64))
    assert sizes(engine) == [10]
    engine.command(Opcode.UPDATE, CachedImage(initial_rcv_wnd=20_000, ttl=64, cached_flags=NAGLE))
    engine.now = engine.tcb.rtx_deadline
    engine.timer()
    assert sizes(engine) == [1000], "one segment of congestion window after the time-out"
    engine.tcb = replace(engine.tcb, cwnd=5000)
    assert sizes(engine) == [10]


@pytest.mark.rule("K-5", "G-1")
def test_half_of_the_largest_window_is_no_reason_for_a_small_last_segment() -> None:
    engine = running(cached_flags=NAGLE, max_snd_wnd=30)
    engine.send(10)
    engine.segments()
    engine.send(20)
    assert sizes(engine) == []


@pytest.mark.rule("K-5", "E-3")
def test_data_that_nagle_holds_back_is_not_blocked_by_a_window() -> None:
    engine = running(cached_flags=NAGLE)
    engine.send(10)
    engine.segments()
    engine.send(11)
    assert engine.tcb.persist == 0


# ---- VLAN


@pytest.mark.rule("K-6", "CH-161")
@pytest.mark.parametrize(
    ("vlan", "tagged", "vlan_id", "heard"),
    [(9, 1, 9, True), (9, 0, 0, False), (9, 1, 8, False), (9, 1, 0, False), (0, 0, 0, True), (0, 1, 9, True)],
)
def test_a_neighbor_in_a_vlan_is_heard_in_that_one_only(vlan: int, tagged: int, vlan_id: int, heard: bool) -> None:
    engine = running()
    engine.neighbor = NbrRec(valid=1, vlan_id=vlan)
    before = engine.tcb
    result = engine.rx(pay_len=10, tagged=tagged, vlan_id=vlan_id)
    assert result.actions.verdict == (Verdict.DELIVER if heard else Verdict.DROP)
    assert (engine.tcb == before) == (not heard)


@pytest.mark.rule("K-6")
def test_the_filter_stands_before_what_passes_a_frame_up_but_not_before_one_that_is_not_running() -> None:
    engine = running()
    engine.neighbor = NbrRec(valid=1, vlan_id=9)
    engine.tcb = replace(engine.tcb, state=TcpState.TIME_WAIT, retrieve_sent=1)
    assert engine.rx().actions.verdict == Verdict.DROP
    assert engine.rx(tagged=1, vlan_id=9).actions.verdict == Verdict.PASS_UP
    engine.command(Opcode.TERMINATE)
    assert engine.rx().actions.verdict == Verdict.PASS_UP


@pytest.mark.rule("K-6", "B-8", "G-38")
def test_a_forwarded_segment_is_not_filtered() -> None:
    engine = running()
    engine.neighbor = NbrRec(valid=1, vlan_id=9)
    assert message_of(engine.forward(pay_len=10)).len == 10


@pytest.mark.rule("B-5")
@pytest.mark.parametrize("state", [TcpState.FIN_WAIT_2, TcpState.TIME_WAIT, TcpState.CLOSED])
def test_nothing_can_be_sent_behind_a_fin_that_was_acknowledged(state: TcpState) -> None:
    engine = running(state=state)
    result = engine.command(Opcode.SEND, length=10, count=1)
    assert result.actions.cpl is not None
    assert result.actions.cpl.status == Status.BAD_STATE
    assert engine.tcb.snd_end == engine.tcb.snd_una


# ---- the driver cannot go on


@pytest.mark.rule("B-13", "CH-212", "CH-207")
def test_the_driver_has_a_connection_stopped_and_asked_for_once() -> None:
    assert status_of(loaded(), Opcode.UPLOAD) == Status.BAD_STATE
    engine = running()
    engine.send(3000)
    result = engine.command(Opcode.UPLOAD)
    message = message_of(result)
    assert (message.event, message.info) == (TcpEventType.RETRIEVE, UploadReason.UPLOAD_REQUESTED)
    assert (engine.tcb.phase, engine.tcb.retrieve_sent) == (Phase.FROZEN, 1)
    assert engine.segments() == []
    again = engine.command(Opcode.UPLOAD)
    assert again.actions.dlv is None
    assert again.actions.cpl is not None
    assert again.actions.cpl.status == Status.OK
