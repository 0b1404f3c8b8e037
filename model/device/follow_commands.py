"""Submission entries as the follower sees them: fetched at the doorbell, waiting for a record to tell their fate."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from model.device.decode import DELIVERY_OPCODES, TCP_OPCODES, Decoded, of_a_connection
from model.layout.generated import Opcode, Status


@dataclass(frozen=True, slots=True)
class Posted:
    """A fetched entry, the cycle its doorbell was seen, and its number in the ring, counted without end."""

    decoded: Decoded
    cycle: int
    number: int


class CommandTracker:
    """Entries by the engine they go to, in ring order; and those that command_decode must answer itself."""

    def __init__(self) -> None:
        self.tcp: deque[Posted] = deque()
        self.delivery: deque[Posted] = deque()
        self.answers: dict[int, tuple[Posted, Status | None]] = {}
        """By sq_index: what command_decode completes; None: refused for a reason that depends on time."""
        self._last_answer = -1

    def post(self, posted: Posted) -> None:
        """A new entry, not RAW_POST or RAW_SEND without error."""
        decoded = posted.decoded
        if decoded.error is not None:
            self.answers[decoded.sq_index] = (posted, decoded.error)
        elif decoded.sqe.opcode in TCP_OPCODES:
            self.tcp.append(posted)
        elif decoded.sqe.opcode in DELIVERY_OPCODES:
            self.delivery.append(posted)
        elif decoded.sqe.opcode == Opcode.NOP:
            self.answers[decoded.sq_index] = (posted, Status.OK)

    def take_tcp(self, sq_index: int) -> tuple[Posted | None, list[Posted]]:
        """The entry that committed, and those before it, which were refused (commands commit in order)."""
        for at, posted in enumerate(self.tcp):
            if posted.decoded.sq_index == sq_index:
                skipped = [self.tcp.popleft() for _ in range(at)]
                self.tcp.popleft()
                for other in skipped:
                    self.answers[other.decoded.sq_index] = (other, None)
                return posted, skipped
        return None, []

    def take_answer(self, sq_index: int) -> tuple[Posted, Status | None] | None:
        """What command_decode answered; an entry that waits for tcp_engine may have been refused instead."""
        if sq_index in self.answers:
            return self.answers.pop(sq_index)
        for posted in self.tcp:
            if posted.decoded.sq_index == sq_index:
                self.tcp.remove(posted)
                return posted, None
        return None

    def passed_over(self, posted: Posted) -> Posted | None:
        """An earlier entry of the same connection whose fate is open; entries command_decode answers do not count.

        An entry that may be refused for a reason that depends on time may have been: its completion comes later.
        """
        return next((other for other in self._earlier(posted) if not refusable(other.decoded)), None)

    def answer_too_early(self, posted: Posted) -> str:
        """What had to come before command_decode's answer to ``posted``, "" if nothing is missing.

        Its answers leave in ring order, and those to a connection after all earlier commands of the connection.
        """
        for other, _ in self.answers.values():
            if other.number < posted.number:
                return f"the answer to sq_index {other.decoded.sq_index} first"
        if posted.number < self._last_answer:
            return "an answer in ring order"
        for other in self._earlier(posted):
            return f"sq_index {other.decoded.sq_index} of the same connection first"
        self._last_answer = posted.number
        return ""

    def _earlier(self, posted: Posted) -> Iterator[Posted]:
        """Entries of the same connection that stand before ``posted`` in the ring and wait for an engine."""
        if not of_a_connection(posted.decoded.sqe):
            return
        for queue in (self.tcp, self.delivery):
            for other in queue:
                if other.number >= posted.number:
                    break
                sqe = other.decoded.sqe
                if sqe.conn == posted.decoded.sqe.conn and of_a_connection(sqe):
                    yield other

    @property
    def waiting(self) -> int:
        """Entries whose fate is open."""
        return len(self.tcp) + len(self.delivery) + len(self.answers)


def refusable(decoded: Decoded) -> tuple[Status, ...]:
    """Errors of an entry that depend on when it was decoded."""
    opcode = decoded.sqe.opcode
    if decoded.appends:
        return (Status.NO_RESOURCES,)
    if opcode == Opcode.INITIATE:
        return (Status.BAD_STATE, Status.DUPLICATE_KEY, Status.TABLE_FULL)
    return ()
