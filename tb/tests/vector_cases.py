"""The worked vectors A.1 to A.9 of the chimney's contract as scenes for the stage, and a judgement for each.

The golden device and the RTL play the same scenes. Ticks are the device's. The ``slack`` of a judgement is by how many
ticks what the device does may come later than the call, frame or timer that made it do so (0 on the golden device).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from model.layout.generated import NEIGHBOR_IMAGE_BYTES, PATH_IMAGE_BYTES, TCP_IMAGE_BYTES, Opcode, TcpImage
from model.ndis.enums import Layer, OffloadStateType, TcpConnectionState, TcpEventType
from model.ndis.framing import MASK32, Segment
from model.ndis.host import SharedObject
from model.ndis.images import DEFAULT_PARAMETERS
from model.ndis.offload_state import NeighborCached, NeighborDelegated, PathCached, TcpDelegated
from model.ndis.registration import TcpConnectionOffloadParameters
from model.ndis.shares import Key
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.duties import counted_in
from tb.monitors.contract.trace import PortEntry, Record
from tb.tests.stage import (
    INDICATE,
    INITIATE_COMPLETE,
    NEIGHBOR_EVENT,
    TCP,
    TERMINATE_COMPLETE,
    WINDOW,
    WIRE,
    NodeSeen,
    Scene,
    Stage,
    Story,
    pattern,
)

Stories = Mapping[str, Story]
Judge = Callable[[Stories, int], None]
OK, ABORTED, UPLOAD = NdisStatus.SUCCESS, NdisStatus.REQUEST_ABORTED, NdisStatus.UPLOAD_IN_PROGRESS
PARTIAL, RESOURCES, FAILURE = NdisStatus.OFFLOAD_PARTIAL_SUCCESS, NdisStatus.RESOURCES, NdisStatus.FAILURE
#: Far ends of the vectors, one octet behind: neighbors and paths that no other scene has.
MAC, IP = bytes.fromhex("02000000b000"), bytes([10, 0, 1, 0])


@dataclass(frozen=True)
class Vector:
    """A judgement of one vector. ``test`` gets all stories and the slack in ticks."""

    name: str
    rules: tuple[str, ...]
    test: Judge

    @property
    def title(self) -> str:
        """Its name among all judgements."""
        return f"{self.name}-{self.test.__name__}"


VECTORS: list[Vector] = []


def seen_by_vectors(stage: Stage, found: Mapping[str, Any], slack: int) -> dict[str, list[str]]:
    """The rules that count in the scenes that each vector looks at, of what the tap of the run says."""

    def look(one: Vector) -> list[str]:
        return stage.read_by(lambda stories: one.test(stories, slack))

    return {one.title: sorted(counted_in(found, look(one))) for one in VECTORS}


def vector(name: str, *rules: str) -> Callable[[Judge], Judge]:
    """Register a judgement under the number of its vector."""

    def register(test: Judge) -> Judge:
        VECTORS.append(Vector(name, rules, test))
        return test

    return register


def far_end(stage: Stage, name: str, neighbor: int, path: int) -> Story:
    """A new story with a far end of its own: ``neighbor`` and ``path`` are the last octets of MAC and IP."""
    story = stage.story(name)
    story.far.mac, story.far.ip = MAC[:5] + bytes([neighbor]), IP[:3] + bytes([path])
    return story


# ---- A.1, A.2: state trees -----------------------------------------------------------------------------


class Commands:
    """The objects that the driver asks the device to make, in order: path and neighbor by address, TCP by port."""

    def __init__(self, stage: Stage) -> None:
        self._memory = stage.memory
        self.seen: list[tuple[Opcode, bytes]] = []

    def __call__(self, record: Record) -> None:
        if not isinstance(record, PortEntry) or not record.submission:
            return
        opcode, addr = record.entry["opcode"], record.entry["addr"]
        match opcode:
            case Opcode.NEIGHBOR_WRITE:
                self.seen.append((Opcode(opcode), self._memory.read(addr, NEIGHBOR_IMAGE_BYTES)))
            case Opcode.PATH_WRITE:
                self.seen.append((Opcode(opcode), self._memory.read(addr, PATH_IMAGE_BYTES)))
            case Opcode.INITIATE:
                port = TcpImage.from_bytes(self._memory.read(addr, TCP_IMAGE_BYTES)).local_port
                self.seen.append((Opcode(opcode), port.to_bytes(2, "big")))

    def names(self, stories: dict[str, Story]) -> list[str]:
        """Each command by the letter and number that the vector gives its object."""
        found: list[str] = []
        for opcode, what in self.seen:
            if opcode is Opcode.INITIATE:
                ports = {story.far.local_port.to_bytes(2, "big"): name for name, story in stories.items()}
                found.append(ports[what])
                continue
            letter, address = ("N", MAC) if opcode is Opcode.NEIGHBOR_WRITE else ("P", IP)
            last = next(octet for octet in range(256) if address[:-1] + bytes([octet]) in what)
            found.append(f"{letter}{last % 16}")
        return found


@contextmanager
def recorded_commands(stage: Stage) -> Generator[Commands, None, None]:
    """Note what the driver asks the device to make."""
    commands = Commands(stage)
    stage.tap.listeners.append(commands)
    try:
        yield commands
    finally:
        stage.tap.listeners.remove(commands)


def _tree(stage: Stage, number: int, shape: dict[str, tuple[int, int]]) -> dict[str, Story]:
    """Connections in software, ready to go into one tree: name to numbers of neighbor and path."""
    first = 16 * number
    return {name: far_end(stage, f"A.{number} {name}", first + n, first + p) for name, (n, p) in shape.items()}


def traversal(stage: Stage) -> Scene:
    """Vector A.1: two neighbors, three paths, five connections in one initiate call."""
    shape = {"T1": (1, 1), "T2": (1, 1), "T3": (1, 2), "T4": (2, 3), "T5": (2, 3)}
    yield stage.session_over
    stories = _tree(stage, 1, shape)
    for story in stories.values():
        yield from story.shake_hands()
    with recorded_commands(stage) as commands:
        for story in stories.values():
            story.begin_offload()
        for story in stories.values():
            yield from story.offloaded()
    stories["T1"].facts["order"] = commands.names(stories)
    for story in stories.values():
        yield from story.terminate()
        yield from story.finish()


@vector("A.1", "CH-038")
def a_tree_is_worked_on_node_then_dependents_then_next(stories: Stories, _slack: int) -> None:
    order = ["N1", "P1", "T1", "T2", "P2", "T3", "N2", "P3", "T4", "T5"]
    assert stories["A.1 T1"].facts["order"] == order
    calls = [stories[f"A.1 T{n}"].of(INITIATE_COMPLETE) for n in range(1, 6)]
    assert all(len(moments) == 1 and moments[0].root is calls[0][0].root for moments in calls), "not one tree"
    nodes = calls[0][0].nodes
    assert [node.layer for node in nodes] == [
        {"N": Layer.NEIGHBOR, "P": Layer.PATH, "T": Layer.TCP}[name[0]] for name in order
    ]
    assert all(node.status is OK for node in nodes)
    assert len({node.context for node in nodes} - {None}) == len(order)


def partial_failure(stage: Stage) -> Scene:
    """Vector A.2: there is no memory for T2's image, and no device takes P2's MTU."""
    stories = _tree(stage, 2, {"T1": (1, 1), "T2": (1, 1), "T3": (1, 2)})
    yield stage.session_over
    for story in stories.values():
        yield from story.shake_hands()
    place = stage.driver.lists.place
    images = 0

    def starving(key: Key, size: int) -> int | None:
        nonlocal images
        images += size == TCP_IMAGE_BYTES
        return None if size == TCP_IMAGE_BYTES and images == 2 else place(key, size)

    with recorded_commands(stage) as commands, mock.patch.object(stage.driver.lists, "place", starving):
        for story in stories.values():
            story.begin_offload()
        stories["T3"].connection.path.cached = PathCached(path_mtu=500)
        yield lambda: all(story.offload_status is not None for story in stories.values())
    stories["T1"].facts["order"] = commands.names(stories)
    yield from stories["T1"].terminate()
    yield from stories["T1"].finish()
    stories["T3"].connection.path.cached = PathCached()
    for name in ("T2", "T3"):
        yield from stories[name].close_in_software()


def _named(stories: Stories, nodes: tuple[NodeSeen, ...]) -> dict[str, NodeSeen]:
    """The nodes of vector A.2 by their names, told by the host's objects."""
    connections = {f"T{n}": stories[f"A.2 T{n}"].connection for n in (1, 2, 3)}
    owners: dict[str, object] = dict(connections)
    owners |= {"P1": connections["T1"].path, "P2": connections["T3"].path, "N1": connections["T1"].path.below}
    return {name: next(node for node in nodes if node.owner is owner) for name, owner in owners.items()}


