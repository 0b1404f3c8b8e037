"""Receive and delivery (section 9.6): every rule has a trace that breaks it and one that keeps it."""

from __future__ import annotations

from typing import Final

import pytest

from tb.monitors.contract.receive import NOT_APPLICABLE, Delivery, ReceiveCalls, ReceiveWire
from tb.monitors.contract.trace import Buffer, Leave, List
from tb.tests.model.contract.receive_traces import (
    ABORTED,
    INVALID,
    NOT_ACCEPTED,
    PARTLY,
    PENDING,
    UPLOADED,
    Story,
    Tales,
    Teller,
    breaches,
    stream,
    told,
    watch,
)
from tb.tests.model.contract.section_tests import ReceiveSection

SECTIONS: Final = (ReceiveCalls, Delivery, ReceiveWire)
TALES: Final = Tales()
breaks, keeps = TALES.breaks, TALES.keeps


# --- requests and their completions --------------------------------------------------------------------


@breaks("CH-123")
def _(s: Story) -> None:
    s.offload().post(1, 100, result=0)


@breaks("CH-124")
def _(s: Story) -> None:
    s.offload().post(1, 100).post(2, 100).wait(5).comes(0, 200).goes(200).done(2, 100)


@breaks("CH-125")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 100).goes(100).done(1, 100).done(1, 0)


@breaks("CH-126")
def _(s: Story) -> None:
    s.offload().post(1, 100, push=False).wait(5).comes(0, 100).wait(1).goes(100).wait(300)


@breaks("CH-136")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 100).goes(100).done(1, 100, advance=60)


@keeps("CH-123", "CH-124", "CH-125", "CH-126", "CH-136")
def _(s: Story) -> None:
    s.offload().post(1, 100).post(2, 300, push=False).wait(5)
    s.comes(0, 400).wait(1).done(1, 100).done(2, 300).goes(400).wait(300).terminate(400)


@breaks("CH-137")
def _(s: Story) -> None:
    s.offload().comes(0, flags="AF").wait(1).goes(1).event(2).post(1, 100).done(1, 0, 0)


@keeps("CH-137")
def _(s: Story) -> None:
    s.offload().comes(0, flags="AF").wait(1).goes(1).event(2).post(1, 100).done(1, 0, INVALID)
    s.wait(300).terminate(1, state=7)


@breaks("CH-138")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 30).done(1, 40, UPLOADED)


@keeps("CH-138")
def _(s: Story) -> None:
    s.offload().post(1, 100).post(2, 100).wait(5).comes(0, 30).wait(1).goes(30)
    s.terminate_call().done(1, 30, UPLOADED).done(2, 0, UPLOADED).terminated(30)


@breaks("CH-139")
def _(s: Story) -> None:
    s.offload().comes(0, 50).wait(1).goes(50)
    s.indication(0, 50)
    s.post(1, 10).done(1, 0, ABORTED)


@breaks("CH-140")
def _(s: Story) -> None:
    s.offload().post(1, 50).wait(5).comes(0, 100).wait(1).goes(100)
    s.enter("NdisTcpOffloadReceiveComplete", lists=[s.filled(1, 50)])
    s.post(2, 50).done(2, 50)


@keeps("CH-139", "CH-140", "CH-145")
def _(s: Story) -> None:
    s.offload().post(1, 50).wait(5).comes(0, 100).wait(1).goes(100)
    call = s.enter("NdisTcpOffloadReceiveComplete", lists=[s.filled(1, 50)])
    s.post(2, 50).leave(call).done(2, 50).wait(300)


@breaks("CH-141")
def _(s: Story) -> None:
    s.offload()
    s.enter("MiniportTcpOffloadReceive", target=s.link.context, lists=[s.request(1, 10)])
    s.post(2, 10)


@keeps("CH-141")
def _(s: Story) -> None:
    s.offload()
    call = s.enter("MiniportTcpOffloadReceive", target=s.link.context, lists=[s.request(1, 0)])
    completion = s.enter("NdisTcpOffloadReceiveComplete", lists=[s.filled(1, 0)])
    s.post(2, 10).leave(completion).leave(call, PENDING)


# --- indications ---------------------------------------------------------------------------------------


