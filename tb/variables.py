"""The variables of a command: their names, kinds, bounds, defaults and units, and how their texts are read.

A variable is given to `make` (`make run LOSS=0.05`) or as an option of `chimney` (`chimney run --loss 0.05`). Both ways
hand texts to one `Reader`, so that bounds and messages are the same. Standard library only: `make help` prints this
table before anything is installed.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SIMULATORS = ("verilator", "icarus")
DEVICES = ("rtl", "model")
#: The TCP at the other end of the wire (tb/peers/choice.py).
PEERS = ("python", "lwip", "gvisor", "linux")
#: What a test may need beyond the base; without it the test is skipped, unless REQUIRE names it.
REQUIRABLE = (*SIMULATORS, "tun", "tshark", "gvisor", "lwip", "x", "chromium", "slurm", "targets")
#: Version of IP.
FAMILIES = ("4", "6")
DATA_WIDTHS = (64, 128, 256, 512)
MAX_CONNS = 64
#: SIM= of a regression: every simulator.
BOTH = "both"
#: What `make regress` runs: the tests of a tier, or random contract operations.
SUITES = ("tests", "contract")
MAX_RATE = 0.5
MAX_SIZE = 64 << 20
MAX_TIME = 3_600_000.0
#: Words for CLUSTER, beside addresses.
CLUSTERS = ("local", "slurm")
#: Seeds of one command, at most; the greatest seed.
MAX_SEEDS, MAX_SEED = 10_000, 0xFFFF_FFFF
#: What the system says of a path at which nothing is.
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

#: Texts by the name of their variable; a tuple holds several words that need no splitting.
Given = Mapping[str, "str | tuple[str, ...]"]


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


class BuildError(Exception):
    """A simulator could not be built: what ended how, then the compiler's words, then where its log is."""

    def told(self) -> ConfigError:
        """The same in the words of other errors."""
        what, _, said = str(self).partition("\n")
        todo = "mend what the compiler names, then the same command again"
        return ConfigError(f"the simulator was not built: {what}", said or "no message", todo)


@dataclass(frozen=True)
class Variable:
    """One variable. `kind` is the method of `Reader` that reads it; `low` and `high` bound an integer.

    They bound each of several `numbers`, too. `default` is read like a given text; `otherwise` says in words what holds
    where there is no such text.
    """

    name: str
    kind: str
    help: str
    default: str = ""
    low: int = 0
    high: int = 0
    choices: tuple[str, ...] = ()
    unit: str = ""
    otherwise: str = ""

    @property
    def option(self) -> str:
        """As `chimney` takes it: --data-w."""
        return "--" + self.name.lower().replace("_", "-")

    @property
    def metavar(self) -> str:
        """What stands for the value in a help text."""
        if self.kind == "choice":
            return "|".join(self.choices)
        shown = {"integer": "N", "rate": "RATE", "size": "BYTES", "numbers": "LIST", "words": "NAMES", "text": "NAME"}
        shown |= {"pattern": "REGEX"}
        shown |= {"duration": "TIME", "cluster": "WHERE"}
        return shown.get(self.kind, "PATH")

    @property
    def range(self) -> str:
        """The values allowed, in words."""
        if self.kind in ("integer", "numbers"):
            return f"{self.low} to {self.high}"
        if self.kind == "flag":
            return "1 or 0"
        return f"0 to {MAX_RATE}" if self.kind == "rate" else ""

    def described(self) -> str:
        """Help, unit, range and default in one line."""
        parts = [part for part in (self.unit and f"in {self.unit}", self.range) if part]
        default = self.otherwise or self.default
        return self.help + "".join(f", {part}" for part in parts) + (f" (default {default})" if default else "")


def _rate(name: str, help_text: str) -> Variable:
    return Variable(name, "rate", f"probability that a frame {help_text}", "0")


