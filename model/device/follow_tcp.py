"""The follower and tcp_engine: check 1 on its commits, and that each event was due."""

from __future__ import annotations

from collections import deque

from model.device.config import CQ_RESERVE
from model.device.divergence import Halt, field_of, from_records
from model.device.follow_commands import Posted, refusable
from model.device.follow_delivery import FollowDelivery
from model.device.follow_state import ROOM_LAG, Commit
from model.device.records import sees_room, tcp_record
from model.device.txpath import barred_object
from model.device.words import name_of
from model.layout.generated import (
    CqSource,
    Opcode,
    RecTcp,
    Tcb,
    TcpEvt,
    TcpImage,
    TxKind,
)
from model.tcp.seq import due
from model.tcp.types import (
    Command,
    Consumed,
    Credit,
    Event,
    Fault,
    FenceDone,
    RxSegment,
    StepResult,
    Timer,
    TxGrant,
)

_HINTS = 2
"""Grants or timer offers that may be under way to the arbiter at once for one connection."""
_HISTORY = 8


class FollowTcp(FollowDelivery):
    """Commits of tcp_engine."""

    def _tcp(self, value: int) -> None:
        kind = field_of(RecTcp, value, "kind")
        conn, gen = field_of(RecTcp, value, "conn"), field_of(RecTcp, value, "gen")
        cause, tick = field_of(RecTcp, value, "cause"), field_of(RecTcp, value, "tick")
        name = name_of(TcpEvt, kind)
        self._order("tcp", name, conn, field_of(RecTcp, value, "order"))
        self._tick_of("tcp", name, conn, tick)
        if conn >= self.config.conns and kind not in (TcpEvt.COMMAND, TcpEvt.CREDIT):
            raise self._not_due("tcp", name, None, f"a connection below {self.config.conns}", str(conn), "conn")
        event, frame = self._tcp_event(kind, conn, gen, cause, tick, name)
        before = self.core.deadlines.get(conn)
        room = self._room(event, field_of(RecTcp, value, "room"), name, conn)
        before_it = self.core.tcbs[conn] if conn < self.config.conns else Tcb()
        result = self.core.commit_tcp(event, tick, room=room)
        expected = tcp_record(self._orders["tcp"], tick, event, result, room=room)
        on = None if isinstance(event, Credit) or not field_of(RecTcp, expected, "tcb") else conn
        if on is not None:
            history = self._history.setdefault(conn, deque(maxlen=_HISTORY))
            history.append(Commit(self._cycle, expected, before_it))
        if expected != value:
            raise Halt(
                from_records(
                    RecTcp,
                    expected,
                    value,
                    check=1,
                    stream="tcp",
                    order=self._orders["tcp"],
                    cycle=self._cycle,
                    conn=on,
                    event=name,
                    frame=frame,
                )
            )
        self.of_connection = self.core.connection_of(event) is not None
        self.commits_compared += 1
        self.events[name] += 1
        self._orders["tcp"] += 1
        self._after_tcp(event, result, conn, before, tick)

    def _room(self, event: Event, seen: int, name: str, conn: int) -> bool:
        """C.12: the device's word, but without a jam there must be room."""
        if not sees_room(event) or seen:
            return True
        late = self._cycle - self._tight <= ROOM_LAG
        if self._free_entries() > CQ_RESERVE and not late and not self._backed_up():
            raise self._not_due("tcp", name, conn, "room: the host reads its entries (tcp_step C.12)", "none", "room")
        return False

    def _tcp_event(
        self, kind: int, conn: int, gen: int, cause: int, tick: int, name: str
    ) -> tuple[Event, bytes | None]:
        """The event a record names, made from what this side knows; Halt if it was not due."""
        if kind == TcpEvt.COMMAND:
            return self._command_event(cause, conn), None
        if kind == TcpEvt.RX_SEGMENT:
            if not self._segments or self._segments[0].arrival != cause:
                waiting = f"frame {self._segments[0].arrival}" if self._segments else "no frame waits"
                raise self._not_due("tcp", name, conn, waiting, f"frame {cause}", "cause")
            frame = self._segments.popleft()
            self.live.end("segment", cause, self._cycle)
            return RxSegment(self.core.rx_seg(frame)), frame.data
        if kind == TcpEvt.TX_GRANT:
            if not self._grants[conn]:
                raise self._not_due("tcp", name, conn, "a connection that can send", f"connection {conn}", "conn")
            self._grants[conn] -= 1
            self.live.end("grant", conn, self._cycle)
            return TxGrant(conn, self.core.tcbs[conn].gen), None
        if kind == TcpEvt.TIMER:
            return self._timer_event(conn, gen, tick), None
        if kind == TcpEvt.CONSUMED:
            self._take_consumed(conn, gen, cause)
            return Consumed(conn, gen, cause), None
        if kind == TcpEvt.CREDIT:
            if not 0 < cause <= self.core.credit_pending:
                raise self._not_due("tcp", name, None, f"1 to {self.core.credit_pending} credits", str(cause), "cause")
            self.core.take_credits(cause)
            self._credits_taken += cause
            self.live.end("credit", 0, self._cycle)
            self.live.end("credit_short", 0, self._cycle)
            if self.core.credit_pending:
                self.live.begin("credit", 0, self._cycle)
            self._credits_live()
            return Credit(cause), None
        if kind == TcpEvt.FENCE_DONE:
            return self._fence_event(conn, gen), None
        if kind == TcpEvt.FAULT:
            if (conn, gen) not in self.core.faults:
                raise self._not_due("tcp", name, conn, "a failed access to host memory", "none known")
            self.core.faults.remove((conn, gen))
            self._faults_seen.add((conn, gen))
            self._faults_taken += 1
            return Fault(conn, gen), None
        raise self._not_due("tcp", name, conn, "a known kind of event", str(kind), "kind")

    def _command_event(self, sq_index: int, conn: int) -> Command:
        posted, skipped = self._commands.take_tcp(sq_index)
        if posted is None:
            raise self._not_due(
                "tcp", "COMMAND", conn, "an entry of the submission ring", f"sq_index {sq_index}", "cause"
            )
        for other in skipped:
            self._must_be_refusable(other)
        decoded = posted.decoded
        sqe = decoded.sqe
        self._carried_out(posted, "tcp", "COMMAND")
        if decoded.appends:
            if self.core.txpath.entries(sqe.conn) >= self.config.sends:
                raise self._not_due("tcp", "COMMAND", conn, "NO_RESOURCES: the send table is full", "committed")
        elif sqe.opcode == Opcode.INITIATE and decoded.key is not None:
            if decoded.key in self.core.lookup:
                raise self._not_due("tcp", "COMMAND", conn, "DUPLICATE_KEY", "committed")
            self._lookup.inserted(decoded.key, sq_index, self._cycle)
            self.core.insert(decoded)
        return Command(sqe, sq_index, decoded.image, decoded.seg)

    def _must_be_refusable(self, posted: Posted) -> None:
        if not refusable(posted.decoded):
            raise self._not_due(
                "tcp",
                "COMMAND",
                posted.decoded.sqe.conn,
                f"sq_index {posted.decoded.sq_index} next",
                "a later entry: one was passed over",
                "cause",
            )
        if posted.decoded.key is not None:
            self._lookup.refused(posted.decoded.key, posted.decoded.sq_index)

    def _timer_event(self, conn: int, gen: int, tick: int) -> Timer:
        deadline = self.core.deadlines.get(conn)
        is_due = deadline is not None and due(deadline, tick) and gen == self.core.tcbs[conn].gen
        if not is_due and not self._timers[conn, gen]:
            shown = "no timer runs" if deadline is None else f"deadline {deadline}"
            raise self._not_due("tcp", "TIMER", conn, shown, f"offered at tick {tick}", "deadline")
        self._timers[conn, gen] = max(self._timers[conn, gen] - 1, 0)
        self.live.end("timer", conn, self._cycle)
        return Timer(conn, gen)

    def _take_consumed(self, conn: int, gen: int, nbytes: int) -> None:
        """The sum must be one that delivery_engine had pending, and reason enough to offer it."""
        marks = self._consumed.get((conn, gen), deque())
        total, at_once, credits_ = 0, False, 0
        while marks and (total < nbytes or marks[0].nbytes == 0):
            mark = marks.popleft()
            total, at_once = total + mark.nbytes, at_once or mark.at_once
            if mark.nbytes:  # a flush behind the last byte adds none, and may come when the sum is on its way
                credits_ = mark.credits
        if total != nbytes or nbytes == 0:
            raise self._not_due("tcp", "CONSUMED", conn, f"{total} bytes", f"{nbytes} bytes", "cause")
        threshold = self.core.dcbs[conn].dcb.consumed_thr
        if not at_once and nbytes < threshold and gen == self.core.dcbs[conn].dcb.gen:
            raise self._not_due("tcp", "CONSUMED", conn, f"at least {threshold} bytes", f"{nbytes} bytes", "cause")
        if self._credits_taken < credits_:
            owed = f"CREDIT first, of {credits_ - self._credits_taken}"
            raise self._not_due("tcp", "CONSUMED", conn, owed, f"{nbytes} bytes", "cause")
        self.live.end("consumed", (conn, gen), self._cycle)
        self._consumed_live(conn, gen)

    def _fence_event(self, conn: int, gen: int) -> FenceDone:
        key = (conn, gen)
        need = self._fence_need.get(key, 0)
        if key not in self.core.fence_tx or key not in self.core.fence_dlv or self._placed.finished < need:
            halves = f"transmit {key in self.core.fence_tx}, delivery {key in self.core.fence_dlv}, writes "
            shown = halves + f"{self._placed.finished} of {need}"
            raise self._not_due("tcp", "FENCE_DONE", conn, "both halves done", shown)
        self.core.fence_tx.discard(key)
        self.core.fence_dlv.discard(key)
        self.live.end("fence", key, self._cycle)
        return FenceDone(conn, gen)

    def _after_tcp(self, event: Event, result: StepResult, conn: int, before: int | None, tick: int) -> None:
        core, cycle = self.core, self._cycle
        if not isinstance(event, Credit):
            self._hints(conn, before, tick)
        a = result.actions
        if a.dlv is not None:
            self.live.begin("message", self._messages_issued, cycle)
            self._messages_issued += 1
        if a.delete_lookup:
            self._lookup.deleted(conn, cycle)
            if isinstance(event, Command) and isinstance(event.image, TcpImage):
                self._lookup.deleted(event.sqe.conn, cycle)
        if a.cpl is not None:
            self._collect(CqSource.TCP)
        if a.tx0 is not None and a.tx0.kind == TxKind.BARRIER:
            self._barrier(barred_object(a.tx0))
        while core.txq:
            self._transmit()
        while core.snapshots:
            write = core.execute_snapshot()
            if write is not None:
                self._allow(self._state, write, "state image")
            self._collect(CqSource.STATE, need=self._state.issued)
        if isinstance(event, RxSegment):
            self._retire()
        if a.tx1 is not None and a.tx1.kind == TxKind.FENCE:
            self._fence_live()

    def _hints(self, conn: int, before: int | None, tick: int) -> None:
        """Which offers of scheduler and timers may be under way after a commit of ``conn``."""
        core = self.core
        if conn in core.pending:
            self._grants[conn] = min(self._grants[conn] + 1, _HINTS)
            self.live.begin("grant", conn, self._cycle)
        else:
            self.live.end("grant", conn, self._cycle)
        after = core.deadlines.get(conn)
        if (before is not None and due(before, tick)) or (after is not None and due(after, tick)):
            key = (conn, core.tcbs[conn].gen)
            self._timers[key] = min(self._timers[key] + 1, _HINTS)
        if after is not None and due(after, tick):
            self.live.begin("timer", conn, self._cycle)
        else:
            self.live.end("timer", conn, self._cycle)
