"""``step(state, event, env) -> DeliveryResult``: docs/contract/delivery_step.md as a pure function.

State of one connection is the DCB, its ring of posted requests, its list of pool buffers with undelivered data, its
lists of data behind a hole, and what of a message is still to be done: the rest of a DELIVER that did not fit one
piece, lists to give back, a list to join. The free queue of pool buffers belongs to the engine: a step sees its
head and says what it took from the head and put at the tail.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from model.delivery.held import NOTHING_HELD, NOTHING_LEFT, Aftermath, Held, PoolPiece, track
from model.delivery.work import DcbWork, freeze, thaw
from model.layout.generated import (
    POOL_BUF_BYTES,
    Cqe,
    CqKind,
    Dcb,
    DlvEvt,
    DlvMsg,
    LeftOver,
    Opcode,
    PlOp,
    Plq,
    RcvReq,
    Sqe,
    Status,
    TcpEventType,
)
from model.tcp.seq import MASK, due

_NOPUSH, _PREFILL = 1, 2
"""Bits of a RECEIVE's flags."""
_NO_DCB = Dcb()


@dataclass(frozen=True, slots=True)
class Message:
    """A message of tcp_engine: DELIVER, LOAD, START, UPDATE, FREEZE, NOTIFY."""

    msg: DlvMsg


@dataclass(frozen=True, slots=True)
class DlvCommand:
    """RECEIVE, ANSWER, RESUME or POOL_POST (checked by command_decode)."""

    sqe: Sqe
    sq_index: int
    indices: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PushTimer:
    """TIMER of a connection and generation."""

    conn: int
    gen: int


@dataclass(frozen=True, slots=True)
class Continue:
    """CONTINUE: the next piece of work of a connection."""

    conn: int


DeliveryEvent = Message | DlvCommand | PushTimer | Continue


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Where the bytes of a forwarded segment that are still to be placed lie (host address), and its command."""

    src: int
    cookie: int
    sq_index: int


@dataclass(frozen=True, slots=True)
class Rest:
    """What of a segment's payload is still to be placed, and what follows it.

    ``forwarded``: the payload lies in host memory; with nothing left to place its completion is owed.
    """

    arrival: int
    offset: int
    length: int
    psh: int
    forwarded: Forwarded | None = None


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """Everything the engine keeps for one connection."""

    dcb: Dcb = _NO_DCB
    requests: tuple[RcvReq, ...] = ()
    pieces: tuple[PoolPiece, ...] = ()
    rest: Rest | None = None
    held: Held = NOTHING_HELD
    after: Aftermath = NOTHING_LEFT


@dataclass(frozen=True, slots=True)
class DeliveryEnv:
    """All a step reads beside its own state. ``free_head``: pool buffer at the head of the free queue."""

    now: int
    pool_base: int = 0
    recvs: int = 16
    free_head: int | None = None


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """State after the step and what it causes.

    ``took_free``: the head of the free queue was used; ``freed``: buffers for its tail, in order.
    ``forwarded``: the operation is a COPY out of a forwarded segment.
    ``consumed`` bytes and ``credit_ret`` credits go back to tcp_engine; ``consumed_now``: do not wait for the batch.
    """

    state: DeliveryState
    plq: Plq | None
    took_free: bool
    freed: tuple[int, ...]
    consumed: int
    credit_ret: int
    consumed_now: bool
    more: bool
    forwarded: bool = False


class DeliveryError(ValueError):
    """The step met what the contract rules out, e.g. payload without a pool buffer and without a request."""


@dataclass(slots=True)
class _Step:
    """The step under way."""

    conn: int
    w: DcbWork
    requests: tuple[RcvReq, ...]
    pieces: tuple[PoolPiece, ...]
    rest: Rest | None
    held: Held
    after: Aftermath
    env: DeliveryEnv
    op: PlOp = PlOp.NONE
    arrival: int = 0
    offset: int = 0
    length: int = 0
    last: int = 0
    src: int = 0
    dst: int = 0
    list_data: int = 0
    barrier: int = 0
    forwarded: bool = False
    cqe: Cqe | None = None
    freeze_done: int = 0
    took_free: bool = False
    freed: tuple[int, ...] = ()
    consumed: int = 0
    credit_ret: int = 0
    consumed_now: bool = False

    # ---- requests and pool pieces ----------------------------------------------------------

    def complete_head(self, status: Status = Status.OK) -> None:
        """The oldest request completes with what was placed."""
        w, request = self.w, self.requests[0]
        self.cqe = receive_cqe(self.conn, w.gen, request.cookie, status, w.req_filled)
        self.requests = self.requests[1:]
        w.req_head = (w.req_head + 1) % self.env.recvs
        w.req_count -= 1
        w.req_filled = 0
        self.consumed_now = True

    def pop_piece(self) -> PoolPiece:
        """Take the oldest pool buffer off the list."""
        piece, self.pieces = self.pieces[0], self.pieces[1:]
        self.track_list()
        return piece

    def track_list(self) -> None:
        """The list's ends as the DCB holds them; both 0 when it is empty."""
        w = self.w
        w.list_count = len(self.pieces)
        w.list_head = self.pieces[0].buf if self.pieces else 0
        w.list_tail = self.pieces[-1].buf if self.pieces else 0

    def hold(self, slot: int, pieces: tuple[PoolPiece, ...]) -> None:
        """List ``slot`` holds ``pieces`` now."""
        self.held = (*self.held[:slot], pieces, *self.held[slot + 1 :])
        track(self.w, self.held)

    def drop_held(self, slot: int) -> None:
        """J-1: the oldest buffer of list ``slot`` goes back to the free queue."""
        head, *rest = self.held[slot]
        self.hold(slot, tuple(rest))
        self.recycle(head)

    def recycle(self, piece: PoolPiece) -> None:
        """An emptied pool buffer goes back to the free queue."""
        self.freed = (piece.buf,)
        self.credit_ret += 1


