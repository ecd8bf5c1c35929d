"""Stated price increments that do not fit a symbol: what to report of them, and those of a whole store."""

from __future__ import annotations

import contextlib
from decimal import Decimal

from tui_feeder.config import Config
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.profile.increments import (
    DAYS_BEFORE,
    Misfit,
    misfit,
    ranges_of,
    typical_range,
)
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.derived.inputs import settings_of
from tui_feeder.engine.derived.stored_profiles import newest_day
from tui_feeder.engine.storage.store import Store, StoreError
from tui_feeder.symbol_name import matches


def profile_note(config: Config, pipeline: SymbolPipeline) -> tuple[str, str]:
    """Describes what is wrong with the rows of a symbol's profile.

    Args:
        config: the configuration.
        pipeline: the symbol's pipeline.

    Returns:
        A sentence about the day, and its cause, the same from day to day; both empty if all is well.
    """
    if fault := pipeline.profile_fault:
        return fault, "too many rows"
    found = pipeline.profile_misfit
    if found is None:
        return "", ""
    return misfit_text(config, pipeline.symbol, found), f"{found.key} = {found.value}"


def misfit_text(config: Config, symbol: str, found: Misfit) -> str:
    """Describes an increment that does not fit.

    Args:
        config: the configuration that states it.
        symbol: the symbol.
        found: what is wrong.

    Returns:
        A sentence with the key and a value that would fit.
    """
    overrides = config.volume_profile.asset_overrides.get(symbol)
    own = overrides is not None and getattr(overrides, found.key) is not None
    above = f"volume_profile.asset_overrides.{symbol}" if own else "volume_profile"
    how = "coarse" if found.fits < found.value else "fine"
    return (
        f"profile rows of {_plain(found.value)} are too {how}, about {found.rows:,} a day: "
        f"{_plain(found.fits)} would fit ({above}.{found.key})"
    )


def misfits_in(store: Store, config: Config) -> list[str]:
    """Checks the stated increments against the prices of the configured symbols in a store.

    Args:
        store: the store.
        config: the configuration.

    Returns:
        One sentence for each symbol whose increment does not fit.
    """
    texts = []
    for symbol in store.symbols():
        if not any(matches(name, symbol) for name in config.application.symbols):
            continue
        settings, day = settings_of(store, config, symbol).profile, newest_day(store, symbol)
        if settings is None or settings.price_increment_mode == "Auto" or day is None:
            continue
        ranges = ranges_of(store.read(symbol, day - DAYS_BEFORE * DAY_MS, day + DAY_MS))
        before = [day_range for day_range in ranges if day_range.day < day]
        low, high = ranges[-1].low, ranges[-1].high
        if (found := misfit(low, high, typical_range(before), settings)) is not None:
            texts.append(f"{symbol}: {misfit_text(config, symbol, found)}")
    return texts


def misfits_at(config: Config) -> list[str]:
    """Checks the stated increments against the configured store.

    Args:
        config: the configuration.

    Returns:
        As :func:`misfits_in`; empty where no store can be read.
    """
    path = config.application.storage_path
    try:
        if not (path / "data.mdb").exists():
            return []
        with contextlib.closing(Store(path, read_only=True)) as store:
            return misfits_in(store, config)
    except (StoreError, OSError):
        return []  # the checks of the store itself report why


def _plain(value: float) -> str:
    """A number as one writes it: 0.000001, not 1e-06."""
    return f"{Decimal(repr(value)).normalize():f}"
