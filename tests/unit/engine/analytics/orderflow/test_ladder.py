"""Ladders of real trades against plain decimal sums, however the trades come."""

from __future__ import annotations

import base64
from collections import defaultdict
from decimal import Decimal

import numpy as np
import pytest
from examples import some_of
from hypothesis import given
from hypothesis import strategies as st
from trade_samples import APE_DAY, TRX_DAY, ape_candles, ape_ladder, ape_plain, ape_text, ladder_of, trx

from tui_feeder.engine.analytics.orderflow.ladder import LEVEL, MINUTE, Ladder, LadderBuilder
from tui_feeder.engine.analytics.orderflow.packing import LadderBlockError, day_sums, pack, sums_of, unpack
from tui_feeder.engine.analytics.orderflow.reconcile import Known, better_of, minute_sums, reconcile
from tui_feeder.engine.core.candle import MINUTE_MS, Candle, to_rows
from tui_feeder.engine.core.trades import Trades
from tui_feeder.engine.exchanges.binance.agg_trades_csv import TradeLine, TradesReader, trades_of


def same(first: Ladder, second: Ladder) -> bool:
    scalars = ("day", "price_places", "tick", "quantity_places", "duplicates", "zeros", "outside")
    return (
        all(getattr(first, name) == getattr(second, name) for name in scalars)
        and np.array_equal(first.levels, second.levels)
        and np.array_equal(first.minutes, second.minutes)
    )


