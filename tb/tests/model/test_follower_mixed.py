"""Any mixture of commands and frames, the host's mistakes included: the device settles, and the follower agrees."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from model.device.follower import Follower
from model.device.records import Journal
from model.layout.generated import CachedImage, CqKind, NeighborImage, Opcode, Sqe
from tb.tests.model.device_bench import (
    CONFIG,
    DATA,
    IMAGES,
    MEMORY,
    NEIGHBOR,
    PATH,
    DeviceBench,
    ready,
)

CONNS = 3
MOVES = 60
ACK, PSH, FIN, RST, URG = 0x10, 0x08, 0x01, 0x04, 0x20


class Player:
    """Plays moves on a bench; what the far end and the host know of a connection is read from the golden state."""

    def __init__(self, bench: DeviceBench, seed: int) -> None:
        self.bench = bench
        self.rng = random.Random(seed)
        self.gens = [1] * CONNS
        self._slot = 0

    def memory(self) -> int:
        """Room of 2 KiB that the last entries do not use."""
        self._slot = (self._slot + 1) % 160
        return DATA + 0x800 * self._slot

    def segment(self, conn: int) -> dict[str, int | bytes]:
        """Fields of a segment, mostly in order."""
        tcb, rng = self.bench.device.core.tcbs[conn], self.rng
        flags = (
            ACK | rng.choice((0, PSH, PSH, PSH | FIN))
            if rng.random() < 0.9
            else rng.choice((RST, ACK | URG, ACK | FIN))
        )
        skew = rng.choice((0, 0, 0, 0, -20, 300))
        reach = (tcb.snd_max - tcb.snd_una) & 0xFFFF_FFFF
        return {
            "seq": (tcb.rcv_nxt + skew) & 0xFFFF_FFFF,
            "ack": (tcb.snd_una + rng.choice((0, reach // 2, reach))) & 0xFFFF_FFFF,
            "data": rng.randbytes(rng.choice((0, 0, 5, 400, 1000))),
            "flags": flags,
            "window": rng.choice((30000, 30000, 500, 0)),
        }

    def move(self) -> None:
        """One move."""
        rng, bench = self.rng, self.bench
        conn = rng.randrange(CONNS)
        gen = self.gens[conn]
        name = rng.choice(
            ("frame", "frame", "frame", "forward", "forward", "send", "send", "receive", "update", "query", "ask",
             "tick", "tick", "path", "neighbor", "invalidate", "answer", "young", "disconnect", "again", "run")
        )  # fmt: skip
        if name == "frame":
            bench.device.rx_frame(bench.segment(conn, **self.segment(conn)))  # type: ignore[arg-type]
        elif name == "forward":
            bench.post(bench.forward(conn, gen, at=self.memory() + 1, **self.segment(conn)))  # type: ignore[arg-type]
        elif name == "send":
            bench.send(rng.randbytes(rng.choice((1, 900, 2000))), conn, gen, at=self.memory())
        elif name == "receive":
            size = rng.choice((0, 100, 1500))
            bench.post(
                Sqe(opcode=Opcode.RECEIVE, conn=conn, gen=gen, flags=rng.randrange(2), addr=self.memory(), length=size)
            )
        elif name == "update":
            image = CachedImage(
                cached_flags=rng.choice((0, 16, 8, 1)), initial_rcv_wnd=rng.choice((9000, 70000)), ttl=9
            )
            self._image(Opcode.UPDATE, image.to_bytes(), conn, gen, 0)
        elif name == "query":
            bench.post(Sqe(opcode=Opcode.QUERY, conn=conn, gen=gen, addr=self.memory() + 3))
        elif name == "ask":
            bench.post(Sqe(opcode=Opcode.QUERY, conn=rng.choice((1, 5)), flags=2))
        elif name == "tick":
            bench.tick(rng.choice((1, 120, 400)))
        elif name == "path":
            image_ = replace(PATH, path_mtu=rng.choice((1500, 640)), neighbor_id=rng.choice((1, 1, 1, 5)))
            self._image(Opcode.PATH_WRITE, image_.to_bytes(), rng.choice((0, 0, 6)), 0, rng.randrange(2))
        elif name == "neighbor":
            old = rng.choice((0, 40_000))
            aged = NeighborImage(dl_dst=NEIGHBOR.dl_dst, host_reachability_delta=old, nic_reachability_delta=old)
            self._image(Opcode.NEIGHBOR_WRITE, aged.to_bytes(), 1, 0, rng.randrange(2))
        elif name == "invalidate":
            if rng.random() < 0.4:
                bench.post(Sqe(opcode=Opcode.INVALIDATE, conn=conn, gen=gen, flags=rng.randrange(3)))
        elif name == "answer":
            self._answer()
        elif name == "young":
            bench.post(Sqe(opcode=Opcode.NEIGHBOR_ANSWER, conn=1, arg=rng.randrange(100)))
        elif name == "disconnect":
            if rng.random() < 0.3:
                bench.post(Sqe(opcode=Opcode.DISCONNECT, conn=conn, gen=gen, flags=rng.choice((1, 2))))
        elif name == "again":
            if rng.random() < 0.4:
                self.renew(conn)
        else:
            bench.run()

    def _image(self, opcode: Opcode, data: bytes, conn: int, gen: int, flags: int) -> None:
        at = self.memory()
        self.bench.device.mem.write(at, data)
        self.bench.post(Sqe(opcode=opcode, conn=conn, gen=gen, addr=at, flags=flags))

    def _answer(self) -> None:
        """Answers to everything indicated, in whole or in part."""
        self.bench.run()
        shown = [c for c in self.bench.cqes if c.kind == CqKind.INDICATION]
        self.bench.cqes.clear()
        for entry in shown:
            taken = self.rng.choice((entry.nbytes, entry.nbytes, entry.nbytes // 2))
            self.bench.post(Sqe(opcode=Opcode.ANSWER, conn=entry.conn, gen=entry.gen, arg=entry.info, length=taken))
            if taken == entry.nbytes:
                self.bench.run()
                self.bench.posts(Opcode.POOL_POST, [entry.buf])

    def renew(self, conn: int) -> None:
        """Upload and offload again, over a path that is whole."""
        bench = self.bench
        bench.run()
        self._answer()
        bench.do(Sqe(opcode=Opcode.TERMINATE, conn=conn, gen=self.gens[conn], addr=IMAGES + 0x400, addr2=0))
        self._answer()
        bench.with_image(Opcode.NEIGHBOR_WRITE, NEIGHBOR.to_bytes(), conn=1)
        bench.with_image(Opcode.PATH_WRITE, PATH.to_bytes())
        self.gens[conn] += 1
        bench.connect(conn, gen=self.gens[conn])


@pytest.mark.rule("architecture 3", "FORWARD", "UPDATE", "QUERY", "INVALIDATE", "NEIGHBOR_ANSWER")
@pytest.mark.parametrize("seed", range(12))
def test_any_mixture_is_followed_and_leaves_an_empty_device(seed: int) -> None:
    journal = Journal()
    bench = ready(seed, journal)
    player = Player(bench, seed)
    for conn in range(CONNS):
        bench.connect(conn)
    for _ in range(MOVES):
        player.move()
    for conn in range(CONNS):
        player.renew(conn)
        bench.do(Sqe(opcode=Opcode.TERMINATE, conn=conn, gen=player.gens[conn]))
    assert bench.device.problems() == []
    follower = Follower(bytes(MEMORY), config=CONFIG)
    for entry in journal.entries:
        follower.feed(entry)
    follower.finish()
    follower.final_compare(bytes(bench.device.memory.contents))
    assert follower.divergence is None, follower.report("-")
