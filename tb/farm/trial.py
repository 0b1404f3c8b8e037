"""`make farm-test`: a thousand tiny jobs while workers and the scheduler are killed; each must end exactly once.

The jobs go the way of all jobs (tb/farm/farm.py, keepers, results.sqlite): programs of some milliseconds, every 50th of
which fails. Each kill is a SIGKILL to a worker that has a job under way, spread over the run; in its middle the
scheduler is killed. sim_build/farm-test/summary.json: {jobs, passed, failed, lost, retried [{id, cause}], worker_kills,
scheduler_kills, starts, problems, seconds}.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tb.config import ROOT, RunConfig
from tb.farm.cluster import LocalCluster
from tb.farm.farm import Ended, Farm
from tb.farm.job import FarmJob
from tb.farm.keeper import below
from tb.farm.results import JobRow, ResultsReader, ResultsWriter
from tb.progress import Meter
from tb.session.summary import commit_id

OUT = ROOT / "sim_build" / "farm-test"
#: Jobs of the command, and SIGKILLs to workers among them.
JOBS, KILLS = 1000, 32
#: Every so many jobs one that fails, and one that takes a while; seconds of that, and of the others at most.
FAILING, LONG = 50, 10
LONG_SECONDS, SHORT_SECONDS = 0.5, 0.02
#: Seconds between two looks of the killer; for it to find a worker at work.
LOOK, FIND = 0.005, 30.0
PROGRAM = "import sys, time; time.sleep(float(sys.argv[1])); sys.exit(int(sys.argv[2]))"


@dataclass(frozen=True)
class Trial:
    """What is tried: `jobs` and `kills` as numbers, on so many workers, everything random from `seed`."""

    jobs: int
    kills: int
    workers: int
    seed: int
    out: Path

    def fails(self, number: int) -> bool:
        """Whether a job is one of those that fail."""
        return number % FAILING == FAILING - 1

    def farm_jobs(self, token: str) -> Iterator[FarmJob]:
        """The jobs."""
        draw = random.Random(f"{self.seed} jobs")
        for number in range(self.jobs):
            seconds = LONG_SECONDS if number % LONG == 0 else draw.uniform(0, SHORT_SECONDS)
            folder = self.out / "jobs" / name_of(number)
            words = (sys.executable, "-I", "-S", "-c", PROGRAM, f"{seconds:.4f}", str(int(self.fails(number))))
            yield FarmJob(name_of(number), token, folder, words, folder, timeout=60.0)

    def run(self) -> dict[str, Any]:
        """Run it; what is in summary.json."""
        started = time.monotonic()
        shutil.rmtree(self.out, ignore_errors=True)
        cluster = LocalCluster(self.workers, self.out / "farm")
        killer = Killer(cluster, self)
        jobs = list(self.farm_jobs(uuid.uuid4().hex))
        with ResultsWriter(self.out / "results.sqlite") as writer:
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            run = writer.begin("farm-test", commit_id(), now)
            farm = Farm(cluster, say=lambda _: None)
            with Meter("farm-test", len(jobs)) as meter, contextlib.closing(farm.run(iter(jobs))) as ended, killer:
                for one in meter.over(ended):
                    writer.add(run, row_of(one))
                    killer.done += 1
            writer.finish(run, seconds=time.monotonic() - started, complete=True)
        rows = ResultsReader(self.out / "results.sqlite").jobs(run)
        counts = Counter(row.status for row in rows)
        summary = {
            "schema": 1,
            "jobs": len(rows),
            **{status: counts[status] for status in ("passed", "failed", "lost")},
            "retried": [{"id": row.id, "cause": row.cause} for row in rows if row.cause is not None],
            "worker_kills": killer.workers,
            "scheduler_kills": killer.schedulers,
            "starts": sum(row.attempts for row in rows),
            "problems": self.problems(rows, killer, jobs),
            "seconds": round(time.monotonic() - started, 1),
        }
        (self.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")
        return summary

    def problems(self, rows: tuple[JobRow, ...], killer: Killer, jobs: list[FarmJob]) -> list[str]:
        """What does not hold."""
        found = []
        expected = {name_of(number): "failed" if self.fails(number) else "passed" for number in range(self.jobs)}
        if {row.id: row.status for row in rows} != expected:
            wrong = sorted(row.id for row in rows if expected.get(row.id) != row.status)
            found.append(f"not every job ended as it must: {wrong}, {set(expected) - {row.id for row in rows}}")
        for row in rows:
            if row.attempts > 1 and row.cause is None:
                found.append(f"{row.id} was started {row.attempts} times without a cause")
        if killer.workers < self.kills or killer.schedulers != 1:
            found.append(f"only {killer.workers} workers and {killer.schedulers} schedulers were killed")
        if not any(row.cause is not None for row in rows):
            found.append("no kill took a job with it")
        found += [f"{job.id} still runs" for job in jobs if not job.wait_until_left(0)]
        found += [f"process {pid} is left" for pid in below(os.getpid())]
        return found


class Killer:
    """Kills workers at work, and the scheduler once, as jobs end; a context. `done` is told to it."""

    def __init__(self, cluster: LocalCluster, trial: Trial) -> None:
        self._cluster = cluster
        self._trial = trial
        self._random = random.Random(f"{trial.seed} kills")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._kill, daemon=True)
        self.done = 0
        self.workers = 0
        self.schedulers = 0

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _kill(self) -> None:
        step = self._trial.jobs / (self._trial.kills + 2)
        for number in range(self._trial.kills + 1):
            while self.done < step * (number + 1):
                if self._over.wait(LOOK):
                    return
            if number == self._trial.kills // 2:
                os.kill(self._cluster.scheduler_pid, signal.SIGKILL)
                self.schedulers += 1
            elif (victim := self._victim()) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    self.workers += 1

    def _victim(self) -> int | None:
        """A worker with a job under way."""
        deadline = time.monotonic() + FIND
        while time.monotonic() < deadline and not self._over.wait(LOOK):
            busy = [pid for pid in self._cluster.worker_pids if len(below(pid)) > 1]
            if busy:
                return self._random.choice(busy)
        return None


def name_of(number: int) -> str:
    """The name of a job."""
    return f"tiny-{number:04}"


def row_of(ended: Ended) -> JobRow:
    """A job's row in the results."""
    outcome = ended.outcome
    status = "lost" if outcome is None else "passed" if outcome.passed else "failed"
    return JobRow(
        id=ended.job.id, suite="farm-test", test="tiny", simulator="none", width=0, seed=0, status=status,
        cause="; ".join(ended.causes) or None, attempts=ended.job.attempts(),
        seconds=0.0 if outcome is None else round(outcome.seconds, 4),
    )  # fmt: skip


def main(config: RunConfig) -> int:
    """Try it; 1 if anything does not hold."""
    found = Trial(JOBS, KILLS, config.jobs, config.seed, OUT).run()
    for problem in found["problems"]:
        print(f"FAIL  {problem}")
    print(f"{found['jobs']} jobs ended once each: {found['passed']} passed, {found['failed']} failed as they must, "
          f"{found['lost']} lost; {len(found['retried'])} handed out again after {found['worker_kills']} SIGKILLs to "
          f"workers and {found['scheduler_kills']} to the scheduler; {found['seconds']} s")  # fmt: skip
    print(f"results: {(OUT / 'summary.json').relative_to(ROOT)}")
    return 1 if found["problems"] else 0
