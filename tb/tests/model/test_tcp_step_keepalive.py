"""Keep-alive and challenges (K-1 to K-3; RFC 9293 3.8.4, RFC 5961 3 and 4; CH-196, CH-198, CH-201, CH-221)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.layout.generated import (
    TIMER_OFF,
    CachedImage,
    DlvEvt,
    Opcode,
    Phase,
    TcpEventType,
    TcpState,
    UploadReason,
)
from model.tcp.images import delegated_image, whole_image
from model.tcp.types import RESET_PARAMS, StepResult
from tb.tests.model.tcp_bench import ACK, FIN, RST, SYN, Engine, image, message_of, running, segment_of

ENABLED, KA_RESTART, MAX_RT_RESTART = 1, 4, 8
FIVE_MINUTES, THREE_SECONDS = 300_000, 3_000
CACHED = CachedImage(initial_rcv_wnd=20_000, ttl=64, ka_timeout=700, ka_interval=30, ka_probe_count=2)


def kept(**changes: int) -> Engine:
    """A connection with keep-alive, started at tick 1000, its timer 500 ticks away."""
    base = {
        "cached_flags": ENABLED, "ka_timeout": 7000, "ka_interval": 40, "ka_probe_count": 3, "ka_timeout_delta": 500,
    }  # fmt: skip
    return running(RESET_PARAMS, now=1000, **(base | changes))


def fires(engine: Engine, now: int) -> StepResult:
    engine.now = now
    return engine.timer()


def asked_for_upload(engine: Engine, result: StepResult) -> bool:
    """A mandatory RETRIEVE because a time-out expired."""
    a = result.actions
    return a.dlv is not None and (a.dlv.kind, a.dlv.event, a.dlv.info, engine.tcb.phase) == (
        DlvEvt.NOTIFY, TcpEventType.RETRIEVE, UploadReason.TIMEOUT_EXPIRATION, Phase.FROZEN,
    )  # fmt: skip


@pytest.mark.rule("K-3", "E-4", "E-5", "CH-221", "S52")
def test_probes_leave_in_front_of_the_window_every_interval_until_the_limit() -> None:
    engine = kept()
    assert engine.last is not None
    assert engine.last.deadline == 1500
    for number, now in enumerate((1500, 1540, 1580), 1):
        assert not fires(engine, now - 1).pending
        result = fires(engine, now)
        assert (result.pending, result.deadline, engine.tcb.ka_probes_sent) == (True, now + 40, number)
        probe = engine.grant()
        segment = segment_of(probe)
        assert (segment.seq, segment.len, segment.flags, segment.ack, segment.wnd) == (999, 0, ACK, 5000, 20000)
        assert not probe.pending
    result = fires(engine, 1620)
    assert asked_for_upload(engine, result)
    assert (engine.tcb.state, engine.tcb.ka_probes_sent) == (TcpState.ESTABLISHED, 3)
    assert result.actions.tx0 is None


@pytest.mark.rule("K-1", "K-3")
def test_a_segment_that_is_acceptable_starts_the_time_anew() -> None:
    engine = kept()
    fires(engine, 1500)
    engine.now = 1510
    assert engine.rx().deadline == 8510
    assert engine.tcb.ka_probes_sent == 0
    assert engine.tcb.ka_probe_owed == 0
    assert engine.grant().actions.tx0 is None, "nobody asks a far end that has just answered"


@pytest.mark.rule("K-1")
@pytest.mark.parametrize(
    "fields",
    [{"seq": 4999}, {"flags": ACK | SYN, "seq": 5001}, {"ack": 1001}, {"flags": 0}, {"flags": RST, "seq": 5001}],
)
def test_a_segment_that_does_not_come_as_far_as_its_acknowledgment_does_not(fields: dict[str, int]) -> None:
    engine = kept()
    fires(engine, 1500)
    engine.now = 1510
    engine.rx(**fields)
    assert engine.tcb.ka_probes_sent == 1


@pytest.mark.rule("K-3")
def test_while_data_is_under_way_retransmissions_do_the_probing() -> None:
    engine = kept()
    engine.send(100)
    engine.now = 1200
    engine.segments()
    result = fires(engine, 1500)
    assert (engine.tcb.ka_probe_owed, engine.tcb.ka_probes_sent, engine.tcb.ka_deadline) == (0, 0, 1540)
    assert result.deadline == 1540


@pytest.mark.rule("K-3", "RFC 9293 3.8.4")
def test_an_interval_of_nothing_is_a_second_and_a_count_of_nothing_ten_probes() -> None:
    engine = kept(ka_interval=0, ka_probe_count=0)
    for n in range(10):
        assert fires(engine, 1500 + 1000 * n).pending
        assert engine.tcb.ka_deadline == 2500 + 1000 * n
    assert asked_for_upload(engine, fires(engine, 11_500))


@pytest.mark.rule("K-3")
def test_a_timer_of_neither_keep_alive_nor_a_challenge_only_goes_out() -> None:
    engine = kept(cached_flags=0)
    engine.tcb = replace(engine.tcb, ka_challenge=0)
    result = fires(engine, 1500)
    assert (engine.tcb.ka_on, engine.tcb.ka_probe_owed, result.deadline, result.pending) == (0, 0, None, False)


@pytest.mark.rule("B-3", "K-2", "K-3", "CH-066")
def test_the_supervision_that_a_challenge_began_goes_on_over_a_hand_over() -> None:
    engine = kept(cached_flags=0)
    assert engine.tcb.ka_challenge == 1
    fires(engine, 1500)
    assert segment_of(engine.grant()).seq == 999
    engine.now = 1510
    engine.rx()
    assert (engine.tcb.ka_on, engine.tcb.ka_challenge) == (0, 0), "the far end lives: it was not asked for keep-alive"


@pytest.mark.rule("K-3")
@pytest.mark.parametrize("state", [TcpState.TIME_WAIT, TcpState.CLOSED])
def test_what_is_over_is_not_kept_alive(state: TcpState) -> None:
    engine = kept()
    engine.tcb = replace(engine.tcb, state=state, retrieve_sent=1)
    result = fires(engine, 1500)
    assert (engine.tcb.ka_on, engine.tcb.ka_probe_owed, result.deadline) == (0, 0, None)


@pytest.mark.rule("G-2", "G-4", "K-3")
def test_new_data_and_acknowledgments_that_are_owed_go_before_a_probe() -> None:
    engine = kept()
    fires(engine, 1500)
    engine.rx(seq=4990, pay_len=5)
    engine.rx(seq=4990, pay_len=5)
    engine.send(100)
    assert [(s.seq, s.len) for s in engine.segments(1)] == [(1000, 100)]
    assert (engine.tcb.ka_probe_owed, engine.tcb.dup_owed) == (1, 2)
    assert [(s.seq, s.len) for s in engine.segments()] == [(1100, 0), (1100, 0), (999, 0)]
    assert (engine.tcb.ka_probe_owed, engine.tcb.dup_owed) == (0, 0)


@pytest.mark.rule("G-2", "G-4", "K-3")
def test_a_probe_pays_no_acknowledgment() -> None:
    engine = kept()
    engine.rx(pay_len=100)
    engine.tcb = replace(engine.tcb, ka_probe_owed=1)
    assert [s.seq for s in engine.segments()] == [999]
    assert (engine.tcb.dack_on, engine.tcb.unacked_segs) == (1, 1)
    engine.tcb = replace(engine.tcb, ka_probe_owed=1)
    engine.now += 1
    engine.tcb = replace(engine.tcb, ack_now=1)
    assert [s.seq for s in engine.segments(1)] == [1000]
    assert (engine.tcb.ka_probe_owed, engine.tcb.ack_now, engine.tcb.unacked_segs) == (1, 0, 0)


@pytest.mark.rule("G-0", "K-3")
def test_a_probe_of_an_invalid_connection_asks_for_the_upload_instead() -> None:
    engine = kept()
    engine.command(Opcode.INVALIDATE)
    fires(engine, 1500)
    result = engine.grant()
    assert result.actions.tx0 is None
    assert message_of(result).info == UploadReason.INVALID_STATE


@pytest.mark.rule("K-3", "D-1")
def test_a_mandatory_request_of_the_keep_alive_ends_the_event() -> None:
    engine = kept(ka_probe_count=1, ka_timeout=90)
    engine.now = 1400
    engine.rx(pay_len=10)
    fires(engine, 1490)
    assert (engine.tcb.ka_probes_sent, engine.tcb.dack_deadline, engine.tcb.dack_on) == (1, 1500, 1)
    assert asked_for_upload(engine, fires(engine, 1530))
    assert (engine.tcb.dack_on, engine.tcb.ack_now) == (1, 0)


# ---- UPDATE and images


def updated(engine: Engine, flags: int, **changes: int) -> None:
    engine.command(Opcode.UPDATE, replace(CACHED, cached_flags=flags, **changes))


@pytest.mark.rule("B-9", "K-3", "CH-087")
def test_update_switches_keep_alive_on_and_off() -> None:
    engine = running(now=1000)
    assert engine.tcb.ka_on == 0
    updated(engine, ENABLED)
    assert (engine.tcb.ka_on, engine.tcb.ka_deadline) == (1, 1700)
    fires(engine, 1700)
    assert engine.tcb.ka_probe_owed == 1
    updated(engine, 0)
    assert (engine.tcb.ka_on, engine.tcb.ka_probe_owed, engine.tcb.ka_probes_sent) == (0, 0, 1)
    assert engine.last is not None
    assert not engine.last.pending
    engine.rx()
    assert engine.tcb.ka_on == 0


@pytest.mark.rule("B-9", "K-3", "G-15")
@pytest.mark.parametrize(("flag", "restarts"), [(0, False), (KA_RESTART, True), (MAX_RT_RESTART, True)])
def test_update_starts_a_running_timer_anew_only_if_asked(flag: int, restarts: bool) -> None:
    engine = kept()
    fires(engine, 1500)
    updated(engine, ENABLED | flag)
    expected = (0, 2200) if restarts else (1, 1540)
    assert (engine.tcb.ka_probes_sent, engine.tcb.ka_deadline) == expected


@pytest.mark.rule("B-9", "K-3")
def test_a_restart_starts_nothing_that_is_switched_off() -> None:
    engine = running(now=1000)
    updated(engine, KA_RESTART | MAX_RT_RESTART)
    assert engine.tcb.ka_on == 0


@pytest.mark.rule("B-9", "B-4", "K-3")
@pytest.mark.parametrize("flags", [ENABLED, ENABLED | KA_RESTART])
def test_update_of_a_loaded_connection_counts_in_ticks_that_remain(flags: int) -> None:
    engine = Engine(now=1000)
    delta = TIMER_OFF if flags == ENABLED else 50
    engine.command(Opcode.INITIATE, image(ka_timeout_delta=delta))
    updated(engine, flags)
    assert engine.tcb.ka_deadline == 700
    assert whole_image(engine.tcb, 1000).ka_timeout_delta == 700
    engine.now = 4000
    assert engine.command(Opcode.START).deadline == 4700


@pytest.mark.rule("B-3", "B-7", "K-3", "CH-222")
def test_the_time_that_remains_is_handed_over_both_ways() -> None:
    engine = kept()
    assert [delegated_image(engine.tcb, now).ka_timeout_delta for now in (1000, 1499, 1500, 1600)] == [500, 1, 0, 0]
    engine = running(now=1000)
    assert delegated_image(engine.tcb, 1000).ka_timeout_delta == TIMER_OFF
    engine = Engine(now=1000)
    engine.command(Opcode.INITIATE, image(ka_timeout_delta=77))
    engine.now = 1030
    engine.command(Opcode.TERMINATE)
    assert delegated_image(engine.tcb, 1030).ka_timeout_delta == 77


# ---- challenges


@pytest.mark.rule("K-2", "CH-196", "S47")
def test_blind_resets_are_answered_once_until_an_acceptable_segment_comes() -> None:
    engine = running(now=1000)
    for _ in range(3):
        engine.rx(flags=RST, seq=5001)
    assert (engine.tcb.dup_owed, engine.tcb.rst_challenged) == (1, 1)
    engine.rx(flags=ACK | FIN, seq=4000)  # not acceptable: owed of its own, and the challenge stays
    assert (engine.tcb.dup_owed, engine.tcb.rst_challenged) == (2, 1)
    engine.rx()
    engine.rx(flags=RST, seq=24_999)
    assert (engine.tcb.dup_owed, engine.tcb.rst_challenged) == (3, 1)


@pytest.mark.rule("K-2", "CH-198")
def test_blind_syns_are_answered_once_in_three_seconds() -> None:
    engine = running(now=1000)
    for now, owed in ((1000, 1), (1001, 1), (3999, 1), (4000, 2), (4001, 2), (6999, 2), (7000, 3)):
        engine.now = now
        engine.rx(flags=SYN | (now & 1) * ACK, seq=5001)
        assert engine.tcb.dup_owed == owed, now
    engine.rx()
    engine.rx(flags=SYN, seq=5001)
    assert engine.tcb.dup_owed == 3, "an acceptable segment does not shorten the three seconds"


@pytest.mark.rule("K-2", "CH-198")
def test_a_second_is_as_many_ticks_as_the_parameters_say() -> None:
    engine = running(replace(RESET_PARAMS, ticks_per_second=10), now=1000)
    engine.rx(flags=SYN, seq=5001)
    assert engine.tcb.ka_deadline == 4000
    engine.now = 1029
    engine.rx(flags=SYN, seq=5001)
    assert engine.tcb.dup_owed == 1
    engine.now = 1030
    engine.rx(flags=SYN, seq=5001)
    assert engine.tcb.dup_owed == 2


@pytest.mark.rule("K-2", "C-2", "CH-195", "CH-197")
def test_outside_the_window_resets_are_silent_and_syns_are_always_answered() -> None:
    engine = running(now=1000)
    for _ in range(2):
        engine.rx(flags=RST, seq=4999)
        engine.rx(flags=SYN, seq=4998)
    assert (engine.tcb.dup_owed, engine.tcb.rst_challenged, engine.tcb.syn_challenged, engine.tcb.ka_on) == (2, 0, 0, 0)


@pytest.mark.rule("K-7", "B23", "RFC 5961 7", "S47")
@pytest.mark.parametrize("refused", [{"seq": 4999}, {"ack": 0x7000_0000}, {"ts_present": 1, "tsval": 999}])
def test_refused_acks_are_answered_twice_a_second_at_most(refused: dict[str, int]) -> None:
    const_flags = 1 if "tsval" in refused else 0
    engine = running(now=1000, const_flags=const_flags, ts_recent=1000, ts_recent_age=0)
    for now, owed in ((1000, 1), (1001, 1), (1499, 1), (1500, 2), (1501, 2), (1999, 2), (2000, 3)):
        engine.now = now
        engine.rx(**{"ts_present": const_flags, "tsval": 1000, **refused})
        assert engine.tcb.dup_owed == owed, now


@pytest.mark.rule("K-7", "C-1", "C-2", "CH-197")
@pytest.mark.parametrize("octets", [{"pay_len": 1}, {"flags": ACK | FIN}, {"flags": SYN}])
def test_what_was_sent_again_is_answered_each_time(octets: dict[str, int]) -> None:
    engine = running(now=1000)
    for owed in (1, 2, 3):
        engine.rx(**{"seq": 4990, **octets})
        assert (engine.tcb.dup_owed, engine.tcb.answered) == (owed, 0)


@pytest.mark.rule("K-7", "B23")
def test_two_ends_that_refuse_each_other_fall_silent() -> None:
    """Each end's numbers lie below what the other expects, so that each ACK is refused and asks for one."""
    ends = [
        running(now=1000),
        running(now=1000, snd_una=4990, snd_nxt=4990, snd_max=4990, rcv_nxt=1010, snd_wl1=1009),
    ]
    ends[0].rx(seq=4990, ack=1000)
    answers, turn = 0, 0
    while found := ends[turn].segments():
        answers += len(found)
        assert answers <= 4
        turn = 1 - turn
        for sent in found:
            ends[turn].rx(seq=sent.seq, ack=sent.ack)
    assert answers == 2


