"""`python -m tb.testing.big_files FILE...`: files too large to be committed, for `pre-commit`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

#: Bytes of a file of the tree, at most: results and traces belong into sim_build/.
MOST = 512 << 10


def too_large(files: Iterable[Path]) -> list[str]:
    """A line for each file above MOST; what is gone is none."""
    return [
        f"{path}: {path.stat().st_size:,} bytes, at most {MOST:,}"
        for path in files
        if path.is_file() and path.stat().st_size > MOST
    ]


if __name__ == "__main__":
    found = too_large(map(Path, sys.argv[1:]))
    print(*found, sep="\n")
    sys.exit(bool(found))
