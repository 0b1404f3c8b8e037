"""States of the blocks as words: read from the Verilog source, in GTKWave and in Surfer, at the right instances."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from model.layout.generated import TcpState
from tb import wave_viewer
from tb.config import ROOT
from tb.display.screen import Screen, missing
from tb.wave_words import Table, WordsError, block_of, blocks, read_block
from tb.waves import MAPPINGS, Signal, WaveFile, all_tables, command_file, groups, read, save_file, words_of

HDL = ROOT / "hdl"
MARKER = 5_000
#: Every block with a state register, and its registers. A new one is added here by hand.
REGISTERS = {
    "command_decode": {"state"},
    "conn_lookup_ctrl": {"state_reg"},
    "delivery_engine": {"state_reg"},
    "send_completer": {"state_reg", "state_next"},
    "send_mapper": {"state_reg", "state_next"},
    "state_writer": {"state"},
    "tcp_engine": {"state_reg"},
}
COMMAND_DECODE = [
    "INIT", "IDLE", "CHECK", "FETCH", "VALUES", "INSERT", "INSERTED", "TCP", "DELIVERY", "RAW", "RAWPOST", "REPORT",
    "OPTIONS",
]  # fmt: skip
#: A block as those of hdl/ are written, for one edit each.
BLOCK = """
module block (input wire clk, input wire go, output wire busy);
  localparam [1:0] IDLE = 2'd0, WORK = 2'd1,   // at work
                   DONE = 2'd2;
  localparam [1:0] OKAY = 2'd3;
  reg [1:0] state_reg;
  assign busy = state_reg != IDLE;
  always @(posedge clk)
    case (state_reg)
      IDLE: if (go) state_reg <= WORK;
      WORK: state_reg <= DONE;
      default: state_reg <= IDLE;
    endcase
