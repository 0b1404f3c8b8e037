"""The follower and the completion ring: check 3, visibility, and what command_decode answers itself."""

from __future__ import annotations

from model.device.decode import completion
from model.device.divergence import Halt, field_of, from_records
from model.device.follow_commands import Posted, refusable
from model.device.follow_memory import FollowMemory
from model.device.follow_state import Expected
from model.device.rules import rule_of
from model.device.words import name_of
from model.layout.generated import (
    CQE_BYTES,
    Cqe,
    CqKind,
    CqSource,
    Csr,
    Opcode,
    RecCq,
    Status,
)


class FollowCompletions(FollowMemory):
    """Entries of the completion ring."""

    def _cq(self, value: int) -> None:
        source_number = field_of(RecCq, value, "source")
        packed = field_of(RecCq, value, "cqe")
        got = Cqe.unpack(packed)
        event = f"completion {name_of(CqSource, source_number)}"
        conn = got.conn if got.kind not in (CqKind.RAW_RX, CqKind.RAW_TX) else None
        if source_number not in list(CqSource):
            raise Halt(self._finding(3, "cq", "source", "a known source", str(source_number), rule_of("", "source")))
        source = CqSource(source_number)
        size = self.core.regs.entries(Csr.CQ_SIZE_LOG2)
        index, phase = self._cq_written % size, 1 - self._cq_written // size % 2
        cqe = self._decode_answer(got) if source == CqSource.DECODE else self._next_expected(source, event, got)
        expected = RecCq(index, source, cqe | phase << Cqe.FIELDS["phase"][0]).pack()
        if expected != value:
            found = from_records(
                RecCq,
                expected,
                value,
                check=3,
                stream="cq",
                order=self._cq_written,
                cycle=self._cycle,
                conn=conn,
                event=event,
            )
            raise Halt(found)
        if self._cq_written - self._cq_read >= size:
            raise Halt(self._finding(3, "cq", "index", "a wait: the ring is full", str(index), "hostport"))
        self._cq_written += 1
        self.completions_compared += 1
        self._pair(index, packed)

    def _pair(self, index: int, packed: int) -> None:
        entry = packed.to_bytes(CQE_BYTES, "little")
        written = self._ring_written.pop(index, None)
        if written is None:
            self._ring_recorded[index] = (entry, self._cycle)
        else:
            self._compare_entry(index, entry, written)

    def _next_expected(self, source: CqSource, event: str, got: Cqe) -> int:
        queue = self._expected[source]
        rule = "architecture 3, check 3: completions in order"
        if not queue:
            kind = name_of(CqKind, got.kind)
            raise Halt(
                self._finding(
                    3,
                    "cq",
                    "cqe",
                    "no completion is due",
                    f"{kind} {got}",
                    rule,
                    conn=got.conn,
                    event=event,
                    order=self._cq_written,
                )
            )
        turn = self._turn(source, got)
        expected = queue[turn]
        del queue[turn]
        if not self._visible(source, expected):
            raise Halt(
                self._finding(
                    5,
                    "cq",
                    "visibility",
                    f"after {expected.need} earlier actions",
                    "before",
                    "mechanisms M5: visible before it is told",
                    conn=expected.conn,
                    event=event,
                    order=self._cq_written,
                )
            )
        if source == CqSource.INVALIDATE:
            self._barrier_told()
        kind = "raw_send" if source == CqSource.RAW_TX else "completion"
        self.live.end(kind, (source, expected.number), self._cycle)
        if source == CqSource.SEND:
            self._prove()
        return expected.cqe

    def _turn(self, source: CqSource, got: Cqe) -> int:
        """Place in the queue of the completion that is due: the first; of SENDs, the first of its connection."""
        if source != CqSource.SEND:
            return 0
        owed = enumerate(self._expected[source])
        return next((at for at, expected in owed if expected.conn == got.conn), 0)

    def _prove(self) -> None:
        """Releases are surely carried out when frames behind them are out and no completion in front is owed."""
        owed = self._expected[CqSource.SEND]
        told = owed[0].number if owed else self._numbers[CqSource.SEND]
        while self._released and self._released[0].issued < self._tx_seen and self._released[0].told <= told:
            release = self._released.popleft()
            self._unproven[release.conn] -= release.entries

    def _barrier_told(self) -> None:
        """Behind the completion of an INVALIDATE no frame of its object leaves (CH-092)."""
        self._mute |= self._barriers.popleft() & {f.order for f in self._tx_records}

    def _visible(self, source: CqSource, expected: Expected) -> bool:
        """What must come before this completion has come."""
        if source == CqSource.DELIVERY:
            return self._placed.finished >= expected.need
        if source == CqSource.RAW_RX:
            return self._raw_placed.finished >= expected.need
        if source == CqSource.SEND:
            return self._tx_seen >= expected.need
        if source == CqSource.STATE:
            return self._state.finished >= expected.need and not self._requests_left(expected)
        return True

    def _requests_left(self, expected: Expected) -> bool:
        """A request of the connection that a TERMINATE completes for was not told yet; a QUERY waits for none.

        What was posted behind the TERMINATE and refused when the connection was gone is none of them.
        """
        if field_of(Cqe, expected.cqe, "code") != Opcode.TERMINATE:
            return False
        key = (expected.conn, expected.gen)
        sources = CqSource.SEND, CqSource.DELIVERY, CqSource.TCP
        owed = (e for source in sources for e in self._expected[source] if e.cycle <= expected.cycle)
        return any((e.conn, e.gen) == key and field_of(Cqe, e.cqe, "kind") != CqKind.COMMAND for e in owed)

    def _decode_answer(self, got: Cqe) -> int:
        """What command_decode answers: fixed errors, NOP, and refusals that depend on time."""
        taken = self._commands.take_answer(got.sq_index)
        if taken is None:
            rule = "hostport: errors found by command_decode"
            raise Halt(
                self._finding(
                    3,
                    "cq",
                    "cqe.sq_index",
                    "an entry command_decode answers",
                    str(got.sq_index),
                    rule,
                    conn=got.conn,
                    event="completion DECODE",
                    order=self._cq_written,
                )
            )
        posted, status = taken
        decoded = posted.decoded
        if missing := self._commands.answer_too_early(posted):
            raise Halt(
                self._finding(
                    3,
                    "cq",
                    "cqe.sq_index",
                    missing,
                    f"the answer to sq_index {got.sq_index}",
                    "hostport: entries are carried out in order",
                    conn=decoded.sqe.conn,
                    event="completion DECODE",
                    order=self._cq_written,
                )
            )
        self.live.end("command", got.sq_index, self._cycle)
        self._raw_posts.carried_out(posted.number, self._cycle)
        timely = status is None or (got.status == Status.BAD_STATE and decoded.sqe.opcode == Opcode.INITIATE)
        if timely and self._may_refuse(posted, got.status):
            status = Status(got.status)
        if decoded.key is not None:
            self._lookup.refused(decoded.key, decoded.sq_index)
        if status is None:
            rule = "hostport: checks 5 and 8 of command_decode"
            raise Halt(
                self._finding(
                    5,
                    "cq",
                    "cqe.status",
                    "the command is carried out",
                    name_of(Status, got.status),
                    rule,
                    conn=decoded.sqe.conn,
                    event="completion DECODE",
                    order=self._cq_written,
                )
            )
        if status != Status.OK:
            self.core.regs.count(Csr.CNT_CMD_ERRORS)
        return completion(decoded, status).pack()

    def _may_refuse(self, posted: Posted, status: int) -> bool:
        """A refusal that depends on time was legal at some moment since the doorbell."""
        decoded = posted.decoded
        conn = decoded.sqe.conn
        if status not in refusable(decoded):
            return False
        if status == Status.NO_RESOURCES:
            return self.core.txpath.entries(conn) + self._unproven[conn] >= self.config.sends
        if status == Status.BAD_STATE:
            return conn in self.core.in_use or self._lookup.freed_since(conn, posted.cycle)
        if status == Status.DUPLICATE_KEY:
            return decoded.key is not None and self._lookup.present(decoded.key, posted.cycle)
        return status == Status.TABLE_FULL and self._lookup.crowded(posted.cycle)
