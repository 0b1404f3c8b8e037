"""The farm: a job is isolated and bounded, ends exactly once, and is run again only for want of a worker."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tb.config import ROOT, ConfigError, RunConfig
from tb.farm import bench, keeper, pool, regress, remote, results
from tb.farm import cluster as cluster_module
from tb.farm import farm as farm_module
from tb.farm.cluster import Cluster, GivenCluster, missing_slurm, settings_of
from tb.farm.farm import Ended, Farm
from tb.farm.job import FarmJob
from tb.farm.results import FigureRow, JobRow, ResultsError, ResultsReader, ResultsWriter
from tb.farm.trial import Trial
from tb.pool import Job as PoolJob
from tb.report.command import write_report
from tb.sim.build import BuildError, BuildResult
from tb.sim.run import replay_command
from tb.sim.tools import Tool
from tb.testing.results import Report
from tb.testing.runner import settings_of as settings_of_job
from tb.testing.tiers import Job
from tb.tests.model.test_config_errors import PATIENCE, alive, interrupted

ICARUS = Tool("icarus", "11.0", "system", Path("iverilog"))


def python(program: str, *words: str) -> tuple[str, ...]:
    """A command that runs a line of Python."""
    return (sys.executable, "-I", "-S", "-c", program, *words)


def job_of(folder: Path, program: str, *words: str, **more: Any) -> FarmJob:
    """A job that runs a line of Python in `folder`, laid out."""
    job = FarmJob("one", "now", folder, python(program, *words), folder, **more)
    job.lay_out()
    return job


def keep(job: FarmJob) -> subprocess.Popen[bytes]:
    """The keeper of a job, with this process as its worker."""
    command = [sys.executable, "-I", "-S", keeper.__file__, str(job.folder), str(os.getpid())]
    return subprocess.Popen(command, start_new_session=True)


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ---- one job -------------------------------------------------------------------------------------


def test_a_job_has_its_folder_for_itself_with_the_files_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "of-an-earlier-run").mkdir()
    (tmp_path / "stale.json").write_text("{}")
    program = "import os; print(sorted(os.listdir())); print(open('given.txt').read()); print(os.environ['MINE'])"
    job = job_of(tmp_path, program, files={"given.txt": "content"}, env={"MINE": "yes"})
    assert keep(job).wait(PATIENCE) == 0
    outcome = job.outcome()
    assert outcome is not None
    assert outcome.passed
    ours = ["attempts.jsonl", "farm.json", "farm.lock", "given.txt", "job.log"]
    assert (tmp_path / "job.log").read_text().splitlines() == [str(ours), "content", "yes"]
    assert job.attempts() == 1


SPAWNS = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
    "open('pid', 'w').write(str(child.pid))\n"
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "time.sleep(float(sys.argv[1]))\n"
)


@pytest.mark.parametrize(("seconds", "timeout", "ended"), [("300", 1.0, "time-out"), ("0", 60.0, "exit")])
def test_a_job_that_is_over_leaves_nothing_running_in_whichever_group(
    seconds: str, timeout: float, ended: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(tmp_path, SPAWNS, seconds, timeout=timeout)
    assert keep(job).wait(PATIENCE) == 0
    outcome = job.outcome()
    assert outcome is not None
    assert outcome.ended == ended
    assert outcome.seconds >= (1.0 if ended == "time-out" else 0.0)
    assert ("bound of 1 s" in outcome.problem(1.0)) is (ended == "time-out")
    assert not alive({int((tmp_path / "pid").read_text())})


def test_a_job_that_wants_more_memory_than_its_bound_fails_alone(tmp_path: Path) -> None:
    program = "x = bytearray(1 << 30)"
    job = job_of(tmp_path / "bounded", program, memory=256 << 20)
    assert keep(job).wait(PATIENCE) == 0
    outcome = job.outcome()
    assert outcome is not None
    assert outcome.status == 1
    assert "MemoryError" in (job.folder / "job.log").read_text()
    free = job_of(tmp_path / "free", program, memory=0)
    assert keep(free).wait(PATIENCE) == 0
    assert free.outcome() is not None
    assert free.outcome().passed  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("program", "status", "words"),
    [("import sys; sys.exit(3)", 3, "ended with status 3"), ("import os; os.kill(os.getpid(), 11)", -11, "signal 11")],
)
def test_a_job_that_ends_badly_has_an_outcome_that_says_so(
    program: str, status: int, words: str, tmp_path: Path
) -> None:
    job = job_of(tmp_path, program)
    assert keep(job).wait(PATIENCE) == 0
    outcome = job.outcome()
    assert outcome is not None
    assert (outcome.ended, outcome.status) == ("exit", status)
    assert words in outcome.problem(1.0)


def test_a_program_that_is_not_there_is_an_outcome_and_not_a_lost_worker(tmp_path: Path) -> None:
    job = FarmJob("one", "now", tmp_path, ("no-such-program",), tmp_path)
    job.lay_out()
    assert keep(job).wait(PATIENCE) == 0
    outcome = job.outcome()
    assert outcome is not None
    assert outcome.problem(1.0) == "could not be started"


COUNTS = "import os, sys, time; os.write(os.open(sys.argv[1], os.O_APPEND | os.O_WRONLY | os.O_CREAT), b'x'); "


def test_a_job_whose_worker_is_killed_ends_without_an_outcome_and_takes_its_programs_along(tmp_path: Path) -> None:
    folder, count = tmp_path / "job", tmp_path / "count"
    job = job_of(folder, SPAWNS, "300")
    worker = subprocess.Popen(python(
        "import os, subprocess, sys; subprocess.Popen([*sys.argv[1:], str(os.getpid())]).wait()",
        sys.executable, "-I", "-S", keeper.__file__, str(folder),
    ))  # fmt: skip
    wait_for(lambda: (folder / "pid").exists() and (folder / "pid").read_text() != "")
    below = keeper.below(worker.pid)
    assert len(below) == 3  # keeper, job, what the job started
    worker.kill()
    worker.wait()
    # Another attempt begins only when the first is over, and is the one that counts.
    again = job_of(folder, COUNTS, str(count))
    assert keep(again).wait(PATIENCE) == 0
    assert not alive(below)
    outcome = job.outcome()
    assert outcome is not None
    assert outcome.passed
    assert (job.attempts(), count.read_text()) == (2, "x")


def test_a_job_that_has_ended_is_not_run_again_in_the_same_run(tmp_path: Path) -> None:
    count = tmp_path / "count"
    job = job_of(tmp_path / "job", COUNTS + "time.sleep(0.3)", str(count))
    keepers = [keep(job) for _ in range(3)]  # also of attempts at a time, one runs it
    assert [process.wait(PATIENCE) for process in keepers] == [0, 0, 0]
    assert count.read_text() == "x"
    later = replace(job, token="later")  # noqa: S106 - the name of a run
    assert later.outcome() is None
    later.lay_out()
    assert keep(later).wait(PATIENCE) == 0
    assert count.read_text() == "xx"
    assert (later.attempts(), later.outcome() is not None) == (1, True)


# ---- results -------------------------------------------------------------------------------------


def row(name: str, status: str, **more: Any) -> JobRow:
    """A job's row."""
    return JobRow(id=name, suite="tests", test=name, simulator="icarus", width=64, seed=1, status=status, **more)


