"""Section 9.3, clocks: timers and timestamps that go on where the host left them.

A timer is watched only while nothing else can move it: no frame comes in, no call but sends and queries is made on
the connection, no event is raised. It may be early by `_EARLY`, late by `_LATE` record ticks, from the call at the
earliest and from its completion at the latest. Names: ``retransmit_timeout_delta``, ``retransmit_count``,
``keep_alive_timeout_delta``. Setting ``ticks_per_second`` of the record ticks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import ClassVar, Final

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.offload_books import Face, Offloaded, Stage, depth_first, difference, number
from tb.monitors.contract.offload_monitor import BookMonitor
from tb.monitors.contract.trace import Enter, Frame, Record, Tree
from tb.monitors.wire_headers import RST, WireSegment

_EARLY: Final = 5
_LATE: Final = 20
_STAMP_SLACK: Final = 10
"""Host ticks by which the first timestamp may be off: a frame waits in the target, clocks have grains."""
_RESTS: Final = Fraction(1, 10)
"""Seconds for which a timer that was not running does not fire: far less than any retransmission timeout."""
_LONGEST: Final = 60
"""Seconds: a backed-off timeout may be capped here (RFC 2988 2.5)."""
_BACKOFFS: Final = 6
"""Doublings that are looked at, at most."""
_NEVER: Final = 1 << 62


@dataclass(eq=False)
class _Watch:
    """A timer that was handed over. Record ticks."""

    rule: str
    kind: str
    earliest: int
    latest: int
    told: str
    """The handed-over value in words."""
    probed: int | None = None
    """Persist: tick of the first probe."""


class InitiateTimers(BookMonitor):
    """Timers of the delegated state, TsTime."""

    RING_ENTRIES: ClassVar[bool] = True  # for their ticks

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-066": "a timer resumes with its remaining ticks: -1 does not run, 0 fires at once",
        "CH-067": "in FinWait2 the remaining ticks of Retransmit run the FIN_WAIT_2 timer",
        "CH-068": "with a zero window they run the persist timer, and the probes go on as many as they were",
        "CH-073": "timestamps go on from TsTime",
    }

    def __init__(self) -> None:
        super().__init__()
        self._watches: dict[Offloaded, _Watch] = {}
        self._fired_early: dict[Offloaded, int] = {}
        """Tick at which a retransmission went out before the initiate was completed."""
        self._unstamped: set[Offloaded] = set()
        self._next: int = _NEVER
        """No watch ends before this tick."""

    def see(self, face: Face, record: Record) -> None:
        """See timers fire, or fail to."""
        if record.tick > self._next:
            self._expire(record.tick)
        if face.layer != 0:
            return
        if isinstance(record, Frame):
            found = face.of_frame(record) if not record.raw else None
            if found is None:
                return
            if record.sent:
                self._stamped(face, found[0], found[1], record.tick)
                self._sent(face, found[0], found[1], record.tick)
            else:
                self._watches.pop(found[0], None)
        elif isinstance(record, Enter):
            self._entered(face, record)

    def _entered(self, face: Face, record: Enter) -> None:
        connection = face.connection(record.target)
        watch = self._watches.get(connection) if connection is not None else None
        if record.function == ndis.EVENT:
            self._event(face, record)
        elif connection is not None and watch is not None:
            moved = record.function in (ndis.DISCONNECT, ndis.FORWARD)
            if moved or (record.function == ndis.SEND and watch.kind == "keepalive"):
                del self._watches[connection]
        elif record.function == ndis.OID and record.flags & 1:
            self._watches.clear()
        elif record.function in (ndis.UPDATE, ndis.INVALIDATE, ndis.TERMINATE) and record.tree is not None:
            self._moved(face, record.tree)

    def _moved(self, face: Face, tree: Tree) -> None:
        named = {found for node, _ in depth_first(tree) if (found := face.named(node)) is not None}
        for connection in list(self._watches):
            path = connection.parent
            if named & {connection, path, path.parent if path is not None else None}:
                del self._watches[connection]

    def seen(self, face: Face, record: Record) -> None:
        """Take up connections: stamps from the call on, timers from its completion on."""
        if face.layer != 0 or not isinstance(record, Enter) or record.tree is None:
            return
        if record.function == ndis.INITIATE:
            new = face.calls[record.tree.root].new.values()
            self._unstamped.update(one for one in new if "ts_time" in one.delegated)
        elif record.function == ndis.INITIATED and face.frames:
            for connection in face.returning.get(record.call, ()):
                if connection.level == ndis.TCP_LEVEL and not connection.heard and not connection.events:
                    self._start(face, connection)

    def finish(self) -> None:
        """Timers that should have fired by now."""
        self._expire(self._now.tick)

    # --- timers ----------------------------------------------------------------------------------------

    def _start(self, face: Face, connection: Offloaded) -> None:
        state, rate = connection.delegated, face.host_rate
        if rate is None or connection.completed is None or not state:
            return
        una = number(state, "snd_una")
        flight, sent = (difference(number(state, name, una), una) for name in ("snd_nxt", "snd_max"))
        queued = max(sent, sum(nbl.data_length for nbl in connection.chain))
        name = "retransmit_timeout_delta"
        if number(state, "state") == ndis.FIN_WAIT_2:
            rule, kind = "CH-067", "fin_wait_2"
        elif number(state, "snd_wnd", 1) == 0 and queued > 0:
            rule, kind = "CH-068", "persist"
        elif flight > 0 and number(state, "snd_wnd", 1) > 0:
            rule, kind = "CH-066", "retransmit"
        elif queued == 0 and number(connection.cached, "flags") & ndis.KEEP_ALIVE_ENABLED:
            rule, kind, name = "CH-066", "keepalive", "keep_alive_timeout_delta"
        else:
            return
        left = state.get(name)
        if not isinstance(left, int):
            return
        began, completed = connection.began, connection.completed
        early = self._fired_early.pop(connection, None)
        if early is not None and kind == "retransmit":
            text = f"retransmit timer with {left:#x} ticks left at tick {began} fired at tick {early}"
            self.check(rule, left != ndis.NOT_RUNNING and early >= began + floor(left / rate) - _EARLY, text)
            return
        if left != ndis.NOT_RUNNING:
            earliest = began + floor(left / rate) - _EARLY
            watch = _Watch(rule, kind, earliest, completed + ceil(left / rate) + _LATE, f"{left} ticks left")
        elif kind == "retransmit":
            rests = floor(_RESTS * number(face.settings, "ticks_per_second", 1000))
            watch = _Watch(rule, kind, completed + rests, _NEVER, "a timer that was not running")
        else:
            return
        self._watches[connection] = watch
        self._next = min(self._next, watch.latest)

    def _expire(self, tick: int) -> None:
        for connection, watch in list(self._watches.items()):
            if tick > watch.latest:
                del self._watches[connection]
                since = connection.completed
                text = f"{watch.kind} timer with {watch.told} at tick {since} has not fired at tick {tick}"
                self.breach(watch.rule, text)
        self._next = min((watch.latest for watch in self._watches.values()), default=_NEVER)

    def _fired(self, connection: Offloaded, watch: _Watch, tick: int) -> None:
        since = connection.began
        text = f"{watch.kind} timer with {watch.told} at tick {since} fired at tick {tick}"
        if watch.latest == _NEVER:
            if tick < watch.earliest:
                self.breach(watch.rule, text)
            else:
                self.trigger(watch.rule)
        else:
            self.check(watch.rule, tick >= watch.earliest, text)
        self._watches.pop(connection, None)

    def _sent(self, face: Face, connection: Offloaded, segment: WireSegment, tick: int) -> None:
        watch = self._watches.get(connection)
        start = difference(segment.sequence, number(connection.delegated, "snd_una"))
        oldest = start <= 0 < start + segment.length
        if connection.stage is Stage.OFFLOADING and oldest:
            self._fired_early.setdefault(connection, tick)
        if watch is None or segment.flags & RST:
            return
        probe = start == -1 and segment.payload_length <= 1
        if watch.kind == "persist" and segment.length:
            self._probed(face, connection, watch, tick)
        elif {"retransmit": oldest, "keepalive": probe}.get(watch.kind, False):
            self._fired(connection, watch, tick)

    def _probed(self, face: Face, connection: Offloaded, watch: _Watch, tick: int) -> None:
        """The first probe ends the handed-over time; the second comes after RTO << Count."""
        if watch.probed is None:
            self._fired(connection, watch, tick)
            watch.probed, watch.latest = tick, _NEVER
            self._watches[connection] = watch
            return
        state, rate = connection.delegated, face.host_rate or Fraction(1)
        timeout = Fraction(number(state, "s_rtt"), 8) + number(state, "rtt_var")
        timeout = (timeout * 2 ** min(number(state, "retransmit_count"), _BACKOFFS)) / rate
        longest = _LONGEST * number(face.settings, "ticks_per_second", 1000)
        least = min(floor(timeout * Fraction(9, 10)), longest) - _EARLY
        gap = tick - watch.probed
        text = f"the second probe follows after {gap} ticks, RTO << Count is at least {least}"
        self.check("CH-068", gap >= least, text)
        del self._watches[connection]

    def _event(self, face: Face, record: Enter) -> None:
        connection = face.by_handle.get(record.target) if record.target is not None else None
        watch = self._watches.get(connection) if connection is not None else None
        if connection is None or watch is None:
            return
        exhausted = record.event == ndis.RETRIEVE_EVENT and record.info == ndis.TIMEOUT_EXPIRATION
        if exhausted and watch.probed is None:
            self._fired(connection, watch, record.tick)
        self._watches.pop(connection, None)

    # --- timestamps ------------------------------------------------------------------------------------

    def _stamped(self, face: Face, connection: Offloaded, segment: WireSegment, tick: int) -> None:
        if connection not in self._unstamped or segment.stamps is None:
            return
        self._unstamped.discard(connection)
        rate = face.host_rate
        if rate is None or not number(connection.const, "flags") & ndis.TIMESTAMPS:
            return
        given = number(connection.delegated, "ts_time")
        gone = difference(segment.stamps[0], given)
        least = 0 if connection.completed is None else floor((tick - connection.completed) * rate)
        most = ceil((tick - connection.began) * rate)
        text = f"the first timestamp is TsTime + {gone}, must be TsTime + {least} to {most}"
        self.check("CH-073", least - _STAMP_SLACK <= gone <= most + _STAMP_SLACK, text)
