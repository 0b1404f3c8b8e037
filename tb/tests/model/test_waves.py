"""Waves of a failure: where they begin, what marks the divergence, enumerations as words, GTKWave and Surfer."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from model.layout.generate import WORD_ENUMS, load, words
from model.layout.generated import RecTcp, Tcb, TcpEvt, TcpState
from tb import replay, wave_viewer
from tb.config import ROOT, ConfigError, RunConfig
from tb.display.screen import Screen, missing
from tb.display.xwd import PictureError, read_xwd
from tb.sim.build import ChimneyIcarus, ChimneyVerilator, wave_name
from tb.sim.spec import chimney_spec, unit_spec
from tb.sim.tools import Tool
from tb.story.find import FAILURE_NAME
from tb.wave_words import WIDTHS, WORDS, enumerations
from tb.waves import (
    COMMITS,
    WINDOW_INSTANCE,
    Signal,
    WaveFile,
    command_file,
    read,
    save_file,
    write_words,
)

CYCLE = 1203
MARKER = 5_000 + 10_000 * CYCLE
ROW = "c0 RX_SEGMENT 7: ESTABLISHED una 4711 nxt 5000 rcv 99 cwnd 2896"


def vcd(path: Path) -> Path:
    """A short wave file with a commit at CYCLE, as wave_window writes it."""
    bits = "".join(f"{ord(c):08b}" for c in ROW).rjust(768, "0")
    path.write_text(
        "$timescale 1ps $end\n$scope module tb_top $end\n$var wire 1 ! clk $end\n"
        f"$scope module {WINDOW_INSTANCE} $end\n$var reg 768 a commit_row [767:0] $end\n"
        "$var reg 4 b tcp_evt [3:0] $end\n$var reg 4 c tcp_state [3:0] $end\n$var reg 8 d opcode [7:0] $end\n"
        "$var reg 32 e snd_una [31:0] $end\n$upscope $end\n$upscope $end\n$enddefinitions $end\n"
        f"#{MARKER - 20_000_000}\n0!\nb0 a\nb0 b\nb0 c\nb0 d\nb0 e\n"
        f"#{MARKER}\n1!\nb{bits} a\nb0010 b\nb0100 c\nb00001011 d\nb{4711:b} e\n#{MARKER + 5_000_000}\n0!\n"
    )
    return path


def test_the_save_file_marks_the_divergence_groups_signals_and_shows_enumerations_as_words(tmp_path: Path) -> None:
    waves = read(vcd(tmp_path / "waves.vcd"))
    assert (waves.start, waves.timescale) == (MARKER - 20_000_000, -12)
    filters = write_words(tmp_path / "words", enumerations())
    text = save_file(waves, MARKER, 2_000_000, filters)
    assert re.search(rf"^\*-\d+\.\d+ {MARKER}( -1){{26}}$", text, re.MULTILINE)
    assert f"[timestart] {MARKER - 1_200_000}" in text
    lines = text.splitlines()
    assert lines.index("-commits") < lines.index("-bench")
    row = lines.index(f"tb_top.{WINDOW_INSTANCE}.commit_row[767:0]")
    assert lines[row - 1] == "@820"
    for name, width in (("tcp_evt", 4), ("tcp_state", 4), ("opcode", 8)):
        at = lines.index(f"tb_top.{WINDOW_INSTANCE}.{name}[{width - 1}:0]")
        assert lines[at - 2 : at] == ["@2022", f"^1 {filters[name]}"]
    assert "4 ESTABLISHED\n" in filters["tcp_state"].read_text()
    assert "0b TERMINATE\n" in filters["opcode"].read_text()


def test_the_filter_files_hold_every_value_of_the_layouts_enumerations(tmp_path: Path) -> None:
    enums = load().enums
    for name, path in write_words(tmp_path, enumerations()).items():
        enum = {"delivery_opcode": "opcode"}.get(name, name)
        shown = dict(line.split() for line in path.read_text().splitlines())
        assert {word: int(value, 16) for value, word in shown.items()} == enums[enum]
        assert {len(value) for value in shown} == {-(-WIDTHS[name] // 4)}
        assert max(WORDS[name]) < 1 << WIDTHS[name]


def test_the_words_of_the_rows_are_generated_from_the_layout() -> None:
    layout = load()
    text = words(layout)
    assert (ROOT / "tb" / "hdl" / "layout_words.vh").read_text() == text
    for enum in WORD_ENUMS:
        for name, value in layout.enums[enum].items():
            assert f'8\'d{value}: {enum}_word = "{name}";' in text


def test_the_signals_with_words_are_as_wide_as_the_fields_of_the_record() -> None:
    window = (ROOT / "tb" / "hdl" / "wave_window.v").read_text()
    for name, field in (("tcp_evt", RecTcp.FIELDS["kind"]), ("opcode", RecTcp.FIELDS["opcode"]),
                        ("verdict", RecTcp.FIELDS["verdict"]), ("phase", Tcb.FIELDS["phase"]),
                        ("tcp_state", Tcb.FIELDS["state"])):  # fmt: skip
        assert WIDTHS[name] == field[1]
        assert re.search(rf"reg \[{field[1] - 1}:0\] +[^;]*\b{name}\b", window), name


def test_surfer_gets_the_same_groups_the_row_as_ascii_and_the_marker(tmp_path: Path) -> None:
    waves = read(vcd(tmp_path / "waves.vcd"))
    lines = command_file(waves, MARKER).splitlines()
    assert lines[0] == f"load_file {tmp_path / 'waves.vcd'}"
    assert lines[1:3] == ["divider_add commits", f"variable_add tb_top.{WINDOW_INSTANCE}.commit_row"]
    assert lines[lines.index("item_set_format ASCII") - 1] == "item_focus b_row"  # the second item
    assert lines[-3:] == [f"cursor_set {MARKER}", "marker_set divergence", "goto_cursor"]
    names = f"commit_row {' '.join(name for name in COMMITS.split() if not name.endswith('_row'))} delivery_row".split()
    signals = tuple(Signal(("tb_top", WINDOW_INSTANCE), name, 1) for name in names[:15] + names[-1:])
    many = WaveFile(waves.path, signals, -12)
    assert [line for line in command_file(many, None).splitlines() if "focus " in line] == [
        "item_focus ab_row",
        "item_focus ba_row",
    ]


def test_waves_of_the_device_begin_with_a_cycle_and_those_of_a_block_with_the_start(tmp_path: Path) -> None:
    tool = Tool("icarus", "11.0", "system", Path("iverilog"))
    device = chimney_spec(tool, data_w=64, conns=4, waves=True)
    block = unit_spec(tool, "fifo", waves=True)
    assert (device.has_window, block.has_window) == (True, False)
    assert device.defines["WAVES"] == "1"
    assert "WAVES" not in chimney_spec(tool, data_w=64, conns=4).defines
    for spec in (device, block):
        for kind in (ChimneyIcarus, ChimneyVerilator):
            runner = kind()
            runner.spec, runner.want_waves = spec, True
            runner.test_dir, runner.build_dir, runner.test_args, runner.plusargs = tmp_path, tmp_path, [], []
            command = " ".join(runner._test_command()[0])
            assert (wave_name(spec) in command) != spec.has_window


def failure(folder: Path, cycle: int | None = CYCLE) -> Path:
    """A folder with a recorded failure."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILURE_NAME).write_text(json.dumps({"cycle": cycle}))
    return folder


