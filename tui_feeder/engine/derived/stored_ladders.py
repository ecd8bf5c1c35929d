"""Ladders of whole UTC days in the store: writing, reading, and the profiles that rest on them."""

from __future__ import annotations

from concurrent.futures import Future

import msgspec
import numpy as np

from tui_feeder.engine.analytics.orderflow.ladder import Ladder
from tui_feeder.engine.analytics.orderflow.packing import LadderBlockError, day_sums, pack, unpack
from tui_feeder.engine.analytics.orderflow.reconcile import Reconciled, minute_sums, reconcile
from tui_feeder.engine.analytics.orderflow.traded_profile import TradedProfile, traded_profile
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, Rows
from tui_feeder.engine.core.decoding import UNREADABLE
from tui_feeder.engine.derived.stored_profiles import ranges_before
from tui_feeder.engine.storage.store import Store

#: What the note of a day's ladders is named, before the symbol, a blank, and the day's midnight (ms).
_LADDER = "ladder "
#: What the note is named that lists them, before the symbol.
_LISTED = "ladders "


class LadderOrigin(msgspec.Struct, frozen=True):
    """Where the ladders of a day came from."""

    path: str  # of the archive file
    sha256: str
    checked: bool  # its checksum agreed
    trades: int  # aggregated trades counted
    refused: int = 0  # lines of the file that held none


def origins(store: Store, symbol: str) -> dict[int, LadderOrigin]:
    """Lists the days that have ladders.

    Args:
        store: the store.
        symbol: whose.

    Returns:
        Where each is from, by midnight (ms), ascending.
    """
    kept = store.note(_LISTED + symbol)
    if kept is None:
        return {}
    try:
        return dict(sorted(msgspec.msgpack.decode(kept, type=dict[int, LadderOrigin]).items()))
    except UNREADABLE as error:
        store.report_unusable(_LISTED + symbol, str(error))
        return {}


def put_ladder(
    store: Store, symbol: str, ladder: Ladder, origin: LadderOrigin, keep_from: int
) -> Future[None]:
    """Stores the ladders of a day, and drops those of days that are kept no longer.

    Args:
        store: the store.
        symbol: whose.
        ladder: of a day.
        origin: where it is from.
        keep_from: midnight (ms) of the first day that is kept.

    Returns:
        Done when all is committed.
    """
    listed = origins(store, symbol)
    for day in [day for day in listed if day < keep_from]:
        del listed[day]
        store.put_note(f"{_LADDER}{symbol} {day}", None)
    listed[ladder.day] = origin
    store.put_note(f"{_LADDER}{symbol} {ladder.day}", pack(ladder))
    return store.put_note(_LISTED + symbol, msgspec.msgpack.encode(listed))


def read_ladder(store: Store, symbol: str, day: int) -> Ladder | None:
    """Reads the ladders of a day; damaged ones are reported and count as none.

    Args:
        store: the store.
        symbol: whose.
        day: midnight, ms.

    Returns:
        The ladders; None where there are none.
    """
    block = _block(store, symbol, day)
    try:
        return None if block is None else unpack(block)
    except LadderBlockError as error:
        store.report_unusable(f"{_LADDER}{symbol} {day}", str(error))
        return None


def known_minutes(store: Store, symbol: str, ladder: Ladder) -> tuple[Rows, Reconciled]:
    """Holds the ladders of a day against its stored candles.

    Args:
        store: the store.
        symbol: whose.
        ladder: of a day.

    Returns:
        The candles, and how each minute is known.
    """
    candles = store.read(symbol, ladder.day, ladder.day + DAY_MS)
    sums = minute_sums(ladder.minutes, ladder.day, ladder.quantity_places)
    return candles, reconcile(candles, sums)


def stored_traded_profile(
    store: Store, symbol: str, settings: ProfileSettings, day: int
) -> TradedProfile | None:
    """Computes the profile of a day from its ladders and candles.

    Args:
        store: the store.
        symbol: whose.
        settings: what shapes it.
        day: midnight, ms.

    Returns:
        The profile; None where there are no ladders of the day, candles of some of their minutes are not
        stored, rows count candles (TPO), or nothing was traded.

    Raises:
        BlockError: stored candles are damaged.
    """
    block = _block(store, symbol, day)
    if block is None or settings.calculation_mode == "TPO":
        return None
    try:
        sums = day_sums(block)
    except LadderBlockError as error:
        store.report_unusable(f"{_LADDER}{symbol} {day}", str(error))
        return None
    candles = store.read(symbol, day, day + DAY_MS)
    if not np.isin(sums.minutes.times, candles["open_time"]).all():
        return None
    before = ranges_before(store, symbol, day) if settings.price_increment_mode == "Auto" else ()
    return traded_profile(candles, sums, settings, before)


def _block(store: Store, symbol: str, day: int) -> bytes | None:
    return store.note(f"{_LADDER}{symbol} {day}")
