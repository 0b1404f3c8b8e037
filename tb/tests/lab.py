"""The lab: bad input on one connection while an ordinary session runs on another, on the RTL and on the golden device.

A case is a generator; it yields conditions and goes on when they hold, so that it never blocks the session beside it.
Its commands go through the ring of the session's own driver, so that lockstep sees them like all others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from model.device.memory import ErrorWindow
from model.layout.generated import (
    DELEGATED_IMAGE_BYTES,
    POOL_BUF_BYTES,
    TIMER_OFF,
    Cqe,
    CqKind,
    Csr,
    LeftOver,
    NeighborImage,
    Opcode,
    PathImage,
    SgElem,
    Sqe,
    Status,
    TcpEventType,
    TcpImage,
    TcpState,
)
from model.ndis.file_transfer import FileTransferApp
from model.ndis.memory import HostMemory, PageAllocator
from model.ndis.miniport import MiniportDriver
from model.wire.frame import SegmentFields, TcpFlag, build_segment
from tb.config import ROOT
from tb.session.network import NIC_IP, NIC_MAC, Network
from tb.session.statistics import Ask
from tb.session.transfer import Transfer

Case = Generator[Callable[[], bool], None, None]

#: The lab's own path and neighbor; the driver numbers its own from 0 upwards.
PATH_ID, NEIGHBOR_ID = 7, 7
#: The lab's connections: the last two of the smallest design that is built.
FIRST_CONN, LAST_CONN = 2, 3
LAB_MAC = bytes.fromhex("0200000000aa")
LAB_IP = bytes([10, 0, 0, 77])
LOCAL_PORT, REMOTE_PORT = 50_000, 6001
#: Cookies of the lab; the driver counts from 1.
FIRST_COOKIE = 1 << 48
PAGE = 4096
#: The session beside the lab: bytes, and ticks a frame travels, so that every case finds it under way.
SIZE, DELAY = 65_536, 80
#: The page that documents every row.
ERRORS_PAGE = ROOT / "docs" / "errors.md"


def place_of(generator: Any) -> str:
    """Where a generator stands, and those it waits for: name and line of each, empty if it is over."""
    places: list[str] = []  # the typing of generators does not know their frames
    while generator is not None and generator.gi_frame is not None:
        places.append(f"{generator.gi_code.co_name}:{generator.gi_frame.f_lineno}")
        generator = generator.gi_yieldfrom
    return " > ".join(places)


def documented(prefixes: str) -> list[str]:
    """The identifiers of the rows of docs/errors.md that begin with one of these letters, in order."""
    return re.findall(rf"^\| ([{prefixes}]-[0-9a-z]+) \|", ERRORS_PAGE.read_text(), re.MULTILINE)


class DevicePort(Protocol):
    """What the lab needs beyond the driver: faults of the memory, frames, registers."""

    def inject(self, windows: Sequence[ErrorWindow]) -> None:
        """Accesses of the device in these windows fail, once everything posted before was carried out."""

    def arrive(self, frame: bytes) -> None:
        """A frame goes to the device's receive port."""

    def ask(self, offset: int) -> Callable[[], int | None]:
        """Read a register; the result calls back None until it is there."""


@dataclass
class Link:
    """A connection of the lab: its number, generation, and where its two directions are."""

    conn: int
    gen: int
    snd: int = 1000
    rcv: int = 5000


