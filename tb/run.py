"""`make run`: send a file through the device, over a bad network, into a peer and back."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from model.device.config import DeviceConfig
from model.ndis.file_transfer import AppPhase
from tb.config import ConfigError, RunConfig
from tb.files import write_json
from tb.folders import claimed, here, refuse_foreign
from tb.lockstep.trace import TRACE_NAME, Header
from tb.peers.choice import MISSING
from tb.session import summary
from tb.session.progress import Phases
from tb.session.transfer import Transfer
from tb.story.find import FAILURE_NAME, REPLAY_FOLDER, STORY_NAME, story_of

if TYPE_CHECKING:
    from tb.lockstep.recording import GoldenTrace

#: Connections the simulated device is built for; it serves any smaller number.
BUILT_CONNS = 64
#: With COVER=1, if the session has no more.
SMALL_CONNS = 4
TEST_MODULE = "tb.tests.rtl.transfer_test"
SERVE_MODULE = "tb.tests.rtl.serve_test"
#: What an earlier run and its replay may have left in the folder, and what was made of it.
LEFT = (
    "rtl.json", "contract.json", "results.xml", "again.json", "config.json", "divergence.txt", FAILURE_NAME, STORY_NAME,
    TRACE_NAME, "report.html", "waves.fst", "waves.vcd",
)  # fmt: skip


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived; results so far are kept with ``complete`` false."""


def main(config: RunConfig) -> int:
    """Run the main job; 0 only if the three sums match, nothing diverged and every queue is empty."""
    if config.command == "serve":  # a program in the kernel's namespace fetches the file
        config = replace(config, peer="linux", conns=1)
    lack = MISSING[config.peer]()
    if lack is not None:
        raise ConfigError(f"this peer is missing: {lack}", f"PEER={config.peer}", "`make doctor` says what to install")
    refuse_unused(config)
    refuse_foreign(config.out)
    config.prepare_out()
    with claimed(config.out, f"OUT={config.out}", "wait for it, or give another folder with OUT= (--out)"):
        forget(config)
        return session(replace(config, apart=True))


def refuse_unused(config: RunConfig) -> None:
    """ConfigError if something was given that would change nothing."""
    model, rtl, latency = config.device == "model", "leave it out, or DEVICE=rtl", config.mem_latency
    given = (
        (model and config.waves, "WAVES is for the RTL", "WAVES=1", rtl),
        (model and config.cover, "COVER is for the RTL", "COVER=1", rtl),
        (model and config.sim_given, "SIM is for the RTL", f"SIM={config.sim}", rtl),
        (model and "MEM_LATENCY" in config.given, "MEM_LATENCY is for the RTL", f"MEM_LATENCY={latency}", rtl),
        (config.mark > 0 and not config.ecn, "MARK is for ECN alone", f"MARK={config.mark}", "give ECN=1 as well"),
        (config.file is not None and "SIZE" in config.given, "FILE has a size of its own", f"SIZE={config.size}",
         "give FILE or SIZE, not both"),
    )  # fmt: skip
    for unused, *words in given:
        if unused:
            raise ConfigError(*words)


def forget(config: RunConfig) -> None:
    """Delete what an earlier run left in the folder, but for the file to send: nothing of it is of this one."""
    for name in LEFT:
        if config.out / name != config.file:
            (config.out / name).unlink(missing_ok=True)
    if config.file is None or not config.file.is_relative_to(config.out / REPLAY_FOLDER):
        shutil.rmtree(config.out / REPLAY_FOLDER, ignore_errors=True)


