"""Which traces a report holds, and the commands that open waves at an event."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tb.files import shown
from tb.lockstep.trace import TRACE_NAME, TraceError
from tb.replay import REPLAY_NAME
from tb.report.buckets import Bucket
from tb.report.markup import Html, packed_block
from tb.report.results import FAILED, FAILURE_NAME, PASSED, Job, divergence_cycle, read_json
from tb.report.timeline import MOST_ITEMS, read
from tb.sim.run import AGAIN_NAME, REPLAY_FOLDER

#: Traces of one page, at most, and their bytes in it.
MOST_TRACES = 12
MOST_BYTES = 6 << 20


@dataclass(frozen=True)
class Shown:
    """A trace in the page: its job, its packed content, and what the page says about it."""

    id: str
    job: Job
    block: Html
    facts: dict[str, Any]


@dataclass(frozen=True)
class Chosen:
    """The traces of a page; `available` is how many failed jobs have one, `notes` what is missing, in words."""

    shown: tuple[Shown, ...]
    available: int
    notes: tuple[str, ...]


def trace_of(job: Job) -> Path | None:
    """The trace that the job left, else that of a replay which came to the same divergence; None without one."""
    if job.path is None:
        return None
    own, replay = job.path / TRACE_NAME, job.path / REPLAY_FOLDER
    if own.exists() or job.status != FAILED:
        return own if own.exists() else None
    again, facts, failure = replay / TRACE_NAME, read_json(replay / REPLAY_NAME), job.path / FAILURE_NAME
    if not again.exists() or not isinstance(facts, dict) or facts.get("identical") is not True:
        return None
    older = failure.exists() and failure.stat().st_mtime_ns > again.stat().st_mtime_ns
    return None if older else again


def replayable(job: Job) -> bool:
    """Whether `chimney replay` runs the job again, which leaves a trace."""
    if job.path is None or is_golden(job.path):
        return False
    again = read_json(job.path / AGAIN_NAME)
    return isinstance(again, dict) and again.get("top") == "tb_top"  # a block alone has no trace


def has_trace(job: Job) -> bool:
    """Whether there is a trace of the job."""
    return trace_of(job) is not None


def choose(buckets: Sequence[Bucket], jobs: Sequence[Job]) -> Chosen:
    """One trace of every bucket, further ones of failed jobs while there is room, and one of a job that passed."""
    first = [next((job for job in bucket.jobs if has_trace(job)), None) for bucket in buckets]
    failed = [job for bucket in buckets for job in bucket.jobs if has_trace(job)]
    sample = next((job for job in jobs if job.status == PASSED and has_trace(job)), None)
    order = [job for job in (*first, sample, *failed) if job is not None]
    shown: list[Shown] = []
    notes: list[str] = []
    used = 0
    for job in dict.fromkeys(order):
        if len(shown) >= MOST_TRACES:
            break
        made = show(job, f"trace-{len(shown)}", notes)
        if made is None:
            continue
        if used + len(made.block) > MOST_BYTES:
            break
        used += len(made.block)
        shown.append(made)
    without = sum(job.status == FAILED for job in jobs) - len(failed)
    if without:
        bare = next((job for bucket in buckets for job in bucket.jobs if not has_trace(job) and replayable(job)), None)
        how = f"; `chimney replay {shlex.quote(bare.folder)}` makes that of the first" if bare is not None else ""
        notes.append(f"{without} failed job(s) left no trace: only jobs that ran with TRACE=1 have one{how}")
    kept = sum(one.job.status == FAILED for one in shown)
    if kept < len(failed):
        notes.append(f"traces of {kept} of {len(failed)} failed jobs with a trace are in this page, one a bucket first")
    return Chosen(tuple(shown), len(failed), tuple(notes))


def show(job: Job, name: str, notes: list[str]) -> Shown | None:
    """A job's trace; None, with a note, if it is none or cut off."""
    path = trace_of(job)
    if job.path is None or path is None:
        return None
    at = divergence_cycle(job.path) if job.status == FAILED else None
    try:
        timeline = read(path, shown(path), divergence=at)
    except TraceError as error:
        notes.append(f"{error.where}: {error.what}")
        return None
    content = timeline.content()
    kept = len(timeline.items)
    limit = "" if kept == timeline.total else (
        f"the last {kept:,} of {timeline.total:,} events and commits up to the divergence"
        if at is not None
        else f"the first {kept:,} of {timeline.total:,} events and commits"
    )  # fmt: skip
    facts = {
        "id": name, "job": job.id, "status": job.status, "key": job.failure_key, "folder": job.folder,
        "limit": limit, "most": MOST_ITEMS, **commands(job.path, job.folder),
    }  # fmt: skip
    return Shown(name, job, packed_block(name, content), facts)


def commands(path: Path, folder: str) -> dict[str, str | None]:
    """`waves`: the command that opens the waves, and records them if there are none, without the cycle."""
    return {"waves": None if is_golden(path) else f"chimney waves {shlex.quote(folder)} --at "}


def is_golden(path: Path) -> bool:
    """Whether the run was on the golden device, which has no waves."""
    facts = [read_json(path / name) for name in ("config.json", "summary.json")]
    return any(isinstance(one, dict) and one.get("device") == "model" for one in facts)
