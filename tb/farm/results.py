"""results.sqlite: every regression of this tree and each of its jobs, for the report, the plan and the trend.

One process writes (a lock beside the file says so); any number read meanwhile, since the file is in WAL mode. WAL needs
shared memory, so readers are on the machine of the writer; when the writer has closed it, it is one plain file.

* `run(id, suite, commit_hash, started, seconds, complete)`: one row a regression. `started` is ISO 8601 in UTC;
  `complete` is 1 when every job that was selected has ended.
* `job(run, id, suite, test, simulator, width, seed, status, cause, attempts, seconds, folder, failure_key, title,
  replay)`: one row a job, written once, when it ends. `status`: passed, failed, lost (the farm could not bring it to
  its end) or not_run (time was over, an interrupt, something is not installed); `cause`: why it was handed out again,
  or was not run. `width` in bits, `seconds` of wall clock. `failure_key` and `title` are those of the failure record.
* `figure(run, name, value, unit)`: numbers of a whole run.

`make bench` and `make bench-farm` keep what they measure in a file of the same form, `sim_build/bench/results.sqlite`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import sqlite3
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from tb.files import shortened
from tb.kinds import fits

#: Where `make bench` and `make bench-farm` keep their figures, below sim_build/bench.
HISTORY_NAME = "results.sqlite"
STATUSES = ("passed", "failed", "lost", "not_run")
#: Those that a resumed regression tries again.
OPEN_STATUSES = ("lost", "not_run")
#: Causes of a whole run: TIME, and Ctrl-C or the end of the command.
TIME_OVER, INTERRUPTED = "time is over", "interrupted"
#: Seconds that a statement waits for another process.
BUSY = 30.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS run(
  id INTEGER PRIMARY KEY, suite TEXT, commit_hash TEXT, started TEXT, seconds REAL, complete INTEGER);
CREATE TABLE IF NOT EXISTS job(
  run INTEGER, id TEXT, suite TEXT, test TEXT, simulator TEXT, width INTEGER, seed INTEGER, status TEXT, cause TEXT,
  attempts INTEGER, seconds REAL, folder TEXT, failure_key TEXT, title TEXT, replay TEXT, PRIMARY KEY(run, id));
CREATE TABLE IF NOT EXISTS figure(run INTEGER, name TEXT, value REAL, unit TEXT);
"""


T = TypeVar("T")


class ResultsError(Exception):
    """The results cannot be written so: somebody else writes them, or a job would end twice."""


class DamagedError(ResultsError):
    """The file is no database, or a broken one, or a row of it is none of ours."""


@dataclass(frozen=True)
class RunRow:
    """A regression, or another run that is reported; `started` may be empty, `seconds` is how long it took."""

    id: int = 1
    suite: str = ""
    commit_hash: str = ""
    started: str = ""
    seconds: float = 0.0
    complete: bool = True


@dataclass(frozen=True)
class JobRow:
    """A job of a regression; `width` in bits, `seconds` of wall clock, `folder` as the user would type it."""

    id: str
    suite: str
    test: str
    simulator: str
    width: int
    seed: int
    status: str
    cause: str | None = None
    attempts: int = 0
    seconds: float = 0.0
    folder: str | None = None
    failure_key: str | None = None
    title: str | None = None
    replay: str | None = None


@dataclass(frozen=True)
class FigureRow:
    """A number of a whole run."""

    name: str
    value: float
    unit: str


JOB_COLUMNS = tuple(one.name for one in dataclasses.fields(JobRow))


@functools.cache
def columns_of(kind: type[Any]) -> dict[str, tuple[Any, bool]]:
    """The columns that a value object (a dataclass) knows: the type of each, and whether it must be there."""
    types = typing.get_type_hints(kind)
    return {one.name: (types[one.name], one.default is dataclasses.MISSING) for one in dataclasses.fields(kind)}


def made(kind: type[T], row: Mapping[str, Any]) -> T:
    """A value object (a dataclass) of the columns that it knows; NULL is its default.

    DamagedError if a column is of another type or missing, or a status is none.
    """
    known = columns_of(kind)  # type: ignore[arg-type]
    table = kind.__name__.removesuffix("Row").lower()
    given = {name: value for name, value in row.items() if name in known and value is not None}
    for name, (wanted, needed) in known.items():
        if name not in given and (needed or name == "status"):
            raise DamagedError(f"a row of {table} is damaged: it has no {name}")
        if name in given and not fits(given[name], wanted):
            raise DamagedError(f"a row of {table} is damaged: its {name} is {shortened(repr(given[name]), 40)}")
    if given.get("status", STATUSES[0]) not in STATUSES:
        raise DamagedError(f"a row of {table} is damaged: there is no status {shortened(repr(given['status']), 40)}")
    return kind(**given)


