"""Pools of few buffers, hosts that refuse and hosts that keep what they got, as scenes for the stage.

Indications refused in every way never lose or reorder a byte and never hold up another connection, at any pool size of
at least one buffer a connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from model.ndis.enums import TcpEventType
from model.ndis.framing import MASK32
from model.ndis.registration import TcpConnectionOffloadParameters
from model.wire.frame import TcpFlag
from tb.tests.stage import INDICATE, Scene, Stage, Story, pattern
from tb.tests.vector_cases import far_end

#: Bytes of a segment, segments of each connection.
SEGMENT, COUNT = 300, 6
#: Segments of which the slow host keeps the lists.
KEPT = 3
#: Ticks a delayed acknowledgment takes; ticks after which a far end sends again what was not acknowledged.
DELAYED_ACK, AGAIN = 10, 20
#: Rounds in which a segment that needs a buffer must have got one.
ROUNDS = 3
#: Families of far ends (see vector_cases).
FAMILY = 10
STUBBORN, OTHERS = "stubborn", ("late", "in parts", "willing")


def stubborn_host(stage: Stage) -> Scene:
    """One connection is refused for good and is sent more than the pool holds; the others receive beside it."""
    yield stage.session_over
    stories = {name: far_end(stage, name, 16 * FAMILY, 16 * FAMILY) for name in (STUBBORN, *OTHERS)}
    for story in stories.values():
        yield from story.open()
    stage.host.set_parameters(TcpConnectionOffloadParameters(tcp_delayed_ack_ticks=DELAYED_ACK))
    stubborn = stories[STUBBORN]
    stubborn.accept = 0
    for number in range(COUNT):
        stubborn.far.say(_part(number), TcpFlag.PSH)
    yield from stage.quiet()
    for name in OTHERS:
        yield from _others_receive(stage, stories[name])
    # the stubborn one at last: what the device has kept, then what it had no room for
    stubborn.accept = None
    yield from stubborn.post(("R1", 100, False))
    yield from _all_received(stage, stubborn)
    for story in stories.values():
        yield from story.terminate()
        yield from story.finish()


def hoarding_host(stage: Stage) -> Scene:
    """One connection's host accepts all and returns nothing; the others receive beside it, then it returns all."""
    yield stage.session_over
    stories = {name: far_end(stage, name, 16 * FAMILY, 16 * FAMILY) for name in (STUBBORN, *OTHERS)}
    for story in stories.values():
        yield from story.open()
    stage.host.set_parameters(TcpConnectionOffloadParameters(tcp_delayed_ack_ticks=DELAYED_ACK))
    hoarder = stories[STUBBORN]
    hoarder.connection.hoards = True
    for number in range(COUNT):
        hoarder.far.say(_part(number), TcpFlag.PSH)
        yield from stage.quiet()
    for name in OTHERS:
        yield from _others_receive(stage, stories[name])
    hoarder.connection.hoards = False
    yield from _all_received(stage, hoarder)
    for story in stories.values():
        yield from story.terminate()
        yield from story.finish()


def slow_host(stage: Stage) -> Scene:
    """The host keeps lists for long: its receive, its abort and the peer's FIN do not wait for them (7.3)."""
    yield stage.session_over
    stage.host.set_parameters(TcpConnectionOffloadParameters(tcp_delayed_ack_ticks=DELAYED_ACK))
    for number, name in enumerate(("received", "aborted", "closed")):
        story = far_end(stage, name, 16 * FAMILY, 16 * FAMILY)
        yield from story.open()
        story.connection.hoards = True
        for part in range(KEPT):
            story.far.say(_part(part), TcpFlag.PSH)
            yield _has_received(story, SEGMENT * (part + 1))
        if number == 0:
            yield from story.post(("R", SEGMENT, False))
            story.far.say(_part(KEPT), TcpFlag.PSH)
            yield from _soon(stage, story.came_back("R"))
        elif number == 1:
            yield from story.post(("R", SEGMENT, False))
            yield from story.abort()
            yield from _soon(stage, story.came_back("R", "A"))
        else:
            story.far.say(flags=TcpFlag.FIN)
            yield from _soon(stage, story.told(TcpEventType.DISCONNECT))
        story.connection.hoards = False
        yield from story.terminate()
        if name == "aborted":
            story.end()
        else:
            yield from story.finish()


def _soon(stage: Stage, so: Callable[[], bool]) -> Scene:
    """``so`` within a few ticks."""
    yield from _waited(stage, so)
    assert so(), "held up by lists that the host keeps"


def _part(number: int) -> bytes:
    return pattern(SEGMENT * COUNT)[SEGMENT * number : SEGMENT * (number + 1)]


def _others_receive(stage: Stage, story: Story) -> Scene:
    """One segment after the other, each taken within few rounds, however the host answers."""
    for number in range(COUNT):
        story.accept = {"late": 0, "in parts": SEGMENT // 3, "willing": None}[story.name]
        story.far.say(_part(number), TcpFlag.PSH)
        wanted = story.far.snd
        for _ in range(ROUNDS):
            yield from _waited(stage, _acknowledged(story, wanted))
            if story.wire and story.wire[-1].ack == wanted:
                break
            _say_again(story, number)
        else:
            raise AssertionError(f"{story.name}: held up at segment {number}")
        if story.accept is not None:
            yield from stage.quiet(5)
            story.accept = None
            yield from story.post((f"R{number}", 50, False))
        yield _has_received(story, SEGMENT * (number + 1))


def _acknowledged(story: Story, wanted: int) -> Callable[[], bool]:
    return lambda: bool(story.wire) and story.wire[-1].ack == wanted


def _has_received(story: Story, count: int) -> Callable[[], bool]:
    return lambda: len(story.sink) == count


def _waited(stage: Stage, so: Callable[[], bool]) -> Scene:
    """Until ``so``, or until the far end's patience is over."""
    until = stage.now + AGAIN
    stage.wake_at(until)
    yield lambda: so() or stage.now >= until
    stage.wake_at(None)


def _say_again(story: Story, number: int) -> None:
    far = story.far
    back = COUNT - number if story.name == STUBBORN else 1
    far.snd = (far.snd - SEGMENT * back) & MASK32
    for again in range(number, COUNT if story.name == STUBBORN else number + 1):
        far.say(_part(again), TcpFlag.PSH)


def _all_received(stage: Stage, story: Story) -> Scene:
    """The far end repeats everything behind the acknowledged part until it is all there."""
    for _ in range(ROUNDS * COUNT):
        if len(story.sink) == SEGMENT * COUNT:
            return
        done = story.wire[-1].ack if story.wire else story.far.first
        start = (done - (story.far.snd - SEGMENT * COUNT)) & MASK32
        if start < SEGMENT * COUNT:
            _say_again(story, start // SEGMENT)
        yield from _waited(stage, lambda: len(story.sink) == SEGMENT * COUNT)
    raise AssertionError("the stubborn connection never got its bytes")


def judge_hoarding_host(stories: Mapping[str, Story], pool: int) -> None:
    """CH-149 CH-155 CH-156; a pool of few buffers was drained as far as it may be."""
    for name in (STUBBORN, *OTHERS):
        assert bytes(stories[name].sink) == pattern(SEGMENT * COUNT), name
    assert len(stories[STUBBORN].of(INDICATE)) >= 1 + (pool > COUNT)


def judge_stubborn_host(stories: Mapping[str, Story]) -> None:
    """CH-151 CH-155"""
    for name in (STUBBORN, *OTHERS):
        assert bytes(stories[name].sink) == pattern(SEGMENT * COUNT), name
    assert len(stories[STUBBORN].of(INDICATE)) > 1
