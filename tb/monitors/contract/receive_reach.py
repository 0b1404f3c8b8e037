"""How far RCV.NXT may stand, and what depends on which of the segments that wait were taken.

A segment that acknowledges what has not left yet may have been taken or not: the trace tells some ticks later, or
never. So a judgement that hangs on it keeps a `Reach` and asks it when the time has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tb.monitors.contract.acceptance import Held
from tb.monitors.contract.receive_segments import Segment


@dataclass(frozen=True, slots=True)
class Piece:
    """Sequence numbers [start, end) as far as the window may have let them in, of a segment that waits.

    ``held``: None for what came beyond a gap, or the peer's FIN; that waits for nothing but the gap to be closed.
    """

    start: int
    end: int
    held: Held[Segment] | None

    @property
    def counts(self) -> bool:
        """It may have been taken, by what the trace shows up to now."""
        return self.held is None or self.held.counts

    @property
    def able(self) -> bool:
        """The target could have taken it."""
        return self.held is None or self.held.posted

    @property
    def ack(self) -> int:
        """All up to here must have left."""
        return 0 if self.held is None else self.held.ack


@dataclass(frozen=True, slots=True)
class Reach:
    """Where RCV.NXT may have stood at one moment."""

    low: int
    """No less than this."""
    sure: int
    """No more than this if nothing that waited was taken."""
    pieces: tuple[Piece, ...] = ()
    """What may lead on from ``sure``, by its start."""

    @property
    def waits(self) -> bool:
        """It hangs on what waits."""
        return bool(self.pieces)

    @property
    def most(self) -> int:
        """No more than this, whatever of it was taken."""
        return max(self.places)

    @property
    def now(self) -> int:
        """No more than this by what has come to count since."""
        return max((piece.end for piece in self._lead(one for one in self.pieces if one.counts)), default=self.sure)

    @property
    def places(self) -> set[int]:
        """Where it may have stood beyond ``sure``, and ``sure``."""
        return {self.sure, *(piece.end for piece in self._lead(self.pieces))}

    def exact(self, place: int) -> bool:
        """It stood at ``place``, unless something that waited was taken."""
        return self.low == self.sure == place

    def needed(self, place: int) -> list[Held[Segment]]:
        """What must have been taken for it to stand at ``place``: that for which the least must have left."""
        able = [piece for piece in self.pieces if piece.able]
        for most in sorted({piece.ack for piece in able}):
            end, needed = self.sure, list[Held[Segment]]()
            for piece in self._lead(one for one in able if one.ack <= most):
                if end < piece.end and end < place:
                    end = piece.end
                    needed += [piece.held] if piece.held is not None else []
            if end >= place:
                return needed
        return []

    def _lead(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Those of ``pieces`` that lie without a gap behind ``sure``, by their start."""
        end = self.sure
        for piece in pieces:
            if piece.start > end:
                return
            if piece.end > self.sure:
                end = max(end, piece.end)
                yield piece


@dataclass(frozen=True, slots=True, eq=False)
class Reset:
    """An RST that the target may find acceptable."""

    tick: int
    place: int
    reach: Reach
    certain: bool
    """It must: nothing in the trace says otherwise."""

    @property
    def waits(self) -> bool:
        """It can be so only if something that waited was taken, which nothing has shown."""
        return self.place > self.reach.now
