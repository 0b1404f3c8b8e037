"""The negative twin of a script: one expected field off by one, so that playing it must fail."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tb.script.events import Call, Departure, Event, Script, Segment

Change = Callable[[Segment], Segment]


def _numbers(segment: Segment) -> dict[str, Change]:
    """What can be off by one, by name."""
    found: dict[str, Change] = {
        "seq": lambda s: replace(s, seq=s.seq + 1),
        "len": lambda s: replace(s, length=s.length + 1),
    }
    if "." in segment.flags and segment.ack is not None:
        found["ack"] = lambda s: replace(s, ack=(s.ack or 0) + 1)
    if segment.sack and not segment.any_options:
        found["sack"] = lambda s: replace(s, sack=(*s.sack[:-1], (s.sack[-1][0], s.sack[-1][1] + 1)))
    if segment.ts is not None and not segment.any_options:
        found["TSecr"] = lambda s: replace(s, ts=(s.ts[0], s.ts[1] + 1) if s.ts else None)
    return found


def changes(segment: Segment) -> dict[str, Change]:
    """Every change that a comparison must notice: numbers, and the flags that no sender may choose freely."""
    found = _numbers(segment)
    for letter in ("F", "R", "S", ".", "U"):
        found[f"flag {letter}"] = lambda s, letter=letter: replace(s, flags=s.flags ^ {letter})  # type: ignore[misc]
    return found


def twin(script: Script, seed: int = 0) -> tuple[Script, str]:
    """A twin of a script, and what is different: drawn by the script's name and ``seed``."""
    rng = random.Random(f"{script.name}/{seed}")
    places = [at for at, event in enumerate(script.events) if isinstance(event, Departure)]
    if not places:
        return _with_other_return(script)
    at = rng.choice(places)
    event = script.events[at]
    if not isinstance(event, Departure):
        raise TypeError(f"event {at} is no departure")
    field = rng.choice(sorted(_numbers(event.segment)))
    return altered(script, at, field)


def altered(script: Script, at: int, field: str) -> tuple[Script, str]:
    """The script with one field of the departure at this place changed."""
    event = script.events[at]
    if not isinstance(event, Departure):
        raise TypeError(f"event {at} is no departure")
    changed = replace(event, segment=changes(event.segment)[field](event.segment))
    return _with(script, at, changed), f"line {event.line}: {field}"


def _with_other_return(script: Script) -> tuple[Script, str]:
    """Nothing is expected on the wire: a call returns one more."""
    for at, event in enumerate(script.events):
        if isinstance(event, Call) and event.name in ("read", "recv", "write", "send"):
            return _with(script, at, replace(event, ret=str(int(event.ret) + 1))), f"line {event.line}: return value"
    raise ValueError(f"{script.name} expects nothing")


def _with(script: Script, at: int, event: Event) -> Script:
    return replace(script, events=(*script.events[:at], event, *script.events[at + 1 :]))
