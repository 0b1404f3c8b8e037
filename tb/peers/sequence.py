"""Sequence numbers without wrap: the peers count in plain integers and meet 32 bits only on the wire.

A position is an integer that never wraps; its low 32 bits are the number on the wire. A number received is
placed next to a position already known, at the nearest one with these low bits.
"""

from __future__ import annotations

from typing import Final

_SPAN: Final = 1 << 32
_HALF: Final = 1 << 31


def first_position(number: int) -> int:
    """Position of the first number of a direction; far enough from zero to step back."""
    return _SPAN + number


def place(number: int, near: int) -> int:
    """Position nearest to `near` whose low 32 bits are `number`."""
    return near + (number - near + _HALF) % _SPAN - _HALF


def newer(stamp: int, than: int) -> bool:
    """True if a 32-bit timestamp is later than another (RFC 7323 5.2: less than half the range apart)."""
    return 0 < (stamp - than) % _SPAN < _HALF
