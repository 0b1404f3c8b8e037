"""The seam between host stack and target, seen from the wire: whoever works on a connection, it is one connection.

The monitor gets every frame of the port and the hand-overs of connections (block-list trees as they cross the lower
face). At each hand-over, in either direction, the delegated state must be what the wire showed so far; afterwards
sequence numbers, timestamps and the right edge go on without a step, and the timer that was handed over expires when it
would have expired where it was started. It knows wire formats, RFC 6298 and the names of the state variables, nothing
of the design. Times are ticks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from tb.monitors.contract.stream_books import forwarded_segment
from tb.monitors.contract.trace import Enter, Frame, Node, Record, Value
from tb.monitors.wire_headers import ACK, FIN, RST, SYN, WireSegment, read_segment

RULES: Final[dict[str, str]] = {
    "SEAM-SEQ": "SndMax is the end of what was sent, SndUna nothing that the peer did not acknowledge; no segment "
    "leaves a gap behind it",
    "SEAM-ACK": "RcvNxt is the acknowledgment sent last, and that never falls",
    "SEAM-EDGE": "RcvNxt + RcvWnd is the right edge advertised last, and that never falls",
    "SEAM-TS": "TsTime and TSval advance as time does, whoever sends",
    "SEAM-RTO": "TimeoutDelta is what is left of an RTO that began with an event on the wire",
    "SEAM-CARRY": "a timer that nothing restarted is due at the same time in the next hand-over",
    "SEAM-TIMER": "what was handed over expires when it was due",
    "SEAM-FIN-WAIT-2": "in FIN_WAIT_2 TimeoutDelta counts from the last segment that came in",
}
"""Rule ids and what they say."""

INITIATE: Final = "MiniportInitiateOffload"
INVALIDATE: Final = "MiniportInvalidateOffload"
INITIATED: Final = "NdisMInitiateOffloadComplete"
TERMINATED: Final = "NdisMTerminateOffloadComplete"
FORWARD: Final = "MiniportTcpOffloadForward"
EVENT: Final = "NdisTcpOffloadEventHandler"
_RETRIEVE: Final = 3
NOT_RUNNING: Final = 0xFFFF_FFFF
_SUCCESS: Final = 0
_OFFLOADED: Final = (_SUCCESS, 0x4002_0004)
"""NDIS_STATUS_SUCCESS and NDIS_STATUS_OFFLOAD_PARTIAL_SUCCESS."""
_ESTABLISHED, _FIN_WAIT_1, _FIN_WAIT_2, _CLOSE_WAIT, _CLOSING, _LAST_ACK = 4, 5, 6, 7, 8, 9
_TIMED: Final = frozenset((_ESTABLISHED, _FIN_WAIT_1, _CLOSE_WAIT, _CLOSING, _LAST_ACK))
_FAST: Final = 3
"""Duplicate ACKs that make a retransmission that no timer asked for."""
_STARTS: Final = 12
"""Latest events that may have started a timer, as many as are remembered."""
_BACKED_OFF: Final = 8
_MAX_FINDINGS: Final = 100


@dataclass(frozen=True, slots=True)
class SeamRules:
    """What the monitor takes for granted. Ticks."""

    slack: int = 1
    """A timer may be off by so much (granularity of both clocks)."""
    stamp_slack: int = 1
    """So much may lie between the making of a segment and its last byte at the port, or the host's giving it away."""
    rto_initial: int = 1000
    rto_min: int = 300
    rto_max: int = 60_000
    fin_wait_2: int = 120_000


@dataclass(slots=True)
class _Watch:
    """A timer that was handed over and that nothing has restarted since."""

    due: int
    """Its tick, or later by ``lag``: a hand-over down counts from where the target began."""
    resend: bool
    """The head goes out again without the timer: transmission begins there."""
    count: int
    """Its expiries so far."""
    lag: int = 0


