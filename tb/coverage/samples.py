"""What one RTL run left for coverage: a file in its folder, written by a passing test and read behind a passing run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tb.config import ROOT
from tb.files import write_whole
from tb.sim.run import read_results
from tb.sim.spec import HDL, contents_hash, design_sources, header_folders, needed_sources, transactors

SCHEMA = 1
#: Tops whose records are compared with the golden model, commit by commit: the device, and its engine cluster alone.
DEVICE, ENGINES = "tb_top", "engine_player"
TOPS = (DEVICE, ENGINES)
#: Folders of sim_build in which runs leave samples.
RUNS = ("test", "run", "regress", "soak", "seam", "hostile", "packetdrill", "vectors", "properties")


@dataclass(frozen=True)
class Samples:
    """The bins that one run hit, as {group: [name]}, and which run it was.

    ``design`` is the hash of the RTL that ran, all of hdl/ that ``top`` holds; ``conns`` what it was built for.
    """

    design: str
    test: str
    seed: int
    simulator: str
    data_w: int
    conns: int
    hits: dict[str, list[str]]
    top: str = DEVICE

    def store(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_whole(path, json.dumps({"schema": SCHEMA, **asdict(self)}))

    @staticmethod
    def load(path: Path) -> Samples | None:
        """The samples of a file, None if it is not one of this schema."""
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        if found.pop("schema", None) != SCHEMA:
            return None
        return Samples(**found)


def by_group(hits: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, list[str]]:
    """Hits of a monitor as the file has them."""
    found: dict[str, set[str]] = {}
    for group, values in hits:
        found.setdefault(group, set()).add(" ".join(values))
    return {group: sorted(names) for group, names in sorted(found.items())}


@cache
def design_hash(top: str = DEVICE, hdl: Path = HDL) -> str:
    """Of the RTL below a top as it is now, what `SimSpec.design` says of one that is built; of other tops nothing.

    A top that holds part of the device is judged by that part: an edit elsewhere changes nothing of what it ran.
    """
    if top not in TOPS:
        return ""
    design = design_sources(hdl)
    own = [path for path in needed_sources((*design, *transactors()), top) if path in design]
    return contents_hash((*own, *(path for folder in header_folders(hdl) for path in sorted(folder.glob("*.vh")))))


def run_name(folder: Path) -> str:
    """How the samples of a run name it: its folder below sim_build."""
    inside = folder.is_relative_to(ROOT / "sim_build")
    return str(folder.relative_to(ROOT / "sim_build")) if inside else folder.name


def passed(folder: Path) -> bool:
    """Whether the run of a folder came to its end and no test of it failed."""
    outcomes = read_results(folder / "results.xml")
    return any(o.status == "passed" for o in outcomes) and all(o.status != "failed" for o in outcomes)


def folders(name: str, root: Path = ROOT / "sim_build") -> Iterator[Path]:
    """Folders of finished, passing runs that hold a file of this name, in the order of their names."""
    for top in RUNS:
        for path in sorted((root / top).rglob(name)):
            if passed(path.parent):
                yield path.parent
