"""The runs that the plan counts: each plays on the golden device, on RTL, or on both, with the contract monitors on.

A golden run is a function here; an RTL run is a job of tb/tests/tiers.toml, by its name. Both leave what
`ContractTap.result` says, and the problems of the run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tb.config import RunConfig
from tb.device.model_loop import ModelRun
from tb.session import summary
from tb.sim.tools import find
from tb.testing.runner import folder, run_job
from tb.testing.tiers import Job, load

Found = dict[str, Any]
Run = Callable[[RunConfig, Path], Found]


@dataclass(frozen=True)
class Scenario:
    """One entry: how it runs on the golden device, and the RTL job of the same stimulus."""

    name: str
    golden: Run | None = None
    job: str = ""
    #: Rules that the tests of this scenario cite; each must trigger in it.
    marks: Callable[[], set[str]] = set

    def on(self, device: str) -> Run | None:
        """The run on ``golden``, ``verilator`` or ``icarus``; None if there is none."""
        if device == "golden":
            return self.golden
        job = next((j for j in load().jobs if j.name == self.job and j.simulator == device and not j.exempt), None)
        return None if job is None else lambda config, _: simulate(job, config)


def simulate(job: Job, config: RunConfig) -> Found:
    """A job of tiers.toml: its verdict, and what its monitors saw."""
    tool = find(job.simulator)
    if tool is None:
        return {"triggers": {}, "at_device": {}, "breaches": [], "problems": [f"{job.simulator} is not installed"]}
    place = folder(job) / "contract.json"
    place.unlink(missing_ok=True)
    result, problem, _ = run_job(job, tool, config)
    problems = [problem] if problem else []
    if result is not None:
        problems += [f"{o.name}: {o.message.splitlines()[-1:]}" for o in result.outcomes if o.status == "failed"]
    if not place.exists():
        return {"triggers": {}, "at_device": {}, "breaches": [], "problems": [*problems, "it left no contract.json"]}
    found: Found = json.loads(place.read_text())
    return found | {"problems": problems}


def session(**settings: Any) -> Run:
    """The main job on the golden device with these fields of RunConfig."""

    def run(config: RunConfig, out: Path) -> Found:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        play = ModelRun(replace(config, device="model", out=out, **settings))
        problems = play.run() + summary.verdict(play.transfer)
        return play.transfer.tap.result() | {"problems": [p for p in problems if not p.startswith("contract: ")]}

    return run


_BAD: Final[Mapping[str, float]] = {"loss": 0.03, "reorder": 0.05, "dup": 0.03, "corrupt": 0.02}


@dataclass(frozen=True)
class _Many:
    """Golden sessions over seeds, added up."""

    seeds: range
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, config: RunConfig, out: Path) -> Found:
        total: Found = {"triggers": {}, "at_device": {}, "breaches": [], "problems": []}
        for seed in self.seeds:
            found = session(**{**self.settings, "seed": seed})(config, out / str(seed))
            for key in ("triggers", "at_device"):
                for rule, count in found[key].items():
                    total[key][rule] = total[key].get(rule, 0) + count
            for key in ("breaches", "problems"):
                total[key] += found[key]
        return total


SCENARIOS: Final = (
    Scenario("transfer", session(size=256 << 10), "transfer"),
    Scenario("lossy", _Many(range(1, 7), {"size": 192 << 10, "conns": 4, **_BAD}), "transfer_bad_network"),
    Scenario("founding", None, "founding"),
    Scenario("errors", None, "errors"),
    Scenario("through-3-drivers", _Many(range(1, 4), {"size": 96 << 10, "conns": 3, "intermediates": 3, **_BAD})),
)
"""In the order they run."""
