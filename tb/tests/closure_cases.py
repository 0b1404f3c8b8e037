"""What coverage asks for and sessions seldom do, as cases for the lab: drawn from the whole space, from named streams.

`every_lane` goes through all residues of addresses and lengths modulo the bus word, `every_place` through the ring of
requests, `whatever_is_said` draws what a host and a far end say to a connection that is held, indicated, refused, open
or over. Nothing is asserted but that all comes to its end: every record is compared in lockstep.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from model.device.memory import ErrorWindow
from model.layout.generated import (
    DELEGATED_IMAGE_BYTES,
    CqKind,
    LeftOver,
    Opcode,
    SgElem,
    Sqe,
    Status,
)
from model.ndis.images import DEFAULT_PARAMETERS
from model.streams import Streams
from model.wire.frame import parse_frame
from tb.tests.command_cases import update_of
from tb.tests.error_cases import answer_to
from tb.tests.lab import FIRST_CONN, IMAGE, LAB_MAC, LAST_CONN, LOCAL_PORT, Case, Lab, Link

ACK, FIN, RST, PSH, URG = 0x10, 1, 4, 8, 0x20
NOPUSH, PREFILL, HOLD = 1, 2, 1
UPDATE_RCV_WND: Final = 16
#: Requests of a connection (struct dcb), and how many of them are posted at a time.
RING: Final = 16
BATCH: Final = 8
#: Ticks in which text that was not pushed is kept back while the lab talks.
PUSH_TICKS: Final = 2
#: Buffers of the pool: so few that a talk may use them up. Bytes of the session beside the lab.
POOL, SESSION = 16, 2_048
#: Events of one talk, and how many talks.
EVENTS, TALKS = 32, 12
#: What is said behind a TERMINATE.
LATE: Final = ("resume", "wrong answer", "update", "text", "forward", "receive")
#: How often each thing is said.
SAID: Final = {
    "text": 24, "flood": 3, "hole": 8, "fin": 3, "forward": 8, "receive": 18, "answer": 18, "wrong answer": 5,
    "resume": 8, "update": 8, "send": 4, "wait": 12, "again": 6, "rst": 1, "urgent": 1,
}  # fmt: skip
#: The same where the host refuses what is indicated and posts next to nothing.
SULLEN: Final = SAID | {
    "receive": 0, "flood": 0, "answer": 20, "wrong answer": 10, "resume": 10, "update": 12, "hole": 10, "fin": 2,
    "forward": 10, "wait": 14, "again": 6, "rst": 0, "urgent": 0,
}  # fmt: skip


def cases(streams: Streams, lanes: int) -> list[Callable[[Lab], Case]]:
    """All cases of a device whose bus words have ``lanes`` bytes."""
    talks = [Talk(streams.child(f"talk {number}"), SULLEN if number % 2 else SAID) for number in range(TALKS)]
    return [
        lambda lab: patience(lab, PUSH_TICKS),
        lambda lab: every_lane(lab, streams.child("lanes"), lanes),
        lambda lab: every_place(lab, streams.child("ring")),
        *(talk.play for talk in talks),
        lambda lab: faults_behind_the_end(lab, streams.child("faults")),
        lambda lab: patience(lab, DEFAULT_PARAMETERS.push_ticks),
    ]


def patience(lab: Lab, push_ticks: int) -> Case:
    """From now on connections are offloaded with this push timer."""
    image = replace(DEFAULT_PARAMETERS, push_ticks=push_ticks)
    yield from lab.good(lab.with_image(Opcode.PARAM_WRITE, image.to_bytes()))


# ---- lanes of the bus ------------------------------------------------------------------------------------


def residues(rng: random.Random, lanes: int) -> list[int]:
    """Every residue once, in any order."""
    return rng.sample(range(lanes), lanes)


def batches(values: Iterator[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Some at a time: no more than the ring of requests, and the pool, have room for."""
    batch: list[tuple[int, int]] = []
    for value in values:
        batch.append(value)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def spans(rng: random.Random, lanes: int) -> Iterator[tuple[int, int]]:
    """First lane and bytes of transfers that begin, and end, once in every lane."""
    for start, end in zip(residues(rng, lanes), residues(rng, lanes), strict=True):
        yield start, (end - start) % lanes or lanes


