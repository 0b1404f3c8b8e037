"""Whether any plain Python test can have a word in its name, told without importing them, which takes pytest long.

A name is made of files, functions, marks and the ids of parameters; their letters stand somewhere in the tree.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tb.config import ROOT, ConfigError
from tb.testing.tiers import TIERS, Job, Tiers

#: Where ids of parameters may come from.
SOURCES = ("tb", "model", "docs", "hdl")
SUFFIXES = (".py", ".toml", ".pkt", ".md", ".v", ".vh", ".sv", ".json", ".jsonl", ".csv", ".txt")
#: What a module uses of another is named there; marks are named nowhere else.
ATTRIBUTE = re.compile(r"(?<!\bmark)\.[A-Za-z_]\w*")


def may_be_python(words: str, root: Path = ROOT) -> bool:
    """Whether a plain Python test may have one of the words in its name; False is certain, True is not.

    Digits and signs in ids may be computed, letters are not: each run of them must stand in a name or text of the tree.
    """
    missing = [set(re.findall(r"[^\W\d_]+", word.casefold())) for word in words.split()]
    for text in texts(root):
        missing = [{run for run in runs if run not in text} for runs in missing]
        if not all(missing):
            return True
    return False


def in_python(words: Sequence[str], paths: Sequence[str], root: Path = ROOT) -> list[str]:
    """Those of some words that pytest finds in the names of the tests below the paths; it takes it seconds to look."""
    names = collected(" or ".join(words), paths, root).casefold()
    # a mark is a name, too, and stands in no test's id
    return [word for word in words if word.casefold() in names or collected(word, paths, root)]


def collected(expression: str, paths: Sequence[str], root: Path) -> str:
    """The ids of the tests that pytest chooses with -k, one a line; nothing if it chooses none."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "--collect-only", "-q"]
    done = subprocess.run([*command, *paths, "-k", expression], cwd=root, capture_output=True, text=True, check=False)
    return "\n".join(line for line in done.stdout.splitlines() if "::" in line)


def texts(root: Path) -> Iterator[str]:
    """Names and contents of the sources, in small letters; of Python without what is only used there."""
    for top in SOURCES:
        for folder, folders, files in os.walk(root / top):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            yield f"{Path(folder).relative_to(root)} {' '.join(files)}".casefold()
            for name in sorted(files):
                if name.endswith(SUFFIXES):
                    text = (Path(folder) / name).read_text(errors="replace")
                    yield (ATTRIBUTE.sub("", text) if name.endswith(".py") else text).casefold()


def where_to_look(words: str, tiers: Tiers) -> str:
    """What to do about words that are in no name: the simulated tests with nearly this name, of any tier."""
    known = dict.fromkeys(job.name for job in tiers.jobs)
    near = dict.fromkeys(name for word in words.split() for name in difflib.get_close_matches(word, known, n=3))
    meant = f"perhaps {' or '.join(near)} is meant; " if near else ""
    return f"{meant}`chimney list` (`make list`) has the names and their tiers, `make test-all` runs every tier"


def elsewhere(words: Sequence[str], tiers: Tiers) -> str:
    """Which call runs the simulated tests that have some words in their names; empty if one word is in no name."""
    found = [next((job for job in by_tier(tiers) if word in job.label), None) for word in words]
    jobs = [job for job in found if job is not None]
    if len(jobs) < len(words):
        return ""
    last = max(jobs, key=lambda job: TIERS.index(job.tier))
    call = {"test": "make test", "all": "make test-all", "regress": "make regress TIER=regress"}[last.tier]
    names = dict.fromkeys(f"{job.label} is of tier {job.tier}" for job in jobs)
    return f"{', '.join(names)}: `{call} TEST='{' '.join(words)}'` runs it, on its simulator"


def by_tier(tiers: Tiers) -> list[Job]:
    """All simulated tests, those that run first and most often before the others."""
    return sorted(tiers.jobs, key=lambda job: TIERS.index(job.tier))


def nothing_has(words: Sequence[str], tiers: Tiers) -> ConfigError:
    """What is said of words that are in no name of what a call runs: where they are, or what is near."""
    text = " ".join(words)
    if call := elsewhere(words, tiers):
        return ConfigError("no test of this call has this in its name", f"TEST={text}", call)
    return ConfigError("no test has this in its name", f"TEST={text}", where_to_look(text, tiers))
