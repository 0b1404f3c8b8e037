"""divergence.txt (model/device/report.py) read back, for everybody who reads one."""

from __future__ import annotations

import re

#: Where the head ends: the events before the divergence, and the frame, have lines of the same form.
BEHIND = re.compile(r"^(?:last commits|frame, )", re.MULTILINE)
FIRST = re.compile(r"^first divergence: check (\d)", re.MULTILINE)
FACT = re.compile(r"^  (\w+) +(.*?) *$", re.MULTILINE)


def check_of(text: str) -> int | None:
    """The number of the check that found it, 1 to 6; None if the text is no report."""
    found = FIRST.search(text)
    return int(found.group(1)) if found else None


def facts_of(text: str) -> dict[str, str]:
    """What the lines of the head say, by their first word: cycle, stream, connection, event, field, expected, ..."""
    return dict(FACT.findall(BEHIND.split(text, maxsplit=1)[0]))
