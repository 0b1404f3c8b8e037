"""Unit test of the engine cluster: every expected number is worked out by hand from docs/contract/tcp_step.md.

DUT = engine_top. One loop a clock: inputs are driven at the falling edge and handshakes sampled when they have
settled, before the rising edge that makes them happen. Every commit record is kept; what leaves the queues must be
what the records say, in their order.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, replace
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from model.layout.generated import (
    Cqe,
    CqKind,
    DlvEvt,
    DlvMsg,
    NeighborImage,
    Opcode,
    ParamImage,
    PathImage,
    Phase,
    RecTcp,
    RxSeg,
    Sqe,
    Status,
    Tcb,
    TcpEventType,
    TcpEvt,
    TcpImage,
    TcpState,
    TxAppend,
    TxHdrConn,
    TxHdrNbr,
    TxHdrPath,
    TxKind,
    Txq,
    TxRelease,
    TxSegment,
    UploadReason,
    Verdict,
)

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
M32 = 0xFFFF_FFFF
OFF = M32  # a timer that does not run
UNA = 0xFFFF_FC00  # our first sequence number: the wrap lies inside the first segment
RCV = 5000  # the peer's
COOKIE = 0x1122_3344_5566_7788
HANDED_IN = 0x9_8765_4321  # host address of a forwarded segment
GEN = 7

STREAMS = {
    "cmd": ("sqe", "sq_index", "image", "seg"),
    "rx": ("seg",),
    "consumed": ("conn", "gen", "bytes"),
    "credit": ("count",),
    "fence": ("conn", "gen"),
    "fault": ("conn", "gen"),
}
IMAGE = TcpImage(
    family=4, remote_port=80, local_port=4000, remote_mss=1460, initial_rcv_wnd=32768, ttl=64, tos=8, user_priority=3,
    max_rt=0, flow_label=0x12345, hash_value=0xDEADBEEF, cached_flags=0xC, rcv_indication_size=77, ka_probe_count=4,
    ka_timeout=1000, ka_interval=100, state=TcpState.ESTABLISHED, dlg_flags=9, rcv_nxt=RCV, rcv_wnd=32768,
    snd_una=UNA, snd_nxt=UNA, snd_max=UNA, snd_wnd=20000, max_snd_wnd=20000, snd_wl1=RCV - 1, cwnd=4380,
    ssthresh=0xFFFF_0000, ka_timeout_delta=OFF, rtx_timeout_delta=OFF, send_backlog_size=11, receive_backlog_size=12,
    dwnd=13,
)  # fmt: skip


def u32(value: int) -> int:
    return value & M32


def only(record: object, **changed: int) -> None:
    """Fields of a record or struct have these values; the message names the first that has not."""
    for name, want in changed.items():
        got = int(getattr(record, name))
        assert got == want, f"{name} is {got:#x} ({got}), expected {want:#x} ({want}) in {record}"


@dataclass(frozen=True)
class Commit:
    """A commit record with its structs unpacked."""

    order: int
    tick: int
    kind: int
    conn: int
    gen: int
    cause: int
    opcode: int
    credits: int
    verdict: int
    tx0_valid: int
    tx1_valid: int
    dlv_valid: int
    cpl_valid: int
    img_valid: int
    room: int
    rx: RxSeg
    tcb: Tcb
    tx0: Txq
    tx1: Txq
    dlv: DlvMsg
    cpl: Cqe

    @classmethod
    def unpack(cls, vector: int) -> Commit:
        record = RecTcp.unpack(vector)
        plain = {name: getattr(record, name) for name in list(cls.__dataclass_fields__)[:15]}
        return cls(
            **plain,
            rx=RxSeg.unpack(record.rx),
            tcb=Tcb.unpack(record.tcb),
            tx0=Txq.unpack(record.tx0),
            tx1=Txq.unpack(record.tx1),
            dlv=DlvMsg.unpack(record.dlv),
            cpl=Cqe.unpack(record.cpl),
        )


def established(tcb: Tcb) -> bool:
    """What ST4_ESTABLISHED counts."""
    return tcb.phase != Phase.FREE and tcb.state in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)


def has_connection(record: Commit) -> bool:
    """Whether the TCB of a record is that of a connection; commands on paths, neighbors, parameters have none."""
    return record.kind != TcpEvt.CREDIT and record.tcb.pack() != 0


Counts = Counter[tuple[int, str]]  # family and name of the sum


def statistics(records: list[Commit]) -> Counts:
    """What hostport, Statistics, makes of the records; on the way, of every SEGMENT, which octets are old and new."""
    counted: Counts = Counter()
    tcbs: dict[int, Tcb] = {}
    for r in records:
        before = tcbs.get(r.conn, Tcb())
        family = (before if r.tcb.phase == Phase.FREE else r.tcb).family
        if r.kind == TcpEvt.RX_SEGMENT and r.verdict != Verdict.PASS_UP:
            counted[family, "segments"] += 1
            counted[family, "packets"] += 1
            counted[family, "octets"] += r.rx.pay_off + r.rx.pay_len - (18 if r.rx.tagged else 14)
        if r.kind == TcpEvt.COMMAND and r.opcode == Opcode.FORWARD:
            counted[family, "segments"] += not (r.cpl_valid and r.cpl.status != Status.OK)
        if r.tx0_valid and r.tx0.kind == TxKind.SEGMENT:
            seg = TxSegment.unpack(r.tx0.body)
            octets = seg.len + (seg.flags & FIN)
            in_front = u32(before.snd_max - seg.seq + (1 << 31)) - (1 << 31)  # how far SND.MAX is ahead, signed
            only(seg, has_old=int(octets > 0 and in_front > 0), has_new=int(octets == 0 or octets > in_front))
        if has_connection(r):
            counted[family, "established"] += established(r.tcb) - established(before)
            counted[family, "reset"] += established(before) and r.tcb.state == TcpState.CLOSED
            tcbs[r.conn] = r.tcb
    return counted


class Bench:
    """Streams in, queues out, one record a commit."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(int(cocotb.RANDOM_SEED))
        self.now = 1000
        self.room = 1
        self.cq_full = 0
        self.waiting: dict[str, deque[dict[str, int]]] = {name: deque() for name in STREAMS}
        self.ready = {"txq": 100, "bar": 100, "dlv": 100, "verdict": 100, "cpl": 100, "img": 100}
        self.out: dict[str, list[int]] = {name: [] for name in self.ready}
        self.records: list[Commit] = []
        self.cycles: list[int] = []  # of the records
        self.taken = 0  # records a test has looked at
        self.cycle = 0
        self.sq_index = 0
        self.arrival = 0
        self.deleted: list[int] = []
        self.delete_due = -1
        self.freed: list[int] = []
        self.appended: list[int] = []
        self.counted: Counts = Counter()  # what the statistics pulses add up to
        self.spare = int(dut.CONNS.value) - 1
        """Credits that a connection which holds a buffer leaves for the others (C.11)."""

    async def start(self) -> None:
        dut = self.dut
        dut.rst.value = 1
        dut.now.value = self.now
        dut.s_room.value = self.room
        dut.s_cq_full.value = self.cq_full
        dut.s_del_done.value = 0
        dut.m_del_ready.value = 0
        for name, fields in STREAMS.items():
            getattr(dut, f"s_{name}_valid").value = 0
            for field in fields:
                getattr(dut, f"s_{name}_{field}").value = 0
        for name in self.ready:
            getattr(dut, f"m_{name}_ready").value = 0
        self.clock = Clock(dut.clk, 10, unit="ns")
        self.clock.start()
        for _ in range(4):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        await self.step(4)
        assert int(dut.idle.value) == 1, "idle after reset"

    def stop(self) -> None:
        """Stop the clock, for another bench on the same device."""
        self.clock.stop()

    async def step(self, cycles: int = 1) -> None:
        for _ in range(cycles):
            await self._cycle()

    async def _cycle(self) -> None:
        dut = self.dut
        await FallingEdge(dut.clk)
        self.cycle += 1
        dut.now.value = self.now
        dut.s_room.value = self.room
        dut.s_cq_full.value = self.cq_full
        for name, fields in STREAMS.items():
            queue = self.waiting[name]
            getattr(dut, f"s_{name}_valid").value = int(bool(queue))
            if queue:
                for field in fields:
                    getattr(dut, f"s_{name}_{field}").value = queue[0].get(field, 0)
        for name, share in self.ready.items():
            getattr(dut, f"m_{name}_ready").value = int(self.rng.randrange(100) < share)
        dut.m_del_ready.value = int(self.rng.randrange(2))
        dut.s_del_done.value = int(self.cycle == self.delete_due)
        await ReadOnly()
        for name in STREAMS:
            if self.waiting[name] and int(getattr(dut, f"s_{name}_ready").value):
                self.waiting[name].popleft()
        for name in self.ready:
            if int(getattr(dut, f"m_{name}_valid").value) and int(getattr(dut, f"m_{name}_ready").value):
                port = dut.m_img_tcb if name == "img" else getattr(dut, f"m_{name}")
                self.out[name].append(int(port.value))
        if int(dut.m_del_valid.value) and int(dut.m_del_ready.value):
            self.deleted.append(int(dut.m_del_conn.value))
            self.delete_due = self.cycle + self.rng.randrange(1, 6)
        if int(dut.free_pulse.value):
            self.freed.append(int(dut.free_conn.value))
        if int(dut.append_pulse.value):
            self.appended.append(int(dut.append_conn.value))
        self._count()
        if int(dut.rec_tcp_valid.value):
            record = Commit.unpack(int(dut.rec_tcp.value))
            only(record, order=len(self.records))
            self.records.append(record)
            self.cycles.append(self.cycle)

    def _count(self) -> None:
        dut, counted = self.dut, self.counted
        incoming, opened, closed = int(dut.stat_in.value), int(dut.stat_opened.value), int(dut.stat_closed.value)
        if not (incoming or opened or closed):
            return
        family = 6 if int(dut.stat_ipv6.value) else 4
        if incoming:
            counted[family, "segments"] += 1
            if int(dut.stat_in_packet.value):
                counted[family, "packets"] += 1
                counted[family, "octets"] += int(dut.stat_in_octets.value)
        counted[family, "established"] += opened - closed
        counted[family, "reset"] += int(dut.stat_reset.value)

    async def take(self, kind: TcpEvt, limit: int = 400) -> Commit:
        """The next record, which must be of this kind."""
        for _ in range(limit):
            if len(self.records) > self.taken:
                record = self.records[self.taken]
                self.taken += 1
                assert record.kind == kind, f"a {TcpEvt(record.kind).name} committed, expected {kind.name}"
                return record
            await self.step()
        raise AssertionError(f"no {kind.name} within {limit} cycles")

    async def quiet(self, cycles: int = 80) -> None:
        """Nothing more commits, the cluster says idle, and the queues held what the records said."""
        await self.step(cycles)
        assert len(self.records) == self.taken, f"unexpected {TcpEvt(self.records[self.taken].kind).name}"
        assert int(self.dut.idle.value) == 1
        self.check_queues()

    def check_queues(self) -> None:
        items: list[int] = []
        for r in self.records:
            items += [item.pack() for valid, item in ((r.tx0_valid, r.tx0), (r.tx1_valid, r.tx1)) if valid]
        assert self.out["txq"] == items
        assert self.out["bar"] == [item for item in items if Txq.unpack(item).kind == TxKind.BARRIER]
        assert self.counted == statistics(self.records)
        assert self.out["dlv"] == [r.dlv.pack() for r in self.records if r.dlv_valid]
        assert self.out["cpl"] == [r.cpl.pack() for r in self.records if r.cpl_valid]
        assert self.out["verdict"] == [r.verdict for r in self.records if r.kind == TcpEvt.RX_SEGMENT]

    async def command(
        self, opcode: Opcode, image: int = 0, *, conn: int = 0, gen: int = GEN, seg: int = 0, **fields: int
    ) -> Commit:
        sqe = Sqe(opcode=opcode, conn=conn, gen=gen, cookie=COOKIE, **fields)
        self.sq_index += 1
        self.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": self.sq_index, "image": image, "seg": seg})
        record = await self.take(TcpEvt.COMMAND)
        only(record, cause=self.sq_index, opcode=opcode, conn=conn, gen=gen, tick=self.now)
        return record

    def offer_segment(self, *, conn: int = 0, gen: int = GEN, **fields: int) -> None:
        self.arrival += 1
        values = {"seq": RCV, "ack": UNA, "wnd": 20000, "flags": ACK, "pay_off": 54, **fields}
        seg = RxSeg(arrival=self.arrival, conn=conn, gen=gen, **values)
        self.waiting["rx"].append({"seg": seg.pack()})

    async def segment(self, *, conn: int = 0, gen: int = GEN, **fields: int) -> Commit:
        self.offer_segment(conn=conn, gen=gen, **fields)
        record = await self.take(TcpEvt.RX_SEGMENT)
        only(record, cause=self.arrival, conn=conn, gen=gen)
        return record

    async def forward(self, *, conn: int = 0, gen: int = GEN, **fields: int) -> Commit:
        """FORWARD of a segment at HANDED_IN; fields as in `segment`, without options its header is 20 bytes long."""
        values = {"seq": RCV, "ack": UNA, "wnd": 20000, "flags": ACK, "pay_off": 20, **fields}
        seg = RxSeg(conn=conn, gen=gen, **values)
        length = seg.pay_off + seg.pay_len
        record = await self.command(Opcode.FORWARD, conn=conn, gen=gen, seg=seg.pack(), addr=HANDED_IN, length=length)
        only(record, tx0_valid=0, tx1_valid=0, verdict=0)
        assert record.rx == seg, "the record of a FORWARD shows its arguments"
        return record

    async def grant(self) -> tuple[Commit, TxSegment | None]:
        """The next record is a grant; its segment, if it sent one."""
        record = await self.take(TcpEvt.TX_GRANT)
        if not record.tx0_valid:
            return record, None
        only(record.tx0, kind=TxKind.SEGMENT, conn=record.conn, gen=record.tcb.gen)
        return record, TxSegment.unpack(record.tx0.body)

    async def credit(self, count: int) -> Commit:
        self.waiting["credit"].append({"count": count})
        return await self.take(TcpEvt.CREDIT)

    async def consumed(self, count: int) -> Commit:
        self.waiting["consumed"].append({"conn": 0, "gen": GEN, "bytes": count})
        return await self.take(TcpEvt.CONSUMED)

    async def path(self, mtu: int = 1500, neighbor: int = 3) -> Commit:
        image = PathImage(family=4, neighbor_id=neighbor, path_mtu=mtu, src_addr=0x0100000A, dst_addr=0x0200000A)
        return await self.command(Opcode.PATH_WRITE, image.pack(), gen=0)

    async def neighbor(self, number: int = 3, vlan: int = 0) -> Commit:
        image = NeighborImage(dl_src=0x060504030201, dl_dst=0x161514131211, vlan_id=vlan)
        return await self.command(Opcode.NEIGHBOR_WRITE, image.pack(), conn=number)

    async def open(self, image: TcpImage = IMAGE, *, conn: int = 0, gen: int = GEN, credits_: int = 8) -> Tcb:
        """Path, neighbor, credits, INITIATE, START."""
        await self.path()
        await self.neighbor()
        if credits_:
            await self.credit(self.spare + credits_)
        await self.command(Opcode.INITIATE, image.pack(), conn=conn, gen=gen)
        return (await self.command(Opcode.START, conn=conn, gen=gen)).tcb

    async def send(self, length: int, *, conn: int = 0, flags: int = 1) -> Commit:
        return await self.command(Opcode.SEND, conn=conn, flags=flags, length=length, count=2, addr=0xABC000)


