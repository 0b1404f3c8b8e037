"""The stage of the contract scenes: host, driver and far ends in the hands of a scene, each scene with its claims.

A scene acts through the host, the driver and the wire only. It claims rules of docs/ndis.md: their monitors must have
triggered in it, and nothing may be broken. Scenes clean up behind themselves, so that a part of them runs in one
session.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from model.layout.generated import TCP_IMAGE_BYTES
from model.ndis.bookkeeping import Outstanding
from model.ndis.calls import InitiateOffload, NdisCall, TerminateOffload
from model.ndis.enums import DisconnectFlags, Layer, TcpCachedFlags, TcpConnectionState, TcpEventType
from model.ndis.framing import MASK32, Endpoint, Segment, decode, encode
from model.ndis.host import NdisHost, SharedObject
from model.ndis.host_state import ObjectPhase, StateRequest
from model.ndis.netbuffer import NetBufferList, Owner
from model.ndis.offload_state import (
    NO_CACHED_FLAGS,
    KeepAlive,
    NeighborConst,
    OffloadBlock,
    TcpCached,
    TcpDelegated,
    link,
    traverse,
)
from model.ndis.registration import TcpConnectionOffload, TcpConnectionOffloadParameters
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.duties import counted_in
from tb.session.network import NIC_MAC
from tb.tests.stage import (
    FAR_IP,
    FAR_IP6,
    FAR_MAC,
    TCP,
    WINDOW,
    Far,
    Given,
    Scene,
    Stage,
    StageDriver,
    StageTransfer,
    Story,
    chapter,
    own_address,
)

#: The session beside the scenes is over soon: bytes, and ticks a frame travels.
SIZE, DELAY = 2048, 2
#: Ticks in which a posted request reaches the device.
POSTED: Final = 2
#: Connections that the device of the scenes is built for.
CONNS: Final = 4
Play = Callable[["SceneStage"], Scene]


# ---- scenes and their claims ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A scene: the rules whose monitors must trigger in it, and what its session is set up with."""

    name: str
    part: str
    rules: frozenset[str]
    play: Play
    #: Fields of RunConfig that differ from the usual ones.
    session: Mapping[str, Any] = field(default_factory=dict)
    #: It ends what the session needs: nothing is played behind it.
    last: bool = False

    @property
    def title(self) -> str:
        """Its name among all scenes."""
        return f"{self.part}-{self.name}"

    @property
    def intermediates(self) -> int:
        """Intermediate drivers that it wants."""
        return int(self.session.get("intermediates", 0))


@dataclass
class Part:
    """The scenes of a section, in order."""

    name: str
    cases: list[Case] = field(default_factory=list)

    def scene(
        self,
        *rules: str,
        session: Mapping[str, Any] | None = None,
        last: bool = False,
    ) -> Callable[[Play], Play]:
        """Add a scene that claims ``rules``."""

        def add(play: Play) -> Play:
            name = getattr(play, "__name__", "")
            self.cases.append(Case(name, self.name, frozenset(rules), play, session or {}, last))
            return play

        return add


def unmet(cases: Iterable[Case], seen: Mapping[str, frozenset[str]]) -> list[str]:
    """Claims whose rule never triggered in their own scene, one line each; ``seen`` as `SceneStage.seen` has it."""
    return [
        f"{case.name}: {rule} never triggered"
        for case in cases
        for rule in sorted(case.rules - seen.get(case.title, frozenset()))
    ]


# ---- host ----------------------------------------------------------------------------------------------


