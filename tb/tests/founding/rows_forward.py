"""Rows of docs/founding-pages.md, C: segments are forwarded."""

from __future__ import annotations

from itertools import pairwise

from model.ndis.framing import MASK32
from model.ndis.status import NdisStatus
from tb.tests.founding.page import (
    ABORTED,
    OK,
    UPLOAD,
    Stories,
    crossings,
    given,
    row,
    steps,
)
from tb.tests.stage import (
    FAR_ISS,
    FORWARD,
    FORWARD_COMPLETE,
    Given,
    Story,
    pattern,
)


def _forwards(stories: Stories) -> list[tuple[Story, Given]]:
    """All lists that were forwarded."""
    found = [(story, one) for story in stories.values() for one in given(story, "F")]
    assert len(found) >= 20
    return found


@row("FW-01")
def the_host_forwards_what_it_received_and_nobody_acknowledged_and_the_target_takes_it(stories: Stories) -> None:
    """CH-166"""
    for name, count in (("forward 1", 1), ("forward 8", 8)):
        story = stories[name]
        said = [s.raw for s in story.far.said if s.payload]
        early, new, late = said[:1], said[1:-1], said[-1:]
        assert [one.data for one in given(story, "F")] == new
        assert len(early) == len(late) == 1
        assert len(new) == count
        assert bytes(story.sink) == b"".join([pattern(40), *(pattern(100, i) for i in range(count)), pattern(50, 9)])
        assert max((s.ack - FAR_ISS - 1) & MASK32 for s in story.wire) == 40 + 100 * count + 50


@row("FW-02")
def a_forward_names_the_connection_by_the_handle_of_the_driver_that_calls(stories: Stories) -> None:
    """CH-255"""
    for story in stories.values():
        for call in crossings(story, "A", FORWARD):
            named = [c for c in crossings(story, "C", "NdisOffloadTcpForward") if c.lists == call.lists]
            (above,) = [c for c in named if c.layer == call.layer]
            assert above.context == call.context is not None
            assert len({id(c.handle) for c in named}) == len(named) == story.stage.layers.count
            assert max(named, key=lambda c: c.layer).handle is story.connection.handle


@row("FW-03")
def a_forwarded_list_stands_alone_or_heads_a_chain_of_eight(stories: Stories) -> None:
    """CH-165"""
    assert [m.count for m in stories["forward 1"].of(FORWARD)] == [1]
    assert [m.count for m in stories["forward 8"].of(FORWARD)] == [8]
    assert [len(m.lists) for m in stories["forward 8"].of(FORWARD)] == [8]


@row("FW-04")
def each_forwarded_list_describes_one_net_buffer(stories: Stories) -> None:
    """CH-165"""
    assert all(len(one.nbl.net_buffers) == len(one.lengths) == 1 for _, one in _forwards(stories))


@row("FW-05")
def each_net_buffer_points_to_a_chain_of_mdls(stories: Stories) -> None:
    """CH-165"""
    sizes = {len(chain) for _, one in _forwards(stories) for chain in one.chains}
    assert min(sizes) >= 1
    assert max(sizes) > 1


@row("FW-06")
def a_forwarded_net_buffer_holds_one_tcp_segment_and_no_more(stories: Stories) -> None:
    """CH-165"""
    for story, one in _forwards(stories):
        (segment,) = {s.raw: s for s in story.far.said if s.raw == one.data}.values()
        assert one.lengths == (len(segment.raw),)


@row("FW-07")
def the_first_byte_of_a_forwarded_list_begins_the_tcp_header(stories: Stories) -> None:
    """CH-165"""
    for story, one in _forwards(stories):
        ports = int.from_bytes(one.data[0:2], "big"), int.from_bytes(one.data[2:4], "big")
        assert ports == (story.far.port, story.far.local_port)
        payloads = {len(said.payload) for said in story.far.said if said.raw == one.data}
        assert {len(one.data) - 4 * (one.data[12] >> 4)} == payloads


