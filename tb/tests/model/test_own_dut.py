"""A device of one's own: how its folder is read, how sessions are judged, what docs/your-own-dut.md says."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tb.config import ROOT, ConfigError, RunConfig
from tb.folders import LOCK_NAME
from tb.owndut import run as own_run
from tb.owndut.device import OwnDevice, patched
from tb.owndut.run import FAILED, IN_SOFTWARE, PASSED, REFUSED, Outcome, judge, table
from tb.owndut.suite import BY_NAME, SESSIONS
from tb.sim.spec import HDL
from tb.sim.tools import Tool, find
from tb.testing import runner

EXAMPLE = ROOT / "docs" / "examples" / "tiny_dut"
PAGE = ROOT / "docs" / "your-own-dut.md"
SOFTWARE = f"connection 0: 8192 {IN_SOFTWARE}"
GOOD = 'top = "mine"\ndata_w = 64\n'


def folder(tmp_path: Path, text: str | None, module: str = "mine") -> Path:
    """A device with this description."""
    (tmp_path / f"{module}.v").write_text(f"module {module} (); endmodule\n")
    if text is not None:
        (tmp_path / "dut.toml").write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "module", "says"),
    [
        (None, "mine", "there is no dut.toml"),
        ("top = ", "mine", "it cannot be read"),
        ('top = "mine"\n', "mine", "top and data_w are needed"),
        ('top = "mine"\ndata_w = 32\n', "mine", "top and data_w are needed"),
        ("top = 5\ndata_w = 64\n", "mine", "top and data_w are needed"),
        (GOOD, "other", "there is no mine.v"),
        (GOOD + "width = 3\n", "mine", "there is no key 'width'"),
        (GOOD + "[driver]\npaths = 3\n", "mine", "there is no key 'paths'"),
        (GOOD + "[driver]\nsends = 0\n", "mine", "driver.sends is no number"),
        (GOOD + '[driver]\nsends = "two"\n', "mine", "driver.sends is no number"),
    ],
)
def test_a_folder_that_describes_no_device_is_refused_with_a_reason(
    tmp_path: Path, text: str | None, module: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)):
        OwnDevice.load(folder(tmp_path, text, module))


def test_what_the_folder_does_not_say_holds_as_for_our_own_device(tmp_path: Path) -> None:
    driver = OwnDevice.load(folder(tmp_path, GOOD)).driver()
    assert (driver.conns, driver.limits.sends, driver.limits.receives) == (64, 16, 16)


@pytest.mark.skipif(find("icarus") is None, reason="no-icarus: Icarus Verilog is not installed")
def test_a_session_on_the_example_passes() -> None:
    words = ["test", "plain", "--dut", str(EXAMPLE), "--sim", "icarus", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "tb", *words], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 0 refused, 0 failed" in done.stdout


def test_the_example_is_built_without_a_block_of_ours() -> None:
    spec = OwnDevice.load(EXAMPLE).spec(Tool("icarus", "11.0", "system", Path("iverilog")))
    assert not [path for path in spec.sources if path.is_relative_to(HDL)]
    assert {path.stem for path in spec.sources} >= {"tb_top", "axi4_checker", "tiny_dut", "tiny_core"}
    assert spec.defines == {"OWN_DUT": "tiny_dut"}


def test_nothing_of_bench_and_model_names_the_example() -> None:
    files = [path for root in ("tb", "model") for path in (ROOT / root).rglob("*") if path.suffix in (".py", ".v")]
    assert len(files) > 300
    naming = [path for path in files if re.search(r"\btiny_(?:core|memory|receive|registers)\b", path.read_text())]
    assert {path.name for path in naming} == {Path(__file__).name}


@pytest.mark.parametrize("path", sorted(EXAMPLE.glob("*.v")), ids=lambda path: path.stem)
def test_a_file_of_the_example_looks_like_one_of_ours(path: Path) -> None:
    text = path.read_text()
    code = re.sub(r"//[^\n]*", "", text)
    assert re.findall(r"^\s*module\s+(\w+)", code, re.MULTILINE) == [path.stem]
    assert text.startswith(f"// {path.stem}: ")
    assert text.endswith("`default_nettype wire\n")
    assert not re.search(r"^\s*initial\b|<=\s*#|lint_off", text, re.MULTILINE)
    assert max(len(line) for line in text.splitlines()) <= 130


def as_git_writes_it(folder: Path) -> Path:
    """The patch of the example with the line in front by which git takes its paths for those of a checkout's root."""
    path = folder / "git.patch"
    path.write_text("diff --git a/tiny_core.v b/tiny_core.v\n" + (EXAMPLE / "sabotage.patch").read_text())
    return path


