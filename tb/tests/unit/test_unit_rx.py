"""Unit test of the receive cluster: verdict of every frame, and every byte in its place when the host is told.

DUT = rx_top with COMMIT_PORT=1. The bench is the wire, a tcp_engine that accepts whatever comes, the driver, and a
host memory behind the two DMA clients, where a write is visible with its done and not before. One loop a clock:
inputs are driven at the falling edge and handshakes sampled when settled; they happen at the next rising edge.
"""

from __future__ import annotations

import random
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from model.layout.generated import (
    FRAME_MAX,
    POOL_BUF_BYTES,
    Cqe,
    CqKind,
    DlvEvt,
    DlvMsg,
    LeftOver,
    LkpKey,
    Opcode,
    RecRx,
    RxClass,
    RxReason,
    RxSeg,
    Sqe,
    Status,
    TcpEventType,
    Verdict,
)
from tb.tests.unit.test_unit_rx_parser import Packet, ones_sum

POOL = 0x2_0000  # host addresses
RAW = 0x8_0000
HANDED_IN = 0xA_0000  # forwarded segments
REQUESTS = 0xC_0000
MEMORY = 0x20_0000
WRITES = 16  # write requests that rx_placer may have outstanding
MASK32 = 0xFFFFFFFF
GEN = 9  # generation of connection n is GEN + n
LOCAL, REMOTE = 0x0A000001, 0x0A000002
ECHO = (RxClass.RAW, RxReason.NOT_TCP)
MISS = (RxClass.RAW, RxReason.NOT_OFFLOADED)
HIT = (RxClass.SEGMENT, RxReason.NONE)


def dropped(reason: RxReason) -> tuple[RxClass, RxReason]:
    return (RxClass.DROP, reason)


@dataclass(frozen=True)
class Frame:
    """What a test frame is made of; everything that can be wrong is a field."""

    payload: bytes = b""
    conn: int = 1
    options: bytes = b""
    flags: int = 0x10
    seq: int = 0x01020304
    ack: int = 0xA1A2A3A4
    wnd: int = 0x5152
    vlan: int | None = None
    ethertype: int = 0x0800
    version_ihl: int = 0x45
    tos: int = 0
    frag: int = 0x4000
    proto: int = 6
    total: int | None = None
    doff: int | None = None
    ip_error: int = 0
    tcp_error: int = 0
    remote: int = REMOTE
    trailer: bytes = b""

    def tcp(self) -> bytes:
        doff = 5 + len(self.options) // 4 if self.doff is None else self.doff
        return struct.pack(
            "!HHIIBBHHH", 2000 + self.conn, 80, self.seq, self.ack, doff << 4, self.flags, self.wnd, 0, 0x7777
        )

    def build(self) -> bytes:
        segment = self.tcp() + self.options + self.payload
        src, dst = struct.pack("!I", self.remote), struct.pack("!I", LOCAL)
        pseudo = src + dst + struct.pack("!HH", 6, len(segment))
        check = (0xFFFF ^ ones_sum(pseudo + segment)) ^ self.tcp_error
        segment = segment[:16] + struct.pack("!H", check) + segment[18:]
        total = 20 + len(segment) if self.total is None else self.total
        header = struct.pack("!BBHHHBBH", self.version_ihl, self.tos, total, 0x1234, self.frag, 61, self.proto, 0)
        header += src + dst
        header = header[:10] + struct.pack("!H", (0xFFFF ^ ones_sum(header)) ^ self.ip_error) + header[12:]
        tag = b"" if self.vlan is None else struct.pack("!HH", 0x8100, self.vlan)
        link = bytes.fromhex("02aabbccddee02112233445566"[:24]) + tag + struct.pack("!H", self.ethertype)
        return link + header + segment + self.trailer

    @property
    def pay_off(self) -> int:
        return 54 + len(self.options) + (0 if self.vlan is None else 4)


def truncated(frame: Frame, length: int) -> tuple[RxClass, RxReason]:
    """Verdict of a good frame of which only `length` bytes came."""
    link = 14 if frame.vlan is None else 18
    if length >= len(frame.build()):
        return HIT
    if 14 <= length < link:
        return ECHO
    return dropped(RxReason.BAD_LENGTH)


@dataclass
class Write:
    """A request of the write client."""

    addr: int
    length: int
    data: bytearray = field(default_factory=bytearray)
    due: int = 0


