"""The working copy of a DCB inside one step: same fields as the layout, but mutable.

A step makes one copy at entry and freezes it at its end; a test compares the field list with the layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter

from model.layout.generated import Dcb


@dataclass(slots=True)
class DcbWork:
    """A Dcb that may be written; units as in the layout."""

    loaded: int = 0
    gen: int = 0
    hold: int = 0
    frozen: int = 0
    freeze_done: int = 0
    aborted: int = 0
    d: int = 0
    token: int = 0
    refused: int = 0
    fin_mark: int = 0
    fin_done: int = 0
    push_on: int = 0
    push_deadline: int = 0
    push_ticks: int = 0
    consumed_thr: int = 0
    req_head: int = 0
    req_count: int = 0
    req_filled: int = 0
    list_head: int = 0
    list_tail: int = 0
    list_count: int = 0
    freeze_addr: int = 0
    freeze_count: int = 0
    ooo_used: int = 0
    ooo_head: int = 0
    ooo_tail: int = 0
    ooo_count: int = 0


_FIELDS = attrgetter(*Dcb.FIELDS)


def thaw(frozen: Dcb) -> DcbWork:
    """A working copy of ``frozen``."""
    return DcbWork(*_FIELDS(frozen))


def freeze(work: DcbWork) -> Dcb:
    """The finished state."""
    return Dcb(*_FIELDS(work))
