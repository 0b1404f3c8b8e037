"""The stage of the founding pages with more to play: what the scenes of the contract sabotages are made of.

An Actor is a Story that can also query, update, invalidate, forward and abort, and whose far end speaks timestamps
when the handshake did. The session beside the scenes is as small as it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from model.ndis.framing import MASK32, Endpoint, Segment, decode, encode
from model.ndis.host import SharedObject
from model.ndis.host_state import HostObject, StateRequest
from model.ndis.netbuffer import BufferShape
from model.ndis.offload_state import CachedState, TcpCached
from model.ndis.registration import Oid, OidRequest, TcpConnectionOffloadParameters
from model.ndis.soft_tcp import SoftTcpConfig
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.session.network import NIC_IP, NIC_MAC
from tb.tests.stage import (
    FAR_IP,
    FAR_MAC,
    NO_FLAGS,
    TCP,
    WINDOW,
    Far,
    Scene,
    Stage,
    StageTransfer,
    Story,
)

#: The session beside the scenes: bytes, and ticks a frame travels.
SIZE, DELAY = 256, 2


class SceneError(Exception):
    """A scene cannot go on; the message says what was not as it must be."""


class ActorFar(Far):
    """A far end that can be told anything, and that has a timestamp clock of its own."""

    stamped = False
    recent = 0

    def take(self, segment: Segment) -> None:
        """A segment of the other side arrived."""
        if segment.ts is not None:
            self.stamped, self.recent = True, segment.ts[0]
        super().take(segment)

    def tell(
        self,
        flags: TcpFlag,
        *,
        seq: int = 0,
        ack: int = 0,
        data: bytes = b"",
    ) -> None:
        """A segment that stands apart: ``seq`` and ``ack`` relative to what they should be. Nothing is counted."""
        self._stage.arrive(self._frame(self.snd + seq, (self.acked + ack) & MASK32, flags, data))

    def segment(self, data: bytes = b"", flags: TcpFlag = NO_FLAGS) -> bytes:
        """The next segment, from its TCP header on, for a forward."""
        frame = self._frame(self.snd, self.acked, flags | TcpFlag.ACK, data)
        self.snd = (self.snd + len(data) + (TcpFlag.FIN in flags)) & MASK32
        self.fin_sent |= TcpFlag.FIN in flags
        found = decode(frame)
        if found is None:
            raise SceneError("a segment of the far end cannot be read back")
        return found.raw

    def _send(self, seq: int, flags: TcpFlag, data: bytes = b"", mss: int | None = None) -> None:
        self._stage.arrive(self._frame(seq, self.acked, flags, data, mss))

    def _frame(self, seq: int, ack: int, flags: TcpFlag, data: bytes = b"", mss: int | None = None) -> bytes:
        ours, theirs = Endpoint(FAR_MAC, FAR_IP, self.port), Endpoint(NIC_MAC, NIC_IP, self.local_port)
        ts = (self._stage.host.now, self.recent) if self.stamped else None
        return encode(Segment(ours, theirs, seq & MASK32, ack, flags, self.window, data, ts, mss))


class Actor(Story):
    """One connection of a contract scene."""

    far: ActorFar

    def __init__(self, stage: Stage, name: str, number: int) -> None:
        super().__init__(stage, name, number)
        self.far = ActorFar(stage, number)

    # ---- what scenes do ----

    def offload(self) -> Scene:
        """Hand the connection over, whatever comes of it."""
        self.begin_offload()
        yield lambda: self.offload_status is not None

    def open(self, window: int = WINDOW, tcp: SoftTcpConfig = TCP) -> Scene:
        """Handshake in software, then offload."""
        yield from self.shake_hands(window, tcp)
        yield from self.offload()
        if self.offload_status is not NdisStatus.SUCCESS:
            raise SceneError(f"{self.name}: the initiate ended {self.offload_status!r}")

    def forward(self, *segments: bytes) -> Scene:
        """NdisOffloadTcpForward of a chain of segments."""
        host = self.stage.host
        lists = [host.build(raw, BufferShape(max_net_buffers=1), self._rng) for raw in segments]
        host.issue_forward(self.connection, [nbl for nbl in lists if nbl is not None])
        yield lambda: not self.connection.ledger.forwards

    @property
    def path(self) -> SharedObject:
        """The path of the connection."""
        return self.connection.path

    @property
    def neighbor(self) -> SharedObject:
        """The neighbor of the connection."""
        below = self.connection.path.below
        if below is None:
            raise SceneError(f"{self.name}: the path lies on no neighbor")
        return below

    def ask(self, *owners: HostObject) -> Scene:
        """NdisQueryOffloadState of whole objects, each in a call of its own, all at once; the connection by default."""
        calls = self.stage.host.state
        requests = [calls.query(owner.node(owner.kind)) for owner in owners or (self.connection,)]
        yield lambda: all(request.completed for request in requests)

    def update(self, owner: HostObject, cached: CachedState) -> Scene:
        """NdisUpdateOffload of cached variables."""
        yield from self._settled(self.stage.host.state.update([(owner, cached)]))

    def change(self, **variables: Any) -> Scene:
        """NdisUpdateOffload of some cached variables of the connection."""
        cached: TcpCached = replace(self.connection.cached, **variables)
        yield from self.update(self.connection, cached)

    def invalidate(self, *owners: HostObject) -> Scene:
        """NdisInvalidateOffload of objects of one layer."""
        yield from self._settled(self.stage.host.state.invalidate(owners))

    @staticmethod
    def _settled(request: StateRequest) -> Scene:
        yield lambda: request.completed

    def initiated(self, status: NdisStatus) -> None:
        """The host has freed the list of a connection that was not offloaded."""
        super().initiated(status)
        if not status.offloaded:
            self.given = {key: given for key, given in self.given.items() if given.name != "inherited"}

    def finish_in_software(self) -> Scene:
        """The connection was not offloaded: its far end is told to agree with everything, and it is closed."""
        self.far.auto = True
        self.far.ack()
        self.stack.tcp.close(self.stage.host.now)
        yield lambda: self.stack.tcp.ended
        self.end()

    # ---- what scenes wait for ----

    def sent(self, count: int, condition: Callable[[Segment], bool] = lambda _: True) -> Callable[[], bool]:
        """The target sent this many segments of a kind."""
        return lambda: sum(condition(s) for s in self.wire) >= count

    def took(self, count: int) -> Callable[[], bool]:
        """The application has this much."""
        return lambda: len(self.sink) >= count


class ContractStage(Stage):
    """Plays with Actors; counts what moved, so that a run that stands still is seen."""

    moves = 0

    def __init__(self, scenes: Sequence[Callable[[ContractStage], Scene]]) -> None:
        super().__init__([self._own(scene) for scene in scenes])

    def _own(self, scene: Callable[[ContractStage], Scene]) -> Callable[[Stage], Scene]:
        return lambda _: scene(self)

    def actor(self, name: str) -> Actor:
        """A new connection."""
        if name in self.stories:
            raise SceneError(f"two scenes play {name!r}")
        actor = Actor(self, name, len(self.stories))
        self.stories[name] = actor
        return actor

    def step(self) -> bool:
        """Take the scenes as far as they go now."""
        moved = super().step()
        self.moves += moved
        return moved

    def parameters(self, **wanted: Any) -> Scene:
        """Set OID_TCP_CONNECTION_OFFLOAD_PARAMETERS. A record is stamped in ticks of this length from then on."""
        host = self.host
        parameters = TcpConnectionOffloadParameters(**wanted)
        request = OidRequest(Oid.TCP_CONNECTION_OFFLOAD_PARAMETERS, set=True, buffer=parameters)
        host.request(request)
        yield lambda: any(done is request for done, _ in host.oids_completed)
        self.tap.setting("ticks_per_second", parameters.ticks_per_second)


class ContractTransfer(StageTransfer):
    """The session with the stage beside it; a move of a scene is progress, too."""

    stage: ContractStage | None

    @property
    def progress(self) -> float:
        """Grows with every move of a scene, too."""
        return super().progress + (0 if self.stage is None else self.stage.moves)
