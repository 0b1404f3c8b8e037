"""`make clean`: delete what builds and runs left behind. Standard library only."""

from __future__ import annotations

import shutil
from pathlib import Path

BUILDS = Path(__file__).resolve().parent.parent / "sim_build"
KEPT = (".gitignore", ".bootstrap.lock")


def result(_: object = None) -> tuple[int, dict[str, list[str]]]:
    """Empty sim_build/: exit status, and the document for --json with the names of what was deleted."""
    deleted = [path for path in sorted(BUILDS.iterdir()) if path.name not in KEPT]
    for path in deleted:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return 0, {"deleted": [path.name for path in deleted]}


def main(_: object = None) -> int:
    """Empty sim_build/."""
    return result()[0]
