"""Segments that come up while a connection is handed over go down to it by NdisOffloadTcpForward."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from model.layout.generated import Opcode, Status
from model.ndis.bookkeeping import ContractError, Ledger
from model.ndis.calls import OffloadTcpForward
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.framing import Endpoint, Segment, decode, decode_tcp, encode
from model.ndis.host import HostConfig, OffloadedConnection
from model.ndis.images import forward_status
from model.ndis.intermediate import stack_intermediates
from model.ndis.miniport import DriverConfig
from model.ndis.netbuffer import NetBuffer, NetBufferList, Owner, free_net_buffer_list, iterate
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.tests.model.ndis_bench import HOST_IP, HOST_MAC, PEER, Bench, Wire

WRAPPING = SoftTcpConfig(initial_seq=0xFFFF_F000, initial_ts=0xFFFF_FFF0)


def transfer(bench: Bench, size: int = 60_000, port: int = 4000, **changes: object) -> FileTransferApp:
    config = FileTransferConfig(seed=port, tcp=WRAPPING, **changes)  # type: ignore[arg-type]
    return FileTransferApp(bench.host, config, random.Random(port).randbytes(size), PEER, port)


def slow_initiate(bench: Bench, ticks: int) -> None:
    """Let the device keep every INITIATE waiting, so that echoes of software data come up meanwhile."""
    execute = bench.device._execute
    held: list[tuple[int, tuple[object, ...]]] = []

    def later(sqe: object, raw: bytes, index: int) -> None:
        if getattr(sqe, "opcode", None) == Opcode.INITIATE:
            held.append((bench.tick + ticks, (sqe, raw, index)))
        else:
            execute(sqe, raw, index)  # type: ignore[arg-type]

    advance, step = bench.target.on_tick, bench.device.next_deadline

    def on_tick(tick: int) -> None:
        for due, arguments in [entry for entry in held if entry[0] <= tick]:
            held.remove((due, arguments))
            execute(*arguments)  # type: ignore[arg-type]
        advance(tick)

    def next_deadline() -> int | None:
        return min((d for d in (step(), *(due for due, _ in held)) if d is not None), default=None)

    bench.device._execute = later  # type: ignore[method-assign]
    bench.target.on_tick = on_tick  # type: ignore[method-assign]
    bench.target.next_deadline = next_deadline  # type: ignore[method-assign]


def forwards(bench: Bench) -> list[tuple[OffloadTcpForward, list[bytes]]]:
    """The forward calls from now on, with the bytes of each list."""
    calls: list[tuple[OffloadTcpForward, list[bytes]]] = []
    execute = bench.host.execute

    def noted(call: object) -> None:
        if isinstance(call, OffloadTcpForward):
            calls.append((call, [one.read(Owner.TARGET, bench.memory) for one in iterate(call.nbl)]))
        execute(call)  # type: ignore[arg-type]

    bench.host._issue = noted
    return calls


def assert_clean(bench: Bench, *apps: FileTransferApp) -> None:
    for app in apps:
        assert (app.phase, app.failure, bytes(app.sink)) == (AppPhase.DONE, "", app.data)
    assert bench.peer.violations == []
    assert (bench.driver.lists.used, bench.driver.bounce.used, bench.allocator.used_pages) == (0, 0, 0)


@pytest.mark.rule("CH-164", "CH-165", "CH-166", "CH-167", "CH-168", "CH-169")
@pytest.mark.parametrize("between", [0, 1, 4])
def test_segments_of_the_hand_over_reach_the_device_and_none_has_to_be_sent_again(between: int) -> None:
    bench = Bench(1, Wire(delay=3), driver=DriverConfig(), between=lambda below: stack_intermediates(below, between))
    slow_initiate(bench, 20)
    calls = forwards(bench)
    app = transfer(bench, software_first=9_000)
    bench.run()

    assert_clean(bench, app)
    (call, raws), *_ = calls
    assert len(raws) > 1
    assert app.connection is not None
    assert call.handle is app.connection.handle
    assert bench.device.forwarded == raws
    assert bench.host.completions["forward"] == {"SUCCESS": len(raws)}
    seen = [decode(frame) for to_peer, frame in bench.frames if not to_peer]
    sent = [s.raw for s in seen if s is not None and s.payload]
    assert all(raw in [s.raw for s in seen if s is not None] for raw in raws)
    assert len(sent) == len(set(sent))


@pytest.mark.rule("CH-165")
def test_a_forwarded_list_has_one_net_buffer_whose_first_byte_begins_the_tcp_header() -> None:
    bench = Bench(2, Wire(delay=3), driver=DriverConfig())
    slow_initiate(bench, 20)
    calls = forwards(bench)
    app = transfer(bench, software_first=9_000)
    pieces: list[int] = []
    tell = bench.driver.tcp_offload_forward

    def noted(adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        for one in iterate(nbl):
            assert len(one.net_buffers) == 1
            pieces.append(len(list(one.elements())))
        return tell(adapter_context, context, nbl)

    bench.driver.tcp_offload_forward = noted  # type: ignore[method-assign]
    bench.run()
    assert_clean(bench, app)
    assert max(pieces) > 1
    for raw in calls[0][1]:
        segment = decode_tcp(raw, PEER, Endpoint(HOST_MAC, HOST_IP, 4000))
        assert segment is not None
        assert (segment.source.port, segment.destination.port) == (PEER.port, 4000)
        assert 4 * (raw[12] >> 4) + len(segment.payload) == len(raw)


@pytest.mark.rule("CH-166")
def test_what_was_acknowledged_before_the_hand_over_is_not_forwarded() -> None:
    bench = Bench(3, Wire(delay=3), driver=DriverConfig())
    slow_initiate(bench, 20)
    calls = forwards(bench)
    app = transfer(bench, software_first=9_000)
    bench.run(until=lambda: app.phase is AppPhase.INITIATING and app.connection is not None)
    assert app.connection is not None
    stack = app.connection.stack
    old = Segment(
        PEER, stack.tcp.local, stack.tcp.rcv_nxt - 500 & 0xFFFF_FFFF, stack.tcp.snd_una, TcpFlag.ACK, 4096, b"x" * 500
    )
    again = replace(old, seq=stack.tcp.rcv_nxt - 499 & 0xFFFF_FFFF)
    for segment in (old, again):
        bench.host.stack.on_raw(encode(segment), bench.tick)
    bench.run(until=lambda: bool(calls))
    starts = {int.from_bytes(raw[4:8], "big") for raw in calls[0][1]}
    assert old.seq not in starts
    assert again.seq in starts


@pytest.mark.rule("CH-167", "CH-168")
@pytest.mark.parametrize("between", [0, 2])
def test_segments_that_come_back_unprocessed_are_processed_by_the_host_after_the_upload(between: int) -> None:
    bench = Bench(4, Wire(delay=3), driver=DriverConfig(), between=lambda below: stack_intermediates(below, between))
    slow_initiate(bench, 20)
    app = transfer(bench, software_first=9_000)
    bench.run(until=lambda: app.phase is AppPhase.INITIATING)
    refuse = bench.device._forward

    def uploading(conn: object, sqe: object) -> None:
        conn.retrieve_told = True  # type: ignore[attr-defined]
        refuse(conn, sqe)  # type: ignore[arg-type]
        app._want_upload = True

    bench.device._forward = uploading  # type: ignore[method-assign]
    bench.run()
    assert_clean(bench, app)
    assert set(bench.host.completions["forward"]) == {"UPLOAD_IN_PROGRESS"}
    assert app.software_bytes >= 9_000


@pytest.mark.rule("CH-168")
def test_nothing_is_forwarded_while_a_connection_is_terminated() -> None:
    bench = Bench(5, Wire(delay=3), driver=DriverConfig())
    slow_initiate(bench, 20)
    calls = forwards(bench)
    app = transfer(bench, software_first=9_000)
    initiated = app.initiated

    def upload_at_once(status: NdisStatus) -> None:
        initiated(status)
        app._want_upload = True
        app.phase = AppPhase.TERMINATING
        assert app.connection is not None
        bench.host.terminate(app.connection)

    app.initiated = upload_at_once  # type: ignore[method-assign]
    bench.run()
    assert calls == []
    assert_clean(bench, app)
    seen = [decode(frame) for to_peer, frame in bench.frames if not to_peer]
    sent = [s.seq for s in seen if s is not None and s.payload]
    assert len(sent) == len(set(sent))  # the host used what it kept


@pytest.mark.rule("CH-168")
def test_a_forward_on_a_connection_that_is_terminated_is_a_fault_of_the_host() -> None:
    for ledger in (Ledger(live=False), Ledger(live=True, uploading=True)):
        with pytest.raises(ContractError, match="CH-168"):
            ledger.forward(NetBufferList([NetBuffer(())]))


@pytest.mark.rule("CH-169", "CH-233")
def test_each_forward_comes_back_once_in_any_order_and_before_the_terminate_completes() -> None:
    ledger = Ledger(live=True)
    lists = [NetBufferList([NetBuffer(())]) for _ in range(3)]
    for nbl in lists:
        ledger.forward(nbl)
        nbl.set_status(Owner.TARGET, NdisStatus.SUCCESS)
    ledger.forward_returned(lists[1])
    ledger.forward_returned(lists[0])
    with pytest.raises(ContractError, match="CH-233"):
        ledger.terminate_completed()
    with pytest.raises(ContractError, match="CH-169"):
        ledger.forward_returned(lists[0])


@pytest.mark.rule("CH-167")
@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (Status.OK, NdisStatus.SUCCESS),
        (Status.UPLOAD, NdisStatus.UPLOAD_IN_PROGRESS),
        (Status.ABORTED, NdisStatus.REQUEST_ABORTED),
        (Status.BAD_LENGTH, NdisStatus.SUCCESS),
        (Status.BAD_IMAGE, NdisStatus.SUCCESS),
        (Status.READ_ERROR, NdisStatus.UPLOAD_IN_PROGRESS),
        (Status.BAD_STATE, NdisStatus.UPLOAD_IN_PROGRESS),
    ],
)
def test_a_forward_completes_with_one_of_three_statuses(device: Status, expected: NdisStatus) -> None:
    assert forward_status(device) is expected


def segment_list(bench: Bench, connection: OffloadedConnection, payload: bytes) -> NetBufferList:
    """A segment of the peer in one list, at the left edge of the device's window."""
    tcp = bench.device.conns[0].tcp
    raw = decode(encode(Segment(PEER, tcp.local, tcp.rcv_nxt, tcp.snd_una, TcpFlag.ACK, 4096, payload)))
    assert raw is not None
    nbl = bench.host._segment_list(raw.raw)
    assert nbl is not None
    return nbl


