"""docs/errors.md on the golden device: every row of host port, images, memory and frames, beside a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from model.device.config import DeviceConfig
from model.device.follower import Follower
from model.device.golden import GoldenDevice
from model.device.memory import ErrorWindow
from model.device.records import Entry, Journal
from model.layout.generated import CQE_BYTES, SQE_BYTES, Csr
from model.ndis.miniport import DriverConfig
from tb.config import RunConfig
from tb.device.addresses import host_pages
from tb.device.model_loop import MEMORY_BASE, MEMORY_BYTES, ModelRun
from tb.session import summary
from tb.tests.command_cases import COMMAND_CASES
from tb.tests.error_cases import CASES as ERROR_CASES
from tb.tests.lab import DELAY, SIZE, Lab, LabDriver, LabTransfer, documented
from tb.tests.state_cases import STATE_CASES

#: Everything that the lab plays.
CASES = (*ERROR_CASES, *STATE_CASES, *COMMAND_CASES)


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


class LiveJournal(Journal):
    """Hands everything to a follower at once; keeps nothing."""

    def __init__(self, follower: Follower) -> None:
        super().__init__()
        self._follower = follower

    def add(self, tag: str, cycle: int, *values: int, data: bytes = b"") -> None:
        self._follower.feed(Entry(tag, cycle, values, data))


class FollowedPort(GoldenPort):
    """The same with a follower that sees the same failures."""

    def __init__(self, device: GoldenDevice, follower: Follower) -> None:
        super().__init__(device)
        self._follower = follower

    def inject(self, windows: Sequence[ErrorWindow]) -> None:
        """On both sides."""
        super().inject(windows)
        self._follower.inject_errors(list(windows))


class LabRun(ModelRun):
    """A session on the golden device with a lab beside it."""

    def __init__(
        self,
        config: RunConfig,
        lab: Lab,
        conns: int = 4,
        device: GoldenDevice | None = None,
        port: GoldenPort | None = None,
        settings: DriverConfig | None = None,
    ) -> None:
        self.device = device or GoldenDevice(conns, MEMORY_BYTES, config.seed, memory_base=MEMORY_BASE)
        allocator = host_pages(self.device.mem, MEMORY_BYTES, config.seed)
        session = LabTransfer(config, self.device.mem, allocator)
        driver = LabDriver(self.device, session.host, allocator, settings or DriverConfig(conns=conns, cq_log2=12))
        self.lab_driver = driver
        driver.lab = lab
        lab.attach(driver, port or GoldenPort(self.device), allocator)
        session.join(lab)
        self.begin(session, driver)

    def watch_frames(self) -> None:
        """The lab's connections are unknown to the monitors: they see what the network carries."""

    def advance(self) -> None:
        """One tick."""
        self._settle()
        self.device.tick()
        self.transfer.on_tick(self.tick)


@pytest.mark.rule("hostport", "M7", "blocks: rx_parser", "S03", "S12")
@pytest.mark.parametrize("seed", [1, 2])
def test_every_row_is_exact_while_another_connection_transfers(seed: int, tmp_path: Path) -> None:
    lab = Lab(CASES)
    run = LabRun(RunConfig(device="model", size=SIZE, delay=DELAY, seed=seed, out=tmp_path), lab)
    assert run.run() == ["error register shows 0xc"], lab.where()  # rows H-80 and H-81
    assert summary.verdict(run.transfer) == []
    assert sorted(lab.rows) == sorted(documented("HIMF"))
    assert lab.beside == len(CASES), "a case began when the session was over"


@pytest.mark.rule("architecture 3", "hostport", "M7")
@pytest.mark.parametrize("seed", [3, 4])
def test_the_follower_agrees_with_the_golden_device_in_every_row(seed: int, tmp_path: Path) -> None:
    config = DeviceConfig(conns=4)
    follower = Follower(bytes(MEMORY_BYTES), config=config, memory_base=MEMORY_BASE)
    journal = LiveJournal(follower)
    device = GoldenDevice(memory_bytes=MEMORY_BYTES, seed=seed, config=config, journal=journal, memory_base=MEMORY_BASE)
    lab = Lab(CASES)
    session = RunConfig(device="model", size=SIZE, delay=DELAY, seed=seed, out=tmp_path)
    run = LabRun(session, lab, device=device, port=FollowedPort(device, follower))
    assert run.run() == ["error register shows 0xc"], f"{lab.where()}: {follower.report('-')}"
    follower.finish()
    follower.compare_registers({r: device.mmio_read(r) for r in follower.compared_registers()})
    follower.final_compare(bytes(device.memory.contents))
    assert follower.divergence is None, follower.report("-")
    assert follower.commits_compared > 1000


def until_under_way(run: LabRun) -> None:
    """Carry a session on until a part of the file came back."""
    while run.transfer.progress < 0.1:
        run.advance()
    assert run.transfer.progress < 0.9


@pytest.mark.rule("M7", "hostport: soft reset")
@pytest.mark.parametrize("scene", ["R-01", "R-02", "R-03"])
def test_a_broken_session_is_followed_by_a_whole_one_after_a_reset(scene: str, tmp_path: Path) -> None:
    assert scene in documented("R")
    config = RunConfig(device="model", size=SIZE, seed=3, out=tmp_path)
    run = LabRun(config, Lab(()))
    until_under_way(run)
    device, driver = run.device, run.lab_driver
    sq, cq = driver.rings
    if scene != "R-03":
        window = {
            "R-01": ErrorWindow(sq, SQE_BYTES << driver.config.sq_log2, writes=False),
            "R-02": ErrorWindow(cq, CQE_BYTES << driver.config.cq_log2, reads=False),
        }[scene]
        device.inject_errors([window])
        for _ in range(200):
            run.advance()
        cause = 1 if scene == "R-01" else 2
        assert device.mmio_read(Csr.ERROR) == cause
        assert device.mmio_read(Csr.IRQ_CAUSE) & 2
        assert device.mmio_read(Csr.STATUS) & 2
        before = device.mmio_read(Csr.SQ_HEAD), device.mmio_read(Csr.CQ_TAIL)
        device.inject_errors([])
        for _ in range(50):
            run.advance()
        assert (device.mmio_read(Csr.SQ_HEAD), device.mmio_read(Csr.CQ_TAIL)) == before
        assert device.mmio_read(Csr.ERROR) == cause
    again = LabRun(RunConfig(device="model", size=SIZE, seed=4, out=tmp_path), Lab(()), device=device)
    for register in (Csr.ERROR, Csr.IRQ_CAUSE, Csr.CQ_TAIL, Csr.CNT_RX_FRAMES, Csr.CNT_CMD_ERRORS):
        assert device.mmio_read(register) == 0
    assert again.run() == []
    assert summary.verdict(again.transfer) == []
