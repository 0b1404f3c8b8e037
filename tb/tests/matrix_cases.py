"""Cells of the matrix as a case of the lab: on the whole device, golden or RTL, through rings, memory and wire.

Many connections at a time: all are offloaded, one segment for each goes in, then a frame for the host, which is there
when the segments are done with; what left, what the host was told and what an upload reports is the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from model.layout.generated import (
    DELEGATED_IMAGE_BYTES,
    Cqe,
    CqKind,
    DelegatedImage,
    LeftOver,
    Opcode,
    SgElem,
    Sqe,
    Status,
    TcpEventType,
    TcpState,
    UploadReason,
)
from model.wire.frame import SegmentFields, TcpFlag, TcpOptions, Timestamps, build_segment, parse_frame
from tb.matrix.cells import (
    FIN_SENT,
    MASK,
    MAX_SND_WND,
    OUTSTANDING,
    RCV_NXT,
    TS_CLOCK,
    TS_RECENT,
    URG,
    WITH_DATA,
    Cell,
    Segment,
    segment,
    snd_max,
)
from tb.matrix.setting import OFFLOADED_AS, image_fields
from tb.matrix.table import Answer, Outcome, differences, expected, known_open
from tb.session.network import NIC_IP, NIC_MAC
from tb.tests.lab import IMAGE, LAB_IP, LAB_MAC, LOCAL_PORT, PAGE, REMOTE_PORT, Case, Lab

INHERITED = 5
#: Ticks after which everything that is owed at once has left, and no timer of TCP has fired.
SETTLED = 6
#: Connections at a time; the first of the lab's.
AT_A_TIME, FIRST = 24, 2
#: The port of a connection that never was: frames to it come up to the host.
NOBODY = LOCAL_PORT + 200
#: Pages a connection: its image, its list and text, the block of its upload.
IMAGE_AT, LIST_AT, DATA_AT, UPLOAD_AT, PAGES = 0, PAGE, PAGE + 64, 2 * PAGE, 6

Step = Generator[Callable[[], bool], None, None]


def text(seq: int, length: int) -> bytes:
    """The octets of the peer's stream from ``seq`` on: the same wherever a segment begins."""
    return bytes((seq + i) * 7 + ((seq + i) >> 8) & 255 for i in range(length))


def frame_of(port: int, found: Segment, stamps: Timestamps | None = None) -> bytes:
    """The frame of a segment for a local port."""
    return build_segment(
        SegmentFields(
            destination_mac=int.from_bytes(NIC_MAC, "big"), source_mac=int.from_bytes(LAB_MAC, "big"),
            source_ip=int.from_bytes(LAB_IP, "big"), destination_ip=int.from_bytes(NIC_IP, "big"),
            source_port=REMOTE_PORT, destination_port=port, sequence=found.seq, acknowledgment=found.ack,
            flags=TcpFlag(found.flags), window=MAX_SND_WND, ip_id=1, payload=text(found.seq, found.length),
            options=TcpOptions(timestamps=stamps), urgent_pointer=int(bool(found.flags & URG)),
        ),
        pad=True,
    )  # fmt: skip


class ManyLab(Lab):
    """A lab with many connections, every frame of which may come up to the host."""

    def __init__(self, cases: Sequence[Callable[[ManyLab], Case]]) -> None:
        super().__init__([lambda lab, case=case: case(self) for case in cases])  # type: ignore[misc]
        self.conns = range(FIRST, FIRST + AT_A_TIME)
        self.problems: list[str] = []
        self.played = self.played_open = 0
        self._areas: dict[int, int] = {}
        self._markers = 0

    def takes_raw(self, frame: bytes) -> bool:
        """Whether a raw frame is one of the lab's; it is kept then."""
        if frame[6:12] != LAB_MAC:
            return False
        self.raw.append(frame)
        self.on_raw(frame)
        return True

    def area(self, conn: int) -> int:
        """The memory of a connection, the same for all that have its number."""
        if conn not in self._areas:
            self._areas[conn] = self.page(PAGES)
        return self._areas[conn]

    def done_with_frames(self) -> Step:
        """Every frame that arrived is done with, and what was owed at once has left."""
        self._markers += 1
        marker = frame_of(NOBODY, Segment(self._markers, 0, 0x10, 0, None))
        self.arrive(marker)
        yield lambda: marker in self.raw
        yield from self.ticks(SETTLED)

    def tidy(self) -> None:
        """Nothing of the frames before is needed."""
        self.raw.clear()
        self.sent.clear()


