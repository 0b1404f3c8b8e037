"""What counts against a session under attack: the bounds, and their verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tb.config import LATENCY_SPREADS, RunConfig
from tb.hostile.attacks import REACHING, classes_of
from tb.session.network import wire_cycles

#: Engine cycles a frame at most; shares of frames that reach a live connection, and of the goodput that is kept.
CYCLES_MOST: Final = 64
REACHED_LEAST: Final = 0.2
RATIO_LEAST: Final = 0.95
#: The same of each good connection alone. What one loses to chance another has: a segment that comes a tick later meets
#: another delayed ACK, which moves a connection by a tenth. One that is starved while others are served is far below.
RATIO_EACH_LEAST: Final = 0.8
#: Pieces of text, each a full frame at the most, that may have to be written before a segment finds room behind
#: tcp_engine: actions that wait in rx_top (PLQ), writes that rx_placer has begun (WRITES), and as many messages as the
#: queues hold beyond the mark at which the engine stops (QUEUE - LIMIT of engine_top).
PIECES_BEFORE_ROOM: Final = 16 + 16 + 2
#: Goodput of a connection is that of so much of what it had still to carry when the attack began. The rest is left out:
#: whether its last segment is one that a delayed ACK waits for is chance, and as long as all before it on the RTL.
MEASURED: Final = 0.9
#: Share of what is measured that the attack must have lasted.
COVERED_LEAST: Final = 0.75
#: Share of the attack's frames that must come while good connections have bytes to carry: the rest tells nothing of it.
BESIDE_LEAST: Final = 0.5
#: Of a class that speaks on open connections so much reaches one; with fewer frames the share tells nothing.
CLASS_REACHED_LEAST, CLASS_FRAMES = 0.5, 50


def room_most(config: RunConfig) -> int:
    """Cycles that a segment may wait for room behind tcp_engine.

    `PIECES_BEFORE_ROOM`, one after the other at the bus, as wide as the wire, each with the longest latency of memory;
    as they overlap, and few are full frames, the most that was seen is a fifth.
    """
    return PIECES_BEFORE_ROOM * (wire_cycles(config) + config.mem_latency + max(LATENCY_SPREADS))


@dataclass
class Score:
    """What was sent, by class, and what became of it."""

    frames: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    """Frames that reached no good connection, as all of them had been served by then."""
    #: Frames that entered while good connections had bytes to carry.
    beside: int = 0
    #: How victims ended.
    victims: Counter[str] = field(default_factory=Counter)
    #: Number of an attack frame among all that entered, from 0 -> `cycles.option_walk`.
    walks: dict[int, int] = field(default_factory=dict)
    #: Ticks at which the attack began and its last frame entered, and at which all good bytes were back.
    begun: int | None = None
    stopped: int = 0
    ended: int | None = None
    #: Of each good connection: bytes that were back when the attack began; tick at which `MEASURED` of the rest was
    #: back, and how much of it there was then.
    before: list[int] = field(default_factory=list)
    measured: dict[int, tuple[int, int]] = field(default_factory=dict)

    def carried(self, place: int, back: int, size: int, tick: int) -> None:
        """Of the ``size`` bytes of the good connection ``place`` these were back at ``tick``."""
        fresh = back - self.before[place]
        if place not in self.measured and fresh >= MEASURED * (size - self.before[place]):
            self.measured[place] = tick, fresh

    @property
    def goodput(self) -> float:
        """Bytes a tick, the sum over the good connections, each until `MEASURED` was back; 0 if not all bytes came."""
        return sum(self.goodput_each)

    @property
    def goodput_each(self) -> list[float]:
        """Of each good connection, by its place; empty if not all bytes came."""
        if self.begun is None or self.ended is None:
            return []
        found = sorted(self.measured.items())
        return [fresh / max(1, tick - self.begun) for _, (tick, fresh) in found]

    @property
    def covered(self) -> float:
        """Share of the time in which goodput is measured, from the attack's beginning, that the attack lasted."""
        if self.begun is None or self.ended is None:
            return 0.0
        span = max(tick for tick, _ in self.measured.values()) - self.begun
        return min(1.0, max(0, self.stopped - self.begun) / max(1, span))


