"""Counts retransmitted segments on the transmit side: a TCP segment with payload or FIN that brings no new octet."""

from __future__ import annotations

from model.wire.frame import parse_frame

#: A flow that sent no octet for so long sends again because a timer expired: the least timeout is 300 ticks.
SILENCE_TICKS = 300


class RetransmissionCounter:
    """One per NIC; flows are told apart by their ports."""

    def __init__(self) -> None:
        self.count = 0
        #: Of those, the ones that came after a silence as long as the least retransmission timeout.
        self.after_silence = 0
        self._next: dict[tuple[int, int], int] = {}
        self._last: dict[tuple[int, int], int] = {}

    def sent(self, frame: bytes, tick: int) -> None:
        """A frame left the NIC."""
        parsed = parse_frame(frame)
        tcp = parsed.tcp
        if tcp is None:
            return
        length = parsed.segment_length
        if length == 0:
            return
        flow = (tcp.source_port, tcp.destination_port)
        end = (tcp.sequence + length) & 0xFFFF_FFFF
        before = self._next.get(flow)
        if before is None or 0 < (end - before) & 0xFFFF_FFFF < 1 << 31:
            self._next[flow] = end
        else:
            self.count += 1
            self.after_silence += tick - self._last[flow] >= SILENCE_TICKS
        self._last[flow] = tick
