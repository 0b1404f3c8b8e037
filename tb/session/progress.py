"""Progress of a run on the terminal: phases with a bar, seconds and time left, or plain lines without a terminal.

The simulation runs in a process of its own and leaves its share in a file; a thread here reads it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tb.progress import duration

PROGRESS_NAME = "progress"
#: Seconds between looks at the file, and between plain lines.
POLL, PLAIN = 0.3, 5.0


class ProgressFile:
    """The writer's side: ``report`` as often as you like, it writes a few times a second."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS_NAME
        self._next = 0.0

    def report(self, share: float) -> None:
        """``share`` of the work is done, 0..1."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + POLL
            self._path.write_text(f"{share:.4f}")


class Phases:
    """The reader's side: one bar a phase."""

    def __init__(self, console: Console, folder: Path) -> None:
        self._console = console
        self._path = folder / PROGRESS_NAME
        self._bar = Progress(
            TextColumn("{task.description:<9}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(), TextColumn("{task.fields[left]}"), console=console, disable=not console.is_terminal,
        )  # fmt: skip

    def _share(self) -> float:
        try:
            return float(self._path.read_text())
        except (OSError, ValueError):
            return 0.0

    @contextlib.contextmanager
    def phase(self, name: str, measured: bool = False) -> Iterator[None]:
        """A phase under way; with ``measured`` its share comes from the file."""
        self._path.unlink(missing_ok=True)
        over = threading.Event()
        started = time.monotonic()
        with self._bar:
            task = self._bar.add_task(name, total=1.0 if measured else None, left="")
            watcher = threading.Thread(target=self._watch, args=(over, task, name, measured, started), daemon=True)
            watcher.start()
            try:
                yield
                self._bar.update(task, total=1.0, completed=1.0)
            finally:
                over.set()
                watcher.join()
        if not self._console.is_terminal:
            self._console.print(f"{name:<9} {time.monotonic() - started:.1f} s")

    def _watch(self, over: threading.Event, task: TaskID, name: str, measured: bool, started: float) -> None:
        spoken = started
        while not over.wait(POLL):
            share = self._share() if measured else 0.0
            now = time.monotonic()
            left = f"about {duration((now - started) / share * (1 - share))} left" if share else ""
            if measured:
                self._bar.update(task, completed=share, left=left)
            if not self._console.is_terminal and now - spoken >= PLAIN:
                spoken = now
                self._console.print(
                    f"{name:<9} {now - started:.0f} s"
                    + (f", {share:.0%}" if measured else "")
                    + (f", {left}" if left else "")
                )
