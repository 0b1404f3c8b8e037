"""Rules CH-238 to CH-248: what a completed terminate hands back, node by node."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_books import Book, Books
from tb.monitors.contract.connection_parts import Connection, Phase, signed, whole
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.trace import Enter, Frame, List, Node, Record
from tb.monitors.wire_headers import ACK, WireSegment

_CLOCK_SLACK: Final = 2
"""Ticks by which the target's clock may be off the record's: one at each end."""
_RTT_SLACK: Final = 4
"""Ticks that a frame may wait in the target before its acknowledgment counts."""
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
    flight: deque[tuple[int, int]] = field(default_factory=deque)
    """Data segments sent: position behind the last byte, tick."""

    def add(self, low: int, high: int) -> None:
        """A time of ``low`` to ``high`` ticks could have been measured."""
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def heard(self, connection: Connection, seg: WireSegment, tick: int) -> None:
        """An ACK came in."""
        place = signed(seg.acknowledgment, whole(connection.delegated, "snd_una"))
        ticks: list[int] = []
        while self.flight and self.flight[0][0] <= place:
            ticks.append(self.flight.popleft()[1])
        if connection.flag(ndis.TIMESTAMPS) and seg.stamps is not None and connection.stamp is not None:
            value, sent = connection.stamp
            age = signed(value + tick - sent, seg.stamps[1])
            if age >= 0:
                self.add(age, age)
        elif ticks:
            self.add(tick - max(ticks), tick - min(ticks))


def names_to_fill(connection: Connection) -> frozenset[str]:
    """Variables of the delegated structure that must come back: the fixed ones and what the host handed over."""
    return _TCP_VARIABLES | (frozenset(connection.delegated) - _NOT_RETURNED)


def data_of(lists: tuple[List, ...]) -> bytes:
    """What lies in a list of NET_BUFFER_LISTs."""
    return b"".join(nbl.data for nbl in lists)


class TerminatedState(Monitor):
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
        self.books = Books()
        self._lent: dict[int, str] = {}
        """Identities of BufferedData lists that the host holds."""
        self._hulls: dict[Connection, RttHull] = {}
        self._owed: dict[Connection, bool] = {}

    def observe(self, record: Record) -> None:
        """Check, then book."""
        book = self.books.of(record)
        if record.layer == 0:
            if isinstance(record, Enter):
                self._enter(record, book)
            elif isinstance(record, Frame):
                self._frame(record, book)
        self.books.take(record)

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
        if record.sent and not record.raw and seg.payload_length:
            place = signed(seg.sequence, whole(connection.delegated, "snd_una"))
            hull.flight.append((place + seg.payload_length, record.tick))
        elif not record.sent and seg.flags & ACK:
            hull.heard(connection, seg, record.tick)

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
            self._variables(thing, node)
            self._received(thing, node)
            self._stamp(thing, node, record)
        elif thing is not None and thing.level == ndis.NEIGHBOR_LEVEL and node.delegated is not None:
            filled = node.delegated.get("nic_reachability_delta") is not None
            self.check("CH-245", filled, f"node {node.ident}: NicReachabilityDelta is not filled")

    @staticmethod
    def _next(connection: Connection) -> int:
        return (whole(connection.delegated, "rcv_nxt") + connection.acked) % 0x100000000

    def _chain(self, connection: Connection, node: Node, book: Book) -> None:
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

    def _variables(self, connection: Connection, node: Node) -> None:
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
        fin = self._fin(connection, node, place)
        # after an abort undelivered data is discarded (G-06)
        if not connection.aborted and (held or place != 0 or connection.inherited_bytes):
            expected = connection.undelivered(place, fin)
            known = connection.tail(held, place, fin)
            data = data_of(node.buffered)
            same = known is None or len(data) != held or data == known
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
    def _fin(connection: Connection, node: Node, place: int) -> int:
        if connection.initial_fin or whole(node.delegated, "state") in ndis.AFTER_PEER_FIN:
            return 1
        return int(connection.fin_in is not None and place > connection.fin_in)

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
