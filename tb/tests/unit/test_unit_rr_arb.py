"""Unit test of `rr_arb`: the choice is legal, and nobody is passed over twice."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly


@cocotb.test()
async def the_choice_is_the_next_requester_behind_the_last_one_served(dut: Any) -> None:
    clock = Clock(dut.clk, 10, unit="ns").start()
    rng = random.Random(int(cocotb.RANDOM_SEED))
    n = len(dut.req)
    dut.rst.value, dut.req.value, dut.advance.value = 1, 0, 0
    for _ in range(3):
        await FallingEdge(dut.clk)
    dut.rst.value = 0
    last = n - 1
    for _ in range(1000):
        requests = rng.choice((0, rng.getrandbits(n), (1 << n) - 1))
        advance = int(rng.random() < 0.7)
        dut.req.value, dut.advance.value = requests, advance
        await ReadOnly()
        turn = [(last + 1 + k) % n for k in range(n)]
        chosen = next((i for i in turn if requests >> i & 1), None)
        assert int(dut.valid.value) == int(chosen is not None)
        assert int(dut.grant.value) == (0 if chosen is None else 1 << chosen)
        assert int(dut.index.value) == (chosen or 0)
        if advance and chosen is not None:
            last = chosen
        await FallingEdge(dut.clk)
    clock.cancel()
