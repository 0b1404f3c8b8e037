"""The worked vectors A.1 to A.9 on the RTL: the scenes beside a session, in lockstep, then every judgement."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.tests.rtl.stage_test import StageTest
from tb.tests.stage import Stage
from tb.tests.vector_cases import VECTORS, Vector, scenes, seen_by_vectors

#: In the place of the 30000 ticks of vector A.8; more than 500, so that its moments keep their order.
STALE_TICKS = 600
#: Ticks that the device may need for what it does.
SLACK = 1


class VectorsTest(StageTest):
    """The stage with the scenes of the vectors."""

    def scenes(self) -> Stage:
        return Stage(scenes(STALE_TICKS))

    def seen(self, found: Mapping[str, Any]) -> dict[str, list[str]]:
        return seen_by_vectors(self.stage, found, SLACK)

    def judge(self) -> list[str]:
        """Every vector holds for what the scenes left behind."""
        return [line for vector in VECTORS if (line := self._judge_vector(vector))]

    def _judge_vector(self, vector: Vector) -> str:
        try:
            vector.test(self.stage.stories, SLACK)
        except (AssertionError, LookupError, StopIteration, ValueError) as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            return f"vector {vector.name}, {vector.test.__name__}: {error!r} at {line.name}:{line.lineno}"
        return ""


@cocotb.test()
async def every_worked_vector_holds_in_lockstep(_: Any) -> None:
    """NDIS sheet, appendix A."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(VectorsTest, keep_set={uvm_factory})
