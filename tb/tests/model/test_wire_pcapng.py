"""Captures: what was written is read back, by our reader and by scapy."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.utils import PcapNgReader

from model.wire.pcapng import CapturedPacket, PcapngError, PcapngWriter, read_pcapng

packets = st.lists(
    st.builds(
        CapturedPacket,
        interface=st.integers(0, 1),
        time_ns=st.integers(0, 2**63 - 1),
        frame=st.binary(max_size=80),
        comment=st.text(max_size=20).filter(lambda text: "\0" not in text),
    ),
    max_size=5,
)


@given(written=packets)
@settings(max_examples=40, deadline=None)
def test_packets_times_and_comments_are_read_back(written: list[CapturedPacket], tmp_path_factory: object) -> None:
    assert isinstance(tmp_path_factory, pytest.TempPathFactory)
    path = tmp_path_factory.mktemp("pcapng") / "a.pcapng"
    with PcapngWriter(path, ("out", "in")) as capture:
        for packet in written:
            capture.write(packet.frame, packet.time_ns, packet.comment, packet.interface)
    assert capture.packets == len(written)
    assert read_pcapng(path) == written


def test_the_file_begins_with_the_hand_typed_section_header(tmp_path: Path) -> None:
    PcapngWriter(tmp_path / "a", application="x").close()
    data = (tmp_path / "a").read_bytes()
    expected = "0A0D0D0A 28000000 4D3C2B1A 0100 0000 FFFFFFFFFFFFFFFF 0400 0100 78000000 0000 0000 28000000"
    assert data[:40] == bytes.fromhex(expected)


def test_scapy_reads_frame_nanoseconds_and_comment(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    with PcapngWriter(path) as capture:
        capture.write(b"\x01" * 61, 5_000_000_123, "conn 3, tick 17")
    with PcapNgReader(str(path)) as reader:
        packet = reader.read_packet()
    assert bytes(packet) == b"\x01" * 61
    assert packet.comments == [b"conn 3, tick 17"]
    assert abs(float(packet.time) - 5.000000123) < 1e-9


def test_an_interface_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with PcapngWriter(tmp_path / "a") as capture, pytest.raises(PcapngError, match="interface 1"):
        capture.write(b"", 0, interface=1)


def test_a_cut_file_is_reported_with_its_byte(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with PcapngWriter(path) as capture:
        capture.write(b"abc", 0)
    data = path.read_bytes()
    for end in (len(data) - 1, len(data) - 20, 50):
        path.write_bytes(data[:end])
        with pytest.raises(PcapngError, match="byte"):
            read_pcapng(path)
