"""Unit test of the engine cluster on state objects: UPDATE, QUERY, INVALIDATE, neighbor age, send backlog.

DUT = engine_top with the bench of test_unit_tcp_engine; every expected number is worked out by hand from the rules
B-2, B-9 to B-12, E-9 to E-11 and G-0 of docs/contract/tcp_step.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cocotb
from cocotb.triggers import Timer

from model.layout.generated import (
    CachedImage,
    Cqe,
    CqKind,
    DlvEvt,
    DlvMsg,
    NeighborImage,
    Object,
    Opcode,
    PathImage,
    Phase,
    Sqe,
    Status,
    Tcb,
    TcpEventType,
    TcpEvt,
    TcpState,
    TxBarrier,
    TxHdrConn,
    TxHdrNbr,
    TxHdrPath,
    TxKind,
    TxRelease,
    TxSegment,
    UploadReason,
    Verdict,
)
from tb.tests.unit.test_unit_tcp_engine import (
    ACK,
    COOKIE,
    FIN,
    GEN,
    IMAGE,
    RCV,
    UNA,
    URG,
    Bench,
    Commit,
    only,
    u32,
)

KEEP = 1  # flags of PATH_WRITE and NEIGHBOR_WRITE: UPDATE of the object
MAX_RT_RESTART, UPDATE_RCV_WND = 8, 16  # cached_flags
SCALED = replace(IMAGE, const_flags=4, rcv_wind_scale=2, snd_wind_scale=0)
CACHED = CachedImage(
    cached_flags=UPDATE_RCV_WND, initial_rcv_wnd=20000, rcv_indication_size=88, ka_probe_count=9, ka_timeout=2222,
    ka_interval=333, max_rt=44444, flow_label=0xABCDE, ttl=33, tos=44, user_priority=5,
)  # fmt: skip


@dataclass(frozen=True)
class Image:
    """What engine_top hands to state_writer."""

    tcb: Tcb
    tick: int
    conn: int
    whole: int
    addr: int
    cookie: int
    sq_index: int
    opcode: int


class ObjectBench(Bench):
    """The engine's bench, with the images and the commands on objects."""

    def __init__(self, dut: Any) -> None:
        super().__init__(dut)
        self.images: list[Image] = []

    async def _cycle(self) -> None:
        before = len(self.out["img"])
        await super()._cycle()
        if len(self.out["img"]) > before:
            names = list(Image.__dataclass_fields__)[1:]
            rest = {name: int(getattr(self.dut, f"m_img_{name}").value) for name in names}
            self.images.append(Image(tcb=Tcb.unpack(self.out["img"][-1]), **rest))

    async def settle(self, cycles: int = 80) -> list[Commit]:
        """What commits by itself within some cycles; the test has seen it then."""
        await self.step(cycles)
        seen, self.taken = self.records[self.taken :], len(self.records)
        return seen

    async def command_behind_segment(self, opcode: Opcode, *, conn: int = 0, **segment: int) -> tuple[Commit, Commit]:
        """A segment, and a command that is taken before the grant that the segment asks for.

        Round robin: behind a command the segment goes first, then the command that waits with it; the scheduler needs
        some cycles to offer the grant.
        """
        await self.ages(3)
        self.sq_index += 1
        sqe = Sqe(opcode=opcode, conn=conn, gen=GEN, cookie=COOKIE)
        self.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": self.sq_index, "image": 0})
        self.offer_segment(conn=conn, **segment)
        received = await self.take(TcpEvt.RX_SEGMENT)
        record = await self.take(TcpEvt.COMMAND)
        only(record, opcode=opcode)
        return received, record

    async def update(self, image: CachedImage, **fields: int) -> Commit:
        return await self.command(Opcode.UPDATE, image.pack(), **fields)

    async def write_path(self, number: int, neighbor: int, mtu: int = 1500, flags: int = 0) -> Commit:
        image = PathImage(family=4, neighbor_id=neighbor, path_mtu=mtu, src_addr=0x0300000A, dst_addr=0x0400000A)
        return await self.command(Opcode.PATH_WRITE, image.pack(), conn=number, gen=0, flags=flags)

    async def write_neighbor(self, number: int, host: int = 0, nic: int = 0, flags: int = 0, vlan: int = 0) -> Commit:
        image = NeighborImage(
            dl_src=1, dl_dst=2, vlan_id=vlan, host_reachability_delta=host, nic_reachability_delta=nic
        )  # fmt: skip
        return await self.command(Opcode.NEIGHBOR_WRITE, image.pack(), conn=number, gen=0, flags=flags)

    async def invalidate(self, what: Object, number: int = 0, gen: int = GEN) -> Commit:
        return await self.command(Opcode.INVALIDATE, conn=number, gen=gen, flags=int(what))

    async def ages(self, neighbor: int) -> tuple[int, int]:
        """What QUERY says about a neighbor: ticks since the host's and since the device's confirmation."""
        record = await self.command(Opcode.QUERY, conn=neighbor, gen=0, flags=int(Object.NEIGHBOR))
        only(record, tx0_valid=0, dlv_valid=0, img_valid=0, cpl_valid=1)
        only(record.cpl, kind=CqKind.COMMAND, status=Status.OK, code=Opcode.QUERY, conn=neighbor, gen=0, cookie=COOKIE)
        only(record.cpl, sq_index=self.sq_index)
        assert record.tcb == Tcb()
        return record.cpl.nbytes, record.cpl.info

    async def silent_grant(self) -> Commit:
        """The next record is the grant whose SEGMENT rule E-9 keeps back."""
        record = await self.take(TcpEvt.TX_GRANT)
        only(record, tx0_valid=0, cpl_valid=0)
        return record


async def bench_of(dut: Any) -> ObjectBench:
    bench = ObjectBench(dut)
    await bench.start()
    return bench


def refused(record: Commit, status: Status) -> None:
    """The command did nothing but complete with this status."""
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0, img_valid=0, cpl_valid=1)
    only(record.cpl, kind=CqKind.COMMAND, status=status, code=record.opcode, conn=record.conn, gen=record.gen)
    only(record.cpl, cookie=COOKIE, sq_index=record.cause, nbytes=0, info=0)


