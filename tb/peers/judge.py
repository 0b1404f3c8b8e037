"""The strict judge in a peer: what a received segment may not look like.

It sees the segments behind the bad network: damaged, doubled and out of order. Rules about order are therefore
stated so that reordering cannot break them: of two segments, the one with the smaller acknowledgment was sent
first, because RcvNxt never falls. Rules that need the exact order of sending are the wire monitor's.

Each violation is one line "RULE: what"; rule ids are those of RFC 9293 appendix B or "rfcNNNN section".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from tb.peers.headers import ACK, CWR, ECE, FIN, RST, SYN, URG, Segment, flag_text
from tb.peers.sequence import newer, place

_ORDER_DEPTH: Final = 32
"""How many different acknowledgment values the order rules look back."""
_HISTORY_BYTES: Final = 8 << 20
"""Bytes of the stream that are kept to compare retransmissions with."""
MAX_VIOLATIONS: Final = 200
"""Later violations are counted, not kept."""


@dataclass(frozen=True, slots=True)
class JudgeRules:
    """What the judge takes for granted in this test."""

    damaged_path: bool = False
    """The network flips bits: wrong checksums and lengths are counted, not reported."""
    offloaded_ids: str = "off"
    """IP identification in 0x8000..0xFFFF: "off", "data" (segments with payload) or "all"."""
    allow_reset: bool = False
    """An RST is part of the test."""
    allow_urgent: bool = False
    """URG is part of the test."""
    max_payload: int | None = None
    """Upper bound of payload bytes besides the MSS (path MTU of the test)."""


class Ledger:
    """Violations of one peer, in order of discovery."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        """One line a violation, at most MAX_VIOLATIONS."""
        self.total = 0
        """Violations found."""

    def add(self, where: str, rule: str, what: str) -> None:
        """Record one violation."""
        self.total += 1
        if len(self.lines) < MAX_VIOLATIONS:
            self.lines.append(f"{rule}: {where}: {what}")


@dataclass(slots=True)
class _AckGroup:
    """What was seen in segments that carry one acknowledgment value."""

    ack: int
    edge: int
    low_stamp: int | None
    high_stamp: int | None


class StreamRecord:
    """The bytes of a direction as first received, to hold later copies against."""

    def __init__(self, start: int) -> None:
        self._base = start
        self._bytes = bytearray()
        self._known: list[tuple[int, int]] = []

    def differs(self, start: int, data: bytes) -> int | None:
        """Enter `data` at position `start`; the position of the first byte that contradicts, or None."""
        if start < self._base:
            data = data[self._base - start :]
            start = self._base
        if not data:
            return None
        end = start + len(data)
        for left, right in self._known:
            low, high = max(left, start), min(right, end)
            if low >= high:
                continue
            old = self._bytes[low - self._base : high - self._base]
            new = data[low - start : high - start]
            if old != new:
                return low + next(i for i in range(high - low) if old[i] != new[i])
        self._enter(start, end, data)
        return None

    def _enter(self, start: int, end: int, data: bytes) -> None:
        missing = end - self._base - len(self._bytes)
        if missing > 0:
            self._bytes += bytes(missing)
        self._bytes[start - self._base : end - self._base] = data
        apart: list[tuple[int, int]] = []
        for left, right in self._known:
            if right < start or left > end:
                apart.append((left, right))
            else:
                start, end = min(left, start), max(right, end)
        self._known = sorted([*apart, (start, end)])
        if len(self._bytes) > 2 * _HISTORY_BYTES:
            del self._bytes[:_HISTORY_BYTES]
            self._base += _HISTORY_BYTES
            self._known = [(max(a, self._base), b) for a, b in self._known if b > self._base]


class OfferedWindows:
    """How far the far end may send by what it was told, if it takes windows as RFC 9293 3.10.7.4 says.

    SND.WND is an offset from SND.UNA, and a segment older than SND.WL1 does not change it: the ACK of a repeated
    segment moves SND.UNA on, and the window of a segment with a higher sequence number still counts from there.
    """

    def __init__(self) -> None:
        self.edge = 0
        """Position behind the last octet that may be sent."""
        self._told: list[tuple[int, int]] = []
        """(sequence, window) of segments sent, where none has both as high: sequence rises, window falls."""

    def tell(self, seq: int, ack: int, window: int, una: int) -> None:
        """A segment with these fields leaves; nothing below `una` - 1 is repeated any more."""
        self.edge = max([self.edge, ack + window, *(ack + wnd for start, wnd in self._told if start > seq)])
        self._told = [(start, wnd) for start, wnd in self._told if start >= una and (start > seq or wnd > window)]
        if not any(start >= seq and wnd >= window for start, wnd in self._told):
            self._told = sorted([*self._told, (seq, window)])


class ConnectionJudge:
    """Judges the segments that one connection receives. Positions are unwrapped integers."""

    def __init__(self, where: str, rules: JudgeRules, ledger: Ledger, advertised_mss: int) -> None:
        self._where = where
        self.rules = rules
        """What is taken for granted; may change during the test."""
        self._ledger = ledger
        self._mss = advertised_mss
        self._vlan: int | None = None
        self._stream: StreamRecord | None = None
        self._first = 0
        self._fin: int | None = None
        self._highest = 0
        self._acks: deque[_AckGroup] = deque(maxlen=_ORDER_DEPTH)
        self.timestamps = False
        """Timestamps were agreed in the handshake."""
        self.scale = 0
        """Window shift of the other side."""
        self.sack = False
        """SACK was agreed in the handshake."""
        self.ecn = False
        """ECN was agreed in the handshake."""
        self.offered = OfferedWindows()
        """The windows told to the other side."""

    def _report(self, rule: str, what: str) -> None:
        self._ledger.add(self._where, rule, what)

    def established(
        self, first: int, timestamps: bool, scale: int, vlan: int | None, *, sack: bool = False, ecn: bool = False
    ) -> None:
        """The handshake is over: position of the other side's first byte, and what was agreed."""
        self._stream = StreamRecord(first)
        self._first = first
        self._highest = first
        self.timestamps = timestamps
        self.scale = scale
        self.sack = sack
        self.ecn = ecn
        self._vlan = vlan

    def segment(self, seg: Segment, near: int, sent: tuple[int, int], *, time_wait: bool = False) -> None:
        """Judge one segment. `near` is RcvNxt, `sent` (una, max). In TIME-WAIT the other side may be CLOSED."""
        self._form(seg)
        self._flags(seg, closed=time_wait and place(seg.seq, near) <= near)
        if seg.flags & (SYN | RST):
            return
        seq = place(seg.seq, near)
        self._congestion(seg)
        self._content(seg, seq)
        if seg.flags & ACK:
            ack = place(seg.ack, sent[0])
            if ack > sent[1]:
                self._report("3.10.7.4", f"ACK {ack - sent[1]} bytes above everything sent")
            else:
                self._order(seg, ack)
                self._blocks(seg, ack, sent[1])

    def _congestion(self, seg: Segment) -> None:
        """ECN field and flags: only where agreed, and no segment without payload is ECT (RFC 3168 6.1.1, 6.1.4)."""
        if not self.ecn and seg.flags & (ECE | CWR):
            self._report("rfc3168 6.1.1", f"{flag_text(seg.flags)}, though ECN was not agreed")
        if self.ecn and seg.tos & 3 and not seg.payload:
            self._report("rfc3168 6.1.4", f"ECN field {seg.tos & 3} on a segment without data")
        if seg.flags & CWR and not seg.payload:
            self._report("rfc3168 6.1.2", "CWR on a segment without data")

    def _blocks(self, seg: Segment, ack: int, sent: int) -> None:
        """SACK blocks (RFC 2018 3, 4): of octets that were sent, apart from each other, above the acknowledgment.

        The first one may tell of a duplicate instead: below the acknowledgment, or inside the second (RFC 2883 4).
        """
        spans = [(place(left, ack), place(right, ack)) for left, right in seg.options.sack_blocks]
        if spans and not self.sack:
            self._report("rfc2018 2", "SACK blocks, though not agreed")
        for left, right in spans:
            if not left < right <= sent:
                self._report("rfc2018 3", f"block of {right - left} bytes ends {right - sent} beyond everything sent")
        if len(spans) > 1:
            first, second = spans[:2]
            duplicate = second[0] <= first[0] and first[1] <= second[1]
        else:
            duplicate = False
        if spans and (spans[0][1] <= ack or duplicate):
            spans = spans[1:]
        for n, (left, right) in enumerate(spans):
            if left <= ack:
                self._report("rfc2018 4", f"block number {n} begins {ack - left} bytes below the acknowledgment")
            if any(left <= high and low <= right for low, high in spans[:n]):
                self._report("rfc2018 3", f"block number {n} touches another")

    def echo(self, seg: Segment, clock: int, age: int) -> None:
        """TSecr must be a TSval that was sent: none is newer than `clock` or more than `age` ticks older."""
        if self.timestamps and seg.options.timestamps is not None and seg.flags & ACK and not seg.flags & (SYN | RST):
            back = (clock - seg.options.timestamps[1]) % (1 << 32)
            if back > age:
                self._report("rfc7323 3.2", f"TSecr {seg.options.timestamps[1]} was never sent")

    def _ipv4_form(self, seg: Segment) -> None:
        ip_id_rule = self.rules.offloaded_ids
        if not seg.ip_flags & 0x4000:
            self._report("rfc1191 3", "DF is not set")
        if seg.ip_flags & 0x8000:
            self._report("rfc791 3.1", "reserved IP flag is set")
        if (ip_id_rule == "all" or (ip_id_rule == "data" and seg.payload)) and seg.ip_id < 0x8000:
            self._report("ip-id", f"IP identification {seg.ip_id:#06x} is not of the offloaded half")

    def _form(self, seg: Segment) -> None:
        if not seg.is_ipv6:
            self._ipv4_form(seg)
        if seg.options.fault:
            self._report("MUST-68", seg.options.fault)
        if not seg.options.padding_ok:
            self._report("MUST-69", "bytes behind end-of-options are not zero")
        if any(seg.trailer):
            self._report("rfc1042", "Ethernet padding is not zero")
        if seg.reserved:
            self._report("rfc9293 3.1", f"reserved TCP bits {seg.reserved:#x} are set")
        if seg.link.vlan is not None and self._vlan is not None:
            if (seg.link.vlan ^ self._vlan) & 0xFFF:
                self._report("vlan", f"VLAN {seg.link.vlan & 0xFFF} instead of {self._vlan & 0xFFF}")
        elif self._stream is not None and (seg.link.vlan is None) != (self._vlan is None):
            self._report("vlan", "VLAN tag came or went")
        if self.timestamps and seg.options.timestamps is None and not seg.flags & RST:
            self._report("rfc7323 3.2", "no timestamp, though agreed")
        if not self.timestamps and self._stream is not None and seg.options.timestamps is not None:
            self._report("rfc7323 3.2", "timestamp, though not agreed")

    def _flags(self, seg: Segment, *, closed: bool) -> None:
        flags = flag_text(seg.flags)
        old_syn = seg.seq == (self._first - 1) % (1 << 32)
        if seg.flags & SYN and self._stream is not None and not old_syn:
            self._report("flags", f"SYN in a synchronized state ({flags})")
        late = closed and seg.flags == RST  # a late ACK is answered with its number (RFC 9293 3.10.7.1)
        if seg.flags & RST and not self.rules.allow_reset and not late:
            self._report("flags", f"unexpected RST ({flags})")
        if seg.flags & URG and not self.rules.allow_urgent:
            self._report("flags", f"unexpected URG ({flags})")
        if not seg.flags & URG and seg.urgent:
            self._report("flags", f"urgent pointer {seg.urgent} without URG")
        if not seg.flags & (ACK | SYN | RST):
            self._report("flags", f"segment without ACK ({flags})")

    def _content(self, seg: Segment, seq: int) -> None:
        if self._stream is None:
            return
        right_edge = self.offered.edge
        size = len(seg.payload)
        end = seq + size
        bound = self._mss - len(seg.options.raw)
        if self.rules.max_payload is not None:
            bound = min(bound, self.rules.max_payload)
        if size > bound:
            self._report("MUST-16", f"{size} payload bytes, at most {bound} with these options")
        probe = size == 1 and seq == right_edge
        if size and end > right_edge and not probe:
            self._report("SHLD-15", f"data ends {end - right_edge} bytes beyond the right edge it was told")
        if seq < self._first - 1:
            self._report("sequence", f"segment starts {self._first - seq} bytes before the first byte")
        keepalive = seq == self._highest - 1 and size <= 1 and not seg.flags & FIN
        if size and not keepalive:
            at = self._stream.differs(seq, seg.payload)
            if at is not None:
                self._report("MUST-35", f"byte {at - self._first} of the stream differs from its first copy")
        self._end_of_stream(seg, end)
        if size:
            self._highest = max(self._highest, end)

    def _end_of_stream(self, seg: Segment, end: int) -> None:
        if seg.flags & FIN:
            if self._fin is not None and end != self._fin:
                self._report("FIN", f"FIN moved by {end - self._fin}")
            elif self._fin is None and end < self._highest:
                self._report("FIN", f"FIN lies {self._highest - end} bytes before the end of data seen")
            self._fin = end if self._fin is None else self._fin
        elif self._fin is not None and seg.payload and end > self._fin:
            self._report("FIN", f"{end - self._fin} bytes of data behind the FIN")

    def _order(self, seg: Segment, ack: int) -> None:
        edge = ack + (seg.window << self.scale)
        stamp = seg.options.timestamps[0] if seg.options.timestamps else None
        for other in self._acks:
            if other.ack < ack:
                if edge < other.edge:
                    self._report("SHLD-14", f"right edge moved left by {other.edge - edge} bytes")
                if stamp is not None and other.high_stamp is not None and newer(other.high_stamp, stamp):
                    self._report("rfc7323 5", f"TSval {stamp} after {other.high_stamp} with a smaller ACK")
            elif other.ack > ack:
                if edge > other.edge:
                    self._report("SHLD-14", f"right edge moved left by {edge - other.edge} bytes")
                if stamp is not None and other.low_stamp is not None and newer(stamp, other.low_stamp):
                    self._report("rfc7323 5", f"TSval {stamp} before {other.low_stamp} with a larger ACK")
        self._remember(ack, edge, stamp)

    def _remember(self, ack: int, edge: int, stamp: int | None) -> None:
        for group in self._acks:
            if group.ack == ack:
                group.edge = max(group.edge, edge)
                if stamp is not None:
                    if group.low_stamp is None or newer(group.low_stamp, stamp):
                        group.low_stamp = stamp
                    if group.high_stamp is None or newer(stamp, group.high_stamp):
                        group.high_stamp = stamp
                return
        self._acks.append(_AckGroup(ack, edge, stamp, stamp))
