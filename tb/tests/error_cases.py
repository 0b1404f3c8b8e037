"""The rows of docs/errors.md that a host port and a wire can show, as cases for the lab."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial

from model.device.memory import ErrorWindow
from model.layout.generated import (
    CWND_MAX,
    DELEGATED_IMAGE_BYTES,
    POOL_BUF_BYTES,
    RCV_WND_MAX,
    SEND_LEN_MAX,
    CqKind,
    Csr,
    NeighborImage,
    Opcode,
    ParamImage,
    PathImage,
    Sqe,
    Status,
    TcpEventType,
    TcpImage,
    UploadReason,
)
from model.ndis.images import DEFAULT_PARAMETERS
from tb.tests.lab import (
    FIRST_CONN,
    IMAGE,
    LAB_MAC,
    LAST_CONN,
    LOCAL_PORT,
    NEIGHBOR,
    NEIGHBOR_ID,
    PATH,
    PATH_ID,
    Case,
    Lab,
    Link,
)

COMMAND, SEND, RECEIVE, RAW_TX = CqKind.COMMAND, CqKind.SEND, CqKind.RECEIVE, CqKind.RAW_TX
FORWARD = CqKind.FORWARD
_ABSENT = 60_000
_CONN = FIRST_CONN
_ABORTIVE, _RST = 2, 4

#: row, entry, kind and status of its completion: entries that command_decode refuses for what they say.
REFUSED: tuple[tuple[str, Sqe, CqKind, Status], ...] = (
    ("H-01", Sqe(opcode=21), COMMAND, Status.BAD_OPCODE),
    ("H-02", Sqe(opcode=255, conn=_ABSENT, gen=3), COMMAND, Status.BAD_OPCODE),
    ("H-03", Sqe(opcode=Opcode.FORWARD, conn=_ABSENT), FORWARD, Status.BAD_CONN),
    ("H-04", Sqe(opcode=Opcode.UPDATE, conn=_ABSENT), COMMAND, Status.BAD_CONN),
    ("H-05", Sqe(opcode=Opcode.QUERY, conn=_ABSENT), COMMAND, Status.BAD_CONN),
    ("H-06", Sqe(opcode=Opcode.INVALIDATE, conn=_ABSENT), COMMAND, Status.BAD_CONN),
    ("H-07", Sqe(opcode=Opcode.DISCONNECT, conn=_CONN, flags=2, length=1, count=1), SEND, Status.BAD_LENGTH),
    ("H-07i", Sqe(opcode=Opcode.DISCONNECT, conn=_CONN, flags=5, length=1, count=1), SEND, Status.BAD_LENGTH),
    ("H-08i", Sqe(opcode=Opcode.DISCONNECT, conn=_CONN, flags=6), SEND, Status.NOT_SUPPORTED),
    ("H-09i", Sqe(opcode=Opcode.DISCONNECT, conn=_CONN, flags=4), SEND, Status.NOT_SUPPORTED),
    ("H-08", Sqe(opcode=Opcode.DISCONNECT, conn=_CONN, flags=3), SEND, Status.NOT_SUPPORTED),
    ("H-09", Sqe(opcode=Opcode.DISCONNECT, conn=_CONN, flags=0), SEND, Status.NOT_SUPPORTED),
    ("H-10", Sqe(opcode=Opcode.INITIATE, conn=_ABSENT), COMMAND, Status.BAD_CONN),
    ("H-11", Sqe(opcode=Opcode.START, conn=_ABSENT), COMMAND, Status.BAD_CONN),
    ("H-12", Sqe(opcode=Opcode.SEND, conn=_ABSENT, length=1, count=1, flags=1), SEND, Status.BAD_CONN),
    ("H-13", Sqe(opcode=Opcode.RECEIVE, conn=_ABSENT, length=1), RECEIVE, Status.BAD_CONN),
    ("H-14", Sqe(opcode=Opcode.ANSWER, conn=_ABSENT), COMMAND, Status.BAD_CONN),
    ("H-15", Sqe(opcode=Opcode.DISCONNECT, conn=_ABSENT, flags=1), SEND, Status.BAD_CONN),
    ("H-16", Sqe(opcode=Opcode.TERMINATE, conn=_ABSENT), COMMAND, Status.BAD_CONN),
    ("H-17", Sqe(opcode=Opcode.RESUME, conn=_ABSENT), COMMAND, Status.BAD_CONN),
    ("H-18", Sqe(opcode=Opcode.PATH_WRITE, conn=8), COMMAND, Status.BAD_CONN),
    ("H-19", Sqe(opcode=Opcode.NEIGHBOR_WRITE, conn=8), COMMAND, Status.BAD_CONN),
    ("H-20", Sqe(opcode=Opcode.SEND, conn=_CONN, length=0, count=1, flags=1), SEND, Status.BAD_LENGTH),
    ("H-21", Sqe(opcode=Opcode.SEND, conn=_CONN, length=SEND_LEN_MAX + 1, count=1), SEND, Status.BAD_LENGTH),
    ("H-22", Sqe(opcode=Opcode.SEND, conn=_CONN, length=0xFFFF_FFFF, count=1, flags=1), SEND, Status.BAD_LENGTH),
    ("H-23", Sqe(opcode=Opcode.SEND, conn=_CONN, length=1, count=0, flags=1), SEND, Status.BAD_LENGTH),
    ("H-24", Sqe(opcode=Opcode.SEND, conn=_CONN, length=1, count=17), SEND, Status.BAD_LENGTH),
    ("H-25", Sqe(opcode=Opcode.DISCONNECT, conn=_CONN, flags=1, length=1), SEND, Status.BAD_LENGTH),
    ("H-26", Sqe(opcode=Opcode.DISCONNECT, conn=_CONN, flags=1, count=1), SEND, Status.BAD_LENGTH),
    ("H-27", Sqe(opcode=Opcode.DISCONNECT, conn=_CONN, flags=1, count=17, length=1), SEND, Status.BAD_LENGTH),
    ("H-28", Sqe(opcode=Opcode.RECEIVE, conn=_CONN, length=SEND_LEN_MAX + 1), RECEIVE, Status.BAD_LENGTH),
    ("H-29", Sqe(opcode=Opcode.RAW_SEND, length=0), RAW_TX, Status.BAD_LENGTH),
    ("H-30", Sqe(opcode=Opcode.RAW_SEND, length=13), RAW_TX, Status.BAD_LENGTH),
    ("H-31", Sqe(opcode=Opcode.RAW_SEND, length=1523), RAW_TX, Status.BAD_LENGTH),
    ("H-32", Sqe(opcode=Opcode.RAW_POST, count=0), COMMAND, Status.BAD_LENGTH),
    ("H-33", Sqe(opcode=Opcode.RAW_POST, count=17), COMMAND, Status.BAD_LENGTH),
    ("H-34", Sqe(opcode=Opcode.POOL_POST, count=0), COMMAND, Status.BAD_LENGTH),
    ("H-90", Sqe(opcode=Opcode.FORWARD, conn=_CONN, length=19), FORWARD, Status.BAD_LENGTH),
    ("H-91", Sqe(opcode=Opcode.FORWARD, conn=_CONN, length=1481), FORWARD, Status.BAD_LENGTH),
    ("H-92", Sqe(opcode=Opcode.QUERY, conn=1, flags=1), COMMAND, Status.NOT_SUPPORTED),
    ("H-93", Sqe(opcode=Opcode.QUERY, conn=_ABSENT, flags=3), COMMAND, Status.NOT_SUPPORTED),
    ("H-94", Sqe(opcode=Opcode.INVALIDATE, conn=_CONN, flags=3), COMMAND, Status.NOT_SUPPORTED),
    ("H-95", Sqe(opcode=Opcode.QUERY, conn=8, flags=2), COMMAND, Status.BAD_CONN),
    ("H-96", Sqe(opcode=Opcode.INVALIDATE, conn=8, flags=1), COMMAND, Status.BAD_CONN),
    ("H-97", Sqe(opcode=Opcode.INVALIDATE, conn=8, flags=2), COMMAND, Status.BAD_CONN),
    ("H-98", Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=8), COMMAND, Status.BAD_CONN),
    ("H-117", Sqe(opcode=Opcode.UPLOAD, conn=_ABSENT), COMMAND, Status.BAD_CONN),
    ("H-35", Sqe(opcode=Opcode.POOL_POST, count=0xFFFF), COMMAND, Status.BAD_LENGTH),
)

#: row, command, buffer indices: none of the entry's buffers is taken.
BAD_INDEX: tuple[tuple[str, Opcode, tuple[int, ...]], ...] = (
    ("H-36", Opcode.RAW_POST, (64,)),
    ("H-37", Opcode.POOL_POST, (0, 1024)),
    ("H-38", Opcode.POOL_POST, (*range(15), 0xFFFF)),
)

#: row, entry, kind: commands for a connection that is loaded with another generation, or not at all.
UNKNOWN: tuple[tuple[str, Sqe, CqKind], ...] = (
    ("H-41", Sqe(opcode=Opcode.START), COMMAND),
    ("H-42", Sqe(opcode=Opcode.SEND, flags=1, length=1, count=1), SEND),
    ("H-43", Sqe(opcode=Opcode.DISCONNECT, flags=1), SEND),
    ("H-44", Sqe(opcode=Opcode.RECEIVE, length=1), RECEIVE),
    ("H-45", Sqe(opcode=Opcode.ANSWER), COMMAND),
    ("H-46", Sqe(opcode=Opcode.RESUME), COMMAND),
    ("H-47", Sqe(opcode=Opcode.TERMINATE), COMMAND),
)

_BIG = RCV_WND_MAX + 1
_SCALING = 4  # flag in const_flags
_FIELD_MAX = 65_535
_LONG = 1 << 30
#: A path that names a neighbor nobody writes.
_LONELY_ID = 6
#: Flag of a PATH_WRITE of a path in use.
_UPDATE = 1
#: Windows scaled by 3 bits on one side, by 14 on the other.
_OURS_3 = {"const_flags": _SCALING, "rcv_wind_scale": 3, "snd_wind_scale": 14}
_THEIRS_3 = {"const_flags": _SCALING, "rcv_wind_scale": 14, "snd_wind_scale": 3}
#: row, impossible fields of an INITIATE image, status.
IMAGES: tuple[tuple[str, dict[str, int], Status], ...] = (
    ("I-01", {"family": 5}, Status.NOT_SUPPORTED),
    ("I-93", {"family": 6}, Status.BAD_IMAGE),
    ("I-02", {"family": 0}, Status.NOT_SUPPORTED),
    ("I-03", {"state": 3}, Status.NOT_SUPPORTED),
    ("I-04", {"state": 10}, Status.NOT_SUPPORTED),
    ("I-05", {"state": 0x104}, Status.NOT_SUPPORTED),
    ("I-06", {"snd_wind_scale": 15}, Status.BAD_IMAGE),
    ("I-07", {"rcv_wind_scale": 255}, Status.BAD_IMAGE),
    ("I-08", {"remote_mss": 63}, Status.BAD_IMAGE),
    ("I-09", {"remote_mss": 0}, Status.BAD_IMAGE),
    ("I-10", {"path_id": 8}, Status.BAD_IMAGE),
    ("I-11", {"path_id": 0xFFFF}, Status.BAD_IMAGE),
    ("I-12", {"path_id": 5}, Status.BAD_IMAGE),
    ("I-13", {"snd_nxt": 999}, Status.BAD_IMAGE),
    ("I-14", {"snd_nxt": 1001, "snd_max": 1000}, Status.BAD_IMAGE),
    ("I-15", {"snd_una": 1000 + (1 << 31)}, Status.BAD_IMAGE),
    ("I-16", {"rcv_wnd": _BIG}, Status.BAD_IMAGE),
    ("I-17", {"snd_wnd": _BIG}, Status.BAD_IMAGE),
    ("I-18", {"max_snd_wnd": _BIG}, Status.BAD_IMAGE),
    ("I-19", {"initial_rcv_wnd": _BIG}, Status.RCV_WINDOW),
    ("I-20", {"cwnd": 0}, Status.BAD_IMAGE),
    ("I-21", {"cwnd": CWND_MAX + 1}, Status.BAD_IMAGE),
    ("I-22", {"initial_rcv_wnd": _BIG, "cwnd": 0}, Status.RCV_WINDOW),
    ("I-23", {"initial_rcv_wnd": _BIG, "rcv_wnd": _BIG}, Status.BAD_IMAGE),
    ("I-51", {"ka_timeout": _LONG, "cached_flags": 1}, Status.BAD_IMAGE),
    ("I-52", {"ka_interval": 0xFFFF_FFFF}, Status.BAD_IMAGE),
    ("I-53", {"const_flags": 0x20}, Status.BAD_IMAGE),
    ("I-54", {"const_flags": 0x8000}, Status.BAD_IMAGE),
    ("I-55", {"cached_flags": 0x20}, Status.BAD_IMAGE),
    ("I-56", {"cached_flags": 0x8000}, Status.BAD_IMAGE),
    ("I-57", {"ttl": 0}, Status.BAD_IMAGE),
    ("I-58", {"user_priority": 8}, Status.BAD_IMAGE),
    ("I-59", {"flow_label": 0x10_0000}, Status.BAD_IMAGE),
    ("I-60", {"flow_label": _LONG}, Status.BAD_IMAGE),
    ("I-61", {"rtx_timeout_delta": _LONG}, Status.BAD_IMAGE),
    ("I-62", {"rtx_timeout_delta": 0xFFFF_FFFE}, Status.BAD_IMAGE),
    ("I-63", {"rcv_wnd": _FIELD_MAX + 1}, Status.BAD_IMAGE),
    ("I-64", {"snd_wnd": _FIELD_MAX + 1}, Status.BAD_IMAGE),
    ("I-65", {"max_snd_wnd": _FIELD_MAX + 1}, Status.BAD_IMAGE),
    ("I-66", {"initial_rcv_wnd": _FIELD_MAX + 1}, Status.RCV_WINDOW),
    ("I-67", {"rcv_wnd": _FIELD_MAX + 1, "rcv_wind_scale": 14}, Status.BAD_IMAGE),
    ("I-68", {"rcv_wnd": 524_281, **_OURS_3}, Status.BAD_IMAGE),
    ("I-69", {"snd_wnd": 524_281, **_THEIRS_3}, Status.BAD_IMAGE),
    ("I-70", {"max_snd_wnd": 524_281, **_THEIRS_3}, Status.BAD_IMAGE),
    ("I-71", {"initial_rcv_wnd": 524_281, **_OURS_3}, Status.RCV_WINDOW),
    ("I-72", {"snd_wnd": _BIG, **_OURS_3}, Status.BAD_IMAGE),
    ("I-73", {"initial_rcv_wnd": _BIG, **_THEIRS_3}, Status.RCV_WINDOW),
    ("I-74", {"state": 0, "ttl": 0}, Status.NOT_SUPPORTED),
    ("I-75", {"initial_rcv_wnd": _BIG, "ttl": 0}, Status.BAD_IMAGE),
    ("I-76", {"ka_timeout_delta": _LONG}, Status.BAD_IMAGE),
    ("I-77", {"ka_timeout_delta": 0xFFFF_FFFE}, Status.BAD_IMAGE),
)

#: The largest values that are possible, all at once.
LARGEST: dict[str, int] = {
    "const_flags": 0x1F,
    "cached_flags": 0x1F,
    "ka_probe_count": 255,
    "ka_timeout": _LONG - 1,
    "ka_interval": _LONG - 1,
    "ka_timeout_delta": _LONG - 1,
    "ttl": 255,
    "user_priority": 7,
    "flow_label": 0xF_FFFF,
    "rtx_timeout_delta": _LONG - 1,
    "rcv_wind_scale": 3,
    "snd_wind_scale": 14,
    "rcv_wnd": _FIELD_MAX << 3,
    "initial_rcv_wnd": _FIELD_MAX << 3,
    "snd_wnd": _FIELD_MAX << 14,
    "max_snd_wnd": _FIELD_MAX << 14,
    "cwnd": CWND_MAX,
}

#: row, impossible PATH_WRITE image, status.
PATHS: tuple[tuple[str, PathImage, Status], ...] = (
    ("I-31", replace(PATH, family=5), Status.NOT_SUPPORTED),
    ("I-94", replace(PATH, family=6, path_mtu=1279), Status.BAD_IMAGE),
    ("I-95", replace(PATH, family=6, path_mtu=1501), Status.PATH_MTU),
    ("I-32", replace(PATH, path_mtu=575), Status.BAD_IMAGE),
    ("I-33", replace(PATH, path_mtu=0), Status.BAD_IMAGE),
    ("I-34", replace(PATH, path_mtu=1501), Status.PATH_MTU),
    ("I-35", replace(PATH, neighbor_id=8), Status.BAD_IMAGE),
)

#: row, impossible PARAM_WRITE image (always BAD_IMAGE).
PARAMETERS: tuple[tuple[str, ParamImage], ...] = (
    ("I-41", replace(DEFAULT_PARAMETERS, ticks_per_second=0)),
    ("I-42", replace(DEFAULT_PARAMETERS, ticks_per_second=999)),
    ("I-43", replace(DEFAULT_PARAMETERS, ack_frequency=0)),
    ("I-44", replace(DEFAULT_PARAMETERS, dup_ack_threshold=0)),
    ("I-45", replace(DEFAULT_PARAMETERS, dup_ack_threshold=256)),
    ("I-46", replace(DEFAULT_PARAMETERS, rto_min=0)),
    ("I-47", replace(DEFAULT_PARAMETERS, rto_min=60_001)),
    ("I-48", replace(DEFAULT_PARAMETERS, rto_initial=0)),
    ("I-49", replace(DEFAULT_PARAMETERS, rto_initial=60_001)),
    ("I-81", replace(DEFAULT_PARAMETERS, rto_max=_LONG)),
    ("I-82", replace(DEFAULT_PARAMETERS, push_ticks=_LONG)),
    ("I-83", replace(DEFAULT_PARAMETERS, push_ticks=0xFFFF_FFFF)),
    ("I-84", replace(DEFAULT_PARAMETERS, nce_stale_ticks=_LONG)),
)

#: row, impossible NEIGHBOR_WRITE image (always BAD_IMAGE); another destination shows if it is taken all the same.
NEIGHBORS: tuple[tuple[str, NeighborImage], ...] = (
    ("I-91", replace(NEIGHBOR, dl_dst=2, vlan_id=4096)),
    ("I-92", replace(NEIGHBOR, dl_dst=2, vlan_id=0xFFFF)),
)


# ---- entries of the submission ring ------------------------------------------------------------------


def refused_entries(lab: Lab) -> Case:
    """Checks 1 to 4 of command_decode; each is counted once and changes nothing."""
    (before,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    for row, sqe, kind, status in REFUSED:
        yield from lab.expect(row, sqe, kind, status)
    for row, opcode, indices in BAD_INDEX:
        yield from lab.expect(row, Sqe(opcode=opcode, count=len(indices)), COMMAND, Status.BAD_INDEX, indices=indices)
    (after,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    assert after - before == len(REFUSED) + len(BAD_INDEX), f"{after - before} refusals counted"


def unknown_connections(lab: Lab) -> Case:
    """A number that is not loaded, then one that is loaded with another generation."""
    yield from lab.prepare()
    for row, sqe, kind in UNKNOWN:
        yield from lab.expect(row, replace(sqe, conn=LAST_CONN, gen=77), kind, Status.BAD_STATE)
    link = yield from lab.open()
    for row, sqe, kind in UNKNOWN:
        wrong = replace(sqe, conn=link.conn, gen=(link.gen + 1) & 0xFF)
        yield from lab.expect(f"{row}g", wrong, kind, Status.BAD_STATE)
    yield from lab.close(link)


def numbers_in_use(lab: Lab) -> Case:
    """A number in use, a key in use, START twice."""
    link = yield from lab.open()
    again = lab.with_image(Opcode.INITIATE, IMAGE.to_bytes(), link.conn, lab.new_gen())
    yield from lab.expect("H-51", again, COMMAND, Status.BAD_STATE)
    same = replace(IMAGE, local_port=LOCAL_PORT + link.conn)
    twin = lab.with_image(Opcode.INITIATE, same.to_bytes(), LAST_CONN, lab.new_gen())
    yield from lab.expect("H-52", twin, COMMAND, Status.DUPLICATE_KEY)
    yield from lab.expect("H-53", Sqe(opcode=Opcode.START, conn=link.conn, gen=link.gen), COMMAND, Status.BAD_STATE)
    # the table was not touched: data still arrives on the first connection, and the other number is free
    lab.deliver(link, b"still here")
    shown = yield from lab.told(link.conn)
    assert (shown.kind, shown.nbytes) == (CqKind.INDICATION, 10)
    yield from lab.silent(lab.post(answer_to(link, shown.info, 10)))
    yield from lab.post_pool([shown.buf])
    other = yield from lab.open(LAST_CONN)
    yield from lab.close(other)
    yield from lab.close(link)


def full_tables(lab: Lab) -> Case:
    """Seventeen sends where sixteen fit, seventeen receives where sixteen fit."""
    link = yield from lab.open(snd_wnd=0)
    sends = [lab.send(link, b"x") for _ in range(16)]
    late = Sqe(opcode=Opcode.SEND, conn=link.conn, gen=link.gen, flags=1, count=1, addr=lab.page(), length=1)
    yield from lab.expect("H-54", late, SEND, Status.NO_RESOURCES)
    fin = Sqe(opcode=Opcode.DISCONNECT, conn=link.conn, gen=link.gen, flags=1)
    yield from lab.expect("H-55", fin, SEND, Status.NO_RESOURCES)
    buffers = lab.page()
    receives = [lab.post(receive_into(link, buffers + 64 * i, 64)) for i in range(16)]
    yield from lab.expect("H-56", receive_into(link, buffers, 64), RECEIVE, Status.NO_RESOURCES)
    yield from lab.close(link)
    for cookie in sends + receives:
        entry = yield from lab.answer(cookie)
        assert (entry.status, entry.nbytes) == (Status.UPLOAD, 0)


def wrong_answers(lab: Lab) -> Case:
    """Answers with a wrong token or too long, to an indication that stays valid all the while."""
    link = yield from lab.open()
    yield from lab.expect("H-60", answer_to(link, 1, 0), COMMAND, Status.BAD_TOKEN)
    lab.deliver(link, b"0123456789")
    shown = yield from lab.told(link.conn)
    yield from lab.expect("H-61", answer_to(link, (shown.info + 1) & 0xFFFF, 10), COMMAND, Status.BAD_TOKEN)
    yield from lab.expect("H-62", answer_to(link, shown.info, 11), COMMAND, Status.BAD_LENGTH)
    yield from lab.silent(lab.post(answer_to(link, shown.info, 10)))
    yield from lab.expect("H-63", answer_to(link, shown.info, 10), COMMAND, Status.BAD_TOKEN)
    assert lab.memory.read(lab.pool_address(shown.buf) + shown.offset, 10) == b"0123456789"
    yield from lab.post_pool([shown.buf])
    yield from lab.close(link)


def wrong_phases(lab: Lab) -> Case:
    """Commands that come too late: behind a DISCONNECT, behind the peer's FIN, in an upload."""
    link = yield from lab.open()
    fin = lab.post(Sqe(opcode=Opcode.DISCONNECT, conn=link.conn, gen=link.gen, flags=1))
    late = Sqe(opcode=Opcode.SEND, conn=link.conn, gen=link.gen, flags=1, count=1, addr=lab.page(), length=1)
    yield from lab.expect("H-70", late, SEND, Status.BAD_STATE)
    again = Sqe(opcode=Opcode.DISCONNECT, conn=link.conn, gen=link.gen, flags=1)
    yield from lab.expect("H-71", again, SEND, Status.BAD_STATE)
    yield lambda: any(f[47] & 1 for f in lab.sent)
    link.snd += 1
    lab.deliver(link, b"", 0x11)
    entry = yield from lab.answer(fin)
    assert (entry.status, entry.nbytes) == (Status.OK, 0)
    event = yield from lab.told(link.conn)
    told = {(event.kind, event.code)}
    event = yield from lab.told(link.conn)
    told.add((event.kind, event.code))
    assert told == {(CqKind.EVENT, TcpEventType.DISCONNECT), (CqKind.EVENT, TcpEventType.RETRIEVE)}
    yield from lab.expect("H-72", receive_into(link, lab.page(), 64), RECEIVE, Status.INVALID_STATE)
    yield from lab.close(link)

    link = yield from lab.open(LAST_CONN)
    lab.deliver(link, b"waits")
    shown = yield from lab.told(link.conn)
    block = lab.page(4)
    end = lab.post(
        Sqe(opcode=Opcode.TERMINATE, conn=link.conn, gen=link.gen, addr=block, addr2=block + DELEGATED_IMAGE_BYTES)
    )
    # the outstanding indication keeps the upload open
    yield from lab.expect("H-73", replace(late, conn=link.conn, gen=link.gen), SEND, Status.UPLOAD)
    yield from lab.expect("H-74", receive_into(link, lab.page(), 64), RECEIVE, Status.UPLOAD)
    abort = Sqe(opcode=Opcode.DISCONNECT, conn=link.conn, gen=link.gen, flags=_ABORTIVE)
    yield from lab.expect("H-77", abort, SEND, Status.UPLOAD)
    yield from lab.expect("H-75", Sqe(opcode=Opcode.TERMINATE, conn=link.conn, gen=link.gen), COMMAND, Status.BAD_STATE)
    yield from lab.silent(lab.post(answer_to(link, shown.info, 5)))
    entry = yield from lab.answer(end)
    assert entry.status == Status.OK
    yield from lab.post_pool([shown.buf])


