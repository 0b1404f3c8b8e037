"""What the test bench may rely on in any peer, and in the applications that a peer serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Peer(Protocol):
    """A host on the wire. Time is counted in ticks of 1 ms and never goes back between calls."""

    @property
    def violations(self) -> list[str]:
        """What the other side did against the rules, or to this peer's connections; one line each."""
        ...

    @property
    def served(self) -> Sequence[int]:
        """The other side's port of every connection, in the order in which their applications were made."""
        ...

    def on_frame(self, frame: bytes, tick: int) -> list[bytes]:
        """A frame (no FCS) arrives; returns the frames that the peer sends at once, in order."""
        ...

    def on_tick(self, tick: int) -> list[bytes]:
        """Time has come to `tick`; returns the frames that timers send, in order."""
        ...

    def next_deadline(self) -> int | None:
        """The tick at which `on_tick` has something to do next, or None if nothing runs."""
        ...

    def expect_reset(self, other_port: int) -> None:
        """The other side was told to reset its connection from this port: an RST is no violation any more."""
        ...

    def close(self) -> None:
        """The run is over: give back what the peer holds outside this process. A second call does nothing."""
        ...


class Application(Protocol):
    """The program above one connection. The peer pulls and pushes; nothing blocks."""

    def room(self) -> int:
        """Bytes that the application would read now; the rest stays in the receive buffer."""
        ...

    def on_data(self, data: bytes) -> None:
        """The next bytes of the stream, in order, never more than `room()`."""
        ...

    def on_end(self) -> None:
        """The other side closed its direction; no more data comes."""
        ...

    def on_abort(self, reason: str) -> None:
        """The connection died (reset or given up)."""
        ...

    def take(self, limit: int) -> bytes:
        """Up to `limit` bytes to send next; empty if there is nothing now."""
        ...

    def wants_close(self) -> bool:
        """True when everything was taken and this direction is to be closed."""
        ...
