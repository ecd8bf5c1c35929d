from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from examples import examples, some_of
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import valid
from samples import MIDNIGHT, candle, candle_lists, fil, walk

from tui_feeder.config import Application, Config
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.message import Message, encode
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows, to_candles, to_rows
from tui_feeder.engine.derived.settings import pipeline_settings

DEFAULT = PipelineSettings((60, 300, 900, 3600, 14400), (21, 89), "closes_vs_ema", 60, ProfileSettings())
VARIED = (
    DEFAULT,
    PipelineSettings((60,), (3,), "closes_vs_ema", 1, None),
    PipelineSettings(
        (180, 300, 1800, 86400),
        (2, 5, 9),
        "ema_cross",
        1,
        ProfileSettings(price_increment_mode="Adaptive", max_price_increment=1e6, min_price_increment=1e-9),
    ),
    PipelineSettings(
        (300, 900),
        (8, 4),
        "closes_vs_ema",
        2,
        ProfileSettings(
            price_increment_mode="Fixed", fixed_price_increment=1e-3,
            update_frequency="Every5Candles", calculation_mode="TPO",
            value_area_calculation_mode="Greedy",
        ),
    ),
)  # fmt: skip


def feed(pipeline: SymbolPipeline, rows: Rows, start: int = 0) -> list[Message]:
    """Update with ``rows[start:]`` as the engine does: leaving minutes are read from the store first."""
    messages = []
    for c in to_candles(rows[start:]):
        span = pipeline.leaving(c.open_time)
        if span is not None:
            times = rows["open_time"]
            pipeline.expire(rows[(times >= span[0]) & (times < span[1]) & (times < c.open_time)], span[1])
        messages.append(pipeline.update(c))
    return messages


def loaded(rows: Rows, s: PipelineSettings = DEFAULT) -> SymbolPipeline:
    pipeline = SymbolPipeline("FILUSDT", s)
    pipeline.load(rows)
    return pipeline


def fields(message: Message | None) -> dict[str, Any]:
    assert message is not None
    found: dict[str, Any] = json.loads(encode(message))
    return found


# --- one state, whatever the way -----------------------------------------------------------------


@given(candle_lists(most=60), st.integers(0, 60), st.sampled_from(VARIED))
@settings(max_examples=examples(300, share=8), deadline=None)
def test_any_division_between_load_and_update_gives_equal_bytes(
    candles: list[Candle], at: int, s: PipelineSettings
) -> None:
    rows = to_rows(candles)
    mixed = loaded(rows[:at], s)
    feed(mixed, rows, at)
    batch = loaded(rows, s)
    last, same = batch.message(), mixed.message()
    assert last is not None
    assert same is not None
    assert encode(same) == encode(last)
    assert mixed.timeframe_states() == batch.timeframe_states()
    assert mixed.last_open_time == batch.last_open_time == candles[-1].open_time
    assert valid(encode(last))


@pytest.mark.parametrize("s", VARIED)
def test_long_history_with_holes_gives_equal_bytes_at_every_checked_minute(s: PipelineSettings) -> None:
    rows = walk(examples(6_000, least=3_600), seed=11, price=5, tick="0.001", start=MIDNIGHT + 77 * MINUTE_MS)
    holes = np.random.default_rng(2).random(len(rows)) < 0.03
    holes[2_000:2_900] = True
    rows = rows[~holes]
    live = loaded(rows[:10], s)
    messages = feed(live, rows, 10)
    for at in (*some_of(range(20, 60)), *some_of(range(100, len(rows), 331)), len(rows)):
        last = loaded(rows[:at], s).message()
        assert last is not None
        assert encode(messages[at - 11]) == encode(last), at


def test_real_months_live_equal_batch_at_the_end() -> None:
    rows = fil()
    rows = rows[rows["open_time"] <= 1_730_073_600_000 + 22 * 3_600_000]  # ends on the day of the outage
    live = loaded(rows[:-3_000])
    messages = feed(live, rows, len(rows) - 3_000)
    last = loaded(rows).message()
    assert last is not None
    assert encode(messages[-1]) == encode(last)
    assert all(valid(encode(m)) for m in messages[::50])
    stamps = [m.timestamp for m in messages]
    assert stamps == [t + 59_999 for t in rows["open_time"][-3_000:].tolist()]


def test_load_forgets_what_was_before() -> None:
    one, other = walk(900, seed=1), walk(700, seed=2, start=MIDNIGHT + DAY_MS)
    used = loaded(one)
    used.load(other)
    last, fresh = used.message(), loaded(other).message()
    assert last == fresh
    used.load(one[:0])
    assert used.message() is None
    assert used.last_open_time is None
    assert encode(feed(used, one)[-1]) == encode(feed(SymbolPipeline("FILUSDT", DEFAULT), one)[-1])


@pytest.mark.parametrize("back", [0, 1, 60])
def test_a_minute_that_is_not_later_is_refused_and_changes_nothing(back: int) -> None:
    rows = walk(100)
    pipeline = loaded(rows)
    before = pipeline.message()
    with pytest.raises(ValueError, match="after"):
        pipeline.update(to_candles(rows)[99 - back])
    assert pipeline.message() is before


