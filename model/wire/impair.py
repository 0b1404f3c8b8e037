"""A bad network for one direction: drop, reorder, duplicate, corrupt, mark, delay; seeded and accounted for.

Every kind has its own random stream, named by seed, direction and kind, and every frame draws the same number
of values from each stream whatever becomes of it. So a change of one rate does not shift the faults of another
kind: frame 17 is dropped at LOSS=0.02 with or without reordering.
"""

from __future__ import annotations

import enum
import random
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

_ETHERNET_BYTES: Final = 14
_VLAN_BYTES: Final = 4
_ETHERTYPE_VLAN: Final = b"\x81\x00"
_ETHERTYPE_IPV4: Final = b"\x08\x00"
_ETHERTYPE_IPV6: Final = b"\x86\xdd"
CODE_POINT: Final = 3
"""The ECN field of the TOS or traffic class octet (RFC 3168 5); all ones is CE."""
ECT: Final = (1, 2)
_PROTOCOL_AT: Final = 9
_PAYLOAD_LENGTH_AT, _NEXT_HEADER_AT, _HOP_LIMIT_AT, _IPV6_BYTES = 4, 6, 7, 40
_TRAFFIC_CLASS_SHIFT: Final = 4
"""The low half of the traffic class is the high half of the second byte (RFC 8200 3)."""
_TCP: Final = b"\x06"
MAX_OVERTAKING: Final = 3
"""A reordered frame is overtaken by 1 .. MAX_OVERTAKING later ones."""
HOLD_LIMIT_TICKS: Final = 8
"""A reordered frame that nothing overtakes is let go this many ticks after it would have left."""
BURST_TICKS: Final = 1
"""Frames pushed within so many ticks of each other are a burst: what is held there is likely to be overtaken."""
LEAST_EXPECTED: Final = 24
"""Below this many expected faults of a kind, chance alone leaves out half of them too often (1 run in 250 at 24)."""
REMEMBERED: Final = 4096
"""Frames handed out whose numbers can still be asked for."""
NEVER_NONE: Final = 10
"""From this many expected faults on, none at all is no chance (1 run in 20000)."""


class ImpairmentError(ValueError):
    """An impairment was configured outside its range; the message names it."""


class FaultKind(enum.Enum):
    """What can be done to a frame; values are the keys of the result summary."""

    DROPPED = "dropped"
    REORDERED = "reordered"
    DUPLICATED = "duplicated"
    CORRUPTED = "corrupted"
    DELAYED = "delayed"
    MARKED = "marked"


