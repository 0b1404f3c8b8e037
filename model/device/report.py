"""The divergence in words, under 30 lines."""

from __future__ import annotations

from ipaddress import IPv6Address

from model.device.divergence import Divergence
from model.wire.frame import ParsedFrame, parse_frame

_CHECKS = {
    1: "state and actions at a commit",
    2: "frame on the wire",
    3: "completion, indication or register",
    4: "write to host memory",
    5: "the event was not due",
    6: "what is due did not happen in time",
}
_WIDTH = 118
_HISTORY = 8


def render(d: Divergence, replay: str) -> str:
    """The report; ``replay`` is the command that shows it again."""
    connection = "none" if d.conn is None else str(d.conn)
    lines = [
        f"first divergence: check {d.check}, {_CHECKS[d.check]}",
        f"  cycle      {d.cycle}",
        f"  stream     {d.stream}, record {d.order}",
        f"  connection {connection}",
        f"  event      {d.event}",
        f"  field      {d.field}",
        f"  expected   {d.expected}",
        f"  got        {d.got}",
        f"  rule       {d.rule}",
    ]
    if d.history:
        lines.append("last commits of the connection:")
        lines += [f"  {line}" for line in d.history[-_HISTORY:]]
    if d.frame is not None:
        lines.append(f"frame, {len(d.frame)} bytes:")
        lines += [f"  {line}" for line in describe_frame(d.frame)]
    lines.append(f"replay: {replay}")
    whole = ("replay", "  cycle ")
    return "\n".join(line if line.startswith(whole) else line[:_WIDTH] for line in lines) + "\n"


def describe_frame(frame: bytes) -> list[str]:
    """A frame in at most four lines."""
    p = parse_frame(frame)
    lines = [p.reason.value]
    if p.ethernet is not None:
        vlan = "" if p.vlan is None else f", VLAN {p.vlan.vlan_id} priority {p.vlan.priority}"
        lines[0] += f"; {p.ethernet.source:012x} -> {p.ethernet.destination:012x}{vlan}"
    if p.ip is not None:
        lines.append(
            f"IPv4 {_address(p.ip.source)} -> {_address(p.ip.destination)} length {p.ip.total_length} "
            f"id {p.ip.identification:#06x} ttl {p.ip.ttl} tos {p.ip.tos}"
        )
    if p.ip6 is not None:
        lines.append(
            f"IPv6 {IPv6Address(p.ip6.source)} -> {IPv6Address(p.ip6.destination)} length {p.ip6.payload_length} "
            f"hop limit {p.ip6.hop_limit} class {p.ip6.traffic_class} flow {p.ip6.flow_label:#07x}"
        )
    if p.tcp is not None:
        lines.append(_describe_tcp(p))
    return lines


def _describe_tcp(p: ParsedFrame) -> str:
    if p.tcp is None:
        return ""
    t = p.tcp
    stamps = t.options.timestamps
    shown = "" if stamps is None else f" ts {stamps.value}/{stamps.echo_reply}"
    flags = "+".join(f.name or "" for f in type(t.flags) if f in t.flags) or "none"
    return (
        f"TCP {t.source_port} -> {t.destination_port} seq {t.sequence} ack {t.acknowledgment} {flags} "
        f"win {t.window}{shown} payload {p.payload_length}"
    )


def frame_difference(expected: bytes, got: bytes) -> tuple[str, str, str]:
    """(field, expected, got) of the first header field, payload byte or length in which two frames differ."""
    a, b = parse_frame(expected), parse_frame(got)
    for layer in ("ethernet", "vlan", "ip", "ip6", "tcp"):
        x, y = getattr(a, layer), getattr(b, layer)
        if x == y:
            continue
        if x is None or y is None:
            return layer, str(x), str(y)
        for name in x.__dataclass_fields__:
            if getattr(x, name) != getattr(y, name) and name != "checksum":
                return f"{layer}.{name}", str(getattr(x, name)), str(getattr(y, name))
    for at, (e, g) in enumerate(zip(expected, got, strict=False)):
        if e != g:
            return f"byte {at}", f"{e:#04x}", f"{g:#04x}"
    return "length", str(len(expected)), str(len(got))


def _address(value: int) -> str:
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))
