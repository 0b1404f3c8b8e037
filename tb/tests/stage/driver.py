"""The session's driver, with its counters in sight, and as slow, or as deaf, as a scene wants it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from model.layout.generated import Cqe, Opcode, Sqe
from model.ndis.calls import ProtocolFace
from model.ndis.memory import PageAllocator
from model.ndis.miniport import DriverConfig, MiniportDriver
from model.ndis.offload_state import OffloadBlock
from model.ndis.rings import HostPort


@dataclass(frozen=True)
class ForwardSeen:
    """A FORWARD entry: the bus address it names, and the bytes there."""

    addr: int
    data: bytes


class StageDriver(MiniportDriver):
    """The session's driver.

    ``silent``: the device does not answer, for nothing passes to it or from it. ``asleep``: the host looks at no
    completion, but its commands pass.
    """

    def __init__(
        self, port: HostPort, protocol: ProtocolFace, allocator: PageAllocator, config: DriverConfig | None = None
    ) -> None:
        super().__init__(port, protocol, allocator, config)
        self.silent = False
        self.asleep = False
        #: All FORWARD entries.
        self.forwarded: list[ForwardSeen] = []
        self._holding = False
        self._held: list[tuple[object, OffloadBlock]] = []
        self._withheld = Counter[int]()
        #: Answers on their way that were kept back.
        self.late: list[Cqe] = []

    def submit(self, entry: Sqe) -> None:
        """Queue an entry, and note where forwarded segments lie."""
        if entry.opcode == Opcode.FORWARD:
            self.forwarded.append(ForwardSeen(entry.addr, self.memory.read(entry.addr, entry.length)))
        super().submit(entry)

    # ---- a driver that takes its time ----

    def hold_initiates(self) -> None:
        """Begin with no initiate before ``begin_initiates``."""
        self._holding = True

    @property
    def held(self) -> int:
        """Initiates that wait."""
        return len(self._held)

    def initiate_offload(self, adapter_context: object, block_list: OffloadBlock) -> None:
        """MiniportInitiateOffload."""
        if self._holding:
            self._held.append((adapter_context, block_list))
        else:
            super().initiate_offload(adapter_context, block_list)

    def begin_initiates(self) -> None:
        """Go on with what was held."""
        self._holding = False
        while self._held:
            self.initiate_offload(*self._held.pop(0))

    # ---- a device that does not answer, a host that does not look ----

    @property
    def _listens(self) -> bool:
        return not (self.silent or self.asleep)

    def _kick(self) -> None:
        if not self.silent:
            super()._kick()

    def on_interrupt(self) -> None:
        """The device raised its interrupt."""
        if self._listens:
            super().on_interrupt()

    def poll(self) -> bool:
        """Handle all completion entries there are."""
        return self._listens and super().poll()

    def wake(self) -> None:
        """The device answers again."""
        self.silent = False
        self._kick()
        self.on_interrupt()

    def withhold(self, opcode: Opcode, count: int = 1) -> None:
        """So many commands of a kind are carried out, and their answers do not come before ``answer``."""
        self._withheld[opcode] += count

    def _on_command(self, cqe: Cqe) -> None:
        if self._withheld[cqe.code]:
            self._withheld[cqe.code] -= 1
            self.late.append(cqe)
        else:
            super()._on_command(cqe)

    def answer(self) -> None:
        """What was withheld comes now."""
        late, self.late = self.late, []
        for cqe in late:
            super()._on_command(cqe)
        self.flush_up()
        self._kick()

    def nothing(self, count: int) -> None:
        """So many commands that do nothing but complete."""
        for _ in range(count):
            self.later(lambda: None)
        self._kick()

    # ---- counters ----

    @property
    def taken(self) -> int:
        """Place in the completion ring of the next entry that the driver looks at."""
        return self._cq.index

    def next_image(self) -> int:
        """Where the next terminate will have its image written, if nothing else is terminated meanwhile."""
        place = self._uploads.allocate(self._upload_bytes)
        assert place is not None
        self._uploads.free(place)
        return place

    @property
    def counts(self) -> tuple[int, ...]:
        """Everything that is handed out and taken back."""
        return (
            self.lists.used,
            self.bounce.used,
            self._uploads.used,
            len(self._commands),
            len(self._raw_frames),
            len(self._contexts),
            len(self._by_id),
            *(len(ids) for ids in self._free_ids.values()),
            *self._ring_places.left,
        )

    @property
    def loaded(self) -> int:
        """Connections that hold a number of the device."""
        return len(self._by_id)

    @property
    def posts_waiting(self) -> int:
        """Pool buffers that are not with the device yet."""
        return len(self._pool_posts)
