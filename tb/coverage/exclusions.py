"""exclusions.toml: what cannot happen and what need not be covered, each with its reason.

``[[impossible]]`` takes values or combinations out of the space of functional bins: the design or the contract rules
them out, and seeing one is an error. ``[[excluded]]`` leaves bins in the space that nobody has to hit; their share is
bounded. ``[[code]]`` leaves out points of code coverage. ``[[wide]]`` names signals whose toggles are not counted at
all, as they are wider than Verilator looks: they are in no total. A row that takes nothing away is an error, and so is
one that something hits which it takes away.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tb.coverage.space import Bin, Group
from tb.variables import ConfigError

FILE = Path(__file__).with_name("exclusions.toml")
KINDS = ("impossible", "excluded", "code", "wide")
_REASON_WORDS = 3


@dataclass(frozen=True)
class Row:
    """One exclusion of functional bins: each axis of ``when`` has one of its values, none has one of ``but``."""

    kind: str
    number: int
    group: str
    when: Mapping[str, tuple[str, ...]]
    but: Mapping[str, tuple[str, ...]]
    reason: str

    def matches(self, group: Group, one: Bin) -> bool:
        """Whether the row takes this bin away."""
        if group.name != self.group:
            return False
        values = dict(zip(group.axes, one.values, strict=True))
        return all(values[axis] in allowed for axis, allowed in self.when.items()) and not any(
            values[axis] in kept for axis, kept in self.but.items()
        )

    def __str__(self) -> str:
        return f"[[{self.kind}]] {self.number} ({self.group}: {self.reason})"


@dataclass(frozen=True)
class CodeRow:
    """Points of code left out: of these kinds, in a file of hdl/, on lines that contain a text."""

    number: int
    file: str
    kinds: tuple[str, ...]
    text: str
    reason: str

    def __str__(self) -> str:
        return f"[[code]] {self.number} ({self.file}: {self.reason})"


@dataclass(frozen=True)
class WideRow:
    """Signals, by file of hdl/, that are too wide for toggles to be counted."""

    number: int
    signals: Mapping[str, tuple[str, ...]]
    reason: str


@dataclass(frozen=True)
class Exclusions:
    """The file, read and checked."""

    rows: tuple[Row, ...]
    code: tuple[CodeRow, ...]
    wide: tuple[WideRow, ...]


def load(groups: Mapping[str, Group], path: Path = FILE) -> Exclusions:
    """Read the file; a row that cannot mean anything raises ConfigError."""
    data = tomllib.loads(path.read_text())
    if unknown := set(data) - set(KINDS):
        raise _wrong(path, f"there is no kind {', '.join(sorted(unknown))}", f"use {', '.join(KINDS)}")
    rows = [
        _row(path, groups, kind, number, entry)
        for kind in ("impossible", "excluded")
        for number, entry in enumerate(data.get(kind, []), 1)
    ]
    code = [_code_row(path, number, entry) for number, entry in enumerate(data.get("code", []), 1)]
    wide = [_wide_row(path, number, entry) for number, entry in enumerate(data.get("wide", []), 1)]
    return Exclusions(tuple(rows), tuple(code), tuple(wide))


def _row(path: Path, groups: Mapping[str, Group], kind: str, number: int, entry: dict[str, Any]) -> Row:
    what = f"[[{kind}]] {number}"
    group = groups.get(entry.get("group", ""))
    if group is None or set(entry) - {"group", "when", "but", "reason"}:
        raise _wrong(path, f"{what} names no group, or has other keys", "give group, when, but, reason")
    tables = [{axis: tuple(values) for axis, values in entry.get(name, {}).items()} for name in ("when", "but")]
    for table in tables:
        for axis, values in table.items():
            if axis not in group.axes:
                raise _wrong(path, f"{what}: {group.name} has no axis {axis}", f"use {', '.join(group.axes)}")
            at = group.axes.index(axis)
            if strange := set(values) - {one.values[at] for one in group.bins}:
                raise _wrong(path, f"{what}: {axis} is never {', '.join(sorted(strange))}", "use values of the space")
    return Row(kind, number, group.name, tables[0], tables[1], _reason(path, what, entry))


def _code_row(path: Path, number: int, entry: dict[str, Any]) -> CodeRow:
    what = f"[[code]] {number}"
    if set(entry) - {"file", "kinds", "text", "reason"} or not entry.get("file") or not entry.get("kinds"):
        raise _wrong(path, f"{what} has no file or no kinds, or other keys", "give file, kinds, text, reason")
    return CodeRow(number, entry["file"], tuple(entry["kinds"]), entry.get("text", ""), _reason(path, what, entry))


def _wide_row(path: Path, number: int, entry: dict[str, Any]) -> WideRow:
    what = f"[[wide]] {number}"
    signals = entry.get("signals")
    if set(entry) - {"signals", "reason"} or not isinstance(signals, dict) or not signals:
        raise _wrong(path, f"{what} has no signals, or other keys", 'give signals."FILE" = [NAMES], and reason')
    return WideRow(number, {file: tuple(names) for file, names in signals.items()}, _reason(path, what, entry))


def _reason(path: Path, what: str, entry: Mapping[str, Any]) -> str:
    reason = str(entry.get("reason", ""))
    if len(reason.split()) < _REASON_WORDS:
        raise _wrong(path, f"{what} has no reason", "say in a sentence why")
    return reason


def _wrong(path: Path, what: str, todo: str) -> ConfigError:
    return ConfigError(what, path.name, todo)


@dataclass(frozen=True)
class Judged:
    """Which row takes which bin away, and what is wrong with the rows."""

    by_bin: Mapping[Bin, Row]
    problems: tuple[str, ...]


def judge(groups: Mapping[str, Group], rows: Iterable[Row], hit: Mapping[Bin, str]) -> Judged:
    """Apply the rows, the first that matches counts. ``hit``: which run hit a bin.

    Wrong are a row that takes away no bin that the rows before it have left, and a bin that was hit all the same.
    """
    by_bin: dict[Bin, Row] = {}
    problems = []
    left = {name: list(group.bins) for name, group in groups.items()}
    for row in rows:
        group = groups[row.group]
        taken = [one for one in left[row.group] if row.matches(group, one)]
        if not taken:
            problems.append(f"{row} excludes nothing")
        for one in taken:
            by_bin[one] = row
            if one in hit:
                problems.append(f"{row} excludes `{one.name}`, which {hit[one]} hit")
        gone = set(taken)
        left[row.group] = [one for one in left[row.group] if one not in gone]
    return Judged(by_bin, tuple(problems))
