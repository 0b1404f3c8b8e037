"""`Follower`: the golden device driven by the records of another one (the RTL), comparing everything.

A record says only which event came next; the follower works out arguments, new state and actions itself and compares
(architecture, section 3). Call the ``on_*`` methods in the order of cycles; within a cycle records of engines come
before frames, writes and ticks. The first divergence stops the comparison and stays in ``divergence``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from model.delivery.step import Continue, DeliveryError, DeliveryEvent, DlvCommand, Message, PushTimer
from model.device.bounds import Liveness
from model.device.config import DeviceConfig
from model.device.core import Core, RxFrame, Write
from model.device.decode import Decoded, completion
from model.device.divergence import Divergence, Halt, field_of, first_difference, from_records
from model.device.follow_commands import CommandTracker, Posted, refusable
from model.device.follow_lookup import LookupHistory
from model.device.follow_writes import CLIENTS, RingWrites, WriteError, WriteLane, beat_bytes
from model.device.memory import ErrorWindow, GoldenMemory
from model.device.records import Entry, delivery_record, tcp_record
from model.device.registers import SOFT_RESET
from model.device.report import frame_difference, render
from model.device.rules import rule_of
from model.device.rxparse import Parsed, parse
from model.device.txpath import TxFrame, TxPathError
from model.layout.generated import (
    CQE_BYTES,
    CREDIT_BATCH,
    SQE_BYTES,
    Cqe,
    CqKind,
    CqSource,
    Csr,
    DlvEvt,
    Opcode,
    RecCq,
    RecDlv,
    RecRx,
    RecTcp,
    RecTx,
    RxClass,
    RxReason,
    Status,
    TcpEvt,
    TcpImage,
    TxKind,
    TxRecKind,
    WrClient,
)
from model.tcp.seq import MASK, due
from model.tcp.types import (
    Command,
    Consumed,
    Credit,
    Event,
    Fault,
    FenceDone,
    RxSegment,
    StepError,
    StepResult,
    Timer,
    TxGrant,
)

_HINTS = 2
"""Grants or timer offers that may be under way to the arbiter at once for one connection."""
_SPACE_SLACK = 4
_HISTORY = 8
_CHECK_EVERY = 256


@dataclass(frozen=True, slots=True)
class Expected:
    """A completion that must come: packed without phase; ``need`` of its source's preconditions must be met."""

    cqe: int
    conn: int
    gen: int
    need: int
    number: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of a connection, kept for the report."""

    cycle: int
    tick: int
    event: Event
    result: StepResult


class Follower:
    """Follows one device. Compare ``divergence`` with None at any time; call ``finish`` and ``final_compare`` last."""

    def __init__(
        self,
        contents: bytes | bytearray,
        conns: int = 64,
        data_w: int = 512,
        *,
        config: DeviceConfig | None = None,
        bounds: Mapping[str, int] | None = None,
    ) -> None:
        self.config = config or DeviceConfig(conns=conns, data_w=data_w)
        self.memory = GoldenMemory(bytearray(contents))
        self.divergence: Divergence | None = None
        self.commits_compared = 0
        self.delivery_commits_compared = 0
        self.frames_compared = 0
        self.completions_compared = 0
        self.host_bytes_compared = 0
        self.events: Counter[str] = Counter()
        self._bounds = bounds
        self._reset()

    def _reset(self) -> None:
        self.core = Core(self.config, self.memory)
        self.live = Liveness(self._bounds)
        self._cycle = 0
        self._now: int | None = None
        self._orders = {"tcp": 0, "delivery": 0}
        self._ticks = {"tcp": 0, "delivery": 0}
        self._messages_issued = 0
        self._messages_taken = 0
        self._commands = CommandTracker()
        self._lookup = LookupHistory()
        self._fetched = 0
        # receive
        self._entered: deque[tuple[int, bytes, int]] = deque()
        self._arrivals = 0
        self._segments: deque[RxFrame] = deque()
        self._raw_wait: deque[RxFrame] = deque()
        # hints under way
        self._grants: Counter[int] = Counter()
        self._timers: Counter[tuple[int, int]] = Counter()
        self._pushes: Counter[tuple[int, int]] = Counter()
        self._consumed: dict[tuple[int, int], deque[tuple[int, bool]]] = {}
        self._faults_seen: set[tuple[int, int]] = set()
        # transmit
        self._frames: deque[TxFrame] = deque()
        self._tx_records: deque[TxFrame] = deque()
        self._raw_frames: deque[bytes] = deque()
        self._raw_records: deque[tuple[int, int, bool]] = deque()
        self._raw_sent = 0
        self._tx_seen = 0
        self._tx_issued = 0
        self._released: deque[tuple[int, int, int]] = deque()
        self._unproven: Counter[int] = Counter()
        # host memory
        self._placed = WriteLane()
        self._raw_placed = WriteLane()
        self._state = WriteLane()
        self._ring = RingWrites()
        self._ring_written: dict[int, bytes] = {}
        self._ring_recorded: dict[int, tuple[bytes, int]] = {}
        self._fence_need: dict[tuple[int, int], int] = {}
        # completions
        self._expected: dict[CqSource, deque[Expected]] = {source: deque() for source in CqSource}
        self._numbers: Counter[CqSource] = Counter()
        self._cq_written = 0
        self._cq_read = 0
        self._history: dict[int, deque[Commit]] = {}
        self._since_check = 0

    # ---- the host's side -----------------------------------------------------------------------

    def host_write(self, addr: int, data: bytes) -> None:
        """The host stores ``data`` at ``addr``."""
        if self.divergence is None:
            self.memory.write(addr, data)

    def mmio_write(self, offset: int, value: int) -> None:
        """The driver writes a register."""
        self._guard(lambda: self._register(offset, value))

    def inject_errors(self, windows: list[ErrorWindow]) -> None:
        """Device accesses in these windows fail from now on."""
        self.memory.windows = list(windows)

    def on_stalls(self, total: int) -> None:
        """Cycles in which transactors stalled on purpose since reset."""
        self.live.stalled = total

    # ---- what monitors saw ---------------------------------------------------------------------

    def on_frame_in(self, frame: bytes, cycle: int) -> None:
        """The last beat of a frame entered the device."""
        self._at(cycle)
        if self.divergence is None:
            self._entered.append((self._arrivals, frame, cycle))
            self.live.begin("frame", self._arrivals, cycle)
            self._arrivals = (self._arrivals + 1) & MASK

    def on_frame_out(self, frame: bytes, cycle: int) -> None:
        """A frame left the device."""
        self._at(cycle)
        self._guard(lambda: self._frame_out(frame))

    def on_tick(self, tick: int, cycle: int) -> None:
        """The tick counter moved to ``tick``."""
        self._at(cycle)
        self._guard(lambda: self._tick(tick))

    def on_write(
        self, client: int, addr: int, strobe: int, data: int, lanes: int, cycle: int, response: int = 0
    ) -> None:
        """A beat of a write to host memory at bus address ``addr``; ``response`` not 0: it was refused."""
        if client == WrClient.PLACER and response == 0 and self._whole_beat(addr, strobe, data, lanes):
            return
        self._at(cycle)
        self._guard(lambda: self._write(client, addr, strobe, data, lanes, response))

    def on_rec_tcp(self, value: int, cycle: int) -> None:
        """A commit of tcp_engine."""
        self._at(cycle)
        self._guard(lambda: self._tcp(value))

    def on_rec_dlv(self, value: int, cycle: int) -> None:
        """A commit of delivery_engine."""
        self._at(cycle)
        self._guard(lambda: self._delivery(value))

    def on_rec_rx(self, value: int, cycle: int) -> None:
        """A verdict of rx_parser."""
        self._at(cycle)
        self._guard(lambda: self._rx(RecRx.unpack(value)))

    def on_rec_tx(self, value: int, cycle: int) -> None:
        """A frame of segment_builder left or was discarded."""
        self._at(cycle)
        self._guard(lambda: self._tx(RecTx.unpack(value)))

    def on_rec_cq(self, value: int, cycle: int) -> None:
        """An entry of the completion ring was written."""
        self._at(cycle)
        self._guard(lambda: self._cq(value))

    def feed(self, entry: Entry) -> None:
        """One entry of a journal (`model.device.records`)."""
        v, cycle = entry.values, entry.cycle
        if entry.tag == "M":
            self.mmio_write(v[0], v[1])
        elif entry.tag == "H":
            self.host_write(v[0], entry.data)
        elif entry.tag == "F":
            self.on_frame_in(entry.data, cycle)
        elif entry.tag == "O":
            self.on_frame_out(entry.data, cycle)
        elif entry.tag == "W":
            self.on_write(v[0], v[1], v[2], v[3], v[4], cycle, v[5])
        else:
            handlers = {
                "T": self.on_rec_tcp,
                "D": self.on_rec_dlv,
                "R": self.on_rec_rx,
                "X": self.on_rec_tx,
                "C": self.on_rec_cq,
                "S": self.on_tick,
            }
            handlers[entry.tag](v[0], cycle)

    # ---- results -------------------------------------------------------------------------------

    def liveness(self) -> dict[str, dict[str, int]]:
        """{kind: {bound, max_seen}} in cycles."""
        return self.live.table()

    def report(self, replay: str) -> str:
        """The divergence in words, under 30 lines; ``replay`` is the command that shows it again."""
        if self.divergence is None:
            return "no divergence\n"
        return render(self.divergence, replay)

    def finish(self, cycle: int | None = None) -> Divergence | None:
        """End of test: nothing may be pending."""
        if cycle is not None:
            self._at(cycle)
        self._guard(self._nothing_left)
        return self.divergence

    def final_compare(self, memory: bytes | bytearray) -> Divergence | None:
        """Every byte of host memory against the golden image."""
        self._guard(lambda: self._compare_memory(memory))
        return self.divergence

    # ---- plumbing ------------------------------------------------------------------------------

    def _at(self, cycle: int) -> None:
        self._cycle = cycle
        self._since_check += 1
        if self._since_check >= _CHECK_EVERY and self.divergence is None:
            self._since_check = 0
            self._guard(self._check_liveness)

    def _check_liveness(self) -> None:
        """Check 6; while the completion ring has no room nothing is late."""
        if self._cq_written - self._cq_read >= self.core.regs.entries(Csr.CQ_SIZE_LOG2) - 1 > 0:
            self.live.restart(self._cycle)
        else:
            self.live.check(self._cycle)

    def _guard(self, action: Callable[[], None]) -> None:
        """Run ``action`` unless something diverged already; keep the first divergence."""
        if self.divergence is not None:
            return
        try:
            action()
        except Halt as halt:
            found = halt.divergence
        except WriteError as error:
            found = self._finding(4, "write", error.field, error.expected, error.got, "mechanisms M9: host memory")
        except (StepError, DeliveryError, TxPathError) as error:
            found = self._finding(5, "golden", "event", "an event the contract allows here", str(error), "contract")
        else:
            return
        conn = found.conn
        if conn is not None and not found.history:
            found = found.with_history(tuple(describe(c) for c in self._history.get(conn, ())))
        self.divergence = found

    def _finding(
        self,
        check: int,
        stream: str,
        field: str,
        expected: str,
        got: str,
        rule: str,
        *,
        conn: int | None = None,
        event: str = "-",
        order: int = 0,
        frame: bytes | None = None,
    ) -> Divergence:
        return Divergence(check, stream, order, self._cycle, conn, event, field, expected, got, rule, frame)

    def _not_due(
        self, stream: str, event: str, conn: int | None, expected: str, got: str, field: str = "event"
    ) -> Halt:
        order = self._orders.get(stream, 0)
        rule = "architecture 3, check 5: the event was due"
        return Halt(self._finding(5, stream, field, expected, got, rule, conn=conn, event=event, order=order))

    # ---- registers and fetching ----------------------------------------------------------------

    def _register(self, offset: int, value: int) -> None:
        if offset == Csr.CONTROL and value & SOFT_RESET:
            self._reset()
            return
        regs = self.core.regs
        head = regs[Csr.CQ_HEAD]
        if not regs.host_write(offset, value):
            return
        if offset == Csr.CQ_HEAD:
            self._cq_read += (value - head) % regs.entries(Csr.CQ_SIZE_LOG2)
        elif offset in (Csr.SQ_TAIL, Csr.CONTROL) and regs.enabled:
            self._fetch()

    def _fetch(self) -> None:
        """Everything between what was fetched and the tail; the driver may not change it any more."""
        regs = self.core.regs
        size = regs.entries(Csr.SQ_SIZE_LOG2)
        while self._fetched % size != regs[Csr.SQ_TAIL]:
            addr = regs.wide(Csr.SQ_BASE_LO) + self._fetched % size * SQE_BYTES
            raw = self.memory.device_read(addr, SQE_BYTES)
            if raw is None:
                return
            self._post(self.core.decoder.decode(raw, self._fetched & 0xFFFF))
            self._fetched += 1

    def _post(self, decoded: Decoded) -> None:
        sqe, index = decoded.sqe, decoded.sq_index
        posted = Posted(decoded, self._cycle)
        if decoded.error is None and sqe.opcode == Opcode.RAW_POST:
            self.core.raw_free.extend(decoded.indices)
            return
        if decoded.error is None and sqe.opcode == Opcode.RAW_SEND:
            self._raw_send(decoded)
            return
        self._commands.post(posted)
        self.live.begin("command", index, self._cycle)
        if decoded.key is not None:
            self._lookup.announced(decoded.key, sqe.conn, sqe.gen, index, self._cycle)

    def _raw_send(self, decoded: Decoded) -> None:
        data = self.core.raw_frame(decoded)
        self._raw_records.append((self._raw_sent, decoded.sqe.length, data is not None))
        self._raw_sent += 1
        if data is not None:
            self._raw_frames.append(data)
        self._collect(CqSource.RAW_TX)

    # ---- time ----------------------------------------------------------------------------------

    def _tick(self, tick: int) -> None:
        if self._now is not None and tick != (self._now + 1) & MASK:
            raise self._not_due("tick", "strobe", None, str((self._now + 1) & MASK), str(tick), "tick")
        self._now = tick
        self._check_liveness()
        for conn in self.core.due_timers(tick):
            self.live.begin("timer", conn, self._cycle)
        for conn, deadline in self.core.push.items():
            if due(deadline, tick):
                self.live.begin("push", conn, self._cycle)

    def _tick_of(self, stream: str, event: str, conn: int, tick: int) -> None:
        """A record's tick is the present one, or the one before for a commit beside the strobe; never falls."""
        now = self._now
        if now is None:
            self._now = now = tick
        fell = (tick - self._ticks[stream]) & 0x8000_0000
        if tick not in (now, (now - 1) & MASK) or fell:
            raise self._not_due(stream, event, conn, str(now), str(tick), "tick")
        self._ticks[stream] = tick

    def _order(self, stream: str, event: str, conn: int, order: int) -> None:
        expected = self._orders[stream] & MASK
        if order != expected:
            raise self._not_due(stream, event, conn, str(expected), str(order), "order")

    # ---- tcp_engine ----------------------------------------------------------------------------

    def _tcp(self, value: int) -> None:
        kind = field_of(RecTcp, value, "kind")
        conn, gen = field_of(RecTcp, value, "conn"), field_of(RecTcp, value, "gen")
        cause, tick = field_of(RecTcp, value, "cause"), field_of(RecTcp, value, "tick")
        name = _name(TcpEvt, kind)
        self._order("tcp", name, conn, field_of(RecTcp, value, "order"))
        self._tick_of("tcp", name, conn, tick)
        if conn >= self.config.conns and kind not in (TcpEvt.COMMAND, TcpEvt.CREDIT):
            raise self._not_due("tcp", name, None, f"a connection below {self.config.conns}", str(conn), "conn")
        event, frame = self._tcp_event(kind, conn, gen, cause, tick, name)
        before = self.core.deadlines.get(conn)
        result = self.core.commit_tcp(event, tick)
        expected = tcp_record(self._orders["tcp"], tick, event, result)
        on = None if isinstance(event, Credit) or not field_of(RecTcp, expected, "tcb") else conn
        if on is not None:
            history = self._history.setdefault(conn, deque(maxlen=_HISTORY))
            history.append(Commit(self._cycle, tick, event, result))
        if expected != value:
            raise Halt(
                from_records(
                    RecTcp, expected, value, check=1, stream="tcp", order=self._orders["tcp"], cycle=self._cycle,
                    conn=on, event=name, frame=frame,
                )
            )
        self.commits_compared += 1
        self.events[name] += 1
        self._orders["tcp"] += 1
        self._after_tcp(event, result, conn, before, tick)

    def _tcp_event(
        self, kind: int, conn: int, gen: int, cause: int, tick: int, name: str
    ) -> tuple[Event, bytes | None]:
        """The event a record names, made from what this side knows; Halt if it was not due."""
        if kind == TcpEvt.COMMAND:
            return self._command_event(cause, conn), None
        if kind == TcpEvt.RX_SEGMENT:
            if not self._segments or self._segments[0].arrival != cause:
                waiting = f"frame {self._segments[0].arrival}" if self._segments else "no frame waits"
                raise self._not_due("tcp", name, conn, waiting, f"frame {cause}", "cause")
            frame = self._segments.popleft()
            self.live.end("segment", cause, self._cycle)
            return RxSegment(self.core.rx_seg(frame)), frame.data
        if kind == TcpEvt.TX_GRANT:
            if not self._grants[conn]:
                raise self._not_due("tcp", name, conn, "a connection that can send", f"connection {conn}", "conn")
            self._grants[conn] -= 1
            self.live.end("grant", conn, self._cycle)
            return TxGrant(conn, self.core.tcbs[conn].gen), None
        if kind == TcpEvt.TIMER:
            return self._timer_event(conn, gen, tick), None
        if kind == TcpEvt.CONSUMED:
            self._take_consumed(conn, gen, cause)
            return Consumed(conn, gen, cause), None
        if kind == TcpEvt.CREDIT:
            if not 0 < cause <= self.core.credit_pending:
                raise self._not_due("tcp", name, None, f"1 to {self.core.credit_pending} credits", str(cause), "cause")
            self.core.credit_pending -= cause
            self.live.end("credit", 0, self._cycle)
            return Credit(cause), None
        if kind == TcpEvt.FENCE_DONE:
            return self._fence_event(conn, gen), None
        if kind == TcpEvt.FAULT:
            if (conn, gen) not in self.core.faults:
                raise self._not_due("tcp", name, conn, "a failed access to host memory", "none known")
            self.core.faults.remove((conn, gen))
            self._faults_seen.add((conn, gen))
            return Fault(conn, gen), None
        raise self._not_due("tcp", name, conn, "a known kind of event", str(kind), "kind")

    def _command_event(self, sq_index: int, conn: int) -> Command:
        posted, skipped = self._commands.take_tcp(sq_index)
        if posted is None:
            raise self._not_due(
                "tcp", "COMMAND", conn, "an entry of the submission ring", f"sq_index {sq_index}", "cause"
            )
        for other in skipped:
            self._must_be_refusable(other)
        decoded = posted.decoded
        sqe = decoded.sqe
        self.live.end("command", sq_index, self._cycle)
        if sqe.opcode in (Opcode.SEND, Opcode.DISCONNECT):
            if self.core.txpath.entries(sqe.conn) >= self.config.sends:
                raise self._not_due("tcp", "COMMAND", conn, "NO_RESOURCES: the send table is full", "committed")
        elif sqe.opcode == Opcode.INITIATE and decoded.key is not None:
            if decoded.key in self.core.lookup:
                raise self._not_due("tcp", "COMMAND", conn, "DUPLICATE_KEY", "committed")
            self._lookup.inserted(decoded.key, sq_index, self._cycle)
            self.core.insert(decoded)
        return Command(sqe, sq_index, decoded.image)

    def _must_be_refusable(self, posted: Posted) -> None:
        if not refusable(posted.decoded):
            raise self._not_due(
                "tcp",
                "COMMAND",
                posted.decoded.sqe.conn,
                f"sq_index {posted.decoded.sq_index} next",
                "a later entry: one was passed over",
                "cause",
            )
        if posted.decoded.key is not None:
            self._lookup.refused(posted.decoded.key, posted.decoded.sq_index)

    def _timer_event(self, conn: int, gen: int, tick: int) -> Timer:
        deadline = self.core.deadlines.get(conn)
        is_due = deadline is not None and due(deadline, tick) and gen == self.core.tcbs[conn].gen
        if not is_due and not self._timers[conn, gen]:
            shown = "no timer runs" if deadline is None else f"deadline {deadline}"
            raise self._not_due("tcp", "TIMER", conn, shown, f"offered at tick {tick}", "deadline")
        self._timers[conn, gen] = max(self._timers[conn, gen] - 1, 0)
        self.live.end("timer", conn, self._cycle)
        return Timer(conn, gen)

    def _take_consumed(self, conn: int, gen: int, nbytes: int) -> None:
        """The sum must be one that delivery_engine had pending, and reason enough to offer it."""
        marks = self._consumed.get((conn, gen), deque())
        total, at_once = 0, False
        while marks and (total < nbytes or marks[0][0] == 0):
            n, now = marks.popleft()
            total, at_once = total + n, at_once or now
        if total != nbytes or nbytes == 0:
            raise self._not_due("tcp", "CONSUMED", conn, f"{total} bytes", f"{nbytes} bytes", "cause")
        threshold = self.core.dcbs[conn].dcb.consumed_thr
        if not at_once and nbytes < threshold and gen == self.core.dcbs[conn].dcb.gen:
            raise self._not_due("tcp", "CONSUMED", conn, f"at least {threshold} bytes", f"{nbytes} bytes", "cause")
        self.live.end("consumed", (conn, gen), self._cycle)
        self._consumed_live(conn, gen)

    def _consumed_live(self, conn: int, gen: int) -> None:
        marks = self._consumed.get((conn, gen), deque())
        total = sum(n for n, _ in marks)
        if total and (any(now for _, now in marks) or total >= self.core.dcbs[conn].dcb.consumed_thr):
            self.live.begin("consumed", (conn, gen), self._cycle)

    def _fence_event(self, conn: int, gen: int) -> FenceDone:
        key = (conn, gen)
        need = self._fence_need.get(key, 0)
        if key not in self.core.fence_tx or key not in self.core.fence_dlv or self._placed.finished < need:
            halves = f"transmit {key in self.core.fence_tx}, delivery {key in self.core.fence_dlv}, writes "
            shown = halves + f"{self._placed.finished} of {need}"
            raise self._not_due("tcp", "FENCE_DONE", conn, "both halves done", shown)
        self.core.fence_tx.discard(key)
        self.core.fence_dlv.discard(key)
        self.live.end("fence", key, self._cycle)
        return FenceDone(conn, gen)

    def _after_tcp(self, event: Event, result: StepResult, conn: int, before: int | None, tick: int) -> None:
        core, cycle = self.core, self._cycle
        if not isinstance(event, Credit):
            self._hints(conn, before, tick)
        a = result.actions
        if a.dlv is not None:
            self.live.begin("message", self._messages_issued, cycle)
            self._messages_issued += 1
        if a.delete_lookup:
            self._lookup.deleted(conn, cycle)
            if isinstance(event, Command) and isinstance(event.image, TcpImage):
                self._lookup.deleted(event.sqe.conn, cycle)
        if a.cpl is not None:
            self._collect(CqSource.TCP)
        while core.txq:
            self._transmit()
        while core.snapshots:
            write = core.execute_snapshot()
            if write is not None:
                self._allow(self._state, write, "delegated image")
            self._collect(CqSource.STATE, need=self._state.issued)
        if isinstance(event, RxSegment):
            self._retire()
        if a.tx1 is not None and a.tx1.kind == TxKind.FENCE:
            self._fence_live()

    def _hints(self, conn: int, before: int | None, tick: int) -> None:
        """Which offers of scheduler and timers may be under way after a commit of ``conn``."""
        core = self.core
        if conn in core.pending:
            self._grants[conn] = min(self._grants[conn] + 1, _HINTS)
            self.live.begin("grant", conn, self._cycle)
        else:
            self.live.end("grant", conn, self._cycle)
        after = core.deadlines.get(conn)
        if (before is not None and due(before, tick)) or (after is not None and due(after, tick)):
            key = (conn, core.tcbs[conn].gen)
            self._timers[key] = min(self._timers[key] + 1, _HINTS)
        if after is not None and due(after, tick):
            self.live.begin("timer", conn, self._cycle)
        else:
            self.live.end("timer", conn, self._cycle)

    # ---- transmit path -------------------------------------------------------------------------

    def _transmit(self) -> None:
        item = self.core.txq[0]
        entries = self.core.txpath.entries(item.conn)
        effect = self.core.execute_txq()
        if effect.frame is not None:
            self._tx_issued += 1
            self._tx_records.append(effect.frame)
            self.live.begin("wire", effect.frame.order, self._cycle)
            if effect.frame.data is not None:
                self._frames.append(effect.frame)
        popped = entries - self.core.txpath.entries(item.conn)
        if popped > 0:
            self._released.append((self._tx_issued, item.conn, popped))
            self._unproven[item.conn] += popped
        strict = 0 if item.kind == TxKind.FENCE else self.config.tx_slots
        self._collect(CqSource.SEND, need=max(self._tx_issued - strict, 0))

    def _frame_out(self, frame: bytes) -> None:
        self.frames_compared += 1
        if self._frames and self._frames[0].data == frame:
            self._frames.popleft()
            return
        if self._raw_frames and self._raw_frames[0] == frame:
            self._raw_frames.popleft()
            return
        self.frames_compared -= 1
        if self._frames and self._frames[0].data is not None:
            golden = self._frames[0]
            field, e, g = frame_difference(self._frames[0].data, frame)
            raise Halt(
                self._finding(
                    2, "wire", field, e, g, "M3, G-3, G-4: the frame of a SEGMENT",
                    conn=golden.conn, event=f"SEGMENT {golden.order}", order=golden.order, frame=frame,
                )
            )
        expected = "no frame" if not self._raw_frames else "the next raw frame"
        raise Halt(self._finding(2, "wire", "frame", expected, f"{len(frame)} bytes", "M3", frame=frame))

    def _tx(self, rec: RecTx) -> None:
        if rec.kind == TxRecKind.RAW or (rec.kind == TxRecKind.DISCARDED and not self._discard_due()):
            self._raw_tx(rec)
            return
        if not self._tx_records:
            raise self._not_due("tx", "SEGMENT", rec.conn, "no SEGMENT is under way", f"order {rec.order}", "order")
        frame = self._tx_records.popleft()
        kind = TxRecKind.SEGMENT if frame.data is not None else TxRecKind.DISCARDED
        length = rec.len if frame.data is None else frame.length
        expected = RecTx(kind, frame.order & MASK, frame.conn, length)
        if expected != rec:
            name, e, g = first_difference(RecTx, expected.pack(), rec.pack())
            raise self._not_due("tx", f"SEGMENT {frame.order}", frame.conn, str(e), str(g), name)
        self.live.end("wire", frame.order, self._cycle)
        self._tx_seen += 1
        self._prove(self._tx_seen - 1)

    def _discard_due(self) -> bool:
        return bool(self._tx_records) and self._tx_records[0].data is None

    def _raw_tx(self, rec: RecTx) -> None:
        if not self._raw_records:
            raise self._not_due("tx", "RAW_SEND", None, "no RAW_SEND is under way", f"order {rec.order}", "order")
        order, length, sent = self._raw_records.popleft()
        kind = TxRecKind.RAW if sent else TxRecKind.DISCARDED
        expected = RecTx(kind, order, 0, length if sent else rec.len)
        if expected != rec:
            name, e, g = first_difference(RecTx, expected.pack(), rec.pack())
            raise self._not_due("tx", f"RAW_SEND {order}", None, str(e), str(g), name)

    def _prove(self, tx_count: int) -> None:
        """Frames behind ``tx_count`` segments are out: releases in front of them have been carried out."""
        while self._released and self._released[0][0] <= tx_count:
            _, conn, n = self._released.popleft()
            self._unproven[conn] -= n

    # ---- receive path --------------------------------------------------------------------------

    def _rx(self, rec: RecRx) -> None:
        if not self._entered:
            raise self._not_due("rx", "frame", None, "no frame entered", f"arrival {rec.arrival}", "arrival")
        arrival, data, entered = self._entered.popleft()
        self.live.end("frame", arrival, self._cycle)
        parsed = parse(data)
        expected = self._verdict(rec, arrival, data, parsed, entered)
        if (rec.arrival, rec.class_, rec.reason, rec.conn, rec.gen) != (
            expected.arrival, expected.class_, expected.reason, expected.conn, expected.gen,
        ):
            name, e, g = first_difference(RecRx, expected.pack(), rec.pack())
            rule = "docs/contract/blocks.md: verdicts of rx_parser"
            raise Halt(
                self._finding(
                    5, "rx", name, str(e), str(g), rule, conn=expected.conn, event="frame", order=arrival, frame=data
                )
            )
        if rec.class_ == RxClass.DROP:
            return
        raw = rec.class_ == RxClass.RAW
        frame = RxFrame(arrival, data, RxClass(rec.class_), parsed.segment, rec.conn, rec.gen, final=raw, raw=raw)
        self.core.frames.append(frame)
        self.core.by_arrival[arrival] = frame
        if raw:
            self._retire()
        else:
            self._segments.append(frame)
            self.live.begin("segment", arrival, self._cycle)

    def _verdict(self, rec: RecRx, arrival: int, data: bytes, parsed: Parsed, entered: int) -> RecRx:
        """The record this frame must have; where the device may choose, its own choice if that was legal."""
        if rec.reason == RxReason.DISABLED and not self._running():
            return RecRx(arrival, RxClass.DROP, RxReason.DISABLED, 0, 0, rec.fill)
        beats = -(-len(data) // self.config.lanes)
        full = rec.fill + beats + _SPACE_SLACK > self.config.rx_beats
        if rec.reason == RxReason.NO_SPACE and full and parsed.reason != RxReason.TOO_LONG:
            return RecRx(arrival, RxClass.DROP, RxReason.NO_SPACE, 0, 0, rec.fill)
        if parsed.segment is None:
            return RecRx(arrival, parsed.class_, parsed.reason, 0, 0, rec.fill)
        key = parsed.segment.key
        miss = RecRx(arrival, RxClass.RAW, RxReason.NOT_OFFLOADED, 0, 0, rec.fill)
        must = self._lookup.must_hit(key, entered, self._cycle)
        if rec.class_ == RxClass.SEGMENT and self._lookup.can_hit(key, rec.conn, rec.gen, entered, self._cycle):
            return RecRx(arrival, RxClass.SEGMENT, RxReason.NONE, rec.conn, rec.gen, rec.fill)
        if must is None or (must in self.core.fence_tx and must in self.core.fence_dlv):
            return miss
        return RecRx(arrival, RxClass.SEGMENT, RxReason.NONE, must[0], must[1], rec.fill)

    def _running(self) -> bool:
        """Enabled for long enough that a frame is surely taken: some command was carried out."""
        return self.core.regs.enabled and self.commits_compared > 0

    def _retire(self) -> None:
        self._raw_wait.extend(self.core.retire_frames())
        while self._raw_wait and self.core.raw_free:
            self._raw_up(self._raw_wait.popleft())

    def _raw_up(self, frame: RxFrame) -> None:
        write = self.core.place_raw(frame, self.core.raw_free.popleft())
        self._allow(self._raw_placed, write, f"raw frame {frame.arrival}")
        self._collect(CqSource.RAW_RX, need=self._raw_placed.issued)

    # ---- delivery_engine -----------------------------------------------------------------------

    def _delivery(self, value: int) -> None:
        kind = field_of(RecDlv, value, "kind")
        conn, gen = field_of(RecDlv, value, "conn"), field_of(RecDlv, value, "gen")
        cause, tick = field_of(RecDlv, value, "cause"), field_of(RecDlv, value, "tick")
        name = f"delivery {_name(DlvEvt, kind)}"
        self._order("delivery", name, conn, field_of(RecDlv, value, "order"))
        self._tick_of("delivery", name, conn, tick)
        event = self._delivery_event(kind, conn, gen, cause, tick, name)
        on = conn
        if isinstance(event, Message):
            on = event.msg.conn
        elif isinstance(event, DlvCommand):
            on = 0 if event.sqe.opcode == Opcode.POOL_POST else event.sqe.conn
        credits_before = self.core.credit_pending
        result = self.core.commit_delivery(event, on, tick)
        expected = delivery_record(self._orders["delivery"], tick, event, result, len(self.core.free))
        if expected != value:
            raise Halt(
                from_records(
                    RecDlv, expected, value, check=1, stream="delivery", order=self._orders["delivery"],
                    cycle=self._cycle, conn=on, event=name,
                )
            )
        self.commits_compared += 1
        self.delivery_commits_compared += 1
        self.events[name] += 1
        self._orders["delivery"] += 1
        self._after_delivery(on, tick, result.consumed, result.consumed_now, credits_before)

    def _delivery_event(self, kind: int, conn: int, gen: int, cause: int, tick: int, name: str) -> DeliveryEvent:
        core = self.core
        if core.continuing is not None and (kind != DlvEvt.CONTINUE or conn != core.continuing):
            raise self._not_due("delivery", name, conn, f"CONTINUE of connection {core.continuing}", name)
        if kind == DlvEvt.CONTINUE:
            if core.continuing is None:
                raise self._not_due("delivery", name, conn, "no work is left", name)
            self.live.end("continue", conn, self._cycle)
            return Continue(conn)
        if kind == DlvEvt.TIMER:
            return self._push_event(conn, gen, tick)
        if kind in (DlvEvt.RECEIVE, DlvEvt.ANSWER, DlvEvt.RESUME, DlvEvt.POOL_POST):
            waiting = self._commands.delivery
            if not waiting or waiting[0].decoded.sq_index != cause:
                shown = f"sq_index {waiting[0].decoded.sq_index}" if waiting else "no command waits"
                raise self._not_due("delivery", name, conn, shown, f"sq_index {cause}", "cause")
            decoded = waiting.popleft().decoded
            self.live.end("command", cause, self._cycle)
            return DlvCommand(decoded.sqe, decoded.sq_index, decoded.indices)
        if not core.dlvq or core.dlvq[0].kind != kind:
            shown = _name(DlvEvt, core.dlvq[0].kind) if core.dlvq else "no message waits"
            raise self._not_due("delivery", name, conn, shown, name, "kind")
        self.live.end("message", self._messages_taken, self._cycle)
        self._messages_taken += 1
        return Message(core.dlvq.popleft())

    def _push_event(self, conn: int, gen: int, tick: int) -> PushTimer:
        deadline = self.core.push.get(conn)
        is_due = deadline is not None and due(deadline, tick)
        if not is_due and not self._pushes[conn, gen]:
            shown = "no push timer runs" if deadline is None else f"deadline {deadline}"
            raise self._not_due("delivery", "delivery TIMER", conn, shown, f"offered at tick {tick}", "deadline")
        self._pushes[conn, gen] = max(self._pushes[conn, gen] - 1, 0)
        self.live.end("push", conn, self._cycle)
        return PushTimer(conn, gen)

    def _after_delivery(self, conn: int, tick: int, consumed: int, at_once: bool, credits_before: int) -> None:
        core, cycle = self.core, self._cycle
        if core.continuing is not None:
            self.live.begin("continue", core.continuing, cycle)
        gen = core.dcbs[conn].dcb.gen
        if consumed or at_once:
            self._consumed.setdefault((conn, gen), deque()).append((consumed, at_once))
            self._consumed_live(conn, gen)
        if core.credit_pending >= CREDIT_BATCH > credits_before:
            self.live.begin("credit", 0, cycle)
        deadline = core.push.get(conn)
        if deadline is not None and due(deadline, tick):
            self._pushes[conn, gen] = min(self._pushes[conn, gen] + 1, _HINTS)
            self.live.begin("push", conn, cycle)
        else:
            self.live.end("push", conn, cycle)
        while core.plq:
            item = core.plq[0]
            write, _ = core.execute_plq()
            if write is not None:
                self._allow(self._placed, write, f"{_OPS[item.op]} of connection {item.conn}")
            self._collect(CqSource.DELIVERY, need=self._placed.issued)
            if item.freeze_done:
                self._fence_need[item.conn, item.gen] = self._placed.issued
                self._fence_live()
        self._retire()

    def _fence_live(self) -> None:
        for key in self.core.fence_due():
            self.live.begin("fence", key, self._cycle)

    # ---- host memory ---------------------------------------------------------------------------

    def _allow(self, lane: WriteLane, write: Write, action: str) -> None:
        if write.data:
            lane.allow(write.addr, write.data, action)
            self.live.begin("write", (id(lane), lane.issued), self._cycle)

    def _write(self, client: int, bus_addr: int, strobe: int, data: int, lanes: int, response: int) -> None:
        addr, written = beat_bytes(bus_addr, strobe, data, lanes)
        if not written:
            return
        if client == WrClient.COMPLETION:
            self._ring_write(addr, written, response)
        elif client == WrClient.STATE:
            self._lane_write((self._state,), client, addr, written, response)
        elif client == WrClient.PLACER:
            if self._raw_wait:
                self._late_raw(addr, written)
            self._lane_write((self._placed, self._raw_placed), client, addr, written, response)
        else:
            raise WriteError("client", "rx_placer, completion_ring or state_writer", str(client))
        self.host_bytes_compared += len(written)

    def _whole_beat(self, addr: int, strobe: int, data: int, lanes: int) -> bool:
        """The frequent case at little cost: a full beat inside the oldest placement, and right."""
        if not self._placed.open or self._raw_wait or self.divergence is not None:
            return False
        a = self._placed.open[0]
        done = a.done
        if addr != a.addr + done or done + lanes >= len(a.data) or strobe + 1 != 1 << lanes:
            return False
        if a.data[done : done + lanes] != data.to_bytes(lanes, "little"):
            return False
        a.done = done + lanes
        self.host_bytes_compared += lanes
        return True

    def _lane_write(self, lanes: tuple[WriteLane, ...], client: int, addr: int, data: bytes, response: int) -> None:
        for lane in lanes:
            if lane.fits(addr, len(data)):
                number = lane.finished + 1
                if lane.take(addr, data, compare=response == 0):
                    self.live.end("write", (id(lane), number), self._cycle)
                return
        allowed = [f"{a.action} at {a.addr + a.done:#x}" for lane in lanes for a in list(lane.open)[:1]]
        raise WriteError(
            f"address of {CLIENTS[WrClient(client)]}",
            " or ".join(allowed) or "no write",
            f"{len(data)} bytes at {addr:#x}",
        )

    def _late_raw(self, addr: int, data: bytes) -> None:
        """A raw frame that had no buffer when it could go up got one now; those before it were dropped."""
        if not self.core.raw_free:
            return
        base = self.core.regs.wide(Csr.RAW_BASE_LO) + self.core.raw_free[0] * 2048
        if addr != base:
            return
        for at, frame in enumerate(self._raw_wait):
            if frame.data.startswith(data):
                for _ in range(at):
                    self._raw_wait.popleft()
                self._raw_up(self._raw_wait.popleft())
                return

    def _ring_write(self, addr: int, data: bytes, response: int) -> None:
        regs = self.core.regs
        base = regs.wide(Csr.CQ_BASE_LO)
        size = regs.entries(Csr.CQ_SIZE_LOG2)
        if not base <= addr or addr + len(data) > base + size * CQE_BYTES:
            raise WriteError(
                "address of completion_ring", f"{base:#x} to {base + size * CQE_BYTES:#x}", f"{len(data)} at {addr:#x}"
            )
        if response:
            return
        for index, entry in self._ring.take(addr - base, data):
            recorded = self._ring_recorded.pop(index, None)
            if recorded is None:
                self._ring_written[index] = entry
            else:
                self._compare_entry(index, recorded[0], entry)

    def _compare_entry(self, index: int, expected: bytes, got: bytes) -> None:
        if expected != got:
            e, g = int.from_bytes(expected, "little"), int.from_bytes(got, "little")
            name, x, y = first_difference(Cqe, e, g)
            raise WriteError(f"completion entry {index}, {name}", f"{x:#x}", f"{y:#x}")
        self.memory.write(self.core.regs.wide(Csr.CQ_BASE_LO) + index * CQE_BYTES, got)

    # ---- completions ---------------------------------------------------------------------------

    def _collect(self, source: CqSource, need: int = 0) -> None:
        """Completions that the golden side just issued become expected."""
        issued = self.core.completions[source]
        while issued:
            cqe = issued.popleft()
            number = self._numbers[source]
            self._numbers[source] += 1
            self._expected[source].append(Expected(cqe.pack(), cqe.conn, cqe.gen, need, number))
            self.live.begin("completion", (source, number), self._cycle)

    def _cq(self, value: int) -> None:
        source_number = field_of(RecCq, value, "source")
        packed = field_of(RecCq, value, "cqe")
        got = Cqe.unpack(packed)
        event = f"completion {_name(CqSource, source_number)}"
        conn = got.conn if got.kind not in (CqKind.RAW_RX, CqKind.RAW_TX) else None
        if source_number not in list(CqSource):
            raise Halt(self._finding(3, "cq", "source", "a known source", str(source_number), rule_of("", "source")))
        source = CqSource(source_number)
        size = self.core.regs.entries(Csr.CQ_SIZE_LOG2)
        index, phase = self._cq_written % size, 1 - self._cq_written // size % 2
        cqe = self._decode_answer(got) if source == CqSource.DECODE else self._next_expected(source, event, got)
        expected = RecCq(index, source, cqe | phase << Cqe.FIELDS["phase"][0]).pack()
        if expected != value:
            found = from_records(
                RecCq, expected, value, check=3, stream="cq", order=self._cq_written, cycle=self._cycle,
                conn=conn, event=event,
            )
            raise Halt(found)
        if self._cq_written - self._cq_read >= size:
            raise Halt(self._finding(3, "cq", "index", "a wait: the ring is full", str(index), "hostport"))
        self._cq_written += 1
        self.completions_compared += 1
        self._pair(index, packed)

    def _pair(self, index: int, packed: int) -> None:
        entry = packed.to_bytes(CQE_BYTES, "little")
        written = self._ring_written.pop(index, None)
        if written is None:
            self._ring_recorded[index] = (entry, self._cycle)
        else:
            self._compare_entry(index, entry, written)

    def _next_expected(self, source: CqSource, event: str, got: Cqe) -> int:
        queue = self._expected[source]
        rule = "architecture 3, check 3: completions in order"
        if not queue:
            kind = _name(CqKind, got.kind)
            raise Halt(
                self._finding(
                    3, "cq", "cqe", "no completion is due", f"{kind} {got}", rule, conn=got.conn, event=event,
                    order=self._cq_written,
                )
            )
        expected = queue.popleft()
        if not self._visible(source, expected):
            raise Halt(
                self._finding(
                    5, "cq", "visibility", f"after {expected.need} earlier actions", "before",
                    "mechanisms M5: visible before it is told", conn=expected.conn, event=event,
                    order=self._cq_written,
                )
            )
        self.live.end("completion", (source, expected.number), self._cycle)
        return expected.cqe

    def _visible(self, source: CqSource, expected: Expected) -> bool:
        """What must come before this completion has come."""
        if source == CqSource.DELIVERY:
            return self._placed.finished >= expected.need
        if source == CqSource.RAW_RX:
            return self._raw_placed.finished >= expected.need
        if source == CqSource.SEND:
            return self._tx_seen >= expected.need
        if source == CqSource.STATE:
            owed = (CqSource.SEND, CqSource.DELIVERY)
            key = (expected.conn, expected.gen)
            left = any((e.conn, e.gen) == key for other in owed for e in self._expected[other])
            return self._state.finished >= expected.need and not left
        return True

    def _decode_answer(self, got: Cqe) -> int:
        """What command_decode answers: fixed errors, NOP, and refusals that depend on time."""
        taken = self._commands.take_answer(got.sq_index)
        if taken is None:
            rule = "hostport: errors found by command_decode"
            raise Halt(
                self._finding(
                    3, "cq", "cqe.sq_index", "an entry command_decode answers", str(got.sq_index), rule,
                    conn=got.conn, event="completion DECODE", order=self._cq_written,
                )
            )
        posted, status = taken
        decoded = posted.decoded
        self.live.end("command", got.sq_index, self._cycle)
        timely = status is None or (got.status == Status.BAD_STATE and decoded.sqe.opcode == Opcode.INITIATE)
        if timely and self._may_refuse(posted, got.status):
            status = Status(got.status)
        if decoded.key is not None:
            self._lookup.refused(decoded.key, decoded.sq_index)
        if status is None:
            rule = "hostport: checks 5 and 8 of command_decode"
            raise Halt(
                self._finding(
                    5, "cq", "cqe.status", "the command is carried out", _name(Status, got.status), rule,
                    conn=decoded.sqe.conn, event="completion DECODE", order=self._cq_written,
                )
            )
        return completion(decoded, status).pack()

    def _may_refuse(self, posted: Posted, status: int) -> bool:
        """A refusal that depends on time was legal at some moment since the doorbell."""
        decoded = posted.decoded
        conn = decoded.sqe.conn
        if status not in refusable(decoded):
            return False
        if status == Status.NO_RESOURCES:
            return self.core.txpath.entries(conn) + self._unproven[conn] >= self.config.sends
        if status == Status.BAD_STATE:
            return conn in self.core.in_use or self._lookup.freed_since(conn, posted.cycle)
        if status == Status.DUPLICATE_KEY:
            return decoded.key is not None and self._lookup.present(decoded.key, posted.cycle)
        return status == Status.TABLE_FULL

    # ---- the end -------------------------------------------------------------------------------

    def _nothing_left(self) -> None:
        for kind, key in self.live.left():
            if kind != "credit" or self.core.credit_pending >= CREDIT_BATCH:
                raise Halt(self._left(kind, f"{kind} {key}"))
        left: dict[str, int] = {
            "frames to be sent": len(self._frames),
            "raw frames to be sent": len(self._raw_frames),
            "records of frames sent": len(self._tx_records) + len(self._raw_records),
            "frames that entered": len(self._entered),
            "segments": len(self._segments),
            "commands": self._commands.waiting,
            "messages": len(self.core.dlvq),
            "writes": len(self._placed.open) + len(self._raw_placed.open) + len(self._state.open),
            "entries of the ring written without record": len(self._ring_written) + self._ring.unfinished,
            "entries of the ring recorded but not written": len(self._ring_recorded),
            "completions": sum(len(queue) for queue in self._expected.values()),
            "faults": len([key for key in self.core.faults if key not in self._faults_seen]),
        }
        for what, count in left.items():
            if count:
                raise Halt(self._left(what, f"{count} {what}"))

    def _left(self, kind: str, got: str) -> Divergence:
        rule = "architecture 3, check 6: every expected queue is empty at the end"
        return self._finding(6, "end", kind, "nothing left", got, rule, event="end of test")

    def _compare_memory(self, memory: bytes | bytearray) -> None:
        golden = self.memory.contents
        if golden == memory:
            return
        if len(golden) != len(memory):
            raise WriteError("memory size", str(len(golden)), str(len(memory)))
        differing = [at for at in range(0, len(golden), 4096) if golden[at : at + 4096] != memory[at : at + 4096]]
        at = next(i for i in range(differing[0], differing[0] + 4096) if golden[i] != memory[i])
        raise WriteError(
            f"memory byte {at:#x} at the end ({len(differing)} pages differ)",
            f"{golden[at]:#04x}",
            f"{memory[at]:#04x}",
        )


_OPS = ("nothing", "PLACE", "COPY", "LIST_WRITE")


def _name(enum: type[TcpEvt] | type[DlvEvt] | type[CqKind] | type[CqSource] | type[Status], value: int) -> str:
    try:
        return enum(value).name
    except ValueError:
        return f"unknown {value}"


def describe(commit: Commit) -> str:
    """A commit in words, one line."""
    event, tcb, a = commit.event, commit.result.tcb, commit.result.actions
    what = type(event).__name__
    if isinstance(event, Command):
        what = f"{Opcode(event.sqe.opcode).name} (sq {event.sq_index})"
    elif isinstance(event, RxSegment):
        s = event.seg
        what = f"segment {s.arrival} seq {s.seq} ack {s.ack} len {s.pay_len} flags {s.flags:#x}"
    issued = [TxKind(item.kind).name for item in (a.tx0, a.tx1) if item is not None]
    if a.dlv is not None:
        issued.append(DlvEvt(a.dlv.kind).name)
    return (
        f"{commit.cycle} t{commit.tick} {what}: una {tcb.snd_una} nxt {tcb.snd_nxt} rcv {tcb.rcv_nxt} "
        f"cwnd {tcb.cwnd} -> {', '.join(issued) or 'nothing'}"
    )
