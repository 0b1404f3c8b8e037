"""The one typed configuration of a run, and the only place that reads the variables given to `make`.

`RunConfig.from_environment` is called once, by tb/cli.py. What runs inside a simulator gets the same object back
through `RunConfig.for_simulation`, from a JSON file that the parent process wrote.
"""

from __future__ import annotations

import dataclasses
import glob
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SIMULATORS = ("verilator", "icarus")
DEVICES = ("rtl", "model")
#: The TCP at the other end of the wire (tb/peers/choice.py).
PEERS = ("python", "lwip", "gvisor", "linux")
#: What a test may need beyond the base; without it the test is skipped, unless REQUIRE names it.
REQUIRABLE = (*SIMULATORS, "tun", "tshark", "gvisor", "lwip", "x", "chromium", "slurm")
#: Version of IP.
FAMILIES = ("4", "6")
#: Commands whose sessions can be over IPv6.
IPV6_COMMANDS = ("run", "regress", "seam")
DATA_WIDTHS = (64, 128, 256, 512)
MAX_CONNS = 64
MAX_INTERMEDIATES = 8
#: What `make regress` runs: the tests of a tier, or random contract operations.
SUITES = ("tests", "contract")
MAX_OPERATIONS = 1_000_000
MAX_CUTS = 1000
MAX_FRAMES = 1_000_000
MAX_RATE = 0.5
MAX_DELAY = 10_000
MAX_SIZE = 64 << 20
#: The environment variable that names the JSON file for the process inside the simulator.
CONFIG_FILE_VARIABLE = "CHIMNEY_CONFIG"


