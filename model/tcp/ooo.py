"""Out-of-order ranges of a connection and the duplicates it tells of (section M; RFC 9293 SHLD-31, RFC 2018, 2883)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from model.tcp.seq import MASK, ge, gt, le, lt, signed
from model.tcp.work import TcbWork

_SEQ_BITS, _SLOT_BITS = 32, 3
_MAX_BLOCKS, _MAX_BLOCKS_WITH_TIMESTAMPS = 4, 3


@dataclass(frozen=True, slots=True)
class Range:
    """Octets [left, right) that are held; ``slot``: their list in delivery_engine."""

    left: int
    right: int
    slot: int

    def holds(self, seq: int) -> bool:
        """``seq`` is an octet of it or the one behind it."""
        return le(self.left, seq) and le(seq, self.right)


def _unpack(packed: int, bits: int, place: int) -> int:
    return packed >> bits * place & (1 << bits) - 1


def _pack(values: Iterable[int], bits: int) -> int:
    return sum(value << bits * place for place, value in enumerate(values))


def ranges(w: TcbWork) -> list[Range]:
    """The ranges by place: the one that grew last first."""
    return [
        Range(
            _unpack(w.rr_left, _SEQ_BITS, place),
            _unpack(w.rr_right, _SEQ_BITS, place),
            _unpack(w.rr_slot, _SLOT_BITS, place),
        )
        for place in range(w.rr_n)
    ]


def edges(numbers: Iterable[int]) -> int:
    """Sequence numbers side by side, the first one lowest, as rr_left and sack_left hold them."""
    return _pack(numbers, _SEQ_BITS)


def store(w: TcbWork, held: Sequence[Range]) -> None:
    """Write the ranges back; places behind them are 0."""
    w.rr_n = len(held)
    w.rr_left = edges(r.left for r in held)
    w.rr_right = edges(r.right for r in held)
    w.rr_slot = _pack((r.slot for r in held), _SLOT_BITS)


def mask_of(held: Iterable[Range]) -> int:
    """The slots of some ranges as a mask."""
    return sum(1 << r.slot for r in held)


def report(w: TcbWork, left: int, right: int) -> None:
    """M-1: the octets [left, right) came again; the next pure ACK says so (RFC 2883)."""
    if w.sack_en:
        w.dsack, w.dsack_left, w.dsack_right = 1, left, right


def forget_elsewhere(w: TcbWork) -> None:
    """M-2.7: a report above the ACK goes if the range behind it in the option would not hold it (RFC 2883 4)."""
    newest = ranges(w)[0]
    held = le(newest.left, w.dsack_left) and le(w.dsack_right, newest.right)
    if w.dsack and gt(w.dsack_left, w.rcv_nxt) and not held:
        w.dsack = w.dsack_left = w.dsack_right = 0


def sack_blocks(w: TcbWork) -> list[tuple[int, int]]:
    """M-4: the blocks of a pure ACK sent now; the duplicate it tells of is told."""
    if not w.sack_en:
        return []
    blocks = [(w.dsack_left, w.dsack_right)] if w.dsack else []
    blocks += [(r.left, r.right) for r in ranges(w)]
    w.dsack = w.dsack_left = w.dsack_right = 0
    return blocks[: _MAX_BLOCKS_WITH_TIMESTAMPS if w.ts_en else _MAX_BLOCKS]


@dataclass(frozen=True, slots=True)
class Insertion:
    """Where the octets [start, end) of a segment go among the ranges (M-2).

    ``grown``: the range they continue; ``reached``: the one they run into; ``covered``: those that lie inside.
    """

    held: Sequence[Range]
    start: int
    end: int
    grown: Range | None
    reached: Range | None
    covered: tuple[Range, ...]

    @property
    def known(self) -> bool:
        """Nothing of it is new (M-2.3)."""
        return self.grown is not None and le(self.end, self.grown.right)

    @property
    def first(self) -> int:
        """First octet of the piece that is kept."""
        return self.start if self.grown is None else self.grown.right

    @property
    def behind(self) -> int:
        """The octet behind the piece that is kept."""
        return self.end if self.reached is None else self.reached.left

    @property
    def duplicate(self) -> tuple[int, int] | None:
        """M-2.6: the octets to report, lowest first."""
        if self.grown is not None and lt(self.start, self.grown.right):
            return self.start, self.grown.right
        if self.covered:
            lowest = lowest_of(self.covered, self.start)
            return lowest.left, lowest.right
        if self.reached is not None and gt(self.end, self.reached.left):
            return self.reached.left, self.end
        return None

    def slot(self, limit: int) -> int | None:
        """The list that takes the piece, None if all ``limit`` lists are in use (M-2.5)."""
        if self.grown is not None:
            return self.grown.slot
        if self.reached is not None:
            return self.reached.slot
        used = mask_of(self.held)
        return next((slot for slot in range(limit) if not used >> slot & 1), None)

    def after(self, slot: int) -> list[Range]:
        """The ranges once the piece is in."""
        left = self.first if self.grown is None else self.grown.left
        right = self.behind if self.reached is None else self.reached.right
        gone = (self.grown, self.reached, *self.covered)
        return [Range(left, right, slot), *(r for r in self.held if r not in gone)]


def lowest_of(held: Iterable[Range], origin: int) -> Range:
    """The range with the lowest left edge; ``origin``: a sequence number near all of them."""
    return min(held, key=lambda r: signed(r.left, origin))


def insertion(held: Sequence[Range], start: int, end: int) -> Insertion:
    """M-2.3 and M-2.4 for the octets [start, end), at least one."""
    grown = next((r for r in held if r.holds(start)), None)
    others = [r for r in held if r is not grown]
    reached = next((r for r in others if gt(r.left, start) and r.holds(end)), None)
    covered = tuple(r for r in others if ge(r.left, start) and lt(r.right, end))
    return Insertion(held, start, end, grown, reached, covered)


@dataclass(frozen=True, slots=True)
class Advance:
    """What text in order that ends in front of ``end`` does to the ranges (M-3).

    ``joined``: the range that continues it, its first ``skip`` octets came again; ``freed``: lists given back.
    """

    end: int
    joined: Range | None
    skip: int
    freed: int
    kept: tuple[Range, ...]
    duplicate: tuple[int, int] | None


def advance(held: Sequence[Range], rcv_nxt: int, end: int, *, last: bool) -> Advance:
    """M-3 for the octets [rcv_nxt, end); ``last``: the FIN is behind them, so what is held further on is no data."""
    again = [r for r in held if lt(r.left, end)]
    lowest = lowest_of(again, rcv_nxt) if again else None
    duplicate = None
    if lowest is not None:
        duplicate = lowest.left, lowest.right if lt(lowest.right, end) else end
    if last:
        return Advance(end, None, 0, mask_of(held), (), duplicate)
    freed = [r for r in held if le(r.right, end)]
    joined = next((r for r in held if le(r.left, end) and lt(end, r.right)), None)
    kept = tuple(r for r in held if r not in freed and r is not joined)
    if joined is None:
        return Advance(end, None, 0, mask_of(freed), kept, duplicate)
    return Advance(joined.right, joined, (end - joined.left) & MASK, mask_of(freed), kept, duplicate)
