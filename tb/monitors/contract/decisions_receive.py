"""Decisions on posted receives, indications and the peer's FIN: G-04, G-05, G-06, G-17, G-28, G-32, G-42."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_books import Book, BooksMonitor
from tb.monitors.contract.connection_parts import Connection, Phase, Request, whole
from tb.monitors.contract.trace import Enter, Frame, Leave, List, Record

_LATE: Final = 8
"""Ticks by which a timer may be seen late."""
_AT_ONCE: Final = 1000
"""Ticks that a host may leave its completions unread."""
_EARLY: Final = 2
"""Ticks by which a timer may seem early, as frames are timed at the port."""


@dataclass(slots=True)
class _Refusal:
    """A full rejection of an indication."""

    data: bytes
    posts: int
    delivered: int
    lifted: bool = False
    """A zero-byte request came back since: step B is looked at again (G-28), also if it was posted before."""


def abort_order(connection: Connection, requests: Mapping[int, Request]) -> int | None:
    """Where in the trace the connection was aborted: by the event, or by the host's abortive disconnect."""
    orders = connection.events.places(ndis.ABORT_EVENT)
    orders += [
        r.order for r in requests.values() if r.connection is connection and r.kind == "disconnect" and not r.graceful
    ]
    return min(orders, default=None)


