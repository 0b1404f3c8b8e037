"""UPDATE, QUERY, INVALIDATE, NEIGHBOR_ANSWER on the golden device, and a follower that works all of it out itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from model.device.divergence import PackedStruct, field_of
from model.device.follower import Follower
from model.device.memory import ErrorWindow
from model.device.records import Entry, Journal
from model.layout.generated import (
    CachedImage,
    Cqe,
    CqKind,
    CqSource,
    Csr,
    Dcb,
    DlvEvt,
    NeighborImage,
    Object,
    Opcode,
    PathImage,
    Phase,
    RecCq,
    RecDlv,
    RecTcp,
    Sqe,
    Status,
    Tcb,
    TcpEventType,
    TcpEvt,
    TcpImage,
    TxBarrier,
    Txq,
    UploadReason,
    WrClient,
)
from model.wire.frame import parse_frame
from tb.tests.model.device_bench import (
    CONFIG,
    DATA,
    IMAGES,
    MEMORY,
    NEIGHBOR,
    PATH,
    ready,
)

QUERIED = 0xE0010
CACHED = CachedImage(initial_rcv_wnd=20000, ttl=64)
STALE = NeighborImage(dl_dst=NEIGHBOR.dl_dst, host_reachability_delta=30_005, nic_reachability_delta=30_001)
UPDATE = 1


class Followed:
    """A bench whose journal a follower reads at the end."""

    def __init__(self, seed: int = 1) -> None:
        self.journal = Journal()
        self.bench = ready(seed, self.journal)
        self.windows: list[ErrorWindow] = []

    def inject(self, *windows: ErrorWindow) -> None:
        """From now on these accesses fail."""
        self.windows = list(windows)
        self.bench.device.inject_errors(self.windows)

    def agree(self) -> Follower:
        """The follower agreed with everything; compares memory and registers too."""
        follower = follow(self.journal.entries, self.windows)
        values = {r: self.bench.device.mmio_read(r) for r in follower.compared_registers()}
        follower.compare_registers(values)
        follower.final_compare(bytes(self.bench.device.memory.contents))
        assert follower.divergence is None, follower.report("-")
        return follower


def follow(entries: list[Entry], windows: list[ErrorWindow] | None = None) -> Follower:
    """A follower at the end of a journal."""
    follower = Follower(bytes(MEMORY), config=CONFIG)
    follower.inject_errors(windows or [])
    for entry in entries:
        follower.feed(entry)
    follower.finish()
    return follower


def commands(cqes: list[Cqe]) -> list[tuple[int, int]]:
    """Code and status of the entries of kind COMMAND."""
    return [(c.code, c.status) for c in cqes if c.kind == CqKind.COMMAND]


# ---- UPDATE


@pytest.mark.rule("UPDATE", "CH-072", "S10")
@pytest.mark.parametrize("seed", range(4))
def test_what_was_updated_is_in_the_next_frame(seed: int) -> None:
    f = Followed(seed)
    f.bench.connect()
    image = replace(CACHED, cached_flags=16, initial_rcv_wnd=30000, ttl=9, tos=0x10, user_priority=3)
    done = f.bench.with_image(Opcode.UPDATE, image.to_bytes(), gen=1)
    assert commands(done) == [(Opcode.UPDATE, Status.OK)]
    (frame,) = map(parse_frame, f.bench.take_sent())
    assert frame.tcp is not None
    assert frame.ip is not None
    assert frame.vlan is not None
    assert (frame.tcp.window, frame.ip.ttl, frame.ip.tos, frame.vlan.priority) == (30000, 9, 0x10, 3)
    assert f.bench.device.core.dcbs[0].dcb.consumed_thr == 7500
    f.agree()


@pytest.mark.rule("hostport 6", "hostport 7")
@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"ka_timeout": 1 << 30}, Status.BAD_IMAGE),
        ({"ka_interval": 0xFFFF_FFFF, "initial_rcv_wnd": 0x3FFF_C001}, Status.BAD_IMAGE),
        ({"cached_flags": 0x20}, Status.BAD_IMAGE),
        ({"ttl": 0}, Status.BAD_IMAGE),
        ({"user_priority": 8}, Status.BAD_IMAGE),
        ({"flow_label": 1 << 20}, Status.BAD_IMAGE),
        ({"initial_rcv_wnd": 0x3FFF_C001}, Status.RCV_WINDOW),
        ({"initial_rcv_wnd": 0x3FFF_C001, "ttl": 0}, Status.BAD_IMAGE),
        ({"initial_rcv_wnd": 65536}, Status.RCV_WINDOW),
        ({"cached_flags": 0x1F, "flow_label": 0xFFFFF, "user_priority": 7, "initial_rcv_wnd": 65535}, Status.OK),
        ({"ka_timeout": (1 << 30) - 1, "ka_interval": (1 << 30) - 1, "ka_probe_count": 255}, Status.OK),
    ],
)
def test_an_impossible_cached_image_changes_nothing(changes: dict[str, int], status: Status) -> None:
    f = Followed()
    f.bench.connect()
    before = f.bench.device.core.tcbs[0]
    done = f.bench.with_image(Opcode.UPDATE, replace(CACHED, **changes).to_bytes(), gen=1)
    assert commands(done) == [(Opcode.UPDATE, status)]
    assert (f.bench.device.core.tcbs[0] == before) == (status != Status.OK)
    f.agree()


@pytest.mark.rule("hostport 6")
def test_a_cached_image_that_cannot_be_read_is_an_error_of_the_command() -> None:
    f = Followed()
    f.bench.connect()
    f.inject(ErrorWindow(IMAGES, 64, writes=False))
    assert commands(f.bench.with_image(Opcode.UPDATE, CACHED.to_bytes(), gen=1)) == [(Opcode.UPDATE, Status.READ_ERROR)]
    assert f.bench.device.mmio_read(Csr.CNT_CMD_ERRORS) == 1


@pytest.mark.rule("B-2", "CH-075")
def test_an_updated_path_and_neighbor_are_in_the_next_frame() -> None:
    f = Followed()
    f.bench.connect()
    f.bench.device.mem.write(IMAGES, replace(PATH, path_mtu=640).to_bytes())
    done = f.bench.do(Sqe(opcode=Opcode.PATH_WRITE, flags=UPDATE, addr=IMAGES))
    f.bench.device.mem.write(IMAGES, replace(NEIGHBOR, dl_dst=0x0605_0403_0202, vlan_id=9).to_bytes())
    done += f.bench.do(Sqe(opcode=Opcode.NEIGHBOR_WRITE, conn=1, flags=UPDATE, addr=IMAGES))
    assert commands(done) == [(Opcode.PATH_WRITE, Status.OK), (Opcode.NEIGHBOR_WRITE, Status.OK)]
    f.bench.send(b"x" * 1000)
    f.bench.run()
    first, second = map(parse_frame, f.bench.take_sent())
    assert (len(first.payload), len(second.payload)) == (600, 400)
    assert first.ethernet is not None
    assert first.vlan is not None
    assert (first.ethernet.destination, first.vlan.vlan_id) == (0x0202_0304_0506, 9)
    f.agree()


@pytest.mark.rule("B-2", "hostport 8")
def test_an_update_of_a_path_that_was_never_written_leaves_no_path_behind() -> None:
    f = Followed()
    f.bench.device.mem.write(IMAGES, PATH.to_bytes())
    done = f.bench.do(Sqe(opcode=Opcode.PATH_WRITE, conn=5, flags=UPDATE, addr=IMAGES))
    f.bench.device.mem.write(IMAGES, NEIGHBOR.to_bytes())
    done += f.bench.do(Sqe(opcode=Opcode.NEIGHBOR_WRITE, conn=5, flags=UPDATE, addr=IMAGES))
    assert [status for _, status in commands(done)] == [Status.BAD_STATE, Status.BAD_STATE]
    assert f.bench.device.mmio_read(Csr.CNT_CMD_ERRORS) == 0
    lonely = PathImage(family=4, neighbor_id=5, path_mtu=1500, src_addr=PATH.src_addr, dst_addr=PATH.dst_addr)
    f.bench.with_image(Opcode.PATH_WRITE, lonely.to_bytes(), conn=6)
    for path_id in (5, 6):
        whole = TcpImage.from_bytes(bytes(256))
        whole = replace(whole, family=4, state=4, ttl=1, remote_mss=536, cwnd=1000, path_id=path_id)
        done = f.bench.with_image(Opcode.INITIATE, whole.to_bytes(), gen=1)
        assert commands(done) == [(Opcode.INITIATE, Status.BAD_IMAGE)]
    assert f.bench.device.mmio_read(Csr.CNT_CMD_ERRORS) == 2
    f.agree()


# ---- QUERY


@pytest.mark.rule("QUERY", "CH-062")
@pytest.mark.parametrize("seed", range(4))
def test_a_query_writes_the_whole_image_while_the_connection_runs(seed: int) -> None:
    f = Followed(seed)
    given = f.bench.connect()
    f.bench.send(b"x" * 2500)
    f.bench.run()
    f.bench.arrive(f.bench.segment(ack=2000, data=b"y" * 30))
    f.bench.tick(3)
    done = f.bench.do(Sqe(opcode=Opcode.QUERY, gen=1, addr=QUERIED))
    assert commands(done) == [(Opcode.QUERY, Status.OK)]
    found = TcpImage.from_bytes(f.bench.device.mem.read(QUERIED, 256))
    assert (found.snd_una, found.snd_nxt, found.snd_max, found.rcv_nxt) == (2000, 3500, 3500, 5030)
    assert (found.receive_backlog_size, found.send_backlog_size) == (30, 8192)
    for name in ("family", "local_port", "remote_port", "remote_mss", "path_id", "initial_rcv_wnd", "ttl", "state"):
        assert getattr(found, name) == getattr(given, name), name
    f.bench.arrive(f.bench.segment(ack=3500, seq=5030))
    f.agree()


@pytest.mark.rule("QUERY")
def test_address_zero_is_an_address_for_a_query_and_none_for_a_terminate() -> None:
    f = Followed()
    f.bench.connect()
    f.bench.do(Sqe(opcode=Opcode.TERMINATE, gen=1))
    assert f.bench.device.mem.read(0, 256) == bytes(256)
    f.bench.connect(gen=2)
    f.bench.do(Sqe(opcode=Opcode.QUERY, gen=2, addr=0))
    assert TcpImage.from_bytes(f.bench.device.mem.read(0, 256)).local_port == 40000
    f.agree()


@pytest.mark.rule("QUERY")
def test_a_query_waits_for_no_request_of_its_connection() -> None:
    f = Followed()
    f.bench.connect()
    f.bench.send(b"x" * 2500)
    f.bench.do(Sqe(opcode=Opcode.RECEIVE, gen=1, flags=1, addr=DATA, length=10))
    done = f.bench.do(Sqe(opcode=Opcode.QUERY, gen=1, addr=QUERIED))
    assert [c.kind for c in done] == [CqKind.COMMAND]
    f.agree()


@pytest.mark.rule("QUERY", "M7")
def test_an_image_that_cannot_be_written_is_an_error_of_the_query_alone() -> None:
    f = Followed()
    f.bench.connect()
    f.inject(ErrorWindow(QUERIED & ~63, 64, reads=False))
    done = f.bench.do(Sqe(opcode=Opcode.QUERY, gen=1, addr=QUERIED))
    assert commands(done) == [(Opcode.QUERY, Status.WRITE_ERROR)]
    assert f.bench.device.core.tcbs[0].phase == Phase.RUNNING


@pytest.mark.rule("QUERY", "CH-226")
def test_a_query_of_a_neighbor_gives_its_ages_in_the_entry() -> None:
    f = Followed()
    f.bench.tick(40)
    (entry,) = f.bench.do(Sqe(opcode=Opcode.QUERY, conn=1, gen=9, flags=Object.NEIGHBOR, addr=QUERIED))
    assert (entry.status, entry.conn, entry.gen, entry.nbytes, entry.info) == (Status.OK, 1, 9, 40, 40)
    assert f.bench.device.mem.read(QUERIED, 256) == bytes(256)
    f.agree()


# ---- INVALIDATE


@pytest.mark.rule("INVALIDATE", "CH-092", "CH-093")
@pytest.mark.parametrize("what", Object)
@pytest.mark.parametrize("seed", range(3))
def test_behind_the_completion_of_an_invalidate_nothing_leaves_and_the_host_is_asked_to_upload(
    what: Object, seed: int
) -> None:
    f = Followed(seed)
    f.bench.connect()
    number = 1 if what == Object.NEIGHBOR else 0
    f.bench.send(b"a" * 5000)
    f.bench.device.mem.write(IMAGES, bytes(8))
    f.bench.post(Sqe(opcode=Opcode.INVALIDATE, conn=number, gen=1, flags=what))
    done = f.bench.run()
    assert commands(done) == [(Opcode.INVALIDATE, Status.OK)]
    f.bench.take_sent()
    f.bench.send(b"b" * 100, at=DATA + 0x2000)
    done += f.bench.run()
    assert f.bench.take_sent() == []
    events = [(c.code, c.info) for c in done if c.kind == CqKind.EVENT]
    assert events == [(TcpEventType.RETRIEVE, UploadReason.INVALID_STATE)]
    done = f.bench.do(Sqe(opcode=Opcode.DISCONNECT, gen=1, flags=2))
    assert [(c.kind, c.status) for c in done] == [(CqKind.SEND, Status.UPLOAD)]
    done = f.bench.do(Sqe(opcode=Opcode.TERMINATE, gen=1))
    assert [c.status for c in done if c.kind == CqKind.SEND] == [Status.UPLOAD, Status.UPLOAD]
    assert commands(done) == [(Opcode.TERMINATE, Status.OK)]
    assert f.bench.take_sent() == []
    assert f.bench.device.problems() == []
    f.agree()


@pytest.mark.rule("INVALIDATE")
def test_another_path_is_not_touched_and_writing_the_path_again_makes_it_valid() -> None:
    f = Followed()
    f.bench.with_image(Opcode.PATH_WRITE, replace(PATH, dst_addr=PATH.dst_addr + (1 << 24)).to_bytes(), conn=2)
    f.bench.do(Sqe(opcode=Opcode.INVALIDATE, conn=2, flags=Object.PATH))
    f.bench.connect(0)
    f.bench.send(b"here")
    f.bench.run()
    assert [parse_frame(x).payload for x in f.bench.take_sent()] == [b"here"]
    f.bench.do(Sqe(opcode=Opcode.INVALIDATE, conn=0, flags=Object.PATH))
    f.bench.with_image(Opcode.PATH_WRITE, PATH.to_bytes())
    f.bench.send(b"again", at=DATA + 64)
    f.bench.run()
    assert [parse_frame(x).payload for x in f.bench.take_sent()] == [b"again"]
    f.agree()


# ---- age of a neighbor, send backlog


@pytest.mark.rule("E-10", "NEIGHBOR_ANSWER", "CH-228", "CH-229")
@pytest.mark.parametrize("seed", range(3))
def test_a_stale_neighbor_is_asked_for_once_until_the_host_answers(seed: int) -> None:
    f = Followed(seed)
    f.bench.with_image(Opcode.NEIGHBOR_WRITE, STALE.to_bytes(), conn=1)
    f.bench.connect()
    f.bench.send(b"x" * 3000)
    done = f.bench.run()
    (event,) = done
    assert (event.kind, event.code, event.conn, event.gen) == (CqKind.EVENT, TcpEventType.NEIGHBOR_QUERY, 1, 0)
    assert (event.info, event.nbytes, event.cookie, event.sq_index) == (30_001, 30_005, 0, 0)
    assert len(f.bench.take_sent()) == 3
    assert f.bench.do(Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=1, arg=5)) == []
    (entry,) = f.bench.do(Sqe(opcode=Opcode.QUERY, conn=1, flags=Object.NEIGHBOR))
    assert (entry.nbytes, entry.info) == (5, 30_001)
    f.bench.arrive(f.bench.segment(ack=4000))
    (entry,) = f.bench.do(Sqe(opcode=Opcode.QUERY, conn=1, flags=Object.NEIGHBOR))
    assert (entry.nbytes, entry.info) == (5, 0)
    (entry,) = f.bench.do(Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=1, arg=5))
    assert (entry.kind, entry.status) == (CqKind.COMMAND, Status.BAD_STATE)
    f.agree()


@pytest.mark.rule("E-11", "CH-213")
def test_a_growing_congestion_window_is_told_as_a_backlog() -> None:
    f = Followed()
    f.bench.connect(cwnd=16000, ssthresh=1 << 20)
    f.bench.send(b"x" * 5000)
    f.bench.run()
    f.bench.tick(100)
    (event,) = f.bench.arrive(f.bench.segment(ack=2000))
    assert (event.kind, event.code, event.conn, event.gen) == (CqKind.EVENT, TcpEventType.SEND_BACKLOG_CHANGE, 0, 1)
    assert event.info == 16384
    f.agree()


# ---- lies that the follower must see


def scene() -> Followed:
    """One of each new command, with an invalidated path at the end."""
    f = Followed(2)
    f.bench.with_image(Opcode.NEIGHBOR_WRITE, STALE.to_bytes(), conn=1)
    f.bench.connect()
    image = replace(CACHED, cached_flags=16, initial_rcv_wnd=30000, flow_label=5)
    f.bench.with_image(Opcode.UPDATE, image.to_bytes(), gen=1)
    f.bench.do(Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=1, arg=5))
    f.bench.do(Sqe(opcode=Opcode.QUERY, gen=1, addr=QUERIED))
    f.bench.do(Sqe(opcode=Opcode.QUERY, conn=1, flags=Object.NEIGHBOR))
    f.bench.post(Sqe(opcode=Opcode.INVALIDATE, conn=0, flags=Object.PATH))
    f.bench.send(b"never")
    f.bench.run()
    return f


def of_command(opcode: Opcode) -> Callable[[int], bool]:
    """A record of tcp_engine for this command."""
    return lambda v: field_of(RecTcp, v, "kind") == TcpEvt.COMMAND and field_of(RecTcp, v, "opcode") == opcode


def of_message(kind: DlvEvt) -> Callable[[int], bool]:
    """A record of delivery_engine for this message."""
    return lambda v: field_of(RecDlv, v, "kind") == kind


def asking(value: int) -> bool:
    """A record of a segment that asked for the neighbor."""
    return bool(field_of(RecTcp, value, "cpl_valid")) and field_of(RecTcp, value, "kind") == TcpEvt.TX_GRANT


def bit_of(struct: type[PackedStruct], *names: str) -> int:
    """Lowest bit of a field; further names go into nested structs."""
    inner: dict[str, type[PackedStruct]] = {
        "tcb": Tcb,
        "dcb": Dcb,
        "tx0": Txq,
        "body": TxBarrier,
        "cpl": Cqe,
        "cqe": Cqe,
    }
    bit, here = 0, struct
    for name in names:
        bit += here.FIELDS[name][0]
        here = inner.get(name, here)
    return bit


@pytest.mark.rule("architecture 3, check 1")
@pytest.mark.parametrize(
    ("tag", "path", "when"),
    [
        ("T", ("img_valid",), of_command(Opcode.QUERY)),
        ("T", ("tcb", "init_rcv_wnd"), of_command(Opcode.UPDATE)),
        ("T", ("tcb", "backlog_told"), of_command(Opcode.QUERY)),
        ("T", ("tcb", "backlog_tick"), of_command(Opcode.UPDATE)),
        ("T", ("tx0_valid",), of_command(Opcode.UPDATE)),
        ("T", ("dlv_valid",), of_command(Opcode.UPDATE)),
        ("T", ("cpl", "status"), of_command(Opcode.UPDATE)),
        ("T", ("tx0", "kind"), of_command(Opcode.INVALIDATE)),
        ("T", ("tx0", "conn"), of_command(Opcode.INVALIDATE)),
        ("T", ("tx0", "body", "cookie"), of_command(Opcode.INVALIDATE)),
        ("T", ("tx0", "body", "opcode"), of_command(Opcode.INVALIDATE)),
        ("T", ("tx0", "body", "object"), of_command(Opcode.INVALIDATE)),
        ("T", ("cpl_valid",), of_command(Opcode.INVALIDATE)),
        ("T", ("tcb",), of_command(Opcode.NEIGHBOR_ANSWER)),
        ("T", ("cpl", "info"), asking),
        ("T", ("cpl", "nbytes"), asking),
        ("T", ("cpl", "conn"), asking),
        ("T", ("cpl_valid",), asking),
        ("D", ("dcb", "consumed_thr"), of_message(DlvEvt.UPDATE)),
    ],
)
def test_a_wrong_bit_of_a_new_command_is_named(tag: str, path: tuple[str, ...], when: Callable[[int], bool]) -> None:
    f = scene()
    out = list(f.journal.entries)
    struct: type[PackedStruct] = RecTcp if tag == "T" else RecDlv
    bit = bit_of(struct, *path)
    at = next(i for i, e in enumerate(out) if e.tag == tag and when(e.values[0]))
    out[at] = replace(out[at], values=(out[at].values[0] ^ 1 << bit,))
    found = follow(out).divergence
    assert found is not None
    assert found.check == 1
    assert found.field.startswith(path[0])


@pytest.mark.rule("architecture 3, check 4")
def test_a_wrong_byte_of_a_queried_image_is_found() -> None:
    f = scene()
    out = list(f.journal.entries)
    at = next(i for i, e in enumerate(out) if e.tag == "W" and e.values[0] == WrClient.STATE)
    values = list(out[at].values)
    values[3] ^= 1 << 8 * ((values[2] & -values[2]).bit_length() - 1)
    out[at] = replace(out[at], values=tuple(values))
    found = follow(out).divergence
    assert found is not None
    assert found.check == 4


@pytest.mark.rule("architecture 3, check 5", "INVALIDATE")
def test_a_frame_that_leaves_behind_the_completion_of_an_invalidate_is_found() -> None:
    f = Followed(3)
    f.bench.connect()
    f.bench.send(b"x" * 900)
    f.bench.run()
    f.bench.do(Sqe(opcode=Opcode.INVALIDATE, conn=0, gen=1))
    assert follow(f.journal.entries).divergence is None
    out = list(f.journal.entries)
    done = next(i for i, e in enumerate(out) if e.tag == "C" and _invalidated(e.values[0]))
    moved = [i for i in range(done) if out[i].tag in ("X", "O")]
    late = [out[i] for i in moved]
    kept = [e for i, e in enumerate(out) if i not in moved]
    cut = kept.index(out[done]) + 1
    found = follow([*kept[:cut], *late, *kept[cut:]]).divergence
    assert found is not None
    assert (found.check, found.field) == (5, "kind")


def _invalidated(value: int) -> bool:
    cqe = Cqe.unpack(field_of(RecCq, value, "cqe"))
    return cqe.code == Opcode.INVALIDATE and field_of(RecCq, value, "source") == CqSource.INVALIDATE


@pytest.mark.rule("architecture 3, check 6", "INVALIDATE")
@pytest.mark.parametrize("tag", ["C", "W"])
def test_an_answer_or_image_that_never_comes_is_found(tag: str) -> None:
    f = scene()
    out = list(f.journal.entries)
    client = (lambda e: e.values[0] == WrClient.STATE) if tag == "W" else (lambda e: _invalidated(e.values[0]))
    at = max(i for i, e in enumerate(out) if e.tag == tag and client(e))
    del out[at]
    found = follow(out).divergence
    assert found is not None


@pytest.mark.rule("architecture 3, check 1")
def test_the_follower_says_whether_a_command_is_of_a_connection_or_of_an_object_of_the_same_number() -> None:
    """QUERY and INVALIDATE have an answer for both, and their records look alike where a connection is free."""
    f = scene()
    f.bench.do(Sqe(opcode=Opcode.QUERY, conn=2, gen=9))
    f.bench.do(Sqe(opcode=Opcode.QUERY, conn=2, flags=Object.NEIGHBOR))
    follower, said = Follower(bytes(MEMORY), config=CONFIG), []
    for entry in f.journal.entries:
        follower.feed(entry)
        if entry.tag == "T" and field_of(RecTcp, entry.values[0], "kind") == TcpEvt.COMMAND:
            said.append((field_of(RecTcp, entry.values[0], "opcode"), follower.of_connection))
    assert follower.divergence is None
    assert [of for opcode, of in said if opcode == Opcode.QUERY] == [True, False, True, False]
    assert [of for opcode, of in said if opcode == Opcode.INVALIDATE] == [False]
    assert {of for opcode, of in said if opcode in (Opcode.PATH_WRITE, Opcode.NEIGHBOR_WRITE)} == {False}
    assert {of for opcode, of in said if opcode in (Opcode.START, Opcode.SEND)} == {True}
