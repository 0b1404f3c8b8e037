"""Monitors of the contract: each watches a section of the rules, over all connections of an adapter.

A monitor is fed every record in order. It reports a *trigger* of a rule when the condition that the rule speaks of has
occurred and the rule could have been broken, and a *violation* when it was. A rule that never triggers in a run
says nothing about that run. A trigger is *at the device* if what led to it was seen there: a frame, a ring entry, the
value of a register, a reading of its tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from tb.monitors.contract.trace import Counters, Enter, Frame, Leave, PassedUp, PortEntry, Record, RegisterValue

_MAX_VIOLATIONS: Final = 100


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that did not hold: where in the trace, and what happened."""

    rule: str
    order: int
    tick: int
    text: str

    def __str__(self) -> str:
        return f"{self.rule} at tick {self.tick} (record {self.order}): {self.text}"


class Monitor:
    """One section. Subclasses list their rules and define `observe`; `finish` is called once at the end of a run."""

    #: Rule or decision id -> what must hold, in one line.
    RULES: ClassVar[Mapping[str, str]] = {}
    #: It looks at ring entries: close to half of all records, and of no meaning at the faces.
    RING_ENTRIES: ClassVar[bool] = False

    def __init__(self) -> None:
        self.triggers: Counter[str] = Counter()
        self.at_device: Counter[str] = Counter()
        #: What is fed now follows from something that the device did.
        self.from_device = False
        self.breaches: list[Breach] = []
        self._now: Record = Record(0, 0)

    def feed(self, record: Record) -> None:
        """Take the next record."""
        self._now = record
        self.observe(record)

    def observe(self, record: Record) -> None:
        """What the section does with a record."""
        raise NotImplementedError(f"{type(self).__name__} must define observe")

    def finish(self) -> None:
        """The run is over: rules that say something must have happened."""

    def trigger(self, rule: str, *, seen: bool = False) -> None:
        """The condition of ``rule`` occurred; ``seen``: the device showed it, whoever asked for it."""
        self._known(rule)
        self.triggers[rule] += 1
        self.at_device[rule] += self.from_device or seen

    def breach(self, rule: str, text: str) -> None:
        """``rule`` does not hold (this counts as a trigger, too)."""
        self.trigger(rule)
        if len(self.breaches) < _MAX_VIOLATIONS:
            self.breaches.append(Breach(rule, self._now.order, self._now.tick, text))

    def check(self, rule: str, holds: bool, text: str) -> None:
        """Trigger ``rule``, and report it broken unless ``holds``."""
        if holds:
            self.trigger(rule)
        else:
            self.breach(rule, text)

    def _known(self, rule: str) -> None:
        if rule not in self.RULES:
            raise KeyError(f"{type(self).__name__} does not watch {rule}: add it to RULES")


class ContractMonitors:
    """All sections together."""

    def __init__(self, sections: Iterable[Callable[[], Monitor]]) -> None:
        self.monitors = [section() for section in sections]
        self._of_entries = [monitor for monitor in self.monitors if monitor.RING_ENTRIES]
        self._depth = 0
        self._from_device = False

    def feed(self, record: Record) -> None:
        """Give the record to every section."""
        self._where_from(record)
        monitors = self._of_entries if isinstance(record, PortEntry) else self.monitors
        for monitor in monitors:
            monitor.from_device = self._from_device or isinstance(record, Counters)
            monitor.feed(record)

    def _where_from(self, record: Record) -> None:
        """Something that the device did or told: what follows comes from it, until the host calls on its own."""
        if isinstance(record, Frame | PassedUp | RegisterValue) or (
            isinstance(record, PortEntry) and not record.submission
        ):
            self._from_device = True
        elif isinstance(record, Enter):
            if self._depth == 0 and record.function.startswith("Miniport"):
                self._from_device = False
            self._depth += 1
        elif isinstance(record, Leave):
            self._depth = max(0, self._depth - 1)

    def finish(self) -> None:
        """The run is over."""
        for monitor in self.monitors:
            monitor.finish()

    @property
    def triggers(self) -> Counter[str]:
        """Triggers of all rules."""
        return sum((monitor.triggers for monitor in self.monitors), Counter())

    @property
    def at_device(self) -> Counter[str]:
        """Those triggers that came of something seen at the device."""
        return sum((monitor.at_device for monitor in self.monitors), Counter())

    @property
    def breaches(self) -> list[Breach]:
        """All that did not hold, in order."""
        return sorted((breach for monitor in self.monitors for breach in monitor.breaches), key=lambda b: b.order)