def completed(record: Commit) -> None:
    """The engine completes the command with OK."""
    only(record, cpl_valid=1)
    only(record.cpl, kind=CqKind.COMMAND, status=Status.OK, code=record.opcode, conn=record.conn, gen=record.gen)
    only(record.cpl, cookie=COOKIE, sq_index=record.cause, nbytes=0, info=0)


def barred(record: Commit, what: Object) -> None:
    """The transmit path completes the command; the engine itself says nothing."""
    only(record, tx0_valid=1, tx1_valid=0, dlv_valid=0, cpl_valid=0, img_valid=0)
    only(record.tx0, kind=TxKind.BARRIER, conn=record.conn, gen=record.gen)
    wanted = TxBarrier(cookie=COOKIE, sq_index=record.cause, opcode=record.opcode, object=what)
    assert TxBarrier.unpack(record.tx0.body) == wanted


def cached_part(tcb: Tcb, **changed: int) -> Tcb:
    """The TCB with every field of CACHED in it but the window."""
    return replace(
        tcb, cached_flags=UPDATE_RCV_WND, rcv_indication_size=88, ka_probe_count=9, ka_timeout=2222, ka_interval=333,
        max_rt=44444, flow_label=0xABCDE, ttl=33, tos=44, user_priority=5, **changed,
    )  # fmt: skip


# ---- UPDATE ----------------------------------------------------------------------------------------------------------
@cocotb.test()
async def update_replaces_every_cached_field_in_one_commit_in_each_phase_b9(dut: Any) -> None:
    """S10."""
    b = await bench_of(dut)
    await b.path()
    await b.neighbor()
    await b.credit(8)
    refused(await b.update(CACHED), Status.BAD_STATE)  # FREE
    loaded = (await b.command(Opcode.INITIATE, SCALED.pack())).tcb
    record = await b.update(CACHED)
    completed(record)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=1)
    assert record.dlv == DlvMsg(kind=DlvEvt.UPDATE, conn=0, gen=GEN, info=5000)
    assert record.tcb == cached_part(loaded, init_rcv_wnd=20000)
    running = (await b.command(Opcode.START)).tcb
    record = await b.update(replace(CACHED, cached_flags=0x14, initial_rcv_wnd=65535 << 2, flow_label=0x54321))
    completed(record)
    only(record.tx0, kind=TxKind.HDR_CONN, conn=0, gen=GEN)
    want = TxHdrConn(local_port=4000, remote_port=80, path_id=0, family=4, flow_label=0x54321)
    assert TxHdrConn.unpack(record.tx0.body) == want
    only(record.dlv, kind=DlvEvt.UPDATE, info=16384, a=0, sq_index=0)
    assert record.tcb == replace(running, init_rcv_wnd=65535 << 2, flow_label=0x54321, cached_flags=0x14, ack_now=1), (
        "nothing but the cached fields and the ACK owed"
    )
    _, seg = await b.grant()
    assert seg is not None
    only(seg, ttl=33, tos=44, user_priority=5)
    # without bit 4 the window stays; bit 3 starts max_rt again
    record = await b.update(replace(CACHED, cached_flags=0, initial_rcv_wnd=7))
    completed(record)
    only(record, tx0_valid=1, dlv_valid=0)
    only(record.tcb, init_rcv_wnd=65535 << 2, ack_now=0, cached_flags=0)
    # FROZEN and not ended: the host may still change what it will get back
    frozen = (await b.segment(seq=RCV, flags=ACK | URG, pay_len=1)).tcb
    only(frozen, phase=Phase.FROZEN)
    record = await b.update(CACHED)
    completed(record)
    only(record, tx0_valid=0, dlv_valid=1)
    assert record.tcb == cached_part(frozen, init_rcv_wnd=20000)
    refused(await b.update(CACHED, gen=GEN + 1), Status.BAD_STATE)
    frozen = (await b.command(Opcode.TERMINATE)).tcb
    record = await b.update(CACHED)
    refused(record, Status.BAD_STATE)
    assert record.tcb == frozen
    await b.quiet()


@cocotb.test()
async def update_of_an_aborted_connection_is_refused_b9(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(SCALED)
    await b.command(Opcode.DISCONNECT, flags=2)
    before = b.records[-1].tcb
    record = await b.update(CACHED)
    refused(record, Status.BAD_STATE)
    assert record.tcb == before
    await b.quiet()


@cocotb.test()
async def a_window_that_the_header_cannot_say_changes_nothing_b9(dut: Any) -> None:
    b = await bench_of(dut)
    before = await b.open(SCALED)
    for flags in (0, UPDATE_RCV_WND):
        record = await b.update(replace(CACHED, cached_flags=flags, initial_rcv_wnd=(65535 << 2) + 1))
        refused(record, Status.RCV_WINDOW)
        assert record.tcb == before
    completed(await b.update(replace(CACHED, initial_rcv_wnd=65535 << 2)))
    await b.grant()
    await b.open(IMAGE, conn=1)  # no window scaling: 65535 is the most
    refused(await b.update(replace(CACHED, initial_rcv_wnd=65536), conn=1), Status.RCV_WINDOW)
    completed(await b.update(replace(CACHED, initial_rcv_wnd=65535), conn=1))
    await b.grant()
    await b.quiet()


@cocotb.test()
async def max_rt_restart_clears_the_retransmission_time_b9(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(SCALED, total_rt=700))
    only((await b.update(replace(CACHED, cached_flags=0))).tcb, total_rt=700)
    only((await b.update(replace(CACHED, cached_flags=MAX_RT_RESTART))).tcb, total_rt=0)
    await b.quiet()


@cocotb.test()
async def a_larger_window_is_advertised_at_once_and_a_smaller_one_never_pulls_the_edge_back_b9_g4(dut: Any) -> None:
    """S20."""
    b = await bench_of(dut)
    await b.open(SCALED)
    only((await b.update(replace(CACHED, initial_rcv_wnd=32768))).tcb, ack_now=0)  # what the peer knows already
    record = await b.update(replace(CACHED, initial_rcv_wnd=40000))
    only(record.tcb, ack_now=1, rcv_adv=RCV + 32768)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, len=0, flags=ACK, ack=RCV, wnd=10000)
    only(record.tcb, rcv_adv=RCV + 40000, ack_now=0)
    record = await b.update(replace(CACHED, initial_rcv_wnd=1000))
    only(record.tcb, ack_now=1, init_rcv_wnd=1000)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, wnd=10000)
    only(record.tcb, rcv_adv=RCV + 40000)
    # text up to the old edge is still taken, and only what goes beyond the new size opens the window again
    for n in range(28):
        await b.segment(seq=RCV + 1400 * n, pay_len=1400)
        await b.credit(1)
        if n % 2:
            _, seg = await b.grant()
            assert seg is not None
            only(seg, wnd=10000 - 350 * (n + 1))
    record = await b.segment(seq=RCV + 39200, pay_len=1400)
    only(record.dlv, kind=DlvEvt.DELIVER, len=800)  # 40000 - 39200, cut
    _, seg = await b.grant()
    assert seg is not None
    only(seg, ack=RCV + 40000, wnd=0)
    only((await b.consumed(39499)).tcb, ack_now=0)  # 499 of 1000: less than half of the window
    only((await b.consumed(1)).tcb, ack_now=1)
    _, seg = await b.grant()
    assert seg is not None
    only(seg, wnd=125)  # 39500 + 1000 - 40000 = 500 bytes
    await b.quiet()


