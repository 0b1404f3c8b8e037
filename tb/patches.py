"""A diff is put on a copy of files, with git, which every machine of ours has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tb.config import ConfigError
from tb.fresh_clone import REPOSITORY_VARIABLES, without


def apply_patch(patch: Path, folder: Path, todo: str) -> None:
    """Apply a diff whose paths, behind their first part, are those of a folder; ConfigError with this to do if not."""
    # the folder may lie inside a checkout, whose paths would be meant otherwise
    apart = {"GIT_CEILING_DIRECTORIES": str(folder.resolve().parent)}
    environment = without(os.environ, REPOSITORY_VARIABLES) | apart
    done = subprocess.run(
        ["git", "apply", "-p1", "--whitespace=nowarn", str(patch.absolute())],
        cwd=folder, env=environment, capture_output=True, text=True, errors="replace", timeout=60, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise ConfigError(f"the patch does not apply: {' '.join(done.stderr.split())}", f"PATCH={patch}", todo)
