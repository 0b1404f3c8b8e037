"""`make docs-test`: every `make` or `chimney` command in the `sh` blocks of README.md and docs/, in a fresh clone.

The clone (tb/fresh_clone.py) lies below sim_build/docs-test/. Its pages are read, its commands run there one after the
other, the first of which makes `.venv`, as for a new user. It is deleted at the end unless a command failed.

A comment in the line before a block changes what is expected of its commands:

    <!-- docs-test: exit 3 -->          they end with this status
    <!-- docs-test: slow -->            they may take an hour instead of ten minutes
    <!-- docs-test: skip: reason -->    they are not run (a placeholder, something that needs a human)

`sed -i` and `git checkout` in such a block change the tree for the commands behind them on the page: they are run, too.
A page that changes a file says how to get it back.

Each page is a terminal of its own, opened in the clone: `.venv/bin` is not on its PATH. An `export` line of an `sh`
block holds for the commands behind it on that page: `chimney` is found only below `export PATH="$PWD/.venv/bin:$PATH"`.

A FILE= that does not exist stands for a file of the reader: it is made under sim_build/docs-test of the clone.
"""

from __future__ import annotations

import random
import re
import shlex
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError, RunConfig
from tb.files import shortened, shown, write_json
from tb.fresh_clone import FreshClone, environment_of, make_clone, without
from tb.progress import Meter
from tb.sim.process import ProcessTimeoutError, run_bounded

OUT = ROOT / "sim_build" / "docs-test"
BOUND, SLOW_BOUND = 600.0, 3600.0
#: Seconds more for a command that finds no .venv: it installs the packages first.
INSTALL_BOUND = 1200.0
#: Makes .venv where the first command is one of `chimney`, which lies in it.
INSTALL = "make list"
#: Bytes of a file that stands for the reader's.
FILE_BYTES = 64 << 10
#: Not run: this command itself, and what would delete the results of the others.
NEVER = ("docs-test", "clean")
#: How a line of a block begins that is run, and one that changes the tree for those behind it.
RUN = re.compile(r"(make|chimney|sed -i|git checkout)\b")
#: A line that the shell keeps for those behind it.
EXPORT = re.compile(r"export \w+=")
EDIT = re.compile(r"(sed -i|git checkout)\b")
MARKER = re.compile(r"<!--\s*docs-test:\s*(.*?)\s*-->")
#: How the lines of an output begin that a page and the command have in common; the others have paths and seconds.
COMPARED = ("  ", "sha256", "FAILED ", "first divergence: ")


@dataclass(frozen=True)
class DocCommand:
    """One command of a page: where it stands and what is expected of it. `skip` is the reason not to run it."""

    page: Path
    #: Page and line, for reports.
    where: str
    text: str
    status: int = 0
    bound: float = BOUND
    skip: str = ""
    #: How many edits of the tree stand before it on its page.
    edits: int = 0
    #: The `export` lines before it on its page.
    exports: tuple[str, ...] = ()

    @property
    def is_edit(self) -> bool:
        """Whether it changes the tree."""
        return EDIT.match(self.text) is not None

    @property
    def key(self) -> tuple[object, ...]:
        """What is run once: a command in one state of the tree; `chimney` also with each way to find it."""
        state = (self.page, self.edits) if self.edits or self.is_edit else ()
        return (self.text, *state, *(self.exports if self.text.startswith("chimney") else ()))


def main(config: RunConfig) -> int:
    """Run every command once, in a fresh clone; 1 if one does not end as its page says.

    summary.json has what came of each so far. A clone in which a command failed is kept.
    """
    clone = make_clone(ROOT, OUT)
    rows: list[dict[str, Any]] = []
    try:
        return try_pages(clone, config, rows)
    finally:
        if any(one["status"] == "failed" for one in rows):
            print(f"the clone is kept: {shown(clone.folder)}", flush=True)
        else:
            clone.remove()


def try_pages(clone: FreshClone, config: RunConfig, rows: list[dict[str, Any]]) -> int:
    """Run the commands of the clone's pages; `rows` gets what came of each."""
    root = clone.folder
    commands = [command for page in pages(root) for command in read_page(page, root)]
    if config.test:
        commands = chosen(commands, config.test)
    if not commands:
        todo = "give a part of one in a `sh` block of README.md or docs/, or a page"
        raise ConfigError("no command of the pages has this in it", f"TEST={config.test}", todo)
    print("\n".join(clone.first_lines(shown(root))), flush=True)
    seen: dict[tuple[object, ...], Path | None] = {}
    with Meter("docs-test", len({command.key for command in commands if not command.skip})) as meter:
        for number, command in enumerate(commands):
            if command.key in seen:  # it was run for another page, which may show other parts of what it printed
                before = seen[command.key]
                if before is not None and (problem := stale_output(command, before, root)):
                    rows.append(row_of(command, "failed", 0.0, problem, before))
                    print(f"FAIL  {command.where}: {command.text}\n      {problem}; its output is {before}", flush=True)
                continue
            seen[command.key] = None
            if command.skip:
                print(f"skip  {command.where}: {command.text} ({command.skip})", flush=True)
                rows.append(row_of(command, "skipped", 0.0, command.skip))
                continue
            log = seen[command.key] = OUT / f"{number:03d}.log"
            with meter.part(shortened(command.text, 60)):
                problem, seconds = run(command, log, root)
            problem = problem or stale_output(command, log, root)
            rows.append(row_of(command, "failed" if problem else "passed", seconds, problem, log))
            write_summary(rows, clone, complete=False)
            print(f"{'FAIL' if problem else 'ok  '}  {command.where}: {command.text} ({seconds:.1f} s)", flush=True)
            if problem:
                print(f"      {problem}; its output is {log}", flush=True)
    failed = write_summary(rows, clone, complete=True)
    print(f"{len(seen)} different commands, {failed} failed")
    return 1 if failed else 0


