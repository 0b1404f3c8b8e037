"""`make nightly [ID=...] [VECTORS=...]`: every number of tb/nightly/nightly.toml, one after the other.

Each entry is a process of its own with a bound in time. An entry that fails does not stop the others. What has ended
stands in sim_build/nightly/summary.json at any time: {schema, complete, seconds, entries [{name, command, status,
seconds, problems}]}; status is passed, failed or not_run. Beside it each entry has a folder with its output (log) and
a copy of the result file that was judged, since a later entry may write the same file.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tb.config import ROOT, RunConfig
from tb.files import write_json
from tb.nightly.entries import Entry, chosen, load
from tb.progress import Meter, duration
from tb.sim.process import ProcessTimeoutError, run_bounded
from tb.sim.tools import MAKE_INTERNALS

OUT = ROOT / "sim_build" / "nightly"
PROGRAM = (sys.executable, "-m", "tb")
#: Seconds between two plain lines while an entry runs: a night is long.
PLAIN = 60.0
#: Last lines of a failed entry's output that are shown.
SHOWN = 12


@dataclass(frozen=True)
class Verdict:
    """What became of an entry; `seconds` of wall clock."""

    name: str
    command: str
    status: str
    seconds: float
    problems: tuple[str, ...] = ()


def main(config: RunConfig) -> int:
    """Run what ID= selects; 1 if anything failed or nothing passed."""
    return Nightly(chosen(load(), config.sabotage_id), config).run()


class Nightly:
    """One call: the entries, the program that takes their commands, the folder it runs in, where results go."""

    def __init__(
        self, entries: Sequence[Entry], config: RunConfig, *, program: Sequence[str] = PROGRAM, root: Path = ROOT,
        out: Path = OUT,
    ) -> None:  # fmt: skip
        self._entries = entries
        self._config = config
        self._program = tuple(program)
        self._root = root
        self._out = out
        self._verdicts: list[Verdict] = []
        self._started = time.monotonic()

    def run(self) -> int:
        """All of it; the exit status. Ctrl-C goes on to the caller, what had ended is written by then."""
        self._out.mkdir(parents=True, exist_ok=True)
        self._write()
        with Meter("nightly", len(self._entries), plain=PLAIN) as meter:
            for entry in self._entries:
                print(f"begin {entry.name}: {shown(entry)}", flush=True)
                self._take(meter.around(entry.name, self._run)(entry))
        self._write()
        count = {status: self._of(status) for status in ("passed", "failed", "not_run")}
        for one in count["not_run"]:
            print(f"not run: {one.name}: {one.problems[0]}")
        print(f"results: {self._out / 'summary.json'}; {duration(time.monotonic() - self._started)}")
        tail = f", {len(count['not_run'])} not run" if count["not_run"] else ""
        print(f"{len(count['passed'])} passed, {len(count['failed'])} failed{tail}")
        return 1 if count["failed"] or not count["passed"] else 0

    def _of(self, status: str) -> list[Verdict]:
        return [verdict for verdict in self._verdicts if verdict.status == status]

    def _take(self, verdict: Verdict) -> None:
        self._verdicts.append(verdict)
        self._write()
        word = {"passed": "pass", "failed": "FAIL", "not_run": "skip"}[verdict.status]
        print(f"{word}  {verdict.name}: {duration(verdict.seconds)}", *verdict.problems, sep="\n      ", flush=True)
        if verdict.status == "failed":
            log = self._out / verdict.name / "log"
            lines = log.read_text(errors="replace").splitlines()[-SHOWN:] if log.exists() else []
            print(*(f"      | {line}" for line in lines), f"      again: {verdict.command}", sep="\n", flush=True)

    def _run(self, entry: Entry) -> Verdict:
        """One entry in a process of its own."""
        words = entry.words(self._config)
        if words is None:
            return Verdict(entry.name, shown(entry), "not_run", 0.0, ("VECTORS= is not given",))
        folder = self._out / entry.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        env = {name: value for name, value in os.environ.items() if name not in MAKE_INTERNALS}
        before, started = self._state(entry), time.monotonic()
        problems: list[str] = []
        try:
            status = run_bounded(
                [*self._program, *words], cwd=self._root, env=env, log=folder / "log", timeout=entry.bound
            )
            problems += [f"ended with status {status}"] if status else []
        except ProcessTimeoutError:
            problems.append(f"was ended after its bound of {entry.bound:g} s")
        seconds = time.monotonic() - started
        problems += self._judge(entry, folder, before)
        return Verdict(entry.name, shown(entry), "failed" if problems else "passed", round(seconds, 1), tuple(problems))

    def _state(self, entry: Entry) -> tuple[int, int] | None:
        """What tells one version of the result file from the next."""
        file = self._root / entry.result
        if not entry.result or not file.exists():
            return None
        found = file.stat()
        return found.st_mtime_ns, found.st_ino

    def _judge(self, entry: Entry, folder: Path, before: tuple[int, int] | None) -> list[str]:
        """What the result file has against the figures; one that an earlier call left is none."""
        if not entry.result:
            return []
        if self._state(entry) in (None, before):
            return [f"{entry.result}: the command did not write it"]
        file = self._root / entry.result
        shutil.copyfile(file, folder / "result.json")
        try:
            document = json.loads(file.read_text())
        except ValueError as error:
            return [f"{entry.result} is not JSON: {error}"]
        return [f"{entry.result}: {problem}" for figure in entry.figures for problem in figure.problems(document)]

    def _write(self) -> None:
        """summary.json as it is now."""
        summary = {
            "schema": 1,
            "complete": len(self._verdicts) == len(self._entries),
            "seconds": round(time.monotonic() - self._started, 1),
            "entries": [asdict(verdict) for verdict in self._verdicts],
        }
        write_json(self._out / "summary.json", summary)


def shown(entry: Entry) -> str:
    """The command as the reader would type it."""
    return f"chimney {entry.command}"
