"""IPv6 in the host side: software TCP, state trees, capabilities, switches, frames that the driver reads."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest

from model.layout.generated import Family
from model.ndis.enums import DELEGATED_TYPE, PATH_TYPE, OffloadStateType
from model.ndis.file_transfer import AppPhase, FileTransferApp, FileTransferConfig
from model.ndis.framing import Endpoint, Segment, decode, decode_tcp, encode
from model.ndis.host import HOST_IP6, SharedObject
from model.ndis.hoststack import HostStack, StackError
from model.ndis.images import family_of
from model.ndis.ip_packet import tcp_packet
from model.ndis.miniport import DriverConfig
from model.ndis.multiplexer import _least
from model.ndis.offload_state import OffloadBlock, PathCached, PathConst, traverse
from model.ndis.registration import (
    STATISTICS_OIDS,
    OffloadParameters,
    Oid,
    OidRequest,
    Switch,
    TcpConnectionOffload,
)
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import NdisStatus
from model.ndis.upload_policy import comes_over, fragment_of
from model.wire.frame import TcpFlag
from tb.tests.model.ndis_bench import HOST_IP, HOST_MAC, PEER, Bench

PEER_IP6 = bytes.fromhex("fd4a6b7c8d9ea0b10000000000000a02")
PEER6 = Endpoint(PEER.mac, PEER_IP6, PEER.port)
BOTH = TcpConnectionOffload(64, support_ipv6=True, support_sack=True)


def transfer(bench: Bench, remote: Endpoint, size: int = 60_000, port: int = 4000) -> FileTransferApp:
    """A file sent to the peer and back."""
    settings = FileTransferConfig(seed=port, tcp=SoftTcpConfig(flow_label=0x2_0000 + port))
    return FileTransferApp(bench.host, settings, random.Random(port).randbytes(size), remote, port)


def switch(bench: Bench, ipv4: Switch, ipv6: Switch) -> NdisStatus:
    """OID_TCP_OFFLOAD_PARAMETERS."""
    wanted = OffloadParameters(ipv4, ipv6)
    return bench.host.request(OidRequest(Oid.TCP_OFFLOAD_PARAMETERS, set=True, buffer=wanted))


def running(app: FileTransferApp) -> bool:
    """In the middle of its offload."""
    return app.phase is AppPhase.RUNNING and app.progress > 0.1


# ---- software TCP


def syn_of(remote: Endpoint, mss: int = 1460) -> Segment:
    """The SYN of an active open."""
    sent: list[bytes] = []
    stack = HostStack(HOST_MAC, HOST_IP, sent.append, ip6=HOST_IP6)
    stack.connect(remote, 4000, SoftTcpConfig(flow_label=0x54321, mss=mss), 0)
    found = decode(sent[0])
    assert found is not None
    return found


@pytest.mark.rule("RFC 9293 MUST-14", "RFC 9293 MUST-15", "MUST-16")
def test_the_software_announces_what_its_link_carries_and_takes_1220_where_nothing_is_announced() -> None:
    syn = syn_of(PEER6)
    assert (syn.mss, syn.flow_label, syn.source.ip, syn.ip_id) == (1440, 0x54321, HOST_IP6, 0)
    assert (syn_of(PEER).mss, syn_of(PEER6, mss=1000).mss) == (1460, 1000)
    for remote, least in ((PEER6, 1220), (PEER, 536)):
        sent: list[bytes] = []
        stack = HostStack(HOST_MAC, HOST_IP, sent.append, ip6=HOST_IP6)
        connection = stack.connect(remote, 4000, SoftTcpConfig(timestamps=False), 0)
        first = decode(sent[0])
        assert first is not None
        answer = Segment(first.destination, first.source, 99, first.seq + 1, TcpFlag.SYN | TcpFlag.ACK, 1000)
        stack.on_raw(encode(answer), 1)
        assert connection.tcp.send_mss == least


def test_a_host_without_an_ipv6_address_says_so_and_hears_nothing_over_it() -> None:
    sent: list[bytes] = []
    stack = HostStack(HOST_MAC, HOST_IP, sent.append)
    with pytest.raises(StackError, match="no IPv6 address"):
        stack.connect(PEER6, 4000, SoftTcpConfig(), 0)
    stray = Segment(PEER6, Endpoint(HOST_MAC, HOST_IP6, 80), 1, 1, TcpFlag.ACK, 1)
    stack.on_raw(encode(stray), 0)
    assert (sent, stack.counters.not_tcp) == ([], 1)


def test_a_segment_of_either_version_comes_back_as_it_went_and_from_its_tcp_header_alone() -> None:
    for source, destination in ((PEER6, Endpoint(HOST_MAC, HOST_IP6, 80)), (PEER, Endpoint(HOST_MAC, HOST_IP, 80))):
        one = Segment(source, destination, 7, 8, TcpFlag.ACK, 9, b"text", ts=(1, 2), tos=0x68)
        found = decode(encode(one))
        assert found == one
        again = decode_tcp(found.raw, source, destination)
        assert again is not None
        assert replace(again, tos=one.tos) == one


# ---- state trees


@pytest.mark.rule("CH-026", "NDIS sheet 3.3", "NDIS sheet 3.4")
def test_a_tree_over_ipv6_has_path_nodes_of_types_9_to_12() -> None:
    bench = Bench(3, driver=DriverConfig(), joint_terminate=1.0)
    seen: list[OffloadStateType] = []
    execute = bench.host.execute

    def note(call: object) -> None:
        root = getattr(call, "root", None)
        if isinstance(root, OffloadBlock):
            seen.extend(node.type for node in traverse(root))
        execute(call)  # type: ignore[arg-type]

    bench.host._issue = note
    app = transfer(bench, PEER6)
    bench.run()
    assert (app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data)
    types = {kind for kind in seen if kind.layer == OffloadStateType.IP6.layer}
    assert types == {OffloadStateType.IP6, OffloadStateType.IP6_DELEGATED} == {12, 11}
    assert (PATH_TYPE[16], DELEGATED_TYPE[PATH_TYPE[16]], OffloadStateType.IP6_CONST, OffloadStateType.IP6_CACHED) == (
        12, 11, 9, 10,
    )  # fmt: skip
    assert family_of(PathConst(HOST_IP6, PEER_IP6)) == Family.IPV6
    assert family_of(PathConst(HOST_IP, PEER.ip)) == Family.IPV4


@pytest.mark.rule("NDIS sheet 3.3")
@pytest.mark.parametrize(
    ("kind", "source", "destination"),
    [
        (OffloadStateType.IP4, HOST_IP6, PEER_IP6),
        (OffloadStateType.IP6, HOST_IP, PEER.ip),
        (OffloadStateType.IP6, HOST_IP6, PEER.ip),
        (OffloadStateType.IP6, HOST_IP6[:8], PEER_IP6[:8]),
    ],
)
def test_a_path_whose_addresses_do_not_fit_its_type_is_refused(
    kind: OffloadStateType, source: bytes, destination: bytes
) -> None:
    bench = Bench(4, driver=DriverConfig())
    below = bench.host._neighbor(PEER.mac)
    path = SharedObject(kind, PathConst(source, destination), PathCached(), below)
    bench.host._path = lambda *_: path  # type: ignore[method-assign]
    app = transfer(bench, PEER, 20_000)
    bench.run()
    assert app.offload_status is NdisStatus.FAILURE
    assert (app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data)


# ---- capabilities and switches


@pytest.mark.rule("CH-005", "CH-006")
def test_both_versions_are_reported_and_extension_headers_are_not() -> None:
    bench = Bench(8, driver=DriverConfig())
    assert bench.host.capabilities == BOTH
    assert not BOTH.support_ipv6_extension_headers


@pytest.mark.rule("CH-005", "NDIS sheet 2.15")
def test_a_keyword_takes_its_version_out_of_the_capabilities() -> None:
    only6 = Bench(8, driver=DriverConfig(offload_ipv4=False))
    assert only6.host.capabilities == replace(BOTH, support_ipv4=False)
    apps = transfer(only6, PEER, port=4000), transfer(only6, PEER6, port=4001)
    only6.run()
    assert [app.offload_status for app in apps] == [NdisStatus.FAILURE, NdisStatus.SUCCESS]
    assert all((app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data) for app in apps)
    none = Bench(8, driver=DriverConfig(offload_ipv4=False, offload_ipv6=False))
    assert none.host.capabilities is None


@pytest.mark.rule("CH-005", "CH-008", "CH-012", "CH-013")
def test_a_version_that_is_switched_off_takes_everything_with_it_and_the_other_is_resumed() -> None:
    bench = Bench(17, driver=DriverConfig())
    apps = [transfer(bench, PEER, 80_000, 4000), transfer(bench, PEER6, 80_000, 4001)]
    bench.run(until=lambda: all(running(app) for app in apps))
    assert switch(bench, Switch.NO_CHANGE, Switch.DISABLED) is NdisStatus.PENDING
    told: list[NdisStatus] = []
    indicated = bench.host.status_indicate

    def status_indicate(binding_context: object, code: NdisStatus, buffer: TcpConnectionOffload | None) -> None:
        assert code is not NdisStatus.OFFLOAD_RESUME or not bench.driver._contexts
        told.append(code)
        indicated(binding_context, code, buffer)

    bench.host.status_indicate = status_indicate  # type: ignore[method-assign]
    bench.run(until=lambda: NdisStatus.OFFLOAD_RESUME in told)
    assert told == [NdisStatus.OFFLOAD_PAUSE, NdisStatus.UPLOAD_ALL, NdisStatus.OFFLOAD_RESUME]
    assert bench.host.capabilities == replace(BOTH, support_ipv6=False)
    late = [transfer(bench, PEER, 20_000, 4010), transfer(bench, PEER6, 20_000, 4011)]
    bench.run()
    assert [app.offload_status for app in late] == [NdisStatus.SUCCESS, NdisStatus.FAILURE]
    assert switch(bench, Switch.ENABLED, Switch.ENABLED) is NdisStatus.PENDING
    bench.run(until=lambda: bench.host.capabilities == BOTH)
    again = transfer(bench, PEER6, 20_000, 4012)
    bench.run()
    assert again.offload_status is NdisStatus.SUCCESS
    everyone = (*apps, *late, again)
    assert all((app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data) for app in everyone)


@pytest.mark.rule("CH-008")
def test_a_path_over_a_version_that_is_off_is_refused_whatever_the_host_believes() -> None:
    bench = Bench(9, driver=DriverConfig(offload_ipv6=False))
    bench.host.capabilities = BOTH
    app = transfer(bench, PEER6, 20_000)
    bench.run()
    assert app.offload_status is NdisStatus.FAILURE
    assert (app.phase, bytes(app.sink)) == (AppPhase.DONE, app.data)


def test_a_multiplexer_offers_what_all_below_it_can() -> None:
    four, six = replace(BOTH, capacity=9, support_ipv6=False), replace(BOTH, support_ipv4=False)
    assert _least([BOTH, four]) == four
    assert _least([BOTH, BOTH]) == BOTH
    assert _least([four, six]) is None


@pytest.mark.rule("CH-015", "CH-016")
def test_the_oids_of_each_version_read_their_own_registers() -> None:
    bench = Bench(11, driver=DriverConfig())
    offsets: dict[Oid, set[int]] = {}
    for oid in STATISTICS_OIDS:
        read: list[int] = []
        bench.driver.watch_registers(lambda offset, _, read=read: read.append(offset))  # type: ignore[misc]
        assert bench.host.request(OidRequest(oid)) is NdisStatus.SUCCESS
        offsets[oid] = set(read)
    for four, six in (
        (Oid.TCP4_OFFLOAD_STATS, Oid.TCP6_OFFLOAD_STATS),
        (Oid.IP4_OFFLOAD_STATS, Oid.IP6_OFFLOAD_STATS),
    ):
        assert {offset + 0x60 for offset in offsets[four]} == offsets[six]


# ---- frames that came up


def packet6(header: int, payload: bytes, source: bytes = PEER_IP6, destination: bytes = HOST_IP6) -> bytes:
    """An Ethernet frame with an IPv6 packet."""
    fixed = struct.pack(">IHBB", 6 << 28, len(payload), header, 64)
    return HOST_MAC + PEER.mac + b"\x86\xdd" + fixed + source + destination + payload


@pytest.mark.rule("RFC 8200 4.5", "CH-204")
def test_the_driver_reads_tcp_over_ipv6_with_and_without_a_fragment_header() -> None:
    tcp = bytes(range(20))
    whole = tcp_packet(packet6(6, tcp))
    assert whole is not None
    assert (whole.source, whole.destination, whole.payload, whole.is_fragment) == (PEER_IP6, HOST_IP6, tcp, False)
    fragment = struct.pack(">BBHI", 6, 0, 0xB9 << 3 | 1, 0xDEADBEEF)
    tagged = packet6(44, fragment + tcp)
    found = tcp_packet(tagged[:12] + b"\x81\x00\x00\x07" + tagged[12:])
    assert found is not None
    assert (found.identification, found.more, found.offset, found.payload) == (0xDEADBEEF, True, 0xB9, tcp)
    atomic = tcp_packet(packet6(44, struct.pack(">BBHI", 6, 0, 0, 1) + tcp))
    assert atomic is not None
    assert not atomic.is_fragment
    for frame in (
        packet6(17, tcp),
        packet6(44, struct.pack(">BBHI", 17, 0, 1, 1)),
        packet6(0, tcp),
        packet6(6, tcp)[:53],
    ):
        assert tcp_packet(frame) is None


@pytest.mark.rule("NDIS sheet 2.12")
def test_a_fragment_over_ipv6_counts_for_the_path_between_its_ends() -> None:
    ends = fragment_of(packet6(44, struct.pack(">BBHI", 6, 0, 1, 7) + bytes(8)))
    assert ends == (PEER_IP6, HOST_IP6)
    assert comes_over(PathConst(HOST_IP6, PEER_IP6), ends)
    assert not comes_over(PathConst(HOST_IP6, HOST_IP6), ends)
    assert fragment_of(packet6(6, bytes(20))) is None
