"""Every rule and every decision of the contract is watched once, or said to be out of the simulation's reach."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from tb.contract.duties import duties
from tb.monitors.contract import host_misuse
from tb.monitors.contract.everything import MODULES, NOT_APPLICABLE, SECTIONS, all_monitors
from tb.monitors.contract.monitor import ContractMonitors, Monitor
from tb.monitors.contract.trace import Setting
from tb.tests.model.contract import decisions_traces, test_monitor_intermediate, test_monitor_terminate
from tb.tests.model.contract.terminate_traces import Story

CHIMNEY_RULES: Final = frozenset(f"CH-{number:03}" for number in range(1, 260))
DECISIONS: Final = frozenset(f"G-{number:02}" for number in range(1, 45))
MAX_NOT_APPLICABLE: Final = 24
CONFORMING: Final = decisions_traces.TRACES | test_monitor_intermediate.TRACES | test_monitor_terminate.TRACES
"""Stories that keep every rule."""
WATCHED: Final = Counter(rule for section in SECTIONS for rule in section.RULES)


def test_every_rule_and_decision_is_watched_by_one_section_or_not_applicable() -> None:
    placed = WATCHED + Counter(list(NOT_APPLICABLE))
    assert sorted((CHIMNEY_RULES | DECISIONS) - set(placed)) == []
    assert sorted(rule for rule, times in placed.items() if times != 1) == []


def test_no_monitor_watches_a_rule_that_the_contract_does_not_have() -> None:
    assert sorted(set(WATCHED) - CHIMNEY_RULES - DECISIONS - set(host_misuse.SECTIONS)) == []
    assert sorted(set(NOT_APPLICABLE) - CHIMNEY_RULES) == []


def test_few_rules_and_no_decision_are_not_applicable_and_each_names_what_is_missing() -> None:
    missing = {duty.id: duty.missing for duty in duties() if duty.missing}
    assert len(missing) <= MAX_NOT_APPLICABLE
    assert sorted(set(missing) & DECISIONS) == []
    assert [rule for rule, reason in missing.items() if len(reason.split()) < 4] == []
    assert missing | NOT_APPLICABLE == missing


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_a_section_says_what_each_rule_demands_in_a_line_of_its_own(section: type[Monitor]) -> None:
    lines = list(section.RULES.values())
    assert all(10 <= len(line) <= 120 and "\n" not in line for line in lines)
    assert len(set(lines)) == len(lines)


def test_all_sections_together_watch_a_run_from_its_first_record() -> None:
    monitors = all_monitors()
    monitors.feed(Setting(0, 0, name="interface_mac", value=bytes(6)))
    monitors.finish()
    assert len(monitors.monitors) == len(SECTIONS) >= len(MODULES)
    assert monitors.breaches == []


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("rule", CONFORMING)
def test_monitors_that_share_their_books_find_what_each_of_them_finds_alone(rule: str, broken: bool) -> None:
    story = Story()
    CONFORMING[rule](story, broken)
    together, *alone = (ContractMonitors(sections) for sections in (SECTIONS, *([one] for one in SECTIONS)))
    for monitors in (together, *alone):
        for record in story.records:
            monitors.feed(record)
        monitors.finish()
    shared = [(one.triggers, +one.at_device, one.breaches) for one in together.monitors]
    assert shared == [(one.triggers, +one.at_device, one.breaches) for apart in alone for one in apart.monitors]


@pytest.mark.parametrize("rule", CONFORMING)
def test_a_trace_that_keeps_the_contract_breaks_no_rule_of_any_section(rule: str) -> None:
    story = Story()
    CONFORMING[rule](story, False)
    monitors = all_monitors()
    for record in story.records:
        monitors.feed(record)
    monitors.finish()
    assert [str(breach) for breach in monitors.breaches] == []
