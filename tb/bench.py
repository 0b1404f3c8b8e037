"""`make bench`: bus shares, engine cycles, latencies, and how fast the simulation is. Writes bench.json.

Every figure is taken from what the monitors and the recorder wrote while lockstep and checkers were on; only
`sim_cycles_per_second_bare` plays the same traffic again in HDL alone (tb/hdl/bench_top.v, a simulator without VPI).
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from model.layout.generated import Cqe, CqKind, Opcode, RecCq, RecTcp, TcpEvt, TxKind, Txq, Verdict
from tb.config import ROOT, RunConfig
from tb.device.addresses import host_base
from tb.device.model_loop import MEMORY_BYTES
from tb.farm.history import keep_figures, writing
from tb.farm.results import HISTORY_NAME, ResultsWriter
from tb.files import shown
from tb.progress import Meter
from tb.session.bench import Play
from tb.session.summary import commit_id
from tb.sim.build import COMPILE_OPTIONS, MARKER, OUTPUT_SPLIT, QUIET, RANDOM_X, TIMESCALE, build, locked
from tb.sim.process import run_bounded
from tb.sim.run import RECORDS_NAME, replay_command, run
from tb.sim.spec import TRANSACTORS, chimney_spec, design_sources, needed_sources, unit_spec
from tb.sim.tools import Tool, find

OUT = ROOT / "sim_build" / "bench"
TEST_MODULE = "tb.tests.rtl.bench_test"
ENGINE_MODULE = "tb.tests.rtl.bench_engine_test"
INVALIDATE_MODULE = "tb.tests.rtl.bench_invalidate_test"
#: Connections the simulated device is built for.
BUILT_CONNS = 64
MSS = 1460
#: Bytes of a frame that carries a full segment without options.
FULL = 14 + 20 + 20 + MSS
#: Frames up to this length carry no payload (pure acknowledgments, padded).
NO_PAYLOAD = 60
#: The bus share is taken from the first beat of one full-size frame to the last beat of another, counted from 1.
FIRST, LAST = 33, 1032
#: Full-size frames of a run, and of a run on Icarus, where only the speed counts.
FRAMES, ICARUS_FRAMES = 1100, 120
#: Frames of at least this many bytes count as full-size packets in the speed of the simulation.
FULL_SIZE_PACKET = 1000
TIMEOUT = 1800.0


class BenchError(Exception):
    """A run of the bench failed; the message says which and where its log is."""


@dataclass(frozen=True)
class Frame:
    """A frame on the wire: cycles of its first and last beat, bytes."""

    first: int
    last: int
    length: int


@dataclass(frozen=True)
class Commit:
    """What the figures need of a commit record of tcp_engine."""

    cycle: int
    kind: int
    cause: int
    opcode: int
    verdict: int
    segment: bool


@dataclass(frozen=True)
class Played:
    """A finished run and what its monitors saw."""

    play: Play
    data_w: int
    directory: Path
    sent: tuple[Frame, ...]
    received: tuple[Frame, ...]
    commits: tuple[Commit, ...]
    #: (cycle, entry)
    completions: tuple[tuple[int, Cqe], ...]
    #: (cycle in which the register access began, tail)
    doorbells: tuple[tuple[int, int], ...]
    cycles: int
    seconds: float

    @property
    def measured(self) -> tuple[Frame, ...]:
        """The frames of the direction with the data."""
        return self.sent if self.play is Play.SEND else self.received

    def span(self) -> tuple[Frame, Frame]:
        """The two full-size frames between which is measured."""
        full = [frame for frame in self.measured if frame.length >= FULL]
        if len(full) < LAST:
            raise BenchError(f"only {len(full)} full-size frames in {self.directory}")
        return full[FIRST - 1], full[LAST - 1]

    def bus_share(self) -> float:
        """Beats of payload frames over cycles."""
        begin, end = self.span()
        inside = [f for f in self.measured if f.first >= begin.first and f.last <= end.last and f.length > NO_PAYLOAD]
        beats = sum(-(-frame.length * 8 // self.data_w) for frame in inside)
        return beats / (end.last - begin.first + 1)

    def events_per_segment(self) -> float:
        """Commits of tcp_engine a full-size segment."""
        begin, end = self.span()
        return sum(begin.first <= c.cycle <= end.last for c in self.commits) / (LAST - FIRST + 1)

    def doorbell_of(self, sq_index: int) -> int:
        """Cycle in which the doorbell that covers a submission entry was asked for."""
        return next(cycle for cycle, tail in self.doorbells if tail > sq_index)

    def command_cycles(self, opcode: Opcode) -> int:
        """From the doorbell of a command to its completion."""
        for cycle, entry in self.completions:
            if entry.kind == CqKind.COMMAND and entry.code == opcode and entry.status == 0:
                return cycle - self.doorbell_of(entry.sq_index)
        raise BenchError(f"no completion of {opcode.name} in {self.directory}")

    def doorbell_to_wire(self) -> int:
        """From the doorbell of the first SEND to the first beat of its first frame."""
        first = next(c for c in self.commits if c.kind == TcpEvt.COMMAND and c.opcode == Opcode.SEND)
        return next(f.first for f in self.sent if f.length >= FULL) - self.doorbell_of(first.cause)

    def frame_to_ack(self) -> int:
        """From the last beat of the first segment that calls for an ACK to the first beat of that ACK: no queue yet."""
        arrival = -1
        for commit in self.commits:
            if commit.kind == TcpEvt.RX_SEGMENT and commit.verdict == Verdict.DELIVER:
                arrival = commit.cause
            elif commit.kind == TcpEvt.TX_GRANT and commit.segment and arrival >= 0:
                ack = next(frame for frame in self.sent if frame.first > commit.cycle)
                return ack.first - self.received[arrival].last
        raise BenchError(f"no acknowledgment in {self.directory}")

    def packets_per_second(self) -> float:
        """Full-size packets, both directions, a second of wall clock."""
        packets = sum(frame.length >= FULL_SIZE_PACKET for frame in (*self.sent, *self.received))
        return packets / self.seconds


def read(directory: Path, play: Play, data_w: int) -> Played:
    """What a run left behind."""
    frames = json.loads((directory / "frames.json").read_text())
    received: list[Frame] = []
    commits: list[Commit] = []
    completions: list[tuple[int, Cqe]] = []
    with (directory / RECORDS_NAME).open() as file:
        for line in file:
            tag, cycle, *words = line.split()
            at = int(cycle)
            if tag == "F":
                length = int(words[1], 16)
                received.append(Frame(at + 1 - -(-length * 8 // data_w), at, length))
            elif tag == "T":
                r = RecTcp.unpack(int(words[0], 16))
                segment = bool(r.tx0_valid) and Txq.unpack(r.tx0).kind == TxKind.SEGMENT
                commits.append(Commit(at, r.kind, r.cause, r.opcode, r.verdict, segment))
            elif tag == "C":
                completions.append((at, Cqe.unpack(RecCq.unpack(int(words[0], 16)).cqe)))
    return Played(
        play=play,
        data_w=data_w,
        directory=directory,
        sent=tuple(Frame(first, last, length) for first, last, length in frames["sent"]),
        received=tuple(received),
        commits=tuple(commits),
        completions=tuple(completions),
        doorbells=tuple((cycle, tail) for cycle, tail in frames["doorbells"]),
        cycles=frames["cycles"],
        seconds=frames["seconds"],
    )


def play_once(
    console: Console, tool: Tool, play: Play, data_w: int, latency: int, seed: int, frames: int = FRAMES
) -> Played:
    """Build if need be, run, read."""
    name = f"{tool.kind}-{data_w}-{play.name.lower()}-latency{latency}"
    directory = OUT / name
    config = RunConfig(
        command="bench", sim=tool.kind, seed=seed, size=frames * MSS, delay=0, data_w=data_w, mem_latency=latency,
        out=directory, apart=True,
    )  # fmt: skip
    built = build(chimney_spec(tool, data_w=data_w, conns=BUILT_CONNS), say=console.print)
    (directory / "frames.json").unlink(missing_ok=True)
    result = run(built, TEST_MODULE, directory, config=config, timeout=TIMEOUT, plusargs={"bench": int(play)})
    if not result.passed:
        reasons = [result.problem, *(o.message for o in result.outcomes if o.status == "failed")]
        raise BenchError(f"{name} failed: {next(filter(None, reasons), 'no outcome')}\n{replay_command(directory)}")
    played = read(directory, play, data_w)
    console.print(
        f"{name:<34}{played.cycles:>9,} cycles {played.seconds:>7.1f} s {played.packets_per_second():>8.0f} packets/s"
    )
    return played


def build_bare(console: Console, tool: Tool, data_w: int) -> Path:
    """The simulator of tb/hdl/bench_top.v without VPI; an unchanged one is found again."""
    transactors = (*sorted(TRANSACTORS.glob("*.v")), *sorted((TRANSACTORS / "checkers").glob("*.v")))
    spec = replace(
        chimney_spec(tool, data_w=data_w, conns=BUILT_CONNS),
        top="bench_top",
        sources=needed_sources((*design_sources(), *transactors), "bench_top"),
        public_tables=(),
    )
    directory = spec.build_dir()
    with locked(directory.with_suffix(".lock")):
        if (directory / MARKER).exists():
            return directory / "bench_top"
        console.print(f"building {directory.name} with {tool.label}, without VPI ...")
        directory.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        environment = tool.environment()
        translate = [
            str(tool.executable), "--cc", "--exe", "--main", "--timing", "-Mdir", str(directory),
            "--top-module", spec.top, "--prefix", "Vtop", "-o", spec.top, "-O3", *RANDOM_X, *QUIET, *OUTPUT_SPLIT,
            "--timescale", "/".join(TIMESCALE), *(f"-I{folder}" for folder in spec.includes),
            *(f"-G{name}={value}" for name, value in spec.parameters.items()), *map(str, spec.sources),
        ]  # fmt: skip
        compile_it = ["make", "-j", "2", "-C", str(directory), "-f", "Vtop.mk", *COMPILE_OPTIONS, *tool.make_variables]
        for number, command in enumerate((translate, compile_it)):
            log = directory / "build.log"
            status = run_bounded(command, cwd=directory, env=environment, log=log, timeout=TIMEOUT, append=number > 0)
            if status != 0:
                raise BenchError(f"{command[0]} ended with status {status}; log: {log}")
        (directory / MARKER).write_text(json.dumps({"seconds": round(time.monotonic() - started, 1)}))
    return directory / "bench_top"


def bare(console: Console, tool: Tool, played: Played) -> float:
    """Cycles a second when HDL alone plays the same traffic."""
    program = build_bare(console, tool, played.data_w)
    command = [
        str(program), f"+play_host={played.directory / 'host.play'}", f"+play_wire={played.directory / 'wire.play'}",
        f"+lat_min={RunConfig().mem_latency}", f"+lat_max={RunConfig().mem_latency}",
        f"+mem_base={host_base(MEMORY_BYTES):x}", "+verilator+rand+reset+2",
    ]  # fmt: skip
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    seconds = time.monotonic() - started
    words = next((line.split() for line in done.stdout.splitlines() if line.startswith("played")), None)
    if words is None:
        raise BenchError(
            f"the traffic played by HDL alone did not come to its end: {done.stdout[-300:]}{done.stderr[-300:]}"
        )
    if abs(int(words[2]) - len(played.sent)) > len(played.sent) // 20:
        raise BenchError(f"played by HDL alone the device sent {words[2]} frames, with Python {len(played.sent)}")
    return int(words[1]) / seconds


def engine(console: Console, tool: Tool) -> dict[str, dict[str, float]]:
    """Cycles between commits of the engine cluster, its input never empty."""
    directory = OUT / "engine"
    spec = unit_spec(tool, "engine_top", parameters={"CONNS": BUILT_CONNS, "COMMIT_PORT": 1})
    result = run(
        build(spec, say=console.print),
        ENGINE_MODULE,
        directory,
        config=RunConfig(command="bench", out=directory),
        timeout=TIMEOUT,
    )
    if not result.passed:
        raise BenchError(f"the engine's run failed; log: {result.log}")
    found: dict[str, dict[str, float]] = json.loads((directory / "engine.json").read_text())
    return found


def invalidate(console: Console, tool: Tool, data_w: int, seed: int) -> list[dict[str, Any]]:
    """Cycles of INVALIDATEs behind a full transmit path: object, dependents, cycles, those of the frame on the wire."""
    directory = OUT / f"{tool.kind}-{data_w}-invalidate"
    config = RunConfig(command="bench", sim=tool.kind, seed=seed, data_w=data_w, out=directory)
    built = build(chimney_spec(tool, data_w=data_w, conns=BUILT_CONNS), say=console.print)
    result = run(built, INVALIDATE_MODULE, directory, config=config, timeout=TIMEOUT)
    if not result.passed:
        raise BenchError(f"the run with INVALIDATEs failed; log: {result.log}\n{replay_command(directory)}")
    found: list[dict[str, Any]] = json.loads((directory / "invalidate.json").read_text())
    return found


def main(config: RunConfig) -> int:
    """Measure everything that the simulators at hand allow; 1 if a target is missed."""
    console = Console(highlight=False)
    verilator, icarus = find("verilator"), find("icarus")
    tool = verilator or icarus
    if tool is None:
        console.print("error: no simulator; `make doctor` says what to install")
        return 2
    OUT.mkdir(parents=True, exist_ok=True)
    with writing(OUT / HISTORY_NAME, "make bench") as history:
        return measure_and_keep(console, tool, icarus, config.seed, history)


def measure_and_keep(console: Console, tool: Tool, icarus: Tool | None, seed: int, history: ResultsWriter) -> int:
    """Measure, write bench.json and the history, print the figures; exit status."""
    started = time.monotonic()
    try:
        numbers, beside = measure(console, tool, icarus, seed)
    except BenchError as error:
        console.print(f"FAIL: {error}", markup=False)
        return 1
    (OUT / "bench.json").write_text(json.dumps(numbers, indent=1))
    keep_figures(history, "bench", commit_id(), time.monotonic() - started, numbers)
    missed = report(console, numbers, beside)
    console.print(f"results: {shown(OUT / 'bench.json')}")
    return 1 if missed else 0


def measure(console: Console, tool: Tool, icarus: Tool | None, seed: int) -> tuple[dict[str, Any], dict[str, float]]:
    """The figures of bench.json, and those printed beside them."""
    parts = 11 + 2 * (tool.kind == "verilator") + (icarus is not None)
    with Meter("bench", parts, console=console) as meter:
        return measured(console, tool, icarus, seed, meter)


def measured(
    console: Console, tool: Tool, icarus: Tool | None, seed: int, meter: Meter
) -> tuple[dict[str, Any], dict[str, float]]:
    """As `measure`; what takes long is a part of the meter."""
    part = meter.around
    runs = {
        (width, play, latency): part(f"{width} bits, {play.name.lower()}, latency {latency}", play_once)(
            console, tool, play, width, latency, seed
        )
        for width in (512, 64)
        for latency in (32, 128)
        for play in Play
    }
    normal = {f"{width}-{play.name.lower()}": run for (width, play, latency), run in runs.items() if latency == 32}
    share = {key: round(played.bus_share(), 4) for key, played in runs.items()}
    send, receive = runs[512, Play.SEND, 32], runs[512, Play.RECEIVE, 32]
    of_64 = [runs[64, play, 32] for play in Play]
    cycles = part("engine_top", engine)(console, tool)
    barred = {width: part(f"{width} bits, invalidate", invalidate)(console, tool, width, seed) for width in (512, 64)}
    full = [played.cycles / played.seconds for played in of_64]
    alone = [0.0, 0.0]
    if tool.kind == "verilator":
        try:
            alone = [part("without VPI", bare)(console, tool, played) for played in of_64]
        except BenchError as error:  # the other figures stand; these two stay empty and count as missed
            console.print(f"FAIL: {error}", markup=False)
    slowest = min(range(2), key=lambda n: full[n] / alone[n] if alone[n] else 0)
    speed = min(played.packets_per_second() for played in normal.values())
    slow = None
    if icarus is not None:
        slow = part("Icarus", play_once)(console, icarus, Play.SEND, 512, 32, seed, ICARUS_FRAMES)
    numbers: dict[str, Any] = {
        "tx_bus_share_512": share[512, Play.SEND, 32],
        "rx_bus_share_512": share[512, Play.RECEIVE, 32],
        "tx_bus_share_64": share[64, Play.SEND, 32],
        "rx_bus_share_64": share[64, Play.RECEIVE, 32],
        "engine_cycles_per_event": max(int(found["max"]) for found in cycles.values()),
        "events_per_segment": round(max(played.events_per_segment() for played in runs.values()), 3),
        "doorbell_to_wire_cycles": send.doorbell_to_wire(),
        "frame_to_ack_cycles": receive.frame_to_ack(),
        "initiate_cycles": send.command_cycles(Opcode.INITIATE),
        "terminate_cycles": send.command_cycles(Opcode.TERMINATE),
        # without the frame already granted
        "invalidate_cycles_max": max(one["cycles"] - one["frame"] for found in barred.values() for one in found),
        "sim_cycles_per_second_bare": round(alone[slowest]) or None,
        "sim_cycles_per_second_full": round(full[slowest]),
        "sim_speed_share": round(full[slowest] / alone[slowest], 3) if alone[slowest] else None,
        "packets_per_second_verilator": round(speed) if tool.kind == "verilator" else None,
        "packets_per_second_icarus": round(slow.packets_per_second()) if slow is not None else None,
        "config": {
            "simulator": tool.label, "icarus": icarus.label if icarus is not None else None, "seed": seed, "mss": MSS,
            "frames": FRAMES, "request_bytes": 65536, "memory_latency_cycles": 32, "connections": 1,
            "first_frame": FIRST, "last_frame": LAST, "engine": cycles, "invalidate": barred,
            "packets_per_second": {name: round(run.packets_per_second()) for name, run in normal.items()},
            "events_per_segment": {name: round(run.events_per_segment(), 3) for name, run in normal.items()},
            "speed_share_at_data_w": 64,
        },
    }  # fmt: skip
    beside = {
        f"{'tx' if play is Play.SEND else 'rx'}_bus_share_{width}": share[width, play, 128]
        for width in (512, 64)
        for play in Play
    }
    return numbers, beside


#: key: (at least, at most)
TARGETS: dict[str, tuple[float | None, float | None]] = {
    "tx_bus_share_512": (0.80, None),
    "rx_bus_share_512": (0.80, None),
    "tx_bus_share_64": (0.95, None),
    "rx_bus_share_64": (0.95, None),
    "engine_cycles_per_event": (None, 8),
    "invalidate_cycles_max": (None, 256),
    "events_per_segment": (None, 2),
    "sim_speed_share": (0.25, None),
    "packets_per_second_verilator": (500, None),
}


def report(console: Console, numbers: dict[str, Any], beside: dict[str, float]) -> list[str]:
    """The table; the keys that miss their targets."""
    table = Table(title="chimney bench", title_justify="left")
    for column in ("figure", "measured", "at 128 cycles of latency", "target"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    missed = []
    for key, value in numbers.items():
        if key == "config":
            continue
        low, high = TARGETS.get(key, (None, None))
        wanted = f">= {low}" if low is not None else f"<= {high}" if high is not None else ""
        wrong = value is not None and ((low is not None and value < low) or (high is not None and value > high))
        bad = wrong or (value is None and key == "sim_speed_share" and numbers["packets_per_second_verilator"])
        missed += [key] if bad else []
        table.add_row(key, str(value), str(beside.get(key, "")), wanted + (" MISSED" if bad else ""))
    console.print(table)
    return missed
