"""Segments of the host's software stack, on top of model/wire.

One frozen Segment in, one frame out, and back. Sequence numbers, windows and timestamps are the
raw header values (window unscaled, modulo 2^32); addresses are the bytes NDIS structures hold.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from model.wire.frame import (
    ETHERNET_BYTES,
    ETHERTYPE_IPV4,
    IPV4_BYTES,
    VLAN_BYTES,
    Ipv4Header,
    SegmentFields,
    TcpFlag,
    TcpOptions,
    Timestamps,
    Verdict,
    build_ethernet,
    build_ipv4,
    build_segment,
    parse_frame,
)

MASK32 = 0xFFFF_FFFF


@dataclass(frozen=True)
class Endpoint:
    """One end of a connection: 6-byte MAC, 4-byte IPv4 address (network order), port number."""

    mac: bytes
    ip: bytes
    port: int


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
        ),
        pad=True,
    )


def decode(frame: bytes) -> Segment | None:
    """The TCP segment of a frame; None unless it is intact TCP/IPv4 with sound options."""
    parsed = parse_frame(frame)
    ethernet, ip, tcp = parsed.ethernet, parsed.ip, parsed.tcp
    if parsed.verdict is not Verdict.TCP_OK or ethernet is None or ip is None or tcp is None:
        return None
    options = tcp.options
    if options.malformed:
        return None
    stamps = options.timestamps
    start = ETHERNET_BYTES + (0 if parsed.vlan is None else VLAN_BYTES) + IPV4_BYTES
    return Segment(
        source=Endpoint(ethernet.source.to_bytes(6, "big"), ip.source.to_bytes(4, "big"), tcp.source_port),
        destination=Endpoint(
            ethernet.destination.to_bytes(6, "big"),
            ip.destination.to_bytes(4, "big"),
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
        ip_id=ip.identification,
        ttl=ip.ttl,
        tos=ip.tos,
        raw=frame[start : start + ip.total_length - IPV4_BYTES],
    )


def decode_tcp(raw: bytes, source: Endpoint, destination: Endpoint) -> Segment | None:
    """The segment of bytes that begin with a TCP header; None unless it is intact."""
    header = Ipv4Header(int.from_bytes(source.ip, "big"), int.from_bytes(destination.ip, "big"), IPV4_BYTES + len(raw))
    ethernet = build_ethernet(int.from_bytes(destination.mac, "big"), int.from_bytes(source.mac, "big"), ETHERTYPE_IPV4)
    return decode(ethernet + build_ipv4(header) + raw)
