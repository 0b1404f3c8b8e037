"""The contract monitors in a process of their own: a third of a session's Python then runs on another core.

Records go there in batches as they are made, nothing comes back before the end, and the monitors are the same: what
they find does not hang on where they run. A session that asks them anything in between keeps them in its own process.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections import Counter
from contextlib import suppress
from typing import BinaryIO, Final, NamedTuple

from tb.config import ROOT
from tb.monitors.contract.everything import SECTIONS
from tb.monitors.contract.monitor import Breach, ContractMonitors
from tb.monitors.contract.trace import Record

#: Records that are sent together, and seconds that the process may take for what it was sent, at the end.
BATCH: Final = 64
PATIENCE: Final = 600.0
#: Of records that wait in the pipe: some hundred frames.
PIPE_BYTES: Final = 1 << 20


class MonitorsError(Exception):
    """The process of the monitors ended before it told what they found; the message says how."""


class Found(NamedTuple):
    """What the monitors say of a session."""

    triggers: Counter[str]
    at_device: Counter[str]
    chapters: dict[str, tuple[Counter[str], Counter[str]]]
    breaches: list[Breach]


class MonitorsApart:
    """`ContractMonitors` for one that only feeds them and then asks."""

    def __init__(self) -> None:
        # a group of its own: Ctrl-C is for the session, at whose end, whatever the reason, its records end, too
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tb.session.contract_apart"], cwd=ROOT, env=_environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0,
        )  # fmt: skip
        if self._process.stdin is None:
            raise MonitorsError("the process of the contract monitors has no standard input")
        self._to = self._process.stdin
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
        try:
            self._to.write(pickle.dumps(self._batch, pickle.HIGHEST_PROTOCOL))
        except BrokenPipeError:
            self._end()
            raise  # it ended although it had told all
        self._batch = []

    def _end(self) -> Found:
        """No more records come: what it says."""
        try:
            said, _ = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise MonitorsError(f"the contract monitors were not done {PATIENCE:.0f} s after the last record") from None
        if self._process.returncode != 0 or not said:
            raise MonitorsError(f"the process of the contract monitors ended with status {self._process.returncode}")
        found = pickle.loads(said)  # noqa: S301 - written by `watch` below
        if isinstance(found, str):
            raise MonitorsError(f"a contract monitor failed:\n{found}")
        return Found(*found)


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


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch(sys.stdin.buffer, sys.stdout.buffer)
