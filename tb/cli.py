"""`python -m tb.cli COMMAND`: what stands behind `make`; variables come from the environment (tb/variables.py).

Modules are imported only when their command is called, so `help`, `doctor` and `clean` work before anything is
installed. `chimney` (tb/command_line.py) calls the same modules.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import signal
import sys
from types import FrameType, ModuleType
from typing import TYPE_CHECKING

from tb.commands import COMMANDS
from tb.variables import TABLE, VARIABLES, ConfigError

if TYPE_CHECKING:
    from tb.config import RunConfig

#: Exit statuses (docs/command-line.md). Commands may have more of their own.
GOOD, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
#: The environment variable in which the Makefile says what was typed; what may be: it is for make and compilers.
TYPED = "CHIMNEY_TYPED"
OF_MAKE = ("PYTHON", "SHELL", "MAKEFLAGS", "CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "AR", "NO_COLOR")
#: Commands that take no variables and need nothing but the standard library.
BARE = ("doctor", "clean")


def print_help() -> None:
    """List targets and variables."""
    print("Chimney: a TCP chimney offload NIC in Verilog, held to a golden model event by event.\n")
    print("targets")
    for name, command in COMMANDS.items():
        print(f"  make {name:<11} {command.summary}")
        if command.variables:
            print(f"  {'':<16} {command.variables}")
    print("\nvariables (make run LOSS=0.02 SEED=7)")
    for variable in TABLE:
        print(f"  {variable.name:<12} {variable.described()}")
        if variable.kind in ("choice", "words"):
            print(f"  {'':<12} {', '.join(variable.choices)}")
    print("\nthe same as a command line: .venv/bin/chimney --help (made by the first command that installs)")


def module_of(name: str) -> ModuleType:
    """The module of a command; raises ModuleNotFoundError naming it if this version has none."""
    wanted = COMMANDS[name].module
    if importlib.util.find_spec(wanted) is None:
        raise ModuleNotFoundError(name=wanted)
    return importlib.import_module(wanted)


def call(config: RunConfig) -> int:
    """Run the command of a configuration; its exit status."""
    status: int = module_of(config.command).main(config)
    return status


def dispatch(name: str) -> int:
    """Import the module of a command and run it with the configuration of this call."""
    from tb.config import ConfigError, RunConfig
    from tb.variables import BuildError

    try:
        return call(RunConfig.from_environment(name))
    except ModuleNotFoundError as error:
        if error.name is None or not COMMANDS[name].module.startswith(error.name):
            raise
        print(f"error: `make {name}` is not in this version (no module {error.name})", file=sys.stderr)
    except ConfigError as error:
        print(error.report(), file=sys.stderr)
    except BuildError as error:
        print(error.told().report(), file=sys.stderr)
        return FAILED
    return WRONG


def unknown_variables() -> ConfigError | None:
    """What is said of variables that were typed behind `make` (the Makefile names them) and that nobody reads."""
    unknown = [name for name in os.environ.get(TYPED, "").split() if name not in VARIABLES and name not in OF_MAKE]
    if not unknown:
        return None
    near = dict.fromkeys(known for name in unknown for known in difflib.get_close_matches(name.upper(), VARIABLES, n=1))
    meant = f"perhaps {' or '.join(near)} is meant; " if near else ""
    given = " ".join(f"{name}={os.environ.get(name, '')}" for name in unknown)
    return ConfigError("there is no such variable", given, f"{meant}`make help` lists them")


def heed_interrupts() -> None:
    """Let a polite end (a time limit, a closing terminal) take the same way out as Ctrl-C: no orphans, files closed.

    Only the first of them interrupts; what comes while the command cleans up is not heard. A shell lets its
    background jobs ignore SIGINT, and that is kept.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run one command; the return value is the process's exit status."""
    name = arguments[0] if arguments else "help"
    if name == "help":
        print_help()
        return GOOD
    if arguments[1:]:
        print(
            f"error: {name} takes no {arguments[1]!r}\n  where: {' '.join(arguments)}\n"
            f"  what to do: give variables to make (`make {name} SIM=icarus`, `make help` lists them) or options to "
            f"chimney (`chimney {name} --help`)",
            file=sys.stderr,
        )
        return WRONG
    if name in BARE:
        status: int = module_of(name).main()
        return status
    if name not in COMMANDS:
        print(f"error: there is no command {name!r}; `make help` lists them", file=sys.stderr)
        return WRONG
    unknown = unknown_variables()
    if unknown is not None:
        print(unknown.report(), file=sys.stderr)
        return WRONG
    heed_interrupts()
    try:
        return dispatch(name)
    except KeyboardInterrupt:
        print(f"\ninterrupted: make {name}", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
