"""Live rules of the wire, seen from the NIC: what it sends against what it was sent.

`on_transmit` gets every frame the NIC sends, in order, before the network can touch it; `on_receive` every frame
that enters the NIC, after the network. The monitor does not know which received frames the NIC has dealt with
yet, so every rule that uses them is a bound that only more reception can relax: no race, no false alarm. It does
not know the congestion window either. It knows wire formats and RFCs, nothing of the design.

Positions in sequence space are kept relative to the initial sequence numbers, signed differences modulo 2^32.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from typing import Final

from tb.monitors.wire_ecn import ECN_RULES, EcnWatch
from tb.monitors.wire_headers import (
    ACK,
    FIN,
    RST,
    SYN,
    URG,
    WireSegment,
    read_behind_options,
    read_segment,
    read_stamps,
)  # fmt: skip
from tb.monitors.wire_paths import PathSizes

RULES: Final[dict[str, str]] = {
    "MUST-2": "every sent segment has right checksums",
    "LENGTH": "every sent frame is as long as its IP total length says, or 60 bytes",
    "DF": "every sent segment has DF set (RFC 1191)",
    "PADDING": "Ethernet padding is zero",
    "MUST-68": "every sent option has a legal length",
    "MUST-69": "TCP header padding is zero",
    "MUST-16": "payload is at most the peer's MSS, and what the path MTU leaves, minus option bytes",
    "RCV-NXT": "the acknowledgment never falls",
    "ACK-SEEN": "only bytes that came in without a gap are acknowledged",
    "SHLD-14": "the advertised right edge never moves left, scaling included",
    "SHLD-15": "no data goes beyond the right edge the peer advertised, but for a probe of one byte",
    "SND-GAP": "a segment starts at or below the highest byte sent: no gap in sequence space",
    "SND-OLD": "nothing is sent again that was acknowledged long ago",
    "TS-MONO": "TSval never falls (RFC 7323 4.1)",
    "TS-ALL": "once agreed, timestamps are on every segment but RST (RFC 7323 3.2)",
    "TS-ECHO": "TSecr is a TSval that came in (RFC 7323 4.3)",
    "SACK-AGREED": "SACK blocks only where both sides agreed (RFC 2018 2)",
    "SACK-SEEN": "blocks hold only bytes that came in (RFC 2018 3)",
    "SACK-ABOVE": "blocks lie apart, above the ACK; the first may tell of a duplicate (RFC 2018 3, RFC 2883 4)",
    "SACK-FIRST": "of two blocks the one in which data came later is named first (RFC 2018 4)",
    "MUST-19": "after a retransmission by timer nothing else is sent until the head is acknowledged",
    "RTO-BACKOFF": "gaps between retransmissions of one head grow (RFC 6298 5.5, SHLD-30)",
    "DUP-ACK": "an ACK that says nothing new answers a segment that called for one (RFC 5681 4.2, B23)",
    "MUST-40": "data that was accepted is acknowledged in less than 0.5 s",
    "FIN": "FIN keeps its sequence number and nothing lies behind it",
    "FLAGS": "no SYN after the handshake, ACK on every segment, no unasked RST or URG",
    **ECN_RULES,
    "PEER-ACK": "the peer acknowledges nothing that was not sent (a fault of the test, not of the NIC)",
}
"""Rule ids and what they say."""

_DELAYED_ACK_LIMIT: Final = 500
"""Ticks of 1 ms (MUST-40)."""
_FAST_RETRANSMIT_ACKS: Final = 3
_LOST_SEGMENTS: Final = 2
"""A head is lost once more than this many segments above it were reported (RFC 6675: DupThresh - 1)."""
_DEFAULT_MSS: Final = {False: 536, True: 1220}
"""Where no MSS is announced, over IPv4 and IPv6 (RFC 9293 MUST-15)."""
_HEADERS: Final = {False: 40, True: 60}
"""Octets of the IP and TCP headers without options, over IPv4 and IPv6."""
_STAMP_OCTETS: Final = 12
"""The timestamps option with its padding (RFC 7323 A)."""
_HISTORY: Final = 4096
"""Segments of one direction that are remembered at most."""
_MAX_VIOLATIONS: Final = 200
_NOT_YET: Final = 1 << 62
"""A tick that never comes."""


@dataclass(frozen=True, slots=True)
class MonitorConfig:
    """What the monitor may take for granted. Ticks are 1 ms."""

    race_ticks: int = 2
    """A frame received is known to the NIC's sender at the latest this many ticks later."""
    timer_floor: int = 100
    """A head that is sent again later than this after its last event was sent by the timer (RTO minimum / 2)."""
    backoff_slack: int = 8
    """Ticks by which a gap may fall short of its rule: two retransmissions, each a little late or in time."""
    rto_max: int = 60_000
    """Gaps need not grow beyond this."""
    allow_reset: bool = False
    allow_urgent: bool = False


