"""command_decode: what can be said of a submission entry before any engine sees it (hostport.md, errors 1 to 8)."""

from __future__ import annotations

from dataclasses import dataclass

from model.device.config import DeviceConfig
from model.device.memory import GoldenMemory
from model.device.rxparse import TCP_HEADER, Key, parse_options, sack_fields
from model.layout.generated import (
    CACHED_IMAGE_BYTES,
    CWND_MAX,
    FORWARD_HEAD_BYTES,
    FORWARD_MAX,
    FORWARD_MIN,
    FRAME_MAX,
    NEIGHBOR_IMAGE_BYTES,
    PARAM_IMAGE_BYTES,
    PATH_IMAGE_BYTES,
    POST_MAX,
    RCV_WND_MAX,
    SEND_LEN_MAX,
    SG_MAX,
    SQE_BYTES,
    TCP_IMAGE_BYTES,
    TIMER_OFF,
    CachedImage,
    Cqe,
    CqKind,
    Family,
    NeighborImage,
    Object,
    Opcode,
    ParamImage,
    PathImage,
    RxSeg,
    Sqe,
    Status,
    TcpImage,
    TcpState,
)
from model.tcp.objects import (
    address_number,
    names_neighbor,
    names_path,
    object_of,
    updates,
    without_connection,
)
from model.tcp.seq import le
from model.tcp.types import Image

TCP_OPCODES = frozenset(
    (
        Opcode.INITIATE,
        Opcode.START,
        Opcode.SEND,
        Opcode.DISCONNECT,
        Opcode.TERMINATE,
        Opcode.FORWARD,
        Opcode.UPDATE,
        Opcode.QUERY,
        Opcode.INVALIDATE,
        Opcode.UPLOAD,
        Opcode.PATH_WRITE,
        Opcode.NEIGHBOR_WRITE,
        Opcode.NEIGHBOR_ANSWER,
        Opcode.PARAM_WRITE,
    )
)
"""Commands for tcp_engine."""
DELIVERY_OPCODES = frozenset((Opcode.RECEIVE, Opcode.ANSWER, Opcode.RESUME, Opcode.POOL_POST))
"""Commands for delivery_engine."""
_CONNECTION = frozenset(
    (
        Opcode.INITIATE,
        Opcode.START,
        Opcode.SEND,
        Opcode.RECEIVE,
        Opcode.ANSWER,
        Opcode.DISCONNECT,
        Opcode.TERMINATE,
        Opcode.RESUME,
        Opcode.FORWARD,
        Opcode.UPDATE,
        Opcode.QUERY,
        Opcode.INVALIDATE,
        Opcode.UPLOAD,
    )
)
_OBJECTS = {
    Opcode.QUERY: frozenset((Object.CONNECTION, Object.NEIGHBOR)),
    Opcode.INVALIDATE: frozenset(Object),
}
_KINDS = {
    Opcode.SEND: CqKind.SEND,
    Opcode.DISCONNECT: CqKind.SEND,
    Opcode.RECEIVE: CqKind.RECEIVE,
    Opcode.RAW_SEND: CqKind.RAW_TX,
    Opcode.FORWARD: CqKind.FORWARD,
}
_GRACEFUL, _ABORTIVE, INHERITED = 1, 2, 4
"""Flags of DISCONNECT."""
_DISCONNECTS = frozenset((_GRACEFUL, _ABORTIVE, _GRACEFUL | INHERITED))
_HOW = _GRACEFUL | _ABORTIVE | INHERITED
_MIN_RAW = 14
_FAMILIES = (Family.IPV4, Family.IPV6)
_MAX_WIND_SCALE = 14
_MIN_MSS = 64
_MIN_MTU: dict[int, int] = {Family.IPV4: 576, Family.IPV6: 1280}
_MAX_MTU = 1500
_TICK_RATES = (10, 100, 1000)
_MAX_DELTA = (1 << 30) - 1
"""Ticks that a signed comparison with the tick counter can tell from the past."""
_STATES = frozenset(
    (
        TcpState.ESTABLISHED,
        TcpState.FIN_WAIT_1,
        TcpState.FIN_WAIT_2,
        TcpState.CLOSE_WAIT,
        TcpState.CLOSING,
        TcpState.LAST_ACK,
    )
)
"""What a connection may be in when it comes to the device (G-21)."""
_CACHED_FLAGS, _CONST_FLAGS, _WINDOW_SCALING = 0x1F, 0x1F, 0x4
_MAX_WINDOW_FIELD = 0xFFFF
_MAX_USER_PRIORITY = 7
_MAX_FLOW_LABEL = 0xFFFFF
_MAX_VLAN = 4095
_INDEX_AT = 32
_OFFSET_AT = 12


