"""Ethernet, ARP, IPv4, IPv6, ICMP and TCP bytes for the peers, written for them alone.

MAC and IP addresses are kept as the bytes of the wire. The Internet checksum uses that a one's complement sum
of 16-bit words is the number they spell modulo 65535 (2^16 is 1 there), so it needs no loop over words.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field, replace
from typing import Final

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80

_ARP: Final = 0x0806
_IPV4: Final = 0x0800
_IPV6: Final = 0x86DD
_IPV6_ADDRESS: Final = 16
_VLAN: Final = 0x8100
_ICMP_PROTOCOL: Final = 1
_TCP_PROTOCOL: Final = 6
_ARP_FIXED: Final = b"\x00\x01\x08\x00\x06\x04"
MIN_FRAME: Final = 60
BROADCAST: Final = b"\xff" * 6


def mac_bytes(text: str) -> bytes:
    """Six bytes of a MAC address written 02:00:00:00:00:01."""
    return bytes.fromhex(text.replace(":", ""))


def ip_bytes(text: str) -> bytes:
    """Four bytes of an IPv4 address in dotted notation, sixteen of an IPv6 address (RFC 5952)."""
    return socket.inet_pton(socket.AF_INET6, text) if ":" in text else socket.inet_aton(text)


def ip_text(address: bytes) -> str:
    """Address bytes as text."""
    if len(address) == _IPV6_ADDRESS:
        return f"[{socket.inet_ntop(socket.AF_INET6, address)}]"
    return socket.inet_ntoa(address)


def flag_text(flags: int) -> str:
    """Flags as tcpdump prints them."""
    return "".join(letter for bit, letter in enumerate("FSRP.UEW") if flags >> bit & 1)


def checksum(*parts: bytes) -> int:
    """Internet checksum of the joined parts (RFC 1071); every part but the last has even length."""
    data = b"".join(parts)
    if len(data) % 2:
        data += b"\0"
    rest = int.from_bytes(data, "big") % 0xFFFF
    return 0xFFFF - rest if rest else (0 if any(data) else 0xFFFF)


def checksum_ok(*parts: bytes) -> bool:
    """True if the parts, checksum field included, sum to (minus) zero."""
    data = b"".join(parts)
    if len(data) % 2:
        data += b"\0"
    return int.from_bytes(data, "big") % 0xFFFF == 0


@dataclass(frozen=True, slots=True)
class Link:
    """Ethernet addresses and VLAN tag (16 bits, None = untagged) of a frame."""

    source: bytes
    destination: bytes
    vlan: int | None = None

    def reply(self, own: bytes) -> Link:
        """The link header of an answer sent from MAC `own`."""
        return Link(own, self.source, self.vlan)

    def encode(self, ethertype: int) -> bytes:
        """The link header bytes."""
        tag = b"" if self.vlan is None else struct.pack("!HH", _VLAN, self.vlan)
        return self.destination + self.source + tag + struct.pack("!H", ethertype)


@dataclass(frozen=True, slots=True)
class Damaged:
    """An IP frame whose lengths or checksums are wrong; `what` names the first fault."""

    what: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A frame of no interest: other ethertype, IP options, fragment, other protocol."""

    what: str


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP packet for IPv4 over Ethernet; `operation` 1 = request, 2 = reply."""

    link: Link
    operation: int
    sender_mac: bytes
    sender_ip: bytes
    target_ip: bytes


@dataclass(frozen=True, slots=True)
class Echo:
    """An ICMP echo request."""

    link: Link
    source: bytes
    destination: bytes
    rest: bytes
    """Identifier, sequence number and data, as they go into the reply."""


@dataclass(frozen=True, slots=True)
class Options:
    """TCP options of interest; `raw` keeps all option bytes, `fault` says what was illegal in them."""

    mss: int | None = None
    scale: int | None = None
    timestamps: tuple[int, int] | None = None
    raw: bytes = b""
    fault: str | None = None
    padding_ok: bool = True
    """Bytes behind an end-of-list option are all zero (MUST-69)."""
    sack_permitted: bool = False
    sack_blocks: tuple[tuple[int, int], ...] = ()
    """(left edge, right edge) as on the wire (RFC 2018 3)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment with right checksums, numbers as on the wire; addresses of 16 bytes: over IPv6."""

    link: Link
    source: bytes
    destination: bytes
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    urgent: int
    options: Options
    payload: bytes = field(repr=False)
    ip_id: int = 0
    ip_flags: int = 0x4000
    ttl: int = 64
    tos: int = 0
    reserved: int = 0
    trailer: bytes = field(default=b"", repr=False)
    """Bytes of the frame behind the IP packet (Ethernet padding)."""
    flow_label: int = 0

    @property
    def is_ipv6(self) -> bool:
        """The version of IP it travels over."""
        return len(self.source) == _IPV6_ADDRESS


Decoded = Segment | Arp | Echo | Damaged | Unknown


def decode(frame: bytes) -> Decoded:
    """Read a frame; checksums first, so that nothing of a damaged packet is believed."""
    if len(frame) < 14:
        return Damaged("frame shorter than an Ethernet header")
    at, vlan = 14, None
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    if ethertype == _VLAN:
        if len(frame) < 18:
            return Damaged("frame ends inside the VLAN tag")
        vlan, ethertype = struct.unpack_from("!HH", frame, 14)
        at = 18
    link = Link(frame[6:12], frame[:6], vlan)
    if ethertype == _ARP:
        return _decode_arp(link, frame[at:])
    if ethertype == _IPV6:
        return _decode_ipv6(link, frame[at:])
    if ethertype != _IPV4:
        return Unknown(f"ethertype {ethertype:#06x}")
    return _decode_ip(link, frame[at:])


def _decode_arp(link: Link, data: bytes) -> Decoded:
    if len(data) < 28 or data[:6] != _ARP_FIXED:
        return Unknown("not an ARP packet for IPv4 over Ethernet")
    return Arp(link, int.from_bytes(data[6:8], "big"), data[8:14], data[14:18], data[24:28])


def _decode_ip(link: Link, data: bytes) -> Decoded:
    if len(data) < 20:
        return Damaged("frame ends inside the IP header")
    first, tos, total, ident, frag, ttl, protocol, _, source, destination = struct.unpack_from("!BBHHHBBH4s4s", data)
    header = 4 * (first & 15)
    if first >> 4 != 4 or header < 20 or header > len(data):
        return Damaged(f"IP version/header length byte {first:#04x}")
    if not checksum_ok(data[:header]):
        return Damaged("IP header checksum wrong")
    if not header <= total <= len(data):
        return Damaged(f"IP total length {total}, frame holds {len(data)}")
    if header != 20 or frag & 0x3FFF:
        return Unknown("IP options or fragment")
    body = data[20:total]
    if protocol == _ICMP_PROTOCOL:
        if len(body) >= 8 and body[:2] == b"\x08\x00" and checksum_ok(body):
            return Echo(link, source, destination, body[4:])
        return Unknown("ICMP other than echo request")
    if protocol != _TCP_PROTOCOL:
        return Unknown(f"IP protocol {protocol}")
    if len(body) < 20:
        return Damaged(f"IP total length {total} leaves no room for a TCP header")
    if not checksum_ok(source, destination, struct.pack("!HH", 6, len(body)), body):
        return Damaged("TCP checksum wrong")
    found = _decode_tcp(link, (source, destination), body, data[total:])
    return replace(found, ip_id=ident, ip_flags=frag, ttl=ttl, tos=tos) if isinstance(found, Segment) else found


def _decode_ipv6(link: Link, data: bytes) -> Decoded:
    if len(data) < 40:
        return Damaged("frame ends inside the IPv6 header")
    first, length, following, hops, source, destination = struct.unpack_from("!IHBB16s16s", data)
    if first >> 28 != 6:
        return Damaged(f"IP version {first >> 28} behind the IPv6 ethertype")
    if length > len(data) - 40:
        return Damaged(f"IPv6 payload length {length}, frame holds {len(data) - 40}")
    if following != _TCP_PROTOCOL:
        return Unknown(f"IPv6 next header {following}")
    body = data[40 : 40 + length]
    if len(body) < 20:
        return Damaged(f"IPv6 payload length {length} leaves no room for a TCP header")
    if not checksum_ok(source, destination, struct.pack("!II", len(body), following), body):
        return Damaged("TCP checksum wrong")
    found = _decode_tcp(link, (source, destination), body, data[40 + length :])
    if isinstance(found, Segment):
        return replace(found, ttl=hops, tos=first >> 20 & 0xFF, flow_label=first & 0xFFFFF)
    return found


def _decode_tcp(link: Link, ends: tuple[bytes, bytes], body: bytes, trailer: bytes) -> Segment | Damaged:
    """The segment in `body`, which has room for a header and a right checksum; its IP header is not told."""
    sport, dport, seq, ack, offset, flags, window, _, urgent = struct.unpack_from("!HHIIBBHHH", body)
    start = 4 * (offset >> 4)
    if not 20 <= start <= len(body):
        return Damaged(f"TCP data offset {offset >> 4} words, segment of {len(body)} bytes")
    return Segment(
        link,
        *ends,
        sport,
        dport,
        seq,
        ack,
        flags,
        window,
        urgent,
        decode_options(body[20:start]),
        body[start:],
        reserved=offset & 15,
        trailer=trailer,
    )


def decode_options(raw: bytes) -> Options:
    """Walk the options; stops at the first illegal length and keeps what came before it."""
    mss: int | None = None
    scale: int | None = None
    stamps: tuple[int, int] | None = None
    permitted = False
    blocks: tuple[tuple[int, int], ...] = ()
    fault: str | None = None
    padding_ok = True
    rest = raw
    while rest:
        kind = rest[0]
        if kind == 0:
            padding_ok = not any(rest)
            break
        if kind == 1:
            rest = rest[1:]
            continue
        size = rest[1] if len(rest) > 1 else 0
        if size < 2 or size > len(rest):
            fault = f"option kind {kind} length {size}"
            break
        if kind == 2 and size == 4:
            (mss,) = struct.unpack("!H", rest[2:4])
        elif kind == 3 and size == 3:
            scale = min(rest[2], 14)
        elif kind == 8 and size == 10:
            stamps = struct.unpack("!II", rest[2:10])
        elif kind == 4 and size == 2:
            permitted = True
        elif kind == 5 and size % 8 == 2 and size > 2:
            blocks = tuple(struct.iter_unpack("!II", rest[2:size]))
        elif kind in (2, 3, 4, 5, 8):
            fault = f"option kind {kind} length {size}"
            break
        rest = rest[size:]
    return Options(mss, scale, stamps, raw, fault, padding_ok, permitted, blocks)


def _pad(frame: bytes) -> bytes:
    return frame + bytes(max(0, MIN_FRAME - len(frame)))


def encode_ip(link: Link, source: bytes, destination: bytes, protocol: int, body: bytes, **ip: int) -> bytes:
    """A frame with an IPv4 packet (DF set); `ip` may give ident, ttl and tos."""
    header = struct.pack(
        "!BBHHHBBH4s4s",
        0x45,
        ip.get("tos", 0),
        20 + len(body),
        ip.get("ident", 0),
        0x4000,
        ip.get("ttl", 64),
        protocol,
        0,
        source,
        destination,
    )
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return _pad(link.encode(_IPV4) + header + body)


def encode_tcp(segment: Segment) -> bytes:
    """The frame of a segment; both checksums computed, `options.raw` taken as it is (whole words)."""
    offset = (20 + len(segment.options.raw)) // 4
    head = struct.pack(
        "!HHIIBBHHH",
        segment.sport,
        segment.dport,
        segment.seq & 0xFFFFFFFF,
        segment.ack & 0xFFFFFFFF,
        offset << 4,
        segment.flags,
        segment.window,
        0,
        segment.urgent,
    )
    body = head + segment.options.raw + segment.payload
    source, destination = segment.source, segment.destination
    pseudo = source + destination + struct.pack("!II" if segment.is_ipv6 else "!HH", len(body), _TCP_PROTOCOL)
    body = body[:16] + struct.pack("!H", checksum(pseudo, body)) + body[18:]
    if segment.is_ipv6:
        first = 6 << 28 | segment.tos << 20 | segment.flow_label
        header = struct.pack("!IHBB16s16s", first, len(body), _TCP_PROTOCOL, segment.ttl, source, destination)
        return _pad(segment.link.encode(_IPV6) + header + body)
    ip = {"ident": segment.ip_id, "ttl": segment.ttl, "tos": segment.tos}
    return encode_ip(segment.link, source, destination, _TCP_PROTOCOL, body, **ip)


def encode_echo_reply(echo: Echo, own_mac: bytes) -> bytes:
    """The answer to an ICMP echo request."""
    body = b"\0\0" + struct.pack("!H", checksum(b"\0\0\0\0", echo.rest)) + echo.rest
    return encode_ip(echo.link.reply(own_mac), echo.destination, echo.source, _ICMP_PROTOCOL, body)


def encode_arp(link: Link, operation: int, sender: tuple[bytes, bytes], target: tuple[bytes, bytes]) -> bytes:
    """An ARP frame; `sender` and `target` are (MAC, IP)."""
    return _pad(link.encode(_ARP) + _ARP_FIXED + struct.pack("!H", operation) + b"".join((*sender, *target)))
