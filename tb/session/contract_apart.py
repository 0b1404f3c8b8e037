"""The contract monitors in a process of their own: a third of a session's Python then runs on another core.

Records go there in batches as they are made, nothing comes back before the end, and the monitors are the same: what
they find does not hang on where they run. A session that asks them anything in between keeps them in its own process.

Neither waits for the other without a bound: the session gives up a process that takes nothing for a while, and ends it
when it ends itself, whatever the reason; a process whose session is gone, killed perhaps, ends within a second.
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from typing import BinaryIO, Final, NamedTuple

from tb.config import ROOT
from tb.monitors.contract.everything import SECTIONS
from tb.monitors.contract.monitor import Breach, ContractMonitors
from tb.monitors.contract.trace import Record

#: Records that are sent together.
BATCH: Final = 64
#: Seconds that the process may take for what it was sent: at the end, and until it takes a byte more of a full pipe.
PATIENCE: Final = 600.0
#: Seconds between two looks of the process for its session.
LOOK: Final = 0.5
#: Of records that wait in the pipe: some hundred frames.
PIPE_BYTES: Final = 1 << 20


class MonitorsError(Exception):
    """The process of the monitors ended or hung before it told what they found; the message says how."""


class Found(NamedTuple):
    """What the monitors say of a session."""

    triggers: Counter[str]
    at_device: Counter[str]
    chapters: dict[str, tuple[Counter[str], Counter[str]]]
    breaches: list[Breach]


class MonitorsApart:
    """`ContractMonitors` for one that only feeds them and then asks; ``patience`` as `PATIENCE`."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        # a group of its own: Ctrl-C is for the session, at whose end, whatever the reason, its records end, too
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tb.session.contract_apart", str(os.getpid())], cwd=ROOT, env=_environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
            bufsize=0,
        )  # fmt: skip
        atexit.register(self.close)
        if self._process.stdin is None:
            raise MonitorsError("the process of the contract monitors has no standard input")
        self._to = self._process.stdin.fileno()
        os.set_blocking(self._to, False)  # `_write` waits, with a bound
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux: the session need not wait while the process begins
            with suppress(OSError):  # more than this user may have
                fcntl.fcntl(self._to, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._batch: list[Record] = []
        self._found: Found | None = None

    def feed(self, record: Record) -> None:
        """Take the next record."""
        self._batch.append(record)
        if len(self._batch) >= BATCH:
            self._send()

    def finish(self) -> None:
        """The run is over. Raises MonitorsError if the monitors cannot say what they found."""
        self._send()
        self._found = self._end()

    def close(self) -> None:
        """End the process, if it is still there; for one whose records nobody asks for. A second call does nothing."""
        atexit.unregister(self.close)
        if self._process.poll() is None:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        with suppress(subprocess.TimeoutExpired):  # killed, and the system has not let it go
            self._process.wait(self._patience)

    @property
    def triggers(self) -> Counter[str]:
        """As of `ContractMonitors`, once the run is over."""
        return self._all.triggers

    @property
    def at_device(self) -> Counter[str]:
        """As of `ContractMonitors`, once the run is over."""
        return self._all.at_device

    @property
    def chapters(self) -> dict[str, tuple[Counter[str], Counter[str]]]:
        """As of `ContractMonitors`, once the run is over."""
        return self._all.chapters

    @property
    def breaches(self) -> list[Breach]:
        """As of `ContractMonitors`, once the run is over."""
        return self._all.breaches

    @property
    def _all(self) -> Found:
        if self._found is None:
            raise MonitorsError("the monitors in a process of their own are asked before the run is over")
        return self._found

    def _send(self) -> None:
        batch, self._batch = self._batch, []
        try:
            self._write(memoryview(pickle.dumps(batch, pickle.HIGHEST_PROTOCOL)))
        except BrokenPipeError:
            self._end()
            raise  # it ended although it had told all

    def _write(self, data: memoryview) -> None:
        """All of ``data`` into the pipe. MonitorsError if no byte of it is taken within the patience."""
        room = select.poll()
        room.register(self._to, select.POLLOUT)
        deadline = time.monotonic() + self._patience
        while data:
            left = deadline - time.monotonic()
            if left <= 0 or not room.poll(left * 1000):
                raise self._given_up(f"took no record for {self._patience:.1f} s")
            with suppress(BlockingIOError):  # room for less than the system writes at a time
                data = data[os.write(self._to, data) :]
                deadline = time.monotonic() + self._patience

    def _end(self) -> Found:
        """No more records come: what it says."""
        try:
            said, _ = self._process.communicate(timeout=self._patience)
        except subprocess.TimeoutExpired:
            raise self._given_up(f"were not done {self._patience:.1f} s after the last record") from None
        atexit.unregister(self.close)
        if self._process.returncode != 0 or not said:
            raise MonitorsError(f"the process of the contract monitors ended with status {self._process.returncode}")
        found = pickle.loads(said)  # noqa: S301 - written by `watch` below
        if isinstance(found, str):
            raise MonitorsError(f"a contract monitor failed:\n{found}")
        return Found(*found)

    def _given_up(self, how: str) -> MonitorsError:
        """The process is ended; the error that says why."""
        process = self._process.pid
        self.close()
        return MonitorsError(
            f"the contract monitors {how} (process {process}, tb.session.contract_apart, is ended): run it again "
            "while the machine has less to do; if that happens again, a monitor in tb/monitors/contract hangs"
        )


def _environment() -> dict[str, str]:
    """That of this process, without what a simulator was told for Python inside it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COCOTB", "PYGPI", "GPI"))}
    return kept | {"PYTHONPATH": str(ROOT)}


def watch(records: BinaryIO, result: BinaryIO) -> None:
    """In the process: every batch of ``records`` to its end, then what was found; the text of an error, if one came."""
    monitors = ContractMonitors(SECTIONS)
    gc.freeze()  # as Bench.run does: there is little cyclic garbage, and looking for it costs
    gc.set_threshold(100_000, 20, 100)
    said: tuple[object, ...] | str
    try:
        while records.peek(1):  # type: ignore[attr-defined]
            for record in pickle.load(records):  # noqa: S301 - written by the session
                monitors.feed(record)
        monitors.finish()
        said = (monitors.triggers, monitors.at_device, monitors.chapters, monitors.breaches)
    except Exception:  # noqa: BLE001 - whatever it is, the session is told
        said = traceback.format_exc()
    with suppress(BrokenPipeError):  # the session was ended: nobody asks
        result.write(pickle.dumps(said, pickle.HIGHEST_PROTOCOL))
        result.flush()


def end_without(session: int, every: float = LOOK) -> None:
    """In the process: end it once ``session`` is not its parent any more, even in the middle of a record.

    The end of the pipe says so, too, but only to one that reads; a parent that is gone is another on every system.
    """
    while os.getppid() == session:
        time.sleep(every)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_without, args=(int(sys.argv[1]),), daemon=True).start()
    watch(sys.stdin.buffer, sys.stdout.buffer)
