"""Candles of the gateway are those of the exchange, byte for byte; holes are named and never filled."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.feed import NOON
from tests.support.gateways import gateway_of, market_rows
from tui_feeder.configuration.sections import Gateway
from tui_feeder.engine.core.candle import DAY_MS, MINUTE_MS, Candle, Source, to_candles
from tui_feeder.engine.core.coverage import span
from tui_feeder.service.gateway.feeder import FollowedSymbol
from tui_feeder.simulator.clock import SimulatedClock
from tui_feeder.simulator.exchange import Exchange
from tui_feeder.simulator.synthetic import synthetic_market

BTC, QUIET = "BTCUSDT", "币安人生USDT"
HOUR_MS = 60 * MINUTE_MS
#: The clock stands 30 s inside a minute.
NOW = NOON + 30_000


def exchange_at(now: int = NOW, symbols: tuple[str, ...] = (BTC, QUIET, "ETHUSDT")) -> Exchange:
    market = synthetic_market(list(symbols), as_of_ms=NOON)
    return Exchange(market, SimulatedClock(now, 1e-6))


def over(rows: list[list[object]]) -> list[list[object]]:
    """The rows of bars that are over."""
    return [row for row in rows if int(str(row[6])) < NOW]


@pytest.mark.parametrize(
    "interval", ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"]
)
async def test_rows_are_the_exchanges_own_at_every_interval(tmp_path: Path, interval: str) -> None:
    start = NOON - 12 * DAY_MS - 12 * HOUR_MS
    async with (
        exchange_at() as exchange,
        gateway_of(exchange, tmp_path, {BTC: (start, NOON), QUIET: (start, NOON)}) as gateway,
    ):
        for query in (
            "limit=7", "limit=100", f"startTime={start}", f"startTime={start + 1}&limit=33",
            f"startTime={start + DAY_MS}&endTime={start + 2 * DAY_MS}&limit=1500",
            f"startTime={start + DAY_MS}&endTime={start + DAY_MS}", f"endTime={NOON - DAY_MS}&limit=3",
            f"startTime={NOON + DAY_MS}", f"startTime={NOON}", f"startTime={NOON - 2 * DAY_MS}&limit=1500",
        ):  # fmt: skip
            for symbol in (BTC, QUIET):
                path = f"/fapi/v1/klines?symbol={symbol}&interval={interval}&{query}"
                status, body, _ = await gateway.get(path)
                assert status == 200, (path, body)
                async with gateway.session.get(exchange.rest_url + path) as answer:
                    wanted = await answer.read()
                got, exact = json.loads(body), json.loads(wanted)
                if over(exact) == exact and all(row[0] >= start for row in exact):
                    assert body == wanted, path
                exact = [row for row in exact if row[0] >= start]  # the history begins with it
                assert over(got) == over(exact), path
                assert [row[0] for row in got] == [row[0] for row in exact], path


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("interval", "begins", "after"),
    [
        ("3d", ["2026-02-27", "2026-03-02", "2026-03-05", "2026-03-08"], "2026-03-11"),
        ("1w", ["2026-02-16", "2026-02-23", "2026-03-02", "2026-03-09"], "2026-03-16"),
        ("1M", ["2026-01-01", "2026-02-01", "2026-03-01"], "2026-04-01"),
    ],
)
async def test_long_bars_begin_where_the_exchange_begins_them(
    tmp_path: Path, interval: str, begins: list[str], after: str
) -> None:
    start = ms("2026-01-01")
    async with exchange_at() as exchange, gateway_of(exchange, tmp_path, {BTC: (start, NOON)}) as gateway:
        path = f"/fapi/v1/klines?symbol={BTC}&interval={interval}&limit={len(begins)}"
        status, body, _ = await gateway.get(path)
        assert status == 200, body
        rows, times = json.loads(body), [ms(text) for text in (*begins, after)]
        assert [row[0] for row in rows] == times[:-1]
        assert [row[6] for row in rows] == [time - 1 for time in times[1:]]
        minutes = market_rows(exchange.market, BTC, start, NOON + MINUTE_MS)
        for row, end in zip(rows, times[1:], strict=True):
            inside = minutes[(minutes["open_time"] >= row[0]) & (minutes["open_time"] < end)]
            assert row[1:5] == [
                f"{value:.2f}"
                for value in (
                    inside["open"][0],
                    inside["high"].max(),
                    inside["low"].min(),
                    inside["close"][-1],
                )
            ]
            for column, name in ((5, "volume"), (7, "quote_volume"), (9, "taker_buy_volume")):
                assert Decimal(row[column]) == sum(Decimal(repr(value)) for value in inside[name].tolist())
            assert row[8] == inside["trades"].sum()


async def test_a_hole_is_refused_with_its_minutes_and_served_once_it_is_filled(tmp_path: Path) -> None:
    start = NOON - DAY_MS
    async with exchange_at() as exchange, gateway_of(exchange, tmp_path, {BTC: (start, start)}) as gateway:
        hole = NOON - 2 * HOUR_MS + 3 * MINUTE_MS
        gateway.commit(exchange.market, BTC, start, hole)
        gateway.commit(exchange.market, BTC, hole + 3 * MINUTE_MS, NOON)
        gateway.feeder.wait = 3.2
        for interval, query in (
            ("1m", "limit=200"),
            ("5m", "limit=30"),
            ("1h", f"startTime={hole - HOUR_MS}"),
        ):
            path = f"/fapi/v1/klines?symbol={BTC}&interval={interval}&{query}"
            status, body, headers = await gateway.get(path)
            assert (status, headers["Retry-After"]) == (503, "4")
            text = "minutes 10:03 to 10:05 are being recovered, retry in 4 s"
            assert json.loads(body) == {"code": -1008, "msg": text}
        elsewhere = f"/fapi/v1/klines?symbol={BTC}&interval=1m&limit=60&endTime={hole - 1}"
        assert (await gateway.get(elsewhere))[0] == 200

        some = f"/fapi/v1/klines?symbol={BTC}&interval=1m&startTime={hole - MINUTE_MS}&limit=8&partial=true"
        status, body, _ = await gateway.get(some)
        assert (status, [row[0] for row in json.loads(body)]) == (
            200, [hole - MINUTE_MS, *(hole + n * MINUTE_MS for n in range(3, 7))],
        )  # fmt: skip

        gateway.commit(exchange.market, BTC, hole, hole + 3 * MINUTE_MS)
        for interval, query in (
            ("1m", "limit=200"),
            ("5m", "limit=30"),
            ("1h", f"startTime={hole - HOUR_MS}"),
        ):
            path = f"/fapi/v1/klines?symbol={BTC}&interval={interval}&{query}"
            status, body, _ = await gateway.get(path)
            async with gateway.session.get(exchange.rest_url + path) as answer:
                assert over(json.loads(body)) == over(json.loads(await answer.read()))


async def test_a_minute_that_may_still_be_corrected_is_served_once_it_is_confirmed(tmp_path: Path) -> None:
    path = f"/fapi/v1/klines?symbol={BTC}&interval=1m&endTime={NOON}&limit=5"
    for serve in (False, True):
        settings = Gateway(serve_unconfirmed=serve)
        async with (
            exchange_at(NOON + 90_000) as exchange,
            gateway_of(exchange, tmp_path / str(serve), {BTC: (NOON - HOUR_MS, NOON)}, settings) as gateway,
        ):
            rows = market_rows(exchange.market, BTC, NOON, NOON + MINUTE_MS)
            gateway.store.put(BTC, rows, Source.REST).result(30)
            status, body, headers = await gateway.get(path)
            if serve:
                assert status == 200
                continue
            assert (status, int(headers["Retry-After"]) > 1) == (503, True)
            assert "minute 12:00 is being confirmed" in json.loads(body)["msg"]
            minute = span(NOON, NOON + MINUTE_MS)
            gateway.store.put(BTC, rows, Source.REST, certify=minute).result(30)
            status, body, _ = await gateway.get(path)
            assert (status, json.loads(body)[-1][0]) == (200, NOON)


async def test_replaced_minutes_are_served_at_once(tmp_path: Path) -> None:
    async with (
        exchange_at() as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - DAY_MS, NOON)}) as gateway,
    ):
        path = f"/fapi/v1/klines?symbol={BTC}&interval=1h&limit=20"
        before = json.loads((await gateway.get(path))[1])
        at = NOON - 3 * HOUR_MS
        rows = market_rows(exchange.market, BTC, at, at + MINUTE_MS)
        rows["high"] = 99_999.5
        gateway.store.put(BTC, rows, Source.ARCHIVE_MONTH).result(30)
        after = json.loads((await gateway.get(path))[1])
        assert [(a[0], b[2]) for a, b in zip(before, after, strict=True) if a != b] == [(at, "99999.50")]


async def test_a_minute_that_has_just_ended_is_waited_for(tmp_path: Path) -> None:
    now = NOON + 300
    async with (
        exchange_at(now) as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - HOUR_MS, NOON - MINUTE_MS)}) as gateway,
    ):
        gateway.feeder.clock = SimulatedClock(now, 1.0)
        path = f"/fapi/v1/klines?symbol={BTC}&interval=1m&limit=3"
        asked = asyncio.create_task(gateway.get(path))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await asyncio.shield(asked)
        gateway.commit(exchange.market, BTC, NOON - MINUTE_MS, NOON)
        status, body, _ = await asked
        rows = json.loads(body)
        assert (status, [row[0] for row in rows]) == (200, [NOON - 2 * MINUTE_MS, NOON - MINUTE_MS, NOON])
        close = rows[1][4]  # nothing was traded yet in the new minute
        assert rows[2] == [
            NOON, close, close, close, close, "0.000", NOON + MINUTE_MS - 1,
            rows[2][7], 0, "0.000", rows[2][10], "0",
        ]  # fmt: skip
        assert Decimal(rows[2][7]) == Decimal(rows[2][10]) == 0

        gateway.feeder.candles[BTC] = Candle(NOON, 10.0, 12.5, 9.0, 11.0, 2.0, 21.5, 4, 1.5, 16.25)
        row = json.loads((await gateway.get(path))[1])[-1]
        assert row[:6] == [NOON, "10.00", "12.50", "9.00", "11.00", "2.000"]
        assert (Decimal(row[7]), row[8], row[9], Decimal(row[10])) == (
            Decimal("21.5"),
            4,
            "1.500",
            Decimal("16.25"),
        )


async def test_nobody_waits_for_a_minute_that_should_have_come(tmp_path: Path) -> None:
    """Its closing frame did not come, as after a minute without a trade: each poll is refused at once."""
    async with (
        exchange_at(NOON + 10_000) as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - HOUR_MS, NOON - MINUTE_MS)}) as gateway,
    ):
        for path in (f"klines?symbol={BTC}&interval=1m&limit=3", f"ticker/price?symbol={BTC}"):
            async with asyncio.timeout(4):  # a minute that is on its way is waited for 6 s
                status, body, headers = await gateway.get(f"/fapi/v1/{path}")
            assert (status, "Retry-After" in headers) == (503, True), body
            assert "minute 11:59" in json.loads(body)["msg"]


@pytest.mark.parametrize("query", ["interval=1m&limit=1", "interval=5m&limit=1", "interval=1h&limit=2"])
async def test_what_was_last_seen_of_a_minute_that_is_over_is_no_row(tmp_path: Path, query: str) -> None:
    """Frames stop inside a minute: once it is over, its last state is neither it nor the next one."""
    async with (
        exchange_at() as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - DAY_MS, NOON)}) as gateway,
    ):
        path = f"/fapi/v1/klines?symbol={BTC}&{query}"
        status, body, _ = await gateway.get(path)
        assert (status, json.loads(body)[-1][8]) == (200, gateway.feeder.candles[BTC].trades)
        reason = "no frame from stream 1 for 42 s; closed by REST"
        gateway.feeder.symbols[BTC] = FollowedSymbol(BTC, False, NOON - DAY_MS, reason)
        gateway.feeder.clock = SimulatedClock(NOON + MINUTE_MS + 12_000, 1e-6)
        for asked in (path, f"/fapi/v1/ticker/price?symbol={BTC}"):
            status, body, headers = await gateway.get(asked)
            assert (status, "Retry-After" in headers) == (503, True), body
            assert "minute 12:00 is being recovered" in json.loads(body)["msg"]
        gateway.commit(exchange.market, BTC, NOON, NOON + MINUTE_MS)
        gateway.feeder.symbols[BTC] = FollowedSymbol(BTC, True, NOON - DAY_MS, reason)
        status, body, _ = await gateway.get(f"/fapi/v1/klines?symbol={BTC}&{query}")
        assert status == 503  # without frames nobody knows whether anything was traded since
        assert reason in json.loads(body)["msg"]


async def test_the_minute_that_frames_show_needs_none_before_it(tmp_path: Path) -> None:
    """The minute before had no trade and is not confirmed yet; the one in progress is known all the same."""
    async with (
        exchange_at() as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - DAY_MS, NOON - MINUTE_MS)}) as gateway,
    ):
        seen = replace(gateway.feeder.candles[BTC], open_time=NOON)
        gateway.feeder.candles[BTC] = seen
        status, body, _ = await gateway.get(f"/fapi/v1/klines?symbol={BTC}&interval=1m&limit=1")
        assert (status, [row[0] for row in json.loads(body)]) == (200, [NOON]), body
        assert json.loads(body)[0][8] == seen.trades
        status, body, _ = await gateway.get(f"/fapi/v1/ticker/price?symbol={BTC}")
        assert (status, float(json.loads(body)["price"])) == (200, seen.close), body
        for query in ("interval=1m&limit=2", "interval=5m&limit=2", "interval=1h&limit=2"):
            status, body, headers = await gateway.get(f"/fapi/v1/klines?symbol={BTC}&{query}")
            assert (status, "Retry-After" in headers) == (503, True), (query, body)


async def test_a_history_begins_with_its_first_whole_bar(tmp_path: Path) -> None:
    start = NOON - 2 * DAY_MS + MINUTE_MS
    spans = {BTC: (start, NOON)}
    async with exchange_at() as exchange, gateway_of(exchange, tmp_path, spans) as gateway:
        for query, first in (
            ("interval=1m&startTime=0&limit=1", start),
            ("interval=15m&startTime=0&limit=3", start + 14 * MINUTE_MS),
            ("interval=4h&limit=1500", NOON - 2 * DAY_MS + 4 * HOUR_MS),
        ):
            path = f"/fapi/v1/klines?symbol={BTC}&{query}"
            status, body, _ = await gateway.get(path)
            rows = json.loads(body)
            assert (status, rows[0][0]) == (200, first)
            async with gateway.session.get(f"{exchange.rest_url}{path}&startTime={first}") as answer:
                assert over(rows) == over((await answer.json())[-len(rows) :]) or "startTime=0" in query
        before = f"/fapi/v1/klines?symbol={BTC}&interval=1h&endTime={start - 1}"
        assert (await gateway.get(before))[:2] == (200, b"[]")
        status, body, headers = await gateway.get(f"/fapi/v1/klines?symbol={BTC}&interval=1M&limit=9")
        assert (status, headers["Retry-After"]) == (503, "3600")
        assert "begins with minute 2026-03-08 12:01, inside the bar in progress" in json.loads(body)["msg"]
        gateway.feeder.symbols[BTC] = FollowedSymbol(BTC, False, None, "history is being read")
        status, body, _ = await gateway.get(f"/fapi/v1/klines?symbol={BTC}&interval=1m")
        assert (status, "history is being read" in json.loads(body)["msg"]) == (503, True)


async def test_a_listing_begins_with_its_first_bar(tmp_path: Path) -> None:
    listed = NOON - 7 * HOUR_MS - 23 * MINUTE_MS
    market = synthetic_market([BTC], as_of_ms=NOON, listed={BTC: listed})
    exchange = Exchange(market, SimulatedClock(NOW, 1e-6))
    async with exchange, gateway_of(exchange, tmp_path, {BTC: (listed, NOON)}) as gateway:
        for query in (
            "interval=1h&limit=50",
            f"interval=4h&startTime={NOON - 9 * DAY_MS}",
            "interval=1d&limit=1500",
        ):
            path = f"/fapi/v1/klines?symbol={BTC}&{query}"
            status, body, _ = await gateway.get(path)
            async with gateway.session.get(exchange.rest_url + path) as answer:
                wanted = json.loads(await answer.read())
            assert (status, over(json.loads(body))) == (200, over(wanted))
            assert [row[0] for row in json.loads(body)] == [row[0] for row in wanted]


async def test_polls_of_many_at_the_close_of_a_minute_are_all_answered(tmp_path: Path) -> None:
    path = f"/fapi/v1/klines?symbol={BTC}&interval=1m"
    async with (
        exchange_at() as exchange,
        gateway_of(exchange, tmp_path, {BTC: (NOON - DAY_MS, NOON)}) as gateway,
    ):
        for at in range(NOON, NOON + 3 * MINUTE_MS, MINUTE_MS):
            gateway.commit(exchange.market, BTC, at, at + MINUTE_MS)
            gateway.feeder.clock = SimulatedClock(at + MINUTE_MS + 30_000, 1e-6)
            forming = to_candles(market_rows(exchange.market, BTC, at + MINUTE_MS, at + 2 * MINUTE_MS))[0]
            for close in (forming.close, forming.high, forming.low):  # as frames of it arrive
                gateway.feeder.candles[BTC] = replace(forming, close=close)
                answers = await asyncio.gather(*(gateway.get(f"{path}&limit={n % 3 + 2}") for n in range(12)))
                for status, body, _ in answers:
                    assert status == 200, body
                    assert [row[0] for row in json.loads(body)[-2:]] == [at, at + MINUTE_MS]


async def test_right_after_its_start_no_symbol_is_called_invalid(tmp_path: Path) -> None:
    async with exchange_at() as exchange, gateway_of(exchange, tmp_path, {BTC: (NOON, NOON)}) as gateway:
        followed, traded = dict(gateway.feeder.symbols), set(gateway.feeder.traded)
        gateway.feeder.symbols.clear()
        gateway.feeder.traded.clear()
        path = f"/fapi/v1/klines?symbol={BTC}&interval=1m"
        status, body, headers = await gateway.get(path)
        assert (status, json.loads(body)["code"]) == (503, -1008)
        assert "Retry-After" in headers
        gateway.feeder.traded |= traded
        assert (await gateway.get(path.replace(BTC, "NONE")))[0] == 400
        gateway.feeder.symbols |= followed
        assert (await gateway.get(path))[0] != 400
