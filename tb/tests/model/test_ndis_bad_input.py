"""What a host does against its rules, or in an order it seldom takes: the miniport driver answers, and goes on."""

from __future__ import annotations

import random

import pytest

from model.ndis.enums import DisconnectFlags
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.framing import decode
from model.ndis.miniport import DriverConfig
from model.ndis.netbuffer import NetBuffer, NetBufferList, Owner
from model.ndis.offload_state import OffloadBlock, OffloadHandle
from model.ndis.registration import Oid, OidRequest, PowerState
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.tests.model.ndis_bench import PEER, Bench


def transfer(bench: Bench, size: int = 60_000, port: int = 4000, **changes: object) -> FileTransferApp:
    config = FileTransferConfig(seed=port, **changes)  # type: ignore[arg-type]
    return FileTransferApp(bench.host, config, random.Random(port).randbytes(size), PEER, port)


def running(*apps: FileTransferApp, share: float = 0.2) -> bool:
    return all(app.phase is AppPhase.RUNNING and app.progress >= share for app in apps)


def context_of(app: FileTransferApp) -> int:
    """What the target gave the host as the connection's context."""
    assert app.connection is not None
    context = app.connection.handle.miniport_offload_context
    assert isinstance(context, int)
    return context


def returned_disconnects(bench: Bench, mine: NetBufferList) -> list[NdisStatus | None]:
    """Statuses with which ``mine`` comes back; the host hears of all other lists only."""
    found: list[NdisStatus | None] = []
    complete = bench.host.tcp_offload_disconnect_complete

    def noted(binding_context: object, nbl: NetBufferList) -> None:
        if nbl is mine:
            assert nbl.status in (NdisStatus.REQUEST_ABORTED, NdisStatus.UPLOAD_IN_PROGRESS)
            found.append(nbl.status)
        else:
            complete(binding_context, nbl)

    bench.host.tcp_offload_disconnect_complete = noted  # type: ignore[method-assign]
    return found


def resets(bench: Bench) -> int:
    """Frames with RST that the device sent."""
    segments = [decode(frame) for to_peer, frame in bench.frames if to_peer]
    return sum(segment is not None and TcpFlag.RST in segment.flags for segment in segments)


# ---- flags of a disconnect (2.10)


@pytest.mark.parametrize("flags", [0, 3, 4, 0x8000_0002])
def test_a_disconnect_that_is_neither_graceful_nor_abortive_comes_back_aborted_and_the_connection_goes_on(
    flags: int,
) -> None:
    bench = Bench(3, driver=DriverConfig())
    app = transfer(bench)
    bench.run(until=lambda: running(app))
    odd = NetBufferList([NetBuffer(())])
    back = returned_disconnects(bench, odd)
    odd.hand_over(Owner.HOST, Owner.TARGET)
    binding = bench.host.binding
    status = binding.face.tcp_offload_disconnect(binding.adapter_context, context_of(app), odd, DisconnectFlags(flags))
    assert status is NdisStatus.PENDING
    bench.run(until=lambda: bool(back))
    assert back == [NdisStatus.REQUEST_ABORTED]
    bench.run()

    assert len(back) == 1
    assert odd.bytes_transferred == 0
    assert (app.phase, app.failure, bytes(app.sink)) == (AppPhase.DONE, "", app.data)
    assert resets(bench) == 0
    assert [line.split(",")[0] for line in bench.driver.misuses] == [f"disconnect with flags {flags:#x}"]


