from __future__ import annotations

import asyncio
import time

from virtual_time import in_virtual_time

from tui_feeder.engine.core.clock import ExchangeClock


def test_the_clock_follows_the_middle_of_its_measurements() -> None:
    assert not ExchangeClock().measured
    clock = ExchangeClock()
    now = time.monotonic()
    months_away = 1_600_000_000_000
    clock.measure(
        [
            (now - 0.2, months_away, now),
            (now - 0.2, months_away + 5, now),
            (now - 0.2, months_away + 90_000, now),
        ]
    )
    assert clock.measured
    # The answer was made half way between question and answer, 0.1 s ago.
    assert months_away + 105 <= clock.now() < months_away + 105 + 30_000
    assert clock.offset_ms < -1e10


def test_a_fast_exchange_passes_a_minute_in_a_second() -> None:
    clock = ExchangeClock(rate=60.0)
    assert clock.real_seconds(60_000) == 1.0
    assert clock.at_least(1_000, 0.5) == 30_000
    assert clock.at_least(60_000, 0.5) == 60_000
    now = time.monotonic()
    clock.measure([(now - 2.0, 1_600_000_000_000, now)])
    assert clock.now() >= 1_600_000_060_000


@in_virtual_time
async def test_sleeping_ends_when_exchange_time_is_there() -> None:
    clock = ExchangeClock(rate=1_000.0)
    wanted = clock.now() + 100_000  # a tenth of a second here
    await clock.sleep_until(wanted)
    assert wanted <= clock.now() < wanted + 2_000
    await clock.sleep_until(wanted - 60_000)
    assert clock.now() < wanted + 2_000


@in_virtual_time
async def test_sleeping_follows_a_clock_that_is_measured_meanwhile() -> None:
    clock = ExchangeClock(rate=100.0)
    wanted = clock.now() + 60_000
    sleeping = asyncio.create_task(clock.sleep_until(wanted))
    await asyncio.sleep(0.05)
    now = time.monotonic()
    clock.measure([(now, wanted - 600_000, now)])
    await asyncio.sleep(1.0)  # it would have ended after 0.6 s
    assert not sleeping.done()
    clock.measure([(now, wanted, now)])
    await sleeping
    assert wanted <= clock.now() < wanted + 600_000
