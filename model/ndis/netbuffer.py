"""NET_BUFFER_LIST, NET_BUFFER and MDL with real scatter-gather and ownership (NDIS sheet, 3.10).

All lengths and offsets are bytes; addresses are bus addresses. Every access to data or status names
who makes it: touching a list one does not own raises, since that is a contract breach on hardware.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

from model.ndis.enums import NblInfo
from model.ndis.memory import PAGE_SIZE, HostMemory, PageAllocator, Region
from model.ndis.status import NdisStatus


class Owner(Enum):
    """Who may touch a NET_BUFFER_LIST now."""

    HOST = "host"
    TARGET = "target"


class OwnershipError(Exception):
    """Somebody touched a NET_BUFFER_LIST that belongs to the other side."""


class NetBufferError(Exception):
    """A NET_BUFFER was asked for bytes it does not have."""


@dataclass(frozen=True)
class Mdl:
    """One memory descriptor list: ``byte_count`` bytes over a list of physical pages."""

    region: Region

    @property
    def byte_count(self) -> int:
        """Bytes described."""
        return self.region.length

    def pieces(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        """(address, bytes) of [offset, offset+length), one a page."""
        skip, left = offset, length
        for addr, n in self.region.pieces():
            if left == 0:
                return
            if skip >= n:
                skip -= n
                continue
            take = min(n - skip, left)
            yield addr + skip, take
            left -= take
            skip = 0


@dataclass(eq=False)
class NetBuffer:
    """A window of ``data_length`` bytes, ``data_offset`` bytes into a chain of MDLs."""

    mdl_chain: tuple[Mdl, ...]
    data_offset: int = 0
    data_length: int = 0
    #: Index in ``mdl_chain`` of the first MDL in use, and the data's offset in it.
    current_mdl: int = field(init=False, default=0)
    current_mdl_offset: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        room = sum(m.byte_count for m in self.mdl_chain)
        if self.data_offset < 0 or self.data_length < 0:
            raise NetBufferError("data offset and length must not be negative")
        if self.data_offset + self.data_length > room:
            raise NetBufferError(f"{self.data_length} bytes at offset {self.data_offset} do not fit {room} MDL bytes")
        self._locate()

    def _locate(self) -> None:
        index, offset = 0, self.data_offset
        while index < len(self.mdl_chain) and offset >= self.mdl_chain[index].byte_count:
            offset -= self.mdl_chain[index].byte_count
            index += 1
        self.current_mdl, self.current_mdl_offset = index, offset

    def advance(self, delta: int) -> None:
        """Move the data start by ``delta`` bytes (see ndis_advance_net_buffer_data_start)."""
        if not 0 <= delta <= self.data_length:
            raise NetBufferError(f"cannot advance {delta} of {self.data_length} bytes")
        self.data_offset += delta
        self.data_length -= delta
        self._locate()

    def elements(self, offset: int | None = None, length: int | None = None) -> Iterator[tuple[int, int]]:
        """Scatter-gather elements (address, bytes); default: the data as it stands.

        ``offset`` counts from the start of the MDL chain, as ``data_offset`` does.
        """
        skip = self.data_offset if offset is None else offset
        left = self.data_length if length is None else length
        for mdl in self.mdl_chain:
            if left == 0:
                return
            if skip >= mdl.byte_count:
                skip -= mdl.byte_count
                continue
            take = min(mdl.byte_count - skip, left)
            yield from mdl.pieces(skip, take)
            left -= take
            skip = 0


def ndis_advance_net_buffer_data_start(net_buffer: NetBuffer, delta: int, free_mdl: bool = False) -> None:
    """NdisAdvanceNetBufferDataStart; the chimney never frees MDLs (``free_mdl`` FALSE)."""
    if free_mdl:
        raise NetBufferError("the chimney calls NdisAdvanceNetBufferDataStart with FreeMdl FALSE")
    net_buffer.advance(delta)


@dataclass(eq=False)
class NetBufferList:
    """A NET_BUFFER_LIST. Two lists are equal only if they are the same object."""

    net_buffers: list[NetBuffer]
    next: NetBufferList | None = None
    owner: Owner = Owner.HOST
    info: dict[NblInfo, int] = field(default_factory=dict)
    miniport_reserved: object = None
    protocol_reserved: object = None
    source_handle: object = None
    context: object = None
    _status: NdisStatus | None = None

    def require(self, actor: Owner) -> None:
        """Raise unless ``actor`` owns the list."""
        if self.owner is not actor:
            raise OwnershipError(
                f"the {actor.value} touched a NET_BUFFER_LIST owned by the {self.owner.value}: "
                "a list may be used only between receiving it and handing it on"
            )

    def hand_over(self, giver: Owner, taker: Owner) -> None:
        """Ownership passes from ``giver`` to ``taker``."""
        self.require(giver)
        self.owner = taker

    @property
    def first_net_buffer(self) -> NetBuffer:
        """FirstNetBuffer."""
        return self.net_buffers[0]

    @property
    def status(self) -> NdisStatus | None:
        """Completion status; None until somebody wrote one."""
        return self._status

    def set_status(self, actor: Owner, status: NdisStatus) -> None:
        """Write ``Status``."""
        self.require(actor)
        self._status = status

    @property
    def data_length(self) -> int:
        """Data bytes of all NET_BUFFERs."""
        return sum(nb.data_length for nb in self.net_buffers)

    @property
    def bytes_transferred(self) -> int:
        """Content of the TcpOffloadBytesTransferred slot (0 if never written)."""
        return self.info.get(NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED, 0)

    @property
    def no_push(self) -> bool:
        """TcpReceiveNoPush: True = nonpush receive request."""
        return bool(self.info.get(NblInfo.TCP_RECEIVE_NO_PUSH, 0))

    @property
    def prefilled(self) -> int:
        """TcpReceiveBytesTransferred: bytes that the buffer of a push-mode request holds in front of its data."""
        return self.info.get(NblInfo.TCP_RECEIVE_BYTES_TRANSFERRED, 0)

    def elements(self) -> Iterator[tuple[int, int]]:
        """Scatter-gather elements of the data of all NET_BUFFERs, in order."""
        for nb in self.net_buffers:
            yield from nb.elements()

    def read(self, actor: Owner, memory: HostMemory) -> bytes:
        """The data as it stands."""
        self.require(actor)
        return b"".join(memory.read(addr, n) for addr, n in self.elements())

    def write(self, actor: Owner, memory: HostMemory, data: bytes, offset: int = 0) -> None:
        """Store ``data`` from ``offset`` bytes into the data on."""
        self.require(actor)
        if offset + len(data) > self.data_length:
            raise NetBufferError(f"{len(data)} bytes at {offset} do not fit {self.data_length} bytes of data")
        scatter(memory, slice_elements(self.elements(), offset, len(data)), data)

    def complete(self, actor: Owner, status: NdisStatus, transferred: int) -> None:
        """What a target writes before it returns a list: status, count, advance of each NB.

        ``transferred`` bytes are taken from the NET_BUFFERs in order (CH-104, CH-136, CH-178).
        """
        self.set_status(actor, status)
        self.info[NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED] = transferred
        left = transferred
        for nb in self.net_buffers:
            delta = min(left, nb.data_length)
            ndis_advance_net_buffer_data_start(nb, delta)
            left -= delta
        if left:
            raise NetBufferError(f"{transferred} bytes transferred is {left} more than the list has")


def chain(lists: Sequence[NetBufferList]) -> NetBufferList:
    """Link lists through ``next`` and return the head."""
    if not lists:
        raise NetBufferError("a chain has at least one NET_BUFFER_LIST")
    for a, b in pairwise(lists):
        a.next = b
    lists[-1].next = None
    return lists[0]


def unchain(head: NetBufferList | None) -> list[NetBufferList]:
    """The lists of a chain, each cut loose from the next."""
    out: list[NetBufferList] = []
    while head is not None:
        out.append(head)
        head, out[-1].next = head.next, None
    return out


def iterate(head: NetBufferList | None) -> Iterator[NetBufferList]:
    """The lists of a chain, left linked."""
    while head is not None:
        yield head
        head = head.next


def slice_elements(elements: Iterator[tuple[int, int]], offset: int, length: int) -> Iterator[tuple[int, int]]:
    """The part [offset, offset+length) of a scatter-gather list."""
    skip, left = offset, length
    for addr, n in elements:
        if left == 0:
            return
        if skip >= n:
            skip -= n
            continue
        take = min(n - skip, left)
        yield addr + skip, take
        left -= take
        skip = 0


def scatter(memory: HostMemory, elements: Iterator[tuple[int, int]], data: bytes) -> None:
    """Store ``data`` over scatter-gather elements."""
    at = 0
    for addr, n in elements:
        memory.write(addr, data[at : at + n])
        at += n
    if at < len(data):
        raise NetBufferError(f"{len(data) - at} bytes more than the elements take")


@dataclass(frozen=True)
class BufferShape:
    """How buffers are cut. All sizes in bytes, ranges inclusive."""

    max_net_buffers: int = 3
    max_mdls: int = 4
    #: Largest unused head and tail of an MDL chain.
    max_slack: int = 64
    #: Offset of an MDL in its first page: any, or a multiple of this.
    alignment: int = 1


def split_sizes(total: int, parts: int, rng: random.Random) -> list[int]:
    """Cut ``total`` into at most ``parts`` positive sizes at random places."""
    parts = max(1, min(parts, total))
    cuts = sorted(rng.sample(range(1, total), parts - 1)) if total > 1 else []
    edges = [0, *cuts, total]
    return [b - a for a, b in pairwise(edges)]


def allocate_net_buffer(
    allocator: PageAllocator, length: int, shape: BufferShape, rng: random.Random, *, filled: bool = False
) -> NetBuffer | None:
    """A NET_BUFFER with room for ``length`` bytes, MDLs of random sizes at random offsets.

    ``filled``: it is for data to send. None if the allocator has not enough pages (nothing is kept then).
    """
    head = rng.randint(0, shape.max_slack)
    tail = rng.randint(0, shape.max_slack)
    room = max(1, head + length + tail)
    mdls: list[Mdl] = []
    for size in split_sizes(room, rng.randint(1, shape.max_mdls), rng):
        offset = rng.randrange(0, PAGE_SIZE, shape.alignment)
        region = allocator.allocate(size, offset, filled=filled)
        if region is None:
            for mdl in mdls:
                allocator.free(mdl.region)
            return None
        mdls.append(Mdl(region))
    return NetBuffer(tuple(mdls), data_offset=head, data_length=length)


def build_net_buffer_list(
    allocator: PageAllocator,
    memory: HostMemory,
    data: bytes,
    shape: BufferShape,
    rng: random.Random,
) -> NetBufferList | None:
    """A host-owned list that holds ``data`` in NET_BUFFERs and MDLs of mixed size and alignment."""
    buffers: list[NetBuffer] = []
    for size in split_sizes(len(data), rng.randint(1, shape.max_net_buffers), rng):
        nb = allocate_net_buffer(allocator, size, shape, rng, filled=True)
        if nb is None:
            for other in buffers:
                free_net_buffer(allocator, other)
            return None
        buffers.append(nb)
    nbl = NetBufferList(buffers)
    nbl.write(Owner.HOST, memory, data)
    return nbl


def free_net_buffer(allocator: PageAllocator, nb: NetBuffer) -> None:
    """Give the pages of a NET_BUFFER back (poisoned by the allocator)."""
    for mdl in nb.mdl_chain:
        allocator.free(mdl.region)


def free_net_buffer_list(allocator: PageAllocator, nbl: NetBufferList) -> None:
    """Give the pages of a host-owned list back."""
    nbl.require(Owner.HOST)
    for nb in nbl.net_buffers:
        free_net_buffer(allocator, nb)