async def bench_of(dut: Any) -> Bench:
    bench = Bench(dut)
    await bench.start()
    return bench


@cocotb.test()
async def tables_are_written_and_parameters_take_effect(dut: Any) -> None:
    b = await bench_of(dut)
    record = await b.path()
    only(record.tx0, kind=TxKind.HDR_PATH, conn=0)
    only(TxHdrPath.unpack(record.tx0.body), neighbor_id=3, family=4, src_addr=0x0A000001, dst_addr=0x0A000002)
    only(record.cpl, kind=CqKind.COMMAND, status=Status.OK, code=Opcode.PATH_WRITE, cookie=COOKIE, sq_index=1)
    only(record, tx1_valid=0, dlv_valid=0, cpl_valid=1)
    assert record.tcb == Tcb()
    record = await b.neighbor(3, vlan=0x234)
    only(record.tx0, kind=TxKind.HDR_NEIGHBOR, conn=3)
    only(TxHdrNbr.unpack(record.tx0.body), dl_src=0x060504030201, dl_dst=0x161514131211, vlan_id=0x234)
    params = ParamImage(
        ticks_per_second=1000, ack_frequency=1, delayed_ack_ticks=7, max_retransmissions=9, dup_ack_threshold=2,
        push_ticks=44, nce_stale_ticks=1, rto_min=20, rto_max=5000, rto_initial=333,
    )  # fmt: skip
    record = await b.command(Opcode.PARAM_WRITE, params.pack())
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0, cpl_valid=1)
    record = await b.command(Opcode.INITIATE, IMAGE.pack())
    only(record.tcb, rto=333)
    only(record.dlv, push_ticks=44)
    await b.quiet()


@cocotb.test()
async def initiate_loads_every_field_of_the_image(dut: Any) -> None:
    b = await bench_of(dut)
    await b.path()
    await b.neighbor()
    image = replace(
        IMAGE, const_flags=31, snd_wind_scale=5, rcv_wind_scale=6, srtt=803, rttvar=250, ts_recent=70, ts_recent_age=40,
        ts_time=9000, total_rt=5, dup_ack_count=2, snd_wnd_probe_count=3, ka_probes_sent=1, rtx_count=4,
        rtx_timeout_delta=600, snd_nxt=u32(UNA + 10), snd_max=u32(UNA + 20), state=TcpState.CLOSE_WAIT,
    )  # fmt: skip
    record = await b.command(Opcode.INITIATE, image.pack())
    want = Tcb(
        phase=Phase.LOADED, gen=GEN, state=TcpState.CLOSE_WAIT, ts_en=1, sack_en=1, ws_en=1, snd_ws=5, rcv_ws=6,
        family=4, local_port=4000, remote_port=80, remote_mss=1460, hash_value=0xDEADBEEF, cached_flags=0xC,
        init_rcv_wnd=32768, rcv_indication_size=77, ka_probe_count=4, ka_timeout=1000, ka_interval=100, max_rt=0,
        flow_label=0x12345, ttl=64, tos=8, user_priority=3, dlg_flags=9, ka_probes_sent=1, ka_timeout_delta=OFF,
        send_backlog_size=11, receive_backlog_size=12, dwnd=13, snd_una=UNA, snd_nxt=u32(UNA + 10),
        snd_max=u32(UNA + 20), snd_end=UNA, snd_wnd=20000, max_snd_wnd=20000, snd_wl1=RCV - 1, cwnd=4380,
        ssthresh=0xFFFF_0000, recover=UNA - 1, dup_acks=2, srtt=803, rttvar=250, rto=100 + 250, rtx_on=1,
        rtx_deadline=600, rtx_count=4, snd_wnd_probe_count=3, total_rt=5, rcv_nxt=RCV, rcv_adv=RCV + 32768,
        consumed_seq=RCV, last_ack_sent=RCV, fin_rcvd=1, ts_recent=70, ts_recent_tick=960, ts_delta=8000,
        backlog_told=4096, backlog_tick=1000, ka_on=0, ka_deadline=OFF, high_rxt=UNA,
        ecn_en=1, ecn_edge=UNA - 1, cubic_en=1, cc=0,
    )  # fmt: skip
    for name in Tcb.FIELDS:
        only(record.tcb, **{name: getattr(want, name)})
    only(record, tx0_valid=0, tx1_valid=0, cpl_valid=0, dlv_valid=1)
    only(record.dlv, kind=DlvEvt.LOAD, conn=0, gen=GEN, a=COOKIE, sq_index=3, info=8192, push_ticks=500, fin=1)
    # the backlog of 20 octets that is in flight must be there before START
    record = await b.command(Opcode.START)
    only(record.cpl, kind=CqKind.COMMAND, status=Status.BAD_STATE, code=Opcode.START)
    record = await b.send(50)
    only(record, tx0_valid=1, cpl_valid=0)
    b.now = 1100
    record = await b.command(Opcode.START, flags=1)
    # 30 octets wait behind snd_nxt and all fit, so the timer taken over goes on: 600 ticks remain
    only(record.tcb, phase=Phase.RUNNING, rtx_on=1, rtx_deadline=1700, rtt_active=1, rtt_seq=UNA, persist=0,
         rto=(100 + 250) << 4)  # fmt: skip
    only(record.dlv, kind=DlvEvt.START, hold=1, a=COOKIE)
    only(record.tx0, kind=TxKind.HDR_CONN)
    hdr = TxHdrConn.unpack(record.tx0.body)
    only(hdr, local_port=4000, remote_port=80, path_id=0, family=4, flow_label=0x12345)
    _, seg = await b.grant()
    assert seg is not None
    # 40 octets from snd_nxt; window 32768 >> 6
    only(seg, seq=u32(UNA + 10), len=40, flags=ACK | PSH, wnd=512, ts_en=1, tsval=9100, tsecr=70)
    await b.quiet()


@cocotb.test()
async def send_is_segmented_acknowledged_and_released(dut: Any) -> None:
    """S14."""
    b = await bench_of(dut)
    tcb = await b.open()
    only(tcb, phase=Phase.RUNNING, rtx_on=0, persist=0, rto=1000)
    await b.quiet()
    record = await b.send(3000)
    assert b.appended == [0]
    only(record.tx0, kind=TxKind.APPEND, conn=0, gen=GEN)
    append = TxAppend.unpack(record.tx0.body)
    only(append, start_seq=UNA, end_seq=u32(UNA + 3000), list_addr=0xABC000, count=2, cookie=COOKIE, last=1, fin=0)
    only(append, opcode=Opcode.SEND, sq_index=b.sq_index)
    for offset, length, flags in ((0, 1460, ACK), (1460, 1460, ACK), (2920, 80, ACK | PSH)):
        record, seg = await b.grant()
        assert seg is not None
        only(seg, seq=u32(UNA + offset), len=length, flags=flags, ack=RCV, wnd=32768, ts_en=0, tsval=0, tsecr=0)
        only(seg, ttl=64, tos=8, user_priority=3)
        only(record.tcb, snd_nxt=u32(UNA + offset + length), snd_max=u32(UNA + offset + length))
        only(record.tcb, rtt_active=1, rtt_seq=UNA, rtt_tick=1000, rtx_on=1, rtx_deadline=2000)
    await b.quiet()
    b.now = 1050
    record = await b.segment(ack=u32(UNA + 1460), seq=RCV)
    # R = 50: srtt 400/8, rttvar 100/4, rto = max(300, 50 + 100); slow start adds one mss
    only(record, verdict=Verdict.DROP, dlv_valid=0)
    only(record.tcb, snd_una=u32(UNA + 1460), srtt=400, rttvar=100, rto=300, rtt_active=0, cwnd=5840, release_owed=1)
    only(record.tcb, rtx_deadline=1350, snd_wl1=RCV, rtx_on=1, dup_acks=0)
    record, seg = await b.grant()
    assert seg is None
    only(record, tx0_valid=0, tx1_valid=1)
    only(record.tx1, kind=TxKind.RELEASE, conn=0, gen=GEN)
    only(TxRelease.unpack(record.tx1.body), una=u32(UNA + 1460), status=Status.OK)
    record = await b.segment(ack=u32(UNA + 3000), seq=RCV)
    only(record.tcb, snd_una=u32(UNA + 3000), rtx_on=0, cwnd=5840 + 1460)
    await b.grant()
    # an acknowledgment of what was never sent is answered; one below the window is, too
    record = await b.segment(ack=u32(UNA + 3001))
    only(record.tcb, dup_owed=1)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 3000), len=0, flags=ACK)
    only(record.tcb, dup_owed=0)
    b.now += 500  # K-7
    record = await b.segment(ack=u32(UNA + 3000 - 20001))
    only(record.tcb, dup_owed=1)
    await b.grant()
    record = await b.segment(ack=u32(UNA + 3000 - 20000))
    only(record.tcb, dup_owed=0)
    await b.quiet()