@dataclass(frozen=True, slots=True)
class Decoded:
    """A fetched entry.

    ``early`` is an error of the checks 1 to 4, ``late`` one of 6 to 8 that does not depend on time; between them
    stand the checks that do (5: in use, send table full). ``key``: look-up key of an INITIATE; ``seg``: header of a
    FORWARD.
    """

    sqe: Sqe
    sq_index: int
    early: Status | None = None
    late: Status | None = None
    image: Image | None = None
    key: Key | None = None
    indices: tuple[int, ...] = ()
    seg: RxSeg | None = None

    @property
    def appends(self) -> bool:
        """The entry takes a place of the send table."""
        return takes_place(self.sqe)

    @property
    def error(self) -> Status | None:
        """The first error that does not depend on time."""
        return self.early if self.early is not None else self.late


def of_a_connection(sqe: Sqe) -> bool:
    """The entry names a connection, whatever engine it goes to."""
    return sqe.opcode in _CONNECTION and not without_connection(sqe)


def takes_place(sqe: Sqe) -> bool:
    """SEND and graceful DISCONNECT: they wait in the send table until they are acknowledged."""
    graceful = sqe.opcode == Opcode.DISCONNECT and not sqe.flags & _ABORTIVE
    return sqe.opcode == Opcode.SEND or graceful


def completion(decoded: Decoded, status: Status) -> Cqe:
    """The entry command_decode writes itself."""
    sqe = decoded.sqe
    kind = _KINDS.get(Opcode(sqe.opcode), CqKind.COMMAND) if sqe.opcode in _KNOWN else CqKind.COMMAND
    return Cqe(
        kind=kind,
        status=status,
        conn=sqe.conn,
        gen=sqe.gen,
        code=sqe.opcode,
        cookie=sqe.cookie,
        sq_index=decoded.sq_index,
    )


_KNOWN = frozenset(int(opcode) for opcode in Opcode)


