"""`make hostile`: attack frames at the NIC's port beside eight good connections, against the same without the attack.

Each of SEEDS is two sessions in a process of its own, with FRAMES attack frames and with none; results are in
sim_build/hostile/<device>.json (<device>-ipv6.json over IPv6). On the golden device, which takes no time, goodput is
limited by round trips, windows and the host's requests: its ratio tells what the attack takes from the protocol
(pool, windows, frames dropped, answers), not from the engine. On the RTL, in lockstep with it, a tick is a fixed number
of clock cycles while anything is under way, the attack takes half of the port's beats, and port and engine are shared,
too. With WHOLE=1 (the RTL alone) the attack takes all of the port that it can get: one session a seed, judged by all
but goodput; its results are in sim_build/hostile/rtl-whole.json.
"""

from __future__ import annotations

import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tb.config import ROOT, TICK_CYCLES, ConfigError, RunConfig
from tb.files import write_json
from tb.hostile.score import BESIDE_LEAST, CYCLES_MOST, RATIO_EACH_LEAST, RATIO_LEAST, REACHED_LEAST, judge
from tb.hostile.session import GOOD, GOOD_WINDOW
from tb.pool import Finished, Job, run_shown

OUT: Final = ROOT / "sim_build" / "hostile"
TEST_MODULE: Final = "tb.tests.rtl.hostile_test"
RESULT: Final = "hostile.json"
#: Attack frames of a seed where FRAMES is not given.
FRAMES: Final = {"model": 100_000, "rtl": 2_000}
#: Ticks that a frame travels at least: round trips, not the wire, limit the good connections.
DELAY: Final = {"model": 100, "rtl": 4}
#: Share of the RTL's port, in each direction, that the good connections take at most: beside an attack that has half of
#: it, answers to that and acknowledgments find room.
GOOD_SHARE: Final = 1 / 3
#: Bytes of the good connections, a frame of the attack and beside, at the least `DELAY`: they are over shortly before
#: the attack. Of a longer attack more come a frame, as windows have opened by then.
BYTES_A_FRAME: Final = {"model": 18, "rtl": 224}
BYTES_AT_LEAST: Final = 48 * 1024
LONG: Final = {"model": 20_000, "rtl": 2_000}
BYTES_A_FRAME_OF_LONG: Final = {"model": 110, "rtl": 224}
BUILT_CONNS: Final = 16
#: Seconds that a seed may take.
SECONDS: Final = 4 * 3600.0


def with_defaults(config: RunConfig) -> RunConfig:
    """Frames, size and path as far as the call leaves them open."""
    frames = config.frames if "FRAMES" in config.given else FRAMES[config.device]
    delay = config.delay if "DELAY" in config.given else delay_of(config.device, config.data_w)
    size = config.size if "SIZE" in config.given else bytes_beside(config.device, frames, delay)
    return replace(config, frames=frames, size=size, delay=delay, conns=GOOD, file=None)


def refuse_unused(config: RunConfig) -> None:
    """ConfigError if something was given that would change nothing, or another thing than it says."""
    cuts = "leave it out: beside an attack the host uploads what the attack makes it"
    given = (
        (config.cuts > 0, "CUTS is not for an attack", f"CUTS={config.cuts}", cuts),
        (config.whole_port and config.device == "model", "WHOLE is for the RTL", "WHOLE=1",
         "leave it out, or DEVICE=rtl: the port of the golden device takes no time"),
    )  # fmt: skip
    for unused, *words in given:
        if unused:
            raise ConfigError(*words)


def delay_of(device: str, data_w: int) -> int:
    """Ticks that a frame travels: all windows in a round trip are `GOOD_SHARE` of a port of ``data_w`` bits at most."""
    if device == "model":
        return DELAY[device]
    beats = GOOD * GOOD_WINDOW[device] * 8 / data_w
    return max(DELAY[device], math.ceil(beats / (2 * TICK_CYCLES * GOOD_SHARE)))


def bytes_beside(device: str, frames: int, delay: int) -> int:
    """Bytes that keep the good connections busy for most of an attack of ``frames`` frames."""
    short = min(frames, LONG[device])
    fresh = BYTES_A_FRAME[device] * short + BYTES_A_FRAME_OF_LONG[device] * (frames - short)
    return BYTES_AT_LEAST + fresh * DELAY[device] // max(DELAY[device], delay)


def main(config: RunConfig) -> int:
    """Every seed; 1 if one misses a bound. ConfigError as of `refuse_unused`."""
    refuse_unused(config)
    config = with_defaults(config)
    if config.device == "rtl":
        config = _built(config)
    OUT.mkdir(parents=True, exist_ok=True)
    target = OUT / f"{_name(config)}.json"
    seeds: list[dict[str, Any]] = []
    for finished in run_shown("hostile", [_job(replace(config, seed=seed)) for seed in config.seeds], config.jobs):
        found = _result(finished)
        seeds.append(found)
        result = summary(seeds, len(config.seeds))
        write_json(target, result)
        print(
            f"{'FAIL' if found['problems'] else 'pass'}  {config.device} SEED={found['seed']}: "
            f"{sum(found['frames'].values())} frames, {found['reached']:.1%} reached a live connection, "
            f"{found['beside']:.1%} beside good ones at work, "
            f"{_goodput(found)}{_cycles(found)}{finished.seconds:.0f} s",
            *(f"\n      {problem}" for problem in found["problems"][:5]),
            flush=True,
        )
    least = f"least ratio {result['ratio_min']}, of one connection {result['ratio_each_min']}"
    shown = "on the whole port" if config.whole_port else least
    print(f"{result['frames']} frames, {result['reached']:.1%} reached, {shown}; {target}")
    return 0 if result["passed"] else 1