def test_results_come_back_as_they_were_written_also_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    reader = ResultsReader(path)
    rows = (row("a", "passed", seconds=1.5, attempts=1), row("b", "failed", failure_key="k", title="t", replay="r"))
    with ResultsWriter(path) as writer:
        run = writer.begin("tests", "abc", "2026-01-01T00:00:00+00:00")
        for one in rows:
            writer.add(run, one)
        assert reader.jobs(run) == rows
        assert reader.runs()[0].complete is False
        writer.figure(run, FigureRow("commits", 12.0, "commits"))
        writer.finish(run, seconds=2.5, complete=True)
        second = writer.begin("tests", "abd", "2026-01-02T00:00:00+00:00")
    assert [(one.id, one.seconds, one.complete) for one in reader.runs()] == [(run, 2.5, True), (second, 0.0, False)]
    assert reader.figures(run) == (FigureRow("commits", 12.0, "commits"),)
    assert reader.jobs(second) == ()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["results.lock", "results.sqlite"]


def test_a_job_cannot_end_twice_and_only_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "results.sqlite"
    with ResultsWriter(path) as writer:
        run = writer.begin("tests", "abc", "now")
        writer.add(run, row("a", "passed"))
        with pytest.raises(ResultsError, match="a ended twice in run 1"):
            writer.add(run, row("a", "failed"))
        with pytest.raises(ResultsError, match="no such status"):
            writer.add(run, row("b", "perhaps"))
        with pytest.raises(ResultsError, match="another command writes"), ResultsWriter(path):
            pass
        writer.add(run, row("c", "not_run", cause="time is over"))
        writer.add(run, row("d", "lost"))
        writer.resume(run)
    assert [one.id for one in ResultsReader(path).jobs(run)] == ["a"]


# ---- the driver ----------------------------------------------------------------------------------


class FakeFuture:
    """A future that is over when it is made."""

    def __init__(self, key: str, error: Exception | None, text: str | None) -> None:
        self.key, self._error, self._text = key, error, text
        self.status = "error" if error else "finished"

    def add_done_callback(self, function: Callable[[Any], None]) -> None:
        function(self)

    def exception(self, timeout: float) -> Exception | None:
        return self._error

    def result(self, timeout: float) -> str | None:
        return self._text


class FakeCluster(Cluster):
    """Runs each job at once, in this process, unless `breaks` says that the worker dies under it."""

    def __init__(self, breaks: Callable[[str], bool] = lambda _: False) -> None:
        super().__init__()
        self._breaks = breaks
        self.handed: list[str] = []
        self.losses: list[str] = []
        self.open = False

    @property
    def slots(self) -> int:
        return 2

    def start(self) -> None:
        self.open = True
        self.client = SimpleNamespace(submit=self._submit, close=lambda timeout: None, status="running")

    def tend(self) -> str:
        return self.losses.pop() if self.losses else ""

    def close(self) -> None:
        self.open = False

    def _submit(self, function: Any, path: str, folder: str, *, key: str, pure: bool, retries: int) -> FakeFuture:
        assert (function, pure, retries) == (remote.keep, False, 0)
        name = Path(folder).name
        self.handed.append(name)
        if self._breaks(name):
            return FakeFuture(key, RuntimeError("the node is gone"), None)
        return FakeFuture(key, None, remote.keep(path, folder))


