"""Commands of the host (section B of the contract)."""

from __future__ import annotations

from model.layout.generated import (
    TIMER_OFF,
    DlvEvt,
    DlvMsg,
    Opcode,
    Phase,
    Sqe,
    Status,
    TcpImage,
    TcpState,
    TxAppend,
    TxKind,
    Txq,
    TxRelease,
    UploadReason,
)
from model.tcp.backlog import backlog_of
from model.tcp.congestion import after_idle
from model.tcp.forward import forward
from model.tcp.images import FLAG_CUBIC, FLAG_ECN, FLAG_SACK, FLAG_TS, FLAG_WS
from model.tcp.keepalive import ENABLED as KEEP_ALIVE
from model.tcp.messages import complete, retrieve
from model.tcp.reach import unreachable
from model.tcp.rtt import backed_off, rto_of
from model.tcp.seq import MASK
from model.tcp.timers import wait_for_fin
from model.tcp.tx import can_send, emit_pure_ack, emit_reset
from model.tcp.types import Command, Context, StepError
from model.tcp.update import barrier, consumed_threshold, header_of, update
from model.tcp.work import TcbWork

_ABORTIVE, _INHERITED = 2, 4
_THEIR_FIN_CAME = frozenset((TcpState.CLOSE_WAIT, TcpState.CLOSING, TcpState.LAST_ACK))
_OUR_FIN_QUEUED = frozenset((TcpState.FIN_WAIT_1, TcpState.CLOSING, TcpState.LAST_ACK))
_OUR_FIN_DONE = frozenset((TcpState.FIN_WAIT_2, TcpState.TIME_WAIT, TcpState.CLOSED))
"""States in which the stream of ours is over: nothing can be sent behind its FIN (B-5)."""


def initiate(c: Context, command: Command, reachable: bool) -> None:
    """B-3: a new TCB from the image. ``reachable``: its path and that path's neighbor were written."""
    sqe, image, w = command.sqe, command.image, c.w
    if not isinstance(image, TcpImage):
        raise StepError("INITIATE: give the step the TCP image command_decode read for it")
    if w.phase != Phase.FREE:
        c.cpl = complete(sqe, command.sq_index, Status.BAD_STATE)
        return
    if not reachable:
        c.cpl = complete(sqe, command.sq_index, Status.BAD_IMAGE)
        c.delete_lookup = True
        return
    c.w = w = _from_image(image, c)
    w.gen = sqe.gen
    c.dlv = DlvMsg(
        kind=DlvEvt.LOAD,
        conn=sqe.conn,
        gen=sqe.gen,
        info=consumed_threshold(image.initial_rcv_wnd),
        push_ticks=c.params.push_ticks,
        fin=w.fin_rcvd,
        sq_index=command.sq_index,
        a=sqe.cookie,
    )


