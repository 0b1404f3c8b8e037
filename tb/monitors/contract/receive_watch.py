"""A monitor with books: keeps them for every face, and tells its subclass what happened in terms of connections.

Rules of the target are judged at layer 0 only, rules of the host (`HOST_RULES`) at the topmost layer of an adapter.
Rules that say something must happen set a time with `expect`: they are looked at when the trace has passed it, and
only then. Ticks up to `LATE` between a cause and what a target does about it are never held against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from tb.monitors.contract.acceptance import STALL
from tb.monitors.contract.monitor import Desk, Monitor
from tb.monitors.contract.receive_books import PROMPT, Books, Connection, Item, Parameters, Shared
from tb.monitors.contract.receive_desk import (
    CROWD,
    LATE,
    QUERY_COMPLETE,
    RACE,
    TERMINATE_COMPLETE,
    ReceiveDesk,
)
from tb.monitors.contract.receive_reach import Reach
from tb.monitors.contract.receive_segments import Segment
from tb.monitors.contract.receive_stream import Arrival
from tb.monitors.contract.trace import Enter, Frame, Leave, List, Node, PassedUp, Record, Setting, Value

__all__ = ["CROWD", "LATE", "PROMPT", "QUERY_COMPLETE", "RACE", "STALL", "TERMINATE_COMPLETE", "BookedMonitor"]


class BookedMonitor(Monitor):
    """Base of the monitors of receive, events and timers. Subclasses override the hooks they need."""

    DESK: ClassVar[type[Desk]] = ReceiveDesk
    desk: ReceiveDesk

    HOST_RULES: ClassVar[frozenset[str]] = frozenset()

    # --- what subclasses use ---------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Tick of the record that is looked at."""
        return self.desk.record.tick

    @property
    def adapter(self) -> str:
        """Adapter of what is looked at."""
        return self.desk.adapter

    def books(self, record: Record) -> Books:
        """Books of the face of a record."""
        return self.desk.books(record)

    def parameter(self, name: str) -> int | None:
        """A variable of OID_TCP_CONNECTION_OFFLOAD_PARAMETERS; None if the host set none on this adapter."""
        return self.desk.parameter(name)

    def setting(self, name: str) -> Value:
        """What a `Setting` of this adapter said last."""
        return self.desk.settings.get((self.desk.adapter, name))

    @property
    def ticks_per_second(self) -> int:
        """Host clock; 1000 unless the host said otherwise (3.8)."""
        return self.parameter("ticks_per_second") or 1000

    @property
    def uploading(self) -> bool:
        """The target indicated NDIS_STATUS_UPLOAD_ALL and not yet NDIS_STATUS_OFFLOAD_RESUME."""
        return self.desk.uploading

    @property
    def crowded(self) -> bool:
        """So many frames came in this tick that the NIC may have dropped one."""
        return self.desk.crowded

    def expect(self, tick: int, look: Callable[[], None], conn: Connection | None = None) -> None:
        """Call ``look`` once the trace has passed ``tick``, see `ReceiveDesk.expect`."""
        self.desk.expect(tick, look, conn)

    def known_by(self, reach: Reach) -> int:
        """Ticks after which it is known what was taken, and what is owed at once is there: text is acknowledged."""
        delay = self.parameter("tcp_delayed_ack_ticks") or 0
        return PROMPT + delay + STALL if reach.waits else PROMPT

    def finish(self) -> None:
        """What was due when the run ended is judged."""
        self.desk.judge_due()

    def trigger(self, rule: str, *, seen: bool = False) -> None:
        if self._speaks(rule):
            super().trigger(rule, seen=seen)

    def breach(self, rule: str, text: str) -> None:
        if self._speaks(rule):
            super().breach(rule, text)

    def _speaks(self, rule: str) -> bool:
        return self.desk.top if rule in self.HOST_RULES else self.desk.layer == 0

    # --- hooks -----------------------------------------------------------------------------------------

    def called(self, enter: Enter) -> None:
        """A call begins; the books do not know it yet."""

    def returned(self, enter: Enter, leave: Leave) -> None:
        """A call returned; the books know it."""

    def offloaded(self, conn: Connection, node: Node) -> None:
        """The initiate completion of a connection began."""

    def released(self, conn: Connection) -> None:
        """The initiate completion of a connection returned."""

    def updated(self, held: Connection | Shared, cached: Parameters | None) -> None:
        """An update completed: new cached variables, None if it failed."""

    def invalidated(self, held: Connection | Shared) -> None:
        """An invalidate call named the object."""

    def reported(self, held: Connection | Shared, node: Node, asked: int, terminated: bool) -> None:
        """A query or terminate completed with ``node``; it was called at tick ``asked``."""

    def terminating(self, conn: Connection) -> None:
        """A terminate call named the connection."""

    def removed(self, held: Connection | Shared, node: Node) -> None:
        """The terminate completed; after `reported`, the books have forgotten it."""

    def posted(self, item: Item) -> None:
        """An NBL was submitted."""

    def completed(self, kind: str, item: Item | None, done: List, head: bool) -> None:
        """An NBL came back; ``head``: it was the oldest of its kind. It is out of the queues, its bytes not counted."""

    def settled(self, conn: Connection, kind: str) -> None:
        """All NBLs of a completion call that belong to the connection were looked at."""

    def indicating(self, conn: Connection, enter: Enter) -> None:
        """NdisTcpOffloadReceiveHandler was called."""

    def indicated(self, conn: Connection, enter: Enter, leave: Leave, consumed: int) -> None:
        """It returned; ``consumed`` bytes are not counted yet."""

    def after_call(self, conn: Connection) -> None:
        """A completion or an indication of the connection returned."""

    def event(self, conn: Connection, event: int, info: int) -> None:
        """NdisTcpOffloadEventHandler was called; the books know it."""

    def segment_in(self, conn: Connection, seg: Segment) -> None:
        """A segment with right checksums came in; the books do not know it yet."""

    def segment_taken(self, conn: Connection, seg: Segment, new: list[Arrival]) -> None:
        """The books know it now: data that is without a gap."""

    def segment_out(self, conn: Connection, seg: Segment) -> None:
        """The NIC sends a segment; the books do not know it yet."""

    def segment_sent(self, conn: Connection, seg: Segment) -> None:
        """The books know it now."""

    def frame_in(self, frame: Frame) -> None:
        """Any frame came in (before the books)."""

    def frame_out(self, frame: Frame) -> None:
        """Any frame went out (before the books)."""

    def passed_up(self, record: PassedUp) -> None:
        """A frame went to the host on the ordinary path."""

    def told(self, record: Setting) -> None:
        """A setting."""
