"""Frames of the golden model: headers as declarations, one builder, one parser.

Integers are used for everything scalar: a MAC address is a 48-bit int, an IPv4 address a 32-bit int, an IPv6 address a
128-bit int, all as read in network order (10.0.0.1 is 0x0A000001, ::1 is 1). Nothing here knows a connection: the
parser says what a frame *is*, the receive path decides what becomes of it.

Sources: IEEE 802.3 / 802.1Q, RFC 791 3.1, RFC 8200 3 and 8.1, RFC 9293 3.1 and 3.2, RFC 7323 2.2 and 3.2, RFC 2018 2
and 3.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import Final

from model.wire.checksum import ipv4_header_checksum, ipv4_header_ok, tcp_checksum, tcp_ok

ETHERTYPE_IPV4: Final = 0x0800
ETHERTYPE_IPV6: Final = 0x86DD
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_VLAN: Final = 0x8100
PROTOCOL_TCP: Final = 6
ETHERNET_BYTES: Final = 14
VLAN_BYTES: Final = 4
IPV4_BYTES: Final = 20
IPV6_BYTES: Final = 40
TCP_BYTES: Final = 20
MIN_FRAME_BYTES: Final = 60
"""Shortest Ethernet frame without its FCS; shorter ones are padded with zeros by the MAC."""
MAX_OPTION_BYTES: Final = 40
TIMESTAMP_OPTION_BYTES: Final = 12
"""What timestamps take from each segment: NOP NOP and the option of 10 bytes (RFC 7323 appendix A)."""


class FrameError(ValueError):
    """A frame was asked for that cannot be built; the message names the field and its range."""


class TcpFlag(enum.IntFlag):
    """The flag bits of TCP byte 13 (RFC 9293 3.1, RFC 3168)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10
    URG = 0x20
    ECE = 0x40
    CWR = 0x80


class Verdict(enum.Enum):
    """What the receive path does with a frame before any connection is looked up."""

    TCP_OK = "tcp_ok"
    """A whole TCP segment with right lengths and checksums: may be for an offloaded connection."""
    RAW = "raw"
    """Not for the engine by its kind: goes to the host unchanged."""
    BAD_CHECKSUM = "bad_checksum"
    """IP or TCP checksum wrong: dropped and counted."""
    BAD_LENGTH = "bad_length"
    """Lengths contradict each other: dropped and counted."""


class Reason(enum.Enum):
    """Why the parser gave its verdict; one for each test of `parse_frame`.

    The order of the tests is the receive path's (docs/contract/blocks.md): a frame with two faults has one reason.
    """

    OK = "tcp segment"
    ETHERNET_SHORT = "shorter than an Ethernet header"
    VLAN_SHORT = "ends inside the VLAN tag, so it is not known to be IP"
    NOT_IP = "ethertype is neither IPv4 nor IPv6"
    IP_SHORT = "shorter than an IPv4 header"
    IP_VERSION = "IP version is not 4"
    IP_OPTIONS = "IP header length is not 5 words"
    FRAGMENT = "IP fragment"
    NOT_TCP = "protocol is not TCP"
    TOTAL_LENGTH_SHORT = "IP total length is shorter than an IP and a TCP header"
    TOTAL_LENGTH_LONG = "IP total length is longer than the frame"
    IP_CHECKSUM = "IP header checksum is wrong"
    IP6_SHORT = "shorter than an IPv6 header"
    IP6_VERSION = "IP version is not 6"
    NEXT_HEADER = "next header is not TCP: extension header, fragment or another protocol"
    PAYLOAD_LENGTH_SHORT = "IPv6 payload length is shorter than a TCP header"
    PAYLOAD_LENGTH_LONG = "IPv6 payload length is longer than the frame"
    DATA_OFFSET = "TCP data offset is below 5 or beyond the segment"
    TCP_CHECKSUM = "TCP checksum is wrong"


# --- header declarations -------------------------------------------------------------------------------