# ---- paths and neighbors ---------------------------------------------------------------------------------------------
@cocotb.test()
async def an_update_of_a_path_or_neighbor_that_was_never_written_is_refused_b2(dut: Any) -> None:
    b = await bench_of(dut)
    refused(await b.write_path(2, 3, flags=KEEP), Status.BAD_STATE)
    refused(await b.write_neighbor(3, flags=KEEP), Status.BAD_STATE)
    await b.write_neighbor(3)
    refused(await b.write_path(2, 3, flags=KEEP), Status.BAD_STATE)  # the refused one wrote nothing
    await b.write_path(2, 3)
    record = await b.write_path(2, 3, mtu=900, flags=KEEP)
    completed(record)
    only(record.tx0, kind=TxKind.HDR_PATH, conn=2, gen=0)
    want = TxHdrPath(neighbor_id=3, family=4, src_addr=0x0A000003, dst_addr=0x0A000004)
    assert TxHdrPath.unpack(record.tx0.body) == want
    record = await b.write_neighbor(3, flags=KEEP, vlan=3)
    completed(record)
    only(record.tx0, kind=TxKind.HDR_NEIGHBOR, conn=3, gen=0)
    assert TxHdrNbr.unpack(record.tx0.body) == TxHdrNbr(dl_src=1, dl_dst=2, vlan_id=3)
    await b.quiet()


@cocotb.test()
async def a_path_update_changes_the_mtu_of_a_connection_in_use_b2(dut: Any) -> None:
    """S09, B22."""
    b = await bench_of(dut)
    await b.open()
    await b.write_path(0, 3, mtu=1040, flags=KEEP)
    await b.send(2000)
    for length in (1000, 1000):
        _, seg = await b.grant()
        assert seg is not None
        only(seg, len=length)
    await b.quiet()


@cocotb.test()
async def a_neighbor_update_replaces_the_hosts_confirmation_and_keeps_the_devices_b2(dut: Any) -> None:
    b = await bench_of(dut)
    await b.write_neighbor(3, host=200, nic=300)
    b.now = 1500
    assert await b.ages(3) == (700, 800)
    await b.write_neighbor(3, host=50, nic=60, flags=KEEP)
    assert await b.ages(3) == (50, 800)
    await b.write_neighbor(3, host=50, nic=60)
    assert await b.ages(3) == (50, 60)
    await b.quiet()


# ---- QUERY -----------------------------------------------------------------------------------------------------------
@cocotb.test()
async def query_hands_out_the_state_of_one_instant_and_changes_nothing_b10(dut: Any) -> None:
    b = await bench_of(dut)
    await b.path()
    await b.neighbor()
    await b.credit(8)
    refused(await b.command(Opcode.QUERY, addr=0x7000), Status.BAD_STATE)
    await b.command(Opcode.INITIATE, replace(SCALED, rtx_timeout_delta=600).pack())
    steps: list[Tcb] = [b.records[-1].tcb]
    record = await b.command(Opcode.QUERY, addr=0x7000)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0, cpl_valid=0, img_valid=1)
    assert record.tcb == steps[0]
    await b.command(Opcode.START)
    await b.send(100)
    await b.grant()
    steps.append((await b.segment(seq=RCV, pay_len=10)).tcb)
    b.now = 1050
    record = await b.command(Opcode.QUERY, addr=0x7100)
    assert record.tcb == steps[1]
    steps.append((await b.segment(seq=RCV + 10, flags=ACK | URG, pay_len=1)).tcb)
    only(steps[2], phase=Phase.FROZEN)
    record = await b.command(Opcode.QUERY, addr=0x7200)
    assert record.tcb == steps[2]
    steps.append((await b.command(Opcode.TERMINATE, addr=0x7300)).tcb)
    record = await b.command(Opcode.QUERY, addr=0x7400)
    assert record.tcb == steps[3]
    refused(await b.command(Opcode.QUERY, gen=GEN + 1), Status.BAD_STATE)
    b.waiting["fence"].append({"conn": 0, "gen": GEN})
    freed = (await b.take(TcpEvt.FENCE_DONE)).tcb
    await b.step(20)
    assert [(i.tcb, i.tick, i.addr, i.sq_index) for i in b.images] == [
        (steps[0], 1000, 0x7000, 5), (steps[1], 1050, 0x7100, 8), (steps[2], 1050, 0x7200, 9),
        (steps[3], 1050, 0x7400, 11), (freed, 1050, 0x7300, 10),
    ]  # fmt: skip
    assert all(i.conn == 0 and i.cookie == COOKIE for i in b.images)
    assert [(i.whole, i.opcode) for i in b.images] == [(1, Opcode.QUERY)] * 4 + [(0, Opcode.TERMINATE)]
    await b.quiet()


