from __future__ import annotations

import json
from typing import Any

import pytest
from messages import SCHEMA, valid
from samples import MIDNIGHT

from tui_feeder.engine.analytics.message import (
    Message,
    PeakVolume,
    close_name,
    encode,
    indicator_name,
    trend_name,
)
from tui_feeder.engine.analytics.profile.day_profile import ProfileFigures

FULL = Message(
    symbol="币安人生USDT",
    timestamp=MIDNIGHT + 59_999,
    revision=2,
    closes={"close_1m": 0.00001234, "close_60m": 100.0},
    indicators={"ema21_1min": 0.1 + 0.2, "ema89_4h": 1e-8},
    trends={"trend_1min": "Buy", "trend_1h": "Neutral"},
    deltas={"delta_1m": -1.5, "delta_60m": 0.0},
    divergences={"cvd_divergence_1h": "Sell"},
    cvd_day=-73.25,
    peak=PeakVolume(1234.5, 99.9, 1_674_138_600_000, "Sell"),
    quantiles={"volume": (0.0, 1.5, 2.0, 1e17)},
    profile=ProfileFigures(
        MIDNIGHT, 0.01, 100.0, 101.0, 99.0, 100.5, 76.0, 55.5, 73.02, 98.5, 102.5, 1, MIDNIGHT
    ),
    partial=("5min",),
    warming=("ema89_4h",),
)
EMPTY = Message(symbol="X", timestamp=59_999, revision=0, closes={}, indicators={}, trends={})


def test_the_whole_form() -> None:
    text = (
        '{"symbol":"币安人生USDT","timestamp":1767225659999,"revision":2,"close_1m":0.00001234,"close_60m":100.0,'
        '"ema21_1min":0.30000000000000004,"ema89_4h":1e-8,"trend_1min":"Buy","trend_1h":"Neutral",'
        '"delta_1m":-1.5,"delta_60m":0.0,"cvd_day":-73.25,"cvd_divergence_1h":"Sell",'
        '"max_volume":1234.5,"max_volume_price":99.9,"max_volume_time":"2023-01-19T14:30:00Z",'
        '"max_volume_trend":"Sell",'
        '"volume_quantiles":{"volume":{"q25":0.0,"q50":1.5,"q75":2.0,"q90":1e+17}},'
        '"volume_profile":{"date":"2026-01-01","total_volume":76.0,"vwap":100.5,"poc":100.0,'
        '"value_area":{"high":101.0,"low":99.0,"volume_percentage":73.02,"volume":55.5},'
        '"price_increment":0.01,"min_price":98.5,"max_price":102.5,"candle_count":1,'
        '"last_updated":1767225659999},'
        '"partial":["5min"],"warming":["ema89_4h"]}'
    )
    assert encode(FULL).decode() == text
    assert valid(encode(FULL))


def test_numbers_read_back_the_same() -> None:
    fields = json.loads(encode(FULL))
    assert fields["ema21_1min"] == 0.1 + 0.2
    assert fields["close_1m"] == 0.00001234


def test_what_is_not_known_is_absent() -> None:
    assert encode(EMPTY) == b'{"symbol":"X","timestamp":59999,"revision":0}'
    assert valid(encode(EMPTY))


@pytest.mark.parametrize(
    ("timeframe", "close", "trend", "ema"),
    [
        (60, "close_1m", "trend_1min", "ema21_1min"),
        (300, "close_5m", "trend_5min", "ema21_5min"),
        (900, "close_15m", "trend_15min", "ema21_15min"),
        (1800, "close_30m", "trend_30min", "ema21_30min"),
        (3600, "close_60m", "trend_1h", "ema21_1h"),
        (5400, "close_90m", "trend_90min", "ema21_90min"),
        (7200, "close_2h", "trend_2h", "ema21_2h"),
        (14400, "close_4h", "trend_4h", "ema21_4h"),
        (86400, "close_1d", "trend_1d", "ema21_1d"),
    ],
)
def test_names_of_timeframes(timeframe: int, close: str, trend: str, ema: str) -> None:
    assert (close_name(timeframe), trend_name(timeframe), indicator_name("ema", 21, timeframe)) == (
        close,
        trend,
        ema,
    )
    fields = {"symbol": "X", "timestamp": 59_999, "revision": 0, close: 1.0, trend: "Buy", ema: 2.0}
    assert valid(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "wrong",
    [
        {"close_5m": None},
        {"close_5m": 0},
        {"trend_5min": "buy"},
        {"timestamp": 1.5},
        {"revision": -1},
        {"close_5min": 1.0},
        {"delta_5min": 1.0},
        {"cvd_divergence_1h": "Neutral"},
        {"unheard_of": 1},
        {"partial": []},
        {"max_volume_time": "2023-01-19T14:30:00+00:00"},
        {"volume_quantiles": {"volume": {"q25": 1}}},
        {"volume_profile": {}},
    ],
)
def test_the_schema_refuses_what_is_wrong(wrong: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    fields = {"symbol": "X", "timestamp": 59_999, "revision": 0, **wrong}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(fields)
