"""docs/founding-pages.md on the RTL: the scenes beside a session, all of it in lockstep, then one test a row.

The rows that speak of intermediate drivers are judged where the run has some (``intermediates`` in tiers.toml).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.env.base_test import configuration
from tb.tests.founding.page import Judgement
from tb.tests.founding.rows import JUDGEMENTS, seen_by_rows
from tb.tests.founding.scenes import scenes
from tb.tests.rtl.stage_test import StageTest
from tb.tests.stage import Stage, Story

#: What the scenes left behind, for the tests of the rows.
PLAYED: dict[str, Story] = {}


class FoundingTest(StageTest):
    """All scenes beside the transfer."""

    def scenes(self) -> Stage:
        return Stage(scenes(self.config.intermediates))

    def seen(self, found: Mapping[str, Any]) -> dict[str, list[str]]:
        return seen_by_rows(self.stage, found, self.config.intermediates)

    def judge(self) -> list[str]:
        """The tests of the rows do, behind this one."""
        PLAYED.update(self.stage.stories)
        return []


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
        globals()[_judgement.title] = cocotb.test(name=_judgement.title)(_judging(_judgement))
