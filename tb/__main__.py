"""`python -m tb`, and what `.venv/bin/chimney` starts: the command line (tb/command_line.py).

With a Python that lacks the packages it makes .venv first, as `make` does, and goes on in there.
"""

from __future__ import annotations

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main() -> int:
    """Run the command line; the exit status."""
    if not __package__:  # started as a folder: that folder must not be searched for modules, its parent must
        sys.path[0] = ROOT
    try:
        from tb.command_line import main as command_line
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        from tb import bootstrap

        python = bootstrap.venv_python()
        if sys.executable == python and bootstrap.is_current():
            raise
        python = bootstrap.ready()
        sys.stdout.flush()
        os.execv(python, [python, os.path.join(ROOT, "tb"), *sys.argv[1:]])  # noqa: S606 - the same, with packages
    from tb.bootstrap import keep_bytecode

    keep_bytecode()
    return command_line(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
