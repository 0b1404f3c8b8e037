"""What is asked of the monitors of every section, for each of the four languages in which traces are told.

A test module has the traces of its section and derives from the class of its language:

    class TestForward(FaceSection):
        tales = TALES
        rules = RULES
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import pytest

from tb.monitors.contract.monitor import ContractMonitors, Monitor
from tb.monitors.contract.trace import Record
from tb.tests.model.contract import face_traces, offload_traces, receive_traces, terminate_traces

Told = TypeVar("Told", bound=Callable[..., None])


class ByRule(dict[str, Told]):
    """A function for each rule: it keeps the rule, or breaks it if its last argument is True."""

    def of(self, rule: str) -> Callable[[Told], Told]:
        """The decorated function is for this rule."""
        assert rule not in self

        def add(function: Told) -> Told:
            self[rule] = function
            return function

        return add


def _label(value: object) -> str:
    if isinstance(value, tuple):
        return "-".join(_label(part) for part in value)
    return str(getattr(value, "__name__", value))


class Section:
    """An argument of a test takes all values that ``values`` has for it."""

    def values(self) -> Mapping[str, Collection[Any]]:
        """Values by name of the argument."""
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Hook of pytest."""
        for name, values in self.values().items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, sorted(values) if name == "rule" else values, ids=_label)


class OffloadSection(Section):
    """A monitor judged by the stories of offload_traces."""

    monitor: ClassVar[type[Monitor]]
    stories: ClassVar[Mapping[str, offload_traces.Story]]
    #: Further stories that break a rule, and those that look as if they did.
    also_broken: ClassVar[Sequence[tuple[str, Callable[[offload_traces.Trace], None]]]]
    kept: ClassVar[Sequence[Callable[[offload_traces.Trace], None]]]
    not_applicable: ClassVar[Mapping[str, str]]
    #: CH rules of the section.
    numbers: ClassVar[range]

    def values(self) -> Mapping[str, Collection[Any]]:
        return {"rule": self.monitor.RULES, "breaking": self.also_broken, "trace": self.kept}

    def _watched(self, records: list[Record]) -> ContractMonitors:
        return offload_traces.watched([self.monitor], records)

    def test_a_violating_trace_makes_the_monitor_of_its_rule_fire_first(self, rule: str) -> None:
        records = offload_traces.told(self.stories[rule], True)
        assert offload_traces.first_rule(self._watched(records).breaches) == rule

    def test_a_conforming_trace_triggers_its_rule_and_breaks_none(self, rule: str) -> None:
        monitors = self._watched(offload_traces.told(self.stories[rule], False))

        assert monitors.breaches == []
        assert monitors.triggers[rule] > 0

    def test_a_further_way_to_break_a_rule_is_found(
        self, breaking: tuple[str, Callable[[offload_traces.Trace], None]]
    ) -> None:
        rule, trace = breaking
        records = offload_traces.told(lambda t, _: trace(t), True)
        assert offload_traces.first_rule(self._watched(records).breaches) == rule

    def test_what_looks_like_a_violation_and_is_none_raises_no_alarm(
        self, trace: Callable[[offload_traces.Trace], None]
    ) -> None:
        assert self._watched(offload_traces.told(lambda t, _: trace(t), False)).breaches == []

    @pytest.mark.parametrize("setting", [offload_traces.on_two_adapters, offload_traces.through_a_driver])
    def test_a_rule_is_judged_alike_on_two_adapters_and_below_a_driver(
        self, rule: str, setting: Callable[[list[Record]], list[Record]]
    ) -> None:
        broken = self._watched(setting(offload_traces.told(self.stories[rule], True)))
        kept = self._watched(setting(offload_traces.told(self.stories[rule], False)))

        assert offload_traces.first_rule(broken.breaches) == rule
        assert kept.breaches == []
        assert kept.triggers[rule] > 0

    @pytest.mark.parametrize("broken", [False, True])
    def test_no_trace_however_damaged_makes_a_monitor_stumble(self, rule: str, broken: bool) -> None:
        traces = offload_traces.damaged(offload_traces.told(self.stories[rule], broken))
        assert traces
        assert all(set(self._watched(records).triggers) <= set(self.monitor.RULES) for records in traces)

    def test_every_rule_of_the_section_has_traces_or_a_reason_why_not(self) -> None:
        rules = set(self.monitor.RULES)
        assert {f"CH-{number:03}" for number in self.numbers} == rules | self.not_applicable.keys()
        assert self.stories.keys() == rules


