"""Delta and CVD against plain decimal arithmetic, in every way they can be computed."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import MIDNIGHT, TRIED_MONTHS, candle_lists, real_month, walk

from tui_feeder.bars import delta_of, deltas_of
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.delta import (
    DIVERGENCE_BARS,
    CumulativeDelta,
    DivergenceWindow,
    RunningDelta,
    after_bars,
)
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows, to_candles, to_rows
from tui_feeder.time_format import Anchor, parse_anchor

SETTINGS = PipelineSettings((60, 300, 3_600), (3, 8), "closes_vs_ema", 0, None)


def exact(value: float) -> Decimal:
    return Decimal(repr(value))


def sided(rows: Rows, seed: int) -> Rows:
    """Takers of the minutes buy any share of the volume."""
    share = np.random.default_rng(seed).integers(0, 1_001, len(rows)) / 1_000
    rows["taker_buy_volume"] = np.round(rows["volume"] * share, 3)
    return rows


def slow_delta(rows: Rows) -> float:
    """In decimals: what takers bought less what they did not."""
    bought = sum((exact(v) for v in rows["taker_buy_volume"].tolist()), Decimal(0))
    volume = sum((exact(v) for v in rows["volume"].tolist()), Decimal(0))
    return float(bought - (volume - bought))


@given(st.integers(0, 10**11), st.integers(0, 10**11), st.integers(0, 4))
def test_a_delta_has_the_decimals_of_its_volumes(sold: int, bought: int, places: int) -> None:
    unit = Decimal(1).scaleb(-places)
    volume, taker = float((sold + bought) * unit), float(bought * unit)
    expected = float((bought - sold) * unit)
    assert delta_of(volume, taker) == expected
    assert deltas_of(np.array([volume]), np.array([taker])).tolist() == [expected]
    assert str(delta_of(volume, volume / 2)) == "0.0"


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_cvd_of_days_of_a_real_month_is_that_of_decimals(month: str) -> None:
    rows = real_month(month)[: 3 * 1440 + 100]
    made = CumulativeDelta(parse_anchor("day")).add(rows)
    for at in (*range(0, len(rows), 397), 1439, 1440, len(rows) - 1):
        day = int(rows["open_time"][at]) // DAY_MS * DAY_MS
        part = rows[(rows["open_time"] >= day) & (rows["open_time"] <= rows["open_time"][at])]
        assert made[at] == slow_delta(part)
    bars = aggregate(rows, 3600).rows
    ends = after_bars(rows, made, bars["open_time"], 3600)
    for bar, end in zip(bars["open_time"].tolist()[:40], ends.tolist(), strict=False):
        begin = bar // DAY_MS * DAY_MS
        inside = (rows["open_time"] >= begin) & (rows["open_time"] < bar + 3_600_000)
        assert end == slow_delta(rows[inside])
    for bar in bars[:50]:
        inside = (rows["open_time"] >= bar["open_time"]) & (rows["open_time"] < bar["open_time"] + 3_600_000)
        assert delta_of(float(bar["volume"]), float(bar["taker_buy_volume"])) == slow_delta(rows[inside])


@pytest.mark.parametrize("anchor", ["day", "08:00", str(MIDNIGHT + 90 * MINUTE_MS)])
def test_minutes_may_come_in_parts(anchor: str) -> None:
    rows = sided(walk(4_000, seed=5, start=MIDNIGHT + 100 * MINUTE_MS), 1)
    rows = np.delete(rows, slice(1_000, 1_700))
    at_once = CumulativeDelta(parse_anchor(anchor)).add(rows)
    in_parts = CumulativeDelta(parse_anchor(anchor))
    parts = [in_parts.add(rows[low : low + 333]) for low in range(0, len(rows), 333)]
    assert np.array_equal(np.concatenate([in_parts.add(rows[:0]), *parts]), at_once)
    begin = parse_anchor(anchor).before(int(rows["open_time"][-1]))
    assert at_once[-1] == slow_delta(rows[rows["open_time"] >= begin])


@given(candle_lists(most=40))
def test_a_running_delta_is_the_same_loaded_at_once(candles: list[Candle]) -> None:
    one, many = RunningDelta(), RunningDelta()
    for candle in candles:
        one.add(candle)
    many.load(to_rows(candles))
    assert (one.value, one.volume) == (many.value, many.volume)


def test_anchors() -> None:
    assert parse_anchor("day") == Anchor(0, DAY_MS)
    assert parse_anchor("08:30").before(MIDNIGHT) == MIDNIGHT - DAY_MS + 510 * MINUTE_MS
    assert parse_anchor("2026-01-01T00:00:30Z") == Anchor(MIDNIGHT + MINUTE_MS, 0)
    for wrong in ("8:00", "24:00", "daily", ""):
        with pytest.raises(ValueError, match='an anchor is "day"'):
            parse_anchor(wrong)


def test_every_message_has_the_deltas_of_its_bars_and_of_its_day() -> None:
    rows = sided(walk(1_700, seed=8, start=MIDNIGHT + 7 * MINUTE_MS), 1)
    rows = np.delete(rows, slice(600, 640))
    pipeline = SymbolPipeline("X", SETTINGS)
    of_the_day, day = Decimal(0), 0
    for count, candle in enumerate(to_candles(rows), 1):
        message = pipeline.update(candle)
        seen = rows[:count]
        of_this = 2 * exact(candle.taker_buy_volume) - exact(candle.volume)
        if candle.open_time // DAY_MS != day:
            of_the_day, day = Decimal(0), candle.open_time // DAY_MS
        of_the_day += of_this
        assert message.cvd_day == float(of_the_day)
        assert message.deltas["delta_1m"] == float(of_this)
        for name, frame in (("delta_5m", 300_000), ("delta_60m", 3_600_000)):
            if count % 7 == 0:
                end = (candle.open_time + MINUTE_MS) // frame * frame
                bar = seen[(seen["open_time"] >= end - frame) & (seen["open_time"] < end)]
                if len(bar):
                    assert message.deltas[name] == slow_delta(bar)


def test_a_day_s_delta_begins_again_after_a_restart_in_the_middle_of_it() -> None:
    rows = sided(walk(2_000, seed=4), 1)
    live = SymbolPipeline("X", SETTINGS)
    live.load(rows[:1_000])
    resumed = SymbolPipeline("X", SETTINGS)
    resumed.restore(live.state(), rows[:1_000])
    for candle in to_candles(rows[1_000:]):
        assert live.update(candle) == resumed.update(candle)
    assert (
        live.day_delta
        == resumed.day_delta
        == (slow_delta(rows[1_440:]), pytest.approx(rows["volume"][1_440:].sum()))
    )


def _slow_divergence(bars: list[tuple[float, float, float]]) -> str | None:
    """By definition, over bars that follow each other without a hole."""
    if len(bars) < DIVERGENCE_BARS:
        return None
    window = bars[-DIVERGENCE_BARS:]
    closes = [close for close, _, _ in window]
    old = closes[:-3]
    for sign, extreme, word in ((-1, max, "Sell"), (1, min, "Buy")):
        if closes[-1] == extreme(closes) and closes.count(closes[-1]) == 1:
            after = window[old.index(extreme(old)) + 1 :]
            delta = sum((2 * exact(t) - exact(v) for _, v, t in after), Decimal(0))
            return word if delta * sign > 0 else None
    return None


def test_divergences_are_those_of_the_definition() -> None:
    found = set()
    for seed in range(6):
        rows = sided(walk(400, seed=seed), seed)
        window = DivergenceWindow()
        bars = list(zip(*(rows[n].tolist() for n in ("close", "volume", "taker_buy_volume")), strict=True))
        for count, bar in enumerate(bars, 1):
            window.add(*bar)
            assert window.divergence == _slow_divergence(bars[:count])
            found.add(window.divergence)
    assert found == {None, "Buy", "Sell"}


def test_a_hole_ends_the_bars_that_are_compared_however_they_were_counted() -> None:
    rows = sided(walk(300, seed=1), 1)
    rows = np.delete(rows, [150, 151, 244])  # the last minute of a bar of five, too
    live = SymbolPipeline("X", SETTINGS)
    for count, candle in enumerate(to_candles(rows), 1):
        live.update(candle)
        if 140 < count < 180 or 235 < count < 260:
            batch = SymbolPipeline("X", SETTINGS)
            batch.load(rows[:count])
            assert batch.message() == live.message()
            for timeframe, state in live.state().timeframes.items():
                again = batch.state().timeframes[timeframe]
                assert (again.window, again.volumes) == (state.window, state.volumes)
    assert len(live.state().timeframes[60].window) == DIVERGENCE_BARS