def test_waves_older_than_the_failure_are_not_shown_for_it(tmp_path: Path) -> None:
    folder = failure(tmp_path / "job")
    (folder / "replay").mkdir()
    waves = vcd(folder / "replay" / "waves.vcd")
    os.utime(folder / FAILURE_NAME, (1, 1))
    assert wave_viewer.find(folder) == waves
    os.utime(waves, (0, 0))
    assert wave_viewer.find(folder) is None


def test_waves_of_a_replay_that_was_not_identical_are_not_those_of_the_failure_until_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = failure(tmp_path / "job")
    (folder / "again.json").write_text("{}")
    (folder / "replay").mkdir()
    runs = 0

    def replayed(identical: bool, cycle: int | None) -> int:
        nonlocal runs
        runs += 1
        waves = vcd(folder / "replay" / "waves.vcd")
        facts = {"identical": identical, "waves_from": 0}
        (waves.parent / replay.REPLAY_NAME).write_text(json.dumps(facts))
        (waves.parent / FAILURE_NAME).unlink(missing_ok=True)
        if cycle is not None:
            failure(waves.parent, cycle)
        replay.show_waves(RunConfig(command="replay"), folder, waves)
        return int(not identical)

    replayed(identical=False, cycle=None)  # the design was mended
    assert "marker" not in capsys.readouterr().out
    assert wave_viewer.find(folder) is None
    monkeypatch.setattr("tb.replay.load", lambda _: type("Failure", (), {"other_tree": None}))
    for identical, cycle, marker in ((False, None, None), (False, 77, 77), (True, CYCLE, CYCLE)):
        monkeypatch.setattr("tb.replay.main", lambda _, one=identical, at=cycle: replayed(one, at))
        status, found = wave_viewer.result(RunConfig(command="waves", failure=folder, view=False))
        assert (status, found["identical"], found["cycle"]) == (int(not identical), identical, marker)
        assert found["waves"] == str(folder / "replay" / "waves.vcd")
        said = capsys.readouterr().out
        assert "the waves that are here are not those of the failure" in said
        assert ("these waves are not those of the recorded failure" in said) is not identical
        assert ("marker at" in said) is (marker is not None)
        assert f"marker at cycle {marker} " in said or marker is None
    assert (runs, wave_viewer.find(folder)) == (4, folder / "replay" / "waves.vcd")
    assert wave_viewer.result(RunConfig(command="waves", failure=folder, view=False))[0] == 0
    assert runs == 4  # those of an identical replay are taken as they are


