"""gVisor's TCP as a peer: a small Go program over a pipe, under the simulation's ticks.

It has SACK, timestamps and window scaling; its congestion control is Reno here, without RACK and tail loss probes. Its
clock is the simulation's, its random numbers come from the seed, it runs on one thread: runs repeat.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tb.peers.base import Application
from tb.peers.built import PeerMissingError, built
from tb.peers.gvisor_reno import overlay
from tb.peers.headers import ip_bytes, mac_bytes
from tb.peers.neighbor import Neighbor
from tb.peers.stream import Served

SOURCE: Final = Path(__file__).parent / "gvisor" / "peer.go"
PACKAGES: Final = "golang-go golang-gvisor-gvisor-dev"
_GOPATH: Final = Path("/usr/share/gocode")
_STACK: Final = _GOPATH / "src/gvisor.dev/gvisor/pkg/tcpip/stack"
_RENO: Final = _STACK.parent / "transport/tcp/reno.go"
_TICK_NS: Final = 1_000_000
_NEVER: Final = (1 << 64) - 1
_UNBOUNDED: Final = (1 << 63) - 1
_END_SECONDS: Final = 5.0
_OP_FRAME, _OP_WRITE, _OP_SHUT, _OP_MAY_READ, _OP_CONNECT, _OP_RELEASE = 1, 2, 3, 4, 5, 6
_GOT_FRAME, _GOT_OPEN, _GOT_DATA, _GOT_END, _GOT_FAILURE, _GOT_ROOM, _GOT_COUNTERS = 1, 2, 3, 4, 5, 6, 7


class GvisorError(RuntimeError):
    """The program behind the pipe ended; the message is what it said."""


@dataclass(frozen=True, slots=True)
class GvisorConfig:
    """How gVisor's connections behave. Sizes in bytes, times in ticks (1 ms)."""

    mss: int = 1460
    buffer: int = 256 * 1024
    """Of send and receive, each."""
    sack: bool = True
    rack: bool = False
    """RACK and tail loss probes."""
    congestion: str = "reno"
    mended_reno: bool = False
    """Reno's growth as gVisor mended it after the packaged version (`gvisor_reno`)."""
    min_rto: int = 200
    seed: int = 1


@dataclass(frozen=True, slots=True)
class GvisorCounters:
    """What gVisor counted of its own sending."""

    retransmissions: int = 0
    timeouts: int = 0
    fast_recoveries: int = 0
    sack_recoveries: int = 0


def missing() -> str | None:
    """Why there is no gVisor on this machine; None if there is."""
    if shutil.which("go") is not None and _STACK.is_dir():
        return None
    return str(PeerMissingError("no-gvisor", "no Go compiler or no gVisor sources", PACKAGES))


def program(*, mended_reno: bool = False) -> Path:
    """The Go program, built if it is not there yet (some ten seconds)."""
    if missing() is not None:
        raise PeerMissingError("no-gvisor", "no Go compiler or no gVisor sources", PACKAGES)
    environment = {"GO111MODULE": "off", "GOPATH": str(_GOPATH), "GOFLAGS": "", "CGO_ENABLED": "0"}
    try:
        replaced = [f"-overlay={overlay(_RENO)}"] if mended_reno else []
        return built(SOURCE, ["go", "build", *replaced, "-o", "{target}", "{source}"], environment)
    except subprocess.CalledProcessError as error:
        raise PeerMissingError(
            "no-gvisor", f"the program does not build: {str(error.stdout)[:300]}", PACKAGES
        ) from error


class _GvisorStream:
    """A connection: what came of it, what it is to do with the next request."""

    def __init__(self, number: int, other_port: int, post: Callable[[bytes], None]) -> None:
        self._number = number
        self._other_port = other_port
        self._post = post
        self._received: list[bytes] = []
        self._read = 0
        self._granted = 0
        self._room = 0
        self._at_end = False
        self._failure: str | None = None

    @property
    def other_port(self) -> int:
        return self._other_port

    def read(self, limit: int) -> bytes:
        allowed = _UNBOUNDED if limit >= 1 << 30 else self._read + limit
        if allowed > self._granted:
            self._granted = allowed
            self._post(struct.pack("<BIQ", _OP_MAY_READ, self._number, allowed))
        if not self._received or limit <= 0:
            return b""
        data = self._received.pop(0)
        if len(data) > limit:
            self._received.insert(0, data[limit:])
            data = data[:limit]
        self._read += len(data)
        return data

    def ended(self) -> bool:
        return self._at_end and not self._received

    def failure(self) -> str | None:
        return self._failure

    def room(self) -> int:
        return self._room

    def write(self, data: bytes) -> int:
        taken = data[: self._room]
        if taken:
            self._room -= len(taken)
            self._post(struct.pack("<BII", _OP_WRITE, self._number, len(taken)) + taken)
        return len(taken)

    def shut(self) -> bool:
        self._post(struct.pack("<BI", _OP_SHUT, self._number))
        return True

    def release(self) -> None:
        self._post(struct.pack("<BI", _OP_RELEASE, self._number))

    # --- what the program said ---

    def got_data(self, data: bytes) -> None:
        self._received.append(data)

    def got_end(self) -> None:
        self._at_end = True

    def got_failure(self, text: str) -> None:
        self._failure = text

    def got_room(self, room: int) -> None:
        self._room = room


