"""A multiplexer over two miniports: paths move between them under traffic, and the host sees one target."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from model.layout.generated import Status
from model.ndis.enums import Layer, TcpEventType
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig, TerminateWhen
from model.ndis.host import NdisHost
from model.ndis.intermediate import stack_intermediates
from model.ndis.memory import FlatMemory, PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from model.ndis.miniport_io import DeviceLimits
from model.ndis.multiplexer import Move, Multiplexer, MultiplexerError, MuxEntry, Stay
from model.ndis.netbuffer import NetBuffer, NetBufferList
from model.ndis.registration import Oid, OidRequest, PowerState, TcpConnectionOffload, TcpConnectionOffloadParameters
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import NdisStatus
from tb.tests.model.ndis_bench import HOST_IP, HOST_MAC, PEER, Bench, DrivenDevice, TwoDevices, Wire
from tb.tests.model.ndis_fake_device import FakeDevice

POOL_BUFS = 256
WRAPPING = SoftTcpConfig(initial_seq=0xFFFF_F000, initial_ts=0xFFFF_FFF0)


class MuxBench(Bench):
    """Two drivers over two fake devices under one multiplexer."""

    def __init__(
        self,
        seed: int,
        wire: Wire | None = None,
        chained: bool = False,
        conns: tuple[int, int] = (8, 8),
        above: int = 0,
        failures: dict[int, Status] | None = None,
    ) -> None:
        super().__init__(seed, wire)
        config = DriverConfig(
            conns=8, pool_bufs=POOL_BUFS, limits=DeviceLimits(4, 4), chain_unfinished=chained, list_bytes=1 << 18
        )
        self.memory = FlatMemory(64 << 20)
        self.allocator = PageAllocator(self.memory, 0, 32 << 20, seed)
        self.pool = PageAllocator(self.memory, 32 << 20, 64 << 20, seed)
        self.host = NdisHost(self.memory, self.allocator, HOST_MAC, HOST_IP, self.host.config)
        self.drivers: list[MiniportDriver] = []
        #: Moves that ended.
        self.moves: list[Move] = []
        targets: list[DrivenDevice] = []
        for number in range(2):
            device = FakeDevice(self.memory, seed + number, 8, 4, 4, failures if number else None)
            driver = MiniportDriver(device, self.host, self.pool, replace(config, conns=conns[number]))
            driver.reset()
            driver.start()
            self.drivers.append(driver)
            targets.append(DrivenDevice(driver, device))
        self.mux = Multiplexer(self.drivers, self.host)
        self.host.attach(stack_intermediates(self.mux, above))
        self.targets = targets
        self.target = TwoDevices(targets)

    def move(self, app: FileTransferApp, share: float, target: int) -> MuxEntry:
        """Run until ``share`` of the data came back, then move the one path there is."""
        self.run(until=lambda: app.progress >= share)
        (path,) = self.mux.paths
        assert self.mux.move_path(path, target, self.moves.append)
        return path

    @property
    def loads(self) -> list[int]:
        """Offloaded objects at each miniport."""
        return [len(driver._contexts) for driver in self.drivers]


def transfer(bench: Bench, size: int = 120_000, port: int = 4000, **changes: object) -> FileTransferApp:
    config = FileTransferConfig(seed=port, tcp=WRAPPING, **changes)  # type: ignore[arg-type]
    return FileTransferApp(bench.host, config, random.Random(port).randbytes(size), PEER, port)


def assert_clean(bench: MuxBench, *apps: FileTransferApp) -> None:
    for app in apps:
        assert (app.phase, app.failure) == (AppPhase.DONE, "")
        assert bytes(app.sink) == app.data
    assert bench.peer.violations == []
    assert (bench.mux.entries, bench.loads, bench.allocator.used_pages) == (0, [0, 0], 0)
    assert bench.mux._given == {}
    while bench.target.step():
        pass
    for target in bench.targets:
        assert (target.driver.lists.used, target.driver.bounce.used) == (0, 0)
        assert sorted(target.device._pool_free) == list(range(POOL_BUFS))


@pytest.mark.rule("CH-236", "CH-241", "CH-251", "CH-254")
@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("seed", range(1, 7))
def test_a_path_moves_between_two_miniports_under_traffic_and_no_byte_is_lost(seed: int, chained: bool) -> None:
    bench = MuxBench(seed, Wire(loss=0.02 * (seed % 2), delay=5), chained, above=seed % 3)
    whens = list(TerminateWhen)
    apps = [transfer(bench, 100_000 + 100_000 * (i > 0), 4000 + i, terminate_when=whens[i]) for i in range(3)]
    path = bench.move(apps[0], 0.2, 1)
    bench.run(until=lambda: path.stay is Stay.AT_HOME)
    assert bench.loads == [0, 5]
    bench.move(apps[0], 0.5, 0)
    bench.run()

    assert_clean(bench, *apps)
    done = bench.host.completions
    assert set(done["send"]) == {"SUCCESS"}
    assert all(app.software_bytes == 0 for app in apps)
    assert [(m.source, m.target, m.parked) for m in bench.moves] == [(0, 1, []), (1, 0, [])]


@pytest.mark.rule("CH-054", "CH-251")
@pytest.mark.parametrize("seed", range(1, 13))
def test_many_moves_in_a_row_change_nothing_for_host_and_peer(seed: int) -> None:
    """Among them are moves of a host that has no receive posted as a miniport inherits what it was not given."""
    bench = MuxBench(seed, Wire(delay=3))
    app = transfer(bench, 300_000, refuse=0.3, accept_part=0.2)
    for step in range(12):
        bench.run(until=lambda s=step: app.progress >= 0.05 * (s + 1) and bench.mux.paths[0].stay is Stay.AT_HOME)  # type: ignore[misc]
        assert bench.mux.move_path(bench.mux.paths[0], (step + 1) % 2)
    bench.run()
    assert_clean(bench, app)


@pytest.mark.rule("CH-231")
def test_a_neighbor_leaves_a_miniport_with_its_last_path_and_stays_while_another_one_needs_it() -> None:
    bench = MuxBench(8)
    app = transfer(bench)
    path = bench.move(app, 0.2, 1)
    neighbor = path.below
    assert neighbor is not None
    bench.run(until=lambda: path.stay is Stay.AT_HOME)
    assert list(neighbor.at) == [1]
    assert list(path.at) == [1]
    bench.run()
    assert_clean(bench, app)


@pytest.mark.rule("CH-207")
def test_a_connection_the_new_miniport_cannot_take_waits_for_its_upload_with_all_its_data() -> None:
    bench = MuxBench(9, Wire(delay=5), conns=(8, 2))
    apps = [transfer(bench, 100_000, 4000 + i) for i in range(4)]
    bench.run(until=lambda: all(app.phase is AppPhase.RUNNING for app in apps))
    bench.move(apps[0], 0.2, 1)
    bench.run()

    assert_clean(bench, *apps)
    assert len(bench.moves[0].parked) == 2
    assert sum(app.software_bytes > 0 for app in apps) == 2


@pytest.mark.rule("CH-207")
@pytest.mark.parametrize("chained", [False, True])
def test_a_path_the_new_miniport_refuses_leaves_every_connection_to_the_host(chained: bool) -> None:
    bench = MuxBench(10, Wire(delay=5), chained)
    bench.drivers[1]._free_ids[Layer.PATH].clear()
    apps = [transfer(bench, 80_000, 4000 + i) for i in range(2)]
    bench.run(until=lambda: all(app.phase is AppPhase.RUNNING for app in apps))
    bench.move(apps[0], 0.2, 1)
    bench.run()
    assert_clean(bench, *apps)
    assert len(bench.moves[0].parked) == len(apps)
    assert all(app.software_bytes > 0 for app in apps)


def silent(app: FileTransferApp) -> Callable[[], None]:
    """Let an application refuse all that is indicated and post nothing, until the function returned is called."""
    post = app._post_receives
    app._post_receives = lambda: False  # type: ignore[method-assign]

    def again() -> None:
        app._post_receives = post  # type: ignore[method-assign]

    return again


@pytest.mark.rule("CH-151", "CH-241", "CH-242")
@pytest.mark.parametrize("upload", [False, True])
def test_what_the_host_refused_before_the_move_is_not_indicated_again_before_it_posts(upload: bool) -> None:
    bench = MuxBench(20, Wire(delay=2))
    app = transfer(bench, 60_000, refuse=1.0)
    again = silent(app)
    bench.run(until=lambda: app.connection is not None and app.connection.ledger.refused)
    (path,) = bench.mux.paths
    assert bench.mux.move_path(path, 1, bench.moves.append)
    while bench.host.step() | bench.target.step():
        pass
    assert [move.parked for move in bench.moves] == [[]]
    assert bench.host.completions["indicate"] == {"OFFLOAD_DATA_NOT_ACCEPTED": 1}
    if upload:
        app._want_upload = True
    else:
        again()
    bench.run()

    assert_clean(bench, app)
    assert (app.software_bytes > 0) == upload


@pytest.mark.rule("CH-157", "CH-242")
def test_received_data_of_a_parked_connection_goes_back_to_the_miniport_it_lies_in() -> None:
    bench = MuxBench(21, Wire(delay=2))
    app = transfer(bench, 60_000, refuse=1.0)
    silent(app)
    bench.run(until=lambda: bool(bench.mux.paths))
    (path,) = bench.mux.paths
    assert bench.mux.move_path(path, 1, bench.moves.append)
    bench.run(until=lambda: app.connection is not None and app.connection.ledger.refused)
    bench.drivers[0]._free_ids[Layer.PATH].clear()
    assert bench.mux.move_path(path, 0, bench.moves.append)
    bench.run()

    assert_clean(bench, app)
    assert [len(move.parked) for move in bench.moves] == [0, 1]
    assert app.software_bytes > 0


def test_calls_that_come_while_a_path_is_on_its_way_wait_and_are_made_in_order() -> None:
    bench = MuxBench(11, Wire(delay=5))
    app = transfer(bench, 100_000)
    bench.run(until=lambda: app.progress >= 0.2)
    (path,) = bench.mux.paths
    assert bench.mux.move_path(path, 1)
    app._want_upload = True
    bench.host.clients.remove(app)
    assert app.step()
    bench.host.clients.append(app)
    bench.host.step()
    assert len(bench.mux._held) == 1
    late = transfer(bench, 20_000, 4001)
    bench.run()
    assert_clean(bench, app, late)
    assert bench.mux._held == []


def test_a_path_does_not_move_to_where_it_is_nor_while_a_call_for_it_is_under_way() -> None:
    bench = MuxBench(12)
    app = transfer(bench)
    bench.run(until=lambda: app.progress >= 0.2)
    (path,) = bench.mux.paths
    assert not bench.mux.move_path(path, 0)
    app._want_upload = True
    while app.phase is not AppPhase.TERMINATING:
        bench.host.step()
    bench.host.step()
    assert not bench.mux.move_path(path, 1)
    bench.run()
    assert_clean(bench, app)


@pytest.mark.rule("CH-007", "CH-014")
def test_a_set_goes_to_every_miniport_and_completes_once_with_the_worst_status() -> None:
    bench = MuxBench(13)
    while bench.target.step():
        pass
    assert bench.host.capabilities == TcpConnectionOffload(8, support_ipv6=True, support_sack=True)
    bench.targets[1].device.parameter_status = Status.BAD_IMAGE
    assert bench.host.set_parameters(TcpConnectionOffloadParameters(ticks_per_second=10)) is NdisStatus.PENDING
    while bench.target.step():
        pass
    assert [status for _, status in bench.host.oids_completed] == [NdisStatus.FAILURE]
    power = OidRequest(Oid.PNP_SET_POWER, set=True, buffer=PowerState.D3)
    assert bench.host.request(power) is NdisStatus.SUCCESS


def test_a_context_or_handle_that_was_never_given_is_refused() -> None:
    bench = MuxBench(14)
    nbl = NetBufferList([NetBuffer(())])
    refused: list[Callable[[], object]] = [
        lambda: bench.mux.tcp_offload_send(bench.host.binding.adapter_context, 99, nbl),
        lambda: bench.mux.tcp_offload_send(object(), 99, nbl),
        lambda: bench.mux.tcp_offload_event(object(), TcpEventType.ABORT, 0),
        lambda: bench.mux.indicate_raw(object(), b""),
    ]
    for call in refused:
        with pytest.raises(MultiplexerError):
            call()
