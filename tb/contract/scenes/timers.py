"""Scenes of section 9.10: retransmission and its limits, persist, FIN_WAIT_2, keep-alive, neighbor reachability."""

from __future__ import annotations

from model.ndis.enums import TcpCachedFlags, TcpConnectionState, TcpEventType, UploadReason
from model.ndis.framing import MASK32
from model.ndis.host import SharedObject
from model.ndis.offload_state import NOT_RUNNING
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.stage import Part, SceneStage
from tb.tests.stage import Scene, pattern

PART = Part("timers")
#: TcpMaximumRetransmissions in these scenes, and a limit on time.
RETRANSMISSIONS, MAX_RT = 3, 2000
#: Octets of a first send; a second one in segments, those that leave at once at least, and TcpDuplicateAckThreshold.
FIRST, SEGMENTS, IN_FLIGHT, DUPLICATES = 100, 8, 2, 3
#: Ticks: a time of idleness, an interval between probes.
IDLE, INTERVAL = 1000, 400
PROBES = 3
#: A slow clock, and the ticks of two minutes.
TICKS_PER_SECOND, FIN_WAIT_2 = 10, 1200
STALE = 400
#: Ticks after which the monitors have looked whether what had to happen did happen.
LOOKED = 300


# ---- retransmission ------------------------------------------------------------------------------------


@PART.scene("CH-216")
def the_third_duplicate_brings_the_head_again(stage: SceneStage) -> Scene:
    """Without SACK, long before the timer: two duplicates bring new data at most, the third one the head."""
    story = stage.tell("duplicates")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(FIRST)))  # so that the head is none that was handed over
    yield story.arrived(FIRST)
    story.far.ack()
    yield story.came_back("S1")
    sent = len(story.wire)
    yield from story.send(story.make("S2", pattern(SEGMENTS * story.far.mss)))
    yield lambda: len([s for s in story.wire[sent:] if s.payload]) >= IN_FLIGHT
    head, before = (story.far.first + FIRST) & MASK32, len(story.wire)
    for number in range(DUPLICATES):
        assert head not in [s.seq for s in story.wire[before:]], f"sent again after {number} duplicates"
        story.far.ack(FIRST)
        yield from stage.quiet(1)
    yield lambda: head in [s.seq for s in story.wire[before:]]
    yield from stage.quiet(LOOKED // 2)
    story.far.auto = True
    story.far.ack()
    yield story.came_back("S2")
    yield from story.leave()


@PART.scene("CH-214", "G-12", "G-44", "G-25")
def retransmissions_come_to_their_limit(stage: SceneStage) -> Scene:
    """Nobody acknowledges a send and a disconnect: TimeoutExpiration, and both wait for the upload."""
    story = stage.tell("silence")
    yield from stage.parameters(tcp_maximum_retransmissions=RETRANSMISSIONS, tcp_doubt_reachability_retransmissions=2)
    yield from story.open()
    yield from story.send(story.make("S1", pattern(300)))
    yield from story.disconnect(story.make("D", pattern(20, 1)))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.TIMEOUT_EXPIRATION)
    sent = len(story.wire)
    yield from stage.quiet(3 * MAX_RT)  # longer than the next back-off
    assert len(story.wire) == sent
    yield from story.terminate()
    assert [story.returned(name).status for name in ("S1", "D")] == [NdisStatus.UPLOAD_IN_PROGRESS] * 2
    yield from story.finish()
    yield from stage.parameters()


@PART.scene("CH-214")
def retransmissions_come_to_their_time(stage: SceneStage) -> Scene:
    """MaxRT limits the time, whatever the count."""
    story = stage.tell("max rt")
    yield from stage.parameters(tcp_maximum_retransmissions=1)
    yield from story.open(max_rt=MAX_RT)
    yield from story.send(story.make("S1", pattern(300)))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.TIMEOUT_EXPIRATION)
    yield from story.leave()
    yield from stage.parameters()


@PART.scene("CH-215", "G-12")
def retransmissions_without_limit(stage: SceneStage) -> Scene:
    """MaxRT of all ones: more copies than TcpMaximumRetransmissions, then the far end answers."""
    story = stage.tell("for ever")
    yield from stage.parameters(tcp_maximum_retransmissions=2)
    yield from story.open(max_rt=NOT_RUNNING)
    yield from story.send(story.make("S1", pattern(300)))
    yield story.frames(5)
    story.far.ack()
    yield story.came_back("S1")
    assert story.returned("S1").status is NdisStatus.SUCCESS
    yield from story.leave()
    yield from stage.parameters()


# ---- persist -------------------------------------------------------------------------------------------


@PART.scene("CH-217", "CH-218")
def the_window_stays_shut_for_a_while(stage: SceneStage) -> Scene:
    """Three probes, an answer that keeps the window shut, probes of the next round, then it opens."""
    story = stage.tell("shut window")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(500)))
    yield story.arrived(500)
    story.far.window = 0
    story.far.ack()
    yield story.came_back("S1")
    yield from story.send(story.make("S2", pattern(700, 1)))
    story.far.put(story.far.segment())
    yield story.frames(3)
    story.far.put(story.far.segment())
    yield story.frames(3)
    story.far.window = 20_000
    story.far.put(story.far.segment())
    yield story.arrived(1200)
    yield from stage.quiet(LOOKED)
    story.far.ack()
    yield story.came_back("S2")
    yield from story.leave()


