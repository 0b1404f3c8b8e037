"""Rows of docs/founding-pages.md, D: a terminate completes."""

from __future__ import annotations

from model.ndis.enums import Layer, TcpConnectionState, TcpEventType, UploadReason
from model.ndis.framing import MASK32
from model.ndis.netbuffer import Owner
from model.ndis.offload_state import NeighborDelegated
from model.ndis.status import NdisStatus
from tb.tests.founding.page import (
    ABORTED,
    BROKEN,
    LOST,
    OK,
    RESET,
    UPLOAD,
    Stories,
    back,
    crossings,
    given,
    returns,
    row,
)
from tb.tests.founding.scenes_terminate import PATIENCE
from tb.tests.stage import (
    ARRIVAL,
    DISCONNECT_COMPLETE,
    EVENT,
    FAR_ISS,
    FORWARD,
    FORWARD_COMPLETE,
    INDICATE,
    INVALIDATE,
    INVALIDATE_COMPLETE,
    MSS,
    QUERY,
    QUERY_COMPLETE,
    RAW_INDICATE,
    RECEIVE,
    RECEIVE_COMPLETE,
    RETURN,
    SEND_COMPLETE,
    TERMINATE,
    TERMINATE_COMPLETE,
    UPDATE,
    UPDATE_COMPLETE,
    WIRE,
    pattern,
)


@row("TC-01")
def every_terminate_is_completed_once_and_later_than_its_call(stories: Stories) -> None:
    """CH-021"""
    for story in stories.values():
        (call,), (done,) = story.of(TERMINATE), story.of(TERMINATE_COMPLETE)
        assert TERMINATE not in done.inside
        assert story.moments.index(done) > story.moments.index(call)


@row("TC-02")
def a_terminate_is_completed_under_the_handle_that_ndis_gave_the_miniport(stories: Stories) -> None:
    """CH-021"""
    for story in stories.values():
        adapters = story.stage.layers.adapters
        calls = crossings(story, "B", TERMINATE_COMPLETE)
        assert [call.handle for call in calls] == [adapter.miniport_handle for adapter in adapters]
        assert {id(call.root) for call in calls} == {id(story.of(TERMINATE)[0].root)}


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
    assert after <= {WIRE, ARRIVAL, RAW_INDICATE, RETURN}
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


@row("TC-08")
def the_age_of_the_last_confirmation_behind_a_neighbor_is_written_with_its_state(stories: Stories) -> None:
    """CH-245"""
    story = stories["aged"]
    (done,) = story.of(TERMINATE_COMPLETE)
    neighbor, path, _ = done.nodes
    assert (neighbor.layer, neighbor.status, path.status) == (Layer.NEIGHBOR, OK, OK)
    assert isinstance(neighbor.delegated, NeighborDelegated)
    heard = max(m.tick for m in story.of(ARRIVAL) if m.tick < done.tick)
    assert abs(neighbor.delegated.nic_reachability_delta - (done.tick - heard)) <= 1
    assert done.tick - heard >= 70
    before = story.of(TERMINATE)[0].nodes[0].delegated
    assert before == NeighborDelegated()


@row("TC-09")
def failure_means_that_the_state_object_is_lost_and_nothing_else_is(stories: Stories) -> None:
    """CH-249"""
    story = stories["failure"]
    nodes = story.of(TERMINATE_COMPLETE)[0].nodes
    assert [(n.layer, n.status) for n in nodes][-1] == (Layer.TCP, NdisStatus.FAILURE)
    assert {n.status for n in nodes[:-1]} <= {OK}
    assert story.node.delegated is None
    assert (story.node.has_chain, story.node.buffered) == (False, b"")
    assert back(story, "S1")[1] == 200


