"""`python -I -S keeper.py FOLDER PARENT`: keep one job: a process of its own, in its folder, within its limits.

A worker of the farm starts a keeper for each job and waits for it. FOLDER/farm.json says what to run (tb/farm/job.py).
The keeper holds FOLDER/farm.lock, so that two attempts at a job never run at a time, and does nothing if the job has
ended before. It empties the folder, writes the files that the job is given, starts the command in a session of its own
with resource limits, and waits: for its end, for the end of its time, or for the end of PARENT, the worker. Then it
ends all that the command left, in whichever process group, and writes FOLDER/outcome.json in one step; when the worker
went first there is no outcome. Standard library only: it is started once a job and must be quick.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any

SPEC, LOCK, ATTEMPTS, OUTCOME = "farm.json", "farm.lock", "attempts.jsonl", "outcome.json"
#: What a new attempt finds in the folder.
KEPT = (SPEC, LOCK, ATTEMPTS, "keeper.log")
#: Exit status of a keeper that left without an outcome: its worker is gone.
LEFT = 3
#: Seconds between two looks at the worker; between the polite and the final end of a job.
POLL, GRACE = 0.2, 5.0
#: prctl(2): a signal at the end of the parent; orphans below come to this process.
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Keeper:
    """One attempt at one job."""

    def __init__(self, folder: str, parent: int) -> None:
        self._folder = folder
        self._parent = parent
        self._told_to_end = False
        self._process: subprocess.Popen[bytes] | None = None
        with open(os.path.join(folder, SPEC)) as file:
            self._spec: dict[str, Any] = json.load(file)
        self._wake, wake = os.pipe()
        for end in (self._wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._heard)
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # of the thread that waits for this process; the looks are for the rest

    def keep(self) -> int:
        """Run the job unless it has ended; the exit status of the keeper."""
        with open(os.path.join(self._folder, LOCK), "a") as lock:
            while True:  # an attempt whose worker was lost is still ending, or comes to its end
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    self._sleep()
                if self._alone():
                    return LEFT
            if self._has_ended():
                return 0
            self._begin()
            outcome = self._watch()
            self._end_below()
            if outcome is None:
                return LEFT
            self._write(outcome)
            return 0

    def _heard(self, number: int, _frame: object) -> None:
        self._told_to_end |= number != signal.SIGCHLD

    def _alone(self) -> bool:
        """Whether the worker is gone, or said that this is to end."""
        return self._told_to_end or os.getppid() != self._parent

    def _sleep(self, seconds: float = POLL) -> None:
        """Wait for a signal, for a while."""
        if select.select([self._wake], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)

    def _has_ended(self) -> bool:
        try:
            with open(os.path.join(self._folder, OUTCOME)) as file:
                return bool(json.load(file)["token"] == self._spec["token"])
        except (OSError, ValueError, KeyError):
            return False

    def _begin(self) -> None:
        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            elif name not in KEPT:
                os.unlink(path)
        for name, text in self._spec["files"].items():
            with open(os.path.join(self._folder, name), "w") as file:
                file.write(text)
        attempt = {"token": self._spec["token"], "time": time.time(), "host": socket.gethostname()}
        with open(os.path.join(self._folder, ATTEMPTS), "a") as file:
            file.write(json.dumps(attempt) + "\n")
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._started = time.monotonic()
        with open(os.path.join(self._folder, self._spec["log"]), "wb") as log:
            try:
                self._process = subprocess.Popen(
                    self._spec["command"], cwd=self._spec["cwd"], env={**os.environ, **self._spec["env"]},
                    stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                    preexec_fn=self._limit,  # this process has one thread
                )  # fmt: skip
            except OSError as error:
                log.write(f"the job cannot be started: {error}\n".encode())

    def _limit(self) -> None:
        """In the new process, before the command: its bounds, and its end if the keeper is ended."""
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if self._spec["memory"]:
            resource.setrlimit(resource.RLIMIT_AS, (self._spec["memory"], self._spec["memory"]))

    def _watch(self) -> dict[str, Any] | None:
        """The end of the job; None if the worker went first."""
        process = self._process
        if process is None:
            return {"ended": "not started", "status": None, "seconds": 0.0}
        deadline = self._started + self._spec["timeout"]
        while process.poll() is None:
            if self._alone():
                self._end_job(process)
                return None
            if time.monotonic() >= deadline:
                self._end_job(process)
                return {"ended": "time-out", "status": None, "seconds": time.monotonic() - self._started}
            self._sleep(min(POLL, max(0.0, deadline - time.monotonic())))
        return {"ended": "exit", "status": process.returncode, "seconds": time.monotonic() - self._started}

    def _end_job(self, process: subprocess.Popen[bytes]) -> None:
        """End the job politely, so that it can end what it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while process.poll() is None and time.monotonic() < deadline:
            self._sleep()

    def _end_below(self) -> None:
        """End everything below, at once, until there is nothing."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        while True:
            for pid in below(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            self._sleep(0.01)

    def _write(self, outcome: dict[str, Any]) -> None:
        temporary = os.path.join(self._folder, f"{OUTCOME}.{os.getpid()}")
        with open(temporary, "w") as file:
            json.dump({"token": self._spec["token"], "id": self._spec["id"], **outcome}, file)
        os.replace(temporary, os.path.join(self._folder, OUTCOME))


def prctl(option: int, argument: int) -> None:
    """Call prctl where there is one (Linux); elsewhere only the job's own process group ends with it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)


def below(root: int) -> set[int]:
    """Every process below one, whatever its group; empty where there is no /proc."""
    parents: dict[int, int] = {}
    with contextlib.suppress(OSError):
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - {root}


if __name__ == "__main__":
    sys.exit(Keeper(sys.argv[1], int(sys.argv[2])).keep())
