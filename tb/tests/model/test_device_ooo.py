"""Data behind a hole on the golden device: host memory, blocks on the wire, pool, and that a follower agrees."""

from __future__ import annotations

from itertools import permutations

import pytest

from model.device.rxparse import Options, parse_options
from model.layout.generated import CqKind, DelegatedImage, Opcode, RecTcp, RxSeg, Sqe, Status, Tcb, TcpEventType, TcpEvt
from model.wire.frame import TcpOptions, parse_frame
from tb.tests.model.device_bench import DATA, DeviceBench
from tb.tests.model.test_device_states import Followed
from tb.tests.model.test_device_traffic import terminate

SACK = 2
"""Bit of const_flags."""
FIN, ACK = 0x01, 0x10
TEXT = bytes(i * 7 & 255 for i in range(500))


def options(frame: bytes) -> TcpOptions:
    parsed = parse_frame(frame)
    assert parsed.tcp is not None
    return parsed.tcp.options


def piece(bench: DeviceBench, left: int, right: int) -> bytes:
    """The frame of [left, right) of TEXT; its end carries the FIN."""
    return bench.segment(seq=5000 + left, data=TEXT[left:right], flags=ACK | (FIN if right == len(TEXT) else 0))


@pytest.mark.rule("S05", "M-2", "M-3", "J-3")
def test_every_order_of_five_segments_fills_the_request_and_the_follower_agrees() -> None:
    for order in permutations(range(5)):
        f = Followed()
        bench = f.bench
        bench.connect(const_flags=SACK)
        bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA + 3, length=1000, cookie=88))
        heard = [entry for n in order for entry in bench.arrive(piece(bench, 100 * n, 100 * n + 100))]
        (received,) = [c for c in heard if c.kind == CqKind.RECEIVE]
        assert (received.status, received.nbytes, received.cookie) == (Status.OK, 500, 88), order
        assert bench.device.mem.read(DATA + 3, 500) == TEXT, order
        assert heard[-1].code == TcpEventType.DISCONNECT
        last = parse_frame(bench.take_sent()[-1])
        assert last.tcp is not None
        assert (last.tcp.acknowledgment, last.tcp.options.sack_blocks) == (5501, ()), order
        if order[0] in (1, 4) and order[1] == 3:
            assert f.agree().divergence is None, order


@pytest.mark.rule("M-4", "RFC 2018 3")
@pytest.mark.parametrize("flags", [0, SACK])
def test_the_acknowledgment_names_what_is_held_where_that_was_agreed(flags: int) -> None:
    f = Followed()
    bench = f.bench
    bench.connect(const_flags=flags)
    bench.arrive(piece(bench, 100, 200))
    bench.arrive(piece(bench, 300, 400))
    found = [options(frame).sack_blocks for frame in bench.take_sent()]
    assert found == ([((5100, 5200),), ((5300, 5400), (5100, 5200))] if flags else [(), ()])
    bench.arrive(piece(bench, 100, 200))
    assert [options(x).sack_blocks[:1] for x in bench.take_sent()] == ([((5100, 5200),)] if flags else [()])
    assert f.agree().divergence is None


@pytest.mark.rule("M-5", "W-5a", "G-19", "CH-240")
def test_a_terminate_gives_the_buffers_of_held_data_back_and_leaves_nothing_over() -> None:
    f = Followed()
    bench = f.bench
    bench.connect(const_flags=SACK)
    for n in (1, 3, 2):
        bench.arrive(piece(bench, 100 * n, 100 * n + 50))
    assert len(bench.device.core.free) == bench.config.pool_bufs - 3
    (entry,) = terminate(bench)
    assert entry.status == Status.OK
    assert bench.device.problems() == []
    assert len(bench.device.core.free) == bench.config.pool_bufs
    assert DelegatedImage.from_bytes(bench.device.mem.read(0x50000, 128)).rcv_nxt == 5000
    assert f.agree().divergence is None


