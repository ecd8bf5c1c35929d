"""The volume profile of a day whose volume lies where it was traded, as far as that is known. Pure.

How each minute counts is in :mod:`tui_feeder.engine.analytics.profile.tools.traded`.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tui_feeder.digits import fifteen_digits
from tui_feeder.engine.analytics.orderflow.packing import DaySums, joined_day_sums
from tui_feeder.engine.analytics.profile.day_profile import DayProfile, LiveProfile, ProfileFigures
from tui_feeder.engine.analytics.profile.increments import DayRange
from tui_feeder.engine.analytics.profile.settings import ProfileSettings
from tui_feeder.engine.analytics.profile.tools.traded import MinuteVolume
from tui_feeder.engine.core.candle import DAY_MS, Candle, Rows, to_rows
from tui_feeder.engine.core.decimals import Floats


class TradedProfile(DayProfile, frozen=True, gc=False, kw_only=True):
    """A profile with what takers bought in each of its rows; the rest of a row's volume they sold."""

    bought: Floats | None  # of each row, base asset; None in TPO, whose rows have no volume
    exact_share: float  # of the volume that is of minutes whose trades are all there, 0..1
    known_share: float  # of the volume that is known by price: also what partial minutes have of trades


def traded_profile(
    candles: Rows, volume: MinuteVolume, settings: ProfileSettings, before: Iterable[DayRange] = ()
) -> TradedProfile | None:
    """Computes the profile of a day from its candles and ladders.

    Args:
        candles: shape (n,), dtype ROW, the minutes of one UTC day, in order.
        volume: of these candles, with their ladders.
        settings: what shapes it; rows that count candles (TPO) are those of candles.
        before: the ranges of the days before, which the increment begins with.

    Returns:
        The profile; None if no row has weight.

    Raises:
        ValueError: the candles span more than one day.
    """
    if len(candles) and int(candles["open_time"][0]) // DAY_MS != int(candles["open_time"][-1]) // DAY_MS:
        raise ValueError("a profile is of one UTC day")
    live = LiveProfile(settings)
    live.load(candles, before)
    rows = volume.rows(settings, live.increment)
    live.place(rows)
    return _with_trades(live.profile(), volume, volume.bought(settings, rows))


def _with_trades(
    profile: DayProfile | None, volume: MinuteVolume, bought: Floats | None
) -> TradedProfile | None:
    if profile is None:
        return None
    known = {name: getattr(profile, name) for name in DayProfile.__struct_fields__}
    # Rows that count candles know no price of a trade.
    known["exact_share"] = 0.0 if bought is None else volume.exact_share
    return TradedProfile(**known, bought=bought, known_share=0.0 if bought is None else volume.known_share)


class LiveTradedProfile(LiveProfile):
    """The profile of the current UTC day, one closed candle with its ladder at a time.

    However its minutes are divided between :meth:`load` and :meth:`add_traded`, it is the same to the last
    bit: rows are made of all that was counted, when they are asked for.

    Args:
        settings: what shapes it; ``calculation_mode`` Volume.
    """

    __slots__ = ("_bought", "_minutes", "_placed", "_sums", "_volume")

    def __init__(self, settings: ProfileSettings) -> None:
        self._bought: Floats | None = None
        self._volume: MinuteVolume
        super().__init__(settings)

    def _clear(self, day: int) -> None:
        super()._clear(day)
        self._minutes = to_rows([])
        self._sums: DaySums | None = None  # of the ladders
        self._placed = False

    def load(self, rows: Rows, before: Iterable[DayRange] = (), sums: DaySums | None = None) -> None:
        """Start again with ``rows`` (dtype ROW, one UTC day, in order), as if each had been added.

        Args:
            rows: the minutes of the day so far.
            before: the ranges of the days before, ascending.
            sums: of the ladders of these minutes; None where there are none.
        """
        super().load(rows, before)
        if len(rows):
            self._minutes = rows
            self._sums = sums if sums is not None and len(sums.minutes.times) else None

    def add(self, candle: Candle) -> None:
        """Adds a minute without a ladder.

        Args:
            candle: a closed one-minute candle, later than all before.
        """
        self.add_traded(candle, None)

    def add_traded(self, candle: Candle, sums: DaySums | None) -> None:
        """Adds a minute; the first one of another UTC day starts a new profile.

        Args:
            candle: a closed one-minute candle, later than all before.
            sums: of its ladder; None where there is none.
        """
        self._note(candle)
        self._minutes = np.concatenate((self._minutes, to_rows([candle])))
        if sums is not None and len(sums.minutes.times):
            self._sums = sums if self._sums is None else joined_day_sums(self._sums, sums)
        self._placed = False

    def _place(self) -> None:
        """Puts all that is counted on rows of the present height."""
        if self._placed or not self.candles:
            return
        self._volume = MinuteVolume(self._minutes, () if self._sums is None else (self._sums,))
        rows = self._volume.rows(self.settings, self.increment)
        self.place(rows)
        self._bought = None if rows.refused else self._volume.bought(self.settings, rows)
        self._placed = True

    @property
    def fault(self) -> str:
        """Why there is no profile although there are candles; empty where there is one."""
        self._place()
        return super().fault

    def figures(self) -> ProfileFigures | None:
        """The derived values now, or None while no row has weight."""
        self._place()
        return super().figures()

    def _of_trades(self, poc: int) -> tuple[float | None, float | None, float | None]:
        place = poc - self._rows.first
        volume, bought = float(self._rows.dense()[place]), self._bought
        buys = 0.0 if bought is None else fifteen_digits(float(bought[place]))
        return self._volume.exact_share, buys, fifteen_digits(volume - buys)

    def profile(self) -> TradedProfile | None:
        """The profile now, rows included, or None while no row has weight."""
        made = super().profile()
        return None if made is None else _with_trades(made, self._volume, self._bought)
