"""Scenes of section 9.11: data beyond a gap, resources, and a connection that comes back to the target."""

from __future__ import annotations

from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.stage import Part, SceneStage
from tb.tests.stage import Scene, pattern

PART = Part("terminate")
#: Ticks after which a delayed ACK is out.
ACK_OUT = 150


@PART.scene("CH-240", "CH-241", "G-19")
def data_beyond_a_gap_is_dropped(stage: SceneStage) -> Scene:
    """Thirty bytes in order, ten missing, fifty beyond them: the upload tells of the thirty alone."""
    story = stage.tell("gap")
    yield from story.open()
    story.accept = 0
    far = story.far
    far.say(pattern(30), TcpFlag.PSH)
    beyond = far.segment(pattern(50, 40), seq=far.snd + 10)
    far.put(beyond)
    yield from stage.quiet(ACK_OUT)
    yield from story.terminate()
    assert story.upload is not None
    _, state, buffered = story.upload
    assert state is not None
    assert (state.rcv_nxt, buffered) == (far.snd, pattern(30))
    far.say(pattern(60, 30))
    yield from story.finish()
    assert story.sink == pattern(30) + pattern(60, 30)


@PART.scene("CH-250", "CH-252")
def numbers_are_held_until_the_terminate_completed(stage: SceneStage) -> Scene:
    """One connection after the other is uploaded, then one is offloaded again: what is in use follows."""
    first, second = stage.tell("first of two"), stage.tell("second of two")
    for story in (first, second):
        yield from story.open()
    held = stage.count()
    yield from first.leave()
    after = stage.count()
    assert after == held | {"connections": held["connections"] - 1}
    third = stage.tell("in its place")
    yield from third.open()
    assert stage.count() == held
    yield from second.leave()
    yield from third.leave()
    assert stage.count() == held | {"connections": held["connections"] - 2}


@PART.scene("CH-251", "G-26")
def an_uploaded_connection_is_offloaded_again(stage: SceneStage) -> Scene:
    """Two offloads of one connection, with bytes in flight and undelivered at the upload between them."""
    story = stage.tell("twice")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(400)))
    yield story.arrived(400)
    story.far.ack(150)
    story.far.say(pattern(20), TcpFlag.PSH)
    yield lambda: len(story.sink) == 20
    yield from stage.quiet(ACK_OUT)
    yield from story.again()
    yield from stage.quiet()
    story.far.ack(400)
    yield from story.send(story.make("S2", pattern(300, 7)))
    yield story.arrived(700)
    story.far.ack(700)
    story.far.say(pattern(20, 20), TcpFlag.PSH)
    yield lambda: len(story.sink) == 40
    yield story.came_back("S2")
    assert story.returned("S2").status is NdisStatus.SUCCESS
    yield from story.leave()
    assert story.far.stream == pattern(400) + pattern(300, 7)
