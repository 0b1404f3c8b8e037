"""Counting of operations, and what a run says about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tb.contract.table import PEER_KINDS, TABLE, Kind, State, legal

#: Times that every allowed pair must have been done over all seeds, and every other one.
ALLOWED_TIMES, REFUSED_TIMES = 20, 1
#: Least share of operations that are allowed.
LEGAL_SHARE = 0.6


@dataclass
class Tally:
    """Operations by kind and state."""

    counts: Counter[tuple[Kind, State]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All operations."""
        return sum(self.counts.values())

    @property
    def legal_share(self) -> float:
        """Share of operations that are allowed."""
        return sum(n for pair, n in self.counts.items() if legal(*pair)) / max(1, self.total)

    def as_dict(self) -> dict[str, dict[str, int]]:
        """{kind: {state: n}}."""
        found: dict[str, dict[str, int]] = {}
        for (kind, state), count in sorted(self.counts.items()):
            found.setdefault(kind.value, {})[state.value] = count
        return found

    @classmethod
    def of(cls, parts: Iterable[Mapping[str, Mapping[str, int]]]) -> Tally:
        """The sum of what `as_dict` gave."""
        tally = cls()
        for part in parts:
            for kind, states in part.items():
                for state, count in states.items():
                    tally.counts[Kind(kind), State(state)] += count
        return tally

    def shortfalls(self) -> list[str]:
        """Pairs that were not done often enough, one line each."""
        found = []
        for (kind, state), cell in TABLE.items():
            need, done = ALLOWED_TIMES if cell.legal else REFUSED_TIMES, self.counts[kind, state]
            if done < need:
                found.append(f"{kind} in state {state}: {done} of {need} ({cell.reason or 'allowed'})")
        if self.legal_share < LEGAL_SHARE:
            found.append(f"{self.legal_share:.0%} of the operations are allowed, {LEGAL_SHARE:.0%} asked for")
        return found


@dataclass
class Findings:
    """What one seed left behind."""

    seed: int
    operations: Tally = field(default_factory=Tally)
    divergences: int = 0
    violations: list[str] = field(default_factory=list)
    nbl_twice: int = 0
    nbl_never: int = 0
    streams_exact: bool = False
    bytes: int = 0
    ticks: int = 0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Nothing went wrong."""
        return self.streams_exact and not (self.violations or self.divergences or self.nbl_twice or self.nbl_never)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "seed": self.seed, "operations": self.operations.as_dict(), "divergences": self.divergences,
            "violations": self.violations, "nbl_twice": self.nbl_twice, "nbl_never": self.nbl_never,
            "streams_exact": self.streams_exact, "bytes": self.bytes, "ticks": self.ticks,
            "legal_share": round(self.operations.legal_share, 4), "seconds": round(self.seconds, 2),
        }  # fmt: skip


__all__ = ["PEER_KINDS", "Findings", "Tally"]