def jobs_of(folder: Path, *statuses: int) -> list[FarmJob]:
    """Jobs that end with these statuses."""
    program = "import sys; sys.exit(int(sys.argv[1]))"
    names = [f"j{number}" for number in range(len(statuses))]
    return [
        FarmJob(name, "now", folder / name, python(program, str(status)), folder / name)
        for name, status in zip(names, statuses, strict=True)
    ]


def test_a_failed_job_is_never_run_again_and_one_without_a_worker_is(tmp_path: Path) -> None:
    left = {"j2": 2}

    def breaks(name: str) -> bool:
        left[name] = left.get(name, 0) - 1
        return left[name] >= 0

    cluster = FakeCluster(breaks)
    said: list[str] = []
    ended = {one.job.id: one for one in Farm(cluster, say=said.append).run(jobs_of(tmp_path, 0, 1, 0))}
    assert {name: one.outcome and one.outcome.status for name, one in ended.items()} == {"j0": 0, "j1": 1, "j2": 0}
    assert sorted(cluster.handed) == ["j0", "j1", "j2", "j2", "j2"]
    assert ended["j2"].causes == ("RuntimeError: the node is gone",) * 2
    assert ended["j1"].causes == ()
    assert len(said) == 2
    assert not cluster.open


def test_a_job_that_no_worker_survives_is_lost_and_the_others_end(tmp_path: Path) -> None:
    cluster = FakeCluster(lambda name: name == "j0")
    ended = {one.job.id: one for one in Farm(cluster, say=lambda _: None).run(jobs_of(tmp_path, 0, 0))}
    assert ended["j0"].outcome is None
    assert len(ended["j0"].causes) == farm_module.TIMES == cluster.handed.count("j0")
    assert ended["j1"].outcome is not None


def test_what_ended_before_the_scheduler_went_is_not_handed_out_again(tmp_path: Path) -> None:
    cluster = FakeCluster()
    cluster.losses.append("scheduler lost")
    said: list[str] = []
    ended = list(Farm(cluster, say=said.append).run(jobs_of(tmp_path, 0, 0, 0)))
    assert [one.causes for one in ended] == [(), (), ()]
    assert sorted(cluster.handed) == ["j0", "j1", "j2"]
    assert said[0].startswith("scheduler lost: beginning anew, 2 jobs")


def test_after_its_time_the_farm_hands_out_nothing_and_takes_what_ends(tmp_path: Path) -> None:
    cluster = FakeCluster()
    jobs = jobs_of(tmp_path, 0, 0, 0, 0)
    farm = Farm(cluster, deadline=time.monotonic() + 3600)
    ended: list[Ended] = []
    for one in farm.run(iter(jobs)):
        ended.append(one)
        farm._deadline = time.monotonic()
    assert len(ended) == 2  # both were out
    assert cluster.handed == ["j0", "j1"]


def test_jobs_of_the_local_pool_end_the_same_way_on_a_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "cluster_of", lambda config, folder: FakeCluster())
    program = "import sys; print(open('seed3/job.json').read()); sys.exit(int(sys.argv[1]))"
    (tmp_path / "seed3").mkdir()
    (tmp_path / "seed3" / "job.json").write_text("the settings")
    job = PoolJob("seed3", python(program, "4"), tmp_path, {}, tmp_path / "seed3" / "run.log", PATIENCE)
    found = list(pool.farm_jobs([job], RunConfig(command="regress"), tmp_path / "logs", files=["job.json"]))
    assert [(one.job, one.status) for one in found] == [(job, 4)]
    assert job.log.read_text() == "the settings\n"


def test_random_contract_operations_take_no_option_of_the_tests() -> None:
    for name, settings in (("TIME", {"time_limit": 1.0}), ("FILTER", {"filter": "x"}), ("RESUME", {"resume": True})):
        with pytest.raises(ConfigError, match=f"{name} is for the tests"):
            regress.main(replace(RunConfig(command="regress", suite="contract", device="model"), **settings))


@pytest.mark.rule("C-31")
@pytest.mark.parametrize(
    ("given", "what", "todo"),
    [
        ({"SIM": "icarus", "DEVICE": "model"}, "DEVICE is for SUITE=contract", "SUITE=contract"),
        ({"SIM": "icarus", "DEVICE": "rtl"}, "DEVICE is for SUITE=contract", "SUITE=contract"),
        ({"SIM": "icarus", "OPS": "5"}, "OPS is for SUITE=contract", "SUITE=contract"),
        ({"SUITE": "contract", "DEVICE": "model", "TIER": "all"}, "TIER is for the tests", "SUITE=tests"),
        ({"SUITE": "contract", "DEVICE": "model", "COVER": "1"}, "COVER is for the tests", "SUITE=tests"),
        ({"SUITE": "contract", "DEVICE": "model", "FILTER": "x"}, "FILTER is for the tests", "SUITE=tests"),
        ({"SUITE": "contract", "DEVICE": "model", "TRACE": "1"}, "TRACE is for the RTL", "DEVICE=rtl"),
        ({"SUITE": "contract", "DEVICE": "model", "SIM": "icarus"}, "SIM is for the RTL", "DEVICE=rtl"),
    ],
)
def test_what_would_change_nothing_in_a_regression_is_refused_before_anything_is_lost(
    given: dict[str, str], what: str, todo: str, stand: Stand
) -> None:
    with pytest.raises(ConfigError, match=what) as refusal:
        regress.main(RunConfig.from_environment("regress", given))
    assert todo in refusal.value.todo
    assert not regress.LATEST.exists()


