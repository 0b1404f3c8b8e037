"""Front end for traces as JSON lines (one trace a line; docs/verification.md has the format)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tb.config import ConfigError
from tb.files import shown
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
    parse_flags,
    parse_time,
    split_args,
)

#: The basis of a trace that shows pure RFC behaviour.
PURE = "RFC"
TODO = "give traces as docs/verification.md says, one JSON object a line"


@dataclass(frozen=True)
class Vector:
    """A line of the file: names for reports, and the trace; ``broken`` says why there is none.

    ``pure``: what the trace shows is what the RFCs ask for (basis RFC), so nothing of it can be excused.
    """

    set: str
    path: str
    script: Script | None
    broken: ScriptError | None = None
    pure: bool = False


def read(path: Path) -> list[Vector]:
    """Every trace of a file; ConfigError that names the line if one is no trace at all."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"the traces cannot be read ({error.strerror})", shown(path), TODO) from None
    found = [
        vector(_trace(text, f"{shown(path)}, line {number}"), number)
        for number, text in enumerate(lines, 1)
        if text.strip()
    ]
    if not found:
        raise ConfigError("there is no trace in this file", shown(path), TODO)
    return found


def _trace(text: bytes, where: str) -> dict[str, Any]:
    """What a line holds."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError("the line is not a JSON object", where, TODO) from None
    if not isinstance(data, dict):
        raise ConfigError("the line is not a JSON object", where, TODO)
    for name, kind, word in (("handover", dict, "object"), ("events", list, "list")):
        if not isinstance(data.get(name), kind):
            raise ConfigError(f"the line is not a trace: it has no {word} `{name}`", where, TODO)
    return data


def vector(data: dict[str, Any], number: int = 0) -> Vector:
    """One trace."""
    name = str(data.get("path", number))
    where = str(data.get("set", "")), name
    pure = data.get("basis") == PURE
    try:
        if data.get("unparsed"):
            raise UnsupportedError(f"{data['unparsed']} statements that the trace does not hold")
        script = Script(name, _handover(data["handover"]), tuple(_event(event) for event in data["events"]))
    except ScriptError as error:
        return Vector(*where, None, error, pure)
    return Vector(*where, script, pure=pure)


class _Fields:
    """The fields of an object as they are taken; one that is missing or of another type is a ScriptError."""

    def __init__(self, data: object, what: str, line: int = 0) -> None:
        self._what, self._line = what, line
        if not isinstance(data, dict):
            raise ScriptError(f"malformed: {what} is no object", line)
        self.data: dict[str, Any] = data

    def wrong(self, name: str, wanted: str) -> ScriptError:
        """What is said of a field."""
        missing = self.data.get(name) is None
        told = "is missing" if missing else f"is no {wanted}"
        return ScriptError(f"malformed: `{name}` of {self._what} {told}", self._line)

    def maybe(self, name: str) -> int | None:
        """A whole number that may be left out."""
        return None if self.data.get(name) is None else self.number(name)

    def number(self, name: str, default: int | None = None) -> int:
        """A whole number; needed without a default."""
        value = self.data.get(name)
        value = default if value is None else value
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.wrong(name, "whole number")
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A text, or a number as one; needed without a default."""
        value = self.data.get(name)
        value = default if value is None else value
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise self.wrong(name, "text")
        return str(value)

    def flag(self, name: str) -> bool:
        """Whether it is there and true."""
        return bool(self.data.get(name, False))

    def pair(self, name: str, value: object) -> tuple[int, int]:
        """Two whole numbers."""
        if isinstance(value, list) and len(value) == 2:
            first, second = value
            if isinstance(first, int) and isinstance(second, int):
                return first, second
        raise self.wrong(name, "pair of numbers")

    def pairs(self, name: str) -> tuple[tuple[int, int], ...]:
        """A list of them, or nothing."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, list):
            raise self.wrong(name, "list")
        return tuple(self.pair(name, one) for one in value or ())


def _handover(data: object) -> Handover:
    of = _Fields(data, "the hand-over")
    return Handover(
        active=of.text("role", "") == "active",
        peer_mss=of.number("peer_mss"),
        sack=of.flag("sack"),
        snd_ws=of.number("snd_ws", 0),
        rcv_ws=of.number("rcv_ws", 0),
        ts=of.flag("ts"),
        una=of.number("una", 1),
        nxt=of.number("nxt", 1),
        max=of.number("max", 1),
        rcv_nxt=of.number("rcv_nxt", 1),
        snd_wnd=of.number("snd_wnd"),
        rcv_wnd=of.maybe("rcv_wnd"),
        ecn=of.flag("ecn"),
    )


def _event(data: object) -> Event:
    line = _Fields(data, "an event").number("line")
    of = _Fields(data, "the event", line)
    when = parse_time(of.text("t", "+0"), line)
    if "call" in of.data:
        return Call(line, when, of.text("call"), split_args(of.text("args", "")), of.text("ret", ""))
    if of.data.get("dir") not in ("in", "out"):
        raise UnsupportedError(f"an event of no known kind: {sorted(of.data)}", line)
    segment = Segment(
        flags=parse_flags(of.text("flags"), line),
        seq=of.number("seq"),
        length=of.number("len", 0),
        ack=of.maybe("ack"),
        win=of.maybe("win"),
        mss=of.maybe("mss"),
        window_scale=of.maybe("ws"),
        sack_permitted=of.flag("sackok"),
        ts=None if of.data.get("ts") is None else of.pair("ts", of.data["ts"]),
        sack=of.pairs("sack"),
        ecn=None if of.data.get("ecn") is None else of.text("ecn"),
        urgent=of.number("urg", 0),
    )
    return Arrival(line, when, segment) if of.data["dir"] == "in" else Departure(line, when, segment)
