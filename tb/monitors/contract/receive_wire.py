"""Section 9.6, wire side: acknowledgment of what was received, VLAN filter (CH-135, CH-161..163).

An ACK may be up to `STALL` ticks behind its time: the wire may have been busy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar, Final
from weakref import WeakKeyDictionary

from tb.monitors.contract.receive_books import SUCCESS, Connection, Item, Shared, number
from tb.monitors.contract.receive_segments import FIN, RST, SYN, URG, Segment, segment_of, unwrap
from tb.monitors.contract.receive_stream import Arrival
from tb.monitors.contract.receive_watch import STALL, BookedMonitor
from tb.monitors.contract.trace import Enter, Frame, Leave, List, Node, PassedUp

_REMEMBERED: Final = 64


@dataclass(slots=True)
class _Notes:
    """What the wire rules remember of a connection."""

    waiting: deque[Arrival] = field(default_factory=deque)
    """Data that was not acknowledged when last looked at."""
    successes: deque[tuple[int, int]] = field(default_factory=deque)
    """(tick, end) of data completed SUCCESS."""
    succeeded: int = 0
    filtered: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    """Ranges that came only with a VLAN id that the filter stops."""
    refused_to: int = 0


class ReceiveWire(BookedMonitor):
    """What the NIC says on the wire about what it received."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-135": "bytes completed SUCCESS lie below RcvNxt, in reported state and in later ACKs",
        "CH-161": "VlanId that is not 0 lets only its VID in, VlanId 0 lets every frame in",
        "CH-162": "data is acknowledged after TcpAckFrequency segments or TcpDelayedAckTicks at the latest",
        "CH-163": "acknowledgment does not wait for the application: refused data is acknowledged, too",
    }

    def __init__(self) -> None:
        super().__init__()
        self._notes: WeakKeyDictionary[Connection, _Notes] = WeakKeyDictionary()
        self._tagged: deque[bytes] = deque(maxlen=_REMEMBERED)
        self._asked: dict[int, int] = {}

    def _of(self, conn: Connection) -> _Notes:
        notes = self._notes.get(conn)
        if notes is None:
            notes = self._notes[conn] = _Notes()
        return notes

    # --- SUCCESS and RcvNxt ----------------------------------------------------------------------------

    def completed(self, kind: str, item: Item | None, done: List, head: bool) -> None:
        if kind == "receive" and item is not None and done.status == SUCCESS and done.transferred:
            notes = self._of(item.connection)
            notes.succeeded = item.connection.delivered + done.transferred
            notes.successes.append((self.now, notes.succeeded))

    def called(self, enter: Enter) -> None:
        if enter.function in ("MiniportQueryOffload", "MiniportTerminateOffload") and enter.tree is not None:
            for held, node in self.books(enter).objects(enter.tree):
                if isinstance(held, Connection):
                    self._asked[node.ident] = self._of(held).succeeded

    def reported(self, held: Connection | Shared, node: Node, asked: int, terminated: bool) -> None:
        if not isinstance(held, Connection):
            return
        floor = self._asked.pop(node.ident, 0)
        if floor and node.status == SUCCESS and node.delegated is not None and "rcv_nxt" in node.delegated:
            position = unwrap(number(node.delegated, "rcv_nxt"), floor)
            self.check("CH-135", position >= floor, f"RcvNxt is {floor - position} below the end of completed data")

    # --- ACKs ------------------------------------------------------------------------------------------

    def segment_sent(self, conn: Connection, seg: Segment) -> None:
        if seg.has(RST):
            return
        notes = self._of(conn)
        ack = unwrap(seg.acknowledgment, conn.acked)
        floor = 0
        while notes.successes and notes.successes[0][0] + STALL < self.now:
            floor = notes.successes.popleft()[1]
        if floor:
            self.check("CH-135", ack >= floor, f"ACK is {floor - ack} below data completed {STALL} ticks ago")
        for start, end in notes.filtered:
            if ack > conn.arrived and start < ack <= end + 1:
                self.breach("CH-161", f"data acknowledged that came only with another VLAN id than {conn.vlan}")
                break
        self._owed(conn, conn.fresh)
        conn.fresh.clear()
        self._acknowledged(conn, notes)

    def _acknowledged(self, conn: Connection, notes: _Notes) -> None:
        covered: list[Arrival] = []
        while notes.waiting and notes.waiting[0].end <= conn.acked:
            covered.append(notes.waiting.popleft())
        frequency, delay = self.parameter("tcp_ack_frequency"), self.parameter("tcp_delayed_ack_ticks")
        if not covered or conn.stopped:
            return
        if covered[-1].end > conn.delivered:
            self.trigger("CH-163")
        waited = self.now - min(one.last for one in covered)
        if delay is not None:
            self.check("CH-162", waited <= delay + STALL, f"data waited {waited} ticks for its ACK")
        certain = [one for one in covered if one.certain]
        if frequency and len(certain) >= frequency:
            waited = self.now - certain[frequency - 1].last
            text = f"{len(certain)} segments are acknowledged at once, {waited} ticks after number {frequency}"
            self.check("CH-162", waited <= STALL, text)

    def segment_taken(self, conn: Connection, seg: Segment, new: list[Arrival]) -> None:
        self._owed(conn, new)

    def _owed(self, conn: Connection, new: list[Arrival]) -> None:
        delay = self.parameter("tcp_delayed_ack_ticks")
        for arrival in new:
            waiting = self._of(conn).waiting
            behind = sum(one.end > arrival.end for one in waiting) if waiting and waiting[-1].end > arrival.end else 0
            waiting.insert(len(waiting) - behind, arrival)
            if delay is not None:
                self.expect(self.now + delay + STALL, partial(self._unsaid, conn, arrival), conn)

    def _unsaid(self, conn: Connection, arrival: Arrival) -> None:
        copied = arrival.copied and arrival.waited != arrival.last
        if conn.acked >= arrival.end or conn.over or copied:
            return
        text = f"{arrival.end - arrival.start} bytes of tick {arrival.first} are not acknowledged"
        if conn.delivered >= arrival.end:
            self.breach("CH-162", f"{text}, but delivered")
        elif self._of(conn).refused_to >= arrival.end:
            self.breach("CH-163", f"{text}, but were indicated and refused")

    def indicated(self, conn: Connection, enter: Enter, leave: Leave, consumed: int) -> None:
        if leave.result != SUCCESS:
            self._of(conn).refused_to = conn.delivered + sum(one.data_length for one in enter.lists)

    # --- VLAN filter -----------------------------------------------------------------------------------

    def segment_in(self, conn: Connection, seg: Segment) -> None:
        if not conn.accepts_tag(seg) and seg.payload:
            self.trigger("CH-161")
            start = unwrap(seg.sequence, conn.arrived)
            self._of(conn).filtered.append((start, start + seg.length))

    def frame_in(self, frame: Frame) -> None:
        seg = segment_of(frame.data)
        conn = self.books(frame).by_ends.get((seg.destination, seg.source)) if seg is not None else None
        if seg is None or conn is None or seg.vlan is None or conn.vlan or conn.stopped or conn.released is None:
            return
        low, _ = conn.next_bounds
        start = unwrap(seg.sequence, conn.arrived)
        good = bool(seg.payload) and not seg.has(SYN | FIN | RST | URG) and not conn.fins.heard
        if good and low <= start < conn.edge and unwrap(seg.acknowledgment, conn.una) <= conn.sent:
            self.trigger("CH-161")
            self._tagged.append(frame.data)

    def passed_up(self, record: PassedUp) -> None:
        if record.data in self._tagged:
            self._tagged.remove(record.data)
            seg = segment_of(record.data)
            conn = self.books(record).by_ends.get((seg.destination, seg.source)) if seg is not None else None
            if conn is not None and not conn.stopped:
                self.breach("CH-161", "a tagged segment went to the host though VlanId is 0")
