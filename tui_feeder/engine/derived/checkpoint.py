"""A symbol's numbers beside its candles, so that a start need not read sixty days to make them again.

A checkpoint is the state of a pipeline after some minute, and its provenance. It is used only where it
is proven to be what the stored candles would give:

- its checksum, format, settings, tick size and seeds agree;
- as many minutes are stored between its first and its last as it counted: minutes are never taken away,
  so these are the very same minutes;
- no stored minute was replaced since its candles were read: the store's edition is still the same;
- its history begins where one made now would begin;
- as many minutes are stored of each day before, whose range its profile's increment rests on.

The day's profile is not part of it: its minutes are read again. Without a usable checkpoint the numbers are
computed from the candles.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec
import numpy as np

from tui_feeder.config import Config
from tui_feeder.engine.analytics.ema import Ema
from tui_feeder.engine.analytics.indicators import chosen
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.analytics.pipeline import PipelineState, SymbolPipeline
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE
from tui_feeder.engine.analytics.quantiles import MOST_AHEAD_MS
from tui_feeder.engine.analytics.settings import PipelineSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, to_candles
from tui_feeder.engine.core.checksum import ChecksumError, with_checksum, without_checksum
from tui_feeder.engine.core.coverage import EMPTY, Coverage, span
from tui_feeder.engine.core.zero_volume import inside
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.derived.inputs import (
    SymbolInputs,
    earliest_start,
    history_start_of,
    inputs_of,
    known_minutes,
    ladder_of,
    settings_of,
)
from tui_feeder.engine.derived.minute_ladders import Ladders
from tui_feeder.engine.storage.store import Store
from tui_feeder.errors import StorageError

#: Raised with every change of what a state holds or of how its numbers are made.
_FORMAT = b"feeder numbers 5\0"


#: Minutes that leave the windows are asked for so long before they do, in the next hour too.
_LEAVING_MS = MOST_AHEAD_MS + 60 * MINUTE_MS


class Provenance(msgspec.Struct, frozen=True, array_like=True):
    """What the numbers of a pipeline rest on."""

    start: int  # ms: first minute of the history
    edition: int  # of the stored candles, before they were read
    made_with: bytes  # digest of settings and inputs


class _Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    provenance: Provenance
    state: PipelineState


class UnusableCheckpoint(StorageError):
    """A checkpoint is not what the candles would give; the message has the reason."""


def provenance_of(
    store: Store, symbol: str, start: int, settings: PipelineSettings, inputs: SymbolInputs
) -> Provenance:
    """Records what a pipeline is computed from; call it before its candles are read.

    Args:
        store: the store.
        symbol: its symbol.
        start: first minute of its history, ms.
        settings: what is derived.
        inputs: seeds and tick size.

    Returns:
        The provenance to keep with the pipeline's state.
    """
    return Provenance(start, store.edition(symbol), _digest(settings, inputs, start))


def encode(provenance: Provenance, state: PipelineState) -> bytes:
    """Encodes a checkpoint for :meth:`Store.put_checkpoint`.

    Args:
        provenance: what the state is computed from.
        state: the pipeline's state.

    Returns:
        Bytes with format and checksum.
    """
    return with_checksum(_FORMAT, msgspec.msgpack.encode(_Checkpoint(provenance, state)))


def decode(block: bytes) -> tuple[Provenance, PipelineState]:
    """Decodes a checkpoint.

    Args:
        block: what :func:`encode` returned.

    Returns:
        Provenance and state.

    Raises:
        UnusableCheckpoint: damaged, or of another format.
    """
    try:
        kept = msgspec.msgpack.decode(without_checksum(_FORMAT, block), type=_Checkpoint)
    except ChecksumError as error:
        raise UnusableCheckpoint(str(error)) from None
    except msgspec.DecodeError as error:
        raise UnusableCheckpoint(f"they cannot be read: {error}") from error
    return kept.provenance, kept.state


def resume(
    store: Store,
    config: Config,
    symbol: str,
    end: int,
    counted: list[tuple[Candle, Message]] | None = None,
) -> tuple[SymbolPipeline, Provenance] | None:
    """Restores a symbol's pipeline after the last stored minute before ``end`` from its checkpoint.

    Args:
        store: the store.
        config: the configuration.
        symbol: its symbol.
        end: exclusive, ms.
        counted: takes the minutes after the checkpoint with their messages, of revision 0.

    Returns:
        The pipeline, bit-equal to one computed from all candles, and its provenance; None if none is stored.

    Raises:
        UnusableCheckpoint: it does not fit the candles, the settings or ``end``.
    """
    block = store.checkpoint(symbol)
    if block is None:
        return None
    provenance, state = decode(block)
    inputs = inputs_of(store, symbol)
    settings = settings_of(store, config, symbol)
    if provenance.made_with != _digest(settings, inputs, provenance.start):
        raise UnusableCheckpoint("they were made with other settings")
    last = state.last
    if last is None or last >= end:
        raise UnusableCheckpoint("they are of a later minute")
    if provenance.edition != store.edition(symbol):
        raise UnusableCheckpoint("stored candles were replaced since")
    present, inherited = known_minutes(store, symbol), store.inherited(symbol)
    if present.clip(provenance.start, last + MINUTE_MS).minutes != state.minutes:
        raise UnusableCheckpoint("minutes before their last were stored since")
    start = history_start_of(store, symbol, end, settings)
    if start != provenance.start and not provenance.start < start == earliest_start(end, settings):
        raise UnusableCheckpoint("the history begins elsewhere")
    if settings.profile is not None and not _same_days(present, state):
        raise UnusableCheckpoint("minutes of the days before were stored since")
    today = max(provenance.start, last - last % DAY_MS)
    if inherited.clip(today, end):
        raise UnusableCheckpoint("minutes of its day are not read yet")
    rows = store.read(symbol, today, end)
    if inherited:  # minutes that its numbers lacked elsewhere are revised later
        rows = rows[inside(rows, present)]
    pipeline = SymbolPipeline(symbol, settings)
    place = int(np.searchsorted(rows["open_time"], last, side="right"))
    try:
        pipeline.restore(state, rows[:place], ladder=ladder_of(store, pipeline, last))
    except msgspec.ValidationError as error:
        raise UnusableCheckpoint(f"they cannot be read: {error}") from error
    ladders = Ladders(store)
    for candle in to_candles(rows[place:]):
        message = count_minute(store, pipeline, candle, ladders=ladders)
        if counted is not None:
            counted.append((candle, message))
    if store.edition(symbol) != provenance.edition:
        raise UnusableCheckpoint("stored candles were replaced meanwhile")
    return pipeline, provenance


def needed_to_resume(store: Store, symbol: str, until: int) -> Coverage:
    """Chooses the minutes whose candles a pipeline that was made elsewhere needs to go on.

    Args:
        store: the store.
        symbol: its symbol.
        until: exclusive end of what it is to count soon, ms.

    Returns:
        Those of the day of its checkpoint and after it, and those that leave its windows next; none where
        there is no checkpoint that can be read.
    """
    block = store.checkpoint(symbol)
    if block is None:
        return EMPTY
    try:
        provenance, state = decode(block)
    except UnusableCheckpoint:
        return EMPTY
    last = state.last or 0
    needed = span(max(provenance.start, last - last % DAY_MS), until)
    start, left, _ = state.quantiles
    if left is not None:
        length = last + MINUTE_MS - start
        needed = needed.union(span(left, max(left, until - length + _LEAVING_MS)))
    return needed


def _same_days(present: Coverage, state: PipelineState) -> bool:
    """Whether each of the days before has as many minutes as the one whose range is kept had."""
    day = (state.last or 0) // DAY_MS * DAY_MS
    days = range(day - DAYS_BEFORE * DAY_MS, day, DAY_MS)
    stored = {at: minutes for at in days if (minutes := present.clip(at, at + DAY_MS).minutes)}
    return stored == {day_range.day: day_range.minutes for day_range in state.before}


def _digest(settings: PipelineSettings, inputs: SymbolInputs, start: int) -> bytes:
    """Of everything beside the candles that the numbers of a history from ``start`` on follow from."""
    made = blake2b(repr(settings).encode(), digest_size=16)
    if settings.omitted:  # apart, so that the numbers of symbols without any are those of before
        made.update(repr(settings.omitted).encode())
    # Likewise: the settings name the periods of the EMAs.
    others = [f"{kind.name}{period}" for kind, period in chosen(settings) if kind.make is not Ema]
    made.update(" ".join(others).encode())
    for timeframe, bars in sorted(inputs.seeds_before(start).items()):
        if timeframe in settings.timeframes:
            made.update(f" {timeframe} {len(bars)} ".encode() + bars.tobytes())
    return made.digest()
