"""A scenario of one connection as it is drawn: the hand-over, and moves of the application and of its peer.

A move says what is done relative to what was done before (the next octets, some behind a hole, an old segment again),
so that any list of moves is a scenario and every part of one is one, too. `script` makes the trace of it, which holds
numbers and times only. A peer is free in what it says and when, but it has one stream and one end of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from tb.script.established import TICK
from tb.script.events import Arrival, Call, Event, Handover, Script, Segment, When
from tb.script.syntax import TOLERANCE
from tb.script.text import OUR_STAMP, PEER_STAMP

#: Microseconds from the peer's SYN to its third segment.
ROUND_TRIP: Final = 100_000
#: Octets of one segment of the peer; octets beyond any window.
LARGEST_SEGMENT: Final = 1_400
FAR_AWAY: Final = 400_000
#: Segments that one write may take at most: small MSS, long simulation.
SEGMENTS_A_WRITE: Final = 24
#: Ticks by which an old timestamp is old (PAWS, RFC 7323 5).
OLD_STAMP: Final = 5_000
WINDOW_FIELD: Final = 0xFFFF
PERCENT: Final = 100


@dataclass(frozen=True)
class Move:
    """``kind`` names a method of `_Writer`; ``wait`` ticks before it, ``size`` octets, ``place`` 0..100."""

    kind: str
    wait: int = 0
    size: int = 1
    place: int = 0


@dataclass(frozen=True)
class Scenario:
    """What is drawn. ``window`` is the peer's, in octets; ``longest`` the ticks that all waits may take together."""

    handover: Handover
    window: int
    moves: tuple[Move, ...]
    longest: int


@dataclass
class _Peer:
    """What the peer said so far, in relative numbers."""

    #: End of what was said without a hole, end of everything, place of the FIN.
    next: int = 1
    top: int = 1
    fin: int | None = None
    #: Octets that the application wrote, and the largest acknowledgment that was said of them.
    written: int = 0
    acked: int = 1
    shut: bool = False
    #: Window field.
    window: int = 0
    said: list[Segment] = field(default_factory=list)

    @property
    def now(self) -> int:
        """Sequence number of a segment that brings nothing."""
        return self.next + (self.next == self.fin)


def script(scenario: Scenario, name: str = "scenario") -> Script:
    """The trace of a scenario: what the peer and the application do, and nothing of what the target must do."""
    return _Writer(scenario).write(name)