@vector("A.2", "CH-033", "CH-042", "CH-043", "CH-045", "CH-046", "CH-048")
def a_tree_that_fails_in_part_says_so_node_by_node(stories: Stories, _slack: int) -> None:
    (moment,) = stories["A.2 T1"].of(INITIATE_COMPLETE)
    nodes = _named(stories, moment.nodes)
    assert {name: node.status for name, node in nodes.items()} == {
        "N1": PARTIAL, "P1": PARTIAL, "T1": OK, "T2": RESOURCES, "P2": FAILURE, "T3": FAILURE,
    }  # fmt: skip
    assert {name for name, node in nodes.items() if node.context is not None} == {"N1", "P1", "T1"}
    assert stories["A.2 T1"].facts["order"] == ["N1", "P1", "T1", "P2"], "T3 was attempted, or P2 was not"


# ---- A.3: persist --------------------------------------------------------------------------------------

#: Ticks after which the monitors have looked whether data left when the window opened.
LOOKED = 300


def persist(stage: Stage) -> Scene:
    """Vector A.3: data waits before a closed window."""
    story = far_end(stage, "A.3", 3, 30)
    yield from story.shake_hands(window=1000)
    story.begin_offload()
    yield from story.offloaded()
    yield from story.send(story.make("S1", pattern(1000)), story.make("S2", pattern(2000, 1)))
    yield story.arrived(1000)
    story.far.window = 0
    story.far.ack(1000)
    yield story.came_back("S1")
    rows: list[tuple[int, TcpDelegated]] = []

    def note() -> Scene:
        state = yield from story.query()
        rows.append((stage.now, state))

    yield from note()
    for _ in range(3):
        yield from _next_frame(story)
        yield from note()
    story.far.say()
    story.facts["t3"] = stage.now
    yield from stage.quiet(5)
    yield from note()
    yield from _next_frame(story)
    yield from note()
    story.facts["rows"] = rows
    story.far.window = WINDOW
    story.far.auto = True
    story.far.ack(1000)
    yield story.came_back("S2")
    yield from stage.quiet(LOOKED)
    yield from story.terminate()
    yield from story.finish()


