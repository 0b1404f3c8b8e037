"""An independent TCP host in user space: listens, connects, answers ARP and ping, and judges what it receives.

Make it with `TcpPeer(PeerConfig(), app_factory=lambda index: EchoApp())`, give it frames and ticks as in
`base.Peer`, and read in `violations` what the other side did against the rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tb.peers.applications import EchoApp
from tb.peers.base import Application
from tb.peers.connection import Addresses, Connection, State, TcpConfig
from tb.peers.headers import (
    ACK,
    BROADCAST,
    FIN,
    RST,
    SYN,
    Arp,
    Damaged,
    Echo,
    Link,
    Options,
    Segment,
    decode,
    encode_arp,
    encode_echo_reply,
    encode_tcp,
    ip_bytes,
    mac_bytes,
)
from tb.peers.judge import JudgeRules, Ledger

_ISS_STEP = 997


class PeerError(ValueError):
    """The peer was asked for something it cannot do; the message says what to change."""


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """Addresses and habits of a peer."""

    mac: str = "02:00:00:00:00:02"
    ip: str = "10.0.0.2"
    ip6: str = "fd4a:6b7c:8d9e:a0b1::a02"
    ports: tuple[int, ...] | None = None
    """Ports it listens on; None = all."""
    tcp: TcpConfig = field(default_factory=TcpConfig)
    rules: JudgeRules = field(default_factory=JudgeRules)


@dataclass(frozen=True, slots=True)
class _Key:
    """What tells connections apart, seen from the peer."""

    other_ip: bytes
    other_port: int
    own_port: int


class TcpPeer:
    """A host with any number of connections. See `base.Peer` for the three calls of the test bench."""

    def __init__(
        self, config: PeerConfig | None = None, app_factory: Callable[[int], Application] | None = None
    ) -> None:
        self.config = config or PeerConfig()
        self.connections: list[Connection] = []
        """All connections ever made, in the order of their SYNs."""
        self.apps: list[Application] = []
        """Their applications, same index."""
        self.counters: Counter[str] = Counter()
        """Frames by what became of them: tcp, damaged, unknown, foreign, arp, echo, reset_sent."""
        self._ledger = Ledger()
        self._app_factory: Callable[[int], Application] = app_factory or (lambda _: EchoApp())
        self._mac = mac_bytes(self.config.mac)
        self._ip = ip_bytes(self.config.ip)
        self._ip6 = ip_bytes(self.config.ip6)
        self._table: dict[_Key, Connection] = {}
        self._neighbors: dict[bytes, Link] = {}
        self._ended: dict[_Key, Connection] = {}

    # --- what the test bench reads ---------------------------------------------------------------------

    @property
    def violations(self) -> list[str]:
        """Broken rules, one line each: "RULE: connection: what"."""
        return self._ledger.lines

    @property
    def segments_received(self) -> int:
        """TCP segments with right checksums for one of the connections."""
        return sum(connection.counters.segments_in for connection in self.connections)

    @property
    def served(self) -> list[int]:
        """The other side's port of each of `connections`."""
        return [connection.addresses.other_port for connection in self.connections]

    def idle(self) -> bool:
        """True if no connection is open (TIME-WAIT counts as closed)."""
        done = (State.CLOSED, State.TIME_WAIT)
        return all(connection.state in done for connection in self.connections)

    # --- Peer ------------------------------------------------------------------------------------------

    def on_frame(self, frame: bytes, tick: int) -> list[bytes]:
        """A frame arrives."""
        if frame[:6] not in (self._mac, BROADCAST):
            self.counters["foreign"] += 1
            return []
        packet = decode(frame)
        if isinstance(packet, Damaged):
            return self._damaged(packet)
        if isinstance(packet, Arp):
            return self._arp(packet)
        if isinstance(packet, Echo):
            return self._echo(packet)
        if isinstance(packet, Segment):
            return self._segment(packet, len(frame), tick)
        self.counters["unknown"] += 1
        return []

    def on_tick(self, tick: int) -> list[bytes]:
        """Time has come to `tick`."""
        out: list[bytes] = []
        for connection in list(self._table.values()):
            deadline = connection.next_deadline()
            if deadline is not None and deadline <= tick:
                connection.on_tick(tick)
            out += self._collect(connection)
        return out

    def next_deadline(self) -> int | None:
        """Earliest timer of all connections."""
        deadlines = (connection.next_deadline() for connection in self._table.values())
        running = [at for at in deadlines if at is not None]
        return min(running) if running else None

    def close(self) -> None:
        """Nothing is held outside this process."""

    # --- what a test may do ----------------------------------------------------------------------------

    def connect(
        self,
        other_ip: str,
        other_port: int,
        own_port: int,
        app: Application,
        tick: int,
        other_mac: str | None = None,
        vlan: int | None = None,
    ) -> list[bytes]:
        """Open a connection. The MAC is learned from ARP and from frames unless given here."""
        address = ip_bytes(other_ip)
        if other_mac is not None:
            self._neighbors[address] = Link(self._mac, mac_bytes(other_mac), vlan)
        link = self._neighbors.get(address)
        if link is None:
            raise PeerError(f"no MAC known for {other_ip}; give other_mac, or send ask_for() first")
        key = _Key(address, other_port, own_port)
        if key in self._table:
            raise PeerError(f"port {own_port} is already connected to {other_ip}:{other_port}")
        connection = self._make(key, link, app)
        connection.start_active(tick)
        return self._collect(connection)

    def ask_for(self, other_ip: str, vlan: int | None = None) -> list[bytes]:
        """An ARP request for `other_ip`."""
        link = Link(self._mac, BROADCAST, vlan)
        return [encode_arp(link, 1, (self._mac, self._ip), (bytes(6), ip_bytes(other_ip)))]

    def set_offloaded_ids(self, which: str) -> None:
        """From now on judge IP identification of "off", "data" or "all" segments (see `JudgeRules`)."""
        if which not in ("off", "data", "all"):
            raise PeerError(f'offloaded ids "{which}"; give "off", "data" or "all"')
        rules = replace(self.config.rules, offloaded_ids=which)
        self.config = replace(self.config, rules=rules)
        for connection in self.connections:
            connection.judge.rules = replace(connection.judge.rules, offloaded_ids=which)

    def expect_reset(self, other_port: int) -> None:
        """The other side was told to reset its connection from this port: an RST is no violation any more."""
        for connection in self.connections:
            if connection.addresses.other_port == other_port:
                connection.judge.rules = replace(connection.judge.rules, allow_reset=True)

    def poke(self, tick: int) -> list[bytes]:
        """Applications changed (room, data): let every connection look again."""
        out: list[bytes] = []
        for connection in list(self._table.values()):
            connection.poke(tick)
            out += self._collect(connection)
        return out

    def abort(self, index: int, tick: int) -> list[bytes]:
        """Reset connection `index`."""
        connection = self.connections[index]
        connection.abort(tick)
        return self._collect(connection)

    # --- frames by kind --------------------------------------------------------------------------------

    def _damaged(self, packet: Damaged) -> list[bytes]:
        self.counters["damaged"] += 1
        if not self.config.rules.damaged_path:
            self._ledger.add("frame", "MUST-2", packet.what)
        return []

    def _arp(self, packet: Arp) -> list[bytes]:
        self.counters["arp"] += 1
        if packet.target_ip != self._ip:
            return []
        self._neighbors[packet.sender_ip] = Link(self._mac, packet.sender_mac, packet.link.vlan)
        if packet.operation != 1:
            return []
        link = Link(self._mac, packet.sender_mac, packet.link.vlan)
        return [encode_arp(link, 2, (self._mac, self._ip), (packet.sender_mac, packet.sender_ip))]

    def _echo(self, packet: Echo) -> list[bytes]:
        if packet.destination != self._ip:
            self.counters["foreign"] += 1
            return []
        self.counters["echo"] += 1
        return [encode_echo_reply(packet, self._mac)]

    def _segment(self, seg: Segment, frame_bytes: int, tick: int) -> list[bytes]:
        if seg.destination not in (self._ip, self._ip6):
            self.counters["foreign"] += 1
            return []
        self.counters["tcp"] += 1
        if seg.trailer and frame_bytes > 60 + (4 if seg.link.vlan is not None else 0):
            self._ledger.add("frame", "rfc791 3.1", f"{len(seg.trailer)} bytes behind the IP total length")
        key = _Key(seg.source, seg.sport, seg.dport)
        connection = self._table.get(key)
        if connection is None:
            connection = self._accept(key, seg, tick)
            if connection is None:
                connection = self._ended.get(key)
                if connection is None:
                    return self._refuse(seg)
                connection.answer_late(seg, tick)
        else:
            connection.on_segment(seg, tick)
        return self._collect(connection)

    def _accept(self, key: _Key, seg: Segment, tick: int) -> Connection | None:
        listening = self.config.ports is None or key.own_port in self.config.ports
        if not listening or seg.flags & (SYN | ACK | RST | FIN) != SYN:
            return None
        link = seg.link.reply(self._mac)
        self._neighbors[key.other_ip] = link
        connection = self._make(key, link, self._app_factory(len(self.connections)))
        connection.start_passive(seg, tick)
        return connection

    def _make(self, key: _Key, link: Link, app: Application) -> Connection:
        index = len(self.connections)
        tcp = self.config.tcp
        own_ip = self._ip if len(key.other_ip) == len(self._ip) else self._ip6
        connection = Connection(
            Addresses(own_ip, key.own_port, key.other_ip, key.other_port),
            link,
            app,
            tcp,
            tcp.initial_sequence - _ISS_STEP * index,
            self.config.rules,
            self._ledger,
        )
        self.connections.append(connection)
        self.apps.append(app)
        self._table[key] = connection
        self._ended.pop(key, None)
        return connection

    def _refuse(self, seg: Segment) -> list[bytes]:
        """RST for a segment of no connection (RFC 9293 3.10.7.1)."""
        if seg.flags & RST:
            return []
        self.counters["reset_sent"] += 1
        length = len(seg.payload) + bool(seg.flags & SYN) + bool(seg.flags & FIN)
        with_ack = bool(seg.flags & ACK)
        answer = Segment(
            seg.link.reply(self._mac),
            seg.destination,
            seg.source,
            seg.dport,
            seg.sport,
            seg.ack if with_ack else 0,
            0 if with_ack else seg.seq + length,
            RST if with_ack else RST | ACK,
            0,
            0,
            Options(),
            b"",
        )
        return [encode_tcp(answer)]

    def _collect(self, connection: Connection) -> list[bytes]:
        """Frames that a connection left; forget it once it is closed.

        One that ended in order stays for late segments: a FIN gets its ACK again, the rest silence, not an RST.
        """
        out, connection.out = connection.out, []
        if connection.state is State.CLOSED:
            own = connection.addresses
            key = _Key(own.other_ip, own.other_port, own.own_port)
            if self._table.get(key) is connection:
                del self._table[key]
                if connection.failure is None:
                    self._ended[key] = connection
        return out
