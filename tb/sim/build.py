"""Build a simulator for a spec, once: an unchanged spec finds the earlier build.

cocotb's own runner writes the commands; the subclasses here change what toolchain experience asks for. Verilator: only
the names of the top's PYTHON section are public (a control file instead of `--public-flat-rw`), `--timing`, FST waves
where the headers exist, the wheel's make variables, no trace of an outer make. Icarus: `-g2012`, dump file by plusarg.
Waves of tb_top are opened by tb/hdl/wave_window.v, from a cycle on (tb.sim.run).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import cocotb_tools.config
from cocotb_tools.runner import Icarus, Verilator

from tb.sim.process import ProcessTimeoutError, run_bounded, status_words
from tb.sim.spec import SimSpec
from tb.sim.tools import has_fst
from tb.variables import BuildError as BuildError

#: Seconds; a build that takes longer is broken.
BUILD_TIMEOUT = 900.0
#: Builds kept under sim_build/<simulator>, newest first.
KEPT_BUILDS = 24
MARKER = "build.json"
TIMESCALE = ("1ns", "1ps")
#: Unknown values are random, a new pattern each run (the seed is a plusarg).
RANDOM_X = ("--x-assign", "unique", "--x-initial", "unique")
#: `make lint` judges the sources; a build only translates them.
QUIET = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-MULTIDRIVEN")
OUTPUT_SPLIT = ("--output-split", "20000", "--output-split-cfuncs", "5000")
COVERAGE = ("--coverage-line", "--coverage-expr", "--coverage-toggle")
#: Bits: wider signals (whole records and states, whose fields are signals of their own) are not looked at for toggles.
TOGGLE_WIDTH = 512
#: What is compiled at -O2 runs no faster than at -O1 beside Python, and takes half as long again to compile.
COMPILE_OPTIONS = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2")


@dataclass(frozen=True)
class BuildResult:
    """A simulator ready to run."""

    spec: SimSpec
    directory: Path
    seconds: float
    reused: bool
    wave_format: str | None

    @property
    def log(self) -> Path:
        """What the compilers said."""
        return self.directory / "build.log"


class Captured(Exception):  # noqa: N818 - not an error: how a runner hands over what it would have run
    """The one command of a simulation and its environment, instead of a run."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__(command[0])
        self.command = tuple(command)
        self.environment = dict(environment)


class _Bounded:
    """What both runners share: commands run with a bound, a log and a clean environment."""

    env: dict[str, str]
    log_file: str | os.PathLike[str] | None
    timeout: float = BUILD_TIMEOUT
    base_environment: Mapping[str, str]
    return_code: int = 0
    append_log: bool = False
    #: Raise `Captured` instead of running anything.
    capture: bool = False

    def _run_commands(self, commands: Sequence[list[str]], cwd: str | os.PathLike[str]) -> None:
        """Run all commands in one log; the first that fails ends it."""
        if self.capture:
            raise Captured(commands[0], self._clean())
        log = Path(str(self.log_file)) if self.log_file is not None else None
        for number, command in enumerate(commands):
            self.return_code = run_bounded(
                command,
                cwd=Path(cwd),
                env=self._clean(),
                log=log,
                timeout=self.timeout,
                append=self.append_log or number > 0,
            )
            if self.return_code != 0:
                raise BuildError(f"{Path(command[0]).name} {status_words(self.return_code)}")

    def _clean(self) -> dict[str, str]:
        """The runner's environment, with PATH and the make variables as the tool wants them."""
        env = {
            name: value for name, value in self.env.items() if name in self.base_environment or name not in os.environ
        }
        env["PATH"] = f"{self.base_environment['PATH']}{os.pathsep}{cocotb_tools.config.libs_dir}"
        env.update({n: v for n, v in self.base_environment.items() if n == "VERILATOR_ROOT"})
        return env