class ConfigError(Exception):
    """Something the user gave is wrong: what, where, and what to do about it."""

    def __init__(self, what: str, where: str, todo: str) -> None:
        super().__init__(f"{what} ({where}): {todo}")
        self.what = what
        self.where = where
        self.todo = todo

    def report(self) -> str:
        """The message for the terminal."""
        return f"error: {self.what}\n  where: {self.where}\n  do:    {self.todo}"


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
    out: Path = ROOT / "sim_build" / "run"
    failure: Path | None = None
    sabotage_id: str | None = None
    patch: Path | None = None
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
    #: Attack frames beside a session.
    frames: int = 0
    #: Traces as JSON lines.
    vectors: Path | None = None
    #: Packetdrill scripts, or folders of such.
    scripts: tuple[Path, ...] = ()
    #: Variables of `make` that were given, for commands with defaults of their own.
    given: tuple[str, ...] = ()

    @staticmethod
    def from_environment(command: str, environment: Mapping[str, str] | None = None) -> RunConfig:
        """Read and check the variables of `make`; raises ConfigError. An empty variable counts as not given."""
        given = _Variables(os.environ if environment is None else environment)
        out = given.text("OUT")
        failure = given.text("FAILURE")
        patch = given.text("PATCH")
        seed = given.integer("SEED", 1, 0, 0xFFFF_FFFF)
        file, size = _checked_file(given.text("FILE")), given.size("SIZE", 1 << 20)
        conns = given.integer("CONNS", 1, 1, MAX_CONNS)
        if (file.stat().st_size if file else size) < conns:
            raise ConfigError(
                "fewer bytes than connections", f"CONNS={conns}", "every connection sends some: give a longer file"
            )
        family = int(given.choice("FAMILY", FAMILIES, "4"))
        if family == 6 and command not in IPV6_COMMANDS:
            todo = f"give FAMILY=4, or one of {', '.join(IPV6_COMMANDS)}"
            raise ConfigError(f"what `make {command}` does is over IPv4 alone", "FAMILY=6", todo)
        return RunConfig(
            command=command,
            file=file,
            size=size,
            sim=given.choice("SIM", SIMULATORS, "verilator"),
            sim_given=given.text("SIM") is not None,
            device=given.choice("DEVICE", DEVICES, "rtl"),
            peer=given.choice("PEER", PEERS, "python"),
            loss=given.rate("LOSS"),
            reorder=given.rate("REORDER"),
            dup=given.rate("DUP"),
            corrupt=given.rate("CORRUPT"),
            ecn=given.choice("ECN", ("0", "1"), "0") == "1",
            mark=given.rate("MARK"),
            cubic=given.choice("CUBIC", ("0", "1"), "0") == "1",
            sack=given.choice("SACK", ("0", "1"), "1") == "1",
            delay=given.integer("DELAY", 2, 0, MAX_DELAY),
            seed=seed,
            seed_given=given.text("SEED") is not None,
            seeds=given.numbers("SEEDS", (seed,)),
            conns=conns,
            family=family,
            data_w=int(given.choice("DATA_W", tuple(map(str, DATA_WIDTHS)), "512")),
            data_w_given=given.text("DATA_W") is not None,
            waves=given.choice("WAVES", ("0", "1"), "0") == "1",
            out=_absolute(out) if out else ROOT / "sim_build" / "run",
            failure=_absolute(failure) if failure else None,
            sabotage_id=given.text("ID"),
            patch=_absolute(patch) if patch else None,
            tier=given.text("TIER") or "test",
            test=given.text("TEST"),
            require=given.words("REQUIRE", REQUIRABLE),
            mem_latency=given.integer("MEM_LATENCY", 32, 1, 4096),
            mss=given.integer("MSS", 1460, 64, 1460),
            jobs=given.integer("JOBS", min(4, os.cpu_count() or 1), 1, 256),
            intermediates=given.integer("IM", 0, 0, MAX_INTERMEDIATES),
            suite=given.choice("SUITE", SUITES, "tests"),
            operations=given.integer("OPS", 1000, 1, MAX_OPERATIONS),
            cuts=given.integer("CUTS", 0, 0, MAX_CUTS),
            frames=given.integer("FRAMES", 0, 0, MAX_FRAMES),
            vectors=given.existing("VECTORS"),
            scripts=given.paths("SCRIPTS"),
            given=given.names(
                "SIZE", "LOSS", "REORDER", "DUP", "CORRUPT", "DELAY", "PEER", "SEEDS", "DEVICE", "FRAMES", "FAMILY"
            ),
        )

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
        """The inverse of `to_json`."""
        values = json.loads(text)
        for name in ("file", "out", "failure", "patch", "vectors"):
            if values.get(name) is not None:
                values[name] = Path(values[name])
        values["scripts"] = tuple(Path(path) for path in values.get("scripts", ()))
        for name in ("seeds", "require", "given"):
            values[name] = tuple(values[name])
        return RunConfig(**values)

    def prepare_out(self) -> Path:
        """Create the result folder and prove that it can be written."""
        probe = self.out / ".writable"
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"the result folder cannot be written ({error.strerror})", f"OUT={self.out}", "choose another with OUT="
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
        words["SEED"] = self.seed
        words.update(changes)
        return " ".join(["make", self.command, *(shlex.quote(f"{name}={value}") for name, value in words.items())])


def _absolute(text: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(text)))


def _checked_file(text: str | None) -> Path | None:
    """FILE as a path that can be sent."""
    if text is None:
        return None
    path = _absolute(text)
    where = f"FILE={text}"
    if not path.exists():
        raise ConfigError("the file to send does not exist", where, "give the path of an existing file")
    if path.is_dir():
        raise ConfigError("the file to send is a directory", where, "give the path of one file")
    try:
        with path.open("rb") as file:
            first = file.read(1)
    except OSError as error:
        raise ConfigError(
            f"the file to send cannot be read ({error.strerror})", where, "check its permissions"
        ) from error
    if not first:
        raise ConfigError("the file to send is empty", where, "give a file of at least one byte")
    if path.stat().st_size > MAX_SIZE:
        raise ConfigError("the file to send is too large", where, f"give at most {MAX_SIZE >> 20} MiB")
    return path


