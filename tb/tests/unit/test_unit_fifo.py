"""Unit test of `fifo` and of `skid` (same ports but `count`): order, capacity, stable payload, full throughput."""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly


async def start(dut: Any) -> Any:
    clock = Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value, dut.s_valid.value, dut.s_data.value, dut.m_ready.value = 1, 0, 0, 0
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    return clock


def capacity(dut: Any) -> int:
    return int(dut.DEPTH.value) if hasattr(dut, "DEPTH") else 2


@cocotb.test()
async def words_leave_in_order_and_none_is_lost_under_any_rates(dut: Any) -> None:
    clock = await start(dut)
    rng = random.Random(int(cocotb.RANDOM_SEED))
    held: deque[int] = deque()
    fullest = 0
    offered: int | None = None
    waiting: int | None = None
    for cycle in range(3000):
        push_rate, pop_rate = ((30, 80), (80, 30), (100, 100), (50, 50))[cycle // 100 % 4]
        if offered is None and rng.randrange(100) < push_rate:
            offered = rng.getrandbits(len(dut.s_data))
        dut.s_valid.value = int(offered is not None)
        dut.s_data.value = offered if offered is not None else rng.getrandbits(len(dut.s_data))
        dut.m_ready.value = int(rng.randrange(100) < pop_rate)
        await ReadOnly()
        if hasattr(dut, "count"):
            assert int(dut.count.value) == len(held)
        assert int(dut.m_valid.value) == int(bool(held)), "latency is one cycle"
        assert int(dut.s_ready.value) == int(len(held) < capacity(dut))
        taken = offered if int(dut.s_ready.value) else None
        if held:
            assert int(dut.m_data.value) == held[0]
            assert waiting in (None, held[0])
            waiting = held[0]
            if int(dut.m_ready.value):
                held.popleft()
                waiting = None
        if taken is not None:
            held.append(taken)
            offered = None
        fullest = max(fullest, len(held))
        await FallingEdge(dut.clk)
    assert fullest == capacity(dut)
    clock.cancel()


@cocotb.test()
async def a_word_passes_every_cycle(dut: Any) -> None:
    clock = await start(dut)
    dut.s_valid.value, dut.m_ready.value = 1, 1
    seen = []
    for n in range(40):
        dut.s_data.value = n & 0xFF
        await ReadOnly()
        assert int(dut.s_ready.value) == 1
        if int(dut.m_valid.value):
            seen.append(int(dut.m_data.value))
        await FallingEdge(dut.clk)
    assert seen == list(range(39))
    clock.cancel()
