"""The main job with rings so small that indices and phase wrap many times in a short file."""

from __future__ import annotations

from typing import Any
from unittest import mock

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.miniport import DriverConfig
from tb.tests.rtl import transfer_test

#: log2 of the entries of the submission and of the completion ring.
SQ_LOG2, CQ_LOG2 = 4, 6


def small_rings(**settings: Any) -> DriverConfig:
    """The driver's settings with small rings."""
    return DriverConfig(**{**settings, "sq_log2": SQ_LOG2, "cq_log2": CQ_LOG2})


class SmallRingsTest(transfer_test.TransferTest):
    """The transfer, with a driver that has small rings."""

    async def stimulus(self) -> None:
        with mock.patch.object(transfer_test, "DriverConfig", small_rings):
            await super().stimulus()


@cocotb.test()
async def a_file_crosses_with_rings_that_wrap_many_times(_: Any) -> None:
    """S53, B17; Architecture section 4: rings with a phase bit, a producer that never overruns its consumer."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(SmallRingsTest, keep_set={uvm_factory})
