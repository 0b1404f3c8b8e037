# generated from model/layout/layout.toml by `make layout`; do not edit
"""Typed codecs of every layout. Values are unsigned; images are little-endian."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

ID_VALUE = 1128810829
"""CSR ID: ASCII CHIM"""

VERSION_VALUE = 65536
"""CSR VERSION: major.minor"""

SQE_BYTES = 64
"""bytes of a submission entry"""

CQE_BYTES = 32
"""bytes of a completion entry"""

SG_ELEM_BYTES = 16
"""bytes of a scatter-gather element"""

SG_MAX = 16
"""scatter-gather elements a SEND may have"""

POOL_BUF_BYTES = 2048
"""bytes of a pool or raw buffer"""

POOL_BUF_LOG2 = 11
"""log2 of POOL_BUF_BYTES"""

POST_MAX = 16
"""buffer indices a POOL_POST or RAW_POST may carry"""

FRAME_MAX = 1522
"""longest frame the device takes, VLAN tag included, no FCS (bytes)"""

PAWS_SECONDS = 2073600
"""24 days: a TS.Recent older than that says nothing (RFC 7323 5.5)"""

TCP_IMAGE_BYTES = 256
"""const 64 + cached 64 + delegated 128"""

DELEGATED_IMAGE_OFFSET = 128
"""delegated state inside the TCP image"""

DELEGATED_IMAGE_BYTES = 128
"""what TERMINATE writes back"""

PATH_IMAGE_BYTES = 64
"""path image"""

NEIGHBOR_IMAGE_BYTES = 128
"""neighbor image"""

PARAM_IMAGE_BYTES = 64
"""global parameter image"""

TIMER_OFF = 4294967295
"""remaining time of a timer that does not run"""

MAX_RT_NEVER = 4294967295
"""MaxRT: no limit"""

SEND_LEN_MAX = 16777215
"""bytes a SEND entry may carry"""

RCV_WND_MAX = 1073725440
"""largest window: 65535 << 14 rounded down to 16 KiB"""

CWND_MAX = 1073741824
"""congestion window clamp (bytes)"""

IP_ID_BASE = 32768
"""IPv4 identification of offloaded packets: upper half (CH-116)"""

CACHED_IMAGE_BYTES = 64
"""cached part of the TCP image: what UPDATE reads"""

FORWARD_MIN = 20
"""bytes a FORWARD carries at least: a TCP header"""

FORWARD_MAX = 1480
"""bytes a FORWARD carries at most: a segment of 1500 bytes of IP"""

FORWARD_HEAD_BYTES = 64
"""bytes of a forwarded segment that are read for its header"""

FIN_WAIT_2_SECONDS = 120
"""seconds in FIN_WAIT_2 before the upload is asked for"""

CHALLENGE_KA_SECONDS = 300
"""seconds the keep-alive timer is set to by a challenge ACK (CH-201)"""

CHALLENGE_KA_PROBES = 10
"""probes after a challenge when the connection has no count of its own"""

SYN_CHALLENGE_SECONDS = 3
"""seconds between two challenge ACKs for a SYN, at least (CH-198)"""

BACKLOG_GAP = 100
"""ticks between two events SEND_BACKLOG_CHANGE of a connection, at least (CH-213)"""

OOO_MAX = 8
"""out-of-order ranges a connection, at most (parameter OOO_RANGES of the device: 1 to this)"""

SB_RANGES = 8
"""ranges of the SACK scoreboard of a connection"""

CUBIC_BETA = 717
"""of 1024: what CUBIC keeps of the window after a loss, 0.7 (RFC 9438 4.6)"""

CUBIC_FAST = 870
"""of 1024: (1 + 0.7) / 2, fast convergence (RFC 9438 4.7)"""

CUBIC_PART_LOG2 = 10
"""CUBIC_BETA and CUBIC_FAST are parts of 2 to the power of this"""

CUBIC_EST_UP = 9
"""9 / 17 segments a window: the Reno-friendly estimate below cwnd_prior (RFC 9438 4.3)"""

CUBIC_EST_WINDOW = 17
"""see CUBIC_EST_UP"""

CUBIC_C = 450360
"""C = 0.4 segments/s^3 as segments/ms^3, times 2 to the power of CUBIC_C_LOG2 (RFC 9438 5.1)"""

CUBIC_C_LOG2 = 50
"""see CUBIC_C"""

CUBIC_MS_MAX = 131071
"""ms: times of CUBIC saturate here (131 s)"""

IW_BYTES = 14600
"""restart window: min(10 * mss, max(2 * mss, this)) (RFC 6928, RFC 5681 4.1)"""

SACK_RX_MAX = 4
"""SACK blocks of a segment that are looked at"""

CREDIT_BATCH = 16
"""pool credits that are returned together (mechanisms)"""

CONSUMED_BATCH = 16384
"""bytes: upper bound of the CONSUMED threshold"""


class Opcode(IntEnum):
    """enum opcode"""

    NOP = 0
    INITIATE = 1
    START = 2
    SEND = 3
    RECEIVE = 4
    ANSWER = 5
    DISCONNECT = 6
    FORWARD = 7
    UPDATE = 8
    QUERY = 9
    INVALIDATE = 10
    TERMINATE = 11
    PATH_WRITE = 12
    NEIGHBOR_WRITE = 13
    PARAM_WRITE = 14
    RAW_SEND = 15
    RAW_POST = 16
    POOL_POST = 17
    RESUME = 18
    NEIGHBOR_ANSWER = 19
    UPLOAD = 20


class Object(IntEnum):
    """enum object"""

    CONNECTION = 0
    PATH = 1
    NEIGHBOR = 2


class Family(IntEnum):
    """enum family"""

    IPV4 = 4
    IPV6 = 6


class Status(IntEnum):
    """enum status"""

    OK = 0
    BAD_OPCODE = 1
    BAD_CONN = 2
    BAD_LENGTH = 3
    BAD_STATE = 4
    NO_RESOURCES = 5
    NOT_SUPPORTED = 6
    BAD_IMAGE = 7
    DUPLICATE_KEY = 8
    TABLE_FULL = 9
    READ_ERROR = 10
    WRITE_ERROR = 11
    UPLOAD = 12
    ABORTED = 13
    INVALID_STATE = 14
    RCV_WINDOW = 15
    PATH_MTU = 16
    BAD_TOKEN = 17
    BAD_INDEX = 18


class CqKind(IntEnum):
    """enum cq_kind"""

    NONE = 0
    COMMAND = 1
    SEND = 2
    RECEIVE = 3
    INDICATION = 4
    EVENT = 5
    RAW_RX = 6
    RAW_TX = 7
    FORWARD = 8


class TcpEventType(IntEnum):
    """enum tcp_event_type"""

    SEND_BACKLOG_CHANGE = 1
    DISCONNECT = 2
    RETRIEVE = 3
    ABORT = 4
    NEIGHBOR_QUERY = 16


class UploadReason(IntEnum):
    """enum upload_reason"""

    NONE = 0
    LOW_ACTIVITY = 1
    HIGH_DROP_RATE = 2
    SMALL_IO = 3
    NO_BUFFER_PREPOSTING = 4
    RECEIVED_URGENT_DATA = 5
    HIGH_FRAGMENTATION = 6
    HIGH_OUT_OF_ORDER = 7
    TIMEOUT_EXPIRATION = 8
    INVALID_STATE = 9
    UPLOAD_REQUESTED = 10
    HARDWARE_FAILURE = 11


class TcpState(IntEnum):
    """enum tcp_state"""

    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RCVD = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10


class Phase(IntEnum):
    """enum phase"""

    FREE = 0
    LOADED = 1
    RUNNING = 2
    FROZEN = 3


class TcpEvt(IntEnum):
    """enum tcp_evt"""

    NONE = 0
    COMMAND = 1
    RX_SEGMENT = 2
    TX_GRANT = 3
    TIMER = 4
    CONSUMED = 5
    CREDIT = 6
    FENCE_DONE = 7
    FAULT = 8


class DlvEvt(IntEnum):
    """enum dlv_evt"""

    NONE = 0
    DELIVER = 1
    LOAD = 2
    START = 3
    FREEZE = 4
    NOTIFY = 5
    RECEIVE = 6
    ANSWER = 7
    RESUME = 8
    POOL_POST = 9
    TIMER = 10
    CONTINUE = 11
    DROP_DCB = 12
    UPDATE = 13
    FLUSH = 14
    HOLD = 15


class TxKind(IntEnum):
    """enum tx_kind"""

    NONE = 0
    SEGMENT = 1
    APPEND = 2
    RELEASE = 3
    FENCE = 4
    HDR_CONN = 5
    HDR_PATH = 6
    HDR_NEIGHBOR = 7
    BARRIER = 8


class Verdict(IntEnum):
    """enum verdict"""

    NONE = 0
    DELIVER = 1
    DROP = 2
    PASS_UP = 3


class RxClass(IntEnum):
    """enum rx_class"""

    SEGMENT = 0
    RAW = 1
    DROP = 2


class RxReason(IntEnum):
    """enum rx_reason"""

    NONE = 0
    BAD_IP_CHECKSUM = 1
    BAD_TCP_CHECKSUM = 2
    BAD_LENGTH = 3
    TOO_LONG = 4
    NO_SPACE = 5
    NOT_OFFLOADED = 6
    NOT_TCP = 7
    DISABLED = 8


class PlOp(IntEnum):
    """enum pl_op"""

    NONE = 0
    PLACE = 1
    COPY = 2
    LIST_WRITE = 3


class CqSource(IntEnum):
    """enum cq_source"""

    DECODE = 0
    TCP = 1
    DELIVERY = 2
    SEND = 3
    STATE = 4
    RAW_RX = 5
    RAW_TX = 6
    INVALIDATE = 7


class RdClient(IntEnum):
    """enum rd_client"""

    DESCRIPTOR = 0
    IMAGE = 1
    LIST = 2
    PAYLOAD = 3
    COPY = 4


class WrClient(IntEnum):
    """enum wr_client"""

    PLACER = 0
    COMPLETION = 1
    STATE = 2


class TxRecKind(IntEnum):
    """enum tx_rec_kind"""

    SEGMENT = 0
    RAW = 1
    DISCARDED = 2


class Csr(IntEnum):
    """Register offsets in bytes."""

    ID = 0x000
    VERSION = 0x004
    CAPS = 0x008
    CAPS2 = 0x00C
    CONTROL = 0x010
    STATUS = 0x014
    ERROR = 0x018
    TICK = 0x01C
    TICK_PRESCALE = 0x020
    IRQ_CAUSE = 0x024
    MAC_LO = 0x028
    MAC_HI = 0x02C
    SQ_BASE_LO = 0x030
    SQ_BASE_HI = 0x034
    SQ_SIZE_LOG2 = 0x038
    SQ_TAIL = 0x03C
    SQ_HEAD = 0x040
    CQ_BASE_LO = 0x050
    CQ_BASE_HI = 0x054
    CQ_SIZE_LOG2 = 0x058
    CQ_HEAD = 0x05C
    CQ_TAIL = 0x060
    POOL_BASE_LO = 0x070
    POOL_BASE_HI = 0x074
    RAW_BASE_LO = 0x078
    RAW_BASE_HI = 0x07C
    CNT_RX_FRAMES = 0x100
    CNT_RX_RAW = 0x104
    CNT_RX_BAD_SUM = 0x108
    CNT_RX_BAD_LEN = 0x10C
    CNT_RX_NO_SPACE = 0x110
    CNT_RX_SEGMENTS = 0x114
    CNT_RX_RAW_NO_BUF = 0x118
    CNT_TX_SEGMENTS = 0x120
    CNT_TX_RAW = 0x124
    CNT_TX_DISCARDED = 0x128
    CNT_CMD_ERRORS = 0x130
    CNT_FAULTS = 0x134
    ST4_IN_SEGMENTS_LO = 0x140
    ST4_IN_SEGMENTS_HI = 0x144
    ST4_IN_RECEIVES_LO = 0x148
    ST4_IN_RECEIVES_HI = 0x14C
    ST4_IN_OCTETS_LO = 0x150
    ST4_IN_OCTETS_HI = 0x154
    ST4_OUT_SEGMENTS_LO = 0x158
    ST4_OUT_SEGMENTS_HI = 0x15C
    ST4_OUT_REQUESTS_LO = 0x160
    ST4_OUT_REQUESTS_HI = 0x164
    ST4_OUT_OCTETS_LO = 0x168
    ST4_OUT_OCTETS_HI = 0x16C
    ST4_RETRANSMITTED = 0x170
    ST4_OUT_RESETS = 0x174
    ST4_RESET_ESTABLISHED = 0x178
    ST4_ESTABLISHED = 0x17C
    ST4_OUT_DISCARDS = 0x180
    ST6_IN_SEGMENTS_LO = 0x1A0
    ST6_IN_SEGMENTS_HI = 0x1A4
    ST6_IN_RECEIVES_LO = 0x1A8
    ST6_IN_RECEIVES_HI = 0x1AC
    ST6_IN_OCTETS_LO = 0x1B0
    ST6_IN_OCTETS_HI = 0x1B4
    ST6_OUT_SEGMENTS_LO = 0x1B8
    ST6_OUT_SEGMENTS_HI = 0x1BC
    ST6_OUT_REQUESTS_LO = 0x1C0
    ST6_OUT_REQUESTS_HI = 0x1C4
    ST6_OUT_OCTETS_LO = 0x1C8
    ST6_OUT_OCTETS_HI = 0x1CC
    ST6_RETRANSMITTED = 0x1D0
    ST6_OUT_RESETS = 0x1D4
    ST6_RESET_ESTABLISHED = 0x1D8
    ST6_ESTABLISHED = 0x1DC
    ST6_OUT_DISCARDS = 0x1E0


@dataclass(frozen=True, slots=True)
class Sqe:
    """submission entry"""

    WIDTH: ClassVar[int] = 512
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "opcode": (0, 8),
        "flags": (8, 8),
        "conn": (16, 16),
        "gen": (32, 8),
        "rsvd0": (40, 8),
        "count": (48, 16),
        "cookie": (64, 64),
        "addr": (128, 64),
        "length": (192, 32),
        "arg": (224, 32),
        "addr2": (256, 64),
        "rsvd1": (320, 64),
        "rsvd2": (384, 64),
        "rsvd3": (448, 64),
    }
    opcode: int = 0
    flags: int = 0
    conn: int = 0
    gen: int = 0
    rsvd0: int = 0
    count: int = 0
    cookie: int = 0
    addr: int = 0
    length: int = 0
    arg: int = 0
    addr2: int = 0
    rsvd1: int = 0
    rsvd2: int = 0
    rsvd3: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.opcode >> 8:
            raise ValueError(f"sqe.opcode = {self.opcode:#x} does not fit in 8 bits")
        value |= self.opcode
        if self.flags >> 8:
            raise ValueError(f"sqe.flags = {self.flags:#x} does not fit in 8 bits")
        value |= self.flags << 8
        if self.conn >> 16:
            raise ValueError(f"sqe.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 16
        if self.gen >> 8:
            raise ValueError(f"sqe.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 32
        if self.rsvd0 >> 8:
            raise ValueError(f"sqe.rsvd0 = {self.rsvd0:#x} does not fit in 8 bits")
        value |= self.rsvd0 << 40
        if self.count >> 16:
            raise ValueError(f"sqe.count = {self.count:#x} does not fit in 16 bits")
        value |= self.count << 48
        if self.cookie >> 64:
            raise ValueError(f"sqe.cookie = {self.cookie:#x} does not fit in 64 bits")
        value |= self.cookie << 64
        if self.addr >> 64:
            raise ValueError(f"sqe.addr = {self.addr:#x} does not fit in 64 bits")
        value |= self.addr << 128
        if self.length >> 32:
            raise ValueError(f"sqe.length = {self.length:#x} does not fit in 32 bits")
        value |= self.length << 192
        if self.arg >> 32:
            raise ValueError(f"sqe.arg = {self.arg:#x} does not fit in 32 bits")
        value |= self.arg << 224
        if self.addr2 >> 64:
            raise ValueError(f"sqe.addr2 = {self.addr2:#x} does not fit in 64 bits")
        value |= self.addr2 << 256
        if self.rsvd1 >> 64:
            raise ValueError(f"sqe.rsvd1 = {self.rsvd1:#x} does not fit in 64 bits")
        value |= self.rsvd1 << 320
        if self.rsvd2 >> 64:
            raise ValueError(f"sqe.rsvd2 = {self.rsvd2:#x} does not fit in 64 bits")
        value |= self.rsvd2 << 384
        if self.rsvd3 >> 64:
            raise ValueError(f"sqe.rsvd3 = {self.rsvd3:#x} does not fit in 64 bits")
        value |= self.rsvd3 << 448
        return value

    @classmethod
    def unpack(cls, value: int) -> Sqe:
        """Fields of a packed vector."""
        return cls(
            value & 0xff,
            (value >> 8) & 0xff,
            (value >> 16) & 0xffff,
            (value >> 32) & 0xff,
            (value >> 40) & 0xff,
            (value >> 48) & 0xffff,
            (value >> 64) & 0xffffffffffffffff,
            (value >> 128) & 0xffffffffffffffff,
            (value >> 192) & 0xffffffff,
            (value >> 224) & 0xffffffff,
            (value >> 256) & 0xffffffffffffffff,
            (value >> 320) & 0xffffffffffffffff,
            (value >> 384) & 0xffffffffffffffff,
            (value >> 448) & 0xffffffffffffffff,
        )

    def to_bytes(self) -> bytes:
        """The 64 bytes in host memory."""
        return self.pack().to_bytes(64, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> Sqe:
        """Decode 64 bytes; raises ValueError on another length."""
        if len(data) != 64:
            raise ValueError(f"sqe: {len(data)} bytes given, 64 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class PostList:
    """bytes 32..63 of a POOL_POST or RAW_POST entry: up to 16 buffer indices of 16 bits"""

    WIDTH: ClassVar[int] = 256
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "idx0": (0, 16),
        "idx1": (16, 16),
        "idx2": (32, 16),
        "idx3": (48, 16),
        "idx4": (64, 16),
        "idx5": (80, 16),
        "idx6": (96, 16),
        "idx7": (112, 16),
        "idx8": (128, 16),
        "idx9": (144, 16),
        "idx10": (160, 16),
        "idx11": (176, 16),
        "idx12": (192, 16),
        "idx13": (208, 16),
        "idx14": (224, 16),
        "idx15": (240, 16),
    }
    idx0: int = 0
    idx1: int = 0
    idx2: int = 0
    idx3: int = 0
    idx4: int = 0
    idx5: int = 0
    idx6: int = 0
    idx7: int = 0
    idx8: int = 0
    idx9: int = 0
    idx10: int = 0
    idx11: int = 0
    idx12: int = 0
    idx13: int = 0
    idx14: int = 0
    idx15: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.idx0 >> 16:
            raise ValueError(f"post_list.idx0 = {self.idx0:#x} does not fit in 16 bits")
        value |= self.idx0
        if self.idx1 >> 16:
            raise ValueError(f"post_list.idx1 = {self.idx1:#x} does not fit in 16 bits")
        value |= self.idx1 << 16
        if self.idx2 >> 16:
            raise ValueError(f"post_list.idx2 = {self.idx2:#x} does not fit in 16 bits")
        value |= self.idx2 << 32
        if self.idx3 >> 16:
            raise ValueError(f"post_list.idx3 = {self.idx3:#x} does not fit in 16 bits")
        value |= self.idx3 << 48
        if self.idx4 >> 16:
            raise ValueError(f"post_list.idx4 = {self.idx4:#x} does not fit in 16 bits")
        value |= self.idx4 << 64
        if self.idx5 >> 16:
            raise ValueError(f"post_list.idx5 = {self.idx5:#x} does not fit in 16 bits")
        value |= self.idx5 << 80
        if self.idx6 >> 16:
            raise ValueError(f"post_list.idx6 = {self.idx6:#x} does not fit in 16 bits")
        value |= self.idx6 << 96
        if self.idx7 >> 16:
            raise ValueError(f"post_list.idx7 = {self.idx7:#x} does not fit in 16 bits")
        value |= self.idx7 << 112
        if self.idx8 >> 16:
            raise ValueError(f"post_list.idx8 = {self.idx8:#x} does not fit in 16 bits")
        value |= self.idx8 << 128
        if self.idx9 >> 16:
            raise ValueError(f"post_list.idx9 = {self.idx9:#x} does not fit in 16 bits")
        value |= self.idx9 << 144
        if self.idx10 >> 16:
            raise ValueError(f"post_list.idx10 = {self.idx10:#x} does not fit in 16 bits")
        value |= self.idx10 << 160
        if self.idx11 >> 16:
            raise ValueError(f"post_list.idx11 = {self.idx11:#x} does not fit in 16 bits")
        value |= self.idx11 << 176
        if self.idx12 >> 16:
            raise ValueError(f"post_list.idx12 = {self.idx12:#x} does not fit in 16 bits")
        value |= self.idx12 << 192
        if self.idx13 >> 16:
            raise ValueError(f"post_list.idx13 = {self.idx13:#x} does not fit in 16 bits")
        value |= self.idx13 << 208
        if self.idx14 >> 16:
            raise ValueError(f"post_list.idx14 = {self.idx14:#x} does not fit in 16 bits")
        value |= self.idx14 << 224
        if self.idx15 >> 16:
            raise ValueError(f"post_list.idx15 = {self.idx15:#x} does not fit in 16 bits")
        value |= self.idx15 << 240
        return value

    @classmethod
    def unpack(cls, value: int) -> PostList:
        """Fields of a packed vector."""
        return cls(
            value & 0xffff,
            (value >> 16) & 0xffff,
            (value >> 32) & 0xffff,
            (value >> 48) & 0xffff,
            (value >> 64) & 0xffff,
            (value >> 80) & 0xffff,
            (value >> 96) & 0xffff,
            (value >> 112) & 0xffff,
            (value >> 128) & 0xffff,
            (value >> 144) & 0xffff,
            (value >> 160) & 0xffff,
            (value >> 176) & 0xffff,
            (value >> 192) & 0xffff,
            (value >> 208) & 0xffff,
            (value >> 224) & 0xffff,
            (value >> 240) & 0xffff,
        )

    def to_bytes(self) -> bytes:
        """The 32 bytes in host memory."""
        return self.pack().to_bytes(32, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> PostList:
        """Decode 32 bytes; raises ValueError on another length."""
        if len(data) != 32:
            raise ValueError(f"post_list: {len(data)} bytes given, 32 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class SgElem:
    """scatter-gather element"""

    WIDTH: ClassVar[int] = 128
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "addr": (0, 64),
        "length": (64, 32),
        "rsvd": (96, 32),
    }
    addr: int = 0
    length: int = 0
    rsvd: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.addr >> 64:
            raise ValueError(f"sg_elem.addr = {self.addr:#x} does not fit in 64 bits")
        value |= self.addr
        if self.length >> 32:
            raise ValueError(f"sg_elem.length = {self.length:#x} does not fit in 32 bits")
        value |= self.length << 64
        if self.rsvd >> 32:
            raise ValueError(f"sg_elem.rsvd = {self.rsvd:#x} does not fit in 32 bits")
        value |= self.rsvd << 96
        return value

    @classmethod
    def unpack(cls, value: int) -> SgElem:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffffffffffff,
            (value >> 64) & 0xffffffff,
            (value >> 96) & 0xffffffff,
        )

    def to_bytes(self) -> bytes:
        """The 16 bytes in host memory."""
        return self.pack().to_bytes(16, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> SgElem:
        """Decode 16 bytes; raises ValueError on another length."""
        if len(data) != 16:
            raise ValueError(f"sg_elem: {len(data)} bytes given, 16 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class Cqe:
    """completion entry: completions and indications; the phase bit is in the last byte"""

    WIDTH: ClassVar[int] = 256
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "kind": (0, 8),
        "status": (8, 8),
        "conn": (16, 16),
        "gen": (32, 8),
        "code": (40, 8),
        "offset": (48, 16),
        "cookie": (64, 64),
        "nbytes": (128, 32),
        "info": (160, 32),
        "buf": (192, 16),
        "sq_index": (208, 16),
        "rsvd": (224, 24),
        "phase": (248, 8),
    }
    kind: int = 0
    status: int = 0
    conn: int = 0
    gen: int = 0
    code: int = 0
    offset: int = 0
    cookie: int = 0
    nbytes: int = 0
    info: int = 0
    buf: int = 0
    sq_index: int = 0
    rsvd: int = 0
    phase: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.kind >> 8:
            raise ValueError(f"cqe.kind = {self.kind:#x} does not fit in 8 bits")
        value |= self.kind
        if self.status >> 8:
            raise ValueError(f"cqe.status = {self.status:#x} does not fit in 8 bits")
        value |= self.status << 8
        if self.conn >> 16:
            raise ValueError(f"cqe.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 16
        if self.gen >> 8:
            raise ValueError(f"cqe.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 32
        if self.code >> 8:
            raise ValueError(f"cqe.code = {self.code:#x} does not fit in 8 bits")
        value |= self.code << 40
        if self.offset >> 16:
            raise ValueError(f"cqe.offset = {self.offset:#x} does not fit in 16 bits")
        value |= self.offset << 48
        if self.cookie >> 64:
            raise ValueError(f"cqe.cookie = {self.cookie:#x} does not fit in 64 bits")
        value |= self.cookie << 64
        if self.nbytes >> 32:
            raise ValueError(f"cqe.nbytes = {self.nbytes:#x} does not fit in 32 bits")
        value |= self.nbytes << 128
        if self.info >> 32:
            raise ValueError(f"cqe.info = {self.info:#x} does not fit in 32 bits")
        value |= self.info << 160
        if self.buf >> 16:
            raise ValueError(f"cqe.buf = {self.buf:#x} does not fit in 16 bits")
        value |= self.buf << 192
        if self.sq_index >> 16:
            raise ValueError(f"cqe.sq_index = {self.sq_index:#x} does not fit in 16 bits")
        value |= self.sq_index << 208
        if self.rsvd >> 24:
            raise ValueError(f"cqe.rsvd = {self.rsvd:#x} does not fit in 24 bits")
        value |= self.rsvd << 224
        if self.phase >> 8:
            raise ValueError(f"cqe.phase = {self.phase:#x} does not fit in 8 bits")
        value |= self.phase << 248
        return value

    @classmethod
    def unpack(cls, value: int) -> Cqe:
        """Fields of a packed vector."""
        return cls(
            value & 0xff,
            (value >> 8) & 0xff,
            (value >> 16) & 0xffff,
            (value >> 32) & 0xff,
            (value >> 40) & 0xff,
            (value >> 48) & 0xffff,
            (value >> 64) & 0xffffffffffffffff,
            (value >> 128) & 0xffffffff,
            (value >> 160) & 0xffffffff,
            (value >> 192) & 0xffff,
            (value >> 208) & 0xffff,
            (value >> 224) & 0xffffff,
            (value >> 248) & 0xff,
        )

    def to_bytes(self) -> bytes:
        """The 32 bytes in host memory."""
        return self.pack().to_bytes(32, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> Cqe:
        """Decode 32 bytes; raises ValueError on another length."""
        if len(data) != 32:
            raise ValueError(f"cqe: {len(data)} bytes given, 32 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class LeftOver:
    """element of the TERMINATE array; element 0 holds the number of elements that follow in `buf` and 0 elsewhere"""

    WIDTH: ClassVar[int] = 64
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "buf": (0, 16),
        "offset": (16, 16),
        "length": (32, 16),
        "rsvd": (48, 16),
    }
    buf: int = 0
    offset: int = 0
    length: int = 0
    rsvd: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.buf >> 16:
            raise ValueError(f"left_over.buf = {self.buf:#x} does not fit in 16 bits")
        value |= self.buf
        if self.offset >> 16:
            raise ValueError(f"left_over.offset = {self.offset:#x} does not fit in 16 bits")
        value |= self.offset << 16
        if self.length >> 16:
            raise ValueError(f"left_over.length = {self.length:#x} does not fit in 16 bits")
        value |= self.length << 32
        if self.rsvd >> 16:
            raise ValueError(f"left_over.rsvd = {self.rsvd:#x} does not fit in 16 bits")
        value |= self.rsvd << 48
        return value

    @classmethod
    def unpack(cls, value: int) -> LeftOver:
        """Fields of a packed vector."""
        return cls(
            value & 0xffff,
            (value >> 16) & 0xffff,
            (value >> 32) & 0xffff,
            (value >> 48) & 0xffff,
        )

    def to_bytes(self) -> bytes:
        """The 8 bytes in host memory."""
        return self.pack().to_bytes(8, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> LeftOver:
        """Decode 8 bytes; raises ValueError on another length."""
        if len(data) != 8:
            raise ValueError(f"left_over: {len(data)} bytes given, 8 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class TcpImage:
    """TCP state object at INITIATE: const (0..63), cached (64..127), delegated (128..255)"""

    WIDTH: ClassVar[int] = 2048
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "family": (0, 8),
        "const_flags": (16, 16),
        "remote_port": (32, 16),
        "local_port": (48, 16),
        "snd_wind_scale": (64, 8),
        "rcv_wind_scale": (72, 8),
        "remote_mss": (80, 16),
        "hash_value": (96, 32),
        "path_id": (128, 16),
        "old_segs": (160, 16),
        "ooo_segs": (176, 16),
        "cached_flags": (512, 16),
        "initial_rcv_wnd": (544, 32),
        "rcv_indication_size": (576, 32),
        "ka_probe_count": (608, 8),
        "ka_timeout": (640, 32),
        "ka_interval": (672, 32),
        "max_rt": (704, 32),
        "flow_label": (736, 32),
        "ttl": (768, 8),
        "tos": (776, 8),
        "user_priority": (784, 8),
        "state": (1024, 32),
        "dlg_flags": (1056, 16),
        "rcv_nxt": (1088, 32),
        "rcv_wnd": (1120, 32),
        "snd_una": (1152, 32),
        "snd_nxt": (1184, 32),
        "snd_max": (1216, 32),
        "snd_wnd": (1248, 32),
        "max_snd_wnd": (1280, 32),
        "snd_wl1": (1312, 32),
        "cwnd": (1344, 32),
        "ssthresh": (1376, 32),
        "srtt": (1408, 16),
        "rttvar": (1424, 16),
        "ts_recent": (1440, 32),
        "ts_recent_age": (1472, 32),
        "ts_time": (1504, 32),
        "total_rt": (1536, 32),
        "dup_ack_count": (1568, 8),
        "snd_wnd_probe_count": (1576, 8),
        "ka_probes_sent": (1584, 8),
        "rtx_count": (1592, 8),
        "ka_timeout_delta": (1600, 32),
        "rtx_timeout_delta": (1632, 32),
        "send_backlog_size": (1664, 32),
        "receive_backlog_size": (1696, 32),
        "dwnd": (1728, 32),
    }
    family: int = 0
    const_flags: int = 0
    remote_port: int = 0
    local_port: int = 0
    snd_wind_scale: int = 0
    rcv_wind_scale: int = 0
    remote_mss: int = 0
    hash_value: int = 0
    path_id: int = 0
    old_segs: int = 0
    ooo_segs: int = 0
    cached_flags: int = 0
    initial_rcv_wnd: int = 0
    rcv_indication_size: int = 0
    ka_probe_count: int = 0
    ka_timeout: int = 0
    ka_interval: int = 0
    max_rt: int = 0
    flow_label: int = 0
    ttl: int = 0
    tos: int = 0
    user_priority: int = 0
    state: int = 0
    dlg_flags: int = 0
    rcv_nxt: int = 0
    rcv_wnd: int = 0
    snd_una: int = 0
    snd_nxt: int = 0
    snd_max: int = 0
    snd_wnd: int = 0
    max_snd_wnd: int = 0
    snd_wl1: int = 0
    cwnd: int = 0
    ssthresh: int = 0
    srtt: int = 0
    rttvar: int = 0
    ts_recent: int = 0
    ts_recent_age: int = 0
    ts_time: int = 0
    total_rt: int = 0
    dup_ack_count: int = 0
    snd_wnd_probe_count: int = 0
    ka_probes_sent: int = 0
    rtx_count: int = 0
    ka_timeout_delta: int = 0
    rtx_timeout_delta: int = 0
    send_backlog_size: int = 0
    receive_backlog_size: int = 0
    dwnd: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.family >> 8:
            raise ValueError(f"tcp_image.family = {self.family:#x} does not fit in 8 bits")
        value |= self.family
        if self.const_flags >> 16:
            raise ValueError(f"tcp_image.const_flags = {self.const_flags:#x} does not fit in 16 bits")
        value |= self.const_flags << 16
        if self.remote_port >> 16:
            raise ValueError(f"tcp_image.remote_port = {self.remote_port:#x} does not fit in 16 bits")
        value |= self.remote_port << 32
        if self.local_port >> 16:
            raise ValueError(f"tcp_image.local_port = {self.local_port:#x} does not fit in 16 bits")
        value |= self.local_port << 48
        if self.snd_wind_scale >> 8:
            raise ValueError(f"tcp_image.snd_wind_scale = {self.snd_wind_scale:#x} does not fit in 8 bits")
        value |= self.snd_wind_scale << 64
        if self.rcv_wind_scale >> 8:
            raise ValueError(f"tcp_image.rcv_wind_scale = {self.rcv_wind_scale:#x} does not fit in 8 bits")
        value |= self.rcv_wind_scale << 72
        if self.remote_mss >> 16:
            raise ValueError(f"tcp_image.remote_mss = {self.remote_mss:#x} does not fit in 16 bits")
        value |= self.remote_mss << 80
        if self.hash_value >> 32:
            raise ValueError(f"tcp_image.hash_value = {self.hash_value:#x} does not fit in 32 bits")
        value |= self.hash_value << 96
        if self.path_id >> 16:
            raise ValueError(f"tcp_image.path_id = {self.path_id:#x} does not fit in 16 bits")
        value |= self.path_id << 128
        if self.old_segs >> 16:
            raise ValueError(f"tcp_image.old_segs = {self.old_segs:#x} does not fit in 16 bits")
        value |= self.old_segs << 160
        if self.ooo_segs >> 16:
            raise ValueError(f"tcp_image.ooo_segs = {self.ooo_segs:#x} does not fit in 16 bits")
        value |= self.ooo_segs << 176
        if self.cached_flags >> 16:
            raise ValueError(f"tcp_image.cached_flags = {self.cached_flags:#x} does not fit in 16 bits")
        value |= self.cached_flags << 512
        if self.initial_rcv_wnd >> 32:
            raise ValueError(f"tcp_image.initial_rcv_wnd = {self.initial_rcv_wnd:#x} does not fit in 32 bits")
        value |= self.initial_rcv_wnd << 544
        if self.rcv_indication_size >> 32:
            raise ValueError(f"tcp_image.rcv_indication_size = {self.rcv_indication_size:#x} does not fit in 32 bits")
        value |= self.rcv_indication_size << 576
        if self.ka_probe_count >> 8:
            raise ValueError(f"tcp_image.ka_probe_count = {self.ka_probe_count:#x} does not fit in 8 bits")
        value |= self.ka_probe_count << 608
        if self.ka_timeout >> 32:
            raise ValueError(f"tcp_image.ka_timeout = {self.ka_timeout:#x} does not fit in 32 bits")
        value |= self.ka_timeout << 640
        if self.ka_interval >> 32:
            raise ValueError(f"tcp_image.ka_interval = {self.ka_interval:#x} does not fit in 32 bits")
        value |= self.ka_interval << 672
        if self.max_rt >> 32:
            raise ValueError(f"tcp_image.max_rt = {self.max_rt:#x} does not fit in 32 bits")
        value |= self.max_rt << 704
        if self.flow_label >> 32:
            raise ValueError(f"tcp_image.flow_label = {self.flow_label:#x} does not fit in 32 bits")
        value |= self.flow_label << 736
        if self.ttl >> 8:
            raise ValueError(f"tcp_image.ttl = {self.ttl:#x} does not fit in 8 bits")
        value |= self.ttl << 768
        if self.tos >> 8:
            raise ValueError(f"tcp_image.tos = {self.tos:#x} does not fit in 8 bits")
        value |= self.tos << 776
        if self.user_priority >> 8:
            raise ValueError(f"tcp_image.user_priority = {self.user_priority:#x} does not fit in 8 bits")
        value |= self.user_priority << 784
        if self.state >> 32:
            raise ValueError(f"tcp_image.state = {self.state:#x} does not fit in 32 bits")
        value |= self.state << 1024
        if self.dlg_flags >> 16:
            raise ValueError(f"tcp_image.dlg_flags = {self.dlg_flags:#x} does not fit in 16 bits")
        value |= self.dlg_flags << 1056
        if self.rcv_nxt >> 32:
            raise ValueError(f"tcp_image.rcv_nxt = {self.rcv_nxt:#x} does not fit in 32 bits")
        value |= self.rcv_nxt << 1088
        if self.rcv_wnd >> 32:
            raise ValueError(f"tcp_image.rcv_wnd = {self.rcv_wnd:#x} does not fit in 32 bits")
        value |= self.rcv_wnd << 1120
        if self.snd_una >> 32:
            raise ValueError(f"tcp_image.snd_una = {self.snd_una:#x} does not fit in 32 bits")
        value |= self.snd_una << 1152
        if self.snd_nxt >> 32:
            raise ValueError(f"tcp_image.snd_nxt = {self.snd_nxt:#x} does not fit in 32 bits")
        value |= self.snd_nxt << 1184
        if self.snd_max >> 32:
            raise ValueError(f"tcp_image.snd_max = {self.snd_max:#x} does not fit in 32 bits")
        value |= self.snd_max << 1216
        if self.snd_wnd >> 32:
            raise ValueError(f"tcp_image.snd_wnd = {self.snd_wnd:#x} does not fit in 32 bits")
        value |= self.snd_wnd << 1248
        if self.max_snd_wnd >> 32:
            raise ValueError(f"tcp_image.max_snd_wnd = {self.max_snd_wnd:#x} does not fit in 32 bits")
        value |= self.max_snd_wnd << 1280
        if self.snd_wl1 >> 32:
            raise ValueError(f"tcp_image.snd_wl1 = {self.snd_wl1:#x} does not fit in 32 bits")
        value |= self.snd_wl1 << 1312
        if self.cwnd >> 32:
            raise ValueError(f"tcp_image.cwnd = {self.cwnd:#x} does not fit in 32 bits")
        value |= self.cwnd << 1344
        if self.ssthresh >> 32:
            raise ValueError(f"tcp_image.ssthresh = {self.ssthresh:#x} does not fit in 32 bits")
        value |= self.ssthresh << 1376
        if self.srtt >> 16:
            raise ValueError(f"tcp_image.srtt = {self.srtt:#x} does not fit in 16 bits")
        value |= self.srtt << 1408
        if self.rttvar >> 16:
            raise ValueError(f"tcp_image.rttvar = {self.rttvar:#x} does not fit in 16 bits")
        value |= self.rttvar << 1424
        if self.ts_recent >> 32:
            raise ValueError(f"tcp_image.ts_recent = {self.ts_recent:#x} does not fit in 32 bits")
        value |= self.ts_recent << 1440
        if self.ts_recent_age >> 32:
            raise ValueError(f"tcp_image.ts_recent_age = {self.ts_recent_age:#x} does not fit in 32 bits")
        value |= self.ts_recent_age << 1472
        if self.ts_time >> 32:
            raise ValueError(f"tcp_image.ts_time = {self.ts_time:#x} does not fit in 32 bits")
        value |= self.ts_time << 1504
        if self.total_rt >> 32:
            raise ValueError(f"tcp_image.total_rt = {self.total_rt:#x} does not fit in 32 bits")
        value |= self.total_rt << 1536
        if self.dup_ack_count >> 8:
            raise ValueError(f"tcp_image.dup_ack_count = {self.dup_ack_count:#x} does not fit in 8 bits")
        value |= self.dup_ack_count << 1568
        if self.snd_wnd_probe_count >> 8:
            raise ValueError(f"tcp_image.snd_wnd_probe_count = {self.snd_wnd_probe_count:#x} does not fit in 8 bits")
        value |= self.snd_wnd_probe_count << 1576
        if self.ka_probes_sent >> 8:
            raise ValueError(f"tcp_image.ka_probes_sent = {self.ka_probes_sent:#x} does not fit in 8 bits")
        value |= self.ka_probes_sent << 1584
        if self.rtx_count >> 8:
            raise ValueError(f"tcp_image.rtx_count = {self.rtx_count:#x} does not fit in 8 bits")
        value |= self.rtx_count << 1592
        if self.ka_timeout_delta >> 32:
            raise ValueError(f"tcp_image.ka_timeout_delta = {self.ka_timeout_delta:#x} does not fit in 32 bits")
        value |= self.ka_timeout_delta << 1600
        if self.rtx_timeout_delta >> 32:
            raise ValueError(f"tcp_image.rtx_timeout_delta = {self.rtx_timeout_delta:#x} does not fit in 32 bits")
        value |= self.rtx_timeout_delta << 1632
        if self.send_backlog_size >> 32:
            raise ValueError(f"tcp_image.send_backlog_size = {self.send_backlog_size:#x} does not fit in 32 bits")
        value |= self.send_backlog_size << 1664
        if self.receive_backlog_size >> 32:
            raise ValueError(f"tcp_image.receive_backlog_size = {self.receive_backlog_size:#x} does not fit in 32 bits")
        value |= self.receive_backlog_size << 1696
        if self.dwnd >> 32:
            raise ValueError(f"tcp_image.dwnd = {self.dwnd:#x} does not fit in 32 bits")
        value |= self.dwnd << 1728
        return value

    @classmethod
    def unpack(cls, value: int) -> TcpImage:
        """Fields of a packed vector."""
        return cls(
            value & 0xff,
            (value >> 16) & 0xffff,
            (value >> 32) & 0xffff,
            (value >> 48) & 0xffff,
            (value >> 64) & 0xff,
            (value >> 72) & 0xff,
            (value >> 80) & 0xffff,
            (value >> 96) & 0xffffffff,
            (value >> 128) & 0xffff,
            (value >> 160) & 0xffff,
            (value >> 176) & 0xffff,
            (value >> 512) & 0xffff,
            (value >> 544) & 0xffffffff,
            (value >> 576) & 0xffffffff,
            (value >> 608) & 0xff,
            (value >> 640) & 0xffffffff,
            (value >> 672) & 0xffffffff,
            (value >> 704) & 0xffffffff,
            (value >> 736) & 0xffffffff,
            (value >> 768) & 0xff,
            (value >> 776) & 0xff,
            (value >> 784) & 0xff,
            (value >> 1024) & 0xffffffff,
            (value >> 1056) & 0xffff,
            (value >> 1088) & 0xffffffff,
            (value >> 1120) & 0xffffffff,
            (value >> 1152) & 0xffffffff,
            (value >> 1184) & 0xffffffff,
            (value >> 1216) & 0xffffffff,
            (value >> 1248) & 0xffffffff,
            (value >> 1280) & 0xffffffff,
            (value >> 1312) & 0xffffffff,
            (value >> 1344) & 0xffffffff,
            (value >> 1376) & 0xffffffff,
            (value >> 1408) & 0xffff,
            (value >> 1424) & 0xffff,
            (value >> 1440) & 0xffffffff,
            (value >> 1472) & 0xffffffff,
            (value >> 1504) & 0xffffffff,
            (value >> 1536) & 0xffffffff,
            (value >> 1568) & 0xff,
            (value >> 1576) & 0xff,
            (value >> 1584) & 0xff,
            (value >> 1592) & 0xff,
            (value >> 1600) & 0xffffffff,
            (value >> 1632) & 0xffffffff,
            (value >> 1664) & 0xffffffff,
            (value >> 1696) & 0xffffffff,
            (value >> 1728) & 0xffffffff,
        )

    def to_bytes(self) -> bytes:
        """The 256 bytes in host memory."""
        return self.pack().to_bytes(256, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> TcpImage:
        """Decode 256 bytes; raises ValueError on another length."""
        if len(data) != 256:
            raise ValueError(f"tcp_image: {len(data)} bytes given, 256 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class DelegatedImage:
    """what TERMINATE writes back: bytes 128..255 of the TCP image"""

    WIDTH: ClassVar[int] = 1024
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "state": (0, 32),
        "dlg_flags": (32, 16),
        "rcv_nxt": (64, 32),
        "rcv_wnd": (96, 32),
        "snd_una": (128, 32),
        "snd_nxt": (160, 32),
        "snd_max": (192, 32),
        "snd_wnd": (224, 32),
        "max_snd_wnd": (256, 32),
        "snd_wl1": (288, 32),
        "cwnd": (320, 32),
        "ssthresh": (352, 32),
        "srtt": (384, 16),
        "rttvar": (400, 16),
        "ts_recent": (416, 32),
        "ts_recent_age": (448, 32),
        "ts_time": (480, 32),
        "total_rt": (512, 32),
        "dup_ack_count": (544, 8),
        "snd_wnd_probe_count": (552, 8),
        "ka_probes_sent": (560, 8),
        "rtx_count": (568, 8),
        "ka_timeout_delta": (576, 32),
        "rtx_timeout_delta": (608, 32),
        "send_backlog_size": (640, 32),
        "receive_backlog_size": (672, 32),
        "dwnd": (704, 32),
    }
    state: int = 0
    dlg_flags: int = 0
    rcv_nxt: int = 0
    rcv_wnd: int = 0
    snd_una: int = 0
    snd_nxt: int = 0
    snd_max: int = 0
    snd_wnd: int = 0
    max_snd_wnd: int = 0
    snd_wl1: int = 0
    cwnd: int = 0
    ssthresh: int = 0
    srtt: int = 0
    rttvar: int = 0
    ts_recent: int = 0
    ts_recent_age: int = 0
    ts_time: int = 0
    total_rt: int = 0
    dup_ack_count: int = 0
    snd_wnd_probe_count: int = 0
    ka_probes_sent: int = 0
    rtx_count: int = 0
    ka_timeout_delta: int = 0
    rtx_timeout_delta: int = 0
    send_backlog_size: int = 0
    receive_backlog_size: int = 0
    dwnd: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.state >> 32:
            raise ValueError(f"delegated_image.state = {self.state:#x} does not fit in 32 bits")
        value |= self.state
        if self.dlg_flags >> 16:
            raise ValueError(f"delegated_image.dlg_flags = {self.dlg_flags:#x} does not fit in 16 bits")
        value |= self.dlg_flags << 32
        if self.rcv_nxt >> 32:
            raise ValueError(f"delegated_image.rcv_nxt = {self.rcv_nxt:#x} does not fit in 32 bits")
        value |= self.rcv_nxt << 64
        if self.rcv_wnd >> 32:
            raise ValueError(f"delegated_image.rcv_wnd = {self.rcv_wnd:#x} does not fit in 32 bits")
        value |= self.rcv_wnd << 96
        if self.snd_una >> 32:
            raise ValueError(f"delegated_image.snd_una = {self.snd_una:#x} does not fit in 32 bits")
        value |= self.snd_una << 128
        if self.snd_nxt >> 32:
            raise ValueError(f"delegated_image.snd_nxt = {self.snd_nxt:#x} does not fit in 32 bits")
        value |= self.snd_nxt << 160
        if self.snd_max >> 32:
            raise ValueError(f"delegated_image.snd_max = {self.snd_max:#x} does not fit in 32 bits")
        value |= self.snd_max << 192
        if self.snd_wnd >> 32:
            raise ValueError(f"delegated_image.snd_wnd = {self.snd_wnd:#x} does not fit in 32 bits")
        value |= self.snd_wnd << 224
        if self.max_snd_wnd >> 32:
            raise ValueError(f"delegated_image.max_snd_wnd = {self.max_snd_wnd:#x} does not fit in 32 bits")
        value |= self.max_snd_wnd << 256
        if self.snd_wl1 >> 32:
            raise ValueError(f"delegated_image.snd_wl1 = {self.snd_wl1:#x} does not fit in 32 bits")
        value |= self.snd_wl1 << 288
        if self.cwnd >> 32:
            raise ValueError(f"delegated_image.cwnd = {self.cwnd:#x} does not fit in 32 bits")
        value |= self.cwnd << 320
        if self.ssthresh >> 32:
            raise ValueError(f"delegated_image.ssthresh = {self.ssthresh:#x} does not fit in 32 bits")
        value |= self.ssthresh << 352
        if self.srtt >> 16:
            raise ValueError(f"delegated_image.srtt = {self.srtt:#x} does not fit in 16 bits")
        value |= self.srtt << 384
        if self.rttvar >> 16:
            raise ValueError(f"delegated_image.rttvar = {self.rttvar:#x} does not fit in 16 bits")
        value |= self.rttvar << 400
        if self.ts_recent >> 32:
            raise ValueError(f"delegated_image.ts_recent = {self.ts_recent:#x} does not fit in 32 bits")
        value |= self.ts_recent << 416
        if self.ts_recent_age >> 32:
            raise ValueError(f"delegated_image.ts_recent_age = {self.ts_recent_age:#x} does not fit in 32 bits")
        value |= self.ts_recent_age << 448
        if self.ts_time >> 32:
            raise ValueError(f"delegated_image.ts_time = {self.ts_time:#x} does not fit in 32 bits")
        value |= self.ts_time << 480
        if self.total_rt >> 32:
            raise ValueError(f"delegated_image.total_rt = {self.total_rt:#x} does not fit in 32 bits")
        value |= self.total_rt << 512
        if self.dup_ack_count >> 8:
            raise ValueError(f"delegated_image.dup_ack_count = {self.dup_ack_count:#x} does not fit in 8 bits")
        value |= self.dup_ack_count << 544
        if self.snd_wnd_probe_count >> 8:
            raise ValueError(f"delegated_image.snd_wnd_probe_count = {self.snd_wnd_probe_count:#x} does not fit in 8 bits")
        value |= self.snd_wnd_probe_count << 552
        if self.ka_probes_sent >> 8:
            raise ValueError(f"delegated_image.ka_probes_sent = {self.ka_probes_sent:#x} does not fit in 8 bits")
        value |= self.ka_probes_sent << 560
        if self.rtx_count >> 8:
            raise ValueError(f"delegated_image.rtx_count = {self.rtx_count:#x} does not fit in 8 bits")
        value |= self.rtx_count << 568
        if self.ka_timeout_delta >> 32:
            raise ValueError(f"delegated_image.ka_timeout_delta = {self.ka_timeout_delta:#x} does not fit in 32 bits")
        value |= self.ka_timeout_delta << 576
        if self.rtx_timeout_delta >> 32:
            raise ValueError(f"delegated_image.rtx_timeout_delta = {self.rtx_timeout_delta:#x} does not fit in 32 bits")
        value |= self.rtx_timeout_delta << 608
        if self.send_backlog_size >> 32:
            raise ValueError(f"delegated_image.send_backlog_size = {self.send_backlog_size:#x} does not fit in 32 bits")
        value |= self.send_backlog_size << 640
        if self.receive_backlog_size >> 32:
            raise ValueError(f"delegated_image.receive_backlog_size = {self.receive_backlog_size:#x} does not fit in 32 bits")
        value |= self.receive_backlog_size << 672
        if self.dwnd >> 32:
            raise ValueError(f"delegated_image.dwnd = {self.dwnd:#x} does not fit in 32 bits")
        value |= self.dwnd << 704
        return value

    @classmethod
    def unpack(cls, value: int) -> DelegatedImage:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffff,
            (value >> 32) & 0xffff,
            (value >> 64) & 0xffffffff,
            (value >> 96) & 0xffffffff,
            (value >> 128) & 0xffffffff,
            (value >> 160) & 0xffffffff,
            (value >> 192) & 0xffffffff,
            (value >> 224) & 0xffffffff,
            (value >> 256) & 0xffffffff,
            (value >> 288) & 0xffffffff,
            (value >> 320) & 0xffffffff,
            (value >> 352) & 0xffffffff,
            (value >> 384) & 0xffff,
            (value >> 400) & 0xffff,
            (value >> 416) & 0xffffffff,
            (value >> 448) & 0xffffffff,
            (value >> 480) & 0xffffffff,
            (value >> 512) & 0xffffffff,
            (value >> 544) & 0xff,
            (value >> 552) & 0xff,
            (value >> 560) & 0xff,
            (value >> 568) & 0xff,
            (value >> 576) & 0xffffffff,
            (value >> 608) & 0xffffffff,
            (value >> 640) & 0xffffffff,
            (value >> 672) & 0xffffffff,
            (value >> 704) & 0xffffffff,
        )

    def to_bytes(self) -> bytes:
        """The 128 bytes in host memory."""
        return self.pack().to_bytes(128, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> DelegatedImage:
        """Decode 128 bytes; raises ValueError on another length."""
        if len(data) != 128:
            raise ValueError(f"delegated_image: {len(data)} bytes given, 128 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class CachedImage:
    """what UPDATE reads: bytes 64..127 of the TCP image"""

    WIDTH: ClassVar[int] = 512
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "cached_flags": (0, 16),
        "initial_rcv_wnd": (32, 32),
        "rcv_indication_size": (64, 32),
        "ka_probe_count": (96, 8),
        "ka_timeout": (128, 32),
        "ka_interval": (160, 32),
        "max_rt": (192, 32),
        "flow_label": (224, 32),
        "ttl": (256, 8),
        "tos": (264, 8),
        "user_priority": (272, 8),
    }
    cached_flags: int = 0
    initial_rcv_wnd: int = 0
    rcv_indication_size: int = 0
    ka_probe_count: int = 0
    ka_timeout: int = 0
    ka_interval: int = 0
    max_rt: int = 0
    flow_label: int = 0
    ttl: int = 0
    tos: int = 0
    user_priority: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.cached_flags >> 16:
            raise ValueError(f"cached_image.cached_flags = {self.cached_flags:#x} does not fit in 16 bits")
        value |= self.cached_flags
        if self.initial_rcv_wnd >> 32:
            raise ValueError(f"cached_image.initial_rcv_wnd = {self.initial_rcv_wnd:#x} does not fit in 32 bits")
        value |= self.initial_rcv_wnd << 32
        if self.rcv_indication_size >> 32:
            raise ValueError(f"cached_image.rcv_indication_size = {self.rcv_indication_size:#x} does not fit in 32 bits")
        value |= self.rcv_indication_size << 64
        if self.ka_probe_count >> 8:
            raise ValueError(f"cached_image.ka_probe_count = {self.ka_probe_count:#x} does not fit in 8 bits")
        value |= self.ka_probe_count << 96
        if self.ka_timeout >> 32:
            raise ValueError(f"cached_image.ka_timeout = {self.ka_timeout:#x} does not fit in 32 bits")
        value |= self.ka_timeout << 128
        if self.ka_interval >> 32:
            raise ValueError(f"cached_image.ka_interval = {self.ka_interval:#x} does not fit in 32 bits")
        value |= self.ka_interval << 160
        if self.max_rt >> 32:
            raise ValueError(f"cached_image.max_rt = {self.max_rt:#x} does not fit in 32 bits")
        value |= self.max_rt << 192
        if self.flow_label >> 32:
            raise ValueError(f"cached_image.flow_label = {self.flow_label:#x} does not fit in 32 bits")
        value |= self.flow_label << 224
        if self.ttl >> 8:
            raise ValueError(f"cached_image.ttl = {self.ttl:#x} does not fit in 8 bits")
        value |= self.ttl << 256
        if self.tos >> 8:
            raise ValueError(f"cached_image.tos = {self.tos:#x} does not fit in 8 bits")
        value |= self.tos << 264
        if self.user_priority >> 8:
            raise ValueError(f"cached_image.user_priority = {self.user_priority:#x} does not fit in 8 bits")
        value |= self.user_priority << 272
        return value

    @classmethod
    def unpack(cls, value: int) -> CachedImage:
        """Fields of a packed vector."""
        return cls(
            value & 0xffff,
            (value >> 32) & 0xffffffff,
            (value >> 64) & 0xffffffff,
            (value >> 96) & 0xff,
            (value >> 128) & 0xffffffff,
            (value >> 160) & 0xffffffff,
            (value >> 192) & 0xffffffff,
            (value >> 224) & 0xffffffff,
            (value >> 256) & 0xff,
            (value >> 264) & 0xff,
            (value >> 272) & 0xff,
        )

    def to_bytes(self) -> bytes:
        """The 64 bytes in host memory."""
        return self.pack().to_bytes(64, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> CachedImage:
        """Decode 64 bytes; raises ValueError on another length."""
        if len(data) != 64:
            raise ValueError(f"cached_image: {len(data)} bytes given, 64 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class PathImage:
    """path state object"""

    WIDTH: ClassVar[int] = 512
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "family": (0, 8),
        "neighbor_id": (16, 16),
        "path_mtu": (32, 32),
        "src_addr": (128, 128),
        "dst_addr": (256, 128),
    }
    family: int = 0
    neighbor_id: int = 0
    path_mtu: int = 0
    src_addr: int = 0
    dst_addr: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.family >> 8:
            raise ValueError(f"path_image.family = {self.family:#x} does not fit in 8 bits")
        value |= self.family
        if self.neighbor_id >> 16:
            raise ValueError(f"path_image.neighbor_id = {self.neighbor_id:#x} does not fit in 16 bits")
        value |= self.neighbor_id << 16
        if self.path_mtu >> 32:
            raise ValueError(f"path_image.path_mtu = {self.path_mtu:#x} does not fit in 32 bits")
        value |= self.path_mtu << 32
        if self.src_addr >> 128:
            raise ValueError(f"path_image.src_addr = {self.src_addr:#x} does not fit in 128 bits")
        value |= self.src_addr << 128
        if self.dst_addr >> 128:
            raise ValueError(f"path_image.dst_addr = {self.dst_addr:#x} does not fit in 128 bits")
        value |= self.dst_addr << 256
        return value

    @classmethod
    def unpack(cls, value: int) -> PathImage:
        """Fields of a packed vector."""
        return cls(
            value & 0xff,
            (value >> 16) & 0xffff,
            (value >> 32) & 0xffffffff,
            (value >> 128) & 0xffffffffffffffffffffffffffffffff,
            (value >> 256) & 0xffffffffffffffffffffffffffffffff,
        )

    def to_bytes(self) -> bytes:
        """The 64 bytes in host memory."""
        return self.pack().to_bytes(64, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> PathImage:
        """Decode 64 bytes; raises ValueError on another length."""
        if len(data) != 64:
            raise ValueError(f"path_image: {len(data)} bytes given, 64 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class NeighborImage:
    """neighbor state object"""

    WIDTH: ClassVar[int] = 1024
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "dl_src": (0, 48),
        "vlan_id": (256, 16),
        "dl_dst": (512, 48),
        "host_reachability_delta": (768, 32),
        "nic_reachability_delta": (800, 32),
    }
    dl_src: int = 0
    vlan_id: int = 0
    dl_dst: int = 0
    host_reachability_delta: int = 0
    nic_reachability_delta: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.dl_src >> 48:
            raise ValueError(f"neighbor_image.dl_src = {self.dl_src:#x} does not fit in 48 bits")
        value |= self.dl_src
        if self.vlan_id >> 16:
            raise ValueError(f"neighbor_image.vlan_id = {self.vlan_id:#x} does not fit in 16 bits")
        value |= self.vlan_id << 256
        if self.dl_dst >> 48:
            raise ValueError(f"neighbor_image.dl_dst = {self.dl_dst:#x} does not fit in 48 bits")
        value |= self.dl_dst << 512
        if self.host_reachability_delta >> 32:
            raise ValueError(f"neighbor_image.host_reachability_delta = {self.host_reachability_delta:#x} does not fit in 32 bits")
        value |= self.host_reachability_delta << 768
        if self.nic_reachability_delta >> 32:
            raise ValueError(f"neighbor_image.nic_reachability_delta = {self.nic_reachability_delta:#x} does not fit in 32 bits")
        value |= self.nic_reachability_delta << 800
        return value

    @classmethod
    def unpack(cls, value: int) -> NeighborImage:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffffffff,
            (value >> 256) & 0xffff,
            (value >> 512) & 0xffffffffffff,
            (value >> 768) & 0xffffffff,
            (value >> 800) & 0xffffffff,
        )

    def to_bytes(self) -> bytes:
        """The 128 bytes in host memory."""
        return self.pack().to_bytes(128, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> NeighborImage:
        """Decode 128 bytes; raises ValueError on another length."""
        if len(data) != 128:
            raise ValueError(f"neighbor_image: {len(data)} bytes given, 128 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class ParamImage:
    """global parameters (NDIS_TCP_CONNECTION_OFFLOAD_PARAMETERS and the device's own)"""

    WIDTH: ClassVar[int] = 512
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "ticks_per_second": (0, 32),
        "ack_frequency": (32, 8),
        "delayed_ack_ticks": (40, 8),
        "max_retransmissions": (48, 8),
        "doubt_retransmissions": (56, 8),
        "sws_ticks": (64, 32),
        "dup_ack_threshold": (96, 32),
        "push_ticks": (128, 32),
        "nce_stale_ticks": (160, 32),
        "rto_min": (192, 32),
        "rto_max": (224, 32),
        "rto_initial": (256, 32),
    }
    ticks_per_second: int = 0
    ack_frequency: int = 0
    delayed_ack_ticks: int = 0
    max_retransmissions: int = 0
    doubt_retransmissions: int = 0
    sws_ticks: int = 0
    dup_ack_threshold: int = 0
    push_ticks: int = 0
    nce_stale_ticks: int = 0
    rto_min: int = 0
    rto_max: int = 0
    rto_initial: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.ticks_per_second >> 32:
            raise ValueError(f"param_image.ticks_per_second = {self.ticks_per_second:#x} does not fit in 32 bits")
        value |= self.ticks_per_second
        if self.ack_frequency >> 8:
            raise ValueError(f"param_image.ack_frequency = {self.ack_frequency:#x} does not fit in 8 bits")
        value |= self.ack_frequency << 32
        if self.delayed_ack_ticks >> 8:
            raise ValueError(f"param_image.delayed_ack_ticks = {self.delayed_ack_ticks:#x} does not fit in 8 bits")
        value |= self.delayed_ack_ticks << 40
        if self.max_retransmissions >> 8:
            raise ValueError(f"param_image.max_retransmissions = {self.max_retransmissions:#x} does not fit in 8 bits")
        value |= self.max_retransmissions << 48
        if self.doubt_retransmissions >> 8:
            raise ValueError(f"param_image.doubt_retransmissions = {self.doubt_retransmissions:#x} does not fit in 8 bits")
        value |= self.doubt_retransmissions << 56
        if self.sws_ticks >> 32:
            raise ValueError(f"param_image.sws_ticks = {self.sws_ticks:#x} does not fit in 32 bits")
        value |= self.sws_ticks << 64
        if self.dup_ack_threshold >> 32:
            raise ValueError(f"param_image.dup_ack_threshold = {self.dup_ack_threshold:#x} does not fit in 32 bits")
        value |= self.dup_ack_threshold << 96
        if self.push_ticks >> 32:
            raise ValueError(f"param_image.push_ticks = {self.push_ticks:#x} does not fit in 32 bits")
        value |= self.push_ticks << 128
        if self.nce_stale_ticks >> 32:
            raise ValueError(f"param_image.nce_stale_ticks = {self.nce_stale_ticks:#x} does not fit in 32 bits")
        value |= self.nce_stale_ticks << 160
        if self.rto_min >> 32:
            raise ValueError(f"param_image.rto_min = {self.rto_min:#x} does not fit in 32 bits")
        value |= self.rto_min << 192
        if self.rto_max >> 32:
            raise ValueError(f"param_image.rto_max = {self.rto_max:#x} does not fit in 32 bits")
        value |= self.rto_max << 224
        if self.rto_initial >> 32:
            raise ValueError(f"param_image.rto_initial = {self.rto_initial:#x} does not fit in 32 bits")
        value |= self.rto_initial << 256
        return value

    @classmethod
    def unpack(cls, value: int) -> ParamImage:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffff,
            (value >> 32) & 0xff,
            (value >> 40) & 0xff,
            (value >> 48) & 0xff,
            (value >> 56) & 0xff,
            (value >> 64) & 0xffffffff,
            (value >> 96) & 0xffffffff,
            (value >> 128) & 0xffffffff,
            (value >> 160) & 0xffffffff,
            (value >> 192) & 0xffffffff,
            (value >> 224) & 0xffffffff,
            (value >> 256) & 0xffffffff,
        )

    def to_bytes(self) -> bytes:
        """The 64 bytes in host memory."""
        return self.pack().to_bytes(64, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> ParamImage:
        """Decode 64 bytes; raises ValueError on another length."""
        if len(data) != 64:
            raise ValueError(f"param_image: {len(data)} bytes given, 64 needed")
        return cls.unpack(int.from_bytes(data, "little"))


@dataclass(frozen=True, slots=True)
class LkpKey:
    """key of conn_lookup, from the receiver's point of view"""

    WIDTH: ClassVar[int] = 296
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "is_ipv6": (0, 1),
        "rsvd": (1, 7),
        "local_ip": (8, 128),
        "remote_ip": (136, 128),
        "local_port": (264, 16),
        "remote_port": (280, 16),
    }
    is_ipv6: int = 0
    rsvd: int = 0
    local_ip: int = 0
    remote_ip: int = 0
    local_port: int = 0
    remote_port: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.is_ipv6 >> 1:
            raise ValueError(f"lkp_key.is_ipv6 = {self.is_ipv6:#x} does not fit in 1 bits")
        value |= self.is_ipv6
        if self.rsvd >> 7:
            raise ValueError(f"lkp_key.rsvd = {self.rsvd:#x} does not fit in 7 bits")
        value |= self.rsvd << 1
        if self.local_ip >> 128:
            raise ValueError(f"lkp_key.local_ip = {self.local_ip:#x} does not fit in 128 bits")
        value |= self.local_ip << 8
        if self.remote_ip >> 128:
            raise ValueError(f"lkp_key.remote_ip = {self.remote_ip:#x} does not fit in 128 bits")
        value |= self.remote_ip << 136
        if self.local_port >> 16:
            raise ValueError(f"lkp_key.local_port = {self.local_port:#x} does not fit in 16 bits")
        value |= self.local_port << 264
        if self.remote_port >> 16:
            raise ValueError(f"lkp_key.remote_port = {self.remote_port:#x} does not fit in 16 bits")
        value |= self.remote_port << 280
        return value

    @classmethod
    def unpack(cls, value: int) -> LkpKey:
        """Fields of a packed vector."""
        return cls(
            value & 0x1,
            (value >> 1) & 0x7f,
            (value >> 8) & 0xffffffffffffffffffffffffffffffff,
            (value >> 136) & 0xffffffffffffffffffffffffffffffff,
            (value >> 264) & 0xffff,
            (value >> 280) & 0xffff,
        )