def receive_cqe(conn: int, gen: int, cookie: int, status: Status, nbytes: int, sq_index: int = 0) -> Cqe:
    """Completion of a RECEIVE."""
    return Cqe(
        kind=CqKind.RECEIVE,
        status=status,
        conn=conn,
        gen=gen,
        code=Opcode.RECEIVE,
        cookie=cookie,
        nbytes=nbytes,
        sq_index=sq_index,
    )


def command_cqe(sqe: Sqe, sq_index: int, status: Status) -> Cqe:
    """Completion of ANSWER, RESUME or RECEIVE with an error."""
    kind = CqKind.RECEIVE if sqe.opcode == Opcode.RECEIVE else CqKind.COMMAND
    return Cqe(
        kind=kind, status=status, conn=sqe.conn, gen=sqe.gen, code=sqe.opcode, cookie=sqe.cookie, sq_index=sq_index
    )


def step(state: DeliveryState, event: DeliveryEvent, env: DeliveryEnv) -> DeliveryResult:
    """One commit of delivery_engine. ``state`` is that of the event's connection (any for POOL_POST)."""
    conn, gen = _target(event, state.dcb)
    s = _Step(conn, thaw(state.dcb), state.requests, state.pieces, state.rest, state.held, state.after, env)
    if isinstance(event, DlvCommand) and event.sqe.opcode == Opcode.POOL_POST:
        return DeliveryResult(state, None, False, event.indices, 0, len(event.indices), False, False)
    if isinstance(event, Message) and event.msg.kind == DlvEvt.LOAD:
        _load(s, event.msg)
    elif not s.w.loaded or gen != s.w.gen:
        if isinstance(event, DlvCommand):
            s.cqe = command_cqe(event.sqe, event.sq_index, Status.BAD_STATE)
    elif isinstance(event, Message):
        _message(s, event.msg)
    elif isinstance(event, DlvCommand):
        _command(s, event)
    elif isinstance(event, PushTimer):
        _push_timer(s)
    else:
        _continue(s)
    return _result(s)


