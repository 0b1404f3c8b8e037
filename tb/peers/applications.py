"""Applications for peers: echo, sink, source. Each keeps the SHA-256 of what it received."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final

UNLIMITED: Final = 1 << 30
"""Room of an application that reads whatever comes, in bytes."""


class BaseApp:
    """Receives everything, sends nothing, closes when the other side has closed."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.received_bytes = 0
        """Bytes handed to the application so far."""
        self.ended = False
        """The other side closed its direction."""
        self.abort_reason: str | None = None
        """Why the connection died, or None."""

    @property
    def received_sha256(self) -> str:
        """Hex SHA-256 of all bytes received so far, in stream order."""
        return self._hash.hexdigest()

    def room(self) -> int:
        """Bytes that the application would read now."""
        return UNLIMITED

    def on_data(self, data: bytes) -> None:
        """Count and hash the next bytes."""
        self._hash.update(data)
        self.received_bytes += len(data)

    def on_end(self) -> None:
        """Note the end of the stream."""
        self.ended = True

    def on_abort(self, reason: str) -> None:
        """Note the death of the connection."""
        self.abort_reason = reason

    def take(self, limit: int) -> bytes:
        """Nothing to send."""
        return b""

    def wants_close(self) -> bool:
        """Close after the other side."""
        return self.ended


class SinkApp(BaseApp):
    """Reads and forgets. `read_limit` bytes in all if given: then the window closes for ever (S19)."""

    def __init__(self, read_limit: int | None = None) -> None:
        super().__init__()
        self.read_limit = read_limit
        """Bytes the application is willing to read in all; may be raised during the test."""

    def room(self) -> int:
        """What is left of the limit."""
        return UNLIMITED if self.read_limit is None else max(0, self.read_limit - self.received_bytes)


class EchoApp(BaseApp):
    """Writes back what it reads; closes when the other side closed and all is written back.

    `backlog` bounds the bytes read and not yet written back; beyond it the receive window closes.
    """

    def __init__(self, backlog: int = UNLIMITED) -> None:
        super().__init__()
        self._backlog = backlog
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0

    def room(self) -> int:
        """What is left of the backlog."""
        return max(0, self._backlog - self._pending_bytes)

    def on_data(self, data: bytes) -> None:
        """Queue the bytes for the way back."""
        super().on_data(data)
        self._pending.append(data)
        self._pending_bytes += len(data)

    def take(self, limit: int) -> bytes:
        """The oldest bytes not written back yet."""
        out: list[bytes] = []
        while self._pending and limit > 0:
            head = self._pending.popleft()
            if len(head) > limit:
                self._pending.appendleft(head[limit:])
                head = head[:limit]
            limit -= len(head)
            self._pending_bytes -= len(head)
            out.append(head)
        return b"".join(out)

    def wants_close(self) -> bool:
        """Close when the stream has ended and nothing waits."""
        return self.ended and not self._pending


class SourceApp(BaseApp):
    """Sends `data`, keeps what comes back in `received`, closes when `close_after` bytes came back.

    `close_after` None closes as soon as everything was handed to the connection.
    """

    def __init__(self, data: bytes, close_after: int | None = None) -> None:
        super().__init__()
        self._data = data
        self._at = 0
        self._close_after = close_after
        self.received = bytearray()
        """Bytes received, in stream order."""

    def on_data(self, data: bytes) -> None:
        """Keep the bytes."""
        super().on_data(data)
        self.received += data

    def take(self, limit: int) -> bytes:
        """The next part of the data."""
        part = self._data[self._at : self._at + limit]
        self._at += len(part)
        return part

    def wants_close(self) -> bool:
        """Close when all was sent and, if asked for, enough came back (or the other side closed)."""
        if self._at < len(self._data):
            return False
        return self._close_after is None or self.ended or self.received_bytes >= self._close_after