def test_a_disconnect_with_odd_flags_behind_a_terminate_comes_back_before_that_completes() -> None:
    bench = Bench(3, driver=DriverConfig())
    app = transfer(bench, upload_after=20_000)
    odd = NetBufferList([NetBuffer(())])
    back = returned_disconnects(bench, odd)
    binding = bench.host.binding
    terminate, terminated = binding.terminate_offload, bench.host.terminate_offload_complete
    in_time: list[bool] = []

    def terminates(root: OffloadBlock) -> None:
        context = context_of(app)
        terminate(root)
        odd.hand_over(Owner.HOST, Owner.TARGET)
        binding.face.tcp_offload_disconnect(binding.adapter_context, context, odd, DisconnectFlags(0))

    def over(binding_context: object, block_list: OffloadBlock) -> None:
        in_time.append(len(back) == 1)
        terminated(binding_context, block_list)

    binding.terminate_offload = terminates  # type: ignore[method-assign]
    bench.host.terminate_offload_complete = over  # type: ignore[method-assign]
    bench.run(until=lambda: bool(in_time))

    assert in_time == [True]
    assert back[0] in (NdisStatus.REQUEST_ABORTED, NdisStatus.UPLOAD_IN_PROGRESS)
    assert (odd.bytes_transferred, len(bench.driver.misuses)) == (0, 1)


@pytest.mark.parametrize("flags", [1, 2])
def test_a_disconnect_with_flags_that_are_a_plain_number_is_the_one_that_they_name(flags: int) -> None:
    bench = Bench(4, driver=DriverConfig())
    bench.host.on_abort = lambda connection: bench.peer.expect_reset(connection.stack.tcp.local.port)
    app = transfer(bench, abort_after=20_000 if flags == 2 else None)
    disconnect = bench.host.binding.offload_tcp_disconnect

    def plainly(handle: OffloadHandle, nbl: NetBufferList, flags: DisconnectFlags) -> NdisStatus:
        status = disconnect(handle, nbl, int(flags))  # type: ignore[arg-type]
        assert any(job.abortive for job in bench.driver._by_id[0].io.jobs) == (int(flags) == 2)
        return status

    bench.host.binding.offload_tcp_disconnect = plainly  # type: ignore[method-assign]
    bench.run()
    assert app.phase is (AppPhase.FAILED if flags == 2 else AppPhase.DONE)
    assert (resets(bench), bench.driver.misuses) == (flags - 1, [])
    assert bench.peer.violations == []


# ---- memory for what a connection brings (6.5)


@pytest.mark.rule("CH-232", "CH-241")
def test_a_terminate_brings_inherited_data_back_while_the_bounce_memory_is_full() -> None:
    bench = Bench(1, driver=DriverConfig())
    app = transfer(
        bench, software_first=20_000, hand_over_received=True, receive_sizes=((1, 40, 1),), zero_byte_receive=0.0,
        nonpush=0.0, refuse=0.0, accept_part=1.0, upload_after=1,
    )  # fmt: skip
    bounce = bench.driver.bounce
    taken: list[int] = []
    given: list[OffloadBlock] = []
    terminate = bench.host.binding.terminate_offload

    def terminates(root: OffloadBlock) -> None:
        while not given and (block := bounce.allocate(4096)) is not None:  # as other connections' receives do
            taken.append(block)
        given.append(root)
        terminate(root)

    bench.host.binding.terminate_offload = terminates  # type: ignore[method-assign]
    bench.run(until=lambda: app.uploaded_state is not None)
    for block in taken:
        bounce.free(block)
    bench.run()

    assert taken
    assert app.uploaded_state is not None
    assert app.uploaded_state.buffered_data is not None
    assert (app.phase, app.failure, bytes(app.sink)) == (AppPhase.DONE, "", app.data)
    assert bounce.used == 0


@pytest.mark.rule("CH-052")
def test_a_connection_that_brings_data_fails_alone_where_its_memory_is_taken_and_runs_in_software() -> None:
    bench = Bench(2, driver=DriverConfig())
    taken = bench.driver._reserve(bench.driver.config.buffered_bytes)
    assert taken is not None
    brings = transfer(bench, 60_000, 4000, software_first=20_000, hand_over_received=True)
    plain = transfer(bench, 60_000, 4001)
    bench.run()

    assert (brings.offload_status, plain.offload_status) == (NdisStatus.FAILURE, NdisStatus.SUCCESS)
    for app in (brings, plain):
        assert (app.phase, app.failure, bytes(app.sink)) == (AppPhase.DONE, "", app.data)
    bench.driver.bounce.free(taken)
    assert bench.driver.bounce.used == 0


# ---- power and pause


