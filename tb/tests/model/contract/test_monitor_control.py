"""Query, update, invalidate (section 9.4): every rule has a trace that breaks it and one that keeps it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.control import ControlMonitor, StateMonitor
from tb.monitors.contract.trace import Tree
from tb.monitors.wire_headers import RST
from tb.tests.model.contract.face_traces import (
    CONN,
    LATE,
    LATER,
    MSS,
    NEIGHBOR,
    NEIGHBOR_CACHED,
    OTHER_MAC,
    OWN_MAC,
    PATH,
    PEER_MAC,
    SND_UNA,
    TCP_DELEGATED,
    WINDOW,
    Story,
    Tales,
    nbl,
)
from tb.tests.model.contract.section_tests import FaceSection

SECTIONS: Final = (ControlMonitor, StateMonitor)
RULES: Final = sorted(rule for section in SECTIONS for rule in section.RULES)
TALES: Final = Tales()
breaks, keeps = TALES.breaks, TALES.keeps
DATA: Final = bytes(range(100))
OVERRIDE: Final = 1000
"""Ticks; the initial RTO where nothing else is said."""
SECOND: Final = 31
KEEP_ALIVE, NAGLING = ndis.KEEP_ALIVE_ENABLED, 2
TO_OTHER: Final = (OWN_MAC, OTHER_MAC)


def sequence(position: int) -> int:
    return (SND_UNA + position) % (1 << 32)


def relinking(s: Story, neighbor: int = 11, path: int = PATH) -> Tree:
    return s.begin(ndis.UPDATE, s.tree(s.node(neighbor), s.node(path)))


# --- queries ---------------------------------------------------------------------------------------------------


@breaks("CH-074")
def a_const_variable_differs(s: Story) -> None:
    s.offload()
    const, cached, delegated = s.states[CONN]
    s.end(ndis.QUERY, s.query(), const={**const, "remote_mss": 999}, cached=cached, delegated=delegated)


@breaks("CH-074")
def a_cached_variable_is_of_before_the_update(s: Story) -> None:
    s.offload().update(CONN, ttl_or_hop_limit=9).wait(1).told(s.query())


@breaks("CH-074")
def a_variable_is_not_written(s: Story) -> None:
    s.offload().told(s.query(), cached={"ttl_or_hop_limit": None})


@breaks("CH-074")
def rcv_nxt_lies_before_what_was_acknowledged(s: Story) -> None:
    s.offload().into(0, DATA).out(ack=100).told(s.query(), rcv_nxt=5099)


@breaks("CH-074")
def snd_una_lies_behind_what_the_peer_acknowledged(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(ack=50)
    s.told(s.query(), snd_una=sequence(51), snd_max=sequence(100), retransmit_timeout_delta=5)


@breaks("CH-074")
def snd_max_lies_before_what_was_sent(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).told(s.query(), snd_max=sequence(99), retransmit_timeout_delta=5)


@breaks("CH-074")
def the_mac_of_a_neighbor_differs(s: Story) -> None:
    s.offload()
    tree = s.begin(ndis.QUERY, s.tree(s.node(NEIGHBOR)))
    s.end(ndis.QUERY, tree, cached={**NEIGHBOR_CACHED, "dl_destination_address": OTHER_MAC.ljust(32, b"\0")})


@keeps("CH-074", "CH-075", "CH-076", "CH-079")
def _(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).into(0, DATA, ack=50).out(100, ack=100)
    tree = s.query()
    now: dict[str, Any] = {"snd_una": sequence(50), "snd_max": sequence(100), "rcv_nxt": 5100}
    now["retransmit_timeout_delta"] = 7
    s.told(tree, receive_backlog_size=100, **now).update(CONN, flags=8, ttl_or_hop_limit=9)
    s.told(s.query(), cached={"ttl_or_hop_limit": 9}, receive_backlog_size=100, **now)


@keeps("CH-074")
def an_update_completes_between_query_and_snapshot(s: Story) -> None:
    s.offload()
    tree = s.query()
    s.update(CONN, ttl_or_hop_limit=9).wait(5).told(tree)


@breaks("CH-075")
def a_backlog_is_not_written(s: Story) -> None:
    s.offload().told(s.query(), send_backlog_size=None)


@breaks("CH-075")
def a_feature_comes_and_goes(s: Story) -> None:
    s.offload().told(s.query(), receive_backlog_size=ndis.NOT_RUNNING).told(s.query(), receive_backlog_size=0)


@keeps("CH-075")
def unsupported_backlogs(s: Story) -> None:
    none: dict[str, Any] = {"send_backlog_size": ndis.NOT_RUNNING, "receive_backlog_size": ndis.NOT_RUNNING}
    s.offload().into(0, DATA).told(s.query(), **none).told(s.query(), **none)


@breaks("CH-076")
def undelivered_bytes_are_missing(s: Story) -> None:
    s.offload().into(0, DATA).out(ack=100).told(s.query(), rcv_nxt=5100, receive_backlog_size=99)


@breaks("CH-076")
def bytes_that_the_client_took_are_counted(s: Story) -> None:
    s.offload().into(0, DATA).out(ack=100)
    call = s.enter(ndis.INDICATE, target=200 + CONN, lists=(nbl(9, DATA),))
    s.leave(call, result=ndis.PARTIALLY_ACCEPTED, consumed=60)
    s.told(s.query(), rcv_nxt=5100, receive_backlog_size=100)


@keeps("CH-076")
def bytes_in_a_posted_receive_may_count_or_not(s: Story) -> None:
    s.offload().post(8, 60).into(0, DATA).out(ack=100)
    s.told(s.query(), rcv_nxt=5100, receive_backlog_size=100)
    s.told(s.query(), rcv_nxt=5100, receive_backlog_size=40)


@breaks("CH-077")
def one_of_two_queries_is_left_behind_by_a_terminate(s: Story) -> None:
    s.offload()
    s.query()
    s.told(s.query()).end(ndis.TERMINATE, s.terminate())


@breaks("CH-077")
def one_of_two_queries_never_completes(s: Story) -> None:
    s.offload()
    s.query()
    s.told(s.query()).wait(1000)


@keeps("CH-077")
def _(s: Story) -> None:
    s.offload()
    first, second = s.query(), s.query()
    s.told(second).told(first).wait(1000)


@breaks("CH-078")
def a_query_ends_with_resources(s: Story) -> None:
    s.offload().end(ndis.QUERY, s.query(), ndis.RESOURCES)


@breaks("CH-078")
def a_terminate_ends_with_partial_success(s: Story) -> None:
    s.offload().end(ndis.TERMINATE, s.terminate(), ndis.PARTIAL_SUCCESS)


@keeps("CH-078")
def _(s: Story) -> None:
    s.offload().update(CONN, ndis.FAILURE).update(CONN).end(ndis.TERMINATE, s.terminate())


@breaks("CH-079")
def an_idle_retransmit_timer_is_told_as_0(s: Story) -> None:
    s.offload().told(s.query(), retransmit_timeout_delta=0)


@breaks("CH-079")
def a_keep_alive_timer_that_is_off_is_told_as_0(s: Story) -> None:
    s.offload().told(s.query(), keep_alive_timeout_delta=0)


@breaks("CH-079")
def an_idle_timer_in_a_terminate(s: Story) -> None:
    s.offload().end(ndis.TERMINATE, s.terminate(), delegated={**TCP_DELEGATED, "retransmit_timeout_delta": 9})


# --- updates ---------------------------------------------------------------------------------------------------


@breaks("CH-080")
def the_target_writes_into_the_tree(s: Story) -> None:
    s.offload()
    tree = s.updating(CONN, ttl_or_hop_limit=9)
    s.end(ndis.UPDATE, tree, cached={"ttl_or_hop_limit": 64})


@breaks("CH-080")
def another_connection_shows_the_new_value(s: Story) -> None:
    s.offload().offload(SECOND).update(CONN, ttl_or_hop_limit=9).wait(LATER).out(conn=SECOND, ttl=9)


@keeps("CH-080")
def each_connection_shows_its_own_values(s: Story) -> None:
    s.offload().offload(SECOND)
    tree = s.updating(CONN, ttl_or_hop_limit=9)
    s.out(ttl=64).out(ttl=9).end(ndis.UPDATE, tree).out(ttl=64).wait(LATER).out(ttl=9).out(conn=SECOND, ttl=64)


@breaks("CH-081")
def frames_still_carry_the_mac_of_the_old_neighbor(s: Story) -> None:
    s.offload().add_neighbor().end(ndis.UPDATE, relinking(s)).wait(LATER).out()


@keeps("CH-081")
def _(s: Story) -> None:
    s.offload().add_neighbor()
    tree = relinking(s)
    s.out().out(macs=TO_OTHER).end(ndis.UPDATE, tree).out().wait(LATER).out(macs=TO_OTHER)


@breaks("CH-082")
def frames_still_carry_the_old_mac(s: Story) -> None:
    s.offload().update(NEIGHBOR, dl_destination_address=OTHER_MAC).wait(LATER).out()


@keeps("CH-082")
def _(s: Story) -> None:
    s.offload().update(NEIGHBOR, dl_destination_address=OTHER_MAC).out().wait(LATER).out(macs=TO_OTHER)


@breaks("CH-083")
def a_failed_update_changed_the_mac(s: Story) -> None:
    s.offload().update(NEIGHBOR, ndis.FAILURE, dl_destination_address=OTHER_MAC).wait(LATER).out(macs=TO_OTHER)


@breaks("CH-083")
def a_failed_relink_moved_the_path(s: Story) -> None:
    s.offload().add_neighbor().end(ndis.UPDATE, relinking(s), ndis.FAILURE).wait(LATER).out(macs=TO_OTHER)


@breaks("CH-083")
def a_failed_update_changed_the_ttl(s: Story) -> None:
    s.offload().update(CONN, ndis.FAILURE, ttl_or_hop_limit=9).wait(LATER).out(ttl=9)


@keeps("CH-083")
def _(s: Story) -> None:
    s.offload().add_neighbor().end(ndis.UPDATE, relinking(s), ndis.FAILURE)
    s.update(NEIGHBOR, ndis.FAILURE, dl_destination_address=OTHER_MAC).update(CONN, ndis.FAILURE, ttl_or_hop_limit=9)
    s.wait(LATER).out(macs=(OWN_MAC, PEER_MAC))


GROWN: Final = 40_000
GROWING: Final = {"flags": ndis.UPDATE_RCV_WND, "initial_rcv_wnd": GROWN}


@breaks("CH-084")
def the_larger_window_is_not_advertised(s: Story) -> None:
    s.offload().update(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=GROWN).wait(LATE)


@breaks("CH-084")
def segments_advertise_the_old_window(s: Story) -> None:
    s.offload().update(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=GROWN).wait(LATER).out(window=WINDOW)


@breaks("CH-084")
def the_right_edge_is_pulled_back(s: Story) -> None:
    s.offload().out().update(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=9000).wait(LATER).out(window=9000)


@breaks("CH-084")
def the_window_does_not_shrink_as_data_come_in(s: Story) -> None:
    s.offload().out().update(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=19_950).wait(LATER)
    s.into(0, DATA).out(ack=100, window=WINDOW)


@keeps("CH-084")
def _(s: Story) -> None:
    s.offload().update(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=GROWN).wait(LATER).out(window=GROWN).wait(LATE)


@keeps("CH-084")
def undelivered_data_take_from_the_window(s: Story) -> None:
    s.offload().into(0, DATA).out(ack=100, window=WINDOW - 100)
    s.update(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=GROWN).wait(LATER)
    s.out(ack=100, window=GROWN - 100).wait(LATE)


@keeps("CH-084")
def the_window_shrinks_as_data_come_in(s: Story) -> None:
    s.offload().out().update(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=19_950).wait(LATER).out()
    s.into(0, DATA).out(ack=100, window=19_950)


@keeps("CH-084")
def the_window_grows_again_before_the_second_update_completed(s: Story) -> None:
    s.offload().out().update(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=9000).wait(LATER).out()
    tree = s.begin(ndis.UPDATE, s.tree(s.node(CONN, cached={**s.states[CONN][1], **GROWING})))
    s.out(window=GROWN).end(ndis.UPDATE, tree).wait(LATER).out(window=GROWN).wait(LATE)


@keeps("CH-084")
def the_edge_moves_once_more_before_the_update_that_shrinks_the_window_completed(s: Story) -> None:
    tree = s.offload().out().updating(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=9000)
    s.into(0, DATA).out(ack=100, window=WINDOW).end(ndis.UPDATE, tree).wait(LATER).out(ack=100, window=WINDOW)


@breaks("CH-084")
def the_edge_moves_after_the_update_that_shrinks_the_window_completed(s: Story) -> None:
    tree = s.offload().out().updating(CONN, flags=ndis.UPDATE_RCV_WND, initial_rcv_wnd=9000)
    s.into(0, DATA).end(ndis.UPDATE, tree).wait(LATER).out(ack=100, window=WINDOW)


@breaks("CH-085")
def _(s: Story) -> None:
    s.offload(delegated={"total_rt": 900}).update(CONN, flags=ndis.MAX_RT_RESTART).wait(LATER).told(
        s.query(), total_rt=910
    )


@breaks("CH-085")
def more_than_the_rto_that_ran_at_the_restart_is_told(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).wait(200).update(CONN, flags=ndis.MAX_RT_RESTART)
    s.wait(100).told(s.query(), total_rt=400, snd_max=sequence(100), retransmit_timeout_delta=600)


@keeps("CH-085")
def the_rto_that_ran_at_the_restart_counts_whole(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).wait(200).update(CONN, flags=ndis.MAX_RT_RESTART)
    s.wait(100).told(s.query(), total_rt=300, snd_max=sequence(100), retransmit_timeout_delta=600)


@keeps("CH-085")
def _(s: Story) -> None:
    s.offload(delegated={"total_rt": 900}).told(s.query(), total_rt=905)
    s.update(CONN, flags=ndis.MAX_RT_RESTART).wait(LATER).told(s.query(), total_rt=10)


def watched(s: Story) -> Story:
    """Keep-alive is on, 1000 ticks; 900 have passed; a restart is asked for."""
    alive = {"flags": KEEP_ALIVE, "ka_timeout": 1000}
    s.offload(cached=dict(alive), delegated={"keep_alive_timeout_delta": 1000}).wait(900)
    return s.update(CONN, flags=KEEP_ALIVE | ndis.KEEP_ALIVE_RESTART, ka_timeout=1000)


@breaks("CH-086")
def the_probe_comes_at_the_old_time(s: Story) -> None:
    watched(s).wait(LATE).out(-1)


@breaks("CH-086")
def the_old_time_is_told(s: Story) -> None:
    flags = {"flags": KEEP_ALIVE, "ka_timeout": 1000}
    watched(s).wait(LATE).told(s.query(), cached=dict(flags), keep_alive_timeout_delta=50)


@keeps("CH-086")
def _(s: Story) -> None:
    flags = {"flags": KEEP_ALIVE, "ka_timeout": 1000}
    watched(s).wait(LATE).told(s.query(), cached=dict(flags), keep_alive_timeout_delta=950).wait(950).out(-1)


@breaks("CH-087")
def a_probe_though_keep_alive_is_off(s: Story) -> None:
    s.offload(cached={"flags": KEEP_ALIVE, "ka_timeout": 1000}).update(CONN, flags=0).wait(1100).out(-1)


@breaks("CH-087")
def a_small_send_waits_though_nagling_is_off(s: Story) -> None:
    s.offload(cached={"flags": NAGLING}).update(CONN, flags=0).wait(LATER)
    s.send(1, DATA).out(0, DATA).send(2, DATA).wait(LATE).into(ack=100).out(100, DATA)


@keeps("CH-087")
def keep_alive_is_off(s: Story) -> None:
    s.offload(cached={"flags": KEEP_ALIVE, "ka_timeout": 1000}).update(CONN, flags=0).wait(1100)


@keeps("CH-087")
def nagling_is_off(s: Story) -> None:
    s.offload(cached={"flags": NAGLING}).update(CONN, flags=0).wait(LATER)
    s.send(1, DATA).out(0, DATA).send(2, DATA).out(100, DATA).wait(LATE)


@breaks("CH-088")
def an_object_is_updated_twice_at_once(s: Story) -> None:
    s.offload()
    s.updating(CONN, ttl_or_hop_limit=9)
    s.updating(CONN, ttl_or_hop_limit=10)


@breaks("CH-088")
def an_invalidated_object_is_updated(s: Story) -> None:
    s.offload().invalidate(PATH).update(PATH, path_mtu=1400)


@breaks("CH-088")
def an_object_is_updated_while_it_is_offloaded(s: Story) -> None:
    s.offloading()
    s.begin(ndis.UPDATE, s.tree(s.node(CONN, new=True, cached={"ttl_or_hop_limit": 9})))


@keeps("CH-088", "CH-089")
def _(s: Story) -> None:
    s.offload().offload(SECOND)
    first, second = s.updating(CONN, ttl_or_hop_limit=9), s.updating(SECOND, ttl_or_hop_limit=8)
    s.end(ndis.UPDATE, second).end(ndis.UPDATE, first).wait(LATER).out(ttl=9).out(conn=SECOND, ttl=8)


@keeps("CH-088")
def the_path_of_a_connection_that_is_updated_is_updated(s: Story) -> None:
    """A linker on the way to what an update changes is not changed itself."""
    s.offload()
    tree = s.begin(ndis.UPDATE, s.tree(s.node(PATH), s.node(CONN, cached={"ttl_or_hop_limit": 9})))
    s.update(PATH, path_mtu=1400).end(ndis.UPDATE, tree).wait(LATER).out(ttl=9)


@keeps("CH-088")
def paths_leave_an_invalidated_neighbor(s: Story) -> None:
    s.offload().add_neighbor().invalidate(NEIGHBOR).end(ndis.UPDATE, relinking(s)).wait(LATER).out(macs=TO_OTHER)


@breaks("CH-089")
def one_of_two_updates_never_completes(s: Story) -> None:
    s.offload().offload(SECOND)
    s.updating(CONN, ttl_or_hop_limit=9)
    s.update(SECOND, ttl_or_hop_limit=8).wait(1000)


@breaks("CH-090")
def _(s: Story) -> None:
    s.offload()
    other = s.node(21, new=True, const={"source_address": b"\x01" * 4}, cached={})
    s.offloaded(s.begin(ndis.INITIATE, s.tree(s.node(NEIGHBOR), other)))
    s.begin(ndis.UPDATE, s.tree(s.node(21), s.node(CONN, cached={"ttl_or_hop_limit": 9})))


@keeps("CH-090")
def _(s: Story) -> None:
    s.offload()
    tcp = s.node(CONN, cached={"ttl_or_hop_limit": 9})
    s.end(ndis.UPDATE, s.begin(ndis.UPDATE, s.tree(s.node(NEIGHBOR), s.node(PATH), tcp)))


# --- invalidates -----------------------------------------------------------------------------------------------


@breaks("CH-091")
def _(s: Story) -> None:
    s.offload().begin(ndis.INVALIDATE, s.tree(s.node(PATH, cached={"path_mtu": 1500})))


@keeps("CH-091", "CH-092")
def nothing_goes_out_below_an_invalid_path(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).invalidate(PATH).out(0, DATA).wait(LATER).into(0, DATA).wait(600)


@breaks("CH-092")
def data_of_an_invalid_connection_go_out(s: Story) -> None:
    s.offload().send(1, DATA).invalidate(CONN).wait(LATER).out(0, DATA)


@breaks("CH-092")
def an_ack_goes_out_below_an_invalid_neighbor(s: Story) -> None:
    s.offload().invalidate(NEIGHBOR).wait(LATER).into(0, DATA).out(ack=100)


@keeps("CH-092")
def an_invalid_connection_still_acknowledges(s: Story) -> None:
    s.offload().invalidate(CONN).wait(LATER).into(0, DATA).out(ack=100)


@keeps("CH-078")
def a_failed_invalidate_stops_nothing(s: Story) -> None:
    s.offload().send(1, DATA).invalidate(CONN, ndis.FAILURE).retrieve(ndis.HARDWARE_FAILURE).abort()


@breaks("CH-093")
def a_send_raises_nothing(s: Story) -> None:
    s.offload().invalidate(PATH).send(1, DATA).wait(LATE)


@breaks("CH-093")
def it_is_raised_twice(s: Story) -> None:
    s.offload().invalidate(PATH).send(1, DATA).retrieve(ndis.INVALID).retrieve(ndis.INVALID)


@breaks("CH-093")
def it_is_raised_without_an_invalidate(s: Story) -> None:
    s.offload().retrieve(ndis.INVALID)


@keeps("CH-093")
def _(s: Story) -> None:
    s.offload().invalidate(PATH).send(1, DATA).wait(2).retrieve(ndis.INVALID).send(2, DATA).wait(LATE)


@keeps("CH-092")
def a_send_into_a_closed_window_is_no_attempt(s: Story) -> None:
    s.offload().into(window=0).invalidate(PATH).send(1, DATA).wait(LATE)


@keeps("CH-092")
def a_send_into_a_silly_window_is_no_attempt(s: Story) -> None:
    s.offload().into(window=len(DATA) - 1).invalidate(PATH).send(1, DATA).wait(LATE)


@breaks("CH-093")
def a_window_for_one_segment_is_enough(s: Story) -> None:
    s.offload().into(window=MSS).invalidate(PATH).send(1, bytes(5 * MSS)).wait(LATE)


def _small(s: Story, widest: int, wait: int) -> Story:
    """A send of five segments to a peer whose window has less room than one."""
    s.offload(delegated={"snd_wnd": 0, "max_snd_wnd": widest}).into(window=MSS - 200).invalidate(PATH)
    return s.send(1, bytes(5 * MSS)).wait(wait)


@breaks("CH-093")
def half_the_widest_window_is_enough(s: Story) -> None:
    _small(s, 2 * (MSS - 200), LATE)


@keeps("CH-092")
def less_than_half_the_widest_window_waits_for_the_override(s: Story) -> None:
    _small(s, 2 * (MSS - 200) + 1, OVERRIDE)


@breaks("CH-093")
def behind_the_override_a_silly_window_is_tried(s: Story) -> None:
    _small(s, 65535, OVERRIDE + LATE)


@keeps("CH-092")
def a_window_that_moves_starts_the_override_anew(s: Story) -> None:
    _small(s, 65535, OVERRIDE // 2).into(window=MSS - 100).wait(OVERRIDE)


@keeps("CH-093")
def it_is_raised_by_the_override(s: Story) -> None:
    _small(s, 65535, OVERRIDE).retrieve(ndis.INVALID).wait(LATE)


@breaks("CH-094")
def a_path_less_is_in_use(s: Story) -> None:
    s.offload().invalidate(PATH).counters(connections=1, paths=0, neighbors=1)


@breaks("CH-094")
def the_context_of_an_invalid_neighbor_is_given_away(s: Story) -> None:
    s.offload().invalidate(NEIGHBOR)
    tree = s.begin(ndis.INITIATE, s.tree(s.node(11, new=True, const={}, cached={})))
    nodes = {ident: replace(node, status=ndis.SUCCESS, context=NEIGHBOR) for ident, node in tree.nodes.items()}
    s.call(ndis.INITIATED, tree=replace(tree, nodes=nodes))


@keeps("CH-094")
def _(s: Story) -> None:
    s.offload().invalidate(PATH).counters(connections=1, paths=1, neighbors=1)
    s.end(ndis.TERMINATE, s.terminate()).counters(connections=0, paths=1, neighbors=1)


# --- failures --------------------------------------------------------------------------------------------------


@breaks("CH-095")
def nothing_follows_the_failure(s: Story) -> None:
    s.offload().end(ndis.QUERY, s.query(), ndis.FAILURE).wait(2 * LATE)


@breaks("CH-095")
def the_abort_goes_first(s: Story) -> None:
    s.offload().invalidate(CONN, ndis.FAILURE).abort().retrieve(ndis.HARDWARE_FAILURE)


@breaks("CH-095")
def the_event_goes_before_the_completion(s: Story) -> None:
    s.offload()
    tree = s.query()
    s.retrieve(ndis.HARDWARE_FAILURE).end(ndis.QUERY, tree, ndis.FAILURE)


@breaks("CH-095")
def the_abort_is_missing(s: Story) -> None:
    s.offload().end(ndis.QUERY, s.query(), ndis.FAILURE).retrieve(ndis.HARDWARE_FAILURE)
    s.end(ndis.TERMINATE, s.terminate())


@breaks("CH-096")
def a_send_ends_otherwise(s: Story) -> None:
    s.offload().send(1, DATA).end(ndis.QUERY, s.query(), ndis.FAILURE).retrieve(ndis.HARDWARE_FAILURE).abort()
    s.terminate()
    s.back("send", 1, status=ndis.UPLOAD_IN_PROGRESS)


@breaks("CH-096")
def a_send_lies_in_the_chain(s: Story) -> None:
    s.offload().send(1, DATA).retrieve(ndis.HARDWARE_FAILURE)
    s.end(ndis.TERMINATE, s.terminate(), chain=(nbl(1, DATA),))


@keeps("CH-095", "CH-096")
def _(s: Story) -> None:
    s.offload().send(1, DATA).post(2, 50).end(ndis.QUERY, s.query(), ndis.FAILURE)
    s.retrieve(ndis.HARDWARE_FAILURE).abort()
    tree = s.terminate()
    s.back("send", 1, status=ndis.REQUEST_ABORTED).back("receive", 2, status=ndis.REQUEST_ABORTED)
    s.end(ndis.TERMINATE, tree)


@keeps("CH-078")
def an_rst_comes_between(s: Story) -> None:
    s.offload().end(ndis.QUERY, s.query(), ndis.FAILURE).into(flags=RST).abort().retrieve(ndis.HARDWARE_FAILURE).wait(
        99
    )


class TestControl(FaceSection):
    rules = RULES
    tales = TALES
