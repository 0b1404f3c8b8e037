"""Unit test of SACK at the sender in the engine cluster (tcp_step section S, B-5, D-2; RFC 6675, RFC 3042).

DUT = engine_top, bench as in test_unit_tcp_engine. Directed cases are worked out by hand from the contract. The random
cases know the rules as sets of octets (`Sender`): a peer behind a lossy channel answers, and every commit must leave
what the rules leave, every grant must send what they send, and no grant may come when nothing may go.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from model.layout.generated import CWND_MAX, IW_BYTES, SB_RANGES, Opcode, Tcb, TcpEvt, TcpState, TxSegment
from tb.tests.unit.cubic_oracle import BETA, PARTS, CubicOracle
from tb.tests.unit.test_unit_tcp_engine import ACK, FIN, IMAGE, M32, PSH, UNA, Bench, Commit, only, u32

SACK, CUBIC = 2, 16  # const_flags of an image
MSS = 100
WND = 60000
THRESH = 3
SHORT = replace(IMAGE, remote_mss=MSS, cwnd=2000, ssthresh=10**6, snd_wnd=WND, max_snd_wnd=WND, const_flags=SACK)
#: Cycles from commit to commit: a segment, any other event (header of tcp_engine).
SEGMENT_CYCLES, EVENT_CYCLES = 7, 6
#: What issue 4 allows a frame or a grant with a scoreboard.
CYCLES_MAX = 64

Block = tuple[int, int]


def from_una(seq: int, base: int = UNA) -> int:
    """A sequence number as octets behind (negative: in front of) `base`."""
    return u32(seq - base + (1 << 31)) - (1 << 31)


def board(tcb: Tcb, base: int = UNA) -> list[Block]:
    """The scoreboard of a TCB, octets counted from `base`; behind it all is 0 (S)."""
    found = []
    for n in range(SB_RANGES):
        left, right = (tcb.sb_left >> 32 * n) & M32, (tcb.sb_right >> 32 * n) & M32
        if n < tcb.sb_n:
            found.append((from_una(left, base), from_una(right, base)))
        else:
            assert (left, right) == (0, 0), f"place {n} is not empty"
    return found


def runs(octets: set[int]) -> list[Block]:
    """The maximal runs of a set of octets, ascending."""
    found: list[Block] = []
    for octet in sorted(octets):
        if found and found[-1][1] == octet:
            found[-1] = (found[-1][0], octet + 1)
        else:
            found.append((octet, octet + 1))
    return found


class SackBench(Bench):
    """Acknowledgments by octets behind `base`, with their blocks."""

    base = UNA

    def fields(self, ack: int, blocks: list[Block]) -> dict[str, int]:
        """Fields of a pure ACK of the octets below `ack`."""
        return {
            "ack": u32(self.base + ack),
            "wnd": WND,
            "sack_n": len(blocks),
            "sack_left": sum(u32(self.base + left) << 32 * n for n, (left, _) in enumerate(blocks)),
            "sack_right": sum(u32(self.base + right) << 32 * n for n, (_, right) in enumerate(blocks)),
        }

    async def ack(self, ack: int, *blocks: Block, **fields: int) -> Tcb:
        return (await self.segment(**{**self.fields(ack, list(blocks)), **fields})).tcb

    async def sent(self) -> Block:
        """What the next grant sends, as [left, right) behind `base`; a FIN counts."""
        _, segment = await self.grant()
        assert segment is not None
        left = from_una(segment.seq, self.base)
        return left, left + segment.len + (segment.flags & FIN)

    async def drain(self, count: int) -> list[Block]:
        return [await self.sent() for _ in range(count)]

    async def settle(self) -> None:
        """Whatever may go goes, unseen."""
        await self.step(60)
        while len(self.records) > self.taken:
            self.taken = len(self.records)
            await self.step(60)


async def bench_of(dut: Any) -> SackBench:
    bench = SackBench(dut)
    await bench.start()
    return bench


async def in_flight(dut: Any, segments: int, **image: int) -> SackBench:
    """A connection that has sent as many segments as its window lets out, and has more to send."""
    b = await bench_of(dut)
    await b.open(replace(SHORT, cwnd=segments * MSS, **image))
    await b.send(10 * segments * MSS)
    assert await b.drain(segments) == [(n * MSS, (n + 1) * MSS) for n in range(segments)]
    await b.quiet()
    return b


@cocotb.test()
async def blocks_are_united_with_the_ranges_they_overlap_or_touch_s1(dut: Any) -> None:
    b = await in_flight(dut, 40)
    tcb = await b.ack(0, (1000, 1100), (500, 600))
    assert board(tcb) == [(500, 600), (1000, 1100)]
    await b.settle()
    for block, want in (
        ((1100, 1200), [(500, 600), (1000, 1200)]),
        ((900, 1000), [(500, 600), (900, 1200)]),
        ((550, 650), [(500, 650), (900, 1200)]),
        ((950, 1150), [(500, 650), (900, 1200)]),
        ((2000, 2001), [(500, 650), (900, 1200), (2000, 2001)]),
        ((600, 950), [(500, 1200), (2000, 2001)]),
        ((400, 3000), [(400, 3000)]),
    ):
        before = board(b.records[-1].tcb)
        tcb = await b.ack(0, block)
        assert board(tcb) == want, f"{before} with {block}"
        await b.settle()


@cocotb.test()
async def blocks_that_cannot_be_are_not_believed_s1_s55(dut: Any) -> None:
    """S55."""
    b = await in_flight(dut, 10)
    half = 1 << 31
    for bad in (
        (0, 100), (-200, -100), (-100, 100), (300, 300), (400, 300), (300, 1001), (1000, 1001), (300, 300 + half),
        (300, 299), (half, half + 100), (-half, -half + 5), (300, half),
    ):  # fmt: skip
        tcb = await b.ack(0, bad)
        assert board(tcb) == [], f"{bad}"
        only(tcb, dup_acks=0, in_recovery=0)
    tcb = await b.ack(0, (300, 1001), (900, 1000), (0, 200))
    assert board(tcb) == [(900, 1000)]
    only(tcb, dup_acks=1)
    assert await b.sent() == (1000, 1100)  # limited transmit: what it reports is no longer on its way
    # told again it is no news, and no duplicate (RFC 6675 2)
    tcb = await b.ack(0, (900, 1000))
    only(tcb, dup_acks=1)
    # without blocks a repeated ACK is no duplicate, either
    tcb = await b.ack(0)
    only(tcb, dup_acks=1)
    await b.quiet()


@cocotb.test()
async def a_ninth_range_finds_no_place_but_one_that_meets_another_does_s1(dut: Any) -> None:
    b = await in_flight(dut, 40)
    want: list[Block] = []
    for n in range(SB_RANGES):
        left = 3900 - 300 * n
        want.insert(0, (left, left + 50))
        tcb = await b.ack(0, (left, left + 50))
        assert board(tcb) == want
        await b.settle()
    tcb = await b.ack(0, (100, 150), (2000, 2001))
    assert board(tcb) == want
    await b.settle()
    # what it unites makes room for the next block of the same segment
    tcb = await b.ack(0, (3600, 3910), (100, 150))
    assert board(tcb) == [(100, 150), *want[:-2], (3600, 3950)]
    await b.settle()
    # acknowledged ranges go, and one that begins where the acknowledgment ends: the peer does not stand by it
    tcb = await b.ack(1800)
    assert board(tcb) == [(left, right) for left, right in [*want[:-2], (3600, 3950)] if left > 1800]


@cocotb.test()
async def exactly_the_holes_go_again_the_lowest_first_s6_s56(dut: Any) -> None:
    """S56."""
    b = await in_flight(dut, 10)
    # 0 and 3 are lost: 1, 2 arrive, then 4 to 9
    only(await b.ack(0, (100, 200)), dup_acks=1, in_recovery=0)
    assert await b.sent() == (1000, 1100)
    only(await b.ack(0, (100, 300)), dup_acks=2, in_recovery=0)
    assert await b.sent() == (1100, 1200)
    tcb = await b.ack(0, (400, 500), (100, 300))
    # of 1200 on their way limited transmit let 200 out; pipe is 800, the third report lets half of its octets out (S-8)
    only(tcb, dup_acks=3, in_recovery=1, ssthresh=500, cwnd=850, recover=u32(UNA + 1200), rtx_head=1, high_rxt=UNA)
    only(tcb, rescued=0, rtt_active=0)
    assert await b.sent() == (0, 100)
    only(b.records[-1].tcb, high_rxt=u32(UNA + 100), rtx_head=0, snd_nxt=u32(UNA + 1200))
    for right, cwnd in ((600, 800), (700, 650), (800, 500)):
        only(await b.ack(0, (400, right), (100, 300)), cwnd=cwnd)
        await b.quiet()
    only(await b.ack(0, (400, 900), (100, 300)), cwnd=500)
    assert await b.sent() == (300, 400), "the second hole"
    only(await b.ack(0, (400, 1000), (100, 300)), cwnd=500)
    assert await b.sent() == (1200, 1300), "then new data"
    # the hole is filled: what was sent again before lies behind it, so the next hole is not asked for twice
    tcb = await b.ack(300, (400, 1000))
    only(tcb, in_recovery=1, partial_seen=1, cwnd=500, rtx_head=0)
    assert await b.sent() == (1300, 1400)
    await b.quiet()


@cocotb.test()
async def three_segments_worth_of_octets_are_enough_to_call_one_lost_s2_s4(dut: Any) -> None:
    b = await in_flight(dut, 10)
    only(await b.ack(0, (500, 700)), dup_acks=1, in_recovery=0)  # two segments' worth are not
    await b.drain(2)
    only(await b.ack(0, (500, 701)), dup_acks=2, in_recovery=1, rtx_head=1)
    assert await b.sent() == (0, 100)


@cocotb.test()
async def a_partial_acknowledgment_of_all_that_was_sent_again_asks_for_its_head_s3(dut: Any) -> None:
    b = await in_flight(dut, 20)
    held = (1040, 1060), (1500, 2000)
    # pipe is 0 but for what goes again: as much as is reported may go
    only(await b.ack(0, *held), in_recovery=1, ssthresh=1000, cwnd=520)
    assert await b.drain(5) == [(100 * n, 100 * n + 100) for n in range(5)]
    await b.quiet()
    # 100 are on their way, 20 are left of the last report, 400 arrived, and nothing else is lost: a segment more
    tcb = await b.ack(400, *held)
    only(tcb, in_recovery=1, partial_seen=1, rtx_head=0, high_rxt=u32(UNA + 500), cwnd=620)
    assert await b.drain(5) == [(100 * n, 100 * n + 100) for n in range(5, 10)]
    await b.quiet()
    only(await b.ack(900, *held), cwnd=720)
    assert await b.drain(6) == [(1000, 1040), *((1060 + 100 * n, 1160 + 100 * n) for n in range(4)), (1460, 1500)]
    assert await b.sent() == (2000, 2100)
    await b.quiet()
    only(b.records[-1].tcb, high_rxt=u32(UNA + 1500))
    # all of that was lost again but the first octets: what lies behind is in doubt, no head
    only(await b.ack(1000, *held), rtx_head=0, high_rxt=u32(UNA + 1500))


@cocotb.test()
async def the_head_that_goes_again_ends_in_front_of_the_first_range_s3_s6(dut: Any) -> None:
    b = await in_flight(dut, 20)
    held = (540, 560), (1500, 2000)
    await b.ack(0, *held)
    await b.drain(5)
    await b.quiet()
    tcb = await b.ack(500, *held)
    only(tcb, in_recovery=1, rtx_head=1, high_rxt=u32(UNA + 500))
    assert await b.sent() == (500, 540)
    only(b.records[b.taken - 1].tcb, rtx_head=0, high_rxt=u32(UNA + 540))
    assert await b.sent() == (560, 660)


@cocotb.test()
async def half_of_what_is_reported_goes_until_pipe_is_ssthresh_then_all_of_it_s8(dut: Any) -> None:
    b = await in_flight(dut, 20)
    for right in (200, 300):
        await b.ack(0, (100, right))
    assert await b.drain(2) == [(2000, 2100), (2100, 2200)]
    only(await b.ack(0, (100, 400)), in_recovery=1, ssthresh=1000, cwnd=1850)
    assert await b.sent() == (0, 100)
    await b.quiet()
    # the head went beyond what was reported, so the next report pays for it
    fresh, pipe, sends = 2200, 1900, []
    for right in range(500, 2300, 100):
        tcb = await b.ack(0, (100, right))
        pipe -= 100
        due = tcb.cwnd - pipe
        sends.append(due)
        if due >= MSS:
            assert await b.sent() == (fresh, fresh + 100)
            fresh, pipe = fresh + 100, pipe + 100
        await b.quiet()
    assert sends == [0, *[50, 100] * 6, 50, 0, 100, 100, 100]
    # the end of the recovery: the window is that of congestion avoidance
    only(await b.ack(2200), in_recovery=0, cwnd=1000, ssthresh=1000)


@cocotb.test()
async def only_an_acknowledgment_that_shows_no_further_loss_lets_a_segment_more_out_s8(dut: Any) -> None:
    b = await in_flight(dut, 30)
    only(await b.ack(0, (1000, 1500)), in_recovery=1, ssthresh=1500, cwnd=1500)
    assert await b.sent() == (0, 100)  # the head goes whatever pipe is: 100 more than cwnd
    await b.quiet()
    # what was sent too much is not counted below ssthresh; lost_edge moved: 600 arrived, 600 may go
    only(await b.ack(100, (1000, 1500), (2000, 2500)), in_recovery=1, rtx_head=1, cwnd=1100)
    assert await b.drain(6) == [(100 * n, 100 * n + 100) for n in range(1, 7)]
    await b.quiet()
    # lost_edge stays: 100 arrived, 200 may go
    only(await b.ack(200, (1000, 1500), (2000, 2500)), in_recovery=1, rtx_head=0, cwnd=1200)
    assert await b.drain(2) == [(700, 800), (800, 900)]
    await b.quiet()
    # nothing is acknowledged: as much as arrived
    only(await b.ack(200, (1000, 1500), (2000, 2700)), in_recovery=1, cwnd=1200)
    assert await b.drain(2) == [(900, 1000), (1500, 1600)]
    await b.quiet()


@cocotb.test()
async def a_recovery_without_reports_is_paced_too_s3_s8(dut: Any) -> None:
    b = await in_flight(dut, 10)
    only(await b.ack(0, (100, 400)), in_recovery=1, ssthresh=500, cwnd=750)  # pipe is 600
    assert await b.sent() == (0, 100)
    await b.quiet()
    # the peer reports no more: of the 400 that it acknowledges 300 were told of before, 600 are on their way
    only(await b.ack(400), sb_n=0, in_recovery=1, rtx_head=1, high_rxt=u32(UNA + 400), cwnd=600 + 50 + 50)
    assert await b.sent() == (400, 500)
    await b.quiet()
    # nothing arrived: the window stays
    b.offer_segment(**b.fields(400, []))
    b.offer_segment(**b.fields(400, []))
    for _ in range(2):
        only((await b.take(TcpEvt.RX_SEGMENT)).tcb, in_recovery=1, rtx_head=0, cwnd=700)
    assert b.cycles[-1] - b.cycles[-2] == SEGMENT_CYCLES + 3
    only(await b.ack(1000), in_recovery=0, cwnd=500)


@cocotb.test()
async def the_window_in_a_recovery_is_exact_and_within_its_bounds_s8(dut: Any) -> None:
    out = 10 * MSS
    end = u32(UNA + out)
    for cwnd, ssthresh, ack, want in (
        (M32, M32, 100, CWND_MAX),
        (CWND_MAX - 50, M32, 100, CWND_MAX),
        (CWND_MAX - 150, M32, 100, CWND_MAX - 50),
        (20, 500, 0, MSS),
        (2000, 500, 0, 2000),
        (20, M32, 0, out),
    ):
        b = await bench_of(dut)
        await b.path()
        await b.neighbor()
        await b.credit(b.spare + 8)
        image = replace(
            SHORT, dup_ack_count=THRESH, snd_nxt=end, snd_max=end, cwnd=cwnd, ssthresh=ssthresh, rtx_timeout_delta=500
        )
        await b.command(Opcode.INITIATE, image.pack())
        await b.send(out)
        only((await b.command(Opcode.START)).tcb, in_recovery=1, cwnd=cwnd)
        await b.settle()
        only(await b.ack(ack), in_recovery=1, cwnd=want)
        await FallingEdge(dut.clk)
        b.stop()


@cocotb.test()
async def a_timeout_empties_the_scoreboard_d2_s55(dut: Any) -> None:
    """S55."""
    b = await in_flight(dut, 10)
    await b.ack(0, (500, 800))
    await b.step(200)
    b.taken = len(b.records)
    b.now = b.records[-1].tcb.rtx_deadline
    tcb = (await b.take(TcpEvt.TIMER)).tcb
    assert board(tcb) == []
    only(tcb, in_recovery=0, high_rxt=UNA, rescued=0, snd_nxt=UNA, cwnd=MSS, rtx_head=0)
    assert await b.sent() == (0, 100)
    await b.quiet()
    # what was pulled back is told of in vain until it was sent again: the peer may have given it up
    only(await b.ack(0, (500, 800)), sb_n=0, dup_acks=0, in_recovery=0)
    await b.quiet()


@cocotb.test()
async def the_last_segments_are_rescued_once_a_recovery_s6_n4(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(SHORT, cwnd=5000))
    await b.send(950)
    await b.drain(10)
    await b.command(Opcode.DISCONNECT, flags=0)
    assert await b.sent() == (950, 951)
    # all is lost but 100 to 700: the head, then the tail with the FIN, once
    tcb = await b.ack(0, (100, 700))
    only(tcb, in_recovery=1, state=TcpState.FIN_WAIT_1)
    assert await b.sent() == (0, 100)
    record, segment = await b.grant()
    assert segment is not None
    only(segment, seq=u32(UNA + 851), len=99, flags=ACK | PSH | FIN)
    only(record.tcb, rescued=1, high_rxt=u32(UNA + 100), snd_nxt=u32(UNA + 951), snd_max=u32(UNA + 951))
    await b.quiet()
    tcb = await b.ack(951)
    only(tcb, in_recovery=0, rescued=0, state=TcpState.FIN_WAIT_2)


@cocotb.test()
async def two_duplicates_let_a_segment_out_each_without_sack_s7(dut: Any) -> None:
    """S32."""
    b = await in_flight(dut, 10, const_flags=0)
    only(await b.ack(0), dup_acks=1, cwnd=1000)
    assert await b.sent() == (1000, 1100)
    await b.quiet()
    only(await b.ack(0), dup_acks=2, cwnd=1000)
    assert await b.sent() == (1100, 1200)
    await b.quiet()
    # the two do not count in the threshold (F-3)
    only(await b.ack(0), dup_acks=3, in_recovery=1, cwnd=500 + 3 * MSS, ssthresh=500, sb_n=0, high_rxt=UNA)
    assert await b.sent() == (0, 100)


@cocotb.test()
async def duplicates_let_out_nothing_that_a_timeout_pulled_back_s7(dut: Any) -> None:
    b = await in_flight(dut, 2, const_flags=0)
    b.now = b.records[-1].tcb.rtx_deadline
    only((await b.take(TcpEvt.TIMER)).tcb, snd_nxt=UNA, snd_max=u32(UNA + 200), cwnd=MSS)
    assert await b.sent() == (0, 100)
    await b.quiet()
    for n in (1, 2):
        only(await b.ack(0), dup_acks=n, in_recovery=0, cwnd=MSS, snd_nxt=u32(UNA + 100), snd_max=u32(UNA + 200))
        await b.quiet()
    # behind snd_max all is new again: two segments in cwnd, then one for each duplicate
    only(await b.ack(100), dup_acks=0, cwnd=2 * MSS)
    assert await b.drain(2) == [(100, 200), (200, 300)]
    await b.quiet()
    for n in (1, 2):
        only(await b.ack(100), dup_acks=n, in_recovery=0, cwnd=2 * MSS)
        assert await b.sent() == (200 + 100 * n, 300 + 100 * n)
        await b.quiet()


@cocotb.test()
async def a_long_pause_makes_the_window_that_of_a_new_connection_b5_s40(dut: Any) -> None:
    """S40."""
    b = await bench_of(dut)
    started = b.now
    await b.open(replace(IMAGE, cwnd=40000, ssthresh=30000, rtx_timeout_delta=M32))
    rto = b.records[-1].tcb.rto
    only(b.records[-1].tcb, last_tx_tick=started)
    b.now = started + rto
    only((await b.send(1460)).tcb, cwnd=40000)  # not longer than a timeout
    await b.drain(1)
    only(b.records[-1].tcb, last_tx_tick=started + rto)
    await b.ack(1460, wnd=60000)
    tcb = b.records[-1].tcb
    b.now = started + rto + tcb.rto + 1
    tcb = (await b.send(1460)).tcb
    only(tcb, cwnd=min(10 * 1460, max(2 * 1460, IW_BYTES)), cwnd_acc=0, ssthresh=30000)
    await b.drain(1)
    # with octets on their way it is no pause
    b.now += 100
    before = b.records[-1].tcb.cwnd
    only((await b.send(10)).tcb, cwnd=before)


@cocotb.test()
async def the_scoreboard_costs_no_cycle_when_it_is_empty_and_few_when_it_is_full(dut: Any) -> None:
    """B14."""
    b = await in_flight(dut, 40)
    b.offer_segment(**b.fields(0, []))
    b.offer_segment(**b.fields(0, []))
    await b.take(TcpEvt.RX_SEGMENT)
    await b.take(TcpEvt.RX_SEGMENT)
    assert b.cycles[-1] - b.cycles[-2] == SEGMENT_CYCLES
    for n in range(SB_RANGES // 4):
        await b.ack(0, *((200 + 100 * (4 * n + k), 201 + 100 * (4 * n + k)) for k in range(4)))
    await b.settle()
    only(b.records[-1].tcb, sb_n=SB_RANGES, in_recovery=1)
    # four blocks beside eight ranges, twice; then the grants they ask for
    for n in range(2):
        b.offer_segment(**b.fields(0, [(3000 + 100 * n, 3001 + 100 * n) for _ in range(4)]))
    await b.take(TcpEvt.RX_SEGMENT)
    await b.take(TcpEvt.RX_SEGMENT)
    assert SEGMENT_CYCLES < b.cycles[-1] - b.cycles[-2] <= SEGMENT_CYCLES + 4 + 2 * SB_RANGES + 1 <= CYCLES_MAX
    await b.settle()
    first = len(b.records)
    tcb = await b.ack(200, (2000, 3500))  # many octets left: several grants in a row
    await b.step(600)
    assert all(record.kind == TcpEvt.TX_GRANT for record in b.records[first + 1 :])
    gaps = [late - early for early, late in pairwise(b.cycles[first + 1 :])]
    assert len(gaps) >= 3
    want = EVENT_CYCLES + 2 * tcb.sb_n
    assert gaps == [want] * len(gaps), f"{gaps} with {tcb.sb_n} ranges"
    assert EVENT_CYCLES + 2 * SB_RANGES <= CYCLES_MAX


@dataclass
class Sender:
    """The sending half of a connection as the contract has it, octets counted from the first one, sets for ranges."""

    cwnd: int
    ssthresh: int
    sack: bool
    una: int = 0
    nxt: int = 0
    max: int = 0
    end: int = 0
    fin_queued: int = 0
    recover: int = -1
    cwnd_acc: int = 0
    in_recovery: int = 0
    dup_acks: int = 0
    rtx_head: int = 0
    high_rxt: int = 0
    rescued: int = 0
    rtx_count: int = 0
    has: set[int] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    """Rules that sent something."""
    paced: set[str] = field(default_factory=set)
    """Branches of S-8 that were taken."""
    cubic: CubicOracle | None = None
    now: int = 0
    """Tick of the event; with CUBIC it has to be told, and srtt behind it."""
    srtt: int = 0

    # ---- S-4
    def unsacked(self, edge: int) -> int:
        return len(set(range(self.una, edge)) - self.has)

    def lost_edge(self) -> int:
        ranges = runs(self.has)
        for k in range(len(ranges) - 1, -1, -1):
            octets = sum(right - left for left, right in ranges[k:])
            if len(ranges) - k >= THRESH or octets > (THRESH - 1) * MSS:
                return ranges[k][0]
        return self.una

    def pipe(self) -> int:
        on_the_way = self.max - self.una - len(self.has) - self.unsacked(self.lost_edge())
        return on_the_way + (self.unsacked(max(self.high_rxt, self.una)) if self.in_recovery else 0)

    # ---- C.8
    def acknowledged(self, ack: int, blocks: list[Block]) -> None:
        before, edge_before, has_before = self.una, self.lost_edge(), len(self.has)
        credit = self.cwnd - self.pipe() if self.in_recovery else 0
        if ack > before:
            self._new_ack(ack)
        if self.sack:
            news = self._take(blocks)
            if ack == before and news:
                self.dup_acks = min(self.dup_acks + 1, 255)
                calls = self.dup_acks >= THRESH or self.lost_edge() > self.una
                if not self.in_recovery and self.una >= self.recover and calls:
                    self._enter(len(self.has))
                    self.high_rxt = self.una
                    self.rescued = 0
            if self.in_recovery:
                worse = self.lost_edge() > max(self.una, edge_before)
                self._pace(self.una - before + len(self.has) - has_before, credit, self.una > before and not worse)
        elif ack == before and self.max != self.una:
            self.dup_acks = min(self.dup_acks + 1, 255)
            if self.in_recovery:
                self.cwnd = min(self.cwnd + MSS, CWND_MAX)
            elif self.dup_acks == THRESH and self.una > self.recover:
                self._enter(2 * MSS)
                self.cwnd = self.ssthresh + 3 * MSS

    def cut(self, octets: int) -> int:
        """What a sign of congestion leaves of them (RFC 5681 equation 4, Q-1)."""
        return max(self.cubic.reduced(octets, self.cwnd) if self.cubic else octets // 2, 2 * MSS)

    def _enter(self, limited: int) -> None:
        """F-3, S-2; `limited`: the octets that limited transmit can have let out."""
        flight = self.max - self.una
        self.ssthresh = self.cut(max(min(flight, self.cwnd), flight - limited))
        self.recover = self.max
        self.in_recovery = self.rtx_head = 1

    def _pace(self, delivered: int, credit: int, safe: bool) -> None:
        """S-8."""
        delivered, pipe = max(delivered, 0), self.pipe()
        if pipe > self.ssthresh:
            self.paced.add("above" if credit >= 0 else "above, sent too much")
            part = delivered * BETA // PARTS if self.cubic else delivered // 2
            cwnd = pipe + credit + part
        else:
            self.paced.add("safe" if safe else "unsafe" if credit >= 0 else "unsafe, sent too much")
            cwnd = min(self.ssthresh, pipe + max(credit, 0) + delivered + (MSS if safe else 0))
        if cwnd < MSS:
            self.paced.add("least")
        self.cwnd = min(max(cwnd, MSS), CWND_MAX)

    def _take(self, blocks: list[Block]) -> bool:
        """S-1; whether an octet is covered that was not."""
        self.has = {octet for left, right in runs(self.has) for octet in range(left, right) if left > self.una}
        known = set(self.has)
        if self.nxt == self.max and (self.in_recovery or self.una >= self.recover):
            for left, right in blocks:
                if not self.una < left < right <= self.max:
                    continue
                grown = self.has | set(range(left, right))
                if len(runs(grown)) <= SB_RANGES:
                    self.has = grown
        return bool(self.has - known)

    def _new_ack(self, ack: int) -> None:
        """F-2, S-3."""
        acked = ack - self.una
        if self.in_recovery and ack >= self.recover:
            self.cwnd, self.cwnd_acc, self.in_recovery, self.rescued = self.ssthresh, 0, 0, 0
        elif self.in_recovery and self.sack:
            if self.high_rxt <= ack:
                self.rtx_head, self.high_rxt = 1, ack
        elif self.in_recovery:
            self.rtx_head = 1
            self.cwnd = max(max(self.cwnd - acked, 0) + (MSS if acked >= MSS else 0), MSS)
        elif self.cwnd < self.ssthresh:
            self.cwnd += min(acked, MSS)
        elif self.cubic:
            self._avoid(acked)
        else:
            self.cwnd_acc += acked
            if self.cwnd_acc >= self.cwnd:
                self.cwnd_acc -= self.cwnd
                self.cwnd += MSS
        if not self.in_recovery:
            self.recover = max(self.recover, ack - 1)
        self.una, self.nxt = ack, max(self.nxt, ack)
        self.dup_acks = self.rtx_count = 0

    def _avoid(self, acked: int) -> None:
        """Q-4 to Q-7."""
        assert self.cubic is not None
        before, flight = replace(self.cubic), self.max - self.una
        cwnd, acc = self.cubic.avoid(
            self.cwnd, self.cwnd_acc, acked, MSS, flight=flight, now=self.now, srtt=self.srtt, rate=1000
        )  # fmt: skip
        if before.epoch and before.dry:
            self.seen.add("behind silence" if 2 * flight >= self.cwnd else "behind silence, not used")
        if 2 * flight < self.cwnd:
            self.seen.add("not used, in a stage" if before.epoch else "not used")
        elif not before.epoch:
            self.seen.add("stage with K" if self.cubic.k_bits else "stage")
        elif before.k_bits:
            self.seen.add("bit of K" if self.cubic.k != before.k else "no bit of K")
        elif cwnd > self.cwnd:
            self.seen.add("friendly" if cwnd == self.cubic.w_est and acc == 0 else "curve")
        self.cwnd, self.cwnd_acc = cwnd, acc

    # ---- B-5
    def restart(self) -> None:
        """A request behind an idle time."""
        self.seen.add("idle")
        self.cwnd, self.cwnd_acc = min(self.cwnd, 10 * MSS, max(2 * MSS, IW_BYTES)), 0
        if self.cubic:
            self.cubic.epoch = 0

    # ---- D-2
    def timeout(self) -> None:
        if self.rtx_count == 0:
            self.ssthresh = self.cut(self.max - self.una)
        if self.cubic:
            self.cubic.timed_out()
        self.cwnd, self.cwnd_acc, self.in_recovery, self.rtx_head, self.dup_acks = MSS, 0, 0, 0, 0
        self.recover, self.nxt, self.high_rxt, self.rescued = self.max, self.una, self.una, 0
        self.rtx_count += 1
        self.has = set()

    # ---- G-1, G-2, S-5 to S-7
    @property
    def data_end(self) -> int:
        return self.end - self.fin_queued

    def _new_data(self, room: int) -> tuple[int, int, int] | None:
        """G-1: (seq, octets, FIN)."""
        left = self.data_end - self.nxt
        if left > 0:
            n = min(left, MSS, room)
            if n > 0 and (n in (left, MSS) or 2 * n >= WND):
                return self.nxt, n, int(self.fin_queued and self.nxt + n == self.data_end)
            return None
        return (self.nxt, 0, 1) if self.fin_queued and self.nxt == self.data_end else None

    def send(self) -> tuple[int, int, int] | None:
        """What a grant sends now, (seq, octets, FIN), with its effects; None if nothing may go."""
        if self.rtx_head and self.max != self.una:
            self.rtx_head = 0
            self.seen.add("head")
            n = min(MSS, self.max - self.una, self.data_end - self.una)
            if self.sack and self.in_recovery and self.has:
                n = min(n, min(self.has) - self.una)
            fin = int(self.fin_queued and self.una + n == self.data_end and self.max == self.end)
            if self.sack and self.in_recovery:
                self.high_rxt = self.una + n + fin
            return self.una, n, fin
        self.rtx_head = 0
        used = self.nxt - self.una
        if not (self.sack and self.in_recovery):
            all_new = self.nxt == self.max
            limited = all_new and not self.sack and not self.in_recovery and 0 < self.dup_acks < THRESH
            cwnd = self.cwnd + (min(self.dup_acks, 2) * MSS if limited else 0)
            room = max(0, min(cwnd - (used - len(self.has)), WND - used))
            return self._advance(self._new_data(room), "G-1")
        if self.cwnd - self.pipe() < MSS:
            return None
        ranges = runs(self.has)
        hole = max(self.high_rxt, self.una)
        while hole in self.has:
            hole += 1
        behind = [left for left, _ in ranges if left > hole]
        new = self._new_data(max(0, WND - used))
        if hole < self.lost_edge() or (new is None and behind):
            self.seen.add("N1" if hole < self.lost_edge() else "N3")
            n = min(MSS, behind[0] - hole)
            self.high_rxt = hole + n
            return hole, n, 0
        if new is not None:
            return self._advance(new, "N2")
        top = ranges[-1][1] if ranges else self.una
        if self.rescued or top >= self.max:
            return None
        self.rescued = 1
        self.seen.add("N4")
        left = max(top, self.max - MSS)
        fin = int(self.fin_queued and self.max == self.end)
        return left, self.max - left - fin, fin

    def _advance(self, segment: tuple[int, int, int] | None, rule: str) -> tuple[int, int, int] | None:
        if segment is not None:
            self.seen.add(rule)
            self.nxt = segment[0] + segment[1] + segment[2]
            self.max = max(self.max, self.nxt)
        return segment


@dataclass
class LossyPeer:
    """What a receiver behind a lossy channel holds and says; now and then it lies or says nothing."""

    rng: random.Random
    loss: float
    got: set[int] = field(default_factory=set)
    nxt: int = 0

    def arrives(self, left: int, right: int) -> None:
        if self.rng.random() >= self.loss:
            self.got |= set(range(left, right))
        while self.nxt in self.got:
            self.nxt += 1

    def answer(self, una: int, end: int) -> tuple[int, list[Block]]:
        held = runs({octet for octet in self.got if octet > self.nxt})
        blocks = self.rng.sample(held, min(len(held), 4))
        if self.rng.random() < 0.1:
            left = self.rng.randrange(una - 50, end + 50)
            blocks.insert(0, (left, left + self.rng.randrange(0, 300)))
        ack = self.nxt if self.rng.random() < 0.8 else self.rng.randint(min(una, self.nxt), self.nxt)
        return ack, blocks[:4]


class Pair:
    """A connection of the bench and its reference, event for event."""

    def __init__(self, bench: SackBench, want: Sender, base: int) -> None:
        self.bench, self.want, self.base = bench, want, base
        bench.base = base

    def compare(self, record: Commit) -> None:
        want, tcb = self.want, record.tcb
        assert board(tcb, self.base) == runs(want.has), f"record {record.order}"
        got = {name: from_una(getattr(tcb, f"snd_{name}"), self.base) for name in ("una", "nxt", "max", "end")}
        assert got == {name: getattr(want, name) for name in got}, f"record {record.order}"
        for name in ("cwnd", "ssthresh", "cwnd_acc", "in_recovery", "dup_acks", "rtx_head", "rescued", "rtx_count"):
            only(tcb, **{name: getattr(want, name)})
        only(tcb, recover=u32(self.base + want.recover), persist=0)
        assert CubicOracle.of(tcb.cc) == (want.cubic or CubicOracle()), f"record {record.order}"
        if want.sack and want.in_recovery:
            only(tcb, high_rxt=u32(self.base + want.high_rxt))

    async def grants(self) -> list[Block]:
        """All that may go now goes, and then nothing comes; what was sent, a FIN counts."""
        bench = self.bench
        sent: list[Block] = []
        while True:
            wish = self.want.send()
            if wish is None:
                await bench.step(40)
                for record in bench.records[bench.taken :]:  # the RELEASE alone
                    only(record, kind=TcpEvt.TX_GRANT, tx0_valid=0)
                    self.compare(record)
                bench.taken = len(bench.records)
                return sent
            while True:
                record, segment = await bench.grant()
                if segment is not None:
                    break
            got = from_una(segment.seq, self.base), segment.len, segment.flags & FIN
            assert got == wish, f"{got} was sent, expected {wish}"
            self.compare(record)
            sent.append((wish[0], wish[0] + wish[1] + wish[2]))


async def random_transfer(dut: Any, *, seed: int, base: int, sack: bool, loss: float, rounds: int) -> set[str]:
    """Every event and every segment by the rules; which of them sent, which parts of S-8, whether a timer ran out."""
    b = await bench_of(dut)
    rng = random.Random(seed)
    cwnd, ssthresh = rng.randrange(5, 50) * MSS, rng.choice((1000, 3000, 10**6))
    image = replace(
        SHORT, const_flags=SACK if sack else 0, snd_una=base, snd_nxt=base, snd_max=base, cwnd=cwnd, ssthresh=ssthresh,
    )  # fmt: skip
    await b.open(image)
    pair = Pair(b, Sender(cwnd, ssthresh, sack), base)
    peer = LossyPeer(rng, loss)
    want, timeouts = pair.want, 0
    queue: list[Block] = []
    for n in range(rounds):
        if want.end < rounds * 40 and want.end - want.nxt < 500:
            length = rng.randrange(1, 2000)
            want.end += length
            await b.send(length)
            queue += await pair.grants()
        elif n > rounds // 2 and not want.fin_queued:
            want.end, want.fin_queued = want.end + 1, 1
            await b.command(Opcode.DISCONNECT, flags=0)
            queue += await pair.grants()
        if not queue and want.una == want.max:
            continue
        if queue:
            for _ in range(min(len(queue), rng.randrange(1, 4))):
                peer.arrives(*queue.pop(0 if rng.random() < 0.9 else -1))
            ack, blocks = peer.answer(want.una, want.max)
            record = await b.segment(**b.fields(ack, blocks))
            want.acknowledged(ack, blocks)
        else:
            timeouts += 1
            b.now = b.records[-1].tcb.rtx_deadline
            record = await b.take(TcpEvt.TIMER)
            want.timeout()
        pair.compare(record)
        queue += await pair.grants()
    b.check_queues()
    await FallingEdge(dut.clk)
    b.stop()
    if timeouts:
        want.seen.add("timeout")
    return want.seen | want.paced


async def repaired(dut: Any, window: int, lost: set[int]) -> None:
    """A window of segments arrives, those of `lost` only when they come again. Time stands still: no timer runs."""
    b = await bench_of(dut)
    await b.open(replace(SHORT, cwnd=window * MSS))
    await b.send(window * MSS)
    assert await b.drain(window) == [(n * MSS, (n + 1) * MSS) for n in range(window)]
    way = deque(n for n in range(window) if n not in lost)
    held: list[int] = []
    again: set[int] = set()
    while way:
        held.append(way.popleft())
        edge = next(n for n in range(window + 1) if n not in held)
        ranges = [block for block in runs(set(held)) if block[0] > edge]
        ranges.sort(key=lambda block: -max(held.index(n) for n in range(*block)))  # RFC 2018 4: the newest first
        b.offer_segment(**b.fields(edge * MSS, [(left * MSS, right * MSS) for left, right in ranges[:4]]))
        taken = False
        while not taken:
            await b.step(10 if way else 80)
            for record in b.records[b.taken :]:
                taken = taken or record.kind == TcpEvt.RX_SEGMENT
                segment = TxSegment.unpack(record.tx0.body) if record.tx0_valid else None
                if segment is not None:
                    number, rest = divmod(from_una(segment.seq), MSS)
                    assert (rest, segment.len) == (0, MSS), f"{segment.len} octets from {from_una(segment.seq)} on"
                    way.append(number)
                    again.add(number)
            b.taken = len(b.records)
    told = f"lost {sorted(lost)} of {window}: {sorted(set(range(window)) - set(held))} wait for a timeout"
    assert set(held) == set(range(window)), told
    assert again >= lost
    only(b.records[-1].tcb, snd_una=u32(UNA + window * MSS), in_recovery=0, rtx_count=0)
    b.check_queues()
    await FallingEdge(dut.clk)
    b.stop()


@cocotb.test()
async def up_to_half_a_window_lost_is_repaired_without_a_timeout_s6(dut: Any) -> None:
    """Windows of 10 to 64 segments: half of it lost, and a number drawn; none of the last three, no retransmission."""
    rng = random.Random(6675)
    for window in range(10, 65):
        for losses in (window // 2, rng.randrange(1, window // 2)):
            await repaired(dut, window, set(rng.sample(range(window - 3), losses)))


@cocotb.test()
async def random_losses_are_repaired_by_the_rules_with_sack_s(dut: Any) -> None:
    """S57."""
    seen: set[str] = set()
    for seed, base, loss in ((11, UNA, 0.05), (1, UNA, 0.3), (5, 0x7FFF_FC00, 0.15), (11, 5, 0.1)):
        seen |= await random_transfer(dut, seed=seed, base=base, sack=True, loss=loss, rounds=120)
    paced = {"above", "above, sent too much", "safe", "unsafe", "unsafe, sent too much"}
    assert seen == {"head", "N1", "N2", "N3", "N4", "G-1", "timeout", *paced}


@cocotb.test()
async def random_losses_are_repaired_by_the_rules_without_sack_f_s7(dut: Any) -> None:
    seen: set[str] = set()
    for seed, loss in enumerate((0.05, 0.2)):
        seen |= await random_transfer(dut, seed=seed, base=UNA, sack=False, loss=loss, rounds=100)
    assert seen == {"head", "G-1", "timeout"}