@cocotb.test()
async def a_query_waits_for_the_writer_and_holds_up_no_other_event_b10(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    b.ready["img"] = 0
    await b.command(Opcode.QUERY, addr=0x7000)
    sqe = Sqe(opcode=Opcode.QUERY, conn=0, gen=GEN, cookie=COOKIE, addr=0x8000)
    b.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": 77, "image": 0})
    await b.step(60)
    assert len(b.records) == b.taken, "the second one waits"
    await b.segment(seq=RCV, pay_len=10)
    assert b.waiting["cmd"], "a segment goes past it"
    b.ready["img"] = 100
    record = await b.take(TcpEvt.COMMAND)
    only(record, img_valid=1, cause=77)
    await b.step(10)
    assert [i.addr for i in b.images] == [0x7000, 0x8000]
    only(b.images[0].tcb, rcv_nxt=RCV)
    only(b.images[1].tcb, rcv_nxt=RCV + 10)
    # other commands do not need the writer
    b.ready["img"] = 0
    await b.command(Opcode.QUERY, addr=0x7000)
    await b.command(Opcode.SEND, flags=1, length=10, count=1)
    await b.grant()
    await b.ages(3)
    b.ready["img"] = 100
    await b.quiet()


@cocotb.test()
async def a_query_of_a_neighbor_answers_with_both_ages_ch_225(dut: Any) -> None:
    b = await bench_of(dut)
    record = await b.command(Opcode.QUERY, conn=3, gen=9, flags=int(Object.NEIGHBOR))
    refused(record, Status.BAD_STATE)
    await b.open()
    b.now = 1700
    assert await b.ages(3) == (700, 700)
    await b.send(100)
    await b.grant()
    await b.segment(seq=RCV, pay_len=10)  # text alone is no forward progress
    assert await b.ages(3) == (700, 700)
    await b.segment(seq=RCV + 10, ack=u32(UNA + 40))
    await b.grant()  # RELEASE
    b.now = 1760
    assert await b.ages(3) == (760, 60)
    await b.segment(seq=RCV + 10, ack=u32(UNA + 40))  # nothing new
    await b.segment(seq=RCV + 10, ack=u32(UNA + 101))  # what was never sent
    await b.grant()
    assert await b.ages(3) == (760, 60)
    await b.quiet()


# ---- INVALIDATE ------------------------------------------------------------------------------------------------------
@cocotb.test()
async def invalidate_of_what_is_not_there_is_refused_b11(dut: Any) -> None:
    b = await bench_of(dut)
    for what in Object:
        refused(await b.invalidate(what, 2), Status.BAD_STATE)
    await b.open()
    refused(await b.invalidate(Object.CONNECTION, gen=GEN + 1), Status.BAD_STATE)
    refused(await b.invalidate(Object.PATH, 3), Status.BAD_STATE)
    refused(await b.invalidate(Object.NEIGHBOR, 0), Status.BAD_STATE)
    # nothing was invalidated by any of them
    await b.send(100)
    _, seg = await b.grant()
    assert seg is not None
    await b.quiet()


@cocotb.test()
async def the_driver_has_a_connection_stopped_and_asked_for_once_b13(dut: Any) -> None:
    b = await bench_of(dut)
    refused(await b.command(Opcode.UPLOAD), Status.BAD_STATE)
    await b.open()
    await b.send(100)
    await b.grant()
    record = await b.command(Opcode.UPLOAD)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=1)
    only(record.cpl, kind=CqKind.COMMAND, status=Status.OK, code=Opcode.UPLOAD, cookie=COOKIE)
    only(record.dlv, kind=DlvEvt.NOTIFY, event=TcpEventType.RETRIEVE, info=UploadReason.UPLOAD_REQUESTED, aborted=0)
    only(record.tcb, phase=Phase.FROZEN, retrieve_sent=1)
    again = await b.command(Opcode.UPLOAD)
    only(again, dlv_valid=0)
    only(again.cpl, status=Status.OK)
    await b.segment(seq=RCV, ack=UNA)
    assert await b.settle() == []
    await b.quiet()


async def silenced(b: ObjectBench, what: Object, number: int) -> None:
    """Data is queued and in flight; the object becomes invalid; one grant asks for the upload, nothing more leaves."""
    await b.open(replace(IMAGE, cwnd=1460))
    await b.send(3000)
    await b.grant()
    await b.segment(seq=RCV, ack=u32(UNA + 500))
    await b.grant()  # RELEASE
    gen = GEN if what == Object.CONNECTION else 0
    barred(await b.invalidate(what, number, gen), what)
    barred(await b.invalidate(what, number, gen), what)  # the same again
    await b.quiet()  # no window: nothing was kept back, nothing is asked
    record = await b.segment(seq=RCV, pay_len=10, ack=u32(UNA + 1460))
    only(record, verdict=Verdict.DELIVER)
    only(record.tcb, rcv_nxt=RCV + 10, invalid=int(what == Object.CONNECTION))
    record = await b.silent_grant()
    before = b.records[-2].tcb
    assert record.dlv == DlvMsg(
        kind=DlvEvt.NOTIFY, conn=0, gen=GEN, event=TcpEventType.RETRIEVE, info=UploadReason.INVALID_STATE
    )
    only(record, tx1_valid=1)
    assert TxRelease.unpack(record.tx1.body) == TxRelease(una=u32(UNA + 1460), status=Status.OK)
    assert record.tcb == replace(before, phase=Phase.FROZEN, retrieve_sent=1, release_owed=0)
    b.now += 100_000
    await b.quiet(300)
    only(await b.segment(seq=RCV + 10, pay_len=10), verdict=Verdict.PASS_UP, dlv_valid=0)
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0, cpl_valid=1)
    only(record.cpl, kind=CqKind.SEND, status=Status.UPLOAD, code=Opcode.DISCONNECT, cookie=COOKIE)
    record = await b.send(10)  # still queued, for the one who takes over
    only(record.tx0, kind=TxKind.APPEND)
    record = await b.command(Opcode.TERMINATE)
    only(record, tx0_valid=0, tx1_valid=1)
    only(TxRelease.unpack(record.tx1.body), status=Status.UPLOAD)
    await b.quiet()
    kinds = [r.tx0.kind for r in b.records if r.tx0_valid]
    assert TxKind.SEGMENT not in kinds[kinds.index(TxKind.BARRIER) :]
    asked = [r for r in b.records if r.dlv_valid and r.dlv.kind == DlvEvt.NOTIFY]
    assert len(asked) == 1, "InvalidState once"