class Lab:
    """Runs cases. ``rows`` are the rows of docs/errors.md that were asserted."""

    def __init__(self, cases: Sequence[Callable[[Lab], Case]]) -> None:
        self.rows: list[str] = []
        self.beside = 0
        self.windows: list[ErrorWindow] = []
        self.port: DevicePort
        self.driver: LabDriver
        self.memory: HostMemory
        self.progress: Callable[[], float] = lambda: 1.0
        self.now = 0
        self.deadline: int | None = None
        """Tick of the session at which the running case goes on, if it waits for time."""
        self._allocator: PageAllocator
        self._cases = list(cases)
        self._count = len(self._cases)
        self._running: Case | None = None
        self._waiting: Callable[[], bool] = lambda: True
        self._cookie = FIRST_COOKIE
        self._answers: dict[int, Cqe] = {}
        self._told: dict[int, list[Cqe]] = {}
        self.backlogs: list[Cqe] = []
        self.asked: list[Cqe] = []
        self._own_frames: list[bytes] = []
        self.raw: list[bytes] = []
        #: Told of every frame of the lab that came up the ordinary path.
        self.on_raw: Callable[[bytes], None] = lambda frame: None
        self.sent: list[bytes] = []
        self._gen = 0
        self._ready = False
        #: The connections that the lab may use; the driver takes the lowest for the session.
        self.conns = range(FIRST_CONN, LAST_CONN + 1)

    def attach(self, driver: LabDriver, port: DevicePort, allocator: PageAllocator) -> None:
        """Bind driver, device and memory."""
        self.driver, self.port, self._allocator = driver, port, allocator
        self.memory = driver.memory

    @property
    def over(self) -> bool:
        """All cases ran."""
        return not self._cases and self._running is None

    @property
    def share(self) -> float:
        """How many of the cases have begun, 0..1."""
        return 1 - len(self._cases) / max(self._count, 1)

    def where(self) -> str:
        """What the running case waits for, for messages."""
        return place_of(self._running) or f"{len(self._cases)} cases left"

    def step(self) -> bool:
        """Take the cases as far as they go now; True if anything moved. They are spread over the session's progress."""
        moved = False
        while True:
            if self._running is None:
                if not self._cases or self.progress() <= 0.6 * self.share:
                    return moved
                self.beside += self.progress() < 1
                self._running = self._cases.pop(0)(self)
            elif not self._waiting():
                return moved
            moved = True
            try:
                self._waiting = next(self._running)
            except StopIteration:
                self._running, self._waiting = None, lambda: True
            self.driver.push_out()

    # ---- from the driver and the wire --------------------------------------------------------

    def takes(self, cqe: Cqe) -> bool:
        """Whether an entry is the lab's; it is kept then."""
        if cqe.cookie >= FIRST_COOKIE:
            assert cqe.cookie not in self._answers, f"two completions for one command: {cqe}"
            self._answers[cqe.cookie] = cqe
            return True
        if cqe.kind == CqKind.EVENT and cqe.code == TcpEventType.NEIGHBOR_QUERY:
            if cqe.conn != NEIGHBOR_ID:
                return False
            self.asked.append(cqe)
            return True
        if cqe.kind == CqKind.EVENT and cqe.code == TcpEventType.SEND_BACKLOG_CHANGE:
            if not self.owns(cqe.conn):
                return False
            self.backlogs.append(cqe)
            return True
        if cqe.kind in (CqKind.INDICATION, CqKind.EVENT) and self.owns(cqe.conn):
            self._told.setdefault(cqe.conn, []).append(cqe)
            return True
        return False

    def owns(self, conn: int) -> bool:
        """Whether a connection is one of the lab's."""
        return conn in self.conns

    def takes_raw(self, frame: bytes) -> bool:
        """Whether a raw frame is one that the lab sent."""
        if frame in self._own_frames:
            self._own_frames.remove(frame)
            self.raw.append(frame)
            self.on_raw(frame)
            return True
        return False

    def takes_sent(self, frame: bytes) -> bool:
        """Whether a frame that left the device is for the lab's far end."""
        if frame[0:6] != LAB_MAC:
            return False
        self.sent.append(frame)
        return True

    # ---- building blocks ---------------------------------------------------------------------

    def row(self, name: str) -> None:
        """A row of docs/errors.md is asserted."""
        assert name not in self.rows, f"row {name} is asserted twice"
        self.rows.append(name)

    def page(self, count: int = 1) -> int:
        """Fresh memory for the lab alone; never given back, so that a window on it hits nobody else."""
        return self._allocator.allocate_contiguous(count * PAGE).pages[0]

    def post(self, sqe: Sqe, indices: Sequence[int] | None = None) -> int:
        """Submit an entry behind all others; its cookie."""
        self._cookie += 1
        sqe = replace(sqe, cookie=self._cookie)
        if indices is None:
            self.driver.submit(sqe)
        else:
            body = b"".join(i.to_bytes(2, "little") for i in indices).ljust(32, b"\0")
            self.driver.submit_bytes(sqe.to_bytes()[:32] + body)
        self.driver.push_out()
        return self._cookie

    def answer(self, cookie: int) -> Generator[Callable[[], bool], None, Cqe]:
        """Wait for the completion of an entry."""
        yield lambda: cookie in self._answers
        return self._answers.pop(cookie)

    def answered(self, cookie: int) -> bool:
        """Whether the completion of an entry is there."""
        return cookie in self._answers

    def silent(self, cookie: int = 0) -> Generator[Callable[[], bool], None, None]:
        """Everything submitted before is fetched and executed, and this entry did not complete."""
        entry = yield from self.do(Sqe(opcode=Opcode.NOP))
        assert entry.status == Status.OK
        assert cookie not in self._answers, f"an entry that gives no completion gave {self._answers[cookie]}"

    def do(self, sqe: Sqe, indices: Sequence[int] | None = None) -> Generator[Callable[[], bool], None, Cqe]:
        """Submit and wait."""
        return (yield from self.answer(self.post(sqe, indices)))

    def expect(
        self,
        row: str | None,
        sqe: Sqe,
        kind: CqKind,
        status: Status,
        *,
        nbytes: int = 0,
        indices: Sequence[int] | None = None,
    ) -> Generator[Callable[[], bool], None, None]:
        """A bad entry between two good ones completes alone: every field of its completion is as documented."""
        first = self.post(Sqe(opcode=Opcode.NOP))
        cookie = self.post(sqe, indices)
        last = self.post(Sqe(opcode=Opcode.NOP))
        before = yield from self.answer(first)
        got = yield from self.answer(cookie)
        after = yield from self.answer(last)
        assert (before.status, after.status) == (Status.OK, Status.OK), "a good entry beside the bad one failed"
        assert (after.sq_index - before.sq_index) & 0xFFFF >= 2
        between = (got.sq_index - before.sq_index) & 0xFFFF
        assert 0 < between < (after.sq_index - before.sq_index) & 0xFFFF
        wanted = Cqe(
            kind=kind, status=status, conn=sqe.conn, gen=sqe.gen, code=sqe.opcode, cookie=cookie, nbytes=nbytes,
            sq_index=got.sq_index,
        )  # fmt: skip
        assert replace(got, phase=0) == wanted, f"row {row}: expected {wanted}, got {got}"
        if row is not None:
            self.row(row)

    def register(self, offset: int) -> Generator[Callable[[], bool], None, int]:
        """Read a register."""
        get = self.port.ask(offset)
        yield lambda: get() is not None
        value = get()
        assert value is not None
        return value

    def ticks(self, count: int) -> Generator[Callable[[], bool], None, None]:
        """Wait until the device's tick counter has moved on by ``count``; time may be skipped meanwhile."""
        start, passed = (yield from self.register(Csr.TICK)), 0
        while passed < count:
            self.deadline = self.now + count - passed
            yield self._is_time
            self.deadline = None
            passed = ((yield from self.register(Csr.TICK)) - start) & 0xFFFF_FFFF

    def _is_time(self) -> bool:
        return self.deadline is None or self.now >= self.deadline

    def counters(self, *registers: Csr) -> Generator[Callable[[], bool], None, tuple[int, ...]]:
        """Read some counters."""
        values: list[int] = []
        for register in registers:
            values.append((yield from self.register(register)))
        return tuple(values)

    def told(self, conn: int) -> Generator[Callable[[], bool], None, Cqe]:
        """Wait for the next indication or event of a connection."""
        yield lambda: bool(self._told.get(conn))
        return self._told[conn].pop(0)

    def has_told(self, conn: int) -> bool:
        """Whether a connection has told something that nobody took."""
        return bool(self._told.get(conn))

    def forget(self, conn: int) -> None:
        """What a connection told is of no interest."""
        self._told.pop(conn, None)

    def renew(self) -> None:
        """Path and neighbor are written anew before the next use."""
        self._ready = False

    def heard(self, conn: int) -> list[Cqe]:
        """Indications and events of a connection that nobody waited for; they are taken."""
        return self._told.pop(conn, [])

    def peek(self, cookie: int) -> Cqe:
        """A completion that is there; it stays."""
        return self._answers[cookie]

    def quiet(self, conn: int) -> None:
        """Nothing was indicated that nobody waited for."""
        assert not self._told.get(conn), f"unexpected: {self._told[conn]}"

    def fail(self, *windows: ErrorWindow) -> None:
        """From here on these accesses fail; none: all is well again."""
        self.windows = list(windows)
        self.port.inject(self.windows)

    def with_image(self, opcode: Opcode, data: bytes, conn: int = 0, gen: int = 0) -> Sqe:
        """A command whose image lies in memory of its own."""
        addr = self.page()
        self.memory.write(addr, data)
        return Sqe(opcode=opcode, conn=conn, gen=gen, addr=addr)

    def good(self, sqe: Sqe, indices: Sequence[int] | None = None) -> Generator[Callable[[], bool], None, Cqe]:
        """A command that must succeed."""
        entry = yield from self.do(sqe, indices)
        assert entry.status == Status.OK, f"{Opcode(sqe.opcode).name}: {Status(entry.status).name}"
        return entry

    # ---- connections -------------------------------------------------------------------------

    def prepare(self) -> Generator[Callable[[], bool], None, None]:
        """The lab's neighbor and path."""
        if not self._ready:
            self._ready = True
            yield from self.good(self.with_image(Opcode.NEIGHBOR_WRITE, NEIGHBOR.to_bytes(), NEIGHBOR_ID))
            yield from self.good(self.with_image(Opcode.PATH_WRITE, PATH.to_bytes(), PATH_ID))

    def new_gen(self) -> int:
        """A generation that was not used before."""
        self._gen = (self._gen + 1) & 0xFF
        return self._gen

    def open(self, conn: int = FIRST_CONN, **changes: int) -> Generator[Callable[[], bool], None, Link]:
        """Initiate and start a connection."""
        yield from self.prepare()
        link = Link(conn, self.new_gen())
        image = replace(IMAGE, local_port=LOCAL_PORT + conn, **changes)
        yield from self.good(self.with_image(Opcode.INITIATE, image.to_bytes(), conn, link.gen))
        yield from self.good(Sqe(opcode=Opcode.START, conn=conn, gen=link.gen))
        return link

    def close(
        self, link: Link, status: Status = Status.OK, *, at: int | None = None, wanted_left: int | None = 0
    ) -> Generator[Callable[[], bool], None, None]:
        """Terminate; left-over pool buffers go back to the device."""
        block = self.page(4) if at is None else at
        entry = yield from self.do(
            Sqe(opcode=Opcode.TERMINATE, conn=link.conn, gen=link.gen, addr=block, addr2=block + DELEGATED_IMAGE_BYTES)
        )
        assert entry.status == status, Status(entry.status).name
        array, size = block + DELEGATED_IMAGE_BYTES, LeftOver.WIDTH // 8
        count = LeftOver.from_bytes(self.memory.read(array, size)).buf
        if wanted_left is not None:
            assert count == wanted_left, f"{count} pool buffers left over"
        left = [LeftOver.from_bytes(self.memory.read(array + i * size, size)).buf for i in range(1, count + 1)]
        if left:
            yield from self.post_pool(left)
        self.quiet(link.conn)

    def post_pool(self, buffers: Sequence[int]) -> Generator[Callable[[], bool], None, None]:
        """Pool buffers go back to the device."""
        cookie = self.post(Sqe(opcode=Opcode.POOL_POST, count=len(buffers)), buffers)
        yield from self.silent(cookie)

    def send(self, link: Link, data: bytes, *, list_at: int | None = None, data_at: int | None = None) -> int:
        """A SEND of one element; its cookie."""
        data_at = self.page() if data_at is None else data_at
        list_at = self.page() if list_at is None else list_at
        self.memory.write(data_at, data)
        self.memory.write(list_at, SgElem(data_at, len(data)).to_bytes())
        return self.post(
            Sqe(opcode=Opcode.SEND, conn=link.conn, gen=link.gen, flags=1, count=1, addr=list_at, length=len(data))
        )

    def frame(self, link: Link, data: bytes = b"", flags: int = 0x10, **changes: int) -> bytes:
        """A frame of the far end, in order."""
        fields = SegmentFields(
            destination_mac=int.from_bytes(NIC_MAC, "big"), source_mac=int.from_bytes(LAB_MAC, "big"),
            source_ip=int.from_bytes(LAB_IP, "big"), destination_ip=int.from_bytes(NIC_IP, "big"),
            source_port=REMOTE_PORT, destination_port=LOCAL_PORT + link.conn, sequence=link.rcv,
            acknowledgment=link.snd, flags=TcpFlag(flags), window=30_000, ip_id=1, payload=data,
        )  # fmt: skip
        return build_segment(replace(fields, **changes), pad=True)  # type: ignore[arg-type]

    def forward(
        self, link: Link, data: bytes = b"", flags: int = 0x18, *, at: int | None = None, **changes: int
    ) -> Sqe:
        """FORWARD of the segment that `frame` makes, without MAC and IP header; its TCP checksum is wrong (G-38)."""
        at = self.page() + 3 if at is None else at
        frame = self.frame(link, data, flags, **changes)
        segment = bytearray(frame[34 : 14 + int.from_bytes(frame[16:18], "big")])
        segment[16] ^= 0x55
        self.memory.write(at, bytes(segment))
        return Sqe(opcode=Opcode.FORWARD, conn=link.conn, gen=link.gen, addr=at, length=len(segment))

    def arrive(self, frame: bytes, *, raw: bool = False) -> None:
        """A frame goes in; ``raw``: it is expected to come up unchanged."""
        if raw:
            self._own_frames.append(frame)
        self.port.arrive(frame)

    def deliver(self, link: Link, data: bytes, flags: int = 0x18) -> None:
        """Data from the far end."""
        self.arrive(self.frame(link, data, flags))
        link.rcv += len(data) + (flags & 1)

    @property
    def raw_ring(self) -> tuple[int, int]:
        """Address and bytes of all raw buffers."""
        return self.driver.raw_area

    def pool_address(self, buf: int) -> int:
        """Where a pool buffer lies."""
        return self.driver.pool_base + buf * POOL_BUF_BYTES


