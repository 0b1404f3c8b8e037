"""The syntax of packetdrill: a file as statements, a statement as a packet, a call, a command or an assertion.

Written from the public description of the language (google/packetdrill, syntax.md); no part of that program is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tb.script.events import ScriptError, Segment, UnsupportedError, When, parse_flags, parse_time, split_args

_COMMENTS = re.compile(r"/\*.*?\*/|//[^\n]*|(?m:^\s*#[^\n]*)", re.DOTALL)
_OPTIONS = re.compile(r"\s*(?:--\w+(?:=\S+)?\s*)+")
_OPTION = re.compile(r"--(\w+)(?:=(\S+))?")
_MICROSECONDS = re.compile(r"[0-9]{1,9}")
_TIME = re.compile(r"^(?P<time>\+?\*|\+?\d*\.?\d+(?:\s*(?:~|\.\.\.)\s*\+?\d*\.?\d+)?)\s+(?P<rest>.*)$", re.DOTALL)
_CALL = re.compile(r"^(?P<name>\w+)\s*\((?P<args>.*)\)\s*=\s*(?P<ret>\.\.\.|-?\w+)(?P<rest>.*)$", re.DOTALL)
_PACKET = re.compile(
    r"^(?P<dir>[<>])\s*(?P<ip>(?:\[[^\]]*\]\s*|\([^)]*\)\s*)*)(?P<flags>[SFRPUEWA.\-]+)\s+"
    r"(?P<seq>\d+):(?P<end>\d+)\((?P<len>\d+)\)(?:\s+ack\s+(?P<ack>\d+))?(?:\s+win\s+(?P<win>\d+))?"
    r"(?:\s+urg\s+(?P<urg>\d+))?(?:\s*<(?P<options>.*)>)?\s*$",
    re.DOTALL,
)
#: Commands that set up the machine a script was written for: nothing of it reaches an offload target.
_HOST_COMMANDS = re.compile(r"sysctl|defaults\.sh|common\.sh|ip tcp_metrics|nstat|set_sysctls|^true$|^sleep 0$")


@dataclass(frozen=True)
class Statement:
    """One statement of a script."""

    line: int
    when: When


@dataclass(frozen=True)
class Packet(Statement):
    """A packet: ``inbound`` is the peer's."""

    inbound: bool
    segment: Segment


@dataclass(frozen=True)
class Syscall(Statement):
    """A call of the application."""

    name: str
    args: tuple[str, ...]
    ret: str
    errno: str


#: Microseconds of tolerance where a script names none: the granularity of a tick, and what the player itself takes.
TOLERANCE = 10_000


def _options(text: str) -> dict[str, str]:
    """The options of packetdrill that stand in a script, the last of a name; "" without a value."""
    lines = _COMMENTS.sub(_blank, text).splitlines()
    return dict(pair for line in lines if _OPTIONS.fullmatch(line) for pair in _OPTION.findall(line))


def tolerance(text: str) -> int:
    """`--tolerance_usecs` of a script, microseconds."""
    asked = _options(text).get("tolerance_usecs", "")
    return max(TOLERANCE, int(asked)) if _MICROSECONDS.fullmatch(asked) else TOLERANCE


#: `--ip_version` and the version on the wire: a mapped address is one of IPv4 (RFC 4291, 2.5.5.2).
VERSIONS = {"ipv4": 4, "ipv4-mapped-ipv6": 4, "ipv6": 6}


def ip_version(text: str) -> int:
    """Version of IP that a script asks for with `--ip_version`, 4 if with none."""
    return VERSIONS.get(_options(text).get("ip_version", ""), 4)


#: The interface of packetdrill has this MTU unless told, as the paths here.
MTU = "1500"
#: Options that say with what a script is run, which has no counterpart here: what they ask for would not be played.
ELSEWHERE = frozenset({"udp_encaps", "so_filename", "wire_client", "wire_server", "init_scripts"})


def _check_options(line: int, source: str) -> None:
    """UnsupportedError for an option that is not done here, ScriptError for a tolerance that is no number.

    Addresses and ports of another run pass.
    """
    for name, value in _OPTION.findall(source):
        if name == "tolerance_usecs" and not _MICROSECONDS.fullmatch(value):
            raise ScriptError(f"--tolerance_usecs={_short(value)}: not a number of microseconds", line)
        other_mtu = name == "mtu" and value != MTU
        if other_mtu or name in ELSEWHERE or (name == "ip_version" and value not in VERSIONS):
            raise UnsupportedError(f"--{name}={value}" if value else f"--{name}", line)


