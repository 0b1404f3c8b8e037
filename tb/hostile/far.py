"""The hostile far end of a connection that was really opened: it knows all numbers, and heeds no rule."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from model.streams import Streams
from model.wire.checksum import ipv4_header_checksum, tcp_checksum
from tb.monitors.wire_headers import ACK, FIN, SYN, WireSegment
from tb.session.network import NIC_ADDRESS, NIC_IP6, NIC_MAC, PEER_ADDRESS, PEER_IP, PEER_PORT

HOSTILE_MAC: Final = bytes.fromhex("0200000000bb")
HOSTILE_IP: Final = bytes([10, 0, 0, 66])
#: Address of the hostile ends by version of IP.
HOSTILE_ADDRESS: Final = {4: HOSTILE_IP, 6: NIC_IP6[:-1] + b"\x66"}
HOSTILE_PORT: Final = 6666
#: Local ports of the victims count up from here; those of the good connections lie far below.
FIRST_VICTIM_PORT: Final = 45_000
MASK: Final = 0xFFFF_FFFF
_MIN_FRAME: Final = 60
_TCP: Final = 6
_PAD: Final = b"\x01"


def number(address: bytes) -> int:
    """An address as an integer, network order."""
    return int.from_bytes(address, "big")


def ahead(a: int, b: int) -> int:
    """Signed distance from b to a in sequence space."""
    return ((a - b + 0x8000_0000) & MASK) - 0x8000_0000


def version(address: bytes) -> int:
    """The version of IP of an address."""
    return 6 if len(address) == len(NIC_IP6) else 4


def ipv6_packet(source: bytes, following: int, payload: bytes, flow_label: int = 0) -> bytes:
    """A frame to the NIC with an IPv6 packet; ``following``: its next header (RFC 8200, 3)."""
    header = (6 << 28 | flow_label).to_bytes(4, "big") + len(payload).to_bytes(2, "big") + bytes((following, 64))
    whole = NIC_MAC + HOSTILE_MAC + b"\x86\xdd" + header + source + NIC_IP6 + payload
    return whole.ljust(_MIN_FRAME, b"\0")


def frame(
    source: tuple[bytes, int],
    local_port: int,
    *,
    seq: int = 0,
    ack: int = 0,
    flags: int = ACK,
    window: int = 0xFFFF,
    payload: bytes = b"",
    options: bytes = b"",
    urgent: int = 0,
    ip_id: int = 0,
) -> bytes:
    """A frame to the NIC with right lengths and checksums, whatever the option bytes hold (at most 40).

    The source's address says which version of IP; over IPv6 ``ip_id`` is the flow label.
    """
    ip, port = source
    own = NIC_ADDRESS[version(ip)]
    options += _PAD * (-len(options) % 4)
    segment = bytearray(port.to_bytes(2, "big") + local_port.to_bytes(2, "big"))
    segment += (seq & MASK).to_bytes(4, "big") + (ack & MASK).to_bytes(4, "big")
    segment += bytes((5 + len(options) // 4 << 4, flags & 0xFF)) + (window & 0xFFFF).to_bytes(2, "big")
    segment += bytes(2) + (urgent & 0xFFFF).to_bytes(2, "big") + options + payload
    segment[16:18] = tcp_checksum(number(ip), number(own), segment).to_bytes(2, "big")
    if own is NIC_IP6:
        return ipv6_packet(ip, _TCP, bytes(segment), ip_id)
    header = bytearray(b"\x45\x00" + (20 + len(segment)).to_bytes(2, "big") + ip_id.to_bytes(2, "big"))
    header += b"\x40\x00\x40\x06\x00\x00" + ip + own
    header[10:12] = ipv4_header_checksum(header).to_bytes(2, "big")
    whole = NIC_MAC + HOSTILE_MAC + b"\x08\x00" + bytes(header) + bytes(segment)
    return whole.ljust(_MIN_FRAME, b"\0")


def sack_option(blocks: Sequence[tuple[int, int]]) -> bytes:
    """A SACK option behind two NOPs (RFC 2018, 3)."""
    body = b"".join((left & MASK).to_bytes(4, "big") + (right & MASK).to_bytes(4, "big") for left, right in blocks)
    return b"\x01\x01\x05" + bytes((2 + len(body),)) + body


@dataclass(eq=False)
class Far:
    """One hostile end. Sequence numbers are those on the wire."""

    local_port: int
    #: Where it draws from, each kind of draw by its name.
    streams: Streams
    mss: int
    #: Options agreed to if the NIC's side offers them.
    with_sack: bool = True
    with_stamps: bool = True
    scale: int | None = 3
    #: Whether the device has the connection now.
    live: Callable[[], bool] = lambda: False
    #: Its address, and with it the version of IP.
    ip: bytes = HOSTILE_IP
    port: int = HOSTILE_PORT
    opened: bool = False
    stamps: bool = False
    sack: bool = False
    #: Next number of its own stream, and what the NIC acknowledged last.
    nxt: int = 0
    acked: int = 0
    #: First byte of the NIC's stream that was not acknowledged by this end; end of what the NIC sent.
    una: int = 0
    top: int = 0
    #: The NIC's window field and its scale.
    window: int = 0
    nic_scale: int = 0
    clock: int = 0
    recent: int = 0
    #: Attack frames aimed at it.
    frames: int = 0
    replies: list[bytes] = field(default_factory=list)

    def heard(self, seg: WireSegment) -> None:
        """The NIC, or the host's software before the offload, sent a segment of this connection."""
        if seg.stamps is not None:
            self.recent = seg.stamps[0]
        if seg.flags & SYN:
            self._open(seg)
            return
        end = seg.sequence + seg.payload_length + (seg.flags & FIN)
        if ahead(end, self.top) > 0:
            self.top = end & MASK
        if seg.flags & ACK:
            self.acked = seg.acknowledgment
            self.window = seg.window << self.nic_scale
            # what was cut off or dropped is to be sent again, or the rest would all lie beyond a gap
            if not 0 <= ahead(self.nxt, self.acked) <= self.window or self.streams.stream("begin again").random() < 0.2:
                self.nxt = self.acked

    def _open(self, seg: WireSegment) -> None:
        if not self.opened:
            self.nxt = self.streams.stream("first number").getrandbits(32)
            self.stamps = self.with_stamps and seg.stamps is not None
            self.sack = self.with_sack and seg.sack_permitted
            self.clock = self.streams.stream("clock").getrandbits(32)
            self.una = self.top = (seg.sequence + 1) & MASK
            self.nic_scale = (seg.shift or 0) if self.scale is not None else 0
        options = b"\x02\x04" + self.mss.to_bytes(2, "big")
        if self.sack:
            options += b"\x04\x02"
        if self.scale is not None and seg.shift is not None:
            options += b"\x03\x03" + bytes((self.scale,))
        options += self._stamp()
        first = self.nxt if not self.opened else (self.nxt - 1) & MASK
        syn = SYN | ACK
        self.replies.append(
            frame((self.ip, self.port), self.local_port, seq=first, ack=self.una, flags=syn, options=options)
        )
        if not self.opened:
            self.opened = True
            self.nxt = self.acked = (first + 1) & MASK

    def _stamp(self, value: int | None = None, echo: int | None = None) -> bytes:
        if not self.stamps:
            return b""
        stamp, answer = self.clock if value is None else value, self.recent if echo is None else echo
        return b"\x01\x01\x08\x0a" + (stamp & MASK).to_bytes(4, "big") + (answer & MASK).to_bytes(4, "big")

    def say(
        self,
        payload: bytes = b"",
        flags: int = ACK,
        *,
        seq: int | None = None,
        ack: int | None = None,
        window: int = 0xFFFF,
        options: bytes = b"",
        urgent: int = 0,
        stamp: int | None = None,
        echo: int | None = None,
        bare: bool = False,
    ) -> bytes:
        """A segment of this connection; numbers that are not given are right. ``bare`` leaves timestamps out."""
        own = b"" if bare else self._stamp(stamp, echo)
        return frame(
            (self.ip, self.port),
            self.local_port,
            seq=self.nxt if seq is None else seq,
            ack=self.una if ack is None else ack,
            flags=flags,
            window=window,
            payload=payload,
            options=own + options[: 40 - len(own)],
            urgent=urgent,
            ip_id=self.streams.stream("identification").getrandbits(16),
        )

    def text(self, count: int) -> bytes:
        """The next bytes of its stream, in order."""
        data = self.streams.stream("text").randbytes(count)
        self.nxt = (self.nxt + count) & MASK
        return data

    def believe(self) -> int:
        """Acknowledge all that the NIC sent; the number to say."""
        self.una = self.top
        return self.una

    @property
    def room(self) -> int:
        """Bytes that the NIC's window leaves from `nxt` on."""
        return max(0, self.window - ahead(self.nxt, self.acked))


@dataclass(frozen=True)
class Mark:
    """A good connection as an attacker off the path knows it: addresses and ports, no number."""

    local_port: int
    peer_ip: bytes = PEER_IP

    def guess(self, rng: random.Random, flags: int, payload: bytes = b"") -> bytes:
        """A segment in the peer's name with numbers out of the air."""
        return frame(
            (self.peer_ip, PEER_PORT),
            self.local_port,
            seq=rng.getrandbits(32),
            ack=rng.getrandbits(32),
            flags=flags,
            window=rng.getrandbits(16),
            payload=payload,
            ip_id=rng.getrandbits(16),
        )


@dataclass
class Targets:
    """What an attack may aim at."""

    fars: list[Far] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    #: Version of IP under all of it.
    family: int = 4

    @property
    def hostile_ip(self) -> bytes:
        """Address of the hostile ends."""
        return HOSTILE_ADDRESS[self.family]

    @property
    def peer_ip(self) -> bytes:
        """Address of the good peer."""
        return PEER_ADDRESS[self.family]

    def victim(self, rng: random.Random) -> Far | None:
        """A live connection with a hostile end, None while there is none."""
        live = [far for far in self.fars if far.live()]
        return rng.choice(live) if live else None
