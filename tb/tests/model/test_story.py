"""A failure is a story: what must hold, where it first does not, what came before, three commands, one stable key."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from rich.console import Console

from model.device.divergence import PackedStruct
from model.device.rules import _BY_FIELD, _BY_PREFIX
from model.device.words import commit_words
from model.layout.generated import (
    DlvMsg,
    Opcode,
    Phase,
    RecDlv,
    RecTcp,
    RxSeg,
    Tcb,
    TcpEvt,
    TcpState,
    TxKind,
    Txq,
    TxSegment,
)  # fmt: skip
from model.wire.frame import SegmentFields, TcpFlag, build_segment
from model.wire.pcapng import PcapngWriter
from tb.config import ROOT, RunConfig
from tb.farm.results import FigureRow, JobRow, ResultsReader, ResultsWriter, RunRow
from tb.files import shortened
from tb.owndut.run import FAILED, stories
from tb.owndut.run import Outcome as Own
from tb.replay import report_of
from tb.report.results import read as read_results
from tb.run import report as report_run
from tb.sabotage import run as sabotage
from tb.sabotage.manifest import Sabotage
from tb.sabotage.run import Outcome
from tb.sim.run import BROKEN_ASSERTION, RunResult, TestOutcome, replay_command, said_of
from tb.sim.run import read_results as read_outcomes
from tb.story.divergence import check_of, facts_of
from tb.story.find import AGAIN, failures, newest
from tb.story.record import (
    FAILURE_NAME,
    STORY_NAME,
    WIDTH,
    last_events,
    marker_time,
    parse_divergence,
    stable,
    story,
    tell,
)
from tb.story.rules import CHECKERS, TABLE, TCP_STEP, ids_in, of_divergence, of_problem, table
from tb.testing.results import Report, Verdict
from tb.tests.model.test_follower_lockstep import flip, follow, place, recorded, tcp

JOINT = {
    "schema", "key", "title", "must_hold", "rule", "reference", "check", "cycle", "marker_time", "connection",
    "expected", "got", "last_events", "commands",
}  # fmt: skip


def failed(folder: Path, message: str = "wrong", report: str = "") -> RunResult:
    """A run that failed, as tb.sim.run sees it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "again.json").write_text(json.dumps({"top": "tb_top"}))
    if report:
        (folder / "divergence.txt").write_text(report)
    outcome = TestOutcome("module.the_test", "failed", 1.0, message, 12_345.0)
    return RunResult((outcome,), folder, folder / "sim.log", folder / "records.txt", None, 1.0)


def divergence(tag: str, bit: int, when: Callable[[int], bool]) -> str:
    """The report of a journal with one bit turned."""
    return follow(flip(recorded()[0], tag, bit, when)).report("make replay FAILURE=x")


