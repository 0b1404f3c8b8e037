"""Run one external program with a bound in time and no orphans: builds and simulators go through here."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

#: What runs now; worker threads do not see Ctrl-C, so whoever does ends these.
_running: set[subprocess.Popen[bytes]] = set()
#: Seconds between the polite and the final end of a process group.
GRACE = 5.0
#: What is said of a program that was ended for its wall clock; by it the judges know such a run.
ENDED = "was ended after its bound"
#: Set once everything is to end: a thread that was between two programs starts no other.
_stopping = threading.Event()
#: Open locks of folders (tb/folders.py) that the programs hold, too: a folder is free when none of them is left.
handed_on: set[int] = set()
#: What makes a program end with this process, where there is such a thing (Linux).
TETHER = Path(__file__).with_name("tethered.py") if sys.platform == "linux" else None


def status_words(status: int) -> str:
    """How a program ended that did not end well. A signal is named: a bucket of failures has no numbers."""
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"ended by signal {-status} ({signal.Signals(-status).name})"
    return f"ended by signal {-status}"


class StoppedError(Exception):
    """The whole command is ending: nothing more is started."""


class ProcessTimeoutError(Exception):
    """A program ran longer than its bound and was ended."""

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        super().__init__(f"{Path(command[0]).name} {ENDED} of {seconds:.0f} s")
        self.seconds = seconds


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
            break
    # Children that ignored the polite end, after their parent went.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def heed_polite_end() -> None:
    """Let SIGTERM interrupt this process unless it has its own answer: what it started lies in other process groups."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def end_all() -> None:
    """End every program that any thread started through `run_bounded`, and let no thread start another."""
    _stopping.set()
    for process in list(_running):
        end_group(process)


def run_bounded(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path | None,
    timeout: float,
    append: bool = False,
) -> int:
    """Run a command in a process group of its own; its output goes to `log`, or to the terminal if there is none.

    The program ends with the thread that calls this (on Linux), also when this process is killed. Returns the exit
    status. On a time-out (ProcessTimeoutError), on Ctrl-C and on every other exception the whole group
    is ended before the exception goes on; SIGTERM counts as Ctrl-C.
    """
    heed_polite_end()
    tether = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid())] if TETHER else []
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab" if append else "wb")) if log else None
        process = subprocess.Popen(
            [*tether, *command],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
            pass_fds=tuple(handed_on),
        )
        _running.add(process)
        try:
            if _stopping.is_set():
                raise StoppedError(f"{Path(command[0]).name} is not started: the command is ending")
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProcessTimeoutError(command, timeout) from None
        finally:
            _running.discard(process)
            if process.poll() is None:
                end_group(process)
