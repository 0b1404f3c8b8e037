"""A fresh clone of this tree: what somebody has who clones it now, without builds, `.venv` and untracked files.

What git tracks and is not committed yet is part of it: a page is tried before it is committed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tb.config import ConfigError
from tb.sim.tools import MAKE_INTERNALS

#: Seconds that one call of git may take; the clone is local.
GIT_BOUND = 300.0
#: Files that are named in a line; of more their number is said.
NAMED = 8
#: Settings of a user that would change what a diff looks like are overruled.
DIFF = ("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--no-relative",
        "--src-prefix=a/", "--dst-prefix=b/", "HEAD")  # fmt: skip
#: What the environment of this process has and that of a new user has not.
OWN_VARIABLES = (*MAKE_INTERNALS, "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONPYCACHEPREFIX", "CHIMNEY_CONFIG")

#: By these git knows the repository, instead of by the folder; a hook has them.
REPOSITORY_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR",
                        "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")  # fmt: skip


@dataclass(frozen=True)
class FreshClone:
    """A clone of `commit` in `folder`, with the uncommitted changes of these files and without the untracked ones."""

    folder: Path
    commit: str
    uncommitted: tuple[str, ...]
    untracked: tuple[str, ...]

    def first_lines(self, name: str) -> list[str]:
        """What it is made of, in words; `name` is the folder as it is shown."""
        changes = f"with the uncommitted changes of {listed(self.uncommitted)}" if self.uncommitted else "as committed"
        lines = [f"fresh clone of {self.commit[:12]} {changes}: {name}"]
        if self.untracked:
            lines.append(f"not part of it, untracked (`git add` makes them part of it): {listed(self.untracked)}")
        return lines

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self.folder)


def listed(names: Sequence[str]) -> str:
    """Names, the first of many."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def git(cwd: Path, *words: str, given: bytes = b"") -> bytes:
    """What a call of git prints; raises ConfigError with git's words."""
    environment = without(os.environ, REPOSITORY_VARIABLES)
    try:
        done = subprocess.run(
            ["git", *words], cwd=cwd, env=environment, input=given, capture_output=True, timeout=GIT_BOUND, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        todo = "`make doctor` says what to install"
        raise ConfigError(f"git cannot be used ({error})", f"git {words[0]}", todo) from None
    if done.returncode != 0:
        said = " ".join(done.stderr.decode(errors="replace").split()) or f"status {done.returncode}"
        raise ConfigError(f"no fresh clone can be made: {said}", f"git {words[0]} in {cwd}", "mend what git says")
    return done.stdout


def names(listing: bytes) -> tuple[str, ...]:
    """The names of a listing with -z."""
    return tuple(os.fsdecode(name) for name in listing.split(b"\0") if name)


def make_clone(root: Path, parent: Path) -> FreshClone:
    """Clone the repository of which `root` is the top into a new folder below `parent`; raises ConfigError."""
    if not (root / ".git").exists():  # a tarball, perhaps unpacked inside another repository
        raise ConfigError(
            "this tree is no git repository, so that there is nothing to clone", str(root),
            "clone the repository, and call it there",
        )  # fmt: skip
    untracked = names(git(root, "ls-files", "--others", "--exclude-standard", "-z"))
    try:
        commit = git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except ConfigError:
        raise ConfigError("the repository has no commit to clone", str(root), "commit first") from None
    diff = git(root, *DIFF)
    uncommitted = names(git(root, "diff", "--name-only", "--no-renames", "--no-relative", "-z", "HEAD"))
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="clone-", dir=parent))
    folder.chmod(0o755)
    try:
        git(root, "clone", "--quiet", str(root), str(folder))
        if diff:
            git(folder, "apply", "--index", "--whitespace=nowarn", given=diff)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FreshClone(folder, commit, uncommitted, untracked)


def environment_of(folder: Path, own: Path) -> dict[str, str]:
    """The environment of a new user in the clone `folder`: nothing of the tree `own`, no .venv/bin on the PATH.

    Not the clone's either: a page says how `chimney` comes there. PYTHON is the one that this process's .venv was made
    from, so that .venv there is made of the same.
    """
    env = without(os.environ, (*OWN_VARIABLES, *REPOSITORY_VARIABLES))
    ours = {path.resolve() for path in (own / ".venv" / "bin", folder / ".venv" / "bin", Path(sys.prefix) / "bin")}
    if sys.prefix == sys.base_prefix:
        ours.discard((Path(sys.prefix) / "bin").resolve())
    kept = [part for part in env.get("PATH", os.defpath).split(os.pathsep) if Path(part or ".").resolve() not in ours]
    env["PATH"] = os.pathsep.join(kept)
    env["PYTHON"] = base_python()
    return env


def base_python() -> str:
    """The interpreter that environments are made from; of one outside an environment itself."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def without(environment: Mapping[str, str], dropped: Sequence[str]) -> dict[str, str]:
    """An environment without these variables."""
    return {name: value for name, value in environment.items() if name not in dropped}
