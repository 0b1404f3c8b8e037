"""Scenes of section 9.4: query, update, invalidate of what is offloaded."""

from __future__ import annotations

from dataclasses import replace

from model.device.memory import ErrorWindow
from model.layout.generated import TCP_IMAGE_BYTES
from model.ndis.enums import TcpCachedFlags, TcpEventType, UploadReason
from model.ndis.host import SharedObject
from model.ndis.offload_state import NeighborCached
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.stage import Part, SceneStage, SceneStory
from tb.tests.stage import TCP, Scene, pattern

PART = Part("state")

#: Larger than any window that fits 16 bits without scaling.
TOO_WIDE = 70_000
KEEP_ALIVE_TICKS = 300


def _below(story: SceneStory) -> SharedObject:
    """The neighbor of a connection."""
    neighbor = story.connection.path.below
    assert neighbor is not None
    return neighbor


def _exchange(story: SceneStory, name: str, size: int = 200) -> Scene:
    """Send, and have it acknowledged."""
    total = len(story.far.stream) + size
    yield from story.send(story.make(name, pattern(size)))
    yield story.arrived(total)
    story.far.ack()
    yield story.came_back(name)


# ---- query ---------------------------------------------------------------------------------------------


@PART.scene("CH-029", "CH-074", "CH-075", "CH-076", "CH-079", "G-35")
def queries_in_the_middle(stage: SceneStage) -> Scene:
    """Queries of an idle connection, of one with 500 bytes in flight, of one with data its client refused."""
    story = stage.tell("queried")
    yield from story.open()
    yield from story.query()
    yield from story.send(story.make("S", pattern(500)))
    yield story.arrived(500)
    yield from story.query()
    assert (story.answer.snd_max - story.answer.snd_una) % 2**32 == 500
    story.accept = 0
    story.far.ack()
    story.far.say(pattern(300), TcpFlag.PSH)
    yield story.came_back("S")
    yield from stage.quiet(120)
    yield from story.query()
    assert story.answer.receive_backlog_size == 300
    story.accept = None
    yield from story.post(("R", 300, False))
    yield lambda: len(story.sink) == 300
    yield from story.leave()


@PART.scene("CH-077")
def queries_that_overlap(stage: SceneStage) -> Scene:
    """Three queries of one connection at once."""
    story = stage.tell("queried thrice")
    yield from story.open()
    yield from stage.state(*(story.start_query() for _ in range(3)))
    yield from story.leave()


@PART.scene("CH-095", "CH-096")
def a_query_that_fails(stage: SceneStage) -> Scene:
    """The device cannot write the image: the state counts as lost, the client is told, all I/O is aborted."""
    story = stage.tell("lost")
    yield from story.open()
    yield from story.post(("R", 100, False))
    yield from stage.quiet()
    place = stage.scenedriver.next_query()
    stage.device.inject([ErrorWindow(place, place + TCP_IMAGE_BYTES, reads=False)])
    request = stage.host.state.query(story.connection.node(story.connection.kind))
    yield from stage.state(request, expect=NdisStatus.FAILURE)
    yield story.told(TcpEventType.RETRIEVE, UploadReason.HARDWARE_FAILURE)
    yield story.told(TcpEventType.ABORT)
    stage.device.inject([])
    yield from story.drop()


# ---- update --------------------------------------------------------------------------------------------


@PART.scene("CH-032", "CH-080", "CH-088", "G-02")
def another_time_to_live(stage: SceneStage) -> Scene:
    """TTL and TOS change between two sends; the frames show it."""
    story = stage.tell("other header")
    yield from story.open()
    yield from _exchange(story, "S1")
    yield from story.update(ttl_or_hop_limit=33, tos_or_traffic_class=0x10)
    yield from _exchange(story, "S2")
    last = story.wire[-1]
    assert (last.ttl, last.tos) == (33, 0x10)
    yield from story.leave()


@PART.scene("CH-081", "CH-088")
def a_path_moves_to_another_neighbor(stage: SceneStage) -> Scene:
    """The path of a connection is linked to a new neighbor, the old one goes."""
    (mac, ip), (other, _) = stage.address(), stage.address()
    story = stage.tell("moved", mac, ip)
    yield from story.open()
    yield from _exchange(story, "S1")
    old, new = _below(story), stage.scenehost.neighbor(other)
    stage.macs.add(other)
    yield from stage.objects(new)
    yield from stage.state(stage.host.state.relink(new, [story.connection.path]))
    yield from stage.release(old)
    story.far.mac = other
    yield from _exchange(story, "S2")
    assert story.wire[-1].destination.mac == other
    yield from story.leave()
    yield from stage.release(story.connection.path, new)


