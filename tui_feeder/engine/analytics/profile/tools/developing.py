"""How point of control, value area and VWAP developed over a day: what was known after each minute."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tui_feeder.engine.analytics.orderflow.packing import DaySums, joined_day_sums
from tui_feeder.engine.analytics.profile.day_profile import LiveProfile, empty_rows
from tui_feeder.engine.analytics.profile.increments import DayRange
from tui_feeder.engine.analytics.profile.rows import Rows as ProfileRows
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import MINUTE_MS, ROW, Rows, to_candles
from tui_feeder.engine.core.decimals import Floats, Ints

_NONE = (float("nan"),) * 4
#: Sums of ladders that wait to be added up: all of a day at once would hold up a screen.
_MOST_SUMS = 64


class Developing(NamedTuple):
    """The levels after each of some minutes; NaN while there is none."""

    times: Ints  # (n,) end of the minute, ms
    poc: Floats
    vah: Floats
    val: Floats
    vwap: Floats


class DevelopingLevels:
    """Follows a day's profile, as many minutes at a time as there are; the values are those of its messages.

    Minutes with a ladder lie where they were traded, as in every profile of trades.

    Args:
        settings: what shapes the profile.
        before: the ranges of the days before, which Auto begins with.
        every: minutes of the day from one point to the next.
    """

    def __init__(self, settings: ProfileSettings, before: Iterable[DayRange] = (), every: int = 1) -> None:
        self._settings = settings
        self._step = every * MINUTE_MS
        self._live = LiveProfile(settings)
        self._live.load(np.empty(0, dtype=ROW), before)
        self._counted: list[Rows] = [np.empty(0, dtype=ROW)]
        self._volumes: list[MinuteVolume] = []  # that are not placed yet
        self._sums: list[DaySums] = []  # of the ladders of all minutes
        self._of_trades: ProfileRows | None = None
        self._times: list[int] = []
        self._points: list[tuple[float, ...]] = []

    @property
    def _rows(self) -> Rows:
        """The minutes that were counted."""
        if len(self._counted) > 1:
            self._counted = [np.concatenate(self._counted)]
        return self._counted[0]

    def rest(self, rows: Rows) -> Rows | None:
        """Finds the minutes that were not counted yet.

        Args:
            rows: shape (n,), dtype ROW, all minutes of the day so far, in order; none of those that were
                counted has changed.

        Returns:
            The later ones; None where minutes came in between, so that it must begin anew.
        """
        counted = self._rows
        same = np.array_equal(counted["open_time"], rows["open_time"][: len(counted)])
        return rows[len(counted) :] if same else None

    def parts(self, rows: Rows) -> list[Rows]:
        """Divides minutes at the points.

        Args:
            rows: shape (n,), dtype ROW, the next ones.

        Returns:
            What :meth:`add` takes, one after the other.
        """
        ends = rows["open_time"] + MINUTE_MS
        cuts = np.flatnonzero(ends % self._step == 0) + 1
        return [rows[a:b] for a, b in pairwise([0, *cuts.tolist(), len(rows)]) if a < b]

    def add(self, rows: Rows, sums: DaySums | None = None) -> None:
        """Counts the next minutes.

        Args:
            rows: shape (n,), dtype ROW, one of :meth:`parts`.
            sums: of the ladders of these minutes; None without any.
        """
        for candle in to_candles(rows):
            self._live.add(candle)
        self._counted.append(rows)
        self._volumes.append(MinuteVolume(rows, () if sums is None else (sums,)))
        if sums is not None:
            self._sums.append(sums)
            if len(self._sums) > _MOST_SUMS:
                self._sums = [joined_day_sums(*self._sums)]
        end = int(rows["open_time"][-1]) + MINUTE_MS
        if end % self._step == 0:
            self._times.append(end)
            self._points.append(self._levels())

    def _levels(self) -> tuple[float, ...]:
        """The levels after the last minute."""
        live = self._live
        if self._sums:
            candles = live.place(self._placed(live.increment))
            figures = live.figures()
            live.place(candles)  # later ones are added to these, and the height of rows rests on them
        else:
            figures = live.figures()
        if figures is None:
            return _NONE
        return figures.poc, figures.vah, figures.val, _NONE[0] if figures.vwap is None else figures.vwap

    def _placed(self, increment: float) -> ProfileRows:
        """Rows with the volume of all minutes; of the same height as before only new ones are placed."""
        rows = self._of_trades
        if rows is None or rows.grid.increment != increment:
            rows = self._of_trades = empty_rows(self._settings, increment)
            self._sums = [joined_day_sums(*self._sums)]
            columns = MinuteVolume(self._rows, self._sums).columns(rows.grid)
            if len(columns[0]):
                rows.load(*columns)
        else:
            for minutes in self._volumes:
                for high, low, close, volume in zip(
                    *(column.tolist() for column in minutes.columns(rows.grid)), strict=True
                ):
                    rows.add(high, low, close, volume)
        self._volumes.clear()
        return rows

    def lines(self) -> Developing:
        """The levels at whole multiples of ``every`` minutes of the day, and after the last minute."""
        times, points = list(self._times), list(self._points)
        if len(rows := self._rows):
            end = int(rows["open_time"][-1]) + MINUTE_MS
            if end % self._step:
                times.append(end)
                points.append(self._levels())
        columns = np.array(points, dtype=np.float64).reshape(-1, 4).T
        return Developing(np.array(times, dtype=np.int64), *(np.ascontiguousarray(part) for part in columns))


def developing(
    rows: Rows, settings: ProfileSettings, before: Iterable[DayRange] = (), every: int = 1
) -> Developing:
    """Follows a day's profile minute by minute.

    Args:
        rows: shape (n,), dtype ROW, the minutes of one UTC day, in order.
        settings: what shapes the profile.
        before: the ranges of the days before, which Auto begins with.
        every: minutes of the day from one point to the next; the last minute is always one.

    Returns:
        The levels, at whole multiples of ``every`` minutes of the day and at the end.
    """
    levels = DevelopingLevels(settings, before, every)
    for part in levels.parts(rows):
        levels.add(part)
    return levels.lines()
