"""The record of a failed simulation: failure.json in the folder of its job, and the story that people read.

Both are made from what the run left there (divergence.txt, rtl.json, results.xml, records.txt), so every job has them.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import textwrap
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

from model.device.report import describe_frame
from model.device.words import commit_connection, commit_words, name_of
from model.layout.generated import (
    RecCq,
    RecDlv,
    RecTcp,
    Tcb,
)
from model.wire.pcapng import PcapngError, read_pcapng
from tb.files import program, shortened, shown
from tb.report.record_fields import columns
from tb.sim.records import RecordError, parse
from tb.sim.run import BROKEN_ASSERTION, RECORDS_NAME, REPLAY_FOLDER, RunResult, said_of
from tb.story.divergence import check_of, facts_of
from tb.story.find import AGAIN, MUST_HOLD, TOLD
from tb.story.rules import Rule, of_divergence, of_problem

FAILURE_NAME, STORY_NAME = "failure.json", "story.txt"
SCHEMA = 1
#: The first rising edge and the period of the clock (tb/hdl/clk_rst.v), in the unit of the wave files, picoseconds.
FIRST_EDGE_PS, PERIOD_PS = 5_000, 10_000
#: Lines of a story, events told, characters a line (events and commands apart).
MAX_LINES, MAX_EVENTS, WIDTH = 29, 8, 118
#: Bytes at the end of the records in which the last events are looked for.
TAIL = 8 << 20
#: What went over the wire; one that is larger is not read for a story.
CAPTURE_NAME, MAX_CAPTURE = "wire.pcapng", 64 << 20
#: Fields whose values have names; `table` stands before those that were seen by back door.
ENUMS: dict[str, type[IntEnum]] = {
    column.name: column.enum for struct in (RecDlv, RecCq, RecTcp) for column in columns(struct) if column.enum
}
ENUMS |= {f"table {name}": ENUMS[name] for name in ("tcb.state", "tcb.phase")}


@dataclass(frozen=True)
class FailureRecord:
    """What failure.json holds. `cycle` counts rising edges of the clock, `marker_time` is in picoseconds.

    `key` is the bucket: the same for every run that fails in the same place, whatever its seed.
    """

    key: str
    title: str
    must_hold: str
    rule: str | None
    reference: str
    check: int | str
    cycle: int | None
    marker_time: int | None
    connection: int | None
    expected: str | None
    got: str | None
    last_events: tuple[str, ...]
    commands: dict[str, str]
    #: What the story says beside it: rules one by one, lines of the frame, the event of the divergence.
    rules: tuple[Rule, ...] = field(default=(), metadata={"story": True})
    frame: tuple[str, ...] = field(default=(), metadata={"story": True})
    event: str = field(default="", metadata={"story": True})
    #: Whether `cycle` is where it happened, and not the end of the run.
    placed: bool = field(default=True, metadata={"story": True})

    def to_json(self) -> dict[str, Any]:
        """The keys of failure.json."""
        own = [one.name for one in dataclasses.fields(self) if not one.metadata.get("story")]
        return {"schema": SCHEMA, **{name: getattr(self, name) for name in own}}


def marker_time(cycle: int) -> int:
    """The rising edge of a cycle in picoseconds."""
    return FIRST_EDGE_PS + PERIOD_PS * cycle


def tell(result: RunResult) -> FailureRecord:
    """Write failure.json and story.txt of a failed run."""
    record = read_failure(result)
    (result.directory / FAILURE_NAME).write_text(json.dumps(record.to_json(), indent=1) + "\n")
    (result.directory / STORY_NAME).write_text(story(record))
    return record


def read_failure(result: RunResult) -> FailureRecord:
    """The failure that a run left behind."""
    folder = result.directory
    report = next(iter(sorted(folder.glob("*divergence.txt"))), None)
    found = parse_divergence(report.read_text()) if report is not None else None
    return of_report(found, folder) if found is not None else of_complaint(result)


# ---- a divergence -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReportedDivergence:
    """A divergence report (model/device/report.py), read back."""

    check: int
    cycle: int
    stream: str
    connection: int | None
    event: str
    field: str
    expected: str
    got: str
    rule: str
    history: tuple[str, ...]
    frame: tuple[str, ...]


def parse_divergence(text: str) -> ReportedDivergence | None:
    """Read the report back; None if it is none."""
    check, facts = check_of(text), facts_of(text)
    if check is None:
        return None
    connection = facts.get("connection", "none")
    return ReportedDivergence(
        check=check,
        cycle=int(facts["cycle"]),
        stream=facts["stream"].partition(", record")[0],
        connection=int(connection) if connection.isdigit() else None,
        event=facts["event"],
        field=facts["field"],
        expected=facts["expected"],
        got=facts["got"],
        rule=facts.get("rule", ""),
        history=_block(text, "last commits of the connection:"),
        frame=_block(text, r"frame, \d+ bytes:"),
    )


def _block(text: str, heading: str) -> tuple[str, ...]:
    """The indented lines behind a heading."""
    found = re.search(rf"^{heading}\n((?:  .*\n)*)", text, re.MULTILINE)
    return tuple(line.strip() for line in found.group(1).splitlines()) if found else ()


def of_report(d: ReportedDivergence, folder: Path) -> FailureRecord:
    """The record of a divergence."""
    rules = of_divergence(d.rule, d.check, d.stream, d.event, d.field)
    on = "" if d.connection is None else f" of connection {d.connection}"
    return _record(
        folder,
        rules,
        key=stable(f"check {d.check}: {d.stream} {d.field}", keep=f"check {d.check}"),
        title=f"{d.stream} {d.field}{on} is not what the golden model has, at {d.event}",
        check=d.check,
        cycle=d.cycle,
        connection=d.connection,
        expected=_named(d.field, d.expected),
        got=_named(d.field, d.got),
        events=d.history or last_events(folder / RECORDS_NAME, d.cycle, d.connection),
        frame=d.frame,
        event=d.event,
    )


def _named(name: str, value: str) -> str:
    """A value with its name, where its field has names."""
    number = re.match(r"\d+", value)
    enum = ENUMS.get(name)
    return f"{value}, {name_of(enum, int(number.group()))}" if enum is not None and number else value


# ---- another judge ----------------------------------------------------------------------------------


def of_complaint(result: RunResult) -> FailureRecord:
    """The record of a failure that lockstep did not see."""
    from tb.sabotage.judge import complaints, judge
    from tb.sabotage.manifest import ASSERTED, BOUND

    folder = result.directory
    seen = judge(folder, result)
    failed = next((one for one in result.outcomes if one.status == "failed"), None)
    test = failed.name.rpartition(".")[2] if failed else "the simulation"
    by, line, cycle = (str(seen.by), seen.field, seen.cycle) if seen is not None else ("crash", "", None)
    if by == ASSERTED and failed and not failed.message.startswith(BROKEN_ASSERTION):
        by, line, cycle = "crash", "", None  # another test had failed before the assertion ended a later one
    if by == "timeout" and failed and broke_off(failed.message):
        by, line, cycle = "crash", "", None  # that it did not come to its end is what comes of it
    if by == "crash" and (not line or Path(line) == result.log):
        line = (said_of(failed.message) if failed else result.problem.strip().rpartition("\n")[2]) or "the test failed"
    if by == "sums" and (broken := [one for one in complaints(folder, result) if one.startswith("contract: ")]):
        by, line = "contract", shortened(broken[0], 160)  # a rule says why the sums differ
    if by == BOUND:
        by = "timeout"  # for the bucket of a failure it is one thing which clock ended the wait
    if by == "wire" and line.startswith("seam: "):
        by = "seam"
    whole = _top(folder) == "tb_top"
    if cycle is None and whole:
        cycle = cycle_of_tick(folder / RECORDS_NAME, line)
    placed = cycle is not None or by == ASSERTED  # an assertion ends the simulation in its own cycle
    time = None if failed is None or not failed.sim_time_ns else round(failed.sim_time_ns * 1000)
    if cycle is None and time is not None and whole:
        cycle = max(0, (time - FIRST_EDGE_PS) // PERIOD_PS)
    rules = of_problem(by, line)
    named = rules[0].id if by in ("contract", "checker") and rules[0].id != by else stable(line.removeprefix(f"{by}: "))
    known = re.search(r"\bconn(?:ection)? (\d+)", line)
    connection = int(known.group(1)) if known else None
    made = _record(
        folder,
        rules,
        key=f"{by}: {f'{test}: ' if by in ('crash', 'timeout') else ''}{named}",
        title=f"{test}: {line}",
        check=by,
        cycle=cycle,
        connection=connection,
        expected=None,
        got=line,
        events=last_events(folder / RECORDS_NAME, cycle, connection)
        or last_frames(folder / CAPTURE_NAME, line, connection),
    )
    made = dataclasses.replace(made, placed=placed)
    return made if cycle is not None and whole else dataclasses.replace(made, marker_time=time)


def broke_off(message: str) -> bool:
    """The message of a failed test is of an exception that is no verdict and no wait that was in vain."""
    verdicts = r"(?:[\w.]*\.)?(?:TestFailure|StandstillError|SimTimeoutError|ProcessTimeoutError)\b"
    return "Traceback (most recent call last)" in message and not re.match(verdicts, said_of(message))


def of_verdict(folder: Path, test: str, by: str, line: str, got: str, again: dict[str, str]) -> FailureRecord:
    """The record of what a judge said behind a run, or of a run that was no simulation: ``again`` has its commands."""
    tick = re.search(r"\bat tick \d+", got)
    cycle = cycle_of_tick(folder / RECORDS_NAME, got) if tick else None
    made = _record(
        folder,
        of_problem(by, f"{line} {got}"),
        key=f"{by}: {stable(line)}",
        title=f"{test}: {by}, {line}",
        check=by,
        cycle=cycle,
        connection=None,
        expected=None,
        got=got,
        events=last_events(folder / RECORDS_NAME, cycle, None) or last_frames(folder / CAPTURE_NAME, got, None),
    )
    return dataclasses.replace(made, commands=again)


def _top(folder: Path) -> str:
    """What was simulated."""
    from tb.sim.run import AGAIN_NAME

    again = folder / AGAIN_NAME
    return str(json.loads(again.read_text())["top"]) if again.exists() else ""


def stable(text: str, keep: str = "") -> str:
    """Text without what differs from run to run: numbers, addresses, sums. ``keep`` stays at its front as it is."""
    rest = text.removeprefix(keep)
    rest = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{16,}\b|\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "#", rest, flags=re.IGNORECASE)
    rest = re.sub(r"\d+(?:[.:]\d+)*", "#", rest)
    return keep + " ".join(rest.split())[:120]


def cycle_of_tick(records: Path, line: str) -> int | None:
    """The cycle with which the tick began that a monitor's line names (`at tick 48`); None where it names none."""
    named = re.search(r"\bat tick (\d+)", line)
    if named is None or not records.exists():
        return None
    with records.open(errors="replace") as file:
        for text in file:
            if text.startswith("S "):
                _, cycle, value = text.split()
                if int(value, 16) >= int(named.group(1)):
                    return int(cycle)
    return None


