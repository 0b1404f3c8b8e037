"""Where received data goes and what the host hears of it (docs/contract/delivery_step.md, NDIS sheet 5.6)."""

from __future__ import annotations

from dataclasses import fields

import pytest

from model.delivery.work import DcbWork
from model.layout.generated import CqKind, Dcb, DlvEvt, LeftOver, Opcode, PlOp, Status, TcpEventType
from tb.tests.model.delivery_bench import GEN, POOL, Delivery, cqes, ops, started


@pytest.mark.rule("layout")
def test_the_working_copy_has_exactly_the_fields_of_the_dcb() -> None:
    assert [f.name for f in fields(DcbWork)] == list(Dcb.FIELDS)


@pytest.mark.rule("LOAD", "START")
def test_load_and_start_answer_the_commands_they_come_from() -> None:
    engine = started()
    load = engine.message(DlvEvt.LOAD, info=100, push_ticks=7, a=77, sq_index=4)
    start = engine.message(DlvEvt.START, a=78, sq_index=5, hold=1)
    (a,), (b,) = cqes(load), cqes(start)
    assert (a.kind, a.status, a.code, a.cookie, a.sq_index) == (CqKind.COMMAND, Status.OK, Opcode.INITIATE, 77, 4)
    assert (b.code, b.cookie, b.sq_index) == (Opcode.START, 78, 5)
    assert (engine.state.dcb.hold, engine.state.dcb.consumed_thr, engine.state.dcb.push_ticks) == (1, 100, 7)


@pytest.mark.rule("FLUSH")
def test_a_flush_asks_for_what_was_consumed_and_changes_nothing() -> None:
    engine = started()
    before = engine.state
    (result,) = engine.message(DlvEvt.FLUSH)
    assert result.consumed_now
    assert (result.plq, result.consumed, result.state) == (None, 0, before)
    (stale,) = engine.message(DlvEvt.FLUSH, gen=GEN + 1)
    assert not stale.consumed_now


@pytest.mark.rule("DELIVER")
def test_data_goes_straight_into_the_posted_request() -> None:
    engine = started()
    engine.receive(1000)
    done = engine.deliver(600)
    (op,) = ops(done)
    assert (op.op, op.offset, op.len, op.dst, op.last) == (PlOp.PLACE, 54, 600, 0x5000, 1)
    assert cqes(done) == []
    (op,) = ops(engine.deliver(400))
    assert op.dst == 0x5000 + 600
    assert (engine.consumed, engine.credits) == (1000, 2)


@pytest.mark.rule("DELIVER")
def test_a_segment_fills_two_requests_and_its_rest_goes_to_the_pool() -> None:
    engine = started()
    engine.receive(100, cookie=1)
    engine.receive(200, cookie=2)
    done = engine.deliver(1000)
    assert [(o.op, o.offset, o.len, o.last) for o in ops(done)] == [
        (PlOp.PLACE, 54, 100, 0),
        (PlOp.PLACE, 154, 200, 0),
        (PlOp.PLACE, 354, 700, 1),
    ]
    assert ops(done)[2].dst == POOL
    entries = cqes(done)
    assert [(c.kind, c.cookie, c.nbytes) for c in entries] == [
        (CqKind.RECEIVE, 1, 100),
        (CqKind.RECEIVE, 2, 200),
        (CqKind.INDICATION, 0, 700),
    ]
    assert (engine.consumed, engine.credits) == (300, 0)


@pytest.mark.rule("W-3", "ANSWER")
def test_unposted_data_is_indicated_one_buffer_at_a_time() -> None:
    engine = started()
    (first,) = cqes(engine.deliver(500))
    assert (first.kind, first.buf, first.offset, first.nbytes, first.info) == (CqKind.INDICATION, 0, 0, 500, 1)
    assert cqes(engine.deliver(300)) == []
    (second,) = cqes(engine.answer(500))
    assert (second.buf, second.nbytes, second.info) == (1, 300, 2)
    assert engine.consumed == 500


@pytest.mark.rule("A.9", "ANSWER", "W-2", "W-3")
def test_a_partly_refused_indication_follows_vector_a_9() -> None:
    engine = started()
    engine.deliver(1000)
    assert cqes(engine.answer(300)) == []
    assert engine.state.dcb.refused
    assert cqes(engine.deliver(200)) == []
    done = engine.receive(512, cookie=3, nopush=0)
    copy = ops(done)[0]
    assert (copy.op, copy.src, copy.dst, copy.len) == (PlOp.COPY, POOL + 300, 0xF000, 512)
    received, indicated = cqes(done)
    assert (received.kind, received.nbytes) == (CqKind.RECEIVE, 512)
    assert (indicated.kind, indicated.offset, indicated.nbytes) == (CqKind.INDICATION, 812, 188)