def _target(event: DeliveryEvent, dcb: Dcb) -> tuple[int, int]:
    if isinstance(event, Message):
        return event.msg.conn, event.msg.gen
    if isinstance(event, DlvCommand):
        return event.sqe.conn, event.sqe.gen
    if isinstance(event, PushTimer):
        return event.conn, event.gen
    return event.conn, dcb.gen


def _result(s: _Step) -> DeliveryResult:
    plq: Plq | None = None
    if s.op or s.cqe is not None or s.freeze_done:
        plq = Plq(
            op=s.op,
            conn=s.conn,
            gen=s.w.gen if s.cqe is None else s.cqe.gen,
            arrival=s.arrival,
            offset=s.offset,
            len=s.length,
            last=s.last,
            src=s.src,
            dst=s.dst,
            list_data=s.list_data,
            barrier=s.barrier,
            cqe_valid=int(s.cqe is not None),
            freeze_done=s.freeze_done,
            cqe=0 if s.cqe is None else s.cqe.pack(),
        )
    state = DeliveryState(freeze(s.w), s.requests, s.pieces, s.rest, s.held, s.after)
    more = has_work(state)
    return DeliveryResult(state, plq, s.took_free, s.freed, s.consumed, s.credit_ret, s.consumed_now, more, s.forwarded)


# ---- events ----------------------------------------------------------------------------------------


def _load(s: _Step, msg: DlvMsg) -> None:
    s.w = DcbWork(loaded=1, gen=msg.gen, hold=1, push_ticks=msg.push_ticks, consumed_thr=msg.info)
    s.w.fin_mark = s.w.fin_done = msg.fin
    s.requests, s.pieces, s.rest = (), (), None
    s.held, s.after = NOTHING_HELD, NOTHING_LEFT
    s.cqe = _command_ok(msg, Opcode.INITIATE)


def _command_ok(msg: DlvMsg, opcode: Opcode) -> Cqe:
    return Cqe(
        kind=CqKind.COMMAND,
        status=Status.OK,
        conn=msg.conn,
        gen=msg.gen,
        code=opcode,
        cookie=msg.a,
        sq_index=msg.sq_index,
    )


def _message(s: _Step, msg: DlvMsg) -> None:
    w = s.w
    if msg.kind == DlvEvt.START:
        w.hold = msg.hold
        s.cqe = _command_ok(msg, Opcode.START)
    elif msg.kind == DlvEvt.NOTIFY:
        if msg.event:
            s.cqe = Cqe(kind=CqKind.EVENT, conn=msg.conn, gen=msg.gen, code=msg.event, info=msg.info)
        if msg.aborted:
            w.aborted, w.push_on = 1, 0
    elif msg.kind == DlvEvt.UPDATE:
        w.consumed_thr = msg.info
    elif msg.kind == DlvEvt.FLUSH:
        s.consumed_now = True
    elif msg.kind == DlvEvt.FREEZE:
        w.frozen = 1
        w.aborted |= msg.aborted
        w.freeze_addr, w.freeze_count, w.push_on = msg.a, 0, 0
    elif msg.kind == DlvEvt.DELIVER:
        s.after = Aftermath(gone=msg.free, join=bool(msg.join), slot=msg.slot, skip=msg.skip, fin=msg.fin)
        if msg.len:
            source = Forwarded(msg.a, msg.cookie, msg.sq_index) if msg.fwd else None
            s.rest = Rest(msg.arrival, msg.offset, msg.len, msg.psh, source)
            _place(s)
        else:
            _settle(s)
    elif msg.kind == DlvEvt.HOLD:
        _hold(s, msg)
    else:
        raise DeliveryError(f"message kind {msg.kind} is none of tcp_engine's")


def _command(s: _Step, event: DlvCommand) -> None:
    opcode = event.sqe.opcode
    if opcode == Opcode.RESUME:
        s.w.hold = 0
    elif opcode == Opcode.RECEIVE:
        _receive(s, event)
    elif opcode == Opcode.ANSWER:
        _answer(s, event)
    else:
        raise DeliveryError(f"opcode {opcode} is no command of delivery_engine")


