"""What the books hold: offloaded objects, requests, connections with their two byte streams, calls under way.

Positions of a connection count from the hand-over, differences modulo 2^32: the send stream from SndUna, the receive
stream from RcvNxt. What was received is an upper bound of what the target has dealt with (a received frame may still
wait in it, or have been dropped for lack of room).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.trace import List, Node, State, Tree
from tb.monitors.wire_headers import ACK, FIN, PSH, RST, SYN, WireSegment

_HISTORY: Final = 2048
"""Received pieces of one connection that are remembered."""
_ANYWHERE: Final = 1 << 31
_KEPT: Final = 1 << 16
"""Delivered bytes are forgotten in pieces of this size."""


def signed(number: int, origin: int) -> int:
    """``number - origin`` in sequence space: the difference modulo 2^32 that lies nearest to zero."""
    return (number - origin + 0x80000000) % 0x100000000 - 0x80000000


def whole(state: State | None, name: str, default: int = 0) -> int:
    """A numeric variable of a state structure; ``default`` where it is not there."""
    value = None if state is None else state.get(name)
    return value if isinstance(value, int) else default


def octets(state: State | None, name: str) -> bytes:
    """A variable of bytes; empty where it is not there."""
    value = None if state is None else state.get(name)
    return value if isinstance(value, bytes) else b""


def walk(tree: Tree) -> Iterator[tuple[Node, Node | None]]:
    """Nodes with their parents, depth first, next sibling after; a node is visited once, whatever the links say."""
    seen: set[int] = set()
    waiting: list[tuple[int | None, Node | None]] = [(tree.root, None)]
    while waiting:
        ident, parent = waiting.pop()
        node = tree.nodes.get(ident) if ident is not None and ident not in seen else None
        if node is None:
            continue
        seen.add(node.ident)
        yield node, parent
        waiting.append((node.next, parent))
        waiting.append((node.dependents, node))


def ip_offset(frame: bytes) -> int:
    """Where the IP header begins: behind 14 bytes of Ethernet header, or 18 with a tag."""
    return 18 if frame[12:14] == b"\x81\x00" else 14


def payload_of(frame: bytes, seg: WireSegment) -> bytes:
    """The TCP payload of a frame that holds ``seg``."""
    return frame[seg.payload_at : seg.payload_at + seg.payload_length]


class Phase(Enum):
    """Where an offloaded object stands."""

    OFFLOADING = "offloading"
    RUNNING = "running"
    TERMINATING = "terminating"
    GONE = "gone"


@dataclass(eq=False)
class Thing:
    """An offloaded neighbor, path or connection."""

    level: int
    context: int | None
    location: int | None
    handle: int | None
    const: State
    cached: State
    delegated: State
    """As at the hand-over."""
    parent: Thing | None = None
    children: list[Thing] = field(default_factory=list)
    phase: Phase = Phase.OFFLOADING
    invalid_since: int | None = None
    """Tick of the completed invalidate of the object itself."""
    older: list[tuple[State, int]] = field(default_factory=list)
    """Cached states of before, each with the tick at which an update replaced it."""
    newer: list[State] = field(default_factory=list)
    """Cached states of updates under way."""
    moved: int | None = None
    """Tick of the last relink to another neighbor."""

    @property
    def live(self) -> bool:
        """Offloaded, and not terminated."""
        return self.phase in (Phase.RUNNING, Phase.TERMINATING)

    def versions(self, tick: int, grace: int = 1) -> list[State]:
        """Cached states that a frame sent at ``tick`` may show."""
        return [self.cached, *self.newer, *(state for state, until in self.older[-4:] if tick <= until + grace)]

    def invalid_at(self) -> int | None:
        """Since when the object, or what it depends on, is invalid (tick)."""
        ticks = [t for thing in self.chain() if (t := thing.invalid_since) is not None]
        return min(ticks) if ticks else None

    def chain(self) -> Iterator[Thing]:
        """The object and what it depends on."""
        thing: Thing | None = self
        while thing is not None:
            yield thing
            thing = thing.parent


@dataclass(eq=False)
class Request:
    """A NET_BUFFER_LIST at the target. ``start`` to ``end`` is its place in the send stream (a FIN not counted)."""

    kind: str
    nbl: List
    connection: Connection | None
    order: int
    tick: int
    call: int
    flags: int = 0
    start: int = 0
    end: int = 0
    number: int = 0
    """Running number of the connection's requests."""
    inherited: bool = False
    returned: bool = False
    status: int | None = None

    @property
    def graceful(self) -> bool:
        """A disconnect that is not abortive."""
        return self.kind == "disconnect" and not self.flags & ndis.ABORTIVE

    def advanced(self, now: List) -> list[int]:
        """Bytes by which the data start of each NET_BUFFER has moved since the request was made."""
        before = {buffer.ident: buffer for buffer in self.nbl.buffers}
        return [before[b.ident].data_length - b.data_length for b in now.buffers if b.ident in before]


