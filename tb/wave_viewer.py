"""`chimney waves [FOLDER]`, `make waves [FAILURE=folder]`: from a failure to its waves.

FOLDER is that of a failed run; without one it is the failure that was recorded last below sim_build. If it has no waves
that are newer than the failure, and of a replay that was identical to it, it is replayed with waves first
(tb/replay.py), from MARGIN cycles before the divergence on. Waves of a replay that was not identical are called so. The
waves of a run that did not fail (`make run WAVES=1`) are opened as they are. Beside the waves lie a save file for
GTKWave with its filter files, and a command file for Surfer with its mapping files (tb/waves.py), which Surfer finds
when it runs in that folder; VIEW=0 leaves it at that.
With AT=cycle the marker is there: a run without waves that reach it is replayed from MARGIN cycles before it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError, RunConfig
from tb.files import shown
from tb.folders import here, read_object, typed
from tb.sim.run import AGAIN_NAME
from tb.story.find import FAILURE_NAME, newest, story_of
from tb.story.record import marker_time
from tb.wave_words import blocks
from tb.waves import WaveError, all_tables, command_file, read, save_file, write_mappings, write_words

#: Nanoseconds from the start to the first rising edge, and between rising edges (tb/hdl/clk_rst.v).
FIRST_EDGE_NS, PERIOD_NS = 5, 10
#: Cycles shown around the divergence.
SHOWN_CYCLES = 200
WAVE_NAMES = ("waves.fst", "waves.vcd")
SAVE_NAME, COMMAND_NAME, WORDS_FOLDER = "replay.gtkw", "replay.sucl", "words"
#: Viewers in the order in which they are looked for.
VIEWERS = ("gtkwave", "surfer")


def main(config: RunConfig) -> int:
    """Open the waves and wait for the viewer: its exit status, else the replay's; 2 if there is no viewer."""
    return result(config)[0]


def result(config: RunConfig) -> tuple[int, dict[str, Any]]:
    """What `main` does: exit status, and the document for --json: where the waves are and what opens them."""
    from tb.replay import in_tree, load
    from tb.replay import main as replay

    folder = config.failure or newest() or ROOT / "sim_build" / "run"
    print(f"failure: {typed(folder)}", flush=True)
    if config.failure is not None and not folder.is_dir():
        raise ConfigError("there is no such folder", f"FAILURE={folder}", "give the folder of a run")
    bound(config, folder)
    status = None
    waves = find(folder)
    unreached = waves is None or (config.at is not None and config.at < begin_of(waves))
    if unreached and ((folder / FAILURE_NAME).exists() or (config.at is not None and (folder / AGAIN_NAME).exists())):
        if (tree := load(folder).other_tree) is not None:
            status = in_tree(tree, "waves", replace(config, failure=folder))
            return status, document(config, folder, find(folder, foreign=True), replayed=True)
        if waves is None and find(folder, foreign=True) is not None:
            print("the waves that are here are not those of the failure: their replay was not identical", flush=True)
        status = replay(replace(config, failure=folder, waves=True))
        waves = find(folder, foreign=True)
    if waves is None and config.at is not None and status is not None:
        raise behind(config.at, None)
    if waves is None:
        raise ConfigError(
            "there are no waves in this folder", f"FAILURE={folder}",
            "`make run WAVES=1` writes some; a failed run is replayed with waves, this is none",
        )  # fmt: skip
    if status is None:  # a replay tells the story and says how to open what it wrote
        print(here(story_of(folder)), end="")
        print(describe(waves, marked(config, folder, waves), marked_time(config, folder, waves)), flush=True)
    if not identical(folder, waves):
        print("these waves are not those of the recorded failure: the replay was not identical", flush=True)
    facts = document(config, folder, waves, replayed=status is not None)
    if not config.view:
        return status or 0, facts
    command = viewer(waves)
    if command is None:
        raise ConfigError(
            "no wave viewer on this machine", "PATH: neither gtkwave nor surfer",
            "sudo apt-get install -y gtkwave (macOS: brew install surfer), then the same command again",
        )  # fmt: skip
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        raise ConfigError(
            "there is no display to open the waves on", "DISPLAY",
            "open them where there is one (the line above says how), or VIEW=0 (--no-view)",
        )  # fmt: skip
    return subprocess.run(command, check=False, cwd=waves.parent).returncode or status or 0, facts


