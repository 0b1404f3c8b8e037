"""`make regress`: the RTL tests of a tier, once for each seed, on a farm of workers (docs/regression.md).

Everything is built before the first job goes out. Results lie in sim_build/regress/latest: results.sqlite (all runs),
summary.json and junit.xml (the last one), jobs/ (a folder a job), farm/ (logs of scheduler and workers).
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import io
import os
import shutil
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError, RunConfig
from tb.farm.cluster import FarmError, cluster_of
from tb.farm.farm import Ended, Farm
from tb.farm.history import writing
from tb.farm.job import FarmJob, Outcome
from tb.farm.results import (
    INTERRUPTED,
    TIME_OVER,
    FigureRow,
    JobRow,
    ResultsReader,
    ResultsWriter,
)
from tb.files import shortened, shown, write_json
from tb.progress import Meter
from tb.report.buckets import table
from tb.report.command import REPORT_NAME, Written, write_report
from tb.report.results import read_json
from tb.session.summary import commit_id
from tb.sim.build import BuildError, BuildResult, build
from tb.sim.run import RunResult, arrange, gather, replay_command, said_of
from tb.sim.tools import Tool
from tb.story.find import FAILURE_NAME
from tb.testing.names import nothing_has
from tb.testing.results import Report, Verdict, write_junit
from tb.testing.runner import chosen_tier, chosen_tools, in_no_job, settings_of, simulated_jobs, spec_of, take_job
from tb.testing.tiers import Job, Tiers, load

OUT = ROOT / "sim_build" / "regress"
LATEST = OUT / "latest"
RESULTS = LATEST / "results.sqlite"
#: What a resumed run must have in common with the one that it goes on with.
STATE = LATEST / "run.json"
#: What says how the last run ended.
VERDICTS = ("summary.json", "junit.xml", REPORT_NAME)
JOBS = LATEST / "jobs"
FARM = LATEST / "farm"
#: Folders whose files decide what a job does.
SOURCES = ("hdl", "model", "tb")
#: Seconds beyond the bound of a simulation: its end is judged by itself before the keeper's bound comes.
MARGIN = 30.0


@dataclass(frozen=True)
class Planned:
    """A job of the selection."""

    job: Job
    tool: Tool
    test: str
    seed: int

    @property
    def id(self) -> str:
        """Its name in all results."""
        return self.job.label

    @property
    def folder(self) -> Path:
        """Where it runs."""
        return JOBS / self.job.label


@dataclass
class Books:
    """What came of the jobs so far."""

    rows: dict[str, JobRow] = field(default_factory=dict)
    retried: list[dict[str, str]] = field(default_factory=list)

    def of(self, status: str) -> list[JobRow]:
        """The rows of one status."""
        return [row for row in self.rows.values() if row.status == status]


def main(config: RunConfig) -> int:
    """Run the suite; the last line printed is 'N passed, N failed'."""
    refuse_unused(config)
    if config.suite == "contract":
        from tb.contract.regress import main as contract

        return contract(config)
    report = Report()
    planned = plan(config, report)  # before anything of the last run is touched
    if config.resume and not RESULTS.exists():
        raise nothing_to_resume(RESULTS)
    with writing(RESULTS, "make regress") as writer:
        return Regression(config, writer, report).run(planned)


def nothing_to_resume(file: Path) -> ConfigError:
    """What is said where a run left nothing that can be gone on with; `file` has not got it."""
    return ConfigError("there is no run to go on with", f"RESUME=1, {shown(file)}", "run without RESUME")


def refuse_unused(config: RunConfig) -> None:
    """ConfigError for what was given and would change nothing in this suite."""
    contract, device, operations = config.suite == "contract", config.device, config.operations
    model = contract and device == "model"
    tests, random, rtl = (f"leave it out, or give {other}" for other in ("SUITE=tests", "SUITE=contract", "DEVICE=rtl"))
    given = (
        (contract and config.time_limit, "TIME is for the tests", f"TIME={config.time_limit:g}s", tests),
        (contract and config.filter, "FILTER is for the tests", f"FILTER={config.filter}", tests),
        (contract and config.test, "TEST is for the tests", f"TEST={config.test}", tests),
        (contract and config.resume, "RESUME is for the tests", "RESUME=1", tests),
        (contract and "TIER" in config.given, "TIER is for the tests", f"TIER={config.tier}", tests),
        (contract and config.cover, "COVER is for the tests", "COVER=1", tests),
        (model and config.trace, "TRACE is for the RTL here", "TRACE=1", rtl),
        (model and config.sim_given, "SIM is for the RTL", f"SIM={config.sim}", rtl),
        (not contract and "DEVICE" in config.given, "DEVICE is for SUITE=contract: tests simulate the RTL",
         f"DEVICE={device}", random),
        (not contract and "OPS" in config.given, "OPS is for SUITE=contract", f"OPS={operations}", random),
    )  # fmt: skip
    for unused, *words in given:
        if unused:
            raise ConfigError(*words)


def refuse_unknown(config: RunConfig, tiers: Tiers, tier: str, tools: dict[str, Tool | None]) -> None:
    """ConfigError if a word of TEST is in no name of a test of the whole device."""
    unknown = in_no_job(config, tiers, tier, tools)
    blocks = [word for word in unknown if any(word in job.label for job in tiers.jobs if job.top != "tb_top")]
    if absent := [word for word in unknown if word not in blocks]:
        raise nothing_has(absent, tiers)
    if blocks:
        names = " ".join(blocks)
        todo = f"`chimney test {names}` (`make test TEST='{names}'`) runs them"
        raise ConfigError("tests of blocks are not for regress, which plays the whole device", f"TEST={names}", todo)


def plan(config: RunConfig, report: Report) -> list[Planned]:
    """The selection; what cannot be run here is a verdict of the report already."""
    tools = chosen_tools(config)
    tiers, tier = load(), chosen_tier(config)
    refuse_unknown(config, tiers, tier, tools)
    print("simulators: " + ", ".join(f"{tool.label if tool else f'{kind} missing'}" for kind, tool in tools.items()))
    jobs = simulated_jobs(config, tiers, tier, tools, report)
    planned = [Planned(job, tool, test_of(job), int(job.settings.get("seed", config.seed))) for job, tool in jobs]
    if not planned and not report.verdicts:
        given = {"FILTER": config.filter, "TEST": config.test, "TIER": tier}
        where = next(f"{name}={value}" for name, value in given.items() if value)
        raise ConfigError("no test is selected", where, "`make list` has their names; TIER=all has more")
    return planned


class Regression:
    """One call of the command."""

    def __init__(self, config: RunConfig, writer: ResultsWriter, report: Report) -> None:
        self._config = config
        self._writer = writer
        self._started = time.monotonic()
        self._report = report
        self._books = Books()
        self._before = 0.0
        self._run = 0
        self._token = ""
        #: Jobs that were under way when the command ended, before it was gone on with.
        self._cut: set[str] = set()
        self._built: dict[Path, BuildResult | str] = {}

    def run(self, planned: Sequence[Planned]) -> int:
        """All of it; the exit status."""
        self._begin(planned)
        todo = [one for one in planned if one.id not in self._books.rows]
        reason = INTERRUPTED
        try:
            self._build(todo)
            self._farm(todo)
            reason = TIME_OVER
        except FarmError as error:
            reason = str(error)
            print(f"error: {error}", flush=True)
        finally:
            for one in todo:
                if one.id not in self._books.rows:
                    self._record(self._row(one, "not_run", cause=reason))
            self._write(planned)
            written = write_report(LATEST)
            self._tell(written)
        print(written.results.verdict)
        bad = len(self._books.of("failed")) + len(self._books.of("lost"))
        counted = f"{len(self._books.of('passed'))} passed, {bad} failed, {len(self._books.of('not_run'))} skipped"
        print(counted, flush=True)
        return 0 if written.results.good else 1

    # ---- what is to be run ------------------------------------------------------------------------------------------

    def _begin(self, planned: Sequence[Planned]) -> None:
        """A new run, or the last one again (RESUME)."""
        now = {"suite": self._config.suite, "tree": fingerprint(), "ids": [one.id for one in planned]}
        if self._config.resume:
            self._resume(now, planned)
            self._forget()
        else:
            self._forget()
            STATE.unlink(missing_ok=True)
            for folder in (JOBS, FARM):
                shutil.rmtree(folder, ignore_errors=True)
            started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            self._token = uuid.uuid4().hex
            self._run = self._writer.begin(self._config.suite, commit_id(), started)
            write_json(STATE, {"run": self._run, "token": self._token, **now})
        self._summarize(complete=False)
        for verdict in self._report.of("skipped"):
            self._record(JobRow(
                id=verdict.test, suite=self._config.suite, test=verdict.test, simulator=verdict.simulator, width=0,
                seed=0, status="not_run", cause=verdict.message,
            ))  # fmt: skip

    def _forget(self) -> None:
        """Nothing says any more how the last run ended, however this one ends."""
        for name in VERDICTS:
            (LATEST / name).unlink(missing_ok=True)

    def _resume(self, now: dict[str, Any], planned: Sequence[Planned]) -> None:
        state = read_json(STATE)
        if not isinstance(state, dict) or not {"run", "token", *now} <= state.keys():
            raise nothing_to_resume(STATE)
        for what, words in (("tree", "files changed"), ("suite", "it is another suite"), ("ids", "the jobs differ")):
            if state[what] != now[what]:
                raise ConfigError(
                    f"the last run cannot be gone on with: {words} since", "RESUME=1", "run without RESUME"
                )
        self._run, self._token = state["run"], state["token"]
        reader = ResultsReader(RESULTS)
        last = next((run for run in reader.runs() if run.id == self._run), None)
        if last is None:
            raise nothing_to_resume(RESULTS)
        self._before = last.seconds
        self._writer.resume(self._run)
        self._books.rows = {row.id: row for row in reader.jobs(self._run)}
        self._books.retried = [
            {"id": row.id, "cause": row.cause} for row in self._books.rows.values() if row.cause is not None
        ]
        with contextlib.redirect_stdout(io.StringIO()):
            for one in planned:
                if one.id in self._books.rows:
                    take_job(one.job, self._found(one, self._bare(one).outcome()), self._config, self._report)
        print(f"run {self._run} goes on: {len(self._books.rows)} of {len(planned)} jobs have ended")

    # ---- running ----------------------------------------------------------------------------------------------------

    def _build(self, todo: Sequence[Planned]) -> None:
        """Build every simulator once; whose build fails has failed."""
        for one in todo:
            spec = spec_of(one.job, one.tool, cover=self._config.cover)
            directory = spec.build_dir()
            if directory not in self._built and self._bare(one).outcome() is None:
                try:
                    self._built[directory] = build(spec, say=print)
                except BuildError as error:
                    self._built[directory] = str(error)
            problem = self._built.get(directory)
            if isinstance(problem, str):
                take_job(one.job, (None, problem, 0.0), self._config, self._report)
                self._record(self._row(one, "failed", title=problem.splitlines()[0]))

    def _farm(self, todo: Sequence[Planned]) -> None:
        by_id = {one.id: one for one in todo if one.id not in self._books.rows}
        if not by_id:
            return
        limit = self._config.time_limit
        deadline = self._started + limit if limit else None
        farm = Farm(cluster_of(self._config, FARM), deadline=deadline)
        try:
            with Meter("regress", len(by_id)) as meter, contextlib.closing(farm.run(self._jobs(by_id))) as ended:
                for one in meter.over(ended):
                    self._take(by_id[one.job.id], one)
        finally:
            for job in farm.unfinished:  # its end came while everything was ended
                outcome = job.outcome()
                if outcome is not None:
                    self._take(by_id[job.id], Ended(job, outcome))

    def _jobs(self, by_id: dict[str, Planned]) -> Iterator[FarmJob]:
        for one in by_id.values():
            bare = self._bare(one)
            if bare.outcome() is not None:
                yield bare
                continue
            if bare.attempts():
                self._cut.add(one.id)
            yield self._job(one)

    def _bare(self, one: Planned) -> FarmJob:
        """As much of a job as its outcome needs: nothing is touched."""
        return FarmJob(id=one.id, token=self._token, folder=one.folder, command=(), cwd=one.folder)

    def _job(self, one: Planned) -> FarmJob:
        """The simulation as a job: the simulator's own command, with the files that it reads."""
        built = self._built[spec_of(one.job, one.tool, cover=self._config.cover).build_dir()]
        assert isinstance(built, BuildResult)  # noqa: S101 - the others have failed
        return simulation(one.job, built, one.folder, self._config, self._token)

    # ---- what came of it --------------------------------------------------------------------------------------------

    def _take(self, one: Planned, ended: Ended) -> None:
        """A job has ended: print it, count it, write it down."""
        found = self._found(one, ended.outcome)
        take_job(one.job, found, self._config, self._report)
        causes = "; ".join(([INTERRUPTED] if one.id in self._cut else []) + list(ended.causes))
        if causes:
            self._books.retried.append({"id": one.id, "cause": causes})
        if ended.outcome is None:
            row = self._row(one, "lost", cause=causes)
        elif found[0] is not None and found[0].passed:
            row = self._row(one, "passed", cause=causes)
        else:
            key, title = failure_of(one.folder)
            row = replace(self._row(one, "failed", cause=causes, title=title or title_of(found)), failure_key=key)
        self._record(replace(row, attempts=ended.job.attempts(), seconds=round(found[2], 3)))

    def _found(self, one: Planned, outcome: Outcome | None) -> tuple[RunResult | None, str, float]:
        """What a job left in its folder, as the runner of tests takes it."""
        if outcome is None:
            return None, "lost: the farm could not bring it to its end", 0.0
        problem = outcome.problem(one.job.timeout)
        result = gather(
            one.folder, outcome.seconds, f"the simulator {problem}" if problem else "", log=one.folder / "sim.log"
        )
        return result, result.problem, outcome.seconds

    def _row(self, one: Planned, status: str, *, cause: str = "", title: str | None = None) -> JobRow:
        return JobRow(
            id=one.id, suite=self._config.suite, test=one.test, simulator=one.job.simulator, width=one.job.data_w,
            seed=one.seed, status=status, cause=cause or None, folder=shown(one.folder), title=title,
            replay=replay_command(one.folder) if status in ("passed", "failed", "lost") else None,
        )  # fmt: skip

    def _record(self, row: JobRow) -> None:
        self._writer.add(self._run, row)
        self._books.rows[row.id] = row

    def _write(self, planned: Sequence[Planned]) -> None:
        """summary.json, junit.xml, and the run's row."""
        report, books = self._report, self._books
        seconds = self._seconds()
        open_jobs = {one.id for one in planned} & {row.id for row in (*books.of("not_run"), *books.of("lost"))}
        self._writer.finish(self._run, seconds=seconds, complete=not open_jobs)
        for simulator in sorted(report.commits):
            compared = {"commits": report.commits[simulator], "frames": report.frames[simulator]}
            for what, value in compared.items():
                self._writer.figure(self._run, FigureRow(f"{what}_compared_{simulator}", value, what))
        for row in (*books.of("not_run"), *books.of("lost")):
            if row.id in open_jobs and row.status == "not_run":
                message = f"not run: {row.cause}"
                self._report.verdicts.append(Verdict(row.id, "skipped", message=message, simulator=row.simulator))
        write_junit(LATEST / "junit.xml", "chimney regress", self._report.verdicts, seconds)
        self._summarize(complete=not open_jobs)

    def _seconds(self) -> float:
        """How long the run took so far, without the time between an interrupt and its going on."""
        return self._before + time.monotonic() - self._started

    def _summarize(self, *, complete: bool) -> None:
        """summary.json."""
        report, books = self._report, self._books
        write_json(LATEST / "summary.json", {
            "schema": 1,
            "complete": complete,
            "run": self._run,
            "suite": self._config.suite,
            "commit": commit_id(),
            "cluster": self._config.cluster,
            "jobs": len(books.rows),
            **{status: len(books.of(status)) for status in ("passed", "failed", "lost", "not_run")},
            "retried": books.retried,
            "failures": [
                {"id": row.id, "title": row.title, "folder": row.folder, "replay": row.replay}
                for row in (*books.of("failed"), *books.of("lost"))
            ],
            "not_run_causes": dict(Counter(str(row.cause) for row in books.of("not_run"))),
            "simulators": {
                name: {"commits_compared": report.commits[name], "frames_compared": report.frames[name]}
                for name in sorted(report.commits)
            },
            "seconds": round(self._seconds(), 1),
        })  # fmt: skip

    def _tell(self, written: Written) -> None:
        """What failed, bucket by bucket, then what was not run and how it can be."""
        books = self._books
        for line in table(written.buckets):
            print(line)
        print(f"results: {shown(LATEST)}/{{summary.json, report.html, results.sqlite, junit.xml}}; run {self._run}")
        for cause, count in Counter(str(row.cause) for row in books.of("not_run")).items():
            print(f"not run: {count} jobs: {cause}")
        if any(row.folder for row in books.of("not_run")):
            print("the same command with --resume (RESUME=1) runs the rest")
        if books.retried:
            print(f"handed out again for want of a worker or a scheduler, or after an interrupt: {len(books.retried)}")


