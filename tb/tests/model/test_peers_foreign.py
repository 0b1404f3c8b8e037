"""lwIP and gVisor as peers: whole sessions of the golden device with TCPs that nobody here wrote."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from model.ndis.file_transfer import AppPhase
from tb.config import RunConfig
from tb.device.model_loop import ModelRun
from tb.peers import choice
from tb.peers.built import PeerMissingError
from tb.peers.headers import ACK, RST, Damaged, Segment, checksum_ok, decode, encode_tcp
from tb.peers.neighbor import Neighbor
from tb.session.network import NIC_IP6, NIC_MAC, PEER_IP6, PEER_MAC
from tb.session.summary import verdict
from tb.testing.results import SKIP_REASONS

FOREIGN = ("lwip", "gvisor")
BOTH_VERSIONS = pytest.mark.parametrize(("peer", "family"), [(peer, family) for family in (4, 6) for peer in FOREIGN])
SMALL = RunConfig(device="model", size=64 * 1024, seed=3)
BAD = replace(SMALL, loss=0.05, reorder=0.1, dup=0.05, corrupt=0.02)


def need(peer: str) -> None:
    lack = choice.MISSING[peer]()
    if lack is not None:
        pytest.skip(lack)


def play(config: RunConfig, capture: Path | None = None) -> ModelRun:
    """A whole session; everything that judges it is content."""
    run = ModelRun(config, capture=capture)
    try:
        assert run.run() == []
    finally:
        run.transfer.network.close()
    assert verdict(run.transfer) == []
    assert [app.phase for app in run.transfer.apps] == [AppPhase.DONE] * config.conns
    return run


@BOTH_VERSIONS
def test_a_file_is_echoed_by_a_foreign_stack_byte_for_byte_without_a_retransmission(peer: str, family: int) -> None:
    need(peer)
    run = play(replace(SMALL, peer=peer, family=family, size=200_000, conns=3))
    assert run.transfer.network.retransmissions == 0
    assert run.transfer.network.peer.served == [app.local_port for app in run.transfer.apps]
    assert {len(app.remote.ip) for app in run.transfer.apps} == {{4: 4, 6: 16}[family]}


@BOTH_VERSIONS
def test_a_file_is_echoed_by_a_foreign_stack_over_a_bad_network(peer: str, family: int) -> None:
    need(peer)
    run = play(replace(BAD, peer=peer, family=family))
    assert run.transfer.network.retransmissions > 0


@BOTH_VERSIONS
def test_a_file_is_echoed_by_a_foreign_stack_though_every_third_frame_is_lost(peer: str, family: int) -> None:
    need(peer)
    play(replace(SMALL, peer=peer, family=family, size=20_000, loss=0.3, seed=2))


@BOTH_VERSIONS
def test_the_segment_size_of_a_foreign_stack_is_what_was_asked_for(peer: str, family: int) -> None:
    need(peer)
    sizes: set[int] = set()
    run = ModelRun(replace(SMALL, peer=peer, family=family, mss=300))
    network = run.transfer.network
    watched = network.watched

    def watch(frame: bytes) -> None:
        sizes.add(payload(frame))
        watched(frame, run.tick)

    run.device.on_transmit = watch
    assert run.run() == []
    network.close()
    timestamps = 12 if peer == "gvisor" else 0
    assert max(sizes) == 300 - timestamps


def payload(frame: bytes) -> int:
    segment = decode(frame)
    return len(segment.payload) if isinstance(segment, Segment) else 0


@pytest.mark.parametrize("family", [4, 6])
def test_a_session_with_gvisor_repeats_frame_for_frame(family: int, tmp_path: Path) -> None:
    need("gvisor")
    files = [tmp_path / name for name in ("one.pcapng", "two.pcapng")]
    for file in files:
        play(replace(BAD, peer="gvisor", family=family, size=30_000), file)
    first, second = (hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    assert first == second


@pytest.mark.parametrize("peer", FOREIGN)
def test_a_reset_that_nobody_called_for_is_a_violation(peer: str) -> None:
    need(peer)
    run = ModelRun(replace(SMALL, peer=peer, size=256 * 1024))
    network = run.transfer.network
    seen: list[Segment] = []
    on_frame = network.peer.on_frame

    def watch(frame: bytes, tick: int) -> list[bytes]:
        segment = decode(frame)
        assert isinstance(segment, Segment)
        seen.append(segment)
        return on_frame(frame, tick)

    network.peer.on_frame = watch  # type: ignore[method-assign]
    while len(run.transfer.apps[0].sink) < 10_000:
        run.device.tick()
        run.transfer.on_tick(run.tick)
        run._settle()
    assert network.peer.violations == []
    last = seen[-1]
    nxt = last.seq + len(last.payload) & 0xFFFF_FFFF
    on_frame(encode_tcp(replace(last, seq=nxt, flags=RST | ACK, payload=b"")), run.tick)
    network.close()
    port = run.transfer.apps[0].local_port
    assert [line for line in network.peer.violations if f"port {port}" in line and "reset" in line]


@BOTH_VERSIONS
def test_a_foreign_stack_sums_right_and_pads_short_frames(peer: str, family: int) -> None:
    need(peer)
    run = ModelRun(replace(SMALL, peer=peer, family=family, size=20_000))
    network = run.transfer.network
    entered = network.entered
    seen: list[bytes] = []

    def watch(frame: bytes, tick: int) -> None:
        seen.append(frame)
        entered(frame, tick)

    network.entered = watch  # type: ignore[method-assign]
    assert run.run() == []
    network.close()
    assert {frame[12:14] for frame in seen} == {{4: b"\x08\x00", 6: b"\x86\xdd"}[family]}
    assert not [frame for frame in seen if isinstance(decode(frame), Damaged) or len(frame) < 60]


def solicitation(target: bytes) -> bytes:
    """A stack asks where an IPv6 address is (RFC 4861, 4.3)."""
    mac, ip = PEER_MAC, PEER_IP6
    body = b"\x87\0\0\0" + bytes(4) + target + b"\x01\x01" + mac
    group = b"\x33\x33\xff" + target[-3:]
    header = b"\x60\0\0\0" + len(body).to_bytes(2, "big") + b"\x3a\xff" + ip + bytes.fromhex("ff02") + bytes(14)
    return group + mac + b"\x86\xdd" + header + body


def test_who_asks_for_the_neighbor_over_ipv6_is_answered_and_nothing_of_it_reaches_the_wire() -> None:
    neighbor = Neighbor(NIC_IP6, NIC_MAC)
    wire, (answer,) = neighbor.split([solicitation(NIC_IP6)])
    assert wire == []
    assert (answer[:6], answer[6:12], answer[12:14]) == (PEER_MAC, NIC_MAC, b"\x86\xdd")
    assert (answer[20:22], answer[22:38], answer[38:54]) == (b"\x3a\xff", NIC_IP6, PEER_IP6)
    assert answer[54:] == b"\x88\0" + answer[56:58] + b"\x60\0\0\0" + NIC_IP6 + b"\x02\x01" + NIC_MAC
    pseudo = answer[22:54] + len(answer[54:]).to_bytes(4, "big") + b"\0\0\0\x3a"
    assert checksum_ok(pseudo, answer[54:])
    assert neighbor.split([solicitation(PEER_IP6)]) == ([], [])  # for somebody else, to a group


@pytest.mark.parametrize("reason", ["no-lwip", "no-gvisor", "no-tun"])
def test_a_missing_peer_says_so_with_a_reason_of_the_closed_list_and_what_to_install(reason: str) -> None:
    text = str(PeerMissingError(reason, "nothing there", "some-package"))
    assert text.startswith(SKIP_REASONS)
    assert "apt-get install" in text
    assert "some-package" in text


def test_the_peers_that_a_run_can_name_are_those_that_can_be_made() -> None:
    from tb.config import PEERS

    assert set(PEERS) == set(choice.MISSING)
    assert choice.MISSING["python"]() is None