class ResultsWriter:
    """The one writer of a file, as a context; each call is a transaction of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: IO[str] | None = None
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self._path.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise ResultsError(f"another command writes {self._path}") from None
        try:
            self._open()
        except sqlite3.Error as error:
            self.__exit__(type(error), error, None)
            if isinstance(error, sqlite3.OperationalError):  # locked, not to be written
                raise ResultsError(f"{self._path} cannot be written ({error})") from error
            raise DamagedError(f"{self._path} cannot be used ({error})") from error
        return self

    def _open(self) -> None:
        """Open the file; sqlite3.Error if it is no whole database or cannot be written."""
        self._database = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None)
        found = self._database.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(" ".join(found.split()))
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(SCHEMA)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.DatabaseError):  # a reader is at it: the log stays, nothing is lost
                self._database.execute("PRAGMA busy_timeout = 1000")
                self._database.execute("PRAGMA journal_mode = DELETE")
            self._database.close()
        if self._lock is not None:
            self._lock.close()

    @property
    def database(self) -> sqlite3.Connection:
        """The open file."""
        if self._database is None:
            raise ResultsError("the results are not open")
        return self._database

    def begin(self, suite: str, commit_hash: str, started: str) -> int:
        """A new run; its number."""
        cursor = self.database.execute(
            "INSERT INTO run(suite, commit_hash, started, seconds, complete) VALUES (?, ?, ?, 0, 0)",
            (suite, commit_hash, started),
        )
        assert cursor.lastrowid is not None  # noqa: S101 - of an INSERT
        return cursor.lastrowid

    def resume(self, run: int) -> None:
        """Go on with a run: what did not end in it is forgotten."""
        marks = ",".join("?" * len(OPEN_STATUSES))
        self.database.execute(f"DELETE FROM job WHERE run = ? AND status IN ({marks})", (run, *OPEN_STATUSES))  # noqa: S608
        self.database.execute("DELETE FROM figure WHERE run = ?", (run,))
        self.database.execute("UPDATE run SET complete = 0 WHERE id = ?", (run,))

    def add(self, run: int, job: JobRow) -> None:
        """A job has ended; ResultsError if it had ended before."""
        if job.status not in STATUSES:
            raise ResultsError(f"{job.id}: no such status: {job.status}")
        columns = ("run", *JOB_COLUMNS)
        marks = ",".join("?" * len(columns))
        try:
            self.database.execute(
                f"INSERT INTO job({','.join(columns)}) VALUES ({marks})",  # noqa: S608 - names of our own
                (run, *dataclasses.astuple(job)),
            )
        except sqlite3.IntegrityError:
            raise ResultsError(f"{job.id} ended twice in run {run}") from None

    def figure(self, run: int, figure: FigureRow) -> None:
        """A number of the whole run."""
        self.database.execute("INSERT INTO figure VALUES (?, ?, ?, ?)", (run, *dataclasses.astuple(figure)))

    def finish(self, run: int, *, seconds: float, complete: bool) -> None:
        """The run is over, for now."""
        self.database.execute(
            "UPDATE run SET seconds = ?, complete = ? WHERE id = ?", (round(seconds, 3), int(complete), run)
        )


class ResultsReader:
    """Reads a file of results, also while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self._path.exists():
            raise ResultsError(f"there are no results: {self._path}")
        database = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY)
        try:
            yield database
        finally:
            database.close()

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """The rows of a query, each by the names of its columns; sqlite3.Error if the file cannot be read so."""
        with self._open() as database:
            cursor = database.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def runs(self) -> tuple[RunRow, ...]:
        """All runs, the oldest first."""
        rows = self.rows("SELECT * FROM run ORDER BY id")
        flags = {None: False, 0: False, 1: True}
        return tuple(
            made(RunRow, row | {"complete": flags.get(row.get("complete"), row.get("complete"))}) for row in rows
        )

    def jobs(self, run: int) -> tuple[JobRow, ...]:
        """The jobs of a run, by name."""
        return tuple(made(JobRow, row) for row in self.rows("SELECT * FROM job WHERE run = ? ORDER BY id", run))

    def figures(self, run: int) -> tuple[FigureRow, ...]:
        """The numbers of a run."""
        return tuple(made(FigureRow, row) for row in self.rows("SELECT * FROM figure WHERE run = ? ORDER BY name", run))