class Layout:
    """A header as a list of (field, bits), most significant first; packs and unpacks whole headers."""

    def __init__(self, *fields: tuple[str, int]) -> None:
        total = sum(bits for _, bits in fields)
        if total % 8:
            raise FrameError(f"header layout has {total} bits; make it whole bytes")
        self.size: Final = total // 8
        """Length in bytes."""
        self._fields: list[tuple[str, int, int]] = []
        shift = total
        for name, bits in fields:
            shift -= bits
            self._fields.append((name, shift, (1 << bits) - 1))

    def pack(self, header: object, **overrides: int) -> bytes:
        """Bytes of `header`, whose attributes carry the names of the layout; `overrides` replace some."""
        value = 0
        for name, shift, mask in self._fields:
            item = overrides[name] if name in overrides else getattr(header, name)
            if not 0 <= item <= mask:
                raise FrameError(f"{type(header).__name__}.{name} is {item}; give it 0 .. {mask}")
            value |= int(item) << shift
        return value.to_bytes(self.size, "big")

    def unpack(self, data: bytes | memoryview) -> dict[str, int]:
        """Fields of the header that `data` begins with."""
        value = int.from_bytes(data[: self.size], "big")
        return {name: (value >> shift) & mask for name, shift, mask in self._fields}


@dataclass(frozen=True, slots=True)
class EthernetHeader:
    """Ethernet II header; `ethertype` is the one of the payload, behind a VLAN tag if there is one."""

    destination: int
    source: int
    ethertype: int = ETHERTYPE_IPV4


@dataclass(frozen=True, slots=True)
class VlanTag:
    """IEEE 802.1Q tag control information."""

    vlan_id: int
    priority: int = 0
    drop_eligible: int = 0

    @property
    def tci(self) -> int:
        """The tag as its 16-bit word."""
        return self.priority << 13 | self.drop_eligible << 12 | self.vlan_id

    @classmethod
    def from_tci(cls, tci: int) -> VlanTag:
        """The tag that the 16-bit word `tci` holds."""
        return cls(vlan_id=tci & 0xFFF, priority=tci >> 13, drop_eligible=tci >> 12 & 1)


@dataclass(frozen=True, slots=True)
class Ipv4Header:
    """IPv4 header without options (RFC 791 3.1). Lengths in bytes, `ihl` in words of 4 bytes."""

    source: int
    destination: int
    total_length: int
    identification: int = 0
    tos: int = 0
    ttl: int = 128
    protocol: int = PROTOCOL_TCP
    dont_fragment: int = 1
    more_fragments: int = 0
    fragment_offset: int = 0
    reserved_flag: int = 0
    version: int = 4
    ihl: int = 5
    checksum: int = 0


@dataclass(frozen=True, slots=True)
class Ipv6Header:
    """IPv6 header (RFC 8200 3). `payload_length` in bytes, extension headers counted."""

    source: int
    destination: int
    payload_length: int
    traffic_class: int = 0
    flow_label: int = 0
    hop_limit: int = 128
    next_header: int = PROTOCOL_TCP
    version: int = 6


IpHeader = Ipv4Header | Ipv6Header


@dataclass(frozen=True, slots=True)
class Timestamps:
    """TCP timestamps option, kind 8 (RFC 7323 3.2)."""

    value: int
    echo_reply: int


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """The options of a segment; None or empty means absent. Of a repeated option the last one counts."""

    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    timestamps: Timestamps | None = None
    sack_blocks: tuple[tuple[int, int], ...] = ()
    malformed: bool = False
    """Parsing stopped at an option with an illegal length; nothing from there on was used (MUST-7)."""
    skipped_kinds: tuple[int, ...] = ()
    """Kinds that are unknown or not of their own length and were skipped (MUST-6), in order."""


NO_OPTIONS: Final = TcpOptions()


@dataclass(frozen=True, slots=True)
class TcpHeader:
    """TCP header (RFC 9293 3.1); `data_offset` in words of 4 bytes, `window` as on the wire (unscaled)."""

    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: TcpFlag
    window: int
    data_offset: int = 5
    reserved: int = 0
    checksum: int = 0
    urgent_pointer: int = 0
    options: TcpOptions = NO_OPTIONS


