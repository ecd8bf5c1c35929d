"""Lists from outside with entries that make no sense: those are left out and named, the others live."""

from __future__ import annotations

import copy
import json
import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commanding import command_at
from feed import configured, feeding, until
from history_parts import LTC, minutes_from, reading, truth
from holding import BTC, ETH, NOON, exchange_of, feed_of
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import in_virtual_time

from tui_feeder.config import Config
from tui_feeder.engine.core.candle import MINUTE_MS
from tui_feeder.engine.core.journal import Journal
from tui_feeder.engine.exchanges.base import Refusal, RestError
from tui_feeder.engine.exchanges.binance import answers
from tui_feeder.logs import configure_logging
from tui_feeder.simulator.exchange import Exchange

NAMES = [f"A{number}USDT" for number in range(6)]
#: What may stand where something else is expected.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def entry(name: str) -> dict[str, Any]:
    return {
        "symbol": name, "status": "TRADING", "quoteAsset": "USDT", "contractType": "PERPETUAL",
        "onboardDate": 1_569_398_400_000,
        "filters": [
            {"filterType": "LOT_SIZE", "stepSize": "0.001"},
            {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "1"},
        ],
    }  # fmt: skip


def info(entries: list[Any], **more: Any) -> bytes:  # noqa: ANN401
    return json.dumps({"symbols": entries, **more}).encode()


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[list[Any], int]:
    """The entries of :data:`NAMES` with one of them spoilt in some place, and which."""
    entries: list[Any] = [entry(name) for name in NAMES]
    place = draw(st.integers(0, len(NAMES) - 1))
    key = draw(st.sampled_from([None, "symbol", "status", "contractType", "filters", "filter", "tickSize"]))
    value = draw(JSON)
    one = entries[place]
    if key is None:
        entries[place] = value
    elif key == "filter":
        one["filters"][1] = value
    elif key == "tickSize":
        one["filters"][1]["tickSize"] = value
    elif draw(st.booleans()):
        one[key] = value
    else:
        del one[key]
    return entries, place


@given(spoilt())
@settings(max_examples=300, deadline=None)
def test_one_odd_listing_costs_no_other(case: tuple[list[Any], int]) -> None:
    entries, place = case
    found, _ = answers.listings(info(entries))
    others = [name for number, name in enumerate(NAMES) if number != place]
    for name in others:
        assert found.symbols[name].tick_size == 0.1
        assert found.symbols[name].price_decimals == 1
    # What was spoilt is still good, or named with a reason; nothing that could do harm gets through.
    assert len(found.symbols) + len(found.unusable) == len(NAMES)
    for name, one in found.symbols.items():
        assert answers.is_name(name)
        assert 0 < one.tick_size < 1e10
    assert all(name.isprintable() and why for name, why in found.unusable.items())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"filters": ...}, "missing required field `filters`"),
        ({"filters": []}, "it has no tickSize"),
        ({"filters": [{"filterType": "PRICE_FILTER", "tickSize": None}]}, "it has no tickSize"),
        ({"filters": [{"filterType": "PRICE_FILTER", "tickSize": "abc"}]}, 'its tickSize is "abc"'),
        ({"filters": [{"filterType": "PRICE_FILTER", "tickSize": "NaN"}]}, 'its tickSize is "NaN"'),
        ({"filters": [{"filterType": "PRICE_FILTER", "tickSize": "-1"}]}, 'its tickSize is "-1"'),
        ({"filters": [{"filterType": "PRICE_FILTER", "tickSize": "inf"}]}, 'its tickSize is "inf"'),
        ({"filters": [{"filterType": "PRICE_FILTER", "tickSize": "0"}]}, 'its tickSize is "0"'),
        ({"filters": [{"filterType": "PRICE_FILTER", "tickSize": "1e-300"}]}, 'its tickSize is "1e-300"'),
        ({"filters": [{"filterType": "PRICE_FILTER", "tickSize": [1]}]}, "got `array` - at `$.tickSize`"),
        ({"contractType": None}, "Expected `str`, got `null`"),
        ({"contractType": 7}, "Expected `str`, got `int`"),
        ({"status": None}, "Expected `str`, got `null`"),
        ({"symbol": "A\x00B"}, "its name is no name of a symbol"),
        ({"symbol": "A\x1b[2J\nB"}, "its name is no name of a symbol"),
        ({"symbol": "../../etc"}, "its name is no name of a symbol"),
        ({"symbol": "A" * 4_000}, "its name is no name of a symbol"),
        ({"symbol": ""}, "its name is no name of a symbol"),
        ({"symbol": NAMES[0]}, "it is listed twice"),
    ],
)
def test_every_odd_listing_is_named_with_its_reason(change: dict[str, Any], why: str) -> None:
    odd = entry("ODDUSDT") | change
    odd = {key: value for key, value in odd.items() if value is not ...}
    found, _ = answers.listings(info([entry(NAMES[0]), odd, entry(NAMES[1])]))
    assert list(found.symbols) == NAMES[:2]
    ((name, told),) = found.unusable.items()
    assert why in told
    assert name.isprintable()
    assert len(name) < 100


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (..., None), (None, None), ([], None), (7, None), ([None, {}], None),
        ([{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 0, "limit": 9}], None),
        ([{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": -4}], None),
        (
            [
                {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1_200}, "odd",
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 2, "limit": 4_800},
            ],
            2_400,
        ),
    ],
)  # fmt: skip
def test_odd_rate_limits_leave_the_limit_alone(limits: object, expected: int | None) -> None:
    more = {} if limits is ... else {"rateLimits": limits}
    found, weight_limit = answers.listings(info([entry(NAMES[0])], **more))
    assert (list(found.symbols), weight_limit) == (NAMES[:1], expected)


