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


def zeroed(size: int) -> Contents:
    """A memory of ``size`` bytes, all 0: a session touches few of its pages, so it pays for few."""
    return mmap(-1, size)


class GoldenMemory:
    """Bytes from address 0. ``read`` and ``write`` are the host's; the device's go through ``device_*``."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.windows: list[ErrorWindow] = []

    def read(self, addr: int, n: int) -> bytes:
        """Return ``n`` bytes from ``addr``."""
        self._check(addr, n)
        return bytes(self.contents[addr : addr + n])

    def write(self, addr: int, data: bytes) -> None:
        """Store ``data`` at ``addr``."""
        self._check(addr, len(data))
        self.contents[addr : addr + len(data)] = data

    def _check(self, addr: int, n: int) -> None:
        if addr < 0 or n < 0 or addr + n > len(self.contents):
            raise GoldenMemoryError(f"{n} bytes at {addr:#x} leave the memory of {len(self.contents):#x} bytes")

    def device_read(self, addr: int, n: int) -> bytes | None:
        """What a DMA read returns; None if any of its beats fails."""
        if addr + n > len(self.contents):
            return None
        for w in self.windows:
            if w.reads and addr < w.base + w.size and w.base < addr + n:
                return None
        return bytes(self.contents[addr : addr + n])

    def device_write(self, addr: int, data: bytes) -> bool:
        """A DMA write: beats outside the windows are stored; False if any failed."""
        end = addr + len(data)
        if end > len(self.contents):
            keep = max(len(self.contents) - addr, 0)
            if keep:
                self.device_write(addr, data[:keep])
            return False
        for w in self.windows:
            if w.writes and addr < w.base + w.size and w.base < end:
                if addr < w.base:
                    self.device_write(addr, data[: w.base - addr])
                if w.base + w.size < end:
                    self.device_write(w.base + w.size, data[w.base + w.size - addr :])
                return False
        self.contents[addr:end] = data
        return True
