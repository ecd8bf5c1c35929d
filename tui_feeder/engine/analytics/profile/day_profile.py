"""The volume profile of a UTC day: how much was traded at which price.

Rows are a dense grid of prices (:class:`~tui_feeder.price_grid.PriceGrid`) from the lowest to the
highest row that a candle touched. `profile_of` makes the profile of a whole day at once, `LiveProfile`
keeps it one candle at a time; both give the same bits for the same candles.

The heaviest row is the point of control (POC); ties go to the higher price. The value area grows from it
until it holds at least ``value_area_percentage`` of the weight: all at once in :mod:`.value_area`, kept
from candle to candle in :mod:`.incremental_value_area`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import msgspec
import numpy as np

from tui_feeder.engine.analytics.profile.increments import (
    DAYS_BEFORE,
    HOURS,
    DayRange,
    Misfit,
    adaptive_increment,
    auto_increment,
    hours_left,
    misfit,
    typical_range,
)
from tui_feeder.engine.analytics.profile.rows import MAX_ROWS, PointRows
from tui_feeder.engine.analytics.profile.rows import Rows as ProfileRows
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.uniform_rows import UniformRows
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Rows
from tui_feeder.engine.core.decimals import Floats, Sum
from tui_feeder.price_grid import PriceGrid


class ProfileFigures(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The derived values of a profile."""

    day: int  # ms, midnight UTC
    increment: float
    poc: float
    vah: float
    val: float
    vwap: float | None  # None while nothing was traded (TPO only)
    total_volume: float  # base asset
    value_area_volume: float  # base asset
    value_area_percent: float  # share of the weight inside, 0..100
    min_price: float
    max_price: float
    candles: int
    last_minute: int  # open time of the last candle counted
    # Of profiles made of trades:
    exact_share: float | None = None  # of the volume, of minutes whose trades are all there, 0..1
    buy_volume: float | None = None  # what takers bought in the row of the POC, base asset
    sell_volume: float | None = None  # what they sold in it


class DayProfile(ProfileFigures, frozen=True, gc=False, kw_only=True):
    """A profile with its rows: row ``i`` of ``weights`` is row ``low_index + i`` of the price grid."""

    low_index: int
    weights: Floats  # volume (base asset), or the number of candles in TPO

    @property
    def prices(self) -> Floats:
        """The price of each row, ascending."""
        return PriceGrid(self.increment).prices(self.low_index, len(self.weights))


def empty_rows(settings: ProfileSettings, increment: float) -> ProfileRows:
    """Makes rows for candles to be placed on.

    Args:
        settings: how they are spread, and how the value area grows.
        increment: row height, quote currency.

    Returns:
        Rows without a candle.
    """
    grid, tpo = PriceGrid(increment), settings.calculation_mode == "TPO"
    step = 2 if settings.value_area_calculation_mode == "Traditional" else 1
    if settings.volume_distribution_mode == "UniformOHLC":
        return UniformRows(grid, tpo, step, settings.value_area_percentage)
    return PointRows(grid, settings.volume_distribution_mode, tpo, step, settings.value_area_percentage)


