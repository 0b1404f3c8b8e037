"""The neutral form of a trace: the state that is handed over, then timed events in order.

Sequence and acknowledgment numbers are relative, as in packetdrill: both sides start at 0, so 1 is the first octet.
Times are microseconds of protocol time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MICROSECONDS = 1_000_000


class ScriptError(Exception):
    """A trace cannot be read or played; ``line`` is where, 0 for the whole of it."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


class UnsupportedError(ScriptError):
    """A statement that is understood and has no counterpart at an offload target."""


@dataclass(frozen=True)
class When:
    """The time of an event: ``low`` to ``high`` in microseconds, behind the event before or from the start.

    ``high`` is where an event that must be awaited is late (an outgoing segment), or where a call returns that blocks.
    """

    low: int = 0
    high: int = 0
    relative: bool = True
    #: At any time (`*`).
    any: bool = False
    #: Given as a window: `a~b`, `a...b`.
    window: bool = False


_NUMBER = r"\d*\.?\d+|\d+\."
_TIME = re.compile(rf"^(?P<a>\+?)(?P<low>{_NUMBER})(?:(?P<sep>~|\.\.\.)(?P<b>\+?)(?P<high>{_NUMBER}))?$")


def microseconds(text: str) -> int:
    """Seconds as they are written, as a whole number of microseconds."""
    whole, _, part = text.partition(".")
    return int(whole or 0) * MICROSECONDS + int((part + "000000")[:6])


def parse_time(text: str, line: int = 0) -> When:
    """`+x`, `x`, `a...b`, `a~b` (either end with `+`), `*`, `+*`."""
    text = text.replace(" ", "")
    if text in ("*", "+*"):
        return When(any=True)
    found = _TIME.match(text)
    if found is None:
        raise ScriptError(f"no time: {text!r}", line)
    low, relative = microseconds(found["low"]), bool(found["a"])
    if found["high"] is None:
        return When(low, low, relative)
    high = microseconds(found["high"])
    if found["sep"] == "~" and found["b"] and not relative:  # a~+tolerance
        high += low
    return When(low, max(low, high), relative, window=True)


@dataclass(frozen=True)
class Segment:
    """A segment as a trace tells it; None: the trace does not say."""

    flags: frozenset[str]
    seq: int
    length: int
    ack: int | None = None
    #: The window field, unscaled.
    win: int | None = None
    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    #: Value and echo of the timestamps option.
    ts: tuple[int, int] | None = None
    sack: tuple[tuple[int, int], ...] = ()
    #: Code point of the IP header: noecn, ect0, ect1, ce.
    ecn: str | None = None
    urgent: int = 0
    #: The whole type-of-service octet of the IP header.
    tos: int | None = None
    #: The options are not to be compared.
    any_options: bool = False


#: Letters of flags as packetdrill writes them.
FLAG_LETTERS = "SFRPUEWA."


def parse_flags(text: str, line: int = 0) -> frozenset[str]:
    """`S.`, `FP.`, `-` (none); `.` is ACK."""
    wrong = set(text) - set(FLAG_LETTERS) - {"-"}
    if wrong or not text:
        raise UnsupportedError(f"flags {text!r}", line)
    return frozenset(text) - {"-"}


@dataclass(frozen=True)
class Event:
    """Something that happens at ``line`` of the trace."""

    line: int
    when: When


@dataclass(frozen=True)
class Arrival(Event):
    """The peer's segment reaches the target."""

    segment: Segment


@dataclass(frozen=True)
class Departure(Event):
    """The target must send this, in as many segments as it takes (a trace may show several MSS as one)."""

    segment: Segment


@dataclass(frozen=True)
class Call(Event):
    """The application calls: ``args`` as they are written, ``ret`` what it must return (`...` and empty: anything)."""

    name: str
    args: tuple[str, ...]
    ret: str = ""
    errno: str = ""


@dataclass(frozen=True)
class Handover:
    """The state in which the connection is offloaded; windows in bytes, everything relative."""

    active: bool = False
    peer_mss: int = 1460
    sack: bool = False
    snd_ws: int = 0
    rcv_ws: int = 0
    ts: bool = False
    una: int = 1
    nxt: int = 1
    max: int = 1
    rcv_nxt: int = 1
    snd_wnd: int = 65535
    #: Receive window; None: what the trace does not contradict.
    rcv_wnd: int | None = None
    ecn: bool = False
    #: Socket options that were set before, as (level, name, value).
    options: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Script:
    """A trace: what it is handed over with, and what happens."""

    name: str
    handover: Handover
    events: tuple[Event, ...] = field(default=())
    #: Microseconds by which a segment may go early or late; None: a timer of the target's own may take what it wants.
    tolerance: int | None = None
    #: Version of IP under the connection.
    family: int = 4


def split_args(text: str) -> tuple[str, ...]:
    """The arguments of a call, apart at the commas outside of brackets and quotes."""
    args: list[str] = []
    depth, quoted, current = 0, False, ""
    for char in text:
        quoted ^= char == '"'
        if not quoted:
            depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0 and not quoted:
            args.append(current.strip())
            current = ""
        else:
            current += char
    if current.strip() or args:
        args.append(current.strip())
    return tuple(args)
