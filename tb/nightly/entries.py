"""The list of acceptance numbers, tb/nightly/nightly.toml: read, checked, and chosen from."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tb.config import ROOT, ConfigError, RunConfig
from tb.nightly.figures import Figure, FigureError

LIST = ROOT / "tb" / "nightly" / "nightly.toml"
KEYS = {"name", "command", "bound", "result", "figures"}
#: What stands in a command for the file of VECTORS=.
VECTORS = "{VECTORS}"


@dataclass(frozen=True)
class Entry:
    """One number to hold: a command of `chimney` with its options, and what must stand in its result file.

    `bound` is in seconds. `result` is the file that the command writes, below the root; empty where the exit status
    says everything.
    """

    name: str
    command: str
    bound: float
    result: str = ""
    figures: tuple[Figure, ...] = ()

    def words(self, config: RunConfig) -> list[str] | None:
        """The command as the program takes it; None if it needs VECTORS and that was not given."""
        words = shlex.split(self.command)
        if VECTORS not in words:
            return words
        if config.vectors is None:
            return None
        return [str(config.vectors) if word == VECTORS else word for word in words]


def load(path: Path = LIST) -> tuple[Entry, ...]:
    """All entries in their order; ConfigError if the list is wrong."""
    entries: list[Entry] = []
    for row in tomllib.loads(path.read_text()).get("entry", []):
        where = f"{path.name}, entry {row.get('name', len(entries) + 1)}"
        if unknown := set(row) - KEYS:
            raise ConfigError(f"no such key: {', '.join(sorted(unknown))}", where, f"use {', '.join(sorted(KEYS))}")
        if missing := {"name", "command", "bound"} - set(row):
            raise ConfigError(f"a key is missing: {', '.join(sorted(missing))}", where, "add it")
        if row["name"] in [entry.name for entry in entries]:
            raise ConfigError("the name is there twice", where, "give each entry a name of its own")
        if row["bound"] <= 0 or (row.get("figures") and not row.get("result")):
            raise ConfigError("a bound above 0 s, and a result file for figures, are needed", where, "add them")
        try:
            figures = tuple(Figure.parse(text) for text in row.get("figures", []))
        except FigureError as error:
            raise ConfigError(str(error), where, "correct the figure") from error
        entries.append(Entry(row["name"], row["command"], float(row["bound"]), row.get("result", ""), figures))
    if not entries:
        raise ConfigError("the list has no entry", path.name, "add [[entry]]")
    return tuple(entries)


def chosen(entries: Sequence[Entry], wish: str | None) -> list[Entry]:
    """The entries that ID= means, names or patterns with blanks between, in the order of the list; without it all."""
    if wish is None:
        return list(entries)
    for word in wish.split():
        if not any(fnmatch(entry.name, word) for entry in entries):
            names = ", ".join(entry.name for entry in entries)
            raise ConfigError("there is no such entry of the nightly list", f"ID={word}", f"give some of {names}")
    return [entry for entry in entries if any(fnmatch(entry.name, word) for word in wish.split())]
