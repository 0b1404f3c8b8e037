"""The main job on a design that is broken: the ordinary transfer, over as soon as anybody has something to say.

An ordinary run waits a hundred thousand ticks for a byte, and in the end for the device to come to rest. A sabotaged
device may do neither, and Icarus would go through the wait at its own pace.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.env import bench
from tb.tests.rtl import transfer_test

#: Ticks without a byte coming back: the longest bound of check 6,
#: 120 000 cycles, is over in less (an idle tick takes 68 cycles). With losses, a timer that backs off is no standstill.
STALL_TICKS, LOSSY_STALL_TICKS = 2_000, 20_000


class ViolationError(Exception):
    """Monitor or peer saw something; what exactly is in the verdict of the run."""


class BriefBench(bench.Bench):
    """The bench that does not go on after a violation."""

    def _kick(self) -> None:
        super()._kick()
        network = None if self.transfer is None else self.transfer.network
        if network and self.error is None and (network.monitor.violations or network.peer.violations):
            self.error = ViolationError("the run was given up at the first violation")
            self._over.set()


class BriefTest(transfer_test.TransferTest):
    """The transfer on that bench."""

    async def stimulus(self) -> None:
        patience = LOSSY_STALL_TICKS if self.config.loss else STALL_TICKS
        with (
            mock.patch.object(transfer_test, "Bench", BriefBench),
            mock.patch.object(bench, "STALL_TICKS", patience),
        ):
            await super().stimulus()


@cocotb.test()
async def a_file_crosses_the_wire_or_the_run_is_soon_over(_: Any) -> None:
    """Issue's main job; architecture section 3, checks 1 to 6."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(BriefTest, keep_set={uvm_factory})