def last_events(records: Path, cycle: int | None, connection: int | None) -> tuple[str, ...]:
    """The last commits in the recorder's file up to a cycle, of a connection or of all."""
    if not records.exists():
        return ()
    with records.open("rb") as file:
        file.seek(max(0, records.stat().st_size - TAIL))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.startswith("T ")]
    known: dict[int, Tcb] = {}
    told: deque[str] = deque(maxlen=MAX_EVENTS)
    for line in lines:
        try:
            record = parse(line)
            on = commit_connection(record.value)
            if cycle is not None and record.cycle > cycle:
                break
            if connection is None or on == connection:
                words = commit_words(record.value, known.get(on) if on is not None else None, record.cycle)
                told.append(words if connection is not None or on is None else f"{words} (connection {on})")
            if on is not None:
                known[on] = Tcb.unpack(RecTcp.unpack(record.value).tcb)
        except (RecordError, ValueError):  # an unknown value, or one that the layout does not have, is not told
            continue
    return tuple(told)


def last_frames(capture: Path, line: str, connection: int | None) -> tuple[str, ...]:
    """The last frames on the wire up to the tick that a judge's line names, for a device without commits."""
    if not capture.exists() or capture.stat().st_size > MAX_CAPTURE:
        return ()
    try:
        packets = read_pcapng(capture)
    except PcapngError:  # of a run that was ended
        return ()
    named = re.search(r"\bat tick (\d+)", line)
    told: deque[str] = deque(maxlen=MAX_EVENTS)
    for packet in packets:
        facts = re.match(r"(tx|rx) tick=(\d+) conn=(\d+|\?)", packet.comment)
        if facts is None or (named is not None and int(facts[2]) > int(named[1])):
            continue
        if connection is None or facts[3] == str(connection):
            on = f" (connection {facts[3]})" if connection is None and facts[3] != "?" else ""
            who = "the device sent" if facts[1] == "tx" else "the peer sent"
            told.append(f"tick {facts[2]}: {who} {describe_frame(packet.frame)[-1]}{on}")
    return tuple(told)


