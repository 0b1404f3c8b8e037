"""One direction of a path with a bottleneck: a rate, a drop-tail queue before it, a constant delay behind it."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Final

_TICKS_PER_SECOND: Final = 1000
#: Numbers of frames at the beginning that no drop list names: the handshake.
SPARED: Final = 8


@dataclass(frozen=True, slots=True)
class Path:
    """A path. Rate in bit/s, round trip in ticks (1 ms) without queueing; the queue holds one product of the two."""

    rate: int = 100_000_000
    round_trip: int = 20

    @property
    def queue_bytes(self) -> int:
        """One bandwidth-delay product."""
        return self.rate * self.round_trip // _TICKS_PER_SECOND // 8


def drop_list(seed: int, rate: float, frames: int) -> frozenset[int]:
    """Numbers of the frames that are lost, drawn from a seed: the same for every sender."""
    rng = random.Random(f"drops/{seed}")
    return frozenset(number for number in range(SPARED, frames) if rng.random() < rate)


class Bottleneck:
    """Frames go in by `push` and come out by `pop_due`, never out of order."""

    def __init__(self, path: Path, drops: frozenset[int] = frozenset()) -> None:
        self.frames = 0
        """Frames pushed so far; the next one has this number."""
        self.dropped = 0
        """By the drop list."""
        self.overflowed = 0
        """Found the queue full."""
        self._path = path
        self._drops = drops
        self._free_at = 0.0
        self._queue: deque[tuple[int, bytes]] = deque()

    def push(self, frame: bytes, tick: int) -> None:
        """A frame enters."""
        number = self.frames
        self.frames += 1
        if number in self._drops:
            self.dropped += 1
            return
        ticks = len(frame) * 8 * _TICKS_PER_SECOND / self._path.rate
        waiting = max(0.0, self._free_at - tick) * self._path.rate / _TICKS_PER_SECOND / 8
        if waiting + len(frame) > self._path.queue_bytes:
            self.overflowed += 1
            return
        self._free_at = max(self._free_at, tick) + ticks
        arrival = self._free_at + self._path.round_trip / 2
        self._queue.append((-int(-arrival // 1), frame))

    def pop_due(self, tick: int) -> list[bytes]:
        """Frames that arrive up to `tick`."""
        out: list[bytes] = []
        while self._queue and self._queue[0][0] <= tick:
            out.append(self._queue.popleft()[1])
        return out

    def next_deadline(self) -> int | None:
        """Tick of the next arrival."""
        return self._queue[0][0] if self._queue else None
