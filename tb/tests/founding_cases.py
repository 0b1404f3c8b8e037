"""docs/founding-pages.md as scenes for the stage, and one judgement a row on what the scenes left behind.

The golden device and the RTL play the same scenes; a judgement sees only what crossed the NDIS face and the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from model.device.memory import ErrorWindow
from model.layout.generated import DELEGATED_IMAGE_BYTES
from model.ndis.enums import Layer, TcpConnectionState, TcpEventType
from model.ndis.framing import MASK32, Segment
from model.ndis.netbuffer import Owner
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.config import ROOT
from tb.tests.founding_stage import (
    DISCONNECT,
    DISCONNECT_COMPLETE,
    EVENT,
    FAR_ISS,
    INDICATE,
    MSS,
    RAW_INDICATE,
    RECEIVE,
    RECEIVE_COMPLETE,
    RETURN,
    SEND,
    SEND_COMPLETE,
    TERMINATE,
    TERMINATE_COMPLETE,
    WIRE,
    Given,
    ListSeen,
    Scene,
    Stage,
    Story,
)

PAGE = ROOT / "docs" / "founding-pages.md"
OK, ABORTED, UPLOAD = NdisStatus.SUCCESS, NdisStatus.REQUEST_ABORTED, NdisStatus.UPLOAD_IN_PROGRESS
Stories = Mapping[str, Story]


@dataclass(frozen=True)
class PageRow:
    """A row of the page: identifier, rules, test and state."""

    name: str
    rules: tuple[str, ...]
    test: str
    shown: bool


def documented() -> list[PageRow]:
    """The rows of docs/founding-pages.md, in order."""
    rows = []
    for line in PAGE.read_text().splitlines():
        if re.match(r"\| [A-Z]{2}-\d\d ", line):
            name, _, _, rules, _, test, state = (cell.strip() for cell in line.strip("|").split(" | "))
            named = tuple(re.findall(r"(?:CH-\d{3}|G-\d\d)", rules))
            rows.append(PageRow(name, named, test.strip("`"), state == "shown"))
    return rows


def pattern(size: int, first: int = 0) -> bytes:
    """Bytes that tell their place."""
    return bytes((first + 7 * i + i // 256) & 0xFF for i in range(size))


# ---- scenes ------------------------------------------------------------------------------------------


def _arrived(story: Story, count: int, *, fin: bool = False) -> Callable[[], bool]:
    """The far end has this much of the stream."""
    return lambda: len(story.far.stream) >= count and (story.far.fin_seen or not fin)


def _came_back(story: Story, name: str) -> Callable[[], bool]:
    def came() -> bool:
        return any(seen.name == name for m in story.moments if m.name.endswith("Complete") for seen in m.lists)

    return came


def _event(story: Story, event: TcpEventType) -> Callable[[], bool]:
    return lambda: any(m.event is not None and m.event[0] is event for m in story.of(EVENT))


def graceful(stage: Stage) -> Scene:
    """A send, a disconnect without data, the peer goes on, closes, and the connection is uploaded with its path."""
    story = stage.story("graceful")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(300), (100, 200)))
    yield _arrived(story, 300)
    yield from stage.quiet()
    story.mark("S1 out")
    story.far.ack(300)
    yield _came_back(story, "S1")
    yield from story.disconnect(story.make("D", b""))
    yield _arrived(story, 300, fin=True)
    yield from stage.quiet()
    story.mark("FIN out")
    story.far.ack(301)
    yield _came_back(story, "D")
    story.facts["numbers after the disconnect"] = stage.driver.loaded, story.connection.handle.miniport_offload_context
    story.far.say(pattern(50, 3), TcpFlag.PSH)
    yield lambda: len(story.sink) == 50
    yield from stage.quiet(150)
    story.mark("data behind the FIN taken")
    story.far.say(flags=TcpFlag.FIN)
    yield _event(story, TcpEventType.DISCONNECT)
    yield from story.terminate(with_objects=True)
    yield from story.finish()


def with_data(stage: Stage) -> Scene:
    """A disconnect with data right behind two sends; everything is acknowledged piece by piece."""
    story = stage.story("with data")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(300)))
    yield from story.send(story.make("S2", pattern(200, 1)))
    yield from story.disconnect(story.make("D", pattern(100, 2)))
    yield _arrived(story, 600, fin=True)
    yield from stage.quiet()
    story.mark("nothing acknowledged")
    story.far.ack(540)
    yield _came_back(story, "S2")
    yield from stage.quiet()
    story.mark("a part of the data acknowledged")
    story.far.ack(600)
    yield from stage.quiet()
    story.mark("all data acknowledged, not the FIN")
    story.far.ack(601)
    yield _came_back(story, "D")
    yield from story.terminate()
    yield from story.finish()


def part_acknowledged(stage: Stage) -> Scene:
    """Vector A.7: S of 300, D of 100, 340 acknowledged, then the upload."""
    story = stage.story("part acknowledged")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(300)))
    yield from story.disconnect(story.make("D", pattern(100, 2)))
    yield _arrived(story, 400, fin=True)
    story.far.ack(340)
    yield _came_back(story, "S1")
    yield from story.terminate()
    yield from story.finish()


def nothing_acknowledged(stage: Stage) -> Scene:
    """Everything was transmitted, nothing acknowledged, then the upload."""
    story = stage.story("nothing acknowledged")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(1000)))
    yield from story.disconnect(story.make("D", pattern(100, 2)))
    yield _arrived(story, 1100, fin=True)
    yield from story.terminate()
    yield from story.finish()


def acknowledged_first(stage: Stage) -> Scene:
    """The disconnect was successful before the upload: it stays so."""
    story = stage.story("acknowledged first")
    yield from story.open()
    yield from story.disconnect(story.make("D", pattern(70, 2)))
    yield _arrived(story, 70, fin=True)
    story.far.ack(71)
    yield _came_back(story, "D")
    yield from story.terminate()
    yield from story.finish()


def chained(stage: Stage) -> Scene:
    """Three sends and a disconnect; 1300 bytes acknowledged; unfinished sends go up in the chain."""
    story = stage.story("chained")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(1000), (500, 500)))
    second = story.make("S2", pattern(1000, 1), (200, 400, 400))
    yield from story.send(second, story.make("S3", pattern(1500, 2), (1500,)))
    yield from story.disconnect(story.make("D", pattern(100, 3)))
    yield _arrived(story, 3600, fin=True)
    story.far.ack(1300)
    yield _came_back(story, "S1")
    yield from stage.quiet()
    yield from story.terminate(chained=True, with_objects=True)
    yield from story.finish()


def unsent(stage: Stage) -> Scene:
    """The peer's window lets out 1000 of 3000 bytes; the rest was never sent."""
    story = stage.story("unsent")
    yield from story.open(window=1000)
    yield from story.send(story.make("S1", pattern(1000)), story.make("S2", pattern(2000, 1)))
    yield _arrived(story, 1000)
    yield from stage.quiet()
    yield from story.terminate(chained=True)
    yield from story.finish()


