"""Section 9.1 without its statistics: registration, capabilities, pause, upload of everything, resume, power, ticks.

Payloads by field name: NdisSetOptionalHandlers ``type``; NdisMGetOffloadHandlers on entry ``chimney_type``, on return
``type``, ``revision``, ``size`` of the table; NdisMSetMiniportAttributes, NDIS_STATUS_OFFLOAD_RESUME and the
capability OIDs the fields of NDIS_TCP_CONNECTION_OFFLOAD, before a dot the name of the structure if there are two;
OID_PNP_SET_POWER one number, the NDIS_DEVICE_POWER_STATE.
Settings: ``ticks_per_second`` of the record ticks, ``capacity``, ``completion_ticks``, ``pointer_size``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.face_items import GRACE
from tb.monitors.contract.offload_books import Face, Offloaded, Stage, difference, number
from tb.monitors.contract.offload_monitor import BookMonitor, Section, rules_of
from tb.monitors.contract.registration_statistics import Statistics
from tb.monitors.contract.trace import Enter, Frame, Leave, Record, Value
from tb.monitors.wire_headers import ACK, WireSegment

NOT_APPLICABLE: Final[dict[str, str]] = {}

_PROVIDERS: Final = frozenset({0x8F, 0x94})
"""NDIS_OBJECT_TYPE of the generic and of the TCP provider characteristics."""
_REGISTER: Final = "NdisSetOptionalHandlers"
_OPTIONS: Final = "MiniportSetOptions"
_START: Final = "MiniportInitializeEx"
_HALT: Final = "MiniportHaltEx"
_ATTRIBUTES: Final = "NdisMSetMiniportAttributes"
_TABLE: Final = "NdisMGetOffloadHandlers"
_OID_DONE: Final = "NdisMOidRequestComplete"
_TCP_CHIMNEY: Final = 1
_ENTRY_POINTS: Final = 6
"""Behind the header, which takes the room of one pointer."""
_THROUGH_TABLE: Final = frozenset({ndis.EVENT, ndis.INDICATE, *ndis.COMPLETIONS})
_NOT_SUPPORTED: Final = 0xC00000BB
_PAUSED: Final = 0xC023002A
_CAPABILITIES_STATUS: Final = 0x4002000B
_TCP_ENTRIES: Final = 0xC0231004
_OID_SET_POWER: Final = 0xFD010101
_OID_SWITCHES: Final = 0xFC01020C
_OID_CURRENT: Final = 0xFC01020E
_OID_HARDWARE: Final = 0xFC01020F
_D0: Final = 1
_ENCAPSULATIONS: Final = 0x02 | 0x10
_SUPPORTED: Final = 1
_LEGAL_RATES: Final = frozenset({10, 100, 1000})
_RATE_SPAN: Final = 50
"""Record ticks between two timestamps from which a rate is judged."""
_RATE_SLACK: Final = 2
"""Host ticks by which two timestamps may lie off their distance in time, and 5 percent, and what waited (GRACE)."""
_UPLOADED: Final = frozenset({ndis.SUCCESS, ndis.UPLOAD_IN_PROGRESS, ndis.REQUEST_ABORTED})


def capabilities(buffer: Mapping[str, Value]) -> dict[str, dict[str, int]]:
    """The NDIS_TCP_CONNECTION_OFFLOAD structures of a payload by name, "" for the only one."""
    found: dict[str, dict[str, int]] = {}
    for name, value in buffer.items():
        structure, _, variable = name.rpartition(".")
        if isinstance(value, int):
            found.setdefault(structure, {})[variable] = value
    return {name: report for name, report in found.items() if "encapsulation" in report}


@dataclass
class _Adapter:
    """What was said when an adapter started."""

    starts: int = 0
    providers: list[int] = field(default_factory=list)
    table: bool = False
    looked: bool = False
    """The first call through the table was judged."""
    reports: dict[str, dict[str, int]] = field(default_factory=dict)
    capacity: int | None = None


class Registration(BookMonitor):
    """Registration and the announcement of capabilities."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-001": "the generic and the TCP provider structure are registered, once each, before an adapter starts",
        "CH-002": "TCP calls up are made only after a valid table of entry points for type 1 was obtained",
        "CH-003": "any other chimney type is answered NOT_SUPPORTED, without a table",
        "CH-004": "a reported chimney names IEEE 802.3 or LLC/SNAP routed encapsulation",
        "CH-005": "a reported chimney supports IPv4 or IPv6",
        "CH-006": "no connection is refused for want of entries below the reported capacity",
        "CH-008": "capabilities that differ from the last report are announced by a resume after a pause only",
        "CH-014": "leaving D0 is not reported SUCCESS while something is offloaded, or being offloaded",
    }

    def __init__(self) -> None:
        super().__init__()
        self._adapters: dict[str, _Adapter] = {}
        self._options: set[str] = set()
        """Adapters whose driver is inside MiniportSetOptions."""
        self._options_seen = False
        self._peak: dict[tuple[Face, int], int] = {}
        """Most entries that were in use at a time since an initiate began, by its root."""

    def see(self, face: Face, record: Record) -> None:
        """Look at what a target says of itself."""
        if isinstance(record, Leave):
            self._returned(face, record)
        if not isinstance(record, Enter) or record.layer != 0:
            return
        adapter = self._adapters.setdefault(record.adapter, _Adapter())
        function = record.function
        if function == _OPTIONS:
            self._options_seen = True
            self._options.add(record.adapter)
        elif function == _REGISTER:
            self._registered(adapter, record)
        elif function == _START:
            self._started(adapter)
        elif function == _HALT:
            adapter.table, adapter.looked, adapter.reports = False, False, {}
        elif function == _ATTRIBUTES:
            self._attributes(adapter, record)
        elif function == ndis.STATUS:
            self._indicated(face, adapter, record)
        elif function in _THROUGH_TABLE and adapter.starts and not adapter.looked:
            adapter.looked = True
            self.check("CH-002", adapter.table, f"{function} without a valid table of entry points")
        elif function == _OID_DONE:
            self._oid_answered(face, adapter, record.oid, record.flags, record.status or 0, record.buffer)
        elif function == ndis.OID and record.oid == _OID_SWITCHES and record.flags & 1:
            adapter.reports = {}
        if function == ndis.INITIATED:
            self._filled(face, adapter, record)

    def seen(self, face: Face, record: Record) -> None:
        """Note how many entries are in use while initiates are in progress."""
        if not isinstance(record, Enter) or record.layer != 0 or record.tree is None:
            return
        if record.function == ndis.INITIATE:
            self._peak[face, record.tree.root] = 0
            used = self._in_use(face)
            for key in self._peak:
                if key[0] is face:
                    self._peak[key] = max(self._peak[key], used)

    def _registered(self, adapter: _Adapter, record: Enter) -> None:
        kind = number(record.buffer, "type")
        if kind not in _PROVIDERS:
            return
        adapter.providers.append(kind)
        if adapter.starts:
            self.breach("CH-001", f"provider structure {kind:#x} is registered after the adapter started")
        elif self._options_seen and record.adapter not in self._options:
            self.breach("CH-001", f"provider structure {kind:#x} is registered outside MiniportSetOptions")

    def _started(self, adapter: _Adapter) -> None:
        adapter.starts += 1
        if adapter.starts > 1:
            return
        known = adapter.providers or [kind for other in self._adapters.values() for kind in other.providers]
        shown = ", ".join(f"{kind:#x}" for kind in known)
        self.check("CH-001", sorted(known) == sorted(_PROVIDERS), f"provider structures are [{shown}]")

    def _returned(self, face: Face, record: Leave) -> None:
        entered = face.open.get(record.call)
        if entered is None:
            return
        if entered.function == _TABLE:
            self._table(face, entered, record)
        elif entered.function == _OPTIONS:
            self._options.discard(record.adapter)
        elif entered.function == ndis.OID and face.layer == 0 and record.result != ndis.PENDING:
            adapter = self._adapters.setdefault(record.adapter, _Adapter())
            buffer = record.buffer or entered.buffer
            self._oid_answered(face, adapter, entered.oid, entered.flags, record.result or 0, buffer)

    def _table(self, face: Face, entered: Enter, record: Leave) -> None:
        kind = number(entered.buffer, "chimney_type", _TCP_CHIMNEY)
        if kind != _TCP_CHIMNEY:
            refused = record.result == _NOT_SUPPORTED and not any(record.buffer.values())
            self.check("CH-003", refused, f"type {kind} is answered {record.result or 0:#x} with {dict(record.buffer)}")
        elif face.layer == 0:
            size = (1 + _ENTRY_POINTS) * number(face.settings, "pointer_size", 8)
            table = record.buffer
            valid = number(table, "type") == _TCP_CHIMNEY and number(table, "revision") >= 1
            adapter = self._adapters.setdefault(record.adapter, _Adapter())
            adapter.table = record.result == ndis.SUCCESS and valid and number(table, "size") >= size

    # --- capabilities ----------------------------------------------------------------------------------

    def _attributes(self, adapter: _Adapter, record: Enter) -> None:
        for structure, report in capabilities(record.buffer).items():
            self._reported(adapter, "hardware" if "hardware" in structure else "current", report, announced=False)

    def _indicated(self, face: Face, adapter: _Adapter, record: Enter) -> None:
        if record.status not in (ndis.RESUME, _CAPABILITIES_STATUS):
            return
        resumed = record.status == ndis.RESUME and face.paused
        for report in capabilities(record.buffer).values():
            name = "hardware" if record.status == _CAPABILITIES_STATUS else "current"
            self._reported(adapter, name, report, announced=resumed)
            if resumed:
                adapter.reports.pop("hardware", None)

    def _oid_answered(
        self, face: Face, adapter: _Adapter, oid: int, flags: int, status: int, buffer: Mapping[str, Value]
    ) -> None:
        if oid == _OID_SET_POWER and flags & 1:
            asked = buffer or next((e.buffer for e in face.open.values() if e.oid == oid), {})
            state = next((value for value in asked.values() if isinstance(value, int)), None)
            self._powered(face, state, status)
        elif oid in (_OID_CURRENT, _OID_HARDWARE) and not flags & 1 and status == ndis.SUCCESS:
            for report in capabilities(buffer).values():
                name = "hardware" if oid == _OID_HARDWARE else "current"
                self._reported(adapter, name, report, announced=face.paused)

    def _reported(self, adapter: _Adapter, name: str, report: dict[str, int], announced: bool) -> None:
        if report.get("tcp_connection_offload_capacity", 1):
            kinds = report["encapsulation"]
            self.check("CH-004", bool(kinds & _ENCAPSULATIONS), f"encapsulation is reported as {kinds:#x}")
            ip = [report.get(f"support_ipv{version}", 0) for version in (4, 6)]
            self.check("CH-005", _SUPPORTED in ip, "neither IPv4 nor IPv6 is reported as supported")
        last = adapter.reports.get(name)
        if last is not None:
            changed = [variable for variable in report if report[variable] != last.get(variable, report[variable])]
            if changed:
                self.check("CH-008", announced, f"{', '.join(changed)} changed without pause and resume")
        adapter.reports[name] = report
        if name == "current" or adapter.capacity is None:
            adapter.capacity = report.get("tcp_connection_offload_capacity", adapter.capacity)

    def _powered(self, face: Face, state: int | None, status: int) -> None:
        if state in (None, _D0) or status != ndis.SUCCESS:
            return
        left, coming = len(face.objects), sum(call.function == ndis.INITIATE for call in face.calls.values())
        text = f"power state {state} is reported SUCCESS with {left} objects offloaded, {coming} initiates in progress"
        self.check("CH-014", not (left or coming), text)

    # --- capacity --------------------------------------------------------------------------------------

    @staticmethod
    def _in_use(face: Face) -> int:
        """Connections offloaded, or being offloaded: the most that can be in the tables now."""
        return face.live_connections + sum(
            new.level == ndis.TCP_LEVEL for call in face.calls.values() for new in call.new.values()
        )

    def _filled(self, face: Face, adapter: _Adapter, record: Enter) -> None:
        capacity = adapter.capacity or number(face.settings, "capacity")
        call = face.state_call(record)
        if call is None or record.tree is None or not capacity:
            return
        nodes = record.tree.nodes
        connections = [ident for ident, new in call.new.items() if new.level == ndis.TCP_LEVEL and ident in nodes]
        ends = [nodes[ident].status for ident in connections]
        refused = sum(status not in ndis.OFFLOADED for status in ends)
        most = max(self._peak.pop((face, record.tree.root), 0), self._in_use(face)) - refused
        if _TCP_ENTRIES in ends:
            self.check("CH-006", most >= capacity, f"no entry for a connection with {most} of {capacity} in use")
        elif most >= capacity:
            self.trigger("CH-006")


