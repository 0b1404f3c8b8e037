"""CUBIC as RFC 9438 writes it, in real numbers; a sender that is only acknowledged; a long path with a wire.

Written from the RFC alone, in segments and seconds: nothing of the model's arithmetic is used.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from model.layout.generated import Cubic, Params
from model.tcp.seq import MASK, distance, lt
from model.tcp.types import RESET_PARAMS
from tb.tests.model.sack_bench import FIRST, Far
from tb.tests.model.tcp_bench import FIN, Engine, running

CUBIC, ECN, SACK, SCALED = 16, 8, 2, 4
"""Bits of const_flags."""
C, BETA = 0.4, 0.7
"""RFC 9438 5.1 (segments/s^3) and 4.6."""
ALPHA = 3 * (1 - BETA) / (1 + BETA)
"""RFC 9438 4.3: segments a window, below cwnd_prior."""
QUEUED: Final = 1 << 30
SEARCH: Final = 17
"""Acknowledgments of a stage until the device knows K (tcp_step Q-5)."""


def kept(engine: Engine) -> Cubic:
    """What the engine keeps of the congestion control."""
    return Cubic.unpack(engine.tcb.cc)


def remembering(engine: Engine, **fields: int) -> Engine:
    """The same with other fields of ``cc``."""
    engine.tcb = replace(engine.tcb, cc=replace(kept(engine), **fields).pack())
    return engine


def under_way(engine: Engine, octets: int) -> Engine:
    """The same with so many octets sent and not acknowledged."""
    top = (engine.tcb.snd_una + octets) & MASK
    engine.tcb = replace(engine.tcb, snd_nxt=top, snd_max=top, snd_end=top)
    return engine


def avoiding(cwnd: int, *, w_max: int = 0, prior: int = 0, params: Params = RESET_PARAMS, **changes: int) -> Engine:
    """A started CUBIC connection in congestion avoidance with 2^30 octets under way, so that it only hears.

    The next acknowledgment begins a stage. ``w_max`` and ``prior`` are of the last reduction, in octets.
    """
    now = changes.pop("now", 0)
    engine = running(params, now=now, **({"const_flags": CUBIC, "cwnd": cwnd, "ssthresh": 2000} | changes))
    return remembering(under_way(engine, QUEUED), w_max=w_max, prior=prior)


def acknowledge(engine: Engine, octets: int) -> None:
    """``octets`` more are acknowledged."""
    engine.rx(ack=(engine.tcb.snd_una + octets) & MASK)


@dataclass
class RealCubic:
    """RFC 9438 4.2 to 4.5 behind a reduction: windows in segments, times in seconds from the start of the stage."""

    cwnd: float
    w_max: float
    prior: float
    round_trip: float

    def __post_init__(self) -> None:
        self.w_max = max(self.w_max, self.cwnd)
        self.k = float(((self.w_max - self.cwnd) / C) ** (1 / 3))
        self.w_est = self.cwnd

    def curve(self, t: float) -> float:
        """W_cubic(t)."""
        return C * (t - self.k) ** 3 + self.w_max

    def ack(self, t: float, segments: float) -> None:
        """So many segments are acknowledged."""
        self.w_est += (ALPHA if self.w_est < self.prior else 1) * segments / self.cwnd
        if self.curve(t) < self.w_est:
            self.cwnd = max(self.cwnd, self.w_est)
            return
        target = min(max(self.curve(t + self.round_trip), self.cwnd), 1.5 * self.cwnd)
        self.cwnd += segments * (target - self.cwnd) / self.cwnd


@dataclass
class Clock:
    """Acknowledgments of two segments at the pace of one window a round trip, for a sender that loses nothing.

    ``round_trip`` in ms; the sender's ticks are those of its parameters.
    """

    engine: Engine
    mss: int
    round_trip: float
    began: int = 0

    def __post_init__(self) -> None:
        self.began = self.engine.now
        rate = self.engine.params.ticks_per_second
        self.engine.tcb = replace(self.engine.tcb, srtt=round(self.round_trip * rate / 1000) << 3, rtt_active=0)

    def run(self, seconds: float, also: Callable[[float, float], None] | None = None) -> Iterator[float]:
        """Each acknowledgment but the first, which begins the stage: its time in seconds from there.

        ``also`` is told of it, with its segments, before the sender is.
        """
        acknowledge(self.engine, 2 * self.mss)
        at = 0.0
        while at < seconds:
            at += self.round_trip / 1000 * 2 * self.mss / self.engine.tcb.cwnd
            self.engine.now = (self.began + int(at * self.engine.params.ticks_per_second)) & MASK
            if also is not None:
                also(at, 2)
            acknowledge(self.engine, 2 * self.mss)
            yield at


@dataclass
class LongPath:
    """Sender, receiver and a path of ``round_trip`` ticks that carries ``rate`` segments a tick, without a queue.

    Every second segment is acknowledged, and each one behind a hole. Segments in ``lost``, by number, do not arrive.
    """

    engine: Engine
    round_trip: int
    rate: int
    lost: frozenset[int]
    far: Far = field(default_factory=Far)
    _events: list[tuple[float, int, int, int]] = field(default_factory=list)
    _free_at: float = 0.0
    _number: int = 0
    _unacknowledged: int = 0

    def send(self) -> None:
        """Everything that may go leaves."""
        for seg in self.engine.segments(10_000):
            if not seg.len:
                continue
            self._free_at = max(self._free_at, self.engine.now) + 1 / self.rate
            left = distance(seg.seq, FIRST)
            if self._number not in self.lost:
                end = left + seg.len + (seg.flags & FIN)
                heapq.heappush(self._events, (self._free_at + self.round_trip - 1, self._number, left, end))
            self._number += 1

    def run(self, ticks: int) -> Iterator[int]:
        """The tick of each acknowledgment, behind what it let out."""
        end = self.engine.now + ticks
        while self._events and self._events[0][0] < end:
            at, _, left, right = heapq.heappop(self._events)
            self.far.take(left, right)
            self._unacknowledged += 1
            if self._unacknowledged < 2 and not self.far.ranges:
                continue
            self._unacknowledged = 0
            self.engine.now = int(at) & MASK
            assert not self.engine.tcb.rtx_on or lt(self.engine.now, self.engine.tcb.rtx_deadline), "a timeout is due"
            self.engine.rx(ack=(FIRST + self.far.next) & MASK, **self.far.blocks())
            self.send()
            yield self.engine.now
