"""Who noticed: reads what a run left behind and names the first judge that complained."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tb.files import shortened
from tb.sabotage import contract_verdict
from tb.sabotage.manifest import ASSERTED, BOUND, CONTRACT
from tb.sim.process import ENDED
from tb.sim.run import BROKEN_ASSERTION, RunResult, said_of
from tb.story.divergence import check_of, facts_of

#: First words of a problem -> judge; the order is their rank when several complain at once.
PATTERNS = (
    (f"^{BROKEN_ASSERTION}", ASSERTED),
    (r"^wire: ", "wire"),
    (r"^peer: ", "peer"),
    (r"rule \d+ broken", "checker"),
    (r"the three sums differ", "sums"),
    (r"^contract: ", "contract"),
    (r"^connection \d+: |^rows of docs/errors.md", "host"),
    (r"Error: .*(?:MiniportError|HostError|LedgerError|StackError|NdisError|RingError|DriverError)", "host"),
    (r"invalid literal for int\(\) with base 2|unknown \(x\)|annot convert Logic|can't convert Logic", "x"),
    (r"Can't convert Logic|not resolvable", "x"),
    (r"Standstill|not over after|not come to its end|never became idle", "timeout"),
    (r"no byte came|the lab waits", "timeout"),
    (ENDED, BOUND),
)


@dataclass(frozen=True)
class Detection:
    """Who saw it, what it names, in which cycle; `detail` and what `lockstep` says when a monitor judged."""

    by: int | str
    field: str
    cycle: int | None
    detail: str = ""
    lockstep: str = ""


def judge(out: Path, result: RunResult) -> Detection | None:
    """The judge that saw the error first; None if the run is clean."""
    for report in sorted(out.glob("*divergence.txt")):
        found = read_divergence(report.read_text())
        if found is not None:
            return found
    problems = complaints(out, result)
    if any("did not come to its end" in line for line in problems):
        problems = [line for line in problems if "sums differ" not in line]  # nothing was to be expected of them
    if not problems:
        return None if result.passed else Detection("crash", str(result.log), None)
    for pattern, name in PATTERNS:
        for line in problems:
            if re.search(pattern, line):
                cycle = re.search(r"\bcycle (\d+)", line)
                told = shortened(line.removeprefix(BROKEN_ASSERTION), 160)
                return Detection(name, told, int(cycle.group(1)) if cycle else None)
    failed = next((said_of(outcome.message) for outcome in result.outcomes if outcome.status == "failed"), "")
    return Detection("crash", shortened(failed or problems[-1], 160), None)


def complaints(out: Path, result: RunResult) -> list[str]:
    """Everything that a run complains of, line by line."""
    problems: list[str] = []
    for file in sorted(out.glob("*rtl.json")):
        problems += [str(line) for line in json.loads(file.read_text()).get("problems", [])]
    for outcome in result.outcomes:
        if outcome.status == "failed":
            problems += [line.strip() for line in outcome.message.splitlines() if line.strip()]
    return [*problems, result.problem] if result.problem else problems


def asserted(out: Path, result: RunResult) -> Detection | None:
    """The assertion of the design that ended a run, if one did."""
    found = judge(out, result)
    return found if found is not None and found.by == ASSERTED else None


def judge_contract(out: Path, ended: str = "", broken: Detection | None = None) -> Detection | None:
    """What the monitors of the contract saw first. Without a breach: that lockstep diverged, or that the run broke.

    ``ended`` is what is said of a run that was ended for its wall clock, ``broken`` the assertion that ended one.
    """
    verdict = contract_verdict.read(out)
    if verdict is None:
        return broken or (
            Detection(BOUND, shortened(ended, 160), None)
            if ended
            else Detection("crash", "the run left no verdict", None)
        )
    if verdict.first:
        return Detection(
            CONTRACT, ", ".join(verdict.first), None, shortened(verdict.text, 300), verdict.lockstep or "agrees"
        )
    if verdict.lockstep:
        return Detection(int(verdict.lockstep.split()[1].rstrip(",")), verdict.lockstep, None)
    return broken or (Detection("crash", shortened(verdict.ended, 160), None) if verdict.ended else None)


def read_divergence(text: str) -> Detection | None:
    """Check, field and cycle of a divergence report. A field seen by back door has `table` in front."""
    check, facts = check_of(text), facts_of(text)
    if check is None:
        return None
    table = "table " if facts.get("stream", "").startswith("tcb_table") else ""
    return Detection(check, table + facts.get("field", ""), int(facts["cycle"]) if "cycle" in facts else None)