@dataclass(slots=True)
class _Window:
    """What was sent and acknowledged on a connection, and the peer's last window."""

    sent: int
    acknowledged: int
    window: int

    @property
    def idle(self) -> bool:
        """Nothing is in flight, and the peer takes data."""
        return self.window > 0 and self.sent == self.acknowledged


@dataclass
class _Pause:
    """What the host and the target did in a pause."""

    tick: int
    before: frozenset[Offloaded]
    uploading: bool = False
    sends: dict[Offloaded, int] = field(default_factory=dict)
    """Idle connections with room to send, by tick of a send in the pause."""


class Pausing(BookMonitor):
    """Pause, upload of everything, resume."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-009": "an initiate that meets a pause is completed, at the latest after the resume",
        "CH-010": "offloaded connections send and complete requests through a pause as always",
        "CH-011": "while everything is uploaded sends end SUCCESS, UPLOAD_IN_PROGRESS or REQUEST_ABORTED, never PAUSED",
        "CH-012": "the host answers UPLOAD_ALL by terminating every object and by no new offload",
        "CH-013": "the host offloads nothing between pause and resume",
    }

    def __init__(self) -> None:
        super().__init__()
        self._pauses: dict[Face, _Pause] = {}
        self._leaving: dict[Face, set[Offloaded]] = {}
        """Objects that UPLOAD_ALL found."""
        self._uploads: dict[Face, int] = {}
        self._told: dict[Face, int] = {}
        """Status that the host has been told, once the indication returned."""
        self._windows: dict[Offloaded, _Window] = {}

    def see(self, face: Face, record: Record) -> None:
        """Follow pauses and what happens in them."""
        if isinstance(record, Enter):
            self._entered(face, record)
        elif isinstance(record, Leave):
            entered = face.open.get(record.call)
            if entered is not None and entered.function == ndis.STATUS and self.is_top(face):
                self._host_knows(face, entered.status)
        elif isinstance(record, Frame) and not record.raw and (found := face.of_frame(record)) is not None:
            self._framed(face, *found, sent=record.sent)

    def _framed(self, face: Face, connection: Offloaded, segment: WireSegment, sent: bool) -> None:
        window = self._window(connection)
        if sent:
            window.sent = max(window.sent, difference(segment.sequence + segment.length, self._una(connection)))
            pause = self._pauses.get(face)
            if pause is not None and pause.sends.pop(connection, None) is not None:
                self.trigger("CH-010")
        elif segment.flags & ACK:
            window.window = segment.window
            new = difference(segment.acknowledgment, self._una(connection))
            window.acknowledged = max(window.acknowledged, new)

    def _window(self, connection: Offloaded) -> _Window:
        window = self._windows.get(connection)
        if window is None:
            state = connection.delegated
            first = difference(number(state, "snd_max"), self._una(connection))
            window = self._windows[connection] = _Window(first, 0, number(state, "snd_wnd"))
        return window

    @staticmethod
    def _una(connection: Offloaded) -> int:
        return number(connection.delegated, "snd_una")

    def _entered(self, face: Face, record: Enter) -> None:
        if record.function == ndis.STATUS:
            self._indicated(face, record)
        elif record.function == ndis.INITIATE:
            if self.is_top(face):
                self._host_initiates(face)
            if face.layer == 0 and face.paused:
                self.trigger("CH-009")
        elif face.layer == 0 and face in self._pauses:
            if record.function == ndis.SEND:
                self._sends(face, record)
            elif record.function in ndis.COMPLETIONS:
                self._completes(face, record)

    def _indicated(self, face: Face, record: Enter) -> None:
        if record.status == ndis.PAUSE:
            running = frozenset(o for o in face.objects.values() if o.level == ndis.TCP_LEVEL)
            self._pauses.setdefault(face, _Pause(record.tick, running))
        elif record.status == ndis.UPLOAD_ALL:
            pause = self._pauses.setdefault(face, _Pause(record.tick, frozenset()))
            pause.uploading = True
            pause.sends.clear()
            if self.is_top(face):
                self._leaving.setdefault(face, set()).update(face.objects.values())
                self._uploads[face] = record.tick
        elif record.status == ndis.RESUME:
            self._stalled(face, self._pauses.pop(face, None), record.tick)
            self._told.pop(face, None)

    def _host_knows(self, face: Face, status: int | None) -> None:
        if status == ndis.PAUSE and face.paused:
            self.trigger("CH-013")
            self._told.setdefault(face, status)
        elif status == ndis.UPLOAD_ALL and face.paused:
            self.trigger("CH-012")
            self._told[face] = status

    def _host_initiates(self, face: Face) -> None:
        told = self._told.get(face)
        if told == ndis.UPLOAD_ALL:
            self.breach("CH-012", "an offload is started while everything is being uploaded")
        elif told == ndis.PAUSE:
            self.breach("CH-013", "an offload is started before the resume")

    def _sends(self, face: Face, record: Enter) -> None:
        pause, connection = self._pauses[face], face.connection(record.target)
        if pause.uploading or connection is None or connection.troubled or not face.frames:
            return
        idle = not any(owned.owner is connection and owned.kind == "send" for owned in face.owned.values())
        if idle and not connection.disconnects and self._window(connection).idle:
            pause.sends.setdefault(connection, record.tick)

    def _completes(self, face: Face, record: Enter) -> None:
        pause, kind = self._pauses[face], ndis.COMPLETIONS[record.function]
        for nbl in record.lists:
            owned = face.owned.get(nbl.ident)
            if owned is None or owned.kind != kind:
                continue
            if pause.uploading:
                if kind == "send":
                    right = nbl.status in _UPLOADED
                    self.check("CH-011", right, f"send {nbl.ident} ends {nbl.status or 0:#x} while all is uploaded")
                continue
            if owned.owner is not None and not owned.owner.troubled and owned.owner in pause.before:
                right = nbl.status not in (ndis.UPLOAD_IN_PROGRESS, _PAUSED)
                self.check("CH-010", right, f"{kind} {nbl.ident} ends {nbl.status or 0:#x} because of a pause")

    def _stalled(self, face: Face, pause: _Pause | None, tick: int) -> None:
        for connection, since in (pause.sends if pause is not None else {}).items():
            if tick - since > face.grace and connection.stage is Stage.LIVE and not connection.troubled:
                self.breach("CH-010", f"nothing was sent for {tick - since} ticks of a pause, with data and window")

    def finish(self) -> None:
        """What pauses and uploads left undone."""
        tick = self._now.tick
        for face, pause in self._pauses.items():
            self._stalled(face, pause, tick)
        for face, objects in self._leaving.items():
            left = [o for o in objects if o.stage is Stage.LIVE and not o.terminate_asked]
            if left and tick - self._uploads[face] > face.grace:
                self.breach("CH-012", f"{len(left)} objects were not terminated after UPLOAD_ALL")
        for face in self.books.faces.values():
            for call in face.calls.values():
                waited = tick - max(call.tick, face.resumed)
                queued = face.layer == 0 and call.function == ndis.INITIATE and call.while_paused
                if queued and not face.paused and waited > face.grace:
                    self.breach("CH-009", f"the initiate of tick {call.tick} was not completed after the resume")


class HostTicks(BookMonitor):
    """Times count in the ticks that the host set."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-007": "timestamps advance by TicksPerSecond, as set last (and one of 10, 100, 1000)",
    }

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[Offloaded, tuple[int, int]] = {}
        """A timestamp of each connection and its tick, of the present rate."""

    def see(self, face: Face, record: Record) -> None:
        """Compare timestamps on the wire and in the states that come back."""
        if face.layer != 0:
            return
        if isinstance(record, Frame):
            if record.sent and not record.raw and (found := face.of_frame(record)) is not None:
                connection, segment = found
                if segment.stamps is not None and connection.live:
                    self._stamp(face, connection, segment.stamps[0], record.tick)
        elif isinstance(record, Enter):
            if record.function == ndis.OID and record.oid == ndis.OID_PARAMETERS and record.flags & 1:
                self._first.clear()
                rate = number(record.buffer, "ticks_per_second")
                if rate and rate not in _LEGAL_RATES:
                    self.breach("CH-007", f"TicksPerSecond is set to {rate}")
            elif record.function in (ndis.QUERIED, ndis.TERMINATED) and record.tree is not None:
                for node in record.tree.nodes.values():
                    found_object = face.named(node)
                    stamp = (node.delegated or {}).get("ts_time")
                    if found_object is not None and isinstance(stamp, int) and node.status == ndis.SUCCESS:
                        self._stamp(face, found_object, stamp, record.tick)

    def _stamp(self, face: Face, connection: Offloaded, value: int, tick: int) -> None:
        rate = face.host_rate if number(connection.const, "flags") & ndis.TIMESTAMPS else None
        if rate is None:
            return
        first = self._first.setdefault(connection, (value, tick))
        passed = tick - first[1]
        if passed < _RATE_SPAN or tick - face.parameters_tick < _RATE_SPAN:
            return
        expected, parts = passed * rate.numerator, rate.denominator  # host ticks times parts
        advanced = difference(value, first[0])
        waited = GRACE * rate.numerator  # either frame may have been built so long before it left
        off, slack = abs(advanced * parts - expected), _RATE_SLACK * parts + waited + expected // 20
        text = f"a timestamp advanced by {advanced} in {passed} record ticks, {expected / parts:.0f} expected"
        self.check("CH-007", off <= slack, text)


class RegistrationRules(Section):
    """Section 9.1."""

    PARTS: ClassVar[tuple[type[BookMonitor], ...]] = (
        Registration,
        Pausing,
        HostTicks,
        Statistics,
    )
    RULES: ClassVar[Mapping[str, str]] = rules_of(PARTS)