# ---- the story --------------------------------------------------------------------------------------


def _record(
    folder: Path, rules: list[Rule], *, key: str, title: str, check: int | str, cycle: int | None,
    connection: int | None, expected: str | None, got: str | None, events: tuple[str, ...],
    frame: tuple[str, ...] = (), event: str = "",
) -> FailureRecord:  # fmt: skip
    named = ", ".join(rule.id for rule in rules)
    return FailureRecord(
        key=key,
        title=shortened(title, 200),
        must_hold="; ".join(rule.must_hold for rule in rules),
        rule=named or None,
        reference=", ".join(dict.fromkeys(rule.reference for rule in rules)),
        check=check,
        cycle=cycle,
        marker_time=None if cycle is None else marker_time(cycle),
        connection=connection,
        expected=expected,
        got=got,
        last_events=events[-MAX_EVENTS:],
        commands=commands(folder),
        rules=tuple(rules),
        frame=frame,
        event=event,
    )


def commands(folder: Path) -> dict[str, str]:
    """How to see it again: the recorded run, with waves, in the report. Run them where the tree begins."""
    if folder.name == REPLAY_FOLDER:
        folder = folder.parent
    where = shlex.quote(shown(folder))
    return {name: f"{program()} {name} {where}" for name in ("replay", "waves", "report")}


