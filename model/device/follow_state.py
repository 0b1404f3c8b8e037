"""What every part of the follower shares: golden state, what is expected, and how a divergence is made."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from model.delivery.step import DeliveryError
from model.device.bounds import FETCHED, Liveness, bounds_for
from model.device.config import BACKED_UP, CQ_RESERVE, SQ_BATCH, DeviceConfig
from model.device.core import Core, RxFrame, Write
from model.device.divergence import Divergence, Halt
from model.device.follow_commands import CommandTracker, Posted
from model.device.follow_lookup import LookupHistory
from model.device.follow_raw import RawPosts
from model.device.follow_space import RxSpace
from model.device.follow_writes import Beat, RingWrites, WriteError, WriteLane
from model.device.memory import GoldenMemory
from model.device.txpath import TxFrame, TxPathError
from model.device.words import commit_words
from model.layout.generated import (
    CqSource,
    Csr,
    Tcb,
)
from model.tcp.seq import MASK
from model.tcp.types import StepError

_CHECK_EVERY = 256
ROOM_LAG = 64
"""Cycles from when tcp_engine's event is chosen, with the room there is then, to its record (C.12)."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A completion that must come: packed without phase; ``need`` of its source's preconditions must be met.

    ``cycle`` is that of the commit that called for it.
    """

    cqe: int
    conn: int
    gen: int
    need: int
    number: int
    cycle: int


@dataclass(frozen=True, slots=True)
class Released:
    """A RELEASE or FENCE that took ``entries`` out of the send table of ``conn``.

    In front of it ``issued`` segments were issued and, with its own, ``told`` completions of sends.
    """

    issued: int
    conn: int
    entries: int
    told: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit of a connection, kept for the report: the golden record, packed, and the state in front of it."""

    cycle: int
    record: int
    before: Tcb

    def words(self) -> str:
        """One line."""
        return commit_words(self.record, self.before, self.cycle)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a commit of delivery_engine added to a connection's sum: bytes, and whether they are told at once.

    ``credits``: all credits that had become pending by then; they are told first (C.11).
    """

    nbytes: int
    at_once: bool
    credits: int


class FollowState:
    """Golden state, expectations, and the plumbing of the follower."""

    def __init__(
        self,
        contents: bytes | bytearray,
        conns: int = 64,
        data_w: int = 512,
        *,
        config: DeviceConfig | None = None,
        bounds: Mapping[str, int] | None = None,
        memory_base: int = 0,
    ) -> None:
        self.config = config or DeviceConfig(conns=conns, data_w=data_w)
        self.memory = GoldenMemory(bytearray(contents), memory_base)
        self.divergence: Divergence | None = None
        self.commits_compared = 0
        self.delivery_commits_compared = 0
        self.frames_compared = 0
        self.completions_compared = 0
        self.host_bytes_compared = 0
        self.events: Counter[str] = Counter()
        #: The last commit of tcp_engine was for a connection, not for a path, a neighbor, parameters or credits.
        self.of_connection = True
        self._cycle = 0
        #: Records so far, and how many there were at the last tick strobe.
        self._recorded = self._strobed = 0
        self.live = Liveness(bounds or bounds_for(self.config.conns, self.config.data_w))
        self._reset()

    def _reset(self) -> None:
        self.core = Core(self.config, self.memory)
        self.live = self.live.after_reset()
        self._now: int | None = None
        self._orders = {"tcp": 0, "delivery": 0}
        self._ticks = {"tcp": 0, "delivery": 0}
        self._messages_issued = 0
        self._messages_taken = 0
        self._commands = CommandTracker()
        self._lookup = LookupHistory()
        self._fetched = 0
        # receive
        self._entered: deque[tuple[int, bytes, int]] = deque()
        self._arrivals = 0
        self.frames_without_room: list[int] = []
        """Frames that the device dropped since the reset because rx_buffer was full, by number; each was judged."""
        self._segments: deque[RxFrame] = deque()
        self._raw_wait: deque[RxFrame] = deque()
        self._raw_begun: list[Beat] = []
        self._raw_posts = RawPosts()
        self._space = RxSpace(self.config.rx_beats, self.config.rx_frames)
        # hints under way
        self._grants: Counter[int] = Counter()
        self._timers: Counter[tuple[int, int]] = Counter()
        self._pushes: Counter[tuple[int, int]] = Counter()
        self._consumed: dict[tuple[int, int], deque[Mark]] = {}
        self._credits_taken = 0
        #: Of each unfinished piece of rx_placer: writes and entries that are done when it is.
        self._pieces: deque[tuple[int, int]] = deque()
        self._faults_seen: set[tuple[int, int]] = set()
        self._faults_taken = 0
        # transmit
        self._frames: deque[TxFrame] = deque()
        self._tx_records: deque[TxFrame] = deque()
        self._raw_frames: deque[bytes] = deque()
        self._raw_records: deque[tuple[int, int, bool]] = deque()
        self._raw_sent = 0
        self._tx_seen = 0
        self._tx_issued = 0
        self._released: deque[Released] = deque()
        self._unproven: Counter[int] = Counter()
        # host memory
        self._placed = WriteLane()
        self._raw_placed = WriteLane()
        self._state = WriteLane()
        self._ring = RingWrites()
        self._ring_written: dict[int, bytes] = {}
        self._ring_recorded: dict[int, tuple[bytes, int]] = {}
        self._fence_need: dict[tuple[int, int], int] = {}
        # completions
        #: Frames that may be discarded because of an INVALIDATE, those of each INVALIDATE that is not completed, and
        #: those that must not leave, by order.
        self._barred: set[int] = set()
        self._barriers: deque[frozenset[int]] = deque()
        self._mute: set[int] = set()
        self._expected: dict[CqSource, deque[Expected]] = {source: deque() for source in CqSource}
        self._numbers: Counter[CqSource] = Counter()
        self._cq_written = 0
        self._cq_read = 0
        #: Cycle at which the host last made room in a ring that had few free entries.
        self._tight = -ROOM_LAG
        self._history: dict[int, deque[Commit]] = {}
        self._since_check = 0

    def _at(self, cycle: int) -> None:
        self._cycle = cycle
        self._recorded += 1
        self._since_check += 1
        if self._since_check >= _CHECK_EVERY and self.divergence is None:
            self._since_check = 0
            self._guard(self._check_liveness)

    def _check_liveness(self) -> None:
        """Check 6; nothing is late without room in the completion ring, no descriptor is while few entries are free."""
        if self._ring_is_full():
            self.live.restart(self._cycle)
        elif self._free_entries() <= CQ_RESERVE + SQ_BATCH:
            self.live.restart(self._cycle, FETCHED)
        self.live.check(self._cycle)

    def _free_entries(self) -> int:
        """Entries of the completion ring that the device may still write."""
        return self.core.regs.entries(Csr.CQ_SIZE_LOG2) - 1 - (self._cq_written - self._cq_read)

    def _ring_is_full(self) -> bool:
        return self._free_entries() <= 0 < self.core.regs.entries(Csr.CQ_SIZE_LOG2) - 1

    def _backed_up(self) -> bool:
        """C.12: so many pieces of text are unfinished that the receive path may wait for the completion ring."""
        told = self._numbers[CqSource.DELIVERY] - len(self._expected[CqSource.DELIVERY])
        pieces = self._pieces
        while pieces and pieces[0][0] <= self._placed.finished and pieces[0][1] <= told:
            pieces.popleft()
        return len(pieces) + len(self.core.dlvq) >= BACKED_UP

    def _guard(self, action: Callable[[], None]) -> None:
        """Run ``action`` unless something diverged already; keep the first divergence."""
        if self.divergence is not None:
            return
        try:
            action()
        except Halt as halt:
            found = halt.divergence
        except WriteError as error:
            found = self._finding(4, "write", error.field, error.expected, error.got, "mechanisms M9: host memory")
        except (StepError, DeliveryError, TxPathError) as error:
            found = self._finding(5, "golden", "event", "an event the contract allows here", str(error), "contract")
        else:
            return
        conn = found.conn
        if conn is not None and not found.history:
            found = found.with_history(tuple(commit.words() for commit in self._history.get(conn, ())))
        self.divergence = found

    def _finding(
        self,
        check: int,
        stream: str,
        field: str,
        expected: str,
        got: str,
        rule: str,
        *,
        conn: int | None = None,
        event: str = "-",
        order: int = 0,
        frame: bytes | None = None,
    ) -> Divergence:
        return Divergence(check, stream, order, self._cycle, conn, event, field, expected, got, rule, frame)

    def _not_due(
        self, stream: str, event: str, conn: int | None, expected: str, got: str, field: str = "event"
    ) -> Halt:
        order = self._orders.get(stream, 0)
        rule = "architecture 3, check 5: the event was due"
        return Halt(self._finding(5, stream, field, expected, got, rule, conn=conn, event=event, order=order))

    def _carried_out(self, posted: Posted, stream: str, event: str) -> None:
        """An engine committed a command; the earlier ones of its connection must have come first."""
        other = self._commands.passed_over(posted)
        if other is not None:
            first = f"sq_index {other.decoded.sq_index} first"
            got = f"sq_index {posted.decoded.sq_index}"
            raise self._not_due(stream, event, posted.decoded.sqe.conn, first, got, "cause")
        self.live.end("command", posted.decoded.sq_index, self._cycle)
        self._raw_posts.carried_out(posted.number, self._cycle)

    def _tick_of(self, stream: str, event: str, conn: int, tick: int) -> None:
        """A record's tick is the present one, or the one before for a commit beside the strobe; never falls."""
        now = self._now
        if now is None:
            self._now = now = tick
        fell = (tick - self._ticks[stream]) & 0x8000_0000
        if tick not in (now, (now - 1) & MASK) or fell:
            raise self._not_due(stream, event, conn, str(now), str(tick), "tick")
        self._ticks[stream] = tick

    def _order(self, stream: str, event: str, conn: int, order: int) -> None:
        expected = self._orders[stream] & MASK
        if order != expected:
            raise self._not_due(stream, event, conn, str(expected), str(order), "order")

    def _collect(self, source: CqSource, need: int = 0) -> None:
        """Completions that the golden side just issued become expected."""
        issued = self.core.completions[source]
        while issued:
            cqe = issued.popleft()
            number = self._numbers[source]
            self._numbers[source] += 1
            self._expected[source].append(Expected(cqe.pack(), cqe.conn, cqe.gen, need, number, self._cycle))
            kind = "raw_send" if source == CqSource.RAW_TX else "completion"
            self.live.begin(kind, (source, number), self._cycle)

    def _allow(self, lane: WriteLane, write: Write, action: str) -> None:
        if write.data:
            lane.allow(write.addr, write.data, action)
            self.live.begin("write", (id(lane), lane.issued), self._cycle)

    def _fence_live(self) -> None:
        for key in self.core.fence_due():
            self.live.begin("fence", key, self._cycle)
