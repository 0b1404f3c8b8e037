"""The bench: carries a session (host, driver, network) and a running simulation forward together.

Python is awake only when something happened: a frame left, the interrupt rose, a batch of records was written, or time
reached the next deadline of host or network. Everything the host side wants then goes out in order through the agents.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import cocotb
from cocotb.triggers import Event, RisingEdge, SimTimeoutError, Timer, ValueChange, with_timeout

from model.layout.generated import Csr
from model.ndis.calls import NdisCall
from model.ndis.miniport import MiniportDriver
from model.streams import Streams
from tb.config import LATENCY_SPREADS, RunConfig
from tb.device.host_port import Action, MemoryWrite, RegisterRead, RegisterWrite, RtlHostPort
from tb.env.environment import ChimneyEnv
from tb.env.sequences import FrameStream, NdisStream, RegisterAccess
from tb.session.progress import ProgressFile
from tb.session.transfer import Transfer
from tb.sim.memory import HostMemory
from tb.sim.ports import SeenFrame, read_int

#: Ticks that may pass without any progress before a run counts as standing still.
STALL_TICKS = 150_000
#: Ticks given at once when no deadline is known.
FREE_TICKS = 2_000
#: Simulated time a reset may take.
RESET_NS = 100_000
#: Reads of STATUS after a soft reset.
RESET_POLLS = 2_000
SOFT_RESET = 2
STATUS_READY = 4
EXTERNAL_TICK = 8


class StandstillError(Exception):
    """Nothing moves any more; the message names what is still pending."""


class Bench:
    """One simulation under way. Made in the test's run phase, after the environment was built."""

    def __init__(self, dut: Any, config: RunConfig, env: ChimneyEnv, port: RtlHostPort) -> None:
        self.dut = dut
        self.config = config
        self.env = env
        self.port = port
        self.memory = HostMemory(dut)
        self.calls: NdisStream = NdisStream.create("calls")
        self.frames: FrameStream = FrameStream.create("frames")
        self.frames.lanes = config.data_w // 8
        self.transfer: Transfer | None = None
        self.error: BaseException | None = None
        self._driver: MiniportDriver | None = None
        self._progress_file = ProgressFile(config.out)
        self._operations, self._reads = Event(), Event()
        self._over = Event()
        self._operating = False
        self._last_progress = (0, (0.0, False, 0))
        self._limit = self._held = -1
        self._tasks: list[Any] = []
        port.wake, port.wake_reads = self._operations.set, self._reads.set

    # ---- start -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Wait for the reset, then start all coroutines."""
        dut = self.dut
        dut.hold_idle.value = self._held = 1
        for _ in range(RESET_NS // 100):
            if int(dut.rst_done.value):
                break
            await Timer(100, "ns")
        else:
            raise StandstillError("the reset never ended")
        self.calls.after_each = self._kick
        self.frames.when_idle = self._kick
        for coroutine in (
            self.calls.start(self.env.host.sequencer),
            self.frames.start(self.env.wire.sequencer),
            self._carry_out(),
            self._read(),
            self._watch(ValueChange(dut.tick_limit_hit), self._kick),
            self._watch(ValueChange(dut.rec_wake), self._records),
            self._watch(RisingEdge(dut.irq), self._interrupt),
        ):
            self._tasks.append(cocotb.start_soon(self._guard(coroutine)))
        self.env.wire.monitor.bus.add_callback(self._frame_left)

    def use(self, driver: MiniportDriver) -> None:
        """From now on interrupts go to ``driver``; its start-up registers are written."""
        self._driver = driver
        driver.start()

    async def reset_device(self) -> None:
        """Soft reset through the register port; returns when the look-up table is clear."""
        await self.register(Csr.CONTROL, SOFT_RESET)
        for _ in range(RESET_POLLS):
            if await self.register(Csr.STATUS) & STATUS_READY:
                return
        raise StandstillError(f"STATUS never showed a clear look-up table in {RESET_POLLS} reads after a soft reset")

    async def soft_reset_under_traffic(self, cut: bytes | None = None) -> bool:
        """Reset a device that is at work and forget the session above it; True if it was not idle at that moment.

        The golden side is told when all records of the time before are there. Frames on
        their way in are let in first; ``cut`` is on its way during the reset.
        """
        self.transfer, self._driver = None, None
        self.calls.clear()
        self._stop_time()
        await self._until(lambda: not self._posted(), "the driver's operations")
        self.env.scoreboard.frames_withdrawn(self.frames.clear())
        await self._until(lambda: self.frames.empty and not int(self.dut.src_busy.value), "the frame on its way in")
        working = not int(self.dut.dut_idle.value)
        if cut is not None:
            self.env.scoreboard.frame_played(cut)
            self.frames.put(cut)
            await self._until(lambda: bool(int(self.dut.src_busy.value)), "the start of the frame to be cut")
        await self.reset_device()
        if await self.register(Csr.CONTROL):
            raise StandstillError("CONTROL is not 0 after a soft reset")
        await self.register(Csr.CONTROL, EXTERNAL_TICK)  # the prescaler would count on
        await self._until(lambda: not int(self.dut.src_busy.value), "the end of the frame that was cut")
        await Timer(1, "us")
        self.env.scoreboard.device_was_reset(self._tick(), await self.dump())
        self._check_diverged()
        self.port.restart()
        self._over.clear()
        self._last_progress = (self._tick(), (0.0, False, 0))
        return working

    def _stop_time(self) -> None:
        """No tick from now on, until the session moves the limit again."""
        self._limit = self._tick()
        self.dut.tick_limit.value = self._limit

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something is so, for RESET_NS at most."""
        for _ in range(RESET_NS // 10):
            if condition():
                return
            await Timer(10, "ns")
        raise StandstillError(f"{what}: still waiting after {RESET_NS} ns")

    async def register(self, offset: int, value: int | None = None) -> int:
        """Read (no value) or write a register through the register agent."""
        access = RegisterAccess(offset, value or 0, write=value is not None)
        await access.start(self.env.registers.sequencer)
        return int(access.value)

    def issue(self, call: NdisCall) -> None:
        """The host's way down: through the sequencer."""
        self.calls.put(call)

    # ---- running -----------------------------------------------------------------------------

    def carry(self, transfer: Transfer) -> None:
        """From now on this session is the one that is carried."""
        self.transfer = transfer
        transfer.quiet = self._quiet
        transfer.tap.now = self._tick
        self.env.scoreboard.entered = transfer.network.entered

    async def run(self, transfer: Transfer, timeout_ns: int) -> None:
        """Carry the session to its end; raises what went wrong on the way."""
        self.carry(transfer)
        # what exists now stays; the cyclic garbage of a run is little, and looking for it cost a tenth of the time
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 20, 100)
        self._kick()
        try:
            await with_timeout(self._over.wait(), timeout_ns, "ns")
        except SimTimeoutError:
            self.error = self.error or StandstillError(f"not over after {timeout_ns} ns: {self._pending()}")
        if self.error is not None:
            raise self.error

    async def settle(self, timeout_ns: int = 20_000_000) -> None:
        """After the session: wait until the device and the bench are idle and every operation is carried out.

        A device that went another way than the golden model may never be idle: then there is nothing to wait for.
        """
        waited = 0
        while waited < timeout_ns and not self.env.scoreboard.diverged:
            await Timer(1000, "ns")
            waited += 1000
            if not self._busy() and int(self.dut.tb_idle.value):
                return
        if not self.env.scoreboard.diverged:
            raise StandstillError("the device never became idle after the session")

    def stop(self) -> None:
        """End all coroutines."""
        for task in self._tasks:
            task.cancel()

    async def registers(self) -> dict[Csr, int]:
        """Every register the golden device knows the value of. Time stands still from now on."""
        self._stop_time()
        await Timer(1, "us")
        compared = self.env.scoreboard.follower.compared_registers()
        return {register: await self.register(register) for register in compared}

    async def dump(self) -> bytes:
        """All of host memory by back door."""
        return await self.memory.read(self.port.mem.base, len(self.port.mem.contents))

    # ---- reactions ---------------------------------------------------------------------------

    async def _guard(self, coroutine: Any) -> None:
        try:
            await coroutine
        except Exception as error:  # noqa: BLE001 - whatever it is ends the run and is raised from run()
            self.error = self.error or error
            self._over.set()

    async def _watch(self, trigger: Any, reaction: Callable[[], None]) -> None:
        while True:
            await trigger
            reaction()

    def _records(self) -> None:
        self.env.scoreboard.catch_up()
        self._check_diverged()

    def _interrupt(self) -> None:
        self._records()
        if self._driver is not None:
            self._driver.on_interrupt()
        self._kick()

    def _frame_left(self, seen: SeenFrame) -> None:
        try:
            self._records()
            self.env.scoreboard.frame_left(seen.data)
            if self.transfer is not None:
                self.transfer.network.from_nic(seen.data, self._tick())
            self._kick()
        except Exception as error:  # noqa: BLE001 - a callback has no caller to raise to
            self.error = self.error or error
            self._over.set()

    def _tick(self) -> int:
        return read_int(self.dut.tick_count)

    def _busy(self) -> bool:
        return self._posted() or not self.calls.empty or not self.frames.empty

    def _posted(self) -> bool:
        """The driver's writes and reads that are not carried out."""
        return bool(self.port.queue or self.port.reads or self._operating)

    def _quiet(self) -> bool:
        """Nothing waits for the device, is in it, or waits for the driver."""
        return not self._busy() and bool(read_int(self.dut.tb_idle)) and not read_int(self.dut.irq)

    def kick(self) -> None:
        """Carry the session on, without waiting for its end."""
        self._kick()

    def _kick(self) -> None:
        """Let host and network do what is possible now, then tell the tick generator how far time may run."""
        transfer = self.transfer
        if transfer is None or self._over.is_set():
            return
        self.env.scoreboard.catch_up()  # what the host does now happens now, not when the last batch was written
        tick = self._tick()
        transfer.on_tick(tick)
        transfer.pump()
        for frame in transfer.network.due(tick):
            self.env.scoreboard.frame_played(frame)
            self.frames.put(frame)
        transfer.pump()
        self._check_diverged()
        if transfer.done and not self._busy():
            self._over.set()
            return
        self._progress_file.report(transfer.progress)
        reached = transfer.reached
        if reached != self._last_progress[1]:
            self._last_progress = (tick, reached)
        elif tick - self._last_progress[0] > STALL_TICKS:
            raise StandstillError(f"no byte came back for {STALL_TICKS} ticks: {self._pending()}")
        deadline = transfer.next_deadline()
        limit = max(tick + 1, min(deadline or tick + FREE_TICKS, tick + FREE_TICKS))
        if limit != self._limit:
            self._limit = limit
            self.dut.tick_limit.value = limit
        if (busy := int(self._busy())) != self._held:
            self._held = busy
            self.dut.hold_idle.value = busy

    def _check_diverged(self) -> None:
        if self.env.scoreboard.diverged:
            self._over.set()

    def _pending(self) -> str:
        transfer = self.transfer
        phases = [] if transfer is None else sorted({app.phase.value for app in transfer.apps})
        return (
            f"connections are {', '.join(phases)}; {len(self.port.queue)} operations, "
            f"{'no ' if self.calls.empty else ''}calls and {'no ' if self.frames.empty else ''}frames wait"
        )

    def _poll(self) -> None:
        self._records()
        if self._driver is not None:
            self._driver.poll()

    async def _carry_out(self) -> None:
        """Memory and register operations of the driver, in order."""
        while True:
            operation = self.port.take()
            if operation is None:
                self._operating = False
                self._operations.clear()
                self._kick()
                await self._operations.wait()
                continue
            self._operating = True
            if isinstance(operation, MemoryWrite):
                await self.memory.write_many([(w.addr, w.data) for w in self.port.take_writes(operation)])
            elif isinstance(operation, RegisterWrite):
                await self.register(operation.offset, operation.value)
                if operation.offset == Csr.IRQ_CAUSE:
                    # the line is a level: a cause that rose again in the cycle of its acknowledgement raises no new
                    # edge, and neither does an entry written between the driver's last look and now
                    if int(self.dut.irq.value):
                        self._interrupt()
                    else:
                        self._poll()
            elif isinstance(operation, Action):
                operation.run()
            elif isinstance(operation, RegisterRead):
                self.port.read_done(operation.offset, await self.register(operation.offset))
                self._poll()

    async def _read(self) -> None:
        """Reads of the driver beside its operations: one access at a time comes between two of those."""
        while True:
            if not self.port.reads:
                self._reads.clear()
                self._kick()
                await self._reads.wait()
                continue
            wanted = self.port.reads[0]
            values = [await self.register(offset) for offset in wanted.offsets]
            self._kick()  # the host's clock comes to the time of the values
            wanted.done(values)
            self.port.reads.popleft()


def back_pressure(config: RunConfig) -> dict[str, int]:
    """Settings of the transactors, each from a stream of its own: mild latency spread and stalls."""
    draws = Streams(config.seed, ("transactors",)).stream
    return {
        "lat_min": config.mem_latency,
        "lat_max": config.mem_latency + draws("lat_max").choice(LATENCY_SPREADS),
        "p_ar": draws("p_ar").choice((0, 16)),
        "p_r": draws("p_r").choice((0, 16)),
        "p_aw": draws("p_aw").choice((0, 16)),
        "p_w": draws("p_w").choice((0, 16)),
        "p_b": draws("p_b").choice((0, 16)),
        "p_gap": draws("p_gap").choice((0, 8)),
        "p_stall": draws("p_stall").choice((0, 8)),
    }
