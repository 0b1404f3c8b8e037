"""Unit test of CUBIC in the engine cluster (tcp_step section Q, B-3, B-5; RFC 9438).

DUT = engine_top, bench as in test_unit_tcp_sack. What the controls make of one event is the business of
test_unit_cubic; here it is that each rule asks the right one, at the right time, with the right numbers. The random
cases are those of SACK and ECN, with CUBIC in their reference and time that passes.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from model.layout.generated import Cubic, Opcode, Tcb, TcpEvt
from tb.tests.unit.cubic_oracle import BETA, FAST, K_BITS, PARTS, CubicOracle
from tb.tests.unit.test_unit_tcp_ecn import ECE, ECN, EcnPair, EcnSender
from tb.tests.unit.test_unit_tcp_engine import ACK, IMAGE, UNA, only, u32
from tb.tests.unit.test_unit_tcp_sack import (
    CUBIC,
    MSS,
    SACK,
    SEGMENT_CYCLES,
    SHORT,
    Block,
    LossyPeer,
    SackBench,
    bench_of,
    in_flight,
)

RATE = 1000


def kept(tcb: Tcb) -> Cubic:
    return Cubic.unpack(tcb.cc)


def part(octets: int) -> int:
    """What a loss leaves of them."""
    return octets * BETA // PARTS


async def settled(b: SackBench) -> Tcb:
    """Whatever may go goes; the last state."""
    await b.settle()
    return b.records[-1].tcb


@cocotb.test()
async def the_flag_of_the_image_selects_and_cc_begins_empty_b3(dut: Any) -> None:
    b = await bench_of(dut)
    only(await b.open(replace(IMAGE, const_flags=CUBIC)), cubic_en=1, cc=0, ecn_en=0, sack_en=0, ts_en=0, ws_en=0)
    await b.command(Opcode.INITIATE, replace(IMAGE, const_flags=15).pack(), conn=1)
    only(b.records[-1].tcb, cubic_en=0, cc=0)


@cocotb.test()
async def a_window_in_avoidance_follows_the_curve_and_costs_no_cycle_q4_q5(dut: Any) -> None:
    b = await in_flight(dut, 20, const_flags=CUBIC, ssthresh=1000)
    tcb = await b.ack(100)
    only(tcb, cwnd=2000, cwnd_acc=0)
    assert kept(tcb) == Cubic(epoch=1, start=b.now, last=b.now, w_max=2000, w_est=2000)
    tcb = await settled(b)
    own, cwnd, acc, octets = CubicOracle.of(tcb.cc), 2000, 0, 100
    for _ in range(12):  # 290 ms each: no timer is due
        b.now += 290
        octets += 100
        flight = u32(b.records[-1].tcb.snd_max - b.records[-1].tcb.snd_una)
        tcb = await b.ack(octets)
        cwnd, acc = own.avoid(cwnd, acc, 100, MSS, flight=flight, now=b.now, srtt=tcb.srtt, rate=RATE)
        only(tcb, cwnd=cwnd, cwnd_acc=acc)
        assert CubicOracle.of(tcb.cc) == own
        await settled(b)
    assert cwnd > 2000
    for n in (1, 2):
        b.offer_segment(**b.fields(octets + 100 * n, []))
    for _ in range(2):
        await b.take(TcpEvt.RX_SEGMENT)
    assert b.cycles[-1] - b.cycles[-2] == SEGMENT_CYCLES


@cocotb.test()
async def what_is_out_in_front_of_the_acknowledgment_says_whether_the_window_is_used_q6(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(SHORT, const_flags=CUBIC, cwnd=400, ssthresh=200))
    octets = 0

    async def acknowledged(flight: int, pause: int) -> Tcb:
        """More is sent until so many octets are out, and all of it but the last 50 is acknowledged at once."""
        nonlocal octets
        tcb = b.records[-1].tcb
        await b.send(flight - u32(tcb.snd_max - tcb.snd_una))
        await settled(b)
        octets += flight - 50
        b.now += pause
        await b.ack(octets)
        return await settled(b)

    tcb = await acknowledged(199, 10)
    only(tcb, cwnd=400, cwnd_acc=0, cc=0)
    tcb = await acknowledged(200, 10)
    started = b.now
    assert kept(tcb) == Cubic(epoch=1, start=started, last=started, w_max=400, w_est=400)
    for n in (1, 2, 3):  # the application has little to send
        tcb = await acknowledged(199, 100)
        only(tcb, cwnd=400, cwnd_acc=0)
        assert kept(tcb) == Cubic(epoch=1, start=started + 100 * n, last=b.now, w_max=400, w_est=400)
    tcb = await acknowledged(300, 50)
    assert b.now == started + 350
    only(kept(tcb), epoch=1, start=started + 300, last=b.now, est_acc=17 * 250, dry=0)


@cocotb.test()
async def what_passes_while_nothing_is_out_is_not_of_the_stage_q7(dut: Any) -> None:
    """An application that writes a window at a time and waits, shorter than the timeout: no idle restart (B-5)."""
    b = await bench_of(dut)
    await b.open(replace(SHORT, const_flags=CUBIC, cwnd=400, ssthresh=200))
    octets = counted = 0

    async def written(length: int, trip: int) -> Tcb:
        """So many octets are sent, and a round trip later all are acknowledged at once."""
        nonlocal octets
        await b.send(length)
        await settled(b)
        octets += length
        b.now += trip
        await b.ack(octets)
        return await settled(b)

    tcb = await written(400, 10)
    started = b.now
    assert kept(tcb) == Cubic(epoch=1, start=started, last=started, dry=1, w_max=400, w_est=400)
    own, cwnd, acc = CubicOracle.of(tcb.cc), 400, 0
    for pause, trip, length in ((100, 20, 400), (50, 5, 300), (100, 30, 100), (0, 40, 400), (200, 10, 400)):
        b.now += pause
        tcb = await written(length, trip)
        counted += pause + trip
        cwnd, acc = own.avoid(cwnd, acc, length, MSS, flight=length, now=b.now, srtt=tcb.srtt, rate=RATE)
        only(tcb, cwnd=cwnd, cwnd_acc=acc)
        only(kept(tcb), epoch=1, start=started + counted, last=b.now, dry=1)
        assert CubicOracle.of(tcb.cc) == own
    # an ACK that leaves something out: what passes behind it counts
    await b.send(600)
    await settled(b)
    tcb = await b.ack(octets + 100)
    only(kept(tcb), epoch=1, start=started + counted, last=b.now, dry=0)
    await settled(b)
    b.now += 30
    tcb = await b.ack(octets + 600)
    only(kept(tcb), epoch=1, start=started + counted, last=b.now, dry=1)


@cocotb.test()
async def the_round_trip_is_the_one_that_this_acknowledgment_showed_f1_q5(dut: Any) -> None:
    """F-1 stands in front of F-2 in C.8b."""
    b = await in_flight(dut, 20, const_flags=CUBIC, ssthresh=1000, srtt=8, rttvar=4000)
    tcb = await b.ack(1900)  # the first sample is taken, and the stage begins; a segment is out still
    only(tcb, rtt_active=0)
    started = b.now
    tcb = await settled(b)
    only(tcb, rtt_active=1)
    b.now += 2000
    before = tcb
    tcb = await b.ack(2400)
    assert tcb.srtt > before.srtt + 1000, "this is the sample of a long round trip"
    own = CubicOracle.of(before.cc)
    new, old = (own.target(2000, MSS, now=b.now, srtt=s, rate=RATE) for s in (tcb.srtt, before.srtt))
    assert (own.start, own.w_max) == (started, 2000)
    assert 500 * (new - 2000) >= 2000 * MSS > 500 * (old - 2000), "only the new one lets a segment out at once"
    only(tcb, cwnd=2100, cwnd_acc=0)


@cocotb.test()
async def three_duplicates_leave_seven_tenths_without_sack_q1_f3(dut: Any) -> None:
    b = await in_flight(dut, 20, const_flags=CUBIC)
    for _ in range(3):
        tcb = await b.ack(0)
        await b.settle()
    only(tcb, in_recovery=1, ssthresh=part(2000), cwnd=part(2000) + 3 * MSS)
    assert kept(tcb) == Cubic(w_max=2000, prior=2000)
    # the end of the recovery, then a stage that has to find K
    tcb = await b.ack(2200)
    only(tcb, in_recovery=0, cwnd=part(2000), cwnd_acc=0)
    assert kept(tcb) == Cubic(w_max=2000, prior=2000)
    await settled(b)
    tcb = await b.ack(2300)
    cwnd = part(2000)
    assert kept(tcb) == Cubic(
        epoch=1, start=b.now, last=b.now, w_max=2000, prior=2000, gap=2000 - cwnd, k_bits=K_BITS, w_est=cwnd
    )  # fmt: skip
    # a loss below w_max: others want room
    await settled(b)
    flight = b.records[-1].tcb.snd_max - b.records[-1].tcb.snd_una
    for _ in range(3):
        tcb = await b.ack(2300)
        await b.settle()
    only(tcb, in_recovery=1, ssthresh=part(max(min(flight, cwnd), flight - 2 * MSS)))
    only(kept(tcb), epoch=0, w_max=cwnd * FAST // PARTS, prior=cwnd)


@cocotb.test()
async def a_recovery_with_sack_is_cut_and_paced_by_seven_tenths_q1_q2_s2_s8(dut: Any) -> None:
    b = await in_flight(dut, 20, const_flags=CUBIC | SACK)
    for right in (200, 300):
        await b.ack(0, (100, right))
    await settled(b)
    # 2200 are out, 300 arrived, the head is lost: pipe is 1800, and 100 of these are reported now
    tcb = await b.ack(0, (100, 400))
    only(tcb, in_recovery=1, ssthresh=part(2000), cwnd=1800 + part(100))
    assert kept(tcb) == Cubic(w_max=2000, prior=2000)
    tcb = await settled(b)
    # the head goes whatever pipe is: 1900 then, less 300, and what cwnd had too little is owed
    pipe, credit = 1900 - 300, 1800 + part(100) - 1900
    only(await b.ack(0, (100, 700)), cwnd=pipe + credit + part(300))
    assert kept(b.records[-1].tcb) == Cubic(w_max=2000, prior=2000)


@cocotb.test()
async def the_first_time_out_cuts_and_every_one_forgets_the_curve_q1_d2(dut: Any) -> None:
    b = await in_flight(dut, 20, const_flags=CUBIC, ssthresh=1000)
    await b.ack(100)
    tcb = await settled(b)
    started = kept(tcb)
    only(started, epoch=1, w_max=2000)
    b.now = tcb.rtx_deadline
    tcb = (await b.take(TcpEvt.TIMER)).tcb
    only(tcb, ssthresh=part(2000), cwnd=MSS, rtx_count=1)
    assert kept(tcb) == replace(started, epoch=0, w_max=0, prior=2000)
    tcb = await settled(b)
    b.now = tcb.rtx_deadline
    tcb = (await b.take(TcpEvt.TIMER)).tcb
    only(tcb, ssthresh=part(2000), cwnd=MSS, rtx_count=2)
    assert kept(tcb) == replace(started, epoch=0, w_max=0, prior=2000)


@cocotb.test()
async def a_mark_cuts_to_seven_tenths_and_remembers_the_window_behind_slow_start_q1_n2(dut: Any) -> None:
    b = await in_flight(dut, 20, const_flags=CUBIC | ECN)
    tcb = await b.ack(100, flags=ACK | ECE)
    only(tcb, cwnd=part(2000), ssthresh=part(2000), cwnd_acc=0, ecn_cwr=1)
    assert kept(tcb) == Cubic(w_max=2100, prior=2100)
    await settled(b)
    # not answered twice: it is an ACK in avoidance
    tcb = await b.ack(200, flags=ACK | ECE)
    only(kept(tcb), epoch=1, w_max=2100, prior=2100, gap=2100 - part(2000), k_bits=K_BITS)
    await settled(b)
    # the stage ends with the next mark; a window below two segments stays
    tcb = await b.ack(2000)
    tcb = await settled(b)
    cwnd, flight = tcb.cwnd, u32(tcb.snd_max - tcb.snd_una)
    tcb = await b.ack(2001, flags=ACK | ECE)
    only(tcb, ssthresh=max(part(flight), 2 * MSS))
    only(kept(tcb), epoch=0, prior=cwnd, w_max=cwnd * FAST // PARTS, k_bits=K_BITS - 2)


@cocotb.test()
async def a_pause_ends_the_stage_also_where_the_window_stays_q1_b5(dut: Any) -> None:
    for flags, epoch in ((CUBIC, 0), (CUBIC, 1)):
        b = await bench_of(dut)
        await b.open(replace(SHORT, const_flags=flags, cwnd=400, ssthresh=200, remote_mss=MSS))
        await b.send(200)
        await settled(b)
        tcb = await b.ack(200)
        started = kept(tcb)
        only(started, epoch=1, start=b.now, last=b.now, w_max=400, dry=1)
        tcb = await settled(b)
        b.now = tcb.last_tx_tick + tcb.rto + 1 - epoch  # longer than a timeout, or not
        tcb = (await b.send(10)).tcb
        only(tcb, cwnd=400, cwnd_acc=0)
        assert kept(tcb) == replace(started, epoch=epoch)
        await settled(b)
        await FallingEdge(dut.clk)
        b.stop()


async def random_connection(dut: Any, *, seed: int, base: int, flags: int, loss: float, ece: float) -> EcnSender:
    """Every event by the rules: losses, time-outs, marks, pauses; and time passes between them."""
    b = await bench_of(dut)
    rng = random.Random(seed)
    cwnd, ssthresh = rng.randrange(5, 40) * MSS, rng.choice((1000, 2000))
    b.now = rng.choice((1000, 0xFFFF_FFFF - 5000))
    image = replace(
        SHORT, const_flags=flags, snd_una=base, snd_nxt=base, snd_max=base, cwnd=cwnd, ssthresh=ssthresh, tos=0xB8,
    )  # fmt: skip
    await b.open(image)
    want = EcnSender(cwnd, ssthresh, bool(flags & SACK), cubic=CubicOracle() if flags & CUBIC else None)
    pair = EcnPair(b, want, base)
    peer = LossyPeer(rng, loss)
    queue: list[Block] = []
    talks = True
    for _ in range(120):
        tcb = b.records[-1].tcb
        if want.una == want.max == want.end:
            talks = True
            b.now = u32(b.now + rng.choice((0, 100, 3000)))
        elif rng.random() < 0.05:
            talks = False
        if talks and want.end - want.nxt < 500:
            length = rng.randrange(1, 1500)
            if want.una == want.max == want.end and u32(b.now - tcb.last_tx_tick) > tcb.rto:
                want.restart()
            want.end += length
            pair.compare(await b.send(length))
            queue += await pair.grants()
            tcb = b.records[-1].tcb
        # time passes; a timer that is due then is due before the next segment
        ahead = u32(tcb.rtx_deadline - b.now) - 1 if tcb.rtx_on else 3000
        b.now = u32(b.now + rng.randrange(max(1, min(ahead, 400))))
        if queue:
            for _ in range(min(len(queue), rng.randrange(1, 4))):
                peer.arrives(*queue.pop(0))
            ack, blocks = peer.answer(want.una, want.max)
            heard = bool(flags & ECN) and rng.random() < ece
            record = await b.segment(**b.fields(ack, blocks), flags=ACK | (ECE if heard else 0))
            want.now, want.srtt = record.tick, record.tcb.srtt
            want.heard(ack, blocks, heard)
        else:
            b.now = tcb.rtx_deadline
            record = await b.take(TcpEvt.TIMER)
            want.timeout()
            want.seen.add("timeout")
        pair.compare(record)
        queue += await pair.grants()
    await FallingEdge(dut.clk)
    b.stop()
    return want


@cocotb.test()
async def random_connections_with_sack_follow_the_rules_of_cubic_q(dut: Any) -> None:
    seen: set[str] = set()
    for seed, base, loss, ece in ((1, UNA, 0.0, 0.0), (2, 0x7FFF_FC00, 0.02, 0.0), (3, 5, 0.1, 0.1)):
        want = await random_connection(
            dut, seed=seed, base=base, flags=CUBIC | SACK | ECN, loss=loss, ece=ece
        )  # fmt: skip
        seen |= want.seen | want.paced
    assert seen >= {"idle", "timeout", "stage", "stage with K", "bit of K", "no bit of K", "friendly", "curve", "above"}
    assert seen >= {"not used", "not used, in a stage", "behind silence", "behind silence, not used"}


@cocotb.test()
async def random_connections_without_sack_follow_the_rules_of_cubic_q(dut: Any) -> None:
    seen: set[str] = set()
    for seed, base, loss, ece in ((4, UNA, 0.01, 0.02), (5, 0x7FFF_FC00, 0.05, 0.0)):
        want = await random_connection(dut, seed=seed, base=base, flags=CUBIC | ECN, loss=loss, ece=ece)
        seen |= want.seen
    assert seen >= {"idle", "timeout", "stage", "stage with K", "bit of K", "no bit of K", "friendly", "curve"}
    assert seen >= {"not used", "not used, in a stage", "behind silence", "behind silence, not used"}


@cocotb.test()
async def random_connections_of_reno_keep_nothing_f(dut: Any) -> None:
    want = await random_connection(dut, seed=6, base=UNA, flags=SACK | ECN, loss=0.05, ece=0.05)
    assert want.cubic is None
