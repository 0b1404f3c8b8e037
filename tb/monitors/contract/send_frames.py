"""Section 9.5, the frames: what an offloaded connection puts on the wire (CH-099, 100, 113 to 122).

Frames that the host gave to the ordinary send path are not the target's and are not looked at. A frame may show cached
state that an update replaced up to `GRACE` ticks before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_items import GRACE, Connection, Flow, Item
from tb.monitors.contract.face_monitor import FaceMonitor
from tb.monitors.contract.stream_books import Wire, number_of, signed
from tb.monitors.contract.trace import Value
from tb.monitors.wire_headers import FIN, PSH, RST, SYN, URG, WireSegment

_DONT_FRAGMENT: Final = 0x4000
_FRAGMENT: Final = 0x3FFF
"""More-fragments flag and fragment offset."""
_PRIORITY_SHIFT: Final = 13
_VLAN_MASK: Final = 0xFFF
_ZERO_MAC: Final = bytes(6)
_CLOCK_SLACK: Final = 3
"""Ticks by which host and device may differ about when the hand-over was."""


def mac(value: Value) -> bytes:
    """A MAC from a 32-byte field or a number, 6 bytes (G-27)."""
    if isinstance(value, int):
        return value.to_bytes(6, "big")
    return (value or b"")[:6].ljust(6, b"\x00")


class SendFrameMonitor(FaceMonitor):
    """Watches the frames that the target builds."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-099": "the bytes on the wire are those of the sends, in their order",
        "CH-100": "a send of several buffers goes out buffer by buffer",
        "CH-113": "the last segment of the queue has PSH (should)",
        "CH-114": "no segment has URG",
        "CH-115": "no fragment goes out, and DF is set",
        "CH-116": "the IPv4 identification is 0x8000 or above",
        "CH-117": "no SYN goes out",
        "CH-118": "an RST goes out only for an abortive disconnect",
        "CH-119": "segments have the timestamp that TsTime makes at that tick, or none where it is not enabled",
        "CH-120": "the source MAC is DlSourceAddress, or the interface's where that is zero",
        "CH-121": "the tag is that of VlanId and UserPriority, CFI 0",
        "CH-122": "segments fit RemoteMss and PathMtu",
    }

    def on_sent(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        if wire.ip >= 0:
            self._packet(wire)
        seg = wire.seg
        if seg is None or not seg.whole:
            return
        self._flags(face, wire, seg)
        if conn is None:
            return
        self._stamps(conn, wire, seg)
        self._ethernet(face, conn, wire)
        self._sizes(conn, wire, seg)
        if seg.payload_length and not seg.flags & (SYN | RST) and not conn.tx.is_probe(seg):
            self._bytes(conn, wire, seg)
            self._push(conn, seg)

    def _packet(self, wire: Wire) -> None:
        fragment, ident = wire.word(6), wire.word(4)
        whole = fragment & _FRAGMENT == 0 and bool(fragment & _DONT_FRAGMENT)
        self.check("CH-115", whole, f"flags and fragment offset are {fragment:#06x}")
        self.check("CH-116", ident >= 0x8000, f"IPv4 identification is {ident:#06x}")

    def _flags(self, face: Face, wire: Wire, seg: WireSegment) -> None:
        flow: Flow = (seg.source, seg.destination)
        self.check("CH-114", not seg.flags & URG, "a segment has URG")
        self.check("CH-117", not seg.flags & SYN, "a SYN goes out")
        if seg.flags & RST:
            self.check("CH-118", flow in face.reset_allowed, "an RST goes out, no abortive disconnect was asked for")

    def _stamps(self, conn: Connection, wire: Wire, seg: WireSegment) -> None:
        if not number_of(conn.const, "flags") & ndis.TIMESTAMPS:
            self.check("CH-119", seg.stamps is None, "a timestamp goes out, TIMESTAMP_ENABLED is not set")
            return
        if seg.stamps is None:
            self.check("CH-119", bool(seg.flags & RST), "a segment has no timestamp")
            return
        # the clock runs on from TsTime, from some tick between the initiate and its completion
        start = number_of(conn.delegated, "ts_time")
        placed = conn.placed if conn.known else wire.tick
        earliest = start + (wire.tick - placed) - GRACE
        latest = start + (wire.tick - conn.began) + _CLOCK_SLACK
        value = seg.stamps[0]
        fits = signed(value, earliest % (1 << 32)) >= 0 and signed(value, latest % (1 << 32)) <= 0
        self.check("CH-119", fits, f"TSval is {value}, should lie in {earliest}..{latest}")

    def _ethernet(self, face: Face, conn: Connection, wire: Wire) -> None:
        path = conn.below
        neighbors = set() if path is None else path.aboves(wire.tick)
        if not neighbors:
            return
        own = self.settings.get((face.adapter, "interface_mac"))
        sources = {mac(neighbor.const.get("dl_source_address")) for neighbor in neighbors}
        if own is not None or _ZERO_MAC not in sources:
            wanted = {mac(own) if source == _ZERO_MAC else source for source in sources}
            self.check("CH-120", wire.source in wanted, f"source MAC is {wire.source.hex(':')}")
        self._tag(conn, neighbors, wire)

    def _tag(self, conn: Connection, neighbors: set[Item], wire: Wire) -> None:
        vlans = {number_of(neighbor.const, "vlan_id") & _VLAN_MASK for neighbor in neighbors}
        priorities = {p & 7 for p in conn.accepted("user_priority", wire.tick) if isinstance(p, int)} or {0}
        wanted = {p << _PRIORITY_SHIFT | vlan or None for p in priorities for vlan in vlans}
        shown = "no tag" if wire.tci is None else f"tag {wire.tci:#06x}"
        self.check("CH-121", wire.tci in wanted, f"{shown}, VlanId in {vlans}, UserPriority in {priorities}")

    def _sizes(self, conn: Connection, wire: Wire, seg: WireSegment) -> None:
        if not seg.payload_length:
            return
        room = number_of(conn.const, "remote_mss", 536)
        size = seg.payload_length + seg.option_length
        self.check("CH-122", size <= room, f"{size} bytes of payload and options, RemoteMss is {room}")
        mtus = set() if conn.below is None else conn.below.accepted("path_mtu", wire.tick)
        most = max((mtu for mtu in mtus if isinstance(mtu, int)), default=0)
        total = seg.ip_bytes
        if most:
            self.check("CH-122", total <= most, f"an IP packet of {total} bytes, PathMtu is {most}")

    def _bytes(self, conn: Connection, wire: Wire, seg: WireSegment) -> None:
        start = conn.tx.place(seg.sequence)
        end = start + seg.payload_length
        over = end - conn.tx.total
        if over > 0:
            self.check("CH-099", False, f"{over} bytes go out behind the last byte that was given to send")
            return
        payload = wire.payload
        for piece in conn.tx.pieces(start, end):
            if not piece.data:
                continue
            low, high = max(start, piece.start), min(end, piece.end)
            wanted = piece.data[low - piece.start : high - piece.start]
            rule = "CH-100" if piece.buffers > 1 else "CH-099"
            right = payload[low - start : high - start] == wanted
            self.check(rule, right, f"bytes {low} to {high} of the stream differ from what was given to send")

    def _push(self, conn: Connection, seg: WireSegment) -> None:
        start = conn.tx.place(seg.sequence)
        end = start + seg.payload_length
        first = end > conn.tx.sent_max
        probe = seg.payload_length == 1 and end > conn.tx.edge
        # the end of all data is the end of a list and of the queue, so that both ways of CH-113 want PSH here
        if first and not probe and end == conn.tx.total and conn.tx.fin is None:
            self.check("CH-113", bool(seg.flags & (PSH | FIN)), "the last segment of the queue has no PSH")
