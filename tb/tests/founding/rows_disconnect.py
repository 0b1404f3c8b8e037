"""Rows of docs/founding-pages.md, A: a disconnect completes."""

from __future__ import annotations

from model.ndis.enums import TcpConnectionState, TcpEventType
from model.ndis.framing import MASK32
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.tests.founding.page import (
    ABORTED,
    BROKEN,
    OK,
    RESET,
    UPLOAD,
    Stories,
    back,
    crossings,
    fins,
    given,
    row,
)
from tb.tests.founding.scenes_disconnect import LONG
from tb.tests.stage import (
    ARRIVAL,
    DISCONNECT,
    DISCONNECT_COMPLETE,
    EVENT,
    INDICATE,
    RECEIVE_COMPLETE,
    SEND_COMPLETE,
    TERMINATE,
    TERMINATE_COMPLETE,
    WIRE,
    pattern,
)


@row("DC-01")
def every_disconnect_is_completed_once_by_disconnect_complete_and_later_than_its_call(stories: Stories) -> None:
    """CH-170 CH-186"""
    seen = 0
    for story in stories.values():
        for one in given(story, "DA"):
            (call,) = [m for m in story.of(DISCONNECT) if any(s.nbl is one.nbl for s in m.lists)]
            (moment,) = [m for m in story.of(DISCONNECT_COMPLETE) if any(s.nbl is one.nbl for s in m.lists)]
            assert DISCONNECT not in moment.inside
            assert story.moments.index(moment) > story.moments.index(call)
            seen += 1
        assert {status for name, status in story.answers if name == DISCONNECT} <= {NdisStatus.PENDING}
    assert seen >= 10


@row("DC-03")
def a_disconnect_completes_with_a_single_list_which_is_the_one_that_was_passed_in(stories: Stories) -> None:
    """CH-171 CH-186"""
    for story in stories.values():
        moments = story.of(DISCONNECT_COMPLETE)
        assert all(moment.count == 1 for moment in moments)
        assert [seen.nbl for m in moments for seen in m.lists] == [one.nbl for one in given(story, "DA")]


@row("DC-04")
def the_disconnect_list_has_one_net_buffer_whether_or_not_it_carries_data(stories: Stories) -> None:
    """CH-171"""
    sizes = {one.lengths for story in stories.values() for one in given(story, "DA")}
    assert all(len(lengths) == 1 for lengths in sizes)
    assert {(0,), (100,)} <= sizes


@row("DC-02")
def a_disconnect_is_completed_under_the_handle_that_ndis_gave_the_miniport(stories: Stories) -> None:
    """CH-036"""
    seen = 0
    for story in stories.values():
        adapters = story.stage.layers.adapters
        for call in crossings(story, "B", DISCONNECT_COMPLETE):
            assert call.handle is adapters[call.layer].miniport_handle
            seen += 1
        assert len({id(adapter.miniport_handle) for adapter in adapters}) == len(adapters)
    assert seen >= 10


# ---- abortive ----


@row("DC-10")
def an_abortive_disconnect_completes_behind_all_outstanding_sends(stories: Stories) -> None:
    """CH-182"""
    for name in BROKEN:
        story = stories[name]
        places = [story.place(one.name) for one in given(story, "S")]
        assert places == sorted(places)
        assert places
        assert max(places) < story.place("A") < story.at("aborted")
    outstanding = [back(stories["abort many"], one.name)[0] for one in given(stories["abort many"], "S")]
    assert outstanding.count(ABORTED) == 19


@row("DC-11")
def what_an_abortive_disconnect_leaves_unfinished_is_aborted_with_the_bytes_that_were_acknowledged(
    stories: Stories,
) -> None:
    """CH-107 CH-182"""
    story = stories["abort"]
    assert [back(story, one.name) for one in given(story, "S")] == [(ABORTED, 700), (ABORTED, 0), (ABORTED, 0)]
    assert story.returned("S1").moved == (500, 200)
    assert back(stories["abort behind graceful"], "S1") == (ABORTED, 200)
    assert back(stories["abort in the disconnect"], "S1") == (OK, 500)
    many = stories["abort many"]
    assert [back(many, f"S{i}") for i in range(1, 21)] == [(OK, 20), (ABORTED, 10), *[(ABORTED, 0)] * 18]


@row("DC-12")
def each_list_of_an_aborted_chain_has_its_status_when_send_complete_is_called(stories: Stories) -> None:
    """CH-107"""
    moments = [m for name in BROKEN for m in stories[name].of(SEND_COMPLETE)]
    chains = [m for m in moments if any(seen.status is ABORTED for seen in m.lists)]
    assert all(seen.status in (OK, ABORTED) for m in chains for seen in m.lists)
    assert max(m.count for m in chains) >= 4