class Bench:
    """Everything around rx_top."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(int(cocotb.RANDOM_SEED))
        self.lanes = len(dut.s_axis_rx_tdata) // 8
        self.wire: deque[bytes] = deque()
        self.position = 0
        self.memory = bytearray(self.rng.randbytes(MEMORY))
        self.records: list[RecRx] = []
        self.segments: list[RxSeg] = []
        self.verdicts: deque[int] = deque()
        self.messages: deque[DlvMsg] = deque()
        self.commands: deque[Sqe] = deque()
        self.raw_posts: deque[Sqe] = deque()
        self.fences_in: deque[tuple[int, int]] = deque()
        self.entries: list[Cqe] = []
        self.raw_entries: list[Cqe] = []
        self.fences: list[tuple[int, int]] = []
        self.faults: list[tuple[int, int]] = []
        self.consumed: list[tuple[int, int, int]] = []
        self.credits = 0
        self.counts = [0] * 7
        self.requested: deque[Write] = deque()  # data not complete
        self.filling = bytearray()  # beats of the write whose last one has not come
        self.complete: deque[bytearray] = deque()  # data of whole writes, before or with the request
        self.visible_soon: deque[Write] = deque()
        self.reads: deque[tuple[int, int, int]] = deque()  # address, length, due cycle
        self.read_at = 0
        self.bad: set[int] = set()  # addresses whose 64-byte block answers with an error
        self.rates = dict.fromkeys(("wire", "rx", "wreq", "wdata", "rreq", "rdata", "cpl", "back"), 100)
        self.latency = (1, 30)
        self.cycle = 0
        self.write_beats: list[int] = []  # cycles
        self.policy: Callable[[RxSeg], int] = lambda seg: Verdict.DROP
        self.taking = True  # verdicts are given
        self.held: dict[str, bool] = {}
        self.hook: Callable[[Cqe], None] = lambda cqe: None
        self.raw_hook: Callable[[Cqe], None] = lambda cqe: None

    # -- start
    async def start(self, conns: int = 3) -> None:
        dut = self.dut
        self.clock = Clock(dut.clk, 10, unit="ns").start()
        dut.rst.value, dut.enable.value, dut.now.value = 1, 1, 100
        dut.pool_base.value, dut.raw_base.value = POOL, RAW
        dut.s_cq_full.value = 0
        for name in ("axis_rx_t", "ins_", "del_", "verdict_", "dlv_", "dcmd_", "rawpost_", "crd_", "fdone_"):
            getattr(dut, f"s_{name}valid").value = 0
        dut.s_pwr_done.value = dut.s_pwr_done_error.value = dut.s_axis_rx_tlast.value = 0
        for name in ("rx", "dcpl", "rcpl", "consumed", "credit", "fence", "fault", "crd_req", "pwr_req", "pwr"):
            getattr(dut, f"m_{name}_ready").value = 0
        for _ in range(4):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        for _ in range(5000):
            await ReadOnly()
            ready = int(dut.init_done.value)
            await FallingEdge(dut.clk)
            if ready:
                break
        for conn in range(conns):
            await self.insert(conn)
            self.messages.append(DlvMsg(kind=DlvEvt.LOAD, conn=conn, gen=GEN + conn, info=4000, push_ticks=50))
            self.messages.append(DlvMsg(kind=DlvEvt.START, conn=conn, gen=GEN + conn))
        await self.settle()
        self.entries.clear()

    async def insert(self, conn: int, key: LkpKey | None = None) -> None:
        dut = self.dut
        key = key or LkpKey(local_ip=LOCAL, remote_ip=REMOTE, local_port=80, remote_port=2000 + conn)
        dut.s_ins_valid.value, dut.s_ins_key.value = 1, key.pack()
        dut.s_ins_conn.value, dut.s_ins_gen.value = conn, GEN + conn
        taken = False
        for _ in range(100):
            await ReadOnly()
            ready, end = int(dut.s_ins_ready.value), int(dut.m_ins_done.value)
            await FallingEdge(dut.clk)
            taken = taken or bool(ready)
            if taken:
                dut.s_ins_valid.value = 0
            if end:
                return
        raise AssertionError("the insertion does not end")

    def chance(self, rate: str) -> bool:
        return self.rng.randrange(100) < self.rates[rate]

    def offer(self, name: str, waiting: bool, rate: str) -> bool:
        self.held[name] = waiting and (self.held.get(name, False) or self.chance(rate))
        return self.held[name]

    # -- one cycle
    async def step(self) -> None:
        dut = self.dut
        wire = bool(self.wire) and self.chance("wire")
        if wire:
            chunk = self.wire[0][self.position : self.position + self.lanes]
            last = self.position + self.lanes >= len(self.wire[0])
            dut.s_axis_rx_tdata.value = int.from_bytes(chunk + self.rng.randbytes(self.lanes - len(chunk)), "little")
            dut.s_axis_rx_tkeep.value = (1 << len(chunk)) - 1
            dut.s_axis_rx_tlast.value = int(last)
            self.position = 0 if last else self.position + self.lanes
            if last:
                self.wire.popleft()
        dut.s_axis_rx_tvalid.value = int(wire)
        streams: list[tuple[str, Any, dict[str, int]]] = []
        if self.verdicts:
            streams.append(("verdict", self.verdicts, {"s_verdict": self.verdicts[0]}))
        if self.messages:
            streams.append(("dlv", self.messages, {"s_dlv": self.messages[0].pack()}))
        if self.commands:
            streams.append(("dcmd", self.commands, {"s_dcmd_sqe": self.commands[0].pack(), "s_dcmd_sq_index": 0}))
        if self.raw_posts:
            streams.append(("rawpost", self.raw_posts, {"s_rawpost_sqe": self.raw_posts[0].pack()}))
        if self.fences_in:
            conn, gen = self.fences_in[0]
            streams.append(("fdone", self.fences_in, {"s_fdone_conn": conn, "s_fdone_gen": gen}))
        for name in ("verdict", "dlv", "dcmd", "rawpost", "fdone"):
            getattr(dut, f"s_{name}_valid").value = 0
        offered = []
        for name, queue, values in streams:
            if self.offer(name, True, "back"):
                offered.append((name, queue))
                getattr(dut, f"s_{name}_valid").value = 1
                for port, value in values.items():
                    getattr(dut, port).value = value
        ready = {
            name: int(self.chance(rate))
            for name, rate in (
                ("rx", "rx"), ("dcpl", "cpl"), ("rcpl", "cpl"), ("consumed", "back"), ("credit", "back"),
                ("fence", "back"), ("fault", "back"), ("crd_req", "rreq"), ("pwr_req", "wreq"), ("pwr", "wdata"),
            )
        }  # fmt: skip
        ready["rx"] &= int(self.taking)
        for name, value in ready.items():
            getattr(dut, f"m_{name}_ready").value = value
        finished = self.drive_done()
        reading = self.drive_read()
        await ReadOnly()
        for name, queue in offered:
            if int(getattr(dut, f"s_{name}_ready").value):
                queue.popleft()
                self.held[name] = False
        self.observe({name for name, value in ready.items() if value and int(getattr(dut, f"m_{name}_valid").value)})
        if reading and int(dut.s_crd_ready.value):
            self.read_at += self.lanes
            if self.read_at >= self.reads[0][1]:
                self.reads.popleft()
                self.read_at = 0
            self.held["read"] = False
        if finished:
            write = self.visible_soon.popleft()
            if not self.is_bad(write.addr, write.length):
                self.memory[write.addr : write.addr + write.length] = write.data
        self.idle = int(dut.idle.value)
        self.cycle += 1
        await FallingEdge(dut.clk)

    def is_bad(self, addr: int, length: int) -> bool:
        return any(block in self.bad for block in range(addr // 64, (addr + length - 1) // 64 + 1))

    def drive_done(self) -> bool:
        finished = bool(self.visible_soon) and self.visible_soon[0].due <= self.cycle
        self.dut.s_pwr_done.value = int(finished)
        bad = finished and self.is_bad(self.visible_soon[0].addr, self.visible_soon[0].length)
        self.dut.s_pwr_done_error.value = int(bad)
        return finished

    def drive_read(self) -> bool:
        due = bool(self.reads) and self.reads[0][2] <= self.cycle
        reading = self.offer("read", due, "rdata")
        self.dut.s_crd_valid.value = int(reading)
        if reading:
            addr, length, _ = self.reads[0]
            left = min(self.lanes, length - self.read_at)
            data = self.memory[addr + self.read_at : addr + self.read_at + left]
            last = self.read_at + left == length
            self.dut.s_crd_data.value = int.from_bytes(data, "little")
            self.dut.s_crd_bytes.value = left
            self.dut.s_crd_last.value = int(last)
            self.dut.s_crd_error.value = int(last and self.is_bad(addr, length))
        return reading

    def observe(self, fired: set[str]) -> None:
        dut = self.dut
        assert int(dut.s_axis_rx_tready.value) == 1
        if int(dut.rec_rx_valid.value):
            self.records.append(RecRx.unpack(int(dut.rec_rx.value)))
            assert self.records[-1].arrival == len(self.records) - 1, "records come in arrival order"
        counts = int(dut.cnt_rx.value)
        for i in range(7):
            self.counts[i] += counts >> i & 1
        if "rx" in fired:
            seg = RxSeg.unpack(int(dut.m_rx_seg.value))
            self.segments.append(seg)
            verdict = self.policy(seg)
            self.verdicts.append(verdict)
            if verdict == Verdict.DELIVER:
                self.messages.append(
                    DlvMsg(
                        kind=DlvEvt.DELIVER, conn=seg.conn, gen=seg.gen, arrival=seg.arrival,
                        offset=seg.pay_off, len=seg.pay_len, psh=seg.flags >> 3 & 1,
                    )
                )  # fmt: skip
        if "dcpl" in fired:
            self.entries.append(Cqe.unpack(int(dut.m_dcpl.value)))
            self.hook(self.entries[-1])
        if "rcpl" in fired:
            self.raw_entries.append(Cqe.unpack(int(dut.m_rcpl.value)))
            self.raw_hook(self.raw_entries[-1])
        if "fence" in fired:
            self.fences.append((int(dut.m_fence_conn.value), int(dut.m_fence_gen.value)))
        if "fault" in fired:
            self.faults.append((int(dut.m_fault_conn.value), int(dut.m_fault_gen.value)))
        if "consumed" in fired:
            conn, gen = int(dut.m_consumed_conn.value), int(dut.m_consumed_gen.value)
            self.consumed.append((conn, gen, int(dut.m_consumed_bytes.value)))
        if "credit" in fired:
            self.credits += int(dut.m_credit_count.value)
        if "crd_req" in fired:
            due = self.cycle + self.rng.randint(*self.latency)
            self.reads.append((int(dut.m_crd_req_addr.value), int(dut.m_crd_req_len.value), due))
            assert self.reads[-1][1] > 0
        if "pwr_req" in fired:
            self.requested.append(Write(int(dut.m_pwr_req_addr.value), int(dut.m_pwr_req_len.value)))
            assert self.requested[-1].length > 0
            assert len(self.requested) + len(self.visible_soon) <= WRITES, "too many writes outstanding"
        if "pwr" in fired:
            self.filling += int(dut.m_pwr_data.value).to_bytes(self.lanes, "little")
            self.write_beats.append(self.cycle)
            if int(dut.m_pwr_last.value):
                self.complete.append(self.filling)
                self.filling = bytearray()
        while self.requested and self.complete:
            write, data = self.requested.popleft(), self.complete.popleft()
            assert -(-write.length // self.lanes) * self.lanes == len(data), "beats and length disagree"
            write.data = data[: write.length]
            last_due = self.visible_soon[-1].due + 1 if self.visible_soon else 0
            write.due = max(last_due, self.cycle + self.rng.randint(*self.latency))
            self.visible_soon.append(write)

    async def run(self, cycles: int) -> None:
        for _ in range(cycles):
            await self.step()

    async def settle(self, limit: int = 20000) -> None:
        quiet = 0
        for _ in range(limit):
            await self.step()
            busy = self.wire or self.verdicts or self.messages or self.commands or self.raw_posts or self.visible_soon
            quiet = quiet + 1 if self.idle and not busy else 0
            if quiet > 4:
                return
        raise AssertionError("the cluster does not become idle")

    # -- driver
    def post(self, opcode: Opcode, buffers: list[int]) -> None:
        queue = self.raw_posts if opcode == Opcode.RAW_POST else self.commands
        for first in range(0, len(buffers), 16):
            group = buffers[first : first + 16]
            value = Sqe(opcode=opcode, count=len(group)).pack()
            for i, buffer in enumerate(group):
                value |= buffer << (256 + 16 * i)
            queue.append(Sqe.unpack(value))

    def receive(self, conn: int, addr: int, length: int, nopush: int = 1) -> None:
        sqe = Sqe(opcode=Opcode.RECEIVE, conn=conn, gen=GEN + conn, addr=addr, length=length, cookie=addr, flags=nopush)
        self.commands.append(sqe)

    def forward(self, conn: int, src: int, data: bytes, psh: int = 0) -> None:
        """The text of a forwarded segment, in order, at `src`; the address is the cookie of its command."""
        self.memory[src : src + len(data)] = data
        self.messages.append(
            DlvMsg(
                kind=DlvEvt.DELIVER, conn=conn, gen=GEN + conn, len=len(data), psh=psh, fwd=1, a=src, cookie=src,
                sq_index=conn,
            )
        )  # fmt: skip


async def started(dut: Any, conns: int = 3) -> Bench:
    bench = Bench(dut)
    await bench.start(conns)
    return bench


def deliver_all(seg: RxSeg) -> int:
    """Policy: every payload is in order."""
    return Verdict.DELIVER if seg.pay_len else Verdict.DROP


async def verdicts(bench: Bench, frames: list[bytes]) -> list[tuple[RxClass, RxReason]]:
    first = len(bench.records)
    bench.wire.extend(frames)
    await bench.settle()
    return [(RxClass(r.class_), RxReason(r.reason)) for r in bench.records[first:]]


@cocotb.test()
async def test_every_reason(dut: Any) -> None:
    """S03, S12."""
    bench = await started(dut)
    body = bytes(range(200))
    good = Frame(payload=body)
    cases: list[tuple[str, bytes, tuple[RxClass, RxReason]]] = [
        ("good", good.build(), HIT),
        ("good, tagged", Frame(payload=body, vlan=0x2005).build(), HIT),
        ("no payload, padded", Frame(trailer=b"\xee" * 6).build(), HIT),
        ("padding is not summed", Frame(payload=b"x", trailer=b"\xff\x01\x02\x03\x04").build(), HIT),
        ("other port", Frame(conn=50).build(), MISS),
        ("other address", Frame(remote=REMOTE ^ 1).build(), MISS),
        ("ARP", Frame(ethertype=0x0806).build(), ECHO),
        ("IPv6", Frame(ethertype=0x86DD).build(), ECHO),
        ("length field", Frame(ethertype=0x0040).build(), ECHO),
        ("two tags", Frame(vlan=1, ethertype=0x8100).build(), ECHO),
        ("tagged ARP", Frame(vlan=1, ethertype=0x0806).build(), ECHO),
        ("version 6", Frame(version_ihl=0x65).build(), ECHO),
        ("IP options", Frame(version_ihl=0x46).build(), ECHO),
        ("more fragments", Frame(frag=0x2000).build(), ECHO),
        ("fragment offset", Frame(frag=0x0001).build(), ECHO),
        ("UDP, bad sums", Frame(proto=17, ip_error=1, tcp_error=1).build(), ECHO),
        ("IP sum", Frame(payload=body, ip_error=0x10).build(), dropped(RxReason.BAD_IP_CHECKSUM)),
        ("both sums", Frame(payload=body, ip_error=1, tcp_error=1).build(), dropped(RxReason.BAD_IP_CHECKSUM)),
        ("TCP sum", Frame(payload=body, tcp_error=0x8000).build(), dropped(RxReason.BAD_TCP_CHECKSUM)),
        ("TCP sum, odd length", Frame(payload=body[:31], tcp_error=1).build(), dropped(RxReason.BAD_TCP_CHECKSUM)),
        ("miss with a bad sum", Frame(conn=50, tcp_error=1).build(), dropped(RxReason.BAD_TCP_CHECKSUM)),
        ("total 39", Frame(payload=body, total=39).build(), dropped(RxReason.BAD_LENGTH)),
        ("total one too long", Frame(payload=body, total=241).build(), dropped(RxReason.BAD_LENGTH)),
        ("total 65535", Frame(payload=body, total=65535).build(), dropped(RxReason.BAD_LENGTH)),
        ("total and IP sum", Frame(payload=body, total=241, ip_error=1).build(), dropped(RxReason.BAD_LENGTH)),
        ("offset 4", Frame(payload=body, doff=4).build(), dropped(RxReason.BAD_LENGTH)),
        ("offset past the end", Frame(payload=b"12345678", doff=8).build(), dropped(RxReason.BAD_LENGTH)),
        ("offset and IP sum", Frame(doff=4, ip_error=1).build(), dropped(RxReason.BAD_IP_CHECKSUM)),
        ("offset and TCP sum", Frame(doff=4, tcp_error=1).build(), dropped(RxReason.BAD_LENGTH)),
        ("offset at the end", Frame(payload=b"12345678", doff=7).build(), HIT),
        ("longest", Frame(payload=bytes(FRAME_MAX - 54)).build(), HIT),
        ("one longer", Frame(payload=bytes(FRAME_MAX - 53)).build(), dropped(RxReason.TOO_LONG)),
        ("jumbo", Frame(payload=bytes(9000)).build(), dropped(RxReason.TOO_LONG)),
        ("long ARP", Frame(ethertype=0x0806, payload=bytes(3000)).build(), dropped(RxReason.TOO_LONG)),
        ("13 bytes", good.build()[:13], dropped(RxReason.BAD_LENGTH)),
        ("1 byte", b"\x01", dropped(RxReason.BAD_LENGTH)),
        ("good again", good.build(), HIT),
    ]
    got = await verdicts(bench, [frame for _, frame, _ in cases])
    for (name, _, wanted), verdict in zip(cases, got, strict=True):
        assert verdict == wanted, f"{name}: {verdict}, wanted {wanted}"
    reasons = [reason for _, reason in got]
    assert bench.counts[0] == len(cases)
    assert bench.counts[2] == sum("CHECKSUM" in r.name for r in reasons)
    assert bench.counts[3] == reasons.count(RxReason.BAD_LENGTH) + reasons.count(RxReason.TOO_LONG)
    assert bench.counts[5] == got.count(HIT) == len(bench.segments)
    assert bench.counts[6] == got.count(ECHO) + got.count(MISS), "no raw buffer was posted"


@cocotb.test()
async def test_connections_of_both_families_with_the_same_numbers_are_kept_apart(dut: Any) -> None:
    """Two IPv6 connections: with the address numbers of an IPv4 one, and with others in the upper half only."""
    bench = await started(dut, 2)
    upper, six_low, six_high = 0x20010DB8 << 96, 2, 3
    low = LkpKey(is_ipv6=1, local_ip=LOCAL, remote_ip=REMOTE, local_port=80, remote_port=2001)
    await bench.insert(six_low, low)
    await bench.insert(six_high, replace(low, local_ip=LOCAL | upper, remote_ip=REMOTE | upper))
    six = Packet(local=LOCAL, remote=REMOTE, payload=b"six", local_port=80, remote_port=2001)
    frames = {
        Frame(conn=1, payload=b"four").build(): 1,
        six.build(): six_low,
        replace(six, tags=(7,), options=b"\x01" * 12).build(): six_low,
        replace(six, local=LOCAL | upper, remote=REMOTE | upper).build(): six_high,
        replace(six, local=LOCAL | upper).build(): None,
        replace(six, family=4).build(): 1,
    }
    got = await verdicts(bench, list(frames))
    assert got == [MISS if conn is None else HIT for conn in frames.values()]
    assert [seg.conn for seg in bench.segments] == [conn for conn in frames.values() if conn is not None]
    assert [seg.pay_off for seg in bench.segments] == [54, 74, 90, 74, 54]


@cocotb.test()
async def test_arguments_of_a_segment(dut: Any) -> None:
    bench = await started(dut)
    for vlan in (None, 7, 0, 0x5000, 0xFFFF, 0xE123):  # priority and DEI lie above the VLAN
        frame = Frame(payload=b"abc", conn=2, flags=0xFF, vlan=vlan, options=b"\x01" * 12)
        await verdicts(bench, [frame.build()])
        seg = bench.segments[-1]
        wanted = RxSeg(
            arrival=len(bench.records) - 1, conn=2, gen=GEN + 2, seq=frame.seq, ack=frame.ack, wnd=frame.wnd,
            flags=0xFF, tagged=int(vlan is not None), vlan_id=(vlan or 0) & 0xFFF, pay_off=frame.pay_off, pay_len=3,
        )  # fmt: skip
        assert seg == wanted


@cocotb.test()
async def test_the_congestion_mark_of_every_frame_reaches_the_engine_n1(dut: Any) -> None:
    bench = await started(dut)
    cases = [(vlan, dscp, ecn) for vlan in (None, 7) for dscp in (0, 0xA8, 0xFC) for ecn in range(4)]
    await verdicts(bench, [Frame(payload=b"abc", vlan=vlan, tos=dscp | ecn).build() for vlan, dscp, ecn in cases])
    assert [seg.ip_ecn for seg in bench.segments] == [ecn for _, _, ecn in cases]


@cocotb.test()
async def test_frames_cut_at_every_byte(dut: Any) -> None:
    bench = await started(dut)
    for vlan in (None, 3):
        frame = Frame(payload=b"0123456789", options=b"\x01\x01\x08\x0a" + bytes(8), vlan=vlan)
        whole = frame.build()
        lengths = list(range(1, len(whole) + 1))
        got = await verdicts(bench, [whole[:n] for n in lengths])
        for length, verdict in zip(lengths, got, strict=True):
            assert verdict == truncated(frame, length), f"{length} bytes, vlan {vlan}"


@cocotb.test()
async def test_options(dut: Any) -> None:
    """S06, S07, B15."""
    bench = await started(dut)
    stamp = b"\x08\x0a" + struct.pack("!II", 0x11223344, 0xDEADBEEF)
    found, nothing = (1, 0x11223344, 0xDEADBEEF), (0, 0, 0)
    cases = [
        (b"", nothing),
        (b"\x01\x01" + stamp, found),
        (stamp + b"\x01\x01", found),
        (stamp + b"\x00\x00", found),
        (b"\x01" * 30 + stamp, found),
        (b"\x00\x00" + stamp, nothing),
        (b"\x05\x12" + bytes(16) + stamp, found),
        (b"\x02\x04\x05\xb4\x01\x03\x03\x07\x04\x02" + stamp, found),
        (b"\x02\x00\x01\x01" + stamp + b"\x01\x01", nothing),
        (b"\x02\x01\x01\x01" + stamp + b"\x01\x01", nothing),
        (b"\x01\x01\x08\x0a" + bytes(4), nothing),
        (b"\x01\x01\x01\x08", nothing),
        (b"\x08\x08" + bytes(6), nothing),
        (b"\x08\x0b" + bytes(9) + b"\x01", nothing),
        (b"\xfe\xff" + bytes(10), nothing),
        (stamp + b"\x08\x0c", found),
        (stamp + b"\x05\x00", found),
        (b"\x08\x0a" + bytes(8) + b"\x01\x01" + stamp + b"\x01\x01", found),
        (b"\x01" * 40, nothing),
        (b"\x01\x01\x01\x03", nothing),
    ]
    await verdicts(bench, [Frame(options=o, payload=stamp * 3).build() for o, _ in cases])
    for (options, wanted), seg in zip(cases, bench.segments, strict=True):
        assert (seg.ts_present, seg.tsval, seg.tsecr) == wanted, options.hex()


def sack_option(*blocks: tuple[int, int]) -> bytes:
    """RFC 2018 3, without NOPs."""
    return bytes((5, 2 + 8 * len(blocks))) + b"".join(struct.pack("!II", *block) for block in blocks)


def told_blocks(seg: RxSeg) -> list[tuple[int, int]]:
    """The SACK blocks in the order of the option; everything behind them must be 0."""
    blocks = [(seg.sack_left >> 32 * i & MASK32, seg.sack_right >> 32 * i & MASK32) for i in range(seg.sack_n)]
    assert (seg.sack_left >> 32 * seg.sack_n, seg.sack_right >> 32 * seg.sack_n) == (0, 0)
    return blocks


@cocotb.test()
async def test_sack_blocks_are_found_in_their_order_rfc_2018(dut: Any) -> None:
    """S06, S07."""
    bench = await started(dut)
    stamp = b"\x08\x0a" + struct.pack("!II", 0x11223344, 0xDEADBEEF)
    four = [(0xFFFFFF00 + i, 0x10203040 + i * 0x01010101) for i in range(4)]
    nops = b"\x01\x01"
    cases: list[tuple[bytes, list[tuple[int, int]], int]] = [
        (b"", [], 0),
        *((nops + sack_option(*four[:n]), four[:n], 0) for n in (1, 2, 3, 4)),
        *((nops + stamp + nops + sack_option(*four[:n]), four[:n], 1) for n in (1, 2, 3)),
        (sack_option(*four[:3]) + stamp, four[:3], 1),
        (b"\x02\x04\x05\xb4\x04\x02" + sack_option(*four[:3]) + nops, four[:3], 0),
        (sack_option(*four[:3]) + sack_option(four[3]) + nops, four[3:], 0),  # the last of two counts, all of it
        (sack_option() + stamp, [], 1),  # no block at all: no such option
        (sack_option(four[0]) + sack_option() + stamp + nops, four[:1], 1),
        (b"\x05\x0b" + bytes(9) + b"\x01", [], 0),  # no whole number of blocks
        (b"\x05\x14" + bytes(18) + stamp + nops, [], 1),
        (nops + b"\x05\x12" + bytes(8), [], 0),  # past the end of the header
        (b"\x00\x00" + sack_option(four[0]), [], 0),
        (nops + sack_option(four[0]) + b"\x03\x00\x01\x01", four[:1], 0),  # what was found before counts
    ]
    await verdicts(bench, [Frame(options=o, payload=sack_option(*four)).build() for o, _, _ in cases])
    for (options, blocks, stamped), seg in zip(cases, bench.segments, strict=True):
        assert (told_blocks(seg), seg.ts_present) == (blocks, stamped), options.hex()


@cocotb.test()
async def test_nothing_enters_while_disabled(dut: Any) -> None:
    bench = await started(dut)
    dut.enable.value = 0
    got = await verdicts(bench, [Frame().build(), b"\1", Frame(payload=bytes(3000)).build()])
    assert got == [dropped(RxReason.DISABLED)] * 3
    dut.enable.value = 1
    assert await verdicts(bench, [Frame().build()]) == [HIT]
    assert bench.segments[0].arrival == 3


@cocotb.test()
async def test_a_frame_without_room_is_dropped_whole(dut: Any) -> None:
    bench = await started(dut, 1)
    beats = int(dut.RX_BEATS.value)
    bench.post(Opcode.RAW_POST, list(range(64)))
    await bench.settle()
    bench.taking = False
    payloads = [bench.rng.randbytes(1460) for _ in range(beats * bench.lanes // 1514 + 6)]
    frames = [Frame(payload=p, conn=0).build() for p in payloads]
    per_frame = -(-len(frames[0]) // bench.lanes)
    bench.wire.extend(frames)
    bench.wire.append(Frame(ethertype=0x0806, conn=0).build())
    await bench.run(len(frames) * per_frame + 100)
    fit = beats // per_frame
    got = [(RxClass(r.class_), RxReason(r.reason)) for r in bench.records]
    assert got[:fit] == [HIT] * fit
    assert set(got[fit:-1]) == {dropped(RxReason.NO_SPACE)}
    assert bench.counts[4] == len(frames) - fit + (got[-1] != ECHO)
    full = next(r for r in bench.records if RxReason(r.reason) == RxReason.NO_SPACE)
    assert full.fill + per_frame > beats
    bench.policy = lambda seg: Verdict.PASS_UP
    bench.taking = True
    await bench.settle()
    assert len(bench.raw_entries) == fit + (got[-1] == ECHO)
    for i, entry in enumerate(bench.raw_entries[:fit]):
        addr = RAW + entry.buf * POOL_BUF_BYTES
        assert (entry.kind, entry.buf, entry.nbytes) == (CqKind.RAW_RX, i, len(frames[i]))
        assert bench.memory[addr : addr + entry.nbytes] == frames[i]
    assert await verdicts(bench, [Frame(conn=0).build()]) == [HIT]


@cocotb.test()
async def test_errors_of_the_host_bus(dut: Any) -> None:
    bench = await started(dut)
    bench.policy = deliver_all
    bench.post(Opcode.POOL_POST, list(range(8)))
    bench.post(Opcode.RAW_POST, [0, 1])
    bench.receive(0, REQUESTS, 100)
    await bench.settle()
    bench.bad = {REQUESTS // 64 + 1}
    await verdicts(bench, [Frame(conn=0, payload=bytes(100)).build(), Frame(conn=0, payload=b"next").build()])
    assert [(e.kind, e.status, e.nbytes) for e in bench.entries] == [
        (CqKind.RECEIVE, Status.ABORTED, 100),
        (CqKind.INDICATION, Status.OK, 4),
    ]
    assert bench.faults == [(0, GEN)]
    # the copy reads from a bad pool buffer
    untouched = bench.memory[REQUESTS + 0x1000 : REQUESTS + 0x1004]
    bench.bad = {POOL // 64 + 32 * bench.entries[1].buf}
    bench.commands.append(Sqe(opcode=Opcode.ANSWER, conn=0, gen=GEN, arg=1, length=0))
    bench.receive(0, REQUESTS + 0x1000, 4)
    bench.receive(0, REQUESTS + 0x2000, 4)
    await bench.settle()
    assert (bench.entries[2].status, bench.entries[2].cookie) == (Status.ABORTED, REQUESTS + 0x1000)
    assert bench.faults == [(0, GEN), (0, GEN)]
    assert bench.memory[REQUESTS + 0x1000 : REQUESTS + 0x1004] == untouched, "bytes of a failed read were written"
    await verdicts(bench, [Frame(conn=0, payload=b"fine").build()])
    assert (bench.entries[3].status, bench.entries[3].cookie) == (Status.OK, REQUESTS + 0x2000)
    # a raw frame that cannot be written
    bench.bad = {RAW // 64}
    await verdicts(bench, [Frame(conn=50).build(), Frame(conn=50).build()])
    assert [(e.status, e.buf) for e in bench.raw_entries] == [(Status.WRITE_ERROR, 0), (Status.OK, 1)]
    assert len(bench.faults) == 2


@cocotb.test()
async def test_a_fence_is_done_when_both_halves_are(dut: Any) -> None:
    bench = await started(dut)
    bench.policy = deliver_all
    bench.post(Opcode.POOL_POST, list(range(8)))
    bench.receive(1, REQUESTS, 10)
    await bench.settle()
    frames = [Frame(conn=1, payload=b"A" * 30).build(), Frame(conn=1, payload=b"B" * 40).build()]
    await verdicts(bench, frames)
    bench.fences_in.append((1, GEN + 1))
    await bench.settle()
    assert bench.fences == []
    bench.commands.append(Sqe(opcode=Opcode.ANSWER, conn=1, gen=GEN + 1, arg=1, length=5))
    bench.messages.append(DlvMsg(kind=DlvEvt.FREEZE, conn=1, gen=GEN + 1, a=REQUESTS + 0x1000))
    bench.messages.append(DlvMsg(kind=DlvEvt.FREEZE, conn=2, gen=GEN + 2))
    await bench.settle()
    assert bench.fences == [(1, GEN + 1)]
    array = [LeftOver.unpack(int.from_bytes(bench.memory[a : a + 8], "little"))
             for a in range(REQUESTS + 0x1000, REQUESTS + 0x1018, 8)]  # fmt: skip
    assert array == [LeftOver(buf=2), LeftOver(buf=0, offset=5, length=15), LeftOver(buf=1, length=40)]
    bench.fences_in.append((2, GEN + 2))
    await bench.settle()
    assert bench.fences == [(1, GEN + 1), (2, GEN + 2)]


@cocotb.test()
async def test_an_abort_is_told_behind_what_was_placed_and_before_the_fence(dut: Any) -> None:
    bench = await started(dut)
    bench.policy = deliver_all
    bench.latency = (60, 90)  # the bytes are still on their way when the abort comes
    bench.post(Opcode.POOL_POST, list(range(8)))
    for n in range(3):
        bench.receive(1, REQUESTS + 0x1000 * n, 1000)
    await bench.settle()
    given = bench.credits
    data = bench.rng.randbytes(700)
    bench.wire.append(Frame(conn=1, payload=data).build())
    came: list[RxSeg] = []

    def deliver_and_note(seg: RxSeg) -> int:
        came.append(seg)
        return deliver_all(seg)

    bench.policy = deliver_and_note
    while not came:
        await bench.step()
    bench.messages.append(DlvMsg(kind=DlvEvt.NOTIFY, conn=1, gen=GEN + 1, event=TcpEventType.ABORT, aborted=1))
    # another connection keeps its pool buffer and its request
    bench.wire.append(Frame(conn=2, payload=b"kept").build())
    seen: list[bool] = []
    bench.hook = lambda cqe: seen.append(bytes(bench.memory[REQUESTS : REQUESTS + 700]) == data)
    await bench.settle()
    told = [(e.kind, e.conn, e.code, e.status, e.cookie, e.nbytes) for e in bench.entries if e.conn == 1]
    assert told == [
        (CqKind.EVENT, 1, TcpEventType.ABORT, Status.OK, 0, 0),
        (CqKind.RECEIVE, 1, Opcode.RECEIVE, Status.ABORTED, REQUESTS, 700),
        (CqKind.RECEIVE, 1, Opcode.RECEIVE, Status.ABORTED, REQUESTS + 0x1000, 0),
        (CqKind.RECEIVE, 1, Opcode.RECEIVE, Status.ABORTED, REQUESTS + 0x2000, 0),
    ]
    assert all(seen), "an entry was told before the bytes were in the buffer"
    assert sum(count for conn, _, count in bench.consumed if conn == 1) == 700
    await bench.run(400)
    assert bench.credits - given == 1, "the credit of the piece that was placed directly"
    bench.fences_in.append((1, GEN + 1))
    bench.messages.append(DlvMsg(kind=DlvEvt.FREEZE, conn=1, gen=GEN + 1, aborted=1))
    await bench.settle()
    assert bench.fences == [(1, GEN + 1)]
    assert bench.faults == []


@cocotb.test()
async def test_small_frames_back_to_back(dut: Any) -> None:
    """One frame after the other without a gap; at 512 bits each is one beat."""
    bench = await started(dut)
    kinds = [
        (Frame(conn=0, payload=b"abcd").build(), HIT),
        (Frame(conn=40, payload=b"abcd").build(), MISS),
        (Frame(conn=1, payload=b"wxyz", tcp_error=4).build(), dropped(RxReason.BAD_TCP_CHECKSUM)),
        (Frame(ethertype=0x0806).build(), ECHO),
        (b"short", dropped(RxReason.BAD_LENGTH)),
    ]
    order = [bench.rng.choice(kinds) for _ in range(150)]
    bench.policy = lambda seg: Verdict.DROP
    assert await verdicts(bench, [frame for frame, _ in order]) == [wanted for _, wanted in order]


@cocotb.test()
async def test_placement_keeps_up_with_the_wire(dut: Any) -> None:
    bench = await started(dut, 1)
    bench.policy = deliver_all
    bench.latency = (20, 20)
    bench.post(Opcode.POOL_POST, list(range(8)))
    count = 16 if bench.lanes == 8 else 60
    data = bench.rng.randbytes(1460 * count)
    bench.receive(0, REQUESTS + 3, len(data))
    await bench.settle()
    frames = [Frame(conn=0, payload=data[i * 1460 : (i + 1) * 1460]).build() for i in range(count)]
    await verdicts(bench, frames)
    assert {r.reason for r in bench.records} == {RxReason.NONE}
    assert bench.memory[REQUESTS + 3 : REQUESTS + 3 + len(data)] == data
    per_frame = (bench.write_beats[-1] - bench.write_beats[0]) / count
    beats = 1460 / bench.lanes
    cocotb.log.info("cycles a segment %.2f, %.3f of the bus", per_frame, beats / per_frame)
    assert beats / per_frame >= (0.96 if bench.lanes == 8 else 0.85)


async def left_in_the_pool(bench: Bench, pieces: list[bytes]) -> None:
    """Each piece comes in a frame of its own and waits in a pool buffer of its own; nothing is posted."""
    bench.post(Opcode.POOL_POST, list(range(len(pieces))))
    await bench.settle()
    await verdicts(bench, [Frame(conn=0, payload=piece).build() for piece in pieces])


def refuse(bench: Bench) -> None:
    """The host takes nothing of what was indicated; from now on the data is copied."""
    bench.commands.append(Sqe(opcode=Opcode.ANSWER, conn=0, gen=GEN, arg=1, length=0))


@cocotb.test()
async def test_copies_do_not_wait_for_each_others_memory_accesses(dut: Any) -> None:
    bench = await started(dut, 1)
    bench.policy = deliver_all
    pieces = [bench.rng.randbytes(1460) for _ in range(12)]
    await left_in_the_pool(bench, pieces)
    data, bench.latency, bench.write_beats = b"".join(pieces), (128, 128), []
    bench.receive(0, REQUESTS + 5, len(data))
    refuse(bench)
    await bench.settle()
    assert bench.memory[REQUESTS + 5 : REQUESTS + 5 + len(data)] == data
    per_copy = (bench.write_beats[-1] - bench.write_beats[0]) / len(pieces)
    cocotb.log.info("cycles a copy %.1f", per_copy)
    assert per_copy <= 1460 / bench.lanes + 32, "a copy costs the memory's latency"


@cocotb.test()
async def test_a_copy_that_fails_between_others_writes_nothing_and_keeps_the_order(dut: Any) -> None:
    """docs/errors.md M-13, docs/contract/delivery_step.md (rx_placer)."""
    bench = await started(dut, 1)
    bench.policy = deliver_all
    bench.latency = (40, 60)
    pieces = [bench.rng.randbytes(300 + 7 * n) for n in range(12)]
    await left_in_the_pool(bench, pieces)
    at = [REQUESTS + 0x1000 * n for n in range(12)]
    before = [bytes(bench.memory[a : a + 400]) for a in at]
    entries = len(bench.entries)
    bench.bad = {(POOL + 2048 * n) // 64 + 2 for n in (3, 4, 9)}
    for n, piece in enumerate(pieces):
        bench.receive(0, at[n], len(piece))
    refuse(bench)
    await bench.settle()
    got = bench.entries[entries:]
    assert [e.cookie for e in got] == at
    assert [n for n, e in enumerate(got) if e.status == Status.ABORTED] == [3, 4, 9]
    assert set(bench.faults) == {(0, GEN)}  # faults of one connection may be told together
    for n, piece in enumerate(pieces):
        expected = before[n] if n in (3, 4, 9) else piece + before[n][len(piece) :]
        assert bench.memory[at[n] : at[n] + 400] == expected, f"request {n}"


def forwarded(conn: int, src: int, status: Status = Status.OK) -> Cqe:
    """The entry that completes `Bench.forward`."""
    return Cqe(
        kind=CqKind.FORWARD, status=status, conn=conn, gen=GEN + conn, code=Opcode.FORWARD, cookie=src, sq_index=conn
    )


@cocotb.test()
async def test_forwarded_text_is_in_the_requests_when_its_command_completes(dut: Any) -> None:
    """docs/contract/delivery_step.md, DELIVER with fwd: any alignment, split over two requests, all lengths."""
    bench = await started(dut)
    bench.policy = deliver_all
    bench.post(Opcode.POOL_POST, list(range(8)))
    data = bench.rng.randbytes(1460)
    bench.receive(1, REQUESTS + 5, 700)
    bench.receive(1, REQUESTS + 0x1001, 760)
    await bench.settle()
    seen: list[bytes] = []
    bench.hook = lambda cqe: seen.append(
        bytes(bench.memory[REQUESTS + 5 : REQUESTS + 705] + bench.memory[REQUESTS + 0x1001 : REQUESTS + 0x12F9])
    )
    bench.latency = (40, 70)
    bench.forward(1, HANDED_IN + 3, data)
    await bench.settle()
    assert [(e.kind, e.cookie, e.nbytes) for e in bench.entries] == [
        (CqKind.RECEIVE, REQUESTS + 5, 700),
        (CqKind.RECEIVE, REQUESTS + 0x1001, 760),
        (CqKind.FORWARD, HANDED_IN + 3, 0),
    ]
    assert bench.entries[2] == forwarded(1, HANDED_IN + 3)
    assert seen[0][:700] == data[:700]
    assert seen[2] == data
    assert bench.records == []
    assert bench.segments == []
    lengths = (1, 7, 8, 9, 63, 64, 65, 1440)
    for n, length in enumerate(lengths):
        src, addr = HANDED_IN + 0x1000 * n + n, REQUESTS + 0x8000 + 0x1000 * n + 3 * n
        piece = bench.rng.randbytes(length)
        around = bytes(bench.memory[addr + length : addr + length + 16])
        bench.receive(2, addr, length)
        await bench.settle()
        bench.forward(2, src, piece)
        await bench.settle()
        assert bench.entries[-1] == forwarded(2, src)
        assert bench.memory[addr : addr + length] == piece
        assert bench.memory[addr + length : addr + length + 16] == around
    await bench.run(400)
    assert bench.credits == 8 + 1 + len(lengths)


@cocotb.test()
async def test_a_request_reads_forwarded_text_in_the_pool_only_when_it_is_there(dut: Any) -> None:
    """delivery_step.md, rx_placer: barrier. The next copy starts at once if nothing holds it back."""
    bench = await started(dut, 1)
    bench.policy = deliver_all
    bench.latency = (60, 90)
    first, second, third = (bench.rng.randbytes(n) for n in (300, 500, 200))
    await left_in_the_pool(bench, [first, b"", b"", b""])
    assert bench.entries[-1].kind == CqKind.INDICATION
    entries = len(bench.entries)
    bench.forward(0, HANDED_IN + 9, second)
    while bench.messages:
        await bench.step()
    bench.receive(0, REQUESTS + 1, 900)
    bench.receive(0, REQUESTS + 0x1000, 100)
    refuse(bench)
    while bench.commands:
        await bench.step()
    bench.forward(0, HANDED_IN + 0x1003, third)
    await bench.settle()
    got = [(e.kind, e.status, e.cookie) for e in bench.entries[entries:]]
    assert got == [
        (CqKind.FORWARD, Status.OK, HANDED_IN + 9),
        (CqKind.RECEIVE, Status.OK, REQUESTS + 1),
        (CqKind.RECEIVE, Status.OK, REQUESTS + 0x1000),
        (CqKind.FORWARD, Status.OK, HANDED_IN + 0x1003),
    ]
    data = first + second + third
    assert bench.memory[REQUESTS + 1 : REQUESTS + 901] == data[:900]
    assert bench.memory[REQUESTS + 0x1000 : REQUESTS + 0x1064] == data[900:]


@cocotb.test()
async def test_frames_and_raw_frames_pass_while_a_barrier_stands(dut: Any) -> None:
    """Nothing starves: raw frames on one side, pieces of another connection behind the barrier on the other."""
    bench = await started(dut)
    bench.policy = deliver_all
    bench.latency = (60, 90)
    bench.post(Opcode.POOL_POST, list(range(16)))
    bench.post(Opcode.RAW_POST, list(range(16)))
    data = [bench.rng.randbytes(100 + n) for n in range(4)]
    await bench.settle()
    frames = [frame for n in range(4) for frame in (Frame(conn=50, payload=bytes([n])).build(),) * 3]
    bench.wire.extend(frames[:6])
    for n, piece in enumerate(data):
        bench.forward(n % 3, HANDED_IN + 0x1000 * n, piece)
        bench.wire.append(Frame(conn=(n + 1) % 3, payload=piece).build())
    bench.wire.extend(frames[6:])
    await bench.settle()
    assert [e.kind for e in bench.raw_entries] == [CqKind.RAW_RX] * len(frames)
    done = [e.cookie for e in bench.entries if e.kind == CqKind.FORWARD]
    assert done == [HANDED_IN + 0x1000 * n for n in range(4)]
    for entry in bench.entries:
        if entry.kind == CqKind.INDICATION:
            addr = POOL + entry.buf * POOL_BUF_BYTES
            assert bytes(bench.memory[addr : addr + entry.nbytes]) in data
    assert {e.conn for e in bench.entries if e.kind == CqKind.INDICATION} == {0, 1, 2}
    assert bench.faults == []


@cocotb.test()
async def test_raw_frames_without_a_gap_do_not_keep_a_barrier_standing(dut: Any) -> None:
    """What waits behind a barrier, a copy or the list of a fence, does not wait for the raw frames that keep coming."""
    bench = await started(dut, 2)
    bench.latency = (60, 90)
    frames = min(64, int(dut.RAW_BUFS.value))
    bench.post(Opcode.POOL_POST, list(range(8)))
    bench.post(Opcode.RAW_POST, list(range(frames)))
    await bench.settle()
    told_after: list[int] = []  # raw frames
    bench.hook = lambda cqe: told_after.append(len(bench.raw_entries)) if cqe.kind == CqKind.FORWARD else None
    bench.wire.extend(Frame(conn=50, payload=bytes(20 * bench.lanes)).build() for _ in range(frames))
    while len(bench.raw_entries) < 4:
        await bench.step()
    bench.forward(0, HANDED_IN, b"first")
    bench.forward(1, HANDED_IN + 0x1000, b"second")
    while bench.messages:
        await bench.step()
    await bench.run(40)  # both are indicated in the queue of actions
    bench.commands.append(Sqe(opcode=Opcode.ANSWER, conn=1, gen=GEN + 1, arg=1, length=0))
    while bench.commands:
        await bench.step()
    bench.messages.append(DlvMsg(kind=DlvEvt.FREEZE, conn=1, gen=GEN + 1, a=REQUESTS))
    bench.fences_in.append((1, GEN + 1))
    while not bench.fences:
        await bench.step()
    told_after.append(len(bench.raw_entries))
    await bench.settle()
    cocotb.log.info("raw frames before both entries and the fence: %s of %d", told_after, len(bench.raw_entries))
    assert len(bench.raw_entries) == frames
    assert len(told_after) == 3
    assert told_after[2] < frames // 2


@cocotb.test()
async def test_behind_a_full_completion_ring_raw_frames_are_dropped_and_segments_pass_c12(dut: Any) -> None:
    """hostport.md: 16 raw entries wait at most; the frames behind them get their verdicts."""
    bench = await started(dut)
    bench.post(Opcode.RAW_POST, list(range(32)))
    await bench.settle()
    bench.rates["cpl"] = 0
    dut.s_cq_full.value = 1
    bench.wire.extend(Frame(conn=50, payload=b"raw").build() for _ in range(24))
    bench.wire.extend(Frame(conn=1, payload=b"text").build() for _ in range(24))
    await bench.run(3000)
    assert bench.counts[6] == 8, "the frames behind the 16th"
    assert len(bench.segments) == 24
    dut.s_cq_full.value = 0
    bench.rates["cpl"] = 100
    await bench.settle()
    assert len(bench.raw_entries) == 16
    assert bench.counts[6] == 8


@cocotb.test()
async def test_forwarded_text_that_cannot_be_read_or_written_aborts_its_command(dut: Any) -> None:
    """delivery_step.md, errors: nothing of a failed read is written, and only the FORWARD it belongs to says so."""
    bench = await started(dut)
    bench.policy = deliver_all
    bench.post(Opcode.POOL_POST, list(range(8)))
    data = bench.rng.randbytes(400)
    bench.receive(1, REQUESTS, 100)
    bench.receive(1, REQUESTS + 0x1000, 200)
    await bench.settle()
    untouched = bytes(bench.memory[REQUESTS + 0x1000 : REQUESTS + 0x1000 + 200])
    bench.bad = {(HANDED_IN + 192) // 64}  # in the second of three pieces
    bench.forward(1, HANDED_IN, data)
    bench.forward(2, HANDED_IN + 0x1000, b"good")
    await bench.settle()
    told = [(e.kind, e.conn, e.status) for e in bench.entries]
    assert told == [
        (CqKind.RECEIVE, 1, Status.OK),
        (CqKind.RECEIVE, 1, Status.ABORTED),
        (CqKind.FORWARD, 1, Status.ABORTED),
        (CqKind.INDICATION, 1, Status.OK),
        (CqKind.FORWARD, 2, Status.OK),
        (CqKind.INDICATION, 2, Status.OK),
    ]
    assert bench.entries[2] == forwarded(1, HANDED_IN, Status.ABORTED)
    assert bench.memory[REQUESTS : REQUESTS + 100] == data[:100]
    assert bench.memory[REQUESTS + 0x1000 : REQUESTS + 0x1000 + 200] == untouched
    assert bench.faults == [(1, GEN + 1)]
    # a request that cannot be written
    bench.bad = {(REQUESTS + 0x2000) // 64}
    bench.commands.append(Sqe(opcode=Opcode.ANSWER, conn=2, gen=GEN + 2, arg=1, length=4))
    bench.receive(2, REQUESTS + 0x2000, 40)
    await bench.settle()
    bench.forward(2, HANDED_IN + 0x1000, bytes(40))
    await bench.settle()
    assert [(e.kind, e.status) for e in bench.entries[6:]] == [
        (CqKind.RECEIVE, Status.ABORTED),
        (CqKind.FORWARD, Status.ABORTED),
    ]
    assert bench.faults == [(1, GEN + 1), (2, GEN + 2)]


@cocotb.test()
async def test_a_copy_out_of_the_pool_that_fails_is_not_the_fault_of_a_forward_behind_it(dut: Any) -> None:
    bench = await started(dut, 1)
    bench.policy = deliver_all
    await left_in_the_pool(bench, [b"lost", b""])
    entries = len(bench.entries)
    bench.bad = {(POOL + 2048 * bench.entries[-1].buf) // 64}
    bench.receive(0, REQUESTS, 4)
    bench.receive(0, REQUESTS + 0x1000, 4)
    refuse(bench)
    while bench.commands:
        await bench.step()
    bench.forward(0, HANDED_IN, b"kept")
    await bench.settle()
    assert [(e.kind, e.status) for e in bench.entries[entries:]] == [
        (CqKind.RECEIVE, Status.ABORTED),
        (CqKind.RECEIVE, Status.OK),
        (CqKind.FORWARD, Status.OK),
    ]
    assert bench.memory[REQUESTS + 0x1000 : REQUESTS + 0x1004] == b"kept"


class Driver:
    """Streams of random traffic: what was sent, what the host got, whose buffers are whose."""

    def __init__(self, bench: Bench, conns: int) -> None:
        self.bench, self.rng, self.conns = bench, bench.rng, conns
        self.sent = [bytearray() for _ in range(conns)]
        self.got = [bytearray() for _ in range(conns)]
        self.raw_sent: deque[bytes] = deque()
        self.requests: list[deque[tuple[int, int]]] = [deque() for _ in range(conns)]
        self.next_addr = REQUESTS
        self.frames = 0
        bench.hook, bench.raw_hook, bench.policy = self.entry, self.raw, self.decide
        self.free: list[int] = []
        self.raw_free: list[int] = []
        self.credits_used = 0
        self.ended: set[int] = set()
        self.under_way = [0] * conns  # frames whose text has not yet reached delivery_engine
        self.forwards: deque[int] = deque()  # addresses, in order
        self.handed_in = 0

    def decide(self, seg: RxSeg) -> int:
        """PASS_UP, DROP or DELIVER are in the sequence number of the test's frames."""
        wanted = seg.seq & 3
        if wanted == Verdict.DELIVER:
            self.credits_used += 1
            self.under_way[seg.conn] -= 1
        return wanted

    def send(self) -> None:
        rng, conn = self.rng, self.rng.randrange(self.conns)
        longest = FRAME_MAX - 70  # with a tag and twelve bytes of options
        payload = rng.randbytes(rng.choice((1, 2, 7, 63, 64, 65, 500, longest)))
        shape = Frame(
            payload=payload, conn=conn, vlan=rng.choice((None, 5)), flags=rng.choice((0x10, 0x18)),
            options=rng.choice((b"", b"\x01\x01\x08\x0a" + rng.randbytes(8))), seq=rng.getrandbits(30) << 2,
        )  # fmt: skip
        kind = rng.randrange(10)
        verdict = Verdict.DELIVER if kind < 6 else rng.choice((Verdict.DROP, Verdict.PASS_UP))
        shape = Frame(**{**shape.__dict__, "seq": shape.seq | verdict})
        frame = shape.build()
        if kind == 9:
            frame = Frame(**{**shape.__dict__, "tcp_error": 1}).build()
        elif kind == 8:
            frame = Frame(**{**shape.__dict__, "conn": 60}).build()
            self.raw_sent.append(frame)
        elif verdict == Verdict.PASS_UP:
            self.raw_sent.append(frame)
        elif verdict == Verdict.DELIVER:
            self.sent[conn] += payload
            self.under_way[conn] += 1
        self.bench.wire.append(frame)
        self.frames += 1

    def forward(self) -> None:
        """Text that the host hands in, where the wire leaves a gap."""
        conn = self.rng.randrange(self.conns)
        if self.under_way[conn] or len(self.forwards) >= 8:
            return
        payload = self.rng.randbytes(self.rng.choice((1, 8, 64, 100, 1460)))
        src = HANDED_IN + 0x1000 * (self.handed_in % 16) + self.rng.randrange(64)
        self.bench.forward(conn, src, payload, psh=self.rng.randrange(2))
        self.sent[conn] += payload
        self.forwards.append(src)
        self.credits_used += 1
        self.handed_in += 1

    def entry(self, cqe: Cqe) -> None:
        conn = cqe.conn
        if cqe.kind == CqKind.RECEIVE:
            addr, length = self.requests[conn].popleft()
            assert (cqe.status, cqe.cookie) == (Status.OK, addr)
            assert cqe.nbytes <= length
            self.got[conn] += self.bench.memory[addr : addr + cqe.nbytes]
        elif cqe.kind == CqKind.FORWARD:
            assert cqe == forwarded(conn, self.forwards.popleft())
        elif cqe.kind == CqKind.EVENT:
            assert self.sent[conn] == self.got[conn], "the FIN overtook data"
            self.ended.add(conn)
        else:
            assert cqe.kind == CqKind.INDICATION
            addr = POOL + cqe.buf * POOL_BUF_BYTES + cqe.offset
            taken = self.rng.choice((cqe.nbytes, cqe.nbytes, self.rng.randrange(cqe.nbytes + 1)))
            self.got[conn] += self.bench.memory[addr : addr + taken]
            if taken == cqe.nbytes:
                self.free.append(cqe.buf)
            self.bench.commands.append(Sqe(opcode=Opcode.ANSWER, conn=conn, gen=GEN + conn, arg=cqe.info, length=taken))
        sent, got = self.sent[conn], self.got[conn]
        wrong = next((i for i, (a, b) in enumerate(zip(sent, got, strict=False)) if a != b), None)
        assert wrong is None, f"stream {conn} is broken at byte {wrong} of {len(got)}: {cqe}"

    def raw(self, cqe: Cqe) -> None:
        addr = RAW + cqe.buf * POOL_BUF_BYTES
        frame = self.raw_sent.popleft()
        assert (cqe.kind, cqe.status, cqe.nbytes) == (CqKind.RAW_RX, Status.OK, len(frame))
        assert self.bench.memory[addr : addr + cqe.nbytes] == frame
        self.raw_free.append(cqe.buf)

    def serve(self, conn: int) -> None:
        length = self.rng.choice((0, 1, 200, 1460, 6000))
        if len(self.requests[conn]) < int(self.bench.dut.RECVS.value):
            self.requests[conn].append((self.next_addr, length))
            self.bench.receive(conn, self.next_addr, length, nopush=self.rng.randrange(2))
            self.next_addr += length + self.rng.randrange(1, 100)
        if self.next_addr > MEMORY - 10000:
            self.next_addr = REQUESTS

    def give_back(self) -> None:
        if self.free:
            self.bench.post(Opcode.POOL_POST, self.free)
            self.free.clear()
        if self.raw_free:
            self.bench.post(Opcode.RAW_POST, self.raw_free)
            self.raw_free.clear()


