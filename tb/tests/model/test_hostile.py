"""Hostile peers on the golden device: what each class reaches, and that a session that suffers is found out."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.layout.generated import RecRx, RecTcp, TcpEvt
from model.streams import Streams
from tb.config import RunConfig
from tb.hostile.attacks import (
    CLASSES,
    REACHING,
    Attack,
    Storm,
    at_good,
    classes_of,
    racing_acks,
    random_frames,
    tiny_segments,
    wrong_ports,
    zero_windows,
)
from tb.hostile.attacks_ipv6 import FRAGMENT, ICMPV6, IPV6_CLASSES, extension_headers, fragments, icmpv6
from tb.hostile.cycles import engine_cycles, option_walk
from tb.hostile.far import HOSTILE_ADDRESS, Far, Mark, Targets
from tb.hostile.golden import HostileRun
from tb.hostile.run import delay_of, summary, with_defaults
from tb.hostile.score import CYCLES_MOST, Score, judge, room_most
from tb.hostile.session import Field, HostileNetwork, HostileTransfer
from tb.monitors.contract.receive_segments import for_the_host
from tb.monitors.wire_headers import read_segment
from tb.session import capture_judge
from tb.session.network import PEER_ADDRESS
from tb.sim.records import RecordError

FRAMES = 500


def session(tmp_path: Path, **changes: Any) -> RunConfig:
    """A small session under attack."""
    config = RunConfig(command="hostile", device="model", conns=8, size=48_000, delay=8, frames=FRAMES, out=tmp_path)
    return replace(config, **changes)


def outcome_of(run: HostileRun) -> dict[str, Any]:
    """The figures of a session that is carried to its end."""
    return run.session.outcome(run.run(), hang=run.hang)


def a_live_target(family: int = 4) -> Targets:
    """An open connection with a hostile end, and a good one."""
    far = Far(45_000, Streams(1), mss=64, live=lambda: True, ip=HOSTILE_ADDRESS[family])
    far.opened = far.stamps = far.sack = True
    far.nxt = far.acked = 0xFFFF_FFF0
    far.una, far.top, far.window = 0xFFFF_FF00, 100, 16_384
    return Targets([far], [Mark(40_000, PEER_ADDRESS[family])], family)


@pytest.mark.rule("issue 4: hostile peers")
@pytest.mark.parametrize(
    ("attack", "family"),
    [pytest.param(attack, v, id=f"{attack.__name__}-{v}") for v in (4, 6) for attack in classes_of(v)],
)
def test_a_class_makes_frames_that_can_reach_a_connection_as_it_says(attack: Attack, family: int) -> None:
    storm = Storm(1, a_live_target(family), {attack: 1})
    frames = [taken[1] for _ in range(300) if (taken := storm.take()) is not None]
    segments = [seg for frame in frames if (seg := read_segment(frame)) is not None and seg.sums_right]
    assert all(seg.ipv6 == (family == 6) for seg in segments)
    reached = sum(seg.destination[1] in (40_000, 45_000) for seg in segments)
    assert len(frames) >= 290
    assert all(60 <= len(frame) <= 1514 for frame in frames)
    assert (reached > 0.9 * len(frames)) == (attack.__name__ in REACHING)


@pytest.mark.rule("issue 4: hostile peers", "CH-205")
@pytest.mark.parametrize("attack", IPV6_CLASSES, ids=lambda attack: attack.__name__)
def test_what_only_ipv6_has_is_for_the_host_and_never_a_segment_of_the_target(attack: Attack) -> None:
    storm = Storm(1, a_live_target(6), {attack: 1})
    frames = [taken[1] for _ in range(300) if (taken := storm.take()) is not None]
    assert [frame for frame in frames if read_segment(frame) is not None] == []
    following = {frame[20] for frame in frames}
    if attack is extension_headers:
        assert len(following) >= 4
    else:
        assert following == {FRAGMENT if attack is fragments else ICMPV6}
        assert all(for_the_host(frame) for frame in frames)
    assert attack is not icmpv6 or {frame[54] for frame in frames} >= {1, 2, 3, 4, 128, 129, 135, 136}


@pytest.mark.rule("issue 4: hostile peers")
def test_a_class_gives_the_same_frames_for_the_same_seed() -> None:
    one, two, other = (Storm(seed, a_live_target()) for seed in (5, 5, 6))
    frames = [[storm.take() for _ in range(200)] for storm in (one, two, other)]
    assert frames[0] == frames[1] != frames[2]


@pytest.mark.rule("issue 4: hostile peers")
def test_eight_connections_keep_their_goodput_beside_an_attack(tmp_path: Path) -> None:
    config = session(tmp_path)
    attacked, alone = HostileRun(config), HostileRun(replace(config, frames=0))
    found = judge(config, outcome_of(attacked), outcome_of(alone), [])
    assert found["problems"] == []
    assert found["reached"] >= 0.5
    assert found["beside"] >= 0.5
    never = [
        attack.__name__ for attack, share in CLASSES.items() if share >= 20 and not found["frames"][attack.__name__]
    ]
    assert never == []


@pytest.mark.rule("CH-155", "CH-193", "CH-195", "CH-196", "CH-199")
@pytest.mark.parametrize("seed", [1, 4])
def test_acknowledgments_that_race_what_they_acknowledge_break_no_rule(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is short: the target sends and takes within the ticks for which its port shows neither."""
    monkeypatch.setattr(HostileTransfer, "classes", {racing_acks: 3, zero_windows: 1, tiny_segments: 1})
    run = HostileRun(session(tmp_path, seed=seed, delay=4, frames=1000))
    found = outcome_of(run)
    assert found["problems"] == []
    assert found["reached"]["racing_acks"] >= 300


