"""The project's own packetdrill scripts on the golden device: each holds, and its negative twin does not."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tb.config import ROOT, RunConfig
from tb.contract.duties import duties
from tb.script.draw import LONGEST, drawn, ticks_of, whole
from tb.script.player import Player, Result
from tb.script.run_packetdrill import COLLECTION, core, files, item, waiting
from tb.script.stage import play
from tb.script.twins import twin
from tb.testing.tiers import load

SCRIPTS = files([COLLECTION])
FOLDERS = sorted({script.parent for script in SCRIPTS})
#: Scripts of what the device does not do yet, with what they wait for; each must fail until it does.
WAITING = waiting()
IDS = re.compile(r"\b(?:S\d\d|B\d\d|CH-\d\d\d)\b")
#: Ids of tcp-conformance.md: scenarios S01 to S60, bugs B01 to B25.
KNOWN = {f"S{n:02}" for n in range(1, 61)} | {f"B{n:02}" for n in range(1, 26)} | {duty.id for duty in duties()}
LEAST_SCRIPTS, LEAST_IDS = 120, 100


def name_of(script: Path) -> str:
    """Folder and name."""
    return f"{script.parent.name}/{script.stem}"


def header(script: Path) -> str:
    """The comment that a script begins with."""
    lines = []
    for line in script.read_text().splitlines():
        if not line.startswith("//"):
            break
        lines.append(line)
    return "\n".join(lines)


@cache
def played(folder: Path, twins: bool) -> tuple[dict[str, Result], list[str]]:
    """The scripts of a folder, or their twins, one after the other on one device; and what the monitors say."""
    players = {}
    for script in SCRIPTS:
        if script.parent == folder:
            found = item(script).script
            assert found is not None, script
            players[name_of(script)] = Player(twin(found)[0] if twins else found)
    problems = play(list(players.values()), folder)
    results = {name: player.result for name, player in players.items()}
    return {name: result for name, result in results.items() if result is not None}, problems


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_script_holds(script: Path) -> None:
    results, _ = played(script.parent, twins=False)
    result = results[name_of(script)]
    if name_of(script) in WAITING:
        assert result.status == "fail", "it holds now: take it out of waiting.toml"
    else:
        assert result == Result("pass")


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_negative_twin_does_not_hold(script: Path) -> None:
    found = item(script).script
    assert found is not None
    results, _ = played(script.parent, twins=True)
    assert results[name_of(script)].status == "fail", f"a twin that passes: {twin(found)[1]}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_monitor_complains(folder: Path) -> None:
    assert played(folder, twins=False)[1] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_a_script_says_which_rule_it_shows(script: Path) -> None:
    text = header(script)
    assert re.search(r"RFC \d+|NDIS \d|Host option", text), "name the RFC and its section"
    assert set(IDS.findall(text)), "name the scenario, bug or contract rule"
    assert set(IDS.findall(text)) <= KNOWN


def test_the_collection_is_large_enough() -> None:
    named = {found for script in SCRIPTS for found in IDS.findall(header(script))}
    assert len(SCRIPTS) >= LEAST_SCRIPTS
    assert len(named) >= LEAST_IDS
    assert len(core()) >= len(FOLDERS)
    assert set(WAITING) <= {name_of(script) for script in SCRIPTS}


def test_a_job_of_the_rtl_plays_the_whole_collection_and_seeds_share_it(tmp_path: Path) -> None:
    """What no test of docs/scenarios.md shows on the RTL its scripts show there."""
    (job,) = [job for job in load().jobs if job.plusargs.get("whole") and job.simulator == "verilator"]
    assert (job.tier, job.top) == ("all", "tb_top")
    every = {str(script.relative_to(ROOT)) for script in SCRIPTS if name_of(script) not in WAITING}
    assert {item.names[0][1] for item in whole(RunConfig(seed=5))} == every
    parts = [whole(RunConfig(seed=seed, seeds=(3, 4, 5))) for seed in (3, 4, 5)]
    assert sorted(item.names[0][1] for part in parts for item in part) == sorted(every)
    traces = tmp_path / "t.jsonl"
    traces.write_text('{"set": "s", "path": "p", "handover": {"peer_mss": 9, "snd_wnd": 5}, "events": []}\n')
    assert whole(RunConfig(vectors=traces))[-1].names == (("set", "s"), ("path", "p"))


def test_a_seed_draws_the_same_short_scripts_again_and_none_that_waits() -> None:
    waits = {str((COLLECTION / f"{name}.pkt").relative_to(ROOT)) for name in WAITING}
    seen: set[str] = set()
    for seed in range(40):
        items = drawn(RunConfig(seed=seed), scripts=8, vectors=5)
        names = [found.names[0][1] for found in items]
        assert len(set(names)) == 8, "no traces without VECTORS"
        assert names == [found.names[0][1] for found in drawn(RunConfig(seed=seed), scripts=8, vectors=5)]
        assert all(found.script is not None and ticks_of(found.script) <= LONGEST for found in items)
        seen |= set(names)
    assert not seen & waits
    assert len(seen) > len(SCRIPTS) // 2, "seeds differ"
