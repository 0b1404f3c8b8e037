"""PEER=: the peers by name, what each needs, and how one is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tb.peers import gvisor_peer, linux_peer, lwip_peer
from tb.peers.base import Application, Peer
from tb.peers.neighbor import Neighbor
from tb.peers.tcp_peer import PeerConfig, TcpPeer

AppFactory = Callable[[int], Application]
#: Why a peer cannot be had on this machine, None if it can; by name. The first needs nothing.
MISSING: Final[dict[str, Callable[[], str | None]]] = {
    "python": lambda: None,
    "lwip": lwip_peer.missing,
    "gvisor": gvisor_peer.missing,
    "linux": linux_peer.missing,
}


def make_peer(name: str, config: PeerConfig, port: int, neighbor: Neighbor, app_factory: AppFactory) -> Peer:
    """The peer of this name: at the addresses of `config`, on `port`, behind it `neighbor` on the wire.

    The version of IP of `neighbor` is that which the peer speaks; python speaks both.
    `config.tcp` and `config.rules` are for the python peer; of them only the MSS reaches the others.
    """
    own = config.ip6 if neighbor.over_ipv6 else config.ip
    if name == "lwip":
        return lwip_peer.LwipPeer(config.mac, own, port, config.tcp.mss, neighbor, app_factory)
    if name == "linux":
        return linux_peer.LinuxPeer(config.mac, own, port, config.tcp.mss, neighbor, app_factory)
    if name == "gvisor":
        settings = gvisor_peer.GvisorConfig(mss=config.tcp.mss, seed=config.tcp.initial_sequence)
        return gvisor_peer.GvisorPeer(config.mac, own, port, settings, neighbor, app_factory)
    return TcpPeer(config, app_factory=app_factory)
