"""Where each duty of the NDIS contract lives, read from the tables of docs/ndis.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tb.config import ROOT

PAGE: Final = ROOT / "docs" / "ndis.md"
PLACES: Final = ("hdl", "driver", "host", "im")


@dataclass(frozen=True)
class Duty:
    """A rule or decision, where it lives, what must hold, and the object that is missing where it is not applicable.

    ``chapter`` is the heading that it stands under in docs/ndis.md.
    """

    id: str
    where: str
    text: str
    missing: str = ""
    chapter: str = ""


def duties() -> list[Duty]:
    """All rows of docs/ndis.md; raises ValueError where a row names no known place, or an id stands twice."""
    found: dict[str, Duty] = {}
    chapter = ""
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        if heading := re.match(r"##+ (.+)", line):
            chapter = heading[1]
        if not (match := re.match(r"\| (CH-\d{3}|G-\d\d) \| (\w+) \| (.*) \|$", line)):
            continue
        rule, where, text = match.groups()
        if where not in PLACES or rule in found:
            raise ValueError(f"docs/ndis.md line {number}: {rule} stands twice, or {where!r} is none of {PLACES}")
        missing = re.search(r"\(not applicable: (.+)\)$", text.strip())
        found[rule] = Duty(rule, where, text.strip(), missing[1] if missing else "", chapter)
    return list(found.values())


@cache
def of_device() -> frozenset[str]:
    """Rules and decisions that the device itself has to keep."""
    return frozenset(duty.id for duty in duties() if duty.where == "hdl")


def counted(found: Mapping[str, Any]) -> dict[str, int]:
    """Triggers of `ContractTap.result` that exercise a rule: one of the device counts where the device showed it."""
    return {
        rule: seen
        for rule, count in found["triggers"].items()
        if (seen := found["at_device"].get(rule, 0) if rule in of_device() else count)
    }


def counted_in(found: Mapping[str, Any], chapters: Iterable[str]) -> frozenset[str]:
    """Rules that are exercised in these chapters of the run, see `counted`."""
    parts = (found["chapters"].get(chapter) for chapter in chapters)
    return frozenset(rule for part in parts if part is not None for rule in counted(part))


def triggered_in(found: Mapping[str, Any], chapters: Iterable[str]) -> frozenset[str]:
    """Rules whose condition occurred in these chapters of the run, at the device or above it."""
    parts = (found["chapters"].get(chapter) for chapter in chapters)
    return frozenset(rule for part in parts if part is not None for rule, count in part["triggers"].items() if count)
