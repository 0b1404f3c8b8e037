"""The file transfer over the NDIS face: a fake target on software TCP, the independent peer on the wire."""

from __future__ import annotations

import random

import pytest

from model.ndis.calls import InitiateOffload, OffloadTcpSend, SendRaw, TerminateOffload
from model.ndis.enums import TcpConnectionState
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig, TerminateWhen
from model.ndis.framing import decode
from model.ndis.host import NdisHost
from model.ndis.memory import FlatMemory, PageAllocator
from model.ndis.offload_state import traverse
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import NdisStatus
from tb.tests.model.ndis_bench import HOST_IP, HOST_MAC, PEER, Bench, Wire

WRAPPING = SoftTcpConfig(initial_seq=0xFFFF_F000, initial_ts=0xFFFF_FFF0)


def transfer(bench: Bench, size: int, port: int = 4000, **changes: object) -> FileTransferApp:
    """Add a transfer of ``size`` seeded bytes to the bench."""
    seed = port
    config = FileTransferConfig(seed=seed, tcp=WRAPPING, **changes)  # type: ignore[arg-type]
    return FileTransferApp(bench.host, config, random.Random(seed).randbytes(size), PEER, port)


def assert_clean(bench: Bench, *apps: FileTransferApp) -> None:
    """Every byte came back, nothing is left anywhere, the peer saw no breach."""
    for app in apps:
        assert (app.phase, app.failure) == (AppPhase.DONE, "")
        assert bytes(app.sink) == app.data
    assert bench.peer.violations == []
    assert bench.allocator.used_pages == 0


@pytest.mark.rule("CH-155", "CH-236")
@pytest.mark.parametrize("seed", range(1, 9))
def test_a_file_comes_back_byte_exact_and_every_list_comes_back_once(seed: int) -> None:
    bench = Bench(seed, Wire(loss=0.02 * (seed % 2)))
    app = transfer(bench, 150_000, terminate_when=list(TerminateWhen)[seed % 3])
    bench.run()

    assert_clean(bench, app)
    assert bench.pool.used_pages == 0
    assert app.offload_status is NdisStatus.SUCCESS
    assert app.software_bytes == 0
    assert bench.host.completions["disconnect"].total() == 1


@pytest.mark.rule("CH-251", "B25")
@pytest.mark.parametrize("seed", range(1, 7))
@pytest.mark.parametrize("chained", [False, True])
def test_an_upload_in_mid_transfer_loses_no_byte(seed: int, chained: bool) -> None:
    bench = Bench(seed, Wire(loss=0.03, delay=8), chain_unfinished=chained)
    app = transfer(bench, 150_000, upload_after=20_000 * seed)
    bench.run()

    assert_clean(bench, app)
    assert app.uploaded_state is not None
    assert app.uploaded_state.state is TcpConnectionState.ESTABLISHED
    assert app.software_bytes > 0


@pytest.mark.rule("CH-050")
def test_bytes_sent_before_the_offload_are_completed_by_the_target() -> None:
    bench = Bench(3)
    app = transfer(bench, 60_000, software_first=10_000)
    bench.run()

    assert_clean(bench, app)
    sends = [call for call in bench.host.trace if call.name == "send complete"]
    assert sum(int(call.detail.split()[1]) for call in sends) == 60_000


@pytest.mark.rule("CH-051", "CH-053", "CH-054", "CH-055")
@pytest.mark.parametrize("seed", range(1, 7))
def test_receive_data_buffered_by_the_host_is_delivered_first_by_the_target(seed: int) -> None:
    bench = Bench(seed)
    app = transfer(bench, 60_000, 4000 + seed, software_first=20_000, hand_over_received=True, refuse=0.4)
    bench.run()

    assert_clean(bench, app)
    assert app.software_bytes == 0


@pytest.mark.rule("CH-172", "CH-177")
def test_the_last_bytes_may_travel_in_the_disconnect() -> None:
    bench = Bench(4)
    app = transfer(bench, 50_000, disconnect_bytes=3000, terminate_when=TerminateWhen.AFTER_PEER_FIN)
    bench.run()

    assert_clean(bench, app)
    done = [call.detail for call in bench.host.trace if call.name == "disconnect complete"]
    assert done == ["SUCCESS 3000"]


@pytest.mark.rule("CH-059", "CH-041", "CH-252")
@pytest.mark.parametrize("joint", [0.0, 1.0])
def test_connections_share_one_path_and_one_neighbor_object(joint: float) -> None:
    bench = Bench(5, joint_terminate=joint)
    apps = [transfer(bench, 20_000, 4000 + i) for i in range(5)]
    bench.run()

    assert_clean(bench, *apps)
    assert bench.host.completions["initiate"]["SUCCESS"] >= 7
    assert bench.host.completions["terminate"] == {"SUCCESS": 7}


