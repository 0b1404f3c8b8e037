"""IPv6 connections on the golden device and its follower: frames, look-up, path MTU, images, statistics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.layout.generated import (
    CqKind,
    Csr,
    NeighborImage,
    Opcode,
    PathImage,
    PathRec,
    Phase,
    Sqe,
    Status,
    TcpImage,
)
from model.tcp.objects import address_number
from model.tcp.step import effective_mss
from model.wire.frame import ParsedFrame, SegmentFields, TcpFlag, Verdict, VlanTag, build_segment, parse_frame
from tb.tests.model.device_bench import DATA, IMAGES, NIC_IP, NIC_MAC, PATH, PEER_IP, PEER_MAC, DeviceBench
from tb.tests.model.tcp_bench import image
from tb.tests.model.test_device_objects import CACHED, UPDATE, Followed

NIC_IP6, PEER_IP6 = 0x20010DB8_A1B2C3D4_00000000_00000001, 0x20010DB8_A1B2C3D4_E5F60718_00000002
PATH6 = PathImage(
    family=6,
    neighbor_id=1,
    path_mtu=1500,
    src_addr=int.from_bytes(NIC_IP6.to_bytes(16, "big"), "little"),
    dst_addr=int.from_bytes(PEER_IP6.to_bytes(16, "big"), "little"),
)
PATH_ID = 1
LABEL = 0x54321
UPDATE_RCV_WND = 16
HEADERS = 60
"""IPv6 and TCP header, bytes."""


def followed() -> Followed:
    """A device with an IPv6 path beside the IPv4 one."""
    f = Followed()
    (entry,) = f.bench.with_image(Opcode.PATH_WRITE, PATH6.to_bytes(), conn=PATH_ID)
    assert entry.status == Status.OK
    return f


def connect(bench: DeviceBench, conn: int = 0, **changes: int) -> TcpImage:
    """A connection over the IPv6 path."""
    return bench.connect(conn, 1, True, **({"family": 6, "path_id": PATH_ID, "flow_label": LABEL} | changes))


def segment(
    conn: int = 0, *, seq: int = 5000, ack: int = 1000, data: bytes = b"", flags: int = 0x10, tos: int = 0,
    vlan: VlanTag | None = None,
) -> bytes:  # fmt: skip
    """A frame of the peer."""
    return build_segment(
        SegmentFields(
            destination_mac=NIC_MAC,
            source_mac=PEER_MAC,
            source_ip=PEER_IP6,
            destination_ip=NIC_IP6,
            source_port=5001,
            destination_port=40000 + conn,
            sequence=seq,
            acknowledgment=ack,
            flags=TcpFlag(flags),
            window=30000,
            ip_id=0,
            payload=data,
            tos=tos,
            vlan=vlan,
            family=6,
            flow_label=0x777,
        )
    )


def sent(f: Followed) -> list[ParsedFrame]:
    """The frames that left when all was done, whose checksums are right."""
    f.bench.run()
    frames = [parse_frame(frame) for frame in f.bench.take_sent()]
    assert all(frame.verdict is Verdict.TCP_OK for frame in frames)
    return frames


def statistics(bench: DeviceBench, family: int) -> dict[str, int]:
    """Counters of a version of IP that are not zero."""
    prefix, read = f"ST{family}_", bench.device.mmio_read
    found = {r.name.removeprefix(prefix): read(r) for r in Csr if r.name.startswith(prefix)}
    return {name.removesuffix("_LO"): value for name, value in found.items() if value}


# ---- frames


@pytest.mark.rule("blocks.md segment_builder", "RFC 8200 3")
def test_a_send_goes_out_with_the_addresses_of_its_path_and_the_values_of_its_connection() -> None:
    f = followed()
    connect(f.bench, ttl=77, tos=0x48)
    f.bench.send(b"over IPv6")
    (frame,) = sent(f)
    ip, tcp = frame.ip6, frame.tcp
    assert ip is not None
    assert tcp is not None
    assert (ip.source, ip.destination) == (NIC_IP6, PEER_IP6)
    assert (ip.hop_limit, ip.traffic_class, ip.flow_label, ip.payload_length) == (77, 0x48, LABEL, 29)
    assert (tcp.source_port, tcp.destination_port, frame.payload) == (40000, 5001, b"over IPv6")
    f.agree()


@pytest.mark.rule("CH-072", "tcp_step B-9")
def test_an_update_of_traffic_class_hop_limit_and_flow_label_is_in_the_next_frame() -> None:
    f = followed()
    connect(f.bench)
    image_ = replace(
        CACHED, cached_flags=UPDATE_RCV_WND, initial_rcv_wnd=30000, ttl=9, tos=0xB8, flow_label=0xFEDCB, user_priority=2
    )
    f.bench.with_image(Opcode.UPDATE, image_.to_bytes(), gen=1)
    (frame,) = sent(f)
    assert frame.ip6 is not None
    assert frame.vlan == VlanTag(0, 2)
    assert (frame.ip6.hop_limit, frame.ip6.traffic_class, frame.ip6.flow_label) == (9, 0xB8, 0xFEDCB)
    f.agree()


@pytest.mark.rule("CH-160", "CH-161")
def test_frames_with_the_tag_of_the_neighbor_come_in_and_go_out_tagged() -> None:
    f = followed()
    tagged = NeighborImage(dl_dst=int.from_bytes(PEER_MAC.to_bytes(6, "big"), "little"), vlan_id=0x123)
    f.bench.with_image(Opcode.NEIGHBOR_WRITE, tagged.to_bytes(), conn=1)
    connect(f.bench)
    f.bench.arrive(segment(data=b"another VLAN", vlan=VlanTag(0x124)))
    assert f.bench.device.core.tcbs[0].rcv_nxt == 5000
    f.bench.arrive(segment(data=b"tagged", vlan=VlanTag(0x123)))
    assert f.bench.device.core.tcbs[0].rcv_nxt == 5006
    f.bench.send(b"answer")
    frames = sent(f)
    assert [frame.vlan for frame in frames] == [VlanTag(0x123)] * len(frames)
    assert frames[-1].payload == b"answer"
    f.agree()


@pytest.mark.rule("tcp_step N", "RFC 3168 6.1.3")
def test_a_marked_segment_is_answered_with_ece_by_its_traffic_class() -> None:
    f = followed()
    connect(f.bench, const_flags=0x8)
    f.bench.arrive(segment(data=b"a" * 10, tos=0xB8 | 3))
    f.bench.arrive(segment(seq=5010, data=b"b" * 10, tos=0xB8 | 2))
    frames = sent(f)
    assert frames
    assert all(frame.tcp is not None and TcpFlag.ECE in frame.tcp.flags for frame in frames)
    f.agree()


# ---- look-up


@pytest.mark.rule("hostport 8", "blocks.md rx_parser")
def test_connections_of_the_same_ports_over_both_versions_are_told_apart() -> None:
    f = followed()
    f.bench.connect(0, local_port=40000)
    connect(f.bench, 1, local_port=40000)
    f.bench.arrive(f.bench.segment(data=b"four"))
    f.bench.arrive(segment(data=b"sixty-six"))
    assert [tcb.rcv_nxt for tcb in f.bench.device.core.tcbs[:2]] == [5004, 5009]
    f.bench.send(b"4", conn=0)
    f.bench.send(b"66", conn=1, at=DATA + 64)
    data = [frame for frame in sent(f) if frame.payload]
    assert [(frame.ip is None, frame.ip6 is None, frame.payload) for frame in data] == [
        (False, True, b"4"),
        (True, False, b"66"),
    ]
    f.agree()


@pytest.mark.rule("hostport 8")
def test_the_same_numbers_over_both_versions_are_two_keys_and_twice_over_one_is_a_duplicate() -> None:
    f = followed()
    ends = [int.from_bytes(number.to_bytes(16, "big"), "little") for number in (NIC_IP, PEER_IP)]
    low = replace(PATH6, src_addr=ends[0], dst_addr=ends[1])
    f.bench.with_image(Opcode.PATH_WRITE, low.to_bytes(), conn=2)
    f.bench.connect(0, local_port=40000)
    f.bench.connect(1, local_port=40000, family=6, path_id=2)
    twin = image(local_port=40000, family=6, path_id=2)
    (entry,) = f.bench.with_image(Opcode.INITIATE, twin.to_bytes(), conn=2, gen=1)
    assert entry.status == Status.DUPLICATE_KEY
    f.agree()


@pytest.mark.rule("blocks.md rx_parser", "CH-205")
@pytest.mark.parametrize(("at", "byte"), [(20, 0), (20, 43), (20, 44), (20, 60), (20, 17), (14, 0x45)])
def test_extension_headers_fragments_and_other_versions_go_to_the_host_as_they_came(at: int, byte: int) -> None:
    f = followed()
    connect(f.bench)
    frame = bytearray(segment(data=b"not for the engine"))
    frame[at] = byte
    (entry,) = f.bench.arrive(bytes(frame))
    assert (entry.kind, entry.nbytes) == (CqKind.RAW_RX, len(frame))
    assert f.bench.device.core.tcbs[0].rcv_nxt == 5000
    f.agree()


@pytest.mark.rule("blocks.md rx_parser")
def test_wrong_lengths_and_checksums_are_dropped_and_counted() -> None:
    f = followed()
    connect(f.bench)
    whole = segment(data=b"twelve bytes")
    for length in (0, 19, 33, 0xFFFF):
        assert f.bench.arrive(whole[:18] + length.to_bytes(2, "big") + whole[20:]) == []
    for at in (22, 29, 38, 53, 55, 80):
        assert f.bench.arrive(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]) == []
    read = f.bench.device.mmio_read
    assert (read(Csr.CNT_RX_BAD_LEN), read(Csr.CNT_RX_BAD_SUM)) == (4, 6)
    assert f.bench.device.core.tcbs[0].rcv_nxt == 5000
    f.agree()


# ---- path MTU


@pytest.mark.rule("tcp_step effective mss", "RFC 8200 5")
def test_the_segment_size_is_the_path_mtu_less_sixty_bytes() -> None:
    assert effective_mss(1460, 0, PathRec(family=6, path_mtu=1500)) == 1440
    assert effective_mss(1460, 1, PathRec(family=6, path_mtu=1280)) == 1208
    assert effective_mss(1460, 0, PathRec(family=4, path_mtu=1500)) == 1460
    assert effective_mss(500, 0, PathRec(family=6, path_mtu=1500)) == 500


@pytest.mark.rule("CH-122")
def test_a_path_mtu_that_falls_to_1280_with_data_in_flight_bounds_every_later_frame() -> None:
    f = followed()
    connect(f.bench, remote_mss=1440, snd_wnd=30000, max_snd_wnd=30000, cwnd=30000)
    data = bytes(i % 251 for i in range(6000))
    f.bench.send(data)
    before = sent(f)
    assert [frame.payload_length for frame in before][:4] == [1440] * 4
    status = path_update(f.bench, replace(PATH6, path_mtu=1280))
    assert status == Status.OK
    f.bench.tick(1100)
    again = [frame for frame in sent(f) if frame.payload]
    assert again[0].tcp is not None
    assert again[0].tcp.sequence == 1000
    assert again[0].payload == data[:1220]
    f.bench.arrive(segment(ack=2220))
    rest = sent(f)
    assert rest
    assert max(frame.payload_length for frame in [*again, *rest]) == 1280 - HEADERS
    f.agree()


@pytest.mark.rule("hostport 7")
def test_an_update_of_a_path_keeps_its_version_of_ip_and_the_least_mtu_of_it() -> None:
    f = followed()
    assert path_update(f.bench, replace(PATH6, path_mtu=1279)) == Status.BAD_IMAGE
    assert path_update(f.bench, replace(PATH, path_mtu=1400)) == Status.BAD_IMAGE
    assert path_update(f.bench, PATH6, conn=0) == Status.BAD_IMAGE
    assert path_update(f.bench, replace(PATH, path_mtu=576), conn=0) == Status.OK
    assert f.bench.device.core.paths[PATH_ID].path_mtu == 1500
    connect(f.bench)
    f.agree()


@pytest.mark.rule("hostport 8")
@pytest.mark.parametrize(("family", "path"), [(4, PATH_ID), (6, 0)])
def test_a_connection_over_a_path_of_the_other_version_is_refused(family: int, path: int) -> None:
    f = followed()
    state = image(family=family, path_id=path)
    (entry,) = f.bench.with_image(Opcode.INITIATE, state.to_bytes(), gen=1)
    assert entry.status == Status.BAD_IMAGE
    assert f.bench.device.core.tcbs[0].phase == Phase.FREE
    f.agree()


@pytest.mark.rule("hostport 8")
def test_an_ipv6_address_is_a_number_whose_highest_byte_is_the_first_of_the_field() -> None:
    field = int.from_bytes(bytes(range(16)), "little")
    assert address_number(field, 6) == 0x00010203_04050607_08090A0B_0C0D0E0F
    assert address_number(field, 4) == 0x00010203


def path_update(bench: DeviceBench, path: PathImage, conn: int = PATH_ID) -> int:
    """Status of a PATH_WRITE of a path in use."""
    bench.device.mem.write(IMAGES, path.to_bytes())
    (entry,) = [c for c in bench.do(Sqe(opcode=Opcode.PATH_WRITE, conn=conn, flags=UPDATE, addr=IMAGES)) if c.kind == 1]
    return entry.status


# ---- images and statistics


@pytest.mark.rule("CH-074")
def test_a_query_tells_family_and_flow_label() -> None:
    f = followed()
    connect(f.bench)
    at = 0xF0000
    f.bench.do(Sqe(opcode=Opcode.QUERY, gen=1, addr=at))
    found = TcpImage.from_bytes(f.bench.device.mem.read(at, 256))
    assert (found.family, found.flow_label, found.path_id) == (6, LABEL, PATH_ID)
    f.agree()


@pytest.mark.rule("CH-016", "CH-017", "CH-018", "CH-019")
def test_each_version_counts_its_own_connections_with_its_own_header_lengths() -> None:
    f = followed()
    f.bench.connect(0)
    connect(f.bench, 1)
    f.bench.arrive(f.bench.segment(data=b"four"))
    f.bench.arrive(segment(1, data=b"sixty-six"))
    f.bench.take_sent()
    f.bench.send(b"12345", conn=1)
    f.bench.tick(200)
    four, six = statistics(f.bench, 4), statistics(f.bench, 6)
    assert (four["IN_SEGMENTS"], four["IN_OCTETS"], four["ESTABLISHED"]) == (1, 44, 1)
    assert (six["IN_SEGMENTS"], six["IN_RECEIVES"], six["IN_OCTETS"], six["ESTABLISHED"]) == (1, 1, 69, 1)
    assert six["OUT_OCTETS"] == 5 + HEADERS * six["OUT_REQUESTS"]
    assert six["OUT_SEGMENTS"] == six["OUT_REQUESTS"]
    f.bench.arrive(segment(1, seq=5009, flags=0x14))
    six = statistics(f.bench, 6)
    assert (six["RESET_ESTABLISHED"], "ESTABLISHED" in six) == (1, False)
    assert statistics(f.bench, 4)["ESTABLISHED"] == 1
    f.agree()


@pytest.mark.rule("CH-017", "CH-019")
def test_what_is_sent_again_and_an_rst_count_for_the_version_of_the_connection() -> None:
    f = followed()
    connect(f.bench)
    f.bench.send(b"lost")
    f.bench.tick(1100)
    six = statistics(f.bench, 6)
    assert (six["OUT_SEGMENTS"], six["RETRANSMITTED"]) == (1, 1)
    f.bench.do(Sqe(opcode=Opcode.DISCONNECT, gen=1, flags=2))
    assert statistics(f.bench, 6)["OUT_RESETS"] == 1
    assert statistics(f.bench, 4) == {}
    f.agree()