TABLE = (
    Variable("FILE", "file", "file to send", otherwise="SIZE bytes made from SEED"),
    Variable("SIZE", "size", "length of the generated file, K and M suffixes", "1M", unit="bytes"),
    Variable(
        "SIM", "choice", "simulator", "verilator", choices=(*SIMULATORS, BOTH), otherwise="verilator; tests take both"
    ),
    Variable("DEVICE", "choice", "the RTL, or the golden device alone", "rtl", choices=DEVICES),
    Variable("PEER", "choice", "the TCP at the other end", "python", choices=PEERS),
    _rate("LOSS", "is lost"),
    _rate("REORDER", "comes late, behind others"),
    _rate("DUP", "comes twice"),
    _rate("CORRUPT", "has a bit wrong"),
    Variable("DELAY", "integer", "delay of each direction", "2", 0, 10_000, unit="ticks"),
    Variable("SEED", "integer", "seed of everything random", "1", 0, MAX_SEED),
    Variable("SEEDS", "numbers", "seeds, a list such as 1-20 or 1,4,9", "", 0, MAX_SEED, otherwise="SEED"),
    Variable("CONNS", "integer", "connections at once", "1", 1, MAX_CONNS),
    Variable(
        "FAMILY", "choice", "version of IP under the connections", "4", choices=FAMILIES,
        otherwise="4; SUITE=contract mixes both",
    ),
    Variable("IM", "integer", "intermediate drivers between host and miniport driver", "0", 0, 8),
    Variable("CUTS", "integer", "times that connections are uploaded, live in software, offloaded again", "0", 0, 1000),
    Variable("ECN", "flag", "offer ECN and agree to it", "0"),
    _rate("MARK", "which says it may be is marked CE"),
    Variable("CUBIC", "flag", "offload the connections with CUBIC instead of Reno", "0"),
    Variable("SACK", "flag", "agree on SACK in the handshakes; without it recovery is NewReno's", "1"),
    Variable("MSS", "integer", "segment size that the peer announces", "1460", 64, 1460, unit="bytes"),
    Variable("VECTORS", "existing", "file of TCP traces, one JSON object a line"),
    Variable("SCRIPTS", "paths", "packetdrill scripts, or folders of them", otherwise="tb/packetdrill"),
    Variable("DATA_W", "choice", "bus width", "512", choices=tuple(map(str, DATA_WIDTHS)), unit="bits"),
    Variable("MEM_LATENCY", "integer", "least latency of host memory", "32", 1, 4096, unit="cycles"),
    Variable("WAVES", "flag", "write waveforms", "0"),
    Variable(
        "MARGIN", "integer", "waves of a replay begin so long before the divergence", "2000", 0, 1_000_000_000,
        unit="cycles",
    ),
    Variable("VIEW", "flag", "open the viewer, not only write what it shows", "1"),
    Variable("TRACE", "flag", "write commits.jsonl.gz, which `check` judges without a simulator", "0"),
    Variable("COVER", "flag", "Verilator counts lines, branches and toggles, for `coverage`", "0"),
    Variable("OUT", "path", "result folder", otherwise="sim_build/run"),
    Variable("TEST", "text", "only tests whose name contains this, or one of several words"),
    Variable(
        "TIER", "text", "tests to run: a tier contains the ones before it; TEST without it looks in all", "test",
        choices=("test", "all", "regress"),
    ),
    Variable("SUITE", "choice", "tests, or random operations against the whole contract", "tests", choices=SUITES),
    Variable("FILTER", "pattern", "only jobs in whose name this regular expression is found"),
    Variable("TIME", "duration", "hand out no more jobs after this, e.g. 90s, 30m, 2h", otherwise="no bound"),
    Variable("CLUSTER", "cluster", "where jobs run: local, slurm, or a Dask scheduler's tcp://HOST:PORT", "local"),
    Variable("RESUME", "flag", "go on with the last run, if tree and selection are the same", "0"),
    Variable("OPS", "integer", "random operations a seed with SUITE=contract", "1000", 1, 1_000_000),
    Variable(
        "FRAMES", "integer", "attack frames a seed", "0", 0, 1_000_000,
        otherwise="100000 on the golden device, 2000 on the RTL",
    ),
    Variable("WHOLE", "flag", "the attack takes the whole port of the RTL: goodput does not count", "0"),
    Variable(
        "JOBS", "integer", "simulations at a time", str(min(4, os.cpu_count() or 1)), 1, 256,
        otherwise="one a core, at most 4",
    ),
    Variable(
        "REQUIRE", "words", "what must be there, e.g. icarus,tun; what lacks it fails (coverage: targets)",
        choices=REQUIRABLE,
    ),
    Variable("ID", "text", "sabotages, proofs or entries of `nightly` by id, or patterns such as b0*", otherwise="all"),
    Variable("PATCH", "path", "any diff of hdl/ or model/ as a sabotage; with DUT a diff of that folder"),
    Variable("DUT", "path", "folder of a device of your own (docs/your-own-dut.md)"),
    Variable(
        "COMMITS", "path", "trace to check, of a run with TRACE=1 or of another device",
        otherwise="sim_build/run/commits.jsonl.gz",
    ),
    Variable("FAILURE", "path", "the failure folder that a failed run printed"),
    Variable(
        "AT", "integer", "where the marker of the waves stands", "0", 0, 1_000_000_000, unit="cycles",
        otherwise="the first divergence",
    ),
    Variable(
        "FOLDER", "path", "run, test run or regression to report", otherwise="the newest of regress/latest, test, run"
    ),
)  # fmt: skip
VARIABLES = {variable.name: variable for variable in TABLE}


