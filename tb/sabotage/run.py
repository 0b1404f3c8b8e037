"""`make sabotage [ID=..|PATCH=any.diff]`: break one line of the design and see which check notices.

Each sabotage is applied to a copy of the tree under sim_build/sabotage/<id>, built for Icarus in a small configuration
and put through the ordinary tests until a judge complains. Exit status 0: everything was caught (and the control edit,
which changes nothing, passed); 3: something survived; 2: an entry or a patch does not fit the tree; 4: nothing
survived, but a bound in time ended a run before anybody could judge it.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError, RunConfig
from tb.files import program, shown
from tb.patches import apply_patch
from tb.pool import Finished, Job, run_jobs
from tb.progress import Meter
from tb.sabotage.manifest import BOUND, CONTRACT, CONTROL, NO_JUDGES, Sabotage, draw, load, sources_of
from tb.sabotage.stimuli import SHORT, folder_name
from tb.sim.process import ENDED
from tb.sim.run import AGAIN_NAME
from tb.sim.tools import find
from tb.story.find import story_of
from tb.story.record import commands, of_verdict, story

OUT = ROOT / "sim_build" / "sabotage"
COPIED = ("hdl", "model", "tb", "docs")
#: What makes the copy a tree whose `make replay` works.
COPIED_FILES = ("pyproject.toml", "requirements.txt", "Makefile")
PARALLEL = 2
#: Seconds for all stimuli of one sabotage.
TRIAL_TIMEOUT = 3000.0
CAUGHT, BROKEN_ENTRY, SURVIVED, NOT_JUDGED = 0, 2, 3, 4

__all__ = ["Outcome", "draw", "main", "run_ids", "try_all"]


@dataclass(frozen=True)
class Outcome:
    """What became of one sabotage."""

    sabotage: Sabotage
    caught: bool
    by: int | str | None
    field: str
    cycle: int | None
    test: str
    seconds: float
    error: str = ""
    #: What the monitor of the contract reported, and what lockstep said of the same run.
    detail: str = ""
    lockstep: str = ""
    #: Which bound in time ended which run, if that is why nobody caught it, and the command that tries it again alone.
    not_judged: str = ""
    again: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether the check and the field of the manifest saw it."""
        return self.caught and self.by == self.sabotage.check and self.sabotage.field in self.field

    def as_json(self) -> dict[str, Any]:
        """One row of summary.json."""
        entry = self.sabotage
        return {
            "id": entry.id,
            "file": entry.file or entry.rule,
            "rule": entry.rule,
            "expected_check": entry.check,
            "expected_field": entry.field,
            "caught": self.caught,
            "by_check": self.by,
            "by_field": self.field,
            "cycle": self.cycle,
            "test": self.test,
            "seconds": self.seconds,
            "twin": entry.twin,
            "rare": entry.rare,
            "as_expected": self.as_expected,
            **({"detail": self.detail, "lockstep": self.lockstep} if self.lockstep else {}),
            **({"not_judged": self.not_judged, "again": self.again} if self.not_judged else {}),
            **({"error": self.error} if self.error else {}),
        }

    def line(self) -> str:
        """For the terminal."""
        entry = self.sabotage
        if self.error:
            return f"ERROR    {entry.id}: {self.error}"
        if self.not_judged:
            ran = f"the trial took {self.seconds:.0f} s"
            return f"TIMEOUT  {entry.id}: not judged: {self.not_judged}; {ran}; alone: {self.again}"
        if entry.check == CONTROL:
            seen = "" if self.caught else f": {self.by}, {self.field}"
            return f"{'pass' if self.caught else 'FAIL':<8} {entry.id} (an edit that changes nothing){seen}"
        if self.by is None:
            return f"SURVIVED {entry.id}: {entry.file}, {entry.rule}"
        word = "caught" if self.caught else "SURVIVED"
        by = f"check {self.by}" if isinstance(self.by, int) else str(self.by)
        by += "" if not self.lockstep else f" (lockstep: {self.lockstep})"
        at = "" if self.cycle is None else f" in cycle {self.cycle}"
        wish = "" if self.as_expected else f" (expected: {entry.check}, {entry.field})"
        return f"{word:<8} {entry.id}: by {by}, {self.field}{at}, test {self.test}, {self.seconds:.0f} s{wish}"