CASES = {
    "cwnd": ("T", place(RecTcp, "tcb", "cwnd"), tcp(TcpEvt.RX_SEGMENT), "F-2"),
    "rcv_nxt": ("T", place(RecTcp, "tcb", "rcv_nxt"), tcp(TcpEvt.RX_SEGMENT), "C-9"),
    "order": ("T", place(RecTcp, "order"), tcp(TcpEvt.TX_GRANT), "order"),
    "delivery": ("D", place(RecDlv, "dcb"), lambda _: True, "dcb"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_story_has_under_30_lines_and_names_rule_divergence_events_and_three_commands(
    name: str, tmp_path: Path
) -> None:
    tag, bit, when, rule = CASES[name]
    report = divergence(tag, bit, when)
    found = parse_divergence(report)
    assert found is not None
    record = tell(failed(tmp_path, report=report))
    text = (tmp_path / STORY_NAME).read_text()
    lines = text.splitlines()
    assert len(lines) < 30
    assert record.rule is not None
    assert record.rule.split(", ")[0] == rule
    for rule_told in record.rules:
        joined = " ".join(text.split())
        assert rule_told.must_hold in joined
        assert rule_told.reference in joined
    assert f"cycle {found.cycle} ({5 + 10 * found.cycle} ns)" in text
    assert found.expected in text
    assert found.got in text
    assert [line.split()[0] for line in lines[-3:]] == ["replay", "waves", "report"]
    for line in lines[-3:]:
        assert f"chimney {line.split()[0]} {tmp_path}" in line
    assert (record.expected is None or found.expected in record.expected, record.cycle) == (True, found.cycle)


def test_the_record_has_the_agreed_keys_and_absent_values_are_null(tmp_path: Path) -> None:
    tell(failed(tmp_path, "AssertionError: 3 is not 4"))
    record = json.loads((tmp_path / FAILURE_NAME).read_text())
    assert set(record) == JOINT
    assert set(record["commands"]) == {"replay", "waves", "report"}
    assert (record["expected"], record["connection"], record["schema"]) == (None, None, 1)
    assert (record["check"], record["got"]) == ("crash", "AssertionError: 3 is not 4")
    assert (record["cycle"], record["marker_time"]) == (1234, marker_time(1234))


@pytest.mark.parametrize("name", ["cwnd", "rcv_nxt"])
def test_the_same_fault_at_another_event_with_other_numbers_has_the_same_key(name: str, tmp_path: Path) -> None:
    """What a seed changes is the event, its cycle, its values: the key has none of them."""
    tag, bit, when, _ = CASES[name]
    first = next(entry.values[0] for entry in recorded()[0] if entry.tag == tag and when(entry.values[0]))
    one = tell(failed(tmp_path / "one", report=divergence(tag, bit, when)))
    two = tell(failed(tmp_path / "two", report=divergence(tag, bit + 3, lambda value: when(value) and value != first)))
    assert (one.cycle, one.got) != (two.cycle, two.got)
    assert one.key == two.key == f"check 1: tcp tcb.{name}"


def test_faults_in_different_places_have_different_keys(tmp_path: Path) -> None:
    keys = {tell(failed(tmp_path / name, report=divergence(*CASES[name][:3]))).key for name in CASES}
    assert len(keys) == len(CASES)


@pytest.mark.parametrize(
    ("one", "other", "key", "rule"),
    [
        ("wire: flow 10.0.0.1:4000: seq 17 is beyond 16", "wire: flow 10.0.0.2:4001: seq 27 is beyond 9",
         "wire: flow #: seq # is beyond #", "wire"),
        ("rings: rule 4 broken in cycle 99", "rings: rule 4 broken in cycle 7",
         "checker: ring_checker 4", "ring_checker 4"),
        ("contract: CH-093 broken: send 4", "contract: CH-093 broken: send 5", "contract: CH-093", "CH-093"),
        ("AssertionError: at 0x1f00", "AssertionError: at 0x2e00", "crash: the_test: AssertionError: at #", "crash"),
    ],
)  # fmt: skip
def test_a_complaint_of_another_judge_has_its_rule_and_a_key_without_numbers(
    one: str, other: str, key: str, rule: str, tmp_path: Path
) -> None:
    records = [tell(failed(tmp_path / str(n), message)) for n, message in enumerate((one, other))]
    assert [record.key for record in records] == [key, key]
    assert records[0].rule == rule
    assert one in (tmp_path / "0" / STORY_NAME).read_text()


@pytest.mark.parametrize("told", [True, False])
def test_a_run_that_fails_ends_with_its_story_and_without_one_with_the_command_that_replays_it(
    told: bool, tmp_path: Path
) -> None:
    out = io.StringIO()
    if told:
        tell(failed(tmp_path, report=divergence(*CASES["cwnd"][:3])))
    result = {"completions": {}, **{f"sha256_{name}": "0" for name in ("sent", "peer", "received")}}
    config = RunConfig(command="run", out=tmp_path)
    report_run(Console(file=out, soft_wrap=True), config, result, ["the RTL diverged from the golden model"], 1.0)
    end = (tmp_path / STORY_NAME).read_text() if told else f"replay   {replay_command(tmp_path)}\n"
    assert out.getvalue().endswith(f"FAIL: the RTL diverged from the golden model\n\n{end}")


def test_a_broken_rule_of_the_contract_is_told_before_the_sums_that_differ_for_it(tmp_path: Path) -> None:
    sums, rule = "the three sums differ: sent 1, peer 2", "contract: CH-100 at tick 48 (record 137): bytes 3 to 4"
    for number, lines in enumerate(((sums, rule), (rule, sums))):
        record = tell(failed(tmp_path / str(number), "\n".join(lines)))
        assert (record.check, record.rule, record.got) == ("contract", "CH-100", rule)
        assert record.reference.startswith("NDIS: 9.5 Send")


def test_the_tick_that_a_monitor_names_is_the_cycle_of_the_marker_and_the_end_of_a_run_is_called_that(
    tmp_path: Path,
) -> None:
    tmp_path.joinpath("records.txt").write_text("S 266 00000001\nF 300 05\nS 9777 0000002f\nS 10027 00000030\n")
    record = tell(failed(tmp_path, "contract: CH-100 at tick 48 (record 137): bytes 3 to 4"))
    assert (record.cycle, record.marker_time) == (10_027, marker_time(10_027))
    assert "first divergence: cycle 10027" in (tmp_path / STORY_NAME).read_text()
    other = tmp_path / "other"
    assert tell(failed(other, "AssertionError: 3 is not 4")).cycle == 1234
    assert "noticed when the run was over: cycle 1234" in (other / STORY_NAME).read_text()


def test_the_simulated_time_of_a_test_is_read_as_cocotb_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "results.xml"
    path.write_text(
        '<testsuites><testsuite><testcase classname="a" name="b" time="1"><failure message="no"/><properties>'
        '<property name="sim_time_unit" value="ns"/><property name="sim_time_start" value="0.0"/>'
        '<property name="sim_time_stop" value="196285.0"/></properties></testcase></testsuite></testsuites>'
    )
    (outcome,) = read_outcomes(path)
    assert (outcome.status, outcome.sim_time_ns) == ("failed", 196_285.0)


def test_a_cycle_that_is_told_is_the_marker_not_the_end_of_the_test(tmp_path: Path) -> None:
    record = tell(failed(tmp_path, "rings: rule 4 broken in cycle 99"))
    assert (record.cycle, record.marker_time) == (99, 995_000)


EXPLAINED = """ +  where 1 = int(LogicArray('00001', Range(4, 'downto', 0)))
 +    where LogicArray('00001', Range(4, 'downto', 0)) = PackedObject(fifo.count).value
 +  and   0 = len(deque([]))"""
#: What cocotb writes of a test that fails with these words: the exception, then the traceback.
TRACED = """{0}
Traceback (most recent call last):
  File "tb/tests/unit/test_unit_fifo.py", line 44, in words_leave_in_order
    {1}
{2}: {0}
"""
COUNT = "assert int(dut.count.value) == len(held)"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (TRACED.format(f"assert 1 == 0\n{EXPLAINED}", COUNT, "AssertionError"), f"AssertionError: {COUNT}: 1 == 0"),
        (TRACED.format(f"cycle 7\nassert 1 == 0\n{EXPLAINED}", COUNT, "AssertionError"), "AssertionError: cycle 7"),
        (
            TRACED.format("no word came\nwithin 90 ns", "await word()", "tb.env.SlowError"),
            "tb.env.SlowError: no word came",
        ),
        (TRACED.format("first", "one()", "KeyError") + TRACED.format("then", "two()", "OSError"), "OSError: then"),
        (f"assert 1 == 0\n{EXPLAINED}", "assert 1 == 0"),
        (f"{BROKEN_ASSERTION}fifo: full\n" + TRACED.format("x", "y()", "OSError"), f"{BROKEN_ASSERTION}fifo: full"),
        ("cocotb.regression.SimFailure: it ended", "cocotb.regression.SimFailure: it ended"),
        ("", ""),
    ],
    ids=["assert", "assert-with-words", "many-lines", "chained", "bare", "design", "line", "nothing"],
)
def test_the_line_that_is_told_of_a_test_is_its_assertion_or_exception_and_no_explanation_of_it(
    message: str, line: str
) -> None:
    assert said_of(message) == line


