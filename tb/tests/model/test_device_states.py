"""Section K and inherited FIN on the golden device, and that a follower works all of it out itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.device.follower import Follower
from model.device.records import Journal
from model.device.rxparse import parse
from model.layout.generated import (
    CachedImage,
    Cqe,
    CqKind,
    Opcode,
    RecTcp,
    RxSeg,
    Sqe,
    Status,
    TcpEventType,
    TcpEvt,
    TcpState,
    UploadReason,
)
from model.wire.frame import parse_frame
from tb.tests.lab import tagged
from tb.tests.model.device_bench import CONFIG, MEMORY, NEIGHBOR, DeviceBench, ready

GRACEFUL, INHERITED = 1, 5


class Followed:
    """A device whose records a follower can check."""

    def __init__(self, seed: int = 1) -> None:
        self.journal = Journal()
        self.bench = ready(seed, self.journal)

    def agree(self, change: Callable[[int], int] | None = None) -> Follower:
        """Let a follower see it all; ``change``: the records of tcp_engine with something else in them."""
        follower = Follower(bytes(MEMORY), config=CONFIG)
        for entry in self.journal.entries:
            if change is not None and entry.tag == "T":
                entry = type(entry)(entry.tag, entry.cycle, (change(entry.values[0]),), entry.data)
            follower.feed(entry)
        follower.finish()
        if follower.divergence is None:
            follower.final_compare(bytes(self.bench.device.memory.contents))
        return follower


def events(done: list[Cqe]) -> list[tuple[int, int]]:
    return [(c.code, c.info) for c in done if c.kind == CqKind.EVENT]


def inherited(bench: DeviceBench, state: TcpState, fin_sent: bool) -> list[Cqe]:
    """100 bytes and the FIN behind them, loaded and started; what completed."""
    there = 1101 if fin_sent else 1000
    bench.connect(start=False, state=state, snd_nxt=there, snd_max=there)
    bench.send(bytes(range(100)))
    done = bench.do(Sqe(opcode=Opcode.DISCONNECT, gen=1, flags=INHERITED, cookie=99))
    return done + bench.do(Sqe(opcode=Opcode.START, gen=1))


@pytest.mark.rule("B-6", "hostport: which commands complete")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("end", ["acknowledged", "terminated", "reset"])
def test_an_inherited_fin_never_completes_whatever_becomes_of_it(end: str, seed: int) -> None:
    f = Followed(seed)
    done = inherited(f.bench, TcpState.FIN_WAIT_1, fin_sent=False)
    frame = parse_frame(f.bench.take_sent()[0])
    assert frame.tcp is not None
    assert (frame.payload_length, frame.tcp.flags & 1) == (100, 1)
    if end == "acknowledged":
        done += f.bench.arrive(f.bench.segment(ack=1101))
    elif end == "reset":
        done += f.bench.arrive(f.bench.segment(flags=0x14))
    done += f.bench.do(Sqe(opcode=Opcode.TERMINATE, gen=1))
    sends = [(c.code, c.status, c.nbytes) for c in done if c.kind == CqKind.SEND]
    status = {"acknowledged": Status.OK, "terminated": Status.UPLOAD, "reset": Status.ABORTED}[end]
    assert sends == [(Opcode.SEND, status, 100 if end == "acknowledged" else 0)]
    assert f.bench.device.core.txpath.entries(0) == 0
    assert f.agree().divergence is None


@pytest.mark.rule("hostport: submission")
def test_an_inherited_fin_reserves_no_room_in_the_completion_ring() -> None:
    """Each would take one of the ring's entries for ever, and the rings would stand still at last."""
    bench = DeviceBench(cq_log2=5)
    bench.set_up()
    for gen in range(40):
        bench.connect(start=False, gen=gen, state=TcpState.LAST_ACK)
        bench.do(Sqe(opcode=Opcode.DISCONNECT, gen=gen, flags=INHERITED))
        (entry,) = bench.do(Sqe(opcode=Opcode.TERMINATE, gen=gen))
        assert (entry.code, entry.status) == (Opcode.TERMINATE, Status.OK)


