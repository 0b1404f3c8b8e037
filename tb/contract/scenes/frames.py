"""Frames that the far ends of a stage do not send by themselves: tagged ones, IPv4 packets that are no plain TCP."""

from __future__ import annotations

import struct
from dataclasses import replace

from model.ndis.framing import Segment, decode, encode
from model.wire.checksum import ipv4_header_checksum
from model.wire.frame import IPV4_BYTES, TcpFlag
from tb.session.network import NIC_IP, NIC_IP6, NIC_MAC
from tb.tests.stage import FAR_IP, FAR_MAC

ETHERTYPE_IPV4, ETHERTYPE_ARP, ETHERTYPE_VLAN = b"\x08\x00", b"\x08\x06", b"\x81\x00"
ETHERTYPE_IPV6 = b"\x86\xdd"
BROADCAST = b"\xff" * 6
PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP = 1, 6, 17
RIP_PORT = 520
MORE_FRAGMENTS = 0x2000
#: IPv4 options: router alert (RFC 2113).
ROUTER_ALERT = bytes((0x94, 4, 0, 0))
_MIN_FRAME = 60


def tagged(frame: bytes, vlan: int) -> bytes:
    """The frame with an 802.1Q tag of this VLAN id."""
    return frame[:12] + ETHERTYPE_VLAN + vlan.to_bytes(2, "big") + frame[12:]


def tcp_bytes(one: Segment) -> bytes:
    """The segment from its TCP header on, as NdisOffloadTcpForward wants it."""
    found = decode(encode(one))
    assert found is not None
    return found.raw


def ipv4(protocol: int, payload: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    """A frame for the NIC with an IPv4 packet. ``fragment``: flags and offset, as in the header."""
    length = IPV4_BYTES + len(options)
    fields = (0x40 | length // 4, 0, length + len(payload), 0x1234, fragment, 64, protocol, 0, FAR_IP, NIC_IP)
    header = struct.pack(">BBHHHBBH4s4s", *fields) + options
    header = header[:10] + ipv4_header_checksum(header).to_bytes(2, "big") + header[12:]
    return (NIC_MAC + FAR_MAC + ETHERTYPE_IPV4 + header + payload).ljust(_MIN_FRAME, b"\0")


def ipv6(header: int, payload: bytes, source: bytes) -> bytes:
    """A frame for the NIC with an IPv6 packet; ``header``: its next header."""
    fixed = struct.pack(">IHBB16s16s", 6 << 28, len(payload), header, 64, source, NIC_IP6)
    return (NIC_MAC + FAR_MAC + ETHERTYPE_IPV6 + fixed + payload).ljust(_MIN_FRAME, b"\0")


def with_options(one: Segment, options: bytes = ROUTER_ALERT) -> bytes:
    """The segment behind an IPv4 header with options."""
    return ipv4(PROTOCOL_TCP, tcp_bytes(one), options=options)


def arp_request() -> bytes:
    """Who has the NIC's address?"""
    body = struct.pack(">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, FAR_MAC, FAR_IP, bytes(6), NIC_IP)
    return (BROADCAST + FAR_MAC + ETHERTYPE_ARP + body).ljust(_MIN_FRAME, b"\0")


def echo_request() -> bytes:
    """ICMP echo request."""
    body = struct.pack(">BBHHH", 8, 0, 0, 7, 1) + bytes(16)
    return ipv4(PROTOCOL_ICMP, body[:2] + ipv4_header_checksum(body).to_bytes(2, "big") + body[4:])


def rip_response() -> bytes:
    """A RIP response without routes."""
    return ipv4(PROTOCOL_UDP, struct.pack(">HHHHBBH", RIP_PORT, RIP_PORT, 12, 0, 2, 2, 0))


def urgent(one: Segment) -> Segment:
    """The segment with URG set."""
    return replace(one, flags=one.flags | TcpFlag.URG)