def test_a_failing_test_of_a_block_is_told_with_its_assertion_and_the_time_at_which_it_failed(tmp_path: Path) -> None:
    result = failed(tmp_path, TRACED.format(f"assert 1 == 0\n{EXPLAINED}", COUNT, "AssertionError").strip())
    (tmp_path / "again.json").write_text(json.dumps({"top": "fifo"}))
    record = tell(result)
    told = f"AssertionError: {COUNT}: 1 == 0"
    assert (record.title, record.got, record.cycle, record.marker_time) == (f"the_test: {told}", told, None, 12_345_000)
    assert record.key == f"crash: the_test: AssertionError: {COUNT}: # == #"
    text = (tmp_path / STORY_NAME).read_text()
    assert text.startswith(f"FAILED the_test: {told}\n")
    assert "\nfailed at 12345 ns; crash\n  got " in text


@pytest.mark.parametrize(
    ("raised", "check", "got"),
    [("AssertionError: 8 answers", "crash", "AssertionError: 8 answers"),
     ("tb.env.bench.StandstillError: not over after 5 ns", "timeout", "the session did not come to its end")],
)  # fmt: skip
def test_what_broke_a_session_off_is_told_and_not_that_it_did_not_come_to_its_end(
    raised: str, check: str, got: str, tmp_path: Path
) -> None:
    kind, _, words = raised.partition(": ")
    result = failed(tmp_path, TRACED.format(words, "step()", kind))
    (tmp_path / "rtl.json").write_text(json.dumps({"problems": ["the session did not come to its end"]}))
    record = tell(result)
    assert (record.check, record.got) == (check, got)


