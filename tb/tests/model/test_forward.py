"""FORWARD: a segment that the host received goes the way of one from the wire (B-8, section C, delivery_step.md)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model.device.divergence import PackedStruct, field_of
from model.device.follower import Follower
from model.device.memory import ErrorWindow
from model.device.records import Entry, Journal
from model.layout.generated import (
    Cqe,
    CqKind,
    Csr,
    DlvEvt,
    DlvMsg,
    Opcode,
    Phase,
    PlOp,
    Plq,
    RecDlv,
    RecTcp,
    RxSeg,
    Sqe,
    Status,
    TcpEventType,
    TcpState,
    UploadReason,
    Verdict,
)
from tb.tests.model.delivery_bench import GEN as DLV_GEN
from tb.tests.model.delivery_bench import POOL as DLV_POOL
from tb.tests.model.delivery_bench import cqes, ops, started
from tb.tests.model.device_bench import CONFIG, DATA, FORWARDED, MEMORY, DeviceBench, ready
from tb.tests.model.device_bench import POOL as POOL_AT
from tb.tests.model.tcp_bench import (
    ACK,
    FIN,
    FORWARD_COOKIE,
    PSH,
    RST,
    SYN,
    URG,
    Engine,
    image,
    message_of,
    running,
)
from tb.tests.model.tcp_bench import FORWARDED as HEADER_AT


def answer_of(engine: Engine) -> Cqe:
    """The completion of the last step."""
    assert engine.last is not None
    assert engine.last.actions.cpl is not None
    return engine.last.actions.cpl


# ---- the TCP step


@pytest.mark.rule("B-8")
def test_payload_of_a_forwarded_segment_is_delivered_from_host_memory_and_not_completed_here() -> None:
    engine = running()
    result = engine.forward(pay_off=32, pay_len=700, flags=ACK | PSH)
    msg = message_of(result)
    assert (msg.kind, msg.fwd, msg.arrival, msg.offset, msg.len, msg.psh, msg.fin) == (
        DlvEvt.DELIVER,
        1,
        0,
        0,
        700,
        1,
        0,
    )
    assert (msg.a, msg.cookie, msg.sq_index) == (HEADER_AT + 32, FORWARD_COOKIE, 3)
    assert result.actions.cpl is None
    assert result.actions.verdict == Verdict.NONE
    assert (engine.tcb.rcv_nxt, engine.credits) == (5700, 99)


@pytest.mark.rule("B-8", "C-9")
def test_only_the_new_bytes_of_an_overlapping_forwarded_segment_are_delivered() -> None:
    engine = running()
    msg = message_of(engine.forward(seq=4900, pay_len=300))
    assert (msg.a, msg.len, msg.offset) == (HEADER_AT + 20 + 100, 200, 0)


@pytest.mark.rule("B-8", "C-8")
def test_a_forwarded_acknowledgment_counts_like_one_from_the_wire() -> None:
    forwarded, received = running(), running()
    for engine in (forwarded, received):
        engine.send(3000)
        engine.segments()
    result = forwarded.forward(ack=2000)
    received.rx(ack=2000)
    assert forwarded.tcb == received.tcb
    assert result.pending
    assert (answer_of(forwarded).kind, answer_of(forwarded).status) == (CqKind.FORWARD, Status.OK)
    assert (answer_of(forwarded).code, answer_of(forwarded).cookie) == (Opcode.FORWARD, FORWARD_COOKIE)


@pytest.mark.rule("B-8", "C-2", "C-9")
@pytest.mark.parametrize("fields", [{"seq": 30000}, {"ack": 99}, {"flags": 0}])
def test_what_the_rules_drop_completes_ok_and_owes_what_they_owe(fields: dict[str, int]) -> None:
    forwarded, received = running(), running()
    forwarded.forward(**fields)
    received.rx(**fields)
    assert forwarded.tcb == received.tcb
    assert answer_of(forwarded).status == Status.OK


@pytest.mark.rule("B-8", "M-2")
def test_a_forwarded_segment_behind_a_hole_is_dropped_and_owes_a_duplicate_ack() -> None:
    engine = running()
    result = engine.forward(seq=6000, pay_len=10, flags=ACK | FIN)
    assert (engine.tcb.rr_n, engine.tcb.ooo_fin, engine.tcb.dup_owed, engine.credits) == (0, 0, 1, 100)
    assert (answer_of(engine).status, result.actions.dlv) == (Status.OK, None)


@pytest.mark.rule("B-8", "C-9")
def test_without_a_pool_credit_a_forwarded_segment_is_dropped_and_completes() -> None:
    engine = running()
    engine.credits = 0
    result = engine.forward(pay_len=10)
    assert (answer_of(engine).status, engine.tcb.rcv_nxt, engine.tcb.dup_owed) == (Status.OK, 5000, 1)
    assert result.actions.dlv is None


@pytest.mark.rule("B-8", "C-9")
def test_a_forwarded_fin_alone_is_a_message_without_segment_and_completes_at_once() -> None:
    engine = running()
    msg = message_of(engine.forward(flags=ACK | FIN))
    assert (msg.kind, msg.fwd, msg.len, msg.fin, msg.a, msg.cookie) == (DlvEvt.DELIVER, 0, 0, 1, 0, 0)
    assert answer_of(engine).status == Status.OK
    assert engine.tcb.state == TcpState.CLOSE_WAIT


@pytest.mark.rule("B-8", "C-3", "C-4", "C-7")
@pytest.mark.parametrize(
    ("flags", "event", "reason", "status"),
    [
        (RST, TcpEventType.ABORT, UploadReason.NONE, Status.OK),
        (SYN, TcpEventType.RETRIEVE, UploadReason.UPLOAD_REQUESTED, Status.OK),
        (ACK | URG, TcpEventType.RETRIEVE, UploadReason.RECEIVED_URGENT_DATA, Status.UPLOAD),
    ],
)
def test_a_forwarded_segment_that_ends_the_offload_tells_the_host_and_completes(
    flags: int, event: TcpEventType, reason: UploadReason, status: Status
) -> None:
    engine = running()
    msg = message_of(engine.forward(flags=flags))
    assert (msg.kind, msg.event, msg.info) == (DlvEvt.NOTIFY, event, reason)
    assert (answer_of(engine).status, engine.tcb.phase) == (status, Phase.FROZEN)


@pytest.mark.rule("B-8", "E-1")
def test_a_forward_that_finds_no_running_connection_says_why() -> None:
    engine = Engine()
    found = []
    engine.forward()
    found.append(answer_of(engine).status)
    engine.command(Opcode.INITIATE, image())
    engine.forward()
    found.append(answer_of(engine).status)
    engine.forward(gen=8)
    found.append(answer_of(engine).status)
    engine.command(Opcode.START)
    engine.command(Opcode.TERMINATE)
    engine.forward()
    found.append(answer_of(engine).status)
    assert found == [Status.BAD_STATE, Status.BAD_STATE, Status.BAD_STATE, Status.UPLOAD]
    engine = running()
    engine.rx(flags=RST)
    engine.forward()
    assert (answer_of(engine).kind, answer_of(engine).status) == (CqKind.FORWARD, Status.ABORTED)


@pytest.mark.rule("B-8", "C")
@pytest.mark.parametrize("state", [TcpState.TIME_WAIT, TcpState.CLOSED])
def test_a_connection_that_takes_no_segments_any_more_passes_a_forwarded_one_back(state: TcpState) -> None:
    engine = running()
    if state == TcpState.TIME_WAIT:
        engine.command(Opcode.DISCONNECT, flags=1)
        engine.segments()
        engine.rx(ack=1001)
        engine.rx(ack=1001, flags=ACK | FIN)
    else:
        engine.rx(flags=ACK | FIN)
        engine.command(Opcode.DISCONNECT, flags=1)
        engine.segments()
        engine.rx(ack=1001)
    assert engine.tcb.state == state
    engine.forward(pay_len=5)
    assert answer_of(engine).status == Status.UPLOAD


# ---- the delivery step


@pytest.mark.rule("DELIVER with fwd")
def test_a_forwarded_segment_is_copied_into_requests_and_completes_behind_its_last_piece() -> None:
    engine = started()
    engine.receive(100, cookie=1)
    engine.receive(0, cookie=2)
    engine.receive(200, cookie=3)
    done = engine.forward(250, at=0x9001)
    assert [(o.op, o.src, o.dst, o.len, o.barrier, o.arrival, o.offset, o.last) for o in ops(done)] == [
        (PlOp.COPY, 0x9001, 0x5000, 100, 0, 0, 0, 0),
        (PlOp.COPY, 0x9065, 0xF000, 150, 0, 0, 0, 0),
    ]
    assert [(c.kind, c.cookie, c.nbytes) for c in cqes(done)] == [
        (CqKind.RECEIVE, 1, 100),
        (CqKind.RECEIVE, 2, 0),
        (CqKind.FORWARD, 50, 0),
    ]
    last = cqes(done)[-1]
    assert (last.status, last.code, last.gen, last.sq_index) == (Status.OK, Opcode.FORWARD, DLV_GEN, 6)
    assert (engine.consumed, engine.credits) == (250, 1)


@pytest.mark.rule("DELIVER with fwd", "W-3")
def test_a_forwarded_segment_without_request_is_pooled_behind_a_barrier_and_completes_before_it_is_indicated() -> None:
    engine = started()
    done = engine.forward(300, at=0x9000)
    (op,) = ops(done)
    assert (op.op, op.src, op.dst, op.len, op.barrier) == (PlOp.COPY, 0x9000, DLV_POOL, 300, 1)
    assert [c.kind for c in cqes(done)] == [CqKind.FORWARD, CqKind.INDICATION]
    engine.answer(0)
    (out,) = ops(engine.receive(300))
    assert (out.op, out.src, out.barrier) == (PlOp.COPY, DLV_POOL, 0)


@pytest.mark.rule("DELIVER with fwd")
def test_push_and_fin_of_a_forwarded_segment_do_what_they_do_for_one_from_the_wire() -> None:
    engine = started()
    engine.receive(1000, nopush=0)
    entries = cqes(engine.forward(10, psh=1, fin=1))
    assert [(c.kind, c.nbytes) for c in entries] == [(CqKind.RECEIVE, 10), (CqKind.FORWARD, 0), (CqKind.EVENT, 0)]
    assert entries[2].code == TcpEventType.DISCONNECT


# ---- the device, and whoever follows it


def follow(bench: DeviceBench, journal: Journal, windows: list[ErrorWindow] | None = None) -> Follower:
    """The follower at the end of the bench's journal; it agreed all along."""
    follower = Follower(bytes(MEMORY), config=CONFIG)
    follower.inject_errors(windows or [])
    for entry in journal.entries:
        follower.feed(entry)
    follower.finish()
    follower.final_compare(bytes(bench.device.memory.contents))
    assert follower.divergence is None, follower.report("-")
    return follower


