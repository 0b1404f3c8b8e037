"""The miniport driver: NDIS calls to descriptors and back (docs/contract/hostport.md).

Everything the device says comes through ``poll`` (called by ``on_interrupt``), in ring order, and every
call up to the host is made from there, one at a time. Calls from above only queue and submit.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from model.layout.generated import (
    DELEGATED_IMAGE_BYTES,
    POOL_BUF_BYTES,
    POST_MAX,
    Cqe,
    CqKind,
    Csr,
    Family,
    LeftOver,
    Opcode,
    ParamImage,
    Sqe,
    Status,
    TcpImage,
)
from model.layout.generated import TcpEventType as DeviceEvent
from model.layout.generated import UploadReason as DeviceReason
from model.ndis.binding import Adapter
from model.ndis.calls import ProtocolFace
from model.ndis.enums import (
    FIN_SENT_STATES,
    FIN_TAKEN_STATES,
    PATH_TYPE,
    DisconnectFlags,
    Layer,
    NblInfo,
    TcpConnectionState,
    TcpEventType,
    UploadReason,
)
from model.ndis.images import (
    DEFAULT_PARAMETERS,
    delegated_state,
    family_of,
    initiate_status,
    neighbor_image,
    parameter_image,
    path_image,
    tcp_image,
)
from model.ndis.memory import PAGE_SIZE, POISON, PageAllocator, Region
from model.ndis.miniport_forward import ForwardIo
from model.ndis.miniport_io import ConnectionIo, DeviceLimits, SendJob
from model.ndis.miniport_kept import KeptBuffers
from model.ndis.miniport_objects import (
    BounceBuffer,
    Callback,
    KeptCopy,
    OffloadedTcp,
    PoolBuffer,
    ReceivedAt,
    StateObject,
    TerminateOp,
)
from model.ndis.miniport_state import StateCommands
from model.ndis.miniport_statistics import StatisticsRequests
from model.ndis.miniport_urgent import UrgentFrames
from model.ndis.miniport_waits import GIVEN_UP, Commands, Release, nothing
from model.ndis.netbuffer import (
    Mdl,
    NetBuffer,
    NetBufferList,
    Owner,
    chain,
    iterate,
    ndis_advance_net_buffer_data_start,
    unchain,
)
from model.ndis.offload_state import (
    AttemptResult,
    InitiateWalk,
    NeighborCached,
    NeighborConst,
    NeighborDelegated,
    OffloadAttempt,
    OffloadBlock,
    PathCached,
    PathConst,
    TcpCached,
    TcpConst,
    TcpDelegated,
    initiate_walk,
    nodes_once,
    traverse,
    tree_fault,
)
from model.ndis.registration import (
    STATISTICS_OIDS,
    ChimneyType,
    NdisHandle,
    OffloadAttributes,
    OffloadParameters,
    Oid,
    OidRequest,
    PowerState,
    ProviderGeneric,
    ProviderTcp,
    Switch,
    TcpConnectionOffload,
    TcpConnectionOffloadParameters,
    TcpEventHandlers,
)
from model.ndis.rings import (
    CompletionRing,
    DmaArena,
    DriverError,
    HostPort,
    RingPlace,
    SubmissionRing,
)
from model.ndis.shares import (
    DRIVER,
    FRAME,
    IMAGE,
    BounceArena,
    RingPlaces,
    SharedArena,
    Use,
    bounce_shares,
    extent,
    list_shares,
)
from model.ndis.status import CompletionKind, NdisStatus
from model.ndis.upload_policy import UploadPolicy, comes_over, fragment_of

#: Times that a halt waits for lists of the host.
HALT_WAITS = 1000
CONTROL_ENABLE = 1
CONTROL_RESET = 2
CONTROL_IRQ = 4
CONTROL_EXTERNAL_TICK = 8
STATUS_READY = 4
START_HOLD = 1
#: What an initiate makes; told to the host when it completes.
LiveObject = OffloadedTcp | StateObject
IRQ_COMPLETION = 1
_FAILURE = AttemptResult(NdisStatus.FAILURE)


@dataclass(frozen=True)
class DriverConfig:
    """What the driver knows of its device, and its own sizes (bytes, entries)."""

    mac: bytes = bytes.fromhex("020000000001")
    conns: int = 64
    paths: int = 8
    neighbors: int = 8
    pool_bufs: int = 1024
    raw_bufs: int = 64
    limits: DeviceLimits = field(default_factory=DeviceLimits)
    sq_log2: int = 8
    cq_log2: int = 10
    list_bytes: int = 512 * 1024
    bounce_bytes: int = 1024 * 1024
    #: Inherited receive data that waits for its client, all connections together (CH-052).
    buffered_bytes: int = 256 * 1024
    parameters: ParamImage = DEFAULT_PARAMETERS
    external_tick: bool = True
    #: Clock cycles a tick where the prescaler is the source.
    tick_prescale: int = 1000
    #: Terminates that may be at the device at once; more wait.
    uploads: int = 4
    #: Ticks after which a device that does not answer a terminate counts as dead (G-20); None: it is waited for.
    terminate_ticks: int | None = 60_000
    #: Ticks after which any other command, forward or abort that was not answered ends without the device, and an
    #: initiate that met a pause without the resume.
    answer_ticks: int = 60_000
    #: Connections over this version of IP are offloaded (INF keywords *TCPConnectionOffloadIPv4, *...IPv6).
    offload_ipv4: bool = True
    offload_ipv6: bool = True
    #: Unfinished sends go back in the terminate chain instead of by completion (NDIS sheet, 6.4).
    chain_unfinished: bool = False
    #: When the driver asks for a connection with an optional reason; by default never.
    upload: UploadPolicy = field(default_factory=UploadPolicy)


@dataclass(eq=False)
class _HeldWalk:
    """An initiate that waits until ``frames`` raw frames, given before it, have left."""

    frames: int
    go: Callable[[], None]
    since: int


def _bytes_of(lists: NetBufferList | None) -> int:
    return sum(nbl.data_length for nbl in iterate(lists))


def event_handlers(adapter: Adapter) -> TcpEventHandlers:
    """The table of NdisMGetOffloadHandlers, checked as a driver must (CH-002)."""
    status, table = adapter.get_offload_handlers(adapter.miniport_handle, ChimneyType.TCP)
    sound = table is not None and (table.type, table.revision, table.size) == (ChimneyType.TCP, 1, 56)
    if status is not NdisStatus.SUCCESS or table is None or not sound:
        raise DriverError("CH-002: NdisMGetOffloadHandlers gave no TCP table of revision 1 with six entries")
    return table


class MiniportDriver:
    """MiniportFace over a HostPort. Call ``reset``, wait for ``ready``, then ``start``."""

    def __init__(
        self,
        port: HostPort,
        protocol: ProtocolFace,
        allocator: PageAllocator,
        config: DriverConfig | None = None,
    ) -> None:
        self.config = config or DriverConfig()
        self.memory = port.mem
        self.limits = self.config.limits
        self.counters: Counter[str] = Counter()
        #: What the host did against its rules, one line each.
        self.misuses: list[str] = []
        self._port = port
        c = self.config
        keywords = {Family.IPV4: c.offload_ipv4, Family.IPV6: c.offload_ipv6}
        self._families: frozenset[int] = frozenset(family for family, on in keywords.items() if on)
        self._register(Adapter(protocol))
        sq = RingPlace(self._region(allocator, 64 << c.sq_log2), c.sq_log2)
        cq = RingPlace(self._region(allocator, 32 << c.cq_log2), c.cq_log2)
        self._places = (sq, cq)
        self._pool_base = self._region(allocator, c.pool_bufs * POOL_BUF_BYTES)
        self._raw_base = self._region(allocator, c.raw_bufs * POOL_BUF_BYTES)
        shares = list_shares(c.conns)
        room = self._region(allocator, c.list_bytes + extent(shares))
        self.lists = SharedArena(self.memory, room, c.list_bytes, shares)
        shares = bounce_shares(c.conns)
        room = self._region(allocator, c.bounce_bytes + c.buffered_bytes + extent(shares))
        bounce = BounceArena(self.memory, room, c.bounce_bytes, c.buffered_bytes, shares)
        self.bounce: SharedArena = bounce
        self._reserve = bounce.reserve
        self._upload_bytes = DELEGATED_IMAGE_BYTES + LeftOver.WIDTH // 8 * (c.pool_bufs + 1)
        room = c.uploads * (self._upload_bytes + 64)
        self._uploads = DmaArena(self.memory, self._region(allocator, room), room)
        self._upload_waiting: deque[Callable[[], None]] = deque()
        self._sq = SubmissionRing(port, sq)
        self._cq = CompletionRing(port, cq)
        self._ring_places = RingPlaces(1 << c.cq_log2)
        #: Tick of the last look of the upload policy.
        self._looked = 0
        self._on_shortage: Callable[[object], None] = lambda _: None
        self._cookie = 0
        self._commands = Commands()
        self._raw_frames: dict[int, int] = {}
        self._contexts: dict[int, StateObject | OffloadedTcp] = {}
        self._by_id: dict[int, OffloadedTcp] = {}
        self._free_ids = {
            Layer.TCP: list(range(c.conns)),
            Layer.PATH: list(range(c.paths)),
            Layer.NEIGHBOR: list(range(c.neighbors)),
        }
        self._gens = [0] * c.conns
        self._next_context = 0x1000
        self._pool_posts: list[int] = []
        self._raw_posts: list[int] = []
        self._raw_backlog: list[bytes] = []
        self._up_kind: CompletionKind | None = None
        self._up_lists: list[NetBufferList] = []
        self._polling = False
        #: Ticks that count against the device: not those in which its answers waited for the driver.
        self.now = 0
        #: Tick that on_tick was last given, the entry that nobody had read by then, and ``now`` when there was none.
        self._tick = 0
        self._unread: int | None = None
        self._empty = 0
        self._state = StateCommands(self)
        self._statistics = StatisticsRequests(port, self._statistics_read)
        self._urgent = UrgentFrames()
        self._neighbors: dict[int, StateObject] = {}
        self._terminates: list[TerminateOp] = []
        #: Paths and neighbors that were terminated, and whose numbers are still in use.
        self._leaving: list[StateObject] = []
        self._paused = False
        #: UPLOAD_ALL was indicated: a pause may last for ever (NDIS sheet, 2.14).
        self._uploading = False
        #: Versions of IP over which connections may be offloaded: what the host set last, and what holds by now.
        self._switched_to = self._families
        #: A version was switched off: RESUME tells of the other one when nothing is offloaded any more.
        self._resume_when_empty = False
        #: Initiates that met a pause, and since when.
        self._initiates_waiting: list[tuple[OffloadBlock, int]] = []
        self._held_walks: list[_HeldWalk] = []
        #: Initiates that were called and are not completed.
        self._initiates = 0
        self._power_waiting: list[OidRequest] = []
        #: Indicated lists that the host has not returned.
        self._lent: dict[int, NetBufferList] = {}
        copies = self._region(allocator, KeptBuffers.size(c.conns))
        self._kept = KeptBuffers(self.memory, copies, c.pool_bufs, c.conns, self.submit)
        #: VLAN of the interface; 0: it is in none, and takes neighbors of any (5.10).
        self._vlan = 0

    def _register(self, adapter: Adapter) -> None:
        """MiniportSetOptions and MiniportInitializeEx: handlers, attributes, the table of the way up."""
        self.adapter = adapter
        self._handle = adapter.miniport_handle
        self._adapter_context = NdisHandle("MiniportAdapterContext")
        adapter.set_optional_handlers(
            self._handle,
            ProviderGeneric(
                self.initiate_offload,
                self.terminate_offload,
                self.update_offload,
                self.invalidate_offload,
                self.query_offload,
            ),
        )
        adapter.set_optional_handlers(
            self._handle,
            ProviderTcp(
                self.tcp_offload_send,
                self.tcp_offload_receive,
                self.tcp_offload_disconnect,
                self.tcp_offload_forward,
                self.tcp_offload_receive_return,
            ),
        )
        self.capabilities = TcpConnectionOffload(self.config.conns, support_ipv6=True, support_sack=True)
        on = self.offered if self._families else None
        attributes = OffloadAttributes(self._adapter_context, on, on)
        adapter.set_miniport_attributes(self._handle, attributes)
        self._up = event_handlers(adapter)

    def _named(self, adapter_context: object) -> None:
        if adapter_context is not self._adapter_context:
            raise DriverError("a call names an adapter that is not this one")

    def watch_rings(self, submitted: Callable[[Sqe], None], completed: Callable[[Cqe], None]) -> None:
        """Show every entry of both rings to somebody."""
        self._sq.on_entry, self._cq.on_entry = submitted, completed

    def handle_at(self, conn: int) -> object:
        """NdisOffloadHandle of the connection that has this number of the device; None if none has."""
        connection = self._by_id.get(conn)
        return None if connection is None else connection.ndis_handle

    def watch_registers(self, read: Callable[[int, int], None]) -> None:
        """Show every register that is read for a statistics OID, with its value, to somebody."""
        self._statistics.on_read = read

    @property
    def overdue(self) -> int:
        """Commands that were given up and have not been answered since."""
        return self._commands.lost

    @property
    def reports(self) -> list[str]:
        """One line for each command that was given up, and for each answer that came after that."""
        return self._commands.reports

    def take_reports(self) -> list[str]:
        """The reports, for somebody who asked for what they tell; a session fails on those that are left."""
        taken, self.reports[:] = self.reports[:], []
        return taken

    @staticmethod
    def _region(allocator: PageAllocator, size: int) -> int:
        return allocator.allocate_contiguous(size).pages[0]

    # ---- start -----------------------------------------------------------------------------

    def reset(self) -> None:
        """Soft reset of the device."""
        self._port.mmio_write(Csr.CONTROL, CONTROL_RESET)
        self._statistics.restart()

    def ready(self) -> bool:
        """True when the device has cleared its tables."""
        return bool(self._port.mmio_read(Csr.STATUS) & STATUS_READY)

    def start(self) -> None:
        """Program the registers, enable, set parameters, give the device its buffers."""
        c, (sq, cq) = self.config, self._places
        mac = int.from_bytes(c.mac, "little")
        write = self._port.mmio_write
        write(Csr.MAC_LO, mac & 0xFFFF_FFFF)
        write(Csr.MAC_HI, mac >> 32)
        write(Csr.TICK_PRESCALE, c.tick_prescale)
        for register, value in (
            (Csr.SQ_BASE_LO, sq.base),
            (Csr.CQ_BASE_LO, cq.base),
            (Csr.POOL_BASE_LO, self._pool_base),
            (Csr.RAW_BASE_LO, self._raw_base),
        ):
            write(register, value & 0xFFFF_FFFF)
            write(register + 4, value >> 32)
        write(Csr.SQ_SIZE_LOG2, c.sq_log2)
        write(Csr.CQ_SIZE_LOG2, c.cq_log2)
        tick = CONTROL_EXTERNAL_TICK if c.external_tick else 0
        write(Csr.CONTROL, CONTROL_ENABLE | CONTROL_IRQ | tick)
        self.image_command(Opcode.PARAM_WRITE, 0, c.parameters.to_bytes(), self._parameters_set)
        self._raw_posts = list(range(c.raw_bufs))
        self._pool_posts = list(range(c.pool_bufs))
        self._kick()

    def _parameters_set(self, cqe: Cqe) -> None:
        if cqe.status != Status.OK:
            raise DriverError(f"PARAM_WRITE failed with status {cqe.status}: check DriverConfig.parameters")

    # ---- Device, for ConnectionIo ----------------------------------------------------------

    def submit(self, entry: Sqe) -> None:
        """Queue an entry behind all earlier ones."""
        self._sq.push(entry)

    def new_cookie(self) -> int:
        """A number never used before."""
        self._cookie += 1
        return self._cookie

    def reserve(self, kind: CompletionKind, conn: int) -> bool:
        """A place in the completion ring for a request that may take long."""
        return self._ring_places.reserve(kind, conn)

    def release(self, kind: CompletionKind, conn: int) -> None:
        """The request completed."""
        self._ring_places.release(kind, conn)

    def up(self, kind: CompletionKind, nbl: NetBufferList) -> None:
        """Collect completions of one kind into one call."""
        if kind is not self._up_kind:
            self.flush_up()
        self._up_kind = kind
        self._up_lists.append(nbl)
        if kind is CompletionKind.DISCONNECT:  # its call takes a single list, never a chain (CH-186)
            self.flush_up()

    def flush_up(self) -> None:
        lists, kind = self._up_lists, self._up_kind
        self._up_lists, self._up_kind = [], None
        if not lists:
            return
        head = chain(lists)
        if kind is CompletionKind.SEND:
            self._up.send_complete(self._handle, head)
        elif kind is CompletionKind.RECEIVE:
            self._up.receive_complete(self._handle, head)
        elif kind is CompletionKind.FORWARD:
            self._up.forward_complete(self._handle, head)
        else:
            self._up.disconnect_complete(self._handle, head)

    # ---- commands --------------------------------------------------------------------------

    def command(self, entry: Sqe, callback: Callback, release: Release = nothing) -> None:
        """Submit a command; ``callback`` gets its completion, or one with GIVEN_UP when none has come in time.

        ``release`` frees what the device had, whenever it answers. ``entry.cookie`` must be new.
        """
        self._commands.add(entry, callback, release, self.now + self.config.answer_ticks)
        self.submit(entry)

    def image_command(
        self,
        opcode: Opcode,
        number: int,
        image: bytes,
        callback: Callback,
        gen: int = 0,
        release: Release = nothing,
    ) -> bool:
        """A command with an image in memory; False if there is no room for the image now."""
        addr = self.lists.place(IMAGE, len(image))
        if addr is None:
            return False
        self.memory.write(addr, image)
        place = addr

        def answered(cqe: Cqe, late: bool) -> None:
            self.lists.free(place)
            release(cqe, late)

        cookie = self.new_cookie()
        self.command(Sqe(opcode=opcode, conn=number, gen=gen, cookie=cookie, addr=addr), callback, answered)
        return True

    def later(self, action: Callable[[], None]) -> None:
        """Run ``action`` from poll, behind everything submitted so far."""
        self.command(Sqe(opcode=Opcode.NOP, cookie=self.new_cookie()), lambda _: action())

    def _kick(self) -> None:
        """Submit what can go; from inside poll this waits until its end."""
        if self._polling:
            return
        self._state.pump()  # first: sends would take all set-up memory again and again
        for connection in list(self._by_id.values()):
            if connection.io.has_work:
                connection.io.pump()
            if connection.forwards.waiting:
                connection.forwards.pump()
        self._post(Opcode.RAW_POST, self._raw_posts)
        self._post(Opcode.POOL_POST, self._pool_posts)
        self._send_raw_backlog()
        self._sq.flush()

    def _post(self, opcode: Opcode, indices: list[int]) -> None:
        while indices:
            part, indices[:] = indices[:POST_MAX], indices[POST_MAX:]
            body = struct.pack(f"<{len(part)}H", *part).ljust(2 * POST_MAX, b"\0")
            self._sq.push(Sqe(opcode=opcode, count=len(part)).to_bytes()[:32] + body)

    # ---- initiate --------------------------------------------------------------------------

    def initiate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportInitiateOffload: walks the tree, one device command an object."""
        self._named(adapter_context)
        self._initiates += 1
        if self._malformed(block_list, self._complete_initiate):
            return
        if self._paused:
            self._initiates_waiting.append((block_list, self.now))
            if self._uploading:
                self._fail_waiting()
            return
        self._start_walk(block_list)
        self._kick()

    def _malformed(self, root: OffloadBlock, complete: Callable[[object, OffloadBlock], None]) -> bool:
        """A tree that is none is not walked: every node that can be reached fails (placeholders never do, CH-040)."""
        fault = tree_fault(root)
        if fault is None:
            return False
        self.misused(fault)

        def back() -> None:
            for node in nodes_once(root):
                node.status = NdisStatus.SUCCESS if node.is_placeholder else NdisStatus.FAILURE
            self.flush_up()
            complete(self._handle, root)

        self.later(back)
        self._kick()
        return True

    def _start_walk(self, root: OffloadBlock) -> None:
        """Behind every frame that the host sent before: a target's segment never overtakes one of the host's."""
        frames = len(self._raw_frames) + len(self._raw_backlog)
        begin = functools.partial(self._walk_on, root, initiate_walk(root), [], None)
        self._held_walks.append(_HeldWalk(frames, lambda: self.later(begin), self.now))
        self._release_walks(0)

    def _release_walks(self, frames: int) -> None:
        """That many raw frames more have left."""
        for walk in self._held_walks:
            walk.frames -= frames
        while self._held_walks and self._held_walks[0].frames <= 0:
            self._held_walks.pop(0).go()

    def _walk_on(
        self, root: OffloadBlock, walk: InitiateWalk, live: list[LiveObject], result: AttemptResult | None
    ) -> None:
        """Take the walk on until it waits for the device or ends."""

        def resume(outcome: AttemptResult) -> None:
            self._walk_on(root, walk, live, outcome)

        try:
            attempt = next(walk) if result is None else walk.send(result)
            while (refused := self._attempt(attempt, live, resume)) is not None:
                attempt = walk.send(refused)
        except StopIteration:
            self._initiated(root, live)

    def _complete_initiate(self, handle: object, root: OffloadBlock) -> None:
        self.adapter.initiate_offload_complete(handle, root)
        self._initiates -= 1
        self._when_empty()

    def _initiated(self, root: OffloadBlock, live: list[LiveObject]) -> None:
        self.flush_up()
        for entry in live:
            entry.known = True
        self._complete_initiate(self._handle, root)
        for entry in live:  # nothing is indicated before the call above has returned (CH-056)
            if isinstance(entry, StateObject):
                self._state.initiated(entry)
                continue
            entry.live = True
            self._replay(entry)
            if entry.start_owed:
                self._ask_back(entry)
            self._feed(entry)

    def _attempt(
        self, attempt: OffloadAttempt, live: list[LiveObject], resume: Callable[[AttemptResult], None]
    ) -> AttemptResult | None:
        """Start one object; a result if it failed at once, None if ``resume`` will be called."""
        node = attempt.node
        if not self._free_ids[node.type.layer]:
            full = {
                Layer.NEIGHBOR: NdisStatus.OFFLOAD_NEIGHBOR_ENTRIES,
                Layer.PATH: NdisStatus.OFFLOAD_PATH_ENTRIES,
                Layer.TCP: NdisStatus.OFFLOAD_TCP_ENTRIES,
            }
            return AttemptResult(full[node.type.layer])
        below = None if attempt.parent is None else self._contexts.get(attempt.parent)
        handle = node.ndis_offload_handle
        match node.const, node.cached, node.delegated:
            case NeighborConst() as const, NeighborCached() as cached, NeighborDelegated() as delegated:
                if self._vlan and const.vlan_id and const.vlan_id != self._vlan:
                    return AttemptResult(NdisStatus.OFFLOAD_VLAN_MISMATCH)
                entry = StateObject(Layer.NEIGHBOR, self._take_id(Layer.NEIGHBOR), None, handle, const, cached)
                image = neighbor_image(const, cached, delegated)
                return self._write_object(Opcode.NEIGHBOR_WRITE, entry, image, live, resume)
            case PathConst() as const, PathCached() as cached, _:
                if not isinstance(below, StateObject) or below.layer is not Layer.NEIGHBOR:
                    return _FAILURE
                if {PATH_TYPE.get(len(a)) for a in (const.source_address, const.destination_address)} != {node.type}:
                    return _FAILURE
                if family_of(const) not in self._families:
                    return _FAILURE
                entry = StateObject(Layer.PATH, self._take_id(Layer.PATH), below, handle, const, cached)
                image = path_image(const, cached, below.id)
                return self._write_object(Opcode.PATH_WRITE, entry, image, live, resume)
            case TcpConst() as const, TcpCached() as cached, TcpDelegated() as delegated:
                if not isinstance(below, StateObject) or below.layer is not Layer.PATH:
                    return _FAILURE
                if not self._room_for(delegated):
                    return _FAILURE
                if not isinstance(below.const, PathConst):
                    return _FAILURE
                image = tcp_image(const, cached, delegated, below.id, family_of(below.const))
                return self._load(node, below, delegated, image, live, resume)
            case _:
                return _FAILURE

    def _room_for(self, delegated: TcpDelegated) -> bool:
        """There is memory for the receive data that the connection brings (CH-052)."""
        size = _bytes_of(delegated.buffered_data)
        return size + sum(len(one.buffered) for one in self._by_id.values()) <= self.config.buffered_bytes

    def _take_id(self, layer: Layer) -> int:
        return self._free_ids[layer].pop(0)

    def _admit(self) -> int | None:
        """A number for one more connection, whose share of everything is there; None if there is none."""
        numbers = self._free_ids[Layer.TCP]
        number = next((number for number in numbers if self.bounce.untouched(number)), None)
        if number is None or not self._ring_places.admit():
            return None
        numbers.remove(number)
        return number

    def _leave(self, number: int) -> None:
        """The number and the places are for others."""
        self._ring_places.leave()
        self._free_ids[Layer.TCP].append(number)

    def _write_object(
        self,
        opcode: Opcode,
        entry: StateObject,
        image: bytes,
        live: list[LiveObject],
        resume: Callable[[AttemptResult], None],
    ) -> AttemptResult | None:
        def done(cqe: Cqe) -> None:
            status = initiate_status(cqe.status)
            if not status.offloaded:
                if cqe.status != GIVEN_UP:  # else the number is the device's until it answers
                    self._free_ids[entry.layer].append(entry.id)
                resume(AttemptResult(status))
                return
            live.append(entry)
            if entry.layer is Layer.NEIGHBOR:
                self._neighbors[entry.id] = entry
            resume(AttemptResult(status, self._publish(entry)))

        def answered(_: Cqe, late: bool) -> None:
            if late:
                self._free_ids[entry.layer].append(entry.id)

        if not self.image_command(opcode, entry.id, image, done, release=answered):
            self._free_ids[entry.layer].append(entry.id)
            return AttemptResult(NdisStatus.RESOURCES)
        return None

    def _publish(self, entry: StateObject | OffloadedTcp) -> int:
        self._next_context += 1
        self._contexts[self._next_context] = entry
        return self._next_context

    def _load(
        self,
        node: OffloadBlock,
        path: StateObject,
        delegated: TcpDelegated,
        image: bytes,
        live: list[LiveObject],
        resume: Callable[[AttemptResult], None],
    ) -> AttemptResult | None:
        """INITIATE, inherited sends, START with HOLD."""
        reserved = None
        if brought := _bytes_of(delegated.buffered_data):
            reserved = self._reserve(brought)
            if reserved is None:
                return _FAILURE
        number = self._admit()
        if number is None:
            if reserved is not None:
                self.bounce.free(reserved)
            return AttemptResult(NdisStatus.RESOURCES)
        self._gens[number] = (self._gens[number] + 1) & 0xFF
        io = ConnectionIo(self, number, self._gens[number])
        forwards = ForwardIo(self, number, io.gen)
        connection = OffloadedTcp(number, io, forwards, node.ndis_offload_handle, path, reserved=reserved)
        io.keep = lambda job: self._keep(connection, job)
        io.mute = lambda: connection.mute
        inherited: list[NetBufferList] = []

        def started(cqe: Cqe) -> None:
            if cqe.status not in (Status.OK, GIVEN_UP):
                self._unload(connection, node, inherited, cqe, resume)
                return
            connection.start_owed = cqe.status == GIVEN_UP  # it may run, and acknowledge, all the same
            node.net_buffer_list_chain = None
            live.append(connection)
            resume(AttemptResult(NdisStatus.SUCCESS, self._publish(connection)))

        def loaded(cqe: Cqe) -> None:
            if cqe.status != Status.OK:
                self._unreserve(connection)
                if cqe.status != GIVEN_UP:  # else the number is the device's until it answers
                    self._leave(number)
                resume(AttemptResult(initiate_status(cqe.status)))
                return
            self._by_id[number] = connection
            if isinstance(path.const, PathConst) and isinstance(node.const, TcpConst):
                self._urgent.loaded(connection, path.const, node.const)
            for nbl in iterate(delegated.buffered_data):
                connection.buffered += nbl.read(Owner.TARGET, self.memory)
            # behind a FIN from before the offload the device refuses requests: first comes what was inherited
            io.fin_held = bool(connection.buffered) and delegated.state in FIN_TAKEN_STATES
            inherited.extend(iterate(node.net_buffer_list_chain))
            for nbl in inherited:
                io.send(nbl)
            io.fin_inherited = delegated.state in FIN_SENT_STATES
            io.closed = io.fin_inherited or delegated.state is TcpConnectionState.FIN_WAIT_2
            io.send_open = True
            io.pump()
            start = Sqe(opcode=Opcode.START, flags=START_HOLD, conn=number, gen=io.gen, cookie=self.new_cookie())
            self.command(start, started, begun)

        def begun(cqe: Cqe, late: bool) -> None:
            """The device has started after all: it may deliver, behind what was inherited."""
            if late and cqe.status == Status.OK:
                connection.start_owed = False
                self._feed(connection)

        def answered(cqe: Cqe, late: bool) -> None:
            """Nobody knows of a connection that was loaded too late: off the device with it."""
            if not late:
                return
            if cqe.status != Status.OK:
                self._leave(number)
                return
            gone = Sqe(opcode=Opcode.TERMINATE, conn=number, gen=io.gen, cookie=self.new_cookie())
            self.command(gone, lambda _: None, lambda _cqe, _late: self._leave(number))

        if not self.image_command(Opcode.INITIATE, number, image, loaded, io.gen, answered):
            self._unreserve(connection)
            self._leave(number)
            return AttemptResult(NdisStatus.RESOURCES)
        return None

    def _ask_back(self, connection: OffloadedTcp) -> None:
        """START was not answered in time: the host terminates the connection, which ends as any other (CH-155, CH-251).

        The device stops it first and raises the event; a device that does not leaves that to the driver.
        """

        def asked(cqe: Cqe) -> None:
            if cqe.status != Status.OK and not (connection.terminating or connection.lost):
                self.flush_up()
                self._up.event(connection.ndis_handle, TcpEventType.RETRIEVE, UploadReason.UPLOAD_REQUESTED)

        entry = Sqe(opcode=Opcode.UPLOAD, conn=connection.id, gen=connection.io.gen, cookie=self.new_cookie())
        self.command(entry, asked)

    def _unload(
        self,
        connection: OffloadedTcp,
        node: OffloadBlock,
        inherited: list[NetBufferList],
        failed: Cqe,
        resume: Callable[[AttemptResult], None],
    ) -> None:
        """START failed: take the connection off the device, leave its chain untouched (CH-049)."""
        connection.io.close()
        connection.io.keep = lambda _: True

        def unloaded(_: Cqe, late: bool) -> None:
            if late:
                connection.io.flush(NdisStatus.UPLOAD_IN_PROGRESS)
                del self._by_id[connection.id]
                self._leave(connection.id)

        def gone(cqe: Cqe) -> None:
            if cqe.status == GIVEN_UP:  # what the device says of it from now on is for nobody
                connection.io.abandoned = connection.io.lost = connection.live = True
            self._replay(connection)
            self._unreserve(connection)
            if cqe.status != GIVEN_UP:
                unloaded(cqe, late=True)
            node.net_buffer_list_chain = chain(inherited) if inherited else None
            self._pass_up(self._urgent.gone(connection))
            resume(AttemptResult(initiate_status(failed.status)))

        entry = Sqe(
            opcode=Opcode.TERMINATE,
            conn=connection.id,
            gen=connection.io.gen,
            cookie=self.new_cookie(),
        )
        self.command(entry, gone, unloaded)

    # ---- inherited receive data ------------------------------------------------------------

    def _feed(self, connection: OffloadedTcp) -> None:
        """Deliver inherited bytes before the device may deliver (CH-054, CH-055), then RESUME.

        A request that they filled in part goes to the device in front of RESUME: what comes next belongs into it.
        They wait for the first receive; what the posted ones do not take is indicated.
        """
        if not connection.live or connection.terminating or connection.io.receive_open or connection.feeding:
            return
        if connection.start_owed:  # what the terminate does not find delivered goes back with it
            return
        connection.feeding = True
        try:
            self._feed_all(connection)
        finally:
            connection.feeding = False
        if connection.buffered or connection.terminating:
            return
        self._unreserve(connection)
        connection.io.receive_open = connection.io.resume_owed = True
        connection.io.pump()
        self._tell_fin(connection)

    def _unreserve(self, connection: OffloadedTcp) -> None:
        """Nothing inherited will go back to the host."""
        if connection.reserved is not None:
            self.bounce.free(connection.reserved)
            connection.reserved = None

    def _feed_all(self, connection: OffloadedTcp) -> None:
        """Requests first, then indications, until nothing is left or the host wants no more."""
        while connection.buffered:
            connection.io.fill_from(connection.buffered)
            self.flush_up()
            may_indicate = connection.receive_posted and not connection.buffered_refused
            if not connection.buffered or connection.io.receives or not may_indicate:
                break
            room = self.bounce.take((Use.INDICATE, connection.id), min(PAGE_SIZE, len(connection.buffered)))
            if room is None:
                break  # it goes on with what the host returns
            addr, data = room.addr, bytes(connection.buffered[: room.size])
            self.memory.write(addr, data)
            consumed = self._indicate(connection, addr, len(data), BounceBuffer(addr))
            if consumed < len(data):
                self.bounce.free(addr)
                connection.buffered_refused = True
            del connection.buffered[:consumed]

    def _indicate(self, connection: OffloadedTcp, addr: int, length: int, token: ReceivedAt) -> int:
        """Ask the host to take bytes; returns how many it took."""
        self.flush_up()
        nbl = self._list_at(addr, length, token)
        self._lend(nbl)
        status, consumed = self._up.receive(connection.ndis_handle, nbl, NdisStatus.SUCCESS)
        if status is NdisStatus.SUCCESS:
            return length
        del self._lent[id(nbl)]
        if not isinstance(token, BounceBuffer):
            self._kept.take_back(token)
        if status is not NdisStatus.OFFLOAD_DATA_PARTIALLY_ACCEPTED:
            return 0
        if not 0 < consumed < length:  # then nothing was (CH-150)
            self.misused(f"BytesConsumed {consumed} of an indication of {length} bytes, partially accepted")
            return 0
        return consumed

    def _lend(self, nbl: NetBufferList) -> None:
        """The list is the host's until it returns it."""
        self._lent[id(nbl)] = nbl

    @staticmethod
    def _list_at(addr: int, length: int, token: ReceivedAt) -> NetBufferList:
        first = addr - addr % PAGE_SIZE
        pages = tuple(range(first, addr + length, PAGE_SIZE))
        buffer = NetBuffer((Mdl(Region(pages, addr - first, length)),), 0, length)
        return NetBufferList([buffer], owner=Owner.TARGET, miniport_reserved=token)

    # ---- terminate -------------------------------------------------------------------------

    def terminate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportTerminateOffload."""
        self._named(adapter_context)
        if self._malformed(block_list, self.adapter.terminate_offload_complete):
            return
        limit = self.config.terminate_ticks
        op = TerminateOp(block_list, waiting=1, deadline=None if limit is None else self.now + limit)
        self._terminates.append(op)
        for node in traverse(block_list):
            entry = self.object_of(node)
            if entry is None or entry.terminating:
                node.status = NdisStatus.SUCCESS if node.is_placeholder else NdisStatus.FAILURE
                if not node.is_placeholder:
                    self.misused("a terminate of an object that is not offloaded, or being terminated")
                first = next((other for other in self._terminates if entry in other.taken.values()), None)
                if first is not None:  # it is the first that ends the object
                    op.waiting += 1
                    first.followers.append(op)
                continue
            op.taken[id(node)] = entry
            entry.terminating = True
            if isinstance(entry, OffloadedTcp):
                self._urgent.begins(entry)
                op.waiting += 1
                op.pending.append((node, entry))
                self._terminate_connection(op, node, entry)
        self.later(lambda: self._terminate_step(op))
        self._kick()

    def _terminate_connection(self, op: TerminateOp, node: OffloadBlock, entry: OffloadedTcp) -> None:
        entry.io.holding = True
        entry.io.close()
        entry.forwards.open = False
        block = self._uploads.allocate(self._upload_bytes)
        if block is None:
            self._upload_waiting.append(lambda: self._terminate_connection(op, node, entry))
            return
        # If the device fails before it writes the array, the array must read as empty.
        self.memory.write(block + DELEGATED_IMAGE_BYTES, LeftOver().to_bytes())
        place = block

        def done(cqe: Cqe) -> None:
            late = entry.io.abandoned
            self._connection_terminated(node, entry, cqe, place)
            self._uploads.free(place)
            if self._upload_waiting:
                self._upload_waiting.popleft()()
            if not late:
                op.pending.remove((node, entry))
                self._terminate_step(op)

        self._kept.ends(entry.id)
        command = Sqe(
            opcode=Opcode.TERMINATE,
            conn=entry.id,
            gen=entry.io.gen,
            cookie=self.new_cookie(),
            addr=block,
            addr2=block + DELEGATED_IMAGE_BYTES,
        )
        self._commands.add(command, done, nothing, None)  # the call has a deadline of its own
        self.submit(command)

    def _connection_terminated(self, node: OffloadBlock, entry: OffloadedTcp, cqe: Cqe, block: int) -> None:
        """TERMINATE completed, perhaps long after the host gave the connection up."""
        ok, late = cqe.status == Status.OK, entry.io.abandoned
        if not ok and not late:
            self.lose(entry)
        ended = NdisStatus.REQUEST_ABORTED if entry.io.aborted else NdisStatus.UPLOAD_IN_PROGRESS
        entry.io.flush(ended)
        entry.forwards.flush(ended)
        if not ok and not late:
            self._give_back_kept(entry, NdisStatus.REQUEST_ABORTED)
        elif not any(nbl.data_length for nbl in entry.kept):  # no outstanding send data, no chain (CH-238)
            self._give_back_kept(entry, NdisStatus.UPLOAD_IN_PROGRESS)
        entry.io.release()
        self._tell_abort(entry)
        self.flush_up()
        pieces = self._left_over(block + DELEGATED_IMAGE_BYTES, entry)
        if entry.io.aborted:
            entry.buffered.clear()
        if not late:
            self._write_terminated(node, entry, ok, block, [] if entry.io.aborted else pieces)
        if late or not ok or entry.io.aborted:  # nobody wants the bytes; the buffers are used again
            self._take_back(pieces)
        else:
            for left in iterate(getattr(node.delegated, "buffered_data", None)):
                self._lend(left)
        self._unreserve(entry)
        del self._by_id[entry.id]
        self._leave(entry.id)

    def _write_terminated(
        self, node: OffloadBlock, entry: OffloadedTcp, ok: bool, block: int, pieces: list[NetBufferList]
    ) -> None:
        """Status, chain and delegated state of a connection's node."""
        kept = entry.kept
        full = [nbl for nbl in kept if nbl.data_length]
        node.net_buffer_list_chain = chain(kept) if kept else None
        node.status = NdisStatus.SUCCESS if ok else NdisStatus.FAILURE
        node.delegated = None
        if not ok:
            return
        if entry.buffered:
            pieces = [*self._buffered_lists(entry), *pieces]
        node.delegated = replace(
            delegated_state(self.memory.read(block, DELEGATED_IMAGE_BYTES)),
            send_data_head=full[0] if full else None,
            send_data_tail=full[-1] if full else None,
            buffered_data=chain(pieces) if pieces else None,
        )

    def _give_back_kept(self, entry: OffloadedTcp, status: NdisStatus) -> None:
        """A chain without state, or without data, is of no use: the lists come back by completion (CH-096)."""
        for nbl in entry.kept:
            nbl.set_status(Owner.TARGET, status)
            self.up(CompletionKind.SEND, nbl)
        entry.kept.clear()

    def _left_over(self, array: int, entry: OffloadedTcp) -> list[NetBufferList]:
        """Bytes that were acknowledged but not delivered, in pool buffers or in copies (6.5)."""
        size = LeftOver.WIDTH // 8
        count = LeftOver.from_bytes(self.memory.read(array, size)).buf
        out: list[NetBufferList] = []
        for i in range(1, count + 1):
            piece = LeftOver.from_bytes(self.memory.read(array + i * size, size))
            addr = self._pool_base + piece.buf * POOL_BUF_BYTES + piece.offset
            where, token = self._kept.show(addr, piece.length, piece.buf, entry.incarnation)
            if isinstance(token, KeptCopy):
                self._repost(self._pool_base, piece.buf, self._pool_posts)
            out.append(self._list_at(where, piece.length, token))
        return out

    def _buffered_lists(self, entry: OffloadedTcp) -> list[NetBufferList]:
        """Inherited data that was not delivered, in the memory that was reserved for it: the host's from now on."""
        addr, entry.reserved = entry.reserved, None
        if addr is None:
            raise DriverError(f"connection {entry.id} has inherited data, and no memory was reserved for it")
        self.memory.write(addr, bytes(entry.buffered))
        return [self._list_at(addr, len(entry.buffered), BounceBuffer(addr))]

    def hold(self, entry: StateObject | OffloadedTcp) -> Callable[[], None]:
        """Let the terminate of an object wait until what is returned is called (CH-233)."""
        op = next((op for op in self._terminates if entry in op.taken.values()), None)
        if op is None:
            return lambda: None
        op.waiting += 1
        return lambda: self._terminate_step(op)

    def _terminate_step(self, op: TerminateOp) -> None:
        op.waiting -= 1
        if op.waiting or op.completed:
            return
        for node in traverse(op.root):
            entry = op.taken.get(id(node))
            if isinstance(entry, StateObject) and entry.layer is Layer.NEIGHBOR and node.status is None:
                op.waiting += 1
                node.status = NdisStatus.SUCCESS
                self._state.neighbor_age(entry, self._aged(op, node))
        if not op.waiting:
            self._terminated(op)

    def _aged(self, op: TerminateOp, node: OffloadBlock) -> Callback:
        """The neighbor's NicReachabilityDelta goes up with it (CH-245)."""

        def done(cqe: Cqe) -> None:
            if op.completed:
                return
            if cqe.status == Status.OK:
                node.delegated = NeighborDelegated(cqe.info)
            elif cqe.status != Status.NOT_SUPPORTED:
                node.status, node.delegated = NdisStatus.FAILURE, None
            self._terminate_step(op)

        return done

    def _terminated(self, op: TerminateOp) -> None:
        """Everything of the tree is settled: free its objects and complete it, once."""
        op.completed = True
        self._terminates.remove(op)
        held: list[bytes] = []
        for node in traverse(op.root):
            entry = op.taken.get(id(node))
            if entry is not None:
                self._contexts.pop(node.context or 0, None)
            if isinstance(entry, StateObject) and not op.given_up:
                self._leaving.append(entry)
                if entry.layer is Layer.NEIGHBOR:
                    self._neighbors.pop(entry.id, None)
            elif isinstance(entry, OffloadedTcp):
                held += self._urgent.gone(entry)
            if node.status is None:
                node.status = NdisStatus.SUCCESS
        self._free_objects()
        self.flush_up()
        self.adapter.terminate_offload_complete(self._handle, op.root)
        for follower in op.followers:
            self._terminate_step(follower)
        self._pass_up(held)
        self._when_empty()

    def _free_objects(self) -> None:
        """Numbers of terminated objects are free once nothing depends on them, whatever the host promised (CH-231)."""
        for entry in sorted(self._leaving, key=lambda entry: -entry.layer):
            others = [o for o in (*self._contexts.values(), *self._leaving) if isinstance(o, StateObject)]
            users = [*self.connections_on(entry), *(other for other in others if other.below is entry)]
            if not users:
                self._leaving.remove(entry)
                self._free_ids[entry.layer].append(entry.id)

    # ---- a device that does not answer -----------------------------------------------------

    def on_tick(self, tick: int) -> None:
        """Time has come to ``tick``: what waited too long ends without the device (G-20).

        To be called before ``on_interrupt`` of that tick, also behind a time in which neither was called.
        """
        self._count(tick)
        if self._unread is not None and self.now - self._empty >= self.config.answer_ticks:
            self.poll()
            self._count(tick)
        if self._unread is None:  # what waits there may be the answer
            self._empty = self.now
            for op in list(self._terminates):
                if op.deadline is not None and self.now >= op.deadline:
                    self._give_up(op)
            self._end_waits(self.now)
        period = self.config.upload.period
        if period and tick - self._looked >= period:
            self._looked = tick
            self._look_at_all()

    def _count(self, tick: int) -> None:
        """Add the ticks since the last look to ``now``, unless answers waited meanwhile that nobody read.

        A host that is late is not the device's silence; behind a full ring the device reads no descriptor.
        """
        unread, passed = self._cq.waiting, tick - self._tick
        if unread is None:
            self.now += passed
        elif unread != self._unread:
            self.now += min(passed, 1)
        self._tick, self._unread = tick, unread

    def _end_waits(self, tick: int) -> None:
        """Nothing that the device owes an answer to is waited for without bound."""
        since = tick - self.config.answer_ticks
        ended = self._commands.give_up(tick)
        ended |= self._state.give_up(since)
        ended |= self._fail_waiting(since)
        ended |= self._statistics.give_up(tick, self.config.answer_ticks)
        for connection in list(self._by_id.values()):
            if connection.live and not connection.terminating and not connection.lost and connection.owes(since):
                ended = True
                self._commands.reports.append(
                    f"forward or abort of connection {connection.id} was not answered in time"
                )
                self.lose(connection)
        while self._held_walks and self._held_walks[0].since <= since:  # the ordinary path does not move either
            ended = True
            self._held_walks.pop(0).go()
        if ended:
            self.flush_up()
            self._kick()

    def _give_up(self, op: TerminateOp) -> None:
        """Events, then everything back aborted, then FAILURE. What the device may still touch stays reserved."""
        self.counters["terminates given up"] += 1
        for node, entry in op.pending:
            self.lose(entry)
            self._give_back_kept(entry, NdisStatus.REQUEST_ABORTED)
            entry.io.abandon()
            entry.forwards.abandon()
            self._unreserve(entry)
            node.status, node.delegated, node.net_buffer_list_chain = NdisStatus.FAILURE, None, None
        op.pending.clear()
        op.given_up = True
        for node in traverse(op.root):
            entry_below = op.taken.get(id(node))
            if isinstance(entry_below, StateObject):  # its number is not used again before a reset
                node.status, node.delegated = NdisStatus.FAILURE, None
                self._neighbors.pop(entry_below.id, None)
        self._terminated(op)

    def _keep(self, connection: OffloadedTcp, job: SendJob) -> bool:
        """True if an unfinished send goes up in the terminate chain, its data start at SndUna."""
        unfinished = job.status is NdisStatus.UPLOAD_IN_PROGRESS and job.kind is CompletionKind.SEND
        if not (self.config.chain_unfinished and connection.terminating and unfinished) or job.late:
            return False
        job.nbl.info[NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED] = left = job.acknowledged
        for buffer in job.nbl.net_buffers:
            delta = min(left, buffer.data_length)
            ndis_advance_net_buffer_data_start(buffer, delta)
            left -= delta
        connection.kept.append(job.nbl)
        return True

    # ---- update, query, invalidate, forward ------------------------------------------------

    def update_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportUpdateOffload."""
        self._named(adapter_context)
        if self._malformed(block_list, self.adapter.update_offload_complete):
            return
        self._state.update(block_list)
        self._kick()

    def query_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportQueryOffload."""
        self._named(adapter_context)
        if self._malformed(block_list, self.adapter.query_offload_state_complete):
            return
        self._state.query(block_list)
        self._kick()

    def invalidate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportInvalidateOffload."""
        self._named(adapter_context)
        if self._malformed(block_list, self.adapter.invalidate_offload_complete):
            return
        self._state.invalidate(block_list)
        self._kick()

    def tcp_offload_forward(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadForward."""
        self._named(adapter_context)
        connection = self._connection(context)
        if connection is None:
            return self._refuse(CompletionKind.FORWARD, context, nbl)
        for one in unchain(nbl):
            connection.forwards.forward(one)
        self._kick()
        return NdisStatus.PENDING

    def object_of(self, node: OffloadBlock) -> StateObject | OffloadedTcp | None:
        """The offloaded object that a node names."""
        return None if node.context is None else self._known(node.context)

    def _known(self, context: int) -> StateObject | OffloadedTcp | None:
        """The object of a context; a place that an initiate has filled names nothing before its completion (CH-059)."""
        entry = self._contexts.get(context)
        return entry if entry is not None and entry.known else None

    def connections_on(self, entry: StateObject) -> list[OffloadedTcp]:
        """The connections that depend on a path or neighbor."""
        return [c for c in self._by_id.values() if entry in (c.path, c.path.below)]

    def lose(self, connection: OffloadedTcp) -> None:
        """The device lost a connection: RETRIEVE(HARDWARE_FAILURE), then ABORT (CH-095, G-20)."""
        if not connection.lost:
            connection.lost = True
            self.flush_up()
            reason = UploadReason.HARDWARE_FAILURE
            self._up.event(connection.ndis_handle, TcpEventType.RETRIEVE, reason)
        connection.io.lost = True
        self._aborted(connection)

    # ---- requests and status ---------------------------------------------------------------

    def oid_request(self, adapter_context: object, request: OidRequest) -> NdisStatus:
        """MiniportOidRequest: parameters, power, VLAN, encapsulation, statistics."""
        self._named(adapter_context)
        match request.oid, request.set, request.buffer:
            case Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS, True, TcpConnectionOffloadParameters() as wanted:
                return self._set_parameters(request, wanted)
            case Oid.TCP_OFFLOAD_PARAMETERS, True, OffloadParameters() as switches:
                return self._set_switches(request, switches)
            case Oid.TCP_OFFLOAD_PARAMETERS, True, _:
                return NdisStatus.INVALID_DATA
            case Oid.PNP_SET_POWER, True, PowerState() as power:
                return self._set_power(request, power)
            case Oid.GEN_VLAN_ID, True, int() as vlan:
                self._vlan = vlan
                return NdisStatus.SUCCESS
            case Oid.OFFLOAD_ENCAPSULATION, False, _:
                request.buffer = self.capabilities.encapsulation
                return NdisStatus.SUCCESS
            case oid, _, _ if oid in STATISTICS_OIDS:
                return self._statistics.request(request)
            case _:
                return NdisStatus.NOT_SUPPORTED

    def _set_parameters(self, request: OidRequest, wanted: TcpConnectionOffloadParameters) -> NdisStatus:
        """All tick-based variables count in the new ticks from the completion on (CH-007)."""
        image = parameter_image(wanted, self.config.parameters)

        def done(cqe: Cqe) -> None:
            status = NdisStatus.SUCCESS if cqe.status == Status.OK else NdisStatus.FAILURE
            self.flush_up()
            self.adapter.oid_request_complete(self._handle, request, status)

        if not self.image_command(Opcode.PARAM_WRITE, 0, image.to_bytes(), done):
            return NdisStatus.RESOURCES
        self._kick()
        return NdisStatus.PENDING

    def _set_switches(self, request: OidRequest, wanted: OffloadParameters) -> NdisStatus:
        """OID_TCP_OFFLOAD_PARAMETERS: connection offload over IPv4 and over IPv6, each off and on again.

        Capabilities change by a pause and a resume only (CH-008). A version that goes takes all with it: PAUSE and
        UPLOAD_ALL, and RESUME with the other version when nothing is offloaded any more. Capabilities without an IP
        version are none (CH-005): with both off no resume comes. A version that is switched on is a resume at once.
        """
        switches: dict[int, Switch] = {
            Family.IPV4: wanted.tcp_connection_ipv4, Family.IPV6: wanted.tcp_connection_ipv6,
        }  # fmt: skip
        changed = {family for family, to in switches.items() if to is not Switch.NO_CHANGE}
        on = {family for family, to in switches.items() if to is Switch.ENABLED}
        families = self._switched_to - changed | on
        if families == self._switched_to:
            return NdisStatus.SUCCESS
        self._switched_to = families
        self.later(lambda: self._switched(request, families))
        self._kick()
        return NdisStatus.PENDING

    def _switched(self, request: OidRequest, families: frozenset[int]) -> None:
        lost = self._families - families
        self._families = families
        if (lost or families) and not self._paused:
            self.pause()
        if lost and not self._uploading:
            self.upload_all()
        self._resume_when_empty = bool(lost and families)
        if families and not lost:
            self.resume()
        self.flush_up()
        self.adapter.oid_request_complete(self._handle, request, NdisStatus.SUCCESS)
        self._when_empty()

    @property
    def offered(self) -> TcpConnectionOffload:
        """The capabilities within what the host lets the driver offload."""
        can = self.capabilities
        return replace(
            can,
            support_ipv4=can.support_ipv4 and Family.IPV4 in self._families,
            support_ipv6=can.support_ipv6 and Family.IPV6 in self._families,
        )

    def _statistics_read(self, request: OidRequest, status: NdisStatus) -> None:
        """A statistics request that had to wait for the device ends."""
        if status is not NdisStatus.SUCCESS:
            self.reports.append(f"the registers of {request.oid.name} were not read in time")
        self.flush_up()
        self.adapter.oid_request_complete(self._handle, request, status)

    def _set_power(self, request: OidRequest, power: PowerState) -> NdisStatus:
        """A move out of D0 is SUCCESS only when no offload is left, and none is under way (CH-014)."""
        if power is PowerState.D0 or not (self._contexts or self._initiates):
            return NdisStatus.SUCCESS
        self._power_waiting.append(request)
        return NdisStatus.PENDING

    def _when_empty(self) -> None:
        """Complete what waits for the last terminate, or for an initiate; tell of what may be offloaded from now on."""
        if self._resume_when_empty and not (self._contexts or self._initiates):
            self._resume_when_empty = False
            self.resume()
        while self._power_waiting and not (self._contexts or self._initiates):
            self.adapter.oid_request_complete(self._handle, self._power_waiting.pop(0), NdisStatus.SUCCESS)

    def pause(self) -> None:
        """The device wants no new offloads (NDIS_STATUS_OFFLOAD_PAUSE); what is in flight is served (CH-009)."""
        self._paused = True
        self.flush_up()
        self.adapter.indicate_status(self._handle, NdisStatus.OFFLOAD_PAUSE)

    def upload_all(self) -> None:
        """The device wants all offloads back (NDIS_STATUS_UPLOAD_ALL).

        What a pause keeps waiting fails: the resume behind UPLOAD_ALL is optional, and no call waits without bound.
        """
        self._uploading = True
        self.adapter.indicate_status(self._handle, NdisStatus.UPLOAD_ALL)
        if self._paused:
            self._fail_waiting()

    def _fail_waiting(self, since: int | None = None) -> bool:
        """Initiates that have waited for a resume since a tick or longer complete; True if there was one.

        Nothing of them is tried. A resume is optional (2.14): none is waited for without bound.
        """
        due = [one for one in self._initiates_waiting if since is None or one[1] <= since]
        self._initiates_waiting = [one for one in self._initiates_waiting if one not in due]
        for root, _ in due:
            self.later(functools.partial(self._fail_initiate, root))
        if due:
            self._kick()
        return bool(due)

    def _fail_initiate(self, root: OffloadBlock) -> None:
        walk = initiate_walk(root)
        with contextlib.suppress(StopIteration):
            next(walk)
            while True:
                walk.send(_FAILURE)
        self._initiated(root, [])

    def resume(self, capabilities: TcpConnectionOffload | None = None) -> None:
        """Offloads may come again, within ``capabilities`` (NDIS_STATUS_OFFLOAD_RESUME, CH-008)."""
        self.capabilities = capabilities or self.capabilities
        if not self._families or self._resume_when_empty:
            return  # they are announced when the host switches the offload on again
        self._paused = self._uploading = False
        self.adapter.indicate_status(self._handle, NdisStatus.OFFLOAD_RESUME, self.offered)
        waiting, self._initiates_waiting = self._initiates_waiting, []
        for root, _ in waiting:
            self._start_walk(root)
        self._kick()

    def halt(self, adapter_context: object, wait: Callable[[], None]) -> None:
        """MiniportHaltEx: no interrupts from now on; returns when the host has returned all indicated lists (CH-158).

        ``wait``: what other processors do while this one waits.
        """
        self._named(adapter_context)
        if self._contexts:
            raise DriverError(
                f"{len(self._contexts)} objects are offloaded: terminate them before the adapter is halted"
            )
        for _ in range(HALT_WAITS):
            if not self._lent:
                break
            wait()
        else:
            raise DriverError(f"the host does not return {len(self._lent)} indicated lists: the adapter cannot halt")
        tick = CONTROL_EXTERNAL_TICK if self.config.external_tick else 0
        self._port.mmio_write(Csr.CONTROL, CONTROL_ENABLE | tick)

    # ---- want of resources ----------------------------------------------------------------

    def watch_shortages(self, short: Callable[[object], None]) -> None:
        """Show every connection to somebody that something cannot be allocated for."""
        self._on_shortage = short

    def cannot_allocate(self, conn: int) -> None:
        """Memory that a connection needs will never be there (CH-212).

        The device stops processing the connection and raises TcpIndicateRetrieve(UploadRequested). What waits here, and
        what the host posts until it terminates the connection, ends UPLOAD_IN_PROGRESS.
        """
        connection = self._by_id[conn]
        if connection.short or connection.terminating:
            return
        connection.short = True
        self.counters["allocation_failed"] += 1
        self._on_shortage(connection.ndis_handle)
        entry = Sqe(opcode=Opcode.UPLOAD, conn=conn, gen=connection.io.gen, cookie=self.new_cookie())
        self.command(entry, lambda cqe: self.lose(connection) if cqe.status == GIVEN_UP else None)

    # ---- upload reasons of the driver's own ------------------------------------------------

    def suggest_upload(self, context: int, reason: UploadReason) -> None:
        """A connection would fare better in software: TcpIndicateRetrieve with an optional reason (NDIS sheet, 2.12).

        The device is asked for the state first; one that is not ESTABLISHED is left alone (CH-210, G-07).
        """
        if reason.mandatory:
            raise DriverError(f"{reason.name} is no optional reason")
        connection = self._connection(context)
        if connection is None:
            raise DriverError(f"context {context:#x} names no offloaded connection")

        self._state.ask(connection, lambda image: self._suggest(connection, image, reason))
        self._kick()

    def _suggest(self, connection: OffloadedTcp, image: TcpImage | None, reason: UploadReason) -> None:
        """``image``: the connection's state as the device told it just now."""
        open_both_ways = image is not None and image.state == TcpConnectionState.ESTABLISHED
        if open_both_ways and connection.live and not (connection.terminating or connection.io.closing):
            self.flush_up()
            self._up.event(connection.ndis_handle, TcpEventType.RETRIEVE, reason)

    def _look_at_all(self) -> None:
        """A period of the upload policy is over (model/ndis/upload_policy.py)."""
        for connection in list(self._by_id.values()):
            if connection.live and not connection.terminating:
                self._state.ask(connection, functools.partial(self._look, connection))
        self._kick()

    def _look(self, connection: OffloadedTcp, image: TcpImage | None) -> None:
        if image is None:
            return
        reason = connection.activity.look(image, self.config.upload)
        if reason is not None:
            self._suggest(connection, image, reason)

    # ---- I/O calls -------------------------------------------------------------------------

    def _connection(self, context: int) -> OffloadedTcp | None:
        """The connection that a context names; None for one that is none, or none any more."""
        entry = self._known(context)
        return entry if isinstance(entry, OffloadedTcp) else None

    def misused(self, what: str) -> None:
        """The host broke a rule: noted, and answered as docs/errors.md says."""
        self.counters["misuse"] += 1
        self.misuses.append(what)

    def _refuse(self, kind: CompletionKind, context: int, head: NetBufferList) -> NdisStatus:
        """Requests for no connection."""
        return self._send_back(kind, head, f"{kind.value}: context {context:#x} names no offloaded connection")

    def _send_back(self, kind: CompletionKind, head: NetBufferList, misuse: str) -> NdisStatus:
        """Requests that break a rule come back aborted, nothing sent and nothing placed."""
        self.misused(misuse)
        lists = unchain(head)

        def back() -> None:
            for one in lists:
                if kind is CompletionKind.FORWARD:
                    one.set_status(Owner.TARGET, NdisStatus.REQUEST_ABORTED)
                else:
                    one.complete(Owner.TARGET, NdisStatus.REQUEST_ABORTED, 0)
                self.up(kind, one)

        self.later(back)
        self._kick()
        return NdisStatus.PENDING

    def tcp_offload_send(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadSend."""
        self._named(adapter_context)
        connection = self._connection(context)
        if connection is None:
            return self._refuse(CompletionKind.SEND, context, nbl)
        lists = unchain(nbl)
        for one in lists:
            connection.io.send(one)
        if connection.io.aborted or connection.io.closed or any(one.data_length == 0 for one in lists):
            self.later(connection.io.finish)  # not one of these gets to the device
        self._kick()
        return NdisStatus.PENDING

    def tcp_offload_receive(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceive; may come from inside a receive completion (CH-140)."""
        self._named(adapter_context)
        connection = self._connection(context)
        if connection is None:
            return self._refuse(CompletionKind.RECEIVE, context, nbl)
        connection.receive_posted = True
        self._kept.ends(connection.id)
        for one in unchain(nbl):
            connection.activity.posted(one.data_length)
            connection.io.receive(one)
        if connection.io.aborted:
            self.later(connection.io.drop_receives)
        elif connection.buffered:
            connection.buffered_refused = False
            self.later(lambda: self._feed(connection))
        self._kick()
        return NdisStatus.PENDING

    def tcp_offload_receive_return(self, adapter_context: object, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadReceiveReturn: buffers are poisoned, then posted again."""
        self._named(adapter_context)
        for one in unchain(nbl):
            if self._lent.pop(id(one), None) is None:
                self.misused("ReceiveReturn of a list that the host does not have")
            else:
                self._take_back([one])
        for connection in self._by_id.values():
            if connection.buffered and connection.live:  # it may have waited for memory
                self.later(functools.partial(self._feed, connection))
        self._kick()
        return NdisStatus.SUCCESS

    def _take_back(self, lists: list[NetBufferList]) -> None:
        for one in lists:
            token = one.miniport_reserved
            if isinstance(token, PoolBuffer):
                self._kept.take_back(token)
                self._repost(self._pool_base, token.index, self._pool_posts)
            elif isinstance(token, KeptCopy):
                self._kept.take_back(token)
            elif isinstance(token, BounceBuffer):
                self.bounce.free(token.addr)

    def tcp_offload_disconnect(
        self, adapter_context: object, context: int, nbl: NetBufferList, flags: DisconnectFlags
    ) -> NdisStatus:
        """MiniportTcpOffloadDisconnect: graceful behind the data, abortive at once."""
        self._named(adapter_context)
        connection = self._connection(context)
        if connection is None:
            return self._refuse(CompletionKind.DISCONNECT, context, nbl)
        if flags not in (DisconnectFlags.GRACEFUL, DisconnectFlags.ABORTIVE):
            return self._odd_disconnect(connection, nbl, flags)
        self._kept.ends(connection.id)
        if flags == DisconnectFlags.GRACEFUL:
            refused = connection.io.aborted or connection.io.fin_inherited
            connection.io.send(nbl, CompletionKind.DISCONNECT)
            if refused:
                self.later(connection.io.finish)
        else:
            connection.io.disconnect_abortive(nbl)
            self.later(lambda: self._abort_posted(connection))
        self._kick()
        return NdisStatus.PENDING

    def _odd_disconnect(self, connection: OffloadedTcp, nbl: NetBufferList, flags: int) -> NdisStatus:
        """Flags that name neither way, or both (2.10): the connection goes on."""
        what = f"disconnect with flags {int(flags):#x}, neither graceful nor abortive"
        if connection.terminating:  # it must not come back behind the terminate (CH-233)
            self.misused(what)
            connection.io.send(nbl, CompletionKind.DISCONNECT)
            return NdisStatus.PENDING
        return self._send_back(CompletionKind.DISCONNECT, nbl, what)

    def _abort_posted(self, connection: OffloadedTcp) -> None:
        """Unless the abort has to wait, the device is done with the data by now."""
        if connection.io.aborted:
            self._forget_received(connection)

    def _forget_received(self, connection: OffloadedTcp) -> None:
        """An aborted connection delivers nothing any more, and lets no request wait (G-06)."""
        connection.buffered.clear()
        self._feed(connection)
        connection.io.drop_receives()

    def send_raw(self, adapter_context: object, frame: bytes) -> None:
        """The ordinary send path."""
        self._named(adapter_context)
        self._raw_backlog.append(frame)
        self._kick()

    def _send_raw_backlog(self) -> None:
        while self._raw_backlog:
            frame = self._raw_backlog[0]
            addr = self.lists.place(FRAME, len(frame))
            if addr is None or not self.reserve(CompletionKind.SEND, DRIVER):
                if addr is not None:
                    self.lists.free(addr)
                return
            del self._raw_backlog[0]
            self.memory.write(addr, frame)
            cookie = self.new_cookie()
            self._raw_frames[cookie] = addr
            self._sq.push(Sqe(opcode=Opcode.RAW_SEND, cookie=cookie, addr=addr, length=len(frame)))

    # ---- interrupt -------------------------------------------------------------------------

    def on_interrupt(self) -> None:
        """The device raised its interrupt."""
        self._port.mmio_write(Csr.IRQ_CAUSE, IRQ_COMPLETION)
        self.poll()

    def poll(self) -> bool:
        """Handle all completion entries there are; True if there was one."""
        if self._polling:
            return False
        self._polling = True
        found = False
        try:
            while (cqe := self._cq.pop()) is not None:
                found = True
                self._dispatch(cqe)
            self.flush_up()
        finally:
            self._polling = False
        if found:
            self._cq.release()
            self._kick()
        return found

    def _dispatch(self, cqe: Cqe) -> None:
        kind = CqKind(cqe.kind)
        self.counters[f"{kind.name} {Status(cqe.status).name}"] += 1
        match kind:
            case CqKind.COMMAND:
                self._on_command(cqe)
            case CqKind.RAW_RX:
                self._on_raw(cqe)
            case CqKind.RAW_TX:
                self.lists.free(self._raw_frames.pop(cqe.cookie))
                self.release(CompletionKind.SEND, DRIVER)
                self._release_walks(1)
            case CqKind.EVENT if cqe.code == DeviceEvent.NEIGHBOR_QUERY:
                neighbor = self._neighbors.get(cqe.conn)
                if neighbor is not None:
                    self._state.neighbor_query(neighbor, cqe)
            case _:
                self._on_connection(kind, cqe)

    def _on_command(self, cqe: Cqe) -> None:
        self._sq.seen(cqe.sq_index)
        if self._commands.answered(cqe):
            pass
        elif cqe.code == Opcode.NEIGHBOR_ANSWER:
            pass  # the neighbor was written anew since it asked
        elif cqe.status != Status.OK:
            raise DriverError(f"{Opcode(cqe.code).name} for connection {cqe.conn} refused: {Status(cqe.status).name}")

    def _on_connection(self, kind: CqKind, cqe: Cqe) -> None:
        connection = self._by_id.get(cqe.conn)
        if connection is None or connection.io.gen != cqe.gen:
            raise DriverError(f"{kind.name} for connection {cqe.conn} gen {cqe.gen}, which is not loaded (CH-235)")
        if connection.live:
            self._on_live(connection, cqe)
        else:
            connection.early.append(cqe)

    def _replay(self, connection: OffloadedTcp) -> None:
        """Handle what came before the host knew the connection to be offloaded."""
        early, connection.early = connection.early, []
        for cqe in early:
            self._on_live(connection, cqe)

    def _on_live(self, connection: OffloadedTcp, cqe: Cqe) -> None:
        match CqKind(cqe.kind):
            case CqKind.SEND:
                connection.io.on_send(cqe)
                self._tell_abort(connection)
            case CqKind.RECEIVE:
                connection.io.on_receive(cqe)
                self._tell_fin(connection)
            case CqKind.FORWARD:
                connection.forwards.on_forward(cqe)
            case CqKind.INDICATION if connection.io.abandoned:  # the host does not have the connection any more
                answer = Sqe(opcode=Opcode.ANSWER, conn=connection.id, gen=connection.io.gen, arg=cqe.info & 0xFFFF)
                self.submit(answer)
            case CqKind.INDICATION:
                self._on_indication(connection, cqe)
            case _:
                self._on_event(connection, cqe)

    def _on_indication(self, connection: OffloadedTcp, cqe: Cqe) -> None:
        """Ask the host and answer the device. Requests that were posted come first: then refuse (CH-142)."""
        addr = self._pool_base + cqe.buf * POOL_BUF_BYTES + cqe.offset
        consumed = 0
        token: PoolBuffer | KeptCopy = PoolBuffer(cqe.buf)
        self.flush_up()  # a completion may bring a request
        io = connection.io
        met = io.unanswered
        if not io.wants_data and not io.aborted:
            connection.activity.indications += 1
            addr, token = self._kept.show(addr, cqe.nbytes, cqe.buf, connection.incarnation)
            consumed = self._indicate(connection, addr, cqe.nbytes, token)
        self._kept.answer(
            token,
            Sqe(
                opcode=Opcode.ANSWER,
                conn=connection.id,
                gen=io.gen,
                length=consumed,
                arg=cqe.info & 0xFFFF,
            ),
            may_wait=not connection.terminating,
        )
        if isinstance(token, KeptCopy) and consumed == cqe.nbytes:
            self._repost(self._pool_base, cqe.buf, self._pool_posts)
        if met and consumed < cqe.nbytes:
            io.crossed()

    def _on_event(self, connection: OffloadedTcp, cqe: Cqe) -> None:
        event = TcpEventType(DeviceEvent(cqe.code))
        if connection.io.lost:
            return
        if event is TcpEventType.DISCONNECT:
            connection.io.fin_held = True
            self._tell_fin(connection)
        elif event is not TcpEventType.ABORT:
            self.flush_up()
            self._up.event(connection.ndis_handle, event, cqe.info)
        if event is TcpEventType.RETRIEVE and cqe.info == DeviceReason.RECEIVED_URGENT_DATA:
            self._urgent.begins(connection)
        failed = event is TcpEventType.RETRIEVE and cqe.info == DeviceReason.HARDWARE_FAILURE
        connection.lost = connection.lost or failed
        if failed or event is TcpEventType.ABORT:  # mechanisms M7: retrieve, then abort, once
            self._aborted(connection)

    def _tell_fin(self, connection: OffloadedTcp) -> None:
        """The DISCONNECT event goes up once everything that was posted before it is back (G-17)."""
        if connection.io.fin_held and connection.io.settle_receives():
            self.flush_up()
            connection.io.fin_held = False
            self._up.event(connection.ndis_handle, TcpEventType.DISCONNECT, 0)

    def _aborted(self, connection: OffloadedTcp) -> None:
        """Nothing is delivered or sent any more; the host is told once, unless its own RST was the cause (7.4)."""
        connection.abort_held = not connection.abort_told and not connection.io.reset_done
        connection.io.abort_untold = connection.abort_held
        connection.io.reset_in = True
        connection.io.cancel()
        connection.forwards.aborted = True
        self._tell_abort(connection)
        self._forget_received(connection)

    def _tell_abort(self, connection: OffloadedTcp) -> None:
        """The ABORT event goes up once nothing can be SUCCESS behind it (G-29)."""
        if connection.abort_held and (connection.io.lost or not connection.io.unsettled):
            connection.abort_held = False
            connection.abort_told = True
            self.flush_up()
            self._up.event(connection.ndis_handle, TcpEventType.ABORT, 0)
            connection.io.abort_untold = False
            connection.io.finish()

    def _on_raw(self, cqe: Cqe) -> None:
        frame = self.memory.read(self._raw_base + cqe.buf * POOL_BUF_BYTES, cqe.nbytes)
        self._repost(self._raw_base, cqe.buf, self._raw_posts)
        if cqe.status != Status.OK:
            return  # the frame is lost, as on the wire; only its buffer came back
        if (ends := fragment_of(frame)) is not None:
            for connection in self._by_id.values():
                connection.activity.fragments += comes_over(connection.path.const, ends)
        if not self._urgent.keeps(frame):
            self._pass_up([frame])

    def _pass_up(self, frames: list[bytes]) -> None:
        self.flush_up()
        for frame in frames:
            self.adapter.indicate_raw(self._handle, frame)

    def _repost(self, base: int, index: int, posts: list[int]) -> None:
        """Poison a pool or raw buffer and queue it for the device."""
        self.memory.write(base + index * POOL_BUF_BYTES, bytes([POISON]) * POOL_BUF_BYTES)
        posts.append(index)
