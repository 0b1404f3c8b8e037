"""What a script says of a broken design, as a file that the judge of the sabotages reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "witness.json"


@dataclass(frozen=True)
class Verdict:
    """``status``, ``line`` and ``reason`` of the script's result; ``status`` is empty if the run ended before it.

    ``lockstep`` is what lockstep says of the same run (RTL only), ``ended`` how a run ended that gave no result.
    """

    status: str
    line: int
    reason: str
    lockstep: str = ""
    ended: str = ""


def write(out: Path, verdict: Verdict) -> None:
    """Leave the verdict in ``out``."""
    (out / FILE).write_text(json.dumps(asdict(verdict), indent=1) + "\n")


def read(out: Path) -> Verdict | None:
    """The verdict in ``out``, if a run left one."""
    file = out / FILE
    return Verdict(**json.loads(file.read_text())) if file.exists() else None
