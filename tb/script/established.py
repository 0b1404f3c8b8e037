"""The software stack holds the connection as a trace hands it over, and offloads it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from model.ndis.enums import TcpCachedFlags, TcpConnectionState, TcpConstFlags
from model.ndis.framing import MASK32, Endpoint
from model.ndis.offload_state import OffloadBlock, TcpConst
from model.ndis.soft_tcp import SoftTcp, SoftTcpConfig
from model.wire.frame import TIMESTAMP_OPTION_BYTES
from tb.contract.scenes.stage import SceneStory
from tb.script.events import Arrival, Departure, Handover, Script
from tb.script.wire import PEER_TS_BASE, TS_BASE, link_mss, octets
from tb.tests.stage import Scene

#: Initial sequence numbers: both directions wrap within the first octets (S53).
ISS, PEER_ISS = 0xFFFF_FF80, 0xFFFF_FFE0
#: Initial window of RFC 6928, 2: ten segments, bounded in octets.
IW_SEGMENTS, IW_OCTETS = 10, 14_600
#: Receive window where a trace names none, and the most that is ever offered, octets.
DEFAULT_WINDOW, LARGEST_WINDOW = 65_535, 256 * 1024
UNBOUNDED = 0x3FFF_C000
#: Microseconds of a tick.
TICK = 1000


def initial_window(mss: int) -> int:
    """RFC 6928, 2: min(10 MSS, max(2 MSS, 14600))."""
    return min(IW_SEGMENTS * mss, max(2 * mss, IW_OCTETS))


@dataclass(frozen=True)
class Opening:
    """What the hand-over of a trace leaves to its events: what was said and heard before, as far as they show it."""

    #: Receive window, octets.
    window: int
    #: TSval of the last segment sent, and TS.Recent; None without timestamps.
    clock: tuple[int, int] | None
    #: Round trip of the handshake, ticks: the peer's third segment is the first event of a passive open.
    rtt: int
    #: The last segment of the handshake is the trace's first event.
    greets: bool
    #: ECN was agreed on: the trace says so, or shows a code point, ECE or CWR (RFC 3168).
    ecn: bool

    @staticmethod
    def of(script: Script) -> Opening:
        """Read it from a trace."""
        handover = script.handover
        came = [event for event in script.events if isinstance(event, Arrival)]
        left = [event.segment for event in script.events if isinstance(event, Departure)]
        first = script.events[0] if script.events else None
        told = next((event for event in script.events if isinstance(event, Arrival | Departure)), None)
        third = isinstance(first, Arrival) and not first.segment.length and not handover.active
        window = handover.rcv_wnd
        if window is None:
            shown = next((s.win for s in left if s.win and not s.flags & {"S", "R"}), None)
            usual = LARGEST_WINDOW if handover.rcv_ws else DEFAULT_WINDOW
            window = usual if shown is None else shown << handover.rcv_ws
        clock = None
        if handover.ts:
            theirs = next((event.segment.ts for event in came if event.segment.ts), None)
            ours = next((segment.ts for segment in left if segment.ts), (0, 0))
            clock = ours if theirs is None else (theirs[1], theirs[0])
        return Opening(
            window=min(window, 0xFFFF << handover.rcv_ws, LARGEST_WINDOW),
            clock=clock,
            rtt=max(1, first.when.low // TICK) if first is not None and third else 1,
            greets=handover.active and isinstance(told, Departure),
            ecn=handover.ecn or _shows_ecn(script),
        )


def _shows_ecn(script: Script) -> bool:
    """A code point other than not-ECT, or ECE or CWR, in any segment."""
    segments = [event.segment for event in script.events if isinstance(event, Arrival | Departure)]
    return any(s.ecn not in (None, "noecn") or s.flags & {"E", "W"} for s in segments)


class Established(SceneStory):
    """A connection that was established before its trace begins."""

    #: Octets that the application handed over, those of the handed-over state included.
    written = 0
    #: Relative sequence number of the first octet that will be received.
    first = 1
    #: Octets that the socket keeps unread.
    limit = DEFAULT_WINDOW

    def establish(self, handover: Handover, opening: Opening) -> Scene:
        """The software stack holds the connection as the trace hands it over; then it is offloaded."""
        host = self.host
        self.limit = opening.window
        overhead = TIMESTAMP_OPTION_BYTES if handover.ts else 0
        mss = link_mss(6 if len(self.far.ip) == 16 else 4)
        config = SoftTcpConfig(
            mss=mss,
            initial_rcv_wnd=opening.window,
            timestamps=handover.ts,
            window_scaling=bool(handover.snd_ws or handover.rcv_ws),
            initial_seq=ISS,
            initial_cwnd=initial_window(min(handover.peer_mss, mss) - overhead),
        )
        remote = Endpoint(self.far.mac, self.far.ip, self.far.port)
        host.clients.append(self)
        self.stack = host.stack.adopt(remote, self.far.local_port, config)
        self._fill(self.stack.tcp, handover, opening)
        self.written = handover.max - 1
        self.first = handover.rcv_nxt
        if handover.active:
            self.stack.tcp.acknowledge(host.now)
        yield from self.offload(lambda node: self._change(node, handover))

    def _fill(self, tcp: SoftTcp, handover: Handover, opening: Opening) -> None:
        config, now = tcp.config, self.host.now
        tcp.state = TcpConnectionState.ESTABLISHED
        tcp.snd_una, tcp.snd_nxt = (ISS + handover.una) & MASK32, (ISS + handover.nxt) & MASK32
        tcp.snd_max = (ISS + handover.max) & MASK32
        tcp.snd_wnd = tcp.max_snd_wnd = handover.snd_wnd
        tcp.rcv_nxt = (PEER_ISS + handover.rcv_nxt) & MASK32
        tcp.rcv_adv = (tcp.rcv_nxt + opening.window) & MASK32
        tcp.snd_wl1, tcp.snd_wl2 = (tcp.rcv_nxt - 1) & MASK32, tcp.snd_una
        tcp.cwnd, tcp.ssthresh = config.initial_cwnd, UNBOUNDED
        tcp.remote_mss = handover.peer_mss
        tcp.ts_enabled, tcp.scaling_enabled = handover.ts, config.window_scaling
        tcp.ecn.enabled = opening.ecn
        tcp.snd_scale, tcp.rcv_scale = handover.snd_ws, handover.rcv_ws
        if opening.clock is not None:
            tcp.ts_delta = (opening.clock[0] + TS_BASE - now) & MASK32
            tcp.ts_recent, tcp.ts_recent_tick = (opening.clock[1] + PEER_TS_BASE) & MASK32, now
        tcp.rtt.sample(opening.rtt)
        tcp.send_buffer += octets(handover.una, handover.max - handover.una)

    def _change(self, node: OffloadBlock, handover: Handover) -> None:
        """What the software stack has no part in: SACK, and options of the socket."""
        if handover.sack and isinstance(node.const, TcpConst):
            node.const = replace(node.const, flags=node.const.flags | TcpConstFlags.SACK_ENABLED)
        cached = self.connection.cached
        cached = replace(cached, flags=cached.flags | TcpCachedFlags.NAGLING_ENABLED)
        node.cached = self.connection.cached = cached
