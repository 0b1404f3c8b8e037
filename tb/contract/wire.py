"""The far side of random contract operations: several peers behind two routers, and connections that do as told.

A peer's application sends, closes, stops reading or falls silent when the operator says so. A frame on its way to the
NIC can be taken out for the host to forward, as one that came in on another interface.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from model.ndis.framing import Segment, decode, encode
from model.wire.frame import PROTOCOL_TCP, TCP_BYTES, TcpFlag
from tb.config import RunConfig
from tb.monitors.wire_headers import read_segment
from tb.peers.applications import UNLIMITED, BaseApp
from tb.peers.connection import Connection, TcpConfig
from tb.peers.tcp_peer import PeerConfig, TcpPeer
from tb.session.network import PEER_IP6, TO_NIC, TO_PEER, Network

PEER_PORT = 5001
#: Two next hops; either leads to every peer.
ROUTERS = (bytes.fromhex("0200000000a1"), bytes.fromhex("0200000000a2"))
#: Ticks in TIME_WAIT: longer than the longest retransmission timeout (60 s), so that a lost last ACK is sent again.
TIME_WAIT = 130_000
#: Share of the connections that are over IPv6 where FAMILY does not say.
IPV6_SHARE = 0.25
#: Share of the connections that are offloaded with CUBIC.
CUBIC_SHARE = 0.5
#: Of an untagged frame by its ethertype: where protocol, TCP header and the last byte of the destination stand.
_PLACES = {b"\x08\x00": (23, 34, 33), b"\x86\xdd": (20, 54, 53)}
#: What the peers announce; a small receive buffer, so that an application that stops reading closes the window.
PEERS = (
    TcpConfig(mss=1460, receive_buffer=48 * 1024, delayed_ack_ticks=10, time_wait_ticks=TIME_WAIT),
    TcpConfig(mss=1000, receive_buffer=24 * 1024, window_scale=None, ack_every=1, time_wait_ticks=TIME_WAIT),
    TcpConfig(
        mss=536, receive_buffer=64 * 1024, timestamps=False, sack=False, delayed_ack_ticks=20, time_wait_ticks=TIME_WAIT
    ),
)


def peer_ip(number: int) -> bytes:
    """Address of a peer."""
    return bytes([10, 0, 0, 2 + number])


def peer_ip6(number: int) -> bytes:
    """IPv6 address of a peer."""
    return PEER_IP6[:-1] + bytes([2 + number])


def _peer_mac(number: int) -> bytes:
    return bytes.fromhex("0200000000") + bytes([2 + number])


class FarApp(BaseApp):
    """Sends what it is given, keeps what it receives, stops reading and closes when told."""

    def __init__(self) -> None:
        super().__init__()
        self.stream = bytearray()
        self.received = bytearray()
        self.limit: int | None = None
        self.closing = False
        self._next = 0

    def room(self) -> int:
        """What it may still read."""
        return UNLIMITED if self.limit is None else max(0, self.limit - len(self.received))

    def on_data(self, data: bytes) -> None:
        """Keep the next bytes."""
        super().on_data(data)
        self.received += data

    def take(self, limit: int) -> bytes:
        """The next bytes to send."""
        part = bytes(self.stream[self._next : self._next + limit])
        self._next += len(part)
        return part

    def wants_close(self) -> bool:
        """Told to, and everything was taken."""
        return self.closing and self._next == len(self.stream)


@dataclass(eq=False)
class Far:
    """The other end of one connection."""

    peer: TcpPeer
    index: int
    app: FarApp
    #: Frames wait in both directions until this tick.
    silent_until: int = -1
    #: The peer hears nothing until this tick, but speaks.
    deaf_until: int = -1
    #: Its next segment with text becomes urgent.
    urgent: bool = False
    #: The last frame that went to the NIC.
    last: bytes = b""
    waiting: dict[str, deque[bytes]] = field(default_factory=lambda: {TO_NIC: deque(), TO_PEER: deque()})
    #: Asked with the next segment to the NIC: True takes it out.
    catch: Callable[[Segment], bool] | None = None

    @property
    def connection(self) -> Connection:
        """The peer's TCP."""
        return self.peer.connections[self.index]

    @property
    def received(self) -> bytes:
        """Everything that came in order, read by the application or not."""
        return bytes(self.app.received) + self.connection.unread


