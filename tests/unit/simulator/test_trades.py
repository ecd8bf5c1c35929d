from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import orjson
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_feeder.simulator.dialect import SPOT, USDM
from tui_feeder.simulator.faults import Faults
from tui_feeder.simulator.market import (
    CLOSE,
    DAY,
    HIGH,
    LOW,
    MINUTE,
    OPEN,
    TAKER,
    TRADES,
    VOLUME,
    Instrument,
    Ints,
    Market,
    Minutes,
)
from tui_feeder.simulator.synthetic import DEFAULT_SYMBOLS, synthetic_market
from tui_feeder.simulator.tape import Tape
from tui_feeder.simulator.trade_faults import changed, wrongs
from tui_feeder.simulator.trade_forms import archive_lines, rest_body
from tui_feeder.simulator.trade_stream import TradeStream, symbol_of
from tui_feeder.simulator.trades import AggTrades, Trades, together

AS_OF = 1_773_144_000_000  # 2026-03-10T12:00:00Z
TODAY = AS_OF // DAY
MARKET = synthetic_market([*DEFAULT_SYMBOLS, "C1USDT", "QUIETUSDC", "Z99USDT"], as_of_ms=AS_OF)
MADE = Trades(MARKET, Tape(MARKET))
QUIET = "Z99USDT"


