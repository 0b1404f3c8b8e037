"""`make replay FAILURE=folder [WAVES=1]`: run a recorded failure again and say whether it is the same one.

A failure folder holds what tb.sim.run wrote before the simulation began (config.json; again.json: {top, modules,
testcase, plusargs, parameters, timeout, tree}) and what the test found (failure.json, divergence.txt, rtl.json,
results.xml). The new run lies in FAILURE/replay, with a trace for the graphs of the report (docs/trace-format.md); with
WAVES=1 there are waves from a margin before the divergence on, and files that show them with a marker at it
(tb/wave_viewer.py).
"""

from __future__ import annotations

import difflib
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError, RunConfig, check_types
from tb.folders import claimed, damaged, here, read_object, typed
from tb.owndut.device import OwnDevice
from tb.progress import alone
from tb.sim.run import AGAIN_NAME, REPLAY_FOLDER, RunResult, TestOutcome, broken_assertion, read_results, run, said_of
from tb.sim.shown import build_shown
from tb.sim.spec import SimSpec, chimney_spec, unit_spec
from tb.sim.tools import Tool, choose
from tb.story.find import FAILURE_NAME, newest, story_of
from tb.story.record import marker_time
from tb.variables import there
from tb.wave_viewer import COMMAND_NAME, SAVE_NAME, WAVE_NAMES, describe, marked, marked_time

TIMEOUT = 3000.0
#: What a replay leaves: seconds, cycle, marker_time, identical, waves_from.
REPLAY_NAME = "replay.json"


@dataclass(frozen=True)
class Failure:
    """A recorded failure: its configuration, which test it was, and what it reported."""

    folder: Path
    config: RunConfig
    top: str
    modules: str | list[str]
    testcase: str | list[str] | None
    plusargs: dict[str, int]
    parameters: dict[str, int]
    timeout: float
    #: The way from the folder to the tree that was simulated.
    tree: str = ""

    @property
    def other_tree(self) -> Path | None:
        """The tree that was simulated, if it is not this one."""
        if not self.tree:
            return None
        found = (self.folder / self.tree).resolve()
        makefile = there(found / "Makefile", str(self.folder / AGAIN_NAME))
        return found if found != ROOT.resolve() and makefile else None

    @property
    def cycle(self) -> int | None:
        """Where it failed."""
        return cycle_of(self.folder)

    @property
    def report(self) -> list[str]:
        """The first divergence, or the problems of a run that did not diverge, or how it ended."""
        return report_of(self.folder)


def main(config: RunConfig) -> int:
    """Run it again; 0 if the run came to the same end as the recorded one."""
    folder = config.failure or newest()
    if folder is None:
        raise ConfigError("no failure is recorded", "FAILURE=", "give the folder of a run")
    if config.failure is None:
        config = replace(config, failure=folder)
        print(f"failure: {typed(folder)}", flush=True)
    failure = load(folder)
    if (tree := failure.other_tree) is not None:
        return in_tree(tree, "replay", config)
    with claimed(folder, f"FAILURE={folder}", "wait for it, or end it"):
        return replayed(failure, config)


def replayed(failure: Failure, config: RunConfig) -> int:
    """Run a failure again, in a folder that nobody else writes in; the exit status."""
    started = time.monotonic()
    tool, remark = choose(failure.config.sim, fall_back=False)
    print(f"{remark}\nreplay {failure.modules}, seed {failure.config.seed}, DATA_W={failure.config.data_w}", flush=True)
    out = failure.folder / REPLAY_FOLDER
    for stale in ("divergence.txt", "rtl.json", "results.xml", REPLAY_NAME, *WAVE_NAMES, SAVE_NAME, COMMAND_NAME):
        (out / stale).unlink(missing_ok=True)
    recorded = failure.cycle if config.at is None else config.at
    wave_from = max(0, recorded - config.margin) if recorded is not None else 0
    built = build_shown(spec_of(failure, tool, waves=config.waves))
    with alone("replay", str(failure.modules)):
        outcome = run(
            built,
            failure.modules,
            out,
            config=replace(failure.config, out=out, waves=config.waves, trace=True),
            plusargs=failure.plusargs,
            testcase=failure.testcase,
            waves=config.waves,
            wave_from=wave_from,
            timeout=max(failure.timeout, TIMEOUT),
        )
    again = report_of(out)
    print(here(story_of(out)).rstrip() or "\n".join(again) or "this run found nothing wrong")
    cycle = cycle_of(out)
    status = compare(failure.report, again, outcome)
    facts = {
        "seconds": round(time.monotonic() - started, 2),
        "cycle": cycle,
        "marker_time": time_of(out) if cycle is None else marker_time(cycle),
        "identical": status == 0,
        "waves_from": wave_from if config.waves else None,
    }
    (out / REPLAY_NAME).write_text(json.dumps(facts, indent=1) + "\n")
    if config.waves:
        show_waves(config, failure.folder, outcome.waves)
    return status


def spec_of(failure: Failure, tool: Tool, *, waves: bool) -> SimSpec:
    """What the failed run simulated, with or without waves."""
    parameters = dict(failure.parameters)
    if failure.config.dut is not None:
        return OwnDevice.load(failure.config.dut).spec(tool, waves=waves)
    if failure.top != "tb_top":
        return unit_spec(tool, failure.top, parameters=parameters, waves=waves)
    return chimney_spec(
        tool,
        data_w=parameters.pop("DATA_W"),
        conns=parameters.pop("CONNS"),
        mem_bytes=parameters.pop("MEM_BYTES"),
        waves=waves,
        extra_parameters=parameters,
    )


