"""Events and exceptional packets (section 9.9): every rule has a trace that breaks it and one that keeps it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import pytest

from tb.monitors.contract.events import PeerEvents, Uploads
from tb.tests.model.contract.receive_traces import (
    ABORTED,
    FAILURE,
    INVALID,
    LOCAL,
    NOT_ACCEPTED,
    OUR_MAC,
    PEER_MAC,
    RCV_0,
    REMOTE,
    SND_0,
    UPLOADED,
    Story,
    Tales,
    ethernet,
    ip_packet,
    stream,
    tcp_segment,
    told,
    watch,
)
from tb.tests.model.contract.section_tests import ReceiveSection

SECTIONS: Final = (PeerEvents, Uploads)
TALES: Final = Tales()
breaks, keeps = TALES.breaks, TALES.keeps
FIVE_MINUTES: Final = 300_000
REQUESTED: Final = 10
URGENT: Final = 5
KEPT_BACK: Final = 9
"""InvalidState: a frame of an invalid object was kept back."""


# --- FIN -----------------------------------------------------------------------------------------------


@breaks("CH-190")
def _(s: Story) -> None:
    s.offload().comes(0, 100).comes(100, flags="AF").wait(1).goes(101).event(2)


@breaks("CH-191")
def _(s: Story) -> None:
    s.offload().comes(0, 100, flags="AF").wait(1).goes(101).indicate(0, 100).event(2).event(2)


@keeps("CH-190", "CH-191")
def _(s: Story) -> None:
    s.offload().comes(0, 100, flags="AF").wait(1).goes(101).indicate(0, 100, answer=NOT_ACCEPTED).wait(900)
    s.post(1, 100).done(1, 100).event(2).wait(900)


@breaks("CH-192")
def _(s: Story) -> None:
    s.offload().comes(0, flags="AF").wait(1).goes(1).event(2).send(1, 500).wait(500)


@keeps("CH-192")
def _(s: Story) -> None:
    s.offload().comes(0, flags="AF").wait(1).goes(1).event(2).send(1, 500).goes(1, 0, 500).wait(500)
    s.comes(1, ack=500).sent(1, 500)


# --- RST -----------------------------------------------------------------------------------------------


@breaks("CH-193")
def _(s: Story) -> None:
    s.offload().send(1, 100).goes(0, 0, 100).wait(1).comes(0, flags="AR").event(4).sent(1, 0, UPLOADED)


@breaks("CH-194")
def _(s: Story) -> None:
    s.offload().post(1, 100).wait(1).comes(0, flags="AR").event(4).wait(300)


@keeps("CH-193", "CH-194")
def _(s: Story) -> None:
    s.offload().send(1, 100).send(2, 50, "Disconnect", 1).post(3, 100).goes(0, 0, 100).wait(1).comes(0, flags="AR")
    s.event(4).sent(1, 0, ABORTED).sent(2, 0, ABORTED, "Disconnect").done(3, 0, ABORTED).wait(300)


@breaks("CH-195")
def _(s: Story) -> None:
    s.offload().wait(100).comes(-1000, flags="AR").event(4)


@keeps("CH-195")
def _(s: Story) -> None:
    s.offload().wait(100).comes(-1000, flags="AR").comes(60000, flags="R").wait(300)


@breaks("CH-196")
def _(s: Story) -> None:
    s.offload().wait(100).comes(200, flags="AR").wait(1).goes(0).comes(300, flags="AR").wait(1).goes(0)


@keeps("CH-196")
def _(s: Story) -> None:
    s.offload().wait(100).comes(200, flags="AR").wait(1).goes(0).comes(300, flags="AR").wait(50)
    s.comes(0, 10).goes(10).comes(300, flags="AR").wait(1).goes(10)


# --- SYN -----------------------------------------------------------------------------------------------


@breaks("CH-197")
def _(s: Story) -> None:
    s.offload().wait(100).comes(-1000, flags="S").wait(300)


@keeps("CH-197")
def _(s: Story) -> None:
    s.offload().wait(100).comes(-1000, flags="S").wait(1).goes(0).comes(60000, flags="S").goes(0).wait(300)


@breaks("CH-198")
def _(s: Story) -> None:
    s.offload().wait(100).comes(200, flags="S").wait(1).goes(0).wait(2000).comes(300, flags="S").wait(1).goes(0)


@keeps("CH-198")
def _(s: Story) -> None:
    s.offload().wait(100).comes(200, flags="S").wait(1).goes(0).wait(2000).comes(300, flags="S").wait(1000)
    s.comes(300, flags="S").wait(1).goes(0)


@breaks("CH-199")
def _(s: Story) -> None:
    s.offload().wait(100).comes(0, flags="S").retrieve(REQUESTED).wait(50).terminate(0, state=4)


@keeps("CH-199")
def _(s: Story) -> None:
    s.offload().wait(100).comes(0, flags="S").retrieve(REQUESTED).wait(300).terminate(0, state=0)


def _until_time_wait(s: Story) -> Story:
    """We close first, the peer closes after it."""
    s.offload().send(1, 0, "Disconnect", 1).goes(0, 0, flags="AF").wait(1).comes(0, ack=1)
    return s.sent(1, 0, 0, "Disconnect").comes(0, ack=1, flags="AF").wait(1).goes(1, 1).event(2)


@breaks("CH-200")
def _(s: Story) -> None:
    _until_time_wait(s).retrieve(REQUESTED).wait(50).comes(5000, flags="S").terminate(1, state=10).wait(300)


@keeps("CH-200", "CH-211")
def _(s: Story) -> None:
    _until_time_wait(s).retrieve(REQUESTED).wait(50).comes(5000, flags="S")
    s.passes_up(s.frame(5000, flags="S")).wait(300).terminate(1, state=10).wait(300)


@breaks("CH-211")
def _(s: Story) -> None:
    _until_time_wait(s).wait(300)


@breaks("CH-201")
def _(s: Story) -> None:
    s.offload().wait(100).comes(200, flags="AR").wait(1).goes(0).wait(1000).query(0, keep_alive_timeout_delta=7000)


@keeps("CH-201")
def _(s: Story) -> None:
    s.offload().wait(100).comes(200, flags="AR").wait(1).goes(0).wait(1000)
    s.query(0, keep_alive_timeout_delta=FIVE_MINUTES - 1000)


# --- URG -----------------------------------------------------------------------------------------------


@breaks("CH-202")
def _(s: Story) -> None:
    s.offload().wait(100).comes(0, 10, flags="AU").retrieve(URGENT).wait(100).goes(10)


@breaks("CH-203")
def _(s: Story) -> None:
    s.offload().wait(100).comes(-500, 10, flags="AU").comes(0, 10, ack=5000, flags="AU").retrieve(URGENT)


@keeps("CH-203")
def _(s: Story) -> None:
    s.offload().wait(100).comes(-500, 10, flags="AU").comes(0, 10, ack=5000, flags="AU").wait(1).goes(0).wait(300)


@breaks("CH-204")
def _(s: Story) -> None:
    s.offload().wait(100).comes(0, 10, flags="AU").retrieve(URGENT).comes(10, 20).wait(300).terminate(0)
    s.passes_up(s.frame(0, 10, flags="AU")).wait(300)


@keeps("CH-202", "CH-204")
def _(s: Story) -> None:
    s.offload().wait(100).comes(0, 10, flags="AU").retrieve(URGENT).comes(10, 20).wait(300).goes(0).terminate(0)
    s.passes_up(s.frame(0, 10, flags="AU")).passes_up(s.frame(10, 20)).wait(300)


# --- packets for the host ------------------------------------------------------------------------------


ARP: Final = ethernet(struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + bytes(20), b"\xff" * 6, PEER_MAC, 0x0806)
ICMP: Final = ethernet(ip_packet(REMOTE[0], LOCAL[0], b"\x03\x04" + bytes(30), 1), OUR_MAC, PEER_MAC)
FRAGMENT: Final = ethernet(ip_packet(REMOTE[0], LOCAL[0], bytes(64), fragment=0x2000), OUR_MAC, PEER_MAC)
_SEGMENT: Final = tcp_segment(REMOTE, LOCAL, RCV_0, SND_0, 16, 50000, stream(0, 100))
WITH_OPTIONS: Final = ethernet(ip_packet(REMOTE[0], LOCAL[0], _SEGMENT, options=b"\1\1\1\0"), OUR_MAC, PEER_MAC)


@breaks("CH-205")
def _(s: Story) -> None:
    s.says("interface_mac", OUR_MAC).frame_comes(ICMP).wait(300)


@keeps("CH-205")
def _(s: Story) -> None:
    s.says("interface_mac", OUR_MAC).offload()
    for frame in (ARP, ICMP, FRAGMENT, WITH_OPTIONS):
        s.wait(1).frame_comes(frame).wait(1).passes_up(frame)
    s.wait(300)


def _until_closed(s: Story) -> Story:
    """The peer closes first, we close after it."""
    s.offload().comes(0, flags="AF").wait(1).goes(1).event(2).send(1, 0, "Disconnect", 1).goes(1, 0, flags="AF")
    return s.wait(1).comes(1, ack=1).sent(1, 0, 0, "Disconnect")


@breaks("CH-206")
def _(s: Story) -> None:
    _until_closed(s).wait(50).comes(1, 100, ack=1).wait(300)


@keeps("CH-206")
def _(s: Story) -> None:
    _until_closed(s).wait(50).comes(1, 100, ack=1).passes_up(s.frame(1, 100, ack=1)).wait(300)


# --- upload requests -----------------------------------------------------------------------------------


@breaks("CH-207")
def _(s: Story) -> None:
    s.offload().retrieve(REQUESTED).wait(50).comes(0, 100).wait(1).goes(100)


@keeps("CH-207", "CH-212")
def _(s: Story) -> None:
    s.offload().retrieve(REQUESTED).wait(50).comes(0, 100).send(1, 10).wait(300).sent(1, 0, UPLOADED).terminate(0)


@breaks("CH-208")
def _(s: Story) -> None:
    s.offload().retrieve(1).post(1, 100).done(1, 0, UPLOADED)


@keeps("CH-208", "CH-209", "CH-210")
def _(s: Story) -> None:
    s.offload().retrieve(1).comes(0, 100).wait(100).comes(0, 100).wait(1).goes(100).wait(1200).retrieve(3)


@breaks("CH-209")
def _(s: Story) -> None:
    s.offload().event(3, REQUESTED, target=3000)


@breaks("CH-210")
def _(s: Story) -> None:
    s.offload().send(1, 0, "Disconnect", 1).goes(0, 0, flags="AF").wait(50).retrieve(1)


@breaks("CH-212")
def _(s: Story) -> None:
    s.offload().retrieve(REQUESTED).wait(1).send(1, 10).sent(1, 10)


@breaks("CH-213")
def _(s: Story) -> None:
    s.offload().event(1, 20000).wait(500).event(1, 20100)


@keeps("CH-213")
def _(s: Story) -> None:
    s.offload().event(1, 20000).wait(500).event(1, 30000).wait(500).event(1, 20000)


# --- named by what happens -----------------------------------------------------------------------------

OTHERS: Final = Tales()


@OTHERS.keeps("the RST meets data that the NIC may not have dealt with")
def _(s: Story) -> None:
    s.offload().comes(0, 100).comes(0, flags="AR").wait(300).comes(100, flags="AR").wait(300)


@OTHERS.keeps("a CloseWait connection is offloaded, the disconnect event is up to the target")
def _(s: Story) -> None:
    s.offload(state=7).wait(900)


@OTHERS.keeps("the client never consumes the data before the FIN (G-42)")
def _(s: Story) -> None:
    s.offload().comes(0, 100, flags="AF").wait(1).goes(101).indicate(0, 100, answer=NOT_ACCEPTED).wait(900)
    s.terminate(101, 100, state=7)


@OTHERS.keeps("a mandatory reason comes in FIN_WAIT_2 (G-07)")
def _(s: Story) -> None:
    s.offload().send(1, 0, "Disconnect", 1).goes(0, 0, flags="AF").wait(1).comes(0, ack=1).wait(50).retrieve(8)


@OTHERS.keeps("a receive posted after TcpIndicateDisconnect comes back INVALID_STATE after an abort, too")
def _(s: Story) -> None:
    s.offload().comes(0, flags="AF").wait(1).goes(1).event(2).post(1, 10).comes(1, flags="R").event(4)
    s.done(1, 0, INVALID)


@OTHERS.keeps("hardware fails: TcpIndicateRetrieve and then TcpIndicateAbort, without an RST")
def _(s: Story) -> None:
    s.offload().send(1, 10).retrieve(11).event(4).terminate_call().sent(1, 0, ABORTED).terminated()


@OTHERS.keeps("duplicate data between RST segments explains the ACKs")
def _(s: Story) -> None:
    s.offload().comes(0, 100).goes(100).wait(100).comes(300, flags="AR").comes(0, 100).comes(400, flags="AR").wait(1)
    s.goes(100).goes(100)


@OTHERS.breaks("TcpIndicateAbort comes without an RST")
def _(s: Story) -> None:
    s.offload().event(4)


@OTHERS.breaks("an RST inside the window aborts")
def _(s: Story) -> None:
    s.offload().comes(100, flags="AR").event(4)


@OTHERS.breaks("an RST outside the window is answered")
def _(s: Story) -> None:
    s.offload().wait(100).comes(-100, flags="AR").wait(1).goes(0)


@OTHERS.breaks("an exact RST raises nothing")
def _(s: Story) -> None:
    s.offload().wait(10).comes(0, flags="AR").wait(300)


@OTHERS.breaks("a FIN raises nothing")
def _(s: Story) -> None:
    s.offload().comes(0, flags="AF").wait(1).goes(1).wait(300)


@OTHERS.breaks("an URG segment raises nothing")
def _(s: Story) -> None:
    s.offload().wait(10).comes(0, 10, flags="AU").wait(300)


@OTHERS.breaks("a SYN at RcvNxt raises another reason than UploadRequested (G-25)")
def _(s: Story) -> None:
    s.offload().wait(10).comes(0, flags="S").retrieve(8).wait(300)


@OTHERS.breaks("TIME_WAIT raises another reason than UploadRequested (G-25)")
def _(s: Story) -> None:
    _until_time_wait(s).retrieve(8)


@OTHERS.breaks("an allocation fails and nothing is raised")
def _(s: Story) -> None:
    s.offload().says("allocation_failed", s.link.handle).wait(300)


@OTHERS.breaks("a segment behind IPv4 options is acknowledged")
def _(s: Story) -> None:
    s.says("interface_mac", OUR_MAC).offload().frame_comes(WITH_OPTIONS).goes(100)


@OTHERS.breaks("an urgent segment goes up before the terminate")
def _(s: Story) -> None:
    s.offload().wait(10).comes(0, 10, flags="AU").retrieve(URGENT).passes_up(s.frame(0, 10, flags="AU"))


@OTHERS.breaks("a send fails after the peer's FIN")
def _(s: Story) -> None:
    s.offload().comes(0, flags="AF").wait(1).goes(1).event(2).send(1, 500).sent(1, 0, FAILURE)


@OTHERS.breaks("an optional upload reason in CLOSE_WAIT")
def _(s: Story) -> None:
    s.offload().comes(0, flags="AF").wait(1).goes(1).event(2).wait(50).retrieve(2)


@OTHERS.breaks("a segment behind URG goes up between the terminate call and its completion")
def _(s: Story) -> None:
    s.offload().wait(100).comes(0, 10, flags="AU").retrieve(URGENT).wait(300).goes(0).terminate_call()
    s.passes_up(s.frame(0, 10, flags="AU")).wait(1).terminated(0, 0, 0).wait(300)


@OTHERS.keeps("a segment behind URG that comes between the terminate call and its completion goes up behind it")
def _(s: Story) -> None:
    s.offload().wait(100).comes(0, 10, flags="AU").retrieve(URGENT).wait(300).goes(0).terminate_call()
    s.comes(10, 20).wait(1).terminated(0, 0, 0)
    s.passes_up(s.frame(0, 10, flags="AU")).passes_up(s.frame(10, 20)).wait(300)


class TestEvents(ReceiveSection):
    monitors = SECTIONS
    tales = TALES
    others = OTHERS
    numbers = range(190, 214)


def _closing(s: Story) -> Story:
    """Both FINs crossed; ours is not acknowledged yet."""
    s.offload().wait(1000).send(1, 0, "Disconnect", 1).goes(0, 0, flags="AF").wait(1)
    return s.comes(0, ack=0, flags="AF").wait(1).goes(1, 1).event(2).wait(20)


def _ch_211(tell: Callable[[Story], object]) -> bool:
    """The rule is broken."""

    def teller(s: Story) -> None:
        tell(s)

    monitors = watch(told(teller), SECTIONS)
    assert any(monitor.triggers["CH-211"] for monitor in monitors)
    return "CH-211" in {breach.rule for monitor in monitors for breach in monitor.breaches}


@pytest.mark.rule("CH-211", "G-03")
@pytest.mark.parametrize(
    ("invalid", "kept", "broken"),
    [(False, False, True), (False, True, True), (True, False, True), (True, True, False)],
)
def test_only_an_invalid_connection_may_ask_in_time_wait_because_a_frame_was_kept_back(
    invalid: bool, kept: bool, broken: bool
) -> None:
    def tell(s: Story) -> None:
        _closing(s)
        if invalid:
            s.invalidate()
        if kept:  # the FIN once more, which is to be acknowledged
            s.comes(0, ack=1, flags="AF")
        s.comes(1, ack=1).retrieve(KEPT_BACK).sent(1, 0, 0, "Disconnect").wait(300)

    assert _ch_211(tell) is broken


@pytest.mark.rule("CH-211", "G-03")
@pytest.mark.parametrize("kept", [False, True])
def test_what_was_kept_back_before_the_invalidate_call_is_no_reason_in_time_wait(kept: bool) -> None:
    def tell(s: Story) -> None:
        _closing(s).comes(0, ack=0, flags="AF").goes(1, 1).wait(50).invalidate()
        if kept:
            s.wait(1).comes(0, ack=1, flags="AF")
        s.wait(1).comes(1, ack=1).wait(17).retrieve(KEPT_BACK).sent(1, 0, 0, "Disconnect").wait(300)

    assert _ch_211(tell) is not kept


@pytest.mark.rule("CH-211", "G-03")
@pytest.mark.parametrize("before", [False, True], ids=["in TIME_WAIT", "before it"])
@pytest.mark.parametrize("reason", [None, REQUESTED])
def test_an_invalid_connection_asks_for_the_upload_in_time_wait(reason: int | None, before: bool) -> None:
    """Nothing that it had to send was kept back, so an invalid object is no excuse."""

    def tell(s: Story) -> None:
        _closing(s)
        if before:
            s.invalidate()
        s.comes(1, ack=1)
        if not before:
            s.invalidate()
        s.sent(1, 0, 0, "Disconnect")
        if reason is not None:
            s.retrieve(reason)
        s.wait(300)

    assert _ch_211(tell) is (reason is None)
