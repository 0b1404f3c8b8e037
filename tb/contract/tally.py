"""Counting of operations, and what a run says about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from model.ndis.netbuffer import NetBufferList
from tb.contract.table import PEER_KINDS, TABLE, Kind, State, legal

#: Times that every allowed pair must have been done over all seeds, and every other one.
ALLOWED_TIMES, REFUSED_TIMES = 20, 1
#: Least share of operations that are allowed.
LEGAL_SHARE = 0.6
_PEER_PAIRS = [(kind, state) for kind in sorted(PEER_KINDS) for state in State]


@dataclass
class Tally:
    """Operations by kind and state."""

    counts: Counter[tuple[Kind, State]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All operations: calls and answers of the host. What the peer does is none."""
        return sum(self.counts.values()) - sum(self.counts[pair] for pair in _PEER_PAIRS if pair in self.counts)

    @property
    def legal_share(self) -> float:
        """Share of operations that are allowed."""
        allowed = sum(n for pair, n in self.counts.items() if pair[0] not in PEER_KINDS and legal(*pair))
        return allowed / max(1, self.total)

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
class Shapes:
    """How large and how cut the lists were that the host issued."""

    #: Lists by the bits of their size in bytes: 0 for an empty one, 21 for 1 MiB.
    sizes: Counter[int] = field(default_factory=Counter)
    #: Calls by the bits of the number of their lists, NET_BUFFERs by the bits of the number of their MDLs.
    chains: Counter[int] = field(default_factory=Counter)
    mdls: Counter[int] = field(default_factory=Counter)
    largest: int = 0
    longest: int = 0
    most_mdls: int = 0

    def issued(self, lists: Sequence[NetBufferList]) -> None:
        """A call with these lists."""
        self.chains[len(lists).bit_length()] += 1
        self.longest = max(self.longest, len(lists))
        for one in lists:
            self.sizes[one.data_length.bit_length()] += 1
            self.largest = max(self.largest, one.data_length)
            for buffer in one.net_buffers:
                self.mdls[len(buffer.mdl_chain).bit_length()] += 1
                self.most_mdls = max(self.most_mdls, len(buffer.mdl_chain))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "size_bits": {str(bits): self.sizes[bits] for bits in sorted(self.sizes)},
            "chain_bits": {str(bits): self.chains[bits] for bits in sorted(self.chains)},
            "mdl_bits": {str(bits): self.mdls[bits] for bits in sorted(self.mdls)},
            "largest": self.largest, "longest_chain": self.longest, "most_mdls": self.most_mdls,
        }  # fmt: skip

    @classmethod
    def of(cls, parts: Iterable[Mapping[str, Any]]) -> Shapes:
        """The sum of what `as_dict` gave."""
        total = cls()
        for part in parts:
            for counter, name in ((total.sizes, "size"), (total.chains, "chain"), (total.mdls, "mdl")):
                counter.update({int(bits): count for bits, count in part[f"{name}_bits"].items()})
            total.largest = max(total.largest, part["largest"])
            total.longest = max(total.longest, part["longest_chain"])
            total.most_mdls = max(total.most_mdls, part["most_mdls"])
        return total


@dataclass
class Findings:
    """What one seed left behind."""

    seed: int
    asked: int = 0
    """Operations asked for; what was done beyond them made up for what was missing in the table."""
    operations: Tally = field(default_factory=Tally)
    shapes: Shapes = field(default_factory=Shapes)
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
            "seed": self.seed, "asked": self.asked, "overtime": max(0, self.operations.total - self.asked),
            "operations": self.operations.as_dict(), "shapes": self.shapes.as_dict(),
            "divergences": self.divergences,
            "violations": self.violations, "nbl_twice": self.nbl_twice, "nbl_never": self.nbl_never,
            "streams_exact": self.streams_exact, "bytes": self.bytes, "ticks": self.ticks,
            "legal_share": round(self.operations.legal_share, 4), "seconds": round(self.seconds, 2),
        }  # fmt: skip


__all__ = ["PEER_KINDS", "Findings", "Shapes", "Tally"]
