"""A monitor without an engine: symbols that walk at random from a seed, on a clock that stands still or runs.

``python -m tests.support.fake_monitor --symbols 20`` shows it on this terminal.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from concurrent.futures import Future
from dataclasses import fields, replace
from functools import cache
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from tui_feeder.day_evidence import DayState, DayView, MinuteValue, MinuteView
from tui_feeder.monitor import (
    MINUTE_MS,
    ROW,
    AlertView,
    AnchoredLine,
    ClusterView,
    Event,
    FaultOption,
    FootprintBar,
    FootprintView,
    FormingView,
    GapView,
    IndicatorView,
    LevelLines,
    MinuteState,
    NakedPoc,
    OwnedPartitionView,
    PeakView,
    ProfileView,
    Progress,
    RangeView,
    ReceiverView,
    Rows,
    RulesView,
    RuleView,
    Snapshot,
    Spans,
    StreamMinute,
    StreamView,
    SymbolNumbers,
    SymbolState,
    SymbolView,
    TakeoverView,
    TimeframeView,
    TradesView,
    WorkerView,
)

#: 2026-02-03 14:03:22 UTC, a Tuesday.
NOON = 1_770_127_402_000
TIMEFRAMES = (60, 300, 900, 3_600, 14_400)
PERIODS = (21, 89)
INDICATORS = tuple(IndicatorView("ema", "EMA", period, "quote asset", True) for period in PERIODS)
DAY_MS = 86_400_000
_FIELDS = tuple(field.name for field in fields(SymbolView))
_ALL_FIELDS = attrgetter(*_FIELDS)
_PRICE, _LAST_FRAME, _CHANGE_1M = map(_FIELDS.index, ("price", "last_frame", "change_1m"))

_NAMED = (
    ("BTCUSDT", 60_123.4, 2), ("ETHUSDT", 2_981.17, 2), ("SOLUSDT", 141.77, 2), ("BNBUSDT", 612.4, 2),
    ("XRPUSDT", 0.5934, 4), ("DOGEUSDT", 0.12345, 5), ("1000PEPEUSDT", 0.0071234, 7), ("AVAXUSDT", 27.31, 3),
    ("币安人生USDT", 0.18342, 5), ("LINKUSDT", 13.902, 3), ("FILUSDT", 4.412, 3), ("XECUSDT", 0.00002345, 8),
)  # fmt: skip


class FakeMonitor:
    """Implements ``tui_feeder.monitor.Monitor``.

    Args:
        symbols: how many.
        changes: prices that change a second of real time; 0 freezes clock and prices.
        seed: of the walk.
    """

    def __init__(self, symbols: int = 12, changes: float = 0.0, seed: int = 7) -> None:
        self._random = random.Random(seed)
        self._changes = changes
        self._started = self._pulled = time.monotonic()
        self._due = 0.0
        self._bars: dict[tuple[str, int], Rows] = {}
        self.now = NOON
        self.calls: list[str] = []
        self.bars_at_most = 10_000
        names = [*_NAMED, *((f"COIN{i}USDT", 1.0 + i, 3) for i in range(len(_NAMED), symbols))][:symbols]
        self.views = {name: self._view(name, price, decimals) for name, price, decimals in names}
        self.gaps: tuple[GapView, ...] = ()
        self.stream_minutes = tuple(
            StreamMinute(round(60 + 9 * math.sin(minute / 7), 2), round(40 + 8 * math.cos(minute / 5), 1))
            for minute in range(60)
        )
        self.trades: TradesView | None = None
        self.events: tuple[Event, ...] = ()
        self.alerts: tuple[AlertView, ...] = ()
        self.rules = RulesView(file="/home/trader/.config/feeder-tui/config.toml")
        self.rule_fault = ""
        self.cluster: ClusterView | None = None
        self.receivers: dict[str, ReceiverView] = {}
        self.state = "live"
        self.not_ready = ""
        self.sequence = 0

    def _view(self, name: str, price: float, decimals: int) -> SymbolView:
        self._bars |= {(name, timeframe): walk_to(name, timeframe, price) for timeframe in TIMEFRAMES}
        profile = self._profile(name, decimals)
        day = self._bars[name, 900][-96:]
        return SymbolView(
            symbol=name, state=SymbolState.LIVE, reason="", price_decimals=decimals, price=price,
            change_1m=self._random.gauss(0, 0.2), change_24h=self._random.gauss(0, 3),
            volume_24h=10 ** self._random.uniform(6, 10), timeframes=timeframes_of(name, price),
            poc=profile.poc, vwap=profile.vwap, vah=profile.vah, val=profile.val,
            last_frame=self.now - self._random.randrange(0, 900),
            last_closed=self.now - self.now % MINUTE_MS - MINUTE_MS,
            first_minute=NOON - NOON % 3_600_000 - 400 * 3_600_000,
            day_closes=tuple(self._bars[name, 900]["close"][-96::2].tolist()),
            forming=FormingView(
                self.now - self.now % MINUTE_MS, price, price * 1.0002, price * 0.9998, price, 1.5
            ),
            high_24h=float(day["high"].max()), low_24h=float(day["low"].min()),
            relative_volume=0.3 + hash_of(name + "volume") % 500 / 100,
            cvd_day=float(hash_of(name + "cvd") % 4_000 - 2_000), day_volume=20_000.0,
        )  # fmt: skip

    def change(self, symbol: str, **fields: object) -> None:
        """Replace fields of a symbol."""
        self.views[symbol] = replace(self.views[symbol], **fields)

    def change_bars(self, symbol: str, timeframe: int) -> float:
        """Another close of the newest bar."""
        rows = self._bars[symbol, timeframe].copy()
        rows["close"][-1] *= 1.01
        self._bars[symbol, timeframe] = rows
        return float(rows["close"][-1])

    def snapshot(self) -> Snapshot:
        """What is true now; with a running clock, after the changes that are due."""
        self.sequence += 1
        if self._changes:
            self._walk()
        reading = [view.progress for view in self.views.values() if view.progress is not None]
        return Snapshot(
            history_fraction=reading[0].fraction if reading else None,
            history_eta=reading[0].eta_seconds if reading else None,
            sequence=self.sequence, exchange_time=self.now, clock_rate=1.0, clock_offset_ms=3.0,
            taken_at=time.monotonic(), state=self.state, exchange="fake exchange", timeframes=TIMEFRAMES,
            indicators=INDICATORS, symbols=tuple(self.views.values()),
            streams=(
                StreamView("market 1", "live", 10, self.now - 210, 38.0, 41.0, 0, ""),
                StreamView("market 2", "live", 10, self.now - 90, 31.0, 38.0, 1, ""),
            ),
            trades=self.trades, stream_minutes=self.stream_minutes,
            gaps=self.gaps, events=self.events, parts={"store": "running"},
            weight_used=61, weight_limit=2_400,
            alerts=self.alerts, alert_rules=self.rules, not_ready=self.not_ready,
            store_path="lmdb_data", store_bytes=182_000_000, store_candles=1_036_800,
            cluster=self.cluster,
            receivers=self.receivers,
        )  # fmt: skip

    def _walk(self) -> None:
        now = time.monotonic()
        self.now = NOON + int((now - self._started) * 1000)
        self._due += (now - self._pulled) * self._changes
        self._pulled = now
        steps: dict[str, int] = {}  # a symbol that changed more than once is made anew once
        for name in self._random.choices(list(self.views), k=int(self._due)):
            steps[name] = steps.get(name, 0) + 1
        for name, count in steps.items():
            view, spread = self.views[name], math.sqrt(count)
            tick = 10.0**-view.price_decimals
            step = self._random.gauss(0, 2e-5 * spread)
            up = self._random.getrandbits(count).bit_count()  # of its changes; the others are down
            price = (view.price or 1.0) * (1 + step) + tick * (2 * up - count)
            values = list(_ALL_FIELDS(view))  # ``replace`` would cost as much as the screen that is measured
            values[_PRICE], values[_LAST_FRAME] = max(price, tick), self.now
            values[_CHANGE_1M] = (view.change_1m or 0.0) + self._random.gauss(0, 0.02 * spread)
            self.views[name] = SymbolView(*values)
        self._due -= int(self._due)
        first = next(iter(self.views.values()))  # the one that is shown at first has a candle that moves
        if first.forming is not None and first.price is not None:
            forming = first.forming
            moved = replace(
                forming,
                close=first.price,
                high=max(forming.high, first.price),
                low=min(forming.low, first.price),
            )
            self.views[first.symbol] = replace(first, forming=moved)

    def bars(self, symbol: str, timeframe: int, count: int, end: int | None = None) -> Rows:
        """A walk that ends near the price of the symbol."""
        self.calls.append(f"bars {symbol} {timeframe} {count}")
        if count > self.bars_at_most:
            raise RuntimeError("a fault in the screen")
        key = (symbol, timeframe)
        if key not in self._bars:
            self._bars[key] = walk_to(symbol, timeframe, self.views[symbol].price or 1.0)
        return self._upto(self._bars[key], key, count, end)[-count:]

    def _upto(self, rows: Rows, key: tuple[str, int], count: int, end: int | None) -> Rows:
        times = self._bars[key]["open_time"]
        return rows if end is None else rows[: int(np.searchsorted(times, end - key[1] * 1000, side="right"))]

    def ema_lines(
        self, symbol: str, timeframe: int, count: int, end: int | None = None
    ) -> tuple[NDArray[np.float64], ...]:
        """EMAs over the same walk."""
        self.bars(symbol, timeframe, count)
        key = (symbol, timeframe)
        closes = self._bars[key]["close"]
        return tuple(self._upto(ema(closes, period), key, count, end)[-count:] for period in PERIODS)

    def open_bar(self, symbol: str, timeframe: int) -> Rows:
        """The minutes since the last completed bar, at the price of the symbol."""
        rows = np.zeros(1 if timeframe > 60 else 0, dtype=ROW)
        if len(rows):
            last = self._bars[symbol, timeframe][-1]
            rows["open_time"] = last["open_time"] + timeframe * 1000
            rows["open"] = rows["close"] = rows["low"] = last["close"]
            rows["high"] = last["close"] * 1.001
            rows["volume"] = last["volume"] / 2
        return rows

    def coverage(self, symbol: str, start: int, end: int, cells: int) -> tuple[MinuteState, ...]:
        """Stored up to the last hour, live since; the gaps there are."""
        self.calls.append(f"coverage {symbol} {cells}")
        width = (end - start) / cells
        states = [MinuteState.STORED] * (cells - 3) + [MinuteState.LIVE] * 3
        for gap in self.gaps:
            for cell in range(cells):
                if (
                    gap.symbol == symbol
                    and gap.start < start + (cell + 1) * width
                    and gap.end > start + cell * width
                ):
                    states[cell] = MinuteState.MISSING
        return tuple(states)

    def profile(
        self, symbol: str, day: int | None = None, patience: float | None = None
    ) -> ProfileView | None:
        """A profile of the quarters of that day."""
        self.calls.append(f"profile {symbol}")
        today = NOON - NOON % DAY_MS
        back = 0 if day is None else (today - day) // DAY_MS
        return self._profile(symbol, self.views[symbol].price_decimals, back) if 0 <= back < 4 else None

    def _profile(self, symbol: str, decimals: int, back: int = 0) -> ProfileView:
        bars = self._bars[symbol, 900]
        bars = bars[-56:] if not back else bars[-56 - 96 * back : -56 - 96 * (back - 1)]
        return profile_of(symbol, decimals, back, bars.tobytes())

    def range_profile(self, symbol: str, spans: Spans, patience: float | None = None) -> RangeView | None:
        """The profile of today under another name, two nodes in it."""
        self.calls.append(f"range_profile {symbol} {spans}")
        made = self._profile(symbol, self.views[symbol].price_decimals)
        values = {name.name: getattr(made, name.name) for name in fields(made)} | {"day": spans[0][0]}
        return RangeView(**values, end=spans[-1][1], high_nodes=(made.poc,), low_nodes=(made.vah,))

    def footprint(
        self,
        symbol: str,
        timeframe: int,
        count: int,
        levels: int,
        end: int | None = None,
        patience: float | None = None,
    ) -> FootprintView | None:
        """Each bar on a grid of as many rows, most at its middle; the first bar is exact, one is partly."""
        self.calls.append(f"footprint {symbol} {timeframe} {count} {levels} {end}")
        bars = self.bars(symbol, timeframe, count, end)
        if not len(bars):
            return None
        least = float(bars["high"].max() - bars["low"].min()) / max(levels - 2, 1)
        tens = 10.0 ** math.floor(math.log10(least))
        step = next(tens * nice for nice in (1, 2, 5, 10) if tens * nice >= least)
        found = []
        for place, bar in enumerate(bars):
            first, last = round(bar["low"] / step), round(bar["high"] / step)
            rows = np.arange(first, last + 1)
            weight = 1 + (rows * 7919 + place * 13) % 11 + 6 * (rows == (first + last) // 2)
            volume = bar["volume"] * weight / weight.sum()
            share = np.clip(
                bar["taker_buy_volume"] / bar["volume"] + ((rows * 31 + place) % 7 - 3) * 0.12, 0, 1
            )
            found.append(
                FootprintBar(
                    int(bar["open_time"]), first, tuple((volume * share).tolist()),
                    tuple((volume * (1 - share)).tolist()), first + int(volume.argmax()),
                    float(place == 0), {0: 1.0, 1: 0.97}.get(place, 0.0),
                )
            )  # fmt: skip
        return FootprintView(symbol, step, tuple(found))

    def naked_pocs(self, symbol: str, patience: float | None = None) -> tuple[NakedPoc, ...]:
        """Those of the two days before yesterday, above and below the price."""
        self.calls.append(f"naked_pocs {symbol}")
        today = NOON - NOON % DAY_MS
        last = float(self._bars[symbol, 900][-1]["close"])
        return (NakedPoc(today - 3 * DAY_MS, last * 1.006), NakedPoc(today - 2 * DAY_MS, last * 0.994))

    def developing(
        self, symbol: str, day: int, every: int, patience: float | None = None
    ) -> LevelLines | None:
        """Around the close of each quarter of that day."""
        self.calls.append(f"developing {symbol} {every}")
        bars = self._bars[symbol, 900]
        part = bars[(bars["open_time"] >= day) & (bars["open_time"] < day + DAY_MS)]
        if not len(part):
            return None
        mean = np.cumsum(part["close"]) / np.arange(1, len(part) + 1)
        step = mean[-1] * 0.004
        poc = np.round(mean / step) * step
        lines = (poc, np.round(mean * 1.012 / step) * step, np.round(mean * 0.985 / step) * step, mean)
        return LevelLines(
            tuple((part["open_time"] + 900_000).tolist()), *(tuple(line.tolist()) for line in lines)
        )

    def anchored(self, symbol: str, anchor: int, timeframe: int, end: int | None = None) -> AnchoredLine:
        """The mean of the closes since the anchor, a deviation that grows."""
        self.calls.append(f"anchored {symbol} {anchor}")
        bars = self._bars[symbol, timeframe]
        part = bars[bars["open_time"] >= anchor]
        count = np.arange(1, len(part) + 1)
        times = tuple((part["open_time"] + timeframe * 1000).tolist())
        mean = np.cumsum(part["close"]) / count
        return AnchoredLine(times, tuple(mean.tolist()), tuple((mean * 0.003 * np.sqrt(count)).tolist()))

    def sources(self, symbol: str, start: int, end: int) -> dict[str, int]:
        """All but the last three minutes from REST."""
        self.calls.append(f"sources {symbol}")
        minutes = (end - start) // MINUTE_MS
        return {"REST": minutes - 3, "stream": 3} if minutes > 3 else {"stream": minutes}

    def days(self, symbol: str, start: int, end: int) -> tuple[DayView, ...]:
        """Nothing before 2025-06, proved since; of the last fortnight some live, corrected and lacking."""
        self.calls.append(f"days {symbol}")
        today = NOON - NOON % DAY_MS
        return tuple(day_of(day, (today - day) // DAY_MS) for day in range(start, end, DAY_MS))

    def minute(self, symbol: str, open_time: int) -> MinuteView | None:
        """A minute that the stream gave, and REST corrected where it is the third of five."""
        self.calls.append(f"minute {symbol}")
        price = self.views[symbol].price
        if price is None or open_time > NOON:
            return None
        number = open_time // MINUTE_MS
        corrected = number % 5 == 2
        until = open_time + 3 * MINUTE_MS if corrected else None
        quote = 12.5 * price
        value = MinuteValue(
            price, price * 1.001, price * 0.999, price, 12.5, quote, 41, 6.0, quote / 2, "stream", until
        )
        values = (value, value._replace(volume=12.75, trades=42, source="rest", until=None))
        return MinuteView(open_time, "present", corrected, "corrected" if corrected else "live", 9_000, 9_040,
                          "broken" if corrected else "joined", values if corrected else (value,))  # fmt: skip

    def digests(self, symbol: str, day: int) -> dict[str, str]:
        """Of every past day."""
        self.calls.append(f"digests {symbol}")
        names = ("canonical bytes", "archive zip", "signed leaf", "partition")
        return (
            {name: f"{day // DAY_MS:x}{number}" * 16 for number, name in enumerate(names)}
            if day < NOON - DAY_MS
            else {}
        )

    def noted_minutes(self, symbol: str, day: int) -> tuple[int, ...]:
        """Two of every day."""
        return tuple(at for at in range(day + 100 * MINUTE_MS, day + DAY_MS, 600 * MINUTE_MS) if at < NOON)

    def numbers(self, symbol: str) -> SymbolNumbers | None:
        """Quantiles that rise from 1, a peak an hour ago, two corrected minutes."""
        self.calls.append(f"numbers {symbol}")
        if self.views[symbol].last_closed is None:
            return None
        minute = NOON - NOON % MINUTE_MS
        measures = ("volume", "taker_buy_volume", "avg_trade", "trade_count")
        return SymbolNumbers(
            minute - MINUTE_MS, 1, {name: (1.0, 2.0, 4.5, 9.25) for name in measures},
            PeakView(812.5, 59_800.0, minute - 60 * MINUTE_MS, "Buy"),
            ((minute - 8 * MINUTE_MS, minute - 6 * MINUTE_MS),),
        )  # fmt: skip

    def retry_gaps(self, symbol: str | None = None) -> None:
        """Note that somebody asked."""
        self.calls.append(f"retry {symbol}")

    def acknowledge(self, number: int | None = None) -> None:
        """Note that somebody saw, and show it."""
        self.calls.append(f"acknowledge {number}")
        self.alerts = tuple(
            replace(alert, acknowledged=alert.acknowledged or number in (None, alert.number))
            for alert in self.alerts
        )

    def save_rule(self, rule: RuleView, replaces: str = "") -> Future[str]:
        """Keep it, or refuse it with the fault that a test has set."""
        self.calls.append(f"save {rule.name} in the {rule.place}, for {replaces or 'none'}")
        if not self.rule_fault:
            old = (replaces or rule.name, rule.place)
            kept = tuple(view for view in self.rules.rules if (view.name, view.place) != old)
            self.rules = replace(self.rules, rules=(*kept, rule))
        return self._done()

    def delete_rule(self, rule: RuleView) -> Future[str]:
        """Forget it, or refuse with the fault that a test has set."""
        self.calls.append(f"delete {rule.name} from the {rule.place}")
        if not self.rule_fault:
            kept = tuple(view for view in self.rules.rules if view != rule)
            self.rules = replace(self.rules, rules=kept)
        return self._done()

    def _done(self) -> Future[str]:
        result: Future[str] = Future()
        result.set_result(self.rule_fault)
        return result

    def listed(self) -> tuple[str, ...]:
        """Those it has, and two more."""
        return tuple(sorted({*(one.symbol for one in self.snapshot().symbols), "ADAUSDT", "TRXUSDT"}))

    def add_symbol(self, symbol: str) -> None:
        """Note that somebody asked."""
        self.calls.append(f"add {symbol}")

    def drop_symbol(self, symbol: str) -> None:
        """Note that somebody asked."""
        self.calls.append(f"drop {symbol}")


class FakeFaults:
    """Faults that only note what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def options(self) -> tuple[FaultOption, ...]:
        """Two, one of them of a symbol."""
        return (
            FaultOption("cut", "cut the connection"),
            FaultOption("mute", "mute {symbol}", of_symbol=True),
        )

    def switch_on(self, name: str, symbol: str | None) -> str:
        """Note it."""
        self.asked.append(f"{name} {symbol}")
        return f"on: {name}"

    def heal(self) -> str:
        """Note it."""
        self.asked.append("heal")
        return "healed: all is well"