@dataclass(frozen=True, slots=True)
class Tcb:
    """connection state of tcp_engine"""

    WIDTH: ClassVar[int] = 3204
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "phase": (0, 2),
        "gen": (2, 8),
        "state": (10, 4),
        "terminating": (14, 1),
        "aborted": (15, 1),
        "abort_owed": (16, 1),
        "ts_en": (17, 1),
        "sack_en": (18, 1),
        "ws_en": (19, 1),
        "snd_ws": (20, 4),
        "rcv_ws": (24, 4),
        "family": (28, 8),
        "path_id": (36, 16),
        "local_port": (52, 16),
        "remote_port": (68, 16),
        "remote_mss": (84, 16),
        "hash_value": (100, 32),
        "cached_flags": (132, 16),
        "init_rcv_wnd": (148, 32),
        "rcv_indication_size": (180, 32),
        "ka_probe_count": (212, 8),
        "ka_timeout": (220, 32),
        "ka_interval": (252, 32),
        "max_rt": (284, 32),
        "flow_label": (316, 20),
        "ttl": (336, 8),
        "tos": (344, 8),
        "user_priority": (352, 3),
        "dlg_flags": (355, 16),
        "ka_probes_sent": (371, 8),
        "ka_timeout_delta": (379, 32),
        "send_backlog_size": (411, 32),
        "receive_backlog_size": (443, 32),
        "dwnd": (475, 32),
        "snd_una": (507, 32),
        "snd_nxt": (539, 32),
        "snd_max": (571, 32),
        "snd_end": (603, 32),
        "fin_queued": (635, 1),
        "snd_wnd": (636, 32),
        "max_snd_wnd": (668, 32),
        "snd_wl1": (700, 32),
        "cwnd": (732, 32),
        "ssthresh": (764, 32),
        "cwnd_acc": (796, 32),
        "recover": (828, 32),
        "in_recovery": (860, 1),
        "sb_n": (861, 4),
        "sb_left": (865, 256),
        "sb_right": (1121, 256),
        "high_rxt": (1377, 32),
        "rescued": (1409, 1),
        "last_tx_tick": (1410, 32),
        "ecn_en": (1442, 1),
        "ecn_ece": (1443, 1),
        "ecn_cwr": (1444, 1),
        "ecn_edge": (1445, 32),
        "cubic_en": (1477, 1),
        "cc": (1478, 251),
        "partial_seen": (1729, 1),
        "dup_acks": (1730, 8),
        "rtx_head": (1738, 1),
        "probe_owed": (1739, 1),
        "release_owed": (1740, 1),
        "ack_now": (1741, 1),
        "dup_owed": (1742, 3),
        "srtt": (1745, 16),
        "rttvar": (1761, 16),
        "rto": (1777, 32),
        "rtt_active": (1809, 1),
        "rtt_seq": (1810, 32),
        "rtt_tick": (1842, 32),
        "rtx_on": (1874, 1),
        "persist": (1875, 1),
        "rtx_deadline": (1876, 32),
        "rtx_count": (1908, 8),
        "snd_wnd_probe_count": (1916, 8),
        "total_rt": (1924, 32),
        "dack_on": (1956, 1),
        "dack_deadline": (1957, 32),
        "unacked_segs": (1989, 8),
        "rcv_nxt": (1997, 32),
        "rcv_adv": (2029, 32),
        "consumed_seq": (2061, 32),
        "last_ack_sent": (2093, 32),
        "fin_rcvd": (2125, 1),
        "ts_recent": (2126, 32),
        "ts_recent_tick": (2158, 32),
        "rr_n": (2190, 4),
        "rr_left": (2194, 256),
        "rr_right": (2450, 256),
        "rr_slot": (2706, 24),
        "ooo_fin": (2730, 1),
        "ooo_fin_seq": (2731, 32),
        "dsack": (2763, 1),
        "dsack_left": (2764, 32),
        "dsack_right": (2796, 32),
        "ts_delta": (2828, 32),
        "retrieve_sent": (2860, 1),
        "img_addr": (2861, 64),
        "img_cookie": (2925, 64),
        "img_sq_index": (2989, 16),
        "invalid": (3005, 1),
        "backlog_told": (3006, 32),
        "backlog_tick": (3038, 32),
        "ka_on": (3070, 1),
        "ka_deadline": (3071, 32),
        "ka_challenge": (3103, 1),
        "ka_probe_owed": (3104, 1),
        "rst_challenged": (3105, 1),
        "syn_challenged": (3106, 1),
        "syn_tick": (3107, 32),
        "answered": (3139, 1),
        "answer_tick": (3140, 32),
        "old_segs": (3172, 16),
        "ooo_segs": (3188, 16),
    }
    phase: int = 0
    gen: int = 0
    state: int = 0
    terminating: int = 0
    aborted: int = 0
    abort_owed: int = 0
    ts_en: int = 0
    sack_en: int = 0
    ws_en: int = 0
    snd_ws: int = 0
    rcv_ws: int = 0
    family: int = 0
    path_id: int = 0
    local_port: int = 0
    remote_port: int = 0
    remote_mss: int = 0
    hash_value: int = 0
    cached_flags: int = 0
    init_rcv_wnd: int = 0
    rcv_indication_size: int = 0
    ka_probe_count: int = 0
    ka_timeout: int = 0
    ka_interval: int = 0
    max_rt: int = 0
    flow_label: int = 0
    ttl: int = 0
    tos: int = 0
    user_priority: int = 0
    dlg_flags: int = 0
    ka_probes_sent: int = 0
    ka_timeout_delta: int = 0
    send_backlog_size: int = 0
    receive_backlog_size: int = 0
    dwnd: int = 0
    snd_una: int = 0
    snd_nxt: int = 0
    snd_max: int = 0
    snd_end: int = 0
    fin_queued: int = 0
    snd_wnd: int = 0
    max_snd_wnd: int = 0
    snd_wl1: int = 0
    cwnd: int = 0
    ssthresh: int = 0
    cwnd_acc: int = 0
    recover: int = 0
    in_recovery: int = 0
    sb_n: int = 0
    sb_left: int = 0
    sb_right: int = 0
    high_rxt: int = 0
    rescued: int = 0
    last_tx_tick: int = 0
    ecn_en: int = 0
    ecn_ece: int = 0
    ecn_cwr: int = 0
    ecn_edge: int = 0
    cubic_en: int = 0
    cc: int = 0
    partial_seen: int = 0
    dup_acks: int = 0
    rtx_head: int = 0
    probe_owed: int = 0
    release_owed: int = 0
    ack_now: int = 0
    dup_owed: int = 0
    srtt: int = 0
    rttvar: int = 0
    rto: int = 0
    rtt_active: int = 0
    rtt_seq: int = 0
    rtt_tick: int = 0
    rtx_on: int = 0
    persist: int = 0
    rtx_deadline: int = 0
    rtx_count: int = 0
    snd_wnd_probe_count: int = 0
    total_rt: int = 0
    dack_on: int = 0
    dack_deadline: int = 0
    unacked_segs: int = 0
    rcv_nxt: int = 0
    rcv_adv: int = 0
    consumed_seq: int = 0
    last_ack_sent: int = 0
    fin_rcvd: int = 0
    ts_recent: int = 0
    ts_recent_tick: int = 0
    rr_n: int = 0
    rr_left: int = 0
    rr_right: int = 0
    rr_slot: int = 0
    ooo_fin: int = 0
    ooo_fin_seq: int = 0
    dsack: int = 0
    dsack_left: int = 0
    dsack_right: int = 0
    ts_delta: int = 0
    retrieve_sent: int = 0
    img_addr: int = 0
    img_cookie: int = 0
    img_sq_index: int = 0
    invalid: int = 0
    backlog_told: int = 0
    backlog_tick: int = 0
    ka_on: int = 0
    ka_deadline: int = 0
    ka_challenge: int = 0
    ka_probe_owed: int = 0
    rst_challenged: int = 0
    syn_challenged: int = 0
    syn_tick: int = 0
    answered: int = 0
    answer_tick: int = 0
    old_segs: int = 0
    ooo_segs: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.phase >> 2:
            raise ValueError(f"tcb.phase = {self.phase:#x} does not fit in 2 bits")
        value |= self.phase
        if self.gen >> 8:
            raise ValueError(f"tcb.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 2
        if self.state >> 4:
            raise ValueError(f"tcb.state = {self.state:#x} does not fit in 4 bits")
        value |= self.state << 10
        if self.terminating >> 1:
            raise ValueError(f"tcb.terminating = {self.terminating:#x} does not fit in 1 bits")
        value |= self.terminating << 14
        if self.aborted >> 1:
            raise ValueError(f"tcb.aborted = {self.aborted:#x} does not fit in 1 bits")
        value |= self.aborted << 15
        if self.abort_owed >> 1:
            raise ValueError(f"tcb.abort_owed = {self.abort_owed:#x} does not fit in 1 bits")
        value |= self.abort_owed << 16
        if self.ts_en >> 1:
            raise ValueError(f"tcb.ts_en = {self.ts_en:#x} does not fit in 1 bits")
        value |= self.ts_en << 17
        if self.sack_en >> 1:
            raise ValueError(f"tcb.sack_en = {self.sack_en:#x} does not fit in 1 bits")
        value |= self.sack_en << 18
        if self.ws_en >> 1:
            raise ValueError(f"tcb.ws_en = {self.ws_en:#x} does not fit in 1 bits")
        value |= self.ws_en << 19
        if self.snd_ws >> 4:
            raise ValueError(f"tcb.snd_ws = {self.snd_ws:#x} does not fit in 4 bits")
        value |= self.snd_ws << 20
        if self.rcv_ws >> 4:
            raise ValueError(f"tcb.rcv_ws = {self.rcv_ws:#x} does not fit in 4 bits")
        value |= self.rcv_ws << 24
        if self.family >> 8:
            raise ValueError(f"tcb.family = {self.family:#x} does not fit in 8 bits")
        value |= self.family << 28
        if self.path_id >> 16:
            raise ValueError(f"tcb.path_id = {self.path_id:#x} does not fit in 16 bits")
        value |= self.path_id << 36
        if self.local_port >> 16:
            raise ValueError(f"tcb.local_port = {self.local_port:#x} does not fit in 16 bits")
        value |= self.local_port << 52
        if self.remote_port >> 16:
            raise ValueError(f"tcb.remote_port = {self.remote_port:#x} does not fit in 16 bits")
        value |= self.remote_port << 68
        if self.remote_mss >> 16:
            raise ValueError(f"tcb.remote_mss = {self.remote_mss:#x} does not fit in 16 bits")
        value |= self.remote_mss << 84
        if self.hash_value >> 32:
            raise ValueError(f"tcb.hash_value = {self.hash_value:#x} does not fit in 32 bits")
        value |= self.hash_value << 100
        if self.cached_flags >> 16:
            raise ValueError(f"tcb.cached_flags = {self.cached_flags:#x} does not fit in 16 bits")
        value |= self.cached_flags << 132
        if self.init_rcv_wnd >> 32:
            raise ValueError(f"tcb.init_rcv_wnd = {self.init_rcv_wnd:#x} does not fit in 32 bits")
        value |= self.init_rcv_wnd << 148
        if self.rcv_indication_size >> 32:
            raise ValueError(f"tcb.rcv_indication_size = {self.rcv_indication_size:#x} does not fit in 32 bits")
        value |= self.rcv_indication_size << 180
        if self.ka_probe_count >> 8:
            raise ValueError(f"tcb.ka_probe_count = {self.ka_probe_count:#x} does not fit in 8 bits")
        value |= self.ka_probe_count << 212
        if self.ka_timeout >> 32:
            raise ValueError(f"tcb.ka_timeout = {self.ka_timeout:#x} does not fit in 32 bits")
        value |= self.ka_timeout << 220
        if self.ka_interval >> 32:
            raise ValueError(f"tcb.ka_interval = {self.ka_interval:#x} does not fit in 32 bits")
        value |= self.ka_interval << 252
        if self.max_rt >> 32:
            raise ValueError(f"tcb.max_rt = {self.max_rt:#x} does not fit in 32 bits")
        value |= self.max_rt << 284
        if self.flow_label >> 20:
            raise ValueError(f"tcb.flow_label = {self.flow_label:#x} does not fit in 20 bits")
        value |= self.flow_label << 316
        if self.ttl >> 8:
            raise ValueError(f"tcb.ttl = {self.ttl:#x} does not fit in 8 bits")
        value |= self.ttl << 336
        if self.tos >> 8:
            raise ValueError(f"tcb.tos = {self.tos:#x} does not fit in 8 bits")
        value |= self.tos << 344
        if self.user_priority >> 3:
            raise ValueError(f"tcb.user_priority = {self.user_priority:#x} does not fit in 3 bits")
        value |= self.user_priority << 352
        if self.dlg_flags >> 16:
            raise ValueError(f"tcb.dlg_flags = {self.dlg_flags:#x} does not fit in 16 bits")
        value |= self.dlg_flags << 355
        if self.ka_probes_sent >> 8:
            raise ValueError(f"tcb.ka_probes_sent = {self.ka_probes_sent:#x} does not fit in 8 bits")
        value |= self.ka_probes_sent << 371
        if self.ka_timeout_delta >> 32:
            raise ValueError(f"tcb.ka_timeout_delta = {self.ka_timeout_delta:#x} does not fit in 32 bits")
        value |= self.ka_timeout_delta << 379
        if self.send_backlog_size >> 32:
            raise ValueError(f"tcb.send_backlog_size = {self.send_backlog_size:#x} does not fit in 32 bits")
        value |= self.send_backlog_size << 411
        if self.receive_backlog_size >> 32:
            raise ValueError(f"tcb.receive_backlog_size = {self.receive_backlog_size:#x} does not fit in 32 bits")
        value |= self.receive_backlog_size << 443
        if self.dwnd >> 32:
            raise ValueError(f"tcb.dwnd = {self.dwnd:#x} does not fit in 32 bits")
        value |= self.dwnd << 475
        if self.snd_una >> 32:
            raise ValueError(f"tcb.snd_una = {self.snd_una:#x} does not fit in 32 bits")
        value |= self.snd_una << 507
        if self.snd_nxt >> 32:
            raise ValueError(f"tcb.snd_nxt = {self.snd_nxt:#x} does not fit in 32 bits")
        value |= self.snd_nxt << 539
        if self.snd_max >> 32:
            raise ValueError(f"tcb.snd_max = {self.snd_max:#x} does not fit in 32 bits")
        value |= self.snd_max << 571
        if self.snd_end >> 32:
            raise ValueError(f"tcb.snd_end = {self.snd_end:#x} does not fit in 32 bits")
        value |= self.snd_end << 603
        if self.fin_queued >> 1:
            raise ValueError(f"tcb.fin_queued = {self.fin_queued:#x} does not fit in 1 bits")
        value |= self.fin_queued << 635
        if self.snd_wnd >> 32:
            raise ValueError(f"tcb.snd_wnd = {self.snd_wnd:#x} does not fit in 32 bits")
        value |= self.snd_wnd << 636
        if self.max_snd_wnd >> 32:
            raise ValueError(f"tcb.max_snd_wnd = {self.max_snd_wnd:#x} does not fit in 32 bits")
        value |= self.max_snd_wnd << 668
        if self.snd_wl1 >> 32:
            raise ValueError(f"tcb.snd_wl1 = {self.snd_wl1:#x} does not fit in 32 bits")
        value |= self.snd_wl1 << 700
        if self.cwnd >> 32:
            raise ValueError(f"tcb.cwnd = {self.cwnd:#x} does not fit in 32 bits")
        value |= self.cwnd << 732
        if self.ssthresh >> 32:
            raise ValueError(f"tcb.ssthresh = {self.ssthresh:#x} does not fit in 32 bits")
        value |= self.ssthresh << 764
        if self.cwnd_acc >> 32:
            raise ValueError(f"tcb.cwnd_acc = {self.cwnd_acc:#x} does not fit in 32 bits")
        value |= self.cwnd_acc << 796
        if self.recover >> 32:
            raise ValueError(f"tcb.recover = {self.recover:#x} does not fit in 32 bits")
        value |= self.recover << 828
        if self.in_recovery >> 1:
            raise ValueError(f"tcb.in_recovery = {self.in_recovery:#x} does not fit in 1 bits")
        value |= self.in_recovery << 860
        if self.sb_n >> 4:
            raise ValueError(f"tcb.sb_n = {self.sb_n:#x} does not fit in 4 bits")
        value |= self.sb_n << 861
        if self.sb_left >> 256:
            raise ValueError(f"tcb.sb_left = {self.sb_left:#x} does not fit in 256 bits")
        value |= self.sb_left << 865
        if self.sb_right >> 256:
            raise ValueError(f"tcb.sb_right = {self.sb_right:#x} does not fit in 256 bits")
        value |= self.sb_right << 1121
        if self.high_rxt >> 32:
            raise ValueError(f"tcb.high_rxt = {self.high_rxt:#x} does not fit in 32 bits")
        value |= self.high_rxt << 1377
        if self.rescued >> 1:
            raise ValueError(f"tcb.rescued = {self.rescued:#x} does not fit in 1 bits")
        value |= self.rescued << 1409
        if self.last_tx_tick >> 32:
            raise ValueError(f"tcb.last_tx_tick = {self.last_tx_tick:#x} does not fit in 32 bits")
        value |= self.last_tx_tick << 1410
        if self.ecn_en >> 1:
            raise ValueError(f"tcb.ecn_en = {self.ecn_en:#x} does not fit in 1 bits")
        value |= self.ecn_en << 1442
        if self.ecn_ece >> 1:
            raise ValueError(f"tcb.ecn_ece = {self.ecn_ece:#x} does not fit in 1 bits")
        value |= self.ecn_ece << 1443
        if self.ecn_cwr >> 1:
            raise ValueError(f"tcb.ecn_cwr = {self.ecn_cwr:#x} does not fit in 1 bits")
        value |= self.ecn_cwr << 1444
        if self.ecn_edge >> 32:
            raise ValueError(f"tcb.ecn_edge = {self.ecn_edge:#x} does not fit in 32 bits")
        value |= self.ecn_edge << 1445
        if self.cubic_en >> 1:
            raise ValueError(f"tcb.cubic_en = {self.cubic_en:#x} does not fit in 1 bits")
        value |= self.cubic_en << 1477
        if self.cc >> 251:
            raise ValueError(f"tcb.cc = {self.cc:#x} does not fit in 251 bits")
        value |= self.cc << 1478
        if self.partial_seen >> 1:
            raise ValueError(f"tcb.partial_seen = {self.partial_seen:#x} does not fit in 1 bits")
        value |= self.partial_seen << 1729
        if self.dup_acks >> 8:
            raise ValueError(f"tcb.dup_acks = {self.dup_acks:#x} does not fit in 8 bits")
        value |= self.dup_acks << 1730
        if self.rtx_head >> 1:
            raise ValueError(f"tcb.rtx_head = {self.rtx_head:#x} does not fit in 1 bits")
        value |= self.rtx_head << 1738
        if self.probe_owed >> 1:
            raise ValueError(f"tcb.probe_owed = {self.probe_owed:#x} does not fit in 1 bits")
        value |= self.probe_owed << 1739
        if self.release_owed >> 1:
            raise ValueError(f"tcb.release_owed = {self.release_owed:#x} does not fit in 1 bits")
        value |= self.release_owed << 1740
        if self.ack_now >> 1:
            raise ValueError(f"tcb.ack_now = {self.ack_now:#x} does not fit in 1 bits")
        value |= self.ack_now << 1741
        if self.dup_owed >> 3:
            raise ValueError(f"tcb.dup_owed = {self.dup_owed:#x} does not fit in 3 bits")
        value |= self.dup_owed << 1742
        if self.srtt >> 16:
            raise ValueError(f"tcb.srtt = {self.srtt:#x} does not fit in 16 bits")
        value |= self.srtt << 1745
        if self.rttvar >> 16:
            raise ValueError(f"tcb.rttvar = {self.rttvar:#x} does not fit in 16 bits")
        value |= self.rttvar << 1761
        if self.rto >> 32:
            raise ValueError(f"tcb.rto = {self.rto:#x} does not fit in 32 bits")
        value |= self.rto << 1777
        if self.rtt_active >> 1:
            raise ValueError(f"tcb.rtt_active = {self.rtt_active:#x} does not fit in 1 bits")
        value |= self.rtt_active << 1809
        if self.rtt_seq >> 32:
            raise ValueError(f"tcb.rtt_seq = {self.rtt_seq:#x} does not fit in 32 bits")
        value |= self.rtt_seq << 1810
        if self.rtt_tick >> 32:
            raise ValueError(f"tcb.rtt_tick = {self.rtt_tick:#x} does not fit in 32 bits")
        value |= self.rtt_tick << 1842
        if self.rtx_on >> 1:
            raise ValueError(f"tcb.rtx_on = {self.rtx_on:#x} does not fit in 1 bits")
        value |= self.rtx_on << 1874
        if self.persist >> 1:
            raise ValueError(f"tcb.persist = {self.persist:#x} does not fit in 1 bits")
        value |= self.persist << 1875
        if self.rtx_deadline >> 32:
            raise ValueError(f"tcb.rtx_deadline = {self.rtx_deadline:#x} does not fit in 32 bits")
        value |= self.rtx_deadline << 1876
        if self.rtx_count >> 8:
            raise ValueError(f"tcb.rtx_count = {self.rtx_count:#x} does not fit in 8 bits")
        value |= self.rtx_count << 1908
        if self.snd_wnd_probe_count >> 8:
            raise ValueError(f"tcb.snd_wnd_probe_count = {self.snd_wnd_probe_count:#x} does not fit in 8 bits")
        value |= self.snd_wnd_probe_count << 1916
        if self.total_rt >> 32:
            raise ValueError(f"tcb.total_rt = {self.total_rt:#x} does not fit in 32 bits")
        value |= self.total_rt << 1924
        if self.dack_on >> 1:
            raise ValueError(f"tcb.dack_on = {self.dack_on:#x} does not fit in 1 bits")
        value |= self.dack_on << 1956
        if self.dack_deadline >> 32:
            raise ValueError(f"tcb.dack_deadline = {self.dack_deadline:#x} does not fit in 32 bits")
        value |= self.dack_deadline << 1957
        if self.unacked_segs >> 8:
            raise ValueError(f"tcb.unacked_segs = {self.unacked_segs:#x} does not fit in 8 bits")
        value |= self.unacked_segs << 1989
        if self.rcv_nxt >> 32:
            raise ValueError(f"tcb.rcv_nxt = {self.rcv_nxt:#x} does not fit in 32 bits")
        value |= self.rcv_nxt << 1997
        if self.rcv_adv >> 32:
            raise ValueError(f"tcb.rcv_adv = {self.rcv_adv:#x} does not fit in 32 bits")
        value |= self.rcv_adv << 2029
        if self.consumed_seq >> 32:
            raise ValueError(f"tcb.consumed_seq = {self.consumed_seq:#x} does not fit in 32 bits")
        value |= self.consumed_seq << 2061
        if self.last_ack_sent >> 32:
            raise ValueError(f"tcb.last_ack_sent = {self.last_ack_sent:#x} does not fit in 32 bits")
        value |= self.last_ack_sent << 2093
        if self.fin_rcvd >> 1:
            raise ValueError(f"tcb.fin_rcvd = {self.fin_rcvd:#x} does not fit in 1 bits")
        value |= self.fin_rcvd << 2125
        if self.ts_recent >> 32:
            raise ValueError(f"tcb.ts_recent = {self.ts_recent:#x} does not fit in 32 bits")
        value |= self.ts_recent << 2126
        if self.ts_recent_tick >> 32:
            raise ValueError(f"tcb.ts_recent_tick = {self.ts_recent_tick:#x} does not fit in 32 bits")
        value |= self.ts_recent_tick << 2158
        if self.rr_n >> 4:
            raise ValueError(f"tcb.rr_n = {self.rr_n:#x} does not fit in 4 bits")
        value |= self.rr_n << 2190
        if self.rr_left >> 256:
            raise ValueError(f"tcb.rr_left = {self.rr_left:#x} does not fit in 256 bits")
        value |= self.rr_left << 2194
        if self.rr_right >> 256:
            raise ValueError(f"tcb.rr_right = {self.rr_right:#x} does not fit in 256 bits")
        value |= self.rr_right << 2450
        if self.rr_slot >> 24:
            raise ValueError(f"tcb.rr_slot = {self.rr_slot:#x} does not fit in 24 bits")
        value |= self.rr_slot << 2706
        if self.ooo_fin >> 1:
            raise ValueError(f"tcb.ooo_fin = {self.ooo_fin:#x} does not fit in 1 bits")
        value |= self.ooo_fin << 2730
        if self.ooo_fin_seq >> 32:
            raise ValueError(f"tcb.ooo_fin_seq = {self.ooo_fin_seq:#x} does not fit in 32 bits")
        value |= self.ooo_fin_seq << 2731
        if self.dsack >> 1:
            raise ValueError(f"tcb.dsack = {self.dsack:#x} does not fit in 1 bits")
        value |= self.dsack << 2763
        if self.dsack_left >> 32:
            raise ValueError(f"tcb.dsack_left = {self.dsack_left:#x} does not fit in 32 bits")
        value |= self.dsack_left << 2764
        if self.dsack_right >> 32:
            raise ValueError(f"tcb.dsack_right = {self.dsack_right:#x} does not fit in 32 bits")
        value |= self.dsack_right << 2796
        if self.ts_delta >> 32:
            raise ValueError(f"tcb.ts_delta = {self.ts_delta:#x} does not fit in 32 bits")
        value |= self.ts_delta << 2828
        if self.retrieve_sent >> 1:
            raise ValueError(f"tcb.retrieve_sent = {self.retrieve_sent:#x} does not fit in 1 bits")
        value |= self.retrieve_sent << 2860
        if self.img_addr >> 64:
            raise ValueError(f"tcb.img_addr = {self.img_addr:#x} does not fit in 64 bits")
        value |= self.img_addr << 2861
        if self.img_cookie >> 64:
            raise ValueError(f"tcb.img_cookie = {self.img_cookie:#x} does not fit in 64 bits")
        value |= self.img_cookie << 2925
        if self.img_sq_index >> 16:
            raise ValueError(f"tcb.img_sq_index = {self.img_sq_index:#x} does not fit in 16 bits")
        value |= self.img_sq_index << 2989
        if self.invalid >> 1:
            raise ValueError(f"tcb.invalid = {self.invalid:#x} does not fit in 1 bits")
        value |= self.invalid << 3005
        if self.backlog_told >> 32:
            raise ValueError(f"tcb.backlog_told = {self.backlog_told:#x} does not fit in 32 bits")
        value |= self.backlog_told << 3006
        if self.backlog_tick >> 32:
            raise ValueError(f"tcb.backlog_tick = {self.backlog_tick:#x} does not fit in 32 bits")
        value |= self.backlog_tick << 3038
        if self.ka_on >> 1:
            raise ValueError(f"tcb.ka_on = {self.ka_on:#x} does not fit in 1 bits")
        value |= self.ka_on << 3070
        if self.ka_deadline >> 32:
            raise ValueError(f"tcb.ka_deadline = {self.ka_deadline:#x} does not fit in 32 bits")
        value |= self.ka_deadline << 3071
        if self.ka_challenge >> 1:
            raise ValueError(f"tcb.ka_challenge = {self.ka_challenge:#x} does not fit in 1 bits")
        value |= self.ka_challenge << 3103
        if self.ka_probe_owed >> 1:
            raise ValueError(f"tcb.ka_probe_owed = {self.ka_probe_owed:#x} does not fit in 1 bits")
        value |= self.ka_probe_owed << 3104
        if self.rst_challenged >> 1:
            raise ValueError(f"tcb.rst_challenged = {self.rst_challenged:#x} does not fit in 1 bits")
        value |= self.rst_challenged << 3105
        if self.syn_challenged >> 1:
            raise ValueError(f"tcb.syn_challenged = {self.syn_challenged:#x} does not fit in 1 bits")
        value |= self.syn_challenged << 3106
        if self.syn_tick >> 32:
            raise ValueError(f"tcb.syn_tick = {self.syn_tick:#x} does not fit in 32 bits")
        value |= self.syn_tick << 3107
        if self.answered >> 1:
            raise ValueError(f"tcb.answered = {self.answered:#x} does not fit in 1 bits")
        value |= self.answered << 3139
        if self.answer_tick >> 32:
            raise ValueError(f"tcb.answer_tick = {self.answer_tick:#x} does not fit in 32 bits")
        value |= self.answer_tick << 3140
        if self.old_segs >> 16:
            raise ValueError(f"tcb.old_segs = {self.old_segs:#x} does not fit in 16 bits")
        value |= self.old_segs << 3172
        if self.ooo_segs >> 16:
            raise ValueError(f"tcb.ooo_segs = {self.ooo_segs:#x} does not fit in 16 bits")
        value |= self.ooo_segs << 3188
        return value

    @classmethod
    def unpack(cls, value: int) -> Tcb:
        """Fields of a packed vector."""
        return cls(
            value & 0x3,
            (value >> 2) & 0xff,
            (value >> 10) & 0xf,
            (value >> 14) & 0x1,
            (value >> 15) & 0x1,
            (value >> 16) & 0x1,
            (value >> 17) & 0x1,
            (value >> 18) & 0x1,
            (value >> 19) & 0x1,
            (value >> 20) & 0xf,
            (value >> 24) & 0xf,
            (value >> 28) & 0xff,
            (value >> 36) & 0xffff,
            (value >> 52) & 0xffff,
            (value >> 68) & 0xffff,
            (value >> 84) & 0xffff,
            (value >> 100) & 0xffffffff,
            (value >> 132) & 0xffff,
            (value >> 148) & 0xffffffff,
            (value >> 180) & 0xffffffff,
            (value >> 212) & 0xff,
            (value >> 220) & 0xffffffff,
            (value >> 252) & 0xffffffff,
            (value >> 284) & 0xffffffff,
            (value >> 316) & 0xfffff,
            (value >> 336) & 0xff,
            (value >> 344) & 0xff,
            (value >> 352) & 0x7,
            (value >> 355) & 0xffff,
            (value >> 371) & 0xff,
            (value >> 379) & 0xffffffff,
            (value >> 411) & 0xffffffff,
            (value >> 443) & 0xffffffff,
            (value >> 475) & 0xffffffff,
            (value >> 507) & 0xffffffff,
            (value >> 539) & 0xffffffff,
            (value >> 571) & 0xffffffff,
            (value >> 603) & 0xffffffff,
            (value >> 635) & 0x1,
            (value >> 636) & 0xffffffff,
            (value >> 668) & 0xffffffff,
            (value >> 700) & 0xffffffff,
            (value >> 732) & 0xffffffff,
            (value >> 764) & 0xffffffff,
            (value >> 796) & 0xffffffff,
            (value >> 828) & 0xffffffff,
            (value >> 860) & 0x1,
            (value >> 861) & 0xf,
            (value >> 865) & 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 1121) & 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 1377) & 0xffffffff,
            (value >> 1409) & 0x1,
            (value >> 1410) & 0xffffffff,
            (value >> 1442) & 0x1,
            (value >> 1443) & 0x1,
            (value >> 1444) & 0x1,
            (value >> 1445) & 0xffffffff,
            (value >> 1477) & 0x1,
            (value >> 1478) & 0x7ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 1729) & 0x1,
            (value >> 1730) & 0xff,
            (value >> 1738) & 0x1,
            (value >> 1739) & 0x1,
            (value >> 1740) & 0x1,
            (value >> 1741) & 0x1,
            (value >> 1742) & 0x7,
            (value >> 1745) & 0xffff,
            (value >> 1761) & 0xffff,
            (value >> 1777) & 0xffffffff,
            (value >> 1809) & 0x1,
            (value >> 1810) & 0xffffffff,
            (value >> 1842) & 0xffffffff,
            (value >> 1874) & 0x1,
            (value >> 1875) & 0x1,
            (value >> 1876) & 0xffffffff,
            (value >> 1908) & 0xff,
            (value >> 1916) & 0xff,
            (value >> 1924) & 0xffffffff,
            (value >> 1956) & 0x1,
            (value >> 1957) & 0xffffffff,
            (value >> 1989) & 0xff,
            (value >> 1997) & 0xffffffff,
            (value >> 2029) & 0xffffffff,
            (value >> 2061) & 0xffffffff,
            (value >> 2093) & 0xffffffff,
            (value >> 2125) & 0x1,
            (value >> 2126) & 0xffffffff,
            (value >> 2158) & 0xffffffff,
            (value >> 2190) & 0xf,
            (value >> 2194) & 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 2450) & 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 2706) & 0xffffff,
            (value >> 2730) & 0x1,
            (value >> 2731) & 0xffffffff,
            (value >> 2763) & 0x1,
            (value >> 2764) & 0xffffffff,
            (value >> 2796) & 0xffffffff,
            (value >> 2828) & 0xffffffff,
            (value >> 2860) & 0x1,
            (value >> 2861) & 0xffffffffffffffff,
            (value >> 2925) & 0xffffffffffffffff,
            (value >> 2989) & 0xffff,
            (value >> 3005) & 0x1,
            (value >> 3006) & 0xffffffff,
            (value >> 3038) & 0xffffffff,
            (value >> 3070) & 0x1,
            (value >> 3071) & 0xffffffff,
            (value >> 3103) & 0x1,
            (value >> 3104) & 0x1,
            (value >> 3105) & 0x1,
            (value >> 3106) & 0x1,
            (value >> 3107) & 0xffffffff,
            (value >> 3139) & 0x1,
            (value >> 3140) & 0xffffffff,
            (value >> 3172) & 0xffff,
            (value >> 3188) & 0xffff,
        )


