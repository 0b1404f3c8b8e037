"""Section 9.2: block lists, handles, ownership of state."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.offload_books import (
    Face,
    Offloaded,
    Stage,
    StateCall,
    depth_first,
    difference,
    is_new,
    level_of,
    mac,
    number,
    siblings,
)
from tb.monitors.contract.offload_monitor import BookMonitor, Section, rules_of
from tb.monitors.contract.receive_desk import LATE, STRAYS
from tb.monitors.contract.trace import Enter, Frame, Leave, Node, Record, State, Tree, Value
from tb.monitors.wire_headers import FIN, WireSegment, read_segment

NOT_APPLICABLE: Final[dict[str, str]] = {
    "CH-025": "the trace has no Scratch and MiniportReserved: what a driver reads back from memory leaves no record",
}

_ALL_TYPES: Final = frozenset({4, 8, 12, 17})
_DELEGATED_TYPES: Final = frozenset({3, 7, 11, 15})
_TCP_EVENTS: Final = range(1, 5)
_RESERVED: Final = (
    "NdisReserved[0]",
    "NdisReserved[1]",
    "ProtocolReserved[0]",
    "ProtocolReserved[1]",
    "ImReserved[0]",
    "ImReserved[1]",
    "SourceHandle",
)
_LASTING_FLAGS: Final = 0x03
"""KEEP_ALIVE_ENABLED and NAGLING_ENABLED; the other cached flags are requests of one update."""
_AGEING: Final = frozenset({"host_reachability_delta", "length", "recognized_options"})
"""Not compared: an age, which grows, and the header that NDIS fills."""


def _shown(value: Value) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


class Trees(BookMonitor):
    """The tree of a state-manipulation call, from the call to behind its completion."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-020": "once the completion is called, the target leaves the tree alone",
        "CH-021": "every state-manipulation call is completed once, with its root pointer",
        "CH-022": "every node has a Status when the completion is called",
        "CH-023": "NdisReserved, ProtocolReserved, ImReserved and SourceHandle come back as they were",
        "CH-024": "Type, NextBlock, DependentBlockList, PortNumber and NdisOffloadHandle come back as they were",
        "CH-026": "the nodes of one NextBlock list are of one layer",
        "CH-027": "DependentBlockList leads one layer up, and nowhere from a TCP node",
        "CH-028": "a new offload of an all-states type brings CONST, CACHED and DELEGATED state",
    }

    def __init__(self) -> None:
        super().__init__()
        self._completed: dict[Face, dict[int, Tree]] = {}
        """Trees at their completion by number of the completion call, and of the call if that has not returned."""

    def see(self, face: Face, record: Record) -> None:
        """Compare trees at the four moments that a record shows them."""
        if isinstance(record, Enter) and record.tree is not None:
            if record.function in ndis.STATE_CALLS:
                self._reused(face, record.tree)
                if self.is_top(face):
                    self._shape(record.function, record.tree)
            elif record.function in ndis.STATE_COMPLETIONS and face.layer == 0:
                self._completion(face, record, record.tree)
        elif isinstance(record, Leave) and face.layer == 0:
            before = self._completed.get(face, {}).pop(record.call, None)
            if before is not None and record.tree is not None:
                self._untouched(before, record.tree)

    # --- the host's part -------------------------------------------------------------------------------

    def _shape(self, function: str, tree: Tree) -> None:
        self._list(tree, tree.root, None)
        if function != ndis.INITIATE:
            return
        for node, _ in depth_first(tree):
            if is_new(node) and node.type in _ALL_TYPES:
                states = [node.const, node.cached]
                if level_of(node) != ndis.PATH_LEVEL:  # the delegated structure of a path has no variables
                    states.append(node.delegated)
                self.check("CH-028", None not in states, f"new offload {node.ident} of type {node.type} lacks a state")

    def _list(self, tree: Tree, first: int | None, below: int | None) -> None:
        waiting: list[tuple[int | None, int | None]] = [(first, below)]
        while waiting:
            first, below = waiting.pop()
            nodes = siblings(tree, first)
            levels = [level for node in nodes if (level := level_of(node)) is not None]
            if len(levels) > 1:
                text = f"nodes {[node.ident for node in nodes]} are of layers {levels}"
                self.check("CH-026", len(set(levels)) == 1, text)
            expected = None if below is None else below + 1
            for node in nodes:
                level = level_of(node)
                if expected is not None and (level is not None or expected > ndis.TCP_LEVEL):
                    self.check("CH-027", level == expected, f"node {node.ident} of layer {level} lies on layer {below}")
                if level == ndis.TCP_LEVEL:
                    self.check("CH-027", node.dependents is None, f"TCP node {node.ident} has dependents")
                elif node.dependents is not None:
                    waiting.append((node.dependents, level if level is not None else expected))

    # --- the target's part -----------------------------------------------------------------------------

    def _completion(self, face: Face, record: Enter, tree: Tree) -> None:
        call = face.state_call(record)
        if call is None:
            self.breach("CH-021", f"{record.function} for root {tree.root}, which is no such call in progress")
            return
        self.trigger("CH-021")
        for node, _ in depth_first(call.tree):
            now = tree.nodes.get(node.ident)
            written = now is not None and now.status not in (None, ndis.PENDING)
            self.check("CH-022", written, f"node {node.ident} has no Status at {record.function}")
            if now is not None:
                self._kept(node, now)
        trees = self._completed.setdefault(face, {})
        trees[record.call] = tree
        if not call.returned:
            trees[call.call] = tree

    def _kept(self, node: Node, now: Node) -> None:
        changed = [name for name, old, new in zip(_RESERVED, node.reserved, now.reserved, strict=False) if old != new]
        self.check("CH-023", not changed, f"{', '.join(changed)} of node {node.ident} changed")
        links = {
            "Header.Type": (node.type, now.type),
            "NextBlock": (node.next, now.next),
            "DependentBlockList": (node.dependents, now.dependents),
            "PortNumber": (node.port_number, now.port_number),
            "NdisOffloadHandle": (node.handle, now.handle),
        }
        changed = [name for name, (old, new) in links.items() if old != new]
        self.check("CH-024", not changed, f"{', '.join(changed)} of node {node.ident} changed")

    def _reused(self, face: Face, tree: Tree) -> None:
        """The host makes a new call with nodes that it got back: no longer watched."""
        trees = self._completed.get(face, {})
        for key in [key for key, old in trees.items() if not old.nodes.keys().isdisjoint(tree.nodes)]:
            del trees[key]

    def _untouched(self, before: Tree, after: Tree) -> None:
        for ident, node in before.nodes.items():
            now = after.nodes.get(ident)
            if now is None or now.location != node.location:
                continue  # freed, or given back to an intermediate driver
            same = (now.status, now.delegated) == (node.status, node.delegated)
            same &= bool(node.context) or not now.context
            self.check("CH-020", same, f"node {ident} was written after its completion was called")

    def finish(self) -> None:
        """Calls that nobody completed."""
        for face in self.books.faces.values():
            if face.layer != 0:
                continue
            for call in face.calls.values():
                queued = call.function == ndis.INITIATE and face.paused
                if not queued and self._now.tick - max(call.tick, face.resumed) > face.grace:
                    self.breach("CH-021", f"{call.function} of tick {call.tick} was never completed")


