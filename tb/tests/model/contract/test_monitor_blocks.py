"""Section 9.2: every rule has a trace that breaks it, which its monitor names first, and one that keeps it."""

from __future__ import annotations

from typing import Any, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.blocks import NOT_APPLICABLE, BlockRules
from tb.tests.model.contract.offload_traces import (
    HOP_MAC,
    OWN_MAC,
    Branch,
    Story,
    Trace,
    done,
    ended,
    named,
    nbl,
    neighbor,
    path,
    placeholder,
    posted,
    tcp,
    tree,
)
from tb.tests.model.contract.section_tests import ByRule, OffloadSection

STORIES: Final = ByRule[Story]()
story = STORIES.of
DATA: Final = b"d" * 100


def query(trace: Trace, branch: Branch, **states: Any) -> None:
    """A query of one object that brings ``states`` back."""
    given = tree(named(branch))
    answers = {name: {branch.node.ident: state} for name, state in states.items()}
    trace.state_call(ndis.QUERY, given, ended(given, **answers))


def update(trace: Trace, branch: Branch, status: int = ndis.SUCCESS, **cached: Any) -> None:
    """An update of one object."""
    given = tree(named(branch, cached={**(branch.node.cached or {}), **cached}))
    trace.state_call(ndis.UPDATE, given, ended(given, {branch.node.ident: status}))


def new_tree() -> Branch:
    """Neighbor 1, path 2, connections 3 and 4."""
    return neighbor(1, path(2, tcp(3), tcp(4)))


@story("CH-020")
def hands_off_after_the_completion(trace: Trace, broken: bool) -> None:
    given = tree(new_tree())
    trace.call(ndis.INITIATE, tree=given)
    end = ended(given)
    call = trace.enter(ndis.INITIATED, tree=end)
    trace.leave(call, tree=ended(given, {4: ndis.FAILURE}, context={4: 3004}) if broken else end)


@story("CH-021")
def completed_once(trace: Trace, broken: bool) -> None:
    given = tree(new_tree())
    trace.initiate(given)
    if broken:
        trace.call(ndis.INITIATED, tree=ended(given))


@story("CH-022")
def every_node_has_a_status(trace: Trace, broken: bool) -> None:
    given = tree(neighbor(1, placeholder(2, tcp(3))))
    trace.initiate(given, ended(given, status={2: None}) if broken else None)


@story("CH-023")
def reserved_fields_come_back(trace: Trace, broken: bool) -> None:
    given = tree(neighbor(1, reserved=(1, 2, 3, 4, 5, 6, 7)))
    trace.initiate(given, ended(given, reserved={1: (1, 2, 3, 4, 5, 6, None if broken else 7)}))


@story("CH-024")
def links_come_back(trace: Trace, broken: bool) -> None:
    given = tree(neighbor(1, port_number=4))
    trace.initiate(given, ended(given, port_number={1: 0 if broken else 4}))


@story("CH-026")
def siblings_of_one_layer(trace: Trace, broken: bool) -> None:
    trace.initiate(tree(neighbor(1), path(2) if broken else neighbor(2)))


@story("CH-027")
def one_layer_up(trace: Trace, broken: bool) -> None:
    trace.initiate(tree(neighbor(1, tcp(3) if broken else path(3))))


@story("CH-028")
def three_states(trace: Trace, broken: bool) -> None:
    trace.initiate(tree(neighbor(1, path(2, tcp(3, cached=None if broken else {})))))