def _next_frame(story: Story) -> Scene:
    count = len(story.wire)
    yield lambda: len(story.wire) > count


def _sent(story: Story) -> list[tuple[int, Segment]]:
    """Ticks and segments of what the target sent."""
    return [(m.tick, m.segment) for m in story.of(WIRE) if m.segment is not None and m.segment in story.wire]


@vector("A.3", "CH-217", "CH-218")
def probes_and_rounds_of_persist_back_off_as_in_the_table(stories: Stories, slack: int) -> None:
    story = stories["A.3"]
    rows: list[tuple[int, TcpDelegated]] = story.facts["rows"]
    first = rows[0][1]
    rto = max(DEFAULT_PARAMETERS.rto_min, (first.s_rtt >> 3) + max(1, first.rtt_var))  # RFC 6298: SRTT x 8, RTTVAR x 4
    probes = [tick for tick, segment in _sent(story) if segment.seq == (story.far.first + 1000) & MASK32][:4]
    t0, t3 = story.moments[story.place("S1")].tick, story.facts["t3"]
    table = (  # since, SndWndProbeCount, Count, the timer from there
        (t0, 0, 0, rto),
        (t0 + rto, 0, 1, rto),
        (t0 + 2 * rto, 0, 2, 2 * rto),
        (t0 + 4 * rto, 0, 3, 4 * rto),
        (t3, 1, 0, 2 * rto),
        (t3 + 2 * rto, 1, 1, rto),
    )
    for (since, rounds, count, timer), (tick, state) in zip(table, rows, strict=True):
        assert (state.snd_wnd, state.snd_wnd_probe_count, state.retransmit.count) == (0, rounds, count)
        assert 0 <= tick + state.retransmit.timeout_delta - since - timer <= 4 * slack
    for wanted, tick in zip((t0 + rto, t0 + 2 * rto, t0 + 4 * rto, t3 + 2 * rto), probes, strict=True):
        assert 0 <= tick - wanted <= 4 * slack