class SceneHost(NdisHost):
    """The host; a scene sees its objects, and may change a call before it is made."""

    #: Indicated lists stay with the host.
    holding = False
    #: Called with every call before it is booked and made.
    edit: Callable[[NdisCall], None] | None = None
    #: Called when a status is indicated, before the host knows it: what the host does in there crosses with it.
    on_status: Callable[[NdisStatus], None] | None = None

    def status_indicate(self, binding_context: object, code: NdisStatus, buffer: TcpConnectionOffload | None) -> None:
        """ProtocolStatusEx."""
        if self.on_status is not None:
            with self.on_another_processor():
                self.on_status(code)
                self.step()
        super().status_indicate(binding_context, code, buffer)

    @contextmanager
    def on_another_processor(self) -> Iterator[None]:
        """What is called in here is called now, inside of the call that this processor is in."""
        later, self._issue = self._issue, self.execute
        try:
            yield
        finally:
            self._issue = later

    def issue(self, call: NdisCall) -> None:
        """The one way down."""
        if self.edit is not None:
            self.edit(call)
        super().issue(call)

    def _issue_returns(self) -> bool:
        return not self.holding and super()._issue_returns()

    def neighbor(self, mac: bytes, const: NeighborConst | None = None) -> SharedObject:
        """The neighbor of an address; ``const`` for one that is not offloaded."""
        found = self._neighbor(mac)
        if const is not None:
            found.const = const
        return found

    @property
    def rid_of_objects(self) -> bool:
        """No path or neighbor is offloaded, or on its way."""
        return all(owner.phase is ObjectPhase.NONE for owner in self._objects())

    def path(self, ip: bytes, mac: bytes) -> SharedObject:
        """The path to an address, by a neighbor."""
        return self._path(self.stack.ip, ip, self._neighbor(mac))


# ---- driver --------------------------------------------------------------------------------------------


class SceneDriver(StageDriver):
    """The session's driver, with its tables in sight, and another processor that may come first."""

    #: Called once when the next send call has come in, before anything is done for it.
    on_send: Callable[[], None] | None = None

    @property
    def used(self) -> dict[str, int]:
        """Entries in use, of each table."""
        c, free = self.config, self._free_ids
        return {
            "connections": c.conns - len(free[Layer.TCP]),
            "paths": c.paths - len(free[Layer.PATH]),
            "neighbors": c.neighbors - len(free[Layer.NEIGHBOR]),
        }

    def next_query(self) -> int:
        """Where the next query of a connection will have its image written."""
        place = self.lists.allocate(TCP_IMAGE_BYTES)
        assert place is not None
        self.lists.free(place)
        return place

    def tcp_offload_send(self, adapter_context: object, context: int, nbl: NetBufferList) -> NdisStatus:
        """MiniportTcpOffloadSend."""
        if self.on_send is not None:
            first, self.on_send = self.on_send, None
            first()
        return super().tcp_offload_send(adapter_context, context, nbl)


# ---- far end -------------------------------------------------------------------------------------------


class SceneFar(Far):
    """The far end of a connection: says what a scene wants, as odd as it may be, and keeps what it hears."""

    def __init__(self, stage: Stage, number: int, mac: bytes = FAR_MAC, ip: bytes = FAR_IP) -> None:
        super().__init__(stage, number)
        self.mac, self.ip = mac, ip
        self.tcp = TCP
        #: Segments that arrived, with the tick of each.
        self.heard: list[tuple[int, Segment]] = []
        #: Timestamp last received, and the far end's own clock at tick 0.
        self._recent, self._clock = 0, 0x1000

    @property
    def host(self) -> SceneHost:
        """The host of the other side."""
        return cast(SceneHost, self._stage.host)

    def take(self, segment: Segment) -> None:
        """A segment of the other side arrived."""
        self.heard.append((self.tick, segment))
        if segment.ts is not None:
            self._recent = segment.ts[0]
        super().take(segment)

    def segment(
        self,
        data: bytes = b"",
        flags: TcpFlag = TcpFlag.ACK,
        *,
        seq: int | None = None,
        ack: int | None = None,
        window: int | None = None,
    ) -> Segment:
        """A segment; what is not given is what comes next."""
        return Segment(
            Endpoint(self.mac, self.ip, self.port),
            Endpoint(NIC_MAC, own_address(self.ip), self.local_port),
            (self.snd if seq is None else seq) & MASK32,
            (self.acked if ack is None else ack) & MASK32,
            flags,
            self.window if window is None else window,
            data,
            ts=((self.host.now + self._clock) & MASK32, self._recent) if self.tcp.timestamps else None,
        )

    def put(self, segment: Segment) -> bytes:
        """Send exactly this; the frame it became."""
        frame = encode(segment)
        self._stage.arrive(frame)
        return frame

    def _send(self, seq: int, flags: TcpFlag, data: bytes = b"", mss: int | None = None) -> None:
        segment = self.segment(data, flags, seq=seq)
        if TcpFlag.SYN in flags:  # the handshake: scaling is agreed upon if it was offered
            segment = replace(segment, mss=mss, window_scale=0 if self.tcp.window_scaling else None)
        self.put(segment)


