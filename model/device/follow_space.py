"""What can be in rx_buffer when a frame is decided: bounds on `fill`, and whether NO_SPACE was legal (check 5).

The follower knows which frames were accepted and what became of each, not in which cycle the device freed its beats.
So there are two sets: frames that surely are in the buffer (their fate is open even now), and frames that may be (all
but those whose fate was sealed, and all their bytes written, long enough before this frame).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass

RETIRE_CYCLES = 1024
"""Longest time, in cycles, from the end of a frame's fate (verdict DROP, last byte placed) and of those before it to
its beats being free: reading it out (204 beats at 64 bits), and a place in the queue of verdicts. Twice that again,
because the device decides on room from the first beat of a frame on, and `entered` is its last."""
SLACK = 4
"""Beats and frames in the pipeline in front of the buffer."""


@dataclass(frozen=True, slots=True)
class Held:
    """An accepted frame: its number and its size in beats."""

    arrival: int
    beats: int


class RxSpace:
    """Frames of rx_buffer in arrival order. ``beats`` and ``frames``: its size."""

    def __init__(self, beats: int, frames: int) -> None:
        self._beats = beats
        self._frames = frames
        self._held: deque[Held] = deque()
        self._leaving: deque[tuple[int, int]] = deque()
        self._placed: dict[int, int] = {}
        self._raw: dict[int, int] = {}
        self.sure = self.sure_frames = self.most = self.most_frames = 0

    def accepted(self, arrival: int, beats: int) -> None:
        """A frame was kept."""
        self._held.append(Held(arrival, beats))

    def placed(self, arrival: int, number: int) -> None:
        """The frame is read for the last time by write ``number`` of rx_placer."""
        self._placed[arrival] = number

    def raw_up(self, arrival: int, number: int) -> None:
        """The frame goes to a raw buffer, by raw write ``number``."""
        self._raw[arrival] = number

    def look(self, open_: Container[int], placed: int, raw: int, entered: int, now: int) -> None:
        """Work out the bounds for a frame whose last beat came in cycle ``entered``, decided in cycle ``now``.

        ``open_``: frames whose fate is open, or that stand behind such a one; ``placed``, ``raw``: writes finished.
        """
        held, leaving = self._held, self._leaving
        while held and held[0].arrival not in open_:
            arrival = held[0].arrival
            if self._placed.get(arrival, 0) > placed or self._raw.get(arrival, 0) > raw:
                break
            self._placed.pop(arrival, None)
            self._raw.pop(arrival, None)
            leaving.append((now, held.popleft().beats))
        while leaving and leaving[0][0] + RETIRE_CYCLES < entered:
            leaving.popleft()
        sure = [h.beats for h in held if h.arrival in open_]
        self.sure, self.sure_frames = sum(sure), len(sure)
        self.most = sum(h.beats for h in held) + sum(beats for _, beats in leaving)
        self.most_frames = len(held) + len(leaving)

    def may_lack(self, beats: int) -> bool:
        """There may have been no room for a frame of ``beats``."""
        return self.most + beats + SLACK > self._beats or self.most_frames + SLACK >= self._frames

    def must_lack(self, beats: int) -> bool:
        """There surely was no room for a frame of ``beats``."""
        return self.sure + beats > self._beats or self.sure_frames >= self._frames

    def legal_fill(self, fill: int, beats: int) -> bool:
        """``fill`` can be what the buffer held, with or without the beats of the frame itself."""
        return self.sure <= fill <= self.most + beats + SLACK
