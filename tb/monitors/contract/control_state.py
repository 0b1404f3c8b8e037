"""Section 9.4: what a query tells, and what updates of a connection's cached state do (CH-074 to 076, 079, 084 to 087).

A snapshot of a query is of some tick between the call and its completion. Limits that follow from frames are bounds;
ticks have a tolerance of `_SLACK` at either end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_items import GRACE, PROMPT, Connection, Item, Phase, Request, StateCall
from tb.monitors.contract.face_monitor import FaceMonitor
from tb.monitors.contract.stream_books import Wire, number_of
from tb.monitors.contract.trace import Enter, State
from tb.monitors.wire_headers import ACK, FIN, RST, WireSegment

_SLACK: Final = 3
_INITIAL_RTO: Final = 1000
"""Ticks: the timer of a head that the host sent was armed with this at least."""
_MOST_BACKOFF: Final = 16
_KEPT: Final = 512
"""Data segments whose time is remembered."""
_NAGLING: Final = 0x02
_LASTING: Final = ndis.KEEP_ALIVE_ENABLED | _NAGLING
"""Cached flags that are state; the others call for something once."""
_AGEING: Final = frozenset({"host_reachability_delta"})
"""Cached variables that grow by themselves."""
_MOST: Final = 0xFFFFFFFF


@dataclass(slots=True)
class _Window:
    """An update of InitialRcvWnd: since when, from which value to which, and how much had to be undelivered."""

    tick: int
    before: int
    after: int
    edge: int
    """Right edge advertised before."""
    advertised: bool = False


class StateMonitor(FaceMonitor):
    """Watches snapshots of state, and the one-time flags of updates."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-074": "a query tells const state as handed over, cached as last updated, delegated as the wire shows it",
        "CH-075": "a query tells both backlog sizes, always 0xFFFFFFFF or never",
        "CH-076": "ReceiveBacklogSize is what came in order and the client has not got",
        "CH-079": "a retransmit or keep-alive timer that does not run is told as 0xFFFFFFFF",
        "CH-084": "UPDATE_RCV_WND with a larger InitialRcvWnd: advertised at once; smaller: no further than it says",
        "CH-085": "MAX_RT_RESTART sets TotalRT back to 0",
        "CH-086": "KEEP_ALIVE_RESTART sets the keep-alive timer back",
        "CH-087": "without KEEP_ALIVE_ENABLED no probes, without NAGLING_ENABLED no waiting for acknowledgments",
    }

    def __init__(self) -> None:
        super().__init__()
        self._backlogs: dict[tuple[str, str], bool] = {}
        """Adapter, variable: is the feature supported?"""
        self._asked: dict[tuple[int, int], tuple[int, int, int]] = {}
        """Order of a query, node: bytes delivered, acknowledged and sent when it was called."""
        self._windows: dict[Connection, _Window] = {}
        self._edges: dict[Connection, int] = {}
        """Right edge advertised when an update of the window was called."""
        self._total_rt: dict[Connection, int] = {}
        """Tick from which expired RTOs may count behind an update with MAX_RT_RESTART: one that runs counts whole."""
        self._flight: dict[Connection, deque[tuple[int, int, int]]] = {}
        """Data that went out: (position, position behind it, tick)."""
        self._restarts: dict[Connection, int] = {}
        """The same for KEEP_ALIVE_RESTART."""
        self._quiet: dict[Connection, int] = {}
        """Tick at which keep-alive was switched off."""
        self._hasty: set[Connection] = set()
        """Connections of which Nagle's algorithm was switched off."""

    # --- snapshots -----------------------------------------------------------------------------------------------

    def on_state_call(self, face: Face, enter: Enter, call: StateCall) -> None:
        if face.layer == 0 and call.function == ndis.UPDATE:
            self._update_begins(call)
        elif face.layer == 0 and call.function == ndis.QUERY:
            for ident, item in call.items.items():
                if isinstance(item, Connection):
                    self._asked[call.order, ident] = (item.rx.delivered, item.rx.acked, item.tx.sent_max)

    def on_state_end(self, face: Face, enter: Enter, call: StateCall) -> None:
        if face.layer != 0 or enter.tree is None:
            return
        for ident, item in call.items.items():
            node = enter.tree.nodes.get(ident)
            asked = self._asked.pop((call.order, ident), None)
            if node is None or node.status != ndis.SUCCESS:
                continue
            if call.function == ndis.QUERY:
                self._handed_over(item, node.const, node.cached, call.tick)
            told = call.function in (ndis.QUERY, ndis.TERMINATE) and isinstance(item, Connection)
            if not told or node.delegated is None or not isinstance(item, Connection):
                continue
            if call.function == ndis.QUERY and asked is not None:
                self._delegated(item, node.delegated, asked)
                self._backlog(face, item, node.delegated, asked[0])
            if item.aborted is None and item.abortive is None:
                self._timers(item, node.delegated)
                self._restarted(item, node.delegated)

    def _handed_over(self, item: Item, const: State | None, cached: State | None, since: int) -> None:
        wrong = [name for name, value in item.const.items() if const is not None and const.get(name) != value]
        if const is not None:
            self.check("CH-074", not wrong, f"const {wrong} differ from the hand-over")
        if cached is None:
            return
        # an update may have completed between the call and the snapshot
        wrong = [
            name
            for name in item.cached
            if name not in _AGEING and _lasting(name, cached.get(name)) not in self._cached(item, name, since)
        ]
        self.check("CH-074", not wrong, f"cached {wrong} differ from the last update")

    def _cached(self, item: Item, name: str, since: int) -> set[object]:
        return {_lasting(name, value) for value in item.accepted(name, since + GRACE)}

    def _delegated(self, conn: Connection, told: State, asked: tuple[int, int, int]) -> None:
        if not conn.on_wire or conn.aborted is not None:
            return
        tx, rx = conn.tx, conn.rx
        una, most = tx.place(number_of(told, "snd_una")), tx.place(number_of(told, "snd_max"))
        next_in = rx.place(number_of(told, "rcv_nxt"))
        self.check("CH-074", tx.surely_acked <= una <= tx.acked, f"snd_una is {una}, the peer acknowledged {tx.acked}")
        fits = min(asked[2], tx.total + 1) <= most <= tx.total + (tx.fin is not None)
        self.check("CH-074", fits or most == asked[2], f"snd_max is {most}, sent were {asked[2]} of {tx.total}")
        fits = asked[1] <= next_in <= rx.all.contiguous
        self.check("CH-074", fits, f"rcv_nxt is {next_in}, acknowledged {asked[1]}, came in {rx.all.contiguous}")

    def _backlog(self, face: Face, conn: Connection, told: State, delivered: int) -> None:
        for name in ("send_backlog_size", "receive_backlog_size"):
            size = told.get(name)
            number = isinstance(size, int) and 0 <= size <= _MOST
            supported = size != _MOST
            same = self._backlogs.setdefault((face.adapter, name), supported) == supported
            self.check("CH-075", number and same, f"{name} is {size!r}")
        size = told.get("receive_backlog_size")
        state = number_of(told, "state", ndis.ESTABLISHED)
        if not isinstance(size, int) or size == _MOST or state == ndis.CLOSED:
            return
        first = number_of(conn.delegated, "state", ndis.ESTABLISHED)
        fin = (state in ndis.AFTER_PEER_FIN) - (first in ndis.AFTER_PEER_FIN)
        whole = conn.rx.place(number_of(told, "rcv_nxt")) + conn.rx.inherited - fin
        # bytes placed in posted receives may be counted or not
        placed = sum(request.list.data_length for request in conn.outstanding("receive"))
        least, most = max(0, whole - conn.rx.delivered - placed), whole - delivered
        self.check("CH-076", least <= size <= most, f"ReceiveBacklogSize is {size}, should be {least}..{most}")

    def _timers(self, conn: Connection, told: State) -> None:
        steady = number_of(told, "state", ndis.CLOSED) in (ndis.ESTABLISHED, ndis.CLOSE_WAIT)
        all_acked = told.get("snd_una") == told.get("snd_max") and number_of(told, "snd_wnd") > 0
        idle = all_acked and conn.tx.place(number_of(told, "snd_una")) >= conn.tx.total
        if steady and idle:
            delta = told.get("retransmit_timeout_delta")
            self.check("CH-079", delta == ndis.NOT_RUNNING, f"nothing to send again, but retransmit delta is {delta!r}")
        enabled = any(int(flags or 0) & ndis.KEEP_ALIVE_ENABLED for flags in conn.accepted("flags", self._now.tick))
        inherited = number_of(conn.delegated, "keep_alive_timeout_delta", ndis.NOT_RUNNING) != ndis.NOT_RUNNING
        challenged = conn.challenged
        if steady and not enabled and not inherited and not challenged:
            delta = told.get("keep_alive_timeout_delta")
            self.check("CH-079", delta == ndis.NOT_RUNNING, f"keep-alive is off, but its delta is {delta!r}")

    def _restarted(self, conn: Connection, told: State) -> None:
        since = self._total_rt.get(conn)
        if since is not None:
            total, passed = number_of(told, "total_rt"), self._now.tick - since
            self.check("CH-085", total <= passed + _SLACK, f"TotalRT is {total}, {passed} ticks after MAX_RT_RESTART")
        since = self._restarts.get(conn)
        if since is None or number_of(conn.cached, "ka_timeout") == 0:
            return
        passed, timeout = self._now.tick - since, number_of(conn.cached, "ka_timeout")
        delta = number_of(told, "keep_alive_timeout_delta", ndis.NOT_RUNNING)
        if delta == ndis.NOT_RUNNING or passed >= timeout - _SLACK:
            return
        probes = number_of(told, "keep_alive_probe_count")
        fits = delta >= timeout - passed - _SLACK and probes == 0
        text = f"keep-alive expires in {delta} ticks ({probes} probes), {passed} ticks after its restart"
        self.check("CH-086", fits, text)

    # --- updates -------------------------------------------------------------------------------------------------

    def _update_begins(self, call: StateCall) -> None:
        """An earlier update of the window is judged no further: the new one may show before it completes."""
        for ident, item in call.items.items():
            flags = number_of(call.tree.nodes[ident].cached or {}, "flags")
            if isinstance(item, Connection) and flags & ndis.UPDATE_RCV_WND:
                self._windows.pop(item, None)
                self._edges[item] = item.rx.edge

    def on_state_ended(self, face: Face, enter: Enter, call: StateCall) -> None:
        if face.layer != 0 or enter.tree is None:
            return
        for ident, item in call.items.items():
            node = enter.tree.nodes.get(ident)
            if not isinstance(item, Connection):
                continue
            if call.function == ndis.TERMINATE:
                for kept in (self._windows, self._edges, self._total_rt, self._flight, self._restarts, self._quiet):
                    kept.pop(item, None)
                self._hasty.discard(item)
            elif call.function == ndis.UPDATE and node is not None and node.status == ndis.SUCCESS:
                cached = call.tree.nodes[ident].cached
                if cached is not None and item.replaced:
                    self._updated(item, item.replaced[-1][0], cached, call.tick)

    def _running_since(self, conn: Connection, tick: int) -> int:
        """No later than this the retransmission timer that runs at ``tick`` began; ``tick`` if none does.

        TotalRT is the sum of the RTOs that expired (D-2), so the one that runs when it is zeroed counts whole.
        """
        tx = conn.tx
        if tx.acked >= tx.sent_max:
            return tick
        sent = [at for start, end, at in self._flight.get(conn, ()) if start <= tx.acked < end and at <= tick]
        if sent:
            return sent[max(0, len(sent) - 2)]  # a fast retransmission does not begin the timer anew
        estimate = (number_of(conn.delegated, "s_rtt") >> 3) + number_of(conn.delegated, "rtt_var")
        return tick - (max(_INITIAL_RTO, estimate) << min(number_of(conn.delegated, "retransmit_count"), _MOST_BACKOFF))

    def _updated(self, conn: Connection, before: State, cached: State, tick: int) -> None:
        was, flags = number_of(before, "flags"), number_of(cached, "flags")
        if flags & ndis.MAX_RT_RESTART:
            self._total_rt[conn] = self._running_since(conn, tick)
        self._restarts.pop(conn, None)
        if flags & ndis.KEEP_ALIVE_RESTART and flags & ndis.KEEP_ALIVE_ENABLED:
            self._restarts[conn] = tick
        if was & ~flags & ndis.KEEP_ALIVE_ENABLED:
            self._quiet[conn] = self._now.tick
            self.after(number_of(before, "ka_timeout") + GRACE, lambda: self._stayed_quiet(conn))
        elif flags & ndis.KEEP_ALIVE_ENABLED:
            self._quiet.pop(conn, None)
        if was & ~flags & _NAGLING:
            self._hasty.add(conn)
        elif flags & _NAGLING:
            self._hasty.discard(conn)
        old, new = number_of(before, "initial_rcv_wnd"), number_of(cached, "initial_rcv_wnd")
        if flags & ndis.UPDATE_RCV_WND and new != old:
            window = _Window(self._now.tick, old, new, self._edges.get(conn, conn.rx.edge))
            shown = conn.rx.edge > window.edge and conn.rx.edge - conn.rx.acked >= self._least_window(conn, window)
            window.advertised = shown
            window.edge = max(window.edge, conn.rx.edge)  # a frame between call and completion may be of before
            self._windows[conn] = window
            if new > old:
                self.after(PROMPT, lambda: self._was_advertised(conn))

    def _stayed_quiet(self, conn: Connection) -> None:
        if conn in self._quiet and conn.phase is Phase.LIVE:
            self.trigger("CH-087")

    def _undelivered(self, conn: Connection) -> int:
        return max(0, conn.rx.all.contiguous + conn.rx.inherited - conn.rx.delivered)

    def _least_window(self, conn: Connection, window: _Window) -> int:
        """The least window that ``window.after`` allows: less what may be undelivered, SWS avoidance and scaling."""
        shift = conn.rx.shift
        rounding = (1 << shift) - 1 + min(2 * number_of(conn.const, "remote_mss", 536), window.after // 2)
        return min(window.after, 0xFFFF << shift) - self._undelivered(conn) - rounding

    def _was_advertised(self, conn: Connection) -> None:
        window = self._windows.get(conn)
        if window is None or not conn.running or not conn.on_wire or conn.graceful is not None:
            return
        grows = self._least_window(conn, window) > conn.rx.edge - conn.rx.acked
        if not grows and not window.advertised:
            return
        self.check("CH-084", window.advertised, f"InitialRcvWnd is {window.after}, advertised {conn.rx.edge}")

    # --- frames ----------------------------------------------------------------------------------------------------

    def on_sent(self, face: Face, wire: Wire, conn: Connection | None) -> None:
        seg = wire.seg
        if conn is None or seg is None or seg.flags & RST:
            return
        if seg.payload_length:
            start = conn.tx.place(seg.sequence)
            flight = self._flight.setdefault(conn, deque(maxlen=_KEPT))
            flight.append((start, start + seg.payload_length, wire.tick))
        if seg.flags & ACK and conn in self._windows:
            self._advertises(conn, self._windows[conn], seg, wire.tick)
        if self._is_probe(conn, seg):
            self._probes(conn, wire.tick)

    def _advertises(self, conn: Connection, window: _Window, seg: WireSegment, tick: int) -> None:
        if tick <= window.tick + GRACE:
            window.edge = max(window.edge, conn.rx.edge_of(seg))
        elif window.after > window.before:
            shown = seg.window << conn.rx.shift
            least = self._least_window(conn, window)
            settled = tick > conn.rx.delivered_at + GRACE
            if settled and least > window.before - self._undelivered(conn):
                self.check("CH-084", shown >= least, f"window {shown} after InitialRcvWnd {window.after}")
        else:
            place, edge = conn.rx.place(seg.acknowledgment), conn.rx.edge_of(seg)
            most = max(window.edge, place + window.after)
            rounding = (1 << conn.rx.shift) - 1
            fits = conn.rx.edge - rounding <= edge <= most
            self.check("CH-084", fits, f"right edge {edge} after InitialRcvWnd {window.after}, was {window.edge}")
        window.advertised |= (seg.window << conn.rx.shift) >= self._least_window(conn, window)

    def _is_probe(self, conn: Connection, seg: WireSegment) -> bool:
        start = conn.tx.place(seg.sequence)
        all_acked = conn.tx.acked >= conn.tx.sent_max
        return start == conn.tx.sent_max - 1 and all_acked and seg.payload_length <= 1 and not seg.flags & FIN

    def _probes(self, conn: Connection, tick: int) -> None:
        challenged = conn.challenged
        if conn in self._quiet and not challenged:
            late = tick - self._quiet[conn]
            self.check("CH-087", late <= GRACE, f"a keep-alive probe {late} ticks after it was switched off")
        since = self._restarts.get(conn)
        timeout = number_of(conn.cached, "ka_timeout")
        if since is not None and not challenged and timeout:
            passed = tick - since
            fits = passed >= timeout - _SLACK
            self.check("CH-086", fits, f"a keep-alive probe {passed} ticks after its restart, KaTimeout is {timeout}")
            del self._restarts[conn]

    def on_request(self, face: Face, enter: Enter, conn: Connection | None, requests: list[Request]) -> None:
        if enter.function == ndis.SEND and face.layer == 0 and conn in self._hasty and conn is not None:
            for request in requests:
                if self._may_go(conn, request):
                    self._watch(conn, request)

    def _watch(self, conn: Connection, request: Request) -> None:
        self.after(PROMPT, lambda: self._went(conn, request))

    def _may_go(self, conn: Connection, request: Request) -> bool:
        """Unacknowledged data is there, and all of it together is one segment at most, inside the peer's window."""
        tx = conn.tx
        small = request.end - tx.surely_acked <= number_of(conn.const, "remote_mss", 536)
        behind = tx.acked < request.start and tx.sent_max >= request.start > tx.surely_acked
        return small and behind and request.end <= tx.edge and not tx.resent and conn.running

    def _went(self, conn: Connection, request: Request) -> None:
        waits = conn.tx.sent_max < request.end and conn in self._hasty and self._may_go(conn, request)
        if waits:
            self.breach("CH-087", f"send {request.list.ident} waits for an acknowledgment without NAGLING_ENABLED")
        elif conn.tx.sent_max >= request.end:
            self.trigger("CH-087")


def _lasting(name: str, value: object) -> object:
    """A cached value without the flags that are asked for once."""
    return value & _LASTING if name == "flags" and isinstance(value, int) else value