@dataclass(frozen=True, slots=True)
class Cubic:
    """what CUBIC keeps of a connection: field cc of the tcb"""

    WIDTH: ClassVar[int] = 251
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "epoch": (0, 1),
        "start": (1, 32),
        "last": (33, 32),
        "dry": (65, 1),
        "w_max": (66, 32),
        "prior": (98, 32),
        "gap": (130, 32),
        "k": (162, 17),
        "k_bits": (179, 5),
        "w_est": (184, 32),
        "est_acc": (216, 35),
    }
    epoch: int = 0
    start: int = 0
    last: int = 0
    dry: int = 0
    w_max: int = 0
    prior: int = 0
    gap: int = 0
    k: int = 0
    k_bits: int = 0
    w_est: int = 0
    est_acc: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.epoch >> 1:
            raise ValueError(f"cubic.epoch = {self.epoch:#x} does not fit in 1 bits")
        value |= self.epoch
        if self.start >> 32:
            raise ValueError(f"cubic.start = {self.start:#x} does not fit in 32 bits")
        value |= self.start << 1
        if self.last >> 32:
            raise ValueError(f"cubic.last = {self.last:#x} does not fit in 32 bits")
        value |= self.last << 33
        if self.dry >> 1:
            raise ValueError(f"cubic.dry = {self.dry:#x} does not fit in 1 bits")
        value |= self.dry << 65
        if self.w_max >> 32:
            raise ValueError(f"cubic.w_max = {self.w_max:#x} does not fit in 32 bits")
        value |= self.w_max << 66
        if self.prior >> 32:
            raise ValueError(f"cubic.prior = {self.prior:#x} does not fit in 32 bits")
        value |= self.prior << 98
        if self.gap >> 32:
            raise ValueError(f"cubic.gap = {self.gap:#x} does not fit in 32 bits")
        value |= self.gap << 130
        if self.k >> 17:
            raise ValueError(f"cubic.k = {self.k:#x} does not fit in 17 bits")
        value |= self.k << 162
        if self.k_bits >> 5:
            raise ValueError(f"cubic.k_bits = {self.k_bits:#x} does not fit in 5 bits")
        value |= self.k_bits << 179
        if self.w_est >> 32:
            raise ValueError(f"cubic.w_est = {self.w_est:#x} does not fit in 32 bits")
        value |= self.w_est << 184
        if self.est_acc >> 35:
            raise ValueError(f"cubic.est_acc = {self.est_acc:#x} does not fit in 35 bits")
        value |= self.est_acc << 216
        return value

    @classmethod
    def unpack(cls, value: int) -> Cubic:
        """Fields of a packed vector."""
        return cls(
            value & 0x1,
            (value >> 1) & 0xffffffff,
            (value >> 33) & 0xffffffff,
            (value >> 65) & 0x1,
            (value >> 66) & 0xffffffff,
            (value >> 98) & 0xffffffff,
            (value >> 130) & 0xffffffff,
            (value >> 162) & 0x1ffff,
            (value >> 179) & 0x1f,
            (value >> 184) & 0xffffffff,
            (value >> 216) & 0x7ffffffff,
        )