_Ends = tuple[tuple[int, int], tuple[int, int]]
"""Own and peer (IP address, port)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that did not hold."""

    rule: str
    flow: str
    tick: int
    text: str

    def __str__(self) -> str:
        return f"{self.rule} at tick {self.tick} on {self.flow}: {self.text} ({RULES[self.rule]})"


@dataclass(slots=True)
class _Arrival:
    """Contiguous data that came in: its end and when its last copy came."""

    end: int
    tick: int


@dataclass(frozen=True, slots=True)
class _Word:
    """What a received segment can prove: the text that it brought, its timestamp, and what it acknowledged."""

    start: int
    end: int
    stamp: int | None
    sure: bool
    """Not wholly old when it came."""
    ack: int


@dataclass(slots=True)
class _HeadWatch:
    """Retransmissions of the first unacknowledged byte."""

    position: int = -1
    last: int = 0
    gaps: list[int] = field(default_factory=list)
    room: int = 0
    """Octets of a full segment when it was sent by the timer last: the window is one segment then (RFC 5681 3.1)."""
    by_timer: bool = False
    """The latest one was the timer's: no partial or duplicate ACK can have asked for it."""


def _signed(number: int, origin: int) -> int:
    return (number - origin + 0x80000000) % 0x100000000 - 0x80000000


def _dotted(end: tuple[int, int]) -> str:
    address, port = end
    if address >> 32:
        return f"[{IPv6Address(address)}]:{port}"
    return f"{IPv4Address(address)}:{port}"


