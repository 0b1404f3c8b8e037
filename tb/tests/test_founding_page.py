"""docs/founding-pages.md and the tests of its rows are about the same rows; the ways that no scene takes."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from model.ndis.netbuffer import NetBuffer, NetBufferList
from model.ndis.status import CompletionKind
from tb.config import ROOT, RunConfig
from tb.tests.founding.golden import Playing, cases, clean, played
from tb.tests.founding.lies import Told, lies
from tb.tests.founding.page import Judgement, documented
from tb.tests.founding.rows import JUDGEMENTS, seen_by_rows
from tb.tests.stage import SIZE, Stage
from tb.tests.stage.golden import StageRun

LEAST_ROWS = 35
WITH_DRIVERS = Playing(2, 3)


def test_the_rows_that_are_shown_are_those_that_are_asserted_with_the_same_rules_and_names() -> None:
    shown = {(row.name, row.rules, row.test) for row in documented() if row.shown}
    assert shown == {(j.name, j.rules, j.test.__name__) for j in JUDGEMENTS}


def test_every_row_is_shown_and_stands_once_and_there_are_enough_of_them() -> None:
    rows = documented()
    assert len(rows) == len({row.name for row in rows}) == len(JUDGEMENTS) >= LEAST_ROWS
    assert all(row.shown for row in rows)


def test_the_four_files_hold_every_row_once() -> None:
    files = sorted((ROOT / "tb" / "tests").glob("test_founding_*.py"))
    letters = [found for path in files for found in re.findall(r'cases\("(\w+)"\)', path.read_text())]
    assert sorted(letters) == ["DC", "FW", "SC", "TC"]
    assert sum(len(cases(letter)) for letter in letters) == len(JUDGEMENTS)


@cache
def _seen() -> dict[str, list[str]]:
    """What each row saw of the scenes, which are the same for all of them."""
    left = clean(WITH_DRIVERS)
    return seen_by_rows(left.stage, left.tap.result(), WITH_DRIVERS.intermediates)


@pytest.mark.parametrize("judgement", JUDGEMENTS, ids=lambda judgement: judgement.name)
def test_the_condition_of_every_rule_that_a_row_cites_occurred_in_the_scenes_it_looks_at(judgement: Judgement) -> None:
    judgement.test(clean(WITH_DRIVERS).stage.stories)
    assert set(judgement.rules) <= set(_seen()[judgement.title])


@pytest.mark.rule("CH-186")
def test_two_disconnects_that_complete_together_are_two_calls(tmp_path: Path) -> None:
    run = StageRun(RunConfig(device="model", size=SIZE, out=tmp_path), Stage(()))
    calls: list[NetBufferList] = []
    run.driver.adapter.protocol.tcp_offload_disconnect_complete = (  # type: ignore[method-assign]
        lambda binding_context, nbl: calls.append(nbl)
    )
    pair = [NetBufferList([NetBuffer(())]), NetBufferList([NetBuffer(())])]
    for nbl in pair:
        run.driver.up(CompletionKind.DISCONNECT, nbl)
    assert calls == pair
    assert all(nbl.next is None for nbl in pair)


@pytest.mark.parametrize("judgement", JUDGEMENTS, ids=lambda judgement: judgement.name)
def test_no_row_holds_whatever_the_record_says(judgement: Judgement) -> None:
    stories = played(WITH_DRIVERS)
    judgement.test(stories)
    seen_through = []
    for name, lie in lies():
        try:
            judgement.test(Told(lie, stories))
        except (AssertionError, LookupError, StopIteration, TypeError, ValueError):
            seen_through.append(name)
    assert seen_through
