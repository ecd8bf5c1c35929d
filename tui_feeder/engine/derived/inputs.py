"""What a symbol's numbers are computed from, and how its pipeline is loaded from the store.

The engine and ``replay`` make their pipelines here, so both see the same candles, seeds and tick size,
and give the same messages to the last bit.
"""

from __future__ import annotations

from concurrent.futures import Future

import msgspec
import numpy as np

from tui_feeder.config import Config
from tui_feeder.engine.analytics.indicators import longest_span
from tui_feeder.engine.analytics.orderflow.ladder import Ladder, of_day
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE, ranges_of
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS, SECOND_MS, Rows
from tui_feeder.engine.core.coverage import EMPTY, Coverage
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.derived.revisions import NOTE as _REVISIONS
from tui_feeder.engine.derived.revisions import Revisions
from tui_feeder.engine.derived.settings import pipeline_settings
from tui_feeder.engine.derived.stored_ladders import read_ladder
from tui_feeder.engine.storage.store import Store

#: After this many bars for each unit of an EMA's period its seed weighs about e**-90: nothing is left of it.
_BARS_A_PERIOD = 46
#: A hole longer than this ends the history that numbers rest on: what lies before it no longer counts.
_LONGEST_HOLE_MS = DAY_MS

#: What the note of a symbol's inputs in the store is named, before the symbol.
INPUTS_NOTE = "basis "

#: An exchange's own bar as far as an EMA needs it.
SEED = np.dtype([("open_time", "<i8"), ("close", "<f8")])


class Seed(msgspec.Struct, frozen=True):
    """The exchange's own bars of one timeframe before a history; they seed its EMAs and nothing else."""

    until: int  # ms: exclusive end of the last of them, or where they were asked for in vain
    bars: bytes = b""  # dtype SEED, ascending

    def before(self, start: int, timeframe: int) -> Rows | None:
        """Selects the bars that lead up to the bar that contains a moment.

        Args:
            start: the moment, ms.
            timeframe: seconds of a bar.

        Returns:
            Rows of dtype SEED; None if the seed ends earlier.
        """
        begin = start - start % (timeframe * SECOND_MS)
        if self.until < begin:
            return None
        bars: Rows = np.frombuffer(self.bars, dtype=SEED)
        return bars[bars["open_time"] < begin]


class SymbolInputs(msgspec.Struct, frozen=True):
    """What a symbol's numbers are computed from besides its candles; stored."""

    tick_size: float | None = None
    seeds: dict[int, Seed] = {}  # by timeframe, seconds

    def seeds_before(self, start: int) -> dict[int, Rows]:
        """Selects the bars that lead up to a history.

        Args:
            start: first minute of the history, ms.

        Returns:
            Rows of dtype :data:`SEED` by timeframe (seconds), where there are any.
        """
        return {
            timeframe: bars
            for timeframe, seed in self.seeds.items()
            if (bars := seed.before(start, timeframe)) is not None
        }


def history_start(
    present: Coverage, end: int, settings: PipelineSettings, published: int | None = None
) -> int:
    """Chooses the first minute of the history that the numbers at ``end`` are computed from.

    Args:
        present: the minutes stored.
        end: exclusive, ms.
        settings: what is derived.
        published: the first minute (ms) that was ever published. A hole after it ends no history: the
            engine counted on across it, and what it published then must follow from the store.

    Returns:
        ms.
    """
    if not present.clip(0, end):
        return next((low for low, _ in present if low >= end), end)
    earliest = earliest_start(end, settings)
    start = end
    for low, high in reversed(present.intervals):
        if low >= end:
            continue
        if start < end and start - high > _LONGEST_HOLE_MS and (published is None or high <= published):
            break
        start = max(low, earliest)
        if low <= earliest:
            break
    return start


def earliest_start(end: int, settings: PipelineSettings) -> int:
    """Computes how far back any number reaches.

    Args:
        end: exclusive end of the history, ms.
        settings: what is derived.

    Returns:
        A midnight, ms; no older candle would leave a trace in any number.
    """
    bars = _BARS_A_PERIOD * longest_span(settings)
    longest = bars * max(settings.timeframes) * SECOND_MS
    return (end - max(longest, (settings.volume_lookback_days + 2) * DAY_MS)) // DAY_MS * DAY_MS


