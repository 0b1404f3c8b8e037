"""The classes of attack, one generator function each; every frame is drawn from the class' own random stream.

A generator is asked for one frame after the other for as long as the attack lasts. It yields None when there is nothing
to aim at just now. Those with a `Far` speak as the end of a connection that they opened (numbers are right where the
class does not say otherwise); the blind ones know addresses and ports at most.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tb.hostile.attacks_ipv6 import IPV6_CLASSES
from tb.hostile.far import FIRST_VICTIM_PORT, HOSTILE_PORT, MASK, Targets, ahead, frame, sack_option
from tb.monitors.wire_headers import ACK, FIN, PSH, RST, SYN, URG
from tb.session.network import PEER_PORT

Frames = Iterator[bytes | None]
Attack = Callable[[random.Random, Targets], Frames]

#: Largest payload: with 40 option bytes it still fits a frame of 1514 bytes.
_MOST: Final = 1400
_SPAN: Final = 1 << 16


def random_segments(rng: random.Random, targets: Targets) -> Frames:
    """Segments with every header field random, numbers near the window or anywhere (RFC 9293, 3.10.7.4)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        near = rng.random() < 0.5
        seq = far.acked + rng.randint(-_SPAN, _SPAN) if near else rng.getrandbits(32)
        ack = far.top + rng.randint(-_SPAN, _SPAN) if near else rng.getrandbits(32)
        flags = rng.getrandbits(8) & ~(RST | SYN | URG if rng.random() < 0.97 else 0)
        yield far.say(
            rng.randbytes(rng.choice((0, 0, 1, 7, 100, 536, _MOST))), flags, seq=seq, ack=ack,
            window=rng.getrandbits(16), bare=rng.random() < 0.3,
        )  # fmt: skip


def random_frames(rng: random.Random, targets: Targets) -> Frames:
    """Noise, damaged headers, lengths that contradict each other, fragments (RFC 791, 3.1; RFC 9293, 3.1)."""
    while True:
        if rng.random() < 0.3:
            yield rng.randbytes(rng.randint(60, 1514))
            continue
        far = targets.victim(rng)
        whole = (
            far.say(rng.randbytes(rng.randint(0, 600))) if far else frame((targets.hostile_ip, 1), FIRST_VICTIM_PORT)
        )
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(12, len(damaged))
            damaged[at] ^= 1 << rng.randrange(8)
        yield bytes(damaged[: rng.randint(60, len(damaged))])


def at_good(rng: random.Random, targets: Targets) -> Frames:
    """RST, SYN, ACK and text by guesses at good connections alone, from off the path (RFC 5961, 3 to 5)."""
    while True:
        flags = rng.choice((RST, RST | ACK, SYN, SYN | ACK, ACK, ACK | PSH, ACK | FIN))
        text = rng.randbytes(rng.choice((0, 1, 300))) if flags & (ACK | PSH) and not flags & (SYN | RST) else b""
        yield rng.choice(targets.marks).guess(rng, flags, text) if targets.marks else None


