"""The list of sabotages, tb/sabotage/manifest.toml, as typed values."""

from __future__ import annotations

import random
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError

MANIFEST = Path(__file__).with_name("manifest.toml")
#: Those that a monitor of the contract must see, by section.
CONTRACT_MANIFEST = Path(__file__).with_name("contract.toml")
#: The bugs of the conformance sheet, each with the scripts or tests that must see it.
BUGS_MANIFEST = Path(__file__).with_name("bugs.toml")
#: Judges that are no check of the lockstep: assertions inside hdl/, protocol checkers, wire monitor, peer, the three
#: sums, the host stack's and the applications' own bookkeeping, the images typed by hand, the monitors of the contract.
ASSERTED, CONTRACT = "assertion", "contract"
#: With `witnesses` the judge is one of these: the entry's own script or test.
WITNESS_JUDGES = ("script", "test")
OTHER_JUDGES = (ASSERTED, "checker", "wire", "peer", "sums", "host", "images", CONTRACT, *WITNESS_JUDGES)
#: No judge at all: a run was ended for its wall clock. What nobody else caught then is not judged.
BOUND = "bound"
#: What alone never counts: the run stood still, an unknown value was read, the simulator broke down.
NO_JUDGES = ("timeout", "x", "crash", BOUND)
CONTROL = "control"


@dataclass(frozen=True)
class Edit:
    """One exact text in one file and what takes its place."""

    file: str
    old: str
    new: str

    def apply(self, tree: Path) -> None:
        """Change the file below `tree`; the old text must be there exactly once."""
        path = tree / self.file
        text = path.read_text() if path.exists() else ""
        count = text.count(self.old)
        if count != 1:
            raise ConfigError(
                f"the text to replace occurs {count} times: {self.old.strip()[:70]!r}",
                self.file,
                "correct the entry in tb/sabotage (manifest.toml, contract.toml or bugs.toml)",
            )
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Sabotage:
    """One error. `check` is 1 to 6 (docs/architecture.md, Lockstep) or one of OTHER_JUDGES; `field` is what it names.

    With `contract` it is a rule: its monitor must fire, and no monitor of another rule before it. With `script` or
    `test` one of the `witnesses` must fail, of a twin one on the golden device and one on the RTL.

    A twin has the same error in model and RTL, so lockstep must agree and another judge must see it. With
    `timeout_counts` a standstill is a detection too. `first` names the stimulus that is tried first.
    """

    id: str
    edits: tuple[Edit, ...]
    rule: str
    check: int | str
    field: str
    rare: bool = False
    timeout_counts: bool = False
    twin: bool = False
    first: str = ""
    note: str = ""
    blind: bool = False
    witnesses: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The (first) file changed."""
        return self.edits[0].file if self.edits else ""

    @property
    def on_rtl(self) -> bool:
        """Whether it takes a simulator to see it."""
        return any(edit.file.startswith("hdl/") for edit in self.edits)

    @property
    def sides(self) -> tuple[str, ...]:
        """What it breaks: golden, rtl."""
        golden = any(edit.file.startswith("model/") for edit in self.edits)
        return ("golden",) * golden + ("rtl",) * self.on_rtl

    @property
    def blocks(self) -> set[str]:
        """Modules of hdl/ that are changed."""
        return {Path(edit.file).stem for edit in self.edits if edit.file.startswith("hdl/")}


def load(paths: tuple[Path, ...] = (MANIFEST, CONTRACT_MANIFEST, BUGS_MANIFEST)) -> tuple[Sabotage, ...]:
    """All entries: the control first, sabotages, twins."""
    files = [tomllib.loads(path.read_text()) for path in paths]
    entries = [
        _entry(kind, item) for kind in (CONTROL, "sabotage", "twin") for data in files for item in data.get(kind, [])
    ]
    ids = [entry.id for entry in entries]
    if len(ids) != len(set(ids)):
        raise ConfigError("two sabotages have one id", ", ".join(path.name for path in paths), "give each its own")
    return tuple(entries)


def _entry(kind: str, item: dict[str, Any]) -> Sabotage:
    edits = item.get("edits") or [{key: item[key] for key in ("file", "old", "new")}]
    check = item.get("judge") if kind == "twin" else item.get("check", CONTROL)
    if check not in (1, 2, 3, 4, 5, 6, CONTROL, *OTHER_JUDGES):
        raise ConfigError(f"no such check: {check!r}", f"{MANIFEST.name}, {item.get('id')}", "give 1 to 6 or a judge")
    if (check in WITNESS_JUDGES) != bool(item.get("witnesses")):
        raise ConfigError(f"{check!r} and witnesses", f"{BUGS_MANIFEST.name}, {item.get('id')}", "give both or neither")
    return Sabotage(
        id=item["id"],
        edits=tuple(Edit(edit["file"], edit["old"], edit["new"]) for edit in edits),
        rule=item.get("rule", ""),
        check=check,
        field=item.get("field", ""),
        rare=item.get("rare", False),
        timeout_counts=item.get("timeout_counts", False),
        twin=kind == "twin",
        first=item.get("first", ""),
        note=item.get("note", ""),
        blind=item.get("blind", False),
        witnesses=tuple(item.get("witnesses", ())),
    )


def draw(commit_hash: str, n: int = 12, entries: tuple[Sabotage, ...] | None = None) -> tuple[str, ...]:
    """`n` entries for a commit, out of all that are no blind spots: the same hash gives the same ones."""
    known = load() if entries is None else entries
    ids = [entry.id for entry in known if not entry.blind]
    return tuple(random.Random(f"sabotage/{commit_hash}").sample(ids, min(n, len(ids))))


def sources_of(entry: Sabotage, root: Path = ROOT) -> list[str]:
    """What is wrong with an entry against the tree as it is: texts that are not there exactly once."""
    faults = []
    for edit in entry.edits:
        path = root / edit.file
        count = path.read_text().count(edit.old) if path.exists() else 0
        if count != 1:
            faults.append(f"{entry.id}: {edit.file}: the old text occurs {count} times")
        if edit.old == edit.new:
            faults.append(f"{entry.id}: {edit.file}: the edit changes nothing")
    return faults
