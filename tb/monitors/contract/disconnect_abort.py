"""Section 9.8, abortive disconnects (CH-181 to 184)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_items import PROMPT, Connection, Phase, Request
from tb.monitors.contract.face_monitor import FaceMonitor, Returned
from tb.monitors.contract.send import advances
from tb.monitors.contract.stream_books import Wire
from tb.monitors.contract.trace import Enter, List
from tb.monitors.wire_headers import RST

_DRAIN: Final = 16
"""Ticks for which frames that were built before an abort may go out before its RST."""


class AbortMonitor(FaceMonitor):
    """Watches what an abortive disconnect does."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-181": "an abortive disconnect sends an RST at once, indications in progress or not",
        "CH-182": "all sends end REQUEST_ABORTED before the abortive disconnect completes",
        "CH-183": "nothing but an RST goes out after an abortive disconnect, so nothing is acknowledged",
        "CH-184": "an abortive disconnect succeeds if its RST was sent, with 0 bytes and no advance",
    }

    def __init__(self) -> None:
        super().__init__()
        self._limits: dict[Connection, tuple[int, int]] = {}
        """(acknowledged, received) when the target showed that the abortive disconnect had reached it, by its RST, an
        abort event or the completion: no more may count. Until then it goes on as before (G-06)."""
        self._ended: dict[Connection, int] = {}
        """Abortive disconnects that completed on a connection that is still offloaded."""

    def on_request(self, face: Face, enter: Enter, conn: Connection | None, requests: list[Request]) -> None:
        if enter.function != ndis.DISCONNECT or not enter.flags & ndis.ABORTIVE or face.layer != 0:
            return
        if conn is not None and conn.abortive == enter.order and _can_reset(conn) and conn.phase is Phase.LIVE:
            self.after(PROMPT, lambda: self._went(conn))

    def _limit(self, conn: Connection) -> None:
        self._limits.setdefault(conn, (conn.tx.acked, conn.rx.all.contiguous))

    def _went(self, conn: Connection) -> None:
        out = conn.reset_out is not None and conn.reset_out >= conn.abortive_tick
        if out:
            self.trigger("CH-181", seen=True)
        elif _can_reset(conn) and self._ended.get(conn, ndis.SUCCESS) == ndis.SUCCESS:
            waiting = f", {len(conn.indications)} indications in progress" if conn.indications else ""
            self.breach("CH-181", f"no RST {PROMPT} ticks after the abortive disconnect{waiting}")

    def on_completion(self, face: Face, enter: Enter, kind: str, returned: Returned) -> None:
        if face.layer != 0:
            return
        for nbl, request in returned:
            conn = None if request is None else request.conn
            if request is None or conn is None or conn.abortive is None:
                continue
            if kind == "send" and request.order < conn.abortive:
                self._send(face, conn, nbl)
                self._too_late(conn, nbl, request)
            elif kind == "receive":
                self._received(conn, nbl)
            elif kind == "disconnect" and not request.graceful:
                self._disconnect(conn, nbl, request)

    def _too_late(self, conn: Connection, nbl: List, request: Request) -> None:
        acked, _ = self._limits.get(conn, (request.end, 0))
        if nbl.status == ndis.SUCCESS and request.end > acked:
            self.breach("CH-183", f"send {nbl.ident} succeeds by an acknowledgment that came after the abort")

    def _received(self, conn: Connection, nbl: List) -> None:
        limit = self._limits.get(conn)
        if limit is not None and nbl.transferred:
            over = conn.rx.delivered + nbl.transferred - conn.rx.inherited - limit[1]
            self.check("CH-183", over <= 0, f"receive {nbl.ident} has {over} bytes that came after the abort")

    def on_event(self, face: Face, enter: Enter, conn: Connection) -> None:
        if face.layer == 0 and conn.abortive is not None and enter.event == ndis.ABORT_EVENT:
            self._limit(conn)
        if face.layer == 0 and enter.function == ndis.INDICATE and conn in self._ended:
            self.breach("CH-183", "data is indicated behind a completed abortive disconnect (G-06)")

    def _send(self, face: Face, conn: Connection, nbl: List) -> None:
        overtaken = conn.leaving is not None and conn.abortive is not None and conn.leaving < conn.abortive
        uploading = overtaken or conn.asked_for_upload or face.upload_all
        # an acknowledgment may have come in before the host called
        fits = nbl.status in (ndis.REQUEST_ABORTED, ndis.SUCCESS)
        fits |= uploading and nbl.status == ndis.UPLOAD_IN_PROGRESS
        status = "none" if nbl.status is None else f"{nbl.status:#x}"
        self.check("CH-182", fits, f"send {nbl.ident} ends with {status} after an abortive disconnect")

    def _disconnect(self, conn: Connection, nbl: List, request: Request) -> None:
        left = [send.list.ident for send in conn.outstanding("send") if send.number < request.number]
        if conn.leaving is None or conn.abortive is None or conn.leaving > conn.abortive:
            self.check("CH-182", not left, f"sends {left} are outstanding when the abortive disconnect completes")
        if nbl.status == ndis.SUCCESS:
            self._success(conn, nbl, request)
        self._limit(conn)
        self._ended.setdefault(conn, ndis.FAILURE if nbl.status is None else nbl.status)

    def _success(self, conn: Connection, nbl: List, request: Request) -> None:
        late = (conn.aborted is not None and conn.aborted < request.order) or (
            conn in self._ended and request.order != conn.abortive
        )
        self.check("CH-184", not late, f"disconnect {nbl.ident} succeeds on a connection that was aborted before")
        unmoved = not nbl.transferred and not any(advances(request, nbl) or [0])
        self.check("CH-184", unmoved, f"disconnect {nbl.ident} reports {nbl.transferred} bytes or advances its buffer")
        if conn.on_wire and _can_reset(conn) and not late:
            out = conn.reset_out is not None and conn.reset_out >= conn.abortive_tick
            self.check("CH-184", out, "the abortive disconnect succeeded, no RST was sent yet")

    def on_sent(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        if conn is None or conn.abortive is None or wire.seg is None:
            return
        if wire.seg.flags & RST:
            self._limit(conn)
            return
        overtaken = conn.leaving is not None and conn.leaving < conn.abortive
        late = wire.tick - conn.abortive_tick
        behind = conn.reset_out is not None and conn.reset_out >= conn.abortive_tick
        # what was built before the request goes out before the RST
        if not overtaken and (behind or late > _DRAIN):
            self.breach("CH-183", f"a segment without RST goes out {late} ticks after the abortive disconnect")

    def on_received(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        if conn is not None and conn.reset_out is not None and conn.abortive is not None:
            self.trigger("CH-183")


def _can_reset(conn: Connection) -> bool:
    """There is a connection to reset: no RST came in, it was not aborted, our FIN is not acknowledged, it is valid."""
    over = conn.tx.fin is not None and conn.tx.fin_sent and conn.tx.acked > conn.tx.fin
    ended = conn.reset_in or conn.syn_in or conn.aborted is not None or over
    return conn.on_wire and not ended and conn.invalid_since is None