def _receive(s: _Step, event: DlvCommand) -> None:
    w, sqe = s.w, event.sqe
    status: Status | None = None
    if w.fin_done and not w.aborted:
        status = Status.INVALID_STATE
    elif w.frozen or w.aborted:
        status = Status.ABORTED if w.aborted else Status.UPLOAD
    elif w.req_count >= s.env.recvs:
        status = Status.NO_RESOURCES
    if status is not None:
        s.cqe = command_cqe(sqe, event.sq_index, status)
        return
    request = RcvReq(sqe.addr, sqe.length, sqe.flags & _NOPUSH, sqe.cookie, int(bool(sqe.flags & _PREFILL)))
    s.requests = (*s.requests, request)
    w.req_count += 1
    w.refused = 0
    if request.prefill and not request.nopush and not w.hold and not w.push_on:
        _start_push(s)  # CH-131: bytes wait in it already


def _answer(s: _Step, event: DlvCommand) -> None:
    """The host's verdict on the outstanding indication."""
    w, sqe = s.w, event.sqe
    if not w.d or sqe.arg & 0xFFFF != w.token:
        s.cqe = command_cqe(sqe, event.sq_index, Status.BAD_TOKEN)
        return
    head = s.pieces[0]
    if sqe.length > head.length:
        s.cqe = command_cqe(sqe, event.sq_index, Status.BAD_LENGTH)
        return
    w.d = 0
    if sqe.length == head.length:
        s.pop_piece()
    else:
        s.pieces = (head.without(sqe.length), *s.pieces[1:])
        w.refused = 1
    s.consumed += sqe.length
    s.consumed_now = sqe.length > 0


def _push_timer(s: _Step) -> None:
    w = s.w
    if not w.push_on or not due(w.push_deadline, s.env.now):
        return
    w.push_on = 0
    if not s.requests or w.frozen or w.aborted:
        return
    request = s.requests[0]
    if not request.nopush and (w.req_filled or request.prefill):
        s.complete_head()


# ---- placing ---------------------------------------------------------------------------------------


def _direct(s: _Step) -> bool:
    """Payload may go straight into the oldest request (whatever its length)."""
    w = s.w
    open_ = not w.d and not w.hold and not w.frozen and not w.aborted
    return bool(open_ and not s.pieces and s.requests)


def _place(s: _Step) -> None:
    """One piece of ``rest``: into the oldest request, or all of it into a pool buffer."""
    rest = s.rest
    if rest is None:
        raise DeliveryError("nothing is left to place")
    fits = _direct(s) and s.requests[0].length
    n = s.length = _place_direct(s, rest) if fits else _place_pool(s, rest)
    whole = n == rest.length
    if whole:
        _settle(s)
    if rest.forwarded is None:
        s.op, s.arrival, s.offset, s.last = PlOp.PLACE, rest.arrival, rest.offset, int(whole)
        s.rest = None if whole else replace(rest, offset=rest.offset + n, length=rest.length - n)
        return
    s.op, s.src, s.forwarded = PlOp.COPY, rest.forwarded.src, True
    s.barrier = int(not fits)  # what is copied into a pool buffer may be copied out of it next
    behind = replace(rest.forwarded, src=rest.forwarded.src + n)
    s.rest = replace(rest, length=rest.length - n, forwarded=behind)


def _place_direct(s: _Step, rest: Rest) -> int:
    w, request = s.w, s.requests[0]
    n = min(rest.length, request.length - w.req_filled)
    s.dst = request.addr + w.req_filled
    w.req_filled += n
    s.consumed += n
    if n == rest.length:
        s.credit_ret += 1
    if w.req_filled == request.length:
        s.complete_head()
        w.push_on = 0
    elif not request.nopush:
        if rest.psh:
            s.complete_head()
            w.push_on = 0
        else:
            _start_push(s)
    return n