def blind_resets(rng: random.Random, targets: Targets) -> Frames:
    """RST by guesses, one window after the other or out of the air (RFC 5961, 3; CERT 2004)."""
    step = rng.getrandbits(32)
    while True:
        far = targets.victim(rng)
        step = (step + _SPAN // 2) & MASK
        inside = rng.random() < 0.3
        off = 1 + rng.randrange(max(1, far.window - 1)) if far and inside else 0
        yield None if far is None else far.say(b"", RST, seq=far.acked + off if inside else step, bare=True)


def blind_syns(rng: random.Random, targets: Targets) -> Frames:
    """SYN on a synchronized connection, in the window and out of it (RFC 5961, 4)."""
    while True:
        flags = SYN | (ACK if rng.random() < 0.3 else 0)
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        exact = rng.random() < 0.002
        off = 0 if exact else rng.choice((-1000, 1 + rng.randrange(max(1, far.window)), rng.getrandbits(31)))
        yield far.say(b"", flags, seq=far.acked + off, options=b"\x02\x04\x05\xb4", bare=True)


def blind_acks(rng: random.Random, targets: Targets) -> Frames:
    """ACK and data injected by guesses: the acceptance range of SEG.ACK (RFC 5961, 5)."""
    while True:
        data = rng.randbytes(rng.choice((0, 0, 1, 64, 512)))
        far = targets.victim(rng)
        yield None if far is None else far.say(data, ACK | PSH, ack=rng.getrandbits(32), bare=rng.random() < 0.5)


def wrong_ports(rng: random.Random, targets: Targets) -> Frames:
    """Port scans beside every connection: nothing is found, the host refuses (RFC 9293, 3.10.7.1)."""
    while True:
        source = (targets.peer_ip, PEER_PORT) if rng.random() < 0.5 else (targets.hostile_ip, HOSTILE_PORT + 1)
        flags = rng.choice((SYN, ACK, FIN | ACK, RST, FIN | PSH | URG, 0))
        port = rng.choice((rng.randrange(1, 40_000), rng.randrange(50_000, 65_536)))
        yield frame(source, port, seq=rng.getrandbits(32), ack=rng.getrandbits(32), flags=flags)


def tiny_segments(rng: random.Random, targets: Targets) -> Frames:
    """In-order text one byte a segment, with and without PSH: a buffer and an indication each (RFC 9293, 3.8.6.2)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
        elif far.room == 0:
            yield far.say(b"", ack=far.believe())
        else:
            seq = far.nxt
            yield far.say(far.text(rng.randint(1, min(4, far.room))), ACK | rng.choice((0, PSH)), seq=seq)


def tiny_mss(rng: random.Random, targets: Targets) -> Frames:
    """ACK division: the tiny segments of an MSS of 64 acknowledged byte by byte (RFC 5681, 3.1; RFC 3465, 2.2)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        if ahead(far.top, far.una) > 0:
            far.una = (far.una + min(rng.randint(1, 16), ahead(far.top, far.una))) & MASK
        yield far.say(window=rng.choice((0xFFFF, 8)))


def zero_windows(rng: random.Random, targets: Targets) -> Frames:
    """The window shut for long, opened by a byte, shut again: probes and silly windows (RFC 9293, 3.8.6.1)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        yield far.say(window=rng.choice((0, 0, 0, 0, 1, 2)), ack=far.believe() if rng.random() < 0.3 else None)


def shrinking_windows(rng: random.Random, targets: Targets) -> Frames:
    """The right edge moves left, below what was sent already (RFC 9293, 3.8.6; RFC 7323, 2.4)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        wide = rng.getrandbits(16)
        yield far.say(window=wide)
        yield far.say(window=rng.randrange(wide + 1), ack=far.una)


def sack_storms(rng: random.Random, targets: Targets) -> Frames:
    """SACK blocks without end: turned round, overlapping, never sent, taken back (RFC 2018, 3 and 8; RFC 6675, 5)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        blocks: list[tuple[int, int]] = []
        span = max(2, ahead(far.top, far.una))
        for _ in range(rng.randint(1, 3 if far.stamps else 4)):
            left = far.una + rng.randint(-span, span)
            size = rng.choice((0, 1, -3, rng.randint(1, span), rng.getrandbits(32)))
            blocks.append((left, left + size))
        yield far.say(options=sack_option(blocks))


def acks_of_the_future(rng: random.Random, targets: Targets) -> Frames:
    """What was never sent is acknowledged, by a byte or by far; and what was, long ago (RFC 5961, 5)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        wrong = far.top + rng.choice((1, 2, 1460, rng.getrandbits(31), -rng.getrandbits(20)))
        seq = far.nxt
        yield far.say(far.text(1) if far.room and rng.random() < 0.3 else b"", seq=seq, ack=wrong)


def racing_acks(rng: random.Random, targets: Targets) -> Frames:
    """What is about to leave is acknowledged, and a copy, a shut window, RST or SYN follow at once (RFC 5961, 3 to 5).

    Segments are called for first; the target may have sent them by the time it looks at what acknowledges them.
    """
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        yield far.say(seq=far.acked, ack=far.believe())
        if rng.random() < 0.3:
            yield far.say(seq=far.acked, window=0)
        seq, text = far.acked, rng.randbytes(rng.choice((1, 20)))
        yield far.say(text, ACK | rng.choice((0, PSH)), seq=seq, ack=far.top + rng.choice((536, 536, 1072)))
        follows = rng.random()
        if follows < 0.4:
            yield far.say(b"", RST, seq=seq + rng.choice((0, len(text))), bare=True)
        elif follows < 0.6:
            yield far.say(b"", SYN, seq=seq, bare=True)
        elif follows < 0.8:
            yield far.say(text[:1], seq=seq)


def other_text(rng: random.Random, targets: Targets) -> Frames:
    """The same numbers again with other content, partly old, partly new (RFC 9293, 3.4 and 3.10.7.4)."""
    while True:
        far = targets.victim(rng)
        if far is None or far.room < 2:
            yield None if far is None else far.say(b"", ack=far.believe())
            continue
        size = rng.randint(2, min(far.room, 512))
        at = far.nxt
        yield far.say(rng.randbytes(size // 2), seq=at + size // 2)
        yield far.say(rng.randbytes(size), seq=at + rng.randint(0, size // 2))
        yield far.say(rng.randbytes(size), seq=at - rng.randint(0, size))
        yield far.say(rng.randbytes(size), seq=at)
        far.nxt = (at + size) & MASK


def scattered_bytes(rng: random.Random, targets: Targets) -> Frames:
    """Single bytes all over the window: more pieces than any queue keeps (RFC 9293, 3.10.7.4; RFC 5722 in spirit)."""
    while True:
        far = targets.victim(rng)
        if far is None or far.room < 2:
            yield None if far is None else far.say(b"", ack=far.believe())
            continue
        yield far.say(rng.randbytes(rng.choice((1, 1, 1, 40))), seq=far.nxt + rng.randrange(1, far.room))


def ack_storms(rng: random.Random, targets: Targets) -> Frames:
    """The same ACK again and again: recovery is entered, its window inflated (RFC 5681, 3.2)."""
    while True:
        far = targets.victim(rng)
        for _ in range(rng.randint(3, 60)):
            yield None if far is None or not far.live() else far.say()


def bad_options(rng: random.Random, targets: Targets) -> Frames:
    """Option lengths of 0, 1, beyond the header; unknown kinds; 40 bytes of anything (RFC 9293, 3.1, MUST-7)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        options = rng.choice((
            b"\x05\x00", b"\x05\x01", b"\x08\x28", b"\xfe\x02\x00\x00", b"\x05\x0b" + rng.randbytes(9),
            rng.randbytes(40), b"\x01" * 40, b"\x02\x04\x00\x01", b"\x03\x03\x0e\x00", b"\x04\x02" * 10,
        ))  # fmt: skip
        yield far.say(rng.randbytes(rng.choice((0, 3))), options=options, bare=rng.random() < 0.5)


def old_stamps(rng: random.Random, targets: Targets) -> Frames:
    """Timestamps of the past and of the future, echoes of what was never sent (RFC 7323, 5.2 and 5.3)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        stamp = far.clock + rng.choice((-1, -(1 << 30), 1, 1000, rng.getrandbits(31)))
        if rng.random() < 0.05 and ahead(stamp, far.clock) > 0:
            far.clock = stamp & MASK
        yield far.say(rng.randbytes(rng.choice((0, 1, 20))), stamp=stamp, echo=rng.getrandbits(32))


def urgent_text(rng: random.Random, targets: Targets) -> Frames:
    """URG with pointers inside and outside the segment; one in the window has the connection uploaded (RFC 6093)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        inside = rng.random() < 0.01
        seq = far.nxt if inside else far.acked - rng.randint(2000, 60_000)
        yield far.say(rng.randbytes(rng.randint(0, 30)), ACK | URG, seq=seq, urgent=rng.getrandbits(16))


def early_fins(rng: random.Random, targets: Targets) -> Frames:
    """FIN beyond a gap, FIN again elsewhere, text behind it; seldom one in order (RFC 9293, 3.10.7.4, eighth)."""
    while True:
        far = targets.victim(rng)
        if far is None:
            yield None
            continue
        inside = rng.random() < 0.01
        seq = far.nxt if inside else far.nxt + rng.randint(1, 3000)
        yield far.say(rng.randbytes(rng.randint(0, 10)), ACK | FIN, seq=seq)
        yield far.say(rng.randbytes(10), seq=seq + rng.randint(0, 20))


def true_resets(rng: random.Random, targets: Targets) -> Frames:
    """The end that opened the connection resets it, at the one number that counts (RFC 5961, 3.2)."""
    while True:
        far = targets.victim(rng)
        yield None if far is None else far.say(b"", RST, seq=far.acked, bare=True)


#: Classes and their shares of the frames, in parts of the sum.
CLASSES: Final[dict[Attack, int]] = {
    random_segments: 80,
    random_frames: 60,
    at_good: 60,
    blind_resets: 50,
    blind_syns: 50,
    blind_acks: 60,
    wrong_ports: 40,
    tiny_segments: 90,
    tiny_mss: 60,
    zero_windows: 50,
    shrinking_windows: 40,
    sack_storms: 90,
    acks_of_the_future: 50,
    racing_acks: 50,
    other_text: 70,
    scattered_bytes: 70,
    ack_storms: 60,
    bad_options: 40,
    old_stamps: 30,
    urgent_text: 20,
    early_fins: 30,
    true_resets: 1,
}
#: Those that must come as far as a live connection, nearly always; the others need not.
REACHING: Final = frozenset(attack.__name__ for attack in CLASSES) - {"random_frames", "wrong_ports"}


def classes_of(family: int) -> dict[Attack, int]:
    """The classes over a version of IP, with their shares."""
    return CLASSES | IPV6_CLASSES if family == 6 else CLASSES


class Storm:
    """The mixed stream of all classes: ``take`` gives (class, frame), the shares are those of CLASSES."""

    def __init__(self, seed: int, targets: Targets, chosen: Mapping[Attack, int] = CLASSES) -> None:
        self._rng = random.Random(f"hostile/{seed}")
        self._names = [attack.__name__ for attack in chosen]
        self._weights = list(chosen.values())
        self._streams = {
            attack.__name__: attack(random.Random(f"hostile/{seed}/{attack.__name__}"), targets) for attack in chosen
        }

    def take(self) -> tuple[str, bytes] | None:
        """The next frame, None if its class has nothing to aim at."""
        name = self._rng.choices(self._names, self._weights)[0]
        made = next(self._streams[name])
        return None if made is None else (name, made)