# ---- A.4: timestamps -----------------------------------------------------------------------------------


def timestamps(stage: Stage) -> Scene:
    """Vector A.4. The stack's clock is 100 behind the NIC's, later 80 ahead: the NIC's drifts away from the host's."""
    yield stage.session_over
    story = far_end(stage, "A.4", 3, 30)
    far, start = story.far, stage.now
    story.facts["start"] = start
    far.stamps = (7000, 0)
    tcp = replace(TCP, timestamps=True, initial_ts=(100 - (start + 200)) & MASK32)
    yield from story.shake_hands(tcp=tcp)
    yield from stage.until(start + 200)
    story.stack.tcp.send(pattern(100), stage.host.now)
    story.begin_offload()
    yield from story.offloaded()
    yield from _echo(stage, story, start + 205, 100, 100)
    yield from stage.until(start + 210)
    yield from story.send(story.make("S1", pattern(100, 1)))
    yield from _echo(stage, story, start + 215, 110, 200)
    yield from stage.until(start + 250)
    yield from story.terminate()
    first = story.upload
    story.facts["uploaded"] = story.state
    story.facts["NIC at upload"] = stage.now - start
    stage.skew(50)
    assert first is not None
    assert first[1] is not None
    stack = stage.host.stack
    stack.uploaded(story.stack, first[1], b"", False, stage.host.now)
    story.stack.tcp.send(pattern(100, 2), stage.host.now)
    far.stamps = (7000, 150)
    yield from stage.until(start + 255)
    srtt = story.stack.tcp.rtt.s_rtt, story.stack.tcp.rtt.rtt_var
    far.ack(300)
    yield from stage.quiet(2)
    story.facts["software"] = srtt, (story.stack.tcp.rtt.s_rtt, story.stack.tcp.rtt.rtt_var)
    yield from stage.until(start + 300)
    story.stack.tcp.send(pattern(100, 3), stage.host.now)
    far.stamps = (7000, 200)
    yield from stage.until(start + 305)
    far.ack(400)
    stage.skew(130)
    yield from stage.until(start + 320)
    story.stack.tcp.send(pattern(100, 4), stage.host.now)
    story.upload, story.offload_status = None, None
    story.begin_offload()
    yield from story.offloaded()
    yield from _echo(stage, story, start + 325, 350, 500)
    story.moments = [m for m in story.moments if m.name != TERMINATE_COMPLETE]
    yield from story.terminate()
    yield from story.finish()


def _echo(stage: Stage, story: Story, tick: int, echo: int, count: int) -> Scene:
    """An acknowledgment that echoes ``echo``; the round-trip time before and behind it, and what lay between."""
    before = yield from story.query()
    yield from stage.until(tick)
    story.far.stamps = (7000, echo)
    story.far.ack(count)
    yield from stage.quiet(2)
    after = yield from story.query()
    story.facts.setdefault("samples", []).append((before, after))


