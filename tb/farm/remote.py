"""What a worker of the farm runs: the keeper of one job. Standard library only, and nothing of this tree.

A function that is made by another has no name to be found by, so it goes to workers as code: one that somebody else
started needs distributed, and the files at the same path, but no knowledge of this tree.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable


def _made() -> Callable[[str, str], str]:
    def keep(keeper: str, folder: str) -> str:
        """Run a job's keeper to its end; the text of the outcome. RuntimeError if there is none: it has not ended."""
        command = [sys.executable, "-I", "-S", keeper, folder, str(os.getpid())]
        with open(os.path.join(folder, "keeper.log"), "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            status = process.wait()
        try:
            with open(os.path.join(folder, "outcome.json")) as file:
                return file.read()
        except OSError:
            raise RuntimeError(f"the keeper of a job ended with status {status} and left no outcome") from None

    return keep


keep = _made()