@dataclass
class Patient:
    """A connection on which something is tried."""

    lab: ManyLab
    conn: int
    gen: int
    send: int = 0

    @property
    def port(self) -> int:
        """Its local port."""
        return LOCAL_PORT + self.conn

    def command(self, opcode: Opcode, **fields: int) -> int:
        """Post a command; its cookie."""
        return self.lab.post(Sqe(opcode=opcode, conn=self.conn, gen=self.gen, **fields))

    def initiate(self, **changes: int) -> int:
        """INITIATE with an image."""
        addr = self.lab.area(self.conn) + IMAGE_AT
        image = replace(IMAGE, local_port=self.port, **changes)
        self.lab.memory.write(addr, image.to_bytes())
        return self.command(Opcode.INITIATE, addr=addr)

    def outstanding(self, length: int) -> None:
        """Octets that the host handed in and the connection sent before it was offloaded."""
        area = self.lab.area(self.conn)
        self.lab.memory.write(area + LIST_AT, SgElem(area + DATA_AT, length).to_bytes())
        self.send = self.command(Opcode.SEND, flags=1, count=1, addr=area + LIST_AT, length=length)

    def heard(self) -> list[Cqe]:
        """Indications and events since the last call."""
        return self.lab.heard(self.conn)

    def answers(self) -> tuple[Answer, ...]:
        """What it sent since the lab was tidied."""
        found: list[Answer] = []
        for frame in map(parse_frame, self.lab.sent):
            if frame.tcp is not None and frame.tcp.source_port == self.port:
                tcp = frame.tcp
                found.append(
                    Answer(
                        int(tcp.flags), tcp.sequence, tcp.acknowledgment + frame.payload_length, tcp.options.sack_blocks
                    )
                )
        return tuple(found)

    def terminate(self) -> int:
        """TERMINATE into the connection's memory."""
        block = self.lab.area(self.conn) + UPLOAD_AT
        return self.command(Opcode.TERMINATE, addr=block, addr2=block + DELEGATED_IMAGE_BYTES)

    def uploaded(self, cookie: int) -> Generator[Callable[[], bool], None, DelegatedImage]:
        """What TERMINATE brought back; buffers that were left over return to the device."""
        lab, block = self.lab, self.lab.area(self.conn) + UPLOAD_AT
        entry = yield from lab.answer(cookie)
        assert entry.status == Status.OK, Status(entry.status).name
        array, size = block + DELEGATED_IMAGE_BYTES, LeftOver.WIDTH // 8
        count = LeftOver.from_bytes(lab.memory.read(array, size)).buf
        left = [LeftOver.from_bytes(lab.memory.read(array + i * size, size)).buf for i in range(1, count + 1)]
        if left:
            lab.post(Sqe(opcode=Opcode.POOL_POST, count=len(left)), left)
        if self.send:
            yield from lab.answer(self.send)
        self.heard()
        return DelegatedImage.from_bytes(lab.memory.read(block, DELEGATED_IMAGE_BYTES))


def succeed(lab: Lab, cookies: Sequence[int]) -> Step:
    """Commands that must complete OK."""
    for cookie in cookies:
        entry = yield from lab.answer(cookie)
        assert entry.status == Status.OK, f"{Opcode(entry.code).name}: {Status(entry.status).name}"


def play(chosen: Sequence[Cell]) -> Callable[[ManyLab], Case]:
    """These cells, as many at a time as there are connections; differences from the table are problems of the lab."""

    def case(lab: ManyLab) -> Case:
        yield from lab.prepare()
        for first in range(0, len(chosen), AT_A_TIME):
            batch = chosen[first : first + AT_A_TIME]
            outcomes = yield from _batch(lab, batch)
            for cell, outcome in zip(batch, outcomes, strict=True):
                lab.played += 1
                difference = differences(expected(cell), outcome)
                lab.played_open += bool(difference and known_open(cell))
                if difference and not known_open(cell):
                    lab.problems.append(f"matrix: {cell}: {difference}")

    return case


