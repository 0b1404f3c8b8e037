"""What the golden device and the lockstep follower share: the state of every block and what an event does to it.

Nothing here decides what happens next. `GoldenDevice` picks events itself, `Follower` takes them from records; both
call the same ``commit_*`` and ``execute_*`` functions.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from model.delivery.step import (
    DeliveryEnv,
    DeliveryEvent,
    DeliveryResult,
    DeliveryState,
    DlvCommand,
    Message,
)
from model.delivery.step import step as delivery_step
from model.device.config import DeviceConfig
from model.device.decode import Decoded, Decoder
from model.device.memory import GoldenMemory
from model.device.registers import Registers
from model.device.rxparse import Key, ParsedSegment, sack_fields
from model.device.statistics import Statistics
from model.device.txpath import TxEffect, TxPath, barred_object, barrier_cqe
from model.layout.generated import (
    CREDIT_BATCH,
    Cqe,
    CqKind,
    CqSource,
    Csr,
    DlvEvt,
    DlvMsg,
    NbrRec,
    Object,
    Opcode,
    PathRec,
    PlOp,
    Plq,
    RxClass,
    RxReason,
    RxSeg,
    Status,
    Tcb,
    TcpImage,
    TxKind,
    Txq,
    Verdict,
    WrClient,
)
from model.tcp.images import delegated_image, whole_image
from model.tcp.objects import names_neighbor, names_path, without_connection
from model.tcp.seq import due
from model.tcp.step import step
from model.tcp.types import RESET_PARAMS, Command, Credit, Env, Event, FenceDone, RxSegment, StepResult

RAW_LOST = 0xFFFF
"""Connection in the record of a raw frame that was discarded."""
_DROP_COUNTERS = {
    RxReason.BAD_IP_CHECKSUM: Csr.CNT_RX_BAD_SUM,
    RxReason.BAD_TCP_CHECKSUM: Csr.CNT_RX_BAD_SUM,
    RxReason.BAD_LENGTH: Csr.CNT_RX_BAD_LEN,
    RxReason.TOO_LONG: Csr.CNT_RX_BAD_LEN,
    RxReason.NO_SPACE: Csr.CNT_RX_NO_SPACE,
}
_NO_TCB = Tcb()
_NO_PATH = PathRec()


@dataclass(slots=True)
class RxFrame:
    """A frame in rx_buffer: ``final`` once it is known what becomes of it; raw frames then go up."""

    arrival: int
    data: bytes
    class_: RxClass
    segment: ParsedSegment | None = None
    conn: int = 0
    gen: int = 0
    final: bool = False
    raw: bool = False


@dataclass(slots=True)
class Consumption:
    """Bytes a connection's host took, not yet told to tcp_engine."""

    pending: int = 0
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """A write of the device to host memory; ``ok`` False if a beat was refused. ``raw``: a frame for the raw ring.

    Without ``data`` nothing is written: the read that the bytes should come from failed.
    """

    client: WrClient
    addr: int
    data: bytes
    ok: bool
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """An item of the placement queue; ``forwarded``: a COPY out of a forwarded segment."""

    item: Plq
    forwarded: bool = False


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An image that state_writer has to write: TCB and tick of the commit, and the command that it completes.

    TERMINATE: the delegated image; QUERY: the whole one.
    """

    conn: int
    tcb: Tcb
    tick: int
    opcode: Opcode
    addr: int
    cookie: int
    sq_index: int

    def data(self) -> bytes:
        """The image as it lies in host memory."""
        image = whole_image if self.opcode == Opcode.QUERY else delegated_image
        return image(self.tcb, self.tick).to_bytes()


class Core:
    """State of all blocks after reset."""

    def __init__(self, config: DeviceConfig, memory: GoldenMemory) -> None:
        self.config = config
        self.mem = memory
        self.regs = Registers(config)
        self.statistics = Statistics(self.regs)
        self.decoder = Decoder(config, memory)
        self.txpath = TxPath(memory, lambda: self.regs.mac)
        # tcp_engine
        self.params = RESET_PARAMS
        self.paths: list[PathRec] = [_NO_PATH] * config.paths
        self.neighbors: list[NbrRec] = [NbrRec()] * config.neighbors
        self.credits = 0
        self.tcbs: list[Tcb] = [_NO_TCB] * config.conns
        self.pending: set[int] = set()
        self.deadlines: dict[int, int] = {}
        # conn_lookup
        self.lookup: dict[Key, tuple[int, int]] = {}
        self.keys: dict[int, Key] = {}
        self.in_use: set[int] = set()
        # delivery_engine
        self.dcbs: list[DeliveryState] = [DeliveryState()] * config.conns
        self.free: deque[int] = deque()
        self.continuing: int | None = None
        self.push: dict[int, int] = {}
        self.consumption: dict[tuple[int, int], Consumption] = {}
        self.credit_pending = 0
        #: Credits that were pending ever; a FLUSH was committed since the last CREDIT.
        self.credits_returned = 0
        self.flushed = False
        # queues between the blocks
        self.txq: deque[Txq] = deque()
        #: Objects of INVALIDATEs whose BARRIER is in the transmit queue: none of their frames leaves.
        self.barred: list[tuple[Object, int]] = []
        self.dlvq: deque[DlvMsg] = deque()
        self.plq: deque[Placement] = deque()
        self.forward_failed = False
        self.completions: dict[CqSource, deque[Cqe]] = {source: deque() for source in CqSource}
        self.snapshots: deque[Snapshot] = deque()
        self.frames: deque[RxFrame] = deque()
        self.by_arrival: dict[int, RxFrame] = {}
        self.raw_free: deque[int] = deque()
        self.faults: deque[tuple[int, int]] = deque()
        self.fence_tx: set[tuple[int, int]] = set()
        self.fence_dlv: set[tuple[int, int]] = set()

    # ---- tcp_engine --------------------------------------------------------------------------

    def commit_tcp(self, event: Event, now: int, *, room: bool = True) -> StepResult:
        """One event of tcp_engine: state, global writes, and actions into their queues. ``room``: C.12."""
        conn = self.connection_of(event)
        tcb = _NO_TCB if conn is None else self.tcbs[conn]
        path = self.paths[tcb.path_id]
        if isinstance(event, Command) and isinstance(event.image, TcpImage):
            path = self.paths[event.image.path_id]
        neighbor = self.neighbors[path.neighbor_id]
        if isinstance(event, Command) and names_path(event.sqe):
            path = self.paths[event.sqe.conn]
        elif isinstance(event, Command) and names_neighbor(event.sqe):
            neighbor = self.neighbors[event.sqe.conn]
        env = Env(now, self.params, self.credits, path, neighbor, self.config.conns, room, self.config.ooo_ranges)
        result = step(tcb, event, env)
        self._global_writes(result)
        if conn is not None:
            self.tcbs[conn] = result.tcb
            self.statistics.committed(event, tcb, result)
            if result.matched:
                self._schedule(conn, result)
        self._issue(event, result, now)
        return result

    def connection_of(self, event: Event) -> int | None:
        """The number of the connection that an event is for; None of objects, parameters and credits."""
        if isinstance(event, RxSegment):
            return event.seg.conn
        if isinstance(event, Credit):
            return None
        if isinstance(event, Command):
            return None if without_connection(event.sqe) else event.sqe.conn
        return event.conn

    def _global_writes(self, result: StepResult) -> None:
        writes = result.writes
        self.credits = writes.credits
        if writes.params is not None:
            self.params = writes.params
        if writes.path is not None:
            self.paths[writes.path[0]] = writes.path[1]
        if writes.neighbor is not None:
            self.neighbors[writes.neighbor[0]] = writes.neighbor[1]

    def _schedule(self, conn: int, result: StepResult) -> None:
        if result.pending:
            self.pending.add(conn)
        else:
            self.pending.discard(conn)
        if result.deadline is None:
            self.deadlines.pop(conn, None)
        else:
            self.deadlines[conn] = result.deadline

    def _issue(self, event: Event, result: StepResult, now: int) -> None:
        a = result.actions
        if a.tx0 is not None:
            self.txq.append(a.tx0)
            if a.tx0.kind == TxKind.BARRIER:
                self.barred.append(barred_object(a.tx0))
                self.complete(CqSource.INVALIDATE, barrier_cqe(a.tx0))
        if a.tx1 is not None:
            self.txq.append(a.tx1)
        if a.dlv is not None:
            self.dlvq.append(a.dlv)
        if a.cpl is not None:
            self.complete(CqSource.TCP, a.cpl)
        if isinstance(event, RxSegment):
            frame = self.by_arrival[event.seg.arrival]
            frame.raw = a.verdict == Verdict.PASS_UP
            frame.final = a.verdict != Verdict.DELIVER
        if a.delete_lookup:
            conn = self.connection_of(event)
            if conn is not None:
                self.forget(conn)
        if a.image and isinstance(event, Command):
            sqe = event.sqe
            query = Snapshot(sqe.conn, result.tcb, now, Opcode.QUERY, sqe.addr, sqe.cookie, event.sq_index)
            self.snapshots.append(query)
        elif a.image and isinstance(event, FenceDone):
            tcb = result.tcb
            end = Snapshot(event.conn, tcb, now, Opcode.TERMINATE, tcb.img_addr, tcb.img_cookie, tcb.img_sq_index)
            self.snapshots.append(end)

    def forget(self, conn: int) -> None:
        """The connection's look-up entry goes away."""
        key = self.keys.pop(conn, None)
        if key is not None:
            self.lookup.pop(key, None)
        self.in_use.discard(conn)

    def insert(self, decoded: Decoded) -> None:
        """INITIATE's look-up entry."""
        if decoded.key is not None:
            self.lookup[decoded.key] = (decoded.sqe.conn, decoded.sqe.gen)
            self.keys[decoded.sqe.conn] = decoded.key
            self.in_use.add(decoded.sqe.conn)

    def due_timers(self, now: int) -> list[int]:
        """Connections whose deadline has passed."""
        return [conn for conn, deadline in self.deadlines.items() if due(deadline, now)]

    # ---- delivery_engine ---------------------------------------------------------------------

    def commit_delivery(self, event: DeliveryEvent, conn: int, now: int) -> DeliveryResult:
        """One event of delivery_engine."""
        env = DeliveryEnv(now, self.regs.wide(Csr.POOL_BASE_LO), self.config.recvs, self.free[0] if self.free else None)
        result = delivery_step(self.dcbs[conn], event, env)
        if result.took_free:
            self.free.popleft()
        self.free.extend(result.freed)
        self.credit_pending += result.credit_ret
        self.credits_returned += result.credit_ret
        if isinstance(event, Message) and event.msg.kind == DlvEvt.FLUSH:
            self.flushed = self.credit_pending > 0
        if isinstance(event, DlvCommand) and event.sqe.opcode == Opcode.POOL_POST:
            return result
        self.dcbs[conn] = result.state
        dcb = result.state.dcb
        self.continuing = conn if result.more else None
        if dcb.push_on and dcb.loaded:
            self.push[conn] = dcb.push_deadline
        else:
            self.push.pop(conn, None)
        if result.consumed or result.consumed_now:
            c = self.consumption.setdefault((conn, dcb.gen), Consumption())
            c.pending += result.consumed
            c.at_once |= result.consumed_now and c.pending != 0  # a flush of nothing leaves no trace
        if result.plq is not None:
            self.plq.append(Placement(result.plq, result.forwarded))
        return result

    def take_credits(self, count: int) -> None:
        """``count`` of the pending credits are offered."""
        self.credit_pending -= count
        self.flushed = False

    def credit_due(self) -> bool:
        """CREDIT is offered now: enough are pending, or a CONSUMED or FLUSH comes behind it."""
        if not self.credit_pending:
            return False
        return self.credit_pending >= CREDIT_BATCH or self.flushed or bool(self.consumed_due())

    def credits_short(self) -> bool:
        """tcp_engine has few credits left, so those pending are not kept back for long."""
        return len(self.free) - self.credit_pending < self.config.conns + CREDIT_BATCH

    def consumed_due(self) -> list[tuple[int, int]]:
        """Connections (and generations) whose CONSUMED is offered now."""
        offered: list[tuple[int, int]] = []
        for (conn, gen), c in self.consumption.items():
            if c.pending and (c.at_once or c.pending >= self.dcbs[conn].dcb.consumed_thr):
                offered.append((conn, gen))
        return offered

    # ---- executors ---------------------------------------------------------------------------

    def execute_txq(self) -> TxEffect:
        """The head of the transmit queue."""
        effect = self.txpath.execute(self.txq.popleft())
        for cqe in effect.completions:
            self.complete(CqSource.SEND, cqe)
        if effect.fence is not None:
            self.fence_tx.add(effect.fence)
        if effect.passed is not None:
            self.barred.remove(effect.passed)
        frame = effect.frame
        if frame is not None:
            if frame.data is not None and any(o in self.barred for o in frame.objects):
                frame = replace(frame, data=None, invalid=True)
            self.statistics.sent(frame)
            if frame.data is not None:
                self.regs.count(Csr.CNT_TX_SEGMENTS)
            else:
                self.regs.count(Csr.CNT_TX_DISCARDED)
                if not frame.invalid:
                    self.raise_fault(frame.conn, frame.gen)
            effect = replace(effect, frame=frame)
        return effect

    def raise_fault(self, conn: int, gen: int) -> None:
        """Host memory of a connection failed (mechanisms M7)."""
        self.faults.append((conn, gen))
        self.regs.count(Csr.CNT_FAULTS)

    def execute_plq(self) -> tuple[Write | None, Cqe | None]:
        """The head of the placement queue: its write, and the entry that is written when that is visible."""
        placement = self.plq.popleft()
        item = placement.item
        write = self._place(item)
        cqe = Cqe.unpack(item.cqe) if item.cqe_valid else None
        if write is not None and not write.ok:
            self.raise_fault(item.conn, item.gen)
            self.forward_failed |= placement.forwarded
            if cqe is not None and cqe.kind == CqKind.RECEIVE:
                cqe = _with_status(cqe, Status.ABORTED)
        if cqe is not None and cqe.kind == CqKind.FORWARD:  # the pieces of one segment follow each other at once
            cqe = _with_status(cqe, Status.ABORTED) if self.forward_failed else cqe
            self.forward_failed = False
        if cqe is not None:
            self.complete(CqSource.DELIVERY, cqe)
        if item.freeze_done:
            self.fence_dlv.add((item.conn, item.gen))
        return write, cqe

    def _place(self, item: Plq) -> Write | None:
        if item.op == PlOp.NONE:
            return None
        data: bytes | None
        if item.op == PlOp.PLACE:
            frame = self.by_arrival[item.arrival]
            data = frame.data[item.offset : item.offset + item.len]
            frame.final = frame.final or bool(item.last)
        elif item.op == PlOp.COPY:
            data = self.mem.device_read(item.src, item.len)
        else:
            data = item.list_data.to_bytes(8, "little")
        if data is None:
            return Write(WrClient.PLACER, item.dst, b"", False)
        return Write(WrClient.PLACER, item.dst, data, self.mem.device_write(item.dst, data))

    def count_verdict(self, class_: RxClass, reason: RxReason) -> None:
        """The counters of a frame that was decided."""
        self.regs.count(Csr.CNT_RX_FRAMES)
        if class_ == RxClass.SEGMENT:
            self.regs.count(Csr.CNT_RX_SEGMENTS)
        elif class_ == RxClass.DROP and reason in _DROP_COUNTERS:
            self.regs.count(_DROP_COUNTERS[reason])

    def retire_frames(self) -> list[RxFrame]:
        """Take finished frames off the head of rx_buffer; those that go up are returned, in order."""
        up: list[RxFrame] = []
        while self.frames and self.frames[0].final:
            frame = self.frames.popleft()
            del self.by_arrival[frame.arrival]
            if frame.raw:
                up.append(frame)
        return up

    def place_raw(self, frame: RxFrame, buf: int) -> Write:
        """A raw frame into raw buffer ``buf``; its completion gives the buffer back, with or without a frame."""
        addr = self.regs.wide(Csr.RAW_BASE_LO) + buf * 2048
        ok = self.mem.device_write(addr, frame.data)
        status = Status.OK if ok else Status.WRITE_ERROR
        self.complete(CqSource.RAW_RX, Cqe(kind=CqKind.RAW_RX, status=status, buf=buf, nbytes=len(frame.data)))
        self.regs.count(Csr.CNT_RX_RAW)
        return Write(WrClient.PLACER, addr, frame.data, ok, raw=True)

    def execute_snapshot(self) -> Write | None:
        """state_writer: the image, then the completion of TERMINATE or QUERY."""
        s = self.snapshots.popleft()
        write: Write | None = None
        if s.addr or s.opcode == Opcode.QUERY:  # 0: none, for TERMINATE
            data = s.data()
            write = Write(WrClient.STATE, s.addr, data, self.mem.device_write(s.addr, data))
        status = Status.OK if write is None or write.ok else Status.WRITE_ERROR
        cqe = Cqe(
            kind=CqKind.COMMAND,
            status=status,
            conn=s.conn,
            gen=s.tcb.gen,
            code=s.opcode,
            cookie=s.cookie,
            sq_index=s.sq_index,
        )
        self.complete(CqSource.STATE, cqe)
        return write

    def raw_frame(self, decoded: Decoded) -> bytes | None:
        """RAW_SEND: the frame, or None after a read error; queues the completion."""
        sqe = decoded.sqe
        data = self.mem.device_read(sqe.addr, sqe.length)
        status = Status.OK if data is not None else Status.READ_ERROR
        cqe = Cqe(kind=CqKind.RAW_TX, status=status, code=Opcode.RAW_SEND, cookie=sqe.cookie, sq_index=decoded.sq_index)
        self.complete(CqSource.RAW_TX, cqe)
        self.regs.count(Csr.CNT_TX_RAW if data is not None else Csr.CNT_TX_DISCARDED)
        return data

    def complete(self, source: CqSource, cqe: Cqe) -> None:
        """A completion for the ring."""
        self.completions[source].append(cqe)

    def fence_due(self) -> list[tuple[int, int]]:
        """Connections (and generations) both halves of whose fence are done."""
        return [key for key in self.fence_tx if key in self.fence_dlv]

    def rx_seg(self, frame: RxFrame) -> RxSeg:
        """Arguments of RX_SEGMENT for a frame that hit."""
        s = frame.segment
        if s is None:
            raise ValueError(f"frame {frame.arrival} is no segment")
        return RxSeg(
            arrival=frame.arrival,
            conn=frame.conn,
            gen=frame.gen,
            seq=s.seq,
            ack=s.ack,
            wnd=s.wnd,
            flags=s.flags,
            tagged=s.tagged,
            vlan_id=s.vlan_id,
            ts_present=s.ts_present,
            tsval=s.tsval,
            tsecr=s.tsecr,
            ip_ecn=s.ip_ecn,
            **sack_fields(s.sack_blocks),
            pay_off=s.pay_off,
            pay_len=s.pay_len,
        )


def _with_status(cqe: Cqe, status: Status) -> Cqe:
    packed = cqe.pack() & ~(0xFF << 8) | status << 8
    return Cqe.unpack(packed)
