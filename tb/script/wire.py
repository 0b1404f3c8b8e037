"""The peer of a trace: puts its segments on the wire as they are written, and keeps what comes back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from model.ndis.framing import MASK32
from model.wire.frame import (
    Ipv6Header,
    ParsedFrame,
    SegmentFields,
    TcpFlag,
    TcpOptions,
    Timestamps,
    build_options,
    build_segment,
    parse_frame,
)
from tb.contract.scenes.stage import SceneFar
from tb.script.events import Segment
from tb.session.network import NIC_MAC
from tb.tests.stage import own_address

LETTERS = {
    "F": TcpFlag.FIN, "S": TcpFlag.SYN, "R": TcpFlag.RST, "P": TcpFlag.PSH, ".": TcpFlag.ACK, "U": TcpFlag.URG,
    "E": TcpFlag.ECE, "W": TcpFlag.CWR,
}  # fmt: skip
#: ECN field of the IP header (RFC 3168, 5).
CODE_POINTS = {"noecn": 0, "ect1": 1, "ect0": 2, "ce": 3}
#: Timestamps 0 of a trace on the wire, ours and the peer's: both wrap soon (S53).
TS_BASE, PEER_TS_BASE = 0xFFFF_FF00, 0xFFFF_FFC0

#: Octets of a packet at most, and those of IP and TCP header without options by version of IP (RFC 791, 3.1; RFC 8200,
#: 3; RFC 9293, 3.1).
MTU = 1500
HEADERS = {4: 40, 6: 60}


def link_mss(family: int) -> int:
    """What the link leaves of a packet for options and text, octets."""
    return MTU - HEADERS[family]


def octets(position: int, count: int) -> bytes:
    """The application data of either direction from a relative sequence number on: bytes that tell their place."""
    return bytes((7 * at + at // 256) & 0xFF for at in range(position, position + count))


def signed(value: int) -> int:
    """A difference modulo 2^32 as the number of least magnitude."""
    value &= MASK32
    return value - (1 << 32) if value >> 31 else value


@dataclass(frozen=True)
class Heard:
    """A segment that the target sent, everything relative, as a trace has it.

    ``written``: octets that the application had handed over when it left.
    """

    tick: int
    segment: Segment
    payload: bytes
    written: int


class Speaker:
    """The far end of one connection, in relative numbers.

    ``una``, ``sent_end``: what the peer had acknowledged and heard when its connection was handed over.
    """

    def __init__(
        self, far: SceneFar, iss: int, peer_iss: int, written: Callable[[], int], una: int = 1, sent_end: int = 1
    ) -> None:
        self.far, self.iss, self.peer_iss = far, iss, peer_iss
        self._family = 6 if len(far.ip) == 16 else 4
        self.heard: deque[Heard] = deque()
        self._written = written
        #: Largest relative acknowledgment said of what was heard, and largest end of sequence space heard.
        self.acked, self.sent_end = una, sent_end
        #: Told of every frame that is made (its segment, first octet, octets, acknowledgment), and of what is heard.
        self.on_said: Callable[[Segment, int, int, int | None], None] = lambda segment, start, count, ack: None
        self.on_heard: Callable[[Heard], None] = lambda heard: None

    # ---- what the peer says ----

    def frames(self, segment: Segment) -> Iterator[bytes]:
        """``segment`` as frames: one, or as many as the MTU asks for."""
        options = build_options(self._options(segment))
        room = link_mss(self._family) - len(options)
        starts = range(0, max(1, segment.length), room)
        for start in starts:
            yield self._frame(segment, start, min(room, segment.length - start), last=start == starts[-1])

    def _options(self, segment: Segment) -> TcpOptions:
        blocks = tuple(((self.iss + left) & MASK32, (self.iss + right) & MASK32) for left, right in segment.sack)
        return TcpOptions(
            mss=segment.mss,
            window_scale=segment.window_scale,
            sack_permitted=segment.sack_permitted,
            timestamps=None if segment.ts is None else self._stamps(segment.ts),
            sack_blocks=blocks,
        )

    @staticmethod
    def _stamps(ts: tuple[int, int]) -> Timestamps:
        return Timestamps((ts[0] + PEER_TS_BASE) & MASK32, (ts[1] + TS_BASE) & MASK32)

    def _acknowledgment(self, segment: Segment) -> int | None:
        """What the segment acknowledges; None: it has no ACK.

        Where the trace does not say, a segment without text acknowledges all that was sent, any other repeats what was
        said before.
        """
        if "." not in segment.flags:
            return None
        if segment.ack is not None:
            value = segment.ack
        else:
            bare = segment.length == 0 and not segment.flags & {"S", "F", "R"}
            value = self.sent_end if bare else self.acked
        if value <= self.sent_end:
            self.acked = max(self.acked, value)
        return value

    def _frame(self, segment: Segment, start: int, count: int, *, last: bool) -> bytes:
        far = self.far
        flags = TcpFlag(0)
        for letter in segment.flags - (frozenset() if last else frozenset("FP")):
            flags |= LETTERS[letter]
        ack = self._acknowledgment(segment)
        said = segment if last else replace(segment, flags=segment.flags - {"F"})
        self.on_said(said, segment.seq + start, count, ack)
        return build_segment(
            SegmentFields(
                destination_mac=int.from_bytes(NIC_MAC, "big"),
                source_mac=int.from_bytes(far.mac, "big"),
                source_ip=int.from_bytes(far.ip, "big"),
                destination_ip=int.from_bytes(own_address(far.ip), "big"),
                source_port=far.port,
                destination_port=far.local_port,
                sequence=(self.peer_iss + segment.seq + start) & MASK32,
                acknowledgment=0 if ack is None else (self.iss + ack) & MASK32,
                flags=flags,
                window=(segment.win or 0) & 0xFFFF,
                ip_id=0,
                payload=octets(segment.seq + start, count),
                tos=CODE_POINTS[segment.ecn or "noecn"] if segment.tos is None else segment.tos,
                options=self._options(segment),
                urgent_pointer=segment.urgent,
                family=self._family,
            )
        )

    # ---- what the peer hears ----

    def take(self, frame: bytes, tick: int) -> None:
        """A frame of the target."""
        heard = self._read(parse_frame(frame), tick)
        if heard is not None:
            span = heard.segment.length + len(heard.segment.flags & {"S", "F"})
            self.sent_end = max(self.sent_end, heard.segment.seq + span)
            self.on_heard(heard)
            self.heard.append(heard)

    def _read(self, parsed: ParsedFrame, tick: int) -> Heard | None:
        tcp, ip = parsed.tcp, parsed.ip_header
        if tcp is None or ip is None:
            return None
        tos = ip.traffic_class if isinstance(ip, Ipv6Header) else ip.tos
        stamps = tcp.options.timestamps
        segment = Segment(
            flags=frozenset(letter for letter, flag in LETTERS.items() if flag in tcp.flags),
            seq=signed(tcp.sequence - self.iss),
            length=len(parsed.payload),
            ack=signed(tcp.acknowledgment - self.peer_iss) if TcpFlag.ACK in tcp.flags else None,
            win=tcp.window,
            mss=tcp.options.mss,
            window_scale=tcp.options.window_scale,
            sack_permitted=tcp.options.sack_permitted,
            ts=None
            if stamps is None
            else ((stamps.value - TS_BASE) & MASK32, (stamps.echo_reply - PEER_TS_BASE) & MASK32),
            sack=tuple(
                (signed(left - self.peer_iss), signed(right - self.peer_iss)) for left, right in tcp.options.sack_blocks
            ),
            ecn=next(name for name, code in CODE_POINTS.items() if code == tos & 3),
            urgent=tcp.urgent_pointer,
            tos=tos,
        )
        return Heard(tick, segment, parsed.payload, self._written())
