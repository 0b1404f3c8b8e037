"""Connections on the golden device: sending, receiving, terminate, raw path, failures of host memory."""

from __future__ import annotations

import pytest

from model.device.memory import ErrorWindow
from model.layout.generated import (
    Cqe,
    CqKind,
    Csr,
    DelegatedImage,
    LeftOver,
    Opcode,
    Phase,
    Sqe,
    Status,
    TcpEventType,
    TcpState,
    UploadReason,
)
from model.wire.frame import TcpFlag, Verdict, parse_frame
from tb.tests.model.device_bench import DATA, IMAGES, NIC_MAC, PEER_MAC, POOL, RAW, DeviceBench, ready

FIN, RST, PSH, ACK = 0x01, 0x04, 0x08, 0x10
ARRAY = 0x70000


def terminate(bench: DeviceBench, conn: int = 0, gen: int = 1) -> list[Cqe]:
    return bench.do(Sqe(opcode=Opcode.TERMINATE, conn=conn, gen=gen, addr=IMAGES, addr2=ARRAY))


@pytest.mark.rule("M3", "S01")
def test_a_send_leaves_as_frames_with_its_bytes_and_completes_when_acknowledged() -> None:
    bench = ready()
    bench.connect()
    data = bytes(i * 7 & 255 for i in range(2500))
    cookie = bench.send(data, pieces=7, at=DATA + 13)
    assert bench.run() == []
    frames = [parse_frame(f) for f in bench.take_sent()]
    assert [f.verdict for f in frames] == [Verdict.TCP_OK] * 3
    assert b"".join(f.payload for f in frames) == data
    first = frames[0]
    assert first.tcp is not None
    assert first.ip is not None
    assert first.ethernet is not None
    assert (first.ethernet.source, first.ethernet.destination) == (NIC_MAC, PEER_MAC)
    assert [f.ip.identification for f in frames if f.ip] == [0x8000, 0x8001, 0x8002]
    assert (first.tcp.sequence, first.tcp.acknowledgment, first.tcp.window) == (1000, 5000, 20000)
    assert bench.arrive(bench.segment(ack=3499)) == []
    (entry,) = bench.arrive(bench.segment(ack=3500))
    assert (entry.kind, entry.status, entry.cookie, entry.nbytes) == (CqKind.SEND, Status.OK, cookie, 2500)


@pytest.mark.rule("M3")
def test_entries_without_last_complete_with_the_one_that_has_it() -> None:
    bench = ready()
    bench.connect()
    bench.send(b"a" * 100, last=0)
    cookie = bench.send(b"b" * 50, at=DATA + 500)
    bench.run()
    assert b"".join(parse_frame(f).payload for f in bench.take_sent()) == b"a" * 100 + b"b" * 50
    (entry,) = bench.arrive(bench.segment(ack=1150))
    assert (entry.cookie, entry.nbytes) == (cookie, 50)


@pytest.mark.rule("M4", "S02")
def test_data_lands_in_the_posted_buffer_and_the_rest_is_indicated() -> None:
    bench = ready()
    bench.connect()
    bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA + 5, length=10, cookie=88))
    received, indicated = bench.arrive(bench.segment(data=b"0123456789abcdef"))
    assert (received.kind, received.nbytes, received.cookie) == (CqKind.RECEIVE, 10, 88)
    assert bench.device.mem.read(DATA + 5, 10) == b"0123456789"
    addr = POOL + 2048 * indicated.buf + indicated.offset
    assert bench.device.mem.read(addr, indicated.nbytes) == b"abcdef"
    bench.do(Sqe(opcode=Opcode.ANSWER, gen=1, arg=indicated.info, length=6))
    bench.posts(Opcode.POOL_POST, [indicated.buf])
    assert terminate(bench)[-1].status == Status.OK
    assert bench.device.problems() == []


@pytest.mark.rule("B-7", "CH-245")
def test_terminate_returns_state_requests_and_left_over_data() -> None:
    bench = ready()
    bench.connect()
    bench.send(b"x" * 1500)
    bench.run()
    bench.arrive(bench.segment(ack=2000))
    bench.arrive(bench.segment(ack=2000, data=b"y" * 30))
    done = terminate(bench)
    assert all(c.kind != CqKind.COMMAND for c in done)
    token = next(c for c in bench.cqes if c.kind == CqKind.INDICATION).info
    done += bench.do(Sqe(opcode=Opcode.ANSWER, gen=1, arg=token, length=10))
    sends = [c for c in done if c.kind == CqKind.SEND]
    assert [(c.status, c.nbytes) for c in sends] == [(Status.UPLOAD, 1000)]
    (last,) = [c for c in done if c.kind == CqKind.COMMAND]
    assert (last.code, last.status) == (Opcode.TERMINATE, Status.OK)
    assert done[-1] == last
    state = DelegatedImage.from_bytes(bench.device.mem.read(IMAGES, 128))
    assert (state.state, state.snd_una, state.snd_nxt, state.rcv_nxt) == (TcpState.ESTABLISHED, 2000, 2500, 5030)
    assert LeftOver.from_bytes(bench.device.mem.read(ARRAY, 8)) == LeftOver(buf=1)
    left = LeftOver.from_bytes(bench.device.mem.read(ARRAY + 8, 8))
    assert (left.offset, left.length) == (10, 20)
    assert bench.device.mem.read(POOL + 2048 * left.buf + 10, 20) == b"y" * 20
    assert bench.device.core.lookup == {}


