"""Functional coverage: the samples of all runs against the space."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tb.coverage.exclusions import Row, judge
from tb.coverage.samples import Samples
from tb.coverage.space import Bin, Group

#: Least share of the bins that must be hit, and the largest that may be excluded.
WANTED, MOST_EXCLUDED = 1.0, 0.03
#: The largest share that a device without traffic may hit.
NULL_SHARE = 0.02


@dataclass(frozen=True)
class First:
    """The run that hit a bin first, in the order of test names and seeds."""

    test: str
    seed: int


@dataclass(frozen=True)
class Functional:
    """The bins of the space: impossible, excluded, hit, or a hole. ``problems``: why the figures cannot be trusted."""

    groups: Mapping[str, Group]
    first: Mapping[Bin, First]
    taken: Mapping[Bin, Row]
    problems: tuple[str, ...] = ()
    runs: int = 0
    stale: int = 0
    names: tuple[str, ...] = field(default=())

    def bins(self, group: str | None = None) -> list[Bin]:
        """The possible bins."""
        chosen = [self.groups[group]] if group else list(self.groups.values())
        return [one for g in chosen for one in g.bins if (r := self.taken.get(one)) is None or r.kind != "impossible"]

    def figures(self, group: str | None = None) -> dict[str, int]:
        """hit, total (of the possible bins, the excluded ones among them), excluded, impossible."""
        bins = self.bins(group)
        chosen = [self.groups[group]] if group else list(self.groups.values())
        return {
            "hit": sum(one in self.first for one in bins),
            "total": len(bins),
            "excluded": sum(one in self.taken for one in bins),
            "impossible": sum(len(g.bins) for g in chosen) - len(bins),
        }

    @property
    def share(self) -> float:
        """Hit of what has to be hit."""
        figures = self.figures()
        return figures["hit"] / max(1, figures["total"] - figures["excluded"])

    def holes(self, group: str) -> list[Bin]:
        """Bins that must be hit and were not."""
        return [one for one in self.bins(group) if one not in self.first and one not in self.taken]

    def rows(self) -> list[dict[str, Any]]:
        """Every possible bin as summary.json has it."""
        return [self._shown(one) for one in self.bins()]

    def impossible(self) -> list[dict[str, Any]]:
        """What was taken out of the products as impossible: by row of the exclusions, how many bins and why."""
        rows = {row.number: row for row in self.taken.values() if row.kind == "impossible"}
        counts = Counter(row.number for row in self.taken.values() if row.kind == "impossible")
        return [
            {"group": rows[number].group, "bins": counts[number], "reason": rows[number].reason}
            for number in sorted(counts)
        ]

    def _shown(self, one: Bin) -> dict[str, Any]:
        first, row = self.first.get(one), self.taken.get(one)
        return {
            "group": one.group, "name": one.name, "hit": first is not None,
            "first_hit_by": first.test if first else None, "seed": first.seed if first else None,
            "excluded": row is not None, "reason": row.reason if row else None,
        }  # fmt: skip


def merge(
    groups: Mapping[str, Group], rows: Iterable[Row], samples: Iterable[Samples], design: Callable[[str], str]
) -> Functional:
    """All samples of this design together; those of another are counted and left out. ``design``: its hash by top."""
    known = {(one.group, one.name): one for group in groups.values() for one in group.bins}
    first: dict[Bin, First] = {}
    strange: dict[str, str] = {}
    runs = stale = 0
    for run in sorted(samples, key=lambda s: (s.test, s.seed)):
        if run.design != design(run.top) or not run.design:
            stale += 1
            continue
        runs += 1
        for group, names in run.hits.items():
            for name in names:
                one = known.get((group, name))
                if one is None:
                    strange.setdefault(f"{group} `{name}`", run.test)
                else:
                    first.setdefault(one, First(run.test, run.seed))
    judged = judge(groups, rows, {one: run.test for one, run in first.items()})
    problems = [*judged.problems, *(f"{test} hit {what}, which is not in the space" for what, test in strange.items())]
    return Functional(groups, first, judged.by_bin, tuple(problems), runs, stale)
