"""Packetdrill scripts over IPv6: the collection holds there; what is cut for one version of IP is skipped by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tb.config import RunConfig
from tb.script import packetdrill
from tb.script.events import Script, ScriptError, UnsupportedError
from tb.script.player import Player, Result
from tb.script.run import Item, left_out
from tb.script.run_packetdrill import COLLECTION, family_of, item, items, ready
from tb.script.stage import ScriptStage, play
from tb.script.text import text, unnumbered
from tb.script.twins import twin

FOLDERS = sorted(path for path in COLLECTION.iterdir() if path.is_dir())
#: Scripts of the collection that are about a number of IPv4.
OF_IPV4 = {"default_mss.pkt": "segment . 1:537(536) ack 1: an MSS of 536 over IPv4 is one of 1220 over IPv6"}
OPEN = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 32000 <mss 1460>
+0 > S. 0:0(0) ack 1 <...>
+.1 < . 1:1(0) ack 1 win 32000
+0 accept(3, ..., ...) = 4
"""
WRITE = "+0 write(4, ..., {0}) = {0}\n+0 > P. 1:{1}({0}) ack 1\n"


def of(found: Item) -> Script:
    """The script of an item that can be played."""
    assert found.script is not None, found.broken
    return found.script


@pytest.fixture
def ethertypes(monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """What the scripts' far ends hear and say is of these types."""
    seen: set[bytes] = set()
    sent, arrive = ScriptStage.sent, ScriptStage.arrive

    def hears(self: ScriptStage, frame: bytes, tick: int) -> None:
        seen.add(frame[12:14])
        sent(self, frame, tick)

    def says(self: ScriptStage, frame: bytes) -> None:
        seen.add(frame[12:14])
        arrive(self, frame)

    monkeypatch.setattr(ScriptStage, "sent", hears)
    monkeypatch.setattr(ScriptStage, "arrive", says)
    return seen


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_scripts_hold_over_ipv6_and_no_monitor_complains(folder: Path, tmp_path: Path, ethertypes: set[bytes]) -> None:
    found = {file.name: item(file, 6) for file in ready(folder)}
    unread = {name: one.broken.reason for name, one in found.items() if one.broken is not None}
    assert unread == {name: reason for name, reason in OF_IPV4.items() if name in found}
    players = {name: Player(of(one)) for name, one in found.items() if name not in unread}
    assert play(list(players.values()), tmp_path) == []
    assert {name: player.result for name, player in players.items()} == dict.fromkeys(players, Result("pass"))
    assert ethertypes == {b"\x86\xdd"}


def test_negative_twins_do_not_hold_over_ipv6(tmp_path: Path) -> None:
    players = {file: Player(twin(of(item(file, 6)), seed=6)[0]) for folder in FOLDERS for file in ready(folder)[:2]}
    play(list(players.values()), tmp_path)
    assert {file.name for file, one in players.items() if one.result is None or one.result.status != "fail"} == set()


def test_a_version_that_is_given_goes_before_the_one_that_a_script_asks_for(ethertypes: set[bytes]) -> None:
    script = OPEN + WRITE.format(100, 101)
    for asked, family in ((None, 4), ("ipv4", 4), ("ipv4-mapped-ipv6", 4), ("ipv6", 6)):
        text = script if asked is None else f"--ip_version={asked}\n{script}"
        assert packetdrill.script("x", text).family == family
        assert packetdrill.script("x", text, 6).family == 6
        assert packetdrill.script("x", text, 4).family == 4
    player = Player(packetdrill.script("x", f"--ip_version=ipv6\n{script}"))
    assert play([player], COLLECTION) == []
    assert (player.result, ethertypes) == (Result("pass"), {b"\x86\xdd"})


def test_family_is_that_of_the_run_where_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "a.pkt").write_text("--ip_version=ipv6\n" + OPEN)
    for given, family in (({}, 6), ({"FAMILY": "4"}, 4), ({"FAMILY": "6"}, 6)):
        config = RunConfig.from_environment("packetdrill", {"SCRIPTS": str(tmp_path), **given})
        assert [of(one).family for one in items(config)] == [family]
    assert family_of(RunConfig(family=6)) == 6, "of a job of tiers.toml"
    assert family_of(RunConfig()) is None


@pytest.mark.parametrize(
    ("body", "asked", "family", "what"),
    [
        (WRITE.format(1460, 1461), "ipv4", 6, r"segment P. 1:1461\(1460\) .* MSS of 1460 over IPv4 is one of 1440"),
        (WRITE.format(1441, 1442), "ipv4", 6, "MSS of 1460 over IPv4"),
        (WRITE.format(1440, 1441), "ipv6", 4, "MSS of 1440 over IPv6 is one of 1460 over IPv4"),
        ("+0 < P. 1:1461(1460) ack 1 win 9\n", "ipv4", 6, "one packet over IPv4 and too long for one over IPv6"),
        ("+0 < P. 1:1442(1441) ack 1 win 9\n", "ipv4", 6, "one packet over IPv4"),
    ],
)
def test_a_segment_that_is_cut_for_the_other_version_is_a_skip_that_names_it(
    body: str, asked: str, family: int, what: str
) -> None:
    text = f"--ip_version={asked}\n{OPEN}{body}"
    with pytest.raises(UnsupportedError, match=what) as found:
        packetdrill.script("x", text, family)
    assert found.value.line == 8 + body.count("\n")
    assert packetdrill.script("x", text).family != family


@pytest.mark.parametrize("body", [
    WRITE.format(1440, 1441), "+0 < P. 1:1441(1440) ack 1 win 9\n", "+0 < P. 1:3001(3000) ack 1 win 9\n",
])  # fmt: skip
def test_segments_that_both_versions_have_room_for_are_played(body: str) -> None:
    assert packetdrill.script("x", OPEN + body, 6).family == 6


def test_a_socket_of_ipv4_has_no_connection_over_ipv6() -> None:
    text = OPEN.replace("socket(...", "socket(AF_INET")
    with pytest.raises(UnsupportedError, match=r"socket\(AF_INET"):
        packetdrill.script("x", text, 6)
    assert packetdrill.script("x", text).family == 4


def test_a_trace_that_cannot_be_read_is_a_problem_and_a_skip_is_none_while_others_are_played() -> None:
    good = Item((("script", "good"),), packetdrill.script("x", OPEN))
    skip = Item((("script", "skip"),), None, UnsupportedError("cut for IPv4", 3))
    broken = Item((("script", "broken"),), None, ScriptError("no statement", 7))
    assert left_out([good, skip]) == []
    assert [line.partition(":")[0] for line in left_out([good, skip, broken])] == ["broken"]
    assert left_out([skip]) == ["no trace can be played"] == left_out([])


def test_text_of_a_script_names_its_version() -> None:
    script = packetdrill.script("x", OPEN + WRITE.format(100, 101), 6)
    assert unnumbered(packetdrill.script("x", text(script))) == unnumbered(script)
