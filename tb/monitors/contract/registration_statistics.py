"""Section 9.1, statistics: the counters of the four statistics OIDs against the frames of the port.

A counter may lag behind the wire, or be ahead of it, by `_RACE` ticks: a query is judged that much later, between the
frames that must count and those that may. Payloads: fields of TCP_OFFLOAD_STATS and IP_OFFLOAD_STATS in snake case.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.offload_books import Face, Offloaded, Stage, difference, number
from tb.monitors.contract.offload_monitor import BookMonitor
from tb.monitors.contract.trace import Enter, Frame, Leave, Record, Value
from tb.monitors.wire_headers import FIN, RST, SYN, WireSegment, read_segment

_RACE: Final = 2
_TCP_OIDS: Final = {0xFC010207: 4, 0xFC010208: 6}
_IP_OIDS: Final = {0xFC010209: 4, 0xFC01020A: 6}
_OIDS: Final = {**_TCP_OIDS, **_IP_OIDS}
"""Statistics OID -> IP version."""
_OID_DONE: Final = "NdisMOidRequestComplete"
_WIDE: Final = frozenset(
    {"in_segments", "out_segments", "in_receives", "in_octets", "in_delivers", "out_requests", "out_octets"}
)
_GAUGE: Final = "currently_established"
_COUNTED: Final = {
    "in_segments": "received",
    "in_errors": "received",
    "in_receives": "received",
    "in_delivers": "received",
    "in_header_errors": "received",
    "in_truncated_packets": "received",
    "in_discards": "received",
    "in_octets": "received_octets",
    "out_segments": "sent",
    "retransmitted_segments": "sent",
    "out_requests": "sent",
    "out_octets": "sent_octets",
}
"""Counter -> what cannot be less than it since the last reset."""
_ETHERTYPES: Final = {b"\x08\x00": 4, b"\x86\xdd": 6}
_COUNTED_STATES: Final = frozenset({ndis.ESTABLISHED, ndis.CLOSE_WAIT})


class _Tally:
    """Amounts by name, with those of the last ticks to tell them from older ones."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._recent: deque[tuple[int, str, int]] = deque()

    def add(self, tick: int, name: str, amount: int = 1) -> None:
        """Count."""
        self.total[name] += amount
        self._recent.append((tick, name, amount))
        while self._recent[0][0] < tick - _RACE:
            self._recent.popleft()

    def settled(self, tick: int) -> Counter[str]:
        """Totals without what happened in the last ticks."""
        settled = self.total.copy()
        for when, name, amount in self._recent:
            if when >= tick - _RACE:
                settled[name] -= amount
        return settled


@dataclass
class _Reset:
    """Totals when the counters of an OID were zero: what may have counted before, and what must have."""

    most: Counter[str] = field(default_factory=Counter)
    least: Counter[str] | None = field(default_factory=Counter)
    """None until the ticks around the reset have passed."""
    done: bool = False


@dataclass(eq=False)
class _Watched:
    """A connection, as far as its state can be told from outside."""

    connection: Offloaded
    sent: int
    """Position of the highest byte sent, from SndUna of the hand-over."""
    perhaps_left: bool = False
    left: int | None = None
    """Tick from which it cannot be in Established or CloseWait."""


class _Port:
    """One adapter."""

    def __init__(self) -> None:
        self.tallies = {4: _Tally(), 6: _Tally()}
        self.resets = {oid: _Reset() for oid in _OIDS}
        self.last: dict[int, Mapping[str, Value]] = {}
        self.reset_since: dict[int, set[int]] = {oid: set() for oid in _OIDS}
        """OIDs that were reset since the last query of an OID."""
        self.watched: dict[Offloaded, _Watched] = {}
        self.versions: set[int] = set()
        self.failed = False