def _batch(lab: ManyLab, batch: Sequence[Cell]) -> Generator[Callable[[], bool], None, list[Outcome]]:
    patients = [Patient(lab, FIRST + i, lab.new_gen()) for i in range(len(batch))]
    yield from _offload(lab, patients, batch)
    lab.tidy()
    frames = []
    for patient, cell in zip(patients, batch, strict=True):
        found = segment(cell)
        stamps = None if found.tsval is None else Timestamps(found.tsval, TS_CLOCK)
        frames.append(frame_of(patient.port, found, stamps))
        lab.arrive(frames[-1])
    yield from lab.done_with_frames()
    answers = [patient.answers() for patient in patients]
    passed = [frame in lab.raw for frame in frames]
    heard = [patient.heard() for patient in patients]
    delivered = [_taken(patient, entries) for patient, entries in zip(patients, heard, strict=True)]
    yield from lab.silent()
    yield from lab.ticks(SETTLED)
    outcomes: list[Outcome] = []
    for n, patient in enumerate(patients):
        heard[n] += patient.heard()
        outcomes.append(
            Outcome(
                state="", rcv_nxt=0, snd_una=0, ts_recent=0, duplicates=0, answers=answers[n], delivered=delivered[n],
                events=tuple(sorted(_name(entry) for entry in heard[n] if entry.kind == CqKind.EVENT)),
                passed_up=passed[n], sends=_came_back(lab, patient),
            )
        )  # fmt: skip
    cookies = [patient.terminate() for patient in patients]
    for n, patient in enumerate(patients):
        image = yield from patient.uploaded(cookies[n])
        outcomes[n] = replace(
            outcomes[n], state=TcpState(image.state).name, rcv_nxt=image.rcv_nxt, snd_una=image.snd_una,
            ts_recent=image.ts_recent, duplicates=image.dup_ack_count,
        )  # fmt: skip
    return outcomes


def _offload(lab: ManyLab, patients: Sequence[Patient], batch: Sequence[Cell]) -> Step:
    """Every connection into the state of its cell."""
    yield from succeed(
        lab,
        [
            p.initiate(**image_fields(c.state, c.window, c.stamp != "none"))
            for p, c in zip(patients, batch, strict=True)
        ],
    )
    cookies: list[int] = []
    for patient, cell in zip(patients, batch, strict=True):
        if cell.state in WITH_DATA or cell.state in OFFLOADED_AS:
            patient.outstanding(OUTSTANDING)
        if OFFLOADED_AS.get(cell.state, cell.state) in FIN_SENT:
            patient.command(Opcode.DISCONNECT, flags=INHERITED)
        cookies.append(patient.command(Opcode.START))
        if cell.state == "FROZEN":
            cookies.append(patient.command(Opcode.UPLOAD))
    yield from succeed(lab, cookies)
    for patient, cell in zip(patients, batch, strict=True):
        if cell.state in OFFLOADED_AS:
            stamps = None if cell.stamp == "none" else Timestamps(TS_RECENT, TS_CLOCK)
            lab.arrive(frame_of(patient.port, Segment(RCV_NXT, snd_max(cell.state), 0x10, 0, None), stamps))
            entry = yield from lab.answer(patient.send)
            assert entry.status == Status.OK
            patient.send = 0
    for patient, cell in zip(patients, batch, strict=True):
        if cell.state in ("TIME_WAIT", "FROZEN"):
            event = yield from lab.told(patient.conn)
            assert _name(event) == "RETRIEVE UPLOAD_REQUESTED"
        lab.quiet(patient.conn)


def _taken(patient: Patient, entries: Sequence[Cqe]) -> tuple[int, int] | None:
    """The octets that were indicated; the host takes them, and their buffers go back."""
    shown = [entry for entry in entries if entry.kind == CqKind.INDICATION]
    if not shown:
        return None
    lab, end = patient.lab, RCV_NXT
    for entry in shown:
        data = lab.memory.read(lab.pool_address(entry.buf) + entry.offset, entry.nbytes)
        assert data == text(end & MASK, entry.nbytes), f"other octets were delivered from {end:#x} on"
        end += entry.nbytes
        patient.command(Opcode.ANSWER, length=entry.nbytes, arg=entry.info & 0xFFFF)
        lab.post(Sqe(opcode=Opcode.POOL_POST, count=1), [entry.buf])
    return RCV_NXT, end & MASK


def _name(event: Cqe) -> str:
    kind = TcpEventType(event.code)
    return f"{kind.name} {UploadReason(event.info).name}" if kind is TcpEventType.RETRIEVE else kind.name


def _came_back(lab: Lab, patient: Patient) -> str:
    """How the host's send came back, if it did."""
    if not patient.send or not lab.answered(patient.send):
        return ""
    return Status(lab.peek(patient.send).status).name
