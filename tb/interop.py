"""`make interop PEER=lwip|gvisor|linux SEEDS=1-5`: the main job against another TCP over a bad network, byte by byte.

Without other orders lwIP and gVisor get 16 MiB each way at 5 % loss, 10 % reordering, 5 % duplicates and 2 % corrupted
frames; the kernel gets 4 MiB each way at 2 % loss. Each seed is a run of `make run` in a process of its own, with the
golden device (DEVICE=model) or the RTL in lockstep with it; results are in sim_build/interop/<peer>.json
(<peer>-ipv6.json over IPv6).
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from tb.config import ROOT, ConfigError, RunConfig
from tb.files import write_json
from tb.peers.choice import MISSING
from tb.pool import Finished, Job, run_shown

OUT: Final = ROOT / "sim_build" / "interop"
#: Bytes each way, and the network, where the call does not say.
VIRTUAL: Final = {"SIZE": 16 << 20, "LOSS": 0.05, "REORDER": 0.1, "DUP": 0.05, "CORRUPT": 0.02}
WALL: Final = {"SIZE": 4 << 20, "LOSS": 0.02}
FIELDS: Final = {"SIZE": "size", "LOSS": "loss", "REORDER": "reorder", "DUP": "dup", "CORRUPT": "corrupt"}
#: Seconds a run may take: one against the kernel is bounded by the issue, the others by a working day's patience.
VIRTUAL_SECONDS, WALL_SECONDS = 4 * 3600.0, 600.0


@dataclass(frozen=True)
class InteropRun:
    """One run; `bytes` is what was sent each way, `rto_count` what was sent again after a silence of a timeout."""

    seed: int
    bytes: int
    byte_exact: bool
    divergences: int
    retransmissions: int
    rto_count: int
    virtual_seconds: float
    wall_seconds: float


def with_defaults(config: RunConfig) -> RunConfig:
    """The network and size of this peer, as far as the call leaves them open."""
    wanted = WALL if config.peer == "linux" else VIRTUAL
    changes: dict[str, Any] = {FIELDS[name]: value for name, value in wanted.items() if name not in config.given}
    return replace(config, **changes)


def main(config: RunConfig) -> int:
    """Run every seed; 1 if one is not byte-exact, diverged, or has anything held against it."""
    if config.peer == "python":
        raise ConfigError("interop needs another TCP", "PEER=python", "give PEER=lwip, gvisor or linux")
    lack = MISSING[config.peer]()
    if lack is not None:
        raise ConfigError(f"this peer is missing: {lack}", f"PEER={config.peer}", "`make doctor` says what to install")
    config = with_defaults(config)
    if config.device == "rtl":
        config = _with_simulator(config)
    OUT.mkdir(parents=True, exist_ok=True)
    runs: list[InteropRun] = []
    failed = 0
    target = OUT / f"{config.peer}{config.family_suffix}.json"
    for finished in run_shown("interop", [_job(replace(config, seed=seed)) for seed in config.seeds], config.jobs):
        run, problems = _result(finished, config)
        runs.append(run)
        failed += bool(problems)
        write_json(target, [asdict(one) for one in sorted(runs, key=lambda one: one.seed)])
        print(
            f"{'FAIL' if problems else 'pass'}  {config.peer} SEED={run.seed}: {run.bytes} bytes each way, "
            f"{run.retransmissions} retransmissions, {run.rto_count} timeouts, {run.virtual_seconds:.1f} s of protocol "
            f"time in {run.wall_seconds:.1f} s",
            *(f"\n      {problem}" for problem in problems[:5]),
            flush=True,
        )
    print(f"{len(runs) - failed} of {len(config.seeds)} runs passed; {target}")
    return 1 if failed or len(runs) != len(config.seeds) else 0


def _with_simulator(config: RunConfig) -> RunConfig:
    """Build the simulator once, before the runs."""
    from tb.run import BUILT_CONNS
    from tb.sim.shown import build_shown
    from tb.sim.spec import chimney_spec
    from tb.sim.tools import choose

    tool, remark = choose(config.sim, fall_back=not config.sim_given)
    print(remark, flush=True)
    build_shown(chimney_spec(tool, data_w=config.data_w, conns=BUILT_CONNS))
    return replace(config, sim=tool.kind, sim_given=True)


def _job(config: RunConfig) -> Job:
    out = OUT / f"{config.peer}{config.family_suffix}-{config.device}-s{config.seed}"
    out.mkdir(parents=True, exist_ok=True)
    file = out / "job.json"
    file.write_text(replace(config, command="run", out=out, seeds=(config.seed,)).to_json())
    (out / "summary.json").unlink(missing_ok=True)
    seconds = WALL_SECONDS if config.peer == "linux" else VIRTUAL_SECONDS
    command = [sys.executable, "-m", "tb.soak", str(file)]
    return Job(out.name, command, ROOT, dict(os.environ), out / "run.log", seconds)


def _result(finished: Finished, config: RunConfig) -> tuple[InteropRun, list[str]]:
    """What a run left in its folder, and why it failed."""
    out: Path = finished.job.log.parent
    seed = RunConfig.from_json((out / "job.json").read_text()).seed
    found: dict[str, Any] = {}
    if (out / "summary.json").exists():
        found = json.loads((out / "summary.json").read_text())
    sums = {found.get(f"sha256_{name}") for name in ("sent", "peer", "received")}
    run = InteropRun(
        seed=seed,
        bytes=int(found.get("bytes_received") or 0),
        byte_exact=len(sums) == 1 and None not in sums and bool(found.get("complete")),
        divergences=int(found.get("divergences") or 0),
        retransmissions=int(found.get("retransmissions") or 0),
        rto_count=int(found.get("timeouts") or 0),
        virtual_seconds=int(found.get("ticks") or 0) / 1000,
        wall_seconds=round(finished.seconds, 1),
    )
    problems = [str(problem) for problem in found.get("problems") or []]
    if finished.status is None:
        problems.append(f"ended after its bound of {finished.job.timeout:.0f} s")
    elif finished.status != 0 and not problems:
        problems.append(f"ended with status {finished.status}; its log is {finished.job.log}")
    if not run.byte_exact and not problems:
        problems.append("not byte-exact")
    return run, problems
