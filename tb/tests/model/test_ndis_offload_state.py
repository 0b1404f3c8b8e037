"""Block lists: order of the walk, statuses of an initiate, what an attempt may write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.ndis.enums import OFFLOADABLE_STATES, OffloadStateType, TcpConnectionState
from model.ndis.offload_state import (
    AttemptResult,
    BlockTreeError,
    OffloadBlock,
    OffloadHandle,
    check_tree,
    initiate_walk,
    link,
    structure_port,
    traverse,
)
from model.ndis.status import LEGAL_STATUS, CompletionKind, NdisStatus

TYPES = {"N": OffloadStateType.NEIGHBOR, "P": OffloadStateType.IP4, "T": OffloadStateType.TCP}


def node(name: str, *dependents: OffloadBlock, context: int | None = None) -> OffloadBlock:
    block = OffloadBlock(TYPES[name[0]], OffloadHandle(context), ndis_offload_handle=name)
    block.dependent_block_list = link(list(dependents))
    return block


def placeholder(name: str, *dependents: OffloadBlock) -> OffloadBlock:
    block = node(name, *dependents)
    block.miniport_offload_context = None
    return block


def names(root: OffloadBlock | None) -> list[object]:
    return [block.ndis_offload_handle for block in traverse(root)]


def run_initiate(root: OffloadBlock, outcome: Callable[[str], NdisStatus]) -> list[object]:
    """Walk the tree with given outcomes; returns what was attempted."""
    attempted: list[object] = []
    walk = initiate_walk(root)
    try:
        attempt = next(walk)
        while True:
            name = attempt.node.ndis_offload_handle
            attempted.append(name)
            attempt = walk.send(AttemptResult(outcome(str(name)), 0x100 + len(attempted)))
    except StopIteration:
        return attempted


def statuses(root: OffloadBlock) -> dict[object, NdisStatus | None]:
    return {block.ndis_offload_handle: block.status for block in traverse(root)}


def vector_a2() -> OffloadBlock:
    return node("N1", node("P1", node("T1"), node("T2")), node("P2", node("T3")))


@pytest.mark.rule("CH-038")
def test_vector_a1_a_tree_is_walked_depth_first_and_next_sibling_after() -> None:
    first = node("N1", node("P1", node("T1"), node("T2")), node("P2", node("T3")))
    second = node("N2", node("P3", node("T4"), node("T5")))
    root = link([first, second])

    assert names(root) == ["N1", "P1", "T1", "T2", "P2", "T3", "N2", "P3", "T4", "T5"]
    assert root is not None
    assert run_initiate(root, lambda _: NdisStatus.SUCCESS) == names(root)


@pytest.mark.rule("CH-042", "CH-043", "CH-044", "CH-045", "CH-046")
def test_vector_a2_partial_failure_gives_the_printed_statuses() -> None:
    root = vector_a2()
    fails = {"T2": NdisStatus.RESOURCES, "P2": NdisStatus.FAILURE}

    attempted = run_initiate(root, lambda name: fails.get(name, NdisStatus.SUCCESS))

    assert attempted == ["N1", "P1", "T1", "T2", "P2"]
    assert statuses(root) == {
        "N1": NdisStatus.OFFLOAD_PARTIAL_SUCCESS,
        "P1": NdisStatus.OFFLOAD_PARTIAL_SUCCESS,
        "T1": NdisStatus.SUCCESS,
        "T2": NdisStatus.RESOURCES,
        "P2": NdisStatus.FAILURE,
        "T3": NdisStatus.FAILURE,
    }


@pytest.mark.rule("CH-048")
def test_vector_a2_contexts_are_written_only_for_what_was_offloaded() -> None:
    root = vector_a2()
    fails = {"T2": NdisStatus.RESOURCES, "P2": NdisStatus.FAILURE}

    run_initiate(root, lambda name: fails.get(name, NdisStatus.SUCCESS))

    written = [block.ndis_offload_handle for block in traverse(root) if block.context is not None]
    assert written == ["N1", "P1", "T1"]


@pytest.mark.rule("CH-044")
def test_a_failure_two_levels_up_does_not_make_a_node_partial() -> None:
    root = node("N1", node("P1", node("T1"), node("T2")))

    run_initiate(root, lambda name: NdisStatus.RESOURCES if name == "T2" else NdisStatus.SUCCESS)

    assert root.status is NdisStatus.SUCCESS


@pytest.mark.rule("CH-047")
def test_failure_of_the_root_stops_the_walk_and_fails_its_siblings() -> None:
    root = link([node("N1", node("P1")), node("N2", node("P2"))])
    assert root is not None

    attempted = run_initiate(root, lambda _: NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES)

    assert attempted == ["N1"]
    assert list(statuses(root).values()) == [
        NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES,
        NdisStatus.FAILURE,
        NdisStatus.FAILURE,
        NdisStatus.FAILURE,
    ]


@pytest.mark.rule("CH-040")
def test_a_placeholder_succeeds_with_and_without_dependents() -> None:
    for root in (placeholder("P1"), placeholder("P1", node("T1"))):
        run_initiate(root, lambda _: NdisStatus.FAILURE)
        assert root.status is NdisStatus.SUCCESS


@pytest.mark.rule("CH-041")
@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        (set(), NdisStatus.SUCCESS),
        ({"T1"}, NdisStatus.OFFLOAD_PARTIAL_SUCCESS),
        ({"T1", "T2"}, NdisStatus.FAILURE),
    ],
)
def test_a_linker_tells_whether_all_some_or_none_of_its_dependents_were_offloaded(
    failing: set[str], expected: NdisStatus
) -> None:
    root = node("P1", node("T1"), node("T2"), context=7)

    run_initiate(root, lambda name: NdisStatus.FAILURE if name in failing else NdisStatus.SUCCESS)

    assert root.status is expected
    assert root.context == 7


@pytest.mark.rule("CH-039")
def test_a_new_offload_hangs_on_the_context_of_the_linker_below_it() -> None:
    root = node("P1", node("T1"), context=7)
    attempt = next(initiate_walk(root))

    assert (attempt.node.ndis_offload_handle, attempt.parent) == ("T1", 7)


@pytest.mark.rule("CH-026", "CH-027")
def test_a_tree_that_skips_or_mixes_layers_is_refused() -> None:
    check_tree(vector_a2())
    with pytest.raises(BlockTreeError):
        check_tree(node("N1", node("T1")))
    mixed = link([node("N1"), node("P1")])
    assert mixed is not None
    with pytest.raises(BlockTreeError):
        check_tree(mixed)


@pytest.mark.rule("CH-060")
def test_no_connection_is_offloadable_before_establishment_or_in_time_wait() -> None:
    assert TcpConnectionState.SYN_SENT not in OFFLOADABLE_STATES
    assert TcpConnectionState.TIME_WAIT not in OFFLOADABLE_STATES
    assert len(OFFLOADABLE_STATES) == 6


def test_ports_in_the_structure_are_in_network_byte_order() -> None:
    assert structure_port(0x1234) == 0x3412
    assert structure_port(structure_port(80)) == 80


@pytest.mark.rule("CH-078")
def test_statuses_have_the_header_numbers_and_table_42_allows_no_pending_completion() -> None:
    assert int(NdisStatus.UPLOAD_IN_PROGRESS) == 0xC0231001
    assert int(NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED) == 0xC0231010
    assert int(NdisStatus.REQUEST_ABORTED) == 0xC001000C
    assert int(NdisStatus.OFFLOAD_PARTIAL_SUCCESS) == 0x40020004
    assert NdisStatus.RESOURCES.ndis_name == "NDIS_STATUS_RESOURCES"
    assert all(NdisStatus.PENDING not in legal for legal in LEGAL_STATUS.values())
    assert LEGAL_STATUS[CompletionKind.TERMINATE] == {NdisStatus.SUCCESS, NdisStatus.FAILURE}
