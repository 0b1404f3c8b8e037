"""The runs that the plan counts: each plays on the golden device, on RTL, or on both, with the contract monitors on.

A golden run is a function here; an RTL run is a job of tb/tests/tiers.toml, by its name. Both leave what
`ContractTap.result` says, the problems of the run, and which of their tests saw which rules.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from tb.config import RunConfig
from tb.contract.duties import duties
from tb.contract.scenes.everything import playable
from tb.contract.scenes.golden import play
from tb.device.model_loop import ModelRun
from tb.session import summary
from tb.sim.tools import find
from tb.testing.runner import run_job
from tb.testing.tiers import TIERS, Job, load
from tb.tests.founding.golden import Played, run_stage
from tb.tests.founding.rows import JUDGEMENTS, seen_by_rows
from tb.tests.vector_cases import VECTORS, seen_by_vectors
from tb.tests.vector_run import PlayedVectors, run_vectors

#: `ContractTap.result`, with ``problems`` (what is wrong beside breaches) and, where tests cite rules, ``tests``: the
#: rules that counted in the own part of each; ``failed`` names tests whose own judgement failed.
Found = dict[str, Any]
Run = Callable[[RunConfig, Path], Found]
#: The rules that each test of a run cites.
Claims = Mapping[str, frozenset[str]]
EMPTY: Final[Found] = {"triggers": {}, "at_device": {}, "breaches": [], "problems": []}


def _none() -> Claims:
    return {}


@dataclass(frozen=True)
class Scenario:
    """One entry: how it runs on the golden device, and the RTL job of the same stimulus."""

    name: str
    golden: Run | None = None
    job: str = ""
    #: Each rule that a test of this scenario cites must trigger in it.
    claims: Callable[[], Claims] = _none

    def on(self, device: str) -> Run | None:
        """The run on ``golden``, ``verilator`` or ``icarus``, of the lowest tier there is; None if there is none."""
        if device == "golden":
            return self.golden
        jobs = [j for j in load().jobs if j.name == self.job and j.simulator == device and not j.exempt]
        job = min(jobs, key=lambda j: (TIERS.index(j.tier), j.data_w), default=None)
        return None if job is None else lambda config, out: simulate(job, config, out)


# ---- RTL -----------------------------------------------------------------------------------------------


def simulate(job: Job, config: RunConfig, out: Path) -> Found:
    """A job of tiers.toml, in a folder of the plan's own: its verdict, and what its monitors saw."""
    tool = find(job.simulator)
    if tool is None:
        return EMPTY | {"problems": [f"{job.simulator} is not installed"]}
    place = out / "contract.json"
    place.unlink(missing_ok=True)
    result, problem, _ = run_job(job, tool, config, out)
    problems = [problem] if problem else []
    failed: list[str] = []
    if result is not None:
        wrong = [one for one in result.outcomes if one.status == "failed"]
        problems += [f"{one.name}: {one.message.splitlines()[-1:]}" for one in wrong]
        failed = [one.name for one in wrong]
    if not place.exists():
        return EMPTY | {"problems": [*problems, "it left no contract.json"], "failed": failed}
    found: Found = json.loads(place.read_text())
    return found | {"problems": problems, "failed": failed}


# ---- sessions on the golden device ---------------------------------------------------------------------


def session(**settings: Any) -> Run:
    """The main job on the golden device with these fields of RunConfig."""

    def run(config: RunConfig, out: Path) -> Found:
        run = ModelRun(replace(config, device="model", out=_fresh(out), **settings))
        problems = run.run() + summary.verdict(run.transfer)
        return run.transfer.tap.result() | {"problems": _beside_breaches(problems)}

    return run


def _fresh(out: Path) -> Path:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    return out


def _beside_breaches(problems: Sequence[str]) -> list[str]:
    return [problem for problem in problems if not problem.startswith("contract: ")]


def added(parts: Mapping[str, Found]) -> Found:
    """Runs with a device each as one; the problems say which."""
    total: Found = {"triggers": {}, "at_device": {}, "breaches": [], "problems": []}
    for name, found in parts.items():
        for key in ("triggers", "at_device"):
            for rule, count in found[key].items():
                total[key][rule] = total[key].get(rule, 0) + count
        total["breaches"] += found["breaches"]
        total["problems"] += [f"{name}: {problem}" for problem in found["problems"]]
    return total


