"""Unit test of `offload_stats`: every register against sums made of the pulses (docs/contract/hostport.md, Statistics).

DUT = offload_stats. Inputs are driven at the falling edge; what was driven counts from the rising edges that follow.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly

from model.layout.generated import Csr

PERIOD_NS = 10
FAMILIES = (4, 6)
#: Registers of 64 bits by their low half, and those of 32 bits: of IPv4, and of IPv6.
WIDE = (
    Csr.ST4_IN_SEGMENTS_LO, Csr.ST4_IN_RECEIVES_LO, Csr.ST4_IN_OCTETS_LO, Csr.ST4_OUT_SEGMENTS_LO,
    Csr.ST4_OUT_REQUESTS_LO, Csr.ST4_OUT_OCTETS_LO, Csr.ST6_IN_SEGMENTS_LO, Csr.ST6_IN_RECEIVES_LO,
    Csr.ST6_IN_OCTETS_LO, Csr.ST6_OUT_SEGMENTS_LO, Csr.ST6_OUT_REQUESTS_LO, Csr.ST6_OUT_OCTETS_LO,
)  # fmt: skip
NARROW = (
    Csr.ST4_RETRANSMITTED, Csr.ST4_OUT_RESETS, Csr.ST4_RESET_ESTABLISHED, Csr.ST4_ESTABLISHED, Csr.ST4_OUT_DISCARDS,
    Csr.ST6_RETRANSMITTED, Csr.ST6_OUT_RESETS, Csr.ST6_RESET_ESTABLISHED, Csr.ST6_ESTABLISHED, Csr.ST6_OUT_DISCARDS,
)  # fmt: skip
INPUTS = (
    "in_ipv6", "in_valid", "in_packet", "in_octets", "opened", "closed", "reset_one",
    "out_ipv6", "out_valid", "out_lost", "out_octets", "out_old", "out_new", "out_rst",
)  # fmt: skip
OCTETS_MAX = 0xFFFF
LATENCY = 2


async def reset(dut: Any) -> None:
    """Clock, reset, all inputs low."""
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    dut.addr.value = 0
    dut.rst.value = 1
    drive(dut, {})
    await ClockCycles(dut.clk, 3)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


def drive(dut: Any, values: dict[str, int]) -> None:
    """These inputs, all others 0."""
    for name in INPUTS:
        getattr(dut, name).value = values.get(name, 0)


async def read(dut: Any, address: int) -> int | None:
    """A register; None if the block does not know it."""
    await FallingEdge(dut.clk)
    dut.addr.value = address
    await ReadOnly()
    return int(dut.data.value) if int(dut.known.value) else None


async def registers(dut: Any) -> dict[Csr, int]:
    """Every register, those of 64 bits under their low half."""
    await FallingEdge(dut.clk)
    drive(dut, {})
    await ClockCycles(dut.clk, LATENCY)
    found: dict[Csr, int] = {}
    for register in (*WIDE, *NARROW):
        low = await read(dut, register)
        high = await read(dut, register + 4) if register in WIDE else 0
        assert low is not None, register.name
        assert high is not None, register.name
        found[register] = low | high << 32
    return found


@cocotb.test()
async def every_pulse_counts_where_the_contract_says_ch_016_to_ch_019(dut: Any) -> None:
    await reset(dut)
    rng = random.Random(int(cocotb.RANDOM_SEED))
    wanted: Counter[str] = Counter()
    for _ in range(1500):
        v = {name: rng.randrange(2) for name in INPUTS}
        v["in_octets"], v["out_octets"] = rng.randrange(40, 1501), rng.randrange(40, 1501)
        v["opened"] &= v["out_valid"]  # more often closed than opened: the gauge passes 0 downwards, too
        v["reset_one"] &= v["closed"]
        await FallingEdge(dut.clk)
        drive(dut, v)
        received, sent = f"ST{6 if v['in_ipv6'] else 4}", f"ST{6 if v['out_ipv6'] else 4}"
        if v["in_valid"]:
            wanted[f"{received}_IN_SEGMENTS_LO"] += 1
            wanted[f"{received}_IN_RECEIVES_LO"] += v["in_packet"]
            wanted[f"{received}_IN_OCTETS_LO"] += v["in_octets"] * v["in_packet"]
        if v["out_valid"]:
            left = 1 - v["out_lost"]
            wanted[f"{sent}_OUT_REQUESTS_LO"] += 1
            wanted[f"{sent}_OUT_DISCARDS"] += v["out_lost"]
            wanted[f"{sent}_OUT_OCTETS_LO"] += left * v["out_octets"]
            wanted[f"{sent}_OUT_SEGMENTS_LO"] += left * v["out_new"]
            wanted[f"{sent}_RETRANSMITTED"] += left * v["out_old"]
            wanted[f"{sent}_OUT_RESETS"] += left * v["out_rst"]
        wanted[f"{received}_RESET_ESTABLISHED"] += v["reset_one"]
        wanted[f"{received}_ESTABLISHED"] += v["opened"] - v["closed"]
    for family in FAMILIES:
        assert wanted[f"ST{family}_ESTABLISHED"] < 0, "the gauge is tested past 0"
        wanted[f"ST{family}_ESTABLISHED"] &= 0xFFFF_FFFF
    assert await registers(dut) == {register: wanted[register.name] for register in (*WIDE, *NARROW)}


@cocotb.test()
async def a_counter_of_two_registers_carries_from_low_to_high(dut: Any) -> None:
    await reset(dut)
    drive(dut, {"in_valid": 1, "in_packet": 1, "in_octets": OCTETS_MAX, "out_valid": 1, "out_octets": OCTETS_MAX})
    await ClockCycles(dut.clk, 70_000)
    found = await registers(dut)
    count = found[Csr.ST4_IN_RECEIVES_LO]
    assert count >= 70_000
    assert found[Csr.ST4_IN_OCTETS_LO] == found[Csr.ST4_OUT_OCTETS_LO] == count * OCTETS_MAX
    assert found[Csr.ST4_IN_OCTETS_LO] >> 32 == 1


@cocotb.test()
async def other_addresses_are_not_its_own_and_a_reset_clears_all(dut: Any) -> None:
    await reset(dut)
    for family in FAMILIES:
        ours = int(family == 6)
        drive(dut, dict.fromkeys(INPUTS, 1) | {"closed": 0, "out_lost": 0, "in_ipv6": ours, "out_ipv6": ours})
        await ClockCycles(dut.clk, 5)
        await FallingEdge(dut.clk)
    lost = (Csr.ST4_OUT_DISCARDS, Csr.ST6_OUT_DISCARDS)
    assert all(value for register, value in (await registers(dut)).items() if register not in lost)
    own = {r + half for r in WIDE for half in (0, 4)} | set(NARROW)
    for address in range(0, 0x200, 4):
        assert (await read(dut, address) is not None) == (address in own), f"{address:#x}"
    await FallingEdge(dut.clk)
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    assert not any((await registers(dut)).values())