def absolute(text: str) -> Path:
    """A path as the user meant it."""
    return Path(os.path.abspath(os.path.expanduser(text)))


def there(path: Path, where: str, what: str = "this path cannot be looked at", todo: str = "give another one") -> bool:
    """Whether something is at a path; ConfigError if that cannot be told, or if it is a folder that is closed."""
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            os.stat(f"{path}/.")  # only where the folder may be searched
    except OSError as error:
        if error.errno in NOT_THERE:
            return False
        raise ConfigError(f"{what} ({error.strerror})", where, todo) from None
    except ValueError:  # a NUL: there is no such name
        return False
    return True


def checked_file(text: str | None) -> Path | None:
    """FILE as a path that can be sent."""
    if text is None:
        return None
    path = absolute(text)
    where = f"FILE={text}"
    if not there(path, where, "the file to send cannot be read", "give the path of an existing file"):
        raise ConfigError("the file to send does not exist", where, "give the path of an existing file")
    if path.is_dir():
        raise ConfigError("the file to send is a directory", where, "give the path of one file")
    if not path.is_file():
        raise ConfigError("the file to send is no regular file", where, "copy it into a file and give that")
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


class Reader:
    """Checked access to the texts given; messages name the variable and what was given."""

    def __init__(self, environment: Given) -> None:
        self._environment = environment

    def text(self, name: str) -> str | None:
        """The text given, None if none or empty."""
        given = self._environment.get(name) or None
        return " ".join(given) if isinstance(given, tuple) else given

    def listed(self, name: str) -> tuple[str, ...]:
        """The words given: those of a text are separated by blanks."""
        given = self._environment.get(name) or ()
        return tuple(given.split()) if isinstance(given, str) else given

    def path(self, name: str, what: str = "this path cannot be looked at") -> Path | None:
        """A path at which there may be nothing; ``what`` is said where the system cannot tell."""
        text = self.text(name)
        if text is None:
            return None
        path = absolute(text)
        there(path, f"{name}={text}", what)
        return path

    def existing(self, name: str) -> Path | None:
        """The path of something that is there."""
        path, where = self.path(name), f"{name}={self.text(name)}"
        if path is not None and not there(path, where):
            raise ConfigError("there is no such file", where, "give the path of an existing file")
        return path

    def paths(self, name: str) -> tuple[Path, ...]:
        """Paths of files and folders, separated by blanks; patterns of the shell are resolved."""
        found: list[Path] = []
        for word in self.listed(name):
            path = absolute(word)  # as it is written, or a pattern
            found_as_written = there(path, f"{name}={word}")
            matches = [path] if found_as_written else [Path(match) for match in sorted(glob.glob(str(path)))]
            if not matches:
                raise ConfigError("there is no such file or folder", f"{name}={word}", "give existing files or folders")
            found += matches
        return tuple(found)

    def names(self, *names: str) -> tuple[str, ...]:
        """Those of the names that were given."""
        return tuple(name for name in names if self.text(name) is not None)

    def choice(self, name: str) -> str:
        """One of a closed list."""
        text, allowed = self.text(name), VARIABLES[name].choices
        if text is None:
            return VARIABLES[name].default
        if text not in allowed:
            raise ConfigError(
                f"{name} is not in the allowed set", f"{name}={text}", f"give one of {', '.join(allowed)}"
            )
        return text

    def flag(self, name: str) -> bool:
        """1 or 0."""
        text = self.text(name) or VARIABLES[name].default
        if text not in ("0", "1"):
            raise ConfigError(f"{name} is not in the allowed set", f"{name}={text}", "give one of 0, 1")
        return text == "1"

    def integer(self, name: str) -> int:
        """A whole number within bounds."""
        low, high = VARIABLES[name].low, VARIABLES[name].high
        text = self.text(name) or VARIABLES[name].default
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
        text = self.text(name) or VARIABLES[name].default
        try:
            value = float(text)
        except ValueError:
            raise ConfigError(
                f"{name} is not a number", f"{name}={text}", f"give a rate from 0 to {MAX_RATE}"
            ) from None
        if not 0 <= value <= MAX_RATE:
            raise ConfigError(f"{name} is out of range", f"{name}={text}", f"give a rate from 0 to {MAX_RATE}")
        return value

    def size(self, name: str) -> int:
        """A byte count, with K or M behind it if wanted."""
        text = self.text(name) or VARIABLES[name].default
        todo = f"give bytes from 1 to {MAX_SIZE >> 20}M, e.g. 256K"
        factor = {"K": 1 << 10, "M": 1 << 20}.get(text[-1].upper(), 1)
        try:
            value = int(text[:-1] if factor > 1 else text) * factor
        except ValueError:
            raise ConfigError(f"{name} is not a size", f"{name}={text}", todo) from None
        if not 1 <= value <= MAX_SIZE:
            raise ConfigError(f"{name} is out of range", f"{name}={text}", todo)
        return value

    def duration(self, name: str) -> float:
        """Seconds, from a number with s, m or h behind it; 0 if not given."""
        text = self.text(name)
        if text is None:
            return 0.0
        factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1].lower())
        try:
            value = float(text[:-1] if factor else text) * (factor or 1)
        except ValueError:
            value = 0.0
        if not 0 < value <= MAX_TIME:
            raise ConfigError(f"{name} is not a time", f"{name}={text}", "give e.g. 90s, 30m or 2h, at most 1000h")
        return value

    def cluster(self, name: str) -> str:
        """The word local or slurm, or the address of a scheduler."""
        text = self.text(name) or VARIABLES[name].default
        if text not in CLUSTERS and not re.fullmatch(r"(tcp|tls)://[\w.:\[\]-]+:\d+", text):
            raise ConfigError(
                f"{name} is not a cluster", f"{name}={text}", "give local, slurm or an address such as tcp://host:8786"
            )
        return text

    def pattern(self, name: str) -> str | None:
        """A regular expression."""
        text = self.text(name)
        try:
            re.compile(text or "")
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigError(
                f"{name} is not a regular expression ({error})", f"{name}={text}", "give one of Python's syntax"
            ) from None
        return text

    def numbers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list such as 1-20 or 1,4,9, each number once."""
        low, high = VARIABLES[name].low, VARIABLES[name].high
        text = self.text(name)
        if text is None:
            return default
        result: list[int] = []
        try:
            for part in text.split(","):
                first, _, last = part.partition("-")
                result += range(int(first), min(int(last or first), int(first) + MAX_SEEDS) + 1)
                if len(result) > MAX_SEEDS:
                    break
        except ValueError:
            raise ConfigError(f"{name} is not a list of numbers", f"{name}={text}", "give e.g. 1-20 or 1,4,9") from None
        if not result or len(result) > MAX_SEEDS:
            raise ConfigError(f"{name} names no or too many seeds", f"{name}={text}", f"give 1 to {MAX_SEEDS} seeds")
        if min(result) < low or max(result) > high:
            raise ConfigError(f"{name} is out of range", f"{name}={text}", f"give whole numbers from {low} to {high}")
        if len(set(result)) < len(result):
            again = Counter(result).most_common(1)[0][0]
            raise ConfigError(f"{name} names seed {again} more than once", f"{name}={text}", "give each seed once")
        return tuple(result)

    def words(self, name: str) -> tuple[str, ...]:
        """Words from a closed list, separated by commas or spaces."""
        allowed = VARIABLES[name].choices
        words = tuple((self.text(name) or "").replace(",", " ").split())
        for word in words:
            if word not in allowed:
                raise ConfigError(
                    f"{name} is not in the allowed set", f"{name}={word}", f"give some of {', '.join(allowed)}"
                )
        return words
