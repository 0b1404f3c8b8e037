"""Query, update, invalidate and neighbor queries in the miniport driver (NDIS sheet, 2.4-2.6, 2.13).

A tree is walked at once: one device command a node that needs one. It completes when all commands have, with a status
of its own on every node; what there is no set-up memory for waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from model.layout.generated import Cqe, Object, Opcode, Sqe, Status, TcpImage
from model.ndis.binding import Adapter
from model.ndis.enums import Layer, NeighborEvent, OffloadStateType
from model.ndis.images import cached_image, neighbor_image, path_image, tcp_state
from model.ndis.memory import HostMemory
from model.ndis.miniport_objects import Callback, OffloadedTcp, StateObject
from model.ndis.miniport_waits import GIVEN_UP, Release, nothing
from model.ndis.offload_state import (
    CachedState,
    ConstState,
    DelegatedState,
    NeighborCached,
    NeighborConst,
    NeighborDelegated,
    OffloadBlock,
    PathCached,
    PathConst,
    PathDelegated,
    TcpCached,
    siblings,
    traverse,
)
from model.ndis.shares import IMAGE, SharedArena
from model.ndis.status import NdisStatus

#: Flag of PATH_WRITE and NEIGHBOR_WRITE (docs/layout.md, sqe.flags): the object is in use.
WRITE_UPDATE = 1
TCP_IMAGE_BYTES = TcpImage.WIDTH // 8


class Commander(Protocol):
    """What this part needs of the driver."""

    adapter: Adapter
    memory: HostMemory
    lists: SharedArena

    def object_of(self, node: OffloadBlock) -> StateObject | OffloadedTcp | None:
        """The offloaded object that a node names."""
        ...

    def misused(self, what: str) -> None:
        """Note what the host did against its rules."""
        ...

    def new_cookie(self) -> int:
        """A number never used before."""
        ...

    def submit(self, entry: Sqe) -> None:
        """Queue an entry that has no completion."""
        ...

    @property
    def now(self) -> int:
        """Tick."""
        ...

    def command(self, entry: Sqe, callback: Callback, release: Release = nothing) -> None:
        """Queue a command; ``release`` frees what the device had of it."""
        ...

    def later(self, action: Callable[[], None]) -> None:
        """Run ``action`` behind everything submitted so far."""
        ...

    def hold(self, entry: StateObject | OffloadedTcp) -> Callable[[], None]:
        """Let the terminate of an object wait until what is returned is called."""
        ...

    def flush_up(self) -> None:
        """Hand collected completions to the host."""
        ...

    def lose(self, connection: OffloadedTcp) -> None:
        """Tell the host that the device lost a connection."""
        ...

    def connections_on(self, entry: StateObject) -> list[OffloadedTcp]:
        """The connections that depend on a path or neighbor."""
        ...


@dataclass(eq=False)
class StateOp:
    """A tree in progress."""

    root: OffloadBlock
    complete: Callable[[object, OffloadBlock], None]
    waiting: int = 1
    #: Connections the device lost track of: told to the host behind the completion (CH-095).
    lost: list[OffloadedTcp] = field(default_factory=list)
    #: Let terminates go on that complete behind this call (CH-233).
    held: list[Callable[[], None]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Queued:
    """A command that waits for set-up memory: ``submit`` is False while there is none."""

    submit: Callable[[], bool]
    ended: Callback
    since: int


class StateCommands:
    """The three calls and the neighbor's question."""

    def __init__(self, driver: Commander) -> None:
        self._driver = driver
        self._waiting: deque[_Queued] = deque()
        #: INVALIDATEs that wait for RSTs of connections below their object (CH-184); nothing waits behind them.
        self._behind_resets: list[tuple[_Queued, list[OffloadedTcp]]] = []
        #: Neighbor queries that came before the host knew the neighbor to be offloaded.
        self._early: list[tuple[StateObject, Cqe]] = []

    @property
    def waits(self) -> int:
        """Commands that wait."""
        return len(self._waiting) + len(self._behind_resets)

    def pump(self) -> None:
        """Submit what waited and can go now."""
        for held in [one for one in self._behind_resets if not _aborting(one[1])]:
            self._let_go(held)
        while self._waiting and self._waiting[0].submit():
            self._waiting.popleft()

    def give_up(self, since: int) -> bool:
        """End what has waited for set-up memory since a tick or longer; True if there was anything.

        What waited for an RST as long goes to the device, whatever became of the RST.
        """
        for held in [one for one in self._behind_resets if one[0].since <= since]:
            self._let_go(held)
        overdue = [one for one in self._waiting if one.since <= since]
        for one in overdue:
            self._waiting.remove(one)
            one.ended(Cqe(status=GIVEN_UP))
        return bool(overdue)

    def _let_go(self, held: tuple[_Queued, list[OffloadedTcp]]) -> None:
        self._behind_resets.remove(held)
        self._waiting.append(replace(held[0], since=self._driver.now))

    def _start(self, op: StateOp, walk: Callable[[StateOp], None]) -> None:
        walk(op)
        self.pump()
        self._driver.later(lambda: self._step(op))

    def _step(self, op: StateOp) -> None:
        op.waiting -= 1
        if op.waiting:
            return
        driver = self._driver
        driver.flush_up()
        op.complete(driver.adapter.miniport_handle, op.root)
        for connection in op.lost:
            driver.lose(connection)
        for release in op.held:
            release()

    def _wait(
        self,
        op: StateOp,
        node: OffloadBlock,
        submit: Callable[[Callback], bool],
        done: Callback,
        resets: list[OffloadedTcp] | None = None,
    ) -> None:
        """One command of a node: ``submit`` is False while there is no room, ``done`` gets the completion.

        It goes behind the RSTs that are on their way from the connections ``resets``.
        """

        def finished(cqe: Cqe) -> None:
            node.status = NdisStatus.SUCCESS if cqe.status == Status.OK else NdisStatus.FAILURE
            done(cqe)
            self._step(op)

        op.waiting += 1
        queued = _Queued(lambda: submit(finished), finished, self._driver.now)
        if resets and _aborting(resets):
            self._behind_resets.append((queued, resets))
        else:
            self._waiting.append(queued)

    def _plain(self, opcode: Opcode, number: int, gen: int, flags: int) -> Callable[[Callback], bool]:
        """A command without an image."""

        def submit(finished: Callback) -> bool:
            cookie = self._driver.new_cookie()
            self._driver.command(Sqe(opcode=opcode, flags=flags, conn=number, gen=gen, cookie=cookie), finished)
            return True

        return submit

    def _image(self, opcode: Opcode, number: int, gen: int, flags: int, image: bytes) -> Callable[[Callback], bool]:
        """A command that reads an image."""

        def submit(finished: Callback) -> bool:
            driver = self._driver
            addr = driver.lists.place(IMAGE, len(image))
            if addr is None:
                return False
            place = addr
            driver.memory.write(place, image)

            cookie = driver.new_cookie()
            entry = Sqe(opcode=opcode, flags=flags, conn=number, gen=gen, cookie=cookie, addr=place)
            driver.command(entry, finished, lambda cqe, late: driver.lists.free(place))
            return True

        return submit

    # ---- update ----------------------------------------------------------------------------

    def _entry(self, op: StateOp, node: OffloadBlock) -> StateObject | OffloadedTcp | None:
        """What a node names, unless it is on its way to the host: that terminate then completes behind this call."""
        entry = self._driver.object_of(node)
        if entry is not None and not entry.terminating:
            return entry
        if not node.is_placeholder:
            self._driver.misused("a call on an object that is not offloaded, or being terminated")
        if entry is not None:
            op.held.append(self._driver.hold(entry))
        return None

    def update(self, root: OffloadBlock) -> None:
        """MiniportUpdateOffload: cached variables, and links of paths that hang below a neighbor in the tree."""
        op = StateOp(root, self._driver.adapter.update_offload_complete)
        self._start(op, lambda _: self._update_walk(op, root, None, stands_alone=True))

    def _update_walk(
        self, op: StateOp, first: OffloadBlock | None, neighbor: StateObject | None, stands_alone: bool = False
    ) -> None:
        for node in siblings(first):
            entry = self._entry(op, node)
            node.status = NdisStatus.SUCCESS if entry is not None or node.is_placeholder else NdisStatus.FAILURE
            if isinstance(entry, OffloadedTcp) and not stands_alone and node.cached is None:
                self._driver.misused("CH-090: an update that links a connection to a path")
                node.status = NdisStatus.FAILURE
            elif isinstance(entry, OffloadedTcp):
                self._update_tcp(op, node, entry)
            elif entry is not None and entry.invalid and neighbor not in (None, entry.below):
                self._driver.misused("CH-088: an invalid path is linked to another neighbor")
                node.status = NdisStatus.FAILURE
            elif entry is not None and entry.layer is Layer.NEIGHBOR:
                self._update_neighbor(op, node, entry)
            elif entry is not None:
                self._update_path(op, node, entry, neighbor)
            below = entry if isinstance(entry, StateObject) and entry.layer is Layer.NEIGHBOR else None
            self._update_walk(op, node.dependent_block_list, below)

    def _update_tcp(self, op: StateOp, node: OffloadBlock, entry: OffloadedTcp) -> None:
        if entry.terminating or entry.lost:
            node.status = NdisStatus.FAILURE
        elif isinstance(node.cached, TcpCached):
            image = cached_image(node.cached)
            self._wait(op, node, self._image(Opcode.UPDATE, entry.id, entry.io.gen, 0, image), lambda _: None)

    def _update_neighbor(self, op: StateOp, node: OffloadBlock, entry: StateObject) -> None:
        cached, const = node.cached, entry.const
        if not isinstance(cached, NeighborCached) or not isinstance(const, NeighborConst):
            return

        def done(cqe: Cqe) -> None:
            if cqe.status == Status.OK:
                entry.cached = cached

        image = neighbor_image(const, cached, NeighborDelegated())
        self._wait(op, node, self._image(Opcode.NEIGHBOR_WRITE, entry.id, 0, WRITE_UPDATE, image), done)

    def _update_path(self, op: StateOp, node: OffloadBlock, entry: StateObject, neighbor: StateObject | None) -> None:
        below = neighbor or entry.below
        cached = node.cached if isinstance(node.cached, PathCached) else entry.cached
        nothing = below is entry.below and cached is entry.cached
        if nothing or below is None or not isinstance(entry.const, PathConst) or not isinstance(cached, PathCached):
            return

        def done(cqe: Cqe) -> None:
            if cqe.status == Status.OK:
                entry.cached, entry.below = cached, below

        image = path_image(entry.const, cached, below.id)
        self._wait(op, node, self._image(Opcode.PATH_WRITE, entry.id, 0, WRITE_UPDATE, image), done)

    # ---- query -----------------------------------------------------------------------------

    def query(self, root: OffloadBlock) -> None:
        """MiniportQueryOffload: the structures that the type of each node names (CH-074)."""
        op = StateOp(root, self._driver.adapter.query_offload_state_complete)
        self._start(op, self._query_walk)

    def _query_walk(self, op: StateOp) -> None:
        for node in traverse(op.root):
            entry = self._entry(op, node)
            node.status = NdisStatus.SUCCESS if entry is not None or node.is_placeholder else NdisStatus.FAILURE
            if isinstance(entry, OffloadedTcp):
                self._query_tcp(op, node, entry)
            elif entry is not None and entry.layer is Layer.NEIGHBOR:
                self._query_neighbor(op, node, entry)
            elif entry is not None and isinstance(entry.const, PathConst) and isinstance(entry.cached, PathCached):
                write_state(node, entry.const, entry.cached, PathDelegated())

    def _state_query(self, entry: OffloadedTcp, place: list[int]) -> Callable[[Callback], bool]:
        """QUERY of a connection; the image is written to the place that ``place`` then holds."""

        def submit(finished: Callback) -> bool:
            addr = self._driver.lists.place(IMAGE, TCP_IMAGE_BYTES)
            if addr is None:
                return False
            place.append(addr)
            self._driver.command(
                Sqe(
                    opcode=Opcode.QUERY,
                    flags=Object.CONNECTION,
                    conn=entry.id,
                    gen=entry.io.gen,
                    cookie=self._driver.new_cookie(),
                    addr=addr,
                ),
                finished,
                lambda cqe, late: self._driver.lists.free(addr),
            )
            return True

        return submit

    def ask(self, entry: OffloadedTcp, told: Callable[[TcpImage | None], None]) -> None:
        """Ask the device for the state of a connection for the driver itself; None if it cannot tell."""
        place: list[int] = []

        def done(cqe: Cqe) -> None:
            known = cqe.status == Status.OK
            told(TcpImage.from_bytes(self._driver.memory.read(place[0], TCP_IMAGE_BYTES)) if known else None)

        submit = self._state_query(entry, place)
        self._waiting.append(_Queued(lambda: submit(done), done, self._driver.now))

    def _query_tcp(self, op: StateOp, node: OffloadBlock, entry: OffloadedTcp) -> None:
        driver = self._driver
        place: list[int] = []

        def done(cqe: Cqe) -> None:
            if cqe.status != Status.OK:
                op.lost.append(entry)
                return
            raw = driver.memory.read(place[0], TCP_IMAGE_BYTES)
            const, cached, delegated = tcp_state(raw)
            backlog = delegated.receive_backlog_size + len(entry.buffered)  # CH-076: the driver's share counts, too
            write_state(node, const, cached, replace(delegated, receive_backlog_size=backlog))

        self._wait(op, node, self._state_query(entry, place), done)

    def _query_neighbor(self, op: StateOp, node: OffloadBlock, entry: StateObject) -> None:
        const, cached = entry.const, entry.cached

        def done(cqe: Cqe) -> None:
            if cqe.status != Status.OK:
                op.lost += self._driver.connections_on(entry)
            elif isinstance(const, NeighborConst) and isinstance(cached, NeighborCached):
                now = replace(cached, host_reachability_delta=cqe.nbytes)
                write_state(node, const, now, NeighborDelegated(cqe.info))

        self._wait(op, node, self._plain(Opcode.QUERY, entry.id, 0, Object.NEIGHBOR), done)

    def neighbor_age(self, entry: StateObject, done: Callback) -> None:
        """Ask the device when it last confirmed a neighbor (TERMINATE of a neighbor, CH-245)."""
        self._plain(Opcode.QUERY, entry.id, 0, Object.NEIGHBOR)(done)

    # ---- invalidate ------------------------------------------------------------------------

    def invalidate(self, root: OffloadBlock) -> None:
        """MiniportInvalidateOffload: behind the completion no frame of the object leaves (CH-092)."""
        op = StateOp(root, self._driver.adapter.invalidate_offload_complete)
        self._start(op, self._invalidate_walk)

    def _invalidate_walk(self, op: StateOp) -> None:
        for node in traverse(op.root):
            entry = self._entry(op, node)
            node.status = NdisStatus.SUCCESS if entry is not None or node.is_placeholder else NdisStatus.FAILURE
            if entry is None:
                continue
            self._invalidate(op, node, entry)

    def _invalidate(self, op: StateOp, node: OffloadBlock, entry: StateObject | OffloadedTcp) -> None:
        if isinstance(entry, OffloadedTcp):
            number, gen, kind, depends = entry.id, entry.io.gen, Object.CONNECTION, [entry]
        else:
            kind = Object.PATH if entry.layer is Layer.PATH else Object.NEIGHBOR
            number, gen, depends = entry.id, 0, self._driver.connections_on(entry)

        def done(cqe: Cqe) -> None:
            if cqe.status != Status.OK:
                op.lost += [connection for connection in depends if connection not in op.lost]

        submit = self._plain(Opcode.INVALIDATE, number, gen, kind)

        def invalidate(finished: Callback) -> bool:
            entry.invalid = True
            return submit(finished)

        # it would take an RST back whose sending an abort reports (CH-184)
        self._wait(op, node, invalidate, done, resets=depends)

    # ---- the neighbor's question -----------------------------------------------------------

    def neighbor_query(self, entry: StateObject, cqe: Cqe) -> None:
        """NeighborReachabilityQuery: up to the host, its answer down to the device (CH-226 to CH-229)."""
        if not entry.live:
            self._early.append((entry, cqe))
            return
        const, cached = entry.const, entry.cached
        if not isinstance(const, NeighborConst) or not isinstance(cached, NeighborCached):
            return
        block = OffloadBlock(
            OffloadStateType.NEIGHBOR,
            ndis_offload_handle=entry.ndis_handle,
            const=const,
            cached=replace(cached, host_reachability_delta=cqe.nbytes),
            delegated=NeighborDelegated(cqe.info),
            status=NdisStatus.SUCCESS,
        )
        driver = self._driver
        driver.flush_up()
        driver.adapter.offload_event_indicate(driver.adapter.miniport_handle, block, NeighborEvent.REACHABILITY_QUERY)
        answer = block.cached
        delta = answer.host_reachability_delta if isinstance(answer, NeighborCached) else 0
        driver.submit(Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=entry.id, arg=delta))

    def initiated(self, entry: StateObject) -> None:
        """The host knows the object to be offloaded: ask what waited."""
        entry.live = True
        early = [cqe for other, cqe in self._early if other is entry]
        self._early = [(other, cqe) for other, cqe in self._early if other is not entry]
        for cqe in early:
            self.neighbor_query(entry, cqe)


def _aborting(connections: list[OffloadedTcp]) -> bool:
    return any(connection.io.aborting for connection in connections)


def write_state(node: OffloadBlock, const: ConstState, cached: CachedState, delegated: DelegatedState) -> None:
    """Write the structures that follow a node: all three, or the one its type names (3.2)."""
    only = _ONLY.get(node.type)
    if only in (None, "const"):
        node.const = const
    if only in (None, "cached"):
        node.cached = cached
    if only in (None, "delegated"):
        node.delegated = delegated


#: Types of nodes that one structure follows.
_ONLY = {kind: kind.name.split("_")[1].lower() for kind in OffloadStateType if "_" in kind.name}
