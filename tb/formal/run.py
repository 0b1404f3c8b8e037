"""`make formal [ID=..]`, `chimney formal [NAMES]`: prove protocol checkers and small blocks, and try the proofs.

Each proof of tb/formal/proofs.toml is run twice: its properties by induction, and its covers, which show that what is
assumed leaves room for what matters. Then each planted error must make the property fail that is named beside it.

`sim_build/formal/summary.json` is a list of properties {block, property, says, method, proved, depth, seconds, trace};
`covers.json` and `planted.json` beside it are lists, too. `method` says what the verdict rests on:

  induction   holds in runs of any length (proved: true, depth: null)
  bounded     holds in the first `depth` cycles after power-up; nothing is said about later ones (proved: false)
  fails       a run of `trace` breaks it
  undecided   another property of the block fails, or the tools ended with an error
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tb.config import ROOT, RunConfig
from tb.files import shown
from tb.formal import sby
from tb.formal.manifest import STEP, Manifest, Planted, Proof, load
from tb.formal.sby import OUT, Found
from tb.progress import Meter

INDUCTION, BOUNDED, FAILS, UNDECIDED = "induction", "bounded", "fails", "undecided"
#: Cycles in which a property is looked for that a broken step of the induction breaks.
SEARCH = 12


@dataclass(frozen=True)
class PropertyRow:
    """One property. `depth` is in cycles, None for a proof by induction; `trace` is a path below the root."""

    block: str
    property: str
    says: str
    method: str
    proved: bool
    depth: int | None
    seconds: float
    step: bool
    trace: str | None = None


@dataclass(frozen=True)
class CoverRow:
    """One cover; `cycle` is the first in which it is reached, None if none is found."""

    block: str
    cover: str
    says: str
    cycle: int | None
    seconds: float


@dataclass(frozen=True)
class PlantedRow:
    """One planted error and the properties that fail with it."""

    id: str
    block: str
    expected: str
    failed: tuple[str, ...]
    found: bool
    seconds: float
    trace: str | None


@dataclass(frozen=True)
class Outcome:
    """Rows of one job, and what it has to say when it is not good."""

    properties: tuple[PropertyRow, ...] = ()
    covers: tuple[CoverRow, ...] = ()
    planted: tuple[PlantedRow, ...] = ()
    problems: tuple[str, ...] = ()


def main(config: RunConfig) -> int:
    """Prove what ID names, or all; 1 if a property does not hold, a cover or a planted error is not found."""
    sby.environment()
    return status_of(told(run_all(load().chosen(config.sabotage_id), config.jobs)))


def run_all(manifest: Manifest, jobs: int) -> list[Outcome]:
    """Every run, as many at a time as there are jobs."""
    work: list[tuple[str, Callable[[], Outcome]]] = []
    for proof in manifest.proofs:
        if proof.of("assert"):
            work.append((f"{proof.name} proof", lambda proof=proof: prove(proof)))  # type: ignore[misc]
        if proof.of("cover"):
            work.append((f"{proof.name} covers", lambda proof=proof: cover(proof)))  # type: ignore[misc]
    proofs = load()
    for planted in manifest.planted:
        work.append((planted.id, lambda each=planted: plant(proofs.proof(each.proof), each)))  # type: ignore[misc]
    with Meter("formal", len(work)) as meter, ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(meter.around(name, function)) for name, function in work]
        try:
            return [future.result() for future in futures]
        except BaseException:
            from tb.sim.process import end_all

            for future in futures:
                future.cancel()
            end_all()
            raise


def prove(proof: Proof, folder: Path | None = None, tree: Path = ROOT) -> Outcome:
    """All properties of one proof."""
    folder = folder or OUT / proof.name / "prove"
    found = sby.run(proof, "bmc" if proof.bounded else "prove", proof.depth, folder, tree)
    if found.status == "FAIL" and all(label.startswith(STEP) for label in found.failed):
        seen = sby.run(proof, "bmc", SEARCH, folder.with_name("bmc"), tree)  # what the broken step leads to
        found = replace(seen, seconds=found.seconds + seen.seconds) if seen.status == "FAIL" else found
    return judged(proof, found, folder.parent)


def judged(proof: Proof, found: Found, folder: Path | None = None) -> Outcome:
    """What a run says about each property; a trace goes to `folder` (default: that of the proof).

    sby proves the properties of a run together. So they are proved all or none, and where only the step of the
    induction fails, the base case still shows that none fails in its depth.
    """
    rows, problems = [], []
    trace = keep(proof, found, folder or OUT / proof.name) if found.trace else None
    for each in proof.of("assert"):
        method, depth = UNDECIDED, None
        if found.status == "PASS" and not proof.bounded:
            method = INDUCTION
        elif found.status in ("PASS", "UNKNOWN"):
            method, depth = BOUNDED, proof.depth
        elif each.label in found.failed:
            method = FAILS
        rows.append(
            PropertyRow(
                proof.name, each.label, each.text, method, method == INDUCTION, depth, found.seconds, each.is_step,
                trace if each.label in found.failed else None,
            )
        )  # fmt: skip
        if each.label in found.failed:
            problems.append(story(proof, each.label, each.text, found.status, trace))
    if found.status not in ("PASS", "FAIL", "UNKNOWN"):
        problems.append(f"ERROR {proof.name}: {found.message}\n  log: sim_build/formal/{proof.name}/prove/log.txt")
    return Outcome(tuple(rows), problems=tuple(problems))


def keep(proof: Proof, found: Found, folder: Path) -> str:
    """Copy the trace where `make waves` looks for it, with the cycle to mark; its path below the root."""
    assert found.trace is not None  # noqa: S101 - for the type only, the caller looked
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(found.trace, folder / "waves.vcd")
    said = [f"{proof.name}.{each.label}: {each.text}" for each in proof.of("assert") if each.label in found.failed]
    at = [] if found.cycle is None else [f"does not hold in cycle {found.cycle}"]
    (folder / "divergence.txt").write_text("\n".join([*said, *at]) + "\n")
    return shown(folder / "waves.vcd")


def story(proof: Proof, label: str, sentence: str, status: str, trace: str | None) -> str:
    """A failing property for people, with the command that shows the trace."""
    lines = [f"FAIL {proof.name}.{label}: {sentence}"]
    if status == "UNKNOWN":
        lines.append("  Only the step of the induction fails: the trace begins in a state that no run may reach.")
        lines.append(f"  Nothing fails in the first {proof.depth} cycles. State what rules that state out, as an inv_.")
    lines.append(f"  where:     {shown(proof.harness)}")
    if trace is not None:
        lines += [f"  trace:     {trace}", f"  show it:   make waves FAILURE={Path(trace).parent}"]
    return "\n".join([*lines, f"  again:     make formal ID={proof.name}"])


def cover(proof: Proof, folder: Path | None = None) -> Outcome:
    """A run to each cover of a proof; all must be found."""
    found = sby.run(proof, "cover", proof.cover_depth, folder or OUT / proof.name / "cover")
    rows, problems = [], []
    for each in proof.of("cover"):
        cycle = found.reached.get(each.label)
        rows.append(CoverRow(proof.name, each.label, each.text, cycle, found.seconds))
        if cycle is None:
            why = found.message or f"not reached in {proof.cover_depth} cycles: is too much assumed?"
            problems.append(
                f"FAIL {proof.name}.{each.label}: {each.text}\n  {why}\n"
                f"  log:       sim_build/formal/{proof.name}/cover/log.txt\n  again:     make formal ID={proof.name}"
            )
    return Outcome(covers=tuple(rows), problems=tuple(problems))


def plant(proof: Proof, planted: Planted, folder: Path | None = None) -> Outcome:
    """Put an error into a copy of the sources; its property must fail, with a trace."""
    folder = folder or OUT / "planted" / planted.id
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        for source in proof.sources:
            (tree / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, tree / source)
        planted.edit.apply(tree)
        found = sby.run(proof, "bmc", planted.depth, folder / "bmc", tree)
    trace = keep(proof, found, folder) if found.trace else None
    good = found.status == "FAIL" and planted.label in found.failed and trace is not None
    row = PlantedRow(planted.id, proof.name, planted.label, found.failed, good, found.seconds, trace)
    if good:
        return Outcome(planted=(row,))
    seen = found.message or f"{', '.join(found.failed) or 'nothing'} failed"
    problem = f"FAIL planted error {planted.id}: {proof.name}.{planted.label} must fail; {seen}"
    return Outcome(planted=(row,), problems=(f"{problem}\n  again:     make formal ID={planted.id}",))


def told(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Write the three lists and print what they say."""
    properties = [row for outcome in outcomes for row in outcome.properties]
    covers = [row for outcome in outcomes for row in outcome.covers]
    planted = [row for outcome in outcomes for row in outcome.planted]
    OUT.mkdir(parents=True, exist_ok=True)
    for name, rows in (("summary", properties), ("covers", covers), ("planted", planted)):
        (OUT / f"{name}.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    for block in dict.fromkeys([*(row.block for row in properties), *(row.block for row in covers)]):
        print(line_of(block, properties, covers))
    for row in planted:
        print(f"{'planted ' + row.id:<32} {'found' if row.found else 'NOT FOUND'} by {', '.join(row.failed) or 'none'}")
    for problem in (problem for outcome in outcomes for problem in outcome.problems):
        print(f"\n{problem}")
    count = Counter(row.method for row in properties)
    words = (
        f"{count[INDUCTION]} proved by induction, {count[BOUNDED]} bounded, {count[FAILS]} failing, "
        f"{count[UNDECIDED]} undecided"
    )
    reached, caught = sum(row.cycle is not None for row in covers), sum(row.found for row in planted)
    print(f"\nproperties: {words}; covers reached: {reached} of {len(covers)}; ", end="")
    print(f"planted errors found: {caught} of {len(planted)}")
    print(f"results: {shown(OUT / 'summary.json')}, covers.json, planted.json")
    return list(outcomes)


def line_of(block: str, properties: Sequence[PropertyRow], covers: Sequence[CoverRow]) -> str:
    """One block in one line."""
    mine = [row for row in properties if row.block == block]
    parts = []
    for method in (INDUCTION, BOUNDED, FAILS, UNDECIDED):
        rows = [row for row in mine if row.method == method]
        depth = f" to {rows[0].depth} cycles" if rows and method == BOUNDED else ""
        parts += [f"{len(rows)} {method}{depth}"] if rows else []
    reached = [row for row in covers if row.block == block]
    seconds = (mine[0].seconds if mine else 0) + (reached[0].seconds if reached else 0)
    parts += [f"covers {sum(row.cycle is not None for row in reached)}/{len(reached)}"] if reached else []
    return f"{block:<32} {', '.join(parts)}  ({seconds:.0f} s)"


def status_of(outcomes: Sequence[Outcome]) -> int:
    """0 if nobody has a problem."""
    return int(any(outcome.problems for outcome in outcomes))
