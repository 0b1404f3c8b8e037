"""The books of every face, kept once for all monitors that look at them, each of which is told what happened."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_items import Phase, Request
from tb.monitors.contract.monitor import Desk, Hook, Monitor, Origin, hooks_of
from tb.monitors.contract.stream_books import take_apart
from tb.monitors.contract.trace import Counters, Enter, Frame, Leave, List, Record, Setting, Value

Returned = list[tuple[List, Request | None]]
"""Lists of a completion call with the requests they end; None for a list that is not outstanding as that kind."""


class FaceDesk(Desk):
    """Calls the hooks of `FaceMonitor` that its monitors define."""

    def __init__(self) -> None:
        super().__init__()
        self.on_request: list[Hook] = []
        self.on_return: list[Hook] = []
        self.on_completion: list[Hook] = []
        self.on_state_call: list[Hook] = []
        self.on_state_end: list[Hook] = []
        self.on_state_ended: list[Hook] = []
        self.on_clash: list[Hook] = []
        self.on_event: list[Hook] = []
        self.on_sent: list[Hook] = []
        self.on_received: list[Hook] = []
        self.on_counters: list[Hook] = []
        self.settings: dict[tuple[str, str], Value] = {}
        self._faces: dict[tuple[str, int], Face] = {}
        self._top: dict[str, int] = {}
        self._due: list[tuple[int, int, Origin, Callable[[], None]]] = []
        self._ids = count()
        self.clock = 0
        """The tick at which a look is taken."""

    def join(self, monitor: Monitor) -> None:
        """A monitor is told of everything from now on."""
        for name, hook in hooks_of(monitor).items():
            getattr(self, name).append(hook)

    def is_top(self, face: Face) -> bool:
        """The host itself calls at this face."""
        return face.layer >= self._top.get(face.adapter, 0)

    def faces(self) -> list[Face]:
        """All faces."""
        return list(self._faces.values())

    def after(self, ticks: int, look: Callable[[], None]) -> None:
        """Look at something when more than ``ticks`` ticks have passed; it comes from where this comes from."""
        heappush(self._due, (self.clock + ticks, next(self._ids), self.origin, look))

    def judge_due(self) -> None:
        """The run is over: judge what was due by now."""
        end, origin = self.clock, self.origin
        while self._due and self._due[0][0] <= end:
            self.clock, _, self.origin, look = heappop(self._due)
            look()
        self.clock, self.origin = end, origin

    # --- taking records --------------------------------------------------------------------------------------

    def take(self, record: Record) -> None:
        origin = self.origin
        while self._due and self._due[0][0] < record.tick:
            self.clock, _, self.origin, look = heappop(self._due)
            look()
        self.clock, self.origin = record.tick, origin
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
            for hook in self.on_counters:
                hook(face, record)

    def _enter(self, face: Face, record: Enter) -> None:
        function = record.function
        if function in ndis.REQUESTS:
            conn, requests = face.submit(record, ndis.REQUESTS[function])
            for hook in self.on_request:
                hook(face, record, conn, requests)
        elif function in ndis.COMPLETIONS:
            self._complete(face, record, ndis.COMPLETIONS[function])
        elif function in ndis.STATE_CALLS and record.tree is not None:
            call = face.call_state(record, record.tree)
            for hook in self.on_state_call:
                hook(face, record, call)
            face.begin(call)
        elif function in ndis.STATE_COMPLETIONS and record.tree is not None:
            self._state_end(face, record)
        elif function in (ndis.EVENT, ndis.INDICATE):
            conn = face.raise_event(record)
            if conn is not None:
                for hook in self.on_event:
                    hook(face, record, conn)
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
            if request is not None and request.conn is not None:
                request.conn.settle(record.tick)
            returned.append((nbl, request if request is not None and request.kind == kind else None))
        for hook in self.on_completion:
            hook(face, record, kind, returned)
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
        for hook in self.on_state_end:
            hook(face, record, call)
        del face.calls[tree.root]
        for item in face.end_state(call, record, tree):
            for hook in self.on_clash:
                hook(face, item)
            item.phase = Phase.GONE
        for hook in self.on_state_ended:
            hook(face, record, call)

    def _leave(self, face: Face, record: Leave) -> None:
        entered = face.open.pop(record.call, None)
        if entered is None:
            return
        if entered.function in (ndis.EVENT, ndis.INDICATE):
            face.answered(entered, record)
        for hook in self.on_return:
            hook(face, entered, record)

    def _frame(self, face: Face, record: Frame) -> None:
        if record.sent and record.raw:
            return
        wire = take_apart(record)
        conn = face.of_frame(wire, sent=record.sent)
        if record.sent:
            for hook in self.on_sent:
                hook(face, wire, conn)
            face.went_out(wire, conn)
        else:
            face.heard(wire, conn)
            for hook in self.on_received:
                hook(face, wire, conn)
