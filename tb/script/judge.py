"""Whether a segment that the target sent is the one that a trace expects.

Flags, sequence number, length, acknowledgment and SACK blocks must agree. Not compared, for no RFC fixes them: the
window field, TSval, and PSH in front of octets that wait (RFC 9293 3.9.1.2 asks for it on the last one that is queued,
MUST-61, and leaves the others to the sender). TSecr is fixed (RFC 7323 4.3), and that the option is there (3.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tb.script.events import Segment
from tb.script.wire import Heard, octets

#: SACK blocks that the options of a segment have room for; one less beside timestamps (RFC 2018 3).
BLOCKS = 4


def differences(expected: Segment, heard: Heard) -> Iterator[str]:
    """Every field that differs, as text."""
    got = heard.segment
    yield from _flags(expected, heard)
    if expected.seq != got.seq:
        yield f"seq {got.seq}, {expected.seq} expected"
    if expected.length != got.length:
        yield f"len {got.length}, {expected.length} expected"
    if "." in expected.flags and expected.ack is not None and expected.ack != got.ack:
        yield f"ack {got.ack}, {expected.ack} expected"
    if not expected.any_options:
        yield from _options(expected, got)
    if expected.ecn is not None and expected.ecn != got.ecn:
        yield f"IP {got.ecn}, {expected.ecn} expected"
    if expected.tos is not None and expected.tos != got.tos:
        yield f"TOS {got.tos:#x}, {expected.tos:#x} expected"
    if got.length and heard.payload != octets(got.seq, got.length):
        yield "the payload is not what the application wrote there"


def _flags(expected: Segment, heard: Heard) -> Iterator[str]:
    got = heard.segment
    at_end = got.length > 0 and got.seq + got.length == heard.written + 1
    open_flags = frozenset() if at_end or not got.length else frozenset("P")
    if expected.flags - open_flags != got.flags - open_flags:
        yield f"flags {show_flags(got.flags)}, {show_flags(expected.flags)} expected"


def _options(expected: Segment, got: Segment) -> Iterator[str]:
    if expected.sack != got.sack:
        yield f"SACK {list(got.sack)}, {list(expected.sack)} expected"
    if (expected.ts is None) != (got.ts is None) and "R" not in got.flags:
        yield f"{'no ' if got.ts is None else ''}timestamps option"
    elif expected.ts is not None and got.ts is not None and expected.ts[1] != got.ts[1]:
        yield f"TSecr {got.ts[1]}, {expected.ts[1]} expected"


def show_flags(flags: frozenset[str]) -> str:
    """Flags in packetdrill's letters."""
    return "".join(letter for letter in "SFRPUEW." if letter in flags) or "-"


def show(segment: Segment) -> str:
    """A segment in packetdrill's form."""
    text = f"{show_flags(segment.flags)} {segment.seq}:{segment.seq + segment.length}({segment.length})"
    if segment.ack is not None:
        text += f" ack {segment.ack}"
    if segment.win is not None:
        text += f" win {segment.win}"
    options = [f"sack {left}:{right}" for left, right in segment.sack]
    if segment.ts is not None:
        options.append(f"TS val {segment.ts[0]} ecr {segment.ts[1]}")
    return text + (f" <{','.join(options)}>" if options else "")


def joined(first: Heard, second: Heard) -> Heard | None:
    """Two segments as the one that a sender with segmentation offload shows; None: they are no parts of one."""
    a, b = first.segment, second.segment
    follows = b.length > 0 and b.seq == a.seq + a.length and not a.flags & set("SFRU")
    same = a.flags - {"P"} == b.flags - set("PF") and (a.ack, a.sack, a.tos) == (b.ack, b.sack, b.tos)
    if not (follows and same and (a.ts is None) == (b.ts is None)):
        return None
    whole = Segment(
        b.flags, a.seq, a.length + b.length, a.ack, b.win, ts=b.ts, sack=a.sack, ecn=a.ecn, tos=a.tos,
    )  # fmt: skip
    return Heard(second.tick, whole, first.payload + second.payload, second.written)


def duplicate(segment: Segment) -> tuple[int, int] | None:
    """What a segment reports as come twice: a first SACK block that is acknowledged or in another one (RFC 2883 4)."""
    if not segment.sack or segment.ack is None:
        return None
    (left, right), *others = segment.sack
    inside = any(left >= other[0] and right <= other[1] for other in others)
    return (left, right) if right <= segment.ack or inside else None


def answered_once(acks: Sequence[Heard]) -> Heard:
    """The ACKs of the pieces of one segment, in their order, as the ACK that it would have got in one piece.

    That is the last one's, and in front of its blocks the first contiguous sequence that the pieces are reported to
    have brought again (RFC 2883 4: a segment has one report, of the first such sequence of it).
    """
    last = acks[-1].segment
    reports = sorted(report for report in (duplicate(ack.segment) for ack in acks) if report is not None)
    if not reports:
        return acks[-1]
    left, right = reports[0]
    for report in reports:
        if report[0] <= right:
            right = max(right, report[1])
    held = last.sack[1:] if duplicate(last) is not None else last.sack
    blocks = ((left, right), *held)[: BLOCKS if last.ts is None else BLOCKS - 1]
    return replace(acks[-1], segment=replace(last, sack=blocks))