def _outstanding(lab: Lab, link: Link) -> Generator[Callable[[], bool], None, tuple[list[int], list[int]]]:
    """Two sends, the first acknowledged in part, two receives, the first filled in part; cookies of both pairs."""
    sends: list[int] = []
    for length in (200, 100):
        sent = len(lab.sent)
        sends.append(lab.send(link, bytes(range(length))))
        yield partial(_more_sent, lab, sent)
    receives = [lab.post(receive_into(link, lab.page(), 64, nopush=True)), lab.post(receive_into(link, lab.page(), 32))]
    yield from lab.silent(receives[-1])
    link.snd += 150
    lab.deliver(link, b"partly")
    yield from passed(lab)
    return sends, receives


def _more_sent(lab: Lab, count: int) -> bool:
    return len(lab.sent) > count


def _all_aborted(lab: Lab, sends: list[int], receives: list[int]) -> Case:
    """The requests of ``_outstanding`` came back."""
    for cookies, counts in ((sends, (150, 0)), (receives, (6, 0))):
        for cookie, nbytes in zip(cookies, counts, strict=True):
            entry = yield from lab.answer(cookie)
            assert (entry.status, entry.nbytes) == (Status.ABORTED, nbytes), entry


def _over(lab: Lab, link: Link, row: str) -> Case:
    """Nothing is taken by an aborted connection, and it is uploaded without data."""
    late = Sqe(opcode=Opcode.SEND, conn=link.conn, gen=link.gen, flags=1, length=1, count=1, addr=lab.page())
    yield from lab.expect(f"{row}s", late, SEND, Status.ABORTED)
    yield from lab.expect(f"{row}r", receive_into(link, lab.page(), 8), RECEIVE, Status.ABORTED)
    for letter, flags in (("d", _ABORTIVE), ("g", 1)):
        again = Sqe(opcode=Opcode.DISCONNECT, conn=link.conn, gen=link.gen, flags=flags)
        yield from lab.expect(row + letter, again, SEND, Status.ABORTED)
    yield from lab.close(link)