def scattered_list(bench: Bench, connection: OffloadedConnection) -> NetBufferList:
    """A segment in more than one MDL: it goes down by way of bounce memory."""
    for _ in range(100):
        nbl = segment_list(bench, connection, b"")
        if len(list(nbl.elements())) > 1:
            return nbl
        free_net_buffer_list(bench.host.allocator, nbl)
    raise AssertionError("a hundred segments, each in one MDL")


@pytest.mark.rule("CH-164", "CH-169")
def test_a_chain_of_eight_goes_one_by_one_where_others_have_all_bounce_memory() -> None:
    bench = Bench(6, Wire(delay=5), driver=DriverConfig())
    app = transfer(bench)
    bench.run(until=lambda: app.progress > 0.2)
    connection = app.connection
    assert connection is not None
    lists = [scattered_list(bench, connection) for _ in range(8)]
    bounce, taken = bench.driver.bounce, []
    while (block := bounce.allocate(64)) is not None:
        taken.append(block)
    bench.host.issue_forward(connection, lists)
    bench.host.step()
    assert len(bench.driver._by_id[0].forwards.waiting) == 7
    bench.run(until=lambda: not connection.ledger.forwards)
    for block in taken:
        bounce.free(block)
    assert [nbl.status for nbl in lists] == [NdisStatus.SUCCESS] * 8
    assert len(bench.device.forwarded) == 8
    bench.run()
    assert_clean(bench, app)


@pytest.mark.rule("CH-167", "CH-193")
def test_forwards_behind_a_reset_come_back_aborted() -> None:
    bench = Bench(7, Wire(delay=5), driver=DriverConfig())
    app = transfer(bench)
    bench.run(until=lambda: app.progress > 0.2)
    connection = app.connection
    assert connection is not None
    lists = [segment_list(bench, connection, b"")]
    bench.device.conns[0].tcp.aborted = True
    while bench.target.step():
        pass
    bench.host.issue_forward(connection, lists)
    bench.run()
    assert [nbl.status for nbl in lists] == [NdisStatus.REQUEST_ABORTED]
    assert app.phase is AppPhase.FAILED


def test_without_forwarding_the_segments_wait_for_the_upload() -> None:
    bench = Bench(8, Wire(delay=3), driver=DriverConfig())
    bench.host.config = HostConfig(seed=8, forward=False)
    slow_initiate(bench, 20)
    calls = forwards(bench)
    app = transfer(bench, software_first=9_000)
    bench.run()
    assert_clean(bench, app)
    assert calls == []