@breaks("CH-147")
def _(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60)
    lists = [List(i, (Buffer(i, 30),), data=stream(at, 30)) for i, at in ((701, 0), (702, 30))]
    s.call("NdisTcpOffloadReceiveHandler", target=s.link.handle, lists=lists, status=0)


@breaks("CH-148")
def _(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60).indication(0, 60, status=0xC000009A)


@breaks("CH-149")
def _(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60).indicate(0, 60, took=50)


@breaks("CH-150")
def _(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60).indicate(0, 60, answer=PARTLY, took=60)


@breaks("CH-156")
def _(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60).indicate(0, 60).give_back(700, result=PENDING)


@breaks("CH-157")
def _(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60).indicate(0, 60, 701).comes(60, 60).indicate(60, 60, 702).goes(120)
    s.give_back(701, 702, result=PENDING)


@breaks("CH-158")
def _(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60).indicate(0, 60).terminate(60).call("MiniportHaltEx")


@keeps("CH-147", "CH-148", "CH-149", "CH-144", "CH-155", "CH-159", "CH-156", "CH-157", "CH-158")
def _(s: Story) -> None:
    s.offload(0).comes(0, 60).wait(1).goes(60).indicate(0, 60, 701).wait(300).terminate(60)
    s.offload(1).comes(0, 60).wait(1).goes(60).indicate(0, 60, 702).comes(60, 60).wait(1).indicate(60, 60, 703).goes(
        120
    )
    s.give_back(701, 703, 702).wait(300).terminate(120).call("MiniportHaltEx")


# --- push timer ----------------------------------------------------------------------------------------


def _trickle(s: Story, *ticks: int) -> Story:
    """Ten bytes at each tick after the posting of a push-mode request, each acknowledged; then the last such time."""
    at = 0
    for number, tick in enumerate(ticks):
        s.wait(tick - at).comes(10 * number, 10).goes(10 * number + 10)
        at = tick
    return s


@breaks("CH-127")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 30, flags="AP").wait(1).goes(30).wait(300)


@keeps("CH-127")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 30, flags="AP").wait(1).goes(30).done(1, 30).wait(600)


@breaks("CH-128")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 30).wait(1).goes(30).wait(600)


@breaks("CH-129")
def _(s: Story) -> None:
    s.offload().post(1, 100, push=False).wait(5).comes(0, 30, flags="AP").wait(1).goes(30).done(1, 30)


@keeps("CH-129")
def _(s: Story) -> None:
    s.offload().post(1, 100, push=False).wait(5).comes(0, 30, flags="AP").wait(1).goes(30).wait(900)
    s.comes(30, flags="AF").wait(1).goes(31).done(1, 30)


@breaks("CH-130")
def _(s: Story) -> None:
    s.offload().post(1, 100)
    _trickle(s, 400).wait(100).done(1, 10)


@keeps("CH-128", "CH-130", "CH-132")
def _(s: Story) -> None:
    s.offload().post(1, 100)
    _trickle(s, 50, 120, 200).wait(500).done(1, 30)
    s.post(2, 100).wait(5).comes(30, 10).wait(1).goes(40).wait(100).comes(40, 10).wait(1).goes(50).wait(398).done(2, 20)


@breaks("CH-131")
def _(s: Story) -> None:
    s.offload().post(1, 100, prefilled=7).wait(600)


@keeps("CH-131")
def _(s: Story) -> None:
    s.offload().post(1, 100, prefilled=7).wait(500).done(1, 0)


@breaks("CH-132")
def _(s: Story) -> None:
    s.offload().post(1, 100)
    _trickle(s, 50, 150, 300).wait(350).done(1, 30)


@breaks("CH-133")
def _(s: Story) -> None:
    s.offload().post(1, 20).post(2, 100)
    _trickle(s, 10, 60, 300).done(1, 20).wait(210).done(2, 10)


@breaks("CH-134")
def _(s: Story) -> None:
    s.offload().post(1, 20).post(2, 100)
    _trickle(s, 10, 60).done(1, 20).wait(500).done(2, 0)


@keeps("CH-133", "CH-134")
def _(s: Story) -> None:
    s.offload().post(1, 20).post(2, 100)
    _trickle(s, 10, 60).done(1, 20).wait(600).comes(20, 10).wait(1).goes(30).wait(500).done(2, 10)


# --- delivery ------------------------------------------------------------------------------------------


