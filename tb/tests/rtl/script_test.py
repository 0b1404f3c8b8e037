"""Traces on the RTL, in lockstep with the golden model: a batch of `make vectors` or `make packetdrill`, or a core."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.contract.scenes.stage import DELAY, SIZE, SceneDriver, SceneTransfer
from tb.script.player import Player, Result
from tb.script.run import read_batch
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

        items = read_batch(self.config)
        self.players = {
            item.names[-1][1]: Player(item.script, item.excuses) for item in items if item.script is not None
        }
        return ScriptStage(list(self.players.values()), keep)

    def judge(self) -> list[str]:
        """Whoever asked for a batch reads its results; where nobody did, every trace must hold."""
        if self.config.command in ("vectors", "packetdrill"):
            return []
        return [f"{name}: {player.result}" for name, player in self.players.items() if player.result != Result("pass")]


@cocotb.test()
async def traces_are_played_in_lockstep_and_no_monitor_complains(_: Any) -> None:
    """What came of each trace is in results.json of the run's folder."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(ScriptTest, keep_set={uvm_factory})