@cocotb.test()
async def congestion_avoidance_adds_one_mss_a_window(dut: Any) -> None:
    """S37."""
    b = await bench_of(dut)
    await b.open(replace(IMAGE, ssthresh=2000))
    await b.send(4380)
    for _ in range(3):
        await b.grant()
    record = await b.segment(ack=u32(UNA + 1460))
    only(record.tcb, cwnd=4380, cwnd_acc=1460)
    await b.grant()
    record = await b.segment(ack=u32(UNA + 4380))
    only(record.tcb, cwnd=5840, cwnd_acc=0)
    await b.grant()
    await b.quiet()


@cocotb.test()
async def a_buffer_is_kept_for_every_connection_that_holds_none_c11(dut: Any) -> None:
    """B05."""
    b = await bench_of(dut)
    await b.path()
    await b.neighbor()
    for conn in (0, 1):
        await b.command(Opcode.INITIATE, IMAGE.pack(), conn=conn)
        await b.command(Opcode.START, conn=conn)
    record = await b.segment(pay_len=10)  # there is none at all
    only(record, verdict=Verdict.DROP, dlv_valid=0)
    await b.grant()
    await b.credit(b.spare + 1)
    record = await b.segment(pay_len=10)  # one for each
    only(record, verdict=Verdict.DELIVER, credits=b.spare)
    record = await b.segment(seq=RCV + 10, pay_len=10)
    only(record, verdict=Verdict.DROP, credits=b.spare)
    assert record.dlv == DlvMsg(kind=DlvEvt.FLUSH, gen=GEN)
    only(record.tcb, rcv_nxt=RCV + 10, dup_owed=1)
    await b.grant()
    record = await b.segment(conn=1, pay_len=10)
    only(record, verdict=Verdict.DELIVER, credits=b.spare - 1)
    await b.consumed(10)
    record = await b.segment(seq=RCV + 10, pay_len=10)  # it holds none again
    only(record, verdict=Verdict.DELIVER, credits=b.spare - 2)
    await b.quiet()


@cocotb.test()
async def text_is_taken_in_order_and_trimmed_to_the_window(dut: Any) -> None:
    """S16, S26, B18, B19."""
    b = await bench_of(dut)
    await b.open(credits_=4)
    record = await b.segment(seq=RCV, pay_len=1000, flags=ACK | PSH)
    only(record, verdict=Verdict.DELIVER, credits=b.spare + 3)
    only(record.dlv, kind=DlvEvt.DELIVER, conn=0, gen=GEN, arrival=b.arrival, offset=54, len=1000, psh=1, fin=0)
    only(record.tcb, rcv_nxt=6000, unacked_segs=1, dack_on=1, dack_deadline=1100, ack_now=0)
    await b.step(40)
    record = await b.segment(seq=6000, pay_len=500)
    only(record.tcb, rcv_nxt=6500, unacked_segs=2, ack_now=1)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=UNA, len=0, flags=ACK, ack=6500, wnd=31268)
    only(record.tcb, ack_now=0, unacked_segs=0, dack_on=0, last_ack_sent=6500, rcv_adv=37768)
    # all old: duplicate ACK
    record = await b.segment(seq=5000, pay_len=1000)
    only(record, verdict=Verdict.DROP, dlv_valid=0)
    only(record.tcb, dup_owed=1)
    await b.grant()
    # half old
    record = await b.segment(seq=6000, pay_len=1000)
    only(record, verdict=Verdict.DELIVER, credits=b.spare + 1)
    only(record.dlv, offset=554, len=500)
    only(record.tcb, rcv_nxt=7000, ack_now=1)
    await b.grant()
    # a hole
    record = await b.segment(seq=7001, pay_len=10)
    only(record, verdict=Verdict.DROP)
    only(record.tcb, dup_owed=1, rcv_nxt=7000)
    await b.grant()
    # at the right edge of the window
    record = await b.segment(seq=37768, pay_len=10)
    only(record.tcb, dup_owed=1)
    await b.grant()
    # too long: cut, the FIN behind it is not taken
    record = await b.segment(seq=7000, pay_len=40000, flags=ACK | FIN)
    only(record.dlv, len=30768, fin=0)
    only(record.tcb, rcv_nxt=37768, ack_now=1, state=TcpState.ESTABLISHED)
    only(record, credits=b.spare)
    _, seg = await b.grant()
    assert seg is not None
    only(seg, ack=37768, wnd=0)
    # the window is closed: a probe is answered, its ACK counts
    record = await b.segment(seq=37768, pay_len=1, wnd=9999)
    only(record, verdict=Verdict.DROP)
    only(record.tcb, dup_owed=1, snd_wnd=9999, snd_wl1=37768, max_snd_wnd=20000)
    await b.grant()
    record = await b.segment(seq=37769, pay_len=1)
    only(record.tcb, dup_owed=1, snd_wnd=9999)
    await b.grant()
    # less than one mss read: no window update; then one
    record = await b.consumed(1459)
    only(record.tcb, ack_now=0, consumed_seq=RCV + 1459)
    record = await b.consumed(1)
    only(record.tcb, ack_now=1)
    _, seg = await b.grant()
    assert seg is not None
    only(seg, wnd=1460)
    # no pool buffer
    record = await b.segment(seq=37768, pay_len=1)
    only(record, verdict=Verdict.DROP)
    only(record.tcb, dup_owed=1, rcv_nxt=37768)
    await b.grant()
    # delayed ACK by timer
    await b.credit(1)
    b.now = 2000
    await b.segment(seq=37768, pay_len=1, wnd=9999)
    await b.quiet()
    b.now = 2099
    await b.quiet(200)
    b.now = 2100
    record = await b.take(TcpEvt.TIMER)
    only(record, gen=GEN, cause=0)
    only(record.tcb, dack_on=0, ack_now=1, unacked_segs=1)
    await b.grant()
    await b.quiet()


@cocotb.test()
async def acknowledgments_of_text_that_wait_for_the_wire_are_merged_into_one(dut: Any) -> None:
    """S17; RFC 9293 3.10.7.4 (MUST-58, MUST-59): one ACK behind all segments that were taken meanwhile."""
    b = await bench_of(dut)
    await b.open(credits_=30)
    b.ready["txq"] = 0  # the wire stalls
    sqe = Sqe(opcode=Opcode.SEND, gen=GEN, length=1, count=1).pack()
    b.waiting["cmd"].extend({"sqe": sqe, "sq_index": 0, "image": 0} for _ in range(20))
    await b.step(400)
    stalled = len(b.records)
    for n in range(20):
        b.offer_segment(seq=u32(RCV + 100 * n), pay_len=100)
    await b.step(400)
    assert [r.verdict for r in b.records[stalled:]] == [Verdict.DELIVER] * 20, "receive goes on"
    b.ready["txq"] = 50
    await b.step(1000)
    sent = [TxSegment.unpack(i.body) for i in map(Txq.unpack, b.out["txq"]) if i.kind == TxKind.SEGMENT]
    assert {segment.ack for segment in sent[-1:]} == {u32(RCV + 2000)}, "the last one covers all"
    assert len([segment for segment in sent if segment.len == 0]) <= 2
    b.taken = len(b.records)
    await b.quiet()


@cocotb.test()
async def duplicate_acks_owed_are_not_merged(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    b.ready["txq"] = 0  # the wire stalls
    sqe = Sqe(opcode=Opcode.SEND, gen=GEN, length=1, count=1).pack()
    b.waiting["cmd"].extend({"sqe": sqe, "sq_index": 0, "image": 0} for _ in range(20))
    await b.step(400)
    assert b.waiting["cmd"], "commands wait for the transmit queue"
    stalled = len(b.records)
    for n in range(12):
        b.offer_segment(seq=RCV + 1 + n, pay_len=1)
    await b.step(200)
    assert [r.kind for r in b.records[stalled:]] == [TcpEvt.RX_SEGMENT] * 12, "receive goes on"
    assert [r.tcb.dup_owed for r in b.records[stalled:]] == [1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7]
    assert [r.tcb.ooo_segs for r in b.records[stalled:]] == list(range(1, 13)), "E-12"
    b.ready["txq"] = 50
    await b.step(1000)
    pure = [TxSegment.unpack(i.body) for i in map(Txq.unpack, b.out["txq"]) if i.kind == TxKind.SEGMENT]
    assert len([segment for segment in pure if segment.len == 0]) == 7
    b.taken = len(b.records)
    await b.quiet()


@cocotb.test()
async def retransmission_timeout_backs_off_and_gives_up(dut: Any) -> None:
    """S28, S29, S31, S38."""
    b = await bench_of(dut)
    await b.open(replace(IMAGE, cwnd=14600))
    await b.send(2920)
    await b.grant()
    await b.grant()
    await b.quiet()
    b.now = 1999
    await b.quiet(200)
    rto, total = 1000, 0
    for count in range(1, 6):
        b.now += 1 if count == 1 else rto
        total += rto
        rto *= 2
        record = await b.take(TcpEvt.TIMER)
        only(record.tcb, ssthresh=2920, cwnd=1460, recover=u32(UNA + 2920), snd_nxt=UNA, snd_max=u32(UNA + 2920))
        only(record.tcb, rtx_count=count, rto=rto, rtx_deadline=b.now + rto, total_rt=total, rtt_active=0, rtx_on=1)
        record, seg = await b.grant()
        assert seg is not None
        only(seg, seq=UNA, len=1460, flags=ACK)
        only(record.tcb, snd_nxt=u32(UNA + 1460), rtt_active=0, snd_max=u32(UNA + 2920))
        only(record.tcb, old_segs=count, ooo_segs=0)  # E-12
        await b.quiet()
    # pulled back: a pure ACK still carries snd_max
    await b.segment(seq=RCV + 1, pay_len=1)
    _, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 2920), len=0)
    b.now += rto
    record = await b.take(TcpEvt.TIMER)
    only(record.tcb, phase=Phase.FROZEN, retrieve_sent=1, rtx_count=5)
    only(record.dlv, kind=DlvEvt.NOTIFY, event=TcpEventType.RETRIEVE, info=UploadReason.TIMEOUT_EXPIRATION)
    await b.quiet()
    record = await b.segment(ack=u32(UNA + 2920))
    only(record, verdict=Verdict.PASS_UP)
    await b.quiet()


@cocotb.test()
async def an_ack_above_snd_nxt_after_a_timeout_moves_snd_nxt(dut: Any) -> None:
    """B03."""
    b = await bench_of(dut)
    await b.open()
    await b.send(4000)
    for _ in range(3):
        await b.grant()
    b.now = 2000
    await b.take(TcpEvt.TIMER)
    await b.grant()
    record = await b.segment(ack=u32(UNA + 2920))
    only(record.tcb, snd_una=u32(UNA + 2920), snd_nxt=u32(UNA + 2920), cwnd=2920, rtx_count=0, total_rt=0, rto=2000)
    only(record.tcb, rtx_deadline=4000, recover=u32(UNA + 4000))  # the timeout's, still ahead
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 2920), len=1080, flags=ACK | PSH)
    only(record, tx1_valid=1)
    await b.quiet()


