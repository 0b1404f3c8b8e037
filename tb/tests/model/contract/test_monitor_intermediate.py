"""Section 9.12: every rule has a trace that breaks it, which its monitor names first, and one that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.intermediate import NOT_APPLICABLE, IntermediateDriver
from tb.monitors.contract.trace import List, Node, Tree
from tb.tests.model.contract.section_tests import ByRule, TalkSection
from tb.tests.model.contract.terminate_traces import Story, Talk, done, first_breach, nbl, run

Trace = Callable[[Story, bool], None]
TRACES: Final = ByRule[Trace]()
trace_of = TRACES.of
FIRST: Final = nbl(60, b"a" * 100)
SECOND: Final = nbl(61, b"b" * 100)
OWN: Final = 50000
"""By how much handles, locations and contexts of the intermediate driver differ from those of the driver above."""


def lower(tree: Tree) -> Tree:
    """The tree as the intermediate driver passes it on: its own handles, its call entry in ImReserved."""
    return Tree(tree.root, {ident: below(node) for ident, node in tree.nodes.items()})


def below(node: Node) -> Node:
    location = None if node.location is None else node.location + OWN
    context = None if node.context is None else node.context + OWN
    handle = None if node.handle is None else node.handle + OWN
    reserved = (8, 2, 3, 4, 95, 96, 97)
    return replace(node, location=location, context=context, handle=handle, reserved=reserved)


def offload(story: Story, *, own: bool = True, restored: bool = True) -> Talk:
    """Initiate through one intermediate driver, with its ``own`` handles, ImReserved and SourceHandle ``restored``."""
    talk = Talk(story, number=4)
    states = {"const": talk.tcp_const(), "cached": talk.tcp_cached(), "delegated": talk.tcp_delegated()}
    given = talk.nodes(None, True, **states)
    outer = story.enter(ndis.INITIATE, layer=1, tree=given)
    story.leave(story.enter(ndis.INITIATE, layer=0, tree=lower(given) if own else given), layer=0)
    story.leave(outer, layer=1)
    after = talk.nodes(0, False, **states)
    inner = story.enter(ndis.INITIATED, layer=0, tree=lower(after))
    wrong = {ident: replace(node, reserved=below(node).reserved) for ident, node in after.nodes.items()}
    story.leave(story.enter(ndis.INITIATED, layer=1, tree=after if restored else Tree(after.root, wrong)), layer=1)
    story.leave(inner, layer=0)
    return talk


def indicate(story: Story, talk: Talk, told: int = 100, consumed: int = 100) -> None:
    """An indication through the driver: the host consumes, the target is told."""
    result = ndis.SUCCESS if consumed == 100 else ndis.PARTIALLY_ACCEPTED
    talk.hears(0, FIRST.data)
    inner = story.enter(ndis.INDICATE, layer=0, target=talk.handle + OWN, lists=(FIRST,), status=0)
    outer = story.enter(ndis.INDICATE, layer=1, target=talk.handle, lists=(FIRST,), status=0)
    story.leave(outer, layer=1, result=result, consumed=consumed)
    story.leave(inner, layer=0, result=result, consumed=told)


CONTEXT: Final = 4300
"""Of the connection, at the upper face."""


def send(
    story: Story, down: tuple[List, ...], target: int = CONTEXT + OWN, given: tuple[List, ...] = (FIRST, SECOND)
) -> None:
    outer = story.enter(ndis.SEND, layer=1, target=CONTEXT, lists=given)
    if down:
        story.leave(story.enter(ndis.SEND, layer=0, target=target, lists=down), layer=0, result=ndis.PENDING)
    story.leave(outer, layer=1, result=ndis.PENDING)


def complete(story: Story, below: tuple[List, ...], above: tuple[List, ...], kind: str = "send") -> None:
    inner = story.enter(ndis.COMPLETION_OF[kind], layer=0, lists=below)
    if above:
        story.leave(story.enter(ndis.COMPLETION_OF[kind], layer=1, lists=above), layer=1)
    story.leave(inner, layer=0)


def sent(*lists: List) -> tuple[List, ...]:
    return tuple(done(each, ndis.SUCCESS, 100) for each in lists)


def given_up(*lists: List) -> tuple[List, ...]:
    return tuple(done(each, ndis.FAILURE, 0) for each in lists)


@trace_of("CH-253")
def _(story: Story, broken: bool) -> None:
    offload(story, restored=not broken)


@trace_of("CH-254")
def _(story: Story, broken: bool) -> None:
    offload(story)
    send(story, (FIRST, nbl(62, b"b" * 100)) if broken else (FIRST, SECOND))
    complete(story, given_up(FIRST), given_up(FIRST))
    complete(story, given_up(SECOND), given_up(SECOND))


@trace_of("CH-255")
def _(story: Story, broken: bool) -> None:
    talk = offload(story)
    inner = story.enter(ndis.EVENT, layer=0, target=talk.handle + OWN, event=3, info=10)
    told = talk.handle + OWN if broken else talk.handle
    story.leave(story.enter(ndis.EVENT, layer=1, target=told, event=3, info=10), layer=1)
    story.leave(inner, layer=0)


@trace_of("CH-256")
def _(story: Story, broken: bool) -> None:
    offload(story)
    send(story, ())
    second = ndis.REQUEST_UPLOAD if broken else ndis.UPLOAD_REQUESTED
    lists = (done(FIRST, ndis.REQUEST_UPLOAD, 0), done(SECOND, second, 0))
    story.leave(story.enter(ndis.COMPLETION_OF["send"], layer=1, lists=lists), layer=1)


@trace_of("CH-257")
def _(story: Story, broken: bool) -> None:
    indicate(story, offload(story), told=90 if broken else 40, consumed=40)


@trace_of("CH-258")
def _(story: Story, broken: bool) -> None:
    indicate(story, offload(story))
    outer = story.enter(ndis.RETURN, layer=1, lists=(FIRST,))
    if broken:
        story.leave(outer, layer=1, result=0)
        story.leave(story.enter(ndis.RETURN, layer=0, lists=(FIRST,)), layer=0, result=0)
    else:
        story.leave(story.enter(ndis.RETURN, layer=0, lists=(FIRST,)), layer=0, result=0)
        story.leave(outer, layer=1, result=0)


@trace_of("CH-259")
def _(story: Story, broken: bool) -> None:
    for kind in (ndis.PROVIDER_GENERIC, ndis.PROVIDER_TCP):
        story.leave(story.enter("NdisSetOptionalHandlers", layer=0, buffer={"type": kind}), layer=0)
    story.leave(story.enter("MiniportInitializeEx", layer=0), layer=0)
    story.leave(story.enter("MiniportInitializeEx", layer=1), layer=1)
    if broken:
        offload(story)


def judge(tell: Callable[[Story], object]) -> IntermediateDriver:
    story = Story()
    tell(story)
    monitor = IntermediateDriver()
    run(monitor, story)
    return monitor


class TestIntermediate(TalkSection):
    monitors = (IntermediateDriver,)
    traces = TRACES
    not_applicable = NOT_APPLICABLE
    section = frozenset(f"CH-{number}" for number in range(253, 260))


def breaks_first(rule: str, tell: Callable[[Story], object]) -> bool:
    return first_breach(judge(tell)) == rule


def test_an_intermediate_driver_hands_its_own_handle_down() -> None:
    assert breaks_first("CH-255", lambda story: offload(story, own=False))


def test_an_intermediate_driver_sends_on_its_own_handle() -> None:
    def tell(story: Story) -> None:
        offload(story)
        send(story, (FIRST, SECOND), target=CONTEXT)

    assert breaks_first("CH-255", tell)


def test_lists_are_neither_split_off_nor_kept_nor_reordered_on_their_way_down() -> None:
    assert breaks_first("CH-254", lambda story: send(story, (FIRST,)))
    assert breaks_first("CH-254", lambda story: send(story, (SECOND, FIRST)))


def test_a_completion_goes_up_with_its_lists_status_and_counts() -> None:
    def tell(below: tuple[List, ...], above: tuple[List, ...]) -> Callable[[Story], None]:
        def story_of(story: Story) -> None:
            send(story, (FIRST, SECOND))
            complete(story, below, above)

        return story_of

    both = sent(FIRST, SECOND)
    assert judge(tell(both, both)).breaches == []
    assert breaks_first("CH-254", tell(both, both[::-1]))
    assert breaks_first("CH-254", tell(both, (both[0], done(SECOND, ndis.FAILURE, 100))))
    assert breaks_first("CH-254", tell(both, ()))


def test_disconnect_flags_go_down_unchanged() -> None:
    def tell(story: Story) -> None:
        outer = story.enter(ndis.DISCONNECT, layer=1, target=CONTEXT, lists=(FIRST,), flags=1)
        story.leave(story.enter(ndis.DISCONNECT, layer=0, target=CONTEXT + OWN, lists=(FIRST,), flags=2), layer=0)
        story.leave(outer, layer=1)

    assert breaks_first("CH-254", tell)


def test_a_chain_refused_for_want_of_memory_does_not_go_down() -> None:
    def tell(story: Story) -> None:
        send(story, (FIRST, SECOND))
        lists = (done(FIRST, ndis.REQUEST_UPLOAD, 0), done(SECOND, ndis.UPLOAD_REQUESTED, 0))
        story.leave(story.enter(ndis.COMPLETION_OF["send"], layer=1, lists=lists), layer=1)

    assert breaks_first("CH-256", tell)


@pytest.mark.parametrize(("target", "accepted"), [(CONTEXT, True), (CONTEXT + 1, False)])
def test_a_later_chain_of_the_same_connection_alone_may_be_refused_as_what_is_behind(
    target: int, accepted: bool
) -> None:
    def tell(story: Story) -> None:
        for to, one, status in ((CONTEXT, FIRST, ndis.REQUEST_UPLOAD), (target, SECOND, ndis.UPLOAD_REQUESTED)):
            outer = story.enter(ndis.SEND, layer=1, target=to, lists=(one,))
            lists = (done(one, status, 0),)
            story.leave(story.enter(ndis.COMPLETION_OF["send"], layer=1, lists=lists), layer=1)
            story.leave(outer, layer=1, result=ndis.PENDING)

    assert judge(tell).breaches == [] if accepted else breaks_first("CH-256", tell)


def refuse(story: Story, kind: str, one: List, count: int = 0, flags: int = 0) -> None:
    """One list of a kind meets no memory at layer 1."""
    call = {"send": ndis.SEND, "receive": ndis.RECEIVE, "forward": ndis.FORWARD, "disconnect": ndis.DISCONNECT}[kind]
    outer = story.enter(call, layer=1, target=CONTEXT, lists=(one,), flags=flags)
    lists = (done(one, ndis.REQUEST_UPLOAD, count),)
    story.leave(story.enter(ndis.COMPLETION_OF[kind], layer=1, lists=lists), layer=1)
    story.leave(outer, layer=1, result=ndis.PENDING)


def passes(story: Story, function: str, one: List, flags: int = 0) -> None:
    """One list goes down through layer 1."""
    outer = story.enter(function, layer=1, target=CONTEXT, lists=(one,), flags=flags)
    inner = story.enter(function, layer=0, target=CONTEXT + OWN, lists=(one,), flags=flags)
    story.leave(inner, layer=0, result=ndis.PENDING)
    story.leave(outer, layer=1, result=ndis.PENDING)


_GRACEFUL: Final = {"disconnect": ndis.GRACEFUL}


@pytest.mark.rule("CH-256", "G-14")
@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("kind", ["send", "receive", "forward", "disconnect"])
def test_a_refused_list_of_any_kind_says_that_no_byte_was_transferred(kind: str, count: int) -> None:
    found = judge(lambda story: refuse(story, kind, FIRST, count, _GRACEFUL.get(kind, 0)))
    assert [breach.rule for breach in found.breaches] == ["CH-256"] * count
    assert found.triggers["CH-256"] > 0


@pytest.mark.rule("CH-256", "G-14")
@pytest.mark.parametrize(
    ("refused", "behind", "flags", "allowed"),
    [
        ("send", ndis.SEND, 0, False),
        ("send", ndis.DISCONNECT, ndis.GRACEFUL, False),
        ("send", ndis.DISCONNECT, ndis.ABORTIVE, True),
        ("send", ndis.RECEIVE, 0, True),
        ("send", ndis.FORWARD, 0, True),
        ("receive", ndis.RECEIVE, 0, False),
        ("receive", ndis.SEND, 0, True),
        ("forward", ndis.FORWARD, 0, False),
        ("forward", ndis.RECEIVE, 0, True),
        ("disconnect", ndis.DISCONNECT, ndis.ABORTIVE, True),
    ],
)
def test_nothing_goes_down_behind_what_was_refused_of_its_stream(
    refused: str, behind: str, flags: int, allowed: bool
) -> None:
    def tell(story: Story) -> None:
        offload(story)
        refuse(story, refused, FIRST, flags=_GRACEFUL.get(refused, 0))
        passes(story, behind, SECOND, flags)
        lists = (done(SECOND, ndis.UPLOAD_IN_PROGRESS, 0),)
        complete(story, lists, lists, ndis.REQUESTS[behind])

    assert judge(tell).breaches == [] if allowed else breaks_first("CH-256", tell)


@pytest.mark.rule("CH-256")
def test_a_connection_that_has_the_context_of_one_that_was_refused_sends_again() -> None:
    def tell(story: Story) -> None:
        talk = offload(story)
        refuse(story, "send", FIRST)
        node = talk.nodes(0, False, delegated=talk.tcp_delegated())
        for function in (ndis.TERMINATE, ndis.TERMINATED):
            outer = story.enter(function, layer=1, tree=node)
            story.leave(outer, layer=1)
        passes(story, ndis.SEND, SECOND)
        complete(story, sent(SECOND), sent(SECOND))

    assert "CH-256" not in {breach.rule for breach in judge(tell).breaches}


def test_a_list_that_the_driver_above_a_full_one_gets_back_is_passed_on_as_it_is() -> None:
    lists = (done(FIRST, ndis.REQUEST_UPLOAD, 0), done(SECOND, ndis.UPLOAD_REQUESTED, 0))

    def tell(story: Story) -> None:
        top = story.enter(ndis.SEND, layer=2, target=32, lists=(FIRST, SECOND))
        middle = story.enter(ndis.SEND, layer=1, target=33, lists=(FIRST, SECOND))
        story.leave(middle, layer=1, result=ndis.PENDING)
        story.leave(top, layer=2, result=ndis.PENDING)
        inner = story.enter(ndis.COMPLETION_OF["send"], layer=1, lists=lists)
        story.leave(story.enter(ndis.COMPLETION_OF["send"], layer=2, lists=lists), layer=2)
        story.leave(inner, layer=1)

    assert judge(tell).breaches == []


def _event(story: Story, told: tuple[int, int] | None) -> None:
    talk = offload(story)
    inner = story.enter(ndis.EVENT, layer=0, target=talk.handle + OWN, event=3, info=10)
    if told is not None:
        outer = story.enter(ndis.EVENT, layer=1, target=talk.handle, event=told[0], info=told[1])
        story.leave(outer, layer=1)
    story.leave(inner, layer=0)


def test_an_event_goes_up_as_it_came() -> None:
    def rules(told: tuple[int, int] | None) -> list[str]:
        story = Story()
        _event(story, told)
        return [breach.rule for breach in run(IntermediateDriver(), story).breaches]

    assert rules((3, 10)) == []
    assert rules((4, 0)) == ["CH-255"]
    assert rules(None) == ["CH-255"]


@pytest.mark.parametrize(("result", "consumed"), [(ndis.SUCCESS, 100), (ndis.NOT_ACCEPTED, 0)])
def test_an_intermediate_driver_does_not_answer_an_indication_itself(result: int, consumed: int) -> None:
    story = Story()
    talk = offload(story)
    inner = story.enter(ndis.INDICATE, layer=0, target=talk.handle + OWN, lists=(FIRST,), status=0)
    story.leave(inner, layer=0, result=result, consumed=consumed)
    assert [breach.rule for breach in run(IntermediateDriver(), story).breaches] == ["CH-257"]


def test_a_chain_that_goes_neither_down_nor_back_is_lost() -> None:
    story = Story()
    offload(story)
    send(story, ())
    assert {breach.rule for breach in run(IntermediateDriver(), story).breaches} == {"CH-254"}


@pytest.mark.parametrize("kind", ["kept", "lost", "altered", "failed"])
def test_an_initiate_goes_down_and_its_result_up_unchanged(kind: str) -> None:
    story = Story()
    talk = Talk(story, number=4)
    states = {"const": talk.tcp_const(), "cached": talk.tcp_cached(), "delegated": talk.tcp_delegated()}
    given = talk.nodes(None, True, **states)
    down = lower(given)
    if kind == "altered":
        changed = {i: replace(n, delegated={**(n.delegated or {}), "snd_una": 1}) for i, n in down.nodes.items()}
        down = Tree(down.root, changed)
    outer = story.enter(ndis.INITIATE, layer=1, tree=given)
    if kind != "lost":
        story.leave(story.enter(ndis.INITIATE, layer=0, tree=down), layer=0)
    story.leave(outer, layer=1)
    if kind in ("kept", "failed"):
        after = talk.nodes(0, False, **states)
        up = {ident: replace(node, status=ndis.FAILURE) for ident, node in after.nodes.items()}
        inner = story.enter(ndis.INITIATED, layer=0, tree=lower(after))
        told = after if kind == "kept" else Tree(after.root, up)
        story.leave(story.enter(ndis.INITIATED, layer=1, tree=told), layer=1)
        story.leave(inner, layer=0)
    found = [breach.rule for breach in run(IntermediateDriver(), story).breaches]
    assert found == ([] if kind == "kept" else ["CH-253"])
