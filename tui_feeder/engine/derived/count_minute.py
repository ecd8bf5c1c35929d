"""Counting one closed minute, with what leaves the windows of its symbol."""

from __future__ import annotations

from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.analytics.pipeline import SymbolPipeline
from tui_feeder.engine.core.candle import Candle
from tui_feeder.engine.derived.minute_ladders import Ladders
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import StorageError


class MissingHistory(StorageError):
    """Numbers that were made elsewhere need candles that are not stored here yet; the message names them."""


def count_minute(
    store: Store,
    pipeline: SymbolPipeline,
    candle: Candle,
    revision: int = 0,
    ladders: Ladders | None = None,
) -> Message:
    """Adds a closed minute to a pipeline and removes the minutes that leave its windows.

    Args:
        store: holds the minutes that leave.
        pipeline: the symbol's pipeline.
        candle: the closed minute, later than all before.
        revision: 0, or the number of the correction.
        ladders: of the store, where many minutes are counted.

    Returns:
        The minute's message.

    Raises:
        MissingHistory: minutes that leave were counted elsewhere, and are not stored here yet.
    """
    leaving = pipeline.leaving(candle.open_time)
    if leaving is not None:
        if not store.read_only and (lacking := store.inherited(pipeline.symbol).clip(*leaving)):
            raise MissingHistory(f"{lacking.minutes} minutes that leave its windows are not read yet")
        pipeline.expire(store.read(pipeline.symbol, *leaving), leaving[1])
        if not store.read_only and store.damaged(pipeline.symbol).clip(*leaving):
            store.mark_published_without_lost(pipeline.symbol)
    ladder = None
    if pipeline.counts_trades:
        ladder = (ladders or Ladders(store)).minute(pipeline.symbol, candle.open_time)
    return pipeline.update(candle, revision=revision, ladder=ladder)
