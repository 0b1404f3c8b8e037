"""docs/errors.md, part C: what the command line refuses, and what an interrupt leaves behind."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tb import replay, wave_viewer
from tb.config import ROOT, ConfigError, RunConfig
from tb.folders import LOCK_NAME
from tb.run import LEFT
from tb.sim.tools import find
from tb.tests.lab import documented
from tb.variables import VARIABLES

#: Seconds after which a command under test counts as hanging.
PATIENCE = 60.0
#: Variables of this process that must not reach the command under test.
_OWN = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTEST_CURRENT_TEST", *VARIABLES}

#: again.json of a failed test of a block.
AGAIN = '{"top": "fifo", "modules": "m", "testcase": null, "plusargs": {}, "parameters": {}, "timeout": 1.0}'


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command, with these variables as make would hand them over."""
    return {k: v for k, v in os.environ.items() if k not in _OWN} | {"COLUMNS": "160"} | dict(variables)


def run(variables: Mapping[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    """`make run` behind make: the command as the Makefile starts it."""
    return subprocess.run(
        [sys.executable, "-m", "tb.cli", "run"],
        cwd=ROOT, env=environment({**variables, **more}), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def command(name: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Another command behind make."""
    return subprocess.run(
        [sys.executable, "-m", "tb.cli", name],
        cwd=ROOT, env=environment(variables), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Make itself, which must hand the variables over as they were typed."""
    return subprocess.run(
        ["make", "run", *words],
        cwd=ROOT, env=environment({}), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], what: str, where: str) -> None:
    """Exit status 2 and exactly three lines: what, where, what to do."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 3, done.stderr
    assert lines[0].startswith(f"error: {what}"), done.stderr
    assert lines[1] == f"  where: {where}"
    assert lines[2].startswith("  do:    ")
    assert len(lines[2]) > len("  do:    ")


def test_every_row_of_the_command_line_is_here_or_among_the_tests_of_the_farm() -> None:
    source = Path(__file__).read_text() + Path(__file__).with_name("test_farm.py").read_text()
    missing = [row for row in documented("C") if f'"{row}"' not in source]
    assert missing == []


@pytest.mark.rule("C-01", "C-02", "C-03")
def test_a_file_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.touch()
    absent = tmp_path / "absent.bin"
    for path, what in (
        (absent, "the file to send does not exist"),
        (empty, "the file to send is empty"),
        (tmp_path, "the file to send is a directory"),
    ):
        refused(run({"FILE": str(path), "OUT": str(tmp_path / "out"), "DEVICE": "model"}), what, f"FILE={path}")
    assert not (tmp_path / "out").exists()


@pytest.mark.rule("C-04")
@pytest.mark.parametrize("name", ["two words.bin", 'it\'s "so".bin', "cost $5 $(HOME) `x`.bin", "a#b%c;d&e.bin"])
def test_a_file_with_any_name_is_sent(name: str, tmp_path: Path) -> None:
    path, out = tmp_path / name, tmp_path / "out dir"
    path.write_bytes(bytes(range(256)) * 20)
    done = make(f"FILE={path}", "DEVICE=model", f"OUT={out}")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((out / "summary.json").read_text())
    assert result["complete"] is True
    assert result["bytes_sent"] == 5120
    assert result["sha256_sent"] == result["sha256_peer"] == result["sha256_received"]
    assert (out / "received.bin").read_bytes() == path.read_bytes()


@pytest.mark.rule("C-05")
def test_a_result_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    for out in (blocked, blocked / "below", Path("/proc/nowhere")):
        done = run({"OUT": str(out), "DEVICE": "model"})
        refused(done, "the result folder cannot be written", f"OUT={out}")
    assert blocked.read_text() == "in the way"


@pytest.mark.rule("C-19")
@pytest.mark.parametrize("names", [("notes.txt",), ("report.html", "wire.pcapng")])
def test_a_folder_that_is_not_empty_and_no_runs_is_no_result_folder(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        (tmp_path / name).write_text("mine")
    done = run({"OUT": str(tmp_path), "DEVICE": "model", "SIZE": "4K"})
    refused(done, "the result folder is not empty and is no run's", f"OUT={tmp_path}")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names, "mine")


@pytest.mark.rule("C-20")
def test_a_second_run_in_a_folder_is_refused_while_the_first_one_writes_and_not_when_it_was_killed(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    variables = {"OUT": str(out), "DEVICE": "model", "SIZE": "8M"}
    first = start(variables, tmp_path / "log")
    try:
        deadline = time.monotonic() + PATIENCE
        while not (out / "wire.pcapng").exists():
            assert first.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.02)
        before = (out / "summary.json").stat().st_mtime_ns
        done = run({**variables, "SIZE": "4K"})
        assert first.poll() is None, "the first run is too short for this test"
        refused(done, f"another run is writing in this folder (process {first.pid})", f"OUT={out}")
        assert "OUT= (--out)" in done.stderr
        assert (out / "summary.json").stat().st_mtime_ns == before
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert run({**variables, "SIZE": "4K"}).returncode == 0


@pytest.mark.rule("C-20")
def test_a_replay_is_refused_while_the_folder_of_its_failure_is_written_in(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(RunConfig(sim="icarus").to_json())
    (tmp_path / "again.json").write_text(AGAIN)
    with (tmp_path / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = command("replay", {"FAILURE": str(tmp_path)})
    refused(done, "another run is writing in this folder", f"FAILURE={tmp_path}")


def test_nothing_of_an_earlier_run_is_left_beside_the_results_of_this_one(tmp_path: Path) -> None:
    for name in (*LEFT, "summary.json", "replay/waves.fst"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("of an earlier run")
    done = run({"OUT": str(tmp_path), "DEVICE": "model", "SIZE": "4K"})
    assert done.returncode == 0, done.stderr
    old = [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"of an earlier run"]
    assert old == []
    assert json.loads((tmp_path / "summary.json").read_text())["problems"] == []


@pytest.mark.rule("C-21")
@pytest.mark.parametrize(
    ("given", "what", "where"),
    [
        ({"DEVICE": "model", "WAVES": "1"}, "WAVES is for the RTL", "WAVES=1"),
        ({"DEVICE": "model", "SIM": "icarus"}, "SIM is for the RTL", "SIM=icarus"),
        ({"DEVICE": "model", "MEM_LATENCY": "9"}, "MEM_LATENCY is for the RTL", "MEM_LATENCY=9"),
        ({"DEVICE": "model", "COVER": "1"}, "COVER is for the RTL", "COVER=1"),
        ({"DEVICE": "model", "MARK": "0.1"}, "MARK is for ECN alone", "MARK=0.1"),
        ({"DEVICE": "model", "FILE": "LICENSE", "SIZE": "4096"}, "FILE has a size of its own", "SIZE=4096"),
    ],
)
def test_what_would_change_nothing_is_refused(given: dict[str, str], what: str, where: str, tmp_path: Path) -> None:
    refused(run(given, OUT=str(tmp_path / "out")), what, where)
    assert not (tmp_path / "out").exists()


@pytest.mark.rule("C-30")
def test_a_patch_of_nothing_is_refused_by_test(tmp_path: Path) -> None:
    given = {"TEST": "unit_skid", "SIM": "icarus", "PATCH": str(tmp_path / "x.patch")}
    refused(command("test", given), "PATCH is for a device of your own here", f"PATCH={tmp_path / 'x.patch'}")


@pytest.mark.rule("C-28")
@pytest.mark.parametrize(
    ("given", "what", "where"),
    [
        ({"CUTS": "3"}, "CUTS is not for an attack", "CUTS=3"),
        ({"CUTS": "3", "DEVICE": "model"}, "CUTS is not for an attack", "CUTS=3"),
        ({"WHOLE": "1", "DEVICE": "model"}, "WHOLE is for the RTL", "WHOLE=1"),
    ],
)
def test_what_an_attack_has_no_use_for_is_refused(given: dict[str, str], what: str, where: str) -> None:
    refused(command("hostile", given), what, where)


@pytest.mark.rule("C-22")
@pytest.mark.parametrize("text", ["1-99999999999", "1-10001", "1-6000,1-6000", "5-1"])
def test_more_seeds_than_the_most_are_refused_before_they_are_listed(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_environment("regress", {"SEEDS": text})
    assert (caught.value.what, caught.value.where) == ("SEEDS names no or too many seeds", f"SEEDS={text}")
    assert len(RunConfig.from_environment("regress", {"SEEDS": "1-10000"}).seeds) == 10_000


#: Files of a failure folder, and what is damage to them.
DAMAGED = (
    ("config.json", "{"), ("config.json", "[]"), ("config.json", "{}"), ("again.json", "x"), ("again.json", "{}"),
    ("again.json", '{"top": "tb_top", "modules": "m", "testcase": null, "plusargs": {}, "parameters": {}, '
     '"timeout": 1.0}'),
    ("failure.json", "[]"), ("failure.json", "{}"), ("failure.json", '{"cycle": "late"}'),
    ("results.xml", "<"), ("rtl.json", "\xff"), ("rtl.json", '{"problems": 5}'),
    ("results.xml", '<a><testcase time="abc"/></a>'),
    *((name, "[" * 100_000) for name in ("config.json", "again.json", "failure.json", "rtl.json")),
)  # fmt: skip


@pytest.mark.rule("C-23")
@pytest.mark.parametrize(("name", "text"), DAMAGED, ids=lambda text: text[:16])
def test_a_damaged_failure_folder_is_refused_by_replay_and_waves(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(RunConfig(sim="icarus").to_json())
    (tmp_path / "again.json").write_text(AGAIN)
    (tmp_path / "failure.json").write_text('{"cycle": null}')
    (tmp_path / name).write_text(text)
    for main in (replay.main, wave_viewer.main):
        with pytest.raises(ConfigError) as caught:
            main(RunConfig(failure=tmp_path, view=False))
        assert caught.value.what.startswith("this failure folder is damaged")
        assert caught.value.where == str(tmp_path / name)
        assert caught.value.todo
    if (name, text) == next(case for case in DAMAGED if case[0] == name):  # of each file one
        done = command("replay", {"FAILURE": str(tmp_path)})
        refused(done, "this failure folder is damaged", str(tmp_path / name))


@pytest.mark.rule("C-24")
def test_a_failure_that_is_not_there_is_named_by_replay_and_waves(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    for main in (replay.main, wave_viewer.main):
        with pytest.raises(ConfigError, match="there is no such folder"):
            main(RunConfig(failure=absent, view=False))


@pytest.mark.rule("C-25")
def test_a_cycle_behind_the_end_of_the_run_is_refused_with_the_last_one(tmp_path: Path) -> None:
    (tmp_path / "again.json").write_text("{}")
    (tmp_path / "results.xml").write_text(
        '<testsuites><testsuite><testcase name="t" classname="c" time="1">'
        '<properties><property name="sim_time_stop" value="1235"/></properties></testcase></testsuite></testsuites>'
    )
    with pytest.raises(ConfigError) as caught:
        wave_viewer.main(RunConfig(failure=tmp_path, view=False, at=124))
    told = ("this cycle is behind the end of the run", "AT=124", "give a cycle of the run: its last is 123")
    assert (caught.value.what, caught.value.where, caught.value.todo) == told
    wave_viewer.bound(RunConfig(failure=tmp_path, at=123), tmp_path)


#: A field of config.json, and what stands there instead.
DAMAGE: tuple[tuple[str, object], ...] = (
    ("seed", "x"), ("seed", 1.5), ("seed", True), ("data_w", 63), ("data_w", "512"), ("conns", []), ("size", None),
    ("loss", "q"), ("loss", float("nan")), ("waves", 1), ("sim", None), ("sim", "modelsim"), ("device", "fpga"),
    ("peer", ""), ("family", 5), ("file", 7), ("out", None), ("out", []), ("seeds", [1, "2"]), ("seeds", "12"),
    ("seeds", 5), ("require", [1]), ("scripts", [None]), ("scripts", 1), ("given", {}), ("test", 3), ("nonsense", 1),
)  # fmt: skip


@pytest.mark.rule("C-23")
@pytest.mark.parametrize(("name", "value"), DAMAGE)
def test_a_configuration_with_a_field_of_another_type_is_damaged_and_nothing_is_simulated(
    name: str, value: object, tmp_path: Path
) -> None:
    found = json.loads(RunConfig(sim="icarus").to_json()) | {name: value}
    (tmp_path / "config.json").write_text(json.dumps(found))
    (tmp_path / "again.json").write_text(AGAIN)
    with pytest.raises(ConfigError) as caught:
        replay.load(tmp_path)
    assert caught.value.what.startswith("this failure folder is damaged (")
    assert name in caught.value.what
    assert caught.value.where == str(tmp_path / "config.json")


@pytest.mark.rule("C-23")
@pytest.mark.parametrize(
    ("name", "value"),
    [("timeout", "late"), ("plusargs", 3), ("parameters", {"DEPTH": "four"}), ("modules", [1]), ("tree", None)],
)
def test_a_record_of_what_was_simulated_with_a_field_of_another_type_is_damaged(
    name: str, value: object, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(RunConfig(sim="icarus").to_json())
    (tmp_path / "again.json").write_text(AGAIN)
    assert replay.load(tmp_path).timeout == 1.0
    (tmp_path / "again.json").write_text(json.dumps(json.loads(AGAIN) | {name: value}))
    with pytest.raises(ConfigError, match=rf"this failure folder is damaged \(`{name}` is ") as caught:
        replay.load(tmp_path)
    assert caught.value.where == str(tmp_path / "again.json")


def test_every_configuration_comes_back_from_its_text() -> None:
    full = RunConfig(
        file=Path("/f"), loss=0.5, delay=0, seeds=(1, 2), out=Path("/o"), failure=Path("/x"), at=0, folder=Path("/r"),
        sabotage_id="b*", patch=Path("/p"), dut=Path("/d"), test="a b", require=("tun",), time_limit=3.0, filter="a.*",
        vectors=Path("/v"), commits=Path("/c"), scripts=(Path("/s"), Path("/t")), given=("SIZE",), family=6, data_w=64,
    )  # fmt: skip
    for config in (RunConfig(), full, RunConfig(time_limit=3, loss=0), RunConfig.from_environment("run", {})):
        assert RunConfig.from_json(config.to_json()) == config


# ---- paths that the system does not look at, and files that are none --------------------------------

#: A name that no file can have.
LONG = "n" * 300
#: A command and the variable that takes a path.
PATHS = (
    ("run", "OUT"), ("replay", "FAILURE"), ("waves", "FAILURE"), ("report", "FOLDER"), ("packetdrill", "SCRIPTS"),
    ("vectors", "VECTORS"), ("test", "DUT"), ("sabotage", "PATCH"), ("check", "COMMITS"), ("run", "FILE"),
)  # fmt: skip
#: What is said of a path that has a use of its own.
SAID = {"OUT": "the result folder cannot be written", "FILE": "the file to send cannot be read"}


@pytest.mark.rule("C-33")
@pytest.mark.parametrize(("name", "variable"), PATHS)
def test_a_path_with_a_name_that_is_too_long_is_refused(name: str, variable: str, tmp_path: Path) -> None:
    for path in (tmp_path / LONG, tmp_path / LONG / "below"):
        with pytest.raises(ConfigError) as caught:
            RunConfig.from_environment(name, {variable: str(path)})
        said = SAID.get(variable, "this path cannot be looked at")
        assert caught.value.what == f"{said} (File name too long)"
        assert (caught.value.where, bool(caught.value.todo)) == (f"{variable}={path}", True)


@pytest.mark.rule("C-33")
def test_a_name_that_is_too_long_ends_each_command_with_three_lines(tmp_path: Path) -> None:
    path = tmp_path / LONG
    refused(run({"OUT": str(path), "DEVICE": "model"}), "the result folder cannot be written (File name", f"OUT={path}")
    refused(command("replay", {"FAILURE": str(path)}), "this path cannot be looked at", f"FAILURE={path}")


@pytest.mark.rule("C-33")
@pytest.mark.parametrize(("name", "variable"), PATHS)
def test_a_folder_that_may_not_be_searched_is_refused(
    name: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, closed = os.stat, tmp_path / "closed"
    closed.mkdir()

    def stat(path: str | Path, **more: bool) -> os.stat_result:
        if str(path).startswith(f"{closed}/"):  # the tests may be those of root, for whom nothing is closed
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path, **more)

    monkeypatch.setattr("os.stat", stat)
    for path in (closed, closed / "below"):
        with pytest.raises(ConfigError, match=r" \(Permission denied\) ") as caught:
            RunConfig.from_environment(name, {variable: str(path)})
        assert caught.value.where == f"{variable}={path}"


@pytest.mark.rule("C-33")
def test_a_failure_that_names_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "again.json").write_text(AGAIN)
    (tmp_path / "config.json").write_text(RunConfig(file=tmp_path / LONG).to_json())
    with pytest.raises(ConfigError, match="cannot be looked at") as caught:
        replay.load(tmp_path)
    assert caught.value.where == str(tmp_path / "config.json")
    (tmp_path / "config.json").write_text(RunConfig().to_json())
    (tmp_path / "again.json").write_text(json.dumps(json.loads(AGAIN) | {"tree": LONG}))
    with pytest.raises(ConfigError, match="cannot be looked at") as caught:
        _ = replay.load(tmp_path).other_tree
    assert caught.value.where == str(tmp_path / "again.json")


@pytest.mark.rule("C-34")
def test_a_device_or_a_pipe_is_not_opened_as_the_file_to_send(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (Path("/dev/zero"), pipe):
        refused(run({"FILE": str(path), "DEVICE": "model"}), "the file to send is no regular file", f"FILE={path}")


# ---- lists and patterns -----------------------------------------------------------------------------


@pytest.mark.rule("C-35")
@pytest.mark.parametrize("text", ["4294967296", "99999999999", "1,4294967296", "4294967290-4294967296"])
@pytest.mark.parametrize("name", ["regress", "hostile"])
def test_a_seed_of_a_list_has_the_bounds_of_a_seed(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_environment(name, {"SEEDS": text})
    told = ("SEEDS is out of range", f"SEEDS={text}", "give whole numbers from 0 to 4294967295")
    assert (caught.value.what, caught.value.where, caught.value.todo) == told
    assert RunConfig.from_environment(name, {"SEEDS": "0,4294967295"}).seeds == (0, 4294967295)


@pytest.mark.rule("C-35")
@pytest.mark.parametrize(("text", "again"), [("1,1", 1), ("1-3,2", 2), ("5-7,1-5", 5)])
def test_a_seed_that_is_named_twice_is_refused(text: str, again: int) -> None:
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_environment("regress", {"SEEDS": text})
    assert caught.value.what == f"SEEDS names seed {again} more than once"
    assert caught.value.where == f"SEEDS={text}"
    assert RunConfig.from_environment("regress", {"SEEDS": "3,1-2"}).seeds == (3, 1, 2)


@pytest.mark.rule("C-36")
@pytest.mark.parametrize("text", ["(", "a{99999999999}", "(" * 3000 + ")" * 3000, "(" * 3000])
def test_a_pattern_that_python_cannot_take_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="FILTER is not a regular expression") as caught:
        RunConfig.from_environment("regress", {"FILTER": text})
    assert caught.value.where == f"FILTER={text}"


#: row, variable, value, message.
WRONG: tuple[tuple[str, str, str, str], ...] = (
    ("C-06", "SEED", "seven", "SEED is not a number"),
    ("C-06", "SEED", "1.5", "SEED is not a number"),
    ("C-07", "SEED", "-1", "SEED is out of range"),
    ("C-07", "SEED", "4294967296", "SEED is out of range"),
    ("C-08", "CONNS", "0", "CONNS is out of range"),
    ("C-08", "CONNS", "65", "CONNS is out of range"),
    ("C-08", "CONNS", "many", "CONNS is not a number"),
    ("C-09", "DATA_W", "32", "DATA_W is not in the allowed set"),
    ("C-09", "DATA_W", "1024", "DATA_W is not in the allowed set"),
    ("C-09", "DATA_W", "wide", "DATA_W is not in the allowed set"),
    ("C-10", "SIM", "modelsim", "SIM is not in the allowed set"),
    ("C-10", "DEVICE", "fpga", "DEVICE is not in the allowed set"),
    ("C-16", "FAMILY", "5", "FAMILY is not in the allowed set"),
    ("C-16", "FAMILY", "IPv6", "FAMILY is not in the allowed set"),
    ("C-11", "LOSS", "some", "LOSS is not a number"),
    ("C-11", "LOSS", "-0.1", "LOSS is out of range"),
    ("C-11", "LOSS", "0.51", "LOSS is out of range"),
    ("C-11", "LOSS", "nan", "LOSS is out of range"),
)


@pytest.mark.parametrize(("row", "name", "value", "what"), WRONG)
def test_a_variable_outside_its_set_is_refused(row: str, name: str, value: str, what: str) -> None:
    assert row in documented("C")
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_environment("run", {name: value})
    assert caught.value.what == what
    assert caught.value.where == f"{name}={value}"
    assert caught.value.todo


@pytest.mark.rule("C-15")
def test_fewer_bytes_than_connections_are_refused(tmp_path: Path) -> None:
    short = tmp_path / "short.bin"
    short.write_bytes(b"x" * 7)
    for variables in ({"SIZE": "7"}, {"FILE": str(short)}):
        assert RunConfig.from_environment("run", {**variables, "CONNS": "7"}).conns == 7
        with pytest.raises(ConfigError) as caught:
            RunConfig.from_environment("run", {**variables, "CONNS": "8"})
        assert (caught.value.what, caught.value.where) == ("fewer bytes than connections", "CONNS=8")


@pytest.mark.rule("C-17")
def test_ipv6_is_refused_where_it_cannot_be() -> None:
    for command in ("goodput", "vectors", "bench"):
        with pytest.raises(ConfigError, match=f"`make {command}` does is over IPv4 alone"):
            RunConfig.from_environment(command, {"FAMILY": "6"})
        assert RunConfig.from_environment(command, {"FAMILY": "4"}).family == 4
    assert RunConfig.from_environment("run", {"FAMILY": "6"}).family == 6
    assert "FAMILY=6" in RunConfig(family=6).make_command()
    assert "FAMILY" not in RunConfig().make_command()


@pytest.mark.rule("C-06")
def test_make_hands_a_wrong_variable_over_and_fails(tmp_path: Path) -> None:
    done = make("SEED=seven", f"OUT={tmp_path / 'out'}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[:2] == ["error: SEED is not a number", "  where: SEED=seven"]
    assert not (tmp_path / "out").exists()


@pytest.mark.rule("C-26")
def test_a_variable_of_make_that_there_is_not_is_refused_with_the_near_one(tmp_path: Path) -> None:
    rest = ("DEVICE=model", "SIZE=4K", f"OUT={tmp_path / 'out'}")
    for typed, near in (("LOS=0.1", "LOSS"), ("loss=0.1", "LOSS"), ("SEDE=$(x) 'y", "SEED")):
        done = make(typed, *rest)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[:3] == [
            "error: there is no such variable", f"  where: {typed.replace('$(x)', '')}",
            f"  do:    perhaps {near} is meant; `make help` lists them",
        ]  # fmt: skip
    assert not (tmp_path / "out").exists()
    assert make("CXX=g++", "PYTHON=python3", *rest).returncode == 0


@pytest.mark.rule("C-27")
def test_a_name_of_which_there_is_no_test_is_refused_beside_one_that_there_is() -> None:
    for name, where, what in (
        ("test", "unit_fifoq", "no test has this in its name"),
        ("regress", "unit_fifoq", "no test has this in its name"),
        ("regress", "unit_skid", "tests of blocks are not for regress, which plays the whole device"),
    ):
        good = "unit_skid" if name == "test" else "transfer"
        done = command(name, {"TEST": f"{good} {where}", "SIM": "icarus"})
        refused(done, what, f"TEST={where}")


@pytest.mark.rule("C-31")
def test_a_regression_refuses_what_its_suite_does_not_take() -> None:
    for given, what in (
        ({"DEVICE": "model"}, "DEVICE is for SUITE=contract: tests simulate the RTL"),
        ({"OPS": "5"}, "OPS is for SUITE=contract"),
        ({"SUITE": "contract", "TIER": "all"}, "TIER is for the tests"),
    ):
        ((name, value),) = list(given.items())[-1:]
        refused(command("regress", given), what, f"{name}={value}")


@pytest.mark.rule("C-12")
def test_a_missing_simulator_is_named(tmp_path: Path) -> None:
    """Only a path without Icarus: the one given by name must be there."""
    tools = tmp_path / "bin"
    tools.mkdir()
    done = run({"SIM": "icarus", "OUT": str(tmp_path / "out"), "PATH": str(tools)})
    refused(done, "no usable icarus on this machine", "SIM=icarus")
    assert "apt-get install iverilog" in done.stderr
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["complete"] is False


# ---- interrupts --------------------------------------------------------------------------------------


def start(variables: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """`make run` as from a terminal: the leader of a process group of its own, with Ctrl-C as it is by default.

    The tests themselves may run in the background of a shell, which lets its children ignore Ctrl-C.
    """
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "tb.cli", "run"],
            cwd=ROOT, env=environment(variables), stdout=output, stderr=output, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip


def descendants(root: int) -> set[int]:
    """Every process below ``root``, whatever group it is in."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - {root}


def alive(pids: set[int]) -> set[int]:
    """Those that still run (a zombie does not)."""
    running: set[int] = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            running.add(pid)
    return running


def interrupted(process: subprocess.Popen[bytes], number: signal.Signals, when: Callable[[], bool], log: Path) -> None:
    """Send a signal when ``when`` holds; afterwards nothing of the command runs any more."""
    try:
        deadline = time.monotonic() + PATIENCE
        # between two jobs there is a moment without any program of theirs
        while not (when() and (below := descendants(process.pid))):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"{log.read_text()}\nprograms below: {descendants(process.pid)}"
            time.sleep(0.02)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 130, log.read_text()
        deadline = time.monotonic() + 10
        while alive(below) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive(below), "processes were left behind"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def unfinished(out: Path) -> None:
    """summary.json is whole, has its keys, and says that the run is not complete."""
    result = json.loads((out / "summary.json").read_text())
    assert result["complete"] is False
    assert result["schema"] == 1
    assert result["problems"] == ["interrupted"]
    assert list(out.glob("*.tmp")) == []


SLOW_COMPILER = """#!/bin/sh
case " $* " in *" -V "*) exec {real} "$@" ;; esac
touch {mark}
sleep 300 &
wait
"""


@pytest.mark.rule("C-13")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    tool = find("icarus")
    if tool is None:
        pytest.skip("no-icarus: Icarus Verilog is not installed")
    tools, mark, out, log = tmp_path / "bin", tmp_path / "building", tmp_path / "out", tmp_path / "log"
    tools.mkdir()
    compiler = tools / "iverilog"
    compiler.write_text(SLOW_COMPILER.format(real=tool.executable, mark=mark))
    compiler.chmod(0o755)
    variables = {"SIM": "icarus", "DATA_W": "128", "WAVES": "1", "OUT": str(out)}
    variables["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"
    interrupted(start(variables, log), number, mark.exists, log)
    unfinished(out)


@pytest.mark.rule("C-14")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_simulation_leaves_nothing_running_and_its_files_whole(
    number: signal.Signals, tmp_path: Path
) -> None:
    if find("icarus") is None:
        pytest.skip("no-icarus: Icarus Verilog is not installed")
    out, log = tmp_path / "out", tmp_path / "log"
    records = out / "records.txt"

    def under_way() -> bool:
        return records.exists() and records.stat().st_size > 20_000

    interrupted(start({"SIM": "icarus", "DATA_W": "64", "OUT": str(out)}, log), number, under_way, log)
    unfinished(out)
    lines = records.read_text().split("\n")
    assert all(line.split()[0] in "TDRXCWFSIEA" for line in lines[:-1])
    blocks = (out / "wire.pcapng").read_bytes()
    at = 0
    while at + 8 <= len(blocks):
        length = int.from_bytes(blocks[at + 4 : at + 8], "little")
        if length < 12 or at + length > len(blocks):
            break
        assert blocks[at + length - 4 : at + length] == blocks[at + 4 : at + 8]
        at += length
    assert at == len(blocks), "the capture ends inside a packet"


@pytest.mark.rule("C-18")
def test_a_file_that_is_no_trace_of_lockstep_is_not_checked(tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl.gz"
    other.write_bytes(b"no trace\n")
    done = subprocess.run(
        [sys.executable, "-m", "tb.cli", "check"],
        cwd=ROOT, env=environment({"COMMITS": str(other)}), capture_output=True, text=True, timeout=PATIENCE,
        check=False,
    )  # fmt: skip
    refused(done, "this is not a trace", f"{other}, line 1")


@pytest.mark.rule("C-37")
def test_what_has_no_lines_is_refused_by_check_before_it_fills_the_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    with gzip.open(bomb, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    for path in (Path("/dev/zero"), bomb):
        done = command("check", {"COMMITS": str(path)})
        refused(done, "the line is longer than 1048576 bytes: this is not a trace", f"{path}, line 1")


@pytest.mark.rule("C-29")
def test_a_file_that_is_not_of_traces_is_not_played(tmp_path: Path) -> None:
    other = tmp_path / "page.md"
    other.write_text("# A page\n")
    done = command("vectors", {"VECTORS": str(other), "DEVICE": "model"})
    refused(done, "the line is not a JSON object", f"{other}, line 1")


def test_a_command_of_make_refuses_what_follows_it_and_runs_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tb.cli", "test", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "test takes no '--help'" in done.stderr
    assert "chimney test --help" in done.stderr
