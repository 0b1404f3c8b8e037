"""lwIP as a peer: a C shim over liblwip, loaded into this process, under the simulation's ticks.

lwIP counts time in calls of tcp_tmr, one every 250 ms; nothing else in it knows a clock, so that a run repeats bit for
bit. It offers window scaling but neither timestamps nor SACK. Its state is global: a process has one lwIP at a time,
and a new peer ends the connections of the one before.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tb.peers.base import Application
from tb.peers.built import PeerMissingError, built
from tb.peers.headers import ip_bytes, mac_bytes
from tb.peers.neighbor import Neighbor
from tb.peers.stream import Served

SOURCE: Final = Path(__file__).parent / "lwip" / "shim.c"
PACKAGES: Final = "gcc liblwip-dev"
TIMER_TICKS: Final = 250
"""TCP_TMR_INTERVAL of lwIP."""
_IP_TCP_HEADERS: Final = {4: 40, 6: 60}
_LINK_MTU: Final = 1500
_LARGEST_FRAME: Final = 1600
_LARGEST_READ: Final = 0xFFFF
_HEADER: Final = Path("/usr/include/lwip/lwip/tcp.h")
_ERRORS: Final = {-13: "aborted", -14: "reset", -15: "closed"}
"""err_t of lwIP (lwip/err.h)."""


def missing() -> str | None:
    """Why there is no lwIP on this machine; None if there is."""
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is not None and _HEADER.exists():
        return None
    return str(PeerMissingError("no-lwip", "no C compiler or no liblwip", PACKAGES))


def _library() -> ctypes.CDLL:
    compiler = os.environ.get("CC", "cc")
    if (reason := missing()) is not None:
        raise PeerMissingError("no-lwip", reason.partition(": ")[2].partition(";")[0], PACKAGES)
    command = [
        compiler,
        "-O2",
        "-shared",
        "-fPIC",
        f"-I{_HEADER.parent.parent}",
        "{source}",
        "-llwip",
        "-o",
        "{target}",
    ]
    try:
        path = built(SOURCE, command)
    except subprocess.CalledProcessError as error:
        raise PeerMissingError("no-lwip", f"the shim does not compile: {str(error.stdout)[:300]}", PACKAGES) from error
    library = ctypes.CDLL(str(path))
    library.chimney_oversized.restype = ctypes.c_uint64
    return library


class _LwipStream:
    """Connection number `n` of the shim."""

    def __init__(self, library: ctypes.CDLL, number: int) -> None:
        self._library = library
        self._number = number
        self._buffer = ctypes.create_string_buffer(_LARGEST_READ)

    @property
    def other_port(self) -> int:
        return int(self._library.chimney_remote_port(self._number))

    def read(self, limit: int) -> bytes:
        length = self._library.chimney_read(self._number, self._buffer, min(limit, _LARGEST_READ))
        return self._buffer.raw[:length] if length else b""

    def ended(self) -> bool:
        return bool(self._library.chimney_ended(self._number))

    def failure(self) -> str | None:
        error = int(self._library.chimney_error(self._number))
        return _ERRORS.get(error, f"lwIP error {error}") if error else None

    def room(self) -> int:
        return int(self._library.chimney_room(self._number))

    def write(self, data: bytes) -> int:
        taken = int(self._library.chimney_write(self._number, data, len(data)))
        if taken:
            self._library.chimney_flush(self._number)
        return taken

    def shut(self) -> bool:
        return bool(self._library.chimney_shut(self._number))

    def release(self) -> None:
        self._library.chimney_forget(self._number)


class LwipPeer:
    """A host with lwIP's TCP, listening on one port. See `base.Peer`."""

    def __init__(
        self,
        mac: str,
        ip: str,
        port: int,
        mss: int,
        neighbor: Neighbor,
        app_factory: Callable[[int], Application],
    ) -> None:
        self.apps: list[Application] = []
        self.connections: list[Served] = []
        self.violations: list[str] = []
        self._neighbor = neighbor
        self._app_factory = app_factory
        self._library = _library()
        self._frame = ctypes.create_string_buffer(_LARGEST_FRAME)
        self._timer = 0
        self._reset_expected: set[int] = set()
        own_mac, own_ip = mac_bytes(mac), ip_bytes(ip)
        version = 6 if neighbor.over_ipv6 else 4
        mtu = min(mss + _IP_TCP_HEADERS[version], _LINK_MTU)
        error = self._library.chimney_start(own_mac, own_ip, len(own_ip), port, mtu)
        if error:
            raise PeerMissingError("no-lwip", f"the stack does not start, lwIP error {error}", PACKAGES)
        if version == 4:  # over IPv6 lwIP believes an answer to its own question alone
            self._input(neighbor.announce(own_mac, own_ip))

    @property
    def served(self) -> list[int]:
        """See `base.Peer`."""
        return [connection.other_port for connection in self.connections]

    def on_frame(self, frame: bytes, tick: int) -> list[bytes]:
        """A frame arrives."""
        self._catch_up(tick)
        self._input(frame)
        return self._collect()

    def on_tick(self, tick: int) -> list[bytes]:
        """Time has come to `tick`."""
        return self._collect() if self._catch_up(tick) else []

    def next_deadline(self) -> int | None:
        """The next call of tcp_tmr, as long as a connection is open."""
        return self._timer + TIMER_TICKS if self._library.chimney_busy() else None

    def expect_reset(self, other_port: int) -> None:
        """See `base.Peer`."""
        self._reset_expected.add(other_port)

    def close(self) -> None:
        """Nothing is held outside this process."""

    def _catch_up(self, tick: int) -> bool:
        calls = (tick - self._timer) // TIMER_TICKS
        self._timer += calls * TIMER_TICKS
        for _ in range(calls if self._library.chimney_busy() else 0):
            self._library.chimney_tmr()
        return calls > 0

    def _input(self, frame: bytes) -> None:
        self._library.chimney_input(frame, len(frame))

    def _collect(self) -> list[bytes]:
        """Serve the applications, then everything that lwIP has sent."""
        out: list[bytes] = []
        while self._serve() | self._sent(out):
            pass
        return out

    def _serve(self) -> bool:
        moved = False
        for number in range(len(self.connections), self._library.chimney_count()):
            app = self._app_factory(number)
            self.apps.append(app)
            self.connections.append(Served(_LwipStream(self._library, number), app))
        for number, connection in enumerate(self.connections):
            if connection.over or not self._library.chimney_take_mark(number):
                continue
            while connection.pump():
                moved = True
            if connection.failure is not None and connection.other_port not in self._reset_expected:
                self.violations.append(f"lwip: connection from port {connection.other_port}: {connection.failure}")
        return moved

    def _sent(self, out: list[bytes]) -> bool:
        moved = False
        while length := self._library.chimney_output(self._frame, _LARGEST_FRAME):
            wire, answers = self._neighbor.split([self._frame.raw[:length]])
            out += wire
            for answer in answers:
                self._input(answer)
            moved = True
        return moved
