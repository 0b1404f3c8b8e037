"""Query, update and invalidate as the host makes them (NDIS sheet, 2.4-2.6; CH-074..CH-095).

Trees name objects that are offloaded already. A request is issued at once or refused with StateCallError where the
host has promised not to make it; what came of it is in the StateRequest, and ``done`` is called with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from model.ndis.calls import InvalidateOffload, NdisCall, QueryOffload, UpdateOffload
from model.ndis.enums import CACHED_TYPE, OffloadStateType, TcpCachedFlags
from model.ndis.offload_state import (
    CachedState,
    ConstState,
    DelegatedState,
    NeighborCached,
    NeighborConst,
    NeighborDelegated,
    OffloadBlock,
    OffloadHandle,
    PathCached,
    PathConst,
    PathDelegated,
    TcpCached,
    TcpConst,
    TcpDelegated,
    link,
    traverse,
)
from model.ndis.status import CompletionKind, NdisStatus

#: Flags of an update that say "do it once" and are no part of the state (3.5).
ONE_SHOT = TcpCachedFlags.KEEP_ALIVE_RESTART | TcpCachedFlags.MAX_RT_RESTART | TcpCachedFlags.UPDATE_RCV_WND


class StateCallError(Exception):
    """The host would break a promise with this call; the message begins with the rule."""


class ObjectPhase(Enum):
    """Where an object stands."""

    NONE = "none"
    INITIATING = "initiating"
    OFFLOADED = "offloaded"
    TERMINATING = "terminating"


@dataclass(eq=False)
class HostObject:
    """What the host knows of an object that it may offload: a neighbor, a path or a connection."""

    handle: OffloadHandle = field(default_factory=OffloadHandle, kw_only=True)
    #: Queries, updates and invalidates that have not completed.
    queries: int = field(default=0, kw_only=True)
    updating: bool = field(default=False, kw_only=True)
    invalid: bool = field(default=False, kw_only=True)

    @property
    def kind(self) -> OffloadStateType:
        """The "all" type of the object."""
        raise NotImplementedError(f"{type(self).__name__} must define kind")

    @property
    def is_offloaded(self) -> bool:
        """Initiated and not being terminated."""
        raise NotImplementedError(f"{type(self).__name__} must define is_offloaded")

    @property
    def at_rest(self) -> bool:
        """No query, update or invalidate is under way (CH-230)."""
        return self.queries == 0 and not self.updating

    def node(self, kind: OffloadStateType) -> OffloadBlock:
        """A node that names the object."""
        return OffloadBlock(kind, self.handle, ndis_offload_handle=self)


@dataclass(eq=False)
class StateRequest:
    """A query, update or invalidate, and what came of it."""

    kind: CompletionKind
    root: OffloadBlock
    done: Callable[[StateRequest], None] | None = None
    completed: bool = False
    #: Path and new neighbor of each link that the update moves.
    moves: tuple[tuple[HostObject, HostObject], ...] = ()

    def node(self, owner: HostObject) -> OffloadBlock:
        """The node of an object."""
        return next(node for node in traverse(self.root) if node.ndis_offload_handle is owner)

    @property
    def statuses(self) -> list[NdisStatus]:
        """Status of every node in the order of the walk."""
        return [node.status or NdisStatus.SUCCESS for node in traverse(self.root)]


_CONST: dict[OffloadStateType, type[ConstState]] = {
    OffloadStateType.NEIGHBOR: NeighborConst,
    OffloadStateType.IP4: PathConst,
    OffloadStateType.IP6: PathConst,
    OffloadStateType.TCP: TcpConst,
}
_CACHED: dict[OffloadStateType, type[CachedState]] = {
    OffloadStateType.NEIGHBOR: NeighborCached,
    OffloadStateType.IP4: PathCached,
    OffloadStateType.IP6: PathCached,
    OffloadStateType.TCP: TcpCached,
}
_DELEGATED: dict[OffloadStateType, type[DelegatedState]] = {
    OffloadStateType.NEIGHBOR: NeighborDelegated,
    OffloadStateType.IP4: PathDelegated,
    OffloadStateType.IP6: PathDelegated,
    OffloadStateType.TCP: TcpDelegated,
}


def answered(node: OffloadBlock) -> bool:
    """A query wrote every structure that its node's type names (CH-074)."""
    wanted = (_CONST, node.const), (_CACHED, node.cached), (_DELEGATED, node.delegated)
    return all(isinstance(state, table[node.type]) for table, state in wanted if node.type in table)