def judge(config: RunConfig, attacked: dict[str, Any], alone: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """A seed's entry of the result: both sessions' figures, and all that is against them.

    An attack that takes the whole port takes goodput from any device: there is no session without it, and what goodput
    would be measured by does not count.
    """
    frames: dict[str, int] = attacked.get("frames", {})
    reached: dict[str, int] = attacked.get("reached", {})
    sent = sum(frames.values())
    goodput, before = float(attacked.get("goodput", 0.0)), float(alone.get("goodput", 0.0))
    pairs = zip(attacked.get("goodput_each", []), alone.get("goodput_each", []), strict=False)
    entry = {
        "seed": config.seed,
        "whole_port": config.whole_port,
        "frames": {attack.__name__: frames.get(attack.__name__, 0) for attack in classes_of(config.family)},
        "reached_frames": reached,
        "reached": round(sum(reached.values()) / max(1, sent), 4),
        "beside": round(attacked.get("beside", 0) / max(1, sent), 4),
        "cycles_max": attacked.get("cycles_max"),
        "room_max": attacked.get("room_max"),
        "room_most": room_most(config) if config.device == "rtl" else None,
        "goodput_with": goodput,
        "goodput_without": None if config.whole_port else before,
        "ratio": None if config.whole_port else round(goodput / before, 4) if before else 0.0,
        "ratio_each": [round(now / then, 4) if then else 0.0 for now, then in pairs],
        "covered": attacked.get("covered"),
        "victims": attacked.get("victims", {}),
        "hang": bool(attacked.get("hang", not attacked) or (not config.whole_port and alone.get("hang", not alone))),
    }
    found = list(problems)
    if len(attacked.get("goodput_each", [])) != len(alone.get("goodput_each", [])) and not config.whole_port:
        found.append("not every connection has a goodput in both sessions")
    found += [*attacked.get("problems", []), *(f"without attack: {one}" for one in alone.get("problems", []))]
    found += _against_device(config, attacked, entry)
    if not config.whole_port:
        found += _against_goodput(attacked, entry)
    return entry | {"problems": found}


def _against_device(config: RunConfig, attacked: dict[str, Any], entry: dict[str, Any]) -> Iterator[str]:
    """What counts whatever the attack takes: a hang, an attack that was none, cycles of the engine."""
    sent, cycles, room = sum(entry["frames"].values()), entry["cycles_max"], entry["room_max"]
    if entry["hang"]:
        yield "hang: a session did not end within its bound"
    if sent != config.frames:
        yield f"{sent} of {config.frames} attack frames entered"
    if entry["reached"] < REACHED_LEAST:
        yield f"{entry['reached']:.1%} of the frames reached a live connection, less than {REACHED_LEAST:.0%}"
    reached, late = entry["reached_frames"], attacked.get("late", {})
    timely = {name: count - late.get(name, 0) for name, count in entry["frames"].items() if name in REACHING}
    for name, count in timely.items():
        if count >= CLASS_FRAMES and reached.get(name, 0) < CLASS_REACHED_LEAST * count:
            yield f"{reached.get(name, 0)} of {count} frames of {name} reached a live connection"
    if cycles is not None and cycles > CYCLES_MOST:
        yield f"{cycles} engine cycles for a frame, more than {CYCLES_MOST}"
    if room is not None and room > room_most(config):
        yield f"{room} cycles of waiting for room behind the engine, more than {room_most(config)}"


def _against_goodput(attacked: dict[str, Any], entry: dict[str, Any]) -> Iterator[str]:
    """What counts of an attack that leaves the good connections room on the wire."""
    covered = attacked.get("covered", 0.0)
    if covered < COVERED_LEAST:
        yield f"the attack lasted for {covered:.0%} of what is measured only"
    if entry["beside"] < BESIDE_LEAST:
        yield f"only {entry['beside']:.0%} of the frames came while good connections had bytes to carry"
    if entry["ratio"] < RATIO_LEAST:
        yield f"goodput fell to {entry['ratio']} of that without the attack"
    for place, one in enumerate(entry["ratio_each"]):
        if one < RATIO_EACH_LEAST:
            yield f"goodput of good connection {place} alone fell to {one} of that without the attack"