def row(number: int, length: int = MINUTE_MS) -> list[Any]:
    at = NOON + number * length
    return [at, "2", "3", "1", "2", "10", at + length - 1, "20", 4, "5", "10", "0"]


@st.composite
def mixed(draw: st.DrawFn) -> tuple[list[Any], set[int]]:
    """Rows in any order, some twice, one spoilt or joined by what is none; and those that are good."""
    numbers = draw(st.lists(st.integers(0, 20), min_size=1, max_size=12))
    rows: list[Any] = [row(number) for number in numbers]
    good = set(numbers)
    place = draw(st.integers(0, len(rows) - 1))
    if draw(st.booleans()):
        rows.insert(place, draw(st.none() | st.integers() | st.text() | st.lists(JSON, max_size=11)))
    else:
        spoilt = copy.copy(rows[place])
        column = draw(st.integers(0, 10))
        spoilt[column] = draw(st.none() | st.just([]) | st.just("x") | st.just({}) | st.just("1e999x"))
        rows[place] = spoilt
        good = {number for at, number in enumerate(numbers) if at != place}
    return rows, good


@given(mixed())
@settings(max_examples=300, deadline=None)
def test_rows_come_through_sorted_and_once_whatever_is_among_them(case: tuple[list[Any], set[int]]) -> None:
    rows, good = case
    found = answers.klines(json.dumps(rows).encode(), "1m")
    assert found.rows["open_time"].tolist() == [NOON + number * MINUTE_MS for number in sorted(good)]
    assert (found.rows["quote_volume"] == 20.0).all()
    assert found.ends.tolist() == [at + MINUTE_MS - 1 for at in found.rows["open_time"].tolist()]
    assert len(found.unusable) == 1


def test_two_rows_of_a_minute_that_differ_and_one_of_another_length_are_left_out() -> None:
    other, long = row(1), row(3)
    other[5], other[7] = "11", "22"
    long[6] += 1
    found = answers.klines(json.dumps([row(2), row(1), other, row(1), row(0), long]).encode(), "1m")
    assert found.rows["open_time"].tolist() == [NOON, NOON + 2 * MINUTE_MS]
    assert found.unusable == (
        f"the candle of {NOON + 3 * MINUTE_MS} does not end 60000 ms after it begins",
        f"the candle of {NOON + MINUTE_MS} is there twice with different values",
    )
    hours = answers.klines(json.dumps([row(1, 3_600_000), row(0, 3_600_000)]).encode(), "1h")
    assert len(hours.rows) == 2
    assert not hours.unusable