class StateCalls:
    """Issues the three calls and takes their completions; keeps no object of its own."""

    def __init__(self, issue: Callable[[NdisCall], None]) -> None:
        self._issue = issue
        self._requests: dict[int, StateRequest] = {}

    @property
    def in_progress(self) -> int:
        """Requests that have not completed."""
        return len(self._requests)

    def _go(self, call: QueryOffload | UpdateOffload | InvalidateOffload, request: StateRequest) -> StateRequest:
        self._requests[id(request.root)] = request
        self._issue(call)
        return request

    @staticmethod
    def _offloaded(owner: HostObject, rule: str) -> None:
        if not owner.is_offloaded:
            raise StateCallError(f"{rule}: the object is not offloaded, or on its way to or from the target")

    def query(self, tree: OffloadBlock, done: Callable[[StateRequest], None] | None = None) -> StateRequest:
        """NdisQueryOffloadState; queries of one object may overlap (CH-077)."""
        owners = _owners(tree)
        for owner in owners:
            self._offloaded(owner, "CH-059")
        for owner in owners:
            owner.queries += 1
        return self._go(QueryOffload(None, tree), StateRequest(CompletionKind.QUERY, tree, done))

    def update(
        self,
        changes: Sequence[tuple[HostObject, CachedState]],
        done: Callable[[StateRequest], None] | None = None,
        under: HostObject | None = None,
    ) -> StateRequest:
        """NdisUpdateOffload of cached variables, all of one layer (CH-026); below ``under``, which does not change."""
        nodes: list[OffloadBlock] = []
        for owner, cached in changes:
            self._may_update(owner)
            nodes.append(owner.node(CACHED_TYPE[owner.kind]))
            nodes[-1].cached = cached
        root = link(nodes)
        if root is None:
            raise StateCallError("CH-080: an update of nothing")
        if under is not None:
            self._may_update(under)
            carrier = under.node(under.kind)
            carrier.dependent_block_list, root = root, carrier
            under.updating = True
        for owner, _ in changes:
            owner.updating = True
        return self._go(UpdateOffload(None, root), StateRequest(CompletionKind.UPDATE, root, done))

    def relink(
        self,
        neighbor: HostObject,
        paths: Sequence[HostObject],
        done: Callable[[StateRequest], None] | None = None,
    ) -> StateRequest:
        """NdisUpdateOffload that moves ``paths`` below ``neighbor``; no state follows any node (2.4)."""
        self._may_update(neighbor)
        for path in paths:
            self._may_update(path)
        root = neighbor.node(neighbor.kind)
        root.dependent_block_list = link([path.node(path.kind) for path in paths])
        for owner in (neighbor, *paths):
            owner.updating = True
        moves = tuple((path, neighbor) for path in paths)
        return self._go(UpdateOffload(None, root), StateRequest(CompletionKind.UPDATE, root, done, moves=moves))

    def _may_update(self, owner: HostObject) -> None:
        self._offloaded(owner, "CH-088")
        if owner.updating or owner.invalid:
            raise StateCallError("CH-088: the object is being updated, or invalidated")

    def invalidate(
        self, owners: Sequence[HostObject], done: Callable[[StateRequest], None] | None = None
    ) -> StateRequest:
        """NdisInvalidateOffload of objects of one layer; block lists only (CH-091)."""
        for owner in owners:
            self._offloaded(owner, "CH-059")
        root = link([owner.node(owner.kind) for owner in owners])
        if root is None:
            raise StateCallError("CH-091: an invalidate of nothing")
        for owner in owners:
            owner.invalid = True
            owner.queries += 1
        return self._go(InvalidateOffload(None, root), StateRequest(CompletionKind.INVALIDATE, root, done))

    def completed(self, root: OffloadBlock) -> StateRequest:
        """A tree is back: book the objects as free again. Called behind the checks of the books."""
        request = self._requests.pop(id(root))
        for owner in _owners(root):
            if request.kind is CompletionKind.UPDATE:
                owner.updating = False
            else:
                owner.queries -= 1
        request.completed = True
        return request


def _owners(root: OffloadBlock) -> list[HostObject]:
    return [owner for node in traverse(root) if isinstance(owner := node.ndis_offload_handle, HostObject)]


def settled(cached: TcpCached) -> TcpCached:
    """Cached state as it stands behind an update: without the flags that act once."""
    return replace(cached, flags=cached.flags & ~ONE_SHOT)
