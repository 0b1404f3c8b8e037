"""A session of random contract operations around any device, in the place of a transfer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from model.ndis.calls import NdisCall
from model.ndis.host import HostConfig
from model.ndis.memory import HostMemory, PageAllocator
from tb.config import RunConfig
from tb.contract.host import ContractHost
from tb.contract.operator import Operator, Plan
from tb.contract.tally import Findings
from tb.contract.wire import ContractNetwork
from tb.session.network import NIC_IP, NIC_IP6, NIC_MAC
from tb.session.statistics import StatisticsQuestions
from tb.session.transfer import SessionError, Transfer


class ContractSession(Transfer):
    """Host, operator and far side of one seed; the device and its driver are attached from outside."""

    network_type = ContractNetwork

    def __init__(
        self,
        config: RunConfig,
        plan: Plan,
        memory: HostMemory,
        allocator: PageAllocator,
        *,
        capture: Path | None = None,
        issue: Callable[[NdisCall], None] | None = None,
    ) -> None:
        super().__init__(replace(config, file=None, size=1, conns=1), memory, allocator, capture=capture, issue=issue)
        self.apps = []
        self.tap.listeners.remove(self.seam_monitor.feed)  # it judges sessions that are cut
        settings = HostConfig(seed=config.seed, return_delay=30, keep_trace=False, joint_terminate=0.2, ip6=NIC_IP6)
        self.host: ContractHost = ContractHost(memory, allocator, NIC_MAC, NIC_IP, settings, issue)
        self.far_side = self._contract_network()
        self.statistics = StatisticsQuestions(self.host)
        self.host.on_abort = lambda connection: self.far_side.expect_reset(connection.stack.tcp.local.port)
        self.operator = Operator(plan, self.host, self.far_side)
        self.operator.misuser.expectations.tap = self.tap

    def _contract_network(self) -> ContractNetwork:
        if not isinstance(self.network, ContractNetwork):
            raise SessionError(f"{type(self.network).__name__} is no network of random contract operations")
        return self.network

    @property
    def progress(self) -> float:
        """Share of the work done; time passes in it, too, where no operation does."""
        return self.operator.share

    @property
    def over(self) -> bool:
        """Everything was done, every connection is over, every list and object back."""
        return self.operator.over and self.host.done

    def pump(self) -> bool:
        """Host, then operator, then host."""
        moved = super().pump()
        if not self.operator.over and self.operator.step():
            moved = True
            super().pump()
        return moved

    def next_deadline(self) -> int | None:
        """Every tick, as long as there is something to be done."""
        return self.host.now + 1 if not self.operator.spent else super().next_deadline()

    def problems(self) -> list[str]:
        """Everything that host, peers and monitors hold against this run."""
        expectations = self.operator.misuser.expectations
        self.tap.verdict()
        expectations.settle(finished=True)
        found = [f"host: {line}" for line in self.host.complaints]
        found += [f"driver: {line}" for line in self.driver_reports]
        found += [f"misuse: {line}" for line in expectations.missing]
        found += [f"stream: {line}" for line in self.operator.problems]
        found += [f"peer: {line}" for line in self.far_side.violations]
        found += [f"wire: {violation}" for violation in self.network.monitor.violations]
        found += [f"contract: {breach}" for breach in self.tap.verdict()]
        return found

    def findings(self, divergences: int, extra: list[str]) -> Findings:
        """What came of it."""
        violations = self.problems() + extra
        if not self.done:
            violations.append("the session did not come to its end")
        return Findings(
            seed=self.config.seed,
            asked=self.operator.plan.operations,
            operations=self.operator.tally,
            shapes=self.operator.shapes,
            divergences=divergences,
            violations=violations,
            nbl_twice=self.host.twice,
            nbl_never=len(self.host.out) + sum([len(m.lists) - len(m.returned) for m in self.host.misuses]),
            streams_exact=self.done and not self.operator.problems,
            bytes=self.operator.bytes,
            ticks=self.host.now,
        )
