"""tshark and scapy as judges of captures: what they find, and which record of the injector explains it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.wire.impair import Fault, FaultKind
from model.wire.pcapng import PcapngWriter
from tb.config import RunConfig
from tb.device.model_loop import ModelRun
from tb.peers.headers import ACK, PSH, SYN, Link, Options, Segment, encode_tcp
from tb.session import capture_judge
from tb.session.capture_judge import RECEIVED, SENT, CaptureVerdict, InjectorLog, Origin, judge_capture
from tb.session.summary import verdict

NIC, PEER = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
NIC_MAC, PEER_MAC = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")

pytestmark = pytest.mark.skipif(capture_judge.missing() is not None, reason=str(capture_judge.missing()))


def frame(direction: str, seq: int, ack: int, flags: int = ACK, payload: bytes = b"", port: int = 40000) -> bytes:
    out = direction == SENT
    link = Link(NIC_MAC, PEER_MAC) if out else Link(PEER_MAC, NIC_MAC)
    ends, ports = ((NIC, PEER), (port, 5001)) if out else ((PEER, NIC), (5001, port))
    options = Options(mss=1460) if flags & SYN else Options()
    return encode_tcp(Segment(link, *ends, *ports, seq, ack, flags, 8192, 0, options, payload))


class Story:
    """A capture in the making: an open connection, then whatever the test says.

    `port` is the NIC's of what is said next; `jam` is how many ticks frames for the NIC wait for its port.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "story.pcapng"
        self.frames: list[tuple[str, bytes, int, int, int]] = []
        self.faults: dict[str, list[Fault]] = {SENT: [], RECEIVED: []}
        self.tick, self.jam, self.port = 0, 0, 40000
        self.without_room: list[int] = []
        """Numbers of received frames."""
        self.hello()

    def hello(self) -> Story:
        return self.say(SENT, 99, 0, SYN).say(RECEIVED, 499, 100, SYN | ACK).say(SENT, 100, 500)

    def say(self, direction: str, seq: int, ack: int, flags: int = ACK, payload: bytes = b"") -> Story:
        return self.put(direction, frame(direction, seq, ack, flags, payload, self.port))

    def put(self, direction: str, data: bytes) -> Story:
        self.tick += 1
        self.frames.append(
            (direction, data, self.tick, self.tick + (self.jam if direction == RECEIVED else 0), self.port)
        )
        return self

    def fault(self, direction: str, number: int, kind: FaultKind) -> Story:
        self.faults[direction].append(Fault(number, self.tick, kind, ""))
        return self

    def judged(self) -> CaptureVerdict:
        """What the judge says; a frame for the NIC with the record that it was dropped needs not be said."""
        lost = {f.frame: f.tick for f in self.faults[RECEIVED] if f.kind is FaultKind.DROPPED}
        ticks: dict[str, list[int]] = {SENT: [], RECEIVED: []}
        ports: dict[str, list[int]] = {SENT: [], RECEIVED: []}
        seen: list[tuple[int, Origin, bytes]] = []

        def push(direction: str, tick: int, port: int) -> None:
            ticks[direction].append(tick)
            ports[direction].append(port << 16 | 5001 if direction == SENT else 5001 << 16 | port)

        for direction, data, pushed, captured, port in self.frames:
            while direction == RECEIVED and len(ticks[RECEIVED]) in lost:
                push(RECEIVED, lost[len(ticks[RECEIVED])], port)
            seen.append((captured, Origin(direction, len(ticks[direction]), captured), data))
            push(direction, pushed, port)
        for direction, faults in self.faults.items():
            for fault in faults:
                while len(ticks[direction]) <= fault.frame:
                    push(direction, fault.tick, self.port)
        logs = {way: InjectorLog(self.faults[way], ticks[way], ports[way]) for way in (SENT, RECEIVED)}
        seen.sort(key=lambda item: item[0])
        with PcapngWriter(self.path) as writer:
            for captured, _, data in seen:
                writer.write(data, captured * 1_000_000)
        origins = [origin for _, origin, _ in seen]
        refused = [o for o in origins if o.direction == RECEIVED and o.number in self.without_room]
        return judge_capture(self.path, origins, logs, without_room=refused)