class _Writer:
    """Makes events of moves."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario, self._handover = scenario, scenario.handover
        self._left = scenario.longest
        self._now = 0
        self._events: list[Event] = []
        self._peer = _Peer(window=min(WINDOW_FIELD, scenario.window >> scenario.handover.snd_ws))

    def write(self, name: str) -> Script:
        """The trace."""
        handshake = Segment(frozenset("."), 1, 0, 1, self._peer.window, ts=self._stamps())
        self._events.append(Arrival(0, When(ROUND_TRIP, ROUND_TRIP), handshake))
        self._call("accept", "3", "...", "...", ret="4")
        for move in self._scenario.moves:
            wait = min(move.wait, self._left)
            self._left -= wait
            before = len(self._events)
            self._do(move)
            self._now += wait
            if len(self._events) > before:
                time = When(wait * TICK, wait * TICK)
                self._events[before] = replace(self._events[before], when=time)
            else:
                self._left += wait
                self._now -= wait
        window = (handshake.win or 0) << self._handover.snd_ws
        return Script(name, replace(self._handover, snd_wnd=window), tuple(self._events), TOLERANCE)

    def _do(self, move: Move) -> None:
        action: Callable[[Move], None] = getattr(self, f"_{move.kind}")
        action(move)

    # ---- the application ----

    def _call(self, name: str, *args: str, ret: str = "...") -> None:
        self._events.append(Call(0, When(), name, args, ret))

    def _send(self, move: Move) -> None:
        size = min(move.size, SEGMENTS_A_WRITE * self._handover.peer_mss)
        self._call("write", "4", "...", str(size))
        if not self._peer.shut:
            self._peer.written += size

    def _read(self, move: Move) -> None:
        self._call("read", "4", "...", str(move.size))

    def _post(self, move: Move) -> None:
        self._call("aio_read", "4", "...", str(move.size))

    def _shut(self, move: Move) -> None:
        self._call("shutdown", "4", "SHUT_WR", ret="...")
        self._peer.shut = True

    def _close(self, move: Move) -> None:
        self._call("close", "4", ret="0")
        self._peer.shut = True

    def _nodelay(self, move: Move) -> None:
        self._call("setsockopt", "4", "SOL_TCP", "TCP_NODELAY", f"[{move.size & 1}]", "4", ret="0")

    def _keepalive(self, move: Move) -> None:
        self._call("setsockopt", "4", "SOL_TCP", "TCP_KEEPIDLE", "[1]", "4", ret="0")
        self._call("setsockopt", "4", "SOL_SOCKET", "SO_KEEPALIVE", "[1]", "4", ret="0")

    # ---- the peer ----

    def _stamps(self, age: int = 0) -> tuple[int, int] | None:
        """Both clocks count ticks from the handshake on; the echo is never ahead of the target's clock."""
        if not self._handover.ts:
            return None
        trip = ROUND_TRIP // TICK
        return PEER_STAMP + OLD_STAMP + trip + self._now - age, OUR_STAMP + self._now

    def _say(self, flags: str, seq: int, length: int = 0, **more: object) -> None:
        peer = self._peer
        what: dict[str, object] = {"ack": peer.acked, "win": peer.window, "ts": self._stamps()}
        segment = Segment(frozenset(flags), seq, length, **(what | more))  # type: ignore[arg-type]
        self._events.append(Arrival(0, When(), segment))
        peer.said.append(segment)
        if "F" in flags and peer.fin is None:
            peer.fin = seq + length
        if length and seq <= peer.next:
            peer.next = max(peer.next, seq + length)
        if seq < FAR_AWAY:
            peer.top = max(peer.top, peer.next, seq + length)

    def _room(self, seq: int, size: int) -> int:
        """Octets from ``seq`` that the stream still has, one segment's at most."""
        size = min(size, LARGEST_SEGMENT)
        return size if self._peer.fin is None else max(0, min(size, self._peer.fin - seq))

    def _text(self, seq: int, move: Move, **more: object) -> None:
        if count := self._room(seq, move.size):
            self._say("P." if move.place & 1 else ".", seq, count, **more)

    def _data(self, move: Move) -> None:
        """The next octets."""
        self._text(self._peer.next, move)

    def _hole(self, move: Move) -> None:
        """Octets behind a hole."""
        self._text(self._peer.top + 1 + 20 * move.place, move)

    def _back(self, move: Move) -> None:
        """Octets that begin before those that come next."""
        self._text(max(1, self._peer.next - 1 - 20 * move.place), move)

    def _again(self, move: Move) -> None:
        """An old segment once more, as it was."""
        if said := self._peer.said:
            self._events.append(Arrival(0, When(), said[move.place * (len(said) - 1) // PERCENT]))

    def _late(self, move: Move) -> None:
        """The next octets with an old timestamp."""
        self._text(self._peer.next, move, ts=self._stamps(OLD_STAMP))

    def _bare(self, move: Move) -> None:
        """The next octets without the timestamps that were agreed on."""
        self._text(self._peer.next, move, ts=None)

    def _mark(self, move: Move) -> None:
        """The next octets, marked on their way."""
        self._text(self._peer.next, move, ecn="ce" if self._handover.ecn else None)

    def _end(self, move: Move) -> None:
        """The peer's FIN, with what it has left."""
        peer = self._peer
        if peer.fin is not None:
            self._say("F.", peer.fin)
        else:
            self._say("F.", peer.top, min(move.size - 1, LARGEST_SEGMENT))

    def _ack(self, move: Move) -> None:
        """Everything that was heard is acknowledged."""
        self._say(".", self._peer.now, ack=None)

    def _repeat(self, move: Move) -> None:
        """The last acknowledgment once more."""
        self._say(".", self._peer.now)

    def _reach(self) -> int:
        """The largest number that may be acknowledged."""
        return 1 + self._peer.written + self._peer.shut

    def _part(self, move: Move) -> None:
        """Some of what was written is acknowledged, whether it was sent or not."""
        peer = self._peer
        peer.acked += (self._reach() - peer.acked) * move.place // PERCENT
        self._say(".", peer.now)

    def _echo(self, move: Move) -> None:
        """As `_part`, and the network told of congestion (RFC 3168 6.1.3)."""
        peer = self._peer
        peer.acked += (self._reach() - peer.acked) * move.place // PERCENT
        self._say("E." if self._handover.ecn else ".", peer.now)

    def _sack(self, move: Move) -> None:
        """A duplicate that reports octets above it."""
        peer = self._peer
        left = peer.acked + 1 + (peer.written - peer.acked) * move.place // PERCENT
        right = min(left + move.size, peer.written + 1)
        if peer.acked < left < right and self._handover.sack:
            self._say(".", peer.now, sack=((left, right),))

    def _beyond(self, move: Move) -> None:
        """What was never sent is acknowledged."""
        self._say(".", self._peer.now, ack=self._reach() + move.size)

    def _window(self, move: Move) -> None:
        """Another window: closed, small, or as large as can be."""
        wanted = (0, 1, move.size, WINDOW_FIELD)[move.place % 4]
        self._peer.window = min(WINDOW_FIELD, wanted >> (self._handover.snd_ws if wanted < WINDOW_FIELD else 0))
        self._say(".", self._peer.now)

    # ---- what no peer of ours says ----

    def _far(self, move: Move) -> None:
        """Octets right of any window."""
        self._say("P.", self._peer.top + FAR_AWAY, min(move.size, LARGEST_SEGMENT))

    def _reset(self, move: Move) -> None:
        """An RST: where the next octet would be, near it, or far away (RFC 9293 3.10.7.4, RFC 5961 3)."""
        away = (0, 1 + move.size, FAR_AWAY)[move.place % 3]
        self._say("R.", self._peer.now + away)

    def _syn(self, move: Move) -> None:
        """A SYN inside of the window (RFC 5961 4)."""
        self._say("S", self._peer.now + move.place % 2, ack=None)

    def _urgent(self, move: Move) -> None:
        """The next octets, urgent (RFC 9293 3.8.5)."""
        if count := self._room(self._peer.next, move.size):
            self._say("PU.", self._peer.next, count, urgent=1 + move.place % count)
