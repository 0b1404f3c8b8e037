"""Front end for traces as JSON lines (one trace a line; shared/vectors/README.md has the format)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """Every trace of a file."""
    vectors = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if text.strip():
            vectors.append(vector(json.loads(text), number))
    return vectors


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
    except (KeyError, TypeError, ValueError) as error:
        return Vector(*where, None, ScriptError(f"malformed: {error!r}"), pure)
    return Vector(*where, script, pure=pure)


def _handover(data: dict[str, Any]) -> Handover:
    return Handover(
        active=data.get("role") == "active",
        peer_mss=int(data["peer_mss"]),
        sack=bool(data.get("sack", False)),
        snd_ws=int(data.get("snd_ws", 0)),
        rcv_ws=int(data.get("rcv_ws", 0)),
        ts=bool(data.get("ts", False)),
        una=int(data.get("una", 1)),
        nxt=int(data.get("nxt", 1)),
        max=int(data.get("max", 1)),
        rcv_nxt=int(data.get("rcv_nxt", 1)),
        snd_wnd=int(data["snd_wnd"]),
        rcv_wnd=data.get("rcv_wnd"),
        ecn=bool(data.get("ecn", False)),
    )


def _event(data: dict[str, Any]) -> Event:
    line = int(data["line"])
    when = parse_time(str(data.get("t", "+0")), line)
    if "call" in data:
        return Call(line, when, data["call"], split_args(str(data.get("args", ""))), str(data.get("ret", "")))
    if data.get("dir") not in ("in", "out"):
        raise UnsupportedError(f"an event of no known kind: {sorted(data)}", line)
    segment = Segment(
        flags=parse_flags(data["flags"], line),
        seq=int(data["seq"]),
        length=int(data.get("len", 0)),
        ack=data.get("ack"),
        win=data.get("win"),
        mss=data.get("mss"),
        window_scale=data.get("ws"),
        sack_permitted=bool(data.get("sackok", False)),
        ts=None if data.get("ts") is None else (int(data["ts"][0]), int(data["ts"][1])),
        sack=tuple((int(left), int(right)) for left, right in data.get("sack", ())),
        ecn=data.get("ecn"),
        urgent=int(data.get("urg", 0)),
    )
    return Arrival(line, when, segment) if data["dir"] == "in" else Departure(line, when, segment)
