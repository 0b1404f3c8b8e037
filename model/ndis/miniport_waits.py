"""Commands that the device has not answered yet: none is waited for without bound.

A command that is not answered in time ends for the host as if the device had failed it, with GIVEN_UP for its status.
What the device may still touch stays reserved until it answers after all; that is counted, and frees it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from model.layout.generated import Cqe, CqKind, Opcode, Sqe
from model.ndis.miniport_objects import Callback

GIVEN_UP: Final = 0xFF
"""Status, which no device gives, of a completion that did not come in time."""
Release = Callable[[Cqe, bool], None]
"""What the device is done with, behind its answer; True if that came too late."""


def nothing(_: Cqe, late: bool) -> None:
    """The command left nothing with the device."""


@dataclass(frozen=True)
class _Waiting:
    entry: Sqe
    ended: Callback
    release: Release
    deadline: int | None


class Commands:
    """Commands at the device, by cookie, in the order in which they were given."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Waiting] = {}
        self._given_up: dict[int, _Waiting] = {}
        #: One line for each command that was given up, and for each answer that came after that.
        self.reports: list[str] = []

    def __len__(self) -> int:
        """Commands that are waited for."""
        return len(self._waiting)

    @property
    def lost(self) -> int:
        """Commands that were given up and have not been answered since."""
        return len(self._given_up)

    def add(self, entry: Sqe, ended: Callback, release: Release, deadline: int | None) -> None:
        """``ended`` gets the completion, ``release`` comes behind it; ``deadline``: tick, None for a caller's own."""
        self._waiting[entry.cookie] = _Waiting(entry, ended, release, deadline)

    def answered(self, cqe: Cqe) -> bool:
        """The device completed a command; False if it is none of these."""
        if (late := self._given_up.pop(cqe.cookie, None)) is not None:
            self.reports.append(f"{Opcode(late.entry.opcode).name} {cqe.cookie} was answered too late")
            late.release(cqe, True)
            return True
        waiting = self._waiting.pop(cqe.cookie, None)
        if waiting is not None:
            waiting.ended(cqe)
            waiting.release(cqe, False)
        return waiting is not None

    def give_up(self, now: int) -> bool:
        """End what is overdue, in order; True if there was anything."""
        overdue = [key for key, one in self._waiting.items() if one.deadline is not None and now >= one.deadline]
        for cookie in overdue:
            one = self._given_up[cookie] = self._waiting.pop(cookie)
            self.reports.append(f"{Opcode(one.entry.opcode).name} {cookie} was not answered in time")
            one.ended(
                Cqe(
                    kind=CqKind.COMMAND,
                    status=GIVEN_UP,
                    conn=one.entry.conn,
                    gen=one.entry.gen,
                    code=one.entry.opcode,
                    cookie=cookie,
                )
            )
        return bool(overdue)
