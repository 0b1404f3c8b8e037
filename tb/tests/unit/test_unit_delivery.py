"""Unit test of `delivery_engine`: the rules of delivery_step.md case by case, then random traffic over whole streams.

DUT = delivery_engine. The bench is tcp_engine, the driver and a symbolic host memory: actions move stream positions
instead of bytes, so order, loss and duplication show at once. One loop a clock: inputs are driven at the falling
edge and handshakes sampled when settled; they happen at the next rising edge.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from model.layout.generated import (
    CREDIT_BATCH,
    POOL_BUF_BYTES,
    Cqe,
    CqKind,
    Dcb,
    DlvEvt,
    DlvMsg,
    LeftOver,
    Opcode,
    PlOp,
    Plq,
    RecDlv,
    Sqe,
    Status,
    TcpEventType,
)

POOL = 0x1_0000_0000  # pool base
HANDED_IN = 0x9_0000_0000  # host addresses of forwarded segments, above all others
MAX_PERIOD = 8  # cycles from commit to commit with input always there
THRESHOLD = 3000  # consumed threshold, bytes
PUSH_TICKS = 20


@dataclass(frozen=True)
class Commit:
    """A commit record, taken apart."""

    cycle: int
    rec: RecDlv

    @property
    def kind(self) -> DlvEvt:
        return DlvEvt(self.rec.kind)

    @property
    def dcb(self) -> Dcb:
        return Dcb.unpack(self.rec.dcb) if isinstance(self.rec.dcb, int) else self.rec.dcb

    @property
    def plq(self) -> Plq:
        return Plq.unpack(self.rec.plq) if isinstance(self.rec.plq, int) else self.rec.plq

    @property
    def cqe(self) -> Cqe:
        cqe = self.plq.cqe
        return Cqe.unpack(cqe) if isinstance(cqe, int) else cqe


class Bench:
    """Feeds messages and commands, takes everything the engine says."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(int(cocotb.RANDOM_SEED))
        self.messages: deque[DlvMsg] = deque()
        self.commands: deque[tuple[Sqe, int]] = deque()
        self.commits: list[Commit] = []
        self.plqs: list[Plq] = []
        self.consumed: list[tuple[int, int, int]] = []
        self.credits: list[int] = []
        self.now = 1000
        self.cycle = 0
        self.sq_index = 0
        self.plq_rate = self.back_rate = self.feed_rate = 100  # percent
        self.held: dict[str, bool] = {}

    async def start(self) -> None:
        dut = self.dut
        self.clock = Clock(dut.clk, 10, unit="ns").start()
        dut.rst.value = 1
        for name in ("s_dlv_valid", "s_dcmd_valid", "m_plq_ready", "m_consumed_ready", "m_credit_ready"):
            getattr(dut, name).value = 0
        dut.pool_base.value = POOL
        dut.now.value = self.now
        for _ in range(4):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        for _ in range(5000):
            await ReadOnly()
            done = int(dut.init_done.value)
            await FallingEdge(dut.clk)
            if done:
                return
        raise AssertionError("init_done never came")

    def offer(self, name: str, waiting: bool) -> bool:
        """Valid of a source: once up it stays until taken."""
        self.held[name] = waiting and (self.held.get(name, False) or self.rng.randrange(100) < self.feed_rate)
        return self.held[name]

    async def step(self) -> None:
        dut, chance = self.dut, self.rng.randrange
        dut.now.value = self.now
        message, command = self.offer("dlv", bool(self.messages)), self.offer("dcmd", bool(self.commands))
        dut.s_dlv_valid.value, dut.s_dcmd_valid.value = int(message), int(command)
        if message:
            dut.s_dlv.value = self.messages[0].pack()
        if command:
            dut.s_dcmd_sqe.value, dut.s_dcmd_sq_index.value = self.commands[0][0].pack(), self.commands[0][1]
        ready = [int(chance(100) < rate) for rate in (self.plq_rate, self.back_rate, self.back_rate)]
        dut.m_plq_ready.value, dut.m_consumed_ready.value, dut.m_credit_ready.value = ready
        await ReadOnly()
        if message and int(dut.s_dlv_ready.value):
            self.messages.popleft()
            self.held["dlv"] = False
        if command and int(dut.s_dcmd_ready.value):
            self.commands.popleft()
            self.held["dcmd"] = False
        if int(dut.rec_dlv_valid.value):
            self.commits.append(Commit(self.cycle, RecDlv.unpack(int(dut.rec_dlv.value))))
            assert self.commits[-1].rec.order == len(self.commits) - 1
        if int(dut.m_plq_valid.value) and ready[0]:
            self.plqs.append(Plq.unpack(int(dut.m_plq.value)))
            assert self.plqs[-1] == self.commits[-1].plq, "record and action differ"
        if int(dut.m_consumed_valid.value) and ready[1]:
            conn, gen = int(dut.m_consumed_conn.value), int(dut.m_consumed_gen.value)
            self.consumed.append((conn, gen, int(dut.m_consumed_bytes.value)))
        if int(dut.m_credit_valid.value) and ready[2]:
            self.credits.append(int(dut.m_credit_count.value))
        self.idle = int(dut.idle.value)
        self.cycle += 1
        await FallingEdge(dut.clk)

    async def settle(self) -> list[Commit]:
        """Runs until nothing is left to do; returns the commits since the last call."""
        mark = getattr(self, "mark", 0)
        quiet = 0
        for _ in range(20000):
            await self.step()
            quiet = quiet + 1 if self.idle and not self.messages and not self.commands else 0
            if quiet > 3:
                self.mark = len(self.commits)
                return self.commits[mark:]
        raise AssertionError("the engine does not become idle")

    # -- events
    def message(self, kind: DlvEvt, conn: int = 1, gen: int = 7, **fields: int) -> None:
        self.messages.append(DlvMsg(kind=kind, conn=conn, gen=gen, **fields))

    def command(self, opcode: Opcode, conn: int = 1, gen: int = 7, **fields: int) -> int:
        self.sq_index = (self.sq_index + 1) & 0xFFFF
        self.commands.append((Sqe(opcode=opcode, conn=conn, gen=gen, **fields), self.sq_index))
        return self.sq_index

    def post_pool(self, buffers: list[int]) -> None:
        value = 0
        for i, buffer in enumerate(buffers):
            value |= buffer << (256 + 16 * i)
        sqe = Sqe.unpack(Sqe(opcode=Opcode.POOL_POST, count=len(buffers)).pack() | value)
        self.sq_index = (self.sq_index + 1) & 0xFFFF
        self.commands.append((sqe, self.sq_index))

    def receive(self, addr: int, length: int, nopush: int = 0, cookie: int = 0, **fields: int) -> int:
        return self.command(Opcode.RECEIVE, addr=addr, length=length, flags=nopush, cookie=cookie or addr, **fields)

    def deliver(self, arrival: int, length: int, psh: int = 0, fin: int = 0, offset: int = 54, **fields: int) -> None:
        self.message(DlvEvt.DELIVER, arrival=arrival, offset=offset, len=length, psh=psh, fin=fin, **fields)

    def forward(self, src: int, length: int, **fields: int) -> None:
        """A forwarded piece at `src`, of the command with sq_index 9 and the address as its cookie."""
        self.message(DlvEvt.DELIVER, len=length, fwd=1, a=src, cookie=src, sq_index=9, **fields)

    async def open(self, conn: int = 1, gen: int = 7, buffers: int = 8, hold: int = 0) -> list[Commit]:
        """LOAD, START, and pool buffers 10, 11, .. of which none is used yet."""
        self.message(DlvEvt.LOAD, conn, gen, info=THRESHOLD, push_ticks=PUSH_TICKS, sq_index=3, a=0xC0)
        self.message(DlvEvt.START, conn, gen, hold=hold, sq_index=4, a=0xC1)
        for first in range(0, buffers, 16):
            self.post_pool([10 + i for i in range(first, min(buffers, first + 16))])
        return await self.settle()


