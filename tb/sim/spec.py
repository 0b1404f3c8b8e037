"""What is to be simulated: sources, parameters, simulator. A spec and the files it names decide one build."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tb.config import ROOT
from tb.sim.tools import Tool

HDL = ROOT / "hdl"
TRANSACTORS = ROOT / "tb" / "hdl"
#: Folders of hdl/ that are not simulated.
SKIPPED_FOLDERS = ("formal", "syn", "include")
#: Tables that the scoreboard reads by back door: (module, array).
BACK_DOOR_TABLES = (("tcb_table", "ram"), ("tcb_table", "mem"), ("ram_sdp", "mem"))
PYTHON_SECTION = re.compile(r"^ *// =+ PYTHON$(.*?)^ *// =+ END PYTHON$", re.MULTILINE | re.DOTALL)
COMMENT = re.compile(r"//.*")
WORD = re.compile(r"[A-Za-z_]\w*")
DECLARATION = re.compile(r"^ *(reg|wire) *(?:\[[^\]]*\])? *(\w+);", re.MULTILINE)


@dataclass(frozen=True)
class SimSpec:
    """One simulation to build. `parameters` are those of the top; `extra_args` go to the compiler as they are."""

    tool: Tool
    sources: tuple[Path, ...]
    includes: tuple[Path, ...]
    parameters: Mapping[str, int] = field(default_factory=dict)
    defines: Mapping[str, str] = field(default_factory=dict)
    top: str = "tb_top"
    waves: bool = False
    coverage: bool = False
    extra_args: tuple[str, ...] = ()
    public_tables: tuple[tuple[str, str], ...] = ()
    build_root: Path = ROOT / "sim_build"

    def public_names(self) -> dict[str, str]:
        """What Python may touch in the top module: name -> reg or wire, from its PYTHON section."""
        for source in self.sources:
            if source.stem == self.top:
                section = PYTHON_SECTION.search(source.read_text())
                if section is None:
                    return {"*": "reg"}  # a block under unit test: all of its top level
                return {name: kind for kind, name in DECLARATION.findall(section.group(1))}
        raise ValueError(f"no source file is called {self.top}.v")

    def key(self) -> str:
        """A hash of everything that decides the built simulator: contents, not paths or dates."""
        import cocotb

        digest = hashlib.sha256()
        headers = [path for folder in self.includes for path in sorted(folder.glob("*.vh"))]
        for path in (*self.sources, *headers):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        facts = {
            "tool": [self.tool.label, str(self.tool.executable)],
            "cocotb": [cocotb.__version__, cocotb.__file__],
            "parameters": dict(self.parameters),
            "defines": dict(self.defines),
            "top": self.top,
            "waves": self.waves,
            "coverage": self.coverage,
            "extra": self.extra_args,
            "public": self.public_tables,
        }
        digest.update(json.dumps(facts, sort_keys=True).encode())
        for module in ("spec.py", "build.py", "tools.py"):
            digest.update((Path(__file__).parent / module).read_bytes())
        return digest.hexdigest()[:16]

    def design(self) -> str:
        """A hash of what of this is synthesized: 16 hex digits over the sources of hdl/ and their includes."""
        own = [path for path in self.sources if not path.is_relative_to(TRANSACTORS)]
        folders = [folder for folder in self.includes if not folder.is_relative_to(TRANSACTORS)]
        return contents_hash((*own, *(path for folder in folders for path in sorted(folder.glob("*.vh")))))

    def _kind(self) -> list[str]:
        return [*(["waves"] if self.waves else []), *(["coverage"] if self.coverage else [])]

    @property
    def has_window(self) -> bool:
        """Whether the waves are written by tb/hdl/wave_window.v, from a cycle on; a block alone has all of them."""
        return self.waves and self.top == "tb_top"

    def build_dir(self) -> Path:
        """Where this build lives."""
        words = [f"{name.lower()}{value}" for name, value in sorted(self.parameters.items()) if name != "MEM_BYTES"]
        return self.build_root / self.tool.kind / "-".join([self.top, *words, *self._kind(), self.key()])


def contents_hash(paths: Iterable[Path]) -> str:
    """16 hex digits over names and contents of files."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def design_sources(hdl: Path = HDL) -> tuple[Path, ...]:
    """The synthesizable files, in a fixed order."""
    return tuple(
        path for path in sorted(hdl.rglob("*.v")) if not set(path.relative_to(hdl).parts[:-1]) & set(SKIPPED_FOLDERS)
    )


def transactors() -> tuple[Path, ...]:
    """What the device is tried with: benches, transactors and checkers."""
    return (*sorted(TRANSACTORS.glob("*.v")), *sorted((TRANSACTORS / "checkers").glob("*.v")))


def needed_sources(sources: Sequence[Path], top: str) -> tuple[Path, ...]:
    """The files that a top module reaches, in the order given: an edit elsewhere needs no new build."""
    texts = {path.stem: WORD.findall(COMMENT.sub("", path.read_text())) for path in sources}
    reached, todo = set(), [top]
    while todo:
        module = todo.pop()
        if module in reached or module not in texts:
            continue
        reached.add(module)
        todo += set(texts[module]) & texts.keys()
    return tuple(path for path in sources if path.stem in reached)


def header_folders(hdl: Path) -> tuple[Path, ...]:
    """Every folder that holds something to include."""
    return tuple(dict.fromkeys(path.parent for path in sorted(hdl.rglob("*.vh"))))


def assertions(hdl: Path) -> dict[str, str]:
    """The assertions of hdl/ are compiled in; a changed copy is left to the checks that it is there to try."""
    return {"CHIMNEY_ASSERT": "1"} if hdl == HDL else {}


def unit_spec(
    tool: Tool,
    top: str,
    *,
    parameters: Mapping[str, int] | None = None,
    waves: bool = False,
    hdl: Path = HDL,
    build_root: Path = ROOT / "sim_build",
) -> SimSpec:
    """One block of hdl/, or a checker, alone, for a test that drives its ports; or a bench of tb/hdl around a block."""
    return SimSpec(
        tool=tool,
        sources=needed_sources((*design_sources(hdl), *transactors()), top),
        includes=header_folders(hdl),
        parameters=dict(parameters or {}),
        top=top,
        defines=assertions(hdl),
        waves=waves,
        build_root=build_root,
    )


def chimney_spec(
    tool: Tool,
    *,
    data_w: int = 512,
    conns: int = 64,
    waves: bool = False,
    coverage: bool = False,
    mem_bytes: int = 32 << 20,
    hdl: Path = HDL,
    defines: Mapping[str, str] | None = None,
    build_root: Path = ROOT / "sim_build",
    extra_parameters: Mapping[str, int] | None = None,
) -> SimSpec:
    """The device in its test bench. `hdl` may be a changed copy of the folder (sabotage), headers included."""
    design = design_sources(hdl)
    texts = {path.stem: path.read_text() for path in design}
    tables = tuple(
        (module, array)
        for module, array in BACK_DOOR_TABLES
        if re.search(rf"\breg\b[^;]*\b{array}\s*\[", texts.get(module, ""))
    )
    return SimSpec(
        tool=tool,
        sources=needed_sources((*design, *transactors()), "tb_top"),
        includes=(*header_folders(hdl), TRANSACTORS),
        parameters={"DATA_W": data_w, "CONNS": conns, "MEM_BYTES": mem_bytes, **(extra_parameters or {})},
        defines={**assertions(hdl), **(defines or {}), **({"WAVES": "1"} if waves else {})},
        waves=waves,
        coverage=coverage,
        public_tables=tables,
        build_root=build_root,
    )
