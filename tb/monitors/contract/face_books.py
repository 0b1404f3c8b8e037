"""What is offloaded at a face, what is outstanding there, and a monitor that is told of it.

A *face* is an adapter at a layer. Each face has a `Face` of its own; frames belong to layer 0. Duties of the target are
watched at layer 0, duties of the host at the topmost layer (`FaceMonitor.is_top`), which the first call down
shows. Names that the books do not know (a handle, a context, a list) are None, never an error.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_items import (
    GRACE,
    Connection,
    Flow,
    Item,
    Phase,
    Request,
    StateCall,
    flows_of,
    walk,
)
from tb.monitors.contract.stream_books import Wire, forwarded_segment
from tb.monitors.contract.trace import Enter, Leave, List, Node, Tree, Value
from tb.monitors.wire_headers import RST, SYN, WireSegment

_HISTORY: Final = 128
"""Received segments of a flow that are remembered for an offload to come."""
_CROWD: Final = 8
"""Frames in one tick beyond which the target may run out of room."""


class Face:
    """The books of one adapter at one layer."""

    def __init__(self, adapter: str, layer: int) -> None:
        self.adapter = adapter
        self.layer = layer
        self.items: dict[int, Item] = {}
        """By context."""
        self.handles: dict[int, Connection] = {}
        self.flows: dict[Flow, Connection] = {}
        self.requests: dict[int, Request] = {}
        self.open: dict[int, Enter] = {}
        self.calls: dict[int, StateCall] = {}
        """By root."""
        self.upload_all = False
        self.parameters: dict[str, Value] = {}
        self.reset_allowed: dict[Flow, Connection] = {}
        """Flows of which an abortive disconnect was asked for, until they are offloaded again."""
        self._history: dict[Flow, deque[WireSegment]] = {}
        self._crowd = (-1, 0)
        """Frames that came in at the latest tick."""

    def item(self, context: int | None) -> Item | None:
        """The object that a context names."""
        return None if context is None else self.items.get(context)

    def connection(self, context: int | None) -> Connection | None:
        """The connection that a context names."""
        item = self.item(context)
        return item if isinstance(item, Connection) else None

    def live(self, level: int) -> int:
        """Objects of a level that are offloaded for sure: no terminate of them was called."""
        return sum(1 for item in self.items.values() if item.level == level and item.phase is Phase.LIVE)

    def uploading(self, conn: Connection) -> bool:
        """There is a reason for UPLOAD_IN_PROGRESS."""
        return conn.leaving is not None or conn.phase is Phase.GONE or conn.asked_for_upload or self.upload_all

    # --- requests ----------------------------------------------------------------------------------------

    def submit(self, record: Enter, kind: str) -> tuple[Connection | None, list[Request]]:
        """An I/O call down. A disconnect that is neither graceful nor abortive is of no connection (HOST-2.10)."""
        odd = kind == "disconnect" and record.flags not in ndis.DISCONNECTS
        conn = None if odd else self.connection(record.target)
        return conn, [self.take(record, nbl, conn, kind) for nbl in record.lists]

    def take(self, record: Enter, nbl: List, conn: Connection | None, kind: str) -> Request:
        """The target got a list."""
        number = 0 if conn is None else conn.submitted
        request = Request(kind, nbl, conn, number, record.call, record.order, record.tick, record.flags)
        self.requests[nbl.ident] = request
        if conn is None:
            return request
        conn.submitted += 1
        conn.requests[nbl.ident] = request
        over = conn.tx.fin is not None or conn.leaving is not None
        request.late = over and (kind == "send" or request.graceful)
        if request.late:
            request.start = request.end = conn.tx.total
        elif kind == "send" or request.graceful:
            request.start, request.end = conn.tx.append(nbl, record.tick)
        if kind == "send":
            conn.sends += 1
        elif kind == "disconnect":
            self._disconnect(record, conn, request)
        elif kind == "forward":
            self._forward(conn, nbl, record.tick)
        return request

    def _disconnect(self, record: Enter, conn: Connection, request: Request) -> None:
        if not request.graceful:
            conn.settle(record.tick)
            if conn.abortive is None and conn.leaving is None:
                conn.abortive, conn.abortive_tick = record.order, record.tick
            self.reset_allowed.update((flow, conn) for flow in flows_of(conn))
        elif not request.late:
            conn.graceful = request
            conn.tx.fin = conn.tx.total

    @staticmethod
    def _forward(conn: Connection, nbl: List, tick: int) -> None:
        seg = forwarded_segment(nbl.data)
        if seg is not None:
            conn.rx.heard(seg, forwarded=True)
            conn.tx.heard(seg, tick)
            conn.interrupt(seg)

    def give_back(self, request: Request) -> None:
        """A list came back."""
        if self.requests.get(request.list.ident) is request:
            del self.requests[request.list.ident]
        if request.conn is not None and request.conn.requests.get(request.list.ident) is request:
            del request.conn.requests[request.list.ident]

    # --- state-manipulation calls --------------------------------------------------------------------------

    def call_state(self, record: Enter, tree: Tree) -> StateCall:
        """A state-manipulation call down."""
        call = StateCall(record.function, tree, record.order, record.tick)
        same = [other for other in self.calls.values() if other.function == record.function]
        for node, above in walk(tree):
            item = self.item(node.context) if node.location is not None else None
            if record.function == ndis.INITIATE and node.location is not None and node.context is None:
                item = self._coming(record, node, None if above is None else call.items.get(above.ident))
            if item is not None:
                call.items[node.ident] = item
        for other in same:
            shared = set(call.items.values()) & set(other.items.values())
            for one in (call, other):
                one.overlaps |= shared
                one.beside |= not shared
        self.calls[tree.root] = call
        return call

    def _coming(self, record: Enter, node: Node, below: Item | None) -> Item:
        if ndis.level(node.type) != ndis.TCP_LEVEL:
            return Item(node, below)
        conn = Connection(node, below, record.tick)
        for flow in flows_of(conn):
            known = self._history.get(flow)
            self.flows[flow] = conn
            conn.on_wire = True
            self.reset_allowed.pop(flow, None)
            for seg in known or ():
                conn.rx.heard(seg)
        if conn.handle is not None:
            self.handles[conn.handle] = conn
        for nbl in node.chain:
            self.take(record, nbl, conn, "send")
        conn.tx.inherited()
        for flow in flows_of(conn):
            for seg in self._history.get(flow) or ():
                conn.tx.heard(seg, record.tick)
        return conn

    def begin(self, call: StateCall) -> None:
        """Note that a call is in progress; a terminate is not of objects that another one is ending."""
        if call.function == ndis.TERMINATE:
            call.items = {ident: item for ident, item in call.items.items() if item.phase is not Phase.LEAVING}
        if call.function == ndis.UPDATE:
            call.changed = {item for ident, item in call.items.items() if call.tree.nodes[ident].cached is not None}
            call.changed |= {path for path, _ in relinks(call)}
        for ident, item in call.items.items():
            node = call.tree.nodes[ident]
            if call.function == ndis.UPDATE:
                item.updates += item in call.changed
                if node.cached is not None:
                    item.coming.append({**item.cached, **node.cached})
            elif call.function == ndis.QUERY:
                item.queries += 1
            elif call.function == ndis.INVALIDATE:
                item.invalidating = True
            elif call.function == ndis.TERMINATE:
                if isinstance(item, Connection):
                    item.settle(call.tick)
                item.phase = Phase.LEAVING
                if isinstance(item, Connection) and item.leaving is None:
                    item.leaving = call.order
        if call.function == ndis.UPDATE:
            for path, neighbor in relinks(call):
                path.links.append((neighbor, -1))

    def end_state(self, call: StateCall, record: Enter, tree: Tree) -> list[Item]:
        """A call completes. Returns objects whose context another one got."""
        clashes: list[Item] = []
        for ident, item in call.items.items():
            node = tree.nodes.get(ident)
            entered = call.tree.nodes[ident]
            done = node is not None and node.status in ndis.OFFLOADED
            if call.function == ndis.INITIATE and item.phase is Phase.COMING:
                clashes += self._placed(item, node, record, done=done)
            elif call.function == ndis.UPDATE:
                item.updates -= item in call.changed
                _updated(item, entered, record.tick, done=done)
            elif call.function == ndis.QUERY:
                item.queries -= 1
            elif call.function == ndis.INVALIDATE:
                item.invalidating = False
                if done and item.invalid is None:
                    item.invalid = record.tick
            elif call.function == ndis.TERMINATE:
                self._gone(item)
        if call.function == ndis.UPDATE:
            for path, neighbor in relinks(call, tree):
                path.links = [(item, until) for item, until in path.links if until >= 0 or item is not neighbor]
                path.links.append((path.below, record.tick + GRACE))
                path.below = neighbor
            for item in call.items.values():
                item.links = [(link, record.tick + GRACE if until < 0 else until) for link, until in item.links]
        return clashes

    def _placed(self, item: Item, node: Node | None, record: Enter, *, done: bool) -> list[Item]:
        if not done or node is None or node.context is None:
            self._gone(item)
            return []
        before = self.items.get(node.context)
        item.context, item.phase = node.context, Phase.LIVE
        self.items[node.context] = item
        if isinstance(item, Connection):
            item.placed = record.tick
        return [before] if before is not None and before is not item else []

    def _gone(self, item: Item) -> None:
        item.phase = Phase.GONE
        if item.context is not None and self.items.get(item.context) is item:
            del self.items[item.context]
        if not isinstance(item, Connection):
            return
        for flow in [flow for flow in flows_of(item) if self.flows.get(flow) is item]:
            del self.flows[flow]
        if item.handle is not None and self.handles.get(item.handle) is item:
            del self.handles[item.handle]
        for request in list(item.requests.values()):
            self.give_back(request)

    # --- indications and frames ----------------------------------------------------------------------------

    def raise_event(self, record: Enter) -> Connection | None:
        """An indication or event goes up."""
        conn = None if record.target is None else self.handles.get(record.target)
        if conn is None:
            return None
        conn.settle(record.tick)
        conn.indications.add(record.call)
        if record.function == ndis.EVENT:
            conn.events.add(record.event, record.info, record.order)
            if record.event == ndis.ABORT_EVENT and conn.aborted is None:
                conn.aborted = record.order
        return conn

    def answered(self, entered: Enter, record: Leave) -> None:
        """An indication or event returned."""
        conn = None if entered.target is None else self.handles.get(entered.target)
        if conn is None:
            return
        conn.indications.discard(entered.call)
        if entered.function == ndis.INDICATE:
            whole = sum(nbl.data_length for nbl in entered.lists)
            if taken := ndis.taken(whole, record.result, record.consumed):
                conn.rx.deliver(taken, record.tick)

    def of_frame(self, wire: Wire, *, sent: bool) -> Connection | None:
        """The connection that a frame belongs to."""
        if wire.seg is None:
            return None
        own, peer = (wire.seg.source, wire.seg.destination) if sent else (wire.seg.destination, wire.seg.source)
        return self.flows.get((own, peer))

    def heard(self, wire: Wire, conn: Connection | None) -> None:
        """A frame came in."""
        seg = wire.seg
        if seg is None or not seg.sums_right:
            return
        flow = (seg.destination, seg.source)
        known = self._history.setdefault(flow, deque(maxlen=_HISTORY))
        if seg.flags & SYN:
            known.clear()
        known.append(seg)
        tick, count = self._crowd
        self._crowd = (wire.tick, count + 1 if tick == wire.tick else 1)
        if conn is not None:
            conn.settle(wire.tick)
            if self._crowd[1] <= _CROWD:
                conn.hear(seg, wire.tick, wire.tci)
            else:
                conn.overhear(seg, wire.tick, wire.tci)
            conn.rx.heard(seg)
            conn.tx.heard(seg, wire.tick)
            conn.interrupt(seg)

    def went_out(self, wire: Wire, conn: Connection | None) -> None:
        """The target sent a frame."""
        seg = wire.seg
        if seg is None or not seg.sums_right:
            return
        conn = conn or self.reset_allowed.get((seg.source, seg.destination))
        if conn is None:
            return
        if seg.flags & RST:
            conn.reset_out = wire.tick
        else:
            conn.tx.went_out(seg)
            conn.rx.went_out(seg)


def _updated(item: Item, entered: Node, tick: int, *, done: bool) -> None:
    if entered.cached is None:
        return
    new = {**item.cached, **entered.cached}
    item.coming = [state for state in item.coming if state != new]
    item.replaced = [*item.replaced[-3:], (item.cached if done else new, tick + GRACE)]
    if done:
        item.cached = new


def relinks(call: StateCall, completed: Tree | None = None) -> list[tuple[Item, Item]]:
    """(path, neighbor) pairs that an update moves; with the completed tree only those that succeeded."""
    pairs = []
    for node, above in walk(call.tree):
        item = call.items.get(node.ident)
        over = None if above is None else call.items.get(above.ident)
        if item is None or over is None or item.level != ndis.PATH_LEVEL or item.below is over:
            continue
        after = None if completed is None else completed.nodes.get(node.ident)
        if completed is None or (after is not None and after.status == ndis.SUCCESS):
            pairs.append((item, over))
    return pairs