# ---- connection ----------------------------------------------------------------------------------------


class SceneStory(Story):
    """A connection; beside what a Story does, it is offloaded with changed state and may be refused."""

    far: SceneFar
    #: The last query.
    asked: StateRequest

    def __init__(self, stage: SceneStage, name: str, number: int, mac: bytes, ip: bytes) -> None:
        super().__init__(stage, name, number)
        self.far = SceneFar(stage, number, mac, ip)
        #: Lists in the order in which the host got them back by completion, with their status.
        self.back: list[tuple[str, NdisStatus | None]] = []
        #: Sends that came back unfinished and went into a later offload.
        self._settled: set[str] = set()
        #: Called for events, beside the tap: a client that acts from inside the call.
        self.on_event: Callable[[TcpEventType, int], None] = lambda event, info: None
        #: Called when a receive request came back, inside of the completion.
        self.on_receive: Callable[[Outstanding], None] = lambda done: None
        #: Called for indications before they are answered.
        self.on_indication: Callable[[NetBufferList], None] = lambda nbl: None
        #: Lists that the initiate brings, and whether they are to be sent.
        self._inherited: list[tuple[NetBufferList, bool]] = []
        self.asked: StateRequest

    @property
    def host(self) -> SceneHost:
        """The host."""
        return cast(SceneHost, self.stage.host)

    def handshake(self, tcp: SoftTcpConfig = TCP, window: int = WINDOW) -> Scene:
        """Open in software."""
        self.far.window, self.far.tcp = window, tcp
        self.far.first = (tcp.initial_seq + 1) & MASK32
        self.far.acked = self.far.first
        self.host.clients.append(self)
        remote = Endpoint(self.far.mac, self.far.ip, self.far.port)
        self.stack = self.host.stack.connect(remote, self.far.local_port, tcp, self.host.now)
        yield lambda: self.stack.tcp.state is TcpConnectionState.ESTABLISHED

    def offload(
        self,
        change: Callable[[OffloadBlock], None] | None = None,
        expect: NdisStatus = NdisStatus.SUCCESS,
    ) -> Scene:
        """Offload; ``change`` is given the connection's node before the call is made."""
        self.hand_over(change)
        yield lambda: self.offload_status is not None
        assert self.offload_status is expect, self.offload_status

    def hand_over(self, change: Callable[[OffloadBlock], None] | None = None) -> None:
        """Ask the host to offload, without waiting for the end."""
        self.offload_status = None
        self.upload = None
        before = self.host.edit

        def edit(call: NdisCall) -> None:
            if before is not None:
                before(call)
            if not isinstance(call, InitiateOffload):
                return
            for node in traverse(call.root):
                if node.ndis_offload_handle is self.connection:
                    self.host.edit = before
                    if change is not None:
                        change(node)

        self.host.edit = edit
        self._inherited = []
        self.connection = self.host.offload(self, self.stack, self._inherit)

    def _inherit(self, data: bytes) -> NetBufferList:
        nbl = self.make(f"inherited {len(self._inherited)}", data)
        self._inherited.append((nbl, bool(self.stack.tcp.send_buffer) and not self._inherited))
        return nbl

    def initiated(self, status: NdisStatus) -> None:
        """The host has freed what the target copied, and all that a failed offload brought."""
        for nbl, is_send in self._inherited:
            if not (is_send and status.offloaded):
                del self.given[id(nbl)]
        super().initiated(status)

    def open(self, window: int = WINDOW, *, tcp: SoftTcpConfig = TCP, **cached: Any) -> Scene:
        """Handshake in software, then offload; ``cached``: fields of TcpCached."""

        def change(node: OffloadBlock) -> None:
            assert isinstance(node.cached, TcpCached)
            assert isinstance(node.delegated, TcpDelegated)
            node.cached = self.connection.cached = replace(node.cached, **cached)
            if node.cached.flags & TcpCachedFlags.KEEP_ALIVE_ENABLED:
                node.delegated = replace(node.delegated, keep_alive=KeepAlive(0, node.cached.ka_timeout))

        yield from self.handshake(tcp, window)
        yield from self.offload(change)

    # ---- what scenes do ----

    def post(self, *requests: tuple[str, int, bool]) -> Scene:
        """NdisOffloadTcpReceive of requests (name, bytes, nonpush); the device has them, so that no data overtakes."""
        yield from super().post(*requests)
        yield from self.stages.quiet(POSTED)

    def update(self, *, expect: NdisStatus = NdisStatus.SUCCESS, **cached: Any) -> Scene:
        """NdisUpdateOffload of the connection until it completed."""
        yield from self.stages.state(self.start_update(**cached), expect=expect)

    def query(self) -> Generator[Callable[[], bool], None, TcpDelegated]:
        """NdisQueryOffloadState of the connection with path and neighbor; the answer is in ``answer``, too."""
        yield from self.stages.state(self.start_query())
        return self.answer

    def start_query(self) -> StateRequest:
        """NdisQueryOffloadState of the connection with path and neighbor; the call is made."""
        path, neighbor = self.connection.path, self.connection.path.below
        assert neighbor is not None
        root, middle, leaf = (owner.node(owner.kind) for owner in (neighbor, path, self.connection))
        root.dependent_block_list, middle.dependent_block_list = middle, leaf
        self.asked = self.host.state.query(root)
        return self.asked

    @property
    def answer(self) -> TcpDelegated:
        """Delegated state as the last query told it."""
        delegated = self.asked.node(self.connection).delegated
        assert isinstance(delegated, TcpDelegated)
        return delegated

    def start_update(self, **cached: Any) -> StateRequest:
        """NdisUpdateOffload of the connection; the call is made."""
        if cached.get("flags", NO_CACHED_FLAGS) & TcpCachedFlags.UPDATE_RCV_WND:
            self.stages.transfer.network.monitor.expect_window(self.far.local_port)
        return self.host.state.update([(self.connection, replace(self.connection.cached, **cached))])

    def issue_abort(self, name: str = "A") -> None:
        """NdisOffloadTcpDisconnect, abortive; the call is made."""
        self.host.issue_disconnect(self.connection, self.make(name, b""), DisconnectFlags.ABORTIVE)

    def abort(self, name: str = "A") -> Scene:
        """NdisOffloadTcpDisconnect, abortive, until it came back."""
        yield self._free
        self.issue_abort(name)
        yield self.came_back(name)

    def again(self, change: Callable[[OffloadBlock], None] | None = None) -> Scene:
        """Upload, and offload anew from what came up; no graceful disconnect is under way."""
        yield from self.terminate()
        assert self.upload is not None
        _, delegated, buffered = self.upload
        assert delegated is not None
        self.sink += buffered
        unfinished = list(self._unfinished())
        rest = b"".join(given.nbl.read(Owner.HOST, self.host.memory) for given in unfinished)
        self._settled |= {given.name for given in unfinished}
        self.host.stack.uploaded(self.stack, delegated, rest, False, self.host.now)
        yield from self.offload(change)

    def _unfinished(self) -> Iterator[Given]:
        return (given for given in super()._unfinished() if given.name not in self._settled)

    def leave(self, *, with_objects: bool = False) -> Scene:
        """Upload, go on in software and close: the usual end."""
        yield from self.terminate(with_objects=with_objects)
        yield from self.finish()

    def in_software(self) -> Scene:
        """The connection is not offloaded: close it in software."""
        tcp = self.stack.tcp
        self.far.auto = True
        self.far.ack()
        tcp.close(self.host.now)
        yield lambda: tcp.ended
        assert not tcp.failure, tcp.failure
        self.sink += tcp.take_received()
        self.end()

    def drop(self, *, with_objects: bool = False) -> Scene:
        """Upload and forget: for a connection whose state cannot go on."""
        if self.upload is None:
            yield from self.terminate(with_objects=with_objects)
        self.end()

    # ---- conditions ----

    @property
    def stages(self) -> SceneStage:
        """The stage."""
        return cast(SceneStage, self.stage)

    def frames(self, count: int) -> Callable[[], bool]:
        """The target has sent this many frames more than now."""
        wanted = len(self.wire) + count
        return lambda: len(self.wire) >= wanted

    # ---- OffloadClient ----

    def _kept(self, done: Outstanding) -> None:
        self.back.append((self.given[id(done.nbl)].name, done.nbl.status))

    def send_returned(self, done: Outstanding) -> None:
        self._kept(done)

    def disconnect_returned(self, done: Outstanding) -> None:
        self._kept(done)

    def receive_returned(self, done: Outstanding) -> None:
        self._kept(done)
        super().receive_returned(done)
        self.on_receive(done)

    def event(self, event: TcpEventType, info: int) -> None:
        super().event(event, info)
        self.on_event(event, info)

    def indicated(self, nbl: NetBufferList) -> tuple[NdisStatus, int]:
        self.on_indication(nbl)
        return super().indicated(nbl)


