"""How large an IP packet of a connection may be, as the calls at the host port tell it: the path MTU of its path.

While a connection is offloaded, the target knows the path MTU from the initiate call and from updates of the path
(RFC 1191, 6.3: the transport is told of the change). Before and behind that the host's own stack sends, of whose
limits nothing is seen here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_books import Books
from tb.monitors.contract.connection_parts import Connection, Phase, whole
from tb.monitors.contract.trace import Enter, Record, Setting

_CALLS: Final = frozenset({*ndis.STATE_CALLS, *ndis.STATE_COMPLETIONS})
_ANY: Final = 1 << 16


class PacketSizes(NamedTuple):
    """Bytes of the largest IP packet of a connection: the least and the most that its sender may take for it."""

    least: int
    most: int


class PathSizes:
    """Follows initiate, update and terminate calls at the target's face.

    An update holds from its completion on and may from its call on. A segment that was cut before the change and
    waits on its way to the wire is seen up to ``race_ticks`` behind the completion: no longer, for that is what the
    transmit queue holds.
    """

    def __init__(self, race_ticks: int) -> None:
        self._books = Books()
        self._race = race_ticks

    def feed(self, record: Record) -> None:
        """A call, or a setting of the run; all other records are left out."""
        of_state = isinstance(record, Enter) and record.layer == 0 and record.function in _CALLS
        if of_state or isinstance(record, Setting):
            self._books.take(record)

    def of(self, own: tuple[int, int], peer: tuple[int, int], tick: int) -> PacketSizes | None:
        """Of the connection between these ends at a tick; None if it is not the target's."""
        for book in self._books.all():
            connection = book.flows.get((own, peer))
            if connection is not None and (found := self._of(connection, tick)) is not None:
                return found
        return None

    def _of(self, connection: Connection, tick: int) -> PacketSizes | None:
        path = connection.parent
        over = connection.phase is Phase.GONE and tick > connection.ended + self._race
        if path is None or over:
            return None
        # around a hand-over frames of either sender may be on their way
        coming = connection.phase is Phase.OFFLOADING or tick <= connection.begins + self._race
        shared = coming or connection.phase is Phase.GONE
        before = [state for state, until in path.older if tick <= until + self._race]
        sizes = [mtu for state in (path.cached, *path.newer, *before) if (mtu := whole(state, "path_mtu"))]
        return PacketSizes(min(sizes), _ANY if shared else max(sizes)) if sizes else None