def abortive_disconnect(lab: Lab) -> Case:
    """One RST in sequence; the sends end ABORTED, in order, then the disconnect OK; receives and pool end too."""
    yield from lab.prepare()
    loaded = Link(LAST_CONN, lab.new_gen())
    image = replace(IMAGE, local_port=LOCAL_PORT + LAST_CONN)
    yield from lab.good(lab.with_image(Opcode.INITIATE, image.to_bytes(), loaded.conn, loaded.gen))
    abort = Sqe(opcode=Opcode.DISCONNECT, conn=LAST_CONN, gen=loaded.gen, flags=_ABORTIVE)
    yield from lab.expect("H-76", abort, SEND, Status.BAD_STATE)
    upload = replace(abort, opcode=Opcode.UPLOAD, flags=0)
    yield from lab.expect("H-118", upload, COMMAND, Status.BAD_STATE)
    yield from lab.close(loaded)

    for pooled in (False, True):
        link = yield from lab.open(LAST_CONN)
        sends, receives = yield from _outstanding(lab, link)
        token = 0
        if pooled:  # an indication without its answer holds up what the delivery engine has to end, nothing else
            lab.deliver(link, bytes(26 + 64 + 32))  # fills both requests, and some more
            shown = yield from lab.told(link.conn)
            token = shown.info
            for cookie in receives:
                assert (yield from lab.answer(cookie)).status == Status.OK
        before = len(lab.sent)
        cookie = lab.post(replace(abort, gen=link.gen))
        entry = yield from lab.answer(cookie)
        assert (entry.kind, entry.code, entry.status, entry.nbytes) == (SEND, Opcode.DISCONNECT, Status.OK, 0)
        for request, nbytes in zip(sends, (150, 0), strict=True):
            assert lab.answered(request), "a send is still open behind the disconnect"
            entry = yield from lab.answer(request)
            assert (entry.status, entry.nbytes) == (Status.ABORTED, nbytes), entry
        if pooled:
            yield from lab.silent(lab.post(answer_to(link, token, 0)))
        else:
            for request, nbytes in zip(receives, (6, 0), strict=True):
                entry = yield from lab.answer(request)
                assert (entry.status, entry.nbytes) == (Status.ABORTED, nbytes), entry
        resets = [f for f in lab.sent[before:] if f[TCP_AT + 13] & _RST]
        assert len(resets) == 1, f"{len(resets)} frames with RST"
        assert int.from_bytes(resets[0][TCP_AT + 4 : TCP_AT + 8], "big") == 1300
        assert int.from_bytes(resets[0][TCP_AT + 8 : TCP_AT + 12], "big") == link.rcv
        lab.quiet(link.conn)
        if pooled:
            yield from lab.close(link)
        else:
            yield from _over(lab, link, "H-78")
    lab.row("H-78")


