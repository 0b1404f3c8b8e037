"""Unit test of `rx_parser`: verdict, segment arguments and look-up key of IPv4 and IPv6 frames.

DUT = rx_parser. The reference, `believed`, reads a frame by RFC 791, RFC 8200 3 and 8.1, RFC 9293 3.1 and IEEE 802.1Q,
with the order of checks of docs/contract/blocks.md. Inputs are driven at the falling edge, outputs read when settled.
"""

from __future__ import annotations

import random
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from model.layout.generated import FRAME_MAX, LkpKey, RxClass, RxReason, RxSeg

IPV4, IPV6, VLAN, ARP = 0x0800, 0x86DD, 0x8100, 0x0806
TCP, UDP = 6, 17
#: Next header: of RFC 8200 4 hop-by-hop, routing, fragment, destination options; then ESP, AH, ICMPv6, none.
NEXT_HEADERS = (0, 43, 44, 60, 50, 51, 58, 59)
DRAIN = 12  # cycles from the last beat to the verdict, at least


def ones_sum(data: bytes) -> int:
    """Ones' complement sum of 16-bit words, odd length padded (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@dataclass(frozen=True)
class Packet:
    """What a frame is made of. `length` and `claims` lie about the bytes behind the IP header, checksums do not."""

    family: int = 6
    payload: bytes = b""
    options: bytes = b""
    local: int = 0x20010DB8_00010002_00030004_00050006
    remote: int = 0xFE80F00D_A1A2A3A4_B1B2B3B4_C1C2C3C4
    local_port: int = 80
    remote_port: int = 0xC123
    seq: int = 0x01020304
    ack: int = 0xA1A2A3A4
    wnd: int = 0x5152
    flags: int = 0x18
    traffic_class: int = 0
    flow_label: int = 0
    version: int | None = None
    proto: int = TCP
    length: int | None = None  # TCP header and data, as the IP header says
    doff: int | None = None
    ethertype: int | None = None
    tags: tuple[int, ...] = ()
    trailer: bytes = b""

    def addresses(self) -> bytes:
        """Source and destination as they lie in the header."""
        size = 16 if self.family == 6 else 4
        mask = (1 << 8 * size) - 1
        return (self.remote & mask).to_bytes(size, "big") + (self.local & mask).to_bytes(size, "big")

    def build(self) -> bytes:
        """The frame, with right checksums for the length that its IP header claims."""
        doff = 5 + len(self.options) // 4 if self.doff is None else self.doff
        segment = struct.pack(
            "!HHIIBBHHH", self.remote_port, self.local_port, self.seq, self.ack, doff << 4, self.flags, self.wnd, 0, 7
        )
        segment += self.options + self.payload
        length = len(segment) if self.length is None else self.length
        pseudo = self.addresses() + struct.pack("!II", length, self.proto)
        check = 0xFFFF ^ ones_sum(pseudo + segment[:length])
        segment = segment[:16] + struct.pack("!H", check) + segment[18:]
        version = self.family if self.version is None else self.version
        if self.family == 6:
            first = version << 28 | self.traffic_class << 20 | self.flow_label
            header = struct.pack("!IHBB", first, length, self.proto, 61) + self.addresses()
        else:
            front = (version << 4 | 5, self.traffic_class, 20 + length, 0x1234, 0x4000, 61, self.proto)
            header = struct.pack("!BBHHHBBH", *front, 0) + self.addresses()
            header = header[:10] + struct.pack("!H", 0xFFFF ^ ones_sum(header)) + header[12:]
        ethertype = (IPV6 if self.family == 6 else IPV4) if self.ethertype is None else self.ethertype
        link = bytes(range(2, 14)) + b"".join(struct.pack("!HH", VLAN, tag) for tag in self.tags)
        return link + struct.pack("!H", ethertype) + header + segment + self.trailer


@dataclass(frozen=True)
class Belief:
    """What is believed of a frame; key, segment and options only of one that the look-up gets."""

    reason: RxReason
    key: LkpKey | None = None
    seg: RxSeg | None = None
    options: bytes = b""


def believed(frame: bytes) -> Belief:
    """The reference."""
    if len(frame) > FRAME_MAX:
        return Belief(RxReason.TOO_LONG)
    if len(frame) < 14:
        return Belief(RxReason.BAD_LENGTH)
    ethertype, link, tci = int.from_bytes(frame[12:14], "big"), 14, None
    if ethertype == VLAN:
        if len(frame) < 18:
            return Belief(RxReason.NOT_TCP)
        (tci, ethertype), link = struct.unpack("!HH", frame[14:18]), 18
    packet = frame[link:]
    if ethertype == IPV4:
        found = _ipv4(packet)
    elif ethertype == IPV6:
        found = _ipv6(packet)
    else:
        return Belief(RxReason.NOT_TCP)
    if isinstance(found, RxReason):
        return Belief(found)
    header, remote, local, segment, ecn = found
    doff = segment[12] >> 4
    if doff < 5 or 4 * doff > len(segment):
        return Belief(RxReason.BAD_LENGTH)
    if ones_sum(remote + local + struct.pack("!II", len(segment), TCP) + segment) != 0xFFFF:
        return Belief(RxReason.BAD_TCP_CHECKSUM)
    remote_port, local_port, seq, ack, _, flags, wnd = struct.unpack("!HHIIBBH", segment[:16])
    key = LkpKey(
        is_ipv6=int(ethertype == IPV6), local_ip=int.from_bytes(local, "big"), remote_ip=int.from_bytes(remote, "big"),
        local_port=local_port, remote_port=remote_port,
    )  # fmt: skip
    seg = RxSeg(
        seq=seq, ack=ack, wnd=wnd, flags=flags, tagged=int(tci is not None), vlan_id=(tci or 0) & 0xFFF, ip_ecn=ecn,
        pay_off=link + header + 4 * doff, pay_len=len(segment) - 4 * doff,
    )  # fmt: skip
    return Belief(RxReason.NONE, key, seg, segment[20 : 4 * doff])


Parts = tuple[int, bytes, bytes, bytes, int]  # IP header bytes, remote and local address, TCP segment, ECN field


def _ipv4(packet: bytes) -> Parts | RxReason:
    if len(packet) < 20:
        return RxReason.BAD_LENGTH
    first, tos, total, _, frag, _, proto, _ = struct.unpack("!BBHHHBBH", packet[:12])
    if first != 0x45 or frag & 0x3FFF or proto != TCP:
        return RxReason.NOT_TCP
    if total < 40 or total > len(packet):
        return RxReason.BAD_LENGTH
    if ones_sum(packet[:20]) != 0xFFFF:
        return RxReason.BAD_IP_CHECKSUM
    return 20, packet[12:16], packet[16:20], packet[20:total], tos & 3


def _ipv6(packet: bytes) -> Parts | RxReason:
    if len(packet) < 40:
        return RxReason.BAD_LENGTH
    first, length, proto, _ = struct.unpack("!IHBB", packet[:8])
    if first >> 28 != 6 or proto != TCP:
        return RxReason.NOT_TCP
    if length < 20 or length > len(packet) - 40:
        return RxReason.BAD_LENGTH
    return 40, packet[8:24], packet[24:40], packet[40 : 40 + length], first >> 20 & 3


@dataclass(frozen=True)
class Seen:
    """What came out for a frame."""

    candidate: int
    class_: int
    reason: int
    length: int
    key: int
    seg: int
    options: int
    opt_len: int
    stored: bytes
    kept: int


class Bench:
    """The wire in front of rx_parser and a buffer with room behind it."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.rng = random.Random(int(cocotb.RANDOM_SEED))
        self.lanes = int(dut.DATA_W.value) // 8
        self.seen: list[Seen] = []
        self.stored = b""

    async def start(self) -> None:
        dut = self.dut
        Clock(dut.clk, 10, unit="ns").start()
        dut.rst.value, dut.enable.value, dut.s_wr_room.value, dut.s_wr_fill.value = 1, 1, 1, 0
        dut.s_axis_rx_tvalid.value = dut.s_axis_rx_tlast.value = 0
        for _ in range(3):
            await FallingEdge(dut.clk)
        dut.rst.value = 0

    async def step(self) -> None:
        dut = self.dut
        await ReadOnly()
        if int(dut.m_wr_valid.value):
            self.stored += int(dut.m_wr_data.value).to_bytes(self.lanes, "little")
        if int(dut.m_frame_valid.value):
            candidate = int(dut.m_frame_candidate.value)
            trusted = ("key", "seg", "options", "opt_len") if candidate else ()
            fields = {name: int(getattr(dut, f"m_frame_{name}").value) for name in trusted}
            key, seg, options, opt_len = (fields.get(name, 0) for name in ("key", "seg", "options", "opt_len"))
            self.seen.append(
                Seen(
                    candidate, int(dut.m_frame_class.value), int(dut.m_frame_reason.value),
                    int(dut.m_frame_len.value), key, seg, options, opt_len, self.stored, int(dut.m_wr_keep.value),
                )
            )  # fmt: skip
            self.stored = b""
        await FallingEdge(dut.clk)

    async def play(self, frames: Sequence[bytes], gap_percent: int = 0) -> list[Seen]:
        """The frames one behind the other; `gap_percent` of the cycles bring no beat."""
        dut, first = self.dut, len(self.seen)
        beats = deque(
            (frame[at : at + self.lanes], at + self.lanes >= len(frame))
            for frame in frames
            for at in range(0, len(frame), self.lanes)
        )
        while beats:
            valid = self.rng.randrange(100) >= gap_percent
            if valid:
                chunk, last = beats.popleft()
                junk = self.rng.randbytes(self.lanes - len(chunk))
                dut.s_axis_rx_tdata.value = int.from_bytes(chunk + junk, "little")
                dut.s_axis_rx_tkeep.value = (1 << len(chunk)) - 1
                dut.s_axis_rx_tlast.value = int(last)
            dut.s_axis_rx_tvalid.value = int(valid)
            await self.step()
        dut.s_axis_rx_tvalid.value = 0
        for _ in range(DRAIN):
            await self.step()
        return self.seen[first:]

    async def agree(self, frames: Sequence[bytes], gap_percent: int = 0) -> list[RxReason]:
        """Every frame comes out as the reference believes it; returns the reasons."""
        arrival = len(self.seen)
        seen = await self.play(frames, gap_percent)
        assert len(seen) == len(frames)
        for number, (frame, got) in enumerate(zip(frames, seen, strict=True), start=arrival):
            want = believed(frame)
            assert RxReason(got.reason) == want.reason, (
                f"{RxReason(got.reason).name}, expected {want.reason.name}: {frame.hex()}"
            )
            assert got.candidate == int(want.reason == RxReason.NONE)
            assert got.kept == int(want.reason in (RxReason.NONE, RxReason.NOT_TCP))
            if not got.candidate:
                raw = want.reason == RxReason.NOT_TCP
                assert got.class_ == (RxClass.RAW if raw else RxClass.DROP)
                continue
            assert want.key is not None
            assert want.seg is not None
            assert LkpKey.unpack(got.key) == want.key, frame.hex()
            assert RxSeg.unpack(got.seg) == replace(want.seg, arrival=number), frame.hex()
            assert got.opt_len == len(want.options)
            assert got.options & (1 << 8 * got.opt_len) - 1 == int.from_bytes(want.options, "little")
            assert got.length == len(frame)
            assert got.stored[: len(frame)] == frame
        return [believed(frame).reason for frame in frames]


