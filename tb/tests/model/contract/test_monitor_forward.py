"""Forward (section 9.7): every rule has a trace that breaks it and one that keeps it."""

from __future__ import annotations

from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.forward import ForwardMonitor
from tb.monitors.wire_headers import ACK, FIN, RST
from tb.tests.model.contract.face_traces import LATE, Story, Tales, nbl, segment
from tb.tests.model.contract.section_tests import FaceSection

RULES: Final = sorted(ForwardMonitor.RULES)
TALES: Final = Tales()
breaks, keeps = TALES.breaks, TALES.keeps
DATA: Final = bytes(range(100))


@breaks("CH-164")
def _(s: Story) -> None:
    s.offload().forward(1, s.segment_in(), result=ndis.SUCCESS)


@keeps("CH-164", "CH-165", "CH-166", "CH-167", "CH-168", "CH-169")
def _(s: Story) -> None:
    s.offload().forward(1, s.segment_in(0, DATA)).forward(2, s.segment_in(100, DATA))
    s.back("forward", 1, 2).wait(5).out(ack=200).wait(600)


@breaks("CH-165")
def two_buffers(s: Story) -> None:
    data = s.segment_in(0, DATA)
    s.offload().leave(s.request(ndis.FORWARD, [nbl(1, data[:20], data[20:])]), result=ndis.PENDING)


@breaks("CH-165")
def the_ip_header_is_there(s: Story) -> None:
    s.offload().forward(1, b"\x45" + bytes(19) + s.segment_in(0, DATA))


@breaks("CH-165")
def a_segment_of_another_connection(s: Story) -> None:
    s.offload().forward(1, segment((80, 9), (5000, 0), ACK))


@breaks("CH-166")
def the_data_are_never_acknowledged(s: Story) -> None:
    s.offload().forward(1, s.segment_in(0, DATA)).back("forward", 1).wait(600)


@keeps("CH-167")
def the_connection_is_terminated_before_the_acknowledgment_is_due(s: Story) -> None:
    s.offload().forward(1, s.segment_in(0, DATA)).back("forward", 1).wait(5)
    s.end(ndis.TERMINATE, s.terminate()).wait(600)


@keeps("CH-167")
def a_segment_with_a_gap_before_it_waits_for_the_gap(s: Story) -> None:
    s.offload().forward(1, s.segment_in(100, DATA)).back("forward", 1).wait(600)


@breaks("CH-167")
def a_status_that_no_forward_ends_with(s: Story) -> None:
    s.offload().forward(1, s.segment_in()).back("forward", 1, status=ndis.FAILURE)


@breaks("CH-167")
def aborted_without_an_rst(s: Story) -> None:
    s.offload().forward(1, s.segment_in()).back("forward", 1, status=ndis.REQUEST_ABORTED)


@breaks("CH-167")
def handed_back_for_an_upload_that_never_comes(s: Story) -> None:
    s.offload().forward(1, s.segment_in()).back("forward", 1, status=ndis.UPLOAD_IN_PROGRESS).wait(LATE)


@breaks("CH-167")
def handed_back_and_acknowledged(s: Story) -> None:
    s.offload().forward(1, s.segment_in(0, DATA)).out(ack=100)
    s.terminate()
    s.back("forward", 1, status=ndis.UPLOAD_IN_PROGRESS)


@breaks("CH-167")
def a_segment_behind_the_abort_succeeds(s: Story) -> None:
    s.offload().into(flags=RST).abort().forward(1, s.segment_in()).back("forward", 1)


@keeps("CH-167")
def handed_back_in_an_upload(s: Story) -> None:
    s.offload().forward(1, s.segment_in(0, DATA))
    tree = s.terminate()
    s.back("forward", 1, status=ndis.UPLOAD_IN_PROGRESS).end(ndis.TERMINATE, tree)


@keeps("CH-167")
def handed_back_where_both_fins_are_over(s: Story) -> None:
    s.offload().into(flags=ACK | FIN).event(ndis.DISCONNECT_EVENT).disconnect(1).out(flags=ACK | FIN, ack=1).into(
        1, ack=1
    ).wait(5)
    s.forward(2, s.segment_in(1)).back("forward", 2, status=ndis.UPLOAD_IN_PROGRESS).wait(LATE)


@breaks("CH-167")
def handed_back_while_its_own_fin_is_on_the_way(s: Story) -> None:
    s.offload().into(flags=ACK | FIN).event(ndis.DISCONNECT_EVENT).disconnect(1).out(flags=ACK | FIN, ack=1).wait(5)
    s.forward(2, s.segment_in(1)).back("forward", 2, status=ndis.UPLOAD_IN_PROGRESS).wait(LATE)


@keeps("CH-167")
def the_target_hands_back_just_before_it_asks_for_the_upload(s: Story) -> None:
    s.offload().forward(1, s.segment_in(0, DATA)).back("forward", 1, status=ndis.UPLOAD_IN_PROGRESS)
    s.retrieve(ndis.UPLOAD_WANTED).wait(LATE)


@keeps("CH-167")
def handed_back_but_the_wire_brought_the_same_bytes(s: Story) -> None:
    s.offload().forward(1, s.segment_in(0, DATA)).into(0, DATA).out(ack=100)
    s.terminate()
    s.back("forward", 1, status=ndis.UPLOAD_IN_PROGRESS)


@keeps("CH-167")
def a_forwarded_rst_aborts_itself_or_succeeds(s: Story) -> None:
    s.offload().forward(1, s.segment_in(flags=RST)).forward(2, s.segment_in()).abort()
    s.back("forward", 1).back("forward", 2, status=ndis.REQUEST_ABORTED)


@breaks("CH-168")
def while_it_is_offloaded(s: Story) -> None:
    tree = s.offloading()
    s.forward(1, s.segment_in(0, DATA)).offloaded(tree)


@breaks("CH-168")
def while_it_is_terminated(s: Story) -> None:
    s.offload()
    s.terminate()
    s.forward(1, s.segment_in(0, DATA))


@breaks("CH-169")
def a_list_comes_back_twice(s: Story) -> None:
    s.offload().forward(1, s.segment_in()).back("forward", 1).back("forward", 1)


@breaks("CH-169")
def a_list_is_lost_in_an_upload(s: Story) -> None:
    s.offload().forward(1, s.segment_in()).end(ndis.TERMINATE, s.terminate())


class TestForward(FaceSection):
    rules = RULES
    tales = TALES
