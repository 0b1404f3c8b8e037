"""Both byte streams of an offloaded connection as the trace shows them, and the frames that carry them.

Positions count from the hand-over: the send stream from SndUna, the receive stream from RcvNxt, as signed differences
modulo 2^32. What came in is an upper bound of what the target has dealt with: a received frame may still wait in it,
or have been dropped for lack of room. So rules that use it are bounds which only more reception relaxes.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.acceptance import Early, Held
from tb.monitors.contract.trace import Frame, List, State
from tb.monitors.wire_headers import ACK, FIN, RST, WireSegment, read_segment, read_stamps


def signed(number: int, origin: int) -> int:
    """``number - origin`` modulo 2^32, as the difference nearest to zero."""
    return (number - origin + 0x80000000) % 0x100000000 - 0x80000000


def number_of(state: State | None, name: str, default: int = 0) -> int:
    """A numeric variable of a state structure, ``default`` where it is missing."""
    value = None if state is None else state.get(name)
    return value if isinstance(value, int) else default


@dataclass(frozen=True, slots=True)
class Wire:
    """A frame taken apart. ``ip`` is the offset of its IPv4 header, -1 if it has none; ``seg`` may be over IPv6."""

    tick: int
    frame: bytes
    raw: bool
    tci: int | None
    ip: int
    seg: WireSegment | None

    @property
    def destination(self) -> bytes:
        """Destination MAC, 6 bytes."""
        return self.frame[:6]

    @property
    def source(self) -> bytes:
        """Source MAC, 6 bytes."""
        return self.frame[6:12]

    @property
    def payload(self) -> bytes:
        """TCP payload."""
        if self.seg is None:
            return b""
        return self.frame[self.seg.payload_at : self.seg.payload_at + self.seg.payload_length]

    def word(self, offset: int) -> int:
        """A 16-bit field of the IPv4 header."""
        return int.from_bytes(self.frame[self.ip + offset : self.ip + offset + 2], "big")


def _parsed(frame: bytes) -> tuple[int | None, int, WireSegment | None]:
    tagged = frame[12:14] == b"\x81\x00"
    at = 18 if tagged else 14
    ip = at if frame[at - 2 : at] == b"\x08\x00" and len(frame) >= at + 20 else -1
    return int.from_bytes(frame[14:16], "big") if tagged else None, ip, read_segment(frame)


def take_apart(record: Frame) -> Wire:
    """Read the headers of a frame."""
    return Wire(record.tick, record.data, record.raw, *_parsed(record.data))


def forwarded_segment(data: bytes) -> WireSegment | None:
    """The TCP segment of a forwarded NET_BUFFER_LIST; addresses are not in it and read 0. None if it is not whole."""
    if len(data) < 20 or not 20 <= (data[12] >> 4) * 4 <= len(data):
        return None
    header = (data[12] >> 4) * 4
    stamps = read_stamps(data)
    ports = int.from_bytes(data[0:2], "big"), int.from_bytes(data[2:4], "big")
    sequence, acknowledgment = int.from_bytes(data[4:8], "big"), int.from_bytes(data[8:12], "big")
    window = int.from_bytes(data[14:16], "big")
    return WireSegment(
        (0, ports[0]),
        (0, ports[1]),
        sequence,
        acknowledgment,
        data[13],
        window,
        len(data) - header,
        header - 20,
        None,
        None,
        stamps,
        0,
    )


@dataclass(slots=True)
class Ranges:
    """Which positions came in: all below ``contiguous``, and pieces beyond it."""

    contiguous: int = 0
    beyond: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, end: int) -> None:
        """Positions ``start`` to ``end`` came in."""
        if end <= self.contiguous:
            return
        if start > self.contiguous:
            insort(self.beyond, (start, end))
            return
        self.contiguous = end
        while self.beyond and self.beyond[0][0] <= self.contiguous:
            self.contiguous = max(self.contiguous, self.beyond.pop(0)[1])


@dataclass(frozen=True, slots=True)
class Piece:
    """What one NET_BUFFER_LIST holds of the send stream; ``data`` is b"" where the trace does not tell."""

    start: int
    end: int
    data: bytes
    buffers: int


_KEPT_BYTES = 1 << 21
"""Acknowledged bytes that are kept for comparison with retransmissions."""


class SendStream:
    """What the host gave to send, what went out, and what the peer acknowledged."""

    def __init__(self, const: State | None, delegated: State | None) -> None:
        self._base = number_of(delegated, "snd_una")
        scaled = number_of(const, "flags") & ndis.WINDOW_SCALING
        self._shift = number_of(const, "snd_wind_scale") if scaled else 0
        self.total = 0
        """Data bytes that the host gave so far."""
        self.fin: int | None = None
        """Position of the FIN, once somebody asked for it."""
        self.fin_sent = False
        self.sent_max = max(0, signed(number_of(delegated, "snd_max"), self._base))
        """One beyond the highest position sent, FIN included."""
        self.acked = 0
        """Bound of what the peer acknowledged."""
        self.edge = number_of(delegated, "snd_wnd")
        """Right edge of the peer's window, as last received."""
        self.widest = max(self.edge, number_of(delegated, "max_snd_wnd"))
        """The largest window of the peer, bytes."""
        self.surely_acked = 0
        """What the target itself reported as acknowledged: the end of the last send that succeeded."""
        self.resent = False
        """Something was sent again."""
        self._early: Early[WireSegment] = Early()
        self._pieces: list[Piece] = []
        self._starts: list[int] = []
        self._state = number_of(delegated, "state", ndis.ESTABLISHED)

    def inherited(self) -> None:
        """The chain of the initiate is in: a FIN of before lies behind it."""
        if self._state in (ndis.FIN_WAIT_2, ndis.TIME_WAIT):
            self.fin, self.fin_sent = -1, True
        elif self._state in ndis.AFTER_OWN_FIN:
            self.fin, self.fin_sent = self.total, self.sent_max > self.total

    def place(self, sequence: int) -> int:
        """Position of a sequence number."""
        return self.acked + signed(sequence, self._base + self.acked)

    def append(self, nbl: List, tick: int) -> tuple[int, int]:
        """The host gave a list to send; its place in the stream."""
        start = self.total
        self.total += nbl.data_length
        for held in self._early.due(tick, self.total + 1):
            self.heard(held.item, tick)
        data = nbl.data if len(nbl.data) == nbl.data_length else b""
        if self.total > start:
            self._pieces.append(Piece(start, self.total, data, len(nbl.buffers)))
            self._starts.append(start)
        if len(self._pieces) > 64 and self._pieces[32].end < self.acked - _KEPT_BYTES:
            del self._pieces[:32], self._starts[:32]
        return start, self.total

    def pieces(self, start: int, end: int) -> list[Piece]:
        """The lists that hold positions ``start`` to ``end``, as far as they are still kept."""
        found = []
        at = max(0, bisect_right(self._starts, start) - 1)
        while at < len(self._pieces) and self._pieces[at].start < end:
            if self._pieces[at].end > start:
                found.append(self._pieces[at])
            at += 1
        return found

    def is_probe(self, seg: WireSegment) -> bool:
        """A keep-alive probe: at most one byte, just below what is acknowledged."""
        start = self.place(seg.sequence)
        return seg.payload_length <= 1 and not seg.flags & (FIN | RST) and start < min(self.acked, self.sent_max)

    def went_out(self, seg: WireSegment) -> None:
        """The target sent a segment."""
        if self.is_probe(seg):
            return
        start = self.place(seg.sequence)
        end = start + seg.length
        if seg.length and start < self.sent_max:
            self.resent = True
        if seg.flags & FIN:
            self.fin_sent = True
        self.sent_max = max(self.sent_max, end)

    def heard(self, seg: WireSegment, tick: int) -> None:
        """A segment of the peer came in."""
        if not seg.flags & ACK or seg.flags & RST:
            return
        ack = self.place(seg.acknowledgment)
        if ack > self.total + 1:
            self._early.add(Held(tick, ack, seg))
        elif ack >= 0:
            self.edge = ack + (seg.window << self._shift)
            self.widest = max(self.widest, seg.window << self._shift)
            self.acked = max(self.acked, ack)


