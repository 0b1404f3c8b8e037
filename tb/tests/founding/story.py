"""One connection from handshake to end: what scenes do with it, and what rows ask of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from model.ndis.bookkeeping import Outstanding
from model.ndis.enums import DisconnectFlags, Layer, NblInfo, TcpConnectionState, TcpEventType
from model.ndis.framing import MASK32, Endpoint, Segment
from model.ndis.host import OffloadedConnection
from model.ndis.hoststack import StackConnection
from model.ndis.miniport_io import merge_adjacent
from model.ndis.netbuffer import (
    BufferShape,
    NetBuffer,
    NetBufferList,
    Owner,
    allocate_net_buffer,
    free_net_buffer_list,
    slice_elements,
)
from model.ndis.offload_state import TcpDelegated
from model.ndis.status import NdisStatus
from tb.tests.founding.far import FAR_IP, FAR_MAC, TCP, WINDOW, Far
from tb.tests.founding.moments import (
    DISCONNECT_COMPLETE,
    FORWARD_COMPLETE,
    MARK,
    RECEIVE_COMPLETE,
    SEND_COMPLETE,
    TERMINATE_COMPLETE,
    WIRE,
    Crossing,
    Given,
    ListSeen,
    Moment,
    NodeSeen,
    Scene,
)

if TYPE_CHECKING:
    from tb.tests.founding.stage import Stage

#: IPv4 identifications from here on are the target's (CH-116).
TARGET_ID = 0x8000
#: Calls by which a list comes back.
COMPLETIONS = (SEND_COMPLETE, RECEIVE_COMPLETE, DISCONNECT_COMPLETE, FORWARD_COMPLETE, TERMINATE_COMPLETE)


def story_of(owner: object) -> Story | None:
    """The story of a connection; None for those of the session."""
    client = owner.client if isinstance(owner, OffloadedConnection) else None
    return client if isinstance(client, Story) else None


class Story:
    """One connection from handshake to end: the application above the host, its far end, and what happened."""

    def __init__(self, stage: Stage, name: str, number: int) -> None:
        self.name = name
        self.stage = stage
        self.far = Far(stage.arrive, number)
        self.moments: list[Moment] = []
        #: Calls with its lists and trees at every face of every layer.
        self.crossings: list[Crossing] = []
        self.given: dict[int, Given] = {}
        #: Downward I/O calls and what they returned.
        self.answers: list[tuple[str, NdisStatus]] = []
        self.facts: dict[str, Any] = {}
        self.sink = bytearray()
        #: Bytes of an indication that are accepted; None: all.
        self.accept: int | None = None
        self.offload_status: NdisStatus | None = None
        self.upload: tuple[NdisStatus, TcpDelegated | None, bytes] | None = None
        self.over = False
        self.stack: StackConnection
        self.connection: OffloadedConnection
        self._chained: list[NetBufferList] = []
        self._closing = False
        self._rng = random.Random(f"founding/{name}")

    # ---- what scenes do ----

    def open(self, window: int = WINDOW) -> Scene:
        """Handshake in software, then offload."""
        yield from self.connect(window)
        self.offload()
        yield from self.offloaded()

    def connect(self, window: int = WINDOW) -> Scene:
        """Handshake in software."""
        host = self.stage.host
        self.far.window = window
        host.clients.append(self)
        remote = Endpoint(FAR_MAC, FAR_IP, self.far.port)
        self.stack = host.stack.connect(remote, self.far.local_port, TCP, host.now)
        yield lambda: self.stack.tcp.state is TcpConnectionState.ESTABLISHED

    def offload(self) -> None:
        """Ask for the offload."""
        host = self.stage.host
        self.sink += self.stack.tcp.take_received()
        self.connection = host.offload(self, self.stack, lambda data: self.make("inherited", data))

    def offloaded(self) -> Scene:
        """Until the offload has succeeded."""
        yield lambda: self.offload_status is not None
        assert self.offload_status is NdisStatus.SUCCESS, self.offload_status

    def make(self, name: str, data: bytes, cuts: Sequence[int] = ()) -> NetBufferList:
        """A list with data, in NET_BUFFERs of the given sizes (one if none are given)."""
        allocator, memory = self.stage.allocator, self.stage.host.memory
        buffers: list[NetBuffer] = []
        for size in cuts or (len(data),):
            buffer = allocate_net_buffer(allocator, size, BufferShape(1, 3, 32), self._rng) if size else NetBuffer(())
            assert buffer is not None
            buffers.append(buffer)
        nbl = NetBufferList(buffers)
        nbl.write(Owner.HOST, memory, data)
        self._give(name, nbl, data)
        return nbl

    def _give(self, name: str, nbl: NetBufferList, data: bytes) -> None:
        lengths = tuple(b.data_length for b in nbl.net_buffers)
        offsets = tuple(b.data_offset for b in nbl.net_buffers)
        chains = tuple(tuple(b.mdl_chain) for b in nbl.net_buffers)
        self.given[id(nbl)] = Given(name, nbl, data, lengths, offsets, chains, _places(nbl))

    def forwarding(self, nbl: NetBufferList) -> None:
        """The host stack forwards a list of its own."""
        number = sum(given.name[0] == "F" for given in self.given.values()) + 1
        memory = self.stage.host.memory
        self._give(f"F{number}", nbl, b"".join(memory.read(addr, n) for addr, n in nbl.elements()))

    def _free(self) -> bool:
        return self.connection.calls_in_progress == 0

    def send(self, *lists: NetBufferList) -> Scene:
        """NdisOffloadTcpSend of a chain."""
        yield self._free
        self.stage.host.issue_send(self.connection, list(lists))
        yield self._free

    def post(self, *requests: tuple[str, int, bool]) -> Scene:
        """NdisOffloadTcpReceive of requests (name, bytes, nonpush)."""
        lists = []
        for name, size, no_push in requests:
            nbl = self.make(name, bytes(size))
            nbl.info[NblInfo.TCP_RECEIVE_NO_PUSH] = int(no_push)
            lists.append(nbl)
        yield self._free
        self.stage.host.issue_receive(self.connection, lists)
        yield self._free

    def disconnect(self, nbl: NetBufferList) -> Scene:
        """NdisOffloadTcpDisconnect, graceful."""
        yield self._free
        self._closing = True
        self.stage.host.issue_disconnect(self.connection, nbl)
        yield self._free

    def abort(self, nbl: NetBufferList) -> Scene:
        """NdisOffloadTcpDisconnect, abortive."""
        yield self._free
        self.stage.host.issue_disconnect(self.connection, nbl, DisconnectFlags.ABORTIVE)
        yield self._free

    def terminate(self, *, chained: bool = False, with_objects: bool = False) -> Scene:
        """NdisTerminateOffload until it completed; ``chained``: unfinished sends come back in the chain."""
        host, driver = self.stage.host, self.stage.driver
        kept = host.config, driver.config
        host.config = replace(host.config, joint_terminate=float(with_objects))
        driver.config = replace(driver.config, chain_unfinished=chained)
        host.terminate(self.connection)
        yield lambda: self.upload is not None
        host.config, driver.config = kept

    def mark(self, text: str) -> None:
        """Remember this moment by name."""
        self._note(Moment(MARK, self.stage.host.now, text=text))

    def finish(self) -> Scene:
        """The software stack goes on from the uploaded state and chain alone, and closes the connection."""
        assert self.upload is not None
        _, delegated, buffered = self.upload
        assert delegated is not None
        self.sink += buffered
        rest = b"".join(g.nbl.read(Owner.HOST, self.stage.host.memory) for g in self._unfinished())
        host, far = self.stage.host, self.far
        far.auto = True
        far.window = WINDOW
        host.stack.uploaded(self.stack, delegated, rest, self._closing, host.now)
        if not far.fin_sent or far.received != far.acked:
            far.ack()
        tcp = self.stack.tcp
        if not tcp.ended:
            tcp.close(host.now)
        yield lambda: tcp.ended
        self.sink += tcp.take_received()
        assert not tcp.failure, tcp.failure
        self.end()

    def _unfinished(self) -> Iterator[Given]:
        """Send and disconnect lists that came back with data, in order."""
        for given in self.given.values():
            seen = self.returned(given.name)
            if seen.status is not NdisStatus.SUCCESS and given.name[0] in "SD":
                yield given

    def end(self) -> None:
        """The connection is over; its lists are freed (the host stack has freed those that it forwarded)."""
        for given in self.given.values():
            if given.name[0] != "F":
                free_net_buffer_list(self.stage.allocator, given.nbl)
        self.over = True

    # ---- what rows ask ----

    def of(self, name: str) -> list[Moment]:
        """All moments of this name."""
        return [m for m in self.moments if m.name == name]

    def at(self, text: str) -> int:
        """Where a mark stands."""
        found = next((i for i, m in enumerate(self.moments) if m.name == MARK and m.text == text), None)
        if found is None:
            raise LookupError(f"{self.name}: no mark {text!r}")
        return found

    def place(self, name: str) -> int:
        """Where a list came back."""
        found = next((i for i, m in enumerate(self.moments) if self._back(m, name) is not None), None)
        if found is None:
            raise LookupError(f"{self.name}: {name} never came back")
        return found

    def returned(self, name: str) -> ListSeen:
        """A list as it came back."""
        found = self._back(self.moments[self.place(name)], name)
        assert found is not None
        return found

    @staticmethod
    def _back(moment: Moment, name: str) -> ListSeen | None:
        if moment.name not in COMPLETIONS:
            return None
        lists = [*moment.lists, *(s for node in moment.nodes for s in node.chain)]
        return next((seen for seen in lists if seen.name == name), None)

    @property
    def node(self) -> NodeSeen:
        """The connection's node when the terminate completed."""
        (moment,) = self.of(TERMINATE_COMPLETE)
        return next(node for node in moment.nodes if node.layer is Layer.TCP)

    @property
    def state(self) -> TcpDelegated:
        """The delegated state it brought."""
        assert isinstance(self.node.delegated, TcpDelegated)
        return self.node.delegated

    def position(self, seq: int) -> int:
        """Bytes of the stream before a sequence number of ours."""
        return (seq - self.far.first) & MASK32

    @property
    def wire(self) -> list[Segment]:
        """What the target sent, in order."""
        segments = [m.segment for m in self.of(WIRE)]
        return [s for s in segments if s is not None and s.ip_id >= TARGET_ID]

    # ---- OffloadClient ----

    @property
    def done(self) -> bool:
        return self.over

    def step(self) -> bool:
        return False

    def initiated(self, status: NdisStatus) -> None:
        self.offload_status = status

    def send_returned(self, done: Outstanding) -> None:
        """Kept until the end of the story."""

    def disconnect_returned(self, done: Outstanding) -> None:
        """Kept until the end of the story."""

    def receive_returned(self, done: Outstanding) -> None:
        memory = self.stage.host.memory
        self.sink += b"".join(memory.read(addr, n) for addr, n in done.placed())

    def indicated(self, nbl: NetBufferList) -> tuple[NdisStatus, int]:
        total = nbl.data_length
        count = total if self.accept is None else min(self.accept, total)
        memory = self.stage.host.memory
        self.sink += b"".join(memory.read(a, n) for a, n in slice_elements(nbl.elements(), 0, count))
        if count == total:
            return NdisStatus.SUCCESS, total
        self.accept = 0
        refused = NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED if count else NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED
        return refused, count

    def event(self, event: TcpEventType, info: int) -> None:
        """Seen by the tap."""

    def uploaded(
        self, status: NdisStatus, delegated: TcpDelegated | None, chained: list[Outstanding], buffered: bytes
    ) -> None:
        self.upload = status, delegated, buffered

    # ---- for the taps ----

    def _note(self, moment: Moment) -> None:
        self.moments.append(moment)

    def note(self, moment: Moment) -> None:
        """Something crossed the face or the wire."""
        self._note(moment)

    def seen(self, nbl: NetBufferList) -> ListSeen:
        """A list as it is now."""
        given = self.given.get(id(nbl))
        assert given is not None, f"{self.name}: a list came up that nobody gave"
        buffers = nbl.net_buffers
        memory = self.stage.host.memory
        return ListSeen(
            given.name,
            nbl,
            nbl.status,
            nbl.info.get(NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED),
            tuple(b.data_offset - at for b, at in zip(buffers, given.offsets, strict=True)),
            tuple(n - b.data_length for b, n in zip(buffers, given.lengths, strict=True)),
            tuple(tuple(b.mdl_chain) for b in buffers) == given.chains,
            b"".join(memory.read(addr, n) for addr, n in nbl.elements()),
            _places(nbl),
        )


def _places(nbl: NetBufferList) -> tuple[tuple[int, int], ...]:
    return tuple(merge_adjacent(nbl.elements()))
