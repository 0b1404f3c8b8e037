"""Pool buffers that the host keeps, and answers to the device that wait for them.

An accepted indication leaves its buffer with the host until ReceiveReturn (CH-156). A host that returns nothing must
not take the pool away from connections whose host does: once less than a buffer for each connection is left, the device
is told that a kept indication was accepted only when its list comes back. Until then the device delivers nothing on
that connection, and takes no more than one buffer for it (tcp_step C.11).
"""

from __future__ import annotations

from collections.abc import Callable

from model.layout.generated import Sqe


class KeptBuffers:
    """``limit``: pool buffers that the host may keep before answers wait. ``submit`` gives an entry to the device."""

    def __init__(self, limit: int, submit: Callable[[Sqe], None]) -> None:
        self._limit = max(0, limit)
        self._submit = submit
        self._out: set[int] = set()
        self._waiting: dict[int, Sqe] = {}

    def give(self, buffer: int) -> None:
        """The host got a list that lies in this buffer."""
        self._out.add(buffer)

    def take_back(self, buffer: int) -> None:
        """The list came back, or the host did not take it."""
        self._out.discard(buffer)
        if (entry := self._waiting.pop(buffer, None)) is not None:
            self._submit(entry)
        while self._waiting and len(self._out) <= self._limit:
            self._submit(self._waiting.pop(next(iter(self._waiting))))

    def answer(self, buffer: int, entry: Sqe, *, may_wait: bool) -> None:
        """Give the ANSWER of an indication to the device: now, or if it ``may_wait`` when buffers come back."""
        if may_wait and buffer in self._out and len(self._out) > self._limit:
            self._waiting[buffer] = entry
        else:
            self._submit(entry)

    def ends(self, conn: int) -> None:
        """A connection is about to be terminated: the device learns of everything that was accepted (6.5)."""
        for buffer in [buffer for buffer, entry in self._waiting.items() if entry.conn == conn]:
            self._submit(self._waiting.pop(buffer))
