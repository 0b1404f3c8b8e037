"""Section 10: every decision has a trace that breaks it, which its monitor names first, and one that keeps it."""

from __future__ import annotations

import pytest

from tb.monitors.contract.decisions import MONITORS, NOT_APPLICABLE
from tb.tests.model.contract.decisions_traces import RULES, TRACES, judges
from tb.tests.model.contract.terminate_traces import Story, first_breach, survives_cuts


@pytest.mark.parametrize("rule", RULES)
def test_a_violating_trace_makes_the_monitor_of_its_decision_fire_first(rule: str) -> None:
    fired = [m for m in judges(lambda story: TRACES[rule](story, True)) if isinstance(m, RULES[rule])]
    assert first_breach(fired[0]) == rule


@pytest.mark.parametrize("rule", RULES)
def test_a_conforming_trace_triggers_its_decision_and_breaks_none(rule: str) -> None:
    monitors = judges(lambda story: TRACES[rule](story, False))
    assert [str(breach) for monitor in monitors for breach in monitor.breaches] == []
    assert sum(monitor.triggers[rule] for monitor in monitors) > 0


@pytest.mark.parametrize("rule", RULES)
def test_no_record_is_missed_so_much_that_a_monitor_stumbles(rule: str) -> None:
    for broken in (False, True):
        story = Story()
        TRACES[rule](story, broken)
        assert all(survives_cuts(monitor, story) for monitor in MONITORS)


def test_every_decision_has_its_traces_and_none_is_not_applicable() -> None:
    assert set(TRACES) == set(RULES) == {f"G-{n:02}" for n in range(1, 45)}
    assert NOT_APPLICABLE == {}
