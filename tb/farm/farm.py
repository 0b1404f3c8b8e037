"""The driver: hands jobs out, takes how they ended, and hands out again what a worker or a scheduler took with it.

A job has ended when its keeper wrote an outcome into its folder; that file decides, not what the scheduler believes.
A job is handed out again only if there is none, never for what the outcome says.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

from distributed import Future
from distributed.scheduler import KilledWorker

from tb.farm import keeper, remote
from tb.farm.cluster import Cluster
from tb.farm.job import FarmJob, Outcome

#: Seconds between two looks at the cluster while no job ends.
POLL = 0.1
#: Times that a job is handed out, at most: one that ends every worker would never let the farm come to its end.
TIMES = 10
#: Seconds to wait for the result of a job that the scheduler has.
FETCH = 30.0
#: Seconds for jobs to end after their workers were ended: a polite end, then the other.
LEAVE = 2 * keeper.GRACE + 5


@dataclass(frozen=True)
class Ended:
    """A job that is over. `outcome` is None if it was lost: handed out TIMES times without an end.

    `causes` has a line for each time that it was handed out again.
    """

    job: FarmJob
    outcome: Outcome | None
    causes: tuple[str, ...] = ()


@dataclass
class _Out:
    """A job that was handed out."""

    job: FarmJob
    causes: tuple[str, ...] = ()
    future: Any = None
    times: int = field(default=1)


class Farm:
    """Runs jobs on a cluster. `deadline` (time.monotonic) is when no more are handed out."""

    def __init__(self, cluster: Cluster, *, deadline: float | None = None, say: Callable[[str], None] = print) -> None:
        self._cluster = cluster
        self._deadline = deadline
        self._say = say
        self._over: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._out: dict[str, _Out] = {}
        self._again: deque[_Out] = deque()
        self._number = 0
        #: Jobs that were handed out and did not end, after an interrupt or the deadline.
        self.unfinished: list[FarmJob] = []

    def run(self, jobs: Iterable[FarmJob]) -> Generator[Ended, None, None]:
        """Run the jobs; each that ends is yielded once. Whatever ends the loop ends what still runs."""
        waiting = iter(jobs)
        more = True
        try:
            self._cluster.start()
            while more or self._again or self._out:
                while (more or self._again) and len(self._out) < self._cluster.slots and not self._late():
                    if self._again:
                        self._hand_out(self._again.popleft())
                        continue
                    job = next(waiting, None)
                    if job is None:
                        more = False
                    elif (outcome := job.outcome()) is not None:
                        yield Ended(job, outcome)
                    else:
                        self._hand_out(_Out(job))
                if not self._out and self._late():
                    break
                yield from self._next()
        finally:
            self._leave()

    def _late(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _hand_out(self, item: _Out) -> None:
        client = self._cluster.client
        item.job.lay_out()
        self._number += 1
        key = f"keep-{self._number}"  # never the same key twice: what was lost is forgotten
        self._out[key] = item
        item.future = client.submit(remote.keep, keeper.__file__, str(item.job.folder), key=key, pure=False, retries=0)
        item.future.add_done_callback(self._told)

    def _told(self, future: Future[Any]) -> None:
        """On a thread of the client."""
        self._over.put(str(future.key))

    def _next(self) -> Generator[Ended, None, None]:
        """Wait a while for something to happen, and take it."""
        try:
            key = self._over.get(timeout=POLL)
        except queue.Empty:
            key = ""
        loss = self._cluster.tend()
        if loss:
            yield from self._recover(loss)
        elif key in self._out:
            yield from self._take(self._out.pop(key), "")

    def _recover(self, loss: str) -> Generator[Ended, None, None]:
        """Everything that was under way is lost, but for what ended."""
        lost, self._out = list(self._out.values()), {}
        self._say(f"{loss}: beginning anew, {len(lost)} jobs are handed out again unless they ended")
        self._cluster.renew()
        for item in lost:
            yield from self._take(item, loss)

    def _take(self, item: _Out, loss: str) -> Generator[Ended, None, None]:
        """A job that ended, or is to be handed out again."""
        outcome = item.job.outcome()
        cause = loss if outcome is not None else loss or self._cause(item)
        if outcome is None and not loss and item.future.status == "finished":  # its file is not seen here yet
            outcome = self._told_outcome(item)
        if outcome is not None:
            self._cluster.progressed()
            yield Ended(item.job, outcome, item.causes)
            return
        causes = (*item.causes, cause)
        if item.times >= TIMES:
            yield Ended(item.job, None, causes)
            return
        self._say(f"again   {item.job.id}: {cause}")
        self._again.append(_Out(item.job, causes, times=item.times + 1))

    def _told_outcome(self, item: _Out) -> Outcome | None:
        try:
            return item.job.outcome_of(item.future.result(timeout=FETCH))
        except Exception:  # noqa: BLE001 - whatever keeps the result from here, the job is handed out again
            return None

    @staticmethod
    def _cause(item: _Out) -> str:
        """Why a job that was handed out did not end."""
        if item.future.status == "error":
            error = item.future.exception(timeout=FETCH)
            if isinstance(error, KilledWorker):
                return "worker lost"
            return f"{type(error).__name__}: {error}"
        return "worker lost" if item.future.status == "finished" else f"scheduler lost ({item.future.status})"

    def _leave(self) -> None:
        """End the cluster, and wait for the ends of jobs that were running."""
        running = [item.job for item in self._out.values()]
        self.unfinished = running + [item.job for item in self._again]
        self._out, self._again = {}, deque()
        self._cluster.close()
        for job in running:
            if not job.wait_until_left(LEAVE):
                self._say(f"still ending: {job.id}")
