"""For all plain Python tests: a polite end is an interrupt, so that programs which tests started end with them."""

from __future__ import annotations

import gc
import signal

#: Objects made before the collector looks at the young ones, and so on: as in a simulation (tb/env/bench.py).
THRESHOLDS = (100_000, 20, 100)


def pytest_configure() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    gc.set_threshold(*THRESHOLDS)


def pytest_collection_finish() -> None:
    """What is loaded now stays: the collector need not look at it again."""
    gc.collect()
    gc.freeze()