def pulled_back(stage: Stage) -> Scene:
    """Three segments are lost; the timer sends the first one again: SndNxt stands below SndMax."""
    story = stage.story("pulled back")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(3000)))
    yield _arrived(story, 3000)
    yield lambda: sum(s.seq == story.far.first for s in story.wire) == 2
    yield from story.terminate(chained=True)
    yield from story.finish()


def all_acknowledged(stage: Stage) -> Scene:
    """No outstanding data; behind the upload the peer's segments are the host's."""
    story = stage.story("all acknowledged")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(1500)))
    yield _arrived(story, 1500)
    story.far.ack(1500)
    yield _came_back(story, "S1")
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
        story.facts["numbers"] = stage.driver.loaded
        yield from story.terminate()
        story.facts["numbers after"] = stage.driver.loaded
        yield from story.finish()


def reset(stage: Stage) -> Scene:
    """Vector A.6 with a disconnect behind: 700 of 2000 bytes acknowledged, then the peer resets; then the upload."""
    story = stage.story("reset")
    yield from story.open()
    yield from story.post(("R1", 400, True))
    yield from story.send(story.make("S1", pattern(1000), (500, 500)), story.make("S2", pattern(1000, 1), (500, 500)))
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield _arrived(story, 2080, fin=True)
    story.far.ack(700)
    story.far.say(flags=TcpFlag.RST)
    yield _event(story, TcpEventType.ABORT)
    story.facts["numbers after the reset"] = stage.driver.loaded, story.connection.handle.miniport_offload_context
    yield from stage.quiet()
    story.mark("aborted")
    yield from story.terminate(chained=True)
    story.end()


def reset_part_of_disconnect(stage: Stage) -> Scene:
    """30 of the 80 bytes of the disconnect are acknowledged, then the peer resets."""
    story = stage.story("reset in the disconnect")
    yield from story.open()
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield _arrived(story, 80, fin=True)
    story.far.ack(30)
    story.far.say(flags=TcpFlag.RST)
    yield _event(story, TcpEventType.ABORT)
    yield from story.terminate()
    story.end()


def disconnect_after_reset(stage: Stage) -> Scene:
    """A disconnect for a connection that the peer has reset comes back before any upload."""
    story = stage.story("disconnect after reset")
    yield from story.open()
    story.far.say(flags=TcpFlag.RST)
    yield _event(story, TcpEventType.ABORT)
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield _came_back(story, "D")
    story.mark("disconnect back")
    yield from story.terminate()
    story.end()


