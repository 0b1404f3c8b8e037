"""A bench for the NDIS host without a device: a fake offload target on the host's own software TCP.

The fake keeps the chimney's rules of delivery, completion and upload in the simplest way; the peer on
the wire is the independent one of tb/peers.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from model.layout.generated import Status
from model.ndis.binding import Adapter
from model.ndis.calls import MiniportFace, ProtocolFace
from model.ndis.enums import DisconnectFlags, Layer, TcpConnectionState, TcpEventType
from model.ndis.framing import Endpoint, Segment, decode, encode
from model.ndis.host import HostConfig, NdisHost
from model.ndis.memory import FlatMemory, PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver, event_handlers
from model.ndis.netbuffer import (
    BufferShape,
    NetBufferList,
    Owner,
    build_net_buffer_list,
    chain,
    free_net_buffer_list,
    iterate,
    unchain,
)
from model.ndis.offload_state import (
    AttemptResult,
    OffloadBlock,
    TcpCached,
    TcpConst,
    TcpDelegated,
    initiate_walk,
    structure_port,
    traverse,
)
from model.ndis.registration import (
    NdisHandle,
    OffloadAttributes,
    OidRequest,
    ProviderGeneric,
    ProviderTcp,
    TcpConnectionOffload,
)
from model.ndis.soft_tcp import SoftTcp, SoftTcpConfig
from model.ndis.status import NdisStatus
from tb.peers.applications import EchoApp
from tb.peers.tcp_peer import PeerConfig, TcpPeer
from tb.tests.model.ndis_fake_device import FakeDevice

HOST_MAC = bytes.fromhex("020000000001")
HOST_IP = bytes((10, 0, 0, 1))
PEER = Endpoint(bytes.fromhex("020000000002"), bytes((10, 0, 0, 2)), 7)


@dataclass(eq=False)
class FakeConnection:
    """An offloaded connection of the fake target."""

    handle: object
    tcp: SoftTcp
    sends: deque[tuple[NetBufferList, int]] = field(default_factory=deque)
    disconnect: tuple[NetBufferList, int] | None = None
    receives: deque[NetBufferList] = field(default_factory=deque)
    filled: int = 0
    pending: bytearray = field(default_factory=bytearray)
    refused: bool = False
    #: Inherited receive data waits for the first receive (CH-054).
    waits: bool = False
    fin_told: bool = False
    #: Sequence number behind the last byte given to the target.
    end: int = 0


class FakeMiniport:
    """A MiniportFace over software TCP. ``fail`` names layers or ordinals of TCP nodes that fail."""

    def __init__(
        self,
        host: ProtocolFace,
        memory: FlatMemory,
        allocator: PageAllocator,
        seed: int,
        failures: dict[int, NdisStatus] | None = None,
        chain_unfinished: bool = False,
    ) -> None:
        self._register(Adapter(host))
        self.memory = memory
        self.allocator = allocator
        self.rng = random.Random(seed)
        self.failures = failures or {}
        self.chain_unfinished = chain_unfinished
        self.out: list[bytes] = []
        self.now = 0
        self.contexts: dict[int, FakeConnection | None] = {}
        self.endpoints: dict[int, bytes] = {}
        self.held: list[NetBufferList] = []
        self._todo: deque[tuple[str, OffloadBlock]] = deque()
        self._next_context = 0x1000
        self._attempts = 0
        self._ip_id = 0x8000

    # ---- state calls

    def _register(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.handle = adapter.miniport_handle
        self.context = NdisHandle("MiniportAdapterContext")
        generic = ProviderGeneric(
            self.initiate_offload,
            self.terminate_offload,
            self.update_offload,
            self.invalidate_offload,
            self.query_offload,
        )
        adapter.set_optional_handlers(self.handle, generic)
        tcp = ProviderTcp(
            self.tcp_offload_send,
            self.tcp_offload_receive,
            self.tcp_offload_disconnect,
            self.tcp_offload_forward,
            self.tcp_offload_receive_return,
        )
        adapter.set_optional_handlers(self.handle, tcp)
        capabilities = TcpConnectionOffload(64)
        adapter.set_miniport_attributes(self.handle, OffloadAttributes(self.context, capabilities, capabilities))
        self.up = event_handlers(adapter)

    def initiate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        assert adapter_context is self.context
        self._todo.append(("initiate", block_list))

    def terminate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        assert adapter_context is self.context
        self._todo.append(("terminate", block_list))

    def update_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        raise AssertionError("the fake miniport takes no such call")

    query_offload = invalidate_offload = update_offload

    def tcp_offload_forward(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        for one in unchain(nbl):
            one.set_status(Owner.TARGET, NdisStatus.UPLOAD_IN_PROGRESS)
            self.up.forward_complete(self.handle, one)
        return NdisStatus.PENDING

    def oid_request(self, adapter_context: object, request: OidRequest) -> NdisStatus:
        return NdisStatus.NOT_SUPPORTED

    def send_raw(self, adapter_context: object, frame: bytes) -> None:
        self.out.append(frame)

    def _initiate(self, root: OffloadBlock) -> None:
        walk = initiate_walk(root)
        live: list[tuple[FakeConnection, OffloadBlock]] = []
        inherited: dict[int, bytes] = {}
        try:
            attempt = next(walk)
            while True:
                self._attempts += 1
                status = self.failures.get(self._attempts, NdisStatus.SUCCESS)
                if status is not NdisStatus.SUCCESS:
                    attempt = walk.send(AttemptResult(status))
                    continue
                self._next_context += 1
                if attempt.node.type.layer is Layer.TCP:
                    live.append((self._load(attempt.node, self._next_context), attempt.node))
                    state = attempt.node.delegated
                    assert isinstance(state, TcpDelegated)
                    lists = iterate(state.buffered_data)
                    inherited[id(attempt.node)] = b"".join(nbl.read(Owner.TARGET, self.memory) for nbl in lists)
                else:
                    self.contexts[self._next_context] = None
                attempt = walk.send(AttemptResult(NdisStatus.SUCCESS, self._next_context))
        except StopIteration:
            pass
        self.adapter.initiate_offload_complete(self.handle, root)
        for connection, node in live:
            data = b""
            for nbl in unchain(node.net_buffer_list_chain):
                data += nbl.read(Owner.TARGET, self.memory)
                self._append(connection, nbl)
            delegated = node.delegated
            assert isinstance(delegated, TcpDelegated)
            connection.tcp.restore(delegated, data, False, self.now)
            connection.pending += inherited.pop(id(node), b"")
            connection.waits = bool(connection.pending)

    def _load(self, node: OffloadBlock, context: int) -> FakeConnection:
        const, cached, delegated = node.const, node.cached, node.delegated
        assert isinstance(const, TcpConst)
        assert isinstance(cached, TcpCached)
        assert isinstance(delegated, TcpDelegated)
        remote = Endpoint(PEER.mac, PEER.ip, structure_port(const.remote_port))
        local = Endpoint(HOST_MAC, HOST_IP, structure_port(const.local_port))
        config = SoftTcpConfig(initial_rcv_wnd=cached.initial_rcv_wnd)
        tcp = SoftTcp(local, remote, config, self._emit)
        tcp.ts_enabled = bool(const.flags & 1)
        tcp.snd_scale, tcp.rcv_scale = const.snd_wind_scale, const.rcv_wind_scale
        tcp.remote_mss = const.remote_mss
        connection = FakeConnection(node.ndis_offload_handle, tcp, end=delegated.snd_una)
        self.contexts[context] = connection
        return connection

    def _emit(self, segment: Segment) -> None:
        self._ip_id = 0x8000 | (self._ip_id + 1) & 0x7FFF
        self.out.append(encode(replace(segment, ip_id=self._ip_id)))

    def _terminate(self, root: OffloadBlock) -> None:
        for node in traverse(root):
            context = node.context
            assert context is not None
            connection = self.contexts.pop(context)
            node.status = NdisStatus.SUCCESS
            if connection is not None:
                self._upload(connection, node)
        self.adapter.terminate_offload_complete(self.handle, root)

    def _upload(self, connection: FakeConnection, node: OffloadBlock) -> None:
        self._complete_sends(connection)
        status = NdisStatus.REQUEST_ABORTED if connection.tcp.aborted else NdisStatus.UPLOAD_IN_PROGRESS
        while connection.receives:
            self._fill(connection)
            if connection.receives:
                nbl = connection.receives.popleft()
                self._complete_receive(nbl, status, connection.filled)
                connection.filled = 0
        chained: list[NetBufferList] = []
        una = connection.tcp.snd_una
        while connection.sends:
            nbl, end = connection.sends.popleft()
            done = max(0, nbl.data_length - (end - una & 0xFFFF_FFFF))
            if self.chain_unfinished and status is NdisStatus.UPLOAD_IN_PROGRESS:
                for nb in nbl.net_buffers:
                    delta = min(done, nb.data_length)
                    nb.advance(delta)
                    done -= delta
                chained.append(nbl)
                continue
            nbl.complete(Owner.TARGET, status, done)
            self.up.send_complete(self.handle, nbl)
        if connection.disconnect is not None:
            nbl, end = connection.disconnect
            done = max(0, nbl.data_length - (end - una & 0xFFFF_FFFF))
            nbl.complete(Owner.TARGET, status, done)
            self.up.disconnect_complete(self.handle, nbl)
        buffered = None
        if connection.pending:
            buffered = self._pool_list(bytes(connection.pending))
        node.net_buffer_list_chain = chain(chained) if chained else None
        node.delegated = replace(
            connection.tcp.snapshot(self.now),
            buffered_data=buffered,
            send_data_head=chained[0] if chained else None,
            send_data_tail=chained[-1] if chained else None,
        )

    def _pool_list(self, data: bytes) -> NetBufferList:
        shape = BufferShape(max_net_buffers=1, max_mdls=2)
        nbl = build_net_buffer_list(self.allocator, self.memory, data, shape, self.rng)
        assert nbl is not None
        nbl.hand_over(Owner.HOST, Owner.TARGET)
        self.held.append(nbl)
        return nbl

    # ---- I/O calls

    def _connection(self, context: int) -> FakeConnection:
        connection = self.contexts[context]
        assert connection is not None
        return connection

    def _append(self, connection: FakeConnection, nbl: NetBufferList) -> None:
        connection.end = connection.end + nbl.data_length & 0xFFFF_FFFF
        connection.sends.append((nbl, connection.end))

    def tcp_offload_send(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        connection = self._connection(context)
        for one in unchain(nbl):
            data = one.read(Owner.TARGET, self.memory)
            self._append(connection, one)
            connection.tcp.send(data, self.now)
        return NdisStatus.PENDING

    def tcp_offload_receive(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        connection = self._connection(context)
        connection.receives.extend(unchain(nbl))
        connection.refused = connection.waits = False
        return NdisStatus.PENDING

    def tcp_offload_receive_return(self, adapter_context: object, nbl: NetBufferList) -> NdisStatus:
        for one in unchain(nbl):
            self.held.remove(one)
            one.hand_over(Owner.TARGET, Owner.HOST)
            free_net_buffer_list(self.allocator, one)
        return NdisStatus.SUCCESS

    def tcp_offload_disconnect(
        self, adapter_context: object, context: int, nbl: NetBufferList, flags: DisconnectFlags
    ) -> NdisStatus:
        connection = self._connection(context)
        data = nbl.read(Owner.TARGET, self.memory)
        connection.end = connection.end + len(data) & 0xFFFF_FFFF
        connection.disconnect = (nbl, connection.end)
        if data:
            connection.tcp.send(data, self.now)
        connection.tcp.close(self.now)
        return NdisStatus.PENDING

    # ---- progress

    def on_frame(self, frame: bytes) -> None:
        segment = decode(frame)
        for connection in self.contexts.values():
            if segment is None or connection is None:
                continue
            tcp = connection.tcp
            if segment.destination.port == tcp.local.port and segment.source.port == tcp.remote.port:
                tcp.on_segment(segment, self.now)
                return
        self.adapter.indicate_raw(self.handle, frame)

    def on_tick(self, tick: int) -> None:
        self.now = tick
        for connection in self.contexts.values():
            if connection is not None:
                connection.tcp.on_tick(tick)

    def next_deadline(self) -> int | None:
        due = [d for c in self.contexts.values() if c is not None and (d := c.tcp.deadline()) is not None]
        return min(due, default=None)

    def step(self) -> bool:
        progress = bool(self._todo)
        while self._todo:
            what, root = self._todo.popleft()
            self._initiate(root) if what == "initiate" else self._terminate(root)
        for connection in list(self.contexts.values()):
            if connection is not None:
                progress |= self._deliver(connection)
                progress |= self._complete_sends(connection)
        return progress

    def _complete_sends(self, connection: FakeConnection) -> bool:
        una, progress = connection.tcp.snd_una, False
        while connection.sends and not (connection.sends[0][1] - una) & 0xFFFF_FFFF:
            progress |= self._send_done(connection)
        while connection.sends and (una - connection.sends[0][1]) & 0xFFFF_FFFF < 0x8000_0000:
            progress |= self._send_done(connection)
        if connection.disconnect is not None and not connection.sends and connection.tcp.fin_acked:
            nbl, _ = connection.disconnect
            connection.disconnect = None
            nbl.complete(Owner.TARGET, NdisStatus.SUCCESS, nbl.data_length)
            self.up.disconnect_complete(self.handle, nbl)
            progress = True
        return progress

    def _send_done(self, connection: FakeConnection) -> bool:
        nbl, _ = connection.sends.popleft()
        nbl.complete(Owner.TARGET, NdisStatus.SUCCESS, nbl.data_length)
        self.up.send_complete(self.handle, nbl)
        return True

    def _complete_receive(self, nbl: NetBufferList, status: NdisStatus, got: int) -> None:
        nbl.complete(Owner.TARGET, status, got)
        self.up.receive_complete(self.handle, nbl)

    def _fill(self, connection: FakeConnection) -> bool:
        progress = False
        while connection.receives:
            nbl = connection.receives[0]
            take = min(len(connection.pending), nbl.data_length - connection.filled)
            nbl.write(Owner.TARGET, self.memory, bytes(connection.pending[:take]), connection.filled)
            del connection.pending[:take]
            connection.filled += take
            full = connection.filled == nbl.data_length
            if not full and (nbl.no_push or connection.filled == 0):
                break
            connection.receives.popleft()
            got, connection.filled = connection.filled, 0
            self._complete_receive(nbl, NdisStatus.SUCCESS, got)
            progress = True
        return progress

    def _deliver(self, connection: FakeConnection) -> bool:
        connection.pending += connection.tcp.take_received()
        progress = self._fill(connection)
        while connection.pending and not (connection.receives or connection.refused or connection.waits):
            nbl = self._pool_list(bytes(connection.pending[: self.rng.randint(1, 3000)]))
            total = nbl.data_length
            status, consumed = self.up.receive(connection.handle, nbl, NdisStatus.SUCCESS)
            del connection.pending[:consumed]
            progress = True
            if status is not NdisStatus.SUCCESS:
                connection.refused = True
                self.held.remove(nbl)
                nbl.hand_over(Owner.TARGET, Owner.HOST)
                free_net_buffer_list(self.allocator, nbl)
            else:
                assert consumed == total
            progress |= self._fill(connection)
        if connection.tcp.peer_fin and not connection.pending and not connection.fin_told:
            while connection.receives:
                got, connection.filled = connection.filled, 0
                self._complete_receive(connection.receives.popleft(), NdisStatus.SUCCESS, got)
            connection.fin_told = True
            self.up.event(connection.handle, TcpEventType.DISCONNECT, 0)
            progress = True
        return progress


@dataclass(frozen=True)
class Wire:
    """What the wire of the bench does to frames, each way."""

    loss: float = 0.0
    delay: int = 1


class Target(Protocol):
    """What the bench runs below the host."""

    out: list[bytes]

    def on_frame(self, frame: bytes) -> None: ...

    def on_tick(self, tick: int) -> None: ...

    def next_deadline(self) -> int | None: ...

    def step(self) -> bool: ...


class DrivenDevice:
    """The miniport driver over the fake device, as one Target."""

    def __init__(self, driver: MiniportDriver, device: FakeDevice) -> None:
        self.driver = driver
        self.device = device
        self.out = device.out
        self.on_frame = device.on_frame
        self.next_deadline = device.next_deadline

    def on_tick(self, tick: int) -> None:
        self.device.on_tick(tick)
        self.driver.on_tick(tick)

    def step(self) -> bool:
        progress = self.device.step()
        if self.device.irq:
            self.device.irq = False
            self.driver.on_interrupt()
        return progress


class TwoDevices:
    """Two driven devices on one wire; frames go to the one that works on the connection, else to the first."""

    def __init__(self, targets: list[DrivenDevice]) -> None:
        self.targets = targets
        self.out: list[bytes] = []

    def on_frame(self, frame: bytes) -> None:
        segment = decode(frame)
        found = self.targets[0]
        for target in self.targets:
            for conn in target.device.conns.values():
                ports = (conn.tcp.remote.port, conn.tcp.local.port)
                if segment is not None and conn.running and ports == (segment.source.port, segment.destination.port):
                    found = target
        found.on_frame(frame)

    def on_tick(self, tick: int) -> None:
        for target in self.targets:
            target.on_tick(tick)

    def next_deadline(self) -> int | None:
        return min((d for t in self.targets if (d := t.next_deadline()) is not None), default=None)

    def step(self) -> bool:
        moved = [target.step() for target in self.targets]
        for target in self.targets:
            self.out += target.out
            target.out.clear()
        return any(moved)


class Bench:
    """Host, target, wire and peer, run until the host is done.

    The target is the fake miniport, or with ``driver`` the real driver over a fake device; ``between`` puts
    intermediate drivers above it.
    """

    target: Target

    def __init__(
        self,
        seed: int = 1,
        wire: Wire | None = None,
        failures: dict[int, NdisStatus] | None = None,
        chain_unfinished: bool = False,
        joint_terminate: float = 0.5,
        driver: DriverConfig | None = None,
        device_failures: dict[int, Status] | None = None,
        start_failures: dict[int, Status] | None = None,
        terminate_status: Status = Status.OK,
        between: Callable[[MiniportFace], MiniportFace] = lambda below: below,
    ) -> None:
        self.memory = FlatMemory(64 << 20)
        self.allocator = PageAllocator(self.memory, 0, 40 << 20, seed)
        self.pool = PageAllocator(self.memory, 40 << 20, 64 << 20, seed)
        config = HostConfig(seed=seed, joint_terminate=joint_terminate)
        self.host = NdisHost(self.memory, self.allocator, HOST_MAC, HOST_IP, config)
        if driver is None:
            fake = FakeMiniport(self.host, self.memory, self.pool, seed, failures, chain_unfinished)
            self.host.attach(between(fake))
            self.target = fake
        else:
            limits = driver.limits
            self.device = FakeDevice(
                self.memory,
                seed,
                driver.conns,
                limits.sends,
                limits.receives,
                device_failures,
                start_failures,
                terminate_status,
            )
            self.driver = MiniportDriver(self.device, self.host, self.pool, driver)
            self.driver.reset()
            assert self.driver.ready()
            self.driver.start()
            self.host.attach(between(self.driver))
            self.target = DrivenDevice(self.driver, self.device)
        self.apps: list[EchoApp] = []
        self.peer = TcpPeer(PeerConfig(mac="02:00:00:00:00:02", ip="10.0.0.2"), self._app)
        self.rng = random.Random(seed)
        self.wire = wire or Wire()
        self.tick = 0
        self._flying: list[tuple[int, int, bool, bytes]] = []
        self._count = 0
        self.frames: list[tuple[bool, bytes]] = []

    def _app(self, index: int) -> EchoApp:
        self.apps.append(EchoApp())
        return self.apps[-1]

    def _fly(self, to_peer: bool, frame: bytes) -> None:
        self.frames.append((to_peer, frame))
        if self.rng.random() < self.wire.loss:
            return
        self._count += 1
        self._flying.append((self.tick + self.wire.delay, self._count, to_peer, frame))

    def run(self, limit: int = 2_000_000, until: Callable[[], bool] | None = None) -> None:
        """Run until the host is done (or ``until`` holds); a stall or the tick limit is an error."""
        while not self.host.done and not (until is not None and until()):
            while self.host.step() | self.target.step():
                pass
            for frame in self.target.out:
                self._fly(True, frame)
            self.target.out.clear()
            if self.host.done:
                return
            due = [at for at, *_ in self._flying]
            due += [d for d in (self.host.next_deadline(), self.target.next_deadline()) if d is not None]
            peer = self.peer.next_deadline()
            if peer is not None:
                due.append(peer)
            assert due, f"nothing will ever happen again at tick {self.tick}: {self.describe()}"
            self.tick = max(self.tick, min(due))
            assert self.tick < limit, f"still running at tick {self.tick}: {self.describe()}"
            self._advance()

    def _advance(self) -> None:
        self.host.on_tick(self.tick)
        self.target.on_tick(self.tick)
        for frame in self.peer.on_tick(self.tick):
            self._fly(False, frame)
        now = sorted(f for f in self._flying if f[0] <= self.tick)
        self._flying = [f for f in self._flying if f[0] > self.tick]
        for _, _, to_peer, frame in now:
            if to_peer:
                for answer in self.peer.on_frame(frame, self.tick):
                    self._fly(False, answer)
            else:
                self.target.on_frame(frame)

    def describe(self) -> str:
        """State for a failure message."""
        return str([(getattr(c, "phase", None), len(getattr(c, "sink", b""))) for c in self.host.clients])


__all__ = ["HOST_IP", "HOST_MAC", "PEER", "Bench", "FakeMiniport", "TcpConnectionState", "Wire"]
