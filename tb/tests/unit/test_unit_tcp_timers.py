"""Unit test of the engine cluster: keep-alive, challenge ACKs, FIN_WAIT_2, Nagle, VLAN, connections that are closing.

DUT = engine_top with the bench of test_unit_tcp_engine; every expected number is worked out by hand from section K and
the rules B-3, B-4, B-6, B-7 and B-9 of docs/contract/tcp_step.md. A tick counter of 1000 a second is the default.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer

from model.layout.generated import (
    CachedImage,
    CqKind,
    DlvEvt,
    Object,
    Opcode,
    ParamImage,
    Phase,
    Sqe,
    Status,
    Tcb,
    TcpEventType,
    TcpEvt,
    TcpImage,
    TcpState,
    TxAppend,
    TxKind,
    TxSegment,
    UploadReason,
    Verdict,
)
from tb.tests.unit.test_unit_tcp_engine import ACK, COOKIE, FIN, GEN, IMAGE, PSH, RCV, RST, SYN, UNA, Commit, only, u32
from tb.tests.unit.test_unit_tcp_objects import KEEP, ObjectBench

KEEP_ALIVE, NAGLE, KEEP_ALIVE_RESTART, MAX_RT_RESTART = 1, 2, 4, 8  # cached_flags
TS = 1  # const_flags
GRACEFUL, INHERITED = 1, 4  # flags of DISCONNECT
PLAIN = replace(IMAGE, cached_flags=0)
ALIVE = replace(IMAGE, cached_flags=KEEP_ALIVE, ka_timeout=1000, ka_interval=100, ka_probe_count=4)
CACHED = CachedImage(initial_rcv_wnd=32768, ka_probe_count=4, ka_timeout=700, ka_interval=100, ttl=64)
CHALLENGE, HALF_CLOSED = 300_000, 120_000  # ticks of a challenge ACK's keep-alive and of FIN_WAIT_2


class TimerBench(ObjectBench):
    """The bench of state objects, with deadlines."""

    async def rate(self, ticks_per_second: int) -> None:
        params = ParamImage(
            ticks_per_second=ticks_per_second, ack_frequency=2, delayed_ack_ticks=100, max_retransmissions=5,
            dup_ack_threshold=3, push_ticks=500, nce_stale_ticks=1 << 30, rto_min=300, rto_max=60000, rto_initial=1000,
        )  # fmt: skip
        await self.command(Opcode.PARAM_WRITE, params.pack())

    async def expires(self, tick: int) -> Commit:
        """Nothing happens one tick before this one; at it a TIMER commits."""
        self.now = u32(tick - 1)
        await self.quiet()
        self.now = tick
        record = await self.take(TcpEvt.TIMER)
        only(record, tick=tick)
        return record

    async def sent(self) -> TxSegment:
        """The segment of the grant that comes next."""
        _, segment = await self.grant()
        assert segment is not None, "the grant sends something"
        return segment

    async def probe(self, una: int = UNA) -> Commit:
        """The grant that comes next sends a keep-alive probe and nothing else changes (K-3, G-4)."""
        before = self.records[self.taken - 1].tcb
        record, segment = await self.grant()
        assert segment is not None
        only(segment, seq=u32(una - 1), len=0, flags=ACK, ack=before.rcv_nxt)
        assert record.tcb == replace(before, ka_probe_owed=0)
        return record

    async def load(self, image: TcpImage, *, path: bool = True) -> Tcb:
        """Path, neighbor, credits and INITIATE."""
        if path:
            await self.path()
            await self.neighbor()
            await self.credit(self.spare + 8)
        return (await self.command(Opcode.INITIATE, image.pack())).tcb

    async def crowd(self, image: CachedImage, count: int = 24) -> None:
        """So many UPDATEs wait at once."""
        for _ in range(count):
            self.sq_index += 1
            sqe = Sqe(opcode=Opcode.UPDATE, conn=0, gen=GEN, cookie=COOKIE)
            self.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": self.sq_index, "image": image.pack()})

    async def end(self) -> None:
        """Make room for another bench."""
        self.stop()
        await Timer(1, unit="ns")

    async def inherit(self, length: int) -> Commit:
        """The unacknowledged bytes of a connection whose send half the host has closed, then its FIN."""
        if length:
            await self.send(length)
        return await self.command(Opcode.DISCONNECT, flags=GRACEFUL | INHERITED)


async def bench_of(dut: Any) -> TimerBench:
    bench = TimerBench(dut)
    await bench.start()
    return bench


def asks_for_upload(record: Commit, state: TcpState) -> None:
    """Mandatory retrieve(TIMEOUT_EXPIRATION)."""
    only(record.tcb, phase=Phase.FROZEN, retrieve_sent=1, state=state)
    only(record, dlv_valid=1, tx0_valid=0, cpl_valid=0)
    only(record.dlv, kind=DlvEvt.NOTIFY, event=TcpEventType.RETRIEVE, info=UploadReason.TIMEOUT_EXPIRATION, aborted=0)


def refused(record: Commit, status: Status = Status.BAD_STATE, opcode: Opcode = Opcode.DISCONNECT) -> None:
    """DISCONNECT or SEND does nothing but complete with this status."""
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0, cpl_valid=1)
    only(record.cpl, kind=CqKind.SEND, status=status, code=opcode, cookie=COOKIE, nbytes=0)


# ---- K-1: what shows that the peer lives -----------------------------------------------------------------------------
@cocotb.test()
async def only_an_acceptable_segment_restarts_the_keep_alive_timer_k1(dut: Any) -> None:
    b = await bench_of(dut)
    only(await b.open(ALIVE), ka_on=0)
    before = (await b.segment()).tcb
    only(before, ka_on=1, ka_deadline=2000, ka_probes_sent=0, ka_challenge=0)
    b.now = 1500
    for refused_segment in (
        {"seq": RCV - 1},  # C.2
        {"seq": RCV + 32768},
        {"flags": FIN},  # C.5: no ACK
        {"ack": u32(UNA + 1)},
        {"ack": u32(UNA - 20001)},
    ):
        record = await b.segment(**refused_segment)
        only(record.tcb, ka_deadline=2000)
        if record.tcb.dup_owed:
            await b.sent()
    # text ahead of its place (M) has come as far as C.8
    record = await b.segment(seq=RCV + 10, pay_len=10)
    only(record, verdict=Verdict.DELIVER)
    only(record.tcb, ka_on=1, ka_deadline=2500, dup_owed=1)
    await b.sent()
    b.now = 1600
    record = await b.forward()
    only(record.cpl, kind=CqKind.FORWARD, status=Status.OK)
    only(record.tcb, ka_deadline=2600)
    await b.quiet()


@cocotb.test()
async def an_acceptable_segment_takes_the_probes_back_k1(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, ka_probes_sent=3, ka_timeout_delta=50))
    record = await b.expires(1050)
    only(record.tcb, ka_probes_sent=4, ka_probe_owed=1, ka_deadline=1150)
    await b.probe()
    only((await b.segment()).tcb, ka_probes_sent=0, ka_on=1, ka_deadline=2050)
    await b.quiet()


# ---- K-3: the timer --------------------------------------------------------------------------------------------------
@cocotb.test()
async def probes_go_at_the_timeout_and_every_interval_until_their_number_is_reached_ch_221(dut: Any) -> None:
    """S52."""
    b = await bench_of(dut)
    await b.open(ALIVE)
    await b.segment()
    for n in range(4):
        record = await b.expires(2000 + 100 * n)
        only(record, dlv_valid=0, tx0_valid=0)
        only(record.tcb, ka_probe_owed=1, ka_probes_sent=n + 1, ka_on=1, ka_deadline=2100 + 100 * n)
        await b.probe()
    record = await b.expires(2400)
    asks_for_upload(record, TcpState.ESTABLISHED)
    only(record.tcb, ka_probe_owed=0, ka_probes_sent=4, ka_on=1, ka_deadline=2400)
    await b.quiet()


@cocotb.test()
async def without_an_interval_and_a_number_it_is_one_second_and_ten_probes_k3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.rate(100)
    await b.open(replace(ALIVE, ka_interval=0, ka_probe_count=0))
    await b.segment()
    for n in range(10):
        only((await b.expires(2000 + 100 * n)).tcb, ka_probes_sent=n + 1, ka_deadline=2100 + 100 * n)
        await b.probe()
    asks_for_upload(await b.expires(3000), TcpState.ESTABLISHED)
    await b.quiet()


@cocotb.test()
async def one_probe_is_the_least_and_255_are_the_most_k3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, ka_probe_count=1, ka_timeout_delta=10))
    await b.expires(1010)
    await b.probe()
    asks_for_upload(await b.expires(1110), TcpState.ESTABLISHED)
    await b.command(Opcode.INITIATE, replace(
        ALIVE, local_port=1, ka_probe_count=255, ka_probes_sent=254, ka_timeout_delta=10).pack(), conn=1)  # fmt: skip
    await b.command(Opcode.START, conn=1)
    only((await b.expires(1120)).tcb, ka_probes_sent=255)
    await b.probe()
    asks_for_upload(await b.expires(1220), TcpState.ESTABLISHED)
    await b.quiet()


@cocotb.test()
async def while_data_is_on_its_way_nothing_is_probed_k3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, ka_timeout=500, ka_probe_count=1, ka_probes_sent=1, ka_timeout_delta=500))
    await b.send(100)
    await b.sent()
    before = b.records[-1].tcb
    record = await b.expires(1500)
    assert record.tcb == replace(before, ka_deadline=1600), "counted from now, no probe, no upload"
    await b.expires(1600)
    await b.quiet()
    record = await b.segment(ack=u32(UNA + 100))
    only(record.tcb, ka_probes_sent=0, ka_deadline=2100)
    await b.grant()
    only((await b.expires(2100)).tcb, ka_probe_owed=1, ka_probes_sent=1)
    await b.probe(una=u32(UNA + 100))
    await b.quiet()


@cocotb.test()
async def a_timer_that_came_without_keep_alive_stops_when_the_peer_is_heard_k1_b3(dut: Any) -> None:
    b = await bench_of(dut)
    before = await b.open(replace(PLAIN, ka_timeout_delta=50, ka_probes_sent=200))
    only(before, ka_on=1, ka_challenge=1, ka_deadline=1050)  # it is that of a challenge
    only((await b.segment()).tcb, ka_on=0, ka_challenge=0, ka_probes_sent=0)
    b.now = 1050
    await b.quiet()


@cocotb.test()
async def the_time_that_remains_is_counted_from_start_b3_b4(dut: Any) -> None:
    b = await bench_of(dut)
    only(await b.load(replace(ALIVE, ka_timeout_delta=600)), ka_on=1, ka_deadline=600, ka_timeout_delta=600)
    b.now = 5000
    await b.quiet()
    only((await b.command(Opcode.START)).tcb, ka_on=1, ka_deadline=5600)
    only((await b.expires(5600)).tcb, ka_probes_sent=1)
    await b.probe()
    await b.command(Opcode.TERMINATE)
    await b.quiet(20)
    # 0 is due at START; a connection that is terminated from LOADED keeps what remained (B-7)
    await b.command(Opcode.INITIATE, replace(ALIVE, local_port=9, ka_timeout_delta=0).pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    only((await b.take(TcpEvt.TIMER)).tcb, ka_probe_owed=1, ka_deadline=5700)
    await b.probe()
    await b.command(Opcode.INITIATE, replace(ALIVE, local_port=10, ka_timeout_delta=70).pack(), conn=2)
    only((await b.command(Opcode.TERMINATE, conn=2)).tcb, ka_on=1, ka_deadline=5670)
    await b.quiet()


@cocotb.test()
async def the_timer_works_across_the_wrap_of_the_tick_counter_k3(dut: Any) -> None:
    b = await bench_of(dut)
    b.now = 0xFFFF_FF00
    await b.open(ALIVE)
    only((await b.segment()).tcb, ka_deadline=u32(0xFFFF_FF00 + 1000))
    await b.expires(u32(0xFFFF_FF00 + 1000))
    await b.probe()
    await b.quiet()


@cocotb.test()
async def a_window_probe_and_a_keep_alive_probe_of_one_tick_both_go_k3_d2(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, snd_wnd=0, ka_probes_sent=3, ka_timeout_delta=1000))
    await b.send(100)
    only(b.records[-1].tcb, persist=1, rtx_deadline=2000, ka_deadline=2000)
    record = await b.expires(2000)
    only(record.tcb, probe_owed=1, rtx_count=1, ka_probe_owed=1, ka_probes_sent=4)
    only(await b.sent(), seq=UNA, len=1)
    await b.probe()
    await b.quiet()


@cocotb.test()
async def an_upload_asked_for_by_keep_alive_ends_the_event_k3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, snd_wnd=0, ka_probes_sent=4, ka_timeout_delta=1000))
    await b.send(100)
    before = b.records[-1].tcb
    only(before, persist=1, rtx_deadline=2000)
    record = await b.expires(2000)
    asks_for_upload(record, TcpState.ESTABLISHED)
    assert record.tcb == replace(before, phase=Phase.FROZEN, retrieve_sent=1), "D-2 does not follow"
    await b.quiet()


@cocotb.test()
async def a_probe_goes_behind_the_acks_that_are_owed_k3_g2(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, ka_timeout_delta=100, rcv_wnd=1000, initial_rcv_wnd=1000))
    # the delayed ACK is due with the probe: it goes first, where every peer takes it; duplicates do so, too
    await b.segment(pay_len=10)
    only(b.records[-1].tcb, dack_on=1, dack_deadline=1100, ka_deadline=2000)
    await b.update(replace(CACHED, cached_flags=KEEP_ALIVE | KEEP_ALIVE_RESTART, ka_timeout=100))
    only(b.records[-1].tcb, ka_deadline=1100)
    record = await b.expires(1100)
    only(record.tcb, dack_on=0, ack_now=1, ka_probe_owed=1)
    only(await b.sent(), seq=UNA, ack=RCV + 10)
    only(b.records[-1].tcb, ack_now=0, ka_probe_owed=1, unacked_segs=0, last_ack_sent=RCV + 10)
    await b.probe()
    await b.quiet()
    b.ready["txq"] = 0
    await b.crowd(replace(CACHED, cached_flags=KEEP_ALIVE, ka_timeout=100))  # the transmit queue is full, no grant goes
    await b.settle(300)
    b.now = 1200
    only((await b.take(TcpEvt.TIMER)).tcb, ka_probe_owed=1)
    for n in range(3):
        only((await b.segment(seq=RCV - 500, pay_len=1)).tcb, dup_owed=n + 1)
    b.ready["txq"] = 100
    grants = [record for record in await b.settle(300) if record.kind == TcpEvt.TX_GRANT]
    segments = [TxSegment.unpack(record.tx0.body) for record in grants]
    assert [(segment.seq, segment.len) for segment in segments] == [(UNA, 0), (UNA, 0), (UNA, 0), (u32(UNA - 1), 0)]
    assert [record.tcb.dup_owed for record in grants] == [2, 1, 0, 0], "the probe is none of the three"
    assert [record.tcb.ka_probe_owed for record in grants] == [1, 1, 1, 0]
    await b.quiet()


@cocotb.test()
async def data_that_an_ack_lets_go_takes_the_place_of_a_probe_g2_k1(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, ka_timeout_delta=100, snd_wnd=0))
    await b.send(2000)
    b.ready["txq"] = 0
    await b.crowd(replace(CACHED, cached_flags=KEEP_ALIVE))  # the transmit queue is full, no grant goes
    await b.settle(300)
    b.now = 1100
    only((await b.take(TcpEvt.TIMER)).tcb, ka_probe_owed=1, ka_probes_sent=1)
    only((await b.segment()).tcb, ka_probe_owed=0, ka_probes_sent=0, persist=0, snd_wnd=20000)
    b.ready["txq"] = 100
    grants = [record for record in await b.settle(300) if record.kind == TcpEvt.TX_GRANT]
    segments = [TxSegment.unpack(record.tx0.body) for record in grants]
    assert [(segment.seq, segment.len) for segment in segments] == [(UNA, 1460), (u32(UNA + 1460), 540)]
    await b.quiet()


@cocotb.test()
async def an_invalid_connection_sends_no_probe_g0(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, ka_timeout_delta=100))
    await b.invalidate(Object.CONNECTION)
    await b.expires(1100)
    record = await b.silent_grant()
    only(record.tcb, phase=Phase.FROZEN, ka_probe_owed=1)
    only(record.dlv, event=TcpEventType.RETRIEVE, info=UploadReason.INVALID_STATE)
    await b.quiet()


@cocotb.test()
async def in_time_wait_and_closed_the_timer_only_stops_k3(dut: Any) -> None:
    for state, image in (
        (TcpState.TIME_WAIT, TcpState.CLOSING),
        (TcpState.CLOSED, TcpState.LAST_ACK),
    ):
        b = await bench_of(dut)
        loaded = replace(
            ALIVE, state=image, snd_nxt=u32(UNA + 1), snd_max=u32(UNA + 1), ka_probes_sent=4, ka_probe_count=1
        )
        await b.load(loaded)
        await b.inherit(0)
        await b.command(Opcode.START)
        record = await b.segment(ack=u32(UNA + 1))
        only(record.tcb, state=state, ka_on=1, ka_deadline=2000)
        await b.settle()
        record = await b.expires(2000)
        only(record, dlv_valid=0)
        only(record.tcb, ka_on=0, ka_probe_owed=0, phase=Phase.RUNNING, state=state)
        await b.quiet()
        await b.end()


# ---- UPDATE ----------------------------------------------------------------------------------------------------------
@cocotb.test()
async def update_switches_keep_alive_on_off_and_restarts_it_k3_g15(dut: Any) -> None:
    b = await bench_of(dut)
    await b.load(replace(ALIVE, ka_probes_sent=2, ka_timeout_delta=300))

    async def updated(flags: int) -> Tcb:
        return (await b.update(replace(CACHED, cached_flags=flags))).tcb

    # LOADED: deadlines are remaining ticks
    only(await updated(KEEP_ALIVE), ka_on=1, ka_deadline=300, ka_probes_sent=2)
    only(await updated(KEEP_ALIVE | KEEP_ALIVE_RESTART), ka_on=1, ka_deadline=700, ka_probes_sent=0)
    only(await updated(0), ka_on=0)
    only(await updated(KEEP_ALIVE), ka_on=1, ka_deadline=700)
    only((await b.command(Opcode.START)).tcb, ka_deadline=1700)
    only((await b.expires(1700)).tcb, ka_probes_sent=1, ka_deadline=1800)
    await b.probe()
    # RUNNING: neither flag, nothing
    only(await updated(KEEP_ALIVE), ka_on=1, ka_deadline=1800, ka_probes_sent=1, ka_timeout=700)
    for flag in (KEEP_ALIVE_RESTART, MAX_RT_RESTART):
        b.now = u32(b.records[-1].tcb.ka_deadline)
        sent = (await b.take(TcpEvt.TIMER)).tcb.ka_probes_sent
        assert sent >= 1
        await b.probe()
        only(await updated(KEEP_ALIVE | flag), ka_on=1, ka_deadline=b.now + 700, ka_probes_sent=0)
    # off: the restart flags find no timer
    only(await updated(KEEP_ALIVE_RESTART | MAX_RT_RESTART), ka_on=0, ka_deadline=b.now + 700)
    b.now += 5000
    await b.quiet()
    # on again
    only(await updated(KEEP_ALIVE), ka_on=1, ka_deadline=b.now + 700)
    await b.expires(b.now + 700)
    await b.probe()
    await b.quiet()


@cocotb.test()
async def update_without_keep_alive_drops_the_probe_owed_and_leaves_a_challenge_its_timer_k3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.rate(10)
    await b.open(replace(PLAIN, ka_probe_count=0))
    await b.segment(seq=RCV + 1, flags=RST)
    only(b.records[-1].tcb, ka_on=1, ka_challenge=1, ka_deadline=4000)
    await b.sent()
    off = replace(CACHED, cached_flags=0, ka_probe_count=0, ka_interval=0)
    only((await b.update(off)).tcb, ka_on=1, ka_challenge=1, ka_deadline=4000)
    only((await b.update(replace(off, cached_flags=KEEP_ALIVE_RESTART))).tcb, ka_on=1, ka_deadline=1700)
    only((await b.update(replace(off, cached_flags=KEEP_ALIVE))).tcb, ka_on=1, ka_challenge=1, ka_deadline=1700)
    # commands wait all the time: behind the timer one of them goes before the grant
    await b.crowd(off)
    b.now = 1700
    seen = await b.settle(300)
    (fired,) = [n for n, record in enumerate(seen) if record.kind == TcpEvt.TIMER]
    only(seen[fired].tcb, ka_probe_owed=1, ka_probes_sent=1)
    only(seen[fired + 1], kind=TcpEvt.COMMAND)
    only(seen[fired + 1].tcb, ka_probe_owed=0, ka_on=1, ka_challenge=1, ka_probes_sent=1)
    assert not any(r.tx0_valid and r.tx0.kind == TxKind.SEGMENT for r in seen)


# ---- K-2: challenge ACKs ---------------------------------------------------------------------------------------------
@cocotb.test()
async def a_reset_beside_its_place_is_challenged_once_until_the_peer_is_heard_ch_196_ch_201(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(PLAIN)
    record = await b.segment(seq=RCV + 1, flags=RST)
    only(record, verdict=Verdict.DROP, dlv_valid=0)
    only(record.tcb, dup_owed=1, rst_challenged=1, syn_challenged=0, ka_on=1, ka_challenge=1)
    only(record.tcb, ka_deadline=1000 + CHALLENGE, phase=Phase.RUNNING)
    only(await b.sent(), seq=UNA, flags=ACK, ack=RCV)
    before = b.records[-1].tcb
    b.now = 200_000
    for n in range(3):
        record = await b.segment(seq=RCV + 1 + n, flags=RST)
        assert record.tcb == before, "silent"
    only((await b.segment(seq=RCV - 1)).tcb, rst_challenged=1, dup_owed=1)  # not acceptable: no new period
    await b.sent()
    record = await b.segment()
    only(record.tcb, rst_challenged=0, ka_on=0, ka_challenge=0)
    record = await b.segment(seq=RCV + 32767, flags=RST)
    only(record.tcb, dup_owed=1, rst_challenged=1, ka_on=1, ka_challenge=1, ka_deadline=200_000 + CHALLENGE)
    await b.sent()
    # a forwarded one is challenged like one from the wire
    await b.segment()
    record = await b.forward(seq=RCV + 5, flags=RST)
    only(record.cpl, kind=CqKind.FORWARD, status=Status.OK)
    only(record.tcb, dup_owed=1, rst_challenged=1, ka_challenge=1)
    await b.sent()
    await b.quiet()


@cocotb.test()
async def a_syn_beside_its_place_is_challenged_every_three_seconds_ch_198(dut: Any) -> None:
    for ticks_per_second, begin in ((1000, 1000), (100, 0xFFFF_FFFF), (10, 0xFFFF_FFF0)):
        b = await bench_of(dut)
        b.now = begin
        await b.rate(ticks_per_second)
        await b.open(PLAIN)
        gap = 3 * ticks_per_second
        record = await b.segment(seq=RCV + 1, flags=SYN)
        only(record.tcb, dup_owed=1, syn_challenged=1, syn_tick=begin, rst_challenged=0, ka_challenge=1)
        only(record.tcb, ka_deadline=u32(begin + 300 * ticks_per_second))
        await b.sent()
        b.now = u32(begin + gap - 1)
        await b.segment()  # life does not end the three seconds
        before = b.records[-1].tcb
        only(before, syn_challenged=1, ka_on=0)
        record = await b.segment(seq=RCV + 1, flags=SYN | ACK)
        assert record.tcb == before, "silent"
        # an RST has its own count
        only((await b.segment(seq=RCV + 1, flags=RST)).tcb, dup_owed=1, rst_challenged=1, syn_tick=begin)
        await b.sent()
        b.now = u32(begin + gap)
        record = await b.segment(seq=RCV + 1, flags=SYN)
        only(record.tcb, dup_owed=1, syn_challenged=1, syn_tick=u32(begin + gap))
        await b.sent()
        # outside the window it is always answered (C.2, CH-197)
        for _ in range(2):
            only((await b.segment(seq=RCV - 1, flags=SYN)).tcb, dup_owed=1, syn_tick=u32(begin + gap))
            await b.sent()
        await b.quiet()
        await b.end()


@cocotb.test()
async def a_challenge_extends_a_timer_that_runs_and_never_shortens_it_ch_201(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, ka_timeout=CHALLENGE))
    await b.segment()
    record = await b.segment(seq=RCV + 1, flags=RST)
    only(record.tcb, ka_on=1, ka_challenge=1, ka_deadline=1000 + CHALLENGE)
    await b.sent()
    b.now = 2000
    record = await b.segment(seq=RCV + 1, flags=SYN)
    only(record.tcb, ka_on=1, ka_challenge=1, ka_deadline=2000 + CHALLENGE)
    await b.sent()
    await b.update(replace(CACHED, cached_flags=KEEP_ALIVE | KEEP_ALIVE_RESTART, ka_timeout=CHALLENGE + 5000))
    only(b.records[-1].tcb, ka_deadline=7000 + CHALLENGE)
    b.now = 6000
    record = await b.segment(seq=RCV + 1, flags=SYN)
    only(record.tcb, dup_owed=1, ka_deadline=7000 + CHALLENGE, ka_challenge=1)
    await b.sent()
    await b.quiet()


@cocotb.test()
async def a_peer_that_never_answers_a_challenge_is_probed_ten_times_and_given_up_as_closed_k2_k3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.rate(10)
    await b.open(replace(PLAIN, ka_probe_count=0, ka_interval=0))
    only((await b.segment(seq=RCV + 1, flags=SYN)).tcb, ka_on=1, ka_challenge=1, ka_deadline=4000)
    await b.sent()
    for n in range(10):
        only((await b.expires(4000 + 10 * n)).tcb, ka_probe_owed=1, ka_probes_sent=n + 1, ka_challenge=1)
        await b.probe()
    asks_for_upload(await b.expires(4100), TcpState.CLOSED)
    await b.quiet()


@cocotb.test()
async def an_answer_ends_the_watch_that_a_challenge_began_k1(dut: Any) -> None:
    b = await bench_of(dut)
    await b.rate(10)
    await b.open(PLAIN)
    await b.segment(seq=RCV + 1, flags=RST)
    await b.sent()
    only((await b.expires(4000)).tcb, ka_probes_sent=1)
    await b.probe()
    record = await b.segment()
    only(record.tcb, ka_on=0, ka_challenge=0, ka_probes_sent=0, rst_challenged=0)
    b.now = 100_000
    await b.quiet()


# ---- K-7: answers to what is not acceptable --------------------------------------------------------------------------
def unanswered(record: Commit, before: Tcb) -> None:
    """Dropped, and nothing else happens."""
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0)
    assert record.tcb == before


@cocotb.test()
async def answers_to_segments_that_repeat_nothing_are_half_a_second_apart_k7(dut: Any) -> None:
    """S47, B23."""
    for ticks_per_second, begin in ((1000, 1000), (1001, 0xFFFF_FF00), (10, 0xFFFF_FFFF)):
        b = await bench_of(dut)
        b.now = begin
        await b.rate(ticks_per_second)
        only(await b.open(PLAIN), answered=0, answer_tick=0)
        gap = ticks_per_second // 2
        answered = (
            {"seq": RCV - 1},  # C.2: a keep-alive probe without an octet
            {"seq": RCV + 32768},
            {"ack": u32(UNA + 1)},  # C.5
            {"ack": u32(UNA - 20001)},
            {"ack": u32(UNA + 1), "pay_len": 10},  # text, but it is its ACK field that is refused
            {"ack": u32(UNA - 20001), "flags": ACK | FIN},
        )
        for fields in answered:
            since = b.now
            record = await b.segment(**fields)
            only(record, verdict=Verdict.DROP, dlv_valid=0)
            only(record.tcb, dup_owed=1, answered=1, answer_tick=since, dsack=0, ka_on=0, ka_challenge=0)
            only(await b.sent(), len=0, flags=ACK, ack=RCV)
            b.now = u32(since + gap - 1)
            for silent in answered:
                before = b.records[-1].tcb
                record = await b.segment(**silent)
                only(record, verdict=Verdict.DROP)
                unanswered(record, before)
            b.now = u32(since + gap)
        # one that is accepted does not end the half second
        await b.segment(seq=RCV - 1)
        await b.sent()
        only((await b.segment()).tcb, answered=1, answer_tick=b.now)
        unanswered(await b.segment(seq=RCV - 1), b.records[-2].tcb)
        # the age is unsigned
        b.now = u32(b.now + 0x9000_0000)
        only((await b.segment(seq=RCV - 1)).tcb, dup_owed=1, answer_tick=b.now)
        await b.sent()
        await b.quiet()
        await b.end()


@cocotb.test()
async def text_and_fin_outside_the_window_are_always_answered_k7_c2(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(PLAIN)
    only((await b.segment(seq=RCV - 1)).tcb, answer_tick=1000)
    await b.sent()
    b.now = 1200
    for fields in (
        {"seq": RCV - 10, "pay_len": 10},
        {"seq": RCV - 1, "flags": ACK | FIN},
        {"seq": RCV - 1, "pay_len": 1, "ack": u32(UNA + 1)},  # C.2 goes first
        {"seq": RCV + 32768, "pay_len": 1},
        {"seq": RCV + 40000, "flags": ACK | FIN},
    ):
        for _ in range(2):
            only((await b.segment(**fields)).tcb, dup_owed=1, answered=1, answer_tick=1000)
            await b.sent()
    # nor do they begin a half second
    b.now = 1500
    only((await b.segment(seq=RCV - 10, pay_len=10)).tcb, dup_owed=1, answer_tick=1000)
    await b.sent()
    only((await b.segment(seq=RCV - 1)).tcb, dup_owed=1, answer_tick=1500)
    await b.sent()
    await b.quiet()


@cocotb.test()
async def an_older_timestamp_is_answered_every_half_second_and_on_text_always_k7_c1(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(PLAIN, const_flags=TS, ts_recent=100, ts_time=1000))
    old = {"ts_present": 1, "tsval": 99}
    only((await b.segment(**old)).tcb, dup_owed=1, answered=1, answer_tick=1000)
    await b.sent()
    b.now = 1499
    unanswered(await b.segment(**old), b.records[-2].tcb)
    unanswered(await b.segment(seq=RCV + 40000, **old), b.records[-2].tcb)  # both
    for more in ({"pay_len": 1}, {"flags": ACK | FIN}):
        only((await b.segment(**old, **more)).tcb, dup_owed=1, answer_tick=1000, rcv_nxt=RCV)
        await b.sent()
    b.now = 1500
    only((await b.segment(**old)).tcb, dup_owed=1, answer_tick=1500)
    await b.sent()
    await b.quiet()


@cocotb.test()
async def answers_and_challenges_have_limits_of_their_own_k2_k7(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(PLAIN)
    await b.segment(seq=RCV - 1)
    await b.sent()
    b.now = 1100
    record = await b.segment(seq=RCV + 1, flags=RST)
    only(record.tcb, dup_owed=1, rst_challenged=1, answered=1, answer_tick=1000)
    await b.sent()
    record = await b.segment(seq=RCV + 1, flags=SYN)
    only(record.tcb, dup_owed=1, syn_challenged=1, syn_tick=1100, answered=1, answer_tick=1000)
    await b.sent()
    b.now = 1500
    only((await b.segment(seq=RCV - 1)).tcb, dup_owed=1, answer_tick=1500, syn_tick=1100)
    await b.sent()
    # what is dropped in silence is no answer
    b.now = 2500
    for fields in ({"seq": RCV - 1, "flags": RST}, {"flags": 0}):
        unanswered(await b.segment(**fields), b.records[-2].tcb)
    await b.quiet()


@cocotb.test()
async def a_forwarded_segment_is_answered_within_the_same_limit_k7_b8(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(PLAIN)
    record = await b.forward(seq=RCV - 1)
    only(record.cpl, kind=CqKind.FORWARD, status=Status.OK)
    only(record.tcb, dup_owed=1, answered=1, answer_tick=1000)
    await b.sent()
    before = b.records[-1].tcb
    unanswered(await b.segment(seq=RCV - 1), before)
    record = await b.forward(ack=u32(UNA + 1))
    only(record.cpl, kind=CqKind.FORWARD, status=Status.OK)
    unanswered(record, before)
    await b.quiet()


@cocotb.test()
async def the_answers_of_one_connection_do_not_count_for_another_k7(dut: Any) -> None:
    """B13."""
    b = await bench_of(dut)
    await b.open(PLAIN)
    await b.command(Opcode.INITIATE, replace(PLAIN, local_port=4001).pack(), conn=1)
    only((await b.command(Opcode.START, conn=1)).tcb, answered=0)
    await b.segment(seq=RCV - 1)
    await b.sent()
    unanswered(await b.segment(seq=RCV - 1), b.records[-2].tcb)
    only((await b.segment(seq=RCV - 1, conn=1)).tcb, dup_owed=1, answered=1, answer_tick=1000)
    await b.sent()
    await b.quiet()


# ---- K-4: FIN_WAIT_2 -------------------------------------------------------------------------------------------------
@cocotb.test()
async def fin_wait_2_waits_120_seconds_from_the_last_acceptable_segment_ch_220(dut: Any) -> None:
    for ticks_per_second in (1000, 100, 10):
        b = await bench_of(dut)
        await b.rate(ticks_per_second)
        wait = 120 * ticks_per_second
        await b.open(PLAIN)
        await b.command(Opcode.DISCONNECT, flags=GRACEFUL)
        only(await b.sent(), seq=UNA, flags=ACK | FIN)
        record = await b.segment(ack=u32(UNA + 1))
        only(record.tcb, state=TcpState.FIN_WAIT_2, rtx_on=1, rtx_deadline=1000 + wait, rtx_count=0, persist=0)
        await b.grant()
        b.now = 1100
        only((await b.segment(ack=u32(UNA + 1), seq=RCV - 1)).tcb, rtx_on=1, rtx_deadline=1000 + wait)
        await b.sent()
        record = await b.segment(ack=u32(UNA + 1), pay_len=10)
        only(record, verdict=Verdict.DELIVER)
        only(record.tcb, rtx_on=1, rtx_deadline=1100 + wait)
        only((await b.expires(1200)).tcb, ack_now=1, rtx_on=1, rtx_deadline=1100 + wait)  # the delayed ACK
        await b.sent()
        record = await b.segment(ack=u32(UNA + 1), seq=RCV + 10)
        only(record.tcb, rtx_on=1, rtx_deadline=1200 + wait)
        record = await b.expires(1200 + wait)
        asks_for_upload(record, TcpState.CLOSED)
        await b.quiet()
        await b.end()


@cocotb.test()
async def the_peers_fin_stops_the_timer_of_fin_wait_2_k4(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(PLAIN, state=TcpState.FIN_WAIT_2))
    b.now = 2000
    record = await b.segment(flags=ACK | FIN)
    only(record.tcb, state=TcpState.TIME_WAIT, rtx_on=0)
    await b.settle()
    b.now = 2000 + 2 * HALF_CLOSED
    await b.quiet()
    # data that a connection in FIN_WAIT_2 cannot have: it is neither taken nor started (B-5, B-4)
    odd = replace(PLAIN, state=TcpState.FIN_WAIT_2, local_port=5, snd_nxt=u32(UNA + 9), snd_max=u32(UNA + 9))
    await b.command(Opcode.INITIATE, odd.pack(), conn=1)
    refused(await b.command(Opcode.SEND, conn=1, length=9, count=1), opcode=Opcode.SEND)
    only((await b.command(Opcode.START, conn=1)).cpl, kind=CqKind.COMMAND, status=Status.BAD_STATE)


@cocotb.test()
async def fin_wait_2_is_handed_over_with_and_without_its_timer_k4(dut: Any) -> None:
    b = await bench_of(dut)
    only(await b.load(replace(PLAIN, state=TcpState.FIN_WAIT_2, rtx_timeout_delta=600)), rtx_on=1, rtx_deadline=600)
    b.now = 1500
    only((await b.command(Opcode.START)).tcb, rtx_on=1, rtx_deadline=2100)
    record = await b.expires(2100)
    asks_for_upload(record, TcpState.CLOSED)
    fresh = replace(PLAIN, state=TcpState.FIN_WAIT_2, local_port=77)
    only((await b.command(Opcode.INITIATE, fresh.pack(), conn=1)).tcb, rtx_on=0)
    b.now = 3000
    only((await b.command(Opcode.START, conn=1)).tcb, rtx_on=1, rtx_deadline=3000 + HALF_CLOSED)
    record = await b.expires(3000 + HALF_CLOSED)
    asks_for_upload(record, TcpState.CLOSED)
    await b.quiet()


@cocotb.test()
async def a_closed_window_does_not_take_the_timer_of_fin_wait_2_away_k4_e3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(PLAIN)
    await b.send(100)
    await b.sent()
    await b.command(Opcode.DISCONNECT, flags=GRACEFUL)
    only(await b.sent(), seq=u32(UNA + 100), flags=ACK | FIN)
    await b.segment(wnd=0)  # the window closes while both are on their way
    b.now = 2000
    record = await b.take(TcpEvt.TIMER)
    only(record.tcb, persist=1, state=TcpState.FIN_WAIT_1, snd_nxt=UNA, snd_max=u32(UNA + 101))
    only((await b.expires(record.tcb.rtx_deadline)).tcb, probe_owed=1, rtx_count=1)
    await b.sent()
    record = await b.segment(ack=u32(UNA + 101), wnd=0)
    only(record.tcb, state=TcpState.FIN_WAIT_2, persist=0, rtx_count=0, rtx_on=1, rtx_deadline=b.now + HALF_CLOSED)
    await b.grant()
    await b.quiet()
    asks_for_upload(await b.expires(b.now + HALF_CLOSED), TcpState.CLOSED)
    await b.quiet()


# ---- INITIATE in every state, inherited FIN --------------------------------------------------------------------------
@cocotb.test()
async def a_connection_comes_in_any_of_six_states_b3(dut: Any) -> None:
    b = await bench_of(dut)
    await b.path()
    await b.neighbor()
    got_fin = {TcpState.CLOSE_WAIT, TcpState.CLOSING, TcpState.LAST_ACK}
    states = (TcpState.ESTABLISHED, TcpState.FIN_WAIT_1, TcpState.FIN_WAIT_2, *sorted(got_fin))
    for conn, state in enumerate(states):
        image = replace(PLAIN, state=state, local_port=100 + state)
        record = await b.command(Opcode.INITIATE, image.pack(), conn=conn)
        only(record.tcb, phase=Phase.LOADED, state=state, fin_rcvd=int(state in got_fin), fin_queued=0)
    await b.quiet()


CLOSING_STATES = (
    (TcpState.FIN_WAIT_1, TcpState.FIN_WAIT_2),
    (TcpState.CLOSING, TcpState.TIME_WAIT),
    (TcpState.LAST_ACK, TcpState.CLOSED),
)


@cocotb.test()
async def an_inherited_fin_that_was_sent_is_acknowledged_b6_g21(dut: Any) -> None:
    for state, after in CLOSING_STATES:
        for length in (100, 0):
            b = await bench_of(dut)
            end = u32(UNA + length + 1)
            await b.load(replace(PLAIN, state=state, snd_nxt=end, snd_max=end, rtx_timeout_delta=5000))
            if length:
                await b.send(length)
            record = await b.command(Opcode.START)
            only(record.cpl, status=Status.BAD_STATE, code=Opcode.START)  # its octet is not there yet
            record = await b.command(Opcode.DISCONNECT, flags=GRACEFUL | INHERITED)
            only(record, cpl_valid=0, dlv_valid=0, tx1_valid=0, tx0_valid=1)
            only(record.tx0, kind=TxKind.APPEND, conn=0, gen=GEN)
            want = TxAppend(
                start_seq=u32(UNA + length), end_seq=end, cookie=COOKIE, last=0, fin=1, opcode=Opcode.DISCONNECT,
                sq_index=record.cause,
            )  # fmt: skip
            assert TxAppend.unpack(record.tx0.body) == want
            only(record.tcb, fin_queued=1, snd_end=end, state=state)
            only((await b.command(Opcode.START)).tcb, rtx_on=1, rtx_deadline=6000, persist=0)
            await b.quiet()
            record = await b.segment(ack=u32(end - 1))
            only(record.tcb, state=state)
            if length:
                await b.grant()
            record = await b.segment(ack=end)
            only(record.tcb, state=after, snd_una=end, rtx_on=int(after == TcpState.FIN_WAIT_2))
            record, segment = await b.grant()
            assert segment is None
            only(record.tx1, kind=TxKind.RELEASE)
            await b.settle()
            await b.end()


@cocotb.test()
async def an_inherited_fin_that_was_lost_is_sent_again_with_its_data_b6(dut: Any) -> None:
    """B21."""
    for state, after in CLOSING_STATES:
        for length in (100, 0):
            b = await bench_of(dut)
            end = u32(UNA + length + 1)
            await b.load(replace(PLAIN, state=state, snd_nxt=end, snd_max=end, rtx_timeout_delta=50))
            await b.inherit(length)
            await b.command(Opcode.START)
            record = await b.expires(1050)
            only(record.tcb, snd_nxt=UNA, snd_max=end, rtx_count=1, state=state)
            flags = ACK | FIN | (PSH if length else 0)
            only(await b.sent(), seq=UNA, len=length, flags=flags)
            only(b.records[-1].tcb, snd_nxt=end, snd_max=end, state=state)
            only((await b.segment(ack=end)).tcb, state=after)
            await b.settle()
            await b.end()


@cocotb.test()
async def an_inherited_fin_that_was_never_sent_goes_behind_the_data_b6(dut: Any) -> None:
    for state, after in CLOSING_STATES:
        for done in (40, 100):
            b = await bench_of(dut)
            end = u32(UNA + 101)
            at = u32(UNA + done)
            await b.load(replace(PLAIN, state=state, snd_nxt=at, snd_max=at, rtx_timeout_delta=5000))
            await b.inherit(100)
            await b.command(Opcode.START)
            flags = ACK | FIN | (PSH if done < 100 else 0)
            only(await b.sent(), seq=at, len=100 - done, flags=flags)
            only(b.records[-1].tcb, snd_nxt=end, snd_max=end, state=state)
            only((await b.segment(ack=end)).tcb, state=after)
            await b.settle()
            await b.end()


@cocotb.test()
async def an_inherited_fin_out_of_its_place_is_refused_b6(dut: Any) -> None:
    b = await bench_of(dut)
    refused(await b.command(Opcode.DISCONNECT, flags=GRACEFUL | INHERITED))  # FREE
    await b.path()
    await b.neighbor()
    for conn, state in enumerate((TcpState.ESTABLISHED, TcpState.CLOSE_WAIT, TcpState.FIN_WAIT_2)):
        image = replace(PLAIN, state=state, local_port=100 + state)
        before = (await b.command(Opcode.INITIATE, image.pack(), conn=conn)).tcb
        record = await b.command(Opcode.DISCONNECT, conn=conn, flags=GRACEFUL | INHERITED)
        refused(record)
        assert record.tcb == before
    image = replace(PLAIN, state=TcpState.FIN_WAIT_1, local_port=200)
    await b.command(Opcode.INITIATE, image.pack(), conn=3)
    refused(await b.command(Opcode.DISCONNECT, conn=3, flags=GRACEFUL))  # the host has closed it already
    refused(await b.command(Opcode.DISCONNECT, conn=3, gen=GEN + 1, flags=GRACEFUL | INHERITED))
    record = await b.command(Opcode.DISCONNECT, conn=3, flags=GRACEFUL | INHERITED)
    only(record, cpl_valid=0, tx0_valid=1)
    refused(await b.command(Opcode.DISCONNECT, conn=3, flags=GRACEFUL | INHERITED))  # one is enough
    await b.command(Opcode.TERMINATE, conn=3)
    refused(await b.command(Opcode.DISCONNECT, conn=3, flags=GRACEFUL | INHERITED), Status.UPLOAD)
    await b.command(Opcode.START, conn=0)
    refused(await b.command(Opcode.DISCONNECT, conn=0, flags=GRACEFUL | INHERITED))  # RUNNING
    await b.quiet()


@cocotb.test()
async def nothing_is_sent_behind_a_fin_that_was_acknowledged_b5(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(PLAIN, state=TcpState.FIN_WAIT_2))
    refused(await b.command(Opcode.SEND, length=10, count=1), opcode=Opcode.SEND)
    await b.quiet()


# ---- K-5: Nagle ------------------------------------------------------------------------------------------------------
@cocotb.test()
async def nagle_holds_a_short_last_piece_while_data_is_on_its_way_k5(dut: Any) -> None:
    """S13."""
    b = await bench_of(dut)
    await b.open(replace(PLAIN, cached_flags=NAGLE, cwnd=20000))
    await b.send(100)  # nothing is on its way
    only(await b.sent(), seq=UNA, len=100)
    await b.send(1459)
    only(b.records[-1].tcb, persist=0, rtx_deadline=2000)
    await b.quiet()
    await b.send(1)  # a whole segment need not wait
    only(await b.sent(), seq=u32(UNA + 100), len=1460)
    await b.send(10)
    await b.quiet()
    await b.segment(ack=u32(UNA + 100))  # one segment is still out
    _, segment = await b.grant()
    assert segment is None
    await b.quiet()
    await b.segment(ack=u32(UNA + 1560))
    only(await b.sent(), seq=u32(UNA + 1560), len=10, flags=ACK | PSH)
    await b.quiet()


@cocotb.test()
async def nagle_does_not_hold_back_a_fin_or_what_was_sent_before_k5_ch_173(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(PLAIN, cached_flags=NAGLE, cwnd=20000))
    await b.send(100)
    await b.sent()
    await b.send(50)
    await b.quiet()
    await b.command(Opcode.DISCONNECT, flags=GRACEFUL)
    only(await b.sent(), seq=u32(UNA + 100), len=50, flags=ACK | PSH | FIN)
    await b.quiet()
    # pulled back by a timeout: a short piece below snd_max goes although data is out
    image = replace(
        PLAIN, cached_flags=NAGLE, cwnd=20000, local_port=3, snd_nxt=u32(UNA + 1460), snd_max=u32(UNA + 1470),
        rtx_timeout_delta=5000,
    )  # fmt: skip
    await b.command(Opcode.INITIATE, image.pack(), conn=1)
    await b.send(1470, conn=1)
    await b.command(Opcode.START, conn=1)
    only(await b.sent(), seq=u32(UNA + 1460), len=10)
    await b.quiet()


@cocotb.test()
async def nagle_holds_back_half_a_window_too_k5(dut: Any) -> None:
    for flags, held in ((0, False), (NAGLE, True)):
        b = await bench_of(dut)
        await b.open(replace(PLAIN, cached_flags=flags, snd_wnd=400, max_snd_wnd=400))
        await b.send(100)
        await b.sent()
        await b.send(250)  # 2 * 250 >= 400
        if not held:
            only(await b.sent(), len=250)
        await b.quiet()
        # what the window cuts is no last piece: silly-window avoidance alone decides
        await b.send(200)
        if held:
            only(await b.sent(), seq=u32(UNA + 100), len=300)
        await b.quiet()
        await b.end()


@cocotb.test()
async def update_switches_nagle_on_and_off_at_once_k5_b9(dut: Any) -> None:
    """S10."""
    b = await bench_of(dut)
    await b.open(replace(PLAIN, cwnd=20000))
    await b.send(100)
    await b.sent()
    await b.send(10)
    only(await b.sent(), seq=u32(UNA + 100), len=10)  # off
    await b.update(replace(CACHED, cached_flags=NAGLE))
    await b.send(20)
    await b.quiet()
    await b.update(replace(CACHED, cached_flags=0))
    only(await b.sent(), seq=u32(UNA + 110), len=20)
    await b.quiet()


# ---- K-6: VLAN -------------------------------------------------------------------------------------------------------
MISMATCHES: tuple[dict[str, int], ...] = (
    {},
    {"tagged": 1, "vlan_id": 0},
    {"tagged": 1, "vlan_id": 4},
    {"tagged": 1, "vlan_id": 0x805},
    {"tagged": 0, "vlan_id": 5},
)


@cocotb.test()
async def a_frame_of_another_vlan_is_dropped_before_anything_else_ch_161(dut: Any) -> None:
    """S12."""
    b = await bench_of(dut)
    before = await b.open(PLAIN)
    await b.write_neighbor(3, vlan=5, flags=KEEP)
    for tag in MISMATCHES:
        for segment in (
            {"pay_len": 10},
            {"flags": RST},
            {"flags": SYN},
            {"seq": RCV - 1},
            {"seq": RCV + 1, "flags": RST},
            {"flags": ACK | 32, "pay_len": 1},
        ):
            record = await b.segment(**segment, **tag)
            only(record, verdict=Verdict.DROP, dlv_valid=0)
            assert record.tcb == before, (segment, tag)
    record = await b.segment(pay_len=10, tagged=1, vlan_id=5)
    only(record, verdict=Verdict.DELIVER)
    # a forwarded segment has no tag and is not filtered (G-38)
    record = await b.forward(seq=RCV + 10, pay_len=10)
    only(record, dlv_valid=1)
    only(record.tcb, rcv_nxt=RCV + 20)
    await b.settle()


@cocotb.test()
async def a_neighbor_without_vlan_takes_every_frame_ch_161(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(PLAIN)
    at = RCV
    for tag in (*MISMATCHES[:4], {"tagged": 1, "vlan_id": 4095}):
        record = await b.segment(seq=at, pay_len=10, **tag)
        only(record, verdict=Verdict.DELIVER)
        at += 10
        await b.settle()
    await b.quiet()


@cocotb.test()
async def the_filter_goes_by_the_neighbor_that_the_path_has_now_k6(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(PLAIN)
    await b.write_neighbor(4, vlan=4095)
    only(await b.segment(), verdict=Verdict.DROP)
    only(await b.segment(pay_len=1), verdict=Verdict.DELIVER)
    await b.write_path(0, 4, flags=KEEP)
    before = (await b.segment(seq=RCV + 1, pay_len=1)).tcb
    only(before, rcv_nxt=RCV + 1)
    only(await b.segment(seq=RCV + 1, pay_len=1, tagged=1, vlan_id=4095), verdict=Verdict.DELIVER)
    await b.settle()
    await b.write_path(0, 6, flags=KEEP)  # a neighbor that was never written has no VLAN
    only(await b.segment(seq=RCV + 2, pay_len=1, tagged=1, vlan_id=9), verdict=Verdict.DELIVER)
    await b.settle()


@cocotb.test()
async def outside_running_nothing_is_filtered_and_in_time_wait_it_is_k6(dut: Any) -> None:
    b = await bench_of(dut)
    await b.load(replace(PLAIN, state=TcpState.FIN_WAIT_2))
    await b.write_neighbor(3, vlan=5, flags=KEEP)
    only(await b.segment(), verdict=Verdict.PASS_UP)  # LOADED
    await b.command(Opcode.START)
    only(await b.segment(), verdict=Verdict.DROP)
    only(await b.segment(gen=GEN + 1), verdict=Verdict.PASS_UP)
    record = await b.segment(flags=ACK | FIN, tagged=1, vlan_id=5)
    only(record.tcb, state=TcpState.TIME_WAIT)
    await b.settle()
    only(await b.segment(seq=RCV + 1), verdict=Verdict.DROP)
    only(await b.segment(seq=RCV + 1, tagged=1, vlan_id=5), verdict=Verdict.PASS_UP)
    await b.command(Opcode.TERMINATE)
    only(await b.segment(seq=RCV + 1), verdict=Verdict.PASS_UP)
    await b.quiet()


# ---- what is handed over, and what stands in the way of a peer that hears us -----------------------------------------
@cocotb.test()
async def a_pure_ack_and_a_reset_lie_in_front_of_a_closed_window_g4(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(PLAIN, snd_wnd=0))
    await b.send(100)
    await b.expires(2000)
    only(await b.sent(), seq=UNA, len=1)
    only(b.records[-1].tcb, snd_nxt=UNA, snd_max=u32(UNA + 1), persist=1)
    await b.segment(seq=RCV - 1, pay_len=1)
    only(await b.sent(), seq=UNA, len=0, flags=ACK)
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(TxSegment.unpack(record.tx0.body), seq=UNA, len=0, flags=ACK | RST)
    await b.quiet()


@cocotb.test()
async def echoes_and_answers_to_probes_confirm_the_neighbor_e10(dut: Any) -> None:
    for how in ("keep-alive", "window", "echo", "old echo"):
        b = await bench_of(dut)
        image = replace(ALIVE, ka_timeout_delta=100)
        fields = {"seq": RCV}
        if how == "window":
            image, fields = replace(PLAIN, snd_wnd=0), {"seq": RCV, "wnd": 0}
        elif "echo" in how:
            image = replace(PLAIN, const_flags=1, ts_time=9000)  # ts_delta 8000
            fields = {"seq": RCV, "ts_present": 1, "tsval": 1, "tsecr": 9000 if how == "old echo" else 9001}
        await b.open(image)
        b.now = 1100
        if how == "window":
            await b.send(10)
            b.now = 2100
        if "echo" not in how:
            await b.take(TcpEvt.TIMER)
            await b.sent()
        b.now = 2500
        await b.segment(**fields)
        record = await b.command(Opcode.QUERY, conn=3, flags=Object.NEIGHBOR)
        only(record.cpl, status=Status.OK, info=1500 if how == "old echo" else 0, nbytes=1500)
        await b.end()


@cocotb.test()
async def probes_of_a_silly_window_are_handed_over_with_their_count_b3_b4(dut: Any) -> None:
    b = await bench_of(dut)
    image = replace(
        PLAIN, snd_wnd=300, srtt=8, rttvar=1, rtx_count=3, rtx_timeout_delta=1200, snd_max=u32(UNA + 1),
        snd_nxt=u32(UNA + 1),
    )  # fmt: skip
    only(await b.load(image), rto=300, persist=0)
    await b.send(5000)
    record = await b.command(Opcode.START)
    only(record.tcb, persist=1, snd_nxt=UNA, rtx_count=3, rto=300, rtx_deadline=2200, cwnd=4380)
    record = await b.expires(2200)
    only(record.tcb, probe_owed=1, rtx_count=4, rto=300, cwnd=4380)
    only(await b.sent(), seq=UNA, len=300)
    await b.quiet()


@cocotb.test()
async def a_fast_recovery_goes_on_where_it_was_handed_over_b3(dut: Any) -> None:
    """S39."""
    b = await bench_of(dut)
    out = u32(UNA + 5840)
    image = replace(PLAIN, dup_ack_count=3, snd_nxt=out, snd_max=out, cwnd=7300, ssthresh=2920, rtx_timeout_delta=500)
    only(await b.load(image), in_recovery=1, recover=out, dup_acks=3)
    await b.send(5840)
    await b.command(Opcode.START)
    record = await b.segment(ack=u32(UNA + 1460))
    only(record.tcb, in_recovery=1, rtx_head=1, cwnd=7300)  # 7300 - 1460 + 1460: a partial ACK
    only(await b.sent(), seq=u32(UNA + 1460), len=1460)
    await b.quiet()
    await b.end()
    b = await bench_of(dut)
    only(await b.load(replace(PLAIN, dup_ack_count=3)), in_recovery=0, recover=u32(UNA - 1))  # nothing is out


@cocotb.test()
async def the_watch_of_a_challenge_is_handed_over_k2_ch_066(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(PLAIN, ka_timeout_delta=1000))
    only(b.records[-1].tcb, ka_on=1, ka_challenge=1, ka_deadline=2000)
    only((await b.expires(2000)).tcb, ka_probe_owed=1, ka_probes_sent=1)
    await b.probe()
    await b.end()
    b = await bench_of(dut)
    await b.open(replace(ALIVE, ka_timeout_delta=1000))
    only(b.records[-1].tcb, ka_on=1, ka_challenge=0)
    only((await b.segment(seq=RCV + 1, flags=RST)).tcb, ka_challenge=1)  # keep-alive ran already
    await b.grant()
    await b.end()


@cocotb.test()
async def a_segment_in_front_of_the_grant_takes_the_probe_back_k1(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(ALIVE, ka_timeout_delta=100))
    b.ready["txq"] = 0
    await b.crowd(replace(CACHED, cached_flags=KEEP_ALIVE, ka_timeout=100))
    await b.settle(300)
    b.now = 1100
    only((await b.take(TcpEvt.TIMER)).tcb, ka_probe_owed=1)
    only((await b.segment(pay_len=10)).tcb, ka_probe_owed=0)
    only((await b.segment(seq=RCV + 10, pay_len=10)).tcb, ack_now=1)
    b.ready["txq"] = 100
    grants = [record for record in await b.settle(300) if record.kind == TcpEvt.TX_GRANT]
    only(TxSegment.unpack(grants[0].tx0.body), seq=UNA, ack=RCV + 20, len=0)
    await b.quiet()


@cocotb.test()
async def a_syn_without_timestamp_is_challenged_or_taken_for_a_restart_ch_197(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(PLAIN, const_flags=1, ts_time=9000, ts_recent=500))
    only((await b.segment(seq=RCV + 100, flags=SYN)).tcb, dup_owed=1, syn_challenged=1)
    await b.grant()
    only((await b.segment(seq=RCV - 1000, flags=SYN)).tcb, dup_owed=1)
    await b.grant()
    record = await b.segment(seq=RCV, flags=SYN)
    only(record.tcb, state=TcpState.CLOSED, phase=Phase.FROZEN)
    only(record.dlv, event=TcpEventType.RETRIEVE, info=UploadReason.UPLOAD_REQUESTED)
    # the upload is on its way: a graceful DISCONNECT is told so (B-6)
    record = await b.command(Opcode.DISCONNECT, flags=1)
    only(record.cpl, kind=CqKind.SEND, status=Status.UPLOAD)
    await b.quiet()


@cocotb.test()
async def ts_recent_ages_by_the_rate_of_the_tick_counter_c1(dut: Any) -> None:
    """S59."""
    for rate, age in ((1000, 2_073_600_000), (100, 207_360_000), (10, 20_736_000)):
        for late in (0, 1):
            b = await bench_of(dut)
            await b.rate(rate)
            await b.open(replace(PLAIN, const_flags=1, ts_time=9000, ts_recent=500))
            b.now = 1000 + age - 1 + late
            record = await b.segment(pay_len=10, ts_present=1, tsval=400)
            only(record.tcb, rcv_nxt=RCV + 10 * late, ts_recent=400 if late else 500)
            await b.end()


@cocotb.test()
async def without_room_text_is_refused_and_everything_else_goes_on_c12_e10_e11(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(PLAIN)
    await b.send(1000)
    await b.grant()
    b.room = 0
    b.ready["cpl"] = b.ready["dlv"] = 0
    b.now = 40_000
    only((await b.take(TcpEvt.TIMER)).tcb, rtx_count=1)
    await b.grant()
    only(b.records[-1], room=0, cpl_valid=0, tx0_valid=1)  # nothing is asked
    for n in range(40):
        record = await b.segment(ack=u32(UNA + 1000), pay_len=100)
        only(record, room=0, dlv_valid=0, verdict=Verdict.DROP, credits=b.spare + 8)
        only(record.tcb, snd_una=u32(UNA + 1000), rcv_nxt=RCV)
        if n == 0:
            _, _ = await b.grant()
            only(b.records[-1], room=0, tx1_valid=1)
        else:
            await b.grant()
    record = await b.segment(ack=u32(UNA + 1000), pay_len=0, wnd=60000)
    only(record.tcb, snd_wnd=60000)
    b.room = 1
    record = await b.segment(ack=u32(UNA + 1000), pay_len=100)
    only(record, room=1, dlv_valid=1, verdict=Verdict.DELIVER)
    b.ready["cpl"] = b.ready["dlv"] = 100
    await b.settle(200)
    b.check_queues()
