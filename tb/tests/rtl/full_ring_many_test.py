"""Many requests that end while nobody empties the completion ring, on the RTL in lockstep (hostport.md)."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.miniport import DriverConfig
from tb.tests.ring_cases import CQ_LOG2, MANY, judge_many_requests, sleeping_host_with_many_requests
from tb.tests.rtl.stage_test import StageTest
from tb.tests.rtl.transfer_test import built
from tb.tests.stage import Stage


class ManyRequestsTest(StageTest):
    """A host that sleeps while many of its requests end."""

    def scenes(self) -> Stage:
        return Stage([sleeping_host_with_many_requests])

    def settings(self) -> DriverConfig:
        return DriverConfig(conns=built("conns"), cq_log2=CQ_LOG2, raw_bufs=MANY)

    def judge(self) -> list[str]:
        judge_many_requests(self.stage.stories)
        return []


@cocotb.test()
async def requests_that_end_behind_a_full_completion_ring_hold_up_no_segment(_: Any) -> None:
    """Issue, bad input: completion ring full."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(ManyRequestsTest, keep_set={uvm_factory})
