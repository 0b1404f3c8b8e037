"""Failure buckets: jobs with one failure key are one failure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tb.files import shortened
from tb.report.results import FAILED, Job, failure_record
from tb.testing.results import printable


@dataclass(frozen=True)
class Bucket:
    """All jobs that failed alike, the shortest first: that one is the one to replay. `record` is its failure.json."""

    key: str
    jobs: tuple[Job, ...]
    record: dict[str, Any]

    @property
    def title(self) -> str:
        """The failure in one line."""
        return str(self.record.get("title") or self.jobs[0].title or self.key or "failed without a message")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that show it, each once."""
        return tuple(sorted({job.seed for job in self.jobs if job.seed is not None}))

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that show it, each once, with simulator."""
        return tuple(sorted({f"{job.test} on {job.simulator}" if job.simulator else job.test for job in self.jobs}))

    @property
    def replay(self) -> str:
        """The command that shows it again."""
        return next((job.replay for job in self.jobs if job.replay), "")


def buckets(jobs: Iterable[Job]) -> tuple[Bucket, ...]:
    """The buckets of the failed jobs, the fullest first."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        if job.status == FAILED:
            groups.setdefault(job.failure_key, []).append(job)
    found = []
    for key, members in groups.items():
        members.sort(key=lambda job: (job.seconds, job.id))
        found.append(Bucket(key, tuple(members), failure_record(members[0].path)))
    return tuple(sorted(found, key=lambda bucket: (-len(bucket.jobs), bucket.key)))


def table(found: Iterable[Bucket]) -> list[str]:
    """For the terminal: count, seeds and failure of each bucket, below it the command that plays it again."""
    rows = [(str(len(one.jobs)), shown_seeds(one.seeds, 6) or "-", one) for one in found]
    if not rows:
        return []
    wide = max(len("seeds"), *(len(seeds) for _, seeds, _ in rows))
    lines = [f"  count  {'seeds':<{wide}}  failure"]
    for count, seeds, one in rows:
        lines.append(f"  {count:>5}  {seeds:<{wide}}  {shortened(printable(one.title), 120)}")
        lines.append(f"  {'':5}  {'':{wide}}  {printable(one.replay) or 'no replay command was recorded'}")
    return lines


def shown_seeds(seeds: tuple[int, ...], most: int = 24) -> str:
    """Seeds as a user gives them to SEEDS: 1-4,9; at most so many parts."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and parts[-1][1] == seed - 1:
            parts[-1][1] = seed
        else:
            parts.append([seed, seed])
    text = ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts[:most])
    return f"{text} and {len(parts) - most} more" if len(parts) > most else text
