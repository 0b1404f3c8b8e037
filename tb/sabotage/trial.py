"""One sabotage in a tree of its own: `python -m tb.sabotage.trial FOLDER`, started by tb.sabotage.run.

FOLDER/tree is a copy of hdl/, model/ and tb/ with the error in it, and this module runs from that copy. It builds the
changed design, runs one stimulus after the other, stops at the first detection and writes FOLDER/trial.json.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tb.config import ROOT
from tb.sabotage import contract_verdict, witness
from tb.sabotage.judge import Detection, asserted, judge, judge_contract
from tb.sabotage.manifest import BOUND, CONTRACT
from tb.sabotage.stimuli import (
    CONTRACT_GOLDEN,
    CONTRACT_RTL,
    DATA_W,
    GOLDEN,
    RTL,
    SIMULATOR,
    Stimulus,
    contract,
    folder_name,
    stimuli,
)
from tb.sim.build import BuildError, build
from tb.sim.process import ENDED, ProcessTimeoutError
from tb.sim.run import run
from tb.sim.spec import chimney_spec
from tb.sim.tools import find

#: Intermediate drivers in a run on the golden device.
LAYERS = 1
IMAGES_TEST = "tb/tests/model/test_layout_images.py"


def main(folder: Path) -> int:
    """Try everything; the result is in trial.json, whatever it is."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGINT may be ignored: a shell does so to its jobs
    task = json.loads((folder / "task.json").read_text())
    result: dict[str, Any] = {
        "by": None,
        "field": "",
        "cycle": None,
        "test": "",
        "detail": "",
        "lockstep": "",
        "error": "",
        "bounded": [],
        "seconds": 0.0,
        "runs": [],
    }
    started = time.monotonic()
    try:
        if task["witnesses"]:
            result |= witnessed(folder, task)
        for name, found in attempts(folder, task):
            result["runs"].append(name)
            result["bounded"] += [f"{name}: {found.field}"] if found is not None and found.by == BOUND else []
            if found is None or (result["by"] is not None and found.by != CONTRACT):
                continue
            result |= vars(found) | {"test": name}
            if not task["contract"] or found.by == CONTRACT:
                break
    except BuildError as error:
        if ENDED in str(error):
            result["bounded"].append(f"the build: {str(error).splitlines()[0]}")
        else:
            result["error"] = f"the changed design cannot be built: {error}"
    result["seconds"] = round(time.monotonic() - started, 1)
    (folder / "trial.json").write_text(json.dumps(result, indent=1))
    return 0


def attempts(folder: Path, task: dict[str, Any]) -> Any:
    """(name of the stimulus, what was detected), one stimulus after the other."""
    if task["witnesses"]:
        return
    if task["images"]:
        yield "hand-typed images", hand_typed_images()
    for stimulus in chosen(task):
        if not task["only"] or stimulus.name in task["only"]:
            yield stimulus.name, simulate(folder, stimulus)


def witnessed(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """What the witnesses of an entry say: on each side that it breaks one of them must, or the entry survived."""
    seen: dict[str, tuple[str, Detection]] = {}
    runs, mute, bounded = [], [], []
    for side in task["sides"]:
        for name in (name for name in task["witnesses"] if witness.speaks_of(name, side)):
            runs.append(f"{side} {name}")
            found = witness.hear(name, side, folder)
            if found is not None and found.by in (witness.SCRIPT, witness.TEST):
                seen[side] = (name, found)
                break
            mute.append(f"{side} {name}: {found.by if found else 'passes'}{f', {found.field}' if found else ''}")
            bounded += [f"{side} {found.field}"] if found is not None and found.by == BOUND else []
    if len(seen) < len(task["sides"]):
        return {"runs": runs, "detail": "; ".join(mute), "bounded": bounded}
    first = seen[task["sides"][-1]][1]
    return vars(first) | {
        "runs": runs,
        "test": ", ".join(f"{side} {name}" for side, (name, _) in seen.items()),
        "detail": "\n".join(f"{side}: {found.field}" for side, (_, found) in seen.items()),
    }


def chosen(task: dict[str, Any]) -> list[Stimulus]:
    """What is tried: for a rule of the contract its scenes, where the error can show; control and patches get all."""
    if task["contract"]:
        return contract(RTL if task["on_rtl"] else GOLDEN, task["first"])
    return [*stimuli(task["first"]), *(contract(GOLDEN) + contract(RTL) if task["everything"] else [])]


def hand_typed_images() -> Detection | None:
    """The test of the images typed by hand, on this tree's generated files (made anew)."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", IMAGES_TEST]
    try:
        subprocess.run([sys.executable, "-m", "model.layout"], cwd=ROOT, check=False, timeout=60)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired as error:
        return Detection(BOUND, str(ProcessTimeoutError(error.cmd, error.timeout)), None)
    if done.returncode == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    return Detection("images", failed[0].split("::")[-1][:160] if failed else "collection", None)


def simulate(folder: Path, stimulus: Stimulus) -> Detection | None:
    """One stimulus on the changed design."""
    out = folder / folder_name(stimulus.name)
    out.mkdir(parents=True, exist_ok=True)
    for stale in (*out.glob("*rtl.json"), *out.glob("*divergence.txt"), *out.glob(contract_verdict.FILE)):
        stale.unlink()
    if stimulus.module == CONTRACT_GOLDEN:
        command = [sys.executable, "-m", stimulus.module, str(out), stimulus.testcase or "", str(LAYERS)]
        ended = ""
        try:
            subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=stimulus.timeout, check=False)
        except subprocess.TimeoutExpired:
            ended = str(ProcessTimeoutError(command, stimulus.timeout))
        return judge_contract(out, ended)
    tool = find(SIMULATOR)
    if tool is None:
        raise BuildError(f"no usable {SIMULATOR} on this machine")
    spec = chimney_spec(
        tool,
        data_w=DATA_W,
        conns=stimulus.conns,
        mem_bytes=stimulus.mem_bytes,
        extra_parameters=stimulus.parameters,
    )
    result = run(
        build(spec),
        stimulus.module,
        out,
        config=stimulus.config(out),
        plusargs=stimulus.plusargs,
        testcase=stimulus.testcase,
        timeout=stimulus.timeout,
        extra_env={"PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )
    if stimulus.module == CONTRACT_RTL:
        return judge_contract(out, result.problem if result.out_of_time else "", asserted(out, result))
    return judge(out, result)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