def _from_image(i: TcpImage, c: Context) -> TcbWork:
    scaled = bool(i.const_flags & FLAG_WS)
    in_recovery = i.dup_ack_count >= c.params.dup_ack_threshold and i.snd_max != i.snd_una
    ka_on = i.ka_timeout_delta != TIMER_OFF
    return TcbWork(
        phase=Phase.LOADED,
        state=i.state & 0xF,
        ts_en=int(bool(i.const_flags & FLAG_TS)),
        sack_en=int(bool(i.const_flags & FLAG_SACK)),
        ws_en=int(scaled),
        ecn_en=int(bool(i.const_flags & FLAG_ECN)),
        cubic_en=int(bool(i.const_flags & FLAG_CUBIC)),
        snd_ws=i.snd_wind_scale if scaled else 0,
        rcv_ws=i.rcv_wind_scale if scaled else 0,
        family=i.family,
        path_id=i.path_id,
        local_port=i.local_port,
        remote_port=i.remote_port,
        remote_mss=i.remote_mss,
        hash_value=i.hash_value,
        cached_flags=i.cached_flags,
        init_rcv_wnd=i.initial_rcv_wnd,
        rcv_indication_size=i.rcv_indication_size,
        ka_probe_count=i.ka_probe_count,
        ka_timeout=i.ka_timeout,
        ka_interval=i.ka_interval,
        max_rt=i.max_rt,
        flow_label=i.flow_label & 0xFFFFF,
        ttl=i.ttl,
        tos=i.tos,
        user_priority=i.user_priority & 7,
        dlg_flags=i.dlg_flags,
        ka_probes_sent=i.ka_probes_sent,
        ka_timeout_delta=i.ka_timeout_delta,
        send_backlog_size=i.send_backlog_size,
        receive_backlog_size=i.receive_backlog_size,
        dwnd=i.dwnd,
        snd_una=i.snd_una,
        snd_nxt=i.snd_nxt,
        snd_max=i.snd_max,
        snd_end=i.snd_una,
        snd_wnd=i.snd_wnd,
        max_snd_wnd=i.max_snd_wnd,
        snd_wl1=i.snd_wl1,
        cwnd=i.cwnd,
        ssthresh=i.ssthresh,
        recover=i.snd_max if in_recovery else (i.snd_una - 1) & MASK,
        high_rxt=i.snd_una,
        ecn_edge=(i.snd_una - 1) & MASK,
        in_recovery=int(in_recovery),
        dup_acks=i.dup_ack_count,
        srtt=i.srtt,
        rttvar=i.rttvar,
        rto=rto_of(i.srtt, i.rttvar, c.params),
        rtx_on=int(i.rtx_timeout_delta != TIMER_OFF),
        rtx_deadline=i.rtx_timeout_delta,
        rtx_count=i.rtx_count,
        snd_wnd_probe_count=i.snd_wnd_probe_count,
        total_rt=i.total_rt,
        rcv_nxt=i.rcv_nxt,
        rcv_adv=(i.rcv_nxt + i.rcv_wnd) & MASK,
        consumed_seq=i.rcv_nxt,
        last_ack_sent=i.rcv_nxt,
        fin_rcvd=int(i.state in _THEIR_FIN_CAME),
        ts_recent=i.ts_recent,
        ts_recent_tick=(c.now - i.ts_recent_age) & MASK,
        ts_delta=(i.ts_time - c.now) & MASK,
        backlog_told=backlog_of(i.max_snd_wnd, i.cwnd),
        backlog_tick=c.now,
        ka_on=int(ka_on),
        ka_deadline=i.ka_timeout_delta,
        ka_challenge=int(ka_on and not i.cached_flags & KEEP_ALIVE),
    )


def on_command(c: Context, command: Command) -> None:
    """Every command but INITIATE, of a connection whose generation fits."""
    opcode = command.sqe.opcode
    if opcode == Opcode.START:
        _start(c, command)
    elif opcode == Opcode.DISCONNECT and command.sqe.flags & _ABORTIVE:
        _abort(c, command)
    elif opcode in (Opcode.SEND, Opcode.DISCONNECT):
        _send(c, command)
    elif opcode == Opcode.TERMINATE:
        _terminate(c, command)
    elif opcode == Opcode.FORWARD:
        forward(c, command)
    elif opcode == Opcode.UPDATE:
        update(c, command)
    elif opcode == Opcode.QUERY:
        c.image = True  # B-10: state_writer completes it
    elif opcode == Opcode.INVALIDATE:
        c.w.invalid = 1
        barrier(c, command)
    elif opcode == Opcode.UPLOAD:
        _upload(c, command)
    else:
        raise StepError(f"opcode {opcode} is no command of tcp_engine: command_decode must not let it pass")