def kinds(commits: list[Commit]) -> list[DlvEvt]:
    return [c.kind for c in commits]


def entries(commits: list[Commit]) -> list[tuple[int, int, int, int]]:
    """(kind, status, cookie, bytes) of the completion entries."""
    return [(c.cqe.kind, c.cqe.status, c.cqe.cookie, c.cqe.nbytes) for c in commits if c.plq.cqe_valid]


def places(commits: list[Commit]) -> list[tuple[int, int, int, int, int]]:
    """(arrival, offset, length, destination, last) of the PLACE actions."""
    return [(c.plq.arrival, c.plq.offset, c.plq.len, c.plq.dst, c.plq.last) for c in commits if c.plq.op == PlOp.PLACE]


def copies(commits: list[Commit]) -> list[tuple[int, int, int]]:
    return [(c.plq.src, c.plq.dst, c.plq.len) for c in commits if c.plq.op == PlOp.COPY]


def barriers(commits: list[Commit]) -> list[int]:
    return [c.plq.barrier for c in commits if c.plq.op == PlOp.COPY]


def lists(commits: list[Commit]) -> list[tuple[int, LeftOver]]:
    return [(c.plq.dst, LeftOver.unpack(c.plq.list_data)) for c in commits if c.plq.op == PlOp.LIST_WRITE]


def buffer_addr(index: int) -> int:
    return POOL + index * POOL_BUF_BYTES


def done(cookie: int, nbytes: int, status: Status = Status.OK) -> tuple[int, int, int, int]:
    return (CqKind.RECEIVE, status, cookie, nbytes)


def forwarded(src: int) -> tuple[int, int, int, int]:
    return (CqKind.FORWARD, Status.OK, src, 0)


@cocotb.test()
async def test_load_and_start_complete_their_commands(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    commits = await bench.open(hold=1)
    load = next(c for c in commits if c.kind == DlvEvt.LOAD)
    start = next(c for c in commits if c.kind == DlvEvt.START)
    assert load.cqe == Cqe(kind=CqKind.COMMAND, conn=1, gen=7, code=Opcode.INITIATE, cookie=0xC0, sq_index=3)
    assert start.cqe == Cqe(kind=CqKind.COMMAND, conn=1, gen=7, code=Opcode.START, cookie=0xC1, sq_index=4)
    assert load.dcb == Dcb(loaded=1, gen=7, hold=1, push_ticks=PUSH_TICKS, consumed_thr=THRESHOLD)
    assert start.dcb.hold == 1
    post = next(c for c in commits if c.kind == DlvEvt.POOL_POST)
    assert (post.rec.credit_ret, post.rec.pool_free, post.rec.conn) == (8, 8, 0)
    assert post.dcb == Dcb()
    assert sum(bench.credits) == 8
    bench.message(DlvEvt.NOTIFY, event=TcpEventType.RETRIEVE, info=5)
    (notify,) = await bench.settle()
    assert notify.cqe == Cqe(kind=CqKind.EVENT, conn=1, gen=7, code=TcpEventType.RETRIEVE, info=5)


@cocotb.test()
async def test_nothing_is_said_before_resume(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.receive(0x9000, 100)
    bench.deliver(0, 60, fin=1)
    commits = await bench.settle()
    assert entries(commits) == []
    assert places(commits) == [(0, 54, 60, buffer_addr(10), 1)]
    bench.command(Opcode.RESUME)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.RESUME, DlvEvt.CONTINUE, DlvEvt.CONTINUE, DlvEvt.CONTINUE]
    assert copies(commits) == [(buffer_addr(10), 0x9000, 60)]
    assert entries(commits) == [done(0x9000, 60), (CqKind.EVENT, 0, 0, 0)], "FIN flushes the request, then the event"
    assert commits[1].dcb.push_on == 1
    assert commits[-1].dcb.fin_done == 1
    assert commits[-1].dcb.push_on == 0


@cocotb.test()
async def test_a_piece_goes_straight_into_the_requests(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 100)
    bench.receive(0x2000, 0)
    bench.receive(0x3001, 50)
    await bench.settle()
    bench.deliver(5, 300, psh=1)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER] + [DlvEvt.CONTINUE] * 4
    assert places(commits) == [
        (5, 54, 100, 0x1000, 0),
        (5, 154, 50, 0x3001, 0),
        (5, 204, 150, buffer_addr(10), 1),
    ]
    assert entries(commits)[:3] == [done(0x1000, 100), done(0x2000, 0), done(0x3001, 50)]
    assert commits[0].rec.cause == 5
    assert [c.rec.consumed for c in commits] == [100, 0, 50, 0, 0]
    assert [c.rec.credit_ret for c in commits] == [0, 0, 0, 0, 0], "the rest used the credit's buffer"
    indication = commits[-1].cqe
    assert indication == Cqe(kind=CqKind.INDICATION, conn=1, gen=7, buf=10, offset=0, nbytes=150, info=1)
    assert sum(b for _, _, b in bench.consumed) == 150


