"""The one typed configuration of a run; tb/variables.py has the variables that it is made from.

`RunConfig.from_environment` is called once a command: by tb/cli.py with the environment that `make` hands over, by
tb/command_line.py with the options of `chimney`. What runs inside a simulator gets the same object back
through `RunConfig.for_simulation`, from a JSON file that the parent process wrote.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tb.kinds import fits
from tb.variables import (
    BOTH,
    DATA_WIDTHS,
    DEVICES,
    FAMILIES,
    MAX_CONNS,
    PEERS,
    SIMULATORS,
    ConfigError,
    Given,
    Reader,
    checked_file,
)

__all__ = [
    "CONFIG_FILE_VARIABLE", "DATA_WIDTHS", "DEVICES", "FAMILIES", "IPV6_COMMANDS", "MAX_CONNS", "PEERS", "ROOT",
    "SIMULATORS", "ConfigError", "RunConfig",
]  # fmt: skip

ROOT = Path(__file__).resolve().parent.parent
#: Clock cycles of a tick while the device works, as tb_top has it from the start (plusarg prescale).
TICK_CYCLES = 1000

#: Commands whose sessions can be over IPv6.
IPV6_COMMANDS = ("run", "serve", "regress", "seam", "packetdrill", "hostile", "interop")
#: Variables for which it matters whether they were given.
REMEMBERED = (
    "SIZE", "LOSS", "REORDER", "DUP", "CORRUPT", "DELAY", "PEER", "SEEDS", "DEVICE", "FRAMES", "FAMILY", "MEM_LATENCY",
)  # fmt: skip
#: What is said of a result folder that cannot be made or written.
NOT_WRITABLE = "the result folder cannot be written"
#: What memory may take beyond the least latency in a run, cycles; drawn for each.
LATENCY_SPREADS = (0, 8, 32)
#: The environment variable that names the JSON file for the process inside the simulator.
CONFIG_FILE_VARIABLE = "CHIMNEY_CONFIG"


#: Fields that hold one of a few values; the golden device alone has no simulator.
CHOICES: dict[str, tuple[object, ...]] = {
    "sim": (*SIMULATORS, "none"), "device": DEVICES, "peer": PEERS, "family": tuple(map(int, FAMILIES)),
    "data_w": DATA_WIDTHS,
}  # fmt: skip


def check_types(kind: type, values: Mapping[str, object]) -> None:
    """TypeError if a value is not of the type of the field of its name; what has no field is left alone."""
    hints = typing.get_type_hints(kind)
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            raise TypeError(f"`{name}` is {json.dumps(value, default=str)[:80]}")


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what one command does. Rates are probabilities a frame, delays are in ticks."""

    command: str = "run"
    file: Path | None = None
    size: int = 1 << 20
    sim: str = "verilator"
    sim_given: bool = False
    device: str = "rtl"
    peer: str = "python"
    loss: float = 0.0
    reorder: float = 0.0
    dup: float = 0.0
    corrupt: float = 0.0
    #: ECN is offered and agreed to, and ECT frames are marked CE at this rate (RFC 3168).
    ecn: bool = False
    mark: float = 0.0
    #: Connections are offloaded with CUBIC instead of Reno (RFC 9438).
    cubic: bool = False
    #: Both ends agree on SACK (RFC 2018); without it recovery is NewReno's (RFC 6582).
    sack: bool = True
    delay: int = 2
    seed: int = 1
    seed_given: bool = False
    seeds: tuple[int, ...] = (1,)
    conns: int = 1
    #: Version of IP under the connections of the session.
    family: int = 4
    data_w: int = 512
    data_w_given: bool = False
    waves: bool = False
    #: Cycles before the divergence from which a replay writes waves; whether the viewer is opened.
    margin: int = 2000
    view: bool = True
    #: Everything that lockstep sees is written to commits.jsonl.gz too.
    trace: bool = False
    #: Verilator counts lines, branches, expressions and toggles.
    cover: bool = False
    #: The contract monitors of the session are in a process of their own.
    apart: bool = False
    out: Path = ROOT / "sim_build" / "run"
    failure: Path | None = None
    #: The cycle that is marked in the waves; None: that of the first divergence.
    at: int | None = None
    #: What to report.
    folder: Path | None = None
    sabotage_id: str | None = None
    patch: Path | None = None
    #: Folder of a device that is not ours (docs/your-own-dut.md).
    dut: Path | None = None
    tier: str = "test"
    test: str | None = None
    require: tuple[str, ...] = ()
    mem_latency: int = 32
    mss: int = 1460
    jobs: int = 2
    #: Intermediate drivers between host and miniport driver.
    intermediates: int = 0
    suite: str = "tests"
    #: Random operations a seed.
    operations: int = 1000
    #: Times that connections are uploaded and offloaded again in the middle of a run.
    cuts: int = 0
    #: Where the jobs of a regression run: local, slurm or the address of a scheduler.
    cluster: str = "local"
    #: Seconds after which a regression hands out no more jobs; 0: no bound.
    time_limit: float = 0.0
    #: A regular expression for the names of jobs.
    filter: str | None = None
    #: Go on with the last regression.
    resume: bool = False
    #: Clock cycles of a tick while the device works; a simulation sets what it is started with.
    tick_cycles: int = TICK_CYCLES
    #: Attack frames beside a session.
    frames: int = 0
    #: They come as fast as the port takes them, not in half of it.
    whole_port: bool = False
    #: Traces as JSON lines.
    vectors: Path | None = None
    #: A trace of lockstep.
    commits: Path = ROOT / "sim_build" / "run" / "commits.jsonl.gz"
    #: Packetdrill scripts, or folders of such.
    scripts: tuple[Path, ...] = ()
    #: Variables of `make` that were given, for commands with defaults of their own.
    given: tuple[str, ...] = ()

    @property
    def family_suffix(self) -> str:
        """What tells files of runs over IPv6 from those over IPv4."""
        return "-ipv6" if self.family == 6 else ""

    @property
    def attack_suffix(self) -> str:
        """What tells files of kinds of attacks (`make hostile`) from each other."""
        return f"{self.family_suffix}{'-whole' if self.whole_port else ''}"

    @staticmethod
    def from_environment(command: str, environment: Given | None = None) -> RunConfig:
        """Read and check the variables of `make`, or those given; raises ConfigError. An empty one is not given."""
        texts = os.environ if environment is None else environment
        regress = command == "regress"
        if regress and texts.get("SIM") == BOTH and texts.get("SUITE") != "contract":  # as without SIM
            texts = {name: text for name, text in texts.items() if name != "SIM"}
        given = Reader(texts)
        seed = given.integer("SEED")
        file, size = checked_file(given.text("FILE")), given.size("SIZE")
        conns = given.integer("CONNS")
        if (file.stat().st_size if file else size) < conns:
            raise ConfigError(
                "fewer bytes than connections", f"CONNS={conns}", "every connection sends some: give a longer file"
            )
        if given.choice("SIM") == BOTH:
            raise ConfigError("one simulator is wanted here", "SIM=both", f"give one of {', '.join(SIMULATORS)}")
        family = int(given.choice("FAMILY"))
        if family == 6 and command not in IPV6_COMMANDS:
            todo = f"give FAMILY=4, or one of {', '.join(IPV6_COMMANDS)}"
            raise ConfigError(f"what `make {command}` does is over IPv4 alone", "FAMILY=6", todo)
        return RunConfig(
            command=command,
            file=file,
            size=size,
            sim=given.choice("SIM"),
            sim_given=given.text("SIM") is not None,
            device=given.choice("DEVICE"),
            peer=given.choice("PEER"),
            loss=given.rate("LOSS"),
            reorder=given.rate("REORDER"),
            dup=given.rate("DUP"),
            corrupt=given.rate("CORRUPT"),
            ecn=given.flag("ECN"),
            mark=given.rate("MARK"),
            cubic=given.flag("CUBIC"),
            sack=given.flag("SACK"),
            delay=given.integer("DELAY"),
            seed=seed,
            seed_given=given.text("SEED") is not None,
            seeds=given.numbers("SEEDS", (seed,)),
            conns=conns,
            family=family,
            data_w=int(given.choice("DATA_W")),
            data_w_given=given.text("DATA_W") is not None,
            waves=given.flag("WAVES"),
            margin=given.integer("MARGIN"),
            view=given.flag("VIEW"),
            trace=given.flag("TRACE"),
            cover=given.flag("COVER"),
            out=given.path("OUT", NOT_WRITABLE) or ROOT / "sim_build" / "run",
            failure=given.path("FAILURE"),
            at=given.integer("AT") if given.text("AT") else None,
            folder=given.path("FOLDER"),
            sabotage_id=given.text("ID"),
            patch=given.path("PATCH"),
            dut=given.path("DUT"),
            tier=given.text("TIER") or "test",
            test=given.text("TEST"),
            require=given.words("REQUIRE"),
            mem_latency=given.integer("MEM_LATENCY"),
            mss=given.integer("MSS"),
            jobs=given.integer("JOBS"),
            intermediates=given.integer("IM"),
            suite=given.choice("SUITE"),
            operations=given.integer("OPS"),
            cuts=given.integer("CUTS"),
            cluster=given.cluster("CLUSTER") if regress else RunConfig.cluster,
            time_limit=given.duration("TIME") if regress else 0.0,  # GNU time has a variable of this name, too
            filter=given.pattern("FILTER") if regress else None,
            resume=given.flag("RESUME") if regress else False,
            frames=given.integer("FRAMES"),
            whole_port=given.flag("WHOLE"),
            vectors=given.existing("VECTORS"),
            commits=given.path("COMMITS") or RunConfig.commits,
            scripts=given.paths("SCRIPTS"),
            given=given.names(*REMEMBERED, *(("CLUSTER", "FILTER", "OPS", "TEST", "TIER") if regress else ())),
        )

    def selects(self, name: str) -> bool:
        """Whether TEST, one or more parts of names, and FILTER mean this one; without them all are meant."""
        if self.filter is not None and re.search(self.filter, name) is None:
            return False
        return self.test is None or any(word in name for word in self.test.split())

    @staticmethod
    def for_simulation() -> RunConfig:
        """The configuration of this run, read inside the simulator's process."""
        path = os.environ.get(CONFIG_FILE_VARIABLE)
        if path is None:
            raise ConfigError(
                f"{CONFIG_FILE_VARIABLE} is not set", "inside the simulator", "start simulations through tb.sim.run"
            )
        return RunConfig.from_json(Path(path).read_text())

    def to_json(self) -> str:
        """As text, for the process in the simulator, for replays and for failure folders."""
        return json.dumps(dataclasses.asdict(self), default=str, indent=1)

    @staticmethod
    def from_json(text: str) -> RunConfig:
        """The inverse of `to_json`; KeyError, TypeError or ValueError if it is not what that wrote."""
        values = json.loads(text)
        for name in ("file", "out", "failure", "folder", "patch", "dut", "vectors", "commits"):
            if isinstance(values.get(name), str):
                values[name] = Path(values[name])
        for name in ("seeds", "require", "given", "scripts"):
            found = values.get(name, []) if name == "scripts" else values[name]
            values[name] = tuple(found) if isinstance(found, list) else found
        if fits(values["scripts"], tuple[str, ...]):
            values["scripts"] = tuple(map(Path, values["scripts"]))
        check_types(RunConfig, values)
        config = RunConfig(**values)
        for name, allowed in CHOICES.items():
            if getattr(config, name) not in allowed:
                raise ValueError(f"`{name}` is none of {', '.join(map(str, allowed))}")
        return config

    def prepare_out(self) -> Path:
        """Create the result folder and prove that it can be written."""
        probe = self.out / ".writable"
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"{NOT_WRITABLE} ({error.strerror})", f"OUT={self.out}", "choose another with OUT="
            ) from error
        return self.out

    def make_command(self, **changes: object) -> str:
        """The command line that repeats this run; `changes` overrides variables by their make name."""
        import shlex

        default = RunConfig()
        names = {
            "FILE": "file", "SIZE": "size", "SIM": "sim", "DEVICE": "device", "PEER": "peer", "LOSS": "loss",
            "REORDER": "reorder", "DUP": "dup", "CORRUPT": "corrupt", "DELAY": "delay", "CONNS": "conns",
            "DATA_W": "data_w", "MEM_LATENCY": "mem_latency", "MSS": "mss", "TEST": "test", "IM": "intermediates",
            "CUTS": "cuts", "MARK": "mark", "FAMILY": "family",
        }  # fmt: skip
        words: dict[str, object] = {
            variable: getattr(self, field)
            for variable, field in names.items()
            if getattr(self, field) != getattr(default, field)
        }
        if self.ecn:
            words["ECN"] = 1
        if self.cubic:
            words["CUBIC"] = 1
        if not self.sack:
            words["SACK"] = 0
        if self.trace:
            words["TRACE"] = 1
        if self.cover:
            words["COVER"] = 1
        words["SEED"] = self.seed
        words.update(changes)
        return " ".join(["make", self.command, *(shlex.quote(f"{name}={value}") for name, value in words.items())])