def every_lane(lab: Lab, streams: Streams, lanes: int) -> Case:
    """Placing, copying, sending and frames of the ordinary path, each from and to every lane."""
    link = yield from lab.open(LAST_CONN)
    page = lab.page(BATCH)
    for batch in batches(spans(streams.stream("place"), lanes)):
        posted = [lab.post(request(link, page + i * 4096 + s, n, NOPUSH)) for i, (s, n) in enumerate(batch)]
        yield from lab.silent()
        for _, length in batch:
            lab.deliver(link, bytes(length))
        for cookie in posted:
            assert (yield from lab.answer(cookie)).status == Status.OK
    for batch in batches(spans(streams.stream("copy"), lanes)):
        for _, length in batch:
            lab.deliver(link, bytes(length))
        yield from settled(lab, link)
        posted = [lab.post(request(link, page + i * 4096 + s, n, NOPUSH)) for i, (s, n) in enumerate(batch)]
        yield from refused_until(lab, link, posted)
        for cookie in posted:
            assert (yield from lab.answer(cookie)).status == Status.OK
    data, lists = lab.page(2), lab.page()
    starts, lengths = (residues(streams.stream(name), lanes) for name in ("send start", "send length"))
    for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        list_at = lists + number * (SgElem.WIDTH // 8)
        cookie = lab.send(link, bytes(length + lanes), list_at=list_at, data_at=data + start)
        link.snd += length + lanes
        yield from left(lab, link)
        lab.arrive(lab.frame(link))
        assert (yield from lab.answer(cookie)).status == Status.OK
    for length in residues(streams.stream("raw"), lanes):
        lab.arrive(b"\xff" * 6 + LAB_MAC + b"\x88\xb5" + bytes(64 - 14 + length), raw=True)
    yield lambda: len(lab.raw) >= lanes
    lab.raw.clear()
    yield from finish(lab, link)


def left(lab: Lab, link: Link) -> Case:
    """All that the host sent has left."""

    def gone() -> bool:
        parsed = [parse_frame(frame) for frame in lab.sent[-BATCH:]]
        return any(
            p.tcp is not None
            and p.tcp.source_port == LOCAL_PORT + link.conn
            and p.payload_length > 0
            and p.tcp.sequence + p.payload_length == link.snd
            for p in parsed
        )

    yield gone


def settled(lab: Lab, link: Link) -> Case:
    """What arrived is acknowledged: it lies where it has to."""

    def said() -> bool:
        return any(heard == link.rcv for heard in acknowledged(lab, link.conn))

    yield said


def acknowledged(lab: Lab, conn: int) -> Iterator[int]:
    """What the device acknowledged to the far end of a connection, the latest first."""
    for frame in reversed(lab.sent):
        parsed = parse_frame(frame)
        if parsed.tcp is not None and parsed.tcp.source_port == LOCAL_PORT + conn:
            yield parsed.tcp.acknowledgment


def request(link: Link, addr: int, length: int, flags: int = 0) -> Sqe:
    """A RECEIVE."""
    return Sqe(opcode=Opcode.RECEIVE, conn=link.conn, gen=link.gen, flags=flags, addr=addr, length=length)


# ---- the ring of requests --------------------------------------------------------------------------------


def every_place(lab: Lab, streams: Streams) -> Case:
    """The ring is empty, in use and full with its head at each of its places."""
    link = yield from lab.open(FIRST_CONN)
    page, rng = lab.page(), streams.stream("length")
    waiting: list[tuple[int, int]] = []
    for _ in range(RING + 2):
        while len(waiting) < RING:
            length = rng.randrange(1, 20)
            waiting.append((lab.post(request(link, page + rng.randrange(64), length, NOPUSH)), length))
        yield from lab.silent()
        cookie, length = waiting.pop(0)
        lab.deliver(link, bytes(length))
        assert (yield from lab.answer(cookie)).status == Status.OK
    waiting += [(0, 1)] * (RING + 2)  # posted only when the ones before are over
    for cookie, length in waiting:
        cookie = cookie or lab.post(request(link, page, length, NOPUSH))
        yield from lab.silent()
        lab.deliver(link, bytes(length))
        assert (yield from lab.answer(cookie)).status == Status.OK
    yield from finish(lab, link)


# ---- talks -----------------------------------------------------------------------------------------------


def finish(lab: Lab, link: Link) -> Case:
    """Terminate, refuse what is indicated, give back what is left over."""
    cookie, array = terminate(lab, link)
    yield from ended(lab, link, cookie, [])
    yield from returned(lab, array)


def terminate(lab: Lab, link: Link) -> tuple[int, int]:
    """A TERMINATE is posted: its cookie, and where the list of left-over buffers will be."""
    block = lab.page(4)
    array = block + DELEGATED_IMAGE_BYTES
    return lab.post(Sqe(opcode=Opcode.TERMINATE, conn=link.conn, gen=link.gen, addr=block, addr2=array)), array


def returned(lab: Lab, array: int) -> Case:
    """The left-over buffers of a list go back to the device."""
    size = LeftOver.WIDTH // 8
    count = LeftOver.from_bytes(lab.memory.read(array, size)).buf
    left = [LeftOver.from_bytes(lab.memory.read(array + i * size, size)).buf for i in range(1, count + 1)]
    for at in range(0, count, RING):
        yield from lab.post_pool(left[at : at + RING])


def refused_until(lab: Lab, link: Link, cookies: list[int]) -> Case:
    """Refuse whatever is indicated until these commands complete."""
    while not all(map(lab.answered, cookies)):
        for entry in lab.heard(link.conn):
            if entry.kind == CqKind.INDICATION:
                lab.post(answer_to(link, entry.info, 0))
        yield lambda: all(map(lab.answered, cookies)) or lab.has_told(link.conn)


def ended(lab: Lab, link: Link, cookie: int, tokens: list[tuple[int, int]]) -> Case:
    """Refuse whatever is indicated until a command completes: nothing ends while an indication is out."""
    for token, _ in tokens:
        lab.post(answer_to(link, token, 0))
    yield from refused_until(lab, link, [cookie])
    entry = yield from lab.answer(cookie)
    assert entry.status == Status.OK, f"TERMINATE: {Status(entry.status).name}"
    lab.forget(link.conn)


@dataclass
class Talk:
    """One connection, and what host and far end say to it, drawn from streams of its own."""

    streams: Streams
    said: dict[str, int]
    #: Number and bytes of indications that were not answered, with the buffer.
    shown: list[tuple[int, int, int]] = field(default_factory=list)

    def play(self, lab: Lab) -> Case:
        """Offload, talk, terminate, talk on, return all."""
        how, rng = self.streams.stream("how"), self.streams.stream("what")
        yield from lab.prepare()
        self.link = link = Link(how.choice((FIRST_CONN, LAST_CONN)), lab.new_gen())
        self.page = lab.page(2)
        image = replace(IMAGE, local_port=LOCAL_PORT + link.conn)
        yield from lab.good(lab.with_image(Opcode.INITIATE, image.to_bytes(), link.conn, link.gen))
        if how.random() < 0.5:
            yield from self._say(lab, how.choice(("receive", "resume", "wrong answer", "update")))
        held = how.random() < (0.1 if self.said is SULLEN else 0.6)
        yield from lab.good(Sqe(opcode=Opcode.START, conn=link.conn, gen=link.gen, flags=HOLD * held))
        words, weights = list(self.said), list(self.said.values())
        resumed = how.randrange(EVENTS) if held else EVENTS
        for number in range(EVENTS):
            what = rng.choices(words, weights)[0]
            if what == "resume" and number < resumed and held:
                what = "text"
            yield from self._say(lab, what)
            self._hear(lab)
        if self.said is SULLEN:  # so that it dies while what it holds is refused
            yield from self._say(lab, how.choice(("rst", "urgent", "fin")))
        cookie, array = terminate(lab, link)
        for _ in range(3):
            yield from self._say(lab, rng.choice(LATE))
            self._hear(lab)
        yield from ended(lab, link, cookie, [(token, length) for token, length, _ in self.shown])
        yield from returned(lab, array)
        yield from lab.silent()
        lab.forget(link.conn)

    def _hear(self, lab: Lab) -> None:
        for entry in lab.heard(self.link.conn):
            if entry.kind == CqKind.INDICATION:
                self.shown.append((entry.info, entry.nbytes, entry.buf))

    def _say(self, lab: Lab, what: str) -> Case:
        getattr(self, "_" + what.replace(" ", "_"))(lab, self.streams.stream(what))
        if what == "wait":
            yield from lab.ticks(self.streams.stream("ticks").choice((1, 2, PUSH_TICKS + 1, 2 * PUSH_TICKS)))
        elif self.streams.stream("silence").random() < 0.5:
            yield from lab.silent()

    def _gen(self, rng: random.Random) -> Link:
        """The connection, now and then of another generation."""
        return replace(self.link, gen=self.link.gen ^ 0x80) if rng.random() < 0.08 else self.link

    def _sync(self, lab: Lab) -> None:
        """The far end goes on where the device has come to."""
        for heard in acknowledged(lab, self.link.conn):
            self.link.rcv = heard
            return

    # ---- the far end ----

    def _text(self, lab: Lab, rng: random.Random, length: int = 0, flags: int = ACK) -> None:
        if rng.random() < 0.5:
            self._sync(lab)
        length = length or rng.choice((1, 30, 100, rng.randrange(1, 900)))
        lab.deliver(self.link, bytes(length), flags | PSH * (rng.random() < 0.5))

    def _flood(self, lab: Lab, rng: random.Random) -> None:
        """More segments than the pool has buffers."""
        self._sync(lab)
        for _ in range(rng.randrange(4, 15)):
            lab.deliver(self.link, bytes(rng.randrange(1, 200)), ACK)

    def _hole(self, lab: Lab, rng: random.Random) -> None:
        self._sync(lab)
        ahead = rng.choice((1, 50, rng.randrange(1, 2000)))
        lab.arrive(lab.frame(replace(self.link, rcv=self.link.rcv + ahead), bytes(rng.randrange(1, 200))))

    def _fin(self, lab: Lab, rng: random.Random) -> None:
        self._sync(lab)
        lab.deliver(self.link, bytes(rng.choice((0, 0, 50))), ACK | FIN)

    def _rst(self, lab: Lab, rng: random.Random) -> None:
        self._sync(lab)
        lab.arrive(lab.frame(self.link, flags=RST | ACK))

    def _urgent(self, lab: Lab, rng: random.Random) -> None:
        self._sync(lab)
        lab.arrive(lab.frame(self.link, b"!", ACK | URG))

    # ---- the host ----

    def _forward(self, lab: Lab, rng: random.Random) -> None:
        self._sync(lab)
        length = rng.choice((0, 60, rng.randrange(1, 500)))
        lab.post(lab.forward(self._gen(rng), bytes(length), ACK | FIN * (rng.random() < 0.05), at=lab.page() + 5))
        self.link.rcv += length

    def _receive(self, lab: Lab, rng: random.Random) -> None:
        length = rng.choice((0, 1, 40, 400, rng.randrange(1, 3000)))
        flags = rng.choice((0, 0, NOPUSH, PREFILL, PREFILL))
        lab.post(request(self._gen(rng), self.page + rng.randrange(4096), length, flags))

    def _answer(self, lab: Lab, rng: random.Random) -> None:
        """All of an indication, a part, nothing."""
        if not self.shown:
            return
        token, length, buf = self.shown.pop(0)
        taken = rng.choice((0 if self.said is SULLEN else length, 0, 0, rng.randrange(length + 1)))
        lab.post(answer_to(self.link, token, taken))
        if not taken and rng.random() < 0.2:  # the stream ends while nothing is indicated any more
            self._sync(lab)
            lab.deliver(self.link, b"", ACK | FIN)
        if taken == length:
            lab.post(Sqe(opcode=Opcode.POOL_POST, count=1), [buf])

    def _wrong_answer(self, lab: Lab, rng: random.Random) -> None:
        token, length = rng.getrandbits(16), 1
        if self.shown and rng.random() < 0.4:  # more than was indicated
            token, length = self.shown[0][0], 0xFFFF
        lab.post(answer_to(self._gen(rng), token, length))

    def _resume(self, lab: Lab, rng: random.Random) -> None:
        link = self._gen(rng)
        lab.post(Sqe(opcode=Opcode.RESUME, conn=link.conn, gen=link.gen))

    def _update(self, lab: Lab, rng: random.Random) -> None:
        window = rng.choice((20_000, 30_000, 4000))
        lab.post(update_of(lab, self._gen(rng), cached_flags=UPDATE_RCV_WND, initial_rcv_wnd=window))

    def _send(self, lab: Lab, rng: random.Random) -> None:
        length = rng.randrange(1, 300)
        lab.send(self.link, bytes(length))
        self.link.snd += length if rng.random() < 0.7 else 0

    def _wait(self, lab: Lab, rng: random.Random) -> None:
        """Time passes."""

    def _again(self, lab: Lab, rng: random.Random) -> None:
        """Requests are posted while an indication is out: they are filled behind the answer."""
        if self.shown:
            for flags in (0, PREFILL):
                lab.post(request(self.link, self.page + rng.randrange(4096), rng.randrange(100, 400), flags))


# ---- faults behind the end -------------------------------------------------------------------------------


def faults_behind_the_end(lab: Lab, streams: Streams) -> Case:
    """A payload cannot be read while its connection is terminated: before and after the delivery side is done."""
    rng = streams.stream("bytes")
    for indicated in (False, True):
        link = yield from lab.open(LAST_CONN)
        tokens: list[tuple[int, int]] = []
        if indicated:  # holds the delivery side up
            lab.deliver(link, bytes(rng.randrange(1, 200)))
            shown = yield from lab.told(link.conn)
            tokens.append((shown.info, shown.nbytes))
        data = lab.page()
        lab.fail(ErrorWindow(data, 4096, writes=False))
        lab.send(link, bytes(rng.randrange(100, 900)), data_at=data)
        cookie, array = terminate(lab, link)
        if indicated:  # a device that grants before it looks at the next command tells of the fault meanwhile
            yield from lab.ticks(2)
        yield from ended(lab, link, cookie, tokens)
        yield from returned(lab, array)
        lab.fail()
