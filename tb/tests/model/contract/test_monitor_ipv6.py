"""How the contract monitors read IPv6: which frames are the host's, what a frame shows, whose it is."""

from __future__ import annotations

import struct
from types import SimpleNamespace

import pytest

from tb.monitors.contract.connection_parts import payload_of
from tb.monitors.contract.decisions_wire import header_values, shows
from tb.monitors.contract.events_upload import packet_of
from tb.monitors.contract.face_items import flows_of
from tb.monitors.contract.offload_books import payload_in
from tb.monitors.contract.receive_segments import for_the_host, segment_of
from tb.monitors.contract.stream_books import take_apart
from tb.monitors.contract.trace import Frame
from tb.monitors.wire_headers import read_segment
from tb.monitors.wire_monitor import MonitorConfig, WireMonitor
from tb.peers.headers import ACK, SYN, Link, Options, Segment, encode_tcp, ip_bytes, mac_bytes

OWN, FAR = ip_bytes("2001:db8:1:2:3:4:5:6"), ip_bytes("2001:db8:ffff::7")
MACS = mac_bytes("02:00:00:00:00:01"), mac_bytes("02:00:00:00:00:02")


def frame(payload: bytes = b"payload", *, vlan: int | None = None, flags: int = ACK, raw: bytes = b"") -> bytes:
    """A segment of the NIC."""
    return encode_tcp(
        Segment(
            Link(*MACS, vlan), OWN, FAR, 40000, 5001, 10, 20, flags, 30, 0, Options(raw=raw), payload,
            ttl=61, tos=0xB8, flow_label=0x12345,
        )
    )  # fmt: skip


def packet(header: int, payload: bytes = bytes(40), version: int = 6) -> bytes:
    """An IPv6 packet with another next header."""
    fixed = struct.pack(">IHBB", version << 28, len(payload), header, 64) + FAR + OWN
    return MACS[0] + MACS[1] + b"\x86\xdd" + fixed + payload


@pytest.mark.rule("CH-205")
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (packet(0), "IPv6 extension header"),
        (packet(43), "IPv6 extension header"),
        (packet(60), "IPv6 extension header"),
        (packet(44), "IP fragment"),
        (packet(58), "ICMP"),
        (packet(6), None),
        (packet(17), None),
        (packet(0, version=4), None),
        (packet(0)[:53], None),
    ],
)
def test_extension_headers_fragments_and_icmp_over_ipv6_are_the_hosts(data: bytes, kind: str | None) -> None:
    assert for_the_host(data) == kind
    tagged = data[:12] + b"\x81\x00\x00\x05" + data[12:]
    assert for_the_host(tagged) == (kind if len(data) > 53 else None)


@pytest.mark.parametrize("vlan", [None, 0xA005])
def test_every_reader_finds_the_same_payload_and_header_values(vlan: int | None) -> None:
    data = frame(vlan=vlan)
    seen = read_segment(data)
    assert seen is not None
    found = segment_of(data)
    assert found is not None
    wire = take_apart(Frame(0, 1, data=data, sent=True))
    assert {payload_of(data, seen), payload_in(data, seen), found.payload, wire.payload} == {b"payload"}
    assert (wire.ip, wire.tci, found.source) == (-1, vlan, (int.from_bytes(OWN, "big"), 40000))
    values = header_values(data, seen)
    assert values == {
        "ttl_or_hop_limit": 61, "tos_or_traffic_class": 0xB8, "user_priority": 0 if vlan is None else 5,
        "flow_label": 0x12345,
    }  # fmt: skip
    assert shows(values, values)
    for name in values:
        assert not shows(values, values | {name: 1})
    assert packet_of(data + bytes(6)) == data


def test_a_connection_has_the_flow_of_its_path_whose_addresses_are_both_of_one_version() -> None:
    def connection(own: bytes, far: bytes) -> SimpleNamespace:
        below = SimpleNamespace(const={"source_address": own, "destination_address": far})
        return SimpleNamespace(below=below, const={"local_port": 0x409C, "remote_port": 0x8913})

    wanted = (int.from_bytes(OWN, "big"), 40000), (int.from_bytes(FAR, "big"), 5001)
    assert wanted in flows_of(connection(OWN, FAR))  # type: ignore[arg-type]
    assert flows_of(connection(OWN, FAR[:4])) == []  # type: ignore[arg-type]


@pytest.mark.rule("RFC 9293 MUST-15")
@pytest.mark.parametrize(("size", "held"), [(1220, True), (1221, False)])
def test_a_peer_that_announces_no_mss_over_ipv6_is_sent_1220_bytes(size: int, held: bool) -> None:
    monitor = WireMonitor(MonitorConfig())
    there = Link(MACS[1], MACS[0])
    answer = Segment(there, FAR, OWN, 5001, 40000, 19, 11, SYN | ACK, 60000, 0, Options(), b"")
    monitor.on_transmit(
        encode_tcp(
            Segment(Link(*MACS), OWN, FAR, 40000, 5001, 10, 0, SYN, 30, 0, Options(raw=b"\x02\x04\x05\xa0"), b"")
        ),
        0,
    )
    monitor.on_receive(encode_tcp(answer), 1)
    data = Segment(Link(*MACS), OWN, FAR, 40000, 5001, 11, 20, ACK, 30, 0, Options(), bytes(size))
    monitor.on_transmit(encode_tcp(data), 2)
    assert (monitor.violations == []) is held
    assert held or "[2001:db8:1:2:3:4:5:6]:40000" in str(monitor.violations[0])
