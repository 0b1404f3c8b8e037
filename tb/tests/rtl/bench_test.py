"""Bulk transfer in one direction as `make bench` measures it: one connection, no loss, a peer that never holds back.

Everything is on: lockstep, checkers, monitors. The frames' cycles go to frames.json; tb/bench.py makes figures of them
and of the recorder's file. The plusarg +bench selects what is played (tb.session.bench.Play).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.layout.generated import Csr
from model.ndis.miniport import DriverConfig, MiniportDriver
from tb.device.addresses import host_pages
from tb.env.base_test import top
from tb.env.bench import Bench
from tb.files import write_json
from tb.session.bench import BulkTransfer, Play
from tb.sim.memory import CHUNK
from tb.sim.ports import SeenFrame, read_int
from tb.tests.rtl.transfer_test import TransferTest, built

#: Simulated time that a run may take.
NS_AT_MOST = 400_000_000


class BenchBench(Bench):
    """Notes when doorbells were asked for, and everything Python did, for tb/hdl/bench_top.v to play again."""

    def prepare(self) -> None:
        """Before ``start``."""
        self.doorbells: list[tuple[int, int]] = []
        self.seen = 0
        # (frames sent, completions taken, tick and frame or the access); bytes are made of it after the measurement
        self._wire_notes: list[tuple[int, int, int, bytes]] = []
        self._host_notes: list[tuple[int, int, int, int, int, bytes]] = []
        put_frame, write_many = self.frames.put, self.memory.write_many

        def put(frame: bytes) -> None:
            self._wire_notes.append((self.seen, self._completed(), self._tick(), frame))
            put_frame(frame)

        async def write(writes: Sequence[tuple[int, bytes]]) -> None:
            seen, completed = self.seen, self._completed()
            self._host_notes.extend((seen, completed, 1, addr, 0, data) for addr, data in writes)
            await write_many(writes)

        self.frames.put = put  # type: ignore[method-assign]
        self.memory.write_many = write  # type: ignore[method-assign]

    def _completed(self) -> int:
        ring = getattr(self._driver, "_cq", None)  # how many entries the driver has taken
        return 0 if ring is None else int(ring._read)

    def wire_script(self) -> bytes:
        """Every frame that was played in, as tb/hdl/bench_top.v reads it."""
        parts = []
        for seen, completed, tick, frame in self._wire_notes:
            parts.append(seen.to_bytes(4, "big") + completed.to_bytes(4, "big") + len(frame).to_bytes(2, "big"))
            parts.append(tick.to_bytes(4, "big") + bytes(2) + frame[::-1].rjust(2048, b"\0"))
        return b"".join(parts)

    def host_script(self) -> bytes:
        """Every access of the host, as tb/hdl/bench_top.v reads it."""
        parts = []
        for seen, completed, kind, address, value, data in self._host_notes:
            state = bytes((kind, 0, 0)) + seen.to_bytes(4, "big") + completed.to_bytes(4, "big")
            for at in range(0, len(data), CHUNK) or (0,):
                part = data[at : at + CHUNK]
                head = state + len(part).to_bytes(2, "big") + (address + at).to_bytes(8, "big")
                parts.append((head + value.to_bytes(4, "big")).ljust(32, b"\0"))
                if part:
                    parts.append(part[::-1].rjust(CHUNK, b"\0"))
        return b"".join(parts)

    async def register(self, offset: int, value: int | None = None) -> int:
        """Note the cycle of a doorbell of the submission queue, from the moment the bus access begins."""
        if offset == Csr.SQ_TAIL and value is not None:
            self.doorbells.append((read_int(self.dut.cycle), value))
        kind = 3 if value is None else 2
        self._host_notes.append((self.seen, self._completed(), kind, offset, value or 0, b""))
        return await super().register(offset, value)


class BulkTest(TransferTest):
    """One direction of bulk data, memory compared at the end like in every run."""

    async def stimulus(self) -> None:
        dut, config = top(), self.config
        play = Play(int(cocotb.plusargs["bench"]))
        for name in ("p_ar", "p_r", "p_aw", "p_w", "p_b", "p_gap", "p_stall"):
            getattr(dut, name).value = 0
        dut.lat_min.value = dut.lat_max.value = config.mem_latency
        bench = self.bench = self.player = BenchBench(dut, config, self.env, self.port)
        bench.prepare()
        self.frames: list[tuple[int, int, int]] = []
        self.seconds, self.cycles = 0.0, 0
        await bench.start()
        self.env.wire.monitor.bus.add_callback(self._seen)
        await bench.reset_device()
        allocator = host_pages(self.port.mem, len(self.contents), config.seed)
        self.transfer = BulkTransfer(config, self.port.mem, allocator, play, bench.issue)
        settings = DriverConfig(conns=built("conns"), cq_log2=12)
        driver = MiniportDriver(self.port, self.transfer.host, allocator, settings)
        self.transfer.attach(driver)
        bench.use(driver)
        started = time.monotonic()
        try:
            await bench.run(self.transfer, NS_AT_MOST)
            self.seconds, self.cycles = time.monotonic() - started, int(dut.cycle.value)
            await bench.settle()
            self.env.scoreboard.finish(await bench.dump())
        finally:
            self.tick = int(dut.tick_count.value)
            self.transfer.network.close()
            bench.stop()
            self._write_results(time.monotonic() - started)
            speed = {"seconds": self.seconds, "cycles": self.cycles}
            write_json(self.config.out / "frames.json", {"sent": self.frames, "doorbells": bench.doorbells, **speed})
            (self.config.out / "host.play").write_bytes(bench.host_script())
            (self.config.out / "wire.play").write_bytes(bench.wire_script())

    def _seen(self, seen: SeenFrame) -> None:
        self.player.seen = seen.number
        self.frames.append((seen.cycle, read_int(top().cycle), len(seen.data)))

    def extra_problems(self) -> list[str]:
        return [] if self.transfer is None else self.transfer.problems()


@cocotb.test()
async def bulk_data_in_one_direction_keeps_the_bus_busy(_: Any) -> None:
    """Issue, section Numbers: bus share."""
    await Timer(1, "ns")
    await uvm_root().run_test(BulkTest, keep_set={uvm_factory})
