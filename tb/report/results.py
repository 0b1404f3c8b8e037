"""What a folder says of its jobs: results.sqlite of a regression, the files of `make test`, or one run alone."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import sqlite3
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError
from tb.farm.results import TIME_OVER, DamagedError, ResultsReader, RunRow, made
from tb.files import shortened, shown
from tb.kinds import fits
from tb.sim.run import TestOutcome, read_results, said_of
from tb.story.divergence import facts_of
from tb.story.find import MUST_HOLD, TOLD
from tb.testing.results import verdict_word

DATABASE_NAME = "results.sqlite"
SUMMARY_NAME = "summary.json"
JUNIT_NAME = "junit.xml"
FAILURE_NAME = "failure.json"
CONFIG_NAME = "config.json"
#: What the configuration of a run is read for, where it is there, and what every summary.json of a run has
#: (tb/session/summary.py), from its first moment on.
CONFIG_FACTS: Mapping[str, Any] = {"device": str, "seed": int, "data_w": int, "sim": str}
RUN_FACTS: Mapping[str, Any] = {
    "schema": int, "commit": str, "complete": bool, "device": str, "seed": int, "data_w": int, "simulator": str | None,
    "sim_seconds": float, "cycles": float, "segments_tx": float, "retransmissions": float, "problems": list,
}  # fmt: skip
#: What the summary.json beside a junit.xml is read for.
TEST_FACTS: Mapping[str, Any] = {"complete": bool, "seconds": float}
PASSED, FAILED, LOST, NOT_RUN = "passed", "failed", "lost", "not_run"
STATUSES = (FAILED, LOST, NOT_RUN, PASSED)
#: What to do with a database that cannot be read: the runs in it may be wanted.
KEEP_APART = f"move {DATABASE_NAME} away (earlier runs are in it), with the -wal and -shm beside it if there are any"
#: Version of failure.json that is read; one without it says only how to run the job again.
FAILURE_SCHEMA = 1
#: What is said of a run that neither passed nor left a failure: it is not over, or was ended from outside.
NO_RESULTS = "the run left no results: it is not over, or it was ended before it could write any"


@dataclass(frozen=True)
class Job:
    """One job. `status` is one of STATUSES, `cause` why it was not run or lost, `folder` below the root or absolute."""

    id: str
    suite: str = ""
    test: str = ""
    simulator: str = ""
    width: int | None = None
    seed: int | None = None
    status: str = PASSED
    cause: str = ""
    attempts: int = 1
    seconds: float = 0.0
    folder: str = ""
    failure_key: str = ""
    title: str = ""
    replay: str = ""

    @property
    def path(self) -> Path | None:
        """Where the job's files lie, None if it left none."""
        return ROOT / self.folder if self.folder else None


@dataclass(frozen=True)
class Figure:
    """A number that a run measured."""

    run: int
    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True)
class Results:
    """The newest run of a folder with its jobs; `runs` and `figures` are of all runs, the oldest first."""

    run: RunRow
    jobs: tuple[Job, ...]
    runs: tuple[RunRow, ...] = ()
    figures: tuple[Figure, ...] = ()
    source: str = ""

    @property
    def time_over(self) -> int:
        """How many jobs the bound in time (TIME) left out."""
        return sum(job.status == NOT_RUN and job.cause == TIME_OVER for job in self.jobs)

    @property
    def ended(self) -> bool:
        """Whether the run came to its end; its time (TIME) is one, an interrupt or a farm that gave up is none."""
        left = [job for job in self.jobs if job.status == NOT_RUN and job.folder]
        return self.run.complete or (bool(left) and len(left) == self.time_over)

    @property
    def good(self) -> bool:
        """Whether something passed, nothing failed or was lost, and the run came to its end."""
        found = {job.status for job in self.jobs}
        return PASSED in found and not found & {FAILED, LOST} and self.ended

    @property
    def verdict(self) -> str:
        """The verdict, the same words in the terminal and in the report."""
        return verdict_word(self.good, sum(job.status == NOT_RUN for job in self.jobs))