def main(config: RunConfig) -> int:
    """Try one, a patch, or all."""
    if find("icarus") is None:
        raise ConfigError("Icarus Verilog is not on this machine", "make sabotage", "`make doctor` says how to get it")
    if config.patch is not None:
        return status_of(told(try_all([from_patch(config.patch)], patch=config.patch, keep=True)))
    if config.sabotage_id is not None:
        return status_of(told(run_ids(chosen(config.sabotage_id), alone=True)))
    known = load()
    blind = [entry.id for entry in known if entry.blind]
    if blind:
        print(f"known blind spots, tried only by ID=: {', '.join(blind)}", flush=True)
    return status_of(try_all(entry for entry in known if not entry.blind))


def chosen(wish: str) -> list[str]:
    """The ids that ID= means: names or patterns (`b0*`), with blanks between. What matches nothing stays as it is."""
    known = [entry.id for entry in load()]
    return [name for word in wish.split() for name in ([n for n in known if fnmatch(n, word)] or [word])]


def run_ids(ids: Sequence[str], *, alone: bool = False) -> list[Outcome]:
    """Try the sabotages of these ids: a draw of them, or some `alone`, whose trees are kept.

    In a draw the control edit goes through a few stimuli only.
    """
    known = {entry.id: entry for entry in load()}
    for name in ids:
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, n=5)) or "one of `chimney list` (`make list`)"
            raise ConfigError("there is no such sabotage", f"ID={name}", f"give {near}")
    return try_all([known[name] for name in ids], short=not alone, keep=alone)


def status_of(outcomes: Iterable[Outcome]) -> int:
    """The exit status."""
    found = list(outcomes)
    if any(outcome.error for outcome in found):
        return BROKEN_ENTRY
    if not all(outcome.caught or outcome.not_judged or outcome.sabotage.blind for outcome in found):
        return SURVIVED
    return NOT_JUDGED if any(outcome.not_judged for outcome in found) else CAUGHT


def try_all(
    entries: Iterable[Sabotage], patch: Path | None = None, *, short: bool = False, keep: bool = False
) -> list[Outcome]:
    """Try entries, two at a time, print each as it ends and write summary.json."""
    wanted = list(entries)
    by_id = {entry.id: entry for entry in wanted}
    faults = [fault for entry in wanted for fault in sources_of(entry)]
    if faults:
        raise ConfigError("; ".join(faults), "tb/sabotage", "correct the entries in the lists of sabotages")
    OUT.mkdir(parents=True, exist_ok=True)
    jobs = (prepare(entry, patch, SHORT if short and entry.check == CONTROL else ()) for entry in wanted)
    outcomes: list[Outcome] = []
    order = {entry.id: number for number, entry in enumerate(wanted)}
    with Meter("sabotage", len(wanted)) as meter:
        for finished in meter.over(run_jobs(jobs, PARALLEL)):
            outcome = outcome_of(by_id[finished.job.name], finished, patch)
            if not keep:
                shutil.rmtree(folder_of(outcome.sabotage) / "tree", ignore_errors=True)
            outcomes.append(outcome)
            print(outcome.line(), flush=True)
            outcomes.sort(key=lambda o: order[o.sabotage.id])
            (OUT / "summary.json").write_text(json.dumps([o.as_json() for o in outcomes], indent=1))
    caught = sum(outcome.caught for outcome in outcomes)
    late = sum(bool(outcome.not_judged) for outcome in outcomes)
    tail = f", {late} not judged (a bound in time; each line has the command that tries it alone)" if late else ""
    print(f"{caught} of {len(wanted)} as they should be{tail}; {OUT / 'summary.json'}")
    return outcomes


def folder_of(entry: Sabotage) -> Path:
    """Where an entry's tree and results lie."""
    return OUT / re.sub(r"\W+", "_", entry.id)


def told(outcomes: list[Outcome]) -> list[Outcome]:
    """Print the story of what was seen: what must hold, what the judge said, how to run the broken design again."""
    for outcome in outcomes:
        if outcome.detail:
            print(f"{outcome.detail}\nlockstep: {outcome.lockstep}")
        if outcome.by is not None and not outcome.not_judged:
            print(f"\n{story_of_trial(outcome)}", end="")
    return outcomes