def wrapped(text: str, first: str, then: str) -> list[str]:
    """Text in two lines at most; what does not fit ends behind a word."""
    wrap = {"subsequent_indent": then, "max_lines": 2, "placeholder": " ..."}
    return textwrap.wrap(text, WIDTH, initial_indent=first, **wrap) or [first.rstrip()]  # type: ignore[arg-type]


def story(record: FailureRecord) -> str:
    """The failure in words, under 30 lines."""
    lines = [*wrapped(f"{TOLD}{record.title}", "", "  "), MUST_HOLD]
    for rule in record.rules:
        text = f"{rule.id}: {rule.must_hold} ({rule.reference})"
        lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ", max_lines=3)
    by = f"check {record.check}" if isinstance(record.check, int) else f"{record.check}"
    if record.cycle is not None:
        on = "" if record.connection is None else f", connection {record.connection}"
        event = f", {record.event}" if record.event else ""
        where = "first divergence" if record.placed else "noticed when the run was over"
        lines.append(f"{where}: cycle {record.cycle} ({marker_time(record.cycle) // 1000} ns){on}{event}; {by}")
    elif record.marker_time is not None:  # of a block alone, which counts no cycles
        lines.append(f"failed at {record.marker_time / 1000:g} ns; {by}")
    for name, value in (("expected", record.expected), ("got", record.got)):
        if value is not None:
            lines += wrapped(value, f"  {name:<9}", " " * 11)
    shown = [f"  {name:<9}{command}" for name, command in record.commands.items()]
    room = MAX_LINES - len(lines) - 1 - len(shown) - (1 + len(record.frame) if record.frame else 0)
    if record.last_events and room > 1:
        lines.append("what happened before, the last one last:")
        lines += [f"  {line}" for line in record.last_events[-(room - 1) :]]
    if record.frame:
        lines += ["frame:", *(shortened(f"  {line}", WIDTH) for line in record.frame)]
    return "\n".join([*lines, AGAIN if len(shown) > 1 else "again:", *shown]) + "\n"