async def started(dut: Any) -> Bench:
    bench = Bench(dut)
    await bench.start()
    return bench


PLAIN = Packet(payload=bytes(range(48)))
OPTIONS = bytes.fromhex("0101080a1122334455667788")
LENGTH = 20 + len(PLAIN.payload)
NONE, NOT_TCP, BAD_LENGTH = RxReason.NONE, RxReason.NOT_TCP, RxReason.BAD_LENGTH
CASES: tuple[tuple[str, Packet, RxReason], ...] = (
    ("plain", PLAIN, NONE),
    ("no payload", Packet(), NONE),
    ("padding behind the packet is not summed", Packet(payload=b"x", trailer=b"\xff\x01\x02"), NONE),
    ("every option byte", Packet(options=bytes(range(40)), payload=b"abc"), NONE),
    ("tagged", replace(PLAIN, tags=(0x2005,)), NONE),
    ("tagged, all there can be", replace(PLAIN, tags=(0xFFFF,), options=bytes(40)), NONE),
    ("traffic class and flow label", replace(PLAIN, traffic_class=0xFF, flow_label=0xFFFFF), NONE),
    ("longest", Packet(payload=bytes(FRAME_MAX - 74)), NONE),
    ("one byte longer", Packet(payload=bytes(FRAME_MAX - 73)), RxReason.TOO_LONG),
    ("two tags", replace(PLAIN, tags=(1, 2)), NOT_TCP),
    ("version 4 behind the IPv6 ethertype", replace(PLAIN, version=4), NOT_TCP),
    ("version 5", replace(PLAIN, version=5), NOT_TCP),
    ("version 14: one bit", replace(PLAIN, version=14), NOT_TCP),
    ("version 6 behind the IPv4 ethertype", replace(PLAIN, ethertype=IPV4), NOT_TCP),
    ("an IPv4 packet behind the IPv6 ethertype", replace(PLAIN, family=4, ethertype=IPV6), NOT_TCP),
    ("UDP", replace(PLAIN, proto=UDP), NOT_TCP),
    *((f"next header {number}", replace(PLAIN, proto=number), NOT_TCP) for number in NEXT_HEADERS),
    ("an extension header of wrong length", replace(PLAIN, proto=0, length=3), NOT_TCP),
    ("a wrong version of wrong length", replace(PLAIN, version=7, length=65535), NOT_TCP),
    ("payload length 0", replace(PLAIN, length=0), BAD_LENGTH),
    ("payload length 19", replace(PLAIN, length=19), BAD_LENGTH),
    ("payload length 20 of a longer one", replace(PLAIN, length=20), NONE),
    ("payload length one byte short", replace(PLAIN, length=LENGTH - 1), NONE),
    ("payload length one byte long", replace(PLAIN, length=LENGTH + 1), BAD_LENGTH),
    ("payload length that includes the header", replace(PLAIN, length=LENGTH + 40), BAD_LENGTH),
    ("payload length 65535", replace(PLAIN, length=65535), BAD_LENGTH),
    ("data offset 4", replace(PLAIN, doff=4), BAD_LENGTH),
    ("data offset 0", replace(PLAIN, doff=0), BAD_LENGTH),
    ("data offset at the end", Packet(payload=b"12345678", doff=7), NONE),
    ("data offset past the end", Packet(payload=b"12345678", doff=8), BAD_LENGTH),
    ("data offset inside the frame, past the packet", Packet(payload=bytes(40), length=40, doff=11), BAD_LENGTH),
    ("the same packet in IPv4", replace(PLAIN, family=4), NONE),
)


