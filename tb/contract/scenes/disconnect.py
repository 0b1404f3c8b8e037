"""Scenes of section 9.8: abortive disconnects, resources behind a disconnect."""

from __future__ import annotations

from model.ndis.enums import TcpConnectionState
from model.ndis.netbuffer import NetBufferList
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.stage import Part, SceneStage, SceneStory
from tb.tests.stage import DISCONNECT_COMPLETE, SEND_COMPLETE, WIRE, Scene, pattern

PART = Part("disconnect")
#: Ticks after which a reset is out for certain.
RESET_OUT = 100
_ABORTIVE = ("CH-181", "CH-182", "CH-184", "G-22")


def resets(story: SceneStory) -> list[int]:
    """Where the target's RSTs stand among the moments."""
    return [i for i, m in enumerate(story.moments) if m.name == WIRE and m.segment and TcpFlag.RST in m.segment.flags]


@PART.scene(*_ABORTIVE, "CH-183")
def an_abort_with_sends_and_receives_outstanding(stage: SceneStage) -> Scene:
    """Sends that nobody acknowledges, posted receives, then the abort; the far end goes on for a while."""
    story = stage.tell("aborted")
    yield from story.open()
    yield from story.post(("R1", 500, False), ("R2", 500, False))
    yield from story.send(story.make("S1", pattern(300)), story.make("S2", pattern(200, 1)))
    yield story.arrived(500)
    yield from story.abort()
    back = [story.place(name) for name in ("S1", "S2", "A")]
    assert back == sorted(back)
    assert [m.name for m in (story.moments[i] for i in back)] == [SEND_COMPLETE] * 2 + [DISCONNECT_COMPLETE]
    assert len(resets(story)) == 1
    for _ in range(3):
        story.far.say(pattern(40), TcpFlag.PSH)
        yield from stage.quiet()
    assert len(resets(story)) == 1
    assert not story.sink
    yield from story.drop()
    assert story.state.state is TcpConnectionState.CLOSED


@PART.scene("CH-181", "CH-184")
def an_abort_from_inside_an_indication(stage: SceneStage) -> Scene:
    """The client aborts while data is being indicated: the RST does not wait."""
    story = stage.tell("aborted in an indication")
    yield from story.open()

    def abort(_: NetBufferList) -> None:
        story.on_indication = lambda _: None
        story.issue_abort()

    story.on_indication = abort
    story.far.say(pattern(40), TcpFlag.PSH)
    yield story.came_back("A")
    assert story.returned("A").status is NdisStatus.SUCCESS
    yield from stage.quiet(RESET_OUT)
    assert len(resets(story)) == 1
    yield from story.drop()


@PART.scene("CH-189")
def nothing_is_free_behind_a_disconnect(stage: SceneStage) -> Scene:
    """Graceful and acknowledged, or abortive: the connection holds what it held until it is uploaded."""
    graceful, aborted = stage.tell("graceful"), stage.tell("abortive")
    for story in (graceful, aborted):
        yield from story.open()
    held = stage.count()
    yield from graceful.disconnect(graceful.make("D", b""))
    yield graceful.arrived(0, fin=True)
    graceful.far.ack(1)
    yield graceful.came_back("D")
    yield from aborted.abort()
    assert stage.count() == held
    yield from graceful.leave()
    yield from aborted.drop()
    assert stage.count()["connections"] == held["connections"] - 2
