"""A completion ring that the host does not empty, as a scene for the stage.

While the host sleeps the ring runs full. No new descriptor is read; receive, transmit and timers of all connections
go on; nothing is lost when the host catches up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from model.layout.generated import Csr
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.session.network import NIC_MAC
from tb.tests.stage import INDICATE, RECEIVE_COMPLETE, SEND_COMPLETE, Scene, Stage, Story, pattern
from tb.tests.vector_cases import far_end

#: Entries of the completion ring, raw buffers of the driver.
CQ_LOG2, RAW_BUFS = 7, 32
#: Commands that the ring has no room for the completions of.
COMMANDS = 160
#: Raw frames, more than there are raw buffers.
RAW_FRAMES = 40
#: Other families of far ends (see vector_cases).
FAMILY = 11


def _has_come(story: Story, count: int) -> Callable[[], bool]:
    return lambda: len(story.far.stream) == count


def _acked(story: Story) -> Callable[[], bool]:
    """Everything that the far end sent is acknowledged."""
    return lambda: bool(story.wire) and story.wire[-1].ack == story.far.snd


def sleeping_host(stage: Stage) -> Scene:
    """Three connections: one receives, one sends behind a small window, one retransmits; all while the host sleeps."""
    yield stage.session_over
    receives, sends, loses = (far_end(stage, name, 16 * FAMILY, 16 * FAMILY) for name in ("receives", "sends", "loses"))
    for story in (receives, sends, loses):
        yield from story.open(window=1000 if story is sends else 30_000)
    yield from receives.post(("R1", 400, True))
    yield from stage.quiet()
    stage.driver.asleep = True
    yield from sends.send(sends.make("S1", pattern(5000)))
    yield from loses.send(loses.make("S1", pattern(700, 1)))
    yield lambda: len(sends.far.stream) == 1000 and len(loses.far.stream) == 700
    stage.driver.nothing(COMMANDS)
    read, seen = -1, (yield from stage.register(Csr.SQ_HEAD))
    while read != seen:  # until no descriptor is read any more
        yield from stage.quiet(5)
        read, seen = seen, (yield from stage.register(Csr.SQ_HEAD))
    for number in range(RAW_FRAMES):
        stage.arrive(NIC_MAC + bytes(6) + b"\x88\xb5" + bytes([number]) * 46)
    yield from stage.quiet()
    facts = receives.facts
    facts["before"] = yield from stage.register(Csr.SQ_HEAD)
    facts["filled"] = yield from stage.register(Csr.CQ_TAIL)
    facts["taken"] = stage.driver.taken
    # timers: a lost segment is sent again
    yield lambda: sum(s.seq == loses.far.first for s in loses.wire) == 2
    loses.far.ack(700)
    # transmit: the window lets out 1000 bytes at a time
    for edge in range(1000, 5000, 1000):
        sends.far.ack(edge)
        yield _has_come(sends, edge + 1000)
    sends.far.ack(5000)
    # receive: the rest of a request, an indication nobody answers, and what comes behind it
    for first in range(0, 3000, 300):
        receives.far.say(pattern(3000)[first : first + 300], TcpFlag.PSH)
    yield _acked(receives)
    # both: the delayed acknowledgment of a single segment
    sends.far.say(pattern(200, 5), TcpFlag.PSH)
    yield _acked(sends)
    yield from stage.quiet(5)
    facts["behind"] = yield from stage.register(Csr.SQ_HEAD)
    facts["tail"] = yield from stage.register(Csr.SQ_TAIL)
    for story in (receives, sends, loses):
        story.mark("awake")
    stage.driver.asleep = False
    stage.driver.on_interrupt()
    yield lambda: bool(sends.of(SEND_COMPLETE)) and bool(loses.of(SEND_COMPLETE)) and len(receives.sink) == 3000
    for story in (receives, sends, loses):
        yield from story.terminate()
        yield from story.finish()


#: The second scene: raw buffers and raw frames, commands in front of the requests, requests a connection and their
#: bytes, which go out a window at a time: 84 segments.
MANY, IN_FRONT, REQUESTS, BYTES, PIECE = 64, 50, 14, 2000, 1000


def sleeping_host_with_many_requests(stage: Stage) -> Scene:
    """As many requests as the ring keeps places for are acknowledged while it is full; segments of all go on."""
    yield stage.session_over
    stories = [far_end(stage, f"sends {n}", 16 * FAMILY + 4 + n, 16 * FAMILY + 4 + n) for n in range(3)]
    total = REQUESTS * BYTES
    for story in stories:
        yield from story.open(window=PIECE)
    yield from stage.quiet()
    facts = stories[0].facts
    facts["lost"] = yield from stage.register(Csr.CNT_RX_RAW_NO_BUF)
    stage.driver.asleep = True
    at = yield from stage.register(Csr.CQ_TAIL)
    stage.driver.nothing(IN_FRONT)
    tail = at
    while (tail - at) % (1 << CQ_LOG2) < IN_FRONT:
        yield from stage.quiet(1)
        tail = yield from stage.register(Csr.CQ_TAIL)
    for number in range(REQUESTS):
        for story in stories:
            data = pattern(total)[number * BYTES : (number + 1) * BYTES]
            yield from story.send(story.make(f"S{number}", data))
    stage.driver.nothing(COMMANDS)
    read, seen = -1, (yield from stage.register(Csr.SQ_HEAD))
    while read != seen:
        yield from stage.quiet(5)
        read, seen = seen, (yield from stage.register(Csr.SQ_HEAD))
    for number in range(MANY):
        stage.arrive(NIC_MAC + bytes(6) + b"\x88\xb5" + bytes([number]) * 46)
        if number % 8 == 7:
            yield from stage.quiet(1)
    yield from stage.quiet()
    facts["before"] = yield from stage.register(Csr.SQ_HEAD)
    facts["filled"] = yield from stage.register(Csr.CQ_TAIL)
    facts["taken"] = stage.driver.taken
    for edge in range(PIECE, total, PIECE):
        for story in stories:
            yield _has_come(story, edge)
            story.far.ack(edge)
    for story in stories:
        yield _has_come(story, total)
        story.far.ack(total)
        story.far.say(pattern(300, 3), TcpFlag.PSH)
    yield from stage.quiet(5)
    facts["behind"] = yield from stage.register(Csr.SQ_HEAD)
    facts["tail"] = yield from stage.register(Csr.SQ_TAIL)
    facts["still"] = yield from stage.register(Csr.CQ_TAIL)
    for story in stories:
        story.mark("awake")
    stage.driver.asleep = False
    stage.driver.on_interrupt()
    for story in stories:
        if len(story.sink) < 300:
            story.far.repeat()
    names = [f"S{number}" for number in range(REQUESTS)]
    yield lambda: all(story.came_back(*names)() and len(story.sink) == 300 for story in stories)
    yield from stage.quiet()
    facts["lost later"] = yield from stage.register(Csr.CNT_RX_RAW_NO_BUF)
    for story in stories:
        yield from story.terminate()
        yield from story.finish()


def judge_many_requests(stories: Mapping[str, Story]) -> None:
    """Issue, bad input: completion ring full; nothing is lost when the host catches up."""
    facts = next(iter(stories.values())).facts
    assert (facts["filled"] + 1 - facts["taken"]) % (1 << CQ_LOG2) == 0, "the ring was not full"
    assert facts["still"] == facts["filled"], "an entry was written to a full ring"
    assert facts["before"] == facts["behind"] != facts["tail"], "a descriptor was read"
    assert facts["lost later"] == facts["lost"], "a raw frame found no buffer"
    for story in stories.values():
        assert not [m for m in story.moments[: story.at("awake")] if m.name == SEND_COMPLETE]
        assert bytes(story.far.stream) == pattern(REQUESTS * BYTES)
        assert bytes(story.sink) == pattern(300, 3)
        assert [seen.name for m in story.of(SEND_COMPLETE) for seen in m.lists] == [f"S{n}" for n in range(REQUESTS)]
        for number in range(REQUESTS):
            seen = story.returned(f"S{number}")
            assert (seen.status, seen.transferred) == (NdisStatus.SUCCESS, BYTES)


def judge_sleeping_host(stories: Mapping[str, Story]) -> None:
    """Issue, bad input: completion ring full."""
    receives, sends, loses = (stories[name] for name in ("receives", "sends", "loses"))
    facts = receives.facts
    assert (facts["filled"] + 1 - facts["taken"]) % (1 << CQ_LOG2) == 0, "the ring was not full"
    assert facts["before"] == facts["behind"] != facts["tail"], "a descriptor was read"
    assert bytes(receives.sink) == pattern(3000)
    assert bytes(sends.sink) == pattern(200, 5)
    assert bytes(sends.far.stream) == pattern(5000)
    for story in (sends, loses):
        seen = story.returned("S1")
        assert (seen.status, seen.transferred) == (NdisStatus.SUCCESS, sum(story.given[id(seen.nbl)].lengths))
    request = receives.returned("R1")
    assert (request.status, request.transferred) == (NdisStatus.SUCCESS, 400)
    for story in (receives, sends, loses):
        early = story.moments[: story.at("awake")]
        asleep = [m.name for m in early if m.name in (SEND_COMPLETE, RECEIVE_COMPLETE, INDICATE)]
        assert not asleep, "the host was called while it slept"