class ReceiveDecisions(BooksMonitor):
    """The receive half, where the pages leave a choice."""

    RULES: ClassVar[Mapping[str, str]] = {
        "G-04": "a push timer runs from the first or from the last byte, from the post where the host had filled some",
        "G-05": "any answer but SUCCESS and PARTIALLY_ACCEPTED refuses all: kept, not indicated again before a post",
        "G-06": "an abort completes posted receives REQUEST_ABORTED in order with true counts and discards the rest",
        "G-17": "at a FIN a begun request is SUCCESS with its count, an empty one SUCCESS or INVALID_STATE with 0",
        "G-28": "a zero-byte request completes SUCCESS with 0 bytes, at once in its turn",
        "G-32": "counts of a request that the host had filled in part hold only what the target placed",
        "G-42": "no TcpIndicateDisconnect before the client has all; unread data goes up, the state tells the FIN",
    }

    def __init__(self) -> None:
        super().__init__()
        self._refused: dict[Connection, _Refusal] = {}
        self._answered: dict[Connection, int] = {}
        self._posts: dict[int, int] = {}
        self._zero: dict[int, tuple[Request, int]] = {}
        """Zero-byte requests that wait: since when each could have been served."""
        self._quiet: int | None = None
        """Tick of the record before if it was a frame, which changes no request."""
        self._aborting: set[Connection] = set()

    def passes(self, record: Record) -> None:
        """A zero-byte request that is next must not wait."""
        quiet = self._quiet == record.tick
        self._quiet = record.tick if isinstance(record, Frame) else None
        if quiet:
            return
        for ident, (request, since) in list(self._zero.items()):
            connection = request.connection
            if connection is None or connection.requests.get(ident) is not request or self._frozen(connection):
                del self._zero[ident]
            elif connection.calls or request is not connection.first("receive"):
                self._zero[ident] = (request, record.tick)
            elif record.tick > since + _AT_ONCE:
                del self._zero[ident]
                self.breach("G-28", f"zero-byte request {ident} waits for {record.tick - since} ticks")

    @staticmethod
    def _frozen(connection: Connection) -> bool:
        return connection.phase is not Phase.RUNNING or connection.aborted or connection.stopped

    def enters(self, record: Enter, book: Book) -> None:
        """Calls that deliver, end or ask."""
        if record.function == ndis.COMPLETION_OF["receive"]:
            self._completions(record, book)
        elif record.function == ndis.INDICATE:
            connection = book.of_handle(record.target)
            if connection is not None:
                self._posts[record.call] = connection.posts
                aborted = connection.raised(ndis.ABORT_EVENT)
                if aborted:
                    self.breach("G-06", f"{connection.context}: data is indicated after TcpIndicateAbort")
                self._indicated(connection, b"".join(nbl.data for nbl in record.lists))
        elif record.function == ndis.EVENT and record.event == ndis.DISCONNECT_EVENT:
            connection = book.of_handle(record.target)
            if connection is not None:
                self._disconnect_event(connection)
        elif record.function == ndis.COMPLETION_OF["disconnect"]:
            for nbl in record.lists:
                self._aborted_disconnect(book.request(nbl.ident, "disconnect"))
        elif record.function == ndis.TERMINATED and record.tree is not None:
            self._terminated(record, book)

    def leaves(self, entered: Enter, record: Leave, book: Book) -> None:
        """The answer to an indication; a posted zero-byte request."""
        if entered.function == ndis.INDICATE:
            connection = book.of_handle(entered.target)
            if connection is None:
                return
            self._answered[connection] = record.tick
            posts = self._posts.pop(entered.call, connection.posts)
            data = b"".join(nbl.data for nbl in entered.lists)
            if record.result is not None and not ndis.taken(len(data), record.result, record.consumed):
                self._refused[connection] = _Refusal(data, posts, connection.delivered)
            else:
                self._refused.pop(connection, None)
        elif entered.function == ndis.RECEIVE:
            for nbl in entered.lists:
                request = book.request(nbl.ident, "receive")
                if request is not None and nbl.data_length == 0 and not request.returned:
                    self._zero[nbl.ident] = (request, request.tick)

    # --- completions -----------------------------------------------------------------------------------

    def _completions(self, record: Enter, book: Book) -> None:
        delivered: dict[Connection, int] = {}
        for nbl in record.lists:
            request = book.request(nbl.ident, "receive")
            connection = None if request is None else request.connection
            if request is None or connection is None or connection.phase is Phase.GONE or request.returned:
                continue
            at = delivered.get(connection, connection.delivered)
            count = nbl.transferred or 0
            self._prefilled(connection, request, nbl, at)
            self._zero_byte(connection, request, nbl, [other.ident for other in record.lists])
            self._abort(connection, request, nbl, book)
            self._fin(connection, request, nbl)
            self._timer(connection, request, count, at, nbl.status, book)
            if connection in self._refused and count:
                self._redelivered(connection, nbl.data)
            delivered[connection] = at + count

    def _prefilled(self, connection: Connection, request: Request, nbl: List, at: int) -> None:
        offset = sum(buffer.data_offset for buffer in request.nbl.buffers)
        if not request.nbl.received_before and not (request.nbl.no_push and offset):
            return
        count = nbl.transferred or 0
        over = at + count - connection.inherited_bytes - connection.contiguous - connection.initial_fin
        right = count == sum(request.advanced(nbl)) and count <= request.nbl.data_length and over <= 0
        text = f"request {nbl.ident} for {request.nbl.data_length} bytes comes back with {count}, {over} never came"
        self.check("G-32", right, text)

    def _zero_byte(self, connection: Connection, request: Request, nbl: List, together: list[int]) -> None:
        if request.nbl.data_length:
            return
        earlier = [r for r in connection.outstanding("receive") if r.number < request.number]
        earlier = [r for r in earlier if r.nbl.ident not in together[: together.index(nbl.ident)]]
        normal = self._frozen(connection) or connection.raised(ndis.DISCONNECT_EVENT)
        normal = normal or connection.fin_near or bool(connection.initial_fin)
        right = not earlier and not nbl.transferred and (normal or nbl.status == ndis.SUCCESS)
        text = f"zero-byte request {nbl.ident}: {nbl.status}, {nbl.transferred} bytes, {len(earlier)} before it wait"
        self.check("G-28", right, text)
        if connection in self._refused and nbl.status == ndis.SUCCESS:
            self._refused[connection].lifted = True

    def _abort(self, connection: Connection, request: Request, nbl: List, book: Book) -> None:
        order = abort_order(connection, connection.requests) if connection.aborted else None
        if order is None or request.order > order:
            return
        first = connection.outstanding("receive")
        in_turn = request.number == min((r.number for r in first), default=request.number) or len(first) == 0
        ended = nbl.status == ndis.REQUEST_ABORTED
        # until the target has seen the host's abort, it goes on delivering
        racing = nbl.status == ndis.SUCCESS and not connection.raised(ndis.ABORT_EVENT)
        racing = racing and connection not in self._aborting
        told = min(connection.events.places(ndis.DISCONNECT_EVENT), default=request.order)
        behind_fin = told < request.order or bool(connection.initial_fin)
        racing = racing or (nbl.status == ndis.INVALID_STATE and behind_fin)
        if ended:
            self._aborting.add(connection)
        sends = connection.outstanding("send") if ended and "abortive" in connection.touched else []
        sends = [send for send in sends if send.order < order]
        over = (nbl.transferred or 0) - request.nbl.data_length
        together = self._together(request)
        text = (
            f"receive {nbl.ident} after an abort: {nbl.status}, {nbl.transferred} bytes, {len(sends)} sends before it"
        )
        self.check("G-06", (in_turn or together) and (ended or racing) and not sends and over <= 0, text)

    def _together(self, request: Request) -> bool:
        """The requests before it are in the same completion, ahead of it."""
        record = self._now
        if not isinstance(record, Enter) or request.connection is None:
            return False
        ahead = [nbl.ident for nbl in record.lists]
        ahead = ahead[: ahead.index(request.nbl.ident)]
        earlier = [r.nbl.ident for r in request.connection.outstanding("receive") if r.number < request.number]
        return set(earlier) <= set(ahead)

    def _aborted_disconnect(self, request: Request | None) -> None:
        connection = None if request is None else request.connection
        if request is None or connection is None or request.graceful or connection.phase is not Phase.RUNNING:
            return
        waiting = [r.nbl.ident for r in connection.outstanding("receive") if r.order < request.order]
        if waiting:
            self.breach("G-06", f"the abortive disconnect completes before receives {waiting}")

    def _fin(self, connection: Connection, request: Request, nbl: List) -> None:
        count, room = nbl.transferred or 0, request.nbl.data_length
        if connection.aborted or not room:
            return
        if connection.phase is Phase.TERMINATING:
            if 0 < count < room and request.nbl.no_push and not connection.fin_near:
                reset = connection.stopped or connection.reset_in  # the event follows the requests (CH-193)
                right = nbl.status == ndis.UPLOAD_IN_PROGRESS or (reset and nbl.status == ndis.REQUEST_ABORTED)
                self.check("G-17", right, f"nonpush request {nbl.ident} with {count} of {room} bytes: {nbl.status}")
            return
        heard = connection.fins.heard_at(connection.contiguous)
        if heard is None or request.order > heard or connection.stopped or count == room:
            return
        right = nbl.status == ndis.SUCCESS or (count == 0 and nbl.status == ndis.INVALID_STATE)
        self.check("G-17", right, f"request {nbl.ident} with {count} bytes at a FIN: {nbl.status}")

    def _timer(
        self, connection: Connection, request: Request, count: int, at: int, status: int | None, book: Book
    ) -> None:
        push = book.parameter("tcp_push_ticks", 0)
        partly = 0 < count < request.nbl.data_length and status == ndis.SUCCESS
        if not push or not partly or request.nbl.no_push or self._frozen(connection) or connection.fin_near:
            return
        first = at - connection.inherited_bytes - connection.initial_fin
        last = first + count - 1
        inside = [a for a in connection.arrivals if a.start <= last and a.end > first]
        if any(arrival.psh for arrival in inside):
            return
        starts = {a.tick for a in connection.arrivals if a.start <= first < a.end or a.start <= last < a.end}
        starts |= {a.tick for a in connection.arrivals if a.filled and a.tick >= request.tick}
        if request.nbl.received_before or first < 0 or any(tick <= request.tick for tick in starts):
            starts = {tick for tick in starts if tick >= request.tick} | {request.tick}
        starts |= {self._answered[connection]} if connection in self._answered else set()
        late = max(_LATE, push // 10)
        waits = sorted(self._now.tick - tick for tick in starts)
        right = any(push - _EARLY <= wait <= push + late for wait in waits)
        right |= last < 0 and any(wait <= _LATE for wait in waits)  # PSH of inherited data is not handed over
        self.check("G-04", right, f"request {request.nbl.ident} ends {waits} ticks after its bytes, {push} are set")

    # --- indications and the FIN -----------------------------------------------------------------------

    def _indicated(self, connection: Connection, data: bytes) -> None:
        refusal = self._refused.get(connection)
        if refusal is None:
            return
        if connection.posts == refusal.posts and not refusal.lifted:
            self.breach("G-05", f"{connection.context}: refused data is indicated again, no request was posted")
            self._refused.pop(connection)
        else:
            self._redelivered(connection, data)

    def _redelivered(self, connection: Connection, data: bytes) -> None:
        refusal = self._refused.pop(connection)
        size = min(len(data), len(refusal.data))
        kept = connection.delivered == refusal.delivered and data[:size] == refusal.data[:size]
        self.check(
            "G-05", kept, f"{connection.context}: delivery does not go on with the {size} bytes that were refused"
        )

    def _disconnect_event(self, connection: Connection) -> None:
        if not connection.fins.heard and not connection.initial_fin:
            return
        places = sorted(connection.fins.places, key=lambda place: abs(connection.undelivered(place + 1, 1)))
        place = places[0] if places else -1  # a far end may have sent several
        heard = connection.fins.places.get(place, 0)
        waiting = [r.nbl.ident for r in connection.outstanding("receive") if r.order < heard]
        if connection.posts:
            self.check("G-17", not waiting, f"TcpIndicateDisconnect is raised before receives {waiting} complete")
        left = connection.undelivered(place + 1, 1)
        self.check("G-42", left <= 0, f"TcpIndicateDisconnect is raised with {left} bytes not consumed")

    def _terminated(self, record: Enter, book: Book) -> None:
        if record.tree is None:
            return
        for node, connection in book.ended(record.tree):
            if not isinstance(connection, Connection) or node.status != ndis.SUCCESS or node.delegated is None:
                continue
            if connection.aborted and connection.raised(ndis.ABORT_EVENT):
                self.check("G-06", not node.buffered, f"{connection.context} was aborted, BufferedData is not NULL")
            place = connection.receive_place(whole(node.delegated, "rcv_nxt"))
            fin = not connection.initial_fin and connection.fin_counted(place, whole(node.delegated, "state"))
            if fin and not connection.aborted and connection.undelivered(place, 1) > 0:
                told = whole(node.delegated, "state") in {*ndis.AFTER_PEER_FIN, ndis.CLOSED}
                raised = connection.raised(ndis.DISCONNECT_EVENT)
                text = f"unread data before a FIN: state {whole(node.delegated, 'state')}, event raised: {raised}"
                self.check("G-42", told and bool(node.buffered) and not raised, text)