async def test_history_is_whole_although_every_answer_is_out_of_order_and_has_odd_rows(
    tmp_path: Path,
) -> None:
    async with reading(tmp_path) as parts:
        told: list[tuple[int, str, str]] = []
        parts.source.on_unusable = lambda *odd: told.append(odd)
        parts.exchange.faults.switch_on("odd-rows")
        start = NOON - 700 * MINUTE_MS
        filled = await parts.fill(minutes_from(start, 700))
        assert filled.got.minutes == 700
        np.testing.assert_array_equal(
            parts.store.read(LTC, start, NOON), truth(parts.exchange, LTC, start, NOON)
        )
        assert told
        assert all(count == 4 and symbol == LTC for count, _, symbol in told)


@pytest.mark.parametrize(
    ("only", "named"),
    [
        (
            "all",
            ("ODD0USDT: Object missing required field `filters`", "ODD1USDT: Expected `str`, got `null`"),
        ),
        ("name", ('"ODD0USDT\\u001b[2J\\n\\u0000": its name is no name of a symbol',)),
    ],
)
@in_virtual_time
async def test_odd_listings_beside_the_right_ones_stop_nobody(
    tmp_path: Path, only: str, named: tuple[str, ...]
) -> None:
    async with exchange_of([BTC, ETH]) as exchange:
        exchange.faults.switch_on("odd-listing", only=only)
        async with feed_of(exchange, tmp_path / "store") as feed:
            await feed.minutes(2)
            await feed.holds()
            assert feed.counted("unusable_listings") == len(exchange.market.instruments)
            (told,) = [e.text for e in feed.engine.journal.events if "odd entries" in e.text]
            assert all(text in told for text in named)
            assert told.isprintable()


async def test_commands_name_odd_listings_and_go_on(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH], rate=1.0) as exchange:
        exchange.faults.switch_on("odd-listing")
        given = ("--symbols", BTC, "--storage", tmp_path / "store")
        span = ("--from", "2026-03-10T10:00", "--to", "2026-03-10T11:00")
        filled = await command_at(exchange, "backfill", *given, *span, cwd=tmp_path)
        assert filled.code == 0, filled.err
        text = "entries of the exchange's list that cannot be used: ODD0USDT: Object missing required field"
        assert text in filled.err
        looked = await command_at(exchange, "doctor", *given, cwd=tmp_path)
        assert "4 entries of the exchange's list cannot be used: ODD0USDT: Object missing" in looked.out


