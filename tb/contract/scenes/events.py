"""Scenes of section 9.9: FIN, RST, SYN and URG of the far end, and packets that only the host understands."""

from __future__ import annotations

from dataclasses import replace

from model.layout.generated import BACKLOG_GAP
from model.ndis.enums import TcpConnectionState, TcpEventType, UploadReason
from model.ndis.framing import Segment
from model.ndis.offload_state import OffloadBlock, TcpDelegated
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.frames import (
    MORE_FRAGMENTS,
    PROTOCOL_TCP,
    arp_request,
    echo_request,
    ipv4,
    rip_response,
    tcp_bytes,
    urgent,
    with_options,
)
from tb.contract.scenes.stage import Part, SceneStage, SceneStory
from tb.tests.stage import RAW_INDICATE, Scene, pattern

PART = Part("events")
ACK, FIN, PSH, RST, SYN = TcpFlag.ACK, TcpFlag.FIN, TcpFlag.PSH, TcpFlag.RST, TcpFlag.SYN
#: Ticks after which the monitors have looked whether what had to happen did happen.
LOOKED = 300
#: Ticks after which a delayed ACK is out.
ACK_OUT = 150
#: Beyond every window of these scenes.
FAR_AWAY = 1 << 20
#: A challenge ACK leaves five minutes of keep-alive (mechanisms sheet, blind resets).
CHALLENGE_SECONDS = 300
TICKS_PER_SECOND = 1000


def went_up(story: SceneStory, one: Segment) -> bool:
    """The segment came up the ordinary path."""
    seen = [m.segment for m in story.of(RAW_INDICATE) if m.segment is not None]
    return any((s.seq, s.flags, s.payload) == (one.seq, one.flags, one.payload) for s in seen)


# ---- FIN ---------------------------------------------------------------------------------------------


@PART.scene("CH-190", "CH-191", "CH-192")
def sending_goes_on_behind_the_fin_of_the_far_end(stage: SceneStage) -> Scene:
    """CLOSE_WAIT: two sends leave, one by one, and succeed."""
    story = stage.tell("close wait")
    yield from story.open()
    story.far.say(pattern(20), FIN)
    yield story.told(TcpEventType.DISCONNECT)
    yield from stage.quiet(LOOKED)
    for number, name in enumerate(("S1", "S2")):
        yield from story.send(story.make(name, pattern(200, number)))
        yield story.arrived(200 * (number + 1))
        story.far.ack()
        yield story.came_back(name)
        assert story.returned(name).status is NdisStatus.SUCCESS
        yield from stage.quiet(LOOKED)
    yield from story.leave()


# ---- RST ---------------------------------------------------------------------------------------------


@PART.scene("CH-193", "CH-194", "CH-206")
def a_reset_ends_everything(stage: SceneStage) -> Scene:
    """An RST at RcvNxt with sends, a disconnect and receives outstanding; data behind it is the host's."""
    story = stage.tell("reset")
    yield from story.open()
    yield from story.post(("R1", 500, False), ("R2", 100, True))
    yield from story.send(story.make("S1", pattern(300)))
    yield from story.disconnect(story.make("D", pattern(10)))
    yield story.arrived(310, fin=True)
    story.far.put(story.far.segment(flags=RST))
    yield story.told(TcpEventType.ABORT)
    yield from stage.quiet(LOOKED)
    back = [story.returned(name).status for name in ("S1", "D", "R1", "R2")]
    assert back == [NdisStatus.REQUEST_ABORTED] * 4
    late = story.far.segment(pattern(40), ACK | PSH)
    story.far.put(late)
    yield from stage.quiet(LOOKED)
    assert went_up(story, late)
    yield from story.drop()
    assert story.state.state is TcpConnectionState.CLOSED


@PART.scene("CH-195")
def a_reset_outside_the_window(stage: SceneStage) -> Scene:
    """Nothing happens, and nothing is answered."""
    story = stage.tell("reset outside")
    yield from story.open()
    for seq in (story.far.snd - 1, story.far.snd - FAR_AWAY, story.far.snd + FAR_AWAY):
        story.far.put(story.far.segment(flags=RST, seq=seq))
        yield from stage.quiet()
    assert not story.wire
    story.far.say(pattern(30), PSH)
    yield lambda: len(story.sink) == 30
    yield from story.leave()


