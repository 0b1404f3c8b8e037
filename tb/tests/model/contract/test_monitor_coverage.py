"""Every rule and every decision of the contract is watched once, or said to be out of the simulation's reach."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Final

import pytest

from tb.contract.duties import duties
from tb.monitors.contract import host_misuse
from tb.monitors.contract.everything import MODULES, NOT_APPLICABLE, SECTIONS, all_monitors
from tb.monitors.contract.monitor import ContractMonitors, Monitor
from tb.monitors.contract.trace import Enter, Frame, Leave, Record, Setting
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


class _Calls(Monitor):
    """Notes of each call whether what it does comes from the device."""

    RULES: ClassVar[dict[str, str]] = {"CH-001": "any"}

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, bool]] = []

    def observe(self, record: Record) -> None:
        if isinstance(record, Enter | Leave):
            self.seen.append((f"{type(record).__name__} {record.function}", self.desk.from_device))


def test_what_the_host_calls_is_not_the_devices_doing_even_inside_a_call_of_the_device() -> None:
    send, done = "MiniportTcpOffloadSend", "NdisTcpOffloadReceiveComplete"
    monitors = ContractMonitors([_Calls])
    for record in (
        Enter(0, 0, call=1, function=send),
        Leave(1, 0, call=1, function=send),
        Frame(2, 0),
        Enter(3, 0, call=2, function=done),
        Enter(4, 0, call=3, function=send),
        Leave(5, 0, call=3, function=send),
        Leave(6, 0, call=2, function=done),
        Enter(7, 1, call=4, function=send),
        Leave(8, 1, call=4, function=send),
        Enter(9, 2, call=5, function=done),
    ):
        monitors.feed(record)
    (calls,) = monitors.monitors
    assert isinstance(calls, _Calls)
    assert calls.seen == [
        (f"Enter {send}", False),
        (f"Leave {send}", False),
        (f"Enter {done}", True),
        (f"Enter {send}", False),
        (f"Leave {send}", False),
        (f"Leave {done}", True),
        (f"Enter {send}", False),
        (f"Leave {send}", False),
        (f"Enter {done}", False),
    ]


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
