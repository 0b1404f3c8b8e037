"""What a folder says of its jobs: results.sqlite of a regression, the files of `make test`, or one run alone."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import sqlite3
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError
from tb.farm.results import TIME_OVER, ResultsReader, RunRow, made
from tb.files import shown
from tb.sim.run import TestOutcome, read_results, said_of
from tb.story.divergence import facts_of
from tb.story.find import MUST_HOLD, TOLD
from tb.testing.results import verdict_word

DATABASE_NAME = "results.sqlite"
SUMMARY_NAME = "summary.json"
JUNIT_NAME = "junit.xml"
FAILURE_NAME = "failure.json"
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
    elif (folder / SUMMARY_NAME).exists() or (folder / "config.json").exists():
        found = read_run(folder)
    else:
        raise ConfigError(
            "there is nothing to report in this folder", f"FOLDER={folder}",
            "give the folder of a run, a test run or a regression: one with summary.json or results.sqlite",
        )  # fmt: skip
    return replace(found, jobs=tuple(with_failure(job) for job in found.jobs))


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
    except sqlite3.Error as error:
        todo = f"{KEEP_APART}, then run `chimney regress` again"
        raise ConfigError(f"the results cannot be read ({error})", str(path), todo) from error


def figures_of(reader: ResultsReader) -> tuple[Figure, ...]:
    """The figures of all runs of a file, the oldest run first; sqlite3.Error if it cannot be read."""
    rows = reader.rows("SELECT * FROM figure WHERE value IS NOT NULL ORDER BY run, name")
    return tuple(made(Figure, row) for row in rows)


# ---- the files of `make test` ---------------------------------------------------------------------


def read_tests(folder: Path) -> Results:
    """summary.json and junit.xml of `make test` and `make regress`."""
    summary = read_json(folder / SUMMARY_NAME)
    facts = summary if isinstance(summary, dict) else {}
    try:
        cases = list(ElementTree.parse(folder / JUNIT_NAME).iter("testcase"))  # noqa: S314 - our own file
    except ElementTree.ParseError as error:
        raise ConfigError(f"{JUNIT_NAME} cannot be read ({error})", str(folder), "run the tests again") from error
    run = RunRow(
        suite=folder.name, seconds=float(facts.get("seconds") or 0), complete=bool(facts.get("complete", False))
    )  # fmt: skip
    return Results(run, tuple(_case(folder, case) for case in cases), (run,), (), JUNIT_NAME)


_LABEL = re.compile(r"(?P<test>.+?)(?:-s(?P<seed>\d+))?\[(?P<simulator>[a-z]+)(?:-(?P<width>\d+))?\]")


def _case(folder: Path, case: ElementTree.Element) -> Job:
    group, name = case.get("classname", ""), case.get("name", "")
    place = folder / group
    job = Job(id=f"{group}::{name}", test=group, seconds=float(case.get("time") or 0))
    if match := _LABEL.fullmatch(group):
        width, seed = match["width"], match["seed"]
        job = replace(
            job, suite="rtl", test=match["test"], simulator=match["simulator"], width=int(width) if width else None,
            seed=int(seed) if seed else None, folder=shown(place) if place.is_dir() else "",
        )  # fmt: skip
    for child in case:
        if child.tag == "failure":
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
    summary, config = read_json(folder / SUMMARY_NAME), read_json(folder / "config.json")
    facts: dict[str, Any] = {**(config or {}), **(summary or {})}
    device = facts.get("device", "rtl")
    problem = problem_of(folder, summary)
    run = RunRow(
        suite="run", commit_hash=str(facts.get("commit") or ""), seconds=float(facts.get("sim_seconds") or 0),
        complete=bool(facts.get("complete", problem != NO_RESULTS)),
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
        if isinstance(facts.get(name), int | float)
    )
    return Results(run, (job,), (run,), figures, SUMMARY_NAME)


def problem_of(folder: Path, summary: Any) -> str:
    """Why a run failed, in one line; empty if it did not. A run that left no result has not passed."""
    if title := str(failure_record(folder).get("title") or ""):
        return title
    if (folder / "divergence.txt").exists():
        return divergence_title((folder / "divergence.txt").read_text(errors="replace"))
    outcomes = read_outcomes(folder / "results.xml")
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        return said_of(failed[0].message) or "failed without a message"
    rtl = read_json(folder / "rtl.json")
    problems = [*(summary or {}).get("problems", ()), *(rtl or {}).get("problems", ())]
    if problems:
        return str(problems[0])
    if summary is not None and not summary.get("complete", True):
        return "the run did not come to its end"
    return "" if outcomes or summary is not None else NO_RESULTS


def read_outcomes(path: Path) -> tuple[TestOutcome, ...]:
    """What results.xml says; nothing if the simulator was ended while it wrote it."""
    try:
        return read_results(path)
    except ElementTree.ParseError:
        return ()


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
    if not record and divergence is not None and divergence.exists():
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


def read_json(path: Path) -> Any:
    """What a JSON file holds, None if there is none or it is none."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
