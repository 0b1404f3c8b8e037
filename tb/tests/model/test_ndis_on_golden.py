"""State calls, forwards and neighbor queries of the host on the golden device, under the traffic of a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from model.ndis.enums import OffloadStateType, TcpCachedFlags, TcpConnectionState
from model.ndis.file_transfer import AppPhase
from model.ndis.host import OffloadedConnection, SharedObject
from model.ndis.host_state import StateRequest
from model.ndis.offload_state import (
    NeighborCached,
    NeighborDelegated,
    OffloadBlock,
    PathCached,
    TcpDelegated,
    link,
)
from model.ndis.registration import TcpConnectionOffloadParameters
from model.ndis.status import NdisStatus
from tb.config import RunConfig
from tb.device.model_loop import ModelRun
from tb.session import summary


class Scripted(ModelRun):
    """A session that does something once each connection is at work; ``script`` is asked each tick until it is True."""

    def __init__(self, config: RunConfig, script: Callable[[Scripted], bool]) -> None:
        super().__init__(config)
        self._script = script
        self.finished = False
        advance = self.transfer.on_tick

        def on_tick(tick: int) -> None:
            advance(tick)
            self.finished = self.finished or self._script(self)

        self.transfer.on_tick = on_tick  # type: ignore[method-assign]

    @property
    def at_work(self) -> bool:
        """Every connection is offloaded and has moved a part of its data."""
        return all(app.phase is AppPhase.RUNNING and app.progress > 0.03 for app in self.transfer.apps)

    @property
    def connections(self) -> list[OffloadedConnection]:
        return [app.connection for app in self.transfer.apps if app.connection is not None]

    @property
    def path(self) -> SharedObject:
        return self.connections[0].path

    @property
    def neighbor(self) -> SharedObject:
        neighbor = self.path.below
        assert isinstance(neighbor, SharedObject)
        return neighbor

    def whole(self) -> OffloadBlock:
        """A tree of all that is offloaded."""
        root, block = self.neighbor.node(OffloadStateType.NEIGHBOR), self.path.node(self.path.kind)
        root.dependent_block_list = block
        block.dependent_block_list = link([c.node(OffloadStateType.TCP) for c in self.connections])
        return root

    def to_the_end(self, offloaded: bool = True) -> None:
        """Byte exact, clean, the script was played; unless something else is said no byte came back in software."""
        assert self.run() == []
        assert self.finished
        problems = summary.verdict(self.transfer)
        assert [line for line in problems if offloaded or "in software" not in line] == []


def config(tmp_path: Path, seed: int, intermediates: int = 0) -> RunConfig:
    return RunConfig(
        device="model", size=300_000, conns=3, seed=seed, delay=3, out=tmp_path, intermediates=intermediates
    )


@pytest.mark.rule("CH-074", "CH-075", "CH-079")
@pytest.mark.parametrize("intermediates", [0, 2])
def test_a_query_of_everything_tells_the_state_of_the_device(tmp_path: Path, intermediates: int) -> None:
    requests: list[StateRequest] = []

    def script(run: Scripted) -> bool:
        if run.at_work and len(requests) < 5:
            requests.append(run.transfer.host.state.query(run.whole()))
        return len(requests) == 5

    run = Scripted(config(tmp_path, 1, intermediates), script)
    run.to_the_end()
    last: dict[int, int] = {}
    for request in requests:
        assert request.statuses == [NdisStatus.SUCCESS] * 5
        assert isinstance(request.root.delegated, NeighborDelegated)
        assert request.root.delegated.nic_reachability_delta < 1000
        for connection in run.connections:
            node = request.node(connection)
            assert node.cached == connection.cached
            assert isinstance(node.delegated, TcpDelegated)
            assert node.delegated.state is TcpConnectionState.ESTABLISHED
            ahead = (node.delegated.snd_una - last.get(connection.number, node.delegated.snd_una)) & 0xFFFF_FFFF
            assert ahead < 1 << 31
            last[connection.number] = node.delegated.snd_una


@pytest.mark.rule("CH-080", "CH-082", "CH-084")
def test_updates_of_connection_path_and_neighbor_take_effect_under_traffic(tmp_path: Path) -> None:
    done: list[StateRequest] = []

    def script(run: Scripted) -> bool:
        host = run.transfer.host
        if not run.at_work or done:
            return bool(done)
        flags = TcpCachedFlags.UPDATE_RCV_WND
        changes = [(c, replace(c.cached, ttl_or_hop_limit=33, flags=flags)) for c in run.connections]
        done.append(host.state.update(changes))
        done.append(host.state.update([(run.path, PathCached(1300))]))
        cached = run.neighbor.cached
        assert isinstance(cached, NeighborCached)
        done.append(host.state.update([(run.neighbor, replace(cached, host_reachability_delta=9))]))
        return True

    run = Scripted(config(tmp_path, 2), script)
    frames: list[bytes] = []
    sent = run.transfer.network.from_nic

    def from_nic(frame: bytes, tick: int) -> None:
        if done and all(request.completed for request in done) and frame[18] & 0x80:
            frames.append(frame)
        sent(frame, tick)

    run.transfer.network.from_nic = from_nic  # type: ignore[method-assign]
    run.to_the_end()
    assert [request.statuses for request in done] == [[NdisStatus.SUCCESS] * n for n in (3, 1, 1)]
    behind = frames[20:]
    assert behind
    assert {frame[22] for frame in behind} == {33}
    assert max(len(frame) for frame in behind) <= 14 + 1300


@pytest.mark.rule("CH-092", "CH-093", "CH-094")
@pytest.mark.parametrize("what", ["connection", "path", "neighbor"])
def test_behind_an_invalidate_the_connections_come_back_and_end_in_software(tmp_path: Path, what: str) -> None:
    done: list[StateRequest] = []

    def script(run: Scripted) -> bool:
        if run.at_work and not done:
            target = {"connection": run.connections[0], "path": run.path, "neighbor": run.neighbor}[what]
            done.append(run.transfer.host.state.invalidate([target]))
        return bool(done)

    run = Scripted(config(tmp_path, 3), script)
    run.to_the_end(offloaded=False)
    assert done[0].statuses == [NdisStatus.SUCCESS]
    asked = run.transfer.host.completions["event"]["RETRIEVE(INVALID_STATE)"]
    assert asked == (1 if what == "connection" else 3)


@pytest.mark.rule("CH-225", "CH-226", "CH-227", "CH-228", "CH-229")
def test_a_stale_neighbor_is_asked_for_and_the_answer_silences_the_device(tmp_path: Path) -> None:
    """Frames are lost, so that somebody sends again behind a time in which nothing confirmed the neighbor."""
    asked: list[int] = []

    def script(run: Scripted) -> bool:
        if not asked and any(app.phase is AppPhase.RUNNING for app in run.transfer.apps):
            asked.append(run.tick)
            parameters = TcpConnectionOffloadParameters(nce_stale_ticks=1, tcp_delayed_ack_ticks=100)
            run.transfer.host.set_parameters(parameters)
        return bool(asked)

    run = Scripted(replace(config(tmp_path, 4), loss=0.02), script)
    run.transfer.host.reachability = lambda _: 0
    run.to_the_end()
    assert run.transfer.host.completions["neighbor query"]["reachable"] > 0


@pytest.mark.rule("CH-245")
def test_a_neighbor_goes_up_with_an_age(tmp_path: Path) -> None:
    run = Scripted(config(tmp_path, 5), lambda run: True)
    run.transfer.quiet = lambda: False  # TIME_WAIT passes on the device's clock, and the neighbor with it
    run.transfer.host.config = replace(run.transfer.host.config, joint_terminate=0.0)
    ages: list[object] = []
    complete = run.transfer.host.terminate_offload_complete

    def noted(binding_context: object, block_list: OffloadBlock) -> None:
        if block_list.type is OffloadStateType.NEIGHBOR_DELEGATED:
            ages.append(block_list.delegated)
        complete(binding_context, block_list)

    run.transfer.host.terminate_offload_complete = noted  # type: ignore[method-assign]
    run.to_the_end()
    (age,) = ages
    assert isinstance(age, NeighborDelegated)
    assert 0 < age.nic_reachability_delta < run.tick


@pytest.mark.rule("CH-164", "CH-166", "CH-167")
@pytest.mark.parametrize("intermediates", [0, 2])
def test_segments_of_the_hand_over_are_forwarded_to_the_golden_device(tmp_path: Path, intermediates: int) -> None:
    run = Scripted(config(tmp_path, 6, intermediates), lambda run: True)
    for app in run.transfer.apps:
        app.config = replace(app.config, software_first=8_000)
    initiate = run.driver.initiate_offload
    held: list[tuple[int, object, OffloadBlock]] = []

    def later(adapter_context: object, block_list: OffloadBlock) -> None:
        held.append((run.tick + 12, adapter_context, block_list))

    def script(scripted: Scripted) -> bool:
        for entry in [entry for entry in held if entry[0] <= scripted.tick]:
            held.remove(entry)
            initiate(entry[1], entry[2])
        return True

    run.driver.initiate_offload = later  # type: ignore[method-assign]
    advance = run.transfer.on_tick

    def on_tick(tick: int) -> None:
        advance(tick)
        script(run)

    run.transfer.on_tick = on_tick  # type: ignore[method-assign]
    run.to_the_end()
    assert run.transfer.host.completions["forward"]["SUCCESS"] > 3
    assert set(run.transfer.host.completions["forward"]) == {"SUCCESS"}