def late_requests(stage: Stage) -> Scene:
    """The peer resets with a send outstanding; a send and a disconnect that come later do not pass it."""
    story = stage.story("late requests")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(500)))
    yield _arrived(story, 500)
    story.far.ack(200)
    story.far.say(flags=TcpFlag.RST)
    yield _event(story, TcpEventType.ABORT)
    yield from story.send(story.make("S2", pattern(100, 1)))
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield from stage.quiet()
    yield from story.terminate()
    story.end()


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
    yield _arrived(story, 500)
    story.far.ack(200)
    yield from stage.quiet()
    stage.device.inject([ErrorWindow(stage.driver.next_image(), DELEGATED_IMAGE_BYTES, reads=False)])
    yield from story.terminate(with_objects=True)
    stage.device.inject([])
    story.facts["numbers after"] = stage.driver.loaded
    story.end()


def many(stage: Stage) -> Scene:
    """Twenty sends in one call, more than the device holds; none is acknowledged."""
    story = stage.story("many")
    yield from story.open(window=100)
    yield from story.send(*(story.make(f"S{i}", pattern(20, i)) for i in range(1, 21)))
    yield _arrived(story, 100)
    yield from story.terminate()
    yield from story.finish()


def two_at_once(stage: Stage) -> Scene:
    """Two connections whose FINs are acknowledged in the same instant."""
    pair = [stage.story("first of two"), stage.story("second of two")]
    for story in pair:
        yield from story.open()
        yield from story.disconnect(story.make("D", pattern(10)))
    for story in pair:
        yield _arrived(story, 10, fin=True)
    for story in pair:
        story.far.ack(11)
    for story in pair:
        yield _came_back(story, "D")
        yield from story.terminate()
        yield from story.finish()


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
    yield _arrived(story, 6090, fin=True)
    story.far.ack(2500)
    yield _came_back(story, "S1")
    story.facts["in between"] = stage.resources()
    yield from story.terminate(with_objects=True)
    yield lambda: len(story.of(RETURN)) == len(story.node.buffered_lists)
    yield from story.finish()
    yield from stage.quiet(100)
    story.facts["before"], story.facts["after"] = before, stage.resources()


SCENES: tuple[Callable[[Stage], Scene], ...] = (
    graceful,
    with_data,
    part_acknowledged,
    nothing_acknowledged,
    acknowledged_first,
    chained,
    unsent,
    pulled_back,
    all_acknowledged,
    never_sent,
    reset,
    reset_part_of_disconnect,
    disconnect_after_reset,
    late_requests,
    buffered,
    owed,
    posted,
    failure,
    many,
    two_at_once,
    resources,
)

#: Scenes in which the peer resets: nothing goes on in software.
RESET = ("reset", "reset in the disconnect", "disconnect after reset", "late requests")


# ---- judgements --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """A row that the device shows: what must hold, and the rules it speaks of."""

    name: str
    rules: tuple[str, ...]
    test: Callable[[Stories], None]


JUDGEMENTS: list[Judgement] = []


def row(name: str) -> Callable[[Callable[[Stories], None]], Callable[[Stories], None]]:
    """The function judges this row; the rules stand in its docstring."""

    def take(test: Callable[[Stories], None]) -> Callable[[Stories], None]:
        rules = tuple(re.findall(r"(?:CH-\d{3}|G-\d\d)", test.__doc__ or ""))
        JUDGEMENTS.append(Judgement(name, rules, test))
        return test

    return take


def _returns(story: Story, name: str) -> Iterator[ListSeen]:
    """Every time a list of this name came back, by whatever way."""
    for moment in story.moments:
        if moment.name in (SEND_COMPLETE, RECEIVE_COMPLETE, DISCONNECT_COMPLETE, TERMINATE_COMPLETE):
            for seen in (*moment.lists, *(one for node in moment.nodes for one in node.chain)):
                if seen.name == name:
                    yield seen


def _given(story: Story, letter: str) -> list[Given]:
    """Lists of a kind (S, D, R) as they were given."""
    return [given for given in story.given.values() if given.name[0] == letter]


def _back(story: Story, name: str) -> tuple[NdisStatus | None, int | None]:
    """Status and bytes of a list that came back."""
    seen = story.returned(name)
    return seen.status, seen.transferred


def _fins(segments: list[Segment]) -> list[Segment]:
    return [s for s in segments if TcpFlag.FIN in s.flags]


# ---- disconnect complete ----


@row("DC-01")
def every_disconnect_is_completed_once_by_disconnect_complete_and_later_than_its_call(stories: Stories) -> None:
    """CH-170 CH-186"""
    seen = 0
    for story in stories.values():
        for given in _given(story, "D"):
            (moment,) = [m for m in story.of(DISCONNECT_COMPLETE) if any(s.nbl is given.nbl for s in m.lists)]
            assert DISCONNECT not in moment.inside
            assert story.moments.index(moment) > story.moments.index(story.of(DISCONNECT)[0])
            assert (DISCONNECT, NdisStatus.PENDING) in story.answers
            seen += 1
    assert seen >= 10