def _with_sample(before: tuple[int, int], sample: int) -> tuple[int, int]:
    """RFC 6298, 2.2 and 2.3, with SRTT x 8 and RTTVAR x 4."""
    srtt, var = before
    if srtt == 0:
        return sample << 3, sample << 1
    error = sample - (srtt >> 3)
    return srtt + error, var + abs(error) - (var >> 2)


@vector("A.4", "CH-223", "CH-224")
def timestamps_go_on_across_offload_and_upload_and_give_the_round_trip(stories: Stories, slack: int) -> None:
    story = stories["A.4"]
    start = story.facts["start"]
    stamps = [(m.tick - start, m.segment.ts[0]) for m in story.of(WIRE) if m.segment is not None and m.segment.ts]
    data = {
        (tick, stamp) for (tick, stamp), m in zip(stamps, story.of(WIRE), strict=True)
        if m.segment is not None and m.segment.payload
    }  # fmt: skip
    at = dict(sorted((stamp, tick) for tick, stamp in data))
    for stamp, tick in ((100, 200), (110, 210), (150, 250), (200, 300), (350, 320)):
        assert any(stamp <= s <= stamp + slack and s - stamp == t - tick for s, t in at.items()), (stamp, sorted(data))
    assert [s for _, s in stamps if s < 1 << 31] == sorted(s for _, s in stamps if s < 1 << 31)
    uploaded = story.facts["uploaded"]
    assert 0 <= uploaded.ts_time - 150 <= slack
    for before, after in story.facts["samples"]:
        possible = {_with_sample((before.s_rtt, before.rtt_var), 5 + late) for late in range(slack + 1)}
        assert (after.s_rtt, after.rtt_var) in possible
    assert len(story.facts["samples"]) == 3
    first, second = story.facts["software"]
    assert second in {_with_sample(first, 5 + late) for late in range(slack + 1)}


# ---- A.5: sequence numbers to MDLs -----------------------------------------------------------------------

#: Data bytes of each MDL.
MDLS = {"S1": (200, 400), "S2": (400, 400), "S3": (400, 200)}
#: Positions from SndUna on: list, MDL, byte of the MDL.
POSITIONS = {0: ("S1", 0, 0), 1000: ("S2", 1, 0), 1600: ("S3", 0, 200), 1800: ("S3", 1, 0)}


def sequence_to_mdl(stage: Stage) -> Scene:
    """Vector A.5: the window opens step by step; then the upload with everything outstanding."""
    story = far_end(stage, "A.5", 3, 30)
    story.far.mss = 200
    yield from story.shake_hands(window=1000)
    story.begin_offload()
    yield from story.offloaded()
    lists = {
        name: story.make_of_mdls(name, pattern(sum(sizes), n), sizes) for n, (name, sizes) in enumerate(MDLS.items())
    }
    held: dict[int, bytes] = {}
    for position, (name, mdl, offset) in POSITIONS.items():
        pieces = lists[name].first_net_buffer.mdl_chain[mdl].pieces(offset, 200)
        held[position] = b"".join(stage.memory.read(addr, count) for addr, count in pieces)
    story.facts["held"] = held
    yield from story.send(*lists.values())
    states: dict[int, TcpDelegated] = {}
    for edge in (1000, 1600, 1800):
        story.far.window = edge
        story.far.say()
        yield story.arrived(edge)
        states[edge] = yield from story.query()
    story.facts["states"] = states
    story.far.window = 2000
    story.far.say()
    yield story.arrived(2000)
    yield lambda: sum(s.seq == story.far.first for s in story.wire) == 2
    yield from story.terminate(chained=True)
    yield from story.finish()


@vector("A.5", "CH-237", "CH-239")
def sequence_numbers_stand_for_the_bytes_of_the_mdls_that_hold_them(stories: Stories, _slack: int) -> None:
    story = stories["A.5"]
    una = story.far.first
    for edge, state in story.facts["states"].items():
        assert (state.snd_una, story.position(state.snd_nxt), story.position(state.snd_max)) == (una, edge, edge)
    for position, data in story.facts["held"].items():
        found = [s.payload for s in story.wire if story.position(s.seq) == position]
        assert found
        assert set(found) == {data}, position
    state = story.state
    assert (state.snd_una, story.position(state.snd_nxt), story.position(state.snd_max)) == (una, 200, 2000)
    given = {given.name: given.nbl for given in story.given.values()}
    assert state.send_data_head is given["S1"]
    assert state.send_data_tail is given["S3"]
    assert bytes(story.far.stream) == b"".join(pattern(sum(sizes), n) for n, sizes in enumerate(MDLS.values()))


