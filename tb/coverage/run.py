"""`make coverage`: merge what the runs have left, say what was exercised and what was not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tb.config import ROOT, RunConfig
from tb.coverage import code, functional
from tb.coverage.exclusions import load
from tb.coverage.samples import DEVICE, Samples, design_hash, folders
from tb.coverage.space import groups
from tb.files import write_json, write_whole
from tb.progress import Meter
from tb.sim.run import COUNTS_NAME, SAMPLES_NAME

OUT = ROOT / "sim_build" / "coverage"
#: REQUIRE=targets makes a figure below its target a failure.
TARGETS = "targets"
#: Holes of a group, and files with holes, that are printed; all are in holes.txt.
SHOWN = 5


def main(config: RunConfig) -> int:
    """0 the figures are sound (with REQUIRE=targets: and where they have to be), 1 they are not."""
    console = Console(highlight=False, soft_wrap=True)
    space = groups()
    rules = load(space)
    runs = [(folder, run) for folder in folders(SAMPLES_NAME) if (run := Samples.load(folder / SAMPLES_NAME))]
    found = functional.merge(space, rules.rows, [run for _, run in runs], design_hash)
    counted = [(folder, run) for folder, run in runs if run.design == design_hash(run.top)]
    lines = merged_code(counted)
    lines.exclude(rules.code)
    problems = [*found.problems, *lines.problems]
    targets = judge(found, lines)
    OUT.mkdir(parents=True, exist_ok=True)
    written = summary(found, lines, targets, problems)
    written["toggle"]["wide"] = sum(len(names) for row in rules.wide for names in row.signals.values())
    write_json(OUT / "summary.json", written)
    write_whole(OUT / "holes.txt", "\n".join(holes(found, lines)) + "\n")
    report(console, found, lines, targets, problems)
    short = TARGETS in config.require and not all(t["met"] for t in targets.values())
    good = not problems and not short and found.runs > 0
    console.print("PASS" if good else "FAIL")
    sys.stdout.flush()
    return 0 if good else 1


def merged_code(runs: list[tuple[Path, Samples]]) -> code.Code:
    """What Verilator counted in those of the runs that were built for it; tests of single blocks do not count."""
    merged = code.Code()
    with Meter("coverage", len(runs)) as meter:
        for folder, run in runs:
            with meter.part(folder.name):
                if run.top == DEVICE and (path := folder / COUNTS_NAME).is_file():
                    merged.add(code.read(path), small=(run.data_w, run.conns) == code.SMALL)
    return merged


def judge(found: functional.Functional, lines: code.Code) -> dict[str, dict[str, Any]]:
    """{figure: {wanted, reached, met}}; what was not measured is not met."""
    figures = found.figures()
    excluded = figures["excluded"] / max(1, figures["total"])
    targets = {
        "functional": target(functional.WANTED, found.share),
        "functional excluded": {
            "wanted": functional.MOST_EXCLUDED, "reached": round(excluded, 4),
            "met": excluded <= functional.MOST_EXCLUDED,
        },
    }  # fmt: skip
    for kind, wanted in code.WANTED.items():
        measured = lines.figures(kind)["total"] > 0
        targets[kind] = target(wanted, lines.share(kind) if measured else None)
    return targets


def target(wanted: float, reached: float | None) -> dict[str, Any]:
    """A share that must be reached, rounded down for readers but not for the verdict; None was not measured."""
    if reached is None:
        return {"wanted": wanted, "reached": None, "met": False}
    return {"wanted": wanted, "reached": int(reached * 10_000) / 10_000, "met": reached >= wanted}


def summary(
    found: functional.Functional, lines: code.Code, targets: dict[str, dict[str, Any]], problems: list[str]
) -> dict[str, Any]:
    """summary.json."""
    return {
        "schema": 1,
        **lines.summary(),
        "functional": found.figures() | {"groups": {name: found.figures(name) for name in found.groups}},
        "runs": {"functional": found.runs, "stale": found.stale, "code": lines.files, "code_small": lines.small},
        "targets": targets,
        "problems": problems,
        "bins": found.rows(),
        "impossible": found.impossible(),
    }


def holes(found: functional.Functional, lines: code.Code) -> list[str]:
    """Everything that was not hit, one line each."""
    bins = [f"{name}: {one.name}" for name in found.groups for one in found.holes(name)]
    points = [
        f"{kind}: {name}:{point.line}:{point.column} {point.what}".rstrip()
        for kind in code.KINDS
        for name, missed in lines.holes(kind)
        for point in missed
    ]
    return [*bins, *points]


def report(
    console: Console,
    found: functional.Functional,
    lines: code.Code,
    targets: dict[str, dict[str, Any]],
    problems: list[str],
) -> None:
    """The tables, the largest holes, what is wrong."""
    table = Table(title=f"functional bins, {found.runs} runs", title_justify="left")
    for column in ("group", "hit", "total", "excluded", "impossible"):
        table.add_column(column, justify="left" if column == "group" else "right")
    for name in (*found.groups, None):
        table.add_row(name or "all", *(f"{figure:,}" for figure in found.figures(name).values()))
    console.print(table)
    for name in sorted(found.groups, key=lambda name: -len(found.holes(name)))[:SHOWN]:
        first = "; ".join(one.name for one in found.holes(name)[:SHOWN])
        console.print(f"holes in {name}: {len(found.holes(name)):,}, such as {first or 'none'}", markup=False)
    code_table = Table(
        title=f"code, {lines.files} runs ({lines.small} of the small configuration)", title_justify="left"
    )
    code_table.add_column("kind")
    for where in code.ZONES:
        code_table.add_column(where.replace("_", " "), justify="right")
    for kind in code.KINDS:
        cells = [lines.figures(kind, where) for where in code.ZONES]
        code_table.add_row(kind, *(f"{c['hit']:,} of {c['total']:,}, {c['excluded']} excluded" for c in cells))
    if lines.files:
        console.print(code_table)
        for kind in code.KINDS:
            worst = ", ".join(f"{name} {len(missed):,}" for name, missed in lines.holes(kind)[:SHOWN])
            console.print(f"most {kind} points missed: {worst or 'none'}", markup=False)
    else:
        console.print("no code coverage: no run with COVER=1 on Verilator has left any")
    for name, one in targets.items():
        if one["reached"] is None:
            console.print(f"{name:<20}  not measured, wanted {one['wanted']:.0%}")
            continue
        mark = "reached" if one["met"] else "NOT REACHED"
        console.print(f"{name:<20}{one['reached']:>8.2%}  wanted {one['wanted']:.0%}  {mark}")
    if found.stale:
        console.print(f"{found.stale} runs of another design were left out")
    for problem in problems:
        console.print(f"FAIL: {problem}", markup=False)
    if not found.runs:
        console.print("FAIL: no passing RTL run of this design has left samples: `make test` first")
    here = OUT.relative_to(ROOT)
    console.print(f"results: {here}/summary.json, {here}/holes.txt")