def session(config: RunConfig) -> int:
    """The run itself, in a folder that nobody else writes in."""
    started = time.monotonic()
    result = summary.empty(config)
    write(config.out, result)
    console = Console(highlight=False, soft_wrap=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        problems = run_model(config, result, console) if config.device == "model" else run_rtl(config, result, console)
    except KeyboardInterrupt:
        result["problems"] = ["interrupted"]
        write(config.out, result)
        console.print("interrupted: results so far are in", str(config.out), style="bold yellow")
        return 130
    result["complete"] = True
    result["problems"] = problems
    write(config.out, result)
    report(console, config, result, problems, time.monotonic() - started)
    return 1 if problems else 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise Interrupted


def write(out: Path, result: dict[str, Any]) -> None:
    """summary.json, whole or not at all."""
    write_json(out / "summary.json", result)


def write_contract(out: Path, transfer: Transfer) -> None:
    """contract.json: which rules of the NDIS contract were exercised, and which did not hold."""
    (out / "contract.json").write_text(json.dumps(transfer.tap.result(), indent=1))


def run_model(config: RunConfig, result: dict[str, Any], console: Console) -> list[str]:
    """The golden device in a plain loop."""
    from tb.device.model_loop import ModelRun
    from tb.session.http_server import ServeRun

    console.print("no RTL in this run: the golden device alone")
    started = time.monotonic()
    trace = golden_trace(config)
    kind = ServeRun if config.command == "serve" else ModelRun
    run = kind(config, capture=config.out / "wire.pcapng", journal=trace)
    try:
        problems = run.run()
        if trace is not None:
            trace.finish(run.device)
            if trace.follower.divergence is not None:
                problems.append("the follower disagrees with the golden device: `chimney check` says where")
    finally:
        if trace is not None:
            trace.close()
        result["sim_seconds"] = round(time.monotonic() - started, 2)
        run.transfer.network.close()
        result |= summary.of_transfer(run.transfer, run.tick)
        write_contract(config.out, run.transfer)
        (config.out / "received.bin").write_bytes(run.transfer.received_data())
    problems += summary.verdict(run.transfer)
    apps = enumerate(run.transfer.apps)
    problems += [f"connection {n} ended as {a.phase.value}" for n, a in apps if a.phase is not AppPhase.DONE]
    return problems


def golden_trace(config: RunConfig) -> GoldenTrace | None:
    """The trace of a run on the golden device, with TRACE=1."""
    from tb.device.model_loop import MEMORY_BASE, MEMORY_BYTES
    from tb.lockstep.recording import GoldenTrace

    if not config.trace:
        return None
    header = Header(
        device=DeviceConfig(),
        memory_base=MEMORY_BASE,
        memory_bytes=MEMORY_BYTES,
        busy_conns=config.conns,
        latency=config.mem_latency,
        seed=config.seed,
        origin=config.make_command(),
    )
    return GoldenTrace(config.out / TRACE_NAME, header)


def run_rtl(config: RunConfig, result: dict[str, Any], console: Console) -> list[str]:
    """Build (or reuse) the simulator, run the session in it, read what it wrote."""
    from tb.sim.build import build
    from tb.sim.run import broken_assertion, run, said_of
    from tb.sim.spec import chimney_spec
    from tb.sim.tools import choose

    started = time.monotonic()
    tool, remark = choose(config.sim, fall_back=not config.sim_given)
    if remark:
        console.print(remark)
    result["simulator"], result["simulator_version"] = tool.kind, tool.version
    phases = Phases(console, config.out)
    counting = config.cover and tool.kind == "verilator"
    conns = max(SMALL_CONNS, 1 << (config.conns - 1).bit_length()) if counting else BUILT_CONNS
    spec = chimney_spec(tool, data_w=config.data_w, conns=conns, waves=config.waves, coverage=counting)
    result["setup_seconds"] = round(time.monotonic() - started, 2)
    started = time.monotonic()
    with phases.phase("build"):
        built = build(spec)
    result["build_seconds"] = round(time.monotonic() - started, 2)
    console.print(f"again    {here(config.make_command())}", markup=False)
    with phases.phase("simulate", measured=True):
        module = SERVE_MODULE if config.command == "serve" else TEST_MODULE
        outcome = run(built, module, config.out, config=config, waves=config.waves, timeout=3000)
    found = config.out / "rtl.json"
    problems: list[str] = []
    if found.exists():
        inner = json.loads(found.read_text())
        for key in ("simulator_version", "setup_seconds", "build_seconds", "simulator", "complete"):
            inner.pop(key, None)
        result |= inner
        problems = list(inner["problems"])
    if outcome.problem:
        problems.append(outcome.problem)
    failed = [o for o in outcome.outcomes if o.status == "failed"]
    told = [f"{o.name}: {said_of(o.message) or 'failed'}" for o in failed]
    problems = [*told, *problems] if broken_assertion(outcome.log) else [*problems, *told]
    divergence = config.out / "divergence.txt"
    if divergence.exists():
        problems.insert(0, "the RTL diverged from the golden model")
    if not outcome.passed and not problems:
        problems.append(f"the simulation failed; its log is {outcome.log}")
    return problems


def report(console: Console, config: RunConfig, result: dict[str, Any], problems: list[str], seconds: float) -> None:
    """The table at the end."""
    title = f"chimney run: {config.device}, seed {config.seed}, {config.conns} connection(s)"
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    for kind, counts in sorted(result["completions"].items()):
        for status, count in sorted(counts.items()):
            table.add_row(f"{kind} {status}", f"{count:,}")
    for key in ("segments_tx", "segments_rx", "retransmissions", "ticks", "cycles", "tx_bus_share", "rx_bus_share",
                "commits_compared", "frames_compared", "completions_compared", "host_bytes_compared", "divergences",
                "build_seconds", "sim_seconds"):  # fmt: skip
        value = result.get(key, "none")  # without RTL there is no bus
        table.add_row(key.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    console.print(table)
    if config.trace:
        console.print(f"trace    {config.out / TRACE_NAME}; `make check COMMITS=` it", markup=False)
    for name in ("sent", "peer", "received"):
        console.print(f"sha256 {name:<9}{result[f'sha256_{name}']}")
    if problems:
        for problem in problems[:20]:
            console.print(f"FAIL: {problem}", markup=False)
        if len(problems) > 20:
            console.print(f"... and {len(problems) - 20} more in {config.out / 'summary.json'}")
        if config.device == "rtl":
            from tb.sim.run import replay_command

            # what is read first stands last; a run that broke off before anybody could tell a story says how to go on
            said = story_of(config.out) or f"replay   {replay_command(config.out)}\n"
            console.print(f"\n{here(said)}", markup=False, end="")
        else:
            console.print(f"again    {here(config.make_command())}", markup=False)
    else:
        console.print(f"PASS in {seconds:.1f} s; results in {config.out}")
    sys.stdout.flush()
