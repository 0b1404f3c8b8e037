"""What the far end says it holds above snd_una (S-1, S-4; RFC 2018, RFC 6675 3 and 4), as a pure value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from model.layout.generated import SB_RANGES
from model.tcp.seq import MASK, distance, signed
from model.tcp.work import TcbWork

_SEQ_BITS = 32

Span = tuple[int, int]
"""Octets [left, right) as distances from snd_una."""


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """``spans``: ascending, disjoint, not touching, above 0; ``flight``: octets sent and not acknowledged."""

    flight: int
    spans: tuple[Span, ...] = ()

    @property
    def sacked(self) -> int:
        """Octets that the far end holds."""
        return sum(right - left for left, right in self.spans)

    @property
    def highest(self) -> int:
        """The octet behind the highest that is held, 0 if none is."""
        return self.spans[-1][1] if self.spans else 0

    def with_blocks(self, blocks: Iterable[Span]) -> Scoreboard:
        """S-1 for blocks in the order of the option; those that lie elsewhere than in flight do not count."""
        board = self
        for left, right in blocks:
            if 0 < left < right <= self.flight:
                board = board._with(left, right)
        return board

    def _with(self, left: int, right: int) -> Scoreboard:
        met = [span for span in self.spans if span[0] <= right and left <= span[1]]
        if not met and len(self.spans) == SB_RANGES:
            return self
        left, right = min([left, *(span[0] for span in met)]), max([right, *(span[1] for span in met)])
        return replace(self, spans=tuple(sorted([(left, right), *(span for span in self.spans if span not in met)])))

    def lost_edge(self, threshold: int, mss: int) -> int:
        """S-4: below it an octet that is not held counts as lost (RFC 6675 IsLost). 0 if nothing does.

        ``threshold`` ranges above it, or more than ``threshold - 1`` segments of ``mss`` octets.
        """
        ranges = octets = 0
        for left, right in reversed(self.spans):
            ranges, octets = ranges + 1, octets + right - left
            if ranges >= threshold or octets > (threshold - 1) * mss:
                return left
        return 0

    def unsacked(self, behind: int) -> int:
        """Octets of [0, behind) that are not held."""
        return behind - sum(min(right, behind) - left for left, right in self.spans if left < behind)

    def hole(self, start: int) -> Span | None:
        """The first octets from ``start`` on that are not held and lie in front of a range, up to that range."""
        edges = [(0, 0), *self.spans]
        for (_, behind), (left, _) in pairwise(edges):
            first = max(start, behind)
            if first < left:
                return first, left
        return None


def _edges(packed: int, count: int) -> list[int]:
    return [packed >> _SEQ_BITS * place & MASK for place in range(count)]


def blocks_of(count: int, lefts: int, rights: int, origin: int) -> list[Span]:
    """``count`` packed pairs of sequence numbers (place 0 lowest) as distances from ``origin``."""
    pairs = zip(_edges(lefts, count), _edges(rights, count), strict=True)
    return [(distance(left, origin), distance(right, origin)) for left, right in pairs]


def load(w: TcbWork) -> Scoreboard:
    """The scoreboard of a connection.

    A range that begins at or below snd_una is left out (S-1): it was acknowledged, or is no longer stood by.
    """
    flight = distance(w.snd_max, w.snd_una)
    pairs = zip(_edges(w.sb_left, w.sb_n), _edges(w.sb_right, w.sb_n), strict=True)
    kept = [(signed(left, w.snd_una), distance(right, w.snd_una)) for left, right in pairs]
    return Scoreboard(flight, tuple(span for span in kept if span[0] > 0))


def store(w: TcbWork, board: Scoreboard) -> None:
    """Write the ranges back; places behind them are 0."""
    w.sb_n = len(board.spans)
    w.sb_left = w.sb_right = 0
    for place, (left, right) in enumerate(board.spans):
        w.sb_left |= (w.snd_una + left & MASK) << _SEQ_BITS * place
        w.sb_right |= (w.snd_una + right & MASK) << _SEQ_BITS * place
