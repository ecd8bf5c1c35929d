from __future__ import annotations

import numpy as np
from samples import MIDNIGHT, real_month

from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Rows
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.core.zero_volume import SharedZeros, doubtful, inside


def day(zero_minutes: list[int], minutes: int = 1440) -> Rows:
    rows = np.zeros(minutes, dtype=ROW)
    rows["open_time"] = MIDNIGHT + np.arange(minutes) * MINUTE_MS
    rows["volume"] = 5.0
    rows["volume"][[at for at in zero_minutes if at < minutes]] = 0.0
    return rows


def span(first: int, last: int) -> tuple[int, int]:
    return MIDNIGHT + first * MINUTE_MS, MIDNIGHT + last * MINUTE_MS


def test_three_in_a_row_are_doubted_and_two_are_not() -> None:
    rows = day([10, 11, 12, 500, 501, 900])
    assert doubtful(rows) == Coverage([span(10, 13)])
    assert inside(rows, doubtful(rows)).nonzero()[0].tolist() == [10, 11, 12]
    assert not doubtful(day([10, 11, 500, 501]))


def test_a_symbol_that_is_quiet_by_nature_is_believed() -> None:
    quiet = np.flatnonzero(np.random.default_rng(1).random(1440) < 0.4).tolist()
    assert not doubtful(day(quiet))


def test_an_hour_without_a_trade_is_doubted_even_in_a_quiet_symbol() -> None:
    quiet = np.flatnonzero(np.random.default_rng(1).random(1440) < 0.12).tolist()
    found = doubtful(day([*quiet, *range(1202, 1274)]))
    assert found.intersect(Coverage([span(1202, 1274)])).minutes == 72
    assert found.minutes < 85  # of what chance makes, next to nothing
    assert doubtful(day(quiet)).minutes < 10


def test_a_whole_day_without_a_trade_is_doubted() -> None:
    assert doubtful(day(list(range(1440)))) == Coverage([span(0, 1440)])


def test_the_known_outage_and_the_known_defect_of_the_real_month_are_doubted() -> None:
    found = doubtful(real_month("FILUSDT-1m-2024-10"))
    october_28 = 1_730_073_600_000
    at = [((a - october_28) // MINUTE_MS, (b - october_28) // MINUTE_MS) for a, b in found]
    assert (16 * 60 + 21, 16 * 60 + 35) in at
    assert (20 * 60, 21 * 60 + 14) in at


def test_a_minute_without_trades_in_most_symbols_is_found_whatever_each_is_like() -> None:
    shared = SharedZeros()
    shared.add(day([7, 100]))
    shared.add(day([7, 300]))
    shared.add(day([7, 100], minutes=50))
    shared.add(day([]))
    assert shared.minutes() == Coverage([span(7, 8)])
    # Two symbols say nothing about the exchange, although both are silent.
    two = SharedZeros()
    two.add(day([7]))
    two.add(day([7]))
    assert not two.minutes()
