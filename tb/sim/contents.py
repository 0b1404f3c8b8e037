"""What the host memory of the test bench (tb/hdl/axi_mem.v) holds before anyone writes; needs no simulator."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_MULTIPLIERS = (np.uint64(0x9E37_79B9_7F4A_7C15), np.uint64(0xD6E8_FEB8_6659_FD93))


@lru_cache(maxsize=1)
def initial_contents(mem_seed: int, offset: int, length: int) -> bytes:
    """The bytes that axi_mem holds at time 0 at [offset, offset + length) from its first one."""
    first, last = offset // 8, (offset + length + 7) // 8
    lanes: NDArray[np.uint64] = np.arange(first, last, dtype=np.uint64)
    lanes ^= np.uint64(mem_seed << 32 | mem_seed)
    for multiplier in _MULTIPLIERS:
        lanes = lanes * multiplier
        lanes ^= lanes >> np.uint64(32)
    data = lanes.astype("<u8").tobytes()
    return data[offset - first * 8 : offset - first * 8 + length]
