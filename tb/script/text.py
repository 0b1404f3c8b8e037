"""A trace as the text of a packetdrill script: what `packetdrill.script` reads back is the same trace.

The handshake is written from what is handed over; whatever a script cannot say of that is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tb.script.events import MICROSECONDS, Arrival, Call, Departure, Event, Handover, Script, ScriptError, Segment, When
from tb.script.judge import show_flags

LARGEST_FIELD = 0xFFFF
#: Timestamps of the two SYNs, ours and the peer's; nothing is made of them.
OUR_STAMP, PEER_STAMP = 100, 1000
OWN_MSS = 1460


def text(script: Script, remarks: Sequence[str] = ()) -> str:
    """The script, with ``remarks`` as comments in front of it. Raises ScriptError for what no script can say."""
    lines = [f"// {remark}" if remark else "//" for remark in remarks]
    lines += [] if script.family == 4 else [f"--ip_version=ipv{script.family}"]
    lines += _opening(script)
    lines += [f"{when(event.when):<7} {_statement(event)}" for event in script.events]
    return "\n".join(lines) + "\n"


def unnumbered(script: Script) -> Script:
    """The script without the places of its events in a file."""
    return replace(script, events=tuple(replace(event, line=0) for event in script.events))


def seconds(microseconds: int) -> str:
    """Microseconds as seconds, as short as can be."""
    whole, part = divmod(microseconds, MICROSECONDS)
    return f"{whole or ''}.{part:06}".rstrip("0") if part else str(whole)


def when(time: When) -> str:
    """The time of an event."""
    if time.any:
        return "*"
    sign = "+" if time.relative else ""
    if not time.window:
        return f"{sign}{seconds(time.low)}"
    return f"{sign}{seconds(time.low)}...{seconds(time.high)}"


# ---- the handshake -------------------------------------------------------------------------------


def _opening(script: Script) -> Iterator[str]:
    handover = script.handover
    if (handover.una, handover.nxt, handover.max, handover.rcv_nxt) != (1, 1, 1, 1):
        raise ScriptError(f"{script.name}: no script hands over a connection on which anything was sent")
    if handover.snd_wnd != _told_window(script):
        raise ScriptError(f"{script.name}: no segment tells of a window of {handover.snd_wnd} octets")
    first, zero = "0      ", "+0     "
    yield f"{first} socket(..., SOCK_STREAM, IPPROTO_TCP) = 3"
    if not handover.active:
        yield f"{zero} bind(3, ..., ...) = 0"
        yield f"{zero} listen(3, 1) = 0"
    for level, option, value in handover.options:
        yield f"{zero} setsockopt(3, {level}, {option}, {value}, 4) = 0"
    asks, agrees = ("SEW", "SE.") if handover.ecn else ("S", "S.")
    ours, theirs = _options(handover, OWN_MSS, handover.rcv_ws), _options(handover, handover.peer_mss, handover.snd_ws)
    window = min(handover.snd_wnd, LARGEST_FIELD)
    own = "" if handover.rcv_wnd is None else f" win {handover.rcv_wnd}"
    if handover.active:
        yield f"{zero} connect(3, ..., ...) = 0"
        yield f"{zero} > {asks} 0:0(0){own} <{ours}{_stamps(handover, OUR_STAMP, 0)}>"
        yield f"{zero} < {agrees} 0:0(0) ack 1 win {window} <{theirs}{_stamps(handover, PEER_STAMP, OUR_STAMP)}>"
    else:
        yield f"{zero} < {asks} 0:0(0) win {window} <{theirs}{_stamps(handover, PEER_STAMP, 0)}>"
        yield f"{zero} > {agrees} 0:0(0) ack 1{own} <{ours}{_stamps(handover, OUR_STAMP, PEER_STAMP)}>"


def _told_window(script: Script) -> int:
    """The window that a reader takes for the peer's: that of its third segment, or that of its SYN."""
    handover = script.handover
    first = next((event.segment for event in script.events if isinstance(event, Arrival)), None)
    if handover.active or first is None or first.win is None:
        return min(handover.snd_wnd, LARGEST_FIELD)
    return first.win << handover.snd_ws


def _options(handover: Handover, mss: int, scale: int) -> str:
    words = [f"mss {mss}"]
    if handover.sack:
        words.append("sackOK")
    if handover.snd_ws or handover.rcv_ws:
        words += ["nop", f"wscale {scale}"]
    return ",".join(words)


def _stamps(handover: Handover, value: int, echo: int) -> str:
    return f",TS val {value} ecr {echo}" if handover.ts else ""


# ---- events --------------------------------------------------------------------------------------


def _statement(event: Event) -> str:
    if isinstance(event, Arrival):
        return f"< {packet(event.segment)}"
    if isinstance(event, Departure):
        return f"> {packet(event.segment)}"
    if isinstance(event, Call):
        returned = f"{event.ret or '...'} {event.errno}".strip()
        return f"{event.name}({', '.join(event.args)}) = {returned}"
    raise ScriptError("an event of no known kind", event.line)


def packet(segment: Segment) -> str:
    """A segment as `syntax` reads it; the number of an option that is not told stays away."""
    words = [word for word in (segment.ecn, None if segment.tos is None else f"tos {segment.tos:#x}") if word]
    header = f"[{','.join(words)}] " if words else ""
    found = f"{header}{show_flags(segment.flags)} {segment.seq}:{segment.seq + segment.length}({segment.length})"
    for name, value in (("ack", segment.ack), ("win", segment.win), ("urg", segment.urgent or None)):
        if value is not None:
            found += f" {name} {value}"
    options = list(_told(segment))
    return f"{found} <{','.join(options)}>" if options else found


def _told(segment: Segment) -> Iterator[str]:
    if segment.mss is not None:
        yield f"mss {segment.mss}"
    if segment.window_scale is not None:
        yield f"wscale {segment.window_scale}"
    if segment.sack_permitted:
        yield "sackOK"
    if segment.ts is not None:
        yield f"TS val {segment.ts[0]} ecr {segment.ts[1]}"
    if segment.sack:
        yield "sack " + " ".join(f"{left}:{right}" for left, right in segment.sack)
    if segment.any_options:
        yield "..."
