"""Where jobs run: processes of this machine, a Slurm cluster, or a Dask scheduler that somebody else started."""

from __future__ import annotations

import abc
import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
import distributed

from tb.config import ROOT, ConfigError, RunConfig
from tb.farm import serve
from tb.farm.job import MEMORY
from tb.sim.process import end_group
from tb.sim.tools import MAKE_INTERNALS

#: Seconds to wait for a scheduler or the first worker; for a client to say goodbye.
PATIENCE, GOODBYE = 120.0, 5.0
#: Workers that may die in a row, none of them with a job done, before the farm is given up.
FAST_DEATHS = 20
#: Seconds after which a scheduler of somebody else without workers is given up.
ALONE = 600.0
#: Seconds after which a Slurm that starts no worker is given up: a queue may be long.
IN_QUEUE = 86_400.0
#: Seconds that sbatch has for its answer: it asks a controller that is silent again for a while, then gives up itself.
ANSWER = 300.0
#: Status of `timeout` for a command that it ended.
TIMED_OUT = 124
#: Seconds between two looks at workers that are not ours; before Slurm is asked again for what it refused.
LOOK, ASK_AGAIN = 2.0, 60.0


class FarmError(Exception):
    """The farm cannot go on; the message says what is wrong and which log has more."""


class Cluster(abc.ABC):
    """A scheduler with workers, and the connection to it. `slots` is how many jobs are handed out at a time."""

    def __init__(self) -> None:
        self.client: Any = None  # a distributed.Client; its methods have no types
        dask.config.set(serve.SETTINGS)
        silence()

    @property
    @abc.abstractmethod
    def slots(self) -> int:
        """Jobs at a time."""

    @abc.abstractmethod
    def start(self) -> None:
        """Start what is to be started, and connect."""

    @abc.abstractmethod
    def tend(self) -> str:
        """Replace workers that died; why everything that is under way is lost, empty if it is not. Called often."""

    def renew(self) -> None:
        """Begin anew after a loss."""
        self.disconnect()
        self.start()

    def progressed(self) -> None:
        """A job has ended: the workers work."""
        return

    def close(self) -> None:
        """End what was started."""
        self.disconnect()

    def connect(self, target: Any) -> None:
        """Connect to a scheduler."""
        connect: Any = distributed.Client
        self.client = connect(target, timeout=PATIENCE, set_as_default=False)

    def disconnect(self) -> None:
        """Leave the scheduler, which may be gone."""
        client, self.client = self.client, None
        if client is not None:
            with contextlib.suppress(Exception):  # whatever a dead connection has to say
                client.close(timeout=GOODBYE)

    def connection_loss(self) -> str:
        """Why the client is not connected, empty if it is."""
        return "" if self.client is not None and self.client.status == "running" else "scheduler lost"


def silence() -> None:
    """Keep the library from writing to the terminal about what it lost: the driver says it, in one line."""
    for name in list(logging.root.manager.loggerDict):
        if name.split(".")[0] == "distributed":
            logging.getLogger(name).handlers[:] = [logging.NullHandler()]


