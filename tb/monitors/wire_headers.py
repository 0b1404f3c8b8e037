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
    """A TCP segment in an IPv4 frame. Numbers as on the wire; `faults` lists (rule, what) of its form."""

    source: tuple[int, int]
    """IP address and port."""
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
    if len(frame) > max(60, at + total):
        faults.append(("LENGTH", f"{len(frame) - at - total} bytes behind the IP packet"))
    if any(frame[at + total :]):
        faults.append(("PADDING", "Ethernet padding is not zero"))
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


def _headless(frame: bytes, at: int, faults: list[tuple[str, str]]) -> WireSegment:
    source, destination = struct.unpack_from(">II", frame, at + 12)
    return WireSegment((source, 0), (destination, 0), 0, 0, 0, 0, 0, 0, None, None, None, 0, tuple(faults), False)


def _read_tcp(frame: bytes, at: int, body: bytes, ip_id: int, faults: list[tuple[str, str]]) -> WireSegment:
    source, destination = struct.unpack_from(">II", frame, at + 12)
    sport, dport, sequence, acknowledgment, offset, flags, window = struct.unpack_from(">HHIIBBH", body)
    header = (offset >> 4) * 4
    if not 20 <= header <= len(body):
        faults.append(("LENGTH", f"TCP data offset {offset >> 4}"))
        return _headless(frame, at, faults)
    if not sums_to_ones(word_sum(frame[at + 12 : at + 20]) + 6 + len(body) + word_sum(body)):
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
        tos=frame[at + 1],
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
