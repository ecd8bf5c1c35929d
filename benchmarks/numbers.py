"""The numbers: indicators, profiles and messages, in batch and live, beside other libraries.

``python -m benchmarks.numbers [--json] [--check]``. Uses the real months of ../shared/data. A ratio says how
many times as long the other takes for the same, or for the part of it that it can do; both are measured
here, alternately. The process keeps to one core.
"""

from __future__ import annotations

import contextlib
import csv
import gc
import io
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import talib
from talipp.indicators import EMA as TalippEma

from benchmarks._report import KLINES, Figure, percentile, report
from tui_feeder.config import Config, VolumeProfile
from tui_feeder.engine.analytics.aggregate import LiveBar, aggregate
from tui_feeder.engine.analytics.ema import Ema, ema
from tui_feeder.engine.analytics.message import encode
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.profile.day_profile import LiveProfile, profile_of
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.quantiles import VolumeQuantiles
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, ROW, Candle, Rows, Source, to_candles
from tui_feeder.engine.derived.checkpoint import encode as encode_state
from tui_feeder.engine.derived.checkpoint import provenance_of, resume
from tui_feeder.engine.derived.inputs import SymbolInputs, load_pipeline
from tui_feeder.engine.derived.replay import replay
from tui_feeder.engine.derived.settings import pipeline_settings
from tui_feeder.engine.storage.store import Store

_TIMEFRAMES = (60, 300, 900, 3600, 14400)
_PERIODS = (21, 89)
_DAYS = 60
_ROUNDS = 7


def _month(path: Path) -> Rows:
    with zipfile.ZipFile(path) as archive:
        lines = list(csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode())))[1:]
    rows = np.zeros(len(lines), dtype=ROW)
    columns = list(zip(*lines, strict=True))
    for field, column in zip(ROW.names or (), (0, 1, 2, 3, 4, 5, 7, 8, 9, 10), strict=True):
        rows[field] = np.array(columns[column], dtype=rows[field].dtype)
    return rows


def _dear(rows: Rows) -> Rows:
    """The candles as those of a dear and calmer coin, to the tenth: many rows at an increment of 0.01."""
    made = rows.copy()
    for name in ("open", "high", "low", "close"):
        made[name] = np.round(60_000 * (rows[name] / rows["close"][0]) ** 0.3, 1)
    made["quote_volume"] = np.round(made["volume"] * (made["low"] + made["high"]) / 2, 4)
    return made


