"""`make coverage-null`: reset and start-up without traffic must hit next to nothing, else the bins say nothing."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace

from tb.config import ROOT, RunConfig
from tb.coverage import functional
from tb.coverage.exclusions import load
from tb.coverage.samples import Samples, design_hash, passed
from tb.coverage.space import groups
from tb.files import write_json
from tb.progress import alone
from tb.sim.run import SAMPLES_NAME, replay_command, run
from tb.sim.shown import build_shown
from tb.sim.spec import chimney_spec
from tb.sim.tools import choose

OUT = ROOT / "sim_build" / "coverage" / "null"
MODULE = "tb.tests.rtl.null_test"
DATA_W, CONNS = 64, 4


def main(config: RunConfig) -> int:
    """0 if at most functional.NULL_SHARE of the bins are hit, 1 if more are or the run failed."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    tool, remark = choose(config.sim if config.sim_given else "icarus", fall_back=not config.sim_given)
    print(remark)
    built = build_shown(chimney_spec(tool, data_w=DATA_W, conns=CONNS))
    with alone("coverage-null", "a run without traffic"):
        result = run(built, MODULE, OUT, config=replace(config, sim=tool.kind, data_w=DATA_W, size=1, out=OUT))
    samples = Samples.load(OUT / SAMPLES_NAME)
    if samples is None or not passed(OUT):
        print(f"FAIL: the run without traffic failed: {result.problem or result.log}")
        print(f"replay   {replay_command(OUT)}")
        return 1
    return judge(samples)


def judge(samples: Samples) -> int:
    """Print and write what a run without traffic hit; the exit status."""
    space = groups()
    found = functional.merge(space, load(space).rows, [samples], design_hash)
    figures = found.figures()
    share = figures["hit"] / max(1, figures["total"])
    good = share <= functional.NULL_SHARE and not found.problems and found.runs == 1
    hit = [f"{one.group}: {one.name}" for one in found.first]
    document = {**figures, "share": share, "most": functional.NULL_SHARE, "problems": found.problems, "bins": hit}
    write_json(OUT / "summary.json", document)
    for name in found.groups:
        if count := found.figures(name)["hit"]:
            print(f"{name:<14}{count:>6,}")
    for problem in found.problems:
        print(f"FAIL: {problem}")
    print(
        f"{figures['hit']:,} of {figures['total']:,} bins without traffic: {share:.2%}, "
        f"at most {functional.NULL_SHARE:.0%}"
    )
    print("PASS" if good else "FAIL")
    sys.stdout.flush()
    return 0 if good else 1