@cocotb.test()
async def three_duplicates_start_recovery_and_partial_acks_stay_in_it(dut: Any) -> None:
    """S34, S35, B07."""
    b = await bench_of(dut)
    await b.open(replace(IMAGE, cwnd=14600))
    await b.send(14600)
    for _ in range(10):
        await b.grant()
    end = u32(UNA + 14600)
    one = u32(UNA + 1460)
    record = await b.segment(ack=one)
    only(record.tcb, cwnd=16060, recover=u32(one - 1))
    await b.grant()
    for n in (1, 2):
        record = await b.segment(ack=one)
        only(record.tcb, dup_acks=n, in_recovery=0)
    b.now = 1010
    record = await b.segment(ack=one)
    only(record.tcb, dup_acks=3, in_recovery=1, ssthresh=6570, cwnd=10950, recover=end, rtx_head=1, rtt_active=0)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=one, len=1460, flags=ACK)
    only(record.tcb, snd_nxt=end, rtx_head=0)
    record = await b.segment(ack=one)
    only(record.tcb, cwnd=12410)
    # a window change is no duplicate
    record = await b.segment(ack=one, wnd=19999)
    only(record.tcb, cwnd=12410, dup_acks=4, snd_wnd=19999)
    b.now = 1020
    record = await b.segment(ack=u32(one + 2920), wnd=19999)
    only(record.tcb, cwnd=10950, in_recovery=1, partial_seen=1, rtx_head=1, rtx_deadline=1020 + record.tcb.rto)
    only(record.tcb, recover=end)
    deadline = record.tcb.rtx_deadline
    _, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(one + 2920), len=1460)
    b.now = 1030
    record = await b.segment(ack=u32(one + 4380), wnd=19999)
    only(record.tcb, cwnd=10950, in_recovery=1, rtx_deadline=deadline)
    await b.grant()
    record = await b.segment(ack=end, wnd=19999)
    only(record.tcb, cwnd=6570, in_recovery=0, partial_seen=0, rtx_on=0, recover=end)
    await b.grant()
    await b.quiet()


@cocotb.test()
async def what_a_timeout_pulled_back_is_timed_again_only_with_timestamps_g3_f1(dut: Any) -> None:
    for ts_en in (0, 1):
        b = await bench_of(dut)
        await b.open(replace(IMAGE, cwnd=14600, const_flags=ts_en))
        await b.send(2000)
        await b.grant()
        await b.grant()
        b.now = b.records[-1].tcb.rtx_deadline
        only((await b.take(TcpEvt.TIMER)).tcb, rtt_active=0, rto=2000, snd_nxt=UNA, snd_max=u32(UNA + 2000))
        record, seg = await b.grant()
        assert seg is not None
        only(seg, seq=UNA)
        only(record.tcb, rtt_active=ts_en, snd_max=u32(UNA + 2000))
        if ts_en:
            only(record.tcb, rtt_seq=UNA, rtt_tick=b.now)
        b.now += 40
        echo = {"ts_present": 1, "tsval": 200, "tsecr": seg.tsval} if ts_en else {}
        tcb = (await b.segment(ack=u32(UNA + seg.len), **echo)).tcb
        only(tcb, rtx_count=0, rtt_active=0, rto=300 if ts_en else 2000, srtt=40 << 3 if ts_en else 0)  # RFC 6298 5.7
        await FallingEdge(dut.clk)
        b.stop()


@cocotb.test()
async def recover_follows_what_is_acknowledged(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(IMAGE, cwnd=7300))
    await b.send(30000)
    for _ in range(5):
        await b.grant()
    for n in (1, 2):
        record = await b.segment()
        only(record.tcb, dup_acks=n)
        await b.grant()  # limited transmit (S-7)
    record = await b.segment()
    only(record.tcb, dup_acks=3, in_recovery=1, recover=u32(UNA + 10220), ssthresh=3650, cwnd=8030)
    await b.grant()
    # three segments more left the network: 12410 - 10220 octets of room take one new one
    only((await b.segment()).tcb, cwnd=9490)
    only((await b.segment()).tcb, cwnd=10950)
    record = await b.segment()
    only(record.tcb, cwnd=12410)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 10220), len=1460)
    # all of it is acknowledged: recovery ends, and recover with it lies right below snd_una
    una = u32(UNA + 11680)
    record = await b.segment(ack=una)
    only(record.tcb, in_recovery=0, cwnd=3650, recover=u32(una - 1), snd_una=una)
    for _ in range(2):
        await b.grant()
    await b.quiet()
    # so the next loss can start a recovery: 2920 on their way, and two segments of limited transmit, which do not count
    for n in (1, 2, 3):
        record = await b.segment(ack=una)
        only(record.tcb, dup_acks=n, in_recovery=int(n == 3))
        if n < 3:
            await b.grant()
    only(record.tcb, recover=u32(una + 5840), ssthresh=2920, cwnd=2920 + 4380)
    # a partial acknowledgment leaves it where it is
    record = await b.segment(ack=u32(una + 1460))
    only(record.tcb, in_recovery=1, recover=u32(una + 5840))
    b.taken = len(b.records)
    await b.step(100)
    b.taken = len(b.records)
    await b.quiet()


@cocotb.test()
async def a_closed_window_is_probed(dut: Any) -> None:
    """S18, S19."""
    b = await bench_of(dut)
    await b.open(replace(IMAGE, snd_wnd=0, max_snd_wnd=3000))
    record = await b.send(100)
    only(record.tcb, persist=1, rtx_on=1, rtx_deadline=2000, rtx_count=0)
    b.now = 2000
    record = await b.take(TcpEvt.TIMER)
    only(record.tcb, probe_owed=1, rtx_count=1, rtx_deadline=3000, cwnd=4380)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=UNA, len=1, flags=ACK)
    only(record.tcb, snd_max=u32(UNA + 1), snd_nxt=UNA, probe_owed=0, persist=1)
    b.now = 2010
    record = await b.segment(seq=RCV, wnd=0)
    only(record.tcb, snd_wnd_probe_count=1, rtx_count=0, rtx_deadline=4010, persist=1, dup_acks=0)
    b.now = 2020
    record = await b.segment(seq=RCV, wnd=5000)
    only(record.tcb, persist=0, rtx_on=1, rtx_deadline=3020, snd_wnd=5000, max_snd_wnd=5000)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=UNA, len=100, flags=ACK | PSH)
    only(record.tcb, snd_nxt=u32(UNA + 100), snd_max=u32(UNA + 100))
    await b.quiet()


@cocotb.test()
async def probes_of_a_closed_window_go_on_where_they_were_handed_over(dut: Any) -> None:
    b = await bench_of(dut)
    await b.path()
    await b.neighbor()
    image = replace(
        IMAGE, snd_wnd=0, max_snd_wnd=3000, snd_max=u32(UNA + 1), rtx_count=2, snd_wnd_probe_count=1,
        rtx_timeout_delta=400,
    )  # fmt: skip
    record = await b.command(Opcode.INITIATE, image.pack())
    only(record.tcb, rto=1000, persist=0)  # the count is one of probes: the timeout is not backed off
    await b.send(100)
    b.now = 1100
    record = await b.command(Opcode.START)
    only(record.tcb, persist=1, rtx_on=1, rtx_count=2, snd_wnd_probe_count=1, rtx_deadline=1500)
    b.now = 1500
    record = await b.take(TcpEvt.TIMER)
    only(record.tcb, probe_owed=1, rtx_count=3, rtx_deadline=5500, cwnd=4380)
    _, seg = await b.grant()
    assert seg is not None
    only(seg, seq=UNA, len=1, flags=ACK)
    # a timer that does not run, a probe that the host counts in snd_nxt, the wait for the peer's FIN
    ours = replace(image, local_port=4001)
    for conn, changes, state in (
        (1, {"rtx_timeout_delta": OFF, "rtx_count": 0}, {"persist": 1, "rtx_count": 0, "rtx_deadline": 2500}),
        (
            2,
            {"snd_nxt": u32(UNA + 1)},
            {"persist": 1, "snd_nxt": UNA, "rtx_count": 2, "rtx_deadline": 1900, "rto": 1000},
        ),
    ):
        await b.command(Opcode.INITIATE, replace(ours, **changes).pack(), conn=conn)
        await b.send(100, conn=conn)
        record = await b.command(Opcode.START, conn=conn)
        only(record.tcb, **state)
    waits = replace(ours, state=TcpState.FIN_WAIT_2, snd_max=UNA)
    await b.command(Opcode.INITIATE, waits.pack(), conn=3)
    record = await b.command(Opcode.START, conn=3)
    only(record.tcb, persist=0, rtx_on=1, rtx_deadline=1900)
    await b.quiet()


@cocotb.test()
async def a_silly_window_is_not_filled(dut: Any) -> None:
    """S25."""
    b = await bench_of(dut)
    await b.open(replace(IMAGE, snd_wnd=999, max_snd_wnd=2000))
    record = await b.send(1500)
    only(record.tcb, persist=1)  # 999 is neither all, nor an mss, nor half the largest window
    record = await b.segment(seq=RCV, wnd=1000)
    only(record.tcb, persist=0, rtx_on=0)
    _, seg = await b.grant()
    assert seg is not None
    only(seg, seq=UNA, len=1000, flags=ACK)
    await b.quiet()


@cocotb.test()
async def the_persist_timer_overrides_a_silly_window(dut: Any) -> None:
    """S25, B01."""
    b = await bench_of(dut)
    # rto 2000 + 1000 ticks, rto_initial 1000: the override is the smaller
    await b.open(replace(IMAGE, snd_wnd=999, max_snd_wnd=2000, srtt=16000, rttvar=1000))
    record = await b.send(1500)
    only(record.tcb, persist=1, rtx_on=1, rtx_count=0, rto=3000, rtx_deadline=2000)
    await b.quiet()
    b.now = 2000
    record = await b.take(TcpEvt.TIMER)
    only(record.tcb, probe_owed=1, rtx_count=1, rtx_deadline=5000)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=UNA, len=999, flags=ACK)
    only(record.tcb, snd_max=u32(UNA + 999), snd_nxt=UNA, probe_owed=0, persist=1, rtt_active=0)
    # C-8e: an answer with another silly window starts the override time again, but only the first one
    b.now = 2010
    record = await b.segment(seq=RCV, wnd=998)
    only(record.tcb, persist=1, rtx_count=0, snd_wnd_probe_count=0, rtx_deadline=3010, snd_wnd=998, dup_acks=0)
    b.now = 2020
    record = await b.segment(seq=RCV, wnd=997)
    only(record.tcb, persist=1, rtx_count=0, rtx_deadline=3010, snd_wnd=997)
    # what the probe carried is acknowledged; 400 of the 501 octets left are still less than half of 2000
    b.now = 2030
    record = await b.segment(seq=RCV, wnd=400, ack=u32(UNA + 999))
    only(record.tcb, persist=1, snd_una=u32(UNA + 999), snd_nxt=u32(UNA + 999), rtx_deadline=3010, release_owed=1)
    await b.grant()
    await b.quiet()
    b.now = 3010
    record = await b.take(TcpEvt.TIMER)
    only(record.tcb, probe_owed=1, rtx_count=1, rtx_deadline=6010)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 999), len=400, flags=ACK)
    only(record.tcb, snd_max=u32(UNA + 1399), snd_nxt=u32(UNA + 999))
    # the window closes: a probe round of the closed window, backed off
    b.now = 3020
    record = await b.segment(seq=RCV, wnd=0, ack=u32(UNA + 999))
    only(record.tcb, persist=1, rtx_count=0, snd_wnd_probe_count=1, rtx_deadline=3020 + 6000)
    b.now = 9020
    record = await b.take(TcpEvt.TIMER)
    only(record.tcb, probe_owed=1, rtx_count=1, rtx_deadline=12020)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 999), len=1, flags=ACK)
    only(record.tcb, snd_max=u32(UNA + 1399))
    # it opens a little: the count of closed rounds is gone
    b.now = 9030
    record = await b.segment(seq=RCV, wnd=10, ack=u32(UNA + 1000))
    only(record.tcb, persist=1, rtx_count=0, snd_wnd_probe_count=0, rtx_deadline=10030, snd_una=u32(UNA + 1000))
    await b.grant()
    # everything fits: persist ends, and the ordinary timer runs for what the probes left in flight
    record = await b.segment(seq=RCV, wnd=5000, ack=u32(UNA + 1000))
    only(record.tcb, persist=0, rtx_count=0, rtx_on=1, rtx_deadline=9030 + 3000)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 1000), len=500, flags=ACK | PSH)
    only(record.tcb, snd_nxt=u32(UNA + 1500), snd_max=u32(UNA + 1500))
    await b.quiet()


