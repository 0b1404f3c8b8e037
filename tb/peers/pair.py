"""Two peers on one wire, in virtual time: how the peers are tested against each other.

The wire is whatever has the three methods of `Wire`; the clock jumps to the next tick at which anything happens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tb.peers.base import Peer

FrameHook = Callable[[bytes, int], None]


class PairError(RuntimeError):
    """The two peers did not come to rest within the step limit."""


class Wire(Protocol):
    """One direction of a wire."""

    def push(self, frame: bytes, tick: int) -> None:
        """A frame enters."""
        ...

    def pop_due(self, tick: int) -> list[bytes]:
        """Frames that arrive up to `tick`."""
        ...

    def next_deadline(self) -> int | None:
        """Tick of the next arrival."""
        ...


def _ignore(frame: bytes, tick: int) -> None:
    """A hook that does nothing."""


class End:
    """A peer, the wire it sends on, and hooks that see its frames (sent before, received after the network)."""

    def __init__(self, peer: Peer, wire: Wire, sent: FrameHook = _ignore, received: FrameHook = _ignore) -> None:
        self.peer = peer
        self.wire = wire
        self._sent = sent
        self._received = received

    def send(self, frames: list[bytes], tick: int) -> None:
        """Put frames on the wire."""
        for frame in frames:
            self._sent(frame, tick)
            self.wire.push(frame, tick)

    def receive(self, frames: list[bytes], tick: int) -> None:
        """Give frames to the peer and send its answers."""
        for frame in frames:
            self._received(frame, tick)
            self.send(self.peer.on_frame(frame, tick), tick)


def run_until_idle(one: End, two: End, tick: int = 0, step_limit: int = 200_000) -> int:
    """Run until no timer and no frame is pending; returns the last tick."""
    for _ in range(step_limit):
        two.receive(one.wire.pop_due(tick), tick)
        one.receive(two.wire.pop_due(tick), tick)
        one.send(one.peer.on_tick(tick), tick)
        two.send(two.peer.on_tick(tick), tick)
        things = (one.peer, two.peer, one.wire, two.wire)
        pending = [at for at in (thing.next_deadline() for thing in things) if at is not None]
        if not pending:
            return tick
        tick = max(tick, min(pending))
    raise PairError(f"still busy after {step_limit} steps at tick {tick}; a timer or an ACK loop does not end")
