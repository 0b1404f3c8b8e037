"""The host under random contract operations: lists counted out and in, trees in every shape, idle objects given back.

What is done against the host's rules goes down past its books (`Misuse`), and what comes of it ends up in the misuse,
never in the books.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from model.ndis.binding import Binding
from model.ndis.calls import InitiateOffload, NdisCall, OffloadTcpReceiveReturn, TerminateOffload
from model.ndis.enums import OffloadStateType
from model.ndis.host import NdisHost, OffloadedConnection, SharedObject
from model.ndis.host_state import HostObject, ObjectPhase
from model.ndis.netbuffer import NetBufferList, Owner, chain, iterate, unchain
from model.ndis.offload_state import OffloadBlock, link, nodes_once, siblings, traverse
from model.ndis.status import NdisStatus
from model.streams import Streams


@dataclass(eq=False)
class Misuse:
    """A call against the host's rules, and what came back of it."""

    name: str
    #: What each list or node must come back with.
    statuses: frozenset[NdisStatus]
    lists: list[NetBufferList] = field(default_factory=list)
    roots: list[OffloadBlock] = field(default_factory=list)
    returned: list[NetBufferList] = field(default_factory=list)
    completed: list[OffloadBlock] = field(default_factory=list)
    #: The object that a state call names: the host makes no other meanwhile.
    of: HostObject | None = None
    #: Checked when everything is back.
    wrong: Callable[[], str] = lambda: ""
    #: Runs when everything is back.
    over: Callable[[], None] = lambda: None

    @property
    def open(self) -> bool:
        """Something is still out."""
        return len(self.returned) < len(self.lists) or len(self.completed) < len(self.roots)


@dataclass(frozen=True)
class MisuseCall(NdisCall):
    """A call on its way that no protocol driver should make."""

    name: ClassVar[str] = "misuse"
    run: Callable[[Binding], Any]

    def execute(self, binding: Binding) -> Any:
        """Make the call."""
        return self.run(binding)


