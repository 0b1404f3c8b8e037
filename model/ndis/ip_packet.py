"""What the driver reads of the IP header of a frame that came up the ordinary path.

IPv4 with options and IPv6 are read, and fragments of both; of the extension headers of IPv6 the fragment header alone.
Sources: RFC 791 3.1, RFC 8200 3 and 4.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

_ETHERTYPE, _TAG, _IPV4, _IPV6 = slice(12, 14), b"\x81\x00", b"\x08\x00", b"\x86\xdd"
_IPV4_BYTES, _IPV6_BYTES = 20, 40
_TCP, _FRAGMENT_HEADER = 6, 44
_IPV4_HEADER = Struct(">BxHHHxBxx4s4s")
_IPV6_HEADER = Struct(">BxxxHBx16s16s")
_FRAGMENT = Struct(">BxHI")
_MORE_FRAGMENTS, _FRAGMENT_OFFSET = 0x2000, 0x1FFF


@dataclass(frozen=True, slots=True)
class TcpPacket:
    """A received IP packet, or a fragment of one, that carries TCP. Addresses are the bytes of the wire."""

    source: bytes
    destination: bytes
    #: What all fragments of a packet have in common, beside the addresses.
    identification: int
    #: More fragments follow; where this one begins, in units of 8 bytes.
    more: bool
    offset: int
    #: From the TCP header on, Ethernet padding included; of a later fragment whatever it holds.
    payload: bytes

    @property
    def is_fragment(self) -> bool:
        """It is not the whole packet."""
        return self.more or self.offset > 0


def tcp_packet(frame: bytes) -> TcpPacket | None:
    """The TCP packet in an Ethernet frame; None for anything else."""
    at = 18 if frame[_ETHERTYPE] == _TAG else 14
    ethertype = frame[at - 2 : at]
    if ethertype == _IPV4 and len(frame) >= at + _IPV4_BYTES:
        return _ipv4(frame, at)
    if ethertype == _IPV6 and len(frame) >= at + _IPV6_BYTES:
        return _ipv6(frame, at)
    return None


def _ipv4(frame: bytes, at: int) -> TcpPacket | None:
    first, _, name, place, protocol, source, destination = _IPV4_HEADER.unpack_from(frame, at)
    header = 4 * (first & 15)
    if first >> 4 != 4 or header < _IPV4_BYTES or protocol != _TCP:
        return None
    more, offset = bool(place & _MORE_FRAGMENTS), place & _FRAGMENT_OFFSET
    return TcpPacket(source, destination, name, more, offset, frame[at + header :])


def _ipv6(frame: bytes, at: int) -> TcpPacket | None:
    first, _, header, source, destination = _IPV6_HEADER.unpack_from(frame, at)
    start, name, place = at + _IPV6_BYTES, 0, 0
    if header == _FRAGMENT_HEADER and len(frame) >= start + _FRAGMENT.size:
        header, place, name = _FRAGMENT.unpack_from(frame, start)
        start += _FRAGMENT.size
    if first >> 4 != 6 or header != _TCP:
        return None
    return TcpPacket(source, destination, name, bool(place & 1), place >> 3, frame[start:])
