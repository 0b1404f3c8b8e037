"""How a peer whose TCP is not ours serves the applications of the test bench.

The stack gives a `Stream` a connection; `Served` moves bytes between it and the application, as a program with
non-blocking sockets would.
"""

from __future__ import annotations

from typing import Protocol

from tb.peers.base import Application


class Stream(Protocol):
    """One connection of a foreign stack."""

    @property
    def other_port(self) -> int:
        """The port at the other end."""
        ...

    def read(self, limit: int) -> bytes:
        """The next bytes received, at most `limit`; empty if there are none now."""
        ...

    def ended(self) -> bool:
        """The other side closed, and everything before was read."""
        ...

    def failure(self) -> str | None:
        """Why the connection died, None while it did not."""
        ...

    def room(self) -> int:
        """Bytes that `write` would probably take now."""
        ...

    def write(self, data: bytes) -> int:
        """Queue data; returns how many bytes of it were taken."""
        ...

    def shut(self) -> bool:
        """Close the own direction; False if that must be tried again."""
        ...

    def release(self) -> None:
        """Both directions are closed: the stack may forget the connection."""
        ...


class Served:
    """A connection and its application."""

    def __init__(self, stream: Stream, app: Application) -> None:
        self.stream = stream
        self.app = app
        self.other_port = stream.other_port
        self.over = False
        """Closed in both directions, or dead."""
        self.failure: str | None = None
        """Why it died, None if it did not."""
        self._unsent = b""
        self._ended = False
        self._shut = False

    def pump(self) -> bool:
        """Move what can be moved; True if anything was."""
        if self.over:
            return False
        moved = self._receive() | self._send()
        failure = self.stream.failure()
        if failure is not None and not (self._ended and self._shut):
            self.over, self.failure = True, failure
            self.app.on_abort(failure)
            return True
        if self._ended and self._shut:
            self.over = True
            self.stream.release()
        return moved

    def _receive(self) -> bool:
        moved = False
        while data := self.stream.read(self.app.room()):
            self.app.on_data(data)
            moved = True
        if not self._ended and self.stream.ended():
            self._ended = moved = True
            self.app.on_end()
        return moved

    def _send(self) -> bool:
        moved = False
        while True:
            self._unsent = self._unsent or self.app.take(self.stream.room())
            taken = self.stream.write(self._unsent) if self._unsent else 0
            self._unsent = self._unsent[taken:]
            moved |= taken > 0
            if taken == 0:
                break
        if not self._shut and not self._unsent and self.app.wants_close():
            self._shut = self.stream.shut()
            moved |= self._shut
        return moved