@row("DC-03")
def a_disconnect_completes_with_a_single_list_which_is_the_one_that_was_passed_in(stories: Stories) -> None:
    """CH-171 CH-186"""
    for story in stories.values():
        for moment in story.of(DISCONNECT_COMPLETE):
            assert moment.count == 1
            assert [seen.nbl for seen in moment.lists] == [given.nbl for given in _given(story, "D")]


@row("DC-04")
def the_disconnect_list_has_one_net_buffer_whether_or_not_it_carries_data(stories: Stories) -> None:
    """CH-171"""
    sizes = {given.lengths for story in stories.values() for given in _given(story, "D")}
    assert all(len(lengths) == 1 for lengths in sizes)
    assert {(0,), (100,)} <= sizes


@row("DC-20")
def a_status_is_in_the_list_before_disconnect_complete_is_called(stories: Stories) -> None:
    """CH-185"""
    for story in stories.values():
        for moment in story.of(DISCONNECT_COMPLETE):
            assert all(seen.status in (OK, UPLOAD, ABORTED) for seen in moment.lists)


@row("DC-21")
def success_comes_only_when_the_fin_is_acknowledged_not_when_it_is_sent(stories: Stories) -> None:
    """CH-176"""
    story = stories["graceful"]
    assert story.place("D") > story.at("FIN out")
    assert _back(story, "D") == (OK, 0)
    assert len(_fins(story.wire)) == 1


@row("DC-22")
def success_waits_until_the_data_and_the_fin_are_both_acknowledged(stories: Stories) -> None:
    """CH-176"""
    story = stories["with data"]
    for mark in ("nothing acknowledged", "a part of the data acknowledged", "all data acknowledged, not the FIN"):
        assert story.place("D") > story.at(mark), mark
    assert _back(story, "D") == (OK, 100)
    assert bytes(story.far.stream) == pattern(300) + pattern(200, 1) + pattern(100, 2)


@row("DC-23")
def the_fin_is_sent_behind_the_last_byte_without_waiting_for_acknowledgements(stories: Stories) -> None:
    """CH-172 CH-173"""
    story = stories["with data"]
    sent = [m.segment for m in story.moments[: story.at("nothing acknowledged")] if m.segment is not None]
    (fin,) = _fins(sent)
    assert story.position(fin.seq) + len(fin.payload) == 600


@row("DC-24")
def upload_in_progress_says_that_the_connection_was_uploaded_before_the_fin_was_acknowledged(stories: Stories) -> None:
    """CH-179"""
    for name in ("part acknowledged", "nothing acknowledged", "chained"):
        story = stories[name]
        assert story.returned("D").status is UPLOAD
        calls = [m.name for m in story.moments]
        assert calls.index(TERMINATE) < calls.index(DISCONNECT_COMPLETE) < calls.index(TERMINATE_COMPLETE)


@row("DC-25")
def a_disconnect_that_succeeded_before_the_upload_is_not_called_uploaded(stories: Stories) -> None:
    """CH-176 CH-179"""
    story = stories["acknowledged first"]
    assert _back(story, "D") == (OK, 70)
    calls = [m.name for m in story.moments]
    assert calls.index(DISCONNECT_COMPLETE) < calls.index(TERMINATE)
    assert story.state.state is TcpConnectionState.FIN_WAIT_2


@row("DC-26")
def request_aborted_says_that_data_and_fin_were_not_delivered_because_the_peer_reset(stories: Stories) -> None:
    """CH-180"""
    assert _back(stories["reset"], "D") == (ABORTED, 0)
    assert stories["reset in the disconnect"].returned("D").status is ABORTED


@row("DC-27")
def a_disconnect_for_a_connection_that_was_reset_comes_back_aborted_at_once(stories: Stories) -> None:
    """CH-180 CH-185 G-23"""
    story = stories["disconnect after reset"]
    assert _back(story, "D") == (ABORTED, 0)
    assert story.place("D") < story.at("disconnect back") < [m.name for m in story.moments].index(TERMINATE)
    assert bytes(story.far.stream) == b""


@row("DC-28")
def the_host_terminates_a_connection_whose_disconnect_was_aborted(stories: Stories) -> None:
    """CH-180 CH-232"""
    for name in RESET:
        story = stories[name]
        assert story.node.status is OK
        assert story.state.state is TcpConnectionState.CLOSED


@row("DC-30")
def the_byte_count_of_a_successful_disconnect_is_its_data_without_the_fin(stories: Stories) -> None:
    """CH-177"""
    assert _back(stories["with data"], "D") == (OK, 100)
    assert _back(stories["acknowledged first"], "D") == (OK, 70)


@row("DC-31")
def the_byte_count_is_written_as_zero_for_a_disconnect_without_data(stories: Stories) -> None:
    """CH-177"""
    assert stories["graceful"].returned("D").transferred == 0


