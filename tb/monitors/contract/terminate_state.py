"""Rules CH-238 to CH-248: what a completed terminate hands back, node by node."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.acceptance import Answer
from tb.monitors.contract.connection_books import Book, BooksMonitor
from tb.monitors.contract.connection_parts import Connection, Phase, octets, signed, whole
from tb.monitors.contract.trace import Enter, Frame, List, Node, Record, State
from tb.monitors.wire_headers import ACK, ECE, FIN, RST, SYN, URG, WireSegment

_CLOCK_SLACK: Final = 2
"""Ticks by which the target's clock may be off the record's: one at each end."""
_RTT_SLACK: Final = 4
"""Ticks that a frame may wait in the target before its acknowledgment counts."""
SETTLED: Final = 100
"""Ticks after which a segment that came in counts in all that the target reports."""
_REMEMBERED: Final = 512
_TIMER_FLOOR: Final = 100
"""Ticks: no RTO is shorter than a tenth of a second."""
_DUPLICATE_ACKS: Final = 3
"""Duplicate ACKs that tell of a loss unless the host said otherwise (RFC 5681)."""
_HEADERS: Final = {4: 52, 16: 72}
"""Bytes of the IP and TCP headers with a timestamps option, by the length of the path's addresses."""
_TIMESTAMPS: Final = 12
"""Bytes that they take off a segment."""
_ANY_AGE: Final = 0xFFFF
"""Ticks: no smoothed time is longer."""
_TCP_VARIABLES: Final = frozenset(
    {
        *("state", "rcv_nxt", "rcv_wnd", "snd_una", "snd_nxt", "snd_max", "snd_wnd", "max_snd_wnd", "send_wl1"),
        *("c_wnd", "ss_thresh", "s_rtt", "rtt_var", "ts_recent", "ts_recent_age", "ts_time", "total_rt"),
        *("dup_ack_count", "snd_wnd_probe_count"),
    }
)
_NOT_RETURNED: Final = frozenset(
    {"send_data_head", "send_data_tail", "buffered_data", "send_backlog_size", "receive_backlog_size"}
)
"""The two unions: pointers are compared by themselves, backlog sizes belong to queries."""


@dataclass(slots=True)
class RttHull:
    """Between which bounds every round-trip time lies that could have been measured (ticks)."""

    low: int | None = None
    high: int | None = None
    acks: int = 0
    """ACKs that came in: no more times can have been measured."""
    flight: deque[tuple[int, int, int]] = field(default_factory=deque)
    """Data segments sent: position of the first byte and behind the last, tick."""

    def add(self, low: int, high: int) -> None:
        """A time of ``low`` to ``high`` ticks could have been measured."""
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def heard(self, connection: Connection, seg: WireSegment, tick: int, answer: Answer) -> None:
        """An ACK came in that the target may take."""
        self.acks += 1
        place = signed(seg.acknowledgment, whole(connection.delegated, "snd_una"))
        ticks = [] if answer is Answer.YES else [sent for _, end, sent in self.flight if end <= place]
        while answer is Answer.YES and self.flight and self.flight[0][1] <= place:
            ticks.append(self.flight.popleft()[2])
        # a part of a segment is acknowledged: it may count
        ticks += [sent for start, end, sent in self.flight if start < place < end]
        if connection.flag(ndis.TIMESTAMPS) and seg.stamps is not None:
            if connection.stamp is not None:
                value, early = connection.stamp
                late = early
            else:  # nothing was sent yet: its clock is the one that was handed over
                value, early, late = whole(connection.delegated, "ts_time"), connection.began, connection.begins
            most = signed(value + tick - early, seg.stamps[1])
            self.add(max(0, most - (late - early)), max(1, most))  # no sample is less than one tick (G-11)
        elif ticks:
            self.add(tick - max(ticks), tick - min(ticks))


@dataclass(frozen=True, slots=True)
class _Heard:
    """A segment of the peer that the target may have taken: what it acknowledges and says of its window."""

    tick: int
    acked: int
    window: int
    sequence: int
    good: bool
    """The target must take it."""
    sets: bool
    """It must set the window, too: no segment with text behind it came before (RFC 9293, 3.10.7.4: SND.WL1)."""


