"""Progress of a command that has a known number of parts: a bar with the time left on a terminal, else plain lines.

The time left is what the parts that are over took on average, for those that are not: the parts differ, so it is an
estimate, and none is given before the first part is over.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, ParamSpec, Self, TypeVar

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
    """Counts the parts of a command that are over and shows it while it is entered.

    One is shown at a time: a meter that is entered within another only counts. With ``share`` there are no parts but
    what it says is done, 0 to 1, whenever it is asked.
    """

    #: That which is shown.
    _shown: ClassVar[Meter | None] = None
    _one: ClassVar[threading.Lock] = threading.Lock()

    def __init__(
        self, name: str, total: int = 100, *, console: Console | None = None,
        clock: Callable[[], float] = time.monotonic, plain: float = PLAIN, share: Callable[[], float] | None = None,
    ) -> None:  # fmt: skip
        self._name = name
        self._total = total
        self._share = share
        self._last_share = 0.0
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
        with Meter._one:
            if Meter._shown is not None:
                return self
            Meter._shown = self
        self._bar.start()
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        if Meter._shown is not self:
            return
        self._over.set()
        self._watcher.join()
        self._bar.stop()
        Meter._shown = None

    def finished(self) -> None:
        """One more part is over."""
        with self._lock:
            self._done += 1

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A part of this name: under way while it is entered, over behind it."""
        with self._lock:
            self._under_way.append(name)
        try:
            yield
        finally:
            with self._lock:
                self._under_way.remove(name)
                self._done += 1

    def around(self, part: str, function: Callable[P, T]) -> Callable[P, T]:
        """The function as a part of this name, also on another thread."""

        def counted(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.part(part):
                return function(*args, **kwargs)

        return counted

    def over(self, parts: Iterable[T]) -> Iterator[T]:
        """The parts, each counted as over when it comes: for those that come when they have ended."""
        for part in parts:
            self.finished()
            yield part

    def left(self) -> float | None:
        """Seconds left, None while nobody can say."""
        done = self._over_now()
        if done == 0:
            return None
        return (self._clock() - self._started) / done * max(0, self._total - done)

    def _over_now(self) -> int:
        return self._done if self._share is None else round(self._total * self._share_now())

    def _share_now(self) -> float:
        """What is done, 0 to 1; the last that was told where nobody can tell now: only what is shown hangs on it."""
        with contextlib.suppress(Exception):
            self._last_share = min(1.0, max(0.0, self._share())) if self._share is not None else 0.0
        return self._last_share

    def left_in_words(self) -> str:
        """The time left for people."""
        left = self.left()
        return "time left not known yet" if left is None else f"about {duration(left)} left"

    def line(self) -> str:
        """The plain line of this moment."""
        done = f"{self._over_now()} of {self._total}" if self._share is None else f"{self._share_now():.0%}"
        words = f"{self._name}: {done} done after {duration(self._clock() - self._started)}"
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
                self._bar.update(self._task, completed=self._over_now(), left=self.left_in_words(), now=self._now())
            return
        while not self._over.wait(self._plain):
            self._console.print(self.line(), markup=False)


@contextlib.contextmanager
def alone(name: str, part: str) -> Iterator[None]:
    """A command, or a phase of one, of which nobody knows the parts: that it goes on, and for how long."""
    with Meter(name, 1) as meter, meter.part(part):
        yield
