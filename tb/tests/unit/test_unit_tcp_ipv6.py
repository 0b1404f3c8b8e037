"""Unit test of the engine cluster with IPv6: tables, segment size, flow label, statistics; IPv4 beside it.

DUT = engine_top with the bench of test_unit_tcp_engine; every expected number is worked out by hand from
docs/contract/tcp_step.md (mss, B-2 to B-9) and hostport.md (Statistics). An IPv6 header has 40 bytes (RFC 8200 3), a
TCP header 20, its timestamps take 12 (RFC 7323 3.2).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cocotb
from cocotb.triggers import Timer

from model.layout.generated import (
    CachedImage,
    Opcode,
    PathImage,
    Status,
    TcpEvt,
    TcpImage,
    TxHdrConn,
    TxHdrPath,
    TxKind,
    TxSegment,
)
from tb.tests.unit.test_unit_tcp_engine import GEN, IMAGE, RCV, RST, UNA, Bench, Commit, bench_of, only, u32

KEEP = 1  # flags of PATH_WRITE: UPDATE of the path
HOME = bytes.fromhex("20010db8000100020003000400050006")
AWAY = bytes.fromhex("fe80000000000000a1b1c1d1e1f10203")
PATH4, PATH6 = 0, 1
SIX, FOUR = 0, 1  # connections
IMAGE6 = replace(IMAGE, family=6, path_id=PATH6, cwnd=20_000)
IMAGE4 = replace(IMAGE6, family=4, path_id=PATH4)


async def path6(b: Bench, mtu: int = 1500, flags: int = 0) -> Commit:
    image = PathImage(
        family=6, neighbor_id=3, path_mtu=mtu, src_addr=int.from_bytes(HOME, "little"),
        dst_addr=int.from_bytes(AWAY, "little"),
    )  # fmt: skip
    return await b.command(Opcode.PATH_WRITE, image.pack(), conn=PATH6, gen=0, flags=flags)


async def both_paths(dut: Any, mtu: int = 1500) -> Bench:
    """Both paths at one neighbor, buffers enough."""
    b = await bench_of(dut)
    await b.path(mtu)
    await path6(b, mtu)
    await b.neighbor()
    await b.credit(b.spare + 8)
    return b


async def begin(b: Bench, conn: int, image: TcpImage) -> Commit:
    await b.command(Opcode.INITIATE, image.pack(), conn=conn)
    return await b.command(Opcode.START, conn=conn)


async def settled(b: Bench) -> list[Commit]:
    """What commits by itself; the test has seen it then."""
    await b.step(80)
    seen, b.taken = b.records[b.taken :], len(b.records)
    return seen


async def sent(b: Bench, conn: int) -> list[TxSegment]:
    """The segments of a connection that leave by themselves."""
    items = [(record.conn, record.tx0) for record in await settled(b) if record.tx0_valid]
    return [TxSegment.unpack(item.body) for of, item in items if (of, item.kind) == (conn, TxKind.SEGMENT)]


@cocotb.test()
async def an_ipv6_path_is_written_with_all_of_its_addresses_b2(dut: Any) -> None:
    b = await bench_of(dut)
    record = await path6(b)
    only(record, tx0_valid=1, cpl_valid=1)
    only(record.cpl, status=Status.OK)
    only(record.tx0, kind=TxKind.HDR_PATH, conn=PATH6)
    assert TxHdrPath.unpack(record.tx0.body) == TxHdrPath(
        neighbor_id=3, family=6, src_addr=int.from_bytes(HOME, "big"), dst_addr=int.from_bytes(AWAY, "big")
    )
    await b.quiet()


@cocotb.test()
async def the_header_of_a_connection_has_its_family_and_the_newest_flow_label_b4_b9(dut: Any) -> None:
    b = await both_paths(dut)
    started = await begin(b, SIX, IMAGE6)
    only(started.tcb, family=6)
    hdr = TxHdrConn(local_port=4000, remote_port=80, path_id=PATH6, family=6, flow_label=0x12345)
    assert TxHdrConn.unpack(started.tx0.body) == hdr
    cached = CachedImage(initial_rcv_wnd=32768, ttl=1, flow_label=0xFEDCB)
    record = await b.command(Opcode.UPDATE, cached.pack(), conn=SIX)
    only(record.tx0, kind=TxKind.HDR_CONN, conn=SIX)
    assert TxHdrConn.unpack(record.tx0.body) == replace(hdr, flow_label=0xFEDCB)
    await b.quiet()


@cocotb.test()
async def a_segment_leaves_room_for_the_ip_header_of_its_family(dut: Any) -> None:
    for flags, options in ((0, 0), (1, 12)):
        for remote_mss in (1460, 1441, 1440, 1000):
            want6, want4 = min(remote_mss, 1440), min(remote_mss, 1460)
            b = await both_paths(dut)
            for conn, image, want in ((SIX, IMAGE6, want6), (FOUR, IMAGE4, want4)):
                await begin(b, conn, replace(image, const_flags=flags, remote_mss=remote_mss))
                await b.send(3 * (want - options), conn=conn)
                assert [segment.len for segment in await sent(b, conn)] == [want - options] * 3
            await b.quiet()
            b.stop()
            await Timer(1, unit="ns")


@cocotb.test()
async def a_smaller_path_mtu_takes_effect_on_text_in_flight_and_on_new_text(dut: Any) -> None:
    """CH-122; 1280 is the least MTU of IPv6 (RFC 8200 5)."""
    b = await both_paths(dut)
    await begin(b, SIX, IMAGE6)
    await b.send(2880, conn=SIX)
    assert [segment.len for segment in await sent(b, SIX)] == [1440, 1440]
    await path6(b, 1280, KEEP)
    for _ in range(3):
        await b.segment(conn=SIX, ack=UNA)
        again = await sent(b, SIX)
    assert [(segment.seq, segment.len) for segment in again] == [(UNA, 1220)]
    await b.segment(conn=SIX, ack=u32(UNA + 2880))
    await settled(b)
    await b.send(2440, conn=SIX)
    assert [segment.len for segment in await sent(b, SIX)] == [1220, 1220]
    await b.quiet()


@cocotb.test()
async def statistics_know_the_family_of_the_connection_from_its_first_commit_to_its_last(dut: Any) -> None:
    """CH-016 to CH-019: sums by hand; that of every test's queues compares them with the records."""
    b = await both_paths(dut)
    for conn, image in ((SIX, IMAGE6), (FOUR, IMAGE4)):
        await begin(b, conn, image)
    assert +b.counted == {(6, "established"): 1, (4, "established"): 1}
    for conn, pay_off, offset, length, tagged in ((SIX, 74, 0, 100, 0), (SIX, 78, 100, 0, 1), (FOUR, 54, 0, 100, 0)):
        await b.segment(conn=conn, pay_off=pay_off, seq=RCV + offset, pay_len=length, tagged=tagged)
        await settled(b)
    await b.forward(conn=SIX, seq=RCV + 100, pay_len=10)
    await settled(b)
    assert (b.counted[6, "segments"], b.counted[6, "packets"]) == (3, 2)
    assert b.counted[6, "octets"] == (40 + 20 + 100) + (40 + 20)
    assert (b.counted[4, "segments"], b.counted[4, "octets"]) == (1, 20 + 20 + 100)
    # one is reset by its peer, the other one is taken back while it is open
    await b.segment(conn=SIX, seq=RCV + 110, flags=RST, ack=0)
    await settled(b)
    assert (b.counted[6, "established"], b.counted[6, "reset"]) == (0, 1)
    assert (b.counted[4, "established"], b.counted[4, "reset"]) == (1, 0)
    await b.command(Opcode.TERMINATE, conn=FOUR)
    await settled(b)
    b.waiting["fence"].append({"conn": FOUR, "gen": GEN})
    await b.take(TcpEvt.FENCE_DONE)
    await settled(b)
    assert (b.counted[4, "established"], b.counted[4, "reset"]) == (0, 0)
    # its place goes to a connection of the other family
    await begin(b, FOUR, IMAGE6)
    await b.segment(conn=FOUR)
    await settled(b)
    assert (b.counted[6, "established"], b.counted[6, "segments"]) == (1, 5)
    assert (b.counted[4, "established"], b.counted[4, "segments"]) == (0, 1)
    await b.quiet()
