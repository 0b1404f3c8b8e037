"""Host memory: the back door into tb/hdl/axi_mem.v."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import cocotb
from cocotb.triggers import Lock, ValueChange

from tb.sim.contents import initial_contents
from tb.sim.ports import read_int

#: Bytes of one access through the back door.
CHUNK = 512
#: Reads of at least this many bytes go through a file that the memory writes, which is some hundred times faster.
BULK = 1 << 18
BLOCK = 4096


class MemoryFaultError(Exception):
    """An access outside the memory."""


class HostMemory:
    """Reads and writes of host memory in zero simulated time, 512 bytes a step."""

    def __init__(self, dut: Any) -> None:
        self._address = dut.bd_addr
        self._length = dut.bd_len
        self._write_data = dut.bd_wdata
        self._read_data = dut.bd_rdata
        self._write_enable = dut.bd_we
        self._go = dut.bd_go
        self._acknowledge = dut.bd_ack
        self._fault = dut.bd_fault
        self._dump = dut.bd_dump
        self._dumped = dut.bd_dumped
        self._batch = dut.bd_batch
        self._batched = dut.bd_batched
        self._batched_change = ValueChange(dut.bd_batched)
        self._batch_path = Path(str(cocotb.plusargs["batch"])) if "batch" in cocotb.plusargs else None
        self._batch_file: BinaryIO | None = None
        self._mem_seed = dut.mem_seed
        self._mem_base = dut.mem_base
        self._lock = Lock()

    async def read(self, address: int, length: int) -> bytes:
        """Bytes at an address."""
        if length >= BULK:
            return await self._bulk(address, length)
        parts = []
        async with self._lock:
            for offset in range(0, length, CHUNK):
                size = min(CHUNK, length - offset)
                await self._step(address + offset, size, write=False)
                value = int(self._read_data.value) & ((1 << 8 * size) - 1)
                parts.append(value.to_bytes(size, "little"))
        return b"".join(parts)

    async def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Put bytes at an address."""
        async with self._lock:
            for offset in range(0, len(data), CHUNK):
                part = data[offset : offset + CHUNK]
                self._write_data.value = int.from_bytes(part, "little")
                await self._step(address + offset, len(part), write=True)

    async def write_many(self, writes: Sequence[tuple[int, bytes]]) -> None:
        """Put several pieces in order, in one step: through a file, at a tenth of the price of registers."""
        if self._batch_path is None:
            for address, data in writes:
                await self.write(address, data)
            return
        if self._batch_file is None:
            self._batch_file = self._batch_path.open("wb")
        records = []
        for address, data in writes:
            for offset in range(0, len(data), CHUNK):
                part = data[offset : offset + CHUNK]
                size = len(part)
                records.append((size << 64 | address + offset).to_bytes(16, "big"))
                records.append(part[::-1] if size == CHUNK else bytes(CHUNK - size) + part[::-1])
        records.append(bytes(16))  # what an earlier, longer batch left behind it does not count
        async with self._lock:
            self._batch_file.seek(0)
            self._batch_file.write(b"".join(records))
            self._batch_file.flush()
            self._batch.value = 1 - read_int(self._batched)
            await self._batched_change
            if read_int(self._fault):
                spans = ", ".join(f"{len(data)} bytes at {address:#x}" for address, data in writes[:8])
                raise MemoryFaultError(f"a back-door access is outside the host memory, one of: {spans}")

    async def _bulk(self, address: int, length: int) -> bytes:
        """A long read: what nobody touched is known, the rest comes in one file."""
        path = Path(str(cocotb.plusargs["memory"]))
        async with self._lock:
            self._dump.value = 1 - int(self._dumped.value)
            await ValueChange(self._dumped)
        address -= int(self._mem_base.value)  # blocks are counted from there
        image = bytearray(initial_contents(int(self._mem_seed.value), address, length))
        data = path.read_bytes()
        for offset in range(0, len(data), 4 + BLOCK):
            (number,) = struct.unpack_from("<I", data, offset)
            first = number * BLOCK
            low, high = max(first, address), min(first + BLOCK, address + length)
            if low < high:
                image[low - address : high - address] = data[offset + 4 + low - first : offset + 4 + high - first]
        return bytes(image)

    async def _step(self, address: int, length: int, *, write: bool) -> None:
        self._address.value = address
        self._length.value = length
        self._write_enable.value = int(write)
        self._go.value = 1 - read_int(self._acknowledge)
        await ValueChange(self._acknowledge)
        if read_int(self._fault):
            raise MemoryFaultError(f"back-door access at {address:#x}, {length} bytes, is outside the host memory")
