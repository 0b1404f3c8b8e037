"""Decisions that show in frames: G-02, G-03, G-10, G-16, G-25, G-27, G-39."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_books import Book, BooksMonitor
from tb.monitors.contract.connection_parts import Connection, Phase, Thing, ip_offset, octets, signed, walk, whole
from tb.monitors.contract.face_items import GRACE
from tb.monitors.contract.trace import Enter, Frame, Node, Record, State, Tree
from tb.monitors.wire_headers import ACK, FIN, RST, SYN, URG, WireSegment, read_segment

_RACE: Final = 1
"""Ticks that a frame which was granted before a call completed may take to leave."""
_AT_ONCE: Final = 100
"""Ticks within which a larger window is advertised."""
_ATTEMPT: Final = 8
"""Ticks within which the target does what it has cause for."""
_IP6: Final = b"\x86\xdd"
_FRAGMENT: Final = 44
_UPPER_HALF: Final = 0x80000000
_DATA, _WINDOW_PROBE, _KEEP_ALIVE = "data", "window probe", "keep-alive"
_UNLIMITED: Final = 0xFFFFFFFF
"""MaxRT (CH-215)."""
_CHALLENGE_PROBES: Final = 10
_BACK_OFF: Final = 2
"""A retransmission timer and a probe timer double each time (RFC 6298 5.5); up to their limit, which is not known."""
"""Keep-alive probes behind a challenge, where KaProbeCount says nothing (5.7)."""


@dataclass(slots=True)
class _Growth:
    """A larger window that must show."""

    edge: int
    since: int


@dataclass(slots=True)
class _Vain:
    """The last segment that calls for an answer, and its copies since a frame was heard."""

    kind: str
    sequence: int
    heard: int
    first: int
    last: int
    """Ticks of the first copy and of the last one."""
    copies: int
    """Retransmissions, or probes."""
    inherited: bool
    """It was in flight at the hand-over: earlier copies are not in the trace."""
    gap: int | None = None
    """Ticks between the last two copies: the timer that runs is no shorter."""


def header_values(frame: bytes, seg: WireSegment) -> dict[str, int]:
    """What the headers of a frame have of CACHED state; the flow label is of IPv6 alone."""
    priority = frame[14] >> 5 if ip_offset(frame) == 18 else 0
    values = {"ttl_or_hop_limit": seg.ttl, "tos_or_traffic_class": seg.tos, "user_priority": priority}
    return values | ({"flow_label": seg.flow_label} if seg.ipv6 else {})


def shows(values: Mapping[str, int], cached: State, *, ecn: bool = False) -> bool:
    """They are those of CACHED state, as far as it has them; with ``ecn`` two bits are the transport's (RFC 3168 5)."""
    masks = {"tos_or_traffic_class": ~ndis.ECN_BITS} if ecn else {}
    return all(not (whole(cached, name, value) ^ value) & masks.get(name, -1) for name, value in values.items())


