"""What the driver tells the device of a receive request (CH-131, G-04; NET_BUFFER_LIST_INFO slots of NDIS)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from model.layout.generated import Opcode, Sqe
from model.ndis.enums import NblInfo
from model.ndis.memory import PAGE_SIZE, HostMemory, Region
from model.ndis.miniport_io import RECEIVE_NOPUSH, RECEIVE_PREFILL, ConnectionIo, Device, DeviceLimits
from model.ndis.netbuffer import Mdl, NetBuffer, NetBufferList
from model.ndis.shares import SharedArena
from model.ndis.status import CompletionKind


@dataclass
class Entries:
    """A device that takes every entry."""

    limits: DeviceLimits
    submitted: list[Sqe] = field(default_factory=list)
    memory: HostMemory = None  # type: ignore[assignment]
    lists: SharedArena = None  # type: ignore[assignment]
    bounce: SharedArena = None  # type: ignore[assignment]

    def submit(self, entry: Sqe) -> None:
        self.submitted.append(entry)

    def new_cookie(self) -> int:
        return len(self.submitted)

    def reserve(self, kind: CompletionKind, conn: int) -> bool:
        return kind is CompletionKind.RECEIVE

    def release(self, kind: CompletionKind, conn: int) -> None:
        raise AssertionError(kind)


@pytest.mark.rule("CH-131", "G-04")
@pytest.mark.parametrize(
    ("nopush", "before", "told", "flags"),
    [
        (0, 100, True, RECEIVE_PREFILL),
        (0, 0, True, 0),
        (1, 100, True, RECEIVE_NOPUSH),
        (0, 100, False, 0),
    ],
    ids=["holds bytes", "empty", "no push", "interface below 6.20"],
)
def test_a_push_request_that_holds_bytes_is_timed_from_when_it_is_posted(
    nopush: int, before: int, told: bool, flags: int
) -> None:
    device = Entries(DeviceLimits(prefill=told))
    io = ConnectionIo(cast("Device", device), 0, 1)
    info = {NblInfo.TCP_RECEIVE_NO_PUSH: nopush, NblInfo.TCP_RECEIVE_BYTES_TRANSFERRED: before}
    nb = NetBuffer((Mdl(Region((PAGE_SIZE,), 0, 1000)),), 0, 1000)
    nb.advance(before)
    io.receive(NetBufferList([nb], info=info))
    io.receive_open = True
    io.pump()
    (entry,) = device.submitted
    assert (entry.opcode, entry.flags) == (Opcode.RECEIVE, flags)
    assert (entry.addr, entry.length) == (PAGE_SIZE + before, 1000 - before)
