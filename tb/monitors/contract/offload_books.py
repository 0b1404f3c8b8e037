"""Books of offloaded objects for the monitors of registration, block lists and initiate.

One `Face` per adapter and layer: state-manipulation calls in progress, objects with the state that the host gave them,
NET_BUFFER_LISTs that the target owns, pause and upload. A monitor sees a record before the books take it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.raised import Raised
from tb.monitors.contract.trace import Enter, Frame, Leave, List, Node, Record, State, Tree, Value
from tb.monitors.wire_headers import WireSegment, read_segment

Ends = tuple[tuple[int, int], tuple[int, int]]
"""Address and port of the target's side, then of the peer's."""
GRACE_TICKS: Final = 100
"""A state-manipulation call that is younger than this at the end of a run may still be in progress (G-34);
the setting ``completion_ticks`` overrides it."""
_DEFAULT_TICKS_PER_SECOND: Final = 1000
_OLD_VERSIONS: Final = 32


def difference(number: int, origin: int) -> int:
    """``number`` - ``origin`` in sequence space, between -2^31 and 2^31 - 1."""
    return (number - origin + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000


def number(state: Mapping[str, Value] | None, name: str, default: int = 0) -> int:
    """A numeric variable; ``default`` where the structure does not have it."""
    value = None if state is None else state.get(name)
    return value if isinstance(value, int) else default


def octets(state: Mapping[str, Value] | None, name: str) -> bytes:
    """A variable of bytes; empty where the structure does not have it."""
    value = None if state is None else state.get(name)
    return value if isinstance(value, bytes) else b""


def mac(state: State | None, name: str) -> bytes:
    """The Ethernet address in a 32-byte field: its first 6 bytes (G-27)."""
    return octets(state, name)[:6].ljust(6, b"\x00")


_ratio = lru_cache(maxsize=16)(Fraction)


def siblings(tree: Tree, first: int | None) -> list[Node]:
    """``first`` and its NextBlock successors; a list that runs into itself ends there."""
    found: dict[int, Node] = {}
    while first is not None and first in tree.nodes and first not in found:
        found[first] = tree.nodes[first]
        first = found[first].next
    return list(found.values())


def depth_first(tree: Tree) -> Iterator[tuple[Node, Node | None]]:
    """Every node with its parent, in the order of vector A.1: node, its dependents, its NextBlock."""
    seen: set[int] = set()
    waiting: list[tuple[int | None, Node | None]] = [(tree.root, None)]
    while waiting:
        ident, parent = waiting.pop()
        node = tree.nodes.get(ident) if ident is not None and ident not in seen else None
        if node is None:
            continue
        seen.add(node.ident)
        yield node, parent
        waiting += [(node.next, parent), (node.dependents, node)]


def is_new(node: Node) -> bool:
    """A new offload: a location that holds NULL (CH-039)."""
    return node.location is not None and not node.context


def level_of(node: Node) -> int | None:
    """Layer that the type of a node tells; None for a placeholder, whose type means nothing."""
    return ndis.level(node.type) if node.location is not None and 1 <= node.type <= ndis.TCP_STATE else None


def payload_in(frame: bytes, segment: WireSegment) -> bytes:
    """Payload bytes of ``segment``, which was read from ``frame``."""
    return frame[segment.payload_at : segment.payload_at + segment.payload_length]


class Stage(Enum):
    """Where an object stands."""

    OFFLOADING = 1
    LIVE = 2
    TERMINATING = 3
    GONE = 4


@dataclass(eq=False)
class Offloaded:
    """A neighbor, path or connection, from the initiate call on. Ticks are record ticks."""

    level: int
    location: int
    handle: int | None
    const: State
    cached: State
    delegated: State
    parent: Offloaded | None
    began: int
    chain: tuple[List, ...] = ()
    buffered: tuple[List, ...] = ()
    context: int | None = None
    stage: Stage = Stage.OFFLOADING
    completed: int | None = None
    """Tick at which the initiate completion was called."""
    published: bool = False
    """The initiate completion has returned."""
    ends: Ends | None = None
    versions: deque[tuple[State, int]] = field(default_factory=lambda: deque(maxlen=_OLD_VERSIONS))
    """CACHED states of the past, with the number of the record that replaced them."""
    links: list[Offloaded] = field(default_factory=list)
    """Of a path: other neighbors that it was, or is being, linked to."""
    proposed: list[State] = field(default_factory=list)
    """CACHED states of updates in progress."""
    terminate_asked: bool = False
    disconnects: list[int] = field(default_factory=list)
    """Flags of the disconnect requests."""
    events: Raised = field(default_factory=Raised)
    """Type, information and tick of the TCP events raised on it."""
    posts: int = 0
    """Receive requests posted since the offload."""
    heard: int = 0
    """Frames received and segments forwarded for the connection."""

    @property
    def live(self) -> bool:
        """Offloaded, and its terminate is not complete."""
        return self.stage in (Stage.LIVE, Stage.TERMINATING)

    @property
    def troubled(self) -> bool:
        """The target asked for an upload or saw an abort, or the host asked for one."""
        return (
            self.terminate_asked
            or any(flags & ndis.ABORTIVE for flags in self.disconnects)
            or self.events.had(ndis.RETRIEVE_EVENT)
            or self.events.had(ndis.ABORT_EVENT)
        )

    @property
    def ip_version(self) -> int:
        """4 or 6, as the addresses of its path are long."""
        path = self if self.level == ndis.PATH_LEVEL else self.parent
        return 6 if path is not None and len(octets(path.const, "source_address")) == 16 else 4

    def could_hold(self) -> list[State]:
        """CACHED states that the host gave it, now, before or by an update in progress."""
        return [self.cached, *self.proposed, *(state for state, _ in self.versions)]


@dataclass(eq=False)
class Owned:
    """A NET_BUFFER_LIST at the target."""

    kind: str
    list: List
    owner: Offloaded | None
    tick: int
    inherited: bool = False


@dataclass(eq=False)
class StateCall:
    """A state-manipulation call that is not complete."""

    function: str
    tree: Tree
    order: int
    tick: int
    call: int
    new: dict[int, Offloaded] = field(default_factory=dict)
    """Objects of its new-offload nodes by node identity."""
    ends: list[Offloaded] = field(default_factory=list)
    """Of a terminate: what it ends, and no other call is ending already."""
    returned: bool = False
    overlapped: bool = False
    """An initiate that was in progress together with another."""
    while_paused: bool = False


class Face:
    """One face of one adapter."""

    def __init__(self, adapter: str, layer: int, settings: Mapping[str, Value]) -> None:
        self.adapter = adapter
        self.layer = layer
        self.settings = settings
        self.calls: dict[int, StateCall] = {}
        """Calls in progress by root."""
        self.returning: dict[int, list[Offloaded]] = {}
        """Connections whose initiate completion has not returned, by number of that call."""
        self.objects: dict[int, Offloaded] = {}
        """Live objects by context."""
        self.by_location: dict[int, Offloaded] = {}
        """Objects being offloaded, and live ones."""
        self.by_handle: dict[int, Offloaded] = {}
        """The last object that was given a handle, gone or not."""
        self.by_ends: dict[Ends, Offloaded] = {}
        """The last connection of each pair of ends, gone or not."""
        self.owned: dict[int, Owned] = {}
        self.open: dict[int, Enter] = {}
        """Calls that have not returned, by number."""
        self.parameters: dict[str, Value] = {}
        """Of OID_TCP_CONNECTION_OFFLOAD_PARAMETERS."""
        self.parameters_tick = 0
        self.paused = False
        self.uploading = False
        self.resumed = 0
        """Tick of the last resume."""
        self.frames = 0
        """Frames of the port, both directions."""
        self.live_connections = 0
        self._frame: Frame | None = None
        self._found: tuple[Offloaded, WireSegment] | None = None
        """The last frame that was looked up, and what it was found to be."""

    # --- questions -------------------------------------------------------------------------------------

    def state_call(self, record: Enter) -> StateCall | None:
        """The call that a state completion ends, if its root names one of the right kind."""
        call = self.calls.get(record.tree.root) if record.tree is not None else None
        return call if call is not None and ndis.STATE_CALLS[call.function] == record.function else None

    def connection(self, context: int | None) -> Offloaded | None:
        """The live connection of a context."""
        found = self.objects.get(context) if context is not None else None
        return found if found is not None and found.level == ndis.TCP_LEVEL else None

    def named(self, node: Node) -> Offloaded | None:
        """The live object that a node of a tree names by its location or, where that is foreign, by its context."""
        if node.location is None:
            return None
        found = self.by_location.get(node.location)
        if found is None and node.context is not None:
            found = self.objects.get(node.context)
        return found if found is not None and found.live else None

    def terminated(self, tree: Tree, node: Node) -> Offloaded | None:
        """The object that a node of a completing terminate has ended.

        A terminate that came while the initiate was under way, or another terminate, ends none, whatever its place
        holds by now.
        """
        call, found = self.calls.get(tree.root), self.named(node)
        return found if call is not None and found in call.ends else None

    def of_frame(self, record: Frame) -> tuple[Offloaded, WireSegment] | None:
        """The connection, gone or not, of an undamaged frame."""
        if record is not self._frame:
            self._frame, self._found = record, self._look_up(record)
        return self._found

    def _look_up(self, record: Frame) -> tuple[Offloaded, WireSegment] | None:
        segment = read_segment(record.data)
        if segment is None or not segment.sums_right:
            return None
        ends = (segment.source, segment.destination) if record.sent else (segment.destination, segment.source)
        found = self.by_ends.get(ends)
        return None if found is None else (found, segment)

    @property
    def grace(self) -> int:
        """Ticks that a state-manipulation call may take without alarm at the end of a run."""
        return number(self.settings, "completion_ticks", GRACE_TICKS)

    @property
    def host_rate(self) -> Fraction | None:
        """Host ticks per record tick; None if it is not known what a record tick is."""
        host = number(self.parameters, "ticks_per_second", _DEFAULT_TICKS_PER_SECOND)
        own = self.settings.get("ticks_per_second")
        if isinstance(own, int) and own > 0:
            return _ratio(host, own)
        return _ratio(1, 1) if host == _DEFAULT_TICKS_PER_SECOND else None

    # --- taking records --------------------------------------------------------------------------------

    def take(self, record: Record) -> None:
        """Note what a record says."""
        if isinstance(record, Enter):
            self.open[record.call] = record
            self._enter(record)
        elif isinstance(record, Leave):
            entered = self.open.pop(record.call, None)
            if entered is not None:
                self._leave(entered)
        elif isinstance(record, Frame):
            self.frames += 1
            if not record.sent and (found := self.of_frame(record)) is not None:
                found[0].heard += 1

    def _enter(self, record: Enter) -> None:
        if record.function in ndis.STATE_CALLS and record.tree is not None:
            self._state_call(record, record.tree)
        elif record.function in ndis.STATE_COMPLETIONS and record.tree is not None:
            self._state_completion(record, record.tree)
        elif record.function in ndis.REQUESTS:
            self._request(record)
        elif record.function in ndis.COMPLETIONS:
            for nbl in record.lists:
                self.owned.pop(nbl.ident, None)
        elif record.function == ndis.EVENT:
            found = self.by_handle.get(record.target) if record.target is not None else None
            if found is not None:
                found.events.add(record.event, record.info, record.tick)
        elif record.function == ndis.STATUS:
            self._indicated(record)
        elif record.function == ndis.OID and record.oid == ndis.OID_PARAMETERS and record.flags & 1:
            self.parameters = dict(record.buffer)
            self.parameters_tick = record.tick

    def _leave(self, entered: Enter) -> None:
        if entered.function in ndis.STATE_CALLS and entered.tree is not None:
            call = self.calls.get(entered.tree.root)
            if call is not None and call.call == entered.call:
                call.returned = True
        for connection in self.returning.pop(entered.call, ()):
            connection.published = True

    def _indicated(self, record: Enter) -> None:
        if record.status == ndis.PAUSE:
            self.paused = True
        elif record.status == ndis.UPLOAD_ALL:
            self.paused = self.uploading = True
        elif record.status == ndis.RESUME:
            self.paused = self.uploading = False
            self.resumed = record.tick

    def _request(self, record: Enter) -> None:
        kind = ndis.REQUESTS[record.function]
        # one that is neither graceful nor abortive is of no connection (HOST-2.10)
        odd = kind == "disconnect" and record.flags not in ndis.DISCONNECTS
        connection = None if odd else self.connection(record.target)
        for nbl in record.lists:
            self.owned[nbl.ident] = Owned(kind, nbl, connection, record.tick)
        if connection is None:
            return
        if kind == "disconnect":
            connection.disconnects.append(record.flags)
        connection.posts += kind == "receive"
        connection.heard += kind == "forward"

    def _state_call(self, record: Enter, tree: Tree) -> None:
        call = StateCall(record.function, tree, record.order, record.tick, record.call, while_paused=self.paused)
        if record.function == ndis.INITIATE:
            others = [other for other in self.calls.values() if other.function == ndis.INITIATE]
            for other in others:
                other.overlapped = True
            call.overlapped = bool(others)
            self._initiate(record, tree, call)
        elif record.function in (ndis.TERMINATE, ndis.UPDATE):
            for node, above in depth_first(tree):
                found = self.named(node)
                if found is None:
                    continue
                if record.function == ndis.TERMINATE:
                    if not found.terminate_asked:
                        call.ends.append(found)
                    found.terminate_asked = True
                    found.stage = Stage.TERMINATING
                    continue
                if node.cached is not None:
                    found.proposed.append(node.cached)
                neighbor = self.named(above) if above is not None and found.level == ndis.PATH_LEVEL else None
                if neighbor is not None and neighbor not in found.links:
                    found.links.append(neighbor)
        self.calls[tree.root] = call

    def _initiate(self, record: Enter, tree: Tree, call: StateCall) -> None:
        objects: dict[int, Offloaded] = {}
        for node, parent in depth_first(tree):
            below = objects.get(parent.ident) if parent is not None else None
            if node.location is not None and is_new(node):
                new = self._object(node, node.location, below, record.tick)
                objects[node.ident] = call.new[node.ident] = new
                for nbl in node.chain:
                    self.owned[nbl.ident] = Owned("send", nbl, new, record.tick, inherited=True)
            else:
                existing = self.named(node)
                if existing is not None:
                    objects[node.ident] = existing

    def _object(self, node: Node, location: int, parent: Offloaded | None, tick: int) -> Offloaded:
        level = level_of(node) or ndis.TCP_LEVEL
        states = (node.const or {}, node.cached or {}, node.delegated or {})
        new = Offloaded(level, location, node.handle, *states, parent, tick, node.chain, node.buffered)
        self.by_location[location] = new
        if node.handle is not None:
            self.by_handle[node.handle] = new
        if level == ndis.TCP_LEVEL:
            new.ends = self._ends(new)
            if new.ends is not None:
                self.by_ends[new.ends] = new
        return new

    def _ends(self, new: Offloaded) -> Ends | None:
        path = new.parent
        if path is None:
            return None
        own, peer = octets(path.const, "source_address"), octets(path.const, "destination_address")
        if (len(own), len(peer)) not in ndis.ADDRESS_BYTES:
            return None
        ports = number(new.const, "local_port"), number(new.const, "remote_port")
        if self.settings.get("ports_in_network_order", 1):  # G-10
            ports = ndis.swapped(ports[0]), ndis.swapped(ports[1])
        return (int.from_bytes(own, "big"), ports[0]), (int.from_bytes(peer, "big"), ports[1])

    def _state_completion(self, record: Enter, tree: Tree) -> None:
        call = self.state_call(record)
        if call is None:
            return
        if call.function == ndis.INITIATE:
            self._initiated(record, tree, call)
        elif call.function == ndis.TERMINATE:
            for node, _ in depth_first(tree):
                found = self.terminated(tree, node)
                if found is not None:
                    self._ended(found, node)
        elif call.function == ndis.UPDATE:
            self._updated(record, tree, call)
        del self.calls[tree.root]

    def _initiated(self, record: Enter, tree: Tree, call: StateCall) -> None:
        for ident, new in call.new.items():
            node = tree.nodes.get(ident)
            if node is None or node.status not in ndis.OFFLOADED or not node.context:
                self._forget(new)
                for nbl in new.chain:
                    self.owned.pop(nbl.ident, None)
                continue
            new.context, new.stage, new.completed = node.context, Stage.LIVE, record.tick
            self.objects[node.context] = new
            self.returning.setdefault(record.call, []).append(new)
            self.live_connections += new.level == ndis.TCP_LEVEL

    def _forget(self, gone: Offloaded) -> None:
        gone.stage = Stage.GONE
        if self.by_location.get(gone.location) is gone:
            del self.by_location[gone.location]

    def _ended(self, gone: Offloaded, node: Node) -> None:
        self.live_connections -= gone.level == ndis.TCP_LEVEL
        self._forget(gone)
        if gone.context is not None and self.objects.get(gone.context) is gone:
            del self.objects[gone.context]
        for nbl in node.chain:
            self.owned.pop(nbl.ident, None)

    def _updated(self, record: Enter, tree: Tree, call: StateCall) -> None:
        for asked, above in depth_first(call.tree):
            found = self.named(asked)
            if found is None:
                continue
            answered = tree.nodes.get(asked.ident)
            done = answered is not None and answered.status == ndis.SUCCESS
            if asked.cached is not None:
                if asked.cached in found.proposed:
                    found.proposed.remove(asked.cached)
                if done:
                    found.versions.append((found.cached, record.order))
                    found.cached = {**found.cached, **asked.cached}
            below = self.named(above) if above is not None else None
            if done and below is not None and found.level == ndis.PATH_LEVEL and found.parent is not below:
                if found.parent is not None and found.parent not in found.links:
                    found.links.append(found.parent)
                found.parent = below