def test_revisions_are_passed_on() -> None:
    rows = walk(3)
    pipeline = SymbolPipeline("X", DEFAULT)
    pipeline.load(rows[:2], revision=3)
    assert fields(pipeline.message())["revision"] == 3
    assert pipeline.update(to_candles(rows)[2], revision=1).revision == 1


# --- what the values rest on ---------------------------------------------------------------------


def test_closes_are_those_of_the_last_completed_bars() -> None:
    rows = walk(1_000, seed=5)
    live = SymbolPipeline("X", DEFAULT)
    names = {60: "close_1m", 300: "close_5m", 900: "close_15m", 3600: "close_60m", 14400: "close_4h"}
    for at, message in enumerate(feed(live, rows), 1):
        made = fields(message)
        for timeframe, name in names.items():
            whole = at // (timeframe // 60) * (timeframe // 60)
            assert made.get(name) == (rows["close"][whole - 1] if whole else None)


def test_emas_agree_with_talib_on_completed_bars() -> None:
    talib = pytest.importorskip("talib")
    rows = fil()[:-777]
    made = fields(loaded(rows).message())
    for timeframe, name in ((60, "1min"), (300, "5min"), (900, "15min"), (3600, "1h"), (14400, "4h")):
        closes = np.ascontiguousarray(aggregate(rows, timeframe).rows["close"])
        for period in (21, 89):
            assert made[f"ema{period}_{name}"] == pytest.approx(talib.EMA(closes, period)[-1], rel=1e-12)