@PART.scene("CH-082", "CH-088")
def a_neighbor_with_another_address(stage: SceneStage) -> Scene:
    """DlDestinationAddress of a neighbor changes."""
    (mac, ip), (other, _) = stage.address(), stage.address()
    story = stage.tell("other address", mac, ip)
    yield from story.open()
    yield from _exchange(story, "S1")
    stage.macs.add(other)
    yield from stage.state(stage.host.state.update([(_below(story), NeighborCached(other))]))
    story.far.mac = other
    yield from _exchange(story, "S2")
    assert story.wire[-1].destination.mac == other
    yield from story.leave()
    yield from stage.release(story.connection.path, _below(story))


@PART.scene("CH-083")
def an_update_that_fails(stage: SceneStage) -> Scene:
    """A window that cannot be: neither it nor the TTL beside it holds."""
    story = stage.tell("as before")
    yield from story.open()
    yield from _exchange(story, "S1")
    yield from story.update(initial_rcv_wnd=TOO_WIDE, ttl_or_hop_limit=33, expect=NdisStatus.FAILURE)
    yield from _exchange(story, "S2")
    assert story.wire[-1].ttl == TCP.ttl
    yield from story.leave()


@PART.scene("CH-084", "G-16")
def windows_that_grow_and_shrink(stage: SceneStage) -> Scene:
    """InitialRcvWnd doubles and is advertised at once, then it shrinks, and the right edge stays where it was."""
    story = stage.tell("windows")
    yield from story.open()
    yield from _exchange(story, "S1")
    yield from story.update(initial_rcv_wnd=2 * TCP.initial_rcv_wnd, flags=TcpCachedFlags.UPDATE_RCV_WND)
    yield lambda: story.wire[-1].window == 2 * TCP.initial_rcv_wnd
    yield from stage.quiet(100)
    story.far.say(pattern(900), TcpFlag.PSH)
    yield lambda: len(story.sink) == 900
    yield from story.update(initial_rcv_wnd=5000, flags=TcpCachedFlags.UPDATE_RCV_WND)
    yield from stage.quiet(100)
    yield from _exchange(story, "S2")
    assert story.wire[-1].window == 2 * TCP.initial_rcv_wnd - 900
    yield from story.leave()


@PART.scene("CH-085")
def a_new_allowance_of_retransmissions(stage: SceneStage) -> Scene:
    """Time of retransmission adds up, MAX_RT_RESTART sets it to 0."""
    story = stage.tell("total of retransmission")
    yield from story.open()
    heard = len(story.far.heard)
    yield from story.send(story.make("S", pattern(100)))
    yield lambda: len(story.far.heard) >= heard + 3
    yield from story.query()
    assert story.answer.total_rt > 0
    yield from story.update(max_rt=100_000, flags=TcpCachedFlags.MAX_RT_RESTART)
    yield from story.query()
    assert story.answer.total_rt == 0
    story.far.ack()
    yield story.came_back("S")
    yield from story.leave()


