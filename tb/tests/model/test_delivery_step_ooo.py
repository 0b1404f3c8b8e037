"""Lists of data behind a hole in the delivery step: HOLD, the join, and giving back (J-1 to J-3, W-5a)."""

from __future__ import annotations

import pytest

from model.delivery.step import DeliveryResult
from model.layout.generated import CqKind, Dcb, DlvEvt, Opcode, PlOp, Status, TcpEventType
from tb.tests.model.delivery_bench import POOL, Delivery, cqes, ops, started


def hold(engine: Delivery, length: int, slot: int = 0, **fields: int) -> list[DeliveryResult]:
    return engine.message(DlvEvt.HOLD, arrival=7, offset=60, len=length, slot=slot, **fields)


def deliver(engine: Delivery, length: int, **fields: int) -> list[DeliveryResult]:
    return engine.message(DlvEvt.DELIVER, arrival=8, offset=54 if length else 0, len=length, **fields)


def lists(engine: Delivery) -> dict[int, list[tuple[int, int, int]]]:
    """(buffer, offset, length) of every list that is not empty; the DCB must say the same."""
    found = {slot: [(p.buf, p.offset, p.length) for p in ps] for slot, ps in enumerate(engine.state.held) if ps}
    dcb = engine.state.dcb
    for slot in range(8):
        head, tail, count = (field >> 16 * slot & 0xFFFF for field in (dcb.ooo_head, dcb.ooo_tail, dcb.ooo_count))
        pieces = found.get(slot, [])
        assert dcb.ooo_used >> slot & 1 == bool(pieces)
        assert (head, tail, count) == ((pieces[0][0], pieces[-1][0], len(pieces)) if pieces else (0, 0, 0))
    return found


def in_order(engine: Delivery) -> list[tuple[int, int, int]]:
    pieces = [(p.buf, p.offset, p.length) for p in engine.state.pieces]
    dcb = engine.state.dcb
    assert (dcb.list_head, dcb.list_tail, dcb.list_count) == (
        (pieces[0][0], pieces[-1][0], len(pieces)) if pieces else (0, 0, 0)
    )
    return pieces


@pytest.mark.rule("M-2")
def test_a_held_piece_goes_to_a_pool_buffer_whatever_request_waits() -> None:
    engine = started()
    engine.receive(500)
    (result,) = hold(engine, 100, slot=3)
    (op,) = ops([result])
    assert (op.op, op.arrival, op.offset, op.len, op.last, op.dst) == (PlOp.PLACE, 7, 60, 100, 1, POOL)
    assert lists(engine) == {3: [(0, 0, 100)]}
    assert (in_order(engine), result.consumed, result.credit_ret, len(engine.free)) == ([], 0, 0, 7)
    assert cqes(engine.log[-1:]) == []


@pytest.mark.rule("M-2")
def test_a_piece_goes_behind_one_list_and_in_front_of_another() -> None:
    engine = started()
    hold(engine, 10, slot=1)
    hold(engine, 30, slot=2)
    hold(engine, 11, slot=1, app=1)
    hold(engine, 29, slot=2, pre=1, slot2=2)
    assert lists(engine) == {1: [(0, 0, 10), (2, 0, 11)], 2: [(3, 0, 29), (1, 0, 30)]}
    hold(engine, 20, slot=1, app=1, pre=1, slot2=2)
    assert lists(engine) == {1: [(0, 0, 10), (2, 0, 11), (4, 0, 20), (3, 0, 29), (1, 0, 30)]}


@pytest.mark.rule("J-1")
def test_covered_lists_are_given_back_one_buffer_a_commit_lowest_list_first() -> None:
    engine = started()
    hold(engine, 10, slot=4)
    hold(engine, 11, slot=4, app=1)
    hold(engine, 20, slot=2)
    done = hold(engine, 90, slot=0, free=0b10100)
    assert [r.freed for r in done] == [(), (2,), (0,), (1,)]
    assert [r.credit_ret for r in done] == [0, 1, 1, 1]
    assert [r.plq is None for r in done] == [False, True, True, True]
    assert lists(engine) == {0: [(3, 0, 90)]}
    assert list(engine.free) == [4, 5, 6, 7, 2, 0, 1]


