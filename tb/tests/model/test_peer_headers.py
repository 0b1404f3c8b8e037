"""The peers' own frame code against hand-typed bytes, scapy and damage; and that it is their own."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.l2 import ARP, Dot1Q, Ether

from tb.monitors.wire_headers import read_segment
from tb.peers.headers import (
    Arp,
    Damaged,
    Echo,
    Link,
    Options,
    Segment,
    Unknown,
    checksum,
    checksum_ok,
    decode,
    decode_options,
    encode_echo_reply,
    encode_tcp,
    flag_text,
    ip_bytes,
    ip_text,
    mac_bytes,
)
from tb.peers.sequence import first_position, newer, place

TB = Path(__file__).resolve().parents[2]
LINK = Link(mac_bytes("02:00:00:00:00:01"), mac_bytes("02:00:00:00:00:02"))
# The same hand-typed segment as in test_wire_frame: "hello" with timestamps.
HELLO = bytes.fromhex(
    "020000000002 020000000001 0800"
    "45 00 0039 8001 4000 80 06 66BB 0A000001 0A000002"
    "1388 0007 FFFFFFFE 01020304 80 18 2000 E746 0000"
    "01 01 08 0A FFFFFFF0 00000010"
    "68656C6C6F"
)


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or ".")
    return names


@pytest.mark.parametrize("folder", ["peers", "monitors"])
def test_peers_and_monitors_import_nothing_from_the_model_or_from_each_other(folder: str) -> None:
    files = sorted((TB / folder).rglob("*.py"))
    assert files
    own = f"tb.{folder}"
    for path in files:
        project = {name for name in imports_of(path) if name.split(".")[0] in ("model", "tb", "")}
        assert {name for name in project if not (name == own or name.startswith(own + "."))} == set(), path


def test_the_hand_typed_segment_is_read_and_written_back_byte_for_byte() -> None:
    seg = decode(HELLO)
    assert isinstance(seg, Segment)
    assert (seg.sport, seg.dport, seg.seq, seg.ack) == (0x1388, 7, 0xFFFFFFFE, 0x01020304)
    assert (flag_text(seg.flags), seg.window, seg.payload) == ("P.", 0x2000, b"hello")
    assert (seg.ip_id, seg.ip_flags, seg.ttl, seg.tos) == (0x8001, 0x4000, 128, 0)
    assert seg.options.timestamps == (0xFFFFFFF0, 0x10)
    assert (ip_text(seg.source), ip_text(seg.destination)) == ("10.0.0.1", "10.0.0.2")
    assert encode_tcp(seg) == HELLO


@pytest.mark.rule("MUST-2")
def test_the_checksum_is_that_of_published_examples() -> None:
    assert checksum(bytes.fromhex("45000073 00004000 40110000 C0A80001 C0A800C7")) == 0xB861
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D
    assert checksum(b"\x12") == 0xEDFF
    assert checksum(b"\xff\xff") == 0
    assert checksum(b"\0\0") == 0xFFFF


@given(data=st.binary(min_size=1, max_size=400))
@settings(max_examples=100, deadline=None)
@pytest.mark.rule("MUST-2")
def test_data_with_its_checksum_appended_sums_up(data: bytes) -> None:
    even = data + b"\0" * (len(data) % 2)
    assert checksum_ok(even, checksum(data).to_bytes(2, "big"))
    wrong = (checksum(data) ^ 0x0100).to_bytes(2, "big")
    assert not checksum_ok(even, wrong)


def test_scapy_agrees_on_checksums_and_fields_of_what_the_peer_sends() -> None:
    rng = random.Random(1)
    for n in range(40):
        payload = rng.randbytes(rng.choice((0, 1, 5, 100, 1460)))
        seg = Segment(
            Link(LINK.source, LINK.destination, rng.randrange(4096) if n % 2 else None),
            rng.randbytes(4),
            rng.randbytes(4),
            rng.getrandbits(16),
            rng.getrandbits(16),
            rng.getrandbits(32),
            rng.getrandbits(32),
            rng.getrandbits(6),
            rng.getrandbits(16),
            rng.getrandbits(16),
            Options(raw=b"\x01\x01\x08\x0a" + rng.randbytes(8) if n % 3 else b""),
            payload,
            ip_id=rng.getrandbits(16),
        )
        frame = encode_tcp(seg)
        packet = Ether(frame)
        assert (packet[TCP].sport, packet[TCP].dport) == (seg.sport, seg.dport)
        assert (packet[TCP].seq, packet[TCP].ack, int(packet[TCP].flags)) == (seg.seq, seg.ack, seg.flags)
        assert (Dot1Q in packet) == (seg.link.vlan is not None)
        ip_sum, tcp_sum = packet[IP].chksum, packet[TCP].chksum
        del packet[IP].chksum
        del packet[TCP].chksum
        again = Ether(bytes(packet))
        assert (again[IP].chksum, again[TCP].chksum) == (ip_sum, tcp_sum)


@pytest.mark.rule("MUST-3")
def test_a_segment_truncated_at_any_byte_is_damaged() -> None:
    for length in range(len(HELLO)):
        assert isinstance(decode(HELLO[:length]), Damaged), length


@given(bit=st.integers(14 * 8, len(HELLO) * 8 - 1))
@settings(max_examples=200, deadline=None)
@pytest.mark.rule("MUST-3")
def test_a_flipped_bit_makes_a_segment_damaged_for_peer_and_monitor(bit: int) -> None:
    frame = bytearray(HELLO)
    frame[bit // 8] ^= 0x80 >> bit % 8
    assert isinstance(decode(bytes(frame)), Damaged)
    seen = read_segment(bytes(frame))
    assert seen is None or not seen.sums_right


def test_options_of_all_shapes_are_read() -> None:
    stamp = bytes.fromhex("080A0000000100000002")
    for nops in range(31):
        assert decode_options(b"\x01" * nops + stamp).timestamps == (1, 2)
    assert decode_options(bytes.fromhex("020405B4 010303FF")) == Options(
        1460, 14, raw=bytes.fromhex("020405B4010303FF")
    )
    assert decode_options(bytes.fromhex("01010402")).sack_permitted
    two = bytes.fromhex("0101 0512 FFFFFFF0 00000010 00000020 00000030")
    assert decode_options(two + stamp).sack_blocks == ((0xFFFF_FFF0, 0x10), (0x20, 0x30))
    assert decode_options(bytes.fromhex("0101 0506 00000001") + stamp).fault == "option kind 5 length 6"
    assert decode_options(b"\x08\x00" + stamp).fault == "option kind 8 length 0"
    assert decode_options(b"\xfd\x04\0\0" + stamp).timestamps == (1, 2)
    assert decode_options(b"\0\0\0\0").padding_ok
    assert not decode_options(b"\0\0\1\0").padding_ok


def test_arp_ping_and_foreign_kinds_are_told_apart() -> None:
    arp = decode(bytes(Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="10.0.0.2")))
    assert isinstance(arp, Arp)
    assert ip_text(arp.target_ip) == "10.0.0.2"
    request = Ether(src="02:00:00:00:00:01") / IP(src="10.0.0.1", dst="10.0.0.2") / ICMP(id=3, seq=4) / b"ping!"
    echo = decode(bytes(request))
    assert isinstance(echo, Echo)
    reply = Ether(encode_echo_reply(echo, mac_bytes("02:00:00:00:00:02")))
    assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq) == (0, 3, 4)
    assert bytes(reply[ICMP].payload)[:5] == b"ping!"
    sent = reply[ICMP].chksum
    del reply[ICMP].chksum
    assert Ether(bytes(reply))[ICMP].chksum == sent
    assert isinstance(decode(bytes(12) + b"\x88\xcc" + bytes(40)), Unknown)


@given(start=st.integers(0, 2**32 - 1), step=st.integers(-(2**31), 2**31 - 1))
def test_a_number_is_placed_at_the_nearest_position_across_the_wrap(start: int, step: int) -> None:
    near = first_position(start)
    assert place((start + step) % 2**32, near) == near + step


def test_timestamps_compare_across_the_wrap() -> None:
    assert newer(1, 0xFFFFFFFF)
    assert not newer(0xFFFFFFFF, 1)
    assert not newer(5, 5)


def test_addresses_are_written_as_people_write_them() -> None:
    assert ip_bytes("10.0.0.2") == b"\x0a\0\0\2"
    assert mac_bytes("02:00:00:00:00:ff") == b"\2\0\0\0\0\xff"
