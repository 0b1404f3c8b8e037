"""`make clean`: delete what builds and runs left behind. Standard library only."""

from __future__ import annotations

import shutil
from pathlib import Path

BUILDS = Path(__file__).resolve().parent.parent / "sim_build"
KEPT = (".gitignore", ".bootstrap.lock")


def main(_: object = None) -> int:
    """Empty sim_build/."""
    for path in BUILDS.iterdir():
        if path.name in KEPT:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return 0