_ETHERNET = Layout(("destination", 48), ("source", 48), ("ethertype", 16))
_VLAN = Layout(("priority", 3), ("drop_eligible", 1), ("vlan_id", 12))
_IPV4 = Layout(
    ("version", 4),
    ("ihl", 4),
    ("tos", 8),
    ("total_length", 16),
    ("identification", 16),
    ("reserved_flag", 1),
    ("dont_fragment", 1),
    ("more_fragments", 1),
    ("fragment_offset", 13),
    ("ttl", 8),
    ("protocol", 8),
    ("checksum", 16),
    ("source", 32),
    ("destination", 32),
)
_IPV6 = Layout(
    ("version", 4),
    ("traffic_class", 8),
    ("flow_label", 20),
    ("payload_length", 16),
    ("next_header", 8),
    ("hop_limit", 8),
    ("source", 128),
    ("destination", 128),
)
_TCP = Layout(
    ("source_port", 16),
    ("destination_port", 16),
    ("sequence", 32),
    ("acknowledgment", 32),
    ("data_offset", 4),
    ("reserved", 4),
    ("flags", 8),
    ("window", 16),
    ("checksum", 16),
    ("urgent_pointer", 16),
)


# --- TCP options ---------------------------------------------------------------------------------------

_END_OF_LIST: Final = 0
_NO_OPERATION: Final = 1
_MSS: Final = 2
_WINDOW_SCALE: Final = 3
_SACK_PERMITTED: Final = 4
_SACK: Final = 5
_TIMESTAMPS: Final = 8

_LENGTHS: Final[dict[int, frozenset[int]]] = {
    _MSS: frozenset({4}),
    _WINDOW_SCALE: frozenset({3}),
    _SACK_PERMITTED: frozenset({2}),
    _SACK: frozenset({10, 18, 26, 34}),
    _TIMESTAMPS: frozenset({10}),
}


def build_options(options: TcpOptions) -> bytes:
    """Option bytes, a multiple of 4, each option preceded by the NOPs that align its numbers (no EOL).

    Order: MSS, SACK permitted, timestamps, window scale, SACK blocks. Timestamps alone give the 12 bytes
    01 01 08 0A val ecr of RFC 7323 appendix A.
    """
    out = b""
    if options.mss is not None:
        out += b"\x02\x04" + options.mss.to_bytes(2, "big")
    if options.sack_permitted:
        out += b"\x01\x01\x04\x02"
    if options.timestamps is not None:
        stamps = options.timestamps
        out += b"\x01\x01\x08\x0a" + stamps.value.to_bytes(4, "big") + stamps.echo_reply.to_bytes(4, "big")
    if options.window_scale is not None:
        out += b"\x01\x03\x03" + options.window_scale.to_bytes(1, "big")
    if options.sack_blocks:
        out += bytes((1, 1, _SACK, 2 + 8 * len(options.sack_blocks)))
        for left, right in options.sack_blocks:
            out += left.to_bytes(4, "big") + right.to_bytes(4, "big")
    if len(out) > MAX_OPTION_BYTES:
        raise FrameError(f"TCP options take {len(out)} bytes; the header has room for {MAX_OPTION_BYTES}")
    return out


