"""The stage: plays scenes one after the other beside an ordinary session, through its host and driver.

A scene is a generator, as in the lab: it yields conditions and goes on when they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.device.core import Core
from model.device.memory import ErrorWindow
from model.ndis.calls import MiniportFace
from model.ndis.enums import TcpConnectionState
from model.ndis.file_transfer import AppPhase
from model.ndis.framing import decode
from model.ndis.host import NdisHost
from model.ndis.intermediate import IntermediateDriver
from model.ndis.memory import HostMemory, PageAllocator
from tb.session.network import Network
from tb.session.transfer import Transfer
from tb.tests.founding.driver import StageDriver
from tb.tests.founding.far import FAR_MAC
from tb.tests.founding.layers import Layers
from tb.tests.founding.moments import ARRIVAL, WIRE, Moment, Resources, Scene
from tb.tests.founding.story import Story
from tb.tests.founding.taps import DownTap, Taps, UpTap
from tb.tests.lab import place_of

#: Ticks after which everything the device had to do for a frame is done, and no timer of TCP has fired.
QUIET = 30
#: The session beside the scenes: bytes, and ticks a frame travels.
SIZE, DELAY = 24_576, 20


@dataclass
class Device:
    """What a stage needs of the device beyond its driver."""

    #: Accesses of the device in these windows fail from now on.
    inject: Callable[[Sequence[ErrorWindow]], None]
    #: The state of all blocks: the golden device's own, or the one that lockstep holds beside the RTL.
    core: Callable[[], Core]


class Stage:
    """Plays scenes one after the other. ``stories`` holds what came of them."""

    def __init__(self, scenes: Sequence[Callable[[Stage], Scene]]) -> None:
        self.stories: dict[str, Story] = {}
        self.frames: list[bytes] = []
        self.session_over: Callable[[], bool] = lambda: True
        self.host: NdisHost
        self.driver: StageDriver
        self.allocator: PageAllocator
        self.device: Device
        self.layers = Layers()
        #: Intermediate drivers, by layer, that have no memory now.
        self.starving: set[int] = set()
        self._scenes = list(scenes)
        self._running: Scene | None = None
        self._waiting: Callable[[], bool] = lambda: True
        self._alarm: int | None = None

    @property
    def memory(self) -> HostMemory:
        """Host memory."""
        return self.host.memory

    @property
    def over(self) -> bool:
        """All scenes were played."""
        return not self._scenes and self._running is None

    def where(self) -> str:
        """What the running scene waits for, for messages."""
        return place_of(self._running) or f"{len(self._scenes)} scenes left"

    def step(self) -> bool:
        """Take the scenes as far as they go now; True if anything moved."""
        moved = False
        while True:
            if self._running is None:
                if not self._scenes:
                    return moved
                self._running = self._scenes.pop(0)(self)
            elif not self._waiting():
                return moved
            moved = True
            try:
                self._waiting = next(self._running)
            except StopIteration:
                self._running, self._waiting = None, lambda: True

    def story(self, name: str) -> Story:
        """A new connection."""
        assert name not in self.stories
        self.stories[name] = Story(self, name, len(self.stories))
        return self.stories[name]

    def by_port(self, port: int) -> Story | None:
        """The story of a local port."""
        return next((s for s in self.stories.values() if s.far.local_port == port), None)

    def quiet(self, ticks: int = QUIET) -> Scene:
        """Let the device do everything that it has to do."""
        until = self._alarm = self.host.now + ticks
        yield lambda: self.host.now >= until
        self._alarm = None

    @property
    def alarm(self) -> int | None:
        """The tick the running scene waits for."""
        return self._alarm

    def arrive(self, frame: bytes) -> None:
        """A frame of a far end goes to the NIC."""
        self.frames.append(frame)

    def sent(self, frame: bytes) -> None:
        """A frame reaches a far end."""
        segment = decode(frame)
        assert segment is not None
        story = self.by_port(segment.source.port)
        assert story is not None
        story.far.take(segment)

    def left(self, frame: bytes, tick: int) -> None:
        """A frame to a far end left the NIC."""
        segment = decode(frame)
        story = None if segment is None else self.by_port(segment.source.port)
        if story is not None:
            story.note(Moment(WIRE, tick, segment=segment))

    def entered(self, frame: bytes, tick: int) -> None:
        """A frame of a far end is inside the NIC."""
        segment = decode(frame)
        story = None if segment is None else self.by_port(segment.destination.port)
        if story is not None:
            story.note(Moment(ARRIVAL, tick, segment=segment))

    def resources(self) -> Resources:
        """What is in use now."""
        core = self.device.core()
        return Resources(
            self.allocator.used_pages,
            self.driver.counts,
            len(core.in_use),
            len(core.lookup),
            len(core.free),
            core.credits + core.credit_pending,
            self.driver.posts_waiting,
        )


class StageNetwork(Network):
    """The network of the session; frames for the far ends go to the stage, past the impairments."""

    stage: Stage | None = None

    def from_nic(self, frame: bytes, tick: int) -> None:
        """The NIC transmitted ``frame``."""
        if self.stage is None or frame[0:6] != FAR_MAC:
            super().from_nic(frame, tick)
            return
        if not self.watched_apart:
            self.watched(frame, tick)
        self.stage.sent(frame)

    def watched(self, frame: bytes, tick: int) -> None:
        """A frame leaves now, before anything that the device says of it."""
        super().watched(frame, tick)
        if self.stage is not None and frame[0:6] == FAR_MAC:
            self.stage.left(frame, tick)

    def entered(self, frame: bytes, tick: int) -> None:
        """A frame is inside the NIC."""
        super().entered(frame, tick)
        if self.stage is not None and frame[6:12] == FAR_MAC:
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


class StageTransfer(Transfer):
    """The session with a stage beside it: it is over when both are."""

    network_type = StageNetwork
    stage: Stage | None = None
    taps: Taps

    def join(self, stage: Stage, device: Device, allocator: PageAllocator) -> UpTap:
        """Play ``stage`` beside the session; the driver is to be made on top of the face that is returned."""
        assert isinstance(self.network, StageNetwork)
        self.stage = self.network.stage = stage
        stage.host, stage.device, stage.allocator = self.host, device, allocator
        stage.session_over = self._session_over
        self.taps = Taps(stage)
        return UpTap(self.taps, self.host)

    def _session_over(self) -> bool:
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
    def done(self) -> bool:
        """Session and scenes are over."""
        return super().done and (self.stage is None or self.stage.over)
