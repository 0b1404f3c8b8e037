"""The follower at the end of a test, and at a reset in mid-traffic: queues, registers, all of memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from model.device.divergence import Divergence, Halt
from model.device.follow_tcp import FollowTcp
from model.device.follow_writes import WriteError
from model.layout.generated import CQE_BYTES, CREDIT_BATCH, Csr

NOT_COMPARED: Mapping[Csr, str] = {
    Csr.STATUS: "idle comes and goes with the credits that are returned after 256 or 2048 cycles",
    Csr.IRQ_CAUSE: "an entry written between the driver's last look and its acknowledgement leaves the bit set",
}
"""Registers that may lawfully differ at the end, and why."""
_PAGE = 4096


class FollowEnd(FollowTcp):
    """What is compared once."""

    @staticmethod
    def compared_registers() -> tuple[Csr, ...]:
        """The registers whose value at the end is known."""
        return tuple(register for register in Csr if register not in NOT_COMPARED)

    def _register_value(self, register: Csr) -> int:
        """What a register must show now."""
        regs = self.core.regs
        if register == Csr.SQ_HEAD:
            return self._fetched % regs.entries(Csr.SQ_SIZE_LOG2)
        if register == Csr.CQ_TAIL:
            return self._cq_written % regs.entries(Csr.CQ_SIZE_LOG2)
        if register == Csr.TICK:
            return self._now or 0
        if register == Csr.CNT_FAULTS:  # faults of a connection that wait at once are one, so it is the commits
            return self._faults_taken
        if register == Csr.CNT_RX_RAW_NO_BUF:  # a raw frame whose write never came was dropped
            return regs[register] + len(self._raw_wait)
        return regs[register]

    def _compare_registers(self, values: Mapping[Csr, int]) -> None:
        for register in self.compared_registers():
            expected, got = self._register_value(register), values.get(register)
            if got != expected:
                shown = "not read" if got is None else f"{got} ({got:#x})"
                rule = "docs/layout.md: registers; docs/contract/hostport.md"
                raise Halt(
                    self._finding(
                        3, "registers", register.name, f"{expected} ({expected:#x})", shown, rule, event="end of test"
                    )
                )

    def _nothing_left(self) -> None:
        for kind, key in self.live.left():
            if kind not in ("credit", "credit_short") or self.core.credit_pending >= CREDIT_BATCH:
                raise Halt(self._left(kind, f"{kind} {key}"))
        left: dict[str, int] = {
            "frames to be sent": len(self._frames),
            "raw frames to be sent": len(self._raw_frames),
            "records of frames sent": len(self._tx_records) + len(self._raw_records),
            "frames that entered": len(self._entered),
            "segments": len(self._segments),
            "commands": self._commands.waiting,
            "messages": len(self.core.dlvq),
            "writes": len(self._placed.open) + len(self._raw_placed.open) + len(self._state.open),
            "writes of raw frames that more than one fits": len(self._raw_begun),
            "entries of the ring written without record": len(self._ring_written) + self._ring.unfinished,
            "entries of the ring recorded but not written": len(self._ring_recorded),
            "completions": sum(len(queue) for queue in self._expected.values()),
            "faults": len([key for key in self.core.faults if key not in self._faults_seen]),
        }
        # raw frames that wait for a buffer are no work left: the device dropped them, its counter says so
        for what, count in left.items():
            if count:
                raise Halt(self._left(what, f"{count} {what}"))

    def _left(self, kind: str, got: str) -> Divergence:
        rule = "architecture 3, check 6: every expected queue is empty at the end"
        return self._finding(6, "end", kind, "nothing left", got, rule, event="end of test")

    def _under_way(self) -> Iterator[tuple[int, int]]:
        """(address, bytes) of what the device may have written in part when a reset cut it off."""
        for lane in (self._placed, self._raw_placed, self._state):
            for a in lane.open:
                yield a.addr + a.done, len(a.data) - a.done
        regs = self.core.regs
        raw = regs.wide(Csr.RAW_BASE_LO)
        longest = max((len(frame.data) for frame in self._raw_wait), default=0)  # any of them may be the one
        for _, buf in zip(self._raw_wait, self.core.raw_free, strict=False):
            yield raw + buf * 2048, longest
        ring, size = regs.wide(Csr.CQ_BASE_LO), regs.entries(Csr.CQ_SIZE_LOG2)
        waiting = sum(len(queue) for queue in self._expected.values()) + len(self._commands.answers)
        free = max(size - (self._cq_written - self._cq_read), 0)
        slots = {(self._cq_written + n) % size for n in range(min(waiting, free))}
        for index in slots | set(self._ring_recorded):
            yield ring + index * CQE_BYTES, CQE_BYTES

    def _compare_at_reset(self, memory: bytes | bytearray) -> None:
        """Take over the bytes of writes under way, compare all others."""
        golden, base = self.memory.contents, self.memory.base
        for addr, n in self._under_way():
            first, last = max(addr - base, 0), max(addr + n - base, 0)
            golden[first:last] = memory[first:last]
        self._compare_memory(memory, "at the reset")

    def _compare_memory(self, memory: bytes | bytearray, when: str = "at the end") -> None:
        golden = self.memory.contents
        if golden == memory:
            return
        if len(golden) != len(memory):
            raise WriteError("memory size", str(len(golden)), str(len(memory)))
        differing = [at for at in range(0, len(golden), _PAGE) if golden[at : at + _PAGE] != memory[at : at + _PAGE]]
        at = next(i for i in range(differing[0], differing[0] + _PAGE) if golden[i] != memory[i])
        raise WriteError(
            f"memory byte {self.memory.base + at:#x} {when} ({len(differing)} pages differ)",
            f"{golden[at]:#04x}",
            f"{memory[at]:#04x}",
        )