def parse_options(data: bytes | memoryview) -> TcpOptions:
    """Read options at any alignment (MUST-64); never looks outside `data`, ends after at most 40 steps.

    An unknown kind is skipped by its length (MUST-6), and so is a known kind whose length is not its own: it is
    not used. A length below 2 or past the end of the header is illegal: parsing ends there and nothing from
    there on is used (MUST-7); what was found before counts.
    """
    mss: int | None = None
    window_scale: int | None = None
    sack_permitted = False
    timestamps: Timestamps | None = None
    sack_blocks: tuple[tuple[int, int], ...] = ()
    skipped: list[int] = []
    malformed = False
    raw = bytes(data)
    at = 0
    while at < len(raw):
        kind = raw[at]
        if kind == _END_OF_LIST:
            break
        if kind == _NO_OPERATION:
            at += 1
            continue
        length = raw[at + 1] if at + 1 < len(raw) else 0
        if length < 2 or at + length > len(raw):
            malformed = True
            break
        body = raw[at + 2 : at + length]
        if length not in _LENGTHS.get(kind, frozenset()):
            skipped.append(kind)
        elif kind == _MSS:
            mss = int.from_bytes(body, "big")
        elif kind == _WINDOW_SCALE:
            window_scale = body[0]
        elif kind == _SACK_PERMITTED:
            sack_permitted = True
        elif kind == _TIMESTAMPS:
            timestamps = Timestamps(int.from_bytes(body[:4], "big"), int.from_bytes(body[4:], "big"))
        else:
            words = [int.from_bytes(body[i : i + 4], "big") for i in range(0, len(body), 4)]
            sack_blocks = tuple(zip(words[::2], words[1::2], strict=True))
        at += length
    return TcpOptions(mss, window_scale, sack_permitted, timestamps, sack_blocks, malformed, tuple(skipped))


# --- build ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SegmentFields:
    """Everything that determines one TCP frame on the wire, byte for byte.

    `family` is the version of IP; `ip_id` is of IPv4 alone, `flow_label` of IPv6; `tos` and `ttl` are traffic class and
    hop limit there. `window` is the 16-bit field as sent (already scaled down). `vlan` None means an untagged frame.
    `timestamps` is a short form: it is the same as `options` holding nothing but these timestamps.
    """

    destination_mac: int
    source_mac: int
    source_ip: int
    destination_ip: int
    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: TcpFlag
    window: int
    ip_id: int
    payload: bytes | bytearray | memoryview = field(default=b"", repr=False)
    ttl: int = 128
    tos: int = 0
    vlan: VlanTag | None = None
    timestamps: Timestamps | None = None
    options: TcpOptions = NO_OPTIONS
    urgent_pointer: int = 0
    family: int = 4
    flow_label: int = 0


def build_segment(fields: SegmentFields, *, pad: bool = True) -> bytes:
    """The frame of `fields`: Ethernet II, optional 802.1Q, IPv4 with DF set or IPv6, TCP, checksums, no FCS.

    Filled with zeros to 60 bytes unless `pad` is False (for looking at the bare packet).
    """
    options = fields.options
    if fields.timestamps is not None:
        if options is not NO_OPTIONS and options != NO_OPTIONS:
            raise FrameError("SegmentFields has both timestamps and options; put the timestamps into options")
        options = TcpOptions(timestamps=fields.timestamps)
    option_bytes = build_options(options)
    header_length = TCP_BYTES + len(option_bytes)
    tcp = TcpHeader(
        fields.source_port,
        fields.destination_port,
        fields.sequence,
        fields.acknowledgment,
        fields.flags,
        fields.window,
        data_offset=header_length // 4,
        urgent_pointer=fields.urgent_pointer,
    )
    segment = bytearray(_TCP.pack(tcp))
    segment += option_bytes
    segment += fields.payload
    segment[16:18] = tcp_checksum(fields.source_ip, fields.destination_ip, segment).to_bytes(2, "big")
    ethertype, header = _ip_header(fields, len(segment))
    frame = build_ethernet(fields.destination_mac, fields.source_mac, ethertype, fields.vlan) + header + segment
    if pad and len(frame) < MIN_FRAME_BYTES:
        frame += bytes(MIN_FRAME_BYTES - len(frame))
    return frame


def _ip_header(fields: SegmentFields, length: int) -> tuple[int, bytes]:
    """Ethertype and IP header in front of a segment of `length` bytes."""
    source, destination = fields.source_ip, fields.destination_ip
    if fields.family == 4:
        return ETHERTYPE_IPV4, build_ipv4(
            Ipv4Header(source, destination, IPV4_BYTES + length, fields.ip_id, fields.tos, fields.ttl)
        )
    if fields.family == 6:
        return ETHERTYPE_IPV6, build_ipv6(
            Ipv6Header(source, destination, length, fields.tos, fields.flow_label, fields.ttl)
        )
    raise FrameError(f"SegmentFields.family is {fields.family}; give 4 or 6")


