"""Scenes in which a connection is closed, or broken: gracefully, by the host, by the peer."""

from __future__ import annotations

from model.ndis.enums import TcpEventType
from model.wire.frame import TcpFlag
from tb.tests.stage import Scene, Stage, pattern


def graceful(stage: Stage) -> Scene:
    """A send, a disconnect without data, the peer goes on, closes, and the connection is uploaded with its path."""
    story = stage.story("graceful")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(300), (100, 200)))
    yield story.arrived(300)
    yield from stage.quiet()
    story.mark("S1 out")
    story.far.ack(300)
    yield story.came_back("S1")
    yield from story.disconnect(story.make("D", b""))
    yield story.arrived(300, fin=True)
    yield from stage.quiet()
    story.mark("FIN out")
    story.far.ack(301)
    yield story.came_back("D")
    story.facts["numbers after the disconnect"] = stage.loaded(), story.connection.handle.miniport_offload_context
    story.facts["state after the disconnect"] = (yield from story.query()).state
    story.far.say(pattern(50, 3), TcpFlag.PSH)
    yield lambda: len(story.sink) == 50
    yield from stage.quiet(150)
    story.mark("data behind the FIN taken")
    story.far.say(flags=TcpFlag.FIN)
    yield story.told(TcpEventType.DISCONNECT)
    yield from story.terminate(with_objects=True)
    yield from story.finish()


def with_data(stage: Stage) -> Scene:
    """A disconnect with data right behind two sends; everything is acknowledged piece by piece."""
    story = stage.story("with data")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(300)))
    yield from story.send(story.make("S2", pattern(200, 1)))
    yield from story.disconnect(story.make("D", pattern(100, 2)))
    yield story.arrived(600, fin=True)
    yield from stage.quiet()
    story.mark("nothing acknowledged")
    story.far.ack(540)
    yield story.came_back("S2")
    yield from stage.quiet()
    story.mark("a part of the data acknowledged")
    story.far.ack(600)
    yield from stage.quiet()
    story.mark("all data acknowledged, not the FIN")
    story.far.ack(601)
    yield story.came_back("D")
    yield from story.terminate()
    yield from story.finish()


def part_acknowledged(stage: Stage) -> Scene:
    """Vector A.7: S of 300, D of 100, 340 acknowledged, then the upload."""
    story = stage.story("part acknowledged")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(300)))
    yield from story.disconnect(story.make("D", pattern(100, 2)))
    yield story.arrived(400, fin=True)
    story.far.ack(340)
    yield story.came_back("S1")
    yield from story.terminate()
    yield from story.finish()


def nothing_acknowledged(stage: Stage) -> Scene:
    """Everything was transmitted, nothing acknowledged, then the upload."""
    story = stage.story("nothing acknowledged")
    yield from story.open()
    yield from story.send(story.make("S1", pattern(1000)))
    yield from story.disconnect(story.make("D", pattern(100, 2)))
    yield story.arrived(1100, fin=True)
    yield from story.terminate()
    yield from story.finish()


def acknowledged_first(stage: Stage) -> Scene:
    """The disconnect was successful before the upload: it stays so."""
    story = stage.story("acknowledged first")
    yield from story.open()
    yield from story.disconnect(story.make("D", pattern(70, 2)))
    yield story.arrived(70, fin=True)
    story.far.ack(71)
    yield story.came_back("D")
    yield from story.terminate()
    yield from story.finish()


def data_acknowledged_first(stage: Stage) -> Scene:
    """All data was acknowledged before the upload, the FIN was not."""
    story = stage.story("data acknowledged first")
    yield from story.open()
    yield from story.disconnect(story.make("D", pattern(70, 2)))
    yield story.arrived(70, fin=True)
    story.far.ack(70)
    yield from stage.quiet()
    yield from story.terminate()
    yield from story.finish()


def two_at_once(stage: Stage) -> Scene:
    """Two connections whose FINs are acknowledged in the same instant."""
    pair = [stage.story("first of two"), stage.story("second of two")]
    for story in pair:
        yield from story.open()
        yield from story.disconnect(story.make("D", pattern(10)))
    for story in pair:
        yield story.arrived(10, fin=True)
    for story in pair:
        story.far.ack(11)
    for story in pair:
        yield story.came_back("D")
        yield from story.terminate()
        yield from story.finish()


