"""Brings connections into the states of the table that chance seldom reaches, and does there what is still missing.

Without it a run of 10,000 operations never sees most calls in CLOSING, TIME_WAIT or after a mandatory retrieve. All
draws come from the run's one seed, so a seed does the same whichever seeds run beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tb.contract.life import Life, Phase
from tb.contract.table import AFTER_OWN_FIN, TABLE, Kind, State

if TYPE_CHECKING:
    from tb.contract.operator import Operator

#: Ticks that a connection may take to its state and stay there.
PATIENCE = 70
#: Operations of a connection in the state it was brought to, before it may go on.
STAY = 12
#: And before one may take it out of the state.
ENOUGH = 4
#: Connections that are brought somewhere at a time, as a share of all.
SHARE = 0.7
#: What takes a connection out of its state takes a connection each time.
VISITS = 4
#: Of the connections that follow another one to a state, this share goes there with lists that the host keeps.
WITH_LISTS = 0.5
#: Ticks that it waits for an indication first.
LISTS = 16
#: Bytes that a peer sends to have something to indicate.
SMALL = 1500

ENDING: Final = frozenset((
    Kind.TERMINATE, Kind.INVALIDATE, Kind.DISCONNECT, Kind.DISCONNECT_DATA, Kind.DISCONNECT_ABORTIVE,
))  # fmt: skip
"""What takes a connection out of its state: done when nothing else is missing there."""
ANSWERS: Final = (Kind.ANSWER_ACCEPT, Kind.ANSWER_PART, Kind.ANSWER_REFUSE)
_SENDING = (Kind.SEND, Kind.DISCONNECT, Kind.DISCONNECT_DATA)
#: Where a connection may go whose peer has closed.
BEHIND_FIN = (State.LAST_ACK, State.CLOSED, State.INVALID)
#: States of a connection that is offloaded and at rest.
REACHED = (
    State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK,
    State.TIME_WAIT, State.CLOSED, State.INVALID, State.RETRIEVED,
)  # fmt: skip


class Steering:
    """What is still missing, and who is on the way to it."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self._draws = operator.streams.child("steering").stream
        #: What was missing when it was last asked; nothing is missing again that was not.
        self._missing: Sequence[tuple[Kind, State]] = [pair for pair, cell in TABLE.items() if cell.legal]
        #: Where a connection is to go, and until when.
        self._wishes: dict[int, tuple[State, int]] = {}
        #: Until when it waits for an indication, whose lists the host is to keep until it is there.
        self._lists_by: dict[int, int] = {}
        self._stays: Counter[int] = Counter()

    def claims(self, life: Life) -> bool:
        """Nobody else operates on this connection."""
        return life.local_port in self._wishes

    def tick(self) -> None:
        """Once a tick: connections go a step of their ways, others set out."""
        missing = self.missing()
        self._expire(missing)
        lives = [life for life in self.operator.lives if missing and not life.closing]
        self._draws("who is brought").shuffle(lives)
        for life in lives:
            self._bring(life, missing)

    def step(self) -> bool:
        """One operation that is missing; False if none is possible now."""
        missing = self.missing()
        lives = [life for life in self.operator.lives if missing and not life.closing]
        self._draws("who acts").shuffle(lives)
        lives.sort(key=lambda life: not self.claims(life))
        return any(self._act(life, missing) for life in lives)

    def missing(self) -> Sequence[tuple[Kind, State]]:
        """Pairs that the table allows and that were done too seldom so far."""
        self._missing = self.operator.lacking(self._missing)
        return self._missing

    # ---- wishes -----------------------------------------------------------------------------

    def release(self) -> None:
        """Nobody is brought anywhere any more."""
        lives = {life.local_port: life for life in self.operator.lives}
        for port in list(self._wishes):
            self._free(port, lives.get(port))

    def _expire(self, missing: Sequence[tuple[Kind, State]]) -> None:
        """Wishes of connections that are gone, too late, long enough where they are, or that nothing needs any more."""
        lives = {life.local_port: life for life in self.operator.lives}
        states = {state for _, state in missing}
        for port, (state, until) in list(self._wishes.items()):
            life = lives.get(port)
            over = life is None or life.done or self._stays[port] >= STAY
            if over or self.operator.host.now > until or state not in states:
                self._free(port, life)

    def _free(self, port: int, life: Life | None) -> None:
        del self._wishes[port]
        self._stays.pop(port, None)
        self._lists_by.pop(port, None)
        if life is None:
            return
        if life.connection is not None:
            life.connection.hoards = False
        far = life.far
        if far is not None and far.deaf_until >= 0:
            far.deaf_until = -1
            self.operator.network.poke()

    def on_the_way(self, life: Life) -> bool:
        """It is not where it is to go: what comes in is taken."""
        wish = self._wishes.get(life.local_port)
        return wish is not None and life.state is not wish[0]

    # ---- what is missing in a state ---------------------------------------------------------

    def _act(self, life: Life, missing: Sequence[tuple[Kind, State]]) -> bool:
        """An operation that is missing in the state of this connection."""
        if life.phase is Phase.SOFTWARE:
            return self._offload(life, missing)
        if life.phase is not Phase.LIVE or life.busy:
            return False
        state = life.state
        kinds = [kind for kind, at in missing if at is state]
        if life.own_fin and not life.aborted:
            kinds = [kind for kind in kinds if kind not in _SENDING]
        self._draws("operation").shuffle(kinds)
        goes = self._stays[life.local_port] >= ENOUGH
        kinds.sort(key=lambda kind: -1 if goes and kind in ENDING else self._rank(kind))
        wish = self._wishes.get(life.local_port)
        elsewhere = wish is not None and wish[0] is not state
        for kind in kinds:
            if kind in ENDING and (elsewhere or self._pays_elsewhere(life, state)):
                return False
            if self._do(life, kind, state):
                self._stays[life.local_port] += wish is not None and wish[0] is state
                return True
        return False

    @staticmethod
    def _rank(kind: Kind) -> int:
        """Indications come before requests that would take their data, what ends the state comes last."""
        return 0 if kind is Kind.RECEIVE_RETURN or kind in ANSWERS else 2 if kind in ENDING else 1

    def _pays_elsewhere(self, life: Life, state: State) -> bool:
        """An answer that this connection waits for would be lost."""
        return state is State.ESTABLISHED and not self.claims(life) and self._draws("pays elsewhere").random() < 0.5

    def _do(self, life: Life, kind: Kind, state: State) -> bool:
        operator = self.operator
        if kind is Kind.RECEIVE_RETURN:
            return self._give_back(life)
        if kind in ANSWERS:
            return self._indicate(life, state)
        if kind is Kind.TERMINATE and life.connection is not None:
            operator.host.return_now(life.connection)  # what the host keeps goes back behind the terminate
        if kind is Kind.FORWARD:
            return self._forward(life)
        return operator.carry_out(life, kind, state)

    def _give_back(self, life: Life) -> bool:
        """Lists that the host kept go back now; where it keeps none it gets some."""
        connection = life.connection
        if connection is None:
            return False
        if self.operator.host.return_now(connection):
            return True
        connection.hoards = self.claims(life)
        return self._indicate(life, life.state)

    def _indicate(self, life: Life, state: State) -> bool:
        """The peer sends a little to a connection without requests."""
        far, connection = life.far, life.connection
        if far is None or connection is None or connection.ledger.receives or far.app.closing or not life.hears:
            return False
        if state is State.INVALID and self._draws("indicates when invalid").random() < 0.5:
            return False
        if len(far.app.stream) - len(life.got) > SMALL:
            return False
        size = self._draws("indication: size").randint(2, max(2, self.operator.room(SMALL)))
        far.app.stream += self.operator.data(size, "indication")
        self.operator.network.poke()
        self.operator.note_peer(Kind.PEER_DATA, state)
        return True

    def _forward(self, life: Life) -> bool:
        """The network repeats the peer's last segment, and it comes the other way."""
        far = life.far
        if far is None or far.catch is not None or not far.last:
            return False
        self.operator.forward(life)
        self.operator.network.repeat(far, self.operator.host.now)
        return False

    def _offload(self, life: Life, missing: Sequence[tuple[Kind, State]]) -> bool:
        kind, state = Kind.REOFFLOAD if life.offloads else Kind.INITIATE, life.software_state
        wish = self._wishes.get(life.local_port)
        if wish is not None and not life.offloads and wish[0] is State.CLOSE_WAIT and state is not State.CLOSE_WAIT:
            return False
        return ((kind, state) in missing or state is State.ESTABLISHED) and self.operator.offload(life, kind)

    # ---- ways -------------------------------------------------------------------------------

    def _bring(self, life: Life, missing: Sequence[tuple[Kind, State]]) -> bool:
        """One step of a connection towards a state in which something is missing."""
        wish = self._wishes.get(life.local_port)
        first = False
        if wish is None:
            if len(self._wishes) >= SHARE * len(self.operator.lives):
                return False
            wish = self._draw(life, missing)
            if wish is None:
                return False
            first = not any(goal is wish[0] for goal, _ in self._wishes.values())
            first = first or self._draws("with lists").random() < WITH_LISTS
            self._wishes[life.local_port] = wish
        # what is not given back there goes back behind the terminate that ends the visit
        lacks = any(self.operator.lacks(Kind.RECEIVE_RETURN, state) > 0 for state in (wish[0], State.TERMINATING))
        if lacks and (life.local_port in self._lists_by or first) and self._waits_for_lists(life):
            return False
        return self._toward(life, wish[0])

    def _waits_for_lists(self, life: Life) -> bool:
        """The host is to have lists in the state that the connection goes to: some text first, that it keeps."""
        connection, now = life.connection, self.operator.host.now
        if life.phase is not Phase.LIVE or life.state is not State.ESTABLISHED or connection is None:
            return False
        if life.local_port not in self._lists_by:
            asked = not life.busy and self._indicate(life, life.state)
            self._lists_by[life.local_port] = now + (LISTS if asked else 0)
            connection.hoards = asked
        return not connection.ledger.indicated and now < self._lists_by[life.local_port]

    def _draw(self, life: Life, missing: Sequence[tuple[Kind, State]]) -> tuple[State, int] | None:
        """A state for a connection that is free: the more is missing there and the fewer go there, the likelier."""
        until = self.operator.host.now + PATIENCE
        if life.phase is Phase.SOFTWARE:
            first = not life.offloads and life.software_state is State.ESTABLISHED
            waiting = sum(self.claims(one) and one.phase is Phase.SOFTWARE for one in self.operator.lives)
            wanted = self.operator.lacks(Kind.INITIATE, State.CLOSE_WAIT) > waiting
            return (State.CLOSE_WAIT, until) if first and wanted else None
        if life.phase is not Phase.LIVE or life.busy or life.state not in (State.ESTABLISHED, State.CLOSE_WAIT):
            return None
        if life.connection is None or life.connection.ledger.sends or not self._drained(life):
            return None
        here = BEHIND_FIN if life.state is State.CLOSE_WAIT else REACHED
        under_way = Counter(state for state, _ in self._wishes.values())
        weights: Counter[State] = Counter()
        for kind, state in missing:
            if state in here and state is not life.state:
                visits = VISITS if kind in ENDING or kind is Kind.REOFFLOAD else 1
                weights[state] += visits * self.operator.lacks(kind, state)
        choices = {state: n / (1 + 3 * under_way[state]) for state, n in weights.items()}
        if not choices:
            return None
        return self._draws("goal").choices(list(choices), list(choices.values()))[0], until

    def _toward(self, life: Life, goal: State) -> bool:
        operator, far = self.operator, life.far
        if far is None:
            return False
        if life.phase is Phase.SOFTWARE:
            return goal is State.CLOSE_WAIT and self._peer_closes(life)
        if life.phase is not Phase.LIVE or life.busy or life.state is goal:
            return False
        state = life.state
        if state not in (State.ESTABLISHED, State.CLOSE_WAIT, *AFTER_OWN_FIN):
            return False
        match goal:
            case State.FIN_WAIT_1 | State.LAST_ACK if state is not State.FIN_WAIT_1:
                if goal is State.LAST_ACK and state is State.ESTABLISHED:
                    return self._peer_closes(life)
                return self._closes(life, deaf=True)
            case State.CLOSING | State.TIME_WAIT:
                if state is not State.ESTABLISHED or not self._drained(life) or life.peer_closes:
                    return False
                return self._closes(life, deaf=goal is State.CLOSING) and self._peer_closes(life)
            case State.FIN_WAIT_2:
                return state is State.ESTABLISHED and self._closes(life, deaf=False)
            case State.CLOSE_WAIT:
                return state is State.ESTABLISHED and self._peer_closes(life)
            case State.CLOSED:
                kind = self._draws("end").choice((Kind.PEER_RESET, Kind.DISCONNECT_ABORTIVE))
                return operator.carry_out(life, kind, state)
            case State.INVALID:
                return operator.carry_out(life, Kind.INVALIDATE, state)
            case State.RETRIEVED:
                return self._urgent(life)
        return False

    def _closes(self, life: Life, *, deaf: bool) -> bool:
        """The host closes; a deaf peer does not hear of it."""
        far = life.far
        if far is None or (life.own_fin and not life.aborted):
            return False
        if deaf:
            far.deaf_until = self.operator.host.now + PATIENCE
        kind = self._draws("close").choice((Kind.DISCONNECT, Kind.DISCONNECT_DATA))
        return self.operator.carry_out(life, kind, life.state)

    def _peer_closes(self, life: Life) -> bool:
        return self.operator.carry_out(life, Kind.PEER_FIN, life.state)

    def _drained(self, life: Life) -> bool:
        """Nothing stands between the peer's application and its FIN."""
        far = life.far
        if far is None or far.app.limit is not None or max(far.silent_until, far.deaf_until) > self.operator.host.now:
            return False
        return len(far.app.stream) == len(life.got)

    def _urgent(self, life: Life) -> bool:
        """The peer's next text is urgent: the target wants the connection back."""
        far = life.far
        if far is None or far.app.closing or far.urgent:
            return False
        far.urgent = True
        size = self._draws("urgent: size").randint(1, self.operator.room(SMALL))
        far.app.stream += self.operator.data(size, "urgent")
        self.operator.network.poke()
        self.operator.note_peer(Kind.PEER_URGENT, life.state)
        return True
