"""A soak's faults of trades, and whether ladders are right at its end."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from benchmarks._soak_messages import Outcome, utc
from tui_feeder.config import Config
from tui_feeder.engine.analytics.orderflow.reconcile import Known
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS
from tui_feeder.engine.core.coverage import EMPTY, span
from tui_feeder.engine.derived.stored_ladders import known_minutes, origins, read_ladder
from tui_feeder.engine.storage.store import Store
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.fault_kinds import Value
from tui_feeder.simulator.faults import make_fault
from tui_feeder.simulator.market import TAKER, TRADES, VOLUME, Ints
from tui_feeder.simulator.tape import Tape
from tui_feeder.simulator.trade_faults import changed, wrongs
from tui_feeder.simulator.trades import Trades

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
#: What befalls one symbol each all the time, in stream, REST and files alike: with the last two no minute of
#: it may ever equal its candle.
_STANDING: tuple[tuple[str, str | None, dict[str, Value]], ...] = (
    ("late-archive", "aggTrades", {"hours": 3.0}),
    ("insurance-fills", None, {"share": 0.02}),
    ("straddling-trades", None, {"ms": 2.0}),
)
_LONGEST = 1_800.0
#: A fault begins every so many minutes, in the mean.
_EVERY = 40


class TradeFaults:
    """Draws faults of trades; asked every ten minutes.

    Args:
        seed: of the dice.
        symbols: whose trades are followed.
    """

    def __init__(self, seed: int, symbols: Sequence[str]) -> None:
        self._dice = random.Random(f"trades {seed}")
        self._struck = list(zip(symbols, _STANDING, strict=False))

    def stand(self, exchange: Exchange) -> None:
        """Begin those that are there all the time."""
        for symbol, (name, target, given) in self._struck:
            exchange.faults.add(make_fault(name, symbol, target=target, parameters=given))

    def draw(self, exchange: Exchange) -> None:
        """Begin a fault, or none."""
        if self._dice.random() < 10 / _EVERY:
            name, target, given = self._dice.choice(_FAULTS)
            duration = None if name == "disconnect" else self._dice.uniform(10, _LONGEST)
            exchange.faults.switch_on(name, None, target=target, duration=duration, count=None, **given)


def judge_ladders(store: Store, config: Config, exchange: Exchange, symbol: str, outcome: Outcome) -> None:
    """Hold ladders against the exchange's own minutes, and against all the trades that it shows.

    Every minute that counts as exact has the sums of its minute, and every partial one the share that is
    there. Of days whose file came every minute has the sums of the trades that the exchange shows of it.
    """
    market = exchange.market
    present = store.present(symbol)
    last = (present.end - MINUTE_MS) // DAY_MS * DAY_MS
    wrong, inexact = EMPTY, EMPTY
    known_days = origins(store, symbol)
    made = Trades(market, Tape(market))
    for day in range(present.start // DAY_MS * DAY_MS, last + DAY_MS, DAY_MS):
        if last - day > config.trades.days * DAY_MS:
            continue
        ladder = read_ladder(store, symbol, day)
        over = day in known_days
        if ladder is None or (not over and day < last - DAY_MS):
            inexact = inexact.union(present.clip(day, day + DAY_MS))
            continue
        shown = _shown(made, exchange, symbol, day) if over else None
        candles, known = known_minutes(store, symbol, ladder)
        truth = market.minutes(symbol, day, day + DAY_MS)
        instrument = market.instruments[symbol]
        unit = 10**instrument.quantity_decimals
        by_time = dict(zip(truth.times.tolist(), truth.values.tolist(), strict=True))
        numbers = ladder.levels["minute"]
        for at, time in enumerate(candles["open_time"].tolist()):
            how, number = Known(int(known.known[at])), (time - day) // MINUTE_MS
            levels = ladder.levels[slice(*np.searchsorted(numbers, (number, number + 1)).tolist())]
            # Whole numbers of the ladder's last place, and of the exchange's.
            scale = 10**ladder.quantity_places
            right = by_time[time]
            sums = [int((levels["bought"] + levels["sold"]).sum()), int(levels["bought"].sum())]
            sums = [amount * unit for amount in sums] + [int(levels["trades"].sum())]
            same = sums == [int(right[VOLUME]) * scale, int(right[TAKER]) * scale, int(right[TRADES])]
            share = sums[0] / scale / int(right[VOLUME]) if right[VOLUME] else 1.0
            labelled = same == (how is Known.EXACT) and (
                how is not Known.PARTIAL or abs(min(share, 1 / share) - known.shares[at]) < 1e-9
            )
            outcome.ladders += how is Known.EXACT
            outcome.partial += how is Known.PARTIAL
            if not labelled:
                wrong = wrong.union(span(time, time + MINUTE_MS))
            elif shown is not None:
                volume, taker, trades = shown[number].tolist()
                if sums != [volume * scale, taker * scale, trades]:
                    missing = ladder.minutes["missing"][ladder.minutes["minute"] == number].tolist()
                    outcome.findings.append(
                        f"{symbol} {utc(time)}: {sums[2]} trades of {trades}, {sums[0] / scale / unit:g} of "
                        f"{volume / unit:g}, by its candle {int(right[TRADES])}; ids missing {missing}"
                    )
                    inexact = inexact.union(span(time, time + MINUTE_MS))
    outcome.mislabelled += outcome.find("ladders mislabelled", symbol, wrong)
    outcome.inexact += outcome.find("not all trades though the archive came", symbol, inexact)


def _shown(made: Trades, exchange: Exchange, symbol: str, day: int) -> Ints:
    """What the exchange's trades of each minute come to by their own times: volume, taker volume, trades."""
    wanted = wrongs(exchange.faults, symbol, "archive", count=False)
    sums = np.zeros((DAY_MS // MINUTE_MS, 3), dtype=np.int64)
    for rows in (made.minute(symbol, day - MINUTE_MS), *made.day(symbol, day // DAY_MS)):
        rows = changed(rows, wanted)
        rows = rows.where((rows.times >= day) & (rows.times < day + DAY_MS))
        minutes = (rows.times - day) // MINUTE_MS
        bought = np.where(rows.makers, 0, rows.quantities)
        for column, values in enumerate((rows.quantities, bought, rows.lasts - rows.firsts + 1)):
            np.add.at(sums[:, column], minutes, values)
    return sums


def with_archives(store: Store, config: Config, symbols: list[str], now: int) -> bool:
    """Whether the trades of every day whose file is due are read, and all that rests on them is published."""
    day = (now - 12 * 60 * MINUTE_MS) // DAY_MS * DAY_MS - DAY_MS
    for symbol in symbols:
        first = max(store.present(symbol).start // DAY_MS * DAY_MS, day - (config.trades.days - 2) * DAY_MS)
        wanted = set(range(first, day + DAY_MS, DAY_MS))
        if not wanted <= set(origins(store, symbol)):
            return False
    return True