@row("DC-32")
def the_byte_count_is_the_acknowledged_part_when_only_a_part_was_acknowledged(stories: Stories) -> None:
    """CH-177 G-21"""
    story = stories["part acknowledged"]
    assert _back(story, "S1") == (OK, 300)
    assert _back(story, "D") == (UPLOAD, 40)
    state = story.state
    assert state.state is TcpConnectionState.FIN_WAIT_1
    assert tuple(map(story.position, (state.snd_una, state.snd_nxt, state.snd_max))) == (340, 401, 401)


@row("DC-33")
def bytes_that_were_sent_and_not_acknowledged_do_not_count(stories: Stories) -> None:
    """CH-177"""
    story = stories["nothing acknowledged"]
    assert len(story.far.stream) == 1100
    assert _back(story, "D") == (UPLOAD, 0)


@row("DC-34")
def the_acknowledged_part_counts_also_when_the_disconnect_is_aborted(stories: Stories) -> None:
    """CH-177 CH-180"""
    assert _back(stories["reset in the disconnect"], "D") == (ABORTED, 30)


@row("DC-35")
def the_data_start_is_advanced_by_exactly_the_byte_count(stories: Stories) -> None:
    """CH-178"""
    counts = set()
    for story in stories.values():
        for given in _given(story, "D"):
            seen = story.returned(given.name)
            assert seen.moved == seen.shorter == (seen.transferred,)
            counts.add((seen.transferred, sum(given.lengths)))
    assert {(0, 0), (0, 100), (30, 80), (40, 100), (100, 100)} <= counts


@row("DC-36")
def what_is_left_in_the_net_buffer_is_exactly_what_was_not_acknowledged(stories: Stories) -> None:
    """CH-178"""
    for story in stories.values():
        for given in _given(story, "D"):
            seen = story.returned(given.name)
            assert seen.rest == given.data[seen.transferred or 0 :]


@row("DC-37")
def no_mdl_is_freed_by_the_advance(stories: Stories) -> None:
    """CH-178"""
    for story in stories.values():
        for given in story.given.values():
            assert story.returned(given.name).whole


@row("DC-38")
def no_send_list_comes_back_through_a_disconnect(stories: Stories) -> None:
    """CH-186"""
    for story in stories.values():
        for moment in story.of(DISCONNECT_COMPLETE):
            assert all(seen.name[0] == "D" for seen in moment.lists)


@row("DC-39")
def the_disconnect_list_comes_back_neither_by_send_complete_nor_in_the_chain(stories: Stories) -> None:
    """CH-187"""
    for story in stories.values():
        for moment in story.of(SEND_COMPLETE):
            assert all(seen.name[0] == "S" for seen in moment.lists)
        assert all(seen.name[0] == "S" for seen in story.node.chain)
    assert stories["chained"].node.chain


@row("DC-40")
def all_earlier_sends_are_back_in_order_before_the_disconnect_unless_they_are_chained(stories: Stories) -> None:
    """CH-175"""
    for story in stories.values():
        if not _given(story, "D") or story.node.chain:
            continue
        places = [story.place(given.name) for given in _given(story, "S")]
        assert places == sorted(places)
        assert all(place < story.place("D") for place in places)


@row("DC-41")
def a_disconnect_frees_nothing_the_connection_stays_offloaded_until_the_terminate(stories: Stories) -> None:
    """CH-189"""
    numbers, context = stories["graceful"].facts["numbers after the disconnect"]
    assert numbers >= 1
    assert context is not None
    assert stories["reset"].facts["numbers after the reset"][1] is not None


@row("DC-42")
def behind_the_fin_the_receive_half_goes_on(stories: Stories) -> None:
    """CH-188 CH-190"""
    story = stories["graceful"]
    assert bytes(story.sink) == pattern(50, 3)
    taken = story.at("data behind the FIN taken")
    indication = story.moments.index(story.of(INDICATE)[0])
    assert story.place("D") < indication < taken
    acked = [m.segment for m in story.moments[indication:taken] if m.segment is not None]
    assert acked[-1].ack == (story.far.snd - 1) & MASK32
    (event,) = [m for m in story.of(EVENT) if m.event is not None and m.event[0] is TcpEventType.DISCONNECT]
    assert story.moments.index(event) > taken


# ---- send complete ----


@row("SC-01")
def every_send_is_completed_once_and_later_than_its_call(stories: Stories) -> None:
    """CH-097 CH-109 CH-236"""
    for story in stories.values():
        for given in _given(story, "S"):
            assert len(list(_returns(story, given.name))) == 1, (story.name, given.name)
        assert all(SEND not in moment.inside for moment in story.of(SEND_COMPLETE))
        assert {status for name, status in story.answers if name == SEND} <= {NdisStatus.PENDING}