def reset(stage: Stage) -> Scene:
    """Vector A.6 with a disconnect behind: 700 of 2000 bytes acknowledged, then the peer resets; then the upload."""
    story = stage.story("reset")
    yield from story.open()
    yield from story.post(("R1", 400, True))
    yield from story.send(story.make("S1", pattern(1000), (500, 500)), story.make("S2", pattern(1000, 1), (500, 500)))
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield story.arrived(2080, fin=True)
    story.far.ack(700)
    story.far.say(flags=TcpFlag.RST)
    yield story.told(TcpEventType.ABORT)
    story.facts["numbers after the reset"] = stage.loaded(), story.connection.handle.miniport_offload_context
    story.facts["state after the reset"] = (yield from story.query()).state
    yield from stage.quiet()
    story.mark("aborted")
    yield from story.terminate(chained=True)
    story.end()


def reset_part_of_disconnect(stage: Stage) -> Scene:
    """30 of the 80 bytes of the disconnect are acknowledged, then the peer resets."""
    story = stage.story("reset in the disconnect")
    yield from story.open()
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield story.arrived(80, fin=True)
    story.far.ack(30)
    story.far.say(flags=TcpFlag.RST)
    yield story.told(TcpEventType.ABORT)
    yield from story.terminate()
    story.end()


def disconnect_after_reset(stage: Stage) -> Scene:
    """A disconnect for a connection that the peer has reset comes back before any upload."""
    story = stage.story("disconnect after reset")
    yield from story.open()
    story.far.say(flags=TcpFlag.RST)
    yield story.told(TcpEventType.ABORT)
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield story.came_back("D")
    story.mark("disconnect back")
    yield from story.terminate()
    story.end()


def given_up(stage: Stage) -> Scene:
    """The disconnect meets an RST; nobody asks for the upload but the application that hears of it."""
    story = stage.story("given up")
    story.gives_up = True
    yield from story.open()
    yield from story.disconnect(story.make("D", pattern(80, 3)))
    yield story.arrived(80, fin=True)
    story.far.say(flags=TcpFlag.RST)
    yield lambda: story.upload is not None
    story.end()


#: Ticks in which the retransmission timer of data that is not acknowledged runs out.
LONG = 400


def abort(stage: Stage) -> Scene:
    """The host aborts: 700 of 2500 bytes are acknowledged, a request holds 100 bytes. The peer goes on unheard."""
    story = stage.story("abort")
    yield from story.open()
    yield from story.post(("R1", 400, True))
    lists = [
        story.make("S1", pattern(1000), (500, 500)),
        story.make("S2", pattern(1000, 1)),
        story.make("S3", pattern(500, 2)),
    ]
    yield from story.send(*lists)
    yield story.arrived(2500)
    story.far.ack(700)
    story.far.say(pattern(100), TcpFlag.PSH)
    yield lambda: any(s.ack == story.far.snd for s in story.wire)
    yield from stage.quiet()
    yield from story.abort()
    yield story.came_back("A")
    story.mark("aborted")
    story.far.say(pattern(60, 100), TcpFlag.PSH)
    story.far.ack(2500)
    yield from stage.quiet(LONG)
    story.mark("long after")
    yield from story.terminate(chained=True)
    story.end()


def abort_many(stage: Stage) -> Scene:
    """Twenty sends, more than the device holds, of which the peer's window lets out five; then the host aborts."""
    story = stage.story("abort many")
    yield from story.open(window=100)
    yield from story.send(*(story.make(f"S{i}", pattern(20, i)) for i in range(1, 21)))
    yield story.arrived(100)
    story.far.ack(30)
    yield from stage.quiet()
    yield from story.abort()
    yield story.came_back("A")
    story.mark("aborted")
    yield from story.terminate()
    story.end()


def abort_behind_graceful(stage: Stage) -> Scene:
    """Data and FIN are on their way, 200 of 500 or 530 of 600 bytes acknowledged, when the host aborts."""
    for name, acknowledged in (("abort behind graceful", 200), ("abort in the disconnect", 530)):
        story = stage.story(name)
        yield from story.open()
        yield from story.send(story.make("S1", pattern(500)))
        yield from story.disconnect(story.make("D", pattern(100, 1)))
        yield story.arrived(600, fin=True)
        story.far.ack(acknowledged)
        yield from stage.quiet()
        yield from story.abort()
        yield story.came_back("A")
        story.mark("aborted")
        yield from story.terminate()
        story.end()