@pytest.mark.rule("J-2", "J-3")
@pytest.mark.parametrize(
    ("skip", "freed", "left"),
    [
        (0, [], [(0, 0, 10), (1, 0, 20)]),
        (9, [], [(0, 9, 1), (1, 0, 20)]),
        (10, [0], [(1, 0, 20)]),
        (29, [0], [(1, 19, 1)]),
    ],
)
def test_the_joined_list_follows_the_piece_without_what_came_again(
    skip: int, freed: list[int], left: list[tuple[int, int, int]]
) -> None:
    engine = started(hold=1)
    hold(engine, 10, slot=5)
    hold(engine, 20, slot=5, app=1)
    done = deliver(engine, 50, join=1, slot=5, skip=skip)
    assert [buf for r in done for buf in r.freed] == freed
    assert len(done) == 1 + len(freed) + 1
    assert in_order(engine) == [(2, 0, 50), *left]
    assert lists(engine) == {}
    assert sum(r.credit_ret for r in done) == len(freed)


@pytest.mark.rule("J-1", "J-3")
def test_lists_are_given_back_before_one_is_joined() -> None:
    engine = started(hold=1)
    hold(engine, 10, slot=6)
    hold(engine, 20, slot=1)
    done = deliver(engine, 50, join=1, slot=1, skip=3, free=1 << 6)
    assert [r.freed for r in done] == [(), (0,), ()]
    assert in_order(engine) == [(2, 0, 50), (1, 3, 17)]


@pytest.mark.rule("J-3", "W-2")
def test_joined_bytes_fill_the_request_behind_what_was_placed_directly() -> None:
    engine = started()
    hold(engine, 30, slot=0)
    engine.receive(80)
    done = deliver(engine, 50, join=1, slot=0, skip=10)
    placed, copied = ops(done)
    assert (placed.op, placed.len, placed.dst) == (PlOp.PLACE, 50, 0x5000)
    assert (copied.op, copied.len, copied.src, copied.dst) == (PlOp.COPY, 20, POOL + 10, 0x5000 + 50)
    assert engine.consumed == 70
    assert engine.state.dcb.req_filled == 70
    assert (in_order(engine), lists(engine), sum(r.credit_ret for r in done)) == ([], {}, 2)


@pytest.mark.rule("J-3")
def test_a_segment_that_needs_two_requests_is_placed_whole_before_the_join() -> None:
    engine = started()
    hold(engine, 30, slot=0)
    engine.receive(20, 1)
    engine.receive(0, 2)
    engine.receive(100, 3)
    done = deliver(engine, 50, join=1, slot=0)
    assert [(o.op, o.len) for o in ops(done)] == [(PlOp.PLACE, 20), (PlOp.PLACE, 30), (PlOp.COPY, 30)]
    assert [c.nbytes for c in cqes(done)] == [20, 0]


@pytest.mark.rule("J-1", "J-3", "B24")
def test_the_fin_is_known_behind_the_join_and_the_disconnect_behind_the_bytes() -> None:
    engine = started()
    hold(engine, 30, slot=0)
    hold(engine, 9, slot=1)
    done = deliver(engine, 50, join=1, slot=0, free=2, fin=1)
    assert [r.state.dcb.fin_mark for r in done[:3]] == [0, 0, 1]
    assert [c.kind for c in cqes(done)] == [CqKind.INDICATION]
    done = engine.answer(50) + engine.answer(30)
    assert [(c.kind, c.code, c.nbytes) for c in cqes(done)] == [
        (CqKind.INDICATION, 0, 30),
        (CqKind.EVENT, TcpEventType.DISCONNECT, 0),
    ]