@dataclass(frozen=True, slots=True)
class PathRec:
    """path table entry of tcp_engine"""

    WIDTH: ClassVar[int] = 314
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "valid": (0, 1),
        "family": (1, 8),
        "neighbor_id": (9, 16),
        "path_mtu": (25, 32),
        "src_addr": (57, 128),
        "dst_addr": (185, 128),
        "invalid": (313, 1),
    }
    valid: int = 0
    family: int = 0
    neighbor_id: int = 0
    path_mtu: int = 0
    src_addr: int = 0
    dst_addr: int = 0
    invalid: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.valid >> 1:
            raise ValueError(f"path_rec.valid = {self.valid:#x} does not fit in 1 bits")
        value |= self.valid
        if self.family >> 8:
            raise ValueError(f"path_rec.family = {self.family:#x} does not fit in 8 bits")
        value |= self.family << 1
        if self.neighbor_id >> 16:
            raise ValueError(f"path_rec.neighbor_id = {self.neighbor_id:#x} does not fit in 16 bits")
        value |= self.neighbor_id << 9
        if self.path_mtu >> 32:
            raise ValueError(f"path_rec.path_mtu = {self.path_mtu:#x} does not fit in 32 bits")
        value |= self.path_mtu << 25
        if self.src_addr >> 128:
            raise ValueError(f"path_rec.src_addr = {self.src_addr:#x} does not fit in 128 bits")
        value |= self.src_addr << 57
        if self.dst_addr >> 128:
            raise ValueError(f"path_rec.dst_addr = {self.dst_addr:#x} does not fit in 128 bits")
        value |= self.dst_addr << 185
        if self.invalid >> 1:
            raise ValueError(f"path_rec.invalid = {self.invalid:#x} does not fit in 1 bits")
        value |= self.invalid << 313
        return value

    @classmethod
    def unpack(cls, value: int) -> PathRec:
        """Fields of a packed vector."""
        return cls(
            value & 0x1,
            (value >> 1) & 0xff,
            (value >> 9) & 0xffff,
            (value >> 25) & 0xffffffff,
            (value >> 57) & 0xffffffffffffffffffffffffffffffff,
            (value >> 185) & 0xffffffffffffffffffffffffffffffff,
            (value >> 313) & 0x1,
        )


