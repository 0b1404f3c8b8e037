"""Scenes of section 9.5 and 9.10: sends of two connections at a time, resets, neighbor queries."""

from __future__ import annotations

from tb.contract.scenes.stage import Part, SceneStage, SceneStory
from tb.tests.stage import Scene, pattern

PART = Part("sending")

#: NceStaleTicks of the scenes: long enough for an exchange, short enough to wait for.
STALE_TICKS = 100


@PART.scene("CH-112")
def two_processors_send(stage: SceneStage) -> Scene:
    """While a send call is inside the driver, one comes for another connection."""
    one, other = stage.tell("first processor"), stage.tell("second processor")
    yield from one.open()
    yield from other.open()
    second = other.make("T", pattern(200, 1))

    def meanwhile() -> None:
        with stage.scenehost.on_another_processor():
            stage.host.issue_send(other.connection, [second])

    stage.scenedriver.on_send = meanwhile
    yield from one.send(one.make("S", pattern(200)))
    for story, name in ((one, "S"), (other, "T")):
        yield story.arrived(200)
        story.far.ack()
        yield story.came_back(name)
        yield from story.leave()


@PART.scene("CH-118")
def a_reset_that_was_asked_for(stage: SceneStage) -> Scene:
    """An abortive disconnect with data in flight."""
    story = stage.tell("reset")
    yield from story.open()
    yield from story.send(story.make("S", pattern(200)))
    yield story.arrived(200)
    yield from story.abort()
    yield from story.drop()


def _asked_about(stage: SceneStage, story: SceneStory) -> Scene:
    """Neither side has heard of the neighbor for long when a segment leaves: the target asks."""
    known: list[int] = []

    def reachable(_: object) -> int:
        known.append(7)
        return 7

    yield from stage.parameters(nce_stale_ticks=STALE_TICKS)
    yield from story.open()
    stage.host.reachability = reachable
    yield from stage.quiet(3 * STALE_TICKS)
    yield from story.send(story.make("S", pattern(100)))
    yield lambda: bool(known)
    yield story.arrived(100)
    story.far.ack()
    yield story.came_back("S")
    stage.host.reachability = lambda _: None
    yield from stage.parameters()
    yield from story.leave()


@PART.scene("G-08")
def a_neighbor_nobody_heard_of(stage: SceneStage) -> Scene:
    """The query carries the whole state of the neighbor."""
    yield from _asked_about(stage, stage.tell("silent neighbor"))


@PART.scene("G-24", session={"intermediates": 1})
def a_query_through_an_intermediate_driver(stage: SceneStage) -> Scene:
    """The query and its answer pass unchanged."""
    yield from _asked_about(stage, stage.tell("silent neighbor behind a driver"))