@row("TC-10")
def a_device_that_does_not_answer_ends_the_terminate_in_failure_after_a_time(stories: Stories) -> None:
    """CH-249 G-20"""
    story = stories["silent"]
    (call,), (done,) = story.of(TERMINATE), story.of(TERMINATE_COMPLETE)
    assert abs(done.tick - call.tick - PATIENCE) <= 2
    assert story.at("still waited for") < story.moments.index(done) < story.at("given up")
    assert (story.node.status, story.node.delegated, story.node.has_chain) == (NdisStatus.FAILURE, None, False)
    assert story.upload == (NdisStatus.FAILURE, None, b"")


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
        for one in story.given.values():
            assert story.place(one.name) <= done


@row("TC-13")
def no_indication_is_in_progress_when_the_terminate_completes_and_none_comes_after(stories: Stories) -> None:
    """CH-234 CH-235"""
    for story in stories.values():
        (moment,) = story.of(TERMINATE_COMPLETE)
        assert not {INDICATE, EVENT} & set(moment.inside)
        later = story.moments[story.moments.index(moment) + 1 :]
        assert not {INDICATE, EVENT, SEND_COMPLETE, RECEIVE_COMPLETE, DISCONNECT_COMPLETE} & {m.name for m in later}


@row("TC-14")
def queries_updates_invalidates_and_forwards_are_all_back_before_the_terminate_completes(stories: Stories) -> None:
    """CH-233"""
    story = stories["state calls"]
    names = [m.name for m in story.moments]
    done = names.index(TERMINATE_COMPLETE)
    for call, complete in ((QUERY, QUERY_COMPLETE), (UPDATE, UPDATE_COMPLETE), (INVALIDATE, INVALIDATE_COMPLETE)):
        assert names.count(call) == names.count(complete) == 1
        assert names.index(call) < names.index(complete) < done
    assert all(request.completed and set(request.statuses) == {OK} for request in story.facts["requests"])
    flying = stories["forward in flight"]
    names = [m.name for m in flying.moments]
    assert names.index(FORWARD) < names.index(TERMINATE) < names.index(FORWARD_COMPLETE)
    for forwarded in (story, flying):
        done = forwarded.moments.index(forwarded.of(TERMINATE_COMPLETE)[0])
        assert given(forwarded, "F")
        assert all(forwarded.place(one.name) < done for one in given(forwarded, "F"))
    assert bytes(flying.sink) == b"".join([pattern(40), *(pattern(100, i) for i in range(8))])


@row("TC-15")
def outstanding_send_data_goes_up_as_a_chain_of_the_lists_that_were_sent_in_order(stories: Stories) -> None:
    """CH-236 CH-237"""
    story = stories["chained"]
    assert back(story, "S1") == (OK, 1000)
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
        sent = b"".join(one.data for one in given(story, "S"))
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
    """CH-236"""
    for name, story in stories.items():
        if name in (*RESET, *BROKEN, *LOST):
            continue
        data = b"".join(one.data for one in story.given.values() if one.name[0] in "SD")
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
        assert all(len(list(returns(story, one.name))) == 1 for one in given(story, "S"))


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
    assert back(stories["reset"], "R1") == (ABORTED, 0)


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


@row("TC-32")
def a_failing_terminate_tells_of_the_loss_by_events_and_aborts_what_is_outstanding_first(stories: Stories) -> None:
    """CH-096 G-20"""
    failed = (TcpEventType.RETRIEVE, UploadReason.HARDWARE_FAILURE), (TcpEventType.ABORT, 0)
    for name, outstanding in (("failure", ("S1",)), ("silent", ("S1", "S2", "D", "R1"))):
        story = stories[name]
        call, done = (story.moments.index(story.of(kind)[0]) for kind in (TERMINATE, TERMINATE_COMPLETE))
        events = [i for i, m in enumerate(story.moments) if m.name == EVENT]
        assert tuple(story.moments[i].event for i in events) == failed
        assert all(call < i < done for i in events)
        assert all(call < story.place(one) < done for one in outstanding)
        assert all(story.returned(one).status is ABORTED for one in outstanding)
    assert back(stories["silent"], "R1") == (ABORTED, 0)