def tagged(frame: bytes, tci: int) -> bytes:
    """The frame with an 802.1Q tag."""
    return frame[:12] + b"\x81\x00" + tci.to_bytes(2, "big") + frame[12:]


def network_order(address: bytes) -> int:
    """An IPv4 address as an image field."""
    return int.from_bytes(address, "little")


NEIGHBOR = NeighborImage(dl_dst=int.from_bytes(LAB_MAC, "little"))
PATH = PathImage(
    family=4, neighbor_id=NEIGHBOR_ID, path_mtu=1500, src_addr=network_order(NIC_IP), dst_addr=network_order(LAB_IP)
)
IMAGE = TcpImage(
    family=4, remote_port=REMOTE_PORT, local_port=LOCAL_PORT, remote_mss=1000, path_id=PATH_ID, initial_rcv_wnd=20_000,
    max_rt=0, ttl=64, state=TcpState.ESTABLISHED, rcv_nxt=5000, rcv_wnd=20_000, snd_una=1000, snd_nxt=1000,
    snd_max=1000, snd_wnd=30_000, max_snd_wnd=30_000, snd_wl1=4999, cwnd=10_000, ssthresh=65_535,
    ka_timeout_delta=TIMER_OFF, rtx_timeout_delta=TIMER_OFF,
)  # fmt: skip


