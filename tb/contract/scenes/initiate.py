"""Scenes of section 9.3: the walk of an initiate tree, refusals, data and timers that are handed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from model.ndis.calls import NdisCall
from model.ndis.enums import OffloadStateType, TcpConnectionState, TcpEventType, UploadReason
from model.ndis.host_state import ObjectPhase
from model.ndis.offload_state import (
    NOT_RUNNING,
    NeighborConst,
    OffloadBlock,
    PathCached,
    Retransmit,
    TcpCached,
    TcpDelegated,
    siblings,
)
from model.ndis.registration import Oid, OidRequest
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.stage import Part, SceneStage, SceneStory
from tb.tests.stage import WINDOW, Scene, pattern

PART = Part("initiate")

#: A receive window and an MTU that no target supports.
TOO_WIDE, TOO_LONG = 0x7FFF_FFFF, 9000
#: Entries of the device's tables.
NEIGHBORS, PATHS = 8, 8
RETRANSMIT_TICKS = 150


def _window(wanted: int) -> Callable[[OffloadBlock], None]:
    def change(node: OffloadBlock) -> None:
        assert isinstance(node.cached, TcpCached)
        node.cached = replace(node.cached, initial_rcv_wnd=wanted)

    return change


def _timer(ticks: int) -> Callable[[OffloadBlock], None]:
    """Hand the retransmission timer over with this many ticks left."""

    def change(node: OffloadBlock) -> None:
        assert isinstance(node.delegated, TcpDelegated)
        node.delegated = replace(node.delegated, retransmit=Retransmit(0, ticks))

    return change


# ---- the walk ------------------------------------------------------------------------------------------


@PART.scene("CH-040", "CH-043", "CH-045", "CH-046", "CH-048", "CH-049", "CH-061", "CH-065", "G-13", "G-26")
def one_tree_of_good_and_bad(stage: SceneStage) -> Scene:
    """A neighbor with three paths, one too long; of four connections one has too wide a window and unsent data."""
    mac, _ = stage.address()
    ips = [stage.address()[1] for _ in range(3)]
    names = ("first", "wide", "on the long path", "last")
    good, wide, below, last = (stage.tell(n, mac, ip) for n, ip in zip(names, (ips[0], *ips), strict=True))
    long_path = stage.scenehost.path(ips[1], mac)
    long_path.cached = PathCached(TOO_LONG)
    for story in (good, wide, below, last):
        yield from story.handshake()
    wide.stack.tcp.send(pattern(100), stage.host.now)

    def with_placeholder(call: NdisCall) -> None:
        root = getattr(call, "root", None)
        if isinstance(root, OffloadBlock):
            root.next_block = OffloadBlock(OffloadStateType.NEIGHBOR)
            stage.scenehost.edit = None

    stage.scenehost.edit = with_placeholder
    good.hand_over()
    wide.hand_over(_window(TOO_WIDE))
    below.hand_over()
    last.hand_over()
    yield lambda: all(story.offload_status is not None for story in (good, wide, below, last))
    assert good.offload_status is last.offload_status is NdisStatus.SUCCESS
    assert wide.offload_status is NdisStatus.OFFLOAD_TCP_RCV_WINDOW
    assert below.offload_status is NdisStatus.FAILURE
    assert long_path.phase is ObjectPhase.NONE
    yield from wide.in_software()
    yield from below.in_software()
    yield from good.leave()
    yield from last.leave()
    others = [stage.scenehost.path(ip, mac) for ip in (ips[0], ips[2])]
    yield from stage.release(*others, stage.scenehost.neighbor(mac))


@PART.scene("CH-043", "CH-044", "CH-061")
def a_failure_two_levels_down(stage: SceneStage) -> Scene:
    """One of two connections of a path is refused: the path is offloaded in part, its neighbor altogether."""
    mac, ip = stage.address()
    good, wide = stage.tell("good", mac, ip), stage.tell("too wide", mac, ip)
    yield from good.handshake()
    yield from wide.handshake()
    good.hand_over()
    wide.hand_over(_window(TOO_WIDE))
    yield lambda: good.offload_status is NdisStatus.SUCCESS
    assert wide.offload_status is NdisStatus.OFFLOAD_TCP_RCV_WINDOW
    yield from wide.in_software()
    yield from good.leave(with_objects=True)


@PART.scene("CH-047", "CH-048")
def a_root_that_finds_no_entry(stage: SceneStage) -> Scene:
    """The neighbor table is full when a tree of two neighbors comes: the second is not tried."""
    held = []
    for _ in range(NEIGHBORS):
        neighbor = stage.scenehost.neighbor(stage.address()[0])
        yield from stage.objects(neighbor)
        if neighbor.phase is not ObjectPhase.OFFLOADED:
            break
        held.append(neighbor)
    pair = [stage.scenehost.neighbor(stage.address()[0]) for _ in range(2)]
    yield from stage.objects(*pair)
    assert all(neighbor.phase is ObjectPhase.NONE for neighbor in pair)
    yield from stage.release(*held)


@PART.scene("CH-043", "CH-046", "CH-048")
def a_path_that_finds_no_entry(stage: SceneStage) -> Scene:
    """A neighbor comes with as many paths as there are entries and two more: the rest is offloaded all the same."""
    mac, _ = stage.address()
    neighbor = stage.scenehost.neighbor(mac)
    paths = [stage.scenehost.path(stage.address()[1], mac) for _ in range(PATHS + 2)]
    roots: list[OffloadBlock] = []

    def keep(call: NdisCall) -> None:
        root = getattr(call, "root", None)
        if isinstance(root, OffloadBlock):
            roots.append(root)
            stage.scenehost.edit = None

    stage.scenehost.edit = keep
    free = PATHS - stage.scenedriver.used["paths"]
    yield from stage.objects(neighbor, *paths)
    (root,) = roots
    assert root.status is NdisStatus.OFFLOAD_PARTIAL_SUCCESS
    ended = [node.status for node in siblings(root.dependent_block_list)]
    assert ended == [NdisStatus.SUCCESS] * free + [NdisStatus.OFFLOAD_PATH_ENTRIES] * (len(paths) - free)
    yield from stage.release(*(path for path in paths if path.is_offloaded), neighbor)


@PART.scene("CH-058")
def two_initiates_at_once(stage: SceneStage) -> Scene:
    """Two neighbors in two calls, none waits for the other."""
    pair = [stage.host.offload_neighbor(stage.address()[0]) for _ in range(2)]
    yield lambda: all(neighbor.is_offloaded for neighbor in pair)
    yield from stage.release(*pair)


@PART.scene("CH-063", "CH-064")
def a_neighbor_of_another_vlan(stage: SceneStage) -> Scene:
    """The interface is in VLAN 5: a neighbor in VLAN 6 is refused, one in VLAN 5 and one in none are not."""
    assert stage.host.request(OidRequest(Oid.GEN_VLAN_ID, set=True, buffer=5)) is NdisStatus.SUCCESS
    for vlan, wanted in ((6, ObjectPhase.NONE), (5, ObjectPhase.OFFLOADED), (0, ObjectPhase.OFFLOADED)):
        neighbor = stage.scenehost.neighbor(stage.address()[0], NeighborConst(vlan_id=vlan))
        yield from stage.objects(neighbor)
        assert neighbor.phase is wanted
        if neighbor.is_offloaded:
            yield from stage.release(neighbor)
    assert stage.host.request(OidRequest(Oid.GEN_VLAN_ID, set=True, buffer=0)) is NdisStatus.SUCCESS


# ---- data that is handed over --------------------------------------------------------------------------


@PART.scene("CH-050", "CH-069", "CH-070", "CH-071", "CH-072", "G-26")
def a_chain_in_flight(stage: SceneStage) -> Scene:
    """Of 600 bytes 400 are in flight at the hand-over, more follow; the far end acknowledges them piece by piece."""
    story = stage.tell("in flight")
    yield from story.handshake(window=400)
    story.stack.tcp.send(pattern(600), stage.host.now)
    yield story.arrived(400)
    yield from story.offload()
    yield from story.send(story.make("S1", pattern(300, 1)))
    story.far.window = WINDOW
    story.far.ack(200)
    yield story.arrived(900)
    yield from stage.quiet()
    story.far.ack(600)
    yield story.came_back("inherited 0")
    story.far.ack(600)
    yield from stage.quiet()
    yield from story.send(story.make("S2", pattern(500, 2)))
    yield story.arrived(1400)
    story.far.ack()
    yield story.came_back("S2")
    assert bytes(story.far.stream) == pattern(600) + pattern(300, 1) + pattern(500, 2)
    yield from story.leave()


def _received(story: SceneStory, size: int) -> Scene:
    """The far end sends, the host stack keeps it undelivered."""
    story.far.say(pattern(size), TcpFlag.PSH)
    yield lambda: len(story.stack.tcp.received) == size


@PART.scene("CH-051", "CH-054", "CH-055")
def data_for_a_reader_that_comes_late(stage: SceneStage) -> Scene:
    """900 bytes are handed over unread; the first request takes 300, the rest is indicated, newer data last."""
    story = stage.tell("late reader")
    yield from story.handshake()
    yield from _received(story, 900)
    yield from story.offload()
    story.far.say(pattern(200, 5), TcpFlag.PSH)
    yield from stage.quiet(100)
    assert not story.sink
    yield from story.post(("R", 300, False))
    yield lambda: len(story.sink) == 1100
    assert bytes(story.sink) == pattern(900) + pattern(200, 5)
    yield from story.leave()


@PART.scene("CH-052", "CH-048")
def more_data_than_there_is_memory_for(stage: SceneStage) -> Scene:
    """The driver keeps 500 bytes of receive data at most; 900 are handed over."""
    usual = stage.driver.config
    stage.driver.config = replace(usual, buffered_bytes=500)
    stage.transfer.tap.setting("buffered_data_room", 500)
    story = stage.tell("no room")
    yield from story.handshake()
    yield from _received(story, 900)
    yield from story.offload(expect=NdisStatus.FAILURE)
    stage.driver.config = usual
    stage.transfer.tap.setting("buffered_data_room", usual.buffered_bytes)
    yield from story.in_software()
    assert bytes(story.sink) == pattern(900)


@PART.scene("CH-009", "CH-056", "CH-057")
def a_pause_in_front_of_an_initiate(stage: SceneStage) -> Scene:
    """The host offloads at the moment the target asks for a pause; data arrives before the resume."""
    story = stage.tell("paused initiate")
    yield from story.handshake()
    stage.scenehost.on_status = lambda _: story.hand_over()
    stage.driver.pause()
    stage.scenehost.on_status = None
    yield from stage.quiet()
    assert story.offload_status is None
    story.far.say(pattern(100), TcpFlag.PSH)
    yield from stage.quiet()
    stage.driver.resume()
    yield lambda: story.offload_status is NdisStatus.SUCCESS
    yield lambda: len(story.sink) == 100
    yield from story.leave()


# ---- timers that are handed over -----------------------------------------------------------------------


def _timed(stage: SceneStage, name: str, ticks: int) -> Scene:
    """300 bytes in flight, nobody acknowledges: the target sends them again when its timer says so."""
    story = stage.tell(name)
    yield from story.handshake()
    story.stack.tcp.send(pattern(300), stage.host.now)
    yield story.arrived(300)
    heard = len(story.far.heard)
    begun = stage.host.now  # the timer runs before the host learns that the offload is complete
    yield from story.offload(_timer(ticks))
    yield lambda: len(story.far.heard) > heard
    assert stage.host.now - begun >= min(ticks, RETRANSMIT_TICKS)
    story.far.ack()
    yield story.came_back("inherited 0")
    yield from story.leave()


@PART.scene("CH-066")
def a_timer_with_ticks_left(stage: SceneStage) -> Scene:
    """It fires when they are over."""
    yield from _timed(stage, "ticks left", RETRANSMIT_TICKS)


@PART.scene("CH-066")
def a_timer_at_zero(stage: SceneStage) -> Scene:
    """It fires at once."""
    yield from _timed(stage, "no ticks left", 0)


@PART.scene("CH-066")
def a_timer_that_was_not_running(stage: SceneStage) -> Scene:
    """What is in flight waits for a whole timeout from the hand-over on."""
    yield from _timed(stage, "not running", NOT_RUNNING)


@PART.scene("CH-067", "CH-220")
def the_last_of_fin_wait_2(stage: SceneStage) -> Scene:
    """The host's FIN is acknowledged, the peer says nothing; the connection comes over with 200 ticks left."""
    story = stage.tell("fin wait 2")
    yield from story.handshake()
    story.stack.tcp.close(stage.host.now)
    yield story.arrived(0, fin=True)
    story.far.ack()
    yield lambda: story.stack.tcp.state is TcpConnectionState.FIN_WAIT_2
    yield from story.offload(_timer(200))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.TIMEOUT_EXPIRATION)
    yield from story.drop()


@PART.scene("CH-068")
def a_window_that_stays_shut(stage: SceneStage) -> Scene:
    """The far end has no room: the probes of the host stack go on from the target."""
    story = stage.tell("shut")
    yield from story.handshake(window=0)
    story.stack.tcp.send(pattern(200), stage.host.now)
    yield lambda: len(story.far.heard) > 2
    yield from story.offload()
    heard = len(story.far.heard)
    yield lambda: len(story.far.heard) >= heard + 2
    story.far.window = 10_000
    story.far.ack()
    yield story.arrived(200)
    story.far.ack()
    yield story.came_back("inherited 0")
    yield from story.leave()