# ---- stage ---------------------------------------------------------------------------------------------


class SceneStage(Stage):
    """Plays cases one after the other, once the session beside them is over."""

    def __init__(self, cases: Sequence[Case]) -> None:
        plays = [cast(Callable[[Stage], Scene], case.play) for case in cases]
        super().__init__([lambda _: self.alone(), *plays])
        self.cases = tuple(cases)
        self._numbers = 0
        self.macs = {FAR_MAC}
        #: Frames to the far ends that belong to no story, or are not TCP.
        self.others: list[bytes] = []

    def address(self) -> tuple[bytes, bytes]:
        """MAC and IPv4 address of a far end that nobody has used."""
        self._numbers += 1
        return FAR_MAC[:4] + bytes([0xF0, self._numbers]), FAR_IP[:3] + bytes([100 + self._numbers])

    def address6(self) -> tuple[bytes, bytes]:
        """MAC and IPv6 address of a far end that nobody has used."""
        mac, ip = self.address()
        return mac, FAR_IP6[:-1] + ip[-1:]

    @property
    def scenedriver(self) -> SceneDriver:
        """The driver, with its tables in sight."""
        return cast(SceneDriver, self.driver)

    @property
    def scenehost(self) -> SceneHost:
        """The host, with its objects in sight."""
        return cast(SceneHost, self.host)

    def tell(self, name: str, mac: bytes = FAR_MAC, ip: bytes = FAR_IP) -> SceneStory:
        """A new connection, to a far end at this address; scenes that share a session may use the same names."""
        number = len(self.stories)
        self.macs.add(mac)
        story = SceneStory(self, name, number, mac, ip)
        self.told(f"{number} {name}", story)
        return story

    def seen(self, found: Mapping[str, Any]) -> dict[str, frozenset[str]]:
        """The rules that count in each scene, by its name, of what the tap of the run says (`ContractTap.result`)."""
        numbered = enumerate(self.cases, 2)  # the first scene waits for the session
        return {case.title: counted_in(found, [chapter(number)]) for number, case in numbered}

    def is_far_end(self, mac: bytes) -> bool:
        """Of a story, or of none yet."""
        return mac in self.macs

    def sent(self, frame: bytes, tick: int) -> None:
        """A frame reaches a far end."""
        segment = decode(frame)
        story = None if segment is None else self.by_port(segment.source.port, segment.destination.ip)
        if segment is None or not isinstance(story, SceneStory):
            self.others.append(frame)
            return
        story.far.tick = tick
        story.far.take(segment)

    def parameters(self, **changes: Any) -> Scene:
        """OID_TCP_CONNECTION_OFFLOAD_PARAMETERS: the usual ones but for these, until they hold.

        The monitors are told how long a tick is from then on: records are stamped in the ticks of the device.
        """
        done = len(self.host.oids_completed)
        parameters = TcpConnectionOffloadParameters(**changes)
        self.host.set_parameters(parameters)
        yield lambda: len(self.host.oids_completed) > done
        self.tap.setting("ticks_per_second", parameters.ticks_per_second)

    def state(self, *requests: StateRequest, expect: NdisStatus = NdisStatus.SUCCESS) -> Scene:
        """Wait for the completion of queries, updates or invalidates; every node must have ended as expected."""
        yield lambda: all(request.completed for request in requests)
        for request in requests:
            assert set(request.statuses) == {expect}, request.statuses

    def objects(self, *owners: SharedObject) -> Scene:
        """Offload neighbors and paths by themselves, in one call; each is a root, or stands below its neighbor."""
        root = link([_grown(owner, owners) for owner in owners if owner.below not in owners])
        assert root is not None
        for owner in owners:
            owner.phase = ObjectPhase.INITIATING
        self.host.issue(InitiateOffload(None, root))
        yield lambda: all(owner.phase is not ObjectPhase.INITIATING for owner in owners)

    def release(self, *owners: SharedObject) -> Scene:
        """Terminate neighbors and paths that nothing uses, one call each, those on top first."""
        for owner in owners:
            owner.phase = ObjectPhase.TERMINATING
            self.host.issue(TerminateOffload(None, owner.terminate_block()))
            yield lambda owner=owner: owner.phase is ObjectPhase.NONE  # type: ignore[misc]

    def halt(self, wait: Callable[[], None]) -> None:
        """NDIS halts the adapter; ``wait``: what goes on while the call waits."""
        driver = self.driver
        self.transfer.tap.call("MiniportHaltEx", 0, {}, lambda: driver.halt(self.host.binding.adapter_context, wait))

    def count(self) -> dict[str, int]:
        """What is in use in the target, connections as the device has them; the monitors are told."""
        used, held = self.scenedriver.used, {"connections": self.device.held()}
        self.transfer.tap.counters({name: count for name, count in used.items() if name not in held})
        self.transfer.tap.counters(held, of_device=True)
        return used | held

    def alone(self) -> Scene:
        """Wait until the session is over."""
        yield self.session_over


def _grown(owner: SharedObject, owners: Sequence[SharedObject]) -> OffloadBlock:
    """A node of ``owner`` with those of ``owners`` that stand on it."""
    node = owner.block()
    node.dependent_block_list = link([_grown(one, owners) for one in owners if one.below is owner])
    return node


class SceneTransfer(StageTransfer):
    """The session beside the scenes."""

    host_type = SceneHost

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # scenes make up the state that they hand over; what the wire showed before says nothing about it
        self.tap.listeners.remove(self.seam_monitor.feed)

    def claims(self) -> list[str]:
        """Claims that did not come true; the run is over."""
        assert isinstance(self.stage, SceneStage)
        return unmet(self.stage.cases, self.stage.seen(self.tap.result()))
