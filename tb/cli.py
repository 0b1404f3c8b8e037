"""`python -m tb.cli COMMAND`: the table of commands behind `make`.

A command is a module with `main(config: RunConfig) -> int` (the exit status). Modules are imported only when their
command is called, so `help`, `doctor` and `clean` work before anything is installed.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Command:
    """One make target: where its `main` is, what it does, which variables it takes."""

    module: str
    summary: str
    variables: str = ""


NETWORK = "LOSS REORDER DUP CORRUPT DELAY"
COMMANDS: dict[str, Command] = {
    "run": Command(
        "tb.run",
        "send FILE through the device, over a bad network, and back",
        f"FILE SIZE SIM DEVICE PEER {NETWORK} SEED CONNS FAMILY DATA_W MSS MEM_LATENCY IM CUTS ECN MARK CUBIC SACK "
        "WAVES OUT",
    ),
    "serve": Command(
        "tb.run",
        "serve FILE over HTTP through the device to curl on this machine's kernel",
        f"FILE SIZE SIM DEVICE {NETWORK} SEED DATA_W OUT",
    ),
    "test": Command(
        "tb.testing.runner", "lint, then every test of tier `test`, on both simulators", "SIM TEST REQUIRE SEED JOBS"
    ),
    "test-all": Command("tb.testing.runner", "the tests of every tier", "SIM TEST REQUIRE SEED JOBS"),
    "regress": Command(
        "tb.testing.runner",
        "the RTL tests of a tier, or random contract operations, for each of SEEDS",
        "TIER SEEDS SIM TEST JOBS SUITE DEVICE OPS FAMILY",
    ),
    "soak": Command("tb.soak", "the main job over many seeds", f"SIM DATA_W SEEDS SIZE CONNS MSS {NETWORK} JOBS"),
    "interop": Command(
        "tb.interop",
        "the main job against another TCP (PEER) over a bad network, for each of SEEDS",
        f"PEER SEEDS DEVICE SIM DATA_W SIZE {NETWORK} JOBS",
    ),
    "goodput": Command(
        "tb.goodput", "bulk data against gVisor's on the same bottleneck, same losses", "SEEDS SIZE LOSS DEVICE"
    ),
    "hostile": Command(
        "tb.hostile.run",
        "attack frames at the port beside eight good connections, and how these fare",
        "SEEDS FRAMES DEVICE SIM DATA_W SIZE DELAY JOBS",
    ),
    "plan": Command("tb.plan", "which rules of the NDIS contract were exercised, where, and held"),
    "bench": Command("tb.bench", "measure bus share, engine cycles, simulation speed", "SEED"),
    "seam": Command(
        "tb.seam",
        "upload and offload again in every state of a connection, compare, judge the wire",
        "SEED SIM JOBS FAMILY",
    ),
    "vectors": Command(
        "tb.script.run_vectors",
        "play TCP traces (JSON lines) against the device",
        "VECTORS DEVICE SIM DATA_W SEED JOBS",
    ),
    "packetdrill": Command(
        "tb.script.run_packetdrill",
        "play packetdrill scripts against the device (default: tb/packetdrill)",
        "SCRIPTS DEVICE SIM DATA_W SEED JOBS",
    ),
    "sabotage": Command("tb.sabotage.run", "break one line and see which check notices", "ID PATCH"),
    "synth": Command("tb.synth", "synthesize with Yosys: no latches, tables as memories", "DATA_W CONNS"),
    "lint": Command("tb.testing.lint", "generated files current, ruff, mypy, Verilator -Wall"),
    "replay": Command("tb.replay", "run a recorded failure again, exactly", "FAILURE WAVES"),
    "doctor": Command("tb.doctor", "what this machine has and what to install"),
    "docs-test": Command("tb.docs_test", "run every command of the README and docs/"),
    "layout": Command("tb.testing.layout", "generate includes, codecs and the reference page from the layout source"),
}

VARIABLE_HELP = (
    ("FILE", "file to send (default: 1 MiB made from SEED)"),
    ("SIM", "verilator or icarus (default verilator; `make test` takes both)"),
    ("DEVICE", "rtl or model (default rtl)"),
    ("PEER", "python, lwip, gvisor or linux: the TCP at the other end (default python)"),
    ("LOSS REORDER DUP CORRUPT", "probabilities a frame, 0 to 0.5 (default 0)"),
    ("DELAY", "delay of each direction in ticks (default 2)"),
    ("SEED, SEEDS", "a number; a list such as 1-20 or 1,4,9 (default 1)"),
    ("SIZE", "bytes of the generated file (K and M suffixes; default 1M)"),
    ("CONNS", "connections at once, 1 to 64 (default 1)"),
    ("FAMILY", "version of IP under the connections, 4 or 6 (default 4; SUITE=contract mixes both)"),
    ("IM", "intermediate drivers between host and miniport driver, 0 to 8 (default 0)"),
    ("CUTS", "times that connections are uploaded, live in software, are offloaded again (default 0)"),
    ("ECN", "1 offers ECN and agrees to it (default 0)"),
    ("MARK", "probability that a frame which says it may be is marked CE, 0 to 0.5 (default 0)"),
    ("CUBIC", "1 offloads the connections with CUBIC instead of Reno (default 0)"),
    ("SACK", "0 leaves SACK out of the handshakes: recovery is NewReno's (default 1)"),
    ("MSS", "segment size the peer announces, 64 to 1460 (default 1460)"),
    ("VECTORS", "file of TCP traces, one JSON object a line"),
    ("SCRIPTS", "packetdrill scripts, or folders of them"),
    ("DATA_W", "bus width in bits: 64, 128, 256, 512 (default 512)"),
    ("MEM_LATENCY", "least latency of host memory in cycles, 1 to 4096 (default 32)"),
    ("WAVES", "1 writes waveforms (default 0)"),
    ("OUT", "result folder (default sim_build/run)"),
    ("TEST", "only tests whose name contains this"),
    ("TIER", "test, all or regress: what `make regress` runs (default test)"),
    ("SUITE", "tests, or contract: random operations against the whole contract (default tests)"),
    ("OPS", "random operations a seed with SUITE=contract (default 1000)"),
    ("FRAMES", "attack frames a seed of `make hostile` (default 100000 on the golden device, 2000 on the RTL)"),
    ("JOBS", "simulations at a time (default: one a core, at most 4)"),
    ("REQUIRE", "what must be there, e.g. icarus,tun; tests that lack it then fail instead of skip"),
    ("ID, PATCH", "one sabotage by its id, or any diff"),
    ("FAILURE", "the failure folder that a failed run printed"),
)


def print_help() -> None:
    """List targets and variables."""
    print("Chimney: a TCP chimney offload NIC in Verilog, held to a golden model event by event.\n")
    print("targets")
    for name, command in {**COMMANDS, "clean": Command("", "delete everything under sim_build/")}.items():
        print(f"  make {name:<11} {command.summary}")
        if command.variables:
            print(f"  {'':<16} {command.variables}")
    print("\nvariables (make run LOSS=0.02 SEED=7)")
    for names, text in VARIABLE_HELP:
        print(f"  {names:<25} {text}")


def clean() -> None:
    """Delete what builds and runs left behind."""
    for path in (ROOT / "sim_build").iterdir():
        if path.name in (".gitignore", ".bootstrap.lock"):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def dispatch(name: str) -> int:
    """Import the module of a command and run it with the configuration of this call."""
    from tb.config import ConfigError, RunConfig

    command = COMMANDS[name]
    try:
        if importlib.util.find_spec(command.module) is None:
            raise ModuleNotFoundError(name=command.module)
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if error.name is None or not command.module.startswith(error.name):
            raise
        print(f"error: `make {name}` is not in this version (no module {command.module})", file=sys.stderr)
        return 2
    try:
        status: int = module.main(RunConfig.from_environment(name))
    except ConfigError as error:
        print(error.report(), file=sys.stderr)
        return 2
    return status


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt  # not by way of SIGINT, which a shell lets its background jobs ignore


def main(arguments: list[str]) -> int:
    """Run one command; the return value is the process's exit status."""
    name = arguments[0] if arguments else "help"
    if name == "help":
        print_help()
        return 0
    if name == "clean":
        clean()
        return 0
    if name == "doctor":
        from tb import doctor

        return doctor.main()
    if name not in COMMANDS:
        print(f"error: there is no command {name!r}; `make help` lists them", file=sys.stderr)
        return 2
    # A polite end (a time limit, a closing terminal) takes the same way out as Ctrl-C: no orphans, files closed.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return dispatch(name)
    except KeyboardInterrupt:
        print(f"\ninterrupted: make {name}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
