"""What a target makes of a segment, whatever far end it comes from: it must take it, it may, or it cannot.

The checks are those of RFC 9293 3.10.7.4, RFC 5961 5 and RFC 7323 5. A monitor knows what the target holds only between
bounds: of RCV.NXT, of its right edge, of SND.UNA, of TS.Recent. So there is a third answer, and it is the only one that
leaves something open; a far end that keeps to RFC 9293 hardly ever gets it.

Two things stay open behind it, and are kept here by place: where the FIN lies (`Fins`), and what a far end said of
numbers that were not sent when it said it (`Early`). Which of two texts for the same numbers was taken is kept by
`receive_stream.Stream`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Generic, Protocol, TypeVar

from tb.monitors.contract.trace import State
from tb.monitors.wire_headers import ACK, RST, SYN

SOON: Final = 16
"""Ticks between the arrival of a segment and the target's look at it."""
STALL: Final = 64
"""Ticks by which a frame may leave late: the wire may have been busy."""
_SEEN: Final = SOON + STALL
"""Ticks between its arrival and the frame with what the target had sent before it looked."""
_TIMESTAMPS: Final = 1
_OUTDATED: Final = 1 << 27
"""Ticks of less than 24 days on any clock: a younger TS.Recent stops an older stamp (RFC 7323, 5.5)."""
_HALF: Final = 1 << 31
_WHOLE: Final = 1 << 32
_REMEMBERED: Final = 1024
"""Segments of one connection that wait at most."""
_Item = TypeVar("_Item")


class Answer(IntEnum):
    """Whether the target takes a segment; the least of several checks counts."""

    NO = 0
    PERHAPS = 1
    YES = 2


class Header(Protocol):
    """What is read of a segment."""

    @property
    def flags(self) -> int:
        """Of the TCP header."""

    @property
    def stamps(self) -> tuple[int, int] | None:
        """(TSval, TSecr)."""

    @property
    def length(self) -> int:
        """SEG.LEN."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which positions the target's variables lie when it looks at the segment."""

    nxt: tuple[int, int]
    """RCV.NXT."""
    told: int
    """Last.ACK.sent is no less than this."""
    edge: tuple[int, int]
    """Right edge of the receive window."""
    una: tuple[int, int]
    """SND.UNA."""
    sent: tuple[int, int]
    """SND.MAX."""
    widest: tuple[int, int]
    """MAX.SND.WND, bytes."""


def _either(never: bool, surely: bool) -> Answer:
    return Answer.NO if never else Answer.YES if surely else Answer.PERHAPS


def in_window(start: int, length: int, bounds: Bounds) -> Answer:
    """The four cases of RFC 9293, 3.10.7.4; with a window of zero a segment at RCV.NXT counts without its text."""
    (low, high), (edge, farthest) = bounds.nxt, bounds.edge
    exact = low == high == start
    if not length:
        surely = exact or high <= start < edge
        return _either(not (low <= start < farthest or low <= start <= high), surely)
    last = start + length - 1
    surely = exact or high <= start < edge or (start <= low and high <= last < edge)
    return _either(not ((last >= low and start < farthest) or low <= start <= high), surely)


def in_range(ack: int, bounds: Bounds) -> Answer:
    """SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.MAX (RFC 5961, 5)."""
    (low, high), (narrow, wide) = bounds.una, bounds.widest
    least, most = bounds.sent
    return _either(ack > most or ack < low - wide, high - narrow <= ack <= least)


class Recent:
    """TS.Recent (RFC 7323, 4.3 and 5.3), between two bounds that move with what may have been, or surely was, taken."""

    def __init__(self, const: State | None, delegated: State | None, tick: int) -> None:
        self.on = bool(_number(const, "flags") & _TIMESTAMPS)
        """The connection has timestamps."""
        self._low = self._high = _number(delegated, "ts_recent")
        self._since = tick - _number(delegated, "ts_recent_age")

    def passes(self, stamps: tuple[int, int] | None, tick: int) -> Answer:
        """PAWS: a stamp before TS.Recent stops the segment, none does, too."""
        if not self.on:
            return Answer.YES
        if stamps is None:
            return Answer.NO
        if self._high - self._low >= _HALF or tick - self._since >= _OUTDATED:
            return Answer.PERHAPS
        above_low, above_high = ((stamps[0] - bound) % _WHOLE < _HALF for bound in (self._low, self._high))
        return _either(not above_low and not above_high, above_low and above_high)

    def took(self, stamps: tuple[int, int] | None, tick: int, answer: Answer) -> None:
        """A segment that is not behind Last.ACK.sent was taken, perhaps."""
        if not self.on or stamps is None or answer is Answer.NO:
            return
        place = self._high + (stamps[0] - self._high + _HALF) % _WHOLE - _HALF
        if answer is Answer.YES:
            self._low = self._high = place
            self._since = tick
        elif place > self._high:
            self._high = place

    def had(self, stamps: tuple[int, int] | None, tick: int) -> None:
        """A segment with these was taken some ticks ago: TS.Recent is no older, unless it was outdated then."""
        if not self.on or stamps is None or self._high - self._low >= _HALF or tick - self._since >= _OUTDATED:
            return
        place = self._high + (stamps[0] - self._high + _HALF) % _WHOLE - _HALF
        if place > self._low:
            self._low, self._high, self._since = place, max(place, self._high), tick