@pytest.mark.rule("issue 4: hostile peers")
def test_the_host_of_the_good_connections_draws_nothing_that_goodput_hangs_on(tmp_path: Path) -> None:
    for app in HostileRun(session(tmp_path)).session.apps:
        host = app.config
        assert (host.refuse, host.accept_part, host.zero_byte_receive, host.nonpush) == (0.0, 0.0, 0.0, 0.0)
        assert len(host.receive_windows) == len(host.send_sizes) == len(host.receive_sizes) == 1
        assert all(least == most for least, most, _ in (*host.send_sizes, *host.receive_sizes))


@pytest.mark.rule("issue 4: hostile peers", "CH-205")
def test_eight_connections_keep_their_goodput_over_ipv6_and_nothing_goes_over_ipv4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, seen = Field.entered, set[bytes]()

    def enters(self: Field, name: str, frame: bytes, arrival: int, tick: int) -> None:
        if name != "random_frames":
            seen.add(frame[12:14])
        entered(self, name, frame, arrival, tick)

    monkeypatch.setattr(Field, "entered", enters)
    config = session(tmp_path, family=6)
    attacked, alone = HostileRun(config), HostileRun(replace(config, frames=0))
    found = judge(config, outcome_of(attacked), outcome_of(alone), [])
    assert found["problems"] == []
    assert found["reached"] >= 0.5
    assert [name for name, count in found["frames"].items() if not count and name != "true_resets"] == []
    assert {attack.__name__ for attack in IPV6_CLASSES} <= set(found["frames"])
    assert not {attack.__name__ for attack in IPV6_CLASSES} & set(found["reached_frames"])
    assert seen == {b"\x86\xdd"}
    assert {len(app.remote.ip) for app in attacked.session.apps} == {16}
    assert attacked.session.host.stack.counters.not_tcp > sum(IPV6_CLASSES.values()) // 10


class OffPath(HostileTransfer):
    """Only those attack who see no frame."""

    classes = {at_good: 6, wrong_ports: 1, random_frames: 1}  # noqa: RUF012 - it is not changed


class OffPathRun(HostileRun):
    transfer_type = OffPath


@pytest.mark.rule("issue 4: hostile peers", "S45")
@pytest.mark.parametrize("seed", [1, 2])
def test_guesses_at_good_connections_break_no_rule_of_the_contract_or_the_wire(seed: int, tmp_path: Path) -> None:
    run = OffPathRun(session(tmp_path, seed=seed))
    outcome = outcome_of(run)
    assert outcome["problems"] == []
    assert outcome["reached"]["at_good"] > FRAMES // 2


