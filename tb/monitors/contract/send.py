"""Section 9.5, the calls: how sends are taken and given back (CH-097, 098, 101 to 112)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_items import DUTY, GRACE, PROMPT, SETTLED, Connection, Request, StateCall
from tb.monitors.contract.face_monitor import FaceMonitor, Returned
from tb.monitors.contract.send_frames import SendFrameMonitor
from tb.monitors.contract.stream_books import Wire, number_of, signed
from tb.monitors.contract.trace import Enter, Leave, List
from tb.monitors.wire_headers import RST

__all__ = ["SendFrameMonitor", "SendMonitor", "advances"]


_STATUSES: Final = frozenset({ndis.SUCCESS, ndis.FAILURE, ndis.REQUEST_ABORTED, ndis.UPLOAD_IN_PROGRESS})
"""What a target may write on a send (table 4.2)."""
_START: Final = 1000
"""Ticks within which data leaves that nothing holds back."""


def advances(request: Request, nbl: List) -> list[int] | None:
    """Bytes by which each NET_BUFFER was advanced; None if anything else of it changed, an MDL freed for instance."""
    before = request.list.buffers
    if [(b.ident, b.mdls) for b in before] != [(b.ident, b.mdls) for b in nbl.buffers]:
        return None
    moved = [old.data_length - new.data_length for old, new in zip(before, nbl.buffers, strict=True)]
    offsets = [new.data_offset - old.data_offset for old, new in zip(before, nbl.buffers, strict=True)]
    return moved if moved == offsets else None


def shares(request: Request, transferred: int) -> list[int]:
    """The part of each NET_BUFFER in the first ``transferred`` bytes of the list."""
    parts = []
    for buffer in request.list.buffers:
        parts.append(min(transferred, buffer.data_length))
        transferred -= parts[-1]
    return parts


class SendMonitor(FaceMonitor):
    """Watches submission, completion and return of send NET_BUFFER_LISTs."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-097": "MiniportTcpOffloadSend returns PENDING",
        "CH-098": "no send is refused: it ends with a status for sends, and with a reason for it",
        "CH-101": "a send succeeds only after its last byte was acknowledged",
        "CH-102": "sends of a connection complete in the order of submission",
        "CH-103": "a send that succeeds reports all its bytes as transferred",
        "CH-104": "every buffer is advanced by its own acknowledged bytes, and no MDL is freed",
        "CH-105": "behind a send that failed all fail, and none of their data goes out",
        "CH-106": "one list of a completion is partial at most, and it did not succeed",
        "CH-107": "an RST or abortive disconnect ends sends with REQUEST_ABORTED, and none succeeds afterwards",
        "CH-108": "a send that an upload ends carries UPLOAD_IN_PROGRESS",
        "CH-109": "every send comes back exactly once",
        "CH-110": "the host has one send call in progress on a connection",
        "CH-111": "a send is taken while earlier ones are incomplete",
        "CH-112": "sends on different connections are taken at the same time",
    }

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[int, bool] = {}
        """Send calls in progress at layer 0: were earlier sends of the connection incomplete?"""
        self._beside: set[int] = set()
        """Send calls in progress while one on another connection was."""
        self._taken: dict[int, list[str]] = {}
        """Rules of send calls that were taken beside other sends, until the first of their lists comes back."""
        self._last: dict[Connection, int] = {}
        """Number of the last send that came back."""
        self._short: set[Connection] = set()
        """Connections of which a send came back with less than all its bytes."""
        self._uploaded: dict[Connection, list[tuple[Request, int]]] = {}
        """Sends that came back UPLOAD_IN_PROGRESS in a terminate, and what they reported."""
        self._watched: set[Connection] = set()
        self._failed: dict[Connection, tuple[int, int]] = {}
        """First failed send: its end in the stream, the tick after which nothing beyond may go out."""

    # --- submission --------------------------------------------------------------------------------------------

    def on_request(self, face: Face, enter: Enter, conn: Connection | None, requests: list[Request]) -> None:
        if enter.function != ndis.SEND:
            return
        others = [c for c in face.open.values() if c.function == ndis.SEND and c.call != enter.call]
        if self.is_top(face):
            twice = any(other.target == enter.target for other in others)
            self.check("CH-110", not twice, f"a second send call on {enter.target}")
        if face.layer == 0 and conn is not None and requests:
            self._leaves(face, conn, requests[0])
        if face.layer == 0:
            earlier = conn is not None and any(r.call != enter.call for r in conn.outstanding("send"))
            self._waiting[enter.call] = earlier
            apart = {other.call for other in others if other.target != enter.target}
            if apart:
                self._beside |= {enter.call, *apart}

    def _leaves(self, face: Face, conn: Connection, request: Request) -> None:
        """On an idle connection with an open window data has no reason to stay: neither Nagle nor SWS holds it."""
        tx = conn.tx
        size = request.list.data_length
        room = min(size, number_of(conn.const, "remote_mss", 536))
        if not conn.on_wire or not size or tx.edge - request.start < room:
            return
        if not request.start <= tx.acked == tx.sent_max or tx.fin_sent:
            return
        wait = _START + number_of(face.parameters, "tcp_sws_prevention_ticks")
        self.after(wait, lambda: self._left(conn, request))

    def _left(self, conn: Connection, request: Request) -> None:
        shut = conn.tx.edge <= request.start
        if conn.running and not shut and request.list.ident in conn.requests:
            self.check("CH-098", conn.tx.sent_max > request.start, f"list {request.list.ident} is never sent")

    def on_received(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        if conn is not None and face.layer == 0 and conn not in self._watched:
            self._watch(face, conn)

    def _watch(self, face: Face, conn: Connection) -> None:
        """The oldest send is acknowledged: it has to come back."""
        head = next(iter(conn.outstanding("send")), None)
        if head is not None and conn.running and head.start < head.end <= conn.tx.acked:
            self._watched.add(conn)
            self.after(SETTLED + DUTY, lambda: self._came_back(face, conn, head))

    def _came_back(self, face: Face, conn: Connection, head: Request) -> None:
        self._watched.discard(conn)
        conn.settle(self.clock)
        waits = conn.requests.get(head.list.ident) is head and conn.acknowledged >= head.end
        if waits and conn.running and not face.open:
            self.breach("CH-109", f"list {head.list.ident} was acknowledged and does not come back")
        else:
            self._watch(face, conn)

    def on_return(self, face: Face, enter: Enter, leave: Leave) -> None:
        if enter.function != ndis.SEND or face.layer != 0:
            return
        pending = leave.result == ndis.PENDING
        said = "nothing" if leave.result is None else f"{leave.result:#x}"
        if enter.call in self._beside:
            self._beside.discard(enter.call)
            self.check("CH-112", pending, f"returned {said} while another connection was sending")
            self._taken.setdefault(enter.call, []).append("CH-112")
        if self._waiting.pop(enter.call, False):
            self.check("CH-111", pending, f"returned {said} while earlier sends were incomplete")
            self._taken.setdefault(enter.call, []).append("CH-111")
        self.check("CH-097", pending, f"returned {said}")

    # --- completion --------------------------------------------------------------------------------------------

    def on_completion(self, face: Face, enter: Enter, kind: str, returned: Returned) -> None:
        if kind != "send" or face.layer != 0:
            return
        lists: dict[Connection | None, list[tuple[List, Request]]] = {}
        seen: set[int] = set()
        for nbl, request in returned:
            known = request is not None and nbl.ident not in seen
            seen.add(nbl.ident)
            other = face.requests.get(nbl.ident)
            if request is not None or other is None:
                self.check("CH-109", known, f"list {nbl.ident} is not at the target (any more)")
            if request is not None and known:
                lists.setdefault(request.conn, []).append((nbl, request))
        for conn, sends in lists.items():
            for nbl, request in sends:
                self._of_one(nbl, request)
            self._of_list(sends)
            for nbl, request in sends:
                if conn is not None:
                    self._of_connection(face, conn, nbl, request)

    def _of_list(self, sends: list[tuple[List, Request]]) -> None:
        partial = [nbl for nbl, request in sends if 0 < (nbl.transferred or 0) < request.list.data_length]
        if partial or any(nbl.status != ndis.SUCCESS for nbl, _ in sends):
            succeeded = any(nbl.status == ndis.SUCCESS for nbl in partial)
            fits = len(partial) <= 1 and not succeeded
            self.check("CH-106", fits, f"lists {[nbl.ident for nbl in partial]} are partly transferred")

    def _of_one(self, nbl: List, request: Request) -> None:
        status = "none" if nbl.status is None else f"{nbl.status:#x}"
        self.check("CH-098", nbl.status in _STATUSES, f"list {nbl.ident} was refused with status {status}")
        for rule in self._taken.pop(request.call, ()):
            if nbl.status == ndis.SUCCESS:  # the device did take it
                self.trigger(rule)
        whole = request.list.data_length
        if nbl.status == ndis.SUCCESS:
            self.check("CH-103", nbl.transferred == whole, f"list {nbl.ident}: {nbl.transferred} of {whole} bytes")
        moved = advances(request, nbl)
        wanted = shares(request, nbl.transferred or 0)
        fits = nbl.transferred is not None and moved == wanted and sum(wanted) == nbl.transferred
        self.check("CH-104", fits, f"list {nbl.ident}: transferred {nbl.transferred}, advanced {moved}")

    def _of_connection(self, face: Face, conn: Connection, nbl: List, request: Request) -> None:
        last = self._last.get(conn, -1)
        self.check("CH-102", request.number > last, f"list {nbl.ident} completes behind a later one")
        self._last[conn] = max(last, request.number)
        self._acknowledged(conn, nbl, request)
        self._after_failure(conn, nbl, request)
        self._reason(face, conn, nbl, request)
        self._refused(face, conn, nbl, request)

    def _acknowledged(self, conn: Connection, nbl: List, request: Request) -> None:
        if not conn.on_wire:
            return
        behind = min(request.end, conn.tx.acked) - request.start
        if nbl.status == ndis.SUCCESS and request.end > request.start:
            missing = request.end - conn.tx.acked
            self.check("CH-101", missing <= 0, f"list {nbl.ident}: {missing} bytes are not acknowledged")
        elif nbl.transferred:
            fits = nbl.transferred <= behind
            self.check("CH-104", fits, f"list {nbl.ident}: {nbl.transferred} bytes, {behind} acknowledged")
        if nbl.status != ndis.SUCCESS and not conn.raised(ndis.HARDWARE_FAILURE):
            self._least(conn, nbl, request)

    def _least(self, conn: Connection, nbl: List, request: Request) -> None:
        """What was acknowledged before the send failed (G-31), and sends that were done before (6.8)."""
        said, size = nbl.transferred or 0, request.end - request.start
        least = min(size, max(0, conn.acknowledged - request.start))
        if least:
            text = f"list {nbl.ident}: {said} bytes, {least} were acknowledged {SETTLED} ticks before"
            self.check("CH-104", said >= least, text)
            rule = "CH-108" if nbl.status == ndis.UPLOAD_IN_PROGRESS else "CH-107"
            text = f"list {nbl.ident} ends with {_hex(nbl.status)}, though all of it had been acknowledged"
            self.check(rule, least < size, text)
        if conn in self._short:
            self.check("CH-106", not said, f"list {nbl.ident} has {said} bytes behind a list that is not whole")
        if said < size:
            self._short.add(conn)
        if nbl.status == ndis.UPLOAD_IN_PROGRESS and conn.leaving is not None:
            self._uploaded.setdefault(conn, []).append((request, said))

    def _after_failure(self, conn: Connection, nbl: List, request: Request) -> None:
        if conn in self._failed:
            self.check("CH-105", nbl.status != ndis.SUCCESS, f"list {nbl.ident} succeeds behind one that failed")
        elif nbl.status != ndis.SUCCESS:
            self._failed[conn] = (request.end, self._now.tick + GRACE)

    def _reason(self, face: Face, conn: Connection, nbl: List, request: Request) -> None:
        broken = conn.raised(ndis.HARDWARE_FAILURE)
        if conn.aborted is not None or conn.abortive is not None:
            first = min(order for order in (conn.aborted, conn.abortive) if order is not None)
            uploading = conn.asked_for_upload or face.upload_all
            uploading |= conn.leaving is not None and conn.leaving < first
            # an acknowledgment may have come in before the host called for the abort, not before the target saw the RST
            late = nbl.status == ndis.SUCCESS and conn.aborted is not None
            fits = not late and (
                nbl.status in (ndis.SUCCESS, ndis.REQUEST_ABORTED)
                or (uploading and nbl.status == ndis.UPLOAD_IN_PROGRESS)
            )
            self.check("CH-107", fits, f"list {nbl.ident} of an aborted connection ends with {_hex(nbl.status)}")
        elif nbl.status != ndis.SUCCESS and face.uploading(conn) and not broken:
            fits = nbl.status == ndis.UPLOAD_IN_PROGRESS
            fits |= (conn.reset_in or request.late) and nbl.status == ndis.REQUEST_ABORTED
            self.check("CH-108", fits, f"list {nbl.ident} of an uploaded connection ends with {_hex(nbl.status)}")
        elif conn.reset_in and not broken and nbl.status in (ndis.REQUEST_ABORTED, ndis.UPLOAD_IN_PROGRESS):
            fits = nbl.status == ndis.REQUEST_ABORTED  # the event may come behind the lists
            self.check("CH-107", fits, f"list {nbl.ident} of a reset connection ends with {_hex(nbl.status)}")

    def _refused(self, face: Face, conn: Connection, nbl: List, request: Request) -> None:
        """A send that an upload or an abort ended was not refused; a target may announce an upload a little later."""
        if nbl.status == ndis.REQUEST_ABORTED:
            broken = conn.reset_in or conn.aborted is not None or conn.abortive is not None
            broken |= conn.raised(ndis.HARDWARE_FAILURE) or conn.leaving is not None or request.late
            self.check("CH-098", broken, f"list {nbl.ident} is aborted, the connection is not")
        elif nbl.status == ndis.UPLOAD_IN_PROGRESS and not face.uploading(conn):
            self.after(PROMPT, lambda: self._was_uploaded(face, conn, nbl))

    def _was_uploaded(self, face: Face, conn: Connection, nbl: List) -> None:
        uploaded = face.uploading(conn) or conn.aborted is not None
        self.check("CH-098", uploaded, f"list {nbl.ident} came back for an upload that never came")

    # --- what follows --------------------------------------------------------------------------------------------

    def on_sent(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        if conn is None or wire.seg is None or conn not in self._failed or not wire.seg.payload_length:
            return
        if wire.seg.flags & RST or conn.tx.is_probe(wire.seg):
            return
        end, until = self._failed[conn]
        beyond = conn.tx.place(wire.seg.sequence) + wire.seg.payload_length - end
        if beyond > 0:
            self.check("CH-105", wire.tick <= until, f"{beyond} bytes behind a send that failed go out")

    def on_state_end(self, face: Face, enter: Enter, call: StateCall) -> None:
        if call.function != ndis.TERMINATE or face.layer != 0 or enter.tree is None:
            return
        for ident, item in call.items.items():
            node = enter.tree.nodes.get(ident)
            if node is None or not isinstance(item, Connection):
                continue
            for request, said in self._uploaded.pop(item, []):
                if node.status == ndis.SUCCESS and node.delegated is not None:
                    una = signed(number_of(node.delegated, "snd_una"), number_of(item.delegated, "snd_una"))
                    exact = max(0, min(request.end, una) - request.start)
                    self.check("CH-104", said == exact, f"list {request.list.ident}: {said} bytes, SndUna says {exact}")
            sends = {request.list.ident for request in item.outstanding("send")}
            chained = [nbl.ident for nbl in node.chain]
            for nbl in chained:
                other = face.requests.get(nbl)
                if other is None or other.kind == "send":
                    self.check("CH-109", nbl in sends, f"list {nbl} of the chain came back before, or never was there")
            lost = sends - set(chained)
            if sends:
                self.check("CH-109", not lost, f"lists {sorted(lost)} did not come back before the terminate completed")
            self._last.pop(item, None)
            self._failed.pop(item, None)
            self._short.discard(item)


def _hex(status: int | None) -> str:
    return "none" if status is None else f"{status:#x}"
