"""Internet checksums (RFC 1071) of the golden model.

2^16 is 1 modulo 2^16 - 1, so a whole message taken as one big-endian number is, modulo 2^16 - 1, the one's complement
sum of its words. What is longer than a usual frame is summed by numpy, which is faster there: that sum does not depend
on byte order, so words are added as the machine holds them and the folded result is swapped once at the end (RFC 1071
section 2 (B)).
"""

from __future__ import annotations

import sys

import numpy as np

_LITTLE_ENDIAN = sys.byteorder == "little"
#: Bytes; above it numpy is faster.
_LONG = 2048


def ones_complement_sum(data: bytes | bytearray | memoryview) -> int:
    """Folded 16-bit one's complement sum of `data`, big-endian words, an odd end padded with zero; 0 only for zeros."""
    length = len(data)
    if length <= _LONG:
        number = int.from_bytes(data, "big") << 8 * (length & 1)
        return number % 0xFFFF or (0xFFFF if number else 0)
    total = int(np.frombuffer(data, dtype=np.uint16, count=length // 2).sum(dtype=np.uint64))
    if length & 1:
        total += data[length - 1] if _LITTLE_ENDIAN else data[length - 1] << 8
    total = fold(total)
    return ((total & 0xFF) << 8) | (total >> 8) if _LITTLE_ENDIAN else total


def fold(total: int) -> int:
    """Fold an integer sum of 16-bit words to 16 bits with end-around carry."""
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def ipv4_header_checksum(header: bytes | bytearray | memoryview) -> int:
    """Value for the checksum field of an IPv4 header whose checksum field is zero."""
    return ones_complement_sum(header) ^ 0xFFFF


def ipv4_header_ok(header: bytes | bytearray | memoryview) -> bool:
    """True if a received IPv4 header, checksum field included, sums to all ones."""
    return ones_complement_sum(header) == 0xFFFF


def pseudo_header_sum(source: int, destination: int, tcp_length: int) -> int:
    """Sum of the pseudo-header: addresses, protocol 6, TCP length in bytes (RFC 9293 3.1; RFC 8200 8.1 for IPv6).

    The length is a 16-bit word here and 32 bits wide in RFC 8200; both give the same sum, as does an IPv4 address
    written in 128 bits.
    """
    addresses = ones_complement_sum(source.to_bytes(16, "big") + destination.to_bytes(16, "big"))
    return fold(addresses + 6 + tcp_length)


def tcp_checksum(source: int, destination: int, segment: bytes | bytearray | memoryview) -> int:
    """Value for the checksum field of a TCP segment (header and payload) whose field is zero."""
    return fold(pseudo_header_sum(source, destination, len(segment)) + ones_complement_sum(segment)) ^ 0xFFFF


def tcp_ok(source: int, destination: int, segment: bytes | bytearray | memoryview) -> bool:
    """True if a received TCP segment, checksum field included, sums to all ones with its pseudo-header."""
    return fold(pseudo_header_sum(source, destination, len(segment)) + ones_complement_sum(segment)) == 0xFFFF
