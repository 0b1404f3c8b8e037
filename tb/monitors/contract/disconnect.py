"""Section 9.8: disconnects (CH-170 to 189). CH-172 to 180, 185 to 189 are here, abortive ones in `disconnect_abort`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.disconnect_abort import AbortMonitor
from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_items import DUTY, PROMPT, SETTLED, Connection, Item, Request, StateCall
from tb.monitors.contract.face_monitor import FaceMonitor, Returned
from tb.monitors.contract.send import advances
from tb.monitors.contract.stream_books import Wire, number_of, signed
from tb.monitors.contract.trace import Counters, Enter, Leave, List
from tb.monitors.wire_headers import FIN, RST, WireSegment

__all__ = ["AbortMonitor", "DisconnectMonitor"]


_ACK_TICKS: Final = 500
"""An ACK is delayed by no more (RFC 9293 MUST-40)."""
_START: Final = 1000
"""Ticks within which a FIN leaves that nothing holds back."""
_COPIES: Final = 3
"""A segment that came in as often as this was not lost for want of room each time."""
_LEVELS: Final = {ndis.NEIGHBOR_LEVEL: "neighbors", ndis.PATH_LEVEL: "paths", ndis.TCP_LEVEL: "connections"}
_STATUSES: Final = frozenset({ndis.SUCCESS, ndis.UPLOAD_IN_PROGRESS, ndis.REQUEST_ABORTED})


class DisconnectMonitor(FaceMonitor):
    """Watches the calls, their completions, and the graceful way to a FIN."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-170": "MiniportTcpOffloadDisconnect returns PENDING",
        "CH-171": "a disconnect is one list with one buffer, empty if abortive",
        "CH-172": "the FIN lies behind the last byte that was given to send",
        "CH-173": "the FIN does not wait for acknowledgments of data",
        "CH-174": "a segment with FIN and data carries the last bytes of the stream",
        "CH-175": "a graceful disconnect completes behind all earlier sends",
        "CH-176": "a graceful disconnect succeeds only after data and FIN were acknowledged",
        "CH-177": "a graceful disconnect reports its acknowledged data bytes, the FIN not counted",
        "CH-178": "the buffer of a graceful disconnect is advanced by what it reports, no MDL freed",
        "CH-179": "a graceful disconnect that an upload overtakes carries UPLOAD_IN_PROGRESS",
        "CH-180": "a graceful disconnect on a reset or aborted connection, or a second one, carries REQUEST_ABORTED",
        "CH-185": "a disconnect fails only on a connection that is uploaded or aborted",
        "CH-186": "NdisTcpOffloadDisconnectComplete returns a disconnect list that is at the target, nothing else",
        "CH-187": "a disconnect list comes back neither by send completion nor in the terminate chain",
        "CH-188": "behind its FIN the target still acknowledges data of the peer",
        "CH-189": "a disconnect frees no resource of a connection",
    }

    def __init__(self) -> None:
        super().__init__()
        self._returned: dict[Connection, int] = {}
        """Number of the last send that came back while a graceful disconnect was outstanding."""
        self._passed: dict[Connection, set[int]] = {}
        """Sends that a disconnect overtook: only the terminate chain may return them."""
        self._copies: dict[Connection, tuple[int, int]] = {}
        """Next position of the peer's data, how often it came in behind our FIN."""
        self._closing: set[Connection] = set()
        """Connections whose disconnect must come back."""
        self._uploaded: dict[Connection, tuple[Request, int]] = {}
        """Disconnects that an upload ended, and what they reported."""

    # --- calls -------------------------------------------------------------------------------------------------

    def on_request(self, face: Face, enter: Enter, conn: Connection | None, requests: list[Request]) -> None:
        if enter.function != ndis.DISCONNECT:
            return
        if self.is_top(face):
            one = len(enter.lists) == 1 and len(enter.lists[0].buffers) == 1
            self.check("CH-171", one, f"{len(enter.lists)} lists, buffers {[len(nbl.buffers) for nbl in enter.lists]}")
            if enter.flags == ndis.ABORTIVE:
                size = sum(nbl.data_length for nbl in enter.lists)
                self.check("CH-171", size == 0, f"{size} bytes in an abortive disconnect")
        if face.layer == 0 and conn is not None and conn.graceful in requests:
            self._fin_is_due(conn)

    def on_return(self, face: Face, enter: Enter, leave: Leave) -> None:
        if enter.function == ndis.DISCONNECT and face.layer == 0:
            self.check("CH-170", leave.result == ndis.PENDING, f"returned {leave.result}")

    # --- the FIN -----------------------------------------------------------------------------------------------

    def on_sent(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        seg = wire.seg
        if conn is None or seg is None or seg.flags & RST:
            return
        self._still_acknowledges(conn, seg)
        end = conn.tx.place(seg.sequence) + seg.payload_length
        if seg.flags & FIN:
            self._fin(conn, wire, seg, end)
        elif end == conn.tx.total > conn.tx.sent_max and conn.graceful is not None and seg.payload_length:
            self.after(0, lambda: self._fin_is_due(conn))

    def _fin(self, conn: Connection, wire: Wire, seg: WireSegment, end: int) -> None:
        wanted = conn.tx.fin
        if wanted is None:
            self.breach("CH-172", "a FIN goes out, no disconnect was asked for")
            return
        self.check("CH-172", end == wanted, f"the FIN lies {end - wanted} bytes behind the end of the data")
        if conn.graceful is not None and not conn.tx.fin_sent and conn.tx.acked < conn.tx.total:
            self.trigger("CH-173")
        if not seg.payload_length:
            return
        start, payload = end - seg.payload_length, wire.payload
        right = True
        for piece in conn.tx.pieces(start, end):
            low, high = max(start, piece.start), min(end, piece.end)
            same = payload[low - start : high - start] == piece.data[low - piece.start : high - piece.start]
            right &= same or not piece.data
        self.check("CH-174", right, "the data before the FIN are not the last bytes that were given to send")

    def _fin_is_due(self, conn: Connection) -> None:
        """All data went out (or will): the FIN has to follow, unless a window or the network holds it back."""
        if conn.tx.fin_sent or conn.tx.sent_max < conn.tx.total:
            return
        if conn.tx.acked >= conn.tx.total:
            self.after(_START, lambda: self._fin_left(conn))
            return
        if self._fin_may_go(conn):
            self.after(PROMPT, lambda: self._fin_went(conn))

    def _fin_may_go(self, conn: Connection) -> bool:
        tx = conn.tx
        flight = tx.total + 1 - tx.surely_acked
        # one segment is what every congestion window allows
        fits = flight <= number_of(conn.const, "remote_mss", 536) and tx.edge > tx.total
        return fits and not tx.resent and conn.running

    def _fin_left(self, conn: Connection) -> None:
        if conn.on_wire and conn.running and conn.tx.edge > conn.tx.total:
            self.check("CH-173", conn.tx.fin_sent, f"no FIN {_START} ticks after the disconnect, all data acknowledged")

    def _fin_went(self, conn: Connection) -> None:
        tx = conn.tx
        held = not tx.fin_sent and tx.acked < tx.total and self._fin_may_go(conn)
        if held:
            self.breach("CH-173", f"no FIN {PROMPT} ticks behind the last data, which is not acknowledged yet")

    # --- completion --------------------------------------------------------------------------------------------

    def on_completion(self, face: Face, enter: Enter, kind: str, returned: Returned) -> None:
        if face.layer != 0:
            return
        if kind == "send":
            self._sends(face, returned)
        elif kind == "disconnect":
            for at, (nbl, request) in enumerate(returned):
                known = request is not None and nbl.ident not in [other.ident for other, _ in returned[:at]]
                self.check("CH-186", known, f"list {nbl.ident} is no disconnect that is at the target")
                if request is not None and known and request.conn is not None:
                    self._disconnect(face, request.conn, nbl, request)

    def _sends(self, face: Face, returned: Returned) -> None:
        for nbl, request in returned:
            other = face.requests.get(nbl.ident)
            if other is not None and other.kind == "disconnect":
                self.breach("CH-187", f"disconnect list {nbl.ident} comes back by send completion")
            conn = None if request is None else request.conn
            if conn is None or request is None:
                continue
            if request.number in self._passed.get(conn, ()):
                self.breach("CH-175", f"send {nbl.ident} completes behind the disconnect")
            if conn.graceful is not None and request.number < conn.graceful.number:
                last = self._returned.get(conn, -1)
                self.check("CH-175", request.number > last, f"send {nbl.ident} completes out of order")
                self._returned[conn] = max(last, request.number)

    def _disconnect(self, face: Face, conn: Connection, nbl: List, request: Request) -> None:
        if request is conn.graceful:
            self._acknowledged(conn, nbl, request)
            self._earlier_sends(conn, nbl, request)
            self._count(conn, nbl, request)
            self._graceful_status(face, conn, nbl)
        if request.graceful and request is not conn.graceful:
            uploading = nbl.status == ndis.UPLOAD_IN_PROGRESS and face.uploading(conn)
            fits = nbl.status == ndis.REQUEST_ABORTED or uploading
            self.check("CH-180", fits, f"a second graceful disconnect ends with {_hex(nbl.status)} (G-23)")
        if nbl.status != ndis.SUCCESS:
            ended = face.uploading(conn) or conn.reset_in or conn.aborted is not None
            ended |= conn.abortive is not None and (request.graceful or request.order > conn.abortive)
            second = request.graceful and request is not conn.graceful
            fits = nbl.status in _STATUSES and (ended or (second and nbl.status == ndis.REQUEST_ABORTED))
            self.check("CH-185", fits, f"list {nbl.ident} fails with {_hex(nbl.status)} on a running connection")
        else:
            self.trigger("CH-185")

    def _earlier_sends(self, conn: Connection, nbl: List, request: Request) -> None:
        left = {send.number for send in conn.outstanding("send") if send.number < request.number}
        chainable = nbl.status == ndis.UPLOAD_IN_PROGRESS and conn.leaving is not None
        self.check("CH-175", not left or chainable, f"{len(left)} earlier sends are not complete")
        if left:
            self._passed[conn] = left

    def _acknowledged(self, conn: Connection, nbl: List, request: Request) -> None:
        """What was acknowledged before the disconnect failed (CH-177), and one that was done before (6.8)."""
        if nbl.status == ndis.SUCCESS or not conn.on_wire or conn.raised(ndis.HARDWARE_FAILURE):
            return
        least = max(0, min(request.end, conn.acknowledged) - request.start)
        text = f"{nbl.transferred} bytes, {least} were acknowledged {SETTLED} ticks before"
        if least:
            self.check("CH-177", (nbl.transferred or 0) >= least, text)
        over = conn.tx.fin is not None and conn.acknowledged > conn.tx.fin >= 0
        if over:
            self.breach("CH-176", f"ends with {_hex(nbl.status)}, though data and FIN had been acknowledged")

    def _came_back(self, face: Face, conn: Connection, again: bool) -> None:
        """Data and FIN are acknowledged, and all sends are back: the disconnect has to come back."""
        conn.settle(self.clock)
        graceful = conn.graceful
        waits = graceful is not None and graceful.list.ident in conn.requests and not conn.outstanding("send")
        if waits and conn.running and conn.tx.fin is not None and conn.acknowledged > conn.tx.fin:
            if face.open or not again:
                self.after(DUTY, lambda: self._came_back(face, conn, again=not face.open))
            else:
                self.breach("CH-176", "the graceful disconnect was acknowledged and does not come back")

    def _count(self, conn: Connection, nbl: List, request: Request) -> None:
        whole = request.list.data_length
        if nbl.status == ndis.SUCCESS and conn.on_wire:
            missing = conn.tx.total + 1 - conn.tx.acked
            self.check("CH-176", missing <= 0, f"{missing} of data and FIN are not acknowledged")
        behind = max(0, min(whole, conn.tx.acked - request.start)) if conn.on_wire else whole
        least = whole if nbl.status == ndis.SUCCESS else 0
        said = -1 if nbl.transferred is None else nbl.transferred
        most = whole if nbl.status == ndis.SUCCESS else behind
        self.check("CH-177", least <= said <= most, f"{nbl.transferred} bytes of {whole}, {behind} acknowledged")
        moved = advances(request, nbl)
        fits = moved is not None and sum(moved) == (nbl.transferred or 0)
        self.check("CH-178", fits, f"transferred {nbl.transferred}, advanced {moved}")
        if nbl.status == ndis.UPLOAD_IN_PROGRESS and conn.leaving is not None:
            self._uploaded[conn] = (request, nbl.transferred or 0)

    def _graceful_status(self, face: Face, conn: Connection, nbl: List) -> None:
        orders = [order for order in (conn.aborted, conn.abortive) if order is not None]
        first = min(orders, default=None)
        overtaken = conn.leaving is not None and (first is None or conn.leaving < first)
        uploading = overtaken or conn.asked_for_upload or face.upload_all
        text = f"the graceful disconnect ends with {_hex(nbl.status)}"
        if first is None and conn.reset_in and nbl.status == ndis.REQUEST_ABORTED:
            self.trigger("CH-180")
        if first is not None:
            fits = nbl.status == ndis.REQUEST_ABORTED or (uploading and nbl.status == ndis.UPLOAD_IN_PROGRESS)
            # the FIN may have been acknowledged before the host called for the abort
            fits |= conn.aborted is None and nbl.status == ndis.SUCCESS
            self.check("CH-180", fits, f"{text} on an aborted connection")
        elif conn.leaving is not None and not conn.raised(ndis.HARDWARE_FAILURE):
            fits = nbl.status in (ndis.UPLOAD_IN_PROGRESS, ndis.SUCCESS)
            undelivered = conn.raised(ndis.TIMEOUT_EXPIRATION) or conn.reset_in
            fits |= undelivered and nbl.status == ndis.REQUEST_ABORTED
            if nbl.status == ndis.SUCCESS:
                return
            self.check("CH-179", fits, f"{text} in an upload")

    # --- terminate -----------------------------------------------------------------------------------------------

    def on_state_end(self, face: Face, enter: Enter, call: StateCall) -> None:
        if call.function != ndis.TERMINATE or face.layer != 0 or enter.tree is None:
            return
        for ident, item in call.items.items():
            node = enter.tree.nodes.get(ident)
            if node is None or not isinstance(item, Connection):
                continue
            if item.graceful is not None:
                chained = item.graceful.list.ident in {nbl.ident for nbl in node.chain}
                other = face.requests.get(item.graceful.list.ident)
                wrong = chained and (other is None or other.kind == "disconnect")
                self.check("CH-187", not wrong, "the disconnect list lies in the terminate chain")
            uploaded = self._uploaded.pop(item, None)
            if uploaded is not None and node.status == ndis.SUCCESS and node.delegated is not None:
                request, said = uploaded
                una = signed(number_of(node.delegated, "snd_una"), number_of(item.delegated, "snd_una"))
                exact = max(0, min(request.list.data_length, una - request.start))
                self.check("CH-177", said == exact, f"{said} bytes reported, SndUna says {exact}")
            self._closing.discard(item)
            for kept in (self._returned, self._copies, self._passed):
                kept.pop(item, None)

    # --- behind the FIN, resources ---------------------------------------------------------------------------------

    def on_received(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        seg = wire.seg
        if conn is not None and conn.graceful is not None and conn.tx.fin is not None and face.layer == 0:
            done = conn.tx.acked > conn.tx.fin and conn not in self._closing
            if done:
                self._closing.add(conn)
                self.after(SETTLED + 1, lambda: self._came_back(face, conn, again=False))
        if conn is None or seg is None or not seg.sums_right or not conn.tx.fin_sent or not seg.payload_length:
            return
        start = conn.rx.place(seg.sequence)
        if not start <= conn.rx.acked < start + seg.payload_length <= conn.rx.edge or not conn.running:
            return
        place = conn.rx.acked
        before, copies = self._copies.get(conn, (place, 0))
        copies = copies + 1 if before == place else 1
        self._copies[conn] = (place, copies)
        if copies == _COPIES:
            self.after(_ACK_TICKS, self._look(conn, place, conn.rx.pure_acks))

    def _look(self, conn: Connection, place: int, pure_acks: int) -> Callable[[], None]:
        """Data without room are answered by an ACK of what was there before."""

        def look() -> None:
            if conn.running:
                answered = conn.rx.acked > place or conn.rx.pure_acks > pure_acks
                self.check("CH-188", answered, "data of the peer is not acknowledged behind our FIN")

        return look

    def _still_acknowledges(self, conn: Connection, seg: WireSegment) -> None:
        waiting = self._copies.get(conn)
        if waiting is not None and conn.rx.place(seg.acknowledgment) > waiting[0]:
            self.trigger("CH-188")
            del self._copies[conn]

    def on_counters(self, face: Face, record: Counters) -> None:
        if face.layer != 0 or not any(item.disconnected for item in face.items.values()):
            return
        for level, name in _LEVELS.items():
            if name in record.used:
                live, used = face.live(level), record.used[name]
                self.check("CH-189", used >= live, f"{used} {name} in use, {live} are offloaded")

    def on_clash(self, face: Face, item: Item) -> None:
        if face.layer == 0 and item.disconnected:
            self.breach("CH-189", f"context {item.context} of a disconnected connection was given away")


def _hex(status: int | None) -> str:
    return "none" if status is None else f"{status:#x}"
