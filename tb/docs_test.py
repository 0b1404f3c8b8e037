"""`make docs-test`: every `make` or `chimney` command in the `sh` blocks of README.md and docs/ is run, as it stands.

A comment in the line before a block changes what is expected of its commands:

    <!-- docs-test: exit 3 -->          they end with this status
    <!-- docs-test: slow -->            they may take an hour instead of ten minutes
    <!-- docs-test: skip: reason -->    they are not run (a placeholder, something that needs a human)

A FILE= that does not exist stands for a file of the reader: it is made under sim_build/docs-test.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError, RunConfig
from tb.files import shown, write_json
from tb.sim.process import ProcessTimeoutError, run_bounded
from tb.sim.tools import MAKE_INTERNALS

OUT = ROOT / "sim_build" / "docs-test"
BOUND, SLOW_BOUND = 600.0, 3600.0
#: Bytes of a file that stands for the reader's.
FILE_BYTES = 64 << 10
#: Not run: this command itself, and what would delete the results of the others.
NEVER = ("docs-test", "clean")
MARKER = re.compile(r"<!--\s*docs-test:\s*(.*?)\s*-->")
#: How the lines of an output begin that a page and the command have in common; the others have paths and seconds.
COMPARED = ("  ", "sha256", "FAILED ", "first divergence: ")


@dataclass(frozen=True)
class DocCommand:
    """One command of a page: where it stands and what is expected of it. `skip` is the reason not to run it."""

    page: Path
    line: int
    text: str
    status: int = 0
    bound: float = BOUND
    skip: str = ""

    @property
    def where(self) -> str:
        """For reports."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def main(config: RunConfig) -> int:
    """Run every command once; 1 if one does not end as its page says. summary.json has what came of each so far."""
    commands = [command for page in pages() for command in read_page(page)]
    if config.test:
        commands = [command for command in commands if config.test in command.text]
    if not commands:
        todo = "give a part of one in a `sh` block of README.md or docs/"
        raise ConfigError("no command of the pages has this in it", f"TEST={config.test}", todo)
    seen: dict[str, Path | None] = {}
    rows: list[dict[str, Any]] = []
    OUT.mkdir(parents=True, exist_ok=True)
    for number, command in enumerate(commands):
        if command.text in seen:  # it was run for another page, which may show other parts of what it printed
            before = seen[command.text]
            if before is not None and (problem := stale_output(command, before)):
                rows.append(row_of(command, "failed", 0.0, problem, before))
                print(f"FAIL  {command.where}: {command.text}\n      {problem}; its output is {before}", flush=True)
            continue
        seen[command.text] = None
        if command.skip:
            print(f"skip  {command.where}: {command.text} ({command.skip})", flush=True)
            rows.append(row_of(command, "skipped", 0.0, command.skip))
            continue
        log = seen[command.text] = OUT / f"{number:03d}.log"
        problem, seconds = run(command, log)
        problem = problem or stale_output(command, log)
        rows.append(row_of(command, "failed" if problem else "passed", seconds, problem, log))
        write_summary(rows, complete=False)
        print(f"{'FAIL' if problem else 'ok  '}  {command.where}: {command.text} ({seconds:.1f} s)", flush=True)
        if problem:
            print(f"      {problem}; its output is {OUT / f'{number:03d}.log'}")
    failed = write_summary(rows, complete=True)
    print(f"{len(seen)} different commands, {failed} failed")
    return 1 if failed else 0


def row_of(command: DocCommand, status: str, seconds: float, problem: str, log: Path | None = None) -> dict[str, Any]:
    """What came of a command; ``problem`` of a skipped one is the reason not to run it."""
    return {
        "where": command.where, "command": command.text, "status": status, "seconds": round(seconds, 1),
        "problem": problem, "log": None if log is None else shown(log),
    }  # fmt: skip


def write_summary(rows: list[dict[str, Any]], *, complete: bool) -> int:
    """Write summary.json; how many commands failed."""
    counts = Counter({"passed": 0, "failed": 0, "skipped": 0})
    counts.update(str(one["status"]) for one in rows)
    write_json(OUT / "summary.json", {"schema": 1, "complete": complete, **counts, "commands": rows})
    return counts["failed"]


def pages() -> list[Path]:
    """README and everything under docs/."""
    return [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if path.exists()]


