"""Section 9.6, delivery: which byte goes where and when, push timer included (CH-126..134, CH-142..159, G-04, G-17).

PSH completes what a push-mode request holds, wherever the bytes waited before: in the segment, in order in the buffered
data, or beyond a gap (5.6: E2 leads to A, and A.f asks for the segment's PSH). Accepted are a completion that ends
where the peer pushed, and one that holds bytes behind that, too. Completion by PSH is told from completion by the timer
by time: a target that waits for the timer where PSH should have completed is half a timer late. The timer itself is
held against the four moments that G-04 allows it to be counted from, with `LATE` ticks behind and `RACE` ticks before
each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final
from weakref import WeakKeyDictionary

from tb.monitors.contract.receive_books import (
    INVALID_STATE,
    PARTIALLY_ACCEPTED,
    REQUEST_ABORTED,
    SUCCESS,
    UPLOAD_IN_PROGRESS,
    Connection,
    Item,
    Shared,
)
from tb.monitors.contract.receive_calls import uploaded_end
from tb.monitors.contract.receive_segments import Segment
from tb.monitors.contract.receive_stream import Arrival
from tb.monitors.contract.receive_watch import LATE, PROMPT, RACE, STALL, BookedMonitor
from tb.monitors.contract.trace import Enter, Leave, List, Node

_SHORTEST_TIMER: Final = 2 * LATE
"""A push timer shorter than this cannot be told from PSH."""
_NDIS_6_20: Final = 0x0006_0014
"""`Setting` ndis_version of the first host interface that has TcpReceiveBytesTransferred."""


@dataclass(slots=True)
class _Duty:
    """What the target must do next on a connection: the rule, and the state in which it has to."""

    rule: str
    state: tuple[int, ...]
    wait: int


@dataclass(slots=True)
class _Notes:
    """What delivery remembers of a connection."""

    duty: _Duty | None = None
    served: tuple[int, ...] = ()
    head_since: int = 0
    queued_in_call: bool = False
    old_timer: tuple[int, int] | None = None
    """When a push timer that must have been stopped would have expired."""
    partial_at: int | None = None
    """First byte that a partly accepted indication left with the target."""
    refused_end: int = 0
    awaiting_zero: bool = False
    """A zero-byte request completed while refused data waits."""
    by_request: int = 0
    """End of what requests took last."""
    indication_orders: dict[int, int] = field(default_factory=dict)
    post_order: int = 0
    normal_since_refusal: bool = False


class Delivery(BookedMonitor):
    """Section 5.6 of the contract, from outside."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-126": "a request that is full comes back at once",
        "CH-127": "PSH brings a partly filled push-mode request back, without waiting for the timer",
        "CH-128": "the push timer brings a partly filled push-mode request back",
        "CH-129": "a nonpush request comes back SUCCESS only when it is full, or at the FIN",
        "CH-130": "the push timer does not run before the first byte is in the request",
        "CH-131": "the push timer of a request that the host pre-filled runs from the time it was posted",
        "CH-132": "the push timer counts from the first or from the last byte, from no other",
        "CH-133": "a request that came back full or by PSH leaves no push timer behind",
        "CH-134": "an expiring push timer does nothing to an empty request",
        "CH-142": "nothing is indicated while a posted request could take it",
        "CH-143": "data behind buffered data is not indicated while there is no request",
        "CH-144": "in-order data without a request and without buffered data is indicated",
        "CH-145": "what arrived or was posted during a completion or indication is served after it",
        "CH-146": "data beyond the posted requests is indicated after they came back",
        "CH-151": "refused data is not indicated again before a request is posted",
        "CH-152": "after a refusal a normal request comes back before the next indication",
        "CH-153": "a zero-byte request comes back SUCCESS, takes nothing and lets the target indicate again",
        "CH-154": "after partial acceptance delivery goes on at the first byte that was not taken",
        "CH-155": "no byte is delivered twice, none is skipped, none is made up",
        "CH-159": "bytes are delivered in the order of their sequence numbers",
    }

    def __init__(self) -> None:
        super().__init__()
        self._notes: WeakKeyDictionary[Connection, _Notes] = WeakKeyDictionary()

    def _of(self, conn: Connection) -> _Notes:
        notes = self._notes.get(conn)
        if notes is None:
            notes = self._notes[conn] = _Notes(head_since=conn.began)
        return notes

    @property
    def _push_ticks(self) -> int | None:
        ticks = self.parameter("tcp_push_ticks")
        return ticks if ticks is not None and ticks >= _SHORTEST_TIMER else None

    # --- what happens ----------------------------------------------------------------------------------

    def released(self, conn: Connection) -> None:
        self._review(conn)

    def posted(self, item: Item) -> None:
        if item.kind != "receive":
            return
        conn, notes = item.connection, self._of(item.connection)
        notes.post_order = item.order
        if conn.requests[0] is item:
            notes.head_since = self.now
        if conn.refused and item.size:
            notes.normal_since_refusal = True
        if item.in_call:
            notes.queued_in_call = True
            self.trigger("CH-145")
        if conn.refused and not item.size:
            self.trigger("CH-153")
        if item.size:
            conn.refused = False
        self._review(conn)

    def segment_taken(self, conn: Connection, seg: Segment, new: list[Arrival]) -> None:
        notes = self._of(conn)
        if new and conn.in_call:
            notes.queued_in_call = True
            self.trigger("CH-145")
        if new and conn.refused and not conn.requests:
            self.trigger("CH-143")
        self._review(conn)

    def segment_sent(self, conn: Connection, seg: Segment) -> None:
        self._review(conn)

    def terminating(self, conn: Connection) -> None:
        self._review(conn)

    def event(self, conn: Connection, event: int, info: int) -> None:
        self._hold_to(conn)
        self._review(conn)

    def after_call(self, conn: Connection) -> None:
        self._review(conn)

    # --- completions -----------------------------------------------------------------------------------

    def completed(self, kind: str, item: Item | None, done: List, head: bool) -> None:
        if kind != "receive" or item is None or item.kind != "receive":
            return
        self._completed(item, done)
        self._hold_to(item.connection)

    def _completed(self, item: Item, done: List) -> None:
        conn, count = item.connection, done.transferred or 0
        notes = self._of(conn)
        if item.size and notes.normal_since_refusal:
            notes.normal_since_refusal = False
            self.trigger("CH-152")
        there = conn.arrived - conn.delivered
        if done.status != UPLOAD_IN_PROGRESS:
            self.check("CH-155", count <= there, f"NBL {done.ident} has {count} bytes, {there} had come in")
        if count and len(done.data) == count:
            self._content(conn, done.data)
        if item.size == 0:
            self._zero(conn, done)
        elif done.status == SUCCESS and count < item.size:
            self._partial(conn, item, count)
        elif done.status == SUCCESS:
            self.trigger("CH-126")
            if not item.push and conn.pushes.surely(conn.delivered, conn.delivered + count - 1) is not None:
                self.trigger("CH-129")
            self._stopped_timer(conn, item, count)
        if count and item.in_call:
            self.trigger("CH-145")
        if count:
            notes.by_request = conn.delivered + count
            self.trigger("CH-142")
            notes.queued_in_call = False

    def settled(self, conn: Connection, kind: str) -> None:
        if kind == "receive":
            self._of(conn).head_since = self.now
            self._review(conn)

    def _zero(self, conn: Connection, done: List) -> None:
        forced = conn.stopped or conn.disconnect_raised is not None or conn.fin_near
        forced = forced or (conn.ended(conn.delivered, self.now) and conn.fin_near)
        legal = done.status == SUCCESS or (
            forced and done.status in (UPLOAD_IN_PROGRESS, REQUEST_ABORTED, INVALID_STATE)
        )
        text = f"zero-byte request {done.ident} came back {done.status!r} with {done.transferred!r} bytes"
        self.check("CH-153", legal and not done.transferred, text)
        if conn.refused and done.status == SUCCESS and not any(item.size for item in conn.requests):
            conn.refused = False
            self._of(conn).awaiting_zero = True

    def _partial(self, conn: Connection, item: Item, count: int) -> None:
        end = conn.delivered + count
        if conn.fins.at(end):
            self.trigger("CH-129")
            return
        if item.push and conn.delivered < conn.inherited_end:
            return  # PSH of data that came with the connection is not in the trace
        fault = self._too_short(conn, item, count)
        if fault is None:
            return
        waits = conn.ended(end, self.now, push=item.push)
        if not (waits and (conn.fins.at(end) or (item.push and conn.pushes.possibly(conn.delivered, end)))):
            self.breach(*fault)

    def _too_short(self, conn: Connection, item: Item, count: int) -> tuple[str, str] | None:
        """What a request that came back with less than it holds breaks, if neither a push nor the timer explains it."""
        end = conn.delivered + count
        if not item.push:
            return "CH-129", f"nonpush request came back SUCCESS with {count} of {item.size} bytes"
        if count and conn.pushes.possibly(conn.delivered, end):
            if conn.pushes.surely(conn.delivered, end) is not None:
                self.trigger("CH-127")
            self._stopped_timer(conn, item, count)
            return None
        return self._by_timer(conn, item, count)

    def _by_timer(self, conn: Connection, item: Item, count: int) -> tuple[str, str] | None:
        ticks = self._push_ticks
        prefilled = self._prefilled(item)
        if not count and not prefilled:
            return "CH-134", f"empty push-mode request {item.list.ident} came back SUCCESS"
        if ticks is None:
            return None
        starts = self._timer_starts(conn, item, count, ticks)
        if prefilled:
            starts.append((item.tick, max(item.tick, self._of(conn).head_since)))
        windows = [(low + ticks - RACE, high + ticks + LATE) for low, high in starts]
        text = f"{count} bytes came back at tick {self.now}, the push timer may expire in {windows}"
        if any(low <= self.now <= high for low, high in windows):
            self._well_timed(starts, prefilled, bool(count))
            return None
        if prefilled:
            return "CH-131", text
        if self.now < min(low for low, _ in windows):
            old = self._of(conn).old_timer
            return "CH-133" if old is not None and old[0] <= self.now <= old[1] else "CH-130", text
        return "CH-128" if self.now > max(high for _, high in windows) else "CH-132", text

    def _well_timed(self, starts: list[tuple[int, int]], prefilled: bool, data: bool) -> None:
        self.trigger("CH-128")
        if prefilled:
            self.trigger("CH-131")
        elif data:
            self.trigger("CH-130")
        if len(starts) > 1 and starts[0] != starts[1]:
            self.trigger("CH-132")

    def _timer_starts(self, conn: Connection, item: Item, count: int, ticks: int) -> list[tuple[int, int]]:
        """Bounds of the ticks at which the first and the last of ``count`` bytes were placed in the request."""
        found: list[tuple[int, int]] = []
        if count:
            held = max(item.tick, conn.released or 0)
            left = conn.left if conn.left < self.now - ticks + LATE else held
            for position in (conn.delivered, conn.delivered + count - 1):
                one = conn.arrival_at(position)
                low, high = (one.first, one.last) if one is not None else (conn.began, conn.last_data)
                found.append((max(low, item.tick), max(high, held, left, self._of(conn).head_since)))
        return found

    def _prefilled(self, item: Item) -> bool:
        version = self.setting("ndis_version")
        has_slot = not isinstance(version, int) or version >= _NDIS_6_20
        return item.push and has_slot and item.list.received_before > 0

    def _stopped_timer(self, conn: Connection, item: Item, count: int) -> None:
        """A push-mode request came back full or by PSH: a timer that ran for it must be off."""
        ticks = self._push_ticks
        first = conn.arrival_at(conn.delivered)
        if not item.push or not count or ticks is None or first is None or first.first + RACE >= self.now:
            return
        last = conn.arrival_at(conn.delivered + count - 1) or first
        notes = self._of(conn)
        notes.old_timer = (first.first + ticks - RACE, last.last + ticks + LATE)
        self.expect(last.last + ticks + LATE, lambda: self._old_timer_passed(conn))

    def _old_timer_passed(self, conn: Connection) -> None:
        head = conn.requests[0] if conn.requests else None
        empty = conn.arrived == conn.delivered
        if conn.stopped:
            return
        self.trigger("CH-133")
        if head is not None and head.push and empty:  # an expiry now would find a request without data
            self.trigger("CH-134")

    # --- indications -----------------------------------------------------------------------------------

    def indicating(self, conn: Connection, enter: Enter) -> None:
        self._hold_to(conn)
        notes = self._of(conn)
        size = sum(one.data_length for one in enter.lists)
        data = b"".join(one.data for one in enter.lists)
        notes.indication_orders[enter.call] = enter.order
        room = sum(item.size for item in conn.requests)
        ahead = self._matches(conn, conn.delivered + room, data) and not self._matches(conn, conn.delivered, data)
        if conn.refused:
            beyond = conn.delivered < notes.refused_end and self._matches(conn, notes.refused_end, data)
            beyond = beyond and not self._matches(conn, conn.delivered, data)
            self.breach(
                "CH-143" if beyond else "CH-151", f"{size} bytes are indicated though none may be after a refusal"
            )
            return
        if room:  # also one that met the indication on its way: who asks the host knows what the host has posted
            rule = "CH-152" if notes.normal_since_refusal else "CH-146" if ahead else "CH-142"
            self.breach(rule, f"{size} bytes are indicated though requests for {room} bytes wait")
            return
        one = conn.arrival_at(conn.delivered)
        if one is not None and one.start < conn.delivered == notes.by_request:
            self.trigger("CH-146")
        there = conn.arrived - conn.delivered
        self.check("CH-155", size <= there, f"{size} bytes are indicated, {there} had come in")
        if len(data) == size:
            self._content(conn, data)
        notes.queued_in_call = notes.awaiting_zero = False
        if not conn.requests and conn.delivered >= notes.refused_end:
            self.trigger("CH-144")

    def indicated(self, conn: Connection, enter: Enter, leave: Leave, consumed: int) -> None:
        notes = self._of(conn)
        order = notes.indication_orders.pop(enter.call, enter.order)
        if leave.result == SUCCESS:
            notes.normal_since_refusal = False
            return
        again = notes.post_order > order
        for rule in ("CH-151", "CH-154") if leave.result == PARTIALLY_ACCEPTED else ("CH-151",):
            self.trigger(rule)
        if leave.result == PARTIALLY_ACCEPTED:
            notes.partial_at = conn.delivered + consumed
        notes.refused_end = conn.delivered + sum(one.data_length for one in enter.lists)
        normal = any(item.size for item in conn.requests)
        conn.refused = not again and not normal
        notes.normal_since_refusal = normal and again
        if normal:
            self.trigger("CH-152")

    @staticmethod
    def _matches(conn: Connection, position: int, data: bytes) -> bool:
        return bool(data) and bool(conn.stream.same(position, data))

    def _content(self, conn: Connection, data: bytes) -> None:
        """Delivered bytes against what came in at that position."""
        notes = self._of(conn)
        same = conn.stream.same(conn.delivered, data)
        if same is None:
            return
        partial = notes.partial_at == conn.delivered
        notes.partial_at = None
        self.trigger("CH-155")
        self.trigger("CH-159")
        if same:
            return
        found = bytes(conn.stream.held).find(data)
        place = "nowhere" if found < 0 else f"at {conn.stream.base + found - conn.delivered:+d}"
        text = f"{len(data)} bytes are not those at the next position to deliver; they lie {place}"
        if partial:
            self.breach("CH-154", text)
        elif found >= 0 and conn.stream.base + found > conn.delivered:
            self.breach("CH-159", text)
        else:
            self.breach("CH-155", text)

    def _hold_to(self, conn: Connection) -> None:
        """It acted by a segment that acknowledges what had not left: that must leave."""
        wanted, conn.believed = conn.believed, 0
        if wanted:
            self.expect(self.now + STALL, lambda: self._left(conn, wanted))

    def _left(self, conn: Connection, wanted: int) -> None:
        text = f"it took a segment that acknowledges {wanted - conn.sent} bytes which it has not sent since"
        self.check("CH-155", conn.sent >= wanted or conn.muted, text)

    # --- what must happen ------------------------------------------------------------------------------

    def _review(self, conn: Connection) -> None:
        notes = self._of(conn)
        duty = self._duty(conn)
        if duty is None or notes.duty is None or (duty.rule, duty.state) != (notes.duty.rule, notes.duty.state):
            notes.duty = duty
            if duty is not None:
                self.expect(self.now + duty.wait, lambda: self._overdue(conn, duty), conn)

    def _overdue(self, conn: Connection, duty: _Duty) -> None:
        notes = self._of(conn)
        if notes.duty is not duty or conn.over or conn.in_call or notes.served == duty.state:
            return
        notes.served = duty.state
        there = conn.known - conn.delivered
        text = f"{there} bytes and {len(conn.requests)} requests have waited for {duty.wait} ticks"
        self.breach(duty.rule, text)

    def _duty(self, conn: Connection) -> _Duty | None:
        if conn.over or conn.in_call or conn.released is None:
            return None
        there = conn.known - conn.delivered
        if conn.requests:
            return self._duty_to_request(conn, conn.requests[0], there)
        notes = self._of(conn)
        if there <= 0 or conn.refused or conn.delivered < conn.inherited_end:
            return None
        rule = "CH-153" if notes.awaiting_zero else "CH-145" if notes.queued_in_call else "CH-144"
        return _Duty(rule, (conn.delivered,), PROMPT)

    def _duty_to_request(self, conn: Connection, head: Item, there: int) -> _Duty | None:
        notes = self._of(conn)
        state = (conn.delivered, head.order, head.list.ident)
        if head.after_disconnect:
            return None
        if head.size == 0:
            return _Duty("CH-153", state, PROMPT)
        if there >= head.size:
            rule = "CH-152" if notes.normal_since_refusal else "CH-145" if notes.queued_in_call else "CH-126"
            return _Duty(rule, state, PROMPT)
        ticks = self._push_ticks
        if ticks is None or not head.push or conn.fin_near:
            return None
        if there <= 0:
            idle = self._prefilled(head) and conn.arrived == conn.delivered
            return _Duty("CH-131", (*state, notes.head_since), ticks + LATE) if idle else None
        pushed = conn.pushes.surely(conn.delivered, conn.known)
        if pushed is not None:
            return _Duty("CH-127", (*state, pushed), min(PROMPT, ticks // 2))
        return _Duty("CH-128", (*state, conn.known, conn.arrived, conn.last_data), ticks + LATE)

    # --- the end ---------------------------------------------------------------------------------------

    def reported(self, held: Connection | Shared, node: Node, asked: int, terminated: bool) -> None:
        if not terminated or not isinstance(held, Connection):
            return
        end = uploaded_end(held, node)
        lost = held.abort_raised is not None or held.aborting is not None or held.reset_in is not None
        if end is None or lost or any(reason == 11 for _, reason in held.retrieves):
            return
        up = sum(one.data_length for one in node.buffered)
        text = f"{held.delivered} delivered and {up} uploaded bytes do not end at RcvNxt, position {end}"
        self.check("CH-155", held.delivered + up == end, text)
