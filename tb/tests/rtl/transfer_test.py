"""The main job on the RTL: the session of `make run`, in lockstep with the golden model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.device.config import DeviceConfig
from model.device.follower import Follower
from model.layout.generated import Csr
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from model.ndis.status import NdisStatus
from tb.config import RunConfig
from tb.contract.duties import counted, duties
from tb.coverage.samples import Samples, by_group, run_name
from tb.device.addresses import host_base, host_pages
from tb.device.host_port import RtlHostPort
from tb.env.agents import NdisDriver
from tb.env.base_test import ChimneyTest, configuration, put, top
from tb.env.bench import Bench, back_pressure
from tb.env.items import NdisItem
from tb.files import write_json
from tb.lockstep.recording import RecordingFollower
from tb.lockstep.trace import TRACE_NAME, Header, TraceWriter
from tb.monitors.call_statuses import CallStatuses
from tb.session import summary
from tb.session.transfer import Transfer
from tb.sim.records import RecordReader
from tb.sim.run import RECORDS_NAME, SAMPLES_NAME, replay_command

#: Simulated time that a run may take, per byte and at least.
NS_PER_BYTE, NS_AT_LEAST = 20_000, 2_000_000_000


class TransferTest(ChimneyTest):
    """Sends the file over the wire and back, then compares all of memory and asks for the verdict."""

    trace: TraceWriter | None = None

    def build_phase(self) -> None:
        dut = top()
        self.config = self.configured()
        conns, data_w = built("conns"), self.config.data_w
        sizes = DeviceConfig(
            conns=conns,
            data_w=data_w,
            pool_bufs=built("pool_bufs", DeviceConfig.pool_bufs),
            ooo_ranges=built("ooo_ranges", DeviceConfig.ooo_ranges),
        )
        header = Header(
            device=sizes,
            memory_base=host_base(built("mem_bytes")),
            memory_bytes=built("mem_bytes"),
            busy_conns=self.config.conns,
            latency=self.config.mem_latency,
            seed=self.config.seed,
            contents="hash",
            memory_seed=int(dut.mem_seed.value),
            origin=self.config.make_command(),
        )
        self.contents = bytearray(header.initial())
        self.follower = self._follower(header)
        dut.mem_base.value = header.memory_base
        self.port = RtlHostPort(self.contents, self._on_operation, header.memory_base)
        put("dut", dut)
        put("data_w", self.config.data_w)
        put("follower", self.follower)
        put("mirror", self.port.mem)
        put("records", RecordReader(self.config.out / RECORDS_NAME))
        put("execute", self._execute)
        self.transfer: Transfer | None = None
        self.calls = CallStatuses()
        self.tick = 0
        super().build_phase()

    def configured(self) -> RunConfig:
        """The configuration of the run."""
        return configuration()

    def _follower(self, header: Header) -> Follower:
        """What lockstep feeds; with TRACE=1 it writes down all that it is fed."""
        if not self.config.trace:
            return Follower(
                bytes(self.contents),
                config=header.device,
                bounds=header.bounds(),
                memory_base=header.memory_base,
            )
        self.trace = TraceWriter(self.config.out / TRACE_NAME, header)
        return RecordingFollower(header, self.trace)

    def _on_operation(self, operation: Any) -> None:
        self.env.scoreboard.on_operation(operation)

    def _execute(self, call: Any) -> None:
        assert self.transfer is not None
        self.transfer.host.execute(call)

    async def stimulus(self) -> None:
        dut, config = top(), self.config
        started = time.monotonic()
        for name, value in back_pressure(config).items():
            getattr(dut, name).value = value
        bench = self.bench = Bench(dut, config, self.env, self.port)
        await bench.start()
        await bench.reset_device()
        allocator = host_pages(self.port.mem, len(self.contents), config.seed)
        self.transfer, driver = self.session(allocator)
        self.transfer.tap.listeners.append(self.calls)
        self.transfer.attach(driver)
        if self.transfer.seam is not None:
            self.transfer.seam.core = lambda: self.follower.core
            self.transfer.seam.cycle = lambda: int(dut.cycle.value)
        bench.use(driver)
        try:
            await bench.run(self.transfer, max(NS_AT_LEAST, NS_PER_BYTE * len(self.transfer.data)))
            await self.compare_at_the_end()
        finally:
            self.tick = int(dut.tick_count.value)
            self.transfer.network.frames_without_room = self.follower.frames_without_room
            self.transfer.network.close()
            bench.stop()
            self._write_results(time.monotonic() - started)

    async def compare_at_the_end(self) -> None:
        """Queues, registers, all of memory."""
        await self.bench.settle()
        registers = await self.bench.registers()
        self.env.scoreboard.finish(await self.bench.dump(), registers)

    def session(self, allocator: PageAllocator) -> tuple[Transfer, MiniportDriver]:
        """Host and network of this run, and the driver below them."""
        transfer = Transfer(
            self.config, self.port.mem, allocator, capture=self.config.out / "wire.pcapng", issue=self.bench.issue
        )
        settings = DriverConfig(conns=built("conns"), cq_log2=12)
        return transfer, MiniportDriver(self.port, transfer.host, allocator, settings)

    def extra_problems(self) -> list[str]:
        return [] if self.transfer is None else summary.verdict(self.transfer)

    def leave_coverage(self) -> None:
        if self.transfer is not None:
            self.store_samples(self.transfer)

    def store_samples(self, transfer: Transfer) -> None:
        """coverage.json: the bins that this run hit, unless something diverged on purpose."""
        scoreboard, config, out = self.env.scoreboard, self.config, self.config.out
        if scoreboard.coverage.void or scoreboard.diverged:
            return
        samples = Samples(
            design=str(cocotb.plusargs.get("design", "")),
            test=run_name(out),
            seed=config.seed,
            simulator=config.sim,
            data_w=config.data_w,
            conns=built("conns"),
            hits=by_group([*scoreboard.coverage.hits(), *self._hits_above(transfer)]),
        )
        samples.store(out / SAMPLES_NAME)

    def _hits_above(self, transfer: Transfer) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What the monitors above the commit port have seen: rules, statuses, faults of the network."""
        known = {int(status): status.name for status in NdisStatus}
        yield from (("status", (call, known[status])) for call, status in self.calls.seen if status in known)
        table = {duty.id for duty in duties()}  # monitors watch the host's own manners, too
        seen = table & counted(transfer.tap.result()).keys()
        yield from (("rule", (rule, self.config.sim)) for rule in seen)
        family = f"IPV{self.config.family}"
        for direction, injector in transfer.network.impairments.items():
            for kind, count in injector.counts.as_dict().items():
                if count:
                    yield "impairment", (kind, direction, family)

    def contract_result(self) -> dict[str, Any]:
        """What the plan wants to know of the run, see `ContractTap.result`."""
        assert self.transfer is not None
        return self.transfer.tap.result()

    def check_phase(self) -> None:
        self.close_trace()  # a stimulus of its own may not have come to results
        super().check_phase()

    def close_trace(self) -> None:
        """The trace is whole from now on."""
        if self.trace is not None:
            self.trace.close()

    def _write_results(self, seconds: float) -> None:
        assert self.transfer is not None
        out = self.config.out
        self.close_trace()
        result = summary.empty(self.config) | summary.of_transfer(self.transfer, self.tick)
        result |= self.env.scoreboard.summary()
        result["cycles"] = int(top().cycle.value)
        result["sim_seconds"] = round(seconds, 2)
        result["problems"] = self.verdict()
        write_json(out / "rtl.json", result)
        write_json(out / "contract.json", self.contract_result())
        (out / "received.bin").write_bytes(self.transfer.received_data())
        if self.follower.divergence is not None:
            (out / "divergence.txt").write_text(self.follower.report(replay_command(out)))


def built(name: str, default: int | None = None) -> int:
    """A parameter the simulated design was built with (conns, data_w, mem_bytes), from the command line of the run."""
    return int(cocotb.plusargs[name] if default is None else cocotb.plusargs.get(name, default))


@cocotb.test()
async def a_file_crosses_the_wire_and_comes_back_byte_exact_with_no_divergence(_: Any) -> None:
    """S01, S02; Issue's main job; architecture section 3, checks 1 to 6."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(TransferTest, keep_set={uvm_factory})


__all__ = ["Csr", "NdisDriver", "NdisItem", "TransferTest"]
