"""`--json`: one JSON document on standard output, everything that a command says on standard error.

The document: `command`, `status` (the exit status), `error` (what, where, do; null without one), `results` (the file
that the command wrote, below the root) and `result` (what is in it). Both are null if this call wrote nothing.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tb.cli import FAILED, module_of
from tb.commands import COMMANDS
from tb.config import ROOT, ConfigError, RunConfig
from tb.files import shown
from tb.story.find import newest


def results_file(config: RunConfig) -> Path | None:
    """The JSON file that a command of this configuration leaves."""
    if config.command == "regress" and config.suite == "contract":
        from tb.contract.regress import OUT, folder_name

        return OUT / folder_name(config) / "summary.json"
    pattern = COMMANDS[config.command].results
    failure = config.failure
    if "{failure}" in pattern and failure is None and (failure := newest()) is None:
        return None
    text = pattern.format(
        out=config.out, device=config.device, attack_suffix=config.attack_suffix, peer=config.peer, failure=failure
    )
    return ROOT / text if text else None


class Document:
    """What one call of a command leaves; printed at the end if it is wanted."""

    def __init__(self, command: str, *, wanted: bool) -> None:
        self._wanted = wanted
        self._file: Path | None = None
        self._before: tuple[int, int] | None = None
        self._result: Any = None
        self._error: dict[str, str] | None = None
        self._stdout = -1
        self._config = RunConfig(command=command)
        self.status = FAILED

    def __enter__(self) -> Self:
        if self._wanted:
            sys.stdout.flush()
            self._stdout = os.dup(1)
            os.dup2(2, 1)  # also for the programs that the command starts
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._wanted:
            return
        sys.stdout.flush()
        os.dup2(self._stdout, 1)
        os.close(self._stdout)
        if isinstance(error, Exception):
            self.unexpected(error)
        elif error is not None:
            return
        try:
            text = json.dumps(self.content(), indent=1)
        except (OSError, TypeError, ValueError) as wrong:  # the result file is half written, or is gone again
            if self._error is None:
                self.unexpected(wrong)
            self._file = self._result = None
            print(json.dumps(self.content(), indent=1), flush=True)
            if error is None:
                raise
        else:
            print(text, flush=True)

    def of(self, config: RunConfig) -> None:
        """The configuration is known: what its result file is before the command runs."""
        self._config = config
        self._file = results_file(config)
        self._before = self._state()

    def _state(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino

    def fresh(self) -> bool:
        """Whether this call wrote its result file."""
        return self._state() is not None and self._state() != self._before

    @property
    def shown(self) -> str:
        """The result file as the user would type it at the root."""
        assert self._file is not None  # noqa: S101 - asked of a fresh file only
        return str(self._file.relative_to(ROOT) if self._file.is_relative_to(ROOT) else self._file)

    def computed(self) -> int:
        """Take the result of a command that has no file; the exit status."""
        status: int
        status, self._result = module_of(self._config.command).result(self._config)
        return status

    def error(self, error: ConfigError) -> None:
        """Keep what was wrong."""
        self._error = {"what": error.what, "where": error.where, "do": error.todo}

    def unexpected(self, error: Exception) -> None:
        """The command ends with a traceback, on standard error: keep what it says."""
        frames = traceback.extract_tb(error.__traceback__)
        where = f"{shown(Path(frames[-1].filename))}, line {frames[-1].lineno}" if frames else self._config.command
        todo = "this is a fault of the program: standard error has the traceback, report it with the command"
        self.status = FAILED
        self.error(ConfigError(f"{type(error).__name__}: {error}", where, todo))

    def content(self) -> dict[str, Any]:
        """The document."""
        fresh = self.fresh()
        return {
            "command": self._config.command,
            "status": self.status,
            "error": self._error,
            "results": self.shown if fresh else None,
            "result": json.loads(self._file.read_text()) if fresh and self._file else self._result,
        }