@cocotb.test()
async def a_closed_window_waits_a_whole_rto_for_its_first_probe(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(IMAGE, snd_wnd=0, max_snd_wnd=2000, srtt=16000, rttvar=1000))
    record = await b.send(1500)
    only(record.tcb, persist=1, rto=3000, rtx_deadline=4000)
    await b.command(Opcode.INITIATE, replace(IMAGE, snd_wnd=999, max_snd_wnd=2000, srtt=80, rttvar=400).pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    record = await b.send(1500, conn=1)
    only(record.tcb, persist=1, rto=410, rtx_deadline=1410)  # below rto_initial: the override is the rto
    await b.quiet()


@cocotb.test()
async def a_probe_carries_what_window_and_segment_hold_and_no_fin_behind_data(dut: Any) -> None:
    b = await bench_of(dut)
    # a congestion window far below the segment: the probe is one whole segment
    await b.open(replace(IMAGE, cwnd=100, snd_wnd=5000, max_snd_wnd=5000))
    record = await b.send(3000)
    only(record.tcb, persist=1, rtx_deadline=2000)
    # all the data fits, its FIN waits
    await b.command(Opcode.INITIATE, replace(IMAGE, cwnd=50, snd_wnd=200, max_snd_wnd=2000).pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    record = await b.command(Opcode.DISCONNECT, conn=1, flags=1, length=100, count=1, addr=0x5000)
    only(record.tcb, persist=1, rtx_deadline=2000, snd_end=u32(UNA + 101))
    await b.quiet()
    b.now = 2000
    await b.step(200)
    probes = {r.conn: r for r in b.records if r.kind == TcpEvt.TX_GRANT}
    only(TxSegment.unpack(probes[0].tx0.body), seq=UNA, len=1460, flags=ACK)
    only(probes[0].tcb, snd_max=u32(UNA + 1460), snd_nxt=UNA, persist=1)
    only(TxSegment.unpack(probes[1].tx0.body), seq=UNA, len=100, flags=ACK | PSH)
    only(probes[1].tcb, snd_max=u32(UNA + 100), snd_nxt=UNA, persist=1, state=TcpState.ESTABLISHED)
    b.taken = len(b.records)
    record = await b.segment(conn=1, seq=RCV, ack=u32(UNA + 100), wnd=200)
    only(record.tcb, persist=0, snd_nxt=u32(UNA + 100))
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 100), len=0, flags=ACK | FIN)
    only(record.tcb, state=TcpState.FIN_WAIT_1, snd_max=u32(UNA + 101))
    await b.quiet()


@cocotb.test()
async def fin_goes_both_ways_and_time_wait_asks_for_upload(dut: Any) -> None:
    """S41."""
    b = await bench_of(dut)
    await b.open()
    record = await b.command(Opcode.DISCONNECT, flags=1, length=100, count=1, addr=0x5000)
    append = TxAppend.unpack(record.tx0.body)
    only(append, start_seq=UNA, end_seq=u32(UNA + 101), last=1, fin=1, opcode=Opcode.DISCONNECT)
    only(record.tcb, snd_end=u32(UNA + 101), fin_queued=1)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=UNA, len=100, flags=ACK | PSH | FIN)
    only(record.tcb, state=TcpState.FIN_WAIT_1, snd_nxt=u32(UNA + 101), snd_max=u32(UNA + 101))
    record = await b.send(10)
    only(record.cpl, kind=CqKind.SEND, code=Opcode.SEND, status=Status.BAD_STATE, nbytes=0, cookie=COOKIE)
    record = await b.segment(seq=RCV, ack=u32(UNA + 101), flags=ACK | FIN)
    only(record, verdict=Verdict.DROP, credits=b.spare + 8)
    only(record.dlv, kind=DlvEvt.DELIVER, len=0, offset=0, fin=1)
    only(record.tcb, state=TcpState.TIME_WAIT, rcv_nxt=RCV + 1, consumed_seq=RCV + 1, fin_rcvd=1, ack_now=1)
    only(record.tcb, retrieve_sent=0, rcv_adv=RCV + 32768)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 101), ack=RCV + 1, len=0, flags=ACK, wnd=32768)
    only(record.dlv, kind=DlvEvt.NOTIFY, event=TcpEventType.RETRIEVE, info=UploadReason.UPLOAD_REQUESTED)
    only(record.tcb, retrieve_sent=1, phase=Phase.RUNNING)
    only(record, tx1_valid=1)
    record = await b.segment(seq=RCV, ack=u32(UNA + 101), flags=ACK | FIN)
    only(record, verdict=Verdict.PASS_UP, dlv_valid=0)
    await b.quiet()


@cocotb.test()
async def passive_close_retransmits_its_fin(dut: Any) -> None:
    """S42, S50."""
    b = await bench_of(dut)
    await b.open()
    record = await b.segment(seq=RCV, pay_len=20, flags=ACK | FIN)
    only(record, verdict=Verdict.DELIVER)
    only(record.dlv, len=20, fin=1)
    only(record.tcb, state=TcpState.CLOSE_WAIT, rcv_nxt=RCV + 21, consumed_seq=RCV + 1, ack_now=1)
    await b.grant()
    await b.command(Opcode.DISCONNECT, flags=1)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, seq=UNA, len=0, flags=ACK | FIN)
    only(record.tcb, state=TcpState.LAST_ACK, snd_nxt=u32(UNA + 1), rtt_active=0, rtx_on=1)
    b.now = 2000
    record = await b.take(TcpEvt.TIMER)
    only(record.tcb, snd_nxt=UNA)
    _, seg = await b.grant()
    assert seg is not None
    only(seg, seq=UNA, len=0, flags=ACK | FIN)
    record = await b.segment(seq=RCV + 21, ack=u32(UNA + 1))
    only(record.tcb, state=TcpState.CLOSED, rtx_on=0, retrieve_sent=0)
    await b.grant()
    record = await b.segment(seq=RCV + 21, ack=u32(UNA + 1))
    only(record, verdict=Verdict.PASS_UP)
    await b.quiet()


