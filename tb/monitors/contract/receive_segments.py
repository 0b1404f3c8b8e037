"""Segments as the contract monitors read them: numbers, payload, timestamps, VLAN id; and positions in sequence space.

A *position* is a sequence number without wrap: an integer that equals it modulo 2^32 and keeps growing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tb.monitors.wire_headers import ACK, FIN, RST, SYN, URG, read_segment

PSH: Final = 8
_TAG: Final = b"\x81\x00"
_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_IPV6_HEADERS: Final = {
    0: "IPv6 extension header",
    43: "IPv6 extension header",
    44: "IP fragment",
    51: "IPv6 extension header",
    58: "ICMP",
    60: "IPv6 extension header",
}
"""Next headers that make a packet one for the host: options, routing, fragment, authentication, ICMPv6 (RFC 8200 4)."""
_MINIMUM_FRAME: Final = 14 + 20


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment. Ends are (IPv4 address, port); both are (0, 0) for a forwarded segment, which has no IP header.

    ``vlan`` is the VID of its tag, None without one; ``stamps`` is (TSval, TSecr).
    """

    source: tuple[int, int]
    destination: tuple[int, int]
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    payload: bytes
    stamps: tuple[int, int] | None = None
    vlan: int | None = None
    forwarded: bool = False
    blocks: tuple[tuple[int, int], ...] = ()
    """SACK blocks, (left edge, right edge)."""

    @property
    def length(self) -> int:
        """SEG.LEN: payload, SYN and FIN."""
        return len(self.payload) + (self.flags & FIN) + (self.flags >> 1 & 1)

    def has(self, flags: int) -> bool:
        """True if any of ``flags`` is set."""
        return bool(self.flags & flags)


def unwrap(number: int, near: int) -> int:
    """The position of sequence number ``number`` that lies closest to the position ``near``."""
    return near + (number - near + 0x80000000) % 0x100000000 - 0x80000000


@lru_cache(maxsize=64)
def segment_of(frame: bytes) -> Segment | None:
    """The segment of a frame whose headers are whole and whose checksums are right, else None."""
    seg = read_segment(frame)
    if seg is None or not seg.sums_right:
        return None
    tagged = frame[12:14] == _TAG
    body = seg.payload_at
    return Segment(
        seg.source,
        seg.destination,
        seg.sequence,
        seg.acknowledgment,
        seg.flags,
        seg.window,
        frame[body : body + seg.payload_length],
        seg.stamps,
        (frame[14] & 15) << 8 | frame[15] if tagged else None,
        blocks=seg.blocks,
    )


def forwarded_segment(data: bytes) -> Segment | None:
    """The segment that begins at the TCP header in ``data`` (CH-165), None if it is none."""
    if len(data) < 20:
        return None
    sport, dport, sequence, acknowledgment, offset, flags, window = struct.unpack_from(">HHIIBBH", data)
    header = (offset >> 4) * 4
    if not 20 <= header <= len(data):
        return None
    payload, stamps = data[header:], _stamps(data[20:header])
    return Segment((0, sport), (0, dport), sequence, acknowledgment, flags, window, payload, stamps, None, True)


def _stamps(options: bytes) -> tuple[int, int] | None:
    at = 0
    while at < len(options) and options[at]:
        if options[at] == 1:
            at += 1
            continue
        if at + 1 >= len(options) or options[at + 1] < 2:
            return None
        if options[at] == 8 and at + 10 <= len(options):
            value, echo = struct.unpack_from(">II", options, at + 2)
            return value, echo
        at += options[at + 1]
    return None


def for_the_host(frame: bytes) -> str | None:
    """What makes a frame one that the host must process (CH-205): its kind, None for an ordinary TCP or UDP packet."""
    at = 18 if frame[12:14] == _TAG else 14
    kind = frame[at - 2 : at]
    if kind == b"\x08\x06":
        return "ARP"
    if kind == _IPV6 and len(frame) >= at + 40 and frame[at] >> 4 == 6:
        return _IPV6_HEADERS.get(frame[at + 6])
    if kind != _IPV4 or len(frame) < at + 20 or frame[at] >> 4 != 4:
        return None
    if frame[at] & 15 > 5:
        return "IPv4 options"
    if struct.unpack_from(">H", frame, at + 6)[0] & 0x3FFF:
        return "IP fragment"
    if frame[at + 9] == 1:
        return "ICMP"
    return "RIP" if frame[at + 9] == 17 and frame[at + 22 : at + 24] == b"\x02\x08" else None


def ranges_behind_options(frame: bytes) -> tuple[tuple[int, int], tuple[int, int], int, int] | None:
    """Of a TCP segment behind IPv4 options: source, destination, sequence number, payload bytes (CH-205)."""
    at = 18 if frame[12:14] == _TAG else 14
    if len(frame) < at + _MINIMUM_FRAME or for_the_host(frame) != "IPv4 options" or frame[at + 9] != 6:
        return None
    header = (frame[at] & 15) * 4
    total = struct.unpack_from(">H", frame, at + 2)[0]
    source, destination = struct.unpack_from(">II", frame, at + 12)
    if len(frame) < at + header + 20:
        return None
    sport, dport, sequence, _, offset = struct.unpack_from(">HHIIB", frame, at + header)
    return (source, sport), (destination, dport), sequence, max(0, total - header - (offset >> 4) * 4)


__all__ = [
    "ACK",
    "FIN",
    "PSH",
    "RST",
    "SYN",
    "URG",
    "Segment",
    "for_the_host",
    "forwarded_segment",
    "ranges_behind_options",
    "segment_of",
    "unwrap",
]
