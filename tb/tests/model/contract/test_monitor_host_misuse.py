"""What the contract forbids the host in its prose: each has traces that break it and one that keeps it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.host_misuse import HostMisuse
from tb.monitors.contract.trace import Tree
from tb.tests.model.contract.face_traces import CONN, PATH, Story, Tales, watch
from tb.tests.model.contract.section_tests import FaceSection

RULES: Final = sorted(HostMisuse.RULES)
TALES: Final = Tales()
breaks, keeps = TALES.breaks, TALES.keeps
DATA: Final = bytes(range(100))
SECOND: Final = CONN + 1


@keeps(*RULES)
def sends_then_a_disconnect_then_a_query_then_the_terminate(s: Story) -> None:
    s.offload().offload(SECOND).send(1, DATA).disconnect(2).end(ndis.QUERY, s.query())
    s.terminate()
    s.send(3, DATA, conn=SECOND)


@breaks("HOST-1.4")
def a_node_follows_itself(s: Story) -> None:
    s.offload()
    tree = s.tree(s.node(CONN))
    s.begin(ndis.QUERY, Tree(tree.root, {tree.root: replace(tree.nodes[tree.root], next=tree.root)}))


@breaks("HOST-1.4")
def a_dependent_leads_back_to_its_path(s: Story) -> None:
    s.offload()
    tree = s.tree(s.node(PATH), s.node(CONN))
    last = max(tree.nodes)
    s.begin(ndis.QUERY, Tree(tree.root, {**tree.nodes, last: replace(tree.nodes[last], next=tree.root)}))


@breaks("HOST-1.5")
def a_send_names_null(s: Story) -> None:
    s.offload().call(ndis.SEND, result=ndis.PENDING, target=None)


@breaks("HOST-1.5")
def a_foreign_context_is_named_while_a_connection_is_being_offloaded(s: Story) -> None:
    s.offload().offloading(SECOND)
    s.send(1, DATA, conn=SECOND + 1)


@breaks("HOST-1.5")
def a_send_names_a_context_that_nobody_gave(s: Story) -> None:
    s.offload().send(1, DATA, conn=SECOND)


@breaks("HOST-1.5")
def a_send_follows_the_completion_of_the_terminate(s: Story) -> None:
    s.offload().end(ndis.TERMINATE, s.terminate()).send(1, DATA)


@breaks("HOST-1.5")
def a_query_names_what_is_not_offloaded(s: Story) -> None:
    s.offload().query(SECOND)


@breaks("HOST-2.10")
def a_disconnect_is_neither_graceful_nor_abortive(s: Story) -> None:
    s.offload().disconnect(1, flags=0)


@breaks("HOST-2.10")
def a_disconnect_is_both_graceful_and_abortive(s: Story) -> None:
    s.offload().disconnect(1, flags=ndis.GRACEFUL | ndis.ABORTIVE)


@breaks("HOST-6.2")
def a_send_follows_the_call_of_the_terminate(s: Story) -> None:
    s.offload().terminate()
    s.send(1, DATA)


@breaks("HOST-6.2")
def a_second_terminate(s: Story) -> None:
    s.offload().terminate()
    s.terminate()


@breaks("HOST-6.2")
def a_query_during_the_terminate(s: Story) -> None:
    s.offload().terminate()
    s.query()


@breaks("HOST-7.2")
def a_send_follows_a_graceful_disconnect(s: Story) -> None:
    s.offload().disconnect(1).send(2, DATA)


@breaks("HOST-7.2")
def a_second_graceful_disconnect(s: Story) -> None:
    s.offload().disconnect(1).disconnect(2)


@keeps("HOST-7.2")
def an_abortive_disconnect_overtakes_a_graceful_one(s: Story) -> None:
    s.offload().disconnect(1).kill(2)


@keeps("HOST-7.2")
def a_send_follows_a_graceful_disconnect_of_an_aborted_connection(s: Story) -> None:
    s.offload().disconnect(1).abort().send(2, DATA).disconnect(3)


@keeps("HOST-1.5")
def null_is_named_while_a_connection_is_being_offloaded(s: Story) -> None:
    s.offload().send(1, DATA)
    coming = s.offloading(SECOND)
    s.call(ndis.SEND, result=ndis.PENDING, target=None).call(ndis.RECEIVE, result=ndis.PENDING, target=0)
    s.offloaded(coming)


class TestHostMisuse(FaceSection):
    rules = RULES
    tales = TALES

    def test_what_keeps_the_sections_is_reported_by_none(self) -> None:
        tales = {tale for kept in TALES.kept.values() for tale in kept}
        assert [str(breach) for tale in tales for breach in watch(HostMisuse, tale).breaches] == []