class FaceSection(Section):
    """Monitors judged by the tales of face_traces."""

    rules: ClassVar[Sequence[str]]
    tales: ClassVar[face_traces.Tales]

    def values(self) -> Mapping[str, Collection[Any]]:
        return {"rule": self.rules}

    def test_a_violating_trace_makes_the_monitor_of_its_rule_fire_first(self, rule: str) -> None:
        for tale in self.tales.broken[rule]:
            assert face_traces.broken_first(rule, tale) == rule

    def test_a_conforming_trace_triggers_the_rule_and_all_monitors_are_silent(self, rule: str) -> None:
        for tale in self.tales.kept[rule]:
            assert face_traces.silent(tale)[rule] > 0

    def test_every_rule_has_traces_of_both_kinds(self) -> None:
        assert sorted(self.tales.broken) == sorted(self.tales.kept) == sorted(self.rules)


class ReceiveSection(Section):
    """Monitors judged by the tales of receive_traces; ``others`` are named by what happens in them."""

    monitors: ClassVar[Sequence[type[Monitor]]]
    tales: ClassVar[receive_traces.Tales]
    others: ClassVar[receive_traces.Tales]
    not_applicable: ClassVar[Mapping[str, str]] = {}
    #: CH rules of the section.
    numbers: ClassVar[range]

    def values(self) -> Mapping[str, Collection[Any]]:
        return {"rule": self._rules(), "harmless": list(self.others.keeping), "wrong": list(self.others.breaking)}

    def _rules(self) -> list[str]:
        return sorted(rule for monitor in self.monitors for rule in monitor.RULES)

    def _watch(self, tell: receive_traces.Teller) -> list[Monitor]:
        return receive_traces.watch(receive_traces.told(tell), self.monitors)

    def test_every_rule_of_the_section_has_a_breaking_and_a_keeping_trace_or_is_not_applicable(self) -> None:
        section = sorted(f"CH-{number}" for number in self.numbers)
        assert sorted([*self._rules(), *self.not_applicable]) == section
        assert sorted(self.tales.breaking) == sorted(self.tales.keeping) == self._rules()

    def test_a_violating_trace_makes_the_monitor_of_its_rule_fire_first(self, rule: str) -> None:
        found = receive_traces.breaches(self._watch(self.tales.breaking[rule]))
        assert [one.rule for one in found][:1] == [rule], found

    def test_a_conforming_trace_triggers_its_rule_and_no_monitor_fires(self, rule: str) -> None:
        monitors = self._watch(self.tales.keeping[rule])
        assert receive_traces.breaches(monitors) == []
        assert sum(monitor.triggers[rule] for monitor in monitors) > 0

    def test_no_monitor_fires_when(self, harmless: str) -> None:
        assert receive_traces.breaches(self._watch(self.others.keeping[harmless])) == []

    def test_a_monitor_fires_when(self, wrong: str) -> None:
        assert receive_traces.breaches(self._watch(self.others.breaking[wrong]))


class TalkSection(Section):
    """Monitors judged by the traces of terminate_traces."""

    monitors: ClassVar[Sequence[type[Monitor]]]
    traces: ClassVar[Mapping[str, Callable[[terminate_traces.Story, bool], None]]]
    not_applicable: ClassVar[Mapping[str, str]]
    #: Rules or decisions of the section.
    section: ClassVar[Collection[str]]

    def values(self) -> Mapping[str, Collection[Any]]:
        return {"rule": self._rules()}

    def _rules(self) -> dict[str, type[Monitor]]:
        return {rule: monitor for monitor in self.monitors for rule in monitor.RULES}

    def _story(self, rule: str, broken: bool) -> terminate_traces.Story:
        story = terminate_traces.Story()
        self.traces[rule](story, broken)
        return story

    def test_a_violating_trace_makes_the_monitor_of_its_rule_fire_first(self, rule: str) -> None:
        monitor = terminate_traces.run(self._rules()[rule](), self._story(rule, True))
        assert terminate_traces.first_breach(monitor) == rule

    def test_a_conforming_trace_triggers_its_rule_and_breaks_none(self, rule: str) -> None:
        story = self._story(rule, False)
        monitors = [terminate_traces.run(monitor(), story) for monitor in self.monitors]
        assert [str(breach) for monitor in monitors for breach in monitor.breaches] == []
        assert sum(monitor.triggers[rule] for monitor in monitors) > 0

    def test_no_record_is_missed_so_much_that_a_monitor_stumbles(self, rule: str) -> None:
        for broken in (False, True):
            story = self._story(rule, broken)
            assert all(terminate_traces.survives_cuts(monitor, story) for monitor in self.monitors)

    def test_every_rule_of_the_section_has_its_traces_or_is_not_applicable(self) -> None:
        assert set(self.traces) == set(self._rules())
        assert set(self.traces) | set(self.not_applicable) == set(self.section)
