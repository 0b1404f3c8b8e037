"""The register file of the golden device (docs/layout.md, hostport.md)."""

from __future__ import annotations

from model.device.config import DeviceConfig
from model.layout.generated import ID_VALUE, VERSION_VALUE, Csr

ENABLE, SOFT_RESET, IRQ_ENABLE = 1, 2, 4
ERROR_SQ_READ, ERROR_CQ_WRITE, ERROR_SQ_TAIL, ERROR_CQ_HEAD = 1, 2, 4, 8
IRQ_COMPLETION, IRQ_DEVICE_ERROR = 1, 2
STATUS_IDLE, STATUS_ERROR, STATUS_LOOKUP_READY, STATUS_TX_EMPTY = 1, 2, 4, 8
_WORD = 0xFFFF_FFFF
_WRITABLE = frozenset(
    (
        Csr.CONTROL,
        Csr.TICK_PRESCALE,
        Csr.MAC_LO,
        Csr.MAC_HI,
        Csr.SQ_BASE_LO,
        Csr.SQ_BASE_HI,
        Csr.SQ_SIZE_LOG2,
        Csr.SQ_TAIL,
        Csr.CQ_BASE_LO,
        Csr.CQ_BASE_HI,
        Csr.CQ_SIZE_LOG2,
        Csr.CQ_HEAD,
        Csr.POOL_BASE_LO,
        Csr.POOL_BASE_HI,
        Csr.RAW_BASE_LO,
        Csr.RAW_BASE_HI,
    )
)


class Registers:
    """Values by offset; counters and indices are plain entries written by the device."""

    def __init__(self, config: DeviceConfig) -> None:
        self._values: dict[int, int] = {int(r): 0 for r in Csr}
        log2 = int.bit_length
        self._values[Csr.ID] = ID_VALUE
        self._values[Csr.VERSION] = VERSION_VALUE
        self._values[Csr.CAPS] = (
            log2(config.conns) - 1
            | log2(config.lanes) - 1 << 8
            | log2(config.sends) - 1 << 16
            | log2(config.recvs) - 1 << 24
        )
        self._values[Csr.CAPS2] = (
            log2(config.pool_bufs) - 1
            | log2(config.raw_bufs) - 1 << 8
            | log2(config.paths) - 1 << 16
            | log2(config.neighbors) - 1 << 24
        )

    def __getitem__(self, offset: int) -> int:
        return self._values.get(offset, 0)

    def __setitem__(self, offset: int, value: int) -> None:
        self._values[offset] = value & _WORD

    def count(self, counter: Csr, n: int = 1) -> None:
        """Step a statistics counter."""
        self[counter] = self._values[counter] + n

    def count_wide(self, low: Csr, n: int = 1) -> None:
        """Step a counter of 64 bits, from its low register."""
        value = self.wide(low) + n
        self[low], self[low + 4] = value, value >> 32

    def wide(self, low: Csr) -> int:
        """A 64-bit value from its low register and the one behind it."""
        return self._values[low] | self._values[low + 4] << 32

    @property
    def enabled(self) -> bool:
        """CONTROL[0]."""
        return bool(self._values[Csr.CONTROL] & ENABLE)

    @property
    def mac(self) -> int:
        """Interface MAC, byte 0 in bits 7:0."""
        return self._values[Csr.MAC_LO] | (self._values[Csr.MAC_HI] & 0xFFFF) << 32

    @property
    def irq(self) -> bool:
        """Level of the interrupt line."""
        return bool(self._values[Csr.CONTROL] & IRQ_ENABLE and self._values[Csr.IRQ_CAUSE])

    def entries(self, size: Csr) -> int:
        """Entries of a ring."""
        return 1 << self._values[size]

    def host_write(self, offset: int, value: int) -> bool:
        """A write of the driver (CONTROL[1] apart); False if it was refused."""
        value &= _WORD
        if offset == Csr.IRQ_CAUSE:
            self._values[offset] &= ~value
        elif offset == Csr.SQ_TAIL and value >= self.entries(Csr.SQ_SIZE_LOG2):
            self._values[Csr.ERROR] |= ERROR_SQ_TAIL
            return False
        elif offset == Csr.CQ_HEAD and value >= self.entries(Csr.CQ_SIZE_LOG2):
            self._values[Csr.ERROR] |= ERROR_CQ_HEAD
            return False
        elif offset in _WRITABLE:
            self._values[offset] = value & ~SOFT_RESET if offset == Csr.CONTROL else value
        return True

    def device_error(self, cause: int) -> None:
        """A ring cannot be read or written: rings stop until reset."""
        self._values[Csr.ERROR] |= cause
        self._values[Csr.IRQ_CAUSE] |= IRQ_DEVICE_ERROR

    @property
    def broken(self) -> bool:
        """A device error stopped the rings."""
        return bool(self._values[Csr.ERROR] & (ERROR_SQ_READ | ERROR_CQ_WRITE))
