"""Sessions that bring connections into every condition in which they are to be cut (`make seam`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from model.ndis.cut_transfer import CutTransferApp
from model.ndis.file_transfer import FileTransferApp
from tb.config import RunConfig
from tb.peers.connection import TcpConfig
from tb.session.seam import Plan, wanted_plans
from tb.session.transfer import RecordingEcho, Transfer

READS_FOR, PAUSES_FOR = 9, 900
"""Ticks that an application reads, and that it does not: longer than the first probes of a closed window."""


class PausingEcho(RecordingEcho):
    """Echoes, but does not read for long whiles, so that its receive window closes."""

    now = 0

    def room(self) -> int:
        """Nothing while it pauses."""
        return 0 if self.now % (READS_FOR + PAUSES_FOR) >= READS_FOR else super().room()


class ClosingEcho(RecordingEcho):
    """Closes as soon as it has echoed ``total`` bytes, before the other side does."""

    total = 0

    def wants_close(self) -> bool:
        """All is written back."""
        return self.received_bytes >= self.total and not self._pending


@dataclass(frozen=True)
class Story:
    """What a session is like, and which conditions it is searched for, as often as named."""

    name: str
    wanted: tuple[str, ...]
    size: int = 300_000
    loss: float = 0.0
    echo: type[RecordingEcho] = RecordingEcho
    receive_buffer: int = 256 * 1024
    disconnect_bytes: int = 0


_CLOSING: Final = ("graceful disconnect pending", "FIN sent")
STORIES: Final = (
    Story(
        "clean",
        ("wrap in flight", "slow start", "indication pending", "indication pending", "data buffered", *_CLOSING),
    ),
    Story("losses", ("recovery", "recovery", "after an RTO", "after an RTO", "wrap in flight", *_CLOSING), loss=0.05),
    Story(
        "closed window",
        ("zero window", "zero window", "zero window", "data buffered", *_CLOSING),
        size=60_000,
        echo=PausingEcho,
        receive_buffer=8 * 1024,
        disconnect_bytes=3000,
    ),
    Story(
        "the peer closes first",
        ("wrap in flight", "indication pending", "FIN received", "FIN received", *_CLOSING),
        size=100_000,
        echo=ClosingEcho,
    ),
)


class SeamTransfer(Transfer):
    """One session with the cuts of its story. The seed says which."""

    def __init__(self, config: RunConfig, *more: object, **settings: object) -> None:
        self.story = story_of(config)
        self.peer_tcp = TcpConfig(receive_buffer=self.story.receive_buffer)
        super().__init__(config, *more, **settings)  # type: ignore[arg-type]

    @property
    def app_type(self) -> type[FileTransferApp]:
        """Applications that can be cut."""
        return CutTransferApp

    def plans(self) -> list[Plan]:
        """One cut for each wanted condition."""
        return wanted_plans(self.config.seed, list(self.story.wanted))

    def new_echo(self) -> RecordingEcho:
        """The story's."""
        echo = self.story.echo()
        if isinstance(echo, ClosingEcho):
            echo.total = len(self.data)
        return echo

    def on_tick(self, tick: int) -> None:
        """Time for the peer's applications, too."""
        super().on_tick(tick)
        for connection, echo in zip(self.network.tcp_peer.connections, self.echoes, strict=False):
            if isinstance(echo, PausingEcho):
                paused, echo.now = echo.room() == 0, tick
                if paused and echo.room():
                    connection.poke(tick)

    def next_deadline(self) -> int | None:
        """As any session; and when an application begins to read again."""
        soon = super().next_deadline()
        paused = [echo for echo in self.echoes if isinstance(echo, PausingEcho) and echo.room() == 0]
        if not paused or self.done:
            return soon
        period = READS_FOR + PAUSES_FOR
        reads = (paused[0].now // period + 1) * period
        return reads if soon is None else min(soon, reads)


def story_of(config: RunConfig) -> Story:
    """The story of a seed."""
    return STORIES[config.seed % len(STORIES)]


def seam_config(config: RunConfig, seed: int) -> RunConfig:
    """The configuration of the session with this seed: one connection, the story's network."""
    story = STORIES[seed % len(STORIES)]
    return replace(config, seed=seed, size=story.size, file=None, conns=1, loss=story.loss, cuts=len(story.wanted))
