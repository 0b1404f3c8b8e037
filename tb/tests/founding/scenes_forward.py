"""Scenes in which segments come up while a connection is handed over, and go down again to the target."""

from __future__ import annotations

from collections.abc import Callable

from model.ndis.enums import OffloadStateType, TcpEventType
from model.wire.frame import TcpFlag
from tb.tests.stage import FORWARD, FORWARD_COMPLETE, RAW_INDICATE, Scene, Stage, Story, pattern


def _handed_over(story: Story, *said: tuple[bytes, TcpFlag]) -> Scene:
    """40 bytes are taken in software; while the offload takes its time they come again, and then ``said``."""
    stage, far = story.stage, story.far
    yield from story.shake_hands()
    far.say(pattern(40), TcpFlag.PSH)
    yield lambda: len(story.stack.tcp.received) == 40
    stage.driver.hold_initiates()
    story.begin_offload()
    yield lambda: stage.driver.held > 0
    before = len(story.of(RAW_INDICATE))
    far.repeat()
    for data, flags in said:
        far.say(data, flags)
    yield lambda: len(story.of(RAW_INDICATE)) == before + 1 + len(said)
    story.mark("came up")
    stage.driver.begin_initiates()
    yield from story.offloaded()


def _all_back(story: Story, count: int) -> Callable[[], bool]:
    return lambda: sum(len(m.lists) for m in story.of(FORWARD_COMPLETE)) == count


def _taken(story: Story, size: int) -> Callable[[], bool]:
    return lambda: len(story.sink) == size


def _acknowledged(story: Story) -> Callable[[], bool]:
    return lambda: any(s.ack == story.far.snd for s in story.wire)


def forwarded(stage: Stage) -> Scene:
    """One segment, and eight in one call; the target processes them, and goes on with what comes over the wire."""
    for count in (1, 8):
        story = stage.story(f"forward {count}")
        yield from _handed_over(story, *((pattern(100, i), TcpFlag.PSH) for i in range(count)))
        yield _all_back(story, count)
        yield _taken(story, 40 + 100 * count)
        story.far.say(pattern(50, 9), TcpFlag.PSH)
        yield _acknowledged(story)
        yield from story.terminate()
        yield from story.finish()


def forward_into_reset(stage: Stage) -> Scene:
    """Data, a reset, and data that the peer had sent behind it."""
    story = stage.story("forward into a reset")
    behind = (pattern(100, 1), TcpFlag.PSH)
    yield from _handed_over(story, (pattern(100), TcpFlag.PSH), (b"", TcpFlag.RST), behind, behind)
    yield _all_back(story, 4)
    yield story.told(TcpEventType.ABORT)
    yield from stage.quiet()
    yield from story.terminate()
    story.end()


def forward_into_upload(stage: Stage) -> Scene:
    """Data, urgent data, which the target does not take but asks for the upload, and data behind it."""
    story = stage.story("forward into an upload")
    said = [(pattern(100), TcpFlag.PSH), (pattern(70, 1), TcpFlag.URG | TcpFlag.PSH), (pattern(100, 2), TcpFlag.PSH)]
    yield from _handed_over(story, *said)
    yield _all_back(story, 3)
    yield story.told(TcpEventType.RETRIEVE)
    yield from stage.quiet()
    yield from story.terminate()
    yield from story.finish()


def forward_in_flight(stage: Stage) -> Scene:
    """The terminate is called while eight forwarded segments are at the target."""
    story = stage.story("forward in flight")
    yield from _handed_over(story, *((pattern(100, i), TcpFlag.PSH) for i in range(8)))
    yield lambda: bool(story.of(FORWARD))
    yield from story.terminate()
    yield from story.finish()


def state_calls(stage: Stage) -> Scene:
    """A forward, then a query, an update and an invalidate, and the terminate right behind them."""
    story = stage.story("state calls")
    yield from _handed_over(story, (pattern(100), TcpFlag.PSH))
    yield lambda: bool(story.of(FORWARD))
    state, connection = stage.host.state, story.connection
    requests = [state.query(connection.node(OffloadStateType.TCP))]
    requests.append(state.update([(connection, connection.cached)]))
    requests.append(state.invalidate([connection]))
    story.facts["requests"] = requests
    yield from story.terminate()
    yield from story.finish()