def test_the_report_of_a_test_run_has_the_title_of_a_story_and_not_its_last_command(tmp_path: Path) -> None:
    tell(failed(tmp_path / "x", f"AssertionError: {'a long way to say what is wrong, ' * 5}and the end"))
    story_told = (tmp_path / "x" / STORY_NAME).read_text()
    case = f'<testcase classname="t[icarus]" name="a"><failure>{escape(story_told)}</failure></testcase>'
    (tmp_path / "junit.xml").write_text(f"<testsuite>{case}</testsuite>")
    (job,) = read_results(tmp_path).jobs
    assert job.title.startswith("the_test: AssertionError: a long way")
    assert job.title.endswith("...")


def test_every_rule_that_a_field_names_has_its_sentence_and_its_place_in_the_contract() -> None:
    page = (ROOT / TCP_STEP).read_text()
    known = table()["tcp_step"]
    for text in (*_BY_FIELD.values(), *_BY_PREFIX.values()):
        ids = ids_in(text)
        assert ids or "docs/" in text or "mechanisms" in text or "rx_parser" in text, text
        for name in ids:
            assert name in known, f"{TABLE.name} has no sentence for {name}"
    for name, rule in known.items():
        letter, _, rest = name.partition("-")
        section = next(part for part in page.split("\n## ") if part.startswith(f"{letter}. "))
        point = re.escape(rest) if letter not in "CD" or not rest else re.escape(rest[0])
        spelled = rf"(?:\*\*|\* ){letter}-{point}\b" if letter != "C" else rf"^{point}\. "
        assert not rest or re.search(spelled, section if letter != "E" else page, re.MULTILINE), name
        assert rule.must_hold
        assert rule.reference


def test_every_rule_of_a_checker_has_the_sentence_of_its_header() -> None:
    for label, name, rules in (("AXI4 memory port", "axi4_checker", 17), ("AXI4-Lite register port", "axil_checker", 9),
                               ("AXI4-Stream receive port", "axis_checker", 7), ("rings", "ring_checker", 8),
                               ("unknown values after reset", "known_checker", 2)):  # fmt: skip
        assert (CHECKERS / f"{name}.v").exists()
        found = [of_problem("checker", f"{label}: rule {n} broken in cycle 1")[0] for n in range(1, rules + 1)]
        assert [rule.id for rule in found] == [f"{name} {n}" for n in range(1, rules + 1)]
        assert all(len(rule.must_hold.split()) > 5 for rule in found)


def test_rules_of_other_events_are_left_out_and_an_unknown_field_falls_back_to_its_check() -> None:
    rule = f"{TCP_STEP} F-2, F-3, D-2: congestion window (RFC 5681, 6582)"
    assert [one.id for one in of_divergence(rule, 1, "tcp", "TIMER", "tcb.cwnd")] == ["D-2"]
    assert [one.id for one in of_divergence(rule, 1, "tcp", "RX_SEGMENT", "tcb.cwnd")] == ["F-2", "F-3"]
    assert [one.id for one in of_divergence("M3", 2, "wire", "frame", "tcp.window")] == ["2"]
    assert [one.id for one in of_divergence("", 1, "tcb_table", "back door", "tcb.snd_una")] == ["tcb_table"]


def packed(struct: type[PackedStruct], **values: int) -> int:
    """A packed vector from its fields."""
    return sum(value << struct.FIELDS[name][0] for name, value in values.items())