def build_ethernet(destination: int, source: int, ethertype: int, vlan: VlanTag | None = None) -> bytes:
    """Ethernet II header, with the 802.1Q tag if there is one."""
    if vlan is None:
        return _ETHERNET.pack(EthernetHeader(destination, source, ethertype))
    outer = _ETHERNET.pack(EthernetHeader(destination, source, ETHERTYPE_VLAN))
    return outer + _VLAN.pack(vlan) + ethertype.to_bytes(2, "big")


def build_ipv4(header: Ipv4Header) -> bytes:
    """The 20 header bytes with their checksum computed (`header.checksum` is not used)."""
    raw = bytearray(_IPV4.pack(header, checksum=0))
    raw[10:12] = ipv4_header_checksum(raw).to_bytes(2, "big")
    return bytes(raw)


def build_ipv6(header: Ipv6Header) -> bytes:
    """The 40 header bytes."""
    return _IPV6.pack(header)


# --- parse ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParsedFrame:
    """One received frame. A header is None where the verdict was reached before it was read.

    `ip` is the header of an IPv4 packet, `ip6` that of an IPv6 packet. `payload` is the slice
    [payload_offset, payload_offset + payload_length) of the frame: TCP payload by the IP length, so Ethernet padding
    is never part of it. Empty unless the verdict is TCP_OK.
    """

    verdict: Verdict
    reason: Reason
    ethernet: EthernetHeader | None = None
    vlan: VlanTag | None = None
    ip: Ipv4Header | None = None
    tcp: TcpHeader | None = None
    payload_offset: int = 0
    payload: bytes = field(default=b"", repr=False)
    ip6: Ipv6Header | None = None

    @property
    def ip_header(self) -> IpHeader | None:
        """The IP header, whatever its version."""
        return self.ip if self.ip6 is None else self.ip6

    @property
    def payload_length(self) -> int:
        """TCP payload bytes."""
        return len(self.payload)

    @property
    def segment_length(self) -> int:
        """SEG.LEN of RFC 9293: payload bytes, SYN and FIN counted as one each."""
        if self.tcp is None:
            return 0
        flags = self.tcp.flags
        return len(self.payload) + bool(flags & TcpFlag.SYN) + bool(flags & TcpFlag.FIN)


def parse_frame(frame: bytes) -> ParsedFrame:
    """Classify a frame and read its headers; total: every byte string gets exactly one verdict.

    The tests run in the order of `Reason`: kind before lengths, lengths before checksums. So a damaged frame
    whose kind is not TCP over IPv4 or IPv6 goes up unchanged and the host's own checks decide.
    """
    if len(frame) < ETHERNET_BYTES:
        return ParsedFrame(Verdict.BAD_LENGTH, Reason.ETHERNET_SHORT)
    ethernet = EthernetHeader(**_ETHERNET.unpack(frame))
    vlan: VlanTag | None = None
    start = ETHERNET_BYTES
    if ethernet.ethertype == ETHERTYPE_VLAN:
        start += VLAN_BYTES
        if len(frame) < start:
            return ParsedFrame(Verdict.RAW, Reason.VLAN_SHORT, ethernet)
        vlan = VlanTag(**_VLAN.unpack(frame[14:16]))
        inner = int.from_bytes(frame[16:18], "big")
        ethernet = EthernetHeader(ethernet.destination, ethernet.source, inner)
    read = _PARSERS.get(ethernet.ethertype)
    if read is None:
        return ParsedFrame(Verdict.RAW, Reason.NOT_IP, ethernet, vlan)
    return read(frame, start, ParsedFrame(Verdict.RAW, Reason.NOT_IP, ethernet, vlan))


