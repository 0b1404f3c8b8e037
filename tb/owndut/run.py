"""`make test DUT=folder`: which sessions somebody else's device passes, which it refuses, which it fails."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tb.config import ROOT, ConfigError, RunConfig
from tb.files import shown
from tb.folders import claimed
from tb.owndut.device import OwnDevice, patched
from tb.owndut.suite import ABSENT, BY_NAME, CHECKS, DEFAULTS, RESULT, SESSIONS, Session
from tb.progress import Meter
from tb.sim.run import RunResult, replay_command, run, said_of
from tb.sim.shown import build_shown
from tb.sim.tools import choose
from tb.story.find import key_of, story_of

OUT = ROOT / "sim_build" / "dut"
MODULE = "tb.tests.rtl.own_dut_test"
#: Cycles a tick: what a small device does in one is little, and a simulated cycle costs.
PLUSARGS = {"prescale": 250}
#: Seconds that one session may take.
TIMEOUT = 600.0
PASSED, REFUSED, FAILED = "passed", "refused", "failed"
#: What the session says of bytes that came back without the offload; no fault of a device that refused it.
IN_SOFTWARE = "bytes came back in software, not through the offload"


@dataclass(frozen=True)
class Outcome:
    """One session. ``what`` says what was refused, or the first thing that is wrong."""

    session: str
    must_hold: str
    outcome: str
    what: str
    seconds: float
    again: str


def judge(refused: list[str], problems: list[str]) -> tuple[str, str]:
    """Outcome and its reason.

    A device may refuse the offload, if it says so and everything else holds: the host's software goes on.
    """
    left = [line for line in problems if not (refused and line.endswith(IN_SOFTWARE))]
    if left:
        return FAILED, left[0].splitlines()[0]
    return (REFUSED, "; ".join(refused)) if refused else (PASSED, "")


def outcome_of(session: Session, result: RunResult) -> Outcome:
    """What came of one simulation."""
    path = result.directory / RESULT
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        messages = [said_of(o.message) for o in result.outcomes if o.status == "failed" and o.message]
        problems = found["problems"] or messages or ([result.problem] if result.problem else [])
        # what stands still is told by the exception, not by the verdict
        stands = [line for line in messages if "StandstillError" in line]
        outcome, what = judge(found["refused"], stands + problems)
    else:
        last = [said_of(o.message) for o in result.outcomes if o.message]
        outcome, what = FAILED, (last or [result.problem or "the simulation left no result"])[0].splitlines()[0]
    again = replay_command(result.directory) if outcome == FAILED else ""
    return Outcome(session.name, session.must_hold, outcome, what, round(result.seconds, 1), again)


def chosen(config: RunConfig) -> list[Session]:
    """The sessions that TEST means: whole names, or parts of names."""
    if config.test is not None and config.test in BY_NAME:
        return [BY_NAME[config.test]]
    found = [session for session in SESSIONS if config.selects(session.name)]
    if not found:
        raise ConfigError("no session has this in its name", f"TEST={config.test}", ", ".join(BY_NAME))
    return found


def play(config: RunConfig, device: OwnDevice, sessions: list[Session], out: Path) -> Iterator[Outcome]:
    """Build once, then run one session after the other."""
    tool, remark = choose(config.sim, fall_back=not config.sim_given)
    print(remark)
    built = build_shown(device.spec(tool))
    with Meter("sessions", len(sessions)) as meter:
        for session in sessions:
            settings = {**DEFAULTS, **session.settings}
            folder = out / session.name
            shutil.rmtree(folder, ignore_errors=True)
            one = replace(
                config, **settings, sim=tool.kind, data_w=device.data_w, out=folder, test=session.name,
                dut=device.folder, device="rtl",
            )  # fmt: skip
            started = meter.around(session.name, run)
            yield outcome_of(session, started(built, MODULE, folder, config=one, timeout=TIMEOUT, plusargs=PLUSARGS))


def table(outcomes: list[Outcome]) -> str:
    """The table that is printed and shown in docs/your-own-dut.md: one line a session."""
    rows = [("session", "outcome", "what"), *((o.session, o.outcome, o.what or o.must_hold) for o in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"  {a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows)


def stories(outcomes: list[Outcome], out: Path) -> Iterator[str]:
    """One story for the sessions that failed in one place; where there is none, the command that plays it again."""
    alike: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.outcome == FAILED:
            alike.setdefault(key_of(out / outcome.session) or outcome.session, []).append(outcome)
    for first, *others in alike.values():
        yield ""
        yield story_of(out / first.session).rstrip() or f"again    {first.again}"
        if others:
            yield f"the same failure: {', '.join(one.session for one in others)}"


def main(config: RunConfig) -> int:
    """Play the sessions; 0 if the device passes one, and passes or refuses each."""
    if config.dut is None:
        raise ConfigError("there is no device to play on", "DUT=", "give the folder of one (docs/your-own-dut.md)")
    device, sessions = OwnDevice.load(config.dut), chosen(config)
    out = OUT / (device.top if config.patch is None else f"{device.top}-patched")
    out.mkdir(parents=True, exist_ok=True)
    with claimed(out, shown(out), "wait for it, or end it: devices whose top has one name share a folder"):
        if config.patch is not None:
            device = patched(device, config.patch, out / "device")
        return sessions_run(config, device, sessions, out)


def sessions_run(config: RunConfig, device: OwnDevice, sessions: list[Session], out: Path) -> int:
    """Play the sessions and print what came of them."""
    started = time.monotonic()
    outcomes: list[Outcome] = []
    try:
        for outcome in play(config, device, sessions, out):
            outcomes.append(outcome)
    finally:
        facts = {
            "dut": str(config.dut),
            "top": device.top,
            "patch": None if config.patch is None else str(config.patch),
            "seed": config.seed,
            "checks": CHECKS,
            "absent": ABSENT,
            "sessions": [asdict(outcome) for outcome in outcomes],
        }
        (out / "summary.json").write_text(json.dumps(facts, indent=1))
    print(f"device {device.top}, seed {config.seed}, {time.monotonic() - started:.0f} s; no commit port")
    print("checks this run has:\n" + "\n".join(f"  {check}" for check in CHECKS))
    print("checks it has not:\n" + "\n".join(f"  {check}" for check in ABSENT) + "\n")
    print(table(outcomes))
    for line in stories(outcomes, out):
        print(line)
    counts = {kind: sum(o.outcome == kind for o in outcomes) for kind in (PASSED, REFUSED, FAILED)}
    print(f"results: {out / 'summary.json'}")
    if not counts[PASSED]:
        print("FAIL: no session passed, so nothing was shown of the device")
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()), flush=True)
    return 0 if counts[PASSED] and not counts[FAILED] else 1
