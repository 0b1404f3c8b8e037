"""A job of the farm: what it runs, in which folder, within which limits; and how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tb.farm.keeper import ATTEMPTS, LOCK, OUTCOME, SPEC
from tb.sim.process import ENDED, status_words

#: Bytes of address space that a job may take, unless it says otherwise.
MEMORY = 8 << 30


@dataclass(frozen=True)
class FarmJob:
    """One job. Everything it writes lies in `folder`, which is emptied first.

    `token` names the run: an outcome of another run in the same folder does not count. `env` is added to the
    environment of the worker. `files` are written into the folder before the command starts: name and text. `timeout`
    is in seconds of wall clock, `memory` in bytes of address space (0: no bound).
    """

    id: str
    token: str
    folder: Path
    command: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    log: str = "job.log"
    timeout: float = 600.0
    memory: int = MEMORY

    def lay_out(self) -> None:
        """Write what the keeper reads; the folder is emptied by the keeper, when nobody else works in it any more."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {
            "id": self.id, "token": self.token, "command": self.command, "cwd": str(self.cwd), "env": dict(self.env),
            "files": dict(self.files), "log": self.log, "timeout": self.timeout, "memory": self.memory,
        }  # fmt: skip
        temporary = self.folder / f"{SPEC}.tmp"
        temporary.write_text(json.dumps(content, indent=1))
        os.replace(temporary, self.folder / SPEC)

    def outcome(self) -> Outcome | None:
        """How the job ended, None if it has not ended in this run."""
        with contextlib.suppress(OSError):
            return self.outcome_of((self.folder / OUTCOME).read_text())
        return None

    def outcome_of(self, text: str) -> Outcome | None:
        """The same from the text of the file."""
        try:
            found = json.loads(text)
        except ValueError:
            return None
        if found.get("token") != self.token or found.get("id") != self.id:
            return None
        return Outcome(found["ended"], found["status"], float(found["seconds"]))

    def attempts(self) -> int:
        """How often the command was started in this run."""
        with contextlib.suppress(OSError):
            lines = (self.folder / ATTEMPTS).read_text().splitlines()
            return sum(json.loads(line)["token"] == self.token for line in lines)
        return 0

    def wait_until_left(self, seconds: float) -> bool:
        """Wait until no attempt at the job runs any more, here or elsewhere; whether that came within the bound."""
        if not (self.folder / LOCK).exists():
            return True
        deadline = time.monotonic() + seconds
        with (self.folder / LOCK).open("a") as lock:
            while True:
                with contextlib.suppress(OSError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return True
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.02)


@dataclass(frozen=True)
class Outcome:
    """How a job ended: by itself (`exit`, with a status; negative: a signal), by its bound (`time-out`), never begun.

    `seconds` are wall clock from the start of the command to its end.
    """

    ended: str
    status: int | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the command ended by itself with status 0."""
        return self.ended == "exit" and self.status == 0

    def problem(self, timeout: float) -> str:
        """Why the command did not end well, in words; empty if it did."""
        if self.ended == "time-out":
            return f"{ENDED} of {timeout:.0f} s"
        if self.ended != "exit" or self.status is None:
            return "could not be started"
        return status_words(self.status) if self.status else ""
