"""The contract scenes on the RTL, beside a session and in lockstep, then one test a scene for what it claims.

Scenes that want intermediate drivers are played where the run has some (``intermediates`` in tiers.toml), the others
where it has none; one that ends what a session needs comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, cast

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.contract.scenes.everything import playable
from tb.contract.scenes.stage import DELAY, SIZE, Case, SceneDriver, SceneStage, SceneTransfer, unmet
from tb.env.base_test import configuration
from tb.tests.rtl.stage_test import StageTest
from tb.tests.stage import Stage

#: The rules that count in each scene, once the run is over.
SEEN: Final[dict[str, frozenset[str]]] = {}


class ScenesTest(StageTest):
    """The transfer with the stage of the scenes beside it."""

    transfer_type = SceneTransfer
    driver_type = SceneDriver
    size, delay = SIZE, DELAY

    def scenes(self) -> Stage:
        return SceneStage(playable(self.config.intermediates))

    def seen(self, found: Mapping[str, Any]) -> dict[str, frozenset[str]]:
        return cast(SceneStage, self.stage).seen(found)

    def judge(self) -> list[str]:
        """The tests of the scenes do, behind this one."""
        if self.transfer is not None:
            SEEN.update(self.seen(self.transfer.tap.result()))
        return []


@cocotb.test()
async def all_scenes_are_played_in_lockstep_and_no_contract_monitor_complains(_: Any) -> None:
    """docs/ndis.md: the rules that only a directed scene brings about."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(ScenesTest, keep_set={uvm_factory})


def _claiming(case: Case) -> Callable[[Any], Coroutine[Any, None, None]]:
    async def judge(_: Any) -> None:
        assert SEEN, "the scenes were not played to their end"
        assert unmet([case], SEEN) == []

    return judge


for _case in playable(configuration().intermediates):
    globals()[_case.title] = cocotb.test(name=_case.title)(_claiming(_case))
