"""Rows of docs/founding-pages.md, B: sends complete."""

from __future__ import annotations

from itertools import pairwise

from model.ndis.bookkeeping import REFUSED_ABOVE
from model.ndis.status import NdisStatus
from tb.tests.founding.page import (
    ABORTED,
    OK,
    UPLOAD,
    Stories,
    back,
    crossings,
    given,
    returns,
    row,
    steps,
)
from tb.tests.stage import (
    SEND,
    SEND_COMPLETE,
    Crossing,
    Story,
    pattern,
)


@row("SC-01")
def every_send_is_completed_once_and_later_than_its_call(stories: Stories) -> None:
    """CH-097 CH-109 CH-236"""
    for story in stories.values():
        for one in given(story, "S"):
            assert len(list(returns(story, one.name))) == 1, (story.name, one.name)
        own = [m for m in story.of(SEND_COMPLETE) if m.lists[0].status not in REFUSED_ABOVE]
        assert all(SEND not in moment.inside for moment in own)
        assert {status for name, status in story.answers if name == SEND} <= {NdisStatus.PENDING}


@row("SC-02")
def a_send_completion_names_the_binding_by_the_context_that_was_given_to_open_it(stories: Stories) -> None:
    """CH-255"""
    seen = set()
    for story in stories.values():
        contexts = [binding.context for binding in story.stage.layers.bindings]
        assert len({id(context) for context in contexts}) == len(contexts) == story.stage.layers.count
        for call in crossings(story, "D", "ProtocolTcpOffloadSendComplete"):
            assert call.handle is contexts[call.layer]
            seen.add(call.layer)
    assert seen == set(range(stories["graceful"].stage.layers.count))


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
        for one in given(story, "S"):
            assert story.returned(one.name).nbl is one.nbl


@row("SC-05")
def the_sends_of_a_connection_complete_in_the_order_they_were_sent_over_all_calls(stories: Stories) -> None:
    """CH-102"""
    for story in stories.values():
        order = [seen.name for m in story.of(SEND_COMPLETE) for seen in m.lists]
        order += [seen.name for seen in story.node.chain]
        assert order == [one.name for one in given(story, "S")]
    assert len(given(stories["many"], "S")) == 20


@row("SC-06")
def a_send_is_successful_only_when_its_last_byte_is_acknowledged(stories: Stories) -> None:
    """CH-101 CH-103"""
    story = stories["graceful"]
    assert story.place("S1") > story.at("S1 out")
    assert back(story, "S1") == (OK, 300)
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
    assert back(stories["nothing acknowledged"], "S1") == (UPLOAD, 0)
    many = stories["many"]
    assert {back(many, one.name)[0] for one in given(many, "S")} == {UPLOAD}


@row("SC-09", of_driver=True)
def requests_that_come_after_a_reset_fail_behind_those_that_were_outstanding(stories: Stories) -> None:
    """CH-101 CH-105 CH-107 CH-175"""
    story = stories["late requests"]
    names = ("S0", "S1", "S2", "D")
    assert [back(story, name) for name in names] == [(OK, 50), (ABORTED, 200), (ABORTED, 0), (ABORTED, 0)]
    places = [story.place(name) for name in names]
    assert places == sorted(places)
    assert bytes(story.far.stream) == pattern(50, 5) + pattern(500)


# ---- through intermediate drivers ----


def _ways_up(stories: Stories) -> list[tuple[Story, list[Crossing]]]:
    """Of every send that the offload target completed: the completions it passed on its way up."""
    ways = []
    for story in stories.values():
        for one in given(story, "S"):
            way = steps(story, "SendComplete", one)
            if way and way[0].layer == 0:
                ways.append((story, way))
    assert len(ways) > 50
    return ways


@row("SC-10", intermediates=1)
def each_completion_from_below_calls_the_driver_above(stories: Stories) -> None:
    """CH-254"""
    for story, way in _ways_up(stories):
        expected = [f"{face}{layer}" for layer in range(story.stage.layers.count) for face in "BD"]
        assert [call.step for call in way] == expected
        assert all(above.inside[-1][:2] == (below.layer, below.face) for below, above in pairwise(way))


@row("SC-11", intermediates=1)
def an_intermediate_driver_completes_a_send_itself_under_its_own_handle(stories: Stories) -> None:
    """CH-255"""
    for story, way in _ways_up(stories):
        adapters = story.stage.layers.adapters
        own = [call for call in way if call.face == "B"]
        assert [call.handle for call in own] == [adapter.miniport_handle for adapter in adapters]
        assert len({id(call.handle) for call in own}) == len(adapters) > 1


@row("SC-12", intermediates=1)
def an_intermediate_driver_completes_with_the_very_list_it_was_called_with(stories: Stories) -> None:
    """CH-254"""
    for _, way in _ways_up(stories):
        for below, above in pairwise(way):
            if above.face == "B":
                assert above.lists == below.lists
                assert above.statuses == below.statuses


@row("SC-13", intermediates=1)
def the_driver_above_is_called_with_the_list_that_the_intermediate_driver_completed(stories: Stories) -> None:
    """CH-254"""
    for story, way in _ways_up(stories):
        for below, above in pairwise(way):
            if above.face == "D":
                assert above.lists == below.lists
        moment = next(m for m in story.of(SEND_COMPLETE) if m.lists[0].nbl is way[-1].lists[0])
        assert tuple(seen.nbl for seen in moment.lists) == way[-1].lists


@row("SC-14", intermediates=1)
def an_intermediate_driver_without_memory_refuses_the_chain_and_passes_nothing_down(stories: Stories) -> None:
    """CH-256"""
    story = stories["short of memory"]
    layer, top = story.facts["layer"], story.stage.layers.count - 1
    refused = ["S2", "S3", "S4"]
    assert back(story, "S1") == (OK, 400)
    statuses = [NdisStatus.REQUEST_UPLOAD, NdisStatus.UPLOAD_REQUESTED, NdisStatus.UPLOAD_REQUESTED]
    assert [story.returned(name).status for name in refused] == statuses
    assert all(story.place(name) < story.at("refused") for name in refused)
    for one in given(story, "S"):
        below = [call.step for call in steps(story, "TcpOffloadSend", one) if call.layer < layer]
        assert bool(below) == (one.name == "S1"), one.name
        down = [call.step for call in steps(story, "TcpOffloadSend", one) if call.face == "A"]
        assert down == [f"A{n}" for n in range(top, (0 if one.name == "S1" else layer) - 1, -1)]
    assert bytes(story.far.stream) == b"".join(one.data for one in given(story, "S"))
