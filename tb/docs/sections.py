"""The parts of the documentation and which page belongs to which: what a reader sees at the left of every page.

A page that is in no part, or a part that names a page that is not there, ends `make docs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: Paths below the root; a `*` stands for every page of the folder, in the order of their names.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Tutorial": ("docs/tutorial.md",),
    "How to": (
        "docs/command-line.md",
        "docs/debugging.md",
        "docs/report.md",
        "docs/regression.md",
        "docs/ci.md",
        "docs/coverage.md",
        "docs/formal.md",
        "docs/peers.md",
        "docs/programming.md",
        "docs/your-own-dut.md",
    ),
    "How it works": ("docs/architecture.md", "docs/mechanisms.md", "docs/verification.md", "docs/results.md"),
    "Reference": (
        "docs/contract/*",
        "docs/layout.md",
        "docs/errors.md",
        "docs/trace-format.md",
        "docs/ndis.md",
        "docs/founding-pages.md",
        "docs/scenarios.md",
        "CHANGELOG.md",
    ),
    "Decisions": ("docs/decisions/*",),
}
#: The first page.
FRONT = "README.md"


def in_order(pages: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The pages of each part in its order, and what is wrong: pages in no part, names without a page."""
    found: dict[str, list[str]] = {}
    problems: list[str] = []
    for section, names in SECTIONS.items():
        chosen = found.setdefault(section, [])
        for name in names:
            matching = sorted(page for page in pages if _matches(page, name))
            chosen += matching
            if not matching:
                problems.append(f"tb/docs/sections.py: {section} names {name}, which is not there")
    placed = {FRONT, *(page for chosen in found.values() for page in chosen)}
    problems += [f"{page}: in no part of tb/docs/sections.py" for page in pages if page not in placed]
    return found, problems


def _matches(page: str, name: str) -> bool:
    folder, star, _ = name.partition("*")
    return page == name or (bool(star) and page.startswith(folder))