@dataclass(slots=True)
class _Flow:
    """A connection as the wire shows it; sequence numbers as they are."""

    name: str
    sent: int = 0
    una: int = 0
    ack: int | None = None
    edge: int = 0
    own_shift: int | None = None
    peer_shift: int | None = None
    stamp: int | None = None
    """TSval less the tick, modulo 2^32."""
    window: int = 0
    duplicates: int = 0
    largest: int = 0
    """Data of the largest segment that was sent."""
    recover: int | None = None
    starts: list[int] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)
    expired: bool = False
    watch: _Watch | None = None
    target: bool = False
    """The target has the connection: what the host still sends is from before."""
    pending: Mapping[str, Value] | None = None
    """State that was handed down while frames of the host may be on their way to the port."""
    began: int = 0
    """Tick of the last initiate."""
    lag: int = 0
    """Ticks that it took: the clock of the target lies behind by so much at most."""
    initiating: bool = False
    mute: bool = False
    """The target has asked for the upload, or may not send (CH-092): what it owes the peer is the host's to say."""
    reset: bool = False
    finished: bool = False


def _shows_loss(flow: _Flow, seg: WireSegment) -> bool:
    """So much above the head has arrived that the head counts as lost before the third duplicate (RFC 6675 4)."""
    above = [(left, right) for left, right in seg.blocks if difference(left, flow.una) > 0]
    octets = sum(difference(right, left) for left, right in above)
    return len(above) >= _FAST or octets > (_FAST - 1) * max(1, flow.largest)


