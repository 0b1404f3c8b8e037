"""Traces on the RTL, in lockstep with the golden model: a batch of `make vectors` or `make packetdrill`, or a choice.

Plusargs of a job: `whole`: all of them, divided among the seeds of a regression; `scripts`, `vectors`: so many drawn
by the seed; without any two scripts of each folder.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.contract.scenes.stage import DELAY, SIZE, SceneDriver, SceneTransfer
from tb.script.draw import drawn, whole
from tb.script.player import Player, Result
from tb.script.run import Item, left_out, play_some, read_batch
from tb.script.run_packetdrill import core, family_of
from tb.script.stage import ScriptStage
from tb.tests.rtl.stage_test import StageTest
from tb.tests.stage import Stage


class ScriptTest(StageTest):
    """The transfer with a stage beside it that plays the traces."""

    transfer_type = SceneTransfer
    driver_type = SceneDriver
    size, delay = SIZE, DELAY

    def scenes(self) -> Stage:
        file = self.config.out / "results.json"

        def keep(players: list[Player]) -> None:
            results = [player.result for player in players if player.result is not None]
            file.write_text(json.dumps([dataclasses.asdict(result) for result in results]))

        items = self.items()
        self.left_out = left_out(items)
        self.players = [(item, Player(item.script, item.excuses)) for item in items if item.script is not None]
        return ScriptStage([player for _, player in self.players], keep)

    @property
    def _is_batch(self) -> bool:
        return self.config.command in ("vectors", "packetdrill")

    def items(self) -> list[Item]:
        """The traces of this simulation."""
        if self._is_batch:
            return read_batch(self.config)
        if int(cocotb.plusargs.get("whole", 0)):
            return whole(self.config)
        scripts, vectors = (int(cocotb.plusargs.get(name, 0)) for name in ("scripts", "vectors"))
        return drawn(self.config, scripts, vectors) if scripts or vectors else core(family_of(self.config))

    def judge(self) -> list[str]:
        """Who asked for a batch reads its results; else scripts hold, and vectors give what the golden device does."""
        if self._is_batch:
            return []
        return self.left_out + [
            f"{item.names[-1][1]}: {player.result}, {wanted} expected"
            for item, player in self.players
            if player.result != (wanted := self._wanted(item))
        ]

    def _wanted(self, item: Item) -> Result:
        if item.names[0][0] == "script":
            return Result("pass")
        return play_some([item], self.config.out / "golden", self.config.seed)[0]


@cocotb.test()
async def traces_are_played_in_lockstep_and_no_monitor_complains(_: Any) -> None:
    """What came of each trace is in results.json of the run's folder."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(ScriptTest, keep_set={uvm_factory})
