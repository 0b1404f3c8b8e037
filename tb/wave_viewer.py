"""`make waves [FAILURE=folder]`, `chimney waves [FOLDER]`: open the waves that a run or a replay wrote.

FAILURE is the folder of a run (default sim_build/run) or a failure folder whose replay wrote waves. GTKWave gets a save
file (tb/waves.py) that shows the signals by block and puts the marker at the divergence; Surfer opens the waves alone.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tb.config import ROOT, ConfigError, RunConfig
from tb.waves import WaveError, read, save_file

#: Nanoseconds from the start to the first rising edge, and between rising edges (tb/hdl/clk_rst.v).
FIRST_EDGE_NS, PERIOD_NS = 5, 10
#: Cycles shown around the divergence.
SHOWN_CYCLES = 400
WAVE_NAMES = ("waves.fst", "waves.vcd")
SAVE_NAME = "replay.gtkw"
#: Viewers in the order in which they are looked for.
VIEWERS = ("gtkwave", "surfer")


def main(config: RunConfig) -> int:
    """Open the waves and wait for the viewer; its exit status, 2 if there is no viewer."""
    from tb.replay import cycle_of, report_of

    folder = config.failure or ROOT / "sim_build" / "run"
    waves = find(folder)
    marked = describe(waves, cycle_of(report_of(waves.parent) or report_of(folder)))
    print(marked, flush=True)
    command = viewer(waves)
    if command is None:
        raise ConfigError(
            "no wave viewer on this machine", "PATH: neither gtkwave nor surfer",
            "sudo apt-get install -y gtkwave (macOS: brew install surfer), then the same command again",
        )  # fmt: skip
    return subprocess.run(command, check=False).returncode


def find(folder: Path) -> Path:
    """The newest waves of a run, or of the replay below it."""
    found = [path / name for path in (folder, folder / "replay") for name in WAVE_NAMES if (path / name).exists()]
    if not found:
        raise ConfigError(
            "there are no waves in this folder", f"FAILURE={folder}",
            "`make run WAVES=1` writes some, and `make replay FAILURE=folder WAVES=1` for a failed test",
        )  # fmt: skip
    return max(found, key=lambda path: path.stat().st_mtime)


def describe(waves: Path, cycle: int | None) -> str:
    """Write the save file beside the waves; the line that says how both are opened."""
    try:
        held = read(waves)
    except WaveError as error:
        return f"waves: {waves} (no save file: {error})"
    unit = 10 ** (-9 - held.timescale)
    marker = None if cycle is None else (FIRST_EDGE_NS + PERIOD_NS * cycle) * unit
    file = waves.with_name(SAVE_NAME)
    file.write_text(save_file(held, marker, SHOWN_CYCLES * PERIOD_NS * unit))
    where = "" if cycle is None else f", marker at cycle {cycle} ({FIRST_EDGE_NS + PERIOD_NS * cycle} ns)"
    return f"waves: gtkwave {shlex.quote(str(waves))} {shlex.quote(str(file))}{where}"


def viewer(waves: Path, which: Callable[[str], str | None] = shutil.which) -> Sequence[str] | None:
    """The command that opens waves, None without a viewer."""
    for name in VIEWERS:
        program = which(name)
        if program is not None:
            save = waves.with_name(SAVE_NAME)
            return [program, str(waves), *([str(save)] if name == "gtkwave" and save.exists() else [])]
    return None