@row("SC-03")
def a_completion_is_a_list_that_stands_alone_or_the_head_of_a_linked_one(stories: Stories) -> None:
    """CH-109"""
    (alone,) = stories["graceful"].of(SEND_COMPLETE)
    assert alone.count == 1
    assert max(moment.count for moment in stories["many"].of(SEND_COMPLETE)) >= 4


@row("SC-04")
def a_list_that_completes_is_the_very_one_that_was_sent(stories: Stories) -> None:
    """CH-036 CH-254"""
    for story in stories.values():
        for given in _given(story, "S"):
            assert story.returned(given.name).nbl is given.nbl


@row("SC-05")
def the_sends_of_a_connection_complete_in_the_order_they_were_sent_over_all_calls(stories: Stories) -> None:
    """CH-102"""
    for story in stories.values():
        order = [seen.name for m in story.of(SEND_COMPLETE) for seen in m.lists]
        order += [seen.name for seen in story.node.chain]
        assert order == [given.name for given in _given(story, "S")]
    assert len(_given(stories["many"], "S")) == 20


@row("SC-06")
def a_send_is_successful_only_when_its_last_byte_is_acknowledged(stories: Stories) -> None:
    """CH-101 CH-103"""
    story = stories["graceful"]
    assert story.place("S1") > story.at("S1 out")
    assert _back(story, "S1") == (OK, 300)
    assert stories["with data"].place("S1") > stories["with data"].at("nothing acknowledged")


@row("SC-07")
def each_net_buffer_of_a_send_is_advanced_by_its_own_acknowledged_bytes(stories: Stories) -> None:
    """CH-104 CH-106 CH-107"""
    assert stories["graceful"].returned("S1").moved == (100, 200)
    story = stories["reset"]
    first, second = story.returned("S1"), story.returned("S2")
    assert (first.status, first.transferred, first.moved) == (ABORTED, 700, (500, 200))
    assert (second.status, second.transferred, second.moved) == (ABORTED, 0, (0, 0))


@row("SC-08")
def a_send_that_an_upload_ends_says_so_with_its_acknowledged_bytes(stories: Stories) -> None:
    """CH-108"""
    assert _back(stories["nothing acknowledged"], "S1") == (UPLOAD, 0)
    many = stories["many"]
    assert {_back(many, given.name)[0] for given in _given(many, "S")} == {UPLOAD}


@row("SC-09")
def requests_that_come_after_a_reset_fail_behind_those_that_were_outstanding(stories: Stories) -> None:
    """CH-101 CH-105 CH-175"""
    story = stories["late requests"]
    assert [_back(story, name) for name in ("S1", "S2", "D")] == [(ABORTED, 200), (ABORTED, 0), (ABORTED, 0)]
    places = [story.place(name) for name in ("S1", "S2", "D")]
    assert places == sorted(places)
    assert bytes(story.far.stream) == pattern(500)


# ---- terminate complete ----


@row("TC-01")
def every_terminate_is_completed_once_and_later_than_its_call(stories: Stories) -> None:
    """CH-021"""
    for story in stories.values():
        (call,), (done,) = story.of(TERMINATE), story.of(TERMINATE_COMPLETE)
        assert TERMINATE not in done.inside
        assert story.moments.index(done) > story.moments.index(call)


@row("TC-03")
def a_terminate_completes_with_the_root_that_was_passed_in(stories: Stories) -> None:
    """CH-021"""
    for story in stories.values():
        assert story.of(TERMINATE_COMPLETE)[0].root is story.of(TERMINATE)[0].root


@row("TC-05")
def every_node_of_the_tree_has_success_or_failure_written(stories: Stories) -> None:
    """CH-022 CH-078"""
    depths = set()
    for story in stories.values():
        nodes = story.of(TERMINATE_COMPLETE)[0].nodes
        assert {node.status for node in nodes} <= {OK, NdisStatus.FAILURE}
        assert all(node.status is None for node in story.of(TERMINATE)[0].nodes)
        depths.add(tuple(node.layer for node in nodes))
    assert depths == {(Layer.TCP,), (Layer.NEIGHBOR, Layer.PATH, Layer.TCP)}


@row("TC-06")
def success_means_that_the_object_is_no_longer_offloaded(stories: Stories) -> None:
    """CH-235 CH-244"""
    story = stories["all acknowledged"]
    done = story.moments.index(story.of(TERMINATE_COMPLETE)[0])
    after = {m.name for m in story.moments[done + 1 :]}
    assert after <= {WIRE, RAW_INDICATE, RETURN}
    raw = [m.segment.payload for m in story.of(RAW_INDICATE) if m.segment is not None]
    assert pattern(60, 40) in raw
    assert bytes(story.sink) == pattern(40) + pattern(60, 40)