def simulation(job: Job, built: BuildResult, folder: Path, config: RunConfig, token: str) -> FarmJob:
    """A job of the test list as a job of the farm."""
    arranged = arrange(
        built, job.module, folder, config=settings_of(job, config, folder), plusargs=job.plusargs, timeout=job.timeout,
        testcase=job.testcase, extra_env={"PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )  # fmt: skip
    captured = arranged.command()
    always = ("PATH", "PYTHONPYCACHEPREFIX")
    return FarmJob(
        id=job.label, token=token, folder=folder, command=captured.command, cwd=folder,
        env={n: v for n, v in captured.environment.items() if n in always or os.environ.get(n) != v},
        files={path.name: path.read_text() for path in arranged.files}, log="sim.log", timeout=job.timeout,
    )  # fmt: skip


def test_of(job: Job) -> str:
    """The test's name without its seed."""
    return job.name.removesuffix(f"-s{job.settings['seed']}") if "seed" in job.settings else job.name


def failure_of(folder: Path) -> tuple[str | None, str | None]:
    """Key and title of the failure record, if the simulation left one."""
    found = read_json(folder / FAILURE_NAME)
    return (found.get("key"), found.get("title")) if isinstance(found, dict) else (None, None)


def title_of(found: tuple[RunResult | None, str, float]) -> str:
    """What failed, in one line."""
    result, problem, _ = found
    if problem or result is None:
        return problem.splitlines()[0]
    case = next(case for case in result.outcomes if case.status == "failed")
    return shortened(f"{case.name.rpartition('.')[2]}: {said_of(case.message)}", 200)


def fingerprint() -> str:
    """A hash of every file that decides what a job does, tracked or not."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *SOURCES],
        cwd=ROOT, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    names = sorted(set(listing.stdout.decode().split("\0")) - {""}) if listing.returncode == 0 else None
    if names is None:  # not a checkout
        names = sorted(str(p.relative_to(ROOT)) for folder in SOURCES for p in (ROOT / folder).rglob("*.[pvt]*"))
    digest = hashlib.sha256()
    for name in names:
        path = ROOT / name
        if path.is_file():
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
