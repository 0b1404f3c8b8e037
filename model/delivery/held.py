"""Data behind a hole of the stream: lists of pool buffers, and what a message still does to them (J-1 to J-3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from model.delivery.work import DcbWork
from model.layout.generated import OOO_MAX

_INDEX_BITS = 16


@dataclass(frozen=True, slots=True)
class PoolPiece:
    """Undelivered data in a pool buffer: [offset, offset + length) of buffer ``buf``.

    ``psh``: the peer pushed its last byte.
    """

    buf: int
    offset: int
    length: int
    psh: int

    def without(self, taken: int) -> PoolPiece:
        """What is left behind its first ``taken`` bytes."""
        return replace(self, offset=self.offset + taken, length=self.length - taken)


Held = tuple[tuple[PoolPiece, ...], ...]
"""The lists of one connection by number; each in the order of its octets."""
NOTHING_HELD: Held = ((),) * OOO_MAX


@dataclass(frozen=True, slots=True)
class Aftermath:
    """What follows the last piece of a message: ``gone`` (mask) lists are given back, then list ``slot`` is joined.

    ``skip``: bytes at the front of the joined list that came again. ``fin``: the FIN mark comes behind all of it.
    """

    gone: int = 0
    join: bool = False
    slot: int = 0
    skip: int = 0
    fin: int = 0

    def first_gone(self, held: Held) -> int:
        """The lowest list that is given back and not empty."""
        return next(slot for slot, pieces in enumerate(held) if pieces and self.gone >> slot & 1)

    def due(self, held: Held) -> str | None:
        """The first of J-1 to J-3 that applies."""
        if any(pieces and self.gone >> slot & 1 for slot, pieces in enumerate(held)):
            return "J-1"
        if not self.join:
            return None
        return "J-2" if self.skip >= held[self.slot][0].length else "J-3"


NOTHING_LEFT = Aftermath()


def track(w: DcbWork, held: Held) -> None:
    """The lists as the DCB holds them: used, first and last buffer, buffers; 0 of an empty one."""
    w.ooo_used = sum(1 << slot for slot, pieces in enumerate(held) if pieces)
    w.ooo_head = _packed([pieces[0].buf if pieces else 0 for pieces in held])
    w.ooo_tail = _packed([pieces[-1].buf if pieces else 0 for pieces in held])
    w.ooo_count = _packed([len(pieces) for pieces in held])


def _packed(numbers: list[int]) -> int:
    return sum(number << _INDEX_BITS * slot for slot, number in enumerate(numbers))
