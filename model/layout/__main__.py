"""Write or check the files generated from ``layout.toml``: ``python -m model.layout [--check]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from model.layout.generate import generated_files


def stale_files(*, write: bool) -> Iterator[Path]:
    """Generated files that are not what the layout source says, each written anew if ``write``."""
    for path, text in generated_files().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        yield path


def main(argv: list[str] | None = None) -> int:
    """Return 0 when every file is fresh (or was written), 1 when ``--check`` finds a stale one."""
    parser = argparse.ArgumentParser(prog="python -m model.layout", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is stale")
    args = parser.parse_args(argv)
    stale = [path.name for path in stale_files(write=not args.check)]
    if stale and args.check:
        print(f"stale generated files: {', '.join(stale)}; run `make layout`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
