"""`make soak SIM= DATA_W= SEEDS= LOSS= .. SIZE=`: the main job over many seeds, each in a process of its own.

Without DATA_W both measured widths (64 and 512 bits) are run. The runs are those of `make run`, with the same code;
the folder of each is sim_build/soak/<simulator>-w<width>-s<seed>.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, RunConfig
from tb.pool import Finished, Job, run_shown
from tb.sim.run import replay_command
from tb.sim.shown import build_shown
from tb.sim.spec import chimney_spec
from tb.sim.tools import choose

OUT = ROOT / "sim_build" / "soak"
WIDTHS = (64, 512)
#: Seconds one run may take, more than the simulation's own bound.
RUN_TIMEOUT = 3300.0


@dataclass(frozen=True)
class SoakRun:
    """One run of the soak as the summary shows it."""

    seed: int
    data_w: int
    simulator: str
    byte_exact: bool
    divergences: int | None
    retransmissions: int
    seconds: float
    passed: bool
    problems: tuple[str, ...]


def main(config: RunConfig) -> int:
    """Run every seed at every width; 1 if any run failed."""
    from tb.run import BUILT_CONNS, write

    OUT.mkdir(parents=True, exist_ok=True)
    widths = (config.data_w,) if config.data_w_given else WIDTHS
    simulator = config.sim if config.device == "rtl" else "none"
    if config.device == "rtl":
        tool, remark = choose(config.sim, fall_back=not config.sim_given)
        simulator = tool.kind
        print(remark, flush=True)
        for width in widths:
            build_shown(chimney_spec(tool, data_w=width, conns=BUILT_CONNS))
    jobs = [_job(replace(config, sim=simulator, seed=seed, data_w=w)) for w in widths for seed in config.seeds]
    runs: list[SoakRun] = []
    for finished in run_shown("soak", jobs, config.jobs):
        run = _result(finished, simulator)
        runs.append(run)
        write(OUT, {"runs": [_as_json(run) for run in sorted(runs, key=lambda r: (r.data_w, r.seed))]})
        print(
            f"{'pass' if run.passed else 'FAIL'}  {run.simulator} DATA_W={run.data_w} SEED={run.seed}: "
            f"{run.retransmissions} retransmissions, {run.divergences} divergences, {run.seconds:.1f} s",
            *(f"\n      {problem}" for problem in run.problems[:5]),
            *(() if run.passed else (f"\n      replay: {_replay(finished, config)}",)),
            flush=True,
        )
    failed = [run for run in runs if not run.passed]
    print(f"{len(runs) - len(failed)} of {len(jobs)} runs passed; {OUT / 'summary.json'}")
    return 1 if failed or len(runs) != len(jobs) else 0


def _replay(finished: Finished, config: RunConfig) -> str:
    """The command that shows a failed run again."""
    out = finished.job.log.parent
    if config.device == "rtl":
        return replay_command(out)
    return replace(RunConfig.from_json((out / "job.json").read_text()), command="run").make_command()


def _job(config: RunConfig) -> Job:
    """A run of the main job with this configuration, in a process of its own."""
    name = f"{config.sim}-w{config.data_w}-s{config.seed}"
    out = OUT / name
    out.mkdir(parents=True, exist_ok=True)
    file = out / "job.json"
    given = config.device == "rtl"
    file.write_text(replace(config, command="run", out=out, seeds=(config.seed,), sim_given=given).to_json())
    (out / "summary.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "tb.soak", str(file)]
    return Job(name, command, ROOT, dict(os.environ), out / "run.log", RUN_TIMEOUT)


def _result(finished: Finished, simulator: str) -> SoakRun:
    """What a run left in its folder."""
    out = finished.job.log.parent
    config = RunConfig.from_json((out / "job.json").read_text())
    found: dict[str, Any] = {}
    if (out / "summary.json").exists():
        found = json.loads((out / "summary.json").read_text())
    sums = {found.get(f"sha256_{name}") for name in ("sent", "peer", "received")}
    problems = list(found.get("problems") or [])
    if finished.status is None:
        problems.append(f"ended after its bound of {finished.job.timeout:.0f} s")
    elif finished.status != 0 and not problems:
        problems.append(f"ended with status {finished.status}; its log is {finished.job.log}")
    return SoakRun(
        seed=config.seed,
        data_w=config.data_w,
        simulator=found.get("simulator") or simulator,
        byte_exact=len(sums) == 1 and None not in sums and bool(found.get("complete")),
        divergences=found.get("divergences"),
        retransmissions=int(found.get("retransmissions") or 0),
        seconds=round(finished.seconds, 2),
        passed=finished.status == 0,
        problems=tuple(problems),
    )


def _as_json(run: SoakRun) -> dict[str, Any]:
    keys = ("seed", "data_w", "simulator", "byte_exact", "divergences", "retransmissions", "seconds")
    return {key: getattr(run, key) for key in keys} | ({"problems": run.problems} if run.problems else {})


def run_one(file: Path) -> int:
    """In the child process: the main job."""
    from tb.run import main as run_main

    return run_main(RunConfig.from_json(file.read_text()))


if __name__ == "__main__":
    sys.exit(run_one(Path(sys.argv[1])))
