"""Scenes of the decisions: state in the middle of an update, of an invalidate, of a measurement."""

from __future__ import annotations

from dataclasses import replace

from model.ndis.enums import OffloadStateType, TcpCachedFlags, TcpEventType, UploadReason
from model.ndis.soft_tcp import RttEstimator
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.stage import Part, SceneStage, SceneStory
from tb.tests.stage import TCP, Scene, pattern

PART = Part("decisions")
#: Ticks after which the monitors have looked whether what had to happen did happen.
LOOKED = 300
#: Ticks after which a delayed ACK is out.
ACK_OUT = 150
#: The largest SRtt and RttVar there is, and a round-trip time in ticks that exceeds what they can tell.
SATURATED, SLOW = 0xFFFF, 9000
RTO_INITIAL = 1000
IDLE, INTERVAL, PROBES = 1000, 400, 4
SMALL, LARGE = 5_000, 40_000


@PART.scene("G-02")
def headers_change_while_data_leaves(stage: SceneStage) -> Scene:
    """TTL and TOS are updated between sends: a frame shows the old ones or the new ones."""
    story = stage.tell("new headers")
    yield from story.open()
    for number, (ttl, tos) in enumerate(((33, 8), (77, 16), (128, 0))):
        request = story.start_update(ttl_or_hop_limit=ttl, tos_or_traffic_class=tos)
        yield from story.send(story.make(f"S{number}", pattern(2500, number)))
        yield from stage.state(request)
        assert request.statuses == [NdisStatus.SUCCESS]
        yield from story.send(story.make(f"T{number}", pattern(100, number)))
        yield story.arrived(2600 * (number + 1))
        assert (story.far.heard[-1][1].ttl, story.far.heard[-1][1].tos) == (ttl, tos)
        story.far.ack()
        yield story.came_back(f"T{number}")
    yield from story.leave()


@PART.scene("G-03")
def a_connection_is_invalidated(stage: SceneStage) -> Scene:
    """InvalidState is raised at the first segment that would leave, and only then; what came in is kept."""
    story = stage.tell("invalid")
    yield from story.open()
    yield from stage.state(stage.host.state.invalidate([story.connection]))
    yield from stage.quiet(ACK_OUT)
    assert not story.told(TcpEventType.RETRIEVE)()
    for name in ("S1", "S2"):
        yield from story.send(story.make(name, pattern(200)))
        yield from stage.quiet(LOOKED)
        assert story.told(TcpEventType.RETRIEVE, UploadReason.INVALID_STATE)()
    assert not story.far.stream
    yield from story.leave()
    assert story.far.stream == pattern(200) * 2


@PART.scene("G-03")
def a_path_is_invalidated(stage: SceneStage) -> Scene:
    """Nothing leaves on it, not even an ACK."""
    story = stage.tell("invalid path")
    yield from story.open()
    yield from stage.state(stage.host.state.invalidate([story.connection.path]))
    sent = len(story.wire)
    story.far.say(pattern(30), TcpFlag.PSH)
    yield from story.send(story.make("S1", pattern(200)))
    yield from stage.quiet(LOOKED)
    assert len(story.wire) == sent
    yield from story.leave(with_objects=True)


@PART.scene("G-11")
def nothing_was_measured_yet(stage: SceneStage) -> Scene:
    """No sample at the hand-over: the initial RTO holds, and SRtt stays 0 until an acknowledgment comes."""
    story = stage.tell("no sample")
    yield from story.handshake()
    story.stack.tcp.rtt = RttEstimator()
    yield from story.offload()
    called = stage.host.now
    yield from story.send(story.make("S1", pattern(300)))
    yield story.frames(2)
    _, again = (tick for tick, segment in story.far.heard if segment.payload)
    assert again - called >= RTO_INITIAL  # not from the first frame: it may have waited for the wire
    yield from story.query()
    assert story.answer.s_rtt == 0
    story.far.ack()
    yield story.came_back("S1")
    yield from story.leave()