@cocotb.test()
async def an_invalid_connection_sends_nothing_and_asks_for_its_upload_once_ch_092_ch_093(dut: Any) -> None:
    await silenced(await bench_of(dut), Object.CONNECTION, 0)


@cocotb.test()
async def an_invalid_path_silences_its_connections_ch_092_ch_093(dut: Any) -> None:
    await silenced(await bench_of(dut), Object.PATH, 0)


@cocotb.test()
async def an_invalid_neighbor_silences_the_connections_of_its_paths_ch_092_ch_093(dut: Any) -> None:
    await silenced(await bench_of(dut), Object.NEIGHBOR, 3)


@cocotb.test()
async def every_kind_of_segment_is_kept_back_g0(dut: Any) -> None:
    """A pure ACK, a duplicate ACK, a probe, a FIN alone and a retransmission; a connection of another path goes on."""
    b = await bench_of(dut)
    await b.open(replace(IMAGE, path_id=0))
    for conn in (1, 2, 3):
        await b.command(Opcode.INITIATE, replace(IMAGE, snd_wnd=0 if conn == 1 else 20000).pack(), conn=conn)
        await b.command(Opcode.START, conn=conn)
    await b.send(10, conn=1)  # conn 1: zero window, a probe in 1000 ticks
    await b.send(10, conn=2)
    await b.grant()  # conn 2: a retransmission in 1000 ticks
    barred(await b.invalidate(Object.PATH, 0, 0), Object.PATH)
    await b.quiet()
    await b.segment(conn=0, seq=RCV - 1, pay_len=1)  # old text: a duplicate ACK is owed
    record = await b.silent_grant()
    only(record.tcb, phase=Phase.FROZEN, dup_owed=1)
    record = await b.command(Opcode.DISCONNECT, conn=3, flags=1)
    record = await b.silent_grant()
    only(record.tcb, phase=Phase.FROZEN, state=TcpState.ESTABLISHED, snd_max=UNA, rcv_adv=RCV + 32768)
    b.now += 1000
    due = await b.settle(200)
    assert sorted((r.kind, r.conn) for r in due) == [
        (TcpEvt.TX_GRANT, 1), (TcpEvt.TX_GRANT, 2), (TcpEvt.TIMER, 1), (TcpEvt.TIMER, 2),
    ]  # fmt: skip
    for record in due:
        only(record, tx0_valid=0, tx1_valid=0, cpl_valid=0, dlv_valid=int(record.kind == TcpEvt.TX_GRANT))
        if record.dlv_valid:
            only(record.dlv, event=TcpEventType.RETRIEVE, info=UploadReason.INVALID_STATE)
            only(record.tcb, phase=Phase.FROZEN, probe_owed=int(record.conn == 1), snd_nxt=UNA)
    await b.quiet()


