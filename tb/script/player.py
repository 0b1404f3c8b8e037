"""Plays a trace on a stage: beside a session, on either device, through the NDIS faces and the wire.

Time: an event that is given relative to the one before it happens so much after that one *did* happen. The target may
send a segment later than a trace shows it where a timer of its own decides (delayed ACK, retransmission, probes); what
follows moves with it. A segment that must answer at once is late after `ANSWER` ticks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from model.ndis.bookkeeping import ContractError
from model.ndis.soft_tcp import SoftTcpError
from tb.contract.scenes.stage import SceneStage
from tb.script.application import Application
from tb.script.calls import Calls, WrongError, number
from tb.script.established import ISS, PEER_ISS, TICK, Opening
from tb.script.events import Arrival, Call, Departure, Event, Script, ScriptError, UnsupportedError
from tb.script.exceptions import Excuse
from tb.script.judge import answered_once, differences, joined, show
from tb.script.laws import Laws
from tb.script.wire import Heard, Speaker, signed
from tb.tests.stage import Scene

#: Ticks in which everything is done that an event causes at once.
SETTLE = 2
#: Ticks within which an answer that waits for no timer has left.
ANSWER = 20
#: Longest delay of an ACK (RFC 9293 3.8.6.3, MUST-40), ticks.
ACK_DELAY = 500
#: Ticks that a timer of the target's own may take longer than a trace shows, and how many times as long.
PATIENCE, STRETCH = 5_000, 4
#: Ticks of anything, where a trace does not say when.
ANY_TIME = 130_000


@dataclass(frozen=True)
class Result:
    """What came of a trace: pass, fail, skip, or exception (an event differs, and is excused)."""

    status: str
    line: int = 0
    reason: str = ""


class MismatchError(Exception):
    """The target did something else than the trace."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


