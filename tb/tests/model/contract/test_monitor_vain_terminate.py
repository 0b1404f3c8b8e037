"""A terminate that fails because another one is ending its object ends nothing: books go on until the first is done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tb.monitors.contract import ndis_numbers as ndis
from tb.monitors.contract.connection_books import BooksDesk
from tb.monitors.contract.face_desk import FaceDesk
from tb.monitors.contract.offload_monitor import OffloadDesk
from tb.monitors.contract.trace import Tree
from tb.tests.model.contract.offload_traces import Trace, ended, existing, tcp, tree

CONTEXT = 3003


def trace(*, first_completes: bool) -> Trace:
    """A connection is being terminated; a second terminate of it fails, and maybe the first completes."""
    story = Trace()
    story.connect(3)
    first = tree(existing(tcp(3)))
    second = Tree(9, {9: replace(existing(tcp(9, location=1003)).node, context=CONTEXT)})
    story.call(ndis.TERMINATE, tree=first)
    story.state_call(ndis.TERMINATE, second, ended(second, {9: ndis.FAILURE}))
    if first_completes:
        story.call(ndis.TERMINATED, tree=ended(first))
    return story


@pytest.mark.parametrize("first_completes", [False, True])
def test_books_hold_a_connection_until_the_terminate_that_ends_it_completes(first_completes: bool) -> None:
    faces, offloads, books = FaceDesk(), OffloadDesk(), BooksDesk()
    for record in trace(first_completes=first_completes).records:
        for desk in (faces, offloads, books):
            desk.record = record
            desk.take(record)
    held = (
        faces.faces()[0].connection(CONTEXT),
        offloads.books.face(record).connection(CONTEXT),
        books.books.of(record).things.get(CONTEXT),
    )
    assert [one is None for one in held] == [first_completes] * 3
