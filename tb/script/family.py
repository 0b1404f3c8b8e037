"""What of a script depends on the version of IP that it was written for: where its text is cut into segments.

The link's MTU is that of Ethernet in both versions: packetdrill's own where `--mtu` is not given, and the longest path
that the device takes (NDIS_STATUS_OFFLOAD_PATH_MTU). The header of IPv6 is 20 octets longer, so the MSS that the link
leaves room for is 1440 instead of 1460. Whoever runs packetdrill's scripts over both versions hides that with
`--mtu=1520` for IPv6; no device of Ethernet frames can. A script that shows segments cut for the other version is
skipped, by name of the segment: its numbers are right there alone. The MSS of our own SYN is not compared in either
version, as the handshake is the host's.
"""

from __future__ import annotations

from collections.abc import Iterator

from tb.script.events import Arrival, Departure, Event, Script, Segment
from tb.script.judge import show
from tb.script.wire import MTU, link_mss

#: Where a SYN names no MSS (RFC 9293, 3.7.1, MUST-15), octets, by version of IP.
DEFAULT_MSS = {4: 536, 6: 1220}


def send_mss(family: int, named: int | None) -> int:
    """Octets of options and text in a segment to a peer whose SYN names an MSS, or none."""
    return min(named or DEFAULT_MSS[family], link_mss(family))


def option_octets(segment: Segment) -> int:
    """Octets of the options of a segment that is no SYN, padded."""
    return (12 if segment.ts is not None else 0) + (4 + 8 * len(segment.sack) if segment.sack else 0)


def dependences(script: Script, asked: int, named_mss: int | None) -> Iterator[tuple[str, int]]:
    """Segments of a script that are cut for the version of IP that it ``asked`` for, as (what, line).

    ``named_mss``: the MSS that the peer's SYN names. A script played over the version that it asked for has none.
    """
    if script.family == asked:
        return
    for event in script.events:
        if not isinstance(event, Arrival | Departure) or not _is_cut_for(asked, script.family, event, named_mss):
            continue
        here, there = (send_mss(version, named_mss) for version in (script.family, asked))
        why = f"one packet over IPv{asked} and too long for one over IPv{script.family} (MTU {MTU})"
        if isinstance(event, Departure):
            why = f"an MSS of {there} over IPv{asked} is one of {here} over IPv{script.family}"
        yield f"segment {show(event.segment)}: {why}", event.line


def _is_cut_for(asked: int, family: int, event: Event, named_mss: int | None) -> bool:
    if isinstance(event, Arrival):
        room = link_mss(family) - option_octets(event.segment)
        return room < event.segment.length <= link_mss(asked) - option_octets(event.segment)
    if not isinstance(event, Departure):
        return False
    here, there = send_mss(family, named_mss), send_mss(asked, named_mss)
    room = min(here, there) - option_octets(event.segment)
    full = event.segment.length == room and there < here
    return here != there and (event.segment.length > room or full)
