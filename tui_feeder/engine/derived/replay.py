"""Stored candles through the same pipelines once more: the messages of a stretch of time, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tui_feeder.config import Config
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.core.candle import MINUTE_MS, to_candles
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.derived.inputs import load_pipeline
from tui_feeder.engine.derived.minute_ladders import Ladders
from tui_feeder.engine.storage.store import Store

#: Minutes of one symbol read at once; with more symbols fewer, so that memory stays the same.
_SLICE_MINUTES = 1_440
_HELD = 50_000


def replay(store: Store, config: Config, symbols: Sequence[str], start: int, end: int) -> Iterator[Message]:
    """Recomputes the messages of stored minutes.

    They equal those a live engine made of the same candles, all with revision 0. Candles are read as the
    replay proceeds, so an engine may go on writing.

    Args:
        store: the store.
        config: the configuration.
        symbols: stored symbols.
        start: ms, inclusive.
        end: ms, exclusive.

    Yields:
        Messages by minute, then in the order of ``symbols``.

    Raises:
        StoreError: the store was closed meanwhile.
    """
    ladders = [Ladders(store) for _ in symbols]
    pipelines = [load_pipeline(store, config, symbol, start) for symbol in symbols]
    step = max(10, min(_SLICE_MINUTES, _HELD // max(1, len(symbols)))) * MINUTE_MS
    for low in range(start, end, step):
        high = min(end, low + step)
        waiting = [
            (candle.open_time, place, candle)
            for place, symbol in enumerate(symbols)
            for candle in to_candles(store.read(symbol, low, high))
        ]
        if len(symbols) > 1:
            waiting.sort(key=lambda entry: entry[:2])
        for _, place, candle in waiting:
            yield count_minute(store, pipelines[place], candle, 0, ladders[place])


def stored_span(store: Store, symbols: Sequence[str]) -> tuple[int, int]:
    """Finds the range of stored minutes over all symbols.

    Args:
        symbols: symbols with at least one stored minute each.
        store: the store.

    Returns:
        First minute and exclusive end of the last, ms.
    """
    present = [store.present(symbol) for symbol in symbols]
    return min(p.start for p in present), max(p.end for p in present)