def damaged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_a_quiet_exchange_has_no_findings_and_is_sampled(tmp_path: Path) -> None:
    story = Story(tmp_path).say(SENT, 100, 500, ACK | PSH, b"x" * 100).say(RECEIVED, 500, 200)
    found = story.judged()
    assert (found.findings, found.unexplained, found.sampled) == ({}, [], 5)


@pytest.mark.parametrize("number", [1, 2, None])
def test_a_wrong_checksum_is_explained_by_the_record_of_that_frame_alone(tmp_path: Path, number: int | None) -> None:
    story = Story(tmp_path).put(RECEIVED, damaged(frame(RECEIVED, 500, 100, ACK | PSH, b"y" * 80)))
    if number is not None:
        story.fault(RECEIVED, number, FaultKind.CORRUPTED)
    found = story.judged()
    assert found.findings["checksum"] == 1
    assert bool(found.unexplained) is (number != 1)


def test_a_wrong_checksum_of_the_nic_is_explained_by_nothing(tmp_path: Path) -> None:
    story = Story(tmp_path).put(SENT, damaged(frame(SENT, 100, 500, ACK | PSH, b"y" * 80)))
    story.fault(SENT, 2, FaultKind.CORRUPTED)
    assert [line for line in story.judged().unexplained if "wrong checksum (tcp)" in line]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_retransmission_needs_a_fault_that_asks_for_it(tmp_path: Path, recorded: bool) -> None:
    story = Story(tmp_path).say(SENT, 100, 500, ACK | PSH, b"x" * 100)
    if recorded:
        story.fault(SENT, 2, FaultKind.DROPPED)
    story.tick += 300
    found = story.say(SENT, 100, 500, ACK | PSH, b"x" * 100).judged()
    assert found.findings == {"retransmission": 1}
    assert bool(found.unexplained) is not recorded


@pytest.mark.parametrize("refused", [[], [0], [1]])
def test_a_frame_that_the_nic_had_no_room_for_explains_its_retransmission(tmp_path: Path, refused: list[int]) -> None:
    story = Story(tmp_path).say(RECEIVED, 500, 100, ACK | PSH, b"y" * 100)
    story.without_room = refused
    story.tick += 300
    found = story.say(RECEIVED, 500, 100, ACK | PSH, b"y" * 100).judged()
    assert found.findings == {"retransmission": 1}
    assert bool(found.unexplained) is (refused != [1])


@pytest.mark.parametrize(("dropped", "explained"), [(False, 1), (True, 3)])
def test_a_frame_without_room_did_not_carry_the_octets_that_a_capture_lacks(
    tmp_path: Path, dropped: bool, explained: int
) -> None:
    story = Story(tmp_path).say(RECEIVED, 500, 100, ACK | PSH, b"y" * 100)
    story.without_room = [1]
    story.tick += 300
    story.say(RECEIVED, 500, 100, ACK | PSH, b"y" * 100).say(SENT, 100, 600)
    story.tick += 300
    if dropped:
        story.fault(RECEIVED, 3, FaultKind.DROPPED)
    story.say(RECEIVED, 700, 100, ACK | PSH, b"y" * 100)
    story.tick += 300
    found = story.say(RECEIVED, 600, 100, ACK | PSH, b"y" * 100).judged()
    assert found.findings == {"retransmission": 2, "gap": 1}
    assert (found.explained, len(found.unexplained)) == (explained, 3 - explained)


