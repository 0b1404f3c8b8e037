"""Section 9.9, FIN, RST and SYN of the peer (CH-190..199, CH-201).

A segment is judged only if its class is the same for every RCV.NXT and window that the NIC may hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final
from weakref import WeakKeyDictionary

from tb.monitors.contract.acceptance import Answer
from tb.monitors.contract.receive_books import (
    CLOSED,
    INVALID_STATE,
    NEVER,
    REQUEST_ABORTED,
    SUCCESS,
    Connection,
    Item,
    Shared,
    number,
)
from tb.monitors.contract.receive_reach import Reach
from tb.monitors.contract.receive_segments import FIN, RST, SYN, Segment, unwrap
from tb.monitors.contract.receive_watch import LATE, PROMPT, RACE, STALL, BookedMonitor
from tb.monitors.contract.trace import List, Node

_CHALLENGE_SECONDS: Final = 300
"""What a challenge ACK sets the keepalive timer to (5.7)."""
_SYN_PERIOD_SECONDS: Final = 3
_SETTLED: Final = 4 * LATE
"""Ticks after which everything that came in was answered, but for a delayed ACK."""
_KEEP_ALIVE_ENABLED: Final = 1
_UPLOAD_REQUESTED: Final = 10
_HARDWARE_FAILURE: Final = 11


@dataclass(slots=True)
class _Notes:
    """What is remembered of a connection."""

    disconnects: int = 0
    fin_duty: bool = False
    outside_reset: bool = False
    inside_reset: bool = False
    exact_syn: tuple[int, Reach, int | None] | None = None
    """Tick of a SYN that is at RcvNxt, if nothing that waited then was taken."""
    said: tuple[int, int] | None = None
    """(acknowledgment, window) of the last segment sent."""
    texts: deque[tuple[int, int]] = field(default_factory=deque)
    """(tick, end) of text in order that was not acknowledged: one that is refused is answered."""
    copies: list[tuple[int, int, Reach]] = field(default_factory=list)
    """(tick, end) of text that is answered as old if what waited then was taken."""
    repeats: deque[tuple[int, int]] = field(default_factory=deque)
    """(tick, 0) of segments that are answered with what was acknowledged before, in segments without text."""
    strays: deque[tuple[int, int]] = field(default_factory=deque)
    """(tick, 0) of segments that may be answers themselves: two in half a second are answered once (RFC 5961, 7)."""
    stray_answered: int | None = None
    silent: bool = False
    """An RST outside the window came since the last segment was sent."""
    period: int = 0
    """Number of the validation period: one ends with each segment that may be acceptable."""
    reset_asks: deque[int] = field(default_factory=deque)
    """Periods of RSTs that ask for a challenge ACK. It may leave when the next period has begun."""
    syn_asks: deque[int] = field(default_factory=deque)
    reset_challenged: int = -1
    """The last period for whose RST a challenge ACK was sent."""
    syn_challenged: int | None = None
    challenged: int | None = None
    """Tick of the challenge ACK that armed keepalive, no acceptable segment since."""

    def split(self) -> None:
        """A period ended at some segment that came before: what its one answer is not for is of the next."""
        answered, asks = self.reset_challenged, list[int]()
        for period in self.reset_asks:
            asks.append(period if period > answered else self.period + 1)
            answered = max(answered, period)
        self.reset_asks = deque(sorted(asks))

    def answers(self, tick: int, pause: int) -> bool:
        """An ACK that says nothing new answers something; strays have one answer in ``pause`` ticks."""
        known = [copy for copy in self.copies if copy[1] <= copy[2].now]
        self.repeats.extend((came, 0) for came, _, _ in known)
        self.copies = [copy for copy in self.copies if copy not in known and copy[0] + _SETTLED >= tick]
        for calls in (self.repeats, self.texts, self.strays):
            while calls and calls[0][0] + _SETTLED < tick:
                calls.popleft()
        rested = self.stray_answered is None or tick - self.stray_answered >= pause
        owed = self.repeats or self.texts or (self.strays if rested else None)
        if not owed:
            return False
        if owed is self.strays:
            self.stray_answered = tick
        owed.popleft()
        return True


class PeerEvents(BookedMonitor):
    """What the target makes of the peer's FIN, RST and SYN."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-190": "TcpIndicateDisconnect comes after a FIN, and after the client consumed everything before it",
        "CH-191": "TcpIndicateDisconnect comes exactly once",
        "CH-192": "sending goes on after the peer's FIN",
        "CH-193": "an RST at RcvNxt raises TcpIndicateAbort; sends and disconnects come back REQUEST_ABORTED",
        "CH-194": "after that RST posted receives come back REQUEST_ABORTED",
        "CH-195": "an RST outside the window does nothing and is not answered",
        "CH-196": "an RST inside the window, not at RcvNxt, aborts nothing and gets one challenge ACK a period at most",
        "CH-197": "a SYN outside the window is answered with an ACK",
        "CH-198": "a SYN inside the window, not at RcvNxt, gets one challenge ACK in 3 s at most",
        "CH-199": "a SYN at RcvNxt is followed by an upload request and an upload in state Closed",
        "CH-201": "after a challenge ACK the keepalive timer has 5 minutes left",
    }

    def __init__(self) -> None:
        super().__init__()
        self._notes: WeakKeyDictionary[Connection, _Notes] = WeakKeyDictionary()

    def _of(self, conn: Connection) -> _Notes:
        notes = self._notes.get(conn)
        if notes is None:
            notes = self._notes[conn] = _Notes()
        return notes

    # --- FIN -------------------------------------------------------------------------------------------

    def event(self, conn: Connection, event: int, info: int) -> None:
        notes = self._of(conn)
        if event == 2:
            consumed = conn.delivered <= conn.arrived and conn.fins.at(conn.delivered)
            places = sorted(place - conn.delivered for place in conn.fins.places)
            text = f"a FIN lies {places} bytes behind what is consumed" if conn.fins.heard else "there was no FIN"
            self.check("CH-190", consumed, text)
            notes.disconnects += 1
            self.check("CH-191", notes.disconnects == 1, f"TcpIndicateDisconnect number {notes.disconnects}")
        elif event == 4:
            self._abort_raised(conn, notes)

    def released(self, conn: Connection) -> None:
        self._fin_duty(conn)

    def settled(self, conn: Connection, kind: str) -> None:
        self._fin_duty(conn)

    def after_call(self, conn: Connection) -> None:
        self._fin_duty(conn)

    def segment_sent(self, conn: Connection, seg: Segment) -> None:
        if conn.revived == self.now:
            notes = self._of(conn)
            notes.repeats.extend((tick, 0) for tick, text in notes.strays if text)  # answered as old text, perhaps
            notes.strays = deque(one for one in notes.strays if not one[1])
            notes.split()
            self._acceptable(notes)
        self._fin_duty(conn)

    def _fin_ready(self, conn: Connection) -> bool:
        """The NIC has the FIN, and everything before it is consumed or fits into the posted requests."""
        if not conn.fin_surely_in() or conn.fin is None or conn.released is None or conn.over or conn.in_call:
            return False
        rest = conn.fin - conn.delivered
        return rest == 0 or rest <= sum(item.size for item in conn.requests)

    def _fin_duty(self, conn: Connection) -> None:
        notes = self._of(conn)
        if notes.fin_duty or notes.disconnects or not self._fin_ready(conn):
            return
        notes.fin_duty = True
        self.expect(self.now + PROMPT, lambda: self._fin_overdue(conn), conn)

    def _fin_overdue(self, conn: Connection) -> None:
        notes = self._of(conn)
        notes.fin_duty = False
        if self._fin_ready(conn) and not notes.disconnects:
            notes.fin_duty = True
            self.breach("CH-191", f"the FIN was acknowledged, no TcpIndicateDisconnect for {PROMPT} ticks")

    def posted(self, item: Item) -> None:
        conn = item.connection
        begin = item.end - item.size
        if item.kind != "send" or not item.size or conn.over or conn.fin is None:
            return
        if not (conn.fin_handed_over or conn.fin_surely_in()) or conn.fin_out is not None:
            return
        mss = number(conn.const, "remote_mss", 536)
        idle = conn.una == conn.sent == begin
        if idle and conn.peer_edge - conn.sent >= min(mss, item.size):
            wait = PROMPT + (self.parameter("tcp_sws_prevention_ticks") or 0)
            self.expect(self.now + wait, lambda: self._sent_by_now(conn, begin), conn)

    def _sent_by_now(self, conn: Connection, begin: int) -> None:
        if not conn.over:
            self.check("CH-192", conn.sent > begin, "data posted after the peer's FIN does not leave")

    # --- RST -------------------------------------------------------------------------------------------

    def _abort_raised(self, conn: Connection, notes: _Notes) -> None:
        needed = conn.took_reset()
        if needed is not None or any(reason == _HARDWARE_FAILURE for _, reason in conn.retrieves):
            self.trigger("CH-193")
            if needed:
                self.expect(self.now + STALL, lambda: self._left(conn, needed))
        elif notes.inside_reset:
            self.breach("CH-196", "TcpIndicateAbort for an RST that is not at RcvNxt")
        elif notes.outside_reset:
            self.breach("CH-195", "TcpIndicateAbort for an RST outside the window")
        else:
            self.breach("CH-193", "TcpIndicateAbort without an RST")

    def _left(self, conn: Connection, needed: int) -> None:
        text = f"TcpIndicateAbort for an RST behind text that acknowledges {needed - conn.sent} bytes that never left"
        self.check("CH-196", conn.sent >= needed or conn.muted, text)

    def completed(self, kind: str, item: Item | None, done: List, head: bool) -> None:
        if item is None or item.kind != kind:
            return
        conn = item.connection
        text = f"{kind} NBL {done.ident} came back {done.status!r}"
        failure = any(reason == _HARDWARE_FAILURE for _, reason in conn.retrieves)
        if conn.abort_raised is not None and not failure:
            late = item.after_disconnect and done.status == INVALID_STATE
            rule = "CH-194" if kind == "receive" else "CH-193"
            self.check(rule, done.status == REQUEST_ABORTED or late, f"{text} after TcpIndicateAbort")
        elif kind == "send" and not item.late and conn.fin_surely_in() and not conn.stopped and not self.uploading:
            self.check("CH-192", done.status == SUCCESS, f"{text} after the peer's FIN")

    def _reset_in(self, conn: Connection, notes: _Notes, start: int) -> None:
        reach = conn.reach(self.now)
        if reach.low <= start <= reach.most:
            notes.reset_asks.append(notes.period)
            notes.inside_reset |= start > reach.sure
            certain = conn.released is not None and not conn.over and conn.final_state() is None and not self.crowded
            if reach.exact(start) and certain:
                self.trigger("CH-193")
                froze = conn.froze
                self.expect(self.now + self.known_by(reach), lambda: self._aborted_by_now(conn, reach, froze), conn)
        elif start < reach.low or start >= conn.edge_at(reach.most):
            notes.outside_reset = notes.silent = True
            self.trigger("CH-195")
        elif start < conn.edge:
            notes.inside_reset = True
            notes.reset_asks.append(notes.period)
            self.trigger("CH-196")
        else:
            notes.inside_reset = True
            notes.reset_asks.append(notes.period)

    def _aborted_by_now(self, conn: Connection, reach: Reach, froze: int | None) -> None:
        if conn.terminating is not None or conn.aborting is not None or conn.muted:
            return
        if conn.moved(reach) or conn.frozen_by(froze):
            return
        self.check("CH-193", conn.abort_raised is not None, f"no TcpIndicateAbort {PROMPT} ticks after an RST")
        if conn.abort_raised is None:
            return
        left = [item.list.ident for item in (*conn.sends, *conn.disconnects)]
        self.check("CH-193", not left, f"NBLs {left} did not come back after an RST")
        posted = [item.list.ident for item in conn.requests if item.tick < conn.abort_raised]
        self.check("CH-194", not posted, f"receive requests {posted} did not come back after an RST")

    # --- SYN -------------------------------------------------------------------------------------------

    def _syn_in(self, conn: Connection, notes: _Notes, start: int) -> None:
        reach = conn.reach(self.now)
        certain = conn.released is not None and not conn.over and conn.final_state() is None and not self.crowded
        if start < reach.low or start >= conn.edge_at(reach.most):
            notes.repeats.append((self.now, 0))
            if certain:
                self.trigger("CH-197")
                came = self.now
                self.expect(came + PROMPT, lambda: self._answered_by_now(conn, came), conn)
        elif reach.most < start < conn.edge or (reach.waits and start == reach.most):
            notes.syn_asks.append(notes.period)
            self.trigger("CH-198")
        else:
            notes.repeats.append((self.now, 0))
            if reach.exact(start) and certain:
                froze = conn.froze
                notes.exact_syn = (self.now, reach, froze)
                self.trigger("CH-199")
                self.expect(self.now + self.known_by(reach), lambda: self._requested_by_now(conn, reach, froze), conn)

    def _answered_by_now(self, conn: Connection, came: int) -> None:
        if not conn.over and conn.last_out < came:
            self.breach("CH-197", f"a SYN outside the window got no ACK in {PROMPT} ticks")

    def _requested_by_now(self, conn: Connection, reach: Reach, froze: int | None) -> None:
        if conn.moved(reach) or conn.frozen_by(froze):
            return
        if conn.terminating is None and conn.abort_raised is None and conn.aborting is None and not conn.muted:
            asked = any(reason == _UPLOAD_REQUESTED for _, reason in conn.retrieves)
            text = f"no TcpIndicateRetrieve(UploadRequested) after a SYN at RcvNxt: {conn.retrieves}"
            self.check("CH-199", asked, text)

    # --- segments --------------------------------------------------------------------------------------

    def segment_in(self, conn: Connection, seg: Segment) -> None:
        if not conn.accepts_tag(seg):
            return
        notes = self._of(conn)
        if self.now - max(conn.last_in, conn.last_out) > _SETTLED:
            notes.silent = False
        start = unwrap(seg.sequence, conn.arrived)
        if seg.has(RST):
            self._reset_in(conn, notes, start)
        elif seg.has(SYN):
            self._syn_in(conn, notes, start)
        else:
            self._ordinary_in(conn, notes, seg, start)

    def _ordinary_in(self, conn: Connection, notes: _Notes, seg: Segment, start: int) -> None:
        reach, end = conn.reach(self.now), start + seg.length
        answer = conn.judge(seg, self.now)
        if seg.length and answer is Answer.YES and start <= reach.most and end > reach.sure:
            notes.texts.append((self.now, end))
            if end <= reach.most:
                notes.copies.append((self.now, end, reach))
        elif seg.length and not conn.only_ack_is_wrong(seg, self.now):
            notes.repeats.append((self.now, 0))
        elif answer is not Answer.YES:
            notes.strays.append((self.now, int(seg.length > 0)))
        if answer is not Answer.NO:
            self._acceptable(notes)

    @staticmethod
    def _acceptable(notes: _Notes) -> None:
        """A segment came that may have ended the validation period."""
        notes.period += 1
        notes.reset_asks = deque(period for period in notes.reset_asks if period > notes.reset_challenged)
        notes.challenged = None

    def segment_out(self, conn: Connection, seg: Segment) -> None:
        notes = self._of(conn)
        said = (seg.acknowledgment, seg.window)
        ack = unwrap(seg.acknowledgment, conn.acked)
        pure = not seg.length and not seg.has(RST | SYN | FIN) and unwrap(seg.sequence, conn.sent) == conn.sent
        again = said == notes.said or (notes.said is None and ack == conn.acked)
        notes.said = said
        if any(end <= ack for _, end in notes.texts):
            notes.texts = deque((tick, end) for tick, end in notes.texts if end > ack)
        if pure and again:
            self._repeated(conn, notes)
        notes.silent = False

    def _repeated(self, conn: Connection, notes: _Notes) -> None:
        """A pure ACK that says nothing new."""
        period = _SYN_PERIOD_SECONDS * self.ticks_per_second - LATE
        syn_allowed = notes.syn_challenged is None or self.now - notes.syn_challenged >= period
        if notes.answers(self.now, self.ticks_per_second // 2 - _SETTLED):
            pass
        elif notes.reset_asks and notes.reset_asks[-1] > notes.reset_challenged:
            notes.reset_challenged = next(one for one in notes.reset_asks if one > notes.reset_challenged)
            notes.reset_asks.remove(notes.reset_challenged)
            self._challenged(notes, notes.reset_challenged)
        elif notes.syn_asks and syn_allowed:
            notes.syn_challenged = self.now
            self._challenged(notes, notes.syn_asks.popleft())
        elif notes.reset_asks:
            notes.reset_asks.popleft()
            self.breach("CH-196", "second challenge ACK in one validation period")
        elif notes.syn_asks:
            notes.syn_asks.popleft()
            since = self.now - (notes.syn_challenged or 0)
            self.breach("CH-198", f"challenge ACK {since} ticks after the one before")
        elif notes.silent:
            self.breach("CH-195", "an RST outside the window was answered")

    def _challenged(self, notes: _Notes, period: int) -> None:
        """A challenge ACK leaves. The keepalive timer that it set runs on if its period has not ended meanwhile."""
        notes.challenged = self.now if period == notes.period else notes.challenged

    # --- reported state --------------------------------------------------------------------------------

    def reported(self, held: Connection | Shared, node: Node, asked: int, terminated: bool) -> None:
        if not isinstance(held, Connection) or node.delegated is None or node.status != SUCCESS:
            return
        notes = self._of(held)
        exact = notes.exact_syn
        open_ = exact is None or exact[1].now > exact[1].sure or held.frozen_by(exact[2])
        if terminated and exact is not None and not open_ and exact[0] + LATE < asked:
            state = number(node.delegated, "state", CLOSED)
            self.check("CH-199", state == CLOSED, f"uploaded in state {state} after a SYN at RcvNxt")
        left = number(node.delegated, "keep_alive_timeout_delta", NEVER)
        if notes.challenged is not None and "keep_alive_timeout_delta" in node.delegated:
            full = _CHALLENGE_SECONDS * self.ticks_per_second
            least = full - (self.now - notes.challenged) - LATE
            own = number(held.cached, "flags") & _KEEP_ALIVE_ENABLED
            good = left != NEVER and left >= least and (own != 0 or left <= full + RACE)
            self.check("CH-201", good, f"keepalive has {left} ticks left, at least {least} after a challenge ACK")