class Statistics(BookMonitor):
    """The statistics OIDs."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-015": "setting a statistics OID zeroes its counters, and no others",
        "CH-016": "only frames of offloaded connections count, each for its IP version",
        "CH-017": "OutSegments leaves out pure retransmissions; RetransmittedSegments has each segment with old octets",
        "CH-018": "CurrentlyEstablished is the number of offloaded connections in Established or CloseWait",
        "CH-019": "OutResets is at most the number of abortive disconnects",
    }

    def __init__(self) -> None:
        super().__init__()
        self._ports: dict[Face, _Port] = {}
        self._later: deque[tuple[int, Callable[[], None]]] = deque()

    def see(self, face: Face, record: Record) -> None:
        """Count frames, judge answers."""
        while self._later and record.tick > self._later[0][0]:
            self._later.popleft()[1]()
        if face.layer != 0:
            return
        port = self._ports.get(face)
        if port is None:
            port = self._ports[face] = _Port()
        if isinstance(record, Frame):
            self._framed(face, port, record)
        elif isinstance(record, Enter):
            self._entered(face, port, record)
        elif isinstance(record, Leave) and record.result == ndis.SUCCESS:
            asked = face.open.get(record.call)
            if asked is not None and asked.function == ndis.OID and asked.oid in _OIDS and not asked.flags & 1:
                self._answered(face, port, asked.oid, record.buffer)

    def seen(self, face: Face, record: Record) -> None:
        """Learn of connections when the books have them."""
        if face.layer == 0 and isinstance(record, Enter) and record.function == ndis.INITIATE and record.tree:
            port = self._ports[face]
            call = face.calls[record.tree.root]
            for new in call.new.values():
                port.versions.add(new.ip_version)
                if new.level == ndis.TCP_LEVEL:
                    sent = difference(number(new.delegated, "snd_max"), number(new.delegated, "snd_una"))
                    port.watched[new] = _Watched(new, sent)

    def finish(self) -> None:
        """Judge what still waits."""
        while self._later:
            self._later.popleft()[1]()

    # --- counting --------------------------------------------------------------------------------------

    def _entered(self, face: Face, port: _Port, record: Enter) -> None:
        connection = face.connection(record.target)
        if record.function == ndis.OID and record.oid in _OIDS and record.flags & 1:
            self._reset(port, record.oid, record.tick)
        elif record.function == _OID_DONE and record.oid in _OIDS and not record.flags & 1:
            self._answered(face, port, record.oid, record.buffer)
        elif record.function == ndis.FORWARD:
            for tally in port.tallies.values():
                tally.add(record.tick, "received", len(record.lists))
                tally.add(record.tick, "of_offloaded", len(record.lists))
        elif record.function == ndis.DISCONNECT and record.flags == ndis.ABORTIVE:
            version = 4 if connection is None else connection.ip_version
            port.tallies[version].add(record.tick, "aborts")
        elif record.function == ndis.EVENT and record.event in (ndis.RETRIEVE_EVENT, ndis.ABORT_EVENT):
            found = port.watched.get(face.by_handle[record.target]) if record.target in face.by_handle else None
            if found is not None and record.event == ndis.ABORT_EVENT:
                found.left = found.left or record.tick
            port.failed |= record.info == ndis.HARDWARE_FAILURE
        elif record.function == ndis.TERMINATED and record.tree is not None:
            for node in record.tree.nodes.values():
                ended = face.terminated(record.tree, node)
                if ended is not None and ended in port.watched:
                    port.watched[ended].left = port.watched[ended].left or record.tick

    def _framed(self, face: Face, port: _Port, record: Frame) -> None:
        version = _ETHERTYPES.get(record.data[16:18] if record.data[12:14] == b"\x81\x00" else record.data[12:14])
        if version is None:
            return
        tally, tick, size = port.tallies[version], record.tick, len(record.data)
        segment = read_segment(record.data)
        found = face.of_frame(record)
        tally.add(tick, "sent" if record.sent else "received")
        tally.add(tick, "sent_octets" if record.sent else "received_octets", size)
        if found is not None and found[0] in port.watched:
            watched, known = port.watched[found[0]], found[1]
            if not record.sent and found[0].stage is not Stage.GONE:
                tally.add(tick, "of_offloaded")
                watched.perhaps_left |= bool(known.flags & (RST | SYN))
                if known.flags & RST:
                    tally.add(tick, "resets")
            elif record.sent and not record.raw:
                self._sent(tally, watched, known, tick)
        elif version in port.versions and (segment is None or not segment.sums_right):
            for name in ("out_may", "old_may") if record.sent and not record.raw else ("of_offloaded",):
                tally.add(tick, name)

    @staticmethod
    def _sent(tally: _Tally, watched: _Watched, segment: WireSegment, tick: int) -> None:
        base = number(watched.connection.delegated, "snd_una")
        start = watched.sent + difference(segment.sequence, base + watched.sent)
        end = start + segment.length
        has_old = segment.length > 0 and start < watched.sent
        only_old = has_old and end <= watched.sent
        unsure = watched.connection.stage is not Stage.LIVE or bool(segment.flags & RST)
        unsure |= has_old and segment.payload_length <= 1
        if not only_old or unsure:
            tally.add(tick, "out_may")
        if not only_old and not unsure:
            tally.add(tick, "out_must")
        if has_old or unsure:
            tally.add(tick, "old_may")
        if has_old and not unsure:
            tally.add(tick, "old_must")
        watched.sent = max(watched.sent, end)
        if segment.flags & FIN:
            watched.left = watched.left or tick

    # --- judging ---------------------------------------------------------------------------------------

    def _reset(self, port: _Port, oid: int, tick: int) -> None:
        tally = port.tallies[_OIDS[oid]]
        fresh = port.resets[oid] = _Reset(tally.settled(tick), None, done=True)
        for other, since in port.reset_since.items():
            if other == oid:
                port.last.pop(oid, None)
            since.add(oid)

        def settle() -> None:
            fresh.least = tally.total.copy()

        self._later.append((tick + _RACE, settle))

    def _answered(self, face: Face, port: _Port, oid: int, buffer: Mapping[str, Value]) -> None:
        tick, version = self._now.tick, _OIDS[oid]
        self._monotone(port, oid, buffer)
        if oid in _TCP_OIDS:
            self._established(face, port, version, number(buffer, _GAUGE))
        tally, reset = port.tallies[version], port.resets[oid]
        settled = tally.settled(tick)
        foreign = version not in port.versions or tally.total["received"] > tally.total["of_offloaded"]
        failed, told = port.failed, self.desk.origin

        def judge() -> None:
            now, self.desk.origin = self.desk.origin, told
            most = tally.total.copy()
            most.subtract(reset.most)
            least = settled.copy() if reset.least is not None else Counter()
            least.subtract(reset.least or Counter())
            self._bounded(oid, buffer, most, reset.done)
            if foreign:
                self._offloaded_only(buffer, most)
            if oid in _TCP_OIDS and not failed and most["sent"]:
                self._retransmissions(buffer, least, most)
            if oid in _TCP_OIDS and (most["aborts"] or most["resets"] or number(buffer, "out_resets")):
                count = number(buffer, "out_resets")
                text = f"OutResets is {count} after {most['aborts']} abortive disconnects"
                self.check("CH-019", count <= most["aborts"], text)
            self.desk.origin = now

        self._later.append((tick + _RACE, judge))

    def _monotone(self, port: _Port, oid: int, buffer: Mapping[str, Value]) -> None:
        last, others = port.last.get(oid), port.reset_since[oid] - {oid}
        for name, value in buffer.items() if last is not None else ():
            if name == _GAUGE or not isinstance(value, int):
                continue
            bits = 64 if name in _WIDE else 32
            grown = (value - number(last, name)) % (1 << bits)
            if grown >> (bits - 1):
                self.breach("CH-015", f"{name} of OID {oid:#x} fell from {number(last, name)} to {value}")
        if others and last is not None:
            self.trigger("CH-015")
        port.last[oid] = dict(buffer)
        port.reset_since[oid] = set()

    def _bounded(self, oid: int, buffer: Mapping[str, Value], most: Counter[str], was_reset: bool) -> None:
        if not was_reset:
            return
        self.trigger("CH-015")
        for name, bound in _COUNTED.items():
            if number(buffer, name) > most[bound]:
                text = f"{name} of OID {oid:#x} is {number(buffer, name)} after a reset and {most[bound]} of {bound}"
                self.breach("CH-015", text)
                return

    def _offloaded_only(self, buffer: Mapping[str, Value], most: Counter[str]) -> None:
        for name in ("in_segments", "in_receives", "in_delivers"):
            count = number(buffer, name)
            if name in buffer:
                text = f"{name} is {count}, with {most['of_offloaded']} frames for offloaded connections"
                self.check("CH-016", count <= most["of_offloaded"], text)

    def _retransmissions(self, buffer: Mapping[str, Value], least: Counter[str], most: Counter[str]) -> None:
        for name, kind in (("out_segments", "out"), ("retransmitted_segments", "old")):
            low, high, count = least[f"{kind}_must"], most[f"{kind}_may"], number(buffer, name)
            if kind == "out":
                high = max(high, low)
            if name in buffer:
                self.check("CH-017", low <= count <= high, f"{name} is {count}, the wire says {low} to {high}")

    def _established(self, face: Face, port: _Port, version: int, value: int) -> None:
        low = high = 0
        tick = self._now.tick
        for connection, watched in list(port.watched.items()):
            if watched.left is not None and connection.stage is Stage.GONE and watched.left < tick - _RACE:
                del port.watched[connection]
            if connection.ip_version != version or number(connection.delegated, "state") not in _COUNTED_STATES:
                continue
            if watched.left is not None and watched.left < tick - _RACE:
                continue
            if connection.stage is Stage.GONE and watched.left is None:
                continue  # was never offloaded
            high += 1
            perhaps = watched.perhaps_left or watched.left is not None or connection.troubled
            low += connection.published and not perhaps and not connection.disconnects
        self.check("CH-018", low <= value <= high, f"CurrentlyEstablished is {value}, must be {low} to {high}")