@pytest.mark.rule("B-6", "A.7")
def test_a_graceful_disconnect_is_uploaded_with_its_acknowledged_bytes() -> None:
    bench = ready()
    bench.connect()
    bench.send(b"s" * 300)
    bench.device.mem.write(0x61000, DATA.to_bytes(8, "little") + (100).to_bytes(8, "little"))
    bench.post(Sqe(opcode=Opcode.DISCONNECT, gen=1, flags=1, count=1, addr=0x61000, length=100))
    bench.run()
    done = bench.arrive(bench.segment(ack=1340)) + terminate(bench)
    assert [(c.code, c.status, c.nbytes) for c in done if c.kind == CqKind.SEND] == [
        (Opcode.SEND, Status.OK, 300),
        (Opcode.DISCONNECT, Status.UPLOAD, 40),
    ]
    state = DelegatedImage.from_bytes(bench.device.mem.read(IMAGES, 128))
    assert (state.state, state.snd_una, state.snd_nxt, state.snd_max) == (TcpState.FIN_WAIT_1, 1340, 1401, 1401)


@pytest.mark.rule("A.6", "C-3")
def test_a_reset_aborts_what_is_outstanding() -> None:
    bench = ready()
    bench.connect()
    bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA, length=10))
    first = bench.send(b"a" * 1000)
    second = bench.send(b"b" * 1000, at=DATA + 2000)
    bench.run()
    bench.arrive(bench.segment(ack=1700))
    done = bench.arrive(bench.segment(ack=1700, flags=RST | ACK))
    (event,) = [c for c in done if c.kind == CqKind.EVENT]
    assert event.code == TcpEventType.ABORT
    sends = [(c.cookie, c.status, c.nbytes) for c in done if c.kind == CqKind.SEND]
    assert sends == [(first, Status.ABORTED, 700), (second, Status.ABORTED, 0)]
    assert [c.status for c in done if c.kind == CqKind.RECEIVE] == [Status.ABORTED]
    assert [c.kind for c in terminate(bench)] == [CqKind.COMMAND]
    assert bench.device.problems() == []


@pytest.mark.rule("B-6a", "G-6", "CH-181", "CH-182", "CH-183", "CH-184", "G-06")
@pytest.mark.parametrize("seed", range(4))
def test_an_abortive_disconnect_resets_and_completes_behind_the_sends(seed: int) -> None:
    bench = ready(seed)
    bench.connect()
    bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA + 0x4000, length=10))
    first = bench.send(b"a" * 1000)
    second = bench.send(b"b" * 1000, at=DATA + 2000)
    bench.run()
    bench.arrive(bench.segment(ack=1700, data=b"1234"))
    bench.take_sent()
    abort = bench.post(Sqe(opcode=Opcode.DISCONNECT, gen=1, flags=2))
    done = bench.run()
    sends = [(c.code, c.cookie, c.status, c.nbytes) for c in done if c.kind == CqKind.SEND]
    assert sends == [
        (Opcode.SEND, first, Status.ABORTED, 700),
        (Opcode.SEND, second, Status.ABORTED, 0),
        (Opcode.DISCONNECT, abort, Status.OK, 0),
    ]
    assert [(c.status, c.nbytes) for c in done if c.kind == CqKind.RECEIVE] == [(Status.ABORTED, 4)]
    assert [c for c in done if c.kind == CqKind.EVENT] == []
    *_, last = map(parse_frame, bench.take_sent())
    assert last.tcp is not None
    assert (last.tcp.flags, last.tcp.sequence, last.tcp.acknowledgment) == (TcpFlag(RST | ACK), 3000, 5004)
    assert bench.arrive(bench.segment(seq=5004, data=b"late"))[0].kind == CqKind.RAW_RX
    assert bench.take_sent() == []
    assert [c.kind for c in terminate(bench)] == [CqKind.COMMAND]
    assert bench.device.problems() == []


