"""`make docs-test`: what a page shows of a command's output is compared, on every page that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb import docs_test
from tb.config import ConfigError, RunConfig

PAGE = """```sh
chimney planted
```

<!-- real output: chimney planted -->
```
build     0.0 s
FAILED at once
first divergence: cycle {cycle} (95 ns)
  expected 5
  ...
  waves    chimney waves .../calm
```
<!-- real output: end -->
"""
PRINTED = """build     7.5 s
FAILED at once
first divergence: cycle 9 (95 ns)
  expected    5
  waves chimney waves /a/calm
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with two pages about one command, which is not really run."""
    (tmp_path / "docs").mkdir()
    for name in ("ROOT", "OUT"):
        monkeypatch.setattr(docs_test, name, tmp_path)

    def run(_command: docs_test.DocCommand, log: Path) -> tuple[str, float]:
        log.write_text(PRINTED)
        return "", 1.0

    monkeypatch.setattr(docs_test, "run", run)
    return tmp_path


@pytest.mark.parametrize(("first", "second", "failed"), [(9, 9, []), (8, 9, ["a.md:2"]), (9, 8, ["b.md:2"])])
def test_each_page_that_shows_the_output_of_a_command_is_held_to_it(
    tree: Path, first: int, second: int, failed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name, cycle in (("a.md", first), ("b.md", second)):
        (tree / "docs" / name).write_text(PAGE.format(cycle=cycle))
    assert docs_test.main(RunConfig(command="docs-test")) == bool(failed)
    said = capsys.readouterr().out
    places = [line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("FAIL")]
    assert places == [f"docs/{one}" for one in failed]
    assert ("first divergence: cycle 8 (95 ns)" in said) is bool(failed)


def test_a_part_of_no_command_is_refused(tree: Path) -> None:
    (tree / "docs" / "a.md").write_text(PAGE.format(cycle=9))
    with pytest.raises(ConfigError, match="no command of the pages"):
        docs_test.main(RunConfig(command="docs-test", test="no such"))
