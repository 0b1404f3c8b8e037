"""Section 9.1: every rule has a trace that breaks it, which its monitor names first, and one that keeps it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.registration import NOT_APPLICABLE, RegistrationRules
from tb.monitors.contract.trace import Tree
from tb.monitors.wire_headers import RST
from tb.tests.model.contract.offload_traces import (
    Branch,
    Story,
    Trace,
    done,
    ended,
    existing,
    named,
    nbl,
    neighbor,
    path,
    posted,
    tcp,
    told,
    tree,
    watched,
)
from tb.tests.model.contract.section_tests import ByRule, OffloadSection

STORIES: Final = ByRule[Story]()
story = STORIES.of
GENERIC: Final = 0x8F
TCP_TABLE: Final = 0x94
NOT_SUPPORTED: Final = 0xC00000BB
PAUSED: Final = 0xC023002A
TCP_ENTRIES: Final = 0xC0231004
HARDWARE_CAPABILITIES: Final = 0xFC01020F
SET_POWER: Final = 0xFD010101
TCP4, TCP6, IP4 = 0xFC010207, 0xFC010208, 0xFC010209
CAPABLE: Final = {
    "encapsulation": 2,
    "support_ipv4": 1,
    "support_ipv6": 0,
    "support_sack": 0,
    "tcp_connection_offload_capacity": 2,
}
TABLE: Final = {"type": 1, "revision": 1, "size": 56}
DATA: Final = b"d" * 100


def start(trace: Trace, *kinds: int, table: dict[str, int] | None = None, **report: int) -> None:
    """A driver registers, an adapter starts."""
    options = trace.enter("MiniportSetOptions")
    for kind in kinds or (GENERIC, TCP_TABLE):
        trace.call("NdisSetOptionalHandlers", buffer={"type": kind})
    trace.leave(options)
    initialize = trace.enter("MiniportInitializeEx")
    trace.call("NdisMSetMiniportAttributes", buffer={**CAPABLE, **report})
    answer: dict[str, Any] = {**TABLE, **(table or {})}
    trace.call("NdisMGetOffloadHandlers", ndis.SUCCESS, answer, buffer={"chimney_type": 1})
    trace.leave(initialize)


def later(trace: Trace, *idents: int, **rest: Any) -> Tree:
    """More connections on the path that is offloaded."""
    return tree(named(neighbor(1, named(path(2, *(tcp(ident, **rest) for ident in idents))))))


@story("CH-001")
def two_providers(trace: Trace, broken: bool) -> None:
    start(trace, *((GENERIC, GENERIC) if broken else (GENERIC, TCP_TABLE)))


@story("CH-002")
def table_of_entry_points(trace: Trace, broken: bool) -> None:
    start(trace, table={"size": 8} if broken else {})
    trace.connect(3)
    trace.event(3, 1)


@story("CH-003")
def other_chimneys(trace: Trace, broken: bool) -> None:
    result, answer = (ndis.SUCCESS, TABLE) if broken else (NOT_SUPPORTED, {})
    trace.call("NdisMGetOffloadHandlers", result, answer, buffer={"chimney_type": 3})


@story("CH-004")
def encapsulation(trace: Trace, broken: bool) -> None:
    start(trace, encapsulation=0x01 if broken else 0x10)


@story("CH-005")
def an_ip_version(trace: Trace, broken: bool) -> None:
    start(trace, support_ipv4=0, support_ipv6=0 if broken else 1)


@story("CH-006")
def capacity(trace: Trace, broken: bool) -> None:
    start(trace, tcp_connection_offload_capacity=3 if broken else 2)
    trace.connect(3)
    more = later(trace, 4, 5)
    trace.initiate(more, ended(more, {1: ndis.SUCCESS, 2: ndis.PARTIAL_SUCCESS, 5: TCP_ENTRIES}))


@story("CH-007")
def ticks(trace: Trace, broken: bool) -> None:
    trace.setting("ticks_per_second", 1000)
    trace.oid(ndis.OID_PARAMETERS, 1, ticks_per_second=100)
    trace.connect(3)
    trace.wait(100)
    trace.out(3, stamps=(7010, 0))
    trace.wait(400)
    trace.out(3, stamps=(7410 if broken else 7050, 0))


@story("CH-008")
def changed_capabilities(trace: Trace, broken: bool) -> None:
    start(trace)
    less = {**CAPABLE, "tcp_connection_offload_capacity": 1}
    if broken:
        trace.oid(HARDWARE_CAPABILITIES, answer=CAPABLE)
        trace.oid(HARDWARE_CAPABILITIES, answer=less)
    else:
        trace.status(ndis.PAUSE)
        trace.status(ndis.RESUME, buffer=less)
        trace.oid(HARDWARE_CAPABILITIES, answer=less)


@story("CH-009")
def initiate_in_flight(trace: Trace, broken: bool) -> None:
    pause = trace.enter(ndis.STATUS, status=ndis.PAUSE)
    given = tree(neighbor(1, path(2, tcp(3))))
    trace.call(ndis.INITIATE, tree=given)
    trace.leave(pause)
    trace.wait(50)
    trace.status(ndis.RESUME, buffer=CAPABLE)
    trace.wait(200)
    if not broken:
        trace.call(ndis.INITIATED, tree=ended(given))
    trace.event(3, 1)


@story("CH-010")
def running_in_a_pause(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    trace.status(ndis.PAUSE)
    data = nbl(40, DATA)
    trace.send(3, data)
    trace.out(3, 0, DATA)
    trace.into(3, ack=100)
    trace.complete("send", done(data, ndis.UPLOAD_IN_PROGRESS if broken else ndis.SUCCESS))
    trace.status(ndis.RESUME, buffer=CAPABLE)


@story("CH-011")
def sends_while_uploading(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    data = nbl(40, DATA)
    trace.send(3, data)
    trace.status(ndis.PAUSE)
    trace.status(ndis.UPLOAD_ALL)
    given = tree(existing(neighbor(1, path(2, tcp(3)))))
    trace.call(ndis.TERMINATE, tree=given)
    trace.complete("send", done(data, PAUSED if broken else ndis.UPLOAD_IN_PROGRESS, 0))
    trace.call(ndis.TERMINATED, tree=ended(given))


@story("CH-012")
def everything_is_uploaded(trace: Trace, broken: bool) -> None:
    trace.connect(3, 4)
    trace.status(ndis.PAUSE)
    trace.status(ndis.UPLOAD_ALL)
    trace.terminate(tcp(3))
    trace.terminate(path(2, tcp(4)))
    if not broken:
        trace.terminate(neighbor(1))
    trace.wait(200)
    trace.status(0x40010000)


@story("CH-013")
def nothing_new_before_the_resume(trace: Trace, broken: bool) -> None:
    trace.status(ndis.PAUSE)
    if not broken:
        trace.status(ndis.RESUME, buffer=CAPABLE)
    trace.connect(3)


@story("CH-014")
def power_down(trace: Trace, broken: bool) -> None:
    trace.connect(3)
    if not broken:
        trace.terminate(neighbor(1, path(2, tcp(3))))
    trace.oid(SET_POWER, 1, device_power_state=4)


def traffic(trace: Trace) -> None:
    """One connection: two segments out, one of them twice, two in; and one segment of a stranger."""
    trace.connect(3)
    trace.out(3, 0, DATA)
    trace.out(3, 100, DATA)
    trace.wait(300)
    trace.out(3, 0, DATA)
    trace.into(3, 0, ack=200)
    trace.into(3, 0, DATA, ack=200)
    trace.into(9, 0, DATA)
    trace.wait(10)


SEEN: Final = {"in_segments": 2, "out_segments": 2, "retransmitted_segments": 1, "currently_established": 1}


@story("CH-015")
def reset_of_statistics(trace: Trace, broken: bool) -> None:
    traffic(trace)
    trace.oid(TCP4, answer=SEEN)
    trace.oid(TCP4, 1)
    trace.wait(10)
    now = SEEN if broken else {**dict.fromkeys(SEEN, 0), "currently_established": 1}
    trace.oid(TCP4, answer=now)
    trace.wait(10)


@story("CH-016")
def offloaded_connections_only(trace: Trace, broken: bool) -> None:
    traffic(trace)
    trace.oid(TCP4, answer={**SEEN, "in_segments": 3 if broken else 2})
    trace.oid(TCP6, answer={"in_segments": 0})


@story("CH-017")
def retransmissions_count_apart(trace: Trace, broken: bool) -> None:
    traffic(trace)
    trace.oid(TCP4, answer={**SEEN, "out_segments": 3 if broken else 2})


@story("CH-018")
def currently_established(trace: Trace, broken: bool) -> None:
    traffic(trace)
    trace.oid(TCP4, answer={**SEEN, "currently_established": 0 if broken else 1})


@story("CH-019")
def resets_sent(trace: Trace, broken: bool) -> None:
    traffic(trace)
    if broken:
        trace.into(3, 0, flags=RST)
        trace.event(3, ndis.ABORT_EVENT)
    else:
        trace.request(ndis.DISCONNECT, 3, nbl(50), flags=ndis.ABORTIVE)
        trace.out(3, 200, flags=RST)
    trace.wait(10)
    answer = {**SEEN, "currently_established": 0, "out_resets": 1, "in_segments": 2}
    trace.oid(TCP4, answer=answer)


# --- further traces that break a rule, or must not ----------------------------------------------------------


def registered_late(trace: Trace) -> None:
    start(trace)
    trace.call("NdisSetOptionalHandlers", buffer={"type": GENERIC})


def no_table_at_all(trace: Trace) -> None:
    start(trace)
    trace.call("MiniportHaltEx")
    trace.call("MiniportInitializeEx")
    trace.event(3, 1)


def resumed_without_pause(trace: Trace) -> None:
    start(trace)
    trace.status(ndis.RESUME, buffer={**CAPABLE, "support_sack": 1})


def stalled_in_a_pause(trace: Trace) -> None:
    trace.connect(3)
    trace.into(3)
    trace.status(ndis.PAUSE)
    trace.send(3, nbl(40, DATA))
    trace.wait(500)
    trace.status(ndis.RESUME, buffer=CAPABLE)


def failed_send_while_uploading(trace: Trace) -> None:
    trace.connect(3)
    trace.send(3, nbl(40, DATA))
    trace.status(ndis.UPLOAD_ALL)
    trace.complete("send", done(nbl(40, DATA), ndis.FAILURE, 0))


def offload_while_uploading(trace: Trace) -> None:
    trace.connect(3)
    trace.status(ndis.UPLOAD_ALL)
    trace.initiate(later(trace, 4))


def power_down_completed_too_soon(trace: Trace) -> None:
    trace.connect(3)
    given = tree(existing(neighbor(1, path(2, tcp(3)))))
    trace.call(ndis.TERMINATE, tree=given)
    trace.call(ndis.OID, ndis.PENDING, oid=SET_POWER, flags=1, buffer={"device_power_state": 4})
    trace.call("NdisMOidRequestComplete", oid=SET_POWER, flags=1, status=0, buffer={"device_power_state": 4})


def power_down_during_an_initiate(trace: Trace) -> None:
    given = tree(neighbor(1, path(2, tcp(3))))
    trace.call(ndis.INITIATE, tree=given)
    trace.oid(SET_POWER, 1, device_power_state=4)


def other_counters_reset_too(trace: Trace) -> None:
    traffic(trace)
    trace.oid(IP4, answer={"in_receives": 2})
    trace.oid(TCP4, 1)
    trace.oid(IP4, answer={"in_receives": 0})


def illegal_rate(trace: Trace) -> None:
    trace.oid(ndis.OID_PARAMETERS, 1, ticks_per_second=250)


ALSO_BROKEN: Final = [
    ("CH-001", registered_late),
    ("CH-002", no_table_at_all),
    ("CH-007", illegal_rate),
    ("CH-008", resumed_without_pause),
    ("CH-010", stalled_in_a_pause),
    ("CH-011", failed_send_while_uploading),
    ("CH-012", offload_while_uploading),
    ("CH-014", power_down_completed_too_soon),
    ("CH-014", power_down_during_an_initiate),
    ("CH-015", other_counters_reset_too),
]


def paused_for_good(trace: Trace) -> None:
    pause = trace.enter(ndis.STATUS, status=ndis.PAUSE)
    trace.call(ndis.INITIATE, tree=tree(neighbor(1)))
    trace.leave(pause)
    trace.wait(10_000)
    trace.into(9)


def upload_that_the_target_asked_for(trace: Trace) -> None:
    trace.connect(3)
    trace.status(ndis.PAUSE)
    trace.post(3, posted(40))
    trace.event(3, ndis.RETRIEVE_EVENT, ndis.UPLOAD_WANTED)
    trace.complete("receive", done(posted(40), ndis.UPLOAD_IN_PROGRESS, 0))


def power_up(trace: Trace) -> None:
    trace.connect(3)
    trace.oid(SET_POWER, 1, device_power_state=1)


def rate_that_nobody_knows(trace: Trace) -> None:
    trace.oid(ndis.OID_PARAMETERS, 1, ticks_per_second=10)
    trace.connect(3)
    trace.out(3, stamps=(7000, 0))
    trace.wait(1000)
    trace.out(3, stamps=(8000, 0))


def intermediate_driver_above(trace: Trace) -> None:
    """The host is at layer 1: what the driver between does at layer 0 is not the host's."""
    trace.layer = 1
    branch: Branch = neighbor(1, path(2, tcp(3)))
    outer = trace.enter(ndis.INITIATE, tree=tree(branch))
    trace.layer = 0
    trace.status(ndis.PAUSE)
    trace.call(ndis.INITIATE, tree=tree(branch))
    trace.layer = 1
    trace.leave(outer)


