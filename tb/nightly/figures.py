"""What must stand in a result file: `cuts.# >= 300`, `byte_exact == true`, `*.status in ["pass", "skip"]`.

Left of the operator is a path of keys with dots between. `*` is every element of a list or every value of an object,
`#` the number of them. Right of it is a JSON value. A key that is not there is a failure, and so is `*` of nothing:
a result file that lost its figures says nothing.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "in": lambda got, wanted: got in wanted,
}
FIGURE = re.compile(r"(\S+)\s+(==|!=|<=|>=|<|>|in)\s+(.+)")
#: Places of one figure that are named.
SHOWN = 5


class FigureError(Exception):
    """A figure that cannot be read: what is wrong with its text, or which key the document lacks."""


@dataclass(frozen=True)
class Figure:
    """One figure and its bound. `path` are the keys, `wanted` is what JSON made of the right side."""

    path: tuple[str, ...]
    operator: str
    wanted: Any

    @staticmethod
    def parse(text: str) -> Figure:
        """A line of the list; FigureError if it is none."""
        found = FIGURE.fullmatch(text.strip())
        if found is None:
            raise FigureError(f"{text!r} is not `KEYS OPERATOR VALUE`; operators: {' '.join(OPERATORS)}")
        try:
            wanted = json.loads(found.group(3))
        except ValueError:
            raise FigureError(f"{text!r}: {found.group(3)} is not JSON") from None
        if found.group(2) == "in" and not isinstance(wanted, list):
            raise FigureError(f"{text!r}: `in` takes a list")
        return Figure(tuple(found.group(1).split(".")), found.group(2), wanted)

    def problems(self, document: Any) -> list[str]:
        """What is wrong in a document, each with its place, what is wanted and what was got."""
        try:
            places = values(document, self.path)
        except FigureError as error:
            return [str(error)]
        bound = f"{self.operator} {json.dumps(self.wanted)}"
        wrong = [f"{place}: wanted {bound}, got {short(got)}" for place, got in places if not self._holds(got)]
        more = len(wrong) - SHOWN
        return [*wrong[:SHOWN], *([f"and {more} more of {'.'.join(self.path)}"] if more > 0 else [])]

    def _holds(self, got: Any) -> bool:
        if self.operator != "in" and isinstance(got, bool) is not isinstance(self.wanted, bool):
            return False  # for Python true is 1
        try:
            return OPERATORS[self.operator](got, self.wanted)
        except TypeError:
            return False


def short(value: Any) -> str:
    """A value for a line."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def values(document: Any, path: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Every value that a path means, with its place in words; FigureError if a key or everything is missing."""
    found: list[tuple[str, Any]] = [("", document)]
    for key in path:
        found = [one for place, value in found for one in step(place, value, key)]
        if not found:
            raise FigureError(f"{'.'.join(path)}: nothing is there")
    return found


def step(place: str, value: Any, key: str) -> list[tuple[str, Any]]:
    """One key further."""
    before = f"{place}." if place else ""
    if key in ("*", "#") and isinstance(value, dict | list):
        if key == "#":
            return [(f"{before}#", len(value))]
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [(f"{before}{name}", one) for name, one in pairs]
    if isinstance(value, dict) and key in value:
        return [(f"{before}{key}", value[key])]
    raise FigureError(f"{before}{key}: there is no such key")
