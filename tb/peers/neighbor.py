"""ARP and neighbor discovery on behalf of a host that answers none: the NIC under test is given its peer's address.

Over IPv6 a solicitation for the NIC is answered (RFC 4861, 7.2.4); whatever else a stack sends to groups (listener
reports, RFC 3810) stays off the wire.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from tb.peers.headers import Arp, Link, checksum, decode, encode_arp

_ARP: Final = b"\x08\x06"
_IPV6_GROUP: Final = b"\x33\x33"
"""First octets of the MAC address of an IPv6 multicast group (RFC 2464, 7)."""
_IPV6_ADDRESS: Final = 16
_REQUEST, _REPLY = 1, 2
_IPV6: Final = b"\x86\xdd"
_ICMPV6, _SOLICITATION, _ADVERTISEMENT = 58, 135, 136
_SOLICITED_OVERRIDE: Final = 0x6000_0000
"""Flags of an advertisement that answers a solicitation (RFC 4861, 4.4)."""
_TARGET_LINK_LAYER: Final = b"\x02\x01"
_HOP_LIMIT: Final = 255
_LEAST_FRAME: Final = 60
"""Bytes of the shortest frame, without its FCS (IEEE 802.3, 3.2.8): a stack leaves the padding to its NIC."""


class Neighbor:
    """Knows the one host at the other end of the wire and answers for it who asks where it is."""

    def __init__(self, ip: bytes, mac: bytes) -> None:
        self.ip = ip
        self.mac = mac

    @property
    def over_ipv6(self) -> bool:
        """Whether its address is one of IPv6."""
        return len(self.ip) == _IPV6_ADDRESS

    def announce(self, own_mac: bytes, own_ip: bytes) -> bytes:
        """An ARP reply that tells `own_ip` where the neighbor is."""
        return encode_arp(Link(self.mac, own_mac, None), _REPLY, (self.mac, self.ip), (own_mac, own_ip))

    def advertise(self, own_mac: bytes, own_ip: bytes) -> bytes:
        """A neighbor advertisement that tells `own_ip` where the neighbor is, as the answer to its solicitation."""
        fixed = struct.pack("!BBHI", _ADVERTISEMENT, 0, 0, _SOLICITED_OVERRIDE)
        body = fixed + self.ip + _TARGET_LINK_LAYER + self.mac
        pseudo = self.ip + own_ip + struct.pack("!II", len(body), _ICMPV6)
        body = body[:2] + struct.pack("!H", checksum(pseudo, body)) + body[4:]
        header = struct.pack("!IHBB16s16s", 6 << 28, len(body), _ICMPV6, _HOP_LIMIT, self.ip, own_ip)
        return own_mac + self.mac + _IPV6 + header + body

    def _solicits(self, frame: bytes) -> bool:
        """Whether a frame asks where the neighbor is (RFC 4861, 4.3), its header without extensions."""
        return (frame[12:14], frame[20:21], frame[54:55], frame[62:78]) == (
            _IPV6, bytes((_ICMPV6,)), bytes((_SOLICITATION,)), self.ip,
        )  # fmt: skip

    def split(self, frames: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
        """What a stack sent, as (frames for the wire, answers to its questions to give back to the stack)."""
        wire: list[bytes] = []
        answers: list[bytes] = []
        for frame in frames:
            if self._solicits(frame):
                answers.append(self.advertise(frame[6:12], frame[22:38]))
                continue
            if frame[0:2] == _IPV6_GROUP:
                continue
            if frame[12:14] != _ARP:
                wire.append(frame.ljust(_LEAST_FRAME, b"\0"))
                continue
            packet = decode(frame)
            if isinstance(packet, Arp) and packet.operation == _REQUEST and packet.target_ip == self.ip:
                answers.append(self.announce(packet.sender_mac, packet.sender_ip))
        return wire, answers