@pytest.mark.rule("FORWARD", "G-38")
@pytest.mark.parametrize("seed", range(6))
def test_forwarded_bytes_reach_the_application_in_order_with_those_from_the_wire(seed: int) -> None:
    journal = Journal()
    bench = ready(seed, journal)
    bench.connect()
    bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA + 5, length=25, cookie=88))
    bench.arrive(bench.segment(data=b"0123456789"))
    done = bench.do(bench.forward(seq=5010, data=b"abcdefghij"))
    assert [(c.kind, c.status, c.nbytes) for c in done] == [(CqKind.FORWARD, Status.OK, 0)]
    done = bench.arrive(bench.segment(seq=5020, data=b"ABCDEFGHIJ"))
    received, shown = done
    assert (received.kind, received.nbytes) == (CqKind.RECEIVE, 25)
    assert bench.device.mem.read(DATA + 5, 25) == b"0123456789abcdefghijABCDE"
    bench.do(Sqe(opcode=Opcode.ANSWER, gen=1, arg=shown.info, length=2))
    done = bench.do(bench.forward(seq=5030, data=b"wxyz", flags=0x19))
    assert [c.kind for c in done] == [CqKind.FORWARD]
    bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA + 0x100, length=7, cookie=89))
    assert bench.device.mem.read(DATA + 0x100, 7) == b"HIJwxyz"
    bench.do(Sqe(opcode=Opcode.TERMINATE, gen=1))
    assert bench.device.problems() == []
    follow(bench, journal)


