"""Code coverage: what Verilator counted in the runs with COVER=1, merged.

The file, compressed by `tb.sim.run`, is text: `C '<key>' <count>` a point, the key made of `\\1name\\2value`. The tool
that merges such files is not part of the Verilator package that we use, so they are read here. A point that several
instances or widths of a module have is one point: of a file, a line, a column and what it says.
"""

from __future__ import annotations

import gzip
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from tb.config import ROOT
from tb.coverage.exclusions import CodeRow

KINDS: Final = ("line", "branch", "expression", "toggle")
ZONES: Final = ("rtl", "register_file", "assertions", "transactors")
"""rtl: what is judged. The others are counted apart: csr.v; checkers and assertions; the rest of the test bench."""
REGISTER_FILES: Final = ("hdl/host/csr.v",)
SMALL: Final = (64, 4)
"""Bus width in bits and connections of the small configuration, in which toggles are counted."""
WANTED: Final[Mapping[str, float]] = {"line": 0.98, "branch": 0.98, "toggle": 0.90}
_TOGGLE: Final = "\1page\2v_toggle"
_PAGES: Final = {"v_line": "line", "v_branch": "branch", "v_expr": "expression", "v_toggle": "toggle"}


class Point(NamedTuple):
    """Something that is counted: kind, file below the root, line, column, and what tells it from its neighbours."""

    kind: str
    file: str
    line: int
    column: int
    what: str


def read(path: Path) -> Iterator[tuple[str, int]]:
    """Key and count of every point of one file."""
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        for text in file:
            key, quote, count = text.rpartition("' ")
            if quote and key.startswith("C '"):
                yield key[3:], int(count)


def points_of(key: str) -> Iterator[Point]:
    """What a key counts: itself, and of a line or branch the lines of its block; nothing of kinds that are not ours."""
    fields = dict(part.split("\2", 1) for part in key.split("\1") if "\2" in part)
    kind = _PAGES.get(fields.get("page", "").partition("/")[0])
    if kind is None:
        return
    name, first = relative(fields.get("f", "")), int(fields.get("l", 0))
    if kind in ("line", "branch"):
        for line in lines_of(fields.get("S", ""), first):
            yield Point("line", name, line, 0, "")
    if kind != "line":
        yield Point(kind, name, first, int(fields.get("n", 0)), fields.get("o", ""))


def lines_of(ranges: str, otherwise: int) -> list[int]:
    """`3-5,9` as numbers; without ranges the line itself."""
    found: list[int] = []
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found or [otherwise]


@cache
def relative(name: str) -> str:
    """A source's name below the root of the tree."""
    path = Path(name)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else name


@cache
def source(name: str) -> tuple[str, ...]:
    """The lines of a source, empty if it is not there."""
    path = ROOT / name
    return tuple(path.read_text().splitlines()) if path.is_file() else ()


@cache
def asserted(name: str) -> frozenset[int]:
    """Numbers of the lines that are compiled with CHIMNEY_ASSERT alone."""
    found, depth = set(), 0
    for number, text in enumerate(source(name), 1):
        word = text.split()[:2]
        if word[:1] in (["`ifdef"], ["`ifndef"]) and (depth or word[1:] == ["CHIMNEY_ASSERT"]):
            depth += 1
        elif word[:1] == ["`endif"] and depth:
            depth -= 1
        elif depth:
            found.add(number)
    return frozenset(found)


def zone(point: Point) -> str:
    """Where a point belongs."""
    if point.file.startswith("tb/hdl/checkers/") or point.line in asserted(point.file):
        return "assertions"
    if not point.file.startswith("hdl/"):
        return "transactors"
    return "register_file" if point.file in REGISTER_FILES else "rtl"


@dataclass
class Code:
    """All points of all files. ``files`` were read; ``problems`` are exclusions that are wrong."""

    problems: list[str] = field(default_factory=list)
    files: int = 0
    small: int = 0
    _keys: dict[str, int] = field(default_factory=dict)
    _taken: dict[Point, CodeRow] = field(default_factory=dict)

    def add(self, counts: Iterable[tuple[str, int]], *, small: bool) -> None:
        """One run; its toggles count if it ran in the small configuration."""
        self.files += 1
        self.small += small
        keys = self._keys
        for key, count in counts:
            if small or _TOGGLE not in key:
                keys[key] = keys.get(key, 0) + count
        self.__dict__.pop("counts", None)

    @cached_property
    def counts(self) -> Mapping[Point, int]:
        """How often each point was hit. Keys of several instances are one point."""
        found: dict[Point, int] = {}
        for key, count in self._keys.items():
            for point in points_of(key):
                found[point] = found.get(point, 0) + count
        return found

    @cached_property
    def _zones(self) -> Mapping[tuple[str, str], list[Point]]:
        """Points by kind and zone."""
        found: dict[tuple[str, str], list[Point]] = {(kind, where): [] for kind in KINDS for where in ZONES}
        for point in self.counts:
            found[point.kind, zone(point)].append(point)
        return found

    def exclude(self, rows: Sequence[CodeRow]) -> None:
        """Apply the exclusions. Wrong is one without effect, or of a point that a run has hit."""
        if not self.files:
            return
        for row in rows:
            points = [p for p in self.counts if p not in self._taken and self._matches(row, p)]
            if not points:
                self.problems.append(f"{row} excludes nothing")
            elif (hit := next((point for point in points if self.counts[point]), None)) is not None:
                self.problems.append(f"{row} excludes line {hit.line}, which was hit")
            self._taken.update(dict.fromkeys(points, row))

    @staticmethod
    def _matches(row: CodeRow, point: Point) -> bool:
        if point.file != row.file or point.kind not in row.kinds:
            return False
        lines = source(point.file)
        return not row.text or (0 < point.line <= len(lines) and row.text in lines[point.line - 1])

    def figures(self, kind: str, where: str = "rtl") -> dict[str, int]:
        """hit, total (the excluded ones among them), excluded."""
        points = self._zones[kind, where]
        return {
            "hit": sum(self.counts[point] > 0 for point in points),
            "total": len(points),
            "excluded": sum(point in self._taken for point in points),
        }

    def summary(self) -> dict[str, Any]:
        """{kind: figures of the RTL, with those of the other zones}."""
        return {
            kind: self.figures(kind) | {"zones": {z: self.figures(kind, z) for z in ZONES if z != "rtl"}}
            for kind in KINDS
        }

    def share(self, kind: str) -> float:
        """Hit of what has to be hit in the RTL."""
        figures = self.figures(kind)
        return figures["hit"] / max(1, figures["total"] - figures["excluded"])

    def holes(self, kind: str) -> list[tuple[str, list[Point]]]:
        """Files of the RTL with what was missed in them, most first."""
        missed: dict[str, list[Point]] = defaultdict(list)
        for point in self._zones[kind, "rtl"]:
            if not self.counts[point] and point not in self._taken:
                missed[point.file].append(point)
        return sorted(((name, sorted(points)) for name, points in missed.items()), key=lambda pair: -len(pair[1]))