# ---- A.6, A.7: what comes back at a reset and at an upload ---------------------------------------------


def reset(stage: Stage) -> Scene:
    """Vector A.6."""
    story = far_end(stage, "A.6", 3, 30)
    yield from story.open()
    yield from story.send(story.make("S1", pattern(1000), (500, 500)), story.make("S2", pattern(1000, 1), (500, 500)))
    yield story.arrived(2000)
    story.far.ack(700)
    story.far.say(flags=TcpFlag.RST)
    yield story.told(TcpEventType.ABORT)
    yield from story.terminate()
    story.end()


@vector("A.6", "CH-104", "CH-105", "CH-106")
def a_reset_gives_partial_counts_and_advances(stories: Stories, _slack: int) -> None:
    first, second = (stories["A.6"].returned(name) for name in ("S1", "S2"))
    assert (first.status, first.transferred, first.moved) == (ABORTED, 700, (500, 200))
    assert (second.status, second.transferred, second.moved) == (ABORTED, 0, (0, 0))


def graceful_with_data(stage: Stage) -> Scene:
    """Vector A.7."""
    story = far_end(stage, "A.7", 3, 30)
    yield from story.open()
    yield from story.send(story.make("S", pattern(300)))
    yield story.arrived(300)
    story.far.ack(300)
    yield story.came_back("S")
    yield from story.disconnect(story.make("D", pattern(100, 2)))
    yield story.arrived(400, fin=True)
    story.far.ack(340)
    yield from stage.quiet(5)
    yield from story.terminate()
    yield from story.finish()


@vector("A.7", "CH-179", "CH-178", "CH-187", "CH-238")
def an_upload_behind_a_graceful_disconnect_counts_its_data_and_its_fin(stories: Stories, _slack: int) -> None:
    story = stories["A.7"]
    send, disconnect, state = story.returned("S"), story.returned("D"), story.state
    assert (send.status, send.transferred) == (OK, 300)
    assert (disconnect.status, disconnect.transferred, disconnect.moved) == (UPLOAD, 40, (40,))
    assert story.place("S") < story.place("D") < story.moments.index(story.of(TERMINATE_COMPLETE)[0])
    assert not story.node.has_chain
    assert state.state is TcpConnectionState.FIN_WAIT_1
    assert [story.position(n) for n in (state.snd_una, state.snd_nxt, state.snd_max)] == [340, 401, 401]


# ---- A.8: neighbor unreachability detection ------------------------------------------------------------


def unreachability(stale: int) -> Callable[[Stage], Scene]:
    """Vector A.8, with ``stale`` for its 30000 ticks: what is 30800 there is 800 + stale here."""

    def scene(stage: Stage) -> Scene:
        parameters = TcpConnectionOffloadParameters(nce_stale_ticks=stale, tcp_delayed_ack_ticks=100)
        stage.host.set_parameters(parameters)
        story = far_end(stage, "A.8", 8, 80)
        yield from story.shake_hands()
        start = stage.now - 1000  # NCT 0
        story.facts["start"], story.facts["stale"] = start, stale
        story.begin_offload()
        neighbor = story.connection.path.below
        assert isinstance(neighbor, SharedObject)
        neighbor.nic_reachability_delta = 200
        neighbor.cached = NeighborCached(story.far.mac, host_reachability_delta=200)
        yield from story.offloaded()
        for number, tick in enumerate((800 + stale, 801 + stale)):
            yield from stage.until(start + tick)
            yield from story.send(story.make(f"S{number}", pattern(10, number)))
            yield story.arrived(10 * number + 10)
        yield from stage.until(start + 1000 + stale)
        story.far.ack(20)
        yield from stage.until(start + 1500 + stale)
        request = stage.host.state.query(neighbor.node(OffloadStateType.NEIGHBOR))
        yield lambda: request.completed
        story.facts["age"] = request.root.delegated
        story.facts["asked at"] = stage.now - start
        for number, tick in enumerate((1000 + 2 * stale, 1001 + 2 * stale), 2):
            yield from stage.until(start + tick)
            yield from story.send(story.make(f"S{number}", pattern(10, number)))
            yield story.arrived(10 * number + 10)
        story.far.ack(40)
        yield story.came_back("S3")
        yield from story.terminate()
        yield from story.finish()
        stage.host.set_parameters(TcpConnectionOffloadParameters(tcp_delayed_ack_ticks=100))

    return scene