@pytest.mark.rule("FORWARD", "C-8")
def test_a_forwarded_acknowledgment_completes_a_send() -> None:
    journal = Journal()
    bench = ready(2, journal)
    bench.connect()
    cookie = bench.send(b"x" * 700)
    bench.run()
    done = bench.do(bench.forward(ack=1700))
    assert {(c.kind, c.status) for c in done} == {(CqKind.FORWARD, Status.OK), (CqKind.SEND, Status.OK)}
    assert [c.cookie for c in done if c.kind == CqKind.SEND] == [cookie]
    follow(bench, journal)


@pytest.mark.rule("FORWARD", "C-1")
def test_the_timestamps_of_a_forwarded_segment_are_read() -> None:
    journal = Journal()
    bench = ready(1, journal)
    bench.connect(const_flags=1, ts_recent=100)
    options = b"\x01\x01\x08\x0a" + (101).to_bytes(4, "big") + bytes(4)
    head = bytearray(20)
    head[4:12] = (5000).to_bytes(4, "big") + (1000).to_bytes(4, "big")
    head[12:16] = bytes([8 << 4, 0x10]) + (30000).to_bytes(2, "big")
    bench.device.mem.write(FORWARDED, bytes(head) + options + b"stamped")
    sqe = Sqe(opcode=Opcode.FORWARD, gen=1, addr=FORWARDED, length=39)
    done = bench.do(sqe)
    assert [c.kind for c in done] == [CqKind.FORWARD, CqKind.INDICATION]
    assert bench.device.mem.read(POOL_AT + 2048 * done[1].buf, 7) == b"stamped"
    assert bench.device.core.tcbs[0].ts_recent == 101
    bench.device.mem.write(FORWARDED + 24, (99).to_bytes(4, "big"))
    bench.device.mem.write(FORWARDED + 4, (5007).to_bytes(4, "big"))
    assert [c.kind for c in bench.do(sqe)] == [CqKind.FORWARD]
    assert bench.device.core.tcbs[0].rcv_nxt == 5007
    follow(bench, journal)


