"""Constrained-random events for the engine cluster, back to back, in lockstep with the golden model.

DUT = engine_top in tb/hdl/engine_player.v, which takes a file of events at a time. Python wakes once a batch: it makes
the same steps with the golden model, in the order of the commit records, compares every field of every record (check 1)
and everything that left the queues, and draws the next batch from the golden state. One seed gives the same run.

+events=N: commits at least; +connections=N: how many are offloaded at a time (drawn from 16 to 64 if it is not given).
"""

from __future__ import annotations

import gc
import random
from collections import Counter, defaultdict
from typing import Any

import cocotb
from cocotb.triggers import Timer, ValueChange

from tb.coverage.samples import ENGINES, Samples, by_group, run_name
from tb.env.base_test import configuration
from tb.env.coverage import CoverageMonitor
from tb.files import write_json
from tb.sim.records import RecordReader
from tb.sim.run import BATCH_NAME, RECORDS_NAME, SAMPLES_NAME, replay_command
from tb.tests.unit.tcp_draw import TcpDraw, Weights
from tb.tests.unit.tcp_follow import REACHED, Difference, TcpFollow

#: Each command about a connection as often as any other, for rounds of words.
WORDS = dict.fromkeys(("start", "send", "disconnect", "forward", "update", "query", "invalidate", "terminate", "upload",
                       "initiate"), 8)  # fmt: skip
#: What is drawn, and how often against the other words of its row. A row of a mood stands for that of no mood.
WEIGHTS: Weights = {
    "any": {"connection": 1000, "tick": 80, "credit": 60, "answer": 3, "age": 1, "path": 1, "neighbor": 1, "params": 1,
            "invalidate": 1},
    # the phase of the connection; stale: of an earlier generation; NEW: offloaded in this batch
    "FREE": {"offload": 60, "segment": 4, "send": 1, "terminate": 1, "fault": 1, "stale": 1},
    "NEW": {"segment": 1},
    "LOADED": {"start": 20, "terminate": 8, "send": 4, "disconnect": 2, "segment": 6, "update": 2, "query": 2,
               "forward": 1, "upload": 1, "invalidate": 1, "initiate": 1, "fault": 1, "stale": 1},
    "RUNNING": {"segment": 1000, "consumed": 110, "send": 60, "disconnect": 5, "forward": 20, "update": 5, "query": 3,
                "terminate": 4, "upload": 1, "invalidate": 1, "start": 1, "initiate": 1, "fault": 1, "stale": 4,
                "fence": 1},
    "RUNNING in": {"segment": 1000, "consumed": 400, "forward": 40, "send": 10, "update": 2},
    "RUNNING out": {"segment": 1000, "send": 150, "disconnect": 8},
    "OVER": {"terminate": 30, "segment": 30, "forward": 2, "send": 3, "disconnect": 2, "consumed": 4, "update": 1},
    "FROZEN": {"terminate": 40, "segment": 10, "send": 4, "disconnect": 4, "consumed": 6, "update": 2, "query": 2,
               "forward": 2, "fault": 2, "upload": 1, "stale": 1},
    "TERMINATING": {"fence": 40, "segment": 4, "send": 2, "disconnect": 2, "consumed": 4, "update": 1, "query": 1,
                    "forward": 1, "terminate": 2, "fault": 1, "stale": 1},
    "stale": {"segment": 5, "consumed": 2, "send": 2, "terminate": 1, "fault": 1, "fence": 1, "start": 1, "update": 1},
    "disconnect": {"graceful": 8, "abortive": 2, "inherited": 1},
    "state": {"ESTABLISHED": 50, "FIN_WAIT_1": 5, "FIN_WAIT_2": 3, "CLOSE_WAIT": 6, "CLOSING": 3, "LAST_ACK": 3},
    # rounds of words: every command in every state, of this generation and of another one, and the end of a connection
    "round": {"play": 94, "words": 6},
    "FREE words": WORDS | {"offload": 300, "segment": 8, "stale": 40},
    "LOADED words": WORDS | {"start": 40, "segment": 8, "fault": 8, "stale": 80},
    "RUNNING words": WORDS | {"segment": 60, "consumed": 10, "farewell": 60, "cut off": 8, "forward": 20, "update": 16,
                              "stale": 100, "fault": 4},
    "OVER words": WORDS | {"update": 24, "terminate": 16, "segment": 16, "consumed": 12, "cut off": 16, "stale": 100,
                           "fault": 8},
    "FROZEN words": WORDS | {"terminate": 80, "segment": 8, "consumed": 8, "fault": 8, "stale": 40},
    "TERMINATING words": WORDS | {"fence": 80, "segment": 8, "consumed": 8, "fault": 8, "stale": 20},
    "stale words": WORDS | {"segment": 8, "consumed": 8, "fault": 12, "fence": 8},
    "disconnect words": {"graceful": 4, "abortive": 4, "inherited": 1},
    "state words": {"ESTABLISHED": 8, "FIN_WAIT_1": 10, "FIN_WAIT_2": 12, "CLOSE_WAIT": 4, "CLOSING": 9, "LAST_ACK": 9},
    "segment words": {"ack": 60, "text": 30, "fin": 10, "urg": 12, "old": 4, "syn": 2, "rst": 2},
    "ack words": {"all": 60, "part": 20, "same": 20},
    # the far end: its mood for a round, where the text lies, what it acknowledges, window, options
    "mood": {"mixed": 30, "loss": 35, "out": 15, "in": 12, "holes": 12},
    "segment": {"ack": 350, "text": 300, "hole": 160, "overlap": 50, "old": 30, "edge": 30, "probe": 20, "wild": 6,
                "fin": 6, "late fin": 4, "rst": 3, "syn": 3, "urg": 1, "no ack": 5},
    "segment loss": {"ack": 950, "text": 20, "fin": 1, "edge": 5, "old": 5},
    "segment out": {"ack": 950, "text": 50},
    "segment in": {"text": 700, "hole": 60, "overlap": 60, "edge": 20, "probe": 10, "fin": 2, "late fin": 2},
    "segment holes": {"hole": 700, "text": 120, "overlap": 40, "ack": 20, "late fin": 4, "edge": 20, "old": 10},
    "ack": {"same": 40, "part": 30, "all": 24, "mark": 4, "old": 2, "future": 1, "wild": 1},
    "ack loss": {"same": 800, "part": 120, "all": 30, "mark": 40, "old": 4},
    "ack out": {"part": 60, "all": 30, "same": 10},
    "window": {"same": 60, "more": 15, "less": 8, "shut": 4, "any": 9},
    "window loss": {"same": 200, "more": 2, "shut": 1},
    "window out": {"same": 60, "more": 40},
    "timestamp": {"newer": 200, "older": 3, "wild": 1, "absent": 2, "none": 1},
    "sack": {"next": 4, "new": 8, "island": 8, "grown": 3, "odd": 1, "duplicate": 1, "wild": 1},
    # time, and the queues behind the cluster
    "tick": {"one": 600, "short": 500, "medium": 70, "deadline": 60, "long": 3, "days": 1},
    "queues": {"open": 80, "stalled": 15, "no room": 5},
}  # fmt: skip
#: How often at least in 100 000 commits each thing is reached (tcp_follow.REACHED); a run of less is not judged by it.
FLOORS = dict.fromkeys(REACHED, 15) | {
    "scoreboard of 3 or more": 3,
    "FIN behind a hole": 3,
    "rescue": 5,
    "our FIN leaves": 10,
    "round trip measured": 800,
    "slow start": 500,
    "ranges out of order: 8": 30,
}
FLOOR_FROM = 100_000
#: Share of commits that change nothing and cause nothing, at most.
NOTHING = 0.15
#: As engine_player is built.
CONNS = 64
#: Events of a batch.
BATCH = 50
SEED_WORDS = "engine_player"


