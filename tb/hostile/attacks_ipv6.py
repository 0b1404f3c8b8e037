"""The classes of attack that only IPv6 has: extension headers, fragments, ICMPv6. All of it is the host's (CH-205).

Each speaks as the far end of a live connection, with right numbers: what an engine took of it would be believed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from model.wire.checksum import fold, ones_complement_sum
from tb.hostile.far import Far, Targets, ipv6_packet
from tb.monitors.wire_headers import ACK, PSH, RST
from tb.session.network import NIC_IP6

HOP_BY_HOP, TCP, ROUTING, FRAGMENT, ICMPV6, NO_NEXT, DESTINATION, UNKNOWN = 0, 6, 43, 44, 58, 59, 60, 253
#: Where the TCP header stands in a frame of `Far.say`.
_TCP_AT: Final = 54
_MOST_TEXT: Final = 1200
Frames = Iterator[bytes | None]


def extension_headers(rng: random.Random, targets: Targets) -> Frames:
    """A right segment behind a chain of extension headers, some of false lengths or kinds (RFC 8200, 4)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        following, body = TCP, _segment(rng, far)
        for _ in range(rng.randint(1, 3)):
            kind = rng.choice((HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT, UNKNOWN))
            units = rng.choice((0, 0, 1, 2))
            told = rng.randrange(256) if rng.random() < 0.2 else units
            if kind == FRAGMENT:  # an atomic one (RFC 6946)
                body = bytes((following, 0, 0, 0)) + rng.randbytes(4) + body
            else:
                body = bytes((following, told)) + rng.randbytes(6 + 8 * units) + body
            following = kind if rng.random() < 0.95 else NO_NEXT
        yield ipv6_packet(far.ip, following, body)


def fragments(rng: random.Random, targets: Targets) -> Frames:
    """A right segment in fragments: tiny, overlapping, out of order, not all of them (RFC 8200, 4.5; RFC 5722)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        body, ident = _segment(rng, far), rng.randbytes(4)
        cut = 8 * rng.randint(1, len(body) // 8)
        overlap = 8 * rng.choice((0, 0, 1)) if cut > 8 else 0
        pieces = [(0, body[:cut], 1), (cut - overlap, body[cut - overlap :], 0)]
        if rng.random() < 0.3:
            pieces.reverse()
        for start, piece, more in pieces[: rng.randint(1, 2)]:
            header = bytes((TCP, 0)) + (start | more).to_bytes(2, "big") + ident
            yield ipv6_packet(far.ip, FRAGMENT, header + piece)


def icmpv6(rng: random.Random, targets: Targets) -> Frames:
    """Errors that quote the connection, any MTU, neighbors that moved (RFC 4443, 3; RFC 8201, 4; RFC 4861, 4)."""
    while True:
        far = targets.victim(rng)
        yield None if far is None else _icmp_frame(far, rng.choice(_ICMP_BODIES)(rng, far), right=rng.random() < 0.9)


def _segment(rng: random.Random, far: Far) -> bytes:
    """The next segment of a hostile end from its TCP header on, or a reset that would count."""
    if rng.random() < 0.2:
        return far.say(b"", RST, seq=far.acked, bare=True)[_TCP_AT:]
    data = rng.randbytes(min(rng.choice((1, 40, 300, _MOST_TEXT)), max(1, far.room)))
    return far.say(data, ACK | PSH, seq=far.acked)[_TCP_AT:]


def _error(rng: random.Random, far: Far) -> bytes:
    """Unreachable, too big, time exceeded, parameter problem, about a segment that the NIC sent."""
    kind = rng.randint(1, 4)
    code = rng.randrange(8) if kind != 2 else 0
    ports = far.local_port.to_bytes(2, "big") + far.port.to_bytes(2, "big")
    quoted = ports + far.una.to_bytes(4, "big") + far.acked.to_bytes(4, "big") + b"\x50\x10" + rng.randbytes(6)
    header = b"\x60\x00\x00\x00" + (1440).to_bytes(2, "big") + bytes((TCP, 64)) + NIC_IP6 + far.ip
    value = rng.choice((0, 68, 1279, 1280, 1500, rng.getrandbits(32)))
    return bytes((kind, code, 0, 0)) + value.to_bytes(4, "big") + header + quoted


def _echo(rng: random.Random, far: Far) -> bytes:
    """Echo request, or a reply that nobody asked for."""
    return bytes((rng.choice((128, 129)), 0, 0, 0)) + rng.randbytes(rng.randint(4, 200))


def _neighbor(rng: random.Random, far: Far) -> bytes:
    """A solicitation, or an advertisement that moves the far end, or the NIC itself, to another station."""
    target = rng.choice((far.ip, NIC_IP6))
    kind, option = rng.choice(((135, 1), (136, 2)))
    return bytes((kind, 0, 0, 0, 0xE0 if kind == 136 else 0, 0, 0, 0)) + target + bytes((option, 1)) + rng.randbytes(6)


_ICMP_BODIES: Final[tuple[Callable[[random.Random, Far], bytes], ...]] = (_error, _error, _echo, _neighbor)


def _icmp_frame(far: Far, body: bytes, *, right: bool) -> bytes:
    """With its checksum (RFC 4443, 2.3), or with a wrong one."""
    total = ones_complement_sum(far.ip + NIC_IP6) + ICMPV6 + len(body) + ones_complement_sum(body)
    wanted = fold(total) ^ (0xFFFF if right else 0x0F0F)
    return ipv6_packet(far.ip, ICMPV6, body[:2] + wanted.to_bytes(2, "big") + body[4:])


#: Classes and their shares of the frames, beside those of `attacks.CLASSES`.
IPV6_CLASSES: Final[dict[Callable[[random.Random, Targets], Frames], int]] = {
    extension_headers: 60, fragments: 40, icmpv6: 40,
}  # fmt: skip
