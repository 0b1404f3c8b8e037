"""The follower and delivery_engine: check 1 on its commits, and that each event was due."""

from __future__ import annotations

from collections import deque

from model.delivery.step import Continue, DeliveryEvent, DlvCommand, Message, PushTimer
from model.device.divergence import Halt, field_of, from_records
from model.device.follow_state import Mark
from model.device.follow_wire import FollowWire
from model.device.records import delivery_record
from model.device.words import name_of
from model.layout.generated import (
    CqSource,
    DlvEvt,
    Opcode,
    PlOp,
    RecDlv,
)
from model.tcp.seq import due

_HINTS = 2
"""Grants or timer offers that may be under way to the arbiter at once for one connection."""


_OPS = ("nothing", "PLACE", "COPY", "LIST_WRITE")


class FollowDelivery(FollowWire):
    """Commits of delivery_engine."""

    def _delivery(self, value: int) -> None:
        kind = field_of(RecDlv, value, "kind")
        conn, gen = field_of(RecDlv, value, "conn"), field_of(RecDlv, value, "gen")
        cause, tick = field_of(RecDlv, value, "cause"), field_of(RecDlv, value, "tick")
        name = f"delivery {name_of(DlvEvt, kind)}"
        self._order("delivery", name, conn, field_of(RecDlv, value, "order"))
        self._tick_of("delivery", name, conn, tick)
        event = self._delivery_event(kind, conn, gen, cause, tick, name)
        on = conn
        if isinstance(event, Message):
            on = event.msg.conn
        elif isinstance(event, DlvCommand):
            on = 0 if event.sqe.opcode == Opcode.POOL_POST else event.sqe.conn
        credits_before = self.core.credit_pending
        result = self.core.commit_delivery(event, on, tick)
        expected = delivery_record(self._orders["delivery"], tick, event, result, len(self.core.free))
        if expected != value:
            raise Halt(
                from_records(
                    RecDlv,
                    expected,
                    value,
                    check=1,
                    stream="delivery",
                    order=self._orders["delivery"],
                    cycle=self._cycle,
                    conn=on,
                    event=name,
                )
            )
        self.commits_compared += 1
        self.delivery_commits_compared += 1
        self.events[name] += 1
        self._orders["delivery"] += 1
        self._after_delivery(on, tick, result.consumed, result.consumed_now, credits_before)

    def _delivery_event(self, kind: int, conn: int, gen: int, cause: int, tick: int, name: str) -> DeliveryEvent:
        core = self.core
        if core.continuing is not None and (kind != DlvEvt.CONTINUE or conn != core.continuing):
            raise self._not_due("delivery", name, conn, f"CONTINUE of connection {core.continuing}", name)
        if kind == DlvEvt.CONTINUE:
            if core.continuing is None:
                raise self._not_due("delivery", name, conn, "no work is left", name)
            self.live.end("continue", conn, self._cycle)
            return Continue(conn)
        if kind == DlvEvt.TIMER:
            return self._push_event(conn, gen, tick)
        if kind in (DlvEvt.RECEIVE, DlvEvt.ANSWER, DlvEvt.RESUME, DlvEvt.POOL_POST):
            waiting = self._commands.delivery
            if not waiting or waiting[0].decoded.sq_index != cause:
                shown = f"sq_index {waiting[0].decoded.sq_index}" if waiting else "no command waits"
                raise self._not_due("delivery", name, conn, shown, f"sq_index {cause}", "cause")
            posted = waiting.popleft()
            decoded = posted.decoded
            self._carried_out(posted, "delivery", name)
            return DlvCommand(decoded.sqe, decoded.sq_index, decoded.indices)
        if not core.dlvq or core.dlvq[0].kind != kind:
            shown = name_of(DlvEvt, core.dlvq[0].kind) if core.dlvq else "no message waits"
            raise self._not_due("delivery", name, conn, shown, name, "kind")
        self.live.end("message", self._messages_taken, self._cycle)
        self._messages_taken += 1
        return Message(core.dlvq.popleft())

    def _push_event(self, conn: int, gen: int, tick: int) -> PushTimer:
        deadline = self.core.push.get(conn)
        is_due = deadline is not None and due(deadline, tick)
        if not is_due and not self._pushes[conn, gen]:
            shown = "no push timer runs" if deadline is None else f"deadline {deadline}"
            raise self._not_due("delivery", "delivery TIMER", conn, shown, f"offered at tick {tick}", "deadline")
        self._pushes[conn, gen] = max(self._pushes[conn, gen] - 1, 0)
        self.live.end("push", conn, self._cycle)
        return PushTimer(conn, gen)

    def _after_delivery(self, conn: int, tick: int, consumed: int, at_once: bool, credits_before: int) -> None:
        core, cycle = self.core, self._cycle
        if core.continuing is not None:
            self.live.begin("continue", core.continuing, cycle)
        gen = core.dcbs[conn].dcb.gen
        marks = self._consumed.setdefault((conn, gen), deque())
        if consumed or (at_once and marks):  # a flush of nothing leaves no trace
            marks.append(Mark(consumed, at_once, core.credits_returned))
            self._consumed_live(conn, gen)
        if core.credit_pending > credits_before:
            self.live.begin("credit", 0, cycle)
        self._credits_live()
        deadline = core.push.get(conn)
        if deadline is not None and due(deadline, tick):
            self._pushes[conn, gen] = min(self._pushes[conn, gen] + 1, _HINTS)
            self.live.begin("push", conn, cycle)
        else:
            self.live.end("push", conn, cycle)
        while core.plq:
            item = core.plq[0].item
            write, _ = core.execute_plq()
            if write is not None:
                self._allow(self._placed, write, f"{_OPS[item.op]} of connection {item.conn}")
                if item.op == PlOp.PLACE:
                    self._space.placed(item.arrival, self._placed.issued)
            self._collect(CqSource.DELIVERY, need=self._placed.issued)
            self._pieces.append((self._placed.issued, self._numbers[CqSource.DELIVERY]))
            if item.freeze_done:
                self._fence_need[item.conn, item.gen] = self._placed.issued
                self._fence_live()
        self._retire()

    def _credits_live(self) -> None:
        if self.core.credit_pending and self.core.credits_short():
            self.live.begin("credit_short", 0, self._cycle)
        else:
            self.live.end("credit_short", 0, self._cycle)

    def _consumed_live(self, conn: int, gen: int) -> None:
        marks = self._consumed.get((conn, gen), deque())
        total = sum(m.nbytes for m in marks)
        if total and (any(m.at_once for m in marks) or total >= self.core.dcbs[conn].dcb.consumed_thr):
            self.live.begin("consumed", (conn, gen), self._cycle)
