"""Unit test of the transmit cluster: every frame byte for byte against scapy, every completion, fault and record.

DUT = tx_top. A scenario is a list of transmit queue items with what must come of each; the bench is a read-only host
memory with latency, a wire, and sinks. One loop a clock: inputs are driven at the falling edge and handshakes sampled
when they have settled; they happen at the next rising edge. Buffers are overwritten as soon as their entry is popped.
"""

from __future__ import annotations

import ipaddress
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from model.layout.generated import (
    Cqe,
    CqKind,
    Object,
    Opcode,
    RecTx,
    SgElem,
    Status,
    TxAppend,
    TxBarrier,
    TxHdrConn,
    TxHdrNbr,
    TxHdrPath,
    TxKind,
    Txq,
    TxRecKind,
    TxRelease,
    TxSegment,
)

BASE = 0x1_2345_6000_0000  # first byte of the memory
SIZE = 1 << 22  # bytes of memory
GRANULE = 64  # bytes; read errors are injected by address
MAC = 0x0605_0403_0202  # interface MAC 02:02:03:04:05:06, byte 0 low
MASK32 = 0xFFFFFFFF
RAW_LOST = 0xFFFF  # connection in the record of a raw frame whose read failed
ACK, PSH, RST, FIN = 0x10, 0x08, 0x04, 0x01
ETHERTYPE = {4: 0x0800, 6: 0x86DD}
VLAN = 0x8100
LONGEST = 1538  # bytes of a frame with 1460 of payload, a tag and no options
EMIT_LATENCY = 8  # cycles from the last beat of a frame to the completion of an INVALIDATE


@dataclass
class Knobs:
    """Percentages of cycles in which a side is willing, and the memory's latency in cycles."""

    wire: int = 100
    memory: int = 100
    request: int = 100
    txq: int = 100
    sink: int = 100
    latency: tuple[int, int] = (4, 40)


@dataclass
class Read:
    """A read on its way."""

    client: str
    addr: int
    length: int
    due: int
    done: int = 0
    wasted: bool = False


@dataclass
class Entry:
    """A send-table entry as the test knows it."""

    start: int
    data: bytes
    end: int
    fin: int
    pieces: list[tuple[int, int]]
    list_addr: int
    readable: int  # bytes of the entry the list really names
    bad_list: bool
    cookie: int
    last: int
    opcode: int
    sq_index: int


@dataclass
class Conn:
    """A connection of the scenario; sequence numbers do not wrap here, the queue items carry them modulo 2^32."""

    gen: int
    base: int
    hdr: TxHdrConn
    una: int = 0
    nxt: int = 0
    end: int = 0
    fin: bool = False
    entries: deque[Entry] = field(default_factory=deque)  # not yet released by a token
    popped: deque[Entry] = field(default_factory=deque)  # released by a token, pop not seen


@dataclass
class Bar:
    """An INVALIDATE: from `offered` on frames of its object may be kept back, from `done` on they must."""

    item: int  # its BARRIER, packed
    cqe: Cqe
    offered: bool = False
    done: bool = False


@dataclass
class Sent:
    """A SEGMENT: what must leave, and the INVALIDATEs behind it that may keep it back."""

    order: int
    conn: int
    gen: int
    frame: bytes
    octets: int  # of its IP packet
    family: int  # of the connection
    fine: bool  # its payload can be read
    objects: frozenset[tuple[Object, int]]
    bars: list[Bar] = field(default_factory=list)
    left: bool = False

    def may_be_kept_back(self) -> bool:
        return not self.fine or any(bar.offered for bar in self.bars)


@dataclass
class Expect:
    """Everything that must come out, in order."""

    frames: deque[Sent] = field(default_factory=deque)
    records: deque[Sent] = field(default_factory=deque)
    bars: deque[Bar] = field(default_factory=deque)
    raw_records: deque[RecTx] = field(default_factory=deque)
    raw_frames: deque[bytes] = field(default_factory=deque)
    completions: deque[tuple[Cqe, int]] = field(default_factory=deque)  # with the records that must be out before
    raw_completions: deque[Cqe] = field(default_factory=deque)
    faults: deque[tuple[int, int]] = field(default_factory=deque)
    fences: dict[int, int] = field(default_factory=dict)  # conn: gen


