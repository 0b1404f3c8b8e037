"""Every error of command_decode (hostport.md), exactly, and what the commands answer when all is well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.device.memory import ErrorWindow
from model.layout.generated import CqKind, Csr, Opcode, ParamImage, Phase, Sqe, Status
from tb.tests.model.device_bench import CQ, DATA, IMAGES, NEIGHBOR, PARAMS, PATH, SQ, DeviceBench, ready
from tb.tests.model.tcp_bench import image

_TICKS = ("rto_max", "rto_initial", "push_ticks", "nce_stale_ticks")


@pytest.mark.rule("hostport")
def test_set_up_answers_each_command_once_in_order() -> None:
    bench = DeviceBench()
    bench.set_up()
    assert [(c.code, c.status) for c in bench.cqes] == [
        (Opcode.PARAM_WRITE, Status.OK),
        (Opcode.NEIGHBOR_WRITE, Status.OK),
        (Opcode.PATH_WRITE, Status.OK),
    ]
    assert bench.device.core.credits == bench.config.pool_bufs
    assert bench.device.problems() == []


@pytest.mark.rule("hostport 1", "hostport 2", "hostport 3")
@pytest.mark.parametrize(
    ("sqe", "kind", "status"),
    [
        (Sqe(opcode=200), CqKind.COMMAND, Status.BAD_OPCODE),
        (Sqe(opcode=Opcode.QUERY, flags=1), CqKind.COMMAND, Status.NOT_SUPPORTED),
        (Sqe(opcode=Opcode.QUERY, flags=3, conn=999), CqKind.COMMAND, Status.NOT_SUPPORTED),
        (Sqe(opcode=Opcode.INVALIDATE, flags=3), CqKind.COMMAND, Status.NOT_SUPPORTED),
        (Sqe(opcode=Opcode.QUERY, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.QUERY, flags=2, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.INVALIDATE, flags=0, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.INVALIDATE, flags=1, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.INVALIDATE, flags=2, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.UPDATE, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.QUERY, flags=0, gen=1), CqKind.COMMAND, Status.BAD_STATE),
        (Sqe(opcode=Opcode.QUERY, flags=2, conn=5), CqKind.COMMAND, Status.BAD_STATE),
        (Sqe(opcode=Opcode.INVALIDATE, flags=0, gen=1), CqKind.COMMAND, Status.BAD_STATE),
        (Sqe(opcode=Opcode.INVALIDATE, flags=1, conn=5), CqKind.COMMAND, Status.BAD_STATE),
        (Sqe(opcode=Opcode.INVALIDATE, flags=2, conn=5), CqKind.COMMAND, Status.BAD_STATE),
        (Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=1), CqKind.COMMAND, Status.BAD_STATE),
        (Sqe(opcode=Opcode.FORWARD, conn=999), CqKind.FORWARD, Status.BAD_CONN),
        (Sqe(opcode=Opcode.FORWARD, length=19), CqKind.FORWARD, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.FORWARD, length=1481), CqKind.FORWARD, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.DISCONNECT, flags=2, length=1, count=1), CqKind.SEND, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.DISCONNECT, flags=0), CqKind.SEND, Status.NOT_SUPPORTED),
        (Sqe(opcode=Opcode.DISCONNECT, flags=3), CqKind.SEND, Status.NOT_SUPPORTED),
        (Sqe(opcode=Opcode.SEND, conn=8, length=1, count=1), CqKind.SEND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.RESUME, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.PATH_WRITE, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.NEIGHBOR_WRITE, conn=8), CqKind.COMMAND, Status.BAD_CONN),
        (Sqe(opcode=Opcode.SEND, length=0, count=1), CqKind.SEND, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.SEND, length=1 << 24, count=1), CqKind.SEND, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.SEND, length=1, count=0), CqKind.SEND, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.SEND, length=1, count=17), CqKind.SEND, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.DISCONNECT, flags=1, length=1), CqKind.SEND, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.DISCONNECT, flags=1, count=1), CqKind.SEND, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.RECEIVE, length=1 << 24), CqKind.RECEIVE, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.RAW_SEND, length=13), CqKind.RAW_TX, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.RAW_SEND, length=1523), CqKind.RAW_TX, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.RAW_POST, count=0), CqKind.COMMAND, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.POOL_POST, count=17), CqKind.COMMAND, Status.BAD_LENGTH),
        (Sqe(opcode=Opcode.RAW_POST, count=1, addr2=8), CqKind.COMMAND, Status.BAD_INDEX),
        (Sqe(opcode=Opcode.POOL_POST, count=2, addr2=32 << 16), CqKind.COMMAND, Status.BAD_INDEX),
        (Sqe(opcode=Opcode.SEND, length=1, count=1, gen=1), CqKind.SEND, Status.BAD_STATE),
        (Sqe(opcode=Opcode.RECEIVE, length=1, gen=1), CqKind.RECEIVE, Status.BAD_STATE),
        (Sqe(opcode=Opcode.START, gen=1), CqKind.COMMAND, Status.BAD_STATE),
        (Sqe(opcode=Opcode.TERMINATE, gen=1), CqKind.COMMAND, Status.BAD_STATE),
        (Sqe(opcode=Opcode.NOP), CqKind.COMMAND, Status.OK),
    ],
)
def test_a_bad_entry_between_two_good_ones_completes_alone(sqe: Sqe, kind: CqKind, status: Status) -> None:
    bench = ready()
    first = bench.post(Sqe(opcode=Opcode.NOP))
    cookie = bench.post(sqe)
    last = bench.post(Sqe(opcode=Opcode.NOP))
    found = {c.cookie: c for c in bench.run()}
    entry = found[cookie]
    assert (entry.kind, entry.status, entry.code, entry.conn) == (kind, status, sqe.opcode, sqe.conn)
    assert (found[first].status, found[last].status) == (Status.OK, Status.OK)
    assert (found[last].sq_index - entry.sq_index) & 0xFFFF == 1


@pytest.mark.rule("hostport 7", "hostport 8")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"family": 5}, Status.NOT_SUPPORTED),
        ({"family": 6}, Status.BAD_IMAGE),
        ({"state": 3}, Status.NOT_SUPPORTED),
        ({"state": 10, "ttl": 0}, Status.NOT_SUPPORTED),
        ({"ka_timeout": 1 << 30}, Status.BAD_IMAGE),
        ({"ka_interval": 0xFFFF_FFFF}, Status.BAD_IMAGE),
        ({"ka_timeout_delta": 1 << 30}, Status.BAD_IMAGE),
        ({"snd_wind_scale": 15}, Status.BAD_IMAGE),
        ({"remote_mss": 63}, Status.BAD_IMAGE),
        ({"path_id": 8}, Status.BAD_IMAGE),
        ({"path_id": 3}, Status.BAD_IMAGE),
        ({"snd_nxt": 999}, Status.BAD_IMAGE),
        ({"snd_nxt": 1001}, Status.BAD_IMAGE),
        ({"snd_wnd": 0x3FFFC001}, Status.BAD_IMAGE),
        ({"initial_rcv_wnd": 0x3FFFC001}, Status.RCV_WINDOW),
        ({"cwnd": 0}, Status.BAD_IMAGE),
        ({"cwnd": 0x40000001}, Status.BAD_IMAGE),
    ],
)
def test_an_impossible_state_image_is_refused(changes: dict[str, int], status: Status) -> None:
    bench = ready()
    (entry,) = bench.with_image(Opcode.INITIATE, replace(image(), **changes).to_bytes(), gen=1)
    assert entry.status == status
    assert bench.device.core.tcbs[0].phase == Phase.FREE
    bench.connect()


@pytest.mark.rule("hostport 7")
@pytest.mark.parametrize(
    ("opcode", "data", "status"),
    [
        (Opcode.PATH_WRITE, replace(PATH, family=5).to_bytes(), Status.NOT_SUPPORTED),
        (Opcode.PATH_WRITE, replace(PATH, family=6).to_bytes(), Status.OK),
        (Opcode.PATH_WRITE, replace(PATH, family=6, path_mtu=1280).to_bytes(), Status.OK),
        (Opcode.PATH_WRITE, replace(PATH, family=6, path_mtu=1279).to_bytes(), Status.BAD_IMAGE),
        (Opcode.PATH_WRITE, replace(PATH, family=6, path_mtu=1501).to_bytes(), Status.PATH_MTU),
        (Opcode.PATH_WRITE, replace(PATH, path_mtu=575).to_bytes(), Status.BAD_IMAGE),
        (Opcode.PATH_WRITE, replace(PATH, path_mtu=1501).to_bytes(), Status.PATH_MTU),
        (Opcode.PATH_WRITE, replace(PATH, neighbor_id=8).to_bytes(), Status.BAD_IMAGE),
        (Opcode.PARAM_WRITE, replace(PARAMS, ticks_per_second=999).to_bytes(), Status.BAD_IMAGE),
        (Opcode.PARAM_WRITE, replace(PARAMS, ack_frequency=0).to_bytes(), Status.BAD_IMAGE),
        (Opcode.PARAM_WRITE, replace(PARAMS, dup_ack_threshold=256).to_bytes(), Status.BAD_IMAGE),
        (Opcode.PARAM_WRITE, replace(PARAMS, rto_min=60001).to_bytes(), Status.BAD_IMAGE),
        (Opcode.PARAM_WRITE, ParamImage().to_bytes(), Status.BAD_IMAGE),
        (Opcode.PARAM_WRITE, replace(PARAMS, rto_initial=60001).to_bytes(), Status.BAD_IMAGE),
        (Opcode.PARAM_WRITE, replace(PARAMS, rto_max=1 << 30).to_bytes(), Status.BAD_IMAGE),
        (Opcode.PARAM_WRITE, replace(PARAMS, **dict.fromkeys(_TICKS, (1 << 30) - 1)).to_bytes(), Status.OK),
        (Opcode.NEIGHBOR_WRITE, replace(NEIGHBOR, vlan_id=4096).to_bytes(), Status.BAD_IMAGE),
        (Opcode.NEIGHBOR_WRITE, replace(NEIGHBOR, vlan_id=4095).to_bytes(), Status.OK),
        (Opcode.NEIGHBOR_WRITE, NEIGHBOR.to_bytes(), Status.OK),
    ],
)
def test_impossible_path_and_parameter_images_are_refused(opcode: Opcode, data: bytes, status: Status) -> None:
    bench = ready()
    (entry,) = bench.with_image(opcode, data, conn=1)
    assert entry.status == status


@pytest.mark.rule("hostport 8", "B-3")
def test_a_path_is_of_no_use_before_its_neighbor_was_written() -> None:
    bench = ready()
    bench.with_image(Opcode.PATH_WRITE, replace(PATH, neighbor_id=6).to_bytes(), conn=2)
    bench.with_image(Opcode.NEIGHBOR_WRITE, replace(NEIGHBOR, vlan_id=4096).to_bytes(), conn=6)
    data = replace(image(), path_id=2).to_bytes()
    (entry,) = bench.with_image(Opcode.INITIATE, data, gen=1)
    assert entry.status == Status.BAD_IMAGE
    assert bench.device.core.lookup == {}
    bench.with_image(Opcode.NEIGHBOR_WRITE, NEIGHBOR.to_bytes(), conn=6)
    (entry,) = bench.with_image(Opcode.INITIATE, data, gen=1)
    assert entry.status == Status.OK


@pytest.mark.rule("hostport 6", "M7")
def test_an_image_that_cannot_be_read_is_an_error_of_the_command_only() -> None:
    bench = ready()
    bench.device.inject_errors([ErrorWindow(IMAGES, 64, writes=False)])
    (entry,) = bench.with_image(Opcode.INITIATE, image().to_bytes(), gen=1)
    assert entry.status == Status.READ_ERROR
    bench.device.inject_errors([])
    bench.connect()


@pytest.mark.rule("hostport 8")
def test_two_connections_cannot_have_one_key() -> None:
    bench = ready()
    bench.connect(0)
    (entry,) = bench.with_image(Opcode.INITIATE, image(local_port=40000).to_bytes(), conn=1, gen=1)
    assert entry.status == Status.DUPLICATE_KEY


@pytest.mark.rule("hostport 5")
def test_a_number_in_use_is_not_initiated_again() -> None:
    bench = ready()
    bench.connect(0)
    (entry,) = bench.with_image(Opcode.INITIATE, image(family=6).to_bytes(), conn=0, gen=2)
    assert entry.status == Status.BAD_STATE


@pytest.mark.rule("hostport 5")
def test_a_full_send_table_refuses_the_next_send() -> None:
    bench = ready()
    bench.connect(0, snd_wnd=0)
    for _ in range(16):
        bench.send(b"x")
    cookie = bench.send(b"x")
    (entry,) = bench.run()
    assert (entry.cookie, entry.status, entry.kind) == (cookie, Status.NO_RESOURCES, CqKind.SEND)


@pytest.mark.rule("hostport")
def test_ring_indices_past_the_size_are_ignored_and_recorded() -> None:
    bench = ready()
    bench.device.mmio_write(Csr.SQ_TAIL, 64)
    bench.device.mmio_write(Csr.CQ_HEAD, 64)
    assert bench.device.mmio_read(Csr.ERROR) == 12
    assert [c.status for c in bench.do(Sqe(opcode=Opcode.NOP))] == [Status.OK]


@pytest.mark.rule("hostport")
def test_the_phase_alternates_and_a_full_ring_waits() -> None:
    bench = DeviceBench(cq_log2=4)
    bench.auto_read = False
    for _ in range(30):
        bench.post(Sqe(opcode=Opcode.NOP))
    bench.run()
    raw = bench.device.mem.read(CQ, 16 * 32)
    written = sum(raw[32 * i + 31] for i in range(16))
    assert written == 7
    bench.auto_read = True
    assert len(bench.run()) == 30


@pytest.mark.rule("M7")
def test_a_submission_ring_that_cannot_be_read_stops_the_rings_until_reset() -> None:
    bench = ready()
    bench.device.inject_errors([ErrorWindow(SQ, 4096)])
    assert bench.do(Sqe(opcode=Opcode.NOP)) == []
    assert bench.device.mmio_read(Csr.ERROR) == 1
    assert bench.device.mmio_read(Csr.IRQ_CAUSE) & 2
    bench.device.mmio_write(Csr.CONTROL, 2)
    assert bench.device.mmio_read(Csr.ERROR) == 0


@pytest.mark.rule("M7")
def test_a_completion_ring_that_cannot_be_written_stops_the_rings() -> None:
    bench = ready()
    bench.device.inject_errors([ErrorWindow(CQ, 4096)])
    assert bench.do(Sqe(opcode=Opcode.NOP)) == []
    assert bench.device.mmio_read(Csr.ERROR) == 2


@pytest.mark.rule("hostport")
def test_the_interrupt_comes_with_a_completion_and_not_when_masked() -> None:
    bench = ready()
    rang: list[int] = []
    bench.device.on_interrupt = lambda: rang.append(bench.device.mmio_read(Csr.IRQ_CAUSE))
    bench.device.mmio_write(Csr.IRQ_CAUSE, 3)
    bench.do(Sqe(opcode=Opcode.NOP))
    assert rang == [1]
    bench.device.mmio_write(Csr.CONTROL, 9)
    bench.do(Sqe(opcode=Opcode.NOP))
    assert rang == [1]


@pytest.mark.rule("RAW_SEND")
def test_a_raw_frame_is_sent_unchanged() -> None:
    bench = ready()
    frame = bytes(range(200))
    bench.device.mem.write(DATA + 3, frame)
    (entry,) = bench.do(Sqe(opcode=Opcode.RAW_SEND, addr=DATA + 3, length=200))
    assert (entry.kind, entry.status) == (CqKind.RAW_TX, Status.OK)
    assert bench.take_sent() == [frame]
    bench.device.inject_errors([ErrorWindow(DATA, 64)])
    (entry,) = bench.do(Sqe(opcode=Opcode.RAW_SEND, addr=DATA + 3, length=200))
    assert entry.status == Status.READ_ERROR
    assert bench.take_sent() == []
