"""The path with a bottleneck, and both senders over it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tb import goodput
from tb.config import RunConfig
from tb.peers import gvisor_peer, gvisor_reno
from tb.session.bottleneck import SPARED, Bottleneck, Path, drop_list

CONFIG = RunConfig(device="model", size=64 * 1024, seed=1)


def test_a_bottleneck_serves_its_rate_and_delays_by_half_a_round_trip() -> None:
    path = Path(rate=8_000_000, round_trip=20)  # a byte a microsecond
    wire = Bottleneck(path)
    for _ in range(3):
        wire.push(bytes(1000), 0)
    assert [len(wire.pop_due(tick)) for tick in (10, 11, 12, 13, 14)] == [0, 1, 1, 1, 0]
    assert wire.next_deadline() is None


def test_a_bottleneck_drops_what_does_not_fit_into_one_bandwidth_delay_product() -> None:
    wire = Bottleneck(Path(rate=8_000_000, round_trip=20))
    for _ in range(30):
        wire.push(bytes(1000), 0)
    assert wire.overflowed == 10
    assert len(wire.pop_due(1000)) == 20


def test_a_drop_list_names_the_same_frames_for_every_sender_and_spares_the_handshake() -> None:
    drops = drop_list(3, 0.5, 200)
    assert drops == drop_list(3, 0.5, 200) != drop_list(4, 0.5, 200)
    assert min(drops) >= SPARED
    wire = Bottleneck(Path(), drops)
    for number in range(200):
        wire.push(number.to_bytes(60, "big"), 1000 * number)
    arrived = {int.from_bytes(frame, "big") for frame in wire.pop_due(1 << 40)}
    assert arrived == set(range(200)) - drops
    assert wire.dropped == len(drops)


@pytest.mark.skipif(gvisor_peer.missing() is not None, reason=str(gvisor_peer.missing()))
def test_both_senders_bring_their_bytes_over_and_losses_cost_time() -> None:
    clean = replace(CONFIG, loss=0.0)
    lossy = replace(CONFIG, loss=0.1)
    ours = [goodput.device_sends(config) for config in (clean, lossy)]
    theirs = [goodput.gvisor_sends(1, bytes(CONFIG.size), config.loss) for config in (clean, lossy)]
    least = CONFIG.size * 8 * 1000 // goodput.PATH.rate + goodput.PATH.round_trip
    assert least < ours[0] < ours[1]
    assert least < theirs[0] < theirs[1]


@pytest.mark.skipif(gvisor_peer.missing() is not None, reason=str(gvisor_peer.missing()))
def test_a_reno_that_spends_its_count_is_slower_behind_losses_than_the_packaged_one() -> None:
    packaged, mended = (goodput.gvisor_sends(1, bytes(2 << 20), 0.01, mended_reno=mended) for mended in (False, True))
    assert packaged < 0.9 * mended


def test_a_reno_without_the_mistake_is_compiled_as_it_is() -> None:
    assert gvisor_reno.mended("package tcp\n") == "package tcp\n"
