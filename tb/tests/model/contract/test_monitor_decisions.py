"""Section 10: every decision has a trace that breaks it, which its monitor names first, and one that keeps it."""

from __future__ import annotations

from tb.monitors.contract.decisions import MONITORS, NOT_APPLICABLE
from tb.tests.model.contract.decisions_traces import TRACES
from tb.tests.model.contract.section_tests import TalkSection


class TestDecisions(TalkSection):
    monitors = MONITORS
    traces = TRACES
    not_applicable = NOT_APPLICABLE
    section = frozenset(f"G-{number:02}" for number in range(1, 45))


def test_no_decision_is_not_applicable() -> None:
    assert NOT_APPLICABLE == {}
