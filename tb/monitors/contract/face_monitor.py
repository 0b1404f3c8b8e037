"""A monitor of calls, requests and frames at every face: it is told what happened in the words of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from tb.monitors.contract.face_books import Face
from tb.monitors.contract.face_desk import FaceDesk, Returned
from tb.monitors.contract.face_items import Connection, Item, Request, StateCall
from tb.monitors.contract.monitor import Desk, Monitor
from tb.monitors.contract.stream_books import Wire
from tb.monitors.contract.trace import Counters, Enter, Leave, Value

__all__ = ["FaceMonitor", "Returned"]


class FaceMonitor(Monitor):
    """Hooks. Each sees the books as its docstring says; one that a subclass does not define is not called."""

    DESK: ClassVar[type[Desk]] = FaceDesk
    desk: FaceDesk

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

    @property
    def settings(self) -> dict[tuple[str, str], Value]:
        """What `Setting`s said last, by adapter and name."""
        return self.desk.settings

    def is_top(self, face: Face) -> bool:
        """The host itself calls at this face."""
        return self.desk.is_top(face)

    def faces(self) -> list[Face]:
        """All faces."""
        return self.desk.faces()

    @property
    def clock(self) -> int:
        """The tick at which a look is taken."""
        return self.desk.clock

    def after(self, ticks: int, look: Callable[[], None]) -> None:
        """Look at something when more than ``ticks`` ticks have passed; it comes from where this comes from."""
        self.desk.after(ticks, look)

    def finish(self) -> None:
        """What was due when the run ended is judged."""
        self.desk.judge_due()
