"""`make regress SUITE=contract DEVICE= SEEDS= OPS=`: random contract operations over many seeds.

Every seed is a process of its own. What came of all of them lies in sim_build/regress/contract-<device>/summary.json
(contract-icarus for SIM=icarus).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, RunConfig
from tb.contract.tally import ALLOWED_TIMES, REFUSED_TIMES, Shapes, Tally
from tb.files import write_json
from tb.pool import Finished, Job, run_jobs
from tb.progress import Meter

OUT = ROOT / "sim_build" / "regress"
TEST_MODULE = "tb.tests.rtl.contract_random_test"
#: Connections that the simulated device is built for, and the width of its bus.
BUILT = {"verilator": (64, 512), "icarus": (4, 64)}
#: Bytes that both ends send in a run, at most: a seed with more fails.
MOST_BYTES = {"model": 32 << 20, "verilator": 4 << 20, "icarus": 64 << 10}
#: Bytes that the operations draw from; what steers to a missing pair adds its own.
DRAWN = {"model": 8 << 20, "verilator": 4 << 20, "icarus": 40 << 10}
#: It takes at most one of so many parts of what is left, each time.
PARTS = {"model": 64, "verilator": 64, "icarus": 512}
#: Connections at a time: more than an Icarus build has, so that the table is full now and then.
SLOTS = {"model": 24, "verilator": 24, "icarus": 6}
#: From so many operations on every pair of the table must have been done often enough.
COMPLETE = 10_000
#: Ticks that a frame travels.
DELAY = 5
RUN_TIMEOUT = 3300.0


def kind_of(config: RunConfig) -> str:
    """What runs: model, verilator or icarus."""
    return "model" if config.device == "model" else config.sim


def folder_name(config: RunConfig) -> str:
    """The folder of the results, below OUT."""
    return f"contract-{'icarus' if kind_of(config) == 'icarus' else config.device}"


def main(config: RunConfig) -> int:
    """Run every seed; 1 if any failed, or if pairs of the table were left out."""
    kind = kind_of(config)
    out = OUT / folder_name(config)
    out.mkdir(parents=True, exist_ok=True)
    if kind != "model":
        _build(config)
    results: list[dict[str, Any]] = []
    jobs = [_job(config, seed, out) for seed in config.seeds]
    with Meter("regress", len(config.seeds)) as meter:
        for finished in meter.over(_ends(jobs, config, out)):
            found = result_of(finished, MOST_BYTES[kind_of(config)])
            results.append(found)
            _write(out, results)
            _tell(config, found)
    _write(out, results)
    judged = len(config.seeds) * config.operations >= COMPLETE
    shortfalls = Tally.of(one["operations"] for one in results).shortfalls()
    for line in shortfalls:
        print(f"{'FAIL' if judged else 'note'}  {line}")
    failed = sum(not found["passed"] for found in results)
    whole = _summary(results)
    print(f"{whole['legal_share']:.1%} allowed; sizes to {whole['shapes']['largest']} bytes, "
          f"{whole['shapes']['longest_chain']} lists in a call, {whole['shapes']['most_mdls']} MDLs; "
          f"{whole['bytes_most']} bytes at most in a seed")  # fmt: skip
    print(f"{len(results) - failed} of {len(config.seeds)} seeds passed; {out / 'summary.json'}")
    return 1 if failed or (judged and shortfalls) or len(results) != len(config.seeds) else 0


def _ends(jobs: list[Job], config: RunConfig, out: Path) -> Iterator[Finished]:
    """The jobs as they end: in a pool of this machine, or on the cluster that was given, as long as it can go on."""
    if "CLUSTER" not in config.given:
        yield from run_jobs(jobs, config.jobs)
        return
    from tb.farm.cluster import FarmError
    from tb.farm.pool import farm_jobs

    try:
        yield from farm_jobs(jobs, config, out / "farm", files=["job.json"])
    except FarmError as error:
        print(f"error: {error}", flush=True)


def _tell(config: RunConfig, found: dict[str, Any]) -> None:
    good = "pass" if found["passed"] else "FAIL"
    print(f"{good}  {kind_of(config)} SEED={found['seed']}: {found['done']} operations, {found['bytes']} bytes, "
          f"{found['ticks']} ticks, {found['seconds']:.1f} s", flush=True)  # fmt: skip
    for line in found["violations"][:5]:
        print(f"      {line}")
    if not found["passed"]:
        print(f"      again: {_again(config, found['seed'])}", flush=True)


def _again(config: RunConfig, seed: int) -> str:
    words = f"make regress SUITE=contract DEVICE={config.device} SEEDS={seed} OPS={config.operations}"
    words += f" FAMILY={config.family}" if "FAMILY" in config.given else ""
    return words if config.device == "model" else f"{words} SIM={config.sim}"


def _build(config: RunConfig) -> None:
    from tb.sim.shown import build_shown
    from tb.sim.spec import chimney_spec
    from tb.sim.tools import choose

    tool, remark = choose(config.sim, fall_back=False)
    print(remark or f"simulator: {tool.label}", flush=True)
    conns, width = BUILT[tool.kind]
    build_shown(chimney_spec(tool, data_w=width, conns=conns))


def _job(config: RunConfig, seed: int, out: Path) -> Job:
    """One seed in a process of its own."""
    folder = out / f"seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("findings.json", "rtl.json"):
        (folder / stale).unlink(missing_ok=True)
    width = BUILT[config.sim][1] if config.device == "rtl" else config.data_w
    settings = replace(
        config, command="regress", seed=seed, out=folder, delay=DELAY, size=DRAWN[kind_of(config)], data_w=width
    )
    file = folder / "job.json"
    file.write_text(settings.to_json())
    command = [sys.executable, "-m", "tb.contract.regress", str(file)]
    return Job(f"seed{seed}", command, ROOT, dict(os.environ), folder / "run.log", RUN_TIMEOUT)


def result_of(finished: Finished, most: int) -> dict[str, Any]:
    """What a seed left in its folder; it fails, too, if it sent more than ``most`` bytes."""
    folder = finished.job.log.parent
    seed = int(folder.name.removeprefix("seed"))
    found: dict[str, Any] = {
        "seed": seed, "asked": 0, "overtime": 0, "operations": {},
        "shapes": Shapes().as_dict(), "divergences": 0, "violations": [],
        "nbl_twice": 0, "nbl_never": 0,
        "streams_exact": False, "bytes": 0, "ticks": 0, "legal_share": 0.0, "seconds": finished.seconds,
    }  # fmt: skip
    if (folder / "findings.json").exists():
        found |= json.loads((folder / "findings.json").read_text())
    if finished.status is None:
        found["violations"].append(f"ended after its bound of {finished.job.timeout:.0f} s")
    elif finished.status != 0 and not found["violations"]:
        found["violations"].append(f"ended with status {finished.status}; its log is {finished.job.log}")
    if found["bytes"] > most:
        found["violations"].append(
            f"sent {found['bytes']} bytes of at most {most}: DRAWN in {Path(__file__).name} is too much"
        )
    found["done"] = Tally.of([found["operations"]]).total
    wrong = found["violations"] or found["divergences"] or found["nbl_twice"] or found["nbl_never"]
    found["passed"] = finished.status == 0 and found["streams_exact"] and not wrong
    return found


def _summary(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    found = sorted(results, key=lambda one: one["seed"])
    tally = Tally.of(one["operations"] for one in found)
    return {
        "seeds": [one["seed"] for one in found],
        "asked": sum(one["asked"] for one in found),
        "overtime": sum(one["overtime"] for one in found),
        "operations": tally.as_dict(),
        "legal_share": round(tally.legal_share, 4),
        "bytes_most": max((one["bytes"] for one in found), default=0),
        "shapes": Shapes.of(one["shapes"] for one in found).as_dict(),
        "divergences": sum(one["divergences"] for one in found),
        "violations": sum(len(one["violations"]) for one in found),
        "nbl_twice": sum(one["nbl_twice"] for one in found),
        "nbl_never": sum(one["nbl_never"] for one in found),
        "streams_exact": all(one["streams_exact"] for one in found),
    }


def _write(out: Path, results: list[dict[str, Any]]) -> None:
    """summary.json; seeds.json has the findings of each seed."""
    for name, content in (("summary.json", _summary(results)), ("seeds.json", results)):
        write_json(out / name, content)


# ---- one seed, in its own process -----------------------------------------------------------------------------------


def plan_of(config: RunConfig) -> Any:
    """What the seed of a configuration does, whichever seeds run beside it.

    A pair is wanted as often as the seed's share of a complete run owes it, and half as often again.
    """
    from tb.contract.operator import Plan

    kind = kind_of(config)
    return Plan(
        seed=config.seed,
        operations=config.operations,
        bytes=config.size,
        most=MOST_BYTES[kind],
        parts=PARTS[kind],
        slots=SLOTS[kind],
        allowed_times=-(-ALLOWED_TIMES * 3 * config.operations // (2 * COMPLETE)),
        refused_times=REFUSED_TIMES,
    )


def run_one(file: Path) -> int:
    """In the child process."""
    config = RunConfig.from_json(file.read_text())
    if config.device == "model":
        from tb.contract.golden import GoldenRun

        found = GoldenRun(config, plan_of(config)).run()
        (config.out / "findings.json").write_text(json.dumps(found.as_dict(), indent=1))
        return 0 if found.passed else 1
    return _simulate(config)


def _simulate(config: RunConfig) -> int:
    from tb.sim.build import build
    from tb.sim.run import run
    from tb.sim.spec import chimney_spec
    from tb.sim.tools import choose

    tool, _ = choose(config.sim, fall_back=False)
    conns, width = BUILT[tool.kind]
    built = build(chimney_spec(tool, data_w=width, conns=conns))
    plusargs = {"prescale": 300} if tool.kind == "icarus" else {}
    outcome = run(built, TEST_MODULE, config.out, config=config, timeout=RUN_TIMEOUT, plusargs=plusargs)
    if outcome.problem:
        print(outcome.problem)
    for test in outcome.outcomes:
        print(test.name, test.status, test.message)
    return 0 if outcome.passed else 1


if __name__ == "__main__":
    sys.exit(run_one(Path(sys.argv[1])))
