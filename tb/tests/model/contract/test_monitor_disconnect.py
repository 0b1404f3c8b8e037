"""Disconnect (section 9.8): every rule has a trace that breaks it and one that keeps it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.disconnect import AbortMonitor, DisconnectMonitor
from tb.monitors.wire_headers import RST
from tb.tests.model.contract.face_traces import CONN, LATE, LATER, Story, Tales, done, nbl
from tb.tests.model.contract.section_tests import FaceSection

SECTIONS: Final = (DisconnectMonitor, AbortMonitor)
RULES: Final = sorted(rule for section in SECTIONS for rule in section.RULES)
TALES: Final = Tales()
breaks, keeps = TALES.breaks, TALES.keeps
DATA: Final = bytes(range(100))
LAST: Final = b"good bye"
ALL: Final = 100 + len(LAST)
ABORTED, UPLOADED = ndis.REQUEST_ABORTED, ndis.UPLOAD_IN_PROGRESS


def closing(s: Story) -> Story:
    """A send and a graceful disconnect with data; everything went out, the FIN with the last segment."""
    return s.offload().send(1, DATA).disconnect(2, LAST).out(0, DATA).fin(100, LAST)


# --- calls -----------------------------------------------------------------------------------------------------


@breaks("CH-170")
def _(s: Story) -> None:
    s.offload().disconnect(2, result=ndis.SUCCESS)


@breaks("CH-171")
def two_buffers(s: Story) -> None:
    s.offload().leave(s.request(ndis.DISCONNECT, [nbl(2, DATA, LAST)], flags=1), result=ndis.PENDING)


@breaks("CH-171")
def data_in_an_abortive_disconnect(s: Story) -> None:
    s.offload().disconnect(2, LAST, flags=ndis.ABORTIVE)


# --- graceful --------------------------------------------------------------------------------------------------


@keeps("CH-170", "CH-171", "CH-172", "CH-173", "CH-174", "CH-175", "CH-176", "CH-177", "CH-178", "CH-185", "CH-186")
def _(s: Story) -> None:
    closing(s).into(ack=100).back("send", 1).into(ack=ALL + 1).back("disconnect", 2)


@breaks("CH-172")
def the_fin_lies_before_the_last_data(s: Story) -> None:
    s.offload().send(1, DATA).disconnect(2, LAST).fin(0, DATA)


@breaks("CH-172")
def a_fin_without_a_disconnect(s: Story) -> None:
    s.offload().fin()


@keeps("CH-172")
def a_fin_of_before_the_hand_over_is_sent_again(s: Story) -> None:
    una = 0xFFFFFFF0
    sent: dict[str, int | bytes | None] = {"state": ndis.FIN_WAIT_1, "snd_max": (una + 101) % (1 << 32)}
    s.offload(delegated=sent, chain=[nbl(1, DATA)]).fin(0, DATA).fin(100)


@breaks("CH-173")
def _(s: Story) -> None:
    s.offload().send(1, DATA).disconnect(2).out(0, DATA).wait(LATE).into(ack=100).fin(100)


@keeps("CH-172")
def a_closed_window_holds_the_fin_back(s: Story) -> None:
    s.offload().send(1, DATA).into(window=100).disconnect(2).out(0, DATA).wait(LATE).into(ack=100).fin(100)


@breaks("CH-174")
def _(s: Story) -> None:
    s.offload().send(1, DATA).disconnect(2, LAST).out(0, DATA).fin(100, LAST[::-1])


@breaks("CH-175")
def the_disconnect_overtakes_a_send(s: Story) -> None:
    closing(s).into(ack=ALL + 1).back("disconnect", 2).back("send", 1)


@breaks("CH-175")
def earlier_sends_complete_out_of_order(s: Story) -> None:
    s.offload().send(1, DATA).send(3, DATA).disconnect(2).out(0, DATA).out(100, DATA).fin(200).into(ack=201)
    s.back("send", 3).back("send", 1)


@breaks("CH-175")
def a_send_completes_behind_a_disconnect_that_an_upload_ended(s: Story) -> None:
    closing(s)
    s.terminate()
    s.back("disconnect", 2, status=UPLOADED).back("send", 1, status=UPLOADED)


@breaks("CH-176")
def the_fin_is_not_acknowledged(s: Story) -> None:
    closing(s).into(ack=ALL).back("send", 1).back("disconnect", 2)


@breaks("CH-177")
def the_fin_is_counted(s: Story) -> None:
    s.offload().disconnect(2).fin().into(ack=1)
    s.complete("disconnect", replace(done(s.lists[2]), transferred=1))


@breaks("CH-177")
def more_than_what_snd_una_says(s: Story) -> None:
    closing(s).into(ack=102).back("send", 1)
    tree = s.terminate()
    s.back("disconnect", 2, status=UPLOADED, transferred=2)
    s.end(ndis.TERMINATE, tree, delegated={"snd_una": (0xFFFFFFF0 + 101) % (1 << 32)})


@breaks("CH-178")
def _(s: Story) -> None:
    closing(s).into(ack=ALL + 1).back("send", 1)
    s.complete("disconnect", replace(s.lists[2], status=ndis.SUCCESS, transferred=len(LAST)))


@keeps("CH-177", "CH-178", "CH-179", "CH-187")
def vector_a7(s: Story) -> None:
    s.offload().send(1, bytes(300)).disconnect(2, bytes(100)).out(0, bytes(300)).fin(300, bytes(100))
    s.into(ack=340).back("send", 1)
    tree = s.terminate()
    s.back("disconnect", 2, status=UPLOADED, transferred=40)
    s.end(ndis.TERMINATE, tree, delegated={"snd_una": (0xFFFFFFF0 + 340) % (1 << 32)})


@keeps("CH-175", "CH-179")
def earlier_sends_lie_in_the_terminate_chain(s: Story) -> None:
    closing(s)
    tree = s.terminate()
    s.back("disconnect", 2, status=UPLOADED).end(ndis.TERMINATE, tree, chain=(s.lists[1],))


@breaks("CH-179")
def _(s: Story) -> None:
    closing(s).into(ack=100).back("send", 1)
    s.terminate()
    s.back("disconnect", 2, status=ABORTED)


@keeps("CH-179")
def the_retransmission_limit_was_reached(s: Story) -> None:
    closing(s).retrieve(ndis.TIMEOUT_EXPIRATION)
    tree = s.terminate()
    s.back("send", 1, status=UPLOADED).back("disconnect", 2, status=ABORTED).end(ndis.TERMINATE, tree)


@breaks("CH-180")
def success_behind_the_abort(s: Story) -> None:
    closing(s).into(ack=ALL + 1).back("send", 1).into(flags=RST).abort().back("disconnect", 2)


@breaks("CH-180")
def upload_in_progress_though_nobody_uploads(s: Story) -> None:
    closing(s).into(flags=RST).abort().back("send", 1, status=ABORTED).back("disconnect", 2, status=UPLOADED)


@breaks("CH-180")
def a_second_graceful_disconnect_succeeds(s: Story) -> None:
    closing(s).disconnect(3).into(ack=ALL + 1).back("send", 1).back("disconnect", 2).back("disconnect", 3)


@breaks("CH-179")
def the_retransmission_limit_is_reported_as_failure(s: Story) -> None:
    closing(s).retrieve(ndis.TIMEOUT_EXPIRATION)
    s.terminate()
    s.back("send", 1, status=UPLOADED)
    s.back("disconnect", 2, status=ndis.FAILURE)


@keeps("CH-180", "CH-185")
def _(s: Story) -> None:
    closing(s).into(flags=RST).abort().back("send", 1, status=ABORTED).back("disconnect", 2, status=ABORTED)


@keeps("CH-180", "CH-182")
def an_abortive_disconnect_ends_a_graceful_one(s: Story) -> None:
    closing(s).kill(3).reset().back("send", 1, status=ABORTED).back("disconnect", 2, status=ABORTED)
    s.back("disconnect", 3)


@keeps("CH-185")
def a_second_graceful_disconnect_is_aborted(s: Story) -> None:
    closing(s).disconnect(3).back("disconnect", 3, status=ABORTED)


@breaks("CH-185")
def it_fails_on_a_running_connection(s: Story) -> None:
    s.offload().disconnect(2).back("disconnect", 2, status=ABORTED)


@breaks("CH-185")
def a_status_that_no_disconnect_ends_with(s: Story) -> None:
    s.offload().kill(2).reset().back("disconnect", 2, status=ndis.FAILURE)


# --- abortive --------------------------------------------------------------------------------------------------


@breaks("CH-181")
def _(s: Story) -> None:
    s.offload()
    call = s.enter(ndis.INDICATE, target=200 + CONN, lists=(nbl(9, DATA),))
    s.kill(2).wait(LATE).leave(call, result=ndis.SUCCESS).reset()


@keeps("CH-181", "CH-184")
def _(s: Story) -> None:
    s.offload().into(0, DATA)
    call = s.enter(ndis.INDICATE, target=200 + CONN, lists=(nbl(9, DATA),))
    s.kill(2).reset().back("disconnect", 2).wait(LATE).leave(call, result=ndis.SUCCESS)


@keeps("CH-185")
def a_reset_connection_needs_no_rst(s: Story) -> None:
    s.offload().into(flags=RST).abort().kill(2).back("disconnect", 2, status=ABORTED).wait(LATE)


@breaks("CH-182")
def a_send_is_outstanding_when_it_completes(s: Story) -> None:
    s.offload().send(1, DATA).kill(2).reset().back("disconnect", 2)


@breaks("CH-182")
def a_send_ends_otherwise(s: Story) -> None:
    s.offload().send(1, DATA).kill(2).reset().back("send", 1, status=UPLOADED)


@keeps("CH-182")
def _(s: Story) -> None:
    s.offload().send(1, DATA).kill(2).reset().back("send", 1, status=ABORTED).back("disconnect", 2)


@breaks("CH-183")
def _(s: Story) -> None:
    s.offload().kill(2).reset().wait(LATER).into(0, DATA).out(ack=100)


@breaks("CH-183")
def data_that_came_in_behind_the_rst_is_delivered(s: Story) -> None:
    s.offload().post(3, 200).kill(2).reset().into(0, DATA).back("receive", 3, status=ABORTED, transferred=100)


@breaks("CH-183")
def data_that_came_in_behind_the_abort_event_is_delivered(s: Story) -> None:
    s.offload().post(3, 200).kill(2).event(ndis.ABORT_EVENT).into(0, DATA)
    s.back("receive", 3, status=ABORTED, transferred=100)


@keeps("CH-183")
def data_that_comes_in_until_the_target_has_seen_the_call_is_delivered(s: Story) -> None:
    s.offload().post(3, 200).kill(2).wait(LATER).into(0, DATA).reset().into(100, DATA)
    s.back("receive", 3, status=ABORTED, transferred=100)


@keeps("CH-183")
def a_segment_was_on_its_way_already(s: Story) -> None:
    s.offload().into(0, DATA).kill(2).out(ack=100).reset().wait(LATER).into(100, DATA).wait(LATER)


@breaks("CH-184")
def success_without_an_rst(s: Story) -> None:
    s.offload().kill(2).back("disconnect", 2).wait(LATER)


@breaks("CH-184")
def success_on_an_aborted_connection(s: Story) -> None:
    s.offload().into(flags=RST).abort().kill(2).back("disconnect", 2)


@breaks("CH-184")
def bytes_are_reported(s: Story) -> None:
    s.offload().kill(2).reset().complete("disconnect", replace(done(s.lists[2]), transferred=1))


@breaks("CH-184")
def the_completion_overtakes_the_reset(s: Story) -> None:
    s.offload().kill(2).back("disconnect", 2).wait(3).reset().wait(LATER)


@keeps("CH-184")
def the_reset_goes_out_then_the_disconnect_completes(s: Story) -> None:
    s.offload().kill(2).reset().back("disconnect", 2).wait(LATER)


@breaks("CH-183")
def data_goes_out_thirty_ticks_after_the_abort(s: Story) -> None:
    s.offload().send(1, DATA).kill(9).wait(30).out(0, DATA).reset()


@keeps("CH-183")
def a_segment_that_was_built_before_the_abort_leaves_before_the_reset(s: Story) -> None:
    s.offload().send(1, DATA).kill(9).wait(5).out(0, DATA).reset().into(ack=100)


@breaks("CH-183")
def an_acknowledgment_of_later_makes_a_send_succeed(s: Story) -> None:
    s.offload().send(1, DATA).out(0, DATA).kill(9).reset().wait(100).into(ack=100).back("send", 1)


@breaks("CH-183")
def a_receive_takes_data_that_came_later(s: Story) -> None:
    s.offload().post(3, 50).kill(9).reset().wait(100).into(0, bytes(50)).back("receive", 3, transferred=50)


@breaks("CH-183")
def data_is_indicated_behind_the_completed_abort(s: Story) -> None:
    s.offload().into(0, DATA).kill(9).reset().back("disconnect", 9).wait(300)
    s.call(ndis.INDICATE, target=200 + CONN, lists=(nbl(78, DATA),), status=0)


@breaks("CH-177")
def acknowledged_bytes_are_not_reported(s: Story) -> None:
    s.offload().disconnect(5, DATA).fin(0, DATA).into(ack=40).wait(5000).into(flags=RST).abort()
    s.back("disconnect", 5, status=ndis.REQUEST_ABORTED, transferred=0)


@keeps("CH-177")
def acknowledged_bytes_are_reported(s: Story) -> None:
    s.offload().disconnect(5, DATA).fin(0, DATA).into(ack=40).wait(5000).into(flags=RST).abort()
    s.back("disconnect", 5, status=ndis.REQUEST_ABORTED, transferred=40)


@breaks("CH-176")
def an_acknowledged_disconnect_ends_with_the_upload(s: Story) -> None:
    s.offload().disconnect(5, DATA).fin(0, DATA).into(ack=101).wait(300)
    s.terminate()
    s.back("disconnect", 5, status=ndis.UPLOAD_IN_PROGRESS, transferred=100)


@breaks("CH-176")
def an_acknowledged_disconnect_never_comes_back(s: Story) -> None:
    s.offload().disconnect(5, DATA).fin(0, DATA).into(ack=101).wait(400)


@keeps("CH-176")
def an_acknowledged_disconnect_comes_back_soon(s: Story) -> None:
    s.offload().disconnect(5, DATA).fin(0, DATA).into(ack=101).wait(50).back("disconnect", 5).wait(1000)


@breaks("CH-173")
def the_fin_of_an_idle_connection_never_leaves(s: Story) -> None:
    s.offload().disconnect(5).wait(1001)


@keeps("CH-173")
def the_fin_of_an_idle_connection_leaves(s: Story) -> None:
    s.offload().disconnect(5).wait(10).fin().wait(1001)


# --- lists, receiving, resources -------------------------------------------------------------------------------


@breaks("CH-186")
def a_send_comes_back_by_disconnect_completion(s: Story) -> None:
    s.offload().send(1, DATA).complete("disconnect", done(s.lists[1]))


@breaks("CH-186")
def a_disconnect_comes_back_twice(s: Story) -> None:
    s.offload().disconnect(2).fin().into(ack=1).back("disconnect", 2).back("disconnect", 2)


@breaks("CH-187")
def a_disconnect_comes_back_by_send_completion(s: Story) -> None:
    s.offload().disconnect(2).complete("send", done(s.lists[2]))


@breaks("CH-187")
def a_disconnect_lies_in_the_terminate_chain(s: Story) -> None:
    s.offload().disconnect(2).end(ndis.TERMINATE, s.terminate(), chain=(s.lists[2],))


@breaks("CH-188")
def data_of_the_peer_are_never_acknowledged(s: Story) -> None:
    s.offload().disconnect(2).fin().into(ack=1).back("disconnect", 2)
    s.into(0, DATA, ack=1).wait(300).into(0, DATA, ack=1).wait(600).into(0, DATA, ack=1).wait(600)


@keeps("CH-188")
def _(s: Story) -> None:
    s.offload().disconnect(2).fin().into(ack=1).back("disconnect", 2)
    s.into(0, DATA, ack=1).wait(300).into(0, DATA, ack=1).out(1, ack=100).wait(600)


@keeps("CH-186")
def a_lost_segment_need_not_be_acknowledged(s: Story) -> None:
    s.offload().disconnect(2).fin().into(0, DATA, ack=1).back("disconnect", 2).wait(600)


@breaks("CH-189")
def a_connection_less_is_in_use(s: Story) -> None:
    s.offload().disconnect(2).fin().into(ack=1).back("disconnect", 2)
    s.counters(connections=0, paths=1, neighbors=1)


@breaks("CH-189")
def the_context_is_given_away(s: Story) -> None:
    s.offload().disconnect(2).fin().into(ack=1).back("disconnect", 2)
    tree = s.offloading(31)
    nodes = {ident: replace(node, context=CONN if node.const else node.context) for ident, node in tree.nodes.items()}
    s.call(ndis.INITIATED, tree=replace(tree, nodes={i: replace(n, status=ndis.SUCCESS) for i, n in nodes.items()}))


@keeps("CH-189")
def _(s: Story) -> None:
    s.offload().offload(31).disconnect(2).fin().into(ack=1).back("disconnect", 2)
    s.counters(connections=2, paths=1, neighbors=1)
    tree = s.terminate(31)
    s.counters(connections=1, paths=1, neighbors=1).end(ndis.TERMINATE, tree)


class TestDisconnect(FaceSection):
    rules = RULES
    tales = TALES
