"""Section 9.10, neighbor reachability (CH-225..229).

NRT and HRT of a neighbor are kept as two ticks each: the target's value lies between them. A confirmation that came in
less than `LATE` ticks ago may or may not have been seen by the target, and one that came in less than that before its
connection was stopped may have gone to the host.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Final
from weakref import WeakKeyDictionary

from tb.monitors.contract.acceptance import Answer
from tb.monitors.contract.ndis_numbers import UPDATED
from tb.monitors.contract.receive_books import SUCCESS, Connection, Shared, is_mandatory, number, octets
from tb.monitors.contract.receive_segments import ACK, RST, SYN, URG, Segment, unwrap
from tb.monitors.contract.receive_watch import LATE, RACE, BookedMonitor
from tb.monitors.contract.trace import Enter, Leave, Node, State, Tree, Value

_QUERY: Final = 2
_NEIGHBOR_STATE: Final = 4
_KEPT: Final = 1024
"""Confirmations that are remembered."""
_QUERY_CALL: Final = "NdisMOffloadEventIndicate"


@dataclass(slots=True)
class _Reach:
    """NRT and HRT of a neighbor, each (not before, not after), and where HRT came from."""

    nrt: tuple[int, int]
    hrt: tuple[int, int]
    hrt_rule: str = "CH-226"
    confirmed: bool = False
    """Forward progress was confirmed in this offload."""
    times: deque[tuple[int, Connection, Shared]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """Confirmations: their ticks, connections and paths."""
    due: int | None = None
    """Tick of a frame that a query must accompany."""
    asked: int = -1
    """Tick of the last query."""


class Reachability(BookedMonitor):
    """Neighbor unreachability detection as the host sees it."""

    RULES: ClassVar[Mapping[str, str]] = {
        "CH-225": "NRT is the time of the last confirmation of forward progress",
        "CH-226": "NeighborReachabilityQuery accompanies a transmit just when both ages exceed NceStaleTicks",
        "CH-227": "the HRD that the host answers sets HRT",
        "CH-228": "the answer HRD 0 stops queries for NceStaleTicks",
        "CH-229": "the query passes one block list of type 4 with its state, no dependents, Status SUCCESS",
    }

    def __init__(self) -> None:
        super().__init__()
        self._reach: WeakKeyDictionary[Shared, _Reach] = WeakKeyDictionary()
        self._queried: dict[int, Shared] = {}

    def _of(self, neighbor: Shared) -> _Reach:
        if neighbor not in self._reach:
            early, late = neighbor.placed
            nrd = number(neighbor.delegated, "nic_reachability_delta")
            hrd = number(neighbor.cached, "host_reachability_delta")
            self._reach[neighbor] = _Reach((early - nrd, late - nrd), (early - hrd, late - hrd))
        return self._reach[neighbor]

    def offloaded(self, conn: Connection, node: Node) -> None:
        if conn.neighbor is not None:
            self._of(conn.neighbor)

    # --- confirmations ---------------------------------------------------------------------------------

    def segment_in(self, conn: Connection, seg: Segment) -> None:
        neighbor = conn.neighbor
        if neighbor is None:
            return
        reach = self._of(neighbor)
        ack = unwrap(seg.acknowledgment, conn.una)
        good = seg.has(ACK) and not seg.has(RST | SYN | URG) and conn.una < ack <= conn.sent and conn.accepts_tag(seg)
        low, high = conn.next_bounds
        inside = low <= unwrap(seg.sequence, conn.arrived) <= high
        taken = inside and conn.judge(seg, self.now) is Answer.YES and not self.crowded
        if good and taken and not conn.stopped and conn.released is not None and conn.path is not None:
            reach.confirmed = True
            if not reach.times or reach.times[-1][:2] != (self.now, conn):
                reach.times.append((self.now, conn, conn.path))
        reach.nrt = (reach.nrt[0], self.now + LATE)

    # --- transmits -------------------------------------------------------------------------------------

    def segment_sent(self, conn: Connection, seg: Segment) -> None:
        neighbor, stale = conn.neighbor, self.parameter("nce_stale_ticks")
        if neighbor is None or stale is None or conn.released is None:
            return
        reach = self._of(neighbor)
        if reach.hrt_rule != "CH-226" and self.now - reach.nrt[1] > stale:
            self.trigger(reach.hrt_rule)
        ages = (self.now - reach.nrt[1], self.now - reach.hrt[1])
        if min(ages) > stale + LATE and reach.due is None:
            reach.due = sent = self.now
            self.expect(sent + LATE, lambda: self._asked_by_now(reach, sent, ages))

    def _asked_by_now(self, reach: _Reach, sent: int, ages: tuple[int, int]) -> None:
        reach.due = None
        rule = reach.hrt_rule if reach.hrt_rule == "CH-227" else "CH-226"
        self.check(rule, reach.asked + LATE >= sent, f"a frame left with ages {ages} and no NeighborReachabilityQuery")

    # --- the query -------------------------------------------------------------------------------------

    def called(self, enter: Enter) -> None:
        if enter.function != _QUERY_CALL or enter.event != _QUERY:
            return
        self._form(enter.tree)
        neighbor = self._neighbor(enter)
        if neighbor is None:
            return
        self._queried[enter.call] = neighbor
        reach, stale = self._of(neighbor), self.parameter("nce_stale_ticks")
        reach.asked = self.now
        if enter.tree is not None and enter.tree.root in enter.tree.nodes:
            self._check_nrd(neighbor, enter.tree.nodes[enter.tree.root].delegated, self.now)
        if stale is None:
            return
        age = self.now - self._surely(neighbor)
        if age <= stale:
            rule = "CH-225" if reach.confirmed else "CH-226"
            self.breach(rule, f"query though forward progress was confirmed at most {age} ticks ago")
        age = self.now - reach.hrt[0]
        self.check(reach.hrt_rule, age > stale, f"query though the host confirmed at most {age} ticks ago")
        self.trigger("CH-226")

    def _surely(self, neighbor: Shared) -> int:
        """NRT is not before this."""
        reach = self._of(neighbor)
        seen = (tick for tick, conn, _ in reversed(reach.times) if tick + LATE < min(self.now, _stopped_at(conn)))
        return next(seen, reach.nrt[0])

    def _form(self, tree: Tree | None) -> None:
        node = tree.nodes.get(tree.root) if tree is not None else None
        if tree is None or node is None:
            self.breach("CH-229", "the query passes no block list")
            return
        alone = len(tree.nodes) == 1 and node.next is None and node.dependents is None
        self.check("CH-229", alone, f"{len(tree.nodes)} block lists, next {node.next}, dependents {node.dependents}")
        self.check("CH-229", node.type == _NEIGHBOR_STATE, f"block list of type {node.type}")
        self.check("CH-229", node.status == SUCCESS, f"block list with status {node.status!r}")
        state = (node.const, node.cached, node.delegated)
        self.check("CH-229", None not in state, "not all of CONST, CACHED and DELEGATED are there")

    def _neighbor(self, enter: Enter) -> Shared | None:
        """The neighbor that a query speaks of: by handle, context or MAC, or the only one there is."""
        node = enter.tree.nodes.get(enter.tree.root) if enter.tree is not None else None
        known = [held for held in self.books(enter).shared.values() if held.below is None and not is_path(held)]
        if node is None:
            return None
        mac = octets(node.cached, "dl_destination_address")[:6]
        for held in known:
            by_name = (node.handle is not None and node.handle == held.handle) or node.context == held.context
            if by_name:
                return held
        same = [held for held in known if mac and octets(held.cached, "dl_destination_address")[:6] == mac]
        return same[0] if len(same) == 1 else known[0] if len(known) == 1 else None

    def _relinked(self) -> None:
        """A path may have left its neighbor: what came over it just before may have been read just behind."""
        for neighbor, reach in self._reach.items():
            for one in [one for one in reach.times if one[0] + LATE >= self.now and one[2].below is not neighbor]:
                reach.times.remove(one)

    def returned(self, enter: Enter, leave: Leave) -> None:
        if enter.function == UPDATED:
            self._relinked()
        neighbor = self._queried.pop(enter.call, None)
        if neighbor is None or leave.tree is None:
            return
        node = leave.tree.nodes.get(leave.tree.root)
        if node is None or node.cached is None or "host_reachability_delta" not in node.cached:
            return
        hrd = number(node.cached, "host_reachability_delta")
        reach = self._of(neighbor)
        reach.hrt = (enter.tick - hrd, self.now - hrd + LATE)
        reach.hrt_rule = "CH-227" if hrd else "CH-228"

    # --- state -----------------------------------------------------------------------------------------

    def updated(self, held: Connection | Shared, cached: Mapping[str, Value] | None) -> None:
        if isinstance(held, Shared) and cached is not None and "host_reachability_delta" in cached:
            reach, hrd = self._of(held), number(cached, "host_reachability_delta")
            reach.hrt = (self.now - hrd - LATE, self.now - hrd)
            reach.hrt_rule = "CH-226"

    def reported(self, held: Connection | Shared, node: Node, asked: int, terminated: bool) -> None:
        if isinstance(held, Shared) and node.status == SUCCESS and not is_path(held):
            self._check_nrd(held, node.delegated, asked)

    def _check_nrd(self, neighbor: Shared, state: State | None, asked: int) -> None:
        """NicReachabilityDelta, taken between ``asked`` and now, against what was confirmed."""
        if state is None or "nic_reachability_delta" not in state:
            return
        nrd = number(state, "nic_reachability_delta")
        least, most = asked - self._of(neighbor).nrt[1] - RACE, self.now - self._surely(neighbor) + RACE
        self.check("CH-225", max(0, least) <= nrd <= most, f"NicReachabilityDelta {nrd} is not in {least}..{most}")


def _stopped_at(conn: Connection) -> float:
    """Tick at which the target had reason to take no more of the connection; infinity if it has none."""
    ends = [conn.terminating, conn.abort_raised, conn.aborting, conn.reset_in]
    ends += [tick for tick, reason in conn.retrieves if is_mandatory(reason)]
    return min((end for end in ends if end is not None), default=inf)


def is_path(held: Shared) -> bool:
    """True for a path, False for a neighbor."""
    return "source_address" in held.const