class LabDriver(MiniportDriver):
    """The session's driver, with the lab's entries sorted out of what comes up."""

    lab: Lab | None = None

    @property
    def pool_base(self) -> int:
        """Where pool buffer 0 lies."""
        return self._pool_base

    @property
    def raw_area(self) -> tuple[int, int]:
        """Address and bytes of all raw buffers."""
        return self._raw_base, self.config.raw_bufs * POOL_BUF_BYTES

    @property
    def rings(self) -> tuple[int, int]:
        """Where the submission and the completion ring lie."""
        sq, cq = self._places
        return sq.base, cq.base

    def write_register(self, offset: int, value: int) -> None:
        """A register write behind everything written before."""
        self._port.mmio_write(offset, value)

    def submit_bytes(self, entry: bytes) -> None:
        """Queue an entry with buffer indices."""
        self._sq.push(entry)

    def push_out(self) -> None:
        """Ring the doorbell for what is queued."""
        self._kick()

    def _dispatch(self, cqe: Cqe) -> None:
        if self.lab is not None and self.lab.takes(cqe):
            self.counters[f"lab {CqKind(cqe.kind).name} {Status(cqe.status).name}"] += 1
            if cqe.kind == CqKind.COMMAND:
                self._sq.seen(cqe.sq_index)
            return
        super()._dispatch(cqe)

    def _on_raw(self, cqe: Cqe) -> None:
        frame = self.memory.read(self._raw_base + cqe.buf * POOL_BUF_BYTES, cqe.nbytes)
        if self.lab is not None and cqe.status == Status.OK and self.lab.takes_raw(frame):
            self._repost(self._raw_base, cqe.buf, self._raw_posts)
            return
        super()._on_raw(cqe)


