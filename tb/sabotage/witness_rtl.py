"""One packetdrill script on the RTL. Lockstep goes along, but only the script's own result ends the run.

A run is over as soon as the script is: what it left behind is asked of sound designs, by `make packetdrill`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from unittest import mock

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.env import bench
from tb.sabotage.witness_verdict import Verdict, write
from tb.script.player import Player
from tb.script.run import Item
from tb.script.run_packetdrill import item
from tb.tests.rtl import transfer_test
from tb.tests.rtl.script_test import ScriptTest
from tb.tests.stage import Stage


class PlayedError(Exception):
    """The script is over."""


class WitnessBench(bench.Bench):
    """The bench that goes on behind a divergence, and not behind the end of the script."""

    #: Those of the script; there is one simulation a process.
    players: ClassVar[Sequence[Player]] = ()

    def _check_diverged(self) -> None:
        """What lockstep says is written down at the end."""

    def _kick(self) -> None:
        super()._kick()
        if self.error is None and self.players and all(player.result is not None for player in self.players):
            self.error = PlayedError("the script is over")
            self._over.set()


class WitnessTest(ScriptTest):
    """The transfer with the one script beside it that SCRIPTS names."""

    def items(self) -> list[Item]:
        """The script."""
        return [item(file) for file in self.config.scripts]

    def scenes(self) -> Stage:
        stage = super().scenes()
        WitnessBench.players = [player for _, player in self.players]
        return stage

    def judge(self) -> list[str]:
        """The verdict is written down."""
        return []

    async def stimulus(self) -> None:
        ended = "the session ended without the script's end"
        with mock.patch.object(transfer_test, "Bench", WitnessBench):
            try:
                await super().stimulus()
            except Exception as error:  # noqa: BLE001 - a broken design may end in any way; the script may have spoken
                ended = f"{type(error).__name__}: {error}"
        (player,) = (player for _, player in self.players)
        found = self.follower.divergence
        lockstep = "agrees" if found is None else f"check {found.check}, {found.field}"
        result = player.result
        verdict = Verdict("", 0, "", lockstep, ended) if result is None else Verdict(
            result.status, result.line, result.reason, lockstep
        )  # fmt: skip
        write(self.config.out, verdict)


@cocotb.test()
async def a_script_is_played_to_its_end(_: Any) -> None:
    """The test as such says nothing; the verdict is in the folder of the run."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(WitnessTest, keep_set={uvm_factory})
