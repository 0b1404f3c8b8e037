"""Unit test of `image_check`: one wrong value at a time, and which of two decides (hostport.md, check 7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer

from model.layout.generated import (
    CachedImage,
    NeighborImage,
    Opcode,
    ParamImage,
    PathImage,
    Status,
    TcpImage,
    TcpState,
)

OFF = 0xFFFF_FFFF
LONG = 1 << 30
WINDOW_MAX = 65535 << 14
CWND_MAX = 1 << 30
TCP = TcpImage(
    family=4, const_flags=7, snd_wind_scale=3, rcv_wind_scale=2, remote_mss=1460, path_id=1, cached_flags=0x1C,
    initial_rcv_wnd=65535 << 2, flow_label=0xFFFFF, ttl=1, user_priority=7, state=TcpState.ESTABLISHED,
    rcv_wnd=65535 << 2, snd_una=0xFFFF_FFF0, snd_nxt=5, snd_max=10, snd_wnd=65535 << 3, max_snd_wnd=65535 << 3,
    cwnd=CWND_MAX, rtx_timeout_delta=OFF, ka_timeout_delta=OFF,
)  # fmt: skip
CACHED = CachedImage(
    cached_flags=0x1C, initial_rcv_wnd=WINDOW_MAX, rcv_indication_size=OFF, ka_probe_count=255, ka_timeout=LONG - 1,
    ka_interval=LONG - 1, max_rt=OFF, flow_label=0xFFFFF, ttl=1, tos=255, user_priority=7,
)  # fmt: skip
PATH = PathImage(family=4, neighbor_id=7, path_mtu=1500)
NEIGHBOR = NeighborImage(vlan_id=4095)
PARAM = ParamImage(
    ticks_per_second=1000, ack_frequency=1, delayed_ack_ticks=255, dup_ack_threshold=255, push_ticks=LONG - 1,
    nce_stale_ticks=LONG - 1, rto_min=1, rto_max=LONG - 1, rto_initial=LONG - 1,
)  # fmt: skip
OFFLOADABLE = (
    TcpState.ESTABLISHED, TcpState.FIN_WAIT_1, TcpState.FIN_WAIT_2, TcpState.CLOSE_WAIT, TcpState.CLOSING,
    TcpState.LAST_ACK,
)  # fmt: skip

Row = tuple[dict[str, int], Status]
GOOD: tuple[Row, ...] = (
    ({}, Status.OK),
    ({"family": 6}, Status.OK),
    *(({"state": int(state)}, Status.OK) for state in OFFLOADABLE),
    ({"cached_flags": 0x1F}, Status.OK),
    ({"const_flags": 8 | 7}, Status.OK),
    ({"const_flags": 0x10 | 7}, Status.OK),
    ({"const_flags": 0x1F}, Status.OK),
    ({"rtx_timeout_delta": LONG - 1}, Status.OK),
    ({"ka_timeout_delta": LONG - 1}, Status.OK),
    ({"ka_timeout": LONG - 1, "ka_interval": LONG - 1, "ka_probe_count": 255}, Status.OK),
    ({"const_flags": 0, "rcv_wnd": 65535, "initial_rcv_wnd": 65535, "snd_wnd": 65535, "max_snd_wnd": 0}, Status.OK),
    ({"snd_wind_scale": 14, "snd_wnd": WINDOW_MAX, "max_snd_wnd": WINDOW_MAX}, Status.OK),
    ({"rcv_wind_scale": 14, "rcv_wnd": WINDOW_MAX, "initial_rcv_wnd": WINDOW_MAX}, Status.OK),
    ({"snd_una": 10, "snd_nxt": 10, "snd_max": 10}, Status.OK),
)
REFUSED: tuple[Row, ...] = (
    *(({"family": family}, Status.NOT_SUPPORTED) for family in (0, 2, 5, 7, 10, 0x46)),
    *(({"state": int(state)}, Status.NOT_SUPPORTED) for state in TcpState if state not in OFFLOADABLE),
    *(({"state": 0x100 | state}, Status.NOT_SUPPORTED) for state in OFFLOADABLE),
    ({"const_flags": 0x20 | 7}, Status.BAD_IMAGE),
    ({"const_flags": 0x8000 | 7}, Status.BAD_IMAGE),
    ({"cached_flags": 0x20}, Status.BAD_IMAGE),
    ({"cached_flags": 0x8000}, Status.BAD_IMAGE),
    ({"ttl": 0}, Status.BAD_IMAGE),
    ({"user_priority": 8}, Status.BAD_IMAGE),
    ({"flow_label": 0x10_0000}, Status.BAD_IMAGE),
    ({"rtx_timeout_delta": LONG}, Status.BAD_IMAGE),
    ({"rtx_timeout_delta": OFF - 1}, Status.BAD_IMAGE),
    ({"ka_timeout_delta": LONG}, Status.BAD_IMAGE),
    ({"ka_timeout_delta": OFF - 1}, Status.BAD_IMAGE),
    ({"ka_timeout": LONG}, Status.BAD_IMAGE),
    ({"ka_timeout": OFF}, Status.BAD_IMAGE),
    ({"ka_interval": LONG}, Status.BAD_IMAGE),
    ({"ka_interval": OFF}, Status.BAD_IMAGE),
    ({"snd_wind_scale": 15}, Status.BAD_IMAGE),
    ({"rcv_wind_scale": 15}, Status.BAD_IMAGE),
    ({"rcv_wind_scale": 16, "const_flags": 0}, Status.BAD_IMAGE),
    ({"remote_mss": 63}, Status.BAD_IMAGE),
    ({"path_id": 8}, Status.BAD_IMAGE),
    ({"snd_nxt": 0xFFFF_FFEF}, Status.BAD_IMAGE),
    ({"snd_max": 4}, Status.BAD_IMAGE),
    ({"rcv_wnd": (65535 << 2) + 1}, Status.BAD_IMAGE),
    ({"snd_wnd": (65535 << 3) + 1}, Status.BAD_IMAGE),
    ({"max_snd_wnd": (65535 << 3) + 1}, Status.BAD_IMAGE),
    ({"initial_rcv_wnd": (65535 << 2) + 1}, Status.RCV_WINDOW),
    ({"snd_wind_scale": 14, "snd_wnd": WINDOW_MAX + 1}, Status.BAD_IMAGE),
    ({"rcv_wind_scale": 14, "rcv_wnd": WINDOW_MAX + 1}, Status.BAD_IMAGE),
    ({"rcv_wind_scale": 14, "initial_rcv_wnd": OFF}, Status.RCV_WINDOW),
    # without the flag the scale counts as 0
    ({"const_flags": 3, "rcv_wnd": 0, "initial_rcv_wnd": 0, "snd_wnd": 65536, "max_snd_wnd": 0}, Status.BAD_IMAGE),
    ({"const_flags": 3, "rcv_wnd": 65536, "initial_rcv_wnd": 0, "snd_wnd": 0, "max_snd_wnd": 0}, Status.BAD_IMAGE),
    ({"const_flags": 3, "rcv_wnd": 0, "initial_rcv_wnd": 65536, "snd_wnd": 0, "max_snd_wnd": 0}, Status.RCV_WINDOW),
    ({"cwnd": 0}, Status.BAD_IMAGE),
    ({"cwnd": CWND_MAX + 1}, Status.BAD_IMAGE),
    # two faults: the one that the page names first
    ({"state": TcpState.TIME_WAIT, "cached_flags": 0x20}, Status.NOT_SUPPORTED),
    ({"state": TcpState.CLOSED, "remote_mss": 0}, Status.NOT_SUPPORTED),
    ({"ka_interval": LONG, "initial_rcv_wnd": OFF}, Status.BAD_IMAGE),
    ({"ttl": 0, "initial_rcv_wnd": OFF}, Status.BAD_IMAGE),
    ({"remote_mss": 0, "initial_rcv_wnd": OFF}, Status.BAD_IMAGE),
    ({"rcv_wnd": OFF, "initial_rcv_wnd": OFF}, Status.BAD_IMAGE),
    ({"initial_rcv_wnd": OFF, "cwnd": 0}, Status.RCV_WINDOW),
)
PATHS: tuple[Row, ...] = (
    ({}, Status.OK),
    ({"path_mtu": 576}, Status.OK),
    ({"family": 6}, Status.OK),
    ({"family": 6, "path_mtu": 1280}, Status.OK),
    *(({"family": family}, Status.NOT_SUPPORTED) for family in (0, 2, 5, 7, 10, 0x46)),
    ({"family": 7, "path_mtu": 0}, Status.NOT_SUPPORTED),
    ({"family": 6, "path_mtu": 1279}, Status.BAD_IMAGE),
    ({"family": 6, "path_mtu": 576}, Status.BAD_IMAGE),
    ({"family": 6, "path_mtu": 1501}, Status.PATH_MTU),
    ({"family": 6, "neighbor_id": 8}, Status.BAD_IMAGE),
    ({"path_mtu": 575}, Status.BAD_IMAGE),
    ({"path_mtu": 1501}, Status.PATH_MTU),
    ({"path_mtu": 1501, "neighbor_id": 8}, Status.PATH_MTU),
    ({"neighbor_id": 8}, Status.BAD_IMAGE),
)
#: Of an UPDATE that changes the family.
CHANGED_PATHS: tuple[Row, ...] = (
    ({}, Status.BAD_IMAGE),
    ({"family": 6}, Status.BAD_IMAGE),
    ({"family": 5}, Status.NOT_SUPPORTED),
    ({"path_mtu": 1501}, Status.BAD_IMAGE),
)
NEIGHBORS: tuple[Row, ...] = (
    ({}, Status.OK),
    ({"vlan_id": 4096}, Status.BAD_IMAGE),
    ({"vlan_id": 0xFFFF}, Status.BAD_IMAGE),
)
PARAMS: tuple[Row, ...] = (
    ({}, Status.OK),
    ({"ticks_per_second": 10}, Status.OK),
    ({"ticks_per_second": 100}, Status.OK),
    ({"rto_min": 5, "rto_max": 5, "rto_initial": 5}, Status.OK),
    ({"rto_min": 5, "rto_max": 5, "rto_initial": 4}, Status.OK),
    ({"ticks_per_second": 0}, Status.BAD_IMAGE),
    ({"ack_frequency": 0}, Status.BAD_IMAGE),
    ({"dup_ack_threshold": 0}, Status.BAD_IMAGE),
    ({"dup_ack_threshold": 256}, Status.BAD_IMAGE),
    ({"rto_min": 0}, Status.BAD_IMAGE),
    ({"rto_min": 6, "rto_max": 5, "rto_initial": 5}, Status.BAD_IMAGE),
    ({"rto_initial": 0}, Status.BAD_IMAGE),
    ({"rto_max": 5, "rto_initial": 6}, Status.BAD_IMAGE),
    ({"rto_max": LONG}, Status.BAD_IMAGE),
    ({"push_ticks": LONG}, Status.BAD_IMAGE),
    ({"nce_stale_ticks": LONG}, Status.BAD_IMAGE),
)


CACHED_ROWS: tuple[Row, ...] = (
    ({}, Status.OK),
    ({"cached_flags": 0, "initial_rcv_wnd": 0, "flow_label": 0, "user_priority": 0, "ttl": 255}, Status.OK),
    ({"cached_flags": 0x1F}, Status.OK),
    ({"ka_timeout": LONG}, Status.BAD_IMAGE),
    ({"ka_interval": LONG}, Status.BAD_IMAGE),
    ({"cached_flags": 0x20}, Status.BAD_IMAGE),
    ({"cached_flags": 0x8000}, Status.BAD_IMAGE),
    ({"ttl": 0}, Status.BAD_IMAGE),
    ({"user_priority": 8}, Status.BAD_IMAGE),
    ({"flow_label": 0x10_0000}, Status.BAD_IMAGE),
    ({"initial_rcv_wnd": WINDOW_MAX + 1}, Status.RCV_WINDOW),
    ({"initial_rcv_wnd": OFF, "cached_flags": 0}, Status.RCV_WINDOW),
    # two faults: the one that the page names first
    ({"ka_timeout": OFF, "initial_rcv_wnd": OFF}, Status.BAD_IMAGE),
    ({"user_priority": 255, "initial_rcv_wnd": OFF}, Status.BAD_IMAGE),
)


async def check(dut: Any, opcode: Opcode, good: Any, rows: tuple[Row, ...], *, other_family: bool = False) -> None:
    """Every row is the good image with some fields changed, and the status it gets."""
    for changed, want in rows:
        dut.op.value = int(opcode)
        dut.other_family.value = int(other_family)
        dut.image.value = replace(good, **changed).pack()
        await Timer(1, unit="ns")
        got = Status(int(dut.status.value))
        assert got == want, f"{opcode.name} with {changed}: {got.name}, expected {want.name}"


@cocotb.test()
async def a_tcp_image_is_refused_for_the_first_thing_that_is_wrong(dut: Any) -> None:
    await check(dut, Opcode.INITIATE, TCP, GOOD + REFUSED)


@cocotb.test()
async def the_image_of_an_update_keeps_the_limits_of_the_cached_fields(dut: Any) -> None:
    await check(dut, Opcode.UPDATE, CACHED, CACHED_ROWS)


@cocotb.test()
async def path_neighbor_and_parameter_images_keep_their_limits(dut: Any) -> None:
    await check(dut, Opcode.PATH_WRITE, PATH, PATHS)
    await check(dut, Opcode.PATH_WRITE, PATH, CHANGED_PATHS, other_family=True)
    await check(dut, Opcode.INITIATE, TCP, (({}, Status.OK),), other_family=True)
    await check(dut, Opcode.NEIGHBOR_WRITE, NEIGHBOR, NEIGHBORS)
    await check(dut, Opcode.PARAM_WRITE, PARAM, PARAMS)
    await check(dut, Opcode.START, PARAM, (({"rto_min": 0}, Status.OK),))
