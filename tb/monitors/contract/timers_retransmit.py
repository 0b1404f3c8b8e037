"""Section 9.10, retransmission, round-trip samples, timestamps, hand-over of timers (CH-214..216, CH-222..224).

The monitor does not know the RTO. A head that is sent again later than `_TIMER_FLOOR` after its last event was sent by
the timer; the gap between two such events is that RTO, and the next one is at most twice as long.

With SACK a duplicate ACK is one that tells of something new, and the fast retransmit may come earlier: as soon as
the blocks tell of as many ranges, or of more full segments than the threshold less one (RFC 6675 2, 4, 5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final
from weakref import WeakKeyDictionary

from tb.monitors.contract.acceptance import Answer, Early, Held
from tb.monitors.contract.receive_books import NEVER, SUCCESS, Connection, Shared, number
from tb.monitors.contract.receive_segments import ACK, RST, SYN, Segment, segment_of, unwrap
from tb.monitors.contract.receive_stream import Arrival
from tb.monitors.contract.receive_watch import LATE, RACE, BookedMonitor
from tb.monitors.contract.trace import Frame, Node

_TIMER_FLOOR_PER_SECOND: Final = 10
"""No RTO is shorter than a tenth of a second."""
_FAST: Final = 4 * LATE
"""Ticks within which a fast retransmit leaves."""
_NEXT_RTO: Final = 4
"""Gaps to the next expiry at the very most: it doubles, once more for the unknown."""
_TIMESTAMPS: Final = 1
_SACK: Final = 2
_TIMEOUT_EXPIRATION: Final = 8
_MAX_SAMPLE: Final = 8191
_SRTT_SCALE: Final = 8


@dataclass(slots=True)
class _Head:
    """The first unacknowledged byte and its retransmissions."""

    position: int
    since: int
    last: int
    """Tick of its last copy, or of the ACK that made it the head."""
    copies: int = 0
    timed: list[int] = field(default_factory=list)
    """Ticks of the copies that the timer sent."""
    duplicates: int = 0
    """Duplicate ACKs that count for certain."""
    possible: int = 0
    """The same with those that PAWS may have dropped, and those for a number that may be SND.UNA still."""
    shut: int = 0
    """Those that keep the window shut over what is in flight: duplicates (RFC 5681 2), or answers to a probe."""
    carried: int = 0
    """Those that came for the head before, which may be the head still."""
    before: list[int] = field(default_factory=list)
    """Ticks of those that came when nothing was on its way: what leaves just then may have been sent before them."""
    doubtful: bool = False
    inherited: bool = False


@dataclass(slots=True)
class _Notes:
    """What is remembered of a connection."""

    head: _Head
    recover: int
    """Fast retransmit is judged above this position only."""
    recover_at: int | None = None
    """Tick at which the recovery up to there began; its end is not certain for `LATE` ticks."""
    samples: tuple[int, int] | None = None
    """Smallest and largest round-trip sample that the NIC can have taken."""
    early: Early[tuple[int, int]] = field(default_factory=Early)
    """Samples that came with acknowledgments of what was not sent."""
    told: list[tuple[int, int]] = field(default_factory=list)
    """What SACK blocks told of above the head, in order, apart from each other."""
    largest: int = 0
    """Largest segment that was sent: no more than the NIC's MSS."""

    def sampled(self, sample: tuple[int, int]) -> None:
        """The NIC may have taken a sample between these two: no less than one tick, no more than it can hold (G-11)."""
        low, high = (min(max(1, ticks), _MAX_SAMPLE) for ticks in sample)
        old = self.samples or (low, high)
        self.samples = (min(low, old[0]), max(high, old[1]))

    def lost(self, threshold: int) -> bool:
        """What was told of above the head shows that the head is lost (RFC 6675 4, IsLost)."""
        octets = sum(right - left for left, right in self.told)
        return octets > (threshold - 1) * self.largest or len(self.told) >= threshold


@dataclass(eq=False, slots=True)
class _Owed:
    """What an uploaded connection should have acknowledged, and what it did: ends of its peer's stream."""

    position: int
    acked: int


def _merge(notes: _Notes, conn: Connection, blocks: Iterable[tuple[int, int]]) -> bool:
    """Note what blocks tell of between the head and what was sent. True if something of it is new (RFC 6675 2)."""
    floor = min(conn.gate.una, conn.una)
    before = sum(right - left for left, right in notes.told if left > floor)
    spans = [span for span in notes.told if span[0] > floor]
    for block in blocks:
        left, right = (unwrap(edge, conn.una) for edge in block)
        if floor < left < right <= conn.sent:
            met = [span for span in spans if span[0] <= right and left <= span[1]]
            spans = [span for span in spans if span not in met]
            spans.append((min([left, *(s[0] for s in met)]), max([right, *(s[1] for s in met)])))
    notes.told = sorted(spans)
    return sum(right - left for left, right in notes.told) > before