class ChimneyVerilator(_Bounded, Verilator):
    """cocotb's Verilator runner with the flags of this project."""

    spec: SimSpec
    want_waves: bool = False

    def _build_command(self) -> list[list[str]]:
        """Translate, then compile."""
        control = self.build_dir / "public.vlt"
        control.write_text(control_file(self.spec))
        libraries = cocotb_tools.config.libs_dir
        jobs = str(min(4, os.cpu_count() or 1))
        translate = [
            str(self.spec.tool.executable), "--cc", "--exe", "--vpi", "--timing", "-Mdir", str(self.build_dir),
            "--top-module", self.spec.top, "--prefix", "Vtop", "-o", self.spec.top,
            "-O3", *RANDOM_X, *QUIET, *OUTPUT_SPLIT,
            "--timescale", "/".join(TIMESCALE), "-j", jobs,
            "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator",
            *trace_flags(self.spec), *coverage_flags(self.spec), *self.spec.extra_args,
            *self._get_define_options(self.spec.defines), *self._get_include_options(self.spec.includes),
            *self._get_parameter_options(self.spec.parameters),
            str(cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"), str(control),
            *map(str, self.spec.sources),
        ]  # fmt: skip
        compile_it = [
            "make", "-j", jobs, "-C", str(self.build_dir), "-f", "Vtop.mk", f"VM_TRACE={int(self.spec.waves)}",
            *COMPILE_OPTIONS, *self.spec.tool.make_variables,
        ]  # fmt: skip
        return [translate, compile_it]

    def _run_commands(self, commands: Sequence[list[str]], cwd: str | os.PathLike[str]) -> None:
        """Between the two commands of a build, lend the compiled runtime of an earlier build with the same flags."""
        if len(commands) == 1:
            super()._run_commands(commands, cwd)
            return
        shelf = self.spec.build_root / "verilator" / f"runtime-{runtime_key(self.spec)}"
        super()._run_commands(commands[:1], cwd)
        lend(shelf, self.build_dir)
        self.append_log = True
        super()._run_commands(commands[1:], cwd)
        keep(self.build_dir, shelf)
        for pattern in ("*.gch", "*.o", "*.a"):  # two hundred megabytes that only a second make would want
            for path in self.build_dir.glob(pattern):
                path.unlink()

    def _test_command(self) -> list[list[str]]:
        """Run the built program."""
        all_of_it = self.want_waves and not self.spec.has_window
        trace = ["--trace", "--trace-file", str(self.test_dir / wave_name(self.spec))] if all_of_it else []
        return [[str(self.build_dir / self.spec.top), *trace, *self.test_args, *self.plusargs]]

    def _execute_cmds(
        self, cmds: Sequence[list[str]], cwd: str | os.PathLike[str], stdout: TextIO | None = None
    ) -> None:
        self._run_commands(cmds, cwd)


class ChimneyIcarus(_Bounded, Icarus):
    """cocotb's Icarus runner with the flags of this project."""

    spec: SimSpec
    want_waves: bool = False

    def _build_command(self) -> list[list[str]]:
        """Compile."""
        self.waves = self.spec.waves and not self.spec.has_window
        return super()._build_command()

    def _test_command(self) -> list[list[str]]:
        """Run the compiled program."""
        file = [] if self.spec.has_window else [f"+dumpfile_path={self.test_dir / wave_name(self.spec)}"]
        waves = ["-fst", *file] if self.want_waves else ["-none"]
        library = cocotb_tools.config.lib_entry("vpi", "icarus")
        return [["vvp", "-n", "-m", library, *self.test_args, str(self.sim_file), *waves, *self.plusargs]]

    def _execute_cmds(
        self, cmds: Sequence[list[str]], cwd: str | os.PathLike[str], stdout: TextIO | None = None
    ) -> None:
        self._run_commands(cmds, cwd)


def make_runner(spec: SimSpec) -> ChimneyVerilator | ChimneyIcarus:
    """The runner for a spec's simulator."""
    runner: ChimneyVerilator | ChimneyIcarus = ChimneyVerilator() if spec.tool.kind == "verilator" else ChimneyIcarus()
    runner.spec = spec
    runner.base_environment = spec.tool.environment()
    return runner


def runtime_key(spec: SimSpec) -> str:
    """What the compiled runtime library of Verilator depends on."""
    facts = [
        spec.tool.label, str(spec.tool.executable), wave_format(spec), spec.coverage, COMPILE_OPTIONS,
        spec.tool.make_variables,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def lend(shelf: Path, directory: Path) -> None:
    """Copy compiled runtime objects into a new build; make finds them newer than their sources."""
    for path in shelf.glob("verilated*.[od]"):
        shutil.copyfile(path, directory / path.name)


def keep(directory: Path, shelf: Path) -> None:
    """Put the compiled runtime objects aside for the next build."""
    shelf.mkdir(parents=True, exist_ok=True)
    for path in directory.glob("verilated*.[od]"):
        if not (shelf / path.name).exists():
            temporary = shelf / f"{path.name}.{os.getpid()}"
            shutil.copyfile(path, temporary)
            temporary.replace(shelf / path.name)


def control_file(spec: SimSpec) -> str:
    """Verilator's list of what the testbench may touch."""
    rights = {"reg": "public_flat_rw", "wire": "public_flat_rd"}
    lines = ["`verilator_config"]
    lines += [f'{rights[kind]} -module "{spec.top}" -var "{name}"' for name, kind in spec.public_names().items()]
    lines += [f'public_flat_rd -module "{module}" -var "{array}"' for module, array in spec.public_tables]
    return "\n".join(lines) + "\n"


def wave_format(spec: SimSpec) -> str | None:
    """Fst or vcd, None without waves."""
    if not spec.waves:
        return None
    return "fst" if spec.tool.kind == "icarus" or has_fst() else "vcd"


def wave_name(spec: SimSpec) -> str:
    """The wave file's name in the run's folder."""
    return f"waves.{wave_format(spec)}"


def trace_flags(spec: SimSpec) -> list[str]:
    """Verilator's flags for waves; tables and other deep arrays are left out."""
    kind = wave_format(spec)
    if kind is None:
        return []
    return ["--trace-fst" if kind == "fst" else "--trace", "--trace-max-width", "4096", "--trace-max-array", "8"]


def coverage_flags(spec: SimSpec) -> list[str]:
    """Verilator's flags for coverage: lines and branches, expressions, toggles of signals up to so many bits."""
    return [*COVERAGE, "--coverage-max-width", str(TOGGLE_WIDTH)] if spec.coverage else []


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file: two runs that want the same build make it once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(spec: SimSpec, *, say: Callable[[str], None] = lambda _: None) -> BuildResult:
    """Build the simulator of a spec, or find it built. `say` gets one line before a build starts."""
    directory = spec.build_dir()
    started = time.monotonic()
    with locked(directory.with_suffix(".lock")):
        if (directory / MARKER).exists():
            os.utime(directory / MARKER)
            return BuildResult(spec, directory, time.monotonic() - started, True, wave_format(spec))
        if spec.waves and wave_format(spec) == "vcd":
            say("waves are written as VCD: lz4.h or zlib.h is missing (apt-get install liblz4-dev zlib1g-dev)")
        say(f"building {directory.name} with {spec.tool.label} ...")
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        runner = make_runner(spec)
        try:
            runner.build(
                sources=spec.sources,
                includes=spec.includes,
                defines=spec.defines,
                parameters=spec.parameters,
                build_args=list(spec.extra_args),
                hdl_toplevel=spec.top,
                build_dir=directory,
                timescale=TIMESCALE,
                log_file=directory / "build.log",
            )
        except (BuildError, ProcessTimeoutError) as error:
            raise BuildError(
                f"{error}\n{log_tail(directory / 'build.log')}\nwhole log: {directory / 'build.log'}"
            ) from None
        seconds = time.monotonic() - started
        facts = {"tool": spec.tool.label, "parameters": dict(spec.parameters), "seconds": round(seconds, 1)}
        (directory / MARKER).write_text(json.dumps(facts, indent=1))
    prune(directory.parent)
    return BuildResult(spec, directory, seconds, False, wave_format(spec))


def log_tail(log: Path, lines: int = 25) -> str:
    """The end of a log, errors first if it names any."""
    if not log.exists():
        return "(no log)"
    text = log.read_text(errors="replace").splitlines()
    errors = [line for line in text if "error" in line.lower()]
    return "\n".join((errors or text)[:lines] if errors else text[-lines:])


def prune(folder: Path) -> None:
    """Delete all but the newest builds; one that is being made has no marker and stays."""
    markers = sorted(folder.glob(f"*/{MARKER}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for marker in markers[KEPT_BUILDS:]:
        with contextlib.suppress(OSError):
            marker.unlink()
        shutil.rmtree(marker.parent, ignore_errors=True)
        marker.parent.with_suffix(".lock").unlink(missing_ok=True)