class Decoder:
    """Checks entries in order; remembers the neighbors that were written, and family, ends, neighbor of the paths."""

    def __init__(self, config: DeviceConfig, memory: GoldenMemory) -> None:
        self._config = config
        self._memory = memory
        self._paths: dict[int, tuple[int, int, int]] = {}
        self._neighbor_of: dict[int, int] = {}
        self._neighbors: set[int] = set()

    def decode(self, raw: bytes, sq_index: int) -> Decoded:
        """Decode ``raw`` (64 bytes). Call once an entry, in ring order: PATH_WRITE leaves its addresses behind."""
        sqe = Sqe.from_bytes(raw)
        early = self._opcode(sqe) or self._number(sqe) or _lengths(sqe)
        if early is not None:
            return Decoded(sqe, sq_index, early=early)
        if sqe.opcode in (Opcode.RAW_POST, Opcode.POOL_POST):
            limit = self._config.raw_bufs if sqe.opcode == Opcode.RAW_POST else self._config.pool_bufs
            indices = _indices(raw, sqe.count)
            bad = any(i >= limit for i in indices)
            return Decoded(sqe, sq_index, early=Status.BAD_INDEX if bad else None, indices=indices)
        return self._with_image(sqe, sq_index)

    def _opcode(self, sqe: Sqe) -> Status | None:
        if sqe.opcode not in _KNOWN:
            return Status.BAD_OPCODE
        if sqe.opcode in (Opcode.QUERY, Opcode.INVALIDATE) and object_of(sqe) not in _OBJECTS[Opcode(sqe.opcode)]:
            return Status.NOT_SUPPORTED
        if sqe.opcode == Opcode.DISCONNECT and sqe.flags & _HOW not in _DISCONNECTS:
            return Status.NOT_SUPPORTED
        return None

    def _number(self, sqe: Sqe) -> Status | None:
        c = self._config
        limit: int | None = None
        if of_a_connection(sqe):
            limit = c.conns
        elif names_path(sqe):
            limit = c.paths
        elif names_neighbor(sqe):
            limit = c.neighbors
        return Status.BAD_CONN if limit is not None and sqe.conn >= limit else None

    def _with_image(self, sqe: Sqe, sq_index: int) -> Decoded:
        if sqe.opcode == Opcode.FORWARD:
            return self._forward(sqe, sq_index)
        size = {
            Opcode.INITIATE: TCP_IMAGE_BYTES,
            Opcode.PATH_WRITE: PATH_IMAGE_BYTES,
            Opcode.NEIGHBOR_WRITE: NEIGHBOR_IMAGE_BYTES,
            Opcode.PARAM_WRITE: PARAM_IMAGE_BYTES,
            Opcode.UPDATE: CACHED_IMAGE_BYTES,
        }.get(Opcode(sqe.opcode))
        if size is None:
            return Decoded(sqe, sq_index)
        raw = self._memory.device_read(sqe.addr, size)
        if raw is None:
            return Decoded(sqe, sq_index, late=Status.READ_ERROR)
        if sqe.opcode == Opcode.PATH_WRITE:
            path = PathImage.from_bytes(raw)
            error = _path_error(path, self._config, self._paths[sqe.conn][0] if self._changes(sqe) else path.family)
            if error is None and (self._changes(sqe) or not updates(sqe)):
                source, destination = (address_number(field, path.family) for field in (path.src_addr, path.dst_addr))
                self._paths[sqe.conn] = (path.family, source, destination)
                self._neighbor_of[sqe.conn] = path.neighbor_id
            return Decoded(sqe, sq_index, late=error, image=path)
        if sqe.opcode == Opcode.NEIGHBOR_WRITE:
            neighbor = NeighborImage.from_bytes(raw)
            error = Status.BAD_IMAGE if neighbor.vlan_id > _MAX_VLAN else None
            if error is None and not updates(sqe):
                self._neighbors.add(sqe.conn)
            return Decoded(sqe, sq_index, late=error, image=neighbor)
        if sqe.opcode == Opcode.PARAM_WRITE:
            params = ParamImage.from_bytes(raw)
            return Decoded(sqe, sq_index, late=_param_error(params), image=params)
        if sqe.opcode == Opcode.UPDATE:
            cached = CachedImage.from_bytes(raw)
            return Decoded(sqe, sq_index, late=_cached_error(cached), image=cached)
        return self._initiate(sqe, sq_index, TcpImage.from_bytes(raw))

    def _changes(self, sqe: Sqe) -> bool:
        """A PATH_WRITE with UPDATE of a path that was written."""
        return updates(sqe) and sqe.conn in self._paths

    def _initiate(self, sqe: Sqe, sq_index: int, image: TcpImage) -> Decoded:
        error = _tcp_error(image, self._config)
        path = self._paths.get(image.path_id)
        if error is None and path is not None and path[0] != image.family:
            error = Status.BAD_IMAGE
        if error is None and self._neighbor_of.get(image.path_id) not in self._neighbors:
            error = Status.BAD_IMAGE
        if error is not None or path is None:
            return Decoded(sqe, sq_index, late=error, image=image)
        family, local, remote = path
        key = (family == Family.IPV6, local, remote, image.local_port, image.remote_port)
        return Decoded(sqe, sq_index, image=image, key=key)

    def _forward(self, sqe: Sqe, sq_index: int) -> Decoded:
        """The header of a forwarded segment; its bytes from addr on begin with the TCP header."""
        head = self._memory.device_read(sqe.addr, min(sqe.length, FORWARD_HEAD_BYTES))
        if head is None:
            return Decoded(sqe, sq_index, late=Status.READ_ERROR)
        header = 4 * (head[_OFFSET_AT] >> 4)
        if header < FORWARD_MIN or header > sqe.length:
            return Decoded(sqe, sq_index, late=Status.BAD_IMAGE)
        _, _, seq, ack, _, flags, wnd, _, _ = TCP_HEADER.unpack_from(head)
        options = parse_options(head, FORWARD_MIN, header)
        tsval, tsecr = options.timestamps or (0, 0)
        seg = RxSeg(
            conn=sqe.conn,
            gen=sqe.gen,
            seq=seq,
            ack=ack,
            wnd=wnd,
            flags=flags,
            ts_present=int(options.timestamps is not None),
            tsval=tsval,
            tsecr=tsecr,
            **sack_fields(options.sack_blocks),
            pay_off=header,
            pay_len=sqe.length - header,
        )
        return Decoded(sqe, sq_index, seg=seg)


