"""Behind an abort: sends, then receives, then the disconnects, whatever the order of the device's answers (G-06)."""

from __future__ import annotations

import random
from itertools import permutations
from types import SimpleNamespace

import pytest

from model.layout.generated import SG_MAX, Cqe, Opcode, Sqe, Status
from model.ndis.memory import FlatMemory, HostMemory, PageAllocator
from model.ndis.miniport_io import SEND_LAST, ConnectionIo, DeviceLimits
from model.ndis.netbuffer import BufferShape, NetBuffer, NetBufferList, Owner, allocate_net_buffer
from model.ndis.rings import DriverError
from model.ndis.shares import SharedArena
from model.ndis.status import CompletionKind, NdisStatus

PAGE = 4096
SIZE = 100
#: The device answers the abort behind the sends, and the receives whenever it likes.
ORDERS = [order for order in permutations(("send", "receive", "abort")) if order.index("send") < order.index("abort")]


class Recorder(SimpleNamespace):
    """A driver that keeps what is submitted and what goes up."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: HostMemory = FlatMemory(1 << 20)
        self.allocator = PageAllocator(self.memory, PAGE, 1 << 20, seed=1)
        self.lists = SharedArena(self.memory, self.allocator.allocate_contiguous(8 * PAGE).pages[0], 8 * PAGE, {})
        self.bounce = SharedArena(self.memory, self.allocator.allocate_contiguous(8 * PAGE).pages[0], 8 * PAGE, {})
        self.limits = DeviceLimits()
        self.now = 0
        self.entries: list[Sqe] = []
        self.went_up: list[tuple[CompletionKind, NdisStatus | None]] = []
        self._cookie = 0

    def submit(self, entry: Sqe) -> None:
        self.entries.append(entry)

    def new_cookie(self) -> int:
        self._cookie += 1
        return self._cookie

    def reserve(self, kind: CompletionKind, conn: int) -> bool:
        return True

    def release(self, kind: CompletionKind, conn: int) -> None:
        """Not counted."""

    def up(self, kind: CompletionKind, nbl: NetBufferList) -> None:
        self.went_up.append((kind, nbl.status))

    def list_of(self, size: int) -> NetBufferList:
        buffer = (
            allocate_net_buffer(self.allocator, size, BufferShape(1, 1, 0), random.Random(1)) if size else NetBuffer(())
        )
        assert buffer is not None
        nbl = NetBufferList([buffer])
        nbl.hand_over(Owner.HOST, Owner.TARGET)
        return nbl


@pytest.mark.rule("G-06")
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_receives_come_back_behind_the_sends_and_before_the_disconnect(order: tuple[str, ...]) -> None:
    driver = Recorder()
    io = ConnectionIo(driver, conn=1, gen=1, send_open=True, receive_open=True)
    io.receive(driver.list_of(SIZE))
    io.send(driver.list_of(SIZE))
    io.pump()
    io.disconnect_abortive(driver.list_of(0))
    io.pump()
    cookies = {e.opcode: e.cookie for e in driver.entries}
    answers = {
        "send": lambda: io.on_send(Cqe(cookie=cookies[Opcode.SEND], status=Status.ABORTED, nbytes=40)),
        "receive": lambda: io.on_receive(Cqe(cookie=cookies[Opcode.RECEIVE], status=Status.ABORTED, nbytes=7)),
        "abort": lambda: io.on_send(Cqe(cookie=cookies[Opcode.DISCONNECT], status=Status.OK)),
    }
    for name in order:
        answers[name]()
    assert driver.went_up == [
        (CompletionKind.SEND, NdisStatus.REQUEST_ABORTED),
        (CompletionKind.RECEIVE, NdisStatus.REQUEST_ABORTED),
        (CompletionKind.DISCONNECT, NdisStatus.SUCCESS),
    ]
    assert [len(left) for left in (io.jobs, io.entries, io.receives, io.at_device)] == [0, 0, 0, 0]


@pytest.mark.rule("CH-193")
def test_a_send_in_two_entries_comes_back_when_only_the_second_is_aborted() -> None:
    driver = Recorder()
    io = ConnectionIo(driver, conn=1, gen=1, send_open=True)
    parts = [driver.list_of(SIZE) for _ in range(SG_MAX + 1)]
    nbl = NetBufferList([part.first_net_buffer for part in parts])
    nbl.hand_over(Owner.HOST, Owner.TARGET)
    io.send(nbl)
    io.pump()
    first, second = driver.entries
    if first.flags & SEND_LAST:  # the peer acknowledged it before the RST; without LAST that gives no completion
        io.on_send(Cqe(cookie=first.cookie, status=Status.OK, nbytes=first.length))
    io.cancel()
    io.on_send(Cqe(cookie=second.cookie, status=Status.ABORTED, nbytes=SIZE // 2))
    assert driver.went_up == [(CompletionKind.SEND, NdisStatus.REQUEST_ABORTED)]
    assert nbl.bytes_transferred == SG_MAX * SIZE + SIZE // 2
    assert not io.entries


@pytest.mark.rule("CH-184", "G-06")
def test_an_abort_may_pass_the_refusal_of_a_second_graceful_disconnect_and_the_host_sees_their_order() -> None:
    driver = Recorder()
    io = ConnectionIo(driver, conn=1, gen=1, send_open=True)
    io.send(driver.list_of(0), CompletionKind.DISCONNECT)
    io.pump()
    io.disconnect_abortive(driver.list_of(0))
    io.pump()
    refused, abort = driver.entries
    io.on_send(Cqe(cookie=abort.cookie, status=Status.OK))
    assert not driver.went_up
    io.on_send(Cqe(cookie=refused.cookie, status=Status.BAD_STATE))
    assert [kind for kind, _ in driver.went_up] == [CompletionKind.DISCONNECT] * 2
    assert driver.went_up[0][1] is not NdisStatus.SUCCESS
    assert driver.went_up[1][1] is NdisStatus.SUCCESS


@pytest.mark.rule("CH-182", "CH-184")
@pytest.mark.parametrize(("status", "nbytes"), [(Status.ABORTED, 40), (Status.ABORTED, 0), (Status.UPLOAD, 1)])
def test_an_abort_that_passes_an_entry_the_device_had_taken_is_an_error_of_the_device(
    status: Status, nbytes: int
) -> None:
    driver = Recorder()
    io = ConnectionIo(driver, conn=1, gen=1, send_open=True)
    io.send(driver.list_of(SIZE))
    io.pump()
    io.disconnect_abortive(driver.list_of(0))
    io.pump()
    taken, abort = driver.entries
    io.on_send(Cqe(cookie=abort.cookie, status=Status.OK))
    with pytest.raises(DriverError, match="behind an abort"):
        io.on_send(Cqe(cookie=taken.cookie, status=status, nbytes=nbytes))


@pytest.mark.rule("CH-193")
@pytest.mark.parametrize("abortive", [False, True], ids=["a-send", "an-abort"])
def test_a_send_that_succeeds_out_of_turn_is_an_error_of_the_device(abortive: bool) -> None:
    driver = Recorder()
    io = ConnectionIo(driver, conn=1, gen=1, send_open=True)
    io.send(driver.list_of(SIZE))
    io.pump()
    if abortive:
        io.disconnect_abortive(driver.list_of(0))
    else:
        io.send(driver.list_of(SIZE))
    io.pump()
    answers = [Cqe(cookie=e.cookie, status=Status.OK, nbytes=e.length) for e in reversed(driver.entries)]
    if abortive:
        io.on_send(answers.pop(0))
    with pytest.raises(DriverError, match="passed the one"):
        io.on_send(answers[0])


@pytest.mark.rule("G-23")
@pytest.mark.parametrize("answered", [True, False], ids=["rst-sent", "rst-asked-for"])
def test_an_abort_behind_another_is_aborted_though_the_connection_became_invalid_between_them(answered: bool) -> None:
    driver = Recorder()
    io = ConnectionIo(driver, conn=1, gen=1, send_open=True)
    io.disconnect_abortive(driver.list_of(0))
    io.pump()
    answer = Cqe(cookie=driver.entries[0].cookie, status=Status.OK)
    if answered:
        io.on_send(answer)
    io.mute = lambda: True
    io.disconnect_abortive(driver.list_of(0))
    io.pump()
    if not answered:
        io.on_send(answer)
    disconnect = CompletionKind.DISCONNECT
    assert driver.went_up == [(disconnect, NdisStatus.SUCCESS), (disconnect, NdisStatus.REQUEST_ABORTED)]


@pytest.mark.rule("G-06")
@pytest.mark.parametrize("mute", [False, True], ids=["sound", "invalid"])
@pytest.mark.parametrize("status", [Status.OK, Status.ABORTED])
def test_receives_posted_behind_one_abort_come_back_before_the_next(status: Status, mute: bool) -> None:
    driver = Recorder()
    io = ConnectionIo(driver, conn=1, gen=1, send_open=True, receive_open=True)
    io.disconnect_abortive(driver.list_of(0))
    io.pump()
    io.on_send(Cqe(cookie=driver.entries[-1].cookie, status=Status.OK))
    io.mute = lambda: mute
    for _ in range(2):
        io.receive(driver.list_of(SIZE))
    io.disconnect_abortive(driver.list_of(0))
    io.pump()
    if not mute:
        io.on_send(Cqe(cookie=driver.entries[-1].cookie, status=status))
    ended = NdisStatus.REQUEST_ABORTED if mute or status is Status.ABORTED else NdisStatus.SUCCESS
    assert driver.went_up == [
        (CompletionKind.DISCONNECT, NdisStatus.SUCCESS),
        (CompletionKind.RECEIVE, NdisStatus.REQUEST_ABORTED),
        (CompletionKind.RECEIVE, NdisStatus.REQUEST_ABORTED),
        (CompletionKind.DISCONNECT, ended),
    ]
    assert not io.jobs


@pytest.mark.rule("G-03")
def test_an_abort_of_an_invalid_connection_waits_for_the_terminate() -> None:
    driver = Recorder()
    io = ConnectionIo(driver, conn=1, gen=1, send_open=True, mute=lambda: True)
    io.disconnect_abortive(driver.list_of(0))
    io.pump()
    assert (driver.entries, driver.went_up) == ([], [])
    io.flush(NdisStatus.UPLOAD_IN_PROGRESS)
    assert driver.went_up == [(CompletionKind.DISCONNECT, NdisStatus.UPLOAD_IN_PROGRESS)]