@cocotb.test()
async def each_ipv6_frame_gets_the_verdict_of_rfc_8200_and_its_order(dut: Any) -> None:
    """F-14 and its neighbors of docs/errors.md."""
    bench = await started(dut)
    for tags in ((), (0x6001,)):
        cases = [(name, replace(packet, tags=packet.tags + tags), want) for name, packet, want in CASES
                 if not (tags and (packet.tags or len(packet.payload) > 1400))]  # fmt: skip
        got = await bench.agree([packet.build() for _, packet, _ in cases])
        for (name, _, want), reason in zip(cases, got, strict=True):
            assert reason == want, f"{name}: {reason.name}, expected {want.name}"


@cocotb.test()
async def an_ipv6_frame_cut_at_any_byte_is_not_believed(dut: Any) -> None:
    bench = await started(dut)
    for tags in ((), (3,)):
        whole = replace(PLAIN, options=OPTIONS, tags=tags).build()
        reasons = await bench.agree([whole[:size] for size in range(1, len(whole) + 1)])
        assert reasons.count(NONE) == 1


@cocotb.test()
async def each_bit_of_checksum_addresses_and_segment_is_summed_rfc_8200_8_1(dut: Any) -> None:
    bench = await started(dut)
    for packet in (replace(PLAIN, payload=b"odd"), replace(PLAIN, payload=b"odd", tags=(9,))):
        good = packet.build()
        first = good.index(packet.addresses())  # source, destination, TCP
        flips = []
        for bit in range(8 * first, 8 * len(good)):
            byte = bytes((good[bit // 8] ^ 1 << bit % 8,))
            flips.append(good[: bit // 8] + byte + good[bit // 8 + 1 :])
        reasons = await bench.agree(flips)
        doff = 8 * (len(packet.addresses()) + 12)  # a changed data offset may be out of range first
        assert {*reasons[:doff], *reasons[doff + 8 :]} == {RxReason.BAD_TCP_CHECKSUM}
        assert await bench.agree([good]) == [NONE]


@cocotb.test()
async def the_key_has_the_family_all_address_bits_and_both_ports(dut: Any) -> None:
    """Frames whose keys differ in one bit only, and an IPv6 one whose addresses are the numbers of an IPv4 one."""
    bench = await started(dut)
    base = Packet(local=0x0A000001, remote=0x0A000002)
    packets = [replace(base, family=family) for family in (4, 6)]
    for bit in range(128):
        packets += [replace(base, local=base.local ^ 1 << bit), replace(base, remote=base.remote ^ 1 << bit)]
    for bit in range(16):
        packets += [replace(base, local_port=80 ^ 1 << bit), replace(base, remote_port=1 << bit)]
    assert set(await bench.agree([packet.build() for packet in packets])) == {NONE}
    keys = {seen.key for seen in bench.seen}
    assert len(keys) == len(packets)


def random_packet(rng: random.Random) -> Packet:
    """A frame of either family that is right, or wrong in one way; sums and lengths anywhere."""
    addresses = (0, (1 << 128) - 1, rng.getrandbits(128), rng.getrandbits(32), rng.getrandbits(128) << 64)
    packet = Packet(
        family=rng.choice((4, 6)), payload=rng.randbytes(rng.choice((0, 1, 2, 7, 8, 63, 64, 65, rng.randrange(200)))),
        options=rng.randbytes(4 * rng.choice((0, 0, 3, 10, rng.randrange(11)))),
        local=rng.choice(addresses) & (1 << 128) - 1, remote=rng.choice(addresses) & (1 << 128) - 1,
        local_port=rng.getrandbits(16), remote_port=rng.getrandbits(16), seq=rng.getrandbits(32),
        ack=rng.getrandbits(32), wnd=rng.getrandbits(16), flags=rng.getrandbits(8),
        traffic_class=rng.getrandbits(8), flow_label=rng.getrandbits(20),
        tags=() if rng.random() < 0.6 else (rng.getrandbits(16),), trailer=rng.randbytes(rng.choice((0, 0, 6, 21))),
    )  # fmt: skip
    real = 20 + len(packet.options) + len(packet.payload)
    changes: tuple[dict[str, Any], ...] = (
        {"length": rng.choice((0, 19, 20, max(0, real - 1), real + 1, rng.getrandbits(16)))},
        {"length": rng.randrange(real + 1)},
        {"doff": rng.randrange(16)},
        {"proto": rng.choice((*NEXT_HEADERS, UDP, rng.getrandbits(8)))},
        {"version": rng.randrange(16)},
        {"ethertype": rng.choice((IPV4, IPV6, ARP, VLAN, 0x86DC, 0x8600, rng.getrandbits(16)))},
    )
    return replace(packet, **rng.choice(changes)) if rng.random() < 0.4 else packet


def damaged(rng: random.Random, frame: bytes) -> bytes:
    """Mostly as it was; else one bit of the first 120 bytes is wrong, or the end is missing."""
    pick = rng.random()
    if pick < 0.15:
        at = rng.randrange(min(len(frame), 120))
        return frame[:at] + bytes((frame[at] ^ 1 << rng.randrange(8),)) + frame[at + 1 :]
    return frame[: rng.randrange(1, len(frame))] if pick < 0.25 else frame


@cocotb.test()
async def random_frames_of_both_families_come_out_as_their_rfcs_say(dut: Any) -> None:
    bench = await started(dut)
    reasons: list[RxReason] = []
    for gap_percent in (0, 30, 0):
        frames = [damaged(bench.rng, random_packet(bench.rng).build()) for _ in range(150)]
        reasons += await bench.agree(frames, gap_percent)
    wanted = {NONE, NOT_TCP, BAD_LENGTH, RxReason.BAD_IP_CHECKSUM, RxReason.BAD_TCP_CHECKSUM}
    assert {reason for reason in reasons if reasons.count(reason) >= 3} == wanted