def read(folder: Path) -> Results:
    """The results of a folder; ConfigError if it has none."""
    if (folder / DATABASE_NAME).exists():
        found = read_database(folder / DATABASE_NAME)
    elif (folder / JUNIT_NAME).exists():
        found = read_tests(folder)
    elif (folder / SUMMARY_NAME).exists() or (folder / CONFIG_NAME).exists():
        found = read_run(folder)
    else:
        raise ConfigError(
            "there is nothing to report in this folder", f"FOLDER={folder}",
            "give the folder of a run, a test run or a regression: one with summary.json or results.sqlite",
        )  # fmt: skip
    return replace(found, jobs=tuple(with_failure(reachable(job)) for job in found.jobs))


def reachable(job: Job) -> Job:
    """The job, if the place of its folder can be looked at, whether it is there or not; ConfigError if not."""
    try:
        if job.path is not None:
            job.path.exists()
    except OSError as error:
        raise ConfigError(
            f"the folder of a job cannot be looked at ({error.strerror})", f"{job.id}: {shortened(job.folder, 200)}",
            "make it readable, or run it again",
        ) from None  # fmt: skip
    return job


# ---- results.sqlite -------------------------------------------------------------------------------


def read_database(path: Path) -> Results:
    """The newest run in a results.sqlite, opened for reading only."""
    try:
        reader = ResultsReader(path)
        runs = reader.runs()
        if not runs:
            raise ConfigError("the results have no run", str(path), "run `chimney regress` again")
        jobs = tuple(made(Job, row) for row in reader.rows("SELECT * FROM job WHERE run = ? ORDER BY id", runs[-1].id))
        return Results(runs[-1], jobs, runs, figures_of(reader), DATABASE_NAME)
    except (sqlite3.Error, DamagedError) as error:
        todo = f"{KEEP_APART}, then run `chimney regress` again"
        raise ConfigError(f"the results cannot be read ({error})", str(path), todo) from error


def figures_of(reader: ResultsReader) -> tuple[Figure, ...]:
    """The figures of all runs of a file, the oldest run first; sqlite3.Error if it cannot be read."""
    rows = reader.rows("SELECT * FROM figure WHERE value IS NOT NULL ORDER BY run, name")
    return tuple(made(Figure, row) for row in rows)


# ---- the files of `make test` ---------------------------------------------------------------------


def read_tests(folder: Path) -> Results:
    """summary.json and junit.xml of `make test` and `make regress`."""
    file = folder / SUMMARY_NAME
    facts = of_kinds(file, read_facts(file), TEST_FACTS)
    if file.exists() and "complete" not in facts:
        raise no_result(file)
    try:
        cases = ElementTree.parse(folder / JUNIT_NAME).iter("testcase")  # noqa: S314 - our own file
        jobs = tuple(_case(folder, case) for case in cases)
    except (ElementTree.ParseError, OSError, LookupError, ValueError) as error:
        raise ConfigError(f"{JUNIT_NAME} cannot be read ({error})", str(folder), "run the tests again") from error
    run = RunRow(suite=folder.name, seconds=float(facts.get("seconds", 0)), complete=facts.get("complete", False))
    return Results(run, jobs, (run,), (), JUNIT_NAME)


_LABEL = re.compile(r"(?P<test>.+?)(?:-s(?P<seed>\d+))?\[(?P<simulator>[a-z]+)(?:-(?P<width>\d+))?\]")


