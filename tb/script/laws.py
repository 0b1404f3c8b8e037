"""Laws of TCP that hold on the wire whatever happens, judged from the segments of one connection alone.

Nothing of the golden model is asked: what a trace's peer said is the only measure. A bound follows from all that was
said so far, believed or not, so that no race with the target makes it too narrow. The laws do not know a trace's
expectations and hold beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tb.script.events import Handover, Segment
from tb.script.wire import Heard, octets, signed

#: Octets of the timestamps option with its padding (RFC 7323 A).
STAMP_OCTETS = 12


@dataclass
class Laws:
    """What one connection's peer said and heard. ``breaches``: laws that did not hold, in order.

    ``over``: whether the application gave up or aborted the connection, which may bring an RST. Numbers are relative;
    ``echo`` is the timestamp that the hand-over brings for TS.Recent.
    """

    handover: Handover
    echo: int | None
    over: Callable[[], bool]
    breaches: list[str] = field(default_factory=list)
    #: Largest acknowledgment heard, and right edge.
    acked: int | None = None
    edge: int | None = None
    #: End of what was heard, in sequence space, and largest acknowledgment that the target must take.
    sent_end: int = 0
    told: int = 0
    #: Where the peer's FIN stands, and ours.
    fin_said: int | None = None
    fin_heard: int | None = None
    #: Timestamp last heard, and whether an RST was.
    stamp: int | None = None
    reset_heard: bool = False

    def __post_init__(self) -> None:
        h = self.handover
        self.sent_end = h.max
        self._said: list[tuple[int, int]] = []
        self._edge_said = h.una + h.snd_wnd
        self._echoes = set() if self.echo is None else {self.echo}
        self._provoked = False

    # ---- what the peer said ----

    @property
    def contiguous(self) -> int:
        """The octet behind everything that was said without a hole, a FIN being one."""
        end = self.handover.rcv_nxt
        for left, right in self._said:
            if left > end:
                break
            end = max(end, right)
        return end

    def said(self, segment: Segment, start: int, count: int, ack: int | None) -> None:
        """The peer put a frame on the wire: ``count`` octets of a segment from ``start``; ``flags`` are the frame's."""
        end = start + count + ("F" in segment.flags)
        if end > start:
            self._said.append((start, end))
            self._said.sort()
        if "F" in segment.flags:
            self.fin_said = start + count
        self._provoked |= bool(segment.flags & {"R", "S"})
        expected = self.handover.rcv_nxt if self.acked is None else self.acked
        if ack is not None and not segment.flags & {"R", "S"} and (end > expected or start == end == expected):
            self.told = max(self.told, ack)
        if ack is not None:
            self._edge_said = max(self._edge_said, ack + ((segment.win or 0) << self.handover.snd_ws))
        if segment.ts is not None:
            self._echoes.add(segment.ts[0])

    def _came(self, left: int, right: int) -> bool:
        """Every octet of [left, right) was said."""
        at = left
        for start, end in self._said:
            if start > at:
                break
            at = max(at, end)
        return left < right <= max(at, self.contiguous)

    # ---- what the target said ----

    def heard(self, heard: Heard) -> None:
        """The target sent a segment."""
        segment = heard.segment
        self.sent_end = max(self.sent_end, segment.seq + segment.length + ("F" in segment.flags))
        if "R" in segment.flags:
            self.reset_heard = True
            closed = self.fin_heard is not None and self.fin_said is not None
            asked = self._provoked or closed or self.over()
            self._require(asked, "RFC 9293 3.10.7.4", "an RST that nothing called for")
            return
        self._require("." in segment.flags, "RFC 9293 3.10.7.4", "a segment without ACK")
        self._acknowledgment(segment)
        self._blocks(segment)
        self._stamps(segment)
        self._text(heard)
        self._fin(heard)

    def _require(self, holds: bool, source: str, text: str) -> None:
        if not holds:
            self.breaches.append(f"{text} ({source})")

    def _acknowledgment(self, segment: Segment) -> None:
        if segment.ack is None or segment.win is None:
            return
        over = segment.ack - self.contiguous
        self._require(over <= 0, "RFC 9293 3.4", f"ack {segment.ack} takes {over} octets that never came")
        edge = segment.ack + (segment.win << self.handover.rcv_ws)
        if self.acked is not None and self.edge is not None:
            fell, shrank = self.acked - segment.ack, self.edge - edge
            self._require(fell <= 0, "RFC 9293 3.4", f"ack {segment.ack} is {fell} below the one before")
            self._require(shrank <= 0, "RFC 9293 3.8.6, SHLD-14", f"the right edge {edge} fell by {shrank}")
        self.acked, self.edge = max(segment.ack, self.acked or 0), max(edge, self.edge or 0)

    def _blocks(self, segment: Segment) -> None:
        self._require(not segment.sack or self.handover.sack, "RFC 2018 2", "SACK blocks that were not agreed on")
        for left, right in segment.sack:
            self._require(self._came(left, right), "RFC 2018 3", f"SACK block {left}:{right} never came")

    def _stamps(self, segment: Segment) -> None:
        agreed = self.handover.ts
        self._require((segment.ts is not None) == agreed, "RFC 7323 3.2", "timestamps are on all segments or on none")
        if segment.ts is None or not agreed:
            return
        value, echo = segment.ts
        self._require(echo in self._echoes, "RFC 7323 4.3", f"TSecr {echo} never came")
        if self.stamp is not None:
            self._require(signed(value - self.stamp) >= 0, "RFC 7323 4.1", f"TSval {value} fell from {self.stamp}")
        self.stamp = value

    def _text(self, heard: Heard) -> None:
        segment, count = heard.segment, heard.segment.length
        end = segment.seq + count
        last = heard.written + 1 + (self.fin_heard is not None and not count)
        self._require(end <= last, "RFC 9293 3.4", f"octets up to {end}, {heard.written} were written")
        if not count:
            return
        right = heard.payload == octets(segment.seq, count)
        self._require(right, "RFC 9293 3.4", f"the octets at {segment.seq} are not what the application wrote there")
        room = self.handover.peer_mss - (STAMP_OCTETS if self.handover.ts else 0)
        self._require(count <= room, "RFC 9293 3.7.1, MUST-16", f"{count} octets, the MSS leaves room for {room}")
        beyond = end - self._edge_said
        probe = count == 1 and beyond == 1
        self._require(beyond <= 0 or probe, "RFC 9293 3.8.6", f"{beyond} octets beyond the peer's window")

    def _fin(self, heard: Heard) -> None:
        segment = heard.segment
        if "F" not in segment.flags:
            return
        place = segment.seq + segment.length
        self._require(place == heard.written + 1, "RFC 9293 3.6", f"FIN at {place} behind {heard.written} octets")
        self.fin_heard = place
