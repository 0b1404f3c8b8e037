"""Proxies of the frame transactors and the registers: cocotb-bus drivers and monitors over the signals of tb_top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cocotb.triggers import ClockCycles, FallingEdge, ReadOnly, RisingEdge, Timer, ValueChange
from cocotb_bus.drivers import BusDriver
from cocotb_bus.drivers.amba import AXI4LiteMaster
from cocotb_bus.monitors import BusMonitor

#: The longest frame the transactors hold, bytes.
MAX_FRAME = 2048
#: Frames up to this length cross the simulator's interface in a narrow register, which is cheaper.
SHORT_FRAME = 128


@dataclass(frozen=True)
class SeenFrame:
    """A frame that the device sent: its bytes, running number from 1, and the cycle of its first beat."""

    data: bytes
    number: int
    cycle: int


class LostFrameError(Exception):
    """The sink's counter stepped by more than one: Python came too late."""


def read_int(handle: Any) -> int:
    """A signal as an unsigned number, without the detour over an array of logic values; X or Z raises ValueError."""
    return int(handle._handle.get_signal_val_binstr(), 2)  # three times as fast as handle.value


async def reset_released(dut: Any) -> None:
    """Wait until the first reset has ended; returns at once if it has."""
    if not dut.rst.value.is_resolvable:
        await Timer(1, "step")
    if int(dut.rst.value):
        await FallingEdge(dut.rst)


async def pulse_reset(dut: Any) -> None:
    """Reset device and transactors in mid-traffic and wait for the end of the pulse."""
    dut.rst_req.value = 1 - int(dut.rst_req.value)
    await ValueChange(dut.rst_done)


class FrameDriver(BusDriver):  # type: ignore[misc]  # cocotb-bus is untyped
    """Sends frames into the device: `append(frame)`, or `await send(frame)` until it is in the transactor's queue."""

    _signals = ("frame", "head", "short", "len", "gap", "go", "done")

    def __init__(self, dut: Any) -> None:
        BusDriver.__init__(self, dut, "src", dut.clk)
        self.sent = 0
        self._settings: tuple[bool, int, int] | None = None
        self._taken = ValueChange(self.bus.done)

    async def _driver_send(self, transaction: bytes | tuple[bytes, int], sync: bool = True) -> None:
        """One frame, or a frame and the idle cycles before it."""
        del sync  # the transactor samples the request at its own clock edge
        data, gap = (transaction, 0) if isinstance(transaction, (bytes, bytearray)) else transaction
        if not 0 < len(data) <= MAX_FRAME:
            raise ValueError(f"a frame has 1 to {MAX_FRAME} bytes, not {len(data)}")
        short = len(data) <= SHORT_FRAME
        (self.bus.head if short else self.bus.frame).value = int.from_bytes(data, "little")
        if (settings := (short, len(data), gap)) != self._settings:
            self._settings = settings
            self.bus.short.value = int(short)
            self.bus.len.value = len(data)
            self.bus.gap.value = gap
        self.bus.go.value = 1 - read_int(self.bus.done)
        self.sent += 1
        await self._taken


class FrameMonitor(BusMonitor):  # type: ignore[misc]  # cocotb-bus is untyped
    """Watches frames out of the device; each goes to `callback` in the time step of its last beat."""

    _signals = ("frame", "head", "len", "seq", "cycle", "toggle")

    def __init__(self, dut: Any, callback: Callable[[SeenFrame], None] | None = None) -> None:
        self._last = 0
        BusMonitor.__init__(self, dut, "snk", dut.clk, callback=callback)

    async def _monitor_recv(self) -> None:
        changed = ValueChange(self.bus.toggle)
        while True:
            await changed
            length = read_int(self.bus.len)
            number = read_int(self.bus.seq)
            if number != self._last + 1:
                raise LostFrameError(f"frame {number} follows frame {self._last}")
            self._last = number
            source = self.bus.head if length <= SHORT_FRAME else self.bus.frame
            whole = read_int(source)
            stored = min(length, MAX_FRAME)
            data = (whole & ((1 << 8 * stored) - 1)).to_bytes(stored, "little")
            self._recv(SeenFrame(data, number, read_int(self.bus.cycle)))


class RegisterMaster(AXI4LiteMaster):  # type: ignore[misc]  # cocotb-bus is untyped
    """cocotb-bus' AXI4-Lite master, with the data channel sampled like its other channels.

    The original looks at WREADY right behind the clock edge. With a clock made in HDL Verilator has then already
    computed the values of the next cycle; after ReadOnly both simulators agree.
    """

    async def _send_write_data(
        self,
        address: int,
        data: Sequence[int],
        burst: object,
        size: int,
        delay: int,
        byte_enable: Sequence[int | None],
        sync: bool,
    ) -> None:
        """The one data beat that AXI4-Lite has."""
        del address, burst, size
        async with self.write_data_busy:
            if sync:
                await RisingEdge(self.clock)
            await ClockCycles(self.clock, delay)
            self.bus.WVALID.value = 1
            self.bus.WDATA.value = data[0]
            self.bus.WSTRB.value = 0xF if byte_enable[0] is None else byte_enable[0]
            while True:
                await ReadOnly()
                if self.bus.WREADY.value == 1:
                    break
                await RisingEdge(self.clock)
            await RisingEdge(self.clock)
            self.bus.WVALID.value = 0


class Registers:
    """The device's registers through cocotb-bus' AXI4-Lite master; one access at a time."""

    def __init__(self, dut: Any) -> None:
        self.master = RegisterMaster(dut, "s_axil", dut.clk)

    async def read(self, address: int) -> int:
        """A register's value."""
        return int(await self.master.read(address))

    async def write(self, address: int, value: int) -> None:
        """Write a register and wait for the answer."""
        await self.master.write(address, value)