def test_an_ack_of_the_peer_is_told_with_what_it_changes() -> None:
    before = Tcb(phase=Phase.RUNNING, state=TcpState.ESTABLISHED, snd_una=4000, snd_max=6000, snd_nxt=6000)
    after = Tcb(phase=Phase.RUNNING, state=TcpState.ESTABLISHED, snd_una=4711, snd_max=6000, snd_nxt=6000)
    seg = RxSeg(flags=16, ack=4711).pack()
    record = packed(RecTcp, kind=TcpEvt.RX_SEGMENT, rx=seg, tcb=after.pack())
    assert commit_words(record, before, 1203) == "cycle 1203: ACK 4711 of the peer, SND.UNA 4000 -> 4711"
    again = packed(RecTcp, kind=TcpEvt.RX_SEGMENT, rx=RxSeg(flags=16, ack=4000).pack(), tcb=before.pack())
    assert commit_words(again, before, 7) == "cycle 7: duplicate ACK 4000 of the peer"


def test_commands_segments_and_messages_are_told_by_their_names() -> None:
    before = Tcb(phase=Phase.RUNNING, state=TcpState.ESTABLISHED, snd_nxt=10)
    segment = Txq(kind=TxKind.SEGMENT, body=TxSegment(seq=10, len=5, flags=24, ack=3, wnd=9).pack())
    record = packed(RecTcp, kind=TcpEvt.TX_GRANT, tcb=before.pack(), tx0_valid=1, tx0=segment.pack())
    assert commit_words(record, before, 1) == "cycle 1: turn to send, sends 10 to 15 PSH+ACK ack 3 win 9"
    frozen = Tcb(phase=Phase.FROZEN, state=TcpState.CLOSED, snd_nxt=10)
    record = packed(RecTcp, kind=TcpEvt.COMMAND, opcode=Opcode.TERMINATE, cause=7, tcb=frozen.pack(), dlv_valid=1,
                    dlv=DlvMsg(kind=4).pack())  # fmt: skip
    told = commit_words(record, before, 2)
    assert told.startswith("cycle 2: TERMINATE of the host (entry 7), phase RUNNING -> FROZEN")
    assert "state ESTABLISHED -> CLOSED" in told


def test_the_last_events_of_a_run_without_divergence_come_from_its_records(tmp_path: Path) -> None:
    entries = [entry for entry in recorded()[0] if entry.tag == "T"]
    file = tmp_path / "records.txt"
    lines = [f"T {entry.cycle} {entry.values[0]:x}\n" for entry in entries]
    file.write_text("S 1 1\n" + "".join(lines) + "T 999999 xx\n")
    told = last_events(file, None, None)
    assert len(told) == 8
    assert told[-1].startswith(f"cycle {entries[-1].cycle}: ")
    cut = last_events(file, entries[9].cycle, None)
    assert cut[-1].startswith(f"cycle {entries[9].cycle}: ")


def test_what_differs_from_run_to_run_is_not_in_a_key() -> None:
    assert stable("seed 7 at 0xdeadbeef from 10.0.0.1:80") == "seed # at # from #"
    assert stable("check 1: tcp byte 54", keep="check 1") == "check 1: tcp byte #"


def test_the_newest_failure_is_found_and_replays_are_none(tmp_path: Path) -> None:
    assert newest(tmp_path / "absent") is None
    for at, name in enumerate(("test/a", "regress/b", "regress/b/replay", "test/c/tree/d")):
        tell(failed(tmp_path / name))
        os.utime(tmp_path / name / FAILURE_NAME, (at + 1, at + 1))
    assert {path.name for path in failures(tmp_path)} == {"a", "b"}
    assert newest(tmp_path) == tmp_path / "regress" / "b"


def test_a_story_with_much_to_tell_leaves_out_the_oldest_events_not_the_commands(tmp_path: Path) -> None:
    record = tell(failed(tmp_path, report=divergence(*CASES["cwnd"][:3])))
    long = tuple(replace(rule, must_hold=" ".join(["words"] * 80)) for rule in record.rules * 2)
    events = tuple(f"cycle {number}: something" for number in range(8))
    much = replace(record, rules=long, last_events=events, frame=("line",) * 5)
    lines = story(much).splitlines()
    assert len(lines) == 29
    assert f"  {events[-1]}" in lines
    assert f"  {events[0]}" not in lines
    assert [line.split()[0] for line in lines[-3:]] == ["replay", "waves", "report"]


