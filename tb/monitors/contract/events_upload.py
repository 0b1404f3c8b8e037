"""Section 9.9, what goes to the host: URG, exceptional packets, upload requests, other events (CH-200, CH-202..213).

A frame counts as passed up when the same IP packet was indicated on the ordinary path, padding aside.
Frames that came in a crowd (`CROWD` a tick) may have been dropped and are not asked for.

CH-213 has no numbers in the contract: here a change is tiny below one RemoteMss, rapid within a hundredth of a second.
"""

from __future__ import annotations

import struct
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final
from weakref import WeakKeyDictionary

from tb.monitors.contract.acceptance import Answer, Early, Held
from tb.monitors.contract.receive_books import (
    CLOSE_WAIT,
    CLOSED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    REQUEST_ABORTED,
    SUCCESS,
    TIME_WAIT,
    UPLOAD_IN_PROGRESS,
    Connection,
    Item,
    Parameters,
    Shared,
    is_mandatory,
    number,
)
from tb.monitors.contract.receive_reach import Reach
from tb.monitors.contract.receive_segments import (
    RST,
    SYN,
    URG,
    Segment,
    for_the_host,
    ranges_behind_options,
    segment_of,
    unwrap,
)
from tb.monitors.contract.receive_stream import Arrival
from tb.monitors.contract.receive_watch import LATE, PROMPT, RACE, BookedMonitor
from tb.monitors.contract.trace import Enter, Frame, Leave, List, Node, PassedUp, Setting
from tb.monitors.wire_headers import sums_to_ones, word_sum

_IPV6: Final = b"\x86\xdd"
_URGENT_DATA: Final = 5
_INVALID_STATE: Final = 9
_UPLOAD_REQUESTED: Final = 10
_RETRIEVE: Final = 3
_BACKLOG_CHANGE: Final = 1
_OPTIONAL: Final = frozenset((1, 2, 3, 4, 6, 7))
_TIMER_FLOOR: Final = 100
"""Ticks: no retransmission timer is shorter than a tenth of a second."""
_STALLED: Final = 1000
"""Ticks after which data that came twice must have been acknowledged."""
_URGENTS: Final = 64
"""URG segments of one connection that are remembered at most."""
_RAPID: Final = 100
"""A hundredth of a second."""


@dataclass(slots=True)
class _Stop:
    """A mandatory upload reason was raised: how far the connection was."""

    tick: int
    reason: int
    received: Reach
    sent: int


@dataclass(frozen=True, slots=True)
class _Urgent:
    """A segment with URG, and where RCV.NXT may have stood before it."""

    start: int
    end: int
    reach: Reach

    @property
    def limit(self) -> int:
        """What lies below this came without URG, or may have."""
        return max(self.start, self.reach.now)

    @property
    def certain(self) -> bool:
        """Not all of it came without URG, too."""
        return self.end > self.reach.now


@dataclass(frozen=True, slots=True)
class _Owed:
    """A packet that the host must get."""

    rule: str
    packet: bytes
    urgent: _Urgent | None
    """It must only if this came without URG nowhere."""

    @property
    def certain(self) -> bool:
        return self.urgent is None or self.urgent.certain


@dataclass(slots=True)
class _Notes:
    """What is remembered of a connection."""

    urgents: list[_Urgent] = field(default_factory=list)
    """URG segments that are valid, unless it turns out that all of their text came without URG, too."""
    urgent_possible: bool = False
    urgent_invalid: bool = False
    urgent_early: Early[Segment] = field(default_factory=Early)
    owed: list[_Owed] = field(default_factory=list)
    """To be passed up, at the latest after the terminate."""
    behind_options: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=64))
    final: tuple[int, int] | None = None
    """(TIME_WAIT or CLOSED, tick at which it was seen)."""
    fin_acked: int | None = None
    stop: _Stop | None = None
    optional: bool = False
    called: int | None = None
    """Latest tick at which something called for a frame: a segment, room in the window, an abort."""
    gone: bool = False
    """The terminate has completed."""
    syn_seen: bool = False
    shortage: int | None = None
    """Tick of UploadRequested for want of resources."""
    backlog: tuple[int, int] | None = None
    """(value, tick) of the last SendBacklogChange."""


def _urgent(notes: _Notes) -> _Urgent | None:
    """The first URG segment that is valid for certain."""
    return next((urgent for urgent in notes.urgents if urgent.certain), None)


