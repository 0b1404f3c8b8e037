"""Buffers that the host keeps, and how it is kept from draining the pool.

An accepted indication leaves its buffer with the host until ReceiveReturn (CH-156). A host that returns nothing must
not take the pool away from connections whose host does: once no more than a buffer for each connection is left, what is
shown to the host lies in a copy, and the pool buffer goes back to the device at once. Each connection has few copies.
One that has used them up learns that an indication was accepted only when a list of it comes back: until then the
device delivers nothing more on it, and takes no more than one buffer for it (tcp_step C.11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from model.layout.generated import POOL_BUF_BYTES, Sqe
from model.ndis.memory import HostMemory
from model.ndis.miniport_objects import KeptCopy, PoolBuffer

COPIES: Final = 4
"""Copies that each connection may have with the host."""
_SHARES: Final = 64
"""Connections for which there are so many; more than these share them."""


class KeptBuffers:
    """Where the host finds received data.

    ``pool`` buffers for ``conns`` connections; ``base``: host memory for ``size(conns)`` bytes of copies; ``submit``
    gives an entry to the device.
    """

    def __init__(self, memory: HostMemory, base: int, pool: int, conns: int, submit: Callable[[Sqe], None]) -> None:
        self._memory = memory
        self._limit = max(0, pool - conns)
        self._submit = submit
        self._out: set[int] = set()
        self._free = list(range(base, base + self.size(conns), POOL_BUF_BYTES))
        self._copies = Counter[int]()
        self._waiting: dict[PoolBuffer, Sqe] = {}

    @staticmethod
    def size(conns: int) -> int:
        """Bytes of host memory that the copies take."""
        return COPIES * min(conns, _SHARES) * POOL_BUF_BYTES

    def show(self, addr: int, length: int, buffer: int, owner: int) -> tuple[int, PoolBuffer | KeptCopy]:
        """Where the host is to read ``length`` bytes of a pool buffer: there, or in a copy of the connection's own."""
        if len(self._out) < self._limit or self._copies[owner] >= COPIES or not self._free:
            self._out.add(buffer)
            return addr, PoolBuffer(buffer)
        place = self._free.pop()
        self._copies[owner] += 1
        self._memory.write(place, self._memory.read(addr, length))
        return place, KeptCopy(place, owner)

    def take_back(self, token: PoolBuffer | KeptCopy) -> None:
        """The list came back, or the host did not take it."""
        if isinstance(token, KeptCopy):
            self._free.append(token.addr)
            self._copies[token.owner] -= 1
            return
        self._out.discard(token.index)
        if (entry := self._waiting.pop(token, None)) is not None:
            self._submit(entry)
        while self._waiting and len(self._out) <= self._limit:
            self._submit(self._waiting.pop(next(iter(self._waiting))))

    def answer(self, token: PoolBuffer | KeptCopy, entry: Sqe, *, may_wait: bool) -> None:
        """Give the ANSWER of an indication to the device: now, or if it ``may_wait`` when buffers come back."""
        kept = isinstance(token, PoolBuffer) and token.index in self._out
        if may_wait and kept and isinstance(token, PoolBuffer) and len(self._out) > self._limit:
            self._waiting[token] = entry
        else:
            self._submit(entry)

    def ends(self, conn: int) -> None:
        """The connection is ended, or waits for data no longer: the device learns of all that was accepted (6.5)."""
        for token in [token for token, entry in self._waiting.items() if entry.conn == conn]:
            self._submit(self._waiting.pop(token))