def _parse_ipv4(frame: bytes, start: int, found: ParsedFrame) -> ParsedFrame:
    if len(frame) < start + IPV4_BYTES:
        return replace(found, verdict=Verdict.BAD_LENGTH, reason=Reason.IP_SHORT)
    ip = Ipv4Header(**_IPV4.unpack(frame[start : start + IPV4_BYTES]))
    found = replace(found, ip=ip)
    kind = _ip_kind(ip)
    if kind is not None:
        return replace(found, reason=kind)
    if ip.total_length < IPV4_BYTES + TCP_BYTES:
        return replace(found, verdict=Verdict.BAD_LENGTH, reason=Reason.TOTAL_LENGTH_SHORT)
    end = start + ip.total_length
    if end > len(frame):
        return replace(found, verdict=Verdict.BAD_LENGTH, reason=Reason.TOTAL_LENGTH_LONG)
    if not ipv4_header_ok(frame[start : start + IPV4_BYTES]):
        return replace(found, verdict=Verdict.BAD_CHECKSUM, reason=Reason.IP_CHECKSUM)
    return _parse_tcp(frame, start + IPV4_BYTES, end, found, ip)


def _parse_ipv6(frame: bytes, start: int, found: ParsedFrame) -> ParsedFrame:
    if len(frame) < start + IPV6_BYTES:
        return replace(found, verdict=Verdict.BAD_LENGTH, reason=Reason.IP6_SHORT)
    ip = Ipv6Header(**_IPV6.unpack(frame[start : start + IPV6_BYTES]))
    found = replace(found, ip6=ip)
    if ip.version != 6:
        return replace(found, reason=Reason.IP6_VERSION)
    if ip.next_header != PROTOCOL_TCP:
        return replace(found, reason=Reason.NEXT_HEADER)
    if ip.payload_length < TCP_BYTES:
        return replace(found, verdict=Verdict.BAD_LENGTH, reason=Reason.PAYLOAD_LENGTH_SHORT)
    end = start + IPV6_BYTES + ip.payload_length
    if end > len(frame):
        return replace(found, verdict=Verdict.BAD_LENGTH, reason=Reason.PAYLOAD_LENGTH_LONG)
    return _parse_tcp(frame, start + IPV6_BYTES, end, found, ip)


_PARSERS: Final = {ETHERTYPE_IPV4: _parse_ipv4, ETHERTYPE_IPV6: _parse_ipv6}


def _ip_kind(ip: Ipv4Header) -> Reason | None:
    """Why an IPv4 packet is not for the engine by its kind, or None."""
    if ip.version != 4:
        return Reason.IP_VERSION
    if ip.ihl != 5:
        return Reason.IP_OPTIONS
    if ip.more_fragments or ip.fragment_offset:
        return Reason.FRAGMENT
    if ip.protocol != PROTOCOL_TCP:
        return Reason.NOT_TCP
    return None


def _parse_tcp(frame: bytes, start: int, end: int, found: ParsedFrame, ip: IpHeader) -> ParsedFrame:
    """TCP header and checksum of the segment in [start, end), which has room for a header."""
    raw = _TCP.unpack(frame[start : start + TCP_BYTES])
    payload_offset = start + 4 * raw["data_offset"]
    if raw["data_offset"] < 5 or payload_offset > end:
        return replace(found, verdict=Verdict.BAD_LENGTH, reason=Reason.DATA_OFFSET)
    options = NO_OPTIONS
    if raw["data_offset"] > 5:
        options = parse_options(frame[start + TCP_BYTES : payload_offset])
    flags = TcpFlag(raw.pop("flags"))
    found = replace(found, tcp=TcpHeader(flags=flags, options=options, **raw))
    if not tcp_ok(ip.source, ip.destination, frame[start:end]):
        return replace(found, verdict=Verdict.BAD_CHECKSUM, reason=Reason.TCP_CHECKSUM)
    payload = frame[payload_offset:end]
    return replace(found, verdict=Verdict.TCP_OK, reason=Reason.OK, payload_offset=payload_offset, payload=payload)
