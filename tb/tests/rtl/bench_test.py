"""Bulk transfer in one direction as `make bench` measures it: one connection, no loss, a peer that never holds back.

Everything is on: lockstep, checkers, monitors. The frames' cycles go to frames.json; tb/bench.py makes figures of them
and of the recorder's file. The plusarg +bench selects what is played (tb.session.bench.Play).
"""

from __future__ import annotations

import time
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.layout.generated import Csr
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.env.base_test import top, write_json
from tb.env.bench import Bench
from tb.session.bench import BulkTransfer, Play
from tb.sim.ports import SeenFrame
from tb.tests.rtl.transfer_test import MEMORY_BASE, TransferTest, built

#: Simulated time that a run may take.
NS_AT_MOST = 400_000_000


class BenchBench(Bench):
    """Notes when doorbells were asked for, and wall-clock seconds of frames."""

    doorbells: list[tuple[int, int]]

    async def register(self, offset: int, value: int | None = None) -> int:
        """Note the cycle of a doorbell of the submission queue, from the moment the bus access begins."""
        if offset == Csr.SQ_TAIL and value is not None:
            self.doorbells.append((int(self.dut.cycle.value), value))
        return await super().register(offset, value)


class BulkTest(TransferTest):
    """One direction of bulk data, memory compared at the end like in every run."""

    async def stimulus(self) -> None:
        dut, config = top(), self.config
        play = Play(int(cocotb.plusargs["bench"]))
        for name in ("p_ar", "p_r", "p_aw", "p_w", "p_b", "p_gap", "p_stall"):
            getattr(dut, name).value = 0
        dut.lat_min.value = dut.lat_max.value = config.mem_latency
        bench = self.bench = BenchBench(dut, config, self.env, self.port)
        bench.doorbells = []
        self.frames: list[tuple[int, int, int, float]] = []
        await bench.start()
        self.env.wire.monitor.bus.add_callback(self._seen)
        await bench.reset_device()
        allocator = PageAllocator(self.port.mem, MEMORY_BASE, len(self.contents), seed=config.seed)
        self.transfer = BulkTransfer(config, self.port.mem, allocator, play, bench.issue)
        driver = MiniportDriver(self.port, self.transfer.host, allocator, DriverConfig(conns=built("conns"), cq_log2=12))
        self.transfer.attach(driver)
        bench.use(driver)
        started = time.monotonic()
        try:
            await bench.run(self.transfer, NS_AT_MOST)
            self.seconds = time.monotonic() - started
            await bench.settle()
            self.env.scoreboard.finish(await bench.dump())
        finally:
            self.tick = int(dut.tick_count.value)
            self.transfer.network.close()
            bench.stop()
            self._write_results(time.monotonic() - started)
            write_json(self.config.out / "frames.json", {"sent": self.frames, "doorbells": bench.doorbells})

    def _seen(self, seen: SeenFrame) -> None:
        self.frames.append((seen.cycle, int(top().cycle.value), len(seen.data), time.monotonic()))

    def extra_problems(self) -> list[str]:
        return [] if self.transfer is None else self.transfer.problems()


@cocotb.test()
async def bulk_data_in_one_direction_keeps_the_bus_busy(_: Any) -> None:
    """Issue, section Numbers: bus share."""
    await Timer(1, "ns")
    await uvm_root().run_test(BulkTest, keep_set={uvm_factory})
