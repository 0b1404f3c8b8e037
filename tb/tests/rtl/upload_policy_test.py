"""The upload policy of the driver on the RTL in lockstep: each optional reason has its cause (NDIS sheet, 2.12)."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.miniport import DriverConfig
from tb.tests.policy_cases import POLICY, judge_reasons, reasons_come_by_themselves
from tb.tests.rtl.stage_test import StageTest
from tb.tests.rtl.transfer_test import built
from tb.tests.stage import Stage


class UploadPolicyTest(StageTest):
    """A driver that looks at its connections."""

    def scenes(self) -> Stage:
        return Stage([reasons_come_by_themselves])

    def settings(self) -> DriverConfig:
        return DriverConfig(conns=built("conns"), upload=POLICY)

    def judge(self) -> list[str]:
        judge_reasons(self.stage.stories)
        return []


@cocotb.test()
async def every_optional_reason_comes_by_itself_when_its_threshold_is_met(_: Any) -> None:
    """CH-208: the driver asks, the host does not care, the connection goes on."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(UploadPolicyTest, keep_set={uvm_factory})
