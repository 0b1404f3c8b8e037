"""The peer's bytes of a connection: what came in, when, and what of it lies in order."""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import Final

_KEPT: Final = 4096
"""Delivered bytes that are remembered, to know them when they come again."""
_PIECES: Final = 4096
"""Pieces beyond a gap that are remembered at most."""


@dataclass(slots=True)
class Arrival:
    """Bytes [start, end) that came in order: first and latest tick at which a copy came."""

    start: int
    end: int
    first: int
    last: int
    whole: bool = True
    """It is the payload of one segment that came in order."""
    copied: bool = False
    """Some of it came again: which copy the target took is not known."""
    waited: int | None = None
    """It is of a segment that acknowledged what had not left; `last` as it was when that had."""

    @property
    def certain(self) -> bool:
        """If the target has it, it took it from one segment, at the tick at which it came."""
        return self.whole and not self.copied


@dataclass(slots=True)
class Stream:
    """The peer's bytes by position: [base, end) without a gap, and pieces beyond it."""

    base: int
    end: int
    held: bytearray = field(default_factory=bytearray)
    beyond: list[tuple[int, bytes]] = field(default_factory=list)
    unknown: list[tuple[int, int]] = field(default_factory=list)
    """Ranges in order and apart of which no text is known."""
    others: dict[int, set[int]] = field(default_factory=dict)
    """Bytes that came for a place besides the one that is held: which of them was taken is not known."""

    def bytes_at(self, start: int, length: int) -> bytes | None:
        """What lies at [start, start + length); None if not all of it is remembered."""
        if start < self.base or start + length > self.end:
            return None
        return bytes(self.held[start - self.base : start - self.base + length])

    def same(self, start: int, data: bytes) -> bool | None:
        """``data`` is what lies at ``start``, by one of the texts that came; None if not all of it is remembered."""
        held = self.bytes_at(start, len(data))
        if held is None:
            return None
        return held == data or all(self._possible(at, byte) for at, byte in enumerate(data, start))

    def unexplained(self, start: int, data: bytes) -> set[int]:
        """Places at which no text that came has what ``data`` has, those beyond a gap included."""
        return {at for at, byte in enumerate(data, start) if not self._possible(at, byte) and not self._apart(at, byte)}

    def _possible(self, at: int, byte: int) -> bool:
        if not self.base <= at < self.end:
            return False
        one = self.held[at - self.base] == byte or byte in self.others.get(at, ())
        return one or any(low <= at < high for low, high in self.unknown)

    def _apart(self, at: int, byte: int) -> bool:
        return any(start <= at < start + len(piece) and piece[at - start] == byte for start, piece in self.beyond)

    def doubt(self, start: int, end: int) -> None:
        """What lies at [start, end) is not known."""
        met = [span for span in self.unknown if span[0] <= end and start <= span[1]]
        self.unknown = sorted([*(span for span in self.unknown if span not in met), _hull([*met, (start, end)])])

    def put(self, start: int, data: bytes, tick: int, floor: int = 0) -> list[Arrival]:
        """Bytes came in: the arrivals that are now without a gap. Below ``floor`` the target had all before."""
        new: list[Arrival] = []
        if start > self.end:
            if len(self.beyond) < _PIECES:
                insort(self.beyond, (start, data))
            else:
                self.doubt(start, start + len(data))
            return new
        self._append(start, data, tick, new, floor, whole=True)
        while self.beyond and self.beyond[0][0] <= self.end:
            at, piece = self.beyond.pop(0)
            self._append(at, piece, tick, new, floor, whole=False)
        return new

    def _append(self, start: int, data: bytes, tick: int, new: list[Arrival], floor: int, *, whole: bool) -> None:
        old = min(len(data), self.end - start)
        seen = max(start, self.base, floor)
        if old > 0 and seen < start + old:
            known = self.held[seen - self.base : start + old - self.base]
            other = data[seen - start : old]
            if known != other:
                for at, (one, two) in enumerate(zip(known, other, strict=True), seen):
                    if one != two:
                        self.others.setdefault(at, set()).add(two)
        if old < len(data):
            new.append(Arrival(self.end, start + len(data), tick, tick, whole=whole and old == 0))
            self.held += data[old:]
            self.end = start + len(data)

    def forget(self, position: int) -> None:
        """Bytes far below ``position`` are not needed any more."""
        surplus = position - _KEPT - self.base
        if surplus > _KEPT:
            del self.held[:surplus]
            self.base += surplus
            self.unknown = [span for span in self.unknown if span[1] > self.base]
            self.others = {at: texts for at, texts in self.others.items() if at >= self.base}


def _hull(spans: list[tuple[int, int]]) -> tuple[int, int]:
    return min(low for low, _ in spans), max(high for _, high in spans)
