"""The environment: three agents and the lockstep scoreboard."""

from __future__ import annotations

from pyuvm import uvm_env

from tb.env.agents import HostAgent, RegisterAgent, WireAgent
from tb.env.scoreboard import LockstepScoreboard


class ChimneyEnv(uvm_env):  # type: ignore[misc]  # pyuvm is untyped
    """Host, wire and register agents around the device; the scoreboard follows the commit port."""

    def build_phase(self) -> None:
        self.host = HostAgent.create("host", self)
        self.wire = WireAgent.create("wire", self)
        self.registers = RegisterAgent.create("registers", self)
        self.scoreboard = LockstepScoreboard.create("scoreboard", self)
