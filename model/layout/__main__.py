"""Write or check the files generated from ``layout.toml``: ``python -m model.layout [--check]``."""

from __future__ import annotations

import argparse
import sys

from model.layout.generate import generated_files


def main(argv: list[str] | None = None) -> int:
    """Return 0 when every file is fresh (or was written), 1 when ``--check`` finds a stale one."""
    parser = argparse.ArgumentParser(prog="python -m model.layout", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is stale")
    args = parser.parse_args(argv)
    stale = []
    for path, text in generated_files().items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if args.check:
            stale.append(path.name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"stale generated files: {', '.join(stale)}; run `make layout`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
