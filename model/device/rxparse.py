"""What rx_parser says of a frame (docs/contract/blocks.md, cluster rx): class, reason, look-up key, arguments."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from model.layout.generated import FRAME_MAX, SACK_RX_MAX, RxClass, RxReason
from model.wire.checksum import ipv4_header_ok, tcp_ok

Block = tuple[int, int]
"""(left edge, right edge) of a SACK block (RFC 2018 3)."""
Key = tuple[bool, int, int, int, int]
"""(is_ipv6, local address, remote address, local port, remote port), from the receiver's point of view."""

_ETHERNET, _VLAN, _IP, _IPV6, _TCP = 14, 4, 20, 40, 20
_IPV4_TYPE, _IPV6_TYPE, _VLAN_TYPE, _TCP_PROTOCOL = 0x0800, 0x86DD, 0x8100, 6
_FRAGMENT, _VLAN_ID, _ECN = 0x3FFF, 0xFFF, 0x03
_TS_KIND, _TS_LENGTH = 8, 10
_SACK_KIND, _BLOCK = 5, Struct(">II")
_SACK_LENGTHS = frozenset(2 + _BLOCK.size * n for n in range(1, SACK_RX_MAX + 1))
_IP_HEADER = Struct(">BBHHHBBHII")
_IPV6_HEADER = Struct(">IHBB16s16s")
TCP_HEADER = Struct(">HHIIBBHHH")
_STAMPS = Struct(">II")


@dataclass(frozen=True, slots=True)
class ParsedSegment:
    """A TCP segment over IPv4 or IPv6 whose lengths and checksums are right."""

    key: Key
    seq: int
    ack: int
    wnd: int
    flags: int
    tagged: int
    vlan_id: int
    ts_present: int
    tsval: int
    tsecr: int
    ip_ecn: int
    sack_blocks: tuple[Block, ...]
    pay_off: int
    pay_len: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """Class and reason before the look-up; ``segment`` if the class is SEGMENT."""

    class_: RxClass
    reason: RxReason
    segment: ParsedSegment | None = None


_TOO_LONG = Parsed(RxClass.DROP, RxReason.TOO_LONG)
_BAD_LENGTH = Parsed(RxClass.DROP, RxReason.BAD_LENGTH)
_BAD_IP_SUM = Parsed(RxClass.DROP, RxReason.BAD_IP_CHECKSUM)
_BAD_TCP_SUM = Parsed(RxClass.DROP, RxReason.BAD_TCP_CHECKSUM)
_NOT_TCP = Parsed(RxClass.RAW, RxReason.NOT_TCP)


def parse(frame: bytes) -> Parsed:
    """Classify a frame, in the order of the contract's checks."""
    n = len(frame)
    if n > FRAME_MAX:
        return _TOO_LONG
    if n < _ETHERNET:
        return _BAD_LENGTH
    at, ethertype, tag = _ETHERNET, int.from_bytes(frame[12:14], "big"), None
    if ethertype == _VLAN_TYPE and n >= _ETHERNET + _VLAN:
        at, ethertype = _ETHERNET + _VLAN, int.from_bytes(frame[16:18], "big")
        tag = int.from_bytes(frame[14:16], "big")
    if ethertype == _IPV6_TYPE:
        return _ipv6(frame, at, tag)
    return _ipv4(frame, at, tag) if ethertype == _IPV4_TYPE else _NOT_TCP


def _ipv4(frame: bytes, at: int, tag: int | None) -> Parsed:
    if len(frame) < at + _IP:
        return _BAD_LENGTH
    version_ihl, tos, total, _, fragment, _, protocol, _, source, destination = _IP_HEADER.unpack_from(frame, at)
    if version_ihl != 0x45 or fragment & _FRAGMENT or protocol != _TCP_PROTOCOL:
        return _NOT_TCP
    if total < _IP + _TCP or at + total > len(frame):
        return _BAD_LENGTH
    if not ipv4_header_ok(frame[at : at + _IP]):
        return _BAD_IP_SUM
    return _tcp(frame, at + _IP, at + total, (False, source, destination), tag, tos & _ECN)


def _ipv6(frame: bytes, at: int, tag: int | None) -> Parsed:
    start = at + _IPV6
    if len(frame) < start:
        return _BAD_LENGTH
    first, length, next_header, _, *addresses = _IPV6_HEADER.unpack_from(frame, at)
    if first >> 28 != 6 or next_header != _TCP_PROTOCOL:
        return _NOT_TCP
    if length < _TCP or start + length > len(frame):
        return _BAD_LENGTH
    source, destination = (int.from_bytes(address, "big") for address in addresses)
    return _tcp(frame, start, start + length, (True, source, destination), tag, first >> 20 & _ECN)


def _tcp(frame: bytes, at: int, end: int, ends: tuple[bool, int, int], tag: int | None, ip_ecn: int) -> Parsed:
    is_ipv6, source, destination = ends
    sport, dport, seq, ack, offset, flags, wnd, _, _ = TCP_HEADER.unpack_from(frame, at)
    header = 4 * (offset >> 4)
    if header < _TCP or at + header > end:
        return _BAD_LENGTH
    if not tcp_ok(source, destination, frame[at:end]):
        return _BAD_TCP_SUM
    options = parse_options(frame, at + _TCP, at + header) if header > _TCP else NO_OPTIONS
    tsval, tsecr = options.timestamps or (0, 0)
    segment = ParsedSegment(
        key=(is_ipv6, destination, source, dport, sport),
        seq=seq,
        ack=ack,
        wnd=wnd,
        flags=flags,
        tagged=int(tag is not None),
        vlan_id=(tag or 0) & _VLAN_ID,
        ts_present=int(options.timestamps is not None),
        tsval=tsval,
        tsecr=tsecr,
        ip_ecn=ip_ecn,
        sack_blocks=options.sack_blocks,
        pay_off=at + header,
        pay_len=end - at - header,
    )
    return Parsed(RxClass.SEGMENT, RxReason.NONE, segment)


@dataclass(frozen=True, slots=True)
class Options:
    """The options that are looked at; of a repeated one the last counts. Timestamps are (TSval, TSecr)."""

    timestamps: tuple[int, int] | None = None
    sack_blocks: tuple[Block, ...] = ()


NO_OPTIONS = Options()


def parse_options(frame: bytes, at: int, end: int) -> Options:
    """The options in [at, end) of ``frame``. Parsing stops at an illegal length (RFC 9293 MUST-7)."""
    stamps: tuple[int, int] | None = None
    blocks: tuple[Block, ...] = ()
    while at < end:
        kind = frame[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        length = frame[at + 1] if at + 1 < end else 0
        if length < 2 or at + length > end:
            break
        if kind == _TS_KIND and length == _TS_LENGTH:
            stamps = _STAMPS.unpack_from(frame, at + 2)
        elif kind == _SACK_KIND and length in _SACK_LENGTHS:
            blocks = tuple(_BLOCK.iter_unpack(frame[at + 2 : at + length]))
        at += length
    return Options(stamps, blocks)


def sack_fields(blocks: tuple[Block, ...]) -> dict[str, int]:
    """SACK blocks as the fields of RxSeg hold them: block i at bits 32i+31:32i."""
    return {
        "sack_n": len(blocks),
        "sack_left": sum(left << 32 * i for i, (left, _) in enumerate(blocks)),
        "sack_right": sum(right << 32 * i for i, (_, right) in enumerate(blocks)),
    }
