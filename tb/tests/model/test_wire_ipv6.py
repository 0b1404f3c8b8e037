"""IPv6 in model/wire: frames against RFC 8200 by hand, against the peer's and the monitors' readers, and faults."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.device.rxparse import parse
from model.layout.generated import RxClass, RxReason
from model.wire.frame import (
    FrameError,
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
from model.wire.impair import FaultKind, ImpairmentRates, Impairments
from tb.monitors.wire_headers import read_segment
from tb.peers.headers import Damaged, Segment, Unknown, decode, encode_tcp

IP_AT, TCP_AT = 14, 54
SOURCE, DESTINATION = 0x20010DB8_00010203_04050607_08090A0B, 0xFE800000_00000000_FFEEDDCC_BBAA9988
FIELDS = SegmentFields(
    destination_mac=0x020000000001,
    source_mac=0x020000000002,
    source_ip=SOURCE,
    destination_ip=DESTINATION,
    source_port=5001,
    destination_port=40000,
    sequence=0xFFFF_FFF0,
    acknowledgment=0x1234_5678,
    flags=TcpFlag.ACK | TcpFlag.PSH,
    window=0x8765,
    ip_id=0xBEEF,
    payload=b"an odd number of bytes.",
    ttl=63,
    tos=0xAB,
    family=6,
    flow_label=0xC0FFE,
)


def checksum(words: bytes) -> int:
    """RFC 1071 by the book."""
    total = sum(struct.unpack(f">{len(words + b'0') // 2}H", words + b"\0" * (len(words) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(total) ^ 0xFFFF


def by_hand(fields: SegmentFields, options: bytes = b"") -> bytes:
    """The frame as RFC 8200 3, 8.1 and RFC 9293 3.1 draw it."""
    ends = fields.source_ip.to_bytes(16, "big") + fields.destination_ip.to_bytes(16, "big")
    length = 20 + len(options) + len(fields.payload)
    tcp = struct.pack(
        ">HHIIBBHHH", fields.source_port, fields.destination_port, fields.sequence, fields.acknowledgment,
        (20 + len(options)) // 4 << 4, fields.flags, fields.window, 0, 0,
    )  # fmt: skip
    segment = tcp + options + bytes(fields.payload)
    found = checksum(ends + struct.pack(">IHBB", length, 0, 0, 6) + segment)
    segment = segment[:16] + found.to_bytes(2, "big") + segment[18:]
    word = 6 << 28 | fields.tos << 20 | fields.flow_label
    header = struct.pack(">IHBB", word, length, 6, fields.ttl) + ends
    macs = fields.destination_mac.to_bytes(6, "big") + fields.source_mac.to_bytes(6, "big")
    tag = b"" if fields.vlan is None else b"\x81\x00" + fields.vlan.tci.to_bytes(2, "big")
    return macs + tag + b"\x86\xdd" + header + segment


FRAME = build_segment(FIELDS)


def patched(at: int, data: bytes, frame: bytes = FRAME) -> bytes:
    """The frame with other bytes in one place."""
    return frame[:at] + data + frame[at + len(data) :]


@pytest.mark.rule("RFC 8200 3", "RFC 8200 8.1")
@pytest.mark.parametrize("vlan", [None, VlanTag(0), VlanTag(0xABC, 5)])
@pytest.mark.parametrize("stamped", [False, True])
@pytest.mark.parametrize("size", [0, 1, 2, 1440])
def test_a_frame_is_the_one_that_the_rfcs_draw(vlan: VlanTag | None, stamped: bool, size: int) -> None:
    fields = replace(FIELDS, vlan=vlan, payload=random.Random(size).randbytes(size))
    options = b""
    if stamped:
        fields = replace(fields, timestamps=Timestamps(0x01020304, 0xFFFFFFFE))
        options = b"\x01\x01\x08\x0a" + struct.pack(">II", 0x01020304, 0xFFFFFFFE)
    assert build_segment(fields) == by_hand(fields, options)


def test_the_longest_header_has_118_bytes() -> None:
    """An 802.1Q tag, and timestamps with three SACK blocks (blocks.md, header_build)."""
    options = TcpOptions(timestamps=Timestamps(1, 2), sack_blocks=((1, 2), (3, 4), (5, 6)))
    frame = build_segment(replace(FIELDS, vlan=VlanTag(1), options=options, payload=b""))
    assert len(frame) == 118
    assert parse_frame(frame).verdict is Verdict.TCP_OK


def test_another_version_of_ip_is_refused() -> None:
    with pytest.raises(FrameError, match="family is 5"):
        build_segment(replace(FIELDS, family=5))


def test_the_parser_reads_what_the_builder_wrote() -> None:
    parsed = parse_frame(FRAME)
    assert (parsed.verdict, parsed.ip, parsed.payload) == (Verdict.TCP_OK, None, FIELDS.payload)
    ip = parsed.ip6
    assert ip is not None
    assert (ip.source, ip.destination, ip.traffic_class, ip.flow_label, ip.hop_limit) == (
        SOURCE, DESTINATION, 0xAB, 0xC0FFE, 63,
    )  # fmt: skip
    assert (ip.payload_length, parsed.ip_header) == (43, ip)


@pytest.mark.rule("blocks.md rx_parser")
@pytest.mark.parametrize(
    ("frame", "reason", "class_", "device"),
    [
        (FRAME[:53], Reason.IP6_SHORT, RxClass.DROP, RxReason.BAD_LENGTH),
        (patched(IP_AT, b"\x4a"), Reason.IP6_VERSION, RxClass.RAW, RxReason.NOT_TCP),
        (patched(IP_AT + 6, b"\x00"), Reason.NEXT_HEADER, RxClass.RAW, RxReason.NOT_TCP),
        (patched(IP_AT + 6, b"\x2c"), Reason.NEXT_HEADER, RxClass.RAW, RxReason.NOT_TCP),
        (patched(IP_AT + 6, b"\x11"), Reason.NEXT_HEADER, RxClass.RAW, RxReason.NOT_TCP),
        (patched(IP_AT + 6, b"\x00", FRAME[:53]), Reason.IP6_SHORT, RxClass.DROP, RxReason.BAD_LENGTH),
        (patched(IP_AT + 4, b"\x00\x00"), Reason.PAYLOAD_LENGTH_SHORT, RxClass.DROP, RxReason.BAD_LENGTH),
        (patched(IP_AT + 4, b"\x00\x13"), Reason.PAYLOAD_LENGTH_SHORT, RxClass.DROP, RxReason.BAD_LENGTH),
        (patched(IP_AT + 4, b"\x00\x2c"), Reason.PAYLOAD_LENGTH_LONG, RxClass.DROP, RxReason.BAD_LENGTH),
        (patched(IP_AT + 4, b"\xff\xff"), Reason.PAYLOAD_LENGTH_LONG, RxClass.DROP, RxReason.BAD_LENGTH),
        (FRAME[:-1], Reason.PAYLOAD_LENGTH_LONG, RxClass.DROP, RxReason.BAD_LENGTH),
        (patched(TCP_AT + 12, b"\x40"), Reason.DATA_OFFSET, RxClass.DROP, RxReason.BAD_LENGTH),
        (patched(TCP_AT + 12, b"\xb0"), Reason.DATA_OFFSET, RxClass.DROP, RxReason.BAD_LENGTH),
        (patched(TCP_AT + 16, b"\x00\x00"), Reason.TCP_CHECKSUM, RxClass.DROP, RxReason.BAD_TCP_CHECKSUM),
        (patched(IP_AT + 8, b"\x21"), Reason.TCP_CHECKSUM, RxClass.DROP, RxReason.BAD_TCP_CHECKSUM),
        (patched(IP_AT + 4, b"\x00\x2a"), Reason.TCP_CHECKSUM, RxClass.DROP, RxReason.BAD_TCP_CHECKSUM),
    ],
)  # fmt: skip
def test_each_fault_of_an_ipv6_frame_has_its_verdict(
    frame: bytes, reason: Reason, class_: RxClass, device: RxReason
) -> None:
    assert parse_frame(frame).reason is reason
    found = parse(frame)
    assert (found.class_, found.reason) == (class_, device)
    tagged = parse(frame[:12] + b"\x81\x00\x00\x07" + frame[12:])
    assert (tagged.class_, tagged.reason) == (class_, device)


def test_every_wrong_bit_that_a_checksum_covers_is_found_by_every_reader() -> None:
    """Addresses, payload length, TCP header and payload; other bits of the header are believed (RFC 8200 8.1)."""
    covered = [*range(IP_AT + 4, IP_AT + 6), *range(IP_AT + 8, len(FRAME))]
    for at in covered:
        for bit in range(8):
            damaged = patched(at, bytes([FRAME[at] ^ 1 << bit]))
            assert parse_frame(damaged).verdict in (Verdict.BAD_CHECKSUM, Verdict.BAD_LENGTH)
            assert parse(damaged).class_ is RxClass.DROP
            assert isinstance(decode(damaged), Damaged)
            seen = read_segment(damaged)
            assert seen is not None
            assert not seen.sums_right


def test_the_device_keys_a_segment_by_its_version_of_ip_and_reads_ecn_and_tag() -> None:
    tagged = build_segment(replace(FIELDS, vlan=VlanTag(0x123, 3), timestamps=Timestamps(7, 8)))
    segment = parse(tagged).segment
    assert segment is not None
    assert segment.key == (True, DESTINATION, SOURCE, 40000, 5001)
    assert (segment.ip_ecn, segment.tagged, segment.vlan_id, segment.tsval) == (3, 1, 0x123, 7)
    assert tagged[segment.pay_off : segment.pay_off + segment.pay_len] == FIELDS.payload
    low = parse(build_segment(replace(FIELDS, source_ip=0x0A000002, destination_ip=0x0A000001))).segment
    plain = parse(build_segment(replace(FIELDS, source_ip=0x0A000002, destination_ip=0x0A000001, family=4))).segment
    assert low is not None
    assert plain is not None
    assert (low.key[0], plain.key[0]) == (True, False)
    assert low.key[1:] == plain.key[1:]


@given(
    st.integers(0, (1 << 128) - 1), st.integers(0, (1 << 128) - 1), st.integers(0, 255), st.integers(0, 0xFFFFF),
    st.binary(max_size=300), st.sampled_from([None, VlanTag(9, 1)]), st.booleans(),
)  # fmt: skip
def test_builder_peer_and_monitor_agree_on_every_frame(
    source: int, destination: int, tos: int, label: int, payload: bytes, vlan: VlanTag | None, stamped: bool
) -> None:
    fields = replace(
        FIELDS, source_ip=source, destination_ip=destination, tos=tos, flow_label=label, payload=payload, vlan=vlan,
        timestamps=Timestamps(5, 6) if stamped else None,
    )  # fmt: skip
    frame = build_segment(fields)
    seen = read_segment(frame)
    assert seen is not None
    assert (seen.sums_right, seen.faults, seen.ipv6) == (True, (), True)
    assert (seen.source, seen.destination) == ((source, 5001), (destination, 40000))
    assert (seen.tos, seen.flow_label, seen.ttl, seen.ip_bytes) == (tos, label, 63, len(frame) - (18 if vlan else 14))
    assert frame[seen.payload_at :] == payload
    heard = decode(frame)
    assert isinstance(heard, Segment)
    assert (heard.source, heard.destination) == (source.to_bytes(16, "big"), destination.to_bytes(16, "big"))
    assert (heard.tos, heard.flow_label, heard.ttl, heard.payload) == (tos, label, 63, payload)
    assert encode_tcp(heard) == frame


@given(
    st.lists(st.tuples(st.integers(12, len(FRAME) - 1), st.integers(0, 255)), max_size=3), st.integers(0, len(FRAME))
)
def test_both_parsers_of_the_model_agree_on_every_damaged_frame(changes: list[tuple[int, int]], cut: int) -> None:
    damaged = bytearray(FRAME)
    for at, value in changes:
        damaged[at] = value
    frame = bytes(damaged[:cut])
    found, verdict = parse(frame), parse_frame(frame).verdict
    wanted = {
        Verdict.TCP_OK: {(RxClass.SEGMENT, RxReason.NONE)},
        Verdict.RAW: {(RxClass.RAW, RxReason.NOT_TCP)},
        Verdict.BAD_LENGTH: {(RxClass.DROP, RxReason.BAD_LENGTH)},
        Verdict.BAD_CHECKSUM: {
            (RxClass.DROP, RxReason.BAD_TCP_CHECKSUM),
            (RxClass.DROP, RxReason.BAD_IP_CHECKSUM),
        },
    }
    assert (found.class_, found.reason) in wanted[verdict]


@pytest.mark.rule("RFC 8200 4")
def test_what_is_no_plain_tcp_is_unknown_to_the_peer_and_nothing_to_the_monitor() -> None:
    for header in (0, 43, 44, 60, 17, 58):
        frame = patched(IP_AT + 6, bytes([header]))
        assert isinstance(decode(frame), Unknown)
        assert read_segment(frame) is None


def test_a_bad_network_damages_only_what_a_checksum_covers_and_marks_the_traffic_class() -> None:
    wire = Impairments(ImpairmentRates(corrupt=1.0), 3)
    untouched = {IP_AT, IP_AT + 1, IP_AT + 2, IP_AT + 3, IP_AT + 7}
    hit: set[int] = set()
    for tick in range(2000):
        wire.push(FRAME, tick)
        (damaged,) = wire.pop_due(tick)
        places = {at for at, (a, b) in enumerate(zip(FRAME, damaged, strict=True)) if a != b}
        assert len(places) == 1
        hit |= places
    assert hit == set(range(IP_AT, len(FRAME))) - untouched
    assert wire.pushed_ports[0] == 5001 << 16 | 40000
    ect = build_segment(replace(FIELDS, tos=0xAA))
    marking = Impairments(ImpairmentRates(mark=1.0), 3)
    marking.push(ect, 0)
    assert marking.pop_due(0) == [build_segment(replace(FIELDS, tos=0xAB))]
    assert [fault.kind for fault in marking.faults] == [FaultKind.MARKED]
