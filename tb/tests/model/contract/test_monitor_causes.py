"""What counts as seen at the device: records that it made, and calls up that an entry of its own for them brought."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

import pytest

from tb.monitors.contract.monitor import ContractMonitors, Monitor
from tb.monitors.contract.trace import (
    Buffer,
    Counters,
    Enter,
    Frame,
    Leave,
    List,
    Node,
    PassedUp,
    PortEntry,
    Record,
    RegisterValue,
    Setting,
    Tree,
)

SEND, SENT = "MiniportTcpOffloadSend", "NdisTcpOffloadSendComplete"
INDICATE, EVENT = "NdisTcpOffloadReceiveHandler", "NdisTcpOffloadEventHandler"
QUERY, QUERIED = "MiniportQueryOffload", "NdisMQueryOffloadStateComplete"
RECEIVE, RECEIVED = "MiniportTcpOffloadReceive", "NdisTcpOffloadReceiveComplete"
DISCONNECTING, DISCONNECTED = "MiniportTcpOffloadDisconnect", "NdisTcpOffloadDisconnectComplete"
FORWARD, FORWARDED = "MiniportTcpOffloadForward", "NdisTcpOffloadForwardComplete"
COMMAND, SEND_KIND, RECEIVE_KIND, INDICATION, EVENT_KIND, RAW, FORWARD_KIND = 1, 2, 3, 4, 5, 6, 8
SEND_OPCODE, RECEIVE_OPCODE, DISCONNECT_OPCODE, FORWARD_OPCODE = 3, 4, 6, 7
RESET_STATUS = 4
QUERY_OPCODE, TERMINATE_OPCODE = 9, 11
DISCONNECT, RETRIEVE, ABORT = 2, 3, 4
#: NdisOffloadHandle and MiniportOffloadContext of two connections.
HANDLE, CONTEXT, OTHER_HANDLE, OTHER_CONTEXT = 1000, 100, 1001, 101
#: Stands for calls that bring no records about.
OFFLOADED: Final = (
    Enter(
        0,
        0,
        call=1,
        function="NdisMInitiateOffloadComplete",
        tree=Tree(
            1,
            {
                1: Node(1, 17, context=CONTEXT, handle=HANDLE, next=2),
                2: Node(2, 17, context=OTHER_CONTEXT, handle=OTHER_HANDLE),
            },
        ),
    ),
    Leave(1, 0, call=1, function="NdisMInitiateOffloadComplete"),
)


class _Every(Monitor):
    """Triggers its rule with every record, but for those that set the stage."""

    RULES: ClassVar[dict[str, str]] = {"CH-001": "any"}
    RING_ENTRIES: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bool] = []

    def observe(self, record: Record) -> None:
        before = self.at_device["CH-001"]
        self.trigger("CH-001")
        self.seen.append(self.at_device["CH-001"] > before)


def _seen(records: Iterable[Record]) -> list[bool]:
    """Of every record behind those of the offload: a trigger counts as seen at the device."""
    monitors = ContractMonitors([_Every])
    for record in (*OFFLOADED, *records):
        monitors.feed(record)
    (every,) = monitors.monitors
    assert isinstance(every, _Every)
    return every.seen[len(OFFLOADED) :]


def _wrote(
    order: int, kind: int, code: int = 0, owner: int | None = HANDLE, cookie: int = 0, nbytes: int = 0
) -> PortEntry:
    return PortEntry(order, 0, entry={"kind": kind, "code": code, "cookie": cookie, "nbytes": nbytes}, owner=owner)


def _given(
    order: int, nbl: int, length: int, function: str = SEND, context: int = CONTEXT, flags: int = 0
) -> list[Record]:
    lists = (List(nbl, (Buffer(nbl, length),)),)
    enter = Enter(order, 0, call=order, function=function, target=context, lists=lists, flags=flags)
    return [enter, Leave(order + 1, 0, call=order, function=function)]


def _submitted(
    order: int, cookie: int, length: int, opcode: int = SEND_OPCODE, owner: int = HANDLE, flags: int = 0
) -> PortEntry:
    entry = {"opcode": opcode, "cookie": cookie, "length": length, "flags": flags}
    return PortEntry(order, 0, submission=True, entry=entry, owner=owner)


def _posted(order: int, nbl: int = 7, context: int = CONTEXT) -> list[Record]:
    """A send of 100 bytes that goes to the device at once, in one entry with the number of the list for a cookie."""
    owner = HANDLE if context == CONTEXT else OTHER_HANDLE
    return [*_given(order, nbl, 100, context=context), _submitted(order + 1, nbl, 100, owner=owner)]


def _done(order: int, nbl: int = 7, function: str = SENT) -> Enter:
    return Enter(order, 0, call=order, function=function, lists=(List(nbl),))


@pytest.mark.parametrize(
    ("record", "counts"),
    [
        (Frame(9, 0, sent=True), True),
        (Frame(9, 0), True),
        (_wrote(9, SEND_KIND), True),
        (PortEntry(9, 0, submission=True, entry={"opcode": 3}), False),
        (RegisterValue(9, 0), True),
        (Counters(9, 0, used={"connections": 1}), False),
        (Counters(9, 0, used={"connections": 1}, of_device=True), True),
        (PassedUp(9, 0), False),
        (Setting(9, 0), False),
        (Enter(9, 0, function=SEND, target=CONTEXT), False),
        (Enter(9, 0, function=EVENT, target=HANDLE, event=ABORT), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Record) else str(value),
)
def test_what_the_device_shows_counts_and_what_driver_and_host_do_does_not(record: Record, counts: bool) -> None:
    assert _seen([record]) == [counts]


def test_nothing_counts_because_the_device_showed_something_before() -> None:
    shown = [Frame(2, 0), RegisterValue(3, 0), _wrote(4, EVENT_KIND, DISCONNECT), Setting(5, 0), Counters(6, 0)]
    after = [Enter(7, 0, call=7, function=EVENT, target=HANDLE, event=RETRIEVE), _done(8), PassedUp(9, 0)]
    assert _seen([*shown, *after]) == [True, True, True, False, False, False, False, False]


def test_a_completion_counts_once_for_each_time_that_the_device_wrote_one_for_its_connection() -> None:
    records = [*_posted(2, 7), *_posted(4, 8), *_posted(6, 9), _wrote(8, SEND_KIND, cookie=7)]
    records += [_done(9, 7), _done(10, 8)]
    assert _seen(records)[-2:] == [True, False]
    assert _seen([*records, _wrote(11, SEND_KIND, cookie=9), _done(12, 9)])[-1:] == [True]


def test_completions_told_one_by_one_count_though_their_entries_were_written_together() -> None:
    records = [*_posted(2, 7), *_posted(4, 8), *_posted(6, 9)]
    records += [_wrote(8, SEND_KIND, cookie=7), _wrote(9, SEND_KIND, cookie=8)]
    assert _seen([*records, _done(10, 7), _done(11, 8), _done(12, 9)])[-3:] == [True, True, False]


def test_the_end_of_a_connection_brings_back_all_that_is_out_at_the_device_until_it_is_offloaded_again() -> None:
    records = [*_posted(2, 7), *_posted(4, 8), _wrote(6, EVENT_KIND, ABORT), _done(7, 7), _done(8, 8)]
    assert _seen(records)[-2:] == [True, True]
    again = Enter(9, 0, call=90, function="NdisMInitiateOffloadComplete", tree=OFFLOADED[0].tree)
    assert _seen([*records, again, *_posted(11, 9), _done(13, 9)])[-1:] == [False]


def test_an_entry_for_one_connection_makes_no_call_for_another_count() -> None:
    records = [*_posted(2, 7), *_posted(4, 8, OTHER_CONTEXT), _wrote(6, SEND_KIND, owner=HANDLE, cookie=7)]
    assert _seen([*records, _done(7, 8)])[-1:] == [False]
    assert _seen([*records, _done(7, 7)])[-1:] == [True]
    assert _seen([*records, _done(7, 99)])[-1:] == [False]


@pytest.mark.parametrize(
    ("kind", "code", "counts"),
    [
        (SEND_KIND, 0, True),
        (INDICATION, 0, False),
        (EVENT_KIND, DISCONNECT, False),
        (EVENT_KIND, ABORT, True),
        (COMMAND, TERMINATE_OPCODE, True),
        (COMMAND, QUERY_OPCODE, False),
    ],
)
def test_an_entry_makes_those_calls_count_that_it_brings_about(kind: int, code: int, counts: bool) -> None:
    assert _seen([*_posted(2), _wrote(4, kind, code, cookie=7), _done(5)])[-1:] == [counts]


def test_a_list_of_several_entries_comes_back_by_the_last_of_them_and_leaves_nothing_for_another_one() -> None:
    both = [*_given(2, 7, 100), _submitted(4, 20, 60), _submitted(5, 21, 40), _wrote(6, SEND_KIND, cookie=20)]
    assert _seen([*both, _done(8)])[-1:] == [False]
    rest = [_wrote(7, SEND_KIND, cookie=21), _done(8), Leave(9, 0, call=8, function=SENT)]
    assert _seen([*both, *rest])[-2:] == [True, True]
    own = [*_given(10, 8, 100), _done(12, 8)]
    assert _seen([*both, *rest, *own])[-1:] == [False]
    assert _seen([*both, *rest, *_posted(10, 9), _done(12, 9)])[-1:] == [False]


def test_an_entry_that_failed_is_the_last_of_its_list() -> None:
    first = [*_given(2, 7, 100), *_given(4, 8, 40), _submitted(6, 20, 60)]
    failed = PortEntry(7, 0, entry={"kind": SEND_KIND, "cookie": 20, "status": RESET_STATUS}, owner=HANDLE)
    records = [*first, failed, _submitted(8, 21, 40), _wrote(9, SEND_KIND, cookie=21)]
    assert _seen([*records, _done(10, 7), _done(11, 8)])[-2:] == [True, True]


def test_lists_without_bytes_are_not_the_devices_and_take_no_entry_of_another() -> None:
    records = [*_given(2, 7, 0), *_posted(4, 8), _wrote(6, SEND_KIND, cookie=8)]
    assert _seen([*records, _done(7, 7), _done(8, 8)])[-2:] == [False, True]


def test_an_empty_receive_that_only_ends_a_refusal_brings_no_list_back() -> None:
    def posted(order: int, cookie: int, length: int) -> PortEntry:
        return _submitted(order, cookie, length, RECEIVE_OPCODE)

    reminder = [posted(2, 30, 0), _wrote(3, RECEIVE_KIND, cookie=30)]
    assert _seen([*reminder, *_given(4, 7, 100, RECEIVE), _done(6, 7, RECEIVED)])[-1:] == [False]
    waiting = [*_given(4, 7, 100, RECEIVE), *reminder]
    assert _seen([*waiting, _done(6, 7, RECEIVED)])[-1:] == [False]
    empty = [*_given(4, 7, 0, RECEIVE), *reminder]
    assert _seen([*empty, _done(6, 7, RECEIVED)])[-1:] == [True]


def test_a_receive_in_parts_comes_back_by_the_last_part_and_one_that_was_begun_by_the_driver_in_one() -> None:
    def posted(order: int, cookie: int, length: int) -> PortEntry:
        return _submitted(order, cookie, length, RECEIVE_OPCODE)

    lists = [*_given(2, 7, 100, RECEIVE), *_given(4, 8, 100, RECEIVE)]
    parts = [*lists, posted(6, 30, 60), _wrote(7, RECEIVE_KIND, cookie=30, nbytes=60), posted(8, 31, 40)]
    assert _seen([*parts, _done(10, 7, RECEIVED)])[-1:] == [False]
    parts += [_wrote(9, RECEIVE_KIND, cookie=31), _done(10, 7, RECEIVED)]
    assert _seen([*parts, _done(12, 8, RECEIVED)])[-2:] == [True, False]
    begun = [*lists, posted(6, 30, 60), posted(7, 31, 100), _wrote(8, RECEIVE_KIND, cookie=31)]
    assert _seen([*begun, _done(10, 7, RECEIVED), _done(12, 8, RECEIVED)])[-2:] == [False, True]


@pytest.mark.parametrize(("placed", "counts"), [(60, False), (59, True)])
def test_a_list_that_a_driver_gives_back_before_its_last_entry_is_the_devices_only_if_the_device_ended_it(
    placed: int, counts: bool
) -> None:
    part = [*_given(2, 7, 100, RECEIVE), _submitted(4, 30, 60, RECEIVE_OPCODE)]
    part += [_wrote(5, RECEIVE_KIND, cookie=30, nbytes=placed), _done(6, 7, RECEIVED)]
    assert _seen(part)[-1:] == [counts]
    sent = [*_given(2, 7, 100), _submitted(4, 20, 60), _wrote(5, SEND_KIND, cookie=20, nbytes=60), _done(6, 7)]
    assert _seen(sent)[-1:] == [False]
    closing = [*_given(2, 7, 60, DISCONNECTING, flags=1), _submitted(4, 20, 60), _wrote(5, SEND_KIND, cookie=20)]
    assert _seen([*closing, _done(6, 7, DISCONNECTED)])[-1:] == [False]


def test_forwards_and_both_disconnects_come_back_by_their_own_entries() -> None:
    forward = [*_given(2, 7, 60, FORWARD), *_given(4, 8, 60, FORWARD)]
    forward += [_submitted(6, 40, 60, FORWARD_OPCODE), _submitted(7, 41, 60, FORWARD_OPCODE)]
    forward += [_wrote(8, FORWARD_KIND, cookie=41), _done(9, 7, FORWARDED), _done(10, 8, FORWARDED)]
    assert _seen(forward)[-2:] == [False, True]
    graceful, abortive, inherited = 1, 2, 5
    closing = [*_given(2, 7, 100), *_given(4, 8, 50, DISCONNECTING, flags=1), *_given(6, 9, 0, DISCONNECTING, flags=2)]
    closing += [_submitted(8, 50, 0, DISCONNECT_OPCODE, flags=abortive), _wrote(9, SEND_KIND, cookie=50)]
    assert _seen([*closing, _done(10, 8, DISCONNECTED), _done(12, 9, DISCONNECTED)])[-2:] == [False, True]
    closing += [_submitted(10, 51, 100), _submitted(11, 0, 0, DISCONNECT_OPCODE, flags=inherited)]
    closing += [_submitted(12, 52, 50, DISCONNECT_OPCODE, flags=graceful), _wrote(13, SEND_KIND, cookie=52)]
    assert _seen([*closing, _done(14, 7), _done(16, 8, DISCONNECTED)])[-2:] == [False, True]


@pytest.mark.parametrize("end", [RETRIEVE, ABORT])
def test_the_end_of_a_connection_brings_no_list_back_that_never_got_to_the_device(end: int) -> None:
    told = _wrote(6, EVENT_KIND, end)
    assert _seen([*_posted(2, 7), *_given(4, 8, 100), told, _done(7, 7), _done(8, 8)])[-2:] == [True, False]
    assert _seen([told, *_given(7, 9, 100), _done(9, 9)])[-1:] == [False]
    assert _seen([told, *_posted(7, 9), _done(9, 9)])[-1:] == [False]


def test_what_was_inherited_comes_back_by_entries_of_its_own_and_cookies_are_an_adapters() -> None:
    chain = (List(7, (Buffer(7, 100),)),)
    begin = Enter(
        2, 0, call=2, function="MiniportInitiateOffload", tree=Tree(1, {1: Node(1, 17, handle=HANDLE, chain=chain)})
    )
    records: list[Record] = [begin, Leave(3, 0, call=2), _submitted(4, 60, 100)]
    assert _seen([*records, _wrote(5, SEND_KIND, cookie=60), _done(6)])[-1:] == [True]
    other = PortEntry(5, 0, adapter="nic1", entry={"kind": SEND_KIND, "cookie": 60})
    assert _seen([*records, other, _done(6)])[-1:] == [False]


@pytest.mark.parametrize("event", [DISCONNECT, RETRIEVE, ABORT])
def test_an_event_counts_if_the_device_wrote_that_event(event: int) -> None:
    called = Enter(9, 0, call=9, function=EVENT, target=HANDLE, event=event)
    assert _seen([_wrote(2, EVENT_KIND, RETRIEVE), called]) == [True, event == RETRIEVE]


def test_the_hosts_answer_counts_as_the_call_does_and_what_it_calls_in_there_does_not() -> None:
    inside = [Enter(5, 0, call=5, function=SEND, target=CONTEXT), Leave(6, 0, call=5, function=SEND)]
    upper = [Enter(7, 0, layer=1, call=6, function=INDICATE, target=55), Leave(8, 0, layer=1, call=6)]
    for shown in (True, False):
        entry = [_wrote(2, INDICATION)] if shown else [Setting(2, 0)]
        call = Enter(3, 0, call=4, function=INDICATE, target=HANDLE)
        records = [*entry, call, *inside, *upper, Leave(9, 0, call=4, function=INDICATE)]
        assert _seen(records) == [shown, shown, False, False, shown, shown, shown]


def test_a_state_call_counts_if_the_device_completed_a_command_for_one_of_its_objects() -> None:
    def told(handle: int) -> Enter:
        return Enter(9, 0, call=9, function=QUERIED, tree=Tree(5, {5: Node(5, 15, handle=handle)}))

    answered = _wrote(2, COMMAND, QUERY_OPCODE)
    assert _seen([answered, told(HANDLE)]) == [True, True]
    assert _seen([answered, told(OTHER_HANDLE)]) == [True, False]
    asked = PortEntry(2, 0, submission=True, entry={"opcode": QUERY_OPCODE, "flags": 2, "cookie": 6})
    of_neighbor = _wrote(3, COMMAND, QUERY_OPCODE, owner=OTHER_HANDLE, cookie=6)
    assert _seen([asked, of_neighbor, told(2000)]) == [False, True, True]


def test_a_frame_goes_up_by_the_device_as_often_as_it_wrote_one() -> None:
    assert _seen([_wrote(2, RAW), PassedUp(3, 0), PassedUp(4, 0)]) == [True, True, False]


@pytest.mark.parametrize("read", [True, False])
def test_an_answer_to_an_oid_counts_if_registers_were_read_for_it(read: bool) -> None:
    oid = "MiniportOidRequest"
    looked = RegisterValue(3, 0) if read else Setting(3, 0)
    at_once = [Enter(2, 0, call=2, function=oid), looked, Leave(4, 0, call=2, function=oid)]
    assert _seen(at_once) == [False, read, read]
    later = [Enter(2, 0, call=2, function=oid), Leave(3, 0, call=2, function=oid), looked]
    assert _seen([*later, Enter(5, 0, call=3, function="NdisMOidRequestComplete")])[-1:] == [read]
