"""`make packetdrill [SCRIPTS="files or folders"] [FAMILY=4|6] [DEVICE=]` -> sim_build/packetdrill/results.json."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from tb.config import ROOT, ConfigError, RunConfig
from tb.script import packetdrill
from tb.script.events import ScriptError
from tb.script.run import OUT, Item, play_all, report

COLLECTION = ROOT / "tb" / "packetdrill"


def files(paths: Iterable[Path]) -> list[Path]:
    """The scripts that are named, those of folders in order."""
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob("*.pkt")) if path.is_dir() else [path]
    return found


def waiting() -> dict[str, str]:
    """Scripts of the collection that must fail as long as the device lacks something, by folder/name: what it lacks."""
    found: dict[str, str] = tomllib.loads((COLLECTION / "waiting.toml").read_text())
    return found


def ready(folder: Path = COLLECTION) -> list[Path]:
    """The scripts of a folder that wait for nothing."""
    late = waiting()
    return [file for file in files([folder]) if f"{file.parent.name}/{file.stem}" not in late]


def core(family: int | None = None) -> list[Item]:
    """Two scripts of each folder of the collection: what `make test` plays on the RTL."""
    folders = sorted(path for path in COLLECTION.iterdir() if path.is_dir())
    return [item(file, family) for folder in folders for file in ready(folder)[:2]]


def family_of(config: RunConfig) -> int | None:
    """The version of IP that a run asks for; None: a script's own `--ip_version` holds."""
    return config.family if "FAMILY" in config.given or config.family != RunConfig.family else None


def item(file: Path, family: int | None = None) -> Item:
    """A script to play, over a version of IP; None: that which it asks for."""
    shown = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file
    names = (("script", str(shown)),)
    try:
        return Item(names, packetdrill.read(file, family))
    except ScriptError as error:
        return Item(names, None, error)
    except UnicodeDecodeError as error:
        return Item(names, None, ScriptError(f"no text: {error}"))


def items(config: RunConfig) -> list[Item]:
    """The scripts of SCRIPTS, or the project's own."""
    found = [item(file, family_of(config)) for file in files(config.scripts or (COLLECTION,))]
    if not found:
        raise ConfigError("there is no script", f"SCRIPTS={' '.join(map(str, config.scripts))}", "name files (*.pkt)")
    return found


def main(config: RunConfig) -> int:
    """Play them."""
    out = OUT / "packetdrill"
    found = items(config)
    return report(found, play_all(found, config, out), out)
