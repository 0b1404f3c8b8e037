"""Decisions on state calls, events, OIDs, intermediate drivers: G-07 to G-09, G-12 to G-14, G-20, G-24, G-26, G-34."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_books import Book, BooksMonitor
from tb.monitors.contract.connection_parts import Connection, Phase, StateCall, walk, whole
from tb.monitors.contract.intermediate import Call, Nesting
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.trace import Enter, Frame, Leave, Node, Record, Tree
from tb.monitors.wire_headers import WireSegment

_BOUND: Final = 5000
"""Ticks within which a state call completes and an indication is answered (`state_call_ticks`, `answer_ticks`)."""
_CHIMNEY_PARAMETERS: Final = frozenset({"tcp_ack_frequency", "tcp_push_ticks", "tcp_delayed_ack_ticks"})


class CallDecisions(BooksMonitor):
    """State calls and events at the target's face, where the pages leave a choice."""

    RULES: ClassVar[Mapping[str, str]] = {
        "G-07": "no upload request for an optional reason in FinWait1, FinWait2 and CloseWait",
        "G-08": "a neighbor query has Type 4 and carries CONST, CACHED and DELEGATED",
        "G-09": "the chimney's parameters travel in OID_TCP_CONNECTION_OFFLOAD_PARAMETERS alone",
        "G-12": "NeighborReachabilityInDoubt is never raised, also where retransmissions reach the doubtful count",
        "G-13": "a PathMtu too large fails the path with the code for it or FAILURE, and the code is for nothing else",
        "G-20": "a failing terminate first aborts all I/O, asks for upload and raises the abort, then completes once",
        "G-26": "the initiate chain comes back untouched, or NULL where the connection was offloaded",
        "G-34": "state calls complete and indications are answered within their bounds",
    }

    def __init__(self) -> None:
        super().__init__()
        self._results: dict[Connection, list[int | None]] = {}
        """Statuses of requests that completed while the connection was being terminated."""
        self._lost: set[Connection] = set()
        self._repeats: dict[Connection, tuple[int, int, int]] = {}
        self._blocked = 0
        self._resumed = -_BOUND

    def finish(self) -> None:
        """Calls that took too long and never ended."""
        for book in self.books.all():
            for call in book.calls.values():
                if book.layer == 0 and self._now.tick - call.tick > self._bound(book, "state_call_ticks"):
                    self.breach("G-34", f"{call.function} of tick {call.tick} never completed")

    @staticmethod
    def _bound(book: Book, name: str) -> int:
        value = book.settings.get(name, _BOUND)
        return value if isinstance(value, int) else _BOUND

    def enters(self, record: Enter, book: Book) -> None:
        """State completions, events, OIDs."""
        function = record.function
        if function in ndis.STATE_COMPLETIONS and record.tree is not None:
            call = book.calls.get(record.tree.root)
            if call is None:
                self._again(record, record.tree)
            else:
                self._completed(record, record.tree, call, book)
        elif function in ndis.COMPLETIONS:
            for nbl in record.lists:
                request = book.request(nbl.ident, ndis.COMPLETIONS[function])
                if request is not None and request.connection is not None:
                    self._results.setdefault(request.connection, []).append(nbl.status)
        elif function == ndis.TERMINATE and record.tree is not None:
            for _, thing in book.named(record.tree):
                if isinstance(thing, Connection):
                    self._results[thing] = []
        elif function == ndis.EVENT:
            self._event(record, book)
        elif function == ndis.STATUS and record.status == ndis.RESUME:
            self._resumed = record.tick
        elif function == ndis.NEIGHBOR_EVENT:
            self._neighbor(record)
        elif function == ndis.OID and record.flags & 1:
            if record.oid == ndis.OID_PARAMETERS:
                self.trigger("G-09")
            elif _CHIMNEY_PARAMETERS & set(record.buffer):
                self.breach("G-09", f"OID {record.oid:#x} sets the chimney's parameters")

    def leaves(self, entered: Enter, record: Leave, book: Book) -> None:
        """An indication was answered."""
        if entered.function == ndis.INDICATE:
            took, bound = record.tick - entered.tick, self._bound(book, "answer_ticks")
            self._blocked += took
            self.check("G-34", took <= bound, f"the host answers an indication after {took} ticks")

    # --- state calls -----------------------------------------------------------------------------------

    def _completed(self, record: Enter, tree: Tree, call: StateCall, book: Book) -> None:
        took, bound = record.tick - call.tick - self._blocked, self._bound(book, "state_call_ticks")
        if call.function == ndis.INITIATE:
            took = 0 if book.paused else min(took, record.tick - self._resumed)
        self.check("G-34", took <= bound, f"{call.function} takes {took} ticks")
        if call.function == ndis.INITIATE:
            self._initiated(tree, call, book)
        elif call.function == ndis.TERMINATE:
            for node, thing in book.ended(tree):
                if isinstance(thing, Connection) and node.status == ndis.FAILURE:
                    self._failed(thing, node)

    def _initiated(self, tree: Tree, call: StateCall, book: Book) -> None:
        largest = book.settings.get("max_path_mtu")
        for node, parent in walk(tree):
            entered = call.tree.nodes.get(node.ident)
            if entered is None or entered.location is None or entered.context is not None:
                continue
            if entered.chain:
                before, after = [n.ident for n in entered.chain], [n.ident for n in node.chain]
                right = after == before or (not after and node.status in ndis.OFFLOADED)
                self.check("G-26", right, f"chain {before} comes back as {after}, status {node.status}")
            tried = parent is None or parent.location is None or parent.status in ndis.OFFLOADED
            mtu = whole(entered.cached, "path_mtu")
            path = ndis.level(node.type) == ndis.PATH_LEVEL
            large = path and isinstance(largest, int) and mtu > largest
            if node.status == ndis.PATH_MTU or (large and tried and node.status not in ndis.OFFLOADED):
                named = node.status in (ndis.PATH_MTU, ndis.FAILURE) and path and (largest is None or large)
                self.check("G-13", named, f"node {node.ident}, PathMtu {mtu} of at most {largest!r}: {node.status}")

    def _failed(self, connection: Connection, node: Node) -> None:
        asked = connection.events.places(ndis.RETRIEVE_EVENT, ndis.HARDWARE_FAILURE)
        raised = connection.events.places(ndis.ABORT_EVENT)
        in_order = bool(asked and raised) and min(asked) < max(raised)
        wrong = [s for s in self._results.get(connection, []) if s not in (ndis.SUCCESS, ndis.REQUEST_ABORTED)]
        self._lost.add(connection)
        text = f"a failing terminate: events {connection.events}, I/O completed {wrong}, chain {len(node.chain)}"
        self.check("G-20", in_order and not wrong and not node.chain and not connection.requests, text)

    def _again(self, record: Enter, tree: Tree) -> None:
        if any(node.handle == lost.handle for node in tree.nodes.values() for lost in self._lost):
            self.breach("G-20", f"{record.function} comes a second time")

    # --- events ----------------------------------------------------------------------------------------

    def _event(self, record: Enter, book: Book) -> None:
        connection = book.of_handle(record.target)
        if connection is None:
            return
        if connection in self._lost and connection.phase is Phase.GONE:
            self.breach("G-20", f"event {record.event} after the terminate failed")
        if record.event != ndis.RETRIEVE_EVENT:
            return
        before = whole(connection.delegated, "state")
        own = connection.fin_sent is not None or before in ndis.AFTER_OWN_FIN
        peer = connection.fins.heard or connection.initial_fin == 1
        told = connection.raised(ndis.DISCONNECT_EVENT) or connection.initial_fin == 1
        if (own and not peer) or (told and not own):
            text = f"upload reason {record.info} in {'FinWait' if own else 'CloseWait'}"
            self.check("G-07", record.info not in ndis.OPTIONAL, text)

    def _neighbor(self, record: Enter) -> None:
        self.check("G-12", record.event != ndis.IN_DOUBT, "NeighborReachabilityInDoubt is raised")
        if record.event != ndis.REACHABILITY_QUERY:
            return
        node = record.tree.nodes.get(record.tree.root) if record.tree is not None else None
        right = node is not None and node.type == ndis.NEIGHBOR_STATE
        right = right and node is not None and None not in (node.const, node.cached, node.delegated)
        self.check("G-08", right, f"the query carries {node!r}")

    def frame(self, record: Frame, connection: Connection, seg: WireSegment) -> None:
        """Retransmissions until the neighbor is in doubt."""
        if not record.sent or record.raw or not seg.payload_length:
            return
        sequence, heard, count = self._repeats.get(connection, (-1, -1, 0))
        same = sequence == seg.sequence and heard == connection.heard
        count = count + 1 if same else 0
        self._repeats[connection] = (seg.sequence, connection.heard, count)
        doubtful = self.books.of(record).parameter("tcp_doubt_reachability_retransmissions", 0)
        if doubtful and count == doubtful:
            self.trigger("G-12")