@pytest.mark.rule("K-3", "CH-221")
def test_probes_go_out_and_the_host_is_asked_for_the_upload() -> None:
    f = Followed()
    f.bench.connect(cached_flags=1, ka_timeout=50, ka_interval=10, ka_probe_count=2, ka_timeout_delta=5)
    f.bench.tick(15)
    probes = [parse_frame(frame) for frame in f.bench.take_sent()]
    assert [(p.tcp.sequence, p.payload_length) for p in probes if p.tcp is not None] == [(999, 0)] * 2
    f.bench.arrive(f.bench.segment())
    f.bench.tick(60)
    assert len(f.bench.take_sent()) == 2
    f.bench.cqes.clear()
    f.bench.tick(10)
    assert events(f.bench.cqes) == [(TcpEventType.RETRIEVE, UploadReason.TIMEOUT_EXPIRATION)]
    assert f.agree().divergence is None


@pytest.mark.rule("K-4", "CH-220")
def test_a_far_end_that_never_closes_is_given_up() -> None:
    f = Followed()
    f.bench.connect(state=TcpState.FIN_WAIT_2, rtx_timeout_delta=20)
    f.bench.tick(19)
    assert events(f.bench.cqes) == []
    f.bench.tick()
    assert events(f.bench.cqes) == [(TcpEventType.RETRIEVE, UploadReason.TIMEOUT_EXPIRATION)]
    assert f.agree().divergence is None


@pytest.mark.rule("K-5")
def test_nagle_joins_what_waits() -> None:
    f = Followed()
    f.bench.connect(cached_flags=2)
    for n in (10, 11, 12):
        f.bench.send(bytes(n), at=0x80000 + 64 * n)
        f.bench.run()
    f.bench.arrive(f.bench.segment(ack=1010))
    assert [parse_frame(frame).payload_length for frame in f.bench.take_sent()] == [10, 23]
    f.bench.with_image(Opcode.UPDATE, CachedImage(initial_rcv_wnd=20000, ttl=64).to_bytes(), gen=1)
    assert f.agree().divergence is None


@pytest.mark.rule("K-6", "blocks: rx_parser", "CH-161")
@pytest.mark.parametrize(("tci", "heard"), [(None, False), (9, True), (0xB009, True), (8, False), (0x809, False)])
def test_the_tag_of_a_frame_decides(tci: int | None, heard: bool) -> None:
    f = Followed()
    f.bench.with_image(Opcode.NEIGHBOR_WRITE, type(NEIGHBOR)(dl_dst=NEIGHBOR.dl_dst, vlan_id=9).to_bytes(), conn=1)
    f.bench.connect()
    frame = f.bench.segment(data=b"hello")
    done = f.bench.arrive(frame if tci is None else tagged(frame, tci))
    assert [(c.kind, c.nbytes) for c in done] == ([(CqKind.INDICATION, 5)] if heard else [])
    assert f.agree().divergence is None


@pytest.mark.rule("blocks: rx_parser")
@pytest.mark.parametrize(("tci", "found"), [(None, (0, 0)), (0, (1, 0)), (0xFFFF, (1, 0xFFF)), (0xE123, (1, 0x123))])
def test_the_parser_tells_tag_and_vlan(tci: int | None, found: tuple[int, int]) -> None:
    frame = ready().segment(data=b"x")
    segment = parse(frame if tci is None else tagged(frame, tci)).segment
    assert segment is not None
    assert (segment.tagged, segment.vlan_id) == found


@pytest.mark.rule("architecture 3, check 1")
@pytest.mark.parametrize("field", ["tagged", "vlan_id"])
def test_a_follower_does_not_believe_the_tag_in_a_record(field: str) -> None:
    f = Followed()
    f.bench.connect()
    f.bench.arrive(f.bench.segment(data=b"x"))

    def change(value: int) -> int:
        record = RecTcp.unpack(value)
        low, _ = RxSeg.FIELDS[field]
        flip = 1 << RecTcp.FIELDS["rx"][0] + low
        return value ^ flip if record.kind == TcpEvt.RX_SEGMENT else value

    found = f.agree(change).divergence
    assert found is not None
    assert found.field.endswith(field), found
