"""A symbol's pipeline and its checkpoint, made and kept as an engine does."""

from __future__ import annotations

from tui_feeder.config import Config, TechnicalAnalysis, VolumeProfile
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.derived.checkpoint import encode, provenance_of
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
