"""Unit test of out-of-order queueing and SACK blocks in the engine cluster (tcp_step sections C.9, C.11 and M).

DUT = engine_top, bench as in test_unit_tcp_engine. Directed cases are worked out by hand from the contract. The random
case knows the rules as sets of octets (`Receiver`) and plays the lists of buffers that delivery_engine would hold
(`Lists`): what a HOLD names must lie side by side there, and what is delivered must be the stream without a gap.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.triggers import Timer

from model.layout.generated import (
    CqKind,
    DlvEvt,
    DlvMsg,
    Opcode,
    Phase,
    Sqe,
    Status,
    Tcb,
    TcpEvt,
    TcpImage,
    TcpState,
    TxKind,
    TxSegment,
    Verdict,
)
from tb.tests.unit.test_unit_tcp_engine import (
    ACK,
    COOKIE,
    FIN,
    GEN,
    HANDED_IN,
    IMAGE,
    M32,
    PSH,
    RCV,
    RST,
    UNA,
    Bench,
    Commit,
    only,
    u32,
)

TS, SACK = 1, 2  # const_flags of an image
SACKED = replace(IMAGE, const_flags=SACK)
WND = 32768


def from_base(seq: int, base: int) -> int:
    """A sequence number as octets behind (negative: in front of) `base`."""
    return u32(seq - base + (1 << 31)) - (1 << 31)


def places(tcb: Tcb, base: int = RCV) -> list[tuple[int, int, int]]:
    """The ranges of a TCB as (left, right, slot), octets counted from `base`; behind them all is 0 (M)."""
    found = []
    for n in range(8):
        left, right = (tcb.rr_left >> 32 * n) & M32, (tcb.rr_right >> 32 * n) & M32
        slot = (tcb.rr_slot >> 3 * n) & 7
        if n < tcb.rr_n:
            found.append((from_base(left, base), from_base(right, base), slot))
        else:
            assert (left, right, slot) == (0, 0, 0), f"place {n} is not empty"
    return found


def blocks(segment: TxSegment, base: int = RCV) -> list[tuple[int, int]]:
    """The SACK blocks of a segment, octets counted from `base`; behind them all is 0."""
    found = []
    for n in range(4):
        left, right = (segment.sack_left >> 32 * n) & M32, (segment.sack_right >> 32 * n) & M32
        if n < segment.sack_n:
            found.append((from_base(left, base), from_base(right, base)))
        else:
            assert (left, right) == (0, 0), f"block {n} is not empty"
    return found


def reported(tcb: Tcb, base: int = RCV) -> tuple[int, int] | None:
    """What the next pure ACK reports as a duplicate, counted from `base`."""
    if not tcb.dsack:
        assert (tcb.dsack_left, tcb.dsack_right) == (0, 0)
        return None
    return from_base(tcb.dsack_left, base), from_base(tcb.dsack_right, base)


class OooBench(Bench):
    """Segments by their place behind RCV, acknowledgments by their blocks."""

    async def at(self, start: int, length: int, flags: int = ACK, **fields: int) -> Commit:
        """The segment [start, start + length) counted from RCV."""
        return await self.segment(seq=u32(RCV + start), pay_len=length, flags=flags, **fields)

    async def told(self) -> list[tuple[int, int]]:
        """The blocks of the pure ACK that comes next."""
        _, segment = await self.grant()
        assert segment is not None
        only(segment, len=0, flags=ACK)
        return blocks(segment)

    async def stall(self) -> None:
        """No ACK leaves from here on: the wire takes nothing, and so many SENDs wait that the queue is full."""
        self.ready["txq"] = 0
        sqe = Sqe(opcode=Opcode.SEND, gen=GEN, length=1, count=1).pack()
        self.waiting["cmd"].extend({"sqe": sqe, "sq_index": 0, "image": 0} for _ in range(20))
        await self.step(40)
        while self.taken < len(self.records):
            self.taken = len(self.records)
            await self.step(40)
        assert self.waiting["cmd"], "commands wait for the transmit queue"

    async def first_ack(self) -> list[tuple[int, int]]:
        """The wire takes segments again: the blocks of the first pure ACK."""
        self.ready["txq"] = 100
        while self.waiting["cmd"]:
            await self.step(20)
        await self.step(200)
        sent = [TxSegment.unpack(r.tx0.body) for r in self.records[self.taken :] if r.tx0.kind == TxKind.SEGMENT]
        self.taken = len(self.records)
        return blocks(next(segment for segment in sent if segment.len == 0))


async def bench_of(dut: Any) -> OooBench:
    bench = OooBench(dut)
    await bench.start()
    return bench


def held(record: Commit, **changed: int) -> None:
    """A HOLD with these fields, and 0 in all that are not named; the duplicate ACK is owed."""
    only(record, verdict=Verdict.DELIVER, dlv_valid=1)
    want = DlvMsg(kind=DlvEvt.HOLD, conn=record.conn, gen=GEN, arrival=record.cause, **{"offset": 54, **changed})
    assert record.dlv == want, f"{record.dlv}\nexpected {want}"
    only(record.tcb, dup_owed=1, ack_now=0, dack_on=0, unacked_segs=0)


def delivered(record: Commit, **changed: int) -> None:
    """A DELIVER with these fields, and 0 in all that are not named."""
    only(record, verdict=Verdict.DELIVER if changed.get("len", 1) else Verdict.DROP, dlv_valid=1)
    want = DlvMsg(kind=DlvEvt.DELIVER, conn=record.conn, gen=GEN, arrival=record.cause, **{"offset": 54, **changed})
    assert record.dlv == want, f"{record.dlv}\nexpected {want}"


def refused(record: Commit, *, flush: bool = False) -> None:
    """Dropped, and a duplicate ACK is owed."""
    only(record, verdict=Verdict.DROP, dlv_valid=int(flush))
    only(record.tcb, dup_owed=1)
    if flush:
        assert record.dlv == DlvMsg(kind=DlvEvt.FLUSH, conn=record.conn, gen=GEN)


@cocotb.test()
async def a_segment_behind_a_hole_is_held_and_delivered_when_the_hole_is_filled_m2_m3(dut: Any) -> None:
    """S04."""
    b = await bench_of(dut)
    await b.open(SACKED, credits_=8)
    record = await b.at(1000, 500, ACK | PSH)
    held(record, len=500, psh=1)
    only(record, credits=b.spare + 7)
    assert places(record.tcb) == [(1000, 1500, 0)]
    only(record.tcb, rcv_nxt=RCV, consumed_seq=RCV, rcv_adv=RCV + WND)
    assert await b.told() == [(1000, 1500)]
    # the hole is filled in two pieces; the acknowledgment of both is prompt (RFC 5681 4.2)
    record = await b.at(0, 400)
    delivered(record, len=400)
    only(record.tcb, rcv_nxt=RCV + 400, ack_now=1, unacked_segs=1, dack_on=0)
    assert places(record.tcb) == [(1000, 1500, 0)]
    assert await b.told() == [(1000, 1500)]
    record = await b.at(400, 600)
    delivered(record, len=600, join=1)
    only(record.tcb, rcv_nxt=RCV + 1500, consumed_seq=RCV, ack_now=1, dup_owed=0)
    only(record, credits=b.spare + 5)
    assert places(record.tcb) == []
    assert reported(record.tcb) is None
    record, segment = await b.grant()
    assert segment is not None
    only(segment, ack=RCV + 1500, wnd=WND - 1500, sack_n=0)
    # without ranges an in-order segment waits for the delayed ACK again
    record = await b.at(1500, 10)
    only(record.tcb, ack_now=0, dack_on=1)
    await b.quiet()


@cocotb.test()
async def a_range_grows_at_either_end_and_two_become_one_m2_7(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=12)
    held(await b.at(1000, 100), len=100)
    await b.told()
    held(await b.at(2000, 100), len=100, slot=1)
    await b.told()
    # behind the first
    record = await b.at(1100, 50)
    held(record, len=50, app=1)
    assert places(record.tcb) == [(1000, 1150, 0), (2000, 2100, 1)]
    await b.told()
    # in front of the second
    record = await b.at(1950, 50)
    held(record, len=50, slot=1, pre=1, slot2=1)
    assert places(record.tcb) == [(1950, 2100, 1), (1000, 1150, 0)]
    assert await b.told() == [(1950, 2100), (1000, 1150)]
    # half known: only what is new is written; what came again is told once, ahead of the ranges
    record = await b.at(1100, 100)
    held(record, offset=54 + 50, len=50, app=1)
    assert places(record.tcb) == [(1000, 1200, 0), (1950, 2100, 1)]
    assert reported(record.tcb) == (1100, 1150)
    assert await b.told() == [(1100, 1150), (1000, 1200), (1950, 2100)]
    record = await b.at(1900, 100)
    held(record, len=50, slot=1, pre=1, slot2=1)
    assert reported(record.tcb) == (1950, 2000)
    assert places(record.tcb) == [(1900, 2100, 1), (1000, 1200, 0)]
    await b.told()
    # from the one to the other, both overlapped: one piece between them, one list
    record = await b.at(1150, 800)
    held(record, offset=54 + 50, len=700, app=1, pre=1, slot2=1)
    assert places(record.tcb) == [(1000, 2100, 0)]
    assert reported(record.tcb) == (1150, 1200)
    assert await b.told() == [(1150, 1200), (1000, 2100)]
    only(record, credits=b.spare + 5)
    await b.quiet()


@cocotb.test()
async def ranges_inside_a_segment_are_given_back_m2_4(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=12)
    for start in (1000, 1200, 1400, 1600):
        await b.at(start, 50)
        await b.told()
    # it holds the octets of slots 1 and 2 itself and ends where that of slot 3 ends
    record = await b.at(1100, 550)
    held(record, len=500, slot=3, pre=1, slot2=3, free=0b0110)
    assert places(record.tcb) == [(1100, 1650, 3), (1000, 1050, 0)]
    assert reported(record.tcb) == (1200, 1250)  # the lowest of those inside
    await b.told()
    # all of it inside a new one: no neighbor, the lists in use are not taken
    record = await b.at(900, 900)
    held(record, len=900, slot=1, free=0b1001)
    assert places(record.tcb) == [(900, 1800, 1)]
    assert reported(record.tcb) == (1000, 1050)
    await b.told()
    await b.quiet()


@cocotb.test()
async def octets_that_are_held_already_are_reported_and_their_range_comes_first_m2_3(dut: Any) -> None:
    """S54."""
    b = await bench_of(dut)
    await b.open(SACKED, credits_=8)
    for start in (1000, 2000, 3000):
        await b.at(start, 100)
        await b.told()
    for start, length, order in ((1000, 100, (1000, 3000, 2000)), (2050, 50, (2000, 1000, 3000)), (2001, 1, None)):
        record = await b.at(start, length)
        refused(record)
        only(record, credits=b.spare + 5)
        assert reported(record.tcb) == (start, start + length)
        assert [left for left, _, _ in places(record.tcb)] == list(order or (2000, 1000, 3000))
        assert (await b.told())[0] == (start, start + length)
    await b.quiet()


@cocotb.test()
async def a_report_beyond_the_ack_goes_when_its_range_is_no_longer_the_first_m2_7(dut: Any) -> None:
    for start, length, told in (
        (2000, 100, [(2000, 2100), (1000, 1100)]),  # behind its range
        (500, 100, [(500, 600), (1000, 1100)]),  # in front of it
        (1100, 50, [(1050, 1100), (1000, 1150)]),  # the range grew
        (900, 100, [(1050, 1100), (900, 1100)]),
        (2000, 0, [(1050, 1100), (1000, 1100)]),
    ):
        b = await bench_of(dut)
        await b.open(SACKED, credits_=8)
        await b.stall()
        await b.at(1000, 100)
        assert reported((await b.at(1050, 50)).tcb) == (1050, 1100)
        record = await b.at(start, length)
        assert reported(record.tcb) == (told[0] if told[0] == (1050, 1100) else None)
        assert await b.first_ack() == told
        await b.quiet()
        b.stop()
        await Timer(1, unit="ns")


@cocotb.test()
async def a_report_stays_unless_new_octets_elsewhere_are_held_m2_7(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=4)
    await b.stall()
    await b.at(0, 100)
    await b.at(1000, 100)
    # not beyond the ACK
    assert reported((await b.at(50, 50)).tcb) == (50, 100)
    record = await b.at(2000, 100)
    assert places(record.tcb) == [(2000, 2100, 1), (1000, 1100, 0)]
    assert reported(record.tcb) == (50, 100)
    # of a range that comes to place 0 again
    assert reported((await b.at(1000, 100)).tcb) == (1000, 1100)
    # nothing is taken: no buffer, no room, a FIN without octets
    record = await b.at(3000, 100)
    only(record, verdict=Verdict.DROP)
    assert reported(record.tcb) == (1000, 1100)
    await b.credit(2)
    b.room = 0
    record = await b.at(3000, 100)
    only(record, verdict=Verdict.DROP)
    assert reported(record.tcb) == (1000, 1100)
    b.room = 1
    record = await b.at(3000, 0, ACK | FIN)
    only(record.tcb, ooo_fin=1)
    assert reported(record.tcb) == (1000, 1100)
    # a report of the same segment takes its place
    record = await b.at(1950, 100)
    assert places(record.tcb)[0] == (1950, 2100, 1)
    assert reported(record.tcb) == (2000, 2050)
    # all of it: the whole range is the report; then another comes first
    assert reported((await b.at(1950, 150)).tcb) == (1950, 2100)
    assert reported((await b.at(1500, 10)).tcb) is None
    assert await b.first_ack() == [(1500, 1510), (1950, 2100), (1000, 1100)]
    await b.quiet()


@cocotb.test()
async def a_segment_across_a_range_is_taken_whole_and_what_came_again_is_skipped_m3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=12)
    for start in (100, 300, 500, 900):
        await b.at(start, 100)
        await b.told()
    # over slots 0 and 1 into slot 2
    record = await b.at(0, 540, ACK | PSH)
    delivered(record, len=540, psh=1, join=1, slot=2, skip=40, free=0b0011)
    only(record.tcb, rcv_nxt=RCV + 600, ack_now=1)
    assert places(record.tcb) == [(900, 1000, 3)]
    assert reported(record.tcb) == (100, 200)
    assert await b.told() == [(100, 200), (900, 1000)]
    # a range that ends where the segment ends is given back, not joined; octets left of rcv_nxt are reported first
    record = await b.at(590, 410)
    delivered(record, offset=64, len=400, free=0b1000)
    only(record.tcb, rcv_nxt=RCV + 1000)
    assert places(record.tcb) == []
    assert reported(record.tcb) == (590, 600)
    assert await b.told() == [(590, 600)]
    await b.at(1500, 100)
    await b.told()
    # into a range: reported up to the end of the segment
    record = await b.at(1000, 530)
    delivered(record, len=530, join=1, skip=30)
    assert reported(record.tcb) == (1500, 1530)
    only(record.tcb, rcv_nxt=RCV + 1600)
    await b.told()
    await b.quiet()


@cocotb.test()
async def the_blocks_are_the_duplicate_and_then_the_latest_ranges_as_far_as_there_is_room_m4(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=30)
    want: list[tuple[int, int]] = []
    for start in range(1000, 7000, 1000):
        await b.at(start, 10)
        want.insert(0, (start, start + 10))
        assert await b.told() == want[:4]
    await b.at(1005, 5)
    want = [want[-1], *want[:-1]]
    assert await b.told() == [(1005, 1010), *want[:3]]
    # beside timestamps there is room for three
    stamped = replace(SACKED, const_flags=TS | SACK, local_port=4001)
    await b.command(Opcode.INITIATE, stamped.pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    for start in (1000, 2000, 3000, 4000):
        await b.at(start, 10, conn=1, ts_present=1)
        told = await b.told()
    assert told == [(4000, 4010), (3000, 3010), (2000, 2010)]
    await b.at(2000, 10, conn=1, ts_present=1)
    assert await b.told() == [(2000, 2010), (2000, 2010), (4000, 4010)]
    # a peer that did not agree to SACK gets none, and nothing is noted for it
    plain = replace(IMAGE, local_port=4002)
    await b.command(Opcode.INITIATE, plain.pack(), conn=2)
    await b.command(Opcode.START, conn=2)
    for _ in range(2):
        record = await b.at(1000, 10, conn=2)
        assert places(record.tcb) == [(1000, 1010, 0)]
        assert reported(record.tcb) is None
        assert await b.told() == []
    record = await b.at(-10, 10, conn=2)
    refused(record)
    assert reported(record.tcb) is None
    await b.told()
    await b.quiet()


@cocotb.test()
async def data_segments_and_the_ack_of_terminate_carry_no_blocks_m4_b7(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(SACKED, snd_wnd=1000), credits_=8)
    await b.at(0, 10, wnd=1000)
    await b.send(4380)
    # it opens the window, and octets of it came again: data acknowledges it, the report waits for a pure ACK
    record = await b.at(0, 20, wnd=20000)
    delivered(record, offset=64, len=10)
    only(record.tcb, ack_now=1)
    for _ in range(3):
        record, segment = await b.grant()
        assert segment is not None
        only(segment, len=1460, ack=RCV + 20, sack_n=0, sack_left=0, sack_right=0)
        only(record.tcb, ack_now=0)
        assert reported(record.tcb) == (0, 10)
    await b.quiet()
    # a text that nobody acknowledged yet: the ACK of TERMINATE does, and tells no more
    record = await b.at(20, 5)
    only(record.tcb, dack_on=1, ack_now=0)
    record = await b.command(Opcode.TERMINATE, addr=0x7000)
    only(record.tx0, kind=TxKind.SEGMENT)
    only(TxSegment.unpack(record.tx0.body), len=0, ack=RCV + 25, sack_n=0, sack_left=0, sack_right=0)
    assert reported(record.tcb) == (0, 10)
    await b.quiet()


@cocotb.test()
async def what_is_held_ends_with_the_connection_m5(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=8)
    await b.at(100, 10, ACK | FIN)
    assert await b.told() == [(100, 110)]
    record = await b.command(Opcode.TERMINATE, addr=0x7000)
    only(record.tcb, phase=Phase.FROZEN, rcv_nxt=RCV, ooo_fin=1)
    assert places(record.tcb) == [(100, 110, 0)]
    b.waiting["fence"].append({"conn": 0, "gen": GEN})
    record = await b.take(TcpEvt.FENCE_DONE)
    only(record.tcb, phase=Phase.FREE)
    record = await b.command(Opcode.INITIATE, SACKED.pack(), gen=GEN + 1)
    assert places(record.tcb) == []
    assert reported(record.tcb) is None
    only(record.tcb, ooo_fin=0, ooo_fin_seq=0)
    await b.quiet()


@cocotb.test()
async def past_the_last_range_only_what_grows_one_is_taken_m2_5(dut: Any) -> None:
    b = await bench_of(dut)
    limit = int(dut.OOO_RANGES.value)
    await b.open(SACKED, credits_=30)
    for n in range(limit):
        record = await b.at(1000 * (n + 1), 10)
        held(record, len=10, slot=n)
        await b.told()
    full = places(record.tcb)
    record = await b.at(500, 10)
    refused(record)
    assert places(record.tcb) == full
    await b.told()
    # one that covers a range without touching another needs a list of its own, too
    record = await b.at(1000 - 5, 20)
    refused(record)
    assert places(record.tcb) == full
    assert reported(record.tcb) is None
    await b.told()
    record = await b.at(1000 * limit + 10, 10)
    held(record, len=10, slot=limit - 1, app=1)
    await b.told()
    record = await b.at(990, 10)
    held(record, len=10, slot=0, pre=1, slot2=0)
    await b.told()
    # two become one: its list is free for the next
    if limit > 1:
        record = await b.at(1010, 990)
        held(record, len=990, app=1, pre=1, slot2=1)
        await b.told()
        record = await b.at(500, 10)
        held(record, len=10, slot=1)
        await b.told()
    await b.quiet()


@cocotb.test()
async def held_data_leaves_a_buffer_for_every_connection_c11_m2_5(dut: Any) -> None:
    b = await bench_of(dut)
    conns = b.spare + 1
    await b.open(SACKED, credits_=2)
    record = await b.at(1000, 10)
    held(record, len=10)
    only(record, credits=conns)
    await b.told()
    record = await b.at(2000, 10)
    refused(record)  # it holds nothing that was not reported as consumed: there is nothing to flush
    assert places(record.tcb) == [(1000, 1010, 0)]
    await b.told()
    record = await b.at(1005, 10)
    refused(record)
    assert reported(record.tcb) is None, "what is not taken is not reported"
    assert await b.told() == [(1000, 1010)]
    # one in order is taken; then the connection holds a buffer, and what was consumed is asked for
    record = await b.at(0, 10)
    delivered(record, len=10)
    only(record, credits=conns - 1)
    await b.told()
    record = await b.at(2000, 10)
    refused(record, flush=True)
    await b.told()
    record = await b.at(10, 10)
    refused(record, flush=True)
    await b.told()
    # what is known already, or has no place, asks for no buffer
    record = await b.at(1000, 10)
    refused(record)
    assert reported(record.tcb) == (1000, 1010)
    await b.told()
    # the host leaves its ring full: refused without a message, with a buffer or without (C.12)
    b.room = 0
    for start in (2000, 10):
        record = await b.at(start, 10)
        refused(record)
        only(record, room=0)
        await b.told()
    await b.credit(2)
    record = await b.at(2000, 10)
    refused(record)
    await b.told()
    b.room = 1
    record = await b.at(2000, 10)
    held(record, len=10, slot=1)
    await b.told()
    await b.quiet()


@cocotb.test()
async def a_fin_beyond_a_hole_is_kept_and_taken_when_the_hole_is_filled_m2_1_m3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=12)
    record = await b.at(500, 100, ACK | FIN)
    held(record, len=100)
    only(record.tcb, ooo_fin=1, ooo_fin_seq=RCV + 600, rcv_nxt=RCV, fin_rcvd=0, state=TcpState.ESTABLISHED)
    await b.told()
    # another FIN is not believed, octets behind the first one are cut away
    record = await b.at(590, 100, ACK | FIN)
    refused(record)
    only(record.tcb, ooo_fin_seq=RCV + 600)
    assert reported(record.tcb) == (590, 600)
    await b.told()
    record = await b.at(650, 100)
    refused(record)
    assert places(record.tcb) == [(500, 600, 0)]
    assert reported(record.tcb) is None
    await b.told()
    record = await b.at(300, 0, ACK | FIN)
    refused(record)
    only(record.tcb, ooo_fin_seq=RCV + 600)
    await b.told()
    record = await b.at(0, 300)
    delivered(record, len=300)
    only(record.tcb, ooo_fin=1, fin_rcvd=0)
    await b.told()
    record = await b.at(300, 200)
    delivered(record, len=200, join=1, fin=1)
    only(record.tcb, rcv_nxt=RCV + 601, consumed_seq=RCV + 1, fin_rcvd=1, ack_now=1, ooo_fin=0, ooo_fin_seq=0)
    only(record.tcb, state=TcpState.CLOSE_WAIT)
    assert places(record.tcb) == []
    _, segment = await b.grant()
    assert segment is not None
    only(segment, ack=RCV + 601, sack_n=0)
    await b.quiet()


@cocotb.test()
async def a_fin_alone_beyond_a_hole_waits_for_the_octets_in_front_of_it_b24(dut: Any) -> None:
    """B24."""
    b = await bench_of(dut)
    await b.open(SACKED, credits_=12)
    record = await b.at(100, 0, ACK | FIN)
    refused(record)
    only(record.tcb, ooo_fin=1, ooo_fin_seq=RCV + 100)
    assert places(record.tcb) == []
    assert await b.told() == []
    # one FIN was believed: none in front of it, none behind it
    for elsewhere in (50, 99, 101, 200):
        record = await b.at(elsewhere, 0, ACK | FIN)
        refused(record)
        only(record.tcb, ooo_fin=1, ooo_fin_seq=RCV + 100)
        await b.told()
    # text that reaches past the FIN is cut at it, in order, too; what was pushed is not in it (CH-127)
    record = await b.at(0, 150, ACK | PSH)
    delivered(record, len=100, fin=1, psh=0)
    only(record.tcb, rcv_nxt=RCV + 101, state=TcpState.CLOSE_WAIT, ooo_fin=0, ooo_fin_seq=0)
    await b.told()
    await b.quiet()


@cocotb.test()
async def a_fin_in_front_of_octets_that_came_is_not_believed_until_it_is_in_order_m2_1_m3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=12)
    for start in (500, 800):
        await b.at(start, 100)
        await b.told()
    record = await b.at(300, 100, ACK | FIN)
    held(record, len=100, slot=2)
    only(record.tcb, ooo_fin=0, ooo_fin_seq=0)
    await b.told()
    # its octet lies where a range ends: nothing came behind it, but for the other range
    record = await b.at(550, 50, ACK | FIN)
    only(record.tcb, ooo_fin=0)
    await b.told()
    record = await b.at(850, 50, ACK | FIN)
    only(record.tcb, ooo_fin=1, ooo_fin_seq=RCV + 900)
    await b.told()
    # in order it is: all that is held is given up, and with text the overlapped range is reported
    record = await b.at(0, 350, ACK | FIN)
    delivered(record, len=350, fin=1, free=0b111)
    only(record.tcb, rcv_nxt=RCV + 351, consumed_seq=RCV + 1, state=TcpState.CLOSE_WAIT, ooo_fin=0, ooo_fin_seq=0)
    assert places(record.tcb) == []
    assert reported(record.tcb) == (300, 350)
    assert await b.told() == [(300, 350)]
    await b.quiet()


@cocotb.test()
async def a_fin_alone_in_order_gives_up_what_is_held_and_reports_nothing_m3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=12)
    await b.at(0, 10)
    for start in (100, 200):
        record = await b.at(start, 10)
        await b.told()
    assert places(record.tcb) == [(200, 210, 1), (100, 110, 0)]
    record = await b.at(0, 10, ACK | FIN)
    delivered(record, len=0, offset=0, fin=1, free=0b11)
    only(record.tcb, rcv_nxt=RCV + 11, consumed_seq=RCV + 1, state=TcpState.CLOSE_WAIT)
    assert places(record.tcb) == []
    assert reported(record.tcb) is None
    only(record, credits=b.spare + 12 - 3)
    assert await b.told() == []
    await b.quiet()


@cocotb.test()
async def octets_left_of_the_window_are_reported_m1(dut: Any) -> None:
    b = await bench_of(dut)
    stamped = replace(SACKED, const_flags=TS | SACK, ts_recent=500, ts_time=1000)
    await b.open(stamped, credits_=8)

    async def stamped_at(start: int, length: int, tsval: int = 500, **fields: int) -> Commit:
        return await b.at(start, length, ts_present=1, tsval=tsval, tsecr=0, **fields)

    await stamped_at(0, 100)
    await stamped_at(100, 100)
    await b.told()
    # C.2: all old; a keep-alive probe with an octet; one without
    record = await stamped_at(50, 100)
    refused(record)
    assert reported(record.tcb) == (50, 150)
    assert await b.told() == [(50, 150)]
    record = await stamped_at(199, 1)
    assert reported(record.tcb) == (199, 200)
    await b.told()
    record = await stamped_at(199, 0)
    refused(record)
    assert reported(record.tcb) is None
    await b.told()
    # the octet of a FIN counts
    record = await stamped_at(150, 49, flags=ACK | FIN)
    assert reported(record.tcb) == (150, 200)
    await b.told()
    # C.2, right of the window: nothing of it came before
    record = await stamped_at(WND, 10)
    refused(record)
    assert reported(record.tcb) is None
    await b.told()
    # C.1: an older timestamp; what is new of it is no duplicate
    record = await stamped_at(150, 100, tsval=499)
    refused(record)
    assert reported(record.tcb) == (150, 200)
    await b.told()
    record = await stamped_at(200, 100, tsval=499)
    refused(record)
    assert reported(record.tcb) is None
    await b.told()
    # C.5: an acknowledgment of what was never sent is answered (twice a second, K-7), without a report
    b.now += 500
    record = await stamped_at(150, 100, ack=u32(UNA + 1))
    refused(record)
    assert reported(record.tcb) is None
    await b.told()
    # a RST outside the window is dropped silently
    record = await stamped_at(50, 100, flags=ACK | RST)
    only(record, dlv_valid=0)
    only(record.tcb, dup_owed=0, dsack=0)
    await b.quiet()


@cocotb.test()
async def a_forwarded_segment_is_not_held_but_joins_what_is_b8_m2_m3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=8)
    await b.at(100, 50)
    await b.told()
    record = await b.forward(seq=RCV + 200, pay_len=10, flags=ACK | FIN)
    only(record, dlv_valid=0, cpl_valid=1)
    only(record.cpl, kind=CqKind.FORWARD, status=Status.OK, cookie=COOKIE)
    only(record.tcb, dup_owed=1, ooo_fin=0)
    assert places(record.tcb) == [(100, 150, 0)]
    await b.told()
    record = await b.forward(seq=RCV, pay_len=120)
    only(record, cpl_valid=0, dlv_valid=1)
    only(record.dlv, kind=DlvEvt.DELIVER, fwd=1, a=HANDED_IN + 20, len=120, join=1, slot=0, skip=20, free=0)
    only(record.tcb, rcv_nxt=RCV + 150, ack_now=1)
    assert places(record.tcb) == []
    assert reported(record.tcb) == (100, 120)
    await b.told()
    await b.quiet()


@cocotb.test()
async def text_right_of_the_window_is_cut_and_a_closed_connection_holds_nothing_c9(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SACKED, credits_=8)
    record = await b.at(WND - 10, 30, ACK | FIN)
    held(record, len=10)
    only(record.tcb, ooo_fin=0)
    assert places(record.tcb) == [(WND - 10, WND, 0)]
    await b.told()
    await b.command(Opcode.INITIATE, replace(SACKED, state=TcpState.CLOSE_WAIT, local_port=4001).pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    record = await b.at(100, 10, conn=1)
    refused(record)
    assert places(record.tcb) == []
    assert reported(record.tcb) is None
    await b.told()
    await b.quiet()


@cocotb.test()
async def segments_that_meet_eight_ranges_take_no_cycle_more(dut: Any) -> None:
    """B14."""
    b = await bench_of(dut)
    await b.open(SACKED, credits_=60)
    b.ready["txq"] = 100
    starts = [1000 * n for n in (3, 1, 4, 8, 5, 9, 2, 6)]
    for start in starts:
        b.offer_segment(seq=RCV + start, pay_len=10)
    for start in starts:
        b.offer_segment(seq=RCV + start + 10, pay_len=10)
    b.offer_segment(seq=RCV, pay_len=1500)
    await b.step(400)
    assert len([r for r in b.records if r.kind == TcpEvt.RX_SEGMENT]) == 17
    busy = [cycle for cycle, r in zip(b.cycles, b.records, strict=True) if r.kind == TcpEvt.RX_SEGMENT]
    grants = [cycle for cycle, r in zip(b.cycles, b.records, strict=True) if r.kind == TcpEvt.TX_GRANT]
    commits = sorted(busy + grants)
    gaps = [after - before for before, after in pairwise(commits)]
    assert max(gaps[:30]) <= 7, gaps
    b.taken = len(b.records)
    await b.quiet()


@dataclass
class Lists:
    """What delivery_engine holds: a list of pieces [left, right) a slot, and how far the stream was delivered."""

    end: int = 0
    held: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    buffers: int = 0  # that were given back

    def play(self, message: DlvMsg, start: int) -> None:
        """`start`: the octet that the piece begins with."""
        piece = (start, start + message.len)
        if message.kind == DlvEvt.HOLD:
            front = self.held.pop(message.slot) if message.app else []
            behind = self.held.pop(message.slot2) if message.pre else []
            assert message.slot not in self.held, "a list in use is not overwritten"
            self.held[message.slot] = [*front, piece, *behind]
        elif message.len:
            assert start == self.end, "the stream goes on where it ended"
            self.end += message.len
            self.buffers += 1
        for slot in range(8):
            if message.free >> slot & 1:
                self.buffers += len(self.held.pop(slot))
        if message.join:
            joined = self.held.pop(message.slot)
            assert joined[0][0] + message.skip == self.end, "what came again is skipped, nothing else"
            self.end = joined[-1][1]
            self.buffers += len(joined)
        for pieces in self.held.values():
            assert all(a[1] == b[0] for a, b in pairwise(pieces)), "pieces lie side by side"


@dataclass
class Receiver:
    """Rules C.9, C.11 and M on octets counted from the first of the stream; not the ACK policy, not the states."""

    limit: int  # OOO_RANGES
    conns: int
    credits: int
    nxt: int = 0
    adv: int = WND
    consumed: int = 0
    ranges: list[tuple[int, int, int]] = field(default_factory=list)
    fin: int | None = None
    dsack: tuple[int, int] | None = None
    closed: bool = False

    def segment(self, seq: int, length: int, fin: bool) -> DlvMsg | None:
        """What the segment makes of the state; its message with the place of the piece in `offset`."""
        octets = range(seq, seq + length)
        fresh = [o for o in octets if self.nxt <= o < self.adv and (self.fin is None or o < self.fin)]
        if not (self.nxt <= seq < self.adv or self.nxt <= seq + length + fin - 1 < self.adv):
            if length + fin and seq < self.nxt:
                self.dsack = (seq, min(seq + length + fin, self.nxt))
            return None
        if self.closed or not length + fin:
            return None
        start = max(seq, self.nxt)
        stop = start + len(fresh)
        fin_here = fin and stop == max(seq + length, start)
        return self._ahead(start, stop, fin_here) if start > self.nxt else self._in_order(seq, stop, fin_here)

    def _ahead(self, start: int, stop: int, fin_here: bool) -> DlvMsg | None:
        if fin_here and self.fin is None and all(right <= stop for _, right, _ in self.ranges):
            self.fin = stop
        if start == stop:
            return None
        low = next((r for r in self.ranges if r[0] <= start <= r[1]), None)
        if low and stop <= low[1]:
            self.dsack = (start, stop)
            self.ranges = [low, *(r for r in self.ranges if r != low)]
            return None
        high = next((r for r in self.ranges if r != low and start < r[0] <= stop <= r[1]), None)
        inner = [r for r in self.ranges if r not in (low, high) and start <= r[0] and r[1] <= stop]
        unused = set(range(self.limit)) - {slot for _, _, slot in self.ranges}
        if not (low or high or unused):
            return None
        if self.credits <= self.conns:
            return None if self.nxt == self.consumed else DlvMsg(kind=DlvEvt.FLUSH)
        self.credits -= 1
        if low and start < low[1]:
            self.dsack = (start, low[1])
        elif inner:
            self.dsack = min(inner)[:2]
        elif high and high[0] < stop:
            self.dsack = (high[0], stop)
        slot = low[2] if low else high[2] if high else min(unused)
        grown = (low[0] if low else start, high[1] if high else stop, slot)
        if self.dsack and self.dsack[0] > self.nxt and not (grown[0] <= self.dsack[0] and self.dsack[1] <= grown[1]):
            self.dsack = None
        self.ranges = [grown, *(r for r in self.ranges if r not in (low, high, *inner))]
        first, behind = low[1] if low else start, high[0] if high else stop
        return DlvMsg(
            kind=DlvEvt.HOLD, offset=first, len=behind - first, slot=slot, app=int(low is not None),
            pre=int(high is not None), slot2=high[2] if high else 0, free=sum(1 << r[2] for r in inner),
        )  # fmt: skip

    def _in_order(self, seq: int, stop: int, fin_here: bool) -> DlvMsg | None:
        length = stop - self.nxt
        if not length and not fin_here:
            return None
        if length:
            if self.credits < (1 if self.nxt == self.consumed else self.conns):
                return None if self.nxt == self.consumed else DlvMsg(kind=DlvEvt.FLUSH)
            self.credits -= 1
            overlapped = [r for r in self.ranges if r[0] < stop]
            if seq < self.nxt:
                self.dsack = (seq, self.nxt)
            elif overlapped:
                self.dsack = (min(overlapped)[0], min(stop, min(overlapped)[1]))
        across = next((r for r in self.ranges if r[0] <= stop < r[1] and not fin_here), None)
        freed = [r for r in self.ranges if r != across and (r[1] <= stop or fin_here)]
        message = DlvMsg(
            kind=DlvEvt.DELIVER, offset=self.nxt if length else 0, len=length, join=int(across is not None),
            slot=across[2] if across else 0, skip=stop - across[0] if across else 0,
            free=sum(1 << r[2] for r in freed),
        )  # fmt: skip
        self.nxt = across[1] if across else stop
        self.ranges = [r for r in self.ranges if r != across and r not in freed]
        if fin_here or self.fin == self.nxt:
            message = replace(message, fin=1)
            self.nxt += 1
            self.consumed += 1
            self.fin, self.closed = None, True
        return message


class Stream:
    """A connection under random segments: the receiver that is expected, the lists, what waits to be handed back."""

    def __init__(self, bench: OooBench, base: int, credits_: int) -> None:
        self.bench = bench
        self.base = base
        self.lists = Lists()
        self.want = Receiver(int(bench.dut.OOO_RANGES.value), bench.spare + 1, credits_)
        self.ended = False
        self.read = 0  # octets that were reported as consumed
        self.returned = 0  # buffers that were given back

    def acknowledged(self, record: Commit) -> None:
        """A grant: its blocks are the report and the ranges, and the report is gone."""
        if record.tx0_valid:
            assert record.tx0.kind == TxKind.SEGMENT
            told = blocks(TxSegment.unpack(record.tx0.body), self.base)
            news = [self.want.dsack] if self.want.dsack else []
            assert told == (news + [(left, right) for left, right, _ in self.want.ranges])[:4]
            if news and news[0][0] > self.want.nxt and not self.want.closed:
                assert told[1][0] <= told[0][0] < told[0][1] <= told[1][1], "RFC 2883 4: the block behind it holds it"
            self.want.dsack = None
            self.want.adv = from_base(record.tcb.rcv_adv, self.base)
        self.agrees(record.tcb)

    def agrees(self, tcb: Tcb) -> None:
        want = self.want
        assert places(tcb, self.base) == want.ranges
        assert reported(tcb, self.base) == want.dsack
        only(tcb, rcv_nxt=u32(self.base + want.nxt), ooo_fin=int(want.fin is not None))
        only(tcb, ooo_fin_seq=0 if want.fin is None else u32(self.base + want.fin))
        for left, right, slot in want.ranges:
            pieces = self.lists.held[slot]
            assert (pieces[0][0], pieces[-1][1]) == (left, right), "the list holds its range"
        assert len(self.lists.held) == len(want.ranges), "no list is forgotten"

    async def until(self, kind: TcpEvt) -> Commit:
        """The next record of this kind; the grants before it are looked at."""
        while True:
            while len(self.bench.records) == self.bench.taken:
                await self.bench.step()
            record = self.bench.records[self.bench.taken]
            self.bench.taken += 1
            if record.kind == kind:
                return record
            assert record.kind == TcpEvt.TX_GRANT, TcpEvt(record.kind).name
            self.acknowledged(record)

    async def segment(self, seq: int, length: int, *, fin: bool) -> None:
        pushed = self.bench.rng.randrange(2)
        flags = ACK | (FIN if fin else 0) | (PSH if pushed else 0)
        self.bench.offer_segment(seq=u32(self.base + seq), pay_len=length, flags=flags)
        record = await self.until(TcpEvt.RX_SEGMENT)
        message = self.want.segment(seq, length, fin)
        assert record.dlv_valid == (message is not None), f"{record.dlv} for [{seq}, {seq + length})"
        if message is not None:
            start = message.offset
            if message.kind != DlvEvt.FLUSH:
                offset = 54 + start - seq if message.len else 0
                whole = not message.len or start + message.len == seq + length
                message = replace(message, offset=offset, arrival=record.cause, psh=pushed and whole)
                self.lists.play(message, start)
            assert record.dlv == replace(message, gen=GEN), f"expected {message}"
        kept = message is not None and message.kind != DlvEvt.FLUSH and message.len
        only(record, verdict=Verdict.DELIVER if kept else Verdict.DROP, credits=self.want.credits)
        self.agrees(record.tcb)

    async def hand_back(self) -> None:
        """What was delivered is consumed, and every buffer that is not in a list is free again."""
        if self.read < self.lists.end:
            count = self.lists.end - self.read
            self.bench.waiting["consumed"].append({"conn": 0, "gen": GEN, "bytes": count})
            await self.until(TcpEvt.CONSUMED)
            self.want.consumed += count
            self.read = self.lists.end
        if self.returned < self.lists.buffers:
            count = self.lists.buffers - self.returned
            self.bench.waiting["credit"].append({"count": count})
            await self.until(TcpEvt.CREDIT)
            self.want.credits += count
            self.returned = self.lists.buffers


async def random_stream(dut: Any, base: int, span: int, credits_: int, count: int, *, wire: int = 100) -> None:
    """Segments of one stream in any cut and order, around what is expected next; percent of cycles the wire is free."""
    b = await bench_of(dut)
    b.ready["txq"] = wire
    image: TcpImage = replace(SACKED, rcv_nxt=base, snd_wl1=u32(base - 1))
    await b.open(image, credits_=credits_)
    stream = Stream(b, base, b.spare + credits_)
    rng = b.rng
    for n in range(count):
        want = stream.want
        edges = [want.nxt, want.adv, *(edge for left, right, _ in want.ranges for edge in (left, right))]
        at_edge = rng.choice(edges) + rng.randrange(-2, 3)
        seq = at_edge if rng.randrange(3) else want.nxt + rng.randrange(-span // 4, span)
        until = rng.choice(edges) + rng.randrange(-1, 2)
        length = until - seq if rng.randrange(3) == 0 and 0 <= until - seq <= span else rng.randrange(span // 4)
        fin = (n > 3 * count // 4 and rng.randrange(8) == 0) and not want.closed
        await stream.segment(seq, length, fin=fin)
        if rng.randrange(6) == 0:
            await stream.hand_back()
    # whatever is missing comes in order: nothing stays held
    while stream.want.ranges:
        await stream.hand_back()
        await stream.segment(stream.want.nxt, 1400, fin=False)
    await stream.hand_back()
    b.ready["txq"] = 100
    await b.step(200)
    for record in b.records[b.taken :]:
        stream.acknowledged(record)
    b.taken = len(b.records)
    only(b.records[-1], credits=b.spare + credits_)
    assert stream.lists.held == {}
    b.check_queues()
    b.stop()


@cocotb.test()
async def random_segments_of_one_stream_are_delivered_without_a_gap_and_reported_by_the_rules_m(dut: Any) -> None:
    await random_stream(dut, RCV, 4000, 40, 400)


@cocotb.test()
async def random_segments_across_the_wrap_of_the_sequence_space_m(dut: Any) -> None:
    """S53, B09."""
    await random_stream(dut, u32(-1500), 600, 40, 250)


@cocotb.test()
async def random_segments_whose_acks_wait_for_the_wire_m2_7(dut: Any) -> None:
    await random_stream(dut, RCV, 4000, 40, 400, wire=4)


@cocotb.test()
async def random_segments_with_few_buffers_c11_m(dut: Any) -> None:
    await random_stream(dut, RCV, 4000, 4, 250)
