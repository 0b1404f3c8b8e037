"""The golden device with rings, buffers and one path set up, driven by hand."""

from __future__ import annotations

from dataclasses import replace

from model.device.config import DeviceConfig
from model.device.golden import GoldenDevice
from model.device.records import Journal
from model.layout.generated import (
    CQE_BYTES,
    SQE_BYTES,
    Cqe,
    CqKind,
    Csr,
    NeighborImage,
    Opcode,
    ParamImage,
    PathImage,
    SgElem,
    Sqe,
    Status,
    TcpImage,
)
from model.wire.frame import SegmentFields, TcpFlag, build_segment
from tb.tests.model.tcp_bench import image

SQ, CQ, POOL, RAW, IMAGES, LISTS, DATA = 0x1000, 0x4000, 0x10000, 0x30000, 0x50000, 0x60000, 0x80000
FORWARDED = 0xD0003
MEMORY = 0x100000
NIC_MAC, PEER_MAC = 0x0200_0000_0001, 0x0200_0000_0002
NIC_IP, PEER_IP = 0x0A000001, 0x0A000002
PARAMS = ParamImage(
    ticks_per_second=1000,
    ack_frequency=2,
    delayed_ack_ticks=100,
    max_retransmissions=5,
    dup_ack_threshold=3,
    push_ticks=500,
    nce_stale_ticks=30000,
    rto_min=300,
    rto_max=60000,
    rto_initial=1000,
)
CONFIG = DeviceConfig(conns=8, pool_bufs=32, raw_bufs=8)


def network_bytes(address: int) -> int:
    """An IPv4 address as an image field (network order, little-endian field)."""
    return int.from_bytes(address.to_bytes(4, "big"), "little")


PATH = PathImage(
    family=4, neighbor_id=1, path_mtu=1500, src_addr=network_bytes(NIC_IP), dst_addr=network_bytes(PEER_IP)
)
NEIGHBOR = NeighborImage(dl_dst=int.from_bytes(PEER_MAC.to_bytes(6, "big"), "little"))


