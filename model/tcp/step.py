"""``step(tcb, event, env) -> StepResult``: the pure function that tcp_engine is a pipeline of."""

from __future__ import annotations

from model.layout.generated import (
    Family,
    Opcode,
    PathRec,
    Phase,
    Status,
    Tcb,
    TcpState,
    UploadReason,
    Verdict,
)
from model.tcp import backlog, commands, objects, rx, timers, tx
from model.tcp.messages import complete, retrieve
from model.tcp.seq import MASK, signed
from model.tcp.types import (
    Actions,
    Command,
    Consumed,
    Context,
    Credit,
    Env,
    Event,
    Fault,
    FenceDone,
    RxSegment,
    StepResult,
    Timer,
    TxGrant,
    Writes,
)
from model.tcp.work import TcbWork, freeze, thaw

TIMESTAMP_OPTION_BYTES = 12
IP_TCP_HEADER_BYTES, IPV6_TCP_HEADER_BYTES = 40, 60
_NO_TCB = Tcb()


def effective_mss(remote_mss: int, ts_en: int, path: PathRec) -> int:
    """Payload bytes of a full segment, options paid for (RFC 6691)."""
    headers = IPV6_TCP_HEADER_BYTES if path.family == Family.IPV6 else IP_TCP_HEADER_BYTES
    return min(remote_mss, (path.path_mtu - headers) & MASK) - (TIMESTAMP_OPTION_BYTES if ts_en else 0)


def step(tcb: Tcb, event: Event, env: Env) -> StepResult:
    """One event of tcp_engine. ``tcb`` is that of the event's connection (any for events without one)."""
    c = Context(
        _NOTHING, env.now, env.params, env.credits, 0, env.path, env.neighbor, env.conns, env.room, env.ooo_ranges
    )
    if isinstance(event, Credit):
        c.credits = (env.credits + event.count) & 0xFFFF
        return _result(c, _NO_TCB, False, None)
    if isinstance(event, Command) and objects.without_connection(event.sqe):
        objects.on_object(c, event)
        return _result(c, _NO_TCB, False, None)
    conn, gen = _target(event)
    if isinstance(event, Command) and event.sqe.opcode == Opcode.INITIATE:
        return _initiate(c, tcb, event, env)
    if gen != tcb.gen or tcb.phase == Phase.FREE:
        return _misfit(c, tcb, event)
    _load(c, tcb, env)
    _dispatch(c, event, conn)
    return _finish(c, event, conn)


_NOTHING = TcbWork()


def _target(event: RxSegment | Command | TxGrant | Timer | Consumed | FenceDone | Fault) -> tuple[int, int]:
    """Connection and generation that an event carries."""
    if isinstance(event, RxSegment):
        return event.seg.conn, event.seg.gen
    if isinstance(event, Command):
        return event.sqe.conn, event.sqe.gen
    return event.conn, event.gen


def _load(c: Context, tcb: Tcb, env: Env) -> None:
    """The connection as the event finds it, with its effective MSS where its path is known."""
    c.w = thaw(tcb)
    if env.path is not None:
        c.mss = effective_mss(tcb.remote_mss, tcb.ts_en, env.path)


def _initiate(c: Context, tcb: Tcb, event: Command, env: Env) -> StepResult:
    """B-3; a refused INITIATE leaves TCB and schedule alone, but for E-3 and E-8 of the generation that runs."""
    c.w = thaw(tcb)
    commands.initiate(c, event, bool(env.path and env.path.valid and env.neighbor and env.neighbor.valid))
    if c.dlv is not None:
        return _result(c, freeze(c.w), False, None)
    if event.sqe.gen != tcb.gen or tcb.phase != Phase.RUNNING:
        return _result(c, tcb, False, None, matched=False)
    _load(c, tcb, env)
    return _finish(c, event, event.sqe.conn)


def _misfit(c: Context, tcb: Tcb, event: Event) -> StepResult:
    """E-1: nothing changes; a frame goes up, a command is refused."""
    if isinstance(event, RxSegment):
        c.verdict = Verdict.PASS_UP
    elif isinstance(event, Command):
        c.cpl = complete(event.sqe, event.sq_index, Status.BAD_STATE)
    return _result(c, tcb, False, None, matched=False)


def _dispatch(c: Context, event: Event, conn: int) -> None:
    w = c.w
    running = w.phase == Phase.RUNNING
    if isinstance(event, RxSegment):
        if running:
            rx.on_frame(c, event.seg)
        else:
            c.verdict = Verdict.PASS_UP
    elif isinstance(event, Command):
        commands.on_command(c, event)
    elif isinstance(event, TxGrant):
        if running:
            tx.on_grant(c, conn)
        elif _abort_due(w):
            tx.on_abort_grant(c, conn)
    elif isinstance(event, Timer):
        if running:
            timers.on_timer(c, conn)
    elif isinstance(event, Consumed):
        _consumed(c, event.nbytes)
    elif isinstance(event, FenceDone):
        if w.phase == Phase.FROZEN and w.terminating:
            w.phase, w.terminating = Phase.FREE, 0
            c.image = c.delete_lookup = True
    elif isinstance(event, Fault):
        _fault(c, conn)


def _abort_due(w: TcbWork) -> bool:
    """After the peer's RST a grant is wanted, to complete the sends; TERMINATE's fence does it as well."""
    return bool(w.phase == Phase.FROZEN and not w.terminating and w.abort_owed)


def _consumed(c: Context, nbytes: int) -> None:
    """E: the host took bytes; a window that grew enough is told at once (RFC 9293 3.8.6.2.2)."""
    w = c.w
    w.consumed_seq = (w.consumed_seq + nbytes) & MASK
    if w.phase == Phase.RUNNING:
        grown = signed((w.consumed_seq + w.init_rcv_wnd) & MASK, w.rcv_adv)
        if grown >= min(w.init_rcv_wnd >> 1, c.mss):
            w.ack_now = 1


def _fault(c: Context, conn: int) -> None:
    w = c.w
    if w.phase == Phase.RUNNING or (w.phase == Phase.FROZEN and not w.aborted):
        w.aborted = 1
        w.phase = Phase.FROZEN
        retrieve(c, conn, UploadReason.HARDWARE_FAILURE, freeze=True)


def _finish(c: Context, event: Event, conn: int) -> StepResult:
    """E-8, E-11, E-3, E-4, E-5 on the new state."""
    w = c.w
    if w.phase != Phase.RUNNING:
        return _result(c, freeze(w), _abort_due(w), None)
    waiting = w.state == TcpState.TIME_WAIT and not w.retrieve_sent
    if waiting and c.dlv is None:
        retrieve(c, conn, UploadReason.UPLOAD_REQUESTED, freeze=False)
        waiting = False
    if isinstance(event, RxSegment) and c.dlv is None and c.room:
        backlog.tell(c, conn)
    can = tx.can_send(c)
    timers.policy(c, can)
    owed = w.rtx_head or w.probe_owed or w.ack_now or w.dup_owed or w.release_owed or w.ka_probe_owed
    pending = bool(owed or can or waiting)
    return _result(c, freeze(w), pending, timers.next_deadline(c))


def _result(c: Context, tcb: Tcb, pending: bool, deadline: int | None, *, matched: bool = True) -> StepResult:
    writes = Writes(c.credits, c.new_params, c.new_path, c.new_neighbor)
    actions = Actions(c.tx0, c.tx1, c.dlv, c.cpl, c.verdict, c.image, c.delete_lookup)
    return StepResult(tcb, writes, actions, matched, pending, deadline)
