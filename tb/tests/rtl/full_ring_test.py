"""A completion ring that the host does not empty, on the RTL in lockstep (docs/contract/hostport.md)."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.miniport import DriverConfig
from tb.tests.ring_cases import CQ_LOG2, RAW_BUFS, judge_sleeping_host, sleeping_host
from tb.tests.rtl.stage_test import StageTest
from tb.tests.rtl.transfer_test import built
from tb.tests.stage import Stage


class FullRingTest(StageTest):
    """A host that sleeps for a while."""

    def scenes(self) -> Stage:
        return Stage([sleeping_host])

    def settings(self) -> DriverConfig:
        return DriverConfig(conns=built("conns"), cq_log2=CQ_LOG2, raw_bufs=RAW_BUFS)

    def judge(self) -> list[str]:
        judge_sleeping_host(self.stage.stories)
        return []


@cocotb.test()
async def a_full_completion_ring_stops_new_descriptors_and_nothing_else(_: Any) -> None:
    """Issue, bad input: completion ring full."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(FullRingTest, keep_set={uvm_factory})
