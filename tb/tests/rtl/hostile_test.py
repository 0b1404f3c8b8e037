"""Hostile peers on the RTL, in lockstep: the attack takes half of the port, or all, beside eight good connections."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.env.base_test import top
from tb.files import write_json
from tb.hostile.cycles import Took, engine_cycles
from tb.hostile.score import CYCLES_MOST, REACHED_LEAST, room_most
from tb.hostile.session import HostileTransfer
from tb.session.transfer import Transfer
from tb.sim.run import RECORDS_NAME
from tb.tests.rtl.transfer_test import TransferTest, built


class HostileTest(TransferTest):
    """The session under attack; `hostile.json` has its figures."""

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """Host, network, victims and attackers."""
        self.hostile = HostileTransfer(
            self.config, self.port.mem, allocator, capture=self.config.out / "wire.pcapng", issue=self.bench.issue
        )
        self.hostile.pace(int(top().prescale.value))
        self.bench.frames.spaced = not self.config.whole_port
        settings = DriverConfig(conns=built("conns"), cq_log2=12)
        return self.hostile, MiniportDriver(self.port, self.hostile.host, allocator, settings)

    def extra_problems(self) -> list[str]:
        """Every frame entered, enough of them reached a live connection, none held the engine for long."""
        found = super().extra_problems()
        score, took = self.hostile.field.score, self._took()
        sent, reached = sum(score.frames.values()), sum(score.reached.values())
        if sent != self.config.frames:
            found.append(f"{sent} of {self.config.frames} attack frames entered")
        if reached < REACHED_LEAST * sent:
            found.append(f"only {reached} of {sent} attack frames reached a live connection")
        if took.engine > CYCLES_MOST:
            found.append(f"{took.engine} engine cycles for a frame, more than {CYCLES_MOST}")
        if took.room > room_most(self.config):
            found.append(
                f"{took.room} cycles of waiting for room behind the engine, more than {room_most(self.config)}"
            )
        return found

    def _took(self) -> Took:
        return engine_cycles(self.config.out / RECORDS_NAME, self.hostile.field.score.walks)

    def _write_results(self, seconds: float) -> None:
        super()._write_results(seconds)
        took = self._took()
        outcome = self.hostile.outcome(self.env.scoreboard.problems(), hang=not self.hostile.done)
        write_json(self.config.out / "hostile.json", outcome | {"cycles_max": took.engine, "room_max": took.room})


@cocotb.test()
async def eight_connections_go_on_beside_hostile_peers_with_no_divergence(_: Any) -> None:
    """Issue, "Hostile peers"."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(HostileTest, keep_set={uvm_factory})
