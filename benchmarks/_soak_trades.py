"""A soak's faults of trades, and whether ladders are right at its end."""

from __future__ import annotations

import random

import numpy as np

from benchmarks._soak_messages import Outcome
from tui_feeder.config import Config
from tui_feeder.engine.analytics.orderflow.reconcile import Known
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import EMPTY, span
from tui_feeder.engine.derived.stored_ladders import known_minutes, origins, read_ladder
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.fault_kinds import Value
from tui_feeder.simulator.market import TAKER, TRADES, VOLUME, Market

#: What befalls trades, and for how long it may, s. What an archive shows while such a fault lasts, would stay
#: so: therefore none that files show too.
_FAULTS: tuple[tuple[str, str | None, dict[str, Value]], ...] = (
    ("missing-trades", "stream", {"share": 0.2}),
    ("missing-trades", "rest", {"share": 0.2}),
    ("zero-trade", None, {"shown": True}),
    ("zero-trade", None, {"shown": False}),
    ("disconnect", None, {"code": "1006"}),
    ("silence", None, {}),
)
_LONGEST = 1_800.0
#: A fault begins every so many minutes, in the mean.
_EVERY = 40


class TradeFaults:
    """Draws faults of trades; asked every ten minutes.

    Args:
        seed: of the dice.
    """

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(f"trades {seed}")

    def draw(self, exchange: Exchange) -> None:
        """Begin a fault, or none."""
        if self._dice.random() < 10 / _EVERY:
            name, target, given = self._dice.choice(_FAULTS)
            duration = None if name == "disconnect" else self._dice.uniform(10, _LONGEST)
            exchange.faults.switch_on(name, None, target=target, duration=duration, count=None, **given)


def judge_ladders(store: Store, config: Config, market: Market, symbol: str, outcome: Outcome) -> None:
    """Hold ladders against the exchange's own minutes.

    Of days that are over every minute is exact. Else every minute that counts as exact has the sums
    of its minute, and every partial one the share that is there.
    """
    present = store.present(symbol)
    last = (present.end - MINUTE_MS) // DAY_MS * DAY_MS
    wrong, inexact = EMPTY, EMPTY
    known_days = origins(store, symbol)
    for day in range(present.start // DAY_MS * DAY_MS, last + DAY_MS, DAY_MS):
        if last - day > config.trades.days * DAY_MS:
            continue
        ladder = read_ladder(store, symbol, day)
        over = day in known_days
        if ladder is None or (not over and day < last - DAY_MS):
            inexact = inexact.union(present.clip(day, day + DAY_MS))
            continue
        candles, known = known_minutes(store, symbol, ladder)
        truth = market.minutes(symbol, day, day + DAY_MS)
        instrument = market.instruments[symbol]
        unit = 10**instrument.quantity_decimals
        by_time = dict(zip(truth.times.tolist(), truth.values.tolist(), strict=True))
        numbers = ladder.levels["minute"]
        for at, time in enumerate(candles["open_time"].tolist()):
            how, number = Known(int(known.known[at])), (time - day) // MINUTE_MS
            levels = ladder.levels[slice(*np.searchsorted(numbers, (number, number + 1)).tolist())]
            bought, sold = (int(levels[name].sum()) for name in ("bought", "sold"))
            # Whole numbers of the ladder's last place, and of the exchange's.
            scale = 10**ladder.quantity_places
            right = by_time[time]
            same = (
                (bought + sold) * unit == int(right[VOLUME]) * scale
                and bought * unit == int(right[TAKER]) * scale
                and int(levels["trades"].sum()) == int(right[TRADES])
            )
            share = (bought + sold) / scale / (int(right[VOLUME]) / unit) if right[VOLUME] else 1.0
            labelled = same == (how is Known.EXACT) and (
                how is not Known.PARTIAL or abs(min(share, 1 / share) - known.shares[at]) < 1e-9
            )
            outcome.ladders += how is Known.EXACT
            outcome.partial += how is Known.PARTIAL
            if not labelled:
                wrong = wrong.union(span(time, time + MINUTE_MS))
            elif over and how is not Known.EXACT:
                inexact = inexact.union(span(time, time + MINUTE_MS))
    outcome.mislabelled += outcome.find("ladders mislabelled", symbol, wrong)
    outcome.inexact += outcome.find("not exact though the archive came", symbol, inexact)


def with_archives(store: Store, config: Config, symbols: list[str], now: int) -> bool:
    """Whether the trades of every day whose file is due are read, and all that rests on them is published."""
    day = (now - 12 * 60 * MINUTE_MS) // DAY_MS * DAY_MS - DAY_MS
    for symbol in symbols:
        first = max(store.present(symbol).start // DAY_MS * DAY_MS, day - (config.trades.days - 2) * DAY_MS)
        wanted = set(range(first, day + DAY_MS, DAY_MS))
        if not wanted <= set(origins(store, symbol)):
            return False
    return True
