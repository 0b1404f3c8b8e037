"""Coverage: the space of bins, what takes bins away, what is merged, what a record means, what Verilator counted."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from model.layout.generated import (
    Cqe,
    CqKind,
    DlvEvt,
    Opcode,
    Phase,
    RecTcp,
    RxReason,
    Status,
    Tcb,
    TcpEvt,
    TcpState,
)
from model.ndis.status import LEGAL_STATUS
from tb.config import ROOT, ConfigError
from tb.contract.duties import duties
from tb.coverage import code, functional, null
from tb.coverage.exclusions import CodeRow, judge, load
from tb.coverage.run import merged_code, summary
from tb.coverage.samples import DEVICE, ENGINES, TOPS, Samples, by_group, design_hash, folders, passed, run_name
from tb.coverage.space import Bin, Group, answers, groups
from tb.coverage.states import STATES
from tb.env.coverage import CoverageMonitor
from tb.monitors.call_statuses import CallStatuses
from tb.monitors.contract.trace import Enter, Leave, List, Node, Tree
from tb.sim.build import TOGGLE_WIDTH
from tb.sim.run import SAMPLES_NAME, pack
from tb.sim.spec import HDL, chimney_spec, unit_spec
from tb.sim.tools import find
from tb.tests.model.test_follower_lockstep import scenario
from tb.tests.model.wide_signals import above

DESIGN, PART = "0123456789abcdef", "fedcba9876543210"
GROUP = Group("g", ("a", "b"), tuple(Bin("g", (a, b)) for a in "12" for b in "xy"))
SPACE = {"g": GROUP}
GOOD = "<testsuites><testsuite><testcase name='t' classname='c' time='1'/></testsuite></testsuites>"
BAD = GOOD.replace("time='1'/>", "time='1'><failure message='no'/></testcase>")


def samples(*names: str, test: str = "t", seed: int = 1, design: str = DESIGN, group: str = "g") -> Samples:
    return Samples(design, test, seed, "icarus", 64, 4, {group: list(names)})


def today(top: str) -> str:
    """The hash of the design: the whole device, or its engine cluster alone."""
    return {DEVICE: DESIGN, ENGINES: PART}[top]


def rules(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "exclusions.toml"
    path.write_text(text)
    return path


# ---- the space -------------------------------------------------------------------------------------------


def test_every_bin_has_a_name_of_its_own_and_a_value_for_each_axis_of_its_group() -> None:
    for group in groups().values():
        assert group.bins, group.name
        assert len({one.name for one in group.bins}) == len(group.bins), group.name
        assert {len(one.values) for one in group.bins} == {len(group.axes)}, group.name


def test_the_axes_are_the_enumerations_of_the_layout_and_the_tables_of_the_documents() -> None:
    def axis(group: str, name: str) -> set[str]:
        found = groups()[group]
        return {one.values[found.axes.index(name)] for one in found.bins}

    assert axis("tcp", "state") == {p.name for p in Phase} - {"RUNNING"} | {s.name for s in TcpState}
    events = {event.name for event in TcpEvt} - {"NONE", "COMMAND", "CREDIT"}
    assert axis("tcp", "event") == events | {opcode.name for opcode in Opcode}
    assert axis("delivery", "event") == {event.name for event in DlvEvt} - {"NONE"}
    assert axis("frame-in", "reason") == {reason.name for reason in RxReason}
    assert axis("rule", "rule") == {duty.id for duty in duties() if not duty.missing}
    assert len(groups()["status"].bins) == sum(map(len, LEGAL_STATUS.values()))


def test_the_answers_are_read_from_the_rows_of_the_error_page() -> None:
    found = answers()
    assert {
        ("START", "BAD_STATE"),
        ("RAW_RX", "WRITE_ERROR"),
        ("unknown", "BAD_OPCODE"),
        ("FORWARD", "ABORTED"),
    } <= found
    assert ("INVALIDATE", "UPLOAD") not in found  # it stands in a row about a DISCONNECT
    assert {status for _, status in found} <= {status.name for status in Status}
    assert len(found) > 70


# ---- what is taken away ----------------------------------------------------------------------------------


def test_every_row_of_the_exclusions_takes_something_away_and_few_bins_are_excluded() -> None:
    found = functional.merge(groups(), load(groups()).rows, [], today)
    assert found.problems == ()
    figures = found.figures()
    assert figures["excluded"] <= functional.MOST_EXCLUDED * figures["total"]
    assert figures["total"] > 2_000


def test_an_exclusion_that_excludes_nothing_is_an_error(tmp_path: Path) -> None:
    text = '[[impossible]]\ngroup = "g"\nwhen.a = ["1"]\nreason = "it cannot be"\n'
    once = load(SPACE, rules(tmp_path, text)).rows
    assert judge(SPACE, once, {}).problems == ()
    twice = load(SPACE, rules(tmp_path, text + text)).rows
    assert judge(SPACE, twice, {}).problems == ("[[impossible]] 2 (g: it cannot be) excludes nothing",)


@pytest.mark.parametrize("kind", ["impossible", "excluded"])
def test_an_excluded_bin_that_a_run_hits_is_an_error(tmp_path: Path, kind: str) -> None:
    text = f'[[{kind}]]\ngroup = "g"\nwhen.a = ["1"]\nbut.b = ["x"]\nreason = "it cannot be"\n'
    rows = load(SPACE, rules(tmp_path, text)).rows
    assert functional.merge(SPACE, rows, [samples("1 x", "2 y")], today).problems == ()
    (problem,) = functional.merge(SPACE, rows, [samples("1 y")], today).problems
    assert problem.endswith("excludes `1 y`, which t hit")


@pytest.mark.parametrize(
    "text",
    [
        '[[impossible]]\ngroup = "h"\nreason = "no such group here"\n',
        '[[impossible]]\ngroup = "g"\nwhen.c = ["1"]\nreason = "no such axis here"\n',
        '[[impossible]]\ngroup = "g"\nwhen.a = ["3"]\nreason = "no such value here"\n',
        '[[excluded]]\ngroup = "g"\nwhen.a = ["1"]\n',
        '[[excluded]]\ngroup = "g"\nwhen.a = ["1"]\nreason = "because"\n',
        '[[code]]\nfile = "hdl/x.v"\nreason = "it has no kinds"\n',
        '[[wide]]\nreason = "it names no signals"\n',
        '[[wide]]\nsignals."hdl/x.v" = ["a"]\nreason = "because"\n',
        '[[waived]]\ngroup = "g"\nreason = "there is no such kind"\n',
    ],
)
def test_an_exclusion_that_cannot_mean_anything_or_has_no_reason_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load(SPACE, rules(tmp_path, text))


def test_impossible_bins_are_no_bins_and_excluded_ones_need_not_be_hit(tmp_path: Path) -> None:
    text = (
        '[[impossible]]\ngroup = "g"\nwhen.a = ["1"]\nwhen.b = ["x"]\nreason = "it cannot be"\n'
        '[[excluded]]\ngroup = "g"\nwhen.a = ["1"]\nreason = "nobody needs it"\n'
    )
    found = functional.merge(SPACE, load(SPACE, rules(tmp_path, text)).rows, [samples("2 x", "2 y")], today)
    assert found.figures() == {"hit": 2, "total": 3, "excluded": 1, "impossible": 1}
    assert (found.share, found.holes("g")) == (1.0, [])
    assert found.impossible() == [{"group": "g", "bins": 1, "reason": "it cannot be"}]
    (row,) = [row for row in found.rows() if row["excluded"]]
    assert (row["name"], row["hit"], row["reason"]) == ("1 y", False, "nobody needs it")


def test_what_is_impossible_stands_beside_the_total_in_the_summary_by_group_and_by_reason() -> None:
    found = functional.merge(groups(), load(groups()).rows, [], today)
    written = summary(found, code.Code(), {}, [])
    figures = written["functional"]
    assert list(figures)[:4] == ["hit", "total", "excluded", "impossible"]
    everything = sum(len(group.bins) for group in groups().values())
    assert figures["total"] + figures["impossible"] == everything
    assert sum(one["impossible"] for one in figures["groups"].values()) == figures["impossible"]
    assert sum(one["bins"] for one in written["impossible"]) == figures["impossible"]
    assert len(written["impossible"]) == sum(row.kind == "impossible" for row in load(groups()).rows)
    said = (ROOT / "docs" / "coverage.md").read_text()
    assert f"{figures['impossible']:,} of the {everything:,} combinations" in said
    results = (ROOT / "docs" / "results.md").read_text().splitlines()
    (row,) = [line for line in results if line.startswith("| functional coverage |")]  # a measurement of its day
    assert re.search(r"of [\d,]+ bins.* [\d,]+ combinations more are impossible", row)


# ---- what is merged --------------------------------------------------------------------------------------


def test_a_bin_names_the_first_test_and_seed_that_hit_it() -> None:
    runs = [samples("1 x", test="b"), samples("1 x", test="a", seed=9), samples("1 x", "2 x", test="a", seed=3)]
    rows = {row["name"]: row for row in functional.merge(SPACE, (), runs, today).rows()}
    assert (rows["1 x"]["first_hit_by"], rows["1 x"]["seed"]) == ("a", 3)
    assert (rows["1 y"]["first_hit_by"], rows["1 y"]["seed"], rows["1 y"]["hit"]) == (None, None, False)


def test_samples_of_another_design_are_left_out_and_counted() -> None:
    found = functional.merge(SPACE, (), [samples("1 x", design="other"), samples("1 y")], today)
    assert (found.runs, found.stale, found.figures()["hit"]) == (1, 1, 1)


def test_samples_of_a_part_of_the_design_count_if_that_part_is_as_it_was() -> None:
    part = replace(samples("1 x", design=PART), top=ENGINES)
    whole = replace(samples("2 y", design=PART), top=DEVICE)
    found = functional.merge(SPACE, (), [part, whole, samples("1 y")], today)
    assert (found.runs, found.stale, found.figures()["hit"]) == (2, 1, 2)
    nothing = functional.merge(SPACE, (), [samples("1 x", design="")], lambda _: "")
    assert (nothing.runs, nothing.stale) == (0, 1)


def test_the_hash_of_a_part_is_that_of_the_files_it_is_built_of_and_of_no_others(tmp_path: Path) -> None:
    copy = tmp_path / "hdl"
    shutil.copytree(HDL, copy)

    def hashes() -> dict[str, str]:
        design_hash.cache_clear()
        return {top: design_hash(top, copy) for top in TOPS}

    first = hashes()
    assert all(first.values())
    for file, changed in (("rx/rx_parser.v", {DEVICE}), ("engine/congestion.v", {DEVICE, ENGINES})):
        text = (copy / file).read_text()
        (copy / file).write_text(text + "// changed\n")
        after = hashes()
        assert {top for top in TOPS if after[top] != first[top]} == changed, file
        (copy / file).write_text(text)
    assert design_hash("fifo", copy) == ""  # a block whose test compares nothing with the golden model


def test_the_code_that_a_block_alone_has_exercised_does_not_count(tmp_path: Path) -> None:
    runs = []
    for top in TOPS:
        folder = tmp_path / top
        folder.mkdir()
        (folder / "coverage.dat").write_text(point("v_line", "hdl/common/fifo.v", 5, 1, ranges="5"))
        pack(folder / "coverage.dat")
        runs.append((folder, replace(samples(), top=top)))
    assert merged_code(runs).files == 1


def test_a_run_is_named_by_its_folder_below_the_builds(tmp_path: Path) -> None:
    assert run_name(ROOT / "sim_build" / "test" / "x[icarus]") == "test/x[icarus]"
    assert run_name(tmp_path / "y") == "y"


def test_a_sample_that_is_not_in_the_space_is_an_error() -> None:
    assert functional.merge(SPACE, (), [samples("3 x")], today).problems == (
        "t hit g `3 x`, which is not in the space",
    )


def test_samples_of_a_failing_or_unfinished_run_are_thrown_away(tmp_path: Path) -> None:
    for name, results in (("good", GOOD), ("bad", BAD), ("cut", "")):
        folder = tmp_path / "test" / name
        folder.mkdir(parents=True)
        samples("1 x").store(folder / SAMPLES_NAME)
        if results:
            (folder / "results.xml").write_text(results)
    assert [folder.name for folder in folders(SAMPLES_NAME, tmp_path)] == ["good"]
    assert not passed(tmp_path / "test" / "bad")
    assert Samples.load(tmp_path / "test" / "good" / SAMPLES_NAME) == samples("1 x")


def test_a_file_that_holds_no_samples_of_this_schema_is_none(tmp_path: Path) -> None:
    path = tmp_path / SAMPLES_NAME
    for text in ("", "{}", json.dumps({"schema": 0})):
        path.write_text(text)
        assert Samples.load(path) is None


# ---- what a record means ---------------------------------------------------------------------------------


def fed(seed: int) -> CoverageMonitor:
    """The monitor behind a scenario of the golden device, whose records are those of the RTL."""
    bench, journal = scenario(seed)
    monitor = CoverageMonitor(64, bench.device.memory.contents)
    takes = {
        "T": monitor.tcp, "D": monitor.delivery, "R": monitor.verdict, "X": monitor.sent, "C": monitor.completion,
    }  # fmt: skip
    for entry in journal.entries:
        if entry.tag in takes:
            takes[entry.tag](entry.values[0])
        elif entry.tag == "M":
            monitor.register_write(*entry.values)
        elif entry.tag in "FO":
            monitor.frame("in" if entry.tag == "F" else "out", len(entry.data))
    return monitor


def test_what_a_session_hits_is_in_the_space_and_is_nowhere_called_impossible() -> None:
    hits = by_group(fed(1).hits())
    found = functional.merge(groups(), load(groups()).rows, [Samples(DESIGN, "t", 1, "icarus", 64, 4, hits)], today)
    assert found.problems == ()
    assert {"FREE INITIATE accepted", "LOADED START accepted", "ESTABLISHED RX_SEGMENT DELIVER"} <= set(hits["tcp"])
    assert {"FREE LOADED", "LOADED ESTABLISHED", "ESTABLISHED ESTABLISHED"} <= set(hits["next"])
    assert "OPEN DELIVER PLACE" in hits["delivery"]
    assert {"alignment", "answer", "entry", "frame-in", "frame-out", "level", "option", "scale"} <= hits.keys()


def test_a_question_about_a_neighbor_is_no_answer_to_the_command_that_raised_it() -> None:
    tcb = Tcb(phase=Phase.RUNNING, state=TcpState.ESTABLISHED, gen=1).pack()
    for kind, outcome in ((CqKind.EVENT, "accepted"), (CqKind.SEND, "BAD_STATE")):
        cpl = Cqe(kind=kind, status=Status.OK if kind == CqKind.EVENT else Status.BAD_STATE).pack()
        record = RecTcp(kind=TcpEvt.COMMAND, conn=1, opcode=Opcode.DISCONNECT, tcb=tcb, cpl_valid=1, cpl=cpl).pack()
        monitor = CoverageMonitor(64, bytearray())
        monitor.tcp(record)
        assert ("tcp", ("FREE", "DISCONNECT", outcome)) in monitor.hits()


@pytest.mark.parametrize("opcode", [Opcode.QUERY, Opcode.INVALIDATE])
def test_a_command_about_a_free_connection_is_not_one_about_an_object_of_its_number(opcode: Opcode) -> None:
    refused = Cqe(kind=CqKind.COMMAND, status=Status.BAD_STATE).pack()
    record = RecTcp(kind=TcpEvt.COMMAND, conn=1, opcode=opcode, cpl_valid=1, cpl=refused).pack()
    seen = []
    for of_connection in (True, False):
        monitor = CoverageMonitor(64, bytearray())
        monitor.tcp(record, of_connection)
        seen.append({hit for hit in monitor.hits() if hit[0] in ("tcp", "object")})
    assert seen == [{("tcp", ("FREE", opcode.name, "BAD_STATE"))}, {("object", (opcode.name, "BAD_STATE"))}]


def test_a_run_that_began_anew_behind_a_divergence_hits_nothing() -> None:
    monitor = fed(1)
    assert monitor.hits()
    monitor.void = True
    assert monitor.hits() == []


def test_states_are_told_by_phase_and_of_running_connections_by_tcp_state() -> None:
    assert {"FREE", "LOADED", "FROZEN", "ESTABLISHED", "TIME_WAIT"} <= set(STATES)
    assert "RUNNING" not in STATES


def test_the_status_of_a_call_is_that_of_its_lists_its_tree_or_its_return() -> None:
    seen = CallStatuses()
    nodes: Mapping[int, Node] = {1: Node(1, 2, status=5), 2: Node(2, 3, status=None)}
    seen(Enter(0, 0, function="NdisMTerminateOffloadComplete", tree=Tree(1, nodes)))
    seen(Enter(1, 0, function="NdisTcpOffloadSendComplete", lists=(List(1, (), 7, 0, False, 0, None, b""),)))
    seen(Enter(2, 0, function="MiniportTcpOffloadSend", lists=(List(1, (), 9, 0, False, 0, None, b""),)))
    seen(Leave(3, 0, function="NdisTcpOffloadReceiveHandler", result=3))
    assert seen.seen == {("terminate", 5), ("send", 7), ("indicate", 3)}


# ---- a device without traffic ----------------------------------------------------------------------------


def test_a_device_without_traffic_that_hits_more_than_two_percent_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(null, "OUT", tmp_path)
    monkeypatch.setattr(null, "design_hash", today)
    names = [one.name for one in groups()["alignment"].bins]
    assert null.judge(samples(*names[:5], group="alignment")) == 0
    assert null.judge(samples(*names[:100], group="alignment")) == 1
    assert json.loads((tmp_path / "summary.json").read_text())["hit"] == 100
    assert capsys.readouterr().out.endswith("FAIL\n")


# ---- what Verilator counted ------------------------------------------------------------------------------


def point(page: str, file: str, line: int, count: int, *, what: str = "", ranges: str = "") -> str:
    path = ROOT / file
    parts = [("f", path), ("l", line), ("n", 3), ("page", f"{page}/m"), ("o", what), ("S", ranges), ("h", "top")]
    return "C '" + "".join(f"\1{name}\2{value}" for name, value in parts) + f"' {count}\n"


def counted(tmp_path: Path, *texts: str, small: bool = True) -> code.Code:
    merged = code.Code()
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.dat"
        path.write_text("# SystemC::Coverage-3\n" + text)
        pack(path)
        merged.add(code.read(path.with_suffix(".dat.gz")), small=small)
    return merged


def test_points_of_several_runs_are_one_and_lines_are_those_of_the_ranges(tmp_path: Path) -> None:
    file = "hdl/common/fifo.v"
    first = point("v_line", file, 5, 0, ranges="5-7,9") + point("v_branch", file, 6, 0, what="if", ranges="6")
    second = point("v_line", file, 5, 2, ranges="5-7,9") + point("v_branch", file, 6, 0, what="else", ranges="8")
    merged = counted(tmp_path, first, second)
    assert merged.figures("line") == {"hit": 4, "total": 5, "excluded": 0}
    assert merged.figures("branch") == {"hit": 0, "total": 2, "excluded": 0}
    assert merged.holes("line") == [(file, [code.Point("line", file, 8, 0, "")])]


def test_toggles_count_in_the_small_configuration_alone(tmp_path: Path) -> None:
    text = point("v_toggle", "hdl/common/fifo.v", 5, 1, what="q[0]:0->1")
    assert counted(tmp_path, text).figures("toggle")["total"] == 1
    assert counted(tmp_path, text, small=False).figures("toggle")["total"] == 0


def test_each_signal_that_is_too_wide_for_toggles_is_named_once_with_a_reason(tmp_path: Path) -> None:
    """As Verilator elaborates the device in the configuration that toggles are counted in."""
    listed = [
        (file, name) for row in load(groups()).wide for file, names in row.signals.items() for name in names
    ]  # fmt: skip
    assert len(listed) == len(set(listed))
    said = (ROOT / "docs" / "coverage.md").read_text()
    assert f"{len(listed)} signals wider than {TOGGLE_WIDTH} bits" in said
    tool = find("verilator")
    if tool is not None:  # toggles are counted by no other
        found = above(chimney_spec(tool, data_w=code.SMALL[0], conns=code.SMALL[1]), TOGGLE_WIDTH, tmp_path)
        assert set(listed) == {(file, name) for file, names in found.items() for name in names}


def test_register_file_assertions_and_transactors_are_kept_apart(tmp_path: Path) -> None:
    inside = min(code.asserted("hdl/rx/rx_placer.v"))
    places = [("hdl/host/csr.v", 5), ("hdl/rx/rx_placer.v", inside), ("tb/hdl/checkers/axis_checker.v", 5),
              ("tb/hdl/axi_mem.v", 5), ("hdl/rx/rx_placer.v", 5)]  # fmt: skip
    merged = counted(tmp_path, "".join(point("v_line", file, line, 1) for file, line in places))
    totals = {zone: merged.figures("line", zone)["total"] for zone in code.ZONES}
    assert totals == {"rtl": 1, "register_file": 1, "assertions": 2, "transactors": 1}


def test_an_exclusion_of_code_must_take_away_something_that_nobody_hits(tmp_path: Path) -> None:
    file = "hdl/common/fifo.v"
    line = next(n for n, text in enumerate(code.source(file), 1) if "fifo_DEPTH_must_be" in text)
    row = CodeRow(1, file, ("line",), "fifo_DEPTH_must_be", "only illegal parameters")
    for count, problems in ((0, 0), (1, 1)):
        merged = counted(tmp_path, point("v_line", file, line, count))
        merged.exclude([row])
        assert len(merged.problems) == problems
        assert merged.figures("line")["excluded"] == 1
    merged = counted(tmp_path, point("v_line", file, line + 1, 0))
    merged.exclude([row])
    assert merged.problems == [f"{row} excludes nothing"]


def test_a_run_is_told_the_hash_that_the_merge_asks_for() -> None:
    """Otherwise every run would be one of another design, and the figures would be those of no run."""
    tool = find("verilator") or find("icarus")
    assert tool is not None
    assert chimney_spec(tool).design() == chimney_spec(tool, data_w=64, conns=4).design() == design_hash(DEVICE)
    assert unit_spec(tool, ENGINES, parameters={"COMMIT_PORT": 1}).design() == design_hash(ENGINES)
