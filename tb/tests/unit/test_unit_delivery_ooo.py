"""Unit test of `delivery_engine`: text that came out of order (delivery_step.md HOLD, join, J-1 to J-3, W-5a).

DUT = delivery_engine, the bench of test_unit_delivery. `Held` keeps the ranges of each stream as tcp_engine does
(tcp_step.md M-2, M-3) and sends segments in any order; what the readers get is checked octet by octet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import cocotb

from model.layout.generated import (
    OOO_MAX,
    Cqe,
    CqKind,
    Dcb,
    DlvEvt,
    LeftOver,
    Opcode,
    PlOp,
    Plq,
    Status,
    TcpEventType,
)
from tb.tests.unit.test_unit_delivery import (
    MAX_PERIOD,
    PUSH_TICKS,
    THRESHOLD,
    Bench,
    Commit,
    Host,
    buffer_addr,
    copies,
    done,
    entries,
    forwarded,
    kinds,
    lists,
    places,
)

PIECE = 100  # octets of a held piece, if nothing else matters


def held(commit: Commit) -> dict[int, tuple[int, int, int]]:
    """(head, tail, count) of the lists in use by their number; those that are not in use must be all 0."""
    dcb = commit.dcb
    found = {
        i: (dcb.ooo_head >> 16 * i & 0xFFFF, dcb.ooo_tail >> 16 * i & 0xFFFF, dcb.ooo_count >> 16 * i & 0xFFFF)
        for i in range(OOO_MAX)
    }
    assert dcb.ooo_used == sum(1 << i for i, (_, _, count) in found.items() if count)
    assert all(found[i] == (0, 0, 0) for i in found if not dcb.ooo_used >> i & 1)
    return {i: fields for i, fields in found.items() if dcb.ooo_used >> i & 1}


def in_order(commit: Commit) -> tuple[int, int, int]:
    dcb = commit.dcb
    return (dcb.list_head, dcb.list_tail, dcb.list_count)


def hold(bench: Bench, arrival: int, slot: int, length: int = PIECE, **fields: int) -> None:
    bench.message(DlvEvt.HOLD, arrival=arrival, offset=54, len=length, slot=slot, **fields)


def mask(slots: Sequence[int]) -> int:
    return sum(1 << slot for slot in slots)


@cocotb.test()
async def test_a_held_piece_takes_a_buffer_and_nothing_is_said_of_it(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 1000)
    await bench.settle()
    given = sum(bench.credits)
    hold(bench, 77, slot=5, length=333)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.HOLD], "a request waits, and nothing is put into it"
    assert commits[0].plq == Plq(
        op=PlOp.PLACE, conn=1, gen=7, arrival=77, offset=54, len=333, dst=buffer_addr(10), last=1
    )
    assert held(commits[0]) == {5: (10, 10, 1)}
    assert in_order(commits[0]) == (0, 0, 0)
    rec = commits[0].rec
    assert (rec.cause, rec.consumed, rec.credit_ret, rec.pool_free) == (77, 0, 0, 7)
    assert (sum(bench.credits), bench.consumed) == (given, [])


@cocotb.test()
async def test_pieces_are_put_behind_in_front_and_between(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    hold(bench, 0, slot=3)  # buffer 10
    hold(bench, 1, slot=3, app=1)  # 10 11
    hold(bench, 2, slot=3, pre=1, slot2=3)  # 12 10 11
    hold(bench, 3, slot=6)  # 13
    hold(bench, 4, slot=3, app=1, pre=1, slot2=6)  # 12 10 11 14 13
    hold(bench, 5, slot=6)  # its number is free again: 15
    hold(bench, 6, slot=0, pre=0)  # 16
    hold(bench, 7, slot=0, app=1, pre=1, slot2=3)  # 16 17 12 10 11 14 13
    commits = await bench.settle()
    assert [held(c) for c in commits] == [
        {3: (10, 10, 1)},
        {3: (10, 11, 2)},
        {3: (12, 11, 3)},
        {3: (12, 11, 3), 6: (13, 13, 1)},
        {3: (12, 13, 5)},
        {3: (12, 13, 5), 6: (15, 15, 1)},
        {0: (16, 16, 1), 3: (12, 13, 5), 6: (15, 15, 1)},
        {0: (16, 13, 7), 6: (15, 15, 1)},
    ]
    bench.receive(0x1000, 5000)
    bench.deliver(8, 50, join=1, slot=0)
    commits = await bench.settle()
    assert [dst for _, _, _, dst, _ in places(commits)] == [0x1000]
    order = [16, 17, 12, 10, 11, 14, 13]
    assert copies(commits) == [(buffer_addr(b), 0x1032 + PIECE * i, PIECE) for i, b in enumerate(order)]
    assert held(commits[-1]) == {6: (15, 15, 1)}


@cocotb.test()
async def test_what_a_piece_covers_is_given_back_one_buffer_a_commit_lowest_list_first_j1(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    hold(bench, 0, slot=4)
    hold(bench, 1, slot=1)
    hold(bench, 2, slot=1, app=1)
    hold(bench, 3, slot=2)
    await bench.settle()
    given = sum(bench.credits)
    hold(bench, 4, slot=0, length=1000, free=mask([4, 1]))
    while bench.messages:
        await bench.step()
    bench.command(Opcode.RESUME)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.HOLD, DlvEvt.CONTINUE, DlvEvt.CONTINUE, DlvEvt.CONTINUE, DlvEvt.RESUME]
    assert [held(c) for c in commits[:4]] == [
        {0: (14, 14, 1), 1: (11, 12, 2), 2: (13, 13, 1), 4: (10, 10, 1)},
        {0: (14, 14, 1), 1: (12, 12, 1), 2: (13, 13, 1), 4: (10, 10, 1)},
        {0: (14, 14, 1), 2: (13, 13, 1), 4: (10, 10, 1)},
        {0: (14, 14, 1), 2: (13, 13, 1)},
    ]
    assert [c.rec.credit_ret for c in commits] == [0, 1, 1, 1, 0]
    assert [c.rec.pool_free for c in commits] == [3, 4, 5, 6, 6]
    assert [c.plq for c in commits[1:4]] == [Plq()] * 3
    assert sum(bench.credits) - given == 3
    for arrival in range(6):  # the free queue gives them out in the order in which they came back
        bench.deliver(arrival, 10)
    commits = await bench.settle()
    assert [dst for *_, dst, _ in places(commits)] == [buffer_addr(b) for b in (15, 16, 17, 11, 12, 10)]


@cocotb.test()
async def test_a_joined_list_follows_the_piece_without_what_came_again_j2_j3(dut: Any) -> None:
    """Whole buffers of it go back, a part of the next one is skipped."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    for arrival in range(4):
        hold(bench, arrival, slot=7, length=PIECE + arrival, app=int(arrival > 0))
    await bench.settle()
    given = sum(bench.credits)
    bench.deliver(9, 500, join=1, slot=7, skip=PIECE + PIECE + 1 + 40)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER] + [DlvEvt.CONTINUE] * 4
    assert [held(c) for c in commits[:4]] == [{7: (10, 13, 4)}, {7: (11, 13, 3)}, {7: (12, 13, 2)}, {}]
    assert [in_order(c) for c in commits[:4]] == [(14, 14, 1)] * 3 + [(14, 13, 3)]
    assert [c.rec.credit_ret for c in commits] == [0, 1, 1, 0, 0]
    assert sum(bench.credits) - given == 2
    assert commits[-1].cqe.kind == CqKind.INDICATION, "work comes behind the join"
    want = [(14, 0, 500), (12, 40, PIECE + 2 - 40), (13, 0, PIECE + 3)]
    for token, (buf, offset, nbytes) in enumerate(want, 1):
        assert commits[-1].cqe == Cqe(
            kind=CqKind.INDICATION, conn=1, gen=7, buf=buf, offset=offset, nbytes=nbytes, info=token
        )
        bench.command(Opcode.ANSWER, arg=token, length=nbytes)
        commits = await bench.settle()
    assert in_order(commits[-1]) == (0, 0, 0)


