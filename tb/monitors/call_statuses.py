"""Which status each kind of completion carried at the NDIS faces: what coverage counts of the contract's trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tb.monitors.contract.trace import Enter, Leave, List, Record

COMPLETIONS: Final = {
    "NdisMInitiateOffloadComplete": "initiate",
    "NdisMTerminateOffloadComplete": "terminate",
    "NdisMUpdateOffloadComplete": "update",
    "NdisMQueryOffloadStateComplete": "query",
    "NdisMInvalidateOffloadComplete": "invalidate",
    "NdisTcpOffloadSendComplete": "send",
    "NdisTcpOffloadReceiveComplete": "receive",
    "NdisTcpOffloadDisconnectComplete": "disconnect",
    "NdisTcpOffloadForwardComplete": "forward",
}
"""Calls up whose lists or tree carry the status, by the kind of call that they complete."""
INDICATION: Final = "NdisTcpOffloadReceiveHandler"
"""The call up whose status is what it returns."""


class CallStatuses:
    """A listener of the contract tap. ``seen``: kind of call (`indicate` for a receive indication), NDIS_STATUS."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()

    def __call__(self, record: Record) -> None:
        """Take the next record."""
        kind = type(record)
        if kind is Enter and isinstance(record, Enter) and (call := COMPLETIONS.get(record.function)) is not None:
            self.seen.update((call, status) for status in self._statuses(record))
        elif (
            kind is Leave and isinstance(record, Leave) and record.function == INDICATION and record.result is not None
        ):
            self.seen.add(("indicate", record.result))

    @staticmethod
    def _statuses(record: Enter) -> Iterator[int]:
        lists: tuple[List, ...] = record.lists
        nodes = () if record.tree is None else record.tree.nodes.values()
        for carrier in (*lists, *nodes):
            if carrier.status is not None:
                yield carrier.status
