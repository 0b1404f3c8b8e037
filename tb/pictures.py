"""`make pictures`: the pictures of the pages under docs/, made from real runs.

Each is made by one function of PICTURES: its file, and what makes it. TEST=name makes those with this in their name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tb.config import ROOT, ConfigError, RunConfig
from tb.display.screen import Screen, missing
from tb.files import write_json
from tb.progress import Meter
from tb.report import chromium
from tb.report.pictures import VIEWS, pictures

FOLDER = ROOT / "docs" / "pictures"
OUT = ROOT / "sim_build" / "pictures"


def gtkwave() -> bytes:
    """The waves of a planted failure in GTKWave, on a display of its own: a PNG."""
    from tb.story.planted import in_planted_tree, plant
    from tb.wave_viewer import SAVE_NAME

    if (lack := missing()) is not None:
        raise ConfigError("there is nothing to show waves with", lack, "install it, then the same command again")
    folder = plant()
    done = in_planted_tree(folder, "waves", str(folder), "--no-view")
    waves = folder / "replay" / "waves.fst"
    if done.returncode != 0 or not waves.exists():
        raise ConfigError("the planted failure gave no waves", str(folder), done.stdout + done.stderr)
    with Screen() as screen:
        return screen.gtkwave(waves, waves.with_name(SAVE_NAME)).picture.png()


@cache
def report_views() -> Mapping[str, bytes]:
    """The views of a report in a headless Chromium, of one real run: PNGs by name."""
    if (lack := chromium.missing()) is not None:
        raise ConfigError("there is no browser to show the report", lack, "install it, then the same command again")
    return {path.name: path.read_bytes() for path in pictures(OUT)}


def of_report(name: str) -> Callable[[], bytes]:
    """What makes one of them."""
    return lambda: report_views()[name]


PICTURES: Mapping[str, Callable[[], bytes]] = {
    "gtkwave.png": gtkwave, **{name: of_report(name) for name, _ in VIEWS},
}  # fmt: skip


def main(config: RunConfig) -> int:
    """Make them and say where they are."""
    chosen = {name: make for name, make in PICTURES.items() if config.selects(name)}
    if not chosen:
        raise ConfigError(
            "no picture has this in its name", f"TEST={config.test}", f"give one of {', '.join(PICTURES)}"
        )
    FOLDER.mkdir(parents=True, exist_ok=True)
    made: list[dict[str, str | int]] = []
    with Meter("pictures", len(chosen)) as meter:
        for name, make in chosen.items():
            file = FOLDER / name
            file.write_bytes(meter.around(name, make)())
            made.append({"file": shown(file), "bytes": file.stat().st_size})
            print(f"{shown(file)}, {file.stat().st_size:,} bytes", flush=True)
    write_json(OUT / "summary.json", {"pictures": made})
    return 0


def shown(path: Path) -> str:
    """A path below the root."""
    return str(path.relative_to(ROOT))