class Bench:
    """Host memory, wire, sinks and the scenario."""

    def __init__(self, dut: Any, knobs: Knobs) -> None:
        self.dut, self.knobs = dut, knobs
        self.handles: dict[str, Any] = {}
        self.driven: dict[str, int] = {}
        self.rng = random.Random(int(cocotb.RANDOM_SEED))
        self.lanes = int(dut.DATA_W.value) // 8
        self.conns_n = int(dut.CONNS.value)
        self.sends_n = int(dut.SENDS.value)
        self.mem = bytearray(self.rng.randbytes(SIZE))
        self.top = 64
        self.bad: set[int] = set()
        self.queue: deque[int] = deque()  # transmit queue items, packed
        self.raws: deque[tuple[int, int, int, int]] = deque()
        self.reads: deque[Read] = deque()
        self.expect = Expect()
        self.conns: dict[int, Conn] = {}
        self.paths: dict[int, TxHdrPath] = {}
        self.nbrs: dict[int, TxHdrNbr] = {}
        self.cycle = 0
        self.offered: dict[str, bool] = {}
        self.segments = self.segments_out = self.raw_sent = self.records_out = 0
        self.kept_back = 0  # frames that could be read and were discarded
        self.bar_cycles: list[tuple[int, int]] = []  # INVALIDATE offered, completion taken
        self.bar_offered = 0
        self.fences_out = self.list_reads = self.stalled_reads = 0
        self.beat: list[tuple[int, int]] = []  # data and keep of the frame on the wire
        self.frame_ends: list[tuple[int, int]] = []  # cycle of the last beat, beats
        self.first_beat = -1
        self.held: tuple[int, int, int] | None = None
        self.cookie = 1

    # ---- scenario -------------------------------------------------------------------------------

    def alloc(self, data: bytes, align: int = 1) -> int:
        """A place in host memory with unused bytes in front of it."""
        self.top += self.rng.randrange(1, 70)
        self.top += -self.top % align
        addr = self.top
        self.mem[addr : addr + len(data)] = data
        self.top += len(data)
        assert self.top < SIZE, "the scenario is too long for the memory"
        return BASE + addr

    def isolate(self, wanted: bool) -> None:
        """What is allocated from here on shares no granule with what was allocated before."""
        if wanted:
            self.top += -self.top % GRANULE

    def spoil(self, addr: int, length: int) -> None:
        """Reads that touch these bytes fail."""
        self.bad |= set(range((addr - BASE) // GRANULE, (addr - BASE + length - 1) // GRANULE + 1))

    def is_bad(self, addr: int, length: int) -> bool:
        return any(g in self.bad for g in range((addr - BASE) // GRANULE, (addr - BASE + length - 1) // GRANULE + 1))

    def put(self, kind: TxKind, conn: int, gen: int, body: int) -> None:
        self.queue.append(Txq(kind=kind, conn=conn, gen=gen, body=body).pack())

    def path_write(self, path: int, nbr: int, family: int = 0) -> None:
        """A path of this family, 0: of any."""
        family = family or self.rng.choice((4, 6))
        bits = 32 if family == 4 else 128
        full = (1 << bits) - 1  # a large sum
        src, dst = (self.rng.choice((full, self.rng.getrandbits(bits), self.rng.getrandbits(bits))) for _ in range(2))
        body = TxHdrPath(neighbor_id=nbr, family=family, src_addr=src, dst_addr=dst)
        self.paths[path] = body
        self.put(TxKind.HDR_PATH, path, 0, body.pack())

    def nbr_write(self, nbr: int, vlan: int, own_mac: bool) -> None:
        body = TxHdrNbr(
            dl_src=0 if own_mac else self.rng.getrandbits(48), dl_dst=self.rng.getrandbits(48), vlan_id=vlan
        )
        self.nbrs[nbr] = body
        self.put(TxKind.HDR_NEIGHBOR, nbr, 0, body.pack())

    def open(self, conn: int, path: int, base: int | None = None) -> Conn:
        hdr = TxHdrConn(
            local_port=self.rng.getrandbits(16), remote_port=self.rng.getrandbits(16), path_id=path,
            family=self.paths[path].family, flow_label=self.rng.getrandbits(20),
        )  # fmt: skip
        self.conns[conn] = Conn(self.rng.getrandbits(8), self.rng.getrandbits(32) if base is None else base, hdr)
        self.put(TxKind.HDR_CONN, conn, self.conns[conn].gen, hdr.pack())
        return self.conns[conn]

    def append(
        self, conn: int, sizes: list[int], *, last: int = 1, fin: int = 0, bad_list: bool = False, cut: int = 0
    ) -> Entry:
        """An entry of elements of these sizes; `cut`: so many bytes are missing at the end of the list."""
        c = self.conns[conn]
        total = sum(sizes)
        data = self.rng.randbytes(total)
        pieces, at = [], 0
        for size in sizes:
            pieces.append((self.alloc(data[at : at + size]), size))
            at += size
        image = b"".join(SgElem(addr=addr, length=size).to_bytes() for addr, size in pieces)
        if cut:
            addr, size = pieces[-1]
            assert cut < size
            image = image[:-16] + SgElem(addr=addr, length=size - cut).to_bytes()
        list_addr = self.alloc(image, GRANULE) if sizes else 0
        if bad_list:
            self.isolate(True)
            self.spoil(list_addr, len(image))
        self.cookie += 1
        opcode = Opcode.DISCONNECT if fin else Opcode.SEND
        entry = Entry(
            c.end, data, c.end + total + fin, fin, pieces, list_addr, total - cut, bad_list,
            self.cookie, last, opcode, self.rng.getrandbits(16),
        )  # fmt: skip
        body = TxAppend(
            start_seq=self.wire_seq(c, entry.start), end_seq=self.wire_seq(c, entry.end), list_addr=list_addr,
            count=len(sizes), cookie=entry.cookie, last=last, fin=fin, opcode=opcode, sq_index=entry.sq_index,
        )  # fmt: skip
        self.put(TxKind.APPEND, conn, c.gen, body.pack())
        c.end, c.fin = entry.end, bool(fin)
        c.entries.append(entry)
        return entry

    @staticmethod
    def wire_seq(c: Conn, offset: int) -> int:
        return (c.base + offset) & MASK32

    def segment(
        self, conn: int, at: int, length: int, *, flags: int = ACK, ts: bool = False, prio: int = 0, blocks: int = 0
    ) -> bool:
        """A SEGMENT of bytes [at, at+length) of the connection's stream with so many SACK blocks.

        Returns whether it will leave.
        """
        c, rng = self.conns[conn], self.rng
        near = rng.choice((0, 0xFFFF0000))  # edges anywhere, or about to wrap: a large sum
        left, right = (sum((rng.getrandbits(32) | near) << 32 * i for i in range(blocks)) for _ in range(2))
        seg = TxSegment(
            seq=self.wire_seq(c, at), len=length, flags=flags, ack=rng.getrandbits(32), wnd=rng.getrandbits(16),
            ts_en=int(ts), tsval=rng.getrandbits(32) if ts else 0, tsecr=rng.getrandbits(32) if ts else 0,
            ttl=rng.randrange(1, 256), tos=rng.getrandbits(8), user_priority=prio,
            sack_n=blocks, sack_left=left, sack_right=right,
        )  # fmt: skip
        self.put(TxKind.SEGMENT, conn, c.gen, seg.pack())
        payload, fine = b"", True
        for e in c.entries:
            first, until = max(at, e.start), min(at + length, e.end - e.fin)
            if first >= until:
                continue
            payload += e.data[first - e.start : until - e.start]
            fine &= not e.bad_list and until - e.start <= e.readable
            pos = e.start
            for addr, size in e.pieces:
                low, high = max(first, pos), min(until, pos + size)
                if low < high:
                    fine &= not self.is_bad(addr + low - pos, high - low)
                pos += size
        assert len(payload) == length, "the scenario sends bytes it does not have"
        packet = self.packet(c, seg, payload)
        frame = self.link(c, seg, packet)
        path = c.hdr.path_id
        nbr = self.paths[path].neighbor_id
        objects = frozenset({(Object.CONNECTION, conn), (Object.PATH, path), (Object.NEIGHBOR, nbr)})
        sent = Sent(self.segments, conn, c.gen, frame, len(packet), c.hdr.family, fine, objects)
        self.expect.records.append(sent)
        if fine:
            self.expect.frames.append(sent)
        else:
            self.expect.faults.append((conn, c.gen))
        self.segments += 1
        return fine

    def link(self, c: Conn, seg: TxSegment, packet: bytes) -> bytes:
        """The frame of an IP packet as scapy builds it, padded."""
        path = self.paths[c.hdr.path_id]
        nbr = self.nbrs[path.neighbor_id]
        mac = (nbr.dl_src or MAC).to_bytes(6, "little").hex(":")
        header: Any = Ether(dst=nbr.dl_dst.to_bytes(6, "little").hex(":"), src=mac, type=ETHERTYPE[path.family])
        if nbr.vlan_id or seg.user_priority:
            header.type = VLAN
            header /= Dot1Q(vlan=nbr.vlan_id, prio=seg.user_priority, type=ETHERTYPE[path.family])
        return (bytes(header) + packet).ljust(60, b"\0")

    def packet(self, c: Conn, seg: TxSegment, payload: bytes) -> bytes:
        """The IP packet as scapy builds it."""
        path = self.paths[c.hdr.path_id]
        address = ipaddress.IPv4Address if path.family == 4 else ipaddress.IPv6Address
        src, dst = str(address(path.src_addr)), str(address(path.dst_addr))
        packet: Any
        if path.family == 4:
            number = 0x8000 | (self.segments & 0x7FFF)
            packet = IP(src=src, dst=dst, tos=seg.tos, ttl=seg.ttl, flags="DF", id=number)
        else:
            packet = IPv6(src=src, dst=dst, tc=seg.tos, fl=c.hdr.flow_label, hlim=seg.ttl)
        nops: list[tuple[str, Any]] = [("NOP", None), ("NOP", None)]
        options = [*nops, ("Timestamp", (seg.tsval, seg.tsecr))] if seg.ts_en else []
        if seg.sack_n:
            edges = ((seg.sack_left >> 32 * i & MASK32, seg.sack_right >> 32 * i & MASK32) for i in range(seg.sack_n))
            options += [*nops, ("SAck", tuple(edge for block in edges for edge in block))]
        packet /= TCP(
            sport=c.hdr.local_port, dport=c.hdr.remote_port, seq=seg.seq, ack=seg.ack, flags=seg.flags,
            window=seg.wnd, options=options,
        )  # fmt: skip
        return bytes(packet / Raw(payload))

    def release(
        self, conn: int, una: int, status: Status | None = None, *, fence: bool = True, reset: bool = False
    ) -> None:
        """RELEASE, or with a status FENCE; expects the completions.

        Not `fence`: the RELEASE of an abort; `reset`: an abortive DISCONNECT completes with it.
        """
        c = self.conns[conn]
        c.una = max(c.una, una)
        fence = fence and status is not None
        cookie, sq_index = (self.rng.getrandbits(64), self.rng.getrandbits(16)) if reset else (0, 0)
        body = TxRelease(
            una=self.wire_seq(c, una), status=Status.OK if status is None else status, cpl=int(reset), cookie=cookie,
            sq_index=sq_index,
        )  # fmt: skip
        before = self.segments
        while c.entries and (c.entries[0].end <= una or status is not None):
            e = c.entries.popleft()
            ok = e.end <= una
            if e.last or (not ok and not e.fin):
                done = max(0, min(una, e.end - e.fin) - e.start)
                cqe = Cqe(
                    kind=CqKind.SEND, code=e.opcode, status=Status.OK if ok else status or 0, conn=conn, gen=c.gen,
                    cookie=e.cookie, nbytes=done, sq_index=e.sq_index,
                )  # fmt: skip
                self.expect.completions.append((cqe, before))
            c.popped.append(e)
        if reset:
            cqe = Cqe(
                kind=CqKind.SEND, code=Opcode.DISCONNECT, status=Status.OK, conn=conn, gen=c.gen, cookie=cookie,
                sq_index=sq_index,
            )  # fmt: skip
            self.expect.completions.append((cqe, before))
        if fence:
            self.expect.fences[conn] = c.gen
        self.put(TxKind.FENCE if fence else TxKind.RELEASE, conn, c.gen, body.pack())

    def invalidate(self, what: Object, number: int, gen: int = 0) -> None:
        """An INVALIDATE: ahead of the queue, and its BARRIER behind the frames that it keeps back."""
        cookie, sq_index = self.rng.getrandbits(64), self.rng.getrandbits(16)
        cqe = Cqe(
            kind=CqKind.COMMAND, code=Opcode.INVALIDATE, status=Status.OK, conn=number, gen=gen, cookie=cookie,
            sq_index=sq_index,
        )  # fmt: skip
        body = TxBarrier(cookie=cookie, sq_index=sq_index, opcode=Opcode.INVALIDATE, object=what).pack()
        bar = Bar(Txq(kind=TxKind.BARRIER, conn=number, gen=gen, body=body).pack(), cqe)
        for sent in self.expect.records:
            if (what, number) in sent.objects:
                sent.bars.append(bar)
        self.expect.bars.append(bar)
        self.put(TxKind.BARRIER, number, gen, body)

    def invalidate_connection(self, conn: int) -> None:
        self.invalidate(Object.CONNECTION, conn, self.conns[conn].gen)

    def raw(self, length: int, bad: bool = False) -> None:
        data = self.rng.randbytes(length)
        self.isolate(bad)
        addr = self.alloc(data)
        self.isolate(bad)
        if bad:
            self.spoil(addr + self.rng.randrange(length), 1)
        self.cookie += 1
        index = self.rng.getrandbits(16)
        self.raws.append((addr, length, self.cookie, index))
        status = Status.READ_ERROR if bad else Status.OK
        self.expect.raw_completions.append(
            Cqe(kind=CqKind.RAW_TX, code=Opcode.RAW_SEND, status=status, cookie=self.cookie, sq_index=index)
        )
        kind, conn = (TxRecKind.DISCARDED, RAW_LOST) if bad else (TxRecKind.RAW, 0)
        self.expect.raw_records.append(RecTx(kind=kind, order=self.raw_sent, conn=conn, len=length))
        if not bad:
            self.expect.raw_frames.append(data)
        self.raw_sent += 1

    # ---- clocked part ---------------------------------------------------------------------------

    async def start(self) -> None:
        dut = self.dut
        Clock(dut.clk, 10, unit="ns").start()
        dut.rst.value = 1
        dut.mac_addr.value = MAC
        for name in ("s_txq_valid", "s_txq", "s_bar_valid", "s_bar", "m_barcpl_ready",
                     "s_raw_valid", "s_raw_addr", "s_raw_len", "s_raw_cookie",
                     "s_raw_sq_index", "m_lrd_req_ready", "m_prd_req_ready", "m_axis_tx_tready", "m_scpl_ready",
                     "m_rawcpl_ready", "m_fdone_ready", "m_fault_ready"):  # fmt: skip
            getattr(dut, name).value = 0
        for client in ("lrd", "prd"):
            for name in ("valid", "data", "last", "bytes", "error"):
                getattr(dut, f"s_{client}_{name}").value = 0
        for _ in range(4):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        self.sinks = ("m_scpl", "m_rawcpl", "m_barcpl", "m_fdone", "m_fault")

    def handle(self, name: str) -> Any:
        """A port; looked up once."""
        found = self.handles.get(name)
        if found is None:
            found = self.handles[name] = getattr(self.dut, name)
        return found

    def get(self, name: str) -> int:
        return int(self.handle(name).value)

    def put_in(self, name: str, value: int) -> None:
        """Drive an input; nothing is done when it has the value already."""
        if self.driven.get(name) != value:
            self.driven[name] = value
            self.handle(name).value = value

    def chance(self, percent: int) -> bool:
        return percent >= 100 or self.rng.randrange(100) < percent

    def drive(self) -> None:
        """Inputs of this cycle."""
        k = self.knobs
        if self.queue and (self.offered.get("txq") or self.chance(k.txq)):
            if not self.offered.get("txq"):
                self.put_in("s_txq", self.queue[0])
            self.offered["txq"] = True
        self.put_in("s_txq_valid", int(self.offered.get("txq", False)))
        bars = self.expect.bars
        if bars and not bars[0].offered:
            bars[0].offered = True
            self.bar_offered = self.cycle
            self.put_in("s_bar", bars[0].item)
        self.put_in("s_bar_valid", int(bool(bars)))
        if self.raws and (self.offered.get("raw") or self.chance(k.txq)):
            for name, value in zip(("addr", "len", "cookie", "sq_index"), self.raws[0], strict=True):
                self.put_in(f"s_raw_{name}", value)
            self.offered["raw"] = True
        self.put_in("s_raw_valid", int(self.offered.get("raw", False)))
        for client in ("lrd", "prd"):
            self.put_in(f"m_{client}_req_ready", int(self.chance(k.request)))
        self.put_in("m_axis_tx_tready", int(self.chance(k.wire)))
        for sink in self.sinks:
            self.put_in(f"{sink}_ready", int(self.chance(k.sink)))
        self.drive_read()

    def drive_read(self) -> None:
        """One beat of the oldest read; an unaligned read costs one cycle more, as it does in `dma`."""
        read = self.reads[0] if self.reads else None
        if read is not None and not self.offered.get("read"):
            if self.cycle < read.due or not self.chance(self.knobs.memory):
                read = None
            elif read.addr % self.lanes + read.length > self.lanes and read.addr % self.lanes and not read.wasted:
                read.wasted = True
                read = None
        self.offered["read"] = read is not None
        for client in ("lrd", "prd"):
            self.put_in(f"s_{client}_valid", int(read is not None and read.client == client))
        if read is None:
            return
        left = read.length - read.done
        size = min(left, self.lanes)
        at = read.addr - BASE + read.done
        last = left <= self.lanes
        junk = self.rng.randbytes(self.lanes - size)
        word = int.from_bytes(bytes(self.mem[at : at + size]) + junk, "little")
        error = self.is_bad(read.addr, read.length) if last else self.rng.getrandbits(1)
        for name, value in (("data", word), ("bytes", size), ("last", int(last)), ("error", int(error))):
            self.put_in(f"s_{read.client}_{name}", value)

    def sample(self) -> None:
        """Handshakes of this cycle."""
        if self.offered.get("txq") and self.get("s_txq_ready"):
            self.queue.popleft()
            self.offered["txq"] = False
        if self.offered.get("raw") and self.get("s_raw_ready"):
            self.raws.popleft()
            self.offered["raw"] = False
        if self.offered.get("read"):
            read = self.reads[0]
            if self.get(f"s_{read.client}_ready"):
                read.done += self.lanes
                self.offered["read"] = False
                if read.done >= read.length:
                    self.reads.popleft()
            else:
                self.stalled_reads += 1
        for client in ("lrd", "prd"):
            if self.get(f"m_{client}_req_valid") and self.get(f"m_{client}_req_ready"):
                addr = self.get(f"m_{client}_req_addr")
                length = self.get(f"m_{client}_req_len")
                assert 1 <= length <= 16384
                assert BASE <= addr <= BASE + SIZE - length, f"{client} read of {length} at {addr:#x}"
                due = self.cycle + self.rng.randint(*self.knobs.latency)
                self.reads.append(Read(client, addr, length, due))
                self.list_reads += client == "lrd"
        self.sample_wire()
        self.sample_sinks()

    def sample_wire(self) -> None:
        if not self.get("m_axis_tx_tvalid"):
            assert self.held is None, "tvalid fell before tready"
            return
        now = (self.get("m_axis_tx_tdata"), self.get("m_axis_tx_tkeep"), self.get("m_axis_tx_tlast"))
        assert self.held in (None, now), "the wire changed while it waited"
        if not self.get("m_axis_tx_tready"):
            self.held = now
            return
        self.held = None
        data, keep, last = now
        if self.first_beat < 0:
            self.first_beat = self.cycle
        full = (1 << self.lanes) - 1
        assert keep == full or (last and keep & (keep + 1) == 0 and keep), f"keep {keep:#x}"
        self.beat.append((data, keep))
        if not last:
            return
        frame = b"".join(d.to_bytes(self.lanes, "little")[: k.bit_count()] for d, k in self.beat)
        self.frame_ends.append((self.cycle, len(self.beat)))
        self.beat = []
        x = self.expect
        if x.raw_frames and frame == x.raw_frames[0]:
            x.raw_frames.popleft()
        else:
            while x.frames and x.frames[0].frame != frame and x.frames[0].may_be_kept_back():
                x.frames.popleft()
            assert x.frames, f"a frame that nobody expects: {frame.hex()}"
            want = x.frames.popleft()
            assert frame == want.frame, f"frame\n{frame.hex()}\nexpected\n{want.frame.hex()}"
            assert not any(bar.done for bar in want.bars), "a frame behind the completion of its object's INVALIDATE"
            want.left = True

    def sample_sinks(self) -> None:
        x = self.expect
        if self.get("rec_tx_valid"):
            rec = RecTx.unpack(self.get("rec_tx"))
            if x.raw_records and rec == x.raw_records[0]:
                x.raw_records.popleft()
                assert not self.get("stat_valid"), "raw frames are not of the offloaded connections"
            else:
                self.sample_record(rec)
            self.records_out += 1
            counted = [self.get(pulse) for pulse in ("cnt_seg", "cnt_raw", "cnt_disc")]
            assert counted == [int(rec.kind == n) for n in range(3)]
        else:
            assert not self.get("stat_valid")
        if self.get("pop_pulse"):
            e = self.conns[self.get("pop_conn")].popped.popleft()
            for addr, size in (*e.pieces, (e.list_addr, 16 * len(e.pieces))):
                self.mem[addr - BASE : addr - BASE + size] = self.rng.randbytes(size)
        if self.get("m_scpl_valid") and self.get("m_scpl_ready"):
            cqe = Cqe.unpack(self.get("m_scpl"))
            assert x.completions, f"a completion that nobody expects: {cqe}"
            turn = next((n for n, (due, _) in enumerate(x.completions) if due.conn == cqe.conn), 0)
            want_cqe, before = x.completions[turn]  # in order for each connection
            del x.completions[turn]
            assert cqe == want_cqe, f"{cqe}\nexpected {want_cqe}"
            assert self.segments_out >= before, "completed before an earlier segment left"
        if self.get("m_barcpl_valid") and self.get("m_barcpl_ready"):
            bar = x.bars.popleft()
            assert Cqe.unpack(self.get("m_barcpl")) == bar.cqe
            assert self.get("s_bar_ready"), "taken with its completion"
            bar.done = True
            self.bar_cycles.append((self.bar_offered, self.cycle))
        if self.get("m_rawcpl_valid") and self.get("m_rawcpl_ready"):
            assert Cqe.unpack(self.get("m_rawcpl")) == x.raw_completions.popleft()
        if self.get("m_fault_valid") and self.get("m_fault_ready"):
            assert (self.get("m_fault_conn"), self.get("m_fault_gen")) == x.faults.popleft()
        if self.get("m_fdone_valid") and self.get("m_fdone_ready"):
            conn = self.get("m_fdone_conn")
            assert self.get("m_fdone_gen") == x.fences.pop(conn), "a fence that nobody expects"
            assert all(due.conn != conn for due, _ in x.completions), "fence done before its completions were taken"
            self.fences_out += 1

    def sample_record(self, rec: RecTx) -> None:
        """A SEGMENT left, or was discarded: kept back by an INVALIDATE, or not to be read."""
        assert self.expect.records, f"a record that nobody expects: {rec}"
        sent = self.expect.records.popleft()
        kind = TxRecKind.SEGMENT if sent.left else TxRecKind.DISCARDED
        want = RecTx(kind=kind, order=sent.order, conn=sent.conn, len=len(sent.frame))
        assert rec == want, f"{rec}, expected {want}"
        told = (self.get("stat_valid"), self.get("stat_octets"), self.get("stat_ipv6"))
        assert told == (1, sent.octets, int(sent.family == 6)), f"statistics {told} of {sent}"
        self.segments_out += 1
        if not sent.left:
            assert sent.may_be_kept_back(), f"nobody asked to keep {rec} back"
            if sent.fine:
                self.kept_back += 1
                if sent in self.expect.frames:
                    self.expect.frames.remove(sent)

    def done(self) -> bool:
        x = self.expect
        left = (self.queue, x.bars, self.raws, self.reads, x.frames, x.records, x.raw_records, x.raw_frames,
                x.completions, x.raw_completions, x.faults, x.fences)  # fmt: skip
        return not any(left)

    async def step(self) -> None:
        self.drive()
        await ReadOnly()
        self.sample()
        await FallingEdge(self.dut.clk)
        self.cycle += 1

    async def run(self, limit: int) -> None:
        """Until everything expected has come, then a while longer to see that nothing else does."""
        end = self.cycle + limit
        while not self.done():
            await self.step()
            assert self.cycle < end, f"stuck: {len(self.queue)} items, {self.expect}"
        for _ in range(60):
            await self.step()
        assert int(self.dut.idle.value) == 1, "not idle at the end"
        assert not any(c.popped for c in self.conns.values()), "entries were not popped"
        assert self.done()

    def utilisation(self, skip: int) -> float:
        """Beats over cycles between the ends of two frames."""
        ends = self.frame_ends[skip:]
        return sum(beats for _, beats in ends[1:]) / (ends[-1][0] - ends[0][0])


def random_sizes(rng: random.Random, most: int) -> list[int]:
    """Sizes of list elements, from single bytes to pages."""
    count = rng.choice((1, 1, 2, 3, 5, 16))
    return [rng.choice((1, 2, 3, 7, 16, 64, rng.randrange(1, 200), rng.randrange(1, most))) for _ in range(count)]


def set_up(bench: Bench, conns: int) -> list[int]:
    """Neighbors, paths and `conns` open connections with random numbers."""
    rng = bench.rng
    for nbr in range(4):
        bench.nbr_write(nbr, vlan=rng.choice((0, rng.randrange(1, 4095))), own_mac=rng.random() < 0.5)
    for path in range(8):
        bench.path_write(path, rng.randrange(4))
    ids = rng.sample(range(bench.conns_n), conns)
    for conn in ids:
        # some streams cross 2^32 early
        bench.open(conn, rng.randrange(8), base=rng.choice((rng.getrandbits(32), (1 << 32) - rng.randrange(3000))))
    return ids


def random_step(bench: Bench, conn: int, bad_percent: int) -> None:
    """One thing tcp_engine could do with this connection."""
    c, rng = bench.conns[conn], bench.rng
    data_end = c.end - int(c.fin)
    ts, prio = rng.random() < 0.5, rng.choice((0, 0, rng.randrange(8)))
    mss = 1448 if ts else 1460
    held = len(c.entries) + len(c.popped)
    bad = rng.randrange(100) < bad_percent
    pick = rng.randrange(100)
    if pick < 30 and not c.fin and held < bench.sends_n:
        if pick == 0:
            sizes = random_sizes(rng, 600) if rng.random() < 0.5 else []
            bench.append(conn, sizes, fin=1)
            return
        sizes = random_sizes(rng, 3000)
        cut = rng.randrange(1, sizes[-1]) if bad and pick < 8 and sizes[-1] > 1 else 0
        bench.isolate(bad)
        entry = bench.append(conn, sizes, last=int(rng.random() < 0.7), bad_list=bad and 8 <= pick < 16, cut=cut)
        bench.isolate(bad)
        if bad and pick >= 16:
            addr, size = rng.choice(entry.pieces)
            bench.spoil(addr + rng.randrange(size), 1)
    elif pick < 70 and c.nxt < data_end:
        length = min(data_end - c.nxt, rng.choice((mss, mss, rng.randrange(1, 65), rng.randrange(1, mss + 1))))
        fin = int(c.fin and c.nxt + length == data_end)
        bench.segment(conn, c.nxt, length, flags=ACK | FIN * fin | rng.choice((0, PSH)), ts=ts, prio=prio)
        c.nxt += length + fin
    elif pick < 72 and c.fin and c.nxt == data_end:
        bench.segment(conn, c.nxt, 0, flags=ACK | FIN, ts=ts, prio=prio)
        c.nxt += 1
    elif pick < 80 and min(c.nxt, data_end) > c.una:  # a retransmission from any place not acknowledged
        at = rng.choice((c.una, rng.randrange(c.una, min(c.nxt, data_end))))
        length = min(min(c.nxt, data_end) - at, rng.choice((mss, rng.randrange(1, mss + 1))))
        bench.segment(conn, at, length, ts=ts, prio=prio)
    elif pick < 86:
        bench.segment(conn, c.nxt, 0, ts=ts, prio=prio, blocks=rng.randrange(4 if ts else 5))
    elif c.nxt > c.una:
        bench.release(conn, rng.choice((c.nxt, rng.randrange(c.una, c.nxt + 1))))


async def random_traffic(bench: Bench, items: int, bad_percent: int, raw_percent: int) -> None:
    """Connections in random order, fed while the DUT works; some are fenced and opened again."""
    rng = bench.rng
    await bench.start()
    ids = set_up(bench, min(6, bench.conns_n))
    for _ in range(items):
        while len(bench.queue) > 12:
            await bench.step()
        action = rng.randrange(200)
        conn = rng.choice(ids)
        if action == 0:
            bench.nbr_write(rng.randrange(4), vlan=rng.choice((0, 5)), own_mac=rng.random() < 0.5)
        elif action == 1:
            bench.path_write(rng.randrange(8), rng.randrange(4))
        elif action in (4, 5, 6):
            what = rng.choice(list(Object))
            if what == Object.CONNECTION:
                bench.invalidate_connection(conn)
            else:
                bench.invalidate(what, rng.randrange(8 if what == Object.PATH else 4))
        elif action in (2, 3):
            una = rng.randint(bench.conns[conn].una, bench.conns[conn].nxt)
            aborted = rng.random() < 0.5
            if aborted:
                bench.release(conn, una, Status.ABORTED, fence=False, reset=rng.random() < 0.5)
            bench.release(conn, una, Status.ABORTED if aborted else Status.UPLOAD)
            while conn in bench.expect.fences or bench.conns[conn].popped:
                await bench.step()
                assert bench.cycle < 1_000_000, "a fence is lost"
            bench.open(conn, rng.randrange(8))
        else:
            random_step(bench, conn, bad_percent)
        if rng.randrange(100) < raw_percent:
            bench.raw(
                rng.choice((14, 59, 60, 61, 1514, 1522, rng.randrange(14, 1523))), rng.randrange(100) < bad_percent
            )
    for conn in ids:
        bench.release(conn, bench.conns[conn].nxt, Status.UPLOAD)
    await bench.run(limit=400_000)
    bench.dut._log.info(
        "DATA_W %d: %d items, %d segments, %d raw, %d records, %d list reads, %d cycles, %d stalled read beats",
        8 * bench.lanes, items, bench.segments, bench.raw_sent, bench.records_out, bench.list_reads, bench.cycle,
        bench.stalled_reads,
    )  # fmt: skip


async def with_a_path_of_each_kind(dut: Any) -> Bench:
    """A bench with an IPv4 and an IPv6 path to a neighbor in no VLAN (0, 2) and to one in VLAN 77 (1, 3)."""
    bench = Bench(dut, Knobs())
    await bench.start()
    bench.nbr_write(0, vlan=0, own_mac=True)
    bench.nbr_write(1, vlan=77, own_mac=False)
    for path in range(4):
        bench.path_write(path, path % 2, family=4 if path < 2 else 6)
    return bench


@cocotb.test()
async def one_segment_of_each_shape_and_family_leaves_as_scapy_builds_it(dut: Any) -> None:
    bench = await with_a_path_of_each_kind(dut)
    for conn in range(4):
        bench.open(conn, path=conn)
        bench.append(conn, [4000, 1, 1, 3000, 4000])
        for ts in (False, True):
            for prio in (0, 5):
                for length in (0, 1, 5, 6, 7, 64, 511, 1448):
                    bench.segment(conn, bench.rng.randrange(9000), length, ts=ts, prio=prio)
        bench.release(conn, bench.conns[conn].end)
    await bench.run(limit=20_000)


@cocotb.test()
async def acknowledgments_with_sack_blocks_leave_as_scapy_builds_them_m4(dut: Any) -> None:
    bench = await with_a_path_of_each_kind(dut)
    for conn in range(4):
        bench.open(conn, path=conn)
        bench.append(conn, [4000])
        for ts in (False, True):
            for blocks in (1, 2, 3, 3) if ts else (1, 2, 3, 4, 4, 4, 4):
                bench.segment(conn, 100, 0, ts=ts, blocks=blocks)
                bench.segment(conn, 700, 33, ts=ts)  # what follows has no block left over
        bench.release(conn, bench.conns[conn].end)
    await bench.run(limit=20_000)


@cocotb.test()
async def random_traffic_without_stalls_is_exact(dut: Any) -> None:
    await random_traffic(Bench(dut, Knobs(latency=(3, 10))), items=350, bad_percent=0, raw_percent=5)


@cocotb.test()
async def random_traffic_with_stalls_everywhere_is_exact(dut: Any) -> None:
    knobs = Knobs(wire=60, memory=70, request=50, txq=70, sink=30, latency=(1, 60))
    await random_traffic(Bench(dut, knobs), items=300, bad_percent=0, raw_percent=10)


@cocotb.test()
async def read_errors_discard_the_frame_raise_a_fault_and_leak_nothing(dut: Any) -> None:
    knobs = Knobs(wire=80, sink=50, latency=(1, 40))
    await random_traffic(Bench(dut, knobs), items=350, bad_percent=25, raw_percent=10)


async def aborts(dut: Any, knobs: Knobs) -> None:
    """Connections with every kind of entry are aborted, with and without an own DISCONNECT, then fenced."""
    bench = Bench(dut, knobs)
    await bench.start()
    ids = set_up(bench, min(4, bench.conns_n))
    for n, conn in enumerate(ids):
        c = bench.conns[conn]
        for _ in range(min(4, bench.sends_n) - 1):
            bench.append(conn, [100, 60], last=bench.rng.randrange(2))
        fin = n % 2
        bench.append(conn, [50], fin=fin)
        bench.segment(conn, 0, c.end - fin, flags=ACK | FIN * fin)
        bench.release(conn, 160)
    bench.raw(200)
    # the first two were reset by their peer, in the middle of an entry and before any; the others reset it
    una = [200, 160, 170, bench.conns[ids[-1]].end]
    for n, conn in enumerate(ids):
        if n >= 2:
            bench.segment(conn, bench.conns[conn].end, 0, flags=ACK | RST, ts=n == 3)
        bench.release(conn, una[n], Status.ABORTED, fence=False, reset=n >= 2)
        assert not bench.conns[conn].entries, "an abort leaves nothing behind"
    await bench.run(limit=20_000)
    # nothing is left for the fence, which may end an abortive DISCONNECT itself
    for n, conn in enumerate(ids):
        bench.release(conn, una[n], Status.ABORTED, reset=n == 1)
    await bench.run(limit=20_000)
    # the table is used again from the place where it stands; the fence sweeps, the DISCONNECT is the last
    for conn in ids:
        bench.open(conn, 0)
        c = bench.conns[conn]
        for size in range(1, bench.sends_n + 1):
            bench.append(conn, [40 * size], last=size % 2)
        bench.segment(conn, 0, 1000 if c.end > 1000 else c.end)
        bench.release(conn, 50, Status.ABORTED, reset=True)
    # aborts of empty tables, one a connection on its way
    await bench.run(limit=20_000)
    for _ in range(4):
        for conn in ids:
            bench.release(conn, bench.conns[conn].una, Status.ABORTED, fence=False, reset=True)
        await bench.run(limit=20_000)


@cocotb.test()
async def a_fin_that_came_with_the_connection_leaves_and_never_completes_b6(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(3, 10)))
    await bench.start()
    ids = set_up(bench, min(4, bench.conns_n))
    for conn in ids:
        bench.append(conn, [100], last=1)
        bench.append(conn, [], last=0, fin=1)
        bench.segment(conn, 0, 100, flags=ACK | FIN)
    # acknowledged by a release or with the fence; never acknowledged, by an abort or with the fence
    ends: tuple[tuple[int, Status | None, bool], ...] = (
        (101, None, True), (101, Status.UPLOAD, True), (100, Status.ABORTED, False), (100, Status.UPLOAD, True),
    )  # fmt: skip
    for conn, (una, status, fence) in zip(ids, ends, strict=False):
        bench.release(conn, una, status, fence=fence)
        assert not bench.conns[conn].entries
    assert len(bench.expect.completions) == len(ids), "of the SENDs only"
    await bench.run(limit=20_000)


@cocotb.test()
async def an_abort_completes_every_entry_and_its_disconnect_last(dut: Any) -> None:
    await aborts(dut, Knobs(latency=(3, 10)))


@cocotb.test()
async def an_abort_with_stalls_everywhere_is_exact(dut: Any) -> None:
    await aborts(dut, Knobs(wire=60, memory=70, request=50, txq=70, sink=15, latency=(1, 60)))


async def invalidates(dut: Any, knobs: Knobs) -> None:
    """INVALIDATEs behind frames of others, behind entries of the connection itself, and several in a row."""
    bench = Bench(dut, knobs)
    await bench.start()
    ids = set_up(bench, min(4, bench.conns_n))
    for conn in ids:
        bench.append(conn, [500, 960], last=1)
        bench.append(conn, [300], last=0)
        bench.segment(conn, 0, 1460)
        bench.invalidate_connection(conn)
        bench.segment(conn, 1460, 300)
        bench.release(conn, 1460)
    bench.raw(1000)
    for what, number in ((Object.PATH, 0), (Object.PATH, 7), (Object.NEIGHBOR, 1), (Object.NEIGHBOR, 3)):
        bench.invalidate(what, number)
    await bench.run(limit=20_000)
    # the entries are all still there
    for conn in ids:
        bench.segment(conn, 1460, 300)
        bench.release(conn, 1760, Status.UPLOAD)
        bench.invalidate_connection(conn)
    await bench.run(limit=20_000)


@cocotb.test()
async def an_invalidate_takes_no_entry_and_holds_up_nobody_else_ch_092(dut: Any) -> None:
    await invalidates(dut, Knobs(latency=(3, 10)))


@cocotb.test()
async def invalidates_with_stalls_everywhere_keep_their_order(dut: Any) -> None:
    await invalidates(dut, Knobs(wire=40, memory=70, request=50, txq=70, sink=15, latency=(1, 60)))


@cocotb.test()
async def an_invalidate_waits_for_the_frame_on_the_wire(dut: Any) -> None:
    bench = Bench(dut, Knobs(wire=0, latency=(3, 3)))
    await bench.start()
    (conn,) = set_up(bench, 1)
    bench.append(conn, [1000])
    bench.segment(conn, 0, 1000)
    while not bench.get("m_axis_tx_tvalid"):
        await bench.step()
    bench.invalidate_connection(conn)
    for _ in range(500):
        await bench.step()
    assert len(bench.expect.bars) == 1, "the frame stands at the wire, the INVALIDATE behind it"
    bench.knobs.wire = 100
    bench.release(conn, 1000)
    await bench.run(limit=2000)
    assert bench.kept_back == 0


@cocotb.test()
async def an_invalidate_takes_as_long_as_the_frame_on_the_wire_whatever_is_queued_ch_092(dut: Any) -> None:
    """Object, other traffic in front; the frames kept back are those of the object, and of nothing else."""
    for what in Object:
        for others in (False, True):
            bench = Bench(dut, Knobs(latency=(3, 10)))
            await bench.start()
            ids = set_up(bench, 4 if others else 1)
            for conn in ids:
                bench.append(conn, [1460] * 4)
            for n in range(4):
                for conn in ids:
                    bench.segment(conn, 1460 * n, 1460)
            while not bench.frame_ends:
                await bench.step()
            path = bench.conns[ids[0]].hdr.path_id
            number = {
                Object.CONNECTION: ids[0], Object.PATH: path, Object.NEIGHBOR: bench.paths[path].neighbor_id,
            }[what]  # fmt: skip
            bench.invalidate(what, number)
            hit = sum((what, number) in sent.objects for sent in bench.expect.frames)
            for conn in ids:
                bench.release(conn, 1460)
                bench.segment(conn, 4 * 1460 - 1, 1)  # behind the BARRIER: leaves
            await bench.run(limit=20_000)
            ((offered, completed),) = bench.bar_cycles
            frame = -(-LONGEST // bench.lanes)
            assert completed - offered <= frame + EMIT_LATENCY, f"{completed - offered} cycles, {what.name}"
            assert hit - 1 <= bench.kept_back <= hit, f"{bench.kept_back} of {hit} kept back, one may have begun"


@cocotb.test()
async def an_object_invalidated_twice_is_silent_until_the_second_barrier(dut: Any) -> None:
    """The first BARRIER passes, and what lies between both must not leave: its INVALIDATE is complete."""
    bench = Bench(dut, Knobs(latency=(3, 10)))
    await bench.start()
    one, other = set_up(bench, 2)
    for conn in (one, other):
        bench.append(conn, [1460] * 6)
    for n in range(3):
        bench.segment(other, 1460 * n, 1460)
        bench.segment(one, 1460 * n, 1460)
        bench.invalidate_connection(one)
    bench.segment(one, 0, 100)
    for conn in (one, other):
        bench.release(conn, 0)
    await bench.run(limit=20_000)
    assert bench.kept_back == 3


@cocotb.test()
async def a_full_completion_ring_holds_up_no_frame_behind_an_invalidate(dut: Any) -> None:
    """The BARRIERs come by before their INVALIDATEs could; they take effect nowhere, and the frames leave."""
    bench = Bench(dut, Knobs(sink=0, latency=(3, 10)))
    await bench.start()
    (conn,) = set_up(bench, 1)
    bench.append(conn, [1460] * 4)
    for n in range(4):
        bench.segment(conn, 1460 * n, 1460)
        bench.invalidate_connection(conn)
    bench.segment(conn, 0, 500)
    for _ in range(3000):
        await bench.step()
    assert not bench.queue
    assert not bench.expect.records, "everything in the queue came to its end"
    assert len(bench.expect.bars) == 4
    assert bench.expect.frames == deque()
    bench.knobs.sink = 100
    bench.segment(conn, 500, 500)
    bench.release(conn, 4 * 1460)
    await bench.run(limit=2000)


@cocotb.test()
async def a_stalled_wire_never_stalls_the_read_bus(dut: Any) -> None:
    bench = Bench(dut, Knobs(wire=0, latency=(4, 8)))
    await bench.start()
    (conn,) = set_up(bench, 1)
    bench.append(conn, [4096] * 16)
    for n in range(20):
        bench.segment(conn, 1460 * n, 1460)
    bench.raw(1514)
    for _ in range(3000):
        await bench.step()
    assert not bench.reads, "a read waits for the wire"
    assert bench.stalled_reads == 0
    bench.knobs.wire = 100
    await bench.run(limit=20_000)


@cocotb.test()
async def a_list_is_read_once_while_connections_take_turns(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(8, 8)))
    await bench.start()
    set_up(bench, 1)
    bench.conns.clear()
    ids = range(min(4, bench.conns_n))
    for conn in ids:
        bench.open(conn, conn)
        bench.append(conn, [1000] * 16)
        bench.append(conn, [1000] * 16)
    for n in range(32_000 // 1400):
        for conn in ids:
            bench.segment(conn, 1400 * n, 1400)
    await bench.run(limit=40_000)
    assert bench.list_reads == 2 * len(ids)


async def bulk(bench: Bench, sizes: Callable[[], list[int]], segments: int, release_every: int) -> float:
    """A stream of full segments; returns the wire's utilisation."""
    (conn,) = set_up(bench, 1)
    c = bench.conns[conn]
    for n in range(segments):
        while c.end < c.nxt + 1460:
            bench.append(conn, sizes())
        bench.segment(conn, c.nxt, 1460)
        c.nxt += 1460
        if n % release_every == release_every - 1:
            bench.release(conn, c.nxt - 8 * 1460 if c.nxt > 8 * 1460 else 0)
    bench.release(conn, c.end, Status.UPLOAD)
    await bench.run(limit=80_000)
    return bench.utilisation(skip=len(bench.frame_ends) - segments + 4)


def least(bench: Bench) -> float:
    """The utilisation asked for at this width."""
    return {8: 0.96, 16: 0.94, 32: 0.9, 64: 0.85}[bench.lanes] if int(bench.dut.TX_SLOTS.value) >= 4 else 0.5


@cocotb.test()
async def two_pieces_a_segment_keep_the_wire_full(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(32, 32)))
    await bench.start()
    used = await bulk(bench, lambda: [bench.rng.randrange(1300, 1600) for _ in range(16)], 50, 2)
    dut._log.info("UTILISATION DATA_W %d, two pieces a segment: %.3f", 8 * bench.lanes, used)
    assert used >= least(bench)


@cocotb.test()
async def pages_keep_the_wire_full(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(32, 32)))
    await bench.start()
    used = await bulk(bench, lambda: [bench.rng.randrange(1, 4097), *([4096] * 14), 3000], 50, 2)
    dut._log.info("UTILISATION DATA_W %d, pages: %.3f", 8 * bench.lanes, used)
    assert used >= least(bench)


@cocotb.test()
async def lost_frames_leave_all_room_and_order_behind_them(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(32, 32)))
    await bench.start()
    (conn,) = set_up(bench, 1)
    for n in range(40):
        while len(bench.conns[conn].popped) >= bench.sends_n:
            await bench.step()
        bench.isolate(True)
        entry = bench.append(conn, [700, 700, 60], bad_list=n % 5 == 1)
        bench.isolate(True)
        if n % 5 != 2:
            bench.spoil(entry.pieces[n % 3][0], 1)
        bench.segment(conn, entry.start, 1460)
        if n % 4 == 0:
            bench.raw(1522, bad=n % 8 == 0)
        bench.release(conn, entry.end)
    await bench.run(limit=20_000)
    used = await bulk(bench, lambda: [bench.rng.randrange(1300, 1600) for _ in range(16)], 24, 2)
    assert used >= least(bench) - 0.02


@cocotb.test()
async def a_reset_in_the_middle_of_traffic_forgets_everything(dut: Any) -> None:
    bench = Bench(dut, Knobs(wire=80, latency=(8, 30)))
    await bench.start()
    (conn,) = set_up(bench, 1)
    bench.append(conn, [1000] * 16)
    for n in range(10):
        bench.segment(conn, 1460 * n, 1460)
    bench.raw(1000)
    for _ in range(300):
        await bench.step()
    await random_traffic(Bench(dut, Knobs(latency=(3, 10))), items=60, bad_percent=0, raw_percent=10)


@cocotb.test()
async def completions_that_nobody_takes_hold_up_no_segment_behind_them(dut: Any) -> None:
    """hostport, full ring: RELEASEs, an abort and a FENCE of several connections wait, segments of all go on."""
    bench = Bench(dut, Knobs(latency=(3, 3)))
    await bench.start()
    count = min(6, bench.conns_n)
    *busy, aborted, ended = set_up(bench, count)
    bench.knobs.sink = 0
    for conn in (*busy, aborted, ended):
        for _ in range(bench.sends_n):
            bench.append(conn, [100])
    for at in range(bench.sends_n):
        for conn in (*busy, aborted, ended):
            bench.segment(conn, 100 * at, 100)
            if at > 1:
                bench.release(conn, 100 * (at - 1))
    bench.segment(aborted, 100 * bench.sends_n, 0, flags=ACK | RST)
    bench.release(aborted, 100 * (bench.sends_n - 2) + 30, Status.ABORTED, fence=False, reset=True)
    bench.release(aborted, 100 * (bench.sends_n - 2) + 30, Status.ABORTED)
    bench.release(ended, 100 * (bench.sends_n - 1) + 30, Status.UPLOAD)
    bench.segment(busy[0], 100 * bench.sends_n, 0)
    while bench.segments_out < count * bench.sends_n + 2:
        await bench.step()
        assert bench.cycle < 20_000, f"{bench.segments_out} segments left"
    assert len(bench.expect.completions) >= count * (bench.sends_n - 2), "completions were taken"
    bench.knobs.sink = 100
    for conn in busy:
        bench.release(conn, bench.conns[conn].end)
    await bench.run(limit=5000)


@cocotb.test()
async def a_retransmission_finds_its_entry_while_completions_wait(dut: Any) -> None:
    """B17."""
    bench = Bench(dut, Knobs(latency=(3, 3)))
    await bench.start()
    (conn,) = set_up(bench, 1)
    entries = [bench.append(conn, [60]) for _ in range(bench.sends_n)]
    bench.segment(conn, 0, entries[-1].end)
    bench.knobs.sink = 0  # the first completion stays where it is, the second entry cannot be popped
    bench.release(conn, entries[1 % len(entries)].end)
    while len(bench.conns[conn].popped) != 1:
        await bench.step()
        assert bench.cycle < 2000
    bench.append(conn, [60])  # into the place of the first entry
    for at in (entries[-1].start + 30, entries[-1].end, entries[-1].start):
        bench.segment(conn, at, 50)
    for _ in range(300):
        await bench.step()
    bench.knobs.sink = 100
    bench.release(conn, bench.conns[conn].end)
    await bench.run(limit=2000)
