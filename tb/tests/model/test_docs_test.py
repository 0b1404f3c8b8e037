"""`make docs-test`: commands of the pages run in a fresh clone, and what a page shows of an output is compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tb import docs_test, fresh_clone
from tb.config import ROOT, ConfigError, RunConfig
from tb.fresh_clone import environment_of, make_clone
from tb.sim import process

EXPORT = 'export PATH="$PWD/.venv/bin:$PATH"'
SHOWN = """```sh
export PATH="$PWD/.venv/bin:$PATH"     # as a reader
chimney planted
```

<!-- real output: chimney planted -->
```
build     0.0 s
FAILED at once
first divergence: cycle {cycle} (95 ns)
  expected 5
  ...
  waves    chimney waves sim_build/calm
  again    chimney replay .../calm
```
<!-- real output: end -->
"""
#: `chimney` of the small trees: what it prints, with the path of its tree.
PRINTED = """build     7.5 s
FAILED at once
first divergence: cycle 9 (95 ns)
  expected    5
  waves chimney waves {root}/sim_build/calm
  again chimney replay {root}/calm
"""
MAKEFILE = """SIZE ?= 1

list: ; @mkdir -p .venv/bin && cp program .venv/bin/chimney
there: ; @test -e extra
built: ; @test -e sim_build/old
size: ; @test $(SIZE) = 1
python: ; @echo "  python $(PYTHON)"
wrong: ; @false
"""
PROGRAM = '#!/bin/sh\nroot=$(cd "$(dirname "$0")/../.." && pwd)\ncat <<END\n' + PRINTED.format(root="$root") + "END\n"


def git(root: Path, *words: str) -> str:
    """Git in a small tree, with an author."""
    author = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *author, *words], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


def write(root: Path, page: str, text: str) -> None:
    """A page with these commands, or with this text."""
    path = root / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if "```" in text else f"```sh\n{text}\n```\n")


def commit(root: Path) -> None:
    """Everything that is not ignored."""
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "all")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small repository with an old build and a `chimney` of its own, which the clone must not use."""
    root = tmp_path / "tree"
    (root / "sim_build").mkdir(parents=True)
    (root / "Makefile").write_text(MAKEFILE)
    (root / ".gitignore").write_text(".venv\nsim_build\n")
    (root / "program").write_text(PROGRAM)
    (root / "program").chmod(0o755)
    (root / "sim_build" / "old").touch()
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "chimney").write_text("#!/bin/sh\necho outer\n")
    (root / ".venv" / "bin" / "chimney").chmod(0o755)
    git(root, "init", "-q")
    commit(root)
    monkeypatch.setattr(docs_test, "ROOT", root)
    monkeypatch.setattr(docs_test, "OUT", root / "sim_build" / "docs-test")
    monkeypatch.setenv("PATH", f"{root / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return root


def try_pages(test: str | None = None) -> int:
    """The command."""
    return docs_test.main(RunConfig(command="docs-test", test=test))


def clones(root: Path) -> list[Path]:
    """The clones that lie there."""
    return sorted((root / "sim_build" / "docs-test").glob("clone-*"))


def summary(root: Path) -> dict[str, object]:
    """What the command left."""
    return dict(json.loads((root / "sim_build" / "docs-test" / "summary.json").read_text()))


# ---- what a page shows ---------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second", "failed"), [(9, 9, []), (8, 9, ["a.md:3"]), (9, 8, ["b.md:3"])])
def test_each_page_that_shows_the_output_of_a_command_is_held_to_it_and_a_path_in_the_clone_is_one_of_the_page(
    tree: Path, first: int, second: int, failed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, cycle in (("a.md", first), ("b.md", second)):
        write(tree, f"docs/{name}", SHOWN.format(cycle=cycle))
    commit(tree)
    assert try_pages() == bool(failed)
    said = capsys.readouterr().out
    places = [line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("FAIL")]
    assert places == [f"docs/{one}" for one in failed]
    assert ("first divergence: cycle 8 (95 ns)" in said) is bool(failed)


def test_a_part_of_no_command_is_refused_and_a_page_or_a_part_of_a_command_is_chosen(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tree, "docs/a.md", "make list")
    write(tree, "docs/b.md", "make size\nmake built")
    commit(tree)
    with pytest.raises(ConfigError, match="no command of the pages"):
        try_pages("no such")
    assert clones(tree) == []
    capsys.readouterr()
    for test, wanted in (("docs/a.md", "docs/a.md:2: make list"), ("make size", "docs/b.md:2: make size")):
        assert try_pages(test) == 0
        first, ran, count = capsys.readouterr().out.splitlines()
        assert first.startswith("fresh clone of ")
        assert wanted in ran
        assert count == "1 different commands, 0 failed"


EDITED = """```sh
make program
sed -i 's/FAILED/MENDED/' program
```

<!-- docs-test: exit 2 -->
```sh
make program
```

```sh
git checkout program
make program
```
"""


def test_a_page_that_edits_the_tree_is_run_in_its_order_and_its_commands_again_in_each_state(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / "Makefile").write_text(MAKEFILE + "program: ; @grep -q FAILED program\n.PHONY: program\n")
    write(tree, "docs/a.md", EDITED)
    commit(tree)
    wanted = ["make program", "sed -i s/FAILED/MENDED/ program", "make program", "git checkout program", "make program"]
    for test in (None, "make program"):  # a part of a command takes the edits of its page along
        assert try_pages(test) == 0
        rows = summary(tree)["commands"]
        assert isinstance(rows, list)
        assert [row["command"].replace("'", "") for row in rows] == wanted
        assert {row["status"] for row in rows} == {"passed"}
    assert try_pages("git checkout") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 different commands, 0 failed"


def test_each_comment_of_the_pages_is_understood_a_reason_may_have_commas_and_another_word_is_refused(
    tmp_path: Path,
) -> None:
    commands = [one for page in docs_test.pages(ROOT) for one in docs_test.read_page(page, ROOT)]
    assert any(one.skip for one in commands)
    page = tmp_path / "a.md"
    for marker, wanted in (
        ("slow, skip: long, by night", (0, docs_test.SLOW_BOUND, "long, by night")),
        ("exit 3, slow", (3, docs_test.SLOW_BOUND, "")),
    ):
        page.write_text(f"<!-- docs-test: {marker} -->\n```sh\nmake there\n```\n")
        (one,) = docs_test.read_page(page, tmp_path)
        assert (one.status, one.bound, one.skip) == wanted
    page.write_text("<!-- docs-test: slowly -->\n```sh\nmake there\n```\n")
    with pytest.raises(ConfigError, match=r"no such docs-test marker \(a\.md:3: slowly\)"):
        docs_test.read_page(page, tmp_path)


# ---- the clone -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["there", "built"])
def test_a_file_that_git_does_not_track_and_an_old_build_hide_no_broken_page(
    tree: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tree, "README.md", f"make {command}")
    commit(tree)
    (tree / "extra").touch()
    assert subprocess.run(["make", command], cwd=tree, capture_output=True, check=False).returncode == 0
    assert try_pages() == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"fresh clone of {git(tree, 'rev-parse', 'HEAD')[:12]} as committed: ")
    assert second == "not part of it, untracked (`git add` makes them part of it): extra"
    assert summary(tree)["untracked"] == ["extra"]


@pytest.mark.parametrize("setting", ["", "diff.noprefix", "diff.mnemonicPrefix", "color.ui=always"])
def test_what_is_changed_and_not_committed_is_part_of_the_clone_and_the_first_line_says_so(
    tree: Path, setting: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tree, "README.md", "make wrong")
    (tree / "sum.bin").write_bytes(bytes(range(256)))
    commit(tree)
    write(tree, "README.md", "make there")  # a change
    (tree / "extra").write_bytes(bytes(range(255, -1, -1)))  # a new file
    (tree / "sum.bin").unlink()
    git(tree, "add", "extra")
    if setting:
        git(tree, "config", setting.partition("=")[0], setting.partition("=")[2] or "true")
    before = git(tree, "status", "--porcelain")
    assert try_pages() == 0
    first, ran, _ = capsys.readouterr().out.splitlines()
    assert "with the uncommitted changes of README.md, extra, sum.bin: " in first
    assert ran.startswith("ok    README.md:2: make there")
    assert summary(tree)["uncommitted"] == ["README.md", "extra", "sum.bin"]
    assert git(tree, "status", "--porcelain") == before


def test_the_clone_is_of_the_tree_also_from_a_hook_and_from_a_second_work_tree(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    git(tree, "worktree", "add", "-q", "--detach", str(other))
    (other / "only here").touch()
    commit(other)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    clone = make_clone(other, tmp_path / "clones")
    assert (clone.folder / "only here").exists()
    assert not (make_clone(tree, tmp_path / "clones").folder / "only here").exists()


def test_the_clone_goes_after_success_and_stays_and_is_named_after_a_failure(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tree, "README.md", "make list\nmake wrong")
    commit(tree)
    assert try_pages("list") == 0
    assert clones(tree) == []
    assert summary(tree)["clone"] is None
    capsys.readouterr()
    assert try_pages() == 1
    (kept,) = clones(tree)
    assert capsys.readouterr().out.splitlines()[-1] == f"the clone is kept: {kept}"
    assert summary(tree)["clone"] == str(kept)
    assert (kept / ".venv" / "bin" / "chimney").exists()


@pytest.mark.parametrize(("commands", "kept"), [("make size\nmake list", 0), ("make wrong\nmake list", 1)])
def test_an_interrupt_leaves_what_came_of_each_command_and_a_clone_only_where_one_failed(
    tree: Path, commands: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree, "README.md", commands)
    commit(tree)
    ordinary = docs_test.run

    def run(command: docs_test.DocCommand, log: Path, root: Path) -> tuple[str, float]:
        if "list" in command.text:
            raise KeyboardInterrupt
        return ordinary(command, log, root)

    monkeypatch.setattr(docs_test, "run", run)
    with pytest.raises(KeyboardInterrupt):
        try_pages()
    assert (summary(tree)["complete"], summary(tree)["failed"]) == (False, kept)
    assert len(clones(tree)) == kept


def test_a_tree_without_git_is_refused_also_inside_a_repository_and_one_without_a_commit_too(tree: Path) -> None:
    inside = tree / "sim_build" / "unpacked"
    inside.mkdir()
    with pytest.raises(ConfigError) as caught:
        make_clone(inside, tree / "sim_build")
    assert caught.value.what == "this tree is no git repository, so that there is nothing to clone"
    git(inside, "init", "-q")
    with pytest.raises(ConfigError) as caught:
        make_clone(inside, tree / "sim_build")
    assert caught.value.what == "the repository has no commit to clone"
    (inside / ".git" / "HEAD").write_text("not git's")
    with pytest.raises(ConfigError, match="no fresh clone can be made"):
        make_clone(inside, tree / "sim_build")
    assert clones(tree) == []


# ---- a new user ----------------------------------------------------------------------------------


def test_the_first_command_finds_no_venv_has_time_to_make_it_and_no_other_chimney_is_called(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree, "README.md", SHOWN.format(cycle=9) + "```sh\nchimney again\nmake list\n```\n")
    commit(tree)
    bounds: list[float] = []

    def run_bounded(command: list[str], *, cwd: Path, env: dict[str, str], log: Path, timeout: float) -> int:
        bounds.append(timeout)
        return process.run_bounded(command, cwd=cwd, env=env, log=log, timeout=timeout)

    monkeypatch.setattr(docs_test, "run_bounded", run_bounded)
    assert try_pages() == 0  # the outer one does not print what the page shows
    assert bounds == [docs_test.BOUND + docs_test.INSTALL_BOUND, docs_test.BOUND, docs_test.BOUND]


def test_the_environment_of_the_clone_has_nothing_of_this_tree(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = str(tree.parent / "tools")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tree / ".venv" / "bin"), str(Path(sys.prefix) / "bin"), kept]))
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONPYCACHEPREFIX", "MAKEFLAGS", "GIT_DIR", "PYTHON", "SIZE"):
        monkeypatch.setenv(name, "ours")
    env = environment_of(tree / "clone", tree)
    assert env["PATH"] == kept
    assert env["PYTHON"] == fresh_clone.base_python()
    outside = [env["PYTHON"], "-c", "import sys; sys.exit(sys.prefix != sys.base_prefix)"]
    assert subprocess.run(outside, check=False).returncode == 0
    assert [name for name, value in env.items() if value == "ours"] == ["SIZE"]


