"""One byte image of each kind, typed by hand, against the Python codecs and against the RTL's macros.

The bytes come from docs/contract/hostport.md and the tables of docs/layout.md; names, widths, units and codings from
section 3 of the NDIS material (TCP, path and neighbor state, global parameters). All values differ, so two exchanged
fields show. A layout error that model and RTL share, because both are generated, shows here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from keyword import iskeyword
from pathlib import Path

import pytest

from model.device.golden import GoldenDevice
from model.layout import generated
from model.layout.generated import Csr, Opcode, Status, TcpState
from model.wire.frame import SegmentFields, TcpFlag, Timestamps, VlanTag, build_segment, parse_frame
from tb.monitors.wire_headers import read_segment
from tb.tests.model.layout_vectors import FLAGS, VECTORS, Image

ROOT = Path(__file__).resolve().parents[3]
MACROS = ROOT / "hdl" / "include" / "chimney_layout.vh"


#: The registers as they lie: four of 32 bits a row.
REGISTERS = {
    0x000: "ID VERSION CAPS CAPS2",
    0x010: "CONTROL STATUS ERROR TICK",
    0x020: "TICK_PRESCALE IRQ_CAUSE MAC_LO MAC_HI",
    0x030: "SQ_BASE_LO SQ_BASE_HI SQ_SIZE_LOG2 SQ_TAIL",
    0x040: "SQ_HEAD - - -",
    0x050: "CQ_BASE_LO CQ_BASE_HI CQ_SIZE_LOG2 CQ_HEAD",
    0x060: "CQ_TAIL - - -",
    0x070: "POOL_BASE_LO POOL_BASE_HI RAW_BASE_LO RAW_BASE_HI",
    0x100: "CNT_RX_FRAMES CNT_RX_RAW CNT_RX_BAD_SUM CNT_RX_BAD_LEN",
    0x110: "CNT_RX_NO_SPACE CNT_RX_SEGMENTS CNT_RX_RAW_NO_BUF -",
    0x120: "CNT_TX_SEGMENTS CNT_TX_RAW CNT_TX_DISCARDED -",
    0x130: "CNT_CMD_ERRORS CNT_FAULTS - -",
    0x140: "ST4_IN_SEGMENTS_LO ST4_IN_SEGMENTS_HI ST4_IN_RECEIVES_LO ST4_IN_RECEIVES_HI",
    0x150: "ST4_IN_OCTETS_LO ST4_IN_OCTETS_HI ST4_OUT_SEGMENTS_LO ST4_OUT_SEGMENTS_HI",
    0x160: "ST4_OUT_REQUESTS_LO ST4_OUT_REQUESTS_HI ST4_OUT_OCTETS_LO ST4_OUT_OCTETS_HI",
    0x170: "ST4_RETRANSMITTED ST4_OUT_RESETS ST4_RESET_ESTABLISHED ST4_ESTABLISHED",
    0x180: "ST4_OUT_DISCARDS - - -",
    0x1A0: "ST6_IN_SEGMENTS_LO ST6_IN_SEGMENTS_HI ST6_IN_RECEIVES_LO ST6_IN_RECEIVES_HI",
    0x1B0: "ST6_IN_OCTETS_LO ST6_IN_OCTETS_HI ST6_OUT_SEGMENTS_LO ST6_OUT_SEGMENTS_HI",
    0x1C0: "ST6_OUT_REQUESTS_LO ST6_OUT_REQUESTS_HI ST6_OUT_OCTETS_LO ST6_OUT_OCTETS_HI",
    0x1D0: "ST6_RETRANSMITTED ST6_OUT_RESETS ST6_RESET_ESTABLISHED ST6_ESTABLISHED",
    0x1E0: "ST6_OUT_DISCARDS - - -",
}
MAP = {
    name: row + 4 * column
    for row, names in REGISTERS.items()
    for column, name in enumerate(names.split())
    if name != "-"
}

#: (struct) -> image. One row of hex is 16 bytes unless it says otherwise.
IMAGES: dict[str, Image] = {
    "sqe": Image(
        "03 41 3412 56 78 9A0B  11 22 33 44 55 66 77 88"  # opcode, flags, conn, gen, -, count | cookie
        "A1 A2 A3 A4 A5 A6 A7 A8  E1 E2 E3 04  D1 D2 D3 D4"  # addr | length | arg
        "B1 B2 B3 B4 B5 B6 B7 B8  C1 C2 C3 C4 C5 C6 C7 C8"  # addr2 | reserved
        "F1 F2 F3 F4 F5 F6 F7 F8  91 92 93 94 95 96 97 98",  # reserved
        {
            "opcode": Opcode.SEND,
            "flags": 0x41,
            "conn": 0x1234,
            "gen": 0x56,
            "rsvd0": 0x78,
            "count": 0x0B9A,
            "cookie": 0x8877_6655_4433_2211,
            "addr": 0xA8A7_A6A5_A4A3_A2A1,
            "length": 0x04E3_E2E1,
            "arg": 0xD4D3_D2D1,
            "addr2": 0xB8B7_B6B5_B4B3_B2B1,
            "rsvd1": 0xC8C7_C6C5_C4C3_C2C1,
            "rsvd2": 0xF8F7_F6F5_F4F3_F2F1,
            "rsvd3": 0x9897_9695_9493_9291,
        },
    ),
    "post_list": Image(
        "0100 0302 0504 0706 0908 0B0A 0D0C 0F0E 1110 1312 1514 1716 1918 1B1A 1D1C 1F1E",
        {f"idx{n}": (2 * n) << 8 | (2 * n + 1) for n in range(16)},
    ),
    "sg_elem": Image(
        "01 02 03 04 05 06 07 08  B4 05 00 00  0D 0E 0F 10",
        {"addr": 0x0807_0605_0403_0201, "length": 1460, "rsvd": 0x100F_0E0D},
    ),
    "cqe": Image(
        "04 0D CDAB 7E 05 2301  88 99 AA BB CC DD EE FF"  # kind, status, conn, gen, code, offset | cookie
        "10 20 30 40  50 60 70 80  5634 BC9A D1 D2 D3 01",  # nbytes | info | buf, sq_index, -, phase
        {
            "kind": 4,  # INDICATION
            "status": Status.ABORTED,
            "conn": 0xABCD,
            "gen": 0x7E,
            "code": 5,
            "offset": 0x0123,
            "cookie": 0xFFEE_DDCC_BBAA_9988,
            "nbytes": 0x4030_2010,
            "info": 0x8070_6050,
            "buf": 0x3456,
            "sq_index": 0x9ABC,
            "rsvd": 0xD3D2D1,
            "phase": 1,
        },
    ),
    "left_over": Image("7C01 2A00 B405 0F0E", {"buf": 0x017C, "offset": 42, "length": 1460, "rsvd": 0x0E0F}),
    "tcp_image": Image(
        # const, bytes 0..63: Flags = timestamps + window scaling, ports 5001 and 40000, scales 7 and 3, MSS 1460
        "04 00 0500 8913 409C 07 03 B405  D4 C3 B2 A1"
        "0C0D 0000 7B1C 9D2E  00000000 00000000"  # path number, the two counts of a QUERY
        "00000000 00000000  00000000 00000000"
        "00000000 00000000  00000000 00000000"
        # cached, bytes 64..127
        "1300 0000 78563412  EFCDAB09 09 000000"  # Flags, InitialRcvWnd, RcvIndicationSize, KaProbeCount
        "00DD6D00 E8030000  FFFFFFFF CDAB0F00"  # KaTimeout, KaInterval, MaxRT, FlowLabel (20 bits)
        "7F B8 06 00 00000000  00000000 00000000"  # TTL, TOS, UserPriority
        "00000000 00000000  00000000 00000000"
        # delegated, bytes 128..255: State = Closing
        "08000000 A55A 0000  00010203 04050607"  # State, Flags, RcvNxt, RcvWnd
        "10111213 14151617  18191A1B 1C1D1E1F"  # SndUna, SndNxt, SndMax, SndWnd
        "20212223 24252627  28292A2B 2C2D2E2F"  # MaxSndWnd, SndWL1, CWnd, SsThresh
        "3031 3233 34353637  38393A3B 3C3D3E3F"  # SRtt, RttVar, TsRecent, TsRecentAge, TsTime
        "40414243 44 45 46 47  48494A4B 4C4D4E4F"  # TotalRT, four counts, KeepAlive and Retransmit.TimeoutDelta
        "50515253 54555657  58595A5B 00000000"  # SendBacklogSize, ReceiveBacklogSize, DWnd
        "00000000 00000000  00000000 00000000"
        "00000000 00000000  00000000 00000000",
        {
            "family": 4,
            "const_flags": 0x05,
            "remote_port": 5001,
            "local_port": 40000,
            "snd_wind_scale": 7,
            "rcv_wind_scale": 3,
            "remote_mss": 1460,
            "hash_value": 0xA1B2_C3D4,
            "path_id": 0x0D0C,
            "cached_flags": 0x13,
            "initial_rcv_wnd": 0x1234_5678,
            "rcv_indication_size": 0x09AB_CDEF,
            "ka_probe_count": 9,
            "ka_timeout": 7_200_000,
            "ka_interval": 1000,
            "max_rt": 0xFFFF_FFFF,
            "flow_label": 0xFABCD,
            "ttl": 127,
            "tos": 0xB8,
            "user_priority": 6,
            "old_segs": 0x1C7B,
            "ooo_segs": 0x2E9D,
            "state": TcpState.CLOSING,
            "dlg_flags": 0x5AA5,
            "rcv_nxt": 0x0302_0100,
            "rcv_wnd": 0x0706_0504,
            "snd_una": 0x1312_1110,
            "snd_nxt": 0x1716_1514,
            "snd_max": 0x1B1A_1918,
            "snd_wnd": 0x1F1E_1D1C,
            "max_snd_wnd": 0x2322_2120,
            "snd_wl1": 0x2726_2524,
            "cwnd": 0x2B2A_2928,
            "ssthresh": 0x2F2E_2D2C,
            "srtt": 0x3130,
            "rttvar": 0x3332,
            "ts_recent": 0x3736_3534,
            "ts_recent_age": 0x3B3A_3938,
            "ts_time": 0x3F3E_3D3C,
            "total_rt": 0x4342_4140,
            "dup_ack_count": 0x44,
            "snd_wnd_probe_count": 0x45,
            "ka_probes_sent": 0x46,
            "rtx_count": 0x47,
            "ka_timeout_delta": 0x4B4A_4948,
            "rtx_timeout_delta": 0x4F4E_4D4C,
            "send_backlog_size": 0x5352_5150,
            "receive_backlog_size": 0x5756_5554,
            "dwnd": 0x5B5A_5958,
        },
    ),
    "cached_image": Image(
        "1F00 0000 21436587  A9CBED0F 0B 000000"  # Flags, InitialRcvWnd, RcvIndicationSize, KaProbeCount
        "404B4C00 D0070000  F0490200 A9CB0D00"  # KaTimeout, KaInterval, MaxRT, FlowLabel
        "3F 2E 05 00 00000000  00000000 00000000"  # TTL, TOS, UserPriority
        "00000000 00000000  00000000 00000000",
        {
            "cached_flags": 0x1F,
            "initial_rcv_wnd": 0x8765_4321,
            "rcv_indication_size": 0x0FED_CBA9,
            "ka_probe_count": 11,
            "ka_timeout": 5_000_000,
            "ka_interval": 2000,
            "max_rt": 150_000,
            "flow_label": 0xDCBA9,
            "ttl": 63,
            "tos": 0x2E,
            "user_priority": 5,
        },
    ),
    "delegated_image": Image(
        "0A000000 3CC3 0000  F0F1F2F3 E0E1E2E3"  # State = TimeWait, Flags, RcvNxt, RcvWnd
        "D0D1D2D3 C0C1C2C3  B0B1B2B3 A0A1A2A3"  # SndUna, SndNxt, SndMax, SndWnd
        "90919293 80818283  70717273 60616263"  # MaxSndWnd, SndWL1, CWnd, SsThresh
        "5051 5253 40414243  30313233 20212223"  # SRtt, RttVar, TsRecent, TsRecentAge, TsTime
        "10111213 04 05 06 07  FFFFFFFF 00000000"  # TotalRT, counts, keepalive off, retransmit expires at once
        "84858687 94959697  A4A5A6A7 00000000"  # SendBacklogSize, ReceiveBacklogSize, DWnd
        "00000000 00000000  00000000 00000000"
        "00000000 00000000  00000000 00000000",
        {
            "state": TcpState.TIME_WAIT,
            "dlg_flags": 0xC33C,
            "rcv_nxt": 0xF3F2_F1F0,
            "rcv_wnd": 0xE3E2_E1E0,
            "snd_una": 0xD3D2_D1D0,
            "snd_nxt": 0xC3C2_C1C0,
            "snd_max": 0xB3B2_B1B0,
            "snd_wnd": 0xA3A2_A1A0,
            "max_snd_wnd": 0x9392_9190,
            "snd_wl1": 0x8382_8180,
            "cwnd": 0x7372_7170,
            "ssthresh": 0x6362_6160,
            "srtt": 0x5150,
            "rttvar": 0x5352,
            "ts_recent": 0x4342_4140,
            "ts_recent_age": 0x3332_3130,
            "ts_time": 0x2322_2120,
            "total_rt": 0x1312_1110,
            "dup_ack_count": 4,
            "snd_wnd_probe_count": 5,
            "ka_probes_sent": 6,
            "rtx_count": 7,
            "ka_timeout_delta": 0xFFFF_FFFF,
            "rtx_timeout_delta": 0,
            "send_backlog_size": 0x8786_8584,
            "receive_backlog_size": 0x9796_9594,
            "dwnd": 0xA7A6_A5A4,
        },
    ),
    "path_image": Image(
        "04 00 0302 DC050000  00000000 00000000"  # family, neighbor 0x0203, PathMtu 1500
        "0A 00 00 01 00000000 00000000 00000000"  # 10.0.0.1, network byte order
        "C0 A8 FE 63 00000000 00000000 00000000"  # 192.168.254.99
        "00000000 00000000 00000000 00000000",
        {
            "family": 4,
            "neighbor_id": 0x0203,
            "path_mtu": 1500,
            "src_addr": 0x0100_000A,
            "dst_addr": 0x63FE_A8C0,
        },
    ),
    "neighbor_image": Image(
        "02 00 00 AB CD EF 0000 00000000 00000000"  # DlSourceAddress
        "00000000 00000000 00000000 00000000"
        "BC0A 0000 00000000 00000000 00000000"  # VlanId
        "00000000 00000000 00000000 00000000"
        "06 11 22 33 44 55 0000 00000000 00000000"  # DlDestinationAddress
        "00000000 00000000 00000000 00000000"
        "10270000 204E0000 00000000 00000000"  # HostReachabilityDelta, NicReachabilityDelta
        "00000000 00000000 00000000 00000000",
        {
            "dl_src": 0xEFCD_AB00_0002,
            "vlan_id": 0x0ABC,
            "dl_dst": 0x5544_3322_1106,
            "host_reachability_delta": 10_000,
            "nic_reachability_delta": 20_000,
        },
    ),
    "param_image": Image(
        "E8030000 02 64 05 03  C8000000 04000000"  # TicksPerSecond, four bytes, SWS ticks, duplicate ACK threshold
        "F4010000 30750000  2C010000 60EA0000"  # PushTicks, NceStaleTicks, rto_min, rto_max
        "D0070000 00000000  00000000 00000000"  # rto_initial
        "00000000 00000000  00000000 00000000",
        {
            "ticks_per_second": 1000,
            "ack_frequency": 2,
            "delayed_ack_ticks": 100,
            "max_retransmissions": 5,
            "doubt_retransmissions": 3,
            "sws_ticks": 200,
            "dup_ack_threshold": 4,
            "push_ticks": 500,
            "nce_stale_ticks": 30_000,
            "rto_min": 300,
            "rto_max": 60_000,
            "rto_initial": 2000,
        },
    ),
    # The key of the look-up table, from bit 0 up: IPv4 as a number, local 10.0.0.1:40000, remote 10.0.0.2:5001.
    "lkp_key": Image(
        "00  0100000A 00000000 00000000 00000000  0200000A 00000000 00000000 00000000  409C  8913",
        {
            "is_ipv6": 0,
            "rsvd": 0,
            "local_ip": 0x0A00_0001,
            "remote_ip": 0x0A00_0002,
            "local_port": 40000,
            "remote_port": 5001,
        },
    ),
}

#: A tagged segment with timestamps. IP words 45B8 0039 8007 4000 7F06 0A00 0001 0A00 0002 sum to 1_9901, folded 9902,
#: complement 66FD; the TCP words with the pseudo-header fold to B4F3, complement 4B0C.
FRAME = (
    "061122334455 020000ABCDEF 8100 CABC 0800"  # MACs, tag: priority 6, VLAN 0xABC
    "45 B8 0039 8007 4000 7F 06 66FD 0A000001 0A000002"
    "9C40 1389 FFFFFFFE 01020304 80 18 2000 4B0C 0000"
    "01 01 08 0A FFFFFFF0 00000010"
    "68656C6C6F"
)


IMAGES |= VECTORS


def struct(name: str) -> str:
    """The layout that an image is of."""
    return IMAGES[name].struct or name


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in struct(name).split("_"))


def typed(name: str) -> dict[str, int]:
    """The fields of an image under the names that the codec gives them."""
    return {field + "_" * iskeyword(field): value for field, value in IMAGES[name].fields.items()}


def macros() -> dict[str, str]:
    """The RTL's macros, read independently of the generator that wrote them."""
    return dict(re.findall(r"^`define (\w+) (\S+)", MACROS.read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", IMAGES)
def test_the_codec_writes_the_image_typed_by_hand(name: str) -> None:
    image = IMAGES[name]
    codec = getattr(generated, camel(name))
    value = codec(**typed(name))
    assert value.pack().to_bytes(len(image.data), "little") == image.data
    if hasattr(value, "to_bytes"):
        assert value.to_bytes() == image.data


@pytest.mark.parametrize("name", IMAGES)
def test_the_codec_reads_the_image_typed_by_hand(name: str) -> None:
    image = IMAGES[name]
    codec = getattr(generated, camel(name))
    found = codec.unpack(int.from_bytes(image.data, "little"))
    assert {field: getattr(found, field) for field in codec.FIELDS} == typed(name)


@pytest.mark.parametrize("name", IMAGES)
def test_the_macros_of_the_rtl_cut_the_image_where_the_hand_put_the_fields(name: str) -> None:
    image, defined, prefix = IMAGES[name], macros(), struct(name).upper()
    value = int.from_bytes(image.data, "little")
    assert int(defined[f"{prefix}_W"]) == image.bits
    for field, expected in image.fields.items():
        high, low = map(int, defined[f"{prefix}_{field.upper()}"].split(":"))
        assert (value >> low) & ((1 << high - low + 1) - 1) == expected, field
        assert int(defined[f"{prefix}_{field.upper()}_LSB"]) == low
        assert int(defined[f"{prefix}_{field.upper()}_W"]) == high - low + 1


@pytest.mark.parametrize("name", IMAGES)
def test_the_hand_has_typed_every_field_and_all_values_differ(name: str) -> None:
    image, defined = IMAGES[name], macros()
    assert set(typed(name)) == set(getattr(generated, camel(name)).FIELDS)
    values = [
        (value, width if name in VECTORS else 0)
        for field, value in image.fields.items()
        if value and (width := int(defined[f"{struct(name).upper()}_{field.upper()}_W"])) > 1
    ]
    assert len(values) == len(set(values))


def test_every_layout_has_an_image() -> None:
    codecs = {name for name, kind in vars(generated).items() if hasattr(kind, "FIELDS")}
    assert {camel(name) for name in IMAGES} == codecs


@pytest.mark.parametrize(("name", "field", "bit"), FLAGS)
def test_each_flag_alone_is_its_bit_for_codec_and_macro(name: str, field: str, bit: int) -> None:
    codec = getattr(generated, camel(name))
    assert codec(**{field: 1}).pack() == 1 << bit
    assert codec.unpack(1 << bit) == codec(**{field: 1})
    assert macros()[f"{name.upper()}_{field.upper()}"] == f"{bit}:{bit}"


def test_every_sized_macro_holds_its_value() -> None:
    """A value wider than its literal would be cut to another one without a word."""
    sized = {name: m.groups() for name, text in macros().items() if (m := re.fullmatch(r"(\d+)'d(\d+)", text))}
    assert len(sized) > 100
    assert [name for name, (width, value) in sized.items() if int(value) >> int(width)] == []


def test_the_registers_lie_where_the_map_shows_them_for_model_and_rtl() -> None:
    assert {register.name: int(register) for register in Csr} == MAP
    offsets = {
        name.removeprefix("CSR_"): int(value.removeprefix("16'h"), 16)
        for name, value in macros().items()
        if name.startswith("CSR_") and value.startswith("16'h")
    }
    assert offsets == MAP


def test_registers_answer_at_the_offsets_a_driver_writer_would_type() -> None:
    device = GoldenDevice(conns=8, memory_bytes=4096)
    assert device.mmio_read(0x00) == int.from_bytes(b"CHIM", "big")
    assert device.mmio_read(0x04) == 0x0001_0000
    assert device.mmio_read(0x08) & 0xFFFF == 6 << 8 | 3  # 64-byte bus words, 8 connections
    device.mmio_write(0x28, 0x4433_2211)
    device.mmio_write(0x2C, 0x6655)
    assert device.core.regs.mac == 0x6655_4433_2211
    device.mmio_write(0x30, 0x8765_4300)
    device.mmio_write(0x34, 0x12)
    assert device.core.regs.wide(Csr.SQ_BASE_LO) == 0x12_8765_4300
    device.mmio_write(0x58, 5)
    assert device.mmio_read(0x58) == 5
    device.mmio_write(0x3C, 1 << 12)  # past the submission ring: ERROR[2]
    assert device.mmio_read(0x18) == 4


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no-icarus: Icarus Verilog is not installed")
def test_verilog_reads_the_same_values_through_the_macros(tmp_path: Path) -> None:
    lines = ['`include "chimney_layout.vh"', "module images;"]
    expected = []
    for name, image in IMAGES.items():
        width = image.bits
        lines.append(f"wire [{width - 1}:0] {name} = {width}'h{int.from_bytes(image.data, 'little'):x};")
        expected += [f"{name}.{field}={value:x}" for field, value in image.fields.items()]
    lines.append("initial begin #1;")
    lines += [
        f'$display("{name}.{field}=%0h", {name}[`{struct(name).upper()}_{field.upper()}]);'
        for name, image in IMAGES.items()
        for field in image.fields
    ]
    lines += ["end", "endmodule"]
    source, program = tmp_path / "images.v", tmp_path / "images.vvp"
    source.write_text("\n".join(lines))
    subprocess.run(
        ["iverilog", "-g2005", "-I", str(MACROS.parent), "-o", str(program), str(source)], check=True, timeout=60
    )
    done = subprocess.run(["vvp", "-n", str(program)], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == expected


def test_the_whole_tcp_image_is_const_cached_and_delegated_state_at_their_offsets() -> None:
    whole, part = generated.TcpImage.FIELDS, generated.DelegatedImage.FIELDS
    assert {name: (low - 8 * 128, width) for name, (low, width) in whole.items() if low >= 8 * 128} == part
    cached = generated.CachedImage.FIELDS
    assert {name: (low - 8 * 64, width) for name, (low, width) in whole.items() if 512 <= low < 1024} == cached


def test_a_frame_typed_by_hand_is_built_and_read_alike_by_model_and_monitor() -> None:
    frame = bytes.fromhex(FRAME)
    fields = SegmentFields(
        destination_mac=0x0611_2233_4455,
        source_mac=0x0200_00AB_CDEF,
        source_ip=0x0A00_0001,
        destination_ip=0x0A00_0002,
        source_port=40000,
        destination_port=5001,
        sequence=0xFFFF_FFFE,
        acknowledgment=0x0102_0304,
        flags=TcpFlag.PSH | TcpFlag.ACK,
        window=0x2000,
        ip_id=0x8007,
        ttl=127,
        tos=0xB8,
        vlan=VlanTag(0xABC, 6),
        timestamps=Timestamps(0xFFFF_FFF0, 0x10),
        payload=b"hello",
    )
    assert build_segment(fields) == frame
    parsed = parse_frame(frame)
    assert parsed.tcp is not None
    assert (parsed.tcp.sequence, parsed.tcp.acknowledgment, parsed.payload_length) == (0xFFFF_FFFE, 0x0102_0304, 5)
    seen = read_segment(frame)
    assert seen is not None
    assert seen.sums_right
    assert (seen.source, seen.destination) == ((0x0A00_0001, 40000), (0x0A00_0002, 5001))
    assert (seen.sequence, seen.acknowledgment, seen.window) == (0xFFFF_FFFE, 0x0102_0304, 0x2000)
    assert (seen.stamps, seen.payload_length, seen.ip_id) == ((0xFFFF_FFF0, 0x10), 5, 0x8007)


def test_generated_files_are_those_that_the_layout_source_makes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "model.layout", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
