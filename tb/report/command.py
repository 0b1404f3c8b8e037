"""`chimney report [FOLDER]`: read what a run or a regression left, and write FOLDER/report.html (docs/report.md)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError, RunConfig
from tb.files import shown, write_whole
from tb.folders import here, typed
from tb.progress import alone
from tb.report.artifacts import BUILD, gather, made_by
from tb.report.buckets import Bucket, buckets, table
from tb.report.page import page
from tb.report.results import DATABASE_NAME, JUNIT_NAME, SUMMARY_NAME, Results, read
from tb.report.sections import counts
from tb.report.traces import Chosen, choose

REPORT_NAME = "report.html"
#: What a call without a folder reports: the newest of these.
DEFAULTS = (
    BUILD / "regress" / "latest" / DATABASE_NAME, BUILD / "test" / JUNIT_NAME, BUILD / "run" / SUMMARY_NAME,
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """A report that was written."""

    path: Path
    bytes: int
    results: Results
    buckets: tuple[Bucket, ...]
    traces: Chosen
    #: Files of other commands that are there and cannot be used.
    damaged: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What the reader has to know of what the page lacks."""
        lost = [f"{file} is damaged and left out of the report; {made_by(file)} makes it anew" for file in self.damaged]
        return [*lost, *self.traces.notes]


def write_report(folder: Path, *, build: Path = BUILD, out: Path | None = None) -> Written:
    """Write the report of a folder, by default into it; ConfigError if the folder has no results."""
    results = read(folder)
    if not results.jobs:
        raise ConfigError(
            "the results in this folder have no test", f"FOLDER={folder}", "run it again, or give another folder"
        )
    found = buckets(results.jobs)
    chosen = choose(found, results.jobs)
    artifacts = gather(build)
    text = page(results, found, chosen, artifacts).encode()
    path = out or folder / REPORT_NAME
    try:
        write_whole(path, text)
    except OSError as error:
        raise ConfigError(
            f"the report cannot be written ({error.strerror})", str(path), "make the folder writable"
        ) from error
    return Written(path, len(text), results, found, chosen, artifacts.damaged)


def newest() -> Path:
    """The folder of the newest results; ConfigError if there are none."""
    there = [path for path in DEFAULTS if path.exists()]
    if not there:
        raise ConfigError(
            "there are no results yet", f"FOLDER={shown(ROOT / 'sim_build')}",
            "run `make run`, `make test` or `make regress` first, or give a folder",
        )  # fmt: skip
    return max(there, key=lambda path: path.stat().st_mtime).parent


def result(config: RunConfig) -> tuple[int, dict[str, Any]]:
    """Write the report and say where it is; exit status 0 once it is written, whatever it says."""
    folder = config.folder or newest()
    with alone("report", shown(folder)):
        written = write_report(folder)
    number = counts(written.results.jobs)
    by_status = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in number.items() if count)
    print(f"{len(written.results.jobs)} jobs: {by_status}")
    for line in table(written.buckets):
        print(here(line))
    for line in written.notes:
        print(f"note: {here(line)}")
    print(f"report: {typed(written.path)}, {written.bytes:,} bytes")
    document = {
        "report": shown(written.path),
        "bytes": written.bytes,
        "jobs": {"total": len(written.results.jobs), **number},
        "buckets": [
            {"key": one.key, "title": one.title, "count": len(one.jobs), "seeds": one.seeds, "replay": one.replay}
            for one in written.buckets
        ],
        "traces": [one.job.id for one in written.traces.shown],
        "notes": written.notes,
    }
    return 0, document


def main(config: RunConfig) -> int:
    """Exit status: 0 the report is written; a folder without results raises."""
    return result(config)[0]