class Flow:
    """One connection as the NIC's wire shows it. Sent positions count from our ISS, received from the peer's."""

    def __init__(self, ends: _Ends, config: MonitorConfig, report: WireMonitor, *, ipv6: bool) -> None:
        self.name = f"{_dotted(ends[0])}>{_dotted(ends[1])}"
        self._ends = ends
        self._headers = _HEADERS[ipv6]
        self._config = config
        self._monitor = report
        # What we sent.
        self._iss: int | None = None
        self._sent_max = 0
        self._sent_fin: int | None = None
        self._own_shift: int | None = None
        self._own_stamps = False
        self._own_sack = False
        self._ack_sent: int | None = None
        self._edge_sent: int | None = None
        self._stamp_sent: int | None = None
        self._last_pure: tuple[int, int] | None = None
        # What came in.
        self._irs: int | None = None
        self._peer_shift: int | None = None
        self._peer_stamps = False
        self._peer_sack = False
        self._peer_mss = self._own_mss = _DEFAULT_MSS[ipv6]
        self._una = 0
        #: When the sender knew at the latest, and what was acknowledged.
        self._una_log: deque[tuple[int, int]] = deque(maxlen=_HISTORY)
        #: Ticks of ACKs that nobody answers, if they are not kept.
        self._bare_in: deque[int] = deque(maxlen=_HISTORY)
        self._held_back = False
        #: Segments that came in with an ACK, by which a sender shows what it knows while the rest is held back.
        self._words: deque[_Word] = deque(maxlen=_HISTORY)
        #: ACKs that were kept, each of which its next reader may answer, and until when.
        self._kept, self._kept_until = 0, 0
        #: Timestamps of segments that the host handed down, and when, as long as newer ones may overtake them.
        self._handed: deque[tuple[int, int]] = deque(maxlen=_HISTORY)
        self._edge_in = 0
        #: SND.WL1 and SND.WND of a sender that takes windows as RFC 9293 3.10.7.4 says.
        self._wl1 = self._wnd = 0
        self._window_in = 0
        self._contiguous = 0
        self._beyond: list[tuple[int, int]] = []
        self._arrivals: deque[_Arrival] = deque(maxlen=_HISTORY)
        self._stamps_in: set[int] = set()
        self._newest_stamp: int | None = None
        #: Segments that came behind a gap: (start, end, tick, the NIC must have taken it).
        self._apart: deque[tuple[int, int, int, bool]] = deque(maxlen=_HISTORY)
        self.ecn = EcnWatch(self._check, config.timer_floor)
        """What is known of marks."""
        self._calls_for_ack = 0
        self._duplicates_in = 0
        #: What the peer reported above `_una`, in order, and whether it told of a loss since the head was sent last.
        self._reported: list[tuple[int, int]] = []
        self._loss_reported = False
        self._head = _HeadWatch()
        self._fin_in = False
        #: The peer closed first, so the NIC's side is CLOSED when its FIN is acknowledged: no TIME-WAIT.
        self._closed_last = False
        #: ACK numbers that came in after that, each of which is answered by an RST (RFC 9293 3.10.7.1).
        self._late_acks: list[int] = []
        self._reset = False
        self.reset_asked = False
        self.gap_excused = False
        #: What kept-back frames held, from first to behind the last: a FIN may be in there until all of it was seen.
        self._hidden: tuple[int, int] | None = None
        """The host called for an abortive disconnect: an RST may be sent."""
        self.established = False
        """Both SYNs were seen, so all rules apply."""

    # --- received --------------------------------------------------------------------------------------

    def receive(self, seg: WireSegment, tick: int) -> None:
        """A segment with right checksums entered the NIC."""
        if seg.stamps is not None:
            self._stamps_in.add(seg.stamps[0])
            if self._newest(seg):
                self._newest_stamp = seg.stamps[0]
                self._overtake(seg.stamps[0], tick)
        if seg.flags & SYN and self._irs is None:
            self._irs = seg.sequence
            self._contiguous = 1
            self._peer_mss = seg.mss or self._peer_mss
            self._peer_shift = seg.shift
            self._peer_stamps = seg.stamps is not None
            self._peer_sack = seg.sack_permitted
            self._edge_in = 1 + seg.window
            self.ecn.syn(seg.flags)
            self._agree()
        if self._irs is None:
            return
        self._fin_in |= bool(seg.flags & FIN)
        self._reset |= bool(seg.flags & RST)
        start = self._place_in(seg.sequence)
        # of a segment that is wholly old the receiver ignores the ACK too (RFC 9293 3.10.7.4, first check)
        old = start + seg.length <= self._contiguous if seg.length else start < self._contiguous
        self.ecn.received(seg, start, new=self._is_new(start, seg))
        self._take_range(start, seg, tick)
        if seg.flags & ACK and self._iss is not None and not seg.flags & RST:
            self._take_ack(seg, start, tick, surely=not old)

    def _is_new(self, start: int, seg: WireSegment) -> bool:
        """None of its octets came before, and the NIC must take it."""
        end = start + seg.length
        apart = all(end <= left or right <= start for left, right in self._beyond)
        return start >= self._contiguous and apart and self._newest(seg)

    def _place_in(self, sequence: int) -> int:
        irs = self._irs if self._irs is not None else 0
        return self._contiguous + _signed(sequence, irs + self._contiguous)

    def _take_range(self, start: int, seg: WireSegment, tick: int) -> None:
        end = start + seg.length
        acceptable_ack = seg.length == 0 and start == self._contiguous and self._newest(seg)
        if not acceptable_ack:
            self._calls_for_ack += 1
        elif self._held_back:  # the next sender may have newer ones when it gets this (PAWS)
            self._kept += 1
        else:
            self._bare_in.append(tick)
        if seg.flags & RST or seg.length == 0:
            return
        for arrival in self._arrivals:
            if arrival.end > start:
                arrival.tick = tick
        # what came before may be new to the NIC all the same: a hand-over drops what was held out of order
        self._apart.append((start, end, tick, start > self._contiguous and self._newest(seg)))
        if start > self._contiguous:
            insort(self._beyond, (start, end))
        elif end > self._contiguous:
            self._contiguous = end
            while self._beyond and self._beyond[0][0] <= self._contiguous:
                self._contiguous = max(self._contiguous, self._beyond.pop(0)[1])
            self._arrivals.append(_Arrival(self._contiguous, tick))

    def _newest(self, seg: WireSegment) -> bool:
        """No segment with a later timestamp came before: PAWS does not refuse it (RFC 7323 5)."""
        if seg.stamps is None:
            return True
        return self._newest_stamp is None or _signed(seg.stamps[0], self._newest_stamp) >= 0

    def _take_ack(self, seg: WireSegment, start: int, tick: int, *, surely: bool) -> None:
        iss = self._iss if self._iss is not None else 0
        ack = self._una + _signed(seg.acknowledgment, iss + self._una)
        over = ack - self._sent_max
        stamp = None if seg.stamps is None else seg.stamps[0]
        if not seg.flags & SYN:
            self._words.append(_Word(start, start + seg.length, stamp, surely, ack if over <= 0 else 0))
        self._check("PEER-ACK", over <= 0, tick, f"ACK {over} above everything sent")
        if over > 0:
            return
        if self._closed_last and self._sent_fin is not None and self._una > self._sent_fin:
            self._late_acks.append(seg.acknowledgment)
        shift = 0 if seg.flags & SYN else self._peer_shift if self._own_shift is not None else 0
        window = seg.window << (shift or 0)
        told = self._take_blocks(seg, ack, tick)  # a duplicate by what it tells of, with text or without (RFC 6675 2)
        if ack == self._una and (told or (window == self._window_in and not seg.length)):
            self._duplicates_in += 1
        self.ecn.acknowledged(seg, ack, tick, moved=ack > self._una, repeated=self._loss_told)
        if ack > self._una:
            self._una = ack
            self._duplicates_in = 0
            self._head = _HeadWatch(ack, tick)
        elif ack == self._una and window != self._window_in:
            self._head = _HeadWatch(ack, tick)
        elif ack == self._una and window == 0:
            self._head = _HeadWatch()  # an answered probe: the gaps of the next unanswered ones grow anew
        if surely and ack > (self._una_log[-1][1] if self._una_log else 0):
            self._una_log.append((_NOT_YET if self._held_back else tick, ack))
        if ack >= self._una:
            self._window_in = window
        if ack >= self._una and start >= self._wl1:
            self._wl1, self._wnd = start, window
        # an ACK of an older segment moves SND.UNA and leaves SND.WND alone (RFC 9293 3.10.7.4, fifth check)
        self._edge_in = max(self._edge_in, ack + window, self._una + self._wnd)

    def _take_blocks(self, seg: WireSegment, ack: int, tick: int) -> bool:
        """SACK blocks of a received segment, True if they tell of more than those before.

        A loss that they tell of needs no third duplicate (RFC 6675 IsLost).
        """
        iss, una = self._iss if self._iss is not None else 0, max(ack, self._una)
        spans = [
            (self._una + _signed(a, iss + self._una), self._una + _signed(b, iss + self._una)) for a, b in seg.blocks
        ]
        known: list[tuple[int, int]] = []
        for left, right in sorted([*self._reported, *spans]):
            if right > self._sent_max or right <= una:
                continue
            if known and left <= known[-1][1]:
                known[-1] = (known[-1][0], max(right, known[-1][1]))
            else:
                known.append((left, right))
        octets = sum(right - left for left, right in known)
        before = sum(max(0, right - max(left, una)) for left, right in self._reported)
        if known != self._reported:
            self._loss_reported = len(known) >= _FAST_RETRANSMIT_ACKS or octets > _LOST_SEGMENTS * self._smss(tick)
        self._reported = known
        return octets > before

    def _smss(self, tick: int) -> int:
        """Octets of a full segment (RFC 5681 2): the smaller MSS of both SYNs, less the timestamps that all bear.

        The path MTU bounds it (RFC 9293 3.7.1); where it changes, the least that the sender may go by.
        """
        sizes = self._monitor.paths.of(*self._ends, tick)
        path = [] if sizes is None else [sizes.least - self._headers]
        stamps = _STAMP_OCTETS if self._own_stamps and self._peer_stamps else 0
        return min(self._peer_mss, self._own_mss, *path) - stamps

    def _room(self, tick: int) -> int:
        """Octets of options and payload that a segment may have: the peer's MSS, or less if the path MTU says so."""
        sizes = self._monitor.paths.of(*self._ends, tick)
        return self._peer_mss if sizes is None else min(self._peer_mss, sizes.most - self._headers)

    @property
    def _loss_told(self) -> bool:
        """Duplicate ACKs or SACK blocks ask for the head once more."""
        return self._duplicates_in >= _FAST_RETRANSMIT_ACKS or self._loss_reported

    def _agree(self) -> None:
        self.established = self._irs is not None and self._iss is not None

    def begins_anew(self, seg: WireSegment, sent: bool) -> bool:
        """True if `seg` is the first SYN of another connection between the same ends, this one being over."""
        known = self._iss if sent else self._irs
        over = self._reset or (self._fin_in and self._sent_fin is not None)
        return over and seg.flags & (SYN | ACK) == SYN and seg.sequence != known

    def handed_over(self) -> None:
        """Another sender (host or engine) goes on; it may compute its RTO anew."""
        self._head = _HeadWatch()
        self._reported, self._loss_reported = [], False
        self.ecn.handed_over()

    def hold_back(self, tick: int) -> None:
        """From now on, or from a moment ago, what comes in is kept for the next sender (CH-204)."""
        since = tick - self._config.race_ticks
        self._held_back = True
        self._kept += sum(when >= since for when in self._bare_in)
        self._heard_at(lambda when: _NOT_YET if when >= since else when)

    def hand_on(self, tick: int) -> None:
        """The next sender has what was kept for it, and answers it now or never."""
        self._held_back = False
        self._kept_until = tick + self._config.race_ticks
        self._heard_at(lambda when: tick if when == _NOT_YET else when)

    def _heard_at(self, heard: Callable[[int], int]) -> None:
        self._una_log = deque([(heard(when), ack) for when, ack in self._una_log], maxlen=_HISTORY)

    # --- sent ------------------------------------------------------------------------------------------

    def transmit(self, seg: WireSegment, tick: int) -> None:
        """The NIC sent a segment."""
        for rule, what in seg.faults:
            self._check(rule, False, tick, what)
        for rule in ("MUST-2", "LENGTH", "DF", "PADDING", "MUST-68", "MUST-69"):
            self._monitor.checked[rule] += 1
        if not seg.sums_right:
            return
        if seg.flags & SYN and self._iss is None:
            self._iss = seg.sequence
            self._sent_max = 1
            self._own_mss = seg.mss or self._own_mss
            self._own_shift = seg.shift
            self._own_stamps = seg.stamps is not None
            self._own_sack = seg.sack_permitted
            self.ecn.syn(seg.flags)
            self._agree()
        if seg.flags & SYN:
            if seg.flags & ACK or not self._sent_after_syn():
                self._note_ack(seg, tick)
            else:
                self._check("FLAGS", False, tick, "SYN after the handshake")
            return
        if self._iss is None or not self.established:
            return
        self._flags(seg, tick)
        self._stamps(seg, tick)
        self._congestion(seg, tick)
        if seg.flags & RST:
            self._reset = True
            return
        self._acknowledgment(seg, tick)
        if seg.blocks:
            self._blocks(seg, tick)
        self._data(seg, tick)

    def _sent_after_syn(self) -> bool:
        return self._ack_sent is not None

    def _check(self, rule: str, holds: bool, tick: int, text: str) -> None:
        self._monitor.check(rule, holds, self.name, tick, text)

    def _flags(self, seg: WireSegment, tick: int) -> None:
        self._check("FLAGS", bool(seg.flags & (ACK | RST)), tick, "segment without ACK")
        asked = self._config.allow_reset or self.reset_asked or self._answers_a_late_ack(seg)
        self._check("FLAGS", asked or not seg.flags & RST, tick, "RST")
        self._check("FLAGS", self._config.allow_urgent or not seg.flags & URG, tick, "URG")

    def _answers_a_late_ack(self, seg: WireSegment) -> bool:
        if seg.flags != RST or seg.sequence not in self._late_acks:
            return False
        self._late_acks.remove(seg.sequence)
        return True

    def _stamps(self, seg: WireSegment, tick: int) -> None:
        agreed = self._own_stamps and self._peer_stamps
        if not agreed:
            self._check("TS-ALL", seg.stamps is None, tick, "timestamp though not agreed")
            return
        self._check("TS-ALL", seg.stamps is not None or bool(seg.flags & RST), tick, "no timestamp")
        if seg.stamps is None:
            return
        value, echo = seg.stamps
        if self._stamp_sent is not None:
            back = -_signed(value, self._stamp_sent)
            self._check("TS-MONO", back <= 0, tick, f"TSval {value} is {back} below the one before")
        self._stamp_sent = value
        known = echo in self._stamps_in or bool(seg.flags & RST)
        self._check("TS-ECHO", known, tick, f"TSecr {echo} never came in")

    def _scale(self) -> int:
        """Our window shift: in force only if both sides offered one."""
        return self._own_shift if self._own_shift is not None and self._peer_shift is not None else 0

    def _note_ack(self, seg: WireSegment, tick: int) -> None:
        if not seg.flags & ACK or self._irs is None:
            return
        ack = self._place_in(seg.acknowledgment)
        shift = 0 if seg.flags & SYN else self._scale()
        edge = ack + (seg.window << shift)
        if self._ack_sent is not None and self._edge_sent is not None:
            self._check("RCV-NXT", ack >= self._ack_sent, tick, f"ACK fell by {self._ack_sent - ack}")
            self._check("SHLD-14", edge >= self._edge_sent, tick, f"right edge fell by {self._edge_sent - edge}")
        over = ack - self._contiguous
        self._check("ACK-SEEN", over <= 0, tick, f"{over} bytes acknowledged that did not come in")
        self._delayed_ack(ack, tick)
        self._ack_sent = max(ack, self._ack_sent or 0)
        self._edge_sent = max(edge, self._edge_sent or 0)

    def _delayed_ack(self, ack: int, tick: int) -> None:
        while self._arrivals and self._arrivals[0].end <= ack:
            waited = tick - self._arrivals.popleft().tick
            self._check("MUST-40", waited <= _DELAYED_ACK_LIMIT, tick, f"data waited {waited} ticks for its ACK")

    def _acknowledgment(self, seg: WireSegment, tick: int) -> None:
        pure = seg.length == 0 and self._position(seg) == self._sent_max
        before = (self._ack_sent, self._edge_sent)
        self._note_ack(seg, tick)
        said = (seg.acknowledgment, seg.window)
        if pure and before == (self._ack_sent, self._edge_sent) and said == self._last_pure:
            if not self._held_back and tick > self._kept_until:
                self._kept = 0
            called = self._calls_for_ack + self._kept > 0
            self._check("DUP-ACK", called, tick, "repeated ACK that nothing called for")
            if self._calls_for_ack:
                self._calls_for_ack -= 1
            else:
                self._kept = max(0, self._kept - 1)
        elif seg.length == 0 and before[0] != self._ack_sent:  # a window update answers no segment
            self._calls_for_ack = max(0, self._calls_for_ack - 1)
        self._last_pure = said

    def _blocks(self, seg: WireSegment, tick: int) -> None:
        """The SACK option of a sent segment."""
        self._check("SACK-AGREED", self._own_sack and self._peer_sack, tick, "blocks though not agreed")
        ack = self._place_in(seg.acknowledgment)
        spans = [(self._place_in(left), self._place_in(right)) for left, right in seg.blocks]
        for left, right in spans:
            self._check("SACK-SEEN", self._came_in(left, right), tick, f"[{left}, {right}) did not come in")
        if spans[0][0] < ack or any(left <= spans[0][0] and spans[0][1] <= right for left, right in spans[1:]):
            del spans[0]
        for n, (left, right) in enumerate(spans):
            apart = all(right < low or high < left for low, high in spans[:n])
            self._check("SACK-ABOVE", apart and left > ack, tick, f"[{left}, {right}) is not apart above ACK {ack}")
        for earlier, later in pairwise(spans):
            known = self._last_in(later, tick - self._config.race_ticks, surely=True)
            right_order = known <= self._last_in(earlier, tick, surely=False)
            self._check("SACK-FIRST", right_order, tick, f"block {later} grew later than {earlier}")

    def _congestion(self, seg: WireSegment, tick: int) -> None:
        """ECN field and flags of a sent segment; a keep-alive probe says nothing."""
        start, ack = self._position(seg), self._place_in(seg.acknowledgment)
        probe = not seg.payload_length and start == self._una_before(tick) - 1
        self.ecn.sent(seg, start, self._sent_max, ack, tick, probe=probe)

    def _came_in(self, left: int, right: int) -> bool:
        """Every byte of [left, right) came in."""
        at = max(left, self._contiguous)
        for start, end in self._beyond:
            if start > at:
                break
            at = max(at, end)
        return left < right and (right <= self._contiguous or at >= right)

    def _last_in(self, span: tuple[int, int], tick: int, *, surely: bool) -> int:
        """Number of the last segment up to ``tick`` that came into a block, -1 if none is remembered."""
        for number in range(len(self._apart) - 1, -1, -1):
            start, end, came, sure = self._apart[number]
            if came <= tick and (sure or not surely) and span[0] <= start and end <= span[1]:
                return number
        return -1

    def called_for_ack(self) -> None:
        """Something beside a segment calls for an ACK."""
        self._calls_for_ack += 1

    def handed_down(self, stamps: tuple[int, int] | None, tick: int) -> None:
        """A segment that came in before is on its way to the connection: newer ones overtook it or may yet (PAWS)."""
        if stamps is None or self._newest_stamp is None:
            return
        if _signed(stamps[0], self._newest_stamp) < 0:
            self.called_for_ack()
        else:
            self._handed.append((stamps[0], tick))

    def _overtake(self, stamp: int, tick: int) -> None:
        """A segment with a newer timestamp came in."""
        while self._handed and self._handed[0][1] < tick - self._config.race_ticks:
            self._handed.popleft()
        for old in [one for one in self._handed if _signed(one[0], stamp) < 0]:
            self._handed.remove(old)
            self.called_for_ack()

    def _position(self, seg: WireSegment) -> int:
        iss = self._iss if self._iss is not None else 0
        return self._sent_max + _signed(seg.sequence, iss + self._sent_max)

    def _data(self, seg: WireSegment, tick: int) -> None:
        start = self._position(seg)
        end = start + seg.payload_length
        gap = start - self._sent_max
        self._check("SND-GAP", gap <= 0 or self.gap_excused, tick, f"{gap} bytes left out")
        if gap > 0 and self.gap_excused:
            self._hidden = (self._sent_max if self._hidden is None else self._hidden[0], start)
        self.gap_excused &= gap <= 0
        old = self._una_before(tick - self._config.race_ticks)
        if self._held_back:
            old = max(old, self._una_shown(seg))
        probe = seg.payload_length <= 1 and start == old - 1 and not seg.flags & FIN
        useful = end + (seg.flags & FIN) > old or seg.length == 0
        low = start >= old - 1 or seg.length != 0
        self._check("SND-OLD", probe or (useful and low), tick, f"sends [{start}, {end}), acknowledged up to {old}")
        if seg.payload_length:
            room = self._room(tick) - seg.option_length
            text = f"{seg.payload_length} bytes, MSS and path MTU allow {room}"
            self._check("MUST-16", seg.payload_length <= room, tick, text)
            one = seg.payload_length == 1 and start == self._edge_in
            over = end - self._edge_in
            self._check("SHLD-15", over <= 0 or one, tick, f"{over} bytes beyond the peer's right edge")
        self._fin(seg, end, tick)
        if self._hidden is not None and start <= self._hidden[0] < end:
            self._hidden = (end, self._hidden[1]) if end < self._hidden[1] else None
        if seg.length and not probe:
            self._retransmission(start, seg, tick)
        self._sent_max = max(self._sent_max, end + (seg.flags & FIN))

    def _una_before(self, tick: int) -> int:
        """What the peer had acknowledged at `tick`."""
        una = 0
        for when, ack in reversed(self._una_log):
            if when <= tick:
                una = ack
                break
        return una

    def _una_shown(self, seg: WireSegment) -> int:
        """What the sender of a segment knows to be acknowledged, as the segment itself shows.

        Text is taken behind the ACK field of its segment (RFC 9293, 3.10.7.4, fifth and seventh check), so who
        acknowledges an octet has taken the ACK of one of the segments that held it; who echoes a timestamp, that
        of a segment which bore it (RFC 7323, 4.3). Of several, the least counts.
        """
        last = self._place_in(seg.acknowledgment) - 1
        held = [word.ack for word in self._words if word.start <= last < word.end]
        echo = None if seg.stamps is None else seg.stamps[1]
        stamped = [word.ack if word.sure else 0 for word in self._words if word.stamp == echo] if echo else []
        return max(min(held, default=0), min(stamped, default=0))

    def _fin(self, seg: WireSegment, end: int, tick: int) -> None:
        if seg.flags & FIN:
            if self._sent_fin is None:
                least = self._sent_max if self._hidden is None else self._hidden[0]
                self._check("FIN", end >= least, tick, f"FIN {least - end} bytes before the end")
                self._sent_fin = end
                self._closed_last = self._fin_in
            self._check("FIN", end == self._sent_fin, tick, f"FIN moved by {end - self._sent_fin}")
        elif self._sent_fin is not None and seg.payload_length:
            self._check("FIN", end <= self._sent_fin, tick, f"{end - self._sent_fin} bytes behind the FIN")

    def _retransmission(self, start: int, seg: WireSegment, tick: int) -> None:
        head = self._head
        if start == self._una and self._sent_max > start:
            repeated, self._loss_reported = self._loss_told, False
            if head.position != start:
                self._head = head = _HeadWatch(start, tick)
                return
            if repeated:  # duplicates ask for it, behind a hand-over perhaps once more
                head.last, head.gaps = tick, [0]
            else:
                self._gap(head, tick)
            asked_for = repeated or self._window_in == 0
            sends = seg.payload_length
            room = self._room(tick)
            self._check("MUST-19", sends <= room, tick, f"sends {sends} bytes again, a segment has {room}")
            head.by_timer = head.gaps[-1] >= self._config.timer_floor and not asked_for
            if head.by_timer:
                head.room = room
                self._duplicates_in = 0
        elif start == self._una:
            self._head = _HeadWatch(start, tick)
        elif start < self._una:  # the ACK that moved it was not acceptable: the timer is that of an earlier head
            self._head = _HeadWatch(self._una, tick)
        elif head.by_timer and head.position == self._una:
            ahead = start + seg.payload_length - self._una
            allowed = self._duplicates_in > 0 or ahead <= head.room
            self._check("MUST-19", allowed, tick, f"sends up to {ahead} bytes beyond the unacknowledged head")

    def _gap(self, head: _HeadWatch, tick: int) -> None:
        gap = tick - head.last
        head.last = tick
        if head.gaps:
            before = head.gaps[-1]
            slack = self._config.backoff_slack
            least = min(2 * before if head.by_timer else before, self._config.rto_max) - slack
            self._check("RTO-BACKOFF", gap >= least, tick, f"gap {gap} after {before} ticks, at least {least} wanted")
        head.gaps.append(gap)