@in_virtual_time
async def test_one_whose_own_entry_is_odd_says_why_and_lives_once_it_is_right(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange:
        exchange.faults.switch_on("odd-listing", ETH, only="tick")
        async with feed_of(exchange, tmp_path) as feed:
            await feed.minutes(2, BTC)
            one = feed.engine.tracked[ETH]
            assert one.phase == "unknown"
            assert one.reason == 'its entry in the exchange\'s list cannot be used: its tickSize is "abc"'
            exchange.faults.switch_off()
            feed.engine.subscriptions.add(ETH)  # the list is read again
            await until(lambda: one.phase == "live")
            # Of one that is live an entry that cannot be read ends nothing.
            exchange.faults.switch_on("odd-listing", ETH, only="type")
            asked = exchange.requests["exchangeInfo"]
            feed.engine.subscriptions.add(ETH)
            await until(lambda: exchange.requests["exchangeInfo"] > asked)
            await feed.minutes(2)
            assert one.phase == "live"
            await feed.holds()


def short(exchange: Exchange, left: float) -> None:
    exchange.faults.switch_on("short-listing", left=left)


@pytest.mark.parametrize("left", [0.0, 1.0])
@in_virtual_time
async def test_a_list_that_is_short_for_a_while_delists_nobody(tmp_path: Path, left: float) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await feed.minutes(1)
        short(exchange, left)
        for _ in range(5):  # however often it is read: both still trade
            asked = exchange.requests["exchangeInfo"]
            feed.engine.subscriptions.add(BTC)
            await until(lambda asked=asked: exchange.requests["exchangeInfo"] > asked)
            await feed.minutes(1)
            assert {one.phase for one in feed.engine.tracked.values()} == {"live"}
        assert feed.said("incomplete listings", ETH, "believed if that lasts 3 minutes")
        # The configuration read again meanwhile keeps what its patterns matched.
        feed.engine.subscriptions.replace(["*USDT"])
        asked = exchange.requests["exchangeInfo"]
        await until(lambda: exchange.requests["exchangeInfo"] > asked)
        await feed.minutes(1)
        assert set(feed.engine.tracked) == {BTC, ETH}
        await feed.holds()
        assert set(feed.engine.subscriptions.listed) == {BTC, ETH}


@in_virtual_time
async def test_one_that_left_the_list_and_is_silent_is_believed_to_be_gone_in_time(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange, feed_of(exchange, tmp_path) as feed:
        await feed.minutes(1)
        exchange.faults.switch_on("delist", ETH, gone=60)
        begun = exchange.clock.now()
        feed.engine.subscriptions.add(BTC)  # the list is read at once; from there on it asks again by itself
        one = feed.engine.tracked[ETH]
        await until(lambda: one.phase == "delisted")
        assert exchange.clock.now() - begun >= 3 * MINUTE_MS
        assert one.reason.startswith("the exchange trades it no longer")
        assert not [gap for gap in feed.engine.recovery.open_gaps() if gap.symbol == ETH]
        await feed.minutes(2, BTC)
        await feed.holds()


@in_virtual_time
async def test_a_start_waits_for_a_list_that_has_symbols(tmp_path: Path) -> None:
    async with exchange_of([BTC, ETH]) as exchange:
        short(exchange, 0.0)
        async with feed_of(exchange, tmp_path) as feed:
            await until(lambda: feed.said("exchange not ready: it lists no symbol that can be used"))
            exchange.faults.switch_off()
            await feed.minutes(1)
        # One with candles of it goes on waiting for a symbol that a short list lacks.
        short(exchange, 1.0)
        async with feeding(configured(exchange, [ETH], days=1), tmp_path) as (engine, _):
            await until(lambda: ETH in engine.tracked)
            assert engine.tracked[ETH].reason == "the exchange does not list it"
            exchange.faults.switch_off()
            engine.subscriptions.add(ETH)
            await until(lambda: engine.tracked[ETH].phase == "live")


def test_what_others_say_reaches_log_and_screen_as_text(tmp_path: Path) -> None:
    """Names, reasons and messages of others hold what a terminal would take for its own."""
    evil = "A\x1b[2J\nfaked line\x00\u202e\x9b31m"
    journal = Journal(lambda: NOON)
    journal.note("warning", f"refused: {evil}", evil)
    event = journal.recent()[-1]
    assert event.text.isprintable()
    assert (event.symbol or "").isprintable()
    assert str(RestError(Refusal.BAD_REQUEST, evil)).isprintable()
    root = logging.getLogger()
    handlers, level, hook = root.handlers[:], root.level, threading.excepthook
    try:
        configure_logging(Config(), tmp_path / "feeder.log")
        logging.getLogger("tui_feeder").warning("symbol %s", evil)
        try:
            raise ValueError(evil)
        except ValueError:
            logging.getLogger("tui_feeder").exception("failed")
    finally:
        threading.excepthook = hook
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
    lines = (tmp_path / "feeder.log").read_text().splitlines()
    assert all(line.isprintable() for line in lines)
    assert lines[0].endswith(r"symbol A\U0000001b[2J\U0000000afaked line\U00000000\U0000202e\U0000009b31m")
    assert "Traceback (most recent call last):" in lines
