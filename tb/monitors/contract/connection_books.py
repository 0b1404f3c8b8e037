"""Books that some monitors keep: what is offloaded and what is outstanding at each face, from the trace alone.

One `Book` per adapter and layer. A monitor looks at a record with the books as they stand *before* it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_parts import (
    Connection,
    Phase,
    Request,
    StateCall,
    Thing,
    octets,
    payload_of,
    signed,
    walk,
    whole,
)
from tb.monitors.contract.monitor import Desk, Hook, Monitor, hooks_of
from tb.monitors.contract.receive_stream import Stream
from tb.monitors.contract.stream_books import forwarded_segment
from tb.monitors.contract.trace import Enter, Frame, Leave, Node, Record, Setting, Tree, Value
from tb.monitors.wire_headers import WireSegment, read_segment

_EARLY_TICKS: Final = 2
"""A frame that came in this long before the hand-over may still wait in the target."""
_EARLY_FRAMES: Final = 64


class Book:
    """What one face of an adapter shows."""

    def __init__(self, adapter: str, layer: int, settings: Mapping[str, Value]) -> None:
        self.adapter = adapter
        self.layer = layer
        self.settings = settings
        self.things: dict[int, Thing] = {}
        """Offloaded objects by context."""
        self.contexts_seen: set[int] = set()
        self.locations: dict[int, Thing] = {}
        self.handles: dict[int, Connection] = {}
        self.flows: dict[tuple[tuple[int, int], tuple[int, int]], Connection] = {}
        self.connections: list[Connection] = []
        """All that are not gone."""
        self.requests: dict[int, Request] = {}
        """Every list that was submitted, by identity, until it is submitted again."""
        self.calls: dict[int, StateCall] = {}
        """State-manipulation calls under way, by root."""
        self.open: dict[int, Enter] = {}
        """Calls between Enter and Leave, by number."""
        self.parameters: dict[str, Value] = {}
        """Of OID_TCP_CONNECTION_OFFLOAD_PARAMETERS."""
        self.paused = False
        self._early: deque[Frame] = deque(maxlen=_EARLY_FRAMES)
        """Frames received of late that belong to no offloaded connection."""
        self._frame_looked_up: Frame | None = None
        self._found: tuple[Connection, WireSegment] | None = None

    # --- look-ups --------------------------------------------------------------------------------------

    def connection(self, context: int | None) -> Connection | None:
        """The connection of a context."""
        thing = self.things.get(context) if context is not None else None
        return thing if isinstance(thing, Connection) else None

    def of_handle(self, handle: int | None) -> Connection | None:
        """The connection that an event or indication names, gone or not."""
        return self.handles.get(handle) if handle is not None else None

    def of_frame(self, record: Frame) -> tuple[Connection, WireSegment] | None:
        """The connection, gone or not, that a frame belongs to; None for damaged frames and others."""
        if record is not self._frame_looked_up:
            self._frame_looked_up, self._found = record, self._look_up(record)
        return self._found

    def _look_up(self, record: Frame) -> tuple[Connection, WireSegment] | None:
        seg = read_segment(record.data)
        if seg is None or not seg.sums_right:
            return None
        ends = (seg.source, seg.destination) if record.sent else (seg.destination, seg.source)
        connection = self.flows.get(ends)
        return None if connection is None else (connection, seg)

    def request(self, ident: int, kind: str) -> Request | None:
        """The last submission of a list, if it was of this kind."""
        request = self.requests.get(ident)
        return request if request is not None and request.kind == kind else None

    def parameter(self, name: str, default: int) -> int:
        """A parameter that the host set."""
        value = self.parameters.get(name)
        return value if isinstance(value, int) else default

    def named(self, tree: Tree) -> list[tuple[Node, Thing]]:
        """Nodes of a tree that name offloaded objects."""
        return [
            (node, self.things[node.context])
            for node, _ in walk(tree)
            if node.location is not None and node.context is not None and node.context in self.things
        ]

    def ended(self, tree: Tree) -> list[tuple[Node, Thing]]:
        """Nodes of a completing terminate, with the objects that it ends: not those that another call is ending."""
        call = self.calls.get(tree.root)
        return [] if call is None else [(node, thing) for node, thing in self.named(tree) if thing in call.things]

    # --- taking records --------------------------------------------------------------------------------

    def take(self, record: Record) -> None:
        """Note what a record says."""
        if isinstance(record, Enter):
            self.open[record.call] = record
            self._enter(record)
        elif isinstance(record, Leave):
            entered = self.open.pop(record.call, None)
            if entered is not None:
                self._leave(entered, record)
        elif isinstance(record, Frame):
            self._frame(record)

    def _enter(self, record: Enter) -> None:
        function = record.function
        if function in ndis.REQUESTS:
            self._submit(record, ndis.REQUESTS[function])
        elif function in ndis.COMPLETIONS:
            self._complete(record, ndis.COMPLETIONS[function])
        elif function in ndis.STATE_CALLS and record.tree is not None:
            self._state_call(record, record.tree)
        elif function in ndis.STATE_COMPLETIONS and record.tree is not None:
            self._state_complete(record, record.tree)
        elif function in (ndis.EVENT, ndis.INDICATE):
            self._upward(record)
        elif function == ndis.STATUS:
            self.paused = record.status == ndis.PAUSE or (self.paused and record.status != ndis.RESUME)
        elif function == ndis.OID and record.oid == ndis.OID_PARAMETERS and record.flags & 1:
            self.parameters = dict(record.buffer)

    def _upward(self, record: Enter) -> None:
        connection = self.of_handle(record.target)
        if connection is None:
            return
        connection.calls += 1
        connection.touched.add(record.function)
        if record.function == ndis.EVENT:
            connection.events.add(record.event, record.info, record.order)
            if record.event == ndis.DISCONNECT_EVENT:
                connection.told_of_fin()

    def _leave(self, entered: Enter, record: Leave) -> None:
        if entered.function not in (ndis.EVENT, ndis.INDICATE):
            return
        connection = self.of_handle(entered.target)
        if connection is None:
            return
        connection.calls -= 1
        if entered.function == ndis.INDICATE:
            indicated = sum(nbl.data_length for nbl in entered.lists)
            connection.consume(ndis.taken(indicated, record.result, record.consumed))

    # --- requests --------------------------------------------------------------------------------------

    def _submit(self, record: Enter, kind: str) -> None:
        # one that is neither graceful nor abortive is of no connection (HOST-2.10)
        odd = kind == "disconnect" and record.flags not in ndis.DISCONNECTS
        connection = None if odd else self.connection(record.target)
        for nbl in record.lists:
            request = Request(kind, nbl, connection, record.order, record.tick, record.call, record.flags)
            self.requests[nbl.ident] = request
            if connection is None:
                continue
            connection.add(request)
            if (kind == "send" or request.graceful) and not connection.closed_before:
                connection.queue(request)
            if kind == "forward":
                self._forwarded(connection, nbl.data, record)
        if connection is not None:
            connection.touched.add(record.function)
            connection.posts += kind == "receive"
            if kind == "disconnect" and record.flags & ndis.ABORTIVE and connection.phase is not Phase.TERMINATING:
                connection.touched.add("abortive")

    @staticmethod
    def _forwarded(connection: Connection, data: bytes, record: Enter) -> None:
        seg = forwarded_segment(data)
        if seg is not None:
            connection.hear(seg, data[20 + seg.option_length :], record.tick, record.order)

    def _complete(self, record: Enter, kind: str) -> None:
        for nbl in record.lists:
            request = self.request(nbl.ident, kind)
            if request is None:
                continue
            request.returned, request.status = True, nbl.status
            if request.connection is not None:
                if request.connection.requests.get(nbl.ident) is request:
                    del request.connection.requests[nbl.ident]
                if kind == "receive":
                    request.connection.consume(nbl.transferred or 0)

    # --- state calls -----------------------------------------------------------------------------------

    def _state_call(self, record: Enter, tree: Tree) -> None:
        named = self.named(tree)
        things = [thing for _, thing in named]
        if record.function == ndis.TERMINATE:
            things = [thing for thing in things if thing.phase is Phase.RUNNING]
        call = StateCall(record.function, tree, record.order, record.tick, things)
        call.connections = [thing for thing in call.things if isinstance(thing, Connection)]
        self.calls[tree.root] = call
        for connection in call.connections:
            connection.touched.add(record.function)
        if record.function == ndis.INITIATE:
            self._initiate(record, tree, call)
        elif record.function == ndis.TERMINATE:
            for thing in call.things:
                thing.phase = Phase.TERMINATING
                if isinstance(thing, Connection):
                    thing.terminate_order, thing.terminate_tick = record.order, record.tick
        elif record.function == ndis.UPDATE:
            for node, thing in named:
                if node.cached is not None:
                    thing.newer.append(node.cached)

    def _initiate(self, record: Enter, tree: Tree, call: StateCall) -> None:
        made: dict[int, Thing] = {}
        for node, up in walk(tree):
            parent = None if up is None else made.get(up.ident) or self.things.get(up.context or 0)
            if node.location is None or node.context is not None:
                continue
            thing = self._new(node, parent, record)
            made[node.ident] = thing
            call.things.append(thing)
            if isinstance(thing, Connection):
                call.connections.append(thing)

    def _new(self, node: Node, parent: Thing | None, record: Enter) -> Thing:
        states = (node.const or {}, node.cached or {}, node.delegated or {})
        level = ndis.level(node.type)
        if level != ndis.TCP_LEVEL:
            return Thing(level, None, node.location, node.handle, *states, parent=parent)
        new = Connection(
            level, None, node.location, node.handle, *states, parent=parent, adapter=self.adapter, began=record.tick
        )
        new.flow = self._flow(new)
        new.sent_max = signed(whole(new.delegated, "snd_max"), whole(new.delegated, "snd_una"))
        new.send_edge = new.told_edge = whole(new.delegated, "snd_wnd")
        new.windows.add(new.send_edge)
        new.inherited_bytes = sum(nbl.data_length for nbl in node.buffered)
        held = b"".join(nbl.data for nbl in node.buffered)
        new.received = Stream(
            -new.inherited_bytes, 0, bytearray(held[: new.inherited_bytes].ljust(new.inherited_bytes))
        )
        if len(held) != new.inherited_bytes:
            new.received.doubt(-new.inherited_bytes, 0)
        for nbl in node.chain:
            request = Request("send", nbl, new, record.order, record.tick, record.call, inherited=True)
            self.requests[nbl.ident] = request
            new.add(request)
            new.queue(request)
        new.closed = whole(new.delegated, "state") in ndis.AFTER_OWN_FIN
        if new.flow is not None:
            before = self.flows.get(new.flow)
            new.times = 1 if before is None else before.times + 1
            if before is None or not before.live:
                self.flows[new.flow] = new
        if new.handle is not None:
            self.handles[new.handle] = new
        for frame in self._early:
            seg = read_segment(frame.data)
            of_it = seg is not None and (seg.destination, seg.source) == new.flow
            if seg is not None and of_it and frame.tick >= record.tick - _EARLY_TICKS:
                self._hear(new, seg, frame)
        return new

    def _flow(self, new: Connection) -> tuple[tuple[int, int], tuple[int, int]] | None:
        path = new.parent
        if path is None:
            return None
        own, peer = octets(path.const, "source_address"), octets(path.const, "destination_address")
        if (len(own), len(peer)) not in ndis.ADDRESS_BYTES:
            return None
        ports = (whole(new.const, "local_port"), whole(new.const, "remote_port"))
        if self.settings.get("ports_in_network_order", 1):
            ports = (ndis.swapped(ports[0]), ndis.swapped(ports[1]))
        return (int.from_bytes(own, "big"), ports[0]), (int.from_bytes(peer, "big"), ports[1])

    def _state_complete(self, record: Enter, tree: Tree) -> None:
        call = self.calls.pop(tree.root, None)
        if call is None:
            return
        if call.function == ndis.INITIATE:
            self._initiated(record, tree, call)
        elif call.function == ndis.TERMINATE:
            self._terminated(record, call, tree)
        elif call.function == ndis.UPDATE:
            self._updated(record, tree, call)
        elif call.function == ndis.INVALIDATE:
            for node, thing in self.named(tree):
                if node.status == ndis.SUCCESS and thing.invalid_since is None:
                    thing.invalid_since, thing.invalid_order = record.tick, record.order

    def _initiated(self, record: Enter, tree: Tree, call: StateCall) -> None:
        by_location = {thing.location: thing for thing in call.things if thing.phase is Phase.OFFLOADING}
        for node, _ in walk(tree):
            thing = by_location.get(node.location) if node.location is not None else None
            if thing is None:
                continue
            if node.status in ndis.OFFLOADED and node.context is not None:
                thing.context, thing.phase = node.context, Phase.RUNNING
                self.things[node.context] = self.locations[node.location or 0] = thing
                self.contexts_seen.add(node.context)
                if thing.parent is not None:
                    thing.parent.children.append(thing)
                if isinstance(thing, Connection):
                    thing.begins = record.tick
                    if thing.flow is not None:
                        self.flows[thing.flow] = thing
                    self.connections.append(thing)
            else:
                self._forget(thing)

    def _forget(self, thing: Thing) -> None:
        thing.phase = Phase.GONE
        if isinstance(thing, Connection):
            if thing.flow is not None and self.flows.get(thing.flow) is thing:
                del self.flows[thing.flow]
            if thing.handle is not None and self.handles.get(thing.handle) is thing:
                del self.handles[thing.handle]
            for request in thing.requests.values():
                request.returned = True

    def _terminated(self, record: Enter, call: StateCall, tree: Tree) -> None:
        for node, thing in self.named(tree):
            if thing not in call.things:
                continue
            thing.phase = Phase.GONE
            del self.things[thing.context or 0]
            if thing.location is not None and self.locations.get(thing.location) is thing:
                del self.locations[thing.location]
            if thing.parent is not None and thing in thing.parent.children:
                thing.parent.children.remove(thing)
            if isinstance(thing, Connection):
                thing.ended = record.tick
                self.connections.remove(thing)
                for nbl in node.chain:
                    request = self.request(nbl.ident, "send")
                    if request is not None:
                        request.returned = True
                        if nbl.ident in thing.requests:
                            del thing.requests[nbl.ident]

    def _updated(self, record: Enter, tree: Tree, call: StateCall) -> None:
        for node, parent in walk(tree):
            thing = self.things.get(node.context) if node.context is not None else None
            if thing is None:
                continue
            entered = call.tree.nodes.get(node.ident)
            if entered is not None and entered.cached is not None:
                if entered.cached in thing.newer:
                    thing.newer.remove(entered.cached)
                if node.status == ndis.SUCCESS:
                    thing.older.append((thing.cached, record.tick))
                    thing.cached = entered.cached
            above = self.things.get(parent.context) if parent is not None and parent.context is not None else None
            if node.status == ndis.SUCCESS and above is not None and above is not thing.parent:
                self._relink(thing, above, record.tick)

    def _relink(self, path: Thing, neighbor: Thing, tick: int) -> None:
        if path.parent is not None and path in path.parent.children:
            path.parent.children.remove(path)
        path.parent, path.moved = neighbor, tick
        neighbor.children.append(path)

    # --- frames ----------------------------------------------------------------------------------------

    def _frame(self, record: Frame) -> None:
        found = self.of_frame(record)
        if found is None or found[0].phase is Phase.GONE:
            seg = None if record.sent else read_segment(record.data)
            if seg is not None and seg.sums_right:
                self._early.append(record)
        elif not record.sent:
            self._hear(*found, record)
        elif not record.raw:
            found[0].speak(found[1], record.tick)

    @staticmethod
    def _hear(connection: Connection, seg: WireSegment, record: Frame) -> None:
        connection.hear(seg, payload_of(record.data, seg), record.tick, record.order)


class Books:
    """All faces of a run. Frames belong to layer 0."""

    def __init__(self) -> None:
        self.settings: dict[str, Value] = {}
        self._books: dict[tuple[str, int], Book] = {}
        self.top: dict[str, int] = {}
        """The topmost layer that was seen of each adapter."""

    def of(self, record: Record) -> Book:
        """The book of the face that a record comes from."""
        key = (record.adapter, record.layer)
        book = self._books.get(key)
        if book is None:
            book = self._books[key] = Book(record.adapter, record.layer, self.settings)
            self.top[record.adapter] = max(record.layer, self.top.get(record.adapter, 0))
        return book

    def all(self) -> list[Book]:
        """Every book."""
        return list(self._books.values())

    def topmost(self, record: Record) -> bool:
        """The record is of the host's own face."""
        return record.layer >= self.top.get(record.adapter, 0)

    def take(self, record: Record) -> None:
        """Note what a record says."""
        if isinstance(record, Setting):
            self.settings[record.name] = record.value
        else:
            self.of(record).take(record)


