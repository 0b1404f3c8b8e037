"""Section 9.3, the call and its tree: every rule has a trace that breaks it first, and one that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.initiate import NOT_APPLICABLE, InitiateRules
from tb.tests.model.contract.initiate_stories import ALSO_BROKEN as HANDOVER_BROKEN
from tb.tests.model.contract.initiate_stories import KEPT as HANDOVER_KEPT
from tb.tests.model.contract.initiate_stories import STORIES as HANDOVER_STORIES
from tb.tests.model.contract.initiate_stories import terminated_while_it_is_offloaded
from tb.tests.model.contract.offload_traces import (
    HOP_MAC,
    OWN_MAC,
    Branch,
    Story,
    Trace,
    done,
    ended,
    existing,
    named,
    nbl,
    neighbor,
    path,
    placeholder,
    tcp,
    told,
    tree,
)
from tb.tests.model.contract.section_tests import ByRule, OffloadSection

STORIES: Final = ByRule[Story]()
story = STORIES.of
DATA: Final = b"d" * 100
NEIGHBOR_WRITE, PATH_WRITE, INITIATE = 13, 12, 1
TCP_ENTRIES, PATH_ENTRIES = 0xC0231004, 0xC0231005
HW_ADDRESS_ENTRIES = 0xC0231008
RCV_WINDOW = 0xC023100C
VLAN_MISMATCH = 0xC023100D
VLAN_ENTRIES = 0xC0231009
PARTIAL: Final = ndis.PARTIAL_SUCCESS


def forest() -> Branch:
    """The tree of vector A.2: N1{P2{T3,T4},P5{T6}}."""
    return neighbor(1, path(2, tcp(3), tcp(4)), path(5, tcp(6)))


VECTOR: Final = {1: PARTIAL, 2: PARTIAL, 4: ndis.RESOURCES, 5: TCP_ENTRIES, 6: ndis.FAILURE}
"""The statuses of vector A.2, with a code for the other reason."""


def offload(trace: Trace, branch: Branch, statuses: dict[int, int], **changes: dict[int, int | None]) -> None:
    """An initiate that ends with these statuses."""
    given = tree(branch)
    trace.initiate(given, ended(given, statuses, **changes))


@story("CH-037")
def returns_first(trace: Trace, broken: bool) -> None:
    given = tree(neighbor(1))
    call = trace.enter(ndis.INITIATE, tree=given)
    if not broken:
        trace.leave(call)
    trace.call(ndis.INITIATED, tree=ended(given))
    if broken:
        trace.leave(call)


@story("CH-038")
def depth_first(trace: Trace, broken: bool) -> None:
    given = tree(forest())
    trace.call(ndis.INITIATE, tree=given)
    if broken:
        trace.submit(NEIGHBOR_WRITE, PATH_WRITE, PATH_WRITE, INITIATE, INITIATE, INITIATE)
    else:
        trace.submit(NEIGHBOR_WRITE, PATH_WRITE, INITIATE, INITIATE, PATH_WRITE, INITIATE)
    trace.call(ndis.INITIATED, tree=ended(given))


@story("CH-039")
def new_where_null(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    given = tree(named(neighbor(1, named(path(2, tcp(4))))))
    trace.initiate(given, ended(given, context={2: 7777 if broken else 3002}))


@story("CH-040")
def placeholders_succeed(trace: Trace, broken: bool) -> None:
    status = ndis.FAILURE if broken else ndis.SUCCESS
    offload(trace, placeholder(1, path(2)), {1: status, 2: ndis.FAILURE})


@story("CH-041")
def linkers_sum_up(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    given = tree(named(neighbor(1, named(path(2, tcp(4), tcp(5))))))
    linker = ndis.FAILURE if broken else PARTIAL
    trace.initiate(given, ended(given, {2: linker, 5: ndis.RESOURCES}))


@story("CH-042")
def success_means_all(trace: Trace, broken: bool) -> None:
    status = ndis.SUCCESS if broken else PARTIAL
    offload(trace, neighbor(1, path(2, tcp(3)), path(5)), {1: status, 5: ndis.RESOURCES})


@story("CH-043")
def partly_offloaded(trace: Trace, broken: bool) -> None:
    status = ndis.RESOURCES if broken else PARTIAL
    offload(trace, neighbor(1, path(2), path(5)), {1: status, 5: ndis.RESOURCES}, context={1: 3001})


@story("CH-044")
def immediate_dependents_only(trace: Trace, broken: bool) -> None:
    status = PARTIAL if broken else ndis.SUCCESS
    offload(trace, neighbor(1, path(2, tcp(3), tcp(4))), {1: status, 2: PARTIAL, 4: ndis.RESOURCES})


@story("CH-045")
def what_depends_on_a_failure(trace: Trace, broken: bool) -> None:
    statuses = {**VECTOR, 6: ndis.RESOURCES if broken else ndis.FAILURE}
    offload(trace, forest(), statuses)


@story("CH-046")
def walk_goes_on(trace: Trace, broken: bool) -> None:
    rest = {5: ndis.FAILURE, 6: ndis.FAILURE} if broken else {}
    offload(trace, forest(), {1: PARTIAL if broken else ndis.SUCCESS, 2: PARTIAL, 4: ndis.RESOURCES, **rest})


@story("CH-047")
def failed_root(trace: Trace, broken: bool) -> None:
    given = tree(neighbor(1, path(2)), neighbor(3))
    failed = {1: ndis.RESOURCES, 2: ndis.FAILURE}
    trace.initiate(given, ended(given, failed if broken else {**failed, 3: ndis.FAILURE}))


@story("CH-048")
def locations_of_the_successful(trace: Trace, broken: bool) -> None:
    offload(trace, neighbor(1), {1: ndis.RESOURCES}, context={1: 3001 if broken else None})


@story("CH-049")
def refused_send_data(trace: Trace, broken: bool) -> None:
    branch = neighbor(1, path(2, tcp(3, chain=(nbl(40, DATA),))))
    offload(trace, branch, {2: PARTIAL, 3: ndis.RESOURCES})
    if not broken:  # the host sends it on the next connection
        given = tree(named(neighbor(1, named(path(2, tcp(4))))))
        trace.initiate(given)
        trace.send(4, nbl(40, DATA))
    trace.complete("send", done(nbl(40, DATA)))


@story("CH-058")
def parallel_initiates(trace: Trace, broken: bool) -> None:
    first, second = tree(neighbor(1)), tree(neighbor(2))
    trace.call(ndis.INITIATE, tree=first)
    trace.call(ndis.INITIATE, tree=second)
    trace.call(ndis.INITIATED, tree=ended(second))
    if not broken:
        trace.call(ndis.INITIATED, tree=ended(first))
    trace.wait(500)
    trace.into(9)


@story("CH-059")
def host_waits(trace: Trace, broken: bool) -> None:
    given = tree(neighbor(1, path(2, tcp(3))))
    trace.call(ndis.INITIATE, tree=given)
    if broken:
        trace.send(3, nbl(40, DATA))
    trace.call(ndis.INITIATED, tree=ended(given))
    trace.send(3, nbl(41, DATA))


@story("CH-060")
def offloadable_states(trace: Trace, broken: bool) -> None:
    state = ndis.TIME_WAIT if broken else ndis.LAST_ACK
    trace.initiate(tree(neighbor(1, path(2, tcp(3, delegated={"state": state})))))


@story("CH-061")
def receive_window_too_large(trace: Trace, broken: bool) -> None:
    trace.setting("max_initial_rcv_wnd", 1 << 20)
    branch = neighbor(1, path(2, tcp(3, cached={"initial_rcv_wnd": 1 << 21})))
    status = ndis.SUCCESS if broken else RCV_WINDOW
    offload(trace, branch, {2: ndis.SUCCESS if broken else PARTIAL, 3: status})


@story("CH-062")
def source_address(trace: Trace, broken: bool) -> None:
    own = bytes.fromhex("020000000077")
    trace.initiate(tree(neighbor(1, path(2, tcp(3)), const={"dl_source_address": own.ljust(32, b"\0")})))
    trace.out(3, 0, DATA, macs=(HOP_MAC, OWN_MAC if broken else own))


@story("CH-063")
def vlan_mismatch(trace: Trace, broken: bool) -> None:
    trace.setting("interface_vlans", b"\x00\x05\x00\x06")
    status = ndis.SUCCESS if broken else VLAN_MISMATCH
    offload(trace, neighbor(1, const={"vlan_id": 7}), {1: status})


@story("CH-064")
def no_vlan(trace: Trace, broken: bool) -> None:
    trace.setting("interface_vlans", 5)
    offload(trace, neighbor(1), {1: VLAN_MISMATCH if broken else ndis.SUCCESS})


@story("CH-065")
def path_mtu_too_large(trace: Trace, broken: bool) -> None:
    trace.setting("max_path_mtu", 1500)
    status = ndis.SUCCESS if broken else ndis.PATH_MTU
    offload(trace, neighbor(1, path(2, cached={"path_mtu": 9000})), {1: ndis.SUCCESS if broken else PARTIAL, 2: status})


ALL_STORIES: Final = {**STORIES, **HANDOVER_STORIES}


# --- further traces that break a rule ------------------------------------------------------------------------


def slow_return(trace: Trace) -> None:
    call = trace.enter(ndis.INITIATE, tree=tree(neighbor(1)))
    trace.wait(10)
    trace.leave(call)


def full_for_the_first_only(trace: Trace) -> None:
    offload(trace, neighbor(1, path(2), path(3)), {1: PARTIAL, 2: PATH_ENTRIES})


def linker_written_null(trace: Trace) -> None:
    trace.connect(3)
    given = tree(named(neighbor(1, named(path(2, tcp(4))))))
    trace.initiate(given, ended(given, context={2: None}))


def success_without_context(trace: Trace) -> None:
    offload(trace, neighbor(1), {}, context={1: None})


def placeholder_of_a_failed_neighbor(trace: Trace) -> None:
    offload(trace, neighbor(1, placeholder(2, tcp(3))), {1: ndis.RESOURCES, 2: ndis.FAILURE, 3: ndis.FAILURE})


def linker_with_nothing_offloaded(trace: Trace) -> None:
    trace.initiate(tree(neighbor(1)))
    offload(trace, named(neighbor(1, path(2))), {1: PARTIAL, 2: ndis.RESOURCES})


def linker_with_a_deeper_failure(trace: Trace) -> None:
    trace.initiate(tree(neighbor(1)))
    offload(trace, named(neighbor(1, path(2, tcp(3)))), {1: PARTIAL, 2: PARTIAL, 3: ndis.RESOURCES})


def partial_without_a_failure(trace: Trace) -> None:
    offload(trace, neighbor(1, path(2)), {1: PARTIAL})


def dependent_of_a_failure_offloaded(trace: Trace) -> None:
    offload(trace, neighbor(1, path(2, tcp(3)), path(4)), {1: PARTIAL, 2: ndis.RESOURCES})


def refused_list_changed(trace: Trace) -> None:
    given = tree(neighbor(1, path(2, tcp(3, chain=(nbl(40, DATA),)))))
    changed = {3: (nbl(40, DATA, status=ndis.FAILURE),)}
    trace.initiate(given, ended(given, {2: PARTIAL, 3: ndis.RESOURCES}, chain=changed))


def refused_list_taken(trace: Trace) -> None:
    given = tree(neighbor(1, path(2, tcp(3, chain=(nbl(40, DATA),)))))
    trace.initiate(given, ended(given, {2: PARTIAL, 3: ndis.RESOURCES}, chain={3: ()}))


def refused_list_completed_early(trace: Trace) -> None:
    given = tree(neighbor(1, path(2, tcp(3, chain=(nbl(40, DATA),)))))
    trace.call(ndis.INITIATE, tree=given)
    trace.complete("send", done(nbl(40, DATA)))
    trace.call(ndis.INITIATED, tree=ended(given, {2: PARTIAL, 3: ndis.RESOURCES}))


def query_of_what_is_being_offloaded(trace: Trace) -> None:
    given = tree(neighbor(1))
    trace.call(ndis.INITIATE, tree=given)
    trace.state_call(ndis.QUERY, given)


def send_without_a_context(trace: Trace) -> None:
    trace.call(ndis.INITIATE, tree=tree(neighbor(1, path(2, tcp(3)))))
    trace.call(ndis.SEND, ndis.PENDING, target=None, lists=(nbl(40, DATA),))


def window_refused_with_another_code(trace: Trace) -> None:
    trace.setting("max_initial_rcv_wnd", 1000)
    offload(trace, neighbor(1, path(2, tcp(3))), {2: PARTIAL, 3: ndis.FAILURE})


def window_refused_and_accepted(trace: Trace) -> None:
    trace.connect(3)
    offload(trace, named(neighbor(1, named(path(2, tcp(4))))), {1: ndis.FAILURE, 2: ndis.FAILURE, 4: RCV_WINDOW})


def unsupported_source_address(trace: Trace) -> None:
    trace.setting("source_macs", 0)
    trace.initiate(tree(neighbor(1, const={"dl_source_address": b"\2" * 6})))


def refused_for_no_source_address(trace: Trace) -> None:
    offload(trace, neighbor(1), {1: HW_ADDRESS_ENTRIES})


def refused_for_the_own_vlan(trace: Trace) -> None:
    trace.setting("interface_vlans", 7)
    offload(trace, neighbor(1, const={"vlan_id": 7}), {1: VLAN_MISMATCH})


def refused_without_interface_vlans(trace: Trace) -> None:
    trace.oid(0x0001021C, 1, vlan_id=0)
    offload(trace, neighbor(1, const={"vlan_id": 7}), {1: VLAN_MISMATCH})


def vlan_entries_without_a_vlan(trace: Trace) -> None:
    offload(trace, neighbor(1), {1: VLAN_ENTRIES})


def path_mtu_refused_with_a_third_code(trace: Trace) -> None:
    trace.setting("max_path_mtu", 1500)
    offload(trace, neighbor(1, path(2, cached={"path_mtu": 9000})), {1: PARTIAL, 2: RCV_WINDOW})


ALSO_BROKEN: Final[list[tuple[str, Callable[[Trace], None]]]] = [
    *HANDOVER_BROKEN,
    ("CH-037", slow_return),
    ("CH-038", full_for_the_first_only),
    ("CH-039", success_without_context),
    ("CH-039", linker_written_null),
    ("CH-040", placeholder_of_a_failed_neighbor),
    ("CH-041", linker_with_nothing_offloaded),
    ("CH-044", linker_with_a_deeper_failure),
    ("CH-043", partial_without_a_failure),
    ("CH-045", dependent_of_a_failure_offloaded),
    ("CH-049", refused_list_changed),
    ("CH-049", refused_list_taken),
    ("CH-049", refused_list_completed_early),
    ("CH-059", query_of_what_is_being_offloaded),
    ("CH-059", send_without_a_context),
    ("CH-061", window_refused_with_another_code),
    ("CH-061", window_refused_and_accepted),
    ("CH-062", unsupported_source_address),
    ("CH-062", refused_for_no_source_address),
    ("CH-063", refused_for_the_own_vlan),
    ("CH-063", refused_without_interface_vlans),
    ("CH-064", vlan_entries_without_a_vlan),
    ("CH-065", path_mtu_refused_with_a_third_code),
]


# --- traces that must not raise an alarm ---------------------------------------------------------------------


def vector_of_a_partial_failure(trace: Trace) -> None:
    offload(trace, forest(), VECTOR)


def everything_failed_for_one_reason(trace: Trace) -> None:
    """FAILURE on every sibling may be a device that refuses each of them."""
    offload(trace, neighbor(1, path(2), path(3)), {1: PARTIAL, 2: ndis.FAILURE, 3: ndis.FAILURE})


def device_refused_the_second_too(trace: Trace) -> None:
    given = tree(neighbor(1, path(2, tcp(3), tcp(4))))
    trace.call(ndis.INITIATE, tree=given)
    trace.submit(NEIGHBOR_WRITE, PATH_WRITE, INITIATE, INITIATE)
    trace.call(ndis.INITIATED, tree=ended(given, {2: PARTIAL, 3: TCP_ENTRIES, 4: ndis.FAILURE}))


def chain_cleared_on_success(trace: Trace) -> None:
    given = tree(neighbor(1, path(2, tcp(3, chain=(nbl(40, DATA),)))))
    trace.initiate(given, ended(given, chain={3: ()}))
    trace.complete("send", done(nbl(40, DATA)))
    trace.terminate(tcp(3))


def path_mtu_refused_at_a_real_boundary(trace: Trace) -> None:
    trace.setting("max_path_mtu", 1500)
    offload(trace, neighbor(1, path(2, cached={"path_mtu": 9000})), {1: PARTIAL, 2: ndis.FAILURE})


def window_too_large_and_no_entry(trace: Trace) -> None:
    trace.setting("max_initial_rcv_wnd", 1000)
    offload(trace, neighbor(1, path(2, tcp(3))), {2: PARTIAL, 3: TCP_ENTRIES})


def another_limit_on_another_adapter(trace: Trace) -> None:
    trace.setting("max_initial_rcv_wnd", 1000)
    trace.records[-1] = replace(trace.records[-1], adapter="nic1")
    trace.setting("max_initial_rcv_wnd", 100_000)
    trace.connect(3)


def late_send_on_an_old_context(trace: Trace) -> None:
    """The context of a terminated connection is called while it is given to another."""
    trace.connect(3)
    trace.terminate(tcp(3))
    given = tree(named(neighbor(1, named(path(2, tcp(3))))))
    trace.call(ndis.INITIATE, tree=given)
    trace.send(3, nbl(40, DATA))
    trace.call(ndis.INITIATED, tree=ended(given))


def sends_in_the_completion(trace: Trace) -> None:
    given = tree(neighbor(1, path(2, tcp(3))))
    trace.call(ndis.INITIATE, tree=given)
    call = trace.enter(ndis.INITIATED, tree=ended(given))
    trace.send(3, nbl(40, DATA))
    trace.leave(call)


def parallel_initiates_in_a_pause(trace: Trace) -> None:
    pause = trace.enter(ndis.STATUS, status=ndis.PAUSE)
    trace.call(ndis.INITIATE, tree=tree(neighbor(1)))
    trace.call(ndis.INITIATE, tree=tree(neighbor(2)))
    trace.leave(pause)
    trace.wait(1000)
    trace.into(9)


def offloaded_again(trace: Trace) -> None:
    for _ in range(2):
        chain = (nbl(40, DATA),)
        flight = {"snd_nxt": 0x1_0000_0000 - 0x100 + 50, "snd_max": 0x1_0000_0000 - 0x100 + 100}
        branch = trace.connect(3, chain=chain, delegated=flight, buffered=(nbl(50, DATA),))
        trace.out(3, 50, DATA[50:], stamps=(7000, 0))
        trace.into(3, 0, ack=100)
        trace.into(3, 0, ack=100)
        trace.complete("send", done(nbl(40, DATA)))
        trace.wait(20)
        delegated = {3: {"snd_una": 0x1_0000_0000 - 0x100 + 100, "rcv_nxt": 0xFFFF_FE00}}
        given = tree(existing(branch))
        end = ended(given, buffered={3: (nbl(901, DATA),)}, delegated=delegated)
        trace.state_call(ndis.TERMINATE, given, end)


def linker_terminated_during_the_initiate(trace: Trace) -> None:
    """The host terminates the path of an initiate in progress and clears the place of its context."""
    trace.connect(3)
    given = tree(named(neighbor(1, named(path(2, tcp(4))))))
    trace.call(ndis.INITIATE, tree=given)
    trace.terminate(path(2))
    trace.call(ndis.INITIATED, tree=ended(given, context={2: None}))


KEPT: Final[list[Callable[[Trace], None]]] = [
    linker_terminated_during_the_initiate,
    *HANDOVER_KEPT,
    vector_of_a_partial_failure,
    everything_failed_for_one_reason,
    device_refused_the_second_too,
    chain_cleared_on_success,
    path_mtu_refused_at_a_real_boundary,
    window_too_large_and_no_entry,
    another_limit_on_another_adapter,
    late_send_on_an_old_context,
    sends_in_the_completion,
    parallel_initiates_in_a_pause,
    offloaded_again,
]


class TestInitiate(OffloadSection):
    monitor = InitiateRules
    stories = ALL_STORIES
    also_broken = ALSO_BROKEN
    kept = KEPT
    not_applicable = NOT_APPLICABLE
    numbers = range(37, 74)

    def test_a_terminate_that_came_too_early_ends_no_connection_ch_059(self) -> None:
        """Nor is its chain missed (CH-050): the initiate completes first, and the connection lives on."""
        watched = self._watched(told(lambda trace, _: terminated_while_it_is_offloaded(trace), False))

        assert [breach.rule for breach in watched.breaches] == ["CH-059"]