@pytest.mark.rule("ANSWER")
def test_answers_that_do_not_fit_are_refused() -> None:
    engine = started()
    (entry,) = cqes(engine.command(Opcode.ANSWER, arg=0, length=0))
    assert entry.status == Status.BAD_TOKEN
    engine.deliver(100)
    (entry,) = cqes(engine.command(Opcode.ANSWER, arg=99, length=100))
    assert entry.status == Status.BAD_TOKEN
    (entry,) = cqes(engine.answer(101))
    assert entry.status == Status.BAD_LENGTH
    assert engine.state.dcb.d


@pytest.mark.rule("hold")
def test_a_held_connection_collects_and_speaks_after_resume() -> None:
    engine = started(hold=1)
    engine.receive(100)
    assert cqes(engine.deliver(150)) == []
    done = engine.command(Opcode.RESUME)
    assert [c.kind for c in cqes(done)] == [CqKind.RECEIVE, CqKind.INDICATION]


@pytest.mark.rule("push")
def test_a_push_completes_a_push_mode_request_early() -> None:
    engine = started()
    engine.receive(1000, nopush=0)
    (entry,) = cqes(engine.deliver(10, psh=1))
    assert entry.nbytes == 10


@pytest.mark.rule("push")
def test_a_push_leaves_a_nopush_request_open() -> None:
    engine = started()
    engine.receive(1000, nopush=1)
    assert cqes(engine.deliver(10, psh=1)) == []
    assert not engine.state.dcb.push_on


@pytest.mark.rule("TIMER", "S15")
def test_the_push_timer_completes_what_no_push_came_for() -> None:
    engine = started(push_ticks=500)
    engine.receive(1000, nopush=0)
    engine.deliver(10)
    engine.now = 499
    assert cqes(engine.timer()) == []
    engine.now = 500
    (entry,) = cqes(engine.timer())
    assert entry.nbytes == 10
    assert engine.state.requests == ()


@pytest.mark.rule("W-1")
def test_zero_byte_requests_complete_in_their_order_without_data() -> None:
    engine = started()
    assert [c.nbytes for c in cqes(engine.receive(0, cookie=1))] == [0]


@pytest.mark.rule("W-1", "DELIVER")
def test_a_zero_byte_request_between_two_completes_between_them() -> None:
    engine = started(hold=1)
    for cookie, length in ((1, 100), (2, 0), (3, 100)):
        engine.receive(length, cookie=cookie)
    engine.command(Opcode.RESUME)
    done = engine.deliver(200)
    assert [(c.cookie, c.nbytes) for c in cqes(done)] == [(1, 100), (2, 0), (3, 100)]
    assert engine.credits == 1


@pytest.mark.rule("W-4", "W-5")
def test_a_fin_flushes_requests_then_tells_the_disconnect() -> None:
    engine = started()
    engine.receive(100, cookie=1)
    engine.receive(100, cookie=2)
    done = cqes(engine.deliver(30, fin=1))
    assert [(c.kind, c.cookie, c.nbytes) for c in done] == [
        (CqKind.RECEIVE, 1, 30),
        (CqKind.RECEIVE, 2, 0),
        (CqKind.EVENT, 0, 0),
    ]
    assert done[2].code == TcpEventType.DISCONNECT
    (late,) = cqes(engine.receive(5))
    assert late.status == Status.INVALID_STATE


@pytest.mark.rule("W-5")
def test_a_fin_waits_for_the_data_before_it() -> None:
    engine = started()
    engine.deliver(30)
    assert cqes(engine.deliver(0, fin=1)) == []
    assert [c.kind for c in cqes(engine.answer(30))] == [CqKind.EVENT]


@pytest.mark.rule("RECEIVE")
def test_a_full_ring_of_requests_refuses_the_next() -> None:
    engine = started()
    for cookie in range(1, 5):
        engine.receive(10, cookie=cookie)
    (entry,) = cqes(engine.receive(10))
    assert entry.status == Status.NO_RESOURCES


@pytest.mark.rule("gen")
def test_commands_of_an_old_generation_are_refused() -> None:
    engine = started()
    (a,) = cqes(engine.command(Opcode.RESUME, gen=GEN - 1))
    (b,) = cqes(engine.command(Opcode.RECEIVE, gen=GEN - 1, length=5))
    assert (a.kind, a.status, b.kind, b.status) == (
        CqKind.COMMAND,
        Status.BAD_STATE,
        CqKind.RECEIVE,
        Status.BAD_STATE,
    )