def test_an_old_fault_does_not_explain_a_late_retransmission(tmp_path: Path) -> None:
    story = Story(tmp_path).say(SENT, 100, 500, ACK | PSH, b"x" * 100).fault(RECEIVED, 0, FaultKind.REORDERED)
    story.say(RECEIVED, 500, 200)
    story.tick += 1000
    story.say(SENT, 200, 500, ACK | PSH, b"x" * 100)
    story.tick += 300
    assert story.say(SENT, 200, 500, ACK | PSH, b"x" * 100).judged().unexplained


def test_a_fault_of_another_connection_does_not_explain_a_retransmission(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.port = 40001
    story.hello().say(SENT, 100, 500, ACK | PSH, b"x" * 100).fault(SENT, 4, FaultKind.DROPPED)
    story.port = 40000
    story.say(SENT, 100, 500, ACK | PSH, b"x" * 100)
    story.tick += 300
    assert story.say(SENT, 100, 500, ACK | PSH, b"x" * 100).judged().unexplained
    story.port = 40001
    found = story.say(SENT, 100, 500, ACK | PSH, b"x" * 100).judged()
    assert (found.findings, len(found.unexplained)) == ({"retransmission": 2}, 1)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_copy_that_waited_long_for_the_port_is_explained_by_its_record(tmp_path: Path, recorded: bool) -> None:
    story = Story(tmp_path)
    story.jam = 70
    story.say(RECEIVED, 500, 100, ACK | PSH, b"y" * 100)
    if recorded:
        story.fault(RECEIVED, 1, FaultKind.DUPLICATED)
    found = story.put(RECEIVED, story.frames[-1][1]).judged()
    assert found.findings == {"retransmission": 1}
    assert bool(found.unexplained) is not recorded


@pytest.mark.parametrize("late", [True, False])
def test_the_partner_is_asked_what_it_knew_when_it_sent_not_when_the_frame_came(tmp_path: Path, late: bool) -> None:
    """The acknowledgment that the partner did not have yet, or had, lets a loss in front of it count, or not."""
    story = Story(tmp_path)
    story.say(RECEIVED, 500, 100, ACK | PSH, b"y" * 100).fault(SENT, 1, FaultKind.DROPPED)
    story.say(RECEIVED, 600, 100, ACK | PSH, b"y" * 100)
    story.jam = 20
    if late:
        story.say(RECEIVED, 700, 100, ACK | PSH, b"y" * 100).say(SENT, 100, 700)
    else:
        story.tick += 20
        story.say(SENT, 100, 700).say(RECEIVED, 700, 100, ACK | PSH, b"y" * 100)
    story.tick += 300
    found = story.say(RECEIVED, 700, 100, ACK | PSH, b"y" * 100).judged()
    assert found.findings["retransmission"] == 1
    assert bool(found.unexplained) is not late


def test_a_loss_that_the_recovery_began_with_explains_what_it_sends_again_later(tmp_path: Path) -> None:
    """Four segments, the first lost: the first goes again, its acknowledgment covers two, so the third goes again."""
    story = Story(tmp_path)
    for number in range(4):
        story.say(SENT, 100 + 100 * number, 500, ACK, b"x" * 100)
        if number == 0:
            story.fault(SENT, 2, FaultKind.DROPPED)
    for _ in range(3):
        story.say(RECEIVED, 500, 100)
    story.say(SENT, 100, 500, ACK, b"x" * 100).say(RECEIVED, 500, 300).say(SENT, 300, 500, ACK, b"x" * 100)
    found = story.judged()
    assert sum(found.findings.values()) == 2
    assert found.unexplained == []


def test_a_loss_that_was_repaired_does_not_explain_what_was_sent_first_behind_it(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.say(SENT, 100, 500, ACK, b"x" * 100).fault(SENT, 2, FaultKind.DROPPED)
    story.tick += 300
    story.say(SENT, 100, 500, ACK, b"x" * 100).say(RECEIVED, 500, 200)
    story.tick += 20
    story.say(SENT, 200, 500, ACK, b"x" * 100).say(SENT, 300, 500, ACK, b"x" * 100)
    for _ in range(3):
        story.say(RECEIVED, 500, 200)
    found = story.say(SENT, 200, 500, ACK, b"x" * 100).judged()
    assert len(found.unexplained) == 1


def two_lost_for_the_nic(story: Story, kind: FaultKind | None) -> Story:
    """Of the partner's three segments the last two do not come; `kind` is the record, None: there is none."""
    story.say(RECEIVED, 500, 100, ACK, b"y" * 100).say(SENT, 100, 600)
    for number in (2, 3):
        if kind is FaultKind.CORRUPTED:
            story.put(RECEIVED, damaged(frame(RECEIVED, 400 + 100 * number, 100, ACK, b"y" * 100)))
        if kind is not None:
            story.fault(RECEIVED, number, kind)
    story.tick += 10
    return story


@pytest.mark.parametrize("kind", [FaultKind.DROPPED, FaultKind.CORRUPTED, None])
def test_octets_whose_first_sending_never_came_are_explained_by_its_record(
    tmp_path: Path, kind: FaultKind | None
) -> None:
    """A bare ACK shows that both were sent. A timeout sends the first again, its acknowledgment lets the second go."""
    story = two_lost_for_the_nic(Story(tmp_path), kind).say(RECEIVED, 800, 100)
    story.tick += 1500
    story.say(RECEIVED, 600, 100, ACK, b"y" * 100)
    story.tick += 100
    story.say(SENT, 100, 700).say(RECEIVED, 700, 100, ACK, b"y" * 100)
    story.tick += 1500
    found = story.say(RECEIVED, 700, 100, ACK, b"y" * 100).judged()
    assert (found.findings["gap"], found.findings["retransmission"]) == (1, 3)
    unexplained = ["never there", "retransmission of 600", "retransmission of 700", "retransmission of 700"]
    assert len(found.unexplained) == (len(unexplained) if kind is None else 0)
    assert all(text in line for text, line in zip(unexplained, found.unexplained, strict=False))


@pytest.mark.parametrize("kind", [FaultKind.DROPPED, None])
def test_a_loss_counts_from_its_record_though_it_is_shown_only_behind_the_timeout(
    tmp_path: Path, kind: FaultKind | None
) -> None:
    """The first of two lost segments comes by the timeout's sending, and only then a bare ACK shows the second."""
    story = two_lost_for_the_nic(Story(tmp_path), kind)
    story.tick += 1500
    story.say(RECEIVED, 600, 100, ACK, b"y" * 100).say(SENT, 100, 700).say(RECEIVED, 800, 100)
    story.tick += 1500
    found = story.say(RECEIVED, 700, 100, ACK, b"y" * 100).judged()
    assert found.findings == {"gap": 1, "retransmission": 1}
    assert len(found.unexplained) == (2 if kind is None else 0)


@pytest.mark.parametrize("before", [True, False])
def test_a_loss_in_front_of_a_bare_ack_is_not_the_loss_of_octets_sent_behind_it(tmp_path: Path, before: bool) -> None:
    story = Story(tmp_path).say(RECEIVED, 500, 100, ACK, b"y" * 100).say(SENT, 100, 600)
    story.fault(RECEIVED, 2 if before else 3, FaultKind.DROPPED).say(RECEIVED, 600, 100)
    story.tick += 1500
    story.say(RECEIVED, 800, 100)
    story.tick += 1500
    story.say(RECEIVED, 600, 100, ACK, b"y" * 100)
    story.tick += 100
    found = story.say(SENT, 100, 700).say(RECEIVED, 700, 100, ACK, b"y" * 100).judged()
    assert (found.findings["gap"], found.findings["retransmission"]) == (1, 2)
    assert [line.split(" without")[0][-3:] for line in found.unexplained] == (["600", "700"] if before else [])


def test_an_acknowledgment_of_octets_that_were_only_shown_is_explained_by_nothing(tmp_path: Path) -> None:
    story = two_lost_for_the_nic(Story(tmp_path), FaultKind.DROPPED).say(RECEIVED, 800, 100)
    assert [line for line in story.say(SENT, 100, 800).judged().unexplained if "never sent" in line]


@pytest.mark.parametrize("recorded", [True, False])
def test_a_gap_in_what_came_is_explained_by_a_record_of_a_frame_before_it(tmp_path: Path, recorded: bool) -> None:
    story = Story(tmp_path)
    if recorded:
        story.fault(RECEIVED, 1, FaultKind.DROPPED)
    found = story.say(RECEIVED, 600, 100, ACK | PSH, b"z" * 50).judged()
    assert found.findings == {"gap": 1}
    assert bool(found.unexplained) is not recorded


def test_a_gap_in_what_the_nic_sent_is_explained_by_nothing(tmp_path: Path) -> None:
    story = Story(tmp_path).fault(SENT, 1, FaultKind.DROPPED).say(SENT, 300, 500, ACK | PSH, b"z" * 50)
    assert [line for line in story.judged().unexplained if "never there" in line]


def test_an_acknowledgment_of_what_never_came_is_explained_by_nothing(tmp_path: Path) -> None:
    story = Story(tmp_path).say(RECEIVED, 500, 100, ACK | PSH, b"z" * 50).fault(RECEIVED, 2, FaultKind.DROPPED)
    assert [line for line in story.say(SENT, 100, 900).judged().unexplained if "never sent" in line]


def over_ipv6(payload: bytes = b"z" * 80) -> bytes:
    ends = (bytes.fromhex("20010db8000100020003000400050006"), bytes.fromhex("20010db8000100020003000400050007"))
    return encode_tcp(Segment(Link(NIC_MAC, PEER_MAC), *ends, 40000, 5001, 100, 500, ACK, 8192, 0, Options(), payload))


@pytest.mark.parametrize(("at", "mask"), [(None, 0), (22, 1), (37, 1), (45, 16), (53, 1), (70, 1), (80, 1)])
def test_wrong_sums_over_ipv6_are_seen_in_what_the_nic_sent(tmp_path: Path, at: int | None, mask: int) -> None:
    data = bytearray(over_ipv6())
    if at is not None:
        data[at] ^= mask
    found = Story(tmp_path).put(SENT, bytes(data)).judged()
    assert found.findings == ({} if at is None else {"checksum": 1})
    assert [line.partition(":")[0] for line in found.unexplained] == ([] if at is None else ["tshark", "scapy"])


def test_a_wrong_payload_length_is_seen_by_scapy() -> None:
    data = bytearray(over_ipv6() + bytes(4))
    assert len(list(capture_judge._rebuilt([(0, over_ipv6())]))) == 0
    data[19] += 2
    assert len(list(capture_judge._rebuilt([(0, bytes(data))]))) == 1


@pytest.mark.rule("RFC 6298 2.4")
def test_a_far_end_does_not_time_out_while_the_answer_is_still_on_a_long_way(tmp_path: Path) -> None:
    config = RunConfig(device="model", size=786_432, seed=1, delay=150, loss=0.002)
    run = ModelRun(config, capture=tmp_path / "wire.pcapng")
    assert run.run() == []
    run.transfer.network.close()
    assert verdict(run.transfer) == []


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("loss", [0.0, 0.03])
def test_the_capture_of_a_session_is_judged_and_held_against_it(tmp_path: Path, loss: float, family: int) -> None:
    config = RunConfig(device="model", size=40_000, seed=2, loss=loss, corrupt=loss, family=family)
    run = ModelRun(config, capture=tmp_path / "wire.pcapng")
    assert run.run() == []
    run.transfer.network.close()
    found = run.transfer.network.capture_verdict
    assert found is not None
    assert (found.unexplained, found.by_hand) == ([], 0)
    assert bool(found.findings) is (loss > 0)
    assert verdict(run.transfer) == []
    run.transfer.network.capture_verdict = replace(found, unexplained=["tshark: something"])
    assert verdict(run.transfer) == ["capture: tshark: something"]