class Player:
    """One trace."""

    def __init__(self, script: Script, excuses: Sequence[Excuse] = ()) -> None:
        self.script = script
        self.result: Result | None = None
        self._excuses = {excuse.line: excuse for excuse in excuses}
        self._excused: list[Excuse] = []
        self._connection = _connection_of(script)
        self._stage: SceneStage
        self._app: Application
        self._far: Speaker
        self._calls: Calls
        #: What the last call returned; None: none was made.
        self.returned: int | None = None
        #: What must hold on the wire whatever happens.
        self.laws: Laws
        #: Calls that block, with the tick at which each must have returned.
        self._blocked: list[tuple[int, Call]] = []
        self._origin = self._nominal = self._last = self._line = 0

    def play(self, stage: SceneStage) -> Scene:
        """The scene."""
        self._stage = stage
        self._app = app = Application(stage, len(stage.stories), self.script.family)
        stage.stories[app.name] = app
        handover = self.script.handover
        self._far = Speaker(app.far, ISS, PEER_ISS, lambda: app.written, handover.una, handover.max)
        app.far_acked = lambda: self._far.acked
        app.sent = lambda: max(0, self._far.sent_end - 1)
        app.heard = self._far.take
        self._calls = Calls(app)
        try:
            yield from self._hand_over()
            for event in self.script.events:
                yield from self.event(event)
            yield from self._returns(max((tick for tick, _ in self._blocked), default=0))
            yield from self.behind()
            self.result = self._verdict()
        except MismatchError as error:
            self.result = Result("fail", error.line, error.reason)
        except UnsupportedError as error:
            self.result = Result("skip", error.line, error.reason)
        except (ContractError, SoftTcpError, AssertionError) as error:
            self.result = Result("fail", self._line, f"{type(error).__name__}: {error}")
        was_resumed = app.resumed
        yield from app.drop_all()
        if self.result is not None and self.result.status == "pass" and not was_resumed:
            self._given_back()

    def _given_back(self) -> None:
        """Both sides closed, all was acknowledged: nothing is outstanding in the state that the target gives back."""
        app, laws = self._app, self.laws
        delegated = None if app.upload is None else app.upload[1]
        closed = None not in (laws.fin_heard, laws.fin_said) and laws.acked == (laws.fin_said or 0) + 1
        if delegated is None or not closed or app.reset or laws.reset_heard or laws.told != laws.sent_end:
            return
        una = signed(delegated.snd_una - ISS)
        if una != laws.sent_end:
            reason = f"SndUna is {una} at the upload, {laws.sent_end} was acknowledged (RFC 9293 3.10.7.4)"
            self.result = Result("fail", self._line, reason)

    def hear(self, heard: Heard) -> None:
        """The target sent a segment."""
        self.laws.heard(heard)

    def happens(self, event: Event) -> None:
        """A segment arrives, or a call is made, now."""

    def event(self, event: Event) -> Scene:
        """Play one event; nothing that a law forbids may have happened until then."""
        self._line = event.line
        yield from self._event(event)
        if self.laws.breaches:
            raise MismatchError(event.line, self.laws.breaches[0])

    def behind(self) -> Scene:
        """What is played behind the last event of the trace: nothing."""
        yield from ()

    def _verdict(self) -> Result:
        if not self._excused:
            return Result("pass")
        first = self._excused[0]
        return Result("exception", first.line, "; ".join(f"line {e.line}: {e.reason}" for e in self._excused))

    # ---- hand-over ----

    def _hand_over(self) -> Scene:
        opening, app = Opening.of(self.script), self._app
        echo = None if opening.clock is None else opening.clock[1]
        self.laws = Laws(self.script.handover, echo, lambda: app.closed or app.reset or app.timed_out)
        self._far.on_said, self._far.on_heard = self.laws.said, self.hear
        yield from app.establish(self.script.handover, opening)
        for _, option, text in self.script.handover.options:
            yield from self._calls.option(option, text, 0)
        self._origin = self._last = self._stage.now
        if not opening.greets:
            self._far.heard.clear()

    # ---- time ----

    def _due(self, event: Event) -> int:
        """The tick of the device's clock at which an event is to happen."""
        when = event.when
        ticks = -(-when.low // TICK)
        if when.any:
            return self._last
        if when.relative:
            self._nominal += ticks
            return self._last + ticks
        lag = self._last - self._origin - self._nominal
        self._nominal = max(ticks, self._nominal)
        return max(self._last, self._origin + self._nominal + lag)

    def _event(self, event: Event) -> Scene:
        due = self._due(event)
        yield from self._returns(due)
        if isinstance(event, Departure):
            yield from self._expect(event, due)
            return
        if due > self._stage.now:
            yield from self._stage.until(due)
        self._last = max(due, self._stage.now)
        if isinstance(event, Arrival):
            self._nothing_unexpected(event)
            self.happens(event)
            yield from self._arrive(event)
        elif isinstance(event, Call):
            self.happens(event)
            yield from self._call(event)
        yield from self._stage.quiet(SETTLE)

    def _wait(self, condition: Callable[[], bool], until: int) -> Scene:
        stage = self._stage
        stage.wake_at(until)
        yield lambda: condition() or stage.now >= until
        stage.wake_at(None)

    # ---- segments in ----

    def _arrive(self, event: Arrival) -> Scene:
        """Put it on the wire; one too long for a frame comes in pieces, each of which is answered before the next."""
        frames = list(self._far.frames(event.segment))
        for frame in frames:
            self._stage.arrive(frame)
            if len(frames) > 1:
                yield from self._stage.quiet(SETTLE)
        if len(frames) > 1:
            self._one_acknowledgment()

    def _one_acknowledgment(self) -> None:
        heard = self._far.heard
        acks: list[Heard] = []
        while heard and heard[0].segment.flags == {"."} and not heard[0].payload:
            acks.append(heard.popleft())
        if acks:
            heard.appendleft(answered_once(acks))

    def _nothing_unexpected(self, event: Event) -> None:
        if self._far.heard and self._further_departures(event):
            excuse = self._excuse(event.line, "extra")
            if excuse is None:
                raise MismatchError(event.line, f"before it the target sent {show(self._far.heard[0].segment)}")
            self._far.heard.clear()

    def _further_departures(self, event: Event) -> bool:
        at = self.script.events.index(event)
        return any(isinstance(later, Departure) for later in self.script.events[at:])

    # ---- segments out ----

    def _deadline(self, event: Departure, due: int) -> int:
        when = event.when
        if when.any:
            return due + ANY_TIME
        if self.script.tolerance is not None:
            return due + (when.high - when.low + self.script.tolerance) // TICK
        span = (when.high if when.window else when.low) // TICK
        if span > ANSWER or (when.window and span):
            return self._last + max(span * STRETCH, span + PATIENCE)
        segment = event.segment
        bare = segment.length == 0 and segment.flags == {"."}
        return due + (ACK_DELAY if bare else ANSWER)

    def _expect(self, event: Departure, due: int) -> Scene:
        far, excuse = self._far, self._excuses.get(event.line)
        deadline = self._deadline(event, due)
        yield from self._wait(lambda: bool(far.heard), max(deadline, self._stage.now + SETTLE))
        if not far.heard:
            if self._excuse(event.line, "absent") is None:
                raise MismatchError(event.line, f"{show(event.segment)} did not go out")
            return
        whole = far.heard.popleft()
        while whole.segment.length < event.segment.length:
            yield from self._wait(lambda: bool(far.heard), self._stage.now + SETTLE)
            more = joined(whole, far.heard[0]) if far.heard else None
            if more is None:
                break
            far.heard.popleft()
            whole = more
        found = [*differences(event.segment, whole), *self._early(event, whole, due)]
        if found and self._excuse(event.line, "other") is None:
            if excuse is not None and excuse.kind == "absent":
                self._excused.append(excuse)
                far.heard.appendleft(whole)
                return
            raise MismatchError(event.line, f"{'; '.join(found)}: the target sent {show(whole.segment)}")
        self._sent_at(whole, due)

    def _early(self, event: Departure, whole: Heard, due: int) -> Iterator[str]:
        """A script that keeps packetdrill's time rules: nothing goes before its time."""
        tolerance = self.script.tolerance
        if tolerance is not None and not event.when.any and whole.tick < due - tolerance // TICK:
            yield f"it went {(due - whole.tick) * TICK} us before its time"

    def _sent_at(self, whole: Heard, due: int) -> None:
        """Time goes on from when it left, but not back."""
        self._last = max(self._last, whole.tick, 0 if whole.tick > due else min(due, self._stage.now))

    def _excuse(self, line: int, kind: str) -> Excuse | None:
        excuse = self._excuses.get(line)
        if excuse is None or excuse.kind != kind:
            return None
        self._excused.append(excuse)
        return excuse

    # ---- calls ----

    def _call(self, event: Call) -> Scene:
        """A call that blocks returns later (`a...b`); what happens meanwhile is played in between."""
        if not self._is_ours(event):
            return
        blocks = max(0, event.when.high - event.when.low) // TICK if event.when.window else 0
        if blocks and self._calls.waits(event):
            self._blocked.append((self._stage.now + blocks, event))
        else:
            yield from self._make(event)

    def _returns(self, until: int) -> Scene:
        """Calls that return by ``until``."""
        while self._blocked and self._blocked[0][0] <= until:
            tick, event = self._blocked.pop(0)
            if tick > self._stage.now:
                yield from self._stage.until(tick)
            yield from self._make(event)

    def _make(self, event: Call) -> Scene:
        try:
            outcome = yield from self._calls.run(event)
        except WrongError as error:
            raise MismatchError(event.line, str(error)) from error
        self.returned = outcome
        wanted = number(event.ret)
        if wanted is not None and outcome != wanted:
            raise MismatchError(event.line, f"{event.name} returns {outcome}, {wanted} expected")

    def _is_ours(self, event: Call) -> bool:
        """A call on the connection, not on the socket that listens."""
        places = event.args[:3] if event.name in ("sendfile", "splice") else event.args[:1]
        named = {number(arg) for arg in places}
        return self._connection is None or not named or self._connection in named or named == {None}


def _connection_of(script: Script) -> int | None:
    """The descriptor of the connection: what the accept returned, if there is one in the trace."""
    for event in script.events:
        if isinstance(event, Call) and event.name in ("accept", "accept4"):
            return number(event.ret)
    return None


__all__ = ["MismatchError", "Player", "Result", "ScriptError"]