@cocotb.test()
async def an_invalid_path_leaves_other_paths_alone_and_a_new_write_heals_it_e9(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    await b.write_path(1, 4)
    await b.write_neighbor(4)
    await b.command(Opcode.INITIATE, replace(IMAGE, path_id=1).pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    barred(await b.invalidate(Object.PATH, 0, 0), Object.PATH)
    barred(await b.invalidate(Object.NEIGHBOR, 3, 0), Object.NEIGHBOR)
    await b.send(10, conn=1)
    record, seg = await b.grant()
    assert seg is not None
    only(record, conn=1)
    # an UPDATE of either leaves them invalid
    await b.write_path(0, 3, flags=KEEP)
    await b.write_neighbor(3, flags=KEEP)
    # a new write of both makes them valid again
    await b.write_path(0, 3)
    await b.write_neighbor(3)
    await b.send(10, conn=0)
    record, seg = await b.grant()
    assert seg is not None
    only(record, conn=0)
    # the path alone
    barred(await b.invalidate(Object.PATH, 1, 0), Object.PATH)
    await b.write_path(1, 4, flags=KEEP)
    await b.send(10, conn=1)
    only(await b.silent_grant(), conn=1)
    # the neighbor alone
    barred(await b.invalidate(Object.NEIGHBOR, 3, 0), Object.NEIGHBOR)
    await b.write_path(0, 3)
    await b.write_neighbor(3, flags=KEEP)
    await b.send(10, conn=0)
    await b.silent_grant()
    await b.quiet()


@cocotb.test()
async def a_path_that_is_linked_to_another_neighbor_goes_by_that_neighbor_e9(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    await b.write_neighbor(4)
    barred(await b.invalidate(Object.NEIGHBOR, 3, 0), Object.NEIGHBOR)
    completed(await b.write_path(0, 4, flags=KEEP))
    await b.send(10)
    _, seg = await b.grant()
    assert seg is not None
    # a neighbor that nobody ever wrote has no address: no frame goes to it
    completed(await b.write_path(0, 5, flags=KEEP))
    await b.send(10)
    await b.silent_grant()
    await b.quiet()


@cocotb.test()
async def a_terminate_of_an_invalid_connection_sends_no_ack_b7(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    barred(await b.invalidate(Object.CONNECTION), Object.CONNECTION)
    before = (await b.segment(seq=RCV, pay_len=10)).tcb  # a delayed ACK: nothing is asked yet
    only(before, unacked_segs=1, dack_on=1)
    record = await b.command(Opcode.TERMINATE, addr=0x9000, addr2=0xA000)
    only(record, tx0_valid=0, tx1_valid=1, dlv_valid=1, cpl_valid=0)
    assert record.tcb == replace(
        before, phase=Phase.FROZEN, terminating=1, unacked_segs=0, dack_on=0, img_addr=0x9000, img_cookie=COOKIE,
        img_sq_index=b.sq_index,
    )  # fmt: skip
    # with a duplicate ACK owed, too
    await b.open(conn=1)
    barred(await b.invalidate(Object.CONNECTION, 1), Object.CONNECTION)
    received, record = await b.command_behind_segment(Opcode.TERMINATE, conn=1, seq=RCV - 1, pay_len=1)
    only(received.tcb, dup_owed=1)
    only(record, tx0_valid=0, tx1_valid=1)
    only(record.tcb, dup_owed=0, phase=Phase.FROZEN, rcv_adv=RCV + 32768)
    await b.quiet()


@cocotb.test()
async def an_abortive_disconnect_of_an_invalid_connection_sends_no_reset_b6a(dut: Any) -> None:
    b = await bench_of(dut)
    await b.path()
    await b.neighbor()
    await b.command(Opcode.INITIATE, IMAGE.pack())
    barred(await b.invalidate(Object.CONNECTION), Object.CONNECTION)
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(record.cpl, status=Status.BAD_STATE)  # LOADED comes first
    before = (await b.command(Opcode.START)).tcb
    only(before, invalid=1)
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=1, cpl_valid=1)
    only(record.cpl, kind=CqKind.SEND, status=Status.UPLOAD, code=Opcode.DISCONNECT, nbytes=0)
    only(record.dlv, event=TcpEventType.RETRIEVE, info=UploadReason.INVALID_STATE, aborted=0, a=0, sq_index=0)
    assert record.tcb == replace(before, phase=Phase.FROZEN, retrieve_sent=1)
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0, cpl_valid=1)  # the upload was asked for once
    only(record.cpl, status=Status.UPLOAD)
    # a fault aborts it: that is said first
    b.waiting["fault"].append({"conn": 0, "gen": GEN})
    only((await b.take(TcpEvt.FAULT)).tcb, aborted=1)
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(record.cpl, status=Status.ABORTED)
    await b.quiet()


@cocotb.test()
async def a_connection_in_time_wait_stops_without_a_second_request_b6a_b13(dut: Any) -> None:
    for opcode in (Opcode.DISCONNECT, Opcode.UPLOAD):
        b = await bench_of(dut)
        await b.open()
        await b.command(Opcode.DISCONNECT, flags=1)
        await b.grant()
        await b.segment(seq=RCV, ack=u32(UNA + 1), flags=ACK | FIN)
        (*_, record) = await b.settle()
        only(record.tcb, state=TcpState.TIME_WAIT, phase=Phase.RUNNING, retrieve_sent=1, ack_now=0)
        barred(await b.invalidate(Object.CONNECTION), Object.CONNECTION)
        record = await b.command(opcode, flags=2 if opcode == Opcode.DISCONNECT else 0)
        only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0, cpl_valid=1)
        only(record.tcb, state=TcpState.TIME_WAIT, phase=Phase.FROZEN, retrieve_sent=1)
        await b.quiet()
        b.stop()
        await Timer(1, "ns")


@cocotb.test()
async def a_terminate_behind_a_mandatory_reason_sends_no_acknowledgment_b7(dut: Any) -> None:
    for stopped in (False, True):
        b = await bench_of(dut)
        await b.open(credits_=4)
        only((await b.segment(seq=RCV, pay_len=10)).tcb, unacked_segs=1, ack_now=0)
        if stopped:
            only((await b.command(Opcode.UPLOAD)).tcb, phase=Phase.FROZEN)
        only(await b.command(Opcode.TERMINATE), tx0_valid=int(not stopped), tx1_valid=1)
        b.stop()
        await Timer(1, "ns")


@cocotb.test()
async def an_invalid_connection_in_time_wait_freezes_without_a_second_message_g0(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    await b.command(Opcode.DISCONNECT, flags=1)
    await b.grant()
    received, record = await b.command_behind_segment(
        Opcode.INVALIDATE, seq=RCV, ack=u32(UNA + 1), flags=ACK | FIN
    )  # fmt: skip
    only(received.tcb, state=TcpState.TIME_WAIT, ack_now=1, retrieve_sent=0)
    only(record.dlv, event=TcpEventType.RETRIEVE, info=UploadReason.UPLOAD_REQUESTED)
    record = await b.silent_grant()
    only(record, dlv_valid=0, tx1_valid=1)
    only(record.tcb, phase=Phase.FROZEN, retrieve_sent=1, ack_now=1, release_owed=0)
    await b.quiet()


# ---- neighbor age ----------------------------------------------------------------------------------------------------
def asks(record: Commit, neighbor: int, host: int, nic: int) -> None:
    """The commit sends its SEGMENT and raises the query with these ages."""
    only(record, tx0_valid=1, cpl_valid=1)
    only(record.tx0, kind=TxKind.SEGMENT)
    assert record.cpl == Cqe(
        kind=CqKind.EVENT, status=Status.OK, code=TcpEventType.NEIGHBOR_QUERY, conn=neighbor, nbytes=host, info=nic
    )


async def silent_ack(b: ObjectBench) -> Commit:
    """The peer asks for an ACK; the grant that sends it."""
    await b.segment(seq=RCV - 1, pay_len=1)
    record, seg = await b.grant()
    assert seg is not None
    return record


@cocotb.test()
async def the_neighbor_query_comes_exactly_when_both_ages_exceed_the_limit_ch_226_a8(dut: Any) -> None:
    """S31."""
    b = await bench_of(dut)
    await b.path()
    await b.write_neighbor(3, host=200, nic=200)  # at tick 1000: HRT = NRT = 800
    await b.credit(8)
    await b.command(Opcode.INITIATE, IMAGE.pack())
    await b.command(Opcode.START)
    b.now = 30_800
    only(await silent_ack(b), cpl_valid=0)  # 30000 is not greater
    b.now = 30_801
    asks(await silent_ack(b), 3, host=30_001, nic=30_001)
    only(await silent_ack(b), cpl_valid=0)  # one question at a time
    b.now = 90_000
    only(await silent_ack(b), cpl_valid=0)
    # the host says 0: the limit runs anew for it, and both must be older
    b.now = 90_100
    record = await b.command(Opcode.NEIGHBOR_ANSWER, conn=3, gen=0)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0, cpl_valid=0)
    refused(await b.command(Opcode.NEIGHBOR_ANSWER, conn=3, gen=0), Status.BAD_STATE)  # nothing is asked any more
    b.now = 120_100
    only(await silent_ack(b), cpl_valid=0)
    assert await b.ages(3) == (30_000, 119_300)
    b.now = 120_101
    asks(await silent_ack(b), 3, host=30_001, nic=119_301)
    # an answer that is as old as before lets the next frame ask again
    only(await b.command(Opcode.NEIGHBOR_ANSWER, conn=3, gen=0, arg=30_001), cpl_valid=0)
    asks(await silent_ack(b), 3, host=30_001, nic=119_301)
    await b.quiet()


@cocotb.test()
async def forward_progress_confirms_the_neighbor_and_keeps_the_query_away_ch_225(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()  # HRT = NRT = 1000
    await b.send(10)
    await b.grant()
    b.now = 1500
    await b.segment(seq=RCV, ack=u32(UNA + 10))  # NRT = 1500
    await b.grant()
    b.now = 31_001
    only(await silent_ack(b), cpl_valid=0)  # the host's age is over the limit, the device's is not
    b.now = 31_500
    only(await silent_ack(b), cpl_valid=0)
    b.now = 31_501
    asks(await silent_ack(b), 3, host=30_501, nic=30_001)
    await b.quiet()


@cocotb.test()
async def a_forwarded_acknowledgment_confirms_the_neighbor_and_tells_no_backlog_e10_e11(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(IMAGE, cwnd=4000, ssthresh=0xFFFF_0000))
    only(b.records[-1].tcb, backlog_told=2048)
    await b.send(1000)
    await b.grant()
    b.now = 1500
    record = await b.forward(ack=u32(UNA + 500))
    only(record, dlv_valid=0, cpl_valid=1)
    only(record.tcb, cwnd=4500, backlog_told=2048)  # 4096 would be told for a segment from the wire
    await b.grant()
    assert await b.ages(3) == (500, 0)
    record = await b.segment(seq=RCV, ack=u32(UNA + 500))
    only(record.dlv, event=TcpEventType.SEND_BACKLOG_CHANGE, info=4096)
    await b.quiet()


@cocotb.test()
async def the_last_ack_of_a_terminate_and_a_reset_ask_too_and_a_silent_connection_does_not_e10(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    await b.open(conn=1)
    await b.segment(seq=RCV, pay_len=10)
    b.now = 31_001
    await b.take(TcpEvt.TIMER)  # the delayed ACK is due
    record, _ = await b.grant()
    asks(record, 3, host=30_001, nic=30_001)
    # a reset of the other connection: answered before, it asks itself
    only(await b.command(Opcode.NEIGHBOR_ANSWER, conn=3, gen=0, arg=40_000), cpl_valid=0)
    record = await b.command(Opcode.DISCONNECT, conn=1, flags=2)
    asks(record, 3, host=40_000, nic=30_001)
    only(record, tx1_valid=1, dlv_valid=1)
    # a last ACK
    only(await b.command(Opcode.NEIGHBOR_ANSWER, conn=3, gen=0, arg=40_000), cpl_valid=0)
    await b.segment(seq=RCV + 10, pay_len=10)
    record = await b.command(Opcode.TERMINATE)
    asks(record, 3, host=40_000, nic=30_001)
    only(TxSegment.unpack(record.tx0.body), len=0, flags=ACK)
    # no frame, no question
    only(await b.command(Opcode.NEIGHBOR_ANSWER, conn=3, gen=0, arg=40_000), cpl_valid=0)
    await b.command(Opcode.INITIATE, IMAGE.pack(), conn=2)
    await b.command(Opcode.START, conn=2)
    barred(await b.invalidate(Object.CONNECTION, 2), Object.CONNECTION)
    await b.send(10, conn=2)
    await b.silent_grant()
    await b.quiet()


@cocotb.test()
async def an_answer_that_nobody_asked_for_is_refused_b12(dut: Any) -> None:
    b = await bench_of(dut)
    refused(await b.command(Opcode.NEIGHBOR_ANSWER, conn=3, gen=0, arg=5), Status.BAD_STATE)
    await b.write_neighbor(3, host=70)
    refused(await b.command(Opcode.NEIGHBOR_ANSWER, conn=3, gen=0, arg=5), Status.BAD_STATE)
    assert await b.ages(3) == (70, 0)
    await b.quiet()


@cocotb.test()
async def a_new_write_of_the_neighbor_forgets_the_question_and_an_update_does_not_b2(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    b.now = 31_001
    asks(await silent_ack(b), 3, host=30_001, nic=30_001)
    await b.write_neighbor(3, host=40_000, flags=KEEP)
    only(await silent_ack(b), cpl_valid=0)
    await b.write_neighbor(3, host=40_000, nic=40_000)
    asks(await silent_ack(b), 3, host=40_000, nic=40_000)
    await b.quiet()


@cocotb.test()
async def a_full_completion_queue_holds_grants_back_and_no_query_is_lost_e10(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    b.ready["cpl"] = 0
    for number in range(4):
        image = NeighborImage(dl_src=1)
        sqe = Sqe(opcode=Opcode.NEIGHBOR_WRITE, conn=number + 4, cookie=COOKIE)
        b.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": number, "image": image.pack()})
    await b.settle()
    b.now = 31_001
    await b.segment(seq=RCV - 1, pay_len=1)
    assert await b.settle() == [], "no grant without room for its query"
    b.ready["cpl"] = 50
    asked = [r for r in await b.settle(200) if r.cpl_valid and r.cpl.kind == CqKind.EVENT]
    assert len(asked) == 1
    await b.quiet()


@cocotb.test()
async def a_full_completion_ring_holds_no_grant_back_behind_the_engines_own_completions_c12(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    b.ready["cpl"], b.cq_full = 0, 1
    for number in range(4):
        image = NeighborImage(dl_src=1)
        sqe = Sqe(opcode=Opcode.NEIGHBOR_WRITE, conn=number + 4, cookie=COOKIE)
        b.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": number, "image": image.pack()})
    await b.settle()
    b.now = 31_001
    await b.segment(seq=RCV - 1, pay_len=1)
    (granted,) = await b.settle()
    only(granted, room=0, tx0_valid=1, cpl_valid=0)  # it asks for nothing, the next one does
    b.ready["cpl"], b.cq_full = 50, 0
    await b.settle(200)
    await b.segment(seq=RCV - 1, pay_len=1)
    assert [r.cpl.kind for r in await b.settle() if r.cpl_valid] == [CqKind.EVENT]
    await b.quiet()


# ---- send backlog ----------------------------------------------------------------------------------------------------
@cocotb.test()
async def the_backlog_event_comes_at_twice_or_a_quarter_and_not_more_often_than_every_100_ticks_ch_213(
    dut: Any,
) -> None:
    b = await bench_of(dut)
    tcb = await b.open(replace(IMAGE, cwnd=4380, max_snd_wnd=70_000))
    only(tcb, backlog_told=4096, backlog_tick=1000)
    await b.send(100_000)
    for _ in range(3):
        await b.grant()
    acked = 0

    async def acknowledge(now: int) -> Commit:
        """One more segment is acknowledged in slow start: cwnd + 1460."""
        nonlocal acked
        b.now = now
        acked += 1
        record = await b.segment(seq=RCV, ack=u32(UNA + 1460 * acked))
        await b.settle()
        return record

    def told(record: Commit, count: int) -> None:
        assert record.dlv == DlvMsg(
            kind=DlvEvt.NOTIFY, conn=0, gen=GEN, event=TcpEventType.SEND_BACKLOG_CHANGE, info=count
        )
        only(record.tcb, backlog_told=count, backlog_tick=b.now)

    only(await acknowledge(1200), dlv_valid=0)  # cwnd 5840: still 4096
    only(await acknowledge(1200), dlv_valid=0)  # 7300
    told(await acknowledge(1200), 8192)  # 8760
    for _ in range(4):
        only(await acknowledge(1299), dlv_valid=0)  # 10220 to 14600
    only(await acknowledge(1299), dlv_valid=0)  # 16060
    only(await acknowledge(1299), dlv_valid=0)  # 17520: 16384, but 99 ticks only
    told(await acknowledge(1300), 16384)
    # a timeout: cwnd 1460, b = 1024, sixteen times less
    b.now = 60_000
    await b.settle()
    only(b.records[-1].tcb, cwnd=1460, backlog_told=16384)
    record = await b.segment(seq=RCV, ack=u32(UNA + 1460 * acked))
    told(record, 1024)
    await b.settle()
    await b.quiet()


@cocotb.test()
async def text_goes_before_the_backlog_event_and_the_next_segment_tells_it_e11(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(IMAGE, cwnd=8192, max_snd_wnd=4000, snd_wnd=4000))
    await b.send(1000)
    await b.grant()
    b.now = 1200
    record = await b.segment(seq=RCV, pay_len=10, ack=u32(UNA + 100), wnd=20_000)
    only(record.dlv, kind=DlvEvt.DELIVER)
    only(record.tcb, backlog_told=2048, max_snd_wnd=20_000)
    await b.settle()
    # a segment that is dropped is an event of the connection, too; one of another generation is not
    only(await b.segment(seq=RCV - 1, pay_len=1, gen=GEN + 1), dlv_valid=0)
    record = await b.segment(seq=RCV - 1, pay_len=1)
    only(record.dlv, kind=DlvEvt.NOTIFY, event=TcpEventType.SEND_BACKLOG_CHANGE, info=8192)
    only(record.tcb, backlog_told=8192, backlog_tick=1200, dup_owed=1)
    await b.grant()
    await b.quiet()


@cocotb.test()
async def a_drop_to_a_half_is_not_told_and_one_to_a_quarter_is_e11(dut: Any) -> None:
    b = await bench_of(dut)
    # max_snd_wnd never falls: a timeout makes the congestion window one segment, b = 1024
    for conn, cwnd, want in ((0, 2048, 0), (1, 4096, 1024), (2, 4095, 0)):
        b.now = 1000
        tcb = await b.open(replace(IMAGE, cwnd=cwnd), conn=conn)
        only(tcb, backlog_told=2048 if conn != 1 else 4096)
        await b.send(100, conn=conn)
        await b.grant()
        b.now = 5000
        await b.take(TcpEvt.TIMER)
        await b.grant()
        record = await b.segment(conn=conn, seq=RCV, ack=UNA)
        only(record.tcb, cwnd=1460)
        only(record, dlv_valid=int(want != 0))
        if want:
            only(record.dlv, event=TcpEventType.SEND_BACKLOG_CHANGE, info=want)
        await b.segment(conn=conn, seq=RCV, ack=u32(UNA + 100))
        await b.settle()
    await b.quiet()


# ---- speed -----------------------------------------------------------------------------------------------------------
@cocotb.test()
async def commands_on_objects_commit_within_eight_cycles(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    kinds = (
        Sqe(opcode=Opcode.UPDATE, gen=GEN), Sqe(opcode=Opcode.QUERY, conn=3, flags=2),
        Sqe(opcode=Opcode.INVALIDATE, conn=3, flags=2), Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=3),
        Sqe(opcode=Opcode.QUERY, gen=GEN), Sqe(opcode=Opcode.INVALIDATE, gen=GEN),
    )  # fmt: skip
    for n in range(60):
        sqe = replace(kinds[n % len(kinds)], cookie=n)
        b.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": n, "image": replace(CACHED, cached_flags=0).pack()})
    first = len(b.records)
    await b.step(60 * 8 + 20)
    gaps = [y - x for x, y in zip(b.cycles[first:], b.cycles[first + 1 :], strict=False)]
    assert len(gaps) == 59
    assert max(gaps) <= 8, gaps
    b.taken = len(b.records)
    await b.quiet()