def in_tree(tree: Path, command: str, config: RunConfig) -> int:
    """Run a command of another tree, the one that a failure was simulated in (a sabotage's copy): its exit status."""
    words = [sys.executable, "-m", "tb", command, str(config.failure), "--margin", str(config.margin)]
    words += [] if config.at is None else ["--at", str(config.at)]
    if command == "replay":
        words.append("--waves" if config.waves else "--no-waves")
    else:
        words.append("--view" if config.view else "--no-view")
    print(f"in the tree {tree}", flush=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(words, cwd=tree, env=environment, check=False).returncode


def load(folder: Path) -> Failure:
    """Read a failure folder; ConfigError says what is missing."""
    file, again = folder / "config.json", folder / AGAIN_NAME
    if not folder.is_dir():
        raise ConfigError("there is no such folder", f"FAILURE={folder}", "give the folder of a run")
    for name in (file.name, AGAIN_NAME):
        if not (folder / name).exists():
            raise ConfigError(f"this is no failure folder: it has no {name}", f"FAILURE={folder}", "give another")
    config = read_config(file)
    if config.file is not None and not there(config.file, str(file)):
        raise ConfigError("the file that was sent is gone", str(config.file), "put it back and replay again")
    facts = read_object(again)
    try:
        check_types(Failure, facts)
        failure = Failure(folder=folder, config=config, **facts)
    except TypeError as error:
        raise damaged(again, str(error).replace("Failure.__init__()", "it")) from None
    built = {} if failure.top != "tb_top" or config.dut is not None else dict.fromkeys(("DATA_W", "CONNS", "MEM_BYTES"))
    if not isinstance(failure.parameters, dict) or not failure.parameters.keys() >= built.keys():
        raise damaged(again, "it does not say what was simulated")
    record_of(folder)
    report_of(folder)
    return failure


def read_config(file: Path) -> RunConfig:
    """The configuration of a recorded run; ConfigError if it is damaged."""
    read_object(file)
    try:
        return RunConfig.from_json(file.read_text())
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise damaged(file, str(error).replace("RunConfig.__init__()", "it")) from None


def record_of(folder: Path) -> dict[str, Any] | None:
    """The failure record of a folder, None without one; ConfigError if it is damaged."""
    file = folder / FAILURE_NAME
    if not file.exists():
        return None
    record = read_object(file)
    if not isinstance(record.get("cycle", ""), int | None):
        raise damaged(file, "it has no cycle")
    return record


def report_of(folder: Path) -> list[str]:
    """What a run reported: the divergence, else its problems; without lines that name folders or commands.

    A failure that left neither (a signal, a bound) is told by the key of its record: judge and words without numbers.
    """
    divergence = folder / "divergence.txt"
    lines: list[str] = []
    if divergence.exists():
        lines = divergence.read_text().splitlines()
    elif broken := broken_assertion(folder / "sim.log"):
        lines = [broken]
    elif (folder / "rtl.json").exists():
        problems = read_object(folder / "rtl.json").get("problems", [])
        if not isinstance(problems, list):
            raise damaged(folder / "rtl.json", "its problems are no list")
        lines = [str(line) for line in problems]
    if not lines:
        failed = [o for o in results_of(folder) if o.status == "failed"]
        lines = [f"{o.name} at {o.sim_time_ns} ns: {said_of(o.message)}" for o in failed]
    apart = ("make ", "chimney replay ", str(folder))
    told = [line.rstrip() for line in lines if not any(word in line for word in apart)]
    record = record_of(folder) if not told else None
    return told if record is None else [str(record.get("key") or "a failure that nothing is told of")]


def results_of(folder: Path) -> tuple[TestOutcome, ...]:
    """What came of the tests of a run; ConfigError if the file is damaged."""
    try:
        return read_results(folder / "results.xml")
    except ElementTree.ParseError as error:
        raise damaged(folder / "results.xml", error) from None


def cycle_of(folder: Path) -> int | None:
    """The cycle of the recorded failure of a folder, else the one that its report names first; None without any."""
    record = record_of(folder)
    if record is not None:
        cycle: int | None = record["cycle"]
        return cycle
    for line in report_of(folder):
        if match := re.search(r"\bcycle\W+(\d+)", line):
            return int(match.group(1))
    return None


def time_of(folder: Path) -> int | None:
    """When the recorded failure of a folder was, in picoseconds: also of a block alone, which has no cycles."""
    time = (record_of(folder) or {}).get("marker_time")
    return time if isinstance(time, int) else None


def compare(recorded: list[str], again: list[str], outcome: RunResult) -> int:
    """Say whether both runs ended alike; the exit status."""
    if not recorded:
        print("the folder holds no recorded failure to compare with")
        return 0 if outcome.passed else 1
    if recorded == again:
        print("identical: the first divergence is the recorded one")
        return 0
    print("NOT identical; recorded (-) and replayed (+):")
    print("\n".join(difflib.unified_diff(recorded, again, lineterm="", n=0)))
    return 1


def show_waves(config: RunConfig, folder: Path, waves: Path | None) -> None:
    """Write the save file beside the waves and say how to open both."""
    if waves is None or not waves.exists():
        print("this run wrote no waves")
        return
    print(describe(waves, marked(config, folder, waves), marked_time(config, folder, waves)))
