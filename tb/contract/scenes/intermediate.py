"""Scenes of section 9.12: intermediate drivers that run out of memory, or that stand in the way of the chimney."""

from __future__ import annotations

from model.ndis.calls import MiniportFace
from model.ndis.intermediate import IntermediateDriver
from model.ndis.netbuffer import Owner
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.forward import forward
from tb.contract.scenes.frames import tcp_bytes
from tb.contract.scenes.stage import Part, SceneStage, SceneStory
from tb.tests.stage import Scene, pattern

PART = Part("intermediate")
_REFUSED = [NdisStatus.REQUEST_UPLOAD, NdisStatus.UPLOAD_REQUESTED, NdisStatus.UPLOAD_REQUESTED]


def _in_software(story: SceneStory, rest: bytes) -> Scene:
    """Upload, then send ``rest`` in software and close."""
    yield from story.terminate()
    assert story.upload is not None
    _, delegated, buffered = story.upload
    assert delegated is not None
    story.sink += buffered
    story.far.auto = True
    story.host.stack.uploaded(story.stack, delegated, rest, False, story.host.now)
    story.stack.tcp.close(story.host.now)
    yield lambda: story.stack.tcp.ended
    story.end()


@PART.scene("CH-256", session={"intermediates": 3})
def a_chain_of_sends_meets_no_memory(stage: SceneStage) -> Scene:
    """The driver in the middle refuses three sends and lets none of them down; one before them succeeds."""
    story = stage.tell("no memory to send")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(100)))
    yield story.arrived(100)
    stage.starving.add(2)
    refused = [story.make(f"S{n}", pattern(50, n)) for n in (2, 3, 4)]
    yield from story.send(*refused)
    assert story.back == list(zip(("S2", "S3", "S4"), _REFUSED, strict=True))
    stage.starving.clear()
    story.far.ack()
    yield lambda: len(story.back) == 4
    assert story.back[3] == ("S1", NdisStatus.SUCCESS)
    rest = b"".join(nbl.read(Owner.HOST, stage.memory) for nbl in refused)
    yield from _in_software(story, rest)
    assert story.far.stream == pattern(100) + rest


@PART.scene("G-14", session={"intermediates": 3})
def receives_meet_no_memory(stage: SceneStage) -> Scene:
    """Three requests are refused; the data that comes is indicated, for none of them is below."""
    story = stage.tell("no memory to receive")
    yield from story.open()
    stage.starving.add(1)
    yield from story.post(("R1", 50, False), ("R2", 50, False), ("R3", 50, False))
    assert story.back == list(zip(("R1", "R2", "R3"), _REFUSED, strict=True))
    stage.starving.clear()
    story.far.say(pattern(30), TcpFlag.PSH)
    yield lambda: len(story.sink) == 30
    yield from _in_software(story, b"")


@PART.scene("G-14", session={"intermediates": 1})
def a_forward_meets_no_memory(stage: SceneStage) -> Scene:
    """Two segments, of different lengths, stay with the host, which takes them behind the upload."""
    story = stage.tell("no memory to forward")
    yield from story.open()
    stage.starving.add(1)
    one = story.far.segment(pattern(30), TcpFlag.ACK | TcpFlag.PSH)
    two = story.far.segment(pattern(40, 1), TcpFlag.ACK | TcpFlag.PSH, seq=story.far.snd + 30)
    yield from forward(story, tcp_bytes(one), tcp_bytes(two))
    assert [len(s.payload) for s in story.stack.waiting] == [30, 40]
    stage.starving.clear()
    story.stack.waiting.clear()  # it never was on the wire
    yield from _in_software(story, b"")


@PART.scene("G-14", session={"intermediates": 2})
def a_disconnect_meets_no_memory(stage: SceneStage) -> Scene:
    """Neither the FIN nor the RST of the abort behind it leaves before the upload."""
    story = stage.tell("no memory to disconnect")
    yield from story.open()
    stage.starving.add(2)
    yield from story.disconnect(story.make("D", b""))
    assert story.back == [("D", NdisStatus.REQUEST_UPLOAD)]
    yield from story.abort()
    assert story.back[1:] == [("A", NdisStatus.UPLOAD_REQUESTED)]
    yield from stage.quiet()
    assert not story.far.fin_seen
    stage.starving.clear()
    yield from _in_software(story, b"")


@PART.scene("CH-256", "G-14", session={"intermediates": 1})
def each_kind_of_call_is_refused_for_itself(stage: SceneStage) -> Scene:
    """A send met no memory: receives pass when there is some, and are refused from their own first list on."""
    story = stage.tell("no memory, kind by kind")
    yield from story.open()
    stage.starving.add(1)
    yield from story.send(story.make("S1", pattern(50)))
    assert story.back == [("S1", NdisStatus.REQUEST_UPLOAD)]
    stage.starving.clear()
    yield from story.post(("R1", 30, False))
    story.far.say(pattern(30), TcpFlag.PSH)
    yield story.came_back("R1")
    assert story.back[1] == ("R1", NdisStatus.SUCCESS)
    stage.starving.add(1)
    yield from story.post(("R2", 30, False), ("R3", 30, False))
    assert story.back[2:] == [("R2", NdisStatus.REQUEST_UPLOAD), ("R3", NdisStatus.UPLOAD_REQUESTED)]
    stage.starving.clear()
    yield from story.send(story.make("S2", pattern(50, 1)))
    yield from story.post(("R4", 30, False))
    assert story.back[4:] == [("S2", NdisStatus.UPLOAD_REQUESTED), ("R4", NdisStatus.UPLOAD_REQUESTED)]
    yield from story.disconnect(story.make("D", b""))
    assert story.back[6:] == [("D", NdisStatus.REQUEST_UPLOAD)]  # no FIN in front of the data that is missing
    yield from stage.quiet()
    assert not story.far.fin_seen
    yield from _in_software(story, pattern(50) + pattern(50, 1))


@PART.scene("CH-259", session={"intermediates": 3}, last=True)
def a_driver_without_chimney_functions_stands_in_the_way(stage: SceneStage) -> Scene:
    """It is bound above the target: the host is told of no capability and offloads nothing."""
    yield lambda: stage.host.done
    below: MiniportFace = stage.host.binding.face
    protocol = below.adapter.protocol
    layer = stage.transfer.config.intermediates + 1
    stage.host.attach(stage.transfer.tap.watch(IntermediateDriver(below, chimney=False), layer))
    assert stage.host.capabilities is None
    story = stage.tell("no chimney")
    yield from story.handshake()
    yield from story.offload(expect=NdisStatus.FAILURE)
    story.far.auto = True
    story.stack.tcp.send(pattern(100), stage.host.now)
    yield story.arrived(100)
    story.stack.tcp.close(stage.host.now)
    yield lambda: story.stack.tcp.ended
    story.end()
    below.adapter.protocol = protocol
    stage.host.attach(below)
