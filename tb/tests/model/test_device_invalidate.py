"""INVALIDATE ahead of the transmit queue: what has not begun is discarded, and nothing is lost (hostport.md)."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from model.device.memory import ErrorWindow
from model.device.records import Entry
from model.layout.generated import (
    Cqe,
    CqKind,
    Csr,
    Object,
    Opcode,
    RecTx,
    Sqe,
    Status,
    TcpImage,
    TxRecKind,
    UploadReason,
)
from model.wire.frame import parse_frame
from tb.tests.model.device_bench import DATA, IMAGES, PATH
from tb.tests.model.test_device_objects import Followed, follow
from tb.tests.model.test_device_statistics import counted

if TYPE_CHECKING:
    from _typeshed import SupportsLenAndGetItem

SEND_AT, OTHER_AT = DATA, DATA + 0x4000


class WireLast(random.Random):
    """Chooses the next command only when nothing else is possible, and the wire after all commands."""

    LATE: ClassVar = ("_command", "_transmit")

    def choice(self, seq: SupportsLenAndGetItem[Any]) -> Any:
        names = [getattr(seq[i], "__name__", "") for i in range(len(seq))]
        rank = [self.LATE.index(name) + 1 if name in self.LATE else 0 for name in names]
        return super().choice([seq[i] for i in range(len(seq)) if rank[i] == min(rank)])


def stalled(conns: int = 1) -> Followed:
    """Connections whose frames all wait in the transmit queue until nothing else is left to do."""
    f = Followed()
    for conn in range(conns):
        f.bench.connect(conn)
    f.bench.device._rng = WireLast(1)
    return f


def invalidate(f: Followed, what: Object = Object.CONNECTION, conn: int = 0) -> None:
    """Post the command; `run` carries it out."""
    f.bench.post(Sqe(opcode=Opcode.INVALIDATE, conn=1 if what == Object.NEIGHBOR else conn, gen=1, flags=what))


def payloads(f: Followed) -> list[bytes]:
    """Payloads of the frames that left."""
    return [parse_frame(frame).payload for frame in f.bench.take_sent()]


@pytest.mark.rule("INVALIDATE", "CH-092")
@pytest.mark.parametrize("what", Object)
def test_what_waits_in_the_queue_is_discarded_and_counted_and_is_no_fault(what: Object) -> None:
    f = stalled()
    f.bench.send(b"a" * 3000)
    invalidate(f, what)
    done = f.bench.run()
    assert payloads(f) == []
    assert [(c.kind, c.code, c.status) for c in done] == [(CqKind.COMMAND, Opcode.INVALIDATE, Status.OK)]
    assert f.bench.device.mmio_read(Csr.CNT_TX_DISCARDED) == 3
    assert f.bench.device.mmio_read(Csr.CNT_FAULTS) == 0
    assert counted(f.bench) == {"OUT_REQUESTS": 3, "OUT_DISCARDS": 3, "ESTABLISHED": 1}
    f.agree()


@pytest.mark.rule("INVALIDATE", "CH-092")
def test_frames_of_other_connections_leave_with_their_own_identification() -> None:
    f = stalled(2)
    f.bench.send(b"a" * 500, at=SEND_AT)
    f.bench.send(b"b" * 600, conn=1, at=OTHER_AT)
    invalidate(f)
    f.bench.run()
    (frame,) = map(parse_frame, f.bench.take_sent())
    assert frame.payload == b"b" * 600
    f.agree()


@pytest.mark.rule("INVALIDATE", "CH-092")
@pytest.mark.parametrize("what", [Object.PATH, Object.NEIGHBOR])
def test_every_connection_of_a_path_or_neighbor_is_silent_and_one_completion_says_so(what: Object) -> None:
    f = stalled(4)
    for conn in range(4):
        f.bench.send(bytes([conn]) * 700, conn=conn, at=DATA + 0x1000 * conn)
    invalidate(f, what)
    done = f.bench.run()
    assert payloads(f) == []
    assert [(c.code, c.conn, c.status) for c in done] == [(Opcode.INVALIDATE, int(what == Object.NEIGHBOR), Status.OK)]
    f.agree()


@pytest.mark.rule("INVALIDATE", "CH-093", "CH-245")
def test_the_upload_tells_the_discarded_bytes_as_sent_and_hands_the_send_back() -> None:
    f = stalled()
    cookie = f.bench.send(b"a" * 1500)
    invalidate(f)
    f.bench.run()
    f.bench.arrive(f.bench.segment(seq=5001, data=b"a hole"))  # something to answer: the upload is asked for
    asked = [c for c in f.bench.cqes if c.kind == CqKind.EVENT]
    assert [c.info for c in asked] == [UploadReason.INVALID_STATE]
    f.bench.do(Sqe(opcode=Opcode.QUERY, gen=1, addr=IMAGES + 0x400))
    state = TcpImage.from_bytes(f.bench.device.mem.read(IMAGES + 0x400, TcpImage.WIDTH // 8))
    assert (state.snd_una, state.snd_nxt, state.snd_max) == (1000, 2500, 2500)
    assert state.rtx_timeout_delta <= 1000, "it is due as if the frames had been sent"
    done = f.bench.do(Sqe(opcode=Opcode.TERMINATE, gen=1))
    assert [(c.cookie, c.status, c.nbytes) for c in done if c.kind == CqKind.SEND] == [(cookie, Status.UPLOAD, 0)]
    f.agree()


@pytest.mark.rule("INVALIDATE", "CH-092", "D-2")
def test_behind_a_path_that_is_written_anew_the_lost_bytes_are_sent_again_as_old_ones() -> None:
    f = stalled()
    f.bench.send(b"a" * 500, at=SEND_AT)
    invalidate(f, Object.PATH)
    f.bench.run()
    f.bench.with_image(Opcode.PATH_WRITE, PATH.to_bytes())
    assert payloads(f) == []
    f.bench.send(b"b" * 500, at=OTHER_AT)
    f.bench.run()
    assert payloads(f) == [b"b" * 500]
    f.bench.tick(1000)
    assert payloads(f) == [b"a" * 500 + b"b" * 500], "the head of what is not acknowledged, one segment long"
    counts = counted(f.bench)
    assert (counts["OUT_SEGMENTS"], counts["RETRANSMITTED"], counts["OUT_DISCARDS"]) == (1, 1, 1)
    done = f.bench.arrive(f.bench.segment(ack=2000))
    assert [c.status for c in done if c.kind == CqKind.SEND] == [Status.OK, Status.OK]
    f.agree()


@pytest.mark.rule("INVALIDATE")
def test_a_path_that_is_written_anew_at_once_speaks_for_what_is_behind_it_only() -> None:
    f = stalled()
    f.bench.send(b"a" * 500, at=SEND_AT)
    invalidate(f, Object.PATH)
    f.bench.device.mem.write(IMAGES, PATH.to_bytes())
    f.bench.post(Sqe(opcode=Opcode.PATH_WRITE, conn=0, addr=IMAGES))
    f.bench.send(b"b" * 500, at=OTHER_AT)
    f.bench.run()
    assert payloads(f) == [b"b" * 500]
    f.agree()


@pytest.mark.rule("INVALIDATE")
def test_an_object_that_is_invalidated_twice_stays_silent_until_the_second_one_is_through() -> None:
    f = stalled()
    f.bench.send(b"a" * 500, at=SEND_AT)
    f.bench.device.mem.write(IMAGES, PATH.to_bytes())
    invalidate(f, Object.PATH)
    f.bench.post(Sqe(opcode=Opcode.PATH_WRITE, conn=0, addr=IMAGES))
    f.bench.send(b"b" * 500, at=OTHER_AT)
    invalidate(f, Object.PATH)
    done = f.bench.run()
    assert payloads(f) == []
    assert [c.code for c in done].count(Opcode.INVALIDATE) == 2
    f.agree()


@pytest.mark.rule("INVALIDATE", "CH-181", "CH-184")
def test_a_reset_in_front_of_the_invalidate_may_be_discarded_and_its_disconnect_completes() -> None:
    f = stalled()
    f.bench.post(Sqe(opcode=Opcode.DISCONNECT, gen=1, flags=2))
    invalidate(f)
    done = f.bench.run()
    assert f.bench.take_sent() == []
    assert sorted((c.kind, c.code, c.status) for c in done) == sorted(
        [(CqKind.COMMAND, Opcode.INVALIDATE, Status.OK), (CqKind.SEND, Opcode.DISCONNECT, Status.OK)]
    )
    counts = counted(f.bench)
    assert "OUT_RESETS" not in counts, "CH-019: none was sent"
    assert counts["RESET_ESTABLISHED"] == 1
    f.agree()


@pytest.mark.rule("INVALIDATE", "M7")
def test_a_payload_that_cannot_be_read_is_a_fault_also_of_a_frame_that_is_discarded() -> None:
    f = stalled()
    f.inject(ErrorWindow(SEND_AT, 4096))
    f.bench.send(b"a" * 500, at=SEND_AT)
    invalidate(f)
    done = f.bench.run()
    assert f.bench.take_sent() == []
    assert f.bench.device.mmio_read(Csr.CNT_FAULTS) == 1
    assert [c.info for c in done if c.kind == CqKind.EVENT] == [UploadReason.HARDWARE_FAILURE]
    f.agree()


@pytest.mark.rule("INVALIDATE")
@pytest.mark.parametrize("seed", range(6))
def test_in_any_order_each_frame_leaves_or_is_discarded_and_the_follower_knows_which(seed: int) -> None:
    f = Followed(seed)
    for conn in range(3):
        f.bench.connect(conn)
        f.bench.send(bytes([conn]) * 2500, conn=conn, at=DATA + 0x1000 * conn)
    invalidate(f, conn=seed % 3)
    f.bench.run()
    sent = len(f.bench.take_sent())
    discarded = f.bench.device.mmio_read(Csr.CNT_TX_DISCARDED)
    assert sent == f.bench.device.mmio_read(Csr.CNT_TX_SEGMENTS)
    assert 6 <= sent <= 9
    assert sent + discarded == counted(f.bench)["OUT_REQUESTS"]
    f.agree()


# ---- lies that the follower must see


def record_of(entry: Entry) -> RecTx | None:
    """A record of a frame."""
    return RecTx.unpack(entry.values[0]) if entry.tag == "X" else None


def told(entry: Entry) -> bool:
    """The completion of an INVALIDATE."""
    return entry.tag == "C" and Cqe.unpack(entry.values[0] >> 20).code == Opcode.INVALIDATE


def with_kind(entry: Entry, kind: TxRecKind) -> Entry:
    """The record says something else of its frame."""
    changed = replace(RecTx.unpack(entry.values[0]), kind=kind)
    return replace(entry, values=(changed.pack(), *entry.values[1:]))


@pytest.mark.rule("architecture 3, check 5", "INVALIDATE")
def test_a_discarded_frame_whose_record_says_that_it_left_must_have_left() -> None:
    f = stalled()
    f.bench.send(b"a" * 500)
    invalidate(f)
    f.bench.run()
    entries = f.journal.entries
    at = next(i for i, e in enumerate(entries) if e.tag == "X")
    lie = [*entries[:at], with_kind(entries[at], TxRecKind.SEGMENT), *entries[at + 1 :]]
    found = follow(lie).divergence
    assert found is not None


@pytest.mark.rule("architecture 3, check 5", "INVALIDATE")
@pytest.mark.parametrize("record_first", [True, False])
def test_a_frame_that_left_and_is_called_discarded_is_found(record_first: bool) -> None:
    f = Followed()
    f.bench.connect()
    f.bench.send(b"a" * 500)
    f.bench.run()
    invalidate(f)
    f.bench.run()
    entries = list(f.journal.entries)
    kinds = {e.tag: i for i, e in enumerate(entries) if e.tag in "XO"}
    frame, record = entries[kinds["O"]], entries[kinds["X"]]
    rest = [e for i, e in enumerate(entries) if i not in kinds.values()]
    cut = next(i for i, e in enumerate(rest) if told(e)) - 1  # the write of the entry stands in front of its record
    lie = with_kind(record, TxRecKind.DISCARDED)
    both = [lie, frame] if record_first else [frame, lie]
    assert follow([*rest[:cut], frame, record, *rest[cut:]]).divergence is None
    found = follow([*rest[:cut], *both, *rest[cut:]]).divergence
    assert found is not None
    assert found.stream in ("tx", "wire")


@pytest.mark.rule("architecture 3, check 2", "INVALIDATE")
def test_a_raw_frame_in_front_of_a_frame_that_had_begun_says_nothing_about_it() -> None:
    f = Followed()
    f.bench.connect()
    f.bench.send(b"a" * 500)
    f.bench.device.mem.write(OTHER_AT, bytes(60))
    f.bench.post(Sqe(opcode=Opcode.RAW_SEND, addr=OTHER_AT, length=60))
    f.bench.run()
    invalidate(f)
    f.bench.run()
    entries = list(f.journal.entries)
    own = [i for i, e in enumerate(entries) if e.tag == "O" and parse_frame(e.data).payload == b"a" * 500]
    raw = [i for i, e in enumerate(entries) if e.tag == "O" and i not in own]
    records = [i for i, e in enumerate(entries) if e.tag == "X"]
    moved = {*own, *raw, *records}
    rest = [e for i, e in enumerate(entries) if i not in moved]
    cut = next(i for i, e in enumerate(rest) if told(e)) - 1
    late = [entries[i] for i in (*raw, *own, *records)]
    assert follow([*rest[:cut], *late, *rest[cut:]]).divergence is None