def test_the_patch_of_the_example_applies_to_a_copy_and_changes_one_line(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], timeout=30, check=True)
    for name, diff in (("copy", EXAMPLE / "sabotage.patch"), ("other", as_git_writes_it(tmp_path))):
        copy = patched(OwnDevice.load(EXAMPLE), diff, tmp_path / "below" / name)
        names = sorted(path.name for path in EXAMPLE.iterdir())
        assert names == sorted(path.name for path in copy.folder.iterdir())
        changed = [
            (one, other)
            for file in names
            for one, other in zip(
                (EXAMPLE / file).read_text().splitlines(), (copy.folder / file).read_text().splitlines(), strict=True
            )
            if one != other
        ]
        assert len(changed) == 1


def test_a_patch_applies_inside_a_hook_of_git_and_without_the_program_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = shutil.which("git")
    assert git is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(git)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    subprocess.run(["git", "init", "-q", str(tmp_path)], timeout=30, check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    copy = patched(OwnDevice.load(EXAMPLE), as_git_writes_it(tmp_path), tmp_path / "copy")
    assert (copy.folder / "tiny_core.v").read_text() != (EXAMPLE / "tiny_core.v").read_text()


def test_a_patch_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.patch"
    wrong.write_text("--- a/tiny_core.v\n+++ b/tiny_core.v\n@@ -1,1 +1,1 @@\n-not there\n+nor this\n")
    with pytest.raises(ConfigError, match="does not apply"):
        patched(OwnDevice.load(EXAMPLE), wrong, tmp_path / "copy")


@pytest.mark.parametrize(
    ("refused", "problems", "outcome"),
    [
        ([], [], PASSED),
        (["connection 0: FAILURE"], [SOFTWARE], REFUSED),
        (["connection 0: FAILURE"], [], REFUSED),
        ([], [SOFTWARE], FAILED),
        (["connection 0: FAILURE"], [SOFTWARE, "wire: an edge fell"], FAILED),
        ([], ["the three sums differ"], FAILED),
    ],
)
def test_only_a_refusal_behind_which_all_holds_is_no_failure(
    refused: list[str], problems: list[str], outcome: str
) -> None:
    found, what = judge(refused, problems)
    assert found == outcome
    assert SOFTWARE not in what or not refused


def outcome(session: str, kind: str) -> Outcome:
    """One that took no time."""
    return Outcome(session, "it holds", kind, "", 0.0, "")


@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ((PASSED, PASSED), 0),
        ((PASSED, REFUSED), 0),
        ((REFUSED, REFUSED), 1),
        ((PASSED, FAILED), 1),
        ((REFUSED, FAILED), 1),
    ],
)
def test_a_device_that_passes_nothing_is_no_good_one(
    kinds: tuple[str, ...],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(own_run, "OUT", tmp_path)
    monkeypatch.setattr(own_run, "play", lambda *_: iter([outcome(f"s{n}", kind) for n, kind in enumerate(kinds)]))
    assert own_run.main(RunConfig(command="test", dut=EXAMPLE)) == status
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == ", ".join(f"{kinds.count(kind)} {kind}" for kind in (PASSED, REFUSED, FAILED))
    assert ("FAIL: no session passed" in said[-2]) == (PASSED not in kinds)


def test_a_second_test_of_devices_with_one_top_is_refused_before_it_writes_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_run, "OUT", tmp_path)
    patch = EXAMPLE / "sabotage.patch"
    configs = {"tiny_dut": RunConfig(dut=EXAMPLE), "tiny_dut-patched": RunConfig(dut=EXAMPLE, patch=patch)}
    for name, config in configs.items():
        (tmp_path / name).mkdir()
        with (tmp_path / name / LOCK_NAME).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(ConfigError) as caught:
                runner.main(config)
        assert caught.value.what.startswith("another run is writing in this folder")
        assert caught.value.where == str(tmp_path / name)
        assert [path.name for path in (tmp_path / name).iterdir()] == [LOCK_NAME]


def test_words_that_no_session_has_are_refused_before_the_last_results_are_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_run, "OUT", tmp_path)
    with pytest.raises(ConfigError, match="no session has this in its name"):
        own_run.main(RunConfig(dut=EXAMPLE, test="nothing-like-it"))
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_every_session_with_an_outcome_in_the_order_of_the_suite() -> None:
    shown = [line.split() for line in shown_table().splitlines()[1:]]
    assert [words[0] for words in shown] == [session.name for session in SESSIONS] == list(BY_NAME)
    assert {words[1] for words in shown} <= {PASSED, REFUSED}


def test_the_table_says_what_held_or_what_did_not() -> None:
    rows = table([Outcome("a", "it holds", PASSED, "", 1.0, ""), Outcome("bb", "x", FAILED, "it broke", 1.0, "")])
    assert rows.splitlines() == [
        "  session  outcome  what", "  a        passed   it holds", "  bb       failed   it broke",
    ]  # fmt: skip


def shown_table() -> str:
    """The table of the page."""
    found = re.search(r"<!-- real output: chimney test --dut .*?-->\n```\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)