def _name(config: RunConfig) -> str:
    """Of what this kind of attack leaves behind."""
    return f"{config.device}{config.attack_suffix}"


def _goodput(found: dict[str, Any]) -> str:
    """What the good connections kept, in words; nothing is kept of a whole port."""
    if found["ratio"] is None:
        return "on the whole port, "
    least = min(found["ratio_each"], default=0.0)
    return f"goodput {found['ratio']:.3f} of that without (the least of one connection {least:.3f}), "


def _cycles(found: dict[str, Any]) -> str:
    """What frames took on the RTL, in words; the golden device takes no time."""
    if found["cycles_max"] is None:
        return ""
    return f"{found['cycles_max']} cycles a frame at most (and {found['room_max']} of waiting for room behind it), "


def summary(seeds: list[dict[str, Any]], wanted: int) -> dict[str, Any]:
    """What is written: the seeds, and their sums."""
    frames = sum(sum(one["frames"].values()) for one in seeds)
    reached = sum(sum(one["reached_frames"].values()) for one in seeds)
    whole = any(one["whole_port"] for one in seeds)
    return {
        "seeds": sorted(seeds, key=lambda one: int(one["seed"])),
        "frames": frames,
        "reached": round(reached / max(1, frames), 4),
        "beside_min": min(one["beside"] for one in seeds),
        "ratio_min": None if whole else min(one["ratio"] for one in seeds),
        "ratio_each_min": None if whole else min((least for one in seeds for least in one["ratio_each"]), default=0.0),
        "bounds": {
            "cycles_max": CYCLES_MOST,
            "reached": REACHED_LEAST,
            "beside": BESIDE_LEAST,
            "ratio": RATIO_LEAST,
            "ratio_each": RATIO_EACH_LEAST,
        },
        "passed": len(seeds) == wanted and not any(one["problems"] for one in seeds),
    }


def _built(config: RunConfig) -> RunConfig:
    """Build the simulator once, before the runs."""
    from tb.sim.shown import build_shown
    from tb.sim.spec import chimney_spec
    from tb.sim.tools import choose

    tool, remark = choose(config.sim, fall_back=not config.sim_given)
    if remark:
        print(remark, flush=True)
    build_shown(chimney_spec(tool, data_w=config.data_w, conns=BUILT_CONNS))
    return replace(config, sim=tool.kind, sim_given=True)


def _job(config: RunConfig) -> Job:
    out = OUT / f"{_name(config)}-s{config.seed}"
    out.mkdir(parents=True, exist_ok=True)
    file = out / "job.json"
    file.write_text(replace(config, out=out, seeds=(config.seed,)).to_json())
    (out / RESULT).unlink(missing_ok=True)
    command = [sys.executable, "-m", "tb.hostile.run", str(file)]
    return Job(out.name, command, ROOT, dict(os.environ), out / "run.log", SECONDS)


def _result(finished: Finished) -> dict[str, Any]:
    """What a seed left in its folder."""
    out = finished.job.log.parent
    if (out / RESULT).exists():
        found: dict[str, Any] = json.loads((out / RESULT).read_text())
        return found
    ended = "its bound" if finished.status is None else f"status {finished.status}"
    config = RunConfig.from_json((out / "job.json").read_text())
    return judge(config, {}, {}, [f"ended with {ended}; its log is {finished.job.log}"])


def play(config: RunConfig) -> dict[str, Any]:
    """Both sessions of a seed, judged; of one that takes the whole port there is one."""
    played = play_rtl if config.device == "rtl" else play_model
    attacked, alone = played(config), {} if config.whole_port else played(replace(config, frames=0))
    return judge(config, attacked, alone, [])


def play_model(config: RunConfig) -> dict[str, Any]:
    """One session on the golden device."""
    from tb.hostile.golden import HostileRun

    run = HostileRun(config)
    problems = run.run()
    return run.session.outcome(problems, hang=run.hang)


def play_rtl(config: RunConfig) -> dict[str, Any]:
    """One session on the RTL, in lockstep."""
    from tb.sim.build import build
    from tb.sim.run import replay_command, run, said_of
    from tb.sim.spec import chimney_spec
    from tb.sim.tools import choose

    tool, _ = choose(config.sim, fall_back=False)
    out = config.out / ("attacked" if config.frames else "alone")
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULT).unlink(missing_ok=True)
    built = build(chimney_spec(tool, data_w=config.data_w, conns=BUILT_CONNS))
    outcome = run(built, TEST_MODULE, out, config=replace(config, out=out, command="run"), timeout=SECONDS / 2)
    found: dict[str, Any] = json.loads((out / RESULT).read_text()) if (out / RESULT).exists() else {"problems": []}
    failed = [said_of(one.message) for one in outcome.outcomes if one.status == "failed" and one.message]
    if outcome.problem or (not outcome.passed and not found["problems"]):
        found["problems"] += [outcome.problem or "the simulation failed", *failed, replay_command(out)]
        found["hang"] = bool(outcome.problem)
    return found


def run_one(file: Path) -> int:
    """In the child process: one seed."""
    config = RunConfig.from_json(file.read_text())
    found = play(config)
    write_json(config.out / RESULT, found)
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(run_one(Path(sys.argv[1])))
