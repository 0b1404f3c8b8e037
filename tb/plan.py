"""`make plan`: which rule of the NDIS contract is exercised, on which device, by which test, and held.

A rule counts as exercised only where its monitor reported a *trigger* in a passing run. The runs are those of
`tb.contract.scenarios`; one whose sources have changed since its last result (or that has none) is run again. Every
rule must have triggered on RTL; one of the device (`hdl`) by something seen at the device's side of the host port or
on the wire. A test that cites a rule must have seen it triggered.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tb.config import ROOT, RunConfig
from tb.contract.duties import PAGE, Duty, counted, duties
from tb.contract.scenarios import SCENARIOS, Scenario
from tb.files import write_json, write_whole
from tb.folders import claimed
from tb.progress import Meter
from tb.sim.tools import find

OUT = ROOT / "sim_build" / "plan"
DEVICES = ("golden", "verilator", "icarus")
SOURCES = ("hdl", "model", "tb")
#: Lines of a failed run that are printed.
SHOWN = 12
STATUSES = ("pass", "fail", "untested", "not_applicable")


@dataclass(frozen=True)
class RunResult:
    """What one scenario left on one device: triggers of each rule, those seen at the device, rules broken."""

    scenario: str
    device: str
    passed: bool
    triggers: Mapping[str, int]
    at_device: Mapping[str, int]
    breaches: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    #: Rules that count in the own part of a test, by test.
    tests: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: Tests that failed, by their own judgement or by a rule that they cite in vain.
    failed: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def counted(self) -> dict[str, int]:
        """Triggers that exercise a rule."""
        return counted({"triggers": self.triggers, "at_device": self.at_device})

    @staticmethod
    def load(path: Path, tree: str) -> RunResult | None:
        """The stored result of these sources, None if there is none."""
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        if found.get("tree") != tree:
            return None
        return RunResult(
            found["scenario"], found["device"], found["passed"], found["triggers"], found["at_device"],
            tuple(found["breaches"]), tuple(found["problems"]),
            {test: tuple(rules) for test, rules in found["tests"].items()}, tuple(found["failed"]), found["seconds"],
        )  # fmt: skip

    def store(self, path: Path, tree: str) -> None:
        """Keep it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"tree": tree, **self.__dict__}, indent=1))


@dataclass
class RuleState:
    """A row of the plan."""

    id: str
    where: str
    status: str = "untested"
    reason: str = ""
    tests: list[str] = field(default_factory=list)
    triggers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DEVICES, 0))
    sabotages: list[str] = field(default_factory=list)