KEPT: Final = [
    paused_for_good,
    upload_that_the_target_asked_for,
    power_up,
    rate_that_nobody_knows,
    intermediate_driver_above,
]


class TestRegistration(OffloadSection):
    monitor = RegistrationRules
    stories = STORIES
    also_broken = ALSO_BROKEN
    kept = KEPT
    not_applicable = NOT_APPLICABLE
    numbers = range(1, 20)


@pytest.mark.parametrize("from_registers", [True, False])
def test_an_answer_comes_from_the_device_if_registers_were_read_for_it_whenever_it_is_judged(
    from_registers: bool,
) -> None:
    def asked(trace: Trace, _: bool) -> None:
        traffic(trace)
        question = trace.enter(ndis.OID, oid=TCP4)
        if from_registers:
            trace.read(0x140, 2)
        trace.leave(question, result=ndis.SUCCESS, buffer=SEEN)
        trace.wait(10)
        trace.oid(SET_POWER, 1, device_power_state=1)  # nothing of the device's: the answer is judged here
        trace.into(3, 100, ack=200)

    monitors = watched([RegistrationRules], told(asked, False))
    for rule in ("CH-016", "CH-017", "CH-018"):
        assert monitors.triggers[rule] > 0
        assert (monitors.at_device[rule] > 0) == from_registers


@pytest.mark.rule("CH-007")
@pytest.mark.parametrize(
    ("rate", "advanced", "right"),
    [(1000, 100, True), (1000, 60, True), (1000, 140, True), (1000, 10, False), (1000, 1000, False),
     (100, 10, True), (100, 6, True), (100, 1, False), (100, 100, False), (10, 1, True), (10, 100, False)],
)  # fmt: skip
def test_ch_007_timestamps_may_be_of_frames_that_waited_and_no_other_legal_rate_passes(
    rate: int, advanced: int, right: bool
) -> None:
    def tell(trace: Trace, _: bool) -> None:
        trace.setting("ticks_per_second", 1000)
        trace.oid(ndis.OID_PARAMETERS, 1, ticks_per_second=rate)
        trace.connect(3)
        trace.wait(100)
        trace.out(3, stamps=(0xFFFF_FFF0, 0))
        trace.wait(100)
        trace.out(3, stamps=((0xFFFF_FFF0 + advanced) & 0xFFFF_FFFF, 0))

    breaches = watched([RegistrationRules], told(tell, False)).breaches
    assert [one.rule for one in breaches] == ([] if right else ["CH-007"])