@vector("A.8", "CH-225", "CH-226", "CH-228", "CH-229")
def a_neighbor_is_asked_for_when_both_ages_exceed_the_limit_and_not_before(stories: Stories, slack: int) -> None:
    story = stories["A.8"]
    start, stale = story.facts["start"], story.facts["stale"]
    first, second = story.of(NEIGHBOR_EVENT)
    for moment, tick in (first, 801 + stale), (second, 1001 + 2 * stale):
        assert 0 <= moment.tick - start - tick <= slack
    assert 0 <= first.ages[1] - (stale + 1) <= slack
    assert 0 <= second.ages[1] - (stale + 1) <= slack  # NRT is that of the ACK
    assert 0 <= second.ages[0] - (1001 + 2 * stale - (801 + stale)) <= slack  # HRT is that of the host's answer
    sent = [m.tick - start for m in story.of(WIRE) if m.segment is not None and m.segment in story.wire][:4]
    wanted = [800 + stale, 801 + stale, 1000 + 2 * stale, 1001 + 2 * stale]
    assert all(0 <= tick - at <= slack for tick, at in zip(sent, wanted, strict=True)), (sent, wanted)
    age = story.facts["age"]
    assert isinstance(age, NeighborDelegated)
    assert abs(age.nic_reachability_delta - (story.facts["asked at"] - 1000 - stale)) <= slack
    assert 0 <= story.facts["asked at"] - 1500 - stale <= slack


# ---- A.9: a refused indication ---------------------------------------------------------------------------


def refused_indication(stage: Stage) -> Scene:
    """Vector A.9."""
    story = far_end(stage, "A.9", 3, 30)
    yield from story.open()
    story.accept = 300
    story.far.say(pattern(1000), TcpFlag.PSH)
    yield lambda: bool(story.of(INDICATE))
    story.far.say(pattern(1200)[1000:], TcpFlag.PSH)
    yield from stage.quiet(5)
    story.mark("200 bytes came")
    story.accept = None
    yield from story.post(("R", 512, False))
    yield lambda: len(story.sink) == 1200
    yield from story.terminate()
    yield from story.finish()


@vector("A.9", "CH-151", "CH-152", "CH-154", "CH-155")
def behind_a_refusal_a_request_takes_the_rest_first_and_allows_indications_again(stories: Stories, _slack: int) -> None:
    story = stories["A.9"]
    assert bytes(story.sink) == pattern(1200)
    refused, *later = story.of(INDICATE)
    assert refused.count == 1000
    request = story.returned("R")
    assert (request.status, request.transferred, request.moved) == (OK, 512, (512,))
    assert story.moments.index(refused) < story.at("200 bytes came") < story.place("R")
    assert all(story.moments.index(moment) > story.place("R") for moment in later)
    # The vector has one indication of 388 bytes: a list for each pool buffer is the same bytes in two calls.
    assert sum(moment.count for moment in later) == 388


def scenes(stale: int) -> tuple[Callable[[Stage], Scene], ...]:
    """All scenes; the one that moves the host's clock comes last."""
    return (
        persist, sequence_to_mdl, reset, graceful_with_data, refused_indication, unreachability(stale), traversal,
        partial_failure, timestamps,
    )  # fmt: skip
