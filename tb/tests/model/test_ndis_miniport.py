"""The miniport driver against a fake device that asserts the host port contract."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.layout.generated import Cqe, CqKind, Csr, Opcode, ParamImage, Status, TcpImage
from model.ndis.enums import DisconnectFlags, TcpConnectionState
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig, TerminateWhen
from model.ndis.framing import decode
from model.ndis.images import delegated_state, io_status, neighbor_image, path_image, tcp_image
from model.ndis.memory import POISON, FlatMemory
from model.ndis.miniport import DriverConfig
from model.ndis.miniport_io import SEND_LAST, DeviceLimits, cut, merge_adjacent
from model.ndis.netbuffer import BufferShape, NetBuffer, NetBufferList
from model.ndis.offload_state import (
    NeighborCached,
    NeighborConst,
    NeighborDelegated,
    PathCached,
    PathConst,
    TcpCached,
    TcpConst,
    TcpDelegated,
    structure_port,
)
from model.ndis.rings import CompletionRing, DmaArena, DriverError, RingPlace
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import CompletionKind, NdisStatus
from model.wire.frame import TcpFlag
from tb.tests.model.ndis_bench import PEER, Bench, Wire

WRAPPING = SoftTcpConfig(initial_seq=0xFFFF_F000, initial_ts=0xFFFF_FFF0)


def transfer(bench: Bench, size: int, port: int = 4000, **changes: object) -> FileTransferApp:
    config = FileTransferConfig(seed=port, tcp=WRAPPING, **changes)  # type: ignore[arg-type]
    return FileTransferApp(bench.host, config, random.Random(port).randbytes(size), PEER, port)


def assert_clean(bench: Bench, *apps: FileTransferApp) -> None:
    for app in apps:
        assert (app.phase, app.failure) == (AppPhase.DONE, "")
        assert bytes(app.sink) == app.data
    assert bench.peer.violations == []
    assert bench.allocator.used_pages == 0
    assert (bench.driver.lists.used, bench.driver.bounce.used) == (0, 0)


@pytest.mark.rule("CH-099", "CH-124", "CH-155")
@pytest.mark.parametrize("seed", range(1, 9))
def test_a_file_crosses_the_driver_byte_exact(seed: int) -> None:
    config = DriverConfig(sq_log2=(4, 6, 8)[seed % 3], cq_log2=(7, 10)[seed % 2])
    bench = Bench(seed, Wire(loss=0.02 * (seed % 2)), driver=config)
    app = transfer(bench, 120_000, terminate_when=list(TerminateWhen)[seed % 3])
    bench.run()

    assert_clean(bench, app)
    assert app.software_bytes == 0


@pytest.mark.rule("CH-236", "CH-237", "CH-239", "CH-251")
@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize("chained", [False, True])
def test_an_upload_in_mid_transfer_returns_every_list_by_one_of_two_ways(seed: int, chained: bool) -> None:
    config = DriverConfig(chain_unfinished=chained, limits=DeviceLimits(4, 4))
    bench = Bench(seed, Wire(loss=0.03, delay=20), driver=config)
    app = transfer(bench, 200_000, upload_after=15_000 * seed)
    bench.run()

    assert_clean(bench, app)
    unfinished = bench.host.completions["send"]["UPLOAD_IN_PROGRESS"]
    assert app.uploaded_state is not None
    assert (app.uploaded_state.send_data_head is not None, unfinished > 0) == (chained, not chained)


@pytest.mark.rule("CH-006", "CH-036")
def test_many_connections_share_small_rings_and_one_table() -> None:
    config = DriverConfig(conns=16, sq_log2=5, cq_log2=6, pool_bufs=256, limits=DeviceLimits(8, 8))
    bench = Bench(3, Wire(loss=0.01), driver=config)
    apps = [transfer(bench, 30_000, 4000 + i, receive_windows=(4,)) for i in range(16)]
    bench.run()

    assert_clean(bench, *apps)
    assert all(app.offload_status is NdisStatus.SUCCESS for app in apps)


def test_a_table_that_is_full_fails_one_connection_which_then_runs_in_software() -> None:
    bench = Bench(4, driver=DriverConfig(conns=2))
    apps = [transfer(bench, 20_000, 4000 + i) for i in range(3)]
    bench.run()

    assert_clean(bench, *apps)
    statuses = sorted(app.offload_status.name for app in apps if app.offload_status is not None)
    assert statuses == ["OFFLOAD_TCP_ENTRIES", "SUCCESS", "SUCCESS"]


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (Status.TABLE_FULL, NdisStatus.OFFLOAD_TCP_ENTRIES),
        (Status.RCV_WINDOW, NdisStatus.OFFLOAD_TCP_RCV_WINDOW),
        (Status.NO_RESOURCES, NdisStatus.RESOURCES),
        (Status.BAD_IMAGE, NdisStatus.FAILURE),
        (Status.DUPLICATE_KEY, NdisStatus.FAILURE),
    ],
)
def test_a_device_refusal_becomes_the_documented_status(device: Status, expected: NdisStatus) -> None:
    bench = Bench(5, driver=DriverConfig(), device_failures={1: device})
    app = transfer(bench, 10_000, software_first=3_000)
    bench.run()

    assert_clean(bench, app)
    assert app.offload_status is expected


@pytest.mark.rule("CH-050", "CH-071")
def test_inherited_sends_are_issued_between_initiate_and_start() -> None:
    bench = Bench(6, Wire(delay=5), driver=DriverConfig())
    app = transfer(bench, 40_000, software_first=4_000)
    bench.run()

    assert_clean(bench, app)
    opcodes = [Opcode(sqe.opcode) for sqe in bench.device.opcodes]
    first = opcodes.index(Opcode.INITIATE)
    upto_start = opcodes[first : opcodes.index(Opcode.START) + 1]
    assert upto_start[0] is Opcode.INITIATE
    assert Opcode.SEND in upto_start
    assert opcodes.index(Opcode.RESUME) > opcodes.index(Opcode.START)


@pytest.mark.rule("CH-051", "CH-053", "CH-054", "CH-055")
@pytest.mark.parametrize("seed", range(1, 7))
def test_receive_data_buffered_by_the_host_is_delivered_first_by_the_target(seed: int) -> None:
    bench = Bench(seed, driver=DriverConfig())
    app = transfer(bench, 60_000, 4000 + seed, software_first=20_000, hand_over_received=True, refuse=0.4)
    bench.run()

    assert_clean(bench, app)
    assert app.software_bytes == 0


@pytest.mark.rule("CH-098", "CH-104")
def test_a_list_of_more_than_sixteen_pieces_is_cut_and_completed_once() -> None:
    bench = Bench(7, driver=DriverConfig(limits=DeviceLimits(3, 3)))
    app = transfer(
        bench,
        600_000,
        send_sizes=((200_000, 200_000, 1),),
        send_shape=BufferShape(max_net_buffers=3, max_mdls=20),
        max_outstanding_send=400_000,
    )
    bench.run()

    assert_clean(bench, app)
    entries = [sqe for sqe in bench.device.opcodes if sqe.opcode == Opcode.SEND]
    assert len(entries) > 3 * 3
    assert max(sqe.count for sqe in entries) == 16
    assert all(sqe.flags & SEND_LAST for sqe in entries)
    assert bench.host.completions["send"] == {"SUCCESS": 3}


def resets(bench: Bench) -> int:
    """Frames with RST that the device sent."""
    segments = [decode(frame) for to_peer, frame in bench.frames if to_peer]
    return sum(s is not None and TcpFlag.RST in s.flags for s in segments)


@pytest.mark.rule("CH-181", "CH-182", "CH-184", "CH-186", "CH-189", "G-06", "G-22", "G-29")
@pytest.mark.parametrize("seed", range(1, 9))
def test_an_abortive_disconnect_sends_a_reset_and_completes_last(seed: int) -> None:
    config = DriverConfig(limits=DeviceLimits(3, 3), sq_log2=(4, 8)[seed % 2])
    bench = Bench(seed, Wire(delay=5), driver=config)
    bench.host.on_abort = lambda connection: bench.peer.expect_reset(connection.stack.tcp.local.port)
    hit = transfer(
        bench, 200_000, 4000, abort_after=10_000 * seed, terminate_when=list(TerminateWhen)[seed % 3], refuse=0.5,
        send_sizes=((30_000, 90_000, 1),), send_shape=BufferShape(max_net_buffers=3, max_mdls=20),
    )  # fmt: skip
    spared = transfer(bench, 60_000, 4001)
    bench.run()

    assert (hit.phase, spared.phase) == (AppPhase.FAILED, AppPhase.DONE)
    assert bytes(spared.sink) == spared.data
    assert hit.data.startswith(bytes(hit.sink))
    done = bench.host.completions
    assert done["disconnect"] == {"SUCCESS": 2}
    assert set(done["send"]) <= {"SUCCESS", "REQUEST_ABORTED"}
    assert "ABORT" not in done.get("event", {})
    assert resets(bench) == 1
    assert (bench.peer.violations, bench.allocator.used_pages) == ([], 0)
    assert (bench.driver.lists.used, bench.driver.bounce.used) == (0, 0)
    names = [entry.name for entry in bench.host.trace if entry.connection == 0]
    last = names.index("disconnect complete")
    assert "send complete" not in names[last:]


@pytest.mark.rule("CH-180", "G-23")
def test_an_abortive_disconnect_behind_a_graceful_one_aborts_it_first() -> None:
    bench = Bench(9, Wire(delay=50), driver=DriverConfig())
    bench.host.on_abort = lambda connection: bench.peer.expect_reset(connection.stack.tcp.local.port)
    app = transfer(bench, 5_000, terminate_when=TerminateWhen.AFTER_PEER_FIN, disconnect_bytes=900)
    bench.run(until=lambda: app.phase is AppPhase.DISCONNECTING)
    assert app.connection is not None
    for _ in range(2):
        lists = NetBufferList([NetBuffer(())])
        bench.host.issue_disconnect(app.connection, lists, DisconnectFlags.ABORTIVE)
    bench.run()

    told = [entry.detail for entry in bench.host.trace if entry.name == "disconnect complete"]
    assert told == ["REQUEST_ABORTED 0", "SUCCESS 0", "REQUEST_ABORTED 0"]
    assert (resets(bench), app.phase) == (1, AppPhase.FAILED)
    assert (bench.peer.violations, bench.allocator.used_pages) == ([], 0)


@pytest.mark.rule("CH-185")
def test_an_abortive_disconnect_of_a_connection_that_is_aborted_fails() -> None:
    bench = Bench(10, driver=DriverConfig())
    app = transfer(bench, 60_000)
    bench.run(until=lambda: len(app.sink) > 20_000)
    for frame in bench.peer.abort(0, bench.tick):
        bench.target.on_frame(frame)
    assert app.connection is not None
    bench.host.issue_disconnect(app.connection, NetBufferList([NetBuffer(())]), DisconnectFlags.ABORTIVE)
    bench.run()

    assert bench.host.completions["disconnect"] in ({"REQUEST_ABORTED": 1}, {"SUCCESS": 1})
    refused = bench.host.completions["disconnect"] == {"REQUEST_ABORTED": 1}
    assert refused == (resets(bench) == 0) == ("ABORT" in bench.host.completions.get("event", {}))
    assert bench.allocator.used_pages == 0


@pytest.mark.rule("CH-107", "CH-193", "CH-194", "G-29")
def test_a_reset_by_the_peer_aborts_one_connection_and_leaves_the_other_alone() -> None:
    bench = Bench(11, driver=DriverConfig())
    hit, spared = transfer(bench, 100_000, 4000), transfer(bench, 60_000, 4001)
    bench.run(until=lambda: len(hit.sink) > 20_000)
    for frame in bench.peer.abort(0, bench.tick):
        bench.target.on_frame(frame)
    bench.run()

    assert (hit.phase, spared.phase) == (AppPhase.FAILED, AppPhase.DONE)
    assert bytes(spared.sink) == spared.data
    assert hit.data.startswith(bytes(hit.sink))
    assert bench.host.completions["event"]["ABORT"] == 1
    assert bench.allocator.used_pages == 0


@pytest.mark.rule("CH-096")
def test_a_hardware_failure_is_reported_as_retrieve_and_then_abort() -> None:
    bench = Bench(12, driver=DriverConfig())
    app = transfer(bench, 100_000)
    bench.run(until=lambda: len(app.sink) > 20_000)
    bench.device.fault(0)
    bench.run()

    events = [entry.detail for entry in bench.host.trace if entry.name == "tcp event"]
    assert events == ["RETRIEVE(HARDWARE_FAILURE)", "ABORT"]
    assert app.phase is AppPhase.FAILED
    assert set(bench.host.completions["receive"]) <= {"SUCCESS", "REQUEST_ABORTED"}
    assert bench.allocator.used_pages == 0


@pytest.mark.rule("CH-049")
def test_a_start_that_fails_takes_the_connection_off_the_device_with_its_chain_untouched() -> None:
    bench = Bench(13, driver=DriverConfig(), start_failures={1: Status.BAD_STATE})
    app = transfer(bench, 40_000, software_first=8_000)
    bench.run()

    assert_clean(bench, app)
    assert app.offload_status is NdisStatus.FAILURE
    opcodes = [Opcode(sqe.opcode) for sqe in bench.device.opcodes]
    assert opcodes.count(Opcode.TERMINATE) == 1
    assert bench.device.conns == {}


@pytest.mark.rule("CH-054", "CH-055")
def test_inherited_receive_data_is_not_indicated_before_a_receive_was_posted() -> None:
    bench = Bench(2, driver=DriverConfig())
    app = transfer(bench, 60_000, software_first=20_000, hand_over_received=True, receive_sizes=((1, 40, 1),))
    bench.run()

    assert_clean(bench, app)
    names = [call.name for call in bench.host.trace]
    assert names.index("NdisOffloadTcpReceive") < names.index("receive indicate")


@pytest.mark.rule("CH-054", "CH-241")
@pytest.mark.parametrize("seed", range(1, 5))
def test_inherited_receive_data_that_was_not_delivered_goes_back_up(seed: int) -> None:
    bench = Bench(seed, driver=DriverConfig())
    app = transfer(
        bench,
        60_000,
        4000 + seed,
        software_first=20_000,
        hand_over_received=True,
        receive_sizes=((1, 40, 1),),
        zero_byte_receive=0.0,
        nonpush=0.0,
        refuse=0.0,
        accept_part=1.0,
        upload_after=1,
    )
    bench.run()

    assert_clean(bench, app)
    assert app.uploaded_state is not None
    assert app.uploaded_state.buffered_data is not None


@pytest.mark.rule("CH-248", "CH-249")
@pytest.mark.parametrize("chained", [False, True])
def test_a_terminate_whose_image_could_not_be_written_loses_the_state_but_no_list(chained: bool) -> None:
    config = DriverConfig(chain_unfinished=chained)
    bench = Bench(15, Wire(delay=20), driver=config, terminate_status=Status.WRITE_ERROR)
    app = transfer(bench, 100_000, upload_after=20_000)
    bench.run()

    assert app.phase is AppPhase.FAILED
    assert bench.host.completions["terminate"]["FAILURE"] == 1
    assert bench.allocator.used_pages == 0


def test_bounce_memory_that_is_short_delays_receives_and_loses_nothing() -> None:
    bench = Bench(14, driver=DriverConfig(bounce_bytes=128 * 1024, cq_log2=6))
    app = transfer(bench, 300_000, contiguous_receive=0.0, receive_windows=(8,), nonpush=0.0)
    bench.run()

    assert_clean(bench, app)


def test_pool_and_raw_buffers_are_poisoned_before_they_go_back() -> None:
    bench = Bench(9, driver=DriverConfig(pool_bufs=64, raw_bufs=4))
    app = transfer(bench, 60_000)
    bench.run()

    assert_clean(bench, app)
    base = bench.device.regs[Csr.RAW_BASE_LO]
    assert bench.memory.read(base, 64) == bytes([POISON]) * 64


def test_start_programs_the_device_before_it_is_enabled() -> None:
    bench = Bench(10, driver=DriverConfig())
    regs = bench.device.regs

    assert regs[Csr.CONTROL] & 5 == 5
    assert regs[Csr.SQ_BASE_LO] % 64 == 0
    assert regs[Csr.POOL_BASE_LO] % 2048 == 0
    assert regs[Csr.MAC_LO] == 0x00000002
    assert regs[Csr.MAC_HI] == 0x0100
    raw = bench.memory.read(regs[Csr.SQ_BASE_LO], 64)
    assert raw[0] == Opcode.PARAM_WRITE
    image = ParamImage.from_bytes(bench.memory.read(int.from_bytes(raw[16:24], "little"), 64))
    assert (image.ticks_per_second, image.rto_initial) == (1000, 1000)


# ---- pieces


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 4096)), max_size=60))
@settings(max_examples=50, deadline=None)
def test_merging_and_cutting_keep_every_byte_in_order(elements: list[tuple[int, int]]) -> None:
    groups = cut(merge_adjacent(iter(elements)))
    flat = [addr + i for group in groups for addr, n in group for i in range(n)]

    assert all(len(group) <= 16 for group in groups)
    assert flat == [addr + i for addr, n in elements for i in range(n)]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_the_arena_never_hands_out_overlapping_blocks_and_heals(seed: int) -> None:
    rng = random.Random(seed)
    arena = DmaArena(FlatMemory(1 << 16), 0, 1 << 16)
    held: dict[int, int] = {}
    for _ in range(200):
        if held and rng.random() < 0.5:
            addr = rng.choice(list(held))
            arena.free(addr)
            del held[addr]
            continue
        size = rng.randint(1, 5000)
        block = arena.allocate(size)
        if block is not None:
            assert all(block + size <= a or a + n <= block for a, n in held.items())
            held[block] = size
    for addr in held:
        arena.free(addr)

    assert arena.allocate(1 << 16) == 0
    with pytest.raises(DriverError):
        arena.free(64)


def test_the_completion_ring_follows_the_phase_bit_over_laps() -> None:
    memory = FlatMemory(4096)

    class Port:
        mem = memory
        head = 0

        def mmio_write(self, offset: int, value: int) -> None:
            self.head = value

        def mmio_read(self, offset: int) -> int:
            return 0

        def read_registers(self, offsets: Sequence[int], done: Callable[[Sequence[int]], None]) -> None:
            done([0] * len(offsets))

    port = Port()
    ring = CompletionRing(port, RingPlace(0, 2))
    for i in range(11):
        assert ring.pop() is None
        entry = Cqe(kind=CqKind.COMMAND, cookie=i, phase=1 - i // 4 % 2)
        memory.write(i % 4 * 32, entry.to_bytes())
        found = ring.pop()
        assert found is not None
        assert found.cookie == i
    ring.release()
    assert port.head == 11 % 4


@pytest.mark.rule("G-10", "G-27")
def test_images_of_hand_typed_states_have_their_bytes_where_the_layout_says() -> None:
    neighbor = neighbor_image(
        NeighborConst(bytes.fromhex("020000000001"), 0x123),
        NeighborCached(bytes.fromhex("02AABBCCDDEE"), 0x01020304),
        NeighborDelegated(0x0A0B0C0D),
    )
    assert neighbor[0:6] == bytes.fromhex("020000000001")
    assert neighbor[32:34] == bytes.fromhex("2301")
    assert neighbor[64:70] == bytes.fromhex("02AABBCCDDEE")
    assert neighbor[96:104] == bytes.fromhex("040302010D0C0B0A")
    path = path_image(PathConst(bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))), PathCached(1500), 3)
    assert path[0:8] == bytes.fromhex("04000300DC050000")
    assert path[16:20] == bytes((10, 0, 0, 1))
    assert path[32:36] == bytes((10, 0, 0, 2))
    state = TcpDelegated(TcpConnectionState.ESTABLISHED, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ts_time=0x11223344)
    tcp = tcp_image(TcpConst(structure_port(7), structure_port(4000)), TcpCached(), state, 1, 4)
    assert tcp[4:8] == (7).to_bytes(2, "little") + (4000).to_bytes(2, "little")
    assert tcp[128:132] == bytes((4, 0, 0, 0))
    assert tcp[188:192] == bytes.fromhex("44332211")
    assert delegated_state(tcp[128:]) == state


@pytest.mark.rule("CH-245")
def test_every_delegated_field_survives_the_image_round_trip() -> None:
    rng = random.Random(1)
    fields = {name: rng.getrandbits(width) for name, (_, width) in TcpImage.FIELDS.items()}
    raw = TcpImage(**{**fields, "state": 5}).to_bytes()[128:]
    state = delegated_state(raw)
    again = tcp_image(TcpConst(0, 0), TcpCached(), state, 0, 4)[128:]

    known = {name for name in TcpImage.FIELDS if TcpImage.FIELDS[name][0] >= 128 * 8}
    assert {n: getattr(TcpImage.from_bytes(bytes(128) + again), n) for n in known} == {
        n: getattr(TcpImage.from_bytes(bytes(128) + raw), n) for n in known
    }


def test_device_statuses_map_to_what_table_42_allows() -> None:
    assert io_status(CompletionKind.SEND, Status.UPLOAD) is NdisStatus.UPLOAD_IN_PROGRESS
    assert io_status(CompletionKind.SEND, Status.ABORTED) is NdisStatus.REQUEST_ABORTED
    assert io_status(CompletionKind.RECEIVE, Status.INVALID_STATE) is NdisStatus.INVALID_STATE
    assert io_status(CompletionKind.SEND, Status.INVALID_STATE) is NdisStatus.REQUEST_ABORTED


@pytest.mark.rule("CH-060", "CH-067", "G-21")
@pytest.mark.parametrize("state", [TcpConnectionState.FIN_WAIT_1, TcpConnectionState.FIN_WAIT_2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_connection_that_the_host_closed_is_offloaded_with_its_fin(state: TcpConnectionState, seed: int) -> None:
    bench = Bench(seed, Wire(delay=4, loss=0.02 * (seed - 1)), driver=DriverConfig())
    when = TerminateWhen.AFTER_PEER_FIN
    # in FIN_WAIT_2 only while the peer cannot finish: its echo does not fit the window
    tcp = replace(WRAPPING, initial_rcv_wnd=4_000)
    data = random.Random(seed).randbytes(8_000)
    config = FileTransferConfig(seed=seed, tcp=tcp, offload_in=state, terminate_when=when, receive_windows=(1, 2))
    app = FileTransferApp(bench.host, config, data, PEER, 4000 + seed)
    bench.run()

    assert_clean(bench, app)
    assert app.offload_status is NdisStatus.SUCCESS
    assert app.software_bytes < len(app.data)
    inherited = [s for s in bench.device.opcodes if s.opcode == Opcode.DISCONNECT]
    assert [s.flags for s in inherited] == ([5] if state is TcpConnectionState.FIN_WAIT_1 else [])
