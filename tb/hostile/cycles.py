"""How long tcp_engine worked for a frame, and a frame waited for room behind it, from the records of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from model.layout.generated import RecRx, RecTcp, TcpEvt
from tb.monitors.wire_headers import read_segment
from tb.sim.records import RecordError, parse

_END: Final = 0
_NOP: Final = 1
_LEAST: Final = 2


def option_walk(frame: bytes) -> int:
    """Options that rx_options walks over before it gives the segment in ``frame`` away, one a cycle; at most 40.

    RFC 9293 3.1: kind 0 ends the list, kind 1 is one byte, others have a length; the first that is not in order ends
    the walk, too. 0 for what is no TCP segment.
    """
    seg = read_segment(frame)
    if seg is None or not seg.whole:
        return 0
    options, walked = frame[seg.payload_at - seg.option_length : seg.payload_at], 0
    while options and options[0] != _END:
        length = 1 if options[0] == _NOP else options[1] if len(options) >= _LEAST else 0
        if options[0] != _NOP and not _LEAST <= length <= len(options):
            break
        options, walked = options[length:], walked + 1
    return walked


class Took(NamedTuple):
    """The most that one took, in cycles."""

    engine: int
    """Of tcp_engine's time, waits for room behind it left out: an upper bound, of the frames asked for."""
    room: int
    """Of waiting for that room, whatever the segment, with a commit or none: queues to host memory are full."""


def engine_cycles(records: Path, walks: Mapping[int, int]) -> Took:
    """Cycles that tcp_engine took for one of these frames, at most, and those that a segment waited for room behind it.

    ``walks``: number of the frame among all that entered, from 0 -> `option_walk`. The engine begins when the commit
    before is done and the segment is there, whichever comes later. It is there one cycle and its walk after rx_parser
    said what the frame is, or after the commit of the segment before it, as rx_options holds one at a time: what these
    two take is none of the engine's, and the wire does not wait for it. All waiting behind that counts, but for the
    cycles in which event_arbiter, free, has no room for what the segment may lead to (B of the recorder): those are
    as many as the bus takes for what came before, and none of them for this frame. RecordError if a line says that
    such a wait was longer than all the time in which it can have been.
    """
    offered: dict[int, int] = {}
    before = segment_before = engine = room = waited = 0
    with records.open() as file:
        for line in file:
            if line[0] not in "RTB":
                continue
            record = parse(line)
            if record.tag == "R":
                offered[RecRx.unpack(record.value).arrival] = record.cycle
                continue
            if record.tag == "B":
                waited, whole = record.fields
                room = max(room, whole)
                continue
            commit, since = RecTcp.unpack(record.value), before
            if commit.kind == TcpEvt.RX_SEGMENT:
                if commit.cause in walks:
                    since = max(before, max(segment_before, offered[commit.cause]) + 1 + walks[commit.cause])
                    engine = max(engine, record.cycle - since - waited)
                _plausible(records, record.cycle, record.cycle - since, waited)
                segment_before = record.cycle
            before, waited = record.cycle, 0
    return Took(engine, room)


def _plausible(records: Path, cycle: int, interval: int, waited: int) -> None:
    """RecordError if a segment waited ``waited`` cycles for room in an ``interval`` that is shorter."""
    if waited > interval:
        raise RecordError(
            f"{records}, commit of a segment at cycle {cycle}: line B in front of it has {waited} cycles of waiting "
            f"for room, but the engine could begin {interval} cycles before; look at room_wait in tb/hdl/tb_top.v"
        )