@cocotb.test()
async def every_commit_of_random_events_is_that_of_the_golden_model(dut: Any) -> None:
    """Check 1 (architecture 3) at the block; docs/contract/tcp_step.md as a whole."""
    config = configuration()
    rng = random.Random(f"{SEED_WORDS} {config.seed}")
    wanted = int(cocotb.plusargs.get("events", 2000))
    connections = int(cocotb.plusargs.get("connections", rng.randrange(16, 65)))
    monitor = CoverageMonitor(0, bytearray())  # the cluster alone: no bus, no memory
    follow = TcpFollow(CONNS, 0, monitor.tcp)
    draw = TcpDraw(rng, follow, WEIGHTS, connections)
    numbers: dict[str, Any] = {"commits_compared": 0, "frames_compared": 0, "problems": []}
    lines = draw.first()
    go = 0
    await Timer(1, unit="ns")  # the initial blocks have run
    gc.freeze()  # as Bench.run does: there is little cyclic garbage, and looking for it costs
    gc.set_threshold(100_000, 20, 100)
    try:
        while True:
            (config.out / BATCH_NAME).write_text("".join(lines))
            go = 1 - go
            dut.go.value = go
            await ValueChange(dut.done)
            reader = RecordReader(config.out / RECORDS_NAME)
            follow.read(reader)
            reader.close()
            if follow.commits >= wanted:
                break
            lines = draw.batch(BATCH)
    except Difference as difference:
        numbers["problems"] += str(difference).splitlines()
        raise AssertionError(f"{difference}\nseed {config.seed}; again: {replay_command(config.out)}") from None
    finally:
        numbers["commits_compared"] = follow.commits
        write_json(config.out / "rtl.json", numbers)
    dut._log.info("%s", report(follow, draw))
    few = [f"{name}: {follow.reached[name]}, at least {floor} are wanted" for name, floor in FLOORS.items()
           if follow.commits >= FLOOR_FROM and follow.reached[name] < floor]  # fmt: skip
    assert not few, "the events were not worth their time:\n" + "\n".join(few)
    assert follow.idle_commits <= NOTHING * follow.commits, f"{follow.idle_commits} commits did nothing"
    samples = Samples(
        design=str(cocotb.plusargs.get("design", "")),
        test=run_name(config.out),
        seed=config.seed,
        simulator=config.sim,
        data_w=config.data_w,
        conns=CONNS,
        hits=by_group(monitor.hits()),
        top=ENGINES,
    )
    samples.store(config.out / SAMPLES_NAME)


def reached(follow: TcpFollow) -> dict[str, int]:
    """How often each thing was reached that a run must reach, and commits that did nothing."""
    return {name: follow.reached[name] for name in REACHED} | {"nothing": follow.idle_commits}


def report(follow: TcpFollow, draw: TcpDraw) -> str:
    """Event, outcome, and how often in each state."""
    rows: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (kind, outcome, state), count in follow.table.items():
        rows[kind, outcome][state] += count
    lines = [f"{follow.commits} commits, {len(draw.live)} connections, {follow.drains} times drained"]
    lines += [f"left the queues: {dict(follow.compared)}"]
    lines += [f"{count:7} {name}" for name, count in reached(follow).items()]
    for (kind, outcome), states in sorted(rows.items()):
        shown = ", ".join(f"{state} {count}" for state, count in states.most_common())
        lines.append(f"{kind:16} {outcome:36} {states.total():7}  {shown}")
    return "\n".join(lines)
