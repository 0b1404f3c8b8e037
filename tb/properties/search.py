"""The search for a scenario that breaks a property, and for the smallest one: hypothesis around any way to play it.

``judge`` plays a trace and says what is wrong with it, on the golden device or in a simulation that goes on. Each trace
is played once; the same seed draws the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from unittest import mock

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import engine
from hypothesis.reporting import with_reporter

from tb.properties.scenario import Scenario, script
from tb.properties.strategies import scenarios
from tb.script.events import Script
from tb.script.text import text


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a scenario, and how many of its events that depends on."""

    problems: list[str]
    events: int


Judge = Callable[[Script], Verdict]


class BrokenError(Exception):
    """A property does not hold for the scenario that is played."""


@dataclass(frozen=True)
class Found:
    """The smallest scenario that breaks a property, and what is wrong with it."""

    script: Script
    problems: list[str]


@dataclass
class Search:
    """One search. ``examples``: scenarios that are drawn; ``shrinks``: played at most to find a smaller one."""

    judge: Judge
    examples: int
    seed: int = 1
    shrinks: int = 150
    strategy: st.SearchStrategy[Scenario] | None = None
    #: Scenarios that were played, and those of them behind the first failure.
    played: int = 0
    shrunk: int = 0
    _known: dict[str, list[str]] = field(default_factory=dict)
    #: What scenarios begin with that failed before anything behind it happened.
    _broken: list[tuple[Script, list[str]]] = field(default_factory=list)

    def run(self) -> Found | None:
        """Draw, and shrink what fails; None if all properties held."""
        failed: list[Found] = []

        @seed(self.seed)
        @settings(
            max_examples=self.examples,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
            report_multiple_bugs=False,
            print_blob=False,
        )
        @given(scenarios() if self.strategy is None else self.strategy)
        def holds(scenario: Scenario) -> None:
            trace = script(scenario)
            if problems := self._problems(trace, bool(failed)):
                failed.append(Found(trace, problems))
                raise BrokenError

        # plays bound the search, not the clock: a slow machine finds what a fast one does
        unhurried = mock.patch.object(engine, "MAX_SHRINKING_SECONDS", float("inf"))
        with unhurried, with_reporter(lambda _: None):
            try:
                holds()
            except BrokenError:
                return failed[-1]
        return None

    def _problems(self, trace: Script, shrinking: bool) -> list[str]:
        """What is wrong with a scenario; of one that was played, or begins as one that failed, it is known."""
        name = text(trace)
        if name not in self._known:
            for start, problems in self._broken:
                if trace.handover == start.handover and trace.events[: len(start.events)] == start.events:
                    return problems
            if self.shrunk >= self.shrinks:
                return []  # no smaller one is looked for any more
            self.played += 1
            self.shrunk += shrinking
            verdict = self.judge(trace)
            self._known[name] = verdict.problems
            if verdict.problems:
                start = replace(trace, events=trace.events[: verdict.events])
                self._broken.append((start, verdict.problems))
        return self._known[name]
