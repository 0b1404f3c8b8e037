"""What of a trace came from the device: frames, entries that it wrote, registers that were read, and what follows.

A call up follows from the device only if an entry of a kind that brings it about was written for the same connection
(for a state call: for one of its objects, or for a path or neighbor) and no earlier call used it up. A list of the host
is followed from its submission entries to their completions, by cookie (`Lists`): it comes back by the device if it
had an entry there, and each was completed or was outstanding when the device said that the connection is over. What a
driver makes of its own accord, and what the host calls, wherever it does so, is not the device's doing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.list_entries import Lists
from tb.monitors.contract.trace import Counters, Enter, Frame, Leave, PassedUp, PortEntry, Record, RegisterValue

_COMMAND, _INDICATION, _EVENT, _RAW = 1, 4, 5, 6
"""Kinds of completion entries (docs/layout.md, cq_kind)."""
_INITIATE, _START, _UPDATE, _QUERY, _INVALIDATE, _TERMINATE, _PATH, _NEIGHBOR = 1, 2, 8, 9, 10, 11, 12, 13
"""Opcodes of the commands that a COMMAND entry completes (docs/layout.md, opcode)."""
_RETRIEVE, _ABORT, _NEIGHBOR_QUERY = 3, 4, 16
"""Codes of EVENT entries (docs/layout.md, tcp_event_type); the last one is for a neighbor."""
_OID_DONE: Final = "NdisMOidRequestComplete"

Kind = tuple[int, int]
"""Kind of an entry, and for COMMAND the opcode, for EVENT the event (else 0)."""
_END: Final[frozenset[Kind]] = frozenset({(_EVENT, _RETRIEVE), (_EVENT, _ABORT), (_COMMAND, _TERMINATE)})
"""The end of a connection, which brings back what is outstanding at the device."""
_INDICATED: Final = frozenset({(_INDICATION, 0)})
"""What brings an indication about; an event comes of the entry of its code."""
_OBJECTS: Final = frozenset({(_COMMAND, _PATH), (_COMMAND, _NEIGHBOR)})
_STATE: Final[Mapping[str, frozenset[Kind]]] = {
    ndis.INITIATED: _OBJECTS | {(_COMMAND, _INITIATE), (_COMMAND, _START)},
    ndis.TERMINATED: frozenset({(_COMMAND, _TERMINATE), (_COMMAND, _QUERY)}),
    ndis.UPDATED: _OBJECTS | {(_COMMAND, _UPDATE)},
    ndis.QUERIED: frozenset({(_COMMAND, _QUERY)}),
    ndis.INVALIDATED: frozenset({(_COMMAND, _INVALIDATE)}),
    ndis.NEIGHBOR_EVENT: frozenset({(_EVENT, _NEIGHBOR_QUERY)}),
}
"""Calls up for a tree of objects."""


class Causes:
    """Follows the records; `of` says of each whether the device is behind it."""

    def __init__(self) -> None:
        self._open: list[bool] = []
        """Of each call that has not returned: the device is behind it."""
        self._written: Counter[tuple[Kind, int | None]] = Counter()
        """Entries of a kind that no call used up, by the connection that they are for (None: a path or neighbor)."""
        self._lists: Final = Lists()
        self._for_objects: set[tuple[str, int]] = set()
        """Adapters and cookies of commands for paths and neighbors."""
        self._handles: dict[int, int] = {}
        """NdisOffloadHandle of a connection, by its MiniportOffloadContext."""
        self._raw = 0
        """Frames that the device passed up and the driver did not."""
        self._register_read = False

    def of(self, record: Record) -> bool:
        """The record is the device's doing, or shows it; records come in order."""
        match record:
            case Frame():
                return True
            case RegisterValue():
                self._register_read = True
                return True
            case PortEntry():
                return self._entry(record)
            case PassedUp():
                self._raw, found = max(0, self._raw - 1), self._raw > 0
                return found
            case Counters():
                return record.of_device
            case Enter():
                self._open.append(self._entered(record))
                return self._open[-1]
            case Leave():
                inside = self._open.pop() if self._open else False
                return inside or (record.function == ndis.OID and self._registers())
        return False

    # --- entries of the rings ----------------------------------------------------------------------------------------

    def _entry(self, record: PortEntry) -> bool:
        number = record.entry.get
        if record.submission:
            if number("opcode", 0) in (_QUERY, _INVALIDATE) and number("flags", 0):
                self._for_objects.add((record.adapter, number("cookie", 0)))
            self._lists.submitted(record)
            return False
        self._lists.completed(record)
        kind = number("kind", 0)
        code = number("code", 0)
        if kind == _RAW:
            self._raw += 1
        for_object = code == _NEIGHBOR_QUERY if kind == _EVENT else kind == _COMMAND and self._names_object(record)
        owner = None if for_object else record.owner
        what = (kind, code if kind in (_COMMAND, _EVENT) else 0)
        self._written[what, owner] += 1
        if what in _END and owner is not None:
            self._lists.over(owner)
        return True

    def _names_object(self, record: PortEntry) -> bool:
        command = record.adapter, record.entry.get("cookie", 0)
        if command not in self._for_objects:
            return record.entry.get("code", 0) in (_PATH, _NEIGHBOR)
        self._for_objects.discard(command)
        return True

    # --- calls -------------------------------------------------------------------------------------------------------

    def _entered(self, record: Enter) -> bool:
        function = record.function
        if function.startswith("Miniport"):
            self._called(record)
            return False
        if record.layer and self._open:
            return self._open[-1]
        if function in ndis.COMPLETIONS:
            return any([self._lists.back(one.ident) for one in record.lists])  # noqa: C419 - each its own
        if function == ndis.INDICATE:
            return self._follows(_INDICATED, record.target)
        if function == ndis.EVENT:
            return self._follows(frozenset({(_EVENT, record.event)}), record.target)
        if function in _STATE:
            nodes = () if record.tree is None else record.tree.nodes.values()
            if function == ndis.INITIATED:
                self._handles |= {n.context: n.handle for n in nodes if n.context is not None and n.handle is not None}
                self._lists.forget(node.handle for node in nodes if node.context is None)
            if function == ndis.TERMINATED:
                self._lists.forget(node.handle for node in nodes)
            return self._follows(_STATE[function], None, *(node.handle for node in nodes))
        return function == _OID_DONE and self._registers()

    def _called(self, record: Enter) -> None:
        self._register_read = False
        if record.layer:
            return
        if record.function in ndis.REQUESTS and record.target in self._handles:
            for one in record.lists:
                self._lists.add(self._handles[record.target], one, record.function, record.flags)
        elif record.function == ndis.INITIATE and record.tree is not None:
            for node in record.tree.nodes.values():
                if node.handle is not None:
                    for one in node.chain:
                        self._lists.add(node.handle, one, ndis.SEND)

    def _registers(self) -> bool:
        read, self._register_read = self._register_read, False
        return read

    def _follows(self, kinds: frozenset[Kind], *owners: int | None) -> bool:
        entry = next(((kind, one) for kind in kinds for one in owners if self._written[kind, one]), None)
        if entry is not None:
            self._written[entry] -= 1
        return entry is not None
