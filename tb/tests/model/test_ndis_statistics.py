"""The statistics OIDs in the drivers: base lines, reads that take time, drivers between (NDIS sheet, 2.15, 3.9)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.layout.generated import Csr
from model.ndis.intermediate import stack_intermediates
from model.ndis.memory import FlatMemory
from model.ndis.miniport import DriverConfig
from model.ndis.miniport_statistics import StatisticsRequests
from model.ndis.registration import IpOffloadStats, Oid, OidRequest, TcpOffloadStats
from model.ndis.status import NdisStatus
from tb.tests.model.ndis_bench import Bench
from tb.tests.model.ndis_fake_device import FakeDevice
from tb.tests.model.test_ndis_multiplexer import MuxBench

TCP4, IP4 = Oid.TCP4_OFFLOAD_STATS, Oid.IP4_OFFLOAD_STATS
REGISTERS = {
    Csr.ST4_IN_SEGMENTS_LO: 0x11,
    Csr.ST4_IN_SEGMENTS_HI: 0x1,
    Csr.ST4_IN_RECEIVES_LO: 0x12,
    Csr.ST4_IN_RECEIVES_HI: 0x2,
    Csr.ST4_IN_OCTETS_LO: 0x13,
    Csr.ST4_IN_OCTETS_HI: 0x3,
    Csr.ST4_OUT_SEGMENTS_LO: 0x14,
    Csr.ST4_OUT_SEGMENTS_HI: 0x4,
    Csr.ST4_OUT_REQUESTS_LO: 0x15,
    Csr.ST4_OUT_REQUESTS_HI: 0x5,
    Csr.ST4_OUT_OCTETS_LO: 0x16,
    Csr.ST4_OUT_OCTETS_HI: 0x6,
    Csr.ST4_RETRANSMITTED: 0x17,
    Csr.ST4_OUT_RESETS: 0x18,
    Csr.ST4_RESET_ESTABLISHED: 0x19,
    Csr.ST4_ESTABLISHED: 0x1A,
    Csr.ST4_OUT_DISCARDS: 0x1B,
}
TCP_SEEN = TcpOffloadStats(
    in_segments=0x1_0000_0011,
    out_segments=0x4_0000_0014,
    currently_established=0x1A,
    reset_established=0x19,
    retransmitted_segments=0x17,
    out_resets=0x18,
)
IP_SEEN = IpOffloadStats(
    in_receives=0x2_0000_0012,
    in_octets=0x3_0000_0013,
    in_delivers=0x2_0000_0012,
    out_requests=0x5_0000_0015,
    out_octets=0x6_0000_0016,
    out_discards=0x1B,
)


class Desk:
    """The requests of one driver over a device whose registers are set by hand; ``done``: completed later."""

    def __init__(self, *, slow: bool = False) -> None:
        self.device = FakeDevice(FlatMemory(4096))
        self.device.regs |= {int(r): value for r, value in REGISTERS.items()}
        self.device.reads = deque() if slow else None
        self.done: list[OidRequest] = []
        self.statuses: list[NdisStatus] = []
        self.requests = StatisticsRequests(self.device, self._completed)

    def _completed(self, request: OidRequest, status: NdisStatus) -> None:
        self.done.append(request)
        self.statuses.append(status)

    def ask(self, oid: Oid) -> TcpOffloadStats | IpOffloadStats:
        """A query that is answered at once."""
        request = OidRequest(oid)
        assert self.requests.request(request) is NdisStatus.SUCCESS
        assert isinstance(request.buffer, TcpOffloadStats | IpOffloadStats)
        return request.buffer

    def zero(self, oid: Oid) -> None:
        """A set that is done at once."""
        assert self.requests.request(OidRequest(oid, set=True)) is NdisStatus.SUCCESS

    def later(self, oid: Oid, *, zero: bool = False) -> OidRequest:
        """A request whose answer takes time."""
        request = OidRequest(oid, set=zero)
        assert self.requests.request(request) is NdisStatus.PENDING
        return request


@pytest.mark.rule("CH-016", "CH-017", "CH-018", "CH-019")
def test_each_field_is_its_register_and_what_belongs_to_no_connection_is_zero() -> None:
    desk = Desk()
    assert desk.ask(TCP4) == TCP_SEEN
    assert desk.ask(IP4) == IP_SEEN
    assert desk.done == []


@pytest.mark.rule("CH-015")
@pytest.mark.parametrize("oid", [TCP4, IP4])
def test_a_set_zeroes_the_counters_of_its_oid_but_not_the_number_of_connections(oid: Oid) -> None:
    desk = Desk()
    desk.zero(oid)
    assert desk.ask(TCP4) == (TcpOffloadStats(currently_established=0x1A) if oid is TCP4 else TCP_SEEN)
    assert desk.ask(IP4) == (IpOffloadStats() if oid is IP4 else IP_SEEN)
    for register in REGISTERS:
        desk.device.regs[register] += 1
    wide = 1 << 32 | 1
    assert desk.ask(oid) == (
        TcpOffloadStats(wide, wide, 0x1B, 1, 1, 0, 1)
        if oid is TCP4
        else IpOffloadStats(wide, wide, wide, wide, wide, out_discards=1)
    )


@pytest.mark.rule("CH-015")
@pytest.mark.parametrize("oid", [Oid.TCP6_OFFLOAD_STATS, Oid.IP6_OFFLOAD_STATS])
def test_a_set_of_the_other_ip_version_changes_nothing(oid: Oid) -> None:
    desk = Desk()
    desk.zero(oid)
    assert desk.ask(oid) in (TcpOffloadStats(), IpOffloadStats())
    assert (desk.ask(TCP4), desk.ask(IP4)) == (TCP_SEEN, IP_SEEN)


@pytest.mark.rule("CH-015")
@given(base=st.integers(0, (1 << 64) - 1), grown=st.integers(0, (1 << 64) - 1))
def test_what_was_counted_since_the_set_is_right_over_a_wrap(base: int, grown: int) -> None:
    desk = Desk()
    for value in (base, base + grown):
        desk.device.regs[Csr.ST4_IN_SEGMENTS_LO] = value % (1 << 32)
        desk.device.regs[Csr.ST4_IN_SEGMENTS_HI] = (value >> 32) % (1 << 32)
        desk.device.regs[Csr.ST4_RETRANSMITTED] = value % (1 << 32)
        if value == base:
            desk.zero(TCP4)
    seen = desk.ask(TCP4)
    assert isinstance(seen, TcpOffloadStats)
    assert (seen.in_segments, seen.retransmitted_segments) == (grown, grown % (1 << 32))


@pytest.mark.rule("CH-015")
def test_requests_behind_each_other_are_served_in_order_when_reads_take_time() -> None:
    desk = Desk(slow=True)
    requests = [desk.later(TCP4), desk.later(TCP4, zero=True), desk.later(TCP4), desk.later(IP4)]
    assert desk.done == []
    desk.device.answer_reads()
    assert desk.done == requests
    first, _, behind, other = (request.buffer for request in requests)
    assert (first, behind, other) == (TCP_SEEN, TcpOffloadStats(currently_established=0x1A), IP_SEEN)


@pytest.mark.rule("CH-015")
def test_a_request_from_inside_a_completion_is_served_behind_those_that_wait() -> None:
    desk = Desk(slow=True)
    again = OidRequest(TCP4)
    done: list[OidRequest] = []

    def completed(request: OidRequest, status: NdisStatus) -> None:
        assert status is NdisStatus.SUCCESS
        done.append(request)
        if len(done) == 1:
            assert desk.requests.request(again) is NdisStatus.PENDING

    desk.requests = StatisticsRequests(desk.device, completed)
    requests = [desk.later(TCP4), desk.later(TCP4, zero=True)]
    desk.device.answer_reads()
    assert done == [*requests, again]
    assert (requests[0].buffer, again.buffer) == (TCP_SEEN, TcpOffloadStats(currently_established=0x1A))
    again, alone = OidRequest(IP4), desk.later(IP4)
    done.clear()
    desk.device.answer_reads()
    assert done == [alone, again]
    assert (alone.buffer, again.buffer) == (IP_SEEN, IP_SEEN)


@pytest.mark.rule("CH-016")
def test_a_counter_that_carries_between_its_reads_is_read_again_and_the_others_are_not() -> None:
    desk = Desk(slow=True)
    regs, reads = desk.device.regs, desk.device.reads
    assert reads is not None
    request = desk.later(TCP4)
    offsets, done = reads.popleft()
    values = [regs[offset] for offset in offsets]
    first_high = offsets.index(Csr.ST4_IN_SEGMENTS_HI)
    assert offsets[first_high : first_high + 3] == (
        Csr.ST4_IN_SEGMENTS_HI,
        Csr.ST4_IN_SEGMENTS_LO,
        Csr.ST4_IN_SEGMENTS_HI,
    )
    values[first_high : first_high + 3] = [0, 0xFFFF_FFFF, 1]
    done(values)
    assert desk.done == []
    assert [offsets for offsets, _ in reads] == [
        (Csr.ST4_IN_SEGMENTS_HI, Csr.ST4_IN_SEGMENTS_LO, Csr.ST4_IN_SEGMENTS_HI)
    ]
    desk.device.answer_reads()
    assert desk.done == [request]
    assert request.buffer == TCP_SEEN


def test_registers_that_are_not_read_in_time_fail_their_requests_and_late_values_count_for_nobody() -> None:
    desk = Desk(slow=True)
    first, second = desk.later(TCP4, zero=True), desk.later(IP4)
    assert not desk.requests.give_up(1000, 300)
    assert not desk.requests.give_up(1299, 300)
    third = desk.later(TCP4)
    assert desk.requests.give_up(1300, 300)
    assert desk.done == [first, second]
    assert desk.statuses == [NdisStatus.FAILURE] * 2
    desk.device.answer_reads()
    assert desk.done == [first, second, third]
    assert (desk.statuses[-1], third.buffer) == (NdisStatus.SUCCESS, TCP_SEEN)
    assert not desk.requests.give_up(10_000, 300)


def test_the_driver_bounds_its_reads_of_registers_and_reports_what_was_not_read() -> None:
    bench = Bench(12, driver=DriverConfig(answer_ticks=300))
    while bench.target.step():
        pass
    bench.device.reads = deque()
    request = OidRequest(TCP4)
    assert bench.host.request(request) is NdisStatus.PENDING
    bench.driver.on_tick(1)
    bench.driver.on_tick(300)
    assert bench.host.pending(request)
    bench.driver.on_tick(301)
    assert bench.host.oids_completed == [(request, NdisStatus.FAILURE)]
    assert bench.driver.reports == ["the registers of TCP4_OFFLOAD_STATS were not read in time"]


@pytest.mark.rule("CH-015")
def test_a_reset_of_the_device_takes_the_base_lines_with_it() -> None:
    desk = Desk()
    desk.zero(TCP4)
    desk.device.regs |= dict.fromkeys(map(int, REGISTERS), 0)
    desk.requests.restart()
    assert desk.ask(TCP4) == TcpOffloadStats()
    desk.device.regs[Csr.ST4_OUT_RESETS] = 1
    assert desk.ask(TCP4) == TcpOffloadStats(out_resets=1)


@pytest.mark.rule("CH-015")
def test_what_was_read_before_a_reset_is_not_taken_for_what_is_behind_it() -> None:
    desk = Desk(slow=True)
    reads = desk.device.reads
    assert reads is not None
    desk.later(TCP4, zero=True)
    offsets, done = reads.popleft()
    values = [desk.device.regs[offset] for offset in offsets]
    desk.device.regs |= dict.fromkeys(map(int, REGISTERS), 0)
    desk.requests.restart()
    done(values)
    asked = desk.later(TCP4)
    desk.device.answer_reads()
    assert asked.buffer == TcpOffloadStats()


def test_every_register_that_was_read_is_shown() -> None:
    desk = Desk()
    shown: list[tuple[int, int]] = []
    desk.requests.on_read = lambda offset, value: shown.append((offset, value))
    desk.ask(TCP4)
    desk.ask(IP4)
    assert set(shown) == {(int(r), value) for r, value in REGISTERS.items()}


# ---- through the driver and others


def held(device: FakeDevice) -> Callable[[], None]:
    """Registers by hand, reads that take time; the function brings them back."""
    device.regs |= {int(r): value for r, value in REGISTERS.items()}
    device.reads = deque()
    return device.answer_reads


@pytest.mark.rule("CH-015", "CH-016")
@pytest.mark.parametrize("above", [0, 1, 3])
def test_a_pending_answer_comes_up_through_intermediate_drivers(above: int) -> None:
    bench = Bench(11, driver=DriverConfig(), between=lambda below: stack_intermediates(below, above))
    come_back = held(bench.device)
    requests = bench.host.ask_statistics()
    assert all(bench.host.pending(request) for request in requests)
    come_back()
    assert [request.buffer for request in requests] == [TCP_SEEN, TcpOffloadStats(), IP_SEEN, IpOffloadStats()]
    assert [status for _, status in bench.host.oids_completed] == [NdisStatus.SUCCESS] * 4
    assert not any(bench.host.pending(request) for request in requests)


def doubled(stats: TcpOffloadStats | IpOffloadStats) -> dict[str, int]:
    """Every counter twice."""
    return {name: 2 * value for name, value in vars(stats).items()}


@pytest.mark.rule("CH-015", "CH-016")
@pytest.mark.parametrize("slow", [(), (0,), (0, 1)])
def test_a_multiplexer_tells_the_sum_over_its_miniports_and_sets_them_all(slow: Sequence[int]) -> None:
    bench = MuxBench(15)
    while bench.target.step():
        pass
    for number, target in enumerate(bench.targets):
        held(target.device)
        if number not in slow:
            target.device.reads = None

    def all_done() -> None:
        for target in bench.targets:
            target.device.answer_reads()

    tcp, _, ip, _ = bench.host.ask_statistics()
    assert bench.host.pending(tcp) == bool(slow)
    all_done()
    assert isinstance(tcp.buffer, TcpOffloadStats)
    assert isinstance(ip.buffer, IpOffloadStats)
    assert (vars(tcp.buffer), vars(ip.buffer)) == (doubled(TCP_SEEN), doubled(IP_SEEN))
    zero = OidRequest(TCP4, set=True)
    bench.host.request(zero)
    all_done()
    assert not bench.host.pending(zero)
    again = OidRequest(TCP4)
    bench.host.request(again)
    all_done()
    assert again.buffer == TcpOffloadStats(currently_established=2 * 0x1A)
