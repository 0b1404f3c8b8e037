"""The PSH of data that waits in the pool: what a push-mode request takes of it ends where the peer pushed (W-2)."""

from __future__ import annotations

import pytest

from model.layout.generated import CqKind, DlvEvt, Opcode, PlOp, Status
from tb.tests.model.delivery_bench import Delivery, cqes, ops, started


def receives(engine: Delivery, since: int = 0) -> list[tuple[int, Status, int]]:
    """(cookie, status, bytes) of the requests that completed behind the first ``since`` commits."""
    entries = [c for c in cqes(engine.log[since:]) if c.kind == CqKind.RECEIVE]
    return [(c.cookie, Status(c.status), c.nbytes) for c in entries]


def collected(*segments: tuple[int, int]) -> Delivery:
    """Segments (length, psh) wait in the pool of a held connection."""
    engine = started(hold=1, push_ticks=500)
    for length, psh in segments:
        engine.deliver(length, psh=psh)
    return engine


def hold(engine: Delivery, length: int, slot: int = 0, **fields: int) -> None:
    engine.message(DlvEvt.HOLD, arrival=7, offset=60, len=length, slot=slot, **fields)


@pytest.mark.rule("W-2", "CH-127", "CH-133", "S15")
def test_a_push_that_waits_in_the_pool_completes_the_request_at_once() -> None:
    engine = collected((30, 0), (20, 1))
    engine.receive(1000, nopush=0)
    done = engine.command(Opcode.RESUME)
    assert [(o.op, o.len) for o in ops(done)] == [(PlOp.COPY, 30), (PlOp.COPY, 20)]
    assert receives(engine) == [(1, Status.OK, 50)]
    assert (engine.state.dcb.push_on, engine.state.dcb.req_filled, engine.state.requests) == (0, 0, ())


@pytest.mark.rule("W-2", "CH-128", "CH-130")
def test_without_a_push_the_request_waits_for_the_timer() -> None:
    engine = collected((30, 0), (20, 0))
    engine.receive(1000, nopush=0)
    engine.now = 100
    engine.command(Opcode.RESUME)
    assert receives(engine) == []
    assert (engine.state.dcb.push_on, engine.state.dcb.push_deadline) == (1, 600)
    engine.now = 600
    engine.timer()
    assert receives(engine) == [(1, Status.OK, 50)]


@pytest.mark.rule("HOLD", "J-3", "W-2", "CH-127")
def test_a_push_behind_a_hole_completes_the_request_once_the_hole_is_filled() -> None:
    engine = started()
    engine.receive(1000, nopush=0)
    hold(engine, 20, psh=1)
    assert receives(engine) == []
    engine.message(DlvEvt.DELIVER, arrival=8, offset=54, len=30, join=1, slot=0, skip=0)
    assert receives(engine) == [(1, Status.OK, 50)]
    assert engine.state.dcb.push_on == 0


@pytest.mark.rule("HOLD", "J-3", "W-2", "CH-127")
@pytest.mark.parametrize("pushed", [0, 1])
def test_each_piece_of_a_list_keeps_its_own_push(pushed: int) -> None:
    """Two held pieces: the request ends behind the one that was pushed, whose first bytes may come again."""
    engine = started()
    hold(engine, 20, slot=2, psh=int(pushed == 0))
    hold(engine, 25, slot=2, app=1, psh=int(pushed == 1))
    engine.receive(1000, nopush=0)
    engine.message(DlvEvt.DELIVER, arrival=8, offset=54, len=30, join=1, slot=2, skip=5)
    assert receives(engine) == [(1, Status.OK, 45 + 25 * pushed)]
    assert [(p.length, p.psh) for p in engine.state.pieces] == [(25, 0)] * (1 - pushed)


@pytest.mark.rule("HOLD", "J-2", "W-2", "CH-128")
def test_a_push_of_bytes_that_came_again_without_it_goes_with_their_buffer() -> None:
    engine = started()
    hold(engine, 20, psh=1)
    hold(engine, 25, app=1)
    engine.receive(1000, nopush=0)
    engine.message(DlvEvt.DELIVER, arrival=8, offset=54, len=30, join=1, slot=0, skip=20)
    assert (receives(engine), engine.state.dcb.push_on, engine.state.dcb.req_filled) == ([], 1, 55)


