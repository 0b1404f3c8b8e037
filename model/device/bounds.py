"""Liveness bounds (check 6): cycles from when something is due until it happens, stalls by transactors not counted.

One table. Each bound is meant to be at most 8 times the largest value seen plus 256; `Liveness.seen` reports the
largest values so that the table can be kept tight.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from model.device.divergence import Divergence, Halt

BOUNDS: Mapping[str, int] = {
    "frame": 360,  # last beat of a frame in -> verdict of the parser
    "segment": 33_000,  # parser found a segment -> RX_SEGMENT commit
    "command": 120_000,  # driver posts a doorbell (the bus comes later) -> commit or completion with an error
    "raw_send": 40_000,  # driver posts the doorbell of a RAW_SEND -> its completion in the ring
    "message": 30_000,  # message of tcp_engine -> commit of delivery_engine
    "continue": 6_500,  # work is left -> CONTINUE commit
    "grant": 120_000,  # connection can send -> TX_GRANT commit
    "timer": 13_000,  # deadline passed -> TIMER commit; like CONSUMED it may wait for room in the message queue
    "push": 6_500,  # push deadline passed -> TIMER commit of delivery_engine
    "wire": 29_000,  # SEGMENT -> frame out
    "write": 44_000,  # action -> its last byte in host memory
    "completion": 40_000,  # completion issued -> written to the ring
    "consumed": 13_000,  # CONSUMED due -> commit; 1650 seen at 64 bits while slow writes held up the message queue
    "credit": 300,  # CREDIT_BATCH credits pending -> commit
    "fence": 9_800,  # both halves of a fence done -> FENCE_DONE commit
}
"""Cycles."""


class Liveness:
    """What is due and since when. Keys are any hashable; the oldest of a kind is looked at first."""

    def __init__(self, bounds: Mapping[str, int] | None = None) -> None:
        self._bounds = dict(BOUNDS if bounds is None else bounds)
        self._open: dict[str, dict[Hashable, int]] = {kind: {} for kind in self._bounds}
        self.seen: dict[str, int] = dict.fromkeys(self._bounds, 0)
        self.stalled = 0

    def after_reset(self) -> Liveness:
        """Nothing is due any more; what was seen, and the count of stalls, go on."""
        fresh = Liveness(self._bounds)
        fresh.seen, fresh.stalled = self.seen, self.stalled
        return fresh

    def begin(self, kind: str, key: Hashable, cycle: int) -> None:
        """Something became due (no effect if it already was)."""
        self._open[kind].setdefault(key, cycle - self.stalled)

    def end(self, kind: str, key: Hashable, cycle: int) -> None:
        """It happened, or is due no longer."""
        start = self._open[kind].pop(key, None)
        if start is None:
            return
        took = cycle - self.stalled - start
        if took > self.seen[kind]:
            self.seen[kind] = took
            if took > self._bounds[kind]:
                raise Halt(self._late(kind, key, cycle, took))

    def restart(self, cycle: int) -> None:
        """Nothing of what is pending counts from before this cycle (the ring was full, the device was disabled)."""
        for kind in self._open.values():
            for key in kind:
                kind[key] = cycle - self.stalled

    def check(self, cycle: int) -> None:
        """Raise Halt if the oldest of any kind is over its bound."""
        for kind, pending in self._open.items():
            if pending:
                key, start = next(iter(pending.items()))
                if (took := cycle - self.stalled - start) > self._bounds[kind]:
                    raise Halt(self._late(kind, key, cycle, took))

    def _late(self, kind: str, key: Hashable, cycle: int, took: int) -> Divergence:
        return Divergence(
            check=6,
            stream="liveness",
            order=0,
            cycle=cycle,
            conn=None,
            event=kind,
            field=f"{kind} {key}",
            expected=f"within {self._bounds[kind]} cycles",
            got=f"{took} cycles",
            rule="architecture 3, check 6: what is due happens",
        )

    def left(self) -> list[tuple[str, Hashable]]:
        """Everything still due."""
        return [(kind, key) for kind, pending in self._open.items() for key in pending]

    def table(self) -> dict[str, dict[str, int]]:
        """{kind: {bound, max_seen}}."""
        return {kind: {"bound": bound, "max_seen": self.seen[kind]} for kind, bound in self._bounds.items()}
