"""Cycles between the commits of the engine cluster while its input is never empty: one connection, and all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from model.layout.generated import Opcode, Sqe
from tb.env.base_test import configuration
from tb.files import write_json
from tb.tests.unit.test_unit_tcp_engine import GEN, IMAGE, RCV, UNA, Bench, bench_of

#: Segments, each with a report of consumed bytes, and some credits, while every connection can always send.
ROUNDS = 300
#: Contract: cycles between commits with input always there.
LIMIT = 8


async def saturate(bench: Bench, conns: list[int], mixed: bool) -> list[int]:
    """Cycles between commits: grants alone, or mixed with segments, consumed bytes and credits."""
    if mixed:
        for n in range(ROUNDS):
            conn = conns[n % len(conns)]
            bench.offer_segment(conn=conn, seq=RCV, pay_len=1, ack=UNA)
            bench.waiting["consumed"].append({"conn": conn, "gen": GEN, "bytes": 1})
            if n % 4 == 0:
                bench.waiting["credit"].append({"count": 1})
    first = len(bench.records)
    for _ in range(40 * ROUNDS):
        await bench.step()
        if len(bench.records) >= first + 2 * ROUNDS or (mixed and not bench.waiting["rx"]):
            break
    return [y - x for x, y in zip(bench.cycles[first:], bench.cycles[first + 1 :], strict=False)]


@cocotb.test()
async def commits_follow_each_other_within_eight_cycles(dut: Any) -> None:
    """Issue, section Numbers: engine."""
    found: dict[str, dict[str, float]] = {}
    for count in (1, int(dut.CONNS.value)):
        for mixed in (False, True):
            bench = await bench_of(dut)
            await bench.path()
            await bench.neighbor()
            image = replace(IMAGE, cwnd=1 << 29, snd_wnd=0x3FFF0000, max_snd_wnd=1 << 17)
            for conn in range(count):
                await bench.command(Opcode.INITIATE, image.pack(), conn=conn)
                await bench.command(Opcode.START, conn=conn)
            for conn in range(count):
                sqe = Sqe(opcode=Opcode.SEND, conn=conn, gen=GEN, length=0xFFFFFF, count=2, flags=1, addr=0xABC000)
                bench.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": conn, "image": 0})
            while bench.waiting["cmd"]:
                await bench.step()
            gaps = await saturate(bench, list(range(count)), mixed)
            name = f"{count} connection(s), {'all kinds' if mixed else 'grants alone'}"
            found[name] = {"max": max(gaps), "mean": round(sum(gaps) / len(gaps), 2), "commits": len(gaps) + 1}
            dut._log.info("%s: %s", name, found[name])
            await FallingEdge(dut.clk)
            bench.stop()
    write_json(configuration().out / "engine.json", found)
    worst = max(numbers["max"] for numbers in found.values())
    assert worst <= LIMIT, f"{worst} cycles between two commits"