@dataclass(slots=True)
class SendNumbers:
    """Bounds of the send half's variables, from what was on the wire since the hand-over."""

    heard: deque[_Heard] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    latest_start: int | None = None
    """The largest sequence number of all, as a position of the receive stream."""
    largest: int = 0
    """Of all windows that came in, bytes."""
    segments: int = 0
    since_new: int = 0
    """Segments since the last that acknowledged something new."""
    highest: int = 0
    resent: bool = False
    slowed: bool = False
    """The peer asked for it without a loss (ECE, RFC 3168 6.1.2)."""
    top: int = 0
    """Behind the last byte that went out, window probes left out."""
    armed: int | None = None
    """No earlier than this tick the retransmission timer of the head began; None: with what was handed over."""
    sacked: int = 0
    """Bytes up to which the peer's SACK blocks reach beyond its ACK, since the last that acknowledged something new."""
    small: bool = False
    """The window was below a segment: what the timer counts may be probes (CH-068), and ACKs leave TotalRT (C.8b)."""

    def add(self, connection: Connection, seg: WireSegment, tick: int, answer: Answer) -> None:
        """A segment came in that the target may take; the books do not have it yet."""
        place = connection.una + signed(seg.acknowledgment, whole(connection.delegated, "snd_una") + connection.una)
        shift = whole(connection.const, "snd_wind_scale") if connection.flag(ndis.WINDOW_SCALING) else 0
        plain = not seg.flags & (RST | SYN | URG) and connection.una <= place <= connection.sent_max
        good = plain and answer is Answer.YES
        start = connection.receive_place(seg.sequence)
        if self.latest_start is None:
            self.latest_start = connection.receive_place(whole(connection.delegated, "send_wl1", seg.sequence))
        sets = good and start >= self.latest_start
        self.latest_start = max(self.latest_start, start)
        self.heard.append(_Heard(tick, place, seg.window << shift, seg.sequence, good, sets))
        self.largest = max(self.largest, seg.window << shift)
        self.segments += 1
        self.slowed |= bool(seg.flags & ECE) and connection.flag(ndis.ECN)
        fresh = good and place > self.highest  # what was not sent for certain may acknowledge nothing
        self.since_new = 1 if fresh else self.since_new + 1
        self.small |= seg.window << shift < whole(connection.const, "remote_mss", 536)
        self.sacked = 0 if fresh else self.sacked
        self.sacked = max([self.sacked, *(signed(right, seg.acknowledgment) for _, right in seg.blocks)])
        if fresh and place > connection.una:
            self.armed = tick
        self.highest = place if fresh else self.highest

    def speak(self, connection: Connection, seg: WireSegment, tick: int) -> None:
        """The target sent a segment; the books do not have it yet."""
        start = connection.send_place(seg.sequence)
        end = start + seg.payload_length + (seg.flags & FIN)
        if seg.flags & (RST | SYN) or end == start:
            return
        probe = seg.payload_length == 1 and (end <= connection.una or not self.heard or self.heard[-1].window <= 1)
        if connection.gate.una >= connection.sent_max:
            self.armed = tick
        self.resent |= start < connection.sent_max  # new bytes may follow the old ones in the same segment
        self.top = self.top if probe else max(self.top, end)

    def settled(self, tick: int) -> int:
        """What was acknowledged so long before ``tick`` that the target knows it."""
        return max((one.acked for one in self.heard if one.good and one.tick + SETTLED < tick), default=0)

    def latest(self, tick: int) -> list[_Heard] | None:
        """Segments that may have been the last to set the window; None if it may still be that of the hand-over."""
        found: list[_Heard] = []
        for one in reversed(self.heard):
            known = found[-1] if found and found[-1].sets and found[-1].tick + SETTLED < tick else None
            if known is not None and one.window != known.window:
                return found
            found.append(one if known is None else replace(one, sets=True, tick=known.tick))
        return found if found and found[-1].sets and found[-1].tick + SETTLED < tick else None


def _kept(connection: Connection, flight: int) -> int:
    """The most of ``flight`` bytes that a loss leaves: half, with CUBIC 0.7 to a thousandth (RFC 9438, 4.6)."""
    return flight * 701 // 1000 if connection.flag(ndis.CUBIC) else flight // 2


def _least_segment(connection: Connection, mss: int) -> int:
    """Data bytes of the smallest full segment under any path MTU that the host gave, options taken off."""
    path = connection.parent
    states = [] if path is None else [path.cached, *path.newer, *(state for state, _ in path.older)]
    headers = 0 if path is None else _HEADERS.get(len(octets(path.const, "source_address")), _HEADERS[4])
    return max(1, min([mss - _TIMESTAMPS, *(mtu - headers for state in states if (mtu := whole(state, "path_mtu")))]))


