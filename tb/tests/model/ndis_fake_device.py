"""A device behind the host port, played by software TCP: enough of docs/contract/hostport.md to test a driver.

Written from the contract, apart from the golden device. It asserts what a driver must keep: ring
room, table limits, generations, buffers left alone while the device owns them.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from model.layout.generated import (
    CQE_BYTES,
    POOL_BUF_BYTES,
    SQE_BYTES,
    CachedImage,
    Cqe,
    CqKind,
    Csr,
    DelegatedImage,
    LeftOver,
    NeighborImage,
    Object,
    Opcode,
    ParamImage,
    PathImage,
    PostList,
    SgElem,
    Sqe,
    Status,
    TcpEventType,
    TcpImage,
)
from model.ndis.enums import TcpConnectionState
from model.ndis.framing import MASK32, Endpoint, Segment, decode, decode_tcp, encode
from model.ndis.memory import FlatMemory
from model.ndis.offload_state import KeepAlive, Retransmit, TcpDelegated
from model.ndis.soft_tcp import SoftTcp, SoftTcpConfig, signed
from model.wire.frame import TcpFlag


def _address(field: int, family: int) -> bytes:
    """An address as the image field holds it, 4 or 16 bytes."""
    return field.to_bytes(16, "little")[: {4: 4, 6: 16}[family]]


@dataclass
class SendSlot:
    """An entry of the send table."""

    sqe: Sqe
    start: int
    end: int
    fin: bool
    data: bytes
    pieces: list[tuple[int, int]]


@dataclass(eq=False)
class FakeConn:
    """A connection of the fake device."""

    number: int
    gen: int
    image: TcpImage
    tcp: SoftTcp
    end: int
    running: bool = False
    hold: bool = True
    inherited: bytearray = field(default_factory=bytearray)
    sends: deque[SendSlot] = field(default_factory=deque)
    requests: deque[Sqe] = field(default_factory=deque)
    filled: int = 0
    pool: deque[LeftOver] = field(default_factory=deque)
    asking: bool = False
    token: int = 0
    refused: bool = False
    fin_told: bool = False
    retrieve_told: bool = False
    abort_told: bool = False
    #: An RST came or went: all that is outstanding completes ABORTED. The abortive DISCONNECT that asked for it.
    reset: bool = False
    abort: tuple[Sqe, int] | None = None
    terminate: tuple[Sqe, int] | None = None
    invalid: bool = False
    #: A frame was suppressed for the sake of something invalid.
    suppressed: bool = False
    fin_inherited: bool = False


class FakeDevice:
    """HostPort, wire port and clock of the fake. ``irq`` is set when completions were written."""

    def __init__(
        self,
        memory: FlatMemory,
        seed: int = 1,
        conns: int = 64,
        sends: int = 16,
        receives: int = 16,
        initiate_failures: dict[int, Status] | None = None,
        start_failures: dict[int, Status] | None = None,
        terminate_status: Status = Status.OK,
    ) -> None:
        self.mem = memory
        self.regs: dict[int, int] = {}
        self.out: list[bytes] = []
        self.irq = False
        self.now = 0
        self.opcodes: list[Sqe] = []
        self.parameters: ParamImage | None = None
        self.parameter_status = Status.OK
        #: Status of every QUERY, UPDATE and INVALIDATE; True in ``silent``: nothing is done or answered.
        self.state_status = Status.OK
        self.silent = False
        #: Ages of every neighbor in ticks, as QUERY tells them: host, device. What NEIGHBOR_ANSWER said, by number.
        self.ages = (0, 0)
        self.answers: list[tuple[int, int]] = []
        self.forwarded: list[bytes] = []
        #: Reads of registers that take time and have not come back; None: they take none.
        self.reads: deque[tuple[tuple[int, ...], Callable[[Sequence[int]], None]]] | None = None
        self._invalid: set[tuple[Object, int]] = set()
        self.conns: dict[int, FakeConn] = {}
        self.kinds: list[tuple[CqKind, Opcode | int, Status]] = []
        self._rng = random.Random(seed)
        self._limits = (conns, sends, receives)
        self._failures = initiate_failures or {}
        self._start_failures = start_failures or {}
        self._starts = 0
        self._terminate_status = terminate_status
        self._fetched = 0
        self._cq_written = 0
        self._cq: deque[Cqe] = deque()
        self._pool_free: deque[int] = deque()
        self._raw_free: deque[int] = deque()
        self._raw_in: deque[bytes] = deque()
        self._paths: dict[int, PathImage] = {}
        self._neighbors: dict[int, NeighborImage] = {}
        self._initiates = 0
        self._ip_id = 0x8000

    # ---- registers

    def mmio_write(self, offset: int, value: int) -> None:
        assert 0 <= value < 1 << 32
        self.regs[offset] = value

    def mmio_read(self, offset: int) -> int:
        return 4 if offset == Csr.STATUS else self.regs.get(offset, 0)

    def read_registers(self, offsets: Sequence[int], done: Callable[[Sequence[int]], None]) -> None:
        if self.reads is None:
            done([self.mmio_read(offset) for offset in offsets])
        else:
            self.reads.append((tuple(offsets), done))

    def answer_reads(self) -> None:
        """Reads that wait have come back, and what is read because of them does, too."""
        while self.reads:
            offsets, done = self.reads.popleft()
            done([self.mmio_read(offset) for offset in offsets])

    def _wide(self, low: Csr) -> int:
        return self.regs[low] | self.regs[low + 4] << 32

    # ---- rings

    def _complete(
        self, kind: CqKind, sqe: Sqe, index: int, status: Status = Status.OK, nbytes: int = 0, info: int = 0
    ) -> None:
        self._cq.append(
            Cqe(
                kind=kind,
                status=status,
                conn=sqe.conn,
                gen=sqe.gen,
                code=sqe.opcode,
                cookie=sqe.cookie,
                nbytes=nbytes,
                info=info,
                sq_index=index & 0xFFFF if kind is CqKind.COMMAND or status else 0,
            )
        )

    def _write_completions(self) -> bool:
        size = 1 << self.regs[Csr.CQ_SIZE_LOG2]
        head = self.regs.get(Csr.CQ_HEAD, 0)
        wrote = False
        while self._cq and (self._cq_written - head) % size != size - 1:
            phase = 1 - (self._cq_written // size) % 2
            entry = replace(self._cq.popleft(), phase=phase)
            self.kinds.append((CqKind(entry.kind), entry.code, Status(entry.status)))
            slot = self._cq_written % size
            self.mem.write(self._wide(Csr.CQ_BASE_LO) + slot * CQE_BYTES, entry.to_bytes())
            self._cq_written += 1
            wrote = True
        self.irq |= wrote
        return wrote

    def step(self) -> bool:
        if not self.regs.get(Csr.CONTROL, 0) & 1 or self.silent:
            return False
        progress = False
        size = 1 << self.regs[Csr.SQ_SIZE_LOG2]
        for _ in range(self._rng.randint(1, 8)):
            slot = self._fetched % size
            if slot == self.regs.get(Csr.SQ_TAIL, 0):
                break
            raw = self.mem.read(self._wide(Csr.SQ_BASE_LO) + slot * SQE_BYTES, SQE_BYTES)
            self._execute(Sqe.from_bytes(raw), raw, self._fetched)
            self._fetched += 1
            progress = True
        for conn in list(self.conns.values()):
            progress |= self._work(conn)
        while self._raw_in and self._raw_free:
            frame, index = self._raw_in.popleft(), self._raw_free.popleft()
            self.mem.write(self._wide(Csr.RAW_BASE_LO) + index * POOL_BUF_BYTES, frame)
            self._cq.append(Cqe(kind=CqKind.RAW_RX, buf=index, nbytes=len(frame)))
            progress = True
        return self._write_completions() | progress

    # ---- commands

    def _execute(self, sqe: Sqe, raw: bytes, index: int) -> None:
        opcode = Opcode(sqe.opcode)
        self.opcodes.append(sqe)
        match opcode:
            case Opcode.NOP:
                self._complete(CqKind.COMMAND, sqe, index)
            case Opcode.PARAM_WRITE:
                self.parameters = ParamImage.from_bytes(self.mem.read(sqe.addr, ParamImage.WIDTH // 8))
                self._complete(CqKind.COMMAND, sqe, index, self.parameter_status)
            case Opcode.NEIGHBOR_WRITE | Opcode.PATH_WRITE:
                self._write_object(opcode, sqe, index)
            case Opcode.QUERY if sqe.flags == Object.NEIGHBOR:
                assert sqe.conn in self._neighbors
                host, device = self.ages
                self._complete(CqKind.COMMAND, sqe, index, self.state_status, host, device)
            case Opcode.INVALIDATE if sqe.flags in (Object.NEIGHBOR, Object.PATH):
                if self.state_status is Status.OK:
                    self._invalid.add((Object(sqe.flags), sqe.conn))
                self._complete(CqKind.COMMAND, sqe, index, self.state_status)
            case Opcode.NEIGHBOR_ANSWER:
                self.answers.append((sqe.conn, sqe.arg))
            case Opcode.INITIATE:
                self._initiate(sqe, index)
            case Opcode.RAW_SEND:
                self.out.append(self.mem.read(sqe.addr, sqe.length))
                self._complete(CqKind.RAW_TX, sqe, index)
            case Opcode.RAW_POST | Opcode.POOL_POST:
                body = PostList.from_bytes(raw[32:])
                free = self._raw_free if opcode is Opcode.RAW_POST else self._pool_free
                free.extend(getattr(body, f"idx{i}") for i in range(sqe.count))
            case _:
                self._execute_conn(opcode, sqe, index)

    def _write_object(self, opcode: Opcode, sqe: Sqe, index: int) -> None:
        """A neighbor or path, new or (flags bit 0) in use; what a write with UPDATE names must be there."""
        update = bool(sqe.flags & 1)
        if opcode is Opcode.NEIGHBOR_WRITE:
            assert not update or sqe.conn in self._neighbors
            image = NeighborImage.from_bytes(self.mem.read(sqe.addr, 128))
            if self.state_status is Status.OK or not update:
                self._neighbors[sqe.conn] = image
        else:
            assert not update or sqe.conn in self._paths
            path = PathImage.from_bytes(self.mem.read(sqe.addr, 64))
            assert path.neighbor_id in self._neighbors
            if path.path_mtu > 1500:
                self._complete(CqKind.COMMAND, sqe, index, Status.PATH_MTU)
                return
            if self.state_status is Status.OK or not update:
                self._paths[sqe.conn] = path
        if not update:
            kind = Object.NEIGHBOR if opcode is Opcode.NEIGHBOR_WRITE else Object.PATH
            self._invalid.discard((kind, sqe.conn))
        self._complete(CqKind.COMMAND, sqe, index, self.state_status if update else Status.OK)

    def ask(self, neighbor: int, host: int, device: int) -> None:
        """Raise NEIGHBOR_QUERY with these ages in ticks."""
        event = TcpEventType.NEIGHBOR_QUERY
        self._cq.append(Cqe(kind=CqKind.EVENT, conn=neighbor, code=event, nbytes=host, info=device))

    def _execute_conn(self, opcode: Opcode, sqe: Sqe, index: int) -> None:
        conn = self.conns[sqe.conn]
        assert conn.gen == sqe.gen, f"{opcode.name} with generation {sqe.gen}, {conn.gen} loaded"
        match opcode:
            case Opcode.START:
                self._start(conn, sqe, index)
            case Opcode.RESUME:
                conn.hold = False
            case Opcode.SEND | Opcode.DISCONNECT:
                self._send(conn, opcode, sqe, index)
            case Opcode.RECEIVE:
                if conn.reset:
                    self._complete(CqKind.RECEIVE, sqe, index, Status.ABORTED)
                    return
                assert len(conn.requests) < self._limits[2], "receive ring overrun"
                conn.requests.append(sqe)
                conn.refused = False
            case Opcode.ANSWER:
                self._answer(conn, sqe)
            case Opcode.UPLOAD:
                conn.retrieve_told = True
                self._event(conn, TcpEventType.RETRIEVE, 10)
                self._complete(CqKind.COMMAND, sqe, index)
            case Opcode.TERMINATE:
                conn.terminate = (sqe, index)
            case Opcode.FORWARD:
                self._forward(conn, sqe)
            case Opcode.UPDATE:
                if self.state_status is Status.OK:
                    cached = CachedImage.from_bytes(self.mem.read(sqe.addr, CachedImage.WIDTH // 8))
                    conn.image = replace(conn.image, **{name: getattr(cached, name) for name in CachedImage.FIELDS})
                self._complete(CqKind.COMMAND, sqe, index, self.state_status)
            case Opcode.QUERY:
                if self.state_status is Status.OK:
                    self.mem.write(sqe.addr, self._whole(conn).to_bytes())
                self._complete(CqKind.COMMAND, sqe, index, self.state_status)
            case Opcode.INVALIDATE:
                conn.invalid = conn.invalid or self.state_status is Status.OK
                self._complete(CqKind.COMMAND, sqe, index, self.state_status)
            case _:
                raise AssertionError(f"opcode {opcode.name} is not for a driver of this contract")

    def _forward(self, conn: FakeConn, sqe: Sqe) -> None:
        raw = self.mem.read(sqe.addr, sqe.length)
        if not 20 <= sqe.length <= 1480:
            self._complete(CqKind.FORWARD, sqe, 0, Status.BAD_LENGTH)
        elif conn.reset or conn.tcp.aborted:
            self._complete(CqKind.FORWARD, sqe, 0, Status.ABORTED)
        elif conn.terminate is not None or conn.retrieve_told:
            self._complete(CqKind.FORWARD, sqe, 0, Status.UPLOAD)
        else:
            self.forwarded.append(raw)
            segment = decode_tcp(raw, conn.tcp.remote, conn.tcp.local)
            if segment is not None:
                conn.tcp.on_segment(segment, self.now)
            self._complete(CqKind.FORWARD, sqe, 0)

    def _whole(self, conn: FakeConn) -> TcpImage:
        """The TCP image of this instant."""
        state = self._image(conn)
        delegated = {name: getattr(state, name) for name in DelegatedImage.FIELDS}
        backlog = len(conn.tcp.received) + sum(node.length for node in conn.pool)
        return replace(conn.image, **delegated | {"send_backlog_size": 4096, "receive_backlog_size": backlog})

    def _initiate(self, sqe: Sqe, index: int) -> None:
        assert sqe.conn not in self.conns, "connection id in use"
        assert sqe.conn < self._limits[0]
        self._initiates += 1
        failure = self._failures.get(self._initiates)
        if failure is not None:
            self._complete(CqKind.COMMAND, sqe, index, failure)
            return
        image = TcpImage.from_bytes(self.mem.read(sqe.addr, 256))
        path = self._paths[image.path_id]
        neighbor = self._neighbors[path.neighbor_id]
        mac = (self.regs[Csr.MAC_LO] | self.regs[Csr.MAC_HI] << 32).to_bytes(6, "little")
        local = Endpoint(mac, _address(path.src_addr, path.family), image.local_port)
        remote = Endpoint(
            neighbor.dl_dst.to_bytes(6, "little"), _address(path.dst_addr, path.family), image.remote_port
        )
        tcp = SoftTcp(local, remote, SoftTcpConfig(initial_rcv_wnd=image.initial_rcv_wnd), self._emit)
        tcp.ts_enabled = bool(image.const_flags & 1)
        tcp.snd_scale, tcp.rcv_scale = image.snd_wind_scale, image.rcv_wind_scale
        tcp.remote_mss = image.remote_mss
        self.conns[sqe.conn] = FakeConn(sqe.conn, sqe.gen, image, tcp, image.snd_una)
        self._complete(CqKind.COMMAND, sqe, index)

    def _start(self, conn: FakeConn, sqe: Sqe, index: int) -> None:
        image = conn.image
        self._starts += 1
        if self._starts in self._start_failures:
            self._complete(CqKind.COMMAND, sqe, index, self._start_failures[self._starts])
            return
        queued = (conn.end - image.snd_una) & MASK32
        if (image.snd_max - image.snd_una) & MASK32 > queued:
            self._complete(CqKind.COMMAND, sqe, index, Status.BAD_STATE)
            return
        state = TcpDelegated(
            TcpConnectionState(image.state),
            image.rcv_nxt,
            image.rcv_wnd,
            image.snd_una,
            image.snd_nxt,
            image.snd_max,
            image.snd_wnd,
            image.max_snd_wnd,
            image.snd_wl1,
            image.cwnd,
            image.ssthresh,
            s_rtt=image.srtt,
            rtt_var=image.rttvar,
            ts_recent=image.ts_recent,
            ts_recent_age=image.ts_recent_age,
            ts_time=image.ts_time,
            keep_alive=KeepAlive(),
            retransmit=Retransmit(image.rtx_count, image.rtx_timeout_delta),
        )
        closed = image.state not in (TcpConnectionState.ESTABLISHED, TcpConnectionState.CLOSE_WAIT)
        unacknowledged = image.state != TcpConnectionState.FIN_WAIT_2
        assert conn.fin_inherited == (closed and unacknowledged), "the FIN of the host is not queued"
        conn.tcp.restore(state, bytes(conn.inherited), closed, self.now)
        conn.running, conn.hold = True, bool(sqe.flags & 1)
        self._complete(CqKind.COMMAND, sqe, index)

    def _send(self, conn: FakeConn, opcode: Opcode, sqe: Sqe, index: int) -> None:
        if conn.terminate is not None:
            self._complete(CqKind.SEND, sqe, index, Status.UPLOAD)
            return
        if conn.tcp.aborted:
            self._complete(CqKind.SEND, sqe, index, Status.ABORTED)
            return
        if opcode is Opcode.DISCONNECT and sqe.flags == 2:
            assert (sqe.length, sqe.count) == (0, 0)
            self._reset(conn, sqe, index)
            return
        inherited = opcode is Opcode.DISCONNECT and sqe.flags == 5
        assert opcode is Opcode.SEND or sqe.flags == 1 or (inherited and not conn.running and sqe.length == 0)
        conn.fin_inherited = conn.fin_inherited or inherited
        assert len(conn.sends) < self._limits[1], "send table overrun"
        raw = self.mem.read(sqe.addr, 16 * sqe.count)
        elements = [SgElem.from_bytes(raw[16 * i : 16 * i + 16]) for i in range(sqe.count)]
        pieces = [(e.addr, e.length) for e in elements]
        assert sum(n for _, n in pieces) == sqe.length
        assert sqe.count <= 16
        assert opcode is Opcode.DISCONNECT or sqe.length
        data = self._gather(pieces)
        fin = opcode is Opcode.DISCONNECT
        start, conn.end = conn.end, (conn.end + sqe.length + fin) & MASK32
        conn.sends.append(SendSlot(sqe, start, conn.end, fin, data, pieces))
        if not conn.running:
            conn.inherited += data
            return
        if data:
            conn.tcp.send(data, self.now)
        if fin:
            conn.tcp.close(self.now)

    def _reset(self, conn: FakeConn, sqe: Sqe, index: int) -> None:
        """An abortive disconnect: RST, then everything outstanding completes ABORTED."""
        tcp = conn.tcp
        flags = TcpFlag.RST | TcpFlag.ACK
        self._emit(Segment(tcp.local, tcp.remote, tcp.snd_max, tcp.rcv_nxt, flags, 0))
        tcp.aborted = conn.abort_told = conn.reset = True
        tcp.state = TcpConnectionState.CLOSED
        conn.abort = (sqe, index)

    def _abort_all(self, conn: FakeConn) -> bool:
        """What an abort completes and recycles, a part of it at a time."""
        if conn.sends:
            slot = conn.sends.popleft()
            done = signed(conn.tcp.snd_una - slot.start)
            self._complete(CqKind.SEND, slot.sqe, 0, Status.ABORTED, min(max(done, 0), len(slot.data)))
        elif conn.abort is not None:
            self._complete(CqKind.SEND, *conn.abort)
            conn.abort = None
        elif conn.requests and not conn.asking:
            self._receive_done(conn, Status.ABORTED)
        elif conn.pool and not conn.asking:
            self._pool_free.append(conn.pool.popleft().buf)
        else:
            return False
        return True

    def _gather(self, pieces: list[tuple[int, int]]) -> bytes:
        return b"".join(self.mem.read(addr, n) for addr, n in pieces)

    def _answer(self, conn: FakeConn, sqe: Sqe) -> None:
        assert conn.asking, "ANSWER without an indication"
        assert sqe.arg == conn.token, "ANSWER with another token"
        conn.asking = False
        node = conn.pool[0]
        assert sqe.length <= node.length, "ANSWER of more bytes than indicated"
        if sqe.length == node.length:
            conn.pool.popleft()
            return
        conn.pool[0] = replace(node, offset=node.offset + sqe.length, length=node.length - sqe.length)
        conn.refused = True

    # ---- connections

    def _emit(self, segment: Segment) -> None:
        ports = (segment.destination.port, segment.source.port)
        conn = next(c for c in self.conns.values() if (c.tcp.remote.port, c.tcp.local.port) == ports)
        path = self._paths[conn.image.path_id]
        neighbor = path.neighbor_id
        if conn.invalid or self._invalid & {(Object.PATH, conn.image.path_id), (Object.NEIGHBOR, neighbor)}:
            conn.suppressed = True
            return
        mac = self._neighbors[neighbor].dl_dst.to_bytes(6, "little")
        segment = replace(segment, destination=replace(segment.destination, mac=mac), ttl=conn.image.ttl)
        self._ip_id = 0x8000 | (self._ip_id + 1) & 0x7FFF
        self.out.append(encode(replace(segment, ip_id=self._ip_id)))

    def on_frame(self, frame: bytes) -> None:
        segment = decode(frame)
        for conn in self.conns.values():
            key = (conn.tcp.remote.port, conn.tcp.local.port)
            ports = None if segment is None else (segment.source.port, segment.destination.port)
            if segment is not None and conn.running and conn.terminate is None and ports == key:
                conn.tcp.on_segment(segment, self.now)
                return
        self._raw_in.append(frame)

    def on_tick(self, tick: int) -> None:
        self.now = tick
        for conn in self.conns.values():
            if conn.running and conn.terminate is None:
                conn.tcp.on_tick(tick)

    def next_deadline(self) -> int | None:
        running = [c for c in self.conns.values() if c.running and c.terminate is None]
        return min((d for c in running if (d := c.tcp.deadline()) is not None), default=None)

    def _work(self, conn: FakeConn) -> bool:
        progress = self._release(conn)
        if conn.reset:
            conn.tcp.received.clear()
            aborting = self._abort_all(conn)
            if aborting or conn.terminate is None:
                return progress or aborting
        if conn.running:
            progress |= self._fill_pool(conn)
        if not conn.asking and not conn.reset and (conn.terminate is not None or not conn.hold):
            progress |= self._deliver(conn)
        if conn.terminate is not None and not conn.asking:
            self._finish(conn)
            progress = True
        elif conn.tcp.aborted and not conn.abort_told:
            conn.abort_told = conn.reset = True
            self._event(conn, TcpEventType.ABORT)
            progress = True
        elif conn.suppressed and not conn.retrieve_told:
            conn.retrieve_told = True
            self._event(conn, TcpEventType.RETRIEVE, 9)
            progress = True
        elif conn.tcp.state is TcpConnectionState.TIME_WAIT and conn.running and not conn.retrieve_told:
            conn.retrieve_told = True
            self._event(conn, TcpEventType.RETRIEVE, 10)
        return progress

    def fault(self, number: int) -> None:
        """What FAULT does: the connection is lost, the host is asked to fetch it."""
        conn = self.conns[number]
        conn.tcp.aborted = conn.abort_told = True
        self._event(conn, TcpEventType.RETRIEVE, 11)

    def _event(self, conn: FakeConn, event: TcpEventType, info: int = 0) -> None:
        self._cq.append(Cqe(kind=CqKind.EVENT, conn=conn.number, gen=conn.gen, code=event, info=info))

    def _release(self, conn: FakeConn) -> bool:
        progress = False
        while conn.running and conn.sends:
            slot = conn.sends[0]
            done = (conn.tcp.snd_una - slot.end) & MASK32 < 1 << 31
            if not done or (slot.fin and not conn.tcp.fin_acked):
                break
            assert self._gather(slot.pieces) == slot.data, "a send buffer changed before its completion"
            conn.sends.popleft()
            if (slot.sqe.flags & 1 or slot.fin) and slot.sqe.flags != 5:
                self._complete(CqKind.SEND, slot.sqe, 0, Status.OK, len(slot.data))
            progress = True
        return progress

    def _fill_pool(self, conn: FakeConn) -> bool:
        progress = False
        while conn.tcp.received and self._pool_free:
            piece = bytes(conn.tcp.received[: self._rng.randint(1, 1460)])
            del conn.tcp.received[: len(piece)]
            index = self._pool_free.popleft()
            self.mem.write(self._pool(index), piece)
            conn.pool.append(LeftOver(buf=index, offset=0, length=len(piece)))
            progress = True
        return progress

    def _pool(self, index: int) -> int:
        return self._wide(Csr.POOL_BASE_LO) + index * POOL_BUF_BYTES

    def _deliver(self, conn: FakeConn) -> bool:
        progress = False
        while conn.requests:
            request = conn.requests[0]
            while conn.pool and conn.filled < request.length:
                node = conn.pool[0]
                n = min(node.length, request.length - conn.filled)
                data = self.mem.read(self._pool(node.buf) + node.offset, n)
                self.mem.write(request.addr + conn.filled, data)
                conn.filled += n
                if n == node.length:
                    self._pool_free.append(conn.pool.popleft().buf)
                else:
                    conn.pool[0] = replace(node, offset=node.offset + n, length=node.length - n)
            full = conn.filled == request.length
            if not full and (request.flags & 1 or conn.filled == 0):
                break
            self._receive_done(conn, Status.OK)
            progress = True
        frozen = conn.terminate is not None
        if conn.pool and not conn.requests and not conn.refused and not frozen:
            conn.token = (conn.token + 1) & 0xFFFF
            conn.asking = True
            node = conn.pool[0]
            self._cq.append(
                Cqe(
                    kind=CqKind.INDICATION,
                    conn=conn.number,
                    gen=conn.gen,
                    buf=node.buf,
                    offset=node.offset,
                    nbytes=node.length,
                    info=conn.token,
                )
            )
            return True
        if conn.tcp.peer_fin and not conn.pool and not conn.tcp.received and not conn.fin_told and not frozen:
            while conn.requests:
                self._receive_done(conn, Status.OK)
            conn.fin_told = True
            self._event(conn, TcpEventType.DISCONNECT)
            progress = True
        return progress

    def _receive_done(self, conn: FakeConn, status: Status) -> None:
        self._complete(CqKind.RECEIVE, conn.requests.popleft(), 0, status, conn.filled)
        conn.filled = 0

    def _finish(self, conn: FakeConn) -> None:
        assert conn.terminate is not None
        sqe, index = conn.terminate
        una = conn.tcp.snd_una if conn.running else conn.image.snd_una
        status = Status.ABORTED if conn.tcp.aborted else Status.UPLOAD
        while conn.sends:
            slot = conn.sends.popleft()
            acked = (una - slot.start) & MASK32
            done = 0 if acked >= 1 << 31 else min(acked, len(slot.data))
            if slot.sqe.flags != 5 or not slot.fin:
                self._complete(CqKind.SEND, slot.sqe, 0, status, done)
        while conn.requests:
            self._receive_done(conn, status)
        for i, node in enumerate(conn.pool, 1):
            self.mem.write(sqe.addr2 + 8 * i, node.to_bytes())
        if sqe.addr2:
            self.mem.write(sqe.addr2, LeftOver(buf=len(conn.pool)).to_bytes())
        if sqe.addr and self._terminate_status is Status.OK:
            self.mem.write(sqe.addr, self._image(conn).to_bytes())
        del self.conns[conn.number]
        self._complete(CqKind.COMMAND, sqe, index, self._terminate_status)

    def _image(self, conn: FakeConn) -> DelegatedImage:
        state = conn.tcp.snapshot(self.now)
        return DelegatedImage(
            state=state.state,
            rcv_nxt=state.rcv_nxt,
            rcv_wnd=state.rcv_wnd,
            snd_una=state.snd_una,
            snd_nxt=state.snd_nxt,
            snd_max=state.snd_max,
            snd_wnd=state.snd_wnd,
            max_snd_wnd=state.max_snd_wnd,
            snd_wl1=state.send_wl1,
            cwnd=state.c_wnd,
            ssthresh=state.ss_thresh,
            srtt=state.s_rtt,
            rttvar=state.rtt_var,
            ts_recent=state.ts_recent,
            ts_recent_age=state.ts_recent_age,
            ts_time=state.ts_time,
            rtx_count=state.retransmit.count,
            rtx_timeout_delta=state.retransmit.timeout_delta,
        )