@pytest.mark.rule("hostport 3", "hostport 6", "hostport 7")
def test_a_forward_that_holds_no_tcp_header_is_refused() -> None:
    journal = Journal()
    bench = ready(1, journal)
    bench.connect()
    sqe = bench.forward(data=b"text")

    def status(offset: int, length: int, at: int = FORWARDED) -> Status:
        bench.device.mem.write(FORWARDED + 12, bytes([offset << 4]))
        (entry,) = bench.do(Sqe(opcode=Opcode.FORWARD, gen=1, addr=at, length=length))
        assert (entry.kind, entry.code) == (CqKind.FORWARD, Opcode.FORWARD)
        return Status(entry.status)

    assert status(5, 19) == Status.BAD_LENGTH
    assert status(5, 1481) == Status.BAD_LENGTH
    assert status(4, 24) == Status.BAD_IMAGE
    assert status(6, 23) == Status.BAD_IMAGE
    assert status(5, 20, at=MEMORY - 1) == Status.READ_ERROR
    assert status(6, 24) == Status.OK
    assert bench.device.mmio_read(Csr.CNT_CMD_ERRORS) == 5
    assert bench.do(Sqe(opcode=Opcode.FORWARD, conn=8, addr=sqe.addr, length=24))[0].status == Status.BAD_CONN
    follow(bench, journal)


@pytest.mark.rule("FORWARD", "M7")
@pytest.mark.parametrize("into", ["request", "pool"])
def test_forwarded_payload_that_cannot_be_read_aborts_its_command_and_freezes_its_connection(into: str) -> None:
    journal = Journal()
    bench = ready(1, journal)
    bench.connect()
    at = 0xD0000
    windows = [ErrorWindow(at + 64, 64, writes=False)]
    bench.device.inject_errors(windows)
    if into == "request":
        bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA, length=60, cookie=4))
    done = bench.do(bench.forward(at=at, data=b"q" * 60))
    assert (CqKind.FORWARD, Status.ABORTED) in {(c.kind, c.status) for c in done}
    assert [c.info for c in done if c.kind == CqKind.EVENT] == [UploadReason.HARDWARE_FAILURE]
    assert [c.status for c in done if c.kind == CqKind.RECEIVE] == ([Status.ABORTED] if into == "request" else [])
    assert bench.device.mem.read(DATA, 60) == bytes(60)
    assert bench.device.mmio_read(Csr.CNT_FAULTS) == 1
    follow(bench, journal, windows)


