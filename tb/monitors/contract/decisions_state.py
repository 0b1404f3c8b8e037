"""Decisions on what queries and terminates report: G-11, G-15, G-18, G-19, G-21, G-35 to G-38, G-40, G-43."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_books import Book, BooksMonitor
from tb.monitors.contract.connection_parts import Connection, signed, whole
from tb.monitors.contract.trace import Enter, Frame, Node, State, Tree
from tb.monitors.wire_headers import FIN, RST, SYN, URG, WireSegment

_SLACK: Final = 3
"""Ticks by which a timer may be read early or late."""
_SIXTEEN_BITS: Final = 0xFFFF


@dataclass(slots=True)
class _Timers:
    """Keepalive fields as they were reported last."""

    tick: int
    heard: int
    spoken: int
    probes: int
    delta: int


@dataclass(slots=True)
class _Update:
    """An update of keepalive variables."""

    tick: int
    flagged: bool
    probes: bool
    timeouts: tuple[int, int] | None
    before: _Timers


@dataclass(slots=True)
class _Asked:
    """How things stood when a query or terminate was asked for."""

    acked: int
    edge: int | None
    fin_sent: int | None
    heard: int
    spoken: int
    ended: bool
    """The host knew of the peer's FIN."""


class StateDecisions(BooksMonitor):
    """Delegated state and chains as reported, where the pages leave a choice."""

    RULES: ClassVar[Mapping[str, str]] = {
        "G-11": "SRtt and RttVar saturate at 16 bits; 0 is no sample, with the initial RTO until there is one",
        "G-15": "ProbeCount and keepalive time start anew on their update with either restart flag, and only then",
        "G-18": "the first data byte of the uploaded chain is SndUna; acknowledged lists are completed before",
        "G-19": "without SACK, too, data beyond a gap is dropped at the terminate",
        "G-21": "the FIN counts in SndNxt and SndMax, and one in flight at the hand-over keeps its number",
        "G-35": "a query is a snapshot: its variables fit each other and what was on the wire",
        "G-36": "after an abort, but for that of lost hardware, the state is Closed",
        "G-37": "delegated Flags and DWnd come back as they were handed over",
        "G-38": "a forwarded segment is processed without regard to checksum and VLAN",
        "G-40": "SndWnd and RcvWnd are true bytes, scaling applied",
        "G-43": "RcvNxt counts the peer's FIN, buffered data ends before it",
    }

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[tuple[int, Connection], _Asked] = {}
        """By the root of the call: queries of a connection may overlap."""
        self._alive: set[tuple[int, Connection]] = set()
        """Queries under way, by root, of connections that were not aborted when they were asked for."""
        self._spoken: dict[Connection, int] = {}
        self._timers: dict[Connection, _Timers] = {}
        self._updates: dict[Connection, _Update] = {}
        self._forwarded: dict[Connection, int] = {}
        """The place behind the last forwarded byte that must have been taken."""
        self._coming: dict[int, tuple[int, int]] = {}
        """Forwarded lists under way: order of their submission, place behind their last byte."""
        self._uploaded: set[Connection] = set()
        """Connections of which sends completed UPLOAD_IN_PROGRESS since their terminate was called."""
        self._closed: set[Connection] = set()
        self._first: dict[Connection, tuple[int, int]] = {}
        """First data segment of a connection without a sample: sequence number, tick."""

    # --- frames ----------------------------------------------------------------------------------------

    def frame(self, record: Frame, connection: Connection, seg: WireSegment) -> None:
        """What the target sends."""
        if not record.sent or record.raw:
            return
        self._spoken[connection] = self._spoken.get(connection, 0) + 1
        before = whole(connection.delegated, "state")
        if seg.flags & FIN and before in ndis.AFTER_OWN_FIN:
            over = signed(seg.sequence, whole(connection.delegated, "snd_una")) + seg.payload_length - connection.queued
            self.check("G-21", over == 0, f"{connection.context}: the FIN lies {over} bytes behind the data")
        if seg.payload_length:
            self._initial_rto(record, connection, seg)

    def _initial_rto(self, record: Frame, connection: Connection, seg: WireSegment) -> None:
        fresh = not whole(connection.delegated, "s_rtt") and not connection.heard
        fresh = fresh and whole(connection.delegated, "retransmit_timeout_delta") == ndis.NOT_RUNNING
        if not fresh or signed(seg.sequence, whole(connection.delegated, "snd_max")) < 0:
            return
        sequence, tick = self._first.setdefault(connection, (seg.sequence, record.tick))
        if sequence == seg.sequence and tick != record.tick:
            book = self.books.of(record)
            second = book.parameter("ticks_per_second", 1000)
            least = book.settings.get("initial_rto", second)
            waited = record.tick - tick
            right = not isinstance(least, int) or waited >= least - _SLACK
            self.check(
                "G-11", right, f"{connection.context} retransmits after {waited} ticks, no sample: {least!r} are due"
            )
            self._first[connection] = (-1, tick)

    # --- calls -----------------------------------------------------------------------------------------

    def enters(self, record: Enter, book: Book) -> None:
        """Queries, updates and terminates; forwarded segments; completions that tell of an upload or a close."""
        function, tree = record.function, record.tree
        if function in (ndis.QUERY, ndis.TERMINATE) and tree is not None:
            for _, thing in book.named(tree):
                if isinstance(thing, Connection):
                    self._ask(tree.root, thing)
                    if function == ndis.QUERY and not self._over(thing):
                        self._alive.add((tree.root, thing))
        elif function in (ndis.QUERIED, ndis.TERMINATED) and tree is not None and tree.root in book.calls:
            for node, thing in book.named(tree) if function == ndis.QUERIED else book.ended(tree):
                if isinstance(thing, Connection):
                    self._reported(thing, node, self._asked.pop((tree.root, thing), None), record, book)
        elif function == ndis.UPDATED and tree is not None and tree.root in book.calls:
            self._updated(record, tree, book)
        elif function == ndis.FORWARD:
            self._forward(record, book)
        elif function in ndis.COMPLETIONS:
            self._completions(record, book, ndis.COMPLETIONS[function])

    def _ask(self, root: int, connection: Connection) -> None:
        spoken = self._spoken.get(connection, 0)
        self._asked[root, connection] = _Asked(
            connection.acked, connection.edge, connection.fin_sent, connection.heard, spoken,
            ended=connection.raised(ndis.DISCONNECT_EVENT),
        )  # fmt: skip
        self._uploaded.discard(connection)

    def _completions(self, record: Enter, book: Book, kind: str) -> None:
        for nbl in record.lists:
            request = book.request(nbl.ident, kind)
            connection = None if request is None else request.connection
            if request is None or connection is None:
                continue
            if kind == "send" and nbl.status == ndis.UPLOAD_IN_PROGRESS:
                self._uploaded.add(connection)
            if kind == "disconnect" and not request.graceful and nbl.status == ndis.SUCCESS:
                self._closed.add(connection)
            coming = self._coming.pop(nbl.ident, None)
            if coming is not None and coming[0] == request.order and nbl.status == ndis.SUCCESS:
                self._forwarded[connection] = max(coming[1], self._forwarded.get(connection, 0))

    def _forward(self, record: Enter, book: Book) -> None:
        """Note segments that are surely in order and in the window."""
        connection = book.connection(record.target)
        if connection is None or len(record.lists) != 1 or connection.aborted or connection.stopped:
            return
        nbl = record.lists[0]
        if len(nbl.data) < 20 or nbl.data[13] & (SYN | RST | URG):
            return
        header = (nbl.data[12] >> 4) * 4
        start = connection.receive_place(int.from_bytes(nbl.data[4:8], "big"))
        end = start + len(nbl.data) - header
        edge = connection.edge if connection.edge is not None else whole(connection.delegated, "rcv_wnd")
        stamped = not connection.flag(ndis.TIMESTAMPS) or header >= 32
        if (
            start <= connection.acked < end <= edge
            and stamped
            and not connection.fins.heard
            and not connection.initial_fin
        ):
            self._coming[nbl.ident] = (record.order, end)

    def _updated(self, record: Enter, tree: Tree, book: Book) -> None:
        call = book.calls[tree.root]
        for node, thing in book.named(tree):
            entered = call.tree.nodes.get(node.ident)
            if not isinstance(thing, Connection) or entered is None or entered.cached is None:
                continue
            if node.status != ndis.SUCCESS:
                continue
            new, old = entered.cached, thing.cached
            times = ("ka_timeout", "ka_interval")
            changed = any(whole(new, name) != whole(old, name) for name in times)
            probes = whole(new, "ka_probe_count") != whole(old, "ka_probe_count")
            before = self._timers.get(thing) or self._from(thing.delegated, thing.begins, thing, 0, 0)
            unchanged = before.heard == thing.heard and before.spoken == self._spoken.get(thing, 0)
            if (changed or probes) and unchanged and whole(new, "flags") & ndis.KEEP_ALIVE_ENABLED:
                flagged = bool(whole(new, "flags") & (ndis.KEEP_ALIVE_RESTART | ndis.MAX_RT_RESTART))
                values = (whole(new, times[0]), whole(new, times[1])) if changed else None
                self._updates[thing] = _Update(record.tick, flagged, probes, values, before)
            else:
                self._updates.pop(thing, None)

    @staticmethod
    def _from(state: State, tick: int, connection: Connection, heard: int, spoken: int) -> _Timers:
        delta = whole(state, "keep_alive_timeout_delta", ndis.NOT_RUNNING)
        return _Timers(tick, heard, spoken, whole(state, "keep_alive_probe_count"), delta)

    # --- what is reported ------------------------------------------------------------------------------

    def _over(self, connection: Connection) -> bool:
        """It was aborted, and not because the hardware failed."""
        gone = connection.raised(ndis.ABORT_EVENT) or connection in self._closed
        return gone and not connection.raised(ndis.RETRIEVE_EVENT, ndis.HARDWARE_FAILURE)

    def _reported(self, connection: Connection, node: Node, asked: _Asked | None, record: Enter, book: Book) -> None:
        state = node.delegated
        if node.status != ndis.SUCCESS or state is None or state.get("snd_una") is None or asked is None:
            return
        query = record.function == ndis.QUERIED
        self._round_trip(connection, state)
        self._keepalive(connection, state, record.tick)
        self._handed_through(connection, state)
        self._windows(connection, state, asked)
        self._sequence(connection, state, asked, query)
        self._fins(connection, node, state, asked, query)
        snapshot = (0 if record.tree is None else record.tree.root, connection)
        raced = query and snapshot in self._alive  # the abort came while the query was under way
        self._alive.discard(snapshot)
        if self._over(connection) and not raced:
            closed = whole(state, "state", -1) == ndis.CLOSED
            self.check("G-36", closed, f"{connection.context} was aborted, its state is {whole(state, 'state', -1)}")
        if not query:
            self._chain(connection, node, book)
            if connection.beyond and not connection.flag(ndis.SACK):
                over = connection.receive_place(whole(state, "rcv_nxt")) - connection.in_order
                self.check("G-19", over <= 0, f"{connection.context}: {over} bytes beyond a gap are reported")
        place = connection.receive_place(whole(state, "rcv_nxt"))
        due = self._forwarded.get(connection)
        if due is not None and not connection.aborted:
            self.check("G-38", place >= due, f"{connection.context}: {due - place} forwarded bytes were not taken")

    def _round_trip(self, connection: Connection, state: State) -> None:
        values = [whole(state, "s_rtt"), whole(state, "rtt_var")]
        fits = all(0 <= value <= _SIXTEEN_BITS for value in values)
        unmeasured = not whole(connection.delegated, "s_rtt") and connection.una == 0
        if not fits or unmeasured or _SIXTEEN_BITS in values:
            right = fits and (not unmeasured or values[0] == 0)
            text = f"SRtt {values[0]}, RttVar {values[1]}, sampled: {not unmeasured}"
            self.check("G-11", right, f"{connection.context}: {text}")

    def _keepalive(self, connection: Connection, state: State, tick: int) -> None:
        spoken = self._spoken.get(connection, 0)
        now = self._from(state, tick, connection, connection.heard, spoken)
        self._timers[connection] = now
        update = self._updates.pop(connection, None)
        if update is None or update.before.heard != now.heard:
            return
        before = update.before
        sent = now.spoken - before.spoken
        if update.probes and before.probes:
            right = now.probes <= sent if update.flagged else now.probes >= before.probes
            text = f"ProbeCount {before.probes}, updated with a restart flag: {update.flagged}, is {now.probes}"
            self.check("G-15", right, text)
        if update.timeouts is not None and before.delta not in (ndis.NOT_RUNNING, 0) and not sent:
            passed = tick - update.tick
            anew = [max(0, value - passed) for value in update.timeouts]
            kept = [max(0, before.delta - (tick - before.tick))]
            due = anew if update.flagged else kept
            right = any(abs(now.delta - value) <= _SLACK + 1 for value in due)
            text = f"TimeoutDelta is {now.delta}, updated with a restart flag: {update.flagged}, so {due} is due"
            self.check("G-15", right, text)

    def _handed_through(self, connection: Connection, state: State) -> None:
        names = [n for n in ("flags", "d_wnd") if n in connection.delegated and state.get(n) is not None]
        if names:
            changed = [name for name in names if state[name] != connection.delegated[name]]
            self.check("G-37", not changed, f"{connection.context}: {changed} changed since the hand-over")

    def _windows(self, connection: Connection, state: State, asked: _Asked) -> None:
        if not connection.flag(ndis.WINDOW_SCALING) or connection.aborted:
            return
        if whole(connection.const, "snd_wind_scale") and len(connection.windows) > 1:
            shown = whole(state, "snd_wnd")
            self.check("G-40", shown in connection.windows, f"SndWnd {shown} was never the peer's window in bytes")
        if whole(connection.const, "rcv_wind_scale") and asked.edge is not None:
            edge = connection.receive_place(whole(state, "rcv_nxt")) + whole(state, "rcv_wnd")
            text = f"RcvWnd {whole(state, 'rcv_wnd')} ends {asked.edge - edge} bytes before the advertised edge"
            self.check("G-40", edge >= asked.edge, text)

    def _sequence(self, connection: Connection, state: State, asked: _Asked, query: bool) -> None:
        una, nxt, top = (whole(state, name) for name in ("snd_una", "snd_nxt", "snd_max"))
        base = whole(connection.delegated, "snd_una")
        fin = asked.fin_sent if query else connection.fin_sent
        if fin is not None:
            over = signed(top, base) - fin - 1
            self.check("G-21", over == 0, f"SndMax is {over} behind the FIN that was sent")
        if not query:
            return
        moved = self._spoken.get(connection, 0) != asked.spoken or connection.heard != asked.heard
        if moved or una != top:
            place = connection.receive_place(whole(state, "rcv_nxt"))
            right = signed(nxt, una) >= 0 and signed(top, nxt) >= 0 and signed(una, base) <= connection.una
            right = right and asked.acked <= place <= connection.in_order
            text = f"SndUna {una}, SndNxt {nxt}, SndMax {top}; RcvNxt at {place}, acknowledged {asked.acked}"
            self.check("G-35", right, text)

    def _fins(self, connection: Connection, node: Node, state: State, asked: _Asked, query: bool) -> None:
        """A query's answer may be older than what the host heard and the wire saw while it was under way."""
        if not connection.fins.heard or connection.initial_fin or connection.aborted:
            return
        place = connection.receive_place(whole(state, "rcv_nxt"))
        told = whole(state, "state") in ndis.AFTER_PEER_FIN
        closed = whole(state, "state") == ndis.CLOSED
        if not told and not closed and connection.fin_counted(place, whole(state, "state")):
            self.breach("G-43", f"RcvNxt counts the FIN in state {whole(state, 'state')}")
        ended = asked.ended if query else connection.raised(ndis.DISCONNECT_EVENT)
        taken = connection.fin_in is not None and (asked.acked if query else connection.acked) > connection.fin_in
        if not (told or ended or taken):
            return
        held = sum(nbl.data_length for nbl in node.buffered)
        fits = not node.buffered or held <= connection.undelivered(place, 1)
        behind = sorted(place - fin for fin in connection.fins.places)
        text = f"RcvNxt lies {behind} behind the data before a FIN, {held} bytes are buffered"
        self.check("G-43", connection.fins.at(place - 1) and fits, text)

    def _chain(self, connection: Connection, node: Node, book: Book) -> None:
        first = next((nbl for nbl in node.chain if nbl.data_length), None)
        request = None if first is None else book.request(first.ident, "send")
        if first is None or request is None or request.connection is not connection:
            return
        place = signed(whole(node.delegated, "snd_una"), whole(connection.delegated, "snd_una"))
        begin = request.end - first.data_length
        done = [nbl.ident for nbl in node.chain if self._acknowledged(book, nbl.ident, place)]
        text = f"SndUna is at {place}, the chain begins at {begin}; acknowledged, yet chained: {done}"
        due = max(place, request.start) if connection in self._uploaded else place
        self.check("G-18", begin == due and not done, text)

    @staticmethod
    def _acknowledged(book: Book, ident: int, place: int) -> bool:
        request = book.request(ident, "send")
        return request is not None and request.end > request.start and request.end <= place
