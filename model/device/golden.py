"""`GoldenDevice`: the whole device in Python, host port on one side and wire on the other.

It chooses the next event itself, any legal one, by seed. Time passes only through ``tick``.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence, Sized

from model.delivery.step import Continue, DeliveryEvent, DlvCommand, Message, PushTimer
from model.device.config import BACKED_UP, CQ_RESERVE, RAW_WAITING, DeviceConfig
from model.device.core import RAW_LOST, Core, RxFrame, Write
from model.device.decode import DELIVERY_OPCODES, INHERITED, TCP_OPCODES, Decoded, completion
from model.device.memory import ErrorWindow, GoldenMemory, zeroed
from model.device.records import Journal, delivery_record, sees_room, tcp_record
from model.device.registers import (
    ERROR_CQ_WRITE,
    ERROR_SQ_READ,
    IRQ_COMPLETION,
    SOFT_RESET,
    STATUS_ERROR,
    STATUS_IDLE,
    STATUS_LOOKUP_READY,
    STATUS_TX_EMPTY,
)
from model.device.rxparse import parse
from model.layout.generated import (
    CQE_BYTES,
    SQE_BYTES,
    Cqe,
    CqKind,
    CqSource,
    Csr,
    Opcode,
    Phase,
    PlOp,
    RecCq,
    RecRx,
    RecTx,
    RxClass,
    RxReason,
    Sqe,
    Status,
    TxKind,
    TxRecKind,
    WrClient,
)
from model.tcp.seq import MASK, due
from model.tcp.types import Command, Consumed, Credit, Event, Fault, FenceDone, RxSegment, Timer, TxGrant

_LAST = 1
_ALWAYS_COMPLETE = frozenset(
    (
        Opcode.NOP,
        Opcode.INITIATE,
        Opcode.START,
        Opcode.TERMINATE,
        Opcode.UPDATE,
        Opcode.QUERY,
        Opcode.INVALIDATE,
        Opcode.UPLOAD,
        Opcode.PATH_WRITE,
        Opcode.NEIGHBOR_WRITE,
        Opcode.PARAM_WRITE,
        Opcode.RECEIVE,
        Opcode.RAW_SEND,
        Opcode.FORWARD,
    )
)

Step = Callable[[], None]
CREDIT_AGE = 64
"""Events after which a credit is offered on its own; the device does it by cycles."""


class HostMemory:
    """Host memory as the driver has it: writes are noted for whoever follows this device."""

    def __init__(self, device: GoldenDevice) -> None:
        self._device = device

    def read(self, addr: int, n: int) -> bytes:
        """Return ``n`` bytes from ``addr``."""
        return self._device.memory.read(addr, n)

    def write(self, addr: int, data: bytes) -> None:
        """Store ``data`` at ``addr``."""
        self._device.host_write(addr, data)


class GoldenDevice:
    """The device. ``on_interrupt`` is called when the interrupt line is high and a new entry was written."""

    def __init__(
        self,
        conns: int = 64,
        memory_bytes: int = 32 << 20,
        seed: int = 1,
        *,
        config: DeviceConfig | None = None,
        contents: bytes | None = None,
        journal: Journal | None = None,
        memory_base: int = 0,
    ) -> None:
        self.config = config or DeviceConfig(conns=conns)
        self.memory = GoldenMemory(zeroed(memory_bytes) if contents is None else bytearray(contents), memory_base)
        self.mem = HostMemory(self)
        self.now = 0
        self.journal = journal
        self.on_interrupt: Callable[[], None] = lambda: None
        #: Sees a frame at the moment it leaves, in its place among interrupts; `pop_tx` has it, too.
        self.on_transmit: Callable[[bytes], None] = lambda frame: None
        self._rng = random.Random(seed)
        self._reset()

    def _reset(self) -> None:
        self.core = Core(self.config, self.memory)
        self._orders = {"T": 0, "D": 0}
        self._arrivals = 0
        self._rx_in: deque[tuple[int, bytes]] = deque()
        self._segments: deque[RxFrame] = deque()
        self._tx_out: list[bytes] = []
        self._raw_sends: deque[Decoded] = deque()
        self._raw_orders = 0
        self._raw_up: deque[RxFrame] = deque()
        self._fetched = 0
        self._outstanding = 0
        self._cq_written = 0
        self._cq_read = 0
        self._interrupt_owed = False
        self._fill = 0
        self._credit_since = 0
        self._cycle = getattr(self, "_cycle", 0)

    # ---- host port -----------------------------------------------------------------------------

    def host_write(self, addr: int, data: bytes) -> None:
        """The host stores ``data`` at ``addr``."""
        self.memory.write(addr, data)
        self._note("H", addr, data=data)

    def mmio_write(self, offset: int, value: int) -> None:
        """Write a register."""
        self._note("M", offset, value)
        if offset == Csr.CONTROL and value & SOFT_RESET:
            self._reset()
            return
        head = self.core.regs[Csr.CQ_HEAD]
        if self.core.regs.host_write(offset, value) and offset == Csr.CQ_HEAD:
            size = self.core.regs.entries(Csr.CQ_SIZE_LOG2)
            self._cq_read += (value - head) % size

    def mmio_read(self, offset: int) -> int:
        """Read a register."""
        regs = self.core.regs
        if offset == Csr.TICK:
            return self.now
        if offset == Csr.STATUS:
            idle = STATUS_IDLE if not self._ready() else 0
            broken = STATUS_ERROR if regs.broken else 0
            return idle | broken | STATUS_LOOKUP_READY | (0 if self.core.txq else STATUS_TX_EMPTY)
        if offset == Csr.SQ_HEAD:
            return self._fetched % regs.entries(Csr.SQ_SIZE_LOG2)
        if offset == Csr.CQ_TAIL:
            return self._cq_written % regs.entries(Csr.CQ_SIZE_LOG2)
        return regs[offset]

    def read_registers(self, offsets: Sequence[int], done: Callable[[Sequence[int]], None]) -> None:
        """Read registers, one after the other; ``done`` is given their values."""
        done([self.mmio_read(offset) for offset in offsets])

    def inject_errors(self, windows: list[ErrorWindow]) -> None:
        """Device accesses in these windows fail from now on."""
        self.memory.windows = list(windows)

    # ---- wire ----------------------------------------------------------------------------------

    def rx_frame(self, frame: bytes) -> None:
        """A frame comes in from the wire."""
        self._note("F", self._arrivals, data=frame)
        self._rx_in.append((self._arrivals, frame))
        self._arrivals += 1

    def has_room(self, frame: bytes) -> bool:
        """Whether a frame that comes now finds room in rx_buffer behind those that came before it."""
        waiting = sum(-(-len(data) // self.config.lanes) for _, data in self._rx_in)
        beats = -(-len(frame) // self.config.lanes)
        frames = len(self.core.frames) + len(self._rx_in)
        return self._fill + waiting + beats <= self.config.rx_beats and frames < self.config.rx_frames

    def pop_tx(self) -> list[bytes]:
        """Frames that left since the last call."""
        out, self._tx_out = self._tx_out, []
        return out

    # ---- time ----------------------------------------------------------------------------------

    def tick(self, count: int = 1) -> None:
        """Let ``count`` ticks pass; nothing is processed before ``run``."""
        for _ in range(count):
            self.now = (self.now + 1) & MASK
            self._note("S", self.now)

    def run(self, events: int | None = None) -> bool:
        """Process until idle, or that many events; True if anything happened."""
        moved = False
        while events is None or events > 0:
            ready = self._ready()
            if not ready:
                break
            moved = True
            self._cycle += 1
            events = None if events is None else events - 1
            (ready[0] if len(ready) == 1 else self._rng.choice(ready))()
        return moved

    @property
    def events(self) -> int:
        """Events processed so far."""
        return self._cycle

    def problems(self) -> list[str]:
        """What must not be so when everything is over."""
        core = self.core
        found = [f"error register shows {core.regs[Csr.ERROR]:#x}"] if core.regs[Csr.ERROR] else []
        queues: dict[str, Sized] = {
            "transmit queue": core.txq,
            "objects kept silent": core.barred,
            "messages to the delivery engine": core.dlvq,
            "placement queue": core.plq,
            "receive buffer": core.frames,
            "images to write": core.snapshots,
        }
        found += [f"{name}: {len(queue)} items left" for name, queue in queues.items() if queue]
        found += [f"completions of {s.name}: {len(q)} left" for s, q in core.completions.items() if q]
        for conn, tcb in enumerate(core.tcbs):
            if tcb.phase != Phase.FREE:
                found.append(f"connection {conn} is still {Phase(tcb.phase).name}")
            if core.txpath.entries(conn):
                found.append(f"connection {conn}: {core.txpath.entries(conn)} sends never completed")
        if not core.faults and core.credits + core.credit_pending != len(core.free):
            found.append(f"pool: {core.credits} + {core.credit_pending} credits for {len(core.free)} free buffers")
        return found

    # ---- choosing ------------------------------------------------------------------------------

    def _ready(self) -> list[Step]:
        """Every event that may come next."""
        core, ready = self.core, list[Step]()
        if self._rx_in:
            ready.append(self._receive)
        if self._segments:
            ready.append(self._rx_segment)
        if core.pending:
            ready.append(self._grant)
        if core.deadlines and any(due(d, self.now) for d in core.deadlines.values()):
            ready.append(self._timer)
        if core.faults:
            ready.append(self._fault)
        if core.fence_tx and core.fence_due() and not self._completions_wait():
            ready.append(self._fence_done)
        if core.txq:
            ready.append(self._transmit)
        if self._raw_sends:
            ready.append(self._raw_send)
        if core.plq and self._placeable():
            ready.append(self._place)
        if self._raw_up:
            ready.append(self._raw_receive)
        if core.snapshots:
            ready.append(self._write_state)
        if core.continuing is not None:
            ready.append(self._continue)
        else:
            self._ready_delivery(ready)
        self._ready_rings(ready)
        if core.credit_pending and (not ready or core.credit_due() or self._cycle - self._credit_since >= CREDIT_AGE):
            ready.append(self._credit)
        return ready

    def _completions_wait(self) -> bool:
        """A fence is done when completions in front of it were accepted by completion_ring (blocks.md, cluster tx).

        Refusals of the engine and of the decoder are among them: TERMINATE completes behind every request.
        """
        completions = self.core.completions
        return any(completions[source] for source in (CqSource.SEND, CqSource.DELIVERY, CqSource.TCP, CqSource.DECODE))

    def _ready_delivery(self, ready: list[Step]) -> None:
        core = self.core
        if core.dlvq:
            ready.append(self._message)
        if core.push and any(due(d, self.now) for d in core.push.values()):
            ready.append(self._push_timer)
        if core.consumption and not core.credit_pending and core.consumed_due():
            ready.append(self._consumed)  # C.11: credits go ahead, or a buffer that is back would count as held
        regs = core.regs
        if regs.enabled and not regs.broken and self._fetchable():
            ready.append(self._command)

    def _ready_rings(self, ready: list[Step]) -> None:
        core = self.core
        if any(core.completions.values()) and not core.regs.broken and self._cq_room() > 0:
            ready.append(self._complete)
        if self._interrupt_owed:
            if core.regs.irq:
                ready.append(self._interrupt)
            else:
                self._interrupt_owed = False

    def _cq_room(self) -> int:
        return self.core.regs.entries(Csr.CQ_SIZE_LOG2) - 1 - (self._cq_written - self._cq_read)

    def _fetchable(self) -> bool:
        regs = self.core.regs
        if self._fetched % regs.entries(Csr.SQ_SIZE_LOG2) == regs[Csr.SQ_TAIL]:
            return False
        return self._cq_room() - self._outstanding > CQ_RESERVE

    def _placeable(self) -> bool:
        """A PLACE waits until its frame is at the head of rx_buffer."""
        item = self.core.plq[0].item
        return item.op != PlOp.PLACE or self.core.frames[0].arrival == item.arrival

    # ---- tcp_engine ----------------------------------------------------------------------------

    def _commit(self, event: Event) -> None:
        room = not sees_room(event) or self._room()
        result = self.core.commit_tcp(event, self.now, room=room)
        if self.journal is not None:
            self._note("T", tcp_record(self._orders["T"], self.now, event, result, room=room))
        self._orders["T"] += 1
        if isinstance(event, RxSegment):
            self._retire()

    def _room(self) -> bool:
        """C.12: 0 while the host leaves the completion ring full and entries of pieces of text wait for it."""
        return self._cq_room() > 0 or len(self.core.completions[CqSource.DELIVERY]) < BACKED_UP

    def _rx_segment(self) -> None:
        frame = self._segments.popleft()
        self._commit(RxSegment(self.core.rx_seg(frame)))

    def _grant(self) -> None:
        conn = self._rng.choice(sorted(self.core.pending))
        self._commit(TxGrant(conn, self.core.tcbs[conn].gen))

    def _timer(self) -> None:
        conn = self._rng.choice(self.core.due_timers(self.now))
        self._commit(Timer(conn, self.core.tcbs[conn].gen))

    def _fault(self) -> None:
        self._commit(Fault(*self.core.faults.popleft()))

    def _fence_done(self) -> None:
        key = self._rng.choice(sorted(self.core.fence_due()))
        self.core.fence_tx.discard(key)
        self.core.fence_dlv.discard(key)
        self._commit(FenceDone(*key))

    def _consumed(self) -> None:
        key = self._rng.choice(self.core.consumed_due())
        taken = self.core.consumption.pop(key)
        self._commit(Consumed(*key, taken.pending))

    def _credit(self) -> None:
        count = self.core.credit_pending
        self.core.take_credits(count)
        self._commit(Credit(count))

    # ---- delivery_engine -----------------------------------------------------------------------

    def _deliver(self, event: DeliveryEvent, conn: int) -> None:
        pending = self.core.credit_pending
        result = self.core.commit_delivery(event, conn, self.now)
        if not pending:
            self._credit_since = self._cycle
        if self.journal is not None:
            record = delivery_record(self._orders["D"], self.now, event, result, len(self.core.free))
            self._note("D", record)
        self._orders["D"] += 1

    def _message(self) -> None:
        msg = self.core.dlvq.popleft()
        self._deliver(Message(msg), msg.conn)

    def _continue(self) -> None:
        conn = self.core.continuing
        if conn is not None:
            self._deliver(Continue(conn), conn)

    def _push_timer(self) -> None:
        core = self.core
        conn = self._rng.choice([c for c, d in core.push.items() if due(d, self.now)])
        self._deliver(PushTimer(conn, core.dcbs[conn].dcb.gen), conn)

    # ---- commands ------------------------------------------------------------------------------

    def _command(self) -> None:
        """Fetch, decode and carry out the next entry."""
        core, regs = self.core, self.core.regs
        slot = self._fetched % regs.entries(Csr.SQ_SIZE_LOG2)
        raw = self.memory.device_read(regs.wide(Csr.SQ_BASE_LO) + slot * SQE_BYTES, SQE_BYTES)
        if raw is None:
            regs.device_error(ERROR_SQ_READ)
            self._interrupt_owed = True
            return
        decoded = core.decoder.decode(raw, self._fetched & 0xFFFF)
        self._fetched += 1
        sqe = decoded.sqe
        if always_completes(sqe):
            self._outstanding += 1
        status = self._refusal(decoded)
        if status is not None:
            regs.count(Csr.CNT_CMD_ERRORS)
            core.complete(CqSource.DECODE, completion(decoded, status))
        elif sqe.opcode in TCP_OPCODES:
            if sqe.opcode == Opcode.INITIATE:
                core.insert(decoded)
            self._commit(Command(sqe, decoded.sq_index, decoded.image, decoded.seg))
        elif sqe.opcode in DELIVERY_OPCODES:
            conn = 0 if sqe.opcode == Opcode.POOL_POST else sqe.conn
            self._deliver(DlvCommand(sqe, decoded.sq_index, decoded.indices), conn)
        elif sqe.opcode == Opcode.RAW_POST:
            core.raw_free.extend(decoded.indices)
        elif sqe.opcode == Opcode.RAW_SEND:
            self._raw_sends.append(decoded)
        else:
            core.complete(CqSource.DECODE, completion(decoded, Status.OK))

    def _refusal(self, decoded: Decoded) -> Status | None:
        """The first check of hostport.md that fails."""
        core, sqe = self.core, decoded.sqe
        if decoded.early is not None:
            return decoded.early
        if decoded.appends:
            queued = sum(1 for item in core.txq if item.kind == TxKind.APPEND and item.conn == sqe.conn)
            if core.txpath.entries(sqe.conn) + queued >= self.config.sends:
                return Status.NO_RESOURCES
        if sqe.opcode == Opcode.INITIATE and sqe.conn in core.in_use:
            return Status.BAD_STATE
        if decoded.late is not None:
            return decoded.late
        if decoded.key is not None and decoded.key in core.lookup:
            return Status.DUPLICATE_KEY
        return None

    # ---- receive path --------------------------------------------------------------------------

    def _receive(self) -> None:
        """rx_parser and conn_lookup."""
        arrival, data = self._rx_in.popleft()
        core = self.core
        parsed = parse(data)
        class_, reason, segment = parsed.class_, parsed.reason, parsed.segment
        beats = -(-len(data) // self.config.lanes)
        conn = gen = 0
        if not core.regs.enabled:
            class_, reason = RxClass.DROP, RxReason.DISABLED
        elif reason != RxReason.TOO_LONG and self._no_room(beats):
            class_, reason = RxClass.DROP, RxReason.NO_SPACE
        elif segment is not None:
            hit = core.lookup.get(segment.key)
            if hit is None:
                class_, reason = RxClass.RAW, RxReason.NOT_OFFLOADED
            else:
                conn, gen = hit
        self._note("R", RecRx(arrival, class_, reason, conn, gen, self._fill).pack())
        core.count_verdict(class_, reason)
        if class_ == RxClass.DROP:
            return
        self._fill += beats
        raw = class_ == RxClass.RAW
        frame = RxFrame(arrival, data, class_, segment, conn, gen, final=raw, raw=raw)
        core.frames.append(frame)
        core.by_arrival[arrival] = frame
        if raw:
            self._retire()
        else:
            self._segments.append(frame)

    def _no_room(self, beats: int) -> bool:
        """rx_buffer cannot take a frame of ``beats``, or one frame more."""
        return self._fill + beats > self.config.rx_beats or len(self.core.frames) >= self.config.rx_frames

    def _retire(self) -> None:
        core = self.core
        self._raw_up.extend(core.retire_frames())
        self._fill = sum(-(-len(f.data) // self.config.lanes) for f in core.frames)

    def _raw_receive(self) -> None:
        frame = self._raw_up.popleft()
        jammed = self._cq_room() <= 0 and len(self.core.completions[CqSource.RAW_RX]) >= RAW_WAITING
        if jammed or not self.core.raw_free:
            self.core.regs.count(Csr.CNT_RX_RAW_NO_BUF)
            return
        self._note_write(self.core.place_raw(frame, self.core.raw_free.popleft()))

    def _place(self) -> None:
        write, _ = self.core.execute_plq()
        if write is not None:
            self._note_write(write)
        self._retire()

    # ---- transmit path -------------------------------------------------------------------------

    def _transmit(self) -> None:
        frame = self.core.execute_txq().frame
        if frame is None:
            return
        kind = TxRecKind.SEGMENT if frame.data is not None else TxRecKind.DISCARDED
        self._send(frame.data)
        self._note("X", RecTx(kind, frame.order, frame.conn, frame.length).pack())

    def _raw_send(self) -> None:
        decoded = self._raw_sends.popleft()
        data = self.core.raw_frame(decoded)
        kind = TxRecKind.RAW if data is not None else TxRecKind.DISCARDED
        self._send(data)
        conn = 0 if data is not None else RAW_LOST
        self._note("X", RecTx(kind, self._raw_orders, conn, decoded.sqe.length).pack())
        self._raw_orders += 1

    def _send(self, data: bytes | None) -> None:
        if data is not None:
            self._note("O", data=data)
            self._tx_out.append(data)
            self.on_transmit(data)

    # ---- completions ---------------------------------------------------------------------------

    def _write_state(self) -> None:
        write = self.core.execute_snapshot()
        if write is not None:
            self._note_write(write)

    def _complete(self) -> None:
        """completion_ring: any source that has something."""
        core, regs = self.core, self.core.regs
        source = self._rng.choice([s for s, queue in core.completions.items() if queue])
        cqe = core.completions[source].popleft()
        size = regs.entries(Csr.CQ_SIZE_LOG2)
        index = self._cq_written % size
        entry = with_phase(cqe, 1 - self._cq_written // size % 2)
        addr = regs.wide(Csr.CQ_BASE_LO) + index * CQE_BYTES
        if not self.memory.device_write(addr, entry.to_bytes()):
            regs.device_error(ERROR_CQ_WRITE)
            self._interrupt_owed = True
            return
        self._note_write(Write(WrClient.COMPLETION, addr, entry.to_bytes(), True))
        self._note("C", RecCq(index, source, entry.pack()).pack())
        self._cq_written += 1
        if completes_command(cqe):
            self._outstanding = max(self._outstanding - 1, 0)
        regs[Csr.IRQ_CAUSE] |= IRQ_COMPLETION
        self._interrupt_owed = True

    def _interrupt(self) -> None:
        self._interrupt_owed = False
        self.on_interrupt()

    # ---- records -------------------------------------------------------------------------------

    def _note(self, tag: str, *values: int, data: bytes = b"") -> None:
        if self.journal is not None:
            self.journal.add(tag, self._cycle, *values, data=data)

    def _note_write(self, write: Write) -> None:
        """A burst as the beats the write monitor would see."""
        if self.journal is None:
            return
        lanes = self.config.lanes
        addr, data = write.addr, write.data
        while data:
            at = addr % lanes
            n = min(lanes - at, len(data))
            self._note_beat(write.client, addr - at, at, data[:n])
            addr, data = addr + n, data[n:]

    def _note_beat(self, client: int, bus_addr: int, at: int, data: bytes) -> None:
        """Note one beat of a write: ``data`` from byte ``at`` of the bus word at ``bus_addr``."""
        refused = any(
            w.writes and bus_addr + at < w.base + w.size and w.base < bus_addr + at + len(data)
            for w in self.memory.windows
        )
        strobe = (1 << len(data)) - 1 << at
        word = int.from_bytes(data, "little") << 8 * at
        self._note("W", client, bus_addr, strobe, word, self.config.lanes, 2 if refused else 0)


_COMMAND_KINDS = frozenset((CqKind.COMMAND, CqKind.SEND, CqKind.RECEIVE, CqKind.RAW_TX, CqKind.FORWARD))
_SILENT = frozenset((Opcode.ANSWER, Opcode.NEIGHBOR_ANSWER, Opcode.RESUME, Opcode.RAW_POST, Opcode.POOL_POST))


def always_completes(sqe: Sqe) -> bool:
    """The entry gives a completion when all is well; of sends the last, of disconnects all but an inherited FIN."""
    if sqe.opcode == Opcode.SEND:
        return bool(sqe.flags & _LAST)
    if sqe.opcode == Opcode.DISCONNECT:
        return not sqe.flags & INHERITED
    return sqe.opcode in _ALWAYS_COMPLETE


def completes_command(cqe: Cqe) -> bool:
    """The entry answers a command that reserved it."""
    return cqe.kind in _COMMAND_KINDS and not (cqe.kind == CqKind.COMMAND and cqe.code in _SILENT)


def with_phase(cqe: Cqe, phase: int) -> Cqe:
    """The entry as it is written in a lap of ``phase``."""
    return Cqe.unpack(cqe.pack() | phase << Cqe.FIELDS["phase"][0])