@cocotb.test()
async def test_a_skip_that_ends_with_a_buffer_leaves_the_next_one_whole_j2(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    hold(bench, 0, slot=0)
    hold(bench, 1, slot=0, app=1)
    bench.receive(0x1000, 5000)
    bench.deliver(9, 500, join=1, slot=0, skip=PIECE)
    commits = await bench.settle()
    assert copies(commits) == [(buffer_addr(11), 0x1000 + 500, PIECE)]
    assert in_order(commits[-1]) == (0, 0, 0)
    assert sum(c.rec.credit_ret for c in commits) == 3, "the piece used no buffer, two came back"


@cocotb.test()
async def test_a_join_behind_a_direct_piece_gives_the_list_its_head(dut: Any) -> None:
    """J-3 with nothing in order before it: the request takes the rest, PSH of the segment or not."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    hold(bench, 0, slot=2)
    hold(bench, 1, slot=2, app=1)
    bench.receive(0x1000, 500)
    bench.receive(0x2000, 30)
    await bench.settle()
    bench.deliver(2, 350, join=1, slot=2)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER] + [DlvEvt.CONTINUE] * 5
    assert (held(commits[1]), in_order(commits[1])) == ({}, (10, 11, 2))
    assert copies(commits) == [
        (buffer_addr(10), 0x1000 + 350, 100),
        (buffer_addr(11), 0x1000 + 450, 50),
        (buffer_addr(11) + 50, 0x2000, 30),
    ]
    assert entries(commits)[:2] == [done(0x1000, 500), done(0x2000, 30)]
    assert commits[-1].cqe == Cqe(kind=CqKind.INDICATION, conn=1, gen=7, buf=11, offset=80, nbytes=20, info=1)


@cocotb.test()
async def test_the_push_of_a_held_piece_ends_the_request_when_it_is_joined_ch_127(dut: Any) -> None:
    """HOLD has the PSH of its segment; a piece of which a part came again keeps it (J-3)."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 5000)
    bench.receive(0x2000, 5000)
    bench.receive(0x3000, 5000)
    hold(bench, 0, slot=2, psh=1)  # buffer 10
    hold(bench, 1, slot=2, app=1)  # 10 11
    hold(bench, 2, slot=2, app=1, psh=1)  # 10 11 12
    hold(bench, 3, slot=2, app=1)  # 10 11 12 13
    await bench.settle()
    bench.deliver(4, 50, join=1, slot=2, skip=40)
    commits = await bench.settle()
    assert copies(commits) == [
        (buffer_addr(10) + 40, 0x1000 + 50, PIECE - 40),
        (buffer_addr(11), 0x2000, PIECE),
        (buffer_addr(12), 0x2000 + PIECE, PIECE),
        (buffer_addr(13), 0x3000, PIECE),
    ]
    assert entries(commits) == [done(0x1000, 50 + PIECE - 40), done(0x2000, 2 * PIECE)]
    assert (commits[-1].dcb.push_on, commits[-1].dcb.req_filled) == (1, PIECE), "the last one was not pushed"


@cocotb.test()
async def test_the_push_of_the_piece_that_fills_the_hole_is_not_that_of_the_joined_list_ch_127(dut: Any) -> None:
    """The one that is placed directly ends its request; what is joined begins the next."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 5000)
    bench.receive(0x2000, 5000)
    hold(bench, 0, slot=0)
    await bench.settle()
    bench.deliver(1, 50, psh=1, join=1, slot=0)
    commits = await bench.settle()
    assert entries(commits) == [done(0x1000, 50)]
    assert copies(commits) == [(buffer_addr(10), 0x2000, PIECE)]
    assert (commits[-1].dcb.push_on, commits[-1].dcb.req_filled) == (1, PIECE)


@cocotb.test()
async def test_the_fin_is_marked_by_the_last_of_the_lists_commits(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    hold(bench, 0, slot=1)
    hold(bench, 1, slot=2)
    hold(bench, 2, slot=3)
    await bench.settle()
    bench.deliver(3, 40, fin=1, join=1, slot=2, free=mask([1, 3]))
    commits = await bench.settle()
    assert [c.dcb.fin_mark for c in commits] == [0, 0, 0, 1, 1]
    assert [sorted(held(c)) for c in commits] == [[1, 2, 3], [2, 3], [2], [], []]
    assert commits[-1].cqe.kind == CqKind.INDICATION
    for token, nbytes in ((1, 40), (2, PIECE)):
        bench.command(Opcode.ANSWER, arg=token, length=nbytes)
        commits = await bench.settle()
    assert (commits[-1].cqe.kind, commits[-1].cqe.code) == (CqKind.EVENT, TcpEventType.DISCONNECT)


@cocotb.test()
async def test_a_fin_alone_gives_back_what_lay_behind_it(dut: Any) -> None:
    """M-3: what came behind a FIN is no data."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    hold(bench, 0, slot=0)
    hold(bench, 1, slot=0, app=1)
    await bench.settle()
    bench.deliver(2, 0, fin=1, offset=0, free=mask([0]))
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER] + [DlvEvt.CONTINUE] * 3
    assert [c.dcb.fin_mark for c in commits] == [0, 0, 1, 1]
    assert [c.plq.op for c in commits] == [PlOp.NONE] * 4
    assert commits[-1].cqe.code == TcpEventType.DISCONNECT
    assert commits[-1].rec.pool_free == 8
    bench.deliver(3, 0, fin=1, offset=0, free=0)
    assert [c.dcb.fin_mark for c in await bench.settle()] == [1], "a mask of nothing waits for nothing"


