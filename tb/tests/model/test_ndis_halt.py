"""The driver halts when the host has returned every indicated list; it suggests uploads for optional reasons only."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from model.ndis.enums import UploadReason
from model.ndis.miniport import DriverConfig
from model.ndis.netbuffer import NetBufferList
from model.ndis.rings import DriverError
from tb.tests.model.ndis_bench import Bench
from tb.tests.model.test_ndis_miniport import transfer


def _halt(bench: Bench, wait: Callable[[], None]) -> None:
    bench.driver.halt(bench.host.binding.adapter_context, wait)


def _moved(seed: int = 1) -> Bench:
    """A connection moved a file both ways and is gone, path and neighbor with it."""
    bench = Bench(seed, driver=DriverConfig(), joint_terminate=1.0)
    transfer(bench, 20_000)
    bench.run()
    assert not bench.driver._contexts
    return bench


@pytest.mark.rule("CH-158")
def test_a_halt_behind_all_returns_does_not_wait() -> None:
    waits: list[int] = []
    _halt(_moved(), lambda: waits.append(1))
    assert waits == []


@pytest.mark.rule("CH-158")
def test_a_halt_waits_until_the_last_list_is_back() -> None:
    bench = _moved()
    lent = bench.driver._lent
    lent.update({number: NetBufferList([]) for number in range(3)})

    def one_returns() -> None:
        del lent[max(lent)]

    _halt(bench, one_returns)
    assert not lent


@pytest.mark.rule("CH-158")
def test_a_host_that_never_returns_its_lists_is_named() -> None:
    bench = _moved()
    bench.driver._lent.update({number: NetBufferList([]) for number in range(2)})
    with pytest.raises(DriverError, match="does not return 2 indicated lists"):
        _halt(bench, lambda: None)


def test_a_halt_with_something_offloaded_is_refused() -> None:
    bench = Bench(driver=DriverConfig())
    transfer(bench, 20_000)
    bench.run(until=lambda: bool(bench.driver._contexts))
    with pytest.raises(DriverError, match="are offloaded"):
        _halt(bench, lambda: None)


@pytest.mark.parametrize("reason", [reason for reason in UploadReason if reason.mandatory])
def test_a_mandatory_reason_is_nothing_that_the_driver_suggests(reason: UploadReason) -> None:
    with pytest.raises(DriverError, match="no optional reason"):
        Bench(driver=DriverConfig()).driver.suggest_upload(0x1001, reason)


def test_an_upload_of_what_is_not_offloaded_cannot_be_suggested() -> None:
    with pytest.raises(DriverError, match="names no offloaded connection"):
        Bench(driver=DriverConfig()).driver.suggest_upload(0x1001, UploadReason.SMALL_IO)