class WireDecisions(BooksMonitor):
    """The target's frames, where the pages leave a choice."""

    RULES: ClassVar[Mapping[str, str]] = {
        "G-02": "during an update a frame shows all old or all new CACHED variables, after it the new ones",
        "G-03": "invalid: no data; under an invalid path or neighbor no frame at all; InvalidState once, when tried",
        "G-10": "TCP ports in the CONST state are in network byte order: the frames bear them converted once",
        "G-16": "a smaller InitialRcvWnd never pulls the right edge back, a larger one is advertised at once",
        "G-25": "TimeWait and a SYN at RcvNxt ask for upload with UploadRequested, exhausted timers TimeoutExpiration",
        "G-27": "the first 6 bytes of a MAC field count, the rest comes back zero; no source MAC means the interface's",
        "G-39": "no frame is an IPv6 fragment whose id lies in the host's lower half",
    }

    def __init__(self) -> None:
        super().__init__()
        self._growths: dict[Connection, _Growth] = {}
        self._resized: set[Connection] = set()
        self._vain: dict[Connection, _Vain] = {}
        self._first_fin: dict[Connection, bool] = {}
        self._heard: dict[Connection, int] = {}
        """Tick of the last frame received."""
        self._urgent: dict[Connection, int] = {}
        """Tick of the last URG segment."""
        self._syn: dict[Connection, int] = {}
        #: Everything before that SYN was acknowledged; else the target may lack something in front of it.
        self._at_rcv_nxt: dict[Connection, bool] = {}
        """Tick of the last SYN at RcvNxt."""
        self._untold: dict[Connection, str] = {}
        """Breaches of G-03, unless the image says that data of before the invalidate counts as sent."""

    def passes(self, record: Record) -> None:
        """Frames that belong to no connection as the host numbered it, windows that are due."""
        if isinstance(record, Frame) and record.sent and not record.raw:
            self._any_frame(record)
        for connection, growth in list(self._growths.items()):
            if connection.phase is not Phase.RUNNING or connection.aborted or connection.stopped:
                del self._growths[connection]
            elif record.tick > growth.since + _AT_ONCE:
                del self._growths[connection]
                self.breach("G-16", f"{connection.context}: a larger window is not advertised in {_AT_ONCE} ticks")

    def _any_frame(self, record: Frame) -> None:
        data = record.data
        at = ip_offset(data)
        low = False
        if data[at - 2 : at] == _IP6 and len(data) >= at + 48 and data[at + 6] == _FRAGMENT:
            low = int.from_bytes(data[at + 44 : at + 48], "big") < _UPPER_HALF
        self.check("G-39", not low, "an IPv6 fragment with an id of the lower half is sent")
        seg = read_segment(data)
        book = self.books.of(record)
        if seg is None or (seg.source, seg.destination) in book.flows:
            return
        turned = tuple((ip, ndis.swapped(port)) for ip, port in (seg.source, seg.destination))
        if (turned[0], turned[1]) in book.flows:
            self.breach("G-10", f"ports {seg.source[1]} and {seg.destination[1]} are sent unconverted")

    # --- frames of connections -------------------------------------------------------------------------

    def frame(self, record: Frame, connection: Connection, seg: WireSegment) -> None:
        """A frame of a known connection."""
        if not record.sent:
            self._heard[connection] = record.tick
            place = connection.receive_place(seg.sequence)
            if seg.flags & URG:
                self._urgent[connection] = record.tick
            if seg.flags & SYN and connection.acked <= place <= connection.contiguous:
                self._syn[connection] = record.tick
                self._at_rcv_nxt[connection] = place == connection.acked
            return
        if record.raw or connection.phase is Phase.GONE:
            return
        if any(port != ndis.swapped(port) for port in (seg.source[1], seg.destination[1])):
            self.trigger("G-10")
        self._headers(record, connection, seg)
        self._macs(record, connection)
        self._suppressed(record, connection, seg)
        self._window(connection, seg)
        self._repeat(record, connection, seg)
        if seg.flags & FIN and connection.fin_sent is None:
            self._first_fin[connection] = connection.initial_fin == 0 and not connection.fins.within(
                connection.acked - 1
            )

    def _headers(self, record: Frame, connection: Connection, seg: WireSegment) -> None:
        if not connection.older and not connection.newer:
            return
        shown = header_values(record.data, seg)
        ecn = connection.flag(ndis.ECN)
        right = any(shows(shown, state, ecn=ecn) for state in connection.versions(record.tick, GRACE))
        self.check("G-02", right, f"{shown} are of no CACHED state in force")

    def _macs(self, record: Frame, connection: Connection) -> None:
        path = connection.parent
        neighbor = None if path is None else path.parent
        if path is None or neighbor is None:
            return
        book = self.books.of(record)
        neighbors = [neighbor]
        moving = any(path in call.things for call in book.calls.values() if call.function == ndis.UPDATE)
        if moving or (path.moved is not None and record.tick <= path.moved + GRACE):
            neighbors += [thing for thing in book.things.values() if thing.level == ndis.NEIGHBOR_LEVEL]
        states = [state for thing in neighbors for state in thing.versions(record.tick, GRACE)]
        fields = [octets(state, "dl_destination_address") for state in states]
        sources = [self._source(thing, book) for thing in neighbors]
        right = any(record.data[:6] == mac[:6] for mac in fields if mac)
        known = [mac for mac in sources if mac]
        right = right and (len(known) < len(sources) or record.data[6:12] in known)
        text = f"frame from {record.data[6:12].hex(':')} to {record.data[:6].hex(':')}"
        if any(fields):
            self.check("G-27", right, text)

    @staticmethod
    def _source(neighbor: Thing, book: Book) -> bytes:
        own = octets(neighbor.const, "dl_source_address")[:6]
        interface = book.settings.get("interface_mac")
        return own if any(own) else interface if isinstance(interface, bytes) else b""

    def _suppressed(self, record: Frame, connection: Connection, seg: WireSegment) -> None:
        own = connection.invalid_since
        below = [
            t for thing in connection.chain() if (t := thing.invalid_since) is not None and thing is not connection
        ]
        if below and record.tick > min(below) + _RACE:
            self.breach("G-03", f"a frame of {connection.context} leaves under an invalid path or neighbor")
        elif own is not None and seg.payload_length and record.tick > own + _RACE:
            self.breach("G-03", f"data of the invalid connection {connection.context} leaves")

    def _window(self, connection: Connection, seg: WireSegment) -> None:
        if seg.flags & RST or not seg.flags & ACK:
            return
        shift = whole(connection.const, "rcv_wind_scale") if connection.flag(ndis.WINDOW_SCALING) else 0
        edge = connection.receive_place(seg.acknowledgment) + (seg.window << shift)
        if connection in self._resized and connection.edge is not None:
            back = connection.edge - edge
            self.check("G-16", back <= 0, f"{connection.context}: the right edge goes back by {back} bytes")
        growth = self._growths.get(connection)
        if growth is not None and edge > growth.edge:
            del self._growths[connection]

    @staticmethod
    def _kind(connection: Connection, seg: WireSegment, place: int) -> str | None:
        """What a segment asks the peer for; None for a mere ACK. A keep-alive may bear an old octet."""
        if seg.payload_length <= 1 and not seg.flags & FIN and place == connection.una - 1:
            return _KEEP_ALIVE
        if not seg.length or place < connection.una:
            return None
        probe = seg.payload_length == 1 and not seg.flags & FIN and connection.told_edge <= place == connection.una
        return _WINDOW_PROBE if probe else _DATA

    def _repeat(self, record: Frame, connection: Connection, seg: WireSegment) -> None:
        place = connection.send_place(seg.sequence)
        kind = self._kind(connection, seg, place)
        if kind is None:
            return
        one = int(kind != _DATA or place < connection.sent_max)
        vain = self._vain.get(connection)
        if vain is None or (vain.kind, vain.sequence, vain.heard) != (kind, seg.sequence, connection.heard):
            in_flight = signed(whole(connection.delegated, "snd_max"), whole(connection.delegated, "snd_una"))
            inherited = connection.una == 0 and (kind != _DATA or place < in_flight)
            tick = record.tick
            self._vain[connection] = _Vain(kind, seg.sequence, connection.heard, tick, tick, one, inherited)
            return
        vain.gap, vain.last, vain.copies = record.tick - vain.last, record.tick, vain.copies + one

    # --- calls -----------------------------------------------------------------------------------------

    def enters(self, record: Enter, book: Book) -> None:
        """Updates and invalidates complete, upload is asked for, a neighbor is queried."""
        tree = record.tree
        if record.function == ndis.EVENT and record.event == ndis.RETRIEVE_EVENT:
            connection = book.of_handle(record.target)
            if connection is not None:
                self._reason(connection, record, book)
        elif tree is None or (tree.root not in book.calls and record.function != ndis.TERMINATE):
            return
        elif record.function == ndis.INVALIDATED:
            self._invalidated(tree, book)
        elif record.function == ndis.UPDATED:
            self._updated(record, tree, book)
        elif record.function == ndis.QUERIED:
            self._queried(tree)
        elif record.function == ndis.TERMINATE:
            for _, thing in book.named(tree):
                if isinstance(thing, Connection):
                    self._tried(thing, record)
        elif record.function == ndis.TERMINATED:
            for node, thing in book.ended(tree):
                text = self._untold.pop(thing, None) if isinstance(thing, Connection) else None
                if text is not None and node.status == ndis.SUCCESS:  # a failing terminate has no image
                    self._in_flight(node, text)

    def _invalidated(self, tree: Tree, book: Book) -> None:
        marked = [thing for node, thing in book.named(tree) if node.status == ndis.SUCCESS]
        if any(thing in marked for connection in book.connections for thing in connection.chain()):
            self.trigger("G-03")

    @staticmethod
    def _override(book: Book) -> int:
        """Ticks after which silly-window avoidance gives in: no more than the initial RTO (RFC 9293 3.8.6.2.1, E-3)."""
        second = book.parameter("ticks_per_second", 1000)
        initial = book.settings.get("initial_rto", second)
        return initial if isinstance(initial, int) else second

    def _tried(self, connection: Connection, record: Enter) -> None:
        """At the terminate: was data suppressed without a word?"""
        invalid = connection.invalid_at()
        if invalid is None or connection.aborted or connection.stopped:
            return
        sends = [request for request in connection.outstanding("send") if request.end > request.start]
        waiting = [request for request in sends if connection.called_when_invalid(request)]
        if not waiting or connection.fin_sent is not None:
            return
        waited = record.tick - max(waiting[0].tick, connection.opened)
        override = self._override(self.books.of(record))
        if (connection.must_send and waited > _ATTEMPT) or (connection.can_override and waited > override + _ATTEMPT):
            text = f"{connection.context} is invalid, a send waits, InvalidState was not raised"
            if len(waiting) == len(sends):
                self.breach("G-03", text)
            else:
                self._untold[connection] = text

    def _in_flight(self, node: Node, text: str) -> None:
        """Frames of earlier sends, which the invalidate discarded, count as sent: their timer tries next."""
        una, most = (whole(node.delegated, name) for name in ("snd_una", "snd_max"))
        if most == una:
            self.breach("G-03", text)

    def _updated(self, record: Enter, tree: Tree, book: Book) -> None:
        call = book.calls[tree.root]
        for node, thing in book.named(tree):
            entered = call.tree.nodes.get(node.ident)
            cached = None if entered is None else entered.cached
            if cached is None or node.status != ndis.SUCCESS or not isinstance(thing, Connection):
                continue
            if not whole(cached, "flags") & ndis.UPDATE_RCV_WND:
                continue
            new, old = whole(cached, "initial_rcv_wnd"), whole(thing.cached, "initial_rcv_wnd")
            if new != old:
                self._resized.add(thing)
            shift = whole(thing.const, "rcv_wind_scale") if thing.flag(ndis.WINDOW_SCALING) else 0
            edge = thing.edge if thing.edge is not None else whole(thing.delegated, "rcv_wnd")
            room = thing.acked + new - max(0, thing.undelivered(thing.contiguous, 0)) - (thing.contiguous - thing.acked)
            able = thing.phase is Phase.RUNNING and thing.invalid_at() is None and not thing.fins.heard
            if new > old and room > edge + (1 << shift) and new >> shift <= 0xFFFF and able:
                self._growths[thing] = _Growth(edge, record.tick)

    def _queried(self, tree: Tree) -> None:
        for node, _ in walk(tree):
            fields = [octets(node.cached, "dl_destination_address"), octets(node.const, "dl_source_address")]
            if node.status == ndis.SUCCESS and any(len(mac) > 6 for mac in fields):
                self.check("G-27", not any(any(mac[6:]) for mac in fields), "bytes behind a MAC come back non-zero")

    # --- why upload is asked for -----------------------------------------------------------------------

    def _reason(self, connection: Connection, record: Enter, book: Book) -> None:
        if record.info == ndis.INVALID and connection.raised(ndis.RETRIEVE_EVENT, ndis.INVALID):
            self.breach("G-03", f"{connection.context}: InvalidState is raised a second time")
        causes: set[int] = set()
        if record.tick <= self._syn.get(connection, -_ATTEMPT - 1) + _ATTEMPT:
            causes.add(ndis.UPLOAD_WANTED)
            if record.info == ndis.URGENT_DATA and record.tick <= self._urgent.get(connection, -_ATTEMPT) + _ATTEMPT:
                causes.add(ndis.URGENT_DATA)  # it stopped the connection before the SYN came
        if self._exhausted(connection, book, record.tick, told=record.info == ndis.TIMEOUT_EXPIRATION):
            causes.add(ndis.TIMEOUT_EXPIRATION)
        fin = connection.fin_in
        waits = connection.fin_sent is not None and connection.una > connection.fin_sent
        waits = waits and fin is not None and connection.acked > fin and self._first_fin.get(connection, False)
        fresh = record.tick <= self._heard.get(connection, -_RACE) + _RACE
        if waits and (not fresh or record.info == ndis.UPLOAD_WANTED):
            causes.add(ndis.UPLOAD_WANTED)
        others = {ndis.HARDWARE_FAILURE} | ({ndis.INVALID} if connection.invalid_at() is not None else set())
        sure = causes != {ndis.UPLOAD_WANTED} or waits or self._at_rcv_nxt.get(connection, False)
        if causes and sure and record.info not in others:
            self.check("G-25", record.info in causes, f"reason {record.info}, the cause calls for {sorted(causes)}")

    def _exhausted(self, connection: Connection, book: Book, tick: int, *, told: bool) -> bool:
        """The limit of what was sent last in vain is exceeded: copies up to it, and their timer expired once more.

        Where the cause was ``told`` copies up to the limit are enough, those before the hand-over counted.
        """
        vain = self._vain.get(connection)
        if vain is None or vain.heard != connection.heard:
            return False
        next_gap = None if vain.gap is None else vain.gap * (1 if vain.kind == _KEEP_ALIVE else _BACK_OFF)
        expired = next_gap is not None and tick - vain.last >= next_gap
        before = "keep_alive_probe_count" if vain.kind == _KEEP_ALIVE else "retransmit_count"
        copies = vain.copies + (whole(connection.delegated, before) if told and vain.inherited else 0)
        longest = whole(connection.cached, "max_rt") if vain.kind == _DATA else 0
        if longest == _UNLIMITED:
            return False
        if longest:
            total = whole(connection.delegated, "total_rt") if told and vain.inherited else 0
            return (expired or told) and total + tick - vain.first >= longest
        limit = book.parameter("tcp_maximum_retransmissions", 255)
        if vain.kind == _KEEP_ALIVE:
            if not told and not whole(connection.cached, "flags") & ndis.KEEP_ALIVE_ENABLED:
                return False
            limit = whole(connection.cached, "ka_probe_count") or _CHALLENGE_PROBES
        return copies >= limit and (expired or told)