def tree_hash() -> str:
    """A hash of all sources that decide a result."""
    digest = hashlib.sha256(PAGE.read_bytes())
    for top in SOURCES:
        for path in sorted((ROOT / top).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def main(config: RunConfig) -> int:
    """Run what has no fresh result, then compute the plan; 0 only if every applicable rule passes."""
    OUT.mkdir(parents=True, exist_ok=True)
    with claimed(OUT, str(OUT.relative_to(ROOT)), "wait for it, or end it"):
        return planned(config)


def planned(config: RunConfig) -> int:
    """As `main`, where nobody else writes."""
    console = Console(highlight=False, soft_wrap=True)
    tree = tree_hash()
    stale = sum(one.result is None for scenario in SCENARIOS for one in runs_of(scenario, config, tree))
    with Meter("plan", stale, console=console) as meter:
        results = [result for scenario in SCENARIOS for result in results_of(scenario, config, tree, console, meter)]
    rules = compute(duties(), results, sabotages())
    found = {"tree": tree, "rules": [rule.__dict__ for rule in rules], "tests": outcomes(results)}
    write_json(OUT / "plan.json", found)
    write_whole(OUT / "plan.html", page(rules, results))
    return report(console, rules, results)


@dataclass(frozen=True)
class Planned:
    """A scenario on a device; its result if there is a fresh one."""

    device: str
    label: str
    run: Callable[[RunConfig, Path], Any]
    result: RunResult | None


def runs_of(scenario: Scenario, config: RunConfig, tree: str) -> Iterator[Planned]:
    """The scenario on every device that it has and that is there; SIM names the only simulator that is run."""
    for device in DEVICES:
        run = scenario.on(device)
        if run is None or (device != "golden" and find(device) is None):
            continue
        result = RunResult.load(OUT / device / f"{scenario.name}.json", tree)
        if result is None and config.sim_given and device not in ("golden", config.sim):
            continue
        yield Planned(device, f"{scenario.name} on {device}", run, result)


def results_of(scenario: Scenario, config: RunConfig, tree: str, console: Console, meter: Meter) -> Iterator[RunResult]:
    """The scenario's results; what has no fresh one is run."""
    for one in runs_of(scenario, config, tree):
        result = one.result
        if result is None:
            with meter.part(one.label):
                result = play(scenario, one.device, one.run, config)
            result.store(OUT / one.device / f"{scenario.name}.json", tree)
            verdict = "passed" if result.passed else "FAILED"
            console.print(f"{verdict:<8}{one.label}  ({result.seconds:.0f} s)")
            for line in (*result.breaches, *result.problems)[:SHOWN]:
                console.print(f"         {line}", markup=False)
        yield result


def play(scenario: Scenario, device: str, run: Callable[[RunConfig, Path], Any], config: RunConfig) -> RunResult:
    """Run a scenario; a test that cites a rule which never triggered in that test is a failure of the scenario."""
    started = time.monotonic()
    found = run(config, OUT / device / scenario.name)
    claims = scenario.claims()
    tests = {test: tuple(rules) for test, rules in found.get("tests", {}).items()}
    silent = {test: left for test, rules in claims.items() if (left := sorted(rules - set(tests.get(test, ()))))}
    problems = [
        *found["problems"],
        *(f"{test} cites {', '.join(left)}: never triggered" for test, left in silent.items()),
    ]
    return RunResult(
        scenario.name, device, not problems and not found["breaches"], found["triggers"], found["at_device"],
        tuple(found["breaches"]), tuple(problems), tests, tuple(sorted({*found.get("failed", ()), *silent})),
        time.monotonic() - started,
    )  # fmt: skip


def sabotages() -> dict[str, list[str]]:
    """Sabotages of the manifest by the rule that each breaks."""
    from tb.sabotage.manifest import load

    found: dict[str, list[str]] = {}
    for entry in load():
        for rule in re.findall(r"(?:CH-\d{3}|G-\d\d)", f"{entry.rule} {entry.field}"):
            found.setdefault(rule, []).append(entry.id)
    return found


def compute(table: Iterable[Duty], results: Iterable[RunResult], broken_by: Mapping[str, list[str]]) -> list[RuleState]:
    """The state of every rule."""
    runs = list(results)
    return [state_of(duty, runs, broken_by.get(duty.id, [])) for duty in table]


def state_of(duty: Duty, runs: list[RunResult], broken_by: list[str]) -> RuleState:
    """One rule over all runs."""
    state = RuleState(duty.id, duty.where, sabotages=broken_by)
    if duty.missing:
        state.status, state.reason = "not_applicable", duty.missing
        return state
    for run in runs:
        if run.passed and (count := run.counted.get(duty.id, 0)):
            state.triggers[run.device] += count
            tests = [f"{run.scenario}/{test}" for test, rules in run.tests.items() if duty.id in rules]
            state.tests += [f"{test}[{run.device}]" for test in tests or [run.scenario]]
    breaches = [line for run in runs for line in run.breaches if line.startswith(f"{duty.id} ")]
    if breaches:
        state.status, state.reason = "fail", breaches[0]
    elif not any(state.triggers.values()):
        state.reason = "its condition never occurred in a passing run"
    elif not (state.triggers["verilator"] or state.triggers["icarus"]):
        state.reason = "triggered on the golden device only"
    else:
        state.status = "pass"
    return state


def outcomes(results: Iterable[RunResult]) -> dict[str, dict[str, dict[str, str]]]:
    """Scenario -> test -> device -> pass or fail, of all tests that cite rules."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for run in results:
        broken = not run.passed and not run.failed  # nobody knows by which of its tests
        for test in run.tests:
            verdict = "fail" if broken or test in run.failed else "pass"
            found.setdefault(run.scenario, {}).setdefault(test, {})[run.device] = verdict
    return found


def by_device(found: Mapping[str, Mapping[str, Mapping[str, str]]]) -> Table:
    """How many tests of each scenario pass on each device."""
    table = Table(title="tests that cite rules: passed of all", title_justify="left")
    for column in ("scenario", *DEVICES):
        table.add_column(column, justify="left" if column == "scenario" else "right")
    for scenario, tests in found.items():
        ran = {device: [one[device] for one in tests.values() if device in one] for device in DEVICES}
        cells = (f"{ran[d].count('pass')} of {len(tests)}" if ran[d] else "not run" for d in DEVICES)
        table.add_row(scenario, *cells)
    return table


def report(console: Console, rules: list[RuleState], results: list[RunResult]) -> int:
    """The table, and the exit status."""
    table = Table(title="rules of the NDIS contract", title_justify="left")
    for column in ("where", *STATUSES):
        table.add_column(column, justify="left" if column == "where" else "right")
    for where in sorted({rule.where for rule in rules}):
        counts = [sum(r.where == where and r.status == status for r in rules) for status in STATUSES]
        table.add_row(where, *map(str, counts))
    totals = {status: sum(r.status == status for r in rules) for status in STATUSES}
    table.add_row("all", *(str(totals[status]) for status in STATUSES))
    console.print(table)
    console.print(by_device(outcomes(results)))
    for rule in rules:
        if rule.status in ("fail", "untested"):
            console.print(f"{rule.status:<9}{rule.id:<8}{rule.where:<7}{rule.reason}", markup=False)
    failed = [f"{r.scenario}[{r.device}]" for r in results if not r.passed]
    if failed:
        console.print(f"scenarios that failed: {', '.join(failed)}", markup=False)
    console.print(f"plan: {(OUT / 'plan.json').relative_to(ROOT)}, {(OUT / 'plan.html').relative_to(ROOT)}")
    good = not failed and not totals["fail"] and not totals["untested"]
    console.print("PASS" if good else "FAIL")
    sys.stdout.flush()
    return 0 if good else 1


def page(rules: list[RuleState], results: list[RunResult]) -> str:
    """The plan as one HTML page."""
    style = (
        "body{font:14px sans-serif}td,th{padding:2px 8px;border-bottom:1px solid #ccc;text-align:left;"
        "vertical-align:top}.pass{background:#dfd}.fail{background:#fbb}.untested{background:#ffc}"
    )
    rows = []
    for rule in rules:
        cells = [
            rule.id, rule.where, rule.status, *(str(rule.triggers[d]) for d in DEVICES), ", ".join(rule.tests),
            ", ".join(rule.sabotages), rule.reason,
        ]  # fmt: skip
        text = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        rows.append(f'<tr class="{rule.status}">{text}</tr>')
    head = "".join(f"<th>{c}</th>" for c in ("rule", "where", "status", *DEVICES, "tests", "sabotages", "reason"))
    runs = "".join(
        f"<li>{html.escape(f'{r.scenario} on {r.device}')}: {'passed' if r.passed else 'FAILED'}</li>" for r in results
    )
    return (
        f"<!doctype html><meta charset=utf-8><title>Chimney: plan</title><style>{style}</style>"
        f"<h1>Rules of the NDIS contract</h1><table><tr>{head}</tr>{''.join(rows)}</table>"
        f"<h2>Runs</h2><ul>{runs}</ul>\n"
    )
