"""Scenes about what a terminate brings up: send data, receive data, state, or the loss of it."""

from __future__ import annotations

from dataclasses import replace

from model.device.memory import ErrorWindow
from model.layout.generated import DELEGATED_IMAGE_BYTES
from model.wire.frame import TcpFlag
from tb.tests.stage import INDICATE, RAW_INDICATE, RETURN, TERMINATE, Scene, Stage, pattern


def chained(stage: Stage) -> Scene:
    """Three sends and a disconnect; 1300 bytes acknowledged; unfinished sends go up in the chain."""
    story = stage.story("chained")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(1000), (500, 500)))
    second = story.make("S2", pattern(1000, 1), (200, 400, 400))
    yield from story.send(second, story.make("S3", pattern(1500, 2), (1500,)))
    yield from story.disconnect(story.make("D", pattern(100, 3)))
    yield story.arrived(3600, fin=True)
    story.far.ack(1300)
    yield story.came_back("S1")
    yield from stage.quiet()
    yield from story.terminate(chained=True, with_objects=True)
    yield from story.finish()


def unsent(stage: Stage) -> Scene:
    """The peer's window lets out 1000 of 3000 bytes; the rest was never sent."""
    story = stage.story("unsent")
    yield from story.open(window=1000)
    yield from story.send(story.make("S1", pattern(1000)), story.make("S2", pattern(2000, 1)))
    yield story.arrived(1000)
    yield from stage.quiet()
    yield from story.terminate(chained=True)
    yield from story.finish()


def pulled_back(stage: Stage) -> Scene:
    """Three segments are lost; the timer sends the first one again: SndNxt stands below SndMax."""
    story = stage.story("pulled back")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(3000)))
    yield story.arrived(3000)
    yield lambda: sum(s.seq == story.far.first for s in story.wire) == 2
    yield from story.terminate(chained=True)
    yield from story.finish()


def all_acknowledged(stage: Stage) -> Scene:
    """No outstanding data; behind the upload the peer's segments are the host's."""
    story = stage.story("all acknowledged")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(1500)))
    yield story.arrived(1500)
    story.far.ack(1500)
    yield story.came_back("S1")
    story.far.say(pattern(40), TcpFlag.PSH)
    yield lambda: len(story.sink) == 40
    yield from story.terminate(chained=True)
    story.far.say(pattern(60, 40), TcpFlag.PSH)
    yield lambda: any(len(m.segment.payload) == 60 for m in story.of(RAW_INDICATE) if m.segment is not None)
    yield from story.finish()


def never_sent(stage: Stage) -> Scene:
    """Offloaded and uploaded, nothing in between; then the same number of the device serves the next connection."""
    for name in ("never sent", "never sent again"):
        story = stage.story(name)
        yield from story.open()
        story.facts["numbers"] = stage.loaded()
        yield from story.terminate()
        story.facts["numbers after"] = stage.loaded()
        yield from story.finish()


def buffered(stage: Stage) -> Scene:
    """The host takes 100 of 300 indicated bytes, then nothing; 400 acknowledged bytes go up with the state."""
    story = stage.story("buffered")
    yield from story.open()
    story.accept = 100
    story.far.say(pattern(300), TcpFlag.PSH)
    yield lambda: bool(story.of(INDICATE))
    story.far.say(pattern(200, 300), TcpFlag.PSH)
    yield from stage.quiet(150)
    yield from story.terminate()
    yield lambda: len(story.of(RETURN)) == len(story.node.buffered_lists)
    yield from story.finish()


def owed(stage: Stage) -> Scene:
    """One segment was taken and not acknowledged yet when the upload begins."""
    story = stage.story("owed")
    yield from story.open()
    story.far.say(pattern(200), TcpFlag.PSH)
    yield lambda: len(story.sink) == 200
    yield from story.terminate()
    yield from story.finish()


def posted(stage: Stage) -> Scene:
    """A request with 300 of 1000 bytes in it, and one with none, when the upload begins."""
    story = stage.story("posted")
    yield from story.open()
    yield from story.post(("R1", 1000, True), ("R2", 500, False))
    yield from stage.quiet()
    story.far.say(pattern(300), TcpFlag.PSH)
    yield lambda: any(s.ack == story.far.snd for s in story.wire)
    yield from story.terminate()
    yield from story.finish()


def failure(stage: Stage) -> Scene:
    """The device cannot write the state of a connection with outstanding data: it is lost."""
    story = stage.story("failure")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(500)))
    yield story.arrived(500)
    story.far.ack(200)
    yield from stage.quiet()
    stage.device.inject([ErrorWindow(stage.driver.next_image(), DELEGATED_IMAGE_BYTES, reads=False)])
    yield from story.terminate(with_objects=True)
    stage.device.inject([])
    story.facts["numbers after"] = stage.loaded()
    story.end()


def resources(stage: Stage) -> Scene:
    """Alone, everything at once; before and behind it every counter is the same."""
    yield stage.session_over
    first = stage.story("warm up")  # path and neighbor go with the last connection
    yield from first.open()
    yield from first.terminate(with_objects=True)
    yield from first.finish()
    yield from stage.quiet(100)
    before = stage.resources()
    story = stage.story("resources")
    yield from story.open()
    story.accept = 100
    story.far.say(pattern(900), TcpFlag.PSH)
    yield lambda: bool(story.of(INDICATE))
    yield from story.send(story.make("S1", pattern(2000), (1500, 500)), story.make("S2", pattern(4000), (4000,)))
    yield from story.disconnect(story.make("D", pattern(90)))
    yield story.arrived(6090, fin=True)
    story.far.ack(2500)
    yield story.came_back("S1")
    story.facts["in between"] = stage.resources()
    yield from story.terminate(with_objects=True)
    yield lambda: len(story.of(RETURN)) == len(story.node.buffered_lists)
    yield from story.finish()
    yield from stage.quiet(100)
    story.facts["before"], story.facts["after"] = before, stage.resources()


#: Ticks after which the driver takes a device that does not answer for dead.
PATIENCE = 40


def silent(stage: Stage) -> Scene:
    """The device does not answer the terminate; the driver gives the connection up. Long after, it answers."""
    driver, host = stage.driver, stage.host
    story = stage.story("silent")
    yield from story.open()
    yield from story.post(("R1", 300, True))
    yield from story.send(story.make("S1", pattern(500)), story.make("S2", pattern(200, 1)))
    yield from story.disconnect(story.make("D", pattern(80, 2)))
    yield story.arrived(780, fin=True)
    story.far.ack(200)
    yield from stage.quiet()
    loaded = driver.loaded
    kept = driver.config, host.config
    driver.config = replace(driver.config, terminate_ticks=PATIENCE)
    host.config = replace(host.config, joint_terminate=0.0)
    driver.silent = True
    host.terminate(story.connection)
    yield lambda: bool(story.of(TERMINATE))
    yield from stage.quiet(PATIENCE - 2)
    story.mark("still waited for")
    for _ in range(4):  # on RTL nobody looks at the clock in between
        yield from stage.quiet(1)
    story.mark("given up")
    driver.config, host.config = kept
    driver.wake()
    yield lambda: driver.loaded == loaded - 1
    yield from stage.quiet()
    story.end()


def aged(stage: Stage) -> Scene:
    """The peer was last heard of a while ago when connection, path and neighbor are terminated together."""
    story = stage.story("aged")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(100)))
    yield story.arrived(100)
    story.far.ack(100)
    yield story.came_back("S1")
    yield from stage.quiet(70)
    yield from story.terminate(with_objects=True)
    yield from story.finish()