@dataclass(frozen=True, slots=True)
class NbrRec:
    """neighbor table entry of tcp_engine"""

    WIDTH: ClassVar[int] = 175
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "valid": (0, 1),
        "dl_src": (1, 48),
        "dl_dst": (49, 48),
        "vlan_id": (97, 12),
        "hrt": (109, 32),
        "nrt": (141, 32),
        "invalid": (173, 1),
        "query": (174, 1),
    }
    valid: int = 0
    dl_src: int = 0
    dl_dst: int = 0
    vlan_id: int = 0
    hrt: int = 0
    nrt: int = 0
    invalid: int = 0
    query: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.valid >> 1:
            raise ValueError(f"nbr_rec.valid = {self.valid:#x} does not fit in 1 bits")
        value |= self.valid
        if self.dl_src >> 48:
            raise ValueError(f"nbr_rec.dl_src = {self.dl_src:#x} does not fit in 48 bits")
        value |= self.dl_src << 1
        if self.dl_dst >> 48:
            raise ValueError(f"nbr_rec.dl_dst = {self.dl_dst:#x} does not fit in 48 bits")
        value |= self.dl_dst << 49
        if self.vlan_id >> 12:
            raise ValueError(f"nbr_rec.vlan_id = {self.vlan_id:#x} does not fit in 12 bits")
        value |= self.vlan_id << 97
        if self.hrt >> 32:
            raise ValueError(f"nbr_rec.hrt = {self.hrt:#x} does not fit in 32 bits")
        value |= self.hrt << 109
        if self.nrt >> 32:
            raise ValueError(f"nbr_rec.nrt = {self.nrt:#x} does not fit in 32 bits")
        value |= self.nrt << 141
        if self.invalid >> 1:
            raise ValueError(f"nbr_rec.invalid = {self.invalid:#x} does not fit in 1 bits")
        value |= self.invalid << 173
        if self.query >> 1:
            raise ValueError(f"nbr_rec.query = {self.query:#x} does not fit in 1 bits")
        value |= self.query << 174
        return value

    @classmethod
    def unpack(cls, value: int) -> NbrRec:
        """Fields of a packed vector."""
        return cls(
            value & 0x1,
            (value >> 1) & 0xffffffffffff,
            (value >> 49) & 0xffffffffffff,
            (value >> 97) & 0xfff,
            (value >> 109) & 0xffffffff,
            (value >> 141) & 0xffffffff,
            (value >> 173) & 0x1,
            (value >> 174) & 0x1,
        )


