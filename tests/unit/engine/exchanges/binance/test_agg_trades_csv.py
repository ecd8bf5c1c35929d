"""Archives of aggregated trades: every form that files have, and lines that hold no trade."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trade_samples import ape_plain, ape_text

from tui_feeder.engine.core.trades import Trades, in_units, together
from tui_feeder.engine.exchanges.binance.agg_trades_csv import TradesCsvError, TradesReader

HEADER = b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
DAY = 1_772_928_000_000


def read(text: bytes, columns: int = 7, size: int = 1 << 20) -> tuple[Trades, TradesReader]:
    reader = TradesReader(columns)
    parts = list(reader.read(text[at : at + size] for at in range(0, len(text), size)))
    return together(parts), reader


def plain(trades: Trades) -> list[tuple[object, ...]]:
    prices = [in_whole(value, trades.price_places) for value in trades.prices.tolist()]
    quantities = [in_whole(value, trades.quantity_places) for value in trades.quantities.tolist()]
    columns = (trades.ids, trades.counts, trades.times, trades.sold)
    return list(zip(prices, quantities, *(column.tolist() for column in columns), strict=True))


def in_whole(value: int, places: int) -> int:
    """In units of the eighth decimal."""
    return value * 10 ** (8 - places)


def test_a_real_day_is_read_as_the_standard_library_reads_it() -> None:
    trades, reader = read(ape_text())
    assert (len(trades), reader.lines, reader.refused) == (45_342, 45_342, 0)
    wanted = [
        (int(t.price * 10**8), int(t.quantity * 10**8), t.id, t.count, t.time, t.sold) for t in ape_plain()
    ]
    assert plain(trades) == wanted


numbers = st.from_regex(r"(0|[1-9][0-9]{0,7})(\.[0-9]{1,8})?", fullmatch=True)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**16 - 1), numbers, numbers, st.integers(0, 10**15), st.integers(0, 10**6),
            st.integers(DAY, DAY + 86_399_999), st.booleans(),
        ),
        min_size=1, max_size=12,
    ),
    st.sampled_from((7, 8)), st.booleans(), st.booleans(), st.integers(3, 200),
)  # fmt: skip
def test_any_numbers_in_any_form(
    rows: list[tuple[int, str, str, int, int, int, bool]], columns: int, headed: bool, micro: bool, size: int
) -> None:
    lines = []
    for number, price, quantity, first, more, time, sold in rows:
        stamp = time * 1000 + 7 if micro else time
        word = str(sold).lower() if columns == 7 else f"{sold},True"
        lines.append(f"{number},{price},{quantity},{first},{first + more},{stamp},{word}")
    text = ("\r\n" if micro else "\n").join(lines).encode() + (b"\n" if headed else b"")
    header = HEADER if columns == 7 else HEADER.strip() + b",best\n"
    trades, reader = read((header if headed else b"") + text, columns, size)
    assert reader.refused == 0
    assert plain(trades) == [
        (in_units(price, 8), in_units(quantity, 8), number, more + 1, time, sold)
        for number, price, quantity, _, more, time, sold in rows
    ]


shorts = st.from_regex(r"(0|[1-9][0-9]{0,4})(\.[0-9]{1,5})?", fullmatch=True)


@given(
    st.lists(
        st.tuples(st.integers(0, 20_000), shorts, shorts, st.integers(0, 12_000)), min_size=1, max_size=9
    )
)
def test_numbers_of_about_four_digits(rows: list[tuple[int, str, str, int]]) -> None:
    lines = [f"{n},{price},{amount},{first},{first + 2},{DAY},true" for n, price, amount, first in rows]
    trades, reader = read("\n".join(lines).encode(), 7, 100)
    assert reader.refused == 0
    assert plain(trades) == [
        (in_units(price, 8), in_units(amount, 8), n, 3, DAY, True) for n, price, amount, _ in rows
    ]


GOOD = b"1,2.5,3,10,12,1772928000123,true\n"


@pytest.mark.parametrize(
    "bad",
    [
        b"1,2.5,3,10,12,1772928000123\n", b"1,-2.5,3,10,12,1772928000123,true\n",
        b"1,2.5.1,3,10,12,1772928000123,true\n", b"1,,3,10,12,1772928000123,true\n",
        b"1,2e5,3,10,12,1772928000123,true\n", b"1,2.5,nan,10,12,1772928000123,true\n",
        b"1,2.5,3,1.0,12,1772928000123,true\n", b"1,2.5,3,10,12,1772928000123,yes\n",
        b"1,2.5,3,10,12,1772928000123,trie\n", b"x\n", b"1,2.123456789,3,10,12,1772928000123,true\n",
        b"1,2.5,3,10,12,17729280001230000000,true\n", "1,٣,3,10,12,1772928000123,true\n".encode(),
        b"1,.5,3,10,12,1772928000123,true\n",
    ],
)  # fmt: skip
def test_a_line_that_is_no_trade_is_left_out_and_counted(bad: bytes) -> None:
    trades, reader = read(GOOD * 6 + bad + GOOD * 6)
    assert (len(trades), reader.lines, reader.refused) == (12, 13, 1)
    with pytest.raises(TradesCsvError, match="1 of its 6 lines are no trades"):
        read(GOOD * 5 + bad)


def test_what_is_no_file_of_trades_is_refused() -> None:
    with pytest.raises(TradesCsvError, match="neither a trade nor a header"):
        read(b"open_time,open\n")
    with pytest.raises(TradesCsvError, match="a line without an end"):
        read(b"1" * 2_000_000)
    assert list(TradesReader().read([b""])) == []
    assert list(TradesReader().read([HEADER])) == []
