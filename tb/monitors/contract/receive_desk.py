"""The books of receive, events and timers at every face, kept once for all monitors that look at them."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.monitor import Desk, Hook, Monitor, Origin, hooks_of
from tb.monitors.contract.receive_books import RESET_SETTLED, Asked, Books, Connection, Item, Parameters
from tb.monitors.contract.receive_reach import Reset
from tb.monitors.contract.receive_segments import Segment, forwarded_segment, segment_of
from tb.monitors.contract.receive_stream import Arrival
from tb.monitors.contract.trace import Enter, Frame, Leave, PassedUp, Record, Setting, Tree, Value

LATE: Final = 16
"""Ticks between a cause at a face or on the wire and the effect at the other."""
RACE: Final = 2
"""Ticks by which two things at different faces may appear in the wrong order."""
CROWD: Final = 8
"""Frames in one tick beyond which a receiver may run out of space."""

TERMINATE_COMPLETE: Final = "NdisMTerminateOffloadComplete"
QUERY_COMPLETE: Final = "NdisMQueryOffloadStateComplete"
STRAYS: Final = 512
"""Frames of no connection that are kept for an initiate call."""
_PARAMETERS: Final = 0xFC030201
_DISCONNECT_ABORTIVE: Final = 2
_UPLOAD_ALL: Final = 0x40020002
_OFFLOAD_RESUME: Final = 0x40020003
_RESPONSIBLE: Final = {
    "MiniportTcpOffloadSend": "send",
    "MiniportTcpOffloadReceive": "receive",
    "MiniportTcpOffloadDisconnect": "disconnect",
}
_COMPLETIONS: Final = {
    "NdisTcpOffloadSendComplete": "send",
    "NdisTcpOffloadReceiveComplete": "receive",
    "NdisTcpOffloadDisconnectComplete": "disconnect",
}


class ReceiveDesk(Desk):
    """Calls the hooks of `BookedMonitor` that its monitors define."""

    def __init__(self) -> None:
        super().__init__()
        self.called: list[Hook] = []
        self.returned: list[Hook] = []
        self.offloaded: list[Hook] = []
        self.released: list[Hook] = []
        self.updated: list[Hook] = []
        self.invalidated: list[Hook] = []
        self.reported: list[Hook] = []
        self.terminating: list[Hook] = []
        self.removed: list[Hook] = []
        self.posted: list[Hook] = []
        self.completed: list[Hook] = []
        self.settled: list[Hook] = []
        self.indicating: list[Hook] = []
        self.indicated: list[Hook] = []
        self.after_call: list[Hook] = []
        self.event: list[Hook] = []
        self.segment_in: list[Hook] = []
        self.segment_taken: list[Hook] = []
        self.segment_out: list[Hook] = []
        self.segment_sent: list[Hook] = []
        self.frame_in: list[Hook] = []
        self.frame_out: list[Hook] = []
        self.passed_up: list[Hook] = []
        self.told: list[Hook] = []
        self.faces: dict[tuple[str, int], Books] = {}
        self.settings: dict[tuple[str, str], Value] = {}
        self.adapter = ""
        self.layer = 0
        self.top = True
        """The record is of the host's own face."""
        self._parameters: dict[str, Parameters] = {}
        self._calls: dict[int, Enter] = {}
        self._top: dict[str, int] = {}
        self._due: list[tuple[int, int, str, Origin, Callable[[], None], Connection | None]] = []
        self._due_count = 0
        self._completing: dict[int, list[Connection]] = {}
        self._strays: dict[str, deque[tuple[int, Segment]]] = {}
        """Segments of no connection that came last: the NIC may look at them after an initiate call."""
        self._uploading: set[str] = set()
        self._crowds: dict[str, tuple[int, int]] = {}

    def join(self, monitor: Monitor) -> None:
        """A monitor is told of everything from now on."""
        for name, hook in hooks_of(monitor).items():
            getattr(self, name).append(hook)

    # --- what monitors ask -----------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Tick of the record that is looked at."""
        return self.record.tick

    def books(self, record: Record) -> Books:
        """Books of the face of a record."""
        key = (record.adapter, record.layer)
        books = self.faces.get(key)
        if books is None:
            books = self.faces[key] = Books()
        return books

    def parameter(self, name: str) -> int | None:
        """A variable of OID_TCP_CONNECTION_OFFLOAD_PARAMETERS; None if the host set none on this adapter."""
        held = self._parameters.get(self.adapter)
        value = held.get(name) if held is not None else None
        return value if isinstance(value, int) else None

    @property
    def uploading(self) -> bool:
        """The target indicated NDIS_STATUS_UPLOAD_ALL and not yet NDIS_STATUS_OFFLOAD_RESUME."""
        return self.adapter in self._uploading

    @property
    def crowded(self) -> bool:
        """So many frames came in this tick that the NIC may have dropped one."""
        tick, count = self._crowds.get(self.adapter, (-1, 0))
        return tick == self.now and count > CROWD

    def expect(self, tick: int, look: Callable[[], None], conn: Connection | None = None) -> None:
        """Call ``look`` once the trace has passed ``tick`` (only what layer 0 shows is expected).

        What it finds comes from where that comes from which it was expected after. ``conn``: only once it is known
        whether the connection was reset before ``tick``.
        """
        if self.layer == 0:
            self._put(tick, self.adapter, self.origin, look, conn)

    def _put(self, tick: int, adapter: str, origin: Origin, look: Callable[[], None], conn: Connection | None) -> None:
        self._due_count += 1
        heapq.heappush(self._due, (tick, self._due_count, adapter, origin, look, conn))

    def judge_due(self) -> None:
        """The run is over: judge what was due by now."""
        self._pass_time(replace(self.record, tick=self.record.tick + 1))

    # --- records ---------------------------------------------------------------------------------------

    def take(self, record: Record) -> None:
        self._pass_time(record)
        self.layer = record.layer
        self._top[record.adapter] = max(record.layer, self._top.get(record.adapter, 0))
        self.top = record.layer == self._top[record.adapter]
        match record:
            case Frame():
                self._frame(record)
            case Enter():
                self._enter(record)
            case Leave():
                self._leave(record)
            case PassedUp():
                for hook in self.passed_up:
                    hook(record)
            case Setting():
                self.settings[record.adapter, record.name] = record.value
                for hook in self.told:
                    hook(record)

    def _pass_time(self, record: Record) -> None:
        self.layer, self.top, origin = 0, False, self.origin
        while self._due and self._due[0][0] < record.tick:
            tick, _, self.adapter, self.origin, look, conn = heapq.heappop(self._due)
            settled = conn.settled_at(tick) if conn is not None else None
            if settled is not None:
                self._put(settled, self.adapter, self.origin, look, None)
                continue
            look()
        self.adapter, self.origin = record.adapter, origin

    def _frame(self, record: Frame) -> None:
        seg = segment_of(record.data)
        books = self.books(record)
        if record.sent:
            for hook in self.frame_out:
                hook(record)
            conn = books.by_ends.get((seg.source, seg.destination)) if seg is not None and not record.raw else None
            if conn is not None and seg is not None:
                for hook in self.segment_out:
                    hook(conn, seg)
                conn.take_out(seg, record.tick)
                for hook in self.segment_sent:
                    hook(conn, seg)
            return
        tick, count = self._crowds.get(record.adapter, (-1, 0))
        self._crowds[record.adapter] = (record.tick, count + 1 if tick == record.tick else 1)
        for hook in self.frame_in:
            hook(record)
        conn = books.by_ends.get((seg.destination, seg.source)) if seg is not None else None
        if conn is not None and seg is not None:
            self._take(conn, seg)
        elif seg is not None:
            self._strays.setdefault(record.adapter, deque(maxlen=STRAYS)).append((record.tick, seg))

    def _take(self, conn: Connection, seg: Segment) -> None:
        for hook in self.segment_in:
            hook(conn, seg)
        if conn.accepts_tag(seg):
            new = self._into(conn, seg, sure=not self.crowded)
            for hook in self.segment_taken:
                hook(conn, seg, new)

    def _into(self, conn: Connection, seg: Segment, *, sure: bool) -> list[Arrival]:
        resets = len(conn.resets)
        new = conn.take_in(seg, self.now, self.record.order, sure=sure)
        if len(conn.resets) > resets:
            reset = conn.resets[-1]
            self.expect(self.now + RESET_SETTLED, lambda: self._review_reset(conn, reset))
        return new

    def _review_reset(self, conn: Connection, reset: Reset) -> None:
        """An abort follows an RST that the target took. What goes on behind it did not take it."""
        since = self.now if conn.released is None else max(reset.tick, conn.released)
        if since + RESET_SETTLED < self.now:
            conn.forget_reset(reset)
        else:
            self.expect(since + RESET_SETTLED, lambda: self._review_reset(conn, reset))

    # --- calls -----------------------------------------------------------------------------------------

    def _enter(self, enter: Enter) -> None:
        self._calls[enter.call] = enter
        books = self.books(enter)
        for hook in self.called:
            hook(enter)
        if enter.function in _RESPONSIBLE:
            self._post(books, enter, _RESPONSIBLE[enter.function])
        elif enter.function in _COMPLETIONS:
            self._complete(books, enter, _COMPLETIONS[enter.function])
        elif enter.function == "NdisTcpOffloadReceiveHandler":
            self._indicate(books, enter)
        elif enter.function == "NdisTcpOffloadEventHandler":
            self._event(books, enter)
        elif enter.function == "MiniportTcpOffloadForward":
            conn = books.find(enter.target)
            for one in enter.lists if conn is not None else ():
                seg = forwarded_segment(one.data)
                if conn is not None and seg is not None:
                    self._take(conn, seg)
        elif enter.function == "NdisMIndicateStatusEx":
            if enter.status == _UPLOAD_ALL:
                self._uploading.add(enter.adapter)
            elif enter.status == _OFFLOAD_RESUME:
                self._uploading.discard(enter.adapter)
        elif enter.function == "MiniportOidRequest" and enter.oid == _PARAMETERS and enter.flags == 1:
            self._parameters[enter.adapter] = {**self._parameters.get(enter.adapter, {}), **enter.buffer}
        elif enter.tree is not None:
            self._state_call(books, enter, enter.tree)

    def _state_call(self, books: Books, enter: Enter, tree: Tree) -> None:
        match enter.function:
            case "MiniportInitiateOffload":
                for conn in books.initiate(tree, self.now):
                    for came, seg in self._strays.get(enter.adapter, ()):
                        if came + LATE >= self.now and (seg.destination, seg.source) == conn.ends:
                            self._into(conn, seg, sure=False)
            case "NdisMInitiateOffloadComplete":
                for conn, node in books.initiated(tree, self.now):
                    self._inherit(books, conn)
                    for hook in self.offloaded:
                        hook(conn, node)
            case "MiniportUpdateOffload":
                books.updates[tree.root] = tree
            case "NdisMUpdateOffloadComplete":
                for held, cached in books.updated(tree):
                    for hook in self.updated:
                        hook(held, cached)
            case "MiniportInvalidateOffload":
                for held, _ in books.objects(tree):
                    held.invalid = True
                    for hook in self.invalidated:
                        hook(held)
            case "MiniportQueryOffload":
                books.asked[tree.root] = Asked(self.now, [held for held, _ in books.objects(tree)])
            case "MiniportTerminateOffload":
                ends = [held for held, _ in books.objects(tree) if held.terminating is None]
                books.asked[tree.root] = Asked(self.now, ends)
                for held in ends:
                    held.terminating = self.now
                    for hook in self.terminating if isinstance(held, Connection) else ():
                        hook(held)
            case "NdisMQueryOffloadStateComplete" | "NdisMTerminateOffloadComplete":
                self._report(books, tree, enter.function == TERMINATE_COMPLETE)

    def _inherit(self, books: Books, conn: Connection) -> None:
        end = conn.first_una
        for one in conn.chain:
            end += one.data_length
            item = Item("send", conn, one, one.data_length, self.now, self.record.order, end)
            books.items[one.ident] = item
            conn.sends.append(item)

    def _report(self, books: Books, tree: Tree, terminated: bool) -> None:
        asked = books.asked.pop(tree.root, None)
        if asked is None:
            return
        held_nodes = [(held, node) for held, node in books.objects(tree) if held in asked.objects]
        for held, node in held_nodes:
            for hook in self.reported:
                hook(held, node, asked.tick, terminated)
        for held, node in held_nodes if terminated else ():
            for item in node.chain:
                books.items.pop(item.ident, None)
            books.remove(held)
            for hook in self.removed:
                hook(held, node)

    def _post(self, books: Books, enter: Enter, kind: str) -> None:
        # one that is neither graceful nor abortive is of no connection (HOST-2.10)
        odd = kind == "disconnect" and enter.flags not in ndis.DISCONNECTS
        conn = None if odd else books.find(enter.target)
        if conn is None:
            books.strays.update(one.ident for one in enter.lists)
            return
        for one in enter.lists:
            item = Item(kind, conn, one, one.data_length, self.now, enter.order)
            item.in_call = conn.in_call
            item.after_disconnect = conn.disconnect_raised is not None
            books.items[one.ident] = item
            if kind == "receive":
                conn.requests.append(item)
            else:
                self._queue(conn, item, enter.flags)
                conn.posted(self.now)
            for hook in self.posted:
                hook(item)

    def _queue(self, conn: Connection, item: Item, flags: int) -> None:
        closed = item.late = conn.own_fin is not None or conn.terminating is not None
        if item.kind == "disconnect":
            item.abortive = bool(flags & _DISCONNECT_ABORTIVE)
            conn.disconnects.append(item)
            if item.abortive:
                conn.aborting = conn.aborting if conn.terminating is not None else self.now
                return
            if not closed:
                conn.own_fin = conn.queued + item.size
        else:
            conn.sends.append(item)
        if not closed:
            conn.queued += item.size
        item.end = conn.queued

    def _complete(self, books: Books, enter: Enter, kind: str) -> None:
        touched: dict[int, Connection] = {}
        settled = books.settle(enter.lists)
        for item, _ in settled:
            if item is not None and item.kind == "receive" and kind == "receive":
                if enter.call not in item.connection.completions:
                    self._completing.setdefault(enter.call, []).append(item.connection)
                item.connection.completions[enter.call] = enter.order
        for item, done in settled:
            if item is not None and kind == "receive":
                item.connection.shown(done.transferred or 0, done.data, self.now)
            queue = self._queue_of(item, kind)
            head = bool(queue) and item is not None and queue is not None and queue[0] is item
            if queue is not None and item is not None and item in queue:
                queue.remove(item)
            for hook in self.completed:
                hook(kind, item, done, head)
            if item is not None and kind == item.kind:
                touched[id(item.connection)] = item.connection
                if kind == "receive":
                    item.connection.deliver(done.transferred or 0)
        for conn in touched.values():
            for hook in self.settled:
                hook(conn, kind)

    @staticmethod
    def _queue_of(item: Item | None, kind: str) -> deque[Item] | None:
        if item is None or item.kind != kind:
            return None
        conn = item.connection
        return {"send": conn.sends, "receive": conn.requests, "disconnect": conn.disconnects}[kind]

    def _indicate(self, books: Books, enter: Enter) -> None:
        conn = books.named(enter.target)
        if conn is None:
            return
        data = b"".join(one.data for one in enter.lists)
        conn.shown(sum(one.data_length for one in enter.lists), data, self.now)
        for hook in self.indicating:
            hook(conn, enter)
        conn.indications[enter.call] = sum(one.data_length for one in enter.lists)

    def _event(self, books: Books, enter: Enter) -> None:
        conn = books.named(enter.target)
        if conn is None:
            return
        if enter.event == 2 and conn.disconnect_raised is None:
            conn.disconnect_raised = self.now
            if not conn.fins.at(conn.delivered):
                conn.ended(conn.delivered, self.now)
            if conn.fins.at(conn.delivered):
                conn.fins.settle(conn.delivered)
        elif enter.event == 3:
            conn.retrieves.append((self.now, enter.info))
        elif enter.event == 4 and conn.abort_raised is None:
            conn.abort_raised = self.now
        for hook in self.event:
            hook(conn, enter.event, enter.info)

    def _leave(self, leave: Leave) -> None:
        enter = self._calls.pop(leave.call, None)
        if enter is None:
            return
        books = self.books(enter)
        match enter.function:
            case "NdisTcpOffloadReceiveHandler":
                self._answered(books, enter, leave)
            case "NdisTcpOffloadReceiveComplete":
                for conn in self._completing.pop(enter.call, ()):
                    del conn.completions[enter.call]
                    conn.left = self.now
                    for hook in self.after_call:
                        hook(conn)
            case "NdisMInitiateOffloadComplete":
                for held, _ in books.objects(enter.tree) if enter.tree is not None else ():
                    if isinstance(held, Connection) and held.released is None:
                        held.released = held.left = self.now
                        for hook in self.released:
                            hook(held)
        for hook in self.returned:
            hook(enter, leave)

    def _answered(self, books: Books, enter: Enter, leave: Leave) -> None:
        conn = books.named(enter.target)
        if conn is None or enter.call not in conn.indications:
            return
        size = conn.indications.pop(enter.call)
        consumed = ndis.taken(size, leave.result, leave.consumed)
        conn.left = self.now
        for hook in self.indicated:
            hook(conn, enter, leave, consumed)
        conn.deliver(consumed)
        for hook in self.after_call:
            hook(conn)