def packet_of(frame: bytes) -> bytes:
    """A frame without the padding behind its IP packet."""
    at = 18 if frame[12:14] == b"\x81\x00" else 14
    if frame[at - 2 : at] == b"\x08\x00" and len(frame) >= at + 4:
        return frame[: at + int(struct.unpack_from(">H", frame, at + 2)[0])]
    if frame[at - 2 : at] == _IPV6 and len(frame) >= at + 6:
        return frame[: at + 40 + int(struct.unpack_from(">H", frame, at + 4)[0])]
    return frame


class Uploads(BookedMonitor):
    """What is left to the host: packets, connections, decisions."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-200": "a SYN in TIME_WAIT goes to the host",
        "CH-202": "a valid URG segment raises TcpIndicateRetrieve(ReceivedUrgentData) and is never acknowledged",
        "CH-203": "an URG segment that is not valid does not lead to an upload",
        "CH-204": "the URG segment and those after it go to the host, when the terminate is complete",
        "CH-205": "IPv4 options, IPv6 extension headers, fragments, ARP, ICMP and RIP go to the host as they are",
        "CH-206": "data that comes in state CLOSED goes to the host",
        "CH-207": "after a mandatory upload reason the target goes on with nothing of the connection",
        "CH-208": "after an optional upload reason the connection goes on",
        "CH-209": "TcpIndicateRetrieve names a TCP connection",
        "CH-210": "no optional upload reason in FIN_WAIT_1, FIN_WAIT_2 or CLOSE_WAIT",
        "CH-211": "TIME_WAIT is followed by TcpIndicateRetrieve(UploadRequested), or InvalidState if a frame is kept",
        "CH-212": "a want of resources raises UploadRequested, and what is posted then comes back UPLOAD_IN_PROGRESS",
        "CH-213": "SendBacklogChange is not raised for tiny changes nor rapidly",
    }

    def __init__(self) -> None:
        super().__init__()
        self._notes: WeakKeyDictionary[Connection, _Notes] = WeakKeyDictionary()
        self._macs: dict[str, set[bytes]] = {}
        self._for_host: dict[str, Counter[bytes]] = {}
        self._invalid: WeakKeyDictionary[Connection | Shared, int] = WeakKeyDictionary()
        """Tick of the invalidate call."""

    def _of(self, conn: Connection) -> _Notes:
        notes = self._notes.get(conn)
        if notes is None:
            notes = self._notes[conn] = _Notes()
        return notes

    # --- exceptional packets ---------------------------------------------------------------------------

    def frame_out(self, frame: Frame) -> None:
        self._macs.setdefault(frame.adapter, set()).add(frame.data[6:12])

    def told(self, record: Setting) -> None:
        if record.name == "interface_mac" and isinstance(record.value, bytes):
            self._macs.setdefault(record.adapter, set()).add(record.value[:6])
        elif record.name == "allocation_failed" and isinstance(record.value, int):
            conn = self.books(record).named(record.value)
            if conn is not None:
                self.expect(self.now + PROMPT, lambda: self._asked_for_room(conn))

    def _asked_for_room(self, conn: Connection) -> None:
        asked = any(reason == _UPLOAD_REQUESTED for _, reason in conn.retrieves)
        self.check("CH-212", asked, "an allocation failed, and no TcpIndicateRetrieve(UploadRequested) came")

    def frame_in(self, frame: Frame) -> None:
        kind = for_the_host(frame.data)
        if kind is not None:
            self._exceptional(frame, kind)
            return
        seg = segment_of(frame.data)
        conn = self.books(frame).by_ends.get((seg.destination, seg.source)) if seg is not None else None
        if seg is None or conn is None:
            return
        if seg.has(URG) and not seg.has(RST | SYN) and conn.accepts_tag(seg):
            self._urgent_in(conn, self._of(conn), seg)
        if not self.crowded:
            self._to_be_passed(conn, seg, packet_of(frame.data))

    def _exceptional(self, frame: Frame, kind: str) -> None:
        claimed = ranges_behind_options(frame.data)
        conn = self.books(frame).by_ends.get((claimed[1], claimed[0])) if claimed is not None else None
        if conn is not None and claimed is not None:
            start = unwrap(claimed[2], conn.arrived)
            self._of(conn).behind_options.append((start, start + claimed[3]))
        address = frame.data[:6]
        at = 18 if frame.data[12:14] == b"\x81\x00" else 14
        header = frame.data[at : at + (frame.data[at] & 15) * 4]
        whole = kind == "ARP" or frame.data[at - 2 : at] == _IPV6 or sums_to_ones(word_sum(header))
        ours = bool(address[0] & 1) or address in self._macs.get(frame.adapter, ())
        if not ours or not whole or self.crowded:
            return
        packet = packet_of(frame.data)
        self._for_host.setdefault(frame.adapter, Counter())[packet] += 1
        self.trigger("CH-205")
        self.expect(self.now + PROMPT, lambda: self._passed_by_now(frame.adapter, packet, kind))

    def _passed_by_now(self, adapter: str, packet: bytes, kind: str) -> None:
        waiting = self._for_host[adapter]
        if waiting[packet] > 0:
            waiting[packet] -= 1
            self.breach("CH-205", f"{kind} was not passed to the host in {PROMPT} ticks")

    def _to_be_passed(self, conn: Connection, seg: Segment, packet: bytes) -> None:
        """Segments of a connection that the host must get."""
        notes = self._of(conn)
        final, since = notes.final or (None, 0)
        settled = final is not None and since + LATE < self.now
        reset = conn.abort_raised is not None and conn.abort_raised + LATE < self.now
        urgent = _urgent(notes)
        if urgent is not None:
            rule = "CH-204"
        elif seg.has(SYN) and settled and final == TIME_WAIT:
            rule = "CH-200"
        elif seg.payload and not seg.has(RST | SYN) and ((settled and final == CLOSED) or reset):
            rule = "CH-206"
        else:
            return
        if rule == "CH-204" and not seg.payload:
            return
        self._owe(conn, _Owed(rule, packet, urgent))

    def _owe(self, conn: Connection, owed: _Owed) -> None:
        self.trigger(owed.rule)
        self._of(conn).owed.append(owed)
        if owed.rule != "CH-204":
            self.expect(self.now + PROMPT, lambda: self._owed_by_now(conn, owed))

    def _owed_by_now(self, conn: Connection, owed: _Owed) -> None:
        held_back = conn.terminating is not None or conn.retrieves or conn.abort_raised is not None
        if not held_back and owed in self._of(conn).owed:
            self._of(conn).owed.remove(owed)
            self.breach(owed.rule, f"{len(owed.packet)} bytes were not passed to the host in {PROMPT} ticks")

    def removed(self, held: Connection | Shared, node: Node) -> None:
        if not isinstance(held, Connection):
            return
        self._of(held).gone = True
        if self._of(held).owed:
            self.expect(self.now + PROMPT, lambda: self._owed_after_terminate(held))

    def _owed_after_terminate(self, conn: Connection) -> None:
        owed = self._of(conn).owed
        for one in owed:
            if one.certain:
                text = f"{len(one.packet)} bytes were not passed to the host {PROMPT} ticks after the terminate"
                self.breach(one.rule, text)
        owed.clear()

    def passed_up(self, record: PassedUp) -> None:
        packet = packet_of(record.data)
        waiting = self._for_host.get(record.adapter)
        if waiting is not None and waiting[packet] > 0:
            waiting[packet] -= 1
            return
        for notes in list(self._notes.values()):
            found = next((one for one in notes.owed if one.packet == packet), None)
            if found is None:
                continue
            notes.owed.remove(found)
            if found.rule == "CH-204" and found.certain:
                self.check("CH-204", notes.gone, "a segment behind URG went up before the terminate was complete")
            return

    # --- segments --------------------------------------------------------------------------------------

    def segment_in(self, conn: Connection, seg: Segment) -> None:
        notes = self._of(conn)
        notes.syn_seen |= seg.has(SYN)
        bare = not seg.length and not seg.has(RST) and unwrap(seg.acknowledgment, conn.una) == conn.sent
        if not bare or conn.judge(seg, self.now) is not Answer.YES:
            notes.called = self.now
        if seg.forwarded and seg.has(URG) and not seg.has(RST | SYN):
            self._urgent_in(conn, notes, seg)

    def _urgent_in(self, conn: Connection, notes: _Notes, seg: Segment) -> None:
        reach = conn.reach(self.now)
        start = unwrap(seg.sequence, conn.arrived)
        end = start + max(1, seg.length)
        ack = unwrap(seg.acknowledgment, conn.una)
        answer = conn.judge(seg, self.now)
        if end <= reach.low or answer is Answer.NO:
            notes.urgent_invalid = True
            self.trigger("CH-203")
            if ack > conn.sent:
                notes.urgent_early.add(Held(self.now, ack, seg))
            return
        notes.urgent_possible = True
        certain = end > reach.sure and start < conn.edge and conn.una <= ack and answer is Answer.YES
        first = _urgent(notes) is None or (reach.waits and len(notes.urgents) < _URGENTS)
        if certain and first and not conn.over and conn.released is not None and not self.crowded:
            urgent, froze = _Urgent(start, end, reach), conn.froze
            notes.urgents.append(urgent)
            self.trigger("CH-202")
            self.expect(self.now + self.known_by(reach), lambda: self._urgent_by_now(conn, urgent, froze), conn)

    def _urgent_by_now(self, conn: Connection, urgent: _Urgent, froze: int | None) -> None:
        ended = conn.terminating is not None or conn.abort_raised is not None or conn.aborting is not None
        old = not urgent.certain and conn.moved(urgent.reach)
        if not old and not ended and not conn.muted and not conn.frozen_by(froze):
            asked = any(reason == _URGENT_DATA for _, reason in conn.retrieves)
            self.check("CH-202", asked, "no TcpIndicateRetrieve(ReceivedUrgentData) after an URG segment")

    def segment_taken(self, conn: Connection, seg: Segment, new: list[Arrival]) -> None:
        notes = self._of(conn)
        self._review(conn, notes)
        if notes.stop is not None:
            if self.now <= notes.stop.tick + RACE:
                notes.stop.received = conn.reach(self.now)
            elif seg.payload:
                self.trigger("CH-207")
        if notes.optional and new and not conn.over:
            self.expect(self.now + _STALLED, lambda: self._goes_on(conn, new[-1]), conn)

    def _goes_on(self, conn: Connection, arrival: Arrival) -> None:
        twice = arrival.last > arrival.first + LATE and arrival.last + _STALLED // 2 < self.now
        if not conn.over and twice:
            text = f"data of tick {arrival.first} is not acknowledged after an optional upload request"
            self.check("CH-208", conn.acked >= arrival.end, text)

    def segment_out(self, conn: Connection, seg: Segment) -> None:
        notes = self._of(conn)
        ack = unwrap(seg.acknowledgment, conn.acked)
        urgent = _urgent(notes)
        if urgent is not None and not seg.has(RST):
            limit = urgent.limit
            self.check("CH-202", ack <= limit, f"ACK goes {ack - limit} bytes into urgent data")
        for start, end in notes.behind_options:
            if ack > conn.next_bounds[1] and start < ack <= end:
                self.breach("CH-205", "data behind IPv4 options was acknowledged that the host did not forward")
                break
        if notes.optional and not conn.stopped and ack > conn.acked:
            self.trigger("CH-208")
        if notes.stop is None or seg.has(RST):
            return
        end = unwrap(seg.sequence, conn.sent) + seg.length
        if self.now <= notes.stop.tick + LATE:
            notes.stop.sent = max(notes.stop.sent, end)
        else:
            self.check("CH-207", end <= notes.stop.sent, f"new data after upload reason {notes.stop.reason}")
        if notes.stop.reason != _INVALID_STATE and self.now > notes.stop.tick + RACE:
            late = ack - notes.stop.received.now
            self.check("CH-207", late <= 0, f"{late} bytes acknowledged that came after reason {notes.stop.reason}")

    def segment_sent(self, conn: Connection, seg: Segment) -> None:
        notes = self._of(conn)
        notes.urgent_possible |= any(True for _ in notes.urgent_early.due(self.now, conn.sent))
        self._review(conn, notes)

    def _review(self, conn: Connection, notes: _Notes) -> None:
        if notes.fin_acked is None and conn.fin_surely_in():
            notes.fin_acked = self.now
        state = conn.final_state()
        if notes.final is None and state is not None:
            notes.final = (state, self.now)
            if state == TIME_WAIT and not conn.left_off and conn.released is not None:
                self.trigger("CH-211")
                self.expect(self.now + PROMPT, lambda: self._asked_in_time_wait(conn), conn)

    def _asked_in_time_wait(self, conn: Connection) -> None:
        if conn.terminating is None and conn.abort_raised is None:
            self.check("CH-211", bool(conn.retrieves), f"no upload request {PROMPT} ticks after entering TIME_WAIT")

    def _kept_back(self, conn: Connection, notes: _Notes) -> bool:
        """A frame may have been kept back in TIME_WAIT or just before (G-03).

        What the connection depends on is invalid, and since the invalidate call something called for a frame.
        """
        path = conn.path
        held = [conn, path, path.below if path is not None else None]
        since = min((self._invalid[one] for one in held if one is not None and one in self._invalid), default=None)
        if since is None or notes.final is None:
            return False
        new = since <= conn.began + PROMPT  # what the host owed was handed over with it
        called = conn.aborting if notes.called is None else max(notes.called, conn.aborting or 0)
        before = notes.final[1]
        timer = before - conn.last_out >= _TIMER_FLOOR and self.now <= before + LATE  # our FIN was due once more
        return new or timer or (called is not None and called + LATE >= since)

    def invalidated(self, held: Connection | Shared) -> None:
        self._invalid.setdefault(held, self.now)

    def updated(self, held: Connection | Shared, cached: Parameters | None) -> None:
        if isinstance(held, Connection):  # a larger window is told at once (G-16)
            self._of(held).called = self.now

    def indicated(self, conn: Connection, enter: Enter, leave: Leave, consumed: int) -> None:
        if consumed:
            self._of(conn).called = self.now

    # --- events ----------------------------------------------------------------------------------------

    def called(self, enter: Enter) -> None:
        if enter.function != "NdisTcpOffloadEventHandler" or enter.event != _RETRIEVE:
            return
        books = self.books(enter)
        other = enter.target is None or any(held.handle == enter.target for held in books.shared.values())
        if other and books.named(enter.target) is None:
            self.breach("CH-209", f"TcpIndicateRetrieve for {enter.target}, which is no TCP connection")
        elif books.named(enter.target) is not None:
            self.trigger("CH-209")

    def event(self, conn: Connection, event: int, info: int) -> None:
        notes = self._of(conn)
        if event == _BACKLOG_CHANGE:
            self._backlog(conn, notes, info)
        elif event != _RETRIEVE:
            return
        elif info in _OPTIONAL:
            notes.optional = True
            self.check("CH-210", self._open(conn, notes), f"optional upload reason {info} in a half-closed connection")
        elif is_mandatory(info):
            self._mandatory(conn, notes, info)

    def _mandatory(self, conn: Connection, notes: _Notes, reason: int) -> None:
        if reason == _URGENT_DATA and notes.urgent_invalid and not notes.urgent_possible:
            self.breach("CH-203", "upload request for an URG segment that is not valid")
        first = len(conn.retrieves) == 1
        if notes.final is not None and notes.final[0] == TIME_WAIT and first:
            suppressed = reason == _INVALID_STATE and self._kept_back(conn, notes)
            self.check("CH-211", reason == _UPLOAD_REQUESTED or suppressed, f"upload reason {reason} in TIME_WAIT")
        elif reason == _UPLOAD_REQUESTED and not notes.syn_seen and not conn.fins.heard:
            notes.shortage = self.now
        if notes.stop is None:
            notes.stop = _Stop(self.now, reason, conn.reach(self.now), conn.sent)

    def _open(self, conn: Connection, notes: _Notes) -> bool:
        """False if the connection is half closed for certain (FIN_WAIT_1, FIN_WAIT_2 or CLOSE_WAIT)."""
        if conn.first_state in (FIN_WAIT_1, FIN_WAIT_2) and not conn.fins.heard:
            return False
        ours = conn.fin_out is not None and conn.fin_out + LATE < self.now
        handed = conn.first_state == CLOSE_WAIT
        theirs = handed or (notes.fin_acked is not None and notes.fin_acked + LATE < self.now)
        return not ((ours and not conn.fins.heard) or (theirs and conn.own_fin is None))

    def _backlog(self, conn: Connection, notes: _Notes, value: int) -> None:
        if notes.backlog is not None:
            before, tick = notes.backlog
            change, since = abs(value - before), self.now - tick
            tiny = change < number(conn.const, "remote_mss", 536)
            rapid = since < self.ticks_per_second // _RAPID
            self.check("CH-213", not tiny and not rapid, f"backlog changes by {change} bytes after {since} ticks")
        notes.backlog = (value, self.now)

    # --- completions -----------------------------------------------------------------------------------

    def posted(self, item: Item) -> None:
        if self._of(item.connection).stop is not None and item.kind == "send":
            self.trigger("CH-207")

    def completed(self, kind: str, item: Item | None, done: List, head: bool) -> None:
        if item is None or item.kind != kind:
            return
        conn, notes = item.connection, self._of(item.connection)
        if kind == "receive" and done.transferred:
            notes.called = self.now
        text = f"{kind} NBL {done.ident} came back {done.status!r}"
        if done.status == UPLOAD_IN_PROGRESS and notes.optional and not conn.stopped and not self.uploading:
            self.breach("CH-208", f"{text} after an optional upload request")
        if notes.shortage is not None and item.tick > notes.shortage and conn.terminating is None and kind == "send":
            legal = done.status == UPLOAD_IN_PROGRESS or (
                done.status == REQUEST_ABORTED and (conn.abort_raised is not None or conn.aborting is not None)
            )
            self.check("CH-212", legal, f"{text}, posted after UploadRequested")
        if kind == "receive" and notes.stop is not None and notes.stop.reason != _INVALID_STATE:
            beyond = conn.delivered + (done.transferred or 0) - notes.stop.received.now
            if beyond > 0 and done.status == SUCCESS:
                self.breach("CH-207", f"{beyond} bytes delivered that came after upload reason {notes.stop.reason}")
