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


#: Pages on each side of a boundary that are handed out before all others.
NEAR_PAGES = 16
#: Regions of a driver that take turns, by seed, in lying across a boundary.
REGIONS = 7
#: Adjacent pages up to which they are taken from the free ones one by one; more are left out of a new list.
FEW = 8
#: Requests that leave the pages beside a boundary to buffers of the other kind (to send, to receive).
PATIENCE = 8


@lru_cache(maxsize=8)
def _shuffled(first: int, end: int, seed: int, boundary: int | None) -> tuple[tuple[int, ...], tuple[Any, ...]]:
    """Addresses of pages [first, end) in the order of a seed, last those near ``boundary`` (not the two beside it).

    With them the state of the generator behind that.
    """
    rng = random.Random(seed)
    pages = [page * PAGE_SIZE for page in range(first, end)]
    rng.shuffle(pages)
    if boundary is not None:
        beside, near = (range(boundary - n * PAGE_SIZE, boundary + n * PAGE_SIZE) for n in (1, NEAR_PAGES))
        pages = sorted((page for page in pages if page not in beside), key=lambda page: page in near)
    return tuple(pages), rng.getstate()


class PageAllocator:
    """Pages of [base, limit) in a seeded order; poisons what comes back.

    ``on_free(addr, length)`` is called for every range after it was poisoned. ``boundary`` is a page's address that
    buffers shall lie around and across, one where the low half of an address wraps. Pages near it come first; the two
    beside it go, in order and together, to one buffer of several pages, by turns one to send and one to receive into
    (if the other kind wants them in time, PATIENCE). With an odd seed
    allocate_contiguous keeps away from it (then buffers of the host lie across), with an even one of its first
    REGIONS regions lies across.
    """

    def __init__(
        self,
        memory: HostMemory,
        base: int,
        limit: int,
        seed: int = 1,
        on_free: Callable[[int, int], None] | None = None,
        boundary: int | None = None,
    ) -> None:
        first = -(-base // PAGE_SIZE)
        self._memory = memory
        self._first = first * PAGE_SIZE
        self._end = limit // PAGE_SIZE * PAGE_SIZE
        if boundary is not None and not (boundary % PAGE_SIZE == 0 and self._first < boundary < self._end):
            raise MemoryRangeError(f"{boundary:#x} is no boundary between pages of [{base:#x}, {limit:#x})")
        self._boundary = boundary
        #: The pages beside the boundary: in neither list, free while they are not used.
        self._beside = () if boundary is None else (boundary - PAGE_SIZE, boundary)
        #: Regions until the one that lies across; -1: none does.
        self._turn = seed // 2 % REGIONS if seed % 2 == 0 else -1
        #: The pages beside the boundary were last given to data to send; and who left them to the other kind since.
        self._filled, self._passed = False, 0
        order, state = _shuffled(first, limit // PAGE_SIZE, seed, boundary)
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
        return len(self._free) + sum(page not in self._used for page in self._beside)

    @property
    def used_pages(self) -> int:
        """Pages handed out and not yet back."""
        return len(self._used)

    def allocate(self, length: int, offset: int = 0, *, filled: bool = False) -> Region | None:
        """A buffer of ``length`` bytes that begins ``offset`` bytes into its first page; ``filled``: with data to send.

        Pages are scattered. None if there are not enough: try again after a buffer came back.
        """
        if not 0 <= offset < PAGE_SIZE or length < 0:
            raise MemoryRangeError(f"offset {offset} or length {length} is not possible in pages")
        need = max(1, -(-(offset + length) // PAGE_SIZE))
        if need > self.free_pages:
            return None
        beside = [page for page in self._beside if page not in self._used]
        pages = beside if len(beside) == 2 <= need and self._gets_beside(filled=filled) else []
        pages = pages + [self._free.pop() for _ in range(min(need - len(pages), len(self._free)))]
        pages += [page for page in beside if page not in pages][: need - len(pages)]  # nothing else is left
        self._used.update(pages)
        return Region(tuple(pages), offset, length)

    def try_contiguous(self, length: int, offset: int = 0, align: int = PAGE_SIZE) -> Region | None:
        """Like allocate, on adjacent pages from an ``align``-aligned address; None if there are none."""
        need = max(1, -(-(offset + length) // PAGE_SIZE))
        free = need > 1 and self._used.isdisjoint(self._beside)
        across = free and self._gets_beside(filled=False)
        region = self._adjacent(need, offset, length, align, across=across)
        return region or self._adjacent(need, offset, length, align, across=not across)

    def _gets_beside(self, *, filled: bool) -> bool:
        """Whether a buffer, ``filled`` with data to send or not, takes the free pages beside the boundary."""
        if filled == self._filled and self._passed < PATIENCE:
            self._passed += 1
            return False
        self._filled, self._passed = filled, 0
        return True

    def _adjacent(self, need: int, offset: int, length: int, align: int, *, across: bool = False) -> Region | None:
        """Adjacent pages that lie ``across`` the boundary, or that leave the two beside it alone."""
        size = need * PAGE_SIZE
        for page in self._across(need) if across else self._free:
            if page % align or page + size > self._end:
                continue
            run = range(page, page + size, PAGE_SIZE)
            if not across and any(one in run for one in self._beside):
                continue
            if self._used.isdisjoint(run):  # what is not used is free
                self._used.update(run)
                if need <= FEW:
                    for one in run:
                        if one not in self._beside:
                            self._free.remove(one)
                else:
                    self._free = [p for p in self._free if p not in run]
                return Region(tuple(run), offset, length)
        return None

    def _across(self, need: int) -> list[int]:
        """First pages of the free runs of ``need`` pages across the boundary, in random order."""
        if self._boundary is None or need == 1:
            return []
        below = above = self._boundary
        while below > self._first and self._boundary - below < need * PAGE_SIZE and below - PAGE_SIZE not in self._used:
            below -= PAGE_SIZE
        while above < self._end and above - self._boundary < need * PAGE_SIZE and above not in self._used:
            above += PAGE_SIZE
        last = min(self._boundary - PAGE_SIZE, above - need * PAGE_SIZE)
        if above == self._boundary or last < below:
            return []
        first = max(below, self._boundary - (need - 1) * PAGE_SIZE)
        pages = list(range(first, last + PAGE_SIZE, PAGE_SIZE))
        self._rng.shuffle(pages)
        return pages

    def allocate_contiguous(self, length: int, offset: int = 0, align: int = PAGE_SIZE) -> Region:
        """Adjacent pages for a ring or table; raises if there are none."""
        need = max(1, -(-(offset + length) // PAGE_SIZE))
        across = self._turn == 0
        self._turn = max(self._turn - 1, -1)
        region = self._adjacent(need, offset, length, align, across=across)
        region = region or self._adjacent(need, offset, length, align, across=not across)
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
            if page in self._beside:
                continue
            self._free.insert(self._rng.randrange(len(self._free) + 1), page)
