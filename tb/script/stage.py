"""The stage of traces, and the session beside it, on the golden device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from model.ndis.bookkeeping import ContractError
from model.ndis.miniport import DriverConfig
from tb.config import RunConfig
from tb.contract.scenes.frames import ETHERTYPE_IPV6
from tb.contract.scenes.stage import CONNS, DELAY, SIZE, Case, Play, SceneDriver, SceneStage, SceneTransfer
from tb.script.application import Application
from tb.script.player import Player
from tb.session.transfer import SessionError
from tb.tests.stage import Scene
from tb.tests.stage.golden import StageRun


class ScriptStage(SceneStage):
    """Plays traces one after the other."""

    def __init__(self, players: Sequence[Player], keep: Callable[[list[Player]], None] = lambda _: None) -> None:
        self.players = list(players)
        super().__init__([Case("script", "script", frozenset(), self._keeping(player)) for player in players])
        self._keep = keep

    def _keeping(self, player: Player) -> Play:
        """Play a trace, then have the results so far kept."""

        def played(stage: SceneStage) -> Scene:
            yield from player.play(stage)
            self._keep(self.players)

        return played

    def sent(self, frame: bytes, tick: int) -> None:
        """A frame reaches a far end."""
        at = 54 if frame[12:14] == ETHERTYPE_IPV6 else 34
        story = self.by_port(int.from_bytes(frame[at : at + 2], "big"))
        if isinstance(story, Application):
            story.heard(frame, tick)


class ScriptRun(StageRun):
    """A session on the golden device with the stage beside it."""

    transfer: SceneTransfer
    transfer_type = SceneTransfer
    driver_type = SceneDriver


def play(players: Sequence[Player], out: Path, seed: int = 1, capture: Path | None = None) -> list[str]:
    """Traces on one golden device, one after the other; what device, monitors and judges of ``capture`` say."""
    config = RunConfig(device="model", size=SIZE, delay=DELAY, seed=seed, out=out)
    stage = ScriptStage(players)
    driver = DriverConfig(conns=CONNS, cq_log2=12)
    run = ScriptRun(config, stage, CONNS, driver_config=driver, capture=capture)
    try:
        problems = run.run()
    except (SessionError, ContractError) as error:
        problems = [f"{type(error).__name__}: {error}"]
    finally:
        run.transfer.network.close()
    if not stage.over:
        problems.append(f"the player waits at {stage.where()}")
    return problems + run.transfer.problems()
