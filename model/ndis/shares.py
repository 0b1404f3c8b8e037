"""What offloaded connections share of the driver, memory and completion ring, and what none can take of another.

The largest part is first come, first served. Of each resource every connection has one request's worth besides, which
nobody else gets: a connection that posts all it can, and whose peer is silent, keeps no other from going on (NDIS
sheet, G-33). Where there is no such share for one connection more, it is not offloaded (NDIS_STATUS_RESOURCES).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from model.layout.generated import FORWARD_MAX, FRAME_MAX, POOL_BUF_BYTES, SG_ELEM_BYTES, SG_MAX
from model.ndis.memory import HostMemory
from model.ndis.rings import DmaArena, DriverError
from model.ndis.status import CompletionKind

ALIGN: Final = 64
RING_MARGIN: Final = 28
"""Entries of the completion ring for what needs no place: the device reads on while 8 are free, four at a time."""
DRIVER: Final = -1
"""Owner of what the driver needs for itself: images of state calls, frames of the ordinary send path."""


class Use(Enum):
    """What a block of memory is for."""

    RECEIVE = auto()
    INDICATE = auto()
    FORWARD = auto()
    ELEMENTS = auto()
    IMAGE = auto()
    FRAME = auto()


Key = tuple[Use, int]
"""Use and owner: a connection's number, or DRIVER."""

IMAGE_BYTES: Final = 256
"""The largest image of a command."""
IMAGE: Final = Use.IMAGE, DRIVER
FRAME: Final = Use.FRAME, DRIVER


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def bounce_shares(conns: int) -> dict[Key, int]:
    """Bytes that each connection has for a copy of a received request, of inherited data, of a forwarded segment."""
    uses = {Use.RECEIVE: POOL_BUF_BYTES, Use.INDICATE: POOL_BUF_BYTES, Use.FORWARD: FORWARD_MAX}
    return {(use, conn): size for use, size in uses.items() for conn in range(conns)}


def list_shares(conns: int) -> dict[Key, int]:
    """Bytes for a scatter-gather list of each connection, for an image and for a frame of the driver's own."""
    lists = {(Use.ELEMENTS, conn): SG_MAX * SG_ELEM_BYTES for conn in range(conns)}
    return {**lists, IMAGE: IMAGE_BYTES, FRAME: FRAME_MAX}


def extent(shares: Mapping[Key, int]) -> int:
    """Bytes that shares take at most, behind the common part of an arena."""
    return ALIGN + sum(_aligned(size) for size in shares.values())


@dataclass(frozen=True)
class Block:
    """``size`` bytes at ``addr``: fewer than asked for if they are an owner's share."""

    addr: int
    size: int


class SharedArena(DmaArena):
    """``size`` bytes for everybody, and behind them a block for each key of ``shares`` {key: bytes}."""

    def __init__(self, memory: HostMemory, base: int, size: int, shares: Mapping[Key, int]) -> None:
        super().__init__(memory, base, size)
        self._shares: dict[Key, DmaArena] = {}
        self._places: dict[int, DmaArena] = {}
        at = base + _aligned(size)
        for key, length in shares.items():
            self._shares[key] = self._places[at] = DmaArena(memory, at, _aligned(length))
            at += _aligned(length)

    @property
    def used(self) -> int:
        """Blocks handed out, shares included."""
        return super().used + sum(share.used for share in self._shares.values())

    def take(self, key: Key, size: int) -> Block | None:
        """A block of ``size`` bytes, or what the share of ``key`` has of it; None while that is in use."""
        addr = self.allocate(size) if size <= self.size else None
        if addr is not None:
            return Block(addr, size)
        share = self._shares.get(key)
        addr = None if share is None or share.used else share.allocate(min(size, share.size))
        return None if share is None or addr is None else Block(addr, min(size, share.size))

    def untouched(self, owner: int) -> bool:
        """Nobody has anything of the shares of an owner."""
        shares = (self._shares.get((use, owner)) for use in Use)
        return not any(share.used for share in shares if share is not None)

    def place(self, key: Key, size: int) -> int | None:
        """Address of a block of ``size`` bytes; None while there is none, its share included."""
        block = self.take(key, size)
        if block is not None and block.size < size:
            raise DriverError(f"{size} bytes for {key}, whose share is {block.size}: take them in parts")
        return None if block is None else block.addr

    def free(self, addr: int) -> None:
        """Take a block back, poisoned."""
        if addr in self._places:
            self._places[addr].free(addr)
        else:
            super().free(addr)


class BounceArena(SharedArena):
    """Bounce buffers; and, apart so that neither starves the other, memory for the data that connections bring.

    ``inherited`` bytes of the second kind lie behind the first and its shares.
    """

    def __init__(
        self, memory: HostMemory, base: int, size: int, inherited: int, shares: Mapping[Key, int] | None = None
    ) -> None:
        super().__init__(memory, base, size, shares or {})
        self._end = base + _aligned(size) + extent(shares or {})
        self._inherited = DmaArena(memory, self._end, inherited)

    @property
    def used(self) -> int:
        """Blocks handed out, of both kinds."""
        return super().used + self._inherited.used

    def reserve(self, size: int) -> int | None:
        """Address of a block for inherited data, None if there is no room now."""
        return self._inherited.allocate(size) if size <= self._inherited.size else None

    def free(self, addr: int) -> None:
        """Take a block of either kind back, poisoned."""
        if addr < self._end:
            super().free(addr)
        else:
            self._inherited.free(addr)


_SHARED: Final = (CompletionKind.SEND, CompletionKind.RECEIVE)


class RingPlaces:
    """Places in a completion ring of ``entries`` for requests that may take long.

    Half of them each: receives that wait for data never keep a send from going.
    """

    def __init__(self, entries: int) -> None:
        half = max(2, (entries - RING_MARGIN) // 2)
        self._left = dict.fromkeys(_SHARED, half)
        self._left[CompletionKind.SEND] -= 1  # the ordinary send path's share
        self._out = Counter[tuple[CompletionKind, int]]()

    @property
    def left(self) -> tuple[int, ...]:
        """Places that nobody has, by kind."""
        return tuple(self._left.values())

    def admit(self) -> bool:
        """Set a share aside for one more connection; False if there is none."""
        if not all(self._left.values()):
            return False
        for kind in _SHARED:
            self._left[kind] -= 1
        return True

    def leave(self) -> None:
        """A connection that holds no place any more gives its share back."""
        for kind in _SHARED:
            self._left[kind] += 1

    def reserve(self, kind: CompletionKind, owner: int) -> bool:
        """A place for a request of ``owner``: its share, or one that nobody has."""
        if self._out[kind, owner]:
            if not self._left[kind]:
                return False
            self._left[kind] -= 1
        self._out[kind, owner] += 1
        return True

    def release(self, kind: CompletionKind, owner: int) -> None:
        """A request of ``owner`` completed."""
        self._out[kind, owner] -= 1
        if self._out[kind, owner]:
            self._left[kind] += 1