class GvisorPeer:
    """A host with gVisor's TCP. See `base.Peer`."""

    def __init__(
        self,
        mac: str,
        ip: str,
        port: int,
        config: GvisorConfig,
        neighbor: Neighbor,
        app_factory: Callable[[int], Application],
    ) -> None:
        self.apps: list[Application] = []
        self.connections: list[Served] = []
        self.violations: list[str] = []
        self.counters = GvisorCounters()
        self._neighbor = neighbor
        self._app_factory = app_factory
        self._reset_expected: set[int] = set()
        self._streams: dict[int, _GvisorStream] = {}
        self._posted: list[bytes] = []
        self._deadline: int | None = None
        self._tick = 0
        flags = {
            "mac": mac_bytes(mac).hex(), "ip": ip_bytes(ip).hex(), "other-mac": neighbor.mac.hex(),
            "other-ip": neighbor.ip.hex(), "port": port, "mss": config.mss, "seed": config.seed,
            "buffer": config.buffer, "sack": str(config.sack).lower(), "rack": str(config.rack).lower(),
            "congestion": config.congestion, "min-rto": f"{config.min_rto}ms",
        }  # fmt: skip
        command = [str(program(mended_reno=config.mended_reno)), *(f"-{name}={value}" for name, value in flags.items())]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    @property
    def served(self) -> list[int]:
        """See `base.Peer`."""
        return [connection.other_port for connection in self.connections]

    def on_frame(self, frame: bytes, tick: int) -> list[bytes]:
        """A frame arrives."""
        self._post(struct.pack("<BI", _OP_FRAME, len(frame)) + frame)
        return self._run(tick)

    def on_tick(self, tick: int) -> list[bytes]:
        """Time has come to `tick`."""
        due = self._deadline is not None and self._deadline <= tick
        return self._run(tick) if due or self._posted else []

    def next_deadline(self) -> int | None:
        """The next timer of any connection that is not over."""
        return self._deadline

    def expect_reset(self, other_port: int) -> None:
        """See `base.Peer`."""
        self._reset_expected.add(other_port)

    def connect(self, port: int, own_port: int, tick: int) -> list[bytes]:
        """Open a connection to `port` of the neighbor; its application is made when it is open."""
        self._post(struct.pack("<B", _OP_CONNECT) + self._neighbor.ip + struct.pack("<HH", port, own_port))
        return self._run(tick)

    def poke(self, tick: int) -> list[bytes]:
        """Applications changed (room, data): let every connection look again."""
        self._serve()
        return self._run(tick) if self._posted else []

    def close(self) -> None:
        """End the program."""
        process = self._process
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _post(self, operation: bytes) -> None:
        self._posted.append(operation)

    def _run(self, tick: int) -> list[bytes]:
        """Carry out what was posted, serve the applications, until nothing moves; the frames sent meanwhile."""
        out: list[bytes] = []
        self._tick = max(self._tick, tick)
        while True:
            answer = self._exchange()
            for kind, number, detail in _items(answer):
                self._take(kind, number, detail, out)
            self._serve()
            if not self._posted:
                break
        wire, _ = self._neighbor.split(out)  # it knows its neighbor: no ARP requests to answer
        return wire

    def _take(self, kind: int, number: int, detail: bytes, out: list[bytes]) -> None:
        if kind == _GOT_FRAME:
            out.append(detail)
        elif kind == _GOT_OPEN:
            stream = _GvisorStream(number, struct.unpack("<I", detail)[0], self._post)
            self._streams[number] = stream
            app = self._app_factory(len(self.connections))
            self.apps.append(app)
            self.connections.append(Served(stream, app))
        elif kind == _GOT_DATA:
            self._streams[number].got_data(detail)
        elif kind == _GOT_END:
            self._streams[number].got_end()
        elif kind == _GOT_FAILURE:
            if number in self._streams:
                self._streams[number].got_failure(detail.decode())
            else:
                self.violations.append(f"gvisor: connection {number} was never open: {detail.decode()}")
        elif kind == _GOT_ROOM:
            self._streams[number].got_room(struct.unpack("<I", detail)[0])
        else:
            self.counters = GvisorCounters(*struct.unpack("<4Q", detail))

    def _serve(self) -> None:
        for connection in self.connections:
            if connection.over:
                continue
            while connection.pump():
                pass
            if connection.failure is not None and connection.other_port not in self._reset_expected:
                self.violations.append(f"gvisor: connection from port {connection.other_port}: {connection.failure}")

    def _exchange(self) -> bytes:
        body = struct.pack("<Q", self._tick * _TICK_NS) + b"".join(self._posted)
        self._posted = []
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        if pipe_in is None or pipe_out is None:
            raise GvisorError("the pipes to the program were never opened")
        try:
            pipe_in.write(struct.pack("<I", len(body)) + body)
            pipe_in.flush()
            header = pipe_out.read(12)
            if len(header) == 12:
                length, deadline = struct.unpack("<IQ", header)
                self._deadline = None if deadline == _NEVER else -(-deadline // _TICK_NS)
                return pipe_out.read(length - 8)
        except BrokenPipeError:
            pass
        said = self._process.stderr.read().decode(errors="replace") if self._process.stderr else ""
        raise GvisorError(f"gVisor's program ended: {said[-2000:] or f'status {self._process.wait()}'}")


def _items(answer: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The parts of an answer: kind, number of the connection (0 for a frame), the rest."""
    at = 0
    while at < len(answer):
        kind, number = struct.unpack_from("<BI", answer, at)
        at += 5
        size = {_GOT_FRAME: number, _GOT_OPEN: 4, _GOT_ROOM: 4, _GOT_COUNTERS: 32}.get(kind, 0)
        if kind in (_GOT_DATA, _GOT_FAILURE):
            (size,) = struct.unpack_from("<I", answer, at)
            at += 4
        yield kind, 0 if kind == _GOT_FRAME else number, answer[at : at + size]
        at += size
