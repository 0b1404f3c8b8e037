"""The list of tests, tb/tests/tiers.toml, as typed jobs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tb.config import DATA_WIDTHS, ROOT, SIMULATORS, ConfigError

TIERS_FILE = ROOT / "tb" / "tests" / "tiers.toml"
#: A tier contains the ones before it.
TIERS = ("test", "all", "regress")
#: Fields of RunConfig that a job may set.
RUN_FIELDS = (
    "size", "loss", "reorder", "dup", "corrupt", "delay", "conns", "mem_latency", "seed", "mss", "intermediates",
    "cuts", "peer", "mark", "ecn", "cubic", "sack", "frames", "whole_port", "family",
)  # fmt: skip
JOB_FIELDS = (
    "name", "module", "tier", "top", "parameters", "data_w", "simulators", "exempt_icarus", "timeout", "plusargs",
    "built_conns", "on", "testcase", "tier_of_width",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One module of cocotb tests on one simulator at one width. `top` is tb_top, or a block of hdl/ for a unit test."""

    name: str
    module: str
    simulator: str
    tier: str = "test"
    top: str = "tb_top"
    data_w: int = 0
    parameters: dict[str, int] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    plusargs: dict[str, int] = field(default_factory=dict)
    built_conns: int = 64
    exempt: str = ""
    timeout: float = 600.0
    testcase: str | None = None

    @property
    def label(self) -> str:
        """The job's part of a test id."""
        return f"{self.name}[{self.simulator}{f'-{self.data_w}' if self.data_w else ''}]"


@dataclass(frozen=True)
class Tiers:
    """Everything in the file."""

    pytest: tuple[tuple[str, str], ...]  # tier, path
    apart: tuple[str, ...]  # files in those paths that wait more than they compute
    jobs: tuple[Job, ...]
    floors: dict[str, int]
    exempt_share: float


def wanted(tier: str, chosen: str) -> bool:
    """Whether a test of one tier runs when another is chosen."""
    return TIERS.index(tier) <= TIERS.index(chosen)


def load(path: Path = TIERS_FILE) -> Tiers:
    """Read and check the file."""
    data = tomllib.loads(path.read_text())
    jobs: list[Job] = []
    for entry in data.get("rtl", []):
        jobs += expand(entry)
    return Tiers(
        pytest=tuple((entry["tier"], entry["path"]) for entry in data.get("pytest", [])),
        apart=tuple(path for entry in data.get("pytest", []) for path in entry.get("apart", [])),
        jobs=tuple(jobs),
        floors=dict(data.get("floors", {})),
        exempt_share=float(data.get("limits", {}).get("exempt_share", 0.1)),
    )


def expand(entry: dict[str, Any]) -> list[Job]:
    """One entry of the file as a job for every simulator and width. `on` overrides settings for one simulator.

    `tier_of_width` = { "512" = "all" } puts the jobs of one width in another tier.
    """
    unknown = set(entry) - set(JOB_FIELDS) - set(RUN_FIELDS)
    if unknown or "name" not in entry or "module" not in entry:
        raise ConfigError(
            f"an entry of the test list is wrong: {', '.join(sorted(unknown)) or 'name or module missing'}",
            f"{TIERS_FILE.name}, {entry.get('name', '?')}",
            f"use only {', '.join(JOB_FIELDS + RUN_FIELDS)}",
        )
    top = entry.get("top", "tb_top")
    widths = entry.get("data_w", [64] if top == "tb_top" else [0])
    jobs = []
    for simulator in entry.get("simulators", SIMULATORS):
        special = entry.get("on", {}).get(simulator, {})
        merged = {**entry, **special}
        for width in special.get("data_w", widths):
            if width and width not in DATA_WIDTHS:
                raise ConfigError(
                    f"no such width: {width}", f"{TIERS_FILE.name}, {entry['name']}", "use 64, 128, 256, 512"
                )
            parameters = dict(merged.get("parameters", {}))
            if width and top != "tb_top":
                parameters["DATA_W"] = width
            jobs.append(
                Job(
                    name=entry["name"],
                    module=entry["module"],
                    simulator=simulator,
                    tier=merged.get("tier_of_width", {}).get(str(width), merged.get("tier", "test")),
                    top=top,
                    data_w=width,
                    parameters=parameters,
                    settings={name: merged[name] for name in RUN_FIELDS if name in merged},
                    plusargs=dict(merged.get("plusargs", {})),
                    built_conns=merged.get("built_conns", 64),
                    exempt=entry.get("exempt_icarus", "") if simulator == "icarus" else "",
                    timeout=float(merged.get("timeout", 600)),
                    testcase=merged.get("testcase"),
                )
            )
    return jobs