class ContractHost(NdisHost):
    """NdisHost with its lists counted and misuse kept apart."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._draws = Streams(self.config.seed, ("contract", "host")).stream
        self.out: dict[int, NetBufferList] = {}
        self.twice = 0
        self.misuses: list[Misuse] = []
        #: Initiate trees that the target has not given back, with the places that their contexts go to.
        self.initiating: dict[int, set[int]] = {}
        #: The host's own initiate trees, from their issue until they are back: nothing they name may go (CH-059).
        self.asked: set[int] = set()
        #: Places of the contexts of connections whose terminate went down.
        self.terminating: set[int] = set()
        self.complaints: list[str] = []
        #: Connections' objects may go now: called with every neighbor that nothing uses.
        self.may_retire: Callable[[SharedObject], bool] = lambda _: False
        self._misused: dict[int, Misuse] = {}
        #: Called when a terminate went down.
        self.terminate_down: Callable[[], object] = lambda: None
        #: Called with the connection of each list that goes back to the target.
        self.returning: Callable[[OffloadedConnection], None] = lambda _: None

    # ---- lists out and in -------------------------------------------------------------------

    def execute(self, call: NdisCall) -> None:
        """Count what goes down."""
        if isinstance(call, MisuseCall):
            call.execute(self.binding)
            return
        if isinstance(call, InitiateOffload):
            self.note_initiate(call.root)
        elif isinstance(call, TerminateOffload):
            self.terminating.update(id(node.miniport_offload_context) for node in traverse(call.root))
        elif isinstance(call, OffloadTcpReceiveReturn):
            owners = [nbl.context for nbl in iterate(call.nbl)]
            for owner in dict.fromkeys(owner for owner in owners if isinstance(owner, OffloadedConnection)):
                self.returning(owner)
        root = getattr(call, "root", None)
        nodes = [] if root is None else list(traverse(root))
        lists = [nbl for node in nodes for nbl in iterate(node.net_buffer_list_chain)]
        if call.connection is not None:
            lists += iterate(getattr(call, "nbl", None))
        for nbl in lists:
            self.out[id(nbl)] = nbl
        super().execute(call)
        if isinstance(call, TerminateOffload):
            self.terminate_down()

    def note_initiate(self, root: OffloadBlock) -> None:
        """The target gets an initiate tree."""
        self.initiating[id(root)] = {id(node.miniport_offload_context) for node in nodes_once(root) if node.is_new}

    def _back(self, nbl: NetBufferList) -> None:
        if self.out.pop(id(nbl), None) is None:
            self.twice += 1

    def _mine(self, head: NetBufferList) -> NetBufferList | None:
        """The lists of a completion that belong in the books; those of misuses are taken out."""
        mine = []
        for nbl in unchain(head):
            misuse = self._misused.get(id(nbl))
            if misuse is None:
                self._back(nbl)
                mine.append(nbl)
            else:
                self._list_back(misuse, nbl)
        return chain(mine) if mine else None

    def tcp_offload_send_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadSendComplete."""
        if (mine := self._mine(nbl)) is not None:
            super().tcp_offload_send_complete(binding_context, mine)

    def tcp_offload_receive_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadReceiveComplete."""
        if (mine := self._mine(nbl)) is not None:
            super().tcp_offload_receive_complete(binding_context, mine)

    def tcp_offload_disconnect_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadDisconnectComplete."""
        if (mine := self._mine(nbl)) is not None:
            super().tcp_offload_disconnect_complete(binding_context, mine)

    def tcp_offload_forward_complete(self, binding_context: object, nbl: NetBufferList) -> None:
        """ProtocolTcpOffloadForwardComplete."""
        if (mine := self._mine(nbl)) is not None:
            super().tcp_offload_forward_complete(binding_context, mine)

    def return_now(self, owner: OffloadedConnection) -> bool:
        """The lists of a connection that the host still keeps go back with the next step; False if it keeps none."""
        owner.hoards = False
        kept = [nbl for _, nbl in self._to_return if nbl.context is owner]
        self._to_return = [(self.now if nbl.context is owner else tick, nbl) for tick, nbl in self._to_return]
        return bool(kept)

    # ---- misuse -----------------------------------------------------------------------------

    def misuse(self, misuse: Misuse, run: Callable[[Binding], Any]) -> None:
        """Make a call that breaks the host's rules."""
        self.misuses.append(misuse)
        for nbl in misuse.lists:
            nbl.hand_over(Owner.HOST, Owner.TARGET)
            self._misused[id(nbl)] = misuse
        for root in misuse.roots:
            self._misused[id(root)] = misuse
        self.issue(MisuseCall(None, run))
        if not (misuse.lists or misuse.roots):
            self.misuses.remove(misuse)

    def holds(self, owner: HostObject | None) -> bool:
        """A misuse of the object is under way."""
        return owner is not None and any(misuse.of is owner for misuse in self.misuses)

    def withdraw(self, misuse: Misuse) -> None:
        """The call is not made after all."""
        for nbl in misuse.lists:
            nbl.hand_over(Owner.TARGET, Owner.HOST)
        for thing in (*misuse.lists, *misuse.roots):
            del self._misused[id(thing)]
        self.misuses.remove(misuse)
        misuse.over()

    def _list_back(self, misuse: Misuse, nbl: NetBufferList) -> None:
        if nbl in misuse.returned:
            self.twice += 1
            return
        misuse.returned.append(nbl)
        nbl.hand_over(Owner.TARGET, Owner.HOST)
        if nbl.status not in misuse.statuses:
            self.complaints.append(f"{misuse.name}: a list comes back {nbl.status!r}")
        self._settle(misuse)

    def pass_tree(self, root: OffloadBlock) -> None:
        """A tree that goes down outside of `issue` and belongs in the books all the same."""
        self._trees.called(root)

    def _root_back(self, root: OffloadBlock) -> bool:
        misuse = self._misused.get(id(root))
        if misuse is None:
            return False
        misuse.completed.append(root)
        if len(misuse.completed) > len(misuse.roots):
            self.complaints.append(f"{misuse.name}: completed twice")
        self._settle(misuse)
        return True

    def _settle(self, misuse: Misuse) -> None:
        if misuse.open:
            return
        for thing in (*misuse.lists, *misuse.roots):
            self._misused.pop(id(thing), None)
        self.misuses.remove(misuse)
        if wrong := misuse.wrong():
            self.complaints.append(f"{misuse.name}: {wrong}")
        misuse.over()

    # ---- trees ------------------------------------------------------------------------------

    def issue(self, call: NdisCall) -> None:
        """Initiate trees go down in any shape that they may have (1.4)."""
        if isinstance(call, InitiateOffload):
            call = InitiateOffload(call.connection, self._reshaped(call.root))
            self.asked.add(id(call.root))
        super().issue(call)

    def _reshaped(self, root: OffloadBlock) -> OffloadBlock:
        """Placeholders among the nodes, and in the place of linkers that carry no new object below them."""
        draws = self._draws
        roots = list(siblings(root))
        for neighbor in roots:
            paths = list(neighbor.dependents)
            if any(path.is_new for path in paths) or neighbor.is_new:
                continue
            if len(roots) == 1 and draws("path alone").random() < 0.1:
                return paths[0]
            if draws("neighbor of no name").random() < 0.2:
                neighbor.miniport_offload_context = neighbor.ndis_offload_handle = None
        if draws("placeholder beside").random() < 0.1:
            roots.insert(draws("place beside").randrange(len(roots) + 1), OffloadBlock(OffloadStateType.NEIGHBOR))
        for parent in traverse(link(roots)):
            if parent.dependent_block_list is not None and draws("placeholder below").random() < 0.1:
                children = list(parent.dependents)
                place = draws("place below").randrange(len(children) + 1)
                children.insert(place, OffloadBlock(children[0].type))
                parent.dependent_block_list = link(children)
        return roots[0]

    def _issue_idle_terminates(self) -> bool:
        """Paths and neighbors that are of no use any more go by themselves, or path and neighbor in one tree."""
        if any(self.holds(owner) for owner in self.objects()):
            return False
        if super()._issue_idle_terminates():
            return True
        wanted = {connection.path for connection, _ in self._to_initiate}
        for path in self._paths.values():
            idle = path.phase is ObjectPhase.OFFLOADED and path.users == 0 and path.at_rest and not self.holds(path)
            if idle and path not in wanted and self.may_retire(path):
                return self._retire(path)
        for neighbor in self._neighbors.values():
            idle = neighbor.phase is ObjectPhase.OFFLOADED and neighbor.users == 0 and neighbor.at_rest
            idle = idle and not self.holds(neighbor)
            if idle and all(path.below is not neighbor for path in wanted) and self.may_retire(neighbor):
                return self._retire(neighbor)
        return False

    def _with_objects(self, connection: OffloadedConnection, node: OffloadBlock) -> OffloadBlock:
        """Path and neighbor go with their last connection only if they are there still."""
        path, offloaded = connection.path, ObjectPhase.OFFLOADED
        there = path.phase is offloaded and path.below is not None and path.below.phase is offloaded
        there = there and not self.holds(path) and not self.holds(path.below)
        return super()._with_objects(connection, node) if there else node

    def _retire(self, owner: SharedObject) -> bool:
        owner.phase = ObjectPhase.TERMINATING
        super().issue(TerminateOffload(None, owner.terminate_block()))
        return True

    def objects(self) -> list[SharedObject]:
        """Paths, then neighbors."""
        return [*self._paths.values(), *self._neighbors.values()]

    def initiate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolInitiateOffloadComplete: chains that stayed with the host are back."""
        self.initiating.pop(id(block_list), None)
        self.asked.discard(id(block_list))
        if self._root_back(block_list):
            return
        for node in traverse(block_list):
            for nbl in iterate(node.net_buffer_list_chain):
                if node.status is not None and not node.status.offloaded:
                    self._back(nbl)
        super().initiate_offload_complete(binding_context, block_list)

    def terminate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolTerminateOffloadComplete: chains are back."""
        if self._root_back(block_list):
            return
        self.terminating.difference_update(id(node.miniport_offload_context) for node in traverse(block_list))
        for node in traverse(block_list):
            for nbl in iterate(node.net_buffer_list_chain):
                self._back(nbl)
        super().terminate_offload_complete(binding_context, block_list)

    def update_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolUpdateOffloadComplete."""
        if not self._root_back(block_list):
            super().update_offload_complete(binding_context, block_list)

    def query_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolQueryOffloadComplete."""
        if not self._root_back(block_list):
            super().query_offload_complete(binding_context, block_list)

    def invalidate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        """ProtocolInvalidateOffloadComplete."""
        if not self._root_back(block_list):
            super().invalidate_offload_complete(binding_context, block_list)
