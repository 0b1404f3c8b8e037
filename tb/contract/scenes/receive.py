"""Scenes of section 9.6: the push timer in its corners, tagged frames."""

from __future__ import annotations

from model.ndis.bookkeeping import Outstanding
from model.ndis.enums import NblInfo, TcpEventType, UploadReason
from model.ndis.framing import encode
from model.ndis.offload_state import NeighborConst
from model.ndis.status import NdisStatus
from model.wire.frame import TcpFlag
from tb.contract.scenes.frames import tagged
from tb.contract.scenes.stage import DELAY, POSTED, Part, SceneStage
from tb.tests.stage import Scene, pattern

PART = Part("receive")
PUSH_TICKS = 500
#: Ticks behind which a monitor has looked whether the host was asked.
ASKED = 300
UPLOAD = NdisStatus.UPLOAD_IN_PROGRESS
VLAN, OTHER_VLAN = 77, 78
#: The far end of a neighbor in a VLAN of its own.
VLAN_MAC, VLAN_IP = bytes.fromhex("0200000000fb"), bytes([10, 0, 0, 89])


@PART.scene("CH-128", "CH-130", "CH-132")
def data_comes_while_the_push_timer_runs(stage: SceneStage) -> Scene:
    """Two pieces without PSH, the second long after the first; the request comes back half full."""
    story = stage.tell("push timer restarts")
    yield from story.open()
    yield from story.post(("R1", 100, False))
    story.far.say(pattern(10))
    yield from stage.quiet(PUSH_TICKS // 2)
    story.far.say(pattern(10, 3))
    yield story.came_back("R1")
    yield from story.leave()


@PART.scene("CH-127")
def pushed_data_that_was_refused_ends_the_request_that_takes_it(stage: SceneStage) -> Scene:
    """The peer pushed while no request was posted; a larger one comes back at once, as the timer does not run."""
    story = stage.tell("refused and pushed")
    yield from story.open()
    story.accept = 0
    story.far.say(pattern(30), TcpFlag.PSH)
    yield from stage.quiet()
    yield from story.post(("R1", 100, False))
    yield story.came_back("R1")
    assert story.sink == pattern(30)
    yield from story.leave()


@PART.scene("CH-127", "CH-154")
def the_pushed_rest_of_what_was_taken_in_part_ends_its_request(stage: SceneStage) -> Scene:
    """The client takes 10 of 30 pushed bytes; 20 more come behind them without PSH, and may be in the request."""
    story = stage.tell("taken in part and pushed")
    yield from story.open()
    story.accept = 10
    story.far.say(pattern(30), TcpFlag.PSH)
    yield from stage.quiet()
    story.far.say(pattern(20, 30))
    yield from stage.quiet()
    yield from story.post(("R1", 100, False))
    yield story.came_back("R1")
    assert story.returned("R1").transferred in (20, 40)
    yield from story.leave()


@PART.scene("CH-127", "CH-129")
def pushed_data_beyond_a_gap_ends_the_request_that_it_is_joined_to(stage: SceneStage) -> Scene:
    """The second segment, pushed, comes first; a nonpush request behind takes as much again and waits for its end."""
    story = stage.tell("joined and pushed")
    yield from story.open()
    far = story.far
    yield from story.post(("R1", 100, False), ("R2", 60, True))
    stage.arrive(encode(far.segment(pattern(30, 40), TcpFlag.ACK | TcpFlag.PSH, seq=far.snd + 40)))
    yield from stage.quiet()
    stage.arrive(encode(far.segment(pattern(40), TcpFlag.ACK)))
    far.snd += 70
    yield story.came_back("R1")
    assert story.returned("R1").transferred == 70
    far.say(pattern(30), TcpFlag.PSH)
    yield from stage.quiet(PUSH_TICKS)
    far.say(pattern(30), TcpFlag.PSH)
    yield story.came_back("R2")
    yield from story.leave()


@PART.scene("CH-133", "CH-134")
def the_push_timer_expires_behind_its_request(stage: SceneStage) -> Scene:
    """A request is filled while its timer runs; an empty one is posted before the timer would have expired."""
    story = stage.tell("push timer without a request")
    yield from story.open()
    yield from story.post(("R1", 20, False))
    story.far.say(pattern(12))
    yield from stage.quiet(PUSH_TICKS // 2)
    story.far.say(pattern(8, 1))
    yield story.came_back("R1")
    yield from story.post(("R2", 50, False))
    yield from stage.quiet(2 * PUSH_TICKS)
    yield from story.leave()


@PART.scene("CH-127")
def pushed_bytes_wait_for_their_request(stage: SceneStage) -> Scene:
    """Push-mode requests take the rest of an indication that the peer had pushed, and what lay behind a hole."""
    story = stage.tell("pushed before")
    yield from story.open()
    story.accept = 40
    story.far.say(pattern(100), TcpFlag.PSH)
    yield lambda: len(story.sink) == 40
    began = stage.host.now
    yield from story.post(("R1", 500, False))
    yield story.came_back("R1")
    yield from story.post(("R2", 500, False))
    story.far.snd += 30
    story.far.say(pattern(70, 130), TcpFlag.PSH)
    yield from stage.quiet()
    story.far.snd -= 100
    story.far.say(pattern(30, 100))
    story.far.snd += 70
    yield story.came_back("R2")
    assert stage.host.now < began + PUSH_TICKS // 2
    assert [story.returned(name).transferred for name in ("R1", "R2")] == [60, 100]
    yield from story.leave()


@PART.scene("CH-131")
def requests_hold_bytes_when_they_are_posted(stage: SceneStage) -> Scene:
    """Push mode, pre-filled: one completes by the timer alone, the next is timed from when it is the first."""
    story = stage.tell("pre-filled")
    yield from story.open()
    for name in ("R1", "R3"):
        made = story.make(name, bytes(60))
        made.info[NblInfo.TCP_RECEIVE_BYTES_TRANSFERRED] = 40
        if name == "R3":
            yield from story.post(("R2", 30, True))
        stage.host.issue_receive(story.connection, [made])
        yield from stage.quiet()
    yield story.came_back("R1")
    story.far.say(pattern(30))
    yield story.came_back("R2", "R3")
    yield from story.leave()


@PART.scene("CH-212")
def a_request_is_larger_than_the_memory_of_the_driver(stage: SceneStage) -> Scene:
    """It lies scattered, so the driver would copy it: the host is asked to take the connection, and all comes back."""
    story = stage.tell("no memory")
    yield from story.open()
    yield from story.post(("R1", 100, True))
    half = stage.driver.bounce.size // 2 + 64
    large = story.make_of_mdls("R2", bytes(2 * half), (half, half))
    stage.host.issue_receive(story.connection, [large])
    yield story.told(TcpEventType.RETRIEVE, UploadReason.UPLOAD_REQUESTED)
    yield from story.send(story.make("S1", pattern(50)))
    yield from stage.quiet(ASKED)
    yield from story.leave()
    for name in ("R1", "R2", "S1"):
        assert (story.returned(name).status, story.returned(name).transferred) == (UPLOAD, 0)


@PART.scene("CH-126", "CH-127")
def one_connection_takes_all_memory_that_is_there_for_all(stage: SceneStage) -> Scene:
    """It posts sixteen scattered requests and its peer is silent; another one's fill in parts, in either mode."""
    greedy, other = stage.tell("takes all memory"), stage.tell("has its share")
    yield from greedy.open()
    yield from other.open()
    bounce = stage.driver.bounce
    each = bounce.size // 16
    half = each // 2
    large = [greedy.make_of_mdls(f"R{i}", bytes(each), (half, each - half)) for i in range(16)]
    stage.host.issue_receive(greedy.connection, large)
    yield from stage.quiet()
    assert bounce.allocate(64) is None
    small = other.make_of_mdls("R1", bytes(600), (200, 400))
    parts = other.make_of_mdls("R2", bytes(10_000), (5000, 5000))
    pushed = other.make_of_mdls("R3", bytes(10_000), (5000, 5000))
    parts.info[NblInfo.TCP_RECEIVE_NO_PUSH] = 1
    stage.host.issue_receive(other.connection, [small, parts, pushed])
    yield from stage.quiet()
    data = pattern(16_100)
    for start in range(0, len(data), 700):
        other.far.say(data[start : start + 700], TcpFlag.PSH if start + 700 >= len(data) else TcpFlag(0))
        yield from stage.quiet(2)
    yield other.came_back("R1", "R2", "R3")
    assert other.sink == data
    assert other.returned("R3").transferred == 5500
    yield from other.leave()
    yield from greedy.drop()


@PART.scene("CH-142", "CH-144")
def requests_meet_an_indication_on_their_way(stage: SceneStage) -> Scene:
    """The device has asked, the host has posted and does not know: the requests come first, the rest is indicated."""
    story = stage.tell("crossing")
    yield from story.open()
    sent = 0
    for first, size, left in (("R1", 60, 40), ("R2", 100, 0)):
        stage.driver.asleep = True
        story.far.say(pattern(size + left, sent), TcpFlag.PSH)
        yield from stage.quiet(POSTED + 2 * DELAY)
        yield from story.post((first, size, False))
        yield from stage.quiet(POSTED)
        stage.driver.asleep = False
        stage.driver.wake()
        yield story.came_back(first)
        sent += size + left
        yield lambda expected=sent: len(story.sink) == expected  # type: ignore[misc]  # of this round
        assert story.returned(first).transferred == size
    assert story.sink == pattern(100) + pattern(100, 100)
    yield from story.post(("R3", 30, False))
    story.far.say(pattern(30, 200), TcpFlag.PSH)
    yield story.came_back("R3")
    assert story.sink == pattern(100) + pattern(100, 100) + pattern(30, 200)
    yield from story.leave()


@PART.scene("CH-151", "CH-153", "G-28")
def an_empty_request_meets_an_indication_that_is_refused(stage: SceneStage) -> Scene:
    """It comes back behind the refusal, and the target asks again: nothing else will let it."""
    story = stage.tell("empty crossing")
    yield from story.open()
    stage.driver.asleep = True
    story.far.say(pattern(80), TcpFlag.PSH)
    yield from stage.quiet(POSTED + 2 * DELAY)

    def take_all(_: Outstanding) -> None:
        story.accept = None

    story.accept, story.on_receive = 0, take_all
    yield from story.post(("Z", 0, False))
    yield from stage.quiet(POSTED)
    stage.driver.asleep = False
    stage.driver.wake()
    yield story.came_back("Z")
    yield lambda: len(story.sink) == 80
    story.on_receive = lambda _: None
    yield from story.leave()


@PART.scene("CH-140", "CH-145")
def a_request_is_posted_inside_a_completion(stage: SceneStage) -> Scene:
    """A segment fills one request; the client posts the next one inside its completion, which is served, too."""
    story = stage.tell("posted inside")
    yield from story.open()
    second = story.make("R2", bytes(20))

    def post_again(_: Outstanding) -> None:
        story.on_receive = lambda _: None
        with stage.scenehost.on_another_processor():
            stage.host.issue_receive(story.connection, [second])

    story.on_receive = post_again
    yield from story.post(("R1", 20, False))
    story.far.say(pattern(20), TcpFlag.PSH)
    yield story.came_back("R1")
    yield from stage.quiet()
    story.far.say(pattern(20, 20), TcpFlag.PSH)
    yield story.came_back("R2")
    assert story.sink == pattern(20) + pattern(20, 20)
    yield from story.leave()


@PART.scene("CH-161")
def a_tagged_frame_reaches_a_connection_of_vlan_0(stage: SceneStage) -> Scene:
    """VlanId 0: the tag of a received frame says nothing."""
    story = stage.tell("any vlan")
    yield from story.open()
    yield from story.post(("R1", 40, False))
    stage.arrive(tagged(encode(story.far.segment(pattern(40), TcpFlag.ACK | TcpFlag.PSH)), VLAN))
    story.far.snd += 40
    yield story.came_back("R1")
    assert story.sink == pattern(40)
    yield from story.leave()


@PART.scene("CH-161", "CH-121")
def only_frames_of_its_vlan_reach_a_connection(stage: SceneStage) -> Scene:
    """VlanId 77: untagged frames and those of VLAN 78 are none of its, those of VLAN 77 are; it sends tagged."""
    story = stage.tell("one vlan", VLAN_MAC, VLAN_IP)
    stage.scenehost.neighbor(VLAN_MAC, NeighborConst(vlan_id=VLAN))
    yield from story.open()
    yield from story.post(("R1", 60, False))
    frame = encode(story.far.segment(pattern(60), TcpFlag.ACK | TcpFlag.PSH))
    for other in (frame, tagged(frame, OTHER_VLAN)):
        stage.arrive(other)
        yield from stage.quiet()
        assert not story.sink
    stage.arrive(tagged(frame, VLAN))
    story.far.snd += 60
    yield story.came_back("R1")
    assert story.sink == pattern(60)
    yield from story.send(story.make("S1", pattern(50)))
    yield story.arrived(50)
    yield from story.drop(with_objects=True)
