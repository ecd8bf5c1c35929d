"""One symbol of a replay: its pipeline at the moment, and what a screen shows of it."""

from __future__ import annotations

from collections.abc import Callable

from tui_feeder.config import Config
from tui_feeder.engine.analytics.message import Message
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, to_candles
from tui_feeder.engine.core.day_window import DayWindow
from tui_feeder.engine.core.decimals import places
from tui_feeder.engine.derived.count_minute import count_minute
from tui_feeder.engine.derived.increment_fit import profile_note
from tui_feeder.engine.derived.inputs import inputs_of, load_pipeline
from tui_feeder.engine.derived.minute_ladders import Ladders
from tui_feeder.engine.derived.settings import indicators_of
from tui_feeder.engine.snapshots import timeframe_views
from tui_feeder.engine.storage.store import Store
from tui_feeder.monitor import SymbolState, SymbolView

_HOUR_MS = 60 * MINUTE_MS
#: Read ahead at once.
_AHEAD_MS = 4 * 60 * MINUTE_MS
#: As long after its minute a candle has come in a live feeder; later it is late, then stale.
_LATE_MS, _STALE_MS = 5_000, 90_000


class SymbolReplay:
    """The state of one symbol at :attr:`reached`, as a live engine had it with the same candles.

    Args:
        store: where the candles are.
        config: whose analysis settings shape the numbers.
        symbol: stored in it.
        moment: ms, a whole minute: every candle that closed up to it is counted.

    Raises:
        StoreError: the store is closed.
    """

    def __init__(self, store: Store, config: Config, symbol: str, moment: int) -> None:
        self.symbol = symbol
        self.reached = moment
        self.messages = 0  # made since the load
        self.tick_size = inputs_of(store, symbol).tick_size
        self._store = store
        self._stored = self._state()
        self._spans = [kind.span(period) for kind, period in indicators_of(config)]
        self._pipeline = load_pipeline(store, config, symbol, moment)
        self._ladders = Ladders(store)
        recent = store.read(symbol, moment - DAY_MS - MINUTE_MS, moment)
        self._day = DayWindow()
        self._day.load(recent)
        last = to_candles(recent[-2:])
        self._last = last[-1] if last else None
        self._before_last = last[0].close if len(last) == 2 else None
        self._decimals = _decimals(self.tick_size, [candle.close for candle in to_candles(recent[-60:])])
        self._config = config
        self._profile_note = profile_note(config, self._pipeline)[0]
        self._ahead: list[Candle] = []  # the next one last
        self._read_to = moment

    @property
    def message(self) -> Message | None:
        """The message of the last minute; None before the first."""
        return self._pipeline.message()

    @property
    def last_closed(self) -> int | None:
        """Open time of the last minute counted, if it is not older than a day."""
        return None if self._last is None else self._last.open_time

    @property
    def outdated(self) -> bool:
        """Whether minutes up to its moment were stored or replaced since they were counted."""
        edition, minutes = self._state()
        return (edition, minutes - self.messages) != self._stored

    def _state(self) -> tuple[int, int]:
        """The edition of the stored minutes, and how many there are up to the moment."""
        present = self._store.present(self.symbol)
        return self._store.edition(self.symbol), present.clip(0, self.reached).minutes

    def advance(self, moment: int, on_message: Callable[[Candle, Message], None]) -> None:
        """Adds every candle that closes up to a moment.

        Args:
            moment: ms.
            on_message: called with each candle and its message.

        Raises:
            StoreError: the store is closed.
        """
        while self.reached < moment:
            if self.reached >= self._read_to:
                self._read_to = self.reached + _AHEAD_MS
                self._ahead = to_candles(self._store.read(self.symbol, self.reached, self._read_to))[::-1]
            until = min(moment, self._read_to)
            while self._ahead and self._ahead[-1].open_time < until:
                self._count(self._ahead.pop(), on_message)
            self.reached = until

    def _count(self, candle: Candle, on_message: Callable[[Candle, Message], None]) -> None:
        message = count_minute(self._store, self._pipeline, candle, ladders=self._ladders)
        self._before_last = None if self._last is None else self._last.close
        self._last = candle
        self._day.add(candle)
        if candle.open_time % _HOUR_MS == 0:
            self._profile_note = profile_note(self._config, self._pipeline)[0]
        self.messages += 1
        on_message(candle, message)

    def view(self, moment: int, first: int, missing: int) -> SymbolView:
        """Makes what the screen shows at a moment.

        Args:
            moment: not before :attr:`reached`.
            first: open time of the first stored minute.
            missing: minutes from there on that are not stored.

        Returns:
            The immutable view.
        """
        state, reason = self._health(moment)
        last, before = self._last, self._before_last
        message = self.message
        profile = message.profile if message is not None else None
        day_ago = self._day.day_ago
        return SymbolView(
            symbol=self.symbol,
            state=state,
            reason=reason,
            price_decimals=self._decimals,
            price=last.close if last is not None else None,
            change_1m=(last.close / before - 1.0) * 100.0 if last is not None and before else None,
            change_24h=(last.close / day_ago - 1.0) * 100.0 if last is not None and day_ago else None,
            volume_24h=self._day.quote_volume,
            timeframes=timeframe_views(self._pipeline.timeframe_states(), self._spans, moment - _LATE_MS),
            poc=profile.poc if profile is not None else None,
            vwap=profile.vwap if profile is not None else None,
            vah=profile.vah if profile is not None else None,
            val=profile.val if profile is not None else None,
            last_frame=last.open_time + MINUTE_MS if last is not None else None,
            last_closed=self.last_closed,
            missing_minutes=missing,
            messages=self.messages,
            first_minute=first,
            stored=(self._stored[0], self._stored[1] + self.messages),
            day_closes=self._day.half_hours,
            profile_note=self._profile_note,
            high_24h=self._day.high,
            low_24h=self._day.low,
            relative_volume=self._pipeline.relative_volume,
            cvd_day=None if (day := self._pipeline.day_delta) is None else day[0],
            day_volume=None if day is None else day[1],
        )

    def _health(self, moment: int) -> tuple[SymbolState, str]:
        if self._last is None:
            return SymbolState.WAITING, "no minute of the day before is stored"
        overdue = moment - self._last.open_time - 2 * MINUTE_MS
        if overdue <= _LATE_MS:
            return SymbolState.LIVE, ""
        state = SymbolState.STALE if overdue > _STALE_MS else SymbolState.LATE
        return state, f"no minute is stored for {(overdue + MINUTE_MS) // 1000} s"


def _decimals(tick_size: float | None, closes: list[float]) -> int:
    """Decimals of the prices: of the tick size, or where that is not known the most that a close has."""
    return max((places(price) for price in ([tick_size] if tick_size else closes)), default=2)
