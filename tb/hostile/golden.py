"""A session under attack on the golden device."""

from __future__ import annotations

from pathlib import Path

from model.device.golden import GoldenDevice
from tb.config import RunConfig
from tb.device.model_loop import ModelRun
from tb.hostile.session import HostileTransfer
from tb.session.transfer import SessionError


class HostileRun(ModelRun):
    """Carries it to its end, or to its bound: then ``hang`` is set."""

    transfer_type = HostileTransfer
    device: GoldenDevice

    def __init__(self, config: RunConfig, capture: Path | None = None) -> None:
        super().__init__(config, capture)
        if not isinstance(self.transfer, HostileTransfer):
            raise TypeError("only a session with hostile peers can be attacked")
        self.session = self.transfer
        self.hang = False

    def run(self) -> list[str]:
        """Until everything is over; the problems met on the way."""
        try:
            while not self.session.done:
                self._settle()
                if self.tick > self.session.bound:
                    self.hang = True
                    return [f"not over after {self.tick} ticks: {self.session.progress:.3f} of the good bytes are back"]
                self.device.tick()
                self.session.on_tick(self.tick)
            self._settle()
        except SessionError as error:
            self.hang = True
            return [str(error)]
        return self.device.problems()
