"""Scenes of section 9.7: segments that the host hands down, in every way in which they come back."""

from __future__ import annotations

import random

from model.ndis.enums import TcpEventType, UploadReason
from model.ndis.netbuffer import BufferShape, NetBufferList
from model.wire.frame import TcpFlag
from tb.contract.scenes.frames import tcp_bytes, urgent, with_options
from tb.contract.scenes.stage import Part, SceneStage, SceneStory
from tb.tests.stage import Scene, pattern

PART = Part("forward")
_ALWAYS = ("CH-164", "CH-165", "CH-167", "CH-168", "CH-169")
#: Ticks after which a delayed ACK is out.
ACK_OUT = 150


def forward(story: SceneStory, *segments: bytes) -> Scene:
    """NdisOffloadTcpForward of a chain, one list a segment of a few MDLs; goes on when all of it is back."""
    rng = random.Random(f"forward/{story.name}")
    lists: list[NetBufferList] = []
    for one in segments:
        nbl = story.host.build(one, BufferShape(1, 3, 32), rng)
        assert nbl is not None
        lists.append(nbl)
    story.host.issue_forward(story.connection, lists)
    yield lambda: not story.connection.ledger.forwards


@PART.scene(*_ALWAYS, "CH-166", "G-38")
def segments_behind_options_are_forwarded(stage: SceneStage) -> Scene:
    """The host gets segments with IPv4 options and forwards them: one alone with a cleared checksum, three chained."""
    story = stage.tell("forwarded")
    yield from story.open()
    yield from story.post(("R1", 60, False))
    alone = story.far.segment(pattern(60), TcpFlag.ACK | TcpFlag.PSH)
    stage.arrive(with_options(alone))
    yield from stage.quiet()
    data = bytearray(tcp_bytes(alone))
    data[16:18] = bytes(2)
    yield from forward(story, bytes(data))
    story.far.snd += 60
    assert story.sink == pattern(60)
    parts = [story.far.segment(pattern(20, at), seq=story.far.snd + at) for at in (0, 20, 40)]
    for part in parts:
        stage.arrive(with_options(part))
    yield from stage.quiet()
    yield from forward(story, *(tcp_bytes(part) for part in parts))
    story.far.snd += 60
    yield from stage.quiet(ACK_OUT)
    assert story.sink == pattern(60) + b"".join(pattern(20, at) for at in (0, 20, 40))
    yield from story.leave()


@PART.scene("CH-167", "CH-169")
def what_is_forwarded_behind_an_upload_request_comes_back(stage: SceneStage) -> Scene:
    """Urgent data ends the offload: a segment forwarded after that is the host's own again."""
    story = stage.tell("forwarded too late")
    yield from story.open()
    late = story.far.segment(pattern(30), TcpFlag.ACK | TcpFlag.PSH)
    story.far.put(urgent(late))
    yield story.told(TcpEventType.RETRIEVE, UploadReason.RECEIVED_URGENT_DATA)
    stage.arrive(with_options(late))
    yield from stage.quiet()
    yield from forward(story, tcp_bytes(late))
    assert story.stack.waiting
    story.far.snd += 30
    yield from story.leave()


@PART.scene("CH-167", "CH-169")
def what_is_forwarded_behind_a_reset_is_aborted(stage: SceneStage) -> Scene:
    """An RST at RcvNxt, then a segment from above."""
    story = stage.tell("forwarded behind a reset")
    yield from story.open()
    story.far.put(story.far.segment(flags=TcpFlag.RST))
    yield story.told(TcpEventType.ABORT)
    yield from forward(story, tcp_bytes(story.far.segment(pattern(30))))
    yield from story.drop()
