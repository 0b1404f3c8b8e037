"""Find failures: the newest one below sim_build, the story of a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tb.config import ROOT
from tb.files import shown

#: As tb/story/record.py and tb/sim/run.py have them; this module is read by commands that simulate nothing.
FAILURE_NAME, STORY_NAME, REPLAY_FOLDER = "failure.json", "story.txt", "replay"
#: How the first line of a story begins, and the line behind its title.
TOLD, MUST_HOLD = "FAILED ", "what must hold:"
#: The line of a story above its commands.
AGAIN = "again, with waves, in the report:"
#: Folders below sim_build that hold no results of the user's runs.
NOT_SEARCHED = ("verilator", "icarus", "tree", REPLAY_FOLDER, "docs-test")


def story_of(folder: Path) -> str:
    """The story of a failed run, with paths as a user types them; empty without one."""
    file = folder / STORY_NAME
    return file.read_text().replace(str(folder.absolute()), shown(folder)) if file.exists() else ""


def key_of(folder: Path) -> str:
    """The bucket of a failed run; empty without a record of the failure."""
    try:
        return str((failure_of(folder) or {}).get("key") or "")
    except ValueError:
        return ""


def failure_of(folder: Path) -> dict[str, Any] | None:
    """The failure record of a folder; None without one."""
    file = folder / FAILURE_NAME
    return dict(json.loads(file.read_text())) if file.exists() else None


def failures(root: Path = ROOT / "sim_build") -> Iterator[Path]:
    """Folders with a recorded failure, in no order; those of replays are not among them."""
    if (root / FAILURE_NAME).exists():
        yield root
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.is_dir() and not path.is_symlink() and path.name not in NOT_SEARCHED:
            yield from failures(path)


def newest(root: Path = ROOT / "sim_build") -> Path | None:
    """The folder that failed last."""
    return max(failures(root), key=lambda folder: (folder / FAILURE_NAME).stat().st_mtime_ns, default=None)
