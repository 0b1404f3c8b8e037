"""Where the peer pushed: positions behind the last byte of segments with PSH, from the segments that came in.

Which of several copies of a byte the target took is not in the trace. So a push is *sure* at a position where every
segment that brought the byte before it ends there with PSH, and *possible* wherever a segment with PSH ends. Where the
target cut a segment, at its window or at what it held already, nobody pushed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_REMEMBERED: Final = 1024
"""Segments that are remembered at most."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes [start, end) of one segment."""

    start: int
    end: int
    push: bool


class Pushes:
    """Segments that hold bytes which the client has not got."""

    def __init__(self) -> None:
        self._pieces: list[_Piece] = []
        self._unknown = 0
        """Below this position segments were forgotten too early."""

    def take(self, start: int, end: int, *, push: bool, acked: int) -> None:
        """A segment with bytes [start, end) came in; ``acked`` as the target last said it."""
        if end <= acked:
            return
        if len(self._pieces) == _REMEMBERED:
            self._unknown = max(piece.end for piece in self._pieces)
            self._pieces.clear()
        self._pieces.append(_Piece(max(start, acked), end, push))

    def forget(self, position: int) -> None:
        """The client has the bytes below ``position``."""
        if any(piece.end <= position for piece in self._pieces):
            self._pieces = [piece for piece in self._pieces if piece.end > position]

    def surely(self, low: int, high: int) -> int | None:
        """The first sure push in (low, high], if there is one."""
        ends = {piece.end for piece in self._pieces if piece.push and low < piece.end <= high}
        return min(filter(self._sure, ends), default=None)

    def _sure(self, end: int) -> bool:
        brought = (piece for piece in self._pieces if piece.start < end <= piece.end)
        return end > self._unknown and all(one.push and one.end == end for one in brought)

    def possibly(self, low: int, high: int) -> bool:
        """There may have been a push in (low, high]."""
        if low < self._unknown:
            return True
        return any(piece.push and low < piece.end <= high for piece in self._pieces)
