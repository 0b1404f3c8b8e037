"""Lockstep with engine_top alone: check 1 on every commit record, and what leaves the queues is what the records say.

Unlike the follower of the whole device it has nothing to decode and nothing behind the queues: `TcpFollow` is given the
events that were offered, and the lines that tb/hdl/engine_player.v wrote.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable

from model.device.config import DeviceConfig
from model.device.core import Core, RxFrame
from model.device.divergence import PackedStruct, field_of, first_difference
from model.device.follow_state import Commit
from model.device.memory import GoldenMemory
from model.device.records import sees_room, tcp_record
from model.device.rules import rule_of
from model.device.words import name_of
from model.layout.generated import (
    Cqe,
    CqSource,
    Csr,
    DlvEvt,
    DlvMsg,
    Opcode,
    Phase,
    RecTcp,
    RxClass,
    Tcb,
    TcpEvt,
    TcpState,
    TxKind,
    Txq,
    Verdict,
)
from model.tcp.seq import due, signed
from model.tcp.types import Command, Consumed, Credit, Event, Fault, FenceDone, RxSegment, StepResult, Timer, TxGrant
from tb.sim.records import Record

STREAMS: dict[type[object], TcpEvt] = {
    Command: TcpEvt.COMMAND,
    RxSegment: TcpEvt.RX_SEGMENT,
    Consumed: TcpEvt.CONSUMED,
    Credit: TcpEvt.CREDIT,
    FenceDone: TcpEvt.FENCE_DONE,
    Fault: TcpEvt.FAULT,
}
#: Queue, tag of the lines of the player.
QUEUES = {"Q": "txq", "B": "bar", "D": "dlv", "V": "verdict", "C": "cpl", "X": "del", "I": "img", "A": "append",
          "F": "free"}  # fmt: skip
#: Grants or timer offers of one connection that may be under way to the arbiter at once.
HINTS = 2
HISTORY = 8
#: Cycles: a level that was left longer ago than this before a commit is not seen by it, once the event before is over.
LATE = 6
#: Cycles after the end of a stall of the completions in which a grant may still find their queue full.
CPL_LATE = 200
_STRUCTS: dict[str, type[PackedStruct]] = {"Q": Txq, "B": Txq, "D": DlvMsg, "C": Cqe}
_STREAM_KINDS = frozenset(STREAMS.values())
_STATES = {int(state): state.name for state in TcpState}
_FRAME = RxFrame(0, b"", RxClass.SEGMENT)
_LSB = {name: lsb for name, (lsb, _) in RecTcp.FIELDS.items()}
_MASK = {name: (1 << width) - 1 for name, (_, width) in RecTcp.FIELDS.items()}
_COUNTERS = ("IN_SEGMENTS_LO", "IN_RECEIVES_LO", "IN_OCTETS_LO", "ESTABLISHED", "RESET_ESTABLISHED")


class Difference(AssertionError):  # noqa: N818 - it is the finding, as Divergence is
    """RTL and golden model part; the text says where."""


class Levels:
    """Values of an input over time: those that an event may have seen."""

    def __init__(self, first: int) -> None:
        self._seen: list[tuple[int, int]] = [(0, first)]

    @property
    def now(self) -> int:
        """The present value."""
        return self._seen[-1][1]

    def set(self, cycle: int, value: int) -> None:
        """Another value from ``cycle`` on."""
        self._seen.append((cycle, value))

    def since(self, cycle: int) -> tuple[int, ...]:
        """The values from ``cycle`` on; earlier ones are forgotten."""
        while len(self._seen) > 1 and self._seen[1][0] <= cycle:
            del self._seen[0]
        return tuple(value for _, value in self._seen)


class TcpFollow:
    """The golden state of engine_top, what was offered to it, and what must come out of its queues."""

    def __init__(self, conns: int, tick: int, compared: Callable[[int, bool], None] = lambda *_: None) -> None:
        """``compared`` is told of every commit record that is as it must be, and whether it is of a connection."""
        self._tell = compared
        self.core = Core(DeviceConfig(conns=conns), GoldenMemory(bytearray(64)))
        self.waiting: dict[TcpEvt, deque[Event]] = {kind: deque() for kind in STREAMS.values()}
        self.commits = 0
        self.compared: Counter[str] = Counter()
        self.table: Counter[tuple[str, str, str]] = Counter()
        self.reached: Counter[str] = Counter()
        self.idle_commits = 0
        self.drains = 0
        self._cycle = 0
        self._last = 0
        self._ticks, self._levels = Levels(tick), Levels(1 << 24)
        self._stalled = -CPL_LATE
        self._grants: Counter[int] = Counter()
        self._timers: Counter[tuple[int, int]] = Counter()
        self._expected: dict[str, deque[tuple[int, int]]] = {tag: deque() for tag in QUEUES}
        self._got: dict[str, deque[int]] = {tag: deque() for tag in QUEUES}
        self._pulses: Counter[tuple[int, str]] = Counter()
        self._history: dict[int, deque[Commit]] = defaultdict(lambda: deque(maxlen=HISTORY))

    def offer(self, event: Event) -> None:
        """``event`` will be at the head of its sink behind those that were offered before."""
        self.waiting[STREAMS[type(event)]].append(event)

    def read(self, lines: Iterable[Record]) -> None:
        """Follow what a batch left; raises Difference at the first that is not as it must be."""
        for line in lines:
            self._cycle, tag = line.cycle, line.tag
            if tag == "T":
                self._commit(line.value)
            elif tag == "I":
                self._got[tag].append(_image(*line.fields))
            elif tag in self._got:
                self._got[tag].append(line.value)
            elif tag == "N":
                self._pulse(*line.fields)
            elif tag == "S":
                self._ticks.set(line.cycle, line.value)
            elif tag == "L":
                self._levels.set(line.cycle, line.value)
            elif line.value:
                raise self._stands_still()
            else:
                self._drained()
        self._match()
        for kind, queue in self.waiting.items():
            if queue:
                raise Difference(f"{kind.name}: {len(queue)} event(s) were taken by the RTL and never committed")

    # ---- commits -----------------------------------------------------------------------------

    def _commit(self, value: int) -> None:
        core = self.core
        kind, conn = value >> _LSB["kind"] & 0xF, value >> _LSB["conn"] & 0xFFFF
        tick, room = value >> _LSB["tick"] & 0xFFFF_FFFF, bool(value >> _LSB["room"] & 1)
        event = self._event(kind, conn, value >> _LSB["gen"] & 0xFF, tick)
        self._inputs(event, tick, room)
        has_conn = core.connection_of(event) is not None
        before = core.tcbs[conn] if has_conn else Tcb()
        deadline = core.deadlines.get(conn)
        if isinstance(event, RxSegment):
            core.by_arrival[event.seg.arrival] = _FRAME
        result = core.commit_tcp(event, tick, room=room)
        expected = tcp_record(self.commits & 0xFFFF_FFFF, tick, event, result, room=room)
        if has_conn:
            self._history[conn].append(Commit(self._cycle, expected, before))
        if expected != value:
            raise self._parted(event, conn if has_conn else None, before, expected, value)
        self._tell(value, has_conn)
        if isinstance(event, RxSegment):
            del core.by_arrival[event.seg.arrival]
        self.commits += 1
        self._last = self._cycle
        if has_conn:
            self._hints(conn, deadline, tick, result.matched)
        self._issue(event, conn, result, value)
        self._count(event, before, result)

    def _event(self, kind: int, conn: int, gen: int, tick: int) -> Event:
        core = self.core
        if kind == TcpEvt.TX_GRANT:
            if not self._grants[conn]:
                raise self._not_due("TX_GRANT", conn, "a connection that has something to send")
            self._grants[conn] -= 1
            return TxGrant(conn, core.tcbs[conn].gen)
        if kind == TcpEvt.TIMER:
            deadline = core.deadlines.get(conn)
            is_due = deadline is not None and due(deadline, tick) and gen == core.tcbs[conn].gen
            if not is_due and not self._timers[conn, gen]:
                raise self._not_due("TIMER", conn, f"a deadline not after tick {tick}, it is {deadline}")
            self._timers[conn, gen] = max(self._timers[conn, gen] - 1, 0)
            return Timer(conn, gen)
        queue = self.waiting[TcpEvt(kind)] if kind in _STREAM_KINDS else None
        if not queue:
            raise self._not_due(name_of(TcpEvt, kind), conn, "an event that was offered and not yet taken")
        return queue.popleft()

    def _inputs(self, event: Event, tick: int, room: bool) -> None:
        """Tick and room of a record are those that were there since the record before."""
        ticks = self._ticks.since(self._last - LATE)
        if tick not in ticks:
            raise self._not_due(type(event).__name__, None, f"tick {' or '.join(map(str, ticks))}, not {tick}")
        levels = self._levels.since(self._last - LATE)
        if any(level >> 16 & 0xF for level in levels):
            self._stalled = self._cycle
        if not sees_room(event):
            return
        rooms = {bool(level >> 24 & 1) for level in levels}
        if isinstance(event, TxGrant) and self._cycle - self._stalled < CPL_LATE:
            rooms.add(False)
        if room not in rooms:
            raise self._not_due(type(event).__name__, None, f"room {not room}, as at s_room (tcp_step C.12)")

    def _hints(self, conn: int, before: int | None, tick: int, matched: bool) -> None:
        """Which offers of tx_scheduler and timer_scan may be under way; behind a misfit the RTL looks at E-4 anew."""
        core = self.core
        if conn in core.pending or not matched:
            self._grants[conn] = min(self._grants[conn] + 1, HINTS)
        after = core.deadlines.get(conn)
        if (before is not None and due(before, tick)) or (after is not None and due(after, tick)):
            key = (conn, core.tcbs[conn].gen)
            self._timers[key] = min(self._timers[key] + 1, HINTS)

    # ---- queues ------------------------------------------------------------------------------

    def _issue(self, event: Event, conn: int, result: StepResult, value: int) -> None:
        """What the record, which is right, puts into the queues."""
        core, a = self.core, result.actions
        if a.tx0 is not None:
            self._expect("Q", value, "tx0")
            if a.tx0.kind == TxKind.BARRIER:
                self._expect("B", value, "tx0")
            elif a.tx0.kind == TxKind.APPEND:
                self._expected["A"].append((self.commits, conn))
        if a.tx1 is not None:
            self._expect("Q", value, "tx1")
        if a.dlv is not None:
            self._expect("D", value, "dlv")
        if a.cpl is not None:
            self._expect("C", value, "cpl")
        if isinstance(event, RxSegment):
            self._expected["V"].append((self.commits, a.verdict))
        if a.delete_lookup:
            for tag in "XF":
                self._expected[tag].append((self.commits, conn))
        while core.snapshots:
            s = core.snapshots.popleft()
            whole = int(s.opcode == Opcode.QUERY)
            packed = _image(s.tcb.pack(), s.tick, s.conn, whole, s.addr, s.cookie, s.sq_index, s.opcode)
            self._expected["I"].append((self.commits, packed))
        core.txq.clear()
        core.barred.clear()
        core.dlvq.clear()
        for source in (CqSource.TCP, CqSource.INVALIDATE):
            core.completions[source].clear()

    def _expect(self, tag: str, value: int, name: str) -> None:
        self._expected[tag].append((self.commits, value >> _LSB[name] & _MASK[name]))

    def _match(self) -> None:
        for tag, got in self._got.items():
            expected = self._expected[tag]
            while got and expected:
                commit, want = expected.popleft()
                seen = got.popleft()
                if seen != want:
                    raise Difference(_queue_text(tag, commit, want, seen))
                self.compared[QUEUES[tag]] += 1

    def _pulse(self, incoming: int, packet: int, octets: int, opened: int, closed: int, reset: int, ipv6: int) -> None:
        pulses = self._pulses
        if incoming:
            pulses[ipv6, "IN_SEGMENTS_LO"] += 1
            if packet:
                pulses[ipv6, "IN_RECEIVES_LO"] += 1
                pulses[ipv6, "IN_OCTETS_LO"] += octets
        pulses[ipv6, "ESTABLISHED"] += opened - closed
        pulses[ipv6, "RESET_ESTABLISHED"] += reset

    def _drained(self) -> None:
        """The RTL says that nothing is left to do: so must the model, and every queue is empty."""
        core, tick = self.core, self._ticks.now
        self._match()
        for tag, name in QUEUES.items():
            for commit, want in self._expected[tag]:
                raise Difference(f"{name}: {want:#x} of commit {commit} never left the queue")
            for seen in self._got[tag]:
                raise Difference(f"{name}: {seen:#x} left the queue, and no record says so")
        for conn in sorted(core.pending):
            raise self._not_idle(conn, "is pending (tcp_step E-4) and gets no grant")
        for conn in core.due_timers(tick):
            raise self._not_idle(conn, f"has the deadline {core.deadlines[conn]}, now is {tick}, and gets no TIMER")
        for ipv6 in (0, 1):
            for name in _COUNTERS:
                register, sum_ = Csr[f"ST{6 if ipv6 else 4}_{name}"], self._pulses[ipv6, name]
                want = core.regs.wide(register) if name.endswith("_LO") else core.regs[register]
                if want != sum_:
                    raise Difference(f"statistics: {register.name} is {sum_} by the pulses, expected {want}")
        self._grants.clear()
        self._timers.clear()
        self.drains += 1

    # ---- words -------------------------------------------------------------------------------

    def _parted(self, event: Event, conn: int | None, before: Tcb, expected: int, got: int) -> Difference:
        name, want, seen = first_difference(RecTcp, expected, got)
        kind = name_of(TcpEvt, field_of(RecTcp, expected, "kind"))
        state = "no connection" if conn is None else f"{Phase(before.phase).name} {name_of_state(before.state)}"
        lines = [
            f"commit {self.commits}, cycle {self._cycle}, connection {conn}, {state}, {kind}: "
            f"{name or 'bits above the record'}: expected {want} ({want:#x}), got {seen} ({seen:#x})",
            f"rule: {rule_of(kind, name)}",
            f"event: {event}",
        ]
        if conn is not None:
            lines += [f"before: {before}", *(c.words() for c in self._history[conn])]
        return Difference("\n".join(lines))

    def _not_due(self, kind: str, conn: int | None, expected: str) -> Difference:
        where = f"commit {self.commits}, cycle {self._cycle}, connection {conn}, {kind}"
        history = [] if conn is None else [c.words() for c in self._history[conn]]
        return Difference("\n".join([f"{where}: the event was not due, expected {expected}", *history]))

    def _not_idle(self, conn: int, why: str) -> Difference:
        lines = [f"cycle {self._cycle}: the cluster is idle and connection {conn} {why}"]
        return Difference("\n".join([*lines, *(c.words() for c in self._history[conn])]))

    def _stands_still(self) -> Difference:
        heads = [f"{kind.name}: {queue[0]}" for kind, queue in self.waiting.items() if queue]
        pending = f"pending: {sorted(self.core.pending)}, due: {self.core.due_timers(self._ticks.now)}"
        return Difference("\n".join([f"cycle {self._cycle}: nothing commits any more", pending, *heads]))

    # ---- what was reached --------------------------------------------------------------------

    def _count(self, event: Event, before: Tcb, result: StepResult) -> None:
        kind, outcome = kind_of(event), outcome_of(event, before, result)
        self.idle_commits += outcome == "nothing"
        state = name_of_state(before.state) if before.phase != Phase.FREE else "-"
        self.table[kind, outcome, state] += 1
        if before.phase == result.tcb.phase == Phase.RUNNING:
            self.reached.update(name for name, holds in REACHED.items() if holds(before, result.tcb))


#: What commits of a connection in RUNNING can show beside their outcome: name, (state before, state behind).
REACHED: dict[str, Callable[[Tcb, Tcb], bool]] = {
    "send sequence wraps": lambda b, a: a.snd_una < b.snd_una and a.snd_una != b.snd_una and b.snd_una >> 31 == 1,
    "receive sequence wraps": lambda b, a: a.rcv_nxt < b.rcv_nxt,
    "timestamp wraps": lambda b, a: a.ts_recent < b.ts_recent and b.ts_recent >> 31 == 1,
    "ECE answered": lambda b, a: a.ecn_cwr > b.ecn_cwr and a.in_recovery == b.in_recovery == 0 and not a.rtx_count,
    "CE seen": lambda b, a: a.ecn_ece > b.ecn_ece,
    "CUBIC: a stage begins": lambda b, a: a.cc != b.cc and not b.cc & 1 and bool(a.cc & 1),
    "CUBIC: a stage goes on": lambda b, a: bool(a.cc != b.cc and b.cc & 1 and a.cc & 1),
    "CUBIC: cwnd grows in a stage": lambda b, a: bool(b.cc & 1 and a.cc & 1 and a.cwnd > b.cwnd),
    "Reno: cwnd grows in avoidance": lambda b, a: a.cwnd > b.cwnd >= b.ssthresh and not (b.cubic_en or b.in_recovery),
    "slow start": lambda b, a: not b.in_recovery and b.cwnd < a.cwnd and b.cwnd < b.ssthresh,
    "recovery with SACK begins": lambda b, a: bool(a.sack_en and a.in_recovery > b.in_recovery),
    "scoreboard of 3 or more": lambda b, a: a.sb_n > b.sb_n >= 2,
    "rescue": lambda b, a: a.rescued > b.rescued,
    "ranges out of order: 4": lambda b, a: a.rr_n > b.rr_n == 3,
    "ranges out of order: 8": lambda b, a: a.rr_n > b.rr_n == 7,
    "FIN behind a hole": lambda b, a: a.ooo_fin > b.ooo_fin,
    "D-SACK owed": lambda b, a: a.dsack > b.dsack,
    "round trip measured": lambda b, a: a.srtt != b.srtt,
    "window shuts": lambda b, a: a.persist > b.persist,
    "window opens": lambda b, a: a.persist < b.persist,
    "challenge ACK": lambda b, a: a.rst_challenged > b.rst_challenged or a.syn_challenged > b.syn_challenged,
    "backlog told": lambda b, a: a.backlog_told != b.backlog_told,
    "our FIN leaves": lambda b, a: b.state != a.state and a.state in (TcpState.FIN_WAIT_1, TcpState.LAST_ACK),
    "our FIN is acknowledged": lambda b, a: b.state != a.state
    and (b.state, a.state)
    in ((TcpState.FIN_WAIT_1, TcpState.FIN_WAIT_2), (TcpState.CLOSING, TcpState.TIME_WAIT),
        (TcpState.LAST_ACK, TcpState.CLOSED)),
}  # fmt: skip


def _image(*fields: int) -> int:
    """The words of an image as one number, to be compared."""
    packed = 0
    for value in fields:
        packed = packed << 64 | value
    return packed


def _queue_text(tag: str, commit: int, want: int, got: int) -> str:
    if tag in _STRUCTS:
        name, e, g = first_difference(_STRUCTS[tag], want, got)
        return f"{QUEUES[tag]}: {name} of an item of commit {commit}: expected {e} ({e:#x}), it left as {g} ({g:#x})"
    return f"{QUEUES[tag]}: commit {commit} said {want:#x}, {got:#x} left the queue"


def name_of_state(state: int) -> str:
    """The name of a TCP state."""
    return _STATES.get(state, str(state))


def kind_of(event: Event) -> str:
    """The kind of an event in the table; a command by its opcode."""
    return Opcode(event.sqe.opcode).name if isinstance(event, Command) else type(event).__name__


def outcome_of(event: Event, before: Tcb, result: StepResult) -> str:
    """What an event did, in a few words: its completion, or what became of text and ACK."""
    a, after = result.actions, result.tcb
    if isinstance(event, Credit):
        return "credits"
    if isinstance(event, Command) and a.cpl is not None:
        return f"completed {a.cpl.status}"
    if not result.matched:
        return "misfit"
    if before.phase != after.phase:
        return f"{Phase(before.phase).name} to {Phase(after.phase).name}"
    if isinstance(event, RxSegment) or (isinstance(event, Command) and event.sqe.opcode == Opcode.FORWARD):
        if a.verdict == Verdict.PASS_UP:
            return "passed up"
        parts = [*_ack_part(before, after), *_text_part(before, result)]
        return ", ".join(parts) or ("nothing" if before == after else "memory only")
    if isinstance(event, Timer):
        return _timer_part(before, after) or "nothing"
    if isinstance(event, TxGrant):
        return _grant_part(before, result) or "nothing"
    return "nothing" if before == after and not (a.tx0 or a.dlv or a.image) else "done"


def _ack_part(before: Tcb, after: Tcb) -> list[str]:
    if after.in_recovery and not before.in_recovery:
        return ["recovery begins"]
    if before.in_recovery and not after.in_recovery:
        return ["recovery ends"]
    if after.snd_una != before.snd_una:
        return ["partial ACK" if after.in_recovery else "new ACK"]
    if after.dup_acks != before.dup_acks:
        return ["duplicate ACK in recovery" if after.in_recovery else "duplicate ACK"]
    if after.sb_n != before.sb_n or after.sb_right != before.sb_right:
        return ["SACK"]
    return ["window"] if after.snd_wnd != before.snd_wnd else []


def _text_part(before: Tcb, result: StepResult) -> list[str]:
    a, after = result.actions, result.tcb
    if a.dlv is not None:
        if a.dlv.kind == DlvEvt.DELIVER:
            return ["FIN" if a.dlv.fin else "joined" if a.dlv.join else "text"]
        return [DlvEvt(a.dlv.kind).name.lower()]
    if after.dup_owed != before.dup_owed:
        return ["answered"]
    return []


def _timer_part(before: Tcb, after: Tcb) -> str:
    if after.probe_owed and not before.probe_owed:
        return "window probe"
    if after.total_rt != before.total_rt or after.rtx_head > before.rtx_head:
        return "time-out" if not before.rtx_count else "time-out again"
    if after.ka_probe_owed and not before.ka_probe_owed:
        return "keep-alive"
    if before.dack_on and not after.dack_on:
        return "delayed ACK"
    if after.ka_deadline != before.ka_deadline:
        return "keep-alive put off"
    return "" if before == after else "other"


def _grant_part(before: Tcb, result: StepResult) -> str:
    a, after = result.actions, result.tcb
    released = " and release" if a.tx1 is not None else ""
    if a.tx0 is None:
        return f"nothing{released}" if released else "" if before == after else "no segment"
    if signed(after.snd_nxt, before.snd_nxt) > 0:
        sent = "new" if after.snd_nxt == after.snd_max and before.snd_nxt == before.snd_max else "again"
    elif after.snd_max != before.snd_max or before.probe_owed:
        sent = "probe"
    elif after.last_tx_tick != before.last_tx_tick or after.high_rxt != before.high_rxt or before.rtx_head:
        sent = "retransmission"
    else:
        sent = "ACK"
    return sent + released
