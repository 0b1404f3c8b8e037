"""Where host memory lies in every run of the whole device: half of it below and half above a multiple of 2**32."""

from __future__ import annotations

from typing import Final

from model.ndis.memory import HostMemory, PageAllocator

#: A multiple of 2**48, too: bits 12 to 47 of an address are all 1 right below it and all 0 right above, and bits above
#: them are set on both sides. A carry that is lost among them leads out of memory, and so does an address cut short.
BOUNDARY: Final = 0xA5A6_0000_0000_0000


def host_base(size: int) -> int:
    """First address of a host memory of ``size`` bytes."""
    return BOUNDARY - size // 2


def host_pages(memory: HostMemory, size: int, seed: int) -> PageAllocator:
    """All pages of a host memory of ``size`` bytes; those at the boundary come first, and buffers lie across it."""
    base = host_base(size)
    return PageAllocator(memory, base, base + size, seed, boundary=BOUNDARY)