def reset_from_the_far_end(lab: Lab) -> Case:
    """What is outstanding ends ABORTED, with one event, before any TERMINATE; nothing is sent in answer."""
    link = yield from lab.open(LAST_CONN)
    sends, receives = yield from _outstanding(lab, link)
    before = len(lab.sent)
    lab.arrive(lab.frame(link, flags=0x10 | _RST))
    event = yield from lab.told(link.conn)
    assert (event.kind, event.code) == (CqKind.EVENT, TcpEventType.ABORT), event
    yield from _all_aborted(lab, sends, receives)
    yield from _over(lab, link, "H-79")
    assert not any(f[TCP_AT + 13] & _RST for f in lab.sent[before:])
    lab.row("H-79")


def ring_indices(lab: Lab) -> Case:
    """Doorbells past the ring's size are ignored and recorded; the rings run on."""
    log2 = lab.driver.config.sq_log2, lab.driver.config.cq_log2
    before = yield from lab.counters(Csr.ERROR)
    assert before == (0,)
    lab.driver.write_register(Csr.SQ_TAIL, 1 << log2[0])
    assert (yield from lab.counters(Csr.ERROR)) == (4,)
    lab.row("H-80")
    lab.driver.write_register(Csr.CQ_HEAD, 1 << log2[1])
    assert (yield from lab.counters(Csr.ERROR)) == (12,)
    lab.row("H-81")
    lab.driver.write_register(Csr.SQ_TAIL, 0xFFFF_FFFF)
    lab.driver.write_register(Csr.CQ_HEAD, 0xFFFF_FFFF)
    assert (yield from lab.counters(Csr.ERROR)) == (12,)
    entry = yield from lab.do(Sqe(opcode=Opcode.NOP))
    assert entry.status == Status.OK


