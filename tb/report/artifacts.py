"""What other commands left under sim_build/ and the report shows: plan, coverage, sabotages, bench.

Every reader takes what is not there, or is not what it should be, as None: the page says so, and of a file that is
there and cannot be used the command, too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tb.commands import COMMANDS
from tb.config import ROOT
from tb.farm.results import HISTORY_NAME, ResultsError, ResultsReader, RunRow
from tb.report.results import Figure, figures_of, read_json
from tb.sabotage.manifest import load as load_sabotages

BUILD = ROOT / "sim_build"
#: Kinds of code coverage, in the order shown.
CODE_KINDS = ("line", "branch", "expression", "toggle")


@dataclass(frozen=True)
class History:
    """Figures over runs, the oldest first."""

    runs: tuple[RunRow, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Artifacts:
    """Files of other commands, as they are; None where there is none."""

    plan: dict[str, Any] | None = None
    coverage: dict[str, Any] | None = None
    sabotages: list[dict[str, Any]] | None = None
    bench: Mapping[str, dict[str, Any]] | None = None
    #: Every measurement of the bench on this tree: runs and figures.
    history: History = History()
    #: Files that are there and hold not what they should, named below the root.
    damaged: tuple[str, ...] = ()


def gather(build: Path = BUILD) -> Artifacts:
    """All files below `build`."""
    plan, coverage = read_json(build / "plan" / "plan.json"), read_json(build / "coverage" / "summary.json")
    sabotages = read_json(build / "sabotage" / "summary.json")
    measured = {path.name: read_json(path) for path in sorted((build / "bench").glob("*.json"))}
    kept: dict[str, Any] = {
        "plan/plan.json": plan if isinstance(plan, dict) and isinstance(plan.get("rules"), list) else None,
        "coverage/summary.json": coverage if isinstance(coverage, dict) else None,
        "sabotage/summary.json": sabotages if isinstance(sabotages, list) else None,
        **{f"bench/{name}": found if isinstance(found, dict) else None for name, found in measured.items()},
    }
    listed = kept["sabotage/summary.json"]
    return Artifacts(
        kept["plan/plan.json"],
        kept["coverage/summary.json"],
        None if listed is None else [one for one in listed if isinstance(one, dict)],
        {name: found for name, found in measured.items() if isinstance(found, dict)},
        history_of(build / "bench" / HISTORY_NAME),
        tuple(f"sim_build/{name}" for name, found in kept.items() if found is None and (build / name).exists()),
    )


def made_by(file: str) -> str:
    """The command that writes a file, as it is typed."""
    return next((f"chimney {name}" for name, one in COMMANDS.items() if one.results == file), "the command behind it")


def history_of(path: Path) -> History:
    """Figures that were kept over runs; none of a file that is not there or cannot be read."""
    try:
        reader = ResultsReader(path)
        return History(reader.runs(), figures_of(reader))
    except (ResultsError, sqlite3.Error):
        return History()


# ---- coverage -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Share:
    """Points hit of `total`. `percent` is of those that are not excluded; alone, nothing was counted.

    `impossible` are combinations that were taken out before, and are not in `total`; None where there is no such thing.
    """

    name: str
    percent: float
    hit: int | None = None
    total: int | None = None
    excluded: int | None = None
    impossible: int | None = None


def shares(coverage: Mapping[str, Any]) -> list[Share]:
    """Code coverage by kind, then the functional bins."""
    found = []
    for name in (*CODE_KINDS, "functional"):
        value = coverage.get(name)
        if isinstance(value, int | float):
            found.append(Share(name, float(value)))
        elif isinstance(value, dict) and isinstance(value.get("total"), int):
            hit, total, excluded = int(value.get("hit") or 0), int(value["total"]), int(value.get("excluded") or 0)
            needed = total - excluded
            gone = value.get("impossible")
            percent = 100.0 * hit / needed if needed > 0 else 0.0
            found.append(Share(name, percent, hit, total, excluded, gone if isinstance(gone, int) else None))
    return found


def bins_of(coverage: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The functional bins by group."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in coverage.get("bins") or ():
        if isinstance(one, dict):
            groups.setdefault(str(one.get("group", "")), []).append(one)
    return groups


def impossible_by_group(coverage: Mapping[str, Any]) -> dict[str, int]:
    """How many combinations of each group are called impossible."""
    functional = coverage.get("functional")
    groups = functional.get("groups") if isinstance(functional, dict) else None
    return {
        str(name): int(one["impossible"])
        for name, one in (groups if isinstance(groups, dict) else {}).items()
        if isinstance(one, dict) and isinstance(one.get("impossible"), int)
    }


# ---- sabotages ------------------------------------------------------------------------------------


def blind_spots() -> list[tuple[str, str, str]]:
    """Sabotages that nothing is known to catch: id, rule, note."""
    return [(entry.id, entry.rule, entry.note) for entry in load_sabotages() if entry.blind]


def listed_sabotages() -> set[str]:
    """The ids of all sabotages of the lists in tb/sabotage."""
    return {entry.id for entry in load_sabotages()}


# ---- figures --------------------------------------------------------------------------------------


def numbers_of(bench: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, float]]:
    """File, name and value of every number that stands at the top of a file of figures."""
    for file, values in bench.items():
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield file, name, float(value)


@dataclass(frozen=True)
class Trend:
    """One figure over runs: (run number, value), the oldest first."""

    name: str
    unit: str
    points: tuple[tuple[int, float], ...]


def trends(figures: Sequence[Figure]) -> list[Trend]:
    """Every figure of a results.sqlite over the runs that measured it."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        groups.setdefault(figure.name, []).append(figure)
    return [
        Trend(name, figures[-1].unit, tuple((one.run, one.value) for one in figures))
        for name, figures in sorted(groups.items())
    ]
