"""TCP_OFFLOAD_STATS and IP_OFFLOAD_STATS in the miniport driver (NDIS sheet, 2.15, 3.9; hostport.md, Statistics).

The device counts without end; what the counters were when an OID was set is subtracted from then on (CH-015). Reads of
registers may take time: a request is answered at once where they do not, otherwise it is PENDING. Requests are served
one after the other, so that a query behind a set sees it.

What cannot be said of a connection is 0: a frame with a wrong checksum or length belongs to none (InErrors,
InHeaderErrors, InTruncatedPackets), one that finds no room is dropped before it is looked up (InDiscards), and the host
has chosen the route (OutNoRoutes).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from model.layout.generated import Csr
from model.ndis.registration import IpOffloadStats, Oid, OidRequest, TcpOffloadStats
from model.ndis.rings import HostPort
from model.ndis.status import NdisStatus


@dataclass(frozen=True)
class _Counter:
    """Where a counter lies: its only register, or the low one of two."""

    register: Csr
    wide: bool = False
    #: A number of now, which a set leaves as it is.
    gauge: bool = False

    @property
    def registers(self) -> tuple[int, ...]:
        """What to read, in this order."""
        high = self.register + 4
        return (high, self.register, high) if self.wide else (self.register,)

    def value(self, read: Sequence[int]) -> int | None:
        """The counter from what was read; None if it moved on meanwhile."""
        if not self.wide:
            return read[0]
        high, low, again = read
        return low | high << 32 if high == again else None

    def since(self, value: int, base: int) -> int:
        """What was counted since ``base``."""
        return value if self.gauge else (value - base) % (1 << (64 if self.wide else 32))


def _tcp(family: int) -> Mapping[str, _Counter]:
    """Counters of TCP_OFFLOAD_STATS over a version of IP."""
    return {
        "in_segments": _Counter(_register("IN_SEGMENTS_LO", family), wide=True),
        "out_segments": _Counter(_register("OUT_SEGMENTS_LO", family), wide=True),
        "currently_established": _Counter(_register("ESTABLISHED", family), gauge=True),
        "reset_established": _Counter(_register("RESET_ESTABLISHED", family)),
        "retransmitted_segments": _Counter(_register("RETRANSMITTED", family)),
        "out_resets": _Counter(_register("OUT_RESETS", family)),
    }


def _ip(family: int) -> Mapping[str, _Counter]:
    """Counters of IP_OFFLOAD_STATS of a version of IP."""
    received = _Counter(_register("IN_RECEIVES_LO", family), wide=True)
    return {
        "in_receives": received,
        "in_octets": _Counter(_register("IN_OCTETS_LO", family), wide=True),
        "in_delivers": received,
        "out_requests": _Counter(_register("OUT_REQUESTS_LO", family), wide=True),
        "out_octets": _Counter(_register("OUT_OCTETS_LO", family), wide=True),
        "out_discards": _Counter(_register("OUT_DISCARDS", family)),
    }


def _register(name: str, family: int) -> Csr:
    return Csr[f"ST{family}_{name}"]


_TCP_OIDS: Final = (Oid.TCP4_OFFLOAD_STATS, Oid.TCP6_OFFLOAD_STATS)
_FIELDS: Final[Mapping[Oid, Mapping[str, _Counter]]] = {
    Oid.TCP4_OFFLOAD_STATS: _tcp(4),
    Oid.IP4_OFFLOAD_STATS: _ip(4),
    Oid.TCP6_OFFLOAD_STATS: _tcp(6),
    Oid.IP6_OFFLOAD_STATS: _ip(6),
}


class StatisticsRequests:
    """Queries and sets of the statistics OIDs. ``complete`` ends a request that was PENDING."""

    def __init__(self, port: HostPort, complete: Callable[[OidRequest, NdisStatus], None]) -> None:
        self._port = port
        self._complete = complete
        #: Shown every register that was read.
        self.on_read: Callable[[int, int], None] = lambda offset, value: None
        self._waiting: deque[OidRequest] = deque()
        #: Ticks at which requests are given up; one gets its tick when time first goes on behind it.
        self._deadlines: dict[int, int] = {}
        #: Registers are being read for this one.
        self._reading: OidRequest | None = None
        #: The request whose call has not returned.
        self._calling: OidRequest | None = None
        self.restart()

    def restart(self) -> None:
        """The device starts anew: its counters are zero."""
        self._bases: dict[Oid, Mapping[_Counter, int]] = {oid: {} for oid in _FIELDS}
        self._epoch = object()

    def request(self, request: OidRequest) -> NdisStatus:
        """A query or set of one of ``STATISTICS_OIDS``."""
        self._waiting.append(request)
        self._calling = request
        self._begin()
        pending, self._calling = self._calling is request, None
        return NdisStatus.PENDING if pending else NdisStatus.SUCCESS

    def _begin(self) -> None:
        """Read for the oldest request, unless that is under way."""
        if self._waiting and self._reading is None:
            self._reading = self._waiting[0]
            self._read(tuple(dict.fromkeys(_FIELDS[self._reading.oid].values())), {}, self._epoch)

    def give_up(self, now: int, ticks: int) -> bool:
        """End with FAILURE what has waited for ``ticks``; True if there was one.

        Values that come for it after all are of no use, and let the next one be read.
        """
        for request in self._waiting:
            self._deadlines.setdefault(id(request), now + ticks)
        overdue = [request for request in self._waiting if self._deadlines[id(request)] <= now]
        for request in overdue:
            self._waiting.remove(request)
            del self._deadlines[id(request)]
            self._complete(request, NdisStatus.FAILURE)
        return bool(overdue)

    def _read(self, counters: Sequence[_Counter], known: Mapping[_Counter, int], epoch: object) -> None:
        """Read ``counters``; what moved on while it was read, or was read before a restart, once more."""

        def done(values: Sequence[int]) -> None:
            if epoch is not self._epoch or self._reading not in self._waiting:
                self._reading = None
                self._begin()
                return
            for offset, value in zip(offsets, values, strict=True):
                self.on_read(offset, value)
            found = dict(known) | dict(_found(counters, values))
            left = [counter for counter in counters if counter not in found]
            if left:
                self._read(left, found, epoch)
            else:
                self._answer(found)

        offsets = [offset for counter in counters for offset in counter.registers]
        self._port.read_registers(offsets, done)

    def _answer(self, values: Mapping[_Counter, int]) -> None:
        """The oldest request is done."""
        request = self._waiting.popleft()
        self._deadlines.pop(id(request), None)
        self._reading = None
        if request.set:
            self._bases[request.oid] = values
        else:
            base = self._bases[request.oid]
            fields = {
                name: counter.since(values[counter], base.get(counter, 0))
                for name, counter in _FIELDS[request.oid].items()
            }
            request.buffer = TcpOffloadStats(**fields) if request.oid in _TCP_OIDS else IpOffloadStats(**fields)
        if request is self._calling:
            self._calling = None
        else:
            self._complete(request, NdisStatus.SUCCESS)
        self._begin()


def _found(counters: Sequence[_Counter], values: Sequence[int]) -> Iterator[tuple[_Counter, int]]:
    """Counters whose registers belong together."""
    at = 0
    for counter in counters:
        count = len(counter.registers)
        value = counter.value(values[at : at + count])
        at += count
        if value is not None:
            yield counter, value