@dataclass(frozen=True, slots=True)
class Params:
    """global parameters as the engine keeps them"""

    WIDTH: ClassVar[int] = 224
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "ack_frequency": (0, 8),
        "delayed_ack_ticks": (8, 8),
        "max_retransmissions": (16, 8),
        "dup_ack_threshold": (24, 8),
        "push_ticks": (32, 32),
        "rto_min": (64, 32),
        "rto_max": (96, 32),
        "rto_initial": (128, 32),
        "nce_stale_ticks": (160, 32),
        "ticks_per_second": (192, 32),
    }
    ack_frequency: int = 0
    delayed_ack_ticks: int = 0
    max_retransmissions: int = 0
    dup_ack_threshold: int = 0
    push_ticks: int = 0
    rto_min: int = 0
    rto_max: int = 0
    rto_initial: int = 0
    nce_stale_ticks: int = 0
    ticks_per_second: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.ack_frequency >> 8:
            raise ValueError(f"params.ack_frequency = {self.ack_frequency:#x} does not fit in 8 bits")
        value |= self.ack_frequency
        if self.delayed_ack_ticks >> 8:
            raise ValueError(f"params.delayed_ack_ticks = {self.delayed_ack_ticks:#x} does not fit in 8 bits")
        value |= self.delayed_ack_ticks << 8
        if self.max_retransmissions >> 8:
            raise ValueError(f"params.max_retransmissions = {self.max_retransmissions:#x} does not fit in 8 bits")
        value |= self.max_retransmissions << 16
        if self.dup_ack_threshold >> 8:
            raise ValueError(f"params.dup_ack_threshold = {self.dup_ack_threshold:#x} does not fit in 8 bits")
        value |= self.dup_ack_threshold << 24
        if self.push_ticks >> 32:
            raise ValueError(f"params.push_ticks = {self.push_ticks:#x} does not fit in 32 bits")
        value |= self.push_ticks << 32
        if self.rto_min >> 32:
            raise ValueError(f"params.rto_min = {self.rto_min:#x} does not fit in 32 bits")
        value |= self.rto_min << 64
        if self.rto_max >> 32:
            raise ValueError(f"params.rto_max = {self.rto_max:#x} does not fit in 32 bits")
        value |= self.rto_max << 96
        if self.rto_initial >> 32:
            raise ValueError(f"params.rto_initial = {self.rto_initial:#x} does not fit in 32 bits")
        value |= self.rto_initial << 128
        if self.nce_stale_ticks >> 32:
            raise ValueError(f"params.nce_stale_ticks = {self.nce_stale_ticks:#x} does not fit in 32 bits")
        value |= self.nce_stale_ticks << 160
        if self.ticks_per_second >> 32:
            raise ValueError(f"params.ticks_per_second = {self.ticks_per_second:#x} does not fit in 32 bits")
        value |= self.ticks_per_second << 192
        return value

    @classmethod
    def unpack(cls, value: int) -> Params:
        """Fields of a packed vector."""
        return cls(
            value & 0xff,
            (value >> 8) & 0xff,
            (value >> 16) & 0xff,
            (value >> 24) & 0xff,
            (value >> 32) & 0xffffffff,
            (value >> 64) & 0xffffffff,
            (value >> 96) & 0xffffffff,
            (value >> 128) & 0xffffffff,
            (value >> 160) & 0xffffffff,
            (value >> 192) & 0xffffffff,
        )


@dataclass(frozen=True, slots=True)
class Dcb:
    """connection state of delivery_engine"""

    WIDTH: ClassVar[int] = 698
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "loaded": (0, 1),
        "gen": (1, 8),
        "hold": (9, 1),
        "frozen": (10, 1),
        "freeze_done": (11, 1),
        "aborted": (12, 1),
        "d": (13, 1),
        "token": (14, 16),
        "refused": (30, 1),
        "fin_mark": (31, 1),
        "fin_done": (32, 1),
        "push_on": (33, 1),
        "push_deadline": (34, 32),
        "push_ticks": (66, 32),
        "consumed_thr": (98, 32),
        "req_head": (130, 8),
        "req_count": (138, 8),
        "req_filled": (146, 32),
        "list_head": (178, 16),
        "list_tail": (194, 16),
        "list_count": (210, 16),
        "freeze_addr": (226, 64),
        "freeze_count": (290, 16),
        "ooo_used": (306, 8),
        "ooo_head": (314, 128),
        "ooo_tail": (442, 128),
        "ooo_count": (570, 128),
    }
    loaded: int = 0
    gen: int = 0
    hold: int = 0
    frozen: int = 0
    freeze_done: int = 0
    aborted: int = 0
    d: int = 0
    token: int = 0
    refused: int = 0
    fin_mark: int = 0
    fin_done: int = 0
    push_on: int = 0
    push_deadline: int = 0
    push_ticks: int = 0
    consumed_thr: int = 0
    req_head: int = 0
    req_count: int = 0
    req_filled: int = 0
    list_head: int = 0
    list_tail: int = 0
    list_count: int = 0
    freeze_addr: int = 0
    freeze_count: int = 0
    ooo_used: int = 0
    ooo_head: int = 0
    ooo_tail: int = 0
    ooo_count: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.loaded >> 1:
            raise ValueError(f"dcb.loaded = {self.loaded:#x} does not fit in 1 bits")
        value |= self.loaded
        if self.gen >> 8:
            raise ValueError(f"dcb.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 1
        if self.hold >> 1:
            raise ValueError(f"dcb.hold = {self.hold:#x} does not fit in 1 bits")
        value |= self.hold << 9
        if self.frozen >> 1:
            raise ValueError(f"dcb.frozen = {self.frozen:#x} does not fit in 1 bits")
        value |= self.frozen << 10
        if self.freeze_done >> 1:
            raise ValueError(f"dcb.freeze_done = {self.freeze_done:#x} does not fit in 1 bits")
        value |= self.freeze_done << 11
        if self.aborted >> 1:
            raise ValueError(f"dcb.aborted = {self.aborted:#x} does not fit in 1 bits")
        value |= self.aborted << 12
        if self.d >> 1:
            raise ValueError(f"dcb.d = {self.d:#x} does not fit in 1 bits")
        value |= self.d << 13
        if self.token >> 16:
            raise ValueError(f"dcb.token = {self.token:#x} does not fit in 16 bits")
        value |= self.token << 14
        if self.refused >> 1:
            raise ValueError(f"dcb.refused = {self.refused:#x} does not fit in 1 bits")
        value |= self.refused << 30
        if self.fin_mark >> 1:
            raise ValueError(f"dcb.fin_mark = {self.fin_mark:#x} does not fit in 1 bits")
        value |= self.fin_mark << 31
        if self.fin_done >> 1:
            raise ValueError(f"dcb.fin_done = {self.fin_done:#x} does not fit in 1 bits")
        value |= self.fin_done << 32
        if self.push_on >> 1:
            raise ValueError(f"dcb.push_on = {self.push_on:#x} does not fit in 1 bits")
        value |= self.push_on << 33
        if self.push_deadline >> 32:
            raise ValueError(f"dcb.push_deadline = {self.push_deadline:#x} does not fit in 32 bits")
        value |= self.push_deadline << 34
        if self.push_ticks >> 32:
            raise ValueError(f"dcb.push_ticks = {self.push_ticks:#x} does not fit in 32 bits")
        value |= self.push_ticks << 66
        if self.consumed_thr >> 32:
            raise ValueError(f"dcb.consumed_thr = {self.consumed_thr:#x} does not fit in 32 bits")
        value |= self.consumed_thr << 98
        if self.req_head >> 8:
            raise ValueError(f"dcb.req_head = {self.req_head:#x} does not fit in 8 bits")
        value |= self.req_head << 130
        if self.req_count >> 8:
            raise ValueError(f"dcb.req_count = {self.req_count:#x} does not fit in 8 bits")
        value |= self.req_count << 138
        if self.req_filled >> 32:
            raise ValueError(f"dcb.req_filled = {self.req_filled:#x} does not fit in 32 bits")
        value |= self.req_filled << 146
        if self.list_head >> 16:
            raise ValueError(f"dcb.list_head = {self.list_head:#x} does not fit in 16 bits")
        value |= self.list_head << 178
        if self.list_tail >> 16:
            raise ValueError(f"dcb.list_tail = {self.list_tail:#x} does not fit in 16 bits")
        value |= self.list_tail << 194
        if self.list_count >> 16:
            raise ValueError(f"dcb.list_count = {self.list_count:#x} does not fit in 16 bits")
        value |= self.list_count << 210
        if self.freeze_addr >> 64:
            raise ValueError(f"dcb.freeze_addr = {self.freeze_addr:#x} does not fit in 64 bits")
        value |= self.freeze_addr << 226
        if self.freeze_count >> 16:
            raise ValueError(f"dcb.freeze_count = {self.freeze_count:#x} does not fit in 16 bits")
        value |= self.freeze_count << 290
        if self.ooo_used >> 8:
            raise ValueError(f"dcb.ooo_used = {self.ooo_used:#x} does not fit in 8 bits")
        value |= self.ooo_used << 306
        if self.ooo_head >> 128:
            raise ValueError(f"dcb.ooo_head = {self.ooo_head:#x} does not fit in 128 bits")
        value |= self.ooo_head << 314
        if self.ooo_tail >> 128:
            raise ValueError(f"dcb.ooo_tail = {self.ooo_tail:#x} does not fit in 128 bits")
        value |= self.ooo_tail << 442
        if self.ooo_count >> 128:
            raise ValueError(f"dcb.ooo_count = {self.ooo_count:#x} does not fit in 128 bits")
        value |= self.ooo_count << 570
        return value

    @classmethod
    def unpack(cls, value: int) -> Dcb:
        """Fields of a packed vector."""
        return cls(
            value & 0x1,
            (value >> 1) & 0xff,
            (value >> 9) & 0x1,
            (value >> 10) & 0x1,
            (value >> 11) & 0x1,
            (value >> 12) & 0x1,
            (value >> 13) & 0x1,
            (value >> 14) & 0xffff,
            (value >> 30) & 0x1,
            (value >> 31) & 0x1,
            (value >> 32) & 0x1,
            (value >> 33) & 0x1,
            (value >> 34) & 0xffffffff,
            (value >> 66) & 0xffffffff,
            (value >> 98) & 0xffffffff,
            (value >> 130) & 0xff,
            (value >> 138) & 0xff,
            (value >> 146) & 0xffffffff,
            (value >> 178) & 0xffff,
            (value >> 194) & 0xffff,
            (value >> 210) & 0xffff,
            (value >> 226) & 0xffffffffffffffff,
            (value >> 290) & 0xffff,
            (value >> 306) & 0xff,
            (value >> 314) & 0xffffffffffffffffffffffffffffffff,
            (value >> 442) & 0xffffffffffffffffffffffffffffffff,
            (value >> 570) & 0xffffffffffffffffffffffffffffffff,
        )


@dataclass(frozen=True, slots=True)
class RcvReq:
    """posted receive request"""

    WIDTH: ClassVar[int] = 162
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "addr": (0, 64),
        "length": (64, 32),
        "nopush": (96, 1),
        "cookie": (97, 64),
        "prefill": (161, 1),
    }
    addr: int = 0
    length: int = 0
    nopush: int = 0
    cookie: int = 0
    prefill: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.addr >> 64:
            raise ValueError(f"rcv_req.addr = {self.addr:#x} does not fit in 64 bits")
        value |= self.addr
        if self.length >> 32:
            raise ValueError(f"rcv_req.length = {self.length:#x} does not fit in 32 bits")
        value |= self.length << 64
        if self.nopush >> 1:
            raise ValueError(f"rcv_req.nopush = {self.nopush:#x} does not fit in 1 bits")
        value |= self.nopush << 96
        if self.cookie >> 64:
            raise ValueError(f"rcv_req.cookie = {self.cookie:#x} does not fit in 64 bits")
        value |= self.cookie << 97
        if self.prefill >> 1:
            raise ValueError(f"rcv_req.prefill = {self.prefill:#x} does not fit in 1 bits")
        value |= self.prefill << 161
        return value

    @classmethod
    def unpack(cls, value: int) -> RcvReq:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffffffffffff,
            (value >> 64) & 0xffffffff,
            (value >> 96) & 0x1,
            (value >> 97) & 0xffffffffffffffff,
            (value >> 161) & 0x1,
        )


@dataclass(frozen=True, slots=True)
class PoolNode:
    """list node of a pool buffer in use"""

    WIDTH: ClassVar[int] = 49
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "next": (0, 16),
        "offset": (16, 16),
        "length": (32, 16),
        "psh": (48, 1),
    }
    next: int = 0
    offset: int = 0
    length: int = 0
    psh: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.next >> 16:
            raise ValueError(f"pool_node.next = {self.next:#x} does not fit in 16 bits")
        value |= self.next
        if self.offset >> 16:
            raise ValueError(f"pool_node.offset = {self.offset:#x} does not fit in 16 bits")
        value |= self.offset << 16
        if self.length >> 16:
            raise ValueError(f"pool_node.length = {self.length:#x} does not fit in 16 bits")
        value |= self.length << 32
        if self.psh >> 1:
            raise ValueError(f"pool_node.psh = {self.psh:#x} does not fit in 1 bits")
        value |= self.psh << 48
        return value

    @classmethod
    def unpack(cls, value: int) -> PoolNode:
        """Fields of a packed vector."""
        return cls(
            value & 0xffff,
            (value >> 16) & 0xffff,
            (value >> 32) & 0xffff,
            (value >> 48) & 0x1,
        )


