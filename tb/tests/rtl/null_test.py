"""A device that is reset and started, and then has nothing to do: what it hits, no test may boast of."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.tests.rtl.base_test_test import StartUpTest


@cocotb.test()
async def a_device_without_traffic_starts_in_lockstep(_: Any) -> None:
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(StartUpTest, keep_set={uvm_factory})
