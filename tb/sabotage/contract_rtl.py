"""The scenes of one set on the RTL. Lockstep goes along, but its verdict does not end the run: the monitors' does."""

from __future__ import annotations

from typing import Any
from unittest import mock

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from tb.env import bench
from tb.sabotage.contract_scenes import SETS
from tb.sabotage.contract_stage import DELAY, SIZE, ContractStage, ContractTransfer
from tb.sabotage.contract_verdict import write
from tb.tests.rtl import transfer_test
from tb.tests.rtl.stage_test import StageTest
from tb.tests.stage import Stage


class BreachError(Exception):
    """A monitor of the contract reported a breach; the verdict of the run says which."""


class ContractBench(bench.Bench):
    """The bench that goes on behind a divergence, and not behind a breach of the contract."""

    def _check_diverged(self) -> None:
        """What lockstep says is written down at the end."""

    def _kick(self) -> None:
        super()._kick()
        transfer = self.transfer
        if transfer is not None and self.error is None and transfer.tap.monitors.breaches:
            self.error = BreachError("the run was given up at the first breach of the contract")
            self._over.set()


class ContractTest(StageTest):
    """The smallest transfer with the scenes of a set beside it."""

    transfer_type = ContractTransfer
    size, delay = SIZE, DELAY
    name_of_set = ""

    def scenes(self) -> Stage:
        return ContractStage(SETS[self.name_of_set].scenes)

    def judge(self) -> list[str]:
        """The monitors do; what they say is written down."""
        return []

    async def stimulus(self) -> None:
        ended: Exception | None = None
        with (
            mock.patch.object(transfer_test, "Bench", ContractBench),
            mock.patch.object(bench, "STALL_TICKS", SETS[self.name_of_set].patience),
        ):
            try:
                await super().stimulus()
            except Exception as error:  # noqa: BLE001 - a broken design may end in any way; the monitors saw it first
                ended = error
        if self.transfer is None:
            raise bench.StandstillError("the device never became ready") from ended
        complete = ended is None or isinstance(ended, bench.StandstillError)
        why = "" if ended is None else f"{type(ended).__name__}: {ended}"
        write(self.config.out, self.transfer.tap, complete=complete, lockstep=self._lockstep(), ended=why)

    def _lockstep(self) -> str:
        found = self.follower.divergence
        return "" if found is None else f"check {found.check}, {found.field}"


async def play(name: str) -> None:
    """Play a set; the test as such says nothing, contract.json does."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(type("SetTest", (ContractTest,), {"name_of_set": name}), keep_set={uvm_factory})


@cocotb.test()
async def sends(_: Any) -> None:
    """Sends, disconnects, the end."""
    await play("sends")


@cocotb.test()
async def receives(_: Any) -> None:
    """Requests and indications."""
    await play("receives")


@cocotb.test()
async def state(_: Any) -> None:
    """Query, update, invalidate, forward, neighbors."""
    await play("state")


@cocotb.test()
async def timers(_: Any) -> None:
    """Keepalive, persist, retransmission."""
    await play("timers")


@cocotb.test()
async def statistics(_: Any) -> None:
    """Counters of the statistics OIDs."""
    await play("statistics")


@cocotb.test()
async def closing(_: Any) -> None:
    """FIN_WAIT_2."""
    await play("closing")


@cocotb.test()
async def attacks(_: Any) -> None:
    """Segments of somebody who guesses."""
    await play("attacks")


@cocotb.test()
async def initiate(_: Any) -> None:
    """Hand-over in the middle of things."""
    await play("initiate")
