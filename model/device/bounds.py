"""Liveness bounds (check 6): cycles from when something is due until it happens.

One table. Each bound is at most 8 times the largest value seen in the whole test set plus 256; `make test` checks that
(floor::liveness) from what `Liveness.seen` kept. Cycles in which transactors stall on purpose count like any others.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping

from model.device.divergence import Divergence, Halt

BOUNDS: Mapping[str, int] = {
    "frame": 330,  # last beat of a frame in -> verdict of the parser
    "segment": 17_500,  # parser found a segment -> RX_SEGMENT commit
    "command": 60_000,  # driver posts a doorbell (the bus comes later) -> commit or completion with an error
    "raw_send": 16_000,  # driver posts the doorbell of a RAW_SEND, and the one before it is done -> its completion
    "message": 17_500,  # message of tcp_engine -> commit of delivery_engine
    "continue": 2_500,  # work is left -> CONTINUE commit
    "grant": 14_000,  # connection can send -> TX_GRANT commit
    "timer": 17_500,  # deadline passed -> TIMER commit
    "push": 2_500,  # push deadline passed -> TIMER commit of delivery_engine
    "wire": 35_000,  # SEGMENT -> frame out
    "write": 32_000,  # action -> its last byte in host memory
    "completion": 40_000,  # completion issued -> written to the ring
    "consumed": 17_500,  # CONSUMED due -> commit
    "credit": 4_000,  # the first of the credits pending, which waits 2048 cycles -> commit
    "credit_short": 800,  # the same while tcp_engine is short of credits, 256 cycles
    "fence": 9_800,  # FENCE and FREEZE issued, delivery half done -> FENCE_DONE commit
}
"""Cycles at 64 bits, with up to 16 connections at work and memory that answers after up to 64 cycles."""

WAITS_BEHIND: Mapping[str, tuple[str, ...]] = {
    "segment": ("message",),  # text waits for room in the queue of messages
    "consumed": ("message",),  # waits for room in the queue of messages, so as long as the messages in it
    "timer": ("message",),  # the same; few timers are due just when the queue is full
    "push": ("continue",),  # both wait for room in front of rx_placer; few push timers are due just then
    "fence": ("wire", "write"),  # counted from the issue of FENCE, which passes all segments; a test has few of them
}
"""Kinds seldom due in a jam, and the kinds that wait in the same place: what was seen of those counts for them too."""

ONE_BY_ONE = frozenset(("raw_send",))
"""Kinds of which the next begins when the one before is done: a long queue of them takes as long as it is.

What is done out of turn begins nothing and took nothing: the one that it overtook is due since its own turn came.
"""

_BUS = frozenset(("segment", "message", "continue", "grant", "wire", "write", "completion", "consumed"))
FETCHED = frozenset(("command", "raw_send"))
"""Kinds that begin with a doorbell, so they wait for their descriptor to be read."""
_TURNS = frozenset(("command", "raw_send", "grant", "timer", "push"))
_INSIDE = frozenset(("frame", "credit", "credit_short"))
_NARROW, _FEW, _NEAR = 64, 16, 64

QUIET_STROBES = 32
"""Tick strobes that may pass, with nothing else happening in the device, while a timer is due (mechanisms, Time).

