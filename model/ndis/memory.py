"""Host memory as the host and the driver see it: a byte store and a page allocator.

Addresses are bus ("physical") addresses in bytes. The allocator hands out pages in a seeded order,
so that what is contiguous to a caller is scattered on the bus, as on a real machine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

PAGE_SIZE = 4096
#: What a buffer is filled with when it is handed back: a late read or write of it shows.
POISON = 0xDB


class HostMemory(Protocol):
    """Byte-addressed host memory."""

    def read(self, addr: int, n: int) -> bytes:
        """Return ``n`` bytes from ``addr``."""
        ...

    def write(self, addr: int, data: bytes) -> None:
        """Store ``data`` at ``addr``."""
        ...


class MemoryRangeError(Exception):
    """An access outside the memory, or a free of something not allocated."""


class FlatMemory:
    """A plain host memory of ``size`` bytes from ``base``, filled with ``fill``."""

    def __init__(self, size: int, base: int = 0, fill: int = 0) -> None:
        self._base = base
        self._bytes = bytearray([fill]) * size

    def _offset(self, addr: int, n: int) -> int:
        offset = addr - self._base
        if offset < 0 or n < 0 or offset + n > len(self._bytes):
            raise MemoryRangeError(
                f"access of {n} bytes at {addr:#x} leaves the memory "
                f"[{self._base:#x}, {self._base + len(self._bytes):#x}): use allocated buffers only"
            )
        return offset

    def read(self, addr: int, n: int) -> bytes:
        """Return ``n`` bytes from ``addr``."""
        offset = self._offset(addr, n)
        return bytes(self._bytes[offset : offset + n])

    def write(self, addr: int, data: bytes) -> None:
        """Store ``data`` at ``addr``."""
        offset = self._offset(addr, len(data))
        self._bytes[offset : offset + len(data)] = data


@dataclass(frozen=True)
class Region:
    """A virtually contiguous buffer: ``length`` bytes from ``offset`` of a list of pages."""

    pages: tuple[int, ...]
    offset: int
    length: int

    def pieces(self) -> tuple[tuple[int, int], ...]:
        """(bus address, bytes) of each page's share, in order."""
        out: list[tuple[int, int]] = []
        at, left = self.offset, self.length
        for page in self.pages:
            if left == 0:
                break
            n = min(left, PAGE_SIZE - at)
            out.append((page + at, n))
            left -= n
            at = 0
        return tuple(out)


@lru_cache(maxsize=8)
def _shuffled(first: int, end: int, seed: int) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """Addresses of pages [first, end) in the order of a seed, and the state of its generator behind that."""
    rng = random.Random(seed)
    pages = [page * PAGE_SIZE for page in range(first, end)]
    rng.shuffle(pages)
    return tuple(pages), rng.getstate()


class PageAllocator:
    """Pages of [base, limit) in a seeded order; poisons what comes back.

    ``on_free(addr, length)`` is called for every range after it was poisoned.
    """

    def __init__(
        self,
        memory: HostMemory,
        base: int,
        limit: int,
        seed: int = 1,
        on_free: Callable[[int, int], None] | None = None,
    ) -> None:
        first = -(-base // PAGE_SIZE)
        self._memory = memory
        self._end = limit // PAGE_SIZE * PAGE_SIZE
        order, state = _shuffled(first, limit // PAGE_SIZE, seed)
        self._free = list(order)
        self._rng = random.Random()
        self._rng.setstate(state)
        self._used: set[int] = set()
        self._on_free = on_free
        if not self._free:
            raise MemoryRangeError(f"no whole page in [{base:#x}, {limit:#x}): widen the range")

    @property
    def free_pages(self) -> int:
        """Pages that can still be taken."""
        return len(self._free)

    @property
    def used_pages(self) -> int:
        """Pages handed out and not yet back."""
        return len(self._used)

    def allocate(self, length: int, offset: int = 0) -> Region | None:
        """A buffer of ``length`` bytes that begins ``offset`` bytes into its first page.

        Pages are scattered. None if there are not enough: try again after a buffer came back.
        """
        if not 0 <= offset < PAGE_SIZE or length < 0:
            raise MemoryRangeError(f"offset {offset} or length {length} is not possible in pages")
        need = max(1, -(-(offset + length) // PAGE_SIZE))
        if need > len(self._free):
            return None
        pages = tuple(self._free.pop() for _ in range(need))
        self._used.update(pages)
        return Region(pages, offset, length)

    def try_contiguous(self, length: int, offset: int = 0, align: int = PAGE_SIZE) -> Region | None:
        """Like allocate, on adjacent pages from an ``align``-aligned address; None if there are none."""
        need = max(1, -(-(offset + length) // PAGE_SIZE))
        size = need * PAGE_SIZE
        for page in self._free:
            if page % align or page + size > self._end:
                continue
            run = range(page, page + size, PAGE_SIZE)
            if self._used.isdisjoint(run):  # what is not used is free
                self._used.update(run)
                if need == 1:
                    self._free.remove(page)
                else:
                    self._free = [p for p in self._free if p not in run]
                return Region(tuple(run), offset, length)
        return None

    def allocate_contiguous(self, length: int, offset: int = 0, align: int = PAGE_SIZE) -> Region:
        """Adjacent pages for a ring or table; raises if there are none."""
        region = self.try_contiguous(length, offset, align)
        if region is None:
            raise MemoryRangeError(f"no room for {length} adjacent bytes aligned to {align}: enlarge the host memory")
        return region

    def poison(self, pieces: Iterable[tuple[int, int]]) -> None:
        """Fill ranges with the poison pattern."""
        for addr, n in pieces:
            self._memory.write(addr, bytes([POISON]) * n)

    def free(self, region: Region) -> None:
        """Poison a buffer and take its pages back."""
        for page in region.pages:
            if page not in self._used:
                raise MemoryRangeError(f"page {page:#x} freed twice or never allocated")
            self._used.discard(page)
        self.poison(region.pieces())
        if self._on_free is not None:
            for addr, n in region.pieces():
                self._on_free(addr, n)
        for page in region.pages:
            self._free.insert(self._rng.randrange(len(self._free) + 1), page)
