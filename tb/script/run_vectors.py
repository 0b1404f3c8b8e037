"""`make vectors VECTORS=file.jsonl [DEVICE=model|rtl]` -> sim_build/vectors/results.json."""

from __future__ import annotations

from tb.config import ConfigError, RunConfig
from tb.script import exceptions
from tb.script.run import OUT, Item, play_all, report
from tb.script.vectors import read


def items(config: RunConfig) -> list[Item]:
    """Every trace of VECTORS, with what excuses its events."""
    if config.vectors is None:
        raise ConfigError("no traces are named", "VECTORS", "give a file: make vectors VECTORS=traces.jsonl")
    excuses = exceptions.load()
    return [
        Item((("set", v.set), ("path", v.path)), v.script, v.broken, excuses.get((v.set, v.path), ()))
        for v in read(config.vectors)
    ]


def main(config: RunConfig) -> int:
    """Play them."""
    out = OUT / "vectors"
    found = items(config)
    return report(found, play_all(found, config, out), out)
