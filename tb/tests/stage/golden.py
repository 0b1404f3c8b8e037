"""A session on the golden device with a stage beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from model.device.config import DeviceConfig
from model.device.golden import GoldenDevice
from model.device.memory import ErrorWindow
from model.ndis.miniport import DriverConfig
from tb.config import RunConfig
from tb.device.addresses import host_pages
from tb.device.model_loop import MEMORY_BASE, MEMORY_BYTES, ModelRun
from tb.tests.stage.driver import StageDriver
from tb.tests.stage.stage import Device, Stage
from tb.tests.stage.transfer import StageTransfer


class StageRun(ModelRun):
    """A session on the golden device with a stage beside it."""

    transfer_type: type[StageTransfer] = StageTransfer
    driver_type: type[StageDriver] = StageDriver

    def __init__(
        self,
        config: RunConfig,
        stage: Stage,
        conns: int = 4,
        *,
        driver_config: DriverConfig | None = None,
        device_config: DeviceConfig | None = None,
        capture: Path | None = None,
    ) -> None:
        self.device = GoldenDevice(conns, MEMORY_BYTES, config.seed, config=device_config, memory_base=MEMORY_BASE)
        allocator = host_pages(self.device.mem, MEMORY_BYTES, config.seed)
        transfer = self.transfer_type(config, self.device.mem, allocator, capture=capture)
        device = Device(self._inject, lambda: self.device.core, lambda: len(self.device.core.in_use), self._ask)
        face = transfer.join(stage, device, allocator)
        settings = driver_config or DriverConfig(conns=conns, cq_log2=12)
        self.begin(transfer, self.driver_type(self.device, face, allocator, settings))

    def _inject(self, windows: Sequence[ErrorWindow]) -> None:
        self.device.inject_errors(list(windows))

    def _ask(self, offset: int) -> Callable[[], int | None]:
        value = self.device.mmio_read(offset)
        return lambda: value