def _start(c: Context, command: Command) -> None:
    """B-4."""
    w, sqe = c.w, command.sqe
    inherited = (w.snd_max - w.snd_una) & MASK
    if w.phase != Phase.LOADED or inherited > (w.snd_end - w.snd_una) & MASK:
        c.cpl = complete(sqe, command.sq_index, Status.BAD_STATE)
        return
    w.phase = Phase.RUNNING
    w.last_tx_tick = c.now
    _resume_back_off(c, inherited)
    if w.rtx_on:
        w.rtx_deadline = (w.rtx_deadline + c.now) & MASK
    elif w.state == TcpState.FIN_WAIT_2:
        wait_for_fin(c)
    if w.ka_on:
        w.ka_deadline = (w.ka_deadline + c.now) & MASK
    if w.ts_en and inherited:
        w.rtt_active, w.rtt_seq = 1, w.snd_una
    c.tx0 = header_of(w, sqe.conn)
    c.dlv = DlvMsg(
        kind=DlvEvt.START, conn=sqe.conn, gen=w.gen, hold=sqe.flags & 1, sq_index=command.sq_index, a=sqe.cookie
    )


def _resume_back_off(c: Context, inherited: int) -> None:
    """B-4: what rtx_count of the image counts, probes of a window or retransmissions (CH-068).

    ``inherited``: octets the host had sent and has no acknowledgment of; one may be that of a probe.
    """
    w = c.w
    probed = w.rtx_on and inherited <= 1 and w.state != TcpState.FIN_WAIT_2
    if probed and (w.snd_end - w.fin_queued) & MASK != w.snd_una and _blocked(c):
        w.persist = 1
        w.snd_nxt = w.snd_una
    else:
        w.rto = backed_off(w.rto, w.rtx_count, c.params)


def _blocked(c: Context) -> bool:
    """E-3.1 with snd_una in place of snd_nxt: nothing may be sent from there."""
    snd_nxt, c.w.snd_nxt = c.w.snd_nxt, c.w.snd_una
    can = can_send(c)
    c.w.snd_nxt = snd_nxt
    return not can


def _ended(w: TcbWork) -> Status | None:
    """What a SEND or DISCONNECT of a connection completes with that is aborted or being uploaded."""
    if w.phase == Phase.FROZEN and (w.terminating or w.aborted):
        return Status.ABORTED if w.aborted else Status.UPLOAD
    return None


def _send_refusal(w: TcbWork, sqe: Sqe) -> Status | None:
    """Why a SEND or graceful DISCONNECT is not appended (B-5, B-6), None if it is."""
    ended = _ended(w)
    if ended is not None:
        return ended
    if w.fin_queued:
        return Status.BAD_STATE
    uploading = w.phase == Phase.FROZEN
    if sqe.opcode != Opcode.DISCONNECT:
        good = uploading or w.state not in _OUR_FIN_DONE
    elif sqe.flags & _INHERITED:
        good = w.phase == Phase.LOADED and w.state in _OUR_FIN_QUEUED
    else:
        good = w.state in (TcpState.ESTABLISHED, TcpState.CLOSE_WAIT)
        if uploading and not good:
            return Status.UPLOAD
    return None if good else Status.BAD_STATE


def _idle(c: Context) -> bool:
    """B-5: everything is acknowledged, and the last segment left longer than an RTO ago."""
    w = c.w
    quiet = w.snd_una == w.snd_max == w.snd_end and (c.now - w.last_tx_tick) & MASK > w.rto
    return bool(w.phase == Phase.RUNNING and quiet)


def _send(c: Context, command: Command) -> None:
    w, sqe = c.w, command.sqe
    fin = int(sqe.opcode == Opcode.DISCONNECT)
    refusal = _send_refusal(w, sqe)
    if refusal is not None:
        c.cpl = complete(sqe, command.sq_index, refusal)
        return
    if sqe.length and _idle(c):
        after_idle(c)
    end = (w.snd_end + sqe.length + fin) & MASK
    body = TxAppend(
        start_seq=w.snd_end,
        end_seq=end,
        list_addr=sqe.addr,
        count=sqe.count,
        cookie=sqe.cookie,
        last=int(not sqe.flags & _INHERITED) if fin else sqe.flags & 1,
        fin=fin,
        opcode=sqe.opcode,
        sq_index=command.sq_index,
    )
    c.tx0 = Txq(kind=TxKind.APPEND, conn=sqe.conn, gen=w.gen, body=body.pack())
    w.snd_end = end
    w.fin_queued |= fin