class ContractNetwork(Network):
    """Peers, routers, and what the operator does to single connections."""

    plain = False

    def __init__(
        self, config: RunConfig, make_app: Callable[[int], FarApp], peer: PeerConfig, capture: Path | None
    ) -> None:
        super().__init__(config, make_app, peer, capture)
        self._make_app = make_app
        self.peers = [self._peer(number, tcp, config.seed) for number, tcp in enumerate(PEERS)]
        self.peer = self.peers[0]
        self.fars: dict[int, Far] = {}
        self._known = [0] * len(self.peers)
        #: Copies of frames on their way: for the host to forward, and for nobody else.
        self._copies: list[bytes] = []
        #: An application changed: its peer looks again.
        self._poked = False
        #: Frames that wait because their connection is silent or deaf.
        self._held = 0
        self._now = 0

    def _peer(self, number: int, tcp: TcpConfig, seed: int) -> TcpPeer:
        ip, ip6 = str(IPv4Address(peer_ip(number))), str(IPv6Address(peer_ip6(number)))
        settings = replace(tcp, initial_sequence=0xFFFF_E000 - (seed * 7919 + number * 4099) % 0x10000)
        mac = _peer_mac(number).hex(":")
        return TcpPeer(PeerConfig(mac=mac, ip=ip, ip6=ip6, tcp=settings), app_factory=lambda _: FarApp())

    def over_ipv6(self, local_port: int) -> bool:
        """The version of IP of the connection from a port, drawn apart from everything else."""
        if "FAMILY" in self._config.given:
            return self._config.family == 6
        return random.Random(f"family/{self._config.seed}/{local_port}").random() < IPV6_SHARE

    def with_cubic(self, local_port: int) -> bool:
        """The congestion control of the connection from a port, drawn apart from everything else."""
        return random.Random(f"cubic/{self._config.seed}/{local_port}").random() < CUBIC_SHARE

    def poke(self) -> None:
        """An application changed its mind."""
        self._poked = True

    def far(self, local_port: int) -> Far | None:
        """The other end of the connection from a port; None until its SYN arrived."""
        return self.fars.get(local_port)

    def _note_connections(self) -> None:
        """Peers make connections of SYNs alone, so this is asked behind frames."""
        for number, peer in enumerate(self.peers):
            for index in range(self._known[number], len(peer.connections)):
                app = peer.apps[index]
                if isinstance(app, FarApp):
                    port = peer.connections[index].addresses.other_port
                    self.forget(port)
                    self.fars[port] = Far(peer, index, app)
            self._known[number] = len(peer.connections)

    @property
    def quiet(self) -> bool:
        """No frame is on its way."""
        return not self._held and all(i.next_deadline() is None for i in self.impairments.values())

    def forget(self, local_port: int) -> None:
        """Nobody looks at a connection any more."""
        far = self.fars.pop(local_port, None)
        self._held -= 0 if far is None else sum(map(len, far.waiting.values()))

    def reset(self, far: Far, tick: int) -> None:
        """The peer resets a connection."""
        for frame in far.peer.abort(far.index, tick):
            self.impairments[TO_NIC].push(frame, tick)

    # ---- frames -----------------------------------------------------------------------------

    def _of(self, frame: bytes, own: int) -> Far | None:
        """The connection of a frame; ``own`` is where the NIC's port stands in the TCP header."""
        protocol, tcp, _ = _PLACES.get(frame[12:14], (0, len(frame), 0))
        if len(frame) < tcp + TCP_BYTES or frame[protocol] != PROTOCOL_TCP:
            return None
        return self.far(int.from_bytes(frame[tcp + own : tcp + own + 2], "big"))

    def _hold(self, frames: list[bytes], direction: str, tick: int) -> list[bytes]:
        """Frames that go on now: those of silent connections wait, and go first when the silence is over."""
        out: list[bytes] = []
        for far in self.fars.values() if self._held else ():
            if far.waiting[direction] and self._hears_from(far, direction) <= tick:
                out += far.waiting[direction]
                self._held -= len(far.waiting[direction])
                far.waiting[direction].clear()
        for frame in frames:
            far_end = self._of(frame, 0 if direction == TO_PEER else 2)
            if far_end is not None and self._hears_from(far_end, direction) > tick:
                far_end.waiting[direction].append(frame)
                self._held += 1
            else:
                out.append(frame)
        return out

    @staticmethod
    def _hears_from(far: Far, direction: str) -> int:
        """The tick from which on frames go on."""
        return max(far.silent_until, far.deaf_until) if direction == TO_PEER else far.silent_until

    def repeat(self, far: Far, tick: int) -> None:
        """The network has a copy of the last frame to the NIC; it is lost unless the host gets it another way."""
        self._copies.append(far.last)
        self.impairments[TO_NIC].push(far.last, tick)

    def due(self, tick: int) -> list[bytes]:
        """Run the peers up to ``tick``; the frames that reach the NIC now, in order."""
        answers: list[bytes] = []
        for frame in self._hold(self.impairments[TO_PEER].pop_due(tick), TO_PEER, tick):
            _, _, last = _PLACES.get(frame[12:14], (0, 0, 0))
            number = frame[last] - 2 if last else 0
            if 0 <= number < len(self.peers):
                answers += self.peers[number].on_frame(_peer_mac(number) + frame[6:], tick)
        self._note_connections()
        for peer in self.peers:
            if tick > self._now:
                answers += peer.on_tick(tick)
            if self._poked:
                answers += peer.poke(tick)
        self._poked, self._now = False, max(tick, self._now)
        for frame in answers:
            self.impairments[TO_NIC].push(frame, tick)
        arriving = self._hold(self.impairments[TO_NIC].pop_due(tick), TO_NIC, tick)
        return [self._marked(frame) for frame in arriving if not (self._caught(frame, tick) or self._copied(frame))]

    def _copied(self, frame: bytes) -> bool:
        if frame not in self._copies:
            return False
        self._copies.remove(frame)
        return True

    def _marked(self, frame: bytes) -> bytes:
        """The frame as it reaches the NIC, urgent if it is to be."""
        far = self._of(frame, 2)
        if far is None:
            return frame
        segment = decode(frame) if far.urgent else None
        if segment is not None and segment.payload:
            far.urgent = False
            return encode(replace(segment, flags=segment.flags | TcpFlag.URG))
        far.last = frame
        return frame

    def _caught(self, frame: bytes, tick: int) -> bool:
        far = self._of(frame, 2)
        if far is None or far.catch is None:
            return False
        segment = decode(frame)
        catch, far.catch = far.catch, None
        if segment is None or not catch(segment):
            return False
        self._copied(frame)
        if read_segment(frame) is not None:
            self.monitor.on_receive(frame, tick)  # the NIC gets it from the host
        return True

    def expect_reset(self, local_port: int) -> None:
        """The host called for an abortive disconnect of the connection from this port."""
        self.monitor.expect_reset(local_port)
        far = self.far(local_port)
        if far is not None:
            far.peer.expect_reset(local_port)

    def next_deadline(self) -> int | None:
        """The tick at which ``due`` has something to do next."""
        ticks = [i.next_deadline() for i in self.impairments.values()]
        ticks += [peer.next_deadline() for peer in self.peers]
        for far in self.fars.values():
            ticks += [self._hears_from(far, direction) for direction in far.waiting if far.waiting[direction]]
        return min((t for t in ticks if t is not None), default=None)

    @property
    def violations(self) -> list[str]:
        """What the peers hold against the NIC."""
        return [line for peer in self.peers for line in peer.violations]
