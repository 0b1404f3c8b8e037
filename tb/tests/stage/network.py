"""The network of a session with a stage: frames of the far ends pass beside those of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tb.session.network import Network

if TYPE_CHECKING:
    from tb.tests.stage.stage import Stage

#: MAC addresses of an Ethernet frame.
DESTINATION, SOURCE = slice(0, 6), slice(6, 12)


class StageNetwork(Network):
    """The network of the session; frames for the far ends go to the stage, past the impairments."""

    plain = False

    stage: Stage | None = None

    def from_nic(self, frame: bytes, tick: int) -> None:
        """The NIC transmitted ``frame``."""
        if self.stage is None or not self.stage.is_far_end(frame[DESTINATION]):
            super().from_nic(frame, tick)
            return
        if not self.watched_apart:
            self.watched(frame, tick)
        self.aside(frame, tick)
        self.stage.sent(frame, tick)

    def watched(self, frame: bytes, tick: int) -> None:
        """A frame leaves now, before anything that the device says of it."""
        super().watched(frame, tick)
        if self.stage is not None and self.stage.is_far_end(frame[DESTINATION]):
            self.stage.left(frame, tick)

    def entered(self, frame: bytes, tick: int) -> None:
        """A frame is inside the NIC."""
        super().entered(frame, tick)
        if self.stage is not None and self.stage.is_far_end(frame[SOURCE]):
            self.stage.entered(frame, tick)

    def due(self, tick: int) -> list[bytes]:
        """Those of the session, then those of the far ends."""
        found = super().due(tick)
        if self.stage is not None:
            found += self.stage.frames
            self.stage.frames.clear()
        return found

    def next_deadline(self) -> int | None:
        """Frames of far ends are due at once."""
        due = [super().next_deadline()]
        if self.stage is not None:
            due += [1 if self.stage.frames else None, self.stage.alarm]
        return min((tick for tick in due if tick is not None), default=None)
