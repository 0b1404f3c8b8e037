"""The host port of the RTL as the driver sees it: memory and registers, posted and in order.

The driver runs in plain Python and never waits. Its memory writes go to a mirror of the RTL's memory at once and, with
its register writes, into one queue, in order; a coroutine of the environment carries the queue out. What the device
writes to memory comes into the mirror from the write monitor, so reading the mirror costs no simulator access.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.device.memory import place_of
from model.layout.generated import Csr


@dataclass(frozen=True)
class MemoryWrite:
    """Bytes the host writes at ``addr``."""

    addr: int
    data: bytes


@dataclass(frozen=True)
class RegisterWrite:
    """A posted register write."""

    offset: int
    value: int


@dataclass(frozen=True)
class RegisterRead:
    """A register read whose value goes to the shadow."""

    offset: int


@dataclass(frozen=True)
class RegisterReads:
    """Reads of registers in this order; ``done`` is given the values."""

    offsets: tuple[int, ...]
    done: Callable[[Sequence[int]], None]


@dataclass(frozen=True)
class Action:
    """Anything else that happens behind everything posted before it: a fault of the memory begins or ends."""

    run: Callable[[], None]


Operation = MemoryWrite | RegisterWrite | RegisterRead | Action


class MirrorMemory:
    """The mirror: what the RTL's memory holds, as far as the bus and the back door tell."""

    def __init__(self, contents: bytearray, post: Callable[[MemoryWrite], None], base: int = 0) -> None:
        self.contents = contents
        #: Address of the first byte.
        self.base = base
        self._post = post

    def read(self, addr: int, n: int) -> bytes:
        """Return ``n`` bytes from ``addr``."""
        at = place_of(addr, n, self.base, len(self.contents))
        return bytes(self.contents[at : at + n])

    def write(self, addr: int, data: bytes) -> None:
        """The host stores ``data`` at ``addr``."""
        at = place_of(addr, len(data), self.base, len(self.contents))
        self.contents[at : at + len(data)] = data
        if data:
            self._post(MemoryWrite(addr, data))

    def device_wrote(self, addr: int, strobe: int, data: int, lanes: int) -> None:
        """A beat of the device: ``addr`` is the aligned bus address, one strobe bit a byte."""
        at = addr - self.base
        if strobe == (1 << lanes) - 1:
            self.contents[at : at + lanes] = data.to_bytes(lanes, "little")
            return
        first = (strobe & -strobe).bit_length() - 1
        last = strobe.bit_length()
        self.contents[at + first : at + last] = data.to_bytes(lanes, "little")[first:last]


class RtlHostPort:
    """HostPort of the RTL. ``on_write`` sees each register write when the driver makes it (for the golden side)."""

    def __init__(self, contents: bytearray, on_write: Callable[[Operation], None], base: int = 0) -> None:
        self.queue: deque[Operation] = deque()
        #: Reads that wait for nothing in ``queue``, and hold nothing up in it.
        self.reads: deque[RegisterReads] = deque()
        self.shadow: dict[int, int] = {}
        self.wake: Callable[[], None] = lambda: None
        self.wake_reads: Callable[[], None] = lambda: None
        self._on_write = on_write
        self._reads: set[int] = set()
        self._doorbells: dict[int, int] = {Csr.SQ_TAIL: 0, Csr.CQ_HEAD: 0}
        self.mem = MirrorMemory(contents, self._post, base)

    def mmio_write(self, offset: int, value: int) -> None:
        """Post a register write behind everything posted before."""
        self._post(RegisterWrite(offset, value))

    def mmio_read(self, offset: int) -> int:
        """The last value read; a fresh read is posted and the driver hears of it by its next interrupt."""
        if offset not in self._reads:
            self._reads.add(offset)
            self.queue.append(RegisterRead(offset))
            self.wake()
        return self.shadow.get(offset, 0)

    def read_registers(self, offsets: Sequence[int], done: Callable[[Sequence[int]], None]) -> None:
        """Read registers beside everything posted; the values come when that is done."""
        self.reads.append(RegisterReads(tuple(offsets), done))
        self.wake_reads()

    def post_action(self, run: Callable[[], None]) -> None:
        """Run something when everything posted before was carried out."""
        self._post(Action(run))

    def read_done(self, offset: int, value: int) -> None:
        """A posted read came back."""
        self._reads.discard(offset)
        self.shadow[offset] = value

    def restart(self) -> None:
        """The device was reset: nothing that was read before holds any more."""
        self.shadow.clear()
        self._reads.clear()

    def take(self) -> Operation | None:
        """The next operation; a doorbell with a later one behind it is skipped, as a posted write may be merged."""
        while self.queue:
            operation = self.queue.popleft()
            if isinstance(operation, RegisterWrite) and operation.offset in self._doorbells:
                self._doorbells[operation.offset] -= 1
                if self._doorbells[operation.offset]:
                    continue
            return operation
        return None

    def take_writes(self, first: MemoryWrite) -> list[MemoryWrite]:
        """``first`` and the memory writes that stand right behind it in the queue."""
        writes, queue = [first], self.queue
        while queue and isinstance(operation := queue[0], MemoryWrite):
            writes.append(operation)
            queue.popleft()
        return writes

    def _post(self, operation: Operation) -> None:
        self._on_write(operation)
        if isinstance(operation, RegisterWrite) and operation.offset in self._doorbells:
            self._doorbells[operation.offset] += 1
        self.queue.append(operation)
        self.wake()