def test_a_real_day_has_the_levels_of_decimal_sums() -> None:
    ladder = ape_ladder()
    assert len(ape_plain()) == 45_342
    wanted: dict[tuple[int, Decimal], list[Decimal | int]] = defaultdict(lambda: [Decimal(0), Decimal(0), 0])
    for trade in ape_plain():
        row = wanted[(trade.time - APE_DAY) // MINUTE_MS, trade.price]
        row[1 if trade.sold else 0] += trade.quantity
        row[2] += trade.count
    unit, tick = Decimal(1).scaleb(-ladder.quantity_places), Decimal(ladder.tick).scaleb(-ladder.price_places)
    made = {
        (minute, price * tick): [bought * unit, sold * unit, trades]
        for minute, trades, price, bought, sold in ladder.levels.tolist()
    }
    assert made == wanted
    assert [float(price) for _, price in sorted(wanted)] == ladder.prices().tolist()
    per_minute = np.unique(ladder.levels["minute"], return_counts=True)[1]
    assert (np.median(per_minute), per_minute.max()) == (8, 46)
    assert (ladder.duplicates, ladder.zeros, ladder.outside, ladder.minutes["missing"].sum()) == (0, 0, 0, 0)


def test_sixteen_whole_minutes_of_real_trades_are_exact_without_the_zero_trade() -> None:
    ladder, candles = trx()
    assert ladder.zeros == 1
    whole = candles[(candles["open_time"] >= TRX_DAY) & (candles["open_time"] < TRX_DAY + 16 * MINUTE_MS)]
    assert len(whole) == 16
    known = reconcile(whole, minute_sums(ladder.minutes, ladder.day, ladder.quantity_places))
    assert known.known.tolist() == [Known.EXACT] * 16
    assert known.shares.tolist() == [1.0] * 16
    assert known.exact_share(whole["volume"]) == 1.0
    prices, levels = ladder.prices(), ladder.levels
    for at, candle in enumerate(whole):
        inside = levels["minute"] == at
        minute = ladder.minutes[ladder.minutes["minute"] == at][0]
        assert ladder.quantities(np.array([minute["bought"]]))[0] == candle["taker_buy_volume"]
        assert ladder.quantities(np.array([minute["bought"] + minute["sold"]]))[0] == candle["volume"]
        assert minute["trades"] == candle["trades"]
        assert (prices[inside].max(), prices[inside].min()) == (candle["high"], candle["low"])
        assert minute["close"] * ladder.increment == pytest.approx(candle["close"], abs=1e-12)


@pytest.mark.parametrize("size", some_of((7_777, 100_000, 1_000)))
def test_the_text_may_come_in_parts_and_trades_twice(size: int) -> None:
    text = ape_text()
    builder = LadderBuilder(APE_DAY)
    parts = list(TradesReader().read(text[at : at + size] for at in range(0, len(text), size)))
    for trades in parts:
        builder.add(trades)
        builder.add(trades.at(slice(len(trades) // 2, None)))
    ladder = builder.ladder()
    assert ladder.duplicates > 0
    assert np.array_equal(ladder.levels, ape_ladder().levels)
    assert np.array_equal(ladder.minutes, ape_ladder().minutes)
    assert same(unpack(pack(ladder)), ladder)


def lines(draw: st.DrawFn) -> list[TradeLine]:
    """Trades of a day whose ids skip, whose times straddle minutes, some of them zero."""
    made, number, time = [], draw(st.integers(0, 10**12)), TRX_DAY + draw(st.integers(0, 86_000_000))
    for _ in range(draw(st.integers(1, 40))):
        number += draw(st.sampled_from((1, 1, 1, 2, 9)))
        time += draw(st.integers(-300, 70_000))
        zero = draw(st.integers(0, 9)) == 0
        price = (
            "0" if zero else f"{draw(st.integers(90_000, 90_009))}.{draw(st.sampled_from(('5', '50', '0')))}"
        )
        quantity = "0" if zero else f"{draw(st.integers(1, 10**6)) / 1_000:.3f}"
        sold = draw(st.booleans())
        made.append(TradeLine(number, price, quantity, draw(st.integers(1, 9)), time, sold))
    return made


def slow(
    made: list[TradeLine],
) -> tuple[dict[tuple[int, Decimal], tuple[Decimal, Decimal, int]], dict[int, int]]:
    """Levels and missing ids by minute, a trade at a time."""
    levels: dict[tuple[int, Decimal], tuple[Decimal, Decimal, int]] = {}
    missing: dict[int, int] = defaultdict(int)
    last, owed = made[0].id - 1, 0
    for line in made:
        owed += line.id - last - 1
        last = line.id
        minute = (line.time - TRX_DAY) // MINUTE_MS
        if Decimal(line.price) == 0 or not 0 <= minute < 1440:
            continue
        missing[minute] += owed
        owed = 0
        key = minute, Decimal(line.price)
        bought, sold, count = levels.get(key, (Decimal(0), Decimal(0), 0))
        quantity = Decimal(line.quantity)
        levels[key] = (
            bought + (0 if line.sold else quantity),
            sold + (quantity if line.sold else 0),
            count + line.trades,
        )  # fmt: skip
    return levels, dict(missing)


@given(st.data())
def test_any_trades_give_the_levels_of_the_slow_way(data: st.DataObject) -> None:
    made = data.draw(st.composite(lines)())
    builder = LadderBuilder(TRX_DAY)
    cut = data.draw(st.integers(0, len(made)))
    builder.add(trades_of(made[:cut]))
    builder.add(trades_of(made[max(0, cut - 3) :]))
    ladder = builder.ladder()
    levels, missing = slow(made)
    unit = Decimal(1).scaleb(-ladder.quantity_places)
    tick = Decimal(ladder.tick).scaleb(-ladder.price_places)
    found = {
        (minute, price * tick): (bought * unit, sold * unit, trades)
        for minute, trades, price, bought, sold in ladder.levels.tolist()
    }
    assert found == levels
    assert (
        dict(zip(ladder.minutes["minute"].tolist(), ladder.minutes["missing"].tolist(), strict=True))
        == missing
    )
    assert same(unpack(pack(ladder)), ladder)
    sums = day_sums(pack(ladder))
    by_price: dict[Decimal, Decimal] = defaultdict(Decimal)
    for (_, price), (bought, sold, _) in levels.items():
        by_price[price] += bought + sold
    assert sums.prices.tolist() == [float(price) for price in sorted(by_price)]
    assert (sums.volumes / sums.unit).tolist() == [float(by_price[price]) for price in sorted(by_price)]


def test_a_day_takes_few_bytes_and_its_sums_are_those_of_its_levels() -> None:
    ladder = ape_ladder()
    block = pack(ladder)
    assert same(unpack(block), ladder)
    noon = unpack(block, 700, 705)
    assert np.array_equal(noon.minutes, ladder.minutes[700:705])
    sums = day_sums(block)
    volumes = ladder.quantities(ladder.levels["bought"] + ladder.levels["sold"])
    for price in sums.prices[::20].tolist():
        here = ladder.prices() == price
        found = sums.volumes[sums.prices == price][0] / sums.unit
        assert found == pytest.approx(volumes[here].sum(), rel=1e-12)
    assert len(block) < 4 * len(ladder.levels)


def test_a_busy_day_is_packed_with_its_sums_and_read_as_exactly() -> None:
    number, random = 150_000, np.random.default_rng(4)
    trades = Trades(
        np.arange(number) + 1,
        600_000 + np.cumsum(random.integers(-30, 31, number)),
        random.integers(1, 1 << 30, number),
        random.integers(1, 9, number),
        TRX_DAY + np.sort(random.integers(0, 86_400_000, number)),
        random.integers(0, 2, number) == 1,
        1,
        3,
    )
    builder = LadderBuilder(TRX_DAY)
    builder.add(trades)
    ladder = builder.ladder()
    assert len(ladder.levels) > 1 << 16
    block = pack(ladder)
    assert same(unpack(block), ladder)
    for first, end in ((0, 60), (59, 61), (130, 131), (1_380, 1_440), (700, 700)):
        part = unpack(block, first, end)
        inside = (ladder.levels["minute"] >= first) & (ladder.levels["minute"] < end)
        assert np.array_equal(part.levels, ladder.levels[inside])
        inside = (ladder.minutes["minute"] >= first) & (ladder.minutes["minute"] < end)
        assert np.array_equal(part.minutes, ladder.minutes[inside])
    whole, added = day_sums(block), sums_of(ladder, TRX_DAY + np.arange(1_440) * MINUTE_MS)
    for name in ("prices", "volumes", "bought", "unit"):
        assert np.array_equal(getattr(whole, name), getattr(added, name)), name
    for name in ("times", "bought", "sold", "trades", "missing"):
        assert np.array_equal(getattr(whole.minutes, name), getattr(added.minutes, name)), name


#: Packed by the first version of the format.
OLD_BLOCK = (
    "Y++<%WpW@f00{%fBAd?u00EMm?1%sa0Roc%000F81H@b&0000ewJ-f36{!FK0{{R34FLiJ0000B01*QK000OH1%QA60Dypi0Dypi0Du6"
    "10001hfPer100000fB*o1fPjF2fB=91fB*o10Dyo1fB*mh0Dyo1fB*o*okaiu04TLD{UA-{0RV&o0{{R3009dF000020s#&H1OfvB0ss"
    "I20t5g73lRwj1p@#800IO72mnAZI1CyFf<a(#1K1#|C;@<gfPjDi0Dyo1000000Du4hfPjDifPjDifB*mh00000004jh004l1fB*mh00"
    "01h004l1fPjF20Du61004jhfPesi00000fPesi004jh006{eEdT%jD77#BASfjP0N4cp0000100RI80s;X70ssI23lReV000RH1p)wts"
    "<ogX0RR910Du4h0Dypi00000004jh0DypifPjDifB=910Du61fB=910001hfB=91004j"
)


def test_a_block_of_the_first_version_is_read() -> None:
    shown = [
        TradeLine(1, "0.7097", "12.5", 1, APE_DAY + 5, False),
        TradeLine(2, "0.7098", "3", 2, APE_DAY + 59_999, True),
        TradeLine(4, "0.7097", "1.5", 1, APE_DAY + 60_000, True),
        TradeLine(5, "0.7101", "900", 7, APE_DAY + 60_001, False),
        TradeLine(6, "0.7101", "0.25", 1, APE_DAY + 86_399_999, True),
    ]
    builder, block = LadderBuilder(APE_DAY), base64.b85decode(OLD_BLOCK)
    builder.add(trades_of(shown))
    ladder = builder.ladder()
    assert same(unpack(block), ladder)
    sums = day_sums(block)
    assert sums.prices.tolist() == [0.7097, 0.7098, 0.7101]
    assert (sums.volumes / sums.unit).tolist() == [14.0, 3.0, 900.25]
    assert (sums.bought / sums.unit).tolist() == [12.5, 0.0, 900.0]
    assert sums.minutes.trades.tolist() == [3, 8, 1]
    with pytest.raises(LadderBlockError):
        unpack(block[:-20])


@pytest.mark.parametrize("places", [(0, 5), (9, 13), (20, 60), (-40, -1)])
def test_a_damaged_block_is_refused(places: tuple[int, int]) -> None:
    block = bytearray(pack(ape_ladder()))
    for at in range(*places):
        block[at] ^= 0x55
    for read in (unpack, day_sums):
        with pytest.raises(LadderBlockError):
            read(bytes(block))


def test_a_day_without_a_trade() -> None:
    ladder = LadderBuilder(TRX_DAY).ladder()
    assert same(unpack(pack(ladder)), ladder)
    assert (len(ladder.levels), len(ladder.minutes)) == (0, 0)
    assert (ladder.levels.dtype, ladder.minutes.dtype) == (LEVEL, MINUTE)


def test_of_a_minute_it_is_known_how_much_is_there() -> None:
    ladder, candles = trx()
    whole = candles[(candles["open_time"] >= TRX_DAY) & (candles["open_time"] < TRX_DAY + 16 * MINUTE_MS)]
    changed = whole.copy()
    changed["volume"][3] *= 2  # half of it is not among the trades
    changed["trades"][4] += 1
    later = to_rows([Candle(TRX_DAY + 600 * MINUTE_MS, 1, 1, 1, 1, 5.0, 5.0, 1, 1.0, 1.0),
                     Candle(TRX_DAY + 601 * MINUTE_MS, 1, 1, 1, 1, 0.0, 0.0, 0, 0.0, 0.0)])  # fmt: skip
    rows = np.concatenate((changed[1:], later))
    known = reconcile(rows, minute_sums(ladder.minutes, ladder.day, ladder.quantity_places))
    wanted = [Known.EXACT] * 17
    wanted[2] = wanted[3] = Known.PARTIAL
    wanted[15] = Known.CANDLE
    assert known.known.tolist() == wanted
    assert known.shares[2] == pytest.approx(0.5)
    assert known.shares[3] == 1.0
    assert known.shares[15:].tolist() == [0.0, 1.0]
    assert known.strangers == len(ladder.minutes) - 15


def test_of_two_ladders_of_a_minute_the_exact_one_is_better_then_the_one_that_has_more() -> None:
    busy = int(np.argmax(ape_candles()["trades"]))
    begin = APE_DAY + busy * MINUTE_MS
    trades = [trade for trade in ape_plain() if begin <= trade.time < begin + MINUTE_MS]
    candles = ape_candles()[busy : busy + 1].copy()
    whole = ladder_of(trades)
    # One trade too many, as where a candle counts what bears a time of the next minute.
    more = ladder_of([*trades, trades[-1]._replace(id=trades[-1].id + 1)])
    assert same(better_of(whole, more, candles), whole)
    assert same(better_of(more, whole, candles), whole)
    candles["trades"] += 1  # no ladder is exact: those that lack trades are nearer to the candle by volume
    for first, second in ((more, whole), (whole, more)):
        assert same(better_of(first, second, candles), more)
    assert same(better_of(whole, whole.of_minutes(whole.minutes["minute"] < 0), candles), whole)
    # Of a file in which no id is missing no minute is better than its own.
    after = [trade for trade in ape_plain() if begin <= trade.time < begin + 2 * MINUTE_MS]
    assert same(better_of(ladder_of(after), more, candles), ladder_of(after))
    lacking = ladder_of([*trades[:-1], *after[len(trades) :]])
    chosen = better_of(lacking, more, candles)
    assert same(chosen.of_minutes(chosen.minutes["minute"] == busy), more)
