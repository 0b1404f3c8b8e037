"""Books of the offloaded connections of one face (adapter and layer), kept from the trace alone.

Which frame the NIC has dealt with is not in the trace. So the receive side has two ends: `Connection.arrived`, the
end of data that came in without a gap (the NIC cannot have more), and `Connection.acked`, what it acknowledged
(it has at least that). The send side knows what was on the wire and what the peer's segments said. Segments that no
receiver takes (`acceptance`) are in neither; where those that it may take contradict each other, `Connection.fins` and
`Stream.others` say what is not known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tb.monitors.contract.acceptance import SOON, STALL, Answer, Bounds, Early, Fins, Gate, Held, in_range, in_window
from tb.monitors.contract.receive_push import Pushes
from tb.monitors.contract.receive_reach import Piece, Reach, Reset
from tb.monitors.contract.receive_segments import ACK, FIN, PSH, RST, SYN, URG, Segment, unwrap
from tb.monitors.contract.receive_stream import Arrival, Stream
from tb.monitors.contract.trace import List, Node, State, Tree, Value

SUCCESS: Final = 0
PENDING: Final = 0x103
PARTIAL_SUCCESS: Final = 0x40020004
INVALID_STATE: Final = 0xC0000184
REQUEST_ABORTED: Final = 0xC001000C
UPLOAD_IN_PROGRESS: Final = 0xC0231001
NOT_ACCEPTED: Final = 0xC023100E
PARTIALLY_ACCEPTED: Final = 0xC0231010
"""Status values (section 4.1)."""

CLOSED: Final = 0
FIN_WAIT_1: Final = 5
FIN_WAIT_2: Final = 6
CLOSE_WAIT: Final = 7
CLOSING: Final = 8
LAST_ACK: Final = 9
TIME_WAIT: Final = 10
"""TCP_OFFLOAD_CONNECTION_STATE."""

NEVER: Final = 0xFFFFFFFF
"""A timer that does not run; MaxRT without limit."""
TCP_STATE_TYPES: Final = frozenset((13, 14, 15, 17))
PATH_STATE_TYPES: Final = frozenset((5, 6, 7, 8, 9, 10, 11, 12))

PROMPT: Final = 250
"""Ticks within which a target does what it must do at once."""
RESET_SETTLED: Final = SOON + STALL + PROMPT
"""Ticks behind an RST after which a target that took it has raised the abort."""
_WINDOW_SCALING: Final = 4


def number(state: State | None, name: str, default: int = 0) -> int:
    """A variable that is a number; ``default`` if it is not there."""
    value = state.get(name, default) if state is not None else default
    return value if isinstance(value, int) else default


def octets(state: State | None, name: str) -> bytes:
    """A variable that is a row of bytes."""
    value = state.get(name) if state is not None else None
    return value if isinstance(value, bytes) else b""


@dataclass(slots=True, eq=False, weakref_slot=True)
class Shared:
    """An offloaded path or neighbor; ``below`` is the neighbor of a path."""

    context: int
    handle: int | None
    const: State
    cached: dict[str, Value]
    delegated: State
    below: Shared | None = None
    invalid: bool = False
    placed: tuple[int, int] = (0, 0)
    """Ticks between which it was offloaded."""
    terminating: int | None = None


@dataclass(slots=True, eq=False)
class Item:
    """An NBL that is with the target: its size at submission; ``end`` is the position behind its bytes (sends)."""

    kind: str
    connection: Connection
    list: List
    size: int
    tick: int
    order: int
    end: int = 0
    abortive: bool = False
    after_disconnect: bool = False
    in_call: bool = False
    """Posted while a completion or an indication of the connection was in progress."""
    late: bool = False
    """Send or graceful disconnect behind a FIN or a terminate: nothing of it can go out (7.2, G-23, 6.2)."""

    @property
    def push(self) -> bool:
        """A push-mode receive request."""
        return not self.list.no_push


class Connection:
    """An offloaded TCP connection at one face, from the initiate call to the terminate completion."""

    def __init__(self, node: Node, path: Shared | None, tick: int) -> None:
        self.handle = node.handle
        self.context: int | None = None
        self.path = path
        self.const: State = node.const or {}
        self.cached: dict[str, Value] = dict(node.cached or {})
        self.delegated: State = node.delegated or {}
        self.began = tick
        self.placed: int | None = None
        """Tick of the initiate completion call, and of its return."""
        self.released: int | None = None
        self.terminating: int | None = None
        self.invalid = False
        self._load(node)

    def _load(self, node: Node) -> None:
        state = number(self.delegated, "state", 4)
        self.first_state = state
        rcv_nxt = number(self.delegated, "rcv_nxt") + (1 << 32)
        fin_in = state in (CLOSE_WAIT, CLOSING, LAST_ACK, TIME_WAIT)
        held = b"".join(item.data for item in node.buffered)
        size = sum(item.data_length for item in node.buffered)
        # receive side
        self.fins = Fins(rcv_nxt - 1 if fin_in else None, fin_in)
        self.fin_handed_over = fin_in
        self.stream = Stream(rcv_nxt - fin_in - size, rcv_nxt - fin_in, bytearray(held[:size].ljust(size, b"\0")))
        if len(held) != size:
            self.stream.doubt(self.stream.base, self.stream.end)
        self.first_rcv_nxt = rcv_nxt
        self.acked = rcv_nxt
        self.edge = rcv_nxt + number(self.delegated, "rcv_wnd")
        self.delivered = rcv_nxt - fin_in - size
        self.inherited_end = self.stream.end
        """End of the buffered data that came with the initiate call."""
        self.arrivals: deque[Arrival] = deque()
        if size:
            self.arrivals.append(Arrival(self.delivered, self.stream.end, self.began, self.began))
        self.pushes = Pushes()
        self.last_in = self.last_out = self.began
        self.last_data = self.began
        """Tick of the last data that the target may have taken then: not acknowledged when it came."""
        self.requests: deque[Item] = deque()
        self.refused = False
        self.indications: dict[int, int] = {}
        """Calls into NdisTcpOffloadReceiveHandler in progress: bytes indicated."""
        self.completions: dict[int, int] = {}
        """Calls into NdisTcpOffloadReceiveComplete in progress: order of their beginning."""
        self.left = self.began
        """Tick at which the last of them returned."""
        # send side
        self.chain = node.chain
        chain = sum(item.data_length for item in node.chain)
        self.una = self.first_una = number(self.delegated, "snd_una") + (1 << 32)
        self.gate = Gate(self.const, self.delegated, self.began, self.una)
        self.early: Early[Segment] = Early()
        self.believed = 0
        """What the target must have sent soon: it acted by segments that acknowledge all up to here."""
        self.fresh: list[Arrival] = []
        """Arrivals of segments that acknowledged what had not left: an ACK is due since the next frame that leaves."""
        self.revived = -1
        """Tick at which one of them came to count."""
        self.widest = max(number(self.delegated, "max_snd_wnd"), number(self.delegated, "snd_wnd"))
        """The largest window of the peer, bytes."""
        self.sent = unwrap(number(self.delegated, "snd_max"), self.una)
        self.queued = max(self.una + chain, self.sent - (state in (FIN_WAIT_1, CLOSING, LAST_ACK)))
        self.own_fin: int | None = None
        if state in (FIN_WAIT_1, CLOSING, LAST_ACK):
            self.own_fin = self.una + chain
            self.queued = self.own_fin
        elif state in (FIN_WAIT_2, TIME_WAIT):
            self.own_fin = self.queued = self.una - 1
        self.fin_out: int | None = self.began if self.own_fin is not None and self.sent > self.own_fin else None
        """Tick since which our FIN is on the wire."""
        self.fin_out_ack = self.acked
        """What the segment that first carried it acknowledged."""
        self.peer_window = number(self.delegated, "snd_wnd")
        self.wl1 = unwrap(number(self.delegated, "send_wl1", rcv_nxt), rcv_nxt)
        self._windows = {(self.wl1, self.peer_window)}
        """What SND.WL1 and SND.WND may be: more than one while it is not sure which segments were taken."""
        self.offered = self.una + self.peer_window
        """The farthest edge of the peer's window that the target has been told."""
        self.sends: deque[Item] = deque()
        self.disconnects: deque[Item] = deque()
        # what was said of it
        self.disconnect_raised: int | None = None
        self.abort_raised: int | None = None
        self.retrieves: list[tuple[int, int]] = []
        """(tick, reason) of every TcpIndicateRetrieve."""
        self.aborting: int | None = None
        """Tick of an abortive disconnect."""
        self.resets: list[Reset] = []
        """RSTs that the NIC may find acceptable, and that may be what it acts by now."""
        self.froze: int | None = None
        """Tick of the last segment that may have stopped it: with SYN or URG."""

    @property
    def ends(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(local, remote) as (IP address, port); addresses are 0 without a path."""
        const = self.path.const if self.path is not None else {}
        source = int.from_bytes(octets(const, "source_address"), "big")
        destination = int.from_bytes(octets(const, "destination_address"), "big")
        return (source, wire_port(self.const, "local_port")), (destination, wire_port(self.const, "remote_port"))

    @property
    def neighbor(self) -> Shared | None:
        """The neighbor that its path depends on now."""
        return self.path.below if self.path is not None else None

    @property
    def vlan(self) -> int:
        """VlanId of the neighbor; 0 accepts everything."""
        return number(self.neighbor.const, "vlan_id") if self.neighbor is not None else 0

    @property
    def arrived(self) -> int:
        """End of the data that came in without a gap; FIN not counted."""
        return self.stream.end

    @property
    def fin(self) -> int | None:
        """Where the peer's FIN lies, once the target has it: acknowledged, where no text can be, or told."""
        return self.fins.known

    @property
    def fin_near(self) -> bool:
        """The target may have the peer's FIN."""
        return self.fins.within(self.arrived)

    @property
    def known(self) -> int:
        """End of the data that the target has for certain: it acknowledged it, and not as a FIN."""
        end = min(self.acked, self.arrived)
        return end - (end == self.acked and self.fins.at(end - 1))

    @property
    def next_bounds(self) -> tuple[int, int]:
        """RCV.NXT as the NIC's receiver holds it lies between these two."""
        end = self.arrived if self.fin is None else self.fin
        return max(self.acked, self.delivered), end + self.fins.at(end)

    @property
    def edge_bound(self) -> int:
        """The right edge of the receive window cannot lie beyond this."""
        return self.edge_at(self.arrived)

    def edge_at(self, rcv_nxt: int) -> int:
        """The right edge of the receive window cannot lie beyond this while RCV.NXT is ``rcv_nxt``."""
        window = max(number(self.cached, "initial_rcv_wnd"), number(self.delegated, "rcv_wnd"))
        return max(self.edge, rcv_nxt + window)

    @property
    def reset_in(self) -> int | None:
        """Tick of the last RST that the NIC may act by."""
        return self.resets[-1].tick if self.resets else None

    @property
    def in_call(self) -> bool:
        """A completion or an indication is in progress."""
        return bool(self.indications or self.completions)

    @property
    def muted(self) -> bool:
        """It depends on an invalidated object."""
        path = self.path
        return self.invalid or (path is not None and (path.invalid or (path.below is not None and path.below.invalid)))

    @property
    def stopped(self) -> bool:
        """The target need not (or must not) go on with it: upload, abort or invalid state."""
        return self.given_up or self.muted

    @property
    def given_up(self) -> bool:
        """It is being terminated or aborted, or may be, or the target asked for the upload for a mandatory reason."""
        return self.left_off or bool(self.resets)

    @property
    def over(self) -> bool:
        """Nothing is owed any more. An RST that may count is no reason: `ReceiveDesk.expect` waits for it."""
        return self.left_off or self.muted

    @property
    def left_off(self) -> bool:
        """It is being terminated or aborted for certain, or the target asked for the upload for a mandatory reason."""
        return (
            self.terminating is not None
            or self.abort_raised is not None
            or self.aborting is not None
            or any(reset.certain for reset in self.resets)
            or any(is_mandatory(reason) for _, reason in self.retrieves)
        )

    def settled_at(self, tick: int) -> int | None:
        """Tick from which on it is known whether it was reset before ``tick``; None if that is known."""
        last = max((reset.tick for reset in self.resets if reset.tick <= tick), default=None)
        return None if last is None or self.over else max(tick, last + RESET_SETTLED) + 1

    def frozen_by(self, froze: int | None) -> bool:
        """A segment with SYN or URG that came at ``froze`` stopped it: the target asked for the upload since."""
        return froze is not None and any(is_mandatory(reason) and tick >= froze for tick, reason in self.retrieves)

    def moved(self, reach: Reach) -> bool:
        """What waited was taken: RCV.NXT has gone on."""
        return reach.now > reach.sure and max(self.acked, self.delivered) > reach.sure

    def scale(self, name: str) -> int:
        """Window shift in force: ``snd_wind_scale`` or ``rcv_wind_scale``."""
        return number(self.const, name) if number(self.const, "flags") & _WINDOW_SCALING else 0

    def accepts_tag(self, seg: Segment) -> bool:
        """The VLAN filter lets the segment in (CH-161)."""
        return seg.forwarded or self.vlan == 0 or seg.vlan == self.vlan

    @property
    def peer_edge(self) -> int:
        """The peer takes bytes below this (RFC 9293: SND.UNA + SND.WND)."""
        return self.una + self.peer_window

    @property
    def peer_windows(self) -> set[int]:
        """SND.WND is one of these."""
        return {window for _, window in self._windows}

    def fin_surely_in(self) -> bool:
        """The NIC acknowledged the peer's FIN."""
        return self.fin is not None and not self.fin_handed_over and self.acked > self.fin

    def bounds(self) -> Bounds:
        """What the target holds lies between these."""
        nxt = self.next_bounds
        widest = max(number(self.delegated, "max_snd_wnd"), number(self.delegated, "snd_wnd"))
        edges = (self.edge, max(self.edge_bound, self.edge))
        return Bounds(nxt, self.acked, edges, (self.gate.una, self.una), (self.sent, self.sent), (widest, self.widest))

    def _bounds_at(self, held: Held[Segment]) -> Bounds:
        """Those of a segment that the target may have looked at since it came: RCV.NXT may have been lower."""
        bounds = self.bounds()
        return replace(bounds, nxt=(min(bounds.nxt[0], held.low), bounds.nxt[1]))

    def judge(self, seg: Segment, tick: int) -> Answer:
        """Whether the target takes a segment that comes now."""
        start, ack = unwrap(seg.sequence, self.arrived), unwrap(seg.acknowledgment, self.una)
        return self.gate.judge(seg, start, ack, self.bounds(), tick)

    def final_state(self) -> int | None:
        """TIME_WAIT or CLOSED once both FINs were sent and acknowledged; which of them came first tells."""
        if self.own_fin is None or self.fin_out is None or self.una <= self.own_fin or self.fin is None:
            return None
        if self.fin_handed_over:
            return TIME_WAIT if self.first_state in (CLOSING, TIME_WAIT) else CLOSED
        if not self.fin_surely_in():
            return None
        return CLOSED if self.fin_out_ack > self.fin else TIME_WAIT

    def only_ack_is_wrong(self, seg: Segment, tick: int) -> bool:
        """Window and stamp are right, but it acknowledges what was not sent, or what was long ago (RFC 5961, 5)."""
        start, ack = unwrap(seg.sequence, self.arrived), unwrap(seg.acknowledgment, self.una)
        bounds = self.bounds()
        others = in_window(start, seg.length, bounds), self.gate.recent.passes(seg.stamps, tick)
        return min(others) is Answer.YES and seg.has(ACK) and in_range(ack, bounds) is Answer.NO

    # --- updates ---------------------------------------------------------------------------------------

    def take_in(self, seg: Segment, tick: int, order: int = 0, *, sure: bool = True) -> list[Arrival]:
        """A segment came in that passes the VLAN filter: data that is now without a gap.

        ``sure``: the NIC cannot have dropped it for want of room.
        """
        self.last_in = tick
        start, ack = unwrap(seg.sequence, self.arrived), unwrap(seg.acknowledgment, self.una)
        if seg.has(RST):
            reach = self.reach(tick)
            if reach.low <= start <= reach.sure or start in reach.places:
                moving = self.froze is not None and self.froze + RESET_SETTLED >= tick
                certain = sure and reach.exact(start) and not reach.waits and not moving
                self.resets.append(Reset(tick, start, reach, certain and self.released is not None))
            return []
        if seg.has(SYN | URG):
            self.froze = tick
        if seg.has(ACK) and not seg.has(SYN) and ack > self.sent:
            stamp = self.gate.recent.passes(seg.stamps, tick)
            self.early.add(Held(tick, ack, seg, stamp, self.arrived, self.next_bounds[0], self.acked))
            self.posted(tick)
            return []
        return self._look_at(seg, tick, order, sure=sure)

    def _look_at(
        self, seg: Segment, tick: int, order: int, *, sure: bool, held: Held[Segment] | None = None, had: int = 0
    ) -> list[Arrival]:
        start, ack = unwrap(seg.sequence, self.arrived), unwrap(seg.acknowledgment, self.una)
        bounds = self.bounds() if held is None else self._bounds_at(held)
        answer = self.gate.judge(seg, start, ack, bounds, tick, held.stamp if held is not None else None)
        self.gate.took(seg, start, ack, bounds, tick, answer if sure else min(answer, Answer.PERHAPS))
        if answer is Answer.NO or seg.has(SYN | URG):
            return []
        self._take_ack(seg, start, ack, sure=sure and answer is Answer.YES)
        return self._take_data(seg, start, tick, order, had)

    def _take_data(self, seg: Segment, start: int, tick: int, order: int, had: int = 0) -> list[Arrival]:
        """Text and FIN of a segment that may be taken; all below ``had`` the target had when it looked at it."""
        limit = self.edge_bound if self.fin is None else min(self.edge_bound, self.fin)
        data = seg.payload[: max(0, limit - start)]
        end = start + len(seg.payload)
        acked = max(self.acked, had)
        if seg.has(FIN) and start <= self.edge_bound and end >= acked:
            self.fins.add(end, order)
        if not data or end <= had:
            return []
        for arrival in reversed(self.arrivals):
            if arrival.end <= start:
                break
            if arrival.start < end or end > acked:  # what lies behind a refused piece waits for its next copy
                arrival.last = tick
                arrival.copied = True
        if end <= self.arrived and end <= self.stream.base:
            return []
        known = max(self.known, had)
        if end > known:
            self.last_data = tick
        self.pushes.take(start, end, push=seg.has(PSH), acked=acked)
        new = self.stream.put(start, data, tick, known)
        self.arrivals.extend(new)
        return new

    def posted(self, tick: int) -> None:
        """More may be with the target to send."""
        self.early.post(tick, self.queued + (self.own_fin is not None))

    def shown(self, count: int, data: bytes, tick: int) -> None:
        """The target hands ``count`` bytes over: they may be of a segment that acknowledges what is still to leave.

        Such a segment counts if it has bytes of these that nothing else explains. ``data``: the bytes, as far as the
        trace has them.
        """
        end = self.delivered + count
        whole = len(data) == count
        if end <= self.arrived and not (whole and self.stream.same(self.delivered, data) is False):
            return
        waiting = self._waiting(tick)
        for _ in waiting:  # what one explains may be what another lacked
            if not any(self._explains(held, data, end, tick) for held in waiting):
                break

    def _explains(self, held: Held[Segment], data: bytes, end: int, tick: int) -> bool:
        """A waiting segment has bytes of what was handed over up to ``end`` that nothing else explains: it counts."""
        start, text = unwrap(held.item.sequence, self.arrived), held.item.payload
        low, high = max(start, self.delivered), min(start + len(text), end)
        if low >= high:
            return False
        whole = len(data) == end - self.delivered
        if whole:
            shown = data[low - self.delivered : high - self.delivered]
            open_ = self.stream.unexplained(low, shown)
            if not open_ or any(text[at - start] != shown[at - low] for at in open_):
                return False
        held.taken |= whole
        held.counts = True
        others = (one.item for one in self.early.waiting(tick) if one is not held)
        spans = ((unwrap(one.sequence, self.arrived), len(one.payload)) for one in others)
        held.alone &= not any(at < high and low < at + size for at, size in spans)
        self._came(held, self._take_data(held.item, start, tick, 0))
        self._believe(held)
        return whole

    def ended(self, place: int, tick: int, *, push: bool = False) -> bool:
        """The FIN of a waiting segment may be at ``place``: the target acts as if it were there.

        ``push``: it may also act by a push below or at ``place``.
        """
        for held in self._waiting(tick):
            start, flags = unwrap(held.item.sequence, self.arrived), held.item.flags & (PSH | FIN)
            end = start + len(held.item.payload)
            ends = bool(flags & FIN) and end == place
            pushes = push and bool(flags & PSH and held.item.payload) and self.delivered < end <= place
            if (ends or pushes) and in_window(start, held.item.length, self.bounds()) is not Answer.NO:
                self.pushes.take(start, end, push=pushes, acked=self.acked)
                if ends:
                    self.fins.add(place)
                held.counts = True
                self._believe(held)
                return True
        return False

    def _waiting(self, tick: int) -> list[Held[Segment]]:
        """Segments that may count as soon as the target has sent what it has and may send, or have counted.

        The least that any acknowledges first: the target is held to no more than it needs to have sent.
        """
        return self._sendable([held for held in self.early.waiting(tick) if held.posted])

    def _sendable(self, waiting: list[Held[Segment]]) -> list[Held[Segment]]:
        """Of them those that acknowledge what the peer's window lets through, the least first."""
        edge, found = self.offered, list[Held[Segment]]()
        for held in sorted(waiting, key=lambda one: one.ack):
            if held.ack > edge + 1:  # a probe, or a FIN, needs no window
                break
            edge = max(edge, held.ack + (held.item.window << self.scale("snd_wind_scale")))
            if not held.item.has(URG):
                found.append(held)
        return found

    def reach(self, tick: int) -> Reach:
        """Where RCV.NXT may be, with all that waits and counts, or will when more is posted."""
        low, sure = self.next_bounds
        waiting = self._sendable(self.early.waiting(tick))
        if not waiting:
            return Reach(low, sure)
        end, pieces = sure, list[Piece]()
        behind = [Piece(at, at + len(text), None) for at, text in self.stream.beyond]
        behind += [Piece(place, place + 1, None) for place in self.fins.places]
        ahead = [Piece(unwrap(held.item.sequence, self.arrived), 0, held) for held in waiting]
        for piece in sorted([*ahead, *behind], key=lambda one: one.start):
            if piece.start > end:
                break
            led = piece if piece.held is None else self._cut(piece.start, piece.held, end)
            if led is not None:
                pieces.append(led)
                end = max(end, led.end)
        return Reach(low, sure, tuple(pieces))

    def _cut(self, start: int, held: Held[Segment], rcv_nxt: int) -> Piece | None:
        """What of a waiting segment lies in the window while RCV.NXT is ``rcv_nxt`` at most."""
        edge, end = self.edge_at(rcv_nxt), start + len(held.item.payload)
        bounds = replace(self.bounds(), nxt=(held.low, rcv_nxt), edge=(self.edge, edge))
        if in_window(start, held.item.length, bounds) is Answer.NO:
            return None
        return Piece(start, min(end, edge) + (held.item.has(FIN) and end <= edge), held)

    def took_reset(self) -> int | None:
        """The target acts as if it had taken an RST: all up to the answer must have left (0: nothing must).

        None: no RST came that it may have taken.
        """
        if not self.resets:
            return None
        if any(not reset.waits for reset in self.resets):
            return 0
        able = [needed for reset in self.resets if (needed := reset.reach.needed(reset.place))]
        if not able:
            return None
        needed = min(able, key=_most_acked)
        for held in needed:
            held.taken = held.counts = True
        return _most_acked(needed)

    def forget_reset(self, reset: Reset) -> None:
        """The target did not act by it."""
        going_on = self.abort_raised is None and self.terminating is None and self.aborting is None
        if going_on and not self.muted and reset in self.resets:
            self.resets.remove(reset)

    def _revive(self, tick: int, acked: int) -> None:
        """What was acknowledged before it was sent is sent now, in a segment that acknowledges all up to ``acked``."""
        for held in self.early.due(tick, self.sent):
            start = unwrap(held.item.sequence, self.arrived)
            if in_window(start, held.item.length, self._bounds_at(held)) is not Answer.NO:
                self.revived = self.last_in = tick
                held.counts = True
            self._came(held, self._look_at(held.item, tick, 0, sure=False, held=held, had=min(held.before, acked)))
            in_order = start <= held.told  # RFC 7323, 4.3: SEG.SEQ <= Last.ACK.sent, when it came
            if held.taken and held.alone and in_order:
                self.gate.recent.had(held.item.stamps, tick)

    def _believe(self, held: Held[Segment]) -> None:
        self.believed = max(self.believed, held.ack)

    def _came(self, held: Held[Segment], new: list[Arrival]) -> None:
        """The target may have had it since it came."""
        start = unwrap(held.item.sequence, self.arrived)
        for one in self.arrivals:  # a copy that came later may be the one that was dropped
            if one.start < start + len(held.item.payload) and start < one.end:
                one.first = min(one.first, held.tick)
        for arrival in new:
            arrival.first = held.tick
            arrival.copied = True
            arrival.waited = arrival.last
        self.fresh += new

    def _take_ack(self, seg: Segment, start: int, ack: int, *, sure: bool) -> None:
        if ack < min(self.gate.una, self.una):
            return
        window = seg.window << self.scale("snd_wind_scale")
        self.offered = max(self.offered, ack + window)
        taken = {(start, window) if start >= wl1 else (wl1, old) for wl1, old in self._windows}
        if ack < self.una:  # below one reading of SND.UNA only
            self._windows |= taken
            return
        self._windows = taken if sure else self._windows | taken
        self.una = ack
        self.widest = max(self.widest, window)
        if start >= self.wl1:
            self.wl1 = start
            self.peer_window = window

    def take_out(self, seg: Segment, tick: int) -> None:
        """The NIC sent a segment."""
        self.last_out = tick
        if seg.has(RST):
            return
        end = unwrap(seg.sequence, self.sent) + seg.length
        self.sent = max(self.sent, end)
        ack = unwrap(seg.acknowledgment, self.acked)
        self.edge = max(self.edge, ack + (seg.window << self.scale("rcv_wind_scale")))
        self._revive(tick, min(ack, self.next_bounds[1]))  # what it acknowledges may have come in one of them
        self.acked = max(self.acked, min(ack, self.next_bounds[1]))
        self.fins.passed(self.acked)
        if self.arrived == self.acked - 1 and self.fins.at(self.arrived):
            self.fins.settle(self.arrived)
        if seg.has(FIN) and self.fin_out is None:
            self.fin_out = tick
            self.fin_out_ack = ack
            self.own_fin = end - 1

    def deliver(self, count: int) -> None:
        """``count`` bytes are the host's now."""
        self.delivered += count
        self.fins.passed(self.delivered + 1)
        self.stream.forget(self.delivered)
        self.pushes.forget(self.delivered)
        floor = min(self.delivered, self.known)
        while len(self.arrivals) > 1 and self.arrivals[0].end <= floor:
            self.arrivals.popleft()

    def arrival_at(self, position: int) -> Arrival | None:
        """The arrival that holds the byte at ``position``."""
        return next((one for one in self.arrivals if one.start <= position < one.end), None)


def _most_acked(helds: list[Held[Segment]]) -> int:
    return max((held.ack for held in helds), default=0)


PORTS_IN_NETWORK_ORDER: Final = True
"""Ports of the const state are in network byte order on a little-endian host (G-10)."""


def wire_port(const: State, name: str) -> int:
    """A port of the const state as the wire has it (G-10)."""
    port = number(const, name)
    return (port & 255) << 8 | port >> 8 if PORTS_IN_NETWORK_ORDER else port


def is_mandatory(reason: int) -> bool:
    """An upload reason after which the target stops processing the connection (2.12)."""
    return reason in (5, 8, 9, 10, 11)


def parents_of(tree: Tree) -> dict[int, Node]:
    """The node below each dependent node."""
    found: dict[int, Node] = {}
    for node in tree.nodes.values():
        child = node.dependents
        while child is not None and child in tree.nodes and child not in found:
            found[child] = node
            child = tree.nodes[child].next
    return found


@dataclass(slots=True)
class Asked:
    """A query or a terminate in progress: when it was called and the objects that it is of.

    A terminate is not of an object that is offloaded only while it waits, nor of one that another is ending.
    """

    tick: int
    objects: list[Connection | Shared]


class Books:
    """All objects and NBLs of one face."""

    def __init__(self) -> None:
        self.shared: dict[int, Shared] = {}
        self.connections: dict[int, Connection] = {}
        self.by_ends: dict[tuple[tuple[int, int], tuple[int, int]], Connection] = {}
        self.by_handle: dict[int, Connection] = {}
        self.items: dict[int, Item] = {}
        self.strays: set[int] = set()
        """NBLs submitted on no offloaded connection: no rule of a connection speaks of them."""
        self.pending: dict[int, dict[int, Connection | Shared]] = {}
        """New objects of an initiate call in progress: root -> node -> object."""
        self.updates: dict[int, Tree] = {}
        self.asked: dict[int, Asked] = {}
        """Queries and terminates in progress, by root."""

    def find(self, target: int | None) -> Connection | None:
        """The connection of an I/O call down."""
        return self.connections.get(target) if target is not None else None

    def named(self, handle: int | None) -> Connection | None:
        """The connection of an event or indication up."""
        return self.by_handle.get(handle) if handle is not None else None

    def initiate(self, tree: Tree, tick: int) -> list[Connection]:
        """MiniportInitiateOffload was called: connections that may be offloaded from now on."""
        made = self.pending.setdefault(tree.root, {})
        below = parents_of(tree)

        def object_of(ident: int) -> Connection | Shared | None:
            if ident in made:
                return made[ident]
            node = tree.nodes[ident]
            if node.location is None:
                return None
            if node.context is not None:
                return self.shared.get(node.context)
            parent = object_of(below[ident].ident) if ident in below else None
            under = parent if isinstance(parent, Shared) else None
            if node.type in TCP_STATE_TYPES:
                made[ident] = Connection(node, under, tick)
            else:
                cached, delegated = dict(node.cached or {}), node.delegated or {}
                made[ident] = Shared(0, node.handle, node.const or {}, cached, delegated, under, placed=(tick, tick))
            return made[ident]

        created = [conn for conn in map(object_of, tree.nodes) if isinstance(conn, Connection)]
        self.by_ends.update((conn.ends, conn) for conn in created)
        return created

    def initiated(self, tree: Tree, tick: int) -> list[tuple[Connection, Node]]:
        """NdisMInitiateOffloadComplete was called: connections that are offloaded now."""
        placed: list[tuple[Connection, Node]] = []
        for ident, made in self.pending.pop(tree.root, {}).items():
            node = tree.nodes.get(ident)
            well = node is not None and node.status in (SUCCESS, PARTIAL_SUCCESS) and node.context is not None
            if node is None or not well or node.context is None:
                if isinstance(made, Connection) and self.by_ends.get(made.ends) is made:
                    del self.by_ends[made.ends]
                continue
            made.context = node.context
            if isinstance(made, Shared):
                made.placed = (made.placed[0], tick)
                self.shared[node.context] = made
                continue
            made.placed = tick
            self.connections[node.context] = made
            if made.handle is not None:
                self.by_handle[made.handle] = made
            placed.append((made, node))
        return placed

    def updated(self, tree: Tree) -> list[tuple[Connection | Shared, State | None]]:
        """NdisMUpdateOffloadComplete was called: objects that hold new cached state, or None if that failed."""
        asked = self.updates.pop(tree.root, None)
        changed: list[tuple[Connection | Shared, State | None]] = []
        if asked is None:
            return changed
        below = parents_of(asked)
        for ident, node in asked.nodes.items():
            answer = tree.nodes.get(ident)
            held = self.object(node)
            if held is None or answer is None:
                continue
            good = answer.status == SUCCESS
            if good and node.cached is not None:
                held.cached.update(node.cached)
            if good and isinstance(held, Shared) and ident in below:
                neighbor = self.object(below[ident])
                held.below = neighbor if isinstance(neighbor, Shared) else held.below
            if node.cached is not None:
                changed.append((held, node.cached if good else None))
        return changed

    def object(self, node: Node) -> Connection | Shared | None:
        """The offloaded object that a node names."""
        if node.context is None:
            return None
        return self.connections.get(node.context) or self.shared.get(node.context)

    def objects(self, tree: Tree) -> Iterator[tuple[Connection | Shared, Node]]:
        """All offloaded objects that a tree names."""
        for node in tree.nodes.values():
            held = self.object(node)
            if held is not None:
                yield held, node

    def remove(self, held: Connection | Shared) -> None:
        """The terminate of an object completed."""
        if held.context is None:
            return
        if isinstance(held, Shared):
            self.shared.pop(held.context, None)
            return
        self.connections.pop(held.context, None)
        if self.by_ends.get(held.ends) is held:
            del self.by_ends[held.ends]
        if held.handle is not None and self.by_handle.get(held.handle) is held:
            del self.by_handle[held.handle]

    def settle(self, lists: tuple[List, ...]) -> list[tuple[Item | None, List]]:
        """NBLs of a completion call, each with what it was at submission (None: not with the target)."""
        theirs = [one for one in lists if one.ident not in self.strays]
        self.strays.difference_update(one.ident for one in lists)
        return [(self.items.pop(one.ident, None), one) for one in theirs]


Parameters = Mapping[str, Value]
"""NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS by field name."""
