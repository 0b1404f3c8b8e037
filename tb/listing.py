"""`make list`, `chimney list [--json]`: what can be asked for by name, read from the lists that the commands read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tb.config import RunConfig
from tb.sabotage.manifest import load as load_sabotages
from tb.testing.tiers import TIERS, Job
from tb.testing.tiers import load as load_tiers
from tb.variables import SIMULATORS, SUITES

#: What a suite of `regress` is.
SUITE_TEXTS = {
    "tests": "the RTL tests of a tier, once for each seed",
    "contract": "random operations, allowed and not, against every rule of the NDIS contract",
}


def listing() -> dict[str, Any]:
    """Everything as data: tests (one entry a simulation), python_tests, tiers, suites, sabotages."""
    tiers = load_tiers()
    return {
        "tests": [
            {
                "name": job.name,
                "label": job.label,
                "tier": job.tier,
                "simulator": job.simulator,
                "data_w": job.data_w or None,
                "module": job.module,
                "exempt": job.exempt or None,
            }
            for job in tiers.jobs
        ],
        "python_tests": [{"tier": tier, "path": path} for tier, path in tiers.pytest],
        "tiers": list(TIERS),
        "suites": [{"name": name, "text": SUITE_TEXTS[name]} for name in SUITES],
        "sabotages": [
            {
                "id": entry.id,
                "rule": entry.rule,
                "files": sorted({edit.file for edit in entry.edits}),
                "judge": entry.check,
                "twin": entry.twin,
                "blind": entry.blind,
            }
            for entry in load_sabotages()
        ],
    }


def widths(jobs: list[Job], tier: str) -> str:
    """The widths of some jobs in bits (a unit test may have none), each with its tier where that is not `tier`."""
    cells = [f"{job.data_w or 'unit'}" + ("" if job.tier == tier else f" ({job.tier})") for job in jobs]
    return ", ".join(cells) if cells else "-"


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines with aligned columns; nothing is cut off, so that other programs can search in them."""
    sizes = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{size}}" for cell, size in zip(row, sizes, strict=True)).rstrip() for row in rows]


def result(_: RunConfig) -> tuple[int, dict[str, Any]]:
    """For `--json`: exit status and listing."""
    return 0, listing()


def test_rows() -> list[tuple[str, ...]]:
    """One row a test: name, lowest tier, widths on each simulator."""
    jobs = load_tiers().jobs
    rows: list[tuple[str, ...]] = [("test", "tier", *SIMULATORS)]
    for name in dict.fromkeys(job.name for job in jobs):
        of_name = [job for job in jobs if job.name == name]
        first = min((job.tier for job in of_name), key=TIERS.index)
        sides = ([job for job in of_name if job.simulator == simulator] for simulator in SIMULATORS)
        rows.append((name, first, *(widths(side, first) for side in sides)))
    return rows


def main(_: RunConfig) -> int:
    """Print the lists."""
    found = listing()
    lines = columns(test_rows())
    lines += ["", *columns([("python tests", "tier"), *((one["path"], one["tier"]) for one in found["python_tests"])])]
    lines += ["", *columns([("suite", "what it is"), *((one["name"], one["text"]) for one in found["suites"])])]
    rows = [("sabotage", "judge", "rule")]
    for entry in found["sabotages"]:
        marks = ", twin" * entry["twin"] + ", blind spot" * entry["blind"]
        rows.append((entry["id"], f"{entry['judge']}{marks}", entry["rule"]))
    lines += ["", *columns(rows), ""]
    lines.append(f"{len(found['tests'])} simulations, {len(found['sabotages'])} sabotages")
    print("\n".join(lines))
    return 0