@breaks("CH-142")
def _(s: Story) -> None:
    s.offload().post(1, 100, push=False).wait(20).comes(0, 30).wait(1).goes(30).indicate(0, 30)


@keeps("CH-142", "CH-146")
def _(s: Story) -> None:
    s.offload().post(1, 100, push=False).wait(20).comes(0, 130).wait(1).goes(130).done(1, 100).indicate(100, 30)


@breaks("CH-143")
def _(s: Story) -> None:
    s.offload().comes(0, 30).wait(1).goes(30).indicate(0, 30, answer=NOT_ACCEPTED)
    s.wait(5).comes(30, 40).goes(70).indicate(30, 40)


@breaks("CH-144")
def _(s: Story) -> None:
    s.offload().comes(0, 30).wait(1).goes(30).wait(300)


@breaks("CH-145")
def _(s: Story) -> None:
    s.offload().comes(0, 30).wait(1).goes(30)
    call = s.indication(0, 30)
    s.wait(1).comes(30, 40).goes(70).leave(call, 0, 30).wait(300)


@breaks("CH-146")
def _(s: Story) -> None:
    s.offload().post(1, 100, push=False).wait(20).comes(0, 130).wait(1).goes(130).indicate(100, 30)


@breaks("CH-151")
def _(s: Story) -> None:
    s.offload().comes(0, 30).wait(1).goes(30).indicate(0, 30, answer=NOT_ACCEPTED).wait(50).indicate(0, 30)


@keeps("CH-143", "CH-151", "CH-152", "CH-154", "CH-150")
def _(s: Story) -> None:
    s.offload().comes(0, 1000).wait(1).goes(1000)
    call = s.indication(0, 1000)
    s.leave(call, PARTLY, 300).wait(5).comes(1000, 200).wait(1).goes(1200).wait(300)
    s.post(1, 512).done(1, 512).indicate(812, 388, 702, answer=NOT_ACCEPTED).wait(300)
    call = s.enter("MiniportTcpOffloadReceive", target=s.link.context, lists=[s.request(2, 388)])
    s.leave(call, PENDING).done(2, 388)
    s.comes(1200, 10).wait(1).goes(1210)
    call = s.indication(1200, 10, 703)
    s.post(3, 10).leave(call, NOT_ACCEPTED, 0).done(3, 10)


@breaks("CH-152")
def _(s: Story) -> None:
    s.offload().comes(0, 30).wait(1).goes(30).indicate(0, 30, answer=NOT_ACCEPTED).post(1, 30).indicate(0, 30)


@breaks("CH-153")
def _(s: Story) -> None:
    s.offload().comes(0, 30).wait(1).goes(30).indicate(0, 30, answer=NOT_ACCEPTED).post(1, 0).done(1, 0).wait(300)


@keeps("CH-153")
def _(s: Story) -> None:
    s.offload().comes(0, 30).wait(1).goes(30).indicate(0, 30, answer=NOT_ACCEPTED).post(1, 0).done(1, 0)
    s.indicate(0, 30).wait(300)


@breaks("CH-154")
def _(s: Story) -> None:
    s.offload().comes(0, 300).wait(1).goes(300)
    s.leave(s.indication(0, 300), PARTLY, 100).post(1, 0).done(1, 0).indicate(120, 180)


@breaks("CH-155")
def _(s: Story) -> None:
    s.offload().comes(0, 300).wait(1).goes(300).indicate(0, 100).indicate(50, 100)


@breaks("CH-159")
def _(s: Story) -> None:
    s.offload().comes(0, 300).wait(1).goes(300).indicate(100, 100).indicate(0, 100)


# --- wire ----------------------------------------------------------------------------------------------


@breaks("CH-135")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 100).done(1, 100).query(received=60)


@keeps("CH-135")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 100).done(1, 100).query(received=100).goes(100).wait(80)
    s.goes(100, 0, 10).terminate(100)


@breaks("CH-161")
def _(s: Story) -> None:
    s.offload(vlan=7).comes(0, 100, vlan=8).goes(100)


@keeps("CH-161")
def _(s: Story) -> None:
    s.offload(vlan=7).post(1, 100).wait(5).comes(0, 100, vlan=8).wait(5).comes(0, 100, vlan=7).goes(100).done(1, 100)


@breaks("CH-162")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 100).done(1, 100).wait(250).goes(100)


