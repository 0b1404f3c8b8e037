"""docs/results.md: every key is one of `make bench`, every command one that is taken, the blind spots those marked."""

from __future__ import annotations

import ast
import re
import shlex

import pytest

from tb import bench, listing
from tb.cli import BARE
from tb.commands import COMMANDS
from tb.config import ROOT, ConfigError, RunConfig
from tb.sabotage.manifest import load

PAGE = (ROOT / "docs" / "results.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
KEYS = [row[0].strip("`") for row in ROWS if re.fullmatch(r"`\w+`", row[0])]
MEASURED = [command for command in re.findall(r"`([^`]+)`", PAGE) if re.match(r"(make|chimney) |\.ci/", command)]


def keys_of_bench() -> list[str]:
    """The keys of bench.json, as tb/bench.py writes them down."""
    source = ast.parse((ROOT / "tb" / "bench.py").read_text())
    (numbers,) = [
        node.value for node in ast.walk(source)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "numbers"
    ]  # fmt: skip
    assert isinstance(numbers, ast.Dict)
    return [key.value for key in numbers.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]


def test_the_page_has_the_keys_of_bench_and_their_targets() -> None:
    assert sorted([*KEYS, "config"]) == sorted(keys_of_bench())
    for key, (low, high) in bench.TARGETS.items():
        (target,) = [row[-1] for row in ROWS if row[0] == f"`{key}`"]
        relation, bound = re.findall(r"(>=|<=) ([\d.]+)", target)[0]
        assert (relation, float(bound)) == ((">=", low) if low is not None else ("<=", high)), key


@pytest.mark.parametrize("command", sorted(set(MEASURED)))
def test_every_command_of_the_page_is_one_that_is_understood(command: str) -> None:
    words = shlex.split(command)
    if words[0].startswith(".ci/"):
        assert (ROOT / words[0]).exists()
        return
    name, *settings = words[1:]
    assert name in COMMANDS
    given = dict(word.split("=", 1) for word in settings)
    assert set(given) <= set(COMMANDS[name].names)
    if name not in BARE:
        RunConfig.from_environment(name, given)


def test_a_command_with_a_value_that_is_not_taken_would_be_seen() -> None:
    with pytest.raises(ConfigError):
        RunConfig.from_environment("soak", {"LOSS": "7"})


def test_the_page_says_what_is_marked_blind_and_the_list_shows_the_mark() -> None:
    blind = [entry.id for entry in load() if entry.blind]
    (row,) = [row for row in ROWS if row[0] == "blind spots"]
    assert ("none is marked as one" in row[4]) == (not blind)
    assert [name for name in blind if f"`{name}`" not in row[4]] == []
    assert [one["id"] for one in listing.listing()["sabotages"] if one["blind"]] == blind
