"""Run cocotb modules on a built simulator and read what came of it."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import shlex
import shutil
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tb.config import CONFIG_FILE_VARIABLE, ROOT, TICK_CYCLES, RunConfig
from tb.files import program, shown
from tb.lockstep.trace import TRACE_NAME
from tb.sim.build import (
    BuildError,
    BuildResult,
    Captured,
    ChimneyIcarus,
    ChimneyVerilator,
    log_tail,
    make_runner,
    wave_name,
)
from tb.sim.process import ENDED, ProcessTimeoutError, status_words

RECORDS_NAME = "records.txt"
MEMORY_NAME = "memory.bin"
BATCH_NAME = "batch.bin"
#: How the line begins that an assertion in hdl/ prints before it ends the simulation, and what is said of it.
ASSERTION = "ASSERT "
BROKEN_ASSERTION = f"an assertion of the design: {ASSERTION}"
#: What cocotb says of a test in which the simulation ended, and of all behind it.
ENDED_EARLY = "cocotb expected it would shut down the simulation"
#: What a passing run leaves for coverage: bins it hit, and with COVER=1 what Verilator counted.
SAMPLES_NAME, COUNTS_NAME = "coverage.json", "coverage.dat.gz"
COVERAGE_NAMES = (SAMPLES_NAME, COUNTS_NAME, COUNTS_NAME.removesuffix(".gz"))
#: Files whose assertions explain themselves when they fail; to compile all of model/ and tb/ anew costs a second a run.
ASSERTING_FILES = "*_test.py test_*.py"
#: Which test a folder is of and how it was built: what `chimney replay` needs beside config.json.
AGAIN_NAME = "again.json"
#: What is told of a failure (tb/story/record.py).
STORY_NAMES = ("divergence.txt", "failure.json", "story.txt")
#: Where a replay of a folder lies.
REPLAY_FOLDER = "replay"
#: Cycles a tick where connections are handed over: a hand-over takes less than a tick, as it does with ticks of 1 ms.
CUT_PRESCALE = 4000


@dataclass(frozen=True)
class TestOutcome:
    """One cocotb test: `status` is passed, failed or skipped."""

    __test__ = False

    name: str
    status: str
    seconds: float
    message: str = ""
    sim_time_ns: float = 0.0


@dataclass(frozen=True)
class RunResult:
    """One process of a simulator. `problem` is set when the process itself failed: a crash, a time-out."""

    outcomes: tuple[TestOutcome, ...]
    directory: Path
    log: Path
    records: Path
    waves: Path | None
    seconds: float
    problem: str = ""
    plusargs: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether at least one test ran, all of them passed, and the process ended well."""
        return not self.problem and bool(self.outcomes) and all(outcome.status != "failed" for outcome in self.outcomes)

    @property
    def out_of_time(self) -> bool:
        """Whether the process was ended for its wall clock, which says more of the machine than of the design."""
        return ENDED in self.problem


def broken_assertion(log: Path) -> str:
    """What an assertion of the design said when it ended the simulation, or nothing."""
    if not log.exists():
        return ""
    lines = log.read_text(errors="replace").splitlines()
    said = (line.removeprefix(ASSERTION) for line in lines if line.startswith(ASSERTION))
    return next((f"{BROKEN_ASSERTION}{line}" for line in said), "")


def told_apart(outcomes: tuple[TestOutcome, ...], broken: str) -> tuple[TestOutcome, ...]:
    """The tests of a simulation that one of them may have ended: that one says by what, those behind it did not run.

    What failed before it keeps its own words. ``broken`` is the assertion of the design, or nothing.
    """
    failed = [number for number, case in enumerate(outcomes) if case.status == "failed"]
    ended = [number for number in failed if ENDED_EARLY in outcomes[number].message] or (failed if broken else [])[:1]
    if not ended:
        return outcomes
    first, told = outcomes[ended[0]], list(outcomes)
    told[ended[0]] = replace(first, message=f"{broken}\n{first.message}") if broken else first
    for number in ended[1:]:
        told[number] = replace(outcomes[number], message=f"not run: the simulation had ended in {first.name}")
    return tuple(told)


def said_of(message: str) -> str:
    """The line of a failed test's message that says what was wrong; empty if it has none.

    That is the assertion of the design, else the exception behind the last traceback (of a bare `assert` with what was
    asserted), else the first line. What pytest explains below it, line by line, is left out.
    """
    if message.startswith(BROKEN_ASSERTION):
        return message.partition("\n")[0]
    lines = [line.rstrip() for line in message.rpartition("Traceback (most recent call last):")[2].splitlines()]
    lines = [line for line in lines if line.strip() and not re.match(r"\s*\+\s", line)]
    if "Traceback (most" not in message:
        return lines[0].strip() if lines else ""
    raised = next((number for number, line in enumerate(lines) if not line.startswith(" ")), None)
    if raised is None:
        return lines[-1].strip() if lines else ""
    code = [after.strip() for line, after in itertools.pairwise(lines[:raised]) if line.startswith("  File ")]
    values = re.fullmatch(r"AssertionError(?:: assert (.*))?", lines[raised])
    if values is None or not code or not code[-1].startswith("assert "):
        return lines[raised]
    return f"AssertionError: {code[-1]}" + (f": {values[1]}" if values[1] else "")


