"""Objects that are offloaded, requests that are outstanding, calls in progress: what the books of a face hold."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.acceptance import Answer, Recent
from tb.monitors.contract.pending import Pending
from tb.monitors.contract.raised import Raised
from tb.monitors.contract.stream_books import ReceiveStream, SendStream, number_of
from tb.monitors.contract.trace import List, Node, State, Tree, Value
from tb.monitors.wire_headers import ACK, RST, SYN, URG, WireSegment

GRACE: Final = 40
"""Ticks for which a frame that was built before a change may still be on its way to the wire.

A simulation has about a hundred cycles a tick, a frame of 1500 bytes takes up to 190, and two dozen may wait.
"""
PROMPT: Final = 60
"""Ticks within which the target does what nothing holds back."""
SETTLED: Final = 100
"""Ticks after which a segment that came in counts in all that the target reports."""
DUTY: Final = 250
"""Ticks, beyond `SETTLED`, within which an acknowledgment brings a request back."""

Flow = tuple[tuple[int, int], tuple[int, int]]
"""Own and peer (IPv4 address, port)."""


class Phase(Enum):
    """Where an object stands."""

    COMING = "being offloaded"
    LIVE = "offloaded"
    LEAVING = "being terminated"
    GONE = "terminated"


class Item:
    """An object that is offloaded or on its way: a neighbor, a path, a connection."""

    def __init__(self, node: Node, below: Item | None) -> None:
        self.level = ndis.level(node.type)
        self.context: int | None = node.context
        self.const: State = node.const or {}
        self.cached: State = node.cached or {}
        self.phase = Phase.COMING
        self.below = below
        """What it depends on: the path of a connection, the neighbor of a path."""
        self.coming: list[State] = []
        """Cached variables of updates in progress."""
        self.replaced: list[tuple[State, int]] = []
        """Cached variables of before, with the tick up to which a frame may still show them."""
        self.links: list[tuple[Item | None, int]] = []
        """What it depended on before, or will, with the same kind of tick (-1: the relink is in progress)."""
        self.updates = 0
        self.queries = 0
        """In progress."""
        self.invalid: int | None = None
        """Tick at which an invalidate of it completed."""
        self.invalidating = False
        self.disconnected = False
        """A disconnect of it completed."""

    @property
    def known(self) -> bool:
        """The host may name it: offloaded and not terminated."""
        return self.phase in (Phase.LIVE, Phase.LEAVING)

    def accepted(self, name: str, tick: int) -> set[Value]:
        """Values of a cached variable that a frame sent at ``tick`` may show (G-02)."""
        states = [self.cached, *self.coming, *(state for state, until in self.replaced if tick <= until)]
        return {state[name] for state in states if name in state}

    def aboves(self, tick: int) -> set[Item]:
        """Objects that it may depend on at ``tick``, relinks included."""
        links = {self.below, *(item for item, until in self.links if until < 0 or tick <= until)}
        return {item for item in links if item is not None}

    def chain(self) -> Iterator[Item]:
        """The object and all it depends on."""
        item: Item | None = self
        while item is not None:
            yield item
            item = item.below

    @property
    def invalid_since(self) -> int | None:
        """Tick since which it, or something it depends on, is invalid."""
        ticks = [item.invalid for item in self.chain() if item.invalid is not None]
        return min(ticks) if ticks else None


@dataclass(eq=False, slots=True)
class Request:
    """A NET_BUFFER_LIST that was given to the target and has not come back."""

    kind: str
    list: List
    conn: Connection | None
    number: int
    """Counts the requests of a connection."""
    call: int
    order: int
    tick: int
    flags: int = 0
    start: int = 0
    end: int = 0
    """Place in the send stream."""
    late: bool = False
    """Send or graceful disconnect behind a FIN or a terminate: nothing of it can go out (7.2, G-23, 6.2)."""

    @property
    def graceful(self) -> bool:
        """A disconnect that is not abortive."""
        return self.kind == "disconnect" and not self.flags & ndis.ABORTIVE


class Connection(Item):
    """An offloaded TCP connection."""

    def __init__(self, node: Node, below: Item | None, tick: int) -> None:
        super().__init__(node, below)
        self.delegated: State = node.delegated or {}
        self.handle = node.handle
        self.began = tick
        """Tick of the initiate call."""
        self.placed = tick
        """Tick of its completion."""
        self.on_wire = False
        """Its frames can be told: the path has IPv4 addresses."""
        self.tx = SendStream(node.const, node.delegated)
        buffered = sum(nbl.data_length for nbl in node.buffered)
        self.rx = ReceiveStream(node.const, node.delegated, buffered)
        self.requests: Pending[Request] = Pending()
        """Outstanding, by identity, in order of submission."""
        self.submitted = 0
        self.sends = 0
        """Sends ever given, inherited ones included."""
        self.events = Raised()
        self.aborted: int | None = None
        """Record in which TcpIndicateAbort was raised."""
        self.leaving: int | None = None
        """Record in which the host called terminate."""
        self.abortive: int | None = None
        """Record of the first abortive disconnect."""
        self.abortive_tick = 0
        self.graceful: Request | None = None
        """First graceful disconnect."""
        self.reset_in = False
        """An RST came that may lie at RCV.NXT."""
        self.syn_in = False
        """A SYN did."""
        self.challenged = False
        """An RST or SYN came that may have been answered by a challenge ACK."""
        self.reset_out: int | None = None
        """Tick of the last RST that the target sent."""
        self.indications: set[int] = set()
        """Indications and events in progress, by call."""
        self.acknowledged = 0
        """What the peer acknowledged so long ago that the target knows it: a lower bound of SndUna."""
        self._fresh: deque[tuple[int, int]] = deque()
        """(tick, position) of acknowledgments that the target must take but may not have seen yet."""
        self._recent = Recent(node.const, node.delegated, tick)

    def interrupt(self, seg: WireSegment) -> None:
        """A segment came in (the streams have it): RST and SYN count where RCV.NXT may be (RFC 5961, 3 and 4)."""
        self.challenged |= bool(seg.flags & (RST | SYN))
        if self.rx.acked <= self.rx.place(seg.sequence) <= self.rx.all.contiguous:
            self.reset_in |= bool(seg.flags & RST)
            self.syn_in |= bool(seg.flags & SYN)

    def settle(self, tick: int) -> None:
        """Time has passed, and nothing up to now kept the target from taking what came in."""
        if not self.running:
            self._fresh.clear()
        while self._fresh and self._fresh[0][0] + SETTLED < tick:
            self.acknowledged = max(self.acknowledged, self._fresh.popleft()[1])

    def _plain(self, seg: WireSegment, tci: int | None) -> bool:
        """The segment is one whose stamp may count: neither reset nor SYN, and of the connection's VLAN."""
        if not seg.flags & ACK or seg.flags & (RST | SYN | URG):
            return False
        neighbor = None if self.below is None else self.below.below
        vlan = 0 if neighbor is None else number_of(neighbor.const, "vlan_id")
        return not vlan or (tci is not None and tci & 0xFFF == vlan)

    def acceptable(self, seg: WireSegment, tick: int, tci: int | None) -> bool:
        """Whatever RCV.NXT is, the segment passes the checks of RFC 9293, 3.10.7.4, PAWS and the VLAN filter."""
        if not self._plain(seg, tci):
            return False
        passes = self._recent.passes(seg.stamps, tick)
        start, nxt = self.rx.place(seg.sequence), self.rx.all.contiguous
        inside = start == nxt or nxt < start < self.rx.edge or start < nxt < start + seg.payload_length
        taken = passes is Answer.YES and inside
        surely = (
            taken and start <= self.rx.acked and self.tx.acked <= self.tx.place(seg.acknowledgment) <= self.tx.sent_max
        )
        self._recent.took(seg.stamps, tick, Answer.YES if surely else min(passes, Answer.PERHAPS))
        return taken

    def hear(self, seg: WireSegment, tick: int, tci: int | None) -> None:
        """A segment came in (before the streams have it): its acknowledgment will count."""
        place = self.tx.place(seg.acknowledgment)
        if self.acceptable(seg, tick, tci) and self.tx.acked <= place <= self.tx.sent_max:
            self._fresh.append((tick, place))

    def overhear(self, seg: WireSegment, tick: int, tci: int | None) -> None:
        """A segment came in a crowd and may have been dropped: its stamp may count, its acknowledgment need not."""
        if self._plain(seg, tci):
            self._recent.took(seg.stamps, tick, min(self._recent.passes(seg.stamps, tick), Answer.PERHAPS))

    @property
    def closed(self) -> bool:
        """The FINs of both ends are over: the connection is the host's, whether the target asks for it or not."""
        theirs = self.events.had(ndis.DISCONNECT_EVENT)
        theirs |= number_of(self.delegated, "state", ndis.ESTABLISHED) in ndis.AFTER_PEER_FIN
        return theirs and self.tx.fin is not None and self.tx.acked > self.tx.fin

    @property
    def asked_for_upload(self) -> bool:
        """The target raised TcpIndicateRetrieve."""
        return self.events.had(ndis.RETRIEVE_EVENT)

    def raised(self, reason: int) -> bool:
        """The target raised TcpIndicateRetrieve with this reason."""
        return self.events.had(ndis.RETRIEVE_EVENT, reason)

    def outstanding(self, kind: str) -> list[Request]:
        """Outstanding requests of a kind, in order."""
        return self.requests.of(kind)

    @property
    def running(self) -> bool:
        """The target is to serve it: offloaded, valid, neither reset nor aborted nor given up."""
        ended = self.aborted is not None or self.abortive is not None or self.reset_in or self.syn_in
        return self.phase is Phase.LIVE and not self.events.stopped and not ended and self.invalid_since is None


