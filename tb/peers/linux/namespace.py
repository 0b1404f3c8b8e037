"""Inside a network namespace of its own: a TAP device, a listening socket, and programs on request.

Started by tb/peers/linux_peer.py as `unshare --net [--user --map-root-user] python namespace.py FD SETTINGS`, standard
library only. Over the socket FD it hands out the TAP device and the listening socket, then obeys JSON lines:
{"rto_min": ms}, {"run": [program, ...], "output": path}, {"poll": true}; each gets one JSON line back. When FD closes
it ends, its programs with it, and the namespace vanishes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from typing import Any

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
NAME = "chimney0"
#: No loss probes and no RACK, whose timers would run on real time.
SYSCTLS = {
    "net/ipv4/tcp_early_retrans": "0",
    "net/ipv4/tcp_recovery": "0",
    "net/ipv4/tcp_no_metrics_save": "1",
}
#: No IPv6 chatter on the wire: no IPv6 at all, or no address but the given one and nothing asked of routers.
CHATTER = {
    4: {"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1"},
    6: {f"net/ipv6/conf/{NAME}/{name}": "0" for name in ("accept_ra", "accept_dad", "router_solicitations")}
    | {f"net/ipv6/conf/{NAME}/addr_gen_mode": "1"},
}

#: What a link must carry at least (RFC 791, RFC 8200 5): below it the kernel has no IPv6.
LEAST_MTU = {4: 68, 6: 1280}


def version(settings: dict[str, Any]) -> int:
    """The version of IP of the addresses."""
    return 6 if ":" in settings["ip"] else 4


def ip(*words: str) -> None:
    """Run iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


def route(settings: dict[str, Any], rto_min: int) -> None:
    """The host route to the NIC with a least retransmission timeout, in ms."""
    length = {4: 32, 6: 128}[version(settings)]
    ip("route", "replace", f"{settings['nic_ip']}/{length}", "dev", NAME, "rto_min", f"{rto_min}ms")


def open_tap() -> int:
    """Make the TAP device of this namespace."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", NAME.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def bring_up(settings: dict[str, Any]) -> socket.socket:
    """Addresses, routes, the listening socket."""
    family = version(settings)
    for name, value in (SYSCTLS | CHATTER[family]).items():
        with contextlib.suppress(OSError), open(f"/proc/sys/{name}", "w") as file:
            file.write(value)
    ip("link", "set", "lo", "up")
    mtu = max(settings["mss"] + 40, LEAST_MTU[family])
    ip("link", "set", "dev", NAME, "address", settings["mac"], "mtu", str(mtu), "up")
    ip("addr", "add", f"{settings['ip']}/{ {4: 24, 6: 64}[family] }", "dev", NAME)
    ip("neigh", "replace", settings["nic_ip"], "lladdr", settings["nic_mac"], "dev", NAME, "nud", "permanent")
    route(settings, settings["rto_min"])
    listener = socket.socket({4: socket.AF_INET, 6: socket.AF_INET6}[family], socket.SOCK_STREAM)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    listener.bind((settings["ip"], settings["port"]))
    listener.listen(256)
    listener.setblocking(False)
    return listener


def obey(order: dict[str, Any], settings: dict[str, Any], running: list[subprocess.Popen[bytes]]) -> dict[str, Any]:
    """Carry out one order."""
    if "rto_min" in order:
        route(settings, int(order["rto_min"]))
        return {}
    if "run" in order:
        with open(order["output"], "wb") as output:
            running.append(subprocess.Popen(order["run"], stdout=output, stderr=subprocess.STDOUT))
        return {}
    return {"statuses": [process.poll() for process in running]}


def main(arguments: list[str]) -> int:
    """Serve until the socket closes."""
    if arguments == ["check"]:
        os.close(open_tap())
        return 0
    control = socket.socket(fileno=int(arguments[0]))
    settings = json.loads(arguments[1])
    tap = open_tap()
    listener = bring_up(settings)
    socket.send_fds(control, [b"\n"], [tap, listener.fileno()])
    running: list[subprocess.Popen[bytes]] = []
    try:
        for line in control.makefile("r"):
            answer = obey(json.loads(line), settings, running)
            control.sendall(json.dumps(answer).encode() + b"\n")
    finally:
        for process in running:
            process.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
