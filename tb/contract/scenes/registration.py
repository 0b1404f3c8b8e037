"""Scenes of section 9.1: other chimney types, capacity, pause, upload of everything, resume, power, statistics."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from model.ndis.enums import TcpEventType, UploadReason
from model.ndis.framing import Segment
from model.ndis.registration import (
    ChimneyType,
    IpOffloadStats,
    Oid,
    OidRequest,
    PowerState,
    TcpConnectionOffload,
    TcpOffloadStats,
)
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.forward import ACK_OUT, forward
from tb.contract.scenes.frames import tcp_bytes, with_options
from tb.contract.scenes.stage import CONNS, Part, SceneStage, SceneStory
from tb.tests.stage import Scene, pattern

PART = Part("registration")


def _uploads_when_asked(story: SceneStory) -> Callable[[TcpEventType, int], None]:
    """A client that has its connection terminated when the target, or the host, asks for it."""

    def told(event: TcpEventType, info: int) -> None:
        if (event, info) == (TcpEventType.RETRIEVE, UploadReason.UPLOAD_REQUESTED):
            story.host.terminate(story.connection)

    return told


@PART.scene("CH-003")
def another_chimney_type(stage: SceneStage) -> Scene:
    """NdisMGetOffloadHandlers for a type that is not TCP."""
    adapter = stage.driver.adapter
    status, table = adapter.get_offload_handlers(adapter.miniport_handle, ChimneyType.RDMA)
    assert status is NdisStatus.NOT_SUPPORTED
    assert table is None
    yield from stage.quiet(1)


@PART.scene("CH-006")
def all_entries_in_use(stage: SceneStage) -> Scene:
    """As many connections as the target reported; the next one finds no entry."""
    stories = [stage.tell(f"entry {number}") for number in range(CONNS)]
    for story in stories:
        yield from story.open()
    late = stage.tell("no entry")
    yield from late.handshake()
    yield from late.offload(expect=NdisStatus.OFFLOAD_TCP_ENTRIES)
    yield from late.in_software()
    for story in stories:
        yield from story.leave()


@PART.scene("CH-008", "CH-010", "CH-013")
def a_pause(stage: SceneStage) -> Scene:
    """Requests go on through a pause, nothing is offloaded; the resume announces one connection less."""
    story, late = stage.tell("paused"), stage.tell("too late")
    yield from story.open()
    yield from late.handshake()
    stage.driver.pause()
    yield from story.send(story.make("S", pattern(300)))
    yield story.arrived(300)
    story.far.ack()
    yield story.came_back("S")
    yield from late.offload(expect=NdisStatus.FAILURE)
    yield from late.in_software()
    stage.driver.resume(TcpConnectionOffload(CONNS - 1, support_ipv6=True, support_sack=True))
    yield from story.leave()
    stage.driver.pause()
    stage.driver.resume(TcpConnectionOffload(CONNS, support_ipv6=True, support_sack=True))


@PART.scene("CH-011", "CH-012")
def everything_is_uploaded(stage: SceneStage) -> Scene:
    """UPLOAD_ALL meets a connection with a send in flight, and one without."""
    sending, idle = stage.tell("sending"), stage.tell("idle")
    yield from sending.open()
    yield from idle.open()
    yield from sending.send(sending.make("S", pattern(300)))
    yield sending.arrived(300)
    for story in (sending, idle):
        story.on_event = _uploads_when_asked(story)
    stage.driver.upload_all()
    yield lambda: sending.upload is not None and idle.upload is not None
    assert sending.returned("S").status is NdisStatus.UPLOAD_IN_PROGRESS
    yield lambda: stage.scenehost.rid_of_objects
    yield from sending.finish()
    yield from idle.finish()
    stage.driver.resume()


@PART.scene("CH-014")
def the_adapter_sleeps(stage: SceneStage) -> Scene:
    """D3 is reported only when the last object is back."""
    story = stage.tell("before sleep")
    yield from story.open()
    story.on_event = _uploads_when_asked(story)
    request = OidRequest(Oid.PNP_SET_POWER, set=True, buffer=PowerState.D3)
    assert stage.host.request(request) is NdisStatus.PENDING
    yield lambda: any(done is request for done, _ in stage.host.oids_completed)
    yield from story.finish()
    assert stage.host.request(OidRequest(Oid.PNP_SET_POWER, set=True, buffer=PowerState.D0)) is NdisStatus.SUCCESS
    stage.driver.resume()


# ---- statistics

IP_TCP_HEADER, TIMESTAMPS = 40, 12


@dataclass(frozen=True)
class Told:
    """The statistics of IPv4 at some time."""

    tcp: TcpOffloadStats
    ip: IpOffloadStats

    def since(self, before: Told) -> dict[str, int]:
        """What has grown, by how much; but `currently_established` as it is now."""
        past, now = vars(before.tcp) | vars(before.ip), vars(self.tcp) | vars(self.ip)
        grown = {name: now[name] - past[name] for name in now if name != "currently_established"}
        return {name: by for name, by in grown.items() if by} | {"established": self.tcp.currently_established}


def told(stage: SceneStage) -> Generator[Callable[[], bool], None, Told]:
    """Ask, with nothing under way: delayed ACKs are out."""
    yield from stage.quiet(ACK_OUT)
    requests = stage.host.ask_statistics()
    yield lambda: not any(stage.host.pending(request) for request in requests)
    tcp, tcp6, ip, ip6 = (request.buffer for request in requests)
    assert isinstance(tcp, TcpOffloadStats)
    assert isinstance(ip, IpOffloadStats)
    assert (tcp6, ip6) == (TcpOffloadStats(), IpOffloadStats())
    return Told(tcp, ip)


def zero(stage: SceneStage, oid: Oid) -> Scene:
    """Set an OID, until that is done."""
    request = OidRequest(oid, set=True)
    assert stage.host.request(request) in (NdisStatus.SUCCESS, NdisStatus.PENDING)
    yield lambda: not stage.host.pending(request)


def octets(segments: Iterable[Segment]) -> int:
    """IP total lengths, summed up."""
    return sum(IP_TCP_HEADER + (TIMESTAMPS if s.ts is not None else 0) + len(s.payload) for s in segments)


def received(*segments: Segment) -> dict[str, int]:
    """Counters of segments from the wire that their connections take."""
    count = len(segments)
    return {"in_segments": count, "in_receives": count, "in_delivers": count, "in_octets": octets(segments)}


def sent(segments: list[Segment]) -> dict[str, int]:
    """Counters of segments sent that are no retransmissions."""
    return {"out_segments": len(segments), "out_requests": len(segments), "out_octets": octets(segments)}


@PART.scene("CH-016", "CH-017", "CH-018")
def statistics_of_two_connections(stage: SceneStage) -> Scene:
    """One sends, one receives, a third in software does both; then both offloaded ones are closed, from either side."""
    sends, hears, stranger = stage.tell("counts sends"), stage.tell("counts receives"), stage.tell("does not count")
    yield from sends.open()
    yield from hears.open()
    yield from stranger.handshake()
    before = yield from told(stage)
    assert before.tcp.currently_established == 2
    marks = len(sends.wire), len(hears.wire)
    yield from sends.send(sends.make("S", pattern(300)))
    yield sends.arrived(300)
    acknowledgment = sends.far.segment(ack=sends.far.first + 300)
    sends.far.ack()
    yield sends.came_back("S")
    data = hears.far.segment(pattern(40), TcpFlag.ACK | TcpFlag.PSH)
    hears.far.say(pattern(40), TcpFlag.PSH)
    stranger.far.say(pattern(40), TcpFlag.PSH)
    now = yield from told(stage)
    out = sends.wire[marks[0] :] + hears.wire[marks[1] :]
    assert now.since(before) == received(acknowledgment, data) | sent(out) | {"established": 2}
    hears.far.say(flags=TcpFlag.FIN)
    half = yield from told(stage)
    assert half.tcp.currently_established == 2, "CloseWait counts"
    yield from sends.disconnect(sends.make("D", b""))
    yield sends.arrived(300, fin=True)
    over = yield from told(stage)
    assert over.tcp.currently_established == 1, "FinWait1 does not"
    sends.far.ack()
    yield sends.came_back("D")
    yield from hears.leave()
    yield from sends.leave()
    yield from stranger.in_software()
    last = yield from told(stage)
    assert (last.tcp.currently_established, last.tcp.reset_established) == (0, before.tcp.reset_established)


@PART.scene("CH-017")
def statistics_of_a_retransmission(stage: SceneStage) -> Scene:
    """A send that nobody acknowledges until it came twice."""
    story = stage.tell("counts repetitions")
    yield from story.open()
    before = yield from told(stage)
    mark = len(story.wire)
    yield from story.send(story.make("S", pattern(300)))
    yield story.arrived(300)
    yield story.frames(1)
    out = story.wire[mark:]
    now = yield from told(stage)
    assert [len(segment.payload) for segment in out] == [300, 300]
    again = {"out_segments": 1, "retransmitted_segments": 1, "out_requests": 2, "out_octets": octets(out)}
    assert now.since(before) == again | {"established": 1}
    story.far.ack()
    yield story.came_back("S")
    yield from story.leave()


@PART.scene("CH-018", "CH-019")
def statistics_of_resets(stage: SceneStage) -> Scene:
    """One connection is aborted by its host, one reset by its far end."""
    aborted, reset = stage.tell("counts its reset"), stage.tell("was reset")
    yield from aborted.open()
    yield from reset.open()
    before = yield from told(stage)
    mark = len(aborted.wire)
    yield from aborted.abort()
    one = yield from told(stage)
    ended = {"out_resets": 1, "reset_established": 1, "established": 1}
    assert one.since(before) == sent(aborted.wire[mark:]) | ended
    segment = reset.far.segment(flags=TcpFlag.RST)
    reset.far.put(segment)
    yield reset.told(TcpEventType.ABORT)
    both = yield from told(stage)
    assert both.since(one) == received(segment) | {"reset_established": 1, "established": 0}
    yield from aborted.drop()
    yield from reset.drop()


@PART.scene("CH-016")
def statistics_of_a_forward(stage: SceneStage) -> Scene:
    """A segment behind IP options goes up raw, and comes back down as one of the connection's."""
    story = stage.tell("counts what is forwarded")
    yield from story.open()
    before = yield from told(stage)
    data = story.far.segment(pattern(60), TcpFlag.ACK | TcpFlag.PSH)
    stage.arrive(with_options(data))
    raw = yield from told(stage)
    assert raw.since(before) == {"established": 1}
    mark = len(story.wire)
    yield from forward(story, tcp_bytes(data))
    story.far.snd += 60
    now = yield from told(stage)
    assert now.since(raw) == {"in_segments": 1, "established": 1} | sent(story.wire[mark:])
    yield from story.leave()


