"""Random contract operations on the RTL, in lockstep with the golden model."""

from __future__ import annotations

from typing import Any, cast

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.contract.operator import Plan
from tb.contract.regress import plan_of
from tb.contract.session import ContractSession
from tb.files import write_json
from tb.session.transfer import Transfer
from tb.sim.run import replay_command
from tb.tests.rtl.transfer_test import TransferTest, built


class ContractRandomTest(TransferTest):
    """A session of random operations in the place of the transfer."""

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """Host, operator and peers of this seed, and the driver below them."""
        self.contract = ContractSession(
            self.config,
            self.plan(),
            self.port.mem,
            allocator,
            capture=self.config.out / "wire.pcapng",
            issue=self.bench.issue,
        )
        settings = DriverConfig(conns=built("conns"), cq_log2=12, chain_unfinished=bool(self.config.seed & 1))
        return self.contract, MiniportDriver(self.port, self.contract.host, allocator, settings)

    def plan(self) -> Plan:
        """What is done."""
        return cast(Plan, plan_of(self.config))

    def extra_problems(self) -> list[str]:
        """Everything that host, peers and monitors hold against the run."""
        if self.transfer is None:
            return []
        found = self.contract.findings(0, [])
        lost = [f"{found.nbl_never} lists never came back"] if found.nbl_never else []
        twice = [f"{found.nbl_twice} lists came back twice"] if found.nbl_twice else []
        return [*found.violations, *lost, *twice]

    def _write_results(self, seconds: float) -> None:
        out = self.config.out
        self.close_trace()
        numbers = self.env.scoreboard.summary()
        others = self.env.scoreboard.problems() + [str(message) for message in self.errors.messages]
        found = self.contract.findings(int(numbers.get("divergences") or 0), others)
        found.seconds = seconds
        write_json(out / "findings.json", found.as_dict())
        write_json(out / "rtl.json", numbers | {"problems": found.violations, "sim_seconds": round(seconds, 2)})
        if self.follower.divergence is not None:
            (out / "divergence.txt").write_text(self.follower.report(replay_command(out)))


@cocotb.test()
async def random_operations_keep_the_contract_in_lockstep_and_lose_no_list(_: Any) -> None:
    """Issue: every allowed call in every state, and misuse of every kind; nothing lost, doubled or diverged."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(ContractRandomTest, keep_set={uvm_factory})