@row("FW-08")
def a_forwarded_list_stays_where_it_is_and_the_target_is_told_bus_addresses(stories: Stories) -> None:
    """CH-164"""
    scattered = set()
    for story, one in _forwards(stories):
        entries = [entry for entry in story.stage.driver.forwarded if entry.data == one.data]
        seen = story.returned(one.name)
        assert (seen.places, seen.rest, seen.whole) == (one.places, one.data, True)
        scattered.add(len(one.places) > 1)
        assert len(one.places) > 1 or one.places[0][0] in [entry.addr for entry in entries]
        assert entries
    assert scattered == {False, True}


@row("FW-09")
def a_forward_always_returns_pending(stories: Stories) -> None:
    """CH-164"""
    answers = [status for story in stories.values() for name, status in story.answers if name == FORWARD]
    assert set(answers) == {NdisStatus.PENDING}
    assert len(answers) >= 6


@row("FW-10")
def a_forward_completes_later_and_once_outside_its_call(stories: Stories) -> None:
    """CH-164 CH-169"""
    for story, one in _forwards(stories):
        (call,) = [m for m in story.of(FORWARD) if any(seen.nbl is one.nbl for seen in m.lists)]
        (done,) = [m for m in story.of(FORWARD_COMPLETE) if any(seen.nbl is one.nbl for seen in m.lists)]
        assert FORWARD not in done.inside
        assert story.moments.index(call) < story.moments.index(done)


@row("FW-11", intermediates=1)
def an_intermediate_driver_forwards_the_same_list_on(stories: Stories) -> None:
    """CH-254"""
    for story, one in _forwards(stories):
        down = [call for call in steps(story, "Forward", one) if call.face in "AC"]
        expected = [f"{face}{layer}" for layer in reversed(range(story.stage.layers.count)) for face in "CA"]
        assert [call.step for call in down] == expected
        assert len(expected) > 2
        assert all(call.lists == down[0].lists for call in down)
        assert all(below.inside[-1][:2] == (above.layer, above.face) for above, below in pairwise(down))


@row("FW-12")
def when_the_target_completes_a_forward_forward_complete_of_the_driver_above_is_called(stories: Stories) -> None:
    """CH-167"""
    for story, one in _forwards(stories):
        done, told = [call for call in steps(story, "ForwardComplete", one) if call.layer == 0]
        assert (done.name, done.step) == (FORWARD_COMPLETE, "B0")
        assert (told.name, told.step) == ("ProtocolTcpOffloadForwardComplete", "D0")
        assert told.handle is story.stage.layers.bindings[0].context
        assert told.inside[-1] == (0, "B", FORWARD_COMPLETE)
        assert told.lists == done.lists


@row("FW-13", intermediates=1)
def an_intermediate_driver_completes_a_forward_to_the_driver_above_it(stories: Stories) -> None:
    """CH-254"""
    for story, one in _forwards(stories):
        up = steps(story, "ForwardComplete", one)
        expected = [f"{face}{layer}" for layer in range(story.stage.layers.count) for face in "BD"]
        assert [call.step for call in up] == expected
        assert len(expected) > 2
        assert all((call.lists, call.statuses) == (up[0].lists, up[0].statuses) for call in up)
        assert [c.handle for c in up if c.face == "B"] == [a.miniport_handle for a in story.stage.layers.adapters]


@row("FW-14")
def a_forward_says_processed_or_not_because_of_an_upload_or_aborted_by_a_reset(stories: Stories) -> None:
    """CH-167 CH-169"""
    expected = {
        "forward 1": [OK],
        "forward 8": [OK] * 8,
        "forward into an upload": [OK, UPLOAD, UPLOAD],
    }
    for name, statuses in expected.items():
        story = stories[name]
        assert [story.returned(one.name).status for one in given(story, "F")] == statuses, name
    story = stories["forward into a reset"]
    first, rst, *behind = (story.returned(one.name).status for one in given(story, "F"))
    assert (first, behind) == (OK, [ABORTED, ABORTED])
    assert rst in (OK, ABORTED)
    story = stories["forward into an upload"]
    assert bytes(story.sink) == pattern(40) + pattern(100) + pattern(70, 1) + pattern(100, 2)
    assert (story.state.rcv_nxt - FAR_ISS - 1) & MASK32 == 140
