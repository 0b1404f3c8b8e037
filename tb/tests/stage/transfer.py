"""The session with a stage beside it."""

from __future__ import annotations

from model.ndis.calls import MiniportFace
from model.ndis.enums import TcpConnectionState
from model.ndis.file_transfer import AppPhase
from model.ndis.intermediate import IntermediateDriver
from model.ndis.memory import PageAllocator
from tb.session.transfer import Transfer
from tb.tests.stage.driver import StageDriver
from tb.tests.stage.network import StageNetwork
from tb.tests.stage.stage import Device, Stage
from tb.tests.stage.taps import DownTap, Taps, UpTap


class StageTransfer(Transfer):
    """The session with a stage beside it: it is over when both are."""

    network_type = StageNetwork
    stage: Stage | None = None
    taps: Taps

    def join(self, stage: Stage, device: Device, allocator: PageAllocator) -> UpTap:
        """Play ``stage`` beside the session; the driver is to be made on top of the face that is returned."""
        assert isinstance(self.network, StageNetwork)
        self.stage = self.network.stage = stage
        stage.transfer, stage.host, stage.device, stage.allocator = self, self.host, device, allocator
        self.taps = Taps(stage)
        return UpTap(self.taps, self.host)

    @property
    def reached(self) -> tuple[float, bool, int]:
        """How far session and stage are: traces wait for hours, one after the other, when the file is long back."""
        steps = 0 if self.stage is None else self.stage.steps
        return self.progress, self.over, steps

    @property
    def ahead(self) -> int:
        """Ticks by which the host's clock is ahead of the device's."""
        return self._skipped

    def skew(self, ticks: int) -> None:
        """From now on the host's clock is so much further ahead of the device's."""
        self._skipped += ticks
        self.host.on_tick(self.host.now + ticks)

    @property
    def session_over(self) -> bool:
        """The session's connections are over, or wait in software for their last ticks."""
        last = TcpConnectionState.TIME_WAIT
        return all(app.done or (app.phase is AppPhase.SOFTWARE and app.tcp_state is last) for app in self.apps)

    def _skip_time_wait(self) -> bool:
        """Not while scenes are played: host and device must agree on the time."""
        return (self.stage is None or self.stage.over) and super()._skip_time_wait()

    def intermediate(self, below: MiniportFace, layer: int) -> IntermediateDriver:
        """An intermediate driver whose memory runs out when the stage says so."""
        stage = self.stage
        if stage is None:
            return super().intermediate(below, layer)
        driver = IntermediateDriver(below, has_memory=lambda: layer not in stage.starving)
        stage.layers.adapters.append(driver.adapter)
        return driver

    def attach(self, driver: MiniportFace) -> None:
        """Bind the miniport driver below the host, with taps at every face between."""
        if self.stage is not None and isinstance(driver, StageDriver):
            self.stage.driver = driver
            self.stage.layers.adapters.append(driver.adapter)
        super().attach(driver)
        if self.stage is not None:
            binding = self.host.binding
            binding.face = DownTap(self.taps, binding.face)
            self.stage.layers.watch()

    def pump(self) -> bool:
        """Host, then stage."""
        moved = super().pump()
        if self.stage is not None and self.stage.step():
            moved = True
            super().pump()
        return moved

    @property
    def over(self) -> bool:
        """Session and scenes are over."""
        return super().over and (self.stage is None or self.stage.over)