class DeviceBench:
    """Driver by hand. ``cqes`` collects the completion ring as the device writes it."""

    def __init__(
        self, seed: int = 1, config: DeviceConfig = CONFIG, *, cq_log2: int = 6, journal: Journal | None = None
    ) -> None:
        self.device = GoldenDevice(memory_bytes=MEMORY, seed=seed, config=config, journal=journal)
        self.cqes: list[Cqe] = []
        self.sent: list[bytes] = []
        self.config = config
        self.cq_size = 1 << cq_log2
        self.sq_size = 64
        self._posted = self._read = self._cookie = 0
        self.auto_read = True
        write = self.device.mmio_write
        write(Csr.MAC_LO, 0x0000_0002)
        write(Csr.MAC_HI, 0x0100)
        write(Csr.SQ_BASE_LO, SQ)
        write(Csr.CQ_BASE_LO, CQ)
        write(Csr.POOL_BASE_LO, POOL)
        write(Csr.RAW_BASE_LO, RAW)
        write(Csr.SQ_SIZE_LOG2, 6)
        write(Csr.CQ_SIZE_LOG2, cq_log2)
        write(Csr.CONTROL, 13)

    # ---- rings ----

    def post(self, sqe: Sqe | bytes) -> int:
        """Queue an entry; its cookie. ``run`` fetches it."""
        if isinstance(sqe, Sqe) and not sqe.cookie:
            self._cookie += 1
            sqe = replace(sqe, cookie=self._cookie)
        raw = sqe if isinstance(sqe, bytes) else sqe.to_bytes()
        self.device.mem.write(SQ + self._posted % self.sq_size * SQE_BYTES, raw)
        self._posted += 1
        self.device.mmio_write(Csr.SQ_TAIL, self._posted % self.sq_size)
        return self._cookie

    def run(self) -> list[Cqe]:
        """Until idle; the entries that came."""
        before = len(self.cqes)
        while True:
            moved = self.device.run()
            if self.auto_read:
                moved |= self.read()
            self.sent += self.device.pop_tx()
            if not moved:
                return self.cqes[before:]

    def read(self) -> bool:
        """Take new entries off the completion ring."""
        start = self._read
        while True:
            raw = self.device.mem.read(CQ + self._read % self.cq_size * CQE_BYTES, CQE_BYTES)
            if raw[31] & 1 == self._read // self.cq_size % 2:
                break
            self.cqes.append(Cqe.from_bytes(raw))
            self._read += 1
        if self._read != start:
            self.device.mmio_write(Csr.CQ_HEAD, self._read % self.cq_size)
        return self._read != start

    def do(self, sqe: Sqe | bytes) -> list[Cqe]:
        """Post and run."""
        self.post(sqe)
        return self.run()

    def with_image(self, opcode: Opcode, data: bytes, conn: int = 0, gen: int = 0) -> list[Cqe]:
        """A command with an image."""
        self.device.mem.write(IMAGES, data)
        return self.do(Sqe(opcode=opcode, conn=conn, gen=gen, addr=IMAGES))

    def posts(self, opcode: Opcode, indices: range | list[int]) -> None:
        """POOL_POST or RAW_POST."""
        todo = list(indices)
        while todo:
            part, todo = todo[:16], todo[16:]
            head = Sqe(opcode=opcode, count=len(part)).to_bytes()[:32]
            self.post(head + b"".join(i.to_bytes(2, "little") for i in part).ljust(32, b"\0"))
        self.run()

    # ---- set-up ----

    def set_up(self) -> None:
        """Parameters, buffers, neighbor 1, path 0."""
        self.with_image(Opcode.PARAM_WRITE, PARAMS.to_bytes())
        self.posts(Opcode.POOL_POST, range(self.config.pool_bufs))
        self.posts(Opcode.RAW_POST, range(self.config.raw_bufs))
        self.with_image(Opcode.NEIGHBOR_WRITE, NEIGHBOR.to_bytes(), conn=1)
        self.with_image(Opcode.PATH_WRITE, PATH.to_bytes(), conn=0)

    def connect(self, conn: int = 0, gen: int = 1, start: bool = True, **changes: int) -> TcpImage:
        """Load and start a connection; its local port is 40000 + conn."""
        state = image(**({"local_port": 40000 + conn} | changes))
        (entry,) = self.with_image(Opcode.INITIATE, state.to_bytes(), conn=conn, gen=gen)
        assert entry.status == Status.OK, Status(entry.status).name
        if start:
            (entry,) = [c for c in self.do(Sqe(opcode=Opcode.START, conn=conn, gen=gen)) if c.kind == CqKind.COMMAND]
            assert entry.status == Status.OK
        return state

    def send(self, data: bytes, conn: int = 0, gen: int = 1, at: int = DATA, last: int = 1, pieces: int = 1) -> int:
        """A SEND of ``data``, cut into ``pieces`` elements."""
        self.device.mem.write(at, data)
        cut = -(-len(data) // pieces)
        slot = LISTS + self._posted % 64 * 256
        parts = [(at + i, min(cut, len(data) - i)) for i in range(0, len(data), cut)]
        self.device.mem.write(slot, b"".join(SgElem(a, n).to_bytes() for a, n in parts))
        return self.post(
            Sqe(opcode=Opcode.SEND, conn=conn, gen=gen, flags=last, count=len(parts), addr=slot, length=len(data))
        )

    # ---- wire ----

    def segment(
        self, conn: int = 0, seq: int = 5000, ack: int = 1000, data: bytes = b"", flags: int = 0x10, window: int = 30000
    ) -> bytes:
        """A frame of the peer."""
        return build_segment(
            SegmentFields(
                destination_mac=NIC_MAC,
                source_mac=PEER_MAC,
                source_ip=PEER_IP,
                destination_ip=NIC_IP,
                source_port=5001,
                destination_port=40000 + conn,
                sequence=seq,
                acknowledgment=ack,
                flags=TcpFlag(flags),
                window=window,
                ip_id=1,
                payload=data,
            ),
            pad=True,
        )

    def arrive(self, frame: bytes) -> list[Cqe]:
        """A frame comes in; what the host hears."""
        self.device.rx_frame(frame)
        return self.run()

    def forward(
        self, conn: int = 0, gen: int = 1, at: int = FORWARDED, length: int | None = None, **fields: int | bytes
    ) -> Sqe:
        """FORWARD of what `segment` makes of ``fields``, from its TCP header on, its checksum damaged."""
        frame = self.segment(conn, **fields)  # type: ignore[arg-type]
        segment = bytearray(frame[34 : 14 + int.from_bytes(frame[16:18], "big")])
        segment[16] ^= 0x55
        self.device.mem.write(at, bytes(segment))
        size = len(segment) if length is None else length
        return Sqe(opcode=Opcode.FORWARD, conn=conn, gen=gen, addr=at, length=size)

    def take_sent(self) -> list[bytes]:
        """Frames that left since the last call."""
        out, self.sent = self.sent, []
        return out

    def tick(self, count: int = 1) -> None:
        """Ticks, each followed by everything that becomes possible."""
        for _ in range(count):
            self.device.tick()
            self.run()


def ready(seed: int = 1, journal: Journal | None = None) -> DeviceBench:
    """A device set up, nothing connected."""
    bench = DeviceBench(seed, journal=journal)
    bench.set_up()
    bench.cqes.clear()
    return bench
