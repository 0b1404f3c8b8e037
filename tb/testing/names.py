"""Whether any plain Python test can have a word in its name, told without importing them, which takes pytest long.

A name is made of files, functions, marks and the ids of parameters; their letters stand somewhere in the tree.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from tb.config import ROOT
from tb.testing.tiers import Tiers

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
