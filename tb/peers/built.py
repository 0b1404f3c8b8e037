"""Programs that peers need, built at need from a source beside them and kept in sim_build/peers by their contents."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parents[2] / "sim_build" / "peers"
_BUILD_SECONDS: Final = 300.0


class PeerMissingError(Exception):
    """A peer cannot be had on this machine. The message begins with the reason of the closed list of skips."""

    def __init__(self, reason: str, what: str, packages: str) -> None:
        super().__init__(f"{reason}: {what}; apt-get install --no-install-recommends {packages}")
        self.reason = reason


def built(source: Path, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Path:
    """The result of `command`, in which "{source}" and "{target}" are replaced; made only if the source changed.

    Two builds at once do not disturb each other. Raises subprocess.CalledProcessError with what the compiler said.
    """
    settings = sorted((environment or {}).items())
    key = hashlib.sha256(source.read_bytes() + repr((tuple(command), settings)).encode()).hexdigest()[:16]
    target = FOLDER / f"{source.stem}-{key}"
    if target.exists():
        return target
    FOLDER.mkdir(parents=True, exist_ok=True)
    temporary = FOLDER / f"{target.name}.{os.getpid()}"
    words = [word.format(source=source, target=temporary) for word in command]
    subprocess.run(
        words,
        env={**os.environ, **(environment or {})},
        check=True,
        timeout=_BUILD_SECONDS,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.replace(temporary, target)
    return target
