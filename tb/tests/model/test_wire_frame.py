"""The golden frame builder and parser against bytes typed by hand, against scapy, and against damage."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Dot1Q, Ether

from model.wire.checksum import ipv4_header_checksum, ones_complement_sum, pseudo_header_sum
from model.wire.frame import (
    FrameError,
    ParsedFrame,
    Reason,
    SegmentFields,
    TcpFlag,
    TcpOptions,
    Timestamps,
    Verdict,
    VlanTag,
    build_segment,
    parse_frame,
)

# Typed by hand from RFC 791, 9293, 7323. IP header words: 4500 0039 8001 4000 8006 .... 0A00 0001 0A00 0002
# sum to 1_9943, folded 9944, complement 66BB.
WITH_TIMESTAMPS = bytes.fromhex(
    "020000000002 020000000001 0800"
    "45 00 0039 8001 4000 80 06 66BB 0A000001 0A000002"
    "1388 0007 FFFFFFFE 01020304 80 18 2000 E746 0000"
    "01 01 08 0A FFFFFFF0 00000010"
    "68656C6C6F"
)
TAGGED_ACK = bytes.fromhex(
    "020000000002 020000000001 8100 A123 0800"
    "45 B8 0028 FFFF 4000 40 06 B6A9 C0A8010A C0A80114"
    "FFFF 0050 00000001 00000002 50 10 FFFF 2C13 0000"
    "0000"  # padding to 60
)
TIMESTAMP_FIELDS = SegmentFields(
    destination_mac=0x020000000002,
    source_mac=0x020000000001,
    source_ip=0x0A000001,
    destination_ip=0x0A000002,
    source_port=0x1388,
    destination_port=7,
    sequence=0xFFFFFFFE,
    acknowledgment=0x01020304,
    flags=TcpFlag.PSH | TcpFlag.ACK,
    window=0x2000,
    ip_id=0x8001,
    ttl=128,
    timestamps=Timestamps(0xFFFFFFF0, 0x10),
    payload=b"hello",
)
TAGGED_FIELDS = SegmentFields(
    destination_mac=0x020000000002,
    source_mac=0x020000000001,
    source_ip=0xC0A8010A,
    destination_ip=0xC0A80114,
    source_port=65535,
    destination_port=80,
    sequence=1,
    acknowledgment=2,
    flags=TcpFlag.ACK,
    window=0xFFFF,
    ip_id=0xFFFF,
    ttl=64,
    tos=0xB8,
    vlan=VlanTag(vlan_id=0x123, priority=5),
)

u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u48 = st.integers(0, (1 << 48) - 1)
timestamps = st.builds(Timestamps, u32, u32)
segments = st.builds(
    SegmentFields,
    destination_mac=u48,
    source_mac=u48,
    source_ip=u32,
    destination_ip=u32,
    source_port=u16,
    destination_port=u16,
    sequence=u32,
    acknowledgment=u32,
    flags=st.integers(0, 255).map(TcpFlag),
    window=u16,
    ip_id=u16,
    payload=st.binary(max_size=200),
    ttl=st.integers(0, 255),
    tos=st.integers(0, 255),
    vlan=st.none() | st.builds(VlanTag, st.integers(0, 4095), st.integers(0, 7), st.integers(0, 1)),
    timestamps=st.none() | timestamps,
    urgent_pointer=u16,
)


def with_ip_checksum(frame: bytearray, start: int = 14) -> bytes:
    """The frame with its IP header checksum made right again."""
    frame[start + 10 : start + 12] = bytes(2)
    frame[start + 10 : start + 12] = struct.pack("!H", ipv4_header_checksum(frame[start : start + 20]))
    return bytes(frame)


def reason_of(frame: bytes | bytearray) -> Reason:
    return parse_frame(bytes(frame)).reason


def test_the_builder_gives_the_hand_typed_timestamp_segment() -> None:
    assert build_segment(TIMESTAMP_FIELDS) == WITH_TIMESTAMPS


def test_the_builder_gives_the_hand_typed_tagged_ack_padded_to_sixty_bytes() -> None:
    assert build_segment(TAGGED_FIELDS) == TAGGED_ACK
    assert len(TAGGED_ACK) == 60


def test_the_parser_reads_every_field_of_the_hand_typed_timestamp_segment() -> None:
    parsed = parse_frame(WITH_TIMESTAMPS)
    assert parsed.verdict is Verdict.TCP_OK
    assert parsed.ethernet is not None
    assert parsed.ip is not None
    assert parsed.tcp is not None
    assert parsed.vlan is None
    assert (parsed.ethernet.destination, parsed.ethernet.source) == (0x020000000002, 0x020000000001)
    ip, tcp = parsed.ip, parsed.tcp
    assert (ip.source, ip.destination, ip.total_length) == (0x0A000001, 0x0A000002, 57)
    assert (ip.identification, ip.ttl, ip.tos, ip.dont_fragment, ip.checksum) == (0x8001, 128, 0, 1, 0x66BB)
    assert (tcp.source_port, tcp.destination_port, tcp.data_offset) == (0x1388, 7, 8)
    assert (tcp.sequence, tcp.acknowledgment, tcp.window) == (0xFFFFFFFE, 0x01020304, 0x2000)
    assert tcp.flags == TcpFlag.PSH | TcpFlag.ACK
    assert tcp.options == TcpOptions(timestamps=Timestamps(0xFFFFFFF0, 0x10))
    assert (parsed.payload, parsed.payload_offset) == (b"hello", 66)


def test_the_parser_leaves_ethernet_padding_out_of_the_payload() -> None:
    parsed = parse_frame(TAGGED_ACK)
    assert (parsed.verdict, parsed.payload) == (Verdict.TCP_OK, b"")
    assert parsed.vlan == VlanTag(0x123, 5)


@pytest.mark.rule("MUST-2")
def test_the_checksum_is_that_of_the_published_ip_header_example() -> None:
    header = bytes.fromhex("45000073 00004000 40110000 C0A80001 C0A800C7")
    assert ipv4_header_checksum(header) == 0xB861


@pytest.mark.rule("MUST-2")
def test_the_checksum_is_that_of_the_rfc_1071_example() -> None:
    assert ones_complement_sum(bytes.fromhex("0001f203f4f5f6f7")) == 0xDDF2


@pytest.mark.rule("MUST-2")
def test_an_odd_last_byte_counts_as_the_high_half_of_a_word() -> None:
    assert ones_complement_sum(b"\x12") == 0x1200
    assert ones_complement_sum(b"\xff\xff\x01") == 0x0100
    assert ones_complement_sum(b"") == 0


@pytest.mark.rule("MUST-2")
def test_the_pseudo_header_sum_counts_addresses_protocol_and_length() -> None:
    assert pseudo_header_sum(0x0A000001, 0x0A000002, 0x0025) == 0x0A00 + 1 + 0x0A00 + 2 + 6 + 0x25


@given(data=st.one_of(st.binary(max_size=300), st.binary(min_size=2040, max_size=3000)))
@example(data=bytes(40))
@example(data=bytes(2060))
@example(data=b"\xff" * 40)
@example(data=b"\xff" * 2061)
@settings(max_examples=60, deadline=None)
def test_the_sum_equals_the_word_by_word_definition(data: bytes) -> None:
    even = data + b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(even) // 2}H", even))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert ones_complement_sum(data) == total


@given(fields=segments)
@settings(max_examples=150, deadline=None)
def test_parsing_what_was_built_returns_every_field(fields: SegmentFields) -> None:
    frame = build_segment(fields)
    parsed = parse_frame(frame)
    assert parsed.verdict is Verdict.TCP_OK
    assert parsed.ethernet is not None
    assert parsed.ip is not None
    assert parsed.tcp is not None
    assert len(frame) >= 60
    assert (parsed.ethernet.destination, parsed.ethernet.source) == (fields.destination_mac, fields.source_mac)
    assert (parsed.vlan, parsed.payload) == (fields.vlan, fields.payload)
    ip, tcp = parsed.ip, parsed.tcp
    assert (ip.source, ip.destination, ip.identification) == (fields.source_ip, fields.destination_ip, fields.ip_id)
    assert (ip.ttl, ip.tos, ip.dont_fragment) == (fields.ttl, fields.tos, 1)
    assert (tcp.source_port, tcp.destination_port) == (fields.source_port, fields.destination_port)
    assert (tcp.sequence, tcp.acknowledgment) == (fields.sequence, fields.acknowledgment)
    assert (tcp.flags, tcp.window, tcp.urgent_pointer) == (fields.flags, fields.window, fields.urgent_pointer)
    assert tcp.options.timestamps == fields.timestamps


@given(fields=segments, where=st.floats(0, 1, exclude_max=True))
@settings(max_examples=150, deadline=None)
@pytest.mark.rule("MUST-3", "S03")
def test_no_flipped_bit_of_the_ip_packet_is_taken_for_a_right_segment(fields: SegmentFields, where: float) -> None:
    frame = bytearray(build_segment(fields, pad=False))
    start = 18 if fields.vlan else 14
    bit = int(where * 8 * (len(frame) - start))
    frame[start + bit // 8] ^= 0x80 >> bit % 8
    assert parse_frame(bytes(frame)).verdict is not Verdict.TCP_OK


@given(data=st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_every_byte_string_gets_exactly_one_verdict(data: bytes) -> None:
    assert isinstance(parse_frame(data), ParsedFrame)


@pytest.mark.parametrize("frame", [WITH_TIMESTAMPS, TAGGED_ACK[:58]], ids=["timestamps", "tagged"])
def test_a_frame_truncated_at_any_byte_never_passes(frame: bytes) -> None:
    start = 18 if frame[12:14] == b"\x81\x00" else 14
    for length in range(len(frame)):
        parsed = parse_frame(frame[:length])
        known_ipv4 = length >= start or length < 14
        expected = Verdict.BAD_LENGTH if known_ipv4 else Verdict.RAW
        assert (length, parsed.verdict) == (length, expected)
        assert parsed.payload == b""
    assert parse_frame(frame).verdict is Verdict.TCP_OK


def test_bytes_behind_the_ip_packet_are_no_part_of_the_payload() -> None:
    assert parse_frame(WITH_TIMESTAMPS + b"trailer").payload == b"hello"


@pytest.mark.rule("MUST-50", "S12")
def test_what_is_not_plain_tcp_over_ipv4_is_raw_with_its_reason() -> None:
    def changed(at: int, value: int) -> Reason:
        frame = bytearray(WITH_TIMESTAMPS)
        frame[at] = value
        return reason_of(with_ip_checksum(frame))

    assert reason_of(WITH_TIMESTAMPS[:12] + b"\x86\xdd" + WITH_TIMESTAMPS[14:]) is Reason.IP6_VERSION
    assert reason_of(WITH_TIMESTAMPS[:12] + b"\x08\x06" + WITH_TIMESTAMPS[14:]) is Reason.NOT_IP
    assert reason_of(WITH_TIMESTAMPS[:12] + b"\x81\x00\x00\x01\x81\x00" + WITH_TIMESTAMPS[12:]) is Reason.NOT_IP
    assert changed(14, 0x65) is Reason.IP_VERSION
    assert changed(14, 0x46) is Reason.IP_OPTIONS
    assert changed(14, 0x44) is Reason.IP_OPTIONS
    assert changed(20, 0x20) is Reason.FRAGMENT
    assert changed(21, 0x01) is Reason.FRAGMENT
    assert changed(23, 17) is Reason.NOT_TCP
    for reason in (Reason.NOT_IP, Reason.IP_VERSION, Reason.IP_OPTIONS, Reason.FRAGMENT, Reason.NOT_TCP):
        assert reason in VERDICTS[Verdict.RAW]


def test_the_dont_fragment_flag_may_be_clear_on_reception() -> None:
    frame = bytearray(WITH_TIMESTAMPS)
    frame[20] = 0
    assert parse_frame(with_ip_checksum(frame)).verdict is Verdict.TCP_OK


def test_lengths_that_contradict_each_other_are_bad_length() -> None:
    def total_length(value: int) -> Reason:
        frame = bytearray(WITH_TIMESTAMPS)
        frame[16:18] = value.to_bytes(2, "big")
        return reason_of(with_ip_checksum(frame))

    def data_offset(words: int) -> Reason:
        frame = bytearray(WITH_TIMESTAMPS)
        frame[46] = words << 4
        return reason_of(frame)

    assert [total_length(n) for n in (0, 19, 20, 39)] == [Reason.TOTAL_LENGTH_SHORT] * 4
    assert [total_length(n) for n in (58, 0xFFFF)] == [Reason.TOTAL_LENGTH_LONG] * 2
    assert [data_offset(n) for n in (0, 4, 10, 15)] == [Reason.DATA_OFFSET] * 4
    assert data_offset(9) is Reason.TCP_CHECKSUM
    assert total_length(56) is Reason.TCP_CHECKSUM


@pytest.mark.rule("MUST-3")
def test_wrong_checksums_are_told_apart_and_the_ip_header_is_looked_at_first() -> None:
    ip_wrong = bytearray(WITH_TIMESTAMPS)
    ip_wrong[24] ^= 1
    tcp_wrong = bytearray(WITH_TIMESTAMPS)
    tcp_wrong[50] ^= 1
    both = bytearray(ip_wrong)
    both[46] = 0xF0
    assert reason_of(ip_wrong) is Reason.IP_CHECKSUM
    assert reason_of(tcp_wrong) is Reason.TCP_CHECKSUM
    assert reason_of(both) is Reason.IP_CHECKSUM


VERDICTS: dict[Verdict, set[Reason]] = {
    Verdict.TCP_OK: {Reason.OK},
    Verdict.RAW: {
        Reason.VLAN_SHORT,
        Reason.NOT_IP,
        Reason.IP_VERSION,
        Reason.IP_OPTIONS,
        Reason.FRAGMENT,
        Reason.NOT_TCP,
        Reason.IP6_VERSION,
        Reason.NEXT_HEADER,
    },
    Verdict.BAD_LENGTH: {
        Reason.ETHERNET_SHORT,
        Reason.IP_SHORT,
        Reason.TOTAL_LENGTH_SHORT,
        Reason.TOTAL_LENGTH_LONG,
        Reason.IP6_SHORT,
        Reason.PAYLOAD_LENGTH_SHORT,
        Reason.PAYLOAD_LENGTH_LONG,
        Reason.DATA_OFFSET,
    },
    Verdict.BAD_CHECKSUM: {Reason.IP_CHECKSUM, Reason.TCP_CHECKSUM},
}


@given(data=st.binary(min_size=40, max_size=90), at=st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_a_reason_always_belongs_to_its_verdict(data: bytes, at: int) -> None:
    frame = (WITH_TIMESTAMPS[:at] + data)[:90]
    parsed = parse_frame(frame)
    assert parsed.reason in VERDICTS[parsed.verdict]


def test_a_field_out_of_range_is_refused_with_its_name() -> None:
    with pytest.raises(FrameError, match="window"):
        build_segment(replace(TIMESTAMP_FIELDS, window=0x10000))
    with pytest.raises(FrameError, match="sequence"):
        build_segment(replace(TIMESTAMP_FIELDS, sequence=-1))
    with pytest.raises(FrameError, match="both timestamps and options"):
        build_segment(replace(TIMESTAMP_FIELDS, options=TcpOptions(mss=1460)))


def scapy_fields(frame: bytes) -> tuple[object, ...]:
    packet = Ether(frame)
    ip, tcp = packet[IP], packet[TCP]
    stamps = {option[0]: option[1] for option in tcp.options}.get("Timestamp")
    payload = bytes(tcp.payload)[: ip.len - 20 - 4 * tcp.dataofs]
    tag = packet[Dot1Q].vlan if Dot1Q in packet else None
    numbers = (tcp.sport, tcp.dport, tcp.seq, tcp.ack, int(tcp.flags), tcp.window, tcp.urgptr)
    return (*numbers, ip.id, ip.ttl, ip.tos, str(ip.flags), stamps, payload, tag)


def test_scapy_reads_the_same_fields_and_computes_the_same_checksums() -> None:
    rng = random.Random(20)
    for n in range(60):
        fields = SegmentFields(
            destination_mac=rng.getrandbits(48),
            source_mac=rng.getrandbits(48),
            source_ip=rng.getrandbits(32),
            destination_ip=rng.getrandbits(32),
            source_port=rng.getrandbits(16),
            destination_port=rng.getrandbits(16),
            sequence=rng.getrandbits(32),
            acknowledgment=rng.getrandbits(32),
            flags=TcpFlag(rng.getrandbits(8)),
            window=rng.getrandbits(16),
            ip_id=rng.getrandbits(16),
            payload=rng.randbytes(rng.choice((0, 1, 2, 7, 536, 1460))),
            ttl=rng.getrandbits(8),
            tos=rng.getrandbits(8),
            vlan=VlanTag(rng.randrange(4096)) if n % 3 == 0 else None,
            timestamps=Timestamps(rng.getrandbits(32), rng.getrandbits(32)) if n % 2 else None,
        )
        frame = build_segment(fields, pad=False)
        stamps = fields.timestamps
        numbers = (fields.source_port, fields.destination_port, fields.sequence, fields.acknowledgment)
        assert scapy_fields(frame) == (
            *numbers,
            int(fields.flags),
            fields.window,
            0,
            fields.ip_id,
            fields.ttl,
            fields.tos,
            "DF",
            (stamps.value, stamps.echo_reply) if stamps else None,
            fields.payload,
            fields.vlan.vlan_id if fields.vlan else None,
        )
        packet = Ether(frame)
        del packet[IP].chksum
        del packet[TCP].chksum
        assert bytes(packet) == frame


def test_the_parser_accepts_what_scapy_builds() -> None:
    rng = random.Random(21)
    for _ in range(30):
        payload = rng.randbytes(rng.randrange(0, 50))
        options = [("MSS", 1460), ("NOP", None), ("WScale", 7), ("SAckOK", b""), ("Timestamp", (5, 6))]
        tcp = TCP(sport=1, dport=2, seq=rng.getrandbits(32), flags="S", options=options)
        parsed = parse_frame(bytes(Ether(dst="02:00:00:00:00:01") / IP(dst="10.0.0.9") / tcp / payload))
        assert (parsed.verdict, parsed.payload) == (Verdict.TCP_OK, payload)
        assert parsed.tcp is not None
        found = parsed.tcp.options
        assert (found.mss, found.window_scale, found.sack_permitted) == (1460, 7, True)
        assert found.timestamps == Timestamps(5, 6)
