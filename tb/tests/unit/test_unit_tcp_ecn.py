"""Unit test of ECN in the engine cluster (tcp_step section N; RFC 3168).

DUT = engine_top, bench as in test_unit_tcp_sack. Directed cases are worked out by hand from the contract; the random
ones add section N to the reference of that test.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import cocotb

from model.layout.generated import Opcode, TcpEvt, TcpState, TxSegment, Verdict
from tb.tests.unit.test_unit_tcp_engine import ACK, FIN, IMAGE, RCV, RST, UNA, Commit, only, u32
from tb.tests.unit.test_unit_tcp_sack import MSS, SACK, SHORT, LossyPeer, Pair, SackBench, Sender, bench_of, in_flight

ECE, CWR = 0x40, 0x80
ECN = 8  # const_flags of an image
NOT_ECT, ECT_1, ECT_0, CE = 0, 1, 2, 3
TOS = 0xBB  # of the image: the device writes the two low bits itself
DSCP = 0xB8
SOON = replace(SHORT, const_flags=ECN, tos=TOS)


def segments(records: list[Commit]) -> list[TxSegment]:
    return [TxSegment.unpack(r.tx0.body) for r in records if r.kind == TcpEvt.TX_GRANT and r.tx0_valid]


async def settled(b: SackBench) -> list[TxSegment]:
    """Whatever may go goes; what went."""
    first = b.taken
    await b.settle()
    return segments(b.records[first:])


def marks(sent: list[TxSegment]) -> list[tuple[int, int, int]]:
    """Octets, ECN field, ECE and CWR of segments; their DSCP is that of the image."""
    assert all(s.tos & 0xFC == DSCP for s in sent)
    return [(s.len, s.tos & 3, s.flags & (ECE | CWR)) for s in sent]


@cocotb.test()
async def a_mark_on_text_is_told_back_until_cwr_comes_n1(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SOON)
    seq = RCV
    for ip_ecn, flags, want in (
        (ECT_0, ACK, 0), (ECT_1, ACK, 0), (NOT_ECT, ACK | CWR, 0), (CE, ACK, 1), (ECT_0, ACK, 1), (NOT_ECT, ACK, 1),
        (ECT_0, ACK | CWR, 0), (ECT_0, ACK, 0), (CE, ACK | CWR, 1), (CE, ACK | CWR, 1), (ECT_0, ACK | CWR, 0),
    ):  # fmt: skip
        b.waiting["credit"].append({"count": 2})
        await b.take(TcpEvt.CREDIT)
        only((await b.segment(seq=seq, pay_len=10, ip_ecn=ip_ecn, flags=flags)).tcb, ecn_ece=want)
        await settled(b)
        record = await b.segment(seq=seq + 10, pay_len=10, ip_ecn=ECT_0)
        only(record, verdict=Verdict.DELIVER)
        only(record.tcb, ecn_ece=want)
        sent = await settled(b)
        assert marks(sent) == [(0, NOT_ECT, ECE if want else 0)], f"{ip_ecn} with {flags:#x}"
        seq += 20
    await b.quiet()


@cocotb.test()
async def a_mark_counts_on_text_that_is_not_taken_but_not_on_what_is_not_accepted_n1(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SOON, credits_=0)
    only((await b.segment(ip_ecn=CE)).tcb, ecn_ece=0)  # a pure ACK
    only((await b.segment(seq=RCV - 10, pay_len=10, ip_ecn=CE)).tcb, ecn_ece=0, dup_owed=1)  # all old (C.2)
    assert marks(await settled(b)) == [(0, NOT_ECT, 0)]
    only((await b.segment(pay_len=10, ip_ecn=CE, flags=0)).tcb, ecn_ece=0)  # no ACK flag (C.5)
    only((await b.segment(ack=u32(UNA + 1), pay_len=10, ip_ecn=CE)).tcb, ecn_ece=0)  # of what was never sent (C.5)
    await settled(b)
    record = await b.segment(pay_len=10, ip_ecn=CE)  # there is no buffer
    only(record, verdict=Verdict.DROP)
    only(record.tcb, ecn_ece=1)
    assert marks(await settled(b)) == [(0, NOT_ECT, ECE)]
    only((await b.segment(seq=RCV - 10, pay_len=10, flags=ACK | CWR)).tcb, ecn_ece=1)
    await settled(b)
    only((await b.segment(seq=RCV + 100, pay_len=10, flags=ACK | CWR)).tcb, ecn_ece=0)  # out of order
    await settled(b)
    only((await b.segment(seq=RCV + 100, pay_len=10, ip_ecn=CE)).tcb, ecn_ece=1)
    await settled(b)
    only((await b.segment(flags=ACK | CWR)).tcb, ecn_ece=0)  # a pure ACK may say so
    await b.quiet()


@cocotb.test()
async def cwr_of_a_forwarded_segment_counts_n1_b8(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SOON)
    only((await b.segment(pay_len=10, ip_ecn=CE)).tcb, ecn_ece=1)
    await settled(b)
    only((await b.forward(seq=RCV + 10, pay_len=10)).tcb, ecn_ece=1)
    await settled(b)
    only((await b.forward(seq=RCV + 20, pay_len=10, flags=ACK | CWR)).tcb, ecn_ece=0)


@cocotb.test()
async def ece_cuts_the_window_once_for_each_window_of_data_n2(dut: Any) -> None:
    b = await in_flight(dut, 10, const_flags=ECN, tos=TOS)
    assert marks(segments(b.records)) == [(MSS, ECT_0, 0)] * 10
    only(b.records[-1].tcb, ecn_cwr=0, ecn_edge=UNA - 1)
    # slow start adds one segment first, which the cut takes back
    tcb = await b.ack(100, flags=ACK | ECE)
    only(tcb, cwnd=500, ssthresh=500, cwnd_acc=0, ecn_cwr=1, ecn_edge=u32(UNA + 1000), in_recovery=0, rtx_head=0)
    assert await settled(b) == []
    only(await b.ack(300, flags=ACK | ECE), cwnd=500, ssthresh=500, cwnd_acc=200)
    assert await settled(b) == []
    only(await b.ack(600, flags=ACK | ECE), cwnd=600, ssthresh=500, cwnd_acc=0, ecn_cwr=1)
    # CWR goes with the first of the new segments, and only with that
    assert marks(await settled(b)) == [(MSS, ECT_0, CWR), (MSS, ECT_0, 0)]
    only(b.records[-1].tcb, ecn_cwr=0, ecn_edge=u32(UNA + 1000))
    # the last octet of the window that was answered for is no more than that
    only(await b.ack(1000, flags=ACK | ECE), cwnd=600, ssthresh=500, cwnd_acc=400, ecn_cwr=0)
    assert marks(await settled(b)) == [(MSS, ECT_0, 0)] * 4
    tcb = await b.ack(1001, flags=ACK | ECE)
    only(tcb, cwnd=300, ssthresh=300, cwnd_acc=0, ecn_cwr=1, ecn_edge=u32(UNA + 1600))
    await settled(b)
    # never below two segments
    only(await b.ack(1600), ecn_cwr=1)
    assert marks(await settled(b))[0] == (MSS, ECT_0, CWR)
    tcb = await b.ack(1650, flags=ACK | ECE)
    only(tcb, cwnd=200, ssthresh=200, ecn_cwr=1)


@cocotb.test()
async def a_window_that_is_smaller_than_half_the_flight_stays_n2(dut: Any) -> None:
    b = await bench_of(dut)
    await b.path()
    await b.neighbor()
    out = u32(UNA + 1000)  # was sent by the host's stack
    await b.command(Opcode.INITIATE, replace(SOON, snd_nxt=out, snd_max=out, cwnd=250).pack())
    await b.send(2000)
    await b.command(Opcode.START)
    only(await b.ack(0, flags=ACK | ECE), cwnd=250, ssthresh=500, ecn_cwr=1, ecn_edge=out)


@cocotb.test()
async def ece_counts_on_a_repeated_acknowledgment_but_not_on_an_old_one_n2(dut: Any) -> None:
    b = await in_flight(dut, 10, const_flags=ECN)
    only(await b.ack(-1, flags=ACK | ECE), cwnd=1000, ecn_cwr=0, ecn_edge=UNA - 1)
    only(await b.ack(0), dup_acks=1, cwnd=1000, ecn_cwr=0, ecn_edge=UNA - 1)
    await settled(b)  # limited transmit: 1100 octets are out
    tcb = await b.ack(0, flags=ACK | ECE, pay_len=0)
    only(tcb, dup_acks=2, cwnd=550, ssthresh=550, ecn_cwr=1, ecn_edge=u32(UNA + 1100))


@cocotb.test()
async def the_edge_follows_what_is_acknowledged_n2(dut: Any) -> None:
    b = await in_flight(dut, 10, const_flags=ECN)
    only(await b.ack(300), ecn_edge=u32(UNA + 299), ecn_cwr=0)
    await settled(b)
    only(await b.ack(300, flags=ACK | ECE, wnd=50000), ecn_cwr=1)
    edge = b.records[-1].tcb.ecn_edge
    await settled(b)
    only(await b.ack(500), ecn_edge=edge)  # it is ahead


@cocotb.test()
async def a_fast_retransmit_is_told_and_not_answered_twice_n3_f3(dut: Any) -> None:
    b = await in_flight(dut, 10, const_flags=ECN, tos=TOS)
    for n in (1, 2):
        only(await b.ack(0), dup_acks=n, ecn_cwr=0)
        assert marks(await settled(b)) == [(MSS, ECT_0, 0)]  # limited transmit
    tcb = await b.ack(0, flags=ACK | ECE)
    only(tcb, in_recovery=1, cwnd=500 + 300, ssthresh=500, ecn_cwr=1, ecn_edge=u32(UNA + 1200))
    # what goes again is not marked, and does not say it
    assert marks(await settled(b)) == [(MSS, NOT_ECT, 0)]
    for _ in range(5):
        only(await b.ack(0, flags=ACK | ECE), ssthresh=500, ecn_cwr=1)
        sent = await settled(b)
        if sent:
            break
    assert marks(sent) == [(MSS, ECT_0, CWR)]
    only(b.records[-1].tcb, ecn_cwr=0)
    only(await b.ack(1200, flags=ACK | ECE), in_recovery=0, cwnd=500, ssthresh=500, ecn_cwr=0)


@cocotb.test()
async def a_recovery_with_sack_is_told_and_not_answered_twice_n3_s2(dut: Any) -> None:
    b = await in_flight(dut, 10, const_flags=ECN | SACK, tos=TOS)
    tcb = await b.ack(0, (100, 200), (300, 400), (500, 600), flags=ACK | ECE)
    # pipe is 600 above ssthresh: half of what was reported may go (S-8)
    only(tcb, in_recovery=1, cwnd=600 + 150, ssthresh=500, ecn_cwr=1, ecn_edge=u32(UNA + 1000))
    sent = await settled(b)
    again = [mark for s, mark in zip(sent, marks(sent), strict=True) if u32(s.seq - UNA) < 1000]
    assert again
    assert again == [(MSS, NOT_ECT, 0)] * len(again)
    # an ACK that ends the recovery may be answered (N-2): this one is not above the edge
    only(await b.ack(1000, flags=ACK | ECE), in_recovery=0, cwnd=500, ssthresh=500)
    sent = await settled(b)
    assert [flags for _, ect, flags in marks(sent) if ect == ECT_0].count(CWR) <= 1


@cocotb.test()
async def the_first_time_out_is_told_and_the_second_is_not_n3_d2(dut: Any) -> None:
    b = await in_flight(dut, 1, const_flags=ECN, tos=TOS)
    b.now = b.records[-1].tcb.rtx_deadline
    only((await b.take(TcpEvt.TIMER)).tcb, ecn_cwr=1, ecn_edge=u32(UNA + 100), rtx_count=1)
    assert marks(await settled(b)) == [(MSS, NOT_ECT, 0)]
    await b.ack(0)  # limited transmit lets new data out
    assert marks(await settled(b)) == [(MSS, ECT_0, CWR)]
    only(b.records[-1].tcb, ecn_cwr=0)
    b.now = b.records[-1].tcb.rtx_deadline
    only((await b.take(TcpEvt.TIMER)).tcb, ecn_cwr=0, ecn_edge=u32(UNA + 100), rtx_count=2)


@cocotb.test()
async def a_segment_that_begins_with_old_octets_is_not_marked_n4(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SOON)
    await b.send(150)
    assert marks(await settled(b)) == [(100, ECT_0, 0), (50, ECT_0, 0)]
    b.now = b.records[-1].tcb.rtx_deadline
    await b.take(TcpEvt.TIMER)
    assert marks(await settled(b)) == [(100, NOT_ECT, 0)]
    await b.send(500)
    await b.ack(100)
    assert marks(await settled(b)) == [(100, NOT_ECT, 0), (100, ECT_0, CWR)]


@cocotb.test()
async def probes_fin_and_acknowledgments_are_not_marked_n4(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(SOON, snd_wnd=0, cached_flags=1, ka_timeout=50_000))
    only((await b.segment(pay_len=10, ip_ecn=CE, wnd=0)).tcb, ecn_ece=1)
    await settled(b)
    await b.send(30)
    await settled(b)
    b.now = b.records[-1].tcb.rtx_deadline
    only((await b.take(TcpEvt.TIMER)).tcb, probe_owed=1)
    assert marks(await settled(b)) == [(1, NOT_ECT, ECE)]
    await b.segment(seq=RCV + 10, ack=u32(UNA + 1), wnd=1000)
    assert marks(await settled(b)) == [(29, ECT_0, ECE)]
    await b.segment(seq=RCV + 10, ack=u32(UNA + 30), wnd=1000)
    await settled(b)
    await b.command(Opcode.DISCONNECT, flags=0)
    sent = await settled(b)
    assert [s.flags for s in sent] == [ACK | FIN | ECE]
    assert marks(sent) == [(0, NOT_ECT, ECE)]


@cocotb.test()
async def a_keep_alive_probe_tells_nothing_n4_k3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(SOON, cached_flags=1, ka_timeout=5000))
    only((await b.segment(pay_len=10, ip_ecn=CE)).tcb, ecn_ece=1)
    b.now += 200
    await b.take(TcpEvt.TIMER)
    assert marks(await settled(b)) == [(0, NOT_ECT, ECE)]
    b.now = b.records[-1].tcb.ka_deadline
    only((await b.take(TcpEvt.TIMER)).tcb, ka_probe_owed=1)
    sent = await settled(b)
    only(sent[0], seq=u32(UNA - 1), flags=ACK)
    assert marks(sent) == [(0, NOT_ECT, 0)]
    only(b.records[-1].tcb, ecn_ece=1)


@cocotb.test()
async def a_reset_tells_nothing_and_the_last_acknowledgment_does_n4_b6a_b7(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SOON)
    await b.segment(pay_len=10, ip_ecn=CE)
    record = await b.command(Opcode.DISCONNECT, flags=2)
    reset = TxSegment.unpack(record.tx0.body)
    only(reset, flags=RST | ACK, tos=DSCP)
    only(record.tcb, state=TcpState.CLOSED, ecn_ece=1)
    await settled(b)
    await b.command(Opcode.INITIATE, SOON.pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    b.offer_segment(conn=1, pay_len=10, ip_ecn=CE)
    await b.take(TcpEvt.RX_SEGMENT)
    record = await b.command(Opcode.TERMINATE, conn=1)
    only(TxSegment.unpack(record.tx0.body), flags=ACK | ECE, tos=DSCP)


@cocotb.test()
async def without_the_flag_there_is_no_ecn_n(dut: Any) -> None:
    b = await in_flight(dut, 10, const_flags=0, tos=TOS)
    tcb = await b.ack(100, flags=ACK | ECE | CWR, ip_ecn=CE, pay_len=10)
    only(tcb, cwnd=1100, ecn_ece=0, ecn_cwr=0, ecn_edge=UNA - 1)
    await settled(b)
    tcb = await b.ack(100, flags=ACK | ECE)
    only(tcb, cwnd=1100, ssthresh=10**6)
    await settled(b)
    b.now = b.records[-1].tcb.rtx_deadline
    only((await b.take(TcpEvt.TIMER)).tcb, ecn_cwr=0, ecn_edge=UNA - 1)
    await settled(b)
    assert all(s.tos == TOS and not s.flags & (ECE | CWR) for s in segments(b.records))


@cocotb.test()
async def a_connection_opened_with_the_flag_keeps_it_b3(dut: Any) -> None:
    b = await bench_of(dut)
    tcb = await b.open(replace(IMAGE, const_flags=ECN | SACK))
    only(tcb, ecn_en=1, sack_en=1, ts_en=0, ws_en=0, ecn_ece=0, ecn_cwr=0, ecn_edge=UNA - 1)


@cocotb.test()
async def random_marks_are_told_back_n1(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SOON, credits_=20)
    rng = random.Random(3168)
    nxt, told, changes = RCV, 0, 0
    for _ in range(30):
        await b.credit(1)
        ip_ecn, cwr = rng.choice((NOT_ECT, ECT_1, ECT_0, CE, CE)), rng.choice((0, 0, CWR))
        seq, length = nxt + rng.choice((0, 0, 0, -40, 40)), rng.choice((0, 10, 20))
        if length == 0:
            seq = nxt
        record = await b.segment(seq=seq, pay_len=length, ip_ecn=ip_ecn, flags=ACK | cwr)
        before = told
        if seq >= nxt:
            told = 1 if length and ip_ecn == CE else 0 if cwr else told
        changes += told != before
        only(record.tcb, ecn_ece=told)
        nxt = record.tcb.rcv_nxt
        sent = await settled(b)
        if rng.random() < 0.2:
            await b.send(rng.randrange(1, 50))
            sent += await settled(b)
        for segment in sent:
            assert bool(segment.flags & ECE) == bool(told)
        tcb = b.records[-1].tcb
        if tcb.snd_una != tcb.snd_max:
            await b.segment(seq=nxt, ack=tcb.snd_max, wnd=20000)
            await settled(b)
        if tcb.consumed_seq != nxt:
            await b.consumed(u32(nxt - tcb.consumed_seq))
            await settled(b)
    assert changes > 5


@dataclass
class EcnSender(Sender):
    """The reference of the sending half with section N."""

    cwr: int = 0
    edge: int = -1
    mark: tuple[int, int] = (0, 0)
    """ECN field and CWR of the last segment."""
    cuts: int = 0

    def heard(self, ack: int, blocks: list[tuple[int, int]], ece: bool) -> None:
        before, recovering = self.una, self.in_recovery
        flight = self.max - before
        self.acknowledged(ack, blocks)
        if self.in_recovery and not recovering:
            self.cwr, self.edge = 1, self.max
        if self.una > before:
            self.edge = max(self.edge, self.una - 1)
        if ece and not self.in_recovery and ack >= before and self.una > self.edge:
            self.ssthresh = self.cut(flight)
            self.cwnd, self.cwnd_acc = min(self.cwnd, self.ssthresh), 0
            self.cwr, self.edge = 1, self.max
            self.cuts += 1

    def timeout(self) -> None:
        if self.rtx_count == 0:
            self.cwr, self.edge = 1, self.max
        super().timeout()

    def send(self) -> tuple[int, int, int] | None:
        highest = self.max
        wish = super().send()
        if wish is not None:
            fresh = wish[1] > 0 and wish[0] >= highest
            self.mark = (ECT_0 if fresh else NOT_ECT, CWR if fresh and self.cwr else 0)
            if fresh:
                self.cwr = 0
        return wish


class EcnPair(Pair):
    want: EcnSender

    def compare(self, record: Commit) -> None:
        super().compare(record)
        only(record.tcb, ecn_cwr=self.want.cwr, ecn_edge=u32(self.base + self.want.edge))
        for segment in segments([record]):
            assert (segment.tos & 3, segment.flags & (ECE | CWR)) == self.want.mark, f"record {record.order}"


async def random_congestion(dut: Any, *, seed: int, base: int, sack: bool, loss: float) -> EcnSender:
    """A peer that now and then says ECE, also where it should not; every commit and every mark by the rules."""
    b = await bench_of(dut)
    rng = random.Random(seed)
    cwnd, ssthresh = rng.randrange(5, 40) * MSS, rng.choice((1000, 10**6))
    await b.open(
        replace(
            SOON, const_flags=ECN | (SACK if sack else 0), snd_una=base, snd_nxt=base, snd_max=base, cwnd=cwnd,
            ssthresh=ssthresh,
        )
    )  # fmt: skip
    want = EcnSender(cwnd, ssthresh, sack)
    pair = EcnPair(b, want, base)
    peer = LossyPeer(rng, loss)
    queue: list[tuple[int, int]] = []
    for _ in range(100):
        if want.end - want.nxt < 500:
            length = rng.randrange(1, 2000)
            want.end += length
            await b.send(length)
            queue += await pair.grants()
        if queue:
            for _ in range(min(len(queue), rng.randrange(1, 4))):
                peer.arrives(*queue.pop(0))
            ack, blocks = peer.answer(want.una, want.max)
            ece = rng.random() < 0.3
            record = await b.segment(**b.fields(ack, blocks), flags=ACK | (ECE if ece else 0))
            want.heard(ack, blocks, ece)
        else:
            b.now = b.records[-1].tcb.rtx_deadline
            record = await b.take(TcpEvt.TIMER)
            want.timeout()
        pair.compare(record)
        queue += await pair.grants()
    b.stop()
    return want


@cocotb.test()
async def random_congestion_is_answered_by_the_rules_without_sack_n(dut: Any) -> None:
    want = await random_congestion(dut, seed=1, base=UNA, sack=False, loss=0.05)
    assert want.cuts > 3


@cocotb.test()
async def random_congestion_is_answered_by_the_rules_with_sack_n(dut: Any) -> None:
    want = await random_congestion(dut, seed=2, base=0x7FFF_FC00, sack=True, loss=0.1)
    assert want.cuts > 3
    assert {"head", "N2", "G-1"} <= want.seen
