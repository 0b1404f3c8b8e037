"""Section 9.7: segments that the host forwards (CH-164 to 169)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_items import PROMPT, Connection, Phase, Request, StateCall
from tb.monitors.contract.face_monitor import FaceMonitor, Returned
from tb.monitors.contract.stream_books import forwarded_segment, number_of
from tb.monitors.contract.trace import Enter, Leave, List
from tb.monitors.wire_headers import ACK, RST, SYN, URG, WireSegment

_STATUSES: Final = frozenset({ndis.SUCCESS, ndis.UPLOAD_IN_PROGRESS, ndis.REQUEST_ABORTED})
_ACK_TICKS: Final = 500
"""An ACK is delayed by no more (RFC 9293 MUST-40), whatever TcpDelayedAckTicks says."""
_TAKEN: Final = 2000
"""Ticks within which a running connection processes a forwarded segment."""


class ForwardMonitor(FaceMonitor):
    """Watches forward calls, their completions, and whether the segments were really processed."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-164": "MiniportTcpOffloadForward returns PENDING",
        "CH-165": "a forwarded list has one buffer with one segment of the connection, from its TCP header on",
        "CH-166": "data of a forwarded segment that is next in sequence is acknowledged like that of a received one",
        "CH-167": "SUCCESS if processed, UPLOAD_IN_PROGRESS if not because of an upload, REQUEST_ABORTED after an RST",
        "CH-168": "nothing is forwarded while the connection is being offloaded or terminated",
        "CH-169": "every forwarded list comes back exactly once",
    }

    def __init__(self) -> None:
        super().__init__()
        self._processed: dict[Connection, list[tuple[int, int]]] = {}
        """Ranges of forwarded segments that succeeded."""

    def on_request(self, face: Face, enter: Enter, conn: Connection | None, requests: list[Request]) -> None:
        if enter.function != ndis.FORWARD:
            return
        if face.layer == 0 and conn is not None and requests:
            self.after(_TAKEN, lambda: self._back_by_now(face, conn, requests))
        if not self.is_top(face):
            return
        for request in requests:
            self._shape(conn, request.list)
        coming = any(self._belongs(request.list, c) for request in requests for c in _coming(face))
        leaving = conn is not None and conn.phase is Phase.LEAVING
        self.check("CH-168", not coming, "forwarded to a connection that is being offloaded")
        self.check("CH-168", not leaving, "forwarded to a connection that is being terminated")

    def _back_by_now(self, face: Face, conn: Connection, requests: list[Request]) -> None:
        left = [one.list.ident for one in requests if conn.requests.get(one.list.ident) is one]
        if left and conn.running and not face.open:
            self.breach("CH-169", f"lists {left} did not come back for {_TAKEN} ticks")

    def _shape(self, conn: Connection | None, nbl: List) -> None:
        self.check("CH-165", len(nbl.buffers) == 1, f"list {nbl.ident} has {len(nbl.buffers)} buffers")
        if not nbl.data:
            return
        seg = forwarded_segment(nbl.data)
        self.check("CH-165", seg is not None, f"list {nbl.ident} does not begin with a TCP header")
        if seg is not None and conn is not None:
            belongs = self._belongs(nbl, conn)
            self.check("CH-165", belongs, f"list {nbl.ident} holds no segment of the connection")

    def _belongs(self, nbl: List, conn: Connection) -> bool:
        seg = forwarded_segment(nbl.data)
        if seg is None:
            return False
        ports = (seg.destination[1], seg.source[1])
        local, remote = number_of(conn.const, "local_port"), number_of(conn.const, "remote_port")
        return ports in ((ndis.swapped(local), ndis.swapped(remote)), (local, remote))

    def on_return(self, face: Face, enter: Enter, leave: Leave) -> None:
        if enter.function == ndis.FORWARD and face.layer == 0:
            self.check("CH-164", leave.result == ndis.PENDING, f"returned {leave.result}")

    # --- completion ----------------------------------------------------------------------------------------------

    def on_completion(self, face: Face, enter: Enter, kind: str, returned: Returned) -> None:
        if kind != "forward" or face.layer != 0:
            return
        seen: set[int] = set()
        for nbl, request in returned:
            known = request is not None and nbl.ident not in seen
            seen.add(nbl.ident)
            self.check("CH-169", known, f"list {nbl.ident} is not at the target (any more)")
            if request is None or not known:
                continue
            self.check("CH-167", nbl.status in _STATUSES, f"list {nbl.ident} ends with {nbl.status}")
            seg = forwarded_segment(request.list.data)
            conn = request.conn
            if conn is None:
                continue
            if nbl.status == ndis.SUCCESS:
                self._success(face, conn, request, seg)
            elif nbl.status == ndis.REQUEST_ABORTED:
                broken = conn.reset_in or conn.aborted is not None or conn.abortive is not None
                broken |= conn.raised(ndis.HARDWARE_FAILURE)
                self.check("CH-167", broken, f"list {nbl.ident} is aborted, the connection is not")
            elif nbl.status == ndis.UPLOAD_IN_PROGRESS:
                self._handed_back(face, conn, request, seg)

    def _success(self, face: Face, conn: Connection, request: Request, seg: WireSegment | None) -> None:
        reset = conn.aborted is not None and request.order > conn.aborted
        self.check("CH-167", not reset, f"list {request.list.ident} succeeds behind TcpIndicateAbort")
        if seg is None or not conn.on_wire:
            return
        start = conn.rx.place(seg.sequence)
        end = start + seg.length
        if len(seg_ranges := self._processed.setdefault(conn, [])) < 1024:
            seg_ranges.append((start, end))
        plain = seg.flags & (ACK | SYN | RST | URG) == ACK and conn.running
        if plain and seg.payload_length and start <= conn.rx.acked < end <= conn.rx.edge:
            self.after(max(self._delay(face), 1), self._look(conn, end, conn.rx.pure_acks))
        elif plain and seg.payload_length and end <= conn.rx.acked:
            self.trigger("CH-166")

    def _delay(self, face: Face) -> int:
        said = face.parameters.get("tcp_delayed_ack_ticks")
        return max(_ACK_TICKS, 2 * said if isinstance(said, int) else 0)

    def _look(self, conn: Connection, end: int, pure_acks: int) -> Callable[[], None]:
        """A segment that finds no room is answered by an ACK, too (as one from the wire would be)."""

        def look() -> None:
            done = conn.rx.acked >= end
            if done or conn.running:
                answered = done or conn.rx.pure_acks > pure_acks
                self.check("CH-166", answered, "a forwarded segment was processed, but never acknowledged")

        return look

    def _handed_back(self, face: Face, conn: Connection, request: Request, seg: WireSegment | None) -> None:
        ident = request.list.ident
        if conn.aborted is not None and (conn.leaving is None or conn.aborted < conn.leaving):
            uploading = conn.asked_for_upload or face.upload_all
            self.check("CH-167", uploading, f"list {ident} of an aborted connection is handed back for an upload")
        elif not face.uploading(conn):
            self.after(PROMPT, lambda: self._had_reason(face, conn, ident))
        if seg is None or not seg.length or not conn.on_wire:
            return
        start = conn.rx.place(seg.sequence)
        end = start + seg.length
        only_here = conn.rx.wire.contiguous
        others = [other for other in conn.outstanding("forward") if other is not request]
        spans = [(conn.rx.place(s.sequence), s.length) for o in others if (s := forwarded_segment(o.list.data))]
        covered = [*self._processed.get(conn, ()), *((at, at + length) for at, length in spans)]
        if start <= only_here < min(end, conn.rx.acked) and not any(low <= only_here < high for low, high in covered):
            self.check("CH-167", False, f"list {ident} is handed back, though its bytes were acknowledged")

    def _had_reason(self, face: Face, conn: Connection, ident: int) -> None:
        reason = face.uploading(conn) or conn.closed
        self.check("CH-167", reason, f"list {ident} is handed back for an upload that never came")

    def on_state_end(self, face: Face, enter: Enter, call: StateCall) -> None:
        if call.function != ndis.TERMINATE or face.layer != 0:
            return
        for conn in call.connections:
            left = [request.list.ident for request in conn.outstanding("forward")]
            if left:
                self.breach("CH-169", f"lists {left} did not come back before the terminate completed")
            self._processed.pop(conn, None)


def _coming(face: Face) -> list[Connection]:
    calls = [call for call in face.calls.values() if call.function == ndis.INITIATE]
    return [conn for call in calls for conn in call.connections if conn.phase is Phase.COMING]