def _seconds(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Median seconds of a core's time of ``work``: other processes do not count."""
    taken = []
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return median(taken)


def _beside(
    ours: Callable[[], object], other: Callable[[], object], rounds: int = _ROUNDS
) -> tuple[float, float]:
    """Median seconds of both, measured in turn so that a busy machine is busy for both."""
    pairs = [(_seconds(ours, 1), _seconds(other, 1)) for _ in range(rounds)]
    return median(a for a, _ in pairs), median(b for _, b in pairs)


# --- batch ---------------------------------------------------------------------------------------


def _days_of(rows: Rows) -> list[Rows]:
    return np.split(rows, np.flatnonzero(np.diff(rows["open_time"] // DAY_MS)) + 1)


def _batch(rows: Rows, settings: PipelineSettings) -> None:
    pipeline = SymbolPipeline("FILUSDT", settings)
    pipeline.load(rows)
    assert settings.profile is not None
    for day in _days_of(rows):
        profile_of(day, settings.profile)


def _frame(rows: Rows) -> pd.DataFrame:
    frame = pd.DataFrame({name: rows[name] for name in ROW.names or ()})
    frame.index = pd.to_datetime(frame.pop("open_time"), unit="ms")
    return frame


_HOW = {
    "open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum", "quote_volume": "sum",
    "trades": "sum", "taker_buy_volume": "sum", "taker_buy_quote_volume": "sum",
}  # fmt: skip


def _batch_pandas(frame: pd.DataFrame) -> None:
    """The same numbers as :func:`_batch`, the short way: pandas, TA-Lib, and groups for the profiles."""
    for timeframe in _TIMEFRAMES:
        bars = frame if timeframe == 60 else frame.resample(f"{timeframe}s").agg(_HOW)
        closes = bars["close"].to_numpy()
        for period in _PERIODS:
            talib.EMA(closes, period)
        if timeframe == 300:
            bars["volume"].idxmax()
    average = frame["volume"] / frame["trades"]
    for values in (frame["volume"], frame["taker_buy_volume"], average, frame["trades"]):
        values.quantile([0.25, 0.5, 0.75, 0.9])
    for _, day in frame.groupby(frame.index.normalize()):
        _profile_pandas(day)


def _profile_pandas(day: pd.DataFrame) -> tuple[float, float, float]:
    """POC and value area (Traditional) of a day in WeightedOHLC, floats and dicts as they come."""
    parts = pd.concat(
        [
            pd.Series((day["volume"] * share).to_numpy(), np.rint(day[name].to_numpy() / 0.01).astype(int))
            for name, share in (("close", 0.5), ("high", 0.25), ("low", 0.25))
        ]
    )
    rows = parts.groupby(level=0).sum()
    rows = rows.reindex(range(rows.index[0], rows.index[-1] + 1), fill_value=0.0)
    w = rows.to_numpy()
    low = high = int(w.argmax())
    inside, enough = w[low], w.sum() * 0.7
    while inside < enough:
        above, below = w[high + 1 : high + 3].sum(), w[max(0, low - 2) : low].sum()
        if above > below or low == 0:
            inside, high = inside + above, high + 2
        else:
            inside, low = inside + below, max(0, low - 2)
    return float(w.argmax()), low, high


# --- live ----------------------------------------------------------------------------------------


class _Talipp:
    """What talipp has of the live update: the EMAs. Bars are given to it as they complete."""

    def __init__(self, rows: Rows) -> None:
        self.emas = {
            timeframe: [
                TalippEma(period, aggregate(rows, timeframe).rows["close"].tolist()) for period in _PERIODS
            ]
            for timeframe in _TIMEFRAMES
        }

    def update(self, candle: Candle) -> None:
        for timeframe, emas in self.emas.items():
            if (candle.open_time + MINUTE_MS) % (timeframe * 1000) == 0:
                for one in emas:
                    one.add(candle.close)


class _Emas:
    """The same in this program: the bars and their EMAs, nothing else."""

    def __init__(self, rows: Rows) -> None:
        self.lines = [(LiveBar(timeframe), [Ema(period) for period in _PERIODS]) for timeframe in _TIMEFRAMES]
        for line, emas in self.lines:
            for one in emas:
                one.load(np.ascontiguousarray(aggregate(rows, line.timeframe).rows["close"]))

    def update(self, candle: Candle) -> None:
        for line, emas in self.lines:
            for bar in line.add(candle):
                for one in emas:
                    one.add(bar.candle.close)


def _live(rows: Rows, settings: PipelineSettings, count: int) -> list[float]:
    """Microseconds of each update of everything, messages not encoded.

    For each candle the middle one of three runs: other processes disturb one, the candle's own work all.
    """
    runs = [_one_live_run(rows, settings, count) for _ in range(3)]
    return [median(three) for three in zip(*runs, strict=True)]


def _one_live_run(rows: Rows, settings: PipelineSettings, count: int) -> list[float]:
    pipeline = SymbolPipeline("FILUSDT", settings)
    pipeline.load(rows[:-count])
    times, taken = rows["open_time"], []
    for candle in to_candles(rows[-count:]):
        leaving = pipeline.leaving(candle.open_time)
        if leaving is not None:
            pipeline.expire(rows[slice(*np.searchsorted(times, leaving))], leaving[1])
        began = time.perf_counter_ns()
        pipeline.update(candle)
        taken.append((time.perf_counter_ns() - began) / 1000)
    return taken


def _each(update: Callable[[Candle], object], candles: list[Candle]) -> float:
    """Mean microseconds of a core's time of each update."""
    began = time.process_time()
    for candle in candles:
        update(candle)
    return (time.process_time() - began) / len(candles) * 1e6


@contextlib.contextmanager
def _stored(symbols: dict[str, Rows]) -> Iterator[Store]:
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as folder:
        store = Store(Path(folder), exchange="benchmark")
        for symbol, rows in symbols.items():
            store.put(symbol, rows, Source.ARCHIVE_MONTH).result()
        store.close()
        store = Store(Path(folder), read_only=True)
        yield store
        store.close()


#: Rows as low as an old configuration states them: very many for a dear coin.
_FIXED = Config(volume_profile=VolumeProfile(price_increment_mode="Fixed"))


def _replay(store: Store, start: int, end: int, config: Config = Config()) -> float:  # noqa: B008
    """Messages a second of a core's time, read from the store, derived, and serialised."""
    began = time.process_time()
    count = sum(len(encode(message)) > 0 for message in replay(store, config, store.symbols(), start, end))
    return count / (time.process_time() - began)


def _start(path: Path, rows: Rows) -> list[Figure]:
    """A start ten minutes after a stop, from what was kept and from all candles."""
    store = Store(path, exchange="benchmark")
    store.put("FILUSDT", rows[:-10], Source.ARCHIVE_MONTH).result()
    end = int(rows["open_time"][-1]) + MINUTE_MS
    settings = pipeline_settings(Config(), "FILUSDT", None)
    provenance = provenance_of(store, "FILUSDT", int(rows["open_time"][0]), settings, SymbolInputs())
    state = load_pipeline(store, Config(), "FILUSDT", end).state()
    block = encode_state(provenance, state)
    store.put_checkpoint("FILUSDT", block).result()
    store.put("FILUSDT", rows[-10:], Source.STREAM).result()
    assert resume(store, Config(), "FILUSDT", end) is not None
    kept, whole = _beside(
        lambda: resume(store, Config(), "FILUSDT", end),
        lambda: load_pipeline(store, Config(), "FILUSDT", end),
    )
    keeping = _seconds(lambda: encode_state(provenance, state))
    store.close()
    return [
        Figure("start from 60 days of candles", whole * 1e3, "ms"),
        Figure("start from what was kept, 10 minutes later", kept * 1e3, "ms"),
        Figure("  all candles, ratio", whole / kept, "x"),
        Figure("what is kept of a symbol", len(block) / 1024, "KB"),
        Figure("encoding it", keeping * 1e6, "us"),
    ]


# --- all of it -----------------------------------------------------------------------------------


def measure() -> list[Figure]:
    paths = sorted(KLINES.glob("FILUSDT-1m-*.zip"))
    if len(paths) < 3:
        sys.exit("the real months are not here: ../shared/data/klines")
    with contextlib.suppress(AttributeError, OSError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows = np.concatenate([_month(path) for path in paths])
    window = rows[: _DAYS * 1_440]
    settings = replace(pipeline_settings(Config(), "FILUSDT", 0.001), timeframes=_TIMEFRAMES)
    figures: list[Figure] = []
    figures += _batch_figures(window, settings)
    figures += _live_figures(rows, settings)
    with _stored({"FILUSDT": rows}) as store:
        end = int(rows["open_time"][-1]) + MINUTE_MS
        rates = [_replay(store, end - 15 * DAY_MS, end) for _ in range(3)]
    figures.append(Figure("replay, serialised, of a core", median(rates), "messages/s", at_least=12_000))
    with tempfile.TemporaryDirectory(prefix="feeder-bench-") as folder:
        figures += _start(Path(folder), window)
    dear = _dear(rows)
    with _stored({"DEARUSDT": dear}) as store:
        rates = [_replay(store, end - 5 * DAY_MS, end, _FIXED) for _ in range(3)]
    figures.append(
        Figure("replay, price 60,000 at increment 0.01", median(rates), "messages/s", at_least=12_000)
    )
    return figures


def _batch_figures(window: Rows, settings: PipelineSettings) -> list[Figure]:
    profile = settings.profile or ProfileSettings()
    frame = _frame(window)
    ours, other = _beside(lambda: _batch(window, settings), lambda: _batch_pandas(frame), 5)
    days = _days_of(window)[-20:]
    frames = [_frame(day) for day in days]
    twenty, twenty_other = _beside(
        lambda: [profile_of(day, profile) for day in days], lambda: [_profile_pandas(day) for day in frames]
    )
    one, one_other = twenty / len(days), twenty_other / len(days)
    closes = np.ascontiguousarray(window["close"])
    emas, emas_other = _beside(lambda: ema(closes, 89), lambda: talib.EMA(closes, 89))
    bars, bars_other = _beside(
        lambda: [aggregate(window, timeframe) for timeframe in _TIMEFRAMES[1:]],
        lambda: [frame.resample(f"{timeframe}s").agg(_HOW) for timeframe in _TIMEFRAMES[1:]],
    )
    quantiles = VolumeQuantiles(_DAYS)
    last = int(window["open_time"][-1])

    def load_quantiles() -> None:
        quantiles.load(window, last)
        assert quantiles.quartets

    loaded, loaded_other = _beside(
        load_quantiles,
        lambda: [
            frame[name].quantile([0.25, 0.5, 0.75, 0.9]) for name in ("volume", "taker_buy_volume", "trades")
        ],
    )
    return [
        Figure("batch, 60 days of a symbol with 60 profiles", ours * 1e3, "ms", at_most=40),
        Figure("  pandas and TA-Lib, ratio", other / ours, "x"),
        Figure("profile of a day in batch", one * 1e3, "ms", at_most=0.3),
        Figure("  pandas, ratio", one_other / one, "x"),
        Figure("EMA89 line over 60 days", emas * 1e3, "ms"),
        Figure("  TA-Lib, ratio", emas_other / emas, "x"),
        Figure("5m 15m 1h 4h bars of 60 days", bars * 1e3, "ms"),
        Figure("  pandas resample, ratio", bars_other / bars, "x"),
        Figure("quantiles of 60 days", loaded * 1e3, "ms"),
        Figure("  pandas quantile (three of the four fields), ratio", loaded_other / loaded, "x"),
    ]


def _live_figures(rows: Rows, settings: PipelineSettings) -> list[Figure]:
    count = 5_000
    every = _live(rows, settings, count)
    calm = _dear(rows)
    spans = [float(day["high"].max() - day["low"].min()) for day in _days_of(calm[-count:])[1:]]
    stated = ProfileSettings(price_increment_mode="Fixed")
    dear = _live(calm, replace(settings, profile=stated), count)
    uniform = replace(settings, profile=replace(stated, volume_distribution_mode="UniformOHLC"))
    spread = _live(calm, uniform, count)
    candles = to_candles(rows[-count:])
    mine, talipp = _Emas(rows[:-count]), _Talipp(rows[:-count])
    emas, emas_other = _each(mine.update, candles), _each(talipp.update, candles)
    quantiles = VolumeQuantiles(_DAYS)
    past = rows[:-count]
    quantiles.load(past, int(past["open_time"][-1]))
    profile = LiveProfile(ProfileSettings())

    def add_to_quantiles(candle: Candle) -> None:
        leaving = quantiles.leaving(candle.open_time)
        if leaving is not None:
            quantiles.expire(rows[slice(*np.searchsorted(rows["open_time"], leaving))], leaving[1])
        quantiles.add(candle)
        assert quantiles.quartets

    def add_to_profile(candle: Candle) -> None:
        profile.add(candle)
        assert profile.figures()

    quartets = _each(add_to_quantiles, candles)
    profiled = _each(add_to_profile, candles)
    today = _frame(rows[-1_440:])
    again = _seconds(lambda: _profile_pandas(today))
    history = _frame(past[-_DAYS * 1_440 :])["volume"]
    sorted_again = _seconds(lambda: history.quantile([0.25, 0.5, 0.75, 0.9]))
    return [
        Figure("live update of everything, p50", percentile(every, 0.5), "us", at_most=60),
        Figure("live update of everything, p99", percentile(every, 0.99), "us", at_most=150),
        Figure("live, price 60,000 at increment 0.01, p50", percentile(dear, 0.5), "us", at_most=60),
        Figure("live, price 60,000 at increment 0.01, p99", percentile(dear, 0.99), "us", at_most=150),
        Figure("  its rows from low to high of a day, mean", _mean(spans) * 100, "rows"),
        Figure("live, the same, UniformOHLC, p50", percentile(spread, 0.5), "us"),
        Figure("live bars and EMAs, mean", emas, "us"),
        Figure("  talipp (EMAs alone), ratio", emas_other / emas, "x"),
        Figure("live quantiles, mean", quartets, "us", at_most=20),
        Figure("  pandas quantile of one field again, ratio", sorted_again * 1e6 / quartets, "x"),
        Figure("quantiles of a symbol in memory", quantiles.size / 1024, "KB", at_most=64),
        Figure("live profile, mean", profiled, "us"),
        Figure("  pandas profile of the day again, ratio", again * 1e6 / profiled, "x"),
    ]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    report("numbers", measure)
