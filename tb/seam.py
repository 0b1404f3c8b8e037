"""`make seam`: connections are cut in every condition, compared, taken on by the host stack, offloaded again.

Hundreds of sessions on the golden device and a few on the RTL, each a seed; a session looks for the conditions of its
story (`tb.session.seam_sessions`) and cuts there. Further rounds of seeds are played until every condition was met
often enough. The result is sim_build/seam/summary.json.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, RunConfig
from tb.pool import Finished, Job, run_shown
from tb.progress import Meter
from tb.run import write
from tb.session.seam import CONDITIONS, Seam
from tb.session.seam_sessions import STORIES, SeamTransfer, seam_config
from tb.session.transfer import Transfer

OUT = ROOT / "sim_build" / "seam"
#: What the whole must come to.
CUTS, EACH = 300, 20
#: Sessions a process, and such processes a round; rounds at most.
BATCH, BATCHES, ROUNDS = 5 * len(STORIES), 4, 8
#: Sessions on the RTL: one of each story, shorter ones.
RTL_SESSIONS, RTL_SIZE = len(STORIES), 24 * 1024
TEST_MODULE = "tb.tests.rtl.seam_test"
BATCH_TIMEOUT, RTL_TIMEOUT = 900.0, 900.0


@dataclass
class Result:
    """What all sessions so far came to."""

    cuts: list[dict[str, Any]] = field(default_factory=list)
    sessions: int = 0
    byte_exact: bool = True
    wire_findings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)

    @property
    def by_condition(self) -> dict[str, int]:
        """Cuts in each condition."""
        counts = Counter(name for cut in self.cuts for name in cut["conditions"])
        return {name: counts[name] for name in CONDITIONS}

    @property
    def enough(self) -> bool:
        """Every condition often, and all together."""
        return len(self.cuts) >= CUTS and min(self.by_condition.values()) >= EACH

    def add(self, found: dict[str, Any]) -> None:
        """Sessions of a batch."""
        self.sessions += found["sessions"]
        self.cuts += found["cuts"]
        self.byte_exact &= found["byte_exact"]
        self.wire_findings += found["wire_findings"]
        self.problems += found["problems"]
        self.checked.update(found["checked"])

    def as_json(self) -> dict[str, Any]:
        """For summary.json."""
        return {
            "cuts": self.cuts,
            "by_condition": self.by_condition,
            "by_device": dict(Counter(cut["device"] for cut in self.cuts)),
            "byte_exact": self.byte_exact and self.sessions > 0,
            "wire_findings": self.wire_findings,
            "sessions": self.sessions,
            "checked": dict(sorted(self.checked.items())),
            "problems": self.problems,
        }


def session_result(transfer: Transfer, seed: int, device: str, problems: list[str]) -> dict[str, Any]:
    """One session as summary.json has it. ``problems``: everything that was held against it."""
    seam = transfer.seam
    wire = [line for line in problems if line.startswith(("hand-over:", "wire:", "peer:"))]
    named = f"{device}, seed {seed}: "
    return {
        "sessions": 1,
        "cuts": [] if seam is None else cuts_of(seam, seed, device),
        "byte_exact": transfer.sums().agree and transfer.done,
        "wire_findings": [named + line for line in wire],
        "problems": [named + line for line in problems if line not in wire],
        "checked": dict(transfer.seam_monitor.checked),
    }


def cuts_of(seam: Seam, seed: int, device: str) -> list[dict[str, Any]]:
    """The cuts of a session whose upload came."""
    return [
        {"seed": seed, "device": device, "cycle": cut.cycle, "tick": cut.tick, "state": cut.state,
         "conditions": cut.conditions, "problems": cut.problems}
        for cut in seam.cuts if cut.done
    ]  # fmt: skip


def main(config: RunConfig) -> int:
    """Play rounds until every condition was met; 1 if anything was found or too little was met."""
    OUT.mkdir(parents=True, exist_ok=True)
    result = Result()
    if config.device == "rtl":
        _rtl(config, result)
    for number in range(ROUNDS):
        if result.enough:
            break
        first = config.seed + number * BATCH * BATCHES
        jobs = [_job(first + BATCH * batch, config) for batch in range(BATCHES)]
        for finished in run_shown("seam, golden device", jobs, config.jobs):
            _take(finished, result)
            write(OUT, result.as_json())
    return _report(result)


def _report(result: Result) -> int:
    write(OUT, result.as_json())
    for name, count in result.by_condition.items():
        print(f"  {name:<28} {count:>5} cuts")
    devices = ", ".join(f"{count} on {name}" for name, count in sorted(result.as_json()["by_device"].items()))
    print(f"{len(result.cuts)} cuts in {result.sessions} sessions ({devices}); {OUT / 'summary.json'}")
    for line in (result.wire_findings + result.problems)[:20]:
        print(f"FAIL: {line}")
    missing = [] if result.enough else [f"fewer than {CUTS} cuts, or than {EACH} in a condition"]
    for line in missing:
        print(f"FAIL: {line}")
    bad = missing or result.wire_findings or result.problems or not result.byte_exact
    print("FAIL" if bad else "PASS")
    return 1 if bad else 0


# ---- the golden device -------------------------------------------------------------------------


def _job(first: int, config: RunConfig) -> Job:
    out = OUT / f"model-s{first}"
    out.mkdir(parents=True, exist_ok=True)
    (out / "batch.json").unlink(missing_ok=True)
    (out / "job.json").write_text(replace(config, device="model", seed=first, out=out).to_json())
    command = [sys.executable, "-m", "tb.seam", str(out / "job.json")]
    return Job(out.name, command, ROOT, dict(os.environ), out / "batch.log", BATCH_TIMEOUT)


def _take(finished: Finished, result: Result) -> None:
    found = finished.job.log.parent / "batch.json"
    if finished.status == 0 and found.exists():
        result.add(json.loads(found.read_text()))
        print(f"{finished.job.name:<12} {len(result.cuts)} cuts so far, {finished.seconds:.0f} s", flush=True)
        return
    why = "ended after its bound" if finished.status is None else f"ended with status {finished.status}"
    result.problems.append(f"{finished.job.name} {why}; its log is {finished.job.log}")


def run_batch(file: Path) -> int:
    """In a process of its own: the sessions of one batch of seeds."""
    config = RunConfig.from_json(file.read_text())
    result = Result()
    for seed in range(config.seed, config.seed + BATCH):
        result.add(play_on_model(seed_config := seam_config(config, seed), seed_config.seed))
    (config.out / "batch.json").write_text(json.dumps(result.as_json()))
    return 0


def play_on_model(config: RunConfig, seed: int) -> dict[str, Any]:
    """One session on the golden device."""
    from tb.device.model_loop import ModelRun
    from tb.session import summary

    class Run(ModelRun):
        transfer_type = SeamTransfer

    run = Run(config)
    problems = run.run()
    problems += summary.verdict(run.transfer)
    run.transfer.network.close()
    return session_result(run.transfer, seed, "model", problems)


# ---- RTL ---------------------------------------------------------------------------------------


def _rtl(config: RunConfig, result: Result) -> None:
    """A few sessions in lockstep with the golden model."""
    from tb.run import BUILT_CONNS
    from tb.sim.run import run
    from tb.sim.shown import build_shown
    from tb.sim.spec import chimney_spec
    from tb.sim.tools import choose

    tool, remark = choose(config.sim, fall_back=not config.sim_given)
    if remark:
        print(remark, flush=True)
    built = build_shown(chimney_spec(tool, data_w=config.data_w, conns=BUILT_CONNS))
    seeds = range(config.seed, config.seed + RTL_SESSIONS)
    with Meter("seam, RTL", len(seeds)) as meter:
        played = meter.around("a session", run)
        for seed in seeds:
            out = OUT / f"rtl-s{seed}"
            out.mkdir(parents=True, exist_ok=True)
            (out / "session.json").unlink(missing_ok=True)
            here = replace(seam_config(config, seed), size=RTL_SIZE, out=out)
            outcome = played(built, TEST_MODULE, out, config=here, timeout=RTL_TIMEOUT)
            found = out / "session.json"
            if found.exists():
                result.add(json.loads(found.read_text()))
            if outcome.problem or not outcome.passed:
                why = outcome.problem or "the simulation failed"
                result.problems.append(f"rtl, seed {seed}: {why}; log {outcome.log}")
            print(f"rtl-s{seed:<8} {len(result.cuts)} cuts so far", flush=True)


if __name__ == "__main__":
    sys.exit(run_batch(Path(sys.argv[1])))
