"""Result folders: who writes in one, what is read from a damaged one, how it is typed from where the user stands."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tb.commands import COMMANDS
from tb.config import ROOT, ConfigError
from tb.sim.process import handed_on

#: Held by the run or the replay that writes in a folder and by the programs that it started there, and by nobody once
#: their processes have ended, however.
LOCK_NAME = ".chimney.lock"
#: By one of these a folder is known as that of a run.
OWN_NAMES = (LOCK_NAME, "summary.json", "again.json", "job.json")


# ---- writing ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def claimed(folder: Path, where: str, todo: str) -> Iterator[None]:
    """Be the only one that writes in a folder; ConfigError, with this to do, if another process does."""
    try:
        opened = (folder / LOCK_NAME).open("a+")
    except OSError as error:
        raise ConfigError(f"this folder cannot be written in ({error.strerror})", where, "make it writable") from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            writer = file.read().strip()
            by = f" ({named(writer)})" if writer else ""
            raise ConfigError(f"another run is writing in this folder{by}", where, todo) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        handed_on.add(file.fileno())
        try:
            yield
        finally:
            handed_on.discard(file.fileno())
            fcntl.flock(file, fcntl.LOCK_UN)  # also for what still has it open


def named(writer: str) -> str:
    """Who holds a lock that a process took: that process, or what it left running when it was killed."""
    try:
        os.kill(int(writer), 0)
    except (ValueError, ProcessLookupError):
        return f"a program that process {writer} left running"
    except OSError:  # somebody else's
        pass
    return f"process {writer}"


def refuse_foreign(folder: Path) -> None:
    """ConfigError if a folder holds something and no run has been there: its files are none of ours."""
    try:
        names = set(os.listdir(folder)) if folder.is_dir() else set()
    except OSError:
        return  # that it cannot be written is said later
    if names and not names.intersection(OWN_NAMES):
        raise ConfigError(
            "the result folder is not empty and is no run's", f"OUT={folder}", "choose another with OUT=, or empty it"
        )


# ---- reading ----------------------------------------------------------------------------------------


def damaged(file: Path, why: object) -> ConfigError:
    """What is said of a file of a failure folder that is not as it was written."""
    said = " ".join(str(why).split())
    return ConfigError(
        f"this failure folder is damaged ({said})", str(file), "run the test again, or give another folder"
    )


def read_object(file: Path) -> dict[str, Any]:
    """The object in a JSON file of a failure folder; ConfigError if it cannot be read or holds something else."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(file, error) from None
    if not isinstance(found, dict):
        raise damaged(file, "no JSON object")
    return found


# ---- where the user stands --------------------------------------------------------------------------

_PROGRAM = r"(?<!\S)(?P<program>\S*\.venv/bin/)?chimney (?P<name>replay|waves|report) (?P<where>'[^'\n]*'|[^\s`']+)"
_TARGET = rf"(?<![^\s`])make (?=(?:{'|'.join(COMMANDS)})\b)"


class _Stand:
    """The folder in which the command was given; commands themselves work at the root."""

    folder = ROOT


@contextlib.contextmanager
def standing(folder: Path) -> Iterator[None]:
    """The user stands in this folder while a command runs."""
    before, _Stand.folder = _Stand.folder, folder
    try:
        yield
    finally:
        _Stand.folder = before


def typed(path: Path) -> str:
    """A path as the user would type it where they stand; absolute where one of both is outside the tree."""
    path = Path(os.path.abspath(path))
    inside = path.is_relative_to(ROOT) and _Stand.folder.is_relative_to(ROOT)
    return os.path.relpath(path, _Stand.folder) if inside else str(path)


def here(text: str) -> str:
    """A text whose commands are for the root of the tree, with commands that work where the user stands."""
    if _Stand.folder == ROOT:
        return text

    def placed(match: re.Match[str]) -> str:
        where = "".join(shlex.split(match["where"]))
        program = typed(ROOT / ".venv" / "bin" / "chimney") if match["program"] else "chimney"
        return f"{program} {match['name']} {shlex.quote(typed(ROOT / where))}"

    text = re.sub(_PROGRAM, placed, text)
    return re.sub(_TARGET, lambda _: f"make -C {shlex.quote(typed(ROOT))} ", text)