@breaks("CH-163")
def _(s: Story) -> None:
    s.offload().comes(0, 100).indicate(0, 100, answer=NOT_ACCEPTED).wait(250)


@keeps("CH-162", "CH-163")
def _(s: Story) -> None:
    s.offload().comes(0, 100).indicate(0, 100, answer=NOT_ACCEPTED).wait(100).goes(100)
    s.comes(100, 100).comes(200, 100).wait(1).goes(300).post(1, 300).done(1, 300)


# --- named by what happens -----------------------------------------------------------------------------

OTHERS: Final = Tales()


@OTHERS.keeps("a request may come back by the timer counted from its first byte (G-04)")
def _(s: Story) -> None:
    s.offload().post(1, 100)
    _trickle(s, 50, 300).wait(250).done(1, 20)


@OTHERS.keeps("a pre-filled slot is not read below NDIS 6.20 (G-04)")
def _(s: Story) -> None:
    s.says("ndis_version", 0x60001).offload().post(1, 100, prefilled=7).wait(700)


@OTHERS.keeps("empty requests come back SUCCESS at a FIN (G-17)")
def _(s: Story) -> None:
    s.offload().post(1, 100, push=False).post(2, 50).wait(5).comes(0, 30, flags="AF").wait(1).goes(31)
    s.done(1, 30).done(2, 0).event(2)


@OTHERS.keeps("empty requests come back INVALID_STATE at a FIN (G-17)")
def _(s: Story) -> None:
    s.offload().post(1, 100, push=False).post(2, 50).wait(5).comes(0, 30, flags="AF").wait(1).goes(31)
    s.done(1, 30).done(2, 0, INVALID).event(2)


@OTHERS.keeps("a duplicate, an overlap and data out of order are delivered once, in order, across 2^32")
def _(s: Story) -> None:
    s.offload().post(1, 500, push=False).wait(5).comes(0, 200).wait(1).goes(200).comes(300, 200).goes(200)
    s.comes(100, 150).comes(250, 100).wait(1).goes(500).done(1, 500).terminate(500)


@OTHERS.keeps("an NBL is posted again after it came back, the connection is offloaded again")
def _(s: Story) -> None:
    s.offload().post(1, 10).wait(5).comes(0, 10).wait(1).done(1, 10).goes(10).post(1, 10).terminate_call()
    s.done(1, 0, UPLOADED).terminated(10).offload().post(1, 10).wait(5).comes(0, 10).wait(1).goes(10).done(1, 10)


@OTHERS.keeps("an accidental burst beyond the window is not asked for")
def _(s: Story) -> None:
    s.offload().comes(60000, 100).comes(-500, 100).wait(400)


@OTHERS.keeps("buffered data that came with the connection waits for requests")
def _(s: Story) -> None:
    s.offload(inherited=100).wait(400).post(1, 60, push=False).done(1, 60).indicate(-40, 40).comes(0, 10).wait(1)
    s.goes(10).indicate(0, 10)


@OTHERS.keeps("calls for unknown handles are passed over")
def _(s: Story) -> None:
    s.offload().call("NdisTcpOffloadReceiveHandler", target=77, lists=[List(9, (Buffer(9, 5),))], status=0)
    s.call("MiniportTcpOffloadReceive", target=78, lists=[List(8, (Buffer(9, 5),))], result=PENDING)
    s.event(2, target=79)


@OTHERS.keeps("what an intermediate driver passes through is judged once")
def _(s: Story) -> None:
    s.layer = 1
    s.offload().wait(1)
    s.layer = 0
    s.offload().comes(0, 60).wait(1).goes(60)
    lower = s.indication(0, 60)
    s.layer = 1
    s.indicate(0, 60)
    s.layer = 0
    s.leave(lower, 0, 60)


@OTHERS.breaks("an empty request at a FIN comes back UPLOAD_IN_PROGRESS without an upload (G-17)")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 0, flags="AF").wait(1).goes(1).done(1, 0, UPLOADED)


@OTHERS.breaks("a timer counted from the middle of three segments (G-04)")
def _(s: Story) -> None:
    s.offload().post(1, 100)
    _trickle(s, 50, 200, 350).wait(350).done(1, 30)


@OTHERS.breaks("the host answers NOT_ACCEPTED with the code of the remarks (G-05)")
def _(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60).indicate(0, 60, answer=0x10003)


