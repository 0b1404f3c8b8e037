"""`make vectors VECTORS=file.jsonl [DEVICE=model|rtl]` -> sim_build/vectors/results.json."""

from __future__ import annotations

from tb.config import ConfigError, RunConfig
from tb.script import exceptions
from tb.script.run import OUT, Item, play_all, report
from tb.script.vectors import Vector, read

#: Traces that may have an exception.
MOST_EXCEPTIONS = 10


def items(config: RunConfig) -> list[Item]:
    """Every trace of VECTORS, with what excuses its events; nothing excuses one of pure RFC behaviour."""
    if config.vectors is None:
        raise ConfigError("no traces are named", "VECTORS", "give a file: make vectors VECTORS=traces.jsonl")
    excuses = exceptions.load()
    return [item(v, () if v.pure else excuses.get((v.set, v.path), ())) for v in read(config.vectors)]


def item(v: Vector, excuses: tuple[exceptions.Excuse, ...] = ()) -> Item:
    """A trace to play."""
    return Item((("set", v.set), ("path", v.path)), v.script, v.broken, excuses)


def main(config: RunConfig) -> int:
    """Play them; 1 also if more than `MOST_EXCEPTIONS` have an exception."""
    out = OUT / "vectors"
    found = items(config)
    results = play_all(found, config, out)
    excused = sum(result.status == "exception" for result in results)
    if excused > MOST_EXCEPTIONS:
        print(f"{excused} traces have an exception, {MOST_EXCEPTIONS} may")
    return report(found, results, out) or int(excused > MOST_EXCEPTIONS)