class Retransmission(BookedMonitor):
    """The retransmit timer and its relatives, as far as the wire shows them."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-214": "retransmission ends with TimeoutExpiration at MaxRT, or else at TcpMaximumRetransmissions",
        "CH-215": "MaxRT of all ones lets retransmission go on for ever",
        "CH-216": "the duplicate ACK that reaches TcpDuplicateAckThreshold brings the fast retransmit, no earlier one",
        "CH-222": "no delayed ACK is left over at an upload",
        "CH-223": "round-trip samples are this target's timestamp clock less the echo, also for the host's segments",
        "CH-224": "timestamps on the wire never fall, whoever sends",
    }

    def __init__(self) -> None:
        super().__init__()
        self._notes: WeakKeyDictionary[Connection, _Notes] = WeakKeyDictionary()
        self._owed: dict[tuple[str, tuple[int, int], tuple[int, int]], _Owed] = {}
        """Uploaded connections whose last ACK may still be seen."""
        self._stamps: dict[tuple[str, tuple[int, int], tuple[int, int]], int] = {}

    def _of(self, conn: Connection) -> _Notes:
        notes = self._notes.get(conn)
        if notes is None:
            head = _Head(conn.una, self.now, self.now, inherited=True)
            in_flight = conn.sent > conn.first_una
            notes = self._notes[conn] = _Notes(head, conn.sent if in_flight else conn.first_una - 1)
        return notes

    # --- timestamps ------------------------------------------------------------------------------------

    def frame_out(self, frame: Frame) -> None:
        seg = segment_of(frame.data)
        if seg is None:
            return
        key = (frame.adapter, seg.source, seg.destination)
        if key in self._owed and not frame.raw:
            owed = self._owed[key]
            owed.acked = max(owed.acked, unwrap(seg.acknowledgment, owed.acked))
        if seg.stamps is None:
            return
        before = self._stamps.get(key)
        self._stamps[key] = seg.stamps[0]
        if before is not None and not seg.has(SYN):
            back = before - unwrap(seg.stamps[0], before)
            self.check("CH-224", back <= 0, f"TSval {seg.stamps[0]} is {back} below the one before")

    def _sample(self, conn: Connection, notes: _Notes, seg: Segment) -> None:
        ack = unwrap(seg.acknowledgment, conn.una)
        enabled = number(conn.const, "flags") & _TIMESTAMPS
        if seg.stamps is None or not enabled or not seg.has(ACK) or conn.placed is None:
            return
        start = number(conn.delegated, "ts_time")
        low = unwrap(start + (self.now - conn.placed) - seg.stamps[1], 0)
        sample = (low, low + (conn.placed - conn.began) + LATE)
        if ack > conn.sent:
            notes.early.add(Held(self.now, ack, sample))
        elif conn.judge(seg, self.now) is not Answer.NO:
            notes.sampled(sample)

    def segment_sent(self, conn: Connection, seg: Segment) -> None:
        notes = self._of(conn)
        for held in notes.early.due(self.now, conn.sent):
            notes.sampled(held.item)

    def reported(self, held: Connection | Shared, node: Node, asked: int, terminated: bool) -> None:
        if not isinstance(held, Connection) or node.delegated is None or node.status != SUCCESS:
            return
        self._check_srtt(held, self._of(held), node)
        quiet = held.abort_raised is None and held.aborting is None and held.reset_in is None and not held.muted
        quiet = quiet and not held.retrieves and held.arrived > held.inherited_end
        if terminated and quiet and "rcv_nxt" in node.delegated:
            position = unwrap(number(node.delegated, "rcv_nxt"), held.acked)
            owed = self._owed[self.adapter, *held.ends] = _Owed(position, held.acked)
            self.expect(self.now + LATE, lambda: self._flushed(owed))

    def _flushed(self, owed: _Owed) -> None:
        self._owed = {ends: other for ends, other in self._owed.items() if other is not owed}
        text = f"{owed.position - owed.acked} bytes below RcvNxt were not acknowledged at the upload"
        self.check("CH-222", owed.acked >= owed.position, text)

    def _check_srtt(self, conn: Connection, notes: _Notes, node: Node) -> None:
        if notes.samples is None or node.delegated is None or "s_rtt" not in node.delegated:
            return
        value = number(node.delegated, "s_rtt")
        inherited = number(conn.delegated, "s_rtt")
        low, high = (notes.samples[0] - 1) * _SRTT_SCALE, (notes.samples[1] + 1) * _SRTT_SCALE
        if inherited:
            low, high = min(low, inherited - _SRTT_SCALE), max(high, inherited + _SRTT_SCALE)
        good = low <= value <= high or (value == 0 and inherited == 0)
        self.check("CH-223", good, f"SRtt {value} / 8 is not between the samples {notes.samples}")

    # --- what came in ----------------------------------------------------------------------------------

    def segment_in(self, conn: Connection, seg: Segment) -> None:
        if not conn.accepts_tag(seg) or seg.has(RST | SYN) or not seg.has(ACK):
            return
        notes = self._of(conn)
        self._sample(conn, notes, seg)
        ack = unwrap(seg.acknowledgment, conn.una)
        window = seg.window << conn.scale("snd_wind_scale")
        same = window in conn.peer_windows
        # a segment from below RCV.NXT is not acceptable, so its ACK does not count (RFC 9293, 3.10.7.4)
        acceptable = conn.judge(seg, self.now) is Answer.YES
        acceptable = acceptable and unwrap(seg.sequence, conn.arrived) >= conn.next_bounds[1]
        acceptable = acceptable and len(conn.peer_windows) == 1
        notes.head.doubtful |= self.crowded
        # what was sent only when it was acknowledged is perhaps not acknowledged: the head may lie below it
        lowest = min(conn.gate.una, conn.una)
        if ack == conn.una == conn.sent and same and seg.window and not seg.length:
            notes.head.before.append(self.now)
        if not lowest <= ack <= conn.una or conn.sent <= ack:
            return
        if number(conn.const, "flags") & _SACK:
            news = _merge(notes, conn, seg.blocks)
        elif not same or seg.length:
            return
        elif not seg.window:
            notes.head.shut += 1
            self._perhaps(conn, notes)
            return
        else:
            news = True
        notes.head.possible += 1
        notes.head.duplicates += news and acceptable and lowest == conn.una
        self._duplicate(conn, notes)

    def segment_taken(self, conn: Connection, seg: Segment, new: list[Arrival]) -> None:
        notes = self._of(conn)
        if conn.una > notes.head.position:
            carried = 0 if conn.gate.una > notes.head.position else notes.head.possible + notes.head.carried
            notes.head = _Head(conn.una, self.now, self.now, carried=carried)

    def _duplicate(self, conn: Connection, notes: _Notes) -> None:
        threshold = self.parameter("tcp_duplicate_ack_threshold")
        head = notes.head
        inherited = head.inherited and number(conn.delegated, "dup_ack_count")
        several = threshold is not None and head.possible + head.carried >= threshold
        if threshold is None or not (several or inherited or notes.lost(threshold)):
            return
        before = self._recovering(conn, notes)
        notes.recover_at, notes.recover = self.now, max(notes.recover, conn.sent)
        doubtful = before or head.doubtful or inherited or conn.over or conn.released is None
        if head.duplicates == head.possible == threshold and not doubtful:
            copies = head.copies
            self.expect(self.now + _FAST, lambda: self._resent_by_now(conn, head, copies), conn)

    def _perhaps(self, conn: Connection, notes: _Notes) -> None:
        """With those that keep the window shut the threshold may be reached, and a recovery have begun.

        Not over the octet of a probe alone: the ACK that takes it ends whatever recovery there was (RFC 6582, 3.2).
        """
        threshold, head = self.parameter("tcp_duplicate_ack_threshold"), notes.head
        several = threshold is not None and head.possible + head.carried + head.shut >= threshold
        if several and conn.sent - conn.una > 1:
            notes.recover_at, notes.recover = self.now, max(notes.recover, conn.sent)

    def _recovering(self, conn: Connection, notes: _Notes) -> bool:
        """The NIC may be in recovery, or may not be allowed to enter it (RFC 6582)."""
        fresh = notes.recover_at is not None and self.now <= notes.recover_at + LATE
        return fresh or conn.una <= notes.recover

    def _resent_by_now(self, conn: Connection, head: _Head, copies: int) -> None:
        if self._of(conn).head is head and not conn.over and not head.doubtful:
            text = f"{head.duplicates} duplicate ACKs, no retransmission in {_FAST} ticks"
            self.check("CH-216", head.copies > copies, text)
        elif head.copies > copies:
            self.trigger("CH-216")

    # --- what goes out ---------------------------------------------------------------------------------

    def segment_out(self, conn: Connection, seg: Segment) -> None:
        start = unwrap(seg.sequence, conn.sent)
        notes = self._of(conn)
        head = notes.head
        if notes.recover_at is not None and self.now <= notes.recover_at + LATE:
            notes.recover = max(notes.recover, start + seg.length)
        notes.largest = max(notes.largest, len(seg.payload))
        if not seg.length or seg.has(RST) or not start <= conn.una < start + seg.length:
            return
        first = conn.una >= conn.sent
        behind = number(conn.delegated, "snd_nxt") != number(conn.delegated, "snd_max")
        resumed = head.inherited and not head.copies and behind
        probing = conn.peer_edge <= conn.una
        if first or probing or resumed:
            head.copies += resumed
            head.possible += sum(tick + RACE >= self.now for tick in head.before)
            head.before.clear()
            head.since = head.last = self.now
            return
        gap, head.last = self.now - head.last, self.now
        head.copies += 1
        if gap < self.ticks_per_second // _TIMER_FLOOR_PER_SECOND:
            self._early(conn, notes)
            return
        notes.recover_at, notes.recover = self.now, max(notes.recover, conn.sent)
        head.timed.append(self.now)
        self._by_timer(conn, head, gap)

    def _early(self, conn: Connection, notes: _Notes) -> None:
        threshold = self.parameter("tcp_duplicate_ack_threshold")
        head = notes.head
        if threshold is None or head.inherited or self._recovering(conn, notes):
            return
        if head.possible > 0 and head.possible + head.shut < threshold:
            text = f"head sent again after {head.possible} duplicate ACKs, {threshold} are the threshold"
            self.breach("CH-216", text)

    def _limits(self, conn: Connection) -> tuple[int | None, int]:
        """TcpMaximumRetransmissions and MaxRT."""
        return self.parameter("tcp_maximum_retransmissions"), number(conn.cached, "max_rt")

    def _by_timer(self, conn: Connection, head: _Head, gap: int) -> None:
        count, limit = self._limits(conn)
        sent, spent = len(head.timed), self.now - head.timed[0]
        threshold = self.parameter("tcp_duplicate_ack_threshold")
        fast = threshold is not None and head.possible >= threshold
        wait = _NEXT_RTO * gap + LATE
        if limit == NEVER:
            if count is not None and sent > count:
                self.trigger("CH-215")
            self.expect(self.now + wait, lambda: self._goes_on(conn, head, sent), conn)
        elif limit:
            before = head.timed[-2] - head.timed[0] if sent > 1 else 0
            if before > limit:
                self.breach("CH-214", f"sent again after {before} ticks of retransmission, MaxRT is {limit}")
            elif spent >= limit:
                self.expect(self.now + wait, lambda: self._ended(conn, head, sent), conn)
        elif count is not None:
            if sent > count + fast:
                self.breach("CH-214", f"retransmission number {sent}, the limit is {count}")
            elif sent >= count:
                self.expect(self.now + wait, lambda: self._ended(conn, head, sent), conn)

    def _silent(self, conn: Connection, head: _Head, sent: int) -> bool:
        """Nothing came and nothing was sent again since retransmission number ``sent``."""
        same = self._of(conn).head is head and len(head.timed) == sent and conn.una == head.position
        return same and conn.last_in < head.timed[-1] and not conn.over

    def _ended(self, conn: Connection, head: _Head, sent: int) -> None:
        if self._silent(conn, head, sent):
            self.breach("CH-214", f"no TimeoutExpiration after {sent} retransmissions")

    def _goes_on(self, conn: Connection, head: _Head, sent: int) -> None:
        if self._silent(conn, head, sent):
            self.breach("CH-215", f"retransmission ended after {sent} times though MaxRT has no limit")

    # --- TimeoutExpiration -----------------------------------------------------------------------------

    def event(self, conn: Connection, event: int, info: int) -> None:
        if event != 3 or info != _TIMEOUT_EXPIRATION or conn.sent == conn.una or conn.peer_edge <= conn.una:
            return
        head = self._of(conn).head
        count, limit = self._limits(conn)
        copies = head.copies + (number(conn.delegated, "retransmit_count") if head.inherited else 0)
        spent = self.now - head.since + (number(conn.delegated, "total_rt") if head.inherited else 0)
        if limit == NEVER:
            self.breach("CH-215", f"TimeoutExpiration after {copies} retransmissions though MaxRT has no limit")
        elif limit:
            self.check("CH-214", spent + LATE >= limit, f"TimeoutExpiration after {spent} ticks, MaxRT is {limit}")
        elif count is not None:
            text = f"TimeoutExpiration after {copies} retransmissions, the limit is {count}"
            self.check("CH-214", copies >= count, text)

    def updated(self, held: Connection | Shared, cached: Mapping[str, object] | None) -> None:
        """New limits: what was counted does not say anything any more."""
        for conn in [held] if isinstance(held, Connection) else []:
            position = conn.una
            self._of(conn).head = _Head(position, self.now, self.now, inherited=True)
