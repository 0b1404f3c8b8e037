"""Jobs of the local pool (tb/pool.py) on a cluster: the same jobs, the same ends."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Generator, Sequence
from pathlib import Path

from tb.config import RunConfig
from tb.farm.cluster import cluster_of
from tb.farm.farm import Farm
from tb.farm.job import FarmJob
from tb.pool import Finished, Job


def farm_jobs(
    jobs: Sequence[Job], config: RunConfig, logs: Path, *, files: Sequence[str]
) -> Generator[Finished, None, None]:
    """Run jobs on the cluster of the configuration; each is yielded when it ends, as by `run_jobs`.

    A job's folder is that of its log; of what lies in it now the job finds `files`. A job that the farm lost counts as
    one that ended after its bound. Logs of the cluster lie in `logs`.
    """
    token = uuid.uuid4().hex
    by_id = {job.name: job for job in jobs}
    given = [
        FarmJob(
            id=job.name, token=token, folder=job.log.parent, command=tuple(job.command), cwd=job.cwd,
            files={name: (job.log.parent / name).read_text() for name in files}, log=job.log.name, timeout=job.timeout,
        )
        for job in jobs
    ]  # fmt: skip
    with contextlib.closing(Farm(cluster_of(config, logs)).run(iter(given))) as ended:
        for one in ended:
            outcome = one.outcome
            status, seconds = (None, 0.0) if outcome is None else (outcome.status, outcome.seconds)
            yield Finished(by_id[one.job.id], status, seconds)
