"""Unit test of `dma`: every request of every client against byte-accurate memories behind an AXI4 slave.

DUT = dma. One loop a clock: inputs are driven at the falling edge, handshakes are sampled when they have settled;
they happen at the next rising edge. Widths and client numbers are read from the DUT, so one module serves all.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

BASE = 0x7_1234_5678_0000  # first byte of the memories
SIZE = 1 << 16  # bytes of each memory
GRANULE = 256  # bytes; errors are injected by address, a granule at a time


@dataclass
class Knobs:
    """What the testbench does to the DUT: probabilities in percent, latencies in cycles."""

    slave_ready: int = 100  # W accepted, and AR, AW if not told otherwise
    address_ready: int | None = None  # AR and AW accepted
    slave_valid: int = 100  # R and B offered when due
    sink_ready: int = 100  # read clients take a beat
    source_valid: int = 100  # write clients offer a beat
    request: int = 100  # clients offer a request
    latency: tuple[int, int] = (4, 40)
    bad_granules: int = 0  # per memory
    max_len: int = 2048


@dataclass
class Request:
    """A request and what must come of it."""

    client: int
    addr: int
    length: int
    data: bytes = b""
    error: bool = False
    order: int = -1


@dataclass
class Burst:
    """An AXI burst in flight in the slave."""

    addr: int
    beats: int
    due: int
    done: int = 0
    data: list[tuple[int, bytes]] = field(default_factory=list)
    error: bool = False


class Bench:
    """AXI slave, clients and checks of one test."""

    def __init__(self, dut: Any, knobs: Knobs, seed: int) -> None:
        self.dut, self.knobs = dut, knobs
        self.rng = random.Random(seed)
        self.lanes = len(dut.m_axi_rdata) // 8
        self.rd_n, self.wr_n = len(dut.s_rd_req_valid), len(dut.s_wr_req_valid)
        self.urgent = int(dut.RD_URGENT.value)  # bit 0: read client 0 overtakes
        self.max_bytes = min(4096, int(dut.MAX_BURST_BEATS.value) * self.lanes)
        self.source = self.rng.randbytes(SIZE)
        self.memory = bytearray(self.rng.randbytes(SIZE))
        self.golden = bytearray(self.memory)
        self.bad_rd = {self.rng.randrange(SIZE // GRANULE) for _ in range(knobs.bad_granules)}
        self.bad_wr = {self.rng.randrange(SIZE // GRANULE) for _ in range(knobs.bad_granules)}
        self.cycle = 0
        self.active = 0  # cycle of the last read beat
        self.rd_todo: list[deque[Request]] = [deque() for _ in range(self.rd_n)]
        self.wr_todo: list[deque[Request]] = [deque() for _ in range(self.wr_n)]
        self.rd_wait: list[deque[Request]] = [deque() for _ in range(self.rd_n)]
        self.wr_wait: list[deque[Request]] = [deque() for _ in range(self.wr_n)]
        self.wr_feed: list[deque[tuple[int, int]]] = [deque() for _ in range(self.wr_n)]
        self.accepted: list[Request] = []
        self.rd_got = [bytearray() for _ in range(self.rd_n)]
        self.ar: deque[Burst] = deque()
        self.aw: deque[Burst] = deque()
        self.b: deque[Burst] = deque()
        self.aw_seen = self.w_started = 0
        self.in_burst = False
        self.finished = 0
        self.held: dict[str, Any] = {}
        self.rd_offer = self.wr_offer = self.data_offer = 0
        self.errors = 0
        self.most_reads = self.most_writes = 0  # bursts in flight
        self.clock: Any = None

    def bad(self, granules: set[int], addr: int, length: int) -> bool:
        first = (addr - BASE) // GRANULE
        return any(g in granules for g in range(first, (addr - BASE + length - 1) // GRANULE + 1))

    def random_request(self, client: int) -> tuple[int, int]:
        length = self.rng.choice(
            [
                self.rng.randint(1, 2 * self.lanes),
                self.rng.randint(1, 300),
                self.rng.randint(1, self.knobs.max_len),
                self.lanes * self.rng.randint(1, 8),
            ]
        )
        length = min(length, self.knobs.max_len)
        addr = self.rng.randrange(SIZE - length + 1)
        if self.rng.random() < 0.4 and length > 1:  # across a 4 KiB boundary, or up to it
            edge = 4096 * self.rng.randint(1, SIZE // 4096 - 1)
            addr = min(max(0, edge - self.rng.randint(1, length)), SIZE - length)
        if self.rng.random() < 0.2:
            addr -= addr % self.lanes
        if client == 0 and self.urgent:  # whole bus words
            length = max(self.lanes, length - length % self.lanes)
            addr -= addr % self.lanes
        return BASE + addr, length

    def add_read(self, client: int, addr: int, length: int) -> None:
        data = self.source[addr - BASE : addr - BASE + length]
        self.rd_todo[client].append(Request(client, addr, length, data, self.bad(self.bad_rd, addr, length)))

    def add_write(self, client: int, addr: int, length: int) -> None:
        request = Request(client, addr, length, self.rng.randbytes(length), self.bad(self.bad_wr, addr, length))
        self.wr_todo[client].append(request)
        for at in range(0, length, self.lanes):
            beat = request.data[at : at + self.lanes]
            filler = self.rng.randbytes(self.lanes - len(beat))  # lanes behind the end: anything
            self.wr_feed[client].append((int.from_bytes(beat + filler, "little"), int(at + self.lanes >= length)))

    def chance(self, percent: int) -> int:
        return int(percent >= 100 or self.rng.randrange(100) < percent)

    def drive(self) -> None:
        """New inputs; what is offered and not taken stays."""
        dut, k = self.dut, self.knobs
        for i in range(self.rd_n):
            if not self.rd_offer >> i & 1 and self.rd_todo[i] and self.chance(k.request):
                self.rd_offer |= 1 << i
        for i in range(self.wr_n):
            if not self.wr_offer >> i & 1 and self.wr_todo[i] and self.chance(k.request):
                self.wr_offer |= 1 << i
            if not self.data_offer >> i & 1 and self.wr_feed[i] and self.chance(k.source_valid):
                self.data_offer |= 1 << i
        dut.s_rd_req_valid.value = self.rd_offer
        dut.s_rd_req_addr.value = sum(q[0].addr << 64 * i for i, q in enumerate(self.rd_todo) if q)
        dut.s_rd_req_len.value = sum(q[0].length << 16 * i for i, q in enumerate(self.rd_todo) if q)
        dut.s_wr_req_valid.value = self.wr_offer
        dut.s_wr_req_addr.value = sum(q[0].addr << 64 * i for i, q in enumerate(self.wr_todo) if q)
        dut.s_wr_req_len.value = sum(q[0].length << 16 * i for i, q in enumerate(self.wr_todo) if q)
        dut.s_wr_valid.value = self.data_offer
        dut.s_wr_data.value = sum(q[0][0] << 8 * self.lanes * i for i, q in enumerate(self.wr_feed) if q)
        dut.s_wr_last.value = sum(q[0][1] << i for i, q in enumerate(self.wr_feed) if q)
        dut.m_rd_ready.value = sum(self.chance(k.sink_ready) << i for i in range(self.rd_n))
        address_ready = k.slave_ready if k.address_ready is None else k.address_ready
        dut.m_axi_arready.value = self.chance(address_ready)
        dut.m_axi_awready.value = self.chance(address_ready)
        dut.m_axi_wready.value = self.chance(k.slave_ready)
        self.drive_r()
        if "b" not in self.held and self.b and self.b[0].due <= self.cycle and self.chance(k.slave_valid):
            self.held["b"] = 1
        dut.m_axi_bvalid.value = int("b" in self.held)
        dut.m_axi_bresp.value = 2 if "b" in self.held and self.b[0].error else 0

    def drive_r(self) -> None:
        dut = self.dut
        if "r" not in self.held and self.ar and self.ar[0].due <= self.cycle and self.chance(self.knobs.slave_valid):
            burst = self.ar[0]
            addr = (burst.addr & -self.lanes) + burst.done * self.lanes
            beat = int.from_bytes(self.source[addr - BASE : addr - BASE + self.lanes], "little")
            self.held["r"] = 1
            dut.m_axi_rdata.value = beat
            dut.m_axi_rlast.value = int(burst.done == burst.beats - 1)
            dut.m_axi_rresp.value = 2 if self.bad(self.bad_rd, addr, self.lanes) else 0
        dut.m_axi_rvalid.value = int("r" in self.held)

    def address(self, channel: str) -> Burst | None:
        """Check an address channel and return the burst that is accepted in this cycle."""
        dut = self.dut
        valid = int(getattr(dut, f"m_axi_{channel}valid").value)
        now = None
        if valid:
            names = ("addr", "len", "size", "burst", "id", "user")
            now = tuple(int(getattr(dut, f"m_axi_{channel}{n}").value) for n in names)
        before = self.held.pop(channel, None)
        assert before is None or before == now, f"{channel} changed while it waited"
        if now is None:
            return None
        if not int(getattr(dut, f"m_axi_{channel}ready").value):
            self.held[channel] = now
            return None
        addr, length, size, kind, ident, user = now
        assert (1 << size, kind, ident) == (self.lanes, 1, 0)
        assert user < (self.rd_n if channel == "ar" else self.wr_n)
        start = addr & -self.lanes
        end = start + (length + 1) * self.lanes - 1
        assert start // self.max_bytes == end // self.max_bytes, f"burst {addr:#x} + {length + 1} beats is too long"
        return Burst(addr, length + 1, self.cycle + self.rng.randint(*self.knobs.latency))

    def sample_slave(self) -> None:
        dut = self.dut
        if (burst := self.address("ar")) is not None:
            self.ar.append(burst)
        if "r" in self.held and int(dut.m_axi_rready.value):
            del self.held["r"]
            self.ar[0].done += 1
            if self.ar[0].done == self.ar[0].beats:
                self.ar.popleft()
        if int(dut.m_axi_awvalid.value):
            self.aw_seen += 0 if "aw" in self.held else 1
        if (burst := self.address("aw")) is not None:
            self.aw.append(burst)
        if int(dut.m_axi_wvalid.value):
            self.w_started += int(not self.in_burst)
            self.in_burst = True
            assert self.w_started <= self.aw_seen, "W before AWVALID"
            if int(dut.m_axi_wready.value):
                self.write_beat()
        if "b" in self.held and int(dut.m_axi_bready.value):
            del self.held["b"]
            for addr, data in self.b.popleft().data:
                self.memory[addr - BASE : addr - BASE + len(data)] = data

        self.most_reads = max(self.most_reads, len(self.ar))
        self.most_writes = max(self.most_writes, len(self.aw) + len(self.b))

    def write_beat(self) -> None:
        """W beats are collected, they count as written when B is sent. AW may be late: match by order."""
        dut = self.dut
        beat = (int(dut.m_axi_wdata.value), int(dut.m_axi_wstrb.value), int(dut.m_axi_wlast.value))
        self.held.setdefault("w", deque()).append(beat)
        if beat[2]:
            self.in_burst = False

    def pair_writes(self) -> None:
        beats: deque[tuple[int, int, int]] = self.held.get("w", deque())
        while self.aw and beats:
            data, strobe, last = beats.popleft()
            burst = self.aw[0]
            addr = (burst.addr & -self.lanes) + burst.done * self.lanes
            low = (strobe & -strobe).bit_length() - 1
            width = strobe.bit_length() - low
            assert strobe, "beat without strobe"
            assert strobe == ((1 << width) - 1) << low, f"strobe {strobe:#x} has holes"
            assert low == (burst.addr % self.lanes if burst.done == 0 else 0)
            burst.done += 1
            assert last == int(burst.done == burst.beats), "WLAST"
            assert last or low + width == self.lanes, "a hole inside a burst"
            lanes = data.to_bytes(self.lanes, "little")
            assert not any(lanes[:low]), "stale data"
            assert not any(lanes[low + width :]), "stale data"
            burst.data.append((addr + low, lanes[low : low + width]))
            burst.error |= self.bad(self.bad_wr, addr, self.lanes)
            if last:
                burst.due = self.cycle + self.rng.randint(*self.knobs.latency)
                self.b.append(self.aw.popleft())

    def sample_clients(self) -> None:
        dut = self.dut
        took = int(dut.s_rd_req_ready.value) & self.rd_offer
        in_turn = took & ~self.urgent
        assert in_turn & (in_turn - 1) == 0
        for i in range(self.rd_n):
            if took >> i & 1:
                self.rd_wait[i].append(self.rd_todo[i].popleft())
        self.rd_offer &= ~took
        took = int(dut.s_wr_req_ready.value) & self.wr_offer
        assert took & (took - 1) == 0
        for i in range(self.wr_n):
            if took >> i & 1:
                request = self.wr_todo[i].popleft()
                self.golden[request.addr - BASE : request.addr - BASE + request.length] = request.data
                request.order = len(self.accepted)
                self.accepted.append(request)
                self.wr_wait[i].append(request)
        self.wr_offer &= ~took
        took = int(dut.s_wr_ready.value) & self.data_offer
        for i in range(self.wr_n):
            if took >> i & 1:
                self.wr_feed[i].popleft()
        self.data_offer &= ~took
        self.sample_read_beat()
        self.sample_done()

    def sample_read_beat(self) -> None:
        dut = self.dut
        valid = int(dut.m_rd_valid.value)
        assert valid & (valid - 1) == 0
        names = ("data", "last", "bytes")
        now = (valid, *(int(getattr(dut, f"m_rd_{n}").value) for n in names)) if valid else None
        before = self.held.pop("rd", None)
        assert before is None or before == now, "read beat changed while it waited"
        if now is None:
            return
        if not valid & int(dut.m_rd_ready.value):
            self.held["rd"] = now
            return
        i = valid.bit_length() - 1
        self.active = self.cycle
        _, data, last, count = now
        assert 1 <= count <= self.lanes
        assert last or count == self.lanes, "only the last beat may be short"
        assert data >> 8 * count == 0, "stale data"
        self.rd_got[i] += data.to_bytes(self.lanes, "little")[:count]
        if last:
            request = self.rd_wait[i].popleft()
            assert self.rd_got[i] == request.data, f"read {request.addr:#x} + {request.length} of client {i}"
            assert bool(dut.m_rd_error.value) == request.error
            self.rd_got[i].clear()
            self.errors += request.error
            self.finished += 1

    def sample_done(self) -> None:
        done = int(self.dut.m_wr_done_valid.value)
        assert done & (done - 1) == 0
        if not done:
            return
        request = self.wr_wait[done.bit_length() - 1].popleft()
        assert bool(self.dut.m_wr_done_error.value) == request.error
        end = request.addr + request.length
        if not any(r.addr < end and request.addr < r.addr + r.length for r in self.accepted[request.order + 1 :]):
            at = request.addr - BASE
            assert self.memory[at : at + request.length] == request.data, "done before the bytes are visible"
        self.errors += request.error
        self.finished += 1

    def pending(self) -> bool:
        queues = (*self.rd_todo, *self.wr_todo, *self.rd_wait, *self.wr_wait)
        return any(queues)

    async def reset(self) -> None:
        dut = self.dut
        self.clock = Clock(dut.clk, 10, unit="ns").start()
        dut.rst.value = 1
        for name in ("bid", "rid", "rdata", "rresp", "rlast"):
            getattr(dut, f"m_axi_{name}").value = 0
        self.drive_idle()
        for _ in range(4):
            await FallingEdge(dut.clk)
        dut.rst.value = 0

    def drive_idle(self) -> None:
        dut = self.dut
        for name in ("s_rd_req_valid", "s_wr_req_valid", "s_wr_valid", "m_rd_ready", "m_axi_arready"):
            getattr(dut, name).value = 0
        for name in ("m_axi_awready", "m_axi_wready", "m_axi_rvalid", "m_axi_bvalid", "m_axi_bresp"):
            getattr(dut, name).value = 0
        for name in ("s_rd_req_addr", "s_rd_req_len", "s_wr_req_addr", "s_wr_req_len", "s_wr_data", "s_wr_last"):
            getattr(dut, name).value = 0

    async def step(self) -> None:
        """One cycle."""
        await FallingEdge(self.dut.clk)
        self.drive()
        await ReadOnly()
        assert int(self.dut.busy.value) == 1 or not (any(self.rd_wait) or any(self.wr_wait)), "busy is low"
        self.sample_slave()
        self.pair_writes()
        self.sample_clients()
        self.cycle += 1

    async def run(self, limit: int) -> int:
        """Run until every request has ended; return the cycles it took."""
        start = self.cycle
        while self.pending():
            await self.step()
            assert self.cycle - start < limit, "requests do not end"
        used = self.cycle - start
        for _ in range(3):
            await FallingEdge(self.dut.clk)
            self.drive_idle()
        assert int(self.dut.busy.value) == 0
        leftovers = [self.ar, self.aw, self.b, self.held.get("w")]
        assert not any(leftovers)
        assert self.memory == self.golden, "a byte outside of all requests changed"
        self.clock.cancel()
        return used


async def run_random(dut: Any, knobs: Knobs, requests: int, salt: int) -> Bench:
    seed = int(cocotb.RANDOM_SEED) + salt
    dut._log.info("seed %d, %d requests a direction", seed, requests)
    bench = Bench(dut, knobs, seed)
    await bench.reset()
    for _ in range(requests):
        client = bench.rng.randrange(bench.rd_n)
        bench.add_read(client, *bench.random_request(client))
        client = bench.rng.randrange(bench.wr_n)
        bench.add_write(client, *bench.random_request(client))
    await bench.run(limit=400_000)
    assert bench.finished == 2 * requests
    return bench


@cocotb.test()
async def every_request_moves_exactly_its_bytes_under_back_pressure(dut: Any) -> None:
    for salt, busy in enumerate((100, 80, 40)):
        knobs = Knobs(busy, None, busy, min(100, busy + 30), busy, busy, latency=(0, 60), max_len=1000)
        await run_random(dut, knobs, 120, salt)


@cocotb.test()
async def errors_are_told_for_their_request_only(dut: Any) -> None:
    bench = await run_random(dut, Knobs(90, 70, 90, 90, 90, bad_granules=40, max_len=900), 120, 100)
    assert bench.errors > 10


@cocotb.test()
async def the_longest_requests_at_all_alignments_pass(dut: Any) -> None:
    bench = Bench(dut, Knobs(), int(cocotb.RANDOM_SEED))
    await bench.reset()
    for off in (0, 1, bench.lanes - 1):
        bench.add_read(0, BASE + off, 16384)
        bench.add_write(bench.wr_n - 1, BASE + 4095 - off, 16384)
    await bench.run(limit=60_000)


@cocotb.test()
async def reads_keep_the_bus_full_at_any_alignment_and_latency(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(64, 64)), int(cocotb.RANDOM_SEED))
    await bench.reset()
    beats = 0
    for n in range(60):
        length = bench.rng.choice((1460, 1448, 512 + bench.rng.randrange(1000)))
        addr = bench.rng.randrange(SIZE - length)
        bench.add_read(n % bench.rd_n, BASE + addr, length)
        beats += (length + bench.lanes - 1) // bench.lanes + int(addr % bench.lanes != 0)
    used = await bench.run(limit=60_000)
    dut._log.info("reads: %d cycles, %d at most needed by the data", used, beats)
    assert used <= beats + 64 + 16


@cocotb.test()
async def writes_keep_the_bus_full_at_any_alignment(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(20, 20)), int(cocotb.RANDOM_SEED))
    await bench.reset()
    beats = 0
    for n in range(60):
        length = bench.rng.choice((1460, 1448, 512 + bench.rng.randrange(1000)))
        addr = bench.rng.randrange(SIZE - length)
        bench.add_write(n % bench.wr_n, BASE + addr, length)
        beats += (addr % bench.lanes + length + bench.lanes - 1) // bench.lanes
    used = await bench.run(limit=60_000)
    dut._log.info("writes: %d cycles, %d beats", used, beats)
    assert used <= beats + 20 + 16


@cocotb.test()
async def small_requests_pass_one_a_cycle(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(4, 4)), int(cocotb.RANDOM_SEED))
    await bench.reset()
    for n in range(100):
        bench.add_read(n % bench.rd_n, BASE + n * bench.lanes, bench.lanes)
        bench.add_write(n % bench.wr_n, BASE + n * bench.lanes, bench.lanes)
    used = await bench.run(limit=2000)
    dut._log.info("100 requests of one beat: %d cycles", used)
    assert used <= 100 + 24


@cocotb.test()
async def data_never_runs_ahead_of_a_slow_address_channel(dut: Any) -> None:
    bench = Bench(dut, Knobs(address_ready=15), int(cocotb.RANDOM_SEED))
    await bench.reset()
    for n in range(100):
        bench.add_write(n % bench.wr_n, BASE + n * bench.lanes, bench.lanes)
    await bench.run(limit=4000)


@cocotb.test()
async def bursts_in_flight_reach_their_limit_and_stay_there(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(150, 150)), int(cocotb.RANDOM_SEED))
    await bench.reset()
    for n in range(150):
        bench.add_read(n % bench.rd_n, BASE + n * bench.lanes, bench.lanes)
        bench.add_write(n % bench.wr_n, BASE + n * bench.lanes, bench.lanes)
    for n in range(20):  # of several bursts each, so that requests are not the limit
        bench.add_read(n % bench.rd_n, BASE + n, 4 * bench.max_bytes)
    await bench.run(limit=30_000)
    limits = (int(dut.RD_OUTSTANDING.value), int(dut.WR_OUTSTANDING.value))
    assert (bench.most_reads, bench.most_writes) == limits


@cocotb.test()
async def clients_that_all_ask_are_served_in_turn(dut: Any) -> None:
    bench = Bench(dut, Knobs(latency=(4, 4)), int(cocotb.RANDOM_SEED))
    await bench.reset()
    for n in range(10 * bench.wr_n):
        bench.add_write(n % bench.wr_n, BASE + 100 * n, 60)
    await bench.run(limit=5000)
    order = [r.client for r in bench.accepted]
    turn = order[: bench.wr_n]
    assert sorted(turn) == list(range(bench.wr_n))
    assert order == turn * 10
