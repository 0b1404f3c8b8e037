"""Check 4: every byte the device writes lies in what an issued action allows, is written once, and is right."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from model.layout.generated import CQE_BYTES, WrClient


class WriteError(ValueError):
    """A beat that no action allows, or with wrong bytes. ``field``, ``expected``, ``got`` for the report."""

    def __init__(self, field: str, expected: str, got: str) -> None:
        super().__init__(f"{field}: expected {expected}, got {got}")
        self.field = field
        self.expected = expected
        self.got = got


class Beat(NamedTuple):
    """The bytes of one beat of a write, and the response that it will get."""

    addr: int
    data: bytes
    response: int


@dataclass(slots=True)
class Allowance:
    """Bytes an action may write, in order, once; ``done`` of them were. ``action`` in words."""

    addr: int
    data: bytes
    action: str
    done: int = 0


class WriteLane:
    """The allowances of one in-order writer. ``finished`` counts those written to their end."""

    def __init__(self) -> None:
        self.open: deque[Allowance] = deque()
        self.issued = 0
        self.finished = 0

    def allow(self, addr: int, data: bytes, action: str) -> None:
        """An action was issued."""
        self.open.append(Allowance(addr, data, action))
        self.issued += 1

    def fits(self, addr: int, n: int) -> bool:
        """The beat is the next one of the oldest action."""
        if not self.open:
            return False
        a = self.open[0]
        return addr == a.addr + a.done and a.done + n <= len(a.data)

    def take(self, addr: int, data: bytes, *, compare: bool) -> bool:
        """Use the allowance; True if its action is complete now."""
        a = self.open[0]
        expected = a.data[a.done : a.done + len(data)]
        if compare and expected != data:
            at = next(i for i, (e, g) in enumerate(zip(expected, data, strict=True)) if e != g)
            raise WriteError(
                f"byte {addr + at:#x} ({a.action}, byte {a.done + at})", f"{expected[at]:#04x}", f"{data[at]:#04x}"
            )
        a.done += len(data)
        if a.done < len(a.data):
            return False
        self.open.popleft()
        self.finished += 1
        return True


class RingWrites:
    """Entries of the completion ring as they are written; each is compared when its record is there too."""

    def __init__(self) -> None:
        self._partial: dict[int, bytearray] = {}

    def take(self, offset: int, data: bytes) -> list[tuple[int, bytes]]:
        """Bytes at ``offset`` from the ring base; entries that became whole: (index, bytes)."""
        whole: list[tuple[int, bytes]] = []
        while data:
            index, at = divmod(offset, CQE_BYTES)
            n = min(CQE_BYTES - at, len(data))
            entry = self._partial.setdefault(index, bytearray())
            if len(entry) != at:
                raise WriteError(f"completion entry {index}", f"its byte {len(entry)} next", f"byte {at}")
            entry += data[:n]
            if len(entry) == CQE_BYTES:
                whole.append((index, bytes(self._partial.pop(index))))
            offset, data = offset + n, data[n:]
        return whole

    @property
    def unfinished(self) -> int:
        """Entries written in part."""
        return len(self._partial)


CLIENTS = {WrClient.PLACER: "rx_placer", WrClient.COMPLETION: "completion_ring", WrClient.STATE: "state_writer"}


def beat_bytes(bus_addr: int, strobe: int, data: int, lanes: int) -> tuple[int, bytes]:
    """(address, bytes) of a beat; the strobe must be one run of ones (mechanisms M5)."""
    first = (strobe & -strobe).bit_length() - 1
    last = strobe.bit_length()
    if strobe == 0:
        return bus_addr, b""
    if strobe >> first != (1 << (last - first)) - 1:
        raise WriteError("write strobe", "one run of ones", f"{strobe:#x}")
    return bus_addr + first, data.to_bytes(lanes, "little")[first:last]
