"""A state tree with more connections than the device has, in one initiate call, as a scene for the stage.

N1 { P1 { many, one without memory for its image }, P2 { many }, P3: no device takes its MTU { 3 } }
N2: no device takes its VLAN { P4 { 2 } }
N3 { P5 { many }, P6 { the rest of what the device holds, and 3 more } }
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from unittest import mock

from model.layout.generated import TCP_IMAGE_BYTES
from model.ndis.enums import TcpConnectionState
from model.ndis.host import SharedObject
from model.ndis.offload_state import NeighborConst, PathCached
from model.ndis.shares import Key
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.tests.stage import INITIATE_COMPLETE, Scene, Stage, Story, pattern
from tb.tests.vector_cases import FAILURE, OK, PARTIAL, RESOURCES, far_end, recorded_commands

FULL = NdisStatus.OFFLOAD_TCP_ENTRIES
#: Handshakes at a time: each needs a raw buffer or two.
BATCH = 16
#: Of every so many connections one sends and receives.
SHARE = 8
#: Family of the far ends' addresses (see vector_cases).
FAMILY = 12
#: Connections beyond what the device holds.
EXTRA = 3


@dataclass(frozen=True)
class Shape:
    """Connections of each path, in the order of the walk. ``starved`` is the first one of P1 after its half."""

    conns: int

    @property
    def paths(self) -> dict[str, tuple[str, int]]:
        """Path to neighbor and number of its connections."""
        share = self.conns // 4
        return {
            "P1": ("N1", share + 1),
            "P2": ("N1", share),
            "P3": ("N1", 3),
            "P4": ("N2", 2),
            "P5": ("N3", share),
            "P6": ("N3", self.conns - 3 * share + EXTRA),
        }

    @property
    def starved(self) -> str:
        """The connection for whose image there is no memory."""
        return f"T{self.conns // 8}"

    def nodes(self) -> list[tuple[str, NdisStatus]]:
        """Every node in the order of the walk (CH-038), and how it must end."""
        found: list[tuple[str, NdisStatus]] = []
        statuses = {"N1": PARTIAL, "N2": FAILURE, "N3": OK, "P1": PARTIAL, "P2": OK, "P5": OK, "P6": PARTIAL}
        number = held = 0
        for path, (neighbor, count) in self.paths.items():
            if neighbor not in {name for name, _ in found}:
                found.append((neighbor, statuses[neighbor]))
            found.append((path, statuses.get(path, FAILURE)))
            for _ in range(count):
                name = f"T{number}"
                number += 1
                status = FAILURE if path in ("P3", "P4") else RESOURCES if name == self.starved else OK
                if status is OK and held == self.conns:
                    status = FULL
                held += status is OK
                found.append((name, status))
        return found

    def asked(self) -> list[str]:
        """What the device is asked for, in order: all that is tried, but for what the driver refuses by itself."""
        below_failed = {f"T{n}" for n in self._below("P3", "P4")} | {"P4"}
        return [name for name, status in self.nodes() if name not in below_failed and status not in (RESOURCES, FULL)]

    def _below(self, *paths: str) -> list[int]:
        number = 0
        found: list[int] = []
        for path, (_, count) in self.paths.items():
            if path in paths:
                found += range(number, number + count)
            number += count
        return found


def _established(batch: list[Story]) -> Callable[[], bool]:
    return lambda: all(story.stack.tcp.state is TcpConnectionState.ESTABLISHED for story in batch)


def _exchanged(story: Story, sent: int, received: int) -> Callable[[], bool]:
    return lambda: len(story.far.stream) == sent and len(story.sink) == received


def big_tree(conns: int) -> Callable[[Stage], Scene]:
    """The tree for a device with ``conns`` connections; what came of it is in the facts of the first story."""
    shape = Shape(conns)

    def scene(stage: Stage) -> Scene:
        yield stage.session_over
        stories = _connections(stage, shape)
        waiting = list(stories.values())
        while waiting:
            batch, waiting = waiting[:BATCH], waiting[BATCH:]
            for story in batch:
                story.connect()
            yield _established(batch)
        yield from _initiate(stage, shape, stories)
        live = [story for story in stories.values() if story.offload_status is NdisStatus.SUCCESS]
        for story in live[::SHARE]:
            yield from story.send(story.make("S", pattern(50, story.far.local_port)))
            story.far.say(pattern(30, story.far.local_port), TcpFlag.PSH)
            yield _exchanged(story, 50, 30)
        for story in live:
            stage.host.terminate(story.connection)
        yield lambda: all(story.upload is not None for story in live)
        for story in stories.values():
            yield from story.finish() if story in live else story.close_in_software()

    return scene


def _connections(stage: Stage, shape: Shape) -> dict[str, Story]:
    stories: dict[str, Story] = {}
    for path, (neighbor, count) in shape.paths.items():
        for _ in range(count):
            name = f"T{len(stories)}"
            stories[name] = far_end(stage, f"tree {name}", 16 * FAMILY + int(neighbor[1]), 16 * FAMILY + int(path[1]))
    return stories


def _initiate(stage: Stage, shape: Shape, stories: dict[str, Story]) -> Scene:
    """All of it in one call, with three kinds of failure."""
    place = stage.driver.lists.place
    images = 0

    def starving(key: Key, size: int) -> int | None:
        nonlocal images
        images += size == TCP_IMAGE_BYTES
        return None if size == TCP_IMAGE_BYTES and images == 1 + int(shape.starved[1:]) else place(key, size)

    with recorded_commands(stage) as commands, mock.patch.object(stage.driver.lists, "place", starving):
        for story in stories.values():
            story.begin_offload()
        objects = _objects(shape, stories)
        objects["P3"].cached = PathCached(path_mtu=500)
        bad = objects["N2"]
        assert isinstance(bad.const, NeighborConst)
        bad.const = replace(bad.const, vlan_id=5000)
        yield lambda: all(story.offload_status is not None for story in stories.values())
    first = stories["T0"]
    first.facts["asked"] = commands.names(stories)
    owners = {id(story.connection): name for name, story in stories.items()}
    owners |= {id(owner): name for name, owner in objects.items()}
    first.facts["owners"] = owners


def _objects(shape: Shape, stories: dict[str, Story]) -> dict[str, SharedObject]:
    """Paths and neighbors by name."""
    found: dict[str, SharedObject] = {}
    number = 0
    for path, (neighbor, count) in shape.paths.items():
        found[path] = stories[f"T{number}"].connection.path
        below = found[path].below
        assert below is not None
        found[neighbor] = below
        number += count
    return found


def judge_big_tree(stories: Mapping[str, Story], conns: int) -> None:
    """CH-033 CH-034 CH-037 CH-038 CH-042 CH-043 CH-044 CH-045 CH-046 CH-048"""
    shape = Shape(conns)
    first = stories["tree T0"]
    mine = [story for name, story in stories.items() if name.startswith("tree ")]
    calls = [story.of(INITIATE_COMPLETE) for story in mine]
    assert all(len(moments) == 1 and moments[0].root is calls[0][0].root for moments in calls), "not one call"
    nodes = calls[0][0].nodes
    owners = first.facts["owners"]
    assert [(owners[id(node.owner)], node.status) for node in nodes] == shape.nodes()
    assert first.facts["asked"] == shape.asked()
    offloaded = [node for node in nodes if node.status in (OK, PARTIAL)]
    assert all(node.context is None for node in nodes if node not in offloaded)
    contexts = [node.context for node in offloaded]
    assert None not in contexts
    assert len(set(contexts)) == len(contexts)
    assert sum(status is OK for name, status in shape.nodes() if name[0] == "T") == conns
    assert sum(story.upload is not None for story in mine) == conns
