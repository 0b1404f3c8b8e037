"""What the test bench may rely on in any peer, and in the applications that a peer serves."""

from __future__ import annotations

from typing import Protocol


class Peer(Protocol):
    """A host on the wire. Time is counted in ticks of 1 ms and never goes back between calls."""

    def on_frame(self, frame: bytes, tick: int) -> list[bytes]:
        """A frame (no FCS) arrives; returns the frames that the peer sends at once, in order."""
        ...

    def on_tick(self, tick: int) -> list[bytes]:
        """Time has come to `tick`; returns the frames that timers send, in order."""
        ...

    def next_deadline(self) -> int | None:
        """The tick at which `on_tick` has something to do next, or None if nothing runs."""
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