def difference(a: int, b: int) -> int:
    """How far ``a`` lies ahead of ``b`` in sequence space, signed."""
    return (a - b + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000


def _number(state: Mapping[str, Value], name: str) -> int:
    value = state[name]
    if not isinstance(value, int):
        raise TypeError(f"{name} is no number")
    return value


class SeamMonitor:
    """All connections of one port. ``findings`` must be empty at the end, and ``checked`` must not be."""

    def __init__(self, rules: SeamRules | None = None) -> None:
        self.rules: Final = rules or SeamRules()
        self.findings: Final[list[str]] = []
        self.checked: Final[Counter[str]] = Counter()
        """How often each rule was looked at; a rule that never was proves nothing."""
        self.hand_overs = 0
        self._flows: dict[tuple[int, int], _Flow] = {}
        self._by_handle: dict[int, _Flow] = {}
        self._now = 0

    def feed(self, record: Record) -> None:
        """A frame or a call, in order."""
        self._now = max(self._now, record.tick)
        for flow in self._flows.values():
            if flow.watch is not None:
                self._overdue(flow)
        if isinstance(record, Frame):
            segment = read_segment(record.data)
            if segment is not None and segment.sums_right:
                self._frame(segment, record)
        elif isinstance(record, Enter) and record.layer == 0:
            self._call(record)

    def _call(self, call: Enter) -> None:
        if call.function == EVENT and call.event == _RETRIEVE and call.target in self._by_handle:
            self._by_handle[call.target].mute = True
        if call.function == FORWARD:
            for nbl in call.lists:
                self._forwarded(nbl.data, call.tick)
        if call.tree is None:
            return
        reaction = {INITIATE: self._down, INITIATED: self._initiated, TERMINATED: self._up}.get(call.function)
        if reaction is not None:
            for node in _connections(call.tree.nodes):
                reaction(node)
        if call.function == INVALIDATE:
            for flow in self._by_handle.values():
                flow.mute = True

    def finish(self) -> None:
        """The run is over: what was due before must have expired."""
        for flow in self._flows.values():
            self._overdue(flow)
            self._compare_pending(flow)

    def _check(self, rule: str, holds: bool, flow: _Flow, text: str) -> None:
        self.checked[rule] += 1
        if not holds and len(self.findings) < _MAX_FINDINGS:
            self.findings.append(f"{rule} at tick {self._now} on {flow.name}: {text} ({RULES[rule]})")

    # --- the wire --------------------------------------------------------------------------------------

    def _frame(self, seg: WireSegment, record: Frame) -> None:
        key = (seg.source[1], seg.destination[1]) if record.sent else (seg.destination[1], seg.source[1])
        flow = self._flows.get(key)
        if seg.flags & SYN and record.sent and not seg.flags & ACK and (flow is None or flow.finished or flow.reset):
            flow = self._flows[key] = _Flow(f"port {key[0]}", seg.sequence + 1, seg.sequence, own_shift=seg.shift)
        if flow is None:
            return
        if seg.flags & RST:
            flow.reset, flow.watch = True, None
        elif record.sent:
            if not record.raw:
                self._compare_pending(flow)
            self._sent(flow, seg, record)
        else:
            self._received(flow, seg, record.tick)

    def _forwarded(self, data: bytes, tick: int) -> None:
        """A segment that came in another way, and reaches the target from the host."""
        seg = forwarded_segment(data)
        flow = None if seg is None else self._flows.get((seg.destination[1], seg.source[1]))
        if seg is not None and flow is not None and not seg.flags & (SYN | RST):
            self._received(flow, seg, tick)

    def _sent(self, flow: _Flow, seg: WireSegment, record: Frame) -> None:
        if seg.stamps is not None:
            made = record.tick if record.given is None else record.given
            self._stamp(flow, seg.stamps[0], made, self.rules.stamp_slack, "TSval")
        if seg.flags & SYN:
            return
        shift = flow.own_shift if flow.own_shift is not None and flow.peer_shift is not None else 0
        edge = seg.acknowledgment + (seg.window << shift)
        if flow.ack is not None:
            back = difference(flow.ack, seg.acknowledgment)
            self._check("SEAM-ACK", back <= 0, flow, f"the acknowledgment fell by {back}")
            back = difference(flow.edge, edge)
            self._check("SEAM-EDGE", back <= 0, flow, f"the right edge fell by {back}")
        flow.ack, flow.edge = seg.acknowledgment, edge
        gap = difference(seg.sequence, flow.sent)
        self._check("SEAM-SEQ", gap <= 0, flow, f"{gap} bytes are left out")
        flow.finished |= bool(seg.flags & FIN)
        if seg.length:
            self._data(flow, seg, record.tick, record.raw)

    def _stamp(self, flow: _Flow, value: int, tick: int, slack: int, what: str) -> None:
        offset = (value - tick) % 2**32
        if flow.stamp is None:
            flow.stamp = offset
        off = difference(offset, flow.stamp)
        lag = self._now - flow.began if flow.initiating else flow.lag
        if -lag <= off < -slack:
            flow.stamp, flow.lag, off = offset, 0, 0
        self._check("SEAM-TS", abs(off) <= slack, flow, f"{what} {value} is {off} ticks off")

    def _data(self, flow: _Flow, seg: WireSegment, tick: int, raw: bool) -> None:
        flow.largest = max(flow.largest, seg.payload_length)
        end = (seg.sequence + seg.length) % 2**32
        if flow.sent == flow.una and flow.watch is None:
            flow.starts = [tick]
        elif seg.sequence == flow.una:  # with nothing in flight it is the first probe of a closed window
            self._head(flow, tick, raw)
        if difference(end, flow.sent) > 0:
            flow.sent = end

    def _head(self, flow: _Flow, tick: int, raw: bool) -> None:
        """The first unacknowledged byte goes out again."""
        flow.starts = _noted(flow.starts, tick)
        watch = flow.watch
        if raw and flow.target:
            return
        if watch is None:
            flow.expired |= flow.duplicates < _FAST
            return
        if watch.resend:
            watch.resend = False
            return
        flow.watch, flow.expired = None, True
        off = tick - watch.due
        lag = self._now - flow.began if flow.initiating else watch.lag
        right = -self.rules.slack <= off <= self.rules.slack + lag
        self._check("SEAM-TIMER", right, flow, f"due at {watch.due}, {off} ticks off")

    def _received(self, flow: _Flow, seg: WireSegment, tick: int) -> None:
        if seg.flags & SYN:
            flow.peer_shift = seg.shift
            flow.una = seg.acknowledgment
            flow.window = seg.window
            return
        if not seg.flags & ACK or difference(seg.acknowledgment, flow.sent) > 0:
            return
        flow.heard = _noted(flow.heard, tick)
        ahead = difference(seg.acknowledgment, flow.una)
        if ahead > 0:
            flow.una = seg.acknowledgment
            flow.starts, flow.duplicates, flow.watch = [tick], 0, None
            if flow.recover is not None and difference(flow.una, flow.recover) >= 0:
                flow.recover = None
        elif ahead == 0:
            self._same_ack(flow, seg, tick)
        flow.window = seg.window if ahead >= 0 else flow.window

    @staticmethod
    def _same_ack(flow: _Flow, seg: WireSegment, tick: int) -> None:
        flow.starts = _noted(flow.starts, tick)
        if seg.window != flow.window or seg.window == 0:
            flow.watch = None
        if not seg.length and flow.sent != flow.una:
            flow.duplicates += 1
        if flow.duplicates >= _FAST or _shows_loss(flow, seg):
            flow.watch, flow.recover = None, flow.sent

    # --- hand-overs ------------------------------------------------------------------------------------

    def _down(self, node: Node) -> None:
        state, const = node.delegated, node.const
        if state is None or const is None:
            return
        ports = tuple(_swapped(_number(const, name)) for name in ("local_port", "remote_port"))
        flow = self._flows.get((ports[0], ports[1]))
        if flow is None:
            return
        if node.handle is not None:
            self._by_handle[node.handle] = flow
        self.hand_overs += 1
        flow.target, flow.pending, flow.began, flow.mute = True, state, self._now, False
        flow.initiating = True
        self._time(flow, state)

    def _initiated(self, node: Node) -> None:
        """A refused connection stays with the host."""
        flow = self._by_handle.get(node.handle) if node.handle is not None else None
        if flow is None:
            return
        flow.target, flow.initiating = node.status in _OFFLOADED, False
        flow.lag = self._now - flow.began if flow.target else 0
        state = node.delegated or {}
        if _number(state, "state") == _FIN_WAIT_2 and _number(state, "retransmit_timeout_delta") == NOT_RUNNING:
            flow.heard = _noted(flow.heard, self._now)  # whoever takes it over without a timer starts one
        if flow.watch is not None:
            flow.watch.lag = flow.lag

    def _up(self, node: Node) -> None:
        flow = self._by_handle.pop(node.handle, None) if node.handle is not None else None
        if flow is None:
            return
        self._compare_pending(flow)
        flow.target = False
        if node.delegated is not None and node.status == _SUCCESS and not flow.reset:
            self.hand_overs += 1
            self._compare(flow, node.delegated)
            self._time(flow, node.delegated)

    def _compare_pending(self, flow: _Flow) -> None:
        state, flow.pending = flow.pending, None
        if state is not None:
            self._compare(flow, state)

    def _compare(self, flow: _Flow, state: Mapping[str, Value]) -> None:
        """Sequence numbers of a hand-over against all that was sent before it."""
        number = {name: _number(state, name) for name in ("snd_una", "snd_max", "snd_nxt", "rcv_nxt", "rcv_wnd")}
        behind = difference(number["snd_max"], flow.sent)
        self._check("SEAM-SEQ", behind == 0, flow, f"SndMax is {behind} from the end of what was sent")
        over = difference(number["snd_una"], flow.una)
        self._check("SEAM-SEQ", over <= 0, flow, f"SndUna is {over} above what was acknowledged")
        if flow.ack is not None:
            off = difference(number["rcv_nxt"], flow.ack)
            right = off == 0 or (flow.mute and off > 0)
            self._check("SEAM-ACK", right, flow, f"RcvNxt is {off} from the acknowledgment sent last")
            off = difference(number["rcv_nxt"] + number["rcv_wnd"], flow.edge)
            self._check("SEAM-EDGE", off == 0, flow, f"RcvNxt + RcvWnd is {off} from the right edge sent last")

    def _time(self, flow: _Flow, state: Mapping[str, Value]) -> None:
        """Clock and timer of a hand-over, at its tick."""
        if flow.stamp is not None:
            self._stamp(flow, _number(state, "ts_time"), self._now, self.rules.slack, "TsTime")
        flow.duplicates = max(flow.duplicates, _number(state, "dup_ack_count"))
        self._timer(flow, state, in_flight=state["snd_max"] != state["snd_una"])

    def _timer(self, flow: _Flow, state: Mapping[str, Value], *, in_flight: bool) -> None:
        delta, phase = _number(state, "retransmit_timeout_delta"), _number(state, "state")
        due = None if delta == NOT_RUNNING else self._now + delta
        before, flow.watch = flow.watch, None
        if due is None:
            self._check("SEAM-CARRY", before is None, flow, "the timer was running and does not run any more")
            return
        if phase == _FIN_WAIT_2:
            fits = any(abs(at + self.rules.fin_wait_2 - due) <= self.rules.slack for at in flow.heard)
            self._check("SEAM-FIN-WAIT-2", fits, flow, f"{delta} ticks are left")
            return
        if phase not in _TIMED or _number(state, "snd_una") != flow.una:
            return
        closed = _number(state, "snd_wnd") == 0
        pulled_back = _number(state, "snd_nxt") == flow.una
        if before is not None:
            off = due - before.due
            right = -self.rules.slack <= off <= self.rules.slack + before.lag
            right |= self._expired_now(state, before, due)
            self._check("SEAM-CARRY", right, flow, f"due at {before.due}, now {off} later")
        elif in_flight and not closed and flow.recover is None and flow.starts and flow.sent == state["snd_max"]:
            self._began(flow, state, due)
        fast = flow.duplicates >= _FAST or flow.recover is not None
        if (in_flight and not closed and not fast) or (closed and pulled_back):
            count = _number(state, "retransmit_count")
            flow.watch = _Watch(due, resend=pulled_back and not closed, count=count)

    def _began(self, flow: _Flow, state: Mapping[str, Value], due: int) -> None:
        """The timer is an RTO of SRtt, RttVar and the count of expiries, from something that starts one."""
        count = _number(state, "retransmit_count")
        most = count + _BACKED_OFF if flow.expired or count else count
        rtos = [self._rto(state, backed_off) for backed_off in range(count, most + 1)]
        starts = list(flow.starts)
        if count and state["snd_nxt"] == state["snd_una"]:  # it expired just now, the head has not left yet
            before = [self._rto(state, backed_off - 1) for backed_off in range(count, most + 1)]
            if any(abs(at + rto - self._now) <= self.rules.slack for at in flow.starts for rto in before):
                starts.append(self._now)
        fits = any(abs(at + rto - due) <= self.rules.slack for at in starts for rto in rtos)
        text = f"{due - self._now} ticks are left; RTO {rtos[0]}, started at one of {flow.starts}"
        self._check("SEAM-RTO", fits, flow, text)

    def _expired_now(self, state: Mapping[str, Value], before: _Watch, due: int) -> bool:
        """The timer expired in this very tick: it runs anew, backed off, and the head has not left yet."""
        count = _number(state, "retransmit_count")
        if count <= before.count or state["snd_nxt"] != state["snd_una"]:
            return False
        on_time = abs(before.due - self._now) <= self.rules.slack + before.lag
        return on_time and abs(self._now + self._rto(state, count) - due) <= self.rules.slack

    def _rto(self, state: Mapping[str, Value], backed_off: int) -> int:
        smoothed, variance = _number(state, "s_rtt"), _number(state, "rtt_var")
        rules = self.rules
        base = rules.rto_initial
        if smoothed:
            base = min(rules.rto_max, max(rules.rto_min, (smoothed >> 3) + max(1, variance)))
        return min(rules.rto_max, base << backed_off)

    def _overdue(self, flow: _Flow) -> None:
        watch = flow.watch
        if watch is None or watch.resend or flow.mute or flow.initiating:
            return
        if self._now > watch.due + self.rules.slack + watch.lag:
            flow.watch = None
            self._check("SEAM-TIMER", False, flow, f"due at {watch.due}, and nothing was sent")


def _connections(nodes: Mapping[int, Node]) -> Iterator[Node]:
    """The nodes with delegated TCP state."""
    return (node for node in nodes.values() if node.delegated is not None and "snd_una" in node.delegated)


def _noted(ticks: list[int], tick: int) -> list[int]:
    """The last different ticks of something."""
    return ticks if ticks[-1:] == [tick] else [*ticks, tick][-_STARTS:]


def _swapped(port: int) -> int:
    """A port as a structure holds it, in network byte order on a little-endian host."""
    return (port & 0xFF) << 8 | port >> 8
