"""Whole sessions over IPv6 on the golden device: bad network, path MTU, updates, tags, both versions side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from model.device import statistics, txpath
from model.ndis.enums import OffloadStateType, TcpCachedFlags
from model.ndis.framing import Endpoint
from model.ndis.host_state import StateRequest
from model.ndis.offload_state import PathCached
from model.ndis.registration import IpOffloadStats, Oid, TcpOffloadStats
from model.ndis.status import NdisStatus
from model.tcp import step
from model.wire.frame import Ipv6Header, ParsedFrame, SegmentFields, build_segment, parse_frame
from tb.config import RunConfig
from tb.contract.wire import ContractNetwork, FarApp
from tb.device.model_loop import ModelRun
from tb.peers.tcp_peer import PeerConfig
from tb.session import summary
from tb.session.network import FIRST_LOCAL_PORT, PEER_ADDRESS, PEER_MAC, PEER_PORT
from tb.session.transfer import Transfer
from tb.tests.model.test_ndis_on_golden import Scripted

OFFLOADED_HALF = 0x8000


def config(tmp_path: Path, seed: int, **changes: object) -> RunConfig:
    """A short session over IPv6."""
    base = RunConfig(device="model", size=120_000, conns=2, seed=seed, delay=3, out=tmp_path, family=6)
    return replace(base, **changes)  # type: ignore[arg-type]


def watch(run: ModelRun) -> list[ParsedFrame]:
    """Everything that the NIC sends from now on."""
    frames: list[ParsedFrame] = []
    sent = run.transfer.network.from_nic

    def from_nic(frame: bytes, tick: int) -> None:
        frames.append(parse_frame(frame))
        sent(frame, tick)

    run.transfer.network.from_nic = from_nic  # type: ignore[method-assign]
    return frames


def ip6(frame: ParsedFrame) -> Ipv6Header:
    """The IPv6 header of a frame that must have one."""
    assert frame.ip6 is not None
    return frame.ip6


@pytest.mark.rule("RFC 8200", "CH-016", "CH-116")
@pytest.mark.parametrize("seed", [1, 2])
def test_a_session_over_a_bad_network_is_byte_exact_and_every_frame_is_ipv6(tmp_path: Path, seed: int) -> None:
    impaired = config(tmp_path, seed, loss=0.02, reorder=0.02, dup=0.01, corrupt=0.02, ecn=True, mark=0.03)
    run = ModelRun(impaired, capture=tmp_path / "wire.pcapng")
    frames = watch(run)
    assert run.run() == []
    run.transfer.network.close()
    assert summary.verdict(run.transfer) == []
    assert frames
    assert all(frame.ip is None and frame.ip6 is not None for frame in frames)
    labels = [app.config.tcp.flow_label for app in run.transfer.apps]
    assert {ip6(frame).flow_label for frame in frames} == set(labels)
    assert run.transfer.network.retransmissions > 0


@pytest.mark.rule("CH-122", "RFC 8200 5")
def test_a_path_mtu_that_falls_to_1280_with_data_in_flight_holds_for_everything_behind_it(tmp_path: Path) -> None:
    done: list[StateRequest] = []

    def script(run: Scripted) -> bool:
        tcbs = run.device.core.tcbs
        if not done and run.at_work and any(tcb.snd_max != tcb.snd_una for tcb in tcbs):
            done.append(run.transfer.host.state.update([(run.path, PathCached(1280))]))
        return bool(done)

    run = Scripted(config(tmp_path, 3, loss=0.01), script)
    frames = watch(run)
    before = 0

    def completed() -> int:
        return len(frames) if done and done[0].completed else 0

    advance = run.transfer.on_tick

    def on_tick(tick: int) -> None:
        nonlocal before
        advance(tick)
        before = before or completed()

    run.transfer.on_tick = on_tick  # type: ignore[method-assign]
    run.to_the_end()
    assert done[0].statuses == [NdisStatus.SUCCESS]
    sizes = [40 + ip6(frame).payload_length for frame in frames]
    assert max(sizes[:before]) == 1500
    assert max(sizes[before + 20 :]) == 1280


@pytest.mark.rule("CH-072", "CH-080")
def test_flow_label_traffic_class_and_hop_limit_change_by_an_update(tmp_path: Path) -> None:
    done: list[StateRequest] = []

    def script(run: Scripted) -> bool:
        if not done and run.at_work:
            wanted = {"flow_label": 0xABCDE, "tos_or_traffic_class": 0xB8, "ttl_or_hop_limit": 9}
            flags = TcpCachedFlags.UPDATE_RCV_WND
            changes = [(c, replace(c.cached, flags=flags, **wanted)) for c in run.connections]
            done.append(run.transfer.host.state.update(changes))
        return bool(done)

    run = Scripted(config(tmp_path, 4), script)
    frames = watch(run)
    run.to_the_end()
    assert done[0].statuses == [NdisStatus.SUCCESS] * 2
    changed = [frame for frame in frames if ip6(frame).flow_label == 0xABCDE]
    assert len(changed) > 20
    assert {(ip6(frame).traffic_class, ip6(frame).hop_limit) for frame in changed} == {(0xB8, 9)}


class SideBySide(Transfer):
    """Every other connection is over IPv6, between the same ports as the one before it."""

    def ends(self, number: int) -> tuple[Endpoint, int]:
        """IPv4 for the even ones."""
        return Endpoint(PEER_MAC, PEER_ADDRESS[6 if number % 2 else 4], PEER_PORT), FIRST_LOCAL_PORT + number // 2

    def peer_data(self) -> bytes:
        """The echoes come in the order of the applications, which is that of their SYNs."""
        return b"".join(bytes(echo.received) for echo in self.echoes)


class SideBySideRun(ModelRun):
    """A session of pairs."""

    transfer_type = SideBySide


@pytest.mark.rule("hostport 8", "CH-015", "CH-016")
def test_connections_of_the_same_ports_over_both_versions_live_side_by_side(tmp_path: Path) -> None:
    run = SideBySideRun(config(tmp_path, 5, conns=4, family=4))
    frames = watch(run)
    assert run.run() == []
    assert summary.verdict(run.transfer) == []
    paths = {app.connection.path.type for app in run.transfer.apps if app.connection is not None}
    assert paths == {OffloadStateType.IP4, OffloadStateType.IP6}
    ports = [
        {f.tcp.source_port for f in frames if f.tcp is not None and (f.ip6 is None) is ipv4} for ipv4 in (True, False)
    ]
    assert ports == [{FIRST_LOCAL_PORT, FIRST_LOCAL_PORT + 1}] * 2
    answers = {request.oid: request.buffer for request in run.transfer.statistics._asked[-4:]}
    for oid in (Oid.TCP4_OFFLOAD_STATS, Oid.TCP6_OFFLOAD_STATS):
        found = answers[oid]
        assert isinstance(found, TcpOffloadStats)
        assert found.in_segments > 0
    four, six = answers[Oid.IP4_OFFLOAD_STATS], answers[Oid.IP6_OFFLOAD_STATS]
    assert isinstance(four, IpOffloadStats)
    assert isinstance(six, IpOffloadStats)
    offloaded = [f for f in frames if f.ip is None or f.ip.identification >= OFFLOADED_HALF]
    assert four.out_octets == sum(f.ip.total_length for f in offloaded if f.ip is not None)
    assert 0 < six.out_octets <= sum(40 + ip6(f).payload_length for f in offloaded if f.ip6 is not None)


def test_random_sessions_draw_a_quarter_of_their_connections_over_ipv6_unless_told(tmp_path: Path) -> None:
    def share(**changes: object) -> float:
        network = ContractNetwork(config(tmp_path, 7, **changes), lambda _: FarApp(), PeerConfig(), None)
        return sum(network.over_ipv6(port) for port in range(40_000, 41_000)) / 1000

    assert 0.2 < share() < 0.3
    assert share(given=("FAMILY",)) == 1
    assert share(given=("FAMILY",), family=4) == 0


# ---- what is wrong over IPv6 is seen


def _broken_builder(monkeypatch: pytest.MonkeyPatch, **changes: int) -> None:
    """The device builds every frame with other header fields."""
    monkeypatch.setattr(txpath, "build_segment", lambda fields, pad: build_segment(replace(fields, **changes), pad=pad))


def _broken_bytes(monkeypatch: pytest.MonkeyPatch, at: int, mask: int) -> None:
    """The device flips bits of every frame."""

    def build(fields: SegmentFields, pad: bool) -> bytes:
        frame = bytearray(build_segment(fields, pad=pad))
        frame[at] ^= mask
        return bytes(frame)

    monkeypatch.setattr(txpath, "build_segment", build)


def _small_path(run: ModelRun) -> None:
    run.transfer.host.config = replace(run.transfer.host.config, path_mtu=1280)


BREAKS: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None], Callable[[ModelRun], None]]] = {
    "another flow label": ("contract: CH-030", lambda m: _broken_builder(m, flow_label=0x1BAD1), lambda _: None),
    "another hop limit": ("contract: CH-030", lambda m: _broken_builder(m, ttl=3), lambda _: None),
    "another traffic class": ("contract: CH-030", lambda m: _broken_builder(m, tos=0x44), lambda _: None),
    "an upper half of an address": ("wire: MUST-2", lambda m: _broken_bytes(m, 23, 0x10), lambda _: None),
    "segments for IPv4": (
        "contract: CH-122", lambda m: m.setattr(step, "IPV6_TCP_HEADER_BYTES", step.IP_TCP_HEADER_BYTES), _small_path,
    ),
    "counted for IPv4": ("contract: CH-01", lambda m: m.setitem(statistics._BASE, 6, 0), lambda _: None),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_device_that_does_it_wrong_over_ipv6_is_found(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, breaks, prepare = BREAKS[name]
    breaks(monkeypatch)
    run = ModelRun(config(tmp_path, 6, conns=1, size=20_000))
    prepare(run)
    for _ in range(3000):
        if run.transfer.done:
            break
        run._settle()
        run.device.tick()
        run.transfer.on_tick(run.tick)
    assert [line for line in run.transfer.problems() if line.startswith(expected)]


def test_the_sound_device_over_a_small_path_has_no_finding(tmp_path: Path) -> None:
    run = ModelRun(config(tmp_path, 6, conns=1, size=20_000))
    _small_path(run)
    assert run.run() == []
    assert summary.verdict(run.transfer) == []
