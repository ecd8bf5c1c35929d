"""Profiles of real trades against the same computed slowly in decimals, and against those of candles."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from examples import some_of
from msgspec import structs
from trade_samples import APE_DAY, PlainTrade, ape_candles, ape_ladder, ape_plain

from tui_feeder.engine.analytics.orderflow.ladder import Ladder, LadderBuilder, joined
from tui_feeder.engine.analytics.orderflow.packing import DaySums, day_sums, pack
from tui_feeder.engine.analytics.orderflow.packing import sums_of as sums_of_minutes
from tui_feeder.engine.analytics.orderflow.traded_profile import (
    LiveTradedProfile,
    TradedProfile,
    traded_profile,
)
from tui_feeder.engine.analytics.profile.day_profile import profile_of
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import MINUTE_MS, Rows, to_candles, to_rows
from tui_feeder.engine.exchanges.binance.agg_trades_csv import TradeLine, trades_of

FIXED = ProfileSettings(price_increment_mode="Fixed", fixed_price_increment=0.001, tick_size=0.0001)
SHAPES = (
    FIXED,
    ProfileSettings(tick_size=0.0001),
    ProfileSettings(tick_size=0.0001, volume_distribution_mode="UniformOHLC"),
    ProfileSettings(tick_size=0.0001, volume_distribution_mode="ClosingPrice"),
    ProfileSettings(
        price_increment_mode="Fixed", fixed_price_increment=0.0001, value_area_calculation_mode="Greedy"
    ),
)


def sums_of(trades: tuple[PlainTrade, ...]) -> DaySums:
    builder = LadderBuilder(APE_DAY)
    builder.add(trades_of([TradeLine(t.id, str(t.price), str(t.quantity), *t[3:]) for t in trades]))
    return day_sums(pack(builder.ladder()))


def volume_of(candles: Rows, sums: DaySums) -> MinuteVolume:
    return MinuteVolume(candles, (sums,))


def slow(
    trades: tuple[PlainTrade, ...], step: Decimal, pair: bool
) -> tuple[dict[int, Decimal], int, int, int]:
    """Rows of exact volume, point of control, lowest and highest row of the value area, by definition."""
    rows: dict[int, Decimal] = defaultdict(Decimal)
    for trade in trades:
        rows[int((trade.price / step).to_integral_value("ROUND_HALF_EVEN"))] += trade.quantity
    poc = max(rows, key=lambda row: (rows[row], row))
    lowest, highest, size = min(rows), max(rows), 2 if pair else 1
    low = high = poc
    inside, wanted = rows[poc], sum(rows.values()) * Decimal("0.7")
    while inside < wanted:
        up = sum((rows.get(row, Decimal(0)) for row in range(high + 1, high + size + 1)), Decimal(0))
        down = sum((rows.get(row, Decimal(0)) for row in range(low - size, low)), Decimal(0))
        if high < highest and (low <= lowest or up > down):
            inside, high = inside + up, min(high + size, highest)
        else:
            inside, low = inside + down, max(low - size, lowest)
    return rows, poc, low, high


@pytest.mark.parametrize("settings", some_of(SHAPES, every=2))
def test_a_real_day_has_the_profile_of_slow_decimals(settings: ProfileSettings) -> None:
    trades, candles = ape_plain(), ape_candles()
    made = traded_profile(candles, volume_of(candles, day_sums(pack(ape_ladder()))), settings)
    assert made is not None
    step = Decimal(repr(made.increment))
    rows, poc, low, high = slow(trades, step, settings.value_area_calculation_mode == "Traditional")
    assert (made.poc, made.val, made.vah) == tuple(float(row * step) for row in (poc, low, high))
    assert made.exact_share == 1.0
    found = {made.low_index + at: weight for at, weight in enumerate(made.weights.tolist()) if weight}
    if settings.volume_distribution_mode == "UniformOHLC":  # whose rows are floats
        assert found == pytest.approx({row: float(volume) for row, volume in rows.items()}, rel=1e-12)
    else:
        assert found == {row: float(volume) for row, volume in rows.items()}
    bought: dict[int, Decimal] = defaultdict(Decimal)
    for trade in trades:
        if not trade.sold:
            bought[int((trade.price / step).to_integral_value("ROUND_HALF_EVEN"))] += trade.quantity
    assert made.bought is not None
    told = {made.low_index + at: volume for at, volume in enumerate(made.bought.tolist()) if volume}
    assert told == pytest.approx({row: float(volume) for row, volume in bought.items()}, rel=1e-12)
    volume = sum(trade.quantity for trade in trades)
    assert made.total_volume == pytest.approx(float(volume), rel=1e-15)
    assert made.vwap == pytest.approx(float(sum(t.quantity * t.price for t in trades) / volume), rel=1e-12)


def test_minutes_without_trades_are_those_of_their_candles() -> None:
    candles = ape_candles()
    trades = tuple(t for t in ape_plain() if (t.time - APE_DAY) // MINUTE_MS < 720)
    made = traded_profile(candles, volume_of(candles, sums_of(trades)), FIXED)
    assert made is not None
    share = candles["volume"][:720].sum() / candles["volume"].sum()
    assert made.exact_share == pytest.approx(share)
    whole = profile_of(candles, FIXED)
    assert whole is not None
    assert made.total_volume == whole.total_volume
    assert made.vwap == whole.vwap
    half = traded_profile(candles[:720], volume_of(candles[:720], sums_of(trades)), FIXED)
    rest = profile_of(candles[720:], FIXED)
    assert half is not None
    assert rest is not None
    both = np.zeros(len(made.weights))
    for part in (half, rest):
        at = part.low_index - made.low_index
        both[at : at + len(part.weights)] += part.weights
    np.testing.assert_allclose(made.weights, both, rtol=1e-12)


def test_a_partial_minute_counts_in_full_and_the_share_says_so() -> None:
    candles = ape_candles()
    lost = [at for at, t in enumerate(ape_plain()) if at % 3 == 0 and (t.time - APE_DAY) // MINUTE_MS == 100]
    trades = tuple(t for at, t in enumerate(ape_plain()) if at not in lost)
    made = traded_profile(candles, volume_of(candles, sums_of(trades)), FIXED)
    assert made is not None
    assert made.total_volume == pytest.approx(candles["volume"].sum(), rel=1e-12)
    assert made.exact_share == pytest.approx(1 - candles["volume"][100] / candles["volume"].sum())
    volume = candles["volume"][100]
    lacking = sum(float(ape_plain()[at].quantity) for at in lost)
    assert made.known_share == pytest.approx(1 - lacking / candles["volume"].sum())
    assert lacking < volume
    assert made.bought is not None
    assert float(made.bought.sum()) == pytest.approx(candles["taker_buy_volume"].sum(), rel=1e-12)


def test_ladders_without_candles_are_refused_and_rows_that_count_candles_count_all_of_them() -> None:
    candles, sums = ape_candles(), day_sums(pack(ape_ladder()))
    with pytest.raises(ValueError, match="1 minutes have a ladder and no candle"):
        volume_of(candles[1:], sums)
    counted = replace(FIXED, calculation_mode="TPO")
    made, of_candles = (
        traded_profile(candles, volume_of(candles, sums), counted),
        profile_of(candles, counted),
    )
    assert made is not None
    assert of_candles is not None
    assert made.weights.tobytes() == of_candles.weights.tobytes()
    assert (made.bought, made.exact_share, made.known_share) == (None, 0.0, 0.0)


def test_minutes_in_the_middle_of_a_day_are_those_of_their_trades() -> None:
    ladder, candles = ape_ladder(), ape_candles()[300:420]
    part = sums_of_minutes(ladder, candles["open_time"])
    wanted = sums_of(tuple(t for t in ape_plain() if 300 <= (t.time - APE_DAY) // MINUTE_MS < 420))
    for name in ("prices", "volumes", "bought"):
        assert np.array_equal(getattr(part, name), getattr(wanted, name)), name
    for name in ("times", "bought", "sold", "trades"):
        assert np.array_equal(getattr(part.minutes, name), getattr(wanted.minutes, name)), name
    holes = np.delete(candles["open_time"], [0, 7, 90])
    assert set(sums_of_minutes(ladder, holes).minutes.times.tolist()) <= set(holes.tolist())
    volume = MinuteVolume(np.delete(candles, [0, 7, 90]), (sums_of_minutes(ladder, holes),))
    assert (volume.exact_share, volume.known_share) == (1.0, pytest.approx(1.0))
    assert not len(sums_of_minutes(ladder, holes[:0]).prices)


def test_without_a_trade_there_is_no_profile() -> None:
    candles = ape_candles().copy()
    candles["volume"] = candles["taker_buy_volume"] = candles["quote_volume"] = 0.0
    candles["trades"] = 0
    assert traded_profile(candles, volume_of(candles, sums_of(ape_plain()[:0])), FIXED) is None


def whole_sums(ladder: Ladder) -> DaySums:
    return sums_of_minutes(ladder, ladder.minutes["minute"] * MINUTE_MS + ladder.day)


@pytest.mark.parametrize("settings", some_of(SHAPES, every=2))
def test_minutes_one_by_one_make_the_bits_of_all_at_once(settings: ProfileSettings) -> None:
    candles, ladder = ape_candles().copy(), ape_ladder()
    whole = (ladder.minutes["minute"] % 7 != 3) & (ladder.minutes["minute"] < 300)  # some have only a candle
    ladder = ladder.of_minutes(whole)
    # Of one minute the largest part is missing, and another one counts more places of quantities.
    parts: list[Ladder | None] = [None] * 300
    for at in ladder.minutes["minute"].tolist():
        parts[at] = ladder.of_minutes(ladder.minutes["minute"] == at)
    assert parts[11] is not None
    builder = LadderBuilder(APE_DAY)
    builder.add(trades_of([TradeLine(5, "0.7100", "0.00000001", 1, APE_DAY + 11 * MINUTE_MS, True)]))
    parts[11] = builder.ladder()
    live = LiveTradedProfile(settings)
    live.load(candles[:100], (), whole_sums(joined([part for part in parts[:100] if part is not None])))
    made = None
    for candle, part in zip(to_candles(candles[100:300]), parts[100:], strict=True):
        live.add_traded(candle, None if part is None else whole_sums(part))
        made = live.profile()
    assert made is not None
    sums = whole_sums(joined([part for part in parts if part is not None]))
    at_once = traded_profile(candles[:300], volume_of(candles[:300], sums), settings)
    assert at_once is not None
    for name in set(TradedProfile.__struct_fields__) - {"buy_volume", "sell_volume"}:
        assert np.array_equal(getattr(made, name), getattr(at_once, name)), name
    assert 0.5 < made.exact_share < made.known_share < 1.0
    place = int(np.argmin(np.abs(made.prices - made.poc)))
    assert made.bought is not None
    assert made.buy_volume == pytest.approx(made.bought[place], rel=1e-12)
    assert (made.buy_volume or 0.0) + (made.sell_volume or 0.0) == pytest.approx(
        made.weights[place], rel=1e-12
    )


def test_the_next_day_begins_with_nothing() -> None:
    candles, ladder = ape_candles().copy(), ape_ladder()
    live = LiveTradedProfile(FIXED)
    live.load(candles, (), whole_sums(ladder))
    first = structs.replace(to_candles(candles[:1])[0], open_time=APE_DAY + 1_440 * MINUTE_MS)
    live.add(first)
    made = live.profile()
    alone = traded_profile(to_rows([first]), MinuteVolume(to_rows([first])), FIXED)
    assert made is not None
    assert alone is not None
    assert (made.exact_share, made.candles, made.total_volume) == (0.0, 1, first.volume)
    assert np.array_equal(made.weights, alone.weights)
