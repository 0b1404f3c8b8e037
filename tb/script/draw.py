"""What a test plays on the RTL where nobody named a batch: traces drawn by the seed, none of them long."""

from __future__ import annotations

import random
from collections.abc import Sequence

import tb.script.run_packetdrill as run_packetdrill
import tb.script.run_vectors as run_vectors
from tb.config import RunConfig
from tb.script.established import TICK
from tb.script.events import Script
from tb.script.run import Item

#: Ticks that a drawn trace may show: a simulator needs cycles for each of them.
LONGEST = 1_500


def ticks_of(script: Script) -> int:
    """Ticks from the first event of a trace to the last, as it shows them."""
    now = 0
    for event in script.events:
        now = now + event.when.low if event.when.relative else max(now, event.when.low)
    return now // TICK


def draw(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """So many short ones, or all there are; the same seed draws the same."""
    short = [item for item in items if item.script is not None and ticks_of(item.script) <= LONGEST]
    return random.Random(f"traces/{seed}").sample(short, min(count, len(short)))


def whole(config: RunConfig) -> list[Item]:
    """Every script that waits for nothing, and every trace of VECTORS; with SEEDS the part of SEED."""
    scripts = [run_packetdrill.item(file, run_packetdrill.family_of(config)) for file in run_packetdrill.ready()]
    traces = run_vectors.items(config) if config.vectors is not None else []
    seeds = config.seeds if config.seed in config.seeds else (config.seed,)
    return (scripts + traces)[seeds.index(config.seed) :: len(seeds)]


def drawn(config: RunConfig, scripts: int, vectors: int) -> list[Item]:
    """Scripts of the collection that wait for nothing, and traces of VECTORS, if it is given."""
    ready = [run_packetdrill.item(file, run_packetdrill.family_of(config)) for file in run_packetdrill.ready()]
    traces = run_vectors.items(config) if config.vectors is not None else []
    return draw(ready, scripts, config.seed) + draw(traces, vectors, config.seed)