@pytest.mark.rule("K-7", "B13")
def test_the_limit_of_one_connection_says_nothing_of_another() -> None:
    engine = running(now=1000)
    engine.rx(seq=4999)
    other = running(now=1000)
    other.rx(seq=4999)
    assert (engine.tcb.dup_owed, other.tcb.dup_owed) == (1, 1)


@pytest.mark.rule("K-2", "CH-201")
@pytest.mark.parametrize("flags", [RST, SYN])
def test_a_challenge_starts_keep_alive_at_five_minutes_or_puts_it_off(flags: int) -> None:
    engine = running(now=1000)
    engine.rx(flags=flags, seq=5001)
    assert (engine.tcb.ka_on, engine.tcb.ka_challenge, engine.tcb.ka_deadline) == (1, 1, 1000 + FIVE_MINUTES)
    engine = kept()
    engine.rx(flags=flags, seq=5001)
    assert (engine.tcb.ka_on, engine.tcb.ka_challenge, engine.tcb.ka_deadline) == (1, 1, 1000 + FIVE_MINUTES)
    engine = kept(ka_timeout_delta=FIVE_MINUTES + 1)
    engine.rx(flags=flags, seq=5001)
    assert engine.tcb.ka_deadline == 1001 + FIVE_MINUTES


@pytest.mark.rule("K-2", "CH-201")
def test_a_challenge_that_is_not_owed_puts_nothing_off() -> None:
    engine = running(now=1000)
    engine.rx(flags=RST, seq=5001)
    engine.rx(flags=SYN, seq=5001)
    engine.now = 2000
    engine.rx(flags=RST, seq=5001)
    engine.rx(flags=SYN, seq=5001)
    assert engine.tcb.ka_deadline == 1000 + FIVE_MINUTES