def _forward_done(s: _Step, segment: Forwarded) -> None:
    """The last piece of a forwarded segment was handled: its memory is the host's again."""
    s.rest = None
    s.cqe = Cqe(
        kind=CqKind.FORWARD,
        status=Status.OK,
        conn=s.conn,
        gen=s.w.gen,
        code=Opcode.FORWARD,
        cookie=segment.cookie,
        sq_index=segment.sq_index,
    )


def _start_push(s: _Step) -> None:
    s.w.push_on = 1
    s.w.push_deadline = (s.env.now + s.w.push_ticks) & MASK


def _place_pool(s: _Step, rest: Rest) -> int:
    s.pieces = (*s.pieces, _fill_buffer(s, rest.length, rest.psh))
    s.track_list()
    return rest.length


def _fill_buffer(s: _Step, length: int, psh: int) -> PoolPiece:
    """The buffer at the head of the free queue takes ``length`` bytes; ``psh``: of the segment they come from."""
    buf = s.env.free_head
    if buf is None:
        raise DeliveryError(f"connection {s.conn}: payload was accepted, but the pool's free queue is empty")
    s.took_free = True
    s.dst = s.env.pool_base + buf * POOL_BUF_BYTES
    return PoolPiece(buf, 0, length, psh)


# ---- data behind a hole ----------------------------------------------------------------------------


def _hold(s: _Step, msg: DlvMsg) -> None:
    """HOLD: a piece behind a hole, between what list ``slot`` and what list ``slot2`` holds."""
    in_front = s.held[msg.slot] if msg.app else ()
    behind = s.held[msg.slot2] if msg.pre else ()
    if msg.pre:
        s.hold(msg.slot2, ())
    s.hold(msg.slot, (*in_front, _fill_buffer(s, msg.len, msg.psh), *behind))
    s.op, s.arrival, s.offset, s.length, s.last = PlOp.PLACE, msg.arrival, msg.offset, msg.len, 1
    s.after = Aftermath(gone=msg.free)
    _settle(s)


def _settle(s: _Step) -> None:
    """The FIN mark of the message, once nothing of J-1 to J-3 is left to do for it."""
    if s.after.due(s.held) is None:
        s.w.fin_mark |= s.after.fin
        s.after = NOTHING_LEFT


def _aftermath(s: _Step, what: str) -> None:
    """One of J-1 to J-3."""
    after = s.after
    if what == "J-1":
        s.drop_held(after.first_gone(s.held))
    elif what == "J-2":
        s.after = replace(after, skip=after.skip - s.held[after.slot][0].length)
        s.drop_held(after.slot)
    else:
        head, *rest = s.held[after.slot]
        s.pieces = (*s.pieces, head.without(after.skip), *rest)
        s.track_list()
        s.hold(after.slot, ())
        s.after = replace(after, join=False)
    _settle(s)


# ---- work ------------------------------------------------------------------------------------------


def has_work(state: DeliveryState) -> bool:
    """A CONTINUE of this connection must follow before any other event."""
    if state.rest is not None or state.after.due(state.held) is not None:
        return True
    return _next_work(state.dcb, state.requests, state.pieces) is not None


def _next_work(w: Dcb | DcbWork, requests: tuple[RcvReq, ...], pieces: tuple[PoolPiece, ...]) -> str | None:
    """The first of W-1 .. W-10 that applies."""
    if not w.loaded or w.d or (w.hold and not w.frozen and not w.aborted):
        return None
    if not w.frozen and not w.aborted:
        if requests and requests[0].length == 0:
            return "W-1"
        if pieces and requests:
            return "W-2"
        if pieces:
            return None if w.refused else "W-3"
        if w.fin_mark and not w.fin_done:
            return "W-4" if requests else "W-5"
        waits = bool(requests) and requests[0].prefill and not requests[0].nopush
        return "W-10" if waits and not w.push_on else None
    if not w.aborted and pieces and requests and requests[0].length:
        return "W-2"
    if w.freeze_done:
        return None
    if w.ooo_used:
        return "W-5a"
    if requests:
        return "W-6"  # in front of pooled data it is of length 0: what lies behind it is still delivered (W-2)
    if pieces:
        return "W-7" if w.aborted or w.freeze_addr == 0 else "W-8"
    return "W-9" if w.frozen else None


