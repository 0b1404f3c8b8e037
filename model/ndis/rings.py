"""The driver's end of the host port: submission ring, completion ring, memory the device may reach.

Contract: docs/contract/hostport.md. Nothing here knows NDIS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from model.layout.generated import CQE_BYTES, SQE_BYTES, Cqe, CqKind, Csr, Opcode, Sqe
from model.ndis.memory import POISON, HostMemory


class DriverError(Exception):
    """The driver met something the host port contract rules out, or ran out of set-up memory."""


class HostPort(Protocol):
    """What a driver has of a device: registers and shared memory. Interrupts come as a call to it."""

    @property
    def mem(self) -> HostMemory:
        """Host memory as the device sees it."""
        ...

    def mmio_write(self, offset: int, value: int) -> None:
        """Write a 32-bit register; posted, ordered behind earlier memory writes."""
        ...

    def mmio_read(self, offset: int) -> int:
        """Read a 32-bit register; used at start-up only."""
        ...

    def read_registers(self, offsets: Sequence[int], done: Callable[[Sequence[int]], None]) -> None:
        """Read registers in this order; ``done`` is given the values, at once or later, never inside another call."""
        ...


class DmaArena:
    """First-fit allocator in one contiguous range; poisons what is freed."""

    def __init__(self, memory: HostMemory, base: int, size: int) -> None:
        self._memory = memory
        self._free: list[tuple[int, int]] = [(base, size)]
        self._used: dict[int, int] = {}
        self.size = size

    @property
    def used(self) -> int:
        """Blocks handed out."""
        return len(self._used)

    def allocate(self, size: int, align: int = 64) -> int | None:
        """Address of a block, None if no hole fits now."""
        if size > self.size:
            raise DriverError(f"a block of {size} bytes never fits an arena of {self.size}")
        size = -(-max(size, 1) // align) * align
        for i, (start, length) in enumerate(self._free):
            at = -(-start // align) * align
            if at + size > start + length:
                continue
            holes = [(start, at - start), (at + size, start + length - at - size)]
            self._free[i : i + 1] = [hole for hole in holes if hole[1]]
            self._used[at] = size
            return at
        return None

    def free(self, addr: int) -> None:
        """Take a block back, poisoned."""
        size = self._used.pop(addr, None)
        if size is None:
            raise DriverError(f"block {addr:#x} freed twice or never allocated")
        self._memory.write(addr, bytes([POISON]) * size)
        merged: list[tuple[int, int]] = []
        for start, length in sorted([*self._free, (addr, size)]):
            if merged and merged[-1][0] + merged[-1][1] == start:
                merged[-1] = (merged[-1][0], merged[-1][1] + length)
            else:
                merged.append((start, length))
        self._free = merged


@dataclass(frozen=True)
class RingPlace:
    """Where a ring lies: base address, log2 of its entries."""

    base: int
    log2: int

    @property
    def entries(self) -> int:
        """Entries."""
        return 1 << self.log2


class SubmissionRing:
    """Entries in order, as many as fit; the rest waits here.

    SQ_HEAD is never read: a NOP follows every quarter of the ring, and its completion tells how far
    the device has fetched.
    """

    def __init__(self, port: HostPort, place: RingPlace) -> None:
        self._port = port
        self._place = place
        self._backlog: deque[bytes] = deque()
        self._written = 0
        self._fetched = 0
        self._since_marker = 0
        self._marker_every = max(1, place.entries // 4)
        #: Sees every entry that is written for the device.
        self.on_entry: Callable[[Sqe], None] | None = None

    @property
    def backlog(self) -> int:
        """Entries that wait for a slot."""
        return len(self._backlog)

    def push(self, entry: Sqe | bytes) -> None:
        """Queue an entry; ``flush`` writes it."""
        self._backlog.append(entry if isinstance(entry, bytes) else entry.to_bytes())

    def _room(self) -> int:
        return self._place.entries - 1 - (self._written - self._fetched)

    def _write(self, entry: bytes) -> None:
        slot = self._written % self._place.entries
        self._port.mem.write(self._place.base + slot * SQE_BYTES, entry)
        self._written += 1
        if self.on_entry is not None:
            self.on_entry(Sqe.from_bytes(entry))
        self._since_marker += 1

    def flush(self) -> None:
        """Write what fits and ring the doorbell once."""
        before = self._written
        while self._backlog and self._room() > 1:
            self._write(self._backlog.popleft())
            if self._since_marker >= self._marker_every:
                self._write(Sqe(opcode=Opcode.NOP).to_bytes())
                self._since_marker = 0
        if self._written != before:
            self._port.mmio_write(Csr.SQ_TAIL, self._written % self._place.entries)

    def seen(self, sq_index: int) -> None:
        """A completion shows that entry ``sq_index`` (modulo 65536) was fetched."""
        ahead = (sq_index + 1 - self._fetched) & 0xFFFF
        if 0 < ahead <= self._written - self._fetched:
            self._fetched += ahead


class CompletionRing:
    """Reads entries by their phase bit."""

    def __init__(self, port: HostPort, place: RingPlace) -> None:
        self._port = port
        self._place = place
        self._read = 0
        #: Sees every entry that the device has written, before the driver does anything about it.
        self.on_entry: Callable[[Cqe], None] | None = None
        port.mem.write(place.base, bytes(place.entries * CQE_BYTES))

    def pop(self) -> Cqe | None:
        """The next entry, None if the device has not written it."""
        slot = self._read % self._place.entries
        phase = 1 - (self._read // self._place.entries) % 2
        raw = self._port.mem.read(self._place.base + slot * CQE_BYTES, CQE_BYTES)
        if raw[CQE_BYTES - 1] & 1 != phase:
            return None
        entry = Cqe.from_bytes(raw)
        if entry.kind == CqKind.NONE:
            raise DriverError(f"completion entry {self._read} has the right phase but no kind")
        self._read += 1
        if self.on_entry is not None:
            self.on_entry(entry)
        return entry

    @property
    def waiting(self) -> int | None:
        """Number, ever since the start, of the entry that the device has written and nobody has read; None if none."""
        slot, turn = self._read % self._place.entries, self._read // self._place.entries
        last = self._place.base + slot * CQE_BYTES + CQE_BYTES - 1
        return self._read if self._port.mem.read(last, 1)[0] & 1 == 1 - turn % 2 else None

    @property
    def index(self) -> int:
        """Place of the next entry."""
        return self._read % self._place.entries

    def release(self) -> None:
        """Tell the device what was read."""
        self._port.mmio_write(Csr.CQ_HEAD, self.index)
