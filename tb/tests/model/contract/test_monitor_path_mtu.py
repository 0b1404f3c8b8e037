"""The wire monitor and the path MTU: what the host port says of it bounds what goes out (RFC 9293 MUST-16, MUST-19)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.trace import Frame, Node, Tree
from tb.monitors.wire_headers import ACK, SYN
from tb.monitors.wire_monitor import WireMonitor
from tb.peers.headers import Link, Options, Segment, encode_tcp
from tb.tests.model.contract.terminate_traces import (
    NEXT_MAC,
    OWN_IP,
    OWN_MAC,
    PEER_IP,
    RCV,
    SND,
    Story,
    Talk,
)

MTU, ROOM = 296, 256
"""Bytes of an IP packet, and of options and payload in it."""
MSS = 536
"""Of a peer that announces none."""
RACE = 2
"""Ticks for which a segment may be on its way to the wire: `MonitorConfig.race_ticks`."""

Teller = Callable[[Story, Talk], object]


def update(story: Story, mtu: int = MTU, status: int = ndis.SUCCESS, wait: int = 1) -> None:
    """The path MTU changes, from call to completion."""
    node = Node(1002, 8, 1012, 1200, 1022, cached={"path_mtu": mtu})
    tree = Tree(node.ident, {node.ident: node})
    story.do(ndis.UPDATE, tree=tree)
    story.wait(wait)
    story.do(ndis.STATE_CALLS[ndis.UPDATE], target=1, tree=Tree(tree.root, {1002: replace(node, status=status)}))


def broken(tell: Teller) -> set[str]:
    """Rules of the wire that a story breaks, from the handshake on."""
    story = Story()
    talk = Talk(story)
    story.frame(talk.frame(sent=True, seq=-1, ack=-1, flags=SYN), sent=True)
    story.frame(talk.frame(sent=False, seq=-1, ack=0, flags=SYN | ACK), sent=False)
    talk.sends(0)
    story.wait(10)
    tell(story, talk)
    monitor = WireMonitor()
    for record in story.records:
        if isinstance(record, Frame):
            (monitor.on_transmit if record.sent else monitor.on_receive)(record.data, record.tick)
        else:
            monitor.paths.feed(record)
    return {violation.rule for violation in monitor.violations}


@pytest.mark.rule("RFC 9293 MUST-16", "CH-122")
@pytest.mark.parametrize(
    ("size", "after", "good"),
    [(ROOM, 100, True), (ROOM + 1, 100, False), (MSS, RACE, True), (MSS + 1, RACE, False), (MSS, RACE + 1, False)],
)
def test_a_segment_fits_the_path_mtu_once_what_was_on_its_way_has_left(size: int, after: int, good: bool) -> None:
    def tell(story: Story, talk: Talk) -> None:
        talk.offload()
        story.wait(10)
        talk.sends(0, bytes(MSS))
        update(story)
        story.wait(after)
        talk.sends(MSS, bytes(size))

    assert broken(tell) == (set() if good else {"MUST-16"})


@pytest.mark.rule("RFC 9293 MUST-16")
@pytest.mark.parametrize("size", [ROOM + 1, MSS])
def test_a_larger_path_mtu_may_hold_from_the_call_on(size: int) -> None:
    def tell(story: Story, talk: Talk, grown: bool) -> None:
        talk.offload()
        update(story)
        story.wait(100)
        if grown:
            update(story, MSS + 40, wait=0)
        talk.sends(0, bytes(size))

    assert broken(lambda story, talk: tell(story, talk, True)) == set()
    assert broken(lambda story, talk: tell(story, talk, False)) == {"MUST-16"}


@pytest.mark.rule("RFC 9293 MUST-16")
def test_an_update_that_failed_changes_nothing() -> None:
    def tell(story: Story, talk: Talk) -> None:
        talk.offload()
        update(story, status=ndis.FAILURE)
        story.wait(100)
        talk.sends(0, bytes(MSS))

    assert broken(tell) == set()


@pytest.mark.rule("RFC 9293 MUST-16")
@pytest.mark.parametrize("offloaded", [False, True])
def test_the_path_mtu_bounds_what_goes_out_while_the_connection_is_the_targets(offloaded: bool) -> None:
    def tell(story: Story, talk: Talk) -> None:
        talk.offload()
        update(story)
        story.wait(100)
        if not offloaded:
            talk.terminate()
            story.wait(RACE + 1)
        talk.sends(0, bytes(MSS))

    assert broken(tell) == ({"MUST-16"} if offloaded else set())


def _sent_by_timer(story: Story, talk: Talk, mtu: int) -> None:
    talk.offload()
    update(story, mtu)
    story.wait(10)
    talk.sends(0, bytes(ROOM))
    story.wait(300)
    talk.sends(0, bytes(ROOM))


@pytest.mark.rule("RFC 9293 MUST-19")
@pytest.mark.parametrize(("mtu", "good"), [(MTU, False), (MSS + 40, True)])
def test_behind_a_retransmission_by_timer_one_segment_of_the_path_mtu_goes_out(mtu: int, good: bool) -> None:
    def tell(story: Story, talk: Talk) -> None:
        _sent_by_timer(story, talk, mtu)
        story.wait(1)
        talk.sends(ROOM, bytes(100))

    assert broken(tell) == (set() if good else {"MUST-19"})


@pytest.mark.rule("RFC 9293 MUST-19")
def test_the_window_behind_a_timeout_is_a_segment_of_its_time() -> None:
    """The path MTU falls behind it: the window is still what a segment was (RFC 5681, 3.1)."""

    def tell(story: Story, talk: Talk) -> None:
        _sent_by_timer(story, talk, MSS + 40)
        update(story)
        story.wait(100)
        talk.sends(ROOM, bytes(ROOM))

    assert broken(tell) == set()


@pytest.mark.rule("RFC 6675 IsLost")
@pytest.mark.parametrize(("mtu", "told"), [(MTU, True), (MSS + 40, False)])
def test_two_segments_of_the_path_mtu_above_a_hole_tell_of_a_loss(mtu: int, told: bool) -> None:
    def tell(story: Story, talk: Talk) -> None:
        _sent_by_timer(story, talk, mtu)
        talk.hears(0, ack=ROOM)
        story.wait(10)
        for place in range(1, 5):
            talk.sends(place * ROOM, bytes(ROOM))
        for wait in (300, 600):
            story.wait(wait)
            talk.sends(ROOM, bytes(ROOM))
        left, right = (SND + 2 * ROOM) % 2**32, (SND + 4 * ROOM + 1) % 2**32
        block = b"\x01\x01\x05\x0a" + left.to_bytes(4, "big") + right.to_bytes(4, "big")
        ends = (PEER_IP, OWN_IP, 80, 5001)
        link = Link(NEXT_MAC, OWN_MAC)
        ack = (SND + ROOM) % 2**32
        story.frame(encode_tcp(Segment(link, *ends, RCV, ack, ACK, 60000, 0, Options(raw=block), b"")), sent=False)
        story.wait(5)
        talk.sends(ROOM, bytes(ROOM))

    assert broken(tell) == (set() if told else {"RTO-BACKOFF"})
