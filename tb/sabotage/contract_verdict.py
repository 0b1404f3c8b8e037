"""What the contract monitors say of a run, as a file that the judge of the sabotages reads.

*First* means: no monitor reported another rule at an earlier record. All rules that broke at that record are named.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tb.session.contract_tap import ContractTap

FILE = "contract.json"


@dataclass(frozen=True)
class Verdict:
    """``first`` are the rules of the first breaches, if there is one; ``lockstep`` what lockstep says of the run."""

    first: tuple[str, ...]
    text: str
    tick: int | None
    lockstep: str
    #: How the run ended, if not as it should.
    ended: str


def write(out: Path, tap: ContractTap, *, complete: bool, lockstep: str = "", ended: str = "") -> None:
    """Leave the verdict in ``out``. What must have happened by the end is asked of runs that were not cut short."""
    if complete:
        tap.setting("ended", True)  # a record of this tick: what is due by now is looked at
    breaches = tap.verdict() if complete else tap.monitors.breaches
    lines = [{"rule": b.rule, "order": b.order, "tick": b.tick, "text": str(b)} for b in breaches]
    found = {"breaches": lines, "lockstep": lockstep, "ended": ended, "triggers": dict(tap.monitors.triggers)}
    (out / FILE).write_text(json.dumps(found, indent=1))


def read(out: Path) -> Verdict | None:
    """The verdict in ``out``, if a run left one."""
    file = out / FILE
    if not file.exists():
        return None
    found = json.loads(file.read_text())
    lines = found["breaches"]
    first = [line for line in lines if line["order"] == lines[0]["order"]]
    return Verdict(
        tuple(dict.fromkeys(line["rule"] for line in first)),
        first[0]["text"] if first else "",
        first[0]["tick"] if first else None,
        found["lockstep"],
        found["ended"],
    )
