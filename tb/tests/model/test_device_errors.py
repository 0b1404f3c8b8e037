"""docs/errors.md on the golden device: every row of host port, images, memory and frames, beside a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from model.device.golden import GoldenDevice
from model.device.memory import ErrorWindow
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig
from tb.config import RunConfig
from tb.device.model_loop import MEMORY_BASE, MEMORY_BYTES, ModelRun
from tb.session import summary
from tb.tests.error_cases import CASES
from tb.tests.lab import Lab, LabDriver, LabTransfer, documented


class GoldenPort:
    """The lab's end of the golden device."""

    def __init__(self, device: GoldenDevice) -> None:
        self._device = device

    def inject(self, windows: Sequence[ErrorWindow]) -> None:
        """At once: the golden device carries out what it is given in order of its own."""
        self._device.inject_errors(list(windows))

    def arrive(self, frame: bytes) -> None:
        """Into the receive port."""
        self._device.rx_frame(frame)

    def ask(self, offset: int) -> Callable[[], int | None]:
        """Registers are read at once."""
        return lambda: self._device.mmio_read(offset)


class LabRun(ModelRun):
    """A session on the golden device with a lab beside it."""

    def __init__(self, config: RunConfig, lab: Lab, conns: int = 4) -> None:
        self.device = GoldenDevice(conns=conns, memory_bytes=MEMORY_BYTES, seed=config.seed)
        allocator = PageAllocator(self.device.mem, MEMORY_BASE, MEMORY_BYTES, seed=config.seed)
        session = LabTransfer(config, self.device.mem, allocator)
        driver = LabDriver(self.device, session.host, allocator, DriverConfig(conns=conns, cq_log2=12))
        self.transfer, self.driver = session, driver
        session.attach(driver)
        driver.lab = lab
        lab.attach(driver, GoldenPort(self.device), allocator)
        session.join(lab)
        self.device.on_interrupt = driver.on_interrupt
        driver.reset()
        driver.start()


@pytest.mark.rule("hostport", "M7", "blocks: rx_parser")
@pytest.mark.parametrize("seed", [1, 2])
def test_every_row_is_exact_while_another_connection_transfers(seed: int, tmp_path: Path) -> None:
    lab = Lab(CASES)
    run = LabRun(RunConfig(device="model", size=65_536, seed=seed, out=tmp_path), lab)
    assert run.run() == ["error register shows 0xc"], lab.where()  # rows H-80 and H-81
    assert summary.verdict(run.transfer) == []
    assert sorted(lab.rows) == sorted(documented("HIMF"))
    assert lab.beside == len(CASES), "a case began when the session was over"
