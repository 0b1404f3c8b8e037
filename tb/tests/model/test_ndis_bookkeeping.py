"""The host's books: each breach of the contract is caught, and names its rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.ndis.bookkeeping import ContractError, Ledger, TreeBooks
from model.ndis.enums import NblInfo, OffloadStateType, TcpEventType
from model.ndis.memory import FlatMemory, PageAllocator
from model.ndis.netbuffer import Mdl, NetBuffer, NetBufferList, Owner, chain
from model.ndis.offload_state import OffloadBlock, OffloadHandle
from model.ndis.status import CompletionKind, NdisStatus

MEMORY = FlatMemory(1 << 20)
ALLOCATOR = PageAllocator(MEMORY, 0, 1 << 20)


def make(*sizes: int) -> NetBufferList:
    buffers = []
    for size in sizes:
        region = ALLOCATOR.allocate(size)
        assert region is not None
        buffers.append(NetBuffer((Mdl(region),), 0, size))
    return NetBufferList(buffers)


def live() -> Ledger:
    return Ledger(live=True)


def sent(ledger: Ledger, *sizes: int) -> NetBufferList:
    nbl = make(*sizes)
    ledger.send(nbl)
    return nbl


def received(ledger: Ledger, size: int, no_push: bool = False) -> NetBufferList:
    nbl = make(size)
    nbl.info[NblInfo.TCP_RECEIVE_NO_PUSH] = int(no_push)
    ledger.receive(nbl)
    return nbl


def done(nbl: NetBufferList, count: int, status: NdisStatus = NdisStatus.SUCCESS) -> NetBufferList:
    nbl.complete(Owner.TARGET, status, count)
    return nbl


def breach(rule: str, action: Callable[[], object]) -> None:
    with pytest.raises(ContractError, match=f"^{rule}"):
        action()


@pytest.mark.rule("CH-102")
def test_sends_that_come_back_out_of_order_or_twice_are_caught() -> None:
    ledger = live()
    first, second = sent(ledger, 10), sent(ledger, 10)
    breach("CH-102", lambda: ledger.send_returned(done(second, 10)))
    ledger = live()
    first = sent(ledger, 10)
    ledger.send_returned(done(first, 10))
    breach("CH-102", lambda: ledger.send_returned(first))


@pytest.mark.rule("CH-103")
def test_a_successful_send_without_all_its_bytes_is_caught() -> None:
    ledger = live()
    nbl = sent(ledger, 10)
    breach("CH-103", lambda: ledger.send_returned(done(nbl, 9)))


@pytest.mark.rule("CH-104")
def test_an_advance_of_the_wrong_net_buffer_is_caught() -> None:
    ledger = live()
    nbl = sent(ledger, 500, 500)
    nbl.set_status(Owner.TARGET, NdisStatus.UPLOAD_IN_PROGRESS)
    nbl.info[NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED] = 300
    nbl.net_buffers[1].advance(300)
    breach("CH-104", lambda: ledger.send_returned(nbl))


@pytest.mark.rule("CH-105", "CH-106")
@pytest.mark.parametrize(
    ("rule", "count", "status"),
    [("CH-105", 10, NdisStatus.SUCCESS), ("CH-106", 5, NdisStatus.UPLOAD_IN_PROGRESS)],
)
def test_nothing_succeeds_or_moves_behind_a_failed_send(rule: str, count: int, status: NdisStatus) -> None:
    ledger = live()
    first, second = sent(ledger, 10), sent(ledger, 10)
    ledger.send_returned(done(first, 4, NdisStatus.UPLOAD_IN_PROGRESS))
    breach(rule, lambda: ledger.send_returned(done(second, count, status)))


@pytest.mark.parametrize(
    ("status", "count"), [(NdisStatus.PENDING, 0), (NdisStatus.INVALID_STATE, 0), (NdisStatus.PAUSED, 0)]
)
def test_a_status_table_42_does_not_allow_is_caught(status: NdisStatus, count: int) -> None:
    ledger = live()
    nbl = sent(ledger, 10)
    breach("table 4.2", lambda: ledger.send_returned(done(nbl, count, status)))


@pytest.mark.rule("CH-124")
def test_receives_come_back_first_in_first_out() -> None:
    ledger = live()
    received(ledger, 10)
    second = received(ledger, 10)
    breach("CH-124", lambda: ledger.receive_returned(done(second, 10)))


@pytest.mark.rule("G-17", "CH-129")
def test_no_byte_follows_a_nonpush_request_that_ended_short() -> None:
    ledger = live()
    short, following = received(ledger, 10, no_push=True), received(ledger, 10)
    ledger.receive_returned(done(short, 5))
    breach("G-17", lambda: ledger.receive_returned(done(following, 1)))


@pytest.mark.rule("CH-137")
def test_invalid_state_needs_the_disconnect_event_first() -> None:
    ledger = live()
    early, late = received(ledger, 10), received(ledger, 10)
    breach("CH-137", lambda: ledger.receive_returned(done(early, 0, NdisStatus.INVALID_STATE)))
    ledger.event(TcpEventType.DISCONNECT)
    ledger.receive_returned(done(late, 0, NdisStatus.INVALID_STATE))


@pytest.mark.rule("CH-175")
def test_a_disconnect_that_overtakes_a_send_is_caught() -> None:
    ledger = live()
    sent(ledger, 10)
    last = NetBufferList([NetBuffer(())])
    ledger.disconnect(last)
    breach("CH-175", lambda: ledger.disconnect_returned(done(last, 0)))


def indicated(size: int = 10) -> NetBufferList:
    nbl = make(size)
    nbl.owner = Owner.TARGET
    return nbl


@pytest.mark.rule("CH-056", "CH-147", "CH-148", "CH-151")
def test_an_indication_that_breaks_a_rule_is_caught() -> None:
    success = NdisStatus.SUCCESS
    breach("CH-056", lambda: Ledger().indication(indicated(), success))
    breach("CH-148", lambda: live().indication(indicated(), NdisStatus.RESOURCES))
    breach("CH-147", lambda: live().indication(chain([indicated(), indicated()]), success))
    ledger = live()
    nbl = indicated()
    ledger.indication(nbl, success)
    ledger.answer(nbl, NdisStatus.OFFLOAD_DATA_NOT_ACCEPTED)
    assert nbl.owner is Owner.TARGET
    breach("CH-151", lambda: ledger.indication(nbl, success))


@pytest.mark.rule("CH-149", "CH-157")
def test_an_accepted_list_is_the_hosts_until_it_returns_it_once() -> None:
    ledger = live()
    nbl = indicated()
    ledger.indication(nbl, NdisStatus.SUCCESS)
    ledger.answer(nbl, NdisStatus.SUCCESS)
    nbl.require(Owner.HOST)
    ledger.receive_return(nbl)
    nbl.require(Owner.TARGET)
    breach("CH-157", lambda: ledger.receive_return(nbl))


@pytest.mark.rule("CH-190", "CH-191")
def test_the_disconnect_event_comes_once_and_behind_all_data() -> None:
    ledger = live()
    ledger.event(TcpEventType.DISCONNECT)
    breach("CH-191", lambda: ledger.event(TcpEventType.DISCONNECT))
    breach("CH-190", lambda: ledger.indication(indicated(), NdisStatus.SUCCESS))


@pytest.mark.rule("G-29")
def test_nothing_succeeds_after_an_abort() -> None:
    ledger = live()
    nbl = sent(ledger, 10)
    ledger.event(TcpEventType.ABORT)
    breach("G-29", lambda: ledger.send_returned(done(nbl, 10)))


@pytest.mark.rule("CH-233", "CH-235")
def test_terminate_needs_everything_back_and_ends_all_completions() -> None:
    ledger = live()
    nbl = sent(ledger, 10)
    breach("CH-233", ledger.terminate_completed)
    ledger.send_returned(done(nbl, 10))
    ledger.terminate_completed()
    breach("CH-235", lambda: ledger.send_returned(nbl))
    breach("CH-235|CH-056", lambda: ledger.event(TcpEventType.ABORT))


def block(context: int | None = None) -> OffloadBlock:
    return OffloadBlock(OffloadStateType.TCP, OffloadHandle(context), protocol_reserved=(1, 2))


def completed(change: Callable[[OffloadBlock], None], kind: CompletionKind = CompletionKind.INITIATE) -> None:
    books, root = TreeBooks(), block()
    books.called(root)
    change(root)
    books.completed(root, kind)


def set_status(status: NdisStatus) -> Callable[[OffloadBlock], None]:
    def change(root: OffloadBlock) -> None:
        root.status = status

    return change


@pytest.mark.rule("CH-021", "CH-022", "CH-023", "CH-048", "CH-078")
def test_a_state_call_that_comes_back_wrong_is_caught() -> None:
    completed(set_status(NdisStatus.SUCCESS))
    breach("CH-022", lambda: completed(lambda _: None))
    breach("table 4.2", lambda: completed(set_status(NdisStatus.RESOURCES), CompletionKind.TERMINATE))

    def touch(root: OffloadBlock) -> None:
        root.status = NdisStatus.SUCCESS
        root.protocol_reserved = (3, 4)

    breach("CH-023", lambda: completed(touch))

    def publish(root: OffloadBlock) -> None:
        root.status = NdisStatus.RESOURCES
        cell = root.miniport_offload_context
        assert cell is not None
        cell.miniport_offload_context = 5

    breach("CH-048", lambda: completed(publish))
    books, root = TreeBooks(), block()
    breach("CH-021", lambda: books.completed(root, CompletionKind.INITIATE))