def test_the_version_of_ip_reaches_the_tests_of_a_regression_that_have_none_of_their_own(tmp_path: Path) -> None:
    config = RunConfig.from_environment("regress", {"FAMILY": "6"})
    regress.refuse_unused(config)
    families = [
        settings_of_job(Job("a", "m", "icarus", settings=own), config, tmp_path).family for own in ({}, {"family": 4})
    ]
    assert families == [6, 4]


def test_killed_workers_and_a_killed_scheduler_lose_no_job(tmp_path: Path) -> None:
    found = Trial(jobs=60, kills=2, workers=2, seed=1, out=tmp_path / "trial").run()
    assert found["problems"] == []
    assert (found["jobs"], found["passed"], found["failed"], found["lost"]) == (60, 59, 1, 0)
    assert (found["worker_kills"], found["scheduler_kills"]) == (2, 1)
    assert all(one["cause"] in ("worker lost", "scheduler lost") for one in found["retried"])


def test_a_scheduler_that_somebody_else_started_runs_the_jobs_and_its_workers_know_nothing_of_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "ALONE", PATIENCE)
    file = tmp_path / "address"
    scheduler = subprocess.Popen(
        [sys.executable, "-m", "tb.farm.serve", "scheduler", str(file), str(os.getpid())], cwd=ROOT
    )
    worker = None
    try:
        wait_for(file.exists)
        words = ["--nthreads", "2", "--no-nanny", "--no-dashboard", "--local-directory", str(tmp_path / "scratch")]
        with (tmp_path / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [sys.executable, "-P", "-m", "distributed.cli.dask_worker", file.read_text(), *words],
                cwd=tmp_path, stdout=log, stderr=log,
            )  # fmt: skip
        cluster = GivenCluster(file.read_text())
        ended = list(Farm(cluster, say=lambda _: None).run(jobs_of(tmp_path, 0, 3, 0)))
        assert cluster.slots == 2
    finally:
        for process in filter(None, (worker, scheduler)):
            process.kill()
            process.wait()
    assert sorted((one.job.id, one.outcome and one.outcome.status) for one in ended) == [
        ("j0", 0),
        ("j1", 3),
        ("j2", 0),
    ]