@pytest.mark.rule("M-2", "C-11")
def test_no_hole_of_one_connection_takes_the_last_buffer_of_another() -> None:
    f = Followed()
    bench = f.bench
    bench.connect(0)
    bench.connect(1)
    for n in range(bench.config.pool_bufs):
        bench.arrive(bench.segment(seq=5100 + 10 * n, data=b"x" * 10))
    assert bench.device.core.credits == bench.config.conns
    (entry,) = bench.arrive(bench.segment(1, data=b"hello"))
    assert (entry.kind, entry.conn, entry.nbytes) == (CqKind.INDICATION, 1, 5)
    assert f.agree().divergence is None


BLOCKS = tuple((0xFFFF_FF00 + 16 * n & 0xFFFF_FFFF, n) for n in range(4))


def block_bytes(*blocks: tuple[int, int]) -> bytes:
    edges = b"".join(edge.to_bytes(4, "big") for block in blocks for edge in block)
    return bytes((5, 2 + len(edges))) + edges


@pytest.mark.rule("MUST-64", "MUST-7", "S03", "S07")
@pytest.mark.parametrize(
    ("raw", "found"),
    [
        *((b"\x01\x01" + block_bytes(*BLOCKS[:n]), BLOCKS[:n]) for n in range(1, 5)),
        (b"\x01" + block_bytes(*BLOCKS[:2]) + b"\x01", BLOCKS[:2]),
        (block_bytes(*BLOCKS[:2]) + block_bytes(BLOCKS[2]), BLOCKS[2:3]),
        (block_bytes(BLOCKS[0]) + b"\x00" + block_bytes(BLOCKS[1]), BLOCKS[:1]),
        (block_bytes(BLOCKS[0]) + b"\x05\x01" + bytes(8), BLOCKS[:1]),
        (block_bytes(BLOCKS[0]) + block_bytes(*BLOCKS[:2])[:-1], BLOCKS[:1]),
        (b"\x05\x02", ()),
        (b"\x05\x0c" + bytes(10), ()),
        (b"\x05\x06" + bytes(4) + block_bytes(BLOCKS[3]), BLOCKS[3:]),
        (b"\x05\x12" + bytes(15), ()),
        (b"\x05", ()),
    ],
)
def test_blocks_are_found_at_any_alignment_and_only_in_options_of_their_length(
    raw: bytes, found: tuple[tuple[int, int], ...]
) -> None:
    assert parse_options(b"\xaa" * 7 + raw + b"\x05\x0a" + bytes(8), 7, 7 + len(raw)).sack_blocks == found


@pytest.mark.rule("MUST-7", "B15")
@pytest.mark.parametrize("length", [0, 1])
def test_nothing_behind_an_option_of_an_illegal_length_is_used(length: int) -> None:
    raw = bytes((253, length)) + block_bytes(BLOCKS[0]) + b"\x08\x0a" + bytes(8)
    assert parse_options(raw, 0, len(raw)) == Options()


@pytest.mark.rule("architecture 3, check 1")
@pytest.mark.parametrize("field", ["sack_n", "sack_left", "sack_right"])
def test_a_follower_does_not_believe_the_blocks_in_a_record(field: str) -> None:
    f = Followed()
    f.bench.connect()
    f.bench.arrive(f.bench.segment(data=b"x"))

    def change(value: int) -> int:
        record = RecTcp.unpack(value)
        low, _ = RxSeg.FIELDS[field]
        return value ^ 1 << RecTcp.FIELDS["rx"][0] + low if record.kind == TcpEvt.RX_SEGMENT else value

    found = f.agree(change).divergence
    assert found is not None
    assert found.field.endswith(field), found


@pytest.mark.rule("architecture 3, check 1", "M-2")
@pytest.mark.parametrize("field", ["rr_n", "rr_left", "rr_right", "rr_slot", "ooo_fin", "dsack"])
def test_a_follower_does_not_believe_the_ranges_in_a_record(field: str) -> None:
    f = Followed()
    f.bench.connect()
    f.bench.arrive(piece(f.bench, 100, 200))

    def change(value: int) -> int:
        record = RecTcp.unpack(value)
        low = RecTcp.FIELDS["tcb"][0] + Tcb.FIELDS[field][0]
        return value ^ 1 << low if record.kind == TcpEvt.RX_SEGMENT else value

    found = f.agree(change).divergence
    assert found is not None
    assert (found.check, found.field) == (1, f"tcb.{field}")
    assert "M-" in found.rule