@PART.scene("CH-196", "CH-201")
def a_reset_inside_the_window_is_challenged(stage: SceneStage) -> Scene:
    """Three resets not at RcvNxt: one ACK, the connection goes on, and its keep-alive timer has five minutes left."""
    story = stage.tell("reset inside")
    yield from story.open()
    for at in (1, 5, 1000):
        story.far.put(story.far.segment(flags=RST, seq=story.far.snd + at))
        yield from stage.quiet()
    assert len(story.wire) == 1
    yield from story.query()
    left = story.answer.keep_alive.timeout_delta
    assert 0 < CHALLENGE_SECONDS * TICKS_PER_SECOND - left < LOOKED
    story.far.say(pattern(30), PSH)
    yield lambda: len(story.sink) == 30
    yield from story.leave()


# ---- send backlog ------------------------------------------------------------------------------------


@PART.scene("CH-213")
def the_send_backlog_doubles_and_collapses(stage: SceneStage) -> Scene:
    """The congestion window grows past a power of two, then a time-out takes it down: two changes, far apart."""
    story = stage.tell("backlog")
    backlogs: list[int] = []

    def told(event: TcpEventType, info: int) -> None:
        if event is TcpEventType.SEND_BACKLOG_CHANGE:
            backlogs.append(info)

    def change(node: OffloadBlock) -> None:
        assert isinstance(node.delegated, TcpDelegated)
        node.delegated = replace(node.delegated, c_wnd=16_000, ss_thresh=1 << 20)

    story.on_event = told
    yield from story.handshake()
    yield from story.offload(change)
    yield from stage.quiet(BACKLOG_GAP)
    yield from story.send(story.make("S1", pattern(5000)))
    yield story.arrived(5000)
    story.far.ack()
    yield story.came_back("S1")
    yield lambda: backlogs == [16_384]
    heard = len(story.far.heard)
    yield from story.send(story.make("S2", pattern(5000, 1)))
    yield story.arrived(10_000)
    yield lambda: sum(len(one.payload) for _, one in story.far.heard[heard:]) > 5000  # some of it again: time-out
    story.far.ack()
    yield story.came_back("S2")
    yield lambda: len(backlogs) == 2
    assert backlogs[1] <= backlogs[0] // 4
    yield from story.leave()


# ---- SYN ---------------------------------------------------------------------------------------------


@PART.scene("CH-197")
def a_syn_outside_the_window_is_answered(stage: SceneStage) -> Scene:
    """An ACK says where the connection stands."""
    story = stage.tell("syn outside")
    yield from story.open()
    story.far.put(story.far.segment(flags=SYN, seq=story.far.snd - FAR_AWAY))
    yield from stage.quiet(LOOKED)
    assert len(story.wire) == 1
    yield from story.leave()


@PART.scene("CH-198")
def a_syn_inside_the_window_is_challenged(stage: SceneStage) -> Scene:
    """Two SYNs within 3 s get one ACK, a third one behind them gets another."""
    story = stage.tell("syn inside")
    yield from story.open()
    for wanted in (1, 1, 2):
        story.far.put(story.far.segment(flags=SYN, seq=story.far.snd + 10 * wanted))
        yield from stage.quiet(2 * TICKS_PER_SECOND)
        assert len(story.wire) == wanted
    yield from story.leave()


@PART.scene("CH-199", "G-25")
def a_syn_at_the_next_byte_ends_the_offload(stage: SceneStage) -> Scene:
    """UploadRequested, then an upload in state Closed."""
    story = stage.tell("syn at the next byte")
    yield from story.open()
    story.far.put(story.far.segment(flags=SYN))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.UPLOAD_REQUESTED)
    yield from stage.quiet(LOOKED)
    yield from story.drop()
    assert story.state.state is TcpConnectionState.CLOSED


@PART.scene("CH-200", "CH-211")
def a_syn_in_time_wait_goes_to_the_host(stage: SceneStage) -> Scene:
    """Both sides closed, this one first; a SYN for a new connection comes before the upload."""
    story = stage.tell("syn in time wait")
    yield from story.open()
    yield from story.disconnect(story.make("D", b""))
    yield story.arrived(0, fin=True)
    story.far.ack()
    story.far.say(flags=FIN)
    yield story.told(TcpEventType.RETRIEVE, UploadReason.UPLOAD_REQUESTED)
    yield from stage.quiet(LOOKED)
    syn = story.far.segment(flags=SYN, seq=story.far.snd + FAR_AWAY, ack=0)
    story.far.put(syn)
    yield from stage.quiet(LOOKED)
    assert went_up(story, syn)
    yield from story.drop()
    assert story.state.state is TcpConnectionState.TIME_WAIT


# ---- URG ---------------------------------------------------------------------------------------------


