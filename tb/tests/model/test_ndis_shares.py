"""No connection takes what another one needs to go on: its share of memory and of the completion ring (G-33)."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.layout.generated import POOL_BUF_BYTES, Cqe, Status
from model.ndis.enums import NblInfo
from model.ndis.memory import FlatMemory
from model.ndis.miniport import DriverConfig
from model.ndis.miniport_io import RECEIVE_NOPUSH, RECEIVE_PREFILL, ConnectionIo
from model.ndis.netbuffer import NetBufferList
from model.ndis.shares import RING_MARGIN, Block, RingPlaces, SharedArena, Use, bounce_shares, extent
from model.ndis.status import CompletionKind, NdisStatus
from model.wire.frame import TcpFlag
from tb.config import RunConfig
from tb.contract.scenes.golden import SceneRun
from tb.contract.scenes.stage import CONNS, DELAY, SIZE, Case, SceneStage
from tb.session import summary
from tb.tests.model.ndis_bench import Bench
from tb.tests.model.test_ndis_abort_order import PAGE, Recorder
from tb.tests.model.test_ndis_miniport import transfer
from tb.tests.stage import Scene, pattern

SEND, RECEIVE = CompletionKind.SEND, CompletionKind.RECEIVE
SHARE = POOL_BUF_BYTES
LARGE = 2 * SHARE + 900


class Short(Recorder):
    """A driver whose common bounce memory is taken; connection 1 has its share."""

    def __init__(self) -> None:
        super().__init__()
        shares = bounce_shares(2)
        base = self.allocator.allocate_contiguous(16 * PAGE + extent(shares)).pages[0]
        self.bounce = SharedArena(self.memory, base, 16 * PAGE, shares)
        while self.bounce.allocate(PAGE) is not None:
            pass

    def scattered(self, size: int, *, no_push: bool = False) -> NetBufferList:
        """A request in two pieces."""
        nbl = self.list_of(size)
        nbl.info[NblInfo.TCP_RECEIVE_NO_PUSH] = int(no_push)
        return nbl


def _posted(driver: Short, *, no_push: bool = False) -> ConnectionIo:
    io = ConnectionIo(driver, conn=1, gen=1, receive_open=True)
    io.receive(driver.scattered(LARGE, no_push=no_push))
    io.receive(driver.list_of(100))
    io.pump()
    return io


def _fill(driver: Short, io: ConnectionIo, count: int | None = None, status: Status = Status.OK) -> None:
    entry = next(entry for entry in driver.entries if entry.cookie == io.at_device[0].cookie)
    nbytes = entry.length if count is None else count
    driver.memory.write(entry.addr, bytes([len(driver.entries)]) * nbytes)
    io.on_receive(Cqe(cookie=entry.cookie, status=status, nbytes=nbytes))
    io.pump()


def test_a_share_is_its_owners_alone_and_comes_behind_what_is_common() -> None:
    shares = {(Use.RECEIVE, 0): 100, (Use.RECEIVE, 1): 100}
    arena = SharedArena(FlatMemory(8192), 0, 256, shares)
    assert arena.take((Use.RECEIVE, 0), 256) == Block(0, 256)
    first, second = arena.take((Use.RECEIVE, 0), 500), arena.take((Use.RECEIVE, 1), 60)
    assert first is not None
    assert second is not None
    assert (first.size, second.size, arena.used) == (128, 60, 3)
    assert arena.take((Use.RECEIVE, 0), 10) is None
    assert (arena.untouched(0), arena.untouched(2)) == (False, True)
    arena.free(first.addr)
    assert arena.take((Use.RECEIVE, 0), 10) is not None


def test_a_connection_without_a_place_for_itself_is_not_admitted() -> None:
    places = RingPlaces(RING_MARGIN + 2 * 4)  # four of each kind, one of them for the ordinary send path
    assert [places.admit() for _ in range(4)] == [True, True, True, False]
    places.leave()
    assert places.admit()


@pytest.mark.parametrize("kind", [SEND, RECEIVE])
def test_one_connection_never_takes_the_place_of_another(kind: CompletionKind) -> None:
    places = RingPlaces(RING_MARGIN + 2 * 8)
    assert places.admit()
    assert places.admit()
    taken = 0
    while places.reserve(kind, 0):
        taken += 1
    assert taken > 1
    assert places.reserve(kind, 1)
    assert not places.reserve(kind, 1)
    for _ in range(taken):
        places.release(kind, 0)
    assert places.reserve(kind, 1)
    assert places.reserve(kind, 0)


@pytest.mark.rule("CH-126", "CH-129")
def test_a_scattered_request_larger_than_the_share_is_filled_in_parts() -> None:
    driver = Short()
    io = _posted(driver, no_push=True)
    for _ in range(3):
        assert not driver.went_up
        _fill(driver, io)
    assert [(entry.length, entry.flags) for entry in driver.entries[:3]] == [
        (SHARE, RECEIVE_NOPUSH), (SHARE, RECEIVE_NOPUSH), (900, RECEIVE_NOPUSH)
    ]  # fmt: skip
    assert driver.went_up == [(RECEIVE, NdisStatus.SUCCESS)]
    assert driver.entries[3].length == 100


@pytest.mark.rule("CH-127", "CH-128")
def test_a_push_mode_request_in_parts_comes_back_with_all_that_its_parts_have() -> None:
    driver = Short()
    io = _posted(driver)
    job = io.at_device[0]
    _fill(driver, io)
    _fill(driver, io, 10)
    assert [entry.flags for entry in driver.entries[:2]] == [0, RECEIVE_PREFILL]
    assert driver.went_up == [(RECEIVE, NdisStatus.SUCCESS)]
    assert job.nbl.info[NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED] == SHARE + 10


@pytest.mark.rule("CH-138", "G-06")
@pytest.mark.parametrize(
    ("status", "ended"),
    [(Status.UPLOAD, NdisStatus.UPLOAD_IN_PROGRESS), (Status.ABORTED, NdisStatus.REQUEST_ABORTED)],
)
@pytest.mark.parametrize("between", [False, True])
def test_a_request_in_parts_ends_with_its_true_count(status: Status, ended: NdisStatus, between: bool) -> None:
    driver = Short()
    io = _posted(driver)
    job = io.at_device[0]
    if between:
        io.close()
    _fill(driver, io)
    io.close()
    if not between:
        _fill(driver, io, 10, status)
    io.flush(ended)
    assert driver.went_up[0] == (RECEIVE, ended)
    assert job.nbl.info[NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED] == SHARE + (0 if between else 10)


def _places(stage: SceneStage) -> Scene:
    """One connection has as many requests out as it may; another one sends and receives."""
    greedy, other = stage.tell("takes all places"), stage.tell("has its own")
    yield from greedy.open()
    yield from other.open()
    yield from stage.alone()
    for i in range(16):
        yield from greedy.send(greedy.make(f"S{i}", pattern(10)))
    yield from greedy.post(*[(f"R{i}", 3000, True) for i in range(16)])
    yield from stage.quiet(5)
    yield from other.post(("R", 60, False))
    yield from other.send(other.make("S", pattern(50)))
    other.far.say(pattern(60), TcpFlag.PSH)
    yield other.arrived(50)
    other.far.ack()
    yield other.came_back("R", "S")
    assert other.sink == pattern(60)
    assert other.far.stream == pattern(50)
    yield from greedy.abort()  # it needs no place: it is answered without the peer
    yield greedy.came_back("A")
    yield from other.drop()
    yield from greedy.drop()


@pytest.mark.rule("CH-100", "CH-123", "CH-181")
def test_requests_of_one_connection_leave_a_place_for_every_other_one_and_for_an_abort(tmp_path: Path) -> None:
    stage = SceneStage([Case("places", "shares", frozenset(), _places, last=True)])
    config = RunConfig(device="model", size=SIZE, delay=DELAY, seed=1, out=tmp_path)
    run = SceneRun(config, stage, CONNS, driver_config=DriverConfig(conns=CONNS, cq_log2=6))
    problems = run.run()
    assert stage.over, stage.where()
    assert [*problems, *summary.verdict(run.transfer)] == []


@pytest.mark.rule("CH-042")
def test_a_connection_for_which_no_share_is_left_stays_in_software() -> None:
    config = DriverConfig(conns=16, sq_log2=5, cq_log2=5, pool_bufs=256)
    bench = Bench(3, driver=config)
    apps = [transfer(bench, 20_000, 4000 + i) for i in range(3)]
    bench.run()
    statuses = [app.offload_status for app in apps]
    assert statuses.count(NdisStatus.RESOURCES) == 2
    assert all((app.failure, bytes(app.sink)) == ("", app.data) for app in apps)
