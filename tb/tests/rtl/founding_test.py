"""docs/founding-pages.md on the RTL: the scenes beside a session, all of it in lockstep, then one test a row.

The rows that speak of intermediate drivers are judged where the run has some (``intermediates`` in tiers.toml).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.device.memory import ErrorWindow
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.env.base_test import configuration
from tb.session.transfer import Transfer
from tb.tests.founding.driver import StageDriver
from tb.tests.founding.page import Judgement
from tb.tests.founding.rows import JUDGEMENTS
from tb.tests.founding.scenes import scenes
from tb.tests.founding.stage import DELAY, SIZE, Device, Stage, StageTransfer
from tb.tests.founding.story import Story
from tb.tests.rtl.errors_test import set_windows
from tb.tests.rtl.transfer_test import TransferTest, built

#: What the scenes left behind, for the tests of the rows.
PLAYED: dict[str, Story] = {}


class FoundingTest(TransferTest):
    """The transfer with a stage beside it."""

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """The session and its stage."""
        self.stage = Stage(scenes(self.config.intermediates))
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
        """The session is clean, and every scene came to its end."""
        found = super().extra_problems()
        if self.stage.over:
            PLAYED.update(self.stage.stories)
        else:
            found.append(f"the stage waits at {self.stage.where()}")
        return found


@cocotb.test()
async def all_scenes_are_played_in_lockstep_and_no_contract_monitor_complains(_: Any) -> None:
    """Issue, first slice."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(FoundingTest, keep_set={uvm_factory})


def _judging(judgement: Judgement) -> Callable[[Any], Coroutine[Any, None, None]]:
    async def judge(_: Any) -> None:
        assert PLAYED, "the scenes were not played to their end"
        judgement.test(PLAYED)

    return judge


for _judgement in JUDGEMENTS:
    if _judgement.intermediates <= configuration().intermediates:
        _name = f"{_judgement.name}-{_judgement.test.__name__}"
        globals()[_name] = cocotb.test(name=_name)(_judging(_judgement))