def bound(config: RunConfig, folder: Path) -> None:
    """ConfigError if AT is behind the end of the recorded run; a run that was ended does not say where it ended."""
    from tb.replay import results_of

    last = max((int(one.sim_time_ns - FIRST_EDGE_NS) // PERIOD_NS for one in results_of(folder)), default=0)
    if config.at is not None and 0 < last < config.at:
        raise behind(config.at, last)


def behind(cycle: int, last: int | None) -> ConfigError:
    """What is said of a cycle that the run did not reach."""
    todo = "give a cycle of the run" + ("" if last is None else f": its last is {last}")
    return ConfigError("this cycle is behind the end of the run", f"AT={cycle}", todo)


def document(config: RunConfig, folder: Path, waves: Path | None, *, replayed: bool) -> dict[str, Any]:
    """Folder of the failure, waves and the files that open them (null: not there), whether they are its own, marker."""
    files: dict[str, Path] = {}
    if waves is not None:
        files = {"waves": waves, "save": waves.with_name(SAVE_NAME), "commands": waves.with_name(COMMAND_NAME)}
    there = {name: shown(path) for name, path in files.items() if path.exists()}
    return {
        "failure": shown(folder),
        **{name: there.get(name) for name in ("waves", "save", "commands")},
        "cycle": marked(config, folder, waves),
        "marker_time": marked_time(config, folder, waves),
        "replayed": replayed,
        "identical": None if waves is None else identical(folder, waves),
    }


def marked(config: RunConfig, folder: Path, waves: Path | None) -> int | None:
    """The cycle of the marker: AT, else where the run of these waves failed, else where the recorded one did.

    Where the recorded one failed says nothing of the waves of a replay that was not identical.
    """
    from tb.replay import cycle_of

    cycle = config.at
    if cycle is None and waves is not None:
        cycle = cycle_of(waves.parent)
    return cycle if cycle is not None or (waves is not None and not identical(folder, waves)) else cycle_of(folder)


def marked_time(config: RunConfig, folder: Path, waves: Path | None) -> int | None:
    """The same in picoseconds, also of a block alone, whose failure has a time and no cycle."""
    from tb.replay import time_of

    cycle = marked(config, folder, waves)
    if cycle is not None:
        return marker_time(cycle)
    time = time_of(waves.parent) if waves is not None else None
    return time if time is not None or (waves is not None and not identical(folder, waves)) else time_of(folder)


def identical(folder: Path, waves: Path) -> bool:
    """Whether waves are of the failure of a folder: of its own run, or of a replay that came to the same end."""
    from tb.replay import REPLAY_NAME

    facts = waves.with_name(REPLAY_NAME)
    return waves.parent == folder or not facts.exists() or read_object(facts).get("identical") is not False


def find(folder: Path, *, foreign: bool = False) -> Path | None:
    """The newest waves of a run, or of the replay below it; None if there are none, or the failure is newer.

    Waves of a replay that was not identical to the failure are `foreign`.
    """
    failed = (folder / FAILURE_NAME).exists()
    found = [
        path / name
        for path in (folder, folder / "replay")
        for name in WAVE_NAMES
        if (path / name).exists() and (foreign or not failed or identical(folder, path / name))
    ]
    if not found:
        return None
    waves = max(found, key=lambda path: path.stat().st_mtime_ns)
    failure = folder / FAILURE_NAME
    own = waves.parent == folder  # a run with WAVES=1 writes its failure behind its waves
    return None if failure.exists() and not own and failure.stat().st_mtime_ns > waves.stat().st_mtime_ns else waves


def begin_of(waves: Path) -> int:
    """The cycle with which the waves of a replay begin; those of a run have all cycles."""
    from tb.replay import REPLAY_NAME

    facts = waves.with_name(REPLAY_NAME)
    begin = read_object(facts).get("waves_from") if facts.exists() else 0
    return begin if isinstance(begin, int) else 0


def describe(waves: Path, cycle: int | None, time: int | None = None) -> str:
    """Write what shows the waves beside them, with a marker; the lines that say how they are opened.

    The marker is at a cycle, or at a time in picoseconds where no cycles are counted.
    """
    try:
        held = read(waves)
    except WaveError as error:
        return f"waves: {waves} (no save file: {error})"
    unit = 10 ** (-9 - held.timescale)
    time = time if cycle is None else marker_time(cycle)
    marker = None if time is None else int(time * unit / 1000)
    save, commands = waves.with_name(SAVE_NAME), waves.with_name(COMMAND_NAME)
    tables = all_tables()
    words = write_words(waves.with_name(WORDS_FOLDER), tables)
    write_mappings(waves.parent, tables)
    save.write_text(save_file(held, marker, SHOWN_CYCLES * PERIOD_NS * unit, words))
    commands.write_text(command_file(held, marker))
    where = "" if time is None else f"{time // 1000} ns"
    where = where if cycle is None else f"cycle {cycle} ({where})"
    where = f", marker at {where}" if where else ""
    gtkwave = f"gtkwave {shlex.quote(str(waves))} {shlex.quote(str(save))}"
    surfer = f"(cd {shlex.quote(str(waves.parent))} && surfer --command-file {shlex.quote(commands.name)})"
    numbers = "".join(f"\n       states as numbers: {problem}" for problem in blocks()[1])
    return f"waves: {gtkwave}{where}\n       {surfer}{numbers}"


def viewer(waves: Path, which: Callable[[str], str | None] = shutil.which) -> Sequence[str] | None:
    """The command that opens waves, None without a viewer."""
    for name in VIEWERS:
        program = which(name)
        if program is not None:
            save, commands = waves.with_name(SAVE_NAME), waves.with_name(COMMAND_NAME)
            if name == "surfer" and commands.exists():
                return [program, "--command-file", str(commands)]
            return [program, str(waves), *([str(save)] if name == "gtkwave" and save.exists() else [])]
    return None