def _continue(s: _Step) -> None:
    w = s.w
    rest, joining = s.rest, s.after.due(s.held)
    handled = rest is None or rest.length == 0
    if handled and joining is not None:
        _aftermath(s, joining)
        return
    if rest is not None and rest.forwarded is not None and handled:
        _forward_done(s, rest.forwarded)
        return
    if rest is not None:
        if _direct(s) and s.requests[0].length == 0:
            s.complete_head()
        else:
            _place(s)
        return
    work = _next_work(w, s.requests, s.pieces)
    if work is None:
        raise DeliveryError(f"connection {s.conn}: CONTINUE without work")
    if work == "W-1":
        s.complete_head()
    elif work == "W-2":
        _copy(s)
    elif work == "W-3":
        _indicate(s)
    elif work == "W-4":
        s.complete_head()
        w.push_on = 0
    elif work == "W-5":
        s.cqe = Cqe(kind=CqKind.EVENT, conn=s.conn, gen=w.gen, code=TcpEventType.DISCONNECT)
        w.fin_done = 1
    elif work == "W-10":
        _start_push(s)  # CH-131: bytes wait in the request that is the head only now
    elif work == "W-5a":
        s.drop_held(next(slot for slot, pieces in enumerate(s.held) if pieces))
    elif work == "W-6":
        s.complete_head(Status.ABORTED if w.aborted else Status.UPLOAD)
    elif work == "W-7":
        s.recycle(s.pop_piece())
    elif work == "W-8":
        _leave_over(s)
    else:
        _freeze_done(s)


def _copy(s: _Step) -> None:
    """W-2: pooled data into the oldest request; CH-127: where the peer pushed, a push-mode request ends."""
    w, request, head = s.w, s.requests[0], s.pieces[0]
    n = min(head.length, request.length - w.req_filled)
    s.op, s.length = PlOp.COPY, n
    s.src = s.env.pool_base + head.buf * POOL_BUF_BYTES + head.offset
    s.dst = request.addr + w.req_filled
    w.req_filled += n
    s.consumed += n
    emptied = n == head.length
    if emptied:
        s.recycle(s.pop_piece())
    else:
        s.pieces = (head.without(n), *s.pieces[1:])
    pushed = emptied and head.psh and not request.nopush and not w.frozen
    if w.req_filled == request.length or pushed:
        s.complete_head()
        w.push_on = 0
    elif not s.pieces and not request.nopush and not w.frozen:
        _start_push(s)


def _indicate(s: _Step) -> None:
    """W-3."""
    w, head = s.w, s.pieces[0]
    w.token = (w.token + 1) & 0xFFFF
    w.d = 1
    s.cqe = Cqe(
        kind=CqKind.INDICATION,
        conn=s.conn,
        gen=w.gen,
        buf=head.buf,
        offset=head.offset,
        nbytes=head.length,
        info=w.token,
    )


def _leave_over(s: _Step) -> None:
    """W-8: a buffer of undelivered data is handed to the host."""
    w = s.w
    piece = s.pop_piece()
    w.freeze_count += 1
    s.op = PlOp.LIST_WRITE
    s.dst = w.freeze_addr + 8 * w.freeze_count
    s.list_data = LeftOver(buf=piece.buf, offset=piece.offset, length=piece.length).pack()


def _freeze_done(s: _Step) -> None:
    """W-9: nothing of the connection is left."""
    w = s.w
    if w.freeze_addr:
        s.op = PlOp.LIST_WRITE
        s.dst = w.freeze_addr
        s.list_data = LeftOver(buf=w.freeze_count).pack()
    s.freeze_done = w.freeze_done = 1
    w.loaded = 0