class LiveProfile:
    """The profile of the current UTC day, one closed candle at a time."""

    __slots__ = (
        "_before",
        "_every",
        "_history",
        "_hours",
        "_max",
        "_min",
        "_quote",
        "_rows",
        "_settled_span",
        "_stated",
        "_typical",
        "candles",
        "day",
        "last_minute",
        "settings",
    )  # fmt: skip

    def __init__(self, settings: ProfileSettings) -> None:
        self.settings = settings
        self._every = settings.every
        self._stated = settings.price_increment_mode == "Fixed"
        self._before: tuple[DayRange, ...] = ()  # of the days before, ascending
        self.day = 0
        self.candles = 0
        self._min, self._max = float("inf"), 0.0
        self._clear(0)

    def _clear(self, day: int) -> None:
        """Begin a day; the one before it becomes one of those whose ranges count."""
        before = self._before
        if self.candles:
            before = (*before, DayRange(self.day, self.candles, self._min, self._max))
        self._before = tuple(
            day_range for day_range in before if day - DAYS_BEFORE * DAY_MS <= day_range.day < day
        )
        self._typical = typical_range(self._before)
        self.day = day
        self.candles = 0
        self.last_minute = 0
        self._min, self._max = float("inf"), 0.0
        self._quote = Sum()
        self._settled_span = -1.0
        self._hours = HOURS  # left of the day when its increment was found
        # high, low, close, volume of each candle of the day: rows of another increment are made from them.
        self._history = array("d")
        self._rows: ProfileRows = empty_rows(self.settings, self.settings.fixed_price_increment)

    @property
    def before(self) -> tuple[DayRange, ...]:
        """The ranges of the days before the current one that its increment may rest on."""
        return self._before

    def load(self, rows: Rows, before: Iterable[DayRange] = ()) -> None:
        """Start again with ``rows`` (dtype ROW, one UTC day, in order), as if each had been added.

        Args:
            rows: the minutes of the day so far.
            before: the ranges of the days before, ascending; see :data:`~.increments.DAYS_BEFORE`.
        """
        before, self.candles = tuple(before), 0
        if not len(rows):
            self._clear(0)
            self._before = before  # which of them count depends on the first candle
            return
        self._before = before
        self._clear(int(rows["open_time"][0]) // DAY_MS * DAY_MS)
        self.candles = len(rows)
        self.last_minute = int(rows["open_time"][-1])
        high, low, close, volume = (np.ascontiguousarray(rows[n]) for n in ("high", "low", "close", "volume"))
        self._min, self._max = float(low.min()), float(high.max())
        self._quote.load(np.ascontiguousarray(rows["quote_volume"]))
        if not self._stated:
            self._history.frombytes(np.column_stack((high, low, close, volume)).tobytes())
            self._adapt()
        self._rows.load(high, low, close, volume)

    @property
    def increment(self) -> float:
        """The height of a row, quote currency."""
        return self._rows.grid.increment

    def place(self, rows: ProfileRows) -> ProfileRows:
        """Puts other rows of the same height in the place of those of the loaded day; all else stays.

        Args:
            rows: the volume of the day, placed otherwise.

        Returns:
            Those that were there.
        """
        self._rows, before = rows, self._rows
        return before

    def add(self, candle: Candle) -> None:
        """Adds a minute; the first one of another UTC day starts a new profile.

        Args:
            candle: a closed one-minute candle, later than all before.
        """
        anew = self._note(candle)
        high, low = candle.high, candle.low
        if not self._stated:
            self._history.extend((high, low, candle.close, candle.volume))
            if anew:
                columns = np.frombuffer(self._history, dtype=np.float64).reshape(-1, 4).T
                self._rows.load(*(np.ascontiguousarray(column) for column in columns))
                return
        self._rows.add(high, low, candle.close, candle.volume)

    def _note(self, candle: Candle) -> bool:
        """Counts a minute that is not on the rows yet; whether these are others now, and empty."""
        day = candle.open_time - candle.open_time % DAY_MS
        if day != self.day or not self.candles:
            self._clear(day)
        high, low = candle.high, candle.low
        self.candles += 1
        self.last_minute = candle.open_time
        self._quote.add(candle.quote_volume)
        grown = high > self._max or low < self._min
        if grown:
            self._max, self._min = max(high, self._max), min(low, self._min)
        changes = not self._stated and (grown or hours_left(candle.open_time) != self._hours)
        return changes and self._adapt()

    def _adapt(self) -> bool:
        """Empty rows of a new increment if the range of the day, or its hour, asks for one."""
        span, hours = self._max - self._min, hours_left(self.last_minute)
        if span < self._settled_span and hours == self._hours:
            return False
        self._hours = hours
        if self.settings.price_increment_mode == "Auto":
            increment = auto_increment(self._min, self._max, self._typical, self.settings, hours)
            most = 2 * self.settings.target_price_levels
            # Rows of a calm day are finer than those it began with, and may grow at any step.
            calm = bool(self._typical) and increment < auto_increment(0.0, 0.0, self._typical, self.settings)
        else:
            increment = adaptive_increment(self._min, self._max, self.settings)
            most, calm = self.settings.target_price_levels, False
        # Below this span the same increment follows in this hour (margin: float against decimal).
        self._settled_span = increment * most * (1 - 1e-9) if span and not calm else 0.0
        if increment == self._rows.grid.increment and self._rows.first <= self._rows.last:
            return False
        self._rows = empty_rows(self.settings, increment)
        return True

    @property
    def due(self) -> bool:
        """Whether the derived values are to be published after the last candle.

        With the first candle of the day, every ``settings.every`` candles, and with the day's last minute.
        """
        n = self.candles
        every = self._every
        return every == 1 or n == 1 or n % every == 0 or self.last_minute == self.day + DAY_MS - MINUTE_MS

    @property
    def fault(self) -> str:
        """Why there is no profile although there are candles; empty where there is one."""
        if not self._rows.refused:
            return ""
        return (
            f"the day's range takes more than {MAX_ROWS:,} rows of {self._rows.grid.increment}: "
            "choose a larger price increment"
        )

    @property
    def misfit(self) -> Misfit | None:
        """Why a stated increment does not fit the symbol; None if it does, or none is stated."""
        return misfit(self._min, self._max, self._typical, self.settings) if self.candles else None

    def figures(self) -> ProfileFigures | None:
        """The derived values now, or None while no row has weight."""
        area = self._rows.area()
        if area is None:
            return None
        poc, high, low, percent, inside, total = area
        price = self._rows.grid.price
        return ProfileFigures(
            self.day,
            self._rows.grid.increment,
            price(poc),
            price(high),
            price(low),
            self._quote.raw / total if total > 0 else None,
            total,
            inside,
            percent,
            self._min,
            self._max,
            self.candles,
            self.last_minute,
            *self._of_trades(poc),
        )

    def _of_trades(self, poc: int) -> tuple[float | None, float | None, float | None]:
        """What is known of trades: :attr:`ProfileFigures.exact_share` and what follows it."""
        del poc
        return None, None, None

    def profile(self) -> DayProfile | None:
        """The profile now, rows included, or None while no row has weight."""
        figures = self.figures()
        if figures is None:
            return None
        rows = self._rows.dense()
        rows.flags.writeable = False
        values = {name: getattr(figures, name) for name in ProfileFigures.__struct_fields__}
        return DayProfile(**values, low_index=self._rows.first, weights=rows)


def profile_of(rows: Rows, settings: ProfileSettings, before: Iterable[DayRange] = ()) -> DayProfile | None:
    """Computes the volume profile of a day.

    Args:
        rows: shape (n,), dtype ROW, the minutes of one UTC day, in order.
        settings: what shapes it.
        before: the ranges of the days before, which Auto begins with.

    Returns:
        The profile, or None if no row has weight.

    Raises:
        ValueError: the rows span more than one day.
    """
    if len(rows) and int(rows["open_time"][0]) // DAY_MS != int(rows["open_time"][-1]) // DAY_MS:
        raise ValueError("a profile is of one UTC day")
    profile = LiveProfile(settings)
    profile.load(rows, before)
    return profile.profile()
