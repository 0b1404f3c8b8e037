"""A sender with SACK, a wire that loses what it is told to, and a receiver that answers each segment (RFC 2018)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

from model.layout.generated import TxSegment
from model.tcp.seq import MASK, distance
from model.tcp.types import RESET_PARAMS
from tb.tests.model.tcp_bench import FIN, Engine, running

MSS = 1000
SACK = 2
"""Bit of const_flags."""
FIRST = 0xFFFF_C000
"""First sequence number: the stream wraps."""


def sender(window: int, **changes: int) -> Engine:
    """A started connection with SACK agreed on that may have ``window`` segments of MSS octets under way."""
    edges = {"snd_una": FIRST, "snd_nxt": FIRST, "snd_max": FIRST, "snd_wnd": 900_000, "max_snd_wnd": 900_000}
    return running(
        RESET_PARAMS, now=0, **(edges | {"const_flags": SACK | 4, "snd_wind_scale": 4, "cwnd": window * MSS} | changes)
    )


@dataclass
class Far:
    """The receiver: which octets it has, by distance from FIRST, and the order in which they came."""

    have: set[int] = field(default_factory=set)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """What is held behind the first hole, the one that grew last first."""
    next: int = 0

    def take(self, left: int, right: int) -> None:
        """Octets [left, right) arrive."""
        if right > self.next:
            apart = [one for one in self.ranges if one[1] < left or right < one[0]]
            met = [one for one in self.ranges if one not in apart]
            grown = min([left, *(one[0] for one in met)]), max([right, *(one[1] for one in met)])
            self.ranges = [grown, *apart]
        for one in [one for one in self.ranges if one[0] <= self.next]:
            self.next = max(self.next, one[1])
            self.ranges.remove(one)

    def blocks(self, most: int = 4) -> dict[str, int]:
        """The SACK fields of its acknowledgment."""
        told = [((FIRST + left) & MASK, (FIRST + right) & MASK) for left, right in self.ranges[:most]]
        return {
            "sack_n": len(told),
            "sack_left": sum(left << 32 * place for place, (left, _) in enumerate(told)),
            "sack_right": sum(right << 32 * place for place, (_, right) in enumerate(told)),
        }


@dataclass
class Loop:
    """Sender and receiver with a wire in between that keeps the order. No timer ever expires."""

    engine: Engine
    far: Far = field(default_factory=Far)
    wire: deque[tuple[int, int]] = field(default_factory=deque)
    sent: list[tuple[int, int]] = field(default_factory=list)
    """Every segment that left, [left, right) by distance from FIRST."""

    def send(self) -> list[TxSegment]:
        """Everything that may go leaves."""
        segments = self.engine.segments()
        for seg in segments:
            if seg.len or seg.flags & FIN:
                left = distance(seg.seq, FIRST)
                self.sent.append((left, left + seg.len + (seg.flags & FIN)))
        return segments

    def onto_wire(self, lost: Collection[int] = ()) -> None:
        """What was sent since goes onto the wire but for the numbers in ``lost``; then nothing is 'sent' any more."""
        self.wire.extend(piece for number, piece in enumerate(self.sent) if number not in lost)
        self.sent.clear()

    def deliver(self) -> list[TxSegment]:
        """The next segment arrives, is acknowledged, and the sender answers; what it sent goes onto the wire."""
        self.far.take(*self.wire.popleft())
        self.engine.rx(ack=(FIRST + self.far.next) & MASK, **self.far.blocks())
        before = len(self.sent)
        segments = self.send()
        self.wire.extend(self.sent[before:])
        return segments

    def outstanding(self) -> int:
        return distance(self.engine.tcb.snd_max, self.engine.tcb.snd_una)
