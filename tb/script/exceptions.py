"""Events of traces that depend on a choice that no RFC makes, and why (tb/script/exceptions.toml).

An exception names a trace, the line of an event, what may be different, and the reason; it excuses that event only.
``other``: the target sends another segment there. ``absent``: it sends none. ``extra``: it sends more before it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("exceptions.toml")
KINDS = ("other", "absent", "extra")


@dataclass(frozen=True)
class Excuse:
    """One event of one trace."""

    set: str
    path: str
    line: int
    kind: str
    reason: str


def load(file: Path = FILE) -> dict[tuple[str, str], tuple[Excuse, ...]]:
    """By set and path."""
    found: dict[tuple[str, str], tuple[Excuse, ...]] = {}
    for entry in tomllib.loads(file.read_text()).get("exception", []):
        excuse = Excuse(entry["set"], entry["path"], int(entry["line"]), entry["kind"], entry["reason"])
        if excuse.kind not in KINDS or not excuse.reason:
            raise ValueError(
                f"{file.name}: {excuse.path}, line {excuse.line}: a kind ({', '.join(KINDS)}) and a reason"
            )
        key = excuse.set, excuse.path
        found[key] = (*found.get(key, ()), excuse)
    return found