@pytest.mark.rule("issue 4: hostile peers", "S45")
@pytest.mark.parametrize(("port", "told"), [(39_999, False), (40_000, True), (40_007, True), (40_008, False)])
def test_the_wire_monitor_expects_an_answer_to_a_guess_before_and_after_the_offload_too(
    port: int, told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, expected = HostileRun(session(tmp_path)), list[int]()
    monkeypatch.setattr(run.session.network.monitor, "expect_window", expected.append)
    run.session.field.entered("at_good", Mark(port).guess(random.Random(1), 16), 0, 1)
    assert expected == [port] * told
    assert run.session.field.score.reached["at_good"] == 0  # none is offloaded yet


class Deaf(HostileRun):
    """A device that processes nothing more once the attack is under way."""

    def _settle(self) -> None:
        if sum(self.session.field.score.frames.values()) > FRAMES // 4:
            self.device.run = lambda events=None: False  # type: ignore[method-assign]
        super()._settle()


@pytest.mark.rule("issue 4: hostile peers")
def test_a_device_that_stands_still_is_a_hang(tmp_path: Path) -> None:
    run = Deaf(session(tmp_path))
    run.session.bound = 500
    outcome = run.session.outcome(run.run(), hang=run.hang)
    assert run.hang
    found = judge(run.session.config, outcome, {"goodput": 1.0, "hang": False, "problems": []}, [])
    assert found["hang"]
    assert any("hang" in line for line in found["problems"])


class Slow(HostileRun):
    """A device that loses good data while the attack lasts, as one that is too slow for the port would."""

    def _arrive(self, arriving: deque[bytes], *, press: bool) -> bool:
        field = self.session.field
        if field.score.begun is not None and field.left and self.tick % 32:
            return False
        return super()._arrive(arriving, press=press)


@pytest.mark.rule("issue 4: hostile peers")
def test_a_device_that_does_not_keep_up_loses_its_goodput_and_fails(tmp_path: Path) -> None:
    config = session(tmp_path, delay=2, size=24_000)
    slow, alone = Slow(config), HostileRun(replace(config, frames=0))
    found = judge(config, outcome_of(slow), outcome_of(alone), [])
    assert found["ratio"] < 0.95
    assert any("goodput" in line for line in found["problems"])


@pytest.mark.rule("issue 4: hostile peers")
def test_a_bound_that_is_missed_is_a_problem() -> None:
    config = RunConfig(frames=100)
    good: dict[str, Any] = {
        "frames": {"blind_acks": 100}, "reached": {"blind_acks": 90}, "goodput": 10.0, "covered": 1.0, "hang": False,
        "problems": [], "cycles_max": CYCLES_MOST, "room_max": room_most(config), "beside": 50,
        "goodput_each": [8.0, 2.0],
    }  # fmt: skip
    alone = {"goodput": 10.0, "hang": False, "problems": [], "goodput_each": [8.0, 2.0]}
    assert judge(config, good, alone, [])["problems"] == []
    for change in (
        {"frames": {"blind_acks": 99}},
        {"reached": {"blind_acks": 10}},
        {"reached": {"blind_acks": 45}},
        {"goodput": 9.4},
        {"goodput_each": [8.0, 1.5]},
        {"goodput_each": [8.0]},
        {"covered": 0.5},
        {"beside": 49},
        {"hang": True},
        {"problems": ["x"]},
        {"cycles_max": CYCLES_MOST + 1},
        {"room_max": room_most(config) + 1},
    ):
        assert len(judge(config, good | change, alone, [])["problems"]) >= 1, change
    assert judge(config, good, {}, [])["problems"] != []


def test_guesses_at_good_connections_count_while_there_are_any() -> None:
    config = replace(RunConfig(), device="model", frames=1000)
    alone = {"goodput": 1.0, "hang": False, "problems": []}
    few = alone | {"covered": 1.0, "beside": 1000, "frames": {"at_good": 1000}, "reached": {"at_good": 250}}
    assert judge(config, few | {"late": {"at_good": 700}}, alone, [])["problems"] == []
    assert judge(config, few, alone, [])["problems"] == ["250 of 1000 frames of at_good reached a live connection"]


def test_frames_behind_the_last_good_byte_are_not_beside_the_good_connections(tmp_path: Path) -> None:
    run = HostileRun(session(tmp_path))
    field = run.session.field
    for ended in (None, None, 7):
        field.score.ended = ended
        field.entered("random_frames", bytes(60), 0, 8)
    assert run.session.outcome([])["frames"] == {"random_frames": 3}
    assert run.session.outcome([])["beside"] == 2


@pytest.mark.skipif(capture_judge.missing() is not None, reason="no-tshark")
def test_an_attack_frame_without_room_is_no_frame_of_the_capture(tmp_path: Path) -> None:
    run = HostileRun(session(tmp_path), tmp_path / "wire.pcapng")
    network = run.session.hostile
    for name in (None, "random_frames", "random_frames"):
        network._way.append(name)
        network.entered(bytes(60), 1)
    network.frames_without_room = [2]
    network.close()
    assert network.capture_verdict is not None
    assert (network.capture_verdict.frames, network.capture_verdict.unexplained) == (1, [])


@pytest.mark.parametrize("device", ["model", "rtl"])
def test_a_longer_attack_has_good_connections_that_last_as_long(device: str) -> None:
    """Once their windows have opened they carry the more a tick: 18 bytes a frame of 100,000 were a quarter of it."""
    sizes = [with_defaults(replace(RunConfig(), device=device, frames=n, given=("FRAMES",))).size for n in (2, 10)]
    assert sizes[0] < sizes[1]
    least = {"model": 50, "rtl": 200}[device]
    config = replace(RunConfig(), device=device, frames=100_000, given=("FRAMES",))
    assert with_defaults(config).size >= least * config.frames


# --- the measures ---------------------------------------------------------------------------------------


@pytest.mark.rule("issue 4: hostile peers")
@pytest.mark.parametrize(
    ("options", "walked"),
    [
        (b"", 0), (b"\x01" * 40, 40), (b"\x04\x02" * 10, 10), (b"\x01\x01\x08\x0a" + bytes(8), 3), (bytes(40), 0),
        (b"\x01\x01\x00\x01", 2), (b"\x01\x05\x00\x01", 1), (b"\x01\x05\x01\x01", 1),
        (b"\x01\x01\x01\x09", 3), (b"\x02\x04\x05\xb4\x08\x28\x01\x01", 1),
    ],
)  # fmt: skip
def test_an_option_is_walked_over_if_it_is_in_order_and_nothing_behind_one_that_is_not(
    options: bytes, walked: int
) -> None:
    far = a_live_target().fars[0]
    assert option_walk(far.say(b"text", options=options, bare=True)) == walked
    assert option_walk(b"\x01" * 60) == 0


def _offered(cycle: int, arrival: int) -> str:
    return f"R {cycle} {RecRx(arrival=arrival).pack():x}\n"


def _committed(cycle: int, kind: TcpEvt, cause: int = 0) -> str:
    return f"T {cycle} {RecTcp(kind=kind, cause=cause).pack():x}\n"


@pytest.mark.rule("issue 4: hostile peers")
@pytest.mark.parametrize(
    ("commit_before", "walk", "most"),
    [
        ((), 0, 70 - 31),  # the segment is there a cycle behind the verdict
        (((50, TcpEvt.TIMER, 0),), 0, 70 - 50),  # another event held the engine until then
        ((), 25, 70 - 56),  # rx_options had it until then
        (((50, TcpEvt.TIMER, 0),), 25, 70 - 56),
        (((60, TcpEvt.TIMER, 0),), 25, 70 - 60),
        (((40, TcpEvt.RX_SEGMENT, 7),), 25, 70 - 66),  # and could not begin until the segment before it was taken
        (((29, TcpEvt.RX_SEGMENT, 7),), 25, 70 - 56),
        (((40, TcpEvt.RX_SEGMENT, 7), (68, TcpEvt.TIMER, 0)), 25, 70 - 68),
    ],
)
def test_engine_cycles_count_from_the_moment_the_segment_is_there_and_the_engine_free(
    commit_before: tuple[tuple[int, TcpEvt, int], ...], walk: int, most: int, tmp_path: Path
) -> None:
    records = tmp_path / "records.txt"
    lines = [(10, _offered(10, 7)), (30, _offered(30, 8)), (30, "F 30 00000008 00000040\n")]
    lines += [(cycle, _committed(cycle, kind, cause)) for cycle, kind, cause in commit_before]
    # what is no attack frame may take as long as it likes
    lines += [(70, _committed(70, TcpEvt.RX_SEGMENT, 8)), (71, _offered(71, 9))]
    lines += [(900, _committed(900, TcpEvt.RX_SEGMENT, 9)), (990, _committed(990, TcpEvt.TIMER, 8))]
    records.write_text("".join(line for _, line in sorted(lines, key=lambda one: one[0])))
    assert engine_cycles(records, {8: walk}) == (most, 0)
    assert engine_cycles(records, {}) == (0, 0)


@pytest.mark.rule("issue 4: hostile peers")
def test_waiting_for_room_behind_the_engine_is_told_apart_and_of_the_segment_that_follows_alone(
    tmp_path: Path,
) -> None:
    records = tmp_path / "records.txt"
    waits = ["B 69 0000001e 0000001f\n", _committed(70, TcpEvt.RX_SEGMENT, 8)]
    records.write_text("".join([_offered(30, 8), *waits, _offered(72, 9), _committed(120, TcpEvt.RX_SEGMENT, 9)]))
    assert engine_cycles(records, {8: 0}) == (70 - 31 - 30, 31)
    assert engine_cycles(records, {8: 0, 9: 0}) == (120 - 73, 31)
    assert engine_cycles(records, {9: 0}) == (120 - 73, 31)  # whoever waited: they stand in one row


@pytest.mark.rule("issue 4: hostile peers")
@pytest.mark.parametrize(("walks", "interval"), [({8: 0}, 70 - 31), ({8: 4}, 70 - 35), ({}, 70 - 20)])
def test_a_wait_for_room_that_is_longer_than_its_interval_is_an_error(
    walks: dict[int, int], interval: int, tmp_path: Path
) -> None:
    records = tmp_path / "records.txt"
    for waited in (interval, interval + 1):
        lines = [_committed(20, TcpEvt.TIMER), _offered(30, 8), f"B 69 {waited:x} {waited:x}\n"]
        records.write_text("".join([*lines, _committed(70, TcpEvt.RX_SEGMENT, 8)]))
        if waited == interval:
            assert engine_cycles(records, walks) == (0, waited)
            continue
        with pytest.raises(RecordError, match=rf"records.txt, .* at cycle 70: .* {waited} .* {interval} cycles before"):
            engine_cycles(records, walks)


@pytest.mark.rule("issue 4: hostile peers")
def test_a_wait_for_room_that_never_ends_is_seen_without_a_commit_and_beside_those_of_others(tmp_path: Path) -> None:
    records = tmp_path / "records.txt"
    stuck = [f"B {1024 * turn + 30} {100:x} {1024 * turn:x}\n" for turn in range(1, 10)]
    timers = [_committed(1024 * turn + 31, TcpEvt.TIMER) for turn in range(1, 10)]
    records.write_text("".join([_offered(30, 8), *(line for pair in zip(stuck, timers, strict=True) for line in pair)]))
    assert engine_cycles(records, {8: 0}) == (0, 9 * 1024)


@pytest.mark.parametrize(("data_w", "latency", "most"), [(64, 32, 8636), (512, 32, 2992), (64, 96, 10_812)])
def test_room_may_take_what_stands_in_front_of_it_at_the_bus(data_w: int, latency: int, most: int) -> None:
    assert room_most(replace(RunConfig(), data_w=data_w, mem_latency=latency)) == most


def endless(tmp_path: Path) -> HostileNetwork:
    """The network of an attack that has begun, of frames that are all alike."""
    run = HostileRun(session(tmp_path))
    run.session.field.score.begun = 0
    run.session.field.next_frame = lambda: ("random_frames", bytes(60))  # type: ignore[method-assign]
    return run.session.hostile


@pytest.mark.rule("issue 4: hostile peers")
def test_the_attack_takes_its_share_of_each_tick_and_what_is_over_it_is_of_the_next(tmp_path: Path) -> None:
    network = endless(tmp_path)
    network.budget, network.cost = 10, lambda frame: 6
    given = []
    for tick in (5, 5, 6, 7, 20, 20):
        found = network.due(tick)
        given.append(len(found))
        for frame in found:
            network.entered(frame, tick)
    assert given == [2, 0, 2, 1, 2, 0]


@pytest.mark.rule("issue 4: hostile peers")
def test_handshakes_of_hostile_connections_come_at_once_and_are_charged_to_the_attack(tmp_path: Path) -> None:
    network = endless(tmp_path)
    network.budget, network.cost = 10, lambda frame: 5 if frame == HANDSHAKE else 6
    given = []
    for tick, handshakes in ((5, 1), (6, 0), (7, 4), (8, 0), (9, 0)):
        network._handshakes.extend([(tick, HANDSHAKE)] * handshakes)
        found = network.due(tick)
        given.append((found.count(HANDSHAKE), len(found)))
        for frame in found:
            network.entered(frame, tick)
    # of 10 a tick: 5 and 6; 1 over, 6 and 6; 3 over, four of 5 and none of 6; 13 over, 3 left over, 6 and 6
    assert given == [(1, 2), (0, 2), (4, 4), (0, 0), (0, 2)]


HANDSHAKE = bytes(58) + b"hs"


@pytest.mark.rule("issue 4: hostile peers")
@pytest.mark.parametrize(("tick_cycles", "budget"), [(1000, 500), (300, 150)])
def test_on_the_rtl_the_attack_takes_half_of_a_tick_however_long_that_is(
    tick_cycles: int, budget: int, tmp_path: Path
) -> None:
    run = HostileRun(session(tmp_path, data_w=64))
    run.session.pace(tick_cycles)
    network = run.session.hostile
    assert (network.budget, network.cost(bytes(60)), network.cost(bytes(65))) == (budget, 8, 9)


@pytest.mark.rule("issue 4: hostile peers")
def test_an_attack_on_the_whole_port_has_the_next_frames_ready_whenever_some_have_entered(tmp_path: Path) -> None:
    run = HostileRun(session(tmp_path, whole_port=True))
    run.session.pace(1000)
    network = run.session.hostile
    run.session.field.score.begun = 0
    run.session.field.next_frame = lambda: ("random_frames", bytes(1514))  # type: ignore[method-assign]
    for _ in range(100):  # 600 frames a tick of 1000 cycles: far more than there are beats
        found = network.due(5)
        assert len(found) >= 4
        for frame in found:
            network.entered(frame, 5)


@pytest.mark.rule("issue 4: hostile peers")
def test_an_attack_on_the_whole_port_is_judged_by_all_but_goodput() -> None:
    config = RunConfig(frames=100, whole_port=True)
    full: dict[str, Any] = {
        "frames": {"blind_acks": 100}, "reached": {"blind_acks": 90}, "hang": False, "problems": [], "cycles_max": 64,
        "room_max": room_most(config),
    }  # fmt: skip
    starved = full | {"goodput": 0.1, "goodput_each": [0.1, 0.0], "covered": 0.1, "beside": 1}
    found = judge(config, starved, {}, [])
    assert found["problems"] == []
    assert (found["ratio"], found["goodput_without"], summary([found], 1)["ratio_min"]) == (None, None, None)
    assert summary([found], 1)["passed"]
    assert len(judge(replace(config, whole_port=False), starved, {}, [])["problems"]) >= 4
    for change in (
        {"hang": True},
        {"problems": ["divergence: check 1"]},
        {"cycles_max": CYCLES_MOST + 1},
        {"room_max": room_most(config) + 1},
        {"frames": {"blind_acks": 99}},
        {"reached": {"blind_acks": 10}},
    ):
        assert len(judge(config, starved | change, {}, [])["problems"]) >= 1, change
    assert judge(config, {}, {}, [])["hang"]


@pytest.mark.parametrize(("data_w", "ticks"), [(64, 13), (128, 7), (256, 4), (512, 4)])
def test_good_connections_leave_the_port_to_the_attack_at_every_width(data_w: int, ticks: int) -> None:
    assert delay_of("rtl", data_w) == ticks
    assert 8 * 8192 / (2 * ticks * 1000 * data_w / 8) <= 1 / 3
    assert delay_of("model", data_w) == 100


@pytest.mark.rule("issue 4: hostile peers")
def test_goodput_and_cover_are_of_nine_tenths_of_what_each_connection_had_still_to_carry() -> None:
    score = Score(begun=100, before=[0, 500], stopped=190)
    steps = [(899, 950), (900, 949), (960, 950), (1000, 1000)]
    for tick, backs in zip((130, 150, 200, 1200), steps, strict=True):
        for place, back in enumerate(backs):
            score.carried(place, back, 1000, tick)
    assert (score.goodput, score.covered) == (0.0, 0.0)  # not all bytes are back
    score.ended = 1200
    assert score.measured == {0: (150, 900), 1: (130, 450)}
    assert score.goodput == 900 / 50 + 450 / 30
    assert score.covered == 1.0
    score.stopped = 125
    assert score.covered == 0.5
