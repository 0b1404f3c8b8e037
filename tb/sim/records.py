"""Reader of the recorder's file (tb/hdl/recorder.v), usable while the simulation still writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Record(NamedTuple):
    """One line: what it is (see the header of recorder.v), the clock cycle, the fields as numbers."""

    tag: str
    cycle: int
    fields: tuple[int, ...]

    @property
    def value(self) -> int:
        """The only field of the records that have one."""
        return self.fields[0]


class RecordError(Exception):
    """A line cannot be read; X in a record counts as that."""


def parse(line: str) -> Record:
    """One line as a record."""
    tag, cycle, *fields = line.split()
    try:
        return Record(tag, int(cycle), tuple([int(word, 16) for word in fields]))
    except ValueError:
        shown = line if len(line) < 200 else line[:200] + "..."
        raise RecordError(f"a record holds an unknown (x) value or is damaged: {shown.strip()}") from None


class RecordReader:
    """Follows the file: every call of `read` yields the records written since the last one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = None if not path.exists() else path.open(buffering=1 << 20)
        self._rest = ""
        self.count = 0

    def read(self) -> list[Record]:
        """All whole lines that are new; the recorder flushes in the cycle of a line, so nothing is missing."""
        if self._file is None:
            if not self._path.exists():
                return []
            self._file = self._path.open(buffering=1 << 20)
        text = self._file.read()
        if not text:
            return []
        lines = (self._rest + text).split("\n") if self._rest else text.split("\n")
        self._rest = lines.pop()
        records = [parse(line) for line in lines]
        self.count += len(records)
        return records

    def __iter__(self) -> Iterator[Record]:
        return iter(self.read())

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
