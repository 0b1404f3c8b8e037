"""`python -m tb.farm.serve scheduler FILE PARENT` and `... worker ADDRESS NAME FOLDER PARENT`: the farm of one machine.

Each is a process of its own, so that any of them can die without the command; each ends when the command, PARENT, is
gone. The scheduler listens on the loopback address only and writes its address to FILE. A worker that lost the
scheduler lets its job come to its end, since the result counts, and then leaves.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path

import dask

HOST = "127.0.0.1"
#: Seconds between two looks at the parent, at the job that is still running.
POLL = 0.5
SETTINGS = {
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.profile.enabled": False,
    "distributed.diagnostics.nvml": False,
    "distributed.admin.tick.limit": "60s",
    # A worker that was lost is never asked for again what it ran: the driver decides.
    "distributed.scheduler.allowed-failures": 0,
}


def end_with(parent: int) -> None:
    """End this process when its parent is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


async def schedule(file: Path) -> None:
    """Run a scheduler until it is ended."""
    from distributed import Scheduler

    async with Scheduler(host=HOST, port=0, dashboard=False) as scheduler:
        temporary = file.with_suffix(".tmp")
        temporary.write_text(scheduler.address)
        os.replace(temporary, file)
        await scheduler.finished()


async def work(address: str, name: str, folder: str) -> None:
    """Run a worker until its scheduler is gone and its job has ended."""
    from distributed import Worker

    async with Worker(
        address, host=HOST, nthreads=1, name=name, local_directory=folder, memory_limit=0, dashboard=False,
        death_timeout=60,
    ) as worker:  # fmt: skip
        await worker.finished()
    while has_children():
        await asyncio.sleep(POLL)


def has_children() -> bool:
    """Whether a keeper is still at work below this process."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def main(arguments: list[str]) -> None:
    """Run what is asked for."""
    role, *rest, parent = arguments
    end_with(int(parent))
    dask.config.set(SETTINGS)
    if role == "scheduler":
        asyncio.run(schedule(Path(rest[0])))
    else:
        asyncio.run(work(*rest))
    os._exit(0)  # threads of the library must not hold the process


if __name__ == "__main__":
    main(sys.argv[1:])