@pytest.mark.rule("FORWARD", "M7")
def test_a_failed_copy_before_a_forwarded_segment_is_not_its_failure() -> None:
    found: set[Status] = set()
    for seed in range(12):
        bench = ready(seed)
        bench.connect()
        bench.arrive(bench.segment(data=b"pooled"))
        (token,) = [c.info for c in bench.cqes if c.kind == CqKind.INDICATION]
        bench.do(Sqe(opcode=Opcode.ANSWER, gen=1, arg=token, length=0))
        bench.device.inject_errors([ErrorWindow(POOL_AT, 2048 * 32, writes=False)])
        bench.post(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA, length=6, cookie=4))
        bench.post(bench.forward(seq=5006, data=b"whole"))
        done = bench.run()
        assert [c.status for c in done if c.kind == CqKind.RECEIVE] == [Status.ABORTED]
        found |= {Status(c.status) for c in done if c.kind == CqKind.FORWARD}
    # ABORTED would be right only where the fault froze the connection before the command came
    assert Status.OK in found


def corrupted(entries: list[Entry], tag: str, struct: type[PackedStruct], path: tuple[str, ...]) -> list[Entry]:
    """The journal with the lowest bit of a field turned in the first record of ``tag`` that has a forwarded segment."""
    inner = {"rx": RxSeg, "dlv": DlvMsg, "plq": Plq, "cqe": Cqe}
    bit, here = 0, struct
    for name in path:
        bit += here.FIELDS[name][0]
        here = inner.get(name, here)
    out = list(entries)
    for at, entry in enumerate(out):
        if entry.tag == tag and _of_a_forward(struct, entry.values[0]):
            out[at] = replace(entry, values=(entry.values[0] ^ 1 << bit,))
            return out
    raise AssertionError("no record of a forwarded segment")


def _of_a_forward(struct: type[PackedStruct], value: int) -> bool:
    if struct is RecTcp:
        return field_of(RecTcp, value, "opcode") == Opcode.FORWARD
    op = field_of(Plq, field_of(RecDlv, value, "plq"), "op")
    return op == PlOp.COPY and field_of(RecDlv, value, "kind") == DlvEvt.DELIVER


@pytest.mark.rule("architecture 3, check 1")
@pytest.mark.parametrize(
    ("tag", "struct", "path"),
    [
        ("T", RecTcp, ("rx", "seq")),
        ("T", RecTcp, ("rx", "ack")),
        ("T", RecTcp, ("rx", "flags")),
        ("T", RecTcp, ("rx", "wnd")),
        ("T", RecTcp, ("rx", "tsval")),
        ("T", RecTcp, ("rx", "pay_off")),
        ("T", RecTcp, ("rx", "pay_len")),
        ("T", RecTcp, ("rx", "arrival")),
        ("T", RecTcp, ("dlv", "fwd")),
        ("T", RecTcp, ("dlv", "a")),
        ("T", RecTcp, ("dlv", "cookie")),
        ("T", RecTcp, ("dlv", "sq_index")),
        ("T", RecTcp, ("dlv", "offset")),
        ("T", RecTcp, ("cpl_valid",)),
        ("T", RecTcp, ("verdict",)),
        ("D", RecDlv, ("plq", "src")),
        ("D", RecDlv, ("plq", "dst")),
        ("D", RecDlv, ("plq", "barrier")),
        ("D", RecDlv, ("plq", "last")),
        ("D", RecDlv, ("plq", "arrival")),
        ("D", RecDlv, ("cause",)),
    ],
)
def test_a_wrong_bit_of_a_forwarded_segment_is_named(
    tag: str, struct: type[PackedStruct], path: tuple[str, ...]
) -> None:
    journal = Journal()
    bench = ready(1, journal)
    bench.connect()
    bench.do(bench.forward(data=b"some text"))
    follower = Follower(bytes(MEMORY), config=CONFIG)
    for entry in corrupted(journal.entries, tag, struct, path):
        follower.feed(entry)
    found = follower.divergence
    assert found is not None
    assert (found.check, found.field) == (1, ".".join(path))
