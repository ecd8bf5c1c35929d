"""From stored candles to messages, held against independent computations of every number on real months."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from messages import valid
from samples import TRIED_MONTHS, candle_lists, fil, real_month

from tui_feeder.config import Config
from tui_feeder.engine.analytics.aggregate import aggregate
from tui_feeder.engine.analytics.ema import ema
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows, Source, to_candles, to_rows
from tui_feeder.engine.derived.replay import replay
from tui_feeder.engine.storage.store import Store

LABELS = {60: "1min", 300: "5min", 900: "15min", 3600: "1h", 14400: "4h"}
CLOSES = {300: "close_5m", 900: "close_15m", 3600: "close_60m", 14400: "close_4h"}
OUTAGE = int(datetime(2024, 10, 28, 16, tzinfo=UTC).timestamp() * 1000)


def messages(path: Path, rows: Rows, start: int, config: Config | None = None) -> list[dict[str, Any]]:
    """The rows through a store and the pipeline; the messages from ``start`` on, checked by the schema."""
    store = Store(path, exchange="test")
    store.put("XUSDT", rows, Source.ARCHIVE_MONTH).result()
    end = int(rows["open_time"][-1]) + MINUTE_MS
    made = [encode(m) for m in replay(store, config or Config(), ["XUSDT"], start, end)]
    store.close()
    assert all(valid(line) for line in made[::5])
    return [json.loads(line) for line in made]


@cache
def resampled(name: str) -> dict[int, Any]:
    """A real month as bars of every timeframe by pandas, which shares no code with this program."""
    pandas = pytest.importorskip("pandas")
    rows = fil() if name == "FIL" else real_month(name)
    frame = pandas.DataFrame({field: rows[field] for field in rows.dtype.names or ()})
    frame.index = pandas.to_datetime(frame.pop("open_time"), unit="ms")
    how = {"open": "first", "high": "max", "low": "min", "close": "last"}
    how |= {n: "sum" for n in frame.columns if n not in how}
    return {seconds: frame.resample(f"{seconds}s").agg(how) for seconds in LABELS}


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_emas_of_every_timeframe_agree_with_talib_on_all_real_months(month: str) -> None:
    talib = pytest.importorskip("talib")
    rows = real_month(month)
    for seconds in LABELS:
        closes = np.ascontiguousarray(aggregate(rows, seconds).rows["close"])
        for period in (21, 89):
            np.testing.assert_allclose(ema(closes, period), talib.EMA(closes, period), rtol=1e-12)


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_all_timeframes_there_are_agree_with_talib_in_batch_and_live(month: str) -> None:
    talib = pytest.importorskip("talib")
    rows = real_month(month)
    every = tuple(60 * n for n in range(1, 1_441) if 1_440 % n == 0)
    assert len(every) == 36
    chosen = PipelineSettings(every, (2, 21, 89), "closes_vs_ema", 60, None)
    batch, live = SymbolPipeline("X", chosen), SymbolPipeline("X", chosen)
    batch.load(rows)
    added = 1_440 + examples(560)  # over a midnight
    live.load(rows[:-added])
    for c in to_candles(rows[-added:]):
        live.update(c)
    assert live.timeframe_states() == batch.timeframe_states()
    for state in batch.timeframe_states():
        closes = np.ascontiguousarray(aggregate(rows, state.timeframe).rows["close"])
        assert state.close == closes[-1]
        for period, value in zip((2, 21, 89), state.values, strict=True):
            if len(closes) < period:
                assert value is None
            else:
                assert value == pytest.approx(talib.EMA(closes, period)[-1], rel=1e-12, abs=0)


@pytest.mark.parametrize("month", TRIED_MONTHS)
def test_bars_agree_with_pandas_on_all_real_months(month: str) -> None:
    rows = real_month(month)
    for seconds, expected in resampled(month).items():
        bars = aggregate(rows, seconds).rows
        assert len(bars) == len(expected)
        for field in ("open", "high", "low", "close", "trades"):
            assert np.array_equal(bars[field], expected[field].to_numpy()), field
        for field in ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"):
            np.testing.assert_allclose(bars[field], expected[field].to_numpy(), rtol=1e-12)


def test_every_minute_of_a_day_with_an_outage_has_the_numbers_of_other_libraries(tmp_path: Path) -> None:
    talib = pytest.importorskip("talib")
    rows = fil()
    rows = rows[rows["open_time"] < OUTAGE // DAY_MS * DAY_MS + DAY_MS]
    made = messages(tmp_path, rows, OUTAGE // DAY_MS * DAY_MS)
    assert len(made) == 1_440
    bars = resampled("FIL")
    lines = {
        (seconds, period): talib.EMA(bars[seconds]["close"].to_numpy(), period)
        for seconds in LABELS
        for period in (21, 89)
    }
    begin = int(rows["open_time"][0])
    closes = {seconds: bars[seconds]["close"].to_numpy() for seconds in LABELS}
    for message in made:
        after = message["timestamp"] + 1
        for seconds, label in LABELS.items():
            done = (after - begin) // (seconds * 1000)
            assert message.get(CLOSES.get(seconds, "close_1m")) == closes[seconds][done - 1]
            for period in (21, 89):
                expected = lines[seconds, period][done - 1]
                assert message[f"ema{period}_{label}"] == pytest.approx(expected, rel=1e-12)
        assert "partial" not in message


def test_quantiles_and_maximum_volume_of_every_minute_are_those_of_the_window(tmp_path: Path) -> None:
    rows = fil()
    start = int(rows["open_time"][-1]) + MINUTE_MS - DAY_MS // 4
    fives = resampled("FIL")[300]
    ends = fives.index.to_numpy().astype("datetime64[ms]").astype(np.int64) + 300_000
    told = messages(tmp_path, rows, start)
    for message in told:
        for quartet in message["volume_quantiles"].values():
            assert sorted(quartet.values()) == list(quartet.values())
    for message in told[::20]:
        after = message["timestamp"] + 1
        window = rows[(rows["open_time"] >= after - 60 * DAY_MS) & (rows["open_time"] < after)]
        traded = window[window["trades"] > 0]
        exact = {
            "volume": window["volume"],
            "taker_buy_volume": window["taker_buy_volume"],
            "avg_trade": traded["volume"] / traded["trades"],
            "trade_count": window["trades"],
        }
        for name, values in exact.items():
            found = message["volume_quantiles"][name]
            assert list(found) == ["q25", "q50", "q75", "q90"]
            assert sorted(found.values()) == list(found.values())
            assert list(found.values()) == pytest.approx(
                np.quantile(values, (0.25, 0.5, 0.75, 0.9)), rel=5e-3
            )
        inside = (ends <= after) & (ends - 300_000 >= after - 60 * DAY_MS)
        best = fives[inside]["volume"].idxmax()
        assert message["max_volume"] == pytest.approx(fives["volume"][best], rel=1e-12)
        assert message["max_volume_price"] == fives["close"][best]
        assert message["max_volume_time"] == (best + np.timedelta64(300, "s")).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_the_first_day_of_a_listing_and_its_midnight(tmp_path: Path) -> None:
    rows = real_month("NEARUSDT-1m-2026-02")[500 : 500 + 1_440]
    made = messages(tmp_path, rows, int(rows["open_time"][0]))
    assert [m["volume_profile"]["candle_count"] for m in made] == [*range(1, 941), *range(1, 501)]
    assert made[939]["volume_profile"]["date"] == "2026-02-01"
    assert made[940]["volume_profile"]["date"] == "2026-02-02"
    first_5m = next(i for i, m in enumerate(made) if "close_5m" in m)
    assert (int(rows["open_time"][first_5m]) + MINUTE_MS) % 300_000 == 0
    assert "ema21_1min" not in made[19]
    assert made[20]["ema21_1min"] == pytest.approx(float(rows["close"][:21].mean()), rel=1e-15)
    for at in (0, 300, 939, 940, 1_439):
        message = made[at]["volume_profile"]
        today = rows[rows["open_time"] // DAY_MS == int(rows["open_time"][at]) // DAY_MS]
        today = today[today["open_time"] <= rows["open_time"][at]]
        assert message["total_volume"] == pytest.approx(float(today["volume"].sum()), rel=1e-12)
        vwap = float(today["quote_volume"].sum() / today["volume"].sum())
        assert message["vwap"] == pytest.approx(vwap, rel=1e-12)
        assert message["value_area"]["low"] <= message["poc"] <= message["value_area"]["high"]
        assert message["value_area"]["volume_percentage"] >= 70


@given(candle_lists(most=40), st.data())
@settings(max_examples=examples(40), deadline=None)
def test_order_duplication_and_repair_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory, candles: list[Candle], data: st.DataObject
) -> None:
    """The same candles into a store in any order, twice, from several sources: the same bytes."""
    config = Config()
    rows = to_rows(candles)
    start, end = int(rows["open_time"][0]), int(rows["open_time"][-1]) + MINUTE_MS
    found = []
    for mixed in (False, True):
        store = Store(tmp_path_factory.mktemp("store"), exchange="test", map_size=1 << 22)
        if mixed:
            for i in data.draw(st.permutations([*range(len(candles)), *range(0, len(candles), 3)])):
                source = data.draw(st.sampled_from((Source.STREAM, Source.REST, Source.ARCHIVE_DAY)))
                if data.draw(st.integers(0, 4)) == 0 and rows["open_time"][i] not in store.present("XUSDT"):
                    wrong = rows[i : i + 1].copy()  # repaired by what follows, whichever source it is of
                    wrong["volume"] += 3
                    wrong["close"] = wrong["low"]
                    store.put("XUSDT", wrong, Source.ARCHIVE_UNCHECKED).result()
                if data.draw(st.booleans()):
                    store.append("XUSDT", candles[i], source).result()
                else:
                    store.put("XUSDT", rows[i : i + 1], source).result()
        else:
            store.put("XUSDT", rows, Source.REST).result()
        found.append([encode(m) for m in replay(store, config, ["XUSDT"], start, end)])
        store.close()
    assert found[0] == found[1]
    assert len(found[0]) == len(candles)
