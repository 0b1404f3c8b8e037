"""Section 9.10, timers of a connection that does not move: persist, FIN_WAIT_2, keepalive (CH-217..221).

Gaps are compared with each other, since the RTO is not in the trace, with a tolerance of `LATE` ticks and an eighth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final
from weakref import WeakKeyDictionary

from tb.monitors.contract.receive_books import CLOSED, FIN_WAIT_2, NEVER, SUCCESS, Connection, Shared, number
from tb.monitors.contract.receive_segments import ACK, RST, SYN, Segment, unwrap
from tb.monitors.contract.receive_stream import Arrival
from tb.monitors.contract.receive_watch import LATE, PROMPT, BookedMonitor
from tb.monitors.contract.trace import Node

_FIN_WAIT_2_SECONDS: Final = 120
_LONGEST_SECONDS: Final = 60
"""Gaps need not grow beyond this."""
_NEXT_GAP: Final = 4
_TIMEOUT_EXPIRATION: Final = 8
_KEEP_ALIVE_ENABLED: Final = 1


@dataclass(slots=True)
class _Persist:
    """One zero window: the round, when it began, its probes."""

    since: int
    round: int | None
    """None if rounds before this one are not known."""
    probes: list[int] = field(default_factory=list)
    first_delay: int | None = None
    """Persist time of the round before."""
    exact: bool = True
    """It began at ``since``; else earlier, with data that met a closed window."""


@dataclass(slots=True)
class _KeepAlive:
    """Idle time: when the next probe is due at the earliest and at the latest, and what was sent."""

    earliest: int | None = None
    latest: int | None = None
    probes: int = 0
    last_probe: int = 0
    watched: bool = False


@dataclass(slots=True)
class _Notes:
    """What is remembered of a connection."""

    persist: _Persist | None = None
    idle: _KeepAlive = field(default_factory=_KeepAlive)
    waiting: tuple[int, int, int] | None = None
    """FIN_WAIT_2: its timer started between these ticks, and runs for so long."""
    expired: bool = False
    last_payload: int = -1
    closed: bool = False
    """The window was closed already: data that is sent now meets it, and the timer begins with that."""


class IdleTimers(BookedMonitor):
    """Timers that run while nothing is acknowledged."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-217": "persist gaps: RTO << round before the first probe, then RTO, 2 RTO, 4 RTO",
        "CH-218": "an ACK that opens the window ends persist, and data leaves",
        "CH-219": "more than TcpMaximumRetransmissions probes in a round raise TimeoutExpiration",
        "CH-220": "FIN_WAIT_2 ends after its time with TimeoutExpiration in state Closed; segments start it anew",
        "CH-221": "keepalive: a probe after KaTimeout, then every KaInterval, KaProbeCount of them",
    }

    def __init__(self) -> None:
        super().__init__()
        self._notes: WeakKeyDictionary[Connection, _Notes] = WeakKeyDictionary()

    def _of(self, conn: Connection) -> _Notes:
        notes = self._notes.get(conn)
        if notes is None:
            notes = self._notes[conn] = _Notes()
        return notes

    def offloaded(self, conn: Connection, node: Node) -> None:
        notes = self._of(conn)
        delta = number(conn.delegated, "retransmit_timeout_delta", NEVER)
        if conn.first_state == FIN_WAIT_2 and delta != NEVER:
            self._start_fin_wait(conn, notes, self.now, self.now, delta)
        notes.closed = conn.peer_edge <= conn.una
        if notes.closed and conn.queued > conn.una:
            notes.persist = _Persist(self.now, None)
        rest = number(conn.delegated, "keep_alive_timeout_delta", NEVER)
        if rest != NEVER and self._keeps_alive(conn):
            notes.idle.probes = number(conn.delegated, "keep_alive_probe_count")
            notes.idle.earliest, notes.idle.latest = conn.began + rest, self.now + rest
            self._watch_idle(conn, notes)

    # --- segments --------------------------------------------------------------------------------------

    def segment_taken(self, conn: Connection, seg: Segment, new: list[Arrival]) -> None:
        notes = self._of(conn)
        self._fin_wait_segment(conn, notes, seg)
        if self._keeps_alive(conn):
            after = number(conn.cached, "ka_timeout")
            notes.idle.earliest = notes.idle.latest = self.now + after
            notes.idle.probes = 0
            self._watch_idle(conn, notes)
        if not seg.has(RST | SYN) and seg.has(ACK) and unwrap(seg.acknowledgment, conn.una) == conn.una:
            self._window(conn, notes, advanced=False)

    def segment_in(self, conn: Connection, seg: Segment) -> None:
        ack = unwrap(seg.acknowledgment, conn.una)
        notes = self._of(conn)
        if seg.has(ACK) and not seg.has(RST | SYN) and conn.una < ack <= conn.sent and notes.persist is not None:
            notes.persist = _Persist(self.now, None)

    def segment_out(self, conn: Connection, seg: Segment) -> None:
        notes = self._of(conn)
        start = unwrap(seg.sequence, conn.sent)
        if seg.payload:
            notes.last_payload = self.now
        if seg.has(RST):
            return
        if start == conn.una - 1 and len(seg.payload) <= 1 and conn.una == conn.sent and not seg.has(SYN):
            self._keepalive_probe(conn, notes.idle)
        elif seg.length:
            self._postpone(conn, notes)
        if notes.persist is not None and seg.length and start == conn.una >= conn.peer_edge:
            self._window_probe(conn, notes.persist)

    # --- persist ---------------------------------------------------------------------------------------

    def _window(self, conn: Connection, notes: _Notes, *, advanced: bool) -> None:
        """An ACK of nothing new says how wide the window is."""
        open_bytes = conn.peer_edge - conn.una
        persist, before = notes.persist, notes.closed
        notes.closed = open_bytes <= 0
        if open_bytes <= 0:
            if persist is None and conn.una == conn.sent and conn.queued > conn.una:
                notes.persist = _Persist(self.now, 0, exact=not before)
            elif persist is not None and persist.probes:
                known = persist.round
                delay = persist.probes[0] - persist.since if persist.exact else None
                notes.persist = _Persist(self.now, None if known is None else known + 1, first_delay=delay)
        elif persist is not None:
            notes.persist = None
            left = conn.queued - conn.una
            if left > 0 and open_bytes >= min(left, number(conn.const, "remote_mss", 536)) and not conn.over:
                came = self.now
                self.expect(came + PROMPT, lambda: self._resumed(conn, came), conn)

    def _resumed(self, conn: Connection, came: int) -> None:
        if not conn.over:
            sent = self._of(conn).last_payload >= came
            self.check("CH-218", sent, f"the window opened at tick {came}, no data left in {PROMPT} ticks")

    def _window_probe(self, conn: Connection, persist: _Persist) -> None:
        persist.probes.append(self.now)
        probes = persist.probes
        if len(probes) > 2:
            self._gap("CH-217", probes[-1] - probes[-2], 2 * (probes[-2] - probes[-3]), f"probe {len(probes)}")
        elif len(probes) == 2 and persist.round is not None and persist.exact:
            delay = probes[0] - persist.since
            self._gap("CH-217", probes[1] - probes[0], delay >> persist.round, "probe 2")
        elif len(probes) == 1 and persist.first_delay is not None and persist.round is not None:
            self._gap("CH-217", probes[0] - persist.since, 2 * persist.first_delay, f"round {persist.round}")
        count = self.parameter("tcp_maximum_retransmissions")
        if count is None:
            return
        if len(probes) > count + 1:
            self.breach("CH-219", f"probe {len(probes)} in one round, the limit is {count}")
        elif len(probes) >= count:
            gap = probes[-1] - (probes[-2] if len(probes) > 1 else persist.since)
            sent = len(probes)
            self.expect(self.now + _NEXT_GAP * gap + LATE, lambda: self._probed_out(conn, persist, sent), conn)

    def _gap(self, rule: str, gap: int, expected: int, what: str) -> None:
        slack = LATE + expected // 8
        longest = _LONGEST_SECONDS * self.ticks_per_second
        good = min(expected, longest) - slack <= gap <= expected + slack
        self.check(rule, good, f"{what} came after {gap} ticks, {expected} were due")

    def _probed_out(self, conn: Connection, persist: _Persist, sent: int) -> None:
        if self._of(conn).persist is persist and len(persist.probes) == sent and not conn.over:
            self.breach("CH-219", f"no TimeoutExpiration after {sent} probes in one round")

    # --- FIN_WAIT_2 ------------------------------------------------------------------------------------

    def _in_fin_wait_2(self, conn: Connection) -> bool:
        return conn.own_fin is not None and conn.fin_out is not None and conn.una > conn.own_fin and not conn.fins.heard

    def _fin_wait_segment(self, conn: Connection, notes: _Notes, seg: Segment) -> None:
        if not self._in_fin_wait_2(conn):
            return
        if conn.first_state == FIN_WAIT_2 and notes.waiting is None and conn.released is None:
            return
        full = _FIN_WAIT_2_SECONDS * self.ticks_per_second
        low, high = conn.next_bounds
        start = unwrap(seg.sequence, conn.arrived)
        ack = unwrap(seg.acknowledgment, conn.una)
        surely = seg.has(ACK) and not seg.has(RST | SYN) and ack == conn.una and start in (low, high)
        surely &= start == high or bool(seg.payload)
        if notes.waiting is None or surely:
            self._start_fin_wait(conn, notes, self.now, self.now, full)
        else:
            self._start_fin_wait(conn, notes, notes.waiting[0], self.now, max(full, notes.waiting[2]))

    def _start_fin_wait(self, conn: Connection, notes: _Notes, low: int, high: int, ticks: int) -> None:
        state = notes.waiting = (low, high, ticks)
        self.expect(high + ticks + PROMPT, lambda: self._waited_out(conn, state), conn)

    def _waited_out(self, conn: Connection, state: tuple[int, int, int]) -> None:
        if self._of(conn).waiting is state and self._in_fin_wait_2(conn) and not conn.over:
            self.breach("CH-220", f"no TimeoutExpiration {state[2]} ticks after FIN_WAIT_2 was entered or restarted")

    # --- keepalive -------------------------------------------------------------------------------------

    @staticmethod
    def _keeps_alive(conn: Connection) -> bool:
        enabled = number(conn.cached, "flags") & _KEEP_ALIVE_ENABLED
        return bool(enabled and number(conn.cached, "ka_timeout") and number(conn.cached, "ka_probe_count"))

    def _postpone(self, conn: Connection, notes: _Notes) -> None:
        """Data was sent: the connection may count as idle from now only."""
        if notes.idle.latest is not None:
            notes.idle.latest = max(notes.idle.latest, self.now + number(conn.cached, "ka_timeout"))

    def _keepalive_probe(self, conn: Connection, idle: _KeepAlive) -> None:
        if not self._keeps_alive(conn):
            return
        count, interval = number(conn.cached, "ka_probe_count"), number(conn.cached, "ka_interval")
        idle.probes += 1
        idle.last_probe = self.now
        if idle.earliest is not None:  # else an update changed the times, and this probe tells when they count from
            early = idle.earliest - self.now
            self.check("CH-221", early <= LATE, f"keepalive probe {early} ticks too early")
            self.check("CH-221", idle.probes <= count, f"keepalive probe {idle.probes}, KaProbeCount is {count}")
        idle.earliest = idle.latest = self.now + interval
        self._watch_idle(conn, self._of(conn))

    def _watch_idle(self, conn: Connection, notes: _Notes) -> None:
        if not notes.idle.watched and notes.idle.latest is not None:
            notes.idle.watched = True
            self.expect(notes.idle.latest + PROMPT, lambda: self._idle_too_long(conn, notes), conn)

    def _idle_too_long(self, conn: Connection, notes: _Notes) -> None:
        idle = notes.idle
        idle.watched = False
        if conn.over or not self._keeps_alive(conn) or idle.latest is None:
            return
        if idle.latest + PROMPT >= self.now:
            self._watch_idle(conn, notes)
        elif conn.una == conn.sent == conn.queued:
            over = idle.probes >= number(conn.cached, "ka_probe_count")
            what = "upload request after the last" if over else "keepalive"
            self.breach("CH-221", f"no {what} probe, due at tick {idle.latest}")

    def updated(self, held: Connection | Shared, cached: Mapping[str, object] | None) -> None:
        """Times changed: nothing is known before the next segment."""
        if isinstance(held, Connection):
            idle = self._of(held).idle
            idle.earliest = idle.latest = None

    # --- TimeoutExpiration -----------------------------------------------------------------------------

    def event(self, conn: Connection, event: int, info: int) -> None:
        if event != 3 or info != _TIMEOUT_EXPIRATION:
            return
        notes = self._of(conn)
        count = self.parameter("tcp_maximum_retransmissions")
        probed = notes.idle.probes >= number(conn.cached, "ka_probe_count") > 0
        if self._in_fin_wait_2(conn) and notes.waiting is not None:
            low, _, ticks = notes.waiting
            early = low + ticks - self.now
            notes.expired = early <= LATE
            self.check("CH-220", early <= LATE or probed, f"FIN_WAIT_2 ended {early} ticks before its time")
        elif notes.persist is not None and count is not None and notes.persist.round is not None:
            sent = len(notes.persist.probes)
            self.check(
                "CH-219", sent >= count or probed, f"TimeoutExpiration after {sent} probes, the limit is {count}"
            )
        elif self._keeps_alive(conn) and conn.una == conn.sent and notes.persist is None:
            self.check("CH-221", probed, f"TimeoutExpiration after {notes.idle.probes} keepalive probes")

    def reported(self, held: Connection | Shared, node: Node, asked: int, terminated: bool) -> None:
        if not terminated or not isinstance(held, Connection) or node.delegated is None or node.status != SUCCESS:
            return
        if self._of(held).expired:
            state = number(node.delegated, "state", CLOSED)
            self.check("CH-220", state == CLOSED, f"uploaded in state {state} after FIN_WAIT_2 expired")
