"""The profiles of the mirror: which days should have one, of what, and whether the table has it so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tui_feeder.config import Config
from tui_feeder.engine.analytics.profile.increments import DAYS_BEFORE
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import Coverage
from tui_feeder.engine.derived.inputs import inputs_of
from tui_feeder.engine.derived.settings import profile_settings
from tui_feeder.engine.derived.stored_ladders import origins
from tui_feeder.engine.derived.stored_profiles import day_profile, ladders_of, settings_stamp
from tui_feeder.engine.sinks import postgres_tables as tables
from tui_feeder.engine.storage.store import Store

Provenance = tuple[
    int, int | None
]  # candles of a profile, and what it was made with; None where that is unknown


class Differing(NamedTuple):
    """A profile that the table has not as it should."""

    symbol: str
    day: int  # ms
    there: bool

    def __str__(self) -> str:
        date = datetime.fromtimestamp(self.day / 1000, UTC).date()
        what = "another profile than the store's" if self.there else "no profile"
        return f"{self.symbol} of {date}: {what}"


class Profiles:
    """What the table of profiles should have.

    Args:
        config: whose settings shape them.
        store: whose candles.
    """

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store

    def days(self, symbol: str) -> set[int]:
        """Lists the days of which there should be a profile, where anything was traded.

        Args:
            symbol: the symbol.

        Returns:
            Midnights, ms.
        """
        present = self._store.present(symbol)
        if not present or self.settings(symbol) is None:
            return set()
        back = self._config.volume_profile.for_symbol(symbol).historical_days
        oldest = present.end - MINUTE_MS - back * DAY_MS
        return set(days_of(present.clip(oldest // DAY_MS * DAY_MS, present.end)))

    def settings(self, symbol: str) -> ProfileSettings | None:
        """Gives the profile settings of a symbol.

        Args:
            symbol: the symbol.

        Returns:
            The settings; None where it has no profiles.
        """
        return profile_settings(self._config, symbol, inputs_of(self._store, symbol).tick_size)

    def provenance(self, symbol: str, day: int) -> Provenance | None:
        """Gives what a day's profile should be computed from now.

        Args:
            symbol: the symbol.
            day: midnight, ms.

        Returns:
            The provenance; None while its candles, or those of the days before, are changing or damaged.
        """
        settings, rests = self.settings(symbol), (day - DAYS_BEFORE * DAY_MS, day + DAY_MS)
        if settings is None or self._store.altered(symbol).clip(*rests):
            return None
        return self._provenance(symbol, day, settings)

    def _provenance(self, symbol: str, day: int, settings: ProfileSettings) -> tuple[int, int]:
        present = self._store.present(symbol)
        auto = settings.price_increment_mode == "Auto"
        before = present.clip(day - DAYS_BEFORE * DAY_MS, day).minutes if auto else 0
        ladders = ladders_of(self._store, symbol, settings, day)
        return present.clip(day, day + DAY_MS).minutes, settings_stamp(settings, before, ladders)

    def archived(self, symbol: str) -> dict[int, str]:
        """Lists which days of a symbol have the ladders of which archive, where its profiles rest on them.

        Args:
            symbol: the symbol.

        Returns:
            SHA-256 of the archive, by midnight (ms).
        """
        settings = self.settings(symbol)
        if settings is None or settings.source != "trades":
            return {}
        return {day: origin.sha256 for day, origin in origins(self._store, symbol).items()}

    def row(self, symbol: str, day: int) -> tuple[object, ...] | None:
        """Makes the row of a day's profile.

        Args:
            symbol: the symbol.
            day: midnight, ms.

        Returns:
            The row; None where nothing was traded.
        """
        settings = self.settings(symbol)
        if settings is None:
            return None
        # Before the candles are read: what is stored meanwhile makes the row one to be written again.
        provenance = self._provenance(symbol, day, settings)
        made = day_profile(self._store, symbol, settings, day)
        return None if made is None else tables.profile_row(symbol, made, provenance[1])

    async def differing(
        self,
        connection: Any,  # noqa: ANN401 - asyncpg is imported only where it is enabled
        day: int,
        symbols: Iterable[str],
        known: Callable[[str], Provenance | None] | None = None,
    ) -> list[Differing]:
        """Finds the profiles of a day that differ from the table; call it in a transaction.

        Those computed from other candles or settings are still to be written, and are no difference.

        Args:
            connection: of the database.
            day: which.
            symbols: whose.
            known: what was written of a symbol; without it, what the table has of its rows.

        Returns:
            The differing profiles.
        """
        wanted = [symbol for symbol in symbols if day in self.days(symbol)]
        there = await tables.profile_rows(connection, day, wanted)
        found = []
        for symbol in wanted:
            row = there.get(symbol)
            had = known(symbol) if known is not None else None if row is None else tables.provenance_of(row)
            provenance = self.provenance(symbol, day)
            if provenance is None or (had is None and known is not None) or (had and had != provenance):
                continue
            made = self.row(symbol, day)
            if made is not None and made != row and self.provenance(symbol, day) == provenance:
                found.append(Differing(symbol, day, row is not None))
        return found


def days_of(minutes: Coverage) -> list[int]:
    """Lists the UTC days that contain any of some minutes.

    Args:
        minutes: the minutes.

    Returns:
        Midnights, ms, ascending.
    """
    return sorted({day for a, b in minutes.intervals for day in range(a // DAY_MS * DAY_MS, b, DAY_MS)})


def resting_on(minutes: Coverage) -> set[int]:
    """Lists the days whose profiles may be computed from some minutes: theirs, and those after them.

    Args:
        minutes: the minutes.

    Returns:
        Midnights, ms.
    """
    return {day + n * DAY_MS for day in days_of(minutes) for n in range(DAYS_BEFORE + 1)}