def test_the_marker_of_a_block_without_cycles_is_at_the_time_of_its_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / FAILURE_NAME).write_text(json.dumps({"cycle": None, "marker_time": 65_000}))
    vcd(tmp_path / "waves.vcd")
    status, found = wave_viewer.result(RunConfig(command="waves", failure=tmp_path, view=False))
    assert (status, found["cycle"], found["marker_time"]) == (0, None, 65_000)
    assert "marker at 65 ns" in capsys.readouterr().out
    assert " 65000 -1" in (tmp_path / "replay.gtkw").read_text()
    assert "cursor_set 65000" in (tmp_path / "replay.sucl").read_text()


def test_a_replay_without_a_folder_is_that_of_the_newest_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for newest, says in ((failure(tmp_path / "job"), f"FAILURE={tmp_path / 'job'}"), (None, "no failure is recorded")):
        monkeypatch.setattr("tb.replay.newest", lambda found=newest: found)
        with pytest.raises(ConfigError, match=re.escape(says)):
            replay.main(RunConfig(command="replay"))


def test_without_a_folder_the_newest_failure_is_replayed_with_waves_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = failure(tmp_path / "job")
    (folder / "again.json").write_text("{}")
    asked: list[RunConfig] = []

    def replay(config: RunConfig) -> int:
        asked.append(config)
        (folder / "replay").mkdir()
        vcd(folder / "replay" / "waves.vcd")
        return 0

    monkeypatch.setattr("tb.replay.main", replay)
    monkeypatch.setattr("tb.replay.load", lambda _: type("Failure", (), {"other_tree": None}))
    monkeypatch.setattr(wave_viewer, "newest", lambda: folder)
    assert wave_viewer.main(RunConfig(command="waves", view=False)) == 0
    assert [(one.failure, one.waves) for one in asked] == [(folder, True)]
    assert wave_viewer.main(RunConfig(command="waves", view=False)) == 0
    assert len(asked) == 1  # the waves are there
    (folder / "story.txt").write_text("FAILED here\n")
    assert wave_viewer.main(RunConfig(command="waves", view=False)) == 0
    said = capsys.readouterr().out
    assert said.rpartition("FAILED here\n")[2].startswith("waves: gtkwave ")  # the story, also without a replay
    assert f"marker at cycle {CYCLE} ({5 + 10 * CYCLE} ns)" in said
    save = (folder / "replay" / "replay.gtkw").read_text()
    assert f" {MARKER} -1" in save
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(wave_viewer, "viewer", lambda _: ["true"])
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(ConfigError, match="no display"):
        wave_viewer.main(replace(RunConfig(command="waves")))


def test_gtkwave_opens_the_waves_on_a_headless_display_with_marker_and_words(tmp_path: Path) -> None:
    if (lack := missing()) is not None:
        pytest.skip(lack)
    waves = vcd(tmp_path / "waves.vcd")
    wave_viewer.describe(waves, CYCLE)
    with Screen() as screen:
        shown = screen.gtkwave(waves, waves.with_name("replay.gtkw"))
    assert shown.marker == MARKER
    assert shown.values["commit_row"] == ROW
    assert shown.values["tcp_evt"] == TcpEvt.RX_SEGMENT.name
    assert shown.values["tcp_state"] == TcpState.ESTABLISHED.name
    assert shown.values["opcode"] == "TERMINATE"
    assert shown.values["snd_una"] == "4711"
    assert (shown.picture.width, shown.picture.height) == (1600, 900)
    assert shown.picture.colours > 16
    assert shown.picture.png().startswith(b"\x89PNG")


def test_a_dump_that_is_no_picture_is_refused() -> None:
    with pytest.raises(PictureError, match="no header"):
        read_xwd(b"")
    with pytest.raises(PictureError, match="not what Xvfb writes"):
        read_xwd(bytes(200))
