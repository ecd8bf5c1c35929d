"""Profiles of days as screens and the API show them; kept while nothing they rest on has changed."""

from __future__ import annotations

import threading

from tui_feeder.config import Config
from tui_feeder.engine.analytics.orderflow.traded_profile import TradedProfile
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE
from tui_feeder.engine.core.candle import DAY_MS
from tui_feeder.engine.derived.day_ranges import DayRanges
from tui_feeder.engine.derived.inputs import settings_of
from tui_feeder.engine.derived.stored_ladders import FollowedSums, ladders_state, stored_traded_profile
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import ProfileView

#: Days kept.
_CACHE_SIZE = 32


class ProfileViews:
    """Makes them from stored minutes and their ladders, with the tick size that messages are made with.

    For any thread.

    Args:
        store: where the minutes are.
        config: whose settings shape the profiles.
    """

    def __init__(self, store: Store, config: Config) -> None:
        self._store = store
        self._config = config
        self._ranges = DayRanges(store)
        self._sums = FollowedSums(store)
        self._cache: dict[tuple[str, int], tuple[object, ProfileView]] = {}
        self._lock = threading.Lock()  # of what is kept; never held while the store is read

    def of(self, symbol: str, day: int, end: int) -> ProfileView | None:
        """Gives the profile of a UTC day.

        Args:
            symbol: a stored symbol.
            day: beginning of the day, ms.
            end: minutes before this count, ms.

        Returns:
            The profile; None without any trade.

        Raises:
            StoreError: the store is closed.
        """
        settings = settings_of(self._store, self._config, symbol).profile
        if settings is None:
            return None
        # Before the minutes are read: what changes meanwhile is another state of them.
        edition, present = self._store.edition(symbol), self._store.present(symbol)
        minutes = present.clip(day - DAYS_BEFORE * DAY_MS, end).minutes
        state = (end, settings, edition, ladders_state(self._store, symbol), minutes)
        with self._lock:
            known = self._cache.get((symbol, day))
        if known is not None and known[0] == state:
            return known[1]
        made = stored_traded_profile(self._store, symbol, settings, day, end, self._ranges, self._sums)
        if made is None:
            return None
        view = profile_view(symbol, day, made)
        with self._lock:
            self._cache.pop((symbol, day), None)
            self._cache[symbol, day] = (state, view)
            if len(self._cache) > _CACHE_SIZE:
                self._cache.pop(next(iter(self._cache)))
        return view


def profile_view(symbol: str, day: int, made: TradedProfile) -> ProfileView:
    """Converts a profile to what screens and the API show.

    Args:
        symbol: its symbol.
        day: beginning of its day, ms.
        made: the profile.

    Returns:
        The immutable view.
    """
    return ProfileView(
        symbol=symbol,
        day=day,
        increment=made.increment,
        low_index=made.low_index,
        weights=tuple(made.weights.tolist()),
        poc=made.poc,
        vah=made.vah,
        val=made.val,
        vwap=made.vwap,
        total_volume=made.total_volume,
        candles=made.candles,
        last_minute=made.last_minute,
        bought=None if made.bought is None else tuple(made.bought.tolist()),
        exact_share=made.exact_share,
        known_share=made.known_share,
    )
