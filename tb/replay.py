"""`make replay FAILURE=folder [WAVES=1]`: run a recorded failure again and say whether it is the same one.

A failure folder holds what tb.sim.run wrote before the simulation began (config.json; failure.json: {top, modules,
testcase, plusargs, parameters, timeout}) and what the test found (divergence.txt, rtl.json, results.xml). The new run
lies in FAILURE/replay; with WAVES=1 there are waves and a GTKWave save file whose marker stands at the divergence.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from tb.config import ConfigError, RunConfig
from tb.sim.build import build
from tb.sim.run import AGAIN_NAME, RunResult, read_results, run
from tb.sim.spec import chimney_spec, unit_spec
from tb.sim.tools import choose
from tb.wave_viewer import describe

TIMEOUT = 3000.0


@dataclass(frozen=True)
class Failure:
    """A recorded failure: its configuration, which test it was, and what it reported."""

    folder: Path
    config: RunConfig
    top: str
    modules: str | list[str]
    testcase: str | list[str] | None
    plusargs: dict[str, int]
    parameters: dict[str, int]
    timeout: float

    @property
    def report(self) -> list[str]:
        """The first divergence, or the problems of a run that did not diverge."""
        return report_of(self.folder)


def main(config: RunConfig) -> int:
    """Run it again; 0 if the run came to the same end as the recorded one."""
    if config.failure is None:
        raise ConfigError("no failure given", "FAILURE=", "give the folder of a failed run")
    failure = load(config.failure)
    tool, remark = choose(failure.config.sim, fall_back=False)
    print(f"{remark}\nreplay {failure.modules}, seed {failure.config.seed}, DATA_W={failure.config.data_w}", flush=True)
    out = failure.folder / "replay"
    for stale in ("divergence.txt", "rtl.json", "results.xml"):
        (out / stale).unlink(missing_ok=True)
    parameters = dict(failure.parameters)
    if failure.top == "tb_top":
        spec = chimney_spec(
            tool,
            data_w=parameters.pop("DATA_W"),
            conns=parameters.pop("CONNS"),
            mem_bytes=parameters.pop("MEM_BYTES"),
            waves=config.waves,
            extra_parameters=parameters,
        )
    else:
        spec = unit_spec(tool, failure.top, parameters=parameters, waves=config.waves)
    outcome = run(
        build(spec, say=print),
        failure.modules,
        out,
        config=replace(failure.config, out=out, waves=config.waves),
        plusargs=failure.plusargs,
        testcase=failure.testcase,
        waves=config.waves,
        timeout=max(failure.timeout, TIMEOUT),
    )
    again = report_of(out)
    print("\n".join(again) if again else "this run found nothing wrong")
    if config.waves:
        show_waves(outcome, cycle_of(again or failure.report))
    return compare(failure.report, again, outcome)


def load(folder: Path) -> Failure:
    """Read a failure folder; ConfigError says what is missing."""
    file = folder / "config.json"
    if not file.exists():
        raise ConfigError("this is no failure folder: it has no config.json", f"FAILURE={folder}", "give another")
    config = RunConfig.from_json(file.read_text())
    if config.file is not None and not config.file.exists():
        raise ConfigError("the file that was sent is gone", str(config.file), "put it back and replay again")
    again = folder / AGAIN_NAME
    if not again.exists():
        raise ConfigError("this is no failure folder: it has no failure.json", f"FAILURE={folder}", "give another")
    return Failure(folder=folder, config=config, **json.loads(again.read_text()))


def report_of(folder: Path) -> list[str]:
    """What a run reported: the divergence, else its problems; without the lines that name folders."""
    divergence = folder / "divergence.txt"
    lines: list[str] = []
    if divergence.exists():
        lines = divergence.read_text().splitlines()
    elif (folder / "rtl.json").exists():
        lines = [str(line) for line in json.loads((folder / "rtl.json").read_text()).get("problems", [])]
    if not lines:
        failed = [o for o in read_results(folder / "results.xml") if o.status == "failed"]
        lines = [f"{o.name} at {o.sim_time_ns} ns: {o.message.splitlines()[-1] if o.message else ''}" for o in failed]
    return [line.rstrip() for line in lines if "make " not in line and str(folder) not in line]


def cycle_of(report: list[str]) -> int | None:
    """The cycle that a report names first."""
    for line in report:
        if match := re.search(r"\bcycle\W+(\d+)", line):
            return int(match.group(1))
    return None


def compare(recorded: list[str], again: list[str], outcome: RunResult) -> int:
    """Say whether both runs ended alike; the exit status."""
    if not recorded:
        print("the folder holds no recorded divergence to compare with")
        return 0 if outcome.passed else 1
    if recorded == again:
        print("identical: the first divergence is the recorded one")
        return 0
    print("NOT identical; recorded (-) and replayed (+):")
    print("\n".join(difflib.unified_diff(recorded, again, lineterm="", n=0)))
    return 1


def show_waves(outcome: RunResult, cycle: int | None) -> None:
    """Write the save file beside the waves and say how to open both."""
    if outcome.waves is None or not outcome.waves.exists():
        print("this run wrote no waves")
        return
    print(describe(outcome.waves, cycle))