class ReceiveStream:
    """What came in, what the target acknowledged and advertised, and what the client got."""

    def __init__(self, const: State | None, delegated: State | None, buffered: int) -> None:
        self._base = number_of(delegated, "rcv_nxt")
        scaled = number_of(const, "flags") & ndis.WINDOW_SCALING
        self.shift = number_of(const, "rcv_wind_scale") if scaled else 0
        self.all = Ranges()
        """From the wire and forwarded."""
        self.wire = Ranges()
        """From the wire alone."""
        self.acked = 0
        """Highest position that the target acknowledged."""
        self.edge = number_of(delegated, "rcv_wnd")
        """Highest right edge that it advertised."""
        self.inherited = buffered
        self.delivered = 0
        """Bytes that the client got since the hand-over, inherited ones included."""
        self.pure_acks = 0
        """Segments without data that the target sent."""
        self.delivered_at = -(1 << 31)
        """Tick of the last delivery."""

    def deliver(self, count: int, tick: int) -> None:
        """The client got bytes."""
        if count:
            self.delivered += count
            self.delivered_at = tick

    def place(self, sequence: int) -> int:
        """Position of a sequence number."""
        return self.all.contiguous + signed(sequence, self._base + self.all.contiguous)

    def heard(self, seg: WireSegment, *, forwarded: bool = False) -> None:
        """A segment came in; also one that is not acceptable, which only relaxes the bound."""
        start = self.place(seg.sequence)
        if seg.length and abs(start - self.all.contiguous) < 1 << 30:
            self.all.add(start, start + seg.length)
            if not forwarded:
                self.wire.add(start, start + seg.length)

    def edge_of(self, seg: WireSegment) -> int:
        """Right edge that a sent segment advertises."""
        return self.place(seg.acknowledgment) + (seg.window << self.shift)

    def went_out(self, seg: WireSegment) -> None:
        """The target sent a segment."""
        if seg.flags & ACK and not seg.flags & RST:
            self.acked = max(self.acked, self.place(seg.acknowledgment))
            self.edge = max(self.edge, self.edge_of(seg))
            self.pure_acks += seg.length == 0
