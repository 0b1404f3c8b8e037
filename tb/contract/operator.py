"""Draws random contract operations and carries them out: what, on which connection, with which sizes.

Pairs of the table that were done too seldom so far are drawn more often. Everything comes from one seed, each kind of
draw from a stream of its own (model/streams.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from model.ndis.enums import DisconnectFlags, Layer, OffloadStateType, TcpCachedFlags, TcpConnectionState
from model.ndis.host import OffloadedConnection, SharedObject
from model.ndis.host_state import HostObject, StateCallError
from model.ndis.offload_state import NeighborCached, PathCached, TcpCached
from model.streams import Streams
from tb.contract.host import ContractHost
from tb.contract.life import Draw, Life, Phase
from tb.contract.misuse import Misuser
from tb.contract.steering import Steering
from tb.contract.table import PEER_KINDS, TABLE, Kind, State, legal
from tb.contract.tally import Shapes, Tally
from tb.contract.wire import ROUTERS, ContractNetwork
from tb.session.network import FIRST_LOCAL_PORT

#: Largest size of a request, lists of a chain.
MAX_SIZE, MAX_CHAIN = 1 << 20, 64
#: Largest size while a run is ahead of its bytes.
SPARED = 64
#: Bytes that are kept for what must have one each.
KEPT = 4096
#: Operations at one tick; in a short run fewer, so that connections get as far as in a long one.
BURST, SHORT_BURST = (1, 1, 2, 3, 4, 6, 8), (1, 1, 1, 2)
SHORT_RUN = 3000

#: How often a kind is drawn where it can be.
WEIGHTS: dict[Kind, float] = {
    Kind.INITIATE: 12, Kind.REOFFLOAD: 10, Kind.TERMINATE: 0.8, Kind.QUERY: 3, Kind.UPDATE: 4, Kind.INVALIDATE: 0.15,
    Kind.SEND: 10, Kind.RECEIVE_PUSH: 5, Kind.RECEIVE_NONPUSH: 1.5, Kind.RECEIVE_ZERO: 2, Kind.RECEIVE_PREFILLED: 2,
    Kind.DISCONNECT: 0.4, Kind.DISCONNECT_DATA: 0.4, Kind.DISCONNECT_ABORTIVE: 0.1, Kind.FORWARD: 3,
    Kind.QUERY_OBJECT: 0.5, Kind.UPDATE_MTU: 0.6, Kind.UPDATE_MAC: 0.6, Kind.RELINK: 0.5,
    Kind.INVALIDATE_PATH: 0.03, Kind.INVALIDATE_NEIGHBOR: 0.02, Kind.TERMINATE_OBJECT: 0.3,
    Kind.PEER_DATA: 10, Kind.PEER_FIN: 0.5, Kind.PEER_RESET: 0.15, Kind.PEER_ZERO_WINDOW: 0.4, Kind.PEER_SILENCE: 0.4,
}  # fmt: skip
#: Times the weight of a pair that was done too seldom so far.
WANTED = 6.0
#: Least MTU of a link that carries IPv6 (RFC 8200, 5).
LEAST_MTU_IPV6 = 1280
#: Share of the operations that go where something is missing, as long as something is.
STEERED = 0.8
#: Behind the operations asked for, at most this many ticks and one part in so many more, for what is still missing.
OVERTIME_TICKS = 2400
OVERTIME_PART = 3
#: Share of the operations that the contract forbids.
MISUSED = 0.2

_OBJECT_KINDS = (
    Kind.QUERY_OBJECT, Kind.UPDATE_MTU, Kind.UPDATE_MAC, Kind.RELINK, Kind.INVALIDATE_PATH, Kind.INVALIDATE_NEIGHBOR,
    Kind.TERMINATE_OBJECT,
)  # fmt: skip
_TCP_QUERIES = (
    OffloadStateType.TCP, OffloadStateType.TCP_CONST, OffloadStateType.TCP_CACHED, OffloadStateType.TCP_DELEGATED,
)  # fmt: skip
_ENDING = (TcpConnectionState.TIME_WAIT, TcpConnectionState.CLOSED)
#: What a connection that the host has closed takes no more.
_SENDING = (Kind.SEND, Kind.DISCONNECT, Kind.DISCONNECT_DATA)
_OFFLOADS = (Kind.INITIATE, Kind.REOFFLOAD)
_RECEIVES = (Kind.RECEIVE_PUSH, Kind.RECEIVE_NONPUSH, Kind.RECEIVE_ZERO, Kind.RECEIVE_PREFILLED)


@dataclass(frozen=True)
class Plan:
    """How much a seed does: operations, bytes, connections at a time, times for each pair of the table.

    `bytes` is what operations draw their sizes from; what steers to a missing pair adds some, to `most` in all:
    each time at most one of so many `parts` of what is left.
    """

    seed: int
    operations: int
    bytes: int
    most: int = 1 << 40
    parts: int = SPARED
    slots: int = 12
    allowed_times: int = 1
    refused_times: int = 1
    #: It begins with every state call on what was never offloaded (`Misuser.nameless`).
    nameless: bool = False


class Operator:
    """Everything random of a run."""

    def __init__(self, plan: Plan, host: ContractHost, network: ContractNetwork) -> None:
        self.plan, self.host, self.network = plan, host, network
        #: Everything that is drawn; this part draws from its child "operator", by the name of what is drawn.
        self.streams = Streams(plan.seed, ("contract",))
        self.draws = self.streams.child("operator").stream
        self.tally, self.shapes = Tally(), Shapes()
        self.lives: list[Life] = []
        self.problems: list[str] = []
        self.bytes = 0
        self._ports = iter(range(FIRST_LOCAL_PORT, 65_536))
        self._tick = -1
        #: All operations were done.
        self.spent = False
        self._overtime_until: int | None = None
        self.misuser = Misuser(host, self)
        self.steering = Steering(self)
        self._draw = Draw(self._answer, self.misuser.answers_wrongly, self._count, self._gone, self.shapes.issued)
        host.may_retire = self._may_retire
        host.returning = self._list_returns
        host.terminate_down = self.misuser.in_passing
        self._do: dict[Kind, Callable[[Life], bool]] = {
            Kind.INITIATE: Life.offload, Kind.REOFFLOAD: Life.offload, Kind.TERMINATE: Life.terminate,
            Kind.QUERY: self._query, Kind.UPDATE: self._update, Kind.INVALIDATE: self._invalidate,
            Kind.SEND: self._send, Kind.DISCONNECT: self._disconnect, Kind.DISCONNECT_DATA: self._disconnect_data,
            Kind.DISCONNECT_ABORTIVE: self._abort, Kind.FORWARD: self.forward, Kind.PEER_DATA: self._peer_data,
            Kind.PEER_FIN: self._peer_fin, Kind.PEER_RESET: self._peer_reset,
            Kind.PEER_ZERO_WINDOW: self._zero_window, Kind.PEER_SILENCE: self._silence,
        } | {kind: self._receive(kind) for kind in _RECEIVES}  # fmt: skip

    # ---- progress ---------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """And every connection came to its end."""
        return self.spent and not self.lives and not self.host.misuses

    @property
    def share(self) -> float:
        """Of the work, 0..1."""
        return min(1.0, self.tally.total / max(1, self.plan.operations)) - 0.01 * bool(self.lives)

    def step(self) -> bool:
        """Once a tick: some operations. True if anything was done."""
        if self.host.now == self._tick:
            return False
        if self._tick < 0 and self.plan.nameless:
            self.misuser.nameless()
        self._tick = self.host.now
        self._bury()
        self._excuse_gaps()
        self.misuser.expectations.settle()
        self._end_silence()
        self._look_at_the_clock()
        if self.spent:
            return self._wind_down()
        while sum(not life.closing for life in self.lives) < self.plan.slots:
            port = next(self._ports)
            draws = Streams(self.plan.seed, ("contract", "lives", str(port))).stream  # and gone with it
            self.lives.append(Life(self.host, self.network, self._draw, port, draws))
        self.steering.tick()
        for _ in range(self.draws("burst").choice(BURST if self.plan.operations > SHORT_RUN else SHORT_BURST)):
            self._operate()
            self.host.step()
        self._doom()
        return True

    @property
    def _overtime(self) -> bool:
        """The operations asked for were done: what follows only makes up for what is missing in the table."""
        return self.tally.total >= self.plan.operations

    def _look_at_the_clock(self) -> None:
        """The run ends when its operations are done and nothing is missing, at the latest after some overtime."""
        if not self._overtime or self.spent:
            return
        if self._overtime_until is None:
            self._overtime_until = self.host.now + OVERTIME_TICKS
        most = self.plan.operations + self.plan.operations // OVERTIME_PART
        over = self.tally.total >= most or self.host.now >= self._overtime_until
        self.spent = over or not self.steering.missing()

    def _gone(self, life: Life) -> None:
        if life.context is not None:
            self.misuser.stale.append(life.context)

    def _bury(self) -> None:
        for life in [life for life in self.lives if life.done]:
            self.lives.remove(life)
            if life.problem:
                self.problems.append(f"port {life.local_port}: {life.problem}")

    def _excuse_gaps(self) -> None:
        """Frames of a connection that became invalid may have been kept back: one gap is theirs (G-03)."""
        for life in self.lives:
            invalid = life.invalid
            if invalid and not life.gap_excused:
                self.network.monitor.expect_gap(life.local_port)
            life.gap_excused = invalid

    def _doom(self) -> None:
        """What the target wants back, or what is closed, goes up some time later; software connections end.

        In overtime others go, too, where nothing is missing: they would keep the places of those that are to come.
        """
        missing = set(self.steering.missing()) if self._overtime else None
        for life in self.lives:
            if life.phase is Phase.LIVE:
                if self.steering.claims(life):
                    continue
                over = life.state in (State.RETRIEVED, State.TIME_WAIT, State.CLOSED, State.INVALID)
                if life.doomed is None and (over or self._in_the_way(life, missing)):
                    life.doomed = self.host.now + self.draws("time to upload").randint(1, 40)
                if life.doomed is not None and self.host.now >= life.doomed and not life.busy:
                    self._count_if(Kind.TERMINATE, life.state, life.terminate())
            elif life.phase is Phase.SOFTWARE and not life.closing:
                room = not self.steering.claims(life) and self._in_the_way(life, missing)
                if room or life.stack.tcp.state in _ENDING:
                    life.close_in_software()

    @staticmethod
    def _in_the_way(life: Life, missing: set[tuple[Kind, State]] | None) -> bool:
        """In overtime: a connection that has closed on one side at least, where nothing is ``missing``."""
        if missing is None:
            return False
        if life.phase is Phase.SOFTWARE:
            kind = Kind.REOFFLOAD if life.offloads else Kind.INITIATE
            return life.software_state is not State.ESTABLISHED and (kind, life.software_state) not in missing
        return life.state is not State.ESTABLISHED and all(state is not life.state for _, state in missing)

    def _wind_down(self) -> bool:
        """No more operations: every connection is uploaded and closed."""
        done = False
        self.steering.release()
        for life in self.lives:
            far = life.far
            if far is not None and (max(far.silent_until, far.deaf_until) > self.host.now or far.app.limit is not None):
                far.silent_until, far.deaf_until, far.app.limit = -1, -1, None
                self.network.poke()
            if life.phase is Phase.LIVE and not life.busy:
                done |= life.terminate()
            elif life.phase is Phase.SOFTWARE and not life.closing:
                life.close_in_software()
                done = True
        return done

    def _end_silence(self) -> None:
        """Windows open again."""
        for life in self.lives:
            far = life.far
            if far is not None and far.app.limit is not None and self.draws("window opens").random() < 0.03:
                far.app.limit = None
                self.network.poke()

    # ---- drawing ----------------------------------------------------------------------------

    def _count(self, kind: Kind, state: State) -> None:
        self.tally.counts[kind, state] += 1

    def _list_returns(self, owner: OffloadedConnection) -> None:
        if isinstance(owner.client, Life):
            self._count(Kind.RECEIVE_RETURN, owner.client.state)

    def _count_if(self, kind: Kind, state: State, done: bool) -> bool:
        if done:
            self._count(kind, state)
        return done

    def wanted(self, kind: Kind, state: State) -> bool:
        """The pair was done too seldom so far."""
        return self.lacks(kind, state) > 0

    def lacks(self, kind: Kind, state: State) -> int:
        """How many times more the pair is to be done."""
        if kind in PEER_KINDS:
            return 0
        need = self.plan.allowed_times if legal(kind, state) else self.plan.refused_times
        return need - self.tally.counts[kind, state]

    def lacking(self, pairs: Iterable[tuple[Kind, State]]) -> list[tuple[Kind, State]]:
        """Those of these allowed pairs that were done too seldom so far."""
        counts, need = self.tally.counts, self.plan.allowed_times
        return [pair for pair in pairs if counts.get(pair, 0) < need]

    def _operate(self) -> None:
        """One operation."""
        if self._overtime:
            self.steering.step()
            return
        if self.draws("misused").random() < MISUSED and self.misuser.step():
            return
        if self.draws("on an object").random() < 0.06 and self._object_operation():
            return
        if self.draws("steered").random() < STEERED and self.steering.step():
            return
        for _ in range(6):
            life = self.draws("connection").choice(self.lives)
            choices = {} if self.steering.claims(life) else self._choices(life)
            if not choices:
                continue
            state = life.state
            kind = self.draws("operation").choices(list(choices), list(choices.values()))[0]
            if kind in _OFFLOADS:
                state = life.software_state
            if kind is Kind.FORWARD:
                self.forward(life)
                return
            if self._count_if(kind, state, self._do[kind](life)):
                return

    def _choices(self, life: Life) -> dict[Kind, float]:
        """What may be done with a connection now, and how much it is wanted."""
        state = life.state
        kinds: list[Kind] = []
        if life.phase is Phase.SOFTWARE:
            return self._weighed(self._software_kinds(life), life.software_state)
        if life.phase is Phase.LIVE and not life.busy:
            kinds = [k for k in self._do if k not in _OFFLOADS and (cell := TABLE.get((k, state))) and cell.legal]
            if life.own_fin and not life.aborted:
                kinds = [kind for kind in kinds if kind not in _SENDING]
        if life.phase in (Phase.LIVE, Phase.TERMINATING, Phase.INITIATING):
            kinds += [kind for kind in PEER_KINDS if kind in self._do]
        return self._weighed(kinds, state)

    def _software_kinds(self, life: Life) -> list[Kind]:
        kind = Kind.REOFFLOAD if life.offloads else Kind.INITIATE
        cell = TABLE.get((kind, life.software_state))
        fit = cell is not None and cell.legal and not life.closing and not self._unfit(life)
        return [kind] if fit else []

    def _unfit(self, life: Life) -> bool:
        """Its path or neighbor was invalidated and must go first."""
        connection = life.connection
        number = life.stack.tcp.remote.ip
        paths = [o for o in self.host.objects() if o.type.layer is Layer.PATH]
        path = next((p for p in paths if getattr(p.const, "destination_address", b"") == number), None)
        below = None if path is None else path.below
        return (connection is not None and life.phase is not Phase.SOFTWARE) or (
            path is not None and (path.invalid or (below is not None and below.invalid))
        )

    def _weighed(self, kinds: list[Kind], state: State) -> dict[Kind, float]:
        return {kind: max(1.0, WEIGHTS[kind]) * WANTED if self.wanted(kind, state) else WEIGHTS[kind] for kind in kinds}

    def size(self, largest: int = MAX_SIZE, of: str = "send") -> int:
        """Log-uniform from 0 to ``largest``, now and then whatever it costs, else as far as the bytes allow by now.

        The first kind, of which a run has some forty, takes about a third of the bytes.
        """
        pace = self.plan.bytes * (self.tally.total + 50) // max(1, self.plan.operations) - self.bytes
        freely = self.draws(f"{of}: any size").random() < self.plan.bytes / (max(1, self.plan.operations) * MAX_SIZE)
        left = min(self.plan.bytes, self.plan.most - KEPT) - self.bytes
        most = min(largest, self.plan.bytes // 4 if freely else max(SPARED, pace), max(0, left))
        return int(math.exp(self.draws(f"{of}: size").uniform(0, math.log(most + 1)))) - 1

    def chain(self, of: str) -> int:
        """Lists in a call."""
        return int(math.exp(self.draws(f"{of}: lists").uniform(0, math.log(MAX_CHAIN + 0.99))))

    def room(self, wanted: int) -> int:
        """Bytes, up to ``wanted``, for what has a purpose beside them: a small part of what is left, at least 1."""
        return max(1, min(wanted, (self.plan.most - self.bytes) // self.plan.parts))

    def data(self, size: int, of: str) -> bytes:
        """Random bytes, counted."""
        self.bytes += size
        return self.draws(f"{of}: bytes").randbytes(size)

    # ---- I/O --------------------------------------------------------------------------------

    @property
    def _short_of_pages(self) -> bool:
        allocator = self.host.allocator
        return allocator.free_pages < allocator.used_pages

    def _send(self, life: Life) -> bool:
        connection = life.connection
        if connection is None or self._short_of_pages or sum(o.length for o in connection.ledger.sends) > MAX_SIZE:
            return False
        pieces: list[bytes] = []
        total = 0
        for _ in range(self.chain("send")):
            size = self.size(MAX_SIZE - total)
            total += size
            pieces.append(self.data(size, "send"))
        return life.send(pieces)

    def _receive(self, kind: Kind) -> Callable[[Life], bool]:
        def post(life: Life) -> bool:
            connection = life.connection
            if connection is None or self._short_of_pages or len(connection.ledger.receives) > 64:
                return False
            largest = MAX_SIZE if kind is not Kind.RECEIVE_NONPUSH else 1 << 16
            total = sum(o.length for o in connection.ledger.receives)
            size = self.draws("receive: size")
            sizes = [int(math.exp(size.uniform(0, math.log(largest)))) for _ in range(self.chain("receive"))]
            while sizes and total + sum(sizes) > 2 * MAX_SIZE:
                sizes.remove(max(sizes))
            return life.receive(kind, sizes or [1])

        return post

    def _disconnect(self, life: Life) -> bool:
        return life.disconnect(b"", DisconnectFlags.GRACEFUL)

    def _disconnect_data(self, life: Life) -> bool:
        size = max(1, self.size(1 << 16, "disconnect"))
        return life.disconnect(self.data(size, "disconnect"), DisconnectFlags.GRACEFUL)

    def _abort(self, life: Life) -> bool:
        return life.disconnect(b"", DisconnectFlags.ABORTIVE)

    def carry_out(self, life: Life, kind: Kind, state: State) -> bool:
        """This operation on this connection, counted if it was done."""
        return kind in self._do and self._count_if(kind, state, self._do[kind](life))

    def offload(self, life: Life, kind: Kind) -> bool:
        """This connection goes into the next initiate, if its objects are fit."""
        state = life.software_state
        return not (life.closing or self._unfit(life)) and self._count_if(kind, state, life.offload())

    def note_peer(self, kind: Kind, state: State) -> None:
        """Something that the peer does by itself."""
        self._count(kind, state)

    def forward(self, life: Life) -> bool:
        """The next segment of the peer comes from the host."""
        far = life.far
        if far is not None:

            def catch(segment: object) -> bool:
                state = life.state
                cell = TABLE.get((Kind.FORWARD, state))
                good = cell is not None and cell.legal and life.forward(segment)  # type: ignore[arg-type]
                return self._count_if(Kind.FORWARD, state, good)

            far.catch = catch
        return False

    def _answer(self, life: Life, total: int) -> tuple[Kind, int]:
        if self.steering.on_the_way(life):
            return Kind.ANSWER_ACCEPT, total
        kinds = {Kind.ANSWER_ACCEPT: 5.0, Kind.ANSWER_PART: 1.5 if total > 1 else 0.0, Kind.ANSWER_REFUSE: 1.0}
        state = life.state
        weighed = {kind: weight * (WANTED if self.wanted_answer(kind, state) else 1) for kind, weight in kinds.items()}
        kind = self.draws("answer").choices(list(weighed), list(weighed.values()))[0]
        consumed = {Kind.ANSWER_ACCEPT: total, Kind.ANSWER_REFUSE: 0}
        return kind, consumed.get(kind, self.draws("part taken").randint(1, max(1, total - 1)))

    def wanted_answer(self, kind: Kind, state: State) -> bool:
        """Such an answer was given too seldom in this state."""
        return (kind, state) in TABLE and self.wanted(kind, state)

    # ---- state calls ------------------------------------------------------------------------

    def _query(self, life: Life) -> bool:
        if life.connection is None:
            return False
        node = life.connection.node(self.draws("query").choice(_TCP_QUERIES))
        return self._try(lambda: self.host.state.query(node))

    def _try(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except StateCallError:
            return False
        return True

    def _update(self, life: Life) -> bool:
        connection = life.connection
        if connection is None:
            return False
        cached = self.changed(connection.cached)
        if TcpCachedFlags.UPDATE_RCV_WND in cached.flags:
            self.network.monitor.expect_window(life.local_port)
        return self._try(lambda: self.host.state.update([(connection, cached)]))

    def changed(self, cached: TcpCached) -> TcpCached:
        """Cached variables, one of them another."""
        draws, flags = self.draws, cached.flags
        window = draws("update: window").choice((10_000, 30_000, 65_535))
        changes: list[Callable[[], TcpCached]] = [
            lambda: replace(cached, ttl_or_hop_limit=draws("update: hop limit").randint(1, 255)),
            lambda: replace(cached, tos_or_traffic_class=draws("update: traffic class").choice((0, 0x10, 0x20))),
            lambda: replace(cached, rcv_indication_size=draws("update: indication size").choice((0, 512, 4096))),
            lambda: replace(cached, flags=flags | TcpCachedFlags.UPDATE_RCV_WND, initial_rcv_wnd=window),
            lambda: replace(cached, flags=flags ^ TcpCachedFlags.NAGLING_ENABLED),
            lambda: replace(cached, flags=flags | TcpCachedFlags.MAX_RT_RESTART),
            lambda: replace(cached, flags=flags | TcpCachedFlags.KEEP_ALIVE_RESTART),
            lambda: replace(
                cached,
                flags=flags ^ TcpCachedFlags.KEEP_ALIVE_ENABLED,
                ka_probe_count=5,
                ka_timeout=20_000,
                ka_interval=1000,
            ),
            lambda: replace(cached, max_rt=draws("update: max RT").choice((0, 0xFFFF_FFFF, 100_000))),
        ]
        return draws("update").choice(changes)()

    def _invalidate(self, life: Life) -> bool:
        connection = life.connection
        return connection is not None and self._try(lambda: self.host.state.invalidate([connection]))

    # ---- paths and neighbors ----------------------------------------------------------------

    def object_state(self, owner: SharedObject) -> State | None:
        """Where it stands; None while it is on its way."""
        if owner.is_offloaded:
            invalid = owner.invalid or (owner.below is not None and owner.below.invalid)
            return State.OBJECT_INVALID if invalid else State.OBJECT
        return State.OBJECT_NONE if owner.phase.value == "none" else None

    def _object_operation(self) -> bool:
        owners = [o for o in self.host.objects() if o.is_offloaded and not self.host.holds(o)]
        if not owners:
            return False
        owner = self.draws("object").choice(owners)
        state = self.object_state(owner)
        if state is None:
            return False
        is_path = owner.type.layer is Layer.PATH
        apart = {Kind.UPDATE_MTU, Kind.RELINK, Kind.INVALIDATE_PATH} if not is_path else {
            Kind.UPDATE_MAC, Kind.INVALIDATE_NEIGHBOR,
        }  # fmt: skip
        kinds: list[Kind] = [
            k for k in _OBJECT_KINDS if k not in apart and k is not Kind.TERMINATE_OBJECT
            and (cell := TABLE.get((k, state))) is not None and cell.legal
        ]  # fmt: skip
        choices = self._weighed(kinds, state)
        if not choices:
            return False
        kind = self.draws("operation on an object").choices(list(choices), list(choices.values()))[0]
        return self._count_if(kind, state, self._object_do(kind, owner))

    def _object_do(self, kind: Kind, owner: SharedObject) -> bool:
        state = self.host.state
        if kind is Kind.QUERY_OBJECT:
            return self._try(lambda: state.query(owner.node(owner.type)))
        if kind is Kind.UPDATE_MTU:
            mtu = self.draws("MTU").choice((576, 1000, 1280, 1500))
            if owner.type is OffloadStateType.IP6:
                mtu = max(mtu, LEAST_MTU_IPV6)
            return self._try(lambda: state.update([(owner, PathCached(mtu))]))
        if kind is Kind.UPDATE_MAC:
            cached = NeighborCached(self.draws("MAC").choice(ROUTERS), self.draws("reachable").randint(0, 1000))
            return self._try(lambda: state.update([(owner, cached)]))
        if kind is Kind.RELINK:
            neighbors = [o for o in self.host.objects() if o.type is OffloadStateType.NEIGHBOR and self._sound(o)]
            if not neighbors:
                return False
            neighbor = self.draws("relink").choice(neighbors)
            return self._try(lambda: state.relink(neighbor, [owner]))
        if self.spent:
            return False
        return self._try(lambda: state.invalidate([owner]))

    def _sound(self, owner: HostObject) -> bool:
        return owner.is_offloaded and not owner.invalid and not self.host.holds(owner)

    def _may_retire(self, owner: SharedObject) -> bool:
        """An idle path or neighbor goes when it is invalid, or now and then, or at the end."""
        state = self.object_state(owner)
        needed = any(life.phase in (Phase.INITIATING, Phase.LIVE, Phase.TERMINATING) and self._depends(life, owner)
                     for life in self.lives)  # fmt: skip
        if state is None or needed or any(life.phase is Phase.INITIATING for life in self.lives):
            return False
        goes = owner.invalid or self.spent or self.draws("object retires").random() < 0.02
        return self._count_if(Kind.TERMINATE_OBJECT, state, goes)

    @staticmethod
    def _depends(life: Life, owner: SharedObject) -> bool:
        connection = life.connection
        return connection is not None and owner in (connection.path, connection.path.below)

    # ---- the peer ---------------------------------------------------------------------------

    def _peer_data(self, life: Life) -> bool:
        far = life.far
        if far is None or far.app.closing or len(far.app.stream) - len(life.got) > MAX_SIZE:
            return False
        far.app.stream += self.data(self.size(of="peer"), "peer")
        self.network.poke()
        return True

    def _peer_fin(self, life: Life) -> bool:
        far = life.far
        if far is None or far.app.closing:
            return False
        far.app.closing = True
        self.network.poke()
        return True

    def _peer_reset(self, life: Life) -> bool:
        far = life.far
        if far is None or life.phase is not Phase.LIVE or far.connection.failure is not None:
            return False
        life.lost = True
        self.network.reset(far, self.host.now)
        return True

    def _zero_window(self, life: Life) -> bool:
        far = life.far
        if far is None or far.app.limit is not None:
            return False
        far.app.limit = len(far.app.received)
        return True

    def _silence(self, life: Life) -> bool:
        far = life.far
        if far is None or far.silent_until > self.host.now:
            return False
        far.silent_until = self.host.now + self.draws("silence").randint(2, 60)
        return True