@row("TC-07")
def the_delegated_variables_behind_a_connection_are_written_with_its_state(stories: Stories) -> None:
    """CH-245 CH-248"""
    story = stories["all acknowledged"]
    state = story.state
    assert story.node.status is OK
    assert state.state is TcpConnectionState.ESTABLISHED
    assert (state.rcv_nxt - FAR_ISS - 1) & MASK32 == 40
    assert (state.snd_wnd, state.max_snd_wnd) == (30_000, 30_000)
    assert 0 < state.rcv_wnd <= 20_000
    assert state.s_rtt > 0
    assert stories["graceful"].state.state is TcpConnectionState.TIME_WAIT


@row("TC-09")
def failure_means_that_the_state_object_is_lost_and_nothing_else_is(stories: Stories) -> None:
    """CH-249"""
    story = stories["failure"]
    nodes = story.of(TERMINATE_COMPLETE)[0].nodes
    assert [(n.layer, n.status) for n in nodes][-1] == (Layer.TCP, NdisStatus.FAILURE)
    assert {n.status for n in nodes[:-1]} <= {OK}
    assert story.node.delegated is None
    assert (story.node.has_chain, story.node.buffered) == (False, b"")
    assert _back(story, "S1")[1] == 200


@row("TC-11")
def the_host_is_given_no_state_of_a_lost_object_and_gives_the_connection_up(stories: Stories) -> None:
    """CH-249"""
    story = stories["failure"]
    assert story.upload == (NdisStatus.FAILURE, None, b"")
    done = story.moments.index(story.of(TERMINATE_COMPLETE)[0])
    assert all(m.name != WIRE for m in story.moments[done:])


@row("TC-12")
def sends_receives_and_disconnects_are_all_back_before_the_terminate_completes(stories: Stories) -> None:
    """CH-233"""
    for story in stories.values():
        done = story.moments.index(story.of(TERMINATE_COMPLETE)[0])
        for given in story.given.values():
            assert story.place(given.name) <= done


@row("TC-13")
def no_indication_is_in_progress_when_the_terminate_completes_and_none_comes_after(stories: Stories) -> None:
    """CH-234 CH-235"""
    for story in stories.values():
        (moment,) = story.of(TERMINATE_COMPLETE)
        assert not {INDICATE, EVENT} & set(moment.inside)
        later = story.moments[story.moments.index(moment) + 1 :]
        assert not {INDICATE, EVENT, SEND_COMPLETE, RECEIVE_COMPLETE, DISCONNECT_COMPLETE} & {m.name for m in later}


@row("TC-15")
def outstanding_send_data_goes_up_as_a_chain_of_the_lists_that_were_sent_in_order(stories: Stories) -> None:
    """CH-236 CH-237"""
    story = stories["chained"]
    assert _back(story, "S1") == (OK, 1000)
    assert [seen.name for seen in story.node.chain] == ["S2", "S3"]
    assert all(seen.nbl is story.returned(seen.name).nbl for seen in story.node.chain)
    assert [seen.name for seen in stories["unsent"].node.chain] == ["S1", "S2"]


@row("TC-16")
def the_chain_hangs_at_the_connections_own_node_of_the_tree(stories: Stories) -> None:
    """CH-237"""
    nodes = stories["chained"].of(TERMINATE_COMPLETE)[0].nodes
    assert [(node.layer, node.has_chain) for node in nodes][-1] == (Layer.TCP, True)
    assert not any(node.has_chain for node in nodes[:-1])
    assert len(nodes) == 3


@row("TC-17")
def the_chain_holds_exactly_the_bytes_from_snd_una_on(stories: Stories) -> None:
    """CH-239 G-18"""
    story = stories["chained"]
    assert b"".join(seen.rest for seen in story.node.chain) == (pattern(1000, 1) + pattern(1500, 2))[300:]
    assert story.node.chain[0].moved == (200, 100, 0)
    assert story.position(story.state.snd_una) == 1300
    for name in ("unsent", "pulled back"):
        story = stories[name]
        rest = b"".join(seen.rest for seen in story.node.chain)
        sent = b"".join(given.data for given in _given(story, "S"))
        assert rest == sent[story.position(story.state.snd_una) :]


@row("TC-18")
def the_ends_of_the_chain_are_named_in_the_delegated_state(stories: Stories) -> None:
    """CH-239"""
    for name in ("chained", "unsent", "pulled back"):
        story = stories[name]
        ends = story.state.send_data_head, story.state.send_data_tail
        assert ends == (story.node.chain[0].nbl, story.node.chain[-1].nbl)


@row("TC-19")
def snd_una_is_the_first_byte_the_peer_has_not_acknowledged(stories: Stories) -> None:
    """CH-239"""
    expected = {"chained": 1300, "unsent": 0, "pulled back": 0}
    found = {name: stories[name].position(stories[name].state.snd_una) for name in expected}
    assert found == expected, found


