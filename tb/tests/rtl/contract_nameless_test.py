"""State calls on what was never offloaded, on the RTL: each comes back FAILURE, once, and no list is lost."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.contract.operator import Plan
from tb.tests.rtl.contract_random_test import ContractRandomTest

#: Random operations behind them, so that connections come and go; bytes that they draw from.
OPERATIONS, BYTES = 5, 4096


class NamelessTest(ContractRandomTest):
    """A session that begins with them."""

    def plan(self) -> Plan:
        return Plan(seed=self.config.seed, operations=OPERATIONS, bytes=BYTES, most=BYTES, slots=1, nameless=True)

    def extra_problems(self) -> list[str]:
        """And an invalidate was refused."""
        refused = any(call == "invalidate" and status for call, status in self.calls.seen)
        return [*super().extra_problems(), *([] if refused else ["no invalidate came back FAILURE"])]


@cocotb.test()
async def a_state_call_on_what_was_never_offloaded_comes_back_with_failure(_: Any) -> None:
    """docs/ndis.md, HOST-1.5; docs/coverage.md, group status."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(NamelessTest, keep_set={uvm_factory})