class BooksDesk(Desk):
    """Its monitors look at a record with the books as they stand before it."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.looks: list[Hook] = []
        self.passes: list[Hook] = []
        self.enters: list[Hook] = []
        self.leaves: list[Hook] = []
        self.frame: list[Hook] = []

    def join(self, monitor: Monitor) -> None:
        for name, hook in hooks_of(monitor).items():
            getattr(self, name).append(hook)

    def take(self, record: Record) -> None:
        book = self.books.of(record)
        for hook in self.looks:
            hook(record, book)
        if record.layer == 0:
            self._at_the_target(record, book)
        self.books.take(record)

    def _at_the_target(self, record: Record, book: Book) -> None:
        for hook in self.passes:
            hook(record)
        if isinstance(record, Enter):
            for hook in self.enters:
                hook(record, book)
        elif isinstance(record, Leave) and record.call in book.open:
            entered = book.open[record.call]
            for hook in self.leaves:
                hook(entered, record, book)
        elif isinstance(record, Frame) and (found := book.of_frame(record)) is not None:
            for hook in self.frame:
                hook(record, *found)


class BooksMonitor(Monitor):
    """Reads `Books`; a method that a subclass does not define is not called."""

    DESK: ClassVar[type[Desk]] = BooksDesk
    desk: BooksDesk

    @property
    def books(self) -> Books:
        """All faces, as they stand before the record."""
        return self.desk.books

    def looks(self, record: Record, book: Book) -> None:
        """Any record, at any layer."""

    def passes(self, record: Record) -> None:
        """Any record at layer 0: time goes by."""

    def enters(self, record: Enter, book: Book) -> None:
        """A call begins at layer 0."""

    def leaves(self, entered: Enter, record: Leave, book: Book) -> None:
        """A call returns at layer 0."""

    def frame(self, record: Frame, connection: Connection, seg: WireSegment) -> None:
        """A frame of a connection."""