@cocotb.test()
async def test_the_lists_come_behind_the_last_piece_of_a_split_segment(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    hold(bench, 0, slot=0)
    hold(bench, 1, slot=5)
    bench.receive(0x1000, 60)
    bench.receive(0x2000, 0)
    bench.receive(0x3000, 40)
    await bench.settle()
    bench.deliver(2, 150, free=mask([0]), join=1, slot=5, skip=20)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER] + [DlvEvt.CONTINUE] * 6
    assert places(commits) == [(2, 54, 60, 0x1000, 0), (2, 114, 40, 0x3000, 0), (2, 154, 50, buffer_addr(12), 1)]
    assert entries(commits)[:3] == [done(0x1000, 60), done(0x2000, 0), done(0x3000, 40)]
    assert [c.rec.credit_ret for c in commits] == [0, 0, 0, 0, 1, 0, 0]
    assert in_order(commits[-1]) == (12, 11, 2)


@cocotb.test()
async def test_a_forward_that_joins_is_completed_behind_the_lists(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    hold(bench, 0, slot=0)
    hold(bench, 1, slot=5)
    bench.receive(0x1000, 60)
    await bench.settle()
    bench.forward(0x7000, 60, free=mask([0]), join=1, slot=5, fin=1)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER] + [DlvEvt.CONTINUE] * 4
    assert entries(commits)[:2] == [done(0x1000, 60), forwarded(0x7000)]
    assert [c.plq.cqe_valid for c in commits] == [1, 0, 0, 1, 1]
    assert [c.dcb.fin_mark for c in commits] == [0, 0, 1, 1, 1]
    # the same without lists, and a message behind it: nothing is left over from the one before
    bench.forward(0x8000, 10)
    bench.deliver(3, 10)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER, DlvEvt.CONTINUE, DlvEvt.DELIVER]
    assert entries(commits) == [forwarded(0x8000)]