@OTHERS.breaks("bytes are lost between a completion and the upload")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 130).wait(1).goes(130).done(1, 100).terminate(130, uploaded=20)


@OTHERS.breaks("a push-mode request with two segments waits for the timer though the second had PSH")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 10).wait(1).goes(10).wait(50).comes(10, 10, flags="AP").wait(1).goes(20)
    s.wait(501).done(1, 20)


@OTHERS.breaks("the rest of a pushed indication waits in a push-mode request")
def _(s: Story) -> None:
    s.offload().comes(0, 60, flags="AP").wait(1).goes(60).indicate(0, 60, answer=PARTLY, took=20)
    s.wait(50).post(1, 100).wait(400).done(1, 40)


@OTHERS.keeps("the rest of a pushed indication completes a push-mode request at once")
def _(s: Story) -> None:
    s.offload().comes(0, 60, flags="AP").wait(1).goes(60).indicate(0, 60, answer=PARTLY, took=20)
    s.wait(50).post(1, 100).wait(1).done(1, 40)


@OTHERS.keeps("the rest of an indication without PSH waits for the timer")
def _(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60).indicate(0, 60, answer=PARTLY, took=20)
    s.wait(50).post(1, 100).wait(500).done(1, 40)


@OTHERS.breaks("a hole in front of pushed bytes is filled, and the push-mode request waits")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(30, 30, flags="AP").wait(50).comes(0, 30).wait(1).goes(60).wait(400)
    s.done(1, 60)


@OTHERS.keeps("pushed bytes that came twice, once without PSH, may wait for the timer")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(5).comes(0, 30).wait(1).comes(0, 30, flags="AP").goes(30).wait(499).done(1, 30)


class TestReceive(ReceiveSection):
    monitors = SECTIONS
    tales = TALES
    others = OTHERS
    not_applicable = NOT_APPLICABLE
    numbers = range(123, 164)


def test_a_leave_without_an_enter_is_passed_over() -> None:
    story = Story()
    story.records.append(Leave(9, 2000, "nic0", 0, 99, "MiniportTcpOffloadReceive", 0))
    assert breaches(watch(story.records, SECTIONS)) == []


def _crossed(s: Story) -> None:
    """The request was posted when the target had asked its device for the indication, and had not shown it."""
    s.offload().comes(0, 30).wait(1).goes(30).post(1, 100, push=False).indicate(0, 30)


def _behind_an_empty_request(s: Story) -> None:
    s.offload().comes(0, 30).wait(1).goes(30).post(1, 0).post(2, 100, push=False).done(1, 0).indicate(0, 30)


def _behind_the_first_of_two(s: Story) -> None:
    """Both were posted behind a refusal; the rest of what filled the first one passes the second."""
    s.offload().comes(0, 300).wait(1).goes(300).indicate(0, 300, answer=NOT_ACCEPTED)
    s.post(1, 100).post(2, 50, push=False).done(1, 100).indicate(100, 200)


@pytest.mark.parametrize("tell", [_crossed, _behind_an_empty_request, _behind_the_first_of_two])
def test_an_indication_that_passes_a_request_is_seen_however_late_the_request_came(tell: Teller) -> None:
    assert [one.rule for one in breaches(watch(told(tell), SECTIONS))][:1] == ["CH-142"]


def _vain_terminate_before_the_offload(s: Story) -> None:
    """It came while the initiate was under way, and fails when that is done and its place holds the new context."""
    vain = s.vain_call(None)
    s.offload().vain_done(vain).comes(0, 60).wait(1).goes(60)


def _vain_terminate_behind_another(s: Story) -> None:
    s.offload().comes(0, 60).wait(1).goes(60).terminate_call()
    s.vain_done(s.vain_call(s.link.context))


@pytest.mark.rule("CH-150")
@pytest.mark.parametrize("tell", [_vain_terminate_before_the_offload, _vain_terminate_behind_another])
@pytest.mark.parametrize(("took", "found"), [(20, []), (60, ["CH-150"])])
def test_a_terminate_that_ends_nothing_does_not_end_the_watch_over_answers(
    tell: Teller, took: int, found: list[str]
) -> None:
    def whole(s: Story) -> None:
        tell(s)
        s.indicate(0, 60, answer=PARTLY, took=took)

    assert [one.rule for one in breaches(watch(told(whole), SECTIONS))] == found
