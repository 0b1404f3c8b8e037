"""Random contract operations on the golden device, in a plain loop."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass

from model.device.golden import GoldenDevice
from model.ndis.bookkeeping import ContractError
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.config import RunConfig
from tb.contract.operator import Plan
from tb.contract.session import ContractSession
from tb.contract.tally import Findings
from tb.device.addresses import host_base, host_pages
from tb.session.transfer import SessionError

MEMORY_BYTES = 64 << 20
#: Ticks without progress after which a run counts as standing still.
STALL_TICKS = 300_000


@dataclass(eq=False)
class GoldenRun:
    """One seed."""

    config: RunConfig
    plan: Plan

    def __post_init__(self) -> None:
        seed = self.plan.seed
        self.device = GoldenDevice(64, MEMORY_BYTES, seed, memory_base=host_base(MEMORY_BYTES))
        memory = self.device.mem
        allocator = host_pages(memory, MEMORY_BYTES, seed)
        self.session = ContractSession(self.config, self.plan, memory, allocator)
        settings = DriverConfig(conns=64, cq_log2=12, chain_unfinished=bool(seed & 1))
        self.driver = MiniportDriver(self.device, self.session.host, allocator, settings)
        self.session.attach(self.driver)
        self.device.on_interrupt = self.driver.on_interrupt
        network = self.session.network
        network.watched_apart = True
        self.device.on_transmit = lambda frame: network.watched(frame, self.device.now)
        self.driver.reset()
        self.driver.start()

    def run(self) -> Findings:
        """Until everything is over."""
        started = time.process_time()
        failure: list[str] = []
        try:
            self._carry()
        except (ContractError, SessionError) as error:
            failure = [f"{type(error).__name__}: {error}"]
        except Exception:  # noqa: BLE001 - whatever ends a seed is a finding of that seed
            failure = [traceback.format_exc()]
        found = self.session.findings(len(self.device.problems()), failure + self.device.problems())
        found.seconds = time.process_time() - started
        return found

    def _carry(self) -> None:
        last = (0, -1.0)
        while not self.session.done:
            self._settle()
            if self.session.progress != last[1]:
                last = (self.device.now, self.session.progress)
            elif self.device.now - last[0] > STALL_TICKS:
                raise SessionError(f"nothing was done for {STALL_TICKS} ticks")
            self.device.tick()
            self.session.on_tick(self.device.now)
        self._settle()

    def _settle(self) -> None:
        """Everything that is possible without time passing."""
        network = self.session.network
        for _ in range(100_000):
            moved = self.session.pump()
            moved |= self.device.run()
            for frame in self.device.pop_tx():
                moved = True
                network.from_nic(frame, self.device.now)
            for frame in network.due(self.device.now):
                moved = True
                self.device.rx_frame(frame)
                network.entered(frame, self.device.now)
            if not moved:
                return
        raise SessionError("device, host and network never come to rest at one tick")
