"""results.sqlite as a command opens it: a file that cannot be used is told before anything is run, as other bad input.

`make regress` keeps its jobs in one; `make bench` and `make bench-farm` keep what they measure in another.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tb.config import ROOT, ConfigError
from tb.farm.results import DamagedError, FigureRow, ResultsError, ResultsWriter
from tb.report.results import KEEP_APART


@contextlib.contextmanager
def writing(path: Path, command: str) -> Iterator[ResultsWriter]:
    """The one writer of ``path`` while ``command`` runs; ConfigError if it is damaged or somebody else writes it."""
    try:
        with ResultsWriter(path) as writer:
            yield writer
    except DamagedError as error:
        place = str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)
        raise ConfigError(str(error), place, f"{KEEP_APART}, then the same command begins a new one") from error
    except ResultsError as error:
        todo = "wait for it, or end it; if nobody uses it, see that it can be written"
        raise ConfigError(str(error), command, todo) from error


def keep_figures(
    writer: ResultsWriter, suite: str, commit_hash: str, seconds: float, figures: Mapping[str, object]
) -> None:
    """Write the numbers of one measurement as a run of their own; what is no number is left out.

    ``figures`` maps names to values; ``seconds`` is how long it took.
    """
    run = writer.begin(suite, commit_hash, datetime.now(UTC).isoformat(timespec="seconds"))
    for name, value in figures.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            writer.figure(run, FigureRow(name, value, ""))
    writer.finish(run, seconds=seconds, complete=True)