@pytest.mark.rule("CH-045", "CH-049")
def test_a_connection_that_cannot_be_offloaded_runs_in_software() -> None:
    bench = Bench(6, failures={3: NdisStatus.OFFLOAD_TCP_ENTRIES})
    app = transfer(bench, 40_000, software_first=5_000)
    bench.run()

    assert_clean(bench, app)
    assert app.offload_status is NdisStatus.OFFLOAD_TCP_ENTRIES
    assert app.software_bytes == 40_000
    assert bench.host.completions["initiate"] == {"OFFLOAD_PARTIAL_SUCCESS": 1, "OFFLOAD_TCP_ENTRIES": 1, "SUCCESS": 1}


@pytest.mark.rule("CH-047")
def test_a_refused_neighbor_fails_the_whole_tree() -> None:
    bench = Bench(7, failures={1: NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES})
    app = transfer(bench, 10_000)
    bench.run()

    assert_clean(bench, app)
    assert bench.host.completions["initiate"] == {"OFFLOAD_NEIGHBOR_ENTRIES": 1, "FAILURE": 2}
    assert "terminate" not in bench.host.completions


@pytest.mark.rule("CH-128", "CH-129", "CH-150", "CH-153")
def test_all_ways_of_delivery_are_used_by_a_longer_transfer() -> None:
    bench = Bench(8)
    app = transfer(bench, 400_000, receive_epoch=16_384)
    bench.run()

    assert_clean(bench, app)
    indicated = bench.host.completions["indicate"]
    assert set(indicated) == {"SUCCESS", "OFFLOAD_DATA_NOT_ACCEPTED", "OFFLOAD_DATA_PARTIALLY_ACCEPTED"}
    assert bench.host.completions["receive"]["SUCCESS"] > 10


def test_every_call_can_be_carried_by_a_queue_before_it_is_made() -> None:
    bench = Bench(9)
    queue: list[object] = []
    host = bench.host
    host._issue = queue.append
    app = transfer(bench, 30_000)
    original = bench.target.step

    def step() -> bool:
        made = bool(queue)
        while queue:
            call = queue.pop(0)
            assert not isinstance(call, str)
            host.execute(call)  # type: ignore[arg-type]
        return original() | made

    bench.target.step = step  # type: ignore[method-assign]
    bench.run()

    assert_clean(bench, app)


def test_a_call_carries_the_hosts_copy_of_the_data() -> None:
    bench = Bench(10)
    calls: list[object] = []
    host: NdisHost = bench.host
    direct = host._issue

    def spy(call: object) -> None:
        calls.append(call)
        direct(call)  # type: ignore[arg-type]

    host._issue = spy
    app = transfer(bench, 30_000)
    bench.run()

    sent = b"".join(call.data for call in calls if isinstance(call, OffloadTcpSend))
    assert sent == app.data
    assert {type(call) for call in calls} >= {InitiateOffload, TerminateOffload, SendRaw, OffloadTcpSend}
    roots = [call.root for call in calls if isinstance(call, InitiateOffload)]
    assert all(node.status is NdisStatus.SUCCESS for root in roots for node in traverse(root))


def test_a_peer_that_is_not_there_fails_the_transfer_and_nothing_hangs() -> None:
    memory = FlatMemory(1 << 20)
    host = NdisHost(memory, PageAllocator(memory, 0, 1 << 20), HOST_MAC, HOST_IP, issue=lambda _: None)
    config = FileTransferConfig(tcp=SoftTcpConfig(max_retransmissions=3))
    app = FileTransferApp(host, config, b"x", PEER, 4000)
    for _ in range(20):
        while host.step():
            pass
        deadline = host.next_deadline()
        if deadline is None:
            break
        host.on_tick(deadline)

    assert host.done
    assert (app.phase, "gave up" in app.failure) == (AppPhase.FAILED, True)


def test_frames_of_the_target_and_of_the_host_are_told_apart_by_ip_id() -> None:
    bench = Bench(11)
    app = transfer(bench, 20_000)
    bench.run()
    ids = [s.ip_id for to_peer, f in bench.frames if to_peer and (s := decode(f)) is not None]

    assert_clean(bench, app)
    assert any(i < 0x8000 for i in ids)
    assert any(i >= 0x8000 for i in ids)