@row("TC-20")
def snd_nxt_is_the_next_byte_to_send(stories: Stories) -> None:
    """CH-239 G-21"""
    expected = {"chained": 3601, "unsent": 1000, "pulled back": MSS}
    found = {name: stories[name].position(stories[name].state.snd_nxt) for name in expected}
    assert found == expected, found


@row("TC-21")
def snd_max_is_the_highest_byte_ever_sent(stories: Stories) -> None:
    """CH-239 G-21"""
    expected = {"chained": 3601, "unsent": 1000, "pulled back": 3000}
    found = {name: stories[name].position(stories[name].state.snd_max) for name in expected}
    assert found == expected, found


@row("TC-22")
def from_chain_and_state_alone_the_host_sends_every_byte_exactly_in_its_place(stories: Stories) -> None:
    """CH-236 CH-251"""
    for name, story in stories.items():
        if name in (*RESET, "failure"):
            continue
        data = b"".join(given.data for given in story.given.values() if given.name[0] in "SD")
        assert bytes(story.far.stream) == data, name
        assert story.far.fin_seen


@row("TC-23")
def without_outstanding_send_data_the_chain_is_null(stories: Stories) -> None:
    """CH-238"""
    for name in ("all acknowledged", "never sent", "graceful", "buffered"):
        assert not stories[name].node.has_chain
    state = stories["all acknowledged"].state
    assert {stories["all acknowledged"].position(s) for s in (state.snd_una, state.snd_nxt, state.snd_max)} == {1500}


@row("TC-24")
def sends_that_were_completed_as_uploaded_are_not_in_the_chain_as_well(stories: Stories) -> None:
    """CH-236 CH-238"""
    for name in ("part acknowledged", "nothing acknowledged", "many"):
        story = stories[name]
        assert not story.node.has_chain
        assert all(len(list(_returns(story, given.name))) == 1 for given in _given(story, "S"))


@row("TC-25")
def received_data_that_was_acknowledged_and_not_delivered_goes_up_with_the_state(stories: Stories) -> None:
    """CH-241"""
    story = stories["buffered"]
    assert story.node.buffered == pattern(300)[100:] + pattern(200, 300)
    assert bytes(story.sink) == pattern(300) + pattern(200, 300)


@row("TC-26")
def the_buffered_data_ends_at_the_last_byte_that_was_acknowledged(stories: Stories) -> None:
    """CH-241 CH-243"""
    for name in ("buffered", "owed"):
        story = stories[name]
        assert story.wire[-1].ack == story.state.rcv_nxt
    rcv_nxt = {name: (stories[name].state.rcv_nxt - FAR_ISS - 1) & MASK32 for name in ("buffered", "owed")}
    assert rcv_nxt == {"buffered": 500, "owed": 200}


@row("TC-27")
def without_received_data_left_no_buffered_data_goes_up(stories: Stories) -> None:
    """CH-241"""
    for name in ("owed", "posted", "never sent", *RESET):
        assert stories[name].state.buffered_data is None
        assert stories[name].node.buffered == b""


@row("TC-28")
def the_buffers_of_that_data_are_the_hosts_until_it_returns_them_after_the_end(stories: Stories) -> None:
    """CH-157 CH-242"""
    story = stories["buffered"]
    done = story.moments.index(story.of(TERMINATE_COMPLETE)[0])
    returns = [i for i, m in enumerate(story.moments) if m.name == RETURN]
    assert len(returns) == len(story.node.buffered_lists) > 1
    assert min(returns) > done
    assert all(one.owner is Owner.TARGET for one in story.node.buffered_lists)


@row("TC-29")
def posted_requests_come_back_with_what_was_placed_in_them(stories: Stories) -> None:
    """CH-138 CH-233"""
    story = stories["posted"]
    assert (RECEIVE, NdisStatus.PENDING) in story.answers
    first, second = story.returned("R1"), story.returned("R2")
    assert (first.status, first.transferred, first.moved) == (UPLOAD, 300, (300,))
    assert (second.status, second.transferred) == (UPLOAD, 0)
    assert bytes(story.sink) == pattern(300)
    assert _back(stories["reset"], "R1") == (ABORTED, 0)


@row("TC-30")
def every_resource_counter_is_back_at_its_value_before_the_offload(stories: Stories) -> None:
    """CH-250"""
    facts = stories["resources"].facts
    assert facts["after"] == facts["before"]
    assert facts["in between"] != facts["before"]
    assert stories["resources"].node.buffered


@row("TC-31")
def the_number_of_the_connection_is_free_when_the_terminate_has_completed_and_serves_again(stories: Stories) -> None:
    """CH-250"""
    for name in ("never sent", "never sent again"):
        facts = stories[name].facts
        assert facts["numbers after"] == facts["numbers"] - 1
    assert stories["never sent"].facts == stories["never sent again"].facts
    assert stories["never sent"].connection.handle.miniport_offload_context is None
