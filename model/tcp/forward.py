"""FORWARD (B-8): a segment that the host received goes through the rules of one from the wire (section C)."""

from __future__ import annotations

from dataclasses import replace

from model.layout.generated import DlvEvt, Phase, Status, Verdict
from model.tcp.messages import complete
from model.tcp.rx import on_segment
from model.tcp.types import Command, Context, StepError


def forward(c: Context, command: Command) -> None:
    """B-8. Without payload for the host it completes here, otherwise behind its last byte in delivery_engine."""
    sqe, w = command.sqe, c.w
    if command.seg is None:
        raise StepError("FORWARD: give the step the header command_decode parsed for it")
    if w.phase != Phase.RUNNING:
        frozen = Status.ABORTED if w.aborted else Status.UPLOAD
        c.cpl = complete(sqe, command.sq_index, frozen if w.phase == Phase.FROZEN else Status.BAD_STATE)
        return
    on_segment(c, command.seg, forwarded=True)
    verdict, c.verdict = c.verdict, Verdict.NONE
    if c.dlv is not None and c.dlv.kind == DlvEvt.DELIVER and c.dlv.len:
        c.dlv = replace(
            c.dlv,
            offset=0,
            fwd=1,
            a=sqe.addr + c.dlv.offset,
            cookie=sqe.cookie,
            sq_index=command.sq_index,
        )
        return
    c.cpl = complete(sqe, command.sq_index, Status.UPLOAD if verdict == Verdict.PASS_UP else Status.OK)
