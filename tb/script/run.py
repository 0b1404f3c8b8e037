"""Plays many traces: on golden devices, one each, or on the RTL, some in a simulation. Results keep the order."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tb.config import ROOT, RunConfig
from tb.files import write_json
from tb.progress import Meter
from tb.script.events import Script, ScriptError, UnsupportedError
from tb.script.exceptions import Excuse
from tb.script.player import Player, Result

OUT = ROOT / "sim_build"
TEST_MODULE = "tb.tests.rtl.script_test"
#: Of a command, and of each simulation.
RESULTS_NAME = "results.json"
#: Traces that a simulation plays, and seconds that it may take.
BATCH, BATCH_TIMEOUT = 20, 1800.0


@dataclass(frozen=True)
class Item:
    """A trace to play, or why it cannot be; ``names`` are the keys of its result."""

    names: tuple[tuple[str, str], ...]
    script: Script | None
    broken: ScriptError | None = None
    excuses: tuple[Excuse, ...] = ()


def unread(item: Item) -> Result | None:
    """The result of a trace that could not be read."""
    if item.script is not None:
        return None
    broken = item.broken or ScriptError("there is no trace")
    return Result("skip" if isinstance(broken, UnsupportedError) else "fail", broken.line, broken.reason)


def left_out(items: Sequence[Item]) -> list[str]:
    """What is wrong with traces that will not be played: those that are broken, not skips; and that none is left."""
    told = [f"{item.names[-1][1]}: {found}" for item in items if (found := unread(item)) and found.status == "fail"]
    return told if any(item.script is not None for item in items) else [*told, "no trace can be played"]


def play_some(items: Sequence[Item], out: Path, seed: int, capture: Path | None = None) -> list[Result]:
    """Traces on one golden device; each alone if anything but a trace went wrong, so that it is known where.

    ``capture``: file of the frames at its port, which tshark and scapy judge.
    """
    from tb.script.stage import play

    results = [unread(item) for item in items]
    players = {
        number: Player(item.script, item.excuses) for number, item in enumerate(items) if item.script is not None
    }
    problems = play(list(players.values()), out, seed, capture) if players else []
    if problems and len(players) > 1:
        return [result for item in items for result in play_some([item], out, seed, capture)]
    for number, player in players.items():
        result = player.result or Result("fail", 0, "not played to its end")
        good = result.status in ("pass", "exception")
        results[number] = Result("fail", 0, f"monitor: {problems[0]}") if problems and good else result
    return [result or Result("fail") for result in results]


def play_all(items: Sequence[Item], config: RunConfig, out: Path) -> list[Result]:
    """All of them on the device of the configuration; results.json has after each batch what is known by then."""
    out.mkdir(parents=True, exist_ok=True)
    (out / RESULTS_NAME).unlink(missing_ok=True)  # those of an earlier run
    if config.device == "rtl":
        return play_on_rtl(items, config, out)
    batches = [items[first : first + BATCH] for first in range(0, len(items), BATCH)]
    one = _Play(out, config.seed)
    with contextlib.ExitStack() as stack:
        meter = stack.enter_context(Meter(config.command, len(batches)))
        if config.jobs == 1 or len(batches) == 1:
            played: Iterable[list[Result]] = map(one, range(len(batches)), batches)
        else:
            played = stack.enter_context(ProcessPoolExecutor(config.jobs)).map(one, range(len(batches)), batches)
        results: list[Result] = []
        for found in meter.over(played):
            results += found
            keep(items, results, out)
        return results


@dataclass(frozen=True)
class _Play:
    """`play_some` with its surroundings, for another process; every batch has a folder."""

    out: Path
    seed: int

    def __call__(self, number: int, items: Sequence[Item]) -> list[Result]:
        folder = self.out / f"model{number}"
        folder.mkdir(parents=True, exist_ok=True)
        return play_some(items, folder, self.seed, folder / "wire.pcapng")


def play_on_rtl(items: Sequence[Item], config: RunConfig, out: Path) -> list[Result]:
    """In lockstep with the golden model, `BATCH` in a simulation."""
    from tb.contract.scenes.stage import CONNS
    from tb.sim.run import run
    from tb.sim.shown import build_shown
    from tb.sim.spec import chimney_spec
    from tb.sim.tools import choose

    tool, remark = choose(config.sim, fall_back=not config.sim_given)
    if remark:
        print(remark, flush=True)
    built = build_shown(chimney_spec(tool, data_w=config.data_w, conns=CONNS))
    results = [unread(item) for item in items]
    todo = [number for number, result in enumerate(results) if result is None]
    batches = [todo[first : first + BATCH] for first in range(0, len(todo), BATCH)]
    with Meter(config.command, len(batches)) as meter:
        for count, batch in enumerate(batches):
            folder = out / f"rtl{count}"
            folder.mkdir(parents=True, exist_ok=True)
            write_batch(folder, batch)
            with meter.part(f"{folder.name}, {len(batch)} of {len(todo)}"):
                outcome = run(built, TEST_MODULE, folder, config=replace(config, out=folder), timeout=BATCH_TIMEOUT)
            found = read_results(folder)
            problem = outcome.problem or ("" if outcome.passed else f"the simulation failed; log {outcome.log}")
            for place, number in enumerate(batch):
                got = found[place] if place < len(found) else Result("fail", 0, problem or "not played")
                results[number] = Result("fail", 0, problem) if problem and got.status == "pass" else got
            keep(items, results, out)
            print(f"{folder.name}: {problem or 'clean'}", flush=True)
    return [result or Result("fail") for result in results]


# ---- a batch and its results, through files into the simulator and back -------------------------


def write_batch(folder: Path, numbers: Sequence[int]) -> None:
    """What a simulation plays: places among the traces that the configuration names."""
    (folder / RESULTS_NAME).unlink(missing_ok=True)
    (folder / "batch.json").write_text(json.dumps(list(numbers)))


def read_batch(config: RunConfig) -> list[Item]:
    """The traces of this simulation."""
    import tb.script.run_packetdrill as run_packetdrill
    import tb.script.run_vectors as run_vectors

    found = run_vectors.items(config) if config.command == "vectors" else run_packetdrill.items(config)
    return [found[number] for number in json.loads((config.out / "batch.json").read_text())]


def read_results(folder: Path) -> list[Result]:
    """What a simulation left."""
    file = folder / RESULTS_NAME
    return [Result(**one) for one in json.loads(file.read_text())] if file.exists() else []


# ---- report ------------------------------------------------------------------------------------


def keep(items: Sequence[Item], results: Sequence[Result | None], out: Path) -> None:
    """Write results.json; one that has no result is not_run."""
    left = Result("not_run", 0, "the command ended before it")
    entries = [
        dict(item.names) | {"status": result.status, "line": result.line, "reason": result.reason}
        for item, found in itertools.zip_longest(items, results)
        if (result := found or left)
    ]
    write_json(out / RESULTS_NAME, entries)


def report(items: Sequence[Item], results: Sequence[Result], out: Path, say: Callable[[str], None] = print) -> int:
    """Write results.json, print what is no pass; 1 if anything failed."""
    for item, result in zip(items, results, strict=True):
        if result.status != "pass":
            say(f"{result.status:<9} {item.names[-1][1]}:{result.line}  {result.reason}")
    out.mkdir(parents=True, exist_ok=True)
    keep(items, results, out)
    counts = Counter(result.status for result in results)
    told = ", ".join(f"{counts[status]} {status}" for status in ("pass", "exception", "fail", "skip"))
    say(f"{told}; {out / RESULTS_NAME}")
    return 1 if counts["fail"] or not results else 0
