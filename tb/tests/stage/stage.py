"""The stage: plays scenes one after the other beside an ordinary session, through its host and driver.

A scene is a generator, as in the lab: it yields conditions and goes on when they hold. What crosses the NDIS face and
the wire is kept as a list of moments for each connection; judgements see nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model.device.core import Core
from model.device.memory import ErrorWindow
from model.ndis.framing import decode
from model.ndis.host import NdisHost
from model.ndis.memory import HostMemory, PageAllocator
from tb.session.contract_tap import ContractTap
from tb.tests.lab import place_of
from tb.tests.stage.driver import StageDriver
from tb.tests.stage.layers import Layers
from tb.tests.stage.moments import ARRIVAL, WIRE, Moment, Resources, Scene
from tb.tests.stage.story import Story

if TYPE_CHECKING:
    from tb.tests.stage.transfer import StageTransfer

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
    #: Connections that it holds: in its own tables, also where those of ``core`` run beside the RTL.
    held: Callable[[], int]
    #: Read a register; the result calls back None until it is there.
    ask: Callable[[int], Callable[[], int | None]]


def chapter(number: int) -> str:
    """The chapter of the n-th scene of a run, counted from 1."""
    return f"scene {number}"


class _Read(Mapping[str, Story]):
    """Stories that remember which of them were looked at."""

    def __init__(self, stories: Mapping[str, Story]) -> None:
        self._stories = stories
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Story:
        self.read.add(name)
        return self._stories[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stories)

    def __len__(self) -> int:
        return len(self._stories)


class Stage:
    """Plays scenes one after the other. ``stories`` holds what came of them."""

    def __init__(self, scenes: Sequence[Callable[[Stage], Scene]]) -> None:
        self.stories: dict[str, Story] = {}
        self.frames: list[bytes] = []
        #: What the host gave to the ordinary send path and has not left yet.
        self.raw: list[bytes] = []
        self.transfer: StageTransfer
        self.host: NdisHost
        self.driver: StageDriver
        self.allocator: PageAllocator
        self.device: Device
        self.layers = Layers()
        #: Intermediate drivers, by layer, that have no memory now.
        self.starving: set[int] = set()
        #: The chapter of the run, as its contract monitors count, in which each story is told.
        self.chapters: dict[str, str] = {}
        self._chapter = 0
        self._scenes = list(scenes)
        #: Steps of all scenes so far.
        self.steps = 0
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
                self._chapter += 1
                self.tap.monitors.chapter = chapter(self._chapter)
                self._running = self._scenes.pop(0)(self)
            elif not self._waiting():
                return moved
            moved = True
            self.steps += 1
            try:
                self._waiting = next(self._running)
            except StopIteration:
                self._running, self._waiting = None, lambda: True

    def story(self, name: str) -> Story:
        """A new connection."""
        assert name not in self.stories
        self.told(name, Story(self, name, len(self.stories)))
        return self.stories[name]

    def told(self, name: str, story: Story) -> None:
        """A story begins in the scene that is played."""
        self.stories[name] = story
        self.chapters[name] = chapter(self._chapter)

    def read_by(self, test: Callable[[Mapping[str, Story]], object]) -> list[str]:
        """The chapters in which the stories are told that a test looks at."""
        stories = _Read(self.stories)
        with suppress(Exception):  # what the test says of them is judged elsewhere
            test(stories)
        return sorted({self.chapters[name] for name in stories.read})

    def by_port(self, port: int, far_ip: bytes = b"") -> Story | None:
        """The story of a local port; of several the one with the far end at this address."""
        found = None
        for story in self.stories.values():
            far = story.far
            if far.local_port == port:
                if far.ip == far_ip:
                    return story
                found = found or story
        return found

    @property
    def tap(self) -> ContractTap:
        """Where the contract monitors listen."""
        return self.transfer.tap

    def session_over(self) -> bool:
        """The session beside the scenes is over, or waits in software for its last ticks."""
        return self.transfer.session_over

    @property
    def now(self) -> int:
        """The device's clock."""
        return self.host.now - self.transfer.ahead

    def skew(self, ticks: int) -> None:
        """From now on the host's clock is so much further ahead of the device's."""
        self.transfer.skew(ticks)

    def quiet(self, ticks: int = QUIET) -> Scene:
        """Let the device do everything that it has to do."""
        yield from self.until(self.now + ticks)

    def until(self, tick: int) -> Scene:
        """Let the device's clock come to ``tick``."""
        self._alarm = tick
        yield lambda: self.now >= tick
        self._alarm = None

    def wake_at(self, tick: int | None) -> None:
        """The running scene looks again at ``tick`` of the device's clock at the latest."""
        self._alarm = tick

    @property
    def alarm(self) -> int | None:
        """The tick of the device's clock that the running scene waits for."""
        return self._alarm

    def register(self, offset: int) -> Generator[Callable[[], bool], None, int]:
        """A register of the device."""
        get = self.device.ask(offset)
        yield lambda: get() is not None
        value = get()
        assert value is not None
        return value

    def is_far_end(self, mac: bytes) -> bool:
        """Whether a far end of the stage has this address."""
        return any(mac == story.far.mac for story in self.stories.values())

    def arrive(self, frame: bytes) -> None:
        """A frame of a far end goes to the NIC."""
        self.frames.append(frame)

    def sent(self, frame: bytes, tick: int) -> None:
        """A frame reaches a far end."""
        segment = decode(frame)
        assert segment is not None
        story = self.by_port(segment.source.port, segment.destination.ip)
        assert story is not None
        story.far.tick = tick
        story.far.take(segment)

    def left(self, frame: bytes, tick: int) -> None:
        """A frame to a far end left the NIC."""
        segment = decode(frame)
        story = None if segment is None else self.by_port(segment.source.port, segment.destination.ip)
        raw = frame in self.raw
        if raw:
            self.raw.remove(frame)
        if story is not None:
            story.note(Moment(WIRE, tick, segment=segment, raw=raw))

    def entered(self, frame: bytes, tick: int) -> None:
        """A frame of a far end is inside the NIC."""
        segment = decode(frame)
        story = None if segment is None else self.by_port(segment.destination.port, segment.source.ip)
        if story is not None:
            story.note(Moment(ARRIVAL, tick, segment=segment))

    def loaded(self) -> int:
        """Connections that hold a number of the device; the contract monitors are told."""
        number = self.driver.loaded
        self.tap.counters({"connections": self.device.held()}, of_device=True)
        return number

    def resources(self) -> Resources:
        """What is in use now; the contract monitors are told."""
        core = self.device.core()
        self.loaded()
        return Resources(
            self.allocator.used_pages,
            self.driver.counts,
            len(core.in_use),
            len(core.lookup),
            len(core.free),
            core.credits + core.credit_pending,
            self.driver.posts_waiting,
        )
