"""docs/founding-pages.md on the RTL: the scenes beside a session, all of it in lockstep, then every row judged."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.device.memory import ErrorWindow
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.session.transfer import Transfer
from tb.tests.founding_cases import JUDGEMENTS, SCENES, Judgement, documented
from tb.tests.founding_stage import DELAY, SIZE, Device, Stage, StageDriver, StageTransfer
from tb.tests.rtl.errors_test import set_windows
from tb.tests.rtl.transfer_test import TransferTest, built


class FoundingTest(TransferTest):
    """The transfer with a stage beside it."""

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """The session and its stage."""
        self.stage = Stage(SCENES)
        self.config = replace(self.config, size=SIZE, conns=1, delay=DELAY)
        transfer = StageTransfer(
            self.config, self.port.mem, allocator, capture=self.config.out / "wire.pcapng", issue=self.bench.issue
        )
        face = transfer.join(self.stage, Device(self._inject, lambda: self.follower.core), allocator)
        return transfer, StageDriver(self.port, face, allocator, DriverConfig(conns=built("conns"), cq_log2=12))

    def _inject(self, windows: Sequence[ErrorWindow]) -> None:
        """On both sides; nothing may be using the windows at this moment, for they see it at different times."""
        self.follower.inject_errors(list(windows))
        self.port.post_action(lambda: set_windows(windows))

    def extra_problems(self) -> list[str]:
        """Every row that the page calls shown holds for what the scenes left behind."""
        found = super().extra_problems()
        if not self.stage.over:
            return [*found, f"the stage waits at {self.stage.where()}"]
        missing = {row.name for row in documented() if row.shown} ^ {judgement.name for judgement in JUDGEMENTS}
        if missing:
            found.append(f"rows of docs/founding-pages.md and asserted rows differ: {', '.join(sorted(missing))}")
        return found + [line for judgement in JUDGEMENTS if (line := self._judge(judgement))]

    def _judge(self, judgement: Judgement) -> str:
        try:
            judgement.test(self.stage.stories)
        except (AssertionError, LookupError, StopIteration, ValueError) as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            return f"row {judgement.name}, {judgement.test.__name__}: {error!r} at {line.name}:{line.lineno}"
        return ""


@cocotb.test()
async def every_row_of_the_founding_pages_that_is_shown_holds_in_lockstep(_: Any) -> None:
    """Issue, first slice: disconnect complete, send complete, terminate complete."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(FoundingTest, keep_set={uvm_factory})
