"""Handles, registration, OIDs and status indications at the faces between host, NDIS and miniport driver."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from model.layout.generated import Opcode, ParamImage, Status
from model.ndis.binding import Adapter
from model.ndis.bookkeeping import ContractError
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.images import DEFAULT_PARAMETERS, parameter_image
from model.ndis.intermediate import stack_intermediates
from model.ndis.miniport import DriverConfig, event_handlers
from model.ndis.netbuffer import NetBuffer, NetBufferList
from model.ndis.offload_state import OffloadBlock, OffloadHandle
from model.ndis.registration import (
    ChimneyType,
    Encapsulation,
    IpOffloadStats,
    NdisHandle,
    OffloadAttributes,
    OffloadParameters,
    Oid,
    OidRequest,
    PowerState,
    ProviderGeneric,
    ProviderTcp,
    RegistrationError,
    Switch,
    TcpConnectionOffload,
    TcpConnectionOffloadParameters,
    TcpEventHandlers,
    TcpOffloadStats,
)
from model.ndis.rings import DriverError
from model.ndis.status import NdisStatus
from tb.tests.model.ndis_bench import PEER, Bench

WIDE = TcpConnectionOffload(64)


def transfer(bench: Bench, size: int = 60_000, port: int = 4000) -> FileTransferApp:
    return FileTransferApp(bench.host, FileTransferConfig(seed=port), random.Random(port).randbytes(size), PEER, port)


def running(app: FileTransferApp, share: float = 0.3) -> bool:
    return app.phase is AppPhase.RUNNING and app.progress > share


# ---- handles


@pytest.mark.rule("CH-021", "CH-255")
def test_every_completion_names_the_adapter_by_the_handle_that_ndis_gave() -> None:
    bench = Bench(1, driver=DriverConfig())
    transfer(bench)
    bench.driver._handle = NdisHandle("NdisMiniportHandle")

    with pytest.raises(ContractError, match="that NDIS did not give it"):
        bench.run()


@pytest.mark.rule("CH-255")
def test_every_tcp_completion_names_the_adapter_by_the_handle_that_ndis_gave() -> None:
    bench = Bench(1, driver=DriverConfig())
    adapter = bench.driver.adapter
    up = event_handlers(adapter)
    nbl = NetBufferList([NetBuffer(())])

    for complete in (up.send_complete, up.receive_complete, up.disconnect_complete, up.forward_complete):
        with pytest.raises(ContractError, match="CH-255"):
            complete(NdisHandle("NdisMiniportHandle"), nbl)


@pytest.mark.rule("CH-255")
def test_the_protocol_is_called_with_the_context_of_its_own_binding() -> None:
    bench = Bench(2, driver=DriverConfig())
    transfer(bench)
    binding = bench.driver.adapter.binding
    assert binding is not None
    assert binding.context is bench.host.binding_context
    binding.context = NdisHandle("ProtocolBindingContext")

    with pytest.raises(ContractError, match="CH-255"):
        bench.run()


def test_the_miniport_is_called_with_its_own_adapter_context_and_refuses_any_other() -> None:
    bench = Bench(3, driver=DriverConfig())
    attributes = bench.driver.adapter.attributes
    assert attributes is not None
    assert bench.host.binding.adapter_context is attributes.adapter_context

    with pytest.raises(DriverError, match="adapter"):
        bench.driver.send_raw(NdisHandle("MiniportAdapterContext"), bytes(60))


@pytest.mark.rule("CH-023", "CH-253")
def test_a_tree_that_comes_back_with_another_source_handle_is_a_fault() -> None:
    bench = Bench(4)
    transfer(bench)
    complete = bench.host.binding.returned

    def changed(root: OffloadBlock) -> None:
        root.source_handle = None
        complete(root)

    bench.host.binding.returned = changed  # type: ignore[method-assign]
    with pytest.raises(ContractError, match="CH-253"):
        bench.run()


@pytest.mark.rule("CH-021")
def test_a_tree_that_completes_twice_is_a_fault() -> None:
    bench = Bench(5, driver=DriverConfig())
    transfer(bench)
    roots: list[OffloadBlock] = []
    finish = bench.host.initiate_offload_complete

    def noted(binding_context: object, block_list: OffloadBlock) -> None:
        roots.append(block_list)
        finish(binding_context, block_list)

    bench.host.initiate_offload_complete = noted  # type: ignore[method-assign]
    bench.run(until=lambda: bool(roots))
    with pytest.raises(ContractError, match="CH-021"):
        bench.driver.adapter.initiate_offload_complete(bench.driver.adapter.miniport_handle, roots[0])


@pytest.mark.rule("CH-033", "G-01")
def test_io_calls_name_a_connection_by_a_handle_that_was_initiated_through_the_same_binding() -> None:
    bench = Bench(6, driver=DriverConfig())
    app = transfer(bench)
    bench.run(until=lambda: running(app))
    connection = app.connection
    assert connection is not None
    assert connection.handle.ndis_reserved is bench.host.binding
    nbl = NetBufferList([NetBuffer(())])

    with pytest.raises(ContractError, match="G-01"):
        bench.host.binding.offload_tcp_send(OffloadHandle(), nbl)
    stranger = OffloadHandle(connection.handle.miniport_offload_context)
    with pytest.raises(ContractError, match="G-01"):
        bench.host.binding.offload_tcp_send(stranger, nbl)


# ---- registration


@pytest.mark.rule("CH-001")
def test_a_driver_registers_each_of_the_two_provider_structures_once() -> None:
    adapter = Bench(1, driver=DriverConfig()).driver.adapter

    assert isinstance(adapter.generic, ProviderGeneric)
    assert isinstance(adapter.tcp, ProviderTcp)
    for table in (adapter.generic, adapter.tcp):
        with pytest.raises(RegistrationError, match="CH-001"):
            adapter.set_optional_handlers(adapter.miniport_handle, table)


@pytest.mark.rule("CH-003")
@pytest.mark.parametrize("kind", [ChimneyType.IPSEC, ChimneyType.RDMA])
def test_there_is_no_table_of_handlers_for_any_chimney_but_tcp(kind: ChimneyType) -> None:
    adapter = Bench(1, driver=DriverConfig()).driver.adapter

    assert adapter.get_offload_handlers(adapter.miniport_handle, kind) == (NdisStatus.NOT_SUPPORTED, None)


class OddAdapter(Adapter):
    """Gives out a table that is not what a driver may use."""

    change: dict[str, Any]

    def get_offload_handlers(
        self, handle: object, chimney_type: ChimneyType
    ) -> tuple[NdisStatus, TcpEventHandlers | None]:
        status, table = super().get_offload_handlers(handle, chimney_type)
        assert table is not None
        return status, replace(table, **self.change)


@pytest.mark.rule("CH-002")
@pytest.mark.parametrize("change", [{"type": ChimneyType.RDMA}, {"revision": 2}, {"size": 48}])
def test_a_driver_checks_type_revision_and_size_of_the_table_it_gets(change: dict[str, Any]) -> None:
    adapter = OddAdapter(Bench(1).host)
    adapter.change = change

    with pytest.raises(DriverError, match="CH-002"):
        event_handlers(adapter)


@pytest.mark.rule("CH-004", "CH-005")
@pytest.mark.parametrize(
    "reported",
    [
        replace(WIDE, encapsulation=Encapsulation.IEEE_802_3_P_AND_Q),
        replace(WIDE, support_ipv4=False),
        replace(WIDE, capacity=0),
    ],
)
def test_without_usable_capabilities_every_connection_stays_in_software(reported: TcpConnectionOffload) -> None:
    bench = Bench(7, driver=DriverConfig())
    adapter = bench.driver.adapter
    assert adapter.attributes is not None
    adapter.set_miniport_attributes(
        adapter.miniport_handle, OffloadAttributes(adapter.attributes.adapter_context, reported, reported)
    )
    bench.host.attach(bench.driver)
    app = transfer(bench)
    bench.run()

    assert (app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data)
    assert app.offload_status is NdisStatus.FAILURE
    assert Opcode.INITIATE not in {sqe.opcode for sqe in bench.device.opcodes}


@pytest.mark.rule("CH-004", "CH-005", "CH-006")
def test_capabilities_are_answered_by_ndis_from_what_the_miniport_reported() -> None:
    bench = Bench(8, driver=DriverConfig(conns=5))
    for oid in (Oid.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG, Oid.TCP_CONNECTION_OFFLOAD_HARDWARE_CAPABILITIES):
        request = OidRequest(oid)
        assert bench.host.request(request) is NdisStatus.SUCCESS
        assert request.buffer == TcpConnectionOffload(5, support_ipv6=True, support_sack=True)


# ---- OIDs


@pytest.mark.rule("CH-007")
def test_set_parameters_reach_the_device_and_complete_later() -> None:
    bench = Bench(9, driver=DriverConfig())
    wanted = TcpConnectionOffloadParameters(ticks_per_second=100, tcp_ack_frequency=3, tcp_push_ticks=50)
    assert bench.host.set_parameters(wanted) is NdisStatus.PENDING
    while bench.target.step():
        pass

    assert [(request.buffer, status) for request, status in bench.host.oids_completed] == [(wanted, NdisStatus.SUCCESS)]
    written = bench.device.parameters
    assert written is not None
    assert (written.ticks_per_second, written.ack_frequency, written.push_ticks) == (100, 3, 50)


@pytest.mark.rule("CH-007", "G-09")
def test_limits_the_host_does_not_know_keep_their_seconds_when_the_tick_changes() -> None:
    for ticks in (10, 100, 1000):
        image = parameter_image(TcpConnectionOffloadParameters(ticks_per_second=ticks), DEFAULT_PARAMETERS)
        seconds = [value / ticks for value in (image.rto_min, image.rto_initial, image.rto_max)]
        assert seconds == [0.3, 1.0, 60.0]


@pytest.mark.rule("CH-014")
def test_a_move_out_of_d0_completes_behind_the_last_terminate() -> None:
    bench = Bench(10, driver=DriverConfig())
    apps = [transfer(bench, 80_000, 4000 + i) for i in range(3)]
    bench.run(until=lambda: all(running(app, 0.1) for app in apps))
    request = OidRequest(Oid.PNP_SET_POWER, set=True, buffer=PowerState.D3)
    assert bench.host.request(request) is NdisStatus.PENDING
    left: list[int] = []
    completed = bench.host.oid_request_complete

    def noted(binding_context: object, request: OidRequest, status: NdisStatus) -> None:
        left.append(len(bench.driver._contexts))
        completed(binding_context, request, status)

    bench.host.oid_request_complete = noted  # type: ignore[method-assign]
    bench.run()

    assert bench.host.oids_completed == [(request, NdisStatus.SUCCESS)]
    assert left == [0]
    assert all((app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data) for app in apps)


def test_an_oid_that_is_not_served_is_not_supported() -> None:
    bench = Bench(11, driver=DriverConfig())
    assert bench.host.request(OidRequest(Oid.TCP_OFFLOAD_PARAMETERS)) is NdisStatus.NOT_SUPPORTED
    encapsulation = OidRequest(Oid.OFFLOAD_ENCAPSULATION)
    assert bench.host.request(encapsulation) is NdisStatus.SUCCESS
    assert encapsulation.buffer is Encapsulation.IEEE_802_3


def _switch(bench: Bench, ipv4: Switch, ipv6: Switch = Switch.NO_CHANGE) -> NdisStatus:
    wanted = OffloadParameters(ipv4, ipv6)
    return bench.host.request(OidRequest(Oid.TCP_OFFLOAD_PARAMETERS, set=True, buffer=wanted))


@pytest.mark.rule("CH-005", "CH-008", "CH-012", "CH-013")
@pytest.mark.parametrize("above", [0, 2])
def test_connection_offload_that_is_switched_off_uploads_all_and_offloads_nothing_until_it_is_on_again(
    above: int,
) -> None:
    bench = Bench(17, driver=DriverConfig(), between=lambda below: stack_intermediates(below, above))
    apps = [transfer(bench, 80_000, 4000 + i) for i in range(2)]
    bench.run(until=lambda: all(running(app, 0.1) for app in apps))
    assert _switch(bench, Switch.DISABLED, Switch.DISABLED) is NdisStatus.PENDING
    bench.run(until=lambda: not bench.driver._contexts)
    assert _switch(bench, Switch.DISABLED, Switch.NO_CHANGE) is NdisStatus.SUCCESS
    late = transfer(bench, 20_000, 4009)
    bench.driver.resume()  # what the device can do is not what the host allows
    bench.run(until=lambda: late.done)
    assert late.offload_status is NdisStatus.FAILURE
    assert _switch(bench, Switch.ENABLED) is NdisStatus.PENDING
    bench.run(until=lambda: not bench.host.paused)
    again = transfer(bench, 20_000, 4010)
    bench.run()
    assert again.offload_status is NdisStatus.SUCCESS
    assert [status for _, status in bench.host.oids_completed] == [NdisStatus.SUCCESS] * 2
    assert all((app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data) for app in (*apps, late, again))


def test_switches_that_change_nothing_or_cannot_be_are_answered_at_once() -> None:
    bench = Bench(17, driver=DriverConfig())
    assert _switch(bench, Switch.NO_CHANGE) is NdisStatus.SUCCESS
    assert _switch(bench, Switch.ENABLED, Switch.ENABLED) is NdisStatus.SUCCESS
    assert bench.host.request(OidRequest(Oid.TCP_OFFLOAD_PARAMETERS, set=True)) is NdisStatus.INVALID_DATA
    assert not bench.host.paused


@pytest.mark.rule("CH-015", "CH-016")
@pytest.mark.parametrize("above", [0, 2])
def test_statistics_of_ipv6_are_zero_and_may_be_set_where_all_is_ipv4(above: int) -> None:
    bench = Bench(11, driver=DriverConfig(), between=lambda below: stack_intermediates(below, above))
    transfer(bench)
    bench.run()
    for oid, empty in ((Oid.TCP6_OFFLOAD_STATS, TcpOffloadStats()), (Oid.IP6_OFFLOAD_STATS, IpOffloadStats())):
        question = OidRequest(oid)
        assert bench.host.request(question) is NdisStatus.SUCCESS
        assert question.buffer == empty
        assert bench.host.request(OidRequest(oid, set=True)) is NdisStatus.SUCCESS


# ---- pause, upload all, resume


@pytest.mark.rule("CH-009", "CH-010", "CH-013")
def test_a_paused_target_queues_the_initiate_in_flight_and_serves_it_when_it_resumes() -> None:
    bench = Bench(12, driver=DriverConfig())
    first = transfer(bench, 200_000, 4000)
    bench.run(until=lambda: running(first, 0.1))
    second = transfer(bench, 20_000, 4001)
    bench.driver._paused = True  # the indication crosses the initiate on its way down
    bench.run(until=lambda: second.phase is AppPhase.INITIATING)
    bench.driver.pause()
    third = transfer(bench, 20_000, 4002)
    at_pause = first.progress
    bench.run(until=lambda: first.progress > at_pause + 0.1 and third.offload_status is not None)
    assert second.phase is AppPhase.INITIATING
    bench.driver.resume()
    bench.run()

    assert second.offload_status is NdisStatus.SUCCESS
    assert third.offload_status is NdisStatus.FAILURE
    for app in (first, second, third):
        assert (app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data)


@pytest.mark.rule("CH-009", "CH-010")
def test_an_initiate_that_meets_a_bare_pause_fails_in_its_time_and_the_offloaded_connections_go_on() -> None:
    bench = Bench(12, driver=DriverConfig(answer_ticks=300))
    first = transfer(bench, 200_000, 4000)
    bench.run(until=lambda: running(first, 0.1))
    second = transfer(bench, 20_000, 4001)
    bench.driver._paused = True  # the indication crosses the initiate on its way down
    bench.run(until=lambda: second.phase is AppPhase.INITIATING)
    ((_, asked),) = bench.driver._initiates_waiting
    bench.driver.pause()
    for tick, phase in ((asked + 299, AppPhase.INITIATING), (asked + 300, AppPhase.SOFTWARE)):
        bench.driver.on_tick(tick)
        while bench.target.step():
            pass
        assert second.phase is phase
    bench.run()
    assert (first.offload_status, second.offload_status) == (NdisStatus.SUCCESS, NdisStatus.FAILURE)
    for app in (first, second):
        assert (app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data)


@pytest.mark.rule("CH-012", "CH-013")
def test_upload_all_brings_everything_back_and_nothing_is_offloaded_until_resume() -> None:
    bench = Bench(13, driver=DriverConfig())
    apps = [transfer(bench, 80_000, 4000 + i) for i in range(3)]
    bench.run(until=lambda: all(running(app, 0.1) for app in apps))
    bench.driver.pause()
    bench.driver.upload_all()
    bench.run(until=lambda: not bench.driver._contexts)
    late = transfer(bench, 20_000, 4009)
    bench.run(until=lambda: late.done)

    assert all(app.uploaded_state is not None for app in apps)
    assert late.offload_status is NdisStatus.FAILURE
    assert set(bench.host.completions["send"]) <= {"SUCCESS", "UPLOAD_IN_PROGRESS"}
    bench.driver.resume()
    again = transfer(bench, 20_000, 4010)
    bench.run()
    assert again.offload_status is NdisStatus.SUCCESS
    assert all(bytes(app.sink) == app.data for app in (*apps, late, again))


@pytest.mark.rule("CH-008")
def test_a_changed_capability_comes_with_resume_and_is_what_ndis_answers_from_then_on() -> None:
    bench = Bench(14, driver=DriverConfig())
    bench.driver.pause()
    smaller = TcpConnectionOffload(2, support_sack=True)
    bench.driver.resume(smaller)

    question = OidRequest(Oid.TCP_CONNECTION_OFFLOAD_CURRENT_CONFIG)
    bench.host.request(question)
    assert bench.host.capabilities == question.buffer == smaller
    with pytest.raises(ContractError, match="CH-008"):
        bench.host.status_indicate(bench.host.binding_context, NdisStatus.OFFLOAD_RESUME, None)


def test_a_parameter_image_the_device_refuses_fails_the_request() -> None:
    bench = Bench(16, driver=DriverConfig())
    while bench.target.step():
        pass
    bench.device.parameter_status = Status.BAD_IMAGE
    bench.host.set_parameters(TcpConnectionOffloadParameters(tcp_ack_frequency=0))
    while bench.target.step():
        pass
    assert [status for _, status in bench.host.oids_completed] == [NdisStatus.FAILURE]
    assert isinstance(bench.device.parameters, ParamImage)