@cocotb.test()
async def test_a_forwarded_piece_is_copied_into_the_request_and_completes_behind(dut: Any) -> None:
    """DELIVER with fwd."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 1000)
    await bench.settle()
    given = sum(bench.credits)
    bench.forward(0x7_1234_5001, 300)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER, DlvEvt.CONTINUE]
    assert commits[0].plq == Plq(op=PlOp.COPY, conn=1, gen=7, src=0x7_1234_5001, dst=0x1000, len=300)
    assert (commits[0].rec.cause, commits[0].rec.consumed, commits[0].rec.credit_ret) == (0, 300, 1)
    assert (commits[0].dcb.req_filled, commits[0].dcb.push_on) == (300, 1)
    want = Cqe(kind=CqKind.FORWARD, conn=1, gen=7, code=Opcode.FORWARD, cookie=0x7_1234_5001, sq_index=9)
    assert commits[1].plq == Plq(conn=1, gen=7, cqe_valid=1, cqe=want.pack())
    assert commits[1].dcb == commits[0].dcb
    assert sum(bench.credits) - given == 1
    # with PSH the request completes with the copy, the FORWARD behind it
    bench.forward(0x9000, 20, psh=1)
    commits = await bench.settle()
    assert copies(commits) == [(0x9000, 0x112C, 20)]
    assert entries(commits) == [done(0x1000, 320), forwarded(0x9000)]
    # the next piece is one from the wire again
    bench.receive(0x2000, 10)
    bench.deliver(5, 10)
    commits = await bench.settle()
    assert places(commits) == [(5, 54, 10, 0x2000, 1)]
    assert entries(commits) == [done(0x2000, 10)]


@cocotb.test()
async def test_a_forwarded_piece_is_split_over_requests_and_the_rest_goes_to_the_pool(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 100)
    bench.receive(0x2000, 0)
    bench.receive(0x3001, 50)
    await bench.settle()
    bench.forward(0x5_0003, 300, psh=1, fin=1)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER] + [DlvEvt.CONTINUE] * 5
    assert copies(commits) == [
        (0x5_0003, 0x1000, 100),
        (0x5_0003 + 100, 0x3001, 50),
        (0x5_0003 + 150, buffer_addr(10), 150),
    ]
    assert barriers(commits) == [0, 0, 1], "only what may be read again holds up what follows"
    assert places(commits) == []
    assert [c.plq.last for c in commits] == [0] * 6
    told = [done(0x1000, 100), done(0x2000, 0), done(0x3001, 50), forwarded(0x5_0003)]
    assert entries(commits)[:4] == told, "behind the last piece, before anything else is said"
    assert commits[-1].cqe == Cqe(kind=CqKind.INDICATION, conn=1, gen=7, buf=10, nbytes=150, info=1)
    assert [c.dcb.fin_mark for c in commits] == [0, 0, 0, 1, 1, 1]
    assert [c.rec.credit_ret for c in commits] == [0] * 6, "the rest used the credit's buffer"
    bench.command(Opcode.ANSWER, arg=1, length=150)
    commits = await bench.settle()
    assert commits[-1].cqe.code == TcpEventType.DISCONNECT


@cocotb.test()
async def test_a_request_that_waits_reads_the_forwarded_text_out_of_the_pool(dut: Any) -> None:
    """The list keeps the order of forwarded text and text from the wire; W-2 behind the FORWARD's entry."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.deliver(0, 40)
    await bench.settle()  # the indication waits for its answer
    bench.forward(0x6000, 60)
    bench.receive(0x1000, 100)
    commits = await bench.settle()
    assert copies(commits) == [(0x6000, buffer_addr(11), 60)]
    assert entries(commits) == [forwarded(0x6000)]
    bench.command(Opcode.ANSWER, arg=1, length=0)
    commits = await bench.settle()
    assert copies(commits) == [(buffer_addr(10), 0x1000, 40), (buffer_addr(11), 0x1028, 60)]
    assert barriers(commits) == [0, 0]
    assert entries(commits) == [done(0x1000, 100)]
    assert [c.rec.credit_ret for c in commits] == [0, 1, 1]


