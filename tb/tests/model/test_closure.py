"""The cases of coverage_closure on the golden device: what they reach there, and that one seed plays the same again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from model.device.config import DeviceConfig
from model.device.golden import GoldenDevice
from model.device.records import Journal
from model.ndis.miniport import DriverConfig
from model.streams import Streams
from tb.config import RunConfig
from tb.coverage.exclusions import judge, load
from tb.coverage.samples import by_group
from tb.coverage.space import groups
from tb.device.model_loop import MEMORY_BASE, MEMORY_BYTES
from tb.env.coverage import CoverageMonitor
from tb.session import summary
from tb.tests import corner_cases, delivery_cases, seldom_cases
from tb.tests.closure_cases import POOL, SESSION, cases
from tb.tests.lab import DELAY, Case, Lab
from tb.tests.model.test_device_errors import LabRun

#: Of a path or neighbor, as far as these cases ask: its record is that of a free connection (CoverageMonitor.tcp).
UNTOLD = {("tcp", "FREE QUERY OK")}
CONFIG = DeviceConfig(conns=4, pool_bufs=POOL)


def played(
    seed: int, lanes: int, tmp_path: Path, chosen: Sequence[Callable[[Lab], Case]] = ()
) -> tuple[dict[str, list[str]], Journal]:
    """The bins that the cases of a seed, or those that were chosen, hit, and all that happened."""
    lab = Lab(chosen or cases(Streams(seed), lanes))
    journal = Journal()
    config = replace(CONFIG, data_w=8 * lanes)
    device = GoldenDevice(memory_bytes=MEMORY_BYTES, seed=seed, config=config, journal=journal, memory_base=MEMORY_BASE)
    settings = DriverConfig(conns=4, cq_log2=12, pool_bufs=POOL)
    run = LabRun(RunConfig(device="model", size=SESSION, delay=DELAY, seed=seed, out=tmp_path), lab, device=device,
                 settings=settings)  # fmt: skip
    assert run.run() == [], lab.where()
    assert summary.verdict(run.transfer) == []
    assert lab.over
    monitor = CoverageMonitor(8 * lanes, device.memory.contents, MEMORY_BASE)
    takes = {"T": monitor.tcp, "D": monitor.delivery, "R": monitor.verdict, "X": monitor.sent, "C": monitor.completion}
    for entry in journal.entries:
        if entry.tag in takes:
            takes[entry.tag](entry.values[0])
        elif entry.tag in "FO":
            monitor.frame("in" if entry.tag == "F" else "out", len(entry.data))
    return by_group(monitor.hits()), journal


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("lanes", [8, 64])
def test_whatever_the_seed_every_lane_of_the_bus_and_every_place_of_the_ring_is_reached(
    seed: int, lanes: int, tmp_path: Path
) -> None:
    hits, _ = played(seed, lanes, tmp_path)
    width = str(8 * lanes)
    wanted = {b.name for b in groups()["alignment"].bins if b.values[0] == width and b.values[1:3] != ("send", "end")}
    assert wanted <= set(hits["alignment"])
    assert {b.name for b in groups()["request-ring"].bins} <= set(hits["request-ring"])


def test_talks_reach_what_a_delivery_engine_does_in_no_session(tmp_path: Path) -> None:
    found = {name for seed in range(1, 7) for name in played(seed, 8, tmp_path)[0]["delivery"]}
    taken = judge(groups(), load(groups()).rows, {}).by_bin
    possible = [b.name for b in groups()["delivery"].bins if b not in taken]
    missed = [name for name in possible if name not in found]
    assert len(missed) <= len(possible) // 10, "\n".join(missed)


@pytest.mark.parametrize(("seed", "lanes"), [(seed, 8) for seed in range(1, 11)] + [(1, 64), (2, 64)])
def test_random_sessions_hit_no_bin_that_is_called_impossible_and_nothing_outside_the_space(
    seed: int, lanes: int, tmp_path: Path
) -> None:
    """The draws are of the space itself, and need no simulator: a wrong `[[impossible]]` shows here first."""
    hits, _ = played(seed, lanes, tmp_path)
    known = {(one.group, one.name): one for group in groups().values() for one in group.bins}
    seen = {(group, name) for group, names in hits.items() for name in names if (group, name) not in UNTOLD}
    assert seen <= known.keys()
    problems = judge(groups(), load(groups()).rows, {known[one]: f"seed {seed}" for one in seen}).problems
    assert problems == ()
    assert len(seen) > 200


@pytest.mark.parametrize("seed", [1, 2])
def test_directed_cases_hit_the_bins_that_they_are_for_whatever_the_seed(seed: int, tmp_path: Path) -> None:
    hits, _ = played(seed, 8, tmp_path, [*delivery_cases.cases(), corner_cases.words_in_last_ack])
    assert sorted(delivery_cases.DELIVERY - set(hits["delivery"])) == []
    assert sorted(delivery_cases.ENTRY - set(hits["entry"])) == []
    assert sorted(corner_cases.TCP - set(hits["tcp"])) == []


def test_a_seed_plays_the_same_again_and_another_one_plays_otherwise(tmp_path: Path) -> None:
    first, again, other = (played(seed, 8, tmp_path)[1].entries for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("case", seldom_cases.UNJAMMED, ids=lambda case: case.__name__)
def test_what_no_session_comes_near_is_as_the_rules_say(case: Callable[[Lab], Case], tmp_path: Path) -> None:
    played(1, 8, tmp_path, [case])
