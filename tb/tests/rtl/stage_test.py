"""A session on the RTL with a stage beside it, in lockstep: base of tests that play scenes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from model.device.memory import ErrorWindow
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.session.transfer import Transfer
from tb.tests.rtl.errors_test import set_windows
from tb.tests.rtl.transfer_test import TransferTest, built
from tb.tests.stage import DELAY, SIZE, Device, Stage, StageDriver, StageTransfer


class StageTest(TransferTest):
    """The transfer with a stage beside it; what the scenes left behind is judged at the end."""

    transfer_type: type[StageTransfer] = StageTransfer
    driver_type: type[StageDriver] = StageDriver
    #: The session beside the scenes: bytes, and ticks a frame travels.
    size, delay = SIZE, DELAY
    stage: Stage

    def scenes(self) -> Stage:
        """What is played."""
        raise NotImplementedError(f"{type(self).__name__} must say what is played")

    def judge(self) -> list[str]:
        """What is wrong with that which the scenes left behind, all of them played."""
        raise NotImplementedError(f"{type(self).__name__} must judge what it played")

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """The session and its stage."""
        self.stage = self.scenes()
        self.config = replace(self.config, size=self.size, conns=1, delay=self.delay)
        transfer = self.transfer_type(
            self.config, self.port.mem, allocator, capture=self.config.out / "wire.pcapng", issue=self.bench.issue
        )
        held = self.env.scoreboard.tcb_table.held
        device = Device(self._inject, lambda: self.follower.core, held, self._ask)
        face = transfer.join(self.stage, device, allocator)
        return transfer, self.driver_type(self.port, face, allocator, self.settings())

    def seen(self, found: Mapping[str, Any]) -> Mapping[str, Collection[str]]:
        """The rules that count in the own part of each test that cites some, of what the tap of the run says."""
        return {}

    def contract_result(self) -> dict[str, Any]:
        found = super().contract_result()
        tests = {test: sorted(rules) for test, rules in self.seen(found).items()}
        return found | ({"tests": tests} if tests else {})

    def extra_problems(self) -> list[str]:
        """The session is clean, every scene came to its end, and left behind what it should."""
        found = super().extra_problems()
        if not self.stage.over:
            return [*found, f"the stage waits at {self.stage.where()}"]
        return found + self.judge()

    def settings(self) -> DriverConfig:
        """The driver's sizes."""
        return DriverConfig(conns=built("conns"), cq_log2=12)

    def _ask(self, offset: int) -> Callable[[], int | None]:
        self.port.shadow.pop(offset, None)
        self.port.mmio_read(offset)
        return lambda: self.port.shadow.get(offset)

    def _inject(self, windows: Sequence[ErrorWindow]) -> None:
        """On both sides; nothing may be using the windows at this moment, for they see it at different times."""
        self.follower.inject_errors(list(windows))
        self.port.post_action(lambda: set_windows(windows))