@PART.scene("G-11", "CH-223")
def a_round_trip_is_longer_than_can_be_told(stage: SceneStage) -> Scene:
    """SRtt and RttVar stand at their limits and stay there."""
    story = stage.tell("saturated")
    yield from story.handshake(replace(TCP, timestamps=True))
    story.stack.tcp.rtt = RttEstimator(SATURATED, SATURATED)
    yield from story.offload()
    yield from story.send(story.make("S1", pattern(300)))
    yield story.arrived(300)
    yield from stage.quiet(SLOW)
    story.far.ack()
    yield story.came_back("S1")
    yield from story.query()
    assert story.answer.s_rtt == SATURATED
    yield from story.leave()


def _probed(story: SceneStory, flags: TcpCachedFlags) -> Scene:
    """Two keep-alive probes; then both times and the count are updated with these flags; a query on each side."""
    on = TcpCachedFlags.KEEP_ALIVE_ENABLED
    yield from story.open(flags=on, ka_timeout=IDLE, ka_interval=INTERVAL, ka_probe_count=PROBES)
    story.far.say(pattern(10), TcpFlag.PSH)
    yield lambda: len(story.sink) == 10
    yield story.frames(1)
    yield story.frames(2)
    yield from story.stages.quiet(INTERVAL // 2)
    yield from story.query()
    assert story.answer.keep_alive.probe_count == 2
    yield from story.update(flags=on | flags, ka_timeout=2 * IDLE, ka_interval=2 * INTERVAL, ka_probe_count=PROBES + 1)
    yield from story.query()


@PART.scene("G-15")
def keep_alive_starts_anew(stage: SceneStage) -> Scene:
    """With KEEP_ALIVE_RESTART nothing of what was probed counts."""
    story = stage.tell("keep-alive restart")
    yield from _probed(story, TcpCachedFlags.KEEP_ALIVE_RESTART)
    assert story.answer.keep_alive.probe_count == 0
    yield from story.leave()


@PART.scene("G-15")
def keep_alive_starts_anew_with_the_other_flag(stage: SceneStage) -> Scene:
    """MAX_RT_RESTART does the same."""
    story = stage.tell("max rt restart")
    yield from _probed(story, TcpCachedFlags.MAX_RT_RESTART)
    assert story.answer.keep_alive.probe_count == 0
    yield from story.leave()


@PART.scene("G-15")
def keep_alive_goes_on(stage: SceneStage) -> Scene:
    """Without either flag the probes stay counted and the timer runs on."""
    story = stage.tell("no restart")
    yield from _probed(story, TcpCachedFlags(0))
    assert story.answer.keep_alive.probe_count == 2
    yield from story.leave()


@PART.scene("G-16")
def the_receive_window_shrinks_and_grows(stage: SceneStage) -> Scene:
    """Smaller: the right edge stays while data fills it. Larger: it is advertised without waiting for data."""
    story = stage.tell("window size")
    yield from story.open()
    far = story.far
    start = far.snd
    edge = start + TCP.initial_rcv_wnd
    yield from story.update(initial_rcv_wnd=SMALL, flags=TcpCachedFlags.UPDATE_RCV_WND)
    for number in range(3):
        far.say(pattern(1000, number), TcpFlag.PSH)
        yield from stage.quiet(ACK_OUT)
    last = far.heard[-1][1]
    assert (last.ack + last.window - edge) % (1 << 32) == 0
    sent = story.frames(1)
    yield from story.update(initial_rcv_wnd=LARGE, flags=TcpCachedFlags.UPDATE_RCV_WND)
    yield sent
    last = far.heard[-1][1]
    assert last.window == LARGE
    yield from story.leave()


@PART.scene("G-35")
def a_query_while_data_is_in_flight(stage: SceneStage) -> Scene:
    """Its variables are of one moment, as the wire shows it."""
    story = stage.tell("snapshot")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(5000)))
    yield story.arrived(3000)
    requests = []
    for count in (1000, 2000, 3000):
        requests.append(stage.host.state.query(story.connection.node(OffloadStateType.TCP)))
        story.far.ack(count)
        story.far.say(pattern(100), TcpFlag.PSH)
        yield from stage.quiet(1)
    yield lambda: all(request.completed for request in requests)
    yield story.arrived(5000)
    yield from story.query()
    assert (story.answer.snd_una, story.answer.snd_max) == (story.far.acked, story.far.received)
    story.far.ack()
    yield story.came_back("S1")
    yield from story.leave()
