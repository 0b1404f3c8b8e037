"""The follower agrees with a device that is right, and names check and field for each kind of lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache

import pytest

from model.device.divergence import PackedStruct, field_of
from model.device.follower import Follower
from model.device.memory import ErrorWindow
from model.device.records import Entry, Journal
from model.layout.generated import (
    Cqe,
    CqKind,
    Dcb,
    DlvEvt,
    DlvMsg,
    Opcode,
    Plq,
    RecCq,
    RecDlv,
    RecRx,
    RecTcp,
    RecTx,
    RxSeg,
    Sqe,
    Status,
    Tcb,
    TcpEvt,
    Txq,
    TxSegment,
)
from tb.tests.model.device_bench import CONFIG, DATA, IMAGES, MEMORY, DeviceBench, ready

RST, ACK, FIN = 4, 16, 1


def scenario(seed: int) -> tuple[DeviceBench, Journal]:
    """Three connections: bulk with loss, receive with indication, disconnect, reset, raw frames, errors, terminate."""
    journal = Journal()
    bench = ready(seed, journal)
    for conn in range(3):
        bench.connect(conn, gen=conn + 1)
    bench.send(b"A" * 6000, conn=0, gen=1, pieces=5, at=DATA + 7)
    bench.post(Sqe(opcode=Opcode.RECEIVE, conn=0, gen=1, flags=0, addr=DATA + 0x8003, length=300, cookie=70))
    bench.do(Sqe(opcode=99))
    for ack in (2000, 2000, 2000, 2000):
        bench.arrive(bench.segment(0, ack=ack))
    bench.arrive(bench.segment(0, ack=7000, data=b"first" * 30))
    bench.tick(2)
    bench.arrive(bench.segment(0, ack=7000, seq=5150, data=b"second" * 60, flags=ACK))
    bench.arrive(bench.segment(0, ack=7000, seq=9000, data=b"early", flags=ACK))
    bench.arrive(bench.segment(5, data=b"nobody"))
    bench.device.mem.write(DATA + 0x9000, b"raw" * 40)
    bench.do(Sqe(opcode=Opcode.RAW_SEND, addr=DATA + 0x9000, length=120))
    bench.send(b"B" * 2000, conn=1, gen=2, at=DATA + 0xA000)
    bench.run()
    bench.tick(1200)
    bench.arrive(bench.segment(1, ack=3000))
    bench.do(Sqe(opcode=Opcode.DISCONNECT, conn=1, gen=2, flags=1))
    bench.arrive(bench.segment(1, ack=3001, data=b"", flags=ACK | FIN))
    bench.do(Sqe(opcode=Opcode.RECEIVE, conn=2, gen=3, flags=1, addr=DATA + 0xB000, length=50, cookie=90))
    bench.arrive(bench.segment(2, flags=RST | ACK))
    for conn in range(3):
        bench.post(Sqe(opcode=Opcode.TERMINATE, conn=conn, gen=conn + 1, addr=IMAGES + 256 * conn, addr2=0x70000))
    bench.run()
    for entry in [c for c in bench.cqes if c.kind == CqKind.INDICATION]:
        bench.do(Sqe(opcode=Opcode.ANSWER, conn=entry.conn, gen=entry.gen, arg=entry.info, length=entry.nbytes))
    return bench, journal


@lru_cache
def recorded(seed: int = 1) -> tuple[tuple[Entry, ...], bytes]:
    """The journal of a scenario and the memory at its end."""
    bench, journal = scenario(seed)
    return tuple(journal.entries), bytes(bench.device.memory.contents)


def follow(entries: Iterable[Entry], memory: bytes | None = None) -> Follower:
    follower = Follower(bytes(MEMORY), config=CONFIG)
    for entry in entries:
        follower.feed(entry)
    follower.finish()
    if memory is not None:
        follower.final_compare(memory)
    return follower


@pytest.mark.rule("architecture 3")
@pytest.mark.parametrize("seed", range(8))
def test_a_device_that_is_right_never_diverges_whatever_order_it_chooses(seed: int) -> None:
    follower = follow(*recorded(seed))
    assert follower.divergence is None, follower.report("-")
    assert follower.commits_compared > 70
    assert follower.frames_compared > 10
    assert follower.completions_compared > 20
    assert follower.host_bytes_compared > 1000


@pytest.mark.rule("architecture 3")
def test_all_kinds_of_events_were_followed() -> None:
    seen = follow(*recorded()).events
    missing = {e.name for e in TcpEvt} - set(seen)
    assert missing == {"NONE", "FAULT"}
    wanted = {DlvEvt.DELIVER, DlvEvt.LOAD, DlvEvt.START, DlvEvt.FREEZE, DlvEvt.NOTIFY, DlvEvt.RECEIVE, DlvEvt.CONTINUE}
    assert {f"delivery {e.name}" for e in wanted} <= set(seen)


def flip(entries: tuple[Entry, ...], tag: str, bit: int, when: Callable[[int], bool] = lambda _: True) -> list[Entry]:
    """The journal with one bit of the first record of ``tag`` that ``when`` accepts turned."""
    out = list(entries)
    for at, entry in enumerate(out):
        if entry.tag == tag and when(entry.values[0]):
            out[at] = replace(entry, values=(entry.values[0] ^ 1 << bit, *entry.values[1:]))
            return out
    raise AssertionError(f"no record {tag} to corrupt")


def place(struct: type[PackedStruct], *names: str) -> int:
    """Lowest bit of a field; further names go into nested structs."""
    inner: dict[str, type[PackedStruct]] = {
        "tcb": Tcb,
        "rx": RxSeg,
        "tx0": Txq,
        "body": TxSegment,
        "dlv": DlvMsg,
        "cpl": Cqe,
        "dcb": Dcb,
        "plq": Plq,
        "cqe": Cqe,
    }
    bit, here = 0, struct
    for name in names:
        bit += here.FIELDS[name][0]
        here = inner.get(name, here)
    return bit


def tcp(kind: TcpEvt, *has: str) -> Callable[[int], bool]:
    return lambda v: field_of(RecTcp, v, "kind") == kind and all(field_of(RecTcp, v, h) for h in has)


def delivery(kind: DlvEvt, *has: str) -> Callable[[int], bool]:
    return lambda v: field_of(RecDlv, v, "kind") == kind and all(field_of(RecDlv, v, h) for h in has)


TCB_FIELDS = ["cwnd", "snd_una", "rcv_nxt", "srtt", "rto", "ts_delta", "rcv_ws", "rtx_deadline", "flow_label"]


@pytest.mark.rule("architecture 3, check 1")
@pytest.mark.parametrize("name", TCB_FIELDS)
def test_a_wrong_bit_of_the_tcb_is_named(name: str) -> None:
    entries, _ = recorded()
    follower = follow(flip(entries, "T", place(RecTcp, "tcb", name), tcp(TcpEvt.RX_SEGMENT)))
    d = follower.divergence
    assert d is not None
    assert (d.check, d.stream, d.field, d.event) == (1, "tcp", f"tcb.{name}", "RX_SEGMENT")
    assert d.conn == 0
    assert d.history


@pytest.mark.rule("architecture 3, check 1")
@pytest.mark.parametrize(
    ("path", "when", "field"),
    [
        (("tx0", "body", "wnd"), tcp(TcpEvt.TX_GRANT, "tx0_valid"), "tx0.body.wnd"),
        (("tx0", "body", "seq"), tcp(TcpEvt.TX_GRANT, "tx0_valid"), "tx0.body.seq"),
        (("tx1_valid",), tcp(TcpEvt.TX_GRANT, "tx1_valid"), "tx1_valid"),
        (("dlv", "len"), tcp(TcpEvt.RX_SEGMENT, "dlv_valid"), "dlv.len"),
        (("verdict",), tcp(TcpEvt.RX_SEGMENT), "verdict"),
        (("rx", "ack"), tcp(TcpEvt.RX_SEGMENT), "rx.ack"),
        (("credits",), tcp(TcpEvt.CREDIT), "credits"),
        (("img_valid",), tcp(TcpEvt.FENCE_DONE), "img_valid"),
        (("cpl", "cookie"), tcp(TcpEvt.COMMAND, "cpl_valid"), "cpl.cookie"),
    ],
)
def test_a_wrong_bit_of_an_action_is_named(path: tuple[str, ...], when: Callable[[int], bool], field: str) -> None:
    entries, _ = recorded()
    d = follow(flip(entries, "T", place(RecTcp, *path), when)).divergence
    assert d is not None
    assert (d.check, d.field) == (1, field)


@pytest.mark.rule("architecture 3, check 1")
@pytest.mark.parametrize(
    ("path", "when", "field"),
    [
        (("dcb", "token"), delivery(DlvEvt.CONTINUE), "dcb.token"),
        (("dcb", "req_count"), delivery(DlvEvt.RECEIVE), "dcb.req_count"),
        (("plq", "dst"), delivery(DlvEvt.DELIVER, "plq_valid"), "plq.dst"),
        (("plq", "cqe", "nbytes"), delivery(DlvEvt.CONTINUE, "plq_valid"), "plq.cqe.nbytes"),
        (("pool_free",), delivery(DlvEvt.POOL_POST), "pool_free"),
        (("consumed",), delivery(DlvEvt.DELIVER), "consumed"),
        (("credit_ret",), delivery(DlvEvt.DELIVER), "credit_ret"),
    ],
)
def test_a_wrong_bit_of_a_delivery_commit_is_named(
    path: tuple[str, ...], when: Callable[[int], bool], field: str
) -> None:
    entries, _ = recorded()
    d = follow(flip(entries, "D", place(RecDlv, *path), when)).divergence
    assert d is not None
    assert (d.check, d.stream, d.field) == (1, "delivery", field)


@pytest.mark.rule("architecture 3, check 2")
@pytest.mark.parametrize(
    ("at", "field"),
    [
        (0, "ethernet.destination"),
        (22, "ip.ttl"),
        (19, "ip.identification"),
        (41, "tcp.sequence"),
        (49, "tcp.window"),
        (60, "byte 60"),
    ],
)
def test_a_wrong_byte_on_the_wire_is_named(at: int, field: str) -> None:
    out = list(recorded()[0])
    where = next(i for i, e in enumerate(out) if e.tag == "O" and len(e.data) > 100)
    data = bytearray(out[where].data)
    data[at] ^= 1
    out[where] = replace(out[where], data=bytes(data))
    follower = follow(out)
    d = follower.divergence
    assert d is not None
    assert d.check == 2
    assert d.field in (field, "tcp.checksum", f"byte {at}")
    assert "frame, " in follower.report("make replay")


@pytest.mark.rule("architecture 3, check 3")
@pytest.mark.parametrize("name", ["status", "nbytes", "cookie", "info", "buf", "phase", "conn"])
def test_a_wrong_completion_is_named(name: str) -> None:
    entries, _ = recorded()
    d = follow(
        flip(
            entries,
            "C",
            place(RecCq, "cqe", name),
            lambda v: field_of(Cqe, field_of(RecCq, v, "cqe"), "kind") in (CqKind.SEND, CqKind.INDICATION),
        )
    ).divergence
    assert d is not None
    assert (d.check, d.field) == (3, f"cqe.{name}")


@pytest.mark.rule("architecture 3, check 3")
def test_a_wrong_ring_index_is_named() -> None:
    d = follow(flip(recorded()[0], "C", place(RecCq, "index"))).divergence
    assert d is not None
    assert (d.check, d.field) == (3, "index")


@pytest.mark.rule("architecture 3, check 3")
def test_a_completion_told_twice_is_found() -> None:
    out = list(recorded()[0])
    at = max(i for i, e in enumerate(out) if e.tag == "C")
    d = follow((*out, out[at])).divergence
    assert d is not None
    assert d.check == 3


@pytest.mark.rule("architecture 3, check 4")
@pytest.mark.parametrize(("value", "field"), [(1, "address"), (3, "byte"), (0, "client")])
def test_a_wrong_write_is_named(value: int, field: str) -> None:
    out = list(recorded()[0])
    where = next(i for i, e in enumerate(out) if e.tag == "W" and e.values[0] == 0)
    v = list(out[where].values)
    first_lane = (v[2] & -v[2]).bit_length() - 1
    v[value] ^= {0: 8, 1: 64, 3: 1 << 8 * first_lane}[value]
    out[where] = replace(out[where], values=tuple(v))
    d = follow(out).divergence
    assert d is not None
    assert d.check == 4
    assert d.field.startswith(field)


@pytest.mark.rule("architecture 3, check 4")
def test_a_stray_write_anywhere_is_found() -> None:
    out = list(recorded()[0])
    d = follow((*out, Entry("W", out[-1].cycle, (0, 0xE0000, 1, 0x55, 64, 0)))).divergence
    assert d is not None
    assert d.check == 4


@pytest.mark.rule("architecture 3, check 4")
def test_a_byte_that_changed_behind_the_monitor_is_found_at_the_end() -> None:
    entries, memory = recorded()
    changed = bytearray(memory)
    changed[0xE1234] ^= 1
    d = follow(entries, bytes(changed)).divergence
    assert d is not None
    assert d.check == 4
    assert "0xe1234" in d.field


@pytest.mark.rule("architecture 3, check 5")
@pytest.mark.parametrize(
    ("tag", "struct", "name", "when"),
    [
        ("T", RecTcp, "conn", tcp(TcpEvt.TX_GRANT)),
        ("T", RecTcp, "cause", tcp(TcpEvt.RX_SEGMENT)),
        ("T", RecTcp, "cause", tcp(TcpEvt.CONSUMED)),
        ("T", RecTcp, "order", tcp(TcpEvt.TX_GRANT)),
        ("T", RecTcp, "tick", tcp(TcpEvt.TX_GRANT)),
        ("D", RecDlv, "cause", delivery(DlvEvt.RECEIVE)),
        ("D", RecDlv, "order", delivery(DlvEvt.RECEIVE)),
        ("R", RecRx, "class_", lambda _: True),
        ("R", RecRx, "conn", lambda _: True),
        ("R", RecRx, "arrival", lambda _: True),
        ("X", RecTx, "order", lambda _: True),
        ("X", RecTx, "len", lambda _: True),
    ],
)
def test_an_event_that_was_not_due_is_refused(
    tag: str, struct: type[PackedStruct], name: str, when: Callable[[int], bool]
) -> None:
    bit = struct.FIELDS[name][0] + (struct.FIELDS[name][1] - 3 if name in ("tick", "conn") else 0)
    d = follow(flip(recorded()[0], tag, bit, when)).divergence
    assert d is not None
    assert d.check == 5


def without(tag: str, when: Callable[[int], bool] = lambda _: True) -> list[Entry]:
    """The journal without the last record of ``tag`` that ``when`` accepts."""
    out = list(recorded()[0])
    at = max(i for i, e in enumerate(out) if e.tag == tag and (not e.values or when(e.values[0])))
    del out[at]
    return out


@pytest.mark.rule("architecture 3, check 6")
@pytest.mark.parametrize("tag", ["C", "O", "W", "X"])
def test_what_never_happens_is_found_at_the_end(tag: str) -> None:
    d = follow(without(tag)).divergence
    assert d is not None
    assert d.check == 6


@pytest.mark.rule("architecture 3, check 6")
def test_what_happens_too_late_is_found() -> None:
    out = list(recorded()[0])
    where = next(i for i, e in enumerate(out) if e.tag == "O")
    late = [replace(e, cycle=e.cycle + 1_000_000) if i >= where else e for i, e in enumerate(out)]
    d = follow(late).divergence
    assert d is not None
    assert (d.check, d.stream) == (6, "liveness")


@pytest.mark.rule("report")
def test_the_report_is_short_and_names_what_matters() -> None:
    follower = follow(flip(recorded()[0], "T", place(RecTcp, "tcb", "cwnd"), tcp(TcpEvt.RX_SEGMENT)))
    text = follower.report("make replay FAILURE=x")
    assert len(text.splitlines()) < 30
    for word in ("tcb.cwnd", "RX_SEGMENT", "cycle", "F-2", "last commits", "IPv4", "replay: make replay FAILURE=x"):
        assert word in text


@pytest.mark.rule("M7")
def test_failures_of_host_memory_are_followed() -> None:
    journal = Journal()
    bench = ready(3, journal)
    bench.connect(0)
    windows = [ErrorWindow(DATA, 4096)]
    follower = Follower(bytes(MEMORY), config=CONFIG)
    follower.inject_errors(windows)
    bench.device.inject_errors(windows)
    bench.send(b"x" * 3000, at=DATA)
    bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA + 64, length=4, cookie=5))
    bench.arrive(bench.segment(data=b"data"))
    bench.do(Sqe(opcode=Opcode.TERMINATE, gen=1))
    for entry in journal.entries:
        follower.feed(entry)
    follower.finish()
    follower.final_compare(bytes(bench.device.memory.contents))
    assert follower.divergence is None, follower.report("-")


@pytest.mark.rule("hostport 5")
def test_refusals_that_depend_on_time_are_followed() -> None:
    journal = Journal()
    bench = ready(4, journal)
    bench.connect(0, snd_wnd=0)
    for _ in range(18):
        bench.send(b"x")
    bench.run()
    bench.with_image(Opcode.INITIATE, bytes(256), conn=0, gen=9)
    follower = follow(journal.entries, bytes(bench.device.memory.contents))
    assert follower.divergence is None, follower.report("-")
    refused = [c for c in bench.cqes if c.status in (Status.NO_RESOURCES, Status.BAD_STATE)]
    assert len(refused) == 3


@pytest.mark.rule("hostport 5")
def test_a_refusal_without_reason_is_found() -> None:
    entries, _ = recorded()
    bit = place(RecCq, "cqe", "status")
    d = follow(flip(entries, "C", bit, lambda v: field_of(RecCq, v, "source") == 0)).divergence
    assert d is not None
    assert (d.check, d.field) == (3, "cqe.status")


@pytest.mark.rule("C-12")
def test_text_refused_for_want_of_room_while_the_host_reads_its_entries_is_found() -> None:
    entries, _ = recorded()
    d = follow(flip(entries, "T", place(RecTcp, "room"), tcp(TcpEvt.RX_SEGMENT))).divergence
    assert d is not None
    assert (d.check, d.field) == (5, "room")