class LocalCluster(Cluster):
    """A scheduler and workers as processes of this machine, restarted when they die. Logs lie in `folder`."""

    def __init__(self, workers: int, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._wanted = workers
        self._started = 0
        self._fast_deaths = 0
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []
        #: Workers of a scheduler that is gone; they end by themselves, after their jobs.
        self._leaving: list[subprocess.Popen[bytes]] = []
        self._address = ""

    @property
    def slots(self) -> int:
        return self._wanted

    @property
    def scheduler_pid(self) -> int:
        """The scheduler's process."""
        assert self._scheduler is not None  # noqa: S101 - started
        return self._scheduler.pid

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The processes of the workers."""
        return tuple(process.pid for process in self._workers)

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "scheduler.address"
        file.unlink(missing_ok=True)
        self._scheduler = self._spawn("scheduler", "scheduler", str(file))
        deadline = time.monotonic() + PATIENCE
        while not file.exists():
            if self._scheduler.poll() is not None or time.monotonic() > deadline:
                raise FarmError(f"the scheduler does not start; log: {self._folder / 'scheduler.log'}")
            time.sleep(0.02)
        self._address = file.read_text()
        self._workers = [self._worker() for _ in range(self._wanted)]
        self.connect(self._address)

    def tend(self) -> str:
        assert self._scheduler is not None  # noqa: S101 - started
        self._leaving = [process for process in self._leaving if process.poll() is None]
        if self._scheduler.poll() is not None:
            return "scheduler lost"
        for place, process in enumerate(self._workers):
            if process.poll() is not None:
                self._fast_deaths += 1
                if self._fast_deaths > FAST_DEATHS:
                    raise FarmError(f"workers die before they do anything; logs: {self._folder}/w*.log")
                self._workers[place] = self._worker()
        return self.connection_loss()

    def progressed(self) -> None:
        self._fast_deaths = 0

    def renew(self) -> None:
        self.disconnect()
        if self._scheduler is not None:
            end_group(self._scheduler)
        self._leaving += self._workers
        self._workers = []
        self.start()

    def close(self) -> None:
        """End all of it at once: the keepers of jobs see it, and end their jobs."""
        self.disconnect()
        every = [*self._workers, *self._leaving, *([self._scheduler] if self._scheduler is not None else [])]
        for process in every:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        for process in every:
            process.wait()
        self._workers, self._leaving = [], []

    def _worker(self) -> subprocess.Popen[bytes]:
        self._started += 1
        name = f"w{self._started}"
        return self._spawn(name, "worker", self._address, name, str(self._folder))

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tb.farm.serve", *arguments, str(os.getpid())]
        environment = {name: text for name, text in os.environ.items() if name not in MAKE_INTERNALS}
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip


class GivenCluster(Cluster):
    """A scheduler that somebody else started, at an address such as tcp://host:8786; a job a thread of its workers."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = address
        self._slots = 0
        self._looked = 0.0
        self._told = False
        self._had = time.monotonic()

    @property
    def slots(self) -> int:
        return self._slots

    def start(self) -> None:
        try:
            self.connect(self._address)
        except (OSError, ValueError) as error:
            raise FarmError(f"no scheduler answers at {self._address}: {error}") from error
        self._looked = 0.0

    def tend(self) -> str:
        loss = self.connection_loss()
        if not loss and time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            before = self._slots
            try:
                self._slots = sum(self.client.nthreads().values())
            except OSError:
                return "scheduler lost"
            if self._slots:
                self._had = time.monotonic()
            elif before or not self._told:
                self._told = True
                print(f"{self._address} has no workers; waiting for some", flush=True)
            elif time.monotonic() - self._had > ALONE:
                raise FarmError(f"{self._address} had no workers for {ALONE:.0f} s")
        return loss


class SlurmCluster(Cluster):
    """Workers as Slurm jobs, one core each; the scheduler is in this process.

    Queue, account, time and everything else of these jobs come from the user's settings of dask-jobqueue
    (~/.config/dask/jobqueue.yaml, section slurm). Without a worker for `alone` seconds it is given up, and at once if
    sbatch refuses all of them. What it refuses beside others (a limit of jobs) is asked for again later.
    """

    def __init__(self, workers: int, folder: Path, *, alone: float = IN_QUEUE) -> None:
        super().__init__()
        self._alone = alone
        self._had = time.monotonic()
        self._wanted = workers
        self._folder = folder
        self._cluster: Any = None
        self._looked = 0.0
        self._told: set[str] = set()

    @property
    def slots(self) -> int:
        return self._wanted

    def start(self) -> None:
        from dask_jobqueue.slurm import SLURMCluster

        self._folder.mkdir(parents=True, exist_ok=True)
        settings = settings_of(dask.config.get("jobqueue.slurm", {}), self._folder)
        self._cluster = SLURMCluster(job_cls=slurm_job(), **settings)
        self._cluster.scale(jobs=self._wanted)
        self.connect(self._cluster)
        self._looked = time.monotonic()

    def tend(self) -> str:
        loss = self.connection_loss()
        if not loss and time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            self._heed_refusals()
            self._cluster.scale(jobs=self._wanted)  # those that ended with their time, or their node
            if self.client.nthreads():
                self._had = time.monotonic()
            elif time.monotonic() - self._had > self._alone:
                raise FarmError(f"Slurm gave no worker for {self._alone:.0f} s; logs of its jobs: {self._folder}")
        return loss

    def _heed_refusals(self) -> None:
        """FarmError if Slurm refused all that was asked for; what it refused beside others is forgotten in a while."""
        asked = dict(self._cluster.workers)
        refused = {name: job for name, job in asked.items() if job.refusal}
        if refused and len(refused) == len(asked):
            raise FarmError(f"Slurm takes no job: {next(iter(refused.values())).refusal}")
        for name, job in refused.items():
            if job.refusal not in self._told:
                self._told.add(job.refusal)
                print(f"Slurm takes {len(asked) - len(refused)} of {len(asked)} jobs: {job.refusal}", flush=True)
            if time.monotonic() - job.asked > ASK_AGAIN:
                self._cluster.workers.pop(name, None)

    def renew(self) -> None:
        self.close()
        self.start()

    def close(self) -> None:
        self.disconnect()
        cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close(timeout=PATIENCE)


def bounded(command: str) -> str:
    """A command of Slurm that ends after ANSWER seconds; `timeout` is of coreutils, as on every node of Linux."""
    return f"timeout --kill-after=5 {ANSWER:.0f} {command}"


def slurm_job() -> Any:
    """The class of Slurm jobs that keep why sbatch refused them, for the driver to judge, instead of raising it."""
    from dask_jobqueue.slurm import SLURMJob
    from distributed.deploy.spec import ProcessInterface

    plain: Any = ProcessInterface  # its methods have no types

    class Job(SLURMJob):
        refusal, asked = "", 0.0
        submit_command, cancel_command = bounded("sbatch"), bounded("scancel")

        async def start(self) -> None:
            self.asked = time.monotonic()
            try:
                await super().start()  # type: ignore[no-untyped-call]
            except Exception as error:  # noqa: BLE001 - whatever it is, there is no worker of this one
                self.refusal = refusal_of(error)
                await plain.start(self)

        async def close(self) -> None:
            await super().close()  # type: ignore[no-untyped-call]
            await plain.close(self)

    return Job


def refusal_of(error: Exception) -> str:
    """Why a job could not be submitted, in one line: sbatch's status and words."""
    found = re.search(r"Exit code: (-?\d+)\n.*?\nstdout:\n(.*)\nstderr:\n(.*)", str(error), re.DOTALL)
    if found is None:
        return " ".join(f"{type(error).__name__}: {error}".split())
    if int(found[1]) == TIMED_OUT:
        return f"sbatch gave no answer for {ANSWER:.0f} s"
    words = " ".join(f"{found[2]} {found[3]}".split())
    return f"sbatch ended with status {found[1]}: {words or 'without a word'}"


def settings_of(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What SLURMCluster is asked for where the user's settings (`jobqueue.slurm`) leave it open."""
    ours = {
        "cores": 1, "processes": 1, "memory": f"{(MEMORY >> 30) + 1}GiB", "local_directory": str(folder),
        "log_directory": str(folder),
    }  # fmt: skip
    return {name: value for name, value in ours.items() if given.get(name.replace("_", "-")) is None}


def cluster_of(config: RunConfig, folder: Path) -> Cluster:
    """The cluster of a configuration (CLUSTER, JOBS)."""
    if config.cluster == "local":
        return LocalCluster(config.jobs, folder)
    if config.cluster == "slurm":
        lack = missing_slurm(client_only=True)
        if lack is not None:
            raise ConfigError("Slurm's commands are not here", "CLUSTER=slurm", "run this where sbatch works")
        return SlurmCluster(config.jobs, folder)
    return GivenCluster(config.cluster)


def missing_slurm(*, client_only: bool = False) -> str | None:
    """Why there is no Slurm on this machine, None if there is; `client_only`: its commands are enough."""
    from shutil import which

    wanted = ("sbatch", "scancel") if client_only else ("sbatch", "scancel", "slurmctld", "slurmd", "munged")
    lack = [name for name in wanted if which(name) is None]
    return f"no-slurm: {', '.join(lack)} missing; apt-get install slurm-wlm" if lack else None
