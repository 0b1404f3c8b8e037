"""`make bench-farm`: what the farm costs, and what a second worker gains. Writes sim_build/bench/farm.json.

The jobs are RTL simulations (a transfer at 64 bits) of one length, which differ in their seed and should take 5 to 20 s
each; SEEDS says how many, SIZE how long. They are built before the clock starts. Three pairs of passes, with one worker
and with two in turn, each on a farm of its own whose start counts; the figures are medians. A job's own time is that of
its simulator's process; `overhead_seconds_per_job` is what a pass with one worker takes beyond that of all its jobs,
`job_seconds_min` and `job_seconds_max` are the shortest and the longest job of these passes.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import time
import uuid
from dataclasses import dataclass, replace
from typing import Any

from tb.config import ROOT, RunConfig
from tb.farm.cluster import FarmError, LocalCluster
from tb.farm.farm import Farm
from tb.farm.history import keep_figures, writing
from tb.farm.regress import simulation
from tb.farm.results import HISTORY_NAME, ResultsWriter
from tb.progress import Meter
from tb.session.summary import commit_id
from tb.sim.build import BuildResult
from tb.sim.run import read_results, replay_command
from tb.sim.shown import build_shown
from tb.sim.tools import choose
from tb.testing.runner import spec_of
from tb.testing.tiers import Job

OUT = ROOT / "sim_build" / "bench"
RESULT = OUT / "farm.json"
PAIRS = 3
SEEDS, SIZE = tuple(range(1, 17)), {"verilator": 768 << 10, "icarus": 24 << 10}
#: At least; under.
TARGETS = {"ratio": (1.8, None), "overhead_seconds_per_job": (None, 0.3)}
#: Seconds that a job should take, and jobs from which on the figures are held to their targets.
RANGE, ENOUGH = (5.0, 20.0), 8


@dataclass(frozen=True)
class Pass:
    """All jobs once: seconds of the pass, and of each job."""

    seconds: float
    jobs: tuple[float, ...]

    @property
    def overhead(self) -> float:
        """Seconds a job beyond its own, with one worker."""
        return (self.seconds - sum(self.jobs)) / len(self.jobs)


def pass_of(workers: int, job: Job, built: BuildResult, config: RunConfig, meter: Meter) -> Pass:
    """Run all jobs on so many workers."""
    folder = OUT / f"farm-{workers}"
    shutil.rmtree(folder, ignore_errors=True)
    token = uuid.uuid4().hex
    named = [replace(job, name=f"{job.name}-s{seed}", settings={**job.settings, "seed": seed}) for seed in config.seeds]
    jobs = [simulation(one, built, folder / one.label, config, token) for one in named]
    seconds: list[float] = []
    started = time.monotonic()
    farm = Farm(LocalCluster(workers, folder / "farm"))
    with contextlib.closing(farm.run(iter(jobs))) as ended:
        for one in meter.over(ended):
            cases = read_results(one.job.folder / "results.xml")
            if one.outcome is None or not one.outcome.passed or any(case.status == "failed" for case in cases):
                raise FarmError(f"{one.job.id} failed; {replay_command(one.job.folder)}")
            seconds.append(one.outcome.seconds)
            last = time.monotonic()
    return Pass(last - started, tuple(seconds))


def main(config: RunConfig) -> int:
    """Measure; 1 if a target is missed."""
    with writing(OUT / HISTORY_NAME, "make bench-farm") as history:
        return measure_and_keep(config, history)


def measure_and_keep(config: RunConfig, history: ResultsWriter) -> int:
    """Measure, write farm.json and the history, print the figures; exit status."""
    tool, remark = choose(config.sim, fall_back=not config.sim_given)
    print(remark or f"simulator: {tool.label}", flush=True)
    seeds = config.seeds if "SEEDS" in config.given else SEEDS
    size = config.size if "SIZE" in config.given else SIZE[tool.kind]
    config = replace(config, seeds=seeds, sim=tool.kind)
    job = Job(
        name="transfer", module="tb.tests.rtl.transfer_test", simulator=tool.kind, data_w=64, built_conns=4,
        settings={"size": size}, timeout=900.0,
    )  # fmt: skip
    built = build_shown(spec_of(job, tool))
    pairs: list[tuple[Pass, Pass]] = []
    try:
        with Meter("bench-farm", 2 * PAIRS * len(config.seeds)) as meter:
            for number in range(PAIRS):
                one, two = (pass_of(workers, job, built, config, meter) for workers in (1, 2))
                pairs.append((one, two))
                print(f"pair {number + 1}: {one.seconds:.1f} s with one worker, {two.seconds:.1f} s with two; "
                      f"a job {min(one.jobs):.1f} to {max(one.jobs):.1f} s", flush=True)  # fmt: skip
    except FarmError as error:
        print(f"FAIL: {error}")
        return 1
    numbers = figures(pairs)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(numbers, indent=1) + "\n")
    spent = sum(one.seconds + two.seconds for one, two in pairs)
    named = {f"farm_{name}": value for name, value in numbers.items()}
    keep_figures(history, "bench-farm", commit_id(), spent, named)
    missed = report(numbers)
    print(f"results: {RESULT.relative_to(ROOT)}")
    return 1 if missed else 0


def figures(pairs: list[tuple[Pass, Pass]]) -> dict[str, Any]:
    """The medians, and how long the jobs were with one worker."""
    median = statistics.median
    seconds = [one_job for one, _ in pairs for one_job in one.jobs]
    return {
        "jobs": len(pairs[0][0].jobs),
        "seconds_1": round(median(one.seconds for one, _ in pairs), 2),
        "seconds_2": round(median(two.seconds for _, two in pairs), 2),
        "ratio": round(median(one.seconds / two.seconds for one, two in pairs), 3),
        "overhead_seconds_per_job": round(median(one.overhead for one, _ in pairs), 3),
        "job_seconds_min": round(min(seconds), 2),
        "job_seconds_max": round(max(seconds), 2),
    }


def report(numbers: dict[str, Any]) -> list[str]:
    """Print the figures; those that miss their targets, if there were enough jobs of the right length."""
    long_enough = RANGE[0] <= numbers["job_seconds_min"] and numbers["job_seconds_max"] <= RANGE[1]
    judged = numbers["jobs"] >= ENOUGH and long_enough
    missed = []
    for name, value in numbers.items():
        low, high = TARGETS.get(name, (None, None))
        wrong = (low is not None and value < low) or (high is not None and value >= high)
        wanted = f"  (at least {low})" if low is not None else f"  (under {high})" if high is not None else ""
        missed += [name] if wrong and judged else []
        print(f"  {name:<26} {value}{wanted}{' MISSED' if wrong and judged else ''}")
    if not judged:
        print(f"  not held to the targets: that takes {ENOUGH} jobs of {RANGE[0]:.0f} to {RANGE[1]:.0f} s each")
    return missed
