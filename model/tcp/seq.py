"""Sequence arithmetic modulo 2^32 (RFC 9293 3.4): the only place that knows the wrap."""

from __future__ import annotations

MASK = 0xFFFF_FFFF
_HALF = 0x8000_0000
COUNT_MAX = 0xFFFF
"""Where the counts of E-12 stay."""


def lt(a: int, b: int) -> bool:
    """``a`` lies before ``b``."""
    return (a - b) & _HALF != 0


def le(a: int, b: int) -> bool:
    """``a`` lies before ``b`` or is it."""
    return (b - a) & _HALF == 0


def gt(a: int, b: int) -> bool:
    """``a`` lies behind ``b``."""
    return (b - a) & _HALF != 0


def ge(a: int, b: int) -> bool:
    """``a`` lies behind ``b`` or is it."""
    return (a - b) & _HALF == 0


def distance(a: int, b: int) -> int:
    """``a - b`` modulo 2^32, 0 .. 2^32 - 1."""
    return (a - b) & MASK


def signed(a: int, b: int) -> int:
    """``a - b`` as a signed 32-bit number."""
    return ((a - b + _HALF) & MASK) - _HALF


def seq_max(a: int, b: int) -> int:
    """The later of two sequence numbers."""
    return b if (a - b) & _HALF else a


def due(deadline: int, now: int) -> bool:
    """The absolute tick ``deadline`` has been reached (mechanisms M8)."""
    return (now - deadline) & _HALF == 0