class _Variables:
    """Checked access to the environment; messages name the variable and what was given."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str) -> str | None:
        """The text given, None if none or empty."""
        return self._environment.get(name) or None

    def existing(self, name: str) -> Path | None:
        """The path of something that is there."""
        text = self.text(name)
        if text is None:
            return None
        path = _absolute(text)
        if not path.exists():
            raise ConfigError("there is no such file", f"{name}={text}", "give the path of an existing file")
        return path

    def paths(self, name: str) -> tuple[Path, ...]:
        """Paths of files and folders, separated by blanks; patterns of the shell are resolved."""
        found: list[Path] = []
        for word in (self.text(name) or "").split():
            path = _absolute(word)  # as it is written, or a pattern
            matches = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(str(path)))]
            if not matches:
                raise ConfigError("there is no such file or folder", f"{name}={word}", "give existing files or folders")
            found += matches
        return tuple(found)

    def names(self, *names: str) -> tuple[str, ...]:
        """Those of the names that were given."""
        return tuple(name for name in names if self.text(name) is not None)

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of a closed list."""
        text = self.text(name)
        if text is None:
            return default
        if text not in allowed:
            raise ConfigError(
                f"{name} is not in the allowed set", f"{name}={text}", f"give one of {', '.join(allowed)}"
            )
        return text

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        text = self.text(name)
        if text is None:
            return default
        try:
            value = int(text, 16) if text.lower().startswith("0x") else int(text)
        except ValueError:
            raise ConfigError(
                f"{name} is not a number", f"{name}={text}", f"give a whole number from {low} to {high}"
            ) from None
        if not low <= value <= high:
            raise ConfigError(f"{name} is out of range", f"{name}={text}", f"give a whole number from {low} to {high}")
        return value

    def rate(self, name: str) -> float:
        """A probability."""
        text = self.text(name)
        if text is None:
            return 0.0
        try:
            value = float(text)
        except ValueError:
            raise ConfigError(
                f"{name} is not a number", f"{name}={text}", f"give a rate from 0 to {MAX_RATE}"
            ) from None
        if not 0 <= value <= MAX_RATE:
            raise ConfigError(f"{name} is out of range", f"{name}={text}", f"give a rate from 0 to {MAX_RATE}")
        return value

    def size(self, name: str, default: int) -> int:
        """A byte count, with K or M behind it if wanted."""
        text = self.text(name)
        if text is None:
            return default
        todo = f"give bytes from 1 to {MAX_SIZE >> 20}M, e.g. 256K"
        factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1].upper(), 1)
        try:
            value = int(text[:-1] if factor > 1 else text) * factor
        except ValueError:
            raise ConfigError(f"{name} is not a size", f"{name}={text}", todo) from None
        if not 1 <= value <= MAX_SIZE:
            raise ConfigError(f"{name} is out of range", f"{name}={text}", todo)
        return value

    def numbers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list such as 1-20 or 1,4,9."""
        text = self.text(name)
        if text is None:
            return default
        result: list[int] = []
        try:
            for part in text.split(","):
                first, _, last = part.partition("-")
                result += range(int(first), int(last or first) + 1)
        except ValueError:
            raise ConfigError(f"{name} is not a list of numbers", f"{name}={text}", "give e.g. 1-20 or 1,4,9") from None
        if not result or len(result) > 10_000:
            raise ConfigError(f"{name} names no or too many seeds", f"{name}={text}", "give 1 to 10000 seeds")
        return tuple(result)

    def words(self, name: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        """Words from a closed list, separated by commas or spaces."""
        words = tuple((self.text(name) or "").replace(",", " ").split())
        for word in words:
            if word not in allowed:
                raise ConfigError(
                    f"{name} is not in the allowed set", f"{name}={word}", f"give some of {', '.join(allowed)}"
                )
        return words
