"""Segments of the host's software stack, on top of model/wire.

One frozen Segment in, one frame out, and back. Sequence numbers, windows and timestamps are the
raw header values (window unscaled, modulo 2^32); addresses are the bytes NDIS structures hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from model.wire.frame import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    IPV4_BYTES,
    IpHeader,
    Ipv4Header,
    Ipv6Header,
    SegmentFields,
    TcpFlag,
    TcpOptions,
    Timestamps,
    Verdict,
    build_ethernet,
    build_ipv4,
    build_ipv6,
    build_segment,
    parse_frame,
)

MASK32 = 0xFFFF_FFFF
IPV4_ADDRESS_BYTES, IPV6_ADDRESS_BYTES = 4, 16


@dataclass(frozen=True)
class Endpoint:
    """One end of a connection: 6-byte MAC, IP address of 4 or 16 bytes (network order), port number."""

    mac: bytes
    ip: bytes
    port: int

    @property
    def is_ipv6(self) -> bool:
        """The version of IP, which the address tells."""
        return len(self.ip) == IPV6_ADDRESS_BYTES


@dataclass(frozen=True)
class Segment:
    """A TCP segment with what surrounds it on the wire."""

    source: Endpoint
    destination: Endpoint
    seq: int
    ack: int
    flags: TcpFlag
    window: int
    payload: bytes = b""
    ts: tuple[int, int] | None = None
    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    ip_id: int = 0
    ttl: int = 128
    tos: int = 0
    flow_label: int = 0
    #: From the TCP header to the end of the IP packet, as it was received; empty for a segment made here.
    raw: bytes = field(default=b"", repr=False, compare=False)


def encode(segment: Segment) -> bytes:
    """Ethernet frame without FCS, padded to 60 bytes."""
    source, destination = segment.source, segment.destination
    ts = segment.ts
    options = TcpOptions(
        mss=segment.mss,
        window_scale=segment.window_scale,
        sack_permitted=segment.sack_permitted,
        timestamps=None if ts is None else Timestamps(ts[0] & MASK32, ts[1] & MASK32),
    )
    return build_segment(
        SegmentFields(
            destination_mac=int.from_bytes(destination.mac, "big"),
            source_mac=int.from_bytes(source.mac, "big"),
            source_ip=int.from_bytes(source.ip, "big"),
            destination_ip=int.from_bytes(destination.ip, "big"),
            source_port=source.port,
            destination_port=destination.port,
            sequence=segment.seq & MASK32,
            acknowledgment=segment.ack & MASK32,
            flags=segment.flags,
            window=segment.window,
            ip_id=segment.ip_id,
            payload=segment.payload,
            ttl=segment.ttl,
            tos=segment.tos,
            options=options,
            family=6 if source.is_ipv6 else 4,
            flow_label=segment.flow_label,
        ),
        pad=True,
    )


def decode(frame: bytes) -> Segment | None:
    """The TCP segment of a frame; None unless it is intact TCP over IPv4 or IPv6 with sound options."""
    parsed = parse_frame(frame)
    ethernet, ip, tcp = parsed.ethernet, parsed.ip_header, parsed.tcp
    if parsed.verdict is not Verdict.TCP_OK or ethernet is None or ip is None or tcp is None:
        return None
    options = tcp.options
    if options.malformed:
        return None
    stamps = options.timestamps
    size = IPV6_ADDRESS_BYTES if isinstance(ip, Ipv6Header) else IPV4_ADDRESS_BYTES
    end = parsed.payload_offset + parsed.payload_length
    return Segment(
        source=Endpoint(ethernet.source.to_bytes(6, "big"), ip.source.to_bytes(size, "big"), tcp.source_port),
        destination=Endpoint(
            ethernet.destination.to_bytes(6, "big"),
            ip.destination.to_bytes(size, "big"),
            tcp.destination_port,
        ),
        seq=tcp.sequence,
        ack=tcp.acknowledgment,
        flags=tcp.flags,
        window=tcp.window,
        payload=parsed.payload,
        ts=None if stamps is None else (stamps.value, stamps.echo_reply),
        mss=options.mss,
        window_scale=options.window_scale,
        sack_permitted=options.sack_permitted,
        raw=frame[parsed.payload_offset - 4 * tcp.data_offset : end],
        **_ip_fields(ip),
    )


def _ip_fields(ip: IpHeader) -> dict[str, int]:
    """What a segment keeps of its IP header beside the addresses."""
    if isinstance(ip, Ipv6Header):
        return {"ttl": ip.hop_limit, "tos": ip.traffic_class, "flow_label": ip.flow_label}
    return {"ip_id": ip.identification, "ttl": ip.ttl, "tos": ip.tos}


def decode_tcp(raw: bytes, source: Endpoint, destination: Endpoint) -> Segment | None:
    """The segment of bytes that begin with a TCP header; None unless it is intact."""
    ends = int.from_bytes(source.ip, "big"), int.from_bytes(destination.ip, "big")
    ethertype, header = ETHERTYPE_IPV4, b""
    if source.is_ipv6:
        ethertype, header = ETHERTYPE_IPV6, build_ipv6(Ipv6Header(*ends, len(raw)))
    else:
        header = build_ipv4(Ipv4Header(*ends, IPV4_BYTES + len(raw)))
    ethernet = build_ethernet(int.from_bytes(destination.mac, "big"), int.from_bytes(source.mac, "big"), ethertype)
    return decode(ethernet + header + raw)
