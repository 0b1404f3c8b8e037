"""Several external programs at once, each with a bound in time and a log, and no orphans when anything goes wrong."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tb.progress import Meter
from tb.sim.process import end_group, heed_polite_end

#: Seconds between two looks at the running programs.
POLL = 0.1


@dataclass(frozen=True)
class Job:
    """One program: what it is called in reports, its command, where it runs, what it may take."""

    name: str
    command: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    log: Path
    timeout: float


@dataclass(frozen=True)
class Finished:
    """A job that ended. `status` is None if it was ended after its bound."""

    job: Job
    status: int | None
    seconds: float


@dataclass
class _Running:
    job: Job
    process: subprocess.Popen[bytes]
    started: float


def run_jobs(jobs: Iterable[Job], parallel: int = 2) -> Generator[Finished, None, None]:
    """Run jobs, at most `parallel` at a time; each is yielded when it ends.

    Whatever ends the caller's loop (Ctrl-C, an exception, a break) ends all programs and everything they started.
    """
    heed_polite_end()
    waiting = iter(jobs)
    running: list[_Running] = []
    try:
        more = True
        while more or running:
            while more and len(running) < parallel:
                job = next(waiting, None)
                if job is None:
                    more = False
                    break
                running.append(_start(job))
            for item in list(running):
                ended = _look(item)
                if ended is not None:
                    running.remove(item)
                    yield ended
            if running:
                time.sleep(POLL)
    finally:
        for item in running:
            end_group(item.process)


def run_shown(name: str, jobs: Sequence[Job], parallel: int = 2) -> Generator[Finished, None, None]:
    """`run_jobs` with its progress, called ``name``, on the terminal."""
    with Meter(name, len(jobs)) as meter:
        yield from meter.over(run_jobs(jobs, parallel))


def _start(job: Job) -> _Running:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("wb") as log:
        process = subprocess.Popen(
            list(job.command),
            cwd=job.cwd,
            env=dict(job.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return _Running(job, process, time.monotonic())


def _look(item: _Running) -> Finished | None:
    """The end of a job, if it has come."""
    seconds = time.monotonic() - item.started
    status = item.process.poll()
    if status is not None:
        _end_rest(item.process)
        return Finished(item.job, status, seconds)
    if seconds > item.job.timeout:
        end_group(item.process)
        return Finished(item.job, None, seconds)
    return None


def _end_rest(process: subprocess.Popen[bytes]) -> None:
    """End what a program that is over may have left running in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
