"""Progress of a command that has a known number of parts: a bar with the time left on a terminal, else plain lines.

The time left is what the parts that are over took on average, for those that are not: the parts differ, so it is an
estimate, and none is given before the first part is over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import ParamSpec, Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds between plain lines, and between two looks of the bar at the clock.
PLAIN, POLL = 5.0, 0.5
#: Names of parts under way that are shown.
SHOWN = 4


def duration(seconds: float) -> str:
    """As people say it: 48 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class Meter:
    """Counts the parts of a command that are over and shows it while it is entered."""

    def __init__(
        self, name: str, total: int, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic,
        plain: float = PLAIN,
    ) -> None:  # fmt: skip
        self._name = name
        self._total = total
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._clock = clock
        self._plain = plain
        self._started = clock()
        self._done = 0
        self._under_way: list[str] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"), TextColumn("{task.fields[now]}", markup=False),
            console=self._console, disable=not self._console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(name, total=total, left="", now="")
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._bar.start()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()
        self._bar.stop()

    def finished(self) -> None:
        """One more part is over."""
        with self._lock:
            self._done += 1

    def around(self, part: str, function: Callable[P, T]) -> Callable[P, T]:
        """The function as a part of this name, also on another thread."""

        def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            with self._lock:
                self._under_way.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                with self._lock:
                    self._under_way.remove(part)
                    self._done += 1

        return counted

    def over(self, parts: Iterable[T]) -> Iterator[T]:
        """The parts, each counted as over when it comes."""
        for part in parts:
            self.finished()
            yield part

    def left(self) -> float | None:
        """Seconds left, None while nobody can say."""
        if self._done == 0:
            return None
        return (self._clock() - self._started) / self._done * max(0, self._total - self._done)

    def left_in_words(self) -> str:
        """The time left for people."""
        left = self.left()
        return "time left not known yet" if left is None else f"about {duration(left)} left"

    def line(self) -> str:
        """The plain line of this moment."""
        words = f"{self._name}: {self._done} of {self._total} done after {duration(self._clock() - self._started)}"
        now = self._now()
        return f"{words}, {self.left_in_words()}" + (f"; running: {now}" if now else "")

    def _now(self) -> str:
        with self._lock:
            names = list(self._under_way)
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return ", ".join(names[:SHOWN]) + more

    def _watch(self) -> None:
        if self._console.is_terminal:
            while not self._over.wait(POLL):
                self._bar.update(self._task, completed=self._done, left=self.left_in_words(), now=self._now())
            return
        while not self._over.wait(self._plain):
            self._console.print(self.line(), markup=False)
