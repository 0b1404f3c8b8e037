"""A device that answers RECEIVE with an error and gives no reason: the application posts again, but not for ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model.device.decode import Decoded
from model.layout.generated import Opcode, Status
from model.ndis.file_transfer import MOST_REFUSALS, AppPhase
from tb.config import RunConfig
from tb.device.model_loop import ModelRun

#: The requests that are under way when the application gives up: at most a window more.
WINDOW = 8


class Refusing:
    """A golden device that answers the first RECEIVEs of one connection with an error, as command_decode would."""

    def __init__(self, tmp_path: Path, status: Status, most: int, *, conns: int = 2, **settings: int) -> None:
        config = RunConfig(device="model", size=30_000 * conns, conns=conns, out=tmp_path, **settings)  # type: ignore[arg-type]
        self.run = ModelRun(config)
        self.refused = 0
        self._status, self._most = status, most
        self._decode = self.run.device.core.decoder.decode
        self.run.device.core.decoder.decode = self._answers  # type: ignore[method-assign]

    def _answers(self, raw: bytes, sq_index: int) -> Decoded:
        decoded = self._decode(raw, sq_index)
        mine = decoded.sqe.opcode == Opcode.RECEIVE and decoded.sqe.conn == 0 and decoded.error is None
        if not mine or self.refused == self._most:
            return decoded
        self.refused += 1
        return replace(decoded, early=self._status)

    @property
    def phases(self) -> list[AppPhase]:
        """Of the connections."""
        return [app.phase for app in self.run.transfer.apps]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (Status.BAD_LENGTH, "REQUEST_ABORTED"),
        (Status.BAD_STATE, "REQUEST_ABORTED"),
        (Status.NO_RESOURCES, "REQUEST_ABORTED"),
        (Status.UPLOAD, "UPLOAD_IN_PROGRESS"),
    ],
)
def test_a_session_whose_receives_are_refused_ends_and_says_which_connection_with_what_and_where_to_look(
    status: Status, told: str, tmp_path: Path
) -> None:
    device = Refusing(tmp_path, status, 100_000)
    assert device.run.run() == []
    assert MOST_REFUSALS <= device.refused <= MOST_REFUSALS + WINDOW
    assert device.phases == [AppPhase.FAILED, AppPhase.DONE]
    transfer = device.run.transfer
    assert transfer.problems()[0] == (
        f"connection 0: {MOST_REFUSALS} receive requests in a row came back {told}, the connection (port "
        f"{transfer.apps[0].local_port}) neither aborted nor asked back: look why the device answers RECEIVE with an "
        "error (its RECEIVE completions, docs/layout.md)"
    )
    assert bytes(transfer.apps[1].sink) == transfer.apps[1].data


def test_refusals_that_end_in_time_are_forgotten(tmp_path: Path) -> None:
    device = Refusing(tmp_path, Status.NO_RESOURCES, MOST_REFUSALS - 1)
    assert device.run.run() == []
    assert device.refused == MOST_REFUSALS - 1
    assert device.phases == [AppPhase.DONE, AppPhase.DONE]
    transfer = device.run.transfer
    assert transfer.sums().agree
    assert not [line for line in transfer.problems() if line.startswith("connection")]


def test_an_application_that_is_cut_gives_a_refusing_device_up_too(tmp_path: Path) -> None:
    device = Refusing(tmp_path, Status.BAD_STATE, 100_000, conns=1, cuts=1)
    device.run.run()
    assert device.refused <= MOST_REFUSALS + WINDOW
    assert device.phases == [AppPhase.FAILED]
    assert device.run.transfer.problems()[0].startswith(f"connection 0: {MOST_REFUSALS} receive requests in a row")