@pytest.mark.rule("W-2", "CH-127")
def test_a_request_ends_at_the_push_and_the_next_takes_what_is_behind_it() -> None:
    engine = collected((30, 1), (20, 0), (10, 1), (5, 0))
    for cookie in (1, 2, 3):
        engine.receive(1000, cookie, nopush=0)
    engine.command(Opcode.RESUME)
    assert receives(engine) == [(1, Status.OK, 30), (2, Status.OK, 30)]
    assert (engine.state.dcb.push_on, engine.state.dcb.req_filled) == (1, 5)


@pytest.mark.rule("W-2", "W-3", "CH-127", "CH-148")
def test_what_lies_behind_the_push_is_indicated_without_another_request() -> None:
    engine = collected((30, 1), (20, 0))
    engine.receive(1000, nopush=0)
    done = engine.command(Opcode.RESUME)
    assert [(c.kind, c.nbytes) for c in cqes(done)] == [(CqKind.RECEIVE, 30), (CqKind.INDICATION, 20)]


@pytest.mark.rule("W-2", "CH-127")
def test_a_push_in_the_middle_of_a_request_that_the_bytes_before_it_filled_is_the_next_ones() -> None:
    """Only the request that takes the last byte of the pushed segment ends by it."""
    engine = collected((50, 1))
    engine.receive(20, 1, nopush=0)
    engine.receive(30, 2, nopush=0)
    engine.receive(40, 3, nopush=0)
    engine.command(Opcode.RESUME)
    assert receives(engine) == [(1, Status.OK, 20), (2, Status.OK, 30)]
    assert (len(engine.state.requests), engine.state.dcb.req_filled, engine.state.dcb.push_on) == (1, 0, 0)


@pytest.mark.rule("ANSWER", "W-2", "CH-127", "CH-151")
def test_the_rest_of_a_partly_accepted_indication_keeps_its_push() -> None:
    engine = started()
    engine.deliver(100, psh=1)
    engine.answer(40)
    engine.receive(1000, nopush=0)
    assert receives(engine) == [(1, Status.OK, 60)]
    assert engine.state.dcb.push_on == 0


@pytest.mark.rule("W-2", "CH-129")
def test_a_nopush_request_takes_pooled_bytes_on_past_a_push() -> None:
    engine = collected((30, 1), (20, 1))
    engine.receive(1000, nopush=1)
    engine.command(Opcode.RESUME)
    assert receives(engine) == []
    assert (engine.state.dcb.req_filled, engine.state.dcb.push_on) == (50, 0)


@pytest.mark.rule("W-2", "W-6", "CH-127", "G-17")
def test_a_frozen_connection_completes_nothing_by_a_push_and_the_request_comes_back_with_the_sum() -> None:
    engine = collected((30, 1), (20, 1))
    engine.receive(1000, nopush=0)
    engine.message(DlvEvt.FREEZE, a=0x8000)
    assert receives(engine) == [(1, Status.UPLOAD, 50)]


@pytest.mark.rule("DELIVER", "W-2", "CH-127")
def test_a_segment_that_goes_on_in_the_pool_leaves_its_push_with_its_last_byte() -> None:
    """The request it fills directly takes no push; the buffer that takes the rest does."""
    engine = started()
    engine.receive(20, 1, nopush=0)
    engine.deliver(50, psh=1)
    assert [(p.length, p.psh) for p in engine.state.pieces] == [(30, 1)]
    since = len(engine.log)
    engine.receive(1000, 2, nopush=0)
    assert receives(engine, since) == [], "the indication of the rest is out"
    engine.answer(0)
    assert receives(engine, since) == [(2, Status.OK, 30)]


@pytest.mark.rule("DELIVER", "CH-127")
def test_of_several_pieces_only_the_one_with_the_last_byte_is_pushed() -> None:
    engine = collected((30, 0), (20, 0), (10, 1))
    assert [(p.length, p.psh) for p in engine.state.pieces] == [(30, 0), (20, 0), (10, 1)]
    engine.receive(45, 1, nopush=0)
    engine.receive(1000, 2, nopush=0)
    engine.command(Opcode.RESUME)
    assert receives(engine) == [(1, Status.OK, 45), (2, Status.OK, 15)]


@pytest.mark.rule("DELIVER", "FORWARD", "W-2", "CH-127")
def test_the_push_of_a_forwarded_segment_that_waits_in_the_pool_counts_too() -> None:
    engine = started(hold=1)
    engine.forward(30, psh=1)
    engine.receive(1000, nopush=0)
    engine.command(Opcode.RESUME)
    assert receives(engine) == [(1, Status.OK, 30)]
