"""Sums and digits of the gateway's bars, whatever the size of the numbers, by Python's own decimals."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Rows
from tui_feeder.service.gateway.bars import (
    QUOTE,
    VOLUME,
    Bars,
    Decimals,
    finer,
    fitting,
    minutes_of,
    part,
    summed,
    volume_of,
)
from tui_feeder.service.gateway.intervals import INTERVALS
from tui_feeder.service.gateway.rows_text import text_of

START = 1_790_812_800_000  # 2026-10-01, a month of 31 days
DIGITS = Decimals(2, 8, 8)


def rows_of(volumes: list[Decimal], quotes: list[Decimal]) -> Rows:
    """Minutes as the store has them: floats."""
    rows = np.zeros(len(volumes), dtype=ROW)
    rows["open_time"] = START + np.arange(len(volumes)) * MINUTE_MS
    for name in ("open", "high", "low", "close"):
        rows[name] = 64_346.7
    rows["trades"] = 3
    rows["volume"], rows["quote_volume"] = [float(one) for one in volumes], [float(one) for one in quotes]
    rows["taker_buy_volume"], rows["taker_buy_quote_volume"] = rows["volume"], rows["quote_volume"]
    return rows


def shown(bars: Bars, interval: str) -> list[list[str]]:
    """Volume and quote volume of each row, as text: once all digits at once, once row by row."""
    many = text_of(bars, INTERVALS[interval], DIGITS)
    count = len(bars.times)
    parts = (part(bars, n, n + 1) for n in range(count))
    alone = [bytes(text_of(one, INTERVALS[interval], DIGITS).rows(0, 1)) for one in parts]
    assert bytes(many.rows(0, count)) == b",".join(alone)
    return [[row[5], row[7], row[9], row[10]] for row in orjson.loads(b"[" + b",".join(alone) + b"]")]


def printed(number: Decimal) -> str:
    return f"{number:.8f}"


#: What a float keeps all digits of: fifteen of them, and no more than eight behind the point.
AMOUNTS = st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), st.integers(0, 10**15 - 1), st.integers(0, 8)
) | st.builds(lambda digits, zeros: Decimal(digits) * 10**zeros, st.integers(0, 10**9), st.integers(0, 4))


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=80), st.sampled_from(["3m", "1h", "1M"]))
def test_minutes_and_sums_have_every_digit(amounts: list[tuple[Decimal, Decimal]], interval: str) -> None:
    volumes, quotes = [one for one, _ in amounts], [other for _, other in amounts]
    rows = rows_of(volumes, quotes)
    assert fitting(rows, DIGITS) == DIGITS
    minutes = minutes_of(rows, DIGITS)
    assert shown(minutes, "1m") == [
        [printed(one), printed(other), printed(one), printed(other)] for one, other in amounts
    ]
    size = {"3m": 3, "1h": 60, "1M": 80}[interval]
    groups = [amounts[at : at + size] for at in range(0, len(amounts), size)]
    sums = [
        (sum((one for one, _ in group), Decimal()), sum((other for _, other in group), Decimal()))
        for group in groups
    ]
    assert shown(summed(minutes, INTERVALS[interval]), interval) == [
        [printed(one), printed(other), printed(one), printed(other)] for one, other in sums
    ]
    assert volume_of(minutes.values, VOLUME) == int(sum(volumes) * 10**8)
    assert volume_of(minutes.values, QUOTE) == int(sum(quotes) * 10**8)


@given(st.lists(AMOUNTS, min_size=1, max_size=40), st.integers(0, 4))
def test_finer_units_are_the_same_numbers(amounts: list[Decimal], more: int) -> None:
    rows = rows_of(amounts, amounts)
    finest = Decimals(2 + more, 8 + more, 8 + more)
    made, wanted = finer(minutes_of(rows, DIGITS), DIGITS, finest), minutes_of(rows, finest)
    assert volume_of(made.values, VOLUME) == volume_of(wanted.values, VOLUME)
    np.testing.assert_array_equal(made.values, wanted.values)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("85125225.29280000", 1), ("123456789012.00000000", 44_640), ("99999999999999.00000000", 44_640)],
)
def test_a_month_of_busy_minutes_is_exact(text: str, minutes: int) -> None:
    """A quote volume of BTCUSDT; volumes of coins that are worth little."""
    rows = rows_of([Decimal(text)] * minutes, [Decimal(text)] * minutes)
    bars = minutes_of(rows, DIGITS)
    assert shown(part(bars, 0, 40), "1m") == [[text] * 4] * min(minutes, 40)
    assert shown(summed(bars, INTERVALS["1M"]), "1M") == [[printed(Decimal(text) * minutes)] * 4]