class PassingDecisions(Monitor):
    """What an intermediate driver does where the pages are silent."""

    RULES: ClassVar[Mapping[str, str]] = {
        "G-14": "an IM without memory fails receive, forward, disconnect as sends: REQUEST_UPLOAD, UPLOAD_REQUESTED",
        "G-24": "a neighbor event passes an IM unchanged, and the HRD that the host answers comes back down",
    }

    def __init__(self) -> None:
        super().__init__()
        self._nesting = Nesting()
        self._down: dict[tuple[int, int, str], bool] = {}
        self._target: dict[tuple[int, int, str], int | None] = {}
        """(layer, list, kind) -> the connection that it was given for."""
        self._refusing: set[tuple[int, int | None, str]] = set()
        """(layer, connection, kind) of which a list was refused for want of memory."""
        self._top: dict[str, int] = {}

    def observe(self, record: Record) -> None:
        """Look at calls above the target's face."""
        self._top[record.adapter] = max(record.layer, self._top.get(record.adapter, 0))
        if isinstance(record, Enter):
            self._enter(record, self._nesting.enter(record))
        elif isinstance(record, Leave):
            call = self._nesting.leave(record)
            if call is not None and call.enter.function == ndis.NEIGHBOR_EVENT:
                self._answered(record, call)

    def _enter(self, record: Enter, call: Call) -> None:
        function = record.function
        if function in ndis.REQUESTS:
            kind = ndis.REQUESTS[function]
            for nbl in record.lists:
                self._down[record.layer, nbl.ident, kind] = False
                self._target[record.layer, nbl.ident, kind] = record.target
                if (record.layer + 1, nbl.ident, kind) in self._down:
                    self._down[record.layer + 1, nbl.ident, kind] = True
        elif function in ndis.COMPLETIONS:
            self._refused(record, call, ndis.COMPLETIONS[function])
        elif function == ndis.NEIGHBOR_EVENT and call.above is not None:
            below = call.above.enter
            same = (below.event, self._states(below.tree)) == (record.event, self._states(record.tree))
            self.check("G-24", same, f"event {below.event} goes up as {record.event}, or with other state")

    @staticmethod
    def _states(tree: Tree | None) -> list[tuple[object, object, object]]:
        nodes = [] if tree is None else [node for node, _ in walk(tree)]
        return [(node.const, node.cached, node.delegated) for node in nodes]

    def _refused(self, record: Enter, call: Call, kind: str) -> None:
        statuses = [nbl.status for nbl in record.lists]
        down = [nbl.ident for nbl in record.lists if self._down.pop((record.layer, nbl.ident, kind), False)]
        given = {(record.layer, self._target.pop((record.layer, nbl.ident, kind), None), kind) for nbl in record.lists}
        if record.layer == 0 or kind == "send" or call.above is not None:
            return
        again = given <= self._refusing and statuses[0] == ndis.UPLOAD_REQUESTED  # behind a chain of the same kind
        first = ndis.UPLOAD_REQUESTED if again else ndis.REQUEST_UPLOAD
        right = statuses == [first] + [ndis.UPLOAD_REQUESTED] * (len(statuses) - 1)
        if not {ndis.REQUEST_UPLOAD, ndis.UPLOAD_REQUESTED, ndis.RESOURCES} & set(statuses):
            return
        self._refusing |= given
        self.check("G-14", right and not down, f"{kind} chain of an IM fails with {statuses}, passed down: {down}")

    def _answered(self, record: Leave, call: Call) -> None:
        if call.answer is None:
            if self._top.get(record.adapter, 0) > record.layer:
                self.breach("G-24", f"neighbor event {call.enter.event} does not reach layer {record.layer + 1}")
            return
        hrd = [self._hrd(answer.tree) for answer in (call.answer, record)]
        self.check("G-24", hrd[0] == hrd[1], f"the host answers HRD {hrd[0]}, the driver below is told {hrd[1]}")

    @staticmethod
    def _hrd(tree: Tree | None) -> int | None:
        node = None if tree is None else tree.nodes.get(tree.root)
        return None if node is None else whole(node.cached, "host_reachability_delta", -1)
