"""How far RCV.NXT may stand, and what depends on which of the segments that wait were taken.

A segment that acknowledges what has not left yet may have been taken or not: the trace tells some ticks later, or
never. So a judgement that hangs on it keeps a `Reach` and asks it when the time has come.
"""

from __future__ import annotations

from dataclasses import dataclass

from tb.monitors.contract.acceptance import Held
from tb.monitors.contract.receive_segments import Segment


@dataclass(frozen=True, slots=True)
class Piece:
    """Sequence numbers [start, end) of a segment that waits, as far as the window may have let them in."""

    start: int
    end: int
    held: Held[Segment]


@dataclass(frozen=True, slots=True)
class Reach:
    """Where RCV.NXT may have stood at one moment."""

    low: int
    """No less than this."""
    sure: int
    """No more than this if nothing that waited was taken."""
    pieces: tuple[Piece, ...]
    """What waited and leads on from ``sure``, one behind the other."""

    @property
    def most(self) -> int:
        """No more than this, whatever of it was taken."""
        return max((piece.end for piece in self.pieces), default=self.sure)

    @property
    def now(self) -> int:
        """No more than this by what has come to count since."""
        end = self.sure
        for piece in self.pieces:
            if piece.held.counts and piece.start <= end:
                end = max(end, piece.end)
        return end

    def exact(self, place: int) -> bool:
        """It stood at ``place``, unless something that waited was taken."""
        return self.low == self.sure == place

    def needed(self, place: int) -> list[Held[Segment]]:
        """What must have been taken for it to stand at ``place``: as little as possible of that which waited."""
        end, found = self.sure, list[Held[Segment]]()
        while end < place:
            able = [piece for piece in self.pieces if piece.start <= end < piece.end]
            if not able:
                break
            # the one that ends there if there is one: what leads past it does not stop there
            best = next((one for one in able if one.end == place), max(able, key=lambda one: one.end))
            found.append(best.held)
            end = best.end
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Reset:
    """An RST that the target may find acceptable."""

    tick: int
    place: int
    reach: Reach

    @property
    def waits(self) -> bool:
        """It can be so only if something that waited was taken, which nothing has shown."""
        return self.place > self.reach.now
