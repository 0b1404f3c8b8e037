"""A state tree with more connections than the device has, on the RTL in lockstep."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.tests.rtl.stage_test import StageTest
from tb.tests.rtl.transfer_test import built
from tb.tests.stage import Stage
from tb.tests.tree_cases import big_tree, judge_big_tree


class BigTreeTest(StageTest):
    """As many connections as the device has, in one initiate call, and a few that fail."""

    def scenes(self) -> Stage:
        return Stage([big_tree(built("conns"))])

    def judge(self) -> list[str]:
        judge_big_tree(self.stage.stories, built("conns"))
        return []


@cocotb.test()
async def one_initiate_call_fills_the_device_and_names_every_failure_of_its_tree(_: Any) -> None:
    """Issue, section Numbers: a state tree of 64 connections in one call."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(BigTreeTest, keep_set={uvm_factory})