@PART.scene("CH-086", "G-15")
def keep_alive_begins_anew(stage: SceneStage) -> Scene:
    """Two thirds of KaTimeout are over when an update with KEEP_ALIVE_RESTART comes."""
    story = stage.tell("restarted")
    flags = TcpCachedFlags.KEEP_ALIVE_ENABLED
    yield from story.open(flags=flags, ka_timeout=KEEP_ALIVE_TICKS, ka_interval=100, ka_probe_count=3)
    yield from stage.quiet(2 * KEEP_ALIVE_TICKS // 3)
    yield from story.query()
    timeout = KEEP_ALIVE_TICKS + 50
    yield from story.update(flags=flags | TcpCachedFlags.KEEP_ALIVE_RESTART, ka_timeout=timeout)
    yield from story.query()
    assert story.answer.keep_alive.timeout_delta >= timeout - 2
    yield story.frames(1)
    story.far.ack()
    yield from story.leave()


@PART.scene("CH-087")
def keep_alive_and_nagle_are_switched_off(stage: SceneStage) -> Scene:
    """Behind the update nothing probes, and small data leaves while other data is in flight."""
    story = stage.tell("switched off")
    flags = TcpCachedFlags.KEEP_ALIVE_ENABLED | TcpCachedFlags.NAGLING_ENABLED
    yield from story.open(flags=flags, ka_timeout=KEEP_ALIVE_TICKS, ka_interval=100, ka_probe_count=3)
    yield from story.update(flags=TcpCachedFlags(0))
    sent = len(story.wire)
    yield from stage.quiet(2 * KEEP_ALIVE_TICKS)
    assert len(story.wire) == sent
    yield from story.send(story.make("S1", pattern(100)))
    yield story.arrived(100)
    yield from story.send(story.make("S2", pattern(100, 1)))
    yield story.arrived(200)
    yield from stage.quiet(80)
    story.far.ack()
    yield story.came_back("S2")
    yield from story.leave()


@PART.scene("CH-089")
def updates_at_once(stage: SceneStage) -> Scene:
    """Two connections are updated by two calls, none waits for the other."""
    one, other = stage.tell("one of two"), stage.tell("other of two")
    yield from one.open()
    yield from other.open()
    yield from stage.state(one.start_update(ttl_or_hop_limit=40), other.start_update(ttl_or_hop_limit=41))
    yield from one.leave()
    yield from other.leave()


@PART.scene("CH-090")
def an_update_below_a_path(stage: SceneStage) -> Scene:
    """A connection is updated in a tree with its own path."""
    story = stage.tell("below its path")
    yield from story.open()
    cached = replace(story.connection.cached, ttl_or_hop_limit=50)
    request = stage.host.state.update([(story.connection, cached)], under=story.connection.path)
    yield from stage.state(request)
    yield from _exchange(story, "S")
    yield from story.leave()


# ---- invalidate ----------------------------------------------------------------------------------------


@PART.scene("CH-091", "CH-092", "CH-093", "CH-094", "G-03")
def a_neighbor_is_dead(stage: SceneStage) -> Scene:
    """The neighbor is invalidated: a send raises InvalidState, nothing leaves, nothing is freed before the upload."""
    mac, ip = stage.address()
    story = stage.tell("dead neighbor", mac, ip)
    yield from story.open()
    yield from _exchange(story, "S1")
    yield from stage.state(stage.host.state.invalidate([_below(story)]))
    sent = len(story.wire)
    yield from story.send(story.make("S2", pattern(100)))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.INVALID_STATE)
    yield from story.send(story.make("S3", pattern(100, 1)))
    story.far.say(pattern(50), TcpFlag.PSH)
    stage.count()
    yield from stage.quiet(300)
    assert len(story.wire) == sent
    yield from story.leave(with_objects=True)


@PART.scene("CH-092", "CH-093", "CH-094")
def a_connection_is_invalid(stage: SceneStage) -> Scene:
    """A single connection is invalidated: its data stays, the path carries that of another one."""
    story, other = stage.tell("invalid"), stage.tell("beside it")
    yield from story.open()
    yield from other.open()
    yield from stage.state(stage.host.state.invalidate([story.connection]))
    yield from story.send(story.make("S", pattern(100)))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.INVALID_STATE)
    story.far.put(story.far.segment())
    yield from _exchange(other, "T")
    stage.count()
    yield from stage.quiet(100)
    assert not story.far.stream
    yield from other.leave()
    yield from story.leave()


@PART.scene("CH-092", "CH-093", "CH-094")
def what_an_invalidate_overtakes_is_not_lost(stage: SceneStage) -> Scene:
    """A connection is invalidated while a send leaves: some frames do, the rest the host sends after the upload."""
    story = stage.tell("overtaken")
    first, second = pattern(12_000), pattern(100, 1)
    yield from story.open(window=20_000)
    yield from story.send(story.make("S1", first))
    stage.transfer.network.monitor.expect_gap(story.far.local_port)
    yield from stage.state(stage.host.state.invalidate([story.connection]))
    heard = len(story.far.stream)
    story.far.ack()
    yield from stage.quiet(5)
    yield from story.send(story.make("S2", second))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.INVALID_STATE)
    stage.count()
    yield from stage.quiet(50)
    assert len(story.far.stream) == heard, "a frame left behind the completion"
    yield from story.leave()
    assert bytes(story.far.stream) == first + second
