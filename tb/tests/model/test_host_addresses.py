"""Host memory lies around a multiple of 2**32, and what the device is given lies on both sides of it and across."""

from __future__ import annotations

import pytest

from model.device.memory import GoldenMemory, GoldenMemoryError
from model.ndis.memory import FEW, NEAR_PAGES, PAGE_SIZE, PATIENCE, REGIONS, FlatMemory, MemoryRangeError, PageAllocator
from tb.config import RunConfig
from tb.device.addresses import BOUNDARY, host_base, host_pages
from tb.device.model_loop import MEMORY_BYTES, ModelRun
from tb.lockstep.trace import Image

SIZE = 4 << 20
BESIDE = (BOUNDARY - PAGE_SIZE, BOUNDARY)


def pages(seed: int) -> PageAllocator:
    return host_pages(FlatMemory(SIZE, host_base(SIZE)), SIZE, seed)


def across(first: int, size: int) -> bool:
    return first < BOUNDARY < first + size


def test_the_boundary_is_a_multiple_of_2_to_the_32_with_bits_set_above_it_on_both_sides() -> None:
    assert BOUNDARY % (1 << 32) == 0
    assert (BOUNDARY - 1) >> 48
    assert BOUNDARY >> 48
    assert host_base(MEMORY_BYTES) < BOUNDARY < host_base(MEMORY_BYTES) + MEMORY_BYTES


