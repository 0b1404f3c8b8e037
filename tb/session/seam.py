"""Cuts through a session: uploads at chosen moments, compared with the model's state at that instant.

A `Seam` belongs to a `Transfer` whose connections are `CutTransferApp`s. It picks the moments, from a seed or by what
the model's state shows, and judges what each upload brought against the golden TCB of the same connection and against
the file itself. The host stack then goes on from the upload alone, and the connection goes down again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from model.device.core import Core
from model.layout.generated import Dcb, Phase, Tcb, TcpState
from model.ndis.cut_transfer import CutTransferApp, HandedBack
from model.ndis.enums import TcpConnectionState
from model.ndis.offload_state import NOT_RUNNING, TcpDelegated
from model.ndis.status import NdisStatus
from model.streams import Streams

if TYPE_CHECKING:
    from tb.session.transfer import Transfer

MASK: Final = 0xFFFF_FFFF
CONDITIONS: Final = (
    "slow start",
    "recovery",
    "after an RTO",
    "FIN sent",
    "FIN received",
    "data buffered",
    "zero window",
    "indication pending",
    "graceful disconnect pending",
    "wrap in flight",
)
"""What a connection may be in the middle of when it is cut."""

_FIN_SENT: Final = (TcpState.FIN_WAIT_1, TcpState.CLOSING, TcpState.LAST_ACK)
_FIN_RECEIVED: Final = (TcpState.CLOSE_WAIT, TcpState.CLOSING, TcpState.LAST_ACK)
_TIMED: Final = (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT, *_FIN_SENT)
_AT_THE_END: Final = 1
"""The most of them for each connection."""
_SHARE_AT_THE_END: Final = 0.3
"""Of random cuts: those at or behind the end of the data, where the connection closes."""
_AHEAD_BYTES: Final = 24 * 1024
_WAIT_TICKS: Final = (0, 0, 0, 1, 2, 3)
_PAUSE_TICKS: Final = (0, 0, 1, 3, 10, 60, 400)


def conditions(tcb: Tcb, dcb: Dcb, *, disconnecting: bool, buffered: bool) -> list[str]:
    """Which of `CONDITIONS` hold for a connection of the model."""
    flight = (tcb.snd_max - tcb.snd_una) & MASK
    sends = tcb.state in _TIMED
    blocked = tcb.snd_wnd == 0 and tcb.snd_end != tcb.snd_una
    holds = {
        "slow start": sends and flight > 0 and tcb.cwnd < tcb.ssthresh and not tcb.in_recovery,
        "recovery": bool(tcb.in_recovery),
        "after an RTO": sends and tcb.rtx_count > 0 and not tcb.persist and flight > 0,
        "FIN sent": tcb.state in _FIN_SENT,
        "FIN received": tcb.state in _FIN_RECEIVED,
        "data buffered": buffered,
        "zero window": sends and blocked,
        "indication pending": bool(dcb.d),
        "graceful disconnect pending": disconnecting,
        "wrap in flight": flight > 0 and tcb.snd_max < tcb.snd_una,
    }
    return [name for name in CONDITIONS if holds[name]]


@dataclass
class Cut:
    """One upload and what was found. ``tick`` and ``cycle``: when the terminate was called."""

    app: int
    tick: int
    cycle: int
    state: str
    conditions: list[str]
    done: bool = False
    again: bool = False
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """When to cut: once this share of the file came back, ``wait`` ticks and ``rounds`` looks later.

    ``wanted``: not before one of these conditions has held for ``rounds`` looks.
    """

    share: float
    wait: int
    rounds: int
    pause: int
    keep_received: bool
    wanted: tuple[str, ...] = ()


def random_plans(seed: int, count: int, conns: int) -> list[Plan]:
    """``count`` cuts spread over the transfer of ``conns`` connections, its end included."""
    rng = random.Random(f"cuts/{seed}")
    late = min(round(count * _SHARE_AT_THE_END), _AT_THE_END * conns)
    shares = sorted([0.97 * rng.random() for _ in range(count - late)] + [1.0] * late)
    return [_plan(rng, share) for share in shares]


def wanted_plans(seed: int, wanted: list[str]) -> list[Plan]:
    """As many cuts as there are names, each when one of those conditions holds that was not met yet."""
    rng = random.Random(f"hunt/{seed}")
    return [_plan(rng, 0.0, tuple(wanted)) for _ in wanted]


def _plan(rng: random.Random, share: float, wanted: tuple[str, ...] = ()) -> Plan:
    rounds = rng.choice((0, 0, 0, 1)) if wanted else rng.randrange(12)
    return Plan(share, rng.choice(_WAIT_TICKS), rounds, rng.choice(_PAUSE_TICKS), rng.random() < 0.4, wanted)


def upload_differences(tcb: Tcb, up: TcpDelegated, first: int, last: int) -> list[str]:
    """Uploaded state against the TCB it was made of, between the ticks ``first`` and ``last`` (tcp_step.md, E)."""
    now = (up.ts_time - tcb.ts_delta) & MASK
    found = []
    if not first <= now <= last:
        found.append(f"ts_time is that of tick {now}, the upload was between {first} and {last}")

    def remaining(running: int, deadline: int) -> int:
        left = (deadline - now) & MASK
        return NOT_RUNNING if not running else 0 if left >= 1 << 31 else left

    expected = {
        "state": tcb.state,
        "rcv_nxt": tcb.rcv_nxt,
        "rcv_wnd": (tcb.rcv_adv - tcb.rcv_nxt) & MASK,
        "snd_una": tcb.snd_una,
        "snd_nxt": tcb.snd_nxt,
        "snd_max": tcb.snd_max,
        "snd_wnd": tcb.snd_wnd,
        "max_snd_wnd": tcb.max_snd_wnd,
        "send_wl1": tcb.snd_wl1,
        "c_wnd": tcb.cwnd,
        "ss_thresh": tcb.ssthresh,
        "s_rtt": tcb.srtt,
        "rtt_var": tcb.rttvar,
        "ts_recent": tcb.ts_recent,
        "ts_recent_age": (now - tcb.ts_recent_tick) & MASK,
        "total_rt": tcb.total_rt,
        "dup_ack_count": tcb.dup_acks,
        "snd_wnd_probe_count": tcb.snd_wnd_probe_count,
    }
    timers = {
        "retransmit.count": (up.retransmit.count, tcb.rtx_count),
        "retransmit.timeout_delta": (up.retransmit.timeout_delta, remaining(tcb.rtx_on, tcb.rtx_deadline)),
        "keep_alive.probe_count": (up.keep_alive.probe_count, tcb.ka_probes_sent),
        "keep_alive.timeout_delta": (up.keep_alive.timeout_delta, remaining(tcb.ka_on, tcb.ka_deadline)),
    }
    pairs = {name: (int(getattr(up, name)), value) for name, value in expected.items()} | timers
    found += [f"{name} is {got}, the model has {wanted}" for name, (got, wanted) in pairs.items() if got != wanted]
    return found


class Seam:
    """Cuts of one session. Call ``step`` whenever the host may act; read ``cuts`` and ``problems`` at the end."""

    def __init__(self, transfer: Transfer, apps: list[CutTransferApp], plans: list[Plan], seed: int) -> None:
        self.cuts: list[Cut] = []
        self.uploads = 0
        #: The model: that of the device itself, or the one that follows it.
        self.core: Callable[[], Core | None] = lambda: None
        #: Clock cycle (of a device in Python: events so far), for the record.
        self.cycle: Callable[[], int] = lambda: 0
        self._transfer = transfer
        self._apps = apps
        self._plans = plans[::-1]
        self._streams = Streams(seed).child("seam")
        self._due: int | None = None
        self._rounds = 0
        self._open: dict[int, Cut] = {}
        #: By connection of the device: port and generation of what was compared last.
        self._judged: dict[int, tuple[int, int]] = {}
        self._other_problems: list[str] = []
        self._asked = sum(plan.share < 1.0 for plan in plans if not plan.wanted)
        self._met = Counter[str]()
        self._pace()
        for number, app in enumerate(apps):
            app.handed_back = lambda what, number=number: self._handed_back(number, what)  # type: ignore[misc]

    # ---- choosing --------------------------------------------------------------------------

    def _pace(self) -> None:
        """Nobody sends far beyond the next cut: the file must last for all of them."""
        plan = self._plans[-1] if self._plans else None
        for app in self._apps:
            total = len(app.data)
            if plan is not None and plan.wanted:
                limit = len(app.sink) + _AHEAD_BYTES
            else:
                limit = total if plan is None or plan.share == 1.0 else int(plan.share * total) + _AHEAD_BYTES
            app.stays_open = plan is not None and not plan.wanted and plan.share < 1.0
            app.send_limit = min(total, limit)

    @property
    def armed(self) -> bool:
        """The next cut may come any moment: the device should go on in small steps."""
        return bool(self._plans)

    @property
    def steps(self) -> int | None:
        """Events that the device may process before the host acts again; None: any number."""
        return self._streams.stream("steps").choice((1, 3, 10, 40)) if self.armed else None

    @property
    def deadline(self) -> int | None:
        """Tick at which the next cut is due, if that is known."""
        return None if self._due is None or self._due <= self._transfer.host.now else self._due

    def step(self) -> None:
        """Cut if this is the moment."""
        if not self._plans:
            return
        plan = self._plans[-1]
        if plan.wanted:
            self._hunt(plan)
            return
        if self._transfer.progress < plan.share:
            return
        now = self._transfer.host.now
        if self._due is None:
            self._due, self._rounds = now + plan.wait, plan.rounds
        if now < self._due:
            return
        self._rounds -= 1
        ready = [number for number, app in enumerate(self._apps) if app.can_be_cut]
        if self._rounds < 0 and ready:
            self._cut(self._streams.stream("connection").choice(ready), plan)

    def _hunt(self, plan: Plan) -> None:
        self._pace()
        now = self._transfer.host.now
        if self._due is None:
            self._due, self._rounds = now + plan.wait, plan.rounds
        if now < self._due:
            return
        missing = Counter(plan.wanted) - self._met
        for number, app in enumerate(self._apps):
            found = self._look(number) if app.can_be_cut else None
            wanted = [] if found is None else [name for name in self._conditions(number, *found) if missing[name]]
            if wanted:
                self._rounds -= 1
                if self._rounds < 0:
                    self._met[max(wanted, key=lambda name: missing[name])] += 1
                    self._cut(number, plan)
                return

    def _look(self, number: int) -> tuple[Tcb, Dcb] | None:
        """TCB and DCB of a connection in the model, None while it has none."""
        core = self.core()
        if core is None:
            return None
        port = self._apps[number].local_port
        for tcb, state in zip(core.tcbs, core.dcbs, strict=True):
            if tcb.local_port == port and tcb.phase != Phase.FREE:
                return tcb, state.dcb
        return None

    def _conditions(self, number: int, tcb: Tcb, dcb: Dcb) -> list[str]:
        app = self._apps[number]
        return conditions(tcb, dcb, disconnecting=app.disconnect_pending, buffered=dcb.list_count > 0)

    def _cut(self, number: int, plan: Plan) -> None:
        app, found = self._apps[number], self._look(number)
        self._plans.pop()
        self._due, self._rounds = None, 0
        self._pace()
        names, state = ([], "unknown") if found is None else (self._conditions(number, *found), found[0].state)
        shown = state if isinstance(state, str) else TcpState(state).name
        cut = Cut(number, self._transfer.host.now, self.cycle(), shown, names)
        self.cuts.append(cut)
        self._open[number] = cut
        app.cut(plan.pause, plan.keep_received)

    # ---- judging ---------------------------------------------------------------------------

    def _handed_back(self, number: int, what: HandedBack) -> None:
        """An upload arrived: compare it with the model at that instant and with the file."""
        self.uploads += 1
        cut = self._open.pop(number, None)
        problems = self._problems(number, what, cut)
        if cut is None:
            self._other_problems += [f"connection {number}: {text}" for text in problems]
        else:
            cut.done = True
            cut.problems += problems
            self._settle(cut, what)
        self._judged_upload(number)

    def _settle(self, cut: Cut, what: HandedBack) -> None:
        """State and conditions as the upload itself has them; what only the moment of the call had stays."""
        tcb = self._last_tcb(self._apps[cut.app].local_port)
        up = what.delegated
        if up is None or tcb is None:
            return
        cut.state = up.state.name
        of_call = {"indication pending", "graceful disconnect pending"} & set(cut.conditions)
        at_end = set(conditions(tcb, Dcb(), disconnecting=False, buffered=bool(what.buffered)))
        cut.conditions = [name for name in CONDITIONS if name in of_call | at_end]

    def _last_tcb(self, port: int) -> Tcb | None:
        """What the model's TCB of a connection was when its upload was made: it lies there until the next INITIATE."""
        core = self.core()
        for number, tcb in enumerate([] if core is None else core.tcbs):
            if tcb.local_port == port and tcb.phase == Phase.FREE and self._judged.get(number) != (port, tcb.gen):
                return tcb
        return None

    def _judged_upload(self, number: int) -> None:
        """What lies in the model of a connection now belongs to an upload of the past."""
        core, port = self.core(), self._apps[number].local_port
        for conn, tcb in enumerate([] if core is None else core.tcbs):
            if tcb.phase == Phase.FREE and tcb.local_port == port:
                self._judged[conn] = port, tcb.gen

    def _problems(self, number: int, what: HandedBack, cut: Cut | None) -> list[str]:
        if what.status is not NdisStatus.SUCCESS or what.delegated is None:
            return [f"the terminate ended with {what.status.name}"]
        app, found = self._apps[number], list[str]()
        tcb = self._last_tcb(app.local_port)
        now = self._transfer.host.now
        if tcb is None:
            found.append("the model has no TCB of the connection")
        elif not tcb.aborted:
            first = now - 2 if cut is None else cut.tick
            found += upload_differences(tcb, what.delegated, first, now)
        if what.unacknowledged != what.expected and app.failure == "" and not (tcb and tcb.aborted):
            came, due = len(what.unacknowledged), len(what.expected)
            found.append(f"{came} unacknowledged bytes came back, {due} others lie from SndUna on")
        total = what.received + len(what.buffered)
        # a closed connection does not tell whether the peer's FIN counts (G-43)
        unknown = what.delegated.state is TcpConnectionState.CLOSED
        if what.below_rcv_nxt - total not in ((0, 1) if unknown else (0,)):
            found.append(
                f"{total} bytes received with the {len(what.buffered)} buffered ones, RcvNxt says {what.below_rcv_nxt}"
            )
        return found

    @property
    def problems(self) -> list[str]:
        """What the uploads showed, one line each."""
        found = [f"cut at tick {cut.tick} ({cut.state}): {text}" for cut in self.cuts for text in cut.problems]
        found += [f"cut at tick {cut.tick}: no upload came" for cut in self.cuts if not cut.done]
        if len(self.cuts) < self._asked:
            found.append(f"{len(self.cuts)} cuts were made, {self._asked} were to be")
        return found + self._other_problems

    @property
    def by_condition(self) -> Counter[str]:
        """Cuts in each condition."""
        return Counter(name for cut in self.cuts if cut.done for name in cut.conditions)
