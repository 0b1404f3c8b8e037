"""The Linux kernel as a peer, and curl that fetches a file from behind the chimney. No test here looks at a clock."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.ndis.file_transfer import AppPhase
from model.wire.pcapng import read_pcapng
from tb.config import RunConfig
from tb.device.model_loop import ModelRun
from tb.peers import linux_peer
from tb.peers.headers import ACK, Link, Options, Segment, encode_tcp
from tb.peers.linux_peer import LEAST_MS, SAMPLES, LinuxPeer, RoundTrips
from tb.session.http_server import ServeRun
from tb.session.summary import verdict

SMALL = RunConfig(device="model", peer="linux", size=64 * 1024, seed=5)


@pytest.fixture
def _kernel() -> None:
    lack = linux_peer.missing()
    if lack is not None:
        pytest.skip(lack)


def play(run: ModelRun) -> None:
    try:
        assert run.run() == []
        assert verdict(run.transfer) == []
        assert [app.phase for app in run.transfer.apps] == [AppPhase.DONE] * len(run.transfer.apps)
    finally:
        run.transfer.network.close()


@pytest.mark.usefixtures("_kernel")
@pytest.mark.parametrize(("loss", "family"), [(0.0, 4), (0.02, 4), (0.02, 6)])
def test_a_file_is_echoed_by_the_kernel_byte_for_byte(loss: float, family: int, tmp_path: Path) -> None:
    run = ModelRun(replace(SMALL, loss=loss, conns=2, family=family), capture=tmp_path / "wire.pcapng")
    play(run)
    kernel = run.transfer.network.peer
    assert isinstance(kernel, LinuxPeer)
    assert sorted(kernel.served) == [app.local_port for app in run.transfer.apps]
    kinds = {packet.frame[12:14] for packet in read_pcapng(tmp_path / "wire.pcapng")}
    assert kinds == {{4: b"\x08\x00", 6: b"\x86\xdd"}[family]}, "one version of IP, and nothing else on the wire"


@pytest.mark.usefixtures("_kernel")
@pytest.mark.parametrize("family", [4, 6])
def test_curl_fetches_a_file_that_the_host_serves_through_the_device(tmp_path: Path, family: int) -> None:
    run = ServeRun(replace(SMALL, out=tmp_path, command="serve", family=family))
    play(run)
    assert (tmp_path / "fetched.bin").read_bytes() == run.transfer.data


@pytest.mark.usefixtures("_kernel")
def test_the_namespace_goes_when_the_run_is_over() -> None:
    run = ModelRun(SMALL)
    kernel = run.transfer.network.peer
    assert isinstance(kernel, LinuxPeer)
    kernel.close()
    kernel.close()
    assert kernel._process.returncode is not None


def segment(sent_by_kernel: bool, seq: int, ack: int, size: int, address: bytes = bytes(4)) -> bytes:
    link = Link(bytes(6), bytes(6))
    ports = (5001, 40000) if sent_by_kernel else (40000, 5001)
    fixed = (link, address, address, *ports)
    return encode_tcp(Segment(*fixed, seq, ack, ACK, 1000, 0, Options(), bytes(size)))


@pytest.mark.parametrize("address", [bytes(4), bytes(16)], ids=["IPv4", "IPv6"])
def test_the_least_timeout_is_20_of_the_round_trips_that_were_measured(address: bytes) -> None:
    now = [0.0]
    measure = RoundTrips(lambda: now[0])
    for number in range(SAMPLES):
        assert measure.timeout_ms() is None
        seq = (0xFFFF_FF00 + 100 * number) & 0xFFFF_FFFF
        measure.sent(segment(True, seq, 7, 100, address))
        now[0] += 0.004
        measure.acknowledged(segment(False, 7, seq, 0, address))  # not of these octets
        now[0] += 0.006
        measure.acknowledged(segment(False, 7, (seq + 100) & 0xFFFF_FFFF, 0, address))
    assert measure.timeout_ms() == 200
    assert measure.timeout_ms() is None


def test_a_segment_that_was_sent_twice_is_no_measure() -> None:
    measure = RoundTrips(lambda: 0.0)
    measure.sent(segment(True, 100, 7, 50))
    measure.sent(segment(True, 100, 7, 50))
    measure.acknowledged(segment(False, 7, 150, 0))
    assert measure.samples == []


def test_the_least_timeout_has_a_floor() -> None:
    measure = RoundTrips(lambda: 0.0)
    measure.samples = [0.0] * SAMPLES
    assert measure.timeout_ms() == LEAST_MS