@cocotb.test()
async def test_forwarded_text_of_a_held_connection_goes_to_the_pool(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.receive(0x1000, 100)
    bench.forward(0x6000, 60, psh=1)
    commits = await bench.settle()
    assert copies(commits) == [(0x6000, buffer_addr(10), 60)]
    assert barriers(commits) == [1]
    assert entries(commits) == [forwarded(0x6000)], "it is processed, whatever the host is not yet told"
    bench.message(DlvEvt.NOTIFY, aborted=1)
    commits = await bench.settle()
    assert entries(commits) == [done(0x1000, 0, Status.ABORTED)]


@cocotb.test()
async def test_push_completes_push_requests_only(dut: Any) -> None:
    """S15."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 1000)
    await bench.settle()
    bench.deliver(0, 100)
    (commit,) = await bench.settle()
    assert (commit.dcb.push_on, commit.dcb.push_deadline) == (1, bench.now + PUSH_TICKS)
    assert commit.rec.credit_ret == 1
    assert bench.consumed == [], "below the threshold nothing is said"
    bench.deliver(1, 200, psh=1)
    (commit,) = await bench.settle()
    assert entries([commit]) == [done(0x1000, 300)]
    assert commit.dcb.push_on == 0
    assert bench.consumed == [(1, 7, 300)]
    bench.receive(0x2000, 1000, nopush=1)
    await bench.settle()
    bench.deliver(2, 999, psh=1)
    bench.deliver(3, 1)
    commits = await bench.settle()
    assert entries(commits) == [done(0x2000, 1000)]
    assert commits[0].dcb.push_on == 0
    assert places(commits)[1][3] == 0x2000 + 999


@cocotb.test()
async def test_the_push_of_what_waits_in_the_pool_completes_the_request_at_once_ch_127(dut: Any) -> None:
    """S15. W-2: as if the request had been posted when the segment came; no timer is waited for."""
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.deliver(0, 100)
    bench.deliver(1, 200, psh=1)
    bench.receive(0x1000, 1000)
    assert entries(await bench.settle()) == []
    bench.command(Opcode.RESUME)
    commits = await bench.settle()
    assert copies(commits) == [(buffer_addr(10), 0x1000, 100), (buffer_addr(11), 0x1000 + 100, 200)]
    assert entries(commits) == [done(0x1000, 300)]
    assert commits[1].plq.cqe_valid == 0, "the first piece was not pushed"
    assert [c.dcb.push_on for c in commits] == [0, 0, 0], "more of the list waited, then the request was gone"
    assert (commits[-1].dcb.req_count, commits[-1].dcb.req_filled, commits[-1].dcb.list_count) == (0, 0, 0)
    assert bench.consumed == [(1, 7, 300)]


@cocotb.test()
async def test_a_request_ends_at_the_push_though_more_of_the_list_waits_ch_127(dut: Any) -> None:
    """W-2: the next request goes on behind it; without a push the timer runs when the list is empty."""
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    for arrival, psh in enumerate((0, 1, 1, 0)):
        bench.deliver(arrival, 100 + arrival, psh=psh)
    for addr in (0x1000, 0x2000, 0x3000):
        bench.receive(addr, 1000)
    await bench.settle()
    bench.command(Opcode.RESUME)
    commits = await bench.settle()
    assert copies(commits) == [
        (buffer_addr(10), 0x1000, 100),
        (buffer_addr(11), 0x1000 + 100, 101),
        (buffer_addr(12), 0x2000, 102),
        (buffer_addr(13), 0x3000, 103),
    ]
    assert entries(commits) == [done(0x1000, 201), done(0x2000, 102)]
    assert (commits[-1].dcb.push_on, commits[-1].dcb.push_deadline) == (1, bench.now + PUSH_TICKS)
    assert (commits[-1].dcb.req_count, commits[-1].dcb.req_filled) == (1, 103)
    bench.deliver(9, 1, psh=1)
    assert entries(await bench.settle()) == [done(0x3000, 104)]


@cocotb.test()
async def test_a_request_that_is_full_before_the_push_leaves_it_to_the_next_ch_127(dut: Any) -> None:
    """W-2: a node that is not emptied keeps its push, one that fills the request to the last byte says nothing more."""
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.deliver(0, 100, psh=1)
    bench.deliver(1, 100, psh=1)
    bench.receive(0x1000, 60)
    bench.receive(0x2000, 1000)
    bench.receive(0x3000, 100)
    bench.receive(0x4000, 100)
    await bench.settle()
    bench.command(Opcode.RESUME)
    commits = await bench.settle()
    assert copies(commits) == [
        (buffer_addr(10), 0x1000, 60),
        (buffer_addr(10) + 60, 0x2000, 40),
        (buffer_addr(11), 0x3000, 100),
    ]
    assert entries(commits) == [done(0x1000, 60), done(0x2000, 40), done(0x3000, 100)]
    assert (commits[-1].dcb.req_count, commits[-1].dcb.push_on) == (1, 0), "the last request got nothing"


@cocotb.test()
async def test_what_is_left_of_an_indication_keeps_its_push_ch_127(dut: Any) -> None:
    """ANSWER with less than was shown, and refused: the request that takes the rest ends with it."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.deliver(0, 300, psh=1)
    bench.deliver(1, 50)
    assert [c.cqe.kind for c in await bench.settle() if c.plq.cqe_valid] == [CqKind.INDICATION]
    bench.command(Opcode.ANSWER, arg=1, length=120)
    assert entries(await bench.settle()) == []
    bench.receive(0x1000, 1000)
    commits = await bench.settle()
    assert copies(commits) == [(buffer_addr(10) + 120, 0x1000, 180)]
    assert entries(commits)[0] == done(0x1000, 180)
    assert commits[-1].cqe == Cqe(kind=CqKind.INDICATION, conn=1, gen=7, buf=11, nbytes=50, info=2)


@cocotb.test()
async def test_a_push_in_the_pool_is_nothing_to_a_request_without_push_or_to_a_freeze_ch_129(dut: Any) -> None:
    """A request with NOPUSH is filled over it; a frozen connection fills, and gives back as an upload (W-6)."""
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.deliver(0, 100, psh=1)
    bench.deliver(1, 200, psh=1)
    bench.receive(0x1000, 1000, nopush=1)
    await bench.settle()
    bench.command(Opcode.RESUME)
    commits = await bench.settle()
    assert [n for _, _, n in copies(commits)] == [100, 200]
    assert entries(commits) == []
    assert (commits[-1].dcb.req_filled, commits[-1].dcb.push_on) == (300, 0)
    bench.deliver(2, 700)
    assert entries(await bench.settle()) == [done(0x1000, 1000)]
    # the same pieces, taken by a push-mode request while the connection is frozen
    bench.message(DlvEvt.START, hold=1, sq_index=4, a=0xC1)
    bench.deliver(3, 100, psh=1)
    bench.deliver(4, 200, psh=1)
    bench.receive(0x2000, 1000)
    await bench.settle()
    bench.message(DlvEvt.FREEZE, a=0)
    commits = await bench.settle()
    assert [n for _, _, n in copies(commits)] == [100, 200]
    assert entries(commits) == [done(0x2000, 300, Status.UPLOAD)]


@cocotb.test()
async def test_a_buffer_that_is_used_again_has_the_push_of_what_is_in_it_now(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(buffers=2, hold=1)
    for psh in (1, 0, 0, 1):  # buffers 10, 11, 10, 11
        bench.deliver(0, 100, psh=psh)
        bench.receive(0x1000, 1000)
        await bench.settle()
        bench.command(Opcode.RESUME)
        commits = await bench.settle()
        assert (entries(commits) == [done(0x1000, 100)], commits[-1].dcb.push_on) == (bool(psh), 1 - psh)
        bench.message(DlvEvt.START, hold=1, sq_index=4, a=0xC1)
        await bench.settle()
        if not psh:
            bench.deliver(0, 900)  # pooled, too; the request is full
            await bench.settle()
            bench.command(Opcode.RESUME)
            assert entries(await bench.settle())[-1] == done(0x1000, 1000)
            bench.message(DlvEvt.START, hold=1, sq_index=4, a=0xC1)
            await bench.settle()


@cocotb.test()
async def test_forwarded_text_in_the_pool_keeps_its_push_ch_127(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.forward(0x6000, 60, psh=1)
    bench.receive(0x1000, 100)
    assert entries(await bench.settle()) == [forwarded(0x6000)]
    bench.command(Opcode.RESUME)
    commits = await bench.settle()
    assert entries(commits) == [done(0x1000, 60)]


@cocotb.test()
async def test_push_timer_completes_a_partly_filled_request(dut: Any) -> None:
    """S15."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 1000)
    bench.receive(0x2000, 500)
    await bench.settle()
    bench.deliver(0, 100)
    await bench.settle()
    bench.now += PUSH_TICKS - 1
    for _ in range(3 * 64):
        await bench.step()
    assert await bench.settle() == []
    bench.deliver(1, 100)
    (commit,) = await bench.settle()
    assert commit.dcb.push_deadline == bench.now + PUSH_TICKS, "later data restarts the timer"
    bench.now += 1
    assert await bench.settle() == []
    bench.now += PUSH_TICKS - 1
    for _ in range(3 * 64):
        await bench.step()
    (commit,) = await bench.settle()
    assert commit.kind == DlvEvt.TIMER
    assert entries([commit]) == [done(0x1000, 200)]
    assert (commit.dcb.req_head, commit.dcb.req_count, commit.dcb.req_filled) == (1, 1, 0)
    bench.now += 0x7000_0000
    for _ in range(3 * 64):
        await bench.step()
    assert await bench.settle() == [], "the timer is off"


@cocotb.test()
async def test_indication_answers(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.deliver(0, 100)
    bench.deliver(1, 200)
    commits = await bench.settle()
    assert places(commits) == [(0, 54, 100, buffer_addr(10), 1), (1, 54, 200, buffer_addr(11), 1)]
    assert [e[0] for e in entries(commits)] == [CqKind.INDICATION], "one at a time"
    assert commits[-1].dcb.list_count == 2
    index = bench.command(Opcode.ANSWER, arg=2, length=100, cookie=0x77)
    (commit,) = await bench.settle()
    assert commit.cqe == Cqe(
        kind=CqKind.COMMAND, status=Status.BAD_TOKEN, conn=1, gen=7, code=Opcode.ANSWER, cookie=0x77, sq_index=index
    )
    bench.command(Opcode.ANSWER, arg=1, length=101)
    (commit,) = await bench.settle()
    assert (commit.cqe.status, commit.dcb.d) == (Status.BAD_LENGTH, 1)
    bench.command(Opcode.ANSWER, arg=1, length=100)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.ANSWER, DlvEvt.CONTINUE]
    assert (commits[0].rec.consumed, commits[0].rec.credit_ret, commits[0].dcb.list_head) == (100, 0, 11)
    assert bench.consumed[-1] == (1, 7, 100)
    assert (commits[1].cqe.buf, commits[1].cqe.info, commits[1].cqe.nbytes) == (11, 2, 200)
    bench.command(Opcode.ANSWER, arg=2, length=50)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.ANSWER], "refused: no indication before the next request"
    assert commits[0].dcb.refused == 1
    bench.deliver(2, 10)
    assert kinds(await bench.settle()) == [DlvEvt.DELIVER]
    bench.receive(0x5000, 0)
    commits = await bench.settle()
    assert entries(commits)[0] == done(0x5000, 0), "a zero-byte request completes and ends the refusal"
    assert (commits[-1].cqe.buf, commits[-1].cqe.offset, commits[-1].cqe.nbytes) == (11, 50, 150)
    bench.command(Opcode.ANSWER, arg=3, length=0)
    await bench.settle()
    bench.receive(0x6000, 155)
    commits = await bench.settle()
    assert copies(commits) == [(buffer_addr(11) + 50, 0x6000, 150), (buffer_addr(12), 0x6000 + 150, 5)]
    assert [c.rec.credit_ret for c in commits] == [0, 1, 0, 0]
    assert entries(commits)[0] == done(0x6000, 155)
    assert (commits[-1].cqe.buf, commits[-1].cqe.offset, commits[-1].cqe.nbytes) == (12, 5, 5)
    bench.command(Opcode.ANSWER, arg=4, length=0)
    bench.command(Opcode.ANSWER, arg=4, length=0)
    commits = await bench.settle()
    assert entries(commits) == [(CqKind.COMMAND, Status.BAD_TOKEN, 0, 0)], "no indication is outstanding"


@cocotb.test()
async def test_fin_flushes_requests_then_says_disconnect(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    for i in range(3):
        bench.receive(0x1000 * (i + 1), 100, nopush=1)
    await bench.settle()
    bench.deliver(0, 130)
    bench.deliver(0, 0, fin=1, offset=0)
    commits = await bench.settle()
    assert entries(commits) == [
        done(0x1000, 100),
        done(0x2000, 30),
        done(0x3000, 0),
        (CqKind.EVENT, Status.OK, 0, 0),
    ]
    assert commits[-1].cqe.code == TcpEventType.DISCONNECT
    index = bench.receive(0x4000, 10)
    (commit,) = await bench.settle()
    assert entries([commit]) == [done(0x4000, 0, Status.INVALID_STATE)]
    assert commit.cqe.sq_index == index


@cocotb.test()
async def test_fin_waits_for_the_answer(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.deliver(0, 130, fin=1)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER, DlvEvt.CONTINUE]
    assert commits[0].dcb.fin_mark == 1
    bench.command(Opcode.ANSWER, arg=1, length=130)
    commits = await bench.settle()
    assert entries(commits) == [(CqKind.EVENT, Status.OK, 0, 0)]
    assert (commits[-1].dcb.list_count, commits[-1].dcb.fin_done) == (0, 1)


@cocotb.test()
async def test_requests_beyond_the_ring_are_refused(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    size = int(dut.RECVS.value)
    for lap in range(3):
        for i in range(size + 1):
            bench.receive(0x1000 * (i + 1), 10, nopush=1)
        commits = await bench.settle()
        assert entries(commits) == [done(0x1000 * (size + 1), 0, Status.NO_RESOURCES)]
        bench.deliver(lap, 10 * size)
        commits = await bench.settle()
        assert entries(commits) == [done(0x1000 * (i + 1), 10) for i in range(size)]


@cocotb.test()
async def test_wrong_generation_changes_nothing(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    bench.command(Opcode.RESUME, conn=2)
    bench.receive(0x1000, 10, conn=2)
    bench.command(Opcode.ANSWER, conn=2)
    commits = await bench.settle()
    assert [(c.cqe.kind, c.cqe.status, c.cqe.code) for c in commits] == [
        (CqKind.COMMAND, Status.BAD_STATE, Opcode.RESUME),
        (CqKind.RECEIVE, Status.BAD_STATE, Opcode.RECEIVE),
        (CqKind.COMMAND, Status.BAD_STATE, Opcode.ANSWER),
    ]
    await bench.open()
    before = bench.commits[-1].rec.order
    bench.receive(0x1000, 10, gen=8)
    bench.message(DlvEvt.NOTIFY, gen=8, event=1)
    bench.message(DlvEvt.START, gen=6)
    bench.message(DlvEvt.FREEZE, gen=6)
    bench.deliver(9, 0, fin=1, gen=6)
    commits = await bench.settle()
    assert [c.rec.order for c in commits] == [before + 1 + i for i in range(5)]
    assert entries(commits) == [done(0x1000, 0, Status.BAD_STATE)]
    assert len({c.rec.dcb for c in commits}) == 1


@cocotb.test()
async def test_freeze_fills_completes_and_writes_left_overs(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.deliver(0, 100)
    bench.deliver(1, 200)
    bench.deliver(2, 300)
    await bench.settle()
    bench.receive(0x1000, 120)
    bench.receive(0x2000, 0)
    bench.receive(0x3000, 60)
    await bench.settle()
    bench.message(DlvEvt.FREEZE, a=0x8000)
    commits = await bench.settle()
    assert entries(commits) == [], "the answer is waited for"
    assert commits[-1].dcb.frozen == 1
    given = sum(bench.credits)
    bench.command(Opcode.ANSWER, arg=1, length=20)
    commits = await bench.settle()
    assert copies(commits) == [
        (buffer_addr(10) + 20, 0x1000, 80),
        (buffer_addr(11), 0x1050, 40),
        (buffer_addr(11) + 40, 0x3000, 60),
    ]
    assert entries(commits) == [done(0x1000, 120), done(0x2000, 0, Status.UPLOAD), done(0x3000, 60)]
    assert lists(commits) == [
        (0x8008, LeftOver(buf=11, offset=100, length=100)),
        (0x8010, LeftOver(buf=12, offset=0, length=300)),
        (0x8000, LeftOver(buf=2)),
    ]
    assert commits[-1].plq.freeze_done == 1
    assert sum(c.plq.freeze_done for c in commits) == 1
    assert (commits[-1].dcb.loaded, commits[-1].dcb.freeze_done, commits[-1].dcb.freeze_count) == (0, 1, 2)
    assert sum(bench.credits) - given == 1, "only the copied buffer comes back"


@cocotb.test()
async def test_freeze_uploads_the_rest_of_the_requests(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 120)
    bench.receive(0x2000, 40)
    await bench.settle()
    bench.deliver(0, 100)
    await bench.settle()
    bench.message(DlvEvt.FREEZE, a=0)
    commits = await bench.settle()
    assert entries(commits) == [done(0x1000, 100, Status.UPLOAD), done(0x2000, 0, Status.UPLOAD)]
    assert lists(commits) == []
    assert [c.plq.freeze_done for c in commits] == [0, 0, 0, 1]
    assert sum(b for _, _, b in bench.consumed) == 100
    assert commits[0].dcb.push_on == 0
    bench.receive(0x3000, 5)
    (commit,) = await bench.settle()
    assert entries([commit]) == [done(0x3000, 0, Status.BAD_STATE)], "the connection is gone"


@cocotb.test()
async def test_abort_frees_the_data(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.receive(0x1000, 120)
    bench.deliver(0, 100)
    bench.deliver(1, 100)
    await bench.settle()
    given = sum(bench.credits)
    bench.message(DlvEvt.FREEZE, a=0x8000, aborted=1)
    commits = await bench.settle()
    assert entries(commits) == [done(0x1000, 0, Status.ABORTED)]
    assert copies(commits) == []
    assert lists(commits) == [(0x8000, LeftOver(buf=0))]
    assert sum(bench.credits) - given == 2
    assert commits[-1].rec.pool_free == 8
    # the next life of the connection starts from nothing
    await bench.open(gen=8, buffers=0)
    bench.deliver(0, 9, gen=8)
    commits = await bench.settle()
    assert (commits[-1].cqe.kind, commits[-1].cqe.info, commits[-1].cqe.gen) == (CqKind.INDICATION, 1, 8)
    assert commits[-1].cqe.buf == 12, "buffers go round in order"


@cocotb.test()
async def test_abort_gives_back_requests_and_buffers_at_once(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    for addr, length in ((0x1000, 120), (0x2000, 0x900), (0x3000, 0), (0x4000, 7)):
        bench.receive(addr, length)
    await bench.settle()
    bench.deliver(0, 200)
    await bench.settle()
    bench.now += 1
    bench.message(DlvEvt.NOTIFY, event=TcpEventType.ABORT, aborted=1)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.NOTIFY] + [DlvEvt.CONTINUE] * 3
    assert commits[0].cqe == Cqe(kind=CqKind.EVENT, conn=1, gen=7, code=TcpEventType.ABORT), "the event is first"
    assert (commits[0].dcb.aborted, commits[0].dcb.push_on, commits[0].dcb.frozen) == (1, 0, 0)
    assert entries(commits)[1:] == [
        done(0x2000, 80, Status.ABORTED),
        done(0x3000, 0, Status.ABORTED),
        done(0x4000, 0, Status.ABORTED),
    ]
    assert sum(b for _, _, b in bench.consumed) == 200, "the bytes in the request count as consumed"
    assert commits[-1].dcb.loaded == 1
    bench.now += 10 * PUSH_TICKS
    for _ in range(3 * 64):
        await bench.step()
    assert await bench.settle() == [], "no push timer"
    bench.receive(0x5000, 10)
    bench.receive(0x6000, 0)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.RECEIVE] * 2
    assert entries(commits) == [done(0x5000, 0, Status.ABORTED), done(0x6000, 0, Status.ABORTED)]
    assert commits[0].cqe.sq_index == bench.sq_index - 1
    bench.message(DlvEvt.NOTIFY, aborted=1)  # a second abort changes nothing and says nothing
    (commit,) = await bench.settle()
    assert commit.plq == Plq()
    bench.message(DlvEvt.FREEZE, a=0x8000)  # aborted it stays
    commits = await bench.settle()
    assert commits[0].dcb.aborted == 1
    assert lists(commits) == [(0x8000, LeftOver(buf=0))]
    assert [c.plq.freeze_done for c in commits] == [0, 1]
    assert entries(commits) == []
    bench.receive(0x7000, 5)
    assert entries(await bench.settle()) == [done(0x7000, 0, Status.BAD_STATE)]


@cocotb.test()
async def test_abort_without_event_frees_what_was_held_back(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.receive(0x1000, 120)
    bench.deliver(0, 100)
    bench.deliver(1, 100, fin=1)
    await bench.settle()
    given = sum(bench.credits)
    bench.message(DlvEvt.NOTIFY, aborted=1)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.NOTIFY] + [DlvEvt.CONTINUE] * 3
    assert entries(commits) == [done(0x1000, 0, Status.ABORTED)], "no event, neither of the abort nor of the FIN"
    assert copies(commits) == []
    assert [c.rec.credit_ret for c in commits] == [0, 0, 1, 1]
    assert sum(bench.credits) - given == 2
    assert (commits[-1].rec.pool_free, commits[-1].dcb.list_count, commits[-1].dcb.list_head) == (8, 0, 0)
    assert bench.consumed == []
    bench.command(Opcode.RESUME)
    assert entries(await bench.settle()) == []
    # of another generation: nothing
    bench.message(DlvEvt.NOTIFY, gen=6, event=TcpEventType.ABORT, aborted=1)
    (commit,) = await bench.settle()
    assert commit.plq == Plq()


@cocotb.test()
async def test_abort_waits_for_the_answer(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    for conn, taken in ((1, 30), (2, 100)):
        if conn == 2:
            await bench.open(conn=2, buffers=0)
        bench.deliver(0, 100, conn=conn)
        bench.deliver(1, 200, conn=conn)
        commits = await bench.settle()
        assert [e[0] for e in entries(commits)] == [CqKind.INDICATION]
        held = commits[-1].rec.pool_free
        given = sum(bench.credits)
        bench.receive(0x1000, 120, conn=conn)
        bench.message(DlvEvt.NOTIFY, conn=conn, event=TcpEventType.ABORT, aborted=1)
        commits = await bench.settle()
        assert DlvEvt.CONTINUE not in kinds(commits), "the answer is waited for"
        bench.receive(0x2000, 5, conn=conn)
        commits = await bench.settle()
        assert entries(commits) == [done(0x2000, 0, Status.ABORTED)]
        bench.command(Opcode.ANSWER, conn=conn, arg=1, length=taken)
        commits = await bench.settle()
        whole = taken == 100
        assert kinds(commits) == [DlvEvt.ANSWER] + [DlvEvt.CONTINUE] * (2 if whole else 3)
        assert entries(commits) == [done(0x1000, 0, Status.ABORTED)]
        assert copies(commits) == []
        assert commits[0].rec.consumed == taken
        back = 1 if whole else 2  # the buffer that was taken whole is the host's
        assert commits[-1].rec.pool_free - held == back
        assert sum(bench.credits) - given == back
        bench.message(DlvEvt.FREEZE, conn=conn, a=0, aborted=1)
        assert [c.plq.freeze_done for c in await bench.settle()] == [0, 1]


@cocotb.test()
async def test_a_receive_after_the_fin_says_aborted_when_it_is(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.deliver(0, 0, fin=1)
    commits = await bench.settle()
    assert commits[-1].cqe.code == TcpEventType.DISCONNECT
    bench.receive(0x1000, 5)
    assert entries(await bench.settle()) == [done(0x1000, 0, Status.INVALID_STATE)]
    bench.message(DlvEvt.NOTIFY, aborted=1)
    assert entries(await bench.settle()) == []
    bench.receive(0x2000, 5)
    assert entries(await bench.settle()) == [done(0x2000, 0, Status.ABORTED)]


@cocotb.test()
async def test_update_replaces_the_threshold_of_consumed_and_nothing_else(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    before = next(c.dcb for c in await bench.open() if c.kind == DlvEvt.START)
    bench.message(DlvEvt.UPDATE, gen=8, info=99)  # of another generation
    (commit,) = await bench.settle()
    assert commit.dcb == before
    bench.message(DlvEvt.UPDATE, info=200)
    (commit,) = await bench.settle()
    assert commit.kind == DlvEvt.UPDATE
    assert commit.plq == Plq()
    assert commit.dcb == replace(before, consumed_thr=200)
    bench.receive(0x9000, 1000)
    for arrival in range(3):
        bench.deliver(arrival, 100)
    await bench.settle()
    assert bench.consumed == [(1, 7, 200)], "the sum reaches the new threshold with the second piece"


@cocotb.test()
async def test_freeze_without_array_recycles_the_buffers(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.deliver(0, 100)
    bench.deliver(1, 100)
    bench.message(DlvEvt.FREEZE, a=0)
    commits = await bench.settle()
    assert [c.rec.credit_ret for c in commits[-3:]] == [1, 1, 0]
    assert commits[-1].rec.pool_free == 8
    assert commits[-1].plq == Plq(conn=1, gen=7, freeze_done=1)


@cocotb.test()
async def test_a_few_credits_wait_for_more_but_not_long_while_buffers_are_short(dut: Any) -> None:
    """docs/contract/delivery_step.md: CREDIT after 2048 cycles, 256 with fewer than CONNS + CREDIT_BATCH left."""
    enough = int(dut.CONNS.value) + CREDIT_BATCH
    for buffers, (least, most) in ((enough + 8, (2048, 2080)), (enough, (256, 290))):
        bench = Bench(dut)
        await bench.start()
        await bench.open(buffers=buffers)
        bench.credits.clear()
        bench.receive(0x1000, 1000, nopush=1)
        await bench.settle()
        bench.deliver(1, 100)
        while kinds(bench.commits)[-1] != DlvEvt.DELIVER:
            await bench.step()
        begin = bench.cycle
        while not bench.credits and bench.cycle < begin + most:
            await bench.step()
        assert bench.credits == [1], f"{buffers} buffers: not within {most} cycles"
        assert bench.cycle - begin >= least - 8, f"{buffers} buffers: after {bench.cycle - begin} cycles"
        bench.message(DlvEvt.FREEZE, a=0)
        await bench.settle()


@cocotb.test()
async def test_credits_and_consumed_are_collected(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(buffers=16)
    assert sum(bench.credits) == 16
    bench.credits.clear()
    bench.receive(0x1000, 100000, nopush=1)
    await bench.settle()
    for i in range(40):
        bench.deliver(i, 100)
    bench.back_rate = 10
    await bench.settle()
    assert sum(bench.credits) == 40
    assert max(bench.credits) >= CREDIT_BATCH
    assert bench.consumed, "the threshold was passed"
    assert bench.consumed[0][2] >= THRESHOLD
    bench.message(DlvEvt.FREEZE, a=0)
    await bench.settle()
    assert sum(b for _, _, b in bench.consumed) == 4000


@cocotb.test()
async def test_a_commit_takes_at_most_eight_cycles(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 0xFFFFFF, nopush=1)
    await bench.settle()
    for i in range(20):
        bench.deliver(i, 1460)
    for i in range(8):
        bench.post_pool(list(range(16 * i + 20, 16 * i + 36))[:16])
    commits = await bench.settle()
    periods = [b.cycle - a.cycle for a, b in pairwise(commits)]
    assert max(periods) <= MAX_PERIOD, f"periods {periods}"
    cocotb.log.info("cycles a commit: %s", sorted(set(periods)))


class Host:
    """Driver, tcp_engine's credits, and a memory of stream positions; checks what each stream's reader gets."""

    def __init__(self, bench: Bench, conns: int, buffers: int) -> None:
        self.bench, self.conns = bench, conns
        self.rng = bench.rng
        self.memory: dict[int, tuple[int, int]] = {}  # address -> (connection, stream position)
        self.frames: dict[int, tuple[int, int, int]] = {}  # arrival -> connection, first position, length
        self.forwards: dict[int, tuple[int, int, int]] = {}  # address -> the same of a forwarded segment
        self.copied = 0  # bytes of the one in work
        self.sent = [0] * conns
        self.read = [0] * conns
        self.requests: list[deque[tuple[int, int]]] = [deque() for _ in range(conns)]  # address, length
        self.credit = 0
        self.host_buffers = list(range(buffers))
        self.arrival = 0
        self.next_addr = 0x10_0000
        self.todo_answers: list[tuple[int, int, int, int]] = []  # connection, token, buffer, length
        self.buffers = buffers
        self.seen_plq = self.seen_credit = 0
        self.events = [0] * conns
        self.open_arrival: int | None = None
        self.placed = 0

    def act(self) -> None:
        """Takes the new actions and credits in."""
        for plq in self.bench.plqs[self.seen_plq :]:
            if plq.op == PlOp.PLACE:
                conn, first, length = self.frames[plq.arrival]
                assert conn == plq.conn
                assert plq.offset - 54 == self.placed, "a frame's pieces are placed in order"
                for i in range(plq.len):
                    self.memory[plq.dst + i] = (conn, first + self.placed + i)
                self.placed += plq.len
                assert plq.last == int(self.placed == length)
                self.placed = 0 if plq.last else self.placed
            elif plq.op == PlOp.COPY and plq.src >= HANDED_IN:
                self.copy_in(plq)
            elif plq.op == PlOp.COPY:
                for i in range(plq.len):
                    self.memory[plq.dst + i] = self.memory[plq.src + i]
            cqe = plq.cqe if not isinstance(plq.cqe, int) else Cqe.unpack(plq.cqe)
            if plq.cqe_valid:
                self.entry(cqe)
        self.seen_plq = len(self.bench.plqs)
        self.credit += sum(self.bench.credits[self.seen_credit :])
        self.seen_credit = len(self.bench.credits)

    def copy_in(self, plq: Plq) -> None:
        """A piece of the forwarded segment whose address is its key in `forwards`."""
        base = max(src for src in self.forwards if src <= plq.src)
        conn, first, length = self.forwards[base]
        assert (conn, plq.src - base) == (plq.conn, self.copied), "a segment's pieces are copied in order"
        assert plq.barrier == int(POOL <= plq.dst < buffer_addr(self.buffers)), "a pool buffer is read again"
        for i in range(plq.len):
            self.memory[plq.dst + i] = (conn, first + self.copied + i)
        self.copied += plq.len
        assert self.copied <= length

    def check_bytes(self, conn: int, addr: int, length: int) -> None:
        for i in range(length):
            position = self.read[conn] + i
            assert self.memory[addr + i] == (conn, position), f"stream {conn} broken at {position}"

    def entry(self, cqe: Cqe) -> None:
        conn = cqe.conn
        if cqe.kind == CqKind.RECEIVE:
            addr, length = self.requests[conn].popleft()
            over = bool(self.events[conn])
            assert (cqe.cookie, cqe.status) == (addr, Status.INVALID_STATE if over else Status.OK)
            assert cqe.nbytes <= (0 if over else length)
            self.check_bytes(conn, addr, cqe.nbytes)
            self.read[conn] += cqe.nbytes
        elif cqe.kind == CqKind.INDICATION:
            self.check_bytes(conn, buffer_addr(cqe.buf) + cqe.offset, cqe.nbytes)
            self.todo_answers.append((conn, cqe.info, cqe.buf, cqe.nbytes))
        elif cqe.kind == CqKind.FORWARD:
            _, _, length = self.forwards.pop(cqe.cookie)
            assert (self.copied, cqe.status, cqe.sq_index) == (length, Status.OK, 9)
            self.copied = 0
        else:
            assert (cqe.kind, cqe.code) == (CqKind.EVENT, TcpEventType.DISCONNECT)
            assert self.read[conn] == self.sent[conn], "the FIN overtook data"
            self.events[conn] += 1

    def text(self, conn: int, length: int) -> None:
        """The next octets of a stream come."""
        self.in_order(conn, length)
        self.sent[conn] += length

    def in_order(self, conn: int, length: int, **fields: int) -> None:
        """A DELIVER of octets from `sent` on, from the wire or out of host memory."""
        self.frames[self.arrival] = (conn, self.sent[conn], length)
        self.credit -= 1
        fields |= {"psh": self.rng.randrange(2), "conn": conn, "gen": conn + 1}
        if self.rng.random() < 0.3:
            src = HANDED_IN + 0x1000 * self.arrival
            self.forwards[src] = self.frames.pop(self.arrival)
            self.bench.forward(src, length, **fields)
        else:
            self.bench.deliver(self.arrival, length, **fields)
        self.arrival += 1

    def provoke(self, more: bool) -> None:
        """Something random that is legal now."""
        bench, rng = self.bench, self.rng
        conn = rng.randrange(self.conns)
        if self.todo_answers and rng.random() < 0.3:
            who, token, buffer, length = self.todo_answers.pop(0)
            taken = rng.choice((length, length, 0, rng.randrange(length + 1)))
            self.read[who] += taken
            if taken == length:
                self.host_buffers.append(buffer)
            bench.command(Opcode.ANSWER, conn=who, gen=who + 1, arg=token, length=taken)
        if more and self.credit and len(bench.messages) < 4:
            self.text(conn, rng.choice((1, 2, 60, 700, 1460)))
        if len(self.requests[conn]) < int(bench.dut.RECVS.value) and rng.random() < 0.3:
            length = rng.choice((0, 1, 100, 1460, 5000))
            self.requests[conn].append((self.next_addr, length))
            bench.receive(self.next_addr, length, nopush=int(rng.random() < 0.3), conn=conn, gen=conn + 1)
            self.next_addr += 8192
        if len(self.host_buffers) >= 3 or (self.host_buffers and rng.random() < 0.1):
            bench.post_pool(self.host_buffers[:16])
            del self.host_buffers[:16]
        bench.now += rng.randrange(3)


@cocotb.test()
async def test_random_traffic_keeps_every_stream(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    conns, buffers = 3, min(24, int(dut.POOL_BUFS.value))
    host = Host(bench, conns, buffers)
    for conn in range(conns):
        bench.message(DlvEvt.LOAD, conn, conn + 1, info=THRESHOLD, push_ticks=PUSH_TICKS)
        bench.message(DlvEvt.START, conn, conn + 1)
    await bench.settle()
    bench.plqs.clear()
    for cycle in range(6000):
        if cycle % 500 == 0:
            bench.plq_rate, bench.back_rate, bench.feed_rate = (bench.rng.choice((10, 50, 100)) for _ in range(3))
        if cycle % 4 == 0:
            host.provoke(more=True)
        await bench.step()
        host.act()
    for conn in range(conns):
        bench.deliver(0xFFFF, 0, fin=1, conn=conn, gen=conn + 1)
    bench.plq_rate = bench.back_rate = bench.feed_rate = 100
    for _ in range(4000):
        if sum(host.events) == conns:
            break
        if not bench.messages and not bench.commands:
            host.provoke(more=False)
            for conn in range(conns):  # a refusing reader gets requests until the stream is out
                if not host.requests[conn]:
                    host.requests[conn].append((host.next_addr, 5000))
                    bench.receive(host.next_addr, 5000, nopush=1, conn=conn, gen=conn + 1)
                    host.next_addr += 8192
        await bench.step()
        host.act()
    await bench.settle()
    host.act()
    cocotb.log.info("bytes read: %s, commits %d", host.read, len(bench.commits))
    assert host.read == host.sent
    assert host.forwards == {}, "every FORWARD is completed"
    assert all(position > 1000 for position in host.read)
    assert host.events == [1] * conns
    assert sum(b for _, _, b in bench.consumed) <= sum(host.read)
    assert bench.commits[-1].rec.pool_free + len(host.host_buffers) == buffers
    assert host.credit + len(host.host_buffers) == buffers, "credits leak"


# ---- what comes with a connection or a buffer, and what goes back to tcp_engine --------------------------------------
@cocotb.test()
async def test_a_fin_before_the_hand_over_is_known_and_receives_end_ch_137(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    bench.message(DlvEvt.LOAD, 1, 7, info=THRESHOLD, push_ticks=PUSH_TICKS, sq_index=3, a=0xC0, fin=1)
    bench.message(DlvEvt.START, 1, 7, sq_index=4, a=0xC1)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.LOAD, DlvEvt.START], "the host is not told again"
    assert (commits[0].dcb.fin_mark, commits[0].dcb.fin_done) == (1, 1)
    bench.receive(0x1000, 100, cookie=5)
    commits = await bench.settle()
    assert entries(commits) == [done(5, 0, Status.INVALID_STATE)]


@cocotb.test()
async def test_a_request_that_came_with_bytes_completes_by_the_push_timer_ch_131(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 100, nopush=2, cookie=5)
    commits = await bench.settle()
    assert (commits[0].dcb.push_on, commits[0].dcb.push_deadline) == (1, bench.now + PUSH_TICKS)
    bench.now += PUSH_TICKS - 1
    for _ in range(3 * 64):
        await bench.step()
    assert await bench.settle() == []
    bench.now += 1
    for _ in range(3 * 64):
        await bench.step()
    assert entries(await bench.settle()) == [done(5, 0)]
    bench.receive(0x1000, 100, nopush=3, cookie=6)  # NOPUSH: it waits to be full
    commits = await bench.settle()
    assert commits[0].dcb.push_on == 0
    bench.message(DlvEvt.START, 1, 7, hold=1, sq_index=4, a=0xC1)
    bench.receive(0x2000, 100, nopush=2, cookie=7)  # nothing is said before RESUME
    assert [c.dcb.push_on for c in await bench.settle()] == [0, 0]


@cocotb.test()
async def test_a_request_that_came_with_bytes_is_timed_from_the_resume_or_from_its_turn_ch_131(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    bench.receive(0x1000, 100, nopush=2, cookie=5)
    bench.receive(0x2000, 50, nopush=1, cookie=6)
    bench.receive(0x3000, 100, nopush=2, cookie=7)
    assert [c.dcb.push_on for c in await bench.settle()] == [0, 0, 0]
    bench.now += 40
    bench.command(Opcode.RESUME)
    resumed = (await bench.settle())[-1]
    assert (resumed.dcb.push_on, resumed.dcb.push_deadline) == (1, bench.now + PUSH_TICKS)
    bench.now += PUSH_TICKS
    for _ in range(3 * 64):
        await bench.step()
    assert entries(await bench.settle()) == [done(5, 0)]
    bench.now += 30
    bench.deliver(1, 50)
    commits = await bench.settle()
    assert entries(commits) == [done(6, 50)]
    assert (commits[-1].dcb.push_on, commits[-1].dcb.push_deadline) == (1, bench.now + PUSH_TICKS)


@cocotb.test()
async def test_credits_go_ahead_of_consumed_bytes_and_wait_256_cycles_at_most_c11(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(buffers=16)
    bench.credits.clear()
    bench.receive(0x1000, 100, cookie=1)
    await bench.settle()
    bench.back_rate = 0
    bench.deliver(1, 100, psh=1)
    for _ in range(40):
        await bench.step()
    await ReadOnly()
    shown = (int(dut.m_credit_valid.value), int(dut.m_consumed_valid.value))
    await FallingEdge(dut.clk)
    assert shown == (1, 0), "CONSUMED waits for its credit"
    bench.back_rate = 100
    await bench.settle()
    assert (sum(bench.credits), [b for _, _, b in bench.consumed]) == (1, [100])
    # another connection is flooded with refused text: each FLUSH sends the credits, none starves them
    bench.credits.clear()
    bench.receive(0x9000, 100000, nopush=1)
    await bench.settle()
    bench.deliver(2, 100)
    while kinds(bench.commits)[-1] != DlvEvt.DELIVER:
        await bench.step()
    bench.message(DlvEvt.FLUSH, 1, 7)
    for _ in range(30):
        await bench.step()
    assert sum(bench.credits) == 1, "not 256 cycles later"
    bench.credits.clear()
    bench.deliver(3, 100)
    while kinds(bench.commits)[-1] != DlvEvt.DELIVER:
        await bench.step()
    for cycle in range(300):
        if cycle % 40 == 0:
            bench.command(Opcode.RESUME)  # work that leaves no cycle quiet for long
        await bench.step()
        assert cycle > 240 or not bench.credits
    assert sum(bench.credits) == 1