@dataclass(frozen=True)
class _Many:
    """Golden sessions over seeds, added up."""

    seeds: range
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, config: RunConfig, out: Path) -> Found:
        return added(
            {f"seed {n}": session(**{**self.settings, "seed": n})(config, out / str(n)) for n in self.seeds}
        )  # fmt: skip


_BAD: Final[Mapping[str, float]] = {"loss": 0.03, "reorder": 0.05, "dup": 0.03, "corrupt": 0.02}


# ---- contract scenes, founding pages, worked vectors ---------------------------------------------------


def _scene_claims(intermediates: int) -> Claims:
    """As the cocotb tests are called."""
    return {case.title: case.rules for case in playable(intermediates)}


def _scenes(intermediates: int) -> Run:
    """Every scene on a golden device of its own."""

    def run(config: RunConfig, out: Path) -> Found:
        parts: dict[str, Found] = {}
        tests: dict[str, list[str]] = {}
        for case in playable(intermediates):
            played = play([case], _fresh(out / case.title))
            parts[case.title] = played.contract | {"problems": [*_beside_breaches(played.problems)]}
            tests |= {name: sorted(rules) for name, rules in played.seen.items()}
        failed = [name for name, found in parts.items() if found["problems"] or found["breaches"]]
        return added(parts) | {"tests": tests, "failed": failed}

    return run


def _founding(intermediates: int) -> Run:
    def run(config: RunConfig, out: Path) -> Found:
        played = run_stage(replace(config, out=_fresh(out)), intermediates)
        rows = (row for row in JUDGEMENTS if row.intermediates <= intermediates)
        wrong = _judged({row.title: partial(row.test, played.stage.stories) for row in rows})
        return _of_stage(played, wrong) | {"tests": seen_by_rows(played.stage, played.tap.result(), intermediates)}

    return run


def _founding_claims(intermediates: int) -> Claims:
    """Rules of intermediate drivers are claimed where there are some."""
    drivers = set() if intermediates else {duty.id for duty in duties() if duty.where == "im"}
    rows = (row for row in JUDGEMENTS if row.intermediates <= intermediates)
    return {row.title: frozenset(row.rules) - drivers for row in rows}


def _judged(judges: Mapping[str, Callable[[], None]]) -> dict[str, str]:
    """What is wrong, by the name of the judge."""
    wrong = {}
    for name, judge in judges.items():
        try:
            judge()
        except Exception as error:  # noqa: BLE001 - whatever a judgement raises, it does not hold
            wrong[name] = f"{name}: {type(error).__name__} {error}"
    return wrong


def _of_stage(played: Played | PlayedVectors, wrong: Mapping[str, str]) -> Found:
    """A run of a stage whose judges have spoken."""
    return played.tap.result() | {"problems": [*played.problems, *wrong.values()], "failed": list(wrong)}


def _vectors(config: RunConfig, out: Path) -> Found:
    played = run_vectors(replace(config, out=_fresh(out)))
    wrong = _judged({vector.title: partial(vector.test, played.stage.stories, 0) for vector in VECTORS})
    return _of_stage(played, wrong) | {"tests": seen_by_vectors(played.stage, played.tap.result(), 0)}


def _vector_claims() -> Claims:
    return {vector.title: frozenset(vector.rules) for vector in VECTORS}


SCENARIOS: Final = (
    Scenario("scenes", _scenes(0), "contract_scenes", lambda: _scene_claims(0)),
    Scenario(
        "scenes-intermediate",
        _scenes(3),
        "contract_scenes_im",
        lambda: _scene_claims(3),
    ),
    Scenario("founding", _founding(0), "founding", lambda: _founding_claims(0)),
    Scenario("founding-intermediate", _founding(3), "founding_im", lambda: _founding_claims(3)),
    Scenario("vectors", _vectors, "vectors", _vector_claims),
    Scenario("transfer", session(size=256 << 10), "transfer"),
    Scenario("lossy", _Many(range(1, 7), {"size": 192 << 10, "conns": 4, **_BAD}), "transfer_bad_network"),
    Scenario("errors", None, "errors"),
    Scenario("through-3-drivers", _Many(range(1, 4), {"size": 96 << 10, "conns": 3, "intermediates": 3, **_BAD})),
)
"""In the order they run."""