def _stopped_ns(case: ElementTree.Element) -> float:
    """The simulated time with which a test ended, in ns; 0 where the file does not say."""
    said = {one.get("name"): one.get("value") for one in case.iter("property")}
    return float(said.get("sim_time_stop") or 0)


def read_results(path: Path) -> tuple[TestOutcome, ...]:
    """The outcomes in cocotb's results file; none if the simulator never wrote it. ParseError if it is damaged."""
    if not path.exists():
        return ()
    try:
        return _outcomes(path)
    except (OSError, LookupError, ValueError) as error:  # an encoding that nobody knows, a time that is no number
        raise ElementTree.ParseError(str(error)) from None


def _outcomes(path: Path) -> tuple[TestOutcome, ...]:
    outcomes = []
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - our own file
        status, message = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                status = "failed"
                message = "\n".join(filter(None, (child.get("error_msg") or child.get("message"), child.text)))
            elif child.tag == "skipped":
                status, message = "skipped", child.get("message") or ""
        name = f"{case.get('classname')}.{case.get('name')}"
        outcomes.append(TestOutcome(name, status, float(case.get("time") or 0), message.strip(), _stopped_ns(case)))
    return tuple(outcomes)


def again(
    build: BuildResult,
    modules: str | Sequence[str],
    testcase: str | Sequence[str] | None,
    plusargs: Mapping[str, int],
    timeout: float,
    directory: Path,
) -> str:
    """The text of again.json; `tree` is the way from the folder to the tree that was simulated."""
    spec = build.spec
    facts = {
        "top": spec.top,
        "modules": modules,
        "testcase": testcase,
        "plusargs": dict(plusargs),
        "parameters": dict(spec.parameters),
        "timeout": timeout,
        "tree": os.path.relpath(ROOT, directory),
    }
    return json.dumps(facts, indent=1)


def replay_command(directory: Path) -> str:
    """The command that runs a folder's test again exactly, with waves. A replay's folder stands for what it replays."""
    where = directory.parent if directory.name == REPLAY_FOLDER else directory
    return f"{program()} replay {shlex.quote(shown(where))} --waves"


def pack(path: Path) -> None:
    """Compress a file that may be there, to a twentieth of its size."""
    if not path.exists():
        return
    with path.open("rb") as plain, gzip.open(f"{path}.gz", "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed)
    path.unlink()


@dataclass(frozen=True)
class Arranged:
    """A simulation that is ready to run in its folder: the runner, what it is called with, and the files laid out."""

    runner: ChimneyVerilator | ChimneyIcarus
    arguments: Mapping[str, Any]
    directory: Path
    log: Path
    words: tuple[str, ...]
    files: tuple[Path, ...]

    def command(self) -> Captured:
        """The simulator's command and environment, for somebody else to run in the folder."""
        self.runner.capture = True
        try:
            self.runner.test(**self.arguments)
        except Captured as found:
            return found
        raise BuildError("the runner has no command")


def arrange(
    build: BuildResult,
    modules: str | Sequence[str],
    directory: Path,
    *,
    config: RunConfig,
    plusargs: Mapping[str, int] | None = None,
    testcase: str | Sequence[str] | None = None,
    timeout: float = 600.0,
    waves: bool = False,
    wave_from: int = 0,
    echo: bool = False,
    extra_env: Mapping[str, str] | None = None,
) -> Arranged:
    """Lay out the folder of a simulation; the parameters are those of `run`."""
    directory.mkdir(parents=True, exist_ok=True)
    for stale in ("results.xml", RECORDS_NAME, TRACE_NAME, "sim.log", *STORY_NAMES, *COVERAGE_NAMES):
        (directory / stale).unlink(missing_ok=True)
    ticks = {"prescale": CUT_PRESCALE} if config.cuts else {}
    prescale = {**ticks, **(plusargs or {})}.get("prescale", TICK_CYCLES)
    config_file = directory / "config.json"
    config_file.write_text(replace(config, tick_cycles=prescale).to_json())
    (directory / AGAIN_NAME).write_text(again(build, modules, testcase, plusargs or {}, timeout, directory))
    built = {name.lower(): value for name, value in build.spec.parameters.items()}
    settings = {"seed": config.seed, "mem_seed": config.seed, **built, **ticks, **(plusargs or {})}
    words = [f"+{name}={value}" for name, value in settings.items()]
    words += [f"+records={directory / RECORDS_NAME}", f"+memory={directory / MEMORY_NAME}"]
    words += [f"+batch={directory / BATCH_NAME}", f"+design={build.spec.design()}"]
    counts = directory / COUNTS_NAME.removesuffix(".gz")
    if build.spec.tool.kind == "verilator":
        words += ["+verilator+rand+reset+2", f"+verilator+seed+{config.seed % 0x7FFF_FFFE + 1}"]
        words += [f"+verilator+coverage+file+{counts}"] if build.spec.coverage else []
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))

    runner = make_runner(build.spec)
    runner.timeout = timeout
    runner.want_waves = waves and build.spec.waves
    if runner.want_waves and build.spec.has_window:
        words += [f"+wave_file={directory / wave_name(build.spec)}", f"+wave_from={wave_from}"]
    log = directory / "sim.log"
    arguments = {
        "test_module": modules,
        "hdl_toplevel": build.spec.top,
        "hdl_toplevel_lang": "verilog",
        "build_dir": build.directory,
        "test_dir": directory,
        "testcase": testcase,
        "seed": config.seed,
        "plusargs": words,
        "results_xml": str(directory / "results.xml"),
        "extra_env": {
            CONFIG_FILE_VARIABLE: str(config_file),
            "COCOTB_ANSI_OUTPUT": "0",
            "COCOTB_REWRITE_ASSERTION_FILES": ASSERTING_FILES,
            **(extra_env or {}),
        },
        "log_file": None if echo else log,
    }
    return Arranged(runner, arguments, directory, log, tuple(words), (config_file, directory / AGAIN_NAME))