def _case(folder: Path, case: ElementTree.Element) -> Job:
    group, name = case.get("classname", ""), case.get("name", "")
    place = folder / group
    seconds = float(case.get("time") or 0)
    if not fits(seconds, float):
        raise ValueError(f"the time of {name} is {seconds}")
    job = Job(id=f"{group}::{name}", test=group, seconds=seconds)
    if match := _LABEL.fullmatch(group):
        width, seed = match["width"], match["seed"]
        job = replace(
            job, suite="rtl", test=match["test"], simulator=match["simulator"], width=int(width) if width else None,
            seed=int(seed) if seed else None, folder=shown(place) if place.is_dir() else "",
        )  # fmt: skip
    for child in case:
        if child.tag in ("failure", "error"):
            lines = [line.strip() for line in (child.text or "").splitlines() if line.strip()]
            title = title_of(lines) or "failed without a message"
            return replace(
                job, status=FAILED, replay=child.get("message", ""), title=title, failure_key=keyed(f"{group}: {title}")
            )
        if child.tag == "skipped":
            return replace(job, status=NOT_RUN, cause=child.get("message", ""))
    return job


def title_of(lines: Sequence[str]) -> str:
    """What the message of a failed test says first: the title of a story, else the last line."""
    if lines and lines[0].startswith(TOLD):
        return " ".join(itertools.takewhile(lambda line: line != MUST_HOLD, lines)).removeprefix(TOLD)
    return lines[-1] if lines else ""


# ---- one run --------------------------------------------------------------------------------------


def read_run(folder: Path) -> Results:
    """A run of `make run`, or the folder of one test."""
    file, settings = folder / SUMMARY_NAME, folder / CONFIG_NAME
    summary = read_facts(file) if file.exists() else None
    if summary is not None and not summary.keys() >= RUN_FACTS.keys():
        raise no_result(file)
    facts = of_kinds(settings, read_facts(settings), CONFIG_FACTS) | of_kinds(file, summary or {}, RUN_FACTS)
    device = facts.get("device", "rtl")
    problem = problem_of(folder, summary)
    run = RunRow(
        suite="run", commit_hash=facts.get("commit", ""), seconds=float(facts.get("sim_seconds", 0)),
        complete=facts.get("complete", problem != NO_RESULTS),
    )  # fmt: skip
    job = Job(
        id=folder.name, suite="run", test=folder.name, seed=facts.get("seed"), width=facts.get("data_w"),
        simulator="golden device" if device == "model" else str(facts.get("simulator") or facts.get("sim") or ""),
        seconds=run.seconds, folder=shown(folder), status=FAILED if problem else PASSED, title=problem,
        failure_key=keyed(problem), replay=replay_of(folder, problem),
    )  # fmt: skip
    figures = tuple(
        Figure(1, name, float(facts[name]), unit)
        for name, unit in (("cycles", "cycles"), ("segments_tx", "segments"), ("retransmissions", "segments"))
        if summary is not None
    )
    return Results(run, (job,), (run,), figures, SUMMARY_NAME)


def problem_of(folder: Path, summary: Mapping[str, Any] | None) -> str:
    """Why a run failed, in one line; empty if it did not.

    A run that left no result, or one that cannot be read, has not passed.
    """
    if title := str(failure_record(folder).get("title") or ""):
        return title
    if (folder / "divergence.txt").is_file():
        return divergence_title((folder / "divergence.txt").read_text(errors="replace"))
    outcomes, unread = read_outcomes(folder / "results.xml")
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        return said_of(failed[0].message) or "failed without a message"
    rtl = read_json(folder / "rtl.json") if (folder / "rtl.json").exists() else {}
    found = rtl.get("problems", []) if isinstance(rtl, dict) else None
    problems = [*(summary["problems"] if summary else ()), *(found if isinstance(found, list) else ())]
    if problems:
        return str(problems[0])
    if summary is not None and not summary["complete"]:
        return "the run did not come to its end"
    if summary is None and not outcomes:
        return NO_RESULTS
    if not isinstance(found, list):
        unread = "rtl.json is damaged"
    elif (folder / FAILURE_NAME).exists() and not isinstance(read_json(folder / FAILURE_NAME), dict):
        unread = f"{FAILURE_NAME} is damaged"
    return unread


