"""What delivery_engine does in each of its states, one after the other, as cases for the lab.

Nothing is drawn: what the talks of closure_cases hit now and then is hit here whatever the seed. `DELIVERY` and `ENTRY`
are the bins that the cases are for; the tests ask for them. Rules: docs/contract/delivery_step.md.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import islice, product
from typing import Final

from model.layout.generated import Cqe, CqKind, Opcode, Sqe, Status
from model.ndis.images import DEFAULT_PARAMETERS
from tb.tests.closure_cases import (
    ACK,
    FIN,
    HOLD,
    NOPUSH,
    POOL,
    PREFILL,
    PUSH_TICKS,
    RST,
    UPDATE_RCV_WND,
    acknowledged,
    ended,
    finish,
    patience,
    refused_until,
    request,
    returned,
    terminate,
)
from tb.tests.command_cases import update_of
from tb.tests.error_cases import answer_to
from tb.tests.lab import FIRST_CONN, IMAGE, LAST_CONN, LOCAL_PORT, Case, Lab, Link

#: Bytes of a segment of which the pool has no room for POOL.
SMALL: Final = 10
#: Equal acknowledgments, one behind the other, that show that text was refused.
STUCK: Final = 3
_KEPT: Final = ("INDICATED", "REFUSED", "HELD")
_WHAT: Final = ("DELIVER NONE", "DELIVER COPY", "HOLD PLACE", "UPDATE NONE", "FLUSH NONE", "ANSWER NONE", "RESUME NONE")
DELIVERY: Final = frozenset(
    {
        *(f"{state} {what}" for state, what in product(_KEPT, _WHAT)),
        *(f"{state} RECEIVE NONE" for state in ("HELD", "INDICATED", "REFUSED", "FROZEN", "ABORTED")),
        *(f"{state} TIMER NONE" for state in ("INDICATED", "REFUSED", "OPEN")),
        "HELD CONTINUE NONE", "REFUSED CONTINUE PLACE", "OPEN CONTINUE PLACE", "ABORTED CONTINUE NONE",
        "FROZEN CONTINUE COPY", "FROZEN CONTINUE LIST_WRITE",
        "INDICATED NOTIFY NONE", "REFUSED NOTIFY NONE", "HELD NOTIFY NONE", "OPEN START NONE", "OPEN DELIVER COPY",
        "FROZEN RESUME NONE", "ABORTED ANSWER NONE", "ABORTED RESUME NONE", "ABORTED FREEZE NONE",
    }
)  # fmt: skip
"""Bins of the group `delivery`: state, event, operation."""
ENTRY: Final = frozenset({"TIMER NONE", "TIMER RECEIVE", "FLUSH NONE"})
"""Bins of the group `entry`: event, completion entry."""


def cases() -> list[Callable[[Lab], Case]]:
    """All of them, with a push timer that is over soon."""
    return [
        lambda lab: patience(lab, PUSH_TICKS),
        started_late,
        held,
        shown,
        refused,
        crossed,
        opened,
        frozen,
        lambda lab: patience(lab, DEFAULT_PARAMETERS.push_ticks),
    ]


def _started(lab: Lab, conn: int, *, hold: bool, resumed: bool = False) -> Generator[Callable[[], bool], None, Link]:
    yield from lab.prepare()
    link = Link(conn, lab.new_gen())
    image = replace(IMAGE, local_port=LOCAL_PORT + conn)
    yield from lab.good(lab.with_image(Opcode.INITIATE, image.to_bytes(), conn, link.gen))
    if resumed:
        yield from _said(lab, _resume(link))
    yield from lab.good(Sqe(opcode=Opcode.START, conn=conn, gen=link.gen, flags=HOLD * hold))
    return link


def _resume(link: Link) -> Sqe:
    return Sqe(opcode=Opcode.RESUME, conn=link.conn, gen=link.gen)


def _said(lab: Lab, *entries: Sqe) -> Case:
    """These entries are carried out."""
    for entry in entries:
        lab.post(entry)
    yield from lab.silent()


def _acknowledged(lab: Lab, link: Link) -> Callable[[], bool]:
    """One more acknowledgment than now."""
    before = len(list(acknowledged(lab, link.conn)))
    return lambda: len(list(acknowledged(lab, link.conn))) > before


def _updated(lab: Lab, link: Link) -> Case:
    """Another receive window, which is told at once (B-9)."""
    told = _acknowledged(lab, link)
    update = update_of(lab, link, cached_flags=UPDATE_RCV_WND, initial_rcv_wnd=30_000)
    yield from lab.good(update)
    yield told


def _hole(lab: Lab, link: Link) -> Case:
    """Text behind a hole is held (M-2), then the hole is filled and both are in order (J-3)."""
    told = _acknowledged(lab, link)
    lab.arrive(lab.frame(replace(link, rcv=link.rcv + 100), bytes(50)))
    yield told
    told = _acknowledged(lab, link)
    lab.deliver(link, bytes(100), ACK)
    link.rcv += 50
    yield told


def _forwarded(lab: Lab, link: Link) -> Case:
    """A segment with text comes from above."""
    cookie = lab.post(lab.forward(link, bytes(60)))
    link.rcv += 60
    assert (yield from lab.answer(cookie)).status == Status.OK


def _flooded(lab: Lab, link: Link) -> Case:
    """More text than there are buffers; the far end goes on where the device stands (C.11: FLUSH)."""
    for _ in range(POOL):
        lab.deliver(link, bytes(SMALL), ACK)

    def stuck() -> bool:
        last = list(islice(acknowledged(lab, link.conn), STUCK))
        return len(last) == STUCK and len(set(last)) == 1 and last[0] != link.rcv

    yield stuck
    link.rcv = next(acknowledged(lab, link.conn))


def _closed(lab: Lab, link: Link) -> Case:
    """A FIN alone."""
    told = _acknowledged(lab, link)
    lab.deliver(link, b"", ACK | FIN)
    yield told


def _reset(lab: Lab, link: Link) -> Case:
    """An RST at RcvNxt."""
    lab.arrive(lab.frame(link, flags=RST | ACK))
    while True:
        event = yield from lab.told(link.conn)
        if event.kind == CqKind.EVENT:
            return


def _everything(lab: Lab, link: Link) -> Case:
    """What comes to a connection whose host neither takes nor posts: a window, text in every way, the end, an RST."""
    for case in (_updated, _hole, _forwarded, _flooded, _closed, _reset):
        yield from case(lab, link)


def _indicated(lab: Lab, link: Link) -> Generator[Callable[[], bool], None, Cqe]:
    """Text that the far end did not push waits for an answer."""
    lab.deliver(link, bytes(100), ACK)
    entry = yield from lab.told(link.conn)
    assert entry.kind == CqKind.INDICATION
    return entry


def started_late(lab: Lab) -> Case:
    """RESUME comes between INITIATE and START."""
    link = yield from _started(lab, FIRST_CONN, hold=False, resumed=True)
    yield from finish(lab, link)


def held(lab: Lab) -> Case:
    """START with HOLD: everything that may come before the RESUME, and an RST in the place of it."""
    link = yield from _started(lab, LAST_CONN, hold=True)
    yield from _said(lab, request(link, lab.page(), 100, PREFILL), answer_to(link, 7, 1))
    yield from _everything(lab, link)
    yield from finish(lab, link)
    link = yield from _started(lab, FIRST_CONN, hold=True)
    yield from _said(lab, _resume(link))
    yield from finish(lab, link)


def shown(lab: Lab) -> Case:
    """An indication is out: everything that may come before its answer, and the answer when all is over."""
    link = yield from _started(lab, FIRST_CONN, hold=False)
    entry = yield from _indicated(lab, link)
    yield from _said(lab, _resume(link), answer_to(link, entry.info + 1, 1), request(link, lab.page(), 100, PREFILL))
    yield from lab.ticks(PUSH_TICKS + 1)
    yield from _everything(lab, link)
    yield from _said(lab, request(link, lab.page(), 100), _resume(link), answer_to(link, entry.info, 0))
    yield from finish(lab, link)


def refused(lab: Lab) -> Case:
    """The host refused what was indicated and posts nothing."""
    link = yield from _started(lab, LAST_CONN, hold=False)
    entry = yield from _indicated(lab, link)
    yield from _said(lab, answer_to(link, entry.info, 0), _resume(link), answer_to(link, entry.info, 1))
    yield from _everything(lab, link)
    yield from finish(lab, link)


def crossed(lab: Lab) -> Case:
    """Requests cross the refusal (CH-152): they are filled, the push timer ends one, text runs through another."""
    link = yield from _started(lab, FIRST_CONN, hold=False)
    entry = yield from _indicated(lab, link)
    page = lab.page()
    posted = [lab.post(request(link, page + 512 * i, n)) for i, n in enumerate((60, 60, 200))]
    yield from _said(lab, answer_to(link, entry.info, 0))
    for cookie, filled in zip(posted[:2], (60, 40), strict=True):
        done = yield from lab.answer(cookie)
        assert (done.status, done.nbytes) == (Status.OK, filled)
    lab.deliver(link, bytes(300), ACK)
    assert (yield from lab.answer(posted[2])).nbytes == 200
    yield from _said(lab, request(link, page, 20))
    yield from finish(lab, link)


def opened(lab: Lab) -> Case:
    """Text runs through two requests; the push timer finds a request at the head that does not care."""
    link = yield from _started(lab, LAST_CONN, hold=False)
    page = lab.page()
    posted = [lab.post(request(link, page + 512 * i, 60, NOPUSH)) for i in range(2)]
    yield from lab.silent()
    lab.deliver(link, bytes(120))
    for cookie in posted:
        assert (yield from lab.answer(cookie)).nbytes == 60
    yield from _said(lab, request(link, page, 60, NOPUSH), request(link, page + 512, 60, PREFILL))
    yield from lab.ticks(PUSH_TICKS + 1)
    yield from _forwarded(lab, link)
    yield from finish(lab, link)


def frozen(lab: Lab) -> Case:
    """TERMINATE while an indication is out, which holds the end up: requests, and what the host says meanwhile."""
    link = yield from _started(lab, FIRST_CONN, hold=False)
    entry = yield from _indicated(lab, link)
    lab.deliver(link, bytes(300), ACK)
    waiting = lab.post(request(link, lab.page(), 150, NOPUSH))
    yield from lab.silent()
    cookie, array = terminate(lab, link)
    yield from lab.silent()
    late = lab.post(request(link, lab.page(), 100))
    yield from _said(lab, _resume(link))
    yield from ended(lab, link, cookie, [(entry.info, entry.nbytes)])
    yield from refused_until(lab, link, [waiting, late])
    yield from returned(lab, array)