@pytest.mark.rule("M4")
def test_frames_of_nobody_go_up_whole_and_bad_ones_are_counted() -> None:
    bench = ready()
    bench.connect()
    stranger = bench.segment(conn=5, data=b"hello")
    (entry,) = bench.arrive(stranger)
    assert (entry.kind, entry.nbytes) == (CqKind.RAW_RX, len(stranger))
    assert bench.device.mem.read(RAW + 2048 * entry.buf, entry.nbytes) == stranger
    bad = bytearray(bench.segment(data=b"hello"))
    bad[54] ^= 1
    assert bench.arrive(bytes(bad)) == []
    assert bench.arrive(b"short") == []
    assert bench.arrive(bytes(1523)) == []
    assert bench.device.mmio_read(Csr.CNT_RX_BAD_SUM) == 1
    assert bench.device.mmio_read(Csr.CNT_RX_BAD_LEN) == 2
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    (entry,) = bench.arrive(arp)
    assert entry.nbytes == 60


@pytest.mark.rule("M4")
def test_raw_frames_without_a_buffer_are_dropped_and_counted() -> None:
    bench = ready()
    for _ in range(8):
        assert len(bench.arrive(bench.segment(conn=5))) == 1
    assert bench.arrive(bench.segment(conn=5)) == []
    assert bench.device.mmio_read(Csr.CNT_RX_RAW_NO_BUF) == 1


@pytest.mark.rule("M7")
def test_payload_that_cannot_be_read_discards_the_frame_and_freezes_only_its_connection() -> None:
    bench = ready()
    bench.connect(0)
    bench.connect(1)
    bench.device.inject_errors([ErrorWindow(DATA, 4096)])
    bench.send(b"x" * 100, conn=0, at=DATA)
    bench.send(b"fine", conn=1, at=DATA + 8192)
    done = bench.run()
    assert [parse_frame(f).payload for f in bench.take_sent()] == [b"fine"]
    assert [(c.conn, c.code, c.info) for c in done] == [(0, TcpEventType.RETRIEVE, UploadReason.HARDWARE_FAILURE)]
    assert bench.device.mmio_read(Csr.CNT_TX_DISCARDED) == 1
    assert bench.device.core.tcbs[1].phase == Phase.RUNNING
    done = terminate(bench)
    assert [c.status for c in done if c.kind == CqKind.SEND] == [Status.ABORTED]


@pytest.mark.rule("M7")
def test_a_buffer_that_cannot_be_written_aborts_its_receive() -> None:
    bench = ready()
    bench.connect()
    bench.device.inject_errors([ErrorWindow(DATA, 64)])
    bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA, length=5, cookie=4))
    done = bench.arrive(bench.segment(data=b"hello"))
    assert {(c.kind, c.status) for c in done} == {(CqKind.RECEIVE, Status.ABORTED), (CqKind.EVENT, Status.OK)}


@pytest.mark.rule("M7")
def test_an_image_that_cannot_be_written_still_ends_the_terminate() -> None:
    bench = ready()
    bench.connect()
    bench.device.inject_errors([ErrorWindow(IMAGES, 64, reads=False)])
    (entry,) = terminate(bench)
    assert entry.status == Status.WRITE_ERROR
    bench.device.inject_errors([])
    bench.connect(gen=2)


@pytest.mark.rule("D-2", "B17")
def test_lost_data_is_sent_again_after_the_timeout() -> None:
    bench = ready()
    bench.connect()
    bench.send(b"lost")
    bench.run()
    first = bench.take_sent()
    bench.tick(1000)
    again = bench.take_sent()
    assert [parse_frame(f).payload for f in again] == [parse_frame(f).payload for f in first] == [b"lost"]


@pytest.mark.rule("M1")
@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_events_gives_the_same_bytes_and_an_empty_device(seed: int) -> None:
    bench = ready(seed)
    streams: dict[int, bytes] = {}
    for conn in range(4):
        bench.connect(conn)
    for conn in range(4):
        bench.send(bytes([conn]) * 3000, conn=conn, at=DATA + 4096 * conn, pieces=3)
        for i in range(3):
            bench.device.rx_frame(bench.segment(conn=conn, seq=5000 + 100 * i, data=bytes([16 * conn + i]) * 100))
    bench.run()
    for frame in map(parse_frame, bench.take_sent()):
        assert frame.tcp is not None
        assert frame.tcp.flags & TcpFlag.ACK
        conn = frame.tcp.source_port - 40000
        streams[conn] = streams.get(conn, b"") + frame.payload
    assert streams == {conn: bytes([conn]) * 3000 for conn in range(4)}
    for conn in range(4):
        bench.arrive(bench.segment(conn=conn, ack=4000, seq=5300))
        (token,) = [c.info for c in bench.cqes if c.kind == CqKind.INDICATION and c.conn == conn]
        bench.do(Sqe(opcode=Opcode.ANSWER, conn=conn, gen=1, arg=token, length=100))
        bench.do(Sqe(opcode=Opcode.TERMINATE, conn=conn, gen=1))
        bench.do(Sqe(opcode=Opcode.ANSWER, conn=conn, gen=1, arg=token + 1, length=100))
    assert bench.device.problems() == []
