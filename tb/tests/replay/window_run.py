"""Lets the clock of window_top run for 300 cycles."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def the_clock_runs(dut: Any) -> None:
    await Timer(3, "us")
    assert int(dut.cycle.value) == 300
