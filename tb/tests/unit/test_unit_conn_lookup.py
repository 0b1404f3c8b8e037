"""Unit test of `conn_lookup` against a dictionary: hits, misses, duplicates, deletes, a full table, visibility.

DUT = conn_lookup. Inputs are driven at the falling edge and handshakes sampled when settled, before the rising edge.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

OK, DUPLICATE, NO_ROOM = 0, 1, 2
LATENCY = 5  # cycles from an accepted look-up to its answer
POLYNOMIAL = 0x11EDC6F41  # of the hash

Owner = tuple[int, int]  # connection, generation
Answer = tuple[int, int, int]  # hit, connection, generation


def key_of(is_ipv6: int, local: int, remote: int, local_port: int, remote_port: int) -> int:
    return is_ipv6 << 295 | local << 160 | remote << 32 | local_port << 16 | remote_port


class Bench:
    """Look-ups every cycle if wanted, one insert or delete at a time, answers checked in order."""

    def __init__(self, dut: Any, salt: int = 0) -> None:
        self.dut = dut
        self.rng = random.Random(int(cocotb.RANDOM_SEED) + salt)
        self.conns = int(dut.CONNS.value)
        self.stash = int(dut.STASH.value)
        self.table: dict[int, Owner] = {}
        self.keys: list[int] = []  # keys to be looked up
        self.lookup_rate = 0  # percent
        self.expected: deque[tuple[int, int, int, set[Answer]]] = deque()  # cycle, tag, key, legal answers
        self.changing: dict[int, Answer] = {}  # keys whose answer may be the old or this one
        self.offered: tuple[int, int] | None = None
        self.cycle = self.hits = self.misses = self.stalls = 0
        self.results: list[tuple[str, int]] = []

    def answer(self, key: int) -> Answer:
        return (1, *self.table[key]) if key in self.table else (0, 0, 0)

    async def start(self) -> None:
        dut = self.dut
        self.clock = Clock(dut.clk, 10, unit="ns").start()
        dut.rst.value = 1
        for name in ("lkp_valid", "lkp_key", "lkp_tag", "ins_valid", "ins_key", "ins_conn", "ins_gen"):
            getattr(dut, f"s_{name}").value = 0
        dut.s_del_valid.value = 0
        dut.s_del_conn.value = 0
        for _ in range(4):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        for waited in range(self.conns + 10):
            await ReadOnly()
            done, ready = int(dut.init_done.value), int(dut.s_lkp_ready.value)
            await FallingEdge(dut.clk)
            if done:
                break
            assert not ready, "a look-up would be accepted before the tables are clear"
            assert waited < self.conns + 4, "clearing takes too long"

    async def step(self) -> None:
        """One cycle, from falling edge to falling edge."""
        dut = self.dut
        if self.offered is None and self.keys and self.rng.randrange(100) < self.lookup_rate:
            self.offered = (self.rng.choice(self.keys), self.rng.getrandbits(len(dut.s_lkp_tag)))
        dut.s_lkp_valid.value = int(self.offered is not None)
        if self.offered is not None:
            dut.s_lkp_key.value, dut.s_lkp_tag.value = self.offered
        await ReadOnly()
        if int(dut.m_ins_done.value):
            self.results.append(("insert", int(dut.m_ins_status.value)))
            self.settle()
        if int(dut.m_del_done.value):
            self.results.append(("delete", 0))
            self.settle()
        if self.offered is not None:
            if int(dut.s_lkp_ready.value):
                key, tag = self.offered
                legal = {self.answer(key)} | ({self.changing[key]} if key in self.changing else set())
                self.expected.append((self.cycle + LATENCY, tag, key, legal))
                self.offered = None
            else:
                self.stalls += 1
        self.check()
        self.cycle += 1
        await FallingEdge(dut.clk)

    def settle(self) -> None:
        """The change is announced: from now on only the new answer is legal."""
        refused = self.results[-1] in (("insert", DUPLICATE), ("insert", NO_ROOM))
        for key, (hit, conn, gen) in self.changing.items():
            if hit and not refused:
                self.table[key] = (conn, gen)
            elif not hit:
                self.table.pop(key, None)
        self.changing = {}

    def check(self) -> None:
        dut = self.dut
        due = bool(self.expected) and self.expected[0][0] == self.cycle
        assert int(dut.m_lkp_valid.value) == int(due), "the latency of a look-up is fixed"
        if not due:
            return
        _, tag, _, legal = self.expected.popleft()
        got = (int(dut.m_lkp_hit.value), int(dut.m_lkp_conn.value), int(dut.m_lkp_gen.value))
        assert int(dut.m_lkp_tag.value) == tag
        assert got in legal, f"look-up gave {got}, legal {legal}"
        self.hits += got[0]
        self.misses += 1 - got[0]

    async def insert(self, key: int, conn: int, gen: int) -> int:
        dut = self.dut
        dut.s_ins_valid.value, dut.s_ins_key.value = 1, key
        dut.s_ins_conn.value, dut.s_ins_gen.value = conn, gen
        await self.handshake(dut.s_ins_ready, {key: (1, conn, gen)} if key not in self.table else {})
        dut.s_ins_valid.value = 0
        return await self.result("insert")

    async def delete(self, conn: int) -> None:
        self.dut.s_del_valid.value, self.dut.s_del_conn.value = 1, conn
        changing: dict[int, Answer] = {k: (0, 0, 0) for k, owner in self.table.items() if owner[0] == conn}
        await self.handshake(self.dut.s_del_ready, changing)
        self.dut.s_del_valid.value = 0
        await self.result("delete")

    async def handshake(self, ready: Any, changing: dict[int, Answer]) -> None:
        for _ in range(20):
            taken = int(ready.value)  # settled: it does not depend on the look-up side
            if taken:
                self.changing = changing
                for _, _, key, legal in self.expected:  # a look-up under way may see the change
                    legal |= {changing[key]} if key in changing else set()
            await self.step()
            if taken:
                return
        raise AssertionError("not accepted")

    async def result(self, kind: str) -> int:
        for _ in range(20):
            if self.results:
                break
            await self.step()
        assert len(self.results) == 1, "exactly one answer"
        got, status = self.results.pop()
        assert got == kind
        return status

    async def look_up_all(self, keys: list[int]) -> None:
        for key in keys:
            while self.offered is not None:
                await self.step()
            self.offered = (key, self.rng.getrandbits(len(self.dut.s_lkp_tag)))
            await self.step()
        await self.drain()

    async def drain(self) -> None:
        self.lookup_rate = 0
        for _ in range(LATENCY + 4):
            await self.step()
        assert not self.expected

    def random_key(self) -> int:
        """Neighbouring keys and far ones; a key often differs from another in one bit only."""
        rng = self.rng
        if self.keys and rng.random() < 0.3:
            return rng.choice(self.keys) ^ 1 << rng.randrange(296)
        if rng.random() < 0.5:
            return key_of(0, 0x0A000001, 0x0A000002 + rng.randrange(8), 80, 0xC000 + rng.randrange(512))
        return rng.getrandbits(296)


@cocotb.test()
async def the_table_agrees_with_a_dictionary_under_inserts_deletes_and_lookups(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    statuses = {OK: 0, DUPLICATE: 0, NO_ROOM: 0}
    for turn in range(600):
        bench.lookup_rate = (0, 50, 100)[turn // 50 % 3]
        live = {owner[0] for owner in bench.table.values()}
        free = [c for c in range(bench.conns) if c not in live]
        if free and bench.rng.random() < (0.65 if turn % 200 < 120 else 0.3):
            duplicate = bench.table and bench.rng.random() < 0.1
            key = bench.rng.choice(list(bench.table)) if duplicate else bench.random_key()
            want = DUPLICATE if key in bench.table else OK
            status = await bench.insert(key, bench.rng.choice(free), bench.rng.randrange(256))
            assert status == want
            statuses[status] += 1
            bench.keys.append(key)
            bench.keys += [key ^ 1 << bench.rng.randrange(296)]
            del bench.keys[: -4 * bench.conns]
        else:
            await bench.delete(bench.rng.randrange(bench.conns))  # often of a connection that is not there
    await bench.drain()
    await bench.look_up_all(list(bench.table))
    assert min(bench.hits, bench.misses, statuses[OK]) > 100
    assert statuses[DUPLICATE] > 0
    bench.clock.cancel()


@cocotb.test()
async def all_connections_fit_whatever_their_addresses(dut: Any) -> None:
    bench = Bench(dut, 1)
    await bench.start()
    rng = bench.rng
    host = rng.getrandbits(32)
    patterns = [
        [key_of(0, host, host + 1, 5001, (1024 + n) & 0xFFFF) for n in range(bench.conns)],
        [key_of(0, host, host ^ n, 443, 40000) for n in range(bench.conns)],
        [key_of(0, host, host ^ n, 443, 40000 + n) for n in range(bench.conns)],
        [key_of(1, rng.getrandbits(128), rng.getrandbits(128), rng.getrandbits(16), 80) for _ in range(bench.conns)],
    ]
    for keys in patterns:
        for conn, key in enumerate(keys):
            assert await bench.insert(key, conn, conn & 255) == OK
        assert len(bench.table) == bench.conns
        await bench.look_up_all(keys)
        for conn in range(bench.conns):
            await bench.delete(conn)
        assert not bench.table
        await bench.look_up_all(keys)
    bench.clock.cancel()


@cocotb.test()
async def a_full_neighbourhood_refuses_and_recovers_after_a_delete(dut: Any) -> None:
    """Keys that differ by a multiple of the hash polynomial share the hash, and so both buckets."""
    bench = Bench(dut, 2)
    await bench.start()
    room = 8 + bench.stash
    if bench.conns <= room:
        return
    base = bench.rng.getrandbits(296)
    keys = [base ^ multiply(POLYNOMIAL, n) for n in range(room + 3)]
    for conn, key in enumerate(keys):
        status = await bench.insert(key, conn, 1)
        assert status == (OK if conn < room else NO_ROOM)
    await bench.look_up_all(keys)
    for victim in (0, 5, room - 1):
        await bench.delete(victim)
        assert await bench.insert(keys[room], victim, 2) == OK
        await bench.look_up_all(keys)
        await bench.delete(victim)
        assert await bench.insert(keys[victim], victim, 3) == OK
    await bench.look_up_all(keys)
    bench.clock.cancel()


@cocotb.test()
async def a_connection_number_in_use_is_refused(dut: Any) -> None:
    bench = Bench(dut, 3)
    await bench.start()
    assert await bench.insert(bench.rng.getrandbits(296), 1, 7) == OK
    assert await bench.insert(bench.rng.getrandbits(296), 1, 8) == DUPLICATE
    await bench.look_up_all(list(bench.table))
    assert bench.hits == 1
    bench.clock.cancel()


@cocotb.test()
async def lookups_pass_one_a_cycle(dut: Any) -> None:
    bench = Bench(dut, 4)
    await bench.start()
    bench.keys = [bench.rng.getrandbits(296) for _ in range(4)]
    for conn in range(2):
        await bench.insert(bench.keys[conn], conn, conn)
    bench.lookup_rate = 100
    before = bench.hits + bench.misses
    for _ in range(200):
        await bench.step()
    assert bench.hits + bench.misses - before >= 200 - LATENCY
    assert bench.stalls == 0
    await bench.drain()
    bench.clock.cancel()


def multiply(a: int, b: int) -> int:
    """Product of two polynomials over GF(2)."""
    result = 0
    while b:
        if b & 1:
            result ^= a
        a, b = a << 1, b >> 1
    return result