def _without_checksum(segment: bytes) -> bytes:
    return segment[:16] + segment[18:]


class WireMonitor:
    """All flows of one NIC. `violations` must be empty at the end and `checked` must not be."""

    def __init__(self, config: MonitorConfig | None = None) -> None:
        self.config: Final = config or MonitorConfig()
        self.paths: Final = PathSizes(self.config.race_ticks)
        """What the host port tells of path MTUs: feed it the records there."""
        self.violations: Final[list[Violation]] = []
        """Broken rules in order, at most 200."""
        self.total_violations = 0
        self.checked: Final[Counter[str]] = Counter()
        """How often each rule was looked at; a rule that never was proves nothing."""
        self.frames_sent = 0
        self.frames_received = 0
        self._flows: dict[_Ends, Flow] = {}
        self._for_the_host: dict[bytes, WireSegment] = {}
        """Segments behind IPv4 options, by their bytes without the checksum: they count when handed down."""

    def on_transmit(self, frame: bytes, tick: int) -> None:
        """The NIC sends a frame."""
        self.frames_sent += 1
        seg = read_segment(frame)
        if seg is not None:
            self._flow(seg.source, seg.destination, seg, sent=True).transmit(seg, tick)

    def on_receive(self, frame: bytes, tick: int) -> None:
        """A frame enters the NIC; one with wrong checksums is as if it had not come."""
        self.frames_received += 1
        seg = read_segment(frame)
        if seg is not None and seg.sums_right:
            self._flow(seg.destination, seg.source, seg, sent=False).receive(seg, tick)
        elif (found := read_behind_options(frame)) is not None:
            self._for_the_host[_without_checksum(found[0])] = found[1]

    def on_forward(self, segment: bytes, tick: int) -> None:
        """The host hands down a segment, from its TCP header on; what the NIC could read itself has come already."""
        for (own, peer), flow in self._flows.items():  # the ECN field is not handed down
            if (peer[1], own[1]) == (int.from_bytes(segment[:2], "big"), int.from_bytes(segment[2:4], "big")):
                flow.ecn.handed_over()
                flow.handed_down(read_stamps(segment), tick)
        seg = self._for_the_host.pop(_without_checksum(segment), None)
        if seg is not None:
            self._flow(seg.destination, seg.source, seg, sent=False).receive(seg, tick)

    def check(self, rule: str, holds: bool, flow: str, tick: int, text: str) -> None:
        """Count one look at a rule, and report if it does not hold."""
        self.checked[rule] += 1
        if holds:
            return
        self.total_violations += 1
        if len(self.violations) < _MAX_VIOLATIONS:
            self.violations.append(Violation(rule, flow, tick, text))

    def on_hand_over(self) -> None:
        """Connections were offloaded or uploaded; rules about one sender's timers start anew."""
        for flow in self._flows.values():
            flow.handed_over()

    def forget_marks(self) -> None:
        """A connection changes its owner, who knows nothing of CE that came before and of ECE that was answered."""
        for flow in self._flows.values():
            flow.ecn.handed_over()

    def expect_reset(self, own_port: int) -> None:
        """The host called for an abortive disconnect of the connection from this port: it may send an RST."""
        for flow in self._from(own_port):
            flow.reset_asked = True

    def expect_window(self, own_port: int) -> None:
        """The host calls for an ACK of the connection from this port, even if the window is the same."""
        for flow in self._from(own_port):
            flow.called_for_ack()

    def expect_gap(self, own_port: int) -> None:
        """Frames of the connection from this port may have been kept back by an INVALIDATE: one gap is theirs."""
        for flow in self._from(own_port):
            flow.gap_excused = True

    def hold_back(self, own_port: int, tick: int) -> None:
        """What comes in for the connection from this port is kept for its next sender."""
        for flow in self._from(own_port):
            flow.hold_back(tick)

    def hand_on(self, own_port: int, tick: int) -> None:
        """The next sender has it, and what the host was given to hand down and did not: each may be old by now."""
        for flow in self._from(own_port):
            flow.hand_on(tick)
        for key, seg in list(self._for_the_host.items()):
            if seg.destination[1] == own_port:
                del self._for_the_host[key]
                self._flow(seg.destination, seg.source, seg, sent=False).called_for_ack()

    def _from(self, own_port: int) -> list[Flow]:
        return [flow for (own, _), flow in self._flows.items() if own[1] == own_port]

    def _flow(self, own: tuple[int, int], peer: tuple[int, int], seg: WireSegment, *, sent: bool) -> Flow:
        key = (own, peer)
        flow = self._flows.get(key)
        if flow is None or flow.begins_anew(seg, sent):
            flow = self._flows[key] = Flow(key, self.config, self, ipv6=seg.ipv6)
        return flow
