"""Intermediate drivers between host and target: nothing changes for either, at any depth."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from model.layout.generated import Opcode
from model.ndis.bookkeeping import ContractError, Ledger
from model.ndis.calls import MiniportFace
from model.ndis.enums import DisconnectFlags, NeighborEvent, OffloadStateType
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.intermediate import IntermediateDriver, stack_intermediates
from model.ndis.miniport import DriverConfig
from model.ndis.netbuffer import NetBuffer, NetBufferList, Owner, chain, iterate, unchain
from model.ndis.offload_state import (
    NeighborCached,
    NeighborConst,
    NeighborDelegated,
    OffloadBlock,
    OffloadHandle,
    traverse,
)
from model.ndis.registration import Oid, OidRequest, PowerState, TcpConnectionOffload, TcpConnectionOffloadParameters
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import CompletionKind, NdisStatus
from tb.config import ConfigError, RunConfig
from tb.device.model_loop import ModelRun
from tb.session import summary
from tb.tests.model.ndis_bench import PEER, Bench, Wire

WRAPPING = SoftTcpConfig(initial_seq=0xFFFF_F000, initial_ts=0xFFFF_FFF0)


class Stack:
    """Makes a stack of intermediate drivers and keeps them, lowest first."""

    def __init__(self, depth: int, make: Callable[[MiniportFace], IntermediateDriver] = IntermediateDriver) -> None:
        self.drivers: list[IntermediateDriver] = []
        self._depth, self._make = depth, make

    def __call__(self, below: MiniportFace) -> MiniportFace:
        for _ in range(self._depth):
            below = self._make(below)
            self.drivers.append(below)
        return below


def transfer(bench: Bench, size: int = 100_000, port: int = 4000, **changes: object) -> FileTransferApp:
    config = FileTransferConfig(seed=port, tcp=WRAPPING, **changes)  # type: ignore[arg-type]
    return FileTransferApp(bench.host, config, random.Random(port).randbytes(size), PEER, port)


def assert_clean(bench: Bench, stack: Stack, *apps: FileTransferApp) -> None:
    for app in apps:
        assert (app.phase, app.failure) == (AppPhase.DONE, "")
        assert bytes(app.sink) == app.data
    assert bench.peer.violations == []
    assert bench.allocator.used_pages == 0
    assert [driver.entries for driver in stack.drivers] == [0] * len(stack.drivers)


def told(bench: Bench) -> list[tuple[str, int | None, str]]:
    """What the host saw, without times."""
    return [(entry.name, entry.connection, entry.detail) for entry in bench.host.trace]


@pytest.mark.rule("CH-253", "CH-254", "CH-255", "CH-257", "CH-258")
@pytest.mark.parametrize("depth", [1, 2, 8])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_host_sees_the_same_calls_and_answers_through_any_number_of_drivers(depth: int, seed: int) -> None:
    traces = []
    for count in (0, depth):
        stack = Stack(count)
        bench = Bench(seed, Wire(loss=0.02), driver=DriverConfig(), between=stack)
        apps = [transfer(bench, 60_000, 4000 + i, upload_after=30_000 if i else None) for i in range(3)]
        bench.run()
        assert_clean(bench, stack, *apps)
        assert all(app.offload_status is NdisStatus.SUCCESS for app in apps)
        traces.append((told(bench), bench.frames))
    assert traces[0] == traces[1]


@pytest.mark.rule("CH-254")
def test_lists_pass_down_and_up_by_the_same_pointer_with_status_and_count_untouched() -> None:
    stack = Stack(2)
    bench = Bench(4, Wire(loss=0.03), driver=DriverConfig(), between=stack)
    down: list[NetBufferList] = []
    up: list[tuple[NetBufferList, NdisStatus | None, int]] = []
    seen: list[tuple[NetBufferList, NdisStatus | None, int]] = []
    send, finish = bench.driver.tcp_offload_send, bench.host.tcp_offload_send_complete
    complete = stack.drivers[0].tcp_offload_send_complete

    def sent(adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        down.extend(iterate(nbl))
        return send(adapter_context, context, nbl)

    def completed(binding_context: object, nbl: NetBufferList) -> None:
        up.extend((one, one.status, one.bytes_transferred) for one in iterate(nbl))
        complete(binding_context, nbl)

    def finished(binding_context: object, nbl: NetBufferList) -> None:
        seen.extend((one, one.status, one.bytes_transferred) for one in iterate(nbl))
        finish(binding_context, nbl)

    bench.driver.tcp_offload_send = sent  # type: ignore[method-assign]
    stack.drivers[0].tcp_offload_send_complete = completed  # type: ignore[method-assign]
    bench.host.tcp_offload_send_complete = finished  # type: ignore[method-assign]
    app = transfer(bench, upload_after=40_000)
    bench.run()

    assert_clean(bench, stack, app)
    assert up == seen
    assert down
    assert all(a is b for a, (b, _, _) in zip(down, seen, strict=True))


@pytest.mark.rule("CH-254")
@pytest.mark.parametrize("flags", list(DisconnectFlags))
def test_a_disconnect_passes_with_its_own_flags(flags: DisconnectFlags) -> None:
    stack = Stack(3)
    bench = Bench(5, driver=DriverConfig(), between=stack)
    bench.host.on_abort = lambda connection: bench.peer.expect_reset(connection.stack.tcp.local.port)
    seen: list[DisconnectFlags] = []
    disconnect = bench.driver.tcp_offload_disconnect

    def noted(adapter_context: object, context: int, nbl: NetBufferList, flags: DisconnectFlags) -> NdisStatus:
        seen.append(flags)
        return disconnect(adapter_context, context, nbl, flags)

    bench.driver.tcp_offload_disconnect = noted  # type: ignore[method-assign]
    abort = flags is DisconnectFlags.ABORTIVE
    transfer(bench, abort_after=20_000 if abort else None)
    bench.run()
    assert seen == [flags]


@pytest.mark.rule("CH-253")
def test_im_reserved_and_the_handles_of_every_node_are_what_they_were_when_the_tree_comes_back() -> None:
    stack = Stack(2)
    bench = Bench(6, driver=DriverConfig(), between=stack)
    mark = object()
    roots: list[tuple[OffloadBlock, list[tuple[object, ...]]]] = []
    checked = 0

    def fields(root: OffloadBlock) -> list[tuple[object, ...]]:
        return [
            (n.im_reserved, n.source_handle, n.ndis_offload_handle, n.miniport_offload_context) for n in traverse(root)
        ]

    upper = stack.drivers[-1]
    down, up = upper.initiate_offload, bench.host.initiate_offload_complete

    def called(adapter_context: object, block_list: OffloadBlock) -> None:
        for node in traverse(block_list):
            node.im_reserved = (mark, None)
        roots.append((block_list, fields(block_list)))
        down(adapter_context, block_list)
        assert fields(block_list) != roots[-1][1]

    def completed(binding_context: object, block_list: OffloadBlock) -> None:
        nonlocal checked
        root, before = roots[-1]
        assert block_list is root
        assert [row[0] for row in fields(root)] == [row[0] for row in before]
        assert [row[2:] for row in fields(root)] == [row[2:] for row in before]
        for node in traverse(block_list):
            node.im_reserved = (None, None)
        checked += 1
        up(binding_context, block_list)

    upper.initiate_offload = called  # type: ignore[method-assign]
    bench.host.initiate_offload_complete = completed  # type: ignore[method-assign]
    app = transfer(bench)
    bench.run()
    assert_clean(bench, stack, app)
    assert checked == len(roots) == 1


@pytest.mark.rule("CH-253")
def test_a_driver_that_does_not_give_im_reserved_back_is_found() -> None:
    bench = Bench(7, between=Stack(1, Forgetful))
    transfer(bench)
    with pytest.raises(ContractError, match="CH-023"):
        bench.run()


class Forgetful(IntermediateDriver):
    """Leaves its own call entry in ImReserved."""

    def initiate_offload_complete(self, binding_context: object, block_list: OffloadBlock) -> None:
        left = block_list.im_reserved
        initiated = self.adapter.initiate_offload_complete

        def leave(handle: object, root: OffloadBlock) -> None:
            root.im_reserved = left
            initiated(handle, root)

        self.adapter.initiate_offload_complete = leave  # type: ignore[method-assign]
        super().initiate_offload_complete(binding_context, block_list)


@pytest.mark.rule("CH-033", "CH-034", "CH-255")
def test_each_driver_has_its_own_handle_and_publishes_its_own_context() -> None:
    stack = Stack(2)
    bench = Bench(8, driver=DriverConfig(), between=stack)
    app = transfer(bench)
    bench.run(until=lambda: app.phase is AppPhase.RUNNING and app.progress > 0.2)

    assert app.connection is not None
    handle: OffloadHandle = app.connection.handle
    owner: object = app.connection
    for driver in reversed(stack.drivers):
        context = handle.miniport_offload_context
        assert context is not None
        entry = driver._entries[context]
        assert (entry.upper, entry.context) == (owner, context)
        handle = owner = entry
    assert bench.driver._by_id[0].ndis_handle is owner
    assert bench.driver._contexts[handle.miniport_offload_context or 0] is bench.driver._by_id[0]


def refusing_from(call: int) -> Callable[[MiniportFace], IntermediateDriver]:
    """A driver whose memory runs out with the ``call``-th chain."""
    asked = 0

    def has_memory() -> bool:
        nonlocal asked
        asked += 1
        return asked < call

    return lambda below: IntermediateDriver(below, has_memory)


@pytest.mark.rule("CH-256", "G-14")
@pytest.mark.parametrize("call", [1, 2, 3, 5, 9, 14, 20])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_driver_without_memory_passes_nothing_down_and_the_host_uploads_and_goes_on(call: int, depth: int) -> None:
    stack = Stack(depth, refusing_from(call))
    bench = Bench(9, Wire(loss=0.02), driver=DriverConfig(chain_unfinished=bool(call % 2)), between=stack)
    apps = [transfer(bench, 60_000, 4000 + i) for i in range(2)]
    bench.run()

    assert_clean(bench, stack, *apps)
    done = bench.host.completions
    assert sum(done[kind]["REQUEST_UPLOAD"] for kind in ("send", "receive", "disconnect") if kind in done) >= 1
    assert all(app.uploaded_state is not None for app in apps)


@pytest.mark.rule("CH-256")
def test_of_a_refused_chain_the_first_list_says_request_upload_and_the_rest_upload_requested() -> None:
    stack = Stack(1, refusing_from(1))
    bench = Bench(10, driver=DriverConfig(), between=stack)
    # the first chain of this port is of 3
    app = transfer(bench, port=4003, max_chain=4, send_sizes=((500, 900, 1),), receive_windows=(0,))
    statuses: list[list[NdisStatus | None]] = []
    finish = bench.host.tcp_offload_send_complete

    def finished(binding_context: object, nbl: NetBufferList) -> None:
        statuses.append([one.status for one in iterate(nbl)])
        finish(binding_context, nbl)

    bench.host.tcp_offload_send_complete = finished  # type: ignore[method-assign]
    bench.run()

    assert_clean(bench, stack, app)
    assert statuses[0] == [NdisStatus.REQUEST_UPLOAD, NdisStatus.UPLOAD_REQUESTED, NdisStatus.UPLOAD_REQUESTED]
    assert Opcode.SEND not in {Opcode(sqe.opcode) for sqe in bench.device.opcodes}


@pytest.mark.rule("CH-181", "CH-256")
@pytest.mark.parametrize("kind", [CompletionKind.DISCONNECT, CompletionKind.SEND])
def test_an_abort_is_in_no_stream_and_passes_what_was_refused_of_one(kind: CompletionKind) -> None:
    stack = Stack(1)
    bench = Bench(11, driver=DriverConfig(), between=stack)
    app = transfer(bench, 200_000)
    bench.run(until=lambda: app.offload_status is not None)
    driver, asked = stack.drivers[0], list[DisconnectFlags]()
    entry = next(iter(driver._entries.values()))
    entry.refusing.add(kind)

    def passed(_: object, nbl: NetBufferList, flags: DisconnectFlags) -> NdisStatus:
        asked.append(flags)
        return NdisStatus.PENDING

    driver.binding.offload_tcp_disconnect = passed  # type: ignore[method-assign, assignment]
    driver._up = replace(driver._up, disconnect_complete=lambda *_: None)
    for flags in (DisconnectFlags.GRACEFUL, DisconnectFlags.ABORTIVE):
        driver.tcp_offload_disconnect(
            driver._adapter_context, entry.context, NetBufferList([NetBuffer(())], owner=Owner.TARGET), flags
        )
    assert asked == [DisconnectFlags.ABORTIVE]


@pytest.mark.rule("CH-256")
def test_a_send_that_succeeds_behind_a_refused_one_is_a_fault() -> None:
    ledger = Ledger(live=True)
    lists = [NetBufferList([NetBuffer(())]) for _ in range(3)]
    for nbl in lists:
        ledger.send(nbl)
    lists[1].complete(Owner.TARGET, NdisStatus.REQUEST_UPLOAD, 0)
    ledger.send_returned(lists[1])
    for nbl in (lists[0], lists[2]):
        nbl.complete(Owner.TARGET, NdisStatus.SUCCESS, 0)
    ledger.send_returned(lists[0])
    with pytest.raises(ContractError, match="CH-256"):
        ledger.send_returned(lists[2])


@pytest.mark.rule("CH-256")
def test_upload_requested_before_request_upload_is_a_fault() -> None:
    ledger = Ledger(live=True)
    nbl = NetBufferList([NetBuffer(())])
    ledger.send(nbl)
    nbl.complete(Owner.TARGET, NdisStatus.UPLOAD_REQUESTED, 0)
    with pytest.raises(ContractError, match="CH-256"):
        ledger.send_returned(nbl)


@pytest.mark.rule("CH-259")
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_driver_without_chimney_functions_blocks_the_chimney_below_it(place: int) -> None:
    def make(below: MiniportFace) -> IntermediateDriver:
        return IntermediateDriver(below, chimney=len(stack.drivers) != place)

    stack = Stack(3, make)
    bench = Bench(11, driver=DriverConfig(), between=stack)
    app = transfer(bench)
    bench.run()

    assert_clean(bench, stack, app)
    assert bench.host.capabilities is None
    assert app.offload_status is NdisStatus.FAILURE
    assert Opcode.INITIATE not in {Opcode(sqe.opcode) for sqe in bench.device.opcodes}


@pytest.mark.rule("CH-007", "CH-014", "CH-259")
def test_oids_and_status_indications_pass_through() -> None:
    stack = Stack(3)
    bench = Bench(12, driver=DriverConfig(conns=7), between=stack)
    assert bench.host.capabilities == TcpConnectionOffload(7, support_ipv6=True, support_sack=True)
    assert bench.host.set_parameters(TcpConnectionOffloadParameters(ticks_per_second=100)) is NdisStatus.PENDING
    app = transfer(bench, 150_000)
    bench.run(until=lambda: app.phase is AppPhase.RUNNING and app.progress > 0.1)
    bench.driver.pause()
    assert bench.host.paused
    bench.driver.resume(TcpConnectionOffload(3))
    assert bench.host.capabilities == TcpConnectionOffload(3)
    power = OidRequest(Oid.PNP_SET_POWER, set=True, buffer=PowerState.D3)
    assert bench.host.request(power) is NdisStatus.PENDING
    bench.run()

    assert_clean(bench, stack, app)
    assert [status for _, status in bench.host.oids_completed] == [NdisStatus.SUCCESS] * 2


@pytest.mark.rule("G-24", "CH-227")
def test_a_neighbor_query_goes_up_with_the_upper_handle_and_the_answer_comes_down() -> None:
    stack = Stack(2)
    bench = Bench(13, driver=DriverConfig(), between=stack)
    app = transfer(bench)
    bench.run(until=lambda: app.phase is AppPhase.RUNNING and app.progress > 0.2)
    neighbor = next(iter(bench.host._neighbors.values()))
    lowest = stack.drivers[0]
    own = next(e for e in lowest._entries.values() if getattr(e.upper, "upper", None) is neighbor)
    block = OffloadBlock(
        OffloadStateType.NEIGHBOR,
        ndis_offload_handle=own,
        const=NeighborConst(),
        cached=NeighborCached(PEER.mac, 31_000),
        delegated=NeighborDelegated(31_000),
        status=NdisStatus.SUCCESS,
    )
    seen: list[object] = []
    finish = bench.host.offload_event_indicate

    def noted(binding_context: object, block_list: OffloadBlock | None, code: int) -> None:
        assert block_list is not None
        seen.append(block_list.ndis_offload_handle)
        finish(binding_context, block_list, code)

    bench.host.offload_event_indicate = noted  # type: ignore[method-assign]
    bench.driver.adapter.offload_event_indicate(
        bench.driver.adapter.miniport_handle, block, NeighborEvent.REACHABILITY_QUERY
    )

    assert seen == [neighbor]
    assert block.ndis_offload_handle is own
    assert block.cached == NeighborCached(PEER.mac, 0)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_context_that_names_nothing_here_reaches_no_object_below_and_the_target_answers(depth: int) -> None:
    stack = Stack(depth)
    bench = Bench(14, driver=DriverConfig(), between=stack)
    app = transfer(bench)
    bench.run(until=lambda: app.phase is AppPhase.RUNNING and app.progress > 0.1)
    host, top = bench.host, stack.drivers[-1]
    below = [entry.miniport_offload_context for driver in stack.drivers for entry in driver._entries.values()]
    wrong = [0, 0x7FFF_0000, *(number for number in below if number not in top._entries)]
    back: list[tuple[NetBufferList, NdisStatus | None]] = []
    complete = host.tcp_offload_send_complete
    lists = [NetBufferList([NetBuffer(())]) for _ in wrong]

    def noted(binding_context: object, nbl: NetBufferList) -> None:
        others = []
        for one in unchain(nbl):
            if any(one is mine for mine in lists):
                back.append((one, one.status))
            else:
                others.append(one)
        if others:
            complete(binding_context, chain(others))

    host.tcp_offload_send_complete = noted  # type: ignore[method-assign]
    for nbl, number in zip(lists, wrong, strict=True):
        assert isinstance(number, int)
        nbl.hand_over(Owner.HOST, Owner.TARGET)
        assert top.tcp_offload_send(host.binding.adapter_context, number, nbl) is NdisStatus.PENDING
    bench.run()

    assert len(wrong) > 2
    assert back == [(nbl, NdisStatus.REQUEST_ABORTED) for nbl in lists]
    assert len(bench.driver.misuses) == len(wrong)
    assert_clean(bench, stack, app)


@pytest.mark.parametrize("count", [0, 1, 8])
def test_a_session_of_make_run_goes_through_as_many_drivers_as_im_says(count: int, tmp_path: Path) -> None:
    environment = {"DEVICE": "model", "SIZE": "20000", "CONNS": "2", "IM": str(count), "OUT": str(tmp_path)}
    config = RunConfig.from_environment("run", environment)
    run = ModelRun(config)

    depth = 0
    above = run.driver.adapter.protocol
    while isinstance(above, IntermediateDriver):
        depth, above = depth + 1, above.adapter.protocol
    assert depth == count
    assert run.run() == []
    assert summary.verdict(run.transfer) == []


@pytest.mark.parametrize("text", ["9", "-1", "many"])
def test_im_is_a_number_from_0_to_8(text: str) -> None:
    with pytest.raises(ConfigError, match="IM"):
        RunConfig.from_environment("run", {"IM": text})


def test_no_intermediate_driver_is_the_driver_itself() -> None:
    driver = Bench(15, driver=DriverConfig()).driver
    assert stack_intermediates(driver, 0) is driver
