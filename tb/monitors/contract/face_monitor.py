"""A monitor that keeps the books of every face and tells its subclass what happened, in the words of the contract."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_items import Connection, Item, Phase, Request, StateCall
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.stream_books import Wire, take_apart
from tb.monitors.contract.trace import Counters, Enter, Frame, Leave, List, Record, Setting, Value

Returned = list[tuple[List, Request | None]]
"""Lists of a completion call with the requests they end; None for a list that is not outstanding as that kind."""


class FaceMonitor(Monitor):
    """Books and hooks. A hook sees the books as its docstring says; what a subclass does not define does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.settings: dict[tuple[str, str], Value] = {}
        self._faces: dict[tuple[str, int], Face] = {}
        self._top: dict[str, int] = {}
        self._due: list[tuple[int, int, bool, Callable[[], None]]] = []
        self._ids = count()
        self._clock = 0

    # --- hooks -----------------------------------------------------------------------------------------------

    def on_request(self, face: Face, enter: Enter, conn: Connection | None, requests: list[Request]) -> None:
        """An I/O call down began; its lists are in the books."""

    def on_return(self, face: Face, enter: Enter, leave: Leave) -> None:
        """A call down or up returned."""

    def on_completion(self, face: Face, enter: Enter, kind: str, returned: Returned) -> None:
        """An I/O completion began; its requests are still outstanding in the books."""

    def on_state_call(self, face: Face, enter: Enter, call: StateCall) -> None:
        """A state-manipulation call down began; the books do not yet show it in progress."""

    def on_state_end(self, face: Face, enter: Enter, call: StateCall) -> None:
        """Its completion began; the books still show it in progress."""

    def on_state_ended(self, face: Face, enter: Enter, call: StateCall) -> None:
        """Its completion began; the books show what it changed."""

    def on_clash(self, face: Face, item: Item) -> None:
        """Another object was given the context of an offloaded one."""

    def on_event(self, face: Face, enter: Enter, conn: Connection) -> None:
        """A TCP event or receive indication began; the books show it."""

    def on_sent(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        """The target sent a frame of its own; the streams do not yet show it."""

    def on_received(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        """A frame came in; the streams show it."""

    def on_counters(self, face: Face, record: Counters) -> None:
        """Counters of the target were read."""

    # --- helpers ---------------------------------------------------------------------------------------------

    def is_top(self, face: Face) -> bool:
        """The host itself calls at this face."""
        return face.layer >= self._top.get(face.adapter, 0)

    def faces(self) -> list[Face]:
        """All faces."""
        return list(self._faces.values())

    def after(self, ticks: int, look: Callable[[], None]) -> None:
        """Look at something when more than ``ticks`` ticks have passed; it is at the device if what comes now is."""
        heappush(self._due, (self._clock + ticks, next(self._ids), self.from_device, look))

    # --- taking records --------------------------------------------------------------------------------------

    def observe(self, record: Record) -> None:
        from_device = self.from_device
        while self._due and self._due[0][0] < record.tick:
            self._clock, _, self.from_device, look = heappop(self._due)
            look()
        self._clock, self.from_device = record.tick, from_device
        if isinstance(record, Setting):
            self.settings[record.adapter, record.name] = record.value
            return
        face = self._faces.get((record.adapter, record.layer))
        if face is None:
            face = self._faces[record.adapter, record.layer] = Face(record.adapter, record.layer)
            self._top[record.adapter] = max(record.layer, self._top.get(record.adapter, 0))
        if isinstance(record, Enter):
            face.open[record.call] = record
            self._enter(face, record)
        elif isinstance(record, Leave):
            self._leave(face, record)
        elif isinstance(record, Frame):
            self._frame(face, record)
        elif isinstance(record, Counters):
            self.on_counters(face, record)

    def _enter(self, face: Face, record: Enter) -> None:
        function = record.function
        if function in ndis.REQUESTS:
            conn, requests = face.submit(record, ndis.REQUESTS[function])
            self.on_request(face, record, conn, requests)
        elif function in ndis.COMPLETIONS:
            self._complete(face, record, ndis.COMPLETIONS[function])
        elif function in ndis.STATE_CALLS and record.tree is not None:
            call = face.call_state(record, record.tree)
            self.on_state_call(face, record, call)
            face.begin(call)
        elif function in ndis.STATE_COMPLETIONS and record.tree is not None:
            self._state_end(face, record)
        elif function in (ndis.EVENT, ndis.INDICATE):
            conn = face.raise_event(record)
            if conn is not None:
                self.on_event(face, record, conn)
        elif function == ndis.STATUS:
            face.upload_all = record.status in (ndis.PAUSE, ndis.UPLOAD_ALL) or (
                face.upload_all and record.status != ndis.RESUME
            )
        elif function == ndis.OID and record.oid == ndis.OID_PARAMETERS and record.flags & 1:
            face.parameters = dict(record.buffer)
        elif function == "MiniportHaltEx":
            self._faces[face.adapter, face.layer] = halted = Face(face.adapter, face.layer)
            halted.open = face.open

    def _complete(self, face: Face, record: Enter, kind: str) -> None:
        returned: Returned = []
        for nbl in record.lists:
            request = face.requests.get(nbl.ident)
            returned.append((nbl, request if request is not None and request.kind == kind else None))
        self.on_completion(face, record, kind, returned)
        for nbl, request in returned:
            if request is None:
                continue
            face.give_back(request)
            conn = request.conn
            if conn is None:
                continue
            if kind == "receive":
                conn.rx.deliver(nbl.transferred or 0, record.tick)
            elif kind == "send" and nbl.status == ndis.SUCCESS:
                conn.tx.surely_acked = max(conn.tx.surely_acked, request.end)
            elif kind == "disconnect":
                conn.disconnected = True

    def _state_end(self, face: Face, record: Enter) -> None:
        tree = record.tree
        call = None if tree is None else face.calls.get(tree.root)
        if tree is None or call is None or ndis.STATE_CALLS[call.function] != record.function:
            return
        self.on_state_end(face, record, call)
        del face.calls[tree.root]
        for item in face.end_state(call, record, tree):
            self.on_clash(face, item)
            item.phase = Phase.GONE
        self.on_state_ended(face, record, call)

    def _leave(self, face: Face, record: Leave) -> None:
        entered = face.open.pop(record.call, None)
        if entered is None:
            return
        if entered.function in (ndis.EVENT, ndis.INDICATE):
            face.answered(entered, record)
        self.on_return(face, entered, record)

    def _frame(self, face: Face, record: Frame) -> None:
        if record.sent and record.raw:
            return
        wire = take_apart(record)
        conn = face.of_frame(wire, sent=record.sent)
        if record.sent:
            self.on_sent(face, wire, conn)
            face.went_out(wire, conn)
        else:
            face.heard(wire, conn)
            self.on_received(face, wire, conn)
