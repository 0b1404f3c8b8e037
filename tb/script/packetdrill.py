"""Front end for packetdrill scripts: the handshake becomes the hand-over, what follows is played.

The software stack holds the connection through the handshake; the offload begins at ESTABLISHED. What the script sets
on its sockets before is handed over, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tb.script.events import (
    Arrival,
    Call,
    Departure,
    Event,
    Handover,
    Script,
    ScriptError,
    Segment,
    UnsupportedError,
    When,
)
from tb.script.family import DEFAULT_MSS, dependences
from tb.script.syntax import Packet, Statement, Syscall, ip_version, parse, tolerance

#: Calls that make a connection, before there is one.
OPENING = frozenset(("socket", "bind", "listen", "connect", "accept", "accept4", "fcntl", "getsockopt", "poll"))
#: What our side offers where a script leaves the options of our SYN open.
OWN_SCALE = 7
LARGEST_SCALE = 14


def read(path: Path, family: int | None = None) -> Script:
    """The script of a file."""
    return script(path.name, path.read_text(), family)


def script(name: str, text: str, family: int | None = None) -> Script:
    """The script of a text, over a version of IP: what is given goes before what the script asks for, as with options.

    Raises ScriptError; UnsupportedError for a statement that has no counterpart here, or none over that version.
    """
    asked = ip_version(text)
    reader = _Reader(name, parse(text), family or asked)
    found = replace(reader.read(), tolerance=tolerance(text), family=family or asked)
    for reason, line in dependences(found, asked, reader.peer_mss):
        raise UnsupportedError(reason, line)
    return found


@dataclass
class _Handshake:
    """The two SYNs, and whether the third segment went by."""

    ours: Segment | None = None
    theirs: Segment | None = None
    active: bool = False
    options: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        """Both SYNs crossed: the connection is handed over in front of the third segment."""
        return self.ours is not None and self.theirs is not None

    def handover(self, default_mss: int) -> Handover:
        """What both sides agreed upon (RFC 7323 1.3, RFC 2018 2, RFC 3168 6.1.1)."""
        ours, theirs = self.ours, self.theirs
        if ours is None or theirs is None:
            raise ScriptError("there is no handshake, so no connection to be handed over")
        scaled = theirs.window_scale is not None and (ours.any_options or ours.window_scale is not None)
        own_scale = OWN_SCALE if ours.window_scale is None else ours.window_scale
        peer_scale = min(LARGEST_SCALE, theirs.window_scale or 0)
        answer = ours if not self.active else theirs
        return Handover(
            active=self.active,
            peer_mss=theirs.mss or default_mss,
            sack=theirs.sack_permitted and (ours.any_options or ours.sack_permitted),
            snd_ws=peer_scale if scaled else 0,
            rcv_ws=own_scale if scaled else 0,
            ts=theirs.ts is not None and (ours.any_options or ours.ts is not None),
            snd_wnd=theirs.win or 0,
            rcv_wnd=ours.win,
            ecn={"E", "W"} <= (theirs if not self.active else ours).flags and answer.flags & {"E", "W"} == {"E"},
            options=tuple(self.options),
        )


class _Reader:
    """Takes the statements of a script apart."""

    def __init__(self, name: str, statements: Sequence[Statement], family: int) -> None:
        self._name, self._statements, self._family = name, statements, family
        self._handshake = _Handshake()
        self._events: list[Event] = []
        self._now = self._start = 0

    def read(self) -> Script:
        """The script."""
        for statement in self._statements:
            self._keep_time(statement.when)
            if not self._handshake.done:
                self._open(statement)
            else:
                self._follow(statement)
        handover = self._handshake.handover(DEFAULT_MSS[self._family])
        first = next((e.segment for e in self._events if isinstance(e, Arrival)), None)
        if first is not None and first.win is not None and not handover.active:
            handover = replace(handover, snd_wnd=first.win << handover.snd_ws)
        if any(isinstance(e, Departure) and e.segment.win for e in self._events):
            handover = replace(handover, rcv_wnd=None)  # later segments show more of it than a SYN can (RFC 7323 2.2)
        return Script(self._name, handover, tuple(self._events))

    @property
    def peer_mss(self) -> int | None:
        """The MSS that the peer's SYN names."""
        return None if self._handshake.theirs is None else self._handshake.theirs.mss

    def _keep_time(self, when: When) -> None:
        if when.any:
            return
        self._now = self._now + when.low if when.relative else max(self._now, when.low)

    # ---- before the offload ----

    def _open(self, statement: Statement) -> None:
        if isinstance(statement, Packet):
            self._syn(statement)
        elif isinstance(statement, Syscall):
            if statement.name == "setsockopt" and len(statement.args) >= 4:
                self._handshake.options.append((statement.args[1], statement.args[2], statement.args[3]))
            elif statement.name not in OPENING:
                raise UnsupportedError(f"call {statement.name} before the connection is established", statement.line)
            self._accepting(statement)
            if statement.name == "socket" and self._family == 6 and statement.args[:1] == ("AF_INET",):
                raise UnsupportedError("socket(AF_INET, ...) has no connection over IPv6", statement.line)
        self._start = self._now

    def _accepting(self, statement: Syscall) -> None:
        """The descriptor of an active connection is that of its socket."""
        if statement.name == "connect":
            self._handshake.active = True

    def _syn(self, packet: Packet) -> None:
        segment, handshake = packet.segment, self._handshake
        if "S" not in segment.flags:
            raise UnsupportedError("a segment before the handshake", packet.line)
        if segment.length:
            raise UnsupportedError("data on a SYN", packet.line)
        if packet.inbound:
            handshake.theirs = segment
        else:
            handshake.ours = segment
        if handshake.done and "." not in segment.flags:
            raise UnsupportedError("simultaneous open", packet.line)

    # ---- behind it ----

    def _follow(self, statement: Statement) -> None:
        when = statement.when
        if not when.relative and not when.any:
            when = replace(when, low=max(0, when.low - self._start), high=max(0, when.high - self._start))
        if isinstance(statement, Packet):
            if "S" in statement.segment.flags and not statement.inbound:
                raise UnsupportedError("a second handshake", statement.line)
            kind = Arrival if statement.inbound else Departure
            self._events.append(kind(statement.line, when, statement.segment))
        elif isinstance(statement, Syscall):
            if statement.name in ("socket", "connect", "bind"):
                raise UnsupportedError("a second connection", statement.line)
            self._events.append(
                Call(statement.line, when, statement.name, statement.args, statement.ret, statement.errno)
            )
        else:
            self._events.append(Event(statement.line, when))


__all__ = ["read", "script"]