def names_to_fill(connection: Connection) -> frozenset[str]:
    """Variables of the delegated structure that must come back: the fixed ones and what the host handed over."""
    return _TCP_VARIABLES | (frozenset(connection.delegated) - _NOT_RETURNED)


def data_of(lists: tuple[List, ...]) -> bytes:
    """What lies in a list of NET_BUFFER_LISTs."""
    return b"".join(nbl.data for nbl in lists)


class TerminatedState(BooksMonitor):
    """Lists and state structures of NdisMTerminateOffloadComplete, at the target's face."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-238": "without outstanding send data NetBufferListChain comes back NULL",
        "CH-239": "with a chain SndUna <= SndNxt <= SndMax span it, and head and tail name its first and last data",
        "CH-240": "data beyond a gap is neither counted in RcvNxt nor acknowledged nor handed up",
        "CH-241": "BufferedData is what was received in order and not delivered, up to RcvNxt - 1",
        "CH-242": "BufferedData lists are the host's until ReceiveReturn: the target uses none of them again",
        "CH-243": "every ACK that is owed goes out before the terminate completes",
        "CH-245": "each variable of the delegated structure is filled; SRtt is the round-trip time x 8",
        "CH-246": "TsTime comes back as the target's clock plus its timestamp delta",
        "CH-247": "terminate returns no CONST and no CACHED variables",
        "CH-248": "SUCCESS on a node with a delegated structure says that the structure was written",
    }

    def __init__(self) -> None:
        super().__init__()
        self._lent: dict[int, str] = {}
        """Identities of BufferedData lists that the host holds."""
        self._hulls: dict[Connection, RttHull] = {}
        self._numbers: dict[Connection, SendNumbers] = {}
        self._forwarded: set[Connection] = set()
        self._owed: dict[Connection, bool] = {}

    def looks(self, record: Record, book: Book) -> None:
        """Check."""
        if record.layer == 0:
            if isinstance(record, Enter):
                self._enter(record, book)
            elif isinstance(record, Frame):
                self._frame(record, book)

    def _enter(self, record: Enter, book: Book) -> None:
        if record.function == ndis.TERMINATED and record.tree is not None:
            call = book.calls.get(record.tree.root)
            for node, _ in book.ended(record.tree):
                entered = None if call is None else call.tree.nodes.get(node.ident)
                if entered is not None:
                    self._node(node, entered, record, book)
        elif record.function == ndis.TERMINATE and record.tree is not None:
            for _, thing in book.named(record.tree):
                if isinstance(thing, Connection) and thing.phase is Phase.RUNNING:
                    self._owed[thing] = thing.in_order > thing.acked
        elif record.function == ndis.INDICATE:
            for nbl in record.lists:
                self._reused(nbl, "indicates")
        elif record.function == ndis.FORWARD:
            connection = book.connection(record.target)
            if connection is not None:
                self._forwarded.add(connection)
            if connection is not None:  # its acknowledgment may be of any age
                self._hulls.setdefault(connection, RttHull()).add(0, _ANY_AGE)
        elif record.function == ndis.RETURN:
            for nbl in record.lists:
                self._lent.pop(nbl.ident, None)

    def _reused(self, nbl: List, verb: str) -> None:
        if nbl.ident in self._lent:
            self.breach("CH-242", f"{verb} list {nbl.ident} that the host has not returned ({self._lent[nbl.ident]})")

    def _frame(self, record: Frame, book: Book) -> None:
        found = book.of_frame(record)
        if found is None or found[0].phase is Phase.GONE:
            return
        connection, seg = found
        hull = self._hulls.setdefault(connection, RttHull())
        numbers = self._numbers.setdefault(connection, SendNumbers())
        if record.sent:
            if not record.raw:
                numbers.speak(connection, seg, record.tick)
            if not record.raw and seg.payload_length:
                place = signed(seg.sequence, whole(connection.delegated, "snd_una"))
                hull.flight.append((place, place + seg.payload_length, record.tick))
            return
        answer = connection.judge(seg, record.tick)
        possible = answer is not Answer.NO or connection.of_the_future(seg)
        if possible and seg.flags & ACK and not seg.flags & (RST | SYN):
            numbers.add(connection, seg, record.tick, answer)
            hull.heard(connection, seg, record.tick, answer)

    # --- one node --------------------------------------------------------------------------------------

    def _node(self, node: Node, entered: Node, record: Enter, book: Book) -> None:
        same = node.const == entered.const and node.cached == entered.cached
        self.check("CH-247", same, f"node {node.ident} comes back with CONST or CACHED variables")
        thing = book.things.get(node.context) if node.context is not None else None
        if isinstance(thing, Connection):
            self._chain(thing, node, book)
        if node.status != ndis.SUCCESS:
            return
        if entered.delegated is not None:
            written = node.delegated is not None and any(value is not None for value in node.delegated.values())
            if thing is None or thing.level == ndis.PATH_LEVEL:
                written = node.delegated is not None
            elif isinstance(thing, Connection) and written and node.delegated == entered.delegated:
                written = whole(node.delegated, "rcv_nxt") == self._next(thing)
            self.check("CH-248", written, f"node {node.ident} is SUCCESS, its delegated structure was not written")
            if not written:
                return
        if isinstance(thing, Connection) and node.delegated is not None:
            self._variables(thing, node, book.parameter("tcp_duplicate_ack_threshold", _DUPLICATE_ACKS))
            self._received(thing, node)
            self._stamp(thing, node, record)
        elif thing is not None and thing.level == ndis.NEIGHBOR_LEVEL and node.delegated is not None:
            filled = node.delegated.get("nic_reachability_delta") is not None
            self.check("CH-245", filled, f"node {node.ident}: NicReachabilityDelta is not filled")

    @staticmethod
    def _next(connection: Connection) -> int:
        return (whole(connection.delegated, "rcv_nxt") + connection.acked) % 0x100000000

    def _chain(self, connection: Connection, node: Node, book: Book) -> None:
        self._sequence(connection, node)
        if not connection.outstanding("send"):
            nothing = not node.chain
            self.check("CH-238", nothing, f"nothing is outstanding, {len(node.chain)} lists are chained")
            return
        if not node.chain or node.delegated is None:
            return
        una, nxt, top = (whole(node.delegated, name) for name in ("snd_una", "snd_nxt", "snd_max"))
        in_row = signed(nxt, una) >= 0 and signed(top, nxt) >= 0
        fin = whole(connection.delegated, "state") in ndis.AFTER_OWN_FIN
        fin = fin or any(r.connection is connection and r.graceful for r in book.requests.values())
        over = signed(top, whole(connection.delegated, "snd_una")) - connection.queued - int(fin)
        ends = [nbl.ident for nbl in node.chain if nbl.data_length]
        named = not ends or node.chain_ends == (ends[0], ends[-1])
        text = f"SndUna {una}, SndNxt {nxt}, SndMax {top} ({over} beyond the data), head and tail {node.chain_ends}"
        self.check("CH-239", in_row and over <= 0 and named, text)

    @staticmethod
    def _live(connection: Connection) -> bool:
        """Nothing kept the target from working on the connection until the terminate was called."""
        ended = connection.stopped or connection.aborted or connection.reset_in
        return connection.flow is not None and not ended and connection.invalid_at() is None

    def _sequence(self, connection: Connection, node: Node) -> None:
        """SndUna, SndNxt and SndMax are those of the wire (2.3, 6.8, G-21)."""
        state = node.delegated
        if node.status != ndis.SUCCESS or state is None or state.get("snd_una") is None or not self._live(connection):
            return
        base = whole(connection.delegated, "snd_una")
        una, nxt, top = (signed(whole(state, name), base) for name in ("snd_una", "snd_nxt", "snd_max"))
        numbers = self._numbers.get(connection, SendNumbers())
        least = numbers.settled(connection.terminate_tick)
        handed = signed(whole(connection.delegated, "snd_max"), base)
        text = f"SndUna at {una}, SndNxt at {nxt}, SndMax at {top}"
        self.check("CH-239", una <= nxt <= top, f"{text} are not in order")
        self.check("CH-239", una >= least, f"{text}, {least} were acknowledged {SETTLED} ticks before the terminate")
        if connection not in self._forwarded:
            self.check("CH-239", una <= connection.una, f"{text}, no more than {connection.una} were acknowledged")
        sent = max(numbers.top, handed)
        self.check("CH-239", sent <= top <= max(connection.sent_max, sent), f"{text}, {sent} bytes were sent")

    def _send_variables(self, connection: Connection, state: State, enough: int) -> None:
        """Window, congestion and retransmission variables against their bounds (3.5, RFC 793, 5681, 6298).

        ``enough``: duplicate ACKs that tell of a loss.
        """
        if not self._live(connection) or connection in self._forwarded:
            return
        numbers = self._numbers.get(connection, SendNumbers())
        handed = connection.delegated
        mss = whole(connection.const, "remote_mss", 536)
        latest = numbers.latest(connection.terminate_tick)
        heard = list(numbers.heard) if latest is None else latest
        windows, places = {one.window for one in heard}, {one.sequence for one in heard}
        known = latest is not None or len(numbers.heard) < _REMEMBERED
        if latest is None:
            windows.add(whole(handed, "snd_wnd"))
            places.add(whole(handed, "send_wl1"))
        least = max([whole(handed, "max_snd_wnd"), *(one.window for one in latest or () if one.sets)])
        most = max(least, whole(handed, "snd_wnd"), numbers.largest)
        wrong = []
        if known and whole(state, "snd_wnd") not in windows:
            wrong.append(f"SndWnd {whole(state, 'snd_wnd')}, the peer said {sorted(windows)[:4]}")
        if known and whole(state, "send_wl1") not in places:
            wrong.append(f"SendWL1 {whole(state, 'send_wl1')}, the segments were {sorted(places)[:4]}")
        if not least <= whole(state, "max_snd_wnd") <= most:
            wrong.append(f"MaxSndWnd {whole(state, 'max_snd_wnd')}, not in {least}..{most}")
        if whole(state, "c_wnd") == 0:
            wrong.append("CWnd 0")
        threshold = whole(state, "ss_thresh")
        flight = signed(whole(state, "snd_max"), whole(state, "snd_una"))
        # what the timer or the ACKs had decided just before the terminate did not go out any more
        decided = self._fired(connection, state, numbers) or self._told_of_loss(connection, state, numbers, enough)
        if "ss_thresh" in handed and threshold != whole(handed, "ss_thresh"):
            # the timer may have found no window to send anything again in (RFC 9293 3.8.6.2.1)
            unseen = numbers.resent or numbers.slowed or numbers.small
            if not (unseen or decided):
                wrong.append(f"SsThresh {threshold} without a retransmission or ECE")
            elif not unseen and threshold > max(_kept(connection, flight), 2 * mss):
                wrong.append(f"SsThresh {threshold} with {flight} bytes in flight (RFC 5681, 3.1; RFC 9438, 4.6)")
            elif threshold < 2 * _least_segment(connection, mss):
                wrong.append(f"SsThresh {threshold}, less than two segments (RFC 5681, 3.1)")
        if "c_wnd" in handed and not numbers.resent:
            grown = max(whole(handed, "c_wnd"), 4 * mss) + (numbers.segments + 3) * mss
            if whole(state, "c_wnd") > grown:
                wrong.append(f"CWnd {whole(state, 'c_wnd')} after {numbers.segments} segments")
        doubles = numbers.since_new + whole(handed, "dup_ack_count")
        if whole(state, "dup_ack_count") > doubles:
            wrong.append(f"DupAckCount {whole(state, 'dup_ack_count')}, {doubles} segments since new data")
        longest = self._longest(connection, numbers)
        if longest is not None and whole(state, "total_rt") > longest:
            wrong.append(f"TotalRT {whole(state, 'total_rt')}, the head was sent {longest} ticks ago")
        self.check("CH-245", not wrong, "; ".join(wrong))

    @staticmethod
    def _fired(connection: Connection, state: State, numbers: SendNumbers) -> bool:
        """The timer may have fired once for what is not acknowledged, and the retransmission did not go out."""
        before = 0 if connection.una else whole(connection.delegated, "retransmit_count")
        if whole(state, "retransmit_count") != before + 1:
            return False
        waited = None if numbers.armed is None else connection.terminate_tick - numbers.armed
        return waited is None or waited >= max(_TIMER_FLOOR, whole(state, "s_rtt") >> 3)

    @staticmethod
    def _told_of_loss(connection: Connection, state: State, numbers: SendNumbers, enough: int) -> bool:
        """So many duplicate ACKs came, or SACK blocks so far beyond the ACK, that the head is lost (RFC 6675)."""
        segment = _least_segment(connection, whole(connection.const, "remote_mss", 536))
        return whole(state, "dup_ack_count") >= enough or numbers.sacked > (enough - 1) * segment

    @staticmethod
    def _longest(connection: Connection, numbers: SendNumbers) -> int | None:
        """The most that TotalRT can be: the expired RTOs fit into the time since the head was sent; None: unknown."""
        inherited = (
            numbers.armed is None
            and signed(whole(connection.delegated, "snd_max"), whole(connection.delegated, "snd_una")) > 0
        )
        if inherited or numbers.small or whole(connection.delegated, "total_rt"):
            return None
        return 0 if numbers.armed is None else max(0, connection.terminate_tick - numbers.armed) + _CLOCK_SLACK

    def _variance(self, connection: Connection, state: State, hull: RttHull) -> None:
        """RttVar x 4: a first sample R gives R / 2, each later one keeps three quarters of it (RFC 6298, 2.2, 2.3)."""
        before = whole(connection.delegated, "rtt_var")
        if not whole(state, "s_rtt") or hull.low is None or connection in self._forwarded or not hull.acks:
            return
        first = before if whole(connection.delegated, "s_rtt") else 2 * max(0, hull.low - _RTT_SLACK)
        least = int(first * 0.75 ** (hull.acks - (0 if before else 1))) - 4 - hull.acks
        text = f"RttVar {whole(state, 'rtt_var')} / 4 after {hull.acks} samples at most, {least} / 4 is the least"
        self.check("CH-245", whole(state, "rtt_var") >= least, text)

    def _variables(self, connection: Connection, node: Node, enough: int) -> None:
        state = node.delegated or {}
        missing = sorted(name for name in names_to_fill(connection) if state.get(name) is None)
        s_rtt = whole(state, "s_rtt")
        hull = self._hulls.get(connection, RttHull())
        before = whole(connection.delegated, "s_rtt")
        if before:
            hull.add(before >> 3, before >> 3)
        fits = True
        if s_rtt and hull.low is not None and hull.high is not None:
            slack = _RTT_SLACK + hull.high // 8
            fits = hull.low - _RTT_SLACK <= s_rtt >> 3 <= hull.high + slack
        text = f"not filled: {missing}" if missing else f"SRtt {s_rtt} / 8 is not in {hull.low}..{hull.high} ticks"
        self.check("CH-245", not missing and fits, text)
        if not missing:
            self._send_variables(connection, state, enough)
        if not missing and fits:
            self._variance(connection, state, hull)

    def _received(self, connection: Connection, node: Node) -> None:
        place = connection.receive_place(whole(node.delegated, "rcv_nxt"))
        held = sum(nbl.data_length for nbl in node.buffered)
        for nbl in node.buffered:
            self._reused(nbl, "hands up")
        if node.buffered:
            self.trigger("CH-242")
            self._lent |= {nbl.ident: f"BufferedData of node {node.ident}" for nbl in node.buffered}
        if connection.beyond:
            over = max(place, connection.acked) > connection.in_order
            self.check("CH-240", not over, f"RcvNxt is {place - connection.in_order} beyond a gap in what came in")
        fin = connection.fin_counted(place, whole(node.delegated, "state"))
        # after an abort undelivered data is discarded (G-06)
        lost = connection.acked - place
        if not connection.aborted and not connection.reset_in and connection.acked > 0:
            self.check("CH-241", lost <= 0, f"RcvNxt is {lost} below what was acknowledged on the wire")
        if fin is not None and not connection.aborted and (held or place != 0 or connection.inherited_bytes):
            expected = connection.undelivered(place, fin)
            data = data_of(node.buffered)
            same = len(data) != held or connection.holds(data, place, fin)
            text = (
                f"{held} bytes come up, {expected} are received and not delivered"
                if held != expected
                else "other bytes"
            )
            self.check("CH-241", held == expected and same, text)
        if self._owed.pop(connection, False) and self._answers(connection, node):
            behind = place - connection.acked
            self.check("CH-243", behind <= 0, f"RcvNxt is {behind} beyond the last ACK that was sent")

    @staticmethod
    def _answers(connection: Connection, node: Node) -> bool:
        """The target still answers: it was not told or forced to stop before."""
        stopped = connection.stopped and whole(node.delegated, "state") != ndis.TIME_WAIT
        return not (stopped or connection.aborted or connection.reset_in or connection.invalid_at() is not None)

    def _stamp(self, connection: Connection, node: Node, record: Enter) -> None:
        if not connection.flag(ndis.TIMESTAMPS):
            return
        if connection.stamp is not None:
            value, low = connection.stamp
            high = low
        else:
            value, low, high = whole(connection.delegated, "ts_time"), connection.began, connection.begins
        given = whole(node.delegated, "ts_time")
        least = signed(given, value + connection.terminate_tick - high)
        most = signed(given, value + record.tick - low)
        fits = least >= -_CLOCK_SLACK and most <= _CLOCK_SLACK
        self.check("CH-246", fits, f"TsTime {given} is {least} ticks ahead of the clock at the call, {most} of it now")