def hash_of(text: str) -> int:
    """A number for a text, the same in every process."""
    return sum(ord(character) * 31**i for i, character in enumerate(text)) % 2**31


def ema(closes: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """EMA seeded with the simple mean of the first ``period`` closes, NaN before."""
    alpha = 2 / (period + 1)
    value = float(closes[:period].mean())
    values = [math.nan] * (period - 1) + [value]
    for close in closes[period:].tolist():
        value = alpha * close + (1 - alpha) * value
        values.append(value)
    return np.array(values)


@cache
def walk_to(symbol: str, timeframe: int, last: float) -> Rows:
    """400 bars of a walk that ends at the price ``last``; not to be written to, as others have it too."""
    generator = np.random.default_rng(abs(hash_of(symbol)) + timeframe)
    swing = 0.0016 * math.sqrt(timeframe / 60)
    walk = np.cumsum(generator.normal(0, swing, 400))
    close = last * np.exp(walk - walk[-1])
    opened = np.concatenate(([close[0]], close[:-1]))
    spread = np.abs(generator.normal(0, swing * 0.6, (2, 400)))
    rows = np.zeros(400, dtype=ROW)
    newest = NOON - NOON % (timeframe * 1000) - timeframe * 1000
    rows["open_time"] = newest - np.arange(399, -1, -1) * timeframe * 1000
    rows["open"], rows["close"] = opened, close
    rows["high"] = np.maximum(opened, close) * (1 + spread[0])
    rows["low"] = np.minimum(opened, close) * (1 - spread[1])
    rows["volume"] = generator.lognormal(3, 0.6, 400)
    rises = np.sign(rows["close"] - rows["open"])
    share = np.clip(0.5 + 0.18 * rises + np.random.default_rng(7).normal(0, 0.12, 400), 0.05, 0.95)
    rows["taker_buy_volume"] = rows["volume"] * share
    rows.flags.writeable = False
    return rows


@cache
def timeframes_of(symbol: str, price: float) -> tuple[TimeframeView, ...]:
    """Trend and EMAs of a symbol at that price in every timeframe."""
    views = []
    for timeframe in TIMEFRAMES:
        rows = walk_to(symbol, timeframe, price)
        closes = rows["close"]
        fast, slow = (ema(closes, period) for period in PERIODS)
        above, below = (closes[-2:] > slow[-1]).all(), (closes[-2:] < slow[-1]).all()
        trend = "Buy" if above else "Sell" if below else "Neutral"
        newest = int(rows["open_time"][-1])
        values = (float(fast[-1]), float(slow[-1]))
        held = 1 + hash_of(f"{symbol}{timeframe}") % 30  # bars
        delta = float(hash_of(f"{symbol}{timeframe}delta") % 1_200 - 600)
        views.append(TimeframeView(timeframe, newest, float(closes[-1]), trend, values, False,
                                   trend_since=newest - (held - 1) * timeframe * 1000,
                                   volume=1_000.0, delta=delta))  # fmt: skip
    return tuple(views)


@cache
def day_of(day: int, back: int) -> DayView:
    """A day so many days ago."""
    minutes, nothing = 1_440, (0,) * 7
    if back < 0 or back > 247:
        return DayView(day, DayState.NONE, 0, 0, 0, 0, 0, 0, 0, *nothing)
    if back > 240:
        return DayView(day, DayState.UNKNOWN, minutes, 0, 0, 0, 0, 0, minutes, *nothing)
    if back == 9:
        return DayView(
            day, DayState.LACKING, minutes, 1_430, 1_400, 0, 4, 0, 6, 1_380, 1_380, 0, 50, 1_379, 0, 0
        )
    if back in (4, 11):
        live = (1_438, 1_436, 2, 2, 1_437, 2, 0)
        return DayView(day, DayState.CORRECTED, minutes, minutes, 120, 0, 0, 0, 0, *live)
    if back < 6:
        due = minutes if back else NOON % DAY_MS // MINUTE_MS
        return DayView(day, DayState.LIVE, due, due, 3, 0, 0, 0, 0, due, due, 0, 0, due - 1, 0, 0)
    return DayView(day, DayState.CERTIFIED, minutes, minutes, minutes, 0, 0, 0, 0, *nothing)


@cache
def profile_of(symbol: str, decimals: int, back: int, quarters: bytes) -> ProfileView:
    """A profile of the quarters of an hour of a day, so many days back."""
    bars = np.frombuffer(quarters, dtype=ROW)
    low, high = float(bars["low"].min()), float(bars["high"].max())
    increment = max(10.0**-decimals, float(f"{(high - low) / 120:.0e}"))
    first = math.floor(low / increment)
    prices = (first + np.arange(math.ceil(high / increment) - first + 1)) * increment
    weights = np.zeros(len(prices))
    for bar in bars:
        inside = (prices >= bar["low"]) & (prices <= bar["high"])
        weights[inside] += bar["volume"] / max(1, inside.sum())
    poc = int(weights.argmax())
    below = above = poc
    wanted = 0.7 * weights.sum()
    while weights[below : above + 1].sum() < wanted:
        down = weights[below - 1] if below else -1.0
        up = weights[above + 1] if above + 1 < len(weights) else -1.0
        below, above = (below - 1, above) if down >= up else (below, above + 1)
    share = np.clip(0.5 + (np.arange(len(weights)) * 31 % 13 - 6) * 0.06, 0, 1)
    known = {1: 1.0, 2: 0.97}.get(back, 0.0)  # yesterday is exact, the day before partly
    return ProfileView(
        symbol=symbol, day=NOON - NOON % DAY_MS - back * DAY_MS,
        increment=increment, low_index=first,
        weights=tuple(weights.tolist()), poc=float(prices[poc]), vah=float(prices[above]),
        val=float(prices[below]), vwap=float((prices * weights).sum() / weights.sum()),
        total_volume=float(weights.sum()), candles=843, last_minute=NOON - NOON % MINUTE_MS - MINUTE_MS,
        bought=tuple((weights * share).tolist()), exact_share=float(known == 1), known_share=known,
    )  # fmt: skip


def with_trades(monitor: FakeMonitor) -> FakeMonitor:
    """The same with live trades of three symbols, over two sockets of which one is cut."""
    monitor.trades = TradesView(
        "backing off", "spot-trades-1: closed 1006", 3, ("BTCUSDT",), monitor.now - 400, 1_204, 17,
        (
            StreamView("market-trades-1", "live", 2, monitor.now - 400, 1_204.0, 61.0, 2, "", 2),
            StreamView(
                "spot-trades-1", "backing off", 1, monitor.now - 95_000, 0.0, 70.0, 3, "closed 1006", 1
            ),
        ),
    )  # fmt: skip
    return monitor


def with_troubles(monitor: FakeMonitor) -> FakeMonitor:
    """The same with a symbol in every state there is."""
    names = list(monitor.views)
    minute = monitor.now - monitor.now % MINUTE_MS
    unknown: dict[str, object] = {
        "price": None, "change_1m": None, "change_24h": None, "volume_24h": None, "timeframes": (),
        "poc": None, "vwap": None, "vah": None, "val": None, "last_frame": None, "last_closed": None,
        "relative_volume": None, "day_closes": (), "high_24h": None, "low_24h": None, "forming": None,
        "cvd_day": None, "day_volume": None,
    }  # fmt: skip
    monitor.change(names[0], missing_minutes=1)  # of the gap below
    monitor.change(names[2], state=SymbolState.LATE, reason="the minute 14:01 has not closed yet",
                   last_frame=monitor.now - 4_100)  # fmt: skip
    monitor.change(names[5], state=SymbolState.STALE, reason="no frame since 14:00:02",
                   last_frame=monitor.now - 200_000, missing_minutes=3)  # fmt: skip
    monitor.change(names[3], state=SymbolState.BACKFILL, reason="reading history", timeframes=(),
                   poc=None, vwap=None, vah=None, val=None,
                   progress=Progress(58_320, 86_400, 31_000_000, 12, 40, "monthly files", 80.0))  # fmt: skip
    monitor.change(names[6], state=SymbolState.WAITING, reason="", **unknown)
    monitor.change(names[7], state=SymbolState.UNKNOWN, reason="not listed by the exchange", **unknown)
    fresh = [replace(t, trend=None, values=(None, None), warming=True) if t.timeframe > 900 else t
             for t in monitor.views[names[1]].timeframes]  # fmt: skip
    monitor.change(names[1], timeframes=tuple(fresh))
    monitor.gaps = (
        GapView(names[0], minute - 22 * MINUTE_MS, minute - 19 * MINUTE_MS, 1, "filling", 1, "REST",
                "socket silent", monitor.now + 2_000),
    )  # fmt: skip
    monitor.events = (
        Event(minute - 9 * MINUTE_MS, "info", None, "market 1 connected"),
        Event(minute, "warning", names[2], "no closing frame for 14:01, asking REST"),
    )
    return monitor


def clustered(monitor: FakeMonitor) -> FakeMonitor:
    """The same as the worker ``feeder-1`` of a cluster of three."""
    names = ("feeder-1", "feeder-2", "feeder-3")
    shares = ((3, 5), (3, 4), (2, 3))
    monitor.cluster = ClusterView(
        name=names[0], group="feeder", partitions=8, assigned=3,
        owned=tuple(OwnedPartitionView(at, 2 + at, 2, 41 - at) for at in (0, 3, 6)),
        workers=tuple(
            WorkerView(name, f"http://{name}:8000" if name != names[1] else "", *share, name == names[0])
            for name, share in zip(names, shares, strict=True)
        ),
        heartbeat_age=0.4, holds=True,
        takeovers=(TakeoverView(3, monitor.now - 600_000, 2.4, ""),
                   TakeoverView(6, monitor.now - 60_000, 1.7, "feeder-2")),
        fenced=0, differing=0, inherited=0, sharing=3,
    )  # fmt: skip
    return monitor


def main() -> None:
    """Show a fake monitor on this terminal."""
    from tui_feeder.app import FeederApp, UiSettings

    parser = argparse.ArgumentParser()
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--changes", type=float, default=200.0)
    parser.add_argument("--hz", type=float)
    parser.add_argument("--theme", default="feeder-dark")
    parser.add_argument("--symbol-set", default="auto")
    parser.add_argument("--colors", default="auto")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--troubles", action="store_true")
    parser.add_argument("--no-mouse", action="store_true")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--crash", action="store_true", help="fail when the chart is zoomed")
    options = parser.parse_args()
    monitor = FakeMonitor(options.symbols, options.changes)
    if options.troubles:
        with_troubles(monitor)
    if options.crash:
        monitor.bars_at_most = 25
    settings = UiSettings(
        options.hz,
        options.theme,
        options.symbol_set,
        options.colors,
        options.slow,
        mouse=not options.no_mouse,
    )
    app = FeederApp(monitor, settings, title="fake", faults=FakeFaults() if options.faults else None)
    reason = app.run()
    behind = ", some ticks skipped" if app.ticks_skipped else ""
    failed = f", {app.failure!r}" if app.failure is not None else ""
    print(f"ended by {reason}, code {app.return_code}{behind}{failed}")
    raise SystemExit(app.return_code or 0)


if __name__ == "__main__":
    main()
