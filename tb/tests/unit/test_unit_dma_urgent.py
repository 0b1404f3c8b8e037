"""Unit test of `dma` whose read client 0 overtakes the others (RD_URGENT): the same bytes, and no waiting for payload.

DUT = dma. Bench and memories are those of test_unit_dma.
"""

from __future__ import annotations

from typing import Any

import cocotb

from tb.tests.unit.test_unit_dma import BASE, SIZE, Bench, Knobs, run_random

PAYLOAD = 1460  # bytes
DESCRIPTOR = 64  # bytes
LATENCY = 32  # cycles of the memory
PIPELINE = 12  # cycles from a request to its AR, and from R to the client


@cocotb.test()
async def every_request_moves_exactly_its_bytes_under_back_pressure(dut: Any) -> None:
    knobs = Knobs(slave_ready=60, slave_valid=60, sink_ready=60, source_valid=60, request=50, max_len=1000)
    await run_random(dut, knobs, requests=150, salt=11)
    await run_random(dut, Knobs(latency=(2, 60)), requests=150, salt=12)


@cocotb.test()
async def errors_are_told_for_their_request_only(dut: Any) -> None:
    bench = await run_random(dut, Knobs(slave_ready=80, bad_granules=12), requests=150, salt=13)
    assert bench.errors > 0


@cocotb.test()
async def client_0_waits_for_what_is_in_flight_and_for_nothing_that_is_queued(dut: Any) -> None:
    """The promise of dma_read: FLIGHT_BEATS and a burst in front, whatever the others have asked for."""
    bench = Bench(dut, Knobs(latency=(LATENCY, LATENCY)), int(cocotb.RANDOM_SEED))
    await bench.reset()
    flight = int(dut.FLIGHT_BEATS.value) + int(dut.MAX_BURST_BEATS.value)
    for client in range(1, bench.rd_n):
        for _ in range(30):
            bench.add_read(client, BASE + bench.rng.randrange(SIZE - PAYLOAD), PAYLOAD)
    worst = 0
    for n in range(12):
        await advance(bench, 150 + 7 * n)
        bench.add_read(0, BASE + DESCRIPTOR * bench.rng.randrange(SIZE // DESCRIPTOR), DESCRIPTOR)
        asked = bench.cycle
        while bench.rd_todo[0] or bench.rd_wait[0]:
            await advance(bench, 1)
        worst = max(worst, bench.cycle - asked)
        assert bench.rd_todo[1], "others still ask"
    dut._log.info("worst wait of client 0: %d cycles, %d beats in flight", worst, flight)
    carried = flight // 16  # an unaligned request in front costs a cycle more
    assert worst <= max(LATENCY, flight) + carried + DESCRIPTOR // bench.lanes + PIPELINE
    await bench.run(limit=40_000)


async def advance(bench: Bench, cycles: int) -> None:
    """So many cycles of the bench."""
    for _ in range(cycles):
        await bench.step()
