"""Decisions on sends, disconnects, forwards and their completions: G-01, G-22, G-23, G-29 to G-31, G-33, G-41, G-44."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_books import Book, BooksMonitor
from tb.monitors.contract.connection_parts import Connection, Phase, Request
from tb.monitors.contract.trace import Enter, Leave, List

_MANY: Final = 16
"""Requests of a connection beyond which a table of the target would be full (`sends_per_connection`)."""
_KNOWN: Final = frozenset(
    {
        *ndis.STATE_CALLS,
        *ndis.STATE_COMPLETIONS,
        *ndis.REQUESTS,
        *ndis.COMPLETIONS,
        *(ndis.RETURN, ndis.OID, ndis.EVENT, ndis.INDICATE, ndis.NEIGHBOR_EVENT, ndis.STATUS),
    }
)
_WITHOUT_FLAGS: Final = frozenset({ndis.SEND, ndis.RECEIVE, ndis.FORWARD, ndis.RETURN, *ndis.STATE_CALLS})


_LATE: Final = (ndis.UPLOAD_IN_PROGRESS, ndis.REQUEST_ABORTED)
"""How a disconnect comes back that was asked for behind the terminate."""


class RequestDecisions(BooksMonitor):
    """Requests of the send half, where the pages leave a choice."""

    RULES: ClassVar[Mapping[str, str]] = {
        "G-01": "an I/O call carries the context itself, not the location that holds it",
        "G-22": "an abortive disconnect completes with 0 bytes and its data start where it was",
        "G-23": "abort behind a graceful disconnect: that REQUEST_ABORTED, then SUCCESS; a second is REQUEST_ABORTED",
        "G-29": "after TcpIndicateAbort sends are back before disconnects, and none of the three kinds is SUCCESS",
        "G-30": "ReceiveReturn always succeeds and is never completed",
        "G-31": "the byte count of a send and the advance of its data start are its acknowledged bytes",
        "G-33": "no number of sends or receives is too large: each is taken and none fails for want of resources",
        "G-41": "no flags on send, receive, forward, return and state calls, no resource state and no call for it",
        "G-44": "after the retransmission limit I/O waits for terminate: UPLOAD_IN_PROGRESS, a disconnect or aborted",
    }

    def __init__(self) -> None:
        super().__init__()
        self._gracefuls: dict[Connection, Request] = {}
        self._aborts: dict[Connection, Request] = {}
        self._unsent: set[Connection] = set()
        """The first graceful disconnect of each connection."""
        self._expired: set[Connection] = set()
        """Connections whose retransmission limit was reached with a graceful disconnect outstanding."""
        self._given_back: set[int] = set()
        """Lists of ReceiveReturn that the host has not used for a request since."""

    # --- calls -----------------------------------------------------------------------------------------

    def enters(self, record: Enter, book: Book) -> None:
        """Requests, completions and the event that a limit was reached."""
        function = record.function
        self._invented(record)
        if function in ndis.REQUESTS:
            self._given_back.difference_update(nbl.ident for nbl in record.lists)
            self._request(record, book)
        elif function == ndis.RETURN:
            self._given_back.update(nbl.ident for nbl in record.lists)
        elif function in ndis.COMPLETIONS:
            self._completions(record, book, ndis.COMPLETIONS[function])
        elif function == ndis.EVENT:
            connection = book.of_handle(record.target)
            expired = record.event == ndis.RETRIEVE_EVENT and record.info == ndis.TIMEOUT_EXPIRATION
            if connection is not None and expired and any(r.graceful for r in connection.requests.values()):
                self._expired.add(connection)

    def _invented(self, record: Enter) -> None:
        function = record.function
        if function in _WITHOUT_FLAGS:
            types = [] if record.tree is None else [node.type for node in record.tree.nodes.values()]
            plain = not record.flags and ndis.RESOURCE_STATE not in types
            self.check("G-41", plain, f"{function} with flags {record.flags:#x} over state types {types}")
        elif function not in _KNOWN and "Offload" in function and "Resource" in function:
            self.breach("G-41", f"{function} does not exist in NDIS 6.0")

    def _request(self, record: Enter, book: Book) -> None:
        if record.target is None:
            return
        connection = book.connection(record.target)
        if connection is not None:
            self.trigger("G-01")
        elif record.target in book.locations and record.target not in book.contexts_seen:
            self.breach("G-01", f"{record.function} names location {record.target}, not the context that it holds")

    def leaves(self, entered: Enter, record: Leave, book: Book) -> None:
        """A request was taken, a list returned."""
        if entered.function == ndis.RETURN:
            self.check("G-30", record.result == ndis.SUCCESS, f"ReceiveReturn gives {record.result}")
        elif entered.function in (ndis.SEND, ndis.RECEIVE):
            connection = book.connection(entered.target)
            kind = ndis.REQUESTS[entered.function]
            limit = book.settings.get("sends_per_connection", _MANY)
            many = _MANY if not isinstance(limit, int) else limit
            if connection is not None and len(connection.outstanding(kind)) > many:
                self.check("G-33", record.result == ndis.PENDING, f"a {kind} is not taken: {record.result}")
        elif entered.function == ndis.DISCONNECT:
            for nbl in entered.lists:
                request = book.request(nbl.ident, "disconnect")
                if request is not None and request.connection is not None:
                    known = self._gracefuls if request.graceful else self._aborts
                    known.setdefault(request.connection, request)

    # --- completions -----------------------------------------------------------------------------------

    def _completions(self, record: Enter, book: Book, kind: str) -> None:
        for nbl in record.lists:
            request = book.request(nbl.ident, kind)
            connection = None if request is None else request.connection
            if nbl.ident in self._given_back:
                self.breach("G-30", f"list {nbl.ident}, given back by ReceiveReturn, is completed as a {kind}")
            if request is None or connection is None or request.returned or connection.phase is Phase.GONE:
                continue
            if nbl.status == ndis.RESOURCES and kind in ("send", "receive"):
                self.breach("G-33", f"{kind} {nbl.ident} fails with {nbl.status}")
            if kind == "send":
                self._send(connection, request, nbl)
            elif kind == "disconnect":
                self._disconnect(connection, request, nbl)
            self._aborted(connection, request, nbl)
            self._held(connection, request, nbl)

    def _send(self, connection: Connection, request: Request, nbl: List) -> None:
        if nbl.transferred is None:
            return
        moved = sum(request.advanced(nbl))
        acknowledged = max(0, min(connection.una, request.end) - request.start)
        right = nbl.transferred == moved and moved <= acknowledged
        text = f"send {nbl.ident}: count {nbl.transferred}, advance {moved}, at most {acknowledged} bytes acknowledged"
        self.check("G-31", right, text)

    def _disconnect(self, connection: Connection, request: Request, nbl: List) -> None:
        def late(one: Request) -> bool:
            """Asked for behind the terminate, which the host may not do (6.2.3): it goes up with the connection."""
            asked = connection.terminate_order
            return connection.phase is Phase.TERMINATING and asked is not None and one.order > asked

        others = [r for r in connection.outstanding("disconnect") if r is not request and not late(r)]
        if late(request):
            self.check("G-23", nbl.status in _LATE, f"disconnect {nbl.ident} behind the terminate: {nbl.status}")
            return
        if not request.graceful:
            still = nbl.transferred == 0 and not any(request.advanced(nbl))
            self.check("G-22", still, f"abortive disconnect: {nbl.transferred} bytes, advance {request.advanced(nbl)}")
            first = [r.nbl.ident for r in others if r.graceful and r.order < request.order]
            second = self._aborts.get(connection) not in (None, request)
            uploading = nbl.status == ndis.UPLOAD_IN_PROGRESS and connection.phase is Phase.TERMINATING
            if uploading and not second:  # the RST of an invalid connection is the host's to send (G-03)
                self._unsent.add(connection)
            if connection.raised(ndis.ABORT_EVENT) or second:
                unsent = uploading and connection in self._unsent and not connection.raised(ndis.ABORT_EVENT)
                right = nbl.status == ndis.REQUEST_ABORTED or unsent
                self.check("G-23", right, f"disconnect {nbl.ident} of an aborted connection: {nbl.status}")
            elif connection in self._gracefuls:
                right = not first and (nbl.status == ndis.SUCCESS or connection.phase is not Phase.RUNNING)
                self.check("G-23", right, f"abortive disconnect {nbl.status}, graceful ones {first} wait")
            return
        second = self._gracefuls.get(connection) not in (None, request)
        abort = any(not r.graceful for r in others)
        if not (second or abort or connection.raised(ndis.ABORT_EVENT)):
            return
        over = connection.una > request.end and not second and not connection.raised(ndis.ABORT_EVENT)
        unsent = abort and connection.invalid_at() is not None  # its RST is the host's to send (G-03)
        uploading = connection.phase is Phase.TERMINATING and (unsent or not abort)
        uploading = uploading and not connection.raised(ndis.ABORT_EVENT)
        right = nbl.status == ndis.REQUEST_ABORTED or (over and nbl.status == ndis.SUCCESS)
        right = right or (uploading and nbl.status == ndis.UPLOAD_IN_PROGRESS)
        self.check("G-23", right, f"graceful disconnect {nbl.ident} (second: {second}, abort: {abort}): {nbl.status}")

    def _aborted(self, connection: Connection, request: Request, nbl: List) -> None:
        if request.kind == "forward" or not connection.raised(ndis.ABORT_EVENT):
            return
        sends = []
        if request.kind == "disconnect":
            together = {other.ident for other in self._lists()}
            before = [r for r in connection.outstanding("send") if r.order < request.order]
            sends = [r.nbl.ident for r in before if r.nbl.ident not in together]
        right = nbl.status != ndis.SUCCESS and not sends
        self.check("G-29", right, f"{request.kind} {nbl.ident} after the abort: {nbl.status}, sends {sends} wait")

    def _lists(self) -> tuple[List, ...]:
        return self._now.lists if isinstance(self._now, Enter) else ()

    def _held(self, connection: Connection, request: Request, nbl: List) -> None:
        if connection not in self._expired or connection.aborted or request.kind not in ("send", "disconnect"):
            return
        acknowledged = request.kind == "send" and nbl.status == ndis.SUCCESS and connection.una >= request.end
        if connection.phase is Phase.RUNNING and not acknowledged:
            self.breach("G-44", f"{request.kind} {nbl.ident} completes before the terminate: {nbl.status}")
            return
        right = nbl.status == ndis.UPLOAD_IN_PROGRESS
        if request.kind == "disconnect":
            right = right or nbl.status == ndis.REQUEST_ABORTED
        right = right or acknowledged
        self.check("G-44", right, f"{request.kind} {nbl.ident} after the retransmission limit: {nbl.status}")