def _set_one_by_one(stage: SceneStage, story: SceneStory) -> Scene:
    """The counters of TCP, then those of IP, start again; the number of connections stays."""
    yield from story.open()
    yield from story.send(story.make("S", pattern(300)))
    yield story.arrived(300)
    story.far.ack()
    yield story.came_back("S")
    before = yield from told(stage)
    assert before.tcp.out_segments
    assert before.ip.out_octets
    yield from zero(stage, Oid.TCP6_OFFLOAD_STATS)
    yield from zero(stage, Oid.IP6_OFFLOAD_STATS)
    assert (yield from told(stage)) == before
    yield from zero(stage, Oid.TCP4_OFFLOAD_STATS)
    now = yield from told(stage)
    assert now == Told(TcpOffloadStats(currently_established=1), before.ip)
    yield from zero(stage, Oid.IP4_OFFLOAD_STATS)
    fresh = yield from told(stage)
    assert fresh == Told(TcpOffloadStats(currently_established=1), IpOffloadStats())
    mark = len(story.wire)
    yield from story.send(story.make("T", pattern(100)))
    yield story.arrived(400)
    later = yield from told(stage)
    assert later.since(fresh) == sent(story.wire[mark:]) | {"established": 1}
    story.far.ack()
    yield story.came_back("T")
    yield from story.leave()


@PART.scene("CH-015")
def statistics_are_set(stage: SceneStage) -> Scene:
    """Each OID in turn."""
    yield from _set_one_by_one(stage, stage.tell("counts anew"))


@PART.scene("CH-015", "CH-016", "CH-018", session={"intermediates": 2})
def statistics_are_set_through_intermediate_drivers(stage: SceneStage) -> Scene:
    """Requests and answers pass unchanged."""
    yield from _set_one_by_one(stage, stage.tell("counts anew below two drivers"))


@PART.scene("CH-158", last=True)
def the_adapter_halts(stage: SceneStage) -> Scene:
    """The host still holds the list of an indication; the halt ends when it is back."""
    story = stage.tell("before the halt")
    yield from story.open()
    stage.scenehost.holding = True
    story.far.say(pattern(100), TcpFlag.PSH)
    yield lambda: len(story.sink) == 100
    yield from story.leave(with_objects=True)
    yield lambda: stage.scenehost.rid_of_objects
    waits = 0

    def wait() -> None:
        nonlocal waits
        waits += 1
        stage.scenehost.holding = False
        with stage.scenehost.on_another_processor():
            stage.host.step()

    stage.halt(wait)
    assert waits
