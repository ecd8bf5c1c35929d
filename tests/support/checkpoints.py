"""A symbol's pipeline and its checkpoint, made and kept as an engine does."""

from __future__ import annotations

from samples import walk

from tui_feeder.config import Config, TechnicalAnalysis, VolumeProfile
from tui_feeder.engine.analytics.message import encode as encoded
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.core.candle import Source, to_candles
from tui_feeder.engine.derived.checkpoint import encode, provenance_of
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.derived.inputs import (
    history_start_of,
    inputs_of,
    load_pipeline,
)
from tui_feeder.engine.derived.settings import pipeline_settings
from tui_feeder.engine.storage.store import Store

CONFIG = Config(
    technical_analysis=TechnicalAnalysis(
        timeframes=(60, 300, 900, 3600), ema_periods=(3, 8), volume_lookback_days=1
    ),
    volume_profile=VolumeProfile(update_frequency="Every5Candles"),
)


def made(store: Store, config: Config, end: int) -> SymbolPipeline:
    return load_pipeline(store, config, "XUSDT", end)


def keep(store: Store, config: Config, end: int, pipeline: SymbolPipeline | None = None) -> None:
    """Keep the numbers after ``end`` as an engine does."""
    inputs = inputs_of(store, "XUSDT")
    chosen = pipeline_settings(config, "XUSDT", inputs.tick_size)
    start = history_start_of(store, "XUSDT", end, chosen)
    provenance = provenance_of(store, "XUSDT", start, chosen, inputs)
    state = (pipeline or made(store, config, end)).state()
    store.put_checkpoint("XUSDT", encode(provenance, state)).result()


def end_of(store: Store) -> int:
    return store.present("XUSDT").end


def same(store: Store, first: SymbolPipeline, other: SymbolPipeline) -> bool:
    """Whether both give the same messages now and after 400 more minutes, which are stored here."""
    assert first.timeframe_states() == other.timeframe_states()
    assert message_bytes(first) == message_bytes(other)
    onward = walk(400, seed=9, start=end_of(store))
    store.put("XUSDT", onward, Source.STREAM).result()
    both = [[encoded(count_minute(store, each, c)) for each in (first, other)] for c in to_candles(onward)]
    return all(mine == yours for mine, yours in both)


def message_bytes(pipeline: SymbolPipeline) -> bytes:
    """The encoded message of the newest minute; empty where there is none."""
    message = pipeline.message()
    return b"" if message is None else encoded(message)
