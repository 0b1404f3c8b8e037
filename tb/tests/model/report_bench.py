"""Folders to report: a traced session on the golden device, a regression of many jobs with hostile names."""

from __future__ import annotations

import gzip
import json
import random
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tb.config import ROOT
from tb.lockstep.trace import TRACE_NAME

SCHEMA = """
CREATE TABLE run(id INTEGER PRIMARY KEY, suite TEXT, commit_hash TEXT, started TEXT, seconds REAL, complete INTEGER);
CREATE TABLE job(run INTEGER, id TEXT, suite TEXT, test TEXT, simulator TEXT, width INTEGER, seed INTEGER, status TEXT,
  cause TEXT, attempts INTEGER, seconds REAL, folder TEXT, failure_key TEXT, title TEXT, replay TEXT,
  PRIMARY KEY(run, id));
CREATE TABLE figure(run INTEGER, name TEXT, value REAL, unit TEXT);
"""
#: What would break out of a page that escapes badly.
HOSTILE = (
    "</script><script>window.owned=1</script>",
    '"><img src=x onerror=window.owned=1>',
    "'; touch owned; ' <b>$(touch owned)</b> &lt;i&gt;",
    "<!--<script>\u2028]]>\x07\ud800 javascript:window.owned=1",
)
#: Failed jobs of each bucket; the first one of the first TRACED buckets has a trace.
FAILED = (17, 9, 6, 4, 3, 2, 1)
TRACED = 3
LOST, NOT_RUN, RETRIED = 2, 5, 11


