"""CUBIC as section Q of docs/contract/tcp_step.md has it, for the unit tests: whole numbers without a width.

The constants are worked out from RFC 9438, not taken from the layout.
"""

from __future__ import annotations

from dataclasses import dataclass

from model.layout.generated import Cubic

CWND_MAX = 1 << 30
PARTS = 1024
BETA = round(0.7 * PARTS)  # 4.6
FAST = round((1 + 0.7) / 2 * PARTS)  # 4.7
#: 3 * (1 - 0.7) / (1 + 0.7) = 9 / 17 (4.3)
ALPHA, WHOLE = 9, 17
C_LOG2 = 50
C = round(0.4 / 1000**3 * (1 << C_LOG2))  # segments/ms^3 (5.1)
MS_MAX = (1 << 17) - 1
K_BITS = 17


def ms(ticks: int, rate: int) -> int:
    """Q-3: milliseconds of a number of ticks."""
    return min(ticks * {10: 100, 100: 10}.get(rate, 1), MS_MAX)


def cube(x: int, mss: int) -> int:
    """Q-3: octets on the curve, x ms beside its middle."""
    return min(mss * x**3 * C >> C_LOG2, CWND_MAX)


@dataclass
class CubicOracle:
    """What CUBIC keeps of a connection, and what it does with its window."""

    epoch: int = 0
    start: int = 0
    last: int = 0
    dry: int = 0
    w_max: int = 0
    prior: int = 0
    gap: int = 0
    k: int = 0
    k_bits: int = 0
    w_est: int = 0
    est_acc: int = 0

    @classmethod
    def of(cls, cc: int) -> CubicOracle:
        """From field cc of a TCB."""
        kept = Cubic.unpack(cc)
        return cls(**{name: getattr(kept, name) for name in Cubic.FIELDS})

    def pack(self) -> int:
        """As field cc of a TCB."""
        return Cubic(**vars(self)).pack()

    def reduced(self, octets: int, cwnd: int) -> int:
        """Q-1: what a sign of congestion leaves of these octets; `cwnd` is the window in front of it."""
        self.w_max = cwnd * FAST // PARTS if cwnd < self.w_max else cwnd
        self.prior, self.epoch = cwnd, 0
        return octets * BETA // PARTS

    def timed_out(self) -> None:
        """Q-1: any time-out, behind `reduced` if it is the first."""
        self.w_max = self.epoch = 0

    def target(self, cwnd: int, mss: int, *, now: int, srtt: int, rate: int) -> int:
        """Q-5.2 once K is known: where the window is going to, a round trip from now."""
        d = min(ms((now - self.start) % (1 << 32), rate) + ms(srtt // 8, rate), MS_MAX) - self.k
        curve = self.w_max + cube(d, mss) if d >= 0 else max(self.w_max - cube(-d, mss), 0)
        return min(curve, cwnd + cwnd // 2)

    def avoid(
        self, cwnd: int, acc: int, acked: int, mss: int, *, flight: int, now: int, srtt: int, rate: int
    ) -> tuple[int, int]:
        """Q-4 to Q-7: cwnd and cwnd_acc behind an ACK of new data in congestion avoidance.

        `flight` is the octets that were out in front of it, the acknowledged ones included.
        """
        used = 2 * flight >= cwnd
        if self.epoch and (self.dry or not used):  # what passed since the last of these does not count
            self.start = (self.start + now - self.last) % (1 << 32)
        if self.epoch or used:
            self.last, self.dry = now, int(acked == flight)
        if not used:
            return cwnd, acc
        if not self.epoch:
            self.epoch, self.start, self.w_est, self.est_acc, self.k = 1, now, cwnd, 0, 0
            self.gap, self.k_bits = (self.w_max - cwnd, K_BITS) if self.w_max > cwnd else (0, 0)
            self.w_max = max(self.w_max, cwnd)
            return cwnd, 0
        self.est_acc += acked * (ALPHA if self.w_est < self.prior else WHOLE)
        if self.est_acc >= WHOLE * cwnd:
            self.est_acc = min(self.est_acc - WHOLE * cwnd, WHOLE * cwnd)
            self.w_est = min(self.w_est + mss, CWND_MAX)
        if self.k_bits:
            self.k_bits -= 1
            if cube(self.k + 2**self.k_bits, mss) <= self.gap:
                self.k += 2**self.k_bits
            target = 0
        else:
            target = self.target(cwnd, mss, now=now, srtt=srtt, rate=rate)
        if self.w_est > target:
            return min(max(cwnd, self.w_est), CWND_MAX), 0
        if target > cwnd:
            acc = min(acc + acked, (1 << 32) - 1)
            if acc * (target - cwnd) >= cwnd * mss:
                return min(cwnd + mss, CWND_MAX), 0
        return cwnd, acc
