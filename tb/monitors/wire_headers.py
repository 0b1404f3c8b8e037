"""The least that the wire monitor must read of a frame: addresses, TCP header, timestamps, checksums.

Written for the monitor alone; it shares no code with the model or the peers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
PSH: Final = 8
ACK: Final = 16
URG: Final = 32
ECE: Final = 64
CWR: Final = 128


def word_sum(data: bytes) -> int:
    """Sum of the big-endian 16-bit words of `data` modulo 2^16 - 1, an odd end padded with zero; 0 only for zeros.

    2^16 is 1 modulo 2^16 - 1, so the words need not be taken apart.
    """
    number = int.from_bytes(data, "big") << (len(data) & 1) * 8
    return number % 0xFFFF or (0xFFFF if number else 0)


def sums_to_ones(total: int) -> bool:
    """True if a word sum that includes its checksum field folds to all ones (RFC 1071)."""
    return total > 0 and total % 0xFFFF == 0


@dataclass(frozen=True, slots=True)
class WireSegment:
    """A TCP segment in an IPv4 or IPv6 frame. Numbers as on the wire; `faults` lists (rule, what) of its form."""

    source: tuple[int, int]
    """IP address as a number, and port."""
    destination: tuple[int, int]
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    payload_length: int
    option_length: int
    mss: int | None
    shift: int | None
    stamps: tuple[int, int] | None
    ip_id: int
    faults: tuple[tuple[str, str], ...] = field(default=())
    whole: bool = True
    """Lengths are right, so that header and payload could be read."""
    sack_permitted: bool = False
    blocks: tuple[tuple[int, int], ...] = ()
    """SACK blocks, (left edge, right edge)."""
    tos: int = 0
    """TOS, or traffic class."""
    ipv6: bool = False
    ttl: int = 0
    """TTL, or hop limit."""
    flow_label: int = 0
    ip_at: int = 14
    """Where the IP header begins in the frame."""

    @property
    def payload_at(self) -> int:
        """Where the payload begins in the frame that `read_segment` was given."""
        return self.ip_at + (40 if self.ipv6 else 20) + 20 + self.option_length

    @property
    def ip_bytes(self) -> int:
        """Length of the IP packet, its header counted."""
        return self.payload_at + self.payload_length - self.ip_at

    @property
    def length(self) -> int:
        """SEG.LEN: payload, SYN and FIN."""
        return self.payload_length + (self.flags & FIN) + (self.flags >> 1 & 1)

    @property
    def sums_right(self) -> bool:
        """Headers are whole and checksums right, so that the segment counts as received."""
        return self.whole and (not self.faults or all(rule != "MUST-2" for rule, _ in self.faults))


@lru_cache(maxsize=512)
def read_segment(frame: bytes) -> WireSegment | None:
    """The TCP segment that a frame carries, or None if it is of another kind (ARP, ICMP, fragment...).

    A frame is read once for all who ask.
    """
    at = 14
    if frame[12:14] == b"\x81\x00":
        at = 18
    if _is_ipv6(frame, at):
        return _read_ipv6(frame, at)
    if len(frame) < at + 20 or frame[at - 2 : at] != b"\x08\x00" or frame[at] != 0x45:
        return None
    total, ip_id, fragment, protocol = struct.unpack_from(">HHHxB", frame, at + 2)
    if protocol != 6 or fragment & 0x3FFF:
        return None
    faults: list[tuple[str, str]] = []
    if not fragment & 0x4000:
        faults.append(("DF", "DF is not set"))
    if not sums_to_ones(word_sum(frame[at : at + 20])):
        faults.append(("MUST-2", "IP header checksum is wrong"))
    if not 40 <= total <= len(frame) - at:
        faults.append(("LENGTH", f"IP total length {total} in {len(frame) - at} bytes"))
        return _headless(frame, at, faults)
    _behind(frame, at + total, faults)
    return _read_tcp(frame, at, frame[at + 20 : at + total], ip_id, faults)


def read_behind_options(frame: bytes) -> tuple[bytes, WireSegment] | None:
    """A TCP segment behind IPv4 options, which only a host understands: its bytes from the TCP header on, and it.

    The host hands down what begins at the TCP header: no ECN field.
    """
    at = 18 if frame[12:14] == b"\x81\x00" else 14
    if len(frame) < at + 44 or frame[at - 2 : at] != b"\x08\x00" or not 0x45 < frame[at] < 0x50:
        return None
    total, ip_id, fragment, protocol = struct.unpack_from(">HHHxB", frame, at + 2)
    header = (frame[at] & 15) * 4
    if protocol != 6 or fragment & 0x3FFF or not header + 20 <= total <= len(frame) - at:
        return None
    body = frame[at + header : at + total]
    return body, replace(_read_tcp(frame, at, body, ip_id, []), tos=0)


def _read_ipv6(frame: bytes, at: int) -> WireSegment | None:
    """The segment behind an IPv6 header without extension headers (RFC 8200 3)."""
    if len(frame) < at + 40 or frame[at] >> 4 != 6 or frame[at + 6] != 6:
        return None
    length = frame[at + 4] << 8 | frame[at + 5]
    total = 40 + length
    faults: list[tuple[str, str]] = []
    if not 20 <= length <= len(frame) - at - 40:
        faults.append(("LENGTH", f"IPv6 payload length {length} in {len(frame) - at - 40} bytes"))
        return _headless(frame, at, faults)
    _behind(frame, at + total, faults)
    return _read_tcp(frame, at, frame[at + 40 : at + total], 0, faults)


def _behind(frame: bytes, end: int, faults: list[tuple[str, str]]) -> None:
    """What stands behind the IP packet: nothing but the zeros that fill a short frame."""
    if len(frame) > max(60, end):
        faults.append(("LENGTH", f"{len(frame) - end} bytes behind the IP packet"))
    if any(frame[end:]):
        faults.append(("PADDING", "Ethernet padding is not zero"))


def _addresses(frame: bytes, at: int) -> tuple[int, int]:
    """Source and destination of the IP header at byte `at`."""
    first, size = (8, 16) if _is_ipv6(frame, at) else (12, 4)
    found = frame[at + first : at + first + 2 * size]
    return int.from_bytes(found[:size], "big"), int.from_bytes(found[size:], "big")


def _is_ipv6(frame: bytes, at: int) -> bool:
    return frame[at - 2 : at] == b"\x86\xdd"


def _headless(frame: bytes, at: int, faults: list[tuple[str, str]]) -> WireSegment:
    source, destination = _addresses(frame, at)
    return WireSegment(
        (source, 0), (destination, 0), 0, 0, 0, 0, 0, 0, None, None, None, 0, tuple(faults), False,
        ipv6=_is_ipv6(frame, at),
    )  # fmt: skip


def _read_tcp(frame: bytes, at: int, body: bytes, ip_id: int, faults: list[tuple[str, str]]) -> WireSegment:
    source, destination = _addresses(frame, at)
    sport, dport, sequence, acknowledgment, offset, flags, window = struct.unpack_from(">HHIIBBH", body)
    header = (offset >> 4) * 4
    if not 20 <= header <= len(body):
        faults.append(("LENGTH", f"TCP data offset {offset >> 4}"))
        return _headless(frame, at, faults)
    ipv6 = _is_ipv6(frame, at)
    ends = frame[at + 8 : at + 40] if ipv6 else frame[at + 12 : at + 20]
    if not sums_to_ones(word_sum(ends) + 6 + len(body) + word_sum(body)):
        faults.append(("MUST-2", "TCP checksum is wrong"))
    mss, shift, stamps = _read_options(body[20:header], faults)
    permitted, blocks = _read_sack(body[20:header])
    return WireSegment(
        (source, sport),
        (destination, dport),
        sequence,
        acknowledgment,
        flags,
        window,
        len(body) - header,
        header - 20,
        mss,
        shift,
        stamps,
        ip_id,
        tuple(faults),
        sack_permitted=permitted,
        blocks=blocks,
        tos=(frame[at] << 4 | frame[at + 1] >> 4) & 0xFF if ipv6 else frame[at + 1],
        ipv6=ipv6,
        ip_at=at,
        ttl=frame[at + 7 if ipv6 else at + 8],
        flow_label=int.from_bytes(frame[at + 1 : at + 4], "big") & 0xFFFFF if ipv6 else 0,
    )


def _read_options(raw: bytes, faults: list[tuple[str, str]]) -> tuple[int | None, int | None, tuple[int, int] | None]:
    mss: int | None = None
    shift: int | None = None
    stamps: tuple[int, int] | None = None
    at = 0
    while at < len(raw) and raw[at] != 0:
        if raw[at] == 1:
            at += 1
            continue
        if at + 1 >= len(raw) or raw[at + 1] < 2 or at + raw[at + 1] > len(raw):
            faults.append(("MUST-68", f"option kind {raw[at]} has an illegal length"))
            return mss, shift, stamps
        kind, length = raw[at], raw[at + 1]
        if (kind, length) == (2, 4):
            mss = raw[at + 2] << 8 | raw[at + 3]
        elif (kind, length) == (3, 3):
            shift = min(14, raw[at + 2])
        elif (kind, length) == (8, 10):
            value, echo = struct.unpack_from(">II", raw, at + 2)
            stamps = (value, echo)
        at += length
    if any(raw[at:]):
        faults.append(("MUST-69", "bytes behind end-of-options are not zero"))
    return mss, shift, stamps


def read_stamps(segment: bytes) -> tuple[int, int] | None:
    """(TSval, TSecr) of a segment given from its TCP header on; None without them."""
    if len(segment) < 20:
        return None
    return _read_options(segment[20 : segment[12] >> 4 << 2], [])[2]


def _read_sack(raw: bytes) -> tuple[bool, tuple[tuple[int, int], ...]]:
    """SACK permitted, and the blocks of the SACK option (RFC 2018 2, 3); a fault of form ends the walk."""
    permitted = False
    blocks: tuple[tuple[int, int], ...] = ()
    while raw and raw[0] != 0:
        if raw[0] == 1:
            raw = raw[1:]
            continue
        length = raw[1] if len(raw) > 1 else 0
        if length < 2 or length > len(raw):
            break
        permitted |= (raw[0], length) == (4, 2)
        if raw[0] == 5 and length % 8 == 2:
            blocks = tuple(struct.iter_unpack(">II", raw[2:length]))
        raw = raw[length:]
    return permitted, blocks