def test_variables_of_make_that_were_given_to_docs_test_are_not_given_to_the_commands(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree, "README.md", "make size")
    commit(tree)
    monkeypatch.setenv("SIZE", "2")
    assert try_pages() == 0


def test_chimney_is_found_only_below_the_line_of_its_page_that_a_reader_would_copy(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tree, "README.md", f"make list\nchimney above\n{EXPORT}\nchimney below")
    write(tree, "docs/a.md", "chimney below")  # another terminal: that it ran on the page before says nothing
    commit(tree)
    assert try_pages() == 1
    said = [line.partition(" (")[0] for line in capsys.readouterr().out.splitlines()]
    assert "FAIL  README.md:3: chimney above" in said
    assert "ok    README.md:5: chimney below" in said
    assert "FAIL  docs/a.md:2: chimney below" in said
    rows = summary(tree)["commands"]
    assert isinstance(rows, list)
    assert {row["problem"] for row in rows if row["status"] == "failed"} == {"ended with status 127, not 0"}


def test_what_a_page_exports_holds_for_each_command_behind_it_and_on_no_other_page(tree: Path) -> None:
    (tree / "Makefile").write_text(MAKEFILE + 'tells: ; @test "$$WORD" = two\nsilent: ; @test -z "$$WORD"\n')
    write(tree, "docs/a.md", "export WORD=one\nexport WORD=two\nmake tells")
    write(tree, "docs/b.md", "make silent")
    commit(tree)
    assert try_pages() == 0


def test_every_page_says_how_chimney_is_found_before_its_first_command_of_it() -> None:
    commands = [one for page in docs_test.pages(ROOT) for one in docs_test.read_page(page, ROOT)]
    called = [one for one in commands if one.text.startswith("chimney")]
    assert {one.page.name for one in called} >= {"README.md", "tutorial.md"}
    assert [one.where for one in called if EXPORT not in one.exports] == []
