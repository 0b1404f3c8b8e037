"""The golden device alone in a plain loop: the whole session in milliseconds, without a simulator."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from model.device.golden import GoldenDevice
from model.device.records import Journal
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.config import RunConfig
from tb.device.addresses import host_base, host_pages
from tb.session.transfer import SessionError, Transfer

MEMORY_BYTES = 32 << 20
MEMORY_BASE = host_base(MEMORY_BYTES)
#: Ticks without a byte coming back after which a run counts as standing still.
STALL_TICKS = 300_000


class ModelRun:
    """One session on the golden device. ``run`` carries it to its end."""

    #: What is played; others put their own here.
    transfer_type: type[Transfer] = Transfer

    def __init__(
        self, config: RunConfig, capture: Path | None = None, conns: int = 64, journal: Journal | None = None
    ) -> None:
        self.device = GoldenDevice(conns, MEMORY_BYTES, config.seed, journal=journal, memory_base=MEMORY_BASE)
        memory = self.device.mem
        allocator = host_pages(memory, MEMORY_BYTES, config.seed)
        transfer = self.transfer_type(config, memory, allocator, capture=capture)
        settings = DriverConfig(conns=conns, cq_log2=12)
        self.begin(transfer, MiniportDriver(self.device, transfer.host, allocator, settings))

    def begin(self, transfer: Transfer, driver: MiniportDriver) -> None:
        """Bring the driver up below the host, with everything around the device in its place."""
        self.transfer, self.driver = transfer, driver
        self.transfer.attach(self.driver)
        if self.transfer.seam is not None:
            self.transfer.seam.core = lambda: self.device.core
            self.transfer.seam.cycle = lambda: self.device.events
        self._resting = False
        self.transfer.quiet = lambda: self._resting
        self.device.on_interrupt = self.driver.on_interrupt
        self.watch_frames()
        self.driver.reset()
        self.driver.start()

    def watch_frames(self) -> None:
        """The monitors see a frame when it leaves, in its place among the driver's calls."""
        network = self.transfer.network
        network.watched_apart = True
        self.device.on_transmit = lambda frame: network.watched(frame, self.tick)

    @property
    def tick(self) -> int:
        """Protocol time."""
        return self.device.now

    def run(self) -> list[str]:
        """Until everything is over; the problems met on the way."""
        last_progress = (0, 0.0)
        while not self.transfer.done:
            self._settle()
            if (progress := self.transfer.progress) != last_progress[1]:
                last_progress = (self.tick, progress)
            elif self.tick - last_progress[0] > STALL_TICKS:
                return [f"no byte came back for {STALL_TICKS} ticks"]
            self.device.tick()
            self.transfer.on_tick(self.tick)
        self._settle()
        return self.device.problems()

    def _settle(self) -> None:
        """Everything that is possible without time passing."""
        arriving: deque[bytes] = deque()  # at the port, waiting for room behind it
        for _ in range(100_000):
            moved = self.transfer.pump()
            moved |= self.device.run(None if self.transfer.seam is None else self.transfer.seam.steps)
            for frame in self.device.pop_tx():
                moved = True
                self.transfer.network.from_nic(frame, self.tick)
            arriving.extend(self.transfer.network.due(self.tick))
            moved |= self._arrive(arriving, press=not moved)
            self._resting = not moved
            if self._resting:
                return
        raise SessionError("device, host and network never come to rest at one tick")

    def _arrive(self, arriving: deque[bytes], *, press: bool) -> bool:
        """Frames come in as fast as the receive buffer takes them, as the wire's rate lets a device that works.

        With ``press`` one comes although there is no room: the device rests and will not make any.
        """
        moved = False
        while arriving and (press or self.device.has_room(arriving[0])):
            frame = arriving.popleft()
            self.device.rx_frame(frame)
            self.transfer.network.entered(frame, self.tick)
            moved, press = True, False
        return moved
