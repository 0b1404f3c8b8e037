"""A monitor with books: keeps them for every face, and tells its subclass what happened in terms of connections.

Rules of the target are judged at layer 0 only, rules of the host (`HOST_RULES`) at the topmost layer of an adapter.
Rules that say something must happen set a time with `expect`: they are looked at when the trace has passed it, and
only then. Ticks up to `LATE` between a cause and what a target does about it are never held against it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.receive_books import Books, Connection, Item, Parameters, Shared
from tb.monitors.contract.receive_segments import Segment, forwarded_segment, segment_of
from tb.monitors.contract.receive_stream import Arrival
from tb.monitors.contract.trace import Enter, Frame, Leave, List, Node, PassedUp, Record, Setting, Tree, Value

LATE: Final = 16
"""Ticks between a cause at a face or on the wire and the effect at the other."""
PROMPT: Final = 250
"""Ticks within which a target does what it must do at once."""
RACE: Final = 2
"""Ticks by which two things at different faces may appear in the wrong order."""
CROWD: Final = 8
"""Frames in one tick beyond which a receiver may run out of space."""

TERMINATE_COMPLETE: Final = "NdisMTerminateOffloadComplete"
QUERY_COMPLETE: Final = "NdisMQueryOffloadStateComplete"
_STRAYS: Final = 512
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


class BookedMonitor(Monitor):
    """Base of the monitors of receive, events and timers. Subclasses override the hooks they need."""

    HOST_RULES: ClassVar[frozenset[str]] = frozenset()

    def __init__(self) -> None:
        super().__init__()
        self.faces: dict[tuple[str, int], Books] = {}
        self.settings: dict[tuple[str, str], Value] = {}
        self._parameters: dict[str, Parameters] = {}
        self._calls: dict[int, Enter] = {}
        self._top: dict[str, int] = {}
        self._due: list[tuple[int, int, str, bool, Callable[[], None]]] = []
        self._due_count = 0
        self._completing: dict[int, list[Connection]] = {}
        self._strays: dict[str, deque[tuple[int, Segment]]] = {}
        """Segments of no connection that came last: the NIC may look at them after an initiate call."""
        self._adapter = ""
        self._uploading: set[str] = set()
        self._crowds: dict[str, tuple[int, int]] = {}
        self.layer = 0
        self.top = True

    # --- what subclasses use ---------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Tick of the record that is looked at."""
        return self._now.tick

    def books(self, record: Record) -> Books:
        """Books of the face of a record."""
        return self.faces.setdefault((record.adapter, record.layer), Books())

    def parameter(self, name: str) -> int | None:
        """A variable of OID_TCP_CONNECTION_OFFLOAD_PARAMETERS; None if the host set none on this adapter."""
        held = self._parameters.get(self._adapter)
        value = held.get(name) if held is not None else None
        return value if isinstance(value, int) else None

    def setting(self, name: str) -> Value:
        """What a `Setting` of this adapter said last."""
        return self.settings.get((self._adapter, name))

    @property
    def ticks_per_second(self) -> int:
        """Host clock; 1000 unless the host said otherwise (3.8)."""
        return self.parameter("ticks_per_second") or 1000

    @property
    def uploading(self) -> bool:
        """The target indicated NDIS_STATUS_UPLOAD_ALL and not yet NDIS_STATUS_OFFLOAD_RESUME."""
        return self._adapter in self._uploading

    @property
    def crowded(self) -> bool:
        """So many frames came in this tick that the NIC may have dropped one."""
        tick, count = self._crowds.get(self._adapter, (-1, 0))
        return tick == self.now and count > CROWD

    def expect(self, tick: int, look: Callable[[], None]) -> None:
        """Call ``look`` once the trace has passed ``tick`` (only what layer 0 shows is expected).

        What it finds is at the device if what it was expected after was.
        """
        if self.layer == 0:
            self._due_count += 1
            heapq.heappush(self._due, (tick, self._due_count, self._adapter, self.from_device, look))

    def trigger(self, rule: str, *, seen: bool = False) -> None:
        if self._speaks(rule):
            super().trigger(rule, seen=seen)

    def breach(self, rule: str, text: str) -> None:
        if self._speaks(rule):
            super().breach(rule, text)

    def _speaks(self, rule: str) -> bool:
        return self.top if rule in self.HOST_RULES else self.layer == 0

    # --- hooks -----------------------------------------------------------------------------------------

    def called(self, enter: Enter) -> None:
        """A call begins; the books do not know it yet."""

    def returned(self, enter: Enter, leave: Leave) -> None:
        """A call returned; the books know it."""

    def offloaded(self, conn: Connection, node: Node) -> None:
        """The initiate completion of a connection began."""

    def released(self, conn: Connection) -> None:
        """The initiate completion of a connection returned."""

    def updated(self, held: Connection | Shared, cached: Parameters | None) -> None:
        """An update completed: new cached variables, None if it failed."""

    def invalidated(self, held: Connection | Shared) -> None:
        """An invalidate call named the object."""

    def reported(self, held: Connection | Shared, node: Node, asked: int, terminated: bool) -> None:
        """A query or terminate completed with ``node``; it was called at tick ``asked``."""

    def terminating(self, conn: Connection) -> None:
        """A terminate call named the connection."""

    def removed(self, held: Connection | Shared, node: Node) -> None:
        """The terminate completed; after `reported`, the books have forgotten it."""

    def posted(self, item: Item) -> None:
        """An NBL was submitted."""

    def completed(self, kind: str, item: Item | None, done: List, head: bool) -> None:
        """An NBL came back; ``head``: it was the oldest of its kind. It is out of the queues, its bytes not counted."""

    def settled(self, conn: Connection, kind: str) -> None:
        """All NBLs of a completion call that belong to the connection were looked at."""

    def indicating(self, conn: Connection, enter: Enter) -> None:
        """NdisTcpOffloadReceiveHandler was called."""

    def indicated(self, conn: Connection, enter: Enter, leave: Leave, consumed: int) -> None:
        """It returned; ``consumed`` bytes are not counted yet."""

    def after_call(self, conn: Connection) -> None:
        """A completion or an indication of the connection returned."""

    def event(self, conn: Connection, event: int, info: int) -> None:
        """NdisTcpOffloadEventHandler was called; the books know it."""

    def segment_in(self, conn: Connection, seg: Segment) -> None:
        """A segment with right checksums came in; the books do not know it yet."""

    def segment_taken(self, conn: Connection, seg: Segment, new: list[Arrival]) -> None:
        """The books know it now: data that is without a gap."""

    def segment_out(self, conn: Connection, seg: Segment) -> None:
        """The NIC sends a segment; the books do not know it yet."""

    def segment_sent(self, conn: Connection, seg: Segment) -> None:
        """The books know it now."""

    def frame_in(self, frame: Frame) -> None:
        """Any frame came in (before the books)."""

    def frame_out(self, frame: Frame) -> None:
        """Any frame went out (before the books)."""

    def passed_up(self, record: PassedUp) -> None:
        """A frame went to the host on the ordinary path."""

    def told(self, record: Setting) -> None:
        """A setting."""

    # --- records ---------------------------------------------------------------------------------------

    def observe(self, record: Record) -> None:
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
                self.passed_up(record)
            case Setting():
                self.settings[record.adapter, record.name] = record.value
                self.told(record)

    def _pass_time(self, record: Record) -> None:
        self.layer, self.top, from_device = 0, False, self.from_device
        while self._due and self._due[0][0] < record.tick:
            _, _, self._adapter, self.from_device, look = heapq.heappop(self._due)
            look()
        self._adapter, self.from_device = record.adapter, from_device

    def _frame(self, record: Frame) -> None:
        seg = segment_of(record.data)
        books = self.books(record)
        if record.sent:
            self.frame_out(record)
            conn = books.by_ends.get((seg.source, seg.destination)) if seg is not None and not record.raw else None
            if conn is not None and seg is not None:
                self.segment_out(conn, seg)
                conn.take_out(seg, record.tick)
                self.segment_sent(conn, seg)
            return
        tick, count = self._crowds.get(record.adapter, (-1, 0))
        self._crowds[record.adapter] = (record.tick, count + 1 if tick == record.tick else 1)
        self.frame_in(record)
        conn = books.by_ends.get((seg.destination, seg.source)) if seg is not None else None
        if conn is not None and seg is not None:
            self._take(conn, seg)
        elif seg is not None:
            self._strays.setdefault(record.adapter, deque(maxlen=_STRAYS)).append((record.tick, seg))

    def _take(self, conn: Connection, seg: Segment) -> None:
        self.segment_in(conn, seg)
        if conn.accepts_tag(seg):
            self.segment_taken(conn, seg, conn.take_in(seg, self.now))

    # --- calls -----------------------------------------------------------------------------------------

    def _enter(self, enter: Enter) -> None:
        self._calls[enter.call] = enter
        books = self.books(enter)
        self.called(enter)
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
                            conn.take_in(seg, self.now)
            case "NdisMInitiateOffloadComplete":
                for conn, node in books.initiated(tree, self.now):
                    self._inherit(books, conn)
                    self.offloaded(conn, node)
            case "MiniportUpdateOffload":
                books.updates[tree.root] = tree
            case "NdisMUpdateOffloadComplete":
                for held, cached in books.updated(tree):
                    self.updated(held, cached)
            case "MiniportInvalidateOffload":
                for held, _ in books.objects(tree):
                    held.invalid = True
                    self.invalidated(held)
            case "MiniportQueryOffload":
                books.asked[tree.root] = self.now
            case "MiniportTerminateOffload":
                books.asked[tree.root] = self.now
                for held, _ in books.objects(tree):
                    if isinstance(held, Connection):
                        held.terminating = self.now
                        self.terminating(held)
            case "NdisMQueryOffloadStateComplete" | "NdisMTerminateOffloadComplete":
                self._report(books, tree, enter.function == TERMINATE_COMPLETE)

    def _inherit(self, books: Books, conn: Connection) -> None:
        end = conn.first_una
        for one in conn.chain:
            end += one.data_length
            item = Item("send", conn, one, one.data_length, self.now, self._now.order, end)
            books.items[one.ident] = item
            conn.sends.append(item)

    def _report(self, books: Books, tree: Tree, terminated: bool) -> None:
        asked = books.asked.pop(tree.root, self.now)
        held_nodes = list(books.objects(tree))
        for held, node in held_nodes:
            self.reported(held, node, asked, terminated)
        for held, node in held_nodes if terminated else ():
            for item in node.chain:
                books.items.pop(item.ident, None)
            books.remove(held)
            self.removed(held, node)

    def _post(self, books: Books, enter: Enter, kind: str) -> None:
        conn = books.find(enter.target)
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
            self.posted(item)

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
            queue = self._queue_of(item, kind)
            head = bool(queue) and item is not None and queue is not None and queue[0] is item
            if queue is not None and item is not None and item in queue:
                queue.remove(item)
            self.completed(kind, item, done, head)
            if item is not None and kind == item.kind:
                touched[id(item.connection)] = item.connection
                if kind == "receive":
                    item.connection.deliver(done.transferred or 0)
        for conn in touched.values():
            self.settled(conn, kind)

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
        self.indicating(conn, enter)
        conn.indications[enter.call] = sum(one.data_length for one in enter.lists)

    def _event(self, books: Books, enter: Enter) -> None:
        conn = books.named(enter.target)
        if conn is None:
            return
        if enter.event == 2 and conn.disconnect_raised is None:
            conn.disconnect_raised = self.now
        elif enter.event == 3:
            conn.retrieves.append((self.now, enter.info))
        elif enter.event == 4 and conn.abort_raised is None:
            conn.abort_raised = self.now
        self.event(conn, enter.event, enter.info)

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
                    self.after_call(conn)
            case "NdisMInitiateOffloadComplete":
                for held, _ in books.objects(enter.tree) if enter.tree is not None else ():
                    if isinstance(held, Connection) and held.released is None:
                        held.released = held.left = self.now
                        self.released(held)
        self.returned(enter, leave)

    def _answered(self, books: Books, enter: Enter, leave: Leave) -> None:
        conn = books.named(enter.target)
        if conn is None or enter.call not in conn.indications:
            return
        size = conn.indications.pop(enter.call)
        consumed = ndis.taken(size, leave.result, leave.consumed)
        conn.left = self.now
        self.indicated(conn, enter, leave, consumed)
        conn.deliver(consumed)
        self.after_call(conn)