@PART.scene("CH-219", "G-25")
def the_window_stays_shut_for_ever(stage: SceneStage) -> Scene:
    """Probes that nobody answers come to their limit."""
    story = stage.tell("window never opens")
    yield from stage.parameters(tcp_maximum_retransmissions=RETRANSMISSIONS)
    yield from story.open()
    yield from story.send(story.make("S1", pattern(500)))
    yield story.arrived(500)
    story.far.window = 0
    story.far.ack()
    yield story.came_back("S1")
    yield from story.send(story.make("S2", pattern(700, 1)))
    story.far.put(story.far.segment())
    yield story.told(TcpEventType.RETRIEVE, UploadReason.TIMEOUT_EXPIRATION)
    yield from stage.quiet(LOOKED)
    yield from story.leave()
    yield from stage.parameters()


# ---- FIN_WAIT_2, keep-alive ------------------------------------------------------------------------------


@PART.scene("CH-220", "G-07")
def the_fin_of_the_far_end_never_comes(stage: SceneStage) -> Scene:
    """FIN_WAIT_2: a segment half way starts the time anew, then it runs out."""
    story = stage.tell("fin wait 2")
    yield from stage.parameters(ticks_per_second=TICKS_PER_SECOND)
    yield from story.open()
    yield from story.disconnect(story.make("D", b""))
    yield story.arrived(0, fin=True)
    story.far.ack()
    yield story.came_back("D")
    yield from stage.quiet(FIN_WAIT_2 // 2)
    story.far.say(pattern(10), TcpFlag.PSH)
    yield lambda: len(story.sink) == 10
    yield from stage.quiet(FIN_WAIT_2 - LOOKED)
    assert not story.told(TcpEventType.RETRIEVE)()
    yield story.told(TcpEventType.RETRIEVE, UploadReason.TIMEOUT_EXPIRATION)
    yield from stage.quiet(LOOKED)
    yield from story.drop()
    assert story.state.state is TcpConnectionState.CLOSED
    yield from stage.parameters()


@PART.scene("CH-221", "G-25")
def keep_alive_probes_are_answered_and_then_not(stage: SceneStage) -> Scene:
    """A probe after KaTimeout, answered; then KaProbeCount of them at KaInterval, and TimeoutExpiration."""
    story = stage.tell("keep-alive")
    on = TcpCachedFlags.KEEP_ALIVE_ENABLED
    yield from story.open(flags=on, ka_timeout=IDLE, ka_interval=INTERVAL, ka_probe_count=PROBES)
    story.far.say(pattern(10), TcpFlag.PSH)
    yield lambda: len(story.sink) == 10
    yield story.frames(1)
    yield story.frames(1)
    story.far.put(story.far.segment())
    yield story.frames(PROBES)
    yield story.told(TcpEventType.RETRIEVE, UploadReason.TIMEOUT_EXPIRATION)
    yield from stage.quiet(LOOKED)
    yield from story.leave()


# ---- reachability ----------------------------------------------------------------------------------------


def _reachability(stage: SceneStage) -> Scene:
    """Sends that nobody acknowledges: the host knows the neighbor, then not; then the far end is heard."""
    answers = [50, None]
    asked: list[int] = []

    def known(_: SharedObject) -> int | None:
        asked.append(stage.host.now)
        return answers[len(asked) - 1]

    story = stage.tell("reachability")
    yield from stage.parameters(nce_stale_ticks=STALE)
    yield from story.open()
    stage.host.reachability = known
    for count in (1, 2):
        yield from stage.quiet(2 * STALE)
        for name in ("asks", "does not"):
            yield from story.send(story.make(f"S{name}{count}", pattern(100)))
            yield from stage.quiet(STALE // 4)
            assert len(asked) == count
    story.far.ack()
    yield story.came_back("Sdoes not2")
    yield from stage.quiet(STALE // 2)
    story.far.say(pattern(10), TcpFlag.PSH)
    yield from stage.quiet(STALE // 2)
    assert len(asked) == len(answers)
    stage.host.reachability = lambda _: None
    yield from story.leave()
    yield from stage.parameters()


@PART.scene("CH-225", "CH-226", "CH-227", "CH-228", "CH-229", "G-08")
def a_neighbor_is_asked_for_when_it_is_stale(stage: SceneStage) -> Scene:
    """Both ages exceed NceStaleTicks and a frame leaves: the host is asked, and its answer counts."""
    yield from _reachability(stage)


@PART.scene("CH-226", "G-24", session={"intermediates": 2})
def a_neighbor_is_asked_for_through_intermediate_drivers(stage: SceneStage) -> Scene:
    """The question passes two intermediate drivers, and so does the answer."""
    yield from _reachability(stage)
