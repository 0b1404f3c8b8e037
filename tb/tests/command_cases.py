"""FORWARD, UPDATE, QUERY, INVALIDATE and NEIGHBOR_ANSWER as a host port and a wire show them, as cases for the lab.

What they refuse are rows of docs/errors.md like those of error_cases.py; what they do is asserted beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from model.device.memory import ErrorWindow
from model.layout.generated import (
    CACHED_IMAGE_BYTES,
    RCV_WND_MAX,
    TCP_IMAGE_BYTES,
    CachedImage,
    CqKind,
    Csr,
    Object,
    Opcode,
    Sqe,
    Status,
    TcpEventType,
    TcpImage,
    UploadReason,
)
from model.ndis.images import DEFAULT_PARAMETERS
from model.wire.frame import ParsedFrame, parse_frame
from tb.tests.error_cases import answer_to, fault_told, indicated, receive_into
from tb.tests.lab import (
    FIRST_CONN,
    IMAGE,
    LAST_CONN,
    LOCAL_PORT,
    NEIGHBOR,
    NEIGHBOR_ID,
    PATH,
    PATH_ID,
    REMOTE_PORT,
    Case,
    Lab,
    Link,
    tagged,
)

COMMAND, SEND, FORWARD = CqKind.COMMAND, CqKind.SEND, CqKind.FORWARD
_ABORTIVE, _UPDATE = 2, 1
_FIN, _RST, _ACK, _URG = 1, 4, 0x10, 0x20
_UPDATE_RCV_WND = 16
#: A path and a neighbor that nobody writes.
_NOBODY = 5
_LONG = 1 << 30
CACHED = CachedImage(initial_rcv_wnd=IMAGE.initial_rcv_wnd, ttl=IMAGE.ttl)

#: row, impossible fields of an UPDATE image, status.
CACHED_IMAGES: tuple[tuple[str, dict[str, int], Status], ...] = (
    ("I-101", {"ka_timeout": 0xFFFF_FFFF, "cached_flags": 1}, Status.BAD_IMAGE),
    ("I-102", {"ka_interval": _LONG}, Status.BAD_IMAGE),
    ("I-103", {"cached_flags": 0x20}, Status.BAD_IMAGE),
    ("I-104", {"cached_flags": 0x8000}, Status.BAD_IMAGE),
    ("I-105", {"ttl": 0}, Status.BAD_IMAGE),
    ("I-106", {"user_priority": 8}, Status.BAD_IMAGE),
    ("I-107", {"flow_label": 0x10_0000}, Status.BAD_IMAGE),
    ("I-108", {"flow_label": _LONG, "initial_rcv_wnd": RCV_WND_MAX + 1}, Status.BAD_IMAGE),
    ("I-109", {"initial_rcv_wnd": RCV_WND_MAX + 1}, Status.RCV_WINDOW),
)


def update_of(lab: Lab, link: Link, **changes: int) -> Sqe:
    """UPDATE of a connection with a cached image of its own."""
    return lab.with_image(Opcode.UPDATE, replace(CACHED, **changes).to_bytes(), link.conn, link.gen)


def frames_for(lab: Lab, link: Link, since: int) -> list[ParsedFrame]:
    """Frames of the connection that left behind the first ``since`` of all."""
    parsed = [parse_frame(frame) for frame in lab.sent[since:]]
    return [p for p in parsed if p.tcp is not None and p.tcp.source_port == LOCAL_PORT + link.conn]


def left(lab: Lab, link: Link, since: int, count: int = 1) -> Callable[[], bool]:
    """Whether so many frames of the connection left behind the first ``since`` of all."""
    return lambda: len(frames_for(lab, link, since)) >= count


# ---- FORWARD


def forwarded_segments(lab: Lab) -> Case:
    """Segments that the host hands down go on where those from the wire ended, and the other way round."""
    link = yield from lab.open(LAST_CONN)
    buffer = lab.page()
    first = lab.post(receive_into(link, buffer + 1, 10, nopush=True))
    yield from lab.silent(first)
    lab.deliver(link, b"0123456789")
    yield from lab.answer(first)
    second = lab.post(receive_into(link, buffer + 100, 25, nopush=True))
    entry = yield from lab.do(lab.forward(link, b"abcdefghij"))
    assert (entry.kind, entry.status, entry.code, entry.nbytes) == (FORWARD, Status.OK, Opcode.FORWARD, 0), entry
    assert (entry.conn, entry.gen) == (link.conn, link.gen)
    link.rcv += 10
    lab.deliver(link, b"ABCDEFGHIJKLMNOPQRST")
    entry = yield from lab.answer(second)
    assert (entry.status, entry.nbytes) == (Status.OK, 25)
    assert lab.memory.read(buffer + 1, 10) == b"0123456789"
    assert lab.memory.read(buffer + 100, 25) == b"abcdefghijABCDEFGHIJKLMNO"
    yield from indicated(lab, link, b"PQRST")
    # the largest one, into the pool and from there into a request; again, and nothing comes of it
    data = bytes(i * 7 & 255 for i in range(1460))
    whole = lab.forward(link, data, at=lab.page(2) + 4096 - 700)
    assert (yield from lab.good(whole)).kind == FORWARD
    shown = yield from lab.told(link.conn)
    assert (shown.kind, shown.nbytes) == (CqKind.INDICATION, len(data))
    yield from lab.silent(lab.post(answer_to(link, shown.info, 0)))
    entry = yield from lab.do(receive_into(link, buffer + 0x200, len(data)))
    assert (entry.status, entry.nbytes) == (Status.OK, len(data))
    assert lab.memory.read(buffer + 0x200, len(data)) == data
    yield from lab.good(whole)
    link.rcv += len(data)
    lab.quiet(link.conn)
    # an acknowledgment
    since = len(lab.sent)
    cookie = lab.send(link, bytes(300))
    yield lambda: any(p.payload_length == 300 for p in frames_for(lab, link, since))
    link.snd += 300
    yield from lab.good(lab.forward(link, flags=_ACK))
    entry = yield from lab.answer(cookie)
    assert (entry.status, entry.nbytes) == (Status.OK, 300)
    # text with the end of the stream
    yield from lab.good(lab.forward(link, b"last", _ACK | _FIN))
    link.rcv += 5
    yield from indicated(lab, link, b"last")
    event = yield from lab.told(link.conn)
    assert (event.kind, event.code) == (CqKind.EVENT, TcpEventType.DISCONNECT)
    yield from lab.close(link)


def refused_forwards(lab: Lab) -> Case:
    """What is no TCP header, and connections that take no segments."""
    yield from lab.prepare()
    loaded = Link(FIRST_CONN, lab.new_gen())
    yield from lab.expect("H-39", lab.forward(loaded), FORWARD, Status.BAD_STATE)
    image = replace(IMAGE, local_port=LOCAL_PORT + loaded.conn)
    yield from lab.good(lab.with_image(Opcode.INITIATE, image.to_bytes(), loaded.conn, loaded.gen))
    yield from lab.expect("H-110", lab.forward(loaded), FORWARD, Status.BAD_STATE)
    yield from lab.expect("H-39g", lab.forward(replace(loaded, gen=loaded.gen ^ 1)), FORWARD, Status.BAD_STATE)
    yield from lab.good(Sqe(opcode=Opcode.START, conn=loaded.conn, gen=loaded.gen))
    (before,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    for row, offset, length in ("I-111", 4, 40), ("I-112", 6, 23), ("I-113", 15, 59):
        sqe = lab.forward(loaded, bytes(40))
        lab.memory.write(sqe.addr + 12, bytes([offset << 4]))
        yield from lab.expect(row, replace(sqe, length=length), FORWARD, Status.BAD_IMAGE)
    page = lab.page()
    lab.fail(ErrorWindow(page + 64, 64, writes=False))
    sqe = lab.forward(loaded, bytes(200), at=page + 60)
    yield from lab.expect("M-07", sqe, FORWARD, Status.READ_ERROR)
    lab.fail()
    (after,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    assert after - before == 4
    lab.deliver(loaded, b"waits")
    shown = yield from lab.told(loaded.conn)
    end = lab.post(Sqe(opcode=Opcode.TERMINATE, conn=loaded.conn, gen=loaded.gen))
    yield from lab.expect("H-111", lab.forward(loaded, b"late"), FORWARD, Status.UPLOAD)
    yield from lab.silent(lab.post(answer_to(loaded, shown.info, 5)))
    assert (yield from lab.answer(end)).status == Status.OK
    yield from lab.post_pool([shown.buf])
    link = yield from lab.open(LAST_CONN)
    yield from lab.expect("H-112", lab.forward(link, b"x", _ACK | _URG), FORWARD, Status.UPLOAD)
    event = yield from lab.told(link.conn)
    assert (event.code, event.info) == (TcpEventType.RETRIEVE, UploadReason.RECEIVED_URGENT_DATA)
    yield from lab.close(link)
    link = yield from lab.open(LAST_CONN)
    yield from lab.good(lab.forward(link, flags=_ACK | _RST))
    event = yield from lab.told(link.conn)
    assert event.code == TcpEventType.ABORT
    yield from lab.expect("H-113", lab.forward(link, b"x"), FORWARD, Status.ABORTED)
    yield from lab.close(link)


def forward_read_error(lab: Lab) -> Case:
    """A forwarded payload that cannot be read: its command ends aborted, its connection has a fault."""
    for nopush in (True, False):
        link = yield from lab.open(LAST_CONN)
        (before,) = yield from lab.counters(Csr.CNT_FAULTS)
        page, buffer = lab.page(), lab.page()
        lab.memory.write(buffer, bytes(150))
        lab.fail(ErrorWindow(page + 128, 64, writes=False))
        received = lab.post(receive_into(link, buffer, 150, nopush=True)) if nopush else None
        cookie = lab.post(lab.forward(link, bytes([0xA5]) * 150, at=page + 8))
        entry = yield from lab.answer(cookie)
        assert (entry.kind, entry.status, entry.nbytes) == (FORWARD, Status.ABORTED, 0), entry
        if received is not None:
            assert (yield from lab.answer(received)).status == Status.ABORTED
            assert lab.memory.read(buffer, 150) == bytes(150), "a byte was written of what could not be read"
            yield from fault_told(lab, link)
        else:
            yield from _fault_and_indication(lab, link)
        (after,) = yield from lab.counters(Csr.CNT_FAULTS)
        assert after - before == 1
        lab.fail()
        yield from lab.close(link)
    lab.row("M-17")


def _fault_and_indication(lab: Lab, link: Link) -> Case:
    """The fault is told; the piece that was never written may have been indicated before, and is given back unread."""
    event = yield from lab.told(link.conn)
    if event.kind == CqKind.INDICATION:
        yield from lab.silent(lab.post(answer_to(link, event.info, 0)))
        event = yield from lab.told(link.conn)
    assert (event.code, event.info) == (TcpEventType.RETRIEVE, UploadReason.HARDWARE_FAILURE)


# ---- UPDATE


def updated_connection(lab: Lab) -> Case:
    """Cached state is replaced as a whole: header fields, receive window; nothing of it when it is refused."""
    yield from lab.prepare()
    absent = Link(LAST_CONN, lab.new_gen())
    yield from lab.expect("H-40", update_of(lab, absent), COMMAND, Status.BAD_STATE)
    link = yield from lab.open(LAST_CONN)
    wrong = replace(link, gen=link.gen ^ 1)
    yield from lab.expect("H-40g", update_of(lab, wrong), COMMAND, Status.BAD_STATE)
    (before,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    for row, changes, status in CACHED_IMAGES:
        yield from lab.expect(row, update_of(lab, link, tos=0xFC, **changes), COMMAND, status)
    sqe = update_of(lab, link, tos=0xFC)
    lab.fail(ErrorWindow(sqe.addr, CACHED_IMAGE_BYTES, writes=False))
    yield from lab.expect("M-06", sqe, COMMAND, Status.READ_ERROR)
    lab.fail()
    (after,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    assert after - before == len(CACHED_IMAGES) + 1
    large = update_of(lab, link, tos=0xFC, initial_rcv_wnd=65_536)
    yield from lab.expect("H-115", large, COMMAND, Status.RCV_WINDOW)
    since = len(lab.sent)
    cookie = lab.send(link, b"as before")
    yield left(lab, link, since)
    frame = frames_for(lab, link, since)[0]
    assert frame.ip is not None
    assert (frame.ip.tos, frame.ip.ttl, frame.vlan) == (0, IMAGE.ttl, None)
    link.snd += 9
    lab.arrive(lab.frame(link))
    assert (yield from lab.answer(cookie)).status == Status.OK
    since = len(lab.sent)
    yield from lab.good(
        update_of(lab, link, cached_flags=_UPDATE_RCV_WND, initial_rcv_wnd=50_000, tos=0xB8, ttl=7, user_priority=5)
    )
    yield left(lab, link, since)
    frame = frames_for(lab, link, since)[0]
    assert frame.tcp is not None
    assert frame.ip is not None
    assert frame.vlan is not None
    assert (frame.tcp.window, frame.payload_length) == (50_000, 0), "the larger window is told at once"
    assert (frame.ip.tos, frame.ip.ttl, frame.vlan.priority) == (0xB8, 7, 5)
    lab.deliver(link, b"waits")
    shown = yield from lab.told(link.conn)
    end = lab.post(Sqe(opcode=Opcode.TERMINATE, conn=link.conn, gen=link.gen))
    yield from lab.expect("H-114", update_of(lab, link), COMMAND, Status.BAD_STATE)
    yield from lab.silent(lab.post(answer_to(link, shown.info, 5)))
    assert (yield from lab.answer(end)).status == Status.OK
    yield from lab.post_pool([shown.buf])


def updated_path_and_neighbor(lab: Lab) -> Case:
    """Path and neighbor of a running connection change under it; what was never written is not updated."""
    link = yield from lab.open(LAST_CONN)
    path = lab.with_image(Opcode.PATH_WRITE, PATH.to_bytes(), _NOBODY)
    neighbor = lab.with_image(Opcode.NEIGHBOR_WRITE, NEIGHBOR.to_bytes(), _NOBODY)
    yield from lab.expect("H-101", replace(path, flags=_UPDATE), COMMAND, Status.BAD_STATE)
    yield from lab.expect("H-102", replace(neighbor, flags=_UPDATE), COMMAND, Status.BAD_STATE)
    (before,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    over = replace(IMAGE, path_id=_NOBODY, local_port=LOCAL_PORT + FIRST_CONN).to_bytes()
    initiate = lab.with_image(Opcode.INITIATE, over, FIRST_CONN, lab.new_gen())
    yield from lab.expect(None, initiate, COMMAND, Status.BAD_IMAGE)
    (after,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    assert after - before == 1, "the refused UPDATE left a path behind"
    sqe = lab.with_image(Opcode.PATH_WRITE, replace(PATH, path_mtu=640).to_bytes(), PATH_ID)
    yield from lab.good(replace(sqe, flags=_UPDATE))
    sqe = lab.with_image(Opcode.NEIGHBOR_WRITE, replace(NEIGHBOR, vlan_id=9).to_bytes(), NEIGHBOR_ID)
    yield from lab.good(replace(sqe, flags=_UPDATE))
    since = len(lab.sent)
    cookie = lab.send(link, bytes(1000))
    yield left(lab, link, since, 2)
    frames = frames_for(lab, link, since)[:2]
    assert [f.payload_length for f in frames] == [600, 400]
    assert [f.vlan.vlan_id for f in frames if f.vlan is not None] == [9, 9]
    link.snd += 1000
    lab.arrive(tagged(lab.frame(link), 9))
    assert (yield from lab.answer(cookie)).status == Status.OK
    yield from lab.close(link)
    yield from write_again(lab)


def write_again(lab: Lab) -> Case:
    """Path and neighbor of the lab are as new."""
    yield from lab.good(lab.with_image(Opcode.NEIGHBOR_WRITE, NEIGHBOR.to_bytes(), NEIGHBOR_ID))
    yield from lab.good(lab.with_image(Opcode.PATH_WRITE, PATH.to_bytes(), PATH_ID))


# ---- QUERY


def queried_state(lab: Lab) -> Case:
    """The whole state of a running connection, at an odd address; errors leave it running."""
    yield from lab.prepare()
    absent = Sqe(opcode=Opcode.QUERY, conn=LAST_CONN, gen=lab.new_gen(), addr=lab.page())
    yield from lab.expect("H-48", absent, COMMAND, Status.BAD_STATE)
    link = yield from lab.open(LAST_CONN)
    query = Sqe(opcode=Opcode.QUERY, conn=link.conn, gen=link.gen, addr=lab.page() + 60)
    yield from lab.expect("H-48g", replace(query, gen=link.gen ^ 1), COMMAND, Status.BAD_STATE)
    lab.deliver(link, bytes(100))
    shown = yield from lab.told(link.conn)
    since = len(lab.sent)
    cookie = lab.send(link, bytes(700))
    yield lambda: any(p.payload_length == 700 for p in frames_for(lab, link, since))
    entry = yield from lab.good(query)
    assert (entry.kind, entry.code, entry.nbytes, entry.info) == (COMMAND, Opcode.QUERY, 0, 0)
    found = TcpImage.from_bytes(lab.memory.read(query.addr, TCP_IMAGE_BYTES))
    assert (found.snd_una, found.snd_nxt, found.snd_max) == (link.snd, link.snd + 700, link.snd + 700)
    assert (found.rcv_nxt, found.receive_backlog_size, found.send_backlog_size) == (link.rcv, 100, 8192)
    assert (found.local_port, found.remote_port) == (LOCAL_PORT + link.conn, REMOTE_PORT)
    for name in ("family", "state", "remote_mss", "path_id", "initial_rcv_wnd", "ttl", "snd_wnd", "cwnd"):
        assert getattr(found, name) == getattr(IMAGE, name), name
    assert 0 < found.rtx_timeout_delta <= DEFAULT_PARAMETERS.rto_initial
    assert not lab.answered(cookie)
    lab.fail(ErrorWindow((query.addr & ~63) + 256, 64, reads=False))
    yield from lab.expect("M-18", query, COMMAND, Status.WRITE_ERROR)
    lab.fail()
    link.snd += 700
    lab.arrive(lab.frame(link))
    assert (yield from lab.answer(cookie)).status == Status.OK
    yield from lab.silent(lab.post(answer_to(link, shown.info, 100)))
    yield from lab.post_pool([shown.buf])
    nobody = Sqe(opcode=Opcode.QUERY, conn=_NOBODY, flags=Object.NEIGHBOR)
    yield from lab.expect("H-103", nobody, COMMAND, Status.BAD_STATE)
    yield from lab.close(link)


# ---- INVALIDATE


def invalidated_objects(lab: Lab) -> Case:
    """Behind its completion nothing leaves; the host is asked to upload when something should."""
    yield from lab.prepare()
    for row, flags in ("H-104", Object.PATH), ("H-105", Object.NEIGHBOR):
        nobody = Sqe(opcode=Opcode.INVALIDATE, conn=_NOBODY, flags=flags)
        yield from lab.expect(row, nobody, COMMAND, Status.BAD_STATE)
    absent = Sqe(opcode=Opcode.INVALIDATE, conn=LAST_CONN, gen=lab.new_gen())
    yield from lab.expect("H-49", absent, COMMAND, Status.BAD_STATE)
    for what, number in (Object.CONNECTION, LAST_CONN), (Object.PATH, PATH_ID), (Object.NEIGHBOR, NEIGHBOR_ID):
        link = yield from lab.open(LAST_CONN)
        sqe = Sqe(opcode=Opcode.INVALIDATE, conn=number, gen=link.gen, flags=what)
        if what == Object.CONNECTION:
            yield from lab.expect("H-49g", replace(sqe, gen=link.gen ^ 1), COMMAND, Status.BAD_STATE)
        early = lab.send(link, bytes(2000))
        entry = yield from lab.good(sqe)
        assert (entry.kind, entry.code, entry.conn, entry.gen) == (COMMAND, Opcode.INVALIDATE, number, link.gen)
        yield from lab.silent()
        count = len(frames_for(lab, link, 0))
        late = lab.send(link, bytes(10))
        event = yield from lab.told(link.conn)
        assert (event.code, event.info) == (TcpEventType.RETRIEVE, UploadReason.INVALID_STATE), event
        abort = Sqe(opcode=Opcode.DISCONNECT, conn=link.conn, gen=link.gen, flags=_ABORTIVE)
        name = {Object.CONNECTION: "H-116", Object.PATH: "H-116p", Object.NEIGHBOR: "H-116n"}[what]
        yield from lab.expect(name, abort, SEND, Status.UPLOAD)
        yield from lab.close(link)
        for cookie in (early, late):
            assert (yield from lab.answer(cookie)).status == Status.UPLOAD
        assert len(frames_for(lab, link, 0)) == count, "a frame left over an object that was invalidated"
    yield from write_again(lab)


# ---- age of a neighbor, send backlog


def stale_neighbor(lab: Lab) -> Case:
    """A neighbor nobody heard of is asked for once; host's and device's word both make it young again."""
    yield from lab.prepare()
    old = DEFAULT_PARAMETERS.nce_stale_ticks + 10_000
    aged = replace(NEIGHBOR, host_reachability_delta=old + 4, nic_reachability_delta=old)
    answer = Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=NEIGHBOR_ID, arg=5)
    yield from lab.expect("H-106", replace(answer, conn=_NOBODY), COMMAND, Status.BAD_STATE)
    yield from lab.good(lab.with_image(Opcode.NEIGHBOR_WRITE, aged.to_bytes(), NEIGHBOR_ID))
    yield from lab.expect("H-107", answer, COMMAND, Status.BAD_STATE)
    link = yield from lab.open(LAST_CONN)
    assert not lab.asked
    cookie = lab.send(link, bytes(3000))
    yield lambda: bool(lab.asked)
    event = lab.asked.pop()
    assert (event.gen, event.cookie, event.sq_index, event.buf) == (0, 0, 0, 0)
    assert event.info >= old
    assert event.nbytes - event.info == 4
    yield from lab.silent(lab.post(answer))
    query = Sqe(opcode=Opcode.QUERY, conn=NEIGHBOR_ID, flags=Object.NEIGHBOR)
    entry = yield from lab.good(query)
    assert 5 <= entry.nbytes < old <= entry.info, entry
    yield lambda: sum(p.payload_length for p in frames_for(lab, link, 0)) >= 3000
    link.snd += 3000
    lab.arrive(lab.frame(link))
    assert (yield from lab.answer(cookie)).status == Status.OK
    entry = yield from lab.good(query)
    assert entry.info < old, "an acknowledgment of new data did not confirm the neighbor"
    assert not lab.asked, "asked twice"
    yield from lab.expect("H-108", answer, COMMAND, Status.BAD_STATE)
    yield from lab.close(link)
    yield from write_again(lab)


def told_backlog(lab: Lab) -> Case:
    """A congestion window that has doubled is told, a hundred ticks after the last time at the earliest."""
    link = yield from lab.open(LAST_CONN, cwnd=16_000, ssthresh=1 << 20)
    lab.backlogs.clear()
    since = len(lab.sent)
    cookie = lab.send(link, bytes(3000))
    yield lambda: sum(p.payload_length for p in frames_for(lab, link, since)) >= 3000
    yield from lab.ticks(100)
    link.snd += 1000
    lab.arrive(lab.frame(link))
    yield lambda: bool(lab.backlogs)
    (event,) = lab.backlogs
    assert (event.conn, event.gen, event.info, event.nbytes) == (link.conn, link.gen, 16_384, 0), event
    link.snd += 2000
    lab.arrive(lab.frame(link))
    assert (yield from lab.answer(cookie)).status == Status.OK
    yield from lab.close(link)


#: In an order that spreads the long ones.
COMMAND_CASES: tuple[Callable[[Lab], Case], ...] = (
    forwarded_segments,
    updated_connection,
    invalidated_objects,
    refused_forwards,
    queried_state,
    stale_neighbor,
    updated_path_and_neighbor,
    forward_read_error,
    told_backlog,
)
