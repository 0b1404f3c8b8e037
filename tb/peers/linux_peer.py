"""The Linux kernel as a peer: real sockets behind a TAP device, in a network namespace that the run makes itself.

The kernel's timers run on real time, the simulation's on ticks. Two things keep them from disturbing each other:

- A tick on which nothing moves lasts at least 1 ms of real time, so that an idle simulation does not run away from the
  kernel's delayed acknowledgments. A busy simulation is as slow as it is.
- The kernel's least retransmission timeout is set to 20 measured round trips (real time from a segment to the
  acknowledgment that covers it), so that a slow simulation does not look like a loss.

What it can be asked for is therefore bytes, and never a time. Every wait here has a bound.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from tb.peers.base import Application
from tb.peers.built import PeerMissingError
from tb.peers.neighbor import Neighbor
from tb.peers.stream import Served

PROGRAM: Final = Path(__file__).parent / "linux" / "namespace.py"
PACKAGES: Final = "iproute2 util-linux"
#: Real seconds that a tick lasts on which nothing moves, and the longest pause in one call.
TICK_SECONDS, LONGEST_PAUSE = 0.001, 0.05
#: Round trips that the least retransmission timeout is made of, samples a measurement, bounds in ms.
ROUND_TRIPS, SAMPLES, LEAST_MS, MOST_MS = 20, 16, 20, 20_000
FIRST_MS: Final = 2000
"""Least retransmission timeout before the first measurement."""
_ANSWER_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_CHUNK: Final = 1 << 16
_LARGEST_FRAME: Final = 2048
_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_IPV6_HEADER: Final = 40
_TCP: Final = 6
_HALF: Final = 1 << 31
_U32: Final = 0xFFFF_FFFF


def _unshare() -> list[str]:
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", "--net", *as_root, "--", sys.executable, "-I", str(PROGRAM)]


@functools.cache
def missing() -> str | None:
    """Why there is no kernel behind a TAP device on this machine; None if there is."""
    for tool in ("ip", "unshare"):
        if shutil.which(tool) is None:
            return str(PeerMissingError("no-tun", f"no program {tool}", PACKAGES))
    if not os.path.exists("/dev/net/tun"):
        return str(PeerMissingError("no-tun", "no /dev/net/tun (modprobe tun)", PACKAGES))
    try:
        done = subprocess.run([*_unshare(), "check"], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return str(PeerMissingError("no-tun", "making a network namespace takes for ever", PACKAGES))
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return str(PeerMissingError("no-tun", f"no network namespace with a TAP device: {last}", PACKAGES))
    return None


class _SocketStream:
    """An accepted socket."""

    def __init__(self, accepted: socket.socket, port: int) -> None:
        accepted.setblocking(False)
        self._socket = accepted
        self._port = port
        self._at_end = False
        self._failure: str | None = None

    @property
    def other_port(self) -> int:
        return self._port

    def read(self, limit: int) -> bytes:
        if limit <= 0 or self._at_end or self._failure is not None:
            return b""
        try:
            data = self._socket.recv(min(limit, _CHUNK))
        except BlockingIOError:
            return b""
        except OSError as error:
            self._failure = str(error.strerror).lower()
            return b""
        self._at_end = not data
        return data

    def ended(self) -> bool:
        return self._at_end

    def failure(self) -> str | None:
        return self._failure

    def room(self) -> int:
        return _CHUNK

    def write(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self._failure = str(error.strerror).lower()
            return 0

    def shut(self) -> bool:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        return True

    def release(self) -> None:
        self._socket.close()


class RoundTrips:
    """Real time from a segment of the kernel's to the acknowledgment that covers it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: tuple[int, int, float] | None = None
        self.samples: list[float] = []

    def sent(self, frame: bytes) -> None:
        """The kernel sent a frame; one that comes twice is no measure (Karn)."""
        found = _segment(frame)
        if found is None or not found[4]:
            return
        port, end = found[1], (found[2] + found[4]) & _U32
        if self._open is None:
            self._open = (port, end, self._clock())
        elif self._open[:2] == (port, end):
            self._open = None

    def acknowledged(self, frame: bytes) -> None:
        """The kernel is given a frame."""
        found = _segment(frame)
        if found is None or self._open is None:
            return
        port, end, since = self._open
        if found[0] == port and (found[3] - end) & _U32 < _HALF:
            self.samples.append(self._clock() - since)
            self._open = None

    def timeout_ms(self) -> int | None:
        """20 round trips, once enough were measured; begins a new measurement then."""
        if len(self.samples) < SAMPLES:
            return None
        median = statistics.median(self.samples)
        self.samples.clear()
        return min(MOST_MS, max(LEAST_MS, round(ROUND_TRIPS * median * 1000)))


def _segment(frame: bytes) -> tuple[int, int, int, int, int] | None:
    """Source port, destination port, sequence, acknowledgment and payload bytes of a TCP segment."""
    if frame[12:14] == _IPV4 and len(frame) >= 54 and frame[23] == _TCP:
        at = 14 + 4 * (frame[14] & 15)
        end = 14 + int.from_bytes(frame[16:18], "big")
    elif frame[12:14] == _IPV6 and len(frame) >= 74 and frame[20] == _TCP:
        at = 14 + _IPV6_HEADER
        end = at + int.from_bytes(frame[18:20], "big")
    else:
        return None
    if len(frame) < at + 20:
        return None
    sport, dport, seq, ack, offset = struct.unpack_from("!HHIIB", frame, at)
    return sport, dport, seq, ack, max(0, end - at - 4 * (offset >> 4))