def _lengths(sqe: Sqe) -> Status | None:
    """Check 3."""
    opcode, length, count = sqe.opcode, sqe.length, sqe.count
    bad = False
    if opcode == Opcode.SEND:
        bad = not 0 < length <= SEND_LEN_MAX or not 0 < count <= SG_MAX
    elif opcode == Opcode.DISCONNECT and sqe.flags & (_ABORTIVE | INHERITED):
        bad = length != 0 or count != 0
    elif opcode == Opcode.DISCONNECT:
        bad = length > SEND_LEN_MAX or count > SG_MAX or (length == 0) != (count == 0)
    elif opcode == Opcode.RECEIVE:
        bad = length > SEND_LEN_MAX
    elif opcode == Opcode.RAW_SEND:
        bad = not _MIN_RAW <= length <= FRAME_MAX
    elif opcode in (Opcode.RAW_POST, Opcode.POOL_POST):
        bad = not 0 < count <= POST_MAX
    elif opcode == Opcode.FORWARD:
        bad = not FORWARD_MIN <= length <= FORWARD_MAX
    return Status.BAD_LENGTH if bad else None


def _indices(raw: bytes, count: int) -> tuple[int, ...]:
    tail = raw[_INDEX_AT:SQE_BYTES]
    return tuple(int.from_bytes(tail[2 * i : 2 * i + 2], "little") for i in range(count))


def _path_error(image: PathImage, config: DeviceConfig, family: int) -> Status | None:
    """Check 7 of a PATH_WRITE; ``family`` is what the path must stay in."""
    if image.family not in _FAMILIES:
        return Status.NOT_SUPPORTED
    if image.path_mtu < _MIN_MTU[image.family] or image.family != family:
        return Status.BAD_IMAGE
    if image.path_mtu > _MAX_MTU:
        return Status.PATH_MTU
    return Status.BAD_IMAGE if image.neighbor_id >= config.neighbors else None


def _param_error(image: ParamImage) -> Status | None:
    good = (
        image.ticks_per_second in _TICK_RATES
        and image.ack_frequency
        and 0 < image.dup_ack_threshold <= 255
        and image.rto_min
        and image.rto_min <= image.rto_max
        and image.rto_initial
        and image.rto_initial <= image.rto_max
        and max(image.rto_max, image.delayed_ack_ticks, image.push_ticks, image.nce_stale_ticks) <= _MAX_DELTA
    )
    return None if good else Status.BAD_IMAGE


def _tcp_error(image: TcpImage, config: DeviceConfig) -> Status | None:
    """Check 7 of an INITIATE, in the order the contract lists the values."""
    if image.family not in _FAMILIES or image.state not in _STATES:
        return Status.NOT_SUPPORTED
    good = (
        image.const_flags <= _CONST_FLAGS
        and _cached_fields_fit(image)
        and all(d <= _MAX_DELTA or d == TIMER_OFF for d in (image.rtx_timeout_delta, image.ka_timeout_delta))
        and max(image.snd_wind_scale, image.rcv_wind_scale) <= _MAX_WIND_SCALE
        and image.remote_mss >= _MIN_MSS
        and image.path_id < config.paths
        and le(image.snd_una, image.snd_nxt)
        and le(image.snd_nxt, image.snd_max)
    )
    if not good:
        return Status.BAD_IMAGE
    ours, theirs = _window_limit(image, image.rcv_wind_scale), _window_limit(image, image.snd_wind_scale)
    if image.rcv_wnd > ours or max(image.snd_wnd, image.max_snd_wnd) > theirs:
        return Status.BAD_IMAGE
    if image.initial_rcv_wnd > ours:
        return Status.RCV_WINDOW
    return None if 0 < image.cwnd <= CWND_MAX else Status.BAD_IMAGE


def _cached_error(image: CachedImage) -> Status | None:
    """Check 7 of an UPDATE; what depends on a window scale is tcp_engine's to say."""
    if not _cached_fields_fit(image):
        return Status.BAD_IMAGE
    return Status.RCV_WINDOW if image.initial_rcv_wnd > RCV_WND_MAX else None


def _cached_fields_fit(image: TcpImage | CachedImage) -> bool:
    """Flags that mean something, times that a deadline can be away, and header fields within their width."""
    return (
        image.cached_flags <= _CACHED_FLAGS
        and image.ttl != 0
        and image.user_priority <= _MAX_USER_PRIORITY
        and image.flow_label <= _MAX_FLOW_LABEL
        and max(image.ka_timeout, image.ka_interval) <= _MAX_DELTA
    )


def _window_limit(image: TcpImage, scale: int) -> int:
    """The largest window, in bytes, that a 16-bit field with this scale can say."""
    shift = scale if image.const_flags & _WINDOW_SCALING else 0
    return min(_MAX_WINDOW_FIELD << shift, RCV_WND_MAX)
