"""Counts retransmitted segments on the transmit side: a TCP segment with payload or FIN that brings no new octet."""

from __future__ import annotations

from model.wire.frame import parse_frame


class RetransmissionCounter:
    """One per NIC; flows are told apart by their ports."""

    def __init__(self) -> None:
        self.count = 0
        self._next: dict[tuple[int, int], int] = {}

    def sent(self, frame: bytes) -> None:
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
        if before is None or ((end - before) & 0xFFFF_FFFF) - 1 < 0x7FFF_FFFF:
            self._next[flow] = end
        else:
            self.count += 1
