"""Monitors of the contract: each watches a section of the rules, over all connections of an adapter.

A monitor is fed every record in order. It reports a *trigger* of a rule when the condition that the rule speaks of has
occurred and the rule could have been broken, and a *violation* when it was. A rule that never triggers in a run
says nothing about that run. A trigger is *at the device* if the record that led to it was the device's doing, see
`tb.monitors.contract.causes`.

Monitors that read the same books sit at one `Desk`, which keeps them once; a monitor that is fed alone has a desk of
its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from tb.monitors.contract.causes import Causes
from tb.monitors.contract.trace import PortEntry, Record

_MAX_VIOLATIONS: Final = 100

Hook = Callable[..., None]
"""A method of a monitor that its desk calls when something happens; its parameters are those of the method."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that did not hold: where in the trace, and what happened."""

    rule: str
    order: int
    tick: int
    text: str

    def __str__(self) -> str:
        return f"{self.rule} at tick {self.tick} (record {self.order}): {self.text}"


class Origin(NamedTuple):
    """Where something comes from: from the device or not, and the chapter of the run in which it was set going."""

    of_device: bool = False
    chapter: str = ""


class Desk:
    """Several monitors, each of which observes every record. Subclasses keep books that all of them read."""

    def __init__(self) -> None:
        self.record = Record(0, 0)
        """What is looked at now."""
        self.origin = Origin()
        """Where it comes from; of what was expected since then, where that comes from."""
        self._observers: tuple[Callable[[Record], None], ...] = ()

    def join(self, monitor: Monitor) -> None:
        """A monitor looks at every record from now on, behind those that do already."""
        self._observers = (*self._observers, monitor.observe)

    def take(self, record: Record) -> None:
        """Show a record to the monitors, then note it."""
        for observe in self._observers:
            observe(record)


class Monitor:
    """One section. Subclasses list their rules and define `observe`; `finish` is called once at the end of a run."""

    #: Rule or decision id -> what must hold, in one line.
    RULES: ClassVar[Mapping[str, str]] = {}
    #: It looks at ring entries: close to half of all records, and of no meaning at the faces.
    RING_ENTRIES: ClassVar[bool] = False
    #: Where monitors sit that share its books.
    DESK: ClassVar[type[Desk]] = Desk

    def __init__(self) -> None:
        self.triggers: Counter[str] = Counter()
        self.at_device: Counter[str] = Counter()
        self.chapters: Counter[tuple[str, bool, str]] = Counter()
        """Triggers by chapter, at the device or not, and rule."""
        self.breaches: list[Breach] = []
        self.desk = self.DESK()
        self.desk.join(self)

    def sit_at(self, desk: Desk) -> None:
        """Share the books of a desk; only before the first record."""
        self.desk = desk
        desk.join(self)

    @property
    def _now(self) -> Record:
        return self.desk.record

    def feed(self, record: Record) -> None:
        """Take the next record, alone."""
        self.desk.record = record
        self.desk.take(record)

    def observe(self, record: Record) -> None:
        """What the section does with a record."""
        raise NotImplementedError(f"{type(self).__name__} must define observe")

    def finish(self) -> None:
        """The run is over: rules that say something must have happened."""

    def trigger(self, rule: str, *, seen: bool = False) -> None:
        """The condition of ``rule`` occurred; ``seen``: the device showed it, whoever asked for it."""
        if rule not in self.RULES:
            raise KeyError(f"{type(self).__name__} does not watch {rule}: add it to RULES")
        self.triggers[rule] += 1
        of_device, chapter = self.desk.origin
        at_device = of_device or seen
        if at_device:
            self.at_device[rule] += 1
        if chapter:
            self.chapters[chapter, at_device, rule] += 1

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


def hooks_of(monitor: Monitor) -> dict[str, Hook]:
    """What a monitor defines of the public methods that the class which names its desk leaves empty."""
    kind = type(monitor)
    base = next(one for one in kind.__mro__ if "DESK" in vars(one))
    names = (name for name, item in vars(base).items() if callable(item) and not hasattr(Monitor, name))
    return {
        name: getattr(monitor, name)
        for name in names
        if not name.startswith("_") and getattr(kind, name) is not vars(base)[name]
    }


class ContractMonitors:
    """All sections together: those of one kind at one desk."""

    def __init__(self, sections: Iterable[Callable[[], Monitor]]) -> None:
        self.monitors = [section() for section in sections]
        desks: dict[tuple[type[Desk], bool], Desk] = {}
        for monitor in self.monitors:
            key = (monitor.DESK, monitor.RING_ENTRIES)
            if key not in desks:
                desks[key] = monitor.DESK()
            monitor.sit_at(desks[key])
        self._desks = tuple(desks.values())
        self._of_entries = tuple(desk for (_, entries), desk in desks.items() if entries)
        self._causes = Causes()
        self.chapter = ""
        """Of the run, from now on: which of several tests that share it is played."""

    def feed(self, record: Record) -> None:
        """Give the record to every section."""
        origin = Origin(self._causes.of(record), self.chapter)
        for desk in self._of_entries if isinstance(record, PortEntry) else self._desks:
            desk.record, desk.origin = record, origin
            desk.take(record)

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
    def chapters(self) -> dict[str, tuple[Counter[str], Counter[str]]]:
        """Of each chapter, triggers and those of them that were seen at the device."""
        found: dict[str, tuple[Counter[str], Counter[str]]] = {}
        for monitor in self.monitors:
            for (chapter, at_device, rule), count in monitor.chapters.items():
                triggers, seen = found.setdefault(chapter, (Counter(), Counter()))
                triggers[rule] += count
                if at_device:
                    seen[rule] += count
        return found

    @property
    def breaches(self) -> list[Breach]:
        """All that did not hold, in order."""
        return sorted((breach for monitor in self.monitors for breach in monitor.breaches), key=lambda b: b.order)
