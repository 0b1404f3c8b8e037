"""The monitors of sections 9.4, 9.5, 9.7 and 9.8 in any run: several adapters, intermediate drivers, unknown names."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final

import pytest

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.host_misuse import HostMisuse
from tb.monitors.contract.monitor import Monitor
from tb.monitors.contract.trace import Buffer, Counters, Enter, Frame, Leave, List, Node, Record, Setting, Tree
from tb.tests.model.contract import (
    test_monitor_control,
    test_monitor_disconnect,
    test_monitor_forward,
    test_monitor_send,
)
from tb.tests.model.contract.face_traces import SECTIONS, Story, Tale, nbl

_MODULES: Final = (test_monitor_control, test_monitor_send, test_monitor_forward, test_monitor_disconnect)
_KEPT: Final = tuple(
    dict.fromkeys(tale for module in _MODULES for tales in module.TALES.kept.values() for tale in tales)
)
#: A trace of the target's duties may misuse it, and so may a stray call.
_OF_DUTIES: Final = tuple(section for section in SECTIONS if section is not HostMisuse)
_UP: Final = frozenset({*ndis.STATE_COMPLETIONS, *ndis.COMPLETIONS, ndis.EVENT, ndis.INDICATE})

Change = Callable[[Record], Iterator[Record]]


def on_two_adapters(record: Record) -> Iterator[Record]:
    yield record
    yield replace(record, adapter="nic1")


def through_an_intermediate_driver(record: Record) -> Iterator[Record]:
    if not isinstance(record, Enter | Leave):
        yield record
        return
    number = 2 * record.call
    lower, upper = replace(record, call=number), replace(record, call=number + 1, layer=1)
    down = record.function not in _UP
    yield from (upper, lower) if down == isinstance(record, Enter) else (lower, upper)


def with_unknown_calls_between(record: Record) -> Iterator[Record]:
    yield record
    call = 10_000 + 10 * record.order
    stray = nbl(90_000 + record.order, b"stray")
    where: dict[str, Any] = {"order": record.order, "tick": record.tick}
    for n, function in enumerate((ndis.SEND, ndis.RECEIVE)):
        yield Enter(**where, call=call + n, function=function, target=77, lists=(stray,))
        yield Leave(**where, call=call + n, function=function, result=ndis.PENDING)
    yield Enter(**where, call=call + 2, function=ndis.EVENT, target=77, event=ndis.ABORT_EVENT)
    yield Leave(**where, call=call + 2, function=ndis.EVENT)


def found(tale: Tale, change: Change) -> list[str]:
    story = Story()
    tale(story)
    monitors = [section() for section in _OF_DUTIES]
    for record in story.records:
        for made in change(record):
            for monitor in monitors:
                monitor.feed(made)
    for monitor in monitors:
        monitor.finish()
    return [str(breach) for monitor in monitors for breach in monitor.breaches]


@pytest.mark.parametrize("change", [on_two_adapters, through_an_intermediate_driver, with_unknown_calls_between])
def test_a_conforming_trace_stays_silent(change: Change) -> None:
    plain = [tale for tale in _KEPT if "layers" not in getattr(tale, "__name__", "")]
    assert len(plain) > 50
    for tale in plain:
        assert found(tale, change) == [], getattr(tale, "__name__", "")


def test_duties_of_the_host_are_watched_at_its_own_face_alone() -> None:
    def two_sends_at_once(layer: int) -> list[str]:
        def tale(s: Story) -> None:
            s.call(ndis.RECEIVE, layer=1, target=77)
            s.offload()
            first = s.request(ndis.SEND, [nbl(1, b"a")], layer=layer)
            second = s.request(ndis.SEND, [nbl(2, b"b")], layer=layer)
            s.leave(second, result=ndis.PENDING).leave(first, result=ndis.PENDING)

        return [text for text in found(tale, lambda record: iter((record,))) if "CH-110" in text]

    assert len(two_sends_at_once(1)) == 1
    assert two_sends_at_once(0) == []


def _noise(rng: random.Random) -> Iterator[Record]:
    """Records that hang together by chance only."""
    functions = [*ndis.STATE_CALLS, *ndis.STATE_COMPLETIONS, *ndis.REQUESTS, *ndis.COMPLETIONS]
    functions += [ndis.EVENT, ndis.INDICATE, ndis.STATUS, ndis.OID, "MiniportHaltEx", "NotACall"]
    statuses = [
        None,
        0,
        ndis.PENDING,
        ndis.FAILURE,
        ndis.REQUEST_ABORTED,
        ndis.UPLOAD_IN_PROGRESS,
        ndis.PARTIAL_SUCCESS,
    ]

    def number() -> int:
        return rng.randrange(8)

    def some(items: list[Any]) -> Any:
        return rng.choice(items)

    def lists() -> tuple[List, ...]:
        sizes = [rng.randrange(40) for _ in range(number() // 2)]
        buffers = tuple(Buffer(number(), size) for size in sizes)
        given = List(number(), buffers, some(statuses), some([None, 0, 5]), data=rng.randbytes(rng.choice((0, 30))))
        return (given,) * rng.randrange(3)

    def tree() -> Any:
        def state() -> Any:
            names = ["snd_una", "rcv_nxt", "flags", "ttl_or_hop_limit", "dl_destination_address", "source_address"]
            return some([None, {name: some([1, 0xFFFFFFFF, b"1234", None]) for name in names}])

        nodes = [
            Node(
                n, some([4, 8, 17]), some([None, number()]), some([None, number()]), number(), some([None, number()]),
                some([None, number()]), some(statuses), const=state(), cached=state(), delegated=state(), chain=lists(),
            )
            for n in range(8)
        ]  # fmt: skip
        return some([None, Tree(number(), {node.ident: node for node in nodes if number()})])

    for order in range(1500):
        where = {"order": order, "tick": order * number(), "adapter": some(["nic0", "nic1"]), "layer": some([0, 0, 1])}
        kind = rng.random()
        call: dict[str, Any] = {"call": number(), "function": some(functions)}
        if kind < 0.6:
            enter: dict[str, Any] = {"lists": lists(), "tree": tree(), "flags": some([0, 1, 2]), "event": number()}
            yield Enter(**where, **call, **enter, target=some([None, number()]), status=some(statuses), info=number())
        elif kind < 0.8:
            yield Leave(**where, **call, result=some(statuses), consumed=some([None, 3]))
        elif kind < 0.95:
            frame = rng.randbytes(rng.randrange(80)) if number() else bytes(12) + b"\x08\x00\x45" + bytes(60)
            yield Frame(**where, sent=some([True, False]), data=frame)
        else:
            yield some([Counters(**where, used={"paths": 0}), Setting(**where, name="x", value=1)])


@lru_cache(maxsize=1)
def _noise_of(seed: int) -> tuple[Record, ...]:
    """To draw a trace takes fifty times as long as to watch it; every section watches the same one, as in a session."""
    return tuple(_noise(random.Random(seed)))


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
@pytest.mark.parametrize("seed", range(20))
def test_no_trace_makes_a_monitor_fail(section: type[Monitor], seed: int) -> None:
    monitor = section()
    fed = 0
    for record in _noise_of(seed):
        monitor.feed(record)
        fed += 1
    monitor.finish()
    assert fed == 1500
    assert set(monitor.triggers) <= set(section.RULES)