def read_page(page: Path) -> list[DocCommand]:
    """The commands of a page."""
    commands: list[DocCommand] = []
    marker, inside, pending, start = "", False, "", 0
    for number, line in enumerate(page.read_text().splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("```"):
            inside = not inside and stripped == "```sh"
            if not inside:
                marker = ""
        elif inside:
            start = start if pending else number
            pending += stripped.removeprefix("$ ").removesuffix("\\")
            if stripped.endswith("\\"):
                continue
            if re.match(r"(make|chimney)\b", pending):
                commands.append(_command(page, start, pending.split("  #")[0].strip(), marker))
            pending = ""
        elif stripped:
            found = MARKER.search(stripped)
            marker = found.group(1) if found else ""
    return commands


def stale_output(command: DocCommand, log: Path) -> str:
    """Rows of the "real output" block behind a command that the command does not print; seconds are not compared."""
    if not (block := shown_output(command.page, command.text)):
        return ""
    printed = [row(line) for line in log.read_text(errors="replace").splitlines()]
    missing = [line.strip() for line in block if not any(map(pattern(line).fullmatch, printed))]
    return f"the page shows what the command does not print: {missing[0]}" if missing else ""


def shown_output(page: Path, command: str) -> list[str]:
    """Rows, sums and the head of a story between the comments `real output: COMMAND` and `real output: end`.

    A line `...` stands for lines that are left out, `...` in a line for a part of it.
    """
    begin = re.escape(f"<!-- real output: {command} -->")
    found = re.search(begin + r"(.*?)<!-- real output: end -->", page.read_text(), re.DOTALL)
    lines = found.group(1).splitlines() if found else []
    compared = [line for line in lines if line.startswith(COMPARED) and "seconds" not in line]
    return [line for line in compared if line.strip() != "..."]


def pattern(line: str) -> re.Pattern[str]:
    """What a printed row must be for a line of a page."""
    return re.compile(".*".join(re.escape(part) for part in row(line).split("...")))


def row(line: str) -> str:
    """A line without the table's frame and spaces."""
    return " ".join(line.replace("│", " ").split())


def _command(page: Path, line: int, text: str, marker: str) -> DocCommand:
    status, bound, skip = 0, BOUND, ""
    for word in filter(None, (part.strip() for part in marker.split(","))):
        if word.startswith("skip"):
            skip = word.removeprefix("skip").lstrip(": ") or "marked so"
        elif word == "slow":
            bound = SLOW_BOUND
        elif match := re.fullmatch(r"exit (\d+)", word):
            status = int(match.group(1))
        else:
            raise ValueError(f"{page}:{line}: no such docs-test marker: {word}")
    words = shlex.split(text)
    if len(words) > 1 and words[1] in NEVER:
        skip = "not from inside docs-test"
    return DocCommand(page, line, text, status, bound, skip)


def run(command: DocCommand, log: Path) -> tuple[str, float]:
    """What is wrong with a command (empty: nothing), and the seconds it took."""
    env = {name: value for name, value in os.environ.items() if name not in MAKE_INTERNALS}
    for name in re.findall(r"\b[A-Z_]+\b", (ROOT / "Makefile").read_text().split("\n\n")[0]):
        if name not in ("PATH", "PYTHON"):
            env.pop(name, None)
    env["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{env['PATH']}"  # for chimney
    started = time.monotonic()
    try:
        status = run_bounded(["sh", "-c", with_files(command.text)], cwd=ROOT, env=env, log=log, timeout=command.bound)
    except ProcessTimeoutError as error:
        return str(error), time.monotonic() - started
    problem = "" if status == command.status else f"ended with status {status}, not {command.status}"
    return problem, time.monotonic() - started


def with_files(text: str) -> str:
    """The command, its FILE= made if it does not exist."""
    words = shlex.split(text)
    for number, word in enumerate(words):
        name = word.removeprefix("FILE=")
        if word.startswith("FILE=") and not (ROOT / name).exists():
            OUT.mkdir(parents=True, exist_ok=True)
            path = OUT / Path(name).name
            path.write_bytes(random.Random(name).randbytes(FILE_BYTES))
            words[number] = f"FILE={path.relative_to(ROOT)}"
            return shlex.join(words)
    return text
