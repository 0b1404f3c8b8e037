"""Query, update, invalidate, neighbor queries, failing terminates: host and driver against a fake device."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import pytest

from model.layout.generated import Cqe, Opcode, Sqe, Status
from model.layout.generated import TcpEventType as DeviceEvent
from model.ndis.bookkeeping import ContractError
from model.ndis.enums import OffloadStateType, TcpCachedFlags, TcpConnectionState, TcpEventType
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.host import OffloadedConnection, SharedObject
from model.ndis.host_state import StateCallError, StateRequest
from model.ndis.intermediate import stack_intermediates
from model.ndis.miniport import DriverConfig
from model.ndis.miniport_io import ConnectionIo
from model.ndis.netbuffer import BufferShape, NetBufferList, allocate_net_buffer
from model.ndis.offload_state import (
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
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import NdisStatus
from tb.tests.model.ndis_bench import HOST_IP, PEER, Bench, Wire
from tb.tests.model.ndis_fake_device import FakeConn

WRAPPING = SoftTcpConfig(initial_seq=0xFFFF_F000, initial_ts=0xFFFF_FFF0)
ANSWER = 300
OTHER_MAC = bytes.fromhex("0200000000aa")


def transfer(bench: Bench, size: int = 100_000, port: int = 4000, **changes: object) -> FileTransferApp:
    config = FileTransferConfig(seed=port, tcp=WRAPPING, **changes)  # type: ignore[arg-type]
    return FileTransferApp(bench.host, config, random.Random(port).randbytes(size), PEER, port)


class Running:
    """A bench whose connections are all offloaded and at work."""

    def __init__(self, seed: int, conns: int = 1, between: int = 0, share: float = 0.2, **changes: object) -> None:
        self.bench = Bench(
            seed,
            Wire(delay=2),
            driver=DriverConfig(**changes),  # type: ignore[arg-type]
            between=lambda below: stack_intermediates(below, between),
        )
        self.apps = [transfer(self.bench, port=4000 + i) for i in range(conns)]
        self.bench.run(until=lambda: all(a.progress >= share and a.phase is AppPhase.RUNNING for a in self.apps))
        connections = [app.connection for app in self.apps]
        self.connections: list[OffloadedConnection] = [c for c in connections if c is not None]
        self.path = self.connections[0].path
        neighbor = self.path.below
        assert isinstance(neighbor, SharedObject)
        self.neighbor = neighbor

    @property
    def host_state(self) -> object:
        return self.bench.host.state

    def settle(self) -> None:
        """Everything that happens without time passing."""
        while self.bench.host.step() | self.bench.target.step():
            pass

    def whole(self) -> OffloadBlock:
        """A tree of neighbor, path and every connection, for a query of all state."""
        root = self.neighbor.node(OffloadStateType.NEIGHBOR)
        block = self.path.node(OffloadStateType.IP4)
        root.dependent_block_list = block
        block.dependent_block_list = link([c.node(OffloadStateType.TCP) for c in self.connections])
        return root

    def finish(self) -> None:
        """To the end, byte exact."""
        self.bench.run()
        for app in self.apps:
            assert (app.phase, app.failure, bytes(app.sink)) == (AppPhase.DONE, "", app.data)
        assert self.bench.peer.violations == []
        assert self.bench.driver.lists.used == self.bench.driver.bounce.used == 0
        assert self.bench.allocator.used_pages == 0


# ---- query


@pytest.mark.rule("CH-074", "CH-075", "CH-078", "G-35")
@pytest.mark.parametrize("between", [0, 3])
def test_a_query_returns_every_structure_of_every_object_of_a_tree(between: int) -> None:
    at = Running(1, conns=3, between=between)
    at.bench.device.ages = (77, 33)
    done: list[StateRequest] = []
    request = at.bench.host.state.query(at.whole(), done.append)
    at.settle()

    assert done == [request]
    assert request.statuses == [NdisStatus.SUCCESS] * 5
    neighbor, path = request.node(at.neighbor), request.node(at.path)
    assert isinstance(neighbor.const, NeighborConst)
    assert neighbor.cached == NeighborCached(PEER.mac, 77)
    assert neighbor.delegated == NeighborDelegated(33)
    assert (path.const, path.cached, path.delegated) == (
        PathConst(HOST_IP, PEER.ip),
        PathCached(1500),
        PathDelegated(),
    )
    for connection in at.connections:
        node = request.node(connection)
        assert isinstance(node.const, TcpConst)
        assert node.cached == connection.cached
        assert isinstance(node.delegated, TcpDelegated)
        assert node.delegated.state is TcpConnectionState.ESTABLISHED
        tcp = at.bench.device.conns[at.bench.driver._by_id[connection.number].id].tcp
        assert (node.delegated.snd_una, node.delegated.rcv_nxt) == (tcp.snd_una, tcp.rcv_nxt)
        assert node.delegated.send_backlog_size == 4096
    at.finish()


@pytest.mark.rule("CH-074")
@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (OffloadStateType.TCP_CONST, (True, False, False)),
        (OffloadStateType.TCP_CACHED, (False, True, False)),
        (OffloadStateType.TCP_DELEGATED, (False, False, True)),
        (OffloadStateType.TCP, (True, True, True)),
    ],
)
def test_a_query_writes_the_structures_that_the_type_of_the_node_names(
    kind: OffloadStateType, written: tuple[bool, bool, bool]
) -> None:
    at = Running(2)
    request = at.bench.host.state.query(at.connections[0].node(kind))
    at.settle()
    node = request.node(at.connections[0])
    assert tuple(state is not None for state in (node.const, node.cached, node.delegated)) == written
    at.finish()


@pytest.mark.rule("CH-076")
def test_the_receive_backlog_is_what_is_buffered_and_not_delivered_here_and_in_the_device() -> None:
    bench = Bench(3, driver=DriverConfig())
    app = transfer(bench, 20_000, software_first=9_000, hand_over_received=True, refuse=1.0)

    def one_small_request() -> bool:
        app._post_receives = lambda: False  # type: ignore[method-assign]
        buffer = allocate_net_buffer(bench.allocator, 40, BufferShape(), random.Random(3))
        assert buffer is not None
        bench.host.issue_receive(app._offloaded(), [NetBufferList([buffer])])
        return True

    app._post_receives = one_small_request  # type: ignore[method-assign]
    bench.run(until=lambda: app.connection is not None and app.connection.ledger.refused)
    connection = app.connection
    assert connection is not None
    request = bench.host.state.query(connection.node(OffloadStateType.TCP))
    while bench.host.step() | bench.target.step():
        pass
    state = request.node(connection).delegated
    assert isinstance(state, TcpDelegated)
    conn = bench.device.conns[0]
    inside = len(conn.tcp.received) + sum(node.length for node in conn.pool)
    assert state.receive_backlog_size == inside + len(bench.driver._by_id[0].buffered) > inside


@pytest.mark.rule("CH-077", "CH-230")
def test_queries_of_one_object_overlap_and_a_terminate_waits_for_all_of_them() -> None:
    at = Running(4)
    done: list[StateRequest] = []
    connection = at.connections[0]
    requests = [at.bench.host.state.query(connection.node(OffloadStateType.TCP), done.append) for _ in range(3)]
    at.bench.host.terminate(connection)
    at.bench.host.step()
    assert not connection.ledger.uploading
    at.apps[0]._want_upload = True
    at.apps[0].phase = AppPhase.TERMINATING
    at.finish()
    assert done == requests


@pytest.mark.rule("CH-077")
def test_more_queries_than_there_is_set_up_memory_for_are_all_completed() -> None:
    at = Running(5, conns=4, share=0.02, list_bytes=4096)
    requests = [
        at.bench.host.state.query(connection.node(OffloadStateType.TCP))
        for connection in at.connections
        for _ in range(20)
    ]
    assert at.bench.driver._state.waits > 0
    at.bench.run(until=lambda: all(request.completed for request in requests))
    assert all(request.statuses == [NdisStatus.SUCCESS] for request in requests)
    at.finish()


@pytest.mark.rule("CH-095", "CH-096", "CH-249")
@pytest.mark.parametrize("call", ["query", "invalidate"])
def test_a_call_the_device_fails_is_followed_by_retrieve_then_abort_and_all_comes_back_aborted(
    call: str,
) -> None:
    at = Running(6)
    at.bench.device.state_status = Status.WRITE_ERROR
    connection = at.connections[0]
    at.bench.host.trace.clear()
    if call == "query":
        request = at.bench.host.state.query(connection.node(OffloadStateType.TCP))
    else:
        request = at.bench.host.state.invalidate([connection])
    outstanding = len(connection.ledger.sends)
    at.settle()
    assert request.statuses == [NdisStatus.FAILURE]
    at.bench.device.state_status = Status.OK
    at.bench.run()

    told = [(e.name, e.detail) for e in at.bench.host.trace if e.name in ("tcp event", f"{call} complete")]
    assert told == [(f"{call} complete", ""), ("tcp event", "RETRIEVE(HARDWARE_FAILURE)"), ("tcp event", "ABORT")]
    later = [e for e in at.bench.host.trace if e.name in ("send complete", "receive complete")]
    assert len(later) >= outstanding
    assert not [e for e in later if e.detail.startswith("UPLOAD")]
    assert at.apps[0].phase is AppPhase.FAILED
    assert at.apps[0].data.startswith(bytes(at.apps[0].sink))
    assert at.bench.allocator.used_pages == 0


@pytest.mark.rule("CH-095", "CH-167", "CH-193")
def test_a_lost_connection_is_told_once_and_hears_nothing_more_of_the_device() -> None:
    at = Running(6)
    at.bench.device.state_status = Status.WRITE_ERROR
    connection = at.connections[0]
    for _ in range(2):
        at.bench.host.state.query(connection.node(OffloadStateType.TCP))
    at.bench.host.clients.clear()
    at.settle()
    at.bench.device._event(at.bench.device.conns[0], DeviceEvent.DISCONNECT)
    segment = at.bench.host.build(bytes(40), BufferShape(max_net_buffers=1), random.Random(1))
    assert segment is not None
    at.bench.host.issue_forward(connection, [segment])
    at.settle()

    told = [e.detail for e in at.bench.host.trace if e.name == "tcp event"]
    assert told == ["RETRIEVE(HARDWARE_FAILURE)", "ABORT"]
    assert segment.status is NdisStatus.REQUEST_ABORTED


def test_a_node_that_names_nothing_fails_and_takes_nothing_else_with_it() -> None:
    at = Running(7)
    stranger = OffloadBlock(OffloadStateType.TCP, at.connections[0].handle.__class__(0x999))
    root = link([at.connections[0].node(OffloadStateType.TCP), stranger])
    assert root is not None
    request = at.bench.host.state.query(root)
    at.settle()
    assert request.statuses == [NdisStatus.SUCCESS, NdisStatus.FAILURE]
    at.finish()


# ---- update


def sent_since(at: Running, frame: int) -> list[bytes]:
    """Frames the device sent since."""
    return [data for to_peer, data in at.bench.frames[frame:] if to_peer]


@pytest.mark.rule("CH-080", "CH-089")
@pytest.mark.parametrize("between", [0, 2])
def test_an_update_changes_the_cached_variables_of_several_connections_and_nothing_else(between: int) -> None:
    at = Running(8, conns=2, between=between)
    before = [at.bench.device.conns[i].image for i in range(2)]
    changes = [(c, replace(c.cached, ttl_or_hop_limit=40 + c.number, max_rt=9000)) for c in at.connections]
    request = at.bench.host.state.update(changes)
    at.settle()

    assert request.statuses == [NdisStatus.SUCCESS] * 2
    for i, (connection, cached) in enumerate(changes):
        assert connection.cached == cached
        assert at.bench.device.conns[i].image == replace(before[i], ttl=40 + i, max_rt=9000)
    frame = len(at.bench.frames)
    at.bench.run(until=lambda: len(sent_since(at, frame)) >= 6)
    assert {data[22] for data in sent_since(at, frame)} <= {40, 41}
    at.finish()


@pytest.mark.rule("CH-084", "CH-085", "CH-086")
def test_flags_that_act_once_reach_the_device_and_are_no_state_behind_the_update() -> None:
    at = Running(9)
    once = TcpCachedFlags.UPDATE_RCV_WND | TcpCachedFlags.MAX_RT_RESTART | TcpCachedFlags.KEEP_ALIVE_RESTART
    cached = replace(at.connections[0].cached, flags=once, initial_rcv_wnd=30_000)
    at.bench.host.state.update([(at.connections[0], cached)])
    at.settle()
    assert at.bench.device.conns[0].image.cached_flags == once
    assert at.connections[0].cached == replace(cached, flags=TcpCachedFlags(0))
    at.finish()


@pytest.mark.rule("CH-082")
@pytest.mark.parametrize("between", [0, 2])
def test_behind_a_change_of_the_destination_address_every_frame_carries_the_new_one(between: int) -> None:
    at = Running(10, between=between)
    request = at.bench.host.state.update([(at.neighbor, NeighborCached(OTHER_MAC, 5))])
    at.settle()
    assert request.statuses == [NdisStatus.SUCCESS]
    assert at.neighbor.cached == NeighborCached(OTHER_MAC, 5)
    frame = len(at.bench.frames)
    at.bench.run(until=lambda: len(sent_since(at, frame)) >= 3)
    assert {data[:6] for data in sent_since(at, frame)[1:]} == {OTHER_MAC}
    asked = at.bench.host.state.query(at.neighbor.node(OffloadStateType.NEIGHBOR))
    at.settle()
    assert asked.root.cached == NeighborCached(OTHER_MAC, 0)
    at.bench.host.state.update([(at.neighbor, NeighborCached(PEER.mac))])
    at.finish()


@pytest.mark.rule("CH-080", "CH-083")
def test_a_path_mtu_above_what_the_device_takes_fails_and_changes_nothing() -> None:
    at = Running(11)
    request = at.bench.host.state.update([(at.path, PathCached(9000))])
    at.settle()
    assert (request.statuses, at.path.cached) == ([NdisStatus.FAILURE], PathCached(1500))
    request = at.bench.host.state.update([(at.path, PathCached(1200))])
    at.settle()
    assert (request.statuses, at.path.cached) == ([NdisStatus.SUCCESS], PathCached(1200))
    assert at.bench.device._paths[0].path_mtu == 1200
    at.finish()


def other_neighbor(at: Running) -> SharedObject:
    """A second next hop, offloaded by itself."""
    made = at.bench.host.offload_neighbor(OTHER_MAC)
    at.settle()
    assert made.is_offloaded
    return made


@pytest.mark.rule("CH-081", "CH-089")
@pytest.mark.parametrize("between", [0, 2])
def test_a_relinked_path_sends_to_its_new_neighbor_and_the_old_one_can_go(between: int) -> None:
    at = Running(12, between=between)
    second = other_neighbor(at)
    request = at.bench.host.state.relink(second, [at.path])
    at.settle()

    assert request.statuses == [NdisStatus.SUCCESS] * 2
    assert at.path.below is second
    assert (at.neighbor.users, second.users) == (0, 1)
    frame = len(at.bench.frames)
    at.bench.run(until=lambda: len(sent_since(at, frame)) >= 3)
    assert {data[:6] for data in sent_since(at, frame)[1:]} == {OTHER_MAC}
    back = at.bench.host.state.relink(at.neighbor, [at.path])
    at.settle()
    assert back.statuses == [NdisStatus.SUCCESS] * 2
    at.finish()


@pytest.mark.rule("CH-083")
def test_a_failed_relink_leaves_the_path_where_it_was() -> None:
    at = Running(13)
    second = other_neighbor(at)
    at.bench.device.state_status = Status.BAD_STATE
    request = at.bench.host.state.relink(second, [at.path])
    at.settle()
    at.bench.device.state_status = Status.OK
    assert request.node(at.path).status is NdisStatus.FAILURE
    assert at.path.below is at.neighbor
    assert at.bench.driver._contexts[at.path.handle.miniport_offload_context or 0].below is not None  # type: ignore[union-attr]
    at.finish()


@pytest.mark.rule("CH-088", "CH-059", "CH-091")
def test_the_host_makes_no_state_call_it_promised_not_to_make() -> None:
    at = Running(14)
    state = at.bench.host.state
    connection = at.connections[0]
    state.update([(connection, connection.cached)])
    refused: list[Callable[[], StateRequest]] = [
        lambda: state.update([(connection, connection.cached)]),
        lambda: state.update([]),
        lambda: state.invalidate([]),
    ]
    for call in refused:
        with pytest.raises(StateCallError):
            call()
    at.settle()
    state.invalidate([connection])
    with pytest.raises(StateCallError, match="CH-088"):
        state.update([(connection, connection.cached)])
    at.settle()
    connection.ledger.uploading = True
    with pytest.raises(StateCallError, match="CH-059"):
        state.query(connection.node(OffloadStateType.TCP))
    connection.ledger.uploading = False


@pytest.mark.rule("CH-030", "CH-074")
def test_an_answer_that_writes_too_little_or_too_much_is_a_fault_of_the_target() -> None:
    at = Running(15)
    driver, connection = at.bench.driver, at.connections[0]
    driver.query_offload = lambda _, root: finish(root, None)  # type: ignore[method-assign,assignment]

    def finish(root: OffloadBlock, cached: TcpCached | None) -> None:
        for node in traverse(root):
            node.status = NdisStatus.SUCCESS
            node.cached = cached or node.cached
        complete = (
            driver.adapter.query_offload_state_complete if cached is None else driver.adapter.update_offload_complete
        )
        complete(driver.adapter.miniport_handle, root)

    with pytest.raises(ContractError, match="CH-074"):
        at.bench.host.state.query(connection.node(OffloadStateType.TCP))
    driver.update_offload = lambda _, root: finish(root, TcpCached())  # type: ignore[method-assign,assignment]
    with pytest.raises(ContractError, match="CH-029"):
        at.bench.host.state.update([(connection, replace(connection.cached, max_rt=5))])


# ---- invalidate


@pytest.mark.rule("CH-091", "CH-092", "CH-093", "CH-094", "G-03")
@pytest.mark.parametrize("what", ["connection", "path", "neighbor"])
@pytest.mark.parametrize("between", [0, 2])
def test_behind_an_invalidate_no_frame_leaves_and_the_connections_are_asked_back(what: str, between: int) -> None:
    at = Running(16, conns=2, between=between)
    target = {"connection": at.connections[0], "path": at.path, "neighbor": at.neighbor}[what]
    request = at.bench.host.state.invalidate([target])
    assert all(
        (node.const, node.cached, node.delegated, node.net_buffer_list_chain) == (None, None, None, None)
        for node in traverse(request.root)
    )
    completed: list[int] = []
    request.done = lambda _: completed.append(len(at.bench.frames) + len(at.bench.target.out))
    at.bench.run(until=lambda: request.completed)
    at.bench.run(until=lambda: at.apps[0].uploaded_state is not None)

    hit = {4000} if what == "connection" else {4000, 4001}
    offloaded = [data for data in sent_since(at, completed[0]) if data[18] & 0x80]
    ports = {int.from_bytes(data[34:36], "big") for data in offloaded}
    assert not ports & hit
    assert request.statuses == [NdisStatus.SUCCESS]
    at.bench.run()
    assert at.bench.host.completions["event"]["RETRIEVE(INVALID_STATE)"] == len(hit)
    for app in at.apps:
        assert (app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data)


@pytest.mark.rule("CH-184", "CH-091", "G-22")
@pytest.mark.parametrize("what", ["connection", "path", "neighbor"])
def test_an_invalidate_waits_for_the_rst_that_an_abort_before_it_reports(what: str) -> None:
    at = Running(16, conns=2)
    target = {"connection": at.connections[0], "path": at.path, "neighbor": at.neighbor}[what]
    driver = at.bench.driver
    order: list[Opcode | str] = []
    submit, completed = driver.submit, ConnectionIo.on_send

    def submitted(entry: Sqe) -> None:
        if entry.opcode is Opcode.INVALIDATE or (entry.opcode is Opcode.DISCONNECT and entry.flags & 2):
            order.append(Opcode(entry.opcode))
        submit(entry)

    def answered(io: ConnectionIo, cqe: Cqe) -> None:
        if cqe.code == Opcode.DISCONNECT:
            order.append("rst left")
        completed(io, cqe)

    with patch.object(driver, "submit", submitted), patch.object(ConnectionIo, "on_send", answered):
        app = at.apps[0]
        app.config = replace(app.config, abort_after=0)
        assert app._abort()
        request = at.bench.host.state.invalidate([target])
        at.bench.run(until=lambda: request.completed)
    assert order == [Opcode.DISCONNECT, "rst left", Opcode.INVALIDATE]
    assert request.statuses == [NdisStatus.SUCCESS]
    at.bench.run()


def deaf(at: Running) -> list[tuple[Opcode, int]]:
    """The device never answers abort and terminate of its first connection; what came to it, and whose it was."""
    device, came = at.bench.device, list[tuple[Opcode, int]]()
    execute = device._execute

    def executed(sqe: Sqe, *rest: object) -> None:
        came.append((Opcode(sqe.opcode), sqe.conn))
        if (sqe.opcode, sqe.conn) == (Opcode.TERMINATE, 0):
            del device.conns[0]
        elif (sqe.opcode, sqe.conn) != (Opcode.DISCONNECT, 0):
            execute(sqe, *rest)  # type: ignore[arg-type]

    device._execute = executed  # type: ignore[method-assign, assignment]
    return came


def abort(at: Running, number: int = 0) -> None:
    app = at.apps[number]
    app.config = replace(app.config, abort_after=0)
    assert app._abort()


@pytest.mark.rule("CH-091", "CH-184", "G-20")
@pytest.mark.parametrize("what", ["path", "neighbor"])
def test_an_abort_that_is_never_answered_loses_its_connection_alone_and_lets_the_invalidate_go(what: str) -> None:
    at = Running(4, conns=4, answer_ticks=ANSWER, terminate_ticks=ANSWER)
    came, driver = deaf(at), at.bench.driver
    began = driver.now
    abort(at)
    at.settle()
    driver.on_tick(began + 10)
    request = at.bench.host.state.invalidate([{"path": at.path, "neighbor": at.neighbor}[what]])
    at.settle()
    assert (Opcode.INVALIDATE in {opcode for opcode, _ in came}, request.completed) == (False, False)
    driver.on_tick(began + ANSWER + 1)
    at.settle()
    assert request.statuses == [NdisStatus.SUCCESS]
    told = [e.detail for e in at.bench.host.trace if e.name == "tcp event"]
    assert told.count("RETRIEVE(HARDWARE_FAILURE)") == 1


@pytest.mark.rule("CH-096", "CH-184")
def test_no_call_of_another_connection_waits_behind_an_invalidate_that_waits() -> None:
    at = Running(4, conns=4, answer_ticks=ANSWER, terminate_ticks=ANSWER)
    deaf(at)
    abort(at)
    at.settle()
    held = at.bench.host.state.invalidate([at.connections[0]])
    query = at.bench.host.state.query(at.connections[2].node(OffloadStateType.TCP))
    cached = replace(at.connections[3].cached, ttl_or_hop_limit=33)
    update = at.bench.host.state.update([(at.connections[3], cached)])
    at.settle()
    assert (held.completed, query.statuses, update.statuses) == (False, [NdisStatus.SUCCESS], [NdisStatus.SUCCESS])


@pytest.mark.rule("CH-184")
def test_an_abort_that_the_host_asks_for_inside_an_upcall_goes_before_the_invalidate_behind_it() -> None:
    at = Running(4, conns=2)
    order: list[Opcode] = []
    submit = at.bench.driver.submit

    def submitted(entry: Sqe) -> None:
        if entry.opcode in (Opcode.INVALIDATE, Opcode.DISCONNECT):
            order.append(Opcode(entry.opcode))
        submit(entry)

    requests: list[StateRequest] = []

    def asked(_: StateRequest) -> None:
        abort(at)
        requests.append(at.bench.host.state.invalidate([at.neighbor]))

    with patch.object(at.bench.driver, "submit", submitted):
        at.bench.host.state.query(at.connections[1].node(OffloadStateType.TCP), asked)
        at.bench.run(until=lambda: bool(requests) and requests[0].completed)
    assert order[:2] == [Opcode.DISCONNECT, Opcode.INVALIDATE]
    assert requests[0].statuses == [NdisStatus.SUCCESS]


# ---- neighbor queries


@pytest.mark.rule("CH-227", "CH-228", "CH-229", "G-08", "G-24")
@pytest.mark.parametrize("between", [0, 3])
@pytest.mark.parametrize("fresh", [None, 17])
def test_a_neighbor_query_is_asked_of_the_host_and_its_answer_reaches_the_device(
    between: int, fresh: int | None
) -> None:
    at = Running(17, between=between)
    at.bench.host.reachability = lambda _: fresh
    seen: list[OffloadBlock | None] = []
    ask = at.bench.host.offload_event_indicate

    def noted(binding_context: object, block_list: OffloadBlock | None, code: int) -> None:
        assert block_list is not None
        seen.append(replace(block_list))
        ask(binding_context, block_list, code)

    at.bench.host.offload_event_indicate = noted  # type: ignore[method-assign]
    at.bench.device.ask(0, host=31_000, device=30_500)
    at.settle()

    (block,) = seen
    assert block is not None
    assert (block.type, block.status, block.next_block, block.dependent_block_list) == (
        OffloadStateType.NEIGHBOR,
        NdisStatus.SUCCESS,
        None,
        None,
    )
    assert isinstance(block.const, NeighborConst)
    assert block.cached == NeighborCached(PEER.mac, 31_000)
    assert block.delegated == NeighborDelegated(30_500)
    assert block.ndis_offload_handle is at.neighbor
    assert at.bench.device.answers == [(0, 0 if fresh is None else fresh)]
    at.finish()


@pytest.mark.rule("CH-056")
def test_a_neighbor_query_that_comes_before_the_initiate_completed_is_asked_behind_it() -> None:
    bench = Bench(18, driver=DriverConfig())
    app = transfer(bench)
    order: list[str] = []
    initiated, ask = bench.host.initiate_offload_complete, bench.host.offload_event_indicate
    write = bench.device._write_object

    def wrote(opcode: Opcode, sqe: object, index: int) -> None:
        write(opcode, sqe, index)  # type: ignore[arg-type]
        if opcode is Opcode.NEIGHBOR_WRITE:
            bench.device.ask(0, 1, 2)

    def completed(binding_context: object, block_list: OffloadBlock) -> None:
        order.append("initiate")
        initiated(binding_context, block_list)

    def asked(binding_context: object, block_list: OffloadBlock | None, code: int) -> None:
        order.append("query")
        ask(binding_context, block_list, code)

    bench.device._write_object = wrote  # type: ignore[method-assign]
    bench.host.initiate_offload_complete = completed  # type: ignore[method-assign]
    bench.host.offload_event_indicate = asked  # type: ignore[method-assign]
    bench.run()
    assert order == ["initiate", "query"]
    assert (app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data)


# ---- terminate


@pytest.mark.rule("CH-245")
@pytest.mark.parametrize("joint", [0.0, 1.0])
def test_a_neighbor_goes_up_with_the_age_of_its_last_confirmation(joint: float) -> None:
    bench = Bench(19, driver=DriverConfig(), joint_terminate=joint)
    bench.device.ages = (900, 123)
    app = transfer(bench)
    ages: list[object] = []
    finish = bench.host.terminate_offload_complete

    def noted(binding_context: object, block_list: OffloadBlock) -> None:
        ages.extend(n.delegated for n in traverse(block_list) if n.type is OffloadStateType.NEIGHBOR_DELEGATED)
        finish(binding_context, block_list)

    bench.host.terminate_offload_complete = noted  # type: ignore[method-assign]
    bench.run()
    assert ages == [NeighborDelegated(123)]
    assert app.phase is AppPhase.DONE


@pytest.mark.rule("CH-096", "CH-249", "G-20")
@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("seed", [20, 21, 22])
def test_a_failing_terminate_tells_the_host_by_events_before_it_completes_and_aborts_what_is_outstanding(
    seed: int, chained: bool
) -> None:
    bench = Bench(
        seed, Wire(delay=5), driver=DriverConfig(chain_unfinished=chained), terminate_status=Status.WRITE_ERROR
    )
    app = transfer(bench, 200_000, upload_after=20_000)
    bench.run()

    assert app.phase is AppPhase.FAILED
    trace = [(e.name, e.detail) for e in bench.host.trace if e.connection == 0 or "Terminate" in e.name]
    end = [name for name, _ in trace].index("NdisMTerminateOffloadComplete")
    assert [d for n, d in trace[:end] if n == "tcp event"] == ["RETRIEVE(HARDWARE_FAILURE)", "ABORT"]
    called = [name for name, _ in trace].index("NdisTerminateOffload")
    back = [d.split()[0] for n, d in trace[called:end] if n in ("send complete", "receive complete")]
    assert "REQUEST_ABORTED" in back
    assert "UPLOAD_IN_PROGRESS" not in back
    assert (bench.driver.lists.used, bench.driver.bounce.used, bench.allocator.used_pages) == (0, 0, 0)


@pytest.mark.rule("CH-189", "G-20")
def test_a_failing_terminate_behind_an_abortive_disconnect_raises_no_abort_event() -> None:
    bench = Bench(25, Wire(delay=5), driver=DriverConfig(), terminate_status=Status.WRITE_ERROR)
    bench.host.on_abort = lambda connection: bench.peer.expect_reset(connection.stack.tcp.local.port)
    app = transfer(bench, 200_000, abort_after=20_000)
    bench.run()
    assert app.phase is AppPhase.FAILED
    assert bench.host.completions["event"] == {"RETRIEVE(HARDWARE_FAILURE)": 1}


@pytest.mark.rule("CH-096", "CH-233", "G-20")
@pytest.mark.parametrize("chained", [False, True])
def test_lists_that_came_back_from_a_device_that_then_fell_silent_are_aborted_too(chained: bool) -> None:
    bench = Bench(26, Wire(delay=5), driver=DriverConfig(chain_unfinished=chained, terminate_ticks=500))
    app = transfer(bench, 200_000)
    bench.run(until=lambda: app.progress >= 0.2)
    finish = bench.device._finish

    def mute(conn: FakeConn) -> None:
        finish(conn)
        bench.device._cq.pop()

    bench.device._finish = mute  # type: ignore[method-assign]
    app._want_upload = True
    while bench.host.step() | bench.target.step():
        pass
    called = len(bench.host.trace)
    bench.driver.on_tick(bench.driver.now + 501)

    back = [e.detail.split()[0] for e in bench.host.trace[called:] if e.name.endswith(" complete")]
    assert "REQUEST_ABORTED" in back
    assert set(back) == {"REQUEST_ABORTED"}
    assert app.phase is AppPhase.FAILED


@pytest.mark.rule("CH-233", "CH-249", "G-20")
@pytest.mark.parametrize("between", [0, 2])
@pytest.mark.parametrize("joint", [0.0, 1.0])
def test_a_device_that_never_answers_does_not_keep_a_terminate_waiting(between: int, joint: float) -> None:
    bench = Bench(
        23,
        Wire(delay=5),
        driver=DriverConfig(terminate_ticks=500),
        joint_terminate=joint,
        between=lambda below: stack_intermediates(below, between),
    )
    apps = [transfer(bench, 200_000, 4000 + i) for i in range(2)]
    bench.run(until=lambda: all(app.progress >= 0.2 for app in apps))
    bench.device.silent = True
    for app in apps:
        app._want_upload = True
    while bench.host.step():
        pass
    asked = bench.driver.now
    assert asked == bench.tick
    bench.driver.on_tick(asked + 499)
    assert all(app.phase is AppPhase.TERMINATING for app in apps)
    for tick in (asked + 500, asked + 1000):  # the connections, then the path and the neighbor below them
        bench.driver.on_tick(tick)
        bench.host.on_tick(tick)
        while bench.host.step():
            pass

    assert all(app.phase is AppPhase.FAILED for app in apps)
    assert bench.host.completions["terminate"]["FAILURE"] >= 3
    for app in apps:
        connection = app.connection
        assert connection is not None
        names = [e.detail for e in bench.host.trace if e.connection == connection.number and e.name == "tcp event"]
        assert names == ["RETRIEVE(HARDWARE_FAILURE)", "ABORT"]
        assert connection.ledger.terminated
        assert app.data.startswith(bytes(app.sink))


@pytest.mark.rule("CH-235", "CH-250", "G-20")
def test_what_a_device_says_long_after_it_was_given_up_is_not_told_to_the_host_but_frees_what_it_held() -> None:
    bench = Bench(24, Wire(delay=5), driver=DriverConfig(terminate_ticks=500))
    app = transfer(bench, 200_000)
    bench.run(until=lambda: app.progress >= 0.2)
    bench.device.silent = True
    assert app.connection is not None
    segment = bench.host.build(bytes(40), BufferShape(max_net_buffers=1), random.Random(1))
    assert segment is not None
    bench.host.issue_forward(app.connection, [segment])
    app._want_upload = True
    while bench.host.step():
        pass
    assert segment.status is None
    bench.driver.on_tick(bench.driver.now + 501)
    told = len(bench.host.trace)
    assert app.phase is AppPhase.FAILED
    assert segment.status is NdisStatus.REQUEST_ABORTED
    assert len(bench.driver._by_id) == 1
    bench.device.silent = False
    while bench.target.step():
        pass

    assert [e.name for e in bench.host.trace[told:]] == []
    assert bench.driver._by_id == {}
    assert (bench.driver.lists.used, bench.driver.bounce.used, bench.driver._uploads.used) == (0, 0, 0)
    assert TcpEventType.ABORT.name in bench.host.completions["event"]


@pytest.mark.rule("CH-059")
def test_a_place_that_an_initiate_has_filled_names_nothing_before_the_initiate_is_complete() -> None:
    bench = Bench(31, Wire(delay=2), driver=DriverConfig())
    driver, context = bench.driver, bench.driver._adapter_context
    publish = driver._publish
    asked: list[OffloadBlock] = []
    answers: list[OffloadBlock] = []

    def eager(entry: object) -> int:
        place = publish(entry)  # type: ignore[arg-type]
        handle = OffloadHandle(place)
        for call in (driver.terminate_offload, driver.query_offload, driver.update_offload, driver.invalidate_offload):
            asked.append(OffloadBlock(OffloadStateType.TCP, handle))
            call(context, asked[-1])
        assert driver._connection(place) is None, "neither for a send or a receive"
        return place

    driver._publish = eager  # type: ignore[method-assign]
    for name in ("terminate_offload", "query_offload_state", "update_offload", "invalidate_offload"):
        told = getattr(driver.adapter, f"{name}_complete")

        def complete(handle: object, root: OffloadBlock, told: Callable[[object, OffloadBlock], None] = told) -> None:
            if any(root is one for one in asked):
                answers.append(root)
            else:
                told(handle, root)

        setattr(driver.adapter, f"{name}_complete", complete)
    app = transfer(bench, port=4000)
    bench.run()
    assert {id(one) for one in answers} == {id(one) for one in asked}
    assert asked
    assert all(one.status is NdisStatus.FAILURE for one in asked)
    assert (app.phase, app.failure, bytes(app.sink)) == (AppPhase.DONE, "", app.data)
