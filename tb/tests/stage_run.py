"""A session on the golden device with a stage beside it (tb/tests/founding_stage.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model.device.config import DeviceConfig
from model.device.golden import GoldenDevice
from model.device.memory import ErrorWindow
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig
from tb.config import RunConfig
from tb.device.model_loop import MEMORY_BASE, MEMORY_BYTES, ModelRun
from tb.tests.founding_stage import Device, Stage, StageDriver, StageTransfer


class StageRun(ModelRun):
    """A session on the golden device with a stage beside it."""

    def __init__(
        self,
        config: RunConfig,
        stage: Stage,
        conns: int = 4,
        *,
        driver_config: DriverConfig | None = None,
        device_config: DeviceConfig | None = None,
    ) -> None:
        self.device = GoldenDevice(conns, MEMORY_BYTES, config.seed, config=device_config)
        allocator = PageAllocator(self.device.mem, MEMORY_BASE, MEMORY_BYTES, seed=config.seed)
        session = StageTransfer(config, self.device.mem, allocator)
        face = session.join(stage, Device(self._inject, lambda: self.device.core, self._ask), allocator)
        settings = driver_config or DriverConfig(conns=conns, cq_log2=12)
        driver = StageDriver(self.device, face, allocator, settings)
        self.transfer, self.driver = session, driver
        session.attach(driver)
        self.device.on_interrupt = driver.on_interrupt
        self.watch_frames()
        driver.reset()
        driver.start()

    def _inject(self, windows: Sequence[ErrorWindow]) -> None:
        self.device.inject_errors(list(windows))

    def _ask(self, offset: int) -> Callable[[], int | None]:
        value = self.device.mmio_read(offset)
        return lambda: value
