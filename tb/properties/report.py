"""The smallest scenario as a packetdrill script that fails by itself, and the command that plays it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from tb.config import ROOT
from tb.properties import golden
from tb.properties.closing import Whole
from tb.script.events import Script
from tb.script.player import Player
from tb.script.text import text

#: Name of the file in the folder of a run.
FILE = "smallest.pkt"
#: Lines of a report, and characters of one of them.
MOST_LINES, WIDTH = 6, 110


def shown(path: Path) -> Path:
    """A path as it is named in commands: from the root of the tree, if it is below it."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def command(file: Path, *settings: str) -> str:
    """Plays a script again."""
    return " ".join(["make packetdrill", f"SCRIPTS={shlex.quote(str(shown(file)))}", *settings])


def expecting(played: Script, out: Path) -> Script | None:
    """The same with all that the golden device sends, and what calls return there; None if that does not hold there."""
    whole = Unclosed(played)
    if golden.problems_of(whole, out):
        return None
    told = whole.told()
    return None if golden.problems_of(Player(told), out) else told


class Unclosed(Whole):
    """Plays a scenario as it is: what was played behind it is in it already."""

    def behind(self) -> object:  # type: ignore[override]
        """Nothing."""
        yield from ()


def remarks(problems: Sequence[str], replay: str) -> list[str]:
    """What stands in front of the script."""
    lines = [line[:WIDTH] for problem in problems for line in problem.splitlines()]
    return ["The smallest scenario that a search of properties found; what is wrong with it:",
            *(f"  {line}" for line in lines[:MOST_LINES]), f"  {replay}"]  # fmt: skip


def write(file: Path, script: Script, problems: Sequence[str], replay: str) -> str:
    """Put the script into a file; its text."""
    found = text(script, remarks(problems, replay))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(found)
    return found