def story_of_trial(outcome: Outcome) -> str:
    """As the run told it; a judge that spoke behind the run, or of no simulation, is told here."""
    run = folder_of(outcome.sabotage) / folder_name(outcome.test)
    simulated = (run / AGAIN_NAME).exists()
    said = story_of(run) if simulated and not outcome.detail else ""
    if said:
        return said
    again = commands(run) if simulated else {"replay": f"{program()} sabotage {shlex.quote(outcome.sabotage.id)}"}
    line, got = outcome.field, outcome.detail.partition("\n")[0] or outcome.field
    return story(of_verdict(run, outcome.test, str(outcome.by), line, got, again))


def prepare(entry: Sabotage, patch: Path | None = None, only: Sequence[str] = ()) -> Job:
    """Copy the tree, put the error in, and describe the process that tries it (with the stimuli `only`, if any)."""
    folder = folder_of(entry)
    shutil.rmtree(folder, ignore_errors=True)
    tree = folder / "tree"
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in COPIED_FILES:
        shutil.copy(ROOT / name, tree)
    if (ROOT / ".venv").exists():
        (tree / ".venv").symlink_to(ROOT / ".venv", target_is_directory=True)
    (tree / "sim_build").mkdir()
    for edit in entry.edits:
        edit.apply(tree)
    if patch is not None:
        apply_patch(patch, tree, "make it from this tree")
    layout = any("model/layout" in edit.file for edit in entry.edits)
    task = {
        "first": entry.first,
        "images": layout,
        "only": list(only),
        "id": entry.id,
        "contract": entry.check == CONTRACT,
        "everything": entry.check == CONTROL or patch is not None,
        "on_rtl": entry.on_rtl,
        "witnesses": list(entry.witnesses),
        "sides": list(entry.sides),
    }
    (folder / "task.json").write_text(json.dumps(task))
    command = [sys.executable, "-m", "tb.sabotage.trial", str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PYTHONPYCACHEPREFIX"] = str(tree / "sim_build" / "pycache")  # of the changed tree, and of no other
    return Job(entry.id, command, tree, environment, folder / "trial.log", TRIAL_TIMEOUT)


def outcome_of(entry: Sabotage, finished: Finished, patch: Path | None = None) -> Outcome:
    """What a trial found, judged."""
    folder = finished.job.log.parent
    file = folder / "trial.json"
    seconds = round(finished.seconds, 1)
    again = f"make sabotage ID={entry.id}" if patch is None else f"make sabotage PATCH={shlex.quote(str(patch))}"
    if not file.exists() and finished.status is None:
        late = f"the trial {ENDED} of {finished.job.timeout:.0f} s ({shown(finished.job.log)})"
        return Outcome(entry, False, BOUND, late, None, "", seconds, not_judged=late, again=again)
    if not file.exists():
        why = f"the trial ended with status {finished.status}: {finished.job.log}"
        return Outcome(entry, False, None, "", None, "", seconds, why)
    found = json.loads(file.read_text())
    by = found["by"]
    if entry.check == CONTROL:
        caught = by is None and not found["error"]
    elif entry.check == CONTRACT:
        caught = by == CONTRACT and entry.field in str(found["field"]).split(", ")
    elif entry.twin:
        caught = isinstance(by, str) and by not in NO_JUDGES
    else:
        caught = by is not None and (by not in NO_JUDGES or (by == "timeout" and entry.timeout_counts))
    late = "" if caught else "; ".join(found.get("bounded", ()))
    return Outcome(
        entry, caught, by, found["field"], found["cycle"], found["test"], seconds, found["error"],
        found["detail"], found["lockstep"], late, again if late else "",
    )  # fmt: skip


def from_patch(patch: Path) -> Sabotage:
    """An entry without expectations for any diff."""
    if not patch.exists():
        raise ConfigError("the patch does not exist", f"PATCH={patch}", "give the path of a diff")
    touched = sorted(set(re.findall(r"^\+\+\+ (?:b/)?(\S+)", patch.read_text(), re.MULTILINE)))
    foreign = [name for name in touched if not name.startswith(("hdl/", "model/"))]
    if not touched or foreign:
        raise ConfigError(
            "the patch changes nothing, or more than the design",
            f"PATCH={patch}: {', '.join(foreign)}",
            "give a diff of files in hdl/ (or model/), as `git diff` writes it",
        )
    return Sabotage(id="patch", edits=(), rule=", ".join(touched), check=1, field="", note="", first="")
