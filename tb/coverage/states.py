"""The state of a connection as the bins name it: its phase, or, while it runs, its TCP state."""

from __future__ import annotations

from typing import Final

from model.layout.generated import Dcb, Phase, Tcb, TcpState

STATES: Final = (
    *(phase.name for phase in Phase if phase is not Phase.RUNNING),
    *(state.name for state in TcpState),
)
"""Of tcp_engine (enum phase, enum tcp_state): the second half is a connection in phase RUNNING."""

DELIVERY_STATES: Final = ("UNLOADED", "ABORTED", "FROZEN", "INDICATED", "REFUSED", "HELD", "OPEN")
"""Of delivery_engine (flags of struct dcb), the first that applies: ``loaded`` is 0; ``aborted``; ``frozen``; ``d``;
``refused``; ``hold``; none."""

_DCB_FLAGS: Final = (
    ("aborted", "ABORTED"),
    ("frozen", "FROZEN"),
    ("d", "INDICATED"),
    ("refused", "REFUSED"),
    ("hold", "HELD"),
)


def state_of(tcb: int) -> str:
    """The name of a packed TCB's state; its low bits are enough."""
    phase = Phase(_bits(tcb, Tcb.FIELDS["phase"]))
    return TcpState(_bits(tcb, Tcb.FIELDS["state"])).name if phase is Phase.RUNNING else phase.name


def delivery_state_of(dcb: int) -> str:
    """The name of a packed DCB's state."""
    if not _bits(dcb, Dcb.FIELDS["loaded"]):
        return "UNLOADED"
    return next((name for field, name in _DCB_FLAGS if _bits(dcb, Dcb.FIELDS[field])), "OPEN")


def _bits(value: int, place: tuple[int, int]) -> int:
    return value >> place[0] & (1 << place[1]) - 1