def per_minute(rows: AggTrades, weights: Ints) -> Ints:
    sums = np.zeros(DAY // MINUTE, np.int64)
    np.add.at(sums, rows.times % DAY // MINUTE, weights)
    return sums


def assert_adds_up(rows: AggTrades, candles: Ints) -> None:
    """The rows of a day against its 1,440 candles, to the smallest unit."""
    assert (per_minute(rows, rows.quantities) == candles[:, VOLUME]).all()
    assert (per_minute(rows, rows.quantities * ~rows.makers) == candles[:, TAKER]).all()
    assert (per_minute(rows, rows.lasts - rows.firsts + 1) == candles[:, TRADES]).all()
    traded = np.flatnonzero(candles[:, TRADES])
    places = np.searchsorted(rows.times % DAY // MINUTE, np.append(traded, DAY // MINUTE))
    for minute, (begin, end) in zip(traded, pairwise(places), strict=True):
        prices = rows.prices[begin:end]
        shown = [prices[0], prices.max(), prices.min(), prices[-1]]
        assert shown == candles[minute, [OPEN, HIGH, LOW, CLOSE]].tolist()


@settings(max_examples=examples(20, least=3, share=8), deadline=None)
@given(
    symbol=st.sampled_from([s for s in MARKET.symbols if s not in ("BTCUSDT", "ETHUSDT")]),
    day=st.integers(TODAY - 20, TODAY + 100),
)
def test_the_trades_of_a_day_add_up_to_its_candles(symbol: str, day: int) -> None:
    rows = together(list(MADE.day(symbol, day)))
    candles = MARKET.minutes(symbol, day * DAY, (day + 1) * DAY)
    if len(candles.times) < DAY // MINUTE:
        return  # listed in the course of it
    assert_adds_up(rows, candles.values)
    assert (np.diff(rows.ids) == 1).all()
    assert (np.diff(rows.times) >= 0).all()
    assert (rows.firsts[1:] == rows.lasts[:-1] + 1).all()
    assert (rows.quantities > 0).all()
    assert (rows.without_rpi <= rows.quantities).all()
    assert (rows.prices % MARKET.instruments[symbol].tick == 0).all()


def test_the_busiest_symbol_has_the_rows_of_the_real_one() -> None:
    rows = sum(len(MADE.minute("BTCUSDT", AS_OF - DAY + n * 10 * MINUTE).ids) for n in range(144))
    assert 1_400_000 < rows * 10 < 2_100_000


def test_ids_go_on_from_day_to_day_and_lead_to_their_minute() -> None:
    first, second = (together(list(MADE.day(QUIET, day))) for day in (TODAY - 2, TODAY - 1))
    assert second.ids[0] == first.ids[-1] + 1
    for row in (0, 7, len(second.ids) // 2, len(second.ids) - 1):
        minute = MADE.minute_of(QUIET, int(second.ids[row]))
        assert minute == second.times[row] - second.times[row] % MINUTE
        assert second.ids[row] in MADE.minute(QUIET, minute).ids
    assert MADE.minute_of(QUIET, -1) is None


class OneMinute:
    """A market of one minute, then as many without a trade."""

    def __init__(self, candle: list[int]) -> None:
        base = next(iter(MARKET.instruments.values()))
        self.instruments = {"XUSDT": Instrument("XUSDT", "X", "USDT", 2, 0, 2, 1, 1, 0)}
        self.symbols, self.notes, self.start, self.end = ("XUSDT",), base.symbol[:0], None, None
        self._candle = candle

    def minutes(self, symbol: str, start: int, end: int) -> Minutes:
        times = np.arange(start - start % MINUTE, end, MINUTE, dtype=np.int64)
        values = np.zeros((len(times), 9), np.int64)
        values[times == AS_OF] = self._candle
        return Minutes(times, values)

    def archive_lines(self, symbol: str, start: int, end: int) -> bytes:
        raise NotImplementedError

    def archive_month(self, symbol: str, month: str) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("prices", "volume", "trades", "taker"),
    [
        ((5, 5, 5, 5), 1, 1, 0),
        ((5, 5, 5, 5), 1, 1, 1),
        ((5, 6, 5, 6), 2, 2, 1),
        ((5, 7, 5, 6), 3, 3, 2),
        ((5, 7, 4, 6), 4, 4, 2),
        ((5, 7, 4, 6), 4, 4, 4),
        ((6, 7, 4, 5), 9_000_000_000_000, 4, 8_999_999_999_999),
        ((6, 7, 4, 5), 200_000, 190_000, 1),
    ],
)
def test_candles_of_few_trades_add_up_too(
    prices: tuple[int, ...], volume: int, trades: int, taker: int
) -> None:
    market: Market = OneMinute([*prices, volume, volume * 5, trades, taker, taker * 5])
    rows = Trades(market, Tape(market)).minute("XUSDT", AS_OF)
    shown = (rows.prices[0], rows.prices.max(), rows.prices.min(), rows.prices[-1])
    assert shown == prices
    assert rows.quantities.sum() == volume
    assert rows.quantities[~rows.makers].sum() == taker
    assert (rows.lasts - rows.firsts + 1).sum() == trades
    assert (rows.quantities >= rows.lasts - rows.firsts + 1).all()


# -- what goes wrong


def faulty(name: str, **parameters: float | bool) -> tuple[AggTrades, AggTrades]:
    """An hour's rows, right and wrong."""
    faults = Faults()
    faults.switch_on(name, **parameters)
    right = together([MADE.minute("DOGEUSDT", AS_OF + n * MINUTE) for n in range(60)])
    return right, changed(right, wrongs(faults, "DOGEUSDT", "rest"))


def test_a_zero_trade_uses_an_id_and_changes_no_price_level() -> None:
    right, wrong = faulty("zero-trade", every=2)
    zero = wrong.prices == 0
    assert 20 <= zero.sum() <= 30
    assert (wrong.quantities[zero] == 0).all()
    assert (wrong.ids == right.ids).all()
    assert wrong.quantities.sum() == right.quantities.sum()
    for price in np.unique(right.prices):
        assert right.quantities[right.prices == price].sum() == wrong.quantities[wrong.prices == price].sum()
    count = (wrong.lasts - wrong.firsts + 1)[~zero].sum()
    assert count == (right.lasts - right.firsts + 1).sum()
    _, hidden = faulty("zero-trade", every=2, shown=False)
    assert set(right.ids) - set(hidden.ids) == set(wrong.ids[zero])
    assert hidden.quantities.sum() == right.quantities.sum()


def test_missing_trades_take_their_ids_with_them_where_the_target_says() -> None:
    right, wrong = faulty("missing-trades", share=0.1)
    assert 0.85 < len(wrong.ids) / len(right.ids) < 0.95
    assert set(wrong.ids) < set(right.ids)
    faults = Faults()
    faults.switch_on("missing-trades", target="stream")
    assert wrongs(faults, "DOGEUSDT", "stream")
    assert not wrongs(faults, "DOGEUSDT", "archive daily/aggTrades/DOGEUSDT/x.zip")


def test_insurance_fills_are_in_no_row() -> None:
    right, wrong = faulty("insurance-fills", share=0.1)
    assert (wrong.ids == right.ids).all()
    assert 0.9 < wrong.quantities.sum() / right.quantities.sum() < 0.99
    assert (wrong.quantities > 0).all()
    assert (wrong.without_rpi <= wrong.quantities).all()


def test_a_straddling_trade_is_in_the_minute_after_its_candle() -> None:
    right, wrong = faulty("straddling-trades", ms=2)
    moved = wrong.times != right.times
    assert moved.sum() == 60
    assert (wrong.times[moved] % MINUTE == 2).all()
    assert (wrong.ids == right.ids).all()


# -- texts


def test_archive_lines_are_of_the_form_of_each_market() -> None:
    rows = MADE.minute("DOGEUSDT", AS_OF).where(slice(60))
    instrument = MARKET.instruments["DOGEUSDT"]
    lines = archive_lines(rows, instrument, USDM).decode().splitlines()
    first = lines[0].split(",")
    assert len(lines) == 60
    assert first[0] == str(rows.ids[0])
    assert float(first[1]) == pytest.approx(rows.prices[0] / 10**instrument.price_decimals)
    assert first[5:] == [str(rows.times[0]), "true" if rows.makers[0] else "false"]
    spot = archive_lines(rows, instrument, SPOT, microseconds=True).decode().splitlines()
    assert spot[0].split(",")[5:] == [
        f"{rows.times[0]}000", "True" if rows.makers[0] else "False", "True",
    ]  # fmt: skip


def test_a_rest_row_tells_the_quantity_without_rpi_on_futures() -> None:
    rows = MADE.minute("DOGEUSDT", AS_OF)
    instrument = MARKET.instruments["DOGEUSDT"]
    found = orjson.loads(rest_body(rows, instrument, USDM))
    assert [int(entry["a"]) for entry in found] == rows.ids.tolist()
    assert any(float(entry["nq"]) < float(entry["q"]) for entry in found)
    assert set(orjson.loads(rest_body(rows, instrument, SPOT))[0]) == set("apqflTmM")


def test_a_stream_shows_each_row_once_and_none_before_its_time() -> None:
    stream = TradeStream(MADE, MARKET.instruments[QUIET], AS_OF + 30_000, Faults())
    seen: list[dict[str, object]] = []
    for now in range(AS_OF + 30_000, AS_OF + 10 * MINUTE, 250):
        events = [orjson.loads(frame.body) for frame in stream.due(now)]
        assert all(now - 350 < event["T"] <= now - 100 for event in events)
        seen += events
    rows = together([MADE.minute(QUIET, AS_OF + n * MINUTE) for n in range(10)])
    due = (rows.times > AS_OF + 29_900) & (rows.times <= AS_OF + 10 * MINUTE - 350)
    assert [event["a"] for event in seen] == rows.ids[due].tolist()
    assert set(seen[0]) == {*"eEsapqflTm", "nq", "st"}


@pytest.mark.parametrize(
    ("name", "symbol"),
    [("btcusdt@aggTrade", "btcusdt"), ("@aggTrade", None), ("btcusdt@aggtrade", None), ("btcusdt", None)],
)
def test_names_of_streams(name: str, symbol: str | None) -> None:
    assert symbol_of(name) == symbol


def test_ids_begin_anew_with_a_month_alone() -> None:
    begin = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp() * 1000)
    earlier = MADE.first_id(QUIET, begin - MINUTE)
    later = MADE.first_id(QUIET, begin)
    assert later // 100_000_000 == earlier // 100_000_000 + 1
    assert later % 100_000_000 == 1