@pytest.mark.rule("J-1")
def test_a_fin_without_bytes_gives_back_what_lies_behind_it_first() -> None:
    engine = started()
    hold(engine, 30, slot=0)
    hold(engine, 9, slot=1)
    done = deliver(engine, 0, fin=1, free=3)
    assert [(r.freed, r.state.dcb.fin_mark) for r in done] == [((), 0), ((0,), 0), ((1,), 1), ((), 1)]
    assert [c.code for c in cqes(done)] == [TcpEventType.DISCONNECT]


@pytest.mark.rule("J-1", "J-3")
def test_an_outstanding_indication_holds_back_no_join() -> None:
    engine = started()
    deliver(engine, 5)
    assert engine.state.dcb.d
    hold(engine, 30, slot=0)
    hold(engine, 30, slot=1)
    deliver(engine, 50, join=1, slot=1, free=1)
    assert in_order(engine) == [(0, 0, 5), (3, 0, 50), (2, 0, 30)]
    assert lists(engine) == {}


@pytest.mark.rule("J-3", "B-8")
def test_the_entry_of_a_forwarded_segment_comes_behind_the_join() -> None:
    engine = started()
    hold(engine, 30, slot=0)
    engine.receive(100)
    done = engine.message(DlvEvt.DELIVER, len=50, fwd=1, a=0x9000, cookie=50, sq_index=6, join=1, slot=0, fin=1)
    kinds = [c.kind for c in cqes(done)]
    assert kinds[0] == CqKind.FORWARD
    assert [o.len for o in ops(done)] == [50, 30]
    joined = next(n for n, r in enumerate(done) if r.state.pieces)
    assert next(n for n, r in enumerate(done) if cqes([r])) == joined + 1
    assert done[joined].state.dcb.fin_mark == 1


@pytest.mark.rule("W-5a", "G-19")
@pytest.mark.parametrize("aborted", [0, 1])
def test_held_data_is_given_up_before_requests_end_and_never_left_over(aborted: int) -> None:
    engine = started()
    hold(engine, 30, slot=5)
    hold(engine, 31, slot=2)
    hold(engine, 32, slot=2, app=1)
    engine.receive(100)
    done = engine.message(DlvEvt.FREEZE, a=0x8000, aborted=aborted)
    assert [r.freed for r in done] == [(), (1,), (2,), (0,), (), ()]
    assert [c.status for c in cqes(done)] == [Status.ABORTED if aborted else Status.UPLOAD]
    assert lists(engine) == {}
    (written,) = ops(done)
    assert (written.dst, written.list_data & 0xFFFF) == (0x8000, 0)
    assert sorted(engine.free) == list(range(8))


@pytest.mark.rule("W-5a")
def test_an_abort_gives_held_data_up_at_once() -> None:
    engine = started()
    hold(engine, 30, slot=5)
    done = engine.message(DlvEvt.NOTIFY, event=TcpEventType.ABORT, aborted=1)
    assert [r.freed for r in done] == [(), (0,)]
    assert lists(engine) == {}


@pytest.mark.rule("W-5a", "W-2")
def test_in_order_data_still_fills_requests_of_a_frozen_connection_before_held_data_goes() -> None:
    engine = started(hold=1)
    deliver(engine, 40)
    hold(engine, 30, slot=0)
    engine.receive(100)
    done = engine.message(DlvEvt.FREEZE, a=0x8000)
    assert [(c.status, c.nbytes) for c in cqes(done)] == [(Status.UPLOAD, 40)]
    assert len(engine.free) == 8


@pytest.mark.rule("M-5")
def test_a_load_begins_with_no_list() -> None:
    engine = started()
    engine.message(DlvEvt.LOAD, info=8192)
    dcb = engine.state.dcb
    assert dcb == Dcb(loaded=1, gen=dcb.gen, hold=1, consumed_thr=8192)


@pytest.mark.rule("M-2")
def test_held_data_is_not_indicated_and_an_answer_cannot_reach_it() -> None:
    engine = started()
    assert cqes(hold(engine, 30)) == []
    assert [c.status for c in cqes(engine.command(Opcode.ANSWER, arg=1, length=1))] == [Status.BAD_TOKEN]