@PART.scene("CH-202", "CH-204", "CH-207")
def urgent_data_goes_to_the_host_after_the_upload(stage: SceneStage) -> Scene:
    """Nothing of it is acknowledged; sends posted behind it wait for the upload; the software takes all of it."""
    story = stage.tell("urgent")
    yield from story.open()
    segments = [story.far.segment(pattern(20, at), ACK | PSH, seq=story.far.snd + at) for at in (0, 20, 40)]
    story.far.put(urgent(segments[0]))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.RECEIVED_URGENT_DATA)
    for one in segments[1:]:
        yield from stage.quiet()
        story.far.put(one)
    yield from story.send(story.make("S1", pattern(50)))
    yield from stage.quiet(LOOKED)
    assert not any(went_up(story, one) for one in segments[1:])
    assert not story.wire
    story.far.snd += 60
    yield from story.leave()
    assert story.sink == b"".join(one.payload for one in segments)
    assert story.far.stream == pattern(50)


@PART.scene("CH-203")
def urgent_data_out_of_place_is_dropped(stage: SceneStage) -> Scene:
    """URG outside the window, and without ACK: the connection goes on."""
    story = stage.tell("urgent out of place")
    yield from story.open()
    story.far.put(urgent(story.far.segment(pattern(5), seq=story.far.snd - FAR_AWAY)))
    story.far.put(story.far.segment(pattern(5), TcpFlag.URG))
    yield from stage.quiet(LOOKED)
    story.far.say(pattern(30), PSH)
    yield lambda: len(story.sink) == 30
    assert not story.told(TcpEventType.RETRIEVE)()
    yield from story.leave()


# ---- exceptional packets -----------------------------------------------------------------------------


@PART.scene("CH-205")
def packets_that_only_the_host_understands(stage: SceneStage) -> Scene:
    """IPv4 options, the fragments of a segment, ARP, ICMP and RIP, beside an offloaded connection."""
    story = stage.tell("exceptional")
    yield from story.open()
    one = story.far.segment(pattern(40), ACK | PSH)
    body = tcp_bytes(one)
    up = stage.host.stack.counters.not_tcp
    frames = [
        with_options(one),
        ipv4(PROTOCOL_TCP, body[:32], fragment=MORE_FRAGMENTS),
        ipv4(PROTOCOL_TCP, body[32:], fragment=4),
        arp_request(),
        echo_request(),
        rip_response(),
    ]
    for frame in frames:
        stage.arrive(frame)
        yield from stage.quiet()
    yield from stage.quiet(LOOKED)
    assert stage.host.stack.counters.not_tcp == up + len(frames)
    assert not story.sink
    yield from story.leave()


# ---- upload reasons ----------------------------------------------------------------------------------


@PART.scene("CH-209", "G-07")
def a_mandatory_reason_in_fin_wait_1(stage: SceneStage) -> Scene:
    """Half closed: no reason but a mandatory one may be raised."""
    story = stage.tell("urgent in fin wait")
    yield from story.open()
    yield from story.disconnect(story.make("D", b""))
    yield story.arrived(0, fin=True)
    story.far.put(urgent(story.far.segment(pattern(20), ACK | PSH)))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.RECEIVED_URGENT_DATA)
    yield from stage.quiet(LOOKED)
    story.far.snd += 20
    yield from story.leave()


@PART.scene("CH-208", "CH-209", "CH-210")
def an_optional_reason(stage: SceneStage) -> Scene:
    """SmallIO: the host does not care, and the connection goes on; half closed, it is not raised again."""
    ours, theirs = stage.tell("closed by the host"), stage.tell("closed by the far end")
    for story in (ours, theirs):
        yield from story.open()
        context = story.connection.handle.miniport_offload_context
        assert context is not None
        stage.driver.suggest_upload(context, UploadReason.SMALL_IO)
        yield story.told(TcpEventType.RETRIEVE, UploadReason.SMALL_IO)
        story.far.say(pattern(30), PSH)
        yield from story.send(story.make("S1", pattern(200)))
        yield story.arrived(200)
        story.far.ack()
        yield story.came_back("S1")
        yield from stage.quiet(LOOKED)
        assert story.sink == pattern(30)
    yield from ours.disconnect(ours.make("D", b""))
    yield ours.arrived(200, fin=True)
    theirs.far.say(flags=FIN)
    yield theirs.told(TcpEventType.DISCONNECT)
    for story in (ours, theirs):
        context = story.connection.handle.miniport_offload_context
        assert context is not None
        stage.driver.suggest_upload(context, UploadReason.LOW_ACTIVITY)
        yield from stage.quiet()
        assert not story.told(TcpEventType.RETRIEVE, UploadReason.LOW_ACTIVITY)()
        yield from story.leave()
