"""OID requests in a multiplexer: one above, one at each miniport below that it concerns (NDIS sheet, 2.15, 8.6).

A query asks the active miniport, a set goes to all, and statistics are the sums over all: a connection may have been
offloaded to any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from model.ndis.binding import Binding
from model.ndis.registration import STATISTICS_OIDS, IpOffloadStats, OidRequest, TcpOffloadStats
from model.ndis.status import NdisStatus


@dataclass(eq=False)
class _Spread:
    """A request of the driver above, and what it became below."""

    request: OidRequest
    parts: list[OidRequest]
    waiting: int = 0
    worst: NdisStatus = NdisStatus.SUCCESS
    #: The call from above has returned PENDING.
    returned: bool = False

    def ended(self, status: NdisStatus) -> None:
        """A part is done."""
        self.waiting -= 1
        self.worst = max(self.worst, status)


class SpreadRequests:
    """Requests under way. ``complete`` ends one that was PENDING."""

    def __init__(self, complete: Callable[[OidRequest, NdisStatus], None]) -> None:
        self._complete = complete
        self._parts: dict[int, _Spread] = {}

    def request(self, request: OidRequest, bindings: Sequence[Binding]) -> NdisStatus:
        """Ask all of ``bindings``; a set goes down as it is, each query has a buffer of its own."""
        parts = [OidRequest(request.oid, request.set, request.buffer) for _ in bindings]
        spread = _Spread(request, parts, len(parts))
        for binding, part in zip(bindings, parts, strict=True):
            self._parts[id(part)] = spread
            status = binding.oid_request(part)
            if status is not NdisStatus.PENDING:
                del self._parts[id(part)]
                spread.ended(status)
        if spread.waiting:
            spread.returned = True
            return NdisStatus.PENDING
        return _result(spread)

    def completed(self, part: OidRequest, status: NdisStatus) -> None:
        """A miniport completed its part; the one above is done with the last, with the worst status."""
        spread = self._parts.pop(id(part))
        spread.ended(status)
        if spread.returned and not spread.waiting:
            self._complete(spread.request, _result(spread))


def _result(spread: _Spread) -> NdisStatus:
    """The status of all; a query that all served has its answer."""
    request = spread.request
    if not request.set and spread.worst is NdisStatus.SUCCESS:
        buffers = [part.buffer for part in spread.parts]
        request.buffer = _sum(buffers) if request.oid in STATISTICS_OIDS else buffers[0]
    return spread.worst


def _sum(buffers: Sequence[object]) -> TcpOffloadStats | IpOffloadStats:
    """Counters of several interfaces as those of one."""
    counters = [b for b in buffers if isinstance(b, TcpOffloadStats | IpOffloadStats)]
    total = {name: sum(getattr(c, name) for c in counters) for name in asdict(counters[0])}
    return TcpOffloadStats(**total) if isinstance(counters[0], TcpOffloadStats) else IpOffloadStats(**total)
