"""Directed witnesses: a packetdrill script, or a test of the model or of a block, that must fail on a broken design.

A script is written `folder/name` and is played on the golden device and on the RTL; a test is written `file::function`
and runs where it is: those of tb/tests/model as they are, those of tb/tests/unit on their block alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tb.config import ROOT, RunConfig
from tb.contract.scenes.stage import CONNS
from tb.sabotage import witness_verdict
from tb.sabotage.judge import Detection
from tb.sabotage.manifest import BOUND
from tb.sabotage.stimuli import DATA_W, GOLDEN, SIMULATOR, folder_name
from tb.script.run_packetdrill import COLLECTION
from tb.sim.build import BuildError, build
from tb.sim.process import ProcessTimeoutError
from tb.sim.run import RunResult, run
from tb.sim.spec import chimney_spec, unit_spec
from tb.sim.tools import Tool, find
from tb.testing.tiers import Job, load

#: What such a witness is called as a judge.
SCRIPT, TEST = "script", "test"
MODEL_TESTS = ROOT / "tb" / "tests" / "model"
#: Seconds for one witness.
PATIENCE = 900.0
#: What a test says that only waited in vain.
WAITED = ("SimTimeoutError", "ProcessTimeoutError")


def is_script(name: str) -> bool:
    """Whether a witness is a script."""
    return "::" not in name


def script_file(name: str) -> Path:
    """The file of a script."""
    return COLLECTION / f"{name}.pkt"


def model_file(name: str) -> Path:
    """The file of a test of the model."""
    return MODEL_TESTS / f"{name.partition('::')[0]}.py"


def job_of(name: str) -> Job | None:
    """The job on Icarus in which a test of a block is run, the narrowest one; None if there is none."""
    module = f"tb.tests.unit.{name.partition('::')[0]}"
    jobs = [job for job in load().jobs if job.module == module and job.simulator == SIMULATOR and not job.exempt]
    return min(jobs, key=lambda job: job.data_w, default=None)


def speaks_of(name: str, side: str) -> bool:
    """Whether a witness runs on the golden side (the model) or on the RTL."""
    return is_script(name) or model_file(name).exists() == (side == GOLDEN)


def exists(name: str) -> bool:
    """Whether there is such a script, or such a test."""
    if is_script(name):
        return script_file(name).exists()
    file, _, function = name.partition("::")
    path = model_file(name) if model_file(name).exists() else ROOT / "tb" / "tests" / "unit" / f"{file}.py"
    return path.exists() and re.search(rf"^(async )?def {function}\(", path.read_text(), re.MULTILINE) is not None


class OutOfTimeError(Exception):
    """A witness was ended for its wall clock, before it could say anything."""


def hear(name: str, side: str, folder: Path) -> Detection | None:
    """What a witness says of the tree that this module is in; None: nothing."""
    out = folder / folder_name(f"{side} {name}")
    out.mkdir(parents=True, exist_ok=True)
    try:
        if is_script(name):
            return of_verdict(name, on_golden(name, out) if side == GOLDEN else on_rtl(name, out))
        return model_test(name) if side == GOLDEN else block_test(name, out)
    except OutOfTimeError as error:
        return Detection(BOUND, f"{name}: {error}"[:160], None)


# ---- scripts -------------------------------------------------------------------------------------


def on_golden(name: str, out: Path) -> witness_verdict.Verdict | None:
    """A script on the golden device, in a process of its own."""
    (out / witness_verdict.FILE).unlink(missing_ok=True)
    command = [sys.executable, "-m", "tb.sabotage.witness_model", str(out), str(script_file(name))]
    with (out / "log.txt").open("w") as log:
        try:
            subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise OutOfTimeError(ProcessTimeoutError(command, PATIENCE)) from None
    return witness_verdict.read(out)


def on_rtl(name: str, out: Path) -> witness_verdict.Verdict | None:
    """A script on the RTL in the small configuration."""
    (out / witness_verdict.FILE).unlink(missing_ok=True)
    config = RunConfig(
        command="packetdrill", sim=SIMULATOR, sim_given=True, data_w=DATA_W, data_w_given=True, out=out,
        scripts=(script_file(name),),
    )  # fmt: skip
    spec = chimney_spec(_tool(), data_w=DATA_W, conns=CONNS)
    result = run(build(spec), "tb.sabotage.witness_rtl", out, config=config, timeout=PATIENCE)
    verdict = witness_verdict.read(out)
    if verdict is None and result.out_of_time:
        raise OutOfTimeError(result.problem)
    return verdict


def of_verdict(name: str, verdict: witness_verdict.Verdict | None) -> Detection | None:
    """A script that failed at a line of its own has seen it. One that never ended, or could not run, has not."""
    if verdict is None:
        return Detection("timeout", f"{name} left no verdict", None)
    if verdict.status == "pass":
        return None
    if verdict.status != "fail" or not verdict.line:
        return Detection("crash", f"{name}: {verdict.ended or verdict.reason}"[:160], None, lockstep=verdict.lockstep)
    return Detection(SCRIPT, f"{name}:{verdict.line} {verdict.reason}"[:160], None, lockstep=verdict.lockstep)


# ---- tests ---------------------------------------------------------------------------------------


def model_test(name: str) -> Detection | None:
    """A test of the model, as pytest runs it."""
    file, function = model_file(name), name.partition("::")[2]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"{file}::{function}"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise OutOfTimeError(ProcessTimeoutError(command, PATIENCE)) from None
    if done.returncode == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    if done.returncode != 1 or not failed:
        return Detection("crash", f"{name}: {done.stdout[-120:]}{done.stderr[-40:]}", None)
    return Detection(TEST, f"{name}{failed[0].partition(function)[2]}"[:160], None)


def block_test(name: str, out: Path) -> Detection | None:
    """A cocotb test of a block alone."""
    job = job_of(name)
    if job is None:
        raise BuildError(f"no job of tb/tests/tiers.toml runs {name} on {SIMULATOR}")
    config = RunConfig(
        command="test", sim=SIMULATOR, sim_given=True, data_w=job.data_w or DATA_W, data_w_given=True, out=out
    )
    result = run(
        build(unit_spec(_tool(), job.top, parameters=job.parameters)),
        job.module,
        out,
        config=config,
        plusargs=job.plusargs,
        testcase=name.partition("::")[2],
        timeout=max(job.timeout, PATIENCE),
    )
    return of_test(name, result)


def of_test(name: str, result: RunResult) -> Detection | None:
    """A test that failed has seen it; one that only waited has not."""
    if result.passed:
        return None
    failed = [outcome.message for outcome in result.outcomes if outcome.status == "failed"]
    if not failed:
        return Detection(BOUND if result.out_of_time else "crash", f"{name}: {result.problem}"[:160], None)
    words = " ".join(failed[0].split())
    return Detection("timeout" if any(word in words for word in WAITED) else TEST, f"{name}: {words}"[:160], None)


def _tool() -> Tool:
    tool = find(SIMULATOR)
    if tool is None:
        raise BuildError(f"no usable {SIMULATOR} on this machine")
    return tool
