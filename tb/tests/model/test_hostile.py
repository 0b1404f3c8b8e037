"""Hostile peers on the golden device: what each class reaches, and that a session that suffers is found out."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tb.config import RunConfig
from tb.hostile.attacks import CLASSES, REACHING, Attack, Storm, at_good, random_frames, wrong_ports
from tb.hostile.far import Far, Mark, Targets
from tb.hostile.golden import HostileRun
from tb.hostile.score import CYCLES_MOST, judge
from tb.hostile.session import HostileTransfer
from tb.monitors.wire_headers import read_segment

FRAMES = 500


def session(tmp_path: Path, **changes: Any) -> RunConfig:
    """A small session under attack."""
    config = RunConfig(command="hostile", device="model", conns=8, size=12_000, delay=8, frames=FRAMES, out=tmp_path)
    return replace(config, **changes)


def outcome_of(run: HostileRun) -> dict[str, Any]:
    """The figures of a session that is carried to its end."""
    return run.session.outcome(run.run(), hang=run.hang)


def a_live_target() -> Targets:
    """An open connection with a hostile end, and a good one."""
    far = Far(45_000, random.Random(1), mss=64, live=lambda: True)
    far.opened = far.stamps = far.sack = True
    far.nxt = far.acked = 0xFFFF_FFF0
    far.una, far.top, far.window = 0xFFFF_FF00, 100, 16_384
    return Targets([far], [Mark(40_000)])


@pytest.mark.rule("issue 4: hostile peers")
@pytest.mark.parametrize("attack", CLASSES, ids=lambda attack: attack.__name__)
def test_a_class_makes_frames_that_can_reach_a_connection_as_it_says(attack: Attack) -> None:
    storm = Storm(1, a_live_target(), {attack: 1})
    frames = [taken[1] for _ in range(300) if (taken := storm.take()) is not None]
    segments = [seg for frame in frames if (seg := read_segment(frame)) is not None and seg.sums_right]
    reached = sum(seg.destination[1] in (40_000, 45_000) for seg in segments)
    assert len(frames) >= 290
    assert all(60 <= len(frame) <= 1514 for frame in frames)
    assert (reached > 0.9 * len(frames)) == (attack.__name__ in REACHING)


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
    never = [
        attack.__name__ for attack, share in CLASSES.items() if share >= 20 and not found["frames"][attack.__name__]
    ]
    assert never == []


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
        "problems": [], "cycles_max": CYCLES_MOST,
    }  # fmt: skip
    alone = {"goodput": 10.0, "hang": False, "problems": []}
    assert judge(config, good, alone, [])["problems"] == []
    for change in (
        {"frames": {"blind_acks": 99}},
        {"reached": {"blind_acks": 10}},
        {"reached": {"blind_acks": 45}},
        {"goodput": 9.4},
        {"covered": 0.5},
        {"hang": True},
        {"problems": ["x"]},
        {"cycles_max": CYCLES_MOST + 1},
    ):
        assert len(judge(config, good | change, alone, [])["problems"]) >= 1, change
    assert judge(config, good, {}, [])["problems"] != []