@dataclass(slots=True)
class Fins:
    """Where the peer's FIN may lie: the ends of all segments with FIN that may have been taken."""

    known: int | None = None
    """Where it lies for certain."""
    heard: bool = False
    """A FIN came in that may have been taken, wherever it lay."""
    places: dict[int, int] = field(default_factory=dict)
    """Place -> record of the first segment that had it there."""

    def add(self, place: int, order: int = 0) -> None:
        """A segment with FIN ended at ``place``."""
        self.heard = True
        if self.known is None:
            self.places.setdefault(place, order)

    def passed(self, position: int) -> None:
        """The target has what lies below ``position``: a FIN before the last of it would have ended the stream."""
        if self.known is None and any(place < position - 1 for place in self.places):
            self.places = {place: order for place, order in self.places.items() if place >= position - 1}

    def settle(self, place: int) -> None:
        """It lies at ``place``."""
        if self.known is None:
            self.known = place
            self.places = {place: self.places.get(place, 0)}
            self.heard = True

    def at(self, place: int) -> bool:
        """It may lie there."""
        return place in self.places or place == self.known

    def heard_at(self, end: int) -> int | None:
        """Record of the first FIN that the target may have if it has all up to ``end``; None without one."""
        return min((order for place, order in self.places.items() if place <= end), default=None)

    def within(self, end: int) -> bool:
        """The target may have it, if it has all up to ``end``."""
        return any(place <= end for place in self.places) or (self.known is not None and self.known <= end)


@dataclass(slots=True)
class Held(Generic[_Item]):
    """A segment that acknowledged what was not sent when it came."""

    tick: int
    """When it came."""
    ack: int
    """It acknowledges all up to here."""
    item: _Item
    stamp: Answer = Answer.YES
    """What PAWS said of it then: what came behind it has no say in that."""
    before: int = 0
    """End of the data that had come without a gap."""
    low: int = 0
    """RCV.NXT was no less than this."""
    told: int = 0
    """Last.ACK.sent was no less than this."""
    posted: bool = False
    """What it acknowledges was with the target before the target looked at it."""
    taken: bool = False
    """The target has shown that it took it."""
    counts: bool = False
    """It may have been taken: what it acknowledges has left since, or the target has shown it."""
    alone: bool = True
    """No other that waited explains what the target has shown of it."""


class Early(Generic[_Item]):
    """Acknowledgments of what was not sent: they count if the target sends it before it looks at them."""

    def __init__(self) -> None:
        self._waiting: deque[Held[_Item]] = deque(maxlen=_REMEMBERED)

    def add(self, held: Held[_Item]) -> None:
        """One came; with an old stamp it never counts."""
        if held.stamp is not Answer.NO:
            self._waiting.append(held)

    def due(self, tick: int, sent: int) -> Iterator[Held[_Item]]:
        """Those that may count now that all up to ``sent`` was sent; one that the target has shown waits for it."""
        if not self._waiting:
            return
        fresh = [one for one in self._waiting if one.taken or one.tick + (_SEEN if one.posted else SOON) >= tick]
        self._waiting = deque((one for one in fresh if one.ack > sent), maxlen=_REMEMBERED)
        yield from (one for one in fresh if one.ack <= sent)

    def post(self, tick: int, queued: int) -> None:
        """The target has all up to ``queued`` to send."""
        for one in self._waiting:
            one.posted |= one.tick + SOON >= tick and one.ack <= queued

    def waiting(self, tick: int) -> list[Held[_Item]]:
        """Those that may count yet."""
        return [one for one in self._waiting if one.tick + (_SEEN if one.posted else SOON) >= tick]


class Gate:
    """The checks of one connection, and what of their answers is remembered."""

    def __init__(self, const: State | None, delegated: State | None, tick: int, una: int) -> None:
        self.recent = Recent(const, delegated, tick)
        self.una = una
        """Lower bound of SND.UNA: what was acknowledged by segments that the target must have taken."""

    def judge(
        self, seg: Header, start: int, ack: int, bounds: Bounds, tick: int, stamp: Answer | None = None
    ) -> Answer:
        """Whether the target takes the segment; ``start`` and ``ack`` are its numbers as positions.

        ``stamp``: what PAWS says of it, if that was asked before.
        """
        window = in_window(start, seg.length, bounds)
        if seg.flags & (RST | SYN):
            return window
        if not seg.flags & ACK:
            return Answer.NO
        passes = self.recent.passes(seg.stamps, tick) if stamp is None else stamp
        return min(window, in_range(ack, bounds), passes)

    def took(self, seg: Header, start: int, ack: int, bounds: Bounds, tick: int, answer: Answer) -> None:
        """The target looks at the segment; ``bounds`` as they were before it."""
        if answer is Answer.NO or seg.flags & (RST | SYN):
            return
        if answer is Answer.YES:
            self.una = max(self.una, ack)
        if start <= bounds.nxt[1]:  # RFC 7323, 4.3: SEG.SEQ <= Last.ACK.sent
            self.recent.took(seg.stamps, tick, answer if start <= bounds.told else Answer.PERHAPS)


def _number(state: State | None, name: str) -> int:
    value = None if state is None else state.get(name)
    return value if isinstance(value, int) else 0