def read_outcomes(path: Path) -> tuple[tuple[TestOutcome, ...], str]:
    """What results.xml says, and why it cannot be read: the simulator may have been ended while it wrote it."""
    try:
        return read_results(path), ""
    except ElementTree.ParseError as error:
        return (), f"{path.name} cannot be read ({error})"


def replay_of(folder: Path, problem: str) -> str:
    """The command that runs a failed folder again."""
    return f"chimney replay {shlex.quote(shown(folder))}" if problem else ""


# ---- why a job failed -----------------------------------------------------------------------------


def with_failure(job: Job) -> Job:
    """A failed job with the key, title and replay command of its failure.json, where the results do not have them."""
    if job.status != FAILED:
        return job
    record = failure_record(job.path)
    divergence = job.path / "divergence.txt" if job.path else None
    title = job.title or str(record.get("title") or "")
    key = str(record.get("key") or "") or job.failure_key
    if not record and divergence is not None and divergence.is_file():
        text = divergence.read_text(errors="replace")
        title, key = divergence_title(text), keyed(divergence_title(text))
    commands = record.get("commands")
    replay = job.replay or str((commands if isinstance(commands, dict) else {}).get("replay") or "")
    return replace(job, failure_key=key or keyed(title or job.cause), title=title or job.cause, replay=replay)


def failure_record(folder: Path | None) -> dict[str, Any]:
    """failure.json of a failed job: its story; empty if it has none."""
    found = read_json(folder / FAILURE_NAME) if folder else None
    is_record = isinstance(found, dict) and found.get("schema") == FAILURE_SCHEMA and "key" in found
    return found if is_record and isinstance(found, dict) else {}


def divergence_title(text: str) -> str:
    """Check, event, field and rule of a divergence.txt in one line."""
    facts = facts_of(text)
    first = text.splitlines()[0] if text else ""
    check = first.partition(":")[2].strip() or first
    where = [facts[name] for name in ("event", "field", "rule") if facts.get(name)]
    return "; ".join([check, *where])


def divergence_cycle(folder: Path | None) -> int | None:
    """The cycle of a failed job's first divergence: that of failure.json, else of divergence.txt; None without one."""
    cycle = failure_record(folder).get("cycle")
    if isinstance(cycle, int) or folder is None:
        return cycle if isinstance(cycle, int) else None
    for path in sorted(folder.glob("*divergence.txt")):
        told = facts_of(path.read_text(errors="replace")).get("cycle", "")
        if told.isdigit():
            return int(told)
    return None


def keyed(text: str) -> str:
    """A failure bucket's key: the text without numbers, which differ from seed to seed."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", text)


# ---- help -----------------------------------------------------------------------------------------


def no_result(file: Path) -> ConfigError:
    """What is said of a summary.json that another command wrote, or none of ours."""
    return ConfigError(
        "this is no result of a run, a test run or a regression", str(file),
        "give the folder of one: sim_build/run, sim_build/test and sim_build/regress/latest are, and what OUT= named",
    )  # fmt: skip


def damaged(file: Path, why: str) -> ConfigError:
    """What is said of a result that is not as it was written."""
    return ConfigError(f"this result is damaged ({why})", str(file), "run it again, or give another folder")


def read_facts(file: Path) -> dict[str, Any]:
    """The object in a JSON file, empty if there is no file; ConfigError if it is damaged or holds something else."""
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file, " ".join(str(error).split())) from None
    if not isinstance(found, dict):
        raise no_result(file) if file.name == SUMMARY_NAME else damaged(file, "no JSON object")
    return found


def of_kinds(file: Path, facts: dict[str, Any], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the facts in a file whose kinds are known; ConfigError if one is of another kind."""
    for name, kind in kinds.items():
        if name in facts and not fits(facts[name], kind):
            raise damaged(file, f"{name} is {shortened(repr(facts[name]), 40)}")
    return {name: facts[name] for name in kinds if name in facts}


def read_json(path: Path) -> Any:
    """What a JSON file holds, None if there is none or it is none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