# ---- state images ------------------------------------------------------------------------------------


def impossible_images(lab: Lab) -> Case:
    """Each impossible value, alone; then the same number takes a good image, also one with the largest values."""
    yield from lab.prepare()
    (before,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    for row, changes, status in IMAGES:
        image: TcpImage = replace(IMAGE, **changes)
        entry = lab.with_image(Opcode.INITIATE, image.to_bytes(), LAST_CONN, 9)
        yield from lab.expect(row, entry, COMMAND, status)
    for row, path, status in PATHS:
        yield from lab.expect(row, lab.with_image(Opcode.PATH_WRITE, path.to_bytes(), PATH_ID), COMMAND, status)
    other = replace(lab.with_image(Opcode.PATH_WRITE, replace(PATH, family=6).to_bytes(), PATH_ID), flags=_UPDATE)
    yield from lab.expect("I-96", other, COMMAND, Status.BAD_IMAGE)
    for row, parameters in PARAMETERS:
        entry = lab.with_image(Opcode.PARAM_WRITE, parameters.to_bytes())
        yield from lab.expect(row, entry, COMMAND, Status.BAD_IMAGE)
    for row, neighbor in NEIGHBORS:
        entry = lab.with_image(Opcode.NEIGHBOR_WRITE, neighbor.to_bytes(), NEIGHBOR_ID)
        yield from lab.expect(row, entry, COMMAND, Status.BAD_IMAGE)
    lonely = replace(PATH, neighbor_id=_LONELY_ID)
    yield from lab.good(lab.with_image(Opcode.PATH_WRITE, lonely.to_bytes(), _LONELY_ID))
    refused = lab.with_image(Opcode.NEIGHBOR_WRITE, replace(NEIGHBOR, vlan_id=4096).to_bytes(), _LONELY_ID)
    yield from lab.expect(None, refused, COMMAND, Status.BAD_IMAGE)
    entry = lab.with_image(Opcode.INITIATE, replace(IMAGE, path_id=_LONELY_ID).to_bytes(), LAST_CONN, 9)
    yield from lab.expect("I-24", entry, COMMAND, Status.BAD_IMAGE)
    (after,) = yield from lab.counters(Csr.CNT_CMD_ERRORS)
    assert after - before == len(IMAGES) + len(PATHS) + len(PARAMETERS) + len(NEIGHBORS) + 3
    for changes in LARGEST, {}:
        link = yield from lab.open(LAST_CONN, **changes)
        yield from lab.close(link)


# ---- errors of the memory bus ------------------------------------------------------------------------


def image_read_errors(lab: Lab) -> Case:
    """A state image that cannot be read, at its first and at its last bus word."""
    yield from lab.prepare()
    whole = ((Opcode.INITIATE, 256, LAST_CONN), (Opcode.PATH_WRITE, 64, PATH_ID),
             (Opcode.NEIGHBOR_WRITE, 128, NEIGHBOR_ID), (Opcode.PARAM_WRITE, 64, 0))  # fmt: skip
    for number, (opcode, size, conn) in enumerate(whole):
        sqe = lab.with_image(opcode, bytes(size), conn)
        lab.fail(ErrorWindow(sqe.addr, 64, writes=False))
        yield from lab.expect(f"M-0{number + 1}", sqe, COMMAND, Status.READ_ERROR)
        lab.fail(ErrorWindow(sqe.addr + size - 64, 64, writes=False))
        yield from lab.expect(None, sqe, COMMAND, Status.READ_ERROR)
    lab.fail()
    link = yield from lab.open(LAST_CONN)
    yield from lab.close(link)


def raw_send_read_error(lab: Lab) -> Case:
    """A raw frame that cannot be read is not sent."""
    page = lab.page()
    lab.fail(ErrorWindow(page + 64, 64, writes=False))
    sent = len(lab.sent)
    before = yield from lab.counters(Csr.CNT_TX_DISCARDED, Csr.CNT_FAULTS)
    yield from lab.expect("M-05", Sqe(opcode=Opcode.RAW_SEND, addr=page + 3, length=200), RAW_TX, Status.READ_ERROR)
    assert len(lab.sent) == sent
    after = yield from lab.counters(Csr.CNT_TX_DISCARDED, Csr.CNT_FAULTS)
    assert after == (before[0] + 1, before[1])
    lab.fail()


def payload_and_list_read_errors(lab: Lab) -> Case:
    """The frame is discarded, the connection freezes and asks for upload, its requests end aborted."""
    for row, which in (("M-10", "payload"), ("M-11", "list")):
        link = yield from lab.open(LAST_CONN)
        before = yield from lab.counters(Csr.CNT_TX_DISCARDED, Csr.CNT_FAULTS)
        sent = len(lab.sent)
        data, sg = lab.page(), lab.page()
        lab.fail(ErrorWindow(data if which == "payload" else sg, 4096, writes=False))
        received = lab.post(receive_into(link, lab.page(), 100))
        cookie = lab.send(link, bytes(range(250)), list_at=sg, data_at=data)
        yield from fault_told(lab, link)
        after = yield from lab.counters(Csr.CNT_TX_DISCARDED, Csr.CNT_FAULTS)
        assert (after[0] - before[0], after[1] - before[1]) == (1, 1), f"{before} -> {after}"
        assert len(lab.sent) == sent, "the frame was not discarded"
        late = Sqe(opcode=Opcode.SEND, conn=link.conn, gen=link.gen, flags=1, count=1, addr=sg, length=1)
        yield from lab.expect(f"{row}s", late, SEND, Status.ABORTED)
        lab.fail()
        yield from lab.close(link)
        for request in (cookie, received):
            entry = yield from lab.answer(request)
            assert (entry.status, entry.nbytes) == (Status.ABORTED, 0)
        lab.row(row)


def placement_write_error(lab: Lab) -> Case:
    """Data into a posted buffer that cannot be written."""
    link = yield from lab.open(LAST_CONN)
    (before,) = yield from lab.counters(Csr.CNT_FAULTS)
    page = lab.page()
    lab.fail(ErrorWindow(page, 4096, reads=False))
    cookie = lab.post(receive_into(link, page + 5, 300))
    yield from lab.silent(cookie)
    lab.deliver(link, bytes(300))
    entry = yield from lab.answer(cookie)
    assert (entry.status, entry.nbytes) == (Status.ABORTED, 300)
    yield from fault_told(lab, link)
    (after,) = yield from lab.counters(Csr.CNT_FAULTS)
    assert after - before == 1
    lab.fail()
    yield from lab.close(link)
    lab.row("M-12")


def copy_read_error(lab: Lab) -> Case:
    """Pooled data that cannot be read back when a request comes for it."""
    link = yield from lab.open(LAST_CONN)
    (before,) = yield from lab.counters(Csr.CNT_FAULTS)
    lab.deliver(link, bytes(range(200)))
    shown = yield from lab.told(link.conn)
    yield from lab.silent(lab.post(answer_to(link, shown.info, 0)))
    lab.fail(ErrorWindow(lab.pool_address(shown.buf), POOL_BUF_BYTES, writes=False))
    cookie = lab.post(receive_into(link, lab.page() + 1, 200))
    entry = yield from lab.answer(cookie)
    assert (entry.status, entry.nbytes) == (Status.ABORTED, 200)
    yield from fault_told(lab, link)
    (after,) = yield from lab.counters(Csr.CNT_FAULTS)
    assert after - before == 1
    lab.fail()
    yield from lab.close(link)
    lab.row("M-13")


def raw_buffer_write_error(lab: Lab) -> Case:
    """A frame for the host that cannot be written is lost as on the wire; its buffer comes back with the status."""
    seen, raw = "RAW_RX WRITE_ERROR", len(lab.raw)
    refused = lab.driver.counters[seen]
    before = yield from lab.counters(Csr.CNT_RX_RAW, Csr.CNT_FAULTS)
    area, size = lab.raw_ring
    lab.fail(ErrorWindow(area, size, reads=False))
    lab.arrive(b"\xff" * 6 + LAB_MAC + b"\x88\xb5" + bytes(range(100)))
    yield lambda: lab.driver.counters[seen] > refused
    lab.fail()
    assert lab.driver.counters[seen] == refused + 1
    after = yield from lab.counters(Csr.CNT_RX_RAW, Csr.CNT_FAULTS)
    assert after == (before[0] + 1, before[1])
    assert len(lab.raw) == raw
    again = b"\xff" * 6 + LAB_MAC + b"\x88\xb5" + bytes(100)
    lab.arrive(again, raw=True)
    yield _came(lab, raw + 1)
    assert lab.raw.pop() == again
    lab.row("M-16")


def image_write_error(lab: Lab) -> Case:
    """The delegated image cannot be written: TERMINATE says so, and the number is free all the same."""
    link = yield from lab.open(LAST_CONN)
    block = lab.page(4)
    lab.fail(ErrorWindow(block, 64, reads=False))
    lab.memory.write(block + DELEGATED_IMAGE_BYTES, bytes(8))
    yield from lab.close(link, Status.WRITE_ERROR, at=block)
    lab.fail()
    lab.row("M-14")
    link = yield from lab.open(LAST_CONN)
    yield from lab.close(link)


def list_write_error(lab: Lab) -> Case:
    """The array of left-over pool buffers cannot be written: a fault of a connection that is being uploaded."""
    link = yield from lab.open(LAST_CONN)
    (before,) = yield from lab.counters(Csr.CNT_FAULTS)
    block = lab.page(4)
    lab.fail(ErrorWindow(block + 4096, 4096, reads=False))
    lab.memory.write(block + 4096, bytes(8))
    entry = yield from lab.do(
        Sqe(opcode=Opcode.TERMINATE, conn=link.conn, gen=link.gen, addr=block, addr2=block + 4096)
    )
    assert entry.status == Status.OK
    (after,) = yield from lab.counters(Csr.CNT_FAULTS)
    assert after - before == 1
    assert lab.memory.read(block + 4096, 8) == bytes(8)
    yield from lab.silent()
    lab.fail()
    lab.row("M-15")


def fault_told(lab: Lab, link: Link) -> Case:
    """Exactly one event: retrieve, because of a hardware failure."""
    event = yield from lab.told(link.conn)
    assert (event.kind, event.code, event.info) == (
        CqKind.EVENT, TcpEventType.RETRIEVE, UploadReason.HARDWARE_FAILURE,
    ), event  # fmt: skip
    lab.quiet(link.conn)


# ---- frames ------------------------------------------------------------------------------------------

_BAD = (Csr.CNT_RX_BAD_LEN, Csr.CNT_RX_BAD_SUM)
IP_AT, TCP_AT, IPV6_TCP_AT = 14, 34, 54


def _patched(frame: bytes, at: int, data: bytes, *, fix_ip: bool = False, fix_tcp: bool = False) -> bytes:
    """A frame with some bytes changed; the checksums stay as they were unless they are to be made right again."""
    out = bytearray(frame)
    out[at : at + len(data)] = data
    if fix_ip:
        out[24:26] = bytes(2)
        out[24:26] = _sum(bytes(out[14:34]))
    if fix_tcp:
        out[50:52] = bytes(2)
        end = 14 + int.from_bytes(out[16:18], "big")
        pseudo = bytes(out[26:34]) + b"\0\x06" + (end - TCP_AT).to_bytes(2, "big")
        out[50:52] = _sum(pseudo + bytes(out[TCP_AT:end]))
    return bytes(out)


def _sum(data: bytes) -> bytes:
    """RFC 1071."""
    total = sum(int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, "big")


def _dropped(lab: Lab, row: str, frames: list[bytes], *, length: int = 0, checksum: int = 0) -> Case:
    """The frames leave no trace but in these counters."""
    before = yield from lab.counters(*_BAD)
    raw = len(lab.raw)
    for frame in frames:
        lab.arrive(frame)
    yield from passed(lab)
    after = yield from lab.counters(*_BAD)
    got = after[0] - before[0], after[1] - before[1]
    assert got == (length, checksum), f"row {row}: dropped for length, checksum: {got}, not {(length, checksum)}"
    assert len(lab.raw) == raw
    lab.row(row)


def passed(lab: Lab) -> Case:
    """Every frame given so far was looked at: frames stay in order, and one that goes up behind them has come."""
    marker = b"\xff" * 6 + LAB_MAC + b"\x88\xb5" + len(lab.raw).to_bytes(4, "big")
    count = len(lab.raw) + 1
    lab.arrive(marker, raw=True)
    yield _came(lab, count)
    assert lab.raw.pop() == marker


def truncated_frames(lab: Lab) -> Case:
    """A segment cut behind every byte of its headers and of its payload."""
    link = yield from lab.open()
    frame = lab.frame(link, bytes(range(20)))
    cuts = [frame[:n] for n in range(1, len(frame))]
    yield from _dropped(lab, "F-01", cuts, length=len(cuts))
    tagged = frame[:12] + b"\x81\x00\x00\x05" + frame[12:]
    # up to 17 bytes the ethertype behind the tag is not there: such a frame goes to the host like any other protocol
    cuts = [tagged[:n] for n in (*range(1, 14), *range(18, len(tagged)))]
    yield from _dropped(lab, "F-02", cuts, length=len(cuts))
    yield from _still_alive(lab, link)
    yield from lab.close(link)


def wrong_lengths(lab: Lab) -> Case:
    """Lengths inside the headers that do not fit the frame or each other."""
    link = yield from lab.open()
    frame = lab.frame(link, bytes(range(20)))
    total = len(frame) - IP_AT
    bad = [
        _patched(frame, IP_AT + 2, value.to_bytes(2, "big"), fix_ip=True)
        for value in (0, 19, 20, 39, total + 1, 0xFFFF)
    ]
    yield from _dropped(lab, "F-03", bad, length=len(bad))
    offsets = [_patched(frame, TCP_AT + 12, bytes([n << 4])) for n in (0, 4, 11, 15)]
    yield from _dropped(lab, "F-04", offsets, length=len(offsets))
    long = frame.ljust(1523, b"\0")
    yield from _dropped(lab, "F-05", [long, frame.ljust(2000, b"\0")], length=2)
    yield from _still_alive(lab, link)
    padded = lab.frame(link, b"padded").ljust(1522, b"\xa5")
    lab.arrive(padded)
    link.rcv += 6
    yield from indicated(lab, link, b"padded")
    lab.row("F-06")
    yield from lab.close(link)


def wrong_checksums(lab: Lab) -> Case:
    """Every bit position of both checksums, and damage that only they can find."""
    link = yield from lab.open()
    frame = lab.frame(link, bytes(range(21)))
    ip = [_patched(frame, 24 + i // 8, bytes([frame[24 + i // 8] ^ 1 << i % 8])) for i in range(16)]
    ip.append(_patched(frame, IP_AT + 8, b"\x07"))
    yield from _dropped(lab, "F-07", ip, checksum=len(ip))
    tcp = [_patched(frame, 50 + i // 8, bytes([frame[50 + i // 8] ^ 1 << i % 8])) for i in range(16)]
    tcp += [_patched(frame, at, bytes([frame[at] ^ 0x10])) for at in (34, 38, 45, 47, 49, 54, len(frame) - 1)]
    tcp.append(_patched(frame, 26, bytes([11]), fix_ip=True))
    yield from _dropped(lab, "F-08", tcp, checksum=len(tcp))
    yield from _still_alive(lab, link)
    yield from lab.close(link)


def _ipv6(lab: Lab, link: Link, data: bytes) -> bytes:
    """A segment over IPv6 between the ports of a connection over IPv4."""
    prefix = 0x20010DB8_00010002_00030004 << 32
    ends = {"source_ip": prefix | 0x00050006, "destination_ip": prefix | 0x00050007}
    return lab.frame(link, data, family=6, flow_label=0xFFFFF, **ends)


def wrong_ipv6_frames(lab: Lab) -> Case:
    """Lengths and checksums of segments over IPv6: nobody asks whose they are."""
    link = yield from lab.open()
    frame = _ipv6(lab, link, bytes(range(21)))
    total = len(frame) - IPV6_TCP_AT
    bad = [_patched(frame, IP_AT + 4, value.to_bytes(2, "big")) for value in (0, 19, total + 1, 0xFFFF)]
    bad += [frame[:53], frame[:14], frame[: IPV6_TCP_AT + 10]]
    bad += [_patched(frame, IPV6_TCP_AT + 12, bytes([n << 4])) for n in (4, 11, 15)]
    yield from _dropped(lab, "F-28", bad, length=len(bad))
    at = IPV6_TCP_AT + 16
    sums = [_patched(frame, at + i // 8, bytes([frame[at + i // 8] ^ 1 << i % 8])) for i in range(16)]
    places = (22, 29, 30, 37, 38, 45, 46, 53, 54, 58, 65, 69, 74, len(frame) - 1)
    sums += [_patched(frame, at, bytes([frame[at] ^ 0x10])) for at in places]
    yield from _dropped(lab, "F-29", sums, checksum=len(sums))
    yield from _still_alive(lab, link)
    yield from lab.close(link)


def frames_for_the_host(lab: Lab) -> Case:
    """What is whole but not for an offloaded connection comes up unchanged."""
    link = yield from lab.open()
    frame = lab.frame(link, bytes(range(20)))
    options = bytearray(frame[:IP_AT] + b"\x46" + frame[15:34] + b"\x01\x01\x01\x00" + frame[34:])
    options[16:18] = (len(options) - 14).to_bytes(2, "big")
    others: tuple[tuple[str, bytes], ...] = (
        ("F-10", bytes(options)),
        ("F-11", _patched(frame, IP_AT + 6, b"\x20\x00", fix_ip=True)),
        ("F-12", _patched(frame, IP_AT + 6, b"\x00\x01", fix_ip=True)),
        ("F-13", _patched(frame, IP_AT + 9, b"\x11", fix_ip=True)),
        ("F-14", _ipv6(lab, link, b"not offloaded")),
        *(("F-25", _patched(_ipv6(lab, link, bytes(20)), IP_AT + 6, bytes([kind]))) for kind in (0, 43, 60)),
        ("F-26", _patched(_ipv6(lab, link, bytes(20)), IP_AT + 6, b"\x2c")),
        ("F-27", _patched(frame, 12, b"\x86\xdd")),
        ("F-15", _patched(frame, 12, b"\x08\x06")),
        ("F-16", _patched(frame, TCP_AT + 2, (LOCAL_PORT + 99).to_bytes(2, "big"), fix_tcp=True)),
        ("F-17", _patched(frame, TCP_AT, (1).to_bytes(2, "big"), fix_tcp=True)),
        ("F-18", _patched(frame, 29, b"\x4e", fix_ip=True, fix_tcp=True)),
        ("F-19", _patched(frame, IP_AT, b"\x55")),
        ("F-20", frame[:12] + b"\x81\x00\x00\x05"),
    )
    before = yield from lab.counters(*_BAD)
    for row, other in others:
        raw = len(lab.raw)
        lab.arrive(other, raw=True)
        yield _came(lab, raw + 1)
        assert lab.raw[-1] == other, f"row {row}"
    for row in dict.fromkeys(row for row, _ in others):
        lab.row(row)
    assert (yield from lab.counters(*_BAD)) == before
    yield from _still_alive(lab, link)
    yield from lab.close(link)


def _came(lab: Lab, count: int) -> Callable[[], bool]:
    return lambda: len(lab.raw) >= count


def indicated(lab: Lab, link: Link, data: bytes) -> Case:
    """This data, and no other, is indicated; it is taken and its buffer goes back."""
    shown = yield from lab.told(link.conn)
    assert (shown.kind, shown.nbytes) == (CqKind.INDICATION, len(data)), shown
    assert lab.memory.read(lab.pool_address(shown.buf) + shown.offset, len(data)) == data
    yield from lab.silent(lab.post(answer_to(link, shown.info, len(data))))
    yield from lab.post_pool([shown.buf])


def _still_alive(lab: Lab, link: Link) -> Case:
    """Data in order still arrives: nothing that came before was believed."""
    lab.deliver(link, b"the good one")
    yield from indicated(lab, link, b"the good one")


def answer_to(link: Link, token: int, length: int) -> Sqe:
    return Sqe(opcode=Opcode.ANSWER, conn=link.conn, gen=link.gen, length=length, arg=token & 0xFFFF)


def receive_into(link: Link, addr: int, length: int, *, nopush: bool = False) -> Sqe:
    return Sqe(opcode=Opcode.RECEIVE, conn=link.conn, gen=link.gen, flags=int(nopush), addr=addr, length=length)


#: Everything that leaves the rings running, in an order that spreads the long ones.
CASES: tuple[Callable[[Lab], Case], ...] = (
    refused_entries,
    unknown_connections,
    numbers_in_use,
    impossible_images,
    full_tables,
    image_read_errors,
    wrong_answers,
    truncated_frames,
    payload_and_list_read_errors,
    wrong_phases,
    abortive_disconnect,
    wrong_lengths,
    placement_write_error,
    wrong_checksums,
    wrong_ipv6_frames,
    copy_read_error,
    reset_from_the_far_end,
    frames_for_the_host,
    image_write_error,
    raw_buffer_write_error,
    raw_send_read_error,
    list_write_error,
    ring_indices,
)
