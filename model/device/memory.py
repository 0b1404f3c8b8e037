"""The golden image of host memory, with windows where the device's accesses fail."""

from __future__ import annotations

from dataclasses import dataclass
from mmap import mmap

#: Bytes that can be written; those of `zeroed` come from the system when they are touched.
Contents = bytearray | mmap


class GoldenMemoryError(ValueError):
    """The host touched an address outside the memory."""


@dataclass(frozen=True)
class ErrorWindow:
    """[base, base + size): a device access that overlaps it is answered with an error. Align both to 64 bytes."""

    base: int
    size: int
    reads: bool = True
    writes: bool = True


def place_of(addr: int, n: int, base: int, size: int) -> int:
    """Where ``n`` bytes from ``addr`` lie in a memory of ``size`` bytes that begins at ``base``; GoldenMemoryError."""
    at = addr - base
    if at < 0 or n < 0 or at + n > size:
        raise GoldenMemoryError(f"{n} bytes at {addr:#x} leave the memory [{base:#x}, {base + size:#x})")
    return at


def zeroed(size: int) -> Contents:
    """A memory of ``size`` bytes, all 0: a session touches few of its pages, so it pays for few."""
    return mmap(-1, size)


class GoldenMemory:
    """Bytes from ``base``. ``read`` and ``write`` are the host's; the device's go through ``device_*``."""

    def __init__(self, contents: Contents, base: int = 0) -> None:
        self.contents = contents
        self.base = base
        self.windows: list[ErrorWindow] = []

    def read(self, addr: int, n: int) -> bytes:
        """Return ``n`` bytes from ``addr``."""
        at = place_of(addr, n, self.base, len(self.contents))
        return bytes(self.contents[at : at + n])

    def write(self, addr: int, data: bytes) -> None:
        """Store ``data`` at ``addr``."""
        at = place_of(addr, len(data), self.base, len(self.contents))
        self.contents[at : at + len(data)] = data

    def device_read(self, addr: int, n: int) -> bytes | None:
        """What a DMA read returns; None if any of its beats fails."""
        at = addr - self.base
        if at < 0 or at + n > len(self.contents):
            return None
        for w in self.windows:
            if w.reads and addr < w.base + w.size and w.base < addr + n:
                return None
        return bytes(self.contents[at : at + n])

    def device_write(self, addr: int, data: bytes) -> bool:
        """A DMA write: beats inside the memory and outside the windows are stored; False if any failed."""
        end = addr + len(data)
        first, last = max(addr, self.base), min(end, self.base + len(self.contents))
        if (first, last) != (addr, end):
            if first < last:
                self.device_write(first, data[first - addr : last - addr])
            return False
        for w in self.windows:
            if w.writes and addr < w.base + w.size and w.base < end:
                if addr < w.base:
                    self.device_write(addr, data[: w.base - addr])
                if w.base + w.size < end:
                    self.device_write(w.base + w.size, data[w.base + w.size - addr :])
                return False
        self.contents[addr - self.base : end - self.base] = data
        return True
