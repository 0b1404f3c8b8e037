"""What coverage asks for and sessions seldom do, on the RTL: drawn from named streams, in lockstep.

The cases (tb/tests/closure_cases.py) go through the rings of the session's driver and its receive port; when calls,
frames and register reads come is drawn, too (tb/env/random_sequences.py). One seed plays the same again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from model.streams import Streams
from tb.env.random_sequences import RandomReads, use
from tb.session.transfer import Transfer
from tb.tests.closure_cases import SESSION, cases
from tb.tests.lab import Case, Lab, LabDriver, LabTransfer
from tb.tests.rtl.errors_test import RtlPort
from tb.tests.rtl.transfer_test import TransferTest, built


class ClosureTest(TransferTest):
    """A small transfer with a lab beside it that plays what was drawn."""

    def build_phase(self) -> None:
        super().build_phase()
        self.streams = Streams(self.config.seed)
        use(self.streams.child("when"))

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """The session and its lab."""
        self.reads = RandomReads()
        cocotb.start_soon(self.reads.start(self.env.registers.sequencer))
        self.lab = Lab(self.lab_cases())
        self.config = replace(self.config, size=SESSION, conns=1)
        transfer = LabTransfer(
            self.config, self.port.mem, allocator, capture=self.config.out / "wire.pcapng", issue=self.bench.issue
        )
        settings = DriverConfig(conns=built("conns"), cq_log2=12, pool_bufs=built("pool_bufs"))
        driver = LabDriver(self.port, transfer.host, allocator, settings)
        driver.lab = self.lab
        self.lab.attach(driver, RtlPort(self.bench, self.port, self.follower), allocator)
        transfer.join(self.lab)
        return transfer, driver

    def lab_cases(self) -> list[Callable[[Lab], Case]]:
        """What the lab plays."""
        return cases(self.streams.child("what"), self.config.data_w // 8)

    async def compare_at_the_end(self) -> None:
        self.reads.over = True
        await super().compare_at_the_end()

    def extra_problems(self) -> list[str]:
        """The session is clean, and all that was drawn came to its end."""
        waits = [] if self.lab.over else [f"the lab waits at {self.lab.where()}"]
        unread = [] if self.reads.count else ["no register was read beside the session"]
        return [*super().extra_problems(), *waits, *unread]


@cocotb.test()
async def whatever_is_drawn_from_the_space_of_coverage_ends_and_is_that_of_the_golden_model(_: Any) -> None:
    """Check 1 to 6 of architecture 3 on what the plan of coverage asks for (docs/coverage.md)."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(ClosureTest, keep_set={uvm_factory})