@cocotb.test()
async def test_random_traffic(dut: Any) -> None:
    bench = await started(dut, 3)
    driver = Driver(bench, 3)
    buffers = min(32, int(dut.POOL_BUFS.value))
    bench.post(Opcode.POOL_POST, list(range(buffers)))
    bench.post(Opcode.RAW_POST, list(range(min(64, int(dut.RAW_BUFS.value)))))
    await bench.settle()
    for cycle in range(12000 if bench.lanes == 8 else 5000):
        if cycle % 400 == 0:
            for rate in bench.rates:
                bench.rates[rate] = bench.rng.choice((30, 70, 100))
        room = not bench.records or bench.records[-1].fill < int(dut.RX_BEATS.value) // 2
        if room and len(bench.wire) < 3 and bench.credits - driver.credits_used > 6 and len(driver.raw_sent) < 10:
            driver.send()
        if cycle % 60 == 0 and bench.credits - driver.credits_used > 6:
            driver.forward()
        if cycle % 20 == 0:
            driver.serve(bench.rng.randrange(3))
        if cycle % 50 == 0:
            driver.give_back()
        await bench.step()
    for rate in bench.rates:
        bench.rates[rate] = 100
    await bench.settle()
    for conn in range(3):
        bench.messages.append(DlvMsg(kind=DlvEvt.DELIVER, conn=conn, gen=GEN + conn, fin=1))
    for _ in range(200):
        await bench.settle()
        if len(driver.ended) == 3:
            break
        for conn in range(3):  # a reader that refused gets a request
            if driver.sent[conn] != driver.got[conn] and not driver.requests[conn]:
                left = len(driver.sent[conn]) - len(driver.got[conn])
                driver.requests[conn].append((REQUESTS, left))
                bench.receive(conn, REQUESTS, left)
    cocotb.log.info("%d frames, bytes %s", driver.frames, [len(s) for s in driver.sent])
    assert driver.sent == driver.got
    assert not driver.raw_sent
    assert not driver.forwards, "every FORWARD is completed"
    assert driver.handed_in > 10
    assert driver.frames == len(bench.records) > 40
    driver.give_back()
    await bench.settle()
    assert bench.credits - driver.credits_used == buffers, "credits leak"
    assert bench.faults == []
