"""The host stack: software TCP connections over IPv4 and IPv6 behind a raw frame interface.

Frames go out through ``send_raw`` and come in through ``on_raw``. A connection that is offloaded, or
being handed over, belongs to the target: its frames are not answered here. IPv4 identifications are
0x0000..0x7FFF; the upper half belongs to the target (CH-116). MAC addresses are given: no ARP, no neighbor discovery.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from model.ndis.enums import OFFLOADABLE_STATES, TcpCachedFlags, TcpConstFlags
from model.ndis.framing import Endpoint, Segment, decode, decode_tcp, encode
from model.ndis.offload_state import TcpCached, TcpConst, TcpDelegated, structure_port
from model.ndis.soft_tcp import SoftTcp, SoftTcpConfig, seq_lt
from model.wire.frame import TcpFlag

#: Segments kept for a connection that is not worked on here; older ones are left to retransmission.
MAX_WAITING = 256
#: Largest value of the window field of a TCP header, before scaling.
MAX_WINDOW_FIELD = 0xFFFF


class StackError(Exception):
    """The host stack was used against its rules."""


class Phase(Enum):
    """Who works on a connection."""

    SOFTWARE = "software"
    HANDING_OVER = "handing over"
    OFFLOADED = "offloaded"
    UPLOADING = "uploading"


@dataclass(frozen=True)
class ExportedState:
    """What an initiate needs of a connection."""

    const: TcpConst
    cached: TcpCached
    delegated: TcpDelegated
    #: From SndUna on: the outstanding send data.
    send_data: bytes
    #: Ends at RcvNxt - 1: received, acknowledged, not consumed.
    received_data: bytes


@dataclass(eq=False)
class StackConnection:
    """A connection of the host stack and where its work is done."""

    tcp: SoftTcp
    phase: Phase = Phase.SOFTWARE
    #: Segments that came while the connection was handed over or uploaded.
    waiting: list[Segment] = field(default_factory=list)
    #: Of those, what came before the initiate completed and goes down to the target now (CH-166).
    forwardable: list[Segment] = field(default_factory=list)


@dataclass
class StackCounters:
    """Frames by what became of them."""

    received: int = 0
    sent: int = 0
    not_tcp: int = 0
    no_connection: int = 0
    #: Frames of an offloaded connection that came up the raw path; kept until its upload.
    of_offloaded: int = 0


class HostStack:
    """Demultiplexer, IP identification and hand-over of the host's connections."""

    def __init__(
        self, mac: bytes, ip: bytes, send_raw: Callable[[bytes], None], first_ip_id: int = 0, ip6: bytes = b""
    ) -> None:
        self.mac = mac
        self.ip = ip
        #: IPv6 address, 16 bytes; empty: the host has none.
        self.ip6 = ip6
        self.counters = StackCounters()
        self._send_raw = send_raw
        self._ip_id = first_ip_id & 0x7FFF
        self._connections: dict[tuple[bytes, int, int], StackConnection] = {}
        self.may_forward = False
        """Some connection may hold segments to be forwarded: whoever has looked at all of them may clear it."""
        self._listeners: dict[int, tuple[SoftTcpConfig, Callable[[StackConnection], None]]] = {}

    # ---- connections -----------------------------------------------------------------------

    def connect(self, remote: Endpoint, local_port: int, config: SoftTcpConfig, tick: int) -> StackConnection:
        """Active open to ``remote``."""
        connection = self.adopt(remote, local_port, config)
        connection.tcp.connect(tick)
        return connection

    def adopt(self, remote: Endpoint, local_port: int, config: SoftTcpConfig) -> StackConnection:
        """A connection that nobody opened here; who adopts it fills its state in."""
        key = (remote.ip, remote.port, local_port)
        if key in self._connections:
            raise StackError(f"port {local_port} is connected to that endpoint already")
        local = Endpoint(self.mac, self.ip6 if remote.is_ipv6 else self.ip, local_port)
        if not local.ip:
            raise StackError("the host has no IPv6 address: give it one as ip6")
        connection = StackConnection(SoftTcp(local, remote, config, self._emit))
        self._connections[key] = connection
        return connection

    def listen(self, port: int, config: SoftTcpConfig, opened: Callable[[StackConnection], None]) -> None:
        """Passive opens on ``port``; ``opened`` is given each connection when its SYN came."""
        if port in self._listeners:
            raise StackError(f"port {port} is listened on already")
        self._listeners[port] = config, opened

    def _accept(self, segment: Segment, tick: int) -> bool:
        """A SYN for a port that is listened on."""
        listener = self._listeners.get(segment.destination.port)
        others = TcpFlag.ACK | TcpFlag.RST | TcpFlag.FIN
        if listener is None or TcpFlag.SYN not in segment.flags or segment.flags & others:
            return False
        config, opened = listener
        connection = StackConnection(SoftTcp(segment.destination, segment.source, config, self._emit))
        self._connections[(segment.source.ip, segment.source.port, segment.destination.port)] = connection
        connection.tcp.accept(segment, tick)
        opened(connection)
        return True

    def export(self, connection: StackConnection, tick: int) -> ExportedState:
        """State for an initiate; from here on the stack leaves the connection alone (CH-060)."""
        tcp, config = connection.tcp, connection.tcp.config
        if connection.phase is not Phase.SOFTWARE or tcp.state not in OFFLOADABLE_STATES:
            raise StackError(f"a connection in {tcp.state.name} / {connection.phase} cannot be offloaded")
        connection.phase = Phase.HANDING_OVER
        flags = TcpConstFlags(0)
        if tcp.ts_enabled:
            flags |= TcpConstFlags.TIMESTAMP_ENABLED
        if tcp.scaling_enabled:
            flags |= TcpConstFlags.WINDOW_SCALING_ENABLED
        if tcp.sack_enabled:
            flags |= TcpConstFlags.SACK_ENABLED
        if tcp.ecn.enabled:
            flags |= TcpConstFlags.ECN_ENABLED
        if config.cubic:
            flags |= TcpConstFlags.CUBIC_ENABLED
        const = TcpConst(
            remote_port=structure_port(tcp.remote.port),
            local_port=structure_port(tcp.local.port),
            flags=flags,
            snd_wind_scale=tcp.snd_scale,
            rcv_wind_scale=tcp.rcv_scale,
            remote_mss=tcp.remote_mss,
        )
        cached = TcpCached(
            flags=TcpCachedFlags(0),
            initial_rcv_wnd=min(config.initial_rcv_wnd, MAX_WINDOW_FIELD << tcp.rcv_scale),
            ttl_or_hop_limit=config.ttl,
            tos_or_traffic_class=config.tos,
            flow_label=config.flow_label if tcp.remote.is_ipv6 else 0,
        )
        return ExportedState(const, cached, tcp.snapshot(tick), bytes(tcp.send_buffer), bytes(tcp.received))

    def offloaded(self, connection: StackConnection) -> None:
        """The initiate succeeded. Segments that came meanwhile wait to be forwarded."""
        connection.phase = Phase.OFFLOADED
        self.counters.of_offloaded += len(connection.waiting)
        connection.forwardable, connection.waiting = connection.waiting, []
        self.may_forward |= bool(connection.forwardable)
        connection.tcp.send_buffer.clear()
        connection.tcp.received.clear()

    def to_forward(self, connection: StackConnection) -> list[bytes]:
        """Segments that came during the hand-over and that nobody acknowledged (CH-166, CH-168), taken out.

        Each begins with its TCP header. What lies wholly left of RcvNxt as it was handed over is dropped.
        """
        waiting, connection.forwardable = connection.forwardable, []
        return [one.raw for one in waiting if not self._acknowledged(connection.tcp, one)]

    @staticmethod
    def _acknowledged(tcp: SoftTcp, segment: Segment) -> bool:
        """All sequence space of the segment was acknowledged before the hand-over."""
        span = len(segment.payload) + (TcpFlag.SYN in segment.flags) + (TcpFlag.FIN in segment.flags)
        return seq_lt(segment.seq + span, tcp.rcv_nxt) if span == 0 else not seq_lt(tcp.rcv_nxt, segment.seq + span)

    def not_forwarded(self, connection: StackConnection, raw: bytes) -> None:
        """A forwarded segment came back unprocessed: it waits for the upload like those of the raw path."""
        segment = decode_tcp(raw, connection.tcp.remote, connection.tcp.local)
        if segment is not None:
            connection.waiting.append(segment)

    def not_offloaded(self, connection: StackConnection, tick: int) -> None:
        """The initiate failed: go on in software."""
        connection.phase = Phase.SOFTWARE
        self._drain(connection, tick)

    def uploading(self, connection: StackConnection) -> None:
        """Terminate was called: keep what comes up the raw path until the state is here."""
        connection.phase = Phase.UPLOADING
        connection.waiting[:0] = connection.forwardable
        connection.forwardable = []

    def uploaded(
        self,
        connection: StackConnection,
        delegated: TcpDelegated,
        unacknowledged: bytes,
        fin_requested: bool,
        tick: int,
        *,
        muted: bool = False,
    ) -> None:
        """Go on from uploaded state, then process what came up meanwhile.

        ``muted``: an invalid object kept the target from sending (G-03), so what it took may be unacknowledged.
        """
        connection.phase = Phase.SOFTWARE
        connection.tcp.restore(delegated, unacknowledged, fin_requested, tick)
        if muted and not connection.tcp.ended:
            connection.tcp.acknowledge(tick)
        self._drain(connection, tick)

    def _drain(self, connection: StackConnection, tick: int) -> None:
        waiting, connection.waiting = connection.waiting, []
        for segment in waiting:
            if not self._says_nothing(connection.tcp, segment):
                connection.tcp.on_segment(segment, tick)

    @staticmethod
    def _says_nothing(tcp: SoftTcp, segment: Segment) -> bool:
        """A bare ACK from before the upload: newer ones went to the device, and nobody waits for an answer."""
        bare = not segment.payload and segment.flags == TcpFlag.ACK
        return bare and seq_lt(segment.seq, tcp.rcv_nxt)

    # ---- frames and time -------------------------------------------------------------------

    def on_raw(self, frame: bytes, tick: int) -> None:
        """A frame came up the non-offload path."""
        self.counters.received += 1
        segment = decode(frame)
        if segment is None or segment.destination.ip not in (self.ip, self.ip6):
            self.counters.not_tcp += 1
            return
        key = (segment.source.ip, segment.source.port, segment.destination.port)
        connection = self._connections.get(key)
        if connection is None or connection.tcp.ended:
            if self._accept(segment, tick):
                return
            self.counters.no_connection += 1
            self._refuse(segment)
        elif connection.phase is Phase.SOFTWARE:
            connection.tcp.on_segment(segment, tick)
        elif connection.phase is Phase.OFFLOADED:
            # it was on its way when the target took the connection, or the target leaves it to the host (IP options)
            self.counters.of_offloaded += 1
            connection.forwardable.append(segment)
            del connection.forwardable[:-MAX_WAITING]
            self.may_forward = True
        else:
            connection.waiting.append(segment)
            del connection.waiting[:-MAX_WAITING]

    def _refuse(self, segment: Segment) -> None:
        """RST for a segment without a connection (RFC 9293, 3.10.7.1)."""
        if TcpFlag.RST in segment.flags:
            return
        span = len(segment.payload) + (TcpFlag.SYN in segment.flags) + (TcpFlag.FIN in segment.flags)
        has_ack = TcpFlag.ACK in segment.flags
        self._emit(
            Segment(
                segment.destination,
                segment.source,
                seq=segment.ack if has_ack else 0,
                ack=0 if has_ack else segment.seq + span,
                flags=TcpFlag.RST if has_ack else TcpFlag.RST | TcpFlag.ACK,
                window=0,
            )
        )

    def _emit(self, segment: Segment) -> None:
        self.counters.sent += 1
        frame = encode(replace(segment, ip_id=self._ip_id))
        self._ip_id = (self._ip_id + 1) & 0x7FFF
        self._send_raw(frame)

    def on_tick(self, tick: int) -> None:
        """Run timers of connections that are worked on here."""
        for connection in list(self._connections.values()):
            if connection.phase is Phase.SOFTWARE:
                connection.tcp.on_tick(tick)

    def next_deadline(self) -> int | None:
        """Earliest tick at which on_tick has something to do."""
        due = [
            d for c in self._connections.values() if c.phase is Phase.SOFTWARE and (d := c.tcp.deadline()) is not None
        ]
        return min(due, default=None)
