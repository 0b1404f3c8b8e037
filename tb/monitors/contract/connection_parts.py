"""What the books hold: offloaded objects, requests, connections with their two byte streams, calls under way.

Positions of a connection count from the hand-over, differences modulo 2^32: the send stream from SndUna, the receive
stream from RcvNxt. What was received is an upper bound of what the target has dealt with (a received frame may still
wait in it, or have been dropped for lack of room); segments that no receiver takes (`acceptance`) are left out.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from itertools import takewhile
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.acceptance import Answer, Bounds, Early, Fins, Gate, Held
from tb.monitors.contract.pending import Pending
from tb.monitors.contract.raised import Raised
from tb.monitors.contract.receive_stream import Stream
from tb.monitors.contract.trace import List, Node, State, Tree
from tb.monitors.wire_headers import ACK, FIN, PSH, RST, SYN, WireSegment

_ANYWHERE: Final = 1 << 31
_HISTORY: Final = 2048
"""Received pieces of one connection that are remembered."""


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
    invalid_order: int = 0
    """The place of that completion in the trace."""
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

    def versions(self, tick: int, grace: int) -> list[State]:
        """Cached states that a frame sent at ``tick`` may show: an older one for ``grace`` ticks."""
        recent = takewhile(lambda old: tick <= old[1] + grace, reversed(self.older))
        return [self.cached, *self.newer, *(state for state, _ in recent)]

    def invalid_at(self) -> int | None:
        """Since when the object, or what it depends on, is invalid (tick)."""
        ticks = [t for thing in self.chain() if (t := thing.invalid_since) is not None]
        return min(ticks) if ticks else None

    def called_when_invalid(self, request: Request) -> bool:
        """The call came behind the completion of an invalidate of the object, or of what it depends on."""
        return any(t.invalid_since is not None and request.order > t.invalid_order for t in self.chain())

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
    requests: Pending[Request] = field(default_factory=Pending)
    """Outstanding ones by identity, in order of submission."""
    stream: list[Request] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    queued: int = 0
    """Bytes that the host gave to send, from the hand-over on."""
    closed: bool = False
    """The host asked for a FIN, here or before the hand-over."""
    events: Raised = field(default_factory=Raised)
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
    fins: Fins = field(default_factory=Fins)
    """Where the peer's FIN may lie, unless RcvNxt counted it at the hand-over."""
    reset_in: bool = False
    """An RST came that may lie at RCV.NXT."""
    windows: set[int] = field(default_factory=set)
    send_edge: int = 0
    """Rightmost edge of the peer's window ever."""
    told_edge: int = 0
    """Its edge as the newest acknowledgment tells it: further left where the peer shrank its window."""
    widest: int = 0
    """The largest window of the peer since the hand-over, bytes."""
    opened: int = 0
    """Tick at which what was acknowledged, or that edge, moved last."""
    arrivals: deque[Arrival] = field(default_factory=lambda: deque(maxlen=_HISTORY))
    received: Stream = field(default_factory=lambda: Stream(0, 0))
    """The peer's bytes, those that came with the hand-over before position 0."""
    early: Early[tuple[WireSegment, bytes, int]] = field(default_factory=Early)
    heard: int = 0
    """Frames and forwarded segments received."""
    inherited_bytes: int = 0
    delivered: int = 0
    """Bytes that the client got since the hand-over, inherited ones included."""

    def __post_init__(self) -> None:
        self.gate = Gate(self.const, self.delegated, self.began, 0)

    @property
    def contiguous(self) -> int:
        """The position behind all data that came in without a gap."""
        return self.received.end

    @property
    def beyond(self) -> bool:
        """Data came in beyond a gap."""
        return bool(self.received.beyond)

    @property
    def fin_in(self) -> int | None:
        """Where the peer's FIN lies, once the target has it: acknowledged, where no text can be, or told."""
        return self.fins.known

    @property
    def fin_near(self) -> bool:
        """The target may have the peer's FIN."""
        return self.fins.within(self.contiguous)

    def fin_counted(self, position: int, state: int) -> int | None:
        """1 if ``position`` of the receive stream, reported in TCP state ``state``, counts a FIN; None: not known."""
        if self.initial_fin or state in ndis.AFTER_PEER_FIN:
            return 1
        if not self.fins.at(position - 1):
            return 0
        if self.fin_in is not None or position > self.contiguous:
            return 1
        return None if state == ndis.CLOSED else 0  # a far end sent a FIN and text for the same number

    @property
    def initial_fin(self) -> int:
        """1 if RcvNxt counted the peer's FIN at the hand-over already (G-43)."""
        return int(whole(self.delegated, "state", ndis.ESTABLISHED) in ndis.AFTER_PEER_FIN)

    @property
    def aborted(self) -> bool:
        """TcpIndicateAbort was raised, or the host called for an abort."""
        return "abortive" in self.touched or self.events.had(ndis.ABORT_EVENT)

    @property
    def stopped(self) -> bool:
        """A mandatory upload reason was raised: the target processes no more (2.12)."""
        return self.events.stopped

    def raised(self, event: int, info: int | None = None) -> bool:
        """The event was raised, with this information if given."""
        return self.events.had(event, info)

    def outstanding(self, kind: str) -> list[Request]:
        """Requests of a kind that are not back yet, in order."""
        return self.requests.of(kind)

    def first(self, kind: str) -> Request | None:
        """The oldest outstanding request of a kind."""
        return self.requests.first(kind)

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

    def holds(self, data: bytes, position: int, fin: int) -> bool:
        """``data`` is the last data before ``position``, as far as it is known (see `Stream.same`)."""
        end = position - fin + self.initial_fin
        return self.received.same(end - len(data), data) is not False

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
        self._revive(request.tick)

    def consume(self, count: int) -> None:
        """The client got ``count`` bytes."""
        self.delivered += count
        place = self.delivered - self.inherited_bytes
        self.received.forget(place)
        self.fins.passed(place + 1)

    # --- frames ----------------------------------------------------------------------------------------

    def bounds(self) -> Bounds:
        """What the target holds lies between these."""
        window = whole(self.delegated, "rcv_wnd", _ANYWHERE)
        edge = window if self.edge is None else self.edge
        sizes = [whole(state, "initial_rcv_wnd") for state in (self.cached, *self.newer, *(s for s, _ in self.older))]
        farthest = max(edge, self.contiguous + max(window, *sizes))
        least = max(self.acked, self.delivered - self.inherited_bytes)
        narrow, wide = (whole(self.delegated, "max_snd_wnd", default) for default in (0, _ANYWHERE))
        return Bounds(
            nxt=(least, self.in_order),
            told=self.acked,
            edge=(edge, farthest),
            una=(self.gate.una, self.una),
            sent=(self.sent_max, max(self.sent_max, self.queued + self.closed)),
            widest=(narrow, max(wide, self.widest, whole(self.delegated, "snd_wnd"))),
        )

    def judge(self, seg: WireSegment, tick: int) -> Answer:
        """Whether the target takes a segment that comes now."""
        return self.gate.judge(seg, self.receive_place(seg.sequence), self._ack_place(seg), self.bounds(), tick)

    def of_the_future(self, seg: WireSegment) -> bool:
        """It acknowledges what was not sent: it counts if the target sends that before it looks at it."""
        return self._ack_place(seg) > self.bounds().sent[1]

    def _ack_place(self, seg: WireSegment) -> int:
        return self.una + signed(seg.acknowledgment, whole(self.delegated, "snd_una") + self.una)

    def hear(self, seg: WireSegment, payload: bytes, tick: int, order: int) -> None:
        """A segment came in, from the wire or forwarded."""
        self.heard += 1
        start, ack = self.receive_place(seg.sequence), self._ack_place(seg)
        if seg.flags & RST:
            bounds = self.bounds()
            self.reset_in |= bounds.nxt[0] <= start <= bounds.nxt[1]
        elif seg.flags & ACK and not seg.flags & SYN and ack > self.bounds().sent[1]:
            self.early.add(Held(tick, ack, (seg, payload, order), self.gate.recent.passes(seg.stamps, tick)))
        else:
            self._take(seg, payload, tick, order)

    def _take(self, seg: WireSegment, payload: bytes, tick: int, order: int, stamp: Answer | None = None) -> None:
        start, ack, bounds = self.receive_place(seg.sequence), self._ack_place(seg), self.bounds()
        answer = self.gate.judge(seg, start, ack, bounds, tick, stamp)
        self.gate.took(seg, start, ack, bounds, tick, answer)
        if answer is Answer.NO or seg.flags & SYN:
            return
        self._acknowledge(seg, ack, tick)
        end = start + len(payload)
        if payload:
            filled = self.beyond and start <= self.contiguous < end
            self.arrivals.append(Arrival(start, end, tick, bool(seg.flags & PSH), filled))
            limit = bounds.edge[1] if self.fin_in is None else min(bounds.edge[1], self.fin_in)
            self.received.put(start, payload[: max(0, limit - start)], tick, self.acked)
        if seg.flags & FIN and not self.initial_fin and end >= self.acked:
            self.fins.add(end, order)

    def _advance(self, position: int) -> None:
        """The target acknowledged all before ``position``."""
        self.acked = max(self.acked, position)
        self.fins.passed(self.acked)
        if self.contiguous == self.acked - 1 and self.fins.at(self.contiguous):
            self.fins.settle(self.contiguous)

    def told_of_fin(self) -> None:
        """TcpIndicateDisconnect: the FIN lies behind what the client has, if it can."""
        place = self.delivered - self.inherited_bytes
        if self.fins.at(place):
            self.fins.settle(place)

    @property
    def in_order(self) -> int:
        """The position behind all that came in without a gap, the peer's FIN included."""
        end = self.contiguous if self.fin_in is None else self.fin_in
        return end + self.fins.at(end)

    def _acknowledge(self, seg: WireSegment, place: int, tick: int) -> None:
        """An acknowledgment came in."""
        shift = whole(self.const, "snd_wind_scale") if self.flag(ndis.WINDOW_SCALING) else 0
        window = seg.window << shift
        self.windows.add(window)
        before = self.una, self.send_edge
        self.una = max(self.una, place)
        if place == self.una:
            self.told_edge = place + window
        self.send_edge = max(self.send_edge, place + window)
        self.widest = max(self.widest, window)
        if before != (self.una, self.send_edge):
            self.opened = tick

    def _revive(self, tick: int) -> None:
        """What was acknowledged before it was sent is sent now, or may be."""
        for held in self.early.due(tick, self.bounds().sent[1]):
            seg, payload, order = held.item
            self._take(seg, payload, tick, order, held.stamp)

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
        self._revive(tick)
        if seg.flags & ACK:
            ack = self.receive_place(seg.acknowledgment)
            self._advance(ack)
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