def parse(text: str) -> tuple[Statement, ...]:
    """Every statement, in order. Raises ScriptError, or UnsupportedError for what has no counterpart here."""
    return tuple(found for line, source in _sources(text) if (found := _statement(line, source)) is not None)


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _sources(text: str) -> Iterator[tuple[int, str]]:
    """Statements as text with the line that each begins at: a statement goes on while a bracket is open."""
    waiting, first = "", 0
    for number, line in enumerate(_COMMENTS.sub(_blank, text).splitlines(), 1):
        if not waiting:
            if not line.strip():
                continue
            first = number
        waiting += line.rstrip() + "\n"
        if _closed(waiting):
            yield first, waiting.strip()
            waiting = ""
    if waiting:
        raise ScriptError("the statement has no end", first)


def _closed(text: str) -> bool:
    bare = re.sub(r'"[^"]*"', "", text)
    if "%{" in bare:
        return "}%" in bare
    if bare.count("`") % 2:
        return False
    return all(bare.count(a) <= bare.count(b) for a, b in ("()", "[]", "{}"))


def _statement(line: int, source: str) -> Statement | None:
    if _OPTIONS.fullmatch(source):
        _check_options(line, source)
        return None
    if source.startswith(("%{", "`")):
        source = "+0 " + source
    found = _TIME.match(source)
    if found is None:
        raise ScriptError(f"no statement: {_short(source)}", line)
    when, rest = parse_time(found["time"], line), found["rest"].strip()
    if rest.startswith("%{"):
        raise UnsupportedError("an assertion in Python", line)
    if rest.startswith("`"):
        command = rest.strip("`").strip()
        if not all(_HOST_COMMANDS.search(part.strip()) for part in re.split(r"[;\n]|&&", command) if part.strip()):
            raise UnsupportedError(f"command `{_short(command)}`", line)
        return Statement(line, when)
    if rest[0] in "<>":
        return _packet(line, when, rest)
    call = _CALL.match(rest)
    if call is None:
        raise ScriptError(f"neither a packet nor a call: {_short(rest)}", line)
    errno = re.match(r"\s*(E[A-Z]+)", call["rest"])
    return Syscall(line, when, call["name"], split_args(call["args"]), call["ret"], errno[1] if errno else "")


def _short(text: str) -> str:
    return " ".join(text.split())[:60]


def _packet(line: int, when: When, text: str) -> Packet:
    found = _PACKET.match(text)
    if found is None:
        raise UnsupportedError(f"packet {_short(text)}", line)
    start, end, length = int(found["seq"]), int(found["end"]), int(found["len"])
    if end - start != length:
        raise ScriptError(f"{start}:{end} are not {length} octets", line)
    flags = parse_flags(found["flags"], line)
    segment = Segment(
        flags,
        start,
        length,
        ack=None if found["ack"] is None else int(found["ack"]),
        win=None if found["win"] is None else int(found["win"]),
        urgent=int(found["urg"] or 0),
    )
    segment = _with_header(segment, found["ip"], line)
    for option in (found["options"] or "").split(","):
        segment = _with_option(segment, option.strip(), line)
    return Packet(line, when, found["dir"] == "<", segment)


def _with_header(segment: Segment, text: str, line: int) -> Segment:
    """`[ect0]`, `[ce]`, `[tos 0x10]`: the type-of-service octet; other words about the IP header are not supported."""
    for word in (part.strip() for part in re.split(r"[\[\](),]+", text)):
        if word in ("noecn", "ect0", "ect1", "ce"):
            segment = replace(segment, ecn=word)
        elif word.startswith("tos "):
            segment = replace(segment, tos=int(word[4:].strip(), 0))
        elif word:
            raise UnsupportedError(f"IP header {word}", line)
    return segment


def _with_option(segment: Segment, option: str, line: int) -> Segment:
    """The segment with one more TCP option."""
    word, _, rest = option.partition(" ")
    numbers = [int(n) for n in re.findall(r"\d+", rest)]
    match word:
        case "...":
            return replace(segment, any_options=True)
        case "nop" | "eol" | "":
            return segment
        case "mss" if numbers:
            return replace(segment, mss=numbers[0])
        case "wscale" if numbers:
            return replace(segment, window_scale=numbers[0])
        case "sackOK" | "sackok":
            return replace(segment, sack_permitted=True)
        case "TS" if len(numbers) == 2:
            return replace(segment, ts=(numbers[0], numbers[1]))
        case "sack" if numbers and not len(numbers) % 2:
            return replace(segment, sack=tuple(zip(numbers[::2], numbers[1::2], strict=True)))
        case _:
            raise UnsupportedError(f"TCP option {option}", line)
