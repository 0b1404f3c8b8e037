"""Unit test of `command_decode`: checks 1, 2, 3, 6, 7 of docs/contract/hostport.md: objects, FORWARD, DISCONNECT.

DUT = command_decode. One entry after the other; the bench answers image reads and takes what comes out: a command for
tcp_engine with its image or parsed header, or a completion.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from model.layout.generated import (
    FORWARD_HEAD_BYTES,
    FORWARD_MAX,
    FORWARD_MIN,
    CachedImage,
    Cqe,
    CqKind,
    LkpKey,
    NeighborImage,
    Object,
    Opcode,
    PathImage,
    RxSeg,
    Sqe,
    Status,
    TcpImage,
    TcpState,
)

IMAGE_ADDR = 0x5_0000_1000
CACHED = CachedImage(initial_rcv_wnd=65535, ttl=64)
PATH = PathImage(family=4, neighbor_id=1, path_mtu=1500, src_addr=0x0100000A, dst_addr=0x0200000A)
TCP = TcpImage(
    family=4, remote_mss=1460, path_id=1, ttl=64, state=TcpState.ESTABLISHED, cwnd=1, rtx_timeout_delta=0xFFFF_FFFF
)
KEEP = 1  # flags of PATH_WRITE and NEIGHBOR_WRITE: UPDATE


@dataclass(frozen=True)
class Outcome:
    """What became of an entry. Exactly one of `engine` and `entry` is set."""

    read: tuple[int, int]  # address and bytes of the image read, zeros: none
    engine: int | None  # image bits at tcp_engine
    entry: Cqe | None
    seg: int  # rx_seg bits at tcp_engine, FORWARD
    started: int
    errors: int
    key: LkpKey | None = None  # of an INITIATE that got as far


class Bench:
    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.lanes = int(dut.DATA_W.value) // 8
        self.paths, self.nbrs, self.conns = (int(getattr(dut, n).value) for n in ("PATHS", "NEIGHBORS", "CONNS"))
        self.index = 0

    async def start(self) -> None:
        dut = self.dut
        dut.rst.value = 1
        for name in (
            "s_sqe_valid", "s_sqe", "s_sqe_index", "m_rd_req_ready", "s_rd_valid", "s_rd_data", "s_rd_last",
            "s_rd_error", "m_tcp_ready", "m_dcmd_ready", "m_raw_ready", "m_rawpost_ready", "m_ins_ready", "s_ins_done",
            "s_ins_status", "append_pulse", "append_conn", "pop_pulse", "pop_conn", "free_pulse", "free_conn",
            "m_cpl_ready",
        ):  # fmt: skip
            getattr(dut, name).value = 0
        Clock(dut.clk, 10, unit="ns").start()
        for _ in range(3):
            await FallingEdge(dut.clk)
        dut.rst.value = 0
        for name in ("m_rd_req_ready", "m_tcp_ready", "m_ins_ready", "m_cpl_ready"):
            getattr(dut, name).value = 1
        for _ in range(self.conns + 4):
            await FallingEdge(dut.clk)

    async def play(self, opcode: int, *, image: Any = None, read_error: bool = False, **fields: int) -> Outcome:
        """One entry; `image` is what the host memory holds at its address."""
        dut = self.dut
        self.index += 1
        sqe = Sqe(opcode=opcode, addr=IMAGE_ADDR, cookie=0xC0C0, **fields)
        dut.s_sqe.value, dut.s_sqe_index.value, dut.s_sqe_valid.value = sqe.pack(), self.index, 1
        read, data, started, errors = (0, 0), b"", 0, 0
        outcome: Outcome | None = None
        key: LkpKey | None = None
        for _ in range(200):
            dut.s_rd_valid.value = int(bool(data))
            dut.s_rd_data.value = int.from_bytes(data[: self.lanes], "little")
            dut.s_rd_last.value = int(0 < len(data) <= self.lanes)
            dut.s_rd_error.value = int(read_error)
            dut.s_ins_done.value = 1
            await ReadOnly()
            taken = int(dut.s_sqe_ready.value)
            started += int(dut.start_pulse.value)
            errors += int(dut.error_pulse.value)
            data = data[self.lanes :]
            if int(dut.m_rd_req_valid.value):
                read = (int(dut.m_rd_req_addr.value), int(dut.m_rd_req_len.value))
                assert image is not None, "a read that nobody expects"
                data = image[: read[1]] if isinstance(image, bytes) else image.to_bytes()
                assert len(data) == read[1]
            if int(dut.m_ins_valid.value):
                key = LkpKey.unpack(int(dut.m_ins_key.value))
            if int(dut.m_tcp_valid.value):
                assert int(dut.m_tcp_sqe.value) == sqe.pack()
                assert int(dut.m_tcp_sq_index.value) == self.index
                bits = int(dut.m_tcp_image.value[8 * read[1] - 1 : 0]) if image is not None else 0
                seg = int(dut.m_tcp_seg.value) if opcode == Opcode.FORWARD else 0
                outcome = Outcome(read, bits, None, seg, started, errors, key)
            if int(dut.m_cpl_valid.value):
                outcome = Outcome(read, None, Cqe.unpack(int(dut.m_cpl.value)), 0, started, errors)
            await FallingEdge(dut.clk)
            if taken:
                dut.s_sqe_valid.value = 0
            if outcome is not None:
                return outcome
        raise AssertionError("nothing came of the entry")

    async def reaches(self, opcode: int, *, completes: bool, **fields: Any) -> Outcome:
        """The engine gets the entry; an entry in the completion ring is reserved if it will complete."""
        outcome = await self.play(opcode, **fields)
        assert outcome.entry is None, outcome.entry
        assert outcome.started == int(completes)
        return outcome

    async def refused(self, status: Status, opcode: int, **fields: Any) -> Outcome:
        """The entry ends here."""
        outcome = await self.play(opcode, **fields)
        kinds: dict[int, CqKind] = {Opcode.FORWARD: CqKind.FORWARD, Opcode.DISCONNECT: CqKind.SEND}
        kind = kinds.get(opcode, CqKind.COMMAND)
        want = Cqe(
            kind=kind, status=status, conn=fields.get("conn", 0), gen=fields.get("gen", 0), code=opcode,
            cookie=0xC0C0, sq_index=self.index,
        )  # fmt: skip
        assert outcome.entry == want, f"{outcome.entry}, expected {want}"
        assert outcome.errors == 1
        return outcome


async def bench_of(dut: Any) -> Bench:
    bench = Bench(dut)
    await bench.start()
    return bench


@cocotb.test()
async def commands_on_objects_reach_the_engine_up_to_the_last_number(dut: Any) -> None:
    b = await bench_of(dut)
    last = {Object.CONNECTION: b.conns - 1, Object.PATH: b.paths - 1, Object.NEIGHBOR: b.nbrs - 1}
    for what, number in last.items():
        for conn in (0, number):
            await b.reaches(Opcode.INVALIDATE, completes=True, conn=conn, flags=int(what), gen=3)
            if what != Object.PATH:
                await b.reaches(Opcode.QUERY, completes=True, conn=conn, flags=int(what) | 0xFC, gen=3)
    await b.reaches(Opcode.NEIGHBOR_ANSWER, completes=False, conn=b.nbrs - 1, arg=5)
    outcome = await b.reaches(Opcode.UPDATE, completes=True, conn=b.conns - 1, image=CACHED)
    assert outcome.read == (IMAGE_ADDR, 64)
    assert outcome.engine == CACHED.pack()


@cocotb.test()
async def objects_beyond_the_tables_and_unknown_kinds_are_refused_check_1_2(dut: Any) -> None:
    b = await bench_of(dut)
    for opcode in (Opcode.QUERY, Opcode.INVALIDATE):
        await b.refused(Status.BAD_CONN, opcode, conn=b.conns, flags=int(Object.CONNECTION), gen=9)
        await b.refused(Status.BAD_CONN, opcode, conn=b.nbrs, flags=int(Object.NEIGHBOR))
        await b.refused(Status.BAD_CONN, opcode, conn=0xFFFF, flags=int(Object.NEIGHBOR))
        await b.refused(Status.NOT_SUPPORTED, opcode, conn=0, flags=3)
        await b.refused(Status.NOT_SUPPORTED, opcode, conn=0xFFFF, flags=3)  # check 1 before check 2
    await b.refused(Status.BAD_CONN, Opcode.INVALIDATE, conn=b.paths, flags=int(Object.PATH))
    await b.refused(Status.NOT_SUPPORTED, Opcode.QUERY, conn=0, flags=int(Object.PATH))
    await b.refused(Status.BAD_CONN, Opcode.NEIGHBOR_ANSWER, conn=b.nbrs)
    await b.refused(Status.BAD_CONN, Opcode.UPDATE, conn=b.conns)
    await b.refused(Status.BAD_OPCODE, 21, conn=0)
    await b.refused(Status.BAD_OPCODE, 0xFF, conn=0)


@cocotb.test()
async def the_image_of_an_update_is_read_and_checked_6_7(dut: Any) -> None:
    b = await bench_of(dut)
    await b.refused(Status.READ_ERROR, Opcode.UPDATE, image=CACHED, read_error=True)
    await b.refused(Status.BAD_IMAGE, Opcode.UPDATE, image=CachedImage(ttl=0))
    await b.refused(Status.BAD_IMAGE, Opcode.UPDATE, image=CachedImage(ttl=1, ka_interval=1 << 30))
    await b.refused(Status.RCV_WINDOW, Opcode.UPDATE, image=CachedImage(ttl=1, initial_rcv_wnd=0x3FFF_C001))
    await b.reaches(Opcode.UPDATE, completes=True, image=CACHED)


@cocotb.test()
async def an_update_of_a_path_or_neighbor_does_not_make_it_known_check_8(dut: Any) -> None:
    b = await bench_of(dut)
    await b.reaches(Opcode.PATH_WRITE, completes=True, conn=1, image=PATH)
    await b.reaches(Opcode.NEIGHBOR_WRITE, completes=True, conn=1, image=NeighborImage(), flags=KEEP)
    await b.refused(Status.BAD_IMAGE, Opcode.INITIATE, image=TCP)
    await b.reaches(Opcode.NEIGHBOR_WRITE, completes=True, conn=1, image=NeighborImage())
    await b.reaches(Opcode.INITIATE, completes=True, image=TCP)
    # a relinked path counts by its new neighbor
    await b.reaches(
        Opcode.PATH_WRITE, completes=True, conn=1, flags=KEEP,
        image=PathImage(family=4, neighbor_id=2, path_mtu=1500),
    )  # fmt: skip
    await b.refused(Status.BAD_IMAGE, Opcode.INITIATE, conn=1, image=TCP)
    await b.reaches(Opcode.PATH_WRITE, completes=True, conn=0, image=PATH, flags=KEEP)
    await b.refused(
        Status.BAD_IMAGE, Opcode.INITIATE, conn=1,
        image=TcpImage(
            family=4, remote_mss=1460, ttl=64, state=TcpState.ESTABLISHED, cwnd=1, rtx_timeout_delta=0xFFFF_FFFF
        ),
    )  # fmt: skip


#: 2001:db8:1:2:3:4:5:6 and fe80::1, as bytes of the field: byte 0 of the address in bits 7:0.
SRC6, DST6 = bytes.fromhex("20010db8000100020003000400050006"), bytes.fromhex("fe80" + 13 * "00" + "01")
PATH6 = PathImage(
    family=6, neighbor_id=1, path_mtu=1280,
    src_addr=int.from_bytes(SRC6, "little"), dst_addr=int.from_bytes(DST6, "little"),
)  # fmt: skip
TCP6 = replace(TCP, family=6, local_port=443, remote_port=50000)


@cocotb.test()
async def the_key_has_the_family_and_the_addresses_of_the_path_as_numbers_check_8(dut: Any) -> None:
    b = await bench_of(dut)
    await b.reaches(Opcode.NEIGHBOR_WRITE, completes=True, conn=1, image=NeighborImage())
    await b.reaches(Opcode.PATH_WRITE, completes=True, conn=1, image=PATH6)
    outcome = await b.reaches(Opcode.INITIATE, completes=True, conn=0, image=TCP6)
    assert outcome.key == LkpKey(
        is_ipv6=1, local_ip=int.from_bytes(SRC6, "big"), remote_ip=int.from_bytes(DST6, "big"), local_port=443,
        remote_port=50000,
    )  # fmt: skip
    # an update moves the addresses of the connections that come; the family stays
    moved = replace(PATH6, src_addr=PATH6.dst_addr, dst_addr=PATH6.src_addr)
    await b.reaches(Opcode.PATH_WRITE, completes=True, conn=1, flags=KEEP, image=moved)
    outcome = await b.reaches(Opcode.INITIATE, completes=True, conn=1, image=TCP6)
    assert outcome.key is not None
    assert (outcome.key.is_ipv6, outcome.key.local_ip) == (1, int.from_bytes(DST6, "big"))
    # IPv4: the first four bytes of the field, whatever lies behind them
    beyond = replace(PATH, src_addr=PATH.src_addr | 0xDEAD << 32, dst_addr=PATH.dst_addr | 1 << 127)
    await b.reaches(Opcode.PATH_WRITE, completes=True, conn=1, image=beyond)
    outcome = await b.reaches(Opcode.INITIATE, completes=True, conn=2, image=replace(TCP6, family=4))
    assert outcome.key == LkpKey(local_ip=0x0A000001, remote_ip=0x0A000002, local_port=443, remote_port=50000)


@cocotb.test()
async def a_connection_and_its_path_are_of_one_family_check_8(dut: Any) -> None:
    b = await bench_of(dut)
    await b.reaches(Opcode.NEIGHBOR_WRITE, completes=True, conn=1, image=NeighborImage())
    for path, wrong, right in ((PATH6, TCP, TCP6), (PATH, TCP6, TCP)):  # the second write is of another family
        await b.reaches(Opcode.PATH_WRITE, completes=True, conn=1, image=path)
        await b.refused(Status.BAD_IMAGE, Opcode.INITIATE, conn=path.family % b.conns, image=wrong)
        await b.reaches(Opcode.INITIATE, completes=True, conn=path.family % b.conns, image=right)


@cocotb.test()
async def an_update_of_a_path_keeps_its_family_check_7(dut: Any) -> None:
    b = await bench_of(dut)
    # of a path that was never written: tcp_engine refuses it
    await b.reaches(Opcode.PATH_WRITE, completes=True, conn=1, flags=KEEP, image=PATH)
    await b.reaches(Opcode.PATH_WRITE, completes=True, conn=1, flags=KEEP, image=PATH6)
    for here, there in ((PATH, PATH6), (PATH6, PATH)):
        await b.reaches(Opcode.PATH_WRITE, completes=True, conn=1, image=here)
        await b.reaches(Opcode.PATH_WRITE, completes=True, conn=0, image=there)
        await b.refused(Status.BAD_IMAGE, Opcode.PATH_WRITE, conn=1, flags=KEEP, image=there)
        # it decides in front of the MTU that is too large, not of the family that there is not
        await b.refused(Status.BAD_IMAGE, Opcode.PATH_WRITE, conn=1, flags=KEEP, image=replace(there, path_mtu=1501))
        await b.refused(Status.NOT_SUPPORTED, Opcode.PATH_WRITE, conn=1, flags=KEEP, image=replace(there, family=5))
        await b.refused(Status.PATH_MTU, Opcode.PATH_WRITE, conn=1, flags=KEEP, image=replace(here, path_mtu=1501))
        await b.reaches(Opcode.PATH_WRITE, completes=True, conn=1, flags=KEEP, image=replace(here, path_mtu=1400))


@cocotb.test()
async def an_inherited_fin_is_graceful_empty_and_reserves_no_completion_b6_checks_1_3(dut: Any) -> None:
    b = await bench_of(dut)
    graceful, abortive, inherited = 1, 2, 4
    await b.reaches(Opcode.DISCONNECT, completes=True, flags=graceful)
    await b.reaches(Opcode.DISCONNECT, completes=True, flags=abortive)
    await b.reaches(Opcode.DISCONNECT, completes=False, flags=graceful | inherited)
    for flags in (0, inherited, abortive | inherited, graceful | abortive, 7):
        await b.refused(Status.NOT_SUPPORTED, Opcode.DISCONNECT, flags=flags, length=5, count=1)
    await b.refused(Status.BAD_LENGTH, Opcode.DISCONNECT, flags=graceful | inherited, length=5, count=1)
    await b.refused(Status.BAD_LENGTH, Opcode.DISCONNECT, flags=graceful | inherited, length=5)
    await b.refused(Status.BAD_LENGTH, Opcode.DISCONNECT, flags=graceful | inherited, count=1)
    await b.reaches(Opcode.DISCONNECT, completes=True, flags=graceful, length=5, count=1)


@dataclass(frozen=True)
class Segment:
    """A TCP segment in host memory."""

    options: bytes = b""
    text: bytes = b""
    flags: int = 0x10
    doff: int | None = None

    def to_bytes(self) -> bytes:
        doff = 5 + len(self.options) // 4 if self.doff is None else self.doff
        head = struct.pack(
            "!HHIIBBHHH", 80, 4000, 0xF1E2D3C4, 0x8192A3B4, doff << 4 | 0xF, self.flags, 0xFEDC, 0xBAD0, 0x1111
        )
        return head + self.options + self.text


def stamp(tsval: int, tsecr: int) -> bytes:
    return struct.pack("!BBII", 8, 10, tsval, tsecr)


@cocotb.test()
async def a_forwarded_header_becomes_the_arguments_of_a_segment(dut: Any) -> None:
    """hostport.md FORWARD, tcp_step.md B-8; options as RFC 9293 3.2, RFC 7323 3.2."""
    b = await bench_of(dut)
    none = (0, 0, 0)
    good = (1, 0x89ABCDEF, 0x01234567)
    ts = stamp(*good[1:])
    cases: list[tuple[bytes, tuple[int, int, int]]] = [
        (b"", none),
        (b"\1\1" + ts, good),
        (ts + b"\1\1", good),
        (b"\2\4\5\xb4" + ts + b"\0\0", good),
        (b"\1" * 28 + ts + b"\1\1", good),
        (stamp(7, 8) + b"\1\1" + ts + b"\0\0", good),  # the last one counts
        (b"\0\1" + ts, none),  # behind the end
        (b"\3\0" + ts, none),  # a length below 2 stops
        (b"\3\x0e" + ts, none),  # a length past the header stops, the timestamp is inside it
        (stamp(1, 2)[:1] + b"\x09" + b"\1\1", none),  # another length is another option
        (b"\1" * 40, none),
        (b"\1\1\1\x08", none),  # no length byte
    ]
    for number, (options, (present, tsval, tsecr)) in enumerate(cases):
        for text in (b"", b"\1\1" + stamp(5, 6) + bytes(100 * number)):  # text that looks like an option
            for flags in (0x10, 0xFF):
                segment = Segment(options, text, flags).to_bytes()
                conn, gen = number % b.conns, 200 + number
                outcome = await b.reaches(
                    Opcode.FORWARD, completes=True, conn=conn, gen=gen, length=len(segment), image=segment
                )
                assert outcome.read == (IMAGE_ADDR, min(len(segment), FORWARD_HEAD_BYTES))
                assert RxSeg.unpack(outcome.seg) == RxSeg(
                    conn=conn, gen=gen, seq=0xF1E2D3C4, ack=0x8192A3B4, wnd=0xFEDC, flags=flags, ts_present=present,
                    tsval=tsval, tsecr=tsecr, pay_off=20 + len(options), pay_len=len(text),
                )  # fmt: skip


@cocotb.test()
async def a_forward_carries_a_whole_header_and_at_most_one_segment_check_2_3(dut: Any) -> None:
    b = await bench_of(dut)
    for length in (0, FORWARD_MIN - 1, FORWARD_MAX + 1, 0x1_0000 | FORWARD_MIN, 0xFFFF_FFFF):
        outcome = await b.refused(Status.BAD_LENGTH, Opcode.FORWARD, length=length)
        assert outcome.started == 1, "its entry comes, and gives a place back"
    await b.refused(Status.BAD_CONN, Opcode.FORWARD, conn=b.conns, length=0)
    segment = Segment(text=bytes(FORWARD_MAX - FORWARD_MIN)).to_bytes()
    for length in (FORWARD_MIN, FORWARD_HEAD_BYTES - 1, FORWARD_HEAD_BYTES, FORWARD_HEAD_BYTES + 1, FORWARD_MAX):
        outcome = await b.reaches(Opcode.FORWARD, completes=True, length=length, image=segment)
        assert outcome.read == (IMAGE_ADDR, min(length, FORWARD_HEAD_BYTES))
        assert RxSeg.unpack(outcome.seg).pay_len == length - FORWARD_MIN


def bad_offsets() -> Iterator[tuple[int, int]]:
    """(data offset, bytes of the segment) that do not fit each other."""
    yield from ((doff, 100) for doff in range(5))
    yield from ((doff, 4 * doff - 1) for doff in range(6, 16))
    yield (15, FORWARD_MIN)


@cocotb.test()
async def a_forwarded_header_that_cannot_be_read_or_believed_is_refused_check_6_7(dut: Any) -> None:
    b = await bench_of(dut)
    for doff, length in bad_offsets():
        image = Segment(text=bytes(100), doff=doff).to_bytes()
        outcome = await b.refused(Status.BAD_IMAGE, Opcode.FORWARD, length=length, image=image)
        assert outcome.started == 1, "its entry was reserved, and comes"
    image = Segment(text=bytes(100), doff=4).to_bytes()
    await b.refused(Status.READ_ERROR, Opcode.FORWARD, length=100, image=image, read_error=True)
    for doff in range(5, 16):  # as long as the segment
        image = Segment(options=b"\1" * (4 * doff - 20)).to_bytes()
        outcome = await b.reaches(Opcode.FORWARD, completes=True, length=4 * doff, image=image)
        only = RxSeg.unpack(outcome.seg)
        assert (only.pay_off, only.pay_len, only.ts_present) == (4 * doff, 0, 0)
    # an image behind it is not mixed up with the header
    outcome = await b.reaches(Opcode.UPDATE, completes=True, image=CACHED)
    assert outcome.engine == CACHED.pack()