@row("DC-13")
def a_status_is_in_the_list_of_an_abortive_disconnect_when_it_completes(stories: Stories) -> None:
    """CH-184"""
    for name in BROKEN:
        moment = stories[name].moments[stories[name].place("A")]
        assert [(seen.name, seen.status, seen.transferred) for seen in moment.lists] == [("A", OK, 0)]


@row("DC-14")
def success_of_an_abortive_disconnect_says_that_the_rst_was_sent(stories: Stories) -> None:
    """CH-118 CH-184"""
    for name in BROKEN:
        story = stories[name]
        (rst,) = [m for m in story.of(WIRE) if m.segment is not None and TcpFlag.RST in m.segment.flags]
        assert story.moments.index(story.of(DISCONNECT)[-1]) < story.moments.index(rst) < story.place("A")
    for name, story in stories.items():
        assert name in BROKEN or not any(TcpFlag.RST in segment.flags for segment in story.wire), name


@row("DC-15")
def behind_an_abortive_disconnect_nothing_is_received_acknowledged_or_awaited(stories: Stories) -> None:
    """CH-181 CH-183"""
    story = stories["abort"]
    behind = [m.name for m in story.moments[story.at("aborted") :]]
    assert not {WIRE, INDICATE, EVENT, RECEIVE_COMPLETE, SEND_COMPLETE} & set(behind)
    assert behind.count(ARRIVAL) == 2
    assert story.moments[story.at("long after")].tick - story.moments[story.at("aborted")].tick >= LONG
    last = [m.segment for m in story.of(WIRE) if m.segment is not None][-1]
    assert TcpFlag.RST in last.flags
    assert back(story, "R1") == (ABORTED, 100)
    assert story.state.state is TcpConnectionState.CLOSED
    assert not story.node.has_chain


@row("DC-16")
def sends_then_the_graceful_disconnect_then_the_abortive_one_come_back(stories: Stories) -> None:
    """CH-182 G-23"""
    story = stories["abort behind graceful"]
    assert [back(story, name) for name in ("S1", "D", "A")] == [(ABORTED, 200), (ABORTED, 0), (OK, 0)]
    story = stories["abort in the disconnect"]
    assert [back(story, name) for name in ("S1", "D", "A")] == [(OK, 500), (ABORTED, 30), (OK, 0)]
    for name in ("abort behind graceful", "abort in the disconnect"):
        places = [stories[name].place(one) for one in ("S1", "D", "A")]
        assert places == sorted(places)
        assert len(set(places)) == 3


# ---- graceful ----


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
    assert back(story, "D") == (OK, 0)
    assert len(fins(story.wire)) == 1


@row("DC-22")
def success_waits_until_the_data_and_the_fin_are_both_acknowledged(stories: Stories) -> None:
    """CH-176"""
    story = stories["with data"]
    for mark in ("nothing acknowledged", "a part of the data acknowledged", "all data acknowledged, not the FIN"):
        assert story.place("D") > story.at(mark), mark
    assert back(story, "D") == (OK, 100)
    assert bytes(story.far.stream) == pattern(300) + pattern(200, 1) + pattern(100, 2)


@row("DC-23")
def the_fin_is_sent_behind_the_last_byte_without_waiting_for_acknowledgements(stories: Stories) -> None:
    """CH-172 CH-173"""
    story = stories["with data"]
    sent = [m.segment for m in story.moments[: story.at("nothing acknowledged")] if m.segment is not None]
    (fin,) = fins(sent)
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
    assert back(story, "D") == (OK, 70)
    calls = [m.name for m in story.moments]
    assert calls.index(DISCONNECT_COMPLETE) < calls.index(TERMINATE)
    assert story.state.state is TcpConnectionState.FIN_WAIT_2
    without_fin = stories["data acknowledged first"]
    assert back(without_fin, "D") == (UPLOAD, 70)
    assert without_fin.state.state is TcpConnectionState.FIN_WAIT_1


@row("DC-26")
def request_aborted_says_that_data_and_fin_were_not_delivered_because_the_peer_reset(stories: Stories) -> None:
    """CH-180"""
    assert back(stories["reset"], "D") == (ABORTED, 0)
    assert stories["reset in the disconnect"].returned("D").status is ABORTED


@row("DC-27", of_driver=True)
def a_disconnect_for_a_connection_that_was_reset_comes_back_aborted_at_once(stories: Stories) -> None:
    """CH-180 CH-185 G-23"""
    story = stories["disconnect after reset"]
    assert back(story, "D") == (ABORTED, 0)
    assert story.place("D") < story.at("disconnect back") < [m.name for m in story.moments].index(TERMINATE)
    assert bytes(story.far.stream) == b""


@row("DC-28")
def the_host_terminates_a_connection_whose_disconnect_was_aborted(stories: Stories) -> None:
    """CH-180 CH-232"""
    for name in (*RESET, *BROKEN):
        story = stories[name]
        assert story.node.status is OK
        assert story.state.state is TcpConnectionState.CLOSED
    story = stories["given up"]
    assert back(story, "D") == (ABORTED, 0)
    (terminate,) = story.of(TERMINATE)
    assert story.place("D") < story.moments.index(terminate)
    assert story.state.state is TcpConnectionState.CLOSED


