"""docs/errors.md, part R, on the RTL: rings that fail, resets in mid-traffic; each time a new session works."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer
from pyuvm import uvm_factory, uvm_root

from model.device.memory import ErrorWindow
from model.layout.generated import CQE_BYTES, SQE_BYTES, Csr
from model.ndis.miniport import DriverConfig
from tb.device.addresses import host_pages
from tb.env.base_test import top
from tb.env.bench import Bench, StandstillError, back_pressure
from tb.session.transfer import Transfer
from tb.tests.lab import LabDriver, documented
from tb.tests.rtl.errors_test import set_windows
from tb.tests.rtl.transfer_test import NS_AT_LEAST, TransferTest, built

IRQ_DEVICE_ERROR, STATUS_DEVICE_ERROR = 2, 2
#: Simulated time in which a condition must come true.
PATIENCE_NS = 5_000_000


class ResetTest(TransferTest):
    """Sessions that are broken off, one after the other; the last one runs to its end.

    A session that is broken off is judged for what it did until then, not for what it still owed.
    """

    async def stimulus(self) -> None:
        dut = top()
        started = time.monotonic()
        for name, value in back_pressure(self.config).items():
            getattr(dut, name).value = value
        bench = self.bench = Bench(dut, self.config, self.env, self.port)
        self.rows: list[str] = []
        self.sessions = 0
        self.broken_off: list[str] = []
        await bench.start()
        await bench.reset_device()
        scenes: tuple[Callable[[], Awaitable[None]], ...] = (
            self.submission_ring_fails,
            self.completion_ring_fails,
            self.reset_in_mid_traffic,
            self.reset_in_mid_frame,
        )
        try:
            for scene in scenes:
                self.begin()
                await scene()
                self.judge_broken_off()
                await self.registers_are_as_after_power_up()
            self.begin()
            assert self.transfer is not None
            await bench.run(self.transfer, NS_AT_LEAST)
            await self.compare_at_the_end()
        finally:
            self.tick = int(dut.tick_count.value)
            if self.transfer is not None:
                self.transfer.network.close()
            bench.stop()
            self._write_results(time.monotonic() - started)

    def extra_problems(self) -> list[str]:
        found = super().extra_problems()
        if sorted(self.rows) != sorted(documented("R")):
            found.append(f"rows of docs/errors.md asserted: {', '.join(self.rows) or 'none'}")
        return found + self.broken_off

    def judge_broken_off(self) -> None:
        """What monitors and peer hold against the session so far."""
        assert self.transfer is not None
        network = self.transfer.network
        found = [f"contract: {breach}" for breach in self.transfer.tap.monitors.breaches]
        found += [f"wire: {violation}" for violation in network.monitor.violations]
        found += [f"peer: {line}" for line in network.peer.violations]
        self.broken_off += [f"session {self.sessions}, broken off: {line}" for line in found]

    def begin(self) -> None:
        """A new session from scratch."""
        self.sessions += 1
        if self.transfer is not None:
            self.transfer.network.close()
        config = replace(self.config, seed=self.config.seed + self.sessions)
        allocator = host_pages(self.port.mem, len(self.contents), config.seed)
        self.transfer = Transfer(
            config, self.port.mem, allocator, capture=config.out / "wire.pcapng", issue=self.bench.issue
        )
        driver = self.driver = LabDriver(
            self.port, self.transfer.host, allocator, DriverConfig(conns=built("conns"), cq_log2=12)
        )
        self.transfer.attach(driver)
        self.bench.use(driver)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Carry the session on until something is so."""
        assert self.transfer is not None
        self.bench.carry(self.transfer)
        self.bench.kick()
        for _ in range(PATIENCE_NS // 500):
            await Timer(500, "ns")
            if self.bench.error is not None:
                raise self.bench.error
            if self.env.scoreboard.diverged:
                raise StandstillError("the RTL diverged from the golden model")
            if condition():
                return
        raise StandstillError("the state to be broken off never came")

    def under_way(self) -> bool:
        """A part of the file came back, and not all of it."""
        assert self.transfer is not None
        return 0.1 < self.transfer.progress < 0.9

    async def submission_ring_fails(self) -> None:
        """R-01: no entry is fetched any more."""
        await self.until(self.under_way)
        sq, _ = self.driver.rings
        await self._ring_fails("R-01", ErrorWindow(sq, SQE_BYTES << self.driver.config.sq_log2, writes=False), 1)

    async def completion_ring_fails(self) -> None:
        """R-02: no entry is written any more."""
        await self.until(self.under_way)
        _, cq = self.driver.rings
        await self._ring_fails("R-02", ErrorWindow(cq, CQE_BYTES << self.driver.config.cq_log2, reads=False), 2)

    async def _ring_fails(self, row: str, window: ErrorWindow, cause: int) -> None:
        self.port.post_action(lambda: set_windows([window]))
        bench, found = self.bench, 0
        for _ in range(PATIENCE_NS // 1000):
            await Timer(1, "us")
            if found := await bench.register(Csr.ERROR):
                break
        assert found == cause, f"ERROR is {found}, not {cause}"
        assert await bench.register(Csr.STATUS) & STATUS_DEVICE_ERROR
        assert await bench.register(Csr.IRQ_CAUSE) & IRQ_DEVICE_ERROR
        assert int(top().irq.value), "the cause is set and the line is low"
        set_windows([])
        before = await bench.register(Csr.SQ_HEAD), await bench.register(Csr.CQ_TAIL)
        compared = self.follower.completions_compared
        await Timer(20, "us")
        self.env.scoreboard.catch_up()
        assert (await bench.register(Csr.SQ_HEAD), await bench.register(Csr.CQ_TAIL)) == before
        assert self.follower.completions_compared == compared
        assert await bench.register(Csr.ERROR) == cause
        await bench.soft_reset_under_traffic()
        self.rows.append(row)

    async def reset_in_mid_traffic(self) -> None:
        """R-03: frames, bursts and commands are under way."""
        for _ in range(3):
            await self.until(self.under_way)
            if await self.bench.soft_reset_under_traffic():
                self.rows.append("R-03")
                return
            self.judge_broken_off()
            self.begin()
        raise AssertionError("the device was idle at every reset")

    async def reset_in_mid_frame(self) -> None:
        """R-04: the tail of a frame that the reset cut is not taken for a frame."""
        await self.until(self.under_way)
        frame = bytes(12) + b"\x88\xb5" + bytes(1500)
        await self.bench.soft_reset_under_traffic(cut=frame)
        assert await self.bench.register(Csr.CNT_RX_FRAMES) == 0
        self.rows.append("R-04")

    async def registers_are_as_after_power_up(self) -> None:
        """Soft reset: counters, causes, indices, enable."""
        for register in (Csr.ERROR, Csr.IRQ_CAUSE, Csr.SQ_HEAD, Csr.SQ_TAIL, Csr.CQ_TAIL, Csr.TICK,
                         Csr.CNT_RX_FRAMES, Csr.CNT_TX_SEGMENTS, Csr.CNT_CMD_ERRORS, Csr.CNT_FAULTS):  # fmt: skip
            assert await self.bench.register(register) == 0, f"{register.name} is not 0 after a soft reset"


@cocotb.test()
async def a_reset_under_traffic_leaves_a_device_that_carries_a_whole_new_session(_: Any) -> None:
    """Issue, "Bad input": reset in mid-traffic and reload; mechanisms M7: errors of the rings."""
    await Timer(1, "ns")  # let the initial blocks of the transactors run
    await uvm_root().run_test(ResetTest, keep_set={uvm_factory})