def test_what_stands_behind_the_head_of_a_report_is_no_fact_of_it() -> None:
    head = "first divergence: check 2, frame on the wire\n  cycle      7\n  field      tcp.window \n  got        \n"
    tail = "last commits of the connection:\n  cycle      1\nframe, 60 bytes:\n  field      none\nreplay: make replay\n"
    assert (check_of(head + tail), facts_of(head + tail)) == (2, {"cycle": "7", "field": "tcp.window", "got": ""})
    assert (check_of("a log"), facts_of("a log")) == (None, {})


def test_one_file_of_results_is_read_the_same_by_farm_and_report(tmp_path: Path) -> None:
    folder = tmp_path / "a b? #1%20"
    with ResultsWriter(folder / "results.sqlite") as writer:
        run = writer.begin("nightly", "abc", "2026-11-22T02:00:00+00:00")
        writer.add(run, JobRow("one[icarus-64]-s3", "nightly", "one", "icarus", 64, 3, "failed", title="wrong"))
        writer.figure(run, FigureRow("jobs", 1.0, ""))
        writer.finish(run, seconds=2.0, complete=True)
    reader, report = ResultsReader(folder / "results.sqlite"), read_results(folder)
    assert reader.runs() == report.runs == (RunRow(1, "nightly", "abc", "2026-11-22T02:00:00+00:00", 2.0, True),)
    (row,), (job,) = reader.jobs(run), report.jobs
    assert (row.cause, job.cause, row.title, job.title) == (None, "", "wrong", "wrong")
    assert (row.id, row.width, row.seed, row.status) == (job.id, job.width, job.seed, job.status)
    assert [(one.name, one.value) for one in report.figures] == [("jobs", 1.0)]
    assert reader.figures(run) == (FigureRow("jobs", 1.0, ""),)


# ---- every command tells its failures so ----------------------------------------------------------------------------


def test_what_is_too_long_for_a_line_ends_behind_a_word_and_says_so(tmp_path: Path) -> None:
    words = " ".join(f"word{number:03}" for number in range(60))
    record = tell(failed(tmp_path, f"wire: {words}"))
    lines = (tmp_path / STORY_NAME).read_text().splitlines()
    assert max(len(line) for line in lines[:-3]) <= WIDTH
    assert all(re.fullmatch(r"word\d\d\d", word) for word in str(record.got).removeprefix("wire: ").split()[:-1])
    assert [one.endswith(" ...") for one in (str(record.got), record.title)] == [True, True]
    cut = [line for line in lines if line.endswith(" ...")]
    assert cut
    assert all(re.search(r"\bword\d\d\d \.\.\.$", line) for line in cut)


@pytest.mark.parametrize(("most", "expected"), [(11, "one two six"), (10, "one ..."), (7, "one ..."), (6, "on ...")])
def test_a_text_is_shortened_at_a_word_if_there_is_one(most: int, expected: str) -> None:
    assert shortened("one two six", most) == expected


def test_a_device_without_a_commit_port_has_the_last_frames_of_its_wire_in_its_story(tmp_path: Path) -> None:
    tmp_path.joinpath("a").mkdir()
    fields = SegmentFields(
        destination_mac=1, source_mac=2, source_ip=0x0A000002, destination_ip=0x0A000001, source_port=5001,
        destination_port=40000, sequence=0, acknowledgment=0, flags=TcpFlag.ACK, window=9, ip_id=0,
    )  # fmt: skip
    segment = build_segment(fields)
    with PcapngWriter(tmp_path / "a" / "wire.pcapng", interfaces=("nic",)) as capture:
        for tick in range(20, 60):
            capture.write(
                segment, tick * 1_000_000, f"{'rx' if tick % 2 else 'tx'} tick={tick} conn={tick % 3} frame=1"
            )
    record = tell(failed(tmp_path / "a", "contract: CH-100 at tick 48 (record 137): bytes 3 to 4"))
    assert [line.split(":")[0] for line in record.last_events] == [f"tick {tick}" for tick in range(41, 49)]
    assert record.last_events[-1].startswith("tick 48: the device sent TCP 5001 -> 40000 seq 0 ack 0")
    assert "the peer sent TCP" in record.last_events[-2]
    assert record.last_events[-1] in (tmp_path / "a" / STORY_NAME).read_text()


def test_the_command_of_a_failure_is_the_tools_own_form_and_a_replay_stands_for_what_it_replays() -> None:
    folder = ROOT / "sim_build" / "some run"
    assert replay_command(folder).endswith("chimney replay 'sim_build/some run' --waves")
    assert replay_command(folder / "replay") == replay_command(folder)