def chosen(commands: list[DocCommand], part: str) -> list[DocCommand]:
    """The commands with this part in the text or in page and line, and what edits the tree on their pages for them."""
    found = [command for command in commands if part in command.text or part in command.where]
    edited = {command.page for command in found if command.edits}
    return [command for command in commands if command in found or (command.is_edit and command.page in edited)]


def row_of(command: DocCommand, status: str, seconds: float, problem: str, log: Path | None = None) -> dict[str, Any]:
    """What came of a command; ``problem`` of a skipped one is the reason not to run it."""
    return {
        "where": command.where, "command": command.text, "status": status, "seconds": round(seconds, 1),
        "problem": problem, "log": None if log is None else shown(log),
    }  # fmt: skip


def write_summary(rows: list[dict[str, Any]], clone: FreshClone, *, complete: bool) -> int:
    """Write summary.json; how many commands failed. `clone` is the folder that is kept, null if none is."""
    counts = Counter({"passed": 0, "failed": 0, "skipped": 0})
    counts.update(str(one["status"]) for one in rows)
    made_of = {
        "commit": clone.commit, "uncommitted": list(clone.uncommitted), "untracked": list(clone.untracked),
        "clone": shown(clone.folder) if counts["failed"] else None,
    }  # fmt: skip
    write_json(OUT / "summary.json", {"schema": 1, "complete": complete, **made_of, **counts, "commands": rows})
    return counts["failed"]


def pages(root: Path) -> list[Path]:
    """README and everything under docs/ of a tree."""
    return [path for path in (root / "README.md", *sorted((root / "docs").rglob("*.md"))) if path.exists()]


def read_page(page: Path, root: Path) -> list[DocCommand]:
    """The commands of a page of a tree."""
    commands: list[DocCommand] = []
    exports: tuple[str, ...] = ()
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
            text = pending.split("  #")[0].strip()
            if EXPORT.match(text):
                exports += (text,)
            if RUN.match(text):
                where = f"{page.relative_to(root)}:{start}"
                edits = sum(command.is_edit for command in commands)
                commands.append(replace(_command(page, where, text, marker), edits=edits, exports=exports))
            pending = ""
        elif stripped:
            found = MARKER.search(stripped)
            marker = found.group(1) if found else ""
    return commands


def stale_output(command: DocCommand, log: Path, root: Path) -> str:
    """Rows of the "real output" block behind a command that the command does not print; seconds are not compared.

    What is printed behind an edit of the tree is not compared: the page shows a command in the tree as it is.
    A path in the tree `root` counts as it was printed, and as one below the root.
    """
    if command.edits or not (block := shown_output(command.page, command.text)):
        return ""
    text = log.read_text(errors="replace")
    printed = [row(line) for line in (*text.splitlines(), *text.replace(f"{root}/", "").splitlines())]
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


def _command(page: Path, where: str, text: str, marker: str) -> DocCommand:
    status, bound, skip = 0, BOUND, ""
    wishes, skipped, reason = marker.partition("skip")
    if skipped:  # the last one: its reason may have commas
        skip = reason.lstrip(": ") or "marked so"
    for word in filter(None, (part.strip() for part in wishes.split(","))):
        if word == "slow":
            bound = SLOW_BOUND
        elif match := re.fullmatch(r"exit (\d+)", word):
            status = int(match.group(1))
        else:
            raise ConfigError("no such docs-test marker", f"{where}: {word}", "give exit N, slow or skip: REASON")
    words = shlex.split(text)
    if len(words) > 1 and words[1] in NEVER:
        skip = "not from inside docs-test"
    return DocCommand(page, where, text, status, bound, skip)


def run(command: DocCommand, log: Path, root: Path) -> tuple[str, float]:
    """What is wrong with a command in the tree `root` (empty: nothing), and the seconds it took."""
    variables = re.findall(r"\b[A-Z_]+\b", (root / "Makefile").read_text().split("\n\n")[0])
    env = without(environment_of(root, ROOT), [name for name in variables if name not in ("PATH", "PYTHON")])
    text, bound = with_files(command.text, root), command.bound
    if not (root / ".venv" / "bin" / "chimney").exists():
        bound += INSTALL_BOUND
        if text.startswith("chimney"):
            text = f"{INSTALL} >/dev/null && {text}"
    text = "\n".join((*command.exports, text))
    started = time.monotonic()
    try:
        status = run_bounded(["sh", "-c", text], cwd=root, env=env, log=log, timeout=bound)
    except ProcessTimeoutError as error:
        return str(error), time.monotonic() - started
    problem = "" if status == command.status else f"ended with status {status}, not {command.status}"
    return problem, time.monotonic() - started


def with_files(text: str, root: Path) -> str:
    """The command, its FILE= made if the tree `root` does not have it."""
    words = shlex.split(text)
    for number, word in enumerate(words):
        name = word.removeprefix("FILE=")
        if word.startswith("FILE=") and not (root / name).exists():
            path = root / "sim_build" / "docs-test" / Path(name).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(random.Random(name).randbytes(FILE_BYTES))
            words[number] = f"FILE={path.relative_to(root)}"
            return shlex.join(words)
    return text
