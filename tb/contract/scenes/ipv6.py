"""Scenes over IPv6: beside IPv4 between the same ports, a path MTU that falls, updates, packets for the host."""

from __future__ import annotations

import struct
from dataclasses import replace

from model.ndis.enums import TcpEventType, UploadReason
from model.ndis.offload_state import PathCached
from model.wire.frame import PROTOCOL_TCP, TcpFlag
from tb.contract.scenes.frames import ipv6, tcp_bytes, urgent
from tb.contract.scenes.stage import Part, SceneStage, SceneStory
from tb.tests.stage import TCP, Scene, pattern

PART = Part("ipv6")

PSH = TcpFlag.PSH
#: Ticks in which everything on its way is dealt with.
LOOKED = 60
#: Longer than the least retransmission timeout.
TIMED_OUT = 1500
#: A full segment over IPv6 without timestamps, on Ethernet and on the narrowest link (RFC 8200, 5).
FULL, LEAST = 1440, 1220
HOP_BY_HOP, FRAGMENT, ICMP = 0, 44, 58


def _tell(stage: SceneStage, name: str) -> SceneStory:
    """A connection over IPv6, to a far end of its own."""
    return stage.tell(name, *stage.address6())


def _exchange(story: SceneStory, name: str, size: int = 200) -> Scene:
    """Send, and have it acknowledged."""
    total = len(story.far.stream) + size
    yield from story.send(story.make(name, pattern(size)))
    yield story.arrived(total)
    story.far.ack()
    yield story.came_back(name)


@PART.scene("CH-099", "CH-101", "CH-155")
def connections_of_the_same_ports(stage: SceneStage) -> Scene:
    """A connection over each version of IP between the same ports: neither hears what is the other's."""
    four, six = stage.tell("over IPv4"), _tell(stage, "over IPv6")
    six.far.local_port = four.far.local_port
    for story in (four, six):
        yield from story.open()
    for number, story in enumerate((four, six)):
        yield from _exchange(story, "S", 300 + number)
        story.far.say(pattern(50 + number), PSH)
    yield lambda: (len(four.sink), len(six.sink)) == (50, 51)
    assert (len(four.far.stream), len(six.far.stream)) == (300, 301)
    assert {len(segment.source.ip) for segment in four.wire} == {4}
    assert {len(segment.source.ip) for segment in six.wire} == {16}
    yield from four.leave()
    yield from _exchange(six, "S2")
    yield from six.leave(with_objects=True)


@PART.scene("CH-030", "CH-080")
def what_an_ipv6_header_shows_changes(stage: SceneStage) -> Scene:
    """Flow label, traffic class and hop limit by an update; the IPv4 connection beside it shows none of it."""
    beside, story = stage.tell("beside it"), _tell(stage, "updated")
    yield from beside.open()
    yield from story.open()
    yield from _exchange(story, "S1")
    yield from story.update(ttl_or_hop_limit=33, tos_or_traffic_class=0xB8, flow_label=0xABCDE)
    yield from _exchange(story, "S2")
    last = story.wire[-1]
    assert (last.ttl, last.tos, last.flow_label) == (33, 0xB8, 0xABCDE)
    yield from _exchange(beside, "T")
    assert (beside.wire[-1].ttl, beside.wire[-1].tos) == (TCP.ttl, TCP.tos)
    yield from story.leave(with_objects=True)
    yield from beside.leave()


@PART.scene("CH-122")
def an_ipv6_path_becomes_as_narrow_as_can_be(stage: SceneStage) -> Scene:
    """The path MTU falls to 1280 with data in flight: what is new, and what is sent again, fits it."""
    story = _tell(stage, "narrow")
    story.far.mss = FULL
    yield from story.open()
    yield from story.send(story.make("S1", pattern(3 * FULL)))
    yield story.arrived(3 * FULL)
    assert max(len(segment.payload) for segment in story.wire) == FULL
    yield from stage.state(stage.host.state.update([(story.connection.path, PathCached(1280))]))
    before = len(story.wire)
    yield from stage.quiet(TIMED_OUT)
    again = story.wire[before:]
    assert again
    assert len(again[0].payload) == LEAST
    story.far.ack()
    yield story.came_back("S1")
    story.far.auto = True
    yield from story.send(story.make("S2", pattern(3 * LEAST)))
    yield story.came_back("S2")
    assert max(len(segment.payload) for segment in story.wire[before:]) == LEAST
    yield from story.leave(with_objects=True)


@PART.scene("CH-205")
def ipv6_packets_that_only_the_host_understands(stage: SceneStage) -> Scene:
    """A segment of an offloaded connection behind an extension header, its fragments, and ICMPv6: to the host."""
    story = _tell(stage, "extended")
    yield from story.open()
    body = tcp_bytes(story.far.segment(pattern(40), TcpFlag.ACK | PSH))
    ends = story.far.ip
    up = stage.host.stack.counters.not_tcp
    frames = [
        ipv6(HOP_BY_HOP, struct.pack(">BB6x", PROTOCOL_TCP, 0) + body, ends),
        ipv6(FRAGMENT, struct.pack(">BxHI", PROTOCOL_TCP, 1, 0x0BADCAFE) + body[:32], ends),
        ipv6(FRAGMENT, struct.pack(">BxHI", PROTOCOL_TCP, 4 << 3, 0x0BADCAFE) + body[32:], ends),
        ipv6(ICMP, struct.pack(">BBHHH", 128, 0, 0, 7, 1) + bytes(16), ends),
    ]
    for frame in frames:
        stage.arrive(frame)
        yield from stage.quiet()
    yield from stage.quiet(LOOKED)
    assert stage.host.stack.counters.not_tcp == up + len(frames)
    assert not story.sink
    yield from story.leave(with_objects=True)


@PART.scene("CH-202", "CH-204")
def urgent_data_over_ipv6(stage: SceneStage) -> Scene:
    """An URG segment of an IPv6 connection and what comes behind it wait for the terminate."""
    story = _tell(stage, "urgent")
    yield from story.open()
    first = replace(story.far.segment(pattern(20), TcpFlag.ACK | PSH))
    story.far.put(urgent(first))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.RECEIVED_URGENT_DATA)
    yield from stage.quiet(LOOKED)
    assert not story.sink
    story.far.snd += 20
    yield from story.leave(with_objects=True)