def inputs_of(store: Store, symbol: str) -> SymbolInputs:
    """Reads a symbol's inputs; a damaged record is reported and counts as none.

    Args:
        store: the store.
        symbol: its symbol.

    Returns:
        The inputs; empty ones where none are stored.
    """
    kept = store.note(INPUTS_NOTE + symbol)
    if kept is not None:
        try:
            inputs = msgspec.msgpack.decode(kept, type=SymbolInputs)
            for seed in inputs.seeds.values():
                if not np.isfinite(np.frombuffer(seed.bars, dtype=SEED)["close"]).all():
                    raise ValueError("a bar has no price")
            return inputs
        except (*UNREADABLE, ValueError) as error:
            store.report_unusable(INPUTS_NOTE + symbol, str(error))
    return SymbolInputs()


def put_inputs(store: Store, symbol: str, inputs: SymbolInputs, stale: Coverage = EMPTY) -> Future[None]:
    """Stores a symbol's inputs in place of those there.

    Args:
        store: the store.
        symbol: its symbol.
        inputs: the inputs.
        stale: minutes whose published messages were computed from other inputs.

    Returns:
        Done when committed.
    """
    return store.put_note(INPUTS_NOTE + symbol, msgspec.msgpack.encode(inputs), symbol=symbol, stale=stale)


def revisions_of(store: Store, symbol: str) -> Revisions | None:
    """Reads how often each published minute was corrected.

    Args:
        store: the store.
        symbol: its symbol.

    Returns:
        The revisions; None while nothing was published.
    """
    kept = store.note(_REVISIONS + symbol)
    if kept is None:
        return None
    try:
        return Revisions.decode(kept)
    except (*UNREADABLE, ValueError) as error:
        store.report_unusable(_REVISIONS + symbol, str(error))
        return Revisions.unknown(store.present(symbol))


def known_minutes(store: Store, symbol: str) -> Coverage:
    """Finds which minutes a symbol's numbers rest on.

    Args:
        store: the store.
        symbol: its symbol.

    Returns:
        The minutes stored. Where its numbers were made elsewhere, and not all that they rest on is stored,
        also those that are not; and without those that were not part of them.
    """
    present, inherited = store.present(symbol), store.inherited(symbol)
    return present.union(inherited).subtract(store.unpublished(symbol)) if inherited else present


def history_start_of(store: Store, symbol: str, end: int, settings: PipelineSettings) -> int:
    """Applies :func:`history_start` to a stored symbol; before any publication no hole ends its history.

    So a replay gives the same message of a minute wherever it begins; messages name missing minutes.

    Args:
        store: the store.
        symbol: its symbol.
        end: exclusive, ms.
        settings: what is derived.

    Returns:
        ms.
    """
    revisions, present = revisions_of(store, symbol), known_minutes(store, symbol)
    first = present.start if present else end
    return history_start(present, end, settings, first if revisions is None else revisions.since)


def settings_of(store: Store, config: Config, symbol: str) -> PipelineSettings:
    """Combines the configuration with what the store knows of a symbol.

    Args:
        store: the store.
        config: the configuration.
        symbol: its symbol.

    Returns:
        What is derived for it.
    """
    return pipeline_settings(
        config, symbol, inputs_of(store, symbol).tick_size, store.listed(symbol), store.omitted(symbol)
    )


def load_pipeline(store: Store, config: Config, symbol: str, end: int) -> SymbolPipeline:
    """Computes a symbol's pipeline from stored candles.

    Args:
        store: the store.
        config: the configuration.
        symbol: its symbol.
        end: exclusive, ms.

    Returns:
        The pipeline after the last stored minute before ``end``.
    """
    inputs = inputs_of(store, symbol)
    settings = settings_of(store, config, symbol)
    pipeline = SymbolPipeline(symbol, settings)
    start = history_start_of(store, symbol, end, settings)
    # The profile's increment rests on the stored days, also on those before a hole that ends the history.
    rows = store.read(symbol, start, end)
    last = int(rows["open_time"][-1]) if len(rows) else end
    earliest = last // DAY_MS * DAY_MS - DAYS_BEFORE * DAY_MS
    before = ranges_of(store.read(symbol, earliest, start)) if earliest < start else ()
    ladder = ladder_of(store, pipeline, last)
    pipeline.load(rows, seeds=inputs.seeds_before(start), before=before, ladder=ladder)
    return pipeline


def ladder_of(store: Store, pipeline: SymbolPipeline, moment: int) -> Ladder | None:
    """Reads the ladders that a pipeline's profile rests on.

    Args:
        store: the store.
        pipeline: the pipeline.
        moment: ms.

    Returns:
        Those of the UTC day of the moment; None where there are none, or it counts none.
    """
    return read_ladder(store, pipeline.symbol, of_day(moment)) if pipeline.counts_trades else None