@dataclass(frozen=True, slots=True)
class RxSeg:
    """arguments of RX_SEGMENT: what rx_parser and conn_lookup found"""

    WIDTH: ClassVar[int] = 515
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "arrival": (0, 32),
        "conn": (32, 16),
        "gen": (48, 8),
        "seq": (56, 32),
        "ack": (88, 32),
        "wnd": (120, 16),
        "flags": (136, 8),
        "tagged": (144, 1),
        "vlan_id": (145, 12),
        "ts_present": (157, 1),
        "tsval": (158, 32),
        "tsecr": (190, 32),
        "ip_ecn": (222, 2),
        "sack_n": (224, 3),
        "sack_left": (227, 128),
        "sack_right": (355, 128),
        "pay_off": (483, 16),
        "pay_len": (499, 16),
    }
    arrival: int = 0
    conn: int = 0
    gen: int = 0
    seq: int = 0
    ack: int = 0
    wnd: int = 0
    flags: int = 0
    tagged: int = 0
    vlan_id: int = 0
    ts_present: int = 0
    tsval: int = 0
    tsecr: int = 0
    ip_ecn: int = 0
    sack_n: int = 0
    sack_left: int = 0
    sack_right: int = 0
    pay_off: int = 0
    pay_len: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.arrival >> 32:
            raise ValueError(f"rx_seg.arrival = {self.arrival:#x} does not fit in 32 bits")
        value |= self.arrival
        if self.conn >> 16:
            raise ValueError(f"rx_seg.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 32
        if self.gen >> 8:
            raise ValueError(f"rx_seg.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 48
        if self.seq >> 32:
            raise ValueError(f"rx_seg.seq = {self.seq:#x} does not fit in 32 bits")
        value |= self.seq << 56
        if self.ack >> 32:
            raise ValueError(f"rx_seg.ack = {self.ack:#x} does not fit in 32 bits")
        value |= self.ack << 88
        if self.wnd >> 16:
            raise ValueError(f"rx_seg.wnd = {self.wnd:#x} does not fit in 16 bits")
        value |= self.wnd << 120
        if self.flags >> 8:
            raise ValueError(f"rx_seg.flags = {self.flags:#x} does not fit in 8 bits")
        value |= self.flags << 136
        if self.tagged >> 1:
            raise ValueError(f"rx_seg.tagged = {self.tagged:#x} does not fit in 1 bits")
        value |= self.tagged << 144
        if self.vlan_id >> 12:
            raise ValueError(f"rx_seg.vlan_id = {self.vlan_id:#x} does not fit in 12 bits")
        value |= self.vlan_id << 145
        if self.ts_present >> 1:
            raise ValueError(f"rx_seg.ts_present = {self.ts_present:#x} does not fit in 1 bits")
        value |= self.ts_present << 157
        if self.tsval >> 32:
            raise ValueError(f"rx_seg.tsval = {self.tsval:#x} does not fit in 32 bits")
        value |= self.tsval << 158
        if self.tsecr >> 32:
            raise ValueError(f"rx_seg.tsecr = {self.tsecr:#x} does not fit in 32 bits")
        value |= self.tsecr << 190
        if self.ip_ecn >> 2:
            raise ValueError(f"rx_seg.ip_ecn = {self.ip_ecn:#x} does not fit in 2 bits")
        value |= self.ip_ecn << 222
        if self.sack_n >> 3:
            raise ValueError(f"rx_seg.sack_n = {self.sack_n:#x} does not fit in 3 bits")
        value |= self.sack_n << 224
        if self.sack_left >> 128:
            raise ValueError(f"rx_seg.sack_left = {self.sack_left:#x} does not fit in 128 bits")
        value |= self.sack_left << 227
        if self.sack_right >> 128:
            raise ValueError(f"rx_seg.sack_right = {self.sack_right:#x} does not fit in 128 bits")
        value |= self.sack_right << 355
        if self.pay_off >> 16:
            raise ValueError(f"rx_seg.pay_off = {self.pay_off:#x} does not fit in 16 bits")
        value |= self.pay_off << 483
        if self.pay_len >> 16:
            raise ValueError(f"rx_seg.pay_len = {self.pay_len:#x} does not fit in 16 bits")
        value |= self.pay_len << 499
        return value

    @classmethod
    def unpack(cls, value: int) -> RxSeg:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffff,
            (value >> 32) & 0xffff,
            (value >> 48) & 0xff,
            (value >> 56) & 0xffffffff,
            (value >> 88) & 0xffffffff,
            (value >> 120) & 0xffff,
            (value >> 136) & 0xff,
            (value >> 144) & 0x1,
            (value >> 145) & 0xfff,
            (value >> 157) & 0x1,
            (value >> 158) & 0xffffffff,
            (value >> 190) & 0xffffffff,
            (value >> 222) & 0x3,
            (value >> 224) & 0x7,
            (value >> 227) & 0xffffffffffffffffffffffffffffffff,
            (value >> 355) & 0xffffffffffffffffffffffffffffffff,
            (value >> 483) & 0xffff,
            (value >> 499) & 0xffff,
        )


@dataclass(frozen=True, slots=True)
class DlvMsg:
    """message tcp_engine -> delivery_engine"""

    WIDTH: ClassVar[int] = 346
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "kind": (0, 4),
        "conn": (4, 16),
        "gen": (20, 8),
        "arrival": (28, 32),
        "offset": (60, 16),
        "len": (76, 16),
        "psh": (92, 1),
        "fin": (93, 1),
        "hold": (94, 1),
        "aborted": (95, 1),
        "event": (96, 8),
        "info": (104, 32),
        "push_ticks": (136, 32),
        "sq_index": (168, 16),
        "a": (184, 64),
        "fwd": (248, 1),
        "cookie": (249, 64),
        "slot": (313, 3),
        "join": (316, 1),
        "skip": (317, 16),
        "app": (333, 1),
        "pre": (334, 1),
        "slot2": (335, 3),
        "free": (338, 8),
    }
    kind: int = 0
    conn: int = 0
    gen: int = 0
    arrival: int = 0
    offset: int = 0
    len: int = 0
    psh: int = 0
    fin: int = 0
    hold: int = 0
    aborted: int = 0
    event: int = 0
    info: int = 0
    push_ticks: int = 0
    sq_index: int = 0
    a: int = 0
    fwd: int = 0
    cookie: int = 0
    slot: int = 0
    join: int = 0
    skip: int = 0
    app: int = 0
    pre: int = 0
    slot2: int = 0
    free: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.kind >> 4:
            raise ValueError(f"dlv_msg.kind = {self.kind:#x} does not fit in 4 bits")
        value |= self.kind
        if self.conn >> 16:
            raise ValueError(f"dlv_msg.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 4
        if self.gen >> 8:
            raise ValueError(f"dlv_msg.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 20
        if self.arrival >> 32:
            raise ValueError(f"dlv_msg.arrival = {self.arrival:#x} does not fit in 32 bits")
        value |= self.arrival << 28
        if self.offset >> 16:
            raise ValueError(f"dlv_msg.offset = {self.offset:#x} does not fit in 16 bits")
        value |= self.offset << 60
        if self.len >> 16:
            raise ValueError(f"dlv_msg.len = {self.len:#x} does not fit in 16 bits")
        value |= self.len << 76
        if self.psh >> 1:
            raise ValueError(f"dlv_msg.psh = {self.psh:#x} does not fit in 1 bits")
        value |= self.psh << 92
        if self.fin >> 1:
            raise ValueError(f"dlv_msg.fin = {self.fin:#x} does not fit in 1 bits")
        value |= self.fin << 93
        if self.hold >> 1:
            raise ValueError(f"dlv_msg.hold = {self.hold:#x} does not fit in 1 bits")
        value |= self.hold << 94
        if self.aborted >> 1:
            raise ValueError(f"dlv_msg.aborted = {self.aborted:#x} does not fit in 1 bits")
        value |= self.aborted << 95
        if self.event >> 8:
            raise ValueError(f"dlv_msg.event = {self.event:#x} does not fit in 8 bits")
        value |= self.event << 96
        if self.info >> 32:
            raise ValueError(f"dlv_msg.info = {self.info:#x} does not fit in 32 bits")
        value |= self.info << 104
        if self.push_ticks >> 32:
            raise ValueError(f"dlv_msg.push_ticks = {self.push_ticks:#x} does not fit in 32 bits")
        value |= self.push_ticks << 136
        if self.sq_index >> 16:
            raise ValueError(f"dlv_msg.sq_index = {self.sq_index:#x} does not fit in 16 bits")
        value |= self.sq_index << 168
        if self.a >> 64:
            raise ValueError(f"dlv_msg.a = {self.a:#x} does not fit in 64 bits")
        value |= self.a << 184
        if self.fwd >> 1:
            raise ValueError(f"dlv_msg.fwd = {self.fwd:#x} does not fit in 1 bits")
        value |= self.fwd << 248
        if self.cookie >> 64:
            raise ValueError(f"dlv_msg.cookie = {self.cookie:#x} does not fit in 64 bits")
        value |= self.cookie << 249
        if self.slot >> 3:
            raise ValueError(f"dlv_msg.slot = {self.slot:#x} does not fit in 3 bits")
        value |= self.slot << 313
        if self.join >> 1:
            raise ValueError(f"dlv_msg.join = {self.join:#x} does not fit in 1 bits")
        value |= self.join << 316
        if self.skip >> 16:
            raise ValueError(f"dlv_msg.skip = {self.skip:#x} does not fit in 16 bits")
        value |= self.skip << 317
        if self.app >> 1:
            raise ValueError(f"dlv_msg.app = {self.app:#x} does not fit in 1 bits")
        value |= self.app << 333
        if self.pre >> 1:
            raise ValueError(f"dlv_msg.pre = {self.pre:#x} does not fit in 1 bits")
        value |= self.pre << 334
        if self.slot2 >> 3:
            raise ValueError(f"dlv_msg.slot2 = {self.slot2:#x} does not fit in 3 bits")
        value |= self.slot2 << 335
        if self.free >> 8:
            raise ValueError(f"dlv_msg.free = {self.free:#x} does not fit in 8 bits")
        value |= self.free << 338
        return value

    @classmethod
    def unpack(cls, value: int) -> DlvMsg:
        """Fields of a packed vector."""
        return cls(
            value & 0xf,
            (value >> 4) & 0xffff,
            (value >> 20) & 0xff,
            (value >> 28) & 0xffffffff,
            (value >> 60) & 0xffff,
            (value >> 76) & 0xffff,
            (value >> 92) & 0x1,
            (value >> 93) & 0x1,
            (value >> 94) & 0x1,
            (value >> 95) & 0x1,
            (value >> 96) & 0xff,
            (value >> 104) & 0xffffffff,
            (value >> 136) & 0xffffffff,
            (value >> 168) & 0xffff,
            (value >> 184) & 0xffffffffffffffff,
            (value >> 248) & 0x1,
            (value >> 249) & 0xffffffffffffffff,
            (value >> 313) & 0x7,
            (value >> 316) & 0x1,
            (value >> 317) & 0xffff,
            (value >> 333) & 0x1,
            (value >> 334) & 0x1,
            (value >> 335) & 0x7,
            (value >> 338) & 0xff,
        )


@dataclass(frozen=True, slots=True)
class Txq:
    """item of the in-order transmit queue; `body` is one of the tx_* structs, from bit 0"""

    WIDTH: ClassVar[int] = 484
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "kind": (0, 4),
        "conn": (4, 16),
        "gen": (20, 8),
        "body": (28, 456),
    }
    kind: int = 0
    conn: int = 0
    gen: int = 0
    body: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.kind >> 4:
            raise ValueError(f"txq.kind = {self.kind:#x} does not fit in 4 bits")
        value |= self.kind
        if self.conn >> 16:
            raise ValueError(f"txq.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 4
        if self.gen >> 8:
            raise ValueError(f"txq.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 20
        if self.body >> 456:
            raise ValueError(f"txq.body = {self.body:#x} does not fit in 456 bits")
        value |= self.body << 28
        return value

    @classmethod
    def unpack(cls, value: int) -> Txq:
        """Fields of a packed vector."""
        return cls(
            value & 0xf,
            (value >> 4) & 0xffff,
            (value >> 20) & 0xff,
            (value >> 28) & 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
        )


@dataclass(frozen=True, slots=True)
class TxSegment:
    """body of SEGMENT"""

    WIDTH: ClassVar[int] = 449
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "seq": (0, 32),
        "len": (32, 16),
        "flags": (48, 8),
        "ack": (56, 32),
        "wnd": (88, 16),
        "ts_en": (104, 1),
        "tsval": (105, 32),
        "tsecr": (137, 32),
        "ttl": (169, 8),
        "tos": (177, 8),
        "user_priority": (185, 3),
        "has_old": (188, 1),
        "has_new": (189, 1),
        "sack_n": (190, 3),
        "sack_left": (193, 128),
        "sack_right": (321, 128),
    }
    seq: int = 0
    len: int = 0
    flags: int = 0
    ack: int = 0
    wnd: int = 0
    ts_en: int = 0
    tsval: int = 0
    tsecr: int = 0
    ttl: int = 0
    tos: int = 0
    user_priority: int = 0
    has_old: int = 0
    has_new: int = 0
    sack_n: int = 0
    sack_left: int = 0
    sack_right: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.seq >> 32:
            raise ValueError(f"tx_segment.seq = {self.seq:#x} does not fit in 32 bits")
        value |= self.seq
        if self.len >> 16:
            raise ValueError(f"tx_segment.len = {self.len:#x} does not fit in 16 bits")
        value |= self.len << 32
        if self.flags >> 8:
            raise ValueError(f"tx_segment.flags = {self.flags:#x} does not fit in 8 bits")
        value |= self.flags << 48
        if self.ack >> 32:
            raise ValueError(f"tx_segment.ack = {self.ack:#x} does not fit in 32 bits")
        value |= self.ack << 56
        if self.wnd >> 16:
            raise ValueError(f"tx_segment.wnd = {self.wnd:#x} does not fit in 16 bits")
        value |= self.wnd << 88
        if self.ts_en >> 1:
            raise ValueError(f"tx_segment.ts_en = {self.ts_en:#x} does not fit in 1 bits")
        value |= self.ts_en << 104
        if self.tsval >> 32:
            raise ValueError(f"tx_segment.tsval = {self.tsval:#x} does not fit in 32 bits")
        value |= self.tsval << 105
        if self.tsecr >> 32:
            raise ValueError(f"tx_segment.tsecr = {self.tsecr:#x} does not fit in 32 bits")
        value |= self.tsecr << 137
        if self.ttl >> 8:
            raise ValueError(f"tx_segment.ttl = {self.ttl:#x} does not fit in 8 bits")
        value |= self.ttl << 169
        if self.tos >> 8:
            raise ValueError(f"tx_segment.tos = {self.tos:#x} does not fit in 8 bits")
        value |= self.tos << 177
        if self.user_priority >> 3:
            raise ValueError(f"tx_segment.user_priority = {self.user_priority:#x} does not fit in 3 bits")
        value |= self.user_priority << 185
        if self.has_old >> 1:
            raise ValueError(f"tx_segment.has_old = {self.has_old:#x} does not fit in 1 bits")
        value |= self.has_old << 188
        if self.has_new >> 1:
            raise ValueError(f"tx_segment.has_new = {self.has_new:#x} does not fit in 1 bits")
        value |= self.has_new << 189
        if self.sack_n >> 3:
            raise ValueError(f"tx_segment.sack_n = {self.sack_n:#x} does not fit in 3 bits")
        value |= self.sack_n << 190
        if self.sack_left >> 128:
            raise ValueError(f"tx_segment.sack_left = {self.sack_left:#x} does not fit in 128 bits")
        value |= self.sack_left << 193
        if self.sack_right >> 128:
            raise ValueError(f"tx_segment.sack_right = {self.sack_right:#x} does not fit in 128 bits")
        value |= self.sack_right << 321
        return value

    @classmethod
    def unpack(cls, value: int) -> TxSegment:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffff,
            (value >> 32) & 0xffff,
            (value >> 48) & 0xff,
            (value >> 56) & 0xffffffff,
            (value >> 88) & 0xffff,
            (value >> 104) & 0x1,
            (value >> 105) & 0xffffffff,
            (value >> 137) & 0xffffffff,
            (value >> 169) & 0xff,
            (value >> 177) & 0xff,
            (value >> 185) & 0x7,
            (value >> 188) & 0x1,
            (value >> 189) & 0x1,
            (value >> 190) & 0x7,
            (value >> 193) & 0xffffffffffffffffffffffffffffffff,
            (value >> 321) & 0xffffffffffffffffffffffffffffffff,
        )


@dataclass(frozen=True, slots=True)
class TxAppend:
    """body of APPEND: one entry of the send table"""

    WIDTH: ClassVar[int] = 234
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "start_seq": (0, 32),
        "end_seq": (32, 32),
        "list_addr": (64, 64),
        "count": (128, 16),
        "cookie": (144, 64),
        "last": (208, 1),
        "fin": (209, 1),
        "opcode": (210, 8),
        "sq_index": (218, 16),
    }
    start_seq: int = 0
    end_seq: int = 0
    list_addr: int = 0
    count: int = 0
    cookie: int = 0
    last: int = 0
    fin: int = 0
    opcode: int = 0
    sq_index: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.start_seq >> 32:
            raise ValueError(f"tx_append.start_seq = {self.start_seq:#x} does not fit in 32 bits")
        value |= self.start_seq
        if self.end_seq >> 32:
            raise ValueError(f"tx_append.end_seq = {self.end_seq:#x} does not fit in 32 bits")
        value |= self.end_seq << 32
        if self.list_addr >> 64:
            raise ValueError(f"tx_append.list_addr = {self.list_addr:#x} does not fit in 64 bits")
        value |= self.list_addr << 64
        if self.count >> 16:
            raise ValueError(f"tx_append.count = {self.count:#x} does not fit in 16 bits")
        value |= self.count << 128
        if self.cookie >> 64:
            raise ValueError(f"tx_append.cookie = {self.cookie:#x} does not fit in 64 bits")
        value |= self.cookie << 144
        if self.last >> 1:
            raise ValueError(f"tx_append.last = {self.last:#x} does not fit in 1 bits")
        value |= self.last << 208
        if self.fin >> 1:
            raise ValueError(f"tx_append.fin = {self.fin:#x} does not fit in 1 bits")
        value |= self.fin << 209
        if self.opcode >> 8:
            raise ValueError(f"tx_append.opcode = {self.opcode:#x} does not fit in 8 bits")
        value |= self.opcode << 210
        if self.sq_index >> 16:
            raise ValueError(f"tx_append.sq_index = {self.sq_index:#x} does not fit in 16 bits")
        value |= self.sq_index << 218
        return value

    @classmethod
    def unpack(cls, value: int) -> TxAppend:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffff,
            (value >> 32) & 0xffffffff,
            (value >> 64) & 0xffffffffffffffff,
            (value >> 128) & 0xffff,
            (value >> 144) & 0xffffffffffffffff,
            (value >> 208) & 0x1,
            (value >> 209) & 0x1,
            (value >> 210) & 0xff,
            (value >> 218) & 0xffff,
        )


@dataclass(frozen=True, slots=True)
class TxRelease:
    """body of RELEASE and FENCE: entries with end_seq <= una complete OK; a RELEASE with status not OK, and every FENCE, then completes all others with `status` and their acknowledged bytes; then, with `cpl`, the abortive DISCONNECT completes OK; at last a FENCE reports fence done"""

    WIDTH: ClassVar[int] = 121
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "una": (0, 32),
        "status": (32, 8),
        "cpl": (40, 1),
        "cookie": (41, 64),
        "sq_index": (105, 16),
    }
    una: int = 0
    status: int = 0
    cpl: int = 0
    cookie: int = 0
    sq_index: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.una >> 32:
            raise ValueError(f"tx_release.una = {self.una:#x} does not fit in 32 bits")
        value |= self.una
        if self.status >> 8:
            raise ValueError(f"tx_release.status = {self.status:#x} does not fit in 8 bits")
        value |= self.status << 32
        if self.cpl >> 1:
            raise ValueError(f"tx_release.cpl = {self.cpl:#x} does not fit in 1 bits")
        value |= self.cpl << 40
        if self.cookie >> 64:
            raise ValueError(f"tx_release.cookie = {self.cookie:#x} does not fit in 64 bits")
        value |= self.cookie << 41
        if self.sq_index >> 16:
            raise ValueError(f"tx_release.sq_index = {self.sq_index:#x} does not fit in 16 bits")
        value |= self.sq_index << 105
        return value

    @classmethod
    def unpack(cls, value: int) -> TxRelease:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffff,
            (value >> 32) & 0xff,
            (value >> 40) & 0x1,
            (value >> 41) & 0xffffffffffffffff,
            (value >> 105) & 0xffff,
        )


@dataclass(frozen=True, slots=True)
class TxBarrier:
    """body of BARRIER: behind it no frame of an object leaves; txq.conn, the object's number, and gen are the command's"""

    WIDTH: ClassVar[int] = 90
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "cookie": (0, 64),
        "sq_index": (64, 16),
        "opcode": (80, 8),
        "object": (88, 2),
    }
    cookie: int = 0
    sq_index: int = 0
    opcode: int = 0
    object: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.cookie >> 64:
            raise ValueError(f"tx_barrier.cookie = {self.cookie:#x} does not fit in 64 bits")
        value |= self.cookie
        if self.sq_index >> 16:
            raise ValueError(f"tx_barrier.sq_index = {self.sq_index:#x} does not fit in 16 bits")
        value |= self.sq_index << 64
        if self.opcode >> 8:
            raise ValueError(f"tx_barrier.opcode = {self.opcode:#x} does not fit in 8 bits")
        value |= self.opcode << 80
        if self.object >> 2:
            raise ValueError(f"tx_barrier.object = {self.object:#x} does not fit in 2 bits")
        value |= self.object << 88
        return value

    @classmethod
    def unpack(cls, value: int) -> TxBarrier:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffffffffffff,
            (value >> 64) & 0xffff,
            (value >> 80) & 0xff,
            (value >> 88) & 0x3,
        )


