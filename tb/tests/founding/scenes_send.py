"""Scenes about sends: many at once, behind a reset, through a driver without memory."""

from __future__ import annotations

from model.ndis.enums import TcpEventType
from model.wire.frame import TcpFlag
from tb.tests.stage import Scene, Stage, pattern


def late_requests(stage: Stage) -> Scene:
    """The peer resets with a send outstanding; a send and a disconnect that come later do not pass it."""
    story = stage.story("late requests")
    yield from story.open()
    yield from story.send(story.make("S0", pattern(50, 5)))
    yield story.arrived(50)
    story.far.ack(50)
    yield story.came_back("S0")
    yield from story.send(story.make("S1", pattern(500)))
    yield story.arrived(550)
    story.far.ack(250)
    story.far.say(flags=TcpFlag.RST)
    yield story.told(TcpEventType.ABORT)
    yield from story.send(story.make("S2", pattern(100, 1)))
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield from stage.quiet()
    yield from story.terminate()
    story.end()


def many(stage: Stage) -> Scene:
    """Twenty sends in one call, more than the device holds; none is acknowledged."""
    story = stage.story("many")
    yield from story.open(window=100)
    yield from story.send(*(story.make(f"S{i}", pattern(20, i)) for i in range(1, 21)))
    yield story.arrived(100)
    yield from story.terminate()
    yield from story.finish()


def short_of_memory(stage: Stage) -> Scene:
    """The intermediate driver in the middle has no memory for two sends; a later one fails, too, with memory again."""
    middle = stage.layers.count // 2
    story = stage.story("short of memory")
    story.facts["layer"] = middle
    yield from story.open()
    yield from story.send(story.make("S1", pattern(400)))
    yield story.arrived(400)
    story.far.ack(400)
    yield story.came_back("S1")
    stage.starving.add(middle)
    yield from story.send(story.make("S2", pattern(300, 1)), story.make("S3", pattern(200, 2)))
    yield story.came_back("S3")
    stage.starving.clear()
    yield from story.send(story.make("S4", pattern(100, 3)))
    yield story.came_back("S4")
    yield from stage.quiet()
    story.mark("refused")
    yield from story.terminate()
    yield from story.finish()