@pytest.mark.rule("POOL_POST")
def test_posted_buffers_join_the_tail_of_the_free_queue() -> None:
    engine = started()
    (result,) = engine.command(Opcode.POOL_POST, indices=(20, 11), count=2)
    assert list(engine.free) == [*range(8), 20, 11]
    assert result.credit_ret == 2


@pytest.mark.rule("W-8", "W-9", "CH-241")
def test_a_terminate_hands_over_what_was_not_delivered() -> None:
    engine = started()
    engine.deliver(500)
    engine.deliver(300)
    assert cqes(engine.message(DlvEvt.FREEZE, a=0x8000)) == []
    done = engine.answer(100)
    writes = ops(done)
    assert [(w.op, w.dst) for w in writes] == [
        (PlOp.LIST_WRITE, 0x8008),
        (PlOp.LIST_WRITE, 0x8010),
        (PlOp.LIST_WRITE, 0x8000),
    ]
    assert LeftOver.unpack(writes[0].list_data) == LeftOver(buf=0, offset=100, length=400)
    assert LeftOver.unpack(writes[1].list_data) == LeftOver(buf=1, offset=0, length=300)
    assert LeftOver.unpack(writes[2].list_data) == LeftOver(buf=2)
    assert writes[2].freeze_done
    assert not engine.state.dcb.loaded


@pytest.mark.rule("W-6", "W-9")
def test_a_terminate_returns_the_requests() -> None:
    engine = started()
    engine.receive(100, cookie=1)
    engine.receive(100, cookie=2)
    engine.deliver(40)
    done = cqes(engine.message(DlvEvt.FREEZE))
    assert [(c.status, c.nbytes) for c in done] == [(Status.UPLOAD, 40), (Status.UPLOAD, 0)]


@pytest.mark.rule("W-2")
def test_a_terminate_fills_held_requests_first() -> None:
    engine = started(hold=1)
    engine.receive(100, cookie=1)
    engine.deliver(150)
    done = engine.message(DlvEvt.FREEZE, a=0x8000)
    assert [o.op for o in ops(done)] == [PlOp.COPY, PlOp.LIST_WRITE, PlOp.LIST_WRITE]
    assert [(c.status, c.nbytes) for c in cqes(done)] == [(Status.OK, 100)]


@pytest.mark.rule("W-2", "W-6", "W-8")
def test_a_terminate_passes_an_empty_request_and_fills_the_one_behind_it() -> None:
    engine = started(hold=1)
    engine.deliver(150)
    engine.receive(0, cookie=1)
    engine.receive(100, cookie=2)
    done = engine.message(DlvEvt.FREEZE, a=0x8000)
    assert [(c.cookie, c.status, c.nbytes) for c in cqes(done)] == [(1, Status.UPLOAD, 0), (2, Status.OK, 100)]
    assert [o.op for o in ops(done)] == [PlOp.COPY, PlOp.LIST_WRITE, PlOp.LIST_WRITE]


@pytest.mark.rule("W-6", "W-7")
def test_an_abort_returns_requests_and_recycles_the_pool() -> None:
    engine = started(hold=1)
    engine.receive(100)
    engine.deliver(150)
    done = engine.message(DlvEvt.FREEZE, aborted=1, a=0x8000)
    assert [c.status for c in cqes(done)] == [Status.ABORTED]
    assert engine.credits == 1
    assert list(engine.free) == [1, 2, 3, 4, 5, 6, 7, 0]


@pytest.mark.rule("NOTIFY")
def test_a_notification_passes_through() -> None:
    engine = started()
    (entry,) = cqes(engine.message(DlvEvt.NOTIFY, event=TcpEventType.RETRIEVE, info=8))
    assert (entry.kind, entry.code, entry.info) == (CqKind.EVENT, TcpEventType.RETRIEVE, 8)


@pytest.mark.rule("NOTIFY", "W-6", "W-7", "G-06", "CH-194")
@pytest.mark.parametrize("event", [0, TcpEventType.ABORT])
def test_an_abort_ends_requests_and_drops_data_before_any_freeze(event: int) -> None:
    engine = started(hold=1)
    engine.receive(100, cookie=1)
    engine.receive(50, cookie=2)
    engine.deliver(30)
    done = cqes(engine.message(DlvEvt.NOTIFY, event=event, aborted=1))
    wanted = [(CqKind.RECEIVE, Status.ABORTED)] * 2
    assert [(c.kind, c.status) for c in done] == [(CqKind.EVENT, Status.OK)] * bool(event) + wanted
    assert (len(engine.free), engine.credits, engine.state.pieces) == (8, 1, ())
    assert [c.status for c in cqes(engine.receive(10, cookie=3))] == [Status.ABORTED]
    assert cqes(engine.command(Opcode.RESUME)) == []
    (last,) = engine.message(DlvEvt.FREEZE, aborted=1, a=0x8000)[1:]
    assert last.plq is not None
    assert (last.plq.freeze_done, last.plq.list_data) == (1, 0)