def test_a_story_is_printed_without_a_second_command_and_once_for_all_tests_that_fail_in_one_place() -> None:
    report = Report()
    told = f"FAILED x\nwhat must hold:\n  it\n{AGAIN}\n  replay   chimney replay x"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        report.add(Verdict("one", "failed", 1.0, told, "chimney replay x --waves"))
        report.add(Verdict("two", "failed", 1.0, told, "chimney replay y --waves", alike="one"))
        report.add(Verdict("three", "failed", 1.0, "AssertionError", "chimney replay z --waves"))
    said = out.getvalue()
    assert said.count("what must hold:") == 1
    assert "chimney replay x --waves" not in said
    assert "| the failure of one, told above\n        again: chimney replay y --waves" in said
    assert "| AssertionError\n        again: chimney replay z --waves" in said
    assert [verdict.message for verdict in report.verdicts] == [told, told, "AssertionError"]


def seen(check: int | str, **found: str) -> Outcome:
    """A sabotage that a judge saw."""
    entry = Sabotage(id="some-bug", edits=(), rule="r", check=1, field="f", note="n", first="")
    return Outcome(entry, True, check, found.pop("field", "tcb.cwnd"), None, "calm", 1.0, **found)


def test_a_sabotage_is_told_as_the_story_of_its_run_with_paths_as_they_are_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "some_bug" / "calm"
    tell(failed(run, report=divergence(*CASES["cwnd"][:3])))
    monkeypatch.setattr(sabotage, "OUT", tmp_path)
    monkeypatch.setattr("tb.files.ROOT", tmp_path)  # the run's own root is the copy of the tree
    text = (run / STORY_NAME).read_text().replace(str(run), "some_bug/calm")
    sabotage.told([seen(1)])
    assert capsys.readouterr().out.strip() == text.strip()
    assert str(tmp_path) not in text


@pytest.mark.parametrize(
    ("by", "found", "rule"),
    [
        ("contract", {"field": "CH-100", "detail": "CH-100 at tick 4: bytes 3 to 4", "lockstep": "agrees"}, "CH-100: "),
        ("script", {"field": "sack/a.pkt:12 seq 2, 1 expected", "lockstep": "agrees"}, "script: the segments that"),
        ("images", {"field": "test_tcb"}, "images: what is packed"),
    ],
)
def test_a_judge_that_speaks_behind_the_run_is_told_in_the_same_form(
    by: str, found: dict[str, str], rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(sabotage, "OUT", tmp_path)
    sabotage.told([seen(by, **found)])
    lines = capsys.readouterr().out.partition("FAILED calm: ")[2].splitlines()
    assert lines[0].startswith(f"{by}, {found['field']}")
    assert lines[1] == "what must hold:"
    assert lines[2].startswith(f"  {rule}")
    assert lines[-2] == "again:"  # no simulation: neither waves nor a report
    assert lines[-1].endswith("chimney sabotage some-bug")


def test_sessions_of_ones_own_device_that_fail_in_one_place_are_one_story(tmp_path: Path) -> None:
    for name, message in (("plain", "wire: seq 1"), ("loss", "wire: seq 2"), ("sack", "peer: no SACK")):
        tell(failed(tmp_path / name, message))
    outcomes = [Own(name, "holds", FAILED, "wrong", 1.0, f"again {name}") for name in ("plain", "loss", "sack", "ecn")]
    said = "\n".join(stories([*outcomes, Own("ipv6", "holds", "passed", "", 1.0, "")], tmp_path))
    assert said.count("what must hold:") == 2
    assert "\nthe same failure: loss\n" in said
    assert said.endswith("\nagain    again ecn")  # it left no record


def test_a_replay_is_compared_without_the_command_and_the_folder_of_either_run(tmp_path: Path) -> None:
    report = divergence(*CASES["cwnd"][:3]).replace("make replay FAILURE=x", "")
    for name in ("a", "a/replay", "old"):
        (tmp_path / name).mkdir()
        again = "make replay FAILURE=y WAVES=1" if name == "old" else replay_command(tmp_path / "a")
        (tmp_path / name / "divergence.txt").write_text(report.replace("replay: ", f"replay: {again}"))
    compared = [report_of(tmp_path / name) for name in ("a", "a/replay", "old")]
    assert compared[0] == compared[1] == compared[2] != []
    assert not any(line.startswith("replay:") for line in compared[0])