@pytest.mark.rule("CH-014")
@pytest.mark.parametrize("queued", [False, True])
def test_a_move_out_of_d0_waits_for_an_initiate_that_is_queued_or_under_way(queued: bool) -> None:
    bench = Bench(5, driver=DriverConfig())
    app = transfer(bench)
    request = OidRequest(Oid.PNP_SET_POWER, set=True, buffer=PowerState.D3)
    answers: list[NdisStatus] = []
    initiate, completed = bench.host.binding.initiate_offload, bench.host.oid_request_complete
    left: list[int] = []

    def initiates(root: OffloadBlock) -> None:
        bench.driver._paused = queued
        initiate(root)
        assert not bench.driver._contexts
        answers.append(bench.host.request(request))

    def noted(binding_context: object, request: OidRequest, status: NdisStatus) -> None:
        left.append(len(bench.driver._contexts) + bench.driver._initiates)
        completed(binding_context, request, status)

    bench.host.binding.initiate_offload = initiates  # type: ignore[method-assign]
    bench.host.oid_request_complete = noted  # type: ignore[method-assign]
    bench.run(until=lambda: bool(answers))
    bench.driver.resume()
    bench.run()

    assert answers == [NdisStatus.PENDING]
    assert bench.host.oids_completed == [(request, NdisStatus.SUCCESS)]
    assert left == [0]
    assert (app.phase, app.offload_status, bytes(app.sink)) == (AppPhase.DONE, NdisStatus.SUCCESS, app.data)


@pytest.mark.rule("CH-014")
def test_a_move_out_of_d0_completes_behind_an_initiate_that_fails_too() -> None:
    bench = Bench(6, driver=DriverConfig(neighbors=0))
    app = transfer(bench)
    request = OidRequest(Oid.PNP_SET_POWER, set=True, buffer=PowerState.D3)
    answers: list[NdisStatus] = []
    initiate = bench.host.binding.initiate_offload

    def initiates(root: OffloadBlock) -> None:
        initiate(root)
        answers.append(bench.host.request(request))

    bench.host.binding.initiate_offload = initiates  # type: ignore[method-assign]
    bench.run()
    assert answers == [NdisStatus.PENDING]
    assert bench.host.oids_completed == [(request, NdisStatus.SUCCESS)]
    assert app.offload_status is not NdisStatus.SUCCESS


@pytest.mark.rule("CH-009", "CH-012", "CH-014", "CH-041", "CH-045")
@pytest.mark.parametrize("late", [False, True])
def test_an_initiate_that_meets_a_pause_fails_at_upload_all_or_behind_it_for_no_resume_may_come(late: bool) -> None:
    bench = Bench(7, driver=DriverConfig())
    first = transfer(bench, 80_000)
    bench.run(until=lambda: running(first))
    second = transfer(bench, 40_000, 4001)
    bench.driver._paused = True  # the indication crosses the initiate on its way down
    if not late:
        bench.run(until=lambda: second.phase is AppPhase.INITIATING)
        assert len(bench.driver._initiates_waiting) == 1
        bench.driver.pause()
        bench.driver.upload_all()
    else:
        initiate = bench.host.binding.initiate_offload

        def initiates(root: OffloadBlock) -> None:
            bench.driver.pause()
            bench.driver.upload_all()
            initiate(root)

        bench.host.binding.initiate_offload = initiates  # type: ignore[method-assign]
    bench.run(limit=20_000)

    assert (first.offload_status, second.offload_status) == (NdisStatus.SUCCESS, NdisStatus.FAILURE)
    assert first.uploaded_state is not None
    for app in (first, second):
        assert (app.phase, app.failure, bytes(app.sink)) == (AppPhase.DONE, "", app.data)
    assert bench.driver._contexts == {}
    power = OidRequest(Oid.PNP_SET_POWER, set=True, buffer=PowerState.D3)
    assert bench.host.request(power) is NdisStatus.SUCCESS
    bench.driver.resume()
    again = transfer(bench, 20_000, 4002)
    bench.host.binding.__dict__.pop("initiate_offload", None)
    bench.run()
    assert again.offload_status is NdisStatus.SUCCESS