class LinuxPeer:
    """The kernel of this machine. See `base.Peer`."""

    def __init__(
        self,
        mac: str,
        ip: str,
        port: int,
        mss: int,
        neighbor: Neighbor,
        app_factory: Callable[[int], Application],
    ) -> None:
        if (lack := missing()) is not None:
            raise PeerMissingError("no-tun", lack.partition(": ")[2].partition(";")[0], PACKAGES)
        self.apps: list[Application] = []
        self.connections: list[Served] = []
        self.violations: list[str] = []
        self.rto_min = FIRST_MS
        """The kernel's least retransmission timeout now, in ms."""
        self._neighbor = neighbor
        self._app_factory = app_factory
        self._reset_expected: set[int] = set()
        self._round_trips = RoundTrips()
        self._programs = 0
        self._statuses: list[int | None] = []
        self._polled_at = 0.0
        self._tick = 0
        self._moved_at = time.monotonic()
        settings = {
            "mac": mac, "ip": ip, "port": port, "mss": mss, "nic_ip": str(ip_address(neighbor.ip)),
            "nic_mac": neighbor.mac.hex(":"), "rto_min": FIRST_MS,
        }  # fmt: skip
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_ANSWER_SECONDS)
        command = [*_unshare(), str(theirs.fileno()), json.dumps(settings)]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        theirs.close()
        _, handles, _, _ = socket.recv_fds(self._control, 1, 2)
        if len(handles) != 2:
            said = self._process.stderr.read().decode(errors="replace") if self._process.stderr else ""
            self.close()
            raise PeerMissingError("no-tun", f"the namespace does not come up: {said.strip()[-300:]}", PACKAGES)
        self._tap, self._listener = handles[0], socket.socket(fileno=handles[1])
        self._answers = self._control.makefile("r")

    @property
    def served(self) -> list[int]:
        """See `base.Peer`."""
        return [connection.other_port for connection in self.connections]

    def on_frame(self, frame: bytes, tick: int) -> list[bytes]:
        """A frame arrives."""
        self._round_trips.acknowledged(frame)
        os.write(self._tap, frame)
        return self._collect(tick)

    def on_tick(self, tick: int) -> list[bytes]:
        """Time has come to `tick`; where nothing moves it does not come before real time."""
        ahead = (tick - self._tick) * TICK_SECONDS - (time.monotonic() - self._moved_at)
        if ahead > 0:
            select.select([self._tap, self._listener.fileno()], [], [], min(ahead, LONGEST_PAUSE))
        return self._collect(tick) if tick > self._tick else []

    def next_deadline(self) -> int | None:
        """The next tick, as long as a connection is open or a program runs: nobody knows the kernel's timers."""
        busy = any(not connection.over for connection in self.connections) or None in self.statuses()
        return self._tick + 1 if busy else None

    def expect_reset(self, other_port: int) -> None:
        """See `base.Peer`."""
        self._reset_expected.add(other_port)

    def run(self, program: Sequence[str], output: Path) -> None:
        """Start a program in the kernel's namespace: it reaches the NIC as any program reaches a host."""
        self._ask({"run": list(program), "output": str(output)})
        self._programs += 1

    def statuses(self) -> list[int | None]:
        """Exit status of every program started, None of one that still runs."""
        now = time.monotonic()
        if self._programs > len(self._statuses) or (None in self._statuses and now - self._polled_at > _POLL_SECONDS):
            self._statuses = list(self._ask({"poll": True})["statuses"])
            self._polled_at = now
        return self._statuses

    def close(self) -> None:
        """End the helper; the namespace and everything in it go with it."""
        if self._control.fileno() < 0:
            return
        for connection in self.connections:
            connection.stream.release()
        for held in ("_answers", "_listener"):
            if hasattr(self, held):
                getattr(self, held).close()
        if hasattr(self, "_tap"):
            os.close(self._tap)
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        try:
            self._process.wait(_ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        self._control.sendall(json.dumps(order).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self._answers.readline())
        return answer

    def _collect(self, tick: int) -> list[bytes]:
        """Serve the sockets until nothing moves; the frames that the kernel sent."""
        out: list[bytes] = []
        self._tick = max(self._tick, tick)
        self._moved_at = time.monotonic()
        while self._accept() | self._serve() | self._sent(out):
            pass
        if (wanted := self._round_trips.timeout_ms()) is not None and not 0.75 < wanted / self.rto_min < 1.33:
            self.rto_min = wanted
            self._ask({"rto_min": wanted})
        return out

    def _accept(self) -> bool:
        try:
            accepted, (_, port, *_) = self._listener.accept()
        except BlockingIOError:
            return False
        app = self._app_factory(len(self.connections))
        self.apps.append(app)
        self.connections.append(Served(_SocketStream(accepted, port), app))
        return True

    def _serve(self) -> bool:
        moved = False
        for connection in self.connections:
            if connection.over:
                continue
            while connection.pump():
                moved = True
            if connection.failure is not None and connection.other_port not in self._reset_expected:
                self.violations.append(f"linux: connection from port {connection.other_port}: {connection.failure}")
        return moved

    def _sent(self, out: list[bytes]) -> bool:
        moved = False
        while True:
            try:
                frame = os.read(self._tap, _LARGEST_FRAME)
            except BlockingIOError:
                return moved
            moved = True
            self._round_trips.sent(frame)
            wire, answers = self._neighbor.split([frame])
            out += wire
            for answer in answers:
                os.write(self._tap, answer)
