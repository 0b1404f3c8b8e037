"""What the contract monitors must report of misuse, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tb.monitors.contract.monitor import Breach, ContractMonitors
from tb.session.contract_tap import ContractTap

#: Records behind an answer within which the monitors judge it.
AT_ONCE = 4
#: Records behind a call that was queued within which it is made.
SOON = 4000


@dataclass(eq=False)
class Expectation:
    """Rules that the records from ``first`` to ``last`` must be found to break."""

    rules: frozenset[str]
    why: str
    first: int
    last: int
    seen: set[str] = field(default_factory=set)


class Expectations:
    """Takes breaches that were provoked out of the monitors, and tells which were not reported."""

    def __init__(self) -> None:
        self.tap: ContractTap | None = None
        self.missing: list[str] = []
        self._open: list[Expectation] = []

    @property
    def _now(self) -> int:
        return 0 if self.tap is None else self.tap.records

    @contextmanager
    def at(self, rules: frozenset[str], why: str) -> Iterator[None]:
        """The call that is made inside breaks these rules."""
        expectation = Expectation(rules, why, self._now, self._now)
        yield
        expectation.last = self._now
        self._open.append(expectation)
        self.settle()

    @contextmanager
    def soon(self, rules: frozenset[str], why: str) -> Iterator[None]:
        """The call that is issued inside breaks these rules when it is made."""
        expectation = Expectation(rules, why, self._now, self._now + SOON)
        self._open.append(expectation)
        yield

    def here(self, rules: frozenset[str], why: str) -> None:
        """What is answered now breaks these rules."""
        self._open.append(Expectation(rules, why, self._now, self._now + AT_ONCE))

    def settle(self, finished: bool = False) -> None:
        """Take out what was provoked; note what should have been reported by now."""
        if self.tap is None:
            return
        self._take(self.tap.monitors)
        for expectation in list(self._open):
            if finished or self._now > expectation.last + AT_ONCE or expectation.seen == expectation.rules:
                self._open.remove(expectation)
                left = expectation.rules - expectation.seen
                if left:
                    self.missing.append(f"{expectation.why}: {', '.join(sorted(left))} not reported")

    def _take(self, monitors: ContractMonitors) -> None:
        for monitor in monitors.monitors:
            if monitor.breaches:
                monitor.breaches[:] = [breach for breach in monitor.breaches if not self._provoked(breach)]

    def _provoked(self, breach: Breach) -> bool:
        fitting = [e for e in self._open if breach.rule in e.rules and e.first <= breach.order <= e.last]
        for expectation in sorted(fitting, key=lambda e: breach.rule in e.seen):  # one that waits for it, if there is
            expectation.seen.add(breach.rule)
            return True
        return False