def _abort(c: Context, command: Command) -> None:
    """B-6a: an RST goes out; behind it everything outstanding completes ABORTED and this command OK."""
    w, sqe = c.w, command.sqe
    refusal = Status.BAD_STATE if w.phase == Phase.LOADED else _ended(w)
    if refusal is None and unreachable(c):
        refusal = Status.UPLOAD  # CH-092: not even an RST may leave; CH-093: it is the first segment kept back
        if w.phase == Phase.RUNNING:
            retrieve(c, sqe.conn, UploadReason.INVALID_STATE, freeze=True)
            w.phase = Phase.FROZEN  # also behind an earlier request (TIME_WAIT), as in G-0
    if refusal is not None:
        c.cpl = complete(sqe, command.sq_index, refusal)
        return
    emit_reset(c, sqe.conn)
    body = TxRelease(w.snd_una, Status.ABORTED, cpl=1, cookie=sqe.cookie, sq_index=command.sq_index).pack()
    c.tx1 = Txq(kind=TxKind.RELEASE, conn=sqe.conn, gen=w.gen, body=body)
    w.phase, w.state = Phase.FROZEN, TcpState.CLOSED
    w.aborted, w.abort_owed = 1, 0
    w.release_owed = w.rtx_head = w.probe_owed = w.ack_now = w.dup_owed = 0
    w.unacked_segs = w.dack_on = w.rtx_on = 0
    c.dlv = DlvMsg(kind=DlvEvt.NOTIFY, conn=sqe.conn, gen=w.gen, aborted=1)


def _upload(c: Context, command: Command) -> None:
    """B-13: the driver cannot go on with the connection (CH-212)."""
    loaded = c.w.phase == Phase.LOADED
    if c.w.phase == Phase.RUNNING:
        retrieve(c, command.sqe.conn, UploadReason.UPLOAD_REQUESTED, freeze=True)
        c.w.phase = Phase.FROZEN
    c.cpl = complete(command.sqe, command.sq_index, Status.BAD_STATE if loaded else Status.OK)


def _terminate(c: Context, command: Command) -> None:
    """B-7."""
    w, sqe = c.w, command.sqe
    if w.terminating:
        c.cpl = complete(sqe, command.sq_index, Status.BAD_STATE)
        return
    if w.phase == Phase.RUNNING and (w.ack_now or w.dup_owed or w.unacked_segs):
        if not unreachable(c):
            emit_pure_ack(c, sqe.conn)
        w.ack_now = w.dup_owed = 0
    if w.phase == Phase.LOADED:
        w.rtx_deadline = (w.rtx_deadline + c.now) & MASK
        w.ka_deadline = (w.ka_deadline + c.now) & MASK
    w.phase = Phase.FROZEN
    w.terminating = 1
    w.img_addr, w.img_cookie, w.img_sq_index = sqe.addr, sqe.cookie, command.sq_index
    w.rtx_head = w.probe_owed = w.release_owed = w.dack_on = w.unacked_segs = w.abort_owed = 0
    status = Status.ABORTED if w.aborted else Status.UPLOAD
    fence = TxRelease(una=w.snd_una, status=status).pack()
    c.tx1 = Txq(kind=TxKind.FENCE, conn=sqe.conn, gen=w.gen, body=fence)
    c.dlv = DlvMsg(kind=DlvEvt.FREEZE, conn=sqe.conn, gen=w.gen, aborted=w.aborted, a=sqe.addr2)