@dataclass(eq=False, slots=True)
class StateCall:
    """A state-manipulation call in progress."""

    function: str
    tree: Tree
    order: int
    tick: int
    items: dict[int, Item] = field(default_factory=dict)
    """By identity of the node: objects it names or will name."""
    changed: set[Item] = field(default_factory=set)
    """Of an update: objects that get cached variables or another neighbor. A linker on the way to them is none."""
    overlaps: set[Item] = field(default_factory=set)
    """Objects on which another call of the kind was in progress when it came."""
    beside: bool = False
    """Another call of the kind, for other objects, was in progress."""

    @property
    def connections(self) -> list[Connection]:
        """Connections that it names."""
        return [item for item in self.items.values() if isinstance(item, Connection)]


def walk(tree: Tree) -> Iterator[tuple[Node, Node | None]]:
    """Nodes with the node they depend on, depth first, each once whatever the links say."""
    seen: set[int] = set()
    waiting: list[tuple[int | None, Node | None]] = [(tree.root, None)]
    while waiting:
        ident, above = waiting.pop()
        node = None if ident is None or ident in seen else tree.nodes.get(ident)
        if node is None:
            continue
        seen.add(node.ident)
        yield node, above
        waiting.append((node.next, above))
        waiting.append((node.dependents, node))


def flows_of(conn: Connection) -> list[Flow]:
    """A connection's flow: ports in network order (G-10), and in host order where the trace has them so."""
    const = {} if conn.below is None else conn.below.const
    own, peer = const.get("source_address"), const.get("destination_address")
    if not isinstance(own, bytes) or not isinstance(peer, bytes) or (len(own), len(peer)) not in ndis.ADDRESS_BYTES:
        return []
    local, remote = number_of(conn.const, "local_port"), number_of(conn.const, "remote_port")
    ends = int.from_bytes(own, "big"), int.from_bytes(peer, "big")
    orders = dict.fromkeys([(ndis.swapped(local), ndis.swapped(remote)), (local, remote)])
    return [((ends[0], ports[0]), (ends[1], ports[1])) for ports in orders]
