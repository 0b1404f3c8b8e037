"""A pool of one buffer a connection, and hosts that refuse, on the RTL in lockstep."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.miniport import DriverConfig
from tb.tests.pool_cases import hoarding_host, judge_hoarding_host, judge_stubborn_host, stubborn_host
from tb.tests.rtl.stage_test import StageTest
from tb.tests.rtl.transfer_test import built
from tb.tests.stage import Stage


class SmallPoolTest(StageTest):
    """One connection is refused for good, the others receive beside it; a transfer shares the pool."""

    def scenes(self) -> Stage:
        return Stage([stubborn_host])

    def settings(self) -> DriverConfig:
        return DriverConfig(conns=built("conns"), cq_log2=12, pool_bufs=built("pool_bufs"))

    def judge(self) -> list[str]:
        judge_stubborn_host(self.stage.stories)
        return []


class HoardingTest(SmallPoolTest):
    """The host of one connection returns no list; the others receive beside it."""

    def scenes(self) -> Stage:
        return Stage([hoarding_host])

    def judge(self) -> list[str]:
        judge_hoarding_host(self.stage.stories, built("pool_bufs"))
        return []


@cocotb.test()
async def a_connection_that_is_refused_for_good_holds_up_no_other(_: Any) -> None:
    """Issue, section Numbers: indications refused in every way, at one buffer a connection."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(SmallPoolTest, keep_set={uvm_factory})


@cocotb.test()
async def a_host_that_returns_no_indicated_list_holds_up_no_other_connection(_: Any) -> None:
    """B05; Issue, section Bad input: a host that never answers an indication."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(HoardingTest, keep_set={uvm_factory})
