"""The cells of the matrix and the numbers that stand for their names.

Section 4 of the conformance sheet: one segment of every kind meets a connection in every state, at every position of
its sequence number, with every class of acknowledgment, own window and timestamp. Sequence numbers of both sides and
the timestamps are about to wrap.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from itertools import product
from typing import Final

STATES: Final = (
    "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT", "CLOSED", "FROZEN",
)  # fmt: skip
"""FROZEN: established, and the target waits for the host's terminate (CH-207)."""
KINDS: Final = ("ack", "data", "fin", "data_fin", "rst", "syn", "syn_ack", "urg", "no_ack")
"""no_ack: text in a segment without the ACK bit; urg: text with the URG bit."""
SEQS: Final = (
    "left", "touch_left", "overlap_left", "exact", "cover", "inside", "overlap_right", "edge_minus_1", "edge", "beyond",
)  # fmt: skip
"""left: the last octet lies in front of RcvNxt. touch_left: the text does, the FIN lies on RcvNxt. cover: octets in
front of RcvNxt, the whole window, and octets behind it."""
ACKS: Final = ("una_minus_wnd_minus_1", "una_minus_wnd", "una_minus_1", "una", "una_plus_1", "max", "max_plus_1")
WINDOWS: Final = ("open", "zero")
STAMPS: Final = ("none", "good", "equal", "old", "missing")
"""none: neither timestamps nor SACK were agreed; the others: both were, and this is what the segment carries."""

MASK: Final = 0xFFFF_FFFF
FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
FLAGS: Final = {
    "ack": ACK, "data": ACK, "fin": ACK | FIN, "data_fin": ACK | FIN, "rst": RST | ACK, "syn": SYN,
    "syn_ack": SYN | ACK, "urg": ACK | URG, "no_ack": PSH,
}  # fmt: skip

RCV_NXT: Final = 0xFFFF_FFD0
"""The wrap lies inside the text that begins here."""
WINDOW: Final = 1000
"""Own window where it is open, in octets."""
UNA: Final = 0xFFFF_FFFF
"""The next octet that is acknowledged has sequence number 0."""
OUTSTANDING: Final = 1000
"""Octets of text that are sent and not acknowledged, where the state allows any."""
MAX_SND_WND: Final = 30_000
TEXT: Final = 100
"""Octets of text in a segment that carries some, but for `cover`."""
OVERLAP: Final = 40
"""Octets of an overlapping segment on the far side of the edge."""
DEPTH: Final = 500
"""How far `inside` lies behind RcvNxt, and `beyond` behind the right edge."""
TS_RECENT: Final = 0xFFFF_FFFF
TS_GOOD: Final = 0
"""One tick younger than TS.Recent; a value like any other."""
TS_CLOCK: Final = 0xFFFF_FFF0
"""Own timestamp clock at the hand-over."""

WITH_TEXT: Final = ("data", "data_fin", "urg", "no_ack")
FIN_SENT: Final = ("FIN_WAIT_1", "CLOSING", "LAST_ACK")
WITH_DATA: Final = ("ESTABLISHED", "CLOSE_WAIT", "FROZEN", *FIN_SENT)
"""States in which octets are outstanding."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination."""

    state: str
    kind: str
    seq: str
    ack: str
    window: str
    stamp: str

    def __str__(self) -> str:
        return " ".join(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class Segment:
    """What arrives. ``tsval`` None: without timestamps."""

    seq: int
    ack: int
    flags: int
    length: int
    tsval: int | None


def cells() -> Iterator[Cell]:
    """Every combination, the impossible ones included."""
    for names in product(STATES, KINDS, SEQS, ACKS, WINDOWS, STAMPS):
        yield Cell(*names)


def sample(of: list[Cell], share: float, seed: int) -> list[Cell]:
    """A seeded share of cells, at least one, in their order."""
    chosen = random.Random(seed).sample(range(len(of)), max(1, round(share * len(of))))
    return [of[i] for i in sorted(chosen)]


def part(of: list[Cell], number: int, count: int) -> list[Cell]:
    """Part ``number`` of ``count``; all parts together are all cells."""
    return of[number::count]


def receive_window(cell: Cell) -> int:
    """The own window, in octets."""
    return WINDOW if cell.window == "open" else 0


def text_length(cell: Cell) -> int:
    """Octets of text."""
    if cell.kind not in WITH_TEXT:
        return 0
    return receive_window(cell) + 2 * OVERLAP if cell.seq == "cover" else TEXT


def snd_una(state: str) -> int:
    """SndUna when the segment comes: what led to TIME_WAIT and CLOSED acknowledged everything."""
    return snd_max(state) if state in ("TIME_WAIT", "CLOSED") else UNA


def snd_max(state: str) -> int:
    """SndMax. In FIN_WAIT_2 the FIN is acknowledged; TIME_WAIT and CLOSED were CLOSING and LAST_ACK."""
    if state == "FIN_WAIT_2":
        return UNA
    fin = state in (*FIN_SENT, "TIME_WAIT", "CLOSED")
    return (UNA + OUTSTANDING + fin) & MASK


@cache
def segment(cell: Cell) -> Segment:
    """The numbers of a possible cell."""
    length, window = text_length(cell), receive_window(cell)
    octets = length + bool(FLAGS[cell.kind] & SYN) + bool(FLAGS[cell.kind] & FIN)
    edge = RCV_NXT + window
    una, top = snd_una(cell.state), snd_max(cell.state)
    seq = {
        "left": RCV_NXT - max(octets, 1), "touch_left": RCV_NXT - length, "overlap_left": RCV_NXT - OVERLAP,
        "exact": RCV_NXT, "cover": RCV_NXT - OVERLAP, "inside": RCV_NXT + DEPTH, "overlap_right": edge - OVERLAP,
        "edge_minus_1": edge - 1, "edge": edge, "beyond": edge + DEPTH,
    }[cell.seq]  # fmt: skip
    ack = {
        "una_minus_wnd_minus_1": una - MAX_SND_WND - 1, "una_minus_wnd": una - MAX_SND_WND, "una_minus_1": una - 1,
        "una": una, "una_plus_1": una + 1, "max": top, "max_plus_1": top + 1,
    }[cell.ack]  # fmt: skip
    tsval = {"none": None, "good": TS_GOOD, "equal": TS_RECENT, "old": TS_RECENT - 1, "missing": None}[cell.stamp]
    return Segment(seq & MASK, ack & MASK, FLAGS[cell.kind], length, tsval)