endmodule
"""


def test_every_state_register_of_hdl_has_words() -> None:
    found, problems = blocks()
    assert problems == ()
    assert {block.module: block.registers for block in found if block.registers} == REGISTERS


def test_the_words_are_the_localparams_of_the_registers_width_by_a_second_reading() -> None:
    for block in blocks()[0]:
        for register in block.registers:
            text = next(HDL.rglob(f"{block.module}.v")).read_text()
            high = next(
                line.split("[")[1].split(":")[0]
                for line in text.splitlines()
                if line.split()[:1] == ["reg"] and re.search(rf"\b{register}[,;]", line)
            )
            declared: dict[str, int] = {}
            for part in text.split("localparam ")[1:]:
                span, _, rest = part.partition("]")
                if span == f"[{high}:0":
                    plain = re.sub("//.*", "", rest).split(";")[0]
                    declared |= {name: int(value) for name, value in re.findall(r"(\w+)\s*=\s*\d'd(\d+)", plain)}
            table = block.tables[register]
            assert (dict(table.values), table.width) == (declared, int(high) + 1), block.module
            assert len(declared) >= 4


def test_the_words_of_command_decode_are_its_states_in_order() -> None:
    (block,) = (block for block in blocks()[0] if block.module == "command_decode")
    assert dict(block.tables["state"].values) == {word: value for value, word in enumerate(COMMAND_DECODE)}


def test_a_wire_called_state_shows_the_states_of_a_connection() -> None:
    (block,) = (block for block in blocks()[0] if block.module == "image_check")
    assert (block.registers, block.tables["state"].width) == (frozenset(), 32)
    assert block.tables["state"].values == {value.name: value.value for value in TcpState}
    with pytest.raises(WordsError, match="neither a register nor the state of a connection"):
        read_block("module other (input wire [7:0] a);\n  wire [3:0] state = a[3:0];\nendmodule\n")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("      WORK:", "      2'd1:", "values that are no localparams of the module: 2'd1"),
        ("!= IDLE", "!= 2'd0", "values that are no localparams of the module: 2'd0"),
        ("!= IDLE", "!= `IDLE", "values that are no localparams of the module: `IDLE"),
        ("      WORK:", "      AWAY:", "values that are no localparams of the module: AWAY"),
        ("DONE = 2'd2", "DONE = 2'd1", "two words for the value 1"),
        ("DONE = 2'd2", "DONE = 2", "DONE = 2 is not a number of 2 bits"),
        ("DONE = 2'd2", "DONE = 2'd4", "does not fit"),
        ("reg [1:0] state_reg", "reg [W-1:0] state_reg", "not in numbers"),
        ("reg [1:0] state_reg", "reg [2:0] state_reg", "is not a number of 3 bits"),
        ("reg [1:0] state_reg", "reg [1:0] state_reg; reg [2:0] state_next", "are not of one width"),
    ],
)
def test_a_state_register_without_words_is_a_problem_and_not_left_out(old: str, new: str, says: str) -> None:
    assert old in BLOCK
    with pytest.raises(WordsError, match=says):
        read_block(BLOCK.replace(old, new))


def test_a_state_register_is_found_by_its_case_whatever_its_name() -> None:
    for name in ("state_reg", "turn", "fetch_state"):
        block = read_block(BLOCK.replace("state_reg", name))
        assert block is not None
        assert block.registers == {name}
        assert dict(block.tables[name].values) == {"IDLE": 0, "WORK": 1, "DONE": 2}
    assert read_block(BLOCK.replace("state_reg", "turn").replace("case (turn)", "case (go)")) is None


def test_a_problem_is_named_with_its_file_and_said_with_the_waves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.v").write_text(BLOCK)
    (tmp_path / "bad.v").write_text(BLOCK.replace("!= IDLE", "!= 2'd0"))
    found, problems = blocks(tmp_path)
    assert [block.module for block in found] == ["block"]
    assert problems == ("bad.v: state_reg has values that are no localparams of the module: 2'd0",)
    monkeypatch.setattr(wave_viewer, "blocks", lambda: (found, problems))
    assert "states as numbers: bad.v: state_reg" in wave_viewer.describe(vcd(tmp_path), 0)


def test_no_two_blocks_can_be_taken_for_each_other() -> None:
    found = blocks()[0]
    for block in found:
        kinds = r"(?:input|output)" if block.registers else r"(?:input|output|wire|reg)"
        names = re.findall(rf"\b{kinds}\s+(?:wire|reg)?\s*(?:\[[^\]]*\])?\s*(\w+)", _source(block.module))
        assert len(names) > 3
        assert block_of((*names, *block.tables), found) is block, block.module
        assert block_of((*names, *block.tables), (*found, block)) is None  # two fit: neither


def _source(module: str) -> str:
    return re.sub("//.*", "", next(HDL.rglob(f"{module}.v")).read_text())


def vcd(folder: Path) -> Path:
    """Waves with two instances of command_decode and one of conn_lookup_ctrl, deep inside; each in another state."""
    path = folder / "waves.vcd"
    states = [("a", 4, "state", "u_command_decode"), ("b", 4, "state", "again"), ("c", 3, "state_reg", "ctrl")]
    others = {"a": "s_sqe_valid", "b": "s_sqe_valid", "c": "refuse_dup_reg"}
    body = ""
    for code, width, name, scope in states:
        outer = ("u_rx", "connections") if scope == "ctrl" else ()
        body += "".join(f"$scope module {one} $end\n" for one in (*outer, scope))
        body += f"$var reg {width} {code} {name} [{width - 1}:0] $end\n$var wire 1 {code}1 {others[code]} $end\n"
        body += "$upscope $end\n" * (len(outer) + 1)
    path.write_text(
        f"$timescale 1ps $end\n$scope module tb_top $end\n$scope module dut $end\n{body}"
        "$scope module stranger $end\n$var reg 4 s state [3:0] $end\n$var wire 1 t nowhere $end\n$upscope $end\n"
        "$upscope $end\n$upscope $end\n$enddefinitions $end\n"
        f"#0\nb0000 a\nb0000 b\nb000 c\nb0000 s\n#{MARKER}\nb1001 a\nb1100 b\nb100 c\nb1001 s\n#{MARKER * 2}\nb0 a\n"
    )
    return path


def test_every_instance_has_the_words_of_its_block_and_a_stranger_has_numbers(tmp_path: Path) -> None:
    path = vcd(tmp_path)
    shown = {".".join(signal.scopes[2:]): table.name for signal, table in words_of(read(path).signals).items()}
    assert shown == {
        "u_command_decode": "command_decode_state", "again": "command_decode_state",
        "u_rx.connections.ctrl": "conn_lookup_ctrl_state",
    }  # fmt: skip
    lines = save_file(read(path), None, 1000, {table.name: Path(table.name) for table in all_tables()}).splitlines()
    for scope, name in shown.items():
        pattern = rf"tb_top\.dut\.{scope}\.state(_reg)?\[\d:0\]"
        at = next(n for n, line in enumerate(lines) if re.fullmatch(pattern, line))
        assert lines[at - 2 : at] == ["@2022", f"^1 {name}"]
    at = lines.index("tb_top.dut.stranger.state[3:0]")
    assert lines[at - 1] == "@22"


def test_surfer_gets_a_mapping_for_every_word_and_the_command_file_names_it(tmp_path: Path) -> None:
    path = vcd(tmp_path)
    said = wave_viewer.describe(path, None)
    assert f"(cd {tmp_path} && surfer --command-file replay.sucl)" in said  # it looks for mappings where it runs
    lines = (tmp_path / "replay.sucl").read_text().splitlines()
    added = [line for line in lines if line.startswith(("divider_add", "variable_add"))]
    digits = "abcdefghijklmnop"
    given = {}
    for at, line in enumerate(lines):
        if line.startswith("item_set_format"):
            place = re.sub(r"^item_focus (\w+)_row$", r"\1", lines[at - 1])
            row = sum(digits.index(digit) * 16**power for power, digit in enumerate(reversed(place)))
            given[added[row].removeprefix("variable_add tb_top.dut.")] = line.removeprefix("item_set_format ")
    assert given == {
        "u_command_decode.state": "chimney_command_decode_state", "again.state": "chimney_command_decode_state",
        "u_rx.connections.ctrl.state_reg": "chimney_conn_lookup_ctrl_state",
    }  # fmt: skip
    for name in {*given.values(), "chimney_opcode", "chimney_tcp_state", "chimney_verdict"}:
        assert (tmp_path / MAPPINGS / name).is_file(), name
    text = (tmp_path / ".surfer" / "mappings" / "chimney_command_decode_state").read_text().splitlines()
    assert text[:3] == ["Name = chimney_command_decode_state", "Bits = 4", "0 INIT"]
    assert text[2:] == [f"{value} {word}" for value, word in enumerate(COMMAND_DECODE)]


def test_a_mapping_holds_what_surfer_reads() -> None:
    names = set()
    for table in all_tables():
        first, second, *rows = table.surfer().splitlines()
        names.add(first)
        assert re.fullmatch(r"Name = chimney_\w+", first)
        assert second == f"Bits = {table.width}"
        assert all(re.fullmatch(r"\d+ [A-Z]\w*", row) for row in rows)
        assert all(int(row.split()[0]).bit_length() <= table.width for row in rows)
        assert len(rows) == len(table.values) > 1
    assert len(names) == len(all_tables())  # a second table of a name would take the place of the first


def test_the_state_of_a_block_is_the_first_of_its_group_at_any_depth() -> None:
    (block,) = (block for block in blocks()[0] if block.module == "conn_lookup_ctrl")
    scopes = ("tb_top", "dut", "u_rx", "connections", "ctrl")
    signals = [Signal(scopes, "s_ins_valid", 1), Signal(scopes, "state_reg", 3, "[2:0]")]
    assert groups(signals) == [("dut.u_rx.connections.ctrl", signals[::-1])]
    assert words_of(signals) == {signals[1]: block.tables["state_reg"]}
    wide = [signals[0], Signal(scopes, "state_reg", 4, "[3:0]")]
    assert words_of(wide) == {}  # another width is another design


def test_a_state_register_of_another_name_is_shown_too(monkeypatch: pytest.MonkeyPatch) -> None:
    block = read_block(BLOCK.replace("state_reg", "turn"))
    assert block is not None
    monkeypatch.setattr("tb.waves.blocks", lambda: ((block,), ()))
    scopes = ("tb_top", "dut", "u_block")
    signals = [Signal(scopes, "busy", 1), Signal(scopes, "turn", 2, "[1:0]")]
    assert groups(signals) == [("dut.u_block", [signals[1]])]


def test_gtkwave_shows_the_state_of_each_instance_as_a_word(tmp_path: Path) -> None:
    if (lack := missing()) is not None:
        pytest.skip(lack)
    path = vcd(tmp_path)
    wave_viewer.describe(path, 0)
    with Screen() as screen:
        shown = screen.gtkwave(path, path.with_name("replay.gtkw"))
    assert shown.marker == MARKER
    found = [value for name, value in shown.traces if name.rpartition(".")[2] in ("state", "state_reg")]
    assert found == ["RAW", "OPTIONS", "INSERT", "9"]  # in the order of the file, the stranger last


def test_a_filter_file_has_all_digits_of_its_signal() -> None:
    assert Table("t", 8, {"A": 0, "B": 11}).gtkwave() == "00 A\n0b B\n"
    assert Table("t", 3, {"A": 0, "B": 5}).gtkwave() == "0 A\n5 B\n"


def test_command_files_without_words_have_no_focus(tmp_path: Path) -> None:
    plain = WaveFile(tmp_path / "waves.vcd", (Signal(("tb_top",), "clk", 1),), -12)
    lines = command_file(plain, None).splitlines()
    assert lines == [f"load_file {plain.path}", "divider_add bench", "variable_add tb_top.clk"]