@row("DC-29")
def sends_and_disconnects_come_back_when_the_reset_arrives_and_not_at_the_terminate(stories: Stories) -> None:
    """CH-193 CH-194 G-29"""
    for name, lists in (("reset", ("S1", "S2", "D", "R1")), ("reset in the disconnect", ("D",))):
        story = stories[name]
        reset = max(i for i, m in enumerate(story.moments) if m.name == ARRIVAL)
        segment = story.moments[reset].segment
        assert segment is not None
        assert TcpFlag.RST in segment.flags
        terminate = story.moments.index(story.of(TERMINATE)[0])
        assert all(reset < story.place(one) < terminate for one in lists)
        assert all(story.returned(one).status is ABORTED for one in lists)
    assert all(stories["reset"].place(one) < stories["reset"].at("aborted") for one in ("S1", "S2", "D", "R1"))


@row("DC-30")
def the_byte_count_of_a_successful_disconnect_is_its_data_without_the_fin(stories: Stories) -> None:
    """CH-177"""
    assert back(stories["with data"], "D") == (OK, 100)
    assert back(stories["acknowledged first"], "D") == (OK, 70)


@row("DC-31")
def the_byte_count_is_written_as_zero_for_a_disconnect_without_data(stories: Stories) -> None:
    """CH-177"""
    assert stories["graceful"].returned("D").transferred == 0


@row("DC-32")
def the_byte_count_is_the_acknowledged_part_when_only_a_part_was_acknowledged(stories: Stories) -> None:
    """CH-177 G-21"""
    story = stories["part acknowledged"]
    assert back(story, "S1") == (OK, 300)
    assert back(story, "D") == (UPLOAD, 40)
    state = story.state
    assert state.state is TcpConnectionState.FIN_WAIT_1
    assert tuple(map(story.position, (state.snd_una, state.snd_nxt, state.snd_max))) == (340, 401, 401)


@row("DC-33")
def bytes_that_were_sent_and_not_acknowledged_do_not_count(stories: Stories) -> None:
    """CH-177"""
    story = stories["nothing acknowledged"]
    assert len(story.far.stream) == 1100
    assert back(story, "D") == (UPLOAD, 0)


@row("DC-34")
def the_acknowledged_part_counts_also_when_the_disconnect_is_aborted(stories: Stories) -> None:
    """CH-177 CH-180"""
    assert back(stories["reset in the disconnect"], "D") == (ABORTED, 30)


@row("DC-35")
def the_data_start_is_advanced_by_exactly_the_byte_count(stories: Stories) -> None:
    """CH-178"""
    counts = set()
    for story in stories.values():
        for one in given(story, "DA"):
            seen = story.returned(one.name)
            assert seen.moved == seen.shorter == (seen.transferred,)
            counts.add((seen.transferred, sum(one.lengths)))
    assert {(0, 0), (0, 100), (30, 80), (40, 100), (100, 100)} <= counts


@row("DC-36")
def what_is_left_in_the_net_buffer_is_exactly_what_was_not_acknowledged(stories: Stories) -> None:
    """CH-178"""
    for story in stories.values():
        for one in given(story, "DA"):
            seen = story.returned(one.name)
            assert seen.rest == one.data[seen.transferred or 0 :]


@row("DC-37")
def no_mdl_is_freed_by_the_advance(stories: Stories) -> None:
    """CH-178"""
    for story in stories.values():
        for one in story.given.values():
            assert story.returned(one.name).whole


@row("DC-38")
def no_send_list_comes_back_through_a_disconnect(stories: Stories) -> None:
    """CH-186"""
    for story in stories.values():
        for moment in story.of(DISCONNECT_COMPLETE):
            assert all(seen.name[0] in "DA" for seen in moment.lists)


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
        if story.node.chain:
            continue
        places = [story.place(one.name) for one in given(story, "S")]
        assert places == sorted(places)
        assert all(place < story.place(end.name) for end in given(story, "DA") for place in places)


@row("DC-41")
def a_disconnect_frees_nothing_the_connection_stays_offloaded_until_the_terminate(stories: Stories) -> None:
    """CH-189"""
    numbers, context = stories["graceful"].facts["numbers after the disconnect"]
    assert numbers >= 1
    assert context is not None
    assert stories["reset"].facts["numbers after the reset"][1] is not None
    # the device itself still knows it: it answers a query with the state that the disconnect, or the RST, left
    assert stories["graceful"].facts["state after the disconnect"] is TcpConnectionState.FIN_WAIT_2
    assert stories["reset"].facts["state after the reset"] is TcpConnectionState.CLOSED


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