def run(
    build: BuildResult,
    modules: str | Sequence[str],
    directory: Path,
    *,
    config: RunConfig,
    plusargs: Mapping[str, int] | None = None,
    testcase: str | Sequence[str] | None = None,
    timeout: float = 600.0,
    waves: bool = False,
    wave_from: int = 0,
    echo: bool = False,
    extra_env: Mapping[str, str] | None = None,
) -> RunResult:
    """Run the tests of some Python modules; everything the run writes lies in `directory`.

    `plusargs` are settings of tb_top (see its header). The seed of the configuration seeds cocotb, the transactors, the
    memory's contents and the random start values. With `echo` the log goes to the terminal instead of sim.log.
    `waves` of tb_top begin with the cycle `wave_from`.
    A failing test is in the result, and its story in the folder (tb/story/record.py); only a wrong call raises.
    """
    arranged = arrange(
        build, modules, directory, config=config, plusargs=plusargs, testcase=testcase, timeout=timeout, waves=waves,
        wave_from=wave_from, echo=echo, extra_env=extra_env,
    )  # fmt: skip
    runner, log = arranged.runner, arranged.log
    problem = ""
    started = time.monotonic()
    try:
        runner.test(**arranged.arguments)
    except ProcessTimeoutError as error:
        problem = f"the simulator {ENDED} of {error.seconds:.0f} s"
    except BuildError as error:
        problem = f"the simulator {status_words(runner.return_code) if runner.return_code else f'failed: {error}'}"
    except SystemExit as error:  # how cocotb's runner reports a failing test under pytest
        problem = f"the simulator ended with status {error.code}" if not os.environ.get("PYTEST_CURRENT_TEST") else ""
    wave_file = directory / wave_name(build.spec) if runner.want_waves else None
    seconds, told = time.monotonic() - started, None if echo else log
    return gather(directory, seconds, problem, log=told, waves=wave_file, plusargs=arranged.words)


def gather(
    directory: Path,
    seconds: float,
    problem: str = "",
    *,
    log: Path | None,
    waves: Path | None = None,
    plusargs: tuple[str, ...] = (),
) -> RunResult:
    """What a simulation that has ended left in its folder; a failure gets its record and its story there.

    `problem` is what kept the simulator from its end; `log` is None where the log went to the terminal.
    """
    pack(directory / COUNTS_NAME.removesuffix(".gz"))
    try:
        outcomes = read_results(directory / "results.xml")
    except ElementTree.ParseError:
        outcomes, problem = (), problem or "the simulator's results are cut off"
    if broken := "" if log is None else broken_assertion(log):
        # an assertion ends the simulation: how the process ends is what comes of it
        problem = problem if any(case.status == "failed" for case in outcomes) else broken
    outcomes = told_apart(outcomes, broken)
    if not outcomes and not problem:
        problem = "the simulator ended without results:\n" + ("" if log is None else log_tail(log, 6))
    result = RunResult(
        outcomes=outcomes,
        directory=directory,
        log=directory / "sim.log",
        records=directory / RECORDS_NAME,
        waves=waves,
        seconds=seconds,
        problem=problem,
        plusargs=plusargs,
    )
    if not result.passed:
        from tb.story.record import tell

        tell(result)
    return result