INTERRUPTED = """
import sys
from pathlib import Path
from tb.cli import heed_interrupts
from tb.farm.cluster import LocalCluster
from tb.farm.farm import Farm
from tb.farm.job import FarmJob
folder = Path(sys.argv[1])
def job(name):
    return FarmJob(name, "now", folder / name, ("sh", "-c", "touch started; sleep 300 & wait"), folder / name)
heed_interrupts()
try:
    list(Farm(LocalCluster(2, folder / "farm")).run([job("a"), job("b")]))
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_an_interrupted_farm_leaves_no_job_no_worker_and_no_scheduler(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, str(tmp_path)], cwd=ROOT, stdout=output, stderr=output,
            start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
    interrupted(process, signal.SIGINT, lambda: all((tmp_path / name / "started").exists() for name in "ab"), log)
    assert not any((tmp_path / name / "outcome.json").exists() for name in "ab")


# ---- the regression ------------------------------------------------------------------------------

CASE = '<testsuite><testcase classname="m" name="holds" time="0.1">{}</testcase></testsuite>'
FAILURE = '<failure error_msg="AssertionError: 1 is not 2"/>'
#: Of the failure record that the driver writes for a test that ends with an error (tb/story/record.py).
RECORD = {"key": "crash: holds: AssertionError: # is not #", "title": "holds: AssertionError: 1 is not 2"}
SIMULATES = (
    "import json, os, sys\n"
    "open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')\n"
    "open('results.xml', 'w').write(sys.argv[3])\n"
    "json.dump({'commits_compared': 5, 'frames_compared': 2}, open('rtl.json', 'w'))\n"
)


class Stand:
    """A regression of made-up simulations: what its jobs do, and which were run."""

    def __init__(self, tmp_path: Path) -> None:
        self.ran = tmp_path / "ran"
        self.cluster: Callable[[], FakeCluster] = FakeCluster
        self.names = ["good", "bad", "other"]
        self.unbuildable = ""
        self.tree = "this tree"

    def run(self, **settings: Any) -> int:
        config = replace(RunConfig(command="regress", jobs=2, seeds=(7,), sim="icarus", sim_given=True), **settings)
        return regress.main(config)

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((regress.LATEST / "summary.json").read_text())
        return found

    def rows(self) -> dict[str, JobRow]:
        return {one.id: one for one in ResultsReader(regress.RESULTS).jobs(self.summary()["run"])}

    def run_names(self) -> list[str]:
        return sorted(self.ran.read_text().split()) if self.ran.exists() else []

    def jobs(self, config: RunConfig, *_: object) -> Iterator[tuple[Job, Tool]]:
        for name in self.names:
            job = Job(f"{name}-s7", "some.module", "icarus", data_w=64, settings={"seed": 7})
            if config.selects(job.label):
                yield job, ICARUS

    def build(self, spec: Any, **_: object) -> BuildResult:
        if self.unbuildable and self.unbuildable in str(spec.directory):
            raise BuildError("iverilog ended with status 2\nsyntax error")
        return BuildResult(spec, spec.directory, 0.0, True, None)

    def simulation(self, job: Job, _built: BuildResult, folder: Path, _config: RunConfig, token: str) -> FarmJob:
        bad = job.name.startswith("bad")
        words = (str(self.ran), job.label, CASE.format(FAILURE if bad else ""))
        return FarmJob(job.label, token, folder, python(SIMULATES, *words), folder, log="sim.log")


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """The regression in a folder of its own, without simulators and without Dask."""
    made = Stand(tmp_path)
    latest = tmp_path / "latest"
    for name, path in (("LATEST", latest), ("RESULTS", latest / "results.sqlite"), ("STATE", latest / "run.json"),
                       ("JOBS", latest / "jobs"), ("FARM", latest / "farm")):  # fmt: skip
        monkeypatch.setattr(regress, name, path)
    monkeypatch.setattr(regress, "chosen_tools", lambda _: {"icarus": ICARUS})
    monkeypatch.setattr(regress, "simulated_jobs", lambda config, tiers, tier, tools, report: made.jobs(config))
    monkeypatch.setattr(
        regress,
        "spec_of",
        lambda job, _, cover: SimpleNamespace(directory=Path(job.name), build_dir=lambda: Path(job.name)),
    )
    monkeypatch.setattr(regress, "build", made.build)
    monkeypatch.setattr(regress, "simulation", made.simulation)
    monkeypatch.setattr(regress, "cluster_of", lambda config, folder: made.cluster())
    monkeypatch.setattr(regress, "fingerprint", lambda: made.tree)
    return made


GOOD, BAD, OTHER = (f"{name}-s7[icarus-64]" for name in ("good", "bad", "other"))


def test_a_regression_writes_what_came_of_every_job(stand: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    assert stand.run() == 1
    summary, rows = stand.summary(), stand.rows()
    assert {name: summary[name] for name in ("complete", "jobs", "passed", "failed", "lost", "not_run", "retried")} == {
        "complete": True, "jobs": 3, "passed": 2, "failed": 1, "lost": 0, "not_run": 0, "retried": [],
    }  # fmt: skip
    assert {name: one.status for name, one in rows.items()} == {GOOD: "passed", BAD: "failed", OTHER: "passed"}
    bad = rows[BAD]
    assert (bad.test, bad.simulator, bad.width, bad.seed, bad.attempts) == ("bad", "icarus", 64, 7, 1)
    assert (bad.failure_key, bad.title) == (RECORD["key"], RECORD["title"])
    assert bad.replay is not None
    assert bad.replay == replay_command(regress.JOBS / BAD)
    assert summary["failures"] == [{"id": BAD, "title": bad.title, "folder": bad.folder, "replay": bad.replay}]
    assert summary["simulators"] == {"icarus": {"commits_compared": 15, "frames_compared": 6}}
    junit = (regress.LATEST / "junit.xml").read_text()
    assert 'tests="3" failures="1" skipped="0"' in junit
    assert "AssertionError: 1 is not 2" in junit
    assert RECORD["title"] in (regress.LATEST / "report.html").read_text()
    assert stand.run_names() == [BAD, GOOD, OTHER]
    assert capsys.readouterr().out.splitlines()[-2:] == ["FAIL", "2 passed, 1 failed, 0 skipped"]


def test_jobs_that_fail_in_one_place_are_told_once_and_stand_in_one_row_of_the_closing_table(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.names = ["bad", "badder", "baddest", "good"]
    assert stand.run() == 1
    printed = capsys.readouterr().out
    assert printed.count("what must hold:") == 1
    assert printed.count(", told above\n") == 2
    closing = printed[printed.index("  count  seeds  failure") :].splitlines()
    assert closing[1].split() == ["3", "7", *RECORD["title"].split()]
    assert "chimney replay" in closing[2]
    assert closing[2].endswith("--waves")
    assert closing[3].startswith("results: ")
    assert printed.index("  count  seeds") > printed.rindex("FAILED  ")
    assert len(printed.splitlines()) < 50


def test_a_worker_that_is_lost_shows_as_a_cause_and_is_no_failure(stand: Stand) -> None:
    times = iter([True])
    stand.names = ["good", "other"]
    stand.cluster = lambda: FakeCluster(lambda name: name == OTHER and next(times, False))
    assert stand.run() == 0
    assert stand.summary()["retried"] == [{"id": OTHER, "cause": "RuntimeError: the node is gone"}]
    assert stand.rows()[OTHER].cause == "RuntimeError: the node is gone"


def test_a_job_that_is_lost_fails_the_regression_and_leaves_it_open(stand: Stand) -> None:
    stand.names = ["good", "other"]
    stand.cluster = lambda: FakeCluster(lambda name: name == OTHER)
    assert stand.run() == 1
    assert (stand.summary()["lost"], stand.summary()["complete"]) == (1, False)
    assert stand.rows()[OTHER].status == "lost"
    stand.cluster = FakeCluster
    assert stand.run(resume=True) == 0
    assert (stand.summary()["lost"], stand.summary()["complete"]) == (0, True)


class Interrupted(FakeCluster):
    """Ctrl-C comes when two jobs are out."""

    def tend(self) -> str:
        if len(self.handed) == 2:
            raise KeyboardInterrupt
        return ""


def test_an_interrupted_regression_keeps_what_ended_and_is_gone_on_with(stand: Stand) -> None:
    stand.cluster = Interrupted
    with pytest.raises(KeyboardInterrupt):
        stand.run()
    assert stand.summary()["complete"] is False
    assert stand.summary()["not_run_causes"] == {"interrupted": 1}
    # Both that were out came to their ends while the farm was left.
    assert {name: one.status for name, one in stand.rows().items()} == {
        GOOD: "passed", BAD: "failed", OTHER: "not_run",
    }  # fmt: skip
    stand.cluster = FakeCluster
    run = stand.summary()["run"]
    assert stand.run(resume=True) == 1
    assert (stand.summary()["run"], stand.summary()["complete"], stand.summary()["failed"]) == (run, True, 1)
    assert stand.run_names() == [BAD, GOOD, OTHER]  # each once
    assert 'tests="3" failures="1"' in (regress.LATEST / "junit.xml").read_text()


def test_a_driver_that_was_killed_finds_the_jobs_that_ended(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.names = ["good", "other"]

    def killed(*_: object) -> None:
        raise SystemExit("as if nothing could be written any more")

    with monkeypatch.context() as during:
        during.setattr(regress.Regression, "_record", killed)
        with pytest.raises(SystemExit):
            stand.run()
    assert (stand.summary()["complete"], stand.summary()["passed"]) == (False, 0)
    assert stand.run(resume=True) == 0
    assert {one.status for one in stand.rows().values()} == {"passed"}
    assert stand.run_names() == [GOOD, OTHER]  # each once


def verdict_of_the_report() -> str:
    """What stands at the head of the report."""
    found = re.search('<p class="verdict [a-z]+">(.*?)</p>', (regress.LATEST / "report.html").read_text())
    assert found is not None
    return found[1]


def test_a_run_that_was_killed_leaves_no_verdict_of_the_run_before(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.names = ["good", "other"]
    assert stand.run() == 0
    assert verdict_of_the_report() == "PASS"
    seen: list[tuple[list[str], bool, int]] = []

    def looks(*_: object) -> None:
        found = {path.name for path in regress.LATEST.iterdir()}
        summary = stand.summary()
        seen.append((sorted(found & set(regress.VERDICTS)), summary["complete"], summary["run"]))
        raise SystemExit("as if nothing could be written any more")

    with monkeypatch.context() as during:
        during.setattr(regress.Regression, "_build", looks)
        during.setattr(regress.Regression, "_write", looks)
        with pytest.raises(SystemExit):
            stand.run()
        with pytest.raises(SystemExit):
            stand.run(resume=True)
    assert seen == [(["summary.json"], False, 2)] * 4
    assert stand.run(resume=True) == 0
    assert (stand.summary()["complete"], verdict_of_the_report()) == (True, "PASS")


def test_after_an_interrupt_summary_report_and_cases_are_of_that_run_and_it_says_how_to_go_on(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.names = ["good", "other", "third"]
    assert stand.run() == 0
    stand.cluster = Interrupted
    capsys.readouterr()
    with pytest.raises(KeyboardInterrupt):
        stand.run()
    printed = capsys.readouterr().out.splitlines()
    assert "not run: 1 jobs: interrupted" in printed
    assert "the same command with --resume (RESUME=1) runs the rest" in printed
    page, summary = (regress.LATEST / "report.html").read_text(), stand.summary()
    assert (summary["run"], summary["complete"], verdict_of_the_report()) == (2, False, "FAIL (1 not run)")
    assert "The run did not come to its end" in page
    assert 'tests="3" failures="0" skipped="1"' in (regress.LATEST / "junit.xml").read_text()


def test_a_job_that_an_interrupt_cut_off_says_so_in_summary_results_and_report(stand: Stand) -> None:
    stand.names = ["good", "other"]
    stand.cluster = Interrupted
    with pytest.raises(KeyboardInterrupt):
        stand.run()
    (regress.JOBS / OTHER / "outcome.json").unlink()  # as if it had been ended in the middle
    with ResultsWriter(regress.RESULTS) as writer:
        writer.database.execute("DELETE FROM job WHERE id = ?", (OTHER,))
    stand.cluster = FakeCluster
    assert stand.run(resume=True) == 0
    assert stand.summary()["retried"] == [{"id": OTHER, "cause": "interrupted"}]
    assert (stand.rows()[OTHER].attempts, stand.rows()[OTHER].cause) == (2, "interrupted")
    assert f"{OTHER}: 2 attempts; interrupted" in (regress.LATEST / "report.html").read_text()


def test_the_cases_file_says_how_long_the_regression_took(stand: Stand) -> None:
    stand.names = ["good"]
    assert stand.run() == 0
    suite = ElementTree.parse(regress.LATEST / "junit.xml").getroot()  # noqa: S314 - our own file
    assert float(suite.get("time") or 0) == pytest.approx(stand.summary()["seconds"], abs=0.06)
    assert float(suite.get("time") or 0) > 0


def test_a_run_whose_time_is_over_has_one_verdict_in_terminal_report_and_status(
    stand: Stand, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Farm, "_late", lambda farm: farm._number == 2)  # two jobs were handed out
    stand.names = ["good", "other", "third"]
    assert stand.run(time_limit=3600.0) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["PASS (1 not run)", "2 passed, 0 failed, 1 skipped"]
    assert verdict_of_the_report() == "PASS (1 not run)"
    page = (regress.LATEST / "report.html").read_text()
    assert "1 jobs were not run: the time of the run was over." in page
    assert "did not come to its end" not in page
    assert (stand.summary()["complete"], stand.summary()["not_run"]) == (False, 1)
    stand.names.insert(0, "bad")
    assert stand.run(time_limit=3600.0) == 1
    assert verdict_of_the_report() == capsys.readouterr().out.splitlines()[-2] == "FAIL (2 not run)"


def test_a_regression_whose_time_is_over_says_how_many_were_not_run(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stand.run(time_limit=1e-9) == 1  # nothing passed
    assert stand.run_names() == []
    assert stand.summary()["not_run_causes"] == {"time is over": 3}
    assert "not run: 3 jobs: time is over" in capsys.readouterr().out
    assert stand.run(resume=True, filter=None) == 1
    assert stand.summary()["complete"] is True
    assert stand.run_names() == [BAD, GOOD, OTHER]


def test_only_the_same_tree_and_the_same_jobs_are_gone_on_with(stand: Stand) -> None:
    with pytest.raises(ConfigError, match="there is no run to go on with"):
        stand.run(resume=True)
    stand.run()
    with pytest.raises(ConfigError, match="the jobs differ"):
        stand.run(resume=True, filter="good")
    stand.tree = "another"
    with pytest.raises(ConfigError, match="files changed"):
        stand.run(resume=True)
    assert stand.run(filter="good") == 0  # a new run
    assert stand.summary()["jobs"] == 1


def test_a_simulator_that_cannot_be_built_fails_its_jobs_before_any_goes_out(stand: Stand) -> None:
    stand.unbuildable = "other"
    assert stand.run() == 1
    assert stand.rows()[OTHER].status == "failed"
    assert stand.rows()[OTHER].title == "iverilog ended with status 2"
    assert stand.run_names() == [BAD, GOOD]


def test_what_is_not_installed_is_not_run_with_its_reason(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    from tb.testing.results import Verdict

    def jobs(config: RunConfig, _tiers: Any, _tier: str, _tools: Any, report: Report) -> Iterator[tuple[Job, Tool]]:
        report.add(Verdict("peer-s7[icarus-64]", "skipped", message="no-lwip: not here", simulator="icarus"))
        stand.names = ["good"]
        yield from stand.jobs(config)

    monkeypatch.setattr(regress, "simulated_jobs", jobs)
    assert stand.run() == 0
    assert stand.summary()["not_run_causes"] == {"no-lwip: not here": 1}
    assert stand.summary()["complete"] is True


@pytest.mark.rule("C-32")
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("damage", ["no database", "a page overwritten", "cut off"])
def test_damaged_results_are_refused_with_what_to_do_and_nothing_is_lost(
    damage: str, resume: bool, stand: Stand
) -> None:
    stand.names = ["good"]
    assert stand.run() == 0
    whole = regress.RESULTS.read_bytes()
    assert len(whole) > 3 * 4096
    damaged = {
        "no database": b"x" * 5000, "a page overwritten": whole[:4096] + b"x" * 4096 + whole[8192:],
        "cut off": whole[:4096],
    }[damage]  # fmt: skip
    regress.RESULTS.write_bytes(damaged)
    before = {path.name for path in regress.LATEST.iterdir()}
    with pytest.raises(ConfigError, match=r"results\.sqlite cannot be used") as refusal:
        stand.run(resume=resume)
    assert refusal.value.todo.startswith("move results.sqlite away (earlier runs are in it)")
    assert {path.name for path in regress.LATEST.iterdir()} == before  # the last verdict, too
    assert (regress.RESULTS.read_bytes(), stand.run_names()) == (damaged, [GOOD])
    with pytest.raises(ConfigError) as unread:
        write_report(regress.LATEST)
    assert refusal.value.todo.partition(", then")[0] in unread.value.todo
    regress.RESULTS.rename(regress.LATEST / "kept")  # what the message says
    assert stand.run() == 0


@pytest.mark.rule("C-32")
@pytest.mark.parametrize("text", ["{}", "[]", "{", '{"run": 7}', "[" * 100_000], ids=str.__len__)
def test_a_run_whose_state_is_damaged_is_not_gone_on_with(text: str, stand: Stand) -> None:
    stand.names = ["good"]
    assert stand.run() == 0
    regress.STATE.write_text(text)
    with pytest.raises(ConfigError, match="there is no run to go on with"):
        stand.run(resume=True)
    assert stand.summary()["complete"] is True
    assert stand.run() == 0


@pytest.mark.rule("C-32")
def test_a_run_without_its_results_is_not_gone_on_with(stand: Stand) -> None:
    stand.names = ["good"]
    assert stand.run() == 0
    regress.RESULTS.unlink()
    with pytest.raises(ConfigError, match="there is no run to go on with"):
        stand.run(resume=True)
    assert not regress.RESULTS.exists()
    with ResultsWriter(regress.RESULTS):
        pass
    with pytest.raises(ConfigError, match="there is no run to go on with"):
        stand.run(resume=True)


def test_two_regressions_do_not_write_the_same_results(stand: Stand) -> None:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with ResultsWriter(regress.RESULTS):
            held.set()
            done.wait(PATIENCE)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(PATIENCE)
    try:
        with pytest.raises(ConfigError, match="another command writes"):
            stand.run()
    finally:
        done.set()
        thread.join()


# ---- what the command takes ----------------------------------------------------------------------


def test_the_variables_of_a_regression_are_read_and_checked() -> None:
    given = {"TIME": "30m", "CLUSTER": "tcp://node7:8786", "FILTER": "transfer.*64", "RESUME": "1", "SIM": "both"}
    config = RunConfig.from_environment("regress", given)
    assert (config.time_limit, config.cluster, config.filter, config.resume) == (
        1800.0, "tcp://node7:8786", "transfer.*64", True,
    )  # fmt: skip
    assert not config.sim_given
    assert [config.selects(name) for name in ("transfer[icarus-64]", "transfer[icarus-512]")] == [True, False]
    assert RunConfig.from_environment("regress", {"TIME": "1.5h"}).time_limit == 5400.0
    for wrong, what in (
        ({"TIME": "soon"}, "TIME is not a time"), ({"TIME": "-5s"}, "TIME is not a time"),
        ({"CLUSTER": "moon"}, "CLUSTER is not a cluster"), ({"FILTER": "("}, "FILTER is not a regular expression"),
        ({"SIM": "both", "SUITE": "contract"}, "one simulator is wanted here"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=what):
            RunConfig.from_environment("regress", wrong)
    with pytest.raises(ConfigError, match="one simulator is wanted here"):
        RunConfig.from_environment("run", {"SIM": "both"})
    assert RunConfig.from_environment("run", {"TIME": "%E real"}).time_limit == 0.0  # GNU time's


def test_settings_of_the_user_come_before_ours_on_slurm(tmp_path: Path) -> None:
    ours = settings_of({}, tmp_path)
    assert ours["cores"] == ours["processes"] == 1
    assert "queue" not in ours
    assert "memory" not in settings_of({"memory": "4GB", "log-directory": "logs"}, tmp_path)


def test_a_machine_without_slurm_says_so_with_the_reason_of_the_closed_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = missing_slurm()
    assert reason is not None
    assert reason.startswith("no-slurm: sbatch, ")
    with pytest.raises(ConfigError, match="Slurm's commands are not here"):
        cluster_module.cluster_of(RunConfig(command="regress", cluster="slurm"), tmp_path)
    assert shutil.which("sbatch") is None


# ---- the bench -----------------------------------------------------------------------------------


def test_the_bench_writes_medians_of_pairs_and_holds_only_enough_long_jobs_to_the_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workers: list[int] = []

    def local(count: int, _folder: Path) -> FakeCluster:
        workers.append(count)
        return FakeCluster()

    def simulation(job: Job, _built: BuildResult, folder: Path, _config: RunConfig, token: str) -> FarmJob:
        program = "import sys; open('results.xml', 'w').write(sys.argv[1])"
        return FarmJob(job.label, token, folder, python(program, CASE.format("")), folder)

    monkeypatch.setattr(bench, "OUT", tmp_path)
    monkeypatch.setattr(bench, "RESULT", ROOT / "sim_build" / "bench" / "farm-of-a-test.json")
    monkeypatch.setattr(bench, "choose", lambda sim, fall_back: (ICARUS, ""))
    monkeypatch.setattr(bench, "spec_of", lambda job, tool, cover=False: None)
    monkeypatch.setattr(bench, "build_shown", lambda spec: None)
    monkeypatch.setattr(bench, "LocalCluster", local)
    monkeypatch.setattr(bench, "simulation", simulation)
    try:
        assert bench.main(RunConfig(command="bench-farm", seeds=(1, 2), given=("SEEDS",))) == 0
        found = json.loads(bench.RESULT.read_text())
    finally:
        bench.RESULT.unlink(missing_ok=True)
    kept = results.ResultsReader(tmp_path / results.HISTORY_NAME)
    assert {one.name: one.value for one in kept.figures(1)} == {f"farm_{name}": found[name] for name in found}
    assert list(found) == [
        "jobs", "seconds_1", "seconds_2", "ratio", "overhead_seconds_per_job", "job_seconds_min", "job_seconds_max",
    ]  # fmt: skip
    assert found["jobs"] == 2
    assert workers == [1, 2] * 3
    assert "not held to the targets" in capsys.readouterr().out
    seconds = (9.0, 11.0, *[10.0] * 6)
    pairs = [(bench.Pass(80.0 + extra, seconds), bench.Pass(44.0, seconds)) for extra in (1.6, 0.8, 8.0)]
    numbers = bench.figures(pairs)
    assert numbers == {
        "jobs": 8, "seconds_1": 81.6, "seconds_2": 44.0, "ratio": 1.855, "overhead_seconds_per_job": 0.2,
        "job_seconds_min": 9.0, "job_seconds_max": 11.0,
    }  # fmt: skip
    assert bench.report(numbers) == []
    wrong = {**numbers, "ratio": 1.7, "overhead_seconds_per_job": 0.3}
    assert bench.report(wrong) == ["ratio", "overhead_seconds_per_job"]
    assert bench.report({**numbers, "overhead_seconds_per_job": 0.299}) == []
    for outside in ({"job_seconds_min": 4.9}, {"job_seconds_max": 20.1}, {"jobs": 7}):
        assert bench.report({**wrong, **outside}) == []