@pytest.mark.rule("W", "G-06")
def test_an_indication_is_answered_before_an_abort_drops_its_data() -> None:
    engine = started()
    engine.deliver(30)
    engine.receive(10, cookie=1)
    assert cqes(engine.message(DlvEvt.NOTIFY, aborted=1)) == []
    assert [c.status for c in cqes(engine.receive(10, cookie=2))] == [Status.ABORTED]
    assert [(c.cookie, c.status) for c in cqes(engine.answer(0))] == [(1, Status.ABORTED)]
    assert (len(engine.free), engine.credits) == (8, 1)


@pytest.mark.rule("RECEIVE", "TIMER", "CH-131", "G-04")
def test_a_push_mode_request_whose_buffer_holds_bytes_completes_by_the_timer_without_any_more() -> None:
    engine = started(push_ticks=500)
    engine.command(Opcode.RECEIVE, addr=0x5000, length=1000, cookie=1, flags=2)
    assert (engine.state.dcb.push_on, engine.state.dcb.push_deadline) == (1, 500)
    engine.now = 500
    (entry,) = cqes(engine.timer())
    assert (entry.cookie, entry.nbytes, engine.state.requests) == (1, 0, ())


@pytest.mark.rule("RECEIVE", "CH-131")
@pytest.mark.parametrize(("flags", "hold"), [(0, 0), (3, 0), (2, 1)], ids=["empty", "no push", "held"])
def test_no_push_timer_runs_for_an_empty_a_no_push_or_a_held_request(flags: int, hold: int) -> None:
    engine = started(hold)
    engine.command(Opcode.RECEIVE, addr=0x5000, length=1000, cookie=1, flags=flags)
    assert engine.state.dcb.push_on == 0


@pytest.mark.rule("RECEIVE", "CH-131")
def test_a_push_timer_that_runs_is_not_put_off_by_a_request_whose_buffer_holds_bytes() -> None:
    engine = started(push_ticks=500)
    engine.receive(1000, nopush=0)
    engine.deliver(10)
    engine.now = 100
    engine.command(Opcode.RECEIVE, addr=0x9000, length=1000, cookie=2, flags=2)
    assert engine.state.dcb.push_deadline == 500


@pytest.mark.rule("RESUME", "W", "CH-131", "G-04")
def test_a_held_request_whose_buffer_holds_bytes_is_timed_from_the_resume() -> None:
    engine = started(1, push_ticks=500)
    engine.command(Opcode.RECEIVE, addr=0x5000, length=1000, cookie=1, flags=2)
    engine.now = 300
    assert engine.state.dcb.push_on == 0
    engine.command(Opcode.RESUME)
    assert (engine.state.dcb.push_on, engine.state.dcb.push_deadline) == (1, 800)
    engine.now = 800
    assert [(c.cookie, c.nbytes) for c in cqes(engine.timer())] == [(1, 0)]


@pytest.mark.rule("W", "CH-131", "G-04")
@pytest.mark.parametrize("nopush", [0, 1])
def test_a_request_whose_buffer_holds_bytes_is_timed_from_when_it_becomes_the_head(nopush: int) -> None:
    engine = started(push_ticks=500)
    engine.receive(100, nopush=nopush, cookie=1)
    engine.command(Opcode.RECEIVE, addr=0x9000, length=1000, cookie=2, flags=2)
    engine.now = 200
    engine.deliver(100)
    assert (engine.state.dcb.push_on, engine.state.dcb.push_deadline) == (1, 700)
    engine.now = 700
    assert [(c.cookie, c.nbytes) for c in cqes(engine.timer())] == [(2, 0)]


@pytest.mark.rule("LOAD", "CH-137")
def test_behind_a_fin_that_came_before_the_hand_over_a_request_is_invalid_and_no_event_comes() -> None:
    engine = Delivery()
    engine.message(DlvEvt.LOAD, info=8192, push_ticks=500, fin=1)
    engine.message(DlvEvt.START, hold=0)
    (entry,) = cqes(engine.receive(100))
    assert entry.status == Status.INVALID_STATE
    assert [c.kind for c in cqes(engine.log)] == [CqKind.COMMAND, CqKind.COMMAND, CqKind.RECEIVE]