@dataclass(frozen=True, slots=True)
class ImpairmentRates:
    """Probabilities a frame (0 .. 1) and a constant delay in ticks."""

    drop: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    delay_ticks: int = 0
    mark: float = 0.0
    """Of ECT frames: a router on the way met congestion (CE, RFC 3168 5)."""

    def __post_init__(self) -> None:
        for name in ("drop", "reorder", "duplicate", "corrupt", "mark"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ImpairmentError(f"{name} is {getattr(self, name)}; give a probability 0 .. 1")
        if self.delay_ticks < 0:
            raise ImpairmentError(f"delay_ticks is {self.delay_ticks}; give 0 or more ticks")


@dataclass(slots=True)
class ImpairmentCounts:
    """How many frames each kind of fault really hit."""

    dropped: int = 0
    reordered: int = 0
    duplicated: int = 0
    corrupted: int = 0
    delayed: int = 0
    marked: int = 0

    def as_dict(self) -> dict[str, int]:
        """The counts under their summary keys."""
        return {item.name: int(getattr(self, item.name)) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing done to one frame. `frame` counts the frames pushed, from 0; `detail` is for readers."""

    frame: int
    tick: int
    kind: FaultKind
    detail: str


@dataclass(slots=True)
class _Held:
    """A frame that waits to be overtaken."""

    number: int
    copies: list[bytes]
    to_overtake: int
    deadline: int
    overtaken: bool = False


class Impairments:
    """One direction of the wire. Frames go in by `push`, come out by `pop_due` in the order they arrive."""

    def __init__(self, rates: ImpairmentRates, seed: int, direction: str = "wire") -> None:
        self.rates: Final = rates
        self.counts: Final = ImpairmentCounts()
        self.faults: Final[list[Fault]] = []
        self.frames = 0
        """Frames pushed so far."""
        self.pushed_ticks: Final = array("q")
        """By frame number, when it was pushed."""
        self.pushed_ports: Final = array("q")
        """By frame number, source << 16 | destination port as pushed, before any fault; -1: no TCP."""
        self.eligible_for_corruption = 0
        """Frames that were not dropped and carry IP, so that a checksum must find the flipped bit."""
        self.eligible_for_marks = 0
        """Frames that were not dropped and are ECT."""
        self._streams = {
            name: random.Random(f"{seed}/{direction}/{name}")
            for name in ("drop", "reorder", "duplicate", "corrupt", "mark")
        }
        self._queue: deque[tuple[int, int, bytes]] = deque()
        self._handed: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED)
        self._held: list[_Held] = []
        self._owed = 0
        """Frames held in vain; as many frames of later bursts are held instead, so that the rate is kept."""
        self._last_push = 0

    def push(self, frame: bytes, tick: int) -> None:
        """A frame enters the wire at `tick` (never earlier than the tick of the push before)."""
        number = self.frames
        self.frames += 1
        self.pushed_ticks.append(tick)
        packet = _packet(frame)
        self.pushed_ports.append(_ports(frame, packet))
        drop = self._streams["drop"].random() < self.rates.drop
        reorder = self._streams["reorder"].random() < self.rates.reorder
        overtaken_by = self._streams["reorder"].randrange(MAX_OVERTAKING) + 1
        duplicate = self._streams["duplicate"].random() < self.rates.duplicate
        corrupt = self._streams["corrupt"].random() < self.rates.corrupt
        where = self._streams["corrupt"].random()
        mark = self._streams["mark"].random() < self.rates.mark
        if drop:
            self.counts.dropped += 1
            self._note(number, tick, FaultKind.DROPPED, f"{len(frame)} bytes")
            return
        if packet is not None:
            self.eligible_for_corruption += 1
            if frame[packet.start + 1] >> packet.ecn_shift & CODE_POINT in ECT:
                self.eligible_for_marks += 1
                if mark:
                    frame = self._mark(frame, number, tick, packet)
            if corrupt:
                frame = self._flip(frame, number, tick, packet.protected, where)
        copies = [frame]
        if duplicate:
            copies.append(frame)
            self.counts.duplicated += 1
            self._note(number, tick, FaultKind.DUPLICATED, "sent twice")
        due = tick + self.rates.delay_ticks
        if self.rates.delay_ticks:
            self.counts.delayed += 1
        in_burst = tick - self._last_push <= BURST_TICKS
        self._last_push = tick
        if not reorder and self._owed and in_burst:
            self._owed -= 1
            reorder = True
        if reorder:
            self._held.append(_Held(number, copies, overtaken_by, due + HOLD_LIMIT_TICKS))
            return
        self._release_late(tick)
        self._queue.extend((due, number, copy) for copy in copies)
        self._overtake(number, tick, due)

    def pop_due(self, tick: int) -> list[bytes]:
        """Frames that arrive up to and including `tick`, in order; each is handed out once."""
        self._release_late(tick)
        out: list[bytes] = []
        while self._queue and self._queue[0][0] <= tick:
            _, number, frame = self._queue.popleft()
            self._handed.append((number, frame))
            out.append(frame)
        return out

    def number_of(self, frame: bytes) -> int | None:
        """The number of the oldest frame handed out with these bytes and not asked for yet; None if there is none."""
        for at, (number, handed) in enumerate(self._handed):
            if handed == frame:
                del self._handed[at]
                return number
        return None

    def next_deadline(self) -> int | None:
        """Tick at which `pop_due` will next have something, or None if the wire is empty."""
        due = [self._queue[0][0]] if self._queue else []
        due.extend(held.deadline for held in self._held)
        return min(due) if due else None

    def expected(self) -> dict[str, float]:
        """How many faults of each kind the rates promise for the frames that came."""
        passed = self.frames - self.counts.dropped
        return {
            "dropped": self.rates.drop * self.frames,
            "reordered": self.rates.reorder * passed,
            "duplicated": self.rates.duplicate * passed,
            "corrupted": self.rates.corrupt * self.eligible_for_corruption,
            "marked": self.rates.mark * self.eligible_for_marks,
            "delayed": float(passed if self.rates.delay_ticks else 0),
        }

    def shortfalls(self) -> list[str]:
        """See the function of this name."""
        return shortfalls([self])

    def _flip(self, frame: bytes, number: int, tick: int, protected: Sequence[int], where: float) -> bytes:
        bit = int(where * 8 * len(protected))
        at = protected[bit // 8]
        damaged = bytearray(frame)
        damaged[at] ^= 0x80 >> bit % 8
        self.counts.corrupted += 1
        self._note(number, tick, FaultKind.CORRUPTED, f"bit {7 - bit % 8} of byte {at}")
        return bytes(damaged)

    def _mark(self, frame: bytes, number: int, tick: int, packet: _Packet) -> bytes:
        """CE in the IP header; the checksum of IPv4 follows (RFC 1624)."""
        self.counts.marked += 1
        self._note(number, tick, FaultKind.MARKED, "congestion experienced")
        marked, at = bytearray(frame), packet.start
        marked[at + 1] |= CODE_POINT << packet.ecn_shift
        if packet.ipv6:
            return bytes(marked)
        added = marked[at + 1] - frame[at + 1]
        total = int.from_bytes(frame[at + 10 : at + 12], "big") ^ 0xFFFF
        total += added
        marked[at + 10 : at + 12] = ((total & 0xFFFF) + (total >> 16) ^ 0xFFFF).to_bytes(2, "big")
        return bytes(marked)

    def _overtake(self, number: int, tick: int, due: int) -> None:
        """Frame `number` has passed all frames held; let those go that were overtaken often enough."""
        waiting: list[_Held] = []
        for held in self._held:
            held.to_overtake -= 1
            if not held.overtaken:
                held.overtaken = True
                self.counts.reordered += 1
                self._note(held.number, tick, FaultKind.REORDERED, f"came after frame {number}")
            if held.to_overtake > 0:
                waiting.append(held)
                continue
            self._queue.extend((due, held.number, copy) for copy in held.copies)
        self._held = waiting

    def _release_late(self, tick: int) -> None:
        """Let go of held frames whose time is over; one that nothing overtook was not reordered."""
        if not any(held.deadline <= tick for held in self._held):
            return
        waiting: list[_Held] = []
        for held in self._held:
            if held.deadline > tick:
                waiting.append(held)
                continue
            self._owed += not held.overtaken
            self._queue.extend((held.deadline, held.number, copy) for copy in held.copies)
        self._queue = deque(sorted(self._queue, key=lambda item: item[0]))
        self._held = waiting

    def _note(self, number: int, tick: int, kind: FaultKind, detail: str) -> None:
        self.faults.append(Fault(number, tick, kind, detail))


@dataclass(frozen=True, slots=True)
class _Packet:
    """Where an IP packet lies in its frame: [start, end), TCP from `tcp` on or None."""

    start: int
    end: int
    ipv6: bool
    tcp: int | None

    @property
    def protected(self) -> Sequence[int]:
        """The bytes that a checksum covers: of IPv6 all but version, traffic class, flow label and hop limit.

        Only these are damaged: a flipped bit in an ARP frame would pass for the truth, where a real wire's FCS
        would have dropped it; one in the padding would do nothing.
        """
        if not self.ipv6:
            return range(self.start, self.end)
        hop_limit = self.start + _HOP_LIMIT_AT
        return [*range(self.start + _PAYLOAD_LENGTH_AT, hop_limit), *range(hop_limit + 1, self.end)]

    @property
    def ecn_shift(self) -> int:
        """Where the ECN field stands in the second byte of the IP header."""
        return _TRAFFIC_CLASS_SHIFT if self.ipv6 else 0


def _packet(frame: bytes) -> _Packet | None:
    """The IP packet of a frame, or None for a frame that no checksum protects."""
    start = _ETHERNET_BYTES
    if frame[12:14] == _ETHERTYPE_VLAN:
        start += _VLAN_BYTES
    ethertype = frame[start - 2 : start]
    if ethertype == _ETHERTYPE_IPV4 and len(frame) > start + 4:
        total_length = int.from_bytes(frame[start + 2 : start + 4], "big")
        is_tcp = frame[start + _PROTOCOL_AT : start + _PROTOCOL_AT + 1] == _TCP
        end = min(len(frame), start + max(total_length, 4))
        return _Packet(start, end, False, start + 4 * (frame[start] & 0xF) if is_tcp else None)
    if ethertype == _ETHERTYPE_IPV6 and len(frame) >= start + _IPV6_BYTES:
        length = int.from_bytes(frame[start + _PAYLOAD_LENGTH_AT : start + _PAYLOAD_LENGTH_AT + 2], "big")
        is_tcp = frame[start + _NEXT_HEADER_AT : start + _NEXT_HEADER_AT + 1] == _TCP
        end = min(len(frame), start + _IPV6_BYTES + length)
        return _Packet(start, end, True, start + _IPV6_BYTES if is_tcp else None)
    return None


def _ports(frame: bytes, packet: _Packet | None) -> int:
    """Source << 16 | destination port of a TCP segment, -1 for any other frame."""
    if packet is None or packet.tcp is None or len(frame) < packet.tcp + 4:
        return -1
    return int.from_bytes(frame[packet.tcp : packet.tcp + 4], "big")


def shortfalls(directions: Sequence[Impairments]) -> list[str]:
    """Kinds that, over all directions, did less than half of what their rates promised; empty if all was as asked.

    Too few to judge are left out: under LEAST_EXPECTED faults chance does that too, under NEVER_NONE it gives none.
    """
    found = []
    for kind in (kind.value for kind in FaultKind):
        wanted = sum(direction.expected()[kind] for direction in directions)
        seen = sum(direction.counts.as_dict()[kind] for direction in directions)
        if (wanted >= LEAST_EXPECTED and seen < wanted / 2) or (wanted >= NEVER_NONE and seen == 0):
            found.append(f"{kind}: {seen} of {wanted:.0f} expected")
    return found
