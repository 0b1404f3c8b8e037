"""ARP on behalf of a host that answers none: the NIC under test has the address of its peer given from the start.

Over IPv6 a stack is told its neighbor, too; what it sends to groups (listener reports, RFC 3810) stays off the wire.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tb.peers.headers import Arp, Link, decode, encode_arp

_ARP: Final = b"\x08\x06"
_IPV6_GROUP: Final = b"\x33\x33"
"""First octets of the MAC address of an IPv6 multicast group (RFC 2464, 7)."""
_IPV6_ADDRESS: Final = 16
_REQUEST, _REPLY = 1, 2
_LEAST_FRAME: Final = 60
"""Bytes of the shortest frame, without its FCS (IEEE 802.3, 3.2.8): a stack leaves the padding to its NIC."""


class Neighbor:
    """Knows the one host at the other end of the wire and answers ARP requests for it."""

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

    def split(self, frames: Iterable[bytes]) -> tuple[list[bytes], list[bytes]]:
        """What a stack sent, as (frames for the wire, ARP replies to give back to the stack)."""
        wire: list[bytes] = []
        answers: list[bytes] = []
        for frame in frames:
            if frame[0:2] == _IPV6_GROUP:
                continue
            if frame[12:14] != _ARP:
                wire.append(frame.ljust(_LEAST_FRAME, b"\0"))
                continue
            packet = decode(frame)
            if isinstance(packet, Arp) and packet.operation == _REQUEST and packet.target_ip == self.ip:
                answers.append(self.announce(packet.sender_mac, packet.sender_ip))
        return wire, answers
