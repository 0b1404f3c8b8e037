"""NET_BUFFER_LISTs: scatter-gather, advance, ownership, and the memory behind them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.ndis.enums import NblInfo
from model.ndis.memory import PAGE_SIZE, POISON, FlatMemory, MemoryRangeError, PageAllocator
from model.ndis.netbuffer import (
    BufferShape,
    Mdl,
    NetBuffer,
    NetBufferError,
    NetBufferList,
    Owner,
    OwnershipError,
    build_net_buffer_list,
    chain,
    free_net_buffer_list,
    ndis_advance_net_buffer_data_start,
    unchain,
)
from model.ndis.status import NdisStatus


def machine(seed: int = 1, pages: int = 256) -> tuple[FlatMemory, PageAllocator]:
    memory = FlatMemory(pages * PAGE_SIZE, base=0x10000)
    return memory, PageAllocator(memory, 0x10000, 0x10000 + pages * PAGE_SIZE, seed)


def buffer_of(allocator: PageAllocator, *mdl_bytes: int) -> NetBuffer:
    mdls = []
    for size in mdl_bytes:
        region = allocator.allocate(size, 100)
        assert region is not None
        mdls.append(Mdl(region))
    return NetBuffer(tuple(mdls), 0, sum(mdl_bytes))


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 40_000))
@settings(max_examples=60, deadline=None)
def test_a_list_gives_back_the_bytes_it_was_built_from(seed: int, size: int) -> None:
    memory, allocator = machine(seed)
    rng = random.Random(seed)
    data = rng.randbytes(size)

    nbl = build_net_buffer_list(allocator, memory, data, BufferShape(), rng)

    assert nbl is not None
    assert nbl.read(Owner.HOST, memory) == data
    assert sum(n for _, n in nbl.elements()) == size


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_no_scatter_gather_element_crosses_a_page(seed: int) -> None:
    memory, allocator = machine(seed)
    rng = random.Random(seed)
    nbl = build_net_buffer_list(allocator, memory, bytes(30_000), BufferShape(), rng)

    assert nbl is not None
    assert all(addr // PAGE_SIZE == (addr + n - 1) // PAGE_SIZE for addr, n in nbl.elements())


def test_pages_of_a_large_mdl_are_scattered_on_the_bus() -> None:
    _, allocator = machine()
    region = allocator.allocate(20 * PAGE_SIZE)

    assert region is not None
    steps = {b - a for (a, _), (b, _) in zip(region.pieces(), region.pieces()[1:], strict=False)}
    assert steps != {PAGE_SIZE}


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_advancing_drops_exactly_the_first_bytes(seed: int, share: float) -> None:
    memory, allocator = machine(seed)
    rng = random.Random(seed)
    data = rng.randbytes(5000)
    nbl = build_net_buffer_list(allocator, memory, data, BufferShape(max_net_buffers=1), rng)
    assert nbl is not None
    nb = nbl.first_net_buffer
    before = (nb.data_offset, nb.data_length)
    delta = int(share * 5000)

    ndis_advance_net_buffer_data_start(nb, delta)

    assert (nb.data_offset, nb.data_length) == (before[0] + delta, before[1] - delta)
    assert nbl.read(Owner.HOST, memory) == data[delta:]


def test_advancing_moves_the_current_mdl_and_its_offset() -> None:
    _, allocator = machine()
    nb = buffer_of(allocator, 200, 400)

    nb.advance(199)
    assert (nb.current_mdl, nb.current_mdl_offset) == (0, 199)
    nb.advance(1)
    assert (nb.current_mdl, nb.current_mdl_offset) == (1, 0)
    nb.advance(150)
    assert (nb.current_mdl, nb.current_mdl_offset) == (1, 150)


def test_a_net_buffer_cannot_be_advanced_past_its_data_nor_free_its_mdls() -> None:
    _, allocator = machine()
    nb = buffer_of(allocator, 100)

    with pytest.raises(NetBufferError):
        ndis_advance_net_buffer_data_start(nb, 101)
    with pytest.raises(NetBufferError):
        ndis_advance_net_buffer_data_start(nb, 10, free_mdl=True)


@pytest.mark.rule("CH-071")
@pytest.mark.parametrize(
    ("offset", "nbl_index", "mdl_index", "mdl_offset"),
    [(0, 0, 0, 0), (1000, 1, 1, 0), (1600, 2, 0, 200), (1800, 2, 1, 0)],
)
def test_vector_a5_a_sequence_number_lies_at_the_printed_mdl(
    offset: int, nbl_index: int, mdl_index: int, mdl_offset: int
) -> None:
    _, allocator = machine()
    lists = [NetBufferList([buffer_of(allocator, *sizes)]) for sizes in ((200, 400), (400, 400), (400, 200))]
    head = chain(lists)
    assert [nbl.data_length for nbl in unchain(head)] == [600, 800, 600]

    left, index = offset, 0
    while left >= lists[index].data_length:
        left -= lists[index].data_length
        index += 1
    nb = lists[index].first_net_buffer
    element = next(nb.elements(nb.data_offset + left, 1))

    assert index == nbl_index
    expected = nb.mdl_chain[mdl_index].region.pieces()[0][0] + mdl_offset
    assert element == (expected, 1)


@pytest.mark.rule("CH-104")
def test_vector_a6_a_partial_completion_advances_each_net_buffer_by_its_share() -> None:
    _, allocator = machine()
    lists = [
        NetBufferList([buffer_of(allocator, 500), buffer_of(allocator, 500)], owner=Owner.TARGET) for _ in range(2)
    ]

    lists[0].complete(Owner.TARGET, NdisStatus.REQUEST_ABORTED, 700)
    lists[1].complete(Owner.TARGET, NdisStatus.REQUEST_ABORTED, 0)

    assert [nb.data_length for nb in lists[0].net_buffers] == [0, 300]
    assert [nb.data_length for nb in lists[1].net_buffers] == [500, 500]
    assert lists[0].info[NblInfo.TCP_OFFLOAD_BYTES_TRANSFERRED] == 700
    assert lists[1].bytes_transferred == 0


def test_touching_a_list_of_the_other_side_raises() -> None:
    memory, allocator = machine()
    nbl = NetBufferList([buffer_of(allocator, 10)])
    nbl.hand_over(Owner.HOST, Owner.TARGET)

    with pytest.raises(OwnershipError):
        nbl.read(Owner.HOST, memory)
    with pytest.raises(OwnershipError):
        nbl.set_status(Owner.HOST, NdisStatus.SUCCESS)
    with pytest.raises(OwnershipError):
        nbl.hand_over(Owner.HOST, Owner.TARGET)
    with pytest.raises(OwnershipError):
        free_net_buffer_list(allocator, nbl)


def test_a_freed_buffer_is_poisoned_at_once_and_reported() -> None:
    memory = FlatMemory(64 * PAGE_SIZE)
    seen: list[tuple[int, int]] = []
    allocator = PageAllocator(memory, 0, 64 * PAGE_SIZE, 1, lambda addr, n: seen.append((addr, n)))
    nbl = build_net_buffer_list(allocator, memory, b"x" * 9000, BufferShape(), random.Random(1))
    assert nbl is not None
    data_pieces = list(nbl.elements())

    free_net_buffer_list(allocator, nbl)

    assert all(memory.read(addr, n) == bytes([POISON]) * n for addr, n in data_pieces)
    assert sum(n for _, n in seen) >= 9000
    assert allocator.used_pages == 0


def test_an_exhausted_allocator_keeps_nothing_of_a_failed_build() -> None:
    memory, allocator = machine(pages=4)

    assert build_net_buffer_list(allocator, memory, bytes(30_000), BufferShape(), random.Random(1)) is None
    assert allocator.used_pages == 0


def test_freeing_twice_and_leaving_the_memory_are_errors() -> None:
    memory, allocator = machine()
    region = allocator.allocate(10)
    assert region is not None
    allocator.free(region)

    with pytest.raises(MemoryRangeError):
        allocator.free(region)
    with pytest.raises(MemoryRangeError):
        memory.read(0, 1)


def test_contiguous_buffers_are_contiguous_and_aligned() -> None:
    _, allocator = machine()
    region = allocator.allocate_contiguous(5 * PAGE_SIZE, align=4 * PAGE_SIZE)

    assert region.pages == tuple(region.pages[0] + i * PAGE_SIZE for i in range(5))
    assert region.pages[0] % (4 * PAGE_SIZE) == 0