@pytest.mark.parametrize("seed", range(2 * REGIONS))
def test_of_the_first_regions_the_one_whose_turn_it_is_lies_across_the_boundary(seed: int) -> None:
    allocator = pages(seed)
    sizes = [5 * PAGE_SIZE + 100 * n for n in range(REGIONS)]
    found = [across(allocator.allocate_contiguous(size).pages[0], size) for size in sizes]
    assert found == [seed % 2 == 0 and n == seed // 2 for n in range(REGIONS)]


@pytest.mark.parametrize("seed", [1, 3, 9])
def test_with_an_odd_seed_data_to_send_and_buffers_to_receive_lie_across_the_boundary_by_turns(seed: int) -> None:
    allocator = pages(seed)
    starts = set()
    for _ in range(20):
        sent = allocator.allocate(3 * PAGE_SIZE, 1, filled=True)
        assert sent is not None
        assert sent.pages[:2] == BESIDE
        other = allocator.try_contiguous(3 * PAGE_SIZE)
        assert other is not None
        assert not across(other.pages[0], 3 * PAGE_SIZE)
        allocator.free(other)
        allocator.free(sent)
        received = allocator.try_contiguous(3 * PAGE_SIZE, 7)
        assert received is not None
        assert across(received.pages[0], 4 * PAGE_SIZE)
        starts.add(received.pages[0])
        allocator.free(received)
    assert len(starts) == 3


@pytest.mark.parametrize("filled", [False, True])
def test_buffers_of_one_kind_alone_lie_across_the_boundary_after_some_patience(filled: bool) -> None:
    allocator = pages(1)
    took = []
    for _ in range(3 * PATIENCE):
        region = allocator.allocate(2 * PAGE_SIZE, filled=filled)
        assert region is not None
        took.append(region.pages == BESIDE)
        allocator.free(region)
    assert took.index(True) == (0 if filled else PATIENCE)
    assert sum(took) >= 2


def test_pages_near_the_boundary_come_first_and_every_page_can_be_had() -> None:
    allocator = pages(1)
    first = [region.pages[0] for _ in range(2 * NEAR_PAGES - 2) if (region := allocator.allocate(1)) is not None]
    around = range(BOUNDARY - NEAR_PAGES * PAGE_SIZE, BOUNDARY + NEAR_PAGES * PAGE_SIZE, PAGE_SIZE)
    assert set(first) == set(around) - set(BESIDE)
    rest = allocator.allocate(allocator.free_pages * PAGE_SIZE)
    assert rest is not None
    assert len({*first, *rest.pages}) == SIZE // PAGE_SIZE
    assert allocator.free_pages == 0
    assert allocator.allocate(1) is None
    single = pages(1)
    taken = {region.pages[0] for _ in range(SIZE // PAGE_SIZE) if (region := single.allocate(1)) is not None}
    assert len(taken) == SIZE // PAGE_SIZE


def test_a_boundary_between_no_pages_of_the_range_is_refused() -> None:
    memory = FlatMemory(SIZE)
    for boundary in (0, SIZE, PAGE_SIZE + 1):
        with pytest.raises(MemoryRangeError):
            PageAllocator(memory, 0, SIZE, boundary=boundary)


def test_memory_ends_at_both_ends_for_the_host_and_for_the_device() -> None:
    base, end = host_base(128), host_base(128) + 128
    memory = GoldenMemory(bytearray(range(128)), base)
    assert memory.read(base, 128) == bytes(range(128))
    for addr, n in ((base - 1, 2), (end - 1, 2), (0, 1)):
        with pytest.raises(GoldenMemoryError):
            memory.read(addr, n)
        assert memory.device_read(addr, n) is None
    assert memory.device_read(BOUNDARY - 1, 2) == bytes((63, 64))
    assert not memory.device_write(base - 1, b"ab")
    assert not memory.device_write(end - 1, b"cd")
    assert not memory.device_write(0, b"ef")
    assert memory.device_write(BOUNDARY - 1, b"gh")
    found = bytearray(range(128))
    found[0], found[127], found[63:65] = ord("b"), ord("c"), b"gh"
    assert memory.contents == found


def test_the_image_of_a_trace_takes_what_lies_inside_and_names_pages_by_their_address() -> None:
    base = host_base(2 * PAGE_SIZE)
    image = Image(bytes(2 * PAGE_SIZE), base)
    image.host_wrote(base - 1, b"ab")
    image.device_wrote(base + 2 * PAGE_SIZE - 1, 3, int.from_bytes(b"cd", "little"), 2)
    assert (image.contents[0], image.contents[-1]) == (ord("b"), ord("c"))
    assert sum(image.contents) == ord("b") + ord("c")
    other = bytearray(image.contents)
    other[PAGE_SIZE] = 1
    assert [addr for addr, _ in image.unlike(other)] == [BOUNDARY]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_session_on_the_golden_device_moves_bytes_on_both_sides_and_across(seed: int) -> None:
    run = ModelRun(RunConfig(command="run", size=16 << 10, seed=seed, device="model"))
    seen: set[tuple[bool, bool]] = set()
    read, write = run.device.memory.device_read, run.device.memory.device_write

    def note(addr: int, n: int) -> None:
        assert addr >> 48
        seen.add((addr < BOUNDARY, addr + n > BOUNDARY))

    def device_read(addr: int, n: int) -> bytes | None:
        note(addr, n)
        return read(addr, n)

    def device_write(addr: int, data: bytes) -> bool:
        note(addr, len(data))
        return write(addr, data)

    run.device.memory.device_read = device_read  # type: ignore[method-assign]
    run.device.memory.device_write = device_write  # type: ignore[method-assign]
    assert run.run() == []
    assert {(True, False), (False, True)} <= seen
    if seed % 2:
        assert (True, True) in seen


@pytest.mark.parametrize("need", [1, 2, FEW, FEW + 1, 40])
@pytest.mark.parametrize("boundary", [None, BOUNDARY])
@pytest.mark.parametrize("seed", [1, 2])
def test_adjacent_pages_that_are_taken_leave_all_others_in_their_order(
    seed: int, boundary: int | None, need: int
) -> None:
    def left(taken: int) -> tuple[set[int], list[int]]:
        size = 200 * PAGE_SIZE
        base = BOUNDARY - size // 2
        allocator = PageAllocator(FlatMemory(size, base), base, base + size, seed, boundary=boundary)
        found = set(allocator.allocate_contiguous(taken * PAGE_SIZE).pages) if taken else set()
        others: list[int] = []
        while (one := allocator.allocate(1)) is not None:
            others += one.pages
        return found, others

    region, others = left(need)
    _, every = left(0)
    assert len(region) == need
    assert others == [page for page in every if page not in region]
