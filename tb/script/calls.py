"""What each call of an application means at a chimney: a table of the calls, and of the socket options.

A call that no target or host of a connection notices (`fcntl`, `getsockopt`) returns what the trace says it does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Final

from model.ndis.enums import TcpCachedFlags
from tb.script.application import Application
from tb.script.events import Call, UnsupportedError
from tb.script.wire import octets
from tb.tests.stage import Scene

#: What a call returned: a number, -1 with an errno.
Outcome = Generator[Callable[[], bool], None, int]
IOVEC = re.compile(r"\{\s*(?:\.\.\.|\"[^\"]*\")\s*,\s*(\d+)\s*\}")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Options that act inside of the host, on nothing that the wire shows of a connection that is offloaded.
HOST_OPTIONS: Final = _words(
    "SO_SNDBUF SO_RCVBUF SO_SNDBUFFORCE SO_RCVBUFFORCE SO_REUSEADDR SO_REUSEPORT SO_RCVLOWAT SO_SNDLOWAT SO_RCVTIMEO "
    "SO_SNDTIMEO SO_BUSY_POLL SO_ZEROCOPY SO_MAX_PACING_RATE SO_PRIORITY SO_TIMESTAMPING SO_TIMESTAMP SO_MARK "
    "SO_ERROR SO_DEBUG SO_NOSIGPIPE SO_INCOMING_CPU SO_PREFER_BUSY_POLL IP_RECVERR IPV6_RECVERR IP_MTU_DISCOVER "
    "IP_BIND_ADDRESS_NO_PORT IP_FREEBIND TCP_QUICKACK TCP_DEFER_ACCEPT TCP_NOTSENT_LOWAT TCP_INQ TCP_CM_INQ "
    "TCP_FASTOPEN TCP_FASTOPEN_CONNECT TCP_INFO TCP_CONGESTION TCP_SYNCNT TCP_THIN_LINEAR_TIMEOUTS TCP_THIN_DUPACK "
    "TCP_SAVE_SYN TCP_FUNCTION_BLK TCP_LOG TCP_TX_DELAY TCP_ZEROCOPY_RECEIVE TCP_NOOPT"
)
#: The file descriptor calls that change nothing of a connection.
SILENT: Final = _words(
    "fcntl getsockopt getsockname getpeername poll ppoll select epoll_create epoll_create1 epoll_ctl epoll_wait socket "
    "bind listen connect accept accept4 dup dup2 gettimeofday clock_gettime open pipe mmap munmap usleep sleep"
)
WRITES: Final = {"write": 2, "send": 2, "sendto": 2, "sendfile": 3, "splice": 4}
READS: Final = {"read": 2, "recv": 2, "recvfrom": 2}
SECONDS: Final = 1000


def number(text: str) -> int | None:
    """The number in `4`, `[4]` or `0x10`; None: none is written."""
    found = re.search(r"-?(?:0x[0-9a-fA-F]+|\d+)", text)
    return None if found is None else int(found.group(), 0)


class Calls:
    """The calls of one application. ``wait``: how long a call may block, as a condition that comes true."""

    def __init__(self, application: Application) -> None:
        self.application = application
        #: Data that a corked socket holds back.
        self._corked: int | None = None

    @staticmethod
    def waits(call: Call) -> bool:
        """A call that blocks until something came."""
        return call.name in READS or call.name in ("readv", "recvmsg")

    def run(self, call: Call) -> Outcome:
        """Make a call; what it returns."""
        name = call.name
        if self._flagged(call, "MSG_ERRQUEUE"):
            return number(call.ret) or 0
        if name in WRITES or name in ("writev", "sendmsg", "sendmmsg"):
            return (yield from self._write(call))
        if name in READS or name in ("readv", "recvmsg"):
            return (yield from self._read(call))
        if name in SILENT:
            return number(call.ret) or 0
        method = getattr(self, f"_{name}", None)
        if method is None:
            raise UnsupportedError(f"call {name}", call.line)
        outcome: int = yield from method(call)
        return outcome

    # ---- data ----

    @staticmethod
    def _size(call: Call, places: dict[str, int]) -> int:
        if call.name in places:
            size = number(call.args[places[call.name]]) if len(call.args) > places[call.name] else None
        else:
            found = IOVEC.findall(", ".join(call.args))
            size = sum(map(int, found)) if found else None
        if size is None:
            raise UnsupportedError(f"call {call.name} without a size: ({', '.join(call.args)})", call.line)
        return size

    @staticmethod
    def _flagged(call: Call, flag: str) -> bool:
        return any(flag in arg for arg in call.args[2:])

    def _write(self, call: Call) -> Outcome:
        if self._flagged(call, "MSG_OOB"):
            raise UnsupportedError("MSG_OOB: urgent data is not sent by an offload target", call.line)
        app, size = self.application, self._size(call, WRITES)
        if not app.writable or "NULL" in call.args[1:2]:
            return -1
        if self._corked is not None or self._flagged(call, "MSG_MORE"):
            yield from self._hold(size)
        else:
            yield from app.write(size) if size else ()
        return size

    def _hold(self, size: int) -> Scene:
        """Whole segments go, the rest waits for more (MSG_MORE, TCP_CORK)."""
        app = self.application
        waiting = (self._corked or 0) + size
        mss = app.stack.tcp.send_mss
        self._corked = waiting % mss
        if waiting >= mss:
            yield from app.write(waiting - self._corked)

    def _flush(self) -> Scene:
        waiting, self._corked = self._corked or 0, None
        if waiting and self.application.writable:
            yield from self.application.write(waiting)

    def _read(self, call: Call) -> Outcome:
        app, size = self.application, self._size(call, READS)
        if self._flagged(call, "MSG_OOB"):
            raise UnsupportedError("MSG_OOB", call.line)
        yield from app.pull(size)
        if app.unread:
            if self._flagged(call, "MSG_PEEK"):
                return min(size, len(app.unread))
            first = app.first_unread
            data = app.take(size)
            if data != octets(first, len(data)):
                raise WrongError(f"{len(data)} octets were read that the peer did not send there")
            return len(data)
        return 0 if (app.eof or app.shut_read) and not app.reset else -1

    def _aio_read(self, call: Call) -> Outcome:
        """POSIX aio_read: a read that is asked for and not waited for."""
        yield from self.application.ask(self._size(call, {"aio_read": 2}))
        return 0

    def _ioctl(self, call: Call) -> Outcome:
        """SIOCINQ and SIOCOUTQ tell the number in brackets."""
        yield from ()
        request = call.args[1] if len(call.args) > 1 else ""
        app = self.application
        if request in ("SIOCINQ", "FIONREAD"):
            found = len(app.unread)
        elif request in ("SIOCOUTQ", "TIOCOUTQ"):
            found = app.written - app.acknowledged
        elif request == "SIOCOUTQNSD":
            found = app.written - max(app.sent(), app.acknowledged)
        else:
            raise UnsupportedError(f"ioctl {request}", call.line)
        expected = number(call.args[2]) if len(call.args) > 2 else None
        if expected is not None and expected != found:
            raise WrongError(f"{request} tells {found}, {expected} expected")
        return 0

    # ---- the end of a connection ----

    def _close(self, call: Call) -> Outcome:
        yield from self._flush()
        yield from self.application.close()
        return 0

    def _shutdown(self, call: Call) -> Outcome:
        app = self.application
        how = call.args[1] if len(call.args) > 1 else "SHUT_RDWR"
        if app.reset or app.timed_out:
            return -1
        if how in ("SHUT_RD", "SHUT_RDWR", "0", "2"):
            app.shut_read = True
        if how in ("SHUT_WR", "SHUT_RDWR", "1", "2") and not app.shut_write:
            yield from self._flush()
            yield from app.shutdown()
        return 0

    # ---- options ----

    def _setsockopt(self, call: Call) -> Outcome:
        if len(call.args) < 4:
            raise UnsupportedError(f"setsockopt({', '.join(call.args)})", call.line)
        option, text = call.args[2], call.args[3]
        yield from self.option(option, text, call.line)
        return 0

    def option(self, option: str, text: str, line: int) -> Scene:
        """A socket option: a field of the cached state, or something of the host's own."""
        app, value = self.application, number(text)
        if option in HOST_OPTIONS:
            return
        if value is None:
            raise UnsupportedError(f"{option} = {text}", line)
        if option == "TCP_CORK" or option == "TCP_NOPUSH":
            if value:
                self._corked = self._corked or 0
            else:
                yield from self._flush()
            return
        if option == "SO_LINGER":
            numbers = [int(n, 0) for n in re.findall(r"=\s*(\d+)", text)] or [int(n) for n in re.findall(r"\d+", text)]
            app.lingers_not = len(numbers) == 2 and bool(numbers[0]) and not numbers[1]
            return
        yield from self._cached(option, value, line)

    def _cached(self, option: str, value: int, line: int) -> Scene:
        app = self.application
        cached = app.connection.cached
        flag = {"TCP_NODELAY": TcpCachedFlags.NAGLING_ENABLED, "SO_KEEPALIVE": TcpCachedFlags.KEEP_ALIVE_ENABLED}
        field = {
            "TCP_USER_TIMEOUT": ("max_rt", value),
            "TCP_KEEPIDLE": ("ka_timeout", value * SECONDS),
            "TCP_KEEPINTVL": ("ka_interval", value * SECONDS),
            "TCP_KEEPCNT": ("ka_probe_count", value),
            "IP_TOS": ("tos_or_traffic_class", value),
            "IPV6_TCLASS": ("tos_or_traffic_class", value),
            "IP_TTL": ("ttl_or_hop_limit", value),
            "IPV6_UNICAST_HOPS": ("ttl_or_hop_limit", value),
        }
        if option in flag:
            on = bool(value) != (option == "TCP_NODELAY")
            flags = cached.flags | flag[option] if on else cached.flags & ~flag[option]
            changed = replace(cached, flags=flags)
        elif option in field:
            name, amount = field[option]
            changed = replace(cached, **{name: amount})  # type: ignore[arg-type]
        else:
            raise UnsupportedError(f"socket option {option}", line)
        yield app.is_owned
        if app.resumed or app.upload is not None:
            return
        yield from app.stages.state(app.host.state.update([(app.connection, changed)]))


class WrongError(Exception):
    """A call told or returned something else than the trace says."""
