"""Which entries of the rings belong to which list of the host.

A list goes to the device in entries of its own kind and connection, in turn: a send or graceful disconnect in as many
as its bytes take, the last one of a disconnect being the DISCONNECT; an abort or a forwarded segment in one; a posted
receive in parts, none of which is submitted while an earlier one is outstanding. An entry that belongs to no list (an
empty RECEIVE that only ends a refusal, the FIN of an inherited disconnect) brings no list back.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.trace import List, PortEntry

_SEND, _DISCONNECT, _RECEIVE, _FORWARD = 3, 6, 4, 7
"""Opcodes of submission entries (docs/layout.md, opcode)."""
_SENT_KIND, _RECEIVED_KIND, _FORWARDED_KIND = 2, 3, 8
"""Kinds of completion entries for lists (docs/layout.md, cq_kind)."""
_KINDS: Final = frozenset({_SENT_KIND, _RECEIVED_KIND, _FORWARDED_KIND})
_ABORTIVE, _INHERITED = 2, 4
"""Flags of a DISCONNECT entry."""
_STREAM, _ABORT, _POSTED, _SEGMENT = "stream", "abort", "receive", "forward"

Cookie = tuple[str, int]
"""Name of the adapter, and the cookie that its driver gave an entry."""


@dataclass(eq=False, slots=True)
class _Request:
    """A list at the target."""

    handle: int
    queue: str
    left: int
    """Bytes for which no entry was submitted."""
    closes: bool = False
    """A graceful disconnect: its last entry is the FIN."""
    begun: bool = False
    """An entry was submitted."""
    waiting: set[Cookie] = field(default_factory=set)
    """Entries that are not completed."""
    over: bool = False
    """The device said that the connection is over while an entry was outstanding."""


class Lists:
    """Lists that the host has given and not got back, by connection (NdisOffloadHandle), and their entries."""

    def __init__(self) -> None:
        self._requests: dict[int, _Request] = {}
        """By identity of the list."""
        self._queues: defaultdict[tuple[int, str], deque[_Request]] = defaultdict(deque)
        """Lists of which entries are still to be submitted, in turn."""
        self._parted: dict[int, _Request] = {}
        """By connection the receive of which an entry was submitted last."""
        self._entries: dict[Cookie, tuple[_Request, int]] = {}
        """Entries at the device: their list and their bytes."""

    def add(self, handle: int, one: List, function: str, flags: int = 0) -> None:
        """The host gives a list."""
        abortive = function == ndis.DISCONNECT and bool(flags & ndis.ABORTIVE)
        queue = {ndis.RECEIVE: _POSTED, ndis.FORWARD: _SEGMENT}.get(function, _ABORT if abortive else _STREAM)
        closes = function == ndis.DISCONNECT and not abortive
        self._requests[one.ident] = request = _Request(handle, queue, one.data_length, closes)
        if queue != _STREAM or closes or request.left:
            self._queues[handle, queue].append(request)

    def submitted(self, record: PortEntry) -> None:
        """An entry goes to the device."""
        if record.owner is None:
            return
        opcode, length = record.entry.get("opcode", 0), record.entry.get("length", 0)
        if opcode == _SEND:
            request = self._next_sent(record.owner, length)
        elif opcode == _DISCONNECT:
            request = self._next_disconnect(record.owner, length, record.entry.get("flags", 0))
        elif opcode == _RECEIVE:
            request = self._next_received(record.owner, length)
        elif opcode == _FORWARD and self._queues[record.owner, _SEGMENT]:
            request = self._queues[record.owner, _SEGMENT].popleft()
            request.left = 0
        else:
            return
        if request is not None:
            cookie = record.adapter, record.entry.get("cookie", 0)
            request.begun = True
            request.waiting.add(cookie)
            self._entries[cookie] = request, length

    def _next_sent(self, handle: int, length: int) -> _Request | None:
        queue = self._queues[handle, _STREAM]
        if not queue or queue[0].left < length:
            return None
        request = queue[0]
        request.left -= length
        if not request.left and not request.closes:
            queue.popleft()
        return request

    def _next_disconnect(self, handle: int, length: int, flags: int) -> _Request | None:
        if flags & _INHERITED:
            return None
        queue = self._queues[handle, _ABORT if flags & _ABORTIVE else _STREAM]
        request = next((one for one in queue if one.closes or flags & _ABORTIVE), None)
        if request is not None:
            queue.remove(request)
            request.left -= length
        return request

    def _next_received(self, handle: int, length: int) -> _Request | None:
        last = self._parted.get(handle)
        if last is not None and last.left >= length > 0 and not last.waiting:
            last.left -= length
            return last
        queue = self._queues[handle, _POSTED]
        if not queue or queue[0].left < length or (queue[0].left and not length):
            return None
        self._parted[handle] = request = queue.popleft()
        request.left -= length
        return request

    def completed(self, record: PortEntry) -> None:
        """The device wrote a completion entry."""
        kind = record.entry.get("kind", 0)
        if kind not in _KINDS:
            return
        cookie = record.adapter, record.entry.get("cookie", 0)
        request, length = self._entries.pop(cookie, (None, 0))
        if request is None:
            return
        request.waiting.discard(cookie)
        short = kind == _RECEIVED_KIND and record.entry.get("nbytes", 0) < length
        if record.entry.get("status", 0) or short:
            self._no_more(request)

    def _no_more(self, request: _Request) -> None:
        """No further entry is submitted for it."""
        request.left = 0
        queue = self._queues[request.handle, request.queue]
        if request in queue:
            queue.remove(request)

    def over(self, handle: int) -> None:
        """The device said that a connection is over, or is to be."""
        for request in self._requests.values():
            request.over |= request.handle == handle and bool(request.waiting)

    def back(self, ident: int) -> bool:
        """The host gets a list back; True if the device is behind it."""
        request = self._requests.pop(ident, None)
        if request is None:
            return False
        entire = not request.left and request not in self._queues[request.handle, request.queue]
        self._no_more(request)
        return request.begun and (request.over or (entire and not request.waiting))

    def forget(self, handles: Iterable[int | None]) -> None:
        """Connections that were terminated, or never offloaded."""
        gone = set(handles)
        self._requests = {ident: one for ident, one in self._requests.items() if one.handle not in gone}
        self._entries = {cookie: one for cookie, one in self._entries.items() if one[0].handle not in gone}
        for key in [key for key in self._queues if key[0] in gone]:
            del self._queues[key]
        for handle in gone:
            if handle is not None:
                self._parted.pop(handle, None)
