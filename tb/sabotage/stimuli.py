"""What a sabotaged design is put through: ordinary transfers in small, then the RTL tests of tier `test`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tb.config import RunConfig
from tb.sabotage.contract_scenes import SETS
from tb.testing.tiers import TIERS_FILE, load

#: The small configuration: bits, connections, bytes of host memory.
DATA_W, CONNS, MEM_BYTES = 64, 4, 8 << 20
#: Of tests whose host needs more.
LARGE_BYTES = 32 << 20
SIMULATOR = "icarus"
#: Clock cycles a tick: few, since ticks in which nothing happens cost most of the time here.
PRESCALE = {"prescale": 300}
TRANSFER = "tb.tests.rtl.transfer_test"
#: The same, but over as soon as somebody complains.
BRIEF = "tb.sabotage.brief"
ERRORS = "tb.tests.rtl.errors_test"
RINGS = "tb.tests.rtl.small_rings_test"
INVALIDATE = "tb.tests.rtl.bench_invalidate_test"
#: What the control edit has to sit through in a draw; `make sabotage` puts it through all.
SHORT = ("calm", "tiny", "golden sends")
#: Scenes in which the rules of the contract trigger: on the RTL, and on the golden device below intermediate drivers.
CONTRACT_RTL = "tb.sabotage.contract_rtl"
CONTRACT_GOLDEN = "tb.sabotage.contract_model"
RTL, GOLDEN = "rtl", "golden"


@dataclass(frozen=True)
class Stimulus:
    """One run of one test module; `settings` are fields of RunConfig, `timeout` is in seconds."""

    name: str
    module: str = BRIEF
    settings: Mapping[str, Any] = field(default_factory=dict)
    plusargs: Mapping[str, int] = field(default_factory=lambda: dict(PRESCALE))
    testcase: str | None = None
    conns: int = CONNS
    mem_bytes: int = MEM_BYTES
    parameters: Mapping[str, int] = field(default_factory=dict)
    timeout: float = 300.0

    def config(self, out: Path) -> RunConfig:
        """The configuration of the run."""
        base = RunConfig(command="run", sim=SIMULATOR, sim_given=True, data_w=DATA_W, data_w_given=True, out=out)
        return replace(base, **self.settings)


OWN = (
    Stimulus("calm", settings={"size": 16 << 10, "seed": 11}, timeout=120),
    Stimulus(
        "lossy",
        settings={"size": 32 << 10, "seed": 12, "loss": 0.03, "reorder": 0.05, "dup": 0.03, "corrupt": 0.02},
    ),
    Stimulus("rings", RINGS, settings={"size": 24 << 10, "seed": 13, "dup": 0.02}),
    Stimulus(
        "busy",
        settings={"size": 64 << 10, "seed": 14, "conns": 4, "loss": 0.02, "reorder": 0.05, "dup": 0.02, "delay": 5},
    ),
    Stimulus(
        "segments",
        settings={"size": 64 << 10, "seed": 5, "mss": 140, "conns": 4, "dup": 0.01, "reorder": 0.01},
    ),
    # so many connections that events of all classes wait for tcp_engine at once
    Stimulus(
        "crowd",
        settings={"size": 64 << 10, "seed": 5, "mss": 140, "conns": 16, "dup": 0.01, "reorder": 0.01, "delay": 1},
        plusargs={"prescale": 150},
        conns=16,
    ),
    Stimulus("six", settings={"size": 4 << 10, "seed": 21, "family": 6}, timeout=120),
    Stimulus("losses", settings={"size": 32 << 10, "seed": 103, "loss": 0.15, "delay": 5}),
    Stimulus("newreno", settings={"size": 32 << 10, "seed": 103, "loss": 0.15, "delay": 5, "sack": False}),
    Stimulus("cubic", settings={"size": 48 << 10, "seed": 103, "loss": 0.1, "delay": 5, "cubic": True}),
    # many small segments: stages of CUBIC that last. A long round trip and few losses: on the curve; more losses in a
    # shorter one: small windows, where Reno would be faster
    Stimulus("curve", settings={"size": 24 << 10, "seed": 103, "mss": 140, "loss": 0.02, "delay": 60, "cubic": True}),
    Stimulus(
        "friendly", settings={"size": 64 << 10, "seed": 103, "mss": 140, "loss": 0.05, "delay": 30, "cubic": True}
    ),
    # so many losses that the window is two segments: each acknowledgment leaves nothing in flight
    Stimulus("dry", settings={"size": 32 << 10, "seed": 103, "mss": 140, "loss": 0.2, "delay": 5, "cubic": True}),
    # with ticks as long as the test has them, or the transfer is over before the last case begins; and with its memory:
    # the cases take pages that nobody gets again
    Stimulus(
        "errors",
        ERRORS,
        settings={"size": 64 << 10, "seed": 16, "delay": 40},
        plusargs={},
        timeout=900,
        mem_bytes=LARGE_BYTES,
    ),
    Stimulus("invalidate", INVALIDATE, settings={"seed": 18}),
    Stimulus("tiny", settings={"size": 4 << 10, "seed": 17}, timeout=120),
)


def contract(place: str, first: str = "") -> list[Stimulus]:
    """The sets of scenes on the RTL or on the golden device, the one of the set named `first` in front."""
    module = CONTRACT_RTL if place == RTL else CONTRACT_GOLDEN
    names = [name for name, scenes in SETS.items() if place == GOLDEN or not (scenes.layered or scenes.drivers)]
    return [
        Stimulus(f"{place} {name}", module, testcase=name) for name in sorted(names, key=lambda name: name != first)
    ]


def folder_name(stimulus: str) -> str:
    """The folder of a stimulus' run, from its name."""
    return "".join(c if c.isalnum() else "-" for c in stimulus)


def stimuli(first: str = "") -> list[Stimulus]:
    """All of them, the one named `first` in front."""
    found = [*OWN, *_directed()]
    return sorted(found, key=lambda stimulus: stimulus.name != first)


def _directed() -> list[Stimulus]:
    """The other tests of the device in the list of tests that run on this simulator at this width."""
    if not TIERS_FILE.exists():
        return []
    return [
        Stimulus(
            job.label,
            job.module,
            job.settings,
            job.plusargs,
            job.testcase,
            conns=max(CONNS, job.settings.get("conns", 1)),
            mem_bytes=LARGE_BYTES,
            parameters=job.parameters,
            timeout=job.timeout,
        )
        for job in load().jobs
        if job.top == "tb_top"
        and job.tier == "test"
        and job.simulator == SIMULATOR
        and job.data_w == DATA_W
        and not job.exempt
        and job.module not in (TRANSFER, RINGS, ERRORS, INVALIDATE)
    ]