@cocotb.test()
async def text_behind_the_last_acknowledgment_is_owed_nothing_c9(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    await b.segment(seq=RCV, flags=ACK | FIN)
    await b.grant()
    await b.command(Opcode.DISCONNECT, flags=1)
    await b.grant()
    for fields in ({"pay_len": 10}, {"flags": ACK | FIN}, {"pay_len": 10, "flags": ACK | FIN}):
        # while the FIN is not acknowledged, what comes behind the peer's own is answered
        record = await b.segment(seq=RCV + 1, **fields)
        only(record, verdict=Verdict.DROP, dlv_valid=0)
        only(record.tcb, state=TcpState.LAST_ACK, dup_owed=1, rcv_nxt=RCV + 1)
        await b.grant()
    last = u32(UNA + 1)
    for conn, fields in enumerate(({"pay_len": 10}, {"flags": ACK | FIN}, {"pay_len": 10, "flags": ACK | FIN})):
        if conn:
            await b.command(Opcode.INITIATE, replace(IMAGE, state=TcpState.CLOSE_WAIT).pack(), conn=conn)
            await b.command(Opcode.START, conn=conn)
            await b.command(Opcode.DISCONNECT, conn=conn, flags=1)
            await b.grant()
        seq = RCV if conn else RCV + 1
        record = await b.segment(conn=conn, seq=seq, ack=last, **fields)
        only(record, verdict=Verdict.DROP, dlv_valid=0, credits=b.spare + 8)
        only(record.tcb, state=TcpState.CLOSED, dup_owed=0, ack_now=0, rcv_nxt=seq, release_owed=1)
        record, segment = await b.grant()
        assert segment is None, "the connection is gone: no acknowledgment leaves"
        assert TxRelease.unpack(record.tx1.body) == TxRelease(una=last)
        await b.quiet()


@cocotb.test()
async def terminate_acknowledges_fences_and_frees(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    await b.send(100)
    await b.grant()
    await b.segment(seq=RCV, pay_len=10)
    b.now = 1060
    record = await b.command(Opcode.TERMINATE, addr=0x9000, addr2=0xA000)
    only(record, tx0_valid=1, tx1_valid=1, dlv_valid=1, cpl_valid=0)
    only(TxSegment.unpack(record.tx0.body), seq=u32(UNA + 100), ack=RCV + 10, len=0, flags=ACK, wnd=32758)
    only(record.tx1, kind=TxKind.FENCE)
    only(TxRelease.unpack(record.tx1.body), una=UNA, status=Status.UPLOAD)
    only(record.dlv, kind=DlvEvt.FREEZE, a=0xA000, aborted=0)
    only(record.tcb, phase=Phase.FROZEN, terminating=1, unacked_segs=0, dack_on=0, rtx_on=1, rtx_deadline=2000)
    only(record.tcb, img_addr=0x9000, img_cookie=COOKIE, img_sq_index=b.sq_index, last_ack_sent=RCV + 10)
    await b.quiet()
    b.now = 3000  # no timer runs any more
    await b.quiet(200)
    record = await b.send(5)
    only(record.cpl, kind=CqKind.SEND, status=Status.UPLOAD, code=Opcode.SEND, sq_index=b.sq_index)
    record = await b.command(Opcode.TERMINATE)
    only(record.cpl, kind=CqKind.COMMAND, status=Status.BAD_STATE)
    b.waiting["fence"].append({"conn": 0, "gen": GEN + 1})
    record = await b.take(TcpEvt.FENCE_DONE)
    only(record, img_valid=0)
    before = record.tcb
    b.ready["img"] = 20
    b.waiting["fence"].append({"conn": 0, "gen": GEN})
    record = await b.take(TcpEvt.FENCE_DONE)
    only(record, img_valid=1, tick=3000)
    assert record.tcb == replace(before, phase=Phase.FREE, terminating=0)
    assert b.deleted == [0]
    assert b.freed == [0]
    await b.step(50)
    assert b.out["img"] == [record.tcb.pack()]
    assert int(dut.m_img_tick.value) == 3000
    record = await b.segment(seq=RCV)
    only(record, verdict=Verdict.PASS_UP)
    record = await b.command(Opcode.INITIATE, IMAGE.pack(), gen=GEN + 1)
    only(record.tcb, phase=Phase.LOADED, gen=GEN + 1, img_addr=0)
    b.now = 3500
    record = await b.command(Opcode.TERMINATE, gen=GEN + 1)
    only(record, tx0_valid=0, tx1_valid=1)
    await b.quiet()


@cocotb.test()
async def what_does_not_fit_changes_nothing(dut: Any) -> None:
    b = await bench_of(dut)
    # never written: the table reads as FREE and all zero
    record = await b.segment(conn=3)
    only(record, verdict=Verdict.PASS_UP)
    assert record.tcb == Tcb()
    record = await b.send(10)
    only(record.cpl, kind=CqKind.SEND, status=Status.BAD_STATE, conn=0, gen=GEN, code=Opcode.SEND)
    record = await b.command(Opcode.START)
    only(record.cpl, kind=CqKind.COMMAND, status=Status.BAD_STATE, code=Opcode.START)
    # the path was never written: the look-up entry goes again
    record = await b.command(Opcode.INITIATE, IMAGE.pack(), conn=2)
    only(record.cpl, kind=CqKind.COMMAND, status=Status.BAD_IMAGE)
    assert b.deleted == [2]
    assert b.freed == [2]
    # nor is the path enough without its neighbor, whatever other neighbors were written
    await b.path(neighbor=3)
    await b.neighbor(2)
    await b.neighbor(4)
    record = await b.command(Opcode.INITIATE, IMAGE.pack(), conn=1)
    only(record, dlv_valid=0, tx0_valid=0, cpl_valid=1)
    only(record.cpl, kind=CqKind.COMMAND, status=Status.BAD_IMAGE, code=Opcode.INITIATE, conn=1, cookie=COOKIE)
    assert record.tcb == Tcb()
    assert b.deleted == b.freed == [2, 1]
    tcb = await b.open()
    record = await b.segment(seq=RCV, pay_len=10, gen=GEN + 1)
    only(record, verdict=Verdict.PASS_UP, dlv_valid=0)
    assert record.tcb == tcb
    record = await b.command(Opcode.SEND, gen=GEN - 1, length=10, count=1)
    only(record.cpl, kind=CqKind.SEND, status=Status.BAD_STATE, gen=GEN - 1)
    record = await b.command(Opcode.INITIATE, IMAGE.pack(), gen=GEN + 1)
    only(record.cpl, status=Status.BAD_STATE)
    assert record.tcb == tcb
    b.waiting["fault"].append({"conn": 0, "gen": GEN + 1})
    record = await b.take(TcpEvt.FAULT)
    assert record.tcb == tcb
    b.waiting["consumed"].append({"conn": 0, "gen": GEN + 1, "bytes": 9})
    record = await b.take(TcpEvt.CONSUMED)
    assert record.tcb == tcb
    b.waiting["fence"].append({"conn": 0, "gen": GEN})
    record = await b.take(TcpEvt.FENCE_DONE)
    assert record.tcb == tcb
    only(record, img_valid=0)
    record = await b.credit(5)
    only(record, credits=b.spare + 13, conn=0, gen=0, cause=5)
    assert record.tcb == Tcb()
    assert b.deleted == [2, 1]
    # the path that moves to a neighbor never written takes no new connection with it
    await b.path(neighbor=5)
    record = await b.command(Opcode.INITIATE, IMAGE.pack(), conn=3)
    only(record.cpl, status=Status.BAD_IMAGE)
    await b.neighbor(5)
    record = await b.command(Opcode.INITIATE, IMAGE.pack(), conn=3)
    only(record, cpl_valid=0, dlv_valid=1)
    only(record.tcb, phase=Phase.LOADED)
    assert b.deleted == b.freed == [2, 1, 3]
    await b.quiet()


@cocotb.test()
async def reset_syn_and_urgent_data_end_the_offload(dut: Any) -> None:
    """S11."""
    b = await bench_of(dut)
    await b.open()
    record = await b.segment(seq=RCV + 1, flags=RST)
    only(record.tcb, dup_owed=1, phase=Phase.RUNNING)
    await b.grant()
    record = await b.segment(seq=RCV - 1, flags=RST)
    only(record.tcb, dup_owed=0, phase=Phase.RUNNING)
    record = await b.segment(seq=RCV + 5, flags=SYN)
    only(record.tcb, dup_owed=1)
    await b.grant()
    record = await b.segment(seq=RCV, flags=0, pay_len=3)
    only(record, verdict=Verdict.DROP)
    only(record.tcb, dup_owed=0, rcv_nxt=RCV)
    record = await b.segment(seq=RCV, flags=RST)
    only(record, verdict=Verdict.DROP)
    only(record.tcb, aborted=1, abort_owed=1, phase=Phase.FROZEN, state=TcpState.CLOSED, retrieve_sent=0)
    only(record.dlv, kind=DlvEvt.NOTIFY, event=TcpEventType.ABORT, info=0, aborted=1)
    await b.grant()
    record = await b.send(1)
    only(record.cpl, status=Status.ABORTED)
    record = await b.command(Opcode.TERMINATE)
    only(TxRelease.unpack(record.tx1.body), status=Status.ABORTED)
    only(record.dlv, aborted=1)
    await b.command(Opcode.INITIATE, IMAGE.pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    record = await b.segment(conn=1, seq=RCV, flags=SYN | ACK)
    only(record, verdict=Verdict.DROP)
    only(record.tcb, phase=Phase.FROZEN, state=TcpState.CLOSED, retrieve_sent=1, aborted=0)
    only(record.dlv, kind=DlvEvt.NOTIFY, event=TcpEventType.RETRIEVE, info=UploadReason.UPLOAD_REQUESTED)
    await b.command(Opcode.INITIATE, IMAGE.pack(), conn=2)
    await b.command(Opcode.START, conn=2)
    record = await b.segment(conn=2, seq=RCV, flags=URG | ACK, pay_len=5)
    only(record, verdict=Verdict.PASS_UP)
    only(record.dlv, info=UploadReason.RECEIVED_URGENT_DATA)
    only(record.tcb, phase=Phase.FROZEN, rcv_nxt=RCV, state=TcpState.ESTABLISHED)
    record = await b.send(7, conn=2)  # frozen but not terminating: still taken
    only(record, tx0_valid=1, cpl_valid=0)
    b.waiting["fault"].append({"conn": 2, "gen": GEN})
    record = await b.take(TcpEvt.FAULT)
    only(record, dlv_valid=0)
    only(record.tcb, aborted=1)
    await b.command(Opcode.INITIATE, IMAGE.pack(), conn=3)
    await b.command(Opcode.START, conn=3)
    b.waiting["fault"].append({"conn": 3, "gen": GEN})
    record = await b.take(TcpEvt.FAULT)
    only(record.dlv, kind=DlvEvt.NOTIFY, event=TcpEventType.RETRIEVE, info=UploadReason.HARDWARE_FAILURE)
    only(record.tcb, aborted=1, phase=Phase.FROZEN)
    await b.quiet()


def released(record: Commit, **changed: int) -> None:
    """tx1 is the RELEASE of an abort of connection 0, with these fields besides."""
    only(record, tx1_valid=1)
    only(record.tx1, kind=TxKind.RELEASE, conn=0, gen=GEN)
    assert TxRelease.unpack(record.tx1.body) == TxRelease(status=Status.ABORTED, **changed)


@cocotb.test()
async def a_reset_releases_the_sends_with_the_next_grant(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    await b.send(3000)
    for _ in range(3):
        await b.grant()
    await b.segment(ack=u32(UNA + 1460), seq=RCV, pay_len=3)  # a RELEASE is owed, a delayed ACK waits
    await b.grant()
    b.ready["txq"] = 0  # the queue fills up: the RELEASE of the next acknowledgment has to wait, and the abort comes
    for _ in range(20):
        b.waiting["cmd"].append({"sqe": Sqe(opcode=Opcode.NEIGHBOR_WRITE, conn=5).pack(), "sq_index": 0, "image": 0})
    await b.step(300)
    b.taken = len(b.records)
    b.waiting["cmd"].clear()
    await b.segment(ack=u32(UNA + 2000), seq=RCV + 3)
    record = await b.segment(seq=RCV + 3, flags=RST)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=1, cpl_valid=0, verdict=Verdict.DROP)
    only(record.dlv, kind=DlvEvt.NOTIFY, conn=0, gen=GEN, event=TcpEventType.ABORT, info=0, aborted=1)
    only(record.tcb, abort_owed=1, aborted=1, release_owed=1, phase=Phase.FROZEN, state=TcpState.CLOSED)
    before = record.tcb
    b.ready["txq"] = 100
    record, seg = await b.grant()
    assert seg is None
    released(record, una=u32(UNA + 2000))
    only(record, dlv_valid=0, cpl_valid=0)
    assert record.tcb == replace(before, abort_owed=0, release_owed=0)
    b.now = 100_000  # neither of the timers that ran fires, no second grant comes
    await b.quiet(300)
    record = await b.segment(seq=RCV + 3, flags=RST)
    only(record, verdict=Verdict.PASS_UP, dlv_valid=0)
    record = await b.command(Opcode.TERMINATE, addr2=0xA000)
    only(record, tx0_valid=0)
    only(record.tx1, kind=TxKind.FENCE)
    assert TxRelease.unpack(record.tx1.body) == TxRelease(una=u32(UNA + 2000), status=Status.ABORTED)
    only(record.dlv, kind=DlvEvt.FREEZE, a=0xA000, aborted=1)
    b.waiting["fence"].append({"conn": 0, "gen": GEN})
    record = await b.take(TcpEvt.FENCE_DONE)
    only(record, img_valid=1)
    record = await b.command(Opcode.INITIATE, IMAGE.pack(), gen=GEN + 1)
    only(record.tcb, phase=Phase.LOADED, aborted=0, abort_owed=0)
    await b.quiet()


@cocotb.test()
async def a_terminate_before_the_grant_takes_the_abort_over(dut: Any) -> None:
    """B25."""
    b = await bench_of(dut)
    await b.open()
    await b.send(100)
    await b.grant()
    b.offer_segment(seq=RCV, flags=RST)
    while b.waiting["rx"]:
        await b.step()
    sqe = Sqe(opcode=Opcode.TERMINATE, conn=0, gen=GEN, cookie=COOKIE)
    b.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": 0, "image": 0})
    only((await b.take(TcpEvt.RX_SEGMENT)).tcb, abort_owed=1)
    record = await b.take(TcpEvt.COMMAND)
    only(record, tx0_valid=0, tx1_valid=1, cpl_valid=0)
    only(record.tx1, kind=TxKind.FENCE)
    assert TxRelease.unpack(record.tx1.body) == TxRelease(una=UNA, status=Status.ABORTED)
    only(record.tcb, abort_owed=0, aborted=1, terminating=1)
    # at most the grant that was on offer already, which finds nothing owed
    await b.step(80)
    for late in b.records[b.taken :]:
        only(late, kind=TcpEvt.TX_GRANT, tx0_valid=0, tx1_valid=0)
        assert late.tcb == record.tcb
    b.taken = len(b.records)
    await b.quiet()


@cocotb.test()
async def an_abortive_disconnect_resets_and_releases(dut: Any) -> None:
    """S48."""
    b = await bench_of(dut)
    # a table entry alone is not yet a connection that can be reset
    await b.path()
    await b.neighbor()
    await b.credit(8)
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(record.cpl, kind=CqKind.SEND, status=Status.BAD_STATE, code=Opcode.DISCONNECT, conn=0, gen=GEN)
    await b.command(Opcode.INITIATE, replace(IMAGE, const_flags=5, rcv_wind_scale=2, ts_recent=70).pack())
    loaded = (await b.send(3000)).tcb
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0, cpl_valid=1)
    only(record.cpl, kind=CqKind.SEND, status=Status.BAD_STATE, code=Opcode.DISCONNECT, cookie=COOKIE)
    assert record.tcb == loaded
    await b.command(Opcode.START)
    for _ in range(3):
        await b.grant()
    await b.command(Opcode.DISCONNECT, flags=1)  # the FIN that is queued, and then sent, is no obstacle
    _, seg = await b.grant()
    assert seg is not None
    only(seg, flags=ACK | FIN)
    b.appended.clear()
    record = await b.segment(seq=RCV, pay_len=10, ack=u32(UNA + 500), ts_present=1, tsval=71)
    only(record.tcb, unacked_segs=1, dack_on=1, rtx_on=1, state=TcpState.FIN_WAIT_1)
    await b.grant()
    b.now = 1010
    before = b.records[-1].tcb
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(record, tx0_valid=1, tx1_valid=1, dlv_valid=1, cpl_valid=0)
    only(record.tx0, kind=TxKind.SEGMENT, conn=0, gen=GEN)
    seg = TxSegment.unpack(record.tx0.body)
    # window (32768 - 10) >> 2 is rounded up: the right edge must not move back
    only(seg, seq=u32(UNA + 3001), len=0, flags=RST | ACK, ack=RCV + 10, wnd=8190, ttl=64, tos=8, user_priority=3)
    only(seg, ts_en=1, tsval=u32(1010 + before.ts_delta), tsecr=71)
    released(record, una=u32(UNA + 500), cpl=1, cookie=COOKIE, sq_index=b.sq_index)
    assert record.dlv == DlvMsg(kind=DlvEvt.NOTIFY, conn=0, gen=GEN, aborted=1)
    assert record.tcb == replace(
        before, phase=Phase.FROZEN, state=TcpState.CLOSED, aborted=1, unacked_segs=0, dack_on=0, rtx_on=0,
        rcv_adv=RCV + 10 + (8190 << 2), last_ack_sent=RCV + 10,
    )  # fmt: skip
    assert b.appended == [], "it takes no place in the send table"
    b.now = 100_000
    await b.quiet(300)
    for flags in (1, 2):
        record = await b.command(Opcode.DISCONNECT, flags=flags)
        only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0)
        only(record.cpl, kind=CqKind.SEND, status=Status.ABORTED, code=Opcode.DISCONNECT, sq_index=b.sq_index)
    record = await b.command(Opcode.TERMINATE)
    only(TxRelease.unpack(record.tx1.body), status=Status.ABORTED, cpl=0)
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(record.cpl, kind=CqKind.SEND, status=Status.ABORTED)
    record = await b.command(Opcode.DISCONNECT, flags=2, gen=GEN + 1)
    only(record.cpl, kind=CqKind.SEND, status=Status.BAD_STATE, gen=GEN + 1)
    await b.quiet()


@cocotb.test()
async def an_abortive_disconnect_is_taken_while_an_upload_is_asked_for(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open()
    await b.send(100)
    await b.grant()
    for _ in range(3):  # duplicates are owed and an upload is asked for, all of which the reset ends
        b.offer_segment(seq=RCV - 10, pay_len=5)
    b.offer_segment(seq=RCV, flags=SYN | ACK)
    await b.step(200)
    b.taken = len(b.records)
    only(b.records[-1].tcb, phase=Phase.FROZEN, retrieve_sent=1)
    await b.send(60)
    b.ready["txq"] = b.ready["dlv"] = 40
    record = await b.command(Opcode.DISCONNECT, flags=2)
    only(TxSegment.unpack(record.tx0.body), seq=u32(UNA + 100), ack=RCV, flags=RST | ACK, wnd=32768)
    released(record, una=UNA, cpl=1, cookie=COOKIE, sq_index=b.sq_index)
    only(record.tcb, aborted=1, dup_owed=0, ack_now=0, phase=Phase.FROZEN, state=TcpState.CLOSED, retrieve_sent=1)
    await b.quiet()
    # once TERMINATE has come it is too late
    await b.command(Opcode.INITIATE, IMAGE.pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    await b.command(Opcode.TERMINATE, conn=1)
    record = await b.command(Opcode.DISCONNECT, flags=2, conn=1)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0)
    only(record.cpl, kind=CqKind.SEND, status=Status.UPLOAD, code=Opcode.DISCONNECT)
    # a fault has aborted already
    await b.command(Opcode.INITIATE, IMAGE.pack(), conn=2)
    await b.command(Opcode.START, conn=2)
    b.waiting["fault"].append({"conn": 2, "gen": GEN})
    record = await b.take(TcpEvt.FAULT)
    only(record.dlv, event=TcpEventType.RETRIEVE, aborted=0)
    record = await b.command(Opcode.DISCONNECT, flags=2, conn=2)
    only(record, tx0_valid=0, tx1_valid=0, dlv_valid=0)
    only(record.cpl, kind=CqKind.SEND, status=Status.ABORTED)
    await b.quiet()


def told(record: Commit, status: Status) -> None:
    """The engine itself completes a FORWARD."""
    only(record, cpl_valid=1)
    assert record.cpl == Cqe(
        kind=CqKind.FORWARD, status=status, conn=record.conn, gen=record.gen, code=Opcode.FORWARD, cookie=COOKIE,
        sq_index=record.cause,
    )  # fmt: skip


def handed_on(record: Commit, off: int, length: int, *, psh: int = 0, fin: int = 0) -> None:
    """The text of a FORWARD goes to delivery_engine, which completes it: `length` bytes from `off` behind HANDED_IN."""
    only(record, cpl_valid=0, dlv_valid=1)
    assert record.dlv == DlvMsg(
        kind=DlvEvt.DELIVER, conn=record.conn, gen=record.gen, len=length, psh=psh, fin=fin, fwd=1, a=HANDED_IN + off,
        cookie=COOKIE, sq_index=record.cause,
    )  # fmt: skip


@cocotb.test()
async def forwarded_text_goes_to_delivery_which_completes_it(dut: Any) -> None:
    """B-8, C.9."""
    b = await bench_of(dut)
    await b.open(replace(IMAGE, initial_rcv_wnd=3000, rcv_wnd=3000), credits_=4)
    record = await b.forward(pay_len=100, flags=ACK | PSH)
    handed_on(record, 20, 100, psh=1)
    only(record, credits=b.spare + 3)
    only(record.tcb, rcv_nxt=RCV + 100, unacked_segs=1, dack_on=1, dup_owed=0)
    # behind a header with options; the second segment makes an acknowledgment
    record = await b.forward(seq=RCV + 100, pay_off=32, pay_len=50)
    handed_on(record, 32, 50)
    only(record, credits=b.spare + 2)
    only(record.tcb, rcv_nxt=RCV + 150, ack_now=1)
    _, seg = await b.grant()
    assert seg is not None
    only(seg, ack=RCV + 150, len=0)
    # what is old is cut off in front
    record = await b.forward(seq=RCV + 140, pay_off=24, pay_len=15)
    handed_on(record, 24 + 10, 5)
    only(record.tcb, rcv_nxt=RCV + 155, ack_now=1)
    only(record, credits=b.spare + 1)
    await b.grant()
    # what is right of the window is cut off behind, and the FIN with it
    record = await b.forward(seq=RCV + 155, pay_len=2846, flags=ACK | FIN)
    handed_on(record, 20, 2845)
    only(record.tcb, rcv_nxt=RCV + 3000, fin_rcvd=0, state=TcpState.ESTABLISHED)
    only(record, credits=b.spare)
    await b.grant()
    await b.quiet()


@cocotb.test()
async def a_forwarded_segment_that_is_dropped_completes_ok_and_takes_nothing(dut: Any) -> None:
    """B-8, C.1, C.2, C.5, C.9: what the rules drop was processed."""
    b = await bench_of(dut)
    await b.open(credits_=1)
    handed_on(await b.forward(pay_len=10), 20, 10)
    dropped = (
        {"seq": RCV, "pay_len": 10},  # all of it is old
        {"seq": RCV - 500, "pay_len": 10},  # left of the window
        {"seq": RCV + 32768, "pay_len": 10},  # right of it
        {"seq": RCV + 11, "pay_len": 10},  # out of order
        {"seq": RCV + 10, "ack": u32(UNA + 1)},  # acknowledges what was never sent
    )
    for fields in dropped:
        record = await b.forward(**fields)
        told(record, Status.OK)
        only(record, dlv_valid=0, credits=b.spare)
        only(record.tcb, rcv_nxt=RCV + 10, dup_owed=1, phase=Phase.RUNNING)
        await b.grant()
    record = await b.forward(seq=RCV + 10, pay_len=10)  # no pool credit: what was consumed is asked for (C.11)
    told(record, Status.OK)
    only(record, credits=b.spare)
    assert record.dlv == DlvMsg(kind=DlvEvt.FLUSH, gen=GEN)
    only(record.tcb, rcv_nxt=RCV + 10, dup_owed=1, phase=Phase.RUNNING)
    await b.grant()
    for fields in ({"flags": 0, "pay_len": 1}, {"flags": RST, "seq": RCV + 9}):  # in silence
        record = await b.forward(**{"seq": RCV + 10, **fields})
        told(record, Status.OK)
        only(record, dlv_valid=0)
        only(record.tcb, dup_owed=0, phase=Phase.RUNNING)
    await b.quiet()
    # timestamps: none, and an old one
    await b.command(Opcode.INITIATE, replace(IMAGE, const_flags=1, ts_recent=100, ts_time=1000).pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    for owed, fields in ((0, {}), (1, {"ts_present": 1, "tsval": 99})):
        record = await b.forward(conn=1, pay_len=1, **fields)
        told(record, Status.OK)
        only(record.tcb, dup_owed=owed, rcv_nxt=RCV)
    await b.grant()
    record = await b.forward(conn=1, ts_present=1, tsval=101)
    told(record, Status.OK)
    only(record.tcb, ts_recent=101, dup_owed=0)
    await b.quiet()


@cocotb.test()
async def a_forwarded_acknowledgment_completes_sends(dut: Any) -> None:
    """B-8, C.8, F-1, F-2."""
    b = await bench_of(dut)
    await b.open()
    await b.send(3000)
    for _ in range(3):
        await b.grant()
    b.now = 1050
    record = await b.forward(ack=u32(UNA + 1460))
    told(record, Status.OK)
    only(record, dlv_valid=0)
    only(record.tcb, snd_una=u32(UNA + 1460), srtt=400, rttvar=100, rto=300, cwnd=5840, release_owed=1)
    only(record.tcb, rtx_deadline=1350, snd_wl1=RCV)
    record, seg = await b.grant()
    assert seg is None
    only(TxRelease.unpack(record.tx1.body), una=u32(UNA + 1460), status=Status.OK)
    # an acknowledgment on top of text: one commit does both
    record = await b.forward(ack=u32(UNA + 3000), pay_len=7)
    handed_on(record, 20, 7)
    only(record.tcb, snd_una=u32(UNA + 3000), rtx_on=0, rcv_nxt=RCV + 7)
    await b.grant()
    # forwarded duplicates start a recovery
    await b.send(3000)
    for _ in range(3):
        await b.grant()
    for n in range(3):
        record = await b.forward(seq=RCV + 7, ack=u32(UNA + 3000))
        told(record, Status.OK)
        only(record.tcb, dup_acks=n + 1, in_recovery=int(n == 2))
    _, seg = await b.grant()
    assert seg is not None
    only(seg, seq=u32(UNA + 3000), len=1460)
    await b.quiet()


@cocotb.test()
async def a_forwarded_fin_is_delivered_with_its_text_or_alone(dut: Any) -> None:
    """B-8, C.9, E-8."""
    b = await bench_of(dut)
    await b.open()
    record = await b.forward(pay_len=30, flags=ACK | FIN)
    handed_on(record, 20, 30, fin=1)
    only(record.tcb, state=TcpState.CLOSE_WAIT, rcv_nxt=RCV + 31, fin_rcvd=1, consumed_seq=RCV + 1)
    await b.grant()
    # text behind a FIN: owed a duplicate
    record = await b.forward(seq=RCV + 31, pay_len=1)
    told(record, Status.OK)
    only(record.tcb, dup_owed=1)
    await b.grant()
    await b.command(Opcode.INITIATE, IMAGE.pack(), conn=1)
    await b.command(Opcode.START, conn=1)
    await b.command(Opcode.DISCONNECT, conn=1, flags=1)
    await b.grant()
    record = await b.forward(conn=1, ack=u32(UNA + 1))
    told(record, Status.OK)
    only(record.tcb, state=TcpState.FIN_WAIT_2)
    await b.grant()
    record = await b.forward(conn=1, ack=u32(UNA + 1), flags=ACK | FIN | PSH)
    told(record, Status.OK)
    only(record, dlv_valid=1, credits=b.spare + 7)
    assert record.dlv == DlvMsg(kind=DlvEvt.DELIVER, conn=1, gen=GEN, fin=1, psh=1)
    only(record.tcb, state=TcpState.TIME_WAIT, rcv_nxt=RCV + 1)
    # what comes in TIME_WAIT is the host's, and the upload is asked for once
    b.ready["txq"] = 0
    record = await b.forward(conn=1, seq=RCV + 1, ack=u32(UNA + 1), pay_len=4)
    told(record, Status.UPLOAD)
    b.ready["txq"] = 100
    await b.step(60)
    asked = [r.dlv for r in b.records if r.dlv_valid and r.dlv.kind == DlvEvt.NOTIFY]
    want = DlvMsg(kind=DlvEvt.NOTIFY, conn=1, gen=GEN, event=TcpEventType.RETRIEVE, info=UploadReason.UPLOAD_REQUESTED)
    assert asked == [want]
    b.taken = len(b.records)
    await b.quiet()


@cocotb.test()
async def a_forwarded_segment_that_ends_the_offload_tells_it_and_completes(dut: Any) -> None:
    """B-8, C.3, C.4, C.7: RST and SYN are processed, urgent data goes back."""
    b = await bench_of(dut)
    await b.open()
    for conn in (1, 2):
        await b.command(Opcode.INITIATE, IMAGE.pack(), conn=conn)
        await b.command(Opcode.START, conn=conn)
    record = await b.forward(flags=RST)
    told(record, Status.OK)
    assert record.dlv == DlvMsg(kind=DlvEvt.NOTIFY, gen=GEN, event=TcpEventType.ABORT, aborted=1)
    only(record.tcb, phase=Phase.FROZEN, state=TcpState.CLOSED, aborted=1, abort_owed=1)
    record, _ = await b.grant()
    released(record, una=UNA)
    before = record.tcb
    record = await b.forward(pay_len=3)
    told(record, Status.ABORTED)
    only(record, dlv_valid=0, credits=b.spare + 8)
    assert record.tcb == before
    for conn, flags, status, reason in (
        (1, ACK | SYN, Status.OK, UploadReason.UPLOAD_REQUESTED),
        (2, ACK | URG, Status.UPLOAD, UploadReason.RECEIVED_URGENT_DATA),
    ):
        record = await b.forward(conn=conn, flags=flags, pay_len=3)
        told(record, status)
        want = DlvMsg(kind=DlvEvt.NOTIFY, conn=conn, gen=GEN, event=TcpEventType.RETRIEVE, info=reason)
        assert record.dlv == want
        only(record.tcb, phase=Phase.FROZEN, retrieve_sent=1, rcv_nxt=RCV)
        before = record.tcb
        record = await b.forward(conn=conn, pay_len=3)
        told(record, Status.UPLOAD)
        only(record, dlv_valid=0, credits=b.spare + 8)
        assert record.tcb == before
    await b.quiet()


@cocotb.test()
async def a_forward_without_a_running_connection_is_refused(dut: Any) -> None:
    """E-1, B-8."""
    b = await bench_of(dut)
    await b.path()
    await b.neighbor()
    await b.credit(b.spare + 8)
    told(await b.forward(pay_len=3), Status.BAD_STATE)
    loaded = (await b.command(Opcode.INITIATE, IMAGE.pack())).tcb
    for gen in (GEN, GEN + 1):
        record = await b.forward(pay_len=3, gen=gen)
        told(record, Status.BAD_STATE)
        assert record.tcb == loaded
    running = (await b.command(Opcode.START)).tcb
    record = await b.forward(pay_len=3, gen=GEN + 1)
    told(record, Status.BAD_STATE)
    assert record.tcb == running
    await b.command(Opcode.TERMINATE)
    record = await b.forward(pay_len=3)
    told(record, Status.UPLOAD)
    only(record, dlv_valid=0, credits=b.spare + 8)
    b.waiting["fault"].append({"conn": 0, "gen": GEN})
    await b.take(TcpEvt.FAULT)
    told(await b.forward(pay_len=3), Status.ABORTED)
    await b.quiet()


@cocotb.test()
async def timestamps_protect_measure_and_shrink_the_segment(dut: Any) -> None:
    """S08, S58."""
    b = await bench_of(dut)
    await b.open(replace(IMAGE, const_flags=5, snd_wind_scale=2, rcv_wind_scale=3, ts_recent=100, ts_time=M32 - 999))
    # ts_delta = 2^32 - 1000 - 1000, so timestamp = tick - 2000
    await b.send(3000)
    record, seg = await b.grant()
    assert seg is not None
    only(seg, len=1448, ts_en=1, tsval=u32(1000 - 2000), tsecr=100, wnd=4096)
    await b.grant()
    await b.grant()
    record = await b.segment(seq=RCV, pay_len=1)
    only(record, verdict=Verdict.DROP)
    only(record.tcb, dup_owed=0)  # no timestamp: dropped in silence
    ts = {"ts_present": 1, "tsecr": u32(-1000)}
    record = await b.segment(seq=RCV, pay_len=1, tsval=99, **ts)
    only(record.tcb, dup_owed=1, rcv_nxt=RCV)
    await b.grant()
    b.now = 1090
    record = await b.segment(seq=RCV, ack=u32(UNA + 1448), wnd=3000, tsval=150, **ts)
    # R = (1090 - 2000) + 1000 = 90
    only(record.tcb, ts_recent=150, ts_recent_tick=1090, srtt=720, rttvar=180, rto=300, snd_wnd=12000)
    await b.grant()
    # R = 10: d = -80; rttvar = 180 + 80 - 45, srtt = 640; rto = 80 + 215
    b.now = 1100
    record = await b.segment(seq=RCV, ack=u32(UNA + 2896), wnd=3000, tsval=151, ts_present=1, tsecr=u32(-910))
    only(record.tcb, ts_recent=151, srtt=720, rtt_active=0)  # nothing is being measured
    await b.grant()
    await b.send(100)
    await b.grant()
    record = await b.segment(seq=RCV, ack=u32(UNA + 3100), wnd=3000, tsval=152, ts_present=1, tsecr=u32(-910))
    only(record.tcb, srtt=640, rttvar=215, rto=300)
    await b.grant()
    # text right of last_ack_sent does not move TS.Recent; 24 days of silence end PAWS
    record = await b.segment(seq=RCV + 1, pay_len=1, tsval=160, ts_present=1, ack=u32(UNA + 3100))
    only(record.tcb, ts_recent=152)
    await b.grant()
    await b.quiet()
    b.now = u32(1100 + 2073599999)
    record = await b.segment(seq=RCV, tsval=5, ts_present=1, ack=u32(UNA + 3100), wnd=3000)
    only(record.tcb, ts_recent=152, ts_recent_tick=1100, dup_owed=1)
    await b.grant()
    # then whatever comes replaces TS.Recent, but for what lies right of last_ack_sent
    b.now = u32(1100 + 2073600000)
    record = await b.segment(seq=RCV + 1, tsval=6, ts_present=1, ack=u32(UNA + 3100), wnd=3000)
    only(record.tcb, ts_recent=152, ts_recent_tick=1100, dup_owed=0)
    record = await b.segment(seq=RCV, tsval=5, ts_present=1, ack=u32(UNA + 3100), wnd=3000)
    only(record.tcb, ts_recent=5, ts_recent_tick=b.now, dup_owed=0)
    record = await b.segment(seq=RCV, pay_len=1, tsval=4, ts_present=1, ack=u32(UNA + 3100), wnd=3000)
    only(record.tcb, ts_recent=5, dup_owed=1)
    await b.grant()
    await b.quiet()


@cocotb.test()
async def saturated_input_commits_within_eight_cycles_and_starves_nobody(dut: Any) -> None:
    b = await bench_of(dut)
    await b.open(replace(IMAGE, cwnd=1 << 29, snd_wnd=0x3FFF0000, max_snd_wnd=1 << 17), credits_=0)
    await b.send(0xFFFFFF)
    for n in range(300):  # acknowledgments and text of one connection, never a gap
        b.offer_segment(seq=RCV, pay_len=1, ack=UNA)
        b.waiting["consumed"].append({"conn": 0, "gen": GEN, "bytes": 1})
        if n % 4 == 0:
            b.waiting["credit"].append({"count": 1})
    first = len(b.records)
    while b.waiting["rx"] and len(b.records) < first + 600:
        await b.step()
        if len(b.records) == first + 200:
            b.now = 5000  # the retransmission timer is due while everything else waits
    gaps = [y - x for x, y in zip(b.cycles[first:], b.cycles[first + 1 :], strict=False)]
    kinds = {kind: sum(r.kind == kind for r in b.records[first:]) for kind in TcpEvt}
    dut._log.info("cycles between commits: max %d, mean %.2f; %s", max(gaps), sum(gaps) / len(gaps), kinds)
    assert max(gaps) <= 8
    assert kinds[TcpEvt.TIMER] >= 1, "a due timer is served under saturation"
    assert kinds[TcpEvt.TX_GRANT] >= 50
    assert kinds[TcpEvt.CONSUMED] >= 50
    assert kinds[TcpEvt.CREDIT] >= 50


@cocotb.test()
async def connections_take_turns(dut: Any) -> None:
    b = await bench_of(dut)
    conns = int(dut.CONNS.value)
    chosen = sorted({0, 1, conns // 2, conns - 1})
    await b.path()
    await b.neighbor()
    image = replace(IMAGE, cwnd=1 << 20, snd_wnd=1 << 20, max_snd_wnd=1 << 20)
    for conn in chosen:
        await b.command(Opcode.INITIATE, image.pack(), conn=conn, gen=conn & 0xFF)
        await b.command(Opcode.START, conn=conn, gen=conn & 0xFF)
    b.ready["txq"] = 0
    sqe = [Sqe(opcode=Opcode.SEND, conn=c, gen=c & 0xFF, length=14600, count=1, flags=1).pack() for c in chosen]
    b.waiting["cmd"].extend({"sqe": s, "sq_index": 0, "image": 0} for s in sqe)
    await b.step(200)
    b.ready["txq"] = 100
    first = len(b.records)
    await b.step(1500)
    order = [r.conn for r in b.records[first:] if r.kind == TcpEvt.TX_GRANT]
    window = order[4:32]
    for at in range(len(window) - 3):
        assert sorted(window[at : at + 4]) == chosen, order
    for conn in chosen:
        last = [r.tcb for r in b.records if r.conn == conn][-1]
        only(last, snd_nxt=u32(UNA + 14600))
    # all their timers are due at once, and each is served once
    b.taken = len(b.records)
    await b.quiet()
    b.now = 2000
    first = len(b.records)
    await b.step(8 * conns + 400)
    fired = [r for r in b.records[first:] if r.kind == TcpEvt.TIMER]
    assert sorted(r.conn for r in fired) == chosen
    for record in fired:
        only(record, gen=record.conn & 0xFF)
        only(record.tcb, rtx_count=1)


@cocotb.test()
async def random_back_pressure_loses_nothing(dut: Any) -> None:
    b = await bench_of(dut)
    for name in b.ready:
        b.ready[name] = 15
    image = replace(IMAGE, cwnd=1 << 20, const_flags=4, snd_wind_scale=4, snd_wnd=320000, max_snd_wnd=320000)
    await b.open(image, credits_=400)
    for n in range(60):
        b.waiting["cmd"].append(
            {"sqe": Sqe(opcode=Opcode.SEND, gen=GEN, length=2000, count=1).pack(), "sq_index": n, "image": 0}
        )
        b.offer_segment(seq=RCV + 10 * n, pay_len=10, ack=UNA)
        if n % 5 == 0:
            b.waiting["cmd"].append({"sqe": Sqe(opcode=Opcode.START, gen=GEN).pack(), "sq_index": n, "image": 0})
    await b.step(5000)
    for n in range(60):  # forwarded segments and acknowledgments from the wire
        sqe = Sqe(opcode=Opcode.FORWARD, gen=GEN, addr=HANDED_IN, length=30)
        seg = RxSeg(gen=GEN, seq=RCV + 600 + 10 * n, ack=UNA, wnd=20000, flags=ACK, pay_off=20, pay_len=10)
        b.waiting["cmd"].append({"sqe": sqe.pack(), "sq_index": n, "seg": seg.pack()})
        b.offer_segment(seq=RCV + 1200, ack=UNA + n)
    await b.step(5000)
    for name in b.ready:
        b.ready[name] = 100
    await b.step(200)
    b.taken = len(b.records)
    await b.quiet()
    only(b.records[-1].tcb, rcv_nxt=RCV + 1200, snd_nxt=u32(UNA + 120000), snd_una=UNA + 59)