@dataclass(frozen=True)
class Arrival:
    """A piece of the receive stream that came in, by position."""

    start: int
    end: int
    tick: int
    psh: bool
    filled: bool
    """It closed a gap, so that later bytes came in order with it."""


@dataclass(eq=False)
class Connection(Thing):
    """A TCP connection from its initiate on."""

    adapter: str = ""
    flow: tuple[tuple[int, int], tuple[int, int]] | None = None
    began: int = 0
    begins: int = 0
    """Ticks of the initiate call and of its completion."""
    ended: int = 0
    """Tick of the completed terminate."""
    terminate_order: int | None = None
    terminate_tick: int = 0
    times: int = 1
    """How many times this flow was offloaded, this time included."""
    requests: dict[int, Request] = field(default_factory=dict)
    """Outstanding ones by identity, in order of submission."""
    stream: list[Request] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    queued: int = 0
    """Bytes that the host gave to send, from the hand-over on."""
    closed: bool = False
    """The host asked for a FIN, here or before the hand-over."""
    events: list[tuple[int, int, int]] = field(default_factory=list)
    """Event type, info and order."""
    calls: int = 0
    """Indications and events in progress."""
    touched: set[str] = field(default_factory=set)
    """Names of the calls that were made on the connection, down and up."""
    posts: int = 0
    submitted: int = 0
    # the wire
    sent_max: int = 0
    fin_sent: int | None = None
    acked: int = 0
    edge: int | None = None
    stamp: tuple[int, int] | None = None
    """Timestamp of the least delayed frame sent, and the tick at which it left."""
    una: int = 0
    contiguous: int = 0
    fin_in: int | None = None
    fin_order: int = 0
    reset_in: bool = False
    windows: set[int] = field(default_factory=set)
    send_edge: int = 0
    """Rightmost edge of the peer's window ever."""
    told_edge: int = 0
    """Its edge as the newest acknowledgment tells it: further left where the peer shrank its window."""
    widest: int = 0
    """The largest window of the peer since the hand-over, bytes."""
    opened: int = 0
    """Tick at which what was acknowledged, or that edge, moved last."""
    beyond: list[tuple[int, int]] = field(default_factory=list)
    pieces: dict[int, bytes] = field(default_factory=dict)
    arrivals: deque[Arrival] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    received: bytearray = field(default_factory=bytearray)
    forgotten: int = 0
    heard: int = 0
    """Frames and forwarded segments received."""
    inherited_bytes: int = 0
    delivered: int = 0
    """Bytes that the client got since the hand-over, inherited ones included."""

    @property
    def initial_fin(self) -> int:
        """1 if RcvNxt counted the peer's FIN at the hand-over already (G-43)."""
        return int(whole(self.delegated, "state", ndis.ESTABLISHED) in ndis.AFTER_PEER_FIN)

    @property
    def aborted(self) -> bool:
        """TcpIndicateAbort was raised, or the host called for an abort."""
        return "abortive" in self.touched or any(event == ndis.ABORT_EVENT for event, _, _ in self.events)

    @property
    def stopped(self) -> bool:
        """A mandatory upload reason was raised: the target processes no more (2.12)."""
        return any(event == ndis.RETRIEVE_EVENT and info in ndis.MANDATORY for event, info, _ in self.events)

    def raised(self, event: int, info: int | None = None) -> bool:
        """The event was raised, with this information if given."""
        return any(e == event and info in (None, i) for e, i, _ in self.events)

    def outstanding(self, kind: str) -> list[Request]:
        """Requests of a kind that are not back yet, in order."""
        return [request for request in self.requests.values() if request.kind == kind]

    def first(self, kind: str) -> Request | None:
        """The oldest outstanding request of a kind."""
        return next((request for request in self.requests.values() if request.kind == kind), None)

    def flag(self, bit: int) -> bool:
        """A flag of the CONST state."""
        return bool(whole(self.const, "flags") & bit)

    def send_place(self, number: int) -> int:
        """The position of a sequence number in the send stream."""
        base = whole(self.delegated, "snd_una")
        return self.sent_max + signed(number, base + self.sent_max)

    def receive_place(self, number: int) -> int:
        """The position of a sequence number in the receive stream."""
        base = whole(self.delegated, "rcv_nxt")
        return self.contiguous + signed(number, base + self.contiguous)

    def undelivered(self, position: int, fin: int) -> int:
        """Bytes before ``position`` of the receive stream (which counts ``fin``) that the client has not got."""
        return position - fin + self.initial_fin + self.inherited_bytes - self.delivered

    def tail(self, count: int, position: int, fin: int) -> bytes | None:
        """The ``count`` last bytes of data before ``position``, None where they are not all known."""
        end = position - fin + self.initial_fin + self.inherited_bytes - self.forgotten
        return bytes(self.received[end - count : end]) if end >= count and end <= len(self.received) else None

    def sent_bytes(self, start: int, count: int) -> bytes | None:
        """What the host gave to send at ``start``, None where it is not (all) in the trace."""
        out = b""
        while count > 0:
            at = bisect_right(self.starts, start) - 1
            if at < 0 or start >= self.stream[at].end or len(self.stream[at].nbl.data) != self._length(at):
                return None
            request = self.stream[at]
            piece = request.nbl.data[start - request.start : start - request.start + count]
            out, start, count = out + piece, start + len(piece), count - len(piece)
        return out

    def _length(self, at: int) -> int:
        return self.stream[at].end - self.stream[at].start

    def add(self, request: Request) -> None:
        """A request was submitted, or came with the hand-over."""
        self.submitted += 1
        request.number = self.submitted
        self.requests[request.nbl.ident] = request

    @property
    def closed_before(self) -> bool:
        """It was handed over behind its own FIN: no byte has a place behind that (7.2)."""
        return whole(self.delegated, "state") in ndis.AFTER_OWN_FIN

    def queue(self, request: Request) -> None:
        """A request for data to be sent takes its place in the stream; behind the FIN there is none (HOST-7.2)."""
        request.start = request.end = self.queued
        if self.closed:
            return
        self.closed = request.graceful
        self.queued = request.end = self.queued + request.nbl.data_length
        if request.end > request.start:
            self.starts.append(request.start)
            self.stream.append(request)

    def consume(self, count: int) -> None:
        """The client got ``count`` bytes."""
        self.delivered += count
        if self.delivered - self.forgotten > 2 * _KEPT:
            self.forgotten += _KEPT
            del self.received[:_KEPT]

    # --- frames ----------------------------------------------------------------------------------------

    def hear(self, seq: int, flags: int, payload: bytes, tick: int, order: int) -> None:
        """A segment came in, from the wire or forwarded."""
        self.heard += 1
        start = self.receive_place(seq)
        end = start + len(payload)
        self.reset_in |= bool(flags & RST)
        if flags & (RST | SYN):
            return
        if payload:
            filled = bool(self.beyond) and start <= self.contiguous < end
            self.arrivals.append(Arrival(start, end, tick, bool(flags & PSH), filled))
            self._place(start, end, payload)
        edge = max(self.edge or 0, whole(self.delegated, "rcv_wnd", _ANYWHERE))
        if flags & FIN and self.fin_in is None and 0 <= end <= edge:
            self.fin_in, self.fin_order = end, order

    def _place(self, start: int, end: int, payload: bytes) -> None:
        if start > self.contiguous:
            insort(self.beyond, (start, end))
            self.pieces[start] = max(payload, self.pieces.get(start, b""), key=len)
            return
        self._extend(start, end, payload)
        while self.beyond and self.beyond[0][0] <= self.contiguous:
            low, high = self.beyond.pop(0)
            self._extend(low, high, self.pieces.get(low, b""))
            if not (self.beyond and self.beyond[0][0] == low):
                self.pieces.pop(low, None)

    def _extend(self, start: int, end: int, payload: bytes) -> None:
        if end > self.contiguous:
            self.received += payload[self.contiguous - start : end - start]
            self.contiguous = end

    @property
    def in_order(self) -> int:
        """The position behind all that came in without a gap, the peer's FIN included."""
        return self.contiguous + int(self.fin_in is not None and self.fin_in == self.contiguous)

    def acknowledge(self, ack: int, window: int, tick: int) -> None:
        """An acknowledgment came in; ``window`` as on the wire."""
        place = self.una + signed(ack, whole(self.delegated, "snd_una") + self.una)
        shift = whole(self.const, "snd_wind_scale") if self.flag(ndis.WINDOW_SCALING) else 0
        self.windows.add(window << shift)
        if place > max(self.sent_max, self.queued + 1):
            return
        before = self.una, self.send_edge
        self.una = max(self.una, place)
        if place == self.una:
            self.told_edge = place + (window << shift)
        self.send_edge = max(self.send_edge, place + (window << shift))
        self.widest = max(self.widest, window << shift)
        if before != (self.una, self.send_edge):
            self.opened = tick

    @property
    def can_override(self) -> bool:
        """With nothing in flight something fits the window: the override timer sends it, silly or not (E-3)."""
        return self.queued > self.una >= self.sent_max and self.send_edge > self.una

    @property
    def must_send(self) -> bool:
        """With nothing in flight no silly window holds it back (MUST-38): room for all, a segment, half the widest."""
        waiting = self.queued - self.una
        enough = min(waiting, whole(self.const, "remote_mss", ndis.DEFAULT_MSS))
        widest = max(self.widest, whole(self.delegated, "max_snd_wnd"), whole(self.delegated, "snd_wnd"))
        room = self.send_edge - self.una
        fits = room >= enough or (room > 0 and 2 * room >= widest)
        return waiting > 0 and self.una >= self.sent_max and fits

    def _clock(self, value: int, tick: int) -> None:
        """The least delayed frame says best what the target's clock shows: others waited longer for the wire."""
        if self.stamp is None or signed(value, self.stamp[0]) >= tick - self.stamp[1]:
            self.stamp = (value, tick)

    def speak(self, seg: WireSegment, tick: int) -> None:
        """The target sent a segment of the connection."""
        if seg.stamps is not None:
            self._clock(seg.stamps[0], tick)
        if seg.flags & (RST | SYN):
            return
        start = self.send_place(seg.sequence)
        end = start + seg.payload_length
        if seg.flags & FIN and self.fin_sent is None:
            self.fin_sent = end
        self.sent_max = max(self.sent_max, end + (seg.flags & FIN))
        if seg.flags & ACK:
            ack = self.receive_place(seg.acknowledgment)
            self.acked = max(self.acked, ack)
            shift = whole(self.const, "rcv_wind_scale") if self.flag(ndis.WINDOW_SCALING) else 0
            self.edge = max(self.edge if self.edge is not None else ack, ack + (seg.window << shift))


@dataclass(eq=False)
class StateCall:
    """A state-manipulation call under way."""

    function: str
    tree: Tree
    order: int
    tick: int
    things: list[Thing]
    connections: list[Connection] = field(default_factory=list)
