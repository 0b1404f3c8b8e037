"""One connection from handshake to end: what scenes do with it."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from model.ndis.bookkeeping import Outstanding
from model.ndis.enums import DisconnectFlags, NblInfo, OffloadStateType, TcpConnectionState, TcpEventType
from model.ndis.framing import MASK32, Endpoint
from model.ndis.host import OffloadedConnection
from model.ndis.hoststack import StackConnection
from model.ndis.netbuffer import (
    BufferShape,
    Mdl,
    NetBuffer,
    NetBufferList,
    Owner,
    allocate_net_buffer,
    free_net_buffer_list,
    slice_elements,
)
from model.ndis.offload_state import TcpDelegated
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import NdisStatus
from tb.tests.stage.far import TCP, WINDOW, Far
from tb.tests.stage.moments import EVENT, MARK, Given, ListSeen, Moment, Scene
from tb.tests.stage.record import Record

if TYPE_CHECKING:
    from tb.tests.stage.stage import Stage


def story_of(owner: object) -> Story | None:
    """The story of a connection; None for those of the session."""
    client = owner.client if isinstance(owner, OffloadedConnection) else None
    return client if isinstance(client, Story) else None


def pattern(size: int, first: int = 0) -> bytes:
    """Bytes that tell their place."""
    return bytes((first + 7 * i + i // 256) & 0xFF for i in range(size))


class Story(Record):
    """One connection: the application above the host, its far end, and what happened."""

    def __init__(self, stage: Stage, name: str, number: int) -> None:
        super().__init__(name)
        self.stage = stage
        self.far = Far(stage, number)
        #: What the application took.
        self.sink = bytearray()
        #: The application gives a connection up whose disconnect came back aborted.
        self.gives_up = False
        #: Bytes of an indication that are accepted; None: all.
        self.accept: int | None = None
        self.offload_status: NdisStatus | None = None
        self.upload: tuple[NdisStatus, TcpDelegated | None, bytes] | None = None
        self.over = False
        self.stack: StackConnection
        self.connection: OffloadedConnection
        self._closing = False
        self._rng = random.Random(f"founding/{name}")

    # ---- into the offload and out of it ----

    def open(self, window: int = WINDOW) -> Scene:
        """Handshake in software, then offload."""
        yield from self.shake_hands(window)
        self.begin_offload()
        yield from self.offloaded()

    def shake_hands(self, window: int = WINDOW, tcp: SoftTcpConfig = TCP) -> Scene:
        """A connection of the software stack."""
        self.connect(window, tcp)
        yield lambda: self.stack.tcp.state is TcpConnectionState.ESTABLISHED

    def connect(self, window: int = WINDOW, tcp: SoftTcpConfig = TCP) -> None:
        """Begin the handshake."""
        host = self.stage.host
        self.far.window = window
        host.clients.append(self)
        remote = Endpoint(self.far.mac, self.far.ip, self.far.port)
        self.stack = host.stack.connect(remote, self.far.local_port, tcp, host.now)

    def begin_offload(self) -> None:
        """Into the next initiate; ``connection`` names its path and neighbor from here on."""
        self.sink += self.stack.tcp.take_received()
        make = self.make
        self.connection = self.stage.host.offload(self, self.stack, lambda data: make("inherited", data))

    @property
    def is_offloaded(self) -> bool:
        """The initiate succeeded and no terminate has ended."""
        return self.offload_status is NdisStatus.SUCCESS and self.upload is None

    def offloaded(self) -> Scene:
        """Until the initiate has succeeded."""
        yield lambda: self.offload_status is not None
        assert self.offload_status is NdisStatus.SUCCESS, self.offload_status

    def terminate(self, *, chained: bool = False, with_objects: bool = False) -> Scene:
        """NdisTerminateOffload until it completed; ``chained``: unfinished sends come back in the chain."""
        host, driver = self.stage.host, self.stage.driver
        kept = host.config, driver.config
        host.config = replace(host.config, joint_terminate=float(with_objects))
        driver.config = replace(driver.config, chain_unfinished=chained)
        host.terminate(self.connection)
        yield lambda: self.upload is not None
        host.config, driver.config = kept

    def finish(self) -> Scene:
        """The software stack goes on from the uploaded state and chain alone, and closes the connection."""
        assert self.upload is not None
        _, delegated, buffered = self.upload
        assert delegated is not None
        self.sink += buffered
        rest = b"".join(g.nbl.read(Owner.HOST, self.stage.memory) for g in self._unfinished())
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

    def close_in_software(self) -> Scene:
        """A connection that the host has: both sides close."""
        self.far.auto = True
        self.stack.tcp.close(self.stage.host.now)
        yield lambda: self.stack.tcp.ended
        self.end()

    def end(self) -> None:
        """The connection is over; its lists are freed (the host stack has freed those that it forwarded)."""
        for given in self.given.values():
            if given.name[0] != "F":
                free_net_buffer_list(self.stage.allocator, given.nbl)
        self.over = True

    # ---- lists ----

    def make(self, name: str, data: bytes, cuts: Sequence[int] = ()) -> NetBufferList:
        """A list with data, in NET_BUFFERs of the given sizes (one if none are given)."""
        buffers: list[NetBuffer] = []
        for size in cuts or (len(data),):
            shape = BufferShape(1, 3, 32)
            buffer = allocate_net_buffer(self.stage.allocator, size, shape, self._rng) if size else NetBuffer(())
            assert buffer is not None
            buffers.append(buffer)
        return self._written(name, data, buffers)

    def make_of_mdls(self, name: str, data: bytes, sizes: Sequence[int]) -> NetBufferList:
        """A list with data, in one NET_BUFFER of MDLs of the given sizes."""
        regions = [self.stage.allocator.allocate(size, self._rng.randrange(4096)) for size in sizes]
        return self._written(name, data, [NetBuffer(tuple(Mdl(region) for region in regions if region), 0, len(data))])

    def _written(self, name: str, data: bytes, buffers: list[NetBuffer]) -> NetBufferList:
        nbl = NetBufferList(buffers)
        nbl.write(Owner.HOST, self.stage.memory, data)
        self.given[id(nbl)] = Given.of(name, nbl, data)
        return nbl

    def forwarding(self, nbl: NetBufferList) -> None:
        """The host stack forwards a list of its own."""
        number = sum(given.name[0] == "F" for given in self.given.values()) + 1
        memory = self.stage.memory
        data = b"".join(memory.read(addr, n) for addr, n in nbl.elements())
        self.given[id(nbl)] = Given.of(f"F{number}", nbl, data)

    # ---- calls ----

    def _free(self) -> bool:
        return self.connection.calls_in_progress == 0

    def _issued(self, issue: Callable[[], None]) -> Scene:
        """A call, when no other of this connection is in progress, until it returned."""
        yield self._free
        issue()
        yield self._free

    def send(self, *lists: NetBufferList) -> Scene:
        """NdisOffloadTcpSend of a chain."""
        yield from self._issued(lambda: self.stage.host.issue_send(self.connection, list(lists)))

    def post(self, *requests: tuple[str, int, bool]) -> Scene:
        """NdisOffloadTcpReceive of requests (name, bytes, nonpush)."""
        lists = []
        for name, size, no_push in requests:
            nbl = self.make(name, bytes(size))
            nbl.info[NblInfo.TCP_RECEIVE_NO_PUSH] = int(no_push)
            lists.append(nbl)
        yield from self._issued(lambda: self.stage.host.issue_receive(self.connection, lists))

    def disconnect(self, nbl: NetBufferList) -> Scene:
        """NdisOffloadTcpDisconnect, graceful."""
        self._closing = True
        yield from self._issued(lambda: self.stage.host.issue_disconnect(self.connection, nbl))

    def abort(self, name: str = "A") -> Scene:
        """NdisOffloadTcpDisconnect, abortive."""
        nbl = self.make(name, b"")
        abortive = DisconnectFlags.ABORTIVE
        yield from self._issued(lambda: self.stage.host.issue_disconnect(self.connection, nbl, abortive))

    def query(self) -> Generator[Callable[[], bool], None, TcpDelegated]:
        """NdisQueryOffloadState of the connection's whole state."""
        request = self.stage.host.state.query(self.connection.node(OffloadStateType.TCP))
        yield lambda: request.completed
        assert isinstance(request.root.delegated, TcpDelegated)
        return request.root.delegated

    # ---- what scenes wait for ----

    def arrived(self, count: int, *, fin: bool = False) -> Callable[[], bool]:
        """The far end has this much of the stream."""
        return lambda: len(self.far.stream) >= count and (self.far.fin_seen or not fin)

    def came_back(self, *names: str) -> Callable[[], bool]:
        """These lists are back."""
        return lambda: all(any(self._back(m, name) is not None for m in self.moments) for name in names)

    def told(self, event: TcpEventType, info: int | None = None) -> Callable[[], bool]:
        """An event was indicated."""

        def was() -> bool:
            events = [m.event for m in self.of(EVENT)]
            return any(e is not None and e[0] is event and info in (None, e[1]) for e in events)

        return was

    # ---- what rows ask ----

    def mark(self, text: str) -> None:
        """Remember this moment by name."""
        self.note(Moment(MARK, self.stage.host.now, text=text))

    def position(self, seq: int) -> int:
        """Bytes of the stream before a sequence number of ours."""
        return (seq - self.far.first) & MASK32

    def seen(self, nbl: NetBufferList) -> ListSeen:
        """A list as it is now."""
        given = self.given.get(id(nbl))
        assert given is not None, f"{self.name}: a list came up that nobody gave"
        return ListSeen.of(given, self.stage.memory)

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
        """Kept until the end of the story; the application may give up."""
        if self.gives_up and done.nbl.status is NdisStatus.REQUEST_ABORTED:
            self.stage.host.terminate(self.connection)

    def receive_returned(self, done: Outstanding) -> None:
        memory = self.stage.memory
        self.sink += b"".join(memory.read(addr, n) for addr, n in done.placed())

    def indicated(self, nbl: NetBufferList) -> tuple[NdisStatus, int]:
        total = nbl.data_length
        count = total if self.accept is None else min(self.accept, total)
        memory = self.stage.memory
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
