"""Section 9.6, calls: receive requests, their completions, receive indications and their return (CH-123..158)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.receive_books import (
    CLOSED,
    INVALID_STATE,
    NOT_ACCEPTED,
    PARTIALLY_ACCEPTED,
    PENDING,
    REQUEST_ABORTED,
    SUCCESS,
    UPLOAD_IN_PROGRESS,
    Connection,
    Item,
    Shared,
    is_mandatory,
    number,
)
from tb.monitors.contract.receive_segments import unwrap
from tb.monitors.contract.receive_watch import BookedMonitor
from tb.monitors.contract.trace import Enter, Leave, List, Node, Record

_RECEIVE: Final = "MiniportTcpOffloadReceive"
_RECEIVE_COMPLETE: Final = "NdisTcpOffloadReceiveComplete"
_INDICATION: Final = "NdisTcpOffloadReceiveHandler"
_RETURN: Final = "MiniportTcpOffloadReceiveReturn"

Face = tuple[str, int]


class ReceiveCalls(BookedMonitor):
    """Forms, statuses, order and nesting of the receive calls."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-123": "a receive call returns NDIS_STATUS_PENDING",
        "CH-124": "receive requests of a connection come back in the order of their posting",
        "CH-125": "every receive request comes back exactly once, before its connection's terminate completes",
        "CH-136": "a request comes back with a byte count, and its buffer is advanced by just that count",
        "CH-137": "INVALID_STATE is for requests posted after TcpIndicateDisconnect, and for empty ones at a FIN",
        "CH-138": "a request that an upload cuts short comes back UPLOAD_IN_PROGRESS with the bytes really placed",
        "CH-139": "receive completions and receive indications of one connection do not overlap",
        "CH-140": "a request posted inside a receive completion does not lead to a completion within it",
        "CH-141": "the host does not post receives of one connection from two calls at a time",
        "CH-147": "an indication passes one NET_BUFFER_LIST with one NET_BUFFER",
        "CH-148": "the Status parameter of an indication is NDIS_STATUS_SUCCESS",
        "CH-149": "the host that accepts an indication consumes all of it and returns the NBL once",
        "CH-150": "the host that refuses says how much it took, less than all, and does not return the NBL",
        "CH-156": "ReceiveReturn returns NDIS_STATUS_SUCCESS",
        "CH-157": "ReceiveReturn takes NBLs of several indications and connections, terminated ones included",
        "CH-158": "the adapter is not halted while the host holds indicated NBLs",
    }
    HOST_RULES: ClassVar[frozenset[str]] = frozenset(("CH-141", "CH-149", "CH-150"))

    def __init__(self) -> None:
        super().__init__()
        self._with_host: dict[Face, dict[int, Connection | None]] = {}
        self._refused: dict[Face, set[int]] = {}
        self._mixed: dict[int, bool] = {}
        self._posting: dict[tuple[str, int, int | None], dict[int, int]] = {}

    # --- calls -----------------------------------------------------------------------------------------

    def called(self, enter: Enter) -> None:
        match enter.function:
            case "MiniportTcpOffloadReceive":
                self._receive_call(enter)
            case "NdisTcpOffloadReceiveComplete":
                items = (self.books(enter).items.get(one.ident) for one in enter.lists)
                for conn in {id(item.connection): item.connection for item in items if item is not None}.values():
                    self._serial(conn, nested=True)
            case "NdisTcpOffloadReceiveHandler":
                self._indication_form(enter)
            case "MiniportTcpOffloadReceiveReturn":
                self._return_call(enter)

    def returned(self, enter: Enter, leave: Leave) -> None:
        if enter.function == _RECEIVE:
            self.check("CH-123", leave.result == PENDING, f"MiniportTcpOffloadReceive returned {leave.result!r}")
            self._posting.get((enter.adapter, enter.layer, enter.target), {}).pop(enter.call, None)
        elif enter.function == _RETURN:
            mixed = self._mixed.pop(enter.call, False)
            if mixed:
                self.check("CH-157", leave.result == SUCCESS, f"a mixed chain was answered {leave.result!r}")
            self.check("CH-156", leave.result == SUCCESS, f"ReceiveReturn returned {leave.result!r}")
        elif enter.function == "MiniportHaltEx":
            held = self._with_host.get((enter.adapter, enter.layer), {})
            self.check("CH-158", not held, f"halted while the host holds {len(held)} indicated NBLs")

    def _receive_call(self, enter: Enter) -> None:
        posting = self._posting.setdefault((enter.adapter, enter.layer, enter.target), {})
        conn = self.books(enter).find(enter.target)
        within = max(conn.completions.values(), default=0) if conn is not None else 0
        busy = [order for order in posting.values() if order > within]
        self.check("CH-141", not busy, f"two receive calls in progress on {enter.target}")
        posting[enter.call] = enter.order

    def _serial(self, conn: Connection, *, nested: bool) -> None:
        if nested and conn.completions:
            again = [item for item in conn.requests if item.in_call]
            if again:
                self.breach("CH-140", f"a completion within a completion, after {len(again)} requests posted inside it")
        text = f"{len(conn.completions)} completions and {len(conn.indications)} indications are in progress"
        self.check("CH-139", not conn.in_call, text)

    def _indication_form(self, enter: Enter) -> None:
        conn = self.books(enter).named(enter.target)
        if conn is not None:
            self._serial(conn, nested=False)
        held = self._with_host.get(self._face(enter), {})
        owned = [one.ident for one in enter.lists if one.ident in held]
        self.check("CH-147", not owned, f"NBLs {owned} are indicated, the host has not returned them (2.9)")
        single = len(enter.lists) == 1 and len(enter.lists[0].buffers) == 1
        self.check("CH-147", single, f"{len(enter.lists)} NBLs with {[len(one.buffers) for one in enter.lists]} NBs")
        self.check("CH-148", enter.status == SUCCESS, f"indicated with Status {enter.status!r}")

    # --- requests --------------------------------------------------------------------------------------

    def posted(self, item: Item) -> None:
        if item.kind == "receive" and item.connection.completions:
            self.trigger("CH-140")

    def completed(self, kind: str, item: Item | None, done: List, head: bool) -> None:
        if kind != "receive":
            return
        known = item is not None and item.kind == "receive"
        self.check("CH-125", known, f"NBL {done.ident} came back but was not outstanding")
        if item is None or not known:
            return
        self.check("CH-124", head, f"NBL {done.ident} came back before older requests")
        self._count(item, done)
        self._status(item.connection, item, done)

    def _count(self, item: Item, done: List) -> None:
        if done.transferred is None:
            self.breach("CH-136", f"NBL {done.ident}: TcpOffloadBytesTransferred was not written")
            return
        for before, after in zip(item.list.buffers, done.buffers, strict=False):
            moved = (after.data_offset - before.data_offset, before.data_length - after.data_length)
            want = (done.transferred, done.transferred)
            self.check("CH-136", moved == want, f"NBL {done.ident}: {done.transferred} bytes, advanced by {moved}")

    def _status(self, conn: Connection, item: Item, done: List) -> None:
        status, count = done.status, done.transferred or 0
        upload = conn.terminating is not None or any(is_mandatory(reason) for _, reason in conn.retrieves)
        upload = upload or self.uploading
        aborted = conn.abort_raised is not None or conn.aborting is not None or conn.reset_in is not None
        text = f"NBL {done.ident} came back with {status!r} and {count} bytes"
        if item.after_disconnect:
            legal = status == INVALID_STATE or (status == SUCCESS and item.size == 0)
            legal = legal or (status == UPLOAD_IN_PROGRESS and upload) or (status == REQUEST_ABORTED and aborted)
            self.check("CH-137", legal and count == 0, f"{text}, posted after TcpIndicateDisconnect")
        elif status == INVALID_STATE:
            self.check("CH-137", conn.fin_near and count == 0, f"{text} without a disconnect")
        if status == UPLOAD_IN_PROGRESS:
            there = conn.arrived - conn.delivered
            self.check("CH-138", upload, f"{text}, but there is no upload")
            self.check("CH-138", count <= there, f"{text}, but only {there} had come in")
        elif conn.terminating is not None:
            legal = status in (SUCCESS, REQUEST_ABORTED) or (status == INVALID_STATE and conn.fin_near)
            self.check("CH-138", legal, f"{text} in a terminate")

    def reported(self, held: Connection | Shared, node: Node, asked: int, terminated: bool) -> None:
        if not terminated or not isinstance(held, Connection):
            return
        for nbl in node.buffered:
            self._with_host.setdefault(self._face(self._now), {})[nbl.ident] = held
        left = [item.list.ident for item in held.requests]
        self.check("CH-125", not left, f"requests {left} are outstanding at the end of the terminate")

    # --- indications -----------------------------------------------------------------------------------

    def indicated(self, conn: Connection, enter: Enter, leave: Leave, consumed: int) -> None:
        size = sum(one.data_length for one in enter.lists)
        took = leave.consumed or 0
        text = f"{took} of {size} bytes were consumed, answer {leave.result!r}"
        held = self._with_host.setdefault(self._face(enter), {})
        refused = self._refused.setdefault(self._face(enter), set())
        if leave.result == SUCCESS:
            self.check("CH-149", leave.consumed == size, text)
            held.update((one.ident, conn) for one in enter.lists)
            refused.difference_update(one.ident for one in enter.lists)
            return
        refused.update(one.ident for one in enter.lists)
        legal = (leave.result == NOT_ACCEPTED and took == 0) or (leave.result == PARTIALLY_ACCEPTED and 0 < took < size)
        self.check("CH-150", legal, text)

    def _return_call(self, enter: Enter) -> None:
        face = self._face(enter)
        held, refused = self._with_host.get(face, {}), self._refused.get(face, set())
        owners: set[int] = set()
        gone = False
        for one in enter.lists:
            if one.ident in held:
                conn = held.pop(one.ident)
                owners.add(id(conn))
                alive = conn is not None and conn.context is not None
                gone |= not alive or (conn is not None and self.books(enter).find(conn.context) is not conn)
                self.trigger("CH-149")
            elif one.ident in refused:
                self.breach("CH-150", f"NBL {one.ident} was refused and is returned")
            else:
                self.breach("CH-149", f"NBL {one.ident} is returned but is not with the host")
        self._mixed[enter.call] = gone or len(enter.lists) > 1 or len(owners) > 1

    @staticmethod
    def _face(record: Record) -> Face:
        return record.adapter, record.layer


def uploaded_end(conn: Connection, node: Node) -> int | None:
    """RcvNxt of a successful terminate as a position, the FIN not counted (G-43); None if it says nothing."""
    if node.delegated is None or node.status != SUCCESS or "rcv_nxt" not in node.delegated:
        return None
    end = unwrap(number(node.delegated, "rcv_nxt"), conn.arrived)
    if not conn.fins.at(end - 1) or conn.fin is not None or conn.arrived < end:
        return end - conn.fins.at(end - 1)
    state = number(node.delegated, "state", CLOSED)  # a far end sent a FIN and text for the last number
    return None if state == CLOSED else end - (state in ndis.AFTER_PEER_FIN)