@pytest.mark.rule("K-1", "K-2")
def test_an_acceptable_segment_ends_what_a_challenge_began() -> None:
    engine = running(now=1000)
    engine.rx(flags=RST, seq=5001)
    engine.rx()
    assert (engine.tcb.ka_on, engine.tcb.ka_challenge) == (0, 0)
    updated(engine, ENABLED)
    engine.rx(flags=RST, seq=5001)
    engine.now = 1100
    engine.rx()
    assert (engine.tcb.ka_on, engine.tcb.ka_challenge, engine.tcb.ka_deadline) == (1, 0, 1800)


@pytest.mark.rule("K-2", "K-3", "CH-201")
def test_who_does_not_answer_a_challenge_is_probed_and_given_up_as_closed() -> None:
    engine = running(now=0)
    engine.rx(flags=RST, seq=5001)
    engine.segments()
    for n in range(10):
        assert fires(engine, FIVE_MINUTES + 1000 * n).pending
        assert segment_of(engine.grant()).seq == 999
    assert asked_for_upload(engine, fires(engine, FIVE_MINUTES + 10_000))
    assert (engine.tcb.state, engine.tcb.ka_probes_sent) == (TcpState.CLOSED, 10)


@pytest.mark.rule("B-9", "K-3")
def test_switching_keep_alive_off_leaves_the_timer_of_a_challenge() -> None:
    engine = running(now=1000)
    engine.rx(flags=RST, seq=5001)
    updated(engine, 0)
    assert (engine.tcb.ka_on, engine.tcb.ka_challenge, engine.tcb.ka_deadline) == (1, 1, 1000 + FIVE_MINUTES)


@pytest.mark.rule("K-1", "B-8")
def test_a_forwarded_segment_shows_that_the_far_end_lives_as_one_from_the_wire_does() -> None:
    engine = kept()
    fires(engine, 1500)
    engine.now = 1600
    engine.forward()
    assert (engine.tcb.ka_probes_sent, engine.tcb.ka_deadline) == (0, 8600)