@dataclass(frozen=True, slots=True)
class TxHdrConn:
    """body of HDR_CONN"""

    WIDTH: ClassVar[int] = 76
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "local_port": (0, 16),
        "remote_port": (16, 16),
        "path_id": (32, 16),
        "family": (48, 8),
        "flow_label": (56, 20),
    }
    local_port: int = 0
    remote_port: int = 0
    path_id: int = 0
    family: int = 0
    flow_label: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.local_port >> 16:
            raise ValueError(f"tx_hdr_conn.local_port = {self.local_port:#x} does not fit in 16 bits")
        value |= self.local_port
        if self.remote_port >> 16:
            raise ValueError(f"tx_hdr_conn.remote_port = {self.remote_port:#x} does not fit in 16 bits")
        value |= self.remote_port << 16
        if self.path_id >> 16:
            raise ValueError(f"tx_hdr_conn.path_id = {self.path_id:#x} does not fit in 16 bits")
        value |= self.path_id << 32
        if self.family >> 8:
            raise ValueError(f"tx_hdr_conn.family = {self.family:#x} does not fit in 8 bits")
        value |= self.family << 48
        if self.flow_label >> 20:
            raise ValueError(f"tx_hdr_conn.flow_label = {self.flow_label:#x} does not fit in 20 bits")
        value |= self.flow_label << 56
        return value

    @classmethod
    def unpack(cls, value: int) -> TxHdrConn:
        """Fields of a packed vector."""
        return cls(
            value & 0xffff,
            (value >> 16) & 0xffff,
            (value >> 32) & 0xffff,
            (value >> 48) & 0xff,
            (value >> 56) & 0xfffff,
        )


@dataclass(frozen=True, slots=True)
class TxHdrPath:
    """body of HDR_PATH; txq.conn is the path id"""

    WIDTH: ClassVar[int] = 280
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "neighbor_id": (0, 16),
        "family": (16, 8),
        "src_addr": (24, 128),
        "dst_addr": (152, 128),
    }
    neighbor_id: int = 0
    family: int = 0
    src_addr: int = 0
    dst_addr: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.neighbor_id >> 16:
            raise ValueError(f"tx_hdr_path.neighbor_id = {self.neighbor_id:#x} does not fit in 16 bits")
        value |= self.neighbor_id
        if self.family >> 8:
            raise ValueError(f"tx_hdr_path.family = {self.family:#x} does not fit in 8 bits")
        value |= self.family << 16
        if self.src_addr >> 128:
            raise ValueError(f"tx_hdr_path.src_addr = {self.src_addr:#x} does not fit in 128 bits")
        value |= self.src_addr << 24
        if self.dst_addr >> 128:
            raise ValueError(f"tx_hdr_path.dst_addr = {self.dst_addr:#x} does not fit in 128 bits")
        value |= self.dst_addr << 152
        return value

    @classmethod
    def unpack(cls, value: int) -> TxHdrPath:
        """Fields of a packed vector."""
        return cls(
            value & 0xffff,
            (value >> 16) & 0xff,
            (value >> 24) & 0xffffffffffffffffffffffffffffffff,
            (value >> 152) & 0xffffffffffffffffffffffffffffffff,
        )


@dataclass(frozen=True, slots=True)
class TxHdrNbr:
    """body of HDR_NEIGHBOR; txq.conn is the neighbor id"""

    WIDTH: ClassVar[int] = 108
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "dl_src": (0, 48),
        "dl_dst": (48, 48),
        "vlan_id": (96, 12),
    }
    dl_src: int = 0
    dl_dst: int = 0
    vlan_id: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.dl_src >> 48:
            raise ValueError(f"tx_hdr_nbr.dl_src = {self.dl_src:#x} does not fit in 48 bits")
        value |= self.dl_src
        if self.dl_dst >> 48:
            raise ValueError(f"tx_hdr_nbr.dl_dst = {self.dl_dst:#x} does not fit in 48 bits")
        value |= self.dl_dst << 48
        if self.vlan_id >> 12:
            raise ValueError(f"tx_hdr_nbr.vlan_id = {self.vlan_id:#x} does not fit in 12 bits")
        value |= self.vlan_id << 96
        return value

    @classmethod
    def unpack(cls, value: int) -> TxHdrNbr:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffffffff,
            (value >> 48) & 0xffffffffffff,
            (value >> 96) & 0xfff,
        )


@dataclass(frozen=True, slots=True)
class Plq:
    """action of delivery_engine, executed in order by rx_placer: first `op`, then, when it is visible, the entry `cqe`, then freeze_done"""

    WIDTH: ClassVar[int] = 542
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "op": (0, 2),
        "conn": (2, 16),
        "gen": (18, 8),
        "arrival": (26, 32),
        "offset": (58, 16),
        "len": (74, 16),
        "last": (90, 1),
        "src": (91, 64),
        "dst": (155, 64),
        "list_data": (219, 64),
        "barrier": (283, 1),
        "cqe_valid": (284, 1),
        "freeze_done": (285, 1),
        "cqe": (286, 256),
    }
    op: int = 0
    conn: int = 0
    gen: int = 0
    arrival: int = 0
    offset: int = 0
    len: int = 0
    last: int = 0
    src: int = 0
    dst: int = 0
    list_data: int = 0
    barrier: int = 0
    cqe_valid: int = 0
    freeze_done: int = 0
    cqe: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.op >> 2:
            raise ValueError(f"plq.op = {self.op:#x} does not fit in 2 bits")
        value |= self.op
        if self.conn >> 16:
            raise ValueError(f"plq.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 2
        if self.gen >> 8:
            raise ValueError(f"plq.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 18
        if self.arrival >> 32:
            raise ValueError(f"plq.arrival = {self.arrival:#x} does not fit in 32 bits")
        value |= self.arrival << 26
        if self.offset >> 16:
            raise ValueError(f"plq.offset = {self.offset:#x} does not fit in 16 bits")
        value |= self.offset << 58
        if self.len >> 16:
            raise ValueError(f"plq.len = {self.len:#x} does not fit in 16 bits")
        value |= self.len << 74
        if self.last >> 1:
            raise ValueError(f"plq.last = {self.last:#x} does not fit in 1 bits")
        value |= self.last << 90
        if self.src >> 64:
            raise ValueError(f"plq.src = {self.src:#x} does not fit in 64 bits")
        value |= self.src << 91
        if self.dst >> 64:
            raise ValueError(f"plq.dst = {self.dst:#x} does not fit in 64 bits")
        value |= self.dst << 155
        if self.list_data >> 64:
            raise ValueError(f"plq.list_data = {self.list_data:#x} does not fit in 64 bits")
        value |= self.list_data << 219
        if self.barrier >> 1:
            raise ValueError(f"plq.barrier = {self.barrier:#x} does not fit in 1 bits")
        value |= self.barrier << 283
        if self.cqe_valid >> 1:
            raise ValueError(f"plq.cqe_valid = {self.cqe_valid:#x} does not fit in 1 bits")
        value |= self.cqe_valid << 284
        if self.freeze_done >> 1:
            raise ValueError(f"plq.freeze_done = {self.freeze_done:#x} does not fit in 1 bits")
        value |= self.freeze_done << 285
        if self.cqe >> 256:
            raise ValueError(f"plq.cqe = {self.cqe:#x} does not fit in 256 bits")
        value |= self.cqe << 286
        return value

    @classmethod
    def unpack(cls, value: int) -> Plq:
        """Fields of a packed vector."""
        return cls(
            value & 0x3,
            (value >> 2) & 0xffff,
            (value >> 18) & 0xff,
            (value >> 26) & 0xffffffff,
            (value >> 58) & 0xffff,
            (value >> 74) & 0xffff,
            (value >> 90) & 0x1,
            (value >> 91) & 0xffffffffffffffff,
            (value >> 155) & 0xffffffffffffffff,
            (value >> 219) & 0xffffffffffffffff,
            (value >> 283) & 0x1,
            (value >> 284) & 0x1,
            (value >> 285) & 0x1,
            (value >> 286) & 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
        )


@dataclass(frozen=True, slots=True)
class RecTcp:
    """commit record of tcp_engine"""

    WIDTH: ClassVar[int] = 5445
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "order": (0, 32),
        "tick": (32, 32),
        "kind": (64, 4),
        "conn": (68, 16),
        "gen": (84, 8),
        "cause": (92, 32),
        "opcode": (124, 8),
        "rx": (132, 515),
        "tcb": (647, 3204),
        "credits": (3851, 16),
        "verdict": (3867, 2),
        "tx0_valid": (3869, 1),
        "tx0": (3870, 484),
        "tx1_valid": (4354, 1),
        "tx1": (4355, 484),
        "dlv_valid": (4839, 1),
        "dlv": (4840, 346),
        "cpl_valid": (5186, 1),
        "cpl": (5187, 256),
        "img_valid": (5443, 1),
        "room": (5444, 1),
    }
    order: int = 0
    tick: int = 0
    kind: int = 0
    conn: int = 0
    gen: int = 0
    cause: int = 0
    opcode: int = 0
    rx: int = 0
    tcb: int = 0
    credits: int = 0
    verdict: int = 0
    tx0_valid: int = 0
    tx0: int = 0
    tx1_valid: int = 0
    tx1: int = 0
    dlv_valid: int = 0
    dlv: int = 0
    cpl_valid: int = 0
    cpl: int = 0
    img_valid: int = 0
    room: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.order >> 32:
            raise ValueError(f"rec_tcp.order = {self.order:#x} does not fit in 32 bits")
        value |= self.order
        if self.tick >> 32:
            raise ValueError(f"rec_tcp.tick = {self.tick:#x} does not fit in 32 bits")
        value |= self.tick << 32
        if self.kind >> 4:
            raise ValueError(f"rec_tcp.kind = {self.kind:#x} does not fit in 4 bits")
        value |= self.kind << 64
        if self.conn >> 16:
            raise ValueError(f"rec_tcp.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 68
        if self.gen >> 8:
            raise ValueError(f"rec_tcp.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 84
        if self.cause >> 32:
            raise ValueError(f"rec_tcp.cause = {self.cause:#x} does not fit in 32 bits")
        value |= self.cause << 92
        if self.opcode >> 8:
            raise ValueError(f"rec_tcp.opcode = {self.opcode:#x} does not fit in 8 bits")
        value |= self.opcode << 124
        if self.rx >> 515:
            raise ValueError(f"rec_tcp.rx = {self.rx:#x} does not fit in 515 bits")
        value |= self.rx << 132
        if self.tcb >> 3204:
            raise ValueError(f"rec_tcp.tcb = {self.tcb:#x} does not fit in 3204 bits")
        value |= self.tcb << 647
        if self.credits >> 16:
            raise ValueError(f"rec_tcp.credits = {self.credits:#x} does not fit in 16 bits")
        value |= self.credits << 3851
        if self.verdict >> 2:
            raise ValueError(f"rec_tcp.verdict = {self.verdict:#x} does not fit in 2 bits")
        value |= self.verdict << 3867
        if self.tx0_valid >> 1:
            raise ValueError(f"rec_tcp.tx0_valid = {self.tx0_valid:#x} does not fit in 1 bits")
        value |= self.tx0_valid << 3869
        if self.tx0 >> 484:
            raise ValueError(f"rec_tcp.tx0 = {self.tx0:#x} does not fit in 484 bits")
        value |= self.tx0 << 3870
        if self.tx1_valid >> 1:
            raise ValueError(f"rec_tcp.tx1_valid = {self.tx1_valid:#x} does not fit in 1 bits")
        value |= self.tx1_valid << 4354
        if self.tx1 >> 484:
            raise ValueError(f"rec_tcp.tx1 = {self.tx1:#x} does not fit in 484 bits")
        value |= self.tx1 << 4355
        if self.dlv_valid >> 1:
            raise ValueError(f"rec_tcp.dlv_valid = {self.dlv_valid:#x} does not fit in 1 bits")
        value |= self.dlv_valid << 4839
        if self.dlv >> 346:
            raise ValueError(f"rec_tcp.dlv = {self.dlv:#x} does not fit in 346 bits")
        value |= self.dlv << 4840
        if self.cpl_valid >> 1:
            raise ValueError(f"rec_tcp.cpl_valid = {self.cpl_valid:#x} does not fit in 1 bits")
        value |= self.cpl_valid << 5186
        if self.cpl >> 256:
            raise ValueError(f"rec_tcp.cpl = {self.cpl:#x} does not fit in 256 bits")
        value |= self.cpl << 5187
        if self.img_valid >> 1:
            raise ValueError(f"rec_tcp.img_valid = {self.img_valid:#x} does not fit in 1 bits")
        value |= self.img_valid << 5443
        if self.room >> 1:
            raise ValueError(f"rec_tcp.room = {self.room:#x} does not fit in 1 bits")
        value |= self.room << 5444
        return value

    @classmethod
    def unpack(cls, value: int) -> RecTcp:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffff,
            (value >> 32) & 0xffffffff,
            (value >> 64) & 0xf,
            (value >> 68) & 0xffff,
            (value >> 84) & 0xff,
            (value >> 92) & 0xffffffff,
            (value >> 124) & 0xff,
            (value >> 132) & 0x7ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 647) & 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 3851) & 0xffff,
            (value >> 3867) & 0x3,
            (value >> 3869) & 0x1,
            (value >> 3870) & 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 4354) & 0x1,
            (value >> 4355) & 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 4839) & 0x1,
            (value >> 4840) & 0x3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 5186) & 0x1,
            (value >> 5187) & 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 5443) & 0x1,
            (value >> 5444) & 0x1,
        )


@dataclass(frozen=True, slots=True)
class RecDlv:
    """commit record of delivery_engine"""

    WIDTH: ClassVar[int] = 1437
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "order": (0, 32),
        "tick": (32, 32),
        "kind": (64, 4),
        "conn": (68, 16),
        "gen": (84, 8),
        "cause": (92, 32),
        "opcode": (124, 8),
        "credit_ret": (132, 16),
        "consumed": (148, 32),
        "pool_free": (180, 16),
        "dcb": (196, 698),
        "plq_valid": (894, 1),
        "plq": (895, 542),
    }
    order: int = 0
    tick: int = 0
    kind: int = 0
    conn: int = 0
    gen: int = 0
    cause: int = 0
    opcode: int = 0
    credit_ret: int = 0
    consumed: int = 0
    pool_free: int = 0
    dcb: int = 0
    plq_valid: int = 0
    plq: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.order >> 32:
            raise ValueError(f"rec_dlv.order = {self.order:#x} does not fit in 32 bits")
        value |= self.order
        if self.tick >> 32:
            raise ValueError(f"rec_dlv.tick = {self.tick:#x} does not fit in 32 bits")
        value |= self.tick << 32
        if self.kind >> 4:
            raise ValueError(f"rec_dlv.kind = {self.kind:#x} does not fit in 4 bits")
        value |= self.kind << 64
        if self.conn >> 16:
            raise ValueError(f"rec_dlv.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 68
        if self.gen >> 8:
            raise ValueError(f"rec_dlv.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 84
        if self.cause >> 32:
            raise ValueError(f"rec_dlv.cause = {self.cause:#x} does not fit in 32 bits")
        value |= self.cause << 92
        if self.opcode >> 8:
            raise ValueError(f"rec_dlv.opcode = {self.opcode:#x} does not fit in 8 bits")
        value |= self.opcode << 124
        if self.credit_ret >> 16:
            raise ValueError(f"rec_dlv.credit_ret = {self.credit_ret:#x} does not fit in 16 bits")
        value |= self.credit_ret << 132
        if self.consumed >> 32:
            raise ValueError(f"rec_dlv.consumed = {self.consumed:#x} does not fit in 32 bits")
        value |= self.consumed << 148
        if self.pool_free >> 16:
            raise ValueError(f"rec_dlv.pool_free = {self.pool_free:#x} does not fit in 16 bits")
        value |= self.pool_free << 180
        if self.dcb >> 698:
            raise ValueError(f"rec_dlv.dcb = {self.dcb:#x} does not fit in 698 bits")
        value |= self.dcb << 196
        if self.plq_valid >> 1:
            raise ValueError(f"rec_dlv.plq_valid = {self.plq_valid:#x} does not fit in 1 bits")
        value |= self.plq_valid << 894
        if self.plq >> 542:
            raise ValueError(f"rec_dlv.plq = {self.plq:#x} does not fit in 542 bits")
        value |= self.plq << 895
        return value

    @classmethod
    def unpack(cls, value: int) -> RecDlv:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffff,
            (value >> 32) & 0xffffffff,
            (value >> 64) & 0xf,
            (value >> 68) & 0xffff,
            (value >> 84) & 0xff,
            (value >> 92) & 0xffffffff,
            (value >> 124) & 0xff,
            (value >> 132) & 0xffff,
            (value >> 148) & 0xffffffff,
            (value >> 180) & 0xffff,
            (value >> 196) & 0x3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
            (value >> 894) & 0x1,
            (value >> 895) & 0x3fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
        )


@dataclass(frozen=True, slots=True)
class RecRx:
    """record of rx_parser: one a frame that entered"""

    WIDTH: ClassVar[int] = 78
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "arrival": (0, 32),
        "class_": (32, 2),
        "reason": (34, 4),
        "conn": (38, 16),
        "gen": (54, 8),
        "fill": (62, 16),
    }
    arrival: int = 0
    class_: int = 0
    reason: int = 0
    conn: int = 0
    gen: int = 0
    fill: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.arrival >> 32:
            raise ValueError(f"rec_rx.arrival = {self.arrival:#x} does not fit in 32 bits")
        value |= self.arrival
        if self.class_ >> 2:
            raise ValueError(f"rec_rx.class_ = {self.class_:#x} does not fit in 2 bits")
        value |= self.class_ << 32
        if self.reason >> 4:
            raise ValueError(f"rec_rx.reason = {self.reason:#x} does not fit in 4 bits")
        value |= self.reason << 34
        if self.conn >> 16:
            raise ValueError(f"rec_rx.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 38
        if self.gen >> 8:
            raise ValueError(f"rec_rx.gen = {self.gen:#x} does not fit in 8 bits")
        value |= self.gen << 54
        if self.fill >> 16:
            raise ValueError(f"rec_rx.fill = {self.fill:#x} does not fit in 16 bits")
        value |= self.fill << 62
        return value

    @classmethod
    def unpack(cls, value: int) -> RecRx:
        """Fields of a packed vector."""
        return cls(
            value & 0xffffffff,
            (value >> 32) & 0x3,
            (value >> 34) & 0xf,
            (value >> 38) & 0xffff,
            (value >> 54) & 0xff,
            (value >> 62) & 0xffff,
        )


@dataclass(frozen=True, slots=True)
class RecTx:
    """record of segment_builder: one a frame that left or was discarded"""

    WIDTH: ClassVar[int] = 66
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "kind": (0, 2),
        "order": (2, 32),
        "conn": (34, 16),
        "len": (50, 16),
    }
    kind: int = 0
    order: int = 0
    conn: int = 0
    len: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.kind >> 2:
            raise ValueError(f"rec_tx.kind = {self.kind:#x} does not fit in 2 bits")
        value |= self.kind
        if self.order >> 32:
            raise ValueError(f"rec_tx.order = {self.order:#x} does not fit in 32 bits")
        value |= self.order << 2
        if self.conn >> 16:
            raise ValueError(f"rec_tx.conn = {self.conn:#x} does not fit in 16 bits")
        value |= self.conn << 34
        if self.len >> 16:
            raise ValueError(f"rec_tx.len = {self.len:#x} does not fit in 16 bits")
        value |= self.len << 50
        return value

    @classmethod
    def unpack(cls, value: int) -> RecTx:
        """Fields of a packed vector."""
        return cls(
            value & 0x3,
            (value >> 2) & 0xffffffff,
            (value >> 34) & 0xffff,
            (value >> 50) & 0xffff,
        )


@dataclass(frozen=True, slots=True)
class RecCq:
    """record of completion_ring: one an entry written"""

    WIDTH: ClassVar[int] = 276
    FIELDS: ClassVar[dict[str, tuple[int, int]]] = {
        "index": (0, 16),
        "source": (16, 4),
        "cqe": (20, 256),
    }
    index: int = 0
    source: int = 0
    cqe: int = 0

    def pack(self) -> int:
        """The packed vector; raises ValueError when a field does not fit."""
        value = 0
        if self.index >> 16:
            raise ValueError(f"rec_cq.index = {self.index:#x} does not fit in 16 bits")
        value |= self.index
        if self.source >> 4:
            raise ValueError(f"rec_cq.source = {self.source:#x} does not fit in 4 bits")
        value |= self.source << 16
        if self.cqe >> 256:
            raise ValueError(f"rec_cq.cqe = {self.cqe:#x} does not fit in 256 bits")
        value |= self.cqe << 20
        return value

    @classmethod
    def unpack(cls, value: int) -> RecCq:
        """Fields of a packed vector."""
        return cls(
            value & 0xffff,
            (value >> 16) & 0xf,
            (value >> 20) & 0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff,
        )
