"""Out-of-order bytes of one direction, kept until the gap before them closes."""

from __future__ import annotations


class Reassembly:
    """Pieces (position, bytes), sorted, never overlapping: the first copy of a byte stays."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, bytes]] = []

    def __bool__(self) -> bool:
        return bool(self._pieces)

    def add(self, start: int, data: bytes) -> None:
        """Keep the bytes of `data`, which lies at position `start`, that are not known yet."""
        fresh: list[tuple[int, bytes]] = []
        at = start
        end = start + len(data)
        for left, piece in self._pieces:
            right = left + len(piece)
            if right <= at or left >= end:
                continue
            if at < left:
                fresh.append((at, data[at - start : left - start]))
            at = max(at, right)
        if at < end:
            fresh.append((at, data[at - start :]))
        if fresh:
            self._pieces = sorted(self._pieces + fresh)

    def spans(self) -> list[tuple[int, int]]:
        """What is kept as [left, right) positions, in order; pieces that touch are one."""
        found: list[tuple[int, int]] = []
        for left, piece in self._pieces:
            right = left + len(piece)
            if found and found[-1][1] == left:
                found[-1] = (found[-1][0], right)
            else:
                found.append((left, right))
        return found

    def take(self, position: int) -> bytes:
        """Remove and return what continues the stream at `position`."""
        out: list[bytes] = []
        while self._pieces and self._pieces[0][0] <= position:
            left, piece = self._pieces.pop(0)
            rest = piece[position - left :]
            out.append(rest)
            position += len(rest)
        return b"".join(out)
