"""`make lint`: generated files are current, Python passes ruff and mypy, Verilog passes Verilator -Wall."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tb.config import ROOT, RunConfig
from tb.owndut.device import OwnDevice
from tb.progress import Meter
from tb.sim.spec import HDL, design_sources, header_folders
from tb.sim.tools import Tool, find
from tb.testing.results import Report, Verdict

#: Devices that come with the documentation.
EXAMPLES = ROOT / "docs" / "examples"
#: Waivers allowed in all of hdl/, each with its reason on the line.
MAX_WAIVERS = 20
NEVER_WAIVED = re.compile(r"LATCH|MULTIDRIVEN|UNDRIVEN|WIDTH|BLKSEQ|CASEINCOMPLETE")
WAIVER = re.compile(r"verilator\s+lint_off\s+(\w+)(.*)")
#: Widths and numbers of connections at which the design is checked.
LINT_WIDTHS, LINT_CONNS = (64, 512), (4, 64, 1024)


def command_problem(*command: str) -> str:
    """Run a checker; empty if it is content, else what it said."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"status {done.returncode}"


def layout_is_current() -> str:
    """Nothing generated is older than the layout source."""
    return command_problem(sys.executable, "-m", "model.layout", "--check")


def ruff_is_content() -> str:
    """The rules of pyproject.toml."""
    return command_problem(sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", ".")


def mypy_is_content() -> str:
    """Strict types in model/ and tb/."""
    return command_problem(sys.executable, "-m", "mypy", "--strict", "-p", "model", "-p", "tb")


def verilator_is_content() -> str:
    """No warning at -Wall, at a narrow and at a wide bus, with few and with many connections (1024 elaborate)."""
    tool = find("verilator")
    if tool is None:
        return icarus_elaborates()
    includes = [f"-I{folder}" for folder in header_folders(HDL)]
    for width, conns in itertools.product(LINT_WIDTHS, LINT_CONNS):
        done = subprocess.run(
            [str(tool.executable), "--lint-only", "-Wall", "--top-module", "chimney", f"-GDATA_W={width}",
             f"-GCONNS={conns}", *includes, *map(str, design_sources())],
            cwd=ROOT, env=tool.environment(), capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        output = done.stdout + done.stderr
        findings = [line for line in output.splitlines() if line.startswith(("%Warning", "%Error"))]
        if done.returncode != 0 or findings:
            return f"DATA_W={width} CONNS={conns}:\n" + "\n".join(findings[:40] or [output])
    return "\n".join(filter(None, (example_problem(tool, path.parent) for path in sorted(EXAMPLES.glob("*/dut.toml")))))


def example_problem(tool: Tool, folder: Path) -> str:
    """What Verilator says at -Wall of a device of docs/examples, alone."""
    device = OwnDevice.load(folder)
    includes = [f"-I{path}" for path in (*header_folders(HDL), folder)]
    done = subprocess.run(
        [str(tool.executable), "--lint-only", "-Wall", "--top-module", device.top, f"-GDATA_W={device.data_w}",
         *includes, *map(str, sorted(folder.glob("*.v")))],
        cwd=ROOT, env=tool.environment(), capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    findings = [line for line in done.stderr.splitlines() if line.startswith(("%Warning", "%Error"))]
    return f"{folder.name}:\n" + "\n".join(findings[:40]) if done.returncode != 0 or findings else ""


def icarus_elaborates() -> str:
    """What a machine without Verilator can say: the device elaborates at every size."""
    if find("icarus") is None:
        return "no simulator on this machine; `make doctor` says what to install"
    includes = [f"-I{folder}" for folder in header_folders(HDL)]
    for width, conns in itertools.product(LINT_WIDTHS, LINT_CONNS):
        problem = command_problem(
            "iverilog", "-g2005", "-tnull", "-s", "chimney", f"-Pchimney.DATA_W={width}", f"-Pchimney.CONNS={conns}",
            *includes, *map(str, design_sources()),
        )  # fmt: skip
        if problem:
            return f"DATA_W={width} CONNS={conns}:\n{problem}"
    return ""


def waivers_are_few_and_explained() -> str:
    """The lint_off comments of hdl/."""
    problems, count = [], 0
    for path in design_sources():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = WAIVER.search(line)
            if found is None:
                continue
            count += 1
            where = f"{path.relative_to(ROOT)}:{number}"
            if NEVER_WAIVED.match(found.group(1)):
                problems.append(f"{where}: {found.group(1)} may not be waived")
            if len(re.sub(r"[^A-Za-z]", "", found.group(2))) < 8:
                problems.append(f"{where}: the reason is missing on the line")
    if count > MAX_WAIVERS:
        problems.append(f"{count} lint_off in hdl/, at most {MAX_WAIVERS} are allowed")
    return "\n".join(problems)


#: Checks that run side by side: mypy takes as long as all others.
AT_ONCE = 2
CHECKS: tuple[tuple[str, Callable[[], str]], ...] = (
    ("generated files are current", layout_is_current),
    ("ruff", ruff_is_content),
    ("mypy --strict", mypy_is_content),
    ("verilator -Wall", verilator_is_content),
    ("waivers", waivers_are_few_and_explained),
)


def lint(report: Report) -> None:
    """Run every check; each is one test of the report."""
    with Meter("lint", len(CHECKS)) as meter, ThreadPoolExecutor(AT_ONCE) as pool:
        under_way = [pool.submit(meter.around(check[0], verdict_of), check) for check in CHECKS]
        for one in under_way:
            report.add(one.result())


def verdict_of(named: tuple[str, Callable[[], str]]) -> Verdict:
    """What one check says."""
    name, check = named
    started = time.monotonic()
    problem = check()
    seconds = time.monotonic() - started
    return Verdict(f"lint::{name}", "failed" if problem else "passed", seconds, problem, "make lint")


def main(_: RunConfig) -> int:
    """Only the lint; prints all that the checkers said."""
    report = Report()
    lint(report)
    report.complete = True
    report.write(ROOT / "sim_build" / "lint")
    for verdict in report.of("failed"):
        print(f"\n---- {verdict.test}\n{verdict.message}")
    print(report.closing_line())
    return 0 if report.passed else 1


def some(names: list[str]) -> int:
    """Checks whose names begin with these words, for `pre-commit`; 1 if one complains, 2 if there is none."""
    chosen = [check for check in CHECKS if check[0].startswith(tuple(names))]
    failed = [f"{verdict.test}\n{verdict.message}" for verdict in map(verdict_of, chosen) if verdict.status == "failed"]
    print(*failed, sep="\n")
    return 2 if not chosen or not names else int(bool(failed))


if __name__ == "__main__":
    sys.exit(some(sys.argv[1:]))