An idle device is strobed as fast as one round of timer_scan, so there a timer may be many ticks late within few cycles.
"""


def bounds_for(conns: int, data_w: int, latency: int = 0) -> dict[str, int]:
    """The table for ``conns`` connections at work, ``data_w`` bits, memory that answers after ``latency`` cycles.

    What waits for payload on the bus waits less on a wide one (headers and entries are as long as ever: a quarter at
    the least); what takes turns with other connections, or shares the submission ring with their commands, waits longer
    with more of them; what waits for memory, longer with slow memory: all but rx_parser and the return of credits.
    """
    table: dict[str, int] = {}
    for kind, bound in BOUNDS.items():
        if kind in _BUS:
            bound = bound * max(_NARROW * 4 // data_w, 1) // 4
        if kind in _TURNS:
            bound = bound * max(conns, _FEW) // _FEW
        if kind not in _INSIDE:
            bound = bound * max(latency, _NEAR) // _NEAR
        table[kind] = bound
    return table


def too_wide(tables: list[Mapping[str, Mapping[str, int]]]) -> list[str]:
    """Kinds whose bound is over 8 times the largest value seen plus 256, in words; ``tables`` of a whole test set."""
    found = []
    for kind in BOUNDS:
        waits = (kind, *WAITS_BEHIND.get(kind, ()))
        seen = max((table[k]["max_seen"] for table in tables for k in waits), default=0)
        bound = max((table[kind]["bound"] for table in tables), default=0)
        if bound > 8 * seen + 256:
            found.append(f"{kind}: bound {bound}, {seen} seen, so at most {8 * seen + 256}")
    return found


class Liveness:
    """What is due and since when. Keys are any hashable; the oldest of a kind is looked at first."""

    def __init__(self, bounds: Mapping[str, int]) -> None:
        self._bounds = dict(bounds)
        self._open: dict[str, dict[Hashable, int]] = {kind: {} for kind in self._bounds}
        self.seen: dict[str, int] = dict.fromkeys(self._bounds, 0)
        self._quiet = 0

    def after_reset(self) -> Liveness:
        """Nothing is due any more; what was seen goes on."""
        fresh = Liveness(self._bounds)
        fresh.seen = self.seen
        return fresh

    def begin(self, kind: str, key: Hashable, cycle: int) -> None:
        """Something became due (no effect if it already was)."""
        self._open[kind].setdefault(key, cycle)

    def end(self, kind: str, key: Hashable, cycle: int) -> None:
        """It happened, or is due no longer."""
        pending = self._open[kind]
        in_turn = next(iter(pending), None) == key
        start = pending.pop(key, None)
        if start is None or (kind in ONE_BY_ONE and not in_turn):
            return
        took = cycle - start
        if took > self.seen[kind]:
            self.seen[kind] = took
            if took > self._bounds[kind]:
                raise Halt(self._late(kind, key, cycle, took))
        if kind in ONE_BY_ONE and pending:
            pending[next(iter(pending))] = cycle

    def strobe(self, cycle: int, *, quiet: bool) -> None:
        """A tick; ``quiet``: nothing was recorded since the one before. Halts if a timer is due all the while."""
        kind = next((k for k in ("timer", "push") if self._open[k]), None)
        self._quiet = self._quiet + 1 if quiet and kind is not None else 0
        if kind is not None and self._quiet > QUIET_STROBES:
            key, start = next(iter(self._open[kind].items()))
            raise Halt(self._late(kind, key, cycle, cycle - start, f"within {QUIET_STROBES} ticks of an idle device"))

    def restart(self, cycle: int, kinds: Collection[str] | None = None) -> None:
        """Nothing that is pending (of ``kinds``, default all) counts from before this cycle."""
        for kind in self._open if kinds is None else kinds:
            for key in self._open[kind]:
                self._open[kind][key] = cycle

    def check(self, cycle: int) -> None:
        """Raise Halt if the oldest of any kind is over its bound."""
        for kind, pending in self._open.items():
            if pending:
                key, start = next(iter(pending.items()))
                if (took := cycle - start) > self._bounds[kind]:
                    raise Halt(self._late(kind, key, cycle, took))

    def _late(self, kind: str, key: Hashable, cycle: int, took: int, expected: str = "") -> Divergence:
        return Divergence(
            check=6,
            stream="liveness",
            order=0,
            cycle=cycle,
            conn=None,
            event=kind,
            field=f"{kind} {key}",
            expected=expected or f"within {self._bounds[kind]} cycles",
            got=f"{took} cycles",
            rule="architecture 3, check 6: what is due happens",
        )

    def left(self) -> list[tuple[str, Hashable]]:
        """Everything still due."""
        return [(kind, key) for kind, pending in self._open.items() for key in pending]

    def table(self) -> dict[str, dict[str, int]]:
        """{kind: {bound, max_seen}}."""
        return {kind: {"bound": bound, "max_seen": self.seen[kind]} for kind, bound in self._bounds.items()}