@cocotb.test()
async def test_lists_are_worked_on_while_the_host_holds_an_indication_or_the_connection(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(hold=1)
    hold(bench, 0, slot=0)
    hold(bench, 1, slot=1)
    bench.deliver(2, 10, join=1, slot=0, free=mask([1]))
    commits = await bench.settle()
    assert (held(commits[-1]), in_order(commits[-1])) == ({}, (12, 10, 2))
    bench.command(Opcode.RESUME)
    assert (await bench.settle())[-1].dcb.d == 1
    hold(bench, 3, slot=0)
    bench.deliver(4, 10, join=1, slot=0)
    commits = await bench.settle()
    assert (commits[-1].dcb.d, held(commits[-1]), in_order(commits[-1])) == (1, {}, (12, 13, 4))


@cocotb.test()
async def test_messages_of_another_generation_touch_no_list(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    hold(bench, 0, slot=0)
    (before,) = await bench.settle()
    bench.deliver(1, 0, fin=1, free=mask([0]), gen=6)
    bench.deliver(1, 0, fin=1, join=1, slot=0, gen=6)
    bench.message(DlvEvt.NOTIFY, gen=6, aborted=1)
    commits = await bench.settle()
    assert kinds(commits) == [DlvEvt.DELIVER, DlvEvt.DELIVER, DlvEvt.NOTIFY]
    assert all(c.dcb == before.dcb for c in commits)


@cocotb.test()
async def test_a_freeze_gives_up_what_is_held_behind_the_copies_and_before_the_uploads_w5a(dut: Any) -> None:
    """G-19: what is held goes before a zero-length request is left to W-6; only the in-order data is handed over."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.deliver(0, 100)
    bench.deliver(1, 200)
    bench.deliver(2, 300)
    hold(bench, 3, slot=6)
    hold(bench, 4, slot=2)
    hold(bench, 5, slot=2, app=1)
    await bench.settle()
    bench.receive(0x1000, 150)
    bench.receive(0x2000, 0)
    bench.receive(0x3000, 60)
    await bench.settle()
    bench.message(DlvEvt.FREEZE, a=0x8000)
    commits = await bench.settle()
    assert sorted(held(commits[-1])) == [2, 6], "the answer is waited for"
    bench.command(Opcode.ANSWER, arg=1, length=100)
    commits = await bench.settle()
    assert copies(commits) == [
        (buffer_addr(11), 0x1000, 150),
        (buffer_addr(11) + 150, 0x3000, 50),
        (buffer_addr(12), 0x3000 + 50, 10),
    ]
    assert [sorted(held(c)) for c in commits[:6]] == [[2, 6], [2, 6], [2, 6], [6], [], []]
    assert entries(commits) == [done(0x1000, 150), done(0x2000, 0, Status.UPLOAD), done(0x3000, 60)]
    assert [c.rec.credit_ret for c in commits] == [0, 0, 1, 1, 1, 0, 1, 0, 0, 0]
    assert [c.plq.cqe_valid for c in commits] == [0, 1, 0, 0, 0, 1, 0, 1, 0, 0]
    assert lists(commits) == [(0x8008, LeftOver(buf=12, offset=10, length=290)), (0x8000, LeftOver(buf=1))]
    assert commits[-1].dcb.freeze_done == 1
    assert commits[-1].rec.pool_free == 6, "8, of which the host has two"


@cocotb.test()
async def test_an_abort_gives_up_what_is_held_at_once_w5a(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.receive(0x1000, 500)
    hold(bench, 0, slot=1)
    hold(bench, 1, slot=1, app=1)
    hold(bench, 2, slot=0)
    await bench.settle()
    given = sum(bench.credits)
    bench.message(DlvEvt.NOTIFY, event=TcpEventType.ABORT, aborted=1)
    commits = await bench.settle()
    assert [sorted(held(c)) for c in commits] == [[0, 1], [1], [1], [], []]
    assert entries(commits) == [(CqKind.EVENT, 0, 0, 0), done(0x1000, 0, Status.ABORTED)]
    assert commits[-1].rec.pool_free == 8
    assert sum(bench.credits) - given == 3
    bench.message(DlvEvt.FREEZE, a=0)
    commits = await bench.settle()
    assert commits[-1].dcb.freeze_done == 1
    # the connection is used again: nothing is left in its lists
    bench.message(DlvEvt.LOAD, 1, 8, info=THRESHOLD, push_ticks=PUSH_TICKS)
    assert (await bench.settle())[-1].dcb == Dcb(loaded=1, gen=8, hold=1, push_ticks=PUSH_TICKS, consumed_thr=THRESHOLD)


@cocotb.test()
async def test_an_abort_keeps_what_is_held_until_the_host_answers(dut: Any) -> None:
    """`work` does nothing while an indication is out, W-5a neither."""
    bench = Bench(dut)
    await bench.start()
    await bench.open()
    bench.deliver(0, 40)
    hold(bench, 1, slot=4)
    bench.message(DlvEvt.NOTIFY, aborted=1)
    commits = await bench.settle()
    assert (commits[-1].dcb.d, sorted(held(commits[-1]))) == (1, [4])
    bench.command(Opcode.ANSWER, arg=1, length=0)
    commits = await bench.settle()
    assert [sorted(held(c)) for c in commits] == [[4], [], []]
    assert commits[-1].rec.pool_free == 8


@cocotb.test()
async def test_a_commit_with_lists_takes_at_most_eight_cycles(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    await bench.open(buffers=32)
    for arrival in range(8):
        hold(bench, arrival, slot=arrival)
    for arrival in range(7):
        hold(bench, arrival, slot=0, app=1, pre=1, slot2=arrival + 1)
    hold(bench, 20, slot=3, free=mask([0]))
    bench.deliver(21, 10, join=1, slot=3, skip=PIECE - 1)
    commits = await bench.settle()
    assert len(commits) == 8 + 7 + 16 + 3
    assert max(b.cycle - a.cycle for a, b in pairwise(commits)) <= MAX_PERIOD


# ---- random traffic out of order -------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Range:
    """Octets [left, right) of a stream that came out of order, in list `slot`."""

    left: int
    right: int
    slot: int


class Held(Host):
    """A host whose segments come in any order; keeps the ranges of tcp_step.md M for each stream."""

    def __init__(self, bench: Bench, conns: int, buffers: int) -> None:
        super().__init__(bench, conns, buffers)
        self.ranges: list[list[Range]] = [[] for _ in range(conns)]
        self.seen = {"hold": 0, "both": 0, "covered": 0, "joined": 0, "skipped": 0}

    def text(self, conn: int, length: int) -> None:
        start = self.sent[conn] + self.rng.randrange(1, 6000)
        if self.ranges[conn] and self.rng.random() < 0.4:  # at, or across, the end of what is there
            start = self.rng.choice(self.ranges[conn]).right - self.rng.choice((0, 0, 30))
            above = [r.left - start for r in self.ranges[conn] if start < r.left <= start + 1460]
            length = min(above) if above and self.rng.random() < 0.6 else length  # the hole as a whole
        if self.rng.random() < 0.3 or self.credit <= self.conns or not self.out_of_order(conn, start, start + length):
            self.next_text(conn, length)

    def next_text(self, conn: int, length: int) -> None:
        """M-3."""
        end = self.sent[conn] + length
        gone = [r for r in self.ranges[conn] if r.right <= end]
        joined = [r for r in self.ranges[conn] if r.left <= end < r.right]
        fields = {"join": 1, "slot": joined[0].slot, "skip": end - joined[0].left} if joined else {}
        self.in_order(conn, length, free=mask([r.slot for r in gone]), **fields)
        self.ranges[conn] = [r for r in self.ranges[conn] if r.left > end]
        self.sent[conn] = joined[0].right if joined else end
        self.seen["joined"] += len(joined)
        self.seen["skipped"] += bool(fields.get("skip"))

    def out_of_order(self, conn: int, start: int, end: int) -> bool:
        """M-2, 3 to 7: whether the segment was kept."""
        others = self.ranges[conn]
        i = next((r for r in others if r.left <= start <= r.right), None)
        if i and end <= i.right:
            return False
        j = next((r for r in others if r != i and start < r.left <= end <= r.right), None)
        covered = [r for r in others if r != i and r.left >= start and r.right < end]
        unused = sorted(set(range(OOO_MAX)) - {r.slot for r in others})
        slots = [r.slot for r in (i, j) if r] + unused
        if not slots:
            return False
        first, until = i.right if i else start, j.left if j else end
        self.frames[self.arrival] = (conn, first, until - first)
        self.credit -= 1
        self.bench.message(
            DlvEvt.HOLD, conn, conn + 1, arrival=self.arrival, offset=54, len=until - first, slot=slots[0],
            app=int(i is not None), pre=int(j is not None), slot2=j.slot if j else 0,
            free=mask([r.slot for r in covered]),
        )  # fmt: skip
        self.arrival += 1
        keep = [r for r in others if r not in (i, j, *covered)]
        self.ranges[conn] = [Range(i.left if i else first, j.right if j else until, slots[0]), *keep]
        self.seen["hold"] += 1
        self.seen["both"] += bool(i and j)
        self.seen["covered"] += len(covered)
        return True


@cocotb.test()
async def test_random_order_keeps_every_stream(dut: Any) -> None:
    bench = Bench(dut)
    await bench.start()
    conns, buffers = 3, min(40, int(dut.POOL_BUFS.value))
    host = Held(bench, conns, buffers)
    for conn in range(conns):
        bench.message(DlvEvt.LOAD, conn, conn + 1, info=THRESHOLD, push_ticks=PUSH_TICKS)
        bench.message(DlvEvt.START, conn, conn + 1)
    await bench.settle()
    bench.plqs.clear()
    for cycle in range(8000):
        if cycle % 500 == 0:
            bench.plq_rate, bench.back_rate, bench.feed_rate = (bench.rng.choice((10, 50, 100)) for _ in range(3))
        if cycle % 4 == 0:
            host.provoke(more=True)
        await bench.step()
        host.act()
    bench.plq_rate = bench.back_rate = bench.feed_rate = 100
    ended = [False] * conns
    for _ in range(8000):
        if sum(host.events) == conns - 1:
            break
        if not bench.messages and not bench.commands:
            host.provoke(more=False)
            for conn in range(conns - 1):  # the holes are filled, then comes the FIN; a refusing reader gets requests
                if host.ranges[conn] and host.credit:
                    host.next_text(conn, 1460)
                elif not host.ranges[conn] and not ended[conn]:
                    bench.deliver(0xFFFF, 0, fin=1, conn=conn, gen=conn + 1)
                    ended[conn] = True
                if not host.requests[conn]:
                    host.requests[conn].append((host.next_addr, 5000))
                    bench.receive(host.next_addr, 5000, nopush=1, conn=conn, gen=conn + 1)
                    host.next_addr += 8192
        await bench.step()
        host.act()
    await bench.settle()
    host.act()
    last = conns - 1
    cocotb.log.info("bytes read: %s, commits %d, %s", host.read, len(bench.commits), host.seen)
    assert host.read[:last] == host.sent[:last]
    assert host.forwards == {}, "every FORWARD is completed"
    assert host.events == [1] * last + [0]
    assert all(host.seen.values()), host.seen
    # the last connection ends with holes: what it holds comes back, too
    for who, token, buffer, length in host.todo_answers:
        host.host_buffers.append(buffer)
        bench.command(Opcode.ANSWER, conn=who, gen=who + 1, arg=token, length=length)
    bench.message(DlvEvt.FREEZE, last, last + 1, a=0)
    await bench.settle()
    freed = len(bench.plqs)
    assert bench.plqs[freed - 1].freeze_done == 1
    assert bench.commits[-1].rec.pool_free + len(host.host_buffers) == buffers, "buffers leak"
    host.credit += sum(bench.credits[host.seen_credit :])
    assert host.credit + len(host.host_buffers) == buffers, "credits leak"
