"""Reordered and overlapping segments as cases of the lab: all 120 orders of five, all 100 pairs of pieces.

What must be held and told after each segment comes from a list of the octets that arrived, not from a TCP.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import permutations, product
from typing import Final

from model.layout.generated import CqKind, Opcode, Status, TcpEventType, TcpState
from tb.matrix.cells import MASK, RCV_NXT, Segment
from tb.matrix.setting import SACK, image_fields
from tb.matrix.table import Answer
from tb.tests.lab import Case
from tb.tests.matrix_cases import AT_A_TIME, FIRST, ManyLab, Patient, frame_of, succeed, text

PIECE: Final = 90
"""Octets of one of the five segments."""
EDGES: Final = tuple(range(0, 225, 45))
"""Where the pieces of a pair begin and end."""
END: Final = 450
"""Octets of the stream, the FIN lies behind them; fewer than open the window again when the host takes them."""
FIN: Final = 1

Pieces = tuple[tuple[int, int], ...]

ORDERS: Final[tuple[Pieces, ...]] = tuple(permutations((PIECE * n, PIECE * n + PIECE) for n in range(5)))
INTERVALS: Final = tuple((left, right) for left in EDGES for right in EDGES if left < right)
PAIRS: Final[tuple[Pieces, ...]] = tuple((*pair, (0, END)) for pair in product(INTERVALS, repeat=2))
"""Two pieces that may overlap, equal, touch or leave a hole; then everything with the FIN."""


class Arrived:
    """The octets of a stream that arrived, as disjoint pieces; the one that grew last first (RFC 2018 4)."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, int]] = []
        self.told: list[tuple[int, Pieces]] = []

    def add(self, left: int, right: int) -> None:
        """A segment came: what it joins becomes one. ``told``: RcvNxt and what is held behind it, in SACK order."""
        joined = [piece for piece in self.pieces if piece[0] <= right and left <= piece[1]]
        rest = [piece for piece in self.pieces if piece not in joined]
        self.pieces = [(min(left, *(p[0] for p in joined), left), max(right, *(p[1] for p in joined), right)), *rest]
        edge = next((right for left, right in self.pieces if left == 0), 0)
        self.told.append((edge, tuple(piece for piece in self.pieces if piece[0] > edge)))


def without_duplicate(answer: Answer) -> Pieces:
    """The blocks of an answer as places in the stream, but for a first block that tells of a duplicate (RFC 2883 4)."""
    blocks = tuple(((left - RCV_NXT) & MASK, (right - RCV_NXT) & MASK) for left, right in answer.blocks)
    if not blocks:
        return ()
    left, right = blocks[0]
    below = left < (answer.ack - RCV_NXT) & MASK or left > MASK >> 1
    inside = any(other[0] <= left and right <= other[1] for other in blocks[1:])
    return blocks[1:] if below or inside else blocks


def play_orders(orders: Sequence[Pieces]) -> Callable[[ManyLab], Case]:
    """Streams cut like this; each segment is answered as it must be, and the octets come out once and in order."""

    def case(lab: ManyLab) -> Case:
        yield from lab.prepare()
        for first in range(0, len(orders), AT_A_TIME):
            yield from _batch(lab, orders[first : first + AT_A_TIME])

    return case


def _batch(lab: ManyLab, batch: Sequence[Pieces]) -> Generator[Callable[[], bool], None, None]:
    patients = [Patient(lab, FIRST + i, lab.new_gen()) for i in range(len(batch))]
    offloaded = image_fields("FIN_WAIT_2", "open", False) | {"const_flags": SACK}
    yield from succeed(lab, [patient.initiate(**offloaded) for patient in patients])
    yield from succeed(lab, [patient.command(Opcode.START) for patient in patients])
    receives = []
    for patient in patients:
        at = lab.area(patient.conn)
        lab.memory.write(at, bytes(2 * END))
        receives.append(patient.command(Opcode.RECEIVE, flags=1, addr=at + 3, length=2 * END))
    yield from lab.silent()
    streams = [Arrived() for _ in batch]
    for step in range(len(batch[0])):
        lab.tidy()
        for patient, pieces, stream in zip(patients, batch, streams, strict=True):
            left, right = pieces[step]
            flags = 0x10 | (FIN if right == END else 0)
            una = image_fields("FIN_WAIT_2", "open", False)["snd_una"]
            lab.arrive(frame_of(patient.port, Segment((RCV_NXT + left) & MASK, una, flags, right - left, None)))
            stream.add(left, right)
        yield from lab.done_with_frames()
        for patient, pieces, stream in zip(patients, batch, streams, strict=True):
            _judge(lab, patient, pieces[: step + 1], stream)
    for patient, pieces, cookie in zip(patients, batch, receives, strict=True):
        entry = yield from lab.answer(cookie)
        if (entry.kind, entry.status, entry.nbytes) != (CqKind.RECEIVE, Status.OK, END):
            lab.problems.append(f"{pieces}: the receive ended as {entry}")
        if lab.memory.read(lab.area(patient.conn) + 3, END) != text(RCV_NXT, END):
            lab.problems.append(f"{pieces}: other octets came out")
    yield from lab.ticks(2)
    for patient, pieces in zip(patients, batch, strict=True):
        events = [TcpEventType(e.code).name for e in patient.heard() if e.kind == CqKind.EVENT]
        if sorted(events) != ["DISCONNECT", "RETRIEVE"]:
            lab.problems.append(f"{pieces}: the host was told {events}")
    cookies = [patient.terminate() for patient in patients]
    for patient, pieces, cookie in zip(patients, batch, cookies, strict=True):
        image = yield from patient.uploaded(cookie)
        lab.played += 1
        if (image.state, image.rcv_nxt) != (TcpState.TIME_WAIT, (RCV_NXT + END + 1) & MASK):
            lab.problems.append(f"{pieces}: state {image.state}, RcvNxt {image.rcv_nxt:#x}")


def _judge(lab: ManyLab, patient: Patient, pieces: Pieces, stream: Arrived) -> None:
    """The answer to the last segment: at once, unless it is the first and in order; the whole of what is held.

    RFC 5681 4.2, RFC 2018 4.
    """
    answers = patient.answers()
    edge, held = stream.told[-1]
    plain = edge == pieces[-1][1] and all(right <= pieces[-1][0] for _, right in pieces[:-1])
    if plain and not answers and edge != END:
        return
    over = edge == END
    wanted = (RCV_NXT + edge + over) & MASK
    if [answer.ack for answer in answers] != [wanted]:
        lab.problems.append(f"{pieces}: answers {answers}, expected one that acknowledges {wanted:#x}")
    elif without_duplicate(answers[0]) != held:
        lab.problems.append(f"{pieces}: blocks {answers[0].blocks}, held {held}")