def test_a_bar_that_lacks_minutes_is_named_until_the_next_is_whole() -> None:
    rows = walk(400)
    rows = rows[(rows["open_time"] - MIDNIGHT) // MINUTE_MS != 7]
    seen = {}
    for message in feed(SymbolPipeline("X", DEFAULT), rows):
        minute = (message.timestamp - MIDNIGHT) // MINUTE_MS
        seen[minute] = fields(message).get("partial", [])
    assert seen[8] == []
    assert seen[9] == seen[13] == ["5min"]
    assert seen[14] == ["15min"]
    assert seen[59] == ["1h"]
    assert seen[119] == []
    assert seen[239] == ["4h"]


def test_a_bar_whose_last_minute_is_missing_completes_with_the_next_candle() -> None:
    pipeline = SymbolPipeline("X", DEFAULT)
    for i in range(4):
        assert "close_5m" not in fields(pipeline.update(candle(i, 5, 9, 5, 5 + i)))
    made = fields(pipeline.update(candle(5, 9, 9, 9, 9)))
    assert made["close_5m"] == 8
    assert made["partial"] == ["5min"]


def test_nothing_is_published_before_it_is_known() -> None:
    rows = walk(1)
    made = fields(feed(SymbolPipeline("X", DEFAULT), rows)[0])
    trends = {name: "Neutral" for name in made if name.startswith("trend_")}
    assert len(trends) == 5
    assert {k: v for k, v in made.items() if k not in ("volume_profile", "volume_quantiles")} == {
        "symbol": "X", "timestamp": MIDNIGHT + 59_999, "revision": 0, "close_1m": rows["close"][0], **trends,
        "delta_1m": made["cvd_day"], "cvd_day": made["cvd_day"],
    }  # fmt: skip


def test_warming_names_emas_that_are_present_and_not_settled() -> None:
    rows = walk(89 + 310)
    messages = feed(SymbolPipeline("X", DEFAULT), rows)
    assert "warming" not in fields(messages[19])
    assert fields(messages[20])["warming"] == ["ema21_1min"]
    assert "ema89_1min" not in fields(messages[87])["warming"]
    assert "ema89_1min" in fields(messages[88])["warming"]
    assert "ema89_1min" in fields(messages[88 + 307])["warming"]
    assert "ema89_1min" not in fields(messages[88 + 308])["warming"]


def test_trends_follow_the_rule() -> None:
    rising = [candle(i, 100 + i, 101 + i, 99 + i, 100.5 + i) for i in range(12)]
    s = PipelineSettings((60,), (3, 6), "closes_vs_ema", 60, None)
    for rule in ("closes_vs_ema", "ema_cross"):
        pipeline = SymbolPipeline("X", replace(s, trend_rule=rule))
        states = []
        for c in rising:
            message = pipeline.update(c)
            states.append((pipeline.timeframe_states()[0].trend, fields(message)["trend_1min"]))
        assert states == [(None, "Neutral")] * 5 + [("Buy", "Buy")] * 7


def test_seeds_reach_back_for_emas_and_for_nothing_else() -> None:
    rows = walk(40_000, seed=8)
    recent = rows[30_000:]
    bars = aggregate(rows[: 30_000 // 240 * 240], 14400).rows
    pipeline = SymbolPipeline("FILUSDT", DEFAULT)
    pipeline.load(recent, seeds={14400: bars})
    seeded, whole, plain = (fields(p.message()) for p in (pipeline, loaded(rows), loaded(recent)))
    assert "ema89_4h" not in plain
    assert seeded["ema89_4h"] == whole["ema89_4h"]
    changed = {name for name in seeded if seeded[name] != plain.get(name)}
    assert {"ema89_4h", "ema21_4h"} <= changed <= {"ema89_4h", "ema21_4h", "trend_4h", "warming"}


# --- maximum volume ------------------------------------------------------------------------------


def test_maximum_volume_is_the_largest_five_minutes_of_the_window() -> None:
    rows = fil()
    made = fields(loaded(rows).message())
    bars = aggregate(rows, 300).rows
    inside = bars[bars["open_time"] > rows["open_time"][-1] + 59_999 - 60 * DAY_MS]
    best = inside[int(np.argmax(inside["volume"]))]
    assert made["max_volume"] == best["volume"]
    assert made["max_volume_price"] == best["close"]
    end = np.datetime64(int(best["open_time"]) + 300_000, "ms")
    assert made["max_volume_time"] == f"{np.datetime_as_string(end, unit='s')}Z"


@pytest.mark.parametrize(("step", "trend"), [(1, "Buy"), (-1, "Sell"), (0, "Neutral")])
def test_maximum_volume_trend_holds_three_4h_closes_against_its_price(step: int, trend: str) -> None:
    candles = [
        candle(i, price, price, price, price, 100.0 if i == 2 else 1.0)
        for i in range(960)
        for price in [1000.0 + step * (i // 240)]
    ]
    pipeline = SymbolPipeline("X", PipelineSettings((60,), (3,), "closes_vs_ema", 60, None))
    messages = feed(pipeline, to_rows(candles))
    assert fields(messages[718])["max_volume_trend"] == "Neutral"  # two 4 h closes only
    assert fields(messages[-1])["max_volume_trend"] == trend


# --- the profile ---------------------------------------------------------------------------------


def test_the_profile_is_published_as_often_as_configured_with_its_time() -> None:
    s = replace(DEFAULT, profile=ProfileSettings(update_frequency="Every10Candles"))
    messages = feed(SymbolPipeline("X", s), to_rows([candle(i, 5, 6, 4, 5) for i in range(26)]))
    minutes = [(fields(m)["volume_profile"]["last_updated"] - MIDNIGHT) // MINUTE_MS for m in messages]
    assert minutes == [0] * 9 + [9] * 10 + [19] * 7


def test_a_disabled_profile_is_absent() -> None:
    pipeline = loaded(walk(50), replace(DEFAULT, profile=None))
    assert "volume_profile" not in fields(pipeline.message())
    assert pipeline.profile_now() is None
    assert pipeline.profile_fault == ""


def test_the_profile_of_now_has_rows_and_the_message_has_its_values() -> None:
    pipeline = loaded(walk(2_000))
    profile = pipeline.profile_now()
    made = fields(pipeline.message())["volume_profile"]
    assert profile is not None
    assert profile.day == MIDNIGHT + DAY_MS
    assert made["candle_count"] == profile.candles == 560
    assert made["poc"] == profile.poc
    assert float(profile.weights.sum()) == pytest.approx(made["total_volume"], rel=1e-12)


@pytest.mark.parametrize(("price", "tick"), [(1e-8, "0.0000000001"), (100_000.0, "0.1")])
def test_cheap_and_dear_coins(price: float, tick: str) -> None:
    profile = ProfileSettings(
        price_increment_mode="Adaptive",
        min_price_increment=1e-12,
        max_price_increment=1e3,
        tick_size=float(tick),
    )
    rows = walk(1_500, price=price, tick=tick)
    live = SymbolPipeline("X", replace(DEFAULT, profile=profile))
    last = feed(live, rows)[-1]
    assert encode(last) == encode(feed(SymbolPipeline("X", replace(DEFAULT, profile=profile)), rows)[-1])
    made = fields(last)
    assert made["close_1m"] == rows["close"][-1]
    inside = made["volume_profile"]
    assert inside["min_price"] <= inside["poc"] <= inside["max_price"]
    assert inside["value_area"]["volume_percentage"] >= 70


def test_without_analysis_a_message_has_close_and_delta_alone() -> None:
    config = Config(application=Application(enable_technical_analysis=False))
    s = pipeline_settings(config, "X", 0.01)
    rows = walk(2_000)
    live = loaded(rows[:700], s)
    last = feed(live, rows, 700)[-1]
    assert encode(last) == encode(loaded(rows, s).message() or last)
    stamp, close = int(rows["open_time"][-1]) + 59_999, float(rows["close"][-1])
    delta = {name: fields(last)[name] for name in ("delta_1m", "cvd_day")}
    assert fields(last) == {"symbol": "FILUSDT", "timestamp": stamp, "revision": 0, "close_1m": close} | delta
    assert valid(encode(last))
    assert live.leaving(stamp + 1) is None


# --- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeframes": ()},
        {"timeframes": (60, 420)},
        {"timeframes": (300, 60)},
        {"ema_periods": (21, 21)},
        {"ema_periods": (0,)},
        {"trend_rule": "up"},
        {"trend_rule": "ema_cross", "ema_periods": (21,)},
        {"volume_lookback_days": -1},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"timeframes|multiple|ema|trend_rule|volume_lookback_days"):
        replace(DEFAULT, **wrong)
