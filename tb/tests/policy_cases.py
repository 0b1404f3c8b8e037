"""An upload policy at work, as a scene for the stage: each optional reason has its cause on the wire or at the face."""

from __future__ import annotations

from collections.abc import Mapping

from model.ndis.enums import TcpEventType, UploadReason
from model.ndis.framing import encode
from model.ndis.upload_policy import UploadPolicy
from model.wire.frame import TcpFlag
from tb.tests.stage import EVENT, Scene, Stage, Story, pattern
from tb.tests.vector_cases import far_end

#: Other families of far ends (see vector_cases).
FAMILY = 12
PERIOD = 400
POLICY = UploadPolicy(
    period=PERIOD,
    low_activity_bytes=1,
    dropped_segments=1,
    small_io_bytes=50,
    small_io_requests=8,
    unposted_indications=6,
    fragments=5,
    out_of_order_segments=4,
)
OPTIONAL = (
    UploadReason.LOW_ACTIVITY,
    UploadReason.HIGH_DROP_RATE,
    UploadReason.SMALL_IO,
    UploadReason.NO_BUFFER_PREPOSTING,
    UploadReason.HIGH_FRAGMENTATION,
    UploadReason.HIGH_OUT_OF_ORDER_PACKETS,
)


def _asked(story: Story) -> set[UploadReason]:
    events = [m.event for m in story.of(EVENT)]
    return {UploadReason(e[1]) for e in events if e is not None and e[0] is TcpEventType.RETRIEVE}


def _fragment(story: Story, number: int) -> bytes:
    """A fragment of a TCP packet of the far end, not the first one."""
    frame = bytearray(encode(story.far.said[-1]))
    frame[20:22] = (number + 1).to_bytes(2, "big")
    frame[24:26] = b"\x00\x00"
    frame[24:26] = _ip_sum(bytes(frame[14:34]))
    return bytes(frame)


def _ip_sum(header: bytes) -> bytes:
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, 20, 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def _told(stage: Stage, story: Story, reason: UploadReason) -> Scene:
    """Until the reason has been raised."""
    until = stage.host.now + 12 * PERIOD
    yield lambda: reason in _asked(story) or stage.host.now > until


def reasons_come_by_themselves(stage: Stage) -> Scene:
    """Connections, one after the other, that would each fare better in software for a reason of its own."""
    yield stage.session_over
    for number, reason in enumerate(OPTIONAL):
        story = far_end(stage, reason.name, 16 * FAMILY + number, 16 * FAMILY + number)
        yield from story.open()
        yield from _cause(stage, story, reason)
        yield from _told(stage, story, reason)
        yield from story.terminate()
        yield from story.finish()


def _cause(stage: Stage, story: Story, reason: UploadReason) -> Scene:
    far = story.far
    if reason is UploadReason.HIGH_DROP_RATE:
        yield from story.send(story.make("S1", pattern(3000)))
        yield story.arrived(3000)
        yield lambda: len(story.wire) >= 5  # nothing is acknowledged: what was sent goes out again and again
        far.ack()
        yield story.came_back("S1")
    elif reason is UploadReason.SMALL_IO:
        for n in range(10):
            yield from story.post((f"R{n}", 20, True))
        far.say(pattern(200), TcpFlag.PSH)
    elif reason is UploadReason.NO_BUFFER_PREPOSTING:
        for n in range(8):
            far.say(pattern(30, n), TcpFlag.PSH)
    elif reason is UploadReason.HIGH_FRAGMENTATION:
        far.say(pattern(30), TcpFlag.PSH)
        for n in range(6):
            stage.arrive(_fragment(story, n))
    elif reason is UploadReason.HIGH_OUT_OF_ORDER_PACKETS:
        far.say(pattern(30), TcpFlag.PSH)
        far.snd += 100
        for n in range(5):
            far.say(pattern(30, n), TcpFlag.PSH)
        far.snd -= 250


def judge_reasons(stories: Mapping[str, Story], *, asked: bool = True) -> None:
    """2.12: every optional reason of the driver's policy, and none where the policy is off."""
    for reason in OPTIONAL:
        assert (reason in _asked(stories[reason.name])) is asked, f"{reason.name}: {_asked(stories[reason.name])}"
