"""What the RFCs expect of a cell: tb/matrix/expected.toml, read and turned into numbers.

A rule is a match and a consequence. The `check` rules are the checks of RFC 9293 3.10.7.4 in its order: the first that
matches ends the matter. A segment that passes them all goes through `stamp`, `acknowledgment` and `text`, each of which
the first match decides; `text` sees the state that the acknowledgment led to.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from tb.matrix.cells import (
    ACKS,
    KINDS,
    MASK,
    OUTSTANDING,
    RCV_NXT,
    SEQS,
    STAMPS,
    STATES,
    TS_GOOD,
    TS_RECENT,
    UNA,
    WINDOWS,
    WITH_DATA,
    Cell,
    cells,
    receive_window,
    segment,
    snd_max,
    snd_una,
)

FOLDER: Final = Path(__file__).parent
EXPECTED, IMPOSSIBLE, OPEN = (FOLDER / f"{name}.toml" for name in ("expected", "impossible", "open"))
DIMENSIONS: Final = {
    "state": STATES, "kind": KINDS, "seq": SEQS, "ack": ACKS, "window": WINDOWS, "stamp": STAMPS,
}  # fmt: skip
STAGES: Final = ("check", "stamp", "acknowledgment", "text")
CONSEQUENCES: Final[dict[str, tuple[object, ...] | None]] = {
    "answer": ("now",), "blocks": ("duplicate", "held"), "state": STATES, "pass_up": (True,),
    "events": None, "sends": ("OK", "ABORTED"), "recent": (True,), "una": ACKS, "duplicate_ack": (True,),
    "deliver": (True,), "fin": (True,),
}  # fmt: skip


class TableError(Exception):
    """A table of the matrix is wrong: what, where, and what to do."""

    def __init__(self, what: str, where: str, todo: str) -> None:
        super().__init__(f"{where}: {what}; {todo}")


@dataclass(frozen=True)
class Answer:
    """A segment of the target: flags, sequence numbers as on the wire, SACK blocks in order."""

    flags: int
    seq: int
    ack: int
    blocks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Outcome:
    """What can be seen of a cell from outside: wire, host, and the state that an upload reports.

    ``answers``: what left at once, before any timer. ``delivered``: octets given to the host, as [left, right).
    ``events``: what the host was told, in alphabetical order. ``sends``: how the host's send came back, if it did.
    """

    state: str
    rcv_nxt: int
    snd_una: int
    ts_recent: int
    duplicates: int
    answers: tuple[Answer, ...] = ()
    delivered: tuple[int, int] | None = None
    events: tuple[str, ...] = ()
    passed_up: bool = False
    sends: str = ""


@dataclass(frozen=True)
class Rule:
    """A row of a table."""

    name: str
    source: str
    when: dict[str, tuple[str, ...]]
    then: dict[str, Any]

    def matches(self, cell: Cell) -> bool:
        """Whether the row speaks of the cell."""
        return all(getattr(cell, dimension) in names for dimension, names in self.when.items())


def read(path: Path, key: str) -> tuple[Rule, ...]:
    """The rows ``key`` of a file; every name in them must be known, every row must give its source or reason."""
    found: list[Rule] = []
    for entry in tomllib.loads(path.read_text()).get(key, []):
        name = str(entry.get("id") or entry.get("reason") or "?")
        where = f"{path.name}, [[{key}]] {name}"
        unknown = set(entry) - {"id", "source", "reason", "when", "then"}
        if unknown or not (entry.get("source") or entry.get("reason")):
            raise TableError(f"keys {sorted(unknown)}, or no source", where, "give id, source, when, then, or reason")
        when = {dimension: tuple(names) for dimension, names in entry.get("when", {}).items()}
        for dimension, names in when.items():
            wrong = set(names) - set(DIMENSIONS.get(dimension, ()))
            if wrong or not names:
                raise TableError(f"{dimension} has no {sorted(wrong)}", where, "use the names of tb/matrix/cells.py")
        then = dict(entry.get("then", {}))
        for what, value in then.items():
            known = CONSEQUENCES.get(what, ())
            if known is not None and value not in known:
                raise TableError(f"{what} = {value!r}", where, "use the consequences of tb/matrix/table.py")
        found.append(Rule(name, str(entry.get("source") or entry["reason"]), when, then))
    return tuple(found)


@cache
def stages() -> dict[str, tuple[Rule, ...]]:
    """The rules of expected.toml by stage."""
    return {stage: read(EXPECTED, stage) for stage in STAGES}


@cache
def impossible_rows() -> tuple[Rule, ...]:
    """Combinations that do not exist."""
    return read(IMPOSSIBLE, "impossible")


@cache
def open_rows() -> tuple[Rule, ...]:
    """Cells in which the device is known to differ from the table."""
    return read(OPEN, "open")


def why_impossible(cell: Cell) -> str:
    """The reason, empty for a cell that exists."""
    return next((row.source for row in impossible_rows() if row.matches(cell)), "")


def known_open(cell: Cell) -> str:
    """Why a difference in this cell is known, else empty."""
    return next((row.source for row in open_rows() if row.matches(cell)), "")


@cache
def possible() -> list[Cell]:
    """Every cell that exists."""
    return [cell for cell in cells() if not why_impossible(cell)]


def decide(cell: Cell) -> tuple[Rule, ...]:
    """The rules that decide a cell, in order."""
    tables = stages()
    for rule in tables["check"]:
        if rule.matches(cell):
            return (rule,)
    decided: list[Rule] = []
    for stage in STAGES[1:]:
        row = next((row for row in tables[stage] if row.matches(cell)), None)
        if row is None:
            raise TableError(f"no row speaks of {cell}", f"{EXPECTED.name}, [[{stage}]]", "add one")
        decided.append(row)
        cell = replace(cell, state=row.then.get("state", cell.state))
    return tuple(decided)


def expected(cell: Cell) -> Outcome:
    """The outcome of a cell in numbers."""
    decided = decide(cell)
    then = {key: value for rule in decided for key, value in rule.then.items()}
    events = sorted(event for rule in decided for event in rule.then.get("events", ()))
    found = segment(cell)
    delivered = (RCV_NXT, (found.seq + found.length) & MASK) if then.get("deliver") else None
    rcv_nxt = (RCV_NXT if delivered is None else delivered[1]) + bool(then.get("fin"))
    una = snd_una(cell.state)
    if "una" in then:
        una = {"una_plus_1": una + 1, "max": snd_max(cell.state)}[then["una"]]
    sends = str(then.get("sends", "")) if cell.state in WITH_DATA else ""
    if not sends and cell.state in WITH_DATA and (una - UNA) & MASK >= OUTSTANDING:
        sends = "OK"
    answers: tuple[Answer, ...] = ()
    if then.get("answer") == "now":
        blocks = _blocks(cell, str(then.get("blocks", "")))
        answers = (Answer(0x10, snd_max(cell.state), rcv_nxt & MASK, blocks),)
    return Outcome(
        state=str(then.get("state", "ESTABLISHED" if cell.state == "FROZEN" else cell.state)),
        rcv_nxt=rcv_nxt & MASK,
        snd_una=una & MASK,
        ts_recent=TS_GOOD if then.get("recent") else TS_RECENT,
        duplicates=int(bool(then.get("duplicate_ack"))),
        answers=answers,
        delivered=delivered,
        events=tuple(events),
        passed_up=bool(then.get("pass_up")),
        sends=sends,
    )


def _blocks(cell: Cell, what: str) -> tuple[tuple[int, int], ...]:
    """The SACK blocks of the answer, if SACK was agreed: D-SACK (RFC 2883 4) or what is held (RFC 2018 3)."""
    if not what or cell.stamp == "none":
        return ()
    found = segment(cell)
    if what == "held":
        room = (RCV_NXT + receive_window(cell) - found.seq) & MASK
        return ((found.seq, (found.seq + min(found.length, room)) & MASK),)
    octets = found.length + bool(found.flags & 2) + bool(found.flags & 1)
    return ((found.seq, (found.seq + min(octets, (RCV_NXT - found.seq) & MASK)) & MASK),)


def differences(wanted: Outcome, found: Outcome) -> str:
    """The fields that differ, for messages; empty if none does."""
    pairs = ((field.name, getattr(wanted, field.name), getattr(found, field.name)) for field in fields(Outcome))
    return "; ".join(f"{name}: table {want}, device {got}" for name, want, got in pairs if want != got)