@story("CH-029")
def const_stays(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    const = dict(tcp(3).node.const or {})
    query(trace, tcp(3), const={**const, "remote_mss": 536} if broken else const)


@story("CH-030")
def cached_by_update_only(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    before = dict(tcp(3).node.cached or {})
    update(trace, tcp(3), ndis.FAILURE if broken else ndis.SUCCESS, ttl_or_hop_limit=32)
    query(trace, tcp(3), cached={**before, "ttl_or_hop_limit": 32})


@story("CH-031")
def delegated_changes_in_silence(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    if broken:
        trace.event(3, 5)
    query(trace, tcp(3), delegated={**(tcp(3).node.delegated or {}), "snd_una": 5})


@story("CH-032")
def host_keeps_off_delegated(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    delegated = dict(tcp(3).node.delegated or {}) if broken else None
    given = tree(named(tcp(3), cached=tcp(3).node.cached, delegated=delegated))
    trace.state_call(ndis.UPDATE, given)


@story("CH-033")
def contexts_stay(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    given = tree(named(tcp(3)))
    trace.state_call(ndis.QUERY, given, ended(given, context={3: 77 if broken else 3003}))


@story("CH-034")
def contexts_differ(trace: Trace, broken: bool) -> None:
    given = tree(new_tree())
    trace.initiate(given, ended(given, context={4: 3003 if broken else 3004}))


@story("CH-035")
def handle_of_the_initiate(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    trace.event(2 if broken else 3, 1)


@story("CH-036")
def by_identity(trace: Trace, broken: bool) -> None:
    trace.connect(3, 4)
    trace.send(3, nbl(40, DATA))
    trace.send(4, nbl(41, DATA))
    trace.complete("send", done(nbl(41, DATA)), done(nbl(42 if broken else 40, DATA)))


# --- further traces that break a rule ------------------------------------------------------------------------


def written_after_a_late_return(trace: Trace) -> None:
    """The completion is called inside the function, which then goes on writing."""
    trace.connect(3)
    given = tree(named(tcp(3)))
    call = trace.enter(ndis.QUERY, tree=given)
    trace.call(ndis.QUERIED, tree=ended(given))
    trace.leave(call, tree=ended(given, {3: ndis.FAILURE}))


def never_completed(trace: Trace) -> None:
    trace.call(ndis.INITIATE, tree=tree(neighbor(1)))
    trace.wait(1000)
    trace.into(9)


def another_root(trace: Trace) -> None:
    given = tree(new_tree())
    trace.call(ndis.INITIATE, tree=given)
    trace.call(ndis.INITIATED, tree=tree(neighbor(8)))


def completed_as_another_call(trace: Trace) -> None:
    trace.connect(3)
    given = tree(named(tcp(3)))
    trace.call(ndis.QUERY, tree=given)
    trace.call(ndis.UPDATED, tree=ended(given))


def left_pending(trace: Trace) -> None:
    given = tree(neighbor(1))
    trace.initiate(given, ended(given, {1: ndis.PENDING}))


def dependents_of_a_connection(trace: Trace) -> None:
    trace.initiate(tree(neighbor(1, path(2, Branch(tcp(3).node, (tcp(4),))))))


def connection_below_two_placeholders(trace: Trace) -> None:
    trace.initiate(tree(neighbor(1, placeholder(2, placeholder(3, tcp(4))))))


def time_to_live_of_nobody(trace: Trace) -> None:
    trace.connect(3)
    trace.out(3, 0, DATA, ttl=63)


def next_hop_of_nobody(trace: Trace) -> None:
    trace.connect(3)
    trace.out(3, 0, DATA, macs=(OWN_MAC, OWN_MAC))


def type_of_service_of_a_failed_update(trace: Trace) -> None:
    trace.connect(3)
    update(trace, tcp(3), ndis.FAILURE, tos_or_traffic_class=0x20)
    trace.out(3, 0, DATA, tos=0x20)


def nothing_published(trace: Trace) -> None:
    given = tree(neighbor(1))
    trace.initiate(given, ended(given, context={1: None}))


def another_ones_data(trace: Trace) -> None:
    trace.connect(3, 4)
    trace.into(3, 0, DATA)
    trace.indicate(4, DATA)


def data_of_long_ago(trace: Trace) -> None:
    """It came when nobody had the connection, and no NIC keeps it that long."""
    trace.into(3, 0, DATA)
    trace.wait(100)
    trace.connect(3)
    trace.indicate(3, DATA)


def completed_twice(trace: Trace) -> None:
    trace.connect(3)
    trace.send(3, nbl(40, DATA))
    trace.complete("send", done(nbl(40, DATA)))
    trace.complete("send", done(nbl(40, DATA)))


def completed_as_another_kind(trace: Trace) -> None:
    trace.connect(3)
    trace.post(3, posted(40))
    trace.complete("send", done(posted(40), count=0))


ALSO_BROKEN: Final = [
    ("CH-020", written_after_a_late_return),
    ("CH-021", never_completed),
    ("CH-021", another_root),
    ("CH-021", completed_as_another_call),
    ("CH-022", left_pending),
    ("CH-027", dependents_of_a_connection),
    ("CH-027", connection_below_two_placeholders),
    ("CH-030", time_to_live_of_nobody),
    ("CH-030", next_hop_of_nobody),
    ("CH-030", type_of_service_of_a_failed_update),
    ("CH-034", nothing_published),
    ("CH-035", another_ones_data),
    ("CH-035", data_of_long_ago),
    ("CH-036", completed_twice),
    ("CH-036", completed_as_another_kind),
]


# --- traces that must not raise an alarm ---------------------------------------------------------------------


def offloaded_again(trace: Trace) -> None:
    """The same location, handle and context serve a connection twice, NBLs are used again."""
    for _ in range(2):
        branch = trace.connect(3)
        trace.send(3, nbl(40, DATA))
        trace.out(3, 0, DATA)
        trace.into(3, 0, DATA, ack=100)
        trace.indicate(3, DATA)
        trace.complete("send", done(nbl(40, DATA)))
        trace.terminate(branch)
        trace.wait(10)


def tree_used_again_in_the_completion(trace: Trace) -> None:
    trace.connect(3)
    given = tree(named(tcp(3)))
    trace.call(ndis.QUERY, tree=given)
    outer = trace.enter(ndis.QUERIED, tree=ended(given))
    inner = trace.enter(ndis.QUERY, tree=given)
    trace.leave(inner)
    trace.leave(outer, tree=given)
    trace.call(ndis.QUERIED, tree=ended(given))


def location_cleared_by_the_host(trace: Trace) -> None:
    trace.connect(3)
    given = tree(named(tcp(3)))
    trace.call(ndis.TERMINATE, tree=given)
    call = trace.enter(ndis.TERMINATED, tree=ended(given))
    trace.leave(call, tree=ended(given, context={3: None}))


def query_that_races_with_an_update(trace: Trace) -> None:
    trace.connect(3)
    before = dict(tcp(3).node.cached or {})
    for answer in (before, {**before, "ttl_or_hop_limit": 32}):
        asked = tree(named(tcp(3)))
        trace.call(ndis.QUERY, tree=asked)
        update(trace, path(2))
        changed = tree(named(tcp(3), ident=33, cached={**before, "ttl_or_hop_limit": 32}))
        trace.state_call(ndis.UPDATE, changed)
        trace.call(ndis.QUERIED, tree=ended(asked, cached={3: answer}))


def old_header_in_flight(trace: Trace) -> None:
    trace.connect(3)
    update(trace, tcp(3), ttl_or_hop_limit=32)
    trace.out(3, 0, DATA, ttl=64)
    trace.out(3, 0, DATA, ttl=32)


def relinked_path(trace: Trace) -> None:
    other = bytes.fromhex("020000000009")
    trace.connect(3)
    trace.initiate(tree(neighbor(7, cached={"dl_destination_address": other})))
    given = tree(named(neighbor(7, named(path(2)))))
    trace.call(ndis.UPDATE, tree=given)
    trace.out(3, 0, DATA, macs=(other, OWN_MAC))
    trace.call(ndis.UPDATED, tree=ended(given))
    trace.out(3, 0, DATA, macs=(HOP_MAC, OWN_MAC))
    trace.out(3, 0, DATA, macs=(other, OWN_MAC))


def requests_of_one_update(trace: Trace) -> None:
    """KEEP_ALIVE_RESTART does not stay; an InitialRcvWnd without its flag may be left out."""
    trace.connect(3)
    before = dict(tcp(3).node.cached or {})
    update(trace, tcp(3), flags=ndis.KEEP_ALIVE_RESTART | 1, initial_rcv_wnd=1000)
    query(trace, tcp(3), cached={**before, "flags": 1})


def chained_sends_complete_early(trace: Trace) -> None:
    given = tree(neighbor(1, path(2, tcp(3, chain=(nbl(40, DATA),)))))
    trace.call(ndis.INITIATE, tree=given)
    trace.complete("send", done(nbl(40, DATA)))
    trace.call(ndis.INITIATED, tree=ended(given))


def calls_on_unknown_contexts(trace: Trace) -> None:
    trace.send(99, nbl(40, DATA))
    trace.complete("send", done(nbl(40, DATA), ndis.UPLOAD_IN_PROGRESS, 0))
    trace.state_call(ndis.QUERY, tree(named(tcp(99))))


def young_call_at_the_end(trace: Trace) -> None:
    trace.wait(5000)
    trace.call(ndis.INITIATE, tree=tree(neighbor(1)))
    trace.wait(20)
    trace.into(9)


def intermediate_driver_above(trace: Trace) -> None:
    """The driver between changes fields of its own face; odd trees below are not the host's."""
    branch = neighbor(1)
    trace.layer = 1
    outer = trace.enter(ndis.INITIATE, tree=tree(branch))
    trace.layer = 0
    below = tree(neighbor(1, Branch(tcp(3).node)))
    trace.call(ndis.INITIATE, tree=below)
    trace.layer = 1
    trace.leave(outer)
    trace.layer = 0
    lower = trace.enter(ndis.INITIATED, tree=ended(below))
    trace.layer = 1
    trace.call(ndis.INITIATED, tree=ended(tree(branch), reserved={1: (9,) * 7}))
    trace.layer = 0
    trace.leave(lower, tree=ended(below, location={1: 5, 3: 6}, status={1: 1, 3: 1}))


def data_that_crosses_the_initiate(trace: Trace) -> None:
    """The frame is in the NIC's port when the host calls, and is looked at behind the hand-over."""
    trace.into(3, 0, DATA)
    trace.connect(3)
    trace.indicate(3, DATA)


KEPT: Final = [
    offloaded_again,
    data_that_crosses_the_initiate,
    tree_used_again_in_the_completion,
    location_cleared_by_the_host,
    query_that_races_with_an_update,
    old_header_in_flight,
    relinked_path,
    requests_of_one_update,
    chained_sends_complete_early,
    calls_on_unknown_contexts,
    young_call_at_the_end,
    intermediate_driver_above,
]


class TestBlocks(OffloadSection):
    monitor = BlockRules
    stories = STORIES
    also_broken = ALSO_BROKEN
    kept = KEPT
    not_applicable = NOT_APPLICABLE
    numbers = range(20, 37)
