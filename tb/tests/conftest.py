"""For all plain Python tests: a polite end is an interrupt, so that programs which tests started end with them."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