class LabNetwork(Network):
    """The network of the session; frames for the lab's far end go to the lab."""

    plain = False

    lab: Lab | None = None

    def from_nic(self, frame: bytes, tick: int) -> None:
        """The NIC transmitted ``frame``."""
        if self.lab is None or not self.lab.takes_sent(frame):
            super().from_nic(frame, tick)
        else:
            self.aside(frame, tick)


class LabApp(FileTransferApp):
    """Sends no faster than the cases of the lab come, its last bytes behind them: each finds a session under way."""

    lab: Lab | None = None

    @property
    def _to_send(self) -> int:
        whole = super()._to_send
        return whole if self.lab is None or self.lab.over else int(whole * (0.3 + 0.65 * self.lab.share))

    def _disconnect(self) -> bool:
        return (self.lab is None or self.lab.over) and super()._disconnect()


class LabTransfer(Transfer):
    """The session with a lab beside it: it is over when both are."""

    network_type = LabNetwork
    asks_statistics = Ask.NEVER
    lab: Lab | None = None

    @property
    def app_type(self) -> type[FileTransferApp]:
        """One that waits for the lab."""
        return LabApp

    def join(self, lab: Lab) -> None:
        """Run ``lab`` beside the session."""
        assert isinstance(self.network, LabNetwork)
        self.lab = self.network.lab = lab
        for app in self.apps:
            assert isinstance(app, LabApp)
            app.lab = lab
        lab.progress = lambda: self.progress
        lab.on_raw = self.tap.passed_up

    def pump(self) -> bool:
        """Host, then lab."""
        moved = super().pump()
        if self.lab is not None and self.lab.step():
            moved = True
            super().pump()
        return moved

    def on_tick(self, tick: int) -> None:
        """The time of the lab is that of the device."""
        super().on_tick(tick)
        if self.lab is not None:
            self.lab.now = tick

    def next_deadline(self) -> int | None:
        """The next of the session or of the lab."""
        ticks = (super().next_deadline(), None if self.lab is None else self.lab.deadline)
        return min((tick for tick in ticks if tick is not None), default=None)

    @property
    def over(self) -> bool:
        """Session and lab are over."""
        return super().over and (self.lab is None or self.lab.over)
