"""What SACK blocks told a sender: which acknowledgments count as duplicates (RFC 6675 2)."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


class Sacked:
    """Octets above SND.UNA that the far end said to hold, as [left, right) positions of the send stream."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def note(self, blocks: Iterable[Span], snd_una: int, snd_max: int) -> bool:
        """Take the blocks of an acknowledgment; True if one tells of octets that were not known to have arrived.

        A block at or below ``snd_una`` is a duplicate's (RFC 2883 4), one that ends above ``snd_max`` tells of nothing
        that was sent: neither counts.
        """
        self._spans = [(max(left, snd_una), right) for left, right in self._spans if right > snd_una]
        news = False
        for block in blocks:
            if not snd_una < block[0] < block[1] <= snd_max:
                continue
            news |= not any(left <= block[0] and block[1] <= right for left, right in self._spans)
            self._add(block)
        return news

    def _add(self, new: Span) -> None:
        apart = [span for span in self._spans if span[1] < new[0] or new[1] < span[0]]
        joined = [span for span in self._spans if span not in apart] + [new]
        self._spans = sorted([*apart, (min(a for a, _ in joined), max(b for _, b in joined))])

    def forget(self) -> None:
        """A retransmission timeout: the far end may have dropped what it held (RFC 2018 8)."""
        self._spans.clear()
