"""Where each duty of the NDIS contract lives, read from the tables of docs/ndis.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tb.config import ROOT

PAGE: Final = ROOT / "docs" / "ndis.md"
PLACES: Final = ("hdl", "driver", "host", "im")


@dataclass(frozen=True)
class Duty:
    """A rule or decision, where it lives, and what must hold."""

    id: str
    where: str
    text: str


def duties() -> list[Duty]:
    """All rows of docs/ndis.md; raises ValueError where a row names no known place, or an id stands twice."""
    found: dict[str, Duty] = {}
    for number, line in enumerate(PAGE.read_text().splitlines(), 1):
        if not (match := re.match(r"\| (CH-\d{3}|G-\d\d) \| (\w+) \| (.*) \|$", line)):
            continue
        rule, where, text = match.groups()
        if where not in PLACES or rule in found:
            raise ValueError(f"docs/ndis.md line {number}: {rule} stands twice, or {where!r} is none of {PLACES}")
        found[rule] = Duty(rule, where, text.strip())
    return list(found.values())