class Ownership(BookMonitor):
    """Who may change which variable."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-029": "CONST variables are what the host offloaded, in every query",
        "CH-030": "CACHED variables are as offloaded, or as a successful update wrote them, in queries and on the wire",
        "CH-031": "DELEGATED variables change, and no event but the four of the interface is raised",
        "CH-032": "an update brings no DELEGATED state",
    }

    def see(self, face: Face, record: Record) -> None:
        """Compare states that come back, and headers that go out."""
        if isinstance(record, Enter):
            if record.function == ndis.UPDATE and record.tree is not None and self.is_top(face):
                self._update(face, record.tree)
            elif face.layer == 0 and record.tree is not None:
                if record.function in (ndis.QUERIED, ndis.TERMINATED):
                    self._answer(face, record, record.tree)
            elif face.layer == 0 and record.function == ndis.EVENT and record.event not in _TCP_EVENTS:
                self.breach("CH-031", f"TCP event of type {record.event}: no such notification exists")
        elif isinstance(record, Frame) and record.sent and not record.raw and face.layer == 0:
            found = face.of_frame(record)
            if found is not None and found[0].live:
                self._headers(found[0], found[1], record.data)

    def _update(self, face: Face, tree: Tree) -> None:
        for node, _ in depth_first(tree):
            if face.named(node) is not None:
                clean = node.type not in _DELEGATED_TYPES and not node.delegated
                self.check("CH-032", clean, f"the update brings delegated state in node {node.ident}")

    def _answer(self, face: Face, record: Enter, tree: Tree) -> None:
        for node, _ in depth_first(tree):
            thing = face.named(node)
            if thing is None or node.status != ndis.SUCCESS:
                continue
            if node.delegated and any(node.delegated[k] != thing.delegated.get(k) for k in node.delegated):
                self.trigger("CH-031")
            if record.function != ndis.QUERIED:
                continue
            if node.const:
                changed = self._differing(thing, node.const, thing.const)
                self.check("CH-029", not changed, f"{', '.join(changed)} of node {node.ident} changed")
            if node.cached:
                call = face.state_call(record)
                self._cached(thing, node, node.cached, record.order if call is None else call.order)

    @staticmethod
    def _differing(thing: Offloaded, now: State, then: State) -> list[str]:
        """Names of variables that differ."""
        names = [name for name in now if name in then and name not in _AGEING]
        if thing.level == ndis.NEIGHBOR_LEVEL:
            return [name for name in names if _comparable(name, now) != _comparable(name, then)]
        return [name for name in names if now[name] != then[name]]

    def _cached(self, thing: Offloaded, node: Node, now: State, asked: int) -> None:
        """Judge a queried state: one in force since record ``asked``, or of an update in progress."""
        replaced = [state for state, order in thing.versions if order > asked]
        for allowed in [thing.cached, *thing.proposed, *replaced]:
            names = self._differing(thing, now, {**thing.cached, **allowed})
            if all(self._excused(thing, name, now) for name in names):
                self.trigger("CH-030")
                return
        changed = self._differing(thing, now, thing.cached)
        self.breach("CH-030", f"{', '.join(changed)} of node {node.ident} are not what the host wrote last")

    @staticmethod
    def _excused(thing: Offloaded, name: str, now: State) -> bool:
        if name == "flags" and thing.level == ndis.TCP_LEVEL:
            flags = number(now, name) & _LASTING_FLAGS
            return any(number(given, name) & _LASTING_FLAGS == flags for given in [thing.cached, *thing.proposed])
        # An InitialRcvWnd without UPDATE_RCV_WND may be taken or left.
        if name == "initial_rcv_wnd" and not number(thing.cached, "flags") & ndis.UPDATE_RCV_WND:
            return any(now[name] == given.get(name) for given in thing.could_hold())
        return False

    def _headers(self, connection: Offloaded, seg: WireSegment, frame: bytes) -> None:
        path = connection.parent
        neighbor = path.parent if path is not None else None
        self._on_wire(connection, "tos_or_traffic_class", seg.tos, ~ndis.ECN_BITS)
        self._on_wire(connection, "ttl_or_hop_limit", seg.ttl)
        if seg.ipv6:
            self._on_wire(connection, "flow_label", seg.flow_label)
        if neighbor is not None and "dl_destination_address" in neighbor.cached:
            hops = [neighbor, *(path.links if path is not None else ())]
            given = {mac(state, "dl_destination_address") for hop in hops for state in _all_given(hop)}
            self.check("CH-030", frame[:6] in given, f"a frame goes to {frame[:6].hex(':')}, which nobody wrote")

    def _on_wire(self, connection: Offloaded, name: str, sent: int, mask: int = -1) -> None:
        if name not in connection.cached:
            return
        given = {number(state, name) & mask for state in _all_given(connection)}
        self.check("CH-030", sent & mask in given, f"a frame shows {name} {sent}, which nobody wrote")


def _comparable(name: str, state: State) -> Value:
    return mac(state, name) if name.startswith("dl_") else state[name]


def _all_given(thing: Offloaded) -> list[State]:
    """Every CACHED state, full: updates may bring single variables."""
    return [{**thing.cached, **state} for state in thing.could_hold()]


@dataclass(slots=True)
class _Received:
    """The receive stream of a connection: the most that can have come, and what the host got."""

    contiguous: int = 0
    """Position behind the highest byte received, from RcvNxt of the hand-over."""
    delivered: int = 0
    inherited: int = 0


class Handles(BookMonitor):
    """Contexts, handles, identities."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-033": "the context of an object stays what it was until its terminate is complete",
        "CH-034": "offloaded objects have contexts, not NULL, each its own",
        "CH-035": "events and receive indications name a connection by the handle of its initiate, and its data",
        "CH-036": "completions name NBLs that the target owns for that kind of request",
    }

    def __init__(self) -> None:
        super().__init__()
        self._streams: dict[Offloaded, _Received] = {}
        self._indicated: dict[tuple[Face, int], tuple[Offloaded, int]] = {}
        self._strays: deque[tuple[int, bytes]] = deque(maxlen=STRAYS)
        """Frames of no connection that is there: the NIC may look at them behind an initiate call."""

    def see(self, face: Face, record: Record) -> None:
        """Look at every name that the target uses."""
        if face.layer != 0:
            return
        if isinstance(record, Enter):
            if record.tree is not None and record.function in (*ndis.STATE_CALLS, *ndis.STATE_COMPLETIONS):
                self._contexts(face, record, record.tree)
            elif record.function in ndis.COMPLETIONS:
                self._lists(face, record)
            elif record.function in (ndis.EVENT, ndis.INDICATE):
                self._handle(face, record)
            elif record.function == ndis.FORWARD and (connection := face.connection(record.target)) is not None:
                for nbl in record.lists:
                    if len(nbl.data) >= 20:
                        start = int.from_bytes(nbl.data[4:8], "big")
                        self._arrived(connection, start, max(0, len(nbl.data) - (nbl.data[12] >> 4) * 4))
        elif isinstance(record, Leave):
            self._answered(face, record)
        elif isinstance(record, Frame) and not record.sent:
            found = face.of_frame(record)
            if found is None or found[0].stage is Stage.GONE:
                self._strays.append((record.tick, record.data))
            else:
                self._arrived(found[0], found[1].sequence, found[1].payload_length + (found[1].flags & FIN))

    # --- contexts --------------------------------------------------------------------------------------

    def _contexts(self, face: Face, record: Enter, tree: Tree) -> None:
        call = face.state_call(record) if record.function in ndis.STATE_COMPLETIONS else None
        for node, _ in depth_first(tree):
            known = face.by_location.get(node.location) if node.location is not None else None
            if known is None or not known.live or (call is not None and node.ident in call.new):
                continue
            if record.function == ndis.INITIATE and is_new(node):
                continue  # the host uses the location anew
            gone = record.function == ndis.TERMINATED and not node.context
            text = f"location {node.location} holds {node.context}, not context {known.context}"
            self.check("CH-033", node.context == known.context or gone, text)
        if call is not None and call.function == ndis.INITIATE:
            self._published(face, call, tree)

    def _published(self, face: Face, call: StateCall, tree: Tree) -> None:
        taken = set(face.objects)
        for ident in call.new:
            node = tree.nodes.get(ident)
            if node is None or node.status not in ndis.OFFLOADED:
                continue
            if not node.context:
                self.breach("CH-034", f"offloaded node {ident} has no context")
                continue
            self.check("CH-034", node.context not in taken, f"context {node.context} names two objects")
            taken.add(node.context)

    # --- handles ---------------------------------------------------------------------------------------

    def _stream(self, connection: Offloaded) -> _Received:
        stream = self._streams.get(connection)
        if stream is None:
            inherited = sum(nbl.data_length for nbl in connection.buffered)
            stream = self._streams[connection] = _Received(inherited=inherited)
            for tick, data in self._strays:
                seg = read_segment(data) if tick + LATE >= connection.began else None
                if seg is not None and seg.sums_right and (seg.destination, seg.source) == connection.ends:
                    self._arrived(connection, seg.sequence, seg.payload_length + (seg.flags & FIN))
        return stream

    def _arrived(self, connection: Offloaded, sequence: int, length: int) -> None:
        stream = self._stream(connection)
        base = number(connection.delegated, "rcv_nxt")
        start = stream.contiguous + difference(sequence, base + stream.contiguous)
        stream.contiguous = max(stream.contiguous, start + length)

    def _handle(self, face: Face, record: Enter) -> None:
        thing = face.by_handle.get(record.target) if record.target is not None else None
        known = thing is not None and thing.level == ndis.TCP_LEVEL
        self.check("CH-035", known, f"{record.function} carries {record.target}, which is no connection's handle")
        if thing is None or record.function != ndis.INDICATE:
            return
        count = sum(nbl.data_length for nbl in record.lists)
        self._indicated[face, record.call] = thing, count
        stream = self._stream(thing)
        room = stream.inherited + stream.contiguous - stream.delivered
        if face.frames and thing.ends is not None and count > room:
            self.breach("CH-035", f"{count} bytes are indicated on a connection that has {room} at most")

    def _answered(self, face: Face, record: Leave) -> None:
        told = self._indicated.pop((face, record.call), None)
        if told is None:
            return
        connection, count = told
        self._stream(connection).delivered += ndis.taken(count, record.result, record.consumed)

    # --- identities ------------------------------------------------------------------------------------

    def _lists(self, face: Face, record: Enter) -> None:
        kind = ndis.COMPLETIONS[record.function]
        owners = {owned.owner for nbl in record.lists if (owned := face.owned.get(nbl.ident)) is not None}
        if len(owners) > 1 or (owners and face.live_connections > 1):
            self.trigger("CH-036")
        named: set[int] = set()
        for nbl in record.lists:
            owned = face.owned.get(nbl.ident)
            if owned is None or nbl.ident in named:
                self.breach("CH-036", f"{record.function} names NBL {nbl.ident}, which the target does not own")
            elif owned.kind != kind:
                self.breach("CH-036", f"{record.function} names NBL {nbl.ident}, which is a {owned.kind}")
            elif owned.owner is not None and kind == "receive":
                self._stream(owned.owner).delivered += nbl.transferred or 0
            named.add(nbl.ident)


class BlockRules(Section):
    """Section 9.2."""

    PARTS: ClassVar[tuple[type[BookMonitor], ...]] = (
        Trees,
        Ownership,
        Handles,
    )
    RULES: ClassVar[Mapping[str, str]] = rules_of(PARTS)