@lru_cache
def session(folder: str) -> Path:
    """A session on the golden device over a lossy network, with its trace; the folder that it left."""
    out = Path(folder) / "session"
    words = ["run", "--device", "model", "--size", "32K", "--seed", "2", "--loss", "0.06", "--trace", "--out", str(out)]
    done = subprocess.run([sys.executable, "-m", "tb", *words], cwd=ROOT, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return out


@lru_cache
def lines_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of the trace of a folder."""
    return [json.loads(text) for text in gzip.decompress((folder / TRACE_NAME).read_bytes()).splitlines()]


def middle(folder: Path) -> int:
    """A cycle in the middle of a session."""
    cycles = [line["cycle"] for line in lines_of(folder) if "cycle" in line]
    return int(cycles[len(cycles) // 2])


@dataclass(frozen=True)
class Regression:
    """A regression of `jobs` jobs below `folder`; `build` has the files of other commands, as large as ours."""

    folder: Path
    build: Path
    jobs: int


def record(number: int, cycle: int) -> dict[str, Any]:
    """A failure.json as a failed simulation leaves it, with names of every evil kind."""
    evil = HOSTILE[number % len(HOSTILE)]
    return {
        "schema": 1, "key": f"check 1/tcp_engine/tcb.cwnd/{number}{evil}", "title": f"cwnd is wrong {number} {evil}",
        "must_hold": f"a partial ACK deflates cwnd {evil}", "rule": "F-2", "reference": "RFC 6582 3.2", "check": 1,
        "cycle": cycle, "marker_time": 10_000 * cycle, "connection": 0, "expected": evil, "got": "2896",
        "last_events": [f"{cycle - at} segment {at} {evil}" for at in range(8)],
        "commands": {"replay": f"chimney replay job-{number}", "waves": None, "report": None},
    }  # fmt: skip


def regression(top: Path, traced: Path, jobs: int = 1000) -> Regression:
    """Write it; jobs with a trace have a folder with that of `traced`."""
    folder, build = top / "latest", top / "build"
    folder.mkdir(parents=True)
    database = sqlite3.connect(folder / "results.sqlite")
    database.executescript(SCHEMA)
    for run in range(1, 31):
        stamp = f"2026-11-{run:02d}T02:00:00"
        database.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, 1)", (run, "nightly", f"{run:040x}", stamp, 3600.0))
        for name in ("functional bins", "cycles per second", HOSTILE[1]):
            database.execute("INSERT INTO figure VALUES (?, ?, ?, ?)", (run, name, 90 + run / 10, "%"))
    rows = list(_jobs(folder, traced, jobs))
    database.executemany("INSERT INTO job VALUES (30, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    database.execute("INSERT INTO job SELECT 29, id, suite, test, simulator, width, seed, 'failed', NULL, 1, 1, NULL, "
                     "'of the run before', 'old', NULL FROM job LIMIT 5")  # fmt: skip
    database.commit()
    database.close()
    _artifacts(build)
    return Regression(folder, build, jobs)


def _jobs(folder: Path, traced: Path, jobs: int) -> Any:
    cycle, number = middle(traced), 0
    for bucket, count in enumerate(FAILED):
        for at in range(count):
            place = folder / f"jobs {number}"
            place.mkdir()
            (place / "config.json").write_text('{"device": "rtl", "seed": 1}')
            (place / "failure.json").write_text(json.dumps(record(bucket, cycle)))
            if at == 0 and bucket < TRACED:
                shutil.copy(traced / TRACE_NAME, place / TRACE_NAME)
            name = f"transfer_{bucket}{HOSTILE[bucket % len(HOSTILE)].encode('utf-8', 'replace').decode()}"
            facts = record(bucket, cycle)
            yield (
                f"{name}[icarus-64]-s{at}", "nightly", name, "icarus", 64, at, "failed", None, 1, 10.0 + at, str(place),
                _clean(facts["key"]), _clean(facts["title"]), f"chimney replay 'job {number}'",
            )  # fmt: skip
            number += 1
    for at in range(number, jobs):
        status = "lost" if at < number + LOST else "not_run" if at < number + LOST + NOT_RUN else "passed"
        cause = "the worker was killed" if status == "lost" else "out of time" if status == "not_run" else None
        attempts = 2 if jobs - at <= RETRIED else 1
        place = folder / "passed"
        if at == jobs - 1:
            place.mkdir()
            shutil.copy(traced / TRACE_NAME, place / TRACE_NAME)
        yield (
            f"session_{at % 40}[verilator-512]-s{at}", "nightly", f"session_{at % 40}", "verilator", 512, at, status,
            cause, attempts, 12.0, str(place) if at == jobs - 1 else None, None, None, None,
        )  # fmt: skip


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()  # SQLite holds no halves of surrogate pairs


#: The plan of ours: so many rules and tests; a rule has 301 tests on average, a name 79 characters.
RULES, TESTS = 303, 933


def plan_tests() -> list[str]:
    """The names of the plan's tests, as many and as long as ours."""
    names = (f"scenes-of_a_group/{number:04d}_it_holds_what_is_said_of_it_{HOSTILE[1]}" for number in range(TESTS))
    return [f"{name}[verilator]"[:79] for name in names]


def _artifacts(build: Path) -> None:
    names = plan_tests()
    rules = [
        {
            "id": f"CH-{number:03d}", "where": "hdl", "status": "fail" if number == 7 else "pass",
            "reason": HOSTILE[0] if number == 7 else "", "sabotages": [f"contract-ch{number}"],
            "triggers": {"golden": 3, "verilator": 2, "icarus": 1},
            "tests": sorted(random.Random(number).sample(names, 2 * number)),
        }
        for number in range(1, RULES + 1)
    ]  # fmt: skip
    bins = [
        {
            "group": f"group {number % 12}", "name": f"bin {number} {HOSTILE[number % 2] if number < 50 else ''}",
            "hit": number >= 90,
            "first_hit_by": f"transfer {HOSTILE[0] if number < 200 else ''}" if number >= 90 else None,
            "seed": number, "excluded": 80 <= number < 90, "reason": HOSTILE[1] if 80 <= number < 90 else None,
        }
        for number in range(9000)
    ]  # fmt: skip
    share = {"hit": 970, "total": 1000, "excluded": 10}
    coverage = {"line": share, "branch": share, "expression": share, "toggle": 91.5,
                "functional": {"hit": 8910, "total": 9000, "excluded": 10, "impossible": 7041,
                               "groups": {"group 1": {"impossible": 6999}, "group 2": {"impossible": 42}}},
                "bins": bins, "impossible": [{"group": "group 1", "bins": 6999, "reason": HOSTILE[0]}]}  # fmt: skip
    sabotages = [
        {
            "id": f"sabotage-{number}", "rule": HOSTILE[number % 4], "caught": number != 3, "by_check": 1,
            "by_field": "tcb.cwnd", "test": "newreno", "file": "hdl/engine/congestion.v",
        }
        for number in range(130)
    ]  # fmt: skip
    for name, value in {
        "plan/plan.json": {"rules": rules}, "coverage/summary.json": coverage, "sabotage/summary.json": sabotages,
        "bench/bench.json": {"tx_bus_share_512": 0.95, HOSTILE[1]: 7, "config": {}},
    }.items():  # fmt: skip
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        (build / name).write_text(json.dumps(value))
