"""Plays a scenario, and behind it a peer that answers as it should, until all is delivered and both sides are closed.

What is played behind the scenario depends on what the target says; it is kept, so that the whole is a trace again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tb.properties.scenario import FAR_AWAY, LARGEST_SEGMENT, WINDOW_FIELD
from tb.script.established import TICK
from tb.script.events import Arrival, Call, Departure, Event, Script, Segment, When
from tb.script.player import SETTLE, MismatchError, Player
from tb.script.text import OUR_STAMP
from tb.script.wire import Heard
from tb.tests.stage import Scene

#: Ticks in which everything is delivered and closed once the peer answers properly.
BOUND: Final = 6_000
#: Ticks that the peer waits for an answer before it says it again: first, and at most.
PATIENCE: Final = 30
LONGEST_PATIENCE: Final = 1_000
#: Octets of one read.
READ: Final = 70_000


class Whole(Player):
    """A scenario and what follows it. ``course``: the tick of all that happened, and what it was."""

    def __init__(self, script: Script) -> None:
        super().__init__(script)
        self.course: list[tuple[int, Event]] = []
        #: What calls returned, by their place in the course.
        self._returns_at: dict[int, int] = {}
        #: What is to happen next, and has not happened yet.
        self._pending: Event | None = None
        arrivals = [event.segment for event in script.events if isinstance(event, Arrival)]
        #: End of the peer's text: its FIN is there, said or not.
        ends = [s.seq + s.length for s in arrivals if s.seq < FAR_AWAY and not s.flags & {"R", "S"}]
        fins = [s.seq + s.length for s in arrivals if "F" in s.flags]
        self._end = min(fins) if fins else max(ends, default=1)
        self._newest = max((s.ts[0] for s in arrivals if s.ts is not None), default=0)

    # ---- what happens is kept ----

    def hear(self, heard: Heard) -> None:
        """The target sent a segment."""
        super().hear(heard)
        segment = replace(heard.segment, win=None, tos=None, ecn=None)
        self.course.append((heard.tick, Departure(0, When(), segment)))

    def event(self, event: Event) -> Scene:
        """Play one event and keep it, a call with what it returned."""
        place = len(self.course)
        self._pending, self.returned = event, None
        yield from super().event(event)
        if isinstance(event, Call) and self.returned is not None:
            at = next(n for n in range(place, len(self.course)) if self.course[n][1] is event)
            self._returns_at[at] = self.returned

    def happens(self, event: Event) -> None:
        """It happens now."""
        self._pending = None
        self.course.append((self._stage.now, event))

    # ---- behind the scenario ----

    def behind(self) -> Scene:
        """The peer acknowledges everything, opens its window and says what is missing, until nothing is."""
        start, patience = self._stage.now, PATIENCE
        if not self._app.shut_write and not self._app.closed:
            yield from self._add(Call(0, When(), "shutdown", ("4", "SHUT_WR"), "..."))
        while missing := self._missing():
            if self._stage.now - start > BOUND:
                raise MismatchError(self._line, f"{BOUND} ticks after the peer began to answer everything, {missing}")
            known = self._known()
            yield from self._answer(self._stage.now - start)
            self._far.heard.clear()
            if self._known() == known:
                yield from self._wait(lambda: bool(self._far.heard) or not self._missing(), self._stage.now + patience)
                patience = min(2 * patience, LONGEST_PATIENCE)
            else:
                patience = PATIENCE
        yield from self._stage.quiet(SETTLE)
        if self.laws.breaches:
            raise MismatchError(self._line, self.laws.breaches[0])

    def _known(self) -> tuple[object, ...]:
        laws, app = self.laws, self._app
        return laws.acked, laws.edge, laws.sent_end, laws.fin_heard, app.read_so_far, len(app.unread)

    def _missing(self) -> str:
        """What is not done yet, in words; nothing once the connection was reset."""
        app, laws = self._app, self.laws
        if app.reset or app.timed_out or laws.reset_heard:
            return ""
        if laws.fin_heard is None:
            return f"the target had sent {laws.sent_end - 1} of {app.written} octets and no FIN"
        acked = laws.acked or 1
        if acked <= self._end:
            return f"{acked - 1} of the peer's {self._end - 1} octets and its FIN were acknowledged"
        got = app.read_so_far + len(app.unread)
        if not app.closed and got < self._end - 1:
            return f"the application had {got} of {self._end - 1} octets that were acknowledged"
        if not app.closed and not app.eof:
            return "the application had not heard of the peer's FIN"
        if self._far.acked < laws.sent_end:
            return "the peer had not acknowledged everything"
        return "the application had not read everything" if app.unread and not app.closed else ""

    def _answer(self, elapsed: int) -> Scene:
        """One round: the application reads, the peer says what the target lacks and acknowledges what it heard."""
        app = self._app
        if (app.unread or app.refused) and not app.closed:
            yield from self._add(Call(0, When(), "read", ("4", "...", str(READ)), "..."))
        yield from self._add(Arrival(0, When(), self._proper(elapsed)))

    def _proper(self, elapsed: int) -> Segment:
        """What the target lacks, as far as its window lets it, or nothing; everything heard is acknowledged."""
        laws = self.laws
        at = laws.acked or 1
        room = LARGEST_SEGMENT if laws.edge is None else max(1, laws.edge - at)
        count = max(0, min(self._end - at, room, LARGEST_SEGMENT))
        ends = at <= self._end and at + count == self._end
        flags = frozenset("FP." if ends and count else "F." if ends else "P." if count else ".")
        stamps = None
        if self.script.handover.ts:
            stamps = self._newest + 1 + elapsed, OUR_STAMP if laws.stamp is None else laws.stamp
        return Segment(flags, at, count, laws.sent_end, WINDOW_FIELD, ts=stamps)

    def _add(self, event: Event) -> Scene:
        """Play an event now: so much after the last one as it is."""
        since = max(0, self._stage.now - self._last) * TICK
        yield from self.event(replace(event, when=When(since, since)))

    def _further_departures(self, event: Event) -> bool:
        """Nothing is expected: laws judge, and what stands beside the target."""
        return False

    # ---- the whole as a trace ----

    @property
    def happened(self) -> int:
        """Events of the scenario that what came of it can depend on: those that happened, and the next one's time."""
        done = sum(not isinstance(event, Departure) for _, event in self.course)
        return min(len(self.script.events), done + (self._pending is not None))

    def played(self) -> Script:
        """The scenario and what was played behind it, as far as it came: what the peer and the application did."""
        done = [event for _, event in self.course if not isinstance(event, Departure)]
        return replace(self.script, events=(*done, *([] if self._pending is None else [self._pending])))

    def told(self) -> Script:
        """The same with everything that the target sent and that calls returned: what a script expects."""
        return replace(self.script, events=tuple(self._timed()))

    def _timed(self) -> Iterator[Event]:
        """Every event so much behind the one before as it was; the first keeps its time."""
        last: int | None = None
        for place, (tick, event) in enumerate(self.course):
            since = event.when.low if last is None else (tick - last) * TICK
            told = replace(event, when=When(since, since))
            returned = self._returns_at.get(place)
            yield replace(told, ret=str(returned)) if isinstance(told, Call) and returned is not None else told
            last = tick
